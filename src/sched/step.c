/* sched/step.c - one step: which rows, the forward pass, a token for each sequence that got logits.
 */
#include "sched/sched_int.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>

#define ROWS_LEAST 16 // prompt rows of a step, whatever they cost

static bool runs_now(const struct sched_job *j)
{
    return !atomic_load_explicit(&j->paused, memory_order_relaxed) &&
           !atomic_load_explicit(&j->cancel, memory_order_relaxed);
}

/* The sequence that has to give its blocks back first, not q itself. */
static struct seq *victim(struct sched *s, const struct seq *q)
{
    struct seq *worst = NULL;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices; c++) {
            struct seq *v = &j->seqs[c];
            if (v == q || v->kv.n_blocks == 0 || v->in_step > 0)
                continue;
            if (!worst || sched_rank_before(s, worst, v))
                worst = v;
        }
    }
    return worst;
}

/* Blocks for q up to n tokens, taken from lesser sequences if need be.  A sequence that is lesser
 * than all others goes without and waits. */
static bool reserve(struct sched *s, struct seq *q, int n)
{
    while (!sched_seq_reserve(s, q, n)) {
        struct seq *v = victim(s, q);
        if (!v || sched_rank_before(s, v, q))
            return false;
        log_debug("sched.preempt", "tokens=%d", v->n_computed);
        sched_count(s, COUNT_PREEMPTED, 1);
        sched_seq_drop_blocks(s, v);
        if (v->state == SEQ_DECODE)
            v->state = SEQ_PREFILL;
    }
    return true;
}

static int add_rows(struct sched *s, int n_rows, struct seq *q, int n)
{
    for (int i = 0; i < n; i++) {
        int pos = q->n_computed + i;
        s->rows[n_rows + i] = (struct engine_row){
            .token = q->tokens[pos], .pos = pos, .seq = &q->kv, .logits = pos == q->n_tokens - 1};
        s->row_seq[n_rows + i] = q;
    }
    q->in_step = n;
    sched_share_charge(s, q->job->share, n);
    return n_rows + n;
}

/* How many prompt rows this step may hold. */
static int prompt_budget(const struct sched *s, int n_decode, bool others)
{
    if (n_decode == 0 && !others)
        return s->conf.max_rows;
    double left_us = s->conf.gap_ms * 1000.0 - (n_decode ? s->decode_us : 0);
    double rows = s->row_us > 0 ? left_us / s->row_us : 4 * ROWS_LEAST;
    int n = rows > s->conf.max_rows ? s->conf.max_rows : (int)rows;
    return int_max(n - n % ROWS_LEAST, ROWS_LEAST);
}

/* Does a's tenant, and if it is the same a itself, go before b? */
static int compare_turn(const struct sched_job *a, const struct sched_job *b)
{
    if (a->share->served != b->share->served)
        return a->share->served < b->share->served ? -1 : 1;
    return (a->priority > b->priority) - (a->priority < b->priority);
}

/* The prompt to go on with: least served tenant, highest priority, then the fewest remaining rows
 * less an allowance that grows with waiting, so that nobody starves. */
static struct seq *next_prompt(struct sched *s, uint64_t now)
{
    struct seq *best = NULL;
    double best_cost = 0;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices; c++) {
            struct seq *q = &j->seqs[c];
            if (q->state != SEQ_PREFILL || q->in_step || !runs_now(j))
                continue;
            double waited = (double)(now - j->stats.admitted_ms);
            double cost = q->n_tokens - q->n_computed - waited;
            int turn = best ? compare_turn(j, best->job) : -1;
            if (turn < 0 || (turn == 0 && cost < best_cost)) {
                best = q;
                best_cost = cost;
            }
        }
    }
    return best;
}

static int add_decodes(struct sched *s)
{
    int n_rows = 0;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices; c++) {
            struct seq *q = &j->seqs[c];
            if (q->state == SEQ_DECODE && runs_now(j) && n_rows < s->conf.max_rows &&
                reserve(s, q, q->n_tokens))
                n_rows = add_rows(s, n_rows, q, 1);
        }
    }
    return n_rows;
}

/* Does q wait for a neighbour of this step that computes the very block which q needs next? */
static bool waits_for_twin(const struct sched *s, const struct seq *q, int n_rows)
{
    size_t n = (size_t)(q->n_computed + ENGINE_BLOCK);
    for (int r = 0; r < n_rows && n <= (size_t)q->n_tokens; r++) {
        const struct seq *v = s->row_seq[r];
        if (v->in_step > 1 && v->n_computed <= q->n_computed && (size_t)v->n_tokens >= n &&
            str_eq(v->job->tenant, q->job->tenant) &&
            memcmp(v->tokens, q->tokens, n * sizeof *q->tokens) == 0)
            return true;
        r += int_max(v->in_step, 1) - 1;
    }
    return false;
}

static int add_prompts(struct sched *s, int n_rows)
{
    uint64_t now = clock_mono_ms();
    int n_decode = n_rows, left = prompt_budget(s, n_decode, s->n_active > 1 || s->waiting);
    struct seq *q;
    while (left > 0 && n_rows < s->conf.max_rows && (q = next_prompt(s, now))) {
        sched_seq_reuse(s, q);
        if (waits_for_twin(s, q, n_rows)) {
            q->in_step = -1;
            continue;
        }
        int n = int_min(int_min(q->n_tokens - q->n_computed, left), s->conf.max_rows - n_rows);
        int end = q->n_computed + n;
        if (end < q->n_tokens && end % ENGINE_BLOCK < n) // parts end where a cached block can
            n -= end % ENGINE_BLOCK;
        if (!reserve(s, q, q->n_computed + n)) {
            q->in_step = -1; // not in this step
            continue;
        }
        n_rows = add_rows(s, n_rows, q, n);
        left -= n;
    }
    return n_rows;
}

