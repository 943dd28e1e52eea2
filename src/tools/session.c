/* tools/session.c - the tools of one request: its MCP servers are asked what they offer, and that
 * joins the request's own tools. */
#include "tools/tools_int.h"

#include "base/log.h"
#include "base/mem.h"
#include "json/json.h"

#include <ctype.h>
#include <event2/event.h>

#define FUNCTION_MAX    64
#define DESCRIPTION_MAX 4096
#define SCHEMA_MAX      ((size_t)64 << 10)
#define OFFERED_MAX     512 // tools of one request

static const char *name_of(const json_t *tool)
{
    return json_string_value(json_object_get(tool, "name"));
}

static bool is_taken(const struct chat_request *r, const char *function)
{
    const json_t *tool;
    size_t i;
    json_array_foreach(r->tools, i, tool)
    {
        const char *name = name_of(json_object_get(tool, "function"));
        if (name && strcmp(name, function) == 0)
            return true;
    }
    return false;
}

/* A name a model may call: letters, digits, _ and -; behind the server's if it is taken. */
static bool choose_name(const struct chat_request *r, const char *server, const char *tool,
                        char out[FUNCTION_MAX + 1])
{
    for (int with_server = 0; with_server < 2; with_server++) {
        snprintf(out, FUNCTION_MAX + 1, "%s%s%s", with_server ? server : "",
                 with_server ? "__" : "", tool);
        for (char *p = out; *p; p++)
            if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
                *p = '_';
        if (out[0] && !is_taken(r, out))
            return true;
    }
    return false;
}

static bool is_wanted(const struct chat_mcp_server *m, const char *tool)
{
    for (size_t i = 0; i < m->n_denied; i++)
        if (str_eqc(m->denied[i], tool))
            return false;
    if (!m->some)
        return true;
    for (size_t i = 0; i < m->n_allowed; i++)
        if (str_eqc(m->allowed[i], tool))
            return true;
    return false;
}

static json_t *schema_of(json_t *tool)
{
    json_t *schema = json_object_get(tool, "inputSchema");
    struct buf text = BUF_INIT(SCHEMA_MAX);
    bool ok = json_is_object(schema) && json_write(&text, schema, JSON_PLAIN, -1);
    buf_free(&text);
    return ok ? json_incref(schema) : json_pack("{s:s,s:{}}", "type", "object", "properties");
}

static void offer(struct tools_session *s, int server, json_t *tool, enum tools_policy policy)
{
    struct chat_request *r = s->request;
    struct tools_peer *p = &s->peers[server];
    char function[FUNCTION_MAX + 1];
    if (!choose_name(r, p->label, name_of(tool), function) || s->n_bound == OFFERED_MAX)
        return;
    str description = json_as_str(json_object_get(tool, "description"));
    size_t n = size_min(description.n, DESCRIPTION_MAX);
    while (n < description.n && n > 0 && ((unsigned char)description.p[n] & 0xc0) == 0x80)
        n--;
    json_t *f = json_object();
    json_object_set_new(f, "name", json_string(function));
    json_object_set_new(f, "description", json_from_str(str_sub(description, 0, n)));
    json_object_set_new(f, "parameters", schema_of(tool));
    if (!r->tools)
        r->tools = json_array();
    json_array_append_new(r->tools, json_pack("{s:s,s:o}", "type", "function", "function", f));

    struct chat_server_tool *list = arena_calloc(&r->arena, r->n_server_tools + 1, sizeof *list);
    str name = arena_str(&r->arena, str_c(name_of(tool)));
    str label = arena_str(&r->arena, str_c(p->label));
    str shown = arena_str(&r->arena, str_c(function));
    if (!list || r->arena.full)
        return; // the request has its fill
    if (r->n_server_tools)
        memcpy(list, r->server_tools, r->n_server_tools * sizeof *list);
    list[r->n_server_tools++] =
        (struct chat_server_tool){.name = name, .server = label, .function = shown, .shown = shown};
    r->server_tools = list;

    s->bound = mem_realloc(s->bound, (s->n_bound + 1) * sizeof *s->bound);
    s->bound[s->n_bound++] = (struct tools_bound){.function = mem_strdup(str_c(function)),
                                                  .tool = mem_strdup(str_c(name_of(tool))),
                                                  .server = server,
                                                  .schema = json_object_get(tool, "inputSchema"),
                                                  .policy = policy};
}

