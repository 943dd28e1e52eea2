/* tools/mcp.c - see mcp.h: the protocol, whatever carries it. */
#include "tools/mcp_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <math.h>

#define PAGES_MAX   100
#define TOOLS_MAX   1000
#define UNASKED_MAX 2000 // messages nobody asked for, between two answers
#define RUBBISH_MAX 100  // lines of a program that are no messages
#define NEWS_MAX    5000 // reports of one call about how far it is

static const char *const versions[] = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
#define STATELESS "2026-07-28" // the revision without a handshake

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
    r->m->transport->drop(r);
    event_free(r->timer);
    *r->link = r->next;
    if (r->next)
        r->next->link = r->link;
    json_decref(r->params);
    json_decref(r->tools);
    json_decref(r->result);
    mem_free(r->tool);
    mem_free(r);
}

void mcp_end(struct mcp_request *r, json_t *result, const struct err *error)
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
        mcp_end(r, NULL, e);
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
    m->state = MCP_DOWN;
    m->transport->down(m);
    json_decref(m->list);
    m->list = NULL;
}

void mcp_lose(struct mcp *m, const struct err *e)
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

/* Sends what is not waited for. */
static void send_note(struct mcp *m, const json_t *message, const char *method)
{
    struct buf text = BUF_INIT(m->conf.max_message);
    struct err e;
    if (json_write(&text, message, JSON_PLAIN, -1) &&
        !m->transport->send(m, NULL, method, buf_as_str(&text), &e))
        log_debug("tools.mcp_note", "server=%s method=%s is not sent", m->name,
                  method ? method : "");
    buf_free(&text);
}

void mcp_send(struct mcp_request *r)
{
    struct mcp *m = r->m;
    struct buf text = BUF_INIT(m->conf.max_message);
    struct err e;
    r->id = m->next_id++;
    if (r->tool)
        json_object_set_new(r->params, "_meta",
                            json_pack("{s:I}", "progressToken", (json_int_t)r->id));
    json_t *v = message_of(m, r->method, r->params, r->id);
    r->sent = true;
    bool ok = json_write(&text, v, JSON_PLAIN, -1) ||
              err_set(&e, ERR_LIMIT, "the arguments are too long");
    if (!ok || !m->transport->send(m, r, r->method, buf_as_str(&text), &e))
        mcp_end(r, NULL, &e);
    json_decref(v);
    buf_free(&text);
}

static void send_waiting(struct mcp *m)
{
    for (struct mcp_request *r = m->requests; r; r = r->next)
        if (!r->sent && !r->ended && r->done)
            mcp_send(r);
}

/* Coming up. */

static json_t *handshake(void)
{
    return json_pack("{s:s,s:{},s:{s:s,s:s}}", "protocolVersion", versions[0], "capabilities",
                     "clientInfo", "name", "confab", "version", CONFAB_VERSION);
}

void mcp_greet(struct mcp *m)
{
    for (struct mcp_request *old = m->requests; old; old = old->next)
        if (!old->done && !old->ended)
            return; // it has begun
    struct mcp_request *r =
        request_new(m, "initialize", handshake(), m->conf.list_timeout_ms, NULL, NULL);
    mcp_send(r);
}

void mcp_come_up(struct mcp *m)
{
    struct err e;
    if (m->state != MCP_DOWN)
        return;
    m->state = MCP_COMING;
    m->n_unasked = m->n_rubbish = 0;
    if (!m->transport->open(m, &e)) {
        m->state = MCP_DOWN;
        fail_all(m, &e);
    }
}

