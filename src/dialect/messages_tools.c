/* dialect/messages_tools.c - tools that run on the server, as Zylon's bodies ask for them: built-in
 * types, and MCP servers. */
#include "dialect/messages.h"

#include <ctype.h>

/* The brand's types; what it has besides, retrieval and files on its own disk, is not here. */
static const struct {
    const char *type, *name;
} types[] = {
    {"web_fetch", "web:url"},
    {"web_extract", "web:url"},
    {"web_search", "web:search"},
    {"code_execution", "code:python-interpreter"},
};

/* Without "_v1", or a date. */
static str stem(str type)
{
    ptrdiff_t at = str_rchr(type, '_');
    if (at <= 0)
        return type;
    str tail = str_from(type, (size_t)at + 1);
    bool version = tail.n > 1 && tail.p[0] == 'v', date = tail.n == 8;
    for (size_t i = version; i < tail.n; i++)
        if (!isdigit((unsigned char)tail.p[i]))
            version = date = false;
    return version || date ? str_sub(type, 0, (size_t)at) : type;
}

str messages_builtin(str type)
{
    str s = stem(type);
    if (str_chr(type, ':') > 0)
        return type; // by the catalogue's own name
    for (size_t i = 0; i < COUNT(types); i++)
        if (str_eqc(s, types[i].type))
            return str_c(types[i].name);
    return STR("");
}

static bool is_function(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_' && s.p[i] != '-')
            return false;
    return s.n > 0 && s.n <= 64;
}

/* Its files: the ids it names, and the texts and files of the context. */
static json_t *files_of(const json_t *tool, const json_t *context)
{
    json_t *files = json_copy(json_object_get(tool, "files")), *v;
    size_t i;
    if (!json_is_array(files)) {
        json_decref(files);
        files = json_array();
    }
    json_array_foreach((json_t *)context, i, v)
    {
        str type = json_as_str(json_object_get(v, "type"));
        if ((str_eqc(type, "text") || str_eqc(type, "file")) &&
            json_is_string(json_object_get(v, "value")))
            json_array_append(files, v);
    }
    return files;
}

bool messages_offer(const struct runs *rs, const json_t *tool, str type, str builtin,
                    const json_t *context, struct chat_request *r, struct err *e)
{
    str name = json_as_str(json_object_get(tool, "name"));
    str function = name.n ? name : str_chr(type, ':') > 0 ? STR("") : stem(type);
    if (function.n && !is_function(function))
        return err_set(e, ERR_INPUT, "the name of a tool must be letters, digits, '_' and '-'");
    json_t *files = str_eqc(builtin, "file:text") ? files_of(tool, context) : NULL;
    bool ok = run_offer_tool(rs, r, builtin, function, function, files, e);
    json_decref(files);
    if (ok && function.n == 0) { // shown by the name that the model has for it
        struct chat_server_tool *t = &r->server_tools[r->n_server_tools - 1];
        t->shown = t->function;
    }
    return ok;
}

static bool bad(struct err *e, size_t i, const char *what)
{
    char place[48];
    snprintf(place, sizeof place, "mcp_servers[%zu]", i);
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, "INVALID_REQUEST_INVALID_MCP_ERROR");
}

static bool is_http(str url)
{
    return str_eq_nocase(str_sub(url, 0, 7), STR("http://")) ||
           str_eq_nocase(str_sub(url, 0, 8), STR("https://"));
}

/* The command of a server that is a program: one word, or command and args. */
static void command_of(const json_t *server, str url, struct buf *out)
{
    const json_t *args = json_object_get(server, "args"), *v;
    size_t i;
    str command = json_as_str(json_object_get(server, "command"));
    buf_str(out, command.n ? command : url);
    json_array_foreach((json_t *)args, i, v)
    {
        buf_char(out, ' ');
        buf_str(out, json_as_str(v));
    }
}

