/* sched/sched.c - the engine thread: jobs in, admission, steps, jobs out. */
#include "sched/sched_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>

static char wake; // an item of the inbox that only wakes

struct sched_conf sched_conf_default(void)
{
    return (struct sched_conf){.max_seqs = 16,
                               .max_waiting = 64,
                               .n_ctx = 4096,
                               .gap_ms = 100,
                               .max_rows = 512,
                               .free_rows = 8,
                               .max_draft = SCHED_DRAFTS_MAX};
}

/* Pieces that one step can bring at most: texts and an end for each sequence; start, positions and
 * end of jobs. */
static size_t pieces_of_a_step(const struct sched_conf *c)
{
    return (size_t)c->max_seqs * (TOKENS_A_STEP + 1) +
           ((size_t)c->max_seqs + (size_t)c->max_waiting + 1) * 4;
}

size_t sched_out_capacity(const struct sched_conf *conf)
{
    return pieces_of_a_step(conf) * 4;
}

static void drop_seqs(struct sched *s, struct sched_job *j)
{
    for (int c = 0; j->seqs && c < j->n_choices; c++) {
        sched_seq_drop_blocks(s, &j->seqs[c]);
        sched_seq_fini(&j->seqs[c]);
    }
    mem_free(j->seqs);
    j->seqs = NULL;
}

/* The last the engine thread does with a job; it must be out of all lists. */
void sched_end_job(struct sched *s, struct sched_job *j, const struct err *why)
{
    drop_seqs(s, j);
    sched_share_leave(s, j);
    j->stats.ended_ms = clock_mono_ms();
    struct sched_piece *p = sched_piece_new(j, SCHED_ENDED, 0);
    if (why) {
        p->error = *why;
        sched_count(s, why->code == ERR_CANCELED ? COUNT_CANCELLED : COUNT_FAILED, 1);
    } else if (j->stats.admitted_ms) {
        uint64_t ms = j->stats.ended_ms - j->stats.admitted_ms;
        uint64_t old = atomic_load_explicit(&s->job_ms, memory_order_relaxed);
        atomic_store_explicit(&s->job_ms, old ? (old * 7 + ms) / 8 : ms, memory_order_relaxed);
    }
    sched_emit(s, p);
}

/* Why must this job end now?  False: it may go on. */
static bool must_end(struct sched *s, struct sched_job *j, uint64_t now, struct err *why)
{
    if (atomic_load_explicit(&j->cancel, memory_order_relaxed) ||
        atomic_load_explicit(&s->closing, memory_order_relaxed)) {
        err_set(why, ERR_CANCELED, "the request was cancelled");
        return true;
    }
    if (j->deadline_ms && now >= j->deadline_ms) {
        err_set(why, ERR_TIMEOUT, "the request's deadline passed %s",
                j->seqs ? "before the answer was complete" : "while it waited in the queue");
        return true;
    }
    if (j->failure.code != ERR_NONE) {
        *why = j->failure;
        return true;
    }
    return false;
}

static void sweep_waiting(struct sched *s, uint64_t now)
{
    struct sched_job **at = &s->waiting;
    while (*at) {
        struct sched_job *j = *at;
        struct err why;
        if (!must_end(s, j, now, &why)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        sched_quota_leave(s, j);
        sched_end_job(s, j, &why);
    }
}

static void sweep_active(struct sched *s, uint64_t now)
{
    int kept = 0;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        struct err why;
        bool fail = must_end(s, j, now, &why);
        if (!fail && j->n_live > 0) {
            sched_place_look(j, now);
            s->active[kept++] = j;
            continue;
        }
        sched_place_leave(s, j);
        sched_end_job(s, j, fail && j->n_live > 0 ? &why : NULL);
    }
    s->n_active = kept;
}

/* Tells those that want to know how many are before them, when it changed. */
static void tell_positions(struct sched *s)
{
    size_t position = 0;
    for (struct sched_job *j = s->waiting; j; j = j->next, position++) {
        if (!j->want_progress || j->started || j->told == position)
            continue;
        j->told = position;
        sched_position(s, j, SCHED_WAITING, position);
    }
}

