/* run/revive.c - runs that come back from the store: complete ones to be read, live ones to go on.
 *
 * A run that is over leaves memory when there is too much (keep.c); who asks for it has it read
 * again.  At the start all live runs are read and begun again: their log stays, and what is
 * computed again is held against it (replay.c). */
#include "run/run_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "chat/pack.h"

#include <assert.h>

#define REQUEST_MAX ((size_t)1 << 30) // bytes of memory of a stored request

/* Is what was read a log that this house could have written? */
static bool check_log(const struct run *run, enum store_state state, struct err *e)
{
    int n_choices = (int)run->n_parts * run->request->n_choices;
    bool over = false;
    for (size_t i = 0; i < run->n_events; i++) {
        const struct chat_event *ev = &run->events[i];
        if (over || ev->number != i + 1 || ev->choice >= n_choices)
            return err_set(e, ERR_FORMAT, "the stored run is damaged at event %zu", i + 1);
        over = ev->what == CHAT_COMPLETED || ev->what == CHAT_FAILED;
    }
    return over == (state != STORE_LIVE) ||
           err_set(e, ERR_FORMAT, "the stored run is damaged: its state does not fit its log");
}

static bool read_log(struct run *run, const struct store_reply *r, struct err *e)
{
    run->cap_events = r->n + 1;
    run->events = mem_calloc(run->cap_events, sizeof *run->events);
    run->behind = mem_calloc(run->cap_events, sizeof *run->behind);
    for (size_t i = 0; i < r->n; i++) {
        if (!chat_event_unpack(r->events[i], &run->text, &run->events[i], &run->behind[i], e))
            return false;
        run->n_events++;
    }
    run->n_visible = run->n_events;
    if (!check_log(run, r->run->state, e))
        return false;
    for (size_t i = 0; i < run->n_events; i++)
        run->started |= run->events[i].what == CHAT_STARTED;
    run->over = r->run->state != STORE_LIVE;
    if (run->over && run->events[run->n_events - 1].error)
        run->failure = *run->events[run->n_events - 1].error;
    return true;
}

/* The model that answers it; of one that is not loaded any more, the name and else any. */
static const struct run_model *model_of(struct runs *rs, str name, struct run_model *gone)
{
    const struct run_model *m = runs_find_model(rs, name);
    if (m && name.n)
        return m;
    *gone = rs->models[0];
    gone->name = mem_strdup(name);
    return NULL;
}

/* Token ids, in lists or in lists of lists. */
static bool are_below(const json_t *list, int n_vocab)
{
    const json_t *v;
    size_t i;
    json_array_foreach(list, i, v)
    {
        if (json_is_array(v) ? !are_below(v, n_vocab) : json_integer_value(v) >= n_vocab)
            return false;
    }
    return true;
}

static bool is_computable(const struct run *run, struct err *e)
{
    const struct chat_request *r = run->request;
    int n_vocab = run->model->info->n_vocab;
    bool ok = r->top_logprobs <= SCHED_TOP_MAX;
    for (size_t i = 0; i < r->n_prompts; i++)
        for (size_t k = 0; k < r->prompts[i].n_tokens; k++)
            ok &= r->prompts[i].tokens[k] < n_vocab;
    for (size_t i = 0; i < r->n_bias; i++)
        ok &= r->bias[i].id < n_vocab;
    for (size_t i = 0; i < r->n_ends; i++)
        ok &= r->ends[i] < n_vocab;
    ok = ok && are_below(r->forced, n_vocab) && are_below(r->bad_tokens, n_vocab) &&
         are_below(r->stop_tokens, n_vocab);
    return ok || err_set(e, ERR_INTERNAL,
                         "the run could not go on after a restart: the model '%s' is another one",
                         run->model->name);
}

/* Lets a live run that was read go on, or ends it with the reason why it cannot. */
static void go_on(struct run *run, bool model_is_there)
{
    struct err e = {0};
    int64_t now = clock_unix_ms();
    run->detached = true; // whoever began it is gone
    run->runs->counts.live++;
    run->runs->counts.resumed++;
    if (!model_is_there)
        err_set(&e, ERR_NOT_FOUND,
                "the run could not go on after a restart: the model '%s' is not loaded any more",
                run->model->name);
    else if (run->deadline_unix_ms && now >= run->deadline_unix_ms)
        err_set(&e, ERR_TIMEOUT, "the request's deadline passed while the server was away");
    else if (is_computable(run, &e))
        run_replay_open(run);
    if (run->deadline_unix_ms)
        run->deadline_ms = clock_mono_ms() + (uint64_t)(run->deadline_unix_ms - now);
    log_info("run.resume", "id=%s events=%zu%s%s", run->id, run->n_events, e.code ? " error=" : "",
             e.msg);
    if (e.code != ERR_NONE)
        run_fail(run, &e);
    else
        run_begin(run);
}

