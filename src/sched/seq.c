/* sched/seq.c - one choice of a job: its tokens, its KV blocks, its text. */
#include "sched/sched_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <assert.h>

#define PART_LEAST 4 // tokens: copying a block takes about as long as computing some

void sched_seq_init(struct seq *q, struct sched_job *j, int choice)
{
    *q = (struct seq){.job = j, .choice = choice};
    q->state = j->output ? SEQ_REPLAY : choice == 0 ? SEQ_PREFILL : SEQ_WAITS;
    q->cap_tokens = j->n_prompt + j->max_tokens + 1;
    q->tokens = mem_alloc((size_t)q->cap_tokens * sizeof *q->tokens);
    memcpy(q->tokens, j->prompt, (size_t)j->n_prompt * sizeof *q->tokens);
    q->n_tokens = j->n_prompt;
    q->cap_blocks = q->cap_tokens / ENGINE_BLOCK + 2;
    q->kv.blocks = mem_alloc((size_t)q->cap_blocks * sizeof *q->kv.blocks);
    tok_stream_init(&q->chars);
    stop_init(&q->stop, j->stops, j->n_stops);
    sched_list_init(&q->list, j->n_top);
    sched_guide_init(&q->guide, j);
    sched_lookup_init(&q->lookup, j->n_prompt + j->max_tokens);
}

void sched_seq_fini(struct seq *q)
{
    assert(q->kv.n_blocks == 0);
    mem_free(q->tokens);
    mem_free(q->kv.blocks);
    stop_fini(&q->stop);
    sched_list_fini(&q->list);
    sched_guide_fini(&q->guide);
    sched_lookup_fini(&q->lookup);
}

void sched_seq_drop_blocks(struct sched *s, struct seq *q)
{
    for (int i = 0; i < q->kv.n_blocks; i++)
        engine_kv_drop(s->engine, q->kv.blocks[i]);
    q->kv.n_blocks = 0;
    q->n_reached = int_max(q->n_reached, q->n_computed);
    q->n_computed = 0;
    q->looked = false;
}

void sched_seq_yield(struct sched *s, struct seq *q)
{
    if (q->kv.n_blocks > 0) {
        log_debug("sched.preempt", "tokens=%d", q->n_computed);
        sched_count(s, COUNT_PREEMPTED, 1);
        sched_seq_remember(s, q);
        sched_seq_drop_blocks(s, q);
    }
    if (q->state == SEQ_DECODE)
        q->state = SEQ_PREFILL;
}

static bool add_block(struct seq *q, int32_t block)
{
    if (block < 0)
        return false;
    if (q->kv.n_blocks == q->cap_blocks) {
        q->cap_blocks *= 2;
        q->kv.blocks = mem_realloc(q->kv.blocks, (size_t)q->cap_blocks * sizeof *q->kv.blocks);
    }
    q->kv.blocks[q->kv.n_blocks++] = block;
    return true;
}

/* A free block; the cache gives its oldest up for it.  -1 when all are in use. */
static int32_t take_block(struct sched *s)
{
    int32_t block;
    do
        block = engine_kv_take(s->engine);
    while (block < 0 && prefix_evict(s->prefix));
    return block;
}

bool sched_seq_reserve(struct sched *s, struct seq *q, int n_tokens)
{
    while (q->kv.n_blocks * ENGINE_BLOCK < n_tokens)
        if (!add_block(q, take_block(s)))
            return false;
    return true;
}

/* What is found again after it was given back is not told. */
static void count_cached(struct sched *s, struct seq *q, int n)
{
    int known = int_max(q->n_computed, q->n_reached);
    q->n_computed += n;
    if (q->job->started || q->choice != 0 || q->n_computed <= known)
        return;
    q->job->stats.n_cached += (size_t)(q->n_computed - known);
    sched_count(s, COUNT_CACHED, (uint64_t)(q->n_computed - known));
}

void sched_seq_reuse(struct sched *s, struct seq *q)
{
    if (q->kv.n_blocks * ENGINE_BLOCK != q->n_computed)
        return;
    struct sched_job *j = q->job;
    if (q->n_computed == 0 && q->n_reached == 0 && !j->started && q->choice == 0)
        j->stats.n_common = (size_t)prefix_common(s->prefix, j->tenant, j->prompt, j->n_prompt);
    // At least the last token is computed, for its logits.
    int32_t blocks[64];
    int left = (q->n_tokens - 1 - q->n_computed) / ENGINE_BLOCK, n;
    while (left > 0 &&
           (n = prefix_match(s->prefix, q->job->tenant, q->tokens, q->n_tokens, q->n_computed,
                             blocks, int_min(left, (int)COUNT(blocks)))) > 0) {
        for (int i = 0; i < n; i++)
            add_block(q, blocks[i]);
        count_cached(s, q, n * ENGINE_BLOCK);
        left -= n;
    }
}

void sched_seq_reuse_part(struct sched *s, struct seq *q)
{
    int32_t from;
    if (q->looked || q->kv.n_blocks * ENGINE_BLOCK != q->n_computed)
        return;
    q->looked = true;
    int n =
        prefix_part(s->prefix, q->job->tenant, q->tokens, q->n_tokens - 1, q->n_computed, &from);
    if (n == 0)
        return;
    int32_t own = n >= PART_LEAST ? take_block(s) : -1;
    if (own >= 0) {
        engine_kv_copy(s->engine, own, from, n);
        add_block(q, own);
        count_cached(s, q, n);
    }
    engine_kv_drop(s->engine, from);
}

void sched_seq_remember(struct sched *s, const struct seq *q)
{
    prefix_insert(s->prefix, q->job->tenant, q->tokens, q->n_computed, q->kv.blocks);
}