static void publish(struct sched *s)
{
    atomic_store_explicit(&s->n_active_now, s->n_active, memory_order_relaxed);
    atomic_store_explicit(&s->kv_free, engine_kv_free(s->engine), memory_order_relaxed);
    atomic_store_explicit(&s->kv_cached, (size_t)prefix_count(s->prefix), memory_order_relaxed);
}

/* Takes jobs from the inbox; waits up to timeout_ms for the first. */
static bool receive(struct sched *s, int timeout_ms)
{
    void *item;
    bool any = false;
    while ((item = queue_pop(s->in, any ? 0 : timeout_ms))) {
        any = true;
        if (item != &wake)
            sched_place_wait(s, item);
    }
    return any;
}

static void *engine_thread(void *arg)
{
    struct sched *s = arg;
    bool idle = true;
    for (;;) {
        // Idle: nothing to compute now.  Whatever could change that wakes us, but for deadlines and
        // a reader that makes room, which a short nap covers.
        bool nothing = s->n_active == 0 && !s->waiting;
        queue_tell(s->out);
        receive(s, !idle ? 0 : nothing ? -1 : 5);
        uint64_t now = clock_mono_ms();
        sweep_waiting(s, now);
        sweep_active(s, now);
        if (atomic_load_explicit(&s->closing, memory_order_relaxed)) {
            // A job pushed just before the inbox closed is still inside.
            receive(s, 0);
            sweep_waiting(s, now);
            publish(s);
            queue_tell(s->out);
            return NULL;
        }
        sched_place_admit(s);
        publish(s);
        if (queue_count(s->out) + s->out_slack > sched_out_capacity(&s->conf)) {
            idle = true; // the loop is far behind
            continue;
        }
        tell_positions(s);
        idle = !sched_step(s);
    }
}

/* What the scheduler and its sequences hold at most, but for requests' own texts. */
static size_t bytes_at_most(const struct sched_conf *c, const struct engine_info *info)
{
    size_t n_ctx = (size_t)c->n_ctx, n_vocab = (size_t)info->n_vocab;
    size_t blocks = n_ctx / ENGINE_BLOCK + 2;
    size_t seq = sizeof(struct seq) + (n_ctx + 1) * sizeof(int32_t) + blocks * sizeof(int32_t) +
                 sched_lookup_bytes(c->n_ctx) + (n_vocab + 63) / 8;
    size_t rows = (size_t)c->max_rows * (sizeof(struct engine_row) + sizeof(struct seq *));
    size_t scratch = (size_t)info->n_threads * sample_scratch_bytes(info->n_vocab);
    return (size_t)c->max_seqs * (seq + sizeof(struct draw)) + rows + scratch +
           n_vocab * sizeof(int32_t) + prefix_bytes(info->kv_blocks) +
           sched_out_capacity(c) * (sched_piece_bytes() + sizeof(void *));
}

bool sched_open(struct sched **sp, struct engine *engine, const struct tok *tok,
                const struct sched_conf *conf, struct queue *out, struct err *e)
{
    size_t taken = conf->budget ? bytes_at_most(conf, engine_info(engine)) : 0;
    if (taken && !budget_take(conf->budget, BUDGET_BUFFERS, taken, e))
        return err_ctx(e, "the sequences' buffers (--max-seqs, --ctx)");
    struct sched *s = mem_calloc(1, sizeof *s);
    int n_vocab = engine_info(engine)->n_vocab;
    s->taken = taken;
    s->engine = engine;
    s->tok = tok;
    s->conf = *conf;
    s->out = out;
    s->out_slack = pieces_of_a_step(conf);
    s->prefix = prefix_new(engine);
    s->pieces = sched_pieces_new(sched_out_capacity(conf) + 16);
    sched_pace_init(&s->pace, engine_info(engine), conf->gap_ms);
    s->in = queue_new((size_t)conf->max_waiting + (size_t)conf->max_seqs + 64, false);
    s->active = mem_calloc((size_t)conf->max_seqs, sizeof *s->active);
    s->rows = mem_calloc((size_t)conf->max_rows, sizeof *s->rows);
    s->row_seq = mem_calloc((size_t)conf->max_rows, sizeof *s->row_seq);
    s->n_scratch = engine_info(engine)->n_threads;
    s->scratch = mem_calloc((size_t)s->n_scratch, sizeof(struct sample_scratch *));
    for (int i = 0; i < s->n_scratch; i++)
        s->scratch[i] = sample_scratch_new(n_vocab, engine_kern(engine));
    s->draws = mem_calloc((size_t)conf->max_seqs, sizeof *s->draws);
    s->ends = mem_calloc((size_t)n_vocab, sizeof *s->ends);
    for (int32_t id = 0; id < n_vocab; id++)
        if (tok_is_eog(tok, id))
            s->ends[s->n_ends++] = id;
    buf_init(&s->text, 2 * HELD_TEXT_MAX);
    buf_reserve(&s->text, 4096);
    buf_init(&s->chars, HELD_TEXT_MAX);
    buf_reserve(&s->chars, 4096);
    publish(s);
    if (pthread_create(&s->thread, NULL, engine_thread, s) != 0) {
        s->joined = true;
        sched_free(s);
        return err_set(e, ERR_INTERNAL, "cannot start the engine thread");
    }
    *sp = s;
    return true;
}

