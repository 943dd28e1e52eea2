/* dialect/talk.c - one request being answered: it follows the run's log, plainly or streamed,
 * notices that its client left, and slows the run down to its reader's pace. */
#include "dialect/dialect_int.h"

#include "http/sse.h"

#include "base/clock.h"
#include "base/mem.h"

#define CHUNK_MAX ((size_t)1 << 20)

static void record(struct talk *t, const struct err *error, bool client_left)
{
    struct dialect_conf *c = &t->d->conf;
    if (!c->on_record)
        return;
    uint64_t now = clock_mono_ms();
    struct dialect_record rec = {
        .request_id = t->request_id,
        .route = t->route,
        .model = t->run ? run_model(t->run)->name : "",
        .status = t->status,
        .stream = t->stream,
        .client_left = client_left,
        .error = error ? error->msg : "",
        .n_prompt = t->run ? run_n_prompt(t->run) : 0,
        .first_ms = t->first_ms ? t->first_ms - t->began_ms : 0,
        .total_ms = now - t->began_ms,
    };
    const struct chat_event *ev;
    for (size_t i = 0; t->run && (ev = run_event(t->run, i)); i++)
        if (ev->what == CHAT_TEXT)
            rec.n_output += (size_t)ev->n_tokens;
    c->on_record(&rec, c->arg);
}

static void talk_free(struct talk *t)
{
    run_unfollow(t->follower);
    run_unsync(t->sync);
    if (t->run)
        run_drop(t->run);
    if (t->state && t->wire->state_fini)
        t->wire->state_fini(t->state);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->d->n_live--;
    mem_free(t->state);
    mem_free(t);
}

void talk_drop(struct talk *t, bool client_left)
{
    if (client_left && t->status == 0)
        t->status = 499;
    record(t, NULL, client_left);
    talk_free(t);
}

static void on_gone(struct http_req *r, void *arg)
{
    (void)r;
    talk_drop(arg, true);
}

/* "true" in the header or the query. */
static bool wishes(const struct http_req *r, const char *header, const char *query)
{
    str wish;
    return (http_header(r, header, &wish) && str_eqc(wish, "true")) ||
           (http_query(r, query, &wish) && str_eqc(wish, "true"));
}

/* To whom asks for it: what the prefix cache had of the prompt, and where the nearest text in it
 * differs.  Of one team's own texts. */
static void explain_cache(struct talk *t)
{
    size_t reused, common;
    char text[96];
    if (!t->run || !wishes(t->req, "X-Confab-Explain", "explain") ||
        !run_prefix(t->run, &reused, &common))
        return;
    snprintf(text, sizeof text, "prompt=%zu, reused=%zu, equal=%zu", run_n_prompt(t->run), reused,
             common);
    http_set_header(t->req, "X-Confab-Cache", text);
}

static void set_times(struct talk *t)
{
    char ms[32];
    snprintf(ms, sizeof ms, "%llu", (unsigned long long)(clock_mono_ms() - t->began_ms));
    http_set_header(t->req, "openai-processing-ms", ms);
    if (t->run && run_n_evicted(t->run) > 0) {
        snprintf(ms, sizeof ms, "%zu", run_n_evicted(t->run));
        http_set_header(t->req, "X-Confab-Evicted-Messages", ms);
    }
    explain_cache(t);
}

/* The error as this wire's client is to hear it. */
static struct err own_words(const struct talk *t, const struct err *e)
{
    struct err own = *e;
    if (t->wire->too_long && t->run && strcmp(e->kind, "context_length_exceeded") == 0)
        t->wire->too_long(&own, run_n_prompt(t->run),
                          (size_t)sched_n_ctx(run_model(t->run)->sched) - 1);
    return own;
}

static bool is_answer(const struct talk *t, const struct err *e)
{
    return t->wire->tells_cancel && (e->code == ERR_CANCELED || e->code == ERR_TIMEOUT);
}

int wire_error(const struct wire *w, const struct err *e, const char *request_id, struct buf *out)
{
    int status = w->error_for ? w->error_for(e, request_id, out) : w->error(e, out);
    return strcmp(e->kind, "store_unavailable") == 0 ? 503 : status;
}

