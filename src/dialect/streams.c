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

static const struct route routes[] = {
    {"GET", "/v1/streams/{}", "streams.observe", .plain = observe, .wants = dialect_wants_segment},
    {"DELETE", "/v1/streams/{}", "streams.cancel", .plain = cancel, .wants = dialect_wants_segment},
};

const struct brand streams_brand = {"streams", routes, COUNT(routes), openai_error};