void sched_close(struct sched *s)
{
    if (s->joined)
        return;
    atomic_store_explicit(&s->closing, true, memory_order_relaxed);
    queue_close(s->in); // wakes; orders the store before
    pthread_join(s->thread, NULL);
    s->joined = true;
}

void sched_free(struct sched *s)
{
    if (!s)
        return;
    sched_close(s);
    while (queue_pop(s->in, 0))
        ; // only wakes are left
    queue_free(s->in);
    prefix_free(s->prefix);
    mem_free(s->active);
    mem_free(s->rows);
    mem_free(s->row_seq);
    mem_free(s->ends);
    for (int i = 0; i < s->n_scratch; i++)
        sample_scratch_free(s->scratch[i]);
    mem_free(s->scratch);
    mem_free(s->draws);
    buf_free(&s->text);
    buf_free(&s->chars);
    sched_pieces_drop(s->pieces);
    if (s->taken)
        budget_give(s->conf.budget, BUDGET_BUFFERS, s->taken);
    mem_free(s);
}

static bool check_request(const struct sched *s, const struct sched_request *r, struct err *e)
{
    assert(r->n_prompt > 0 && r->n_choices > 0);
    assert(r->n_top >= 0 && r->n_top <= SCHED_TOP_MAX);
    size_t kv_tokens = engine_info(s->engine)->kv_blocks * ENGINE_BLOCK;
    size_t room = size_min((size_t)s->conf.n_ctx, kv_tokens);
    if (r->n_prompt >= room) {
        err_set(
            e, ERR_INPUT,
            "the prompt has %zu tokens; this server's context length is %zu tokens, and an answer "
            "needs at least one",
            r->n_prompt, room);
        return err_kind(e, "context_length_exceeded");
    }
    if (r->n_choices > s->conf.max_seqs)
        return err_set(e, ERR_INPUT,
                       "%d choices were asked for; this server computes at most %d at once",
                       r->n_choices, s->conf.max_seqs);
    return true;
}

/* Nothing drawn yet in any choice is nothing to go on from. */
static void copy_output(struct sched_job *j, const struct sched_request *r)
{
    size_t n = 0;
    for (int c = 0; r->output && c < r->n_choices; c++)
        n += r->output[c].n;
    if (n == 0)
        return;
    j->output = mem_calloc((size_t)r->n_choices, sizeof *j->output);
    for (int c = 0; c < r->n_choices; c++) {
        size_t bytes = r->output[c].n * sizeof(int32_t);
        int32_t *id = mem_alloc(bytes);
        if (bytes)
            memcpy(id, r->output[c].id, bytes);
        j->output[c] = (struct sched_output){id, r->output[c].n};
    }
}

static struct sample_phrase *copy_phrases(struct arena *a, const struct sample_phrase *from,
                                          size_t n)
{
    struct sample_phrase *to = arena_calloc(a, n, sizeof *to);
    for (size_t i = 0; i < n; i++) {
        size_t bytes = (size_t)from[i].n * sizeof *from[i].id;
        int32_t *id = arena_alloc(a, bytes);
        memcpy(id, from[i].id, bytes);
        to[i] = (struct sample_phrase){id, from[i].n};
    }
    return to;
}