/* The run of a reply, held; NULL with an error. */
static struct run *revive(struct runs *rs, const struct store_reply *r, struct err *e)
{
    struct run *run = NULL;
    HASH_FIND(hh, rs->by_id, r->run->id.p, (unsigned)r->run->id.n, run);
    if (run && run->forgotten) {
        err_set(e, ERR_NOT_FOUND, "the run was deleted");
        return NULL;
    }
    if (run) {
        runs_unkeep(run);
        run->holders++;
        return run;
    }
    struct chat_request *request = chat_request_unpack(r->run->request, REQUEST_MAX, e);
    if (!request)
        return NULL;
    struct run_model gone = {0};
    const struct run_model *model = model_of(rs, r->run->model, &gone);
    run = run_new(rs, model ? model : &gone, request);
    if (!model) {
        run->gone_model = mem_alloc(sizeof gone);
        *run->gone_model = gone;
        run->model = run->gone_model;
    }
    snprintf(run->id, sizeof run->id, "%.*s", STR_ARG(r->run->id));
    HASH_ADD(hh, rs->by_id, id, (unsigned)strlen(run->id), run);
    snprintf(run->origin, sizeof run->origin, "%.*s", STR_ARG(r->run->origin));
    run->created_ms = r->run->created_ms;
    run->deadline_unix_ms = r->run->deadline_ms;
    run->seed = r->run->seed;
    run->n_prompt = r->run->n_prompt;
    run->n_evicted = r->run->n_evicted;
    run->durable = run->stored = true;
    struct err taken;
    if (!read_log(run, r, e)) {
        run_free(run);
        return NULL;
    }
    if (r->run->alias.n && !run_set_alias(run, r->run->alias, &taken))
        log_warn("run.alias", "id=%s error=%s", run->id, taken.msg);
    if (!run->over)
        go_on(run, model != NULL);
    return run;
}

/* Runs that somebody asks for. */

struct run_load {
    struct runs *runs;
    char *name, *team;
    size_t n_name, n_team;
    bool short_name;                              // what stands behind a wire's prefix is asked for
    void (*done)(const struct err *e, void *arg); // NULL: nobody waits any more
    void *arg;
};

static void load_free(struct run_load *l)
{
    mem_free(l->name);
    mem_free(l->team);
    mem_free(l);
}

static void on_load(const struct store_reply *r, void *arg);

static bool order_load(struct run_load *l, str name, struct err *e)
{
    return store_run_load(l->runs->conf.store, name, str_n(l->team, l->n_team), on_load, l, e);
}

/* What stands behind the last '-' or '_' of a name; empty: there is none. */
static str behind_prefix(str name)
{
    size_t i = name.n;
    while (i > 0 && name.p[i - 1] != '-' && name.p[i - 1] != '_')
        i--;
    return i > 0 ? str_from(name, i) : STR("");
}

static void on_load(const struct store_reply *r, void *arg)
{
    struct run_load *l = arg;
    struct run *run = NULL;
    struct err e = {0};
    str less = behind_prefix(str_n(l->name, l->n_name));
    if (r->error && r->error->code == ERR_NOT_FOUND && !l->short_name && less.n && l->done) {
        l->short_name = true;
        if (order_load(l, less, &e))
            return;
    } else if (r->error) {
        e = *r->error;
    } else if (l->done) {
        run = revive(l->runs, r, &e);
    }
    if (e.code != ERR_NONE && e.code != ERR_NOT_FOUND)
        log_error("run.unreadable", "name=%.*s error=%s", (int)size_min(l->n_name, 100), l->name,
                  e.msg);
    bool failed = e.code != ERR_NONE && e.code != ERR_NOT_FOUND;
    if (l->done)
        l->done(failed ? &e : NULL, l->arg);
    if (run)
        run_drop(run);
    load_free(l);
}

bool runs_load(struct runs *rs, str name, str team, void (*done)(const struct err *e, void *arg),
               void *arg, struct run_load **out, struct err *e)
{
    *out = NULL;
    struct run *run = runs_find(rs, name, team);
    if (!run && behind_prefix(name).n)
        run = runs_find(rs, behind_prefix(name), team);
    if (run)
        run_drop(run);
    if (run || !rs->conf.store || !store_is_durable(rs->conf.store) || name.n == 0 ||
        name.n > RUN_ALIAS_MAX)
        return true;
    struct run_load *l = mem_calloc(1, sizeof *l);
    *l = (struct run_load){.runs = rs,
                           .name = mem_strdup(name),
                           .team = mem_strdup(team),
                           .n_name = name.n,
                           .n_team = team.n,
                           .done = done,
                           .arg = arg};
    if (!order_load(l, name, e)) {
        load_free(l);
        return false;
    }
    *out = l;
    return true;
}

void run_unload(struct run_load *l)
{
    if (l)
        l->done = NULL;
}

/* Runs that were live when the process ended. */

static void resume_next(struct runs *rs);

static void on_resume(const struct store_reply *r, void *arg)
{
    struct runs *rs = arg;
    struct err e = {0};
    struct run *run = NULL;
    if (r->error)
        e = *r->error;
    else
        run = revive(rs, r, &e);
    if (run)
        run_drop(run);
    else if (e.code != ERR_NOT_FOUND)
        log_error("run.unreadable", "id=%s error=%s", rs->resume_ids[rs->resume_at - 1], e.msg);
    resume_next(rs);
}

static void resume_next(struct runs *rs)
{
    struct err e;
    if (rs->resume_at < rs->n_resume && !rs->stopping) {
        if (store_run_resume(rs->conf.store, str_c(rs->resume_ids[rs->resume_at++]), on_resume, rs,
                             &e))
            return;
        log_error("run.resume", "error=%s", e.msg);
    }
    for (size_t i = 0; i < rs->n_resume; i++)
        mem_free(rs->resume_ids[i]);
    mem_free(rs->resume_ids);
    rs->resume_ids = NULL;
    rs->n_resume = rs->resume_at = 0;
}

static void on_live(const struct store_reply *r, void *arg)
{
    struct runs *rs = arg;
    if (r->error) {
        log_error("run.resume", "error=%s", r->error->msg);
        return;
    }
    rs->resume_ids = mem_calloc(r->n + 1, sizeof *rs->resume_ids);
    for (size_t i = 0; i < r->n; i++)
        rs->resume_ids[i] = mem_strdup(r->ids[i]);
    rs->n_resume = r->n;
    resume_next(rs);
}

bool runs_resume(struct runs *rs, struct err *e)
{
    if (!rs->conf.store || !store_is_durable(rs->conf.store))
        return true;
    return store_run_live(rs->conf.store, on_live, rs, e);
}