static void offer_all(struct tools_session *s, int server, const struct chat_mcp_server *m)
{
    struct tools *t = s->tools;
    struct tools_peer *p = &s->peers[server];
    json_t *tool;
    size_t i;
    json_array_foreach(p->list, i, tool)
    {
        char full[200];
        if (!is_wanted(m, name_of(tool)))
            continue;
        snprintf(full, sizeof full, "%s/%.100s", p->label, name_of(tool));
        enum tools_policy policy = tools_policy_of(t, str_c(full));
        if (!p->own && !tools_pin(t, p->label, tool)) {
            char name[120];
            log_warn("tools.mcp_changed", "server=%s tool=%s it is not what it was at first",
                     p->label, log_quote(name, sizeof name, str_c(name_of(tool))));
            if (t->conf.mcp_changed > policy)
                policy = t->conf.mcp_changed;
        }
        if (policy != TOOLS_REFUSE)
            offer(s, server, tool, policy);
    }
}

/* Is this the name of a function of the request's, as far as a function's name goes? */
static bool is_function(const struct chat_request *r, str name)
{
    char text[FUNCTION_MAX + 1];
    snprintf(text, sizeof text, "%.*s", STR_ARG(str_sub(name, 0, FUNCTION_MAX)));
    return name.n <= FUNCTION_MAX && is_taken(r, text);
}

/* A choice that was made before the servers' tools were known: by the function's name, or by the
 * tool's own, which may have had to take another. */
static bool settle_choice(struct chat_request *r, struct err *e)
{
    if (r->tool_choice == CHAT_TOOLS_REQUIRED && json_array_size(r->tools) == 0) {
        err_set_at(e, ERR_INPUT, "tool_choice",
                   "'tool_choice' demands a call, but there are no tools");
        return err_kind(e, "invalid_value");
    }
    if (r->tool_choice != CHAT_TOOLS_NAMED || is_function(r, r->tool_name))
        return true;
    for (size_t i = 0; i < r->n_server_tools; i++)
        if (str_eq(r->server_tools[i].name, r->tool_name)) {
            r->tool_name = r->server_tools[i].function;
            return true;
        }
    err_set_at(e, ERR_INPUT, "tool_choice", "'tool_choice' names '%.*s', which is no tool here",
               STR_ARG(str_sub(r->tool_name, 0, FUNCTION_MAX)));
    return err_kind(e, "invalid_value");
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct tools_session *s = arg;
    (void)fd;
    (void)what;
    struct err failure = s->failure; // whoever is told may end the session
    bool ok = failure.code == ERR_NONE;
    for (int i = 0; i < s->n_peers && ok; i++)
        offer_all(s, i, &s->request->mcp[i]);
    ok = ok && settle_choice(s->request, &failure);
    s->ready(ok ? NULL : &failure, s->arg);
}

static void settle(struct tools_session *s)
{
    if (s->n_listing == 0)
        event_active(s->soon, 0, 0);
}

static void on_listed(const json_t *result, const struct err *error, void *arg)
{
    struct tools_peer *p = arg;
    struct tools_session *s = p->session;
    p->listing = NULL;
    p->list = json_incref((json_t *)result);
    s->n_listing--;
    if (error && s->failure.code == ERR_NONE) {
        bool denied = error->code == ERR_DENIED;
        char why[600];
        log_warn("tools.mcp_list", "run=%s server=%s reason=%s", s->who, p->label,
                 log_quote(why, sizeof why, str_c(error->msg)));
        err_set_at(&s->failure, denied ? ERR_DENIED : ERR_INPUT, "mcp_servers",
                   "Failed to fetch tools from MCP servers. (%s)", error->msg);
        err_kind(&s->failure, denied ? "mcp_denied" : "mcp_failed");
    }
    settle(s);
}

