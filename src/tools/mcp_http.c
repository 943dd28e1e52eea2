/* tools/mcp_http.c - MCP servers over streamable HTTP: each message is a POST, whose answer is JSON
 * or a stream of events.  A stream that breaks off is taken up again behind its last event, if its
 * events have ids.
 *
 * Source: modelcontextprotocol.io, "Transports", Streamable HTTP. */
#include "tools/mcp_int.h"

#include "base/mem.h"

#define ATTEMPTS        3     // to come up
#define RESUMES_MAX     5     // of a stream, one after the other without an event between them
#define RESUME_MS       500   // the pause before, if the server does not say
#define RESUME_LEAST_MS 50    // ... and the shortest
#define RESUME_MOST_MS  30000 // ... and longest that is heeded
#define LAST_ID_MAX     512

/* Something that is sent and not waited for. */
struct mcp_note {
    struct mcp *m;
    struct http_fetch *fetch;
    struct mcp_note *next, **link;
};

void mcp_http_headers(const struct mcp *m, const char *method, const char *tool, str last,
                      struct mcp_headers *h)
{
    size_t n = 0;
    const char *token = mcp_oauth_token(m->oauth);
    if (method) {
        h->list[n++] = "Content-Type: application/json";
        h->list[n++] = "Accept: application/json, text/event-stream";
    } else {
        h->list[n++] = "Accept: text/event-stream";
    }
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
    if (last.n) {
        snprintf(h->last, sizeof h->last, "Last-Event-ID: %.*s", STR_ARG(last));
        h->list[n++] = h->last;
    }
    if (token) {
        snprintf(h->token, sizeof h->token, "Authorization: Bearer %s", token);
        h->list[n++] = h->token;
    }
    for (size_t i = 0; m->headers[i] && n < MCP_HEADERS_MAX; i++)
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

void mcp_http_note(struct mcp *m, const char *url, const char *method, str message)
{
    struct mcp_headers h;
    mcp_http_headers(m, method ? method : "", NULL, STR(""), &h);
    struct mcp_note *n = mem_calloc(1, sizeof *n);
    n->m = m;
    n->next = m->notes;
    n->link = &m->notes;
    if (n->next)
        n->next->link = &n->next;
    m->notes = n;
    n->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                     .url = url,
                                                     .headers = h.list,
                                                     .body = message,
                                                     .timeout_ms = 10000,
                                                     .max_body = 65536,
                                                     .on_done = on_note_done,
                                                     .arg = n,
                                                 });
}

void mcp_http_drop_notes(struct mcp *m)
{
    while (m->notes) {
        http_fetch_cancel(m->notes->fetch);
        note_free(m->notes);
    }
}

void mcp_http_explain(int status, struct err *e)
{
    if (status == 401 || status == 403)
        err_set(e, ERR_DENIED, "it refuses the credentials (status %d)", status);
    else if (status / 100 != 2)
        err_set(e, ERR_IO, "it answers with status %d", status);
    else
        err_set(e, ERR_IO, "the answer ends before the result");
}

/* Answers. */

static void on_sse(str event, str data, str id, void *arg)
{
    struct mcp_request *r = arg;
    (void)id;
    r->n_resumed = 0;
    if ((event.n == 0 || str_eqc(event, "message")) && str_trim(data).n && !r->ended)
        mcp_take(r->m, data);
}

static bool is_plain(str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '!' || s.p[i] > '~')
            return false;
    return s.n > 0 && s.n <= max;
}

static void take_session(struct mcp *m, str id)
{
    if (!m->session && is_plain(id, 1024))
        m->session = mem_strdup(id);
}

static bool on_bytes(str bytes, void *arg)
{
    struct mcp_request *r = arg;
    const struct http_fetch *mine = r->fetch;
    struct err e;
    str id;
    r->streams = true;
    if (!r->done && http_fetch_header(r->fetch, "mcp-session-id", &id))
        take_session(r->m, id);
    bool ok = r->ended || http_sse_read(&r->reader, bytes, on_sse, r, &e);
    if (r->fetch != mine) { // what it said has sent r again: the rest of it is nobody's
        http_sse_reader_again(&r->reader);
        return true;
    }
    if (!ok)
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
    event_add(m->timer, &pause);
    return true;
}

/* A new token has come, or none: what waits for it is sent, or sent again. */
static void on_token(struct mcp *m, const struct err *error)
{
    if (error) {
        mcp_lose(m, error);
        return;
    }
    if (m->state == MCP_DOWN)
        return;
    for (struct mcp_request *r = m->requests; r; r = r->next) {
        if (!r->waiting || r->ended)
            continue;
        r->waiting = false;
        m->transport->drop(r);
        mcp_send(r);
    }
    if (m->state == MCP_COMING)
        mcp_greet(m);
}

