/* tools/mcp_events.c - MCP servers over the HTTP of revision 2024-11-05: one long stream of events
 * brings everything the server says; what is said to it is posted to the address that the stream
 * names first.
 *
 * Source: modelcontextprotocol.io, revision 2024-11-05, "Transports", HTTP with SSE. */
#include "tools/mcp_int.h"

#include "base/mem.h"

#define STREAM_MAX ((size_t)1 << 30) // bytes, until it has to be opened anew

/* Where messages go: on the same server, whatever it says. */
static void take_endpoint(struct mcp *m, str where)
{
    struct buf url = BUF_INIT(4096);
    bool same = false;
    struct err e;
    if (m->post_url)
        return;
    bool ok = http_url_join(str_c(m->url), str_trim(where), &url, &same, &e);
    if (ok && (!same || url.full))
        ok = err_set(&e, ERR_DENIED, "it wants its messages at another server");
    if (ok) {
        m->post_url = mem_strdup(buf_as_str(&url));
        event_del(m->timer);
        mcp_greet(m);
    } else {
        mcp_lose(m, &e);
    }
    buf_free(&url);
}

static void on_sse(str event, str data, str id, void *arg)
{
    struct mcp *m = arg;
    (void)id;
    if (m->state == MCP_DOWN)
        return;
    if (str_eqc(event, "endpoint"))
        take_endpoint(m, data);
    else if ((event.n == 0 || str_eqc(event, "message")) && str_trim(data).n)
        mcp_take(m, data);
}

static bool on_bytes(str bytes, void *arg)
{
    struct mcp *m = arg;
    struct err e;
    if (m->state != MCP_DOWN && !http_sse_read(&m->reader, bytes, on_sse, m, &e))
        mcp_lose(m, &e);
    return m->state != MCP_DOWN;
}

static void on_stream_end(const struct http_fetched *res, void *arg)
{
    struct mcp *m = arg;
    struct err e = res->error;
    m->stream = NULL;
    if (e.code == ERR_NONE && res->status == 200)
        err_set(&e, ERR_IO, "its stream of events has ended");
    else if (e.code == ERR_NONE)
        mcp_http_explain(res->status, &e);
    if (m->oauth && res->status == 401)
        mcp_oauth_forget(m->oauth);
    mcp_lose(m, &e);
}

static void open_stream(struct mcp *m)
{
    struct timeval most = {m->conf.list_timeout_ms / 1000, m->conf.list_timeout_ms % 1000 * 1000};
    struct mcp_headers h;
    mcp_http_headers(m, NULL, NULL, STR(""), &h);
    http_sse_reader_fini(&m->reader); // it may have read on when the last one was lost
    http_sse_reader_init(&m->reader, m->conf.max_message);
    event_add(m->timer, &most);
    m->stream = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                      .url = m->url,
                                                      .headers = h.list,
                                                      .max_body = STREAM_MAX,
                                                      .stream_type = "text/event-stream",
                                                      .on_bytes = on_bytes,
                                                      .on_done = on_stream_end,
                                                      .arg = m,
                                                  });
}

static void on_token(struct mcp *m, const struct err *error)
{
    if (error)
        mcp_lose(m, error);
    else if (m->state == MCP_COMING)
        open_stream(m);
}

static bool open_url(struct mcp *m, struct err *e)
{
    (void)e;
    if (m->oauth && !mcp_oauth_token(m->oauth))
        mcp_oauth_renew(m, on_token);
    else
        open_stream(m);
    return true;
}

static void on_late(struct mcp *m)
{
    struct err e;
    err_set(&e, ERR_TIMEOUT, "it does not say in time where its messages go");
    mcp_lose(m, &e);
}

static void on_posted(const struct http_fetched *res, void *arg)
{
    struct mcp_request *r = arg;
    struct mcp *m = r->m;
    struct err e = res->error;
    r->fetch = NULL;
    if (r->ended || (e.code == ERR_NONE && res->status / 100 == 2))
        return; // the answer is on the stream
    if (e.code == ERR_NONE)
        mcp_http_explain(res->status, &e);
    if (!r->done)
        mcp_lose(m, &e);
    mcp_end(r, NULL, &e);
}

static bool post(struct mcp *m, struct mcp_request *r, const char *method, str message,
                 struct err *e)
{
    struct mcp_headers h;
    if (!m->post_url)
        return err_set(e, ERR_IO, "it has not said where its messages go");
    if (!r) {
        mcp_http_note(m, m->post_url, method, message);
        return true;
    }
    mcp_http_headers(m, method, r->tool, STR(""), &h);
    r->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                     .url = m->post_url,
                                                     .headers = h.list,
                                                     .body = message,
                                                     .timeout_ms = 30000,
                                                     .max_body = 65536,
                                                     .on_done = on_posted,
                                                     .arg = r,
                                                 });
    return true;
}

static void drop(struct mcp_request *r)
{
    if (r->fetch)
        http_fetch_cancel(r->fetch);
    r->fetch = NULL;
}

static void down(struct mcp *m)
{
    event_del(m->timer);
    if (m->stream)
        http_fetch_cancel(m->stream);
    m->stream = NULL;
    mem_free(m->post_url);
    m->post_url = NULL;
    http_sse_reader_fini(&m->reader);
}

const struct mcp_transport mcp_events = {.open = open_url,
                                         .down = down,
                                         .send = post,
                                         .drop = drop,
                                         .leave = mcp_http_drop_notes,
                                         .on_timer = on_late};