/* The handshake's answer. */
static void greeted(struct mcp *m, const struct mcp_message *msg)
{
    struct err e;
    str version = json_as_str(json_object_get(msg->body, "protocolVersion"));
    if (msg->kind == MCP_ERROR && (msg->code == -32601 || msg->code == -32022)) {
        m->stateless = true; // it knows no handshake
        snprintf(m->version, sizeof m->version, "%s", STATELESS);
        m->state = MCP_UP;
        send_waiting(m);
        return;
    }
    if (msg->kind == MCP_ERROR) {
        err_set(&e, ERR_IO, "it refuses: %.*s", STR_ARG(str_sub(msg->text, 0, 200)));
        mcp_lose(m, &e);
        return;
    }
    size_t i = 0;
    while (i < COUNT(versions) && !str_eqc(version, versions[i]))
        i++;
    if (i == COUNT(versions)) {
        err_set(&e, ERR_IO, "it speaks revision '%.*s' of the protocol, which is not known here",
                STR_ARG(str_sub(version, 0, 40)));
        mcp_lose(m, &e);
        return;
    }
    snprintf(m->version, sizeof m->version, "%s", versions[i]);
    m->state = MCP_UP;
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
    r->m->transport->drop(r);
    mcp_send(r);
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
        mcp_end(r, NULL, &e);
        return;
    }
    json_array_foreach((json_t *)tools, i, tool)
    {
        if (json_array_size(r->tools) == TOOLS_MAX) {
            err_set(&e, ERR_LIMIT, "it has more than %d tools", TOOLS_MAX);
            mcp_end(r, NULL, &e);
            return;
        }
        if (json_is_string(json_object_get(tool, "name")))
            json_array_append(r->tools, tool);
    }
    if (!json_is_string(cursor)) {
        if (r->m->transport == &mcp_stdio) {
            json_decref(r->m->list);
            r->m->list = json_incref(r->tools);
        }
        mcp_end(r, r->tools, NULL);
    } else if (++r->pages == PAGES_MAX) {
        err_set(&e, ERR_LIMIT, "its list of tools has more than %d pages", PAGES_MAX);
        mcp_end(r, NULL, &e);
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

static double number_of(const json_t *v, double otherwise)
{
    double x = json_number_value(v);
    return json_is_number(v) && isfinite(x) ? x : otherwise;
}

/* Is it a word about a running call, of which there have not been too many? */
static bool take_progress(struct mcp *m, const struct mcp_message *msg)
{
    const json_t *token = json_object_get(msg->body, "progressToken");
    if (!str_eqc(msg->method, "notifications/progress") || !json_is_integer(token))
        return false;
    struct mcp_request *r = find(m, json_integer_value(token));
    if (!r || !r->tool || !r->sent || r->n_news == NEWS_MAX)
        return false;
    str note = json_as_str(json_object_get(msg->body, "message"));
    size_t n = size_min(note.n, sizeof r->note - 1);
    while (n < note.n && n > 0 && ((unsigned char)note.p[n] & 0xc0) == 0x80)
        n--;
    snprintf(r->note, sizeof r->note, "%.*s", STR_ARG(str_sub(note, 0, n)));
    r->progress = number_of(json_object_get(msg->body, "progress"), 0);
    r->total = number_of(json_object_get(msg->body, "total"), -1);
    r->n_news++;
    r->news = r->on_progress != NULL;
    if (r->news)
        event_active(m->tell, 0, 0);
    return true;
}

static bool take_message(const struct mcp_message *msg, void *arg)
{
    struct mcp *m = arg;
    struct err e;
    if (msg->kind == MCP_NOTIFICATION && take_progress(m, msg))
        return true;
    struct mcp_request *r =
        msg->kind == MCP_RESULT || msg->kind == MCP_ERROR ? find(m, msg->id) : NULL;
    if (!r || !r->sent) {
        if (++m->n_unasked > UNASKED_MAX) {
            err_set(&e, ERR_LIMIT, "it sends without end what nobody asked for");
            mcp_lose(m, &e);
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
        mcp_end(r, NULL, NULL);
        greeted(m, msg);
    } else if (msg->kind == MCP_ERROR) {
        err_set(&e, msg->code == -32602 ? ERR_INPUT : ERR_IO, "%.*s",
                STR_ARG(str_sub(msg->text, 0, 400)));
        mcp_end(r, NULL, &e);
    } else if (r->tools) {
        take_page(r, msg->body);
    } else {
        mcp_end(r, (json_t *)msg->body, NULL);
    }
    return m->state != MCP_DOWN;
}

void mcp_take(struct mcp *m, str text)
{
    struct err e;
    if (mcp_messages_read(text, take_message, m, &e))
        return;
    err_ctx(&e, "it sends what is no message");
    if (m->transport != &mcp_stdio || ++m->n_rubbish > RUBBISH_MAX)
        mcp_lose(m, &e);
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
        mcp_lose(m, &e);
        return;
    }
    if (r->sent) {
        json_t *p = json_pack("{s:I,s:s}", "requestId", (json_int_t)r->id, "reason", "timeout");
        json_t *v = message_of(m, "notifications/cancelled", p, -1);
        send_note(m, v, "notifications/cancelled");
        json_decref(v);
        json_decref(p);
    }
    mcp_end(r, NULL, &e);
}

/* What callers see. */

static void mcp_free(struct mcp *m)
{
    event_free(m->tell);
    event_free(m->timer);
    mcp_oauth_free(m->oauth);
    buf_free(&m->line);
    mem_free(m->name);
    mem_free(m->url);
    free_list(m->headers);
    free_list(m->argv);
    mem_free(m);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct mcp *m = arg;
    (void)fd;
    (void)what;
    m->transport->on_timer(m);
}

static void tell(evutil_socket_t fd, short what, void *arg)
{
    struct mcp *m = arg;
    (void)fd;
    (void)what;
    m->telling = true;
    while (!m->dead) { // from the start each time: whoever is told may change everything
        struct mcp_request *oldest = NULL;
        for (struct mcp_request *r = m->requests; r; r = r->next)
            if (r->ended || r->news)
                oldest = r;
        if (!oldest)
            break;
        struct mcp_request told = *oldest;
        if (oldest->news) {
            oldest->news = false;
            told.on_progress(told.progress, told.total, str_c(told.note), told.arg);
            continue;
        }
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
    m->transport = !c->url ? &mcp_stdio : c->events ? &mcp_events : &mcp_http;
    m->oauth = c->oauth ? mcp_oauth_new(c->oauth) : NULL;
    m->tell = event_new(c->base, -1, 0, tell, m);
    m->timer = evtimer_new(c->base, on_timer, m);
    return m;
}

void mcp_close(struct mcp *m)
{
    if (!m)
        return;
    while (m->requests)
        request_free(m->requests);
    m->transport->leave(m);
    down(m);
    m->dead = true;
    if (!m->telling)
        mcp_free(m);
}

struct mcp_request *mcp_list(struct mcp *m, mcp_done done, void *arg)
{
    struct mcp_request *r = request_new(m, "tools/list", NULL, m->conf.list_timeout_ms, done, arg);
    r->tools = json_array();
    if (m->state == MCP_UP && m->list) {
        mcp_end(r, m->list, NULL);
    } else if (m->state == MCP_UP) {
        mcp_send(r);
    } else {
        m->attempts = 0;
        mcp_come_up(m);
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
    if (m->state == MCP_UP) {
        mcp_send(r);
    } else {
        m->attempts = 0;
        mcp_come_up(m);
    }
    return r;
}

void mcp_cancel(struct mcp_request *r)
{
    struct mcp *m = r->m;
    if (r->sent && !r->ended && m->state == MCP_UP) {
        json_t *p = json_pack("{s:I,s:s}", "requestId", (json_int_t)r->id, "reason", "cancelled");
        json_t *v = message_of(m, "notifications/cancelled", p, -1);
        send_note(m, v, "notifications/cancelled");
        json_decref(v);
        json_decref(p);
    }
    request_free(r);
}

void mcp_follow(struct mcp_request *call, mcp_progress told)
{
    call->on_progress = told;
}

bool mcp_is_up(const struct mcp *m)
{
    return m->state == MCP_UP;
}