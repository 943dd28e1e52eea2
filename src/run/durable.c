/* run/durable.c - runs that outlast the process: what the log gains goes to the store, and is seen
 * once it is on disk.
 *
 * One order about a run is with the store at a time; what the log gains meanwhile goes with the
 * next, so that orders cannot overtake each other and a slow disk makes them larger, not more. */
#include "run/run_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/pack.h"

#include <assert.h>

#define EVENTS_MAX 1024              // of an order
#define BYTES_MAX  ((size_t)8 << 20) // of an order's events; one more may be begun
#define RETRY_MS   500               // after the disk was full

/* Somebody waits until the log, as it was, is on disk, or the run is gone from there. */
struct run_sync {
    struct run *run;
    size_t want; // events
    bool gone;   // ... and the run forgotten
    void (*done)(const struct err *e, void *arg);
    void *arg;
    struct run_sync *next, **link;
};

static bool has_news(const struct run *run)
{
    return run->durable && (!run->stored || run->n_visible < run->n_events || run->forgotten);
}

bool run_is_unsaved(const struct run *run)
{
    return run->storing || has_news(run);
}

void run_mark_unsaved(struct run *run)
{
    struct runs *rs = run->runs;
    if (run->in_unsaved || run->storing || !has_news(run))
        return;
    run->in_unsaved = true;
    run->unsaved_next = rs->unsaved;
    rs->unsaved = run;
}

bool run_make_durable(struct run *run, struct err *e)
{
    struct runs *rs = run->runs;
    assert(run->n_events == 0);
    if (!rs->conf.store || !store_is_durable(rs->conf.store)) {
        err_set_at(e, ERR_INPUT, "X-Confab-Durable",
                   "nothing outlasts this server: it was started without --data");
        return err_kind(e, "unsupported_value");
    }
    run->durable = true;
    run_mark_unsaved(run);
    return true;
}

bool run_is_durable(const struct run *run)
{
    return run->durable;
}

/* Who waits for the run hears how it went; with an error, everybody does. */
static void tell(struct run *run, const struct err *e)
{
    struct run_sync *s, *next;
    for (s = run->syncs; s; s = next) {
        next = s->next;
        bool there = run->stored && run->n_visible >= s->want && !s->gone;
        if (!e && !there && run->durable)
            continue;
        *s->link = s->next;
        if (s->next)
            s->next->link = s->link;
        s->next = run->told; // called when the loop over all of them is done
        s->link = &run->told;
        if (s->next)
            s->next->link = &s->next;
        run->told = s;
    }
    while ((s = run->told)) {
        void (*done)(const struct err *, void *) = s->done;
        void *arg = s->arg;
        run_unsync(s);
        done(e, arg);
    }
}

struct run_sync *run_sync(struct run *run, void (*done)(const struct err *e, void *arg), void *arg)
{
    if (!run_is_unsaved(run))
        return NULL;
    struct run_sync *s = mem_calloc(1, sizeof *s);
    *s = (struct run_sync){.run = run,
                           .want = run->n_events,
                           .gone = run->forgotten,
                           .done = done,
                           .arg = arg,
                           .next = run->syncs,
                           .link = &run->syncs};
    if (s->next)
        s->next->link = &s->next;
    run->syncs = s;
    return s;
}

void run_unsync(struct run_sync *s)
{
    if (!s)
        return;
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    mem_free(s);
}

/* Replies of the store.  Each holds the run, so that those who are told may drop it. */

static void reply_taken(struct run *run, const struct err *e)
{
    run->holders++;
    tell(run, e);
    run_mark_unsaved(run);
    run_drop(run);
}

/* Can it be tried again? */
static bool is_passing(const struct err *e)
{
    return e->code == ERR_BUSY || e->code == ERR_IO;
}

static void on_new(const struct store_reply *r, void *arg)
{
    struct run *run = arg;
    run->storing = false;
    if (!r->error) {
        run->stored = true;
    } else {
        log_warn("run.refused", "id=%s error=%s", run->id, r->error->msg);
        run_lose(run, r->error); // nothing of it was acknowledged
    }
    reply_taken(run, r->error);
}

static void put_off(struct run *run, const struct err *e)
{
    run->retry_ms = clock_mono_ms() + RETRY_MS;
    if (!run->put_off)
        log_error("run.not_stored", "id=%s error=%s", run->id, e->msg);
    run->put_off = true;
}

static void on_add(const struct store_reply *r, void *arg)
{
    struct run *run = arg;
    run->storing = false;
    if (!r->error) {
        run->n_visible += run->n_ordered;
        run->put_off = false;
        run_announce(run);
    } else if (is_passing(r->error)) {
        put_off(run, r->error);
    } else {
        log_error("run.lost", "id=%s error=%s", run->id, r->error->msg);
        run_lose(run, r->error);
    }
    reply_taken(run, r->error);
}

