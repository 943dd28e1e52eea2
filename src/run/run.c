/* run/run.c - from request to log: prep, scheduler jobs, their pieces as events. */
#include "run/run_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>

static char wake; // an item of the queue that only wakes

#define RETRY_MS 250 // how often waiting runs are looked at when nothing happens

struct runs_conf runs_conf_default(void)
{
    return (struct runs_conf){.n_workers = 2,
                              .max_preparing = 64,
                              .max_choices = 16,
                              .max_log = (size_t)16 << 20,
                              .timeout_ms = 0,
                              .grams_bytes = (size_t)128 << 20,
                              .keep_bytes = (size_t)64 << 20,
                              .keep_ms = 3600 * 1000};
}

bool runs_open(struct runs **out, const struct run_model *models, size_t n_models,
               const struct runs_conf *conf, struct err *e)
{
    struct runs *rs = mem_calloc(1, sizeof *rs);
    rs->conf = *conf;
    rs->n_models = n_models;
    rs->models = mem_calloc(n_models, sizeof *rs->models);
    memcpy(rs->models, models, n_models * sizeof *models);
    // As many again for runs that are prepared anew behind their tools.
    rs->to_prepare = queue_new((size_t)conf->max_preparing * 2, false);
    rs->waiting_last = &rs->waiting;
    rs->fresh_last = &rs->fresh;
    rs->grams = grams_new(conf->grams_bytes);
    rs->prepared = queue_new((size_t)(conf->max_preparing * 2 + conf->n_workers + 1), true);
    rs->workers = mem_calloc((size_t)conf->n_workers, sizeof *rs->workers);
    for (int i = 0; i < conf->n_workers; i++) {
        if (pthread_create(&rs->workers[i], NULL, run_prep_thread, rs) != 0) {
            runs_close(rs);
            return err_set(e, ERR_INTERNAL, "cannot start the prep threads");
        }
        rs->n_workers++;
    }
    if (!runs_resume(rs, e)) {
        runs_close(rs);
        return false;
    }
    *out = rs;
    return true;
}

void run_free(struct run *run)
{
    assert(!run->waiting && !run->in_unsaved && !run->storing && !run->syncs);
    run_clear_alias(run);
    HASH_DEL(run->runs->by_id, run);
    run_replay_close(run);
    if (run->gone_model)
        mem_free((char *)run->gone_model->name);
    mem_free(run->gone_model);
    mem_free(run->behind);
    buf_free(&run->drawn);
    for (size_t i = 0; i < run->n_parts; i++)
        tok_ids_free(&run->parts[i].ids);
    mem_free(run->parts);
    run_output_close(run);
    grams_of_free(&run->grams);
    run_rounds_free(run);
    chat_request_free(run->request);
    if (run->charged)
        budget_give(run->runs->conf.budget, BUDGET_TEXTS, run->charged);
    arena_fini(&run->text);
    mem_free(run->events);
    mem_free(run);
}

/* The process ends, and so does the run, unless it lasts and goes on later. */
static void end_for_good(struct run *run)
{
    struct err e;
    err_set(&e, ERR_CANCELED, "the server is stopping");
    run_end_early(run, &e);
}

void runs_close(struct runs *rs)
{
    if (!rs)
        return;
    queue_close(rs->to_prepare);
    for (int i = 0; i < rs->n_workers; i++)
        pthread_join(rs->workers[i], NULL);
    runs_stop(rs);
    while (rs->waiting) {
        struct run *run = rs->waiting;
        end_for_good(run);
        run_settle(run);
    }
    runs_turn(rs);      // takes what workers and schedulers have left
    if (rs->conf.store) // and what the store is still to get
        do
            store_drain(rs->conf.store);
        while (runs_turn(rs), store_n_orders(rs->conf.store) > 0);
    for (struct run *run = rs->unsaved, *next; run; run = next) { // it cannot be had now
        next = run->unsaved_next;
        run->in_unsaved = run->durable = false;
        run_settle(run);
    }
    rs->unsaved = NULL;
    runs_expire(rs, true);
    assert(rs->counts.live == 0 && !rs->by_id);
    queue_free(rs->to_prepare);
    queue_free(rs->prepared);
    grams_free(rs->grams);
    mem_free(rs->workers);
    mem_free(rs->models);
    mem_free(rs);
}

