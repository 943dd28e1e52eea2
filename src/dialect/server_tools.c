/* dialect/server_tools.c - tools that run on this server, as requests of OpenAI's shape ask for
 * them:
 * {"type":"math:calculator"}, {"type":"file:text","files":[...]}, {"type":"mcp",...}.
 *
 * Source: FriendliAI's tool-assisted chat; the mcp tool of OpenAI's Responses. */
#include "dialect/dialect_int.h"

#define HEADERS_MAX 32
#define ALLOWED_MAX 512

static bool bad(struct err *e, const char *place, const char *key, const char *kind,
                const char *what)
{
    char where[96];
    snprintf(where, sizeof where, "%s.%s", place, key);
    err_set_at(e, ERR_INPUT, where, "'%s' %s", where, what);
    return err_kind(e, kind);
}

static bool is_label(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
              (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '_' || s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= 48;
}

static bool is_header(str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    return true;
}

bool server_tools_header(struct chat_request *r, struct chat_mcp_server *m, str name, str value)
{
    struct buf line = BUF_INIT(8192);
    if (!m->headers)
        m->headers = arena_calloc(&r->arena, HEADERS_MAX, sizeof *m->headers);
    if (!m->headers || m->n_headers == HEADERS_MAX || !is_label(name) || !is_header(value))
        return false;
    buf_str(&line, name);
    buf_c(&line, ": ");
    buf_str(&line, value);
    m->headers[m->n_headers] = arena_str(&r->arena, buf_as_str(&line));
    bool ok = !line.full && m->headers[m->n_headers].p;
    m->n_headers += ok;
    buf_free(&line);
    return ok;
}

bool server_tools_headers(const json_t *headers, struct chat_request *r, struct chat_mcp_server *m)
{
    const char *name;
    json_t *v;
    if (headers && !json_is_null(headers) && !json_is_object(headers))
        return false;
    json_object_foreach((json_t *)headers, name, v)
    {
        if (!json_is_string(v) || !server_tools_header(r, m, str_c(name), json_as_str(v)))
            return false;
    }
    return true;
}

bool server_tools_allow(const json_t *names, struct chat_request *r, struct chat_mcp_server *m)
{
    const json_t *v;
    size_t i, n = json_array_size(names);
    if (!names || json_is_null(names))
        return true;
    if (!json_is_array(names) || n > ALLOWED_MAX)
        return false;
    m->some = true;
    m->allowed = arena_calloc(&r->arena, n + 1, sizeof *m->allowed);
    json_array_foreach((json_t *)names, i, v)
    {
        if (!json_is_string(v) || !m->allowed)
            return false;
        m->allowed[m->n_allowed++] = arena_str(&r->arena, json_as_str(v));
    }
    return true;
}

/* {"type":"mcp","server_label":...}: the operator's server of that name, or one by its URL. */
static bool read_mcp(struct dialect *d, const json_t *tool, const char *place,
                     struct chat_request *r, struct err *e)
{
    struct chat_mcp_server m = {0};
    str label = json_as_str(json_object_get(tool, "server_label"));
    str token = json_as_str(json_object_get(tool, "authorization"));
    const json_t *allowed = json_object_get(tool, "allowed_tools");
    const json_t *approval = json_object_get(tool, "require_approval");
    struct buf bearer = BUF_INIT(8192);
    if (!is_label(label))
        return bad(e, place, "server_label", "invalid_value",
                   "must be 1 to 48 letters, digits, '_' or '-'");
    if (approval && !json_is_null(approval) && !str_eqc(json_as_str(approval), "never"))
        return bad(e, place, "require_approval", "unsupported_value",
                   "can only be \"never\": what has to be asked about is the server's own policy");
    m.name = arena_str(&r->arena, label);
    m.url = arena_str(&r->arena, json_as_str(json_object_get(tool, "server_url")));
    m.events = tools_url_is_events(m.url);
    buf_printf(&bearer, "Bearer %.*s", STR_ARG(token));
    bool ok = token.n == 0 || server_tools_header(r, &m, STR("Authorization"), buf_as_str(&bearer));
    buf_free(&bearer);
    if (!ok || !server_tools_headers(json_object_get(tool, "headers"), r, &m))
        return bad(e, place, "headers", "invalid_value",
                   "must be an object of plain header values");
    if (json_is_object(allowed))
        allowed = json_object_get(allowed, "tool_names");
    if (!server_tools_allow(allowed, r, &m))
        return bad(e, place, "allowed_tools", "invalid_value", "must be an array of names");
    if (run_offer_server(d->conf.runs, r, &m, e))
        return true;
    snprintf(e->where, sizeof e->where, "%s.server_label", place);
    return false;
}

static bool read_files(struct dialect *d, const json_t *tool, const char *place, struct err *e)
{
    const json_t *files = json_object_get(tool, "files"), *id;
    size_t i;
    if (!json_is_array(files) || json_array_size(files) != 1)
        return bad(e, place, "files", "invalid_value", "must hold exactly one file's id");
    json_array_foreach((json_t *)files, i, id)
    {
        if (!json_is_string(id))
            return bad(e, place, "files", "invalid_type", "must hold a file's id, a string");
        if (!server_tools_check_file(d, json_as_str(id), e)) {
            snprintf(e->where, sizeof e->where, "%s.files", place);
            return false;
        }
    }
    return true;
}

static bool read_one(struct dialect *d, const json_t *tool, str type, const char *place,
                     struct chat_request *r, struct err *e)
{
    const json_t *files = NULL;
    if (str_eqc(type, "mcp"))
        return read_mcp(d, tool, place, r, e);
    if (str_eqc(type, "file:text")) {
        if (!read_files(d, tool, place, e))
            return false;
        files = json_object_get(tool, "files");
    }
    if (run_offer_tool(d->conf.runs, r, type, type, STR(""), files, e))
        return true;
    snprintf(e->where, sizeof e->where, "%s.type", place);
    return false;
}

/* Is it one that is read here? */
static bool is_ours(str type)
{
    return str_eqc(type, "mcp") || str_chr(type, ':') > 0;
}

bool server_tools_read(struct dialect *d, const json_t *body, struct chat_request *r, struct err *e)
{
    const json_t *tools = json_object_get(body, "tools"), *tool;
    const json_t *choice = json_object_get(body, "tool_choice");
    bool others = false;
    char place[64];
    size_t i;
    json_array_foreach((json_t *)tools, i, tool)
    {
        str type = json_as_str(json_object_get(tool, "type"));
        snprintf(place, sizeof place, "tools[%zu]", i);
        if (!is_ours(type))
            others = true;
        else if (!str_eqc(json_as_str(choice), "none") && !read_one(d, tool, type, place, r, e))
            return false;
    }
    // A turn with calls of both kinds cannot be taken up again by a client that sees only its own.
    if (others && (r->n_server_tools || r->n_mcp))
        r->one_call = true;
    return true;
}

bool server_tools_skip(const json_t *tool)
{
    return is_ours(json_as_str(json_object_get(tool, "type")));
}

bool server_tools_check_file(struct dialect *d, str id, struct err *e)
{
    struct tools_file f;
    struct tools *t = runs_tools(d->conf.runs);
    if (!t)
        return err_set(e, ERR_INPUT, "this server keeps no files");
    if (!tools_file_find(t, dialect_team(d), id, &f, e))
        return false;
    str name = str_c(f.name);
    size_t n = size_min(name.n, 4);
    str end = str_from(name, name.n - n);
    if (!str_eq_nocase(end, STR(".txt")) && !str_eq_nocase(end, STR(".pdf"))) {
        err_set(e, ERR_INPUT, "only .txt and .pdf files are read");
        return err_kind(e, "unsupported_value");
    }
    return true;
}
