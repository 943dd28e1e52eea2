/* sched/step.c - one step: which rows, the forward pass, a token for each sequence that got logits.
 */
#include "sched/sched_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <math.h>

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
        sched_seq_yield(s, v);
    }
    return true;
}

/* Do so few ids matter that the others' logits need not be computed? */
static bool narrow(const struct sched *s, const struct seq *q)
{
    const struct guide *g = &q->guide;
    return g->gram && g->masked && !q->job->want_logprobs && q->n_computed >= q->job->n_prompt &&
           g->n_allowed < tok_n_vocab(s->tok) / 10;
}

/* The n tokens of q that come next and the drafts behind them. */
static int add_rows(struct sched *s, int n_rows, struct seq *q, int n)
{
    for (int i = 0; i < n + q->n_draft; i++) {
        int pos = q->n_computed + i;
        s->rows[n_rows + i] = (struct engine_row){
            .token = pos < q->n_tokens ? q->tokens[pos] : q->draft[pos - q->n_tokens],
            .pos = pos,
            .seq = &q->kv,
            .logits = pos >= q->n_tokens - 1};
        s->row_seq[n_rows + i] = q;
    }
    if (q->n_draft == 0 && narrow(s, q))
        s->rows[n_rows + n - 1].only = q->guide.mask;
    q->in_step = n + q->n_draft;
    int n_fresh = q->n_computed + n - int_max(q->n_computed, q->n_reached);
    if (n_fresh > 0) {
        q->job->n_fresh += (uint64_t)n_fresh;
        sched_share_charge(s, q->job->share, n_fresh);
    }
    return n_rows + q->in_step;
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

/* Places for drafts: a step of few rows is hardly dearer with some more. */
static int draft_places(const struct sched *s)
{
    int rows = 0, logits = 0;
    for (int a = 0; a < s->n_active; a++) {
        const struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices; c++) {
            const struct seq *q = &j->seqs[c];
            if (q->state == SEQ_PREFILL && runs_now(j))
                return 0;
            if (q->state == SEQ_DECODE) {
                rows += q->n_tokens - q->n_computed;
                logits++;
            }
        }
    }
    return int_min(s->conf.free_rows - rows, engine_info(s->engine)->max_logits - logits);
}

static void draft(struct sched *s, struct seq *q, int places)
{
    const struct sched_job *j = q->job;
    int max = int_min(int_min(s->conf.max_draft, places), SCHED_DRAFTS_MAX);
    max = int_min(max, int_min(j->max_tokens - q->n_output, s->conf.n_ctx - q->n_tokens) - 1);
    q->n_draft = 0;
    if (max > 0)
        q->n_draft = sched_lookup_draft(&q->lookup, q->tokens, q->n_tokens, q->draft, max);
    // A block for drafts alone must not cost anybody else's.
    while (q->n_draft > 0 && !sched_seq_reserve(s, q, q->n_tokens + q->n_draft))
        q->n_draft--;
}

static int add_decodes(struct sched *s)
{
    int n_rows = 0, places = s->conf.max_draft > 0 ? draft_places(s) : 0;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices; c++) {
            struct seq *q = &j->seqs[c];
            int n = q->n_tokens - q->n_computed;
            if (q->state != SEQ_DECODE || !runs_now(j) || n_rows + n > s->conf.max_rows ||
                !reserve(s, q, q->n_tokens))
                continue;
            draft(s, q, int_min(places, s->conf.max_rows - n_rows - n));
            places -= q->n_draft;
            n_rows = add_rows(s, n_rows, q, n);
        }
    }
    return n_rows;
}

