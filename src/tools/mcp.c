/* tools/mcp.c - see mcp.h. */
#include "tools/mcp.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/sse.h"
#include "tools/child.h"
#include "tools/mcp_message.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/wait.h>

#define PAGES_MAX   100
#define TOOLS_MAX   1000
#define UNASKED_MAX 2000 // messages nobody asked for, between two answers
#define RUBBISH_MAX 100  // lines of a program that are no messages
#define ATTEMPTS    3    // to come up over HTTP
#define RESTART_MS  1000 // a program is not started more often

static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
#define STATELESS "2026-07-28" // the revision without a handshake

enum state { DOWN, COMING, UP };

struct mcp_request {
    struct mcp *m;
    struct mcp_request *next, **link;
    int64_t id;
    const char *method;
    char *tool; // of a call; or NULL
    json_t *params;
    json_t *tools; // of a list: pages so far
    int pages;
    mcp_done done; // NULL: our own (the handshake)
    void *arg;
    struct event *timer;
    struct http_fetch *fetch;
    struct http_sse_reader reader;
    bool sent, again, ended; // again: it has been sent once to a session that was gone
    json_t *result;          // with `ended`
    struct err error;
};

/* Something that is sent and not waited for. */
struct note {
    struct mcp *m;
    struct http_fetch *fetch;
    struct note *next, **link;
};

struct mcp {
    struct mcp_conf conf;
    char *name, *url, **headers, **argv;
    enum state state;
    bool stateless, telling, dead;
    char version[32];
    char *session;
    int64_t next_id;
    int attempts, n_unasked, n_rubbish;
    uint64_t started_ms;
    struct mcp_request *requests; // newest first
    struct note *notes;
    struct event *tell, *retry;
    struct tools_child *child;
    struct buf line;
    bool skipping; // the rest of a line that is too long
    json_t *list;  // a program's tools, until it says that they changed
};

static void come_up(struct mcp *m);
static void send_waiting(struct mcp *m);
static void take_text(struct mcp *m, str text);