size_t runs_n_fds(const struct runs *rs)
{
    return rs->n_models + 1;
}

int runs_fd(const struct runs *rs, size_t i)
{
    return queue_fd(i < rs->n_models ? rs->models[i].sched_out : rs->prepared);
}

void runs_stop(struct runs *rs)
{
    rs->stopping = true;
}

size_t runs_n_models(const struct runs *rs)
{
    return rs->n_models;
}

const struct run_model *runs_model(const struct runs *rs, size_t i)
{
    return &rs->models[i];
}

const struct run_model *runs_find_model(const struct runs *rs, str name)
{
    if (name.n == 0)
        return &rs->models[0];
    for (size_t i = 0; i < rs->n_models; i++)
        if (str_eqc(name, rs->models[i].name))
            return &rs->models[i];
    return NULL;
}

void runs_counts(const struct runs *rs, struct runs_counts *out)
{
    *out = rs->counts;
}

void run_settle(struct run *run)
{
    if (run->holders > 0)
        return;
    if (!run->over && (!run->detached || run->forgotten))
        run_cancel(run);
    if (run->preparing || run->n_jobs > 0 || !run->over || run_is_unsaved(run))
        return;
    run_unwait(run);
    if (run->forgotten) {
        runs_unkeep(run);
        run_free(run);
    } else if (!run->kept) {
        runs_keep(run);
    }
}

struct run *runs_find(struct runs *rs, str id, str team)
{
    struct run *run = NULL;
    if (id.n > 0 && id.n < ID_MAX)
        HASH_FIND(hh, rs->by_id, id.p, (unsigned)id.n, run);
    if (!run)
        run = runs_find_alias(rs, id, team);
    if (!run || run->forgotten || !str_eq(run->request->team, team))
        return NULL;
    runs_unkeep(run);
    run->holders++;
    return run;
}

void run_drop(struct run *run)
{
    assert(run->holders > 0);
    run->holders--;
    run_settle(run);
}

void run_detach(struct run *run)
{
    run->detached = true;
}

void run_forget(struct run *run)
{
    run->forgotten = true;
    run_clear_alias(run);
    run_mark_unsaved(run);
    run_settle(run);
}

static bool check_request(const struct runs *rs, const struct run_model *model,
                          const struct chat_request *r, struct err *e)
{
    size_t n_prompts = r->messages ? 1 : r->n_prompts;
    if (n_prompts == 0)
        return err_set_at(e, ERR_INPUT, "prompt", "there is no prompt");
    if ((size_t)r->n_choices > (size_t)rs->conf.max_choices / n_prompts)
        return err_set_at(e, ERR_INPUT, "n", "at most %d answers can be computed for one request",
                          rs->conf.max_choices);
    if ((r->n_server_tools || r->n_mcp) && (r->n_choices > 1 || !r->messages)) {
        err_set_at(e, ERR_INPUT, "n", "tools that run on the server go with one answer alone");
        return err_kind(e, "out_of_range");
    }
    for (size_t i = 0; i < r->n_ends; i++)
        if (r->ends[i] < 0 || r->ends[i] >= model->info->n_vocab) {
            err_set_at(e, ERR_INPUT, "eos_token", "'eos_token[%zu]' is no token of this model", i);
            return err_kind(e, "out_of_range");
        }
    return true;
}

struct run *run_new(struct runs *rs, const struct run_model *model, struct chat_request *r)
{
    struct run *run = mem_calloc(1, sizeof *run);
    run->runs = rs;
    run->model = model;
    run->request = r;
    run->holders = 1;
    run->request_bytes = r->arena.used + r->n_body;
    arena_init(&run->text, rs->conf.max_log);
    run->n_parts = r->messages ? 1 : r->n_prompts;
    run->parts = mem_calloc(run->n_parts, sizeof *run->parts);
    for (size_t i = 0; i < run->n_parts; i++) {
        run->parts[i].run = run;
        run->parts[i].index = (int)i;
        // Far more than fits, so that the error can give the exact number.
        tok_ids_init(&run->parts[i].ids,
                     size_max((size_t)1 << 20, (size_t)sched_n_ctx(model->sched) * 4));
    }
    return run;
}

