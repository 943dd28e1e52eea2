/* sched/piece.c - what a job's owner gets to see: texts with the tokens behind them. */
#include "sched/sched_int.h"

#include "base/mem.h"

#include <assert.h>

#define TEXT_KEPT    256 // bytes of text, and
#define TOKENS_KEPT  512 // ... of tokens that a piece keeps room for
#define LISTED_USUAL 32  // tokens that a choice has room for while no piece carries them

struct piece_pool {
    struct sched_piece *spare;          // the engine thread's
    _Atomic(struct sched_piece *) back; // given back: any thread pushes (release), the engine
                                        // thread takes all (acquire)
    atomic_size_t users;                // the scheduler and the pieces that are out
};

size_t sched_piece_bytes(void)
{
    return sizeof(struct sched_piece) + TEXT_KEPT + TOKENS_KEPT;
}

/* Text and tokens of the usual size. */
static void usual_room(struct sched_piece *p)
{
    if (p->text.cap == 0 || p->text.cap > TEXT_KEPT) {
        buf_free(&p->text);
        buf_reserve(&p->text, TEXT_KEPT / 2);
    }
    if (p->own.token_bytes != TOKENS_KEPT) {
        mem_free(p->tokens);
        p->tokens = mem_alloc(TOKENS_KEPT);
        p->own.token_bytes = TOKENS_KEPT;
    }
}

static struct sched_piece *make_piece(struct piece_pool *pool)
{
    struct sched_piece *p = mem_calloc(1, sizeof *p);
    p->own.pool = pool;
    buf_init(&p->text, 2 * HELD_TEXT_MAX);
    usual_room(p);
    return p;
}

static void free_pieces(struct sched_piece *p)
{
    for (struct sched_piece *next; p; p = next) {
        next = p->own.next;
        buf_free(&p->text);
        mem_free(p->tokens);
        mem_free(p);
    }
}

struct piece_pool *sched_pieces_new(size_t n)
{
    struct piece_pool *pool = mem_calloc(1, sizeof *pool);
    atomic_init(&pool->users, 1);
    for (size_t i = 0; i < n; i++) {
        struct sched_piece *p = make_piece(pool);
        p->own.next = pool->spare;
        pool->spare = p;
    }
    return pool;
}

void sched_pieces_drop(struct piece_pool *pool)
{
    if (!pool || atomic_fetch_sub_explicit(&pool->users, 1, memory_order_acq_rel) > 1)
        return;
    free_pieces(pool->spare);
    free_pieces(atomic_load_explicit(&pool->back, memory_order_acquire));
    mem_free(pool);
}

struct sched_piece *sched_piece_new(struct sched_job *j, enum sched_what what, int choice)
{
    struct piece_pool *pool = j->sched->pieces;
    if (!pool->spare)
        pool->spare = atomic_exchange_explicit(&pool->back, NULL, memory_order_acquire);
    struct sched_piece *p = pool->spare;
    if (p)
        pool->spare = p->own.next;
    else
        p = make_piece(pool);
    atomic_fetch_add_explicit(&pool->users, 1, memory_order_relaxed);
    *p = (struct sched_piece){.job = j,
                              .what = what,
                              .choice = choice,
                              .tokens = p->tokens,
                              .text = p->text,
                              .own = {.pool = pool, .token_bytes = p->own.token_bytes}};
    return p;
}

void sched_piece_free(struct sched_piece *p)
{
    if (!p)
        return;
    struct piece_pool *pool = p->own.pool;
    buf_clear(&p->text);
    usual_room(p);
    p->own.next = atomic_load_explicit(&pool->back, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&pool->back, &p->own.next, p,
                                                  memory_order_release, memory_order_relaxed))
        ;
    sched_pieces_drop(pool);
}

void sched_emit(struct sched *s, struct sched_piece *p)
{
    // The engine rests before a step when places are short, so this cannot fail.
    bool ok = queue_put(s->out, p);
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
    *l = (struct token_list){.n_top = n_top, .cap = LISTED_USUAL};
    l->tokens = mem_alloc((size_t)l->cap * sizeof *l->tokens);
    l->tops = mem_alloc((size_t)l->cap * (size_t)n_top * sizeof *l->tops);
}

void sched_list_fini(struct token_list *l)
{
    mem_free(l->tokens);
    mem_free(l->tops);
}

void sched_list_add(struct token_list *l, int32_t id, const struct drawn *d)
{
    if (l->n == l->cap) {
        l->cap *= 2;
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
    size_t bytes = head + tops * sizeof(struct sample_logprob);
    if (bytes > p->own.token_bytes) {
        mem_free(p->tokens);
        p->tokens = mem_alloc(bytes);
        p->own.token_bytes = bytes;
    }
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