void talk_retry_after(const struct dialect *d, struct http_req *r, const struct run *run)
{
    char seconds[32];
    const struct run_model *model = run ? run_model(run) : runs_model(d->conf.runs, 0);
    uint64_t ms = sched_retry_after_ms(model->sched);
    snprintf(seconds, sizeof seconds, "%llu", (unsigned long long)((ms + 999) / 1000));
    http_set_header(r, "Retry-After", seconds);
}

/* A whole answer that is an error. */
static void reply_error(struct talk *t, const struct err *e)
{
    struct buf body = BUF_INIT(ERROR_MAX);
    t->status = wire_error(t->wire, e, t->request_id, &body);
    if (e->code == ERR_BUSY || t->status == 503)
        talk_retry_after(t->d, t->req, t->run);
    if (e->code == ERR_TIMEOUT || e->code == ERR_INTERNAL)
        http_set_header(t->req, "x-should-retry", "false");
    record(t, e, false);
    set_times(t);
    http_reply(t->req, t->status, "application/json", buf_as_str(&body));
    buf_free(&body);
    talk_free(t);
}

static void begin_stream(struct talk *t)
{
    if (t->begun)
        return;
    t->begun = true;
    t->status = 200;
    set_times(t);
    http_set_header(t->req, "Cache-Control", "no-cache");
    http_set_header(t->req, "X-Accel-Buffering", "no");
    http_begin(t->req, 200, t->wire->stream_type);
}

/* Puts `id: number` into the last frame of out from byte `from` on. */
static void name_last_frame(struct buf *out, size_t from, uint64_t number)
{
    char line[32];
    int n = snprintf(line, sizeof line, "id: %llu\n", (unsigned long long)number);
    size_t at = out->n >= from + 2 ? out->n - 2 : from; // before the empty line that ends it
    while (at > from && !(at >= from + 2 && out->p[at - 1] == '\n' && out->p[at - 2] == '\n'))
        at--;
    if (!buf_reserve(out, (size_t)n))
        return;
    memmove(out->p + at + n, out->p + at, out->n - at);
    memcpy(out->p + at, line, (size_t)n);
    out->n += (size_t)n;
}

/* For clients that asked: what the wire has no event for, as a comment. */
static void comment_progress(const struct chat_event *ev, struct buf *out)
{
    char text[80];
    if (ev->what == CHAT_WAITING)
        snprintf(text, sizeof text, "waiting %zu", ev->position);
    else
        snprintf(text, sizeof text, "prompt %zu/%zu", ev->position, ev->usage.n_prompt);
    http_sse_comment(out, text);
}

/* One event's bytes; those that the client has already are computed for the state's sake alone. */
static void encode(struct talk *t, const struct chat_event *ev, struct buf *out)
{
    size_t before = out->n;
    t->wire->event(&t->facts, t->state, ev, out);
    if (t->n_sent++ < t->n_skip)
        out->n = before;
    else if (out->n == before && t->comments &&
             (ev->what == CHAT_WAITING || ev->what == CHAT_PROGRESS))
        comment_progress(ev, out);
    else if (t->ids && out->n > before)
        name_last_frame(out, before, ev->number);
}

/* Sends what the log has and the client can take. */
static void follow_stream(struct talk *t)
{
    const struct chat_event *ev;
    struct buf out = BUF_INIT(ANSWER_MAX);
    while ((ev = run_event(t->run, t->n_sent))) {
        if (ev->what == CHAT_FAILED && !t->begun && !is_answer(t, ev->error)) {
            struct err e = own_words(t, ev->error);
            reply_error(t, &e);
            buf_free(&out);
            return;
        }
        if (!http_writable(t->req) || out.n > CHUNK_MAX)
            break;
        begin_stream(t);
        if (!t->first_ms)
            t->first_ms = clock_mono_ms();
        encode(t, ev, &out);
    }
    if (out.n) {
        http_write(t->req, buf_as_str(&out));
        t->last_sent_ms = clock_mono_ms();
    }
    buf_free(&out);
    bool all = run_event(t->run, t->n_sent) == NULL;
    if (all && run_is_over(t->run)) {
        const struct chat_event *last = run_event(t->run, t->n_sent - 1);
        record(t, last->what == CHAT_FAILED ? last->error : NULL, false);
        http_end(t->req);
        talk_free(t);
        return;
    }
    if (all == t->paused && !t->observes) { // a slow reader holds its own run back
        t->paused = !all;
        run_pause(t->run, t->paused);
    }
}