static void on_delete(const struct store_reply *r, void *arg)
{
    struct run *run = arg;
    run->storing = false;
    bool gone = !r->error || r->error->code == ERR_NOT_FOUND;
    if (gone || !is_passing(r->error)) {
        run->durable = false;
        run->n_visible = run->n_events;
        run_announce(run);
    } else {
        put_off(run, r->error);
    }
    reply_taken(run, gone ? NULL : r->error);
}

/* Orders. */

static bool order_new(struct run *run, struct err *e)
{
    struct buf request = BUF_INIT((size_t)1 << 30);
    struct store_run r = {
        .id = str_c(run->id),
        .team = run->request->team,
        .alias = run_alias(run),
        .origin = str_c(run->origin),
        .model = str_c(run->model->name),
        .seed = run->seed,
        .created_ms = run->created_ms,
        .deadline_ms = run->deadline_unix_ms,
    };
    bool ok = chat_request_pack(run->request, &request) ||
              err_set(e, ERR_LIMIT, "the request is too large to be stored");
    r.request = buf_as_str(&request);
    ok = ok && store_run_new(run->runs->conf.store, &r, on_new, run, e);
    buf_free(&request);
    return ok;
}

static enum store_state state_of(const struct run *run)
{
    const struct chat_event *last = &run->events[run->n_events - 1];
    if (last->what == CHAT_COMPLETED)
        return STORE_COMPLETED;
    if (last->what != CHAT_FAILED)
        return STORE_LIVE;
    return run->failure.code == ERR_CANCELED ? STORE_CANCELLED : STORE_FAILED;
}

static bool order_add(struct run *run, struct err *e)
{
    struct buf bytes = BUF_INIT((size_t)1 << 30);
    size_t ends[EVENTS_MAX];
    str events[EVENTS_MAX];
    size_t n = 0, left = run->n_events - run->n_visible;
    while (n < left && n < EVENTS_MAX && bytes.n < BYTES_MAX) {
        size_t i = run->n_visible + n;
        if (!chat_event_pack(&run->events[i], run->behind[i], &bytes))
            break;
        ends[n++] = bytes.n;
    }
    for (size_t i = 0; i < n; i++)
        events[i] =
            str_sub(buf_as_str(&bytes), i ? ends[i - 1] : 0, ends[i] - (i ? ends[i - 1] : 0));
    struct store_more m = {.first = run->n_visible + 1,
                           .events = events,
                           .n = n,
                           .n_prompt = run->n_prompt,
                           .n_evicted = run->n_evicted};
    if (n == left && (m.state = state_of(run)) != STORE_LIVE)
        m.ended_ms = run->events[run->n_events - 1].unix_ms;
    run->n_ordered = n;
    bool ok = n > 0 || err_set(e, ERR_LIMIT, "an event is too large to be stored");
    ok = ok && store_run_add(run->runs->conf.store, str_c(run->id), &m, on_add, run, e);
    buf_free(&bytes);
    return ok;
}

/* Orders what is to be ordered next; true: the run stays on the list of those to look at. */
static bool save(struct run *run)
{
    struct store *store = run->runs->conf.store;
    struct err e;
    if (run->storing || !has_news(run))
        return false;
    if (run->retry_ms > clock_mono_ms())
        return true;
    bool ok;
    if (!run->stored)
        ok = order_new(run, &e);
    else if (run->n_visible < run->n_events && !(run->forgotten && run->put_off))
        ok = order_add(run, &e);
    else
        ok = store_run_delete(store, str_c(run->id), on_delete, run, &e);
    run->storing = ok;
    if (!ok && (!run->stored || !is_passing(&e))) {
        run->holders++;
        run_lose(run, &e);
        tell(run, &e);
        run_drop(run);
        return false;
    }
    if (!ok)
        put_off(run, &e);
    return !ok;
}

void runs_save(struct runs *rs)
{
    struct run *list = rs->unsaved, *next;
    rs->unsaved = NULL;
    for (struct run *run = list; run; run = next) {
        next = run->unsaved_next;
        run->in_unsaved = false;
        if (save(run))
            run_mark_unsaved(run);
    }
}

void run_note_drawn(struct run *run, int choice, const struct sched_piece *piece)
{
    if (!run->durable || piece->n_listed == 0)
        return;
    size_t n = (size_t)piece->n_listed, from = run_replay_known(run, choice, n);
    if (from == n)
        return;
    run->drawn.max = (size_t)1 << 20;
    chat_pack_number(&run->drawn, (uint64_t)run_round(run));
    chat_pack_number(&run->drawn, (uint64_t)choice);
    chat_pack_number(&run->drawn, (uint64_t)(n - from));
    for (size_t i = from; i < n; i++)
        chat_pack_number(&run->drawn, (uint64_t)piece->tokens[i].id);
}