bool run_to_prepare(struct run *run)
{
    grams_of_free(&run->grams); // tools may have come, and the choice among them changes
    grams_find(run->runs->grams, run->model->tmpl, run->request, &run->grams);
    return queue_push(run->runs->to_prepare, run);
}

void run_begin(struct run *run)
{
    struct runs *rs = run->runs;
    if (rs->n_preparing >= rs->conf.max_preparing) {
        run_wait(run);
        return;
    }
    run->preparing = true;
    rs->n_preparing++;
    run->fresh_next = NULL;
    *rs->fresh_last = run;
    rs->fresh_last = &run->fresh_next;
    if (!rs->woken) // whoever begins runs need not call runs_turn
        rs->woken = queue_push(rs->prepared, &wake);
}

/* From here on a worker may change the request; the store has a copy of it by now. */
static void hand_over(struct runs *rs)
{
    struct run *run = rs->fresh, *next;
    rs->fresh = NULL;
    rs->fresh_last = &rs->fresh;
    for (; run; run = next) {
        next = run->fresh_next;
        if (rs->stopping)
            end_for_good(run);
        if (run->over) {
            run->preparing = false;
            rs->n_preparing--;
            run_settle(run);
        } else if (!run_rounds_begin(run)) {
            bool ok = run_to_prepare(run);
            assert(ok);
        }
    }
}

struct run *run_start(struct runs *rs, struct chat_request *r, struct err *e)
{
    const struct run_model *model = runs_find_model(rs, r->model);
    if (!model) {
        err_set_at(e, ERR_NOT_FOUND, "model", "No model named '%.*s' is loaded here.",
                   STR_ARG(str_sub(r->model, 0, 100)));
        err_kind(e, "model_not_found");
        goto refuse;
    }
    if (!check_request(rs, model, r, e))
        goto refuse;
    if (rs->n_preparing >= rs->conf.max_preparing) {
        err_set(e, ERR_BUSY, "too many requests are being prepared; try again later");
        goto refuse;
    }

    struct run *run = run_new(rs, model, r);
    id_new(run->id, "");
    HASH_ADD(hh, rs->by_id, id, (unsigned)strlen(run->id), run);
    if (!run_charge(run, sizeof *run + run->request_bytes, e)) {
        run_free(run);
        return NULL;
    }
    run->created_ms = clock_unix_ms();
    run->seed = r->has_seed
                    ? r->seed
                    : rng_u64() >> 11; // exact as a double, for clients that have nothing else
    uint32_t timeout_ms = r->timeout_ms ? r->timeout_ms : rs->conf.timeout_ms;
    run->deadline_ms = timeout_ms ? clock_mono_ms() + timeout_ms : 0;
    run->deadline_unix_ms = timeout_ms ? run->created_ms + timeout_ms : 0;
    rs->counts.live++;
    rs->counts.started++;
    run_begin(run);
    return run;
refuse:
    chat_request_free(r);
    return NULL;
}

void run_pause(struct run *run, bool paused)
{
    run->paused = paused;
    for (size_t i = 0; i < run->n_parts; i++)
        if (run->parts[i].job)
            sched_pause(run->parts[i].job, paused);
}