bool sched_seq_fork(struct sched *s, struct seq *to, const struct seq *from)
{
    int n = from->job->n_prompt;
    int whole = n / ENGINE_BLOCK, rest = n % ENGINE_BLOCK;
    int32_t last = rest ? take_block(s) : 0;
    if (last < 0)
        return false;
    for (int i = 0; i < whole; i++) {
        engine_kv_hold(s->engine, from->kv.blocks[i]);
        add_block(to, from->kv.blocks[i]);
    }
    if (rest) {
        engine_kv_copy(s->engine, last, from->kv.blocks[whole], rest);
        add_block(to, last);
    }
    to->n_computed = n;
    to->state = SEQ_DECODE;
    return true;
}

static void push_token(struct seq *q, int32_t id)
{
    if (q->n_tokens == q->cap_tokens) {
        q->cap_tokens += q->cap_tokens / 2;
        q->tokens = mem_realloc(q->tokens, (size_t)q->cap_tokens * sizeof *q->tokens);
    }
    q->tokens[q->n_tokens++] = id;
    q->n_output++;
}

/* The end of a choice; s->text is the last of its text that is safe to send. */
static void finish(struct sched *s, struct seq *q, enum sched_finish why)
{
    if (why != SCHED_FINISH_STOP) { // what was held back will become nothing else any more
        buf_clear(&s->chars);
        tok_stream_end(&q->chars, &s->chars);
        q->list.end += s->chars.n;
        if (stop_feed(&q->stop, buf_as_str(&s->chars), &s->text))
            why = SCHED_FINISH_STOP;
        stop_flush(&q->stop, &s->text);
    }
    sched_send_text(s, q);
    q->state = SEQ_DONE;
    sched_seq_remember(s, q);
    sched_seq_drop_blocks(s, q);
    sched_send_finish(s, q, why);
}

bool sched_seq_ends(const struct sched *s, const struct sched_job *j, int32_t id)
{
    for (size_t i = 0; i < j->n_ends; i++)
        if (j->ends[i] == id)
            return !j->ignore_eos;
    return tok_is_eog(s->tok, id) && !j->ignore_eos;
}

void sched_seq_fail(struct sched *s, struct seq *q, const struct err *why)
{
    q->job->failure = *why;
    q->state = SEQ_DONE; // the job ends before the next step
    sched_seq_drop_blocks(s, q);
}

/* Do the last tokens of the output stand in the list of those that stop it? */
static bool stops_by_tokens(const struct seq *q)
{
    const struct sched_job *j = q->job;
    for (size_t i = 0; i < j->n_stop_tokens; i++) {
        const struct sample_phrase *p = &j->stop_tokens[i];
        if (p->n <= q->n_output &&
            memcmp(q->tokens + q->n_tokens - p->n, p->id, (size_t)p->n * sizeof *p->id) == 0)
            return true;
    }
    return false;
}

static enum sched_finish finish_of_text(struct sched *s, struct seq *q, str chars)
{
    const struct sched_job *j = q->job;
    if (q->n_output <= j->min_tokens) // stop texts do not count yet
        buf_str(&s->text, chars);
    else if (stop_feed(&q->stop, chars, &s->text))
        return SCHED_FINISH_STOP;
    if (stops_by_tokens(q)) {
        stop_flush(&q->stop, &s->text);
        return SCHED_FINISH_STOP;
    }
    if (q->guide.gram && gram_must_end(q->guide.gram))
        return SCHED_FINISH_END;
    if (q->n_output >= j->max_tokens || q->n_tokens >= s->conf.n_ctx)
        return SCHED_FINISH_LENGTH;
    return SCHED_FINISH_NONE;
}

static bool shows(const struct sched_job *j, int32_t id)
{
    for (size_t i = 0; i < j->n_visible; i++)
        if (j->visible[i] == id)
            return true;
    return j->special_text;
}

bool sched_seq_accept(struct sched *s, struct seq *q, int32_t id, const struct drawn *d)
{
    struct sched_job *j = q->job;
    bool end = sched_seq_ends(s, j, id);
    struct err e;

    push_token(q, id);
    sched_list_add(&q->list, id, d);
    j->stats.n_output++;
    sched_count(s, COUNT_OUTPUT, 1);
    buf_clear(&s->text);
    if (!sched_guide_took(s, q, id, end, &e)) {
        sched_seq_fail(s, q, &e);
        return false;
    }

    enum sched_finish why = SCHED_FINISH_END;
    if (!end) {
        buf_clear(&s->chars);
        tok_stream_put(&q->chars, tok_piece(s->tok, id, shows(j, id)), &s->chars);
        q->list.end += s->chars.n;
        why = finish_of_text(s, q, buf_as_str(&s->chars));
    }
    if (why == SCHED_FINISH_NONE)
        sched_send_text(s, q);
    else
        finish(s, q, why);
    return why != SCHED_FINISH_NONE;
}

void sched_seq_complete(struct sched *s, struct seq *q)
{
    buf_clear(&s->text);
    finish(s, q, SCHED_FINISH_END);
}

bool sched_seq_replay(struct sched *s, struct seq *q)
{
    const struct sched_output *o = &q->job->output[q->choice];
    for (int i = 0; i < TOKENS_A_STEP && (size_t)q->n_replayed < o->n; i++) {
        struct err e;
        if (!sched_guide_next(s, q, &e)) { // so that forced tokens are forced at the same places
            sched_seq_fail(s, q, &e);
            return false;
        }
        if (sched_seq_accept(s, q, o->id[q->n_replayed++], NULL))
            return true;
        if (q->state == SEQ_DONE)
            return false;
    }
    if ((size_t)q->n_replayed == o->n)
        q->state = SEQ_PREFILL;
    return false;
}
