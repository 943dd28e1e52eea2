/* dialect/streams.c - /v1/streams/{id}: any run's log from a cursor, in the dialect that began it
 * or in another, and its cancellation. */
#include "dialect/dialect_int.h"

static struct run *find(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = runs_find(d->conf.runs, id, dialect_team(d));
    // Ids as the wires show them are taken too: what stands behind the last '-' or '_'.
    for (size_t i = id.n; !run && i > 0; i--)
        if (id.p[i - 1] == '-' || id.p[i - 1] == '_') {
            run = runs_find(d->conf.runs, str_from(id, i), dialect_team(d));
            break;
        }
    if (!run) {
        struct err e;
        err_set(&e, ERR_NOT_FOUND, "there is no run of this id (any more)");
        dialect_reply(r, openai_error, &e);
    }
    return run;
}

/* ?after=N, or Last-Event-ID; 0 without. */
static bool read_cursor(struct http_req *r, uint64_t *after, struct err *e)
{
    str text;
    *after = 0;
    bool query = http_query(r, "after", &text);
    if (!query && !http_header(r, "Last-Event-ID", &text))
        return true;
    if (!str_to_u64(text, after))
        return err_set_at(e, ERR_INPUT, query ? "after" : "Last-Event-ID",
                          "the cursor must be an event's number");
    return true;
}

static void observe(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    struct err e;
    uint64_t after;
    char name[32];
    str dialect;
    if (!run)
        return;
    snprintf(name, sizeof name, "%s", run_origin(run));
    if (http_query(r, "dialect", &dialect))
        snprintf(name, sizeof name, "%.*s", STR_ARG(dialect));
    const struct route *route = dialect_find_route(name);
    if (!route || !route->wire)
        err_set_at(&e, ERR_INPUT, "dialect", "there is no dialect '%s' to observe a run in", name);
    else if (read_cursor(r, &after, &e)) {
        char request_id[ID_MAX];
        id_new(request_id, "req_");
        talk_observe(d, r, route, request_id, run, (size_t)after);
        return;
    }
    run_drop(run);
    dialect_reply(r, openai_error, &e);
}

static void cancelled(struct dialect *d, struct http_req *r, struct run *run, str id,
                      const struct err *e)
{
    (void)d;
    (void)run;
    (void)id;
    if (e)
        dialect_reply(r, openai_error, e);
    else
        http_reply(r, 200, "application/json", STR("{\"cancelled\":true}"));
}

static void cancel(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    if (!run)
        return;
    run_cancel(run);
    dialect_when_stored(d, r, run, id, cancelled);
}

/* POST /v1/streams/{id}/approvals/{call}: {"approve":true}. */
static void approve(struct dialect *d, struct http_req *r, str rest)
{
    str id, word, call = rest;
    struct err e;
    str_cut(&call, '/', &id);
    str_cut(&call, '/', &word);
    if (!str_eqc(word, "approvals") || call.n == 0 || !call.p) {
        err_set(&e, ERR_NOT_FOUND, "there is no such route; use /v1/streams/ID/approvals/CALL");
        dialect_reply(r, openai_error, &e);
        return;
    }
    json_t *body = dialect_parse_body(r, &e);
    const json_t *yes = json_object_get(body, "approve");
    if (body && !json_is_boolean(yes))
        err_set_at(&e, ERR_INPUT, "approve", "'approve' must be true or false");
    struct run *run = json_is_boolean(yes) ? find(d, r, id) : NULL;
    if (!json_is_boolean(yes)) {
        dialect_reply(r, openai_error, &e);
    } else if (run) {
        bool ok = run_approve(run, call, json_is_true(yes));
        run_drop(run);
        if (ok) {
            http_reply(r, 200, "application/json",
                       json_is_true(yes) ? STR("{\"approved\":true}")
                                         : STR("{\"approved\":false}"));
        } else {
            err_set(&e, ERR_NOT_FOUND, "no call of this id waits for approval (any more)");
            dialect_reply(r, openai_error, &e);
        }
    }
    json_decref(body);
}

/* The call of this id, as the log has it before event n; NULL: it has none. */
static const struct chat_event *call_of(const struct run *run, size_t n, str id)
{
    const struct chat_event *ev;
    while (n-- > 0)
        if ((ev = run_event(run, n))->what == CHAT_SERVER_CALL && str_eq(ev->id, id))
            return ev;
    return NULL;
}

/* GET /v1/streams/{id}/approvals: the calls that wait. */
static void list_approvals(struct dialect *d, struct http_req *r, str id)
{
    struct run *run = find(d, r, id);
    struct buf out = BUF_INIT(ANSWER_MAX);
    const struct chat_event *ev, *call;
    bool first = true;
    if (!run)
        return;
    buf_c(&out, "{\"data\":[");
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        if (ev->what != CHAT_SERVER_ASK || !run_waits_for(run, ev->id) ||
            !(call = call_of(run, i, ev->id)))
            continue;
        buf_c(&out, first ? "{\"id\":" : ",{\"id\":");
        json_write_str(&out, ev->id, JSON_PLAIN);
        buf_c(&out, ",\"tool\":");
        json_write_str(&out, ev->name, JSON_PLAIN);
        buf_c(&out, ",\"arguments\":");
        json_write_str(&out, call->text, JSON_PLAIN);
        buf_c(&out, "}");
        first = false;
    }
    buf_c(&out, "]}");
    run_drop(run);
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

static const struct route routes[] = {
    {"GET", "/v1/streams/{}/approvals", "streams.approvals", .plain = list_approvals,
     .wants = dialect_wants_segment},
    {"POST", "/v1/streams/{*}", "streams.approve", .plain = approve},
    {"GET", "/v1/streams/{}", "streams.observe", .plain = observe, .wants = dialect_wants_segment},
    {"DELETE", "/v1/streams/{}", "streams.cancel", .plain = cancel, .wants = dialect_wants_segment},
};

const struct brand streams_brand = {"streams", routes, COUNT(routes), openai_error};