/* The answer as far as the log has it. */
static void reply_whole(struct talk *t)
{
    struct err refused;
    if (t->wire->refuse && t->wire->refuse(t->run, &refused)) {
        reply_error(t, &refused);
        return;
    }
    struct buf body = BUF_INIT(ANSWER_MAX);
    t->wire->whole(&t->facts, t->run, &body);
    if (body.full) {
        struct err e;
        buf_free(&body);
        err_set(&e, ERR_LIMIT, "the answer is larger than %zu bytes", ANSWER_MAX);
        reply_error(t, &e);
        return;
    }
    t->status = 200;
    record(t, NULL, false);
    set_times(t);
    http_reply(t->req, 200, "application/json", buf_as_str(&body));
    buf_free(&body);
    talk_free(t);
}

static void follow_whole(struct talk *t)
{
    if (!t->first_ms && run_event(t->run, 0))
        t->first_ms = clock_mono_ms();
    if (!run_is_over(t->run))
        return;
    const struct chat_event *ev;
    for (size_t i = 0; (ev = run_event(t->run, i)); i++)
        if (ev->what == CHAT_FAILED && !is_answer(t, ev->error)) {
            struct err e = own_words(t, ev->error);
            reply_error(t, &e);
            return;
        }
    reply_whole(t);
}

static void on_event(struct run *run, void *arg)
{
    struct talk *t = arg;
    (void)run;
    if (t->stream)
        follow_stream(t);
    else if (!t->sync)
        follow_whole(t);
}

/* The store has the run, or cannot have it: only now may a client hear that there is one.  What is
 * there of it is the answer, or a stream may begin; its follower tells of a failure. */
static void on_stored(const struct err *e, void *arg)
{
    struct talk *t = arg;
    t->sync = NULL;
    if (t->stream && !e && t->wire->at_once)
        begin_stream(t);
    else if (!t->stream && e)
        reply_error(t, e);
    else if (!t->stream)
        reply_whole(t);
}

static void on_room(struct http_req *r, void *arg)
{
    struct talk *t = arg;
    (void)r;
    if (t->stream)
        follow_stream(t);
}

static struct talk *talk_new(struct dialect *d, struct http_req *r, const struct route *route,
                             const struct wire *wire, const char *request_id, bool stream)
{
    struct talk *t = mem_calloc(1, sizeof *t);
    t->d = d;
    t->req = r;
    t->wire = wire;
    t->route = route->name;
    t->stream = stream;
    t->began_ms = t->last_sent_ms = clock_mono_ms();
    snprintf(t->request_id, sizeof t->request_id, "%s", request_id);
    t->next = d->talks;
    t->link = &d->talks;
    if (t->next)
        t->next->link = &t->next;
    d->talks = t;
    d->n_live++;
    t->ids = wire->sse && wishes(r, "X-Confab-Event-Ids", "ids");
    t->comments = wire->sse && wishes(r, "X-Confab-Progress", "progress");
    http_watch(r, on_gone, on_room, t);
    return t;
}

struct talk_facts talk_facts_of(const struct dialect *d, const struct wire *wire,
                                const struct run *run)
{
    const struct chat_request *cr = run_request(run);
    size_t n_prompts = cr->messages ? 1 : cr->n_prompts;
    struct talk_facts f = {.created_unix = run_created_unix(run),
                           .model = run_model(run)->name,
                           .fingerprint = d->conf.fingerprint,
                           .n_choices = (int)n_prompts * cr->n_choices,
                           .request = cr,
                           .seed = run_seed(run),
                           .created_ms = run_created_ms(run),
                           .plain_tools = d->conf.plain_tools};
    if (wire->name)
        wire->name(f.id, run);
    else
        snprintf(f.id, sizeof f.id, "%s%s", wire->id_prefix, run_id(run));
    return f;
}