static struct sched_request sched_request_of(const struct run *run, const struct run_part *p,
                                             const struct sample_bias *bias)
{
    const struct chat_request *r = run->request;
    const int32_t *visible;
    size_t n_visible = chat_visible_tokens(run->model->tmpl, &visible);
    return (struct sched_request){
        .prompt = p->ids.id,
        .n_prompt = p->ids.n,
        .n_choices = r->n_choices,
        .max_tokens = run_tokens_left(run),
        .min_tokens = r->min_tokens,
        .stops = r->stops,
        .n_stops = r->n_stops,
        .ends = r->ends,
        .n_ends = r->n_ends,
        .seeds = r->seeds,
        .sample = {.temperature = r->temperature,
                   .top_k = r->top_k,
                   .top_p = r->top_p,
                   .min_p = r->min_p,
                   .xtc_threshold = r->xtc_threshold,
                   .xtc_probability = r->xtc_probability,
                   .repetition_penalty = r->repetition_penalty,
                   .frequency_penalty = r->frequency_penalty,
                   .presence_penalty = r->presence_penalty,
                   .seed = run->seed + (uint64_t)(p->index * r->n_choices) +
                           (uint64_t)run_round(run) * 1000003,
                   .bias = bias,
                   .n_bias = (int)r->n_bias},
        .want_logprobs = r->want_logprobs,
        .n_top = r->top_logprobs,
        .want_progress = r->want_progress,
        .ignore_eos = r->ignore_eos,
        .special_text = r->raw_text,
        .visible = visible,
        .n_visible = chat_needs_parser(r) ? n_visible : 0,
        .priority = r->priority,
        .deadline_ms = run->deadline_ms,
        .gram = p->gram,
        .in_time = r->tool_choice == CHAT_TOOLS_REQUIRED || r->tool_choice == CHAT_TOOLS_NAMED,
        .output = run_replay_past(run, p),
        .tenant = r->team,
    };
}

static bool submit(struct run *run, struct run_part *p, struct err *e)
{
    const struct chat_request *r = run->request;
    if (p->ids.n == 0)
        return err_set_at(e, ERR_INPUT, r->messages ? "messages" : "prompt",
                          "the prompt is empty, and this model has no token to begin with");
    struct sample_bias *bias = mem_calloc(r->n_bias, sizeof *bias);
    for (size_t i = 0; i < r->n_bias; i++)
        bias[i] = (struct sample_bias){r->bias[i].id, r->bias[i].bias};
    struct sched_request sr = sched_request_of(run, p, bias);
    struct arena lists;
    arena_init(&lists, (size_t)16 << 20);
    bool bounded = run_bounds(run, p, &sr, &lists, e);
    p->job = bounded ? sched_submit(run->model->sched, &sr, p, e) : NULL;
    arena_fini(&lists);
    mem_free(bias);
    if (!bounded)
        return false;
    if (!p->job) {
        snprintf(e->where, sizeof e->where, "%s", r->messages ? "messages" : "prompt");
        return false;
    }
    if (run->paused)
        sched_pause(p->job, true);
    p->submitted = true;
    run->n_jobs++;
    return true;
}

/* Those that are not with the scheduler yet.  ERR_BUSY: the rest later. */
static bool submit_all(struct run *run, struct err *e)
{
    for (size_t i = 0; i < run->n_parts; i++)
        if (!run->parts[i].submitted && !submit(run, &run->parts[i], e))
            return false;
    return true;
}

static void count_end(struct run *run)
{
    struct runs_counts *c = &run->runs->counts;
    const struct chat_event *last = &run->events[run->n_events - 1];
    c->live--;
    if (last->what == CHAT_COMPLETED)
        c->completed++;
    else if (run->failure.code == ERR_CANCELED)
        c->cancelled++;
    else
        c->failed++;
}

void run_end_early(struct run *run, const struct err *why)
{
    if (run->over)
        return;
    run_unwait(run);
    if (run->durable && run->runs->stopping) { // it goes on at the next start
        run->over = true;
        run->runs->counts.live--;
    } else {
        run_log_fail(run, why);
        count_end(run);
    }
    run_rounds_stop(run);
    for (size_t i = 0; i < run->n_parts; i++)
        if (run->parts[i].job)
            sched_cancel(run->parts[i].job);
}

void run_fail(struct run *run, const struct err *why)
{
    if (run->over)
        return;
    run->cancelled = true;
    atomic_store_explicit(&run->dropped, true, memory_order_relaxed);
    run_end_early(run, why);
}

void run_cancel(struct run *run)
{
    struct err e;
    err_set(&e, ERR_CANCELED, "the request was cancelled");
    run_fail(run, &e);
}

void run_lose(struct run *run, const struct err *why)
{
    bool was_over = run->over;
    run->durable = false;
    run->n_events = run->n_visible;
    run->over = false;
    if (was_over) // counted already
        run_log_fail(run, why);
    else
        run_end_early(run, why);
}

void run_append(struct run *run, struct chat_event ev)
{
    struct err e;
    bool rest = true;
    if (run->replay && !run->over && !run_replay_take(run, &ev, &rest, &e))
        run_end_early(run, &e);
    else if (rest && !run_log_add(run, ev, &e))
        run_end_early(run, &e);
}

