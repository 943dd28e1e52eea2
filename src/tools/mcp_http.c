/* tools/mcp_http.c - MCP servers over streamable HTTP: each message is a POST, whose answer is JSON
 * or a stream of events.
 *
 * Source: modelcontextprotocol.io, "Transports", Streamable HTTP. */
#include "tools/mcp_int.h"

#include "base/mem.h"

#define ATTEMPTS 3 // to come up

/* Something that is sent and not waited for. */
struct mcp_note {
    struct mcp *m;
    struct http_fetch *fetch;
    struct mcp_note *next, **link;
};

#define HEADERS_MAX 48
struct headers {
    const char *list[HEADERS_MAX + 1];
    char version[64], session[1100], method[128], name[300];
};

static void make_headers(const struct mcp *m, struct headers *h, const char *method,
                         const char *tool)
{
    size_t n = 0;
    h->list[n++] = "Content-Type: application/json";
    h->list[n++] = "Accept: application/json, text/event-stream";
    if (m->state == MCP_UP || m->stateless) {
        snprintf(h->version, sizeof h->version, "MCP-Protocol-Version: %s", m->version);
        h->list[n++] = h->version;
    }
    if (m->session) {
        snprintf(h->session, sizeof h->session, "Mcp-Session-Id: %s", m->session);
        h->list[n++] = h->session;
    }
    if (m->stateless && method) {
        snprintf(h->method, sizeof h->method, "Mcp-Method: %s", method);
        h->list[n++] = h->method;
    }
    if (m->stateless && tool) {
        snprintf(h->name, sizeof h->name, "Mcp-Name: %s", tool);
        h->list[n++] = h->name;
    }
    for (size_t i = 0; m->headers[i] && n < HEADERS_MAX; i++)
        h->list[n++] = m->headers[i];
    h->list[n] = NULL;
}

static void note_free(struct mcp_note *n)
{
    *n->link = n->next;
    if (n->next)
        n->next->link = n->link;
    mem_free(n);
}

static void on_note_done(const struct http_fetched *res, void *arg)
{
    (void)res;
    note_free(arg);
}

static void send_note(struct mcp *m, const char *method, str message)
{
    struct headers h;
    make_headers(m, &h, method, NULL);
    struct mcp_note *n = mem_calloc(1, sizeof *n);
    n->m = m;
    n->next = m->notes;
    n->link = &m->notes;
    if (n->next)
        n->next->link = &n->next;
    m->notes = n;
    n->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                     .url = m->url,
                                                     .headers = h.list,
                                                     .body = message,
                                                     .timeout_ms = 10000,
                                                     .max_body = 65536,
                                                     .on_done = on_note_done,
                                                     .arg = n,
                                                 });
}

static void on_sse(str event, str data, str id, void *arg)
{
    struct mcp_request *r = arg;
    (void)id;
    if ((event.n == 0 || str_eqc(event, "message")) && str_trim(data).n && !r->ended)
        mcp_take(r->m, data);
}

static void take_session(struct mcp *m, str id)
{
    if (m->session || id.n == 0 || id.n > 1024)
        return;
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] < '!' || id.p[i] > '~')
            return;
    m->session = mem_strdup(id);
}

static bool on_bytes(str bytes, void *arg)
{
    struct mcp_request *r = arg;
    struct err e;
    str id;
    if (!r->done && http_fetch_header(r->fetch, "mcp-session-id", &id))
        take_session(r->m, id);
    if (!r->ended && !http_sse_read(&r->reader, bytes, on_sse, r, &e))
        mcp_end(r, NULL, &e);
    return !r->ended;
}

/* The handshake could not even be sent: it is tried again. */
static bool again(struct mcp *m, struct mcp_request *r, const struct http_fetched *res)
{
    if (r->done || res->status || res->error.code != ERR_IO || m->attempts >= ATTEMPTS - 1)
        return false;
    struct timeval pause = {0, 200000 << m->attempts};
    m->attempts++;
    mcp_end(r, NULL, NULL);
    event_add(m->retry, &pause);
    return true;
}

static void on_fetched(const struct http_fetched *res, void *arg)
{
    struct mcp_request *r = arg;
    struct mcp *m = r->m;
    struct err e = res->error;
    str id;
    r->fetch = NULL;
    if (r->ended)
        return;
    if (!r->done && http_fetched_header(res, "mcp-session-id", &id))
        take_session(m, id);
    if (e.code == ERR_NONE && res->status == 200 && str_trim(res->body).n)
        mcp_take(m, res->body);
    else if (e.code == ERR_NONE && res->status == 404 && m->session && r->done && !r->again) {
        r->again = true; // the session is gone: begin anew
        r->sent = false;
        mem_free(m->session);
        m->session = NULL;
        m->state = MCP_DOWN;
        mcp_come_up(m);
        return;
    }
    if (r->ended || again(m, r, res))
        return;
    if (e.code != ERR_NONE)
        ;
    else if (res->status == 401 || res->status == 403)
        err_set(&e, ERR_DENIED, "it refuses the credentials (status %d)", res->status);
    else if (res->status / 100 != 2)
        err_set(&e, ERR_IO, "it answers with status %d", res->status);
    else
        err_set(&e, ERR_IO, "the answer ends before the result");
    if (!r->done)
        mcp_lose(m, &e);
    mcp_end(r, NULL, &e);
}

static bool post(struct mcp *m, struct mcp_request *r, const char *method, str message,
                 struct err *e)
{
    struct headers h;
    (void)e;
    if (!r) {
        send_note(m, method, message);
        return true;
    }
    make_headers(m, &h, method, r->tool);
    http_sse_reader_init(&r->reader, m->conf.max_message);
    r->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                     .url = m->url,
                                                     .headers = h.list,
                                                     .body = message,
                                                     .max_body = m->conf.max_message * 4,
                                                     .stream_type = "text/event-stream",
                                                     .on_bytes = on_bytes,
                                                     .on_done = on_fetched,
                                                     .arg = r,
                                                 });
    return true;
}

static void drop(struct mcp_request *r)
{
    if (r->fetch)
        http_fetch_cancel(r->fetch);
    r->fetch = NULL;
    http_sse_reader_fini(&r->reader);
}

static bool open_url(struct mcp *m, struct err *e)
{
    (void)e;
    mcp_greet(m);
    return true;
}

void mcp_http_retry(evutil_socket_t fd, short what, void *arg)
{
    struct mcp *m = arg;
    (void)fd;
    (void)what;
    if (m->state == MCP_COMING)
        mcp_greet(m);
}

static void down(struct mcp *m)
{
    mem_free(m->session);
    m->session = NULL;
}

static void ignore(const struct http_fetched *res, void *arg)
{
    (void)res;
    (void)arg;
}

/* Ends the session, which nobody waits for. */
static void leave(struct mcp *m)
{
    struct headers h;
    while (m->notes) {
        http_fetch_cancel(m->notes->fetch);
        note_free(m->notes);
    }
    if (!m->session)
        return;
    make_headers(m, &h, NULL, NULL);
    http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){.url = m->url,
                                                                .method = "DELETE",
                                                                .headers = h.list,
                                                                .timeout_ms = 5000,
                                                                .max_body = 65536,
                                                                .on_done = ignore});
}

const struct mcp_transport mcp_http = {
    .open = open_url, .down = down, .send = post, .drop = drop, .leave = leave};
