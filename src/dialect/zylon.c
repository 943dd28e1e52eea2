/* dialect/zylon.c - the routes of Zylon and PrivateGPT: chat, and chats in the background, which
 * go on by themselves and can be watched, cancelled and deleted by their message id. */
#include "dialect/messages.h"

#include "base/rng.h"

#include <time.h>

#define ASYNC "zylon.async"

static void reply(struct http_req *r, int status, struct buf *body)
{
    http_reply(r, status, "application/json", buf_as_str(body));
    buf_free(body);
}

static void reply_error(struct dialect *d, struct http_req *r, const struct err *e)
{
    struct buf body = BUF_INIT(16384);
    int status = wire_error(&zylon_wire, e, d->request_id, &body);
    if (e->code == ERR_BUSY)
        talk_retry_after(d, r, NULL);
    reply(r, status, &body);
}

static bool read_messages(struct dialect *d, struct http_req *r, struct talk_order *out,
                          struct err *e)
{
    struct messages_more more;
    if (!messages_order(d, r, &zylon_manner, false, out, &more, e))
        return false;
    out->late = more.late;
    return true;
}

static void serve_count(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    messages_count(d, r, &zylon_manner);
}

/* What a run would find: does the prompt fit? */
static void check_length(struct dialect *d, const struct chat_request *r,
                         struct messages_more *more)
{
    const struct run_model *model = runs_find_model(d->conf.runs, r->model);
    size_t most = (size_t)sched_n_ctx(model->sched) - 1;
    struct tok_ids ids;
    struct err e;
    char text[160];
    if (more->late.code != ERR_NONE)
        return;
    tok_ids_init(&ids, (size_t)1 << 23);
    if (!chat_tokenize(model->tmpl, r, 0, &ids, &e))
        messages_late(more, NULL, e.kind, e.msg);
    else if (ids.n > most) {
        snprintf(text, sizeof text, "The prompt has %zu tokens but only %zu fit", ids.n, most);
        messages_late(more, NULL, "context_length_exceeded", text);
    }
    tok_ids_free(&ids);
}

static void serve_validate(struct dialect *d, struct http_req *r, str segment)
{
    struct talk_order order;
    struct messages_more more;
    struct err e;
    struct buf body = BUF_INIT(16384);
    (void)segment;
    if (http_body(r).n > (size_t)4 << 20) {
        err_set(&e, ERR_LIMIT, "a body of more than 4 MiB is not validated");
        reply_error(d, r, &e);
        return;
    }
    if (!messages_order(d, r, &zylon_manner, false, &order, &more, &e)) {
        reply_error(d, r, &e);
        return;
    }
    check_length(d, order.request, &more);
    bool valid = more.late.code == ERR_NONE;
    buf_printf(&body, "{\"valid\":%s,\"errors\":", valid ? "true" : "false");
    if (valid) {
        buf_c(&body, "null");
    } else {
        buf_char(&body, '[');
        json_write_str(&body, str_c(more.late.msg), JSON_PLAIN);
        buf_char(&body, ']');
    }
    buf_printf(&body,
               ",\"warnings\":[],\"request_summary\":{\"message_count\":%zu,\"has_tools\":%s,"
               "\"stream_enabled\":%s,\"tool_choice\":\"%s\"}}",
               more.n_messages, more.tooled ? "true" : "false", order.stream ? "true" : "false",
               more.choice);
    chat_request_free(order.request);
    buf_free(&order.ignored);
    reply(r, valid ? 200 : 400, &body);
}

/* Chats in the background. */

static bool read_message_id(struct http_req *r, char out[RUN_ALIAS_MAX + 1], struct err *e)
{
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-";
    str id;
    if (!http_query(r, "message_id", &id) || id.n == 0) {
        uint64_t high = rng_u64(), low = rng_u64();
        snprintf(out, RUN_ALIAS_MAX + 1, "msg_%016llx%016llx", (unsigned long long)high,
                 (unsigned long long)low);
        return true;
    }
    size_t n = 0;
    while (n < id.n && id.p[n] && strchr(set, id.p[n]))
        n++;
    if (n < id.n || id.n > RUN_ALIAS_MAX)
        return err_set(e, ERR_INPUT,
                       "'message_id' must be 1 to %d of the characters A-Z a-z 0-9 . _ : -",
                       RUN_ALIAS_MAX);
    snprintf(out, RUN_ALIAS_MAX + 1, "%.*s", STR_ARG(id));
    return true;
}

static bool is_known(struct dialect *d, const char *id)
{
    struct run *run = runs_find(d->conf.runs, str_c(id), dialect_team(d));
    if (run)
        run_drop(run);
    return run != NULL;
}