void sched_start_job(struct sched *s, struct sched_job *j)
{
    j->started = true;
    j->stats.started_ms = clock_mono_ms();
    sched_emit(s, sched_piece_new(j, SCHED_STARTED, 0));
}

/* All choices begin with the logits behind the prompt; the others share its blocks. */
static void prompt_done(struct sched *s, struct seq *q)
{
    struct sched_job *j = q->job;
    if (j->started)
        return;
    sched_start_job(s, j);
    for (int c = 1; c < j->n_choices; c++)
        if (!sched_seq_fork(s, &j->seqs[c], q))
            j->seqs[c].state = SEQ_PREFILL; // no block free: it computes the prompt itself
}

static void choose(struct sched *s, struct seq *q, const float *logits)
{
    struct sched_job *j = q->job;
    struct sample_params p = j->sample;
    p.seed = j->seeds ? j->seeds[q->choice] : p.seed + (uint64_t)q->choice;
    struct sample_input in = {
        .logits = logits,
        .n_vocab = tok_n_vocab(s->tok),
        .prompt = q->tokens,
        .n_prompt = (size_t)j->n_prompt,
        .output = q->tokens + j->n_prompt,
        .n_output = (size_t)q->n_output,
        .ends = j->ends ? j->ends : s->ends,
        .n_ends = j->ends ? j->n_ends : s->n_ends,
        .ban_ends = j->ignore_eos || q->n_output < j->min_tokens,
    };
    int32_t id = sample_token(s->scratch, &p, &in);
    if (id < 0) {
        err_set(&j->failure, ERR_INTERNAL, "the model gave no usable logits");
        q->state = SEQ_DONE; // the job ends before the next step
        sched_seq_drop_blocks(s, q);
        return;
    }
    struct drawn d = {.has_logprob = j->want_logprobs, .top = s->tops};
    if (d.has_logprob)
        d.logprob = sample_logprobs(logits, in.n_vocab, id, s->tops, j->n_top);
    if (sched_seq_accept(s, q, id, &d))
        j->n_live--;
}

/* Jobs that go on from where an earlier one stood first take what that one had drawn. */
static bool replay_all(struct sched *s)
{
    bool any = false;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices && runs_now(j); c++) {
            if (j->seqs[c].state != SEQ_REPLAY)
                continue;
            any = true;
            if (sched_seq_replay(s, &j->seqs[c]))
                j->n_live--;
        }
    }
    return any;
}

static void take_results(struct sched *s, int n_rows, const float *logits)
{
    int n_vocab = engine_info(s->engine)->n_vocab;
    for (int r = 0; r < n_rows;) {
        struct seq *q = s->row_seq[r];
        struct sched_job *j = q->job;
        int n = q->in_step;
        bool drawn = s->rows[r + n - 1].logits;
        q->n_computed += n;
        if (q->n_computed <= j->n_prompt)
            sched_count(s, COUNT_PROMPT, (uint64_t)n);
        if (n > 1)
            sched_seq_remember(s, q);
        if (j->want_progress && !j->started)
            sched_position(s, j, SCHED_PROGRESS, (size_t)q->n_computed);
        if (drawn) {
            bool first = !j->started;
            q->state = SEQ_DECODE;
            prompt_done(s, q);
            // All choices draw their first token from the same logits.
            for (int c = 0; c < (first ? j->n_choices : 1); c++) {
                struct seq *d = first ? &j->seqs[c] : q;
                if (d->state == SEQ_DECODE)
                    choose(s, d, logits);
            }
            logits += n_vocab;
        }
        r += n;
    }
}

static void learn(struct sched *s, int n_rows, int n_decode, double us)
{
    if (n_rows == n_decode)
        s->decode_us = s->decode_us > 0 ? 0.8 * s->decode_us + 0.2 * us : us;
    else if (n_rows - n_decode >= ROWS_LEAST) {
        double row = (us - (n_decode ? s->decode_us : 0)) / (n_rows - n_decode);
        if (row > 0)
            s->row_us = s->row_us > 0 ? 0.7 * s->row_us + 0.3 * row : row;
    }
}

bool sched_step(struct sched *s)
{
    for (int a = 0; a < s->n_active; a++)
        for (int c = 0; c < s->active[a]->n_choices; c++)
            s->active[a]->seqs[c].in_step = 0;

    bool replayed = replay_all(s);
    int n_decode = add_decodes(s);
    int n_rows = add_prompts(s, n_decode);
    if (n_rows == 0)
        return replayed;

    // With one job in the step its cancel flag stops the computation itself.
    struct sched_job *only = s->row_seq[0]->job;
    for (int r = 1; r < n_rows && only; r++)
        if (s->row_seq[r]->job != only)
            only = NULL;

    const float *logits;
    struct err e;
    uint64_t begin = clock_mono_ns();
    bool ok = engine_step(s->engine, s->rows, n_rows, &logits, only ? &only->cancel : NULL, &e);
    double us = (double)(clock_mono_ns() - begin) / 1000;
    sched_count(s, COUNT_STEPS, 1);
    atomic_fetch_add_explicit(&s->step_us, (uint64_t)us, memory_order_relaxed);
    if (!ok)
        return true; // cancelled: the job is ended before the next step
    learn(s, n_rows, n_decode, us);
    take_results(s, n_rows, logits);
    return true;
}
