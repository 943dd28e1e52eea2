/* sched/piece.c - what a job's owner gets to see: texts with the tokens behind them. */
#include "sched/sched_int.h"

#include "base/mem.h"

#include <assert.h>

struct sched_piece *sched_piece_new(struct sched_job *j, enum sched_what what, int choice)
{
    struct sched_piece *p = mem_calloc(1, sizeof *p);
    p->job = j;
    p->what = what;
    p->choice = choice;
    return p;
}

void sched_piece_free(struct sched_piece *p)
{
    if (!p)
        return;
    buf_free(&p->text);
    mem_free(p->tokens);
    mem_free(p);
}

void sched_emit(struct sched *s, struct sched_piece *p)
{
    // The engine rests before a step when places are short, so this cannot fail.
    bool ok = queue_push(s->out, p);
    assert(ok);
}

void sched_position(struct sched *s, struct sched_job *j, enum sched_what what, size_t position)
{
    struct sched_piece *p = sched_piece_new(j, what, 0);
    p->position = position;
    sched_emit(s, p);
}

void sched_list_init(struct token_list *l, int n_top)
{
    *l = (struct token_list){.n_top = n_top};
}

void sched_list_fini(struct token_list *l)
{
    mem_free(l->tokens);
    mem_free(l->tops);
}

void sched_list_add(struct token_list *l, int32_t id, const struct drawn *d)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 8;
        l->tokens = mem_realloc(l->tokens, (size_t)l->cap * sizeof *l->tokens);
        l->tops = mem_realloc(l->tops, (size_t)l->cap * (size_t)l->n_top * sizeof *l->tops);
    }
    bool known = d && d->has_logprob;
    l->tokens[l->n] = (struct listed){
        .id = id, .begin = l->end, .logprob = known ? d->logprob : 0, .known = known};
    if (known)
        memcpy(l->tops + (size_t)l->n * (size_t)l->n_top, d->top,
               (size_t)l->n_top * sizeof *l->tops);
    l->n++;
}

/* Moves the first n tokens of the list into p; one block of memory holds them and their
 * alternatives. */
static void give_tokens(struct token_list *l, int n, struct sched_piece *p)
{
    if (n == 0)
        return;
    size_t tops = (size_t)n * (size_t)l->n_top, head = (size_t)n * sizeof *p->tokens;
    p->tokens = mem_alloc(head + tops * sizeof(struct sample_logprob));
    struct sample_logprob *top = (void *)((char *)p->tokens + head);
    if (tops)
        memcpy(top, l->tops, tops * sizeof *top);
    for (int i = 0; i < n; i++) {
        const struct listed *t = &l->tokens[i];
        p->tokens[i] = (struct sched_token){.id = t->id,
                                            .at = (int32_t)(t->begin - l->sent),
                                            .logprob = t->logprob,
                                            .top = top + (size_t)i * (size_t)l->n_top,
                                            .n_top = t->known ? l->n_top : 0};
    }
    l->n -= n;
    memmove(l->tokens, l->tokens + n, (size_t)l->n * sizeof *l->tokens);
    if (tops)
        memmove(l->tops, l->tops + tops, (size_t)l->n * (size_t)l->n_top * sizeof *l->tops);
}

void sched_send_text(struct sched *s, struct seq *q)
{
    struct token_list *l = &q->list;
    if (s->text.n == 0)
        return;
    struct sched_piece *p = sched_piece_new(q->job, SCHED_TEXT, q->choice);
    int n = 0;
    while (n < l->n && l->tokens[n].begin < l->sent + s->text.n)
        n++;
    give_tokens(l, n, p);
    p->n_tokens = n;
    p->n_listed = n;
    l->sent += s->text.n;
    buf_init(&p->text, s->text.n);
    buf_str(&p->text, buf_as_str(&s->text));
    sched_emit(s, p);
}

void sched_send_finish(struct sched *s, struct seq *q, enum sched_finish why)
{
    struct sched_piece *p = sched_piece_new(q->job, SCHED_FINISHED, q->choice);
    p->finish = why;
    p->stop = why == SCHED_FINISH_STOP ? q->stop.found : STR("");
    p->n_tokens = q->n_output;
    p->token = q->tokens[q->n_tokens - 1];
    p->n_listed = q->list.n;
    give_tokens(&q->list, q->list.n, p);
    sched_emit(s, p);
}
