/* tools/mcp_http_test.c - sessions with servers over HTTP, of our own make: streamable and that of
 * 2024, streams that break off, tokens that are refused, servers that send rubbish. */
#include "http/http.h"
#include "test.h"
#include "tools/mcp.h"
#include "tools/mcp_message.h"

#include <event2/event.h>

/* A server, an authorization server beside it, and a client with what it was told. */
struct shop {
    struct event_base *base;
    struct http_server *server;
    const char *kind;
    int n_gets, n_deletes, n_tokens;
    bool gone;               // the first session has been forgotten
    struct http_req *stream; // of 2024: where answers go
    struct mcp *m;
    struct buf seen, text, news;
};

static bool is(const struct shop *s, const char *kind)
{
    return strcmp(s->kind, kind) == 0;
}

static void write_result(struct shop *s, const char *method, int id, struct buf *out)
{
    buf_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":", id);
    if (strcmp(method, "initialize") == 0)
        buf_printf(out, "{\"protocolVersion\":\"%s\"}", is(s, "old") ? "2024-11-05" : "2025-11-25");
    else if (strcmp(method, "tools/list") == 0)
        buf_c(out, "{\"tools\":[{\"name\":\"add\"}]}");
    else if (is(s, "floods"))
        for (int i = 0; i < 1 << 20; i++)
            buf_c(out, "[[[[[[");
    else
        buf_c(out, "{\"content\":[]}");
    buf_char(out, '}');
}

#define EVENT(text) "data: {\"jsonrpc\":\"2.0\"," text "}\n\n"

/* The answer of tools/call where the kind has one of its own. */
static bool serve_call(struct shop *s, struct http_req *r, int id)
{
    char text[600];
    if (is(s, "forgets") && !s->gone) {
        s->gone = true;
        http_reply(r, 404, "text/plain", STR("no session"));
    } else if (is(s, "redirects")) {
        http_set_header(r, "Location", "http://127.0.0.1:1/");
        http_reply(r, 307, NULL, STR(""));
    } else if (is(s, "cuts")) {
        http_reply(r, 200, "application/json", STR(""));
    } else if (is(s, "says nothing")) {
        http_reply(r, 200, "text/event-stream", STR(": no event\n\n"));
    } else if (is(s, "breaks") || is(s, "breaks for good") || is(s, "breaks and refuses")) {
        // A first event with an id; half of a second, which does not count; and the wire is cut.
        http_begin(r, 200, "text/event-stream");
        http_write(r, STR("retry: 10\nid: e1\ndata: \n\nid: e2\ndata: {\"json"));
        http_abort(r);
    } else if (is(s, "reports")) {
        snprintf(text, sizeof text,
                 EVENT("\"method\":\"notifications/progress\",\"params\":{\"progressToken\":%d,"
                       "\"progress\":1,\"total\":4,\"message\":\"one\"}")
                     EVENT("\"method\":\"notifications/progress\",\"params\":{\"progressToken\":99,"
                           "\"progress\":9}") EVENT("\"id\":%d,\"result\":{\"content\":[]}"),
                 id, id);
        http_reply(r, 200, "text/event-stream", str_c(text));
    } else {
        return false;
    }
    return true;
}

static void serve_token(struct shop *s, struct http_req *r)
{
    char text[200];
    str v;
    s->n_tokens++;
    buf_printf(&s->seen, "token(%.*s) ", STR_ARG(http_body(r)));
    if (is(s, "refreshes")) {
        assert_false(http_header(r, "Authorization", &v));
    } else {
        assert_true(http_header(r, "Authorization", &v));
        check_str(v, STR("Basic aWQ6YSUyRmI="), "basic"); // id:a%2Fb
    }
    if (is(s, "no token")) {
        http_reply(r, 401, "application/json",
                   STR("{\"error\":\"invalid_client\",\"error_description\":\"SECRET\"}"));
        return;
    }
    snprintf(text, sizeof text,
             "{\"access_token\":\"t%d\",\"token_type\":\"Bearer\",\"refresh_token\":\"r%d\"}",
             s->n_tokens, s->n_tokens);
    http_reply(r, 200, "application/json", str_c(text));
}