static const int32_t *copy_ids(struct arena *a, const int32_t *from, size_t n)
{
    int32_t *to = arena_alloc(a, n * sizeof *to);
    if (n)
        memcpy(to, from, n * sizeof *to);
    return to;
}

/* What bounds the answer beside the sampler's settings. */
static void copy_guides(struct sched_job *j, const struct sched_request *r)
{
    struct arena *a = &j->mem;
    j->sample.bad = copy_phrases(a, r->sample.bad, (size_t)r->sample.n_bad);
    j->stop_tokens = copy_phrases(a, r->stop_tokens, r->n_stop_tokens);
    j->n_stop_tokens = r->n_stop_tokens;
    j->gram = r->gram ? gram_hold(r->gram) : NULL;
    j->in_time = r->in_time && r->gram;
    j->thinking = r->thinking;
    j->thinking.begin = arena_str(a, r->thinking.begin);
    j->thinking.end = arena_str(a, r->thinking.end);
    j->thinking.close = copy_ids(a, r->thinking.close, r->thinking.n_close);
    j->forced = copy_ids(a, r->forced, r->n_forced);
    j->n_forced = r->n_forced;
    if (r->n_forced)
        j->max_tokens = int_min(j->max_tokens, (int)r->n_forced);
}

static struct sched_job *job_new(struct sched *s, const struct sched_request *r, void *arg)
{
    struct sched_job *j = mem_calloc(1, sizeof *j);
    int room = int_min(s->conf.n_ctx, (int)(engine_info(s->engine)->kv_blocks * ENGINE_BLOCK)) -
               (int)r->n_prompt;
    j->sched = s;
    j->arg = arg;
    j->n_prompt = (int)r->n_prompt;
    j->prompt = mem_alloc(r->n_prompt * sizeof *j->prompt);
    memcpy(j->prompt, r->prompt, r->n_prompt * sizeof *j->prompt);
    j->n_choices = r->n_choices;
    j->max_tokens = r->max_tokens > 0 ? int_min(r->max_tokens, room) : room;
    j->min_tokens = r->min_tokens;
    j->n_stops = r->n_stops;
    j->stops = mem_calloc(r->n_stops, sizeof *j->stops);
    for (size_t i = 0; i < r->n_stops; i++)
        j->stops[i] = (str){mem_strdup(r->stops[i]), r->stops[i].n};
    j->tenant = (str){mem_strdup(r->tenant), r->tenant.n};
    j->sample = r->sample;
    size_t n_bias = (size_t)r->sample.n_bias;
    j->bias = mem_calloc(n_bias, sizeof *j->bias);
    if (n_bias)
        memcpy(j->bias, r->sample.bias, n_bias * sizeof *j->bias);
    j->sample.bias = j->bias;
    if (r->n_ends) {
        j->ends = mem_calloc(s->n_ends + r->n_ends, sizeof *j->ends);
        memcpy(j->ends, s->ends, s->n_ends * sizeof *j->ends);
        memcpy(j->ends + s->n_ends, r->ends, r->n_ends * sizeof *j->ends);
        j->n_ends = s->n_ends + r->n_ends;
    }
    if (r->seeds) {
        j->seeds = mem_calloc((size_t)r->n_choices, sizeof *j->seeds);
        memcpy(j->seeds, r->seeds, (size_t)r->n_choices * sizeof *j->seeds);
    }
    j->ignore_eos = r->ignore_eos;
    j->special_text = r->special_text;
    j->visible = r->visible;
    j->n_visible = r->n_visible;
    j->priority = r->priority;
    j->deadline_ms = r->deadline_ms;
    j->want_logprobs = r->want_logprobs;
    j->n_top = r->want_logprobs ? int_min(r->n_top, tok_n_vocab(s->tok)) : 0;
    j->want_progress = r->want_progress;
    j->told = SIZE_MAX;
    copy_output(j, r);
    arena_init(&j->mem, SIZE_MAX); // the request is bounded where it is read
    copy_guides(j, r);
    j->stats.submitted_ms = clock_mono_ms();
    j->stats.n_prompt = r->n_prompt;
    return j;
}