static char **copy_list(const char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    char **out = mem_calloc(n + 1, sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = mem_strdup(str_c(list[i]));
    return out;
}

static void free_list(char **list)
{
    for (size_t i = 0; list[i]; i++)
        mem_free(list[i]);
    mem_free(list);
}

/* Requests. */

static void request_free(struct mcp_request *r)
{
    if (r->fetch)
        http_fetch_cancel(r->fetch);
    if (r->timer)
        event_free(r->timer);
    http_sse_reader_fini(&r->reader);
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    json_decref(r->params);
    json_decref(r->tools);
    json_decref(r->result);
    mem_free(r->tool);
    mem_free(r);
}

/* Its end; told from the loop. */
static void end(struct mcp_request *r, json_t *result, const struct err *error)
{
    if (r->ended)
        return;
    r->ended = true;
    r->result = json_incref(result);
    if (error) {
        r->error = *error;
        err_ctx(&r->error, "MCP server '%s'", r->m->name);
    }
    event_active(r->m->tell, 0, 0);
}

static void fail_all(struct mcp *m, const struct err *e)
{
    for (struct mcp_request *r = m->requests; r; r = r->next)
        end(r, NULL, e);
}

static struct mcp_request *find(struct mcp *m, int64_t id)
{
    for (struct mcp_request *r = m->requests; r; r = r->next)
        if (r->id == id && !r->ended)
            return r;
    return NULL;
}

static void down(struct mcp *m)
{
    m->state = DOWN;
    tools_child_stop(m->child);
    m->child = NULL;
    buf_clear(&m->line);
    json_decref(m->list);
    m->list = NULL;
    mem_free(m->session);
    m->session = NULL;
}

static void lose(struct mcp *m, const struct err *e)
{
    char why[600], name[100];
    log_warn("tools.mcp_lost", "server=%s reason=%s", log_quote(name, sizeof name, str_c(m->name)),
             log_quote(why, sizeof why, str_c(e->msg)));
    fail_all(m, e);
    down(m);
}

static void on_time(evutil_socket_t fd, short what, void *arg);

static struct mcp_request *request_new(struct mcp *m, const char *method, json_t *params,
                                       int timeout_ms, mcp_done done, void *arg)
{
    struct mcp_request *r = mem_calloc(1, sizeof *r);
    struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
    r->m = m;
    r->id = -1;
    r->method = method;
    r->params = params ? params : json_object();
    r->done = done;
    r->arg = arg;
    http_sse_reader_init(&r->reader, m->conf.max_message);
    r->timer = evtimer_new(m->conf.base, on_time, r);
    event_add(r->timer, &tv);
    r->next = m->requests;
    r->link = &m->requests;
    if (r->next)
        r->next->link = &r->next;
    m->requests = r;
    return r;
}

/* Sending. */

static json_t *message_of(const struct mcp *m, const char *method, const json_t *params, int64_t id)
{
    json_t *v = json_object();
    json_object_set_new(v, "jsonrpc", json_string("2.0"));
    if (id >= 0)
        json_object_set_new(v, "id", json_integer(id));
    json_object_set_new(v, "method", json_string(method));
    json_t *p = params ? json_copy((json_t *)params) : json_object();
    if (m->stateless) {
        json_t *meta = json_copy(json_object_get(p, "_meta"));
        if (!meta)
            meta = json_object();
        json_object_set_new(meta, "io.modelcontextprotocol/protocolVersion",
                            json_string(STATELESS));
        json_object_set_new(meta, "io.modelcontextprotocol/clientCapabilities", json_object());
        json_object_set_new(p, "_meta", meta);
    }
    if (json_object_size(p) || id >= 0)
        json_object_set_new(v, "params", p);
    else
        json_decref(p);
    return v;
}

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
    if (m->state == UP || m->stateless) {
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

static void note_free(struct note *n)
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

/* Posts or writes what is not waited for. */
static void send_note(struct mcp *m, const json_t *message, const char *method)
{
    struct buf text = BUF_INIT(m->conf.max_message);
    json_write(&text, message, JSON_PLAIN, -1);
    if (m->child) {
        buf_char(&text, '\n');
        tools_child_write(m->child, buf_as_str(&text));
    } else if (m->url) {
        struct headers h;
        make_headers(m, &h, method, NULL);
        struct note *n = mem_calloc(1, sizeof *n);
        n->m = m;
        n->next = m->notes;
        n->link = &m->notes;
        if (n->next)
            n->next->link = &n->next;
        m->notes = n;
        n->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                         .url = m->url,
                                                         .headers = h.list,
                                                         .body = buf_as_str(&text),
                                                         .timeout_ms = 10000,
                                                         .max_body = 65536,
                                                         .on_done = on_note_done,
                                                         .arg = n,
                                                     });
    }
    buf_free(&text);
}

static bool on_bytes(str bytes, void *arg);
static void on_fetched(const struct http_fetched *res, void *arg);

static void send_request(struct mcp_request *r)
{
    struct mcp *m = r->m;
    struct buf text = BUF_INIT(m->conf.max_message);
    r->id = m->next_id++;
    if (r->tool)
        json_object_set_new(r->params, "_meta",
                            json_pack("{s:I}", "progressToken", (json_int_t)r->id));
    json_t *v = message_of(m, r->method, r->params, r->id);
    struct err e;
    r->sent = true;
    if (!json_write(&text, v, JSON_PLAIN, -1)) {
        err_set(&e, ERR_LIMIT, "the arguments are too long");
        end(r, NULL, &e);
    } else if (m->child) {
        buf_char(&text, '\n');
        if (!tools_child_write(m->child, buf_as_str(&text))) {
            err_set(&e, ERR_IO, "it reads no more");
            end(r, NULL, &e);
        }
    } else {
        struct headers h;
        make_headers(m, &h, r->method, r->tool);
        r->fetch = http_fetch_start(m->conf.fetcher, &(struct http_fetch_conf){
                                                         .url = m->url,
                                                         .headers = h.list,
                                                         .body = buf_as_str(&text),
                                                         .max_body = m->conf.max_message * 4,
                                                         .stream_type = "text/event-stream",
                                                         .on_bytes = on_bytes,
                                                         .on_done = on_fetched,
                                                         .arg = r,
                                                     });
    }
    json_decref(v);
    buf_free(&text);
}