/* The whole log of a request that wants its prompt counted and nothing computed. */
static void complete_unanswered(struct run *run, struct err *e)
{
    const struct chat_request *r = run->request;
    for (size_t i = 0; i < run->n_parts; i++)
        if (run->parts[i].ids.n >= (size_t)sched_n_ctx(run->model->sched)) {
            err_set_at(e, ERR_INPUT, r->messages ? "messages" : "prompt",
                       "the prompt has %zu tokens; this server's context length is %d tokens",
                       run->parts[i].ids.n, sched_n_ctx(run->model->sched));
            err_kind(e, "context_length_exceeded");
            return;
        }
    run_append(run,
               (struct chat_event){.what = CHAT_STARTED, .usage = {.n_prompt = run->n_prompt}});
    for (int c = 0; c < (int)run->n_parts * r->n_choices; c++)
        run_append(run, (struct chat_event){
                            .what = CHAT_FINISHED, .choice = c, .finish = CHAT_FINISH_LENGTH});
    run->usage.n_prompt = run->n_prompt;
    run_complete(run);
}

/* A prep worker is done with the run. */
static void take_prepared(struct run *run)
{
    run->preparing = false;
    run->runs->n_preparing--;
    struct err e = run->prep_error;
    grams_keep(run->runs->grams, &run->grams);
    run_output_open(run);
    run->prepared = true;
    run->runs->retry = true;
    if (run->cancelled)
        err_set(&e, ERR_CANCELED, "the request was cancelled");
    if (run_round(run) == 0)
        run->n_prompt = 0;
    for (size_t i = 0; i < run->n_parts && run_round(run) == 0; i++)
        run->n_prompt += run->parts[i].ids.n;
    bool busy = false;
    if (e.code == ERR_NONE && run->request->no_answer)
        complete_unanswered(run, &e);
    else if (e.code == ERR_NONE && !run->over && !submit_all(run, &e))
        busy = e.code == ERR_BUSY && (run->durable || run->detached) && !run->runs->stopping;
    if (busy) // it was acknowledged
        run_wait(run);
    else if (e.code != ERR_NONE && !run_rounds_too_long(run, &e))
        run_end_early(run, &e);
    run_settle(run);
}

bool run_advance(struct run *run)
{
    struct runs *rs = run->runs;
    struct err e;
    if (run->over) {
        run_unwait(run);
        run_settle(run);
        return true;
    }
    if (!run->prepared) {
        if (rs->n_preparing >= rs->conf.max_preparing)
            return false;
        run_unwait(run);
        run_begin(run);
        return true;
    }
    bool ok = submit_all(run, &e);
    if (!ok && e.code == ERR_BUSY)
        return false;
    run_unwait(run);
    if (!ok && !run_rounds_too_long(run, &e))
        run_end_early(run, &e);
    run_settle(run);
    return true;
}

void run_complete(struct run *run)
{
    if (run->over)
        return;
    run_append(run, (struct chat_event){.what = CHAT_COMPLETED, .usage = run->usage});
    // One that goes on after a restart may turn out not to be a good one.
    if (run->n_events && run->events[run->n_events - 1].what == CHAT_COMPLETED)
        count_end(run);
    run_rounds_stop(run);
}

static void part_ended(struct run *run, struct run_part *p, const struct err *error)
{
    const struct sched_stats *st = sched_job_stats(p->job);
    run->usage.n_prompt += st->n_prompt;
    run->usage.n_cached += st->n_cached;
    run->usage.n_output += st->n_output;
    run_rounds_count(run, st->n_prompt, st->n_output);
    if (log_enabled(LOG_DEBUG, "run.job"))
        log_debug("run.job", "id=%s prompt=%zu output=%zu wait_ms=%llu first_ms=%llu total_ms=%llu",
                  run->id, st->n_prompt, st->n_output,
                  (unsigned long long)(st->admitted_ms ? st->admitted_ms - st->submitted_ms : 0),
                  (unsigned long long)(st->started_ms ? st->started_ms - st->submitted_ms : 0),
                  (unsigned long long)(st->ended_ms - st->submitted_ms));
    sched_job_free(p->job);
    p->job = NULL;
    run->n_jobs--;
    run->runs->retry = true;
    bool all = true; // of several prompts, some may wait for their place
    for (size_t i = 0; i < run->n_parts; i++)
        all &= run->parts[i].submitted;
    if (error->code != ERR_NONE)
        run_end_early(run, error);
    else if (all && run->n_jobs == 0 && !run->over && !run_rounds_continue(run))
        run_complete(run);
    run_settle(run);
}

