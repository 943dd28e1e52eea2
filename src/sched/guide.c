/* sched/guide.c - what may come next: a grammar's mask, forced tokens, the end of thinking.
 *
 * Jump-forward: where the mask allows one token it is taken without being drawn, and where the
 * grammar allows one run of bytes only, their canonical tokens are (all but the last, which might
 * join what follows it: that one is drawn under the mask).  Both are functions of the tokens so
 * far, so a seeded request gives the same answer every time; the forced bytes are those that
 * drawing would have given, in as many tokens as the tokenizer makes of them.  Jobs that want
 * log-probabilities are spared the second, and the first costs them a step like any other, because
 * the model's opinion of each token is asked for. */
#include "sched/sched_int.h"

#include "base/mem.h"

#define FEW        64  // where a run of bytes is forced, no more tokens are allowed
#define JUMP_MAX   256 // bytes of forced text looked at together
#define LONG_TOKEN 24  // bytes that hardly any token has more of
#define TAIL_MAX   256 // of text in which the thinking's markers are looked for
#define MARK_MAX   128 // bytes of a marker

void sched_guide_init(struct guide *g, const struct sched_job *j)
{
    *g = (struct guide){.thought = THOUGHT_OVER, .forced = j->forced, .n_forced = (int)j->n_forced};
    if (j->gram) {
        g->gram = gram_state_new(j->gram);
        g->mask =
            mem_alloc(gram_mask_words(gram_vocab_n(gram_vocab_of(j->gram))) * sizeof *g->mask);
    }
    if (j->thinking.budget > 0)
        g->thought = j->thinking.begin.n ? THOUGHT_BEFORE : THOUGHT_IN;
    buf_init(&g->tail, TAIL_MAX + HELD_TEXT_MAX);
}

void sched_guide_fini(struct guide *g)
{
    gram_state_free(g->gram);
    mem_free(g->mask);
    buf_free(&g->tail);
}

static bool has(const uint64_t *mask, int32_t id)
{
    return mask[id / 64] >> id % 64 & 1;
}

/* The request's own ending tokens come, like the model's, where the text may end and only there. */
static void mask_ends(const struct sched_job *j, struct guide *g)
{
    bool may = gram_may_end(g->gram);
    for (size_t i = 0; i < j->n_ends; i++) {
        int32_t id = j->ends[i];
        uint64_t bit = (uint64_t)1 << id % 64;
        g->n_allowed += (int)may - (int)has(g->mask, id);
        g->mask[id / 64] = may ? g->mask[id / 64] | bit : g->mask[id / 64] & ~bit;
    }
}

static int32_t first_of(const uint64_t *mask)
{
    int32_t w = 0;
    while (!mask[w])
        w++;
    return w * 64 + __builtin_ctzll(mask[w]);
}

/* May a token come that reaches behind these bytes?  Then it is the model's to choose. */
static bool reaches_beyond(const struct sched *s, const struct guide *g, size_t n)
{
    for (int32_t id = 0; id < tok_n_vocab(s->tok); id++) {
        if (id % 64 == 0 && !g->mask[id / 64])
            id += 63;
        else if (has(g->mask, id) && tok_piece(s->tok, id, false).n > n)
            return true;
    }
    return false;
}

/* The canonical tokens of the bytes that must come next, but the last of them; behind the first
 * one, none near the end of these bytes, where a token may begin that reaches beyond. */
static int forced_text(struct sched *s, struct guide *g)
{
    char bytes[JUMP_MAX];
    size_t n = gram_only(g->gram, bytes, sizeof bytes), at = 0;
    struct tok_span span = {.text = str_n(bytes, n)};
    struct tok_ids ids;
    struct err e;
    int got = 0;
    if (n < 2 || reaches_beyond(s, g, n))
        return 0;
    tok_ids_init(&ids, JUMP_MAX);
    bool ok = tok_encode(s->tok, &span, 1, false, &ids, &e);
    while (ok && (size_t)got + 1 < ids.n && got < (int)COUNT(g->jump)) {
        // Some tokenizers put a blank before a text, or change it: then this is not what is forced.
        str piece = tok_piece(s->tok, ids.id[got], false);
        if (piece.n == 0 || !str_starts(str_sub(span.text, at, n), piece))
            break;
        if (got > 0 && n - at < LONG_TOKEN)
            break;
        at += piece.n;
        g->jump[got] = ids.id[got];
        got++;
    }
    tok_ids_free(&ids);
    return got;
}

static bool next_of_gram(struct sched *s, struct seq *q, struct err *e)
{
    struct guide *g = &q->guide;
    const struct sched_job *j = q->job;
    g->forced = g->jump;
    if ((g->n_forced = sched_hurry(s, q)) > 0)
        return true;
    if (!g->masked) {
        if (!gram_mask(g->gram, g->mask, &g->n_allowed, e))
            return err_ctx(e, "the answer's format");
        mask_ends(j, g);
        g->masked = true;
    }
    if (g->n_allowed == 0)
        return err_set(e, ERR_INTERNAL,
                       "the answer can neither go on nor end in the format that was asked for");
    if (g->n_allowed > FEW)
        return true;
    if (g->n_allowed == 1) {
        g->jump[0] = first_of(g->mask);
        g->n_forced = 1;
    } else if (!j->want_logprobs) {
        g->n_forced = forced_text(s, g);
    }
    g->forced = g->jump;
    return true;
}

bool sched_guide_next(struct sched *s, struct seq *q, struct err *e)
{
    struct guide *g = &q->guide;
    const struct sched_thinking *t = &q->job->thinking;
    if (g->n_forced > 0)
        return true;
    if (g->thought == THOUGHT_IN && g->n_thought >= t->budget) {
        g->thought = THOUGHT_OVER;
        g->forced = t->close;
        g->n_forced = (int)t->n_close;
        if (g->n_forced > 0)
            return true;
    }
    return !g->gram || next_of_gram(s, q, e);
}

/* Has the marker appeared with the newest n bytes of the text? */
static bool appeared(const struct guide *g, str marker, size_t n)
{
    str text = buf_as_str(&g->tail);
    size_t look = size_min(text.n, n + marker.n - 1);
    return str_find(str_sub(text, text.n - look, look), marker) >= 0;
}

static void think(struct sched *s, struct seq *q, int32_t id)
{
    struct guide *g = &q->guide;
    const struct sched_thinking *t = &q->job->thinking;
    str piece = tok_piece(s->tok, id, true);
    if (g->tail.n > TAIL_MAX)
        buf_consume(&g->tail, g->tail.n - MARK_MAX);
    buf_str(&g->tail, piece);
    if (g->thought == THOUGHT_BEFORE) {
        if (appeared(g, t->begin, piece.n))
            g->thought = THOUGHT_IN;
    } else {
        g->n_thought++;
        if (appeared(g, t->end, piece.n))
            g->thought = THOUGHT_OVER;
    }
}

bool sched_guide_took(struct sched *s, struct seq *q, int32_t id, bool end, struct err *e)
{
    struct guide *g = &q->guide;
    if (g->n_forced > 0) {
        // A replay may bring other tokens than this build would force: they count.
        bool as_forced = g->forced[0] == id;
        g->forced++;
        g->n_forced = as_forced ? g->n_forced - 1 : 0;
    }
    g->masked = false;
    if (g->gram && end && !gram_may_end(g->gram))
        return err_set(e, ERR_INTERNAL, "the answer ended before it had the format asked for");
    if (g->gram && !end && !gram_accept(g->gram, id, e))
        return err_ctx(e, "the answer's format");
    if (g->thought != THOUGHT_OVER)
        think(s, q, id);
    return true;
}
