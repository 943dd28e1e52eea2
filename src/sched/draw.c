/* sched/draw.c - tokens out of logits, on all threads of the engine. */
#include "sched/sched_int.h"

void sched_draw(struct sched *s, struct draw *d, int worker)
{
    struct seq *q = d->seq;
    const struct sched_job *j = q->job;
    const struct guide *g = &q->guide;
    const size_t n_vocab = (size_t)tok_n_vocab(s->tok);
    const size_t blocks = (n_vocab + SAMPLE_BLOCK - 1) / SAMPLE_BLOCK;
    struct sample_params p = j->sample;
    p.seed = j->seeds ? j->seeds[q->choice] : p.seed + (uint64_t)q->choice;
    struct sample_input in = {
        .logits = s->logits + d->row * n_vocab,
        .max = s->block_max ? s->block_max + d->row * blocks : NULL,
        .n_vocab = (int)n_vocab,
        .prompt = q->tokens,
        .n_prompt = (size_t)j->n_prompt,
        .output = q->tokens + j->n_prompt,
        .n_output = (size_t)q->n_output,
        .ends = j->ends ? j->ends : s->ends,
        .n_ends = j->ends ? j->n_ends : s->n_ends,
        .ban_ends = j->ignore_eos || q->n_output < j->min_tokens,
        .mask = g->gram ? g->mask : NULL,
    };
    d->id = g->n_forced > 0 ? g->forced[0] : sample_token(s->scratch[worker], &p, &in);
    d->how.has_logprob = j->want_logprobs && d->id >= 0;
    if (d->how.has_logprob)
        d->how.logprob = sample_logprobs(s->scratch[worker], &in, d->id, d->how.top, j->n_top);
}

static void run_draw(void *arg, int chunk, int worker)
{
    struct sched *s = arg;
    sched_draw(s, &s->draws[chunk], worker);
}

void sched_draw_all(struct sched *s, int n)
{
    engine_parallel(s->engine, run_draw, s, n);
}