static struct mcp *open_own(struct tools *t, const struct chat_mcp_server *m, const char *label)
{
    char *url = mem_strdup(m->url);
    const char **headers = mem_calloc(m->n_headers + 1, sizeof *headers);
    for (size_t i = 0; i < m->n_headers; i++)
        headers[i] = m->headers[i].p; // arena_str puts a NUL behind them
    struct mcp *mcp = mcp_open(&(struct mcp_conf){.name = label,
                                                  .base = t->conf.base,
                                                  .url = url,
                                                  .events = m->events,
                                                  .fetcher = t->web,
                                                  .headers = headers,
                                                  .list_timeout_ms = 30000,
                                                  .call_timeout_ms = t->conf.call_timeout_ms,
                                                  .max_message = (size_t)4 << 20});
    mem_free(headers);
    mem_free(url);
    return mcp;
}

static void connect_peer(struct tools_session *s, const struct chat_mcp_server *m)
{
    struct tools *t = s->tools;
    struct tools_peer *p = &s->peers[s->n_peers++];
    p->session = s;
    snprintf(p->label, sizeof p->label, "%.*s", STR_ARG(str_sub(m->name, 0, 60)));
    for (char *c = p->label; *c; c++) // it goes into the log
        if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
            *c = '_';
    p->own = m->url.n > 0;
    if (p->own) {
        p->mcp = open_own(t, m, p->label);
    } else {
        for (int i = 0; i < t->n_servers; i++)
            if (str_eqc(m->name, t->servers[i].name))
                p->mcp = t->servers[i].mcp;
    }
    if (!p->mcp) {
        err_set_at(&s->failure, ERR_INPUT, "mcp_servers", "there is no MCP server '%s' here",
                   p->label);
        err_kind(&s->failure, "mcp_failed");
        return;
    }
    s->n_listing++;
    p->listing = mcp_list(p->mcp, on_listed, p);
}

struct tools_session *tools_begin(struct tools *t, const char *who, struct chat_request *r,
                                  void (*ready)(const struct err *error, void *arg), void *arg)
{
    struct tools_session *s = mem_calloc(1, sizeof *s);
    s->tools = t;
    s->request = r;
    s->ready = ready;
    s->arg = arg;
    snprintf(s->who, sizeof s->who, "%s", who);
    s->next = t->sessions;
    s->link = &t->sessions;
    if (s->next)
        s->next->link = &s->next;
    t->sessions = s;
    s->soon = event_new(t->conf.base, -1, 0, on_ready, s);
    if (r->n_mcp > TOOLS_SESSION_MAX) {
        err_set_at(&s->failure, ERR_INPUT, "mcp_servers", "more than %d MCP servers",
                   TOOLS_SESSION_MAX);
        err_kind(&s->failure, "mcp_failed");
    } else {
        for (size_t i = 0; i < r->n_mcp; i++)
            connect_peer(s, &r->mcp[i]);
    }
    settle(s);
    return s;
}

void tools_end(struct tools_session *s)
{
    if (!s)
        return;
    while (s->jobs)
        tools_cancel(s->jobs);
    for (int i = 0; i < s->n_peers; i++) {
        struct tools_peer *p = &s->peers[i];
        if (p->listing)
            mcp_cancel(p->listing);
        json_decref(p->list);
        if (p->own)
            mcp_close(p->mcp);
    }
    for (size_t i = 0; i < s->n_bound; i++) {
        mem_free(s->bound[i].function);
        mem_free(s->bound[i].tool);
    }
    mem_free(s->bound);
    event_free(s->soon);
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    mem_free(s);
}