static void serve_get(struct shop *s, struct http_req *r)
{
    struct buf out = BUF_INIT(10000);
    str v;
    s->n_gets++;
    if (is(s, "old") || is(s, "old, elsewhere") || is(s, "old, silent")) {
        http_begin(r, 200, "text/event-stream");
        s->stream = r;
        if (is(s, "old"))
            http_write(r, STR("event: endpoint\ndata: /post?session=7\n\n"));
        if (is(s, "old, elsewhere"))
            http_write(r, STR("event: endpoint\ndata: http://127.0.0.2:1/post\n\n"));
        return;
    }
    assert_true(http_header(r, "Last-Event-ID", &v));
    check_str(v, STR("e1"), "the last whole event");
    assert_true(http_header(r, "Mcp-Session-Id", &v));
    if (is(s, "breaks and refuses")) {
        http_reply(r, 405, "text/plain", STR("no"));
    } else if (is(s, "breaks for good")) {
        http_reply(r, 200, "text/event-stream", STR(""));
    } else if (s->n_gets == 1) {
        http_reply(r, 200, "text/event-stream", STR(": wait\n\n"));
    } else {
        buf_c(&out, "id: e2\ndata: ");
        write_result(s, "tools/call", 3, &out);
        buf_c(&out, "\n\n");
        http_reply(r, 200, "text/event-stream", buf_as_str(&out));
    }
    buf_free(&out);
}

/* Is the message one of a client that may?  Else it has been answered. */
static bool admit(struct shop *s, struct http_req *r, const char *method)
{
    char want[32];
    str v;
    snprintf(want, sizeof want, "Bearer t%d", s->n_tokens);
    bool knows = http_header(r, "Authorization", &v) && str_eqc(v, want);
    // The token is good for some messages, and then no more.
    bool late = strcmp(method, "tools/call") == 0 && s->n_tokens == 1;
    if ((is(s, "expires") || is(s, "refreshes")) && (late || !knows))
        http_reply(r, 401, "text/plain", STR("no"));
    else if (is(s, "never content"))
        http_reply(r, 401, "text/plain", STR("no"));
    else
        return true;
    return false;
}

static void serve(struct http_req *r, void *arg)
{
    struct shop *s = arg;
    struct err e;
    str v;
    bool old = strncmp(s->kind, "old", 3) == 0;
    if (str_eqc(http_path(r), "/token")) {
        serve_token(s, r);
        return;
    }
    if (str_eqc(http_method(r), "DELETE")) {
        s->n_deletes++;
        http_reply(r, 200, NULL, STR(""));
        return;
    }
    if (str_eqc(http_method(r), "GET")) {
        serve_get(s, r);
        return;
    }
    json_t *m = json_parse(http_body(r), &e);
    assert_non_null(m);
    const char *method = json_string_value(json_object_get(m, "method"));
    int id = (int)json_integer_value(json_object_get(m, "id"));
    assert_true(http_header(r, "X-Shop", &v) && str_eqc(v, "hunter2"));
    buf_printf(&s->seen, "%s ", method);
    bool open = admit(s, r, method);
    if (open && old) {
        assert_true(http_query(r, "session", &v) && str_eqc(v, "7"));
    } else if (open) {
        assert_true(http_header(r, "Accept", &v) && str_find(v, STR("text/event-stream")) >= 0);
        if (strcmp(method, "initialize") == 0) {
            http_set_header(r, "Mcp-Session-Id", s->gone ? "s2" : "s1");
        } else {
            assert_true(http_header(r, "Mcp-Session-Id", &v));
            assert_true(http_header(r, "MCP-Protocol-Version", &v) && str_eqc(v, "2025-11-25"));
        }
    }
    if (open && !json_object_get(m, "id")) {
        http_reply(r, 202, NULL, STR(""));
    } else if (open && !(strcmp(method, "tools/call") == 0 && serve_call(s, r, id))) {
        struct buf out = BUF_INIT(1 << 23);
        bool sse = is(s, "events") || old;
        if (sse)
            buf_c(&out, ": hi\n\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n\n"
                        "data: ");
        write_result(s, method, id, &out);
        buf_c(&out, sse ? "\n\n" : "");
        if (old)
            http_write(s->stream, buf_as_str(&out));
        http_reply(r, old ? 202 : 200, sse ? "text/event-stream" : "application/json",
                   old ? STR("Accepted") : buf_as_str(&out));
        buf_free(&out);
    }
    json_decref(m);
}