/* The run, held; NULL with an error. */
static struct run *start(struct dialect *d, struct http_req *r, const char *id, struct err *e)
{
    struct talk_order order;
    struct messages_more more;
    if (!messages_order(d, r, &zylon_manner, false, &order, &more, e))
        return NULL;
    order.late = more.late;
    order.detach = order.store = true;
    struct run *run = talk_run(d, r, &order, ASYNC, e);
    if (!run || run_set_alias(run, str_c(id), e))
        return run;
    run_forget(run);
    run_drop(run);
    return NULL;
}

static const char id_taken[] = "Stream with this message_id already exists";

/* The run is stored, where there is a store: now it may be acknowledged. */
static void started(struct dialect *d, struct http_req *r, struct run *run, str id,
                    const struct err *e)
{
    struct buf body = BUF_INIT(1024);
    if (e) {
        struct err own = *e;
        if (strcmp(e->kind, "already_exists") == 0)
            err_set(&own, ERR_INPUT, "%s", id_taken);
        run_forget(run);
        reply_error(d, r, &own);
        return;
    }
    buf_c(&body, "{\"message_id\":");
    json_write_str(&body, id, JSON_PLAIN);
    buf_c(&body, ",\"status\":\"pending\",\"message\":\"Request initiated successfully\"}");
    reply(r, 200, &body);
}

static void serve_start(struct dialect *d, struct http_req *r, str segment)
{
    char id[RUN_ALIAS_MAX + 1];
    struct err e;
    (void)segment;
    bool ok = read_message_id(r, id, &e);
    if (ok && is_known(d, id))
        ok = err_set(&e, ERR_INPUT, "%s", id_taken);
    struct run *run = ok ? start(d, r, id, &e) : NULL;
    if (run)
        dialect_when_stored(d, r, run, str_c(id), started);
    else
        reply_error(d, r, &e);
}

/* The run of this message id, held; answers 404 itself. */
static struct run *find(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = runs_find(d->conf.runs, id, dialect_team(d));
    struct err e;
    if (run && strcmp(run_origin(run), ASYNC) == 0 && str_eq(run_alias(run), id))
        return run;
    if (run)
        run_drop(run);
    err_set(&e, ERR_NOT_FOUND, "Stream with message_id %.*s not found",
            STR_ARG(str_sub(id, 0, RUN_ALIAS_MAX)));
    reply_error(d, r, &e);
    return NULL;
}

static bool read_cursor(struct http_req *r, uint64_t *after, struct err *e)
{
    str text;
    *after = 0;
    if (!http_query(r, "last_event_id", &text) && !http_query(r, "after", &text) &&
        !http_header(r, "Last-Event-ID", &text))
        return true;
    return str_to_u64(text, after) ||
           err_set(e, ERR_INPUT, "the cursor must be the number of an event");
}

static void serve_stream(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    uint64_t after;
    struct err e;
    if (!run)
        return;
    bool ok = read_cursor(r, &after, &e);
    if (ok && !(after > 0 && run_is_over(run) && !run_event(run, (size_t)after))) {
        talk_observe(d, r, dialect_find_route(ASYNC), d->request_id, run, (size_t)after);
        return;
    }
    run_drop(run);
    if (ok)
        http_reply(r, 204, NULL, STR("")); // nothing more will come: stops an EventSource
    else
        reply_error(d, r, &e);
}

enum status { PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED, ERROR };

static const char *const status_names[] = {
    [PENDING] = "pending", [PROCESSING] = "processing", [COMPLETED] = "completed",
    [FAILED] = "failed",   [CANCELLED] = "cancelled",   [ERROR] = "error"};

/* Whose fault: the request's or the model's, or the server's? */
static enum status status_of_failure(enum err_code code)
{
    switch (code) {
    case ERR_CANCELED: return CANCELLED;
    case ERR_INPUT:
    case ERR_NOT_FOUND:
    case ERR_DENIED:
    case ERR_LIMIT: return FAILED;
    default: return ERROR;
    }
}

/* Where the run stands, since when, and its last event if it is over. */
static enum status status_of(const struct run *run, int64_t *since_ms,
                             const struct chat_event **last)
{
    const struct chat_event *ev;
    enum status s = PENDING;
    *since_ms = run_created_ms(run);
    *last = NULL;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == CHAT_STARTED) {
            s = PROCESSING;
            *since_ms = ev->unix_ms;
        } else if (ev->what == CHAT_COMPLETED || ev->what == CHAT_FAILED) {
            s = ev->what == CHAT_COMPLETED ? COMPLETED : status_of_failure(ev->error->code);
            *since_ms = ev->unix_ms;
            *last = ev;
        }
    return s;
}