static void send_waiting(struct mcp *m)
{
    for (struct mcp_request *r = m->requests; r; r = r->next)
        if (!r->sent && !r->ended && r->done)
            send_request(r);
}

/* Coming up. */

static json_t *handshake(void)
{
    return json_pack("{s:s,s:{},s:{s:s,s:s}}", "protocolVersion", versions[0], "capabilities",
                     "clientInfo", "name", "confab", "version", CONFAB_VERSION);
}

static void greet(struct mcp *m)
{
    struct mcp_request *r =
        request_new(m, "initialize", handshake(), m->conf.list_timeout_ms, NULL, NULL);
    send_request(r);
}

static bool start_child(struct mcp *m, struct err *e);

static void come_up(struct mcp *m)
{
    struct err e;
    if (m->state != DOWN)
        return;
    m->state = COMING;
    m->n_unasked = m->n_rubbish = 0;
    if (m->argv[0] && !start_child(m, &e)) {
        m->state = DOWN;
        fail_all(m, &e);
        return;
    }
    greet(m);
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct mcp *m = arg;
    (void)fd;
    (void)what;
    if (m->state == COMING)
        greet(m);
}

/* The handshake's answer. */
static void greeted(struct mcp *m, const struct mcp_message *msg)
{
    struct err e;
    str version = json_as_str(json_object_get(msg->body, "protocolVersion"));
    if (msg->kind == MCP_ERROR && (msg->code == -32601 || msg->code == -32022)) {
        m->stateless = true; // it knows no handshake
        snprintf(m->version, sizeof m->version, "%s", STATELESS);
        m->state = UP;
        send_waiting(m);
        return;
    }
    if (msg->kind == MCP_ERROR) {
        err_set(&e, ERR_IO, "it refuses: %.*s", STR_ARG(str_sub(msg->text, 0, 200)));
        lose(m, &e);
        return;
    }
    size_t i = 0;
    while (i < COUNT(versions) && !str_eqc(version, versions[i]))
        i++;
    if (i == COUNT(versions)) {
        err_set(&e, ERR_IO, "it speaks revision '%.*s' of the protocol, which is not known here",
                STR_ARG(str_sub(version, 0, 40)));
        lose(m, &e);
        return;
    }
    snprintf(m->version, sizeof m->version, "%s", versions[i]);
    m->state = UP;
    json_t *v = message_of(m, "notifications/initialized", NULL, -1);
    send_note(m, v, "notifications/initialized");
    json_decref(v);
    log_info("tools.mcp_up", "server=%s version=%s", m->name, m->version);
    send_waiting(m);
}

/* Receiving. */

static void next_page(struct mcp_request *r, const json_t *cursor)
{
    json_object_set(r->params, "cursor", (json_t *)cursor);
    r->sent = r->again = false;
    if (r->fetch)
        http_fetch_cancel(r->fetch);
    r->fetch = NULL;
    http_sse_reader_fini(&r->reader);
    http_sse_reader_init(&r->reader, r->m->conf.max_message);
    send_request(r);
}