static void take_piece(struct sched_piece *piece)
{
    struct run_part *p = sched_job_arg(piece->job);
    struct run *run = p->run;
    int choice = p->index * run->request->n_choices + piece->choice;
    run_note_drawn(run, choice, piece);
    switch (piece->what) {
    case SCHED_WAITING:
    case SCHED_PROGRESS:
        run_append(run, (struct chat_event){.what = piece->what == SCHED_WAITING ? CHAT_WAITING
                                                                                 : CHAT_PROGRESS,
                                            .usage = {.n_prompt = run->n_prompt},
                                            .position = piece->position});
        break;
    case SCHED_STARTED:
        run->runs->retry = true; // a place in the queue became free
        if (!run->started) {
            run->n_reused = piece->n_cached;
            run->n_common = piece->n_common;
        }
        if (!run->started)
            run_append(run, (struct chat_event){.what = CHAT_STARTED,
                                                .usage = {.n_prompt = run->n_prompt}});
        run->started = true;
        break;
    case SCHED_TEXT: run_output_text(run, choice, piece); break;
    case SCHED_FINISHED: run_output_finish(run, choice, piece); break;
    case SCHED_ENDED: part_ended(run, p, &piece->error); break;
    }
    sched_piece_free(piece);
}

void runs_turn(struct runs *rs)
{
    struct run *run;
    struct sched_piece *piece;
    while ((run = queue_pop(rs->prepared, 0)))
        if ((void *)run == &wake)
            rs->woken = false;
        else
            take_prepared(run);
    for (size_t m = 0; m < rs->n_models; m++)
        while ((piece = queue_pop(rs->models[m].sched_out, 0)))
            take_piece(piece);
    if (rs->waiting && !rs->stopping) {
        uint64_t now = clock_mono_ms();
        if (rs->retry || now - rs->retried_ms >= RETRY_MS) {
            rs->retried_ms = now;
            runs_retry(rs);
        }
    }
    rs->retry = false;
    runs_save(rs);
    hand_over(rs);
    runs_call_followers(rs);
    runs_expire(rs, false);
}

void run_set_origin(struct run *run, const char *origin)
{
    snprintf(run->origin, sizeof run->origin, "%s", origin);
}

const char *run_origin(const struct run *run)
{
    return run->origin;
}

const char *run_id(const struct run *run)
{
    return run->id;
}

const struct run_model *run_model(const struct run *run)
{
    return run->model;
}

const struct chat_request *run_request(const struct run *run)
{
    return run->request;
}

uint64_t run_seed(const struct run *run)
{
    return run->seed;
}

uint64_t run_choice_seed(const struct run *run, int choice)
{
    const struct chat_request *r = run->request;
    return r->seeds ? r->seeds[choice % r->n_choices] : run->seed + (uint64_t)choice;
}

int64_t run_created_unix(const struct run *run)
{
    return run->created_ms / 1000;
}

int64_t run_created_ms(const struct run *run)
{
    return run->created_ms;
}

bool run_is_cancelled(const struct run *run)
{
    return run_is_over(run) && run->failure.code == ERR_CANCELED;
}

const struct chat_event *run_event(const struct run *run, size_t i)
{
    return i < run->n_visible ? &run->events[i] : NULL;
}

bool run_is_over(const struct run *run)
{
    return run->over && run->n_visible == run->n_events;
}

size_t run_n_prompt(const struct run *run)
{
    return run->n_prompt;
}

bool run_prefix(const struct run *run, size_t *n_reused, size_t *n_common)
{
    *n_reused = run->n_reused;
    *n_common = run->n_common;
    return run->started;
}

size_t run_n_evicted(const struct run *run)
{
    return run->n_evicted;
}