/* t->run is known: what encoders may know of it, and the first look at its log. */
static void follow(struct talk *t)
{
    struct talk_facts f = talk_facts_of(t->d, t->wire, t->run);
    f.include_usage = t->facts.include_usage;
    f.echo = t->facts.echo;
    f.hide_reasoning = t->facts.hide_reasoning;
    f.functions = t->facts.functions;
    f.n_skip = t->facts.n_skip;
    f.progress = t->facts.progress;
    t->facts = f;
    t->state = mem_calloc(1, t->wire->state_size + 1);
    http_set_header(t->req, "X-Confab-Run", run_id(t->run));
    t->follower = run_follow(t->run, on_event, t);
}

/* A stream that begins at once ends so when there is no run. */
static void fail_at_once(struct talk *t, const struct err *e)
{
    struct chat_event ev = {.number = 1, .what = CHAT_FAILED, .error = e};
    struct buf out = BUF_INIT(8192);
    char id[ID_MAX];
    id_new(id, "");
    snprintf(t->facts.id, sizeof t->facts.id, "%s%s", t->wire->id_prefix, id);
    t->state = mem_calloc(1, t->wire->state_size + 1);
    begin_stream(t);
    t->wire->event(&t->facts, t->state, &ev, &out);
    http_write(t->req, buf_as_str(&out));
    buf_free(&out);
    record(t, e, false);
    http_end(t->req);
    talk_free(t);
}

/* Does the request ask for a run that outlasts the process? */
static bool wants_durable(struct http_req *r, bool *durable, struct err *e)
{
    str wish;
    *durable = r && (http_header(r, "X-Confab-Durable", &wish) || http_query(r, "durable", &wish));
    if (!*durable || str_eqc(wish, "1") || str_eqc(wish, "true"))
        return true;
    *durable = false;
    if (str_eqc(wish, "0") || str_eqc(wish, "false"))
        return true;
    err_set_at(e, ERR_INPUT, "X-Confab-Durable", "X-Confab-Durable must be 1 or 0");
    return err_kind(e, "invalid_value");
}

/* What is to become of the run: does it end with its client, with the process? */
static bool set_life(struct dialect *d, struct http_req *r, const struct talk_order *order,
                     struct run *run, struct err *e)
{
    bool asked;
    if (!wants_durable(r, &asked, e))
        return false;
    bool detach = order->detach || asked || (r && wishes(r, "X-Confab-Detach", "detach"));
    bool durable = asked || (order->store && d->conf.store && store_is_durable(d->conf.store));
    if ((detach || durable) && !runs_may_wait(d->conf.runs, dialect_team(d), e))
        return false;
    if (durable && !run_make_durable(run, e))
        return false;
    if (detach)
        run_detach(run);
    return true;
}

/* Wires that a body or header chose instead of its route's. */
static const struct {
    const char *name;
    const struct wire *wire;
} chosen[] = {
    {"pawa.sse", &pawa_sse_wire},
    {"paddler.current", &paddler_current_wire},
    {"paddler.parsed", &paddler_parsed_wire},
};

/* How the client is answered is kept with the run, so that who observes it sees the same bytes. */
static void keep_manner(const struct talk_order *o, struct chat_request *r)
{
    json_t *manner =
        json_pack("{s:b s:b s:b s:b s:b}", "usage", o->include_usage, "echo", o->echo, "hide",
                  o->hide_reasoning, "functions", o->functions, "progress", o->progress);
    for (size_t i = 0; i < COUNT(chosen); i++)
        if (o->wire == chosen[i].wire)
            json_object_set_new(manner, "wire", json_string(chosen[i].name));
    if (!r->aside)
        r->aside = json_object();
    json_object_set_new(r->aside, "talk", manner);
}