static void take_page(struct mcp_request *r, const json_t *result)
{
    const json_t *tools = json_object_get(result, "tools");
    const json_t *cursor = json_object_get(result, "nextCursor");
    struct err e;
    json_t *tool;
    size_t i;
    if (!json_is_array(tools)) {
        err_set(&e, ERR_IO, "its list of tools is none");
        end(r, NULL, &e);
        return;
    }
    json_array_foreach((json_t *)tools, i, tool)
    {
        if (json_array_size(r->tools) == TOOLS_MAX) {
            err_set(&e, ERR_LIMIT, "it has more than %d tools", TOOLS_MAX);
            end(r, NULL, &e);
            return;
        }
        if (json_is_string(json_object_get(tool, "name")))
            json_array_append(r->tools, tool);
    }
    if (!json_is_string(cursor)) {
        if (r->m->child) {
            json_decref(r->m->list);
            r->m->list = json_incref(r->tools);
        }
        end(r, r->tools, NULL);
    } else if (++r->pages == PAGES_MAX) {
        err_set(&e, ERR_LIMIT, "its list of tools has more than %d pages", PAGES_MAX);
        end(r, NULL, &e);
    } else {
        next_page(r, cursor);
    }
}

static void answer_request(struct mcp *m, const struct mcp_message *msg)
{
    json_t *v = json_object();
    json_object_set_new(v, "jsonrpc", json_string("2.0"));
    json_object_set(v, "id", (json_t *)msg->their_id);
    if (str_eqc(msg->method, "ping"))
        json_object_set_new(v, "result", json_object());
    else
        json_object_set_new(
            v, "error",
            json_pack("{s:i,s:s}", "code", -32601, "message", "this client offers nothing"));
    send_note(m, v, NULL);
    json_decref(v);
}

static bool take_message(const struct mcp_message *msg, void *arg)
{
    struct mcp *m = arg;
    struct err e;
    struct mcp_request *r =
        msg->kind == MCP_RESULT || msg->kind == MCP_ERROR ? find(m, msg->id) : NULL;
    if (!r || !r->sent) {
        if (++m->n_unasked > UNASKED_MAX) {
            err_set(&e, ERR_LIMIT, "it sends without end what nobody asked for");
            lose(m, &e);
            return false;
        }
        if (msg->kind == MCP_REQUEST) {
            answer_request(m, msg);
        } else if (str_eqc(msg->method, "notifications/tools/list_changed")) {
            json_decref(m->list);
            m->list = NULL;
        }
        return true;
    }
    m->n_unasked = 0;
    if (!r->done) {
        end(r, NULL, NULL);
        greeted(m, msg);
    } else if (msg->kind == MCP_ERROR) {
        err_set(&e, msg->code == -32602 ? ERR_INPUT : ERR_IO, "%.*s",
                STR_ARG(str_sub(msg->text, 0, 400)));
        end(r, NULL, &e);
    } else if (r->tools) {
        take_page(r, msg->body);
    } else {
        end(r, (json_t *)msg->body, NULL);
    }
    return m->state != DOWN;
}

static void on_sse(str event, str data, str id, void *arg)
{
    struct mcp_request *r = arg;
    (void)id;
    if ((event.n == 0 || str_eqc(event, "message")) && str_trim(data).n && !r->ended)
        take_text(r->m, data);
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
        end(r, NULL, &e);
    return !r->ended;
}

static void take_text(struct mcp *m, str text)
{
    struct err e;
    if (mcp_messages_read(text, take_message, m, &e))
        return;
    err_ctx(&e, "it sends what is no message");
    if (!m->child || ++m->n_rubbish > RUBBISH_MAX)
        lose(m, &e);
}