static void on_called(const json_t *result, const struct err *error, void *arg)
{
    struct shop *s = arg;
    if (error)
        buf_printf(&s->text, "error %s: %s", err_code_name(error->code), error->msg);
    else
        json_write(&s->text, result, JSON_PLAIN, -1);
    event_base_loopbreak(s->base);
}

static void on_progress(double progress, double total, str message, void *arg)
{
    struct shop *s = arg;
    buf_printf(&s->news, "%g of %g %.*s; ", progress, total, STR_ARG(message));
}

static void on_listed(const json_t *result, const struct err *error, void *arg)
{
    struct shop *s = arg;
    if (error) {
        on_called(result, error, arg);
        return;
    }
    buf_printf(&s->text, "%zu tools; ", json_array_size(result));
    json_t *args = json_pack("{s:i}", "a", 1);
    mcp_follow(mcp_call(s->m, "add", args, on_called, s), on_progress);
    json_decref(args);
}

#define ALL "initialize notifications/initialized tools/list tools/call "

static const struct row {
    const char *kind, *want, *seen; // want: how it begins
    int n_gets, n_deletes;
} rows[] = {
    {"plain", "1 tools; {\"content\":[]}", ALL, 0, 1},
    {"events", "1 tools; {\"content\":[]}", ALL, 0, 1},
    {"reports", "1 tools; {\"content\":[]}", ALL, 0, 1},
    {"forgets", "1 tools; {\"content\":[]}", ALL "initialize notifications/initialized tools/call ",
     0, 1},
    {"redirects", "1 tools; error io: MCP server 'shop': it answers with status 307", NULL, 0, 1},
    {"floods", "1 tools; error limit: MCP server 'shop': the answer is larger than", NULL, 0, 1},
    {"cuts", "1 tools; error io: MCP server 'shop': the answer ends before the result", NULL, 0, 1},
    // Without an id there is nothing to go on from.
    {"says nothing", "1 tools; error io: MCP server 'shop': the answer ends before the result",
     NULL, 0, 1},
    {"breaks", "1 tools; {\"content\":[]}", ALL, 2, 1},
    {"breaks and refuses", "1 tools; error io: MCP server 'shop': it answers with status 405", ALL,
     1, 1},
    {"breaks for good", "1 tools; error io: MCP server 'shop': the answer ends before the result",
     ALL, 5, 1},
    {"expires", "1 tools; {\"content\":[]}",
     "token(grant_type=client_credentials&scope=a%20b&resource=URL) "
     "initialize notifications/initialized tools/list tools/call "
     "token(grant_type=client_credentials&scope=a%20b&resource=URL) tools/call ",
     0, 1},
    {"refreshes", "1 tools; {\"content\":[]}",
     "token(grant_type=refresh_token&refresh_token=r0&resource=URL&client_id=id) "
     "initialize notifications/initialized tools/list tools/call "
     "token(grant_type=refresh_token&refresh_token=r1&resource=URL&client_id=id) tools/call ",
     0, 1},
    {"no token",
     "error denied: MCP server 'shop': its authorization server gives no token (status 401, "
     "invalid_client)",
     "token(grant_type=client_credentials&scope=a%20b&resource=URL) ", 0, 0},
    {"never content", "error denied: MCP server 'shop': it refuses the credentials (status 401)",
     "token(grant_type=client_credentials&scope=a%20b&resource=URL) initialize "
     "token(grant_type=client_credentials&scope=a%20b&resource=URL) initialize ",
     0, 0},
    {"old", "1 tools; {\"content\":[]}", ALL, 1, 0},
    {"old, elsewhere", "error denied: MCP server 'shop': it wants its messages at another server",
     "", 1, 0},
    {"old, silent", "error timeout: MCP server 'shop': ", "", 1, 0},
};

static bool has_oauth(const char *kind)
{
    static const char *const kinds[] = {"expires", "refreshes", "no token", "never content"};
    for (size_t i = 0; i < COUNT(kinds); i++)
        if (strcmp(kind, kinds[i]) == 0)
            return true;
    return false;
}