/* The same for an observer in the dialect that began the run; others are told all. */
static void take_manner(struct talk *t, const struct route *route)
{
    const json_t *manner = json_object_get(run_request(t->run)->aside, "talk");
    const char *wire = json_string_value(json_object_get(manner, "wire"));
    t->facts.include_usage = true;
    if (!manner || strcmp(route->name, run_origin(t->run)) != 0)
        return;
    t->facts.include_usage = json_is_true(json_object_get(manner, "usage"));
    t->facts.echo = json_is_true(json_object_get(manner, "echo"));
    t->facts.hide_reasoning = json_is_true(json_object_get(manner, "hide"));
    t->facts.functions = json_is_true(json_object_get(manner, "functions"));
    t->facts.progress = json_is_true(json_object_get(manner, "progress"));
    for (size_t i = 0; wire && i < COUNT(chosen); i++)
        if (strcmp(wire, chosen[i].name) == 0)
            t->wire = chosen[i].wire;
}

struct run *talk_run(struct dialect *d, struct http_req *r, struct talk_order *order,
                     const char *origin, struct err *e)
{
    char seed[32];
    if (r && order->ignored.n)
        http_set_header(r, "X-Confab-Ignored", buf_cstr(&order->ignored));
    buf_free(&order->ignored);
    keep_manner(order, order->request);
    order->request->want_progress |=
        order->progress || (r && wishes(r, "X-Confab-Progress", "progress"));
    order->request->team = arena_str(&order->request->arena, dialect_team(d));
    order->request->n_body = r ? http_body(r).n : 0;
    struct run *run = run_start(d->conf.runs, order->request, e);
    if (!run)
        return NULL;
    run_set_origin(run, origin);
    if (!set_life(d, r, order, run, e)) {
        run_forget(run);
        run_drop(run);
        return NULL;
    }
    if (order->late.code != ERR_NONE)
        run_fail(run, &order->late);
    snprintf(seed, sizeof seed, "%llu", (unsigned long long)run_seed(run));
    if (r)
        http_set_header(r, "X-Confab-Seed", seed);
    return run;
}

void talk_start(struct dialect *d, struct http_req *r, const struct route *route,
                const char *request_id, struct talk_order *order)
{
    const struct wire *wire = order->wire ? order->wire : route->wire;
    struct talk *t = talk_new(d, r, route, wire, request_id, order->stream);
    struct err e;

    t->facts.include_usage = order->include_usage;
    t->facts.echo = order->echo;
    t->facts.hide_reasoning = order->hide_reasoning;
    t->facts.functions = order->functions;
    t->facts.progress = order->progress;
    t->run = talk_run(d, r, order, route->name, &e);
    if (!t->run) {
        if (wire->at_once && t->stream)
            fail_at_once(t, &e);
        else
            reply_error(t, &e);
        return;
    }
    follow(t);
    if (wire->name && !run_set_alias(t->run, str_c(t->facts.id), &e))
        run_fail(t->run, &e); // cannot be: the name is made of the run's own
    if (!order->acknowledge && !t->stream)
        return;
    t->sync = run_sync(t->run, on_stored, t);
    if (!t->sync)
        on_stored(NULL, t);
}

static void observe(struct dialect *d, struct http_req *r, const struct route *route,
                    const char *request_id, struct run *run, size_t after, uint64_t n_skip)
{
    struct talk *t = talk_new(d, r, route, route->wire, request_id, true);
    t->run = run;
    t->n_skip = after;
    t->observes = true;
    take_manner(t, route);
    t->facts.n_skip = n_skip;
    follow(t);
    if (t->wire->at_once)
        begin_stream(t);
}

void talk_observe(struct dialect *d, struct http_req *r, const struct route *route,
                  const char *request_id, struct run *run, size_t after)
{
    observe(d, r, route, request_id, run, after, 0);
}

void talk_observe_frames(struct dialect *d, struct http_req *r, const struct route *route,
                         const char *request_id, struct run *run, uint64_t n_skip)
{
    observe(d, r, route, request_id, run, 0, n_skip);
}