/* Does q wait for a neighbour of this step that computes the very block which q needs next? */
static bool waits_for_twin(const struct sched *s, const struct seq *q, int n_rows)
{
    size_t n = (size_t)(q->n_computed / ENGINE_BLOCK + 1) * ENGINE_BLOCK;
    for (int r = 0; r < n_rows && n <= (size_t)q->n_tokens; r++) {
        const struct seq *v = s->row_seq[r];
        if (v->in_step > 1 && (size_t)v->n_computed < n && (size_t)v->n_tokens >= n &&
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
    bool alone = n_rows == 0 && s->n_active <= 1 && !s->waiting;
    double left = alone ? HUGE_VAL : sched_pace_begin(&s->pace, n_rows);
    struct seq *q;
    s->step_units = 0;
    while (n_rows < s->conf.max_rows && (q = next_prompt(s, now))) {
        sched_seq_reuse(s, q);
        if (waits_for_twin(s, q, n_rows)) {
            q->in_step = -1;
            continue;
        }
        sched_seq_reuse_part(s, q);
        int most = int_min(q->n_tokens - q->n_computed, s->conf.max_rows - n_rows);
        int n = sched_pace_rows(&s->pace, left, s->step_units == 0, q->n_computed, most);
        if (n == 0)
            break;
        int end = q->n_computed + n;
        if (end < q->n_tokens && end % ENGINE_BLOCK < n) // parts end where a cached block can
            n -= end % ENGINE_BLOCK;
        if (!reserve(s, q, q->n_computed + n)) {
            q->in_step = -1; // not in this step
            continue;
        }
        q->n_draft = 0;
        double cost = sched_pace_cost(&s->pace, q->n_computed, n);
        n_rows = add_rows(s, n_rows, q, n);
        left -= cost;
        s->step_units += cost;
    }
    return n_rows;
}

void sched_start_job(struct sched *s, struct sched_job *j)
{
    j->started = true;
    j->stats.started_ms = clock_mono_ms();
    struct sched_piece *p = sched_piece_new(j, SCHED_STARTED, 0);
    p->n_cached = j->stats.n_cached;
    p->n_common = j->stats.n_common;
    sched_emit(s, p);
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

/* Takes what was drawn; true when the choice goes on. */
static bool take_draw(struct sched *s, const struct draw *d)
{
    struct seq *q = d->seq;
    if (d->id >= 0) {
        if (sched_seq_accept(s, q, d->id, &d->how))
            q->job->n_live--;
        return q->state != SEQ_DONE;
    }
    if (q->guide.gram && gram_may_end(q->guide.gram)) { // settings ban all that could follow
        sched_seq_complete(s, q);
        q->job->n_live--;
        return false;
    }
    struct err e;
    err_set(&e, ERR_INTERNAL,
            q->guide.gram ? "the model gave no usable logits for what the answer's format allows"
                          : "the model gave no usable logits");
    sched_seq_fail(s, q, &e);
    return false;
}

/* Makes the guide ready; false when the choice has failed. */
static bool guide(struct sched *s, struct seq *q)
{
    struct err e;
    bool ok = sched_guide_next(s, q, &e);
    if (!ok)
        sched_seq_fail(s, q, &e);
    return ok;
}

/* The token drawn for q first, then those behind its drafts as far as they came true. */
static void take_draws(struct sched *s, struct draw *d)
{
    struct seq *q = d->seq;
    int n_true = 0, n_draft = q->n_draft;
    while (take_draw(s, d) && n_true < n_draft && d->id == q->draft[n_true]) {
        q->n_computed++;
        n_true++;
        d->row++;
        if (!guide(s, q))
            break;
        sched_draw(s, d, 0);
    }
    sched_lookup_learn(&q->lookup, n_draft, n_true);
    sched_count(s, COUNT_DRAFTED, (uint64_t)n_draft);
    sched_count(s, COUNT_DRAFTS_TRUE, (uint64_t)n_true);
}

/* Where the next tokens are known they are taken at once; the step computes them together. */
static bool take_forced(struct sched *s)
{
    bool any = false;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *j = s->active[a];
        for (int c = 0; c < j->n_choices && runs_now(j); c++) {
            struct seq *q = &j->seqs[c];
            for (int i = 0; i < FORCED_A_STEP && q->state == SEQ_DECODE && guide(s, q); i++) {
                if (q->guide.n_forced == 0 || j->want_logprobs)
                    break;
                any = true;
                sched_count(s, COUNT_FORCED, 1);
                if (sched_seq_accept(s, q, q->guide.forced[0], NULL))
                    j->n_live--;
            }
        }
    }
    return any;
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

/* The sequences that draw from the logits of q's row: all choices draw their first token from the
 * same. */
static int add_draws(struct sched *s, int n, struct seq *q, bool first, size_t row)
{
    struct sched_job *j = q->job;
    for (int c = 0; c < (first ? j->n_choices : 1); c++) {
        struct seq *d = first ? &j->seqs[c] : q;
        if (d->state == SEQ_DECODE && guide(s, d))
            s->draws[n++] = (struct draw){.seq = d, .row = row};
    }
    return n;
}

static void take_results(struct sched *s, int n_rows)
{
    size_t row = 0; // of the logits
    int n_draws = 0;
    for (int r = 0; r < n_rows;) {
        struct seq *q = s->row_seq[r];
        struct sched_job *j = q->job;
        int n = q->in_step - q->n_draft;
        bool drawn = s->rows[r + n - 1].logits;
        r += q->in_step;
        q->n_computed += n;
        if (q->n_computed <= j->n_prompt)
            sched_count(s, COUNT_PROMPT, (uint64_t)n);
        if (n > 1)
            sched_seq_remember(s, q);
        if (j->want_progress && !j->started)
            sched_position(s, j, SCHED_PROGRESS, (size_t)q->n_computed);
        if (!drawn)
            continue;
        bool first = !j->started;
        q->state = SEQ_DECODE;
        prompt_done(s, q);
        n_draws = add_draws(s, n_draws, q, first, row);
        row += (size_t)(1 + q->n_draft);
    }
    sched_draw_all(s, n_draws);
    for (int i = 0; i < n_draws; i++)
        take_draws(s, &s->draws[i]);
}

static bool step(struct sched *s)
{
    for (int a = 0; a < s->n_active; a++)
        for (int c = 0; c < s->active[a]->n_choices; c++) {
            s->active[a]->seqs[c].in_step = 0;
            s->active[a]->seqs[c].n_draft = 0;
        }

    bool replayed = replay_all(s);
    replayed = take_forced(s) || replayed;
    int n_decode = add_decodes(s);
    int n_rows = add_prompts(s, n_decode);
    if (n_rows == 0)
        return replayed;

    // With one job in the step its cancel flag stops the computation itself.
    struct sched_job *only = s->row_seq[0]->job;
    for (int r = 1; r < n_rows && only; r++)
        if (s->row_seq[r]->job != only)
            only = NULL;

    queue_tell(s->out);
    struct err e;
    uint64_t begin = clock_mono_ns();
    bool ok = engine_step(s->engine, s->rows, n_rows, &s->logits, only ? &only->cancel : NULL, &e);
    double us = (double)(clock_mono_ns() - begin) / 1000;
    sched_count(s, COUNT_STEPS, 1);
    atomic_fetch_add_explicit(&s->step_us, (uint64_t)us, memory_order_relaxed);
    if (!ok)
        return true; // cancelled: the job is ended before the next step
    sched_pace_learn(&s->pace, n_decode, n_rows - n_decode, s->step_units, us);
    s->block_max = engine_block_max(s->engine);
    take_results(s, n_rows);
    return true;
}

bool sched_step(struct sched *s)
{
    uint64_t before = mem_count();
    bool any = step(s);
    sched_count(s, COUNT_ALLOCATIONS, mem_count() - before);
    return any;
}