struct sched_job *sched_submit(struct sched *s, const struct sched_request *r, void *arg,
                               struct err *e)
{
    if (!check_request(s, r, e))
        return NULL;
    struct sched_job *j = job_new(s, r, arg);
    if (!sched_quota_enter(s, j, e)) {
        sched_job_free(j);
        return NULL;
    }
    if (!queue_push(s->in, j)) {
        sched_quota_leave(s, j);
        sched_job_free(j);
        err_set(e, ERR_BUSY, "the server is shutting down");
        return NULL;
    }
    sched_count(s, COUNT_JOBS, 1);
    return j;
}

/* A full inbox means that the engine thread is about to look anyway. */
static void nudge(struct sched *s)
{
    bool pushed = queue_push(s->in, &wake);
    (void)pushed;
}

void sched_cancel(struct sched_job *j)
{
    atomic_store_explicit(&j->cancel, true, memory_order_relaxed);
    nudge(j->sched);
}

void sched_pause(struct sched_job *j, bool paused)
{
    if (atomic_exchange_explicit(&j->paused, paused, memory_order_relaxed) && !paused)
        nudge(j->sched);
}

void *sched_job_arg(const struct sched_job *j)
{
    return j->arg;
}

const struct sched_stats *sched_job_stats(const struct sched_job *j)
{
    return &j->stats;
}

void sched_job_free(struct sched_job *j)
{
    if (!j)
        return;
    assert(!j->seqs);
    sched_quota_free(j);
    gram_drop(j->gram);
    arena_fini(&j->mem);
    for (int c = 0; j->output && c < j->n_choices; c++)
        mem_free((int32_t *)j->output[c].id);
    mem_free(j->output);
    for (size_t i = 0; i < j->n_stops; i++)
        mem_free((char *)j->stops[i].p);
    mem_free(j->stops);
    mem_free((char *)j->tenant.p);
    mem_free(j->bias);
    mem_free(j->ends);
    mem_free(j->seeds);
    mem_free(j->prompt);
    mem_free(j);
}

void sched_counts(const struct sched *s, struct sched_counts *out)
{
    uint64_t v[COUNTERS];
    for (size_t i = 0; i < COUNT(v); i++)
        v[i] = atomic_load_explicit(&s->counters[i], memory_order_relaxed);
    *out = (struct sched_counts){
        .waiting = atomic_load_explicit(&s->n_waiting, memory_order_relaxed),
        .active = atomic_load_explicit(&s->n_active_now, memory_order_relaxed),
        .jobs = v[COUNT_JOBS],
        .cancelled = v[COUNT_CANCELLED],
        .failed = v[COUNT_FAILED],
        .prompt_tokens = v[COUNT_PROMPT],
        .output_tokens = v[COUNT_OUTPUT],
        .steps = v[COUNT_STEPS],
        .preempted = v[COUNT_PREEMPTED],
        .kv_blocks_free = atomic_load_explicit(&s->kv_free, memory_order_relaxed),
        .kv_blocks_cached = atomic_load_explicit(&s->kv_cached, memory_order_relaxed),
        .cached_tokens = v[COUNT_CACHED],
        .drafted = v[COUNT_DRAFTED],
        .drafts_true = v[COUNT_DRAFTS_TRUE],
        .forced = v[COUNT_FORCED],
        .allocations = v[COUNT_ALLOCATIONS],
        .step_us = atomic_load_explicit(&s->step_us, memory_order_relaxed),
    };
}

uint64_t sched_retry_after_ms(const struct sched *s)
{
    uint64_t job = atomic_load_explicit(&s->job_ms, memory_order_relaxed);
    int waiting = atomic_load_explicit(&s->n_waiting, memory_order_relaxed);
    uint64_t ms = (job ? job : 1000) * (uint64_t)int_max(waiting, 1) / (uint64_t)s->conf.max_seqs;
    return ms < 1000 ? 1000 : ms > 60000 ? 60000 : ms;
}

int sched_n_ctx(const struct sched *s)
{
    return s->conf.n_ctx;
}
