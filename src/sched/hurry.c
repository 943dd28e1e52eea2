/* sched/hurry.c - a demanded call whose tokens run out is brought to an end.
 *
 * When hardly more tokens are left than the shortest way out takes that is easily found, that way
 * is taken: open strings are closed, what is required is filled in, brackets are closed. */
#include "sched/sched_int.h"

#include "base/mem.h"

#define FROM_LEFT 192 // tokens left when it is first looked at
#define WAY_MAX   1024
#define SLACK     40 // a character, or an optional member, may have been begun

/* Inside of a string, right behind a backslash?  Quotes that are not escaped tell. */
struct quotes {
    bool in, escaped;
};

static void follow(struct quotes *t, str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        if (t->escaped)
            t->escaped = false;
        else if (bytes.p[i] == '"')
            t->in = !t->in;
        else
            t->escaped = t->in && bytes.p[i] == '\\';
    }
}

static bool take(struct gram_state *g, str bytes, struct quotes *t, struct buf *way)
{
    struct err e;
    if (!gram_accept_bytes(g, bytes, &e))
        return false;
    follow(t, bytes);
    buf_str(way, bytes);
    return true;
}

/* One step of the way: what must come, else what ends something, else anything. */
static bool step(struct gram_state *g, struct quotes *t, struct buf *way)
{
    static const char *const inside[] = {"\n</parameter>\n", "\""};
    static const char *const outside[] = {"\n</parameter>\n", "}", "]", ")", ",", "\"", "0", "1"};
    const char *const *list = t->in ? inside : outside;
    size_t n = t->in ? COUNT(inside) : COUNT(outside);
    char forced[256], one[1];
    size_t n_forced = gram_only(g, forced, sizeof forced);
    if (n_forced)
        return take(g, str_n(forced, n_forced), t, way);
    for (size_t i = 0; i < n; i++)
        if (take(g, str_c(list[i]), t, way))
            return true;
    for (int c = 0xbf; c >= ' '; c--) { // 0x80 and more complete a character
        one[0] = (char)c;
        if (c != '\\' && c != 0x7f && take(g, str_n(one, 1), t, way))
            return true;
    }
    return false;
}

/* The bytes of the way out; false when none is found. */
static bool find_way(struct sched *s, const struct seq *q, struct buf *way)
{
    struct gram_state *g = gram_state_copy(q->guide.gram);
    struct quotes t = {false, false};
    bool out = gram_may_end(g);
    for (int i = q->job->n_prompt; i < q->n_tokens; i++)
        follow(&t, tok_piece(s->tok, q->tokens[i], false));
    while (!out && way->n < WAY_MAX && step(g, &t, way))
        out = gram_may_end(g);
    gram_state_free(g);
    return out;
}

int sched_hurry(struct sched *s, struct seq *q)
{
    const struct sched_job *j = q->job;
    struct guide *g = &q->guide;
    int left = int_min(j->max_tokens - q->n_output, s->conf.n_ctx - q->n_tokens), got = 0;
    if (!j->in_time || left > FROM_LEFT)
        return 0;
    struct buf way = BUF_INIT(2 * WAY_MAX);
    struct tok_ids ids;
    struct err e;
    tok_ids_init(&ids, 2 * WAY_MAX);
    struct tok_span span;
    bool ok = find_way(s, q, &way);
    span = (struct tok_span){.text = buf_as_str(&way)};
    ok = ok && (way.n == 0 || tok_encode(s->tok, &span, 1, false, &ids, &e));
    if (ok && (way.n == 0 || (int)ids.n + SLACK >= left)) { // nothing more is begun now
        size_t at = 0;
        for (; (size_t)got < ids.n && got < (int)COUNT(g->jump); got++) {
            str piece = tok_piece(s->tok, ids.id[got], false);
            if (piece.n == 0 || !str_starts(str_from(buf_as_str(&way), at), piece))
                break;
            at += piece.n;
            g->jump[got] = ids.id[got];
        }
        if (way.n == 0 && tok_eos(s->tok) >= 0)
            g->jump[got++] = tok_eos(s->tok);
    }
    tok_ids_free(&ids);
    buf_free(&way);
    return got;
}