/* The token was refused: once more with a new one. */
static bool renew(struct mcp *m, struct mcp_request *r, const struct http_fetched *res)
{
    if (!m->oauth || res->error.code != ERR_NONE || res->status != 401 || r->renewed)
        return false;
    r->renewed = r->waiting = true;
    mcp_oauth_forget(m->oauth);
    mcp_oauth_renew(m, on_token);
    return true;
}

static void on_fetched(const struct http_fetched *res, void *arg);

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct mcp_request *r = arg;
    struct mcp *m = r->m;
    struct mcp_headers h;
    (void)fd;
    (void)what;
    mcp_http_headers(m, NULL, NULL, buf_as_str(&r->reader.last), &h);
    http_sse_reader_again(&r->reader);
    r->streams = false;
    r->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                     .url = m->url,
                                                     .headers = h.list,
                                                     .max_body = m->conf.max_message * 4,
                                                     .stream_type = "text/event-stream",
                                                     .on_bytes = on_bytes,
                                                     .on_done = on_fetched,
                                                     .arg = r,
                                                 });
}

/* The stream ended before the answer: it goes on behind its last event, if that has an id. */
static bool resume(struct mcp *m, struct mcp_request *r, const struct http_fetched *res)
{
    bool broke = res->error.code == ERR_NONE || res->error.code == ERR_IO;
    if (!broke || m->state != MCP_UP || r->n_resumed == RESUMES_MAX ||
        (!r->streams && r->n_resumed == 0) || (res->status && res->status != 200) ||
        !is_plain(buf_as_str(&r->reader.last), LAST_ID_MAX))
        return false;
    int ms = r->reader.retry_ms < 0 ? RESUME_MS : r->reader.retry_ms;
    ms = ms > RESUME_MOST_MS ? RESUME_MOST_MS : ms < RESUME_LEAST_MS ? RESUME_LEAST_MS : ms;
    struct timeval pause = {ms / 1000, ms % 1000 * 1000};
    r->n_resumed++;
    if (!r->resume)
        r->resume = evtimer_new(m->conf.base, on_resume, r);
    event_add(r->resume, &pause);
    return true;
}

/* The session is gone: a new one is begun, and the request sent once more. */
static bool begin_anew(struct mcp *m, struct mcp_request *r, const struct http_fetched *res)
{
    if (res->error.code != ERR_NONE || res->status != 404 || !m->session || !r->done || r->again)
        return false;
    r->again = true;
    r->sent = false;
    mem_free(m->session);
    m->session = NULL;
    m->state = MCP_DOWN;
    mcp_come_up(m);
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
    else if (begin_anew(m, r, res))
        return;
    if (r->ended || again(m, r, res) || renew(m, r, res) || resume(m, r, res))
        return;
    if (e.code == ERR_NONE)
        mcp_http_explain(res->status, &e);
    if (!r->done)
        mcp_lose(m, &e);
    mcp_end(r, NULL, &e);
}

/* What the protocol wants of a transport. */

static bool post(struct mcp *m, struct mcp_request *r, const char *method, str message,
                 struct err *e)
{
    struct mcp_headers h;
    (void)e;
    if (!r) {
        mcp_http_note(m, m->url, method, message);
        return true;
    }
    mcp_http_headers(m, method, r->tool, STR(""), &h);
    http_sse_reader_fini(&r->reader);
    http_sse_reader_init(&r->reader, m->conf.max_message);
    r->streams = false;
    r->n_resumed = 0;
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
    if (r->resume)
        event_free(r->resume);
    r->resume = NULL;
    http_sse_reader_fini(&r->reader);
}

static bool open_url(struct mcp *m, struct err *e)
{
    (void)e;
    if (m->oauth && !mcp_oauth_token(m->oauth))
        mcp_oauth_renew(m, on_token);
    else
        mcp_greet(m);
    return true;
}

static void on_pause(struct mcp *m)
{
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
    struct mcp_headers h;
    mcp_http_drop_notes(m);
    if (!m->session)
        return;
    mcp_http_headers(m, NULL, NULL, STR(""), &h);
    http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){.url = m->url,
                                                                .method = "DELETE",
                                                                .headers = h.list,
                                                                .timeout_ms = 5000,
                                                                .max_body = 65536,
                                                                .on_done = ignore});
}

const struct mcp_transport mcp_http = {.open = open_url,
                                       .down = down,
                                       .send = post,
                                       .drop = drop,
                                       .leave = leave,
                                       .on_timer = on_pause};