/* What the server saw, with its own URL written as "URL".  Notes may come behind what was sent
 * after them, so the order within is not looked at. */
static void check_seen(const struct shop *s, const char *url, const char *want, const char *kind)
{
    struct buf plain = BUF_INIT(10000);
    str left = buf_as_str(&s->seen), word;
    char escaped[200];
    snprintf(escaped, sizeof escaped, "http%%3A%%2F%%2F127.0.0.1%%3A%d%%2Fmcp",
             http_port(s->server));
    (void)url;
    for (ptrdiff_t at; (at = str_find(left, str_c(escaped))) >= 0;) {
        buf_str(&plain, str_sub(left, 0, (size_t)at));
        buf_c(&plain, "URL");
        left = str_from(left, (size_t)at + strlen(escaped));
    }
    buf_str(&plain, left);
    if (plain.n != strlen(want))
        check_str(buf_as_str(&plain), str_c(want), kind);
    for (left = str_c(want); str_cut(&left, ' ', &word);)
        if (str_find(buf_as_str(&plain), word) < 0)
            check_str(buf_as_str(&plain), str_c(want), kind);
    buf_free(&plain);
}

static void check_row(const struct row *row)
{
    static const char *const headers[] = {"X-Shop: hunter2", NULL};
    struct shop s = {.base = event_base_new(), .kind = row->kind};
    bool old = strncmp(row->kind, "old", 3) == 0, refresh = strcmp(row->kind, "refreshes") == 0;
    struct http_conf hc = http_conf_default();
    struct http_fetcher *f;
    struct err e;
    char url[64], token_url[64];
    hc.host = "127.0.0.1";
    hc.port = 0;
    buf_init(&s.text, 10000);
    buf_init(&s.seen, 10000);
    buf_init(&s.news, 10000);
    assert_true(http_listen(&s.server, s.base, &hc, serve, NULL, &s, &e));
    snprintf(url, sizeof url, "http://127.0.0.1:%d/mcp", http_port(s.server));
    snprintf(token_url, sizeof token_url, "http://127.0.0.1:%d/token", http_port(s.server));
    assert_true(http_fetcher_open(&f, s.base, &(struct http_fetcher_conf){0}, &e));
    struct mcp_oauth_conf oauth = {.token_url = token_url,
                                   .client_id = "id",
                                   .client_secret = refresh ? NULL : "a/b",
                                   .refresh_token = refresh ? "r0" : NULL,
                                   .scope = refresh ? NULL : "a b"};
    s.m = mcp_open(
        &(struct mcp_conf){.name = "shop",
                           .base = s.base,
                           .url = url,
                           .events = old,
                           .oauth = has_oauth(row->kind) ? &oauth : NULL,
                           .fetcher = f,
                           .headers = headers,
                           .list_timeout_ms = strcmp(row->kind, "old, silent") ? 30000 : 200,
                           .call_timeout_ms = 30000,
                           .max_message = 1 << 20});
    mcp_list(s.m, on_listed, &s);
    event_base_dispatch(s.base);
    check_str(str_sub(buf_as_str(&s.text), 0, strlen(row->want)), str_c(row->want), row->kind);
    if (row->seen)
        check_seen(&s, url, row->seen, row->kind);
    check_str(buf_as_str(&s.news),
              strcmp(row->kind, "reports") == 0 ? STR("1 of 4 one; ") : STR(""), row->kind);
    mcp_close(s.m);
    while (http_fetcher_live(f)) // ends its session
        event_base_loop(s.base, EVLOOP_ONCE);
    assert_int_equal(s.n_gets, row->n_gets);
    assert_int_equal(s.n_deletes, row->n_deletes);
    http_fetcher_close(f);
    if (s.stream) // without a watcher it lives until it is answered
        http_end(s.stream);
    http_close(s.server);
    buf_free(&s.text);
    buf_free(&s.seen);
    buf_free(&s.news);
    event_base_free(s.base);
}

static void servers_are_talked_to_over_http(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_row(&rows[i]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(servers_are_talked_to_over_http),
};
TEST_FILE(tests)