/* The handshake could not even be sent: it is tried again. */
static bool again(struct mcp *m, struct mcp_request *r, const struct http_fetched *res)
{
    if (r->done || res->status || res->error.code != ERR_IO || m->attempts >= ATTEMPTS - 1)
        return false;
    struct timeval pause = {0, 200000 << m->attempts};
    m->attempts++;
    end(r, NULL, NULL);
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
        take_text(m, res->body);
    else if (e.code == ERR_NONE && res->status == 404 && m->session && r->done && !r->again) {
        r->again = true; // the session is gone: begin anew
        r->sent = false;
        mem_free(m->session);
        m->session = NULL;
        m->state = DOWN;
        come_up(m);
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
        lose(m, &e);
    end(r, NULL, &e);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct mcp_request *r = arg;
    struct mcp *m = r->m;
    struct err e;
    (void)fd;
    (void)what;
    if (r->ended)
        return;
    err_set(&e, ERR_TIMEOUT, "no answer in time");
    if (!r->done) {
        lose(m, &e);
        return;
    }
    if (r->sent) {
        json_t *p = json_pack("{s:I,s:s}", "requestId", (json_int_t)r->id, "reason", "timeout");
        json_t *v = message_of(m, "notifications/cancelled", p, -1);
        send_note(m, v, "notifications/cancelled");
        json_decref(v);
        json_decref(p);
    }
    end(r, NULL, &e);
}

/* Programs. */

static void on_out(str bytes, void *arg)
{
    struct mcp *m = arg;
    while (bytes.n && m->state != DOWN) {
        ptrdiff_t at = str_chr(bytes, '\n');
        str piece = at >= 0 ? str_sub(bytes, 0, (size_t)at) : bytes;
        bytes = str_from(bytes, piece.n + (at >= 0));
        if (!m->skipping && !buf_str(&m->line, piece)) {
            struct err e;
            err_set(&e, ERR_LIMIT, "it sends a message of more than %zu bytes",
                    m->conf.max_message);
            lose(m, &e);
            return;
        }
        if (at < 0)
            return;
        struct buf line = m->line; // taking it may end all this
        buf_init(&m->line, m->conf.max_message);
        if (str_trim(buf_as_str(&line)).n)
            take_text(m, buf_as_str(&line));
        buf_free(&line);
    }
}

static void on_err(str bytes, void *arg)
{
    struct mcp *m = arg;
    char text[600];
    if (log_enabled(LOG_DEBUG, "tools.mcp_says"))
        log_debug("tools.mcp_says", "server=%s text=%s", m->name,
                  log_quote(text, sizeof text, str_sub(str_trim(bytes), 0, 300)));
}

static void on_exit_(int status, void *arg)
{
    struct mcp *m = arg;
    struct err e;
    m->child = NULL; // frees itself
    if (WIFSIGNALED(status))
        err_set(&e, ERR_IO, "it died of signal %d", WTERMSIG(status));
    else
        err_set(&e, ERR_IO, "it ended with status %d", WEXITSTATUS(status));
    lose(m, &e);
}

static bool start_child(struct mcp *m, struct err *e)
{
    static const char *const kept[] = {"PATH", "HOME", "LANG", "LC_ALL", "USER", "TMPDIR"};
    char text[COUNT(kept)][1024];
    const char *env[COUNT(kept) + 1];
    size_t n = 0;
    uint64_t now = clock_mono_ms();
    if (m->started_ms && now - m->started_ms < RESTART_MS)
        return err_set(e, ERR_IO, "it has just ended; it is started again in a second");
    m->started_ms = now ? now : 1;
    for (size_t i = 0; i < COUNT(kept); i++) {
        const char *v = getenv(kept[i]);
        if (v && snprintf(text[n], sizeof text[n], "%s=%s", kept[i], v) < (int)sizeof text[n]) {
            env[n] = text[n];
            n++;
        }
    }
    env[n] = NULL;
    return tools_child_start(&m->child, m->conf.base,
                             &(struct tools_child_conf){
                                 .argv = (const char *const *)m->argv,
                                 .env = env,
                                 .extra_fd = -1,
                                 .max_unsent = m->conf.max_message * 2,
                                 .on_out = on_out,
                                 .on_err = on_err,
                                 .on_exit = on_exit_,
                                 .arg = m,
                             },
                             e);
}

/* What callers see. */

static void mcp_free(struct mcp *m)
{
    event_free(m->tell);
    event_free(m->retry);
    buf_free(&m->line);
    mem_free(m->name);
    mem_free(m->url);
    free_list(m->headers);
    free_list(m->argv);
    mem_free(m);
}

static void tell(evutil_socket_t fd, short what, void *arg)
{
    struct mcp *m = arg;
    (void)fd;
    (void)what;
    m->telling = true;
    for (bool more = true; more && !m->dead;) {
        more = false;
        struct mcp_request *oldest = NULL;
        for (struct mcp_request *r = m->requests; r; r = r->next)
            if (r->ended)
                oldest = r;
        if (!oldest)
            break;
        more = true;
        struct mcp_request told = *oldest;
        told.result = json_incref(oldest->result);
        request_free(oldest);
        if (told.done)
            told.done(told.result, told.result ? NULL : &told.error, told.arg);
        json_decref(told.result);
    }
    m->telling = false;
    if (m->dead)
        mcp_free(m);
}

struct mcp *mcp_open(const struct mcp_conf *c)
{
    struct mcp *m = mem_calloc(1, sizeof *m);
    m->conf = *c;
    m->name = mem_strdup(str_c(c->name));
    m->url = c->url ? mem_strdup(str_c(c->url)) : NULL;
    m->headers = copy_list(c->headers);
    m->argv = copy_list(c->argv);
    m->next_id = 1;
    buf_init(&m->line, c->max_message);
    m->tell = event_new(c->base, -1, 0, tell, m);
    m->retry = evtimer_new(c->base, on_retry, m);
    return m;
}

static void ignore(const struct http_fetched *res, void *arg)
{
    (void)res;
    (void)arg;
}

/* Nobody waits for the answer. */
static void end_session(struct mcp *m)
{
    struct headers h;
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

void mcp_close(struct mcp *m)
{
    if (!m)
        return;
    end_session(m);
    while (m->requests)
        request_free(m->requests);
    while (m->notes) {
        http_fetch_cancel(m->notes->fetch);
        note_free(m->notes);
    }
    down(m);
    m->dead = true;
    if (!m->telling)
        mcp_free(m);
}

struct mcp_request *mcp_list(struct mcp *m, mcp_done done, void *arg)
{
    struct mcp_request *r = request_new(m, "tools/list", NULL, m->conf.list_timeout_ms, done, arg);
    r->tools = json_array();
    if (m->state == UP && m->list) {
        end(r, m->list, NULL);
    } else if (m->state == UP) {
        send_request(r);
    } else {
        m->attempts = 0;
        come_up(m);
    }
    return r;
}

struct mcp_request *mcp_call(struct mcp *m, const char *tool, const json_t *arguments,
                             mcp_done done, void *arg)
{
    json_t *params = json_object();
    json_object_set_new(params, "name", json_from_str(str_c(tool)));
    json_object_set(params, "arguments", (json_t *)arguments);
    struct mcp_request *r =
        request_new(m, "tools/call", params, m->conf.call_timeout_ms, done, arg);
    r->tool = mem_strdup(str_c(tool));
    if (m->state == UP) {
        send_request(r);
    } else {
        m->attempts = 0;
        come_up(m);
    }
    return r;
}

void mcp_cancel(struct mcp_request *r)
{
    struct mcp *m = r->m;
    if (r->sent && !r->ended && m->state == UP) {
        json_t *p = json_pack("{s:I,s:s}", "requestId", (json_int_t)r->id, "reason", "cancelled");
        json_t *v = message_of(m, "notifications/cancelled", p, -1);
        send_note(m, v, "notifications/cancelled");
        json_decref(v);
        json_decref(p);
    }
    request_free(r);
}

bool mcp_is_up(const struct mcp *m)
{
    return m->state == UP;
}