static bool read_server(const struct runs *rs, const json_t *server, size_t i,
                        struct chat_request *r, struct err *e)
{
    struct chat_mcp_server m = {0};
    const json_t *how = json_object_get(server, "tool_configuration");
    const json_t *allowed = json_object_get(how, "allowed_tools");
    str type = json_as_str(json_object_get(server, "type"));
    str url = str_trim(json_as_str(json_object_get(server, "url")));
    str name = json_as_str(json_object_get(server, "name"));
    str token = str_trim(json_as_str(json_object_get(server, "authorization_token")));
    if (!json_is_object(server))
        return bad(e, i, "must be an object");
    if (json_string_length(json_object_get(server, "refresh_token")) &&
        json_string_length(json_object_get(server, "client_id")) == 0)
        return bad(e, i, "has a 'refresh_token', which needs a 'client_id'");
    if (json_is_false(json_object_get(how, "enabled")))
        return true;
    m.name = arena_str(&r->arena, name.n ? str_sub(name, 0, 48) : STR("mcp"));
    if (url.n && is_http(url) && !str_eqc(type, "stdio")) {
        m.url = arena_str(&r->arena, url);
        m.events = type.n ? str_eqc(type, "sse") : tools_url_is_events(url);
    } else if (url.n || str_eqc(type, "stdio")) { // never run: only recognised
        struct buf command = BUF_INIT(65536);
        struct tools *t = runs_tools(rs);
        command_of(server, url, &command);
        str known = t ? tools_server_of_command(t, buf_as_str(&command)) : STR("");
        buf_free(&command);
        if (known.n == 0)
            return bad(e, i, "is a command that this server's operator has not allowed");
        m.name = arena_str(&r->arena, known);
    }
    struct buf bearer = BUF_INIT(8192);
    buf_printf(&bearer, "Bearer %.*s", STR_ARG(token));
    bool ok = token.n == 0 || m.url.n == 0 ||
              server_tools_header(r, &m, STR("Authorization"), buf_as_str(&bearer));
    buf_free(&bearer);
    if (!ok || !server_tools_headers(json_object_get(server, "headers"), r, &m))
        return bad(e, i, "has headers that are no plain texts");
    if (!allowed)
        allowed = json_object_get(how, "enabled_tools");
    if (!server_tools_allow(allowed, r, &m))
        return bad(e, i, "has 'allowed_tools' that are no array of names");
    if (run_offer_server(rs, r, &m, e))
        return true;
    snprintf(e->where, sizeof e->where, "mcp_servers[%zu]", i);
    return err_kind(e, "INVALID_REQUEST_INVALID_MCP_ERROR");
}

bool messages_refreshes(const json_t *servers)
{
    json_t *server;
    size_t i;
    json_array_foreach((json_t *)servers, i, server)
    {
        if (json_is_string(json_object_get(server, "refresh_token")))
            return true;
    }
    return false;
}

/* {"type":"mcp_toolset","mcp_server_name":...}: which tools of a server are offered. */
bool messages_toolset(const json_t *tool, const char *place, struct chat_request *r, struct err *e)
{
    const json_t *configs = json_object_get(tool, "configs"), *all;
    str name = str_sub(json_as_str(json_object_get(tool, "mcp_server_name")), 0, 48);
    struct chat_mcp_server *m = NULL;
    const char *key;
    json_t *v;
    for (size_t i = 0; i < r->n_mcp && !m; i++)
        m = str_eq(r->mcp[i].name, name) ? &r->mcp[i] : NULL;
    if (!m) {
        err_set_at(e, ERR_INPUT, place, "'%s.mcp_server_name' is no server of 'mcp_servers'",
                   place);
        return err_kind(e, "INVALID_REQUEST_INVALID_MCP_ERROR");
    }
    all = json_object_get(json_object_get(tool, "default_config"), "enabled");
    bool most = !json_is_false(all);
    size_t n = json_object_size(configs), n_listed = 0;
    str *listed = arena_calloc(&r->arena, n + 1, sizeof *listed);
    json_object_foreach((json_t *)configs, key, v)
    {
        const json_t *enabled = json_object_get(v, "enabled");
        bool on = enabled ? json_is_true(enabled) : most;
        if (on != most && listed)
            listed[n_listed++] = arena_str(&r->arena, str_c(key));
    }
    if (most) {
        m->denied = listed;
        m->n_denied = n_listed;
    } else {
        m->some = true;
        m->allowed = listed;
        m->n_allowed = n_listed;
    }
    return listed != NULL ||
           err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
}

bool messages_servers(const struct runs *rs, const json_t *servers, struct chat_request *r,
                      struct err *e)
{
    const json_t *server;
    size_t i;
    if (json_array_size(servers) > 16)
        return bad(e, 16, "is one too many: at most 16 servers are asked");
    json_array_foreach((json_t *)servers, i, server)
    {
        if (!read_server(rs, server, i, r, e))
            return false;
    }
    return true;
}