static void write_time(const char *field, int64_t unix_ms, struct buf *out)
{
    char when[32];
    struct tm tm;
    time_t t = (time_t)(unix_ms / 1000);
    gmtime_r(&t, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
    buf_printf(out, ",\"%s\":\"%s.%03d000Z\"", field, when, (int)(unix_ms % 1000));
}

/* Turns that the client wrote: the system prompt and results aside. */
static size_t n_messages(const struct chat_request *r)
{
    json_t *m;
    size_t i, n = 0;
    json_array_foreach(r->messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        n += strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0;
    }
    return n;
}

static bool thinks(const struct chat_request *r)
{
    return json_is_true(json_object_get(r->template_args, "enable_thinking")) ||
           json_is_true(json_object_get(r->template_args, "thinking")) ||
           json_object_get(r->template_args, "reasoning_effort") != NULL;
}

static void serve_status(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    struct buf body = BUF_INIT(8192);
    const struct chat_event *last;
    int64_t since_ms;
    if (!run)
        return;
    enum status s = status_of(run, &since_ms, &last);
    buf_c(&body, "{\"message_id\":");
    json_write_str(&body, id, JSON_PLAIN);
    buf_printf(&body, ",\"status\":\"%s\"", status_names[s]);
    write_time("created_at", run_created_ms(run), &body);
    write_time("updated_at", since_ms, &body);
    if (last)
        write_time("completed_at", since_ms, &body);
    else
        buf_c(&body, ",\"completed_at\":null");
    buf_c(&body, ",\"error_message\":");
    if (s == FAILED || s == ERROR)
        json_write_str(&body, str_c(last->error->msg), JSON_PLAIN);
    else
        buf_c(&body, "null");
    buf_printf(&body,
               ",\"stream_type\":\"chat_completion\",\"metadata\":{\"message_count\":%zu,"
               "\"thinking_enabled\":%s}}",
               n_messages(run_request(run)), thinks(run_request(run)) ? "true" : "false");
    run_drop(run);
    reply(r, 200, &body);
}

static void cancelled(struct dialect *d, struct http_req *r, struct run *run, str id,
                      const struct err *e)
{
    struct buf body = BUF_INIT(1024);
    (void)run;
    if (e) {
        reply_error(d, r, e);
        return;
    }
    buf_c(&body, "{\"message\":\"Stream cancelled successfully\",\"message_id\":");
    json_write_str(&body, id, JSON_PLAIN);
    buf_c(&body, "}");
    reply(r, 200, &body);
}

static void serve_cancel(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    if (!run)
        return;
    run_cancel(run);
    dialect_when_stored(d, r, run, id, cancelled);
}

static void deleted(struct dialect *d, struct http_req *r, struct run *run, str id,
                    const struct err *e)
{
    (void)run;
    (void)id;
    if (e)
        reply_error(d, r, e);
    else
        http_reply(r, 204, NULL, STR(""));
}

static void serve_delete(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    if (!run)
        return;
    run_cancel(run); // who watches it sees its end
    run_forget(run);
    dialect_when_stored(d, r, run, id, deleted);
}

static int plain_error(const struct err *e, struct buf *out)
{
    return zylon_error(e, NULL, out);
}

static const struct route routes[] = {
    {"POST", "/v1/messages", "zylon.messages", &zylon_wire, read_messages},
    {"POST", "/v1/messages/count_tokens", "zylon.count", .plain = serve_count},
    {"POST", "/v1/messages/validate", "zylon.validate", .plain = serve_validate},
    {"POST", "/v1/messages/async", ASYNC, &zylon_wire, .plain = serve_start},
    {"GET", "/v1/messages/async/{}/stream", "zylon.stream", .plain = serve_stream,
     .wants = dialect_wants_segment},
    {"GET", "/v1/messages/async/{}/status", "zylon.status", .plain = serve_status,
     .wants = dialect_wants_segment},
    {"POST", "/v1/messages/async/{}/cancel", "zylon.cancel", .plain = serve_cancel,
     .wants = dialect_wants_segment},
    {"DELETE", "/v1/messages/async/{}/delete", "zylon.delete", .plain = serve_delete,
     .wants = dialect_wants_segment},
    {"DELETE", "/v1/messages/async/{}", "zylon.delete", .plain = serve_delete,
     .wants = dialect_wants_segment},
};

/* The hosted product has all of it, and the models, below a prefix. */
static const struct route hosted[] = {
    {"GET", "/v1/models", "zylon.models", .plain = models_page},
    {"GET", "/v1/models/{*}", "zylon.model", .plain = models_page_entry},
};

const struct brand zylon_brand = {
    .name = "zylon",
    .routes = routes,
    .n_routes = COUNT(routes),
    .error = plain_error,
    .under = "/v1/messages/",
    .prefix = "/api/gpt",
    .request_id = "request-id",
};

const struct brand zylon_hosted_brand = {
    .name = "zylon",
    .routes = hosted,
    .n_routes = COUNT(hosted),
    .error = plain_error,
    .prefix = "/api/gpt",
    .prefix_only = true,
    .request_id = "request-id",
};
