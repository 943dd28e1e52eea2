/* tok/merge.c - joins neighbours, best pair first, until none is left: byte-pair encoding by rank,
 * SentencePiece by score.
 *
 * Symbols are a linked list; pairs wait in a heap ordered by rank, then by place.  A pair that no
 * longer stands is recognised when it comes up, by what its symbol has noted.  n symbols cost
 * O(n log n). */
#include "tok/tok_int.h"

#define NO_RANK INT32_MAX

void tok_merger_fini(struct tok_merger *m)
{
    mem_free(m->sym);
    mem_free(m->heap);
    *m = (struct tok_merger){0};
}

/* ---- a heap of numbers, smallest first --------------------------------------------------------
 */

static void sift_down(uint64_t *h, size_t n, size_t i)
{
    uint64_t x = h[i];
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && h[c + 1] < h[c])
            c++;
        if (h[c] >= x)
            break;
        h[i] = h[c];
    }
    h[i] = x;
}

static void heap_push(struct tok_merger *m, uint64_t x)
{
    if (m->n_heap == m->cap_heap) {
        m->cap_heap = m->cap_heap ? m->cap_heap * 2 : 256;
        m->heap = mem_realloc(m->heap, m->cap_heap * sizeof *m->heap);
    }
    size_t i = m->n_heap++;
    for (size_t up; i > 0 && m->heap[up = (i - 1) / 2] > x; i = up)
        m->heap[i] = m->heap[up];
    m->heap[i] = x;
}

static uint64_t heap_pop(struct tok_merger *m)
{
    uint64_t top = m->heap[0];
    m->heap[0] = m->heap[--m->n_heap];
    if (m->n_heap)
        sift_down(m->heap, m->n_heap, 0);
    return top;
}

/* ---- symbols -----------------------------------------------------------------------------------
 */

static void begin_symbols(struct tok_merger *m, size_t at_most)
{
    m->n_sym = m->n_heap = 0;
    if (at_most > m->cap_sym || !m->sym) {
        m->cap_sym = size_max(at_most + at_most / 4, 64);
        m->sym = mem_realloc(m->sym, m->cap_sym * sizeof *m->sym);
    }
}

static void add_symbol(struct tok_merger *m, size_t at, size_t len, int32_t piece)
{
    int32_t i = (int32_t)m->n_sym++;
    m->sym[i] = (struct tok_symbol){.at = (uint32_t)at,
                                    .len = (uint32_t)len,
                                    .next = i + 1,
                                    .prev = i - 1,
                                    .piece = piece,
                                    .merged = -1,
                                    .rank = NO_RANK};
}

/* Notes in symbol i what it gives together with the next one. */
static void look_bpe(const struct tok *t, struct tok_merger *m, str text, int32_t i)
{
    (void)text;
    struct tok_symbol *s = &m->sym[i];
    s->merged = -1;
    s->rank = NO_RANK;
    if (s->next < 0 || s->piece < 0 || m->sym[s->next].piece < 0)
        return;
    const struct tok_pair *p = tok_pairs_find(&t->pairs, s->piece, m->sym[s->next].piece);
    if (p) {
        s->merged = p->merged;
        s->rank = p->rank;
    }
}

static void look_spm(const struct tok *t, struct tok_merger *m, str text, int32_t i)
{
    struct tok_symbol *s = &m->sym[i];
    s->merged = -1;
    s->rank = NO_RANK;
    if (s->next < 0)
        return;
    size_t len = (size_t)s->len + m->sym[s->next].len;
    if (len > (size_t)t->piece_max)
        return;
    int32_t p = tok_map_find(&t->pieces, str_n(text.p + s->at, len));
    if (p >= 0) {
        s->merged = p;
        s->rank = t->piece_rank[p];
    }
}

typedef void (*look_fn)(const struct tok *t, struct tok_merger *m, str text, int32_t i);

/* Joins symbol i with the next one. */
static void join(struct tok_merger *m, int32_t i)
{
    struct tok_symbol *s = &m->sym[i], *r = &m->sym[s->next];
    s->len += r->len;
    s->piece = s->merged;
    r->len = 0; // gone
    r->merged = -1;
    r->rank = NO_RANK;
    s->next = r->next;
    if (s->next >= 0)
        m->sym[s->next].prev = i;
}

static void merge_few(const struct tok *t, struct tok_merger *m, str text, look_fn look)
{
    for (;;) {
        int32_t best = -1, rank = NO_RANK;
        for (int32_t i = 0; i >= 0; i = m->sym[i].next)
            if (m->sym[i].rank < rank) {
                rank = m->sym[i].rank;
                best = i;
            }
        if (best < 0)
            return;
        join(m, best);
        look(t, m, text, best);
        if (m->sym[best].prev >= 0)
            look(t, m, text, m->sym[best].prev);
    }
}

static void offer(struct tok_merger *m, int32_t i)
{
    if (m->sym[i].merged >= 0)
        heap_push(m, (uint64_t)(uint32_t)m->sym[i].rank << 32 | (uint32_t)i);
}

static void merge_many(const struct tok *t, struct tok_merger *m, str text, look_fn look)
{
    for (int32_t i = 0; i < (int32_t)m->n_sym; i++)
        offer(m, i);
    while (m->n_heap) {
        uint64_t top = heap_pop(m);
        int32_t i = (int32_t)(uint32_t)top;
        if (m->sym[i].len == 0 || (uint32_t)m->sym[i].rank != top >> 32 || m->sym[i].merged < 0)
            continue; // it was joined with something else meanwhile
        join(m, i);
        look(t, m, text, i);
        offer(m, i);
        int32_t before = m->sym[i].prev;
        if (before >= 0) {
            look(t, m, text, before);
            offer(m, before);
        }
    }
}

static void merge_all(const struct tok *t, struct tok_merger *m, str text, look_fn look)
{
    m->sym[m->n_sym - 1].next = -1;
    for (int32_t i = 0; i < (int32_t)m->n_sym; i++)
        look(t, m, text, i);
    if (m->n_sym <= 24)
        merge_few(t, m, text, look);
    else
        merge_many(t, m, text, look);
}

/* A byte that the vocabulary lacks is left out, as llama.cpp does; SPM has put the unknown token in
 * its place. */
static bool put_bytes(const struct tok *t, str bytes, struct tok_ids *ids, struct err *e)
{
    for (size_t i = 0; i < bytes.n; i++) {
        int32_t id = t->byte_id[(unsigned char)bytes.p[i]];
        if (id >= 0 && !tok_ids_put(ids, id, e))
            return false;
    }
    return true;
}

static bool put_symbols(const struct tok *t, struct tok_merger *m, str text, struct tok_ids *ids,
                        struct err *e)
{
    for (int32_t i = 0; i >= 0; i = m->sym[i].next) {
        const struct tok_symbol *s = &m->sym[i];
        int32_t id = s->piece < 0 ? -1 : t->piece_id[s->piece];
        if (id < 0 ? !put_bytes(t, str_n(text.p + s->at, s->len), ids, e)
                   : !tok_ids_put(ids, id, e))
            return false;
    }
    return true;
}

/* Bytes of the character that begins with this one, by its first four bits alone. */
static size_t char_length(const char *p, size_t n)
{
    static const unsigned char by_lead[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 3, 4};
    return size_min(by_lead[(unsigned char)*p >> 4], n);
}

static void add_characters(const struct tok *t, struct tok_merger *m, str text)
{
    begin_symbols(m, text.n);
    for (size_t i = 0, len; i < text.n; i += len) {
        len = char_length(text.p + i, text.n - i);
        add_symbol(m, i, len, tok_map_find(&t->pieces, str_n(text.p + i, len)));
    }
}

bool tok_bpe_word(const struct tok *t, struct tok_merger *m, str word, struct tok_ids *ids,
                  struct err *e)
{
    bool newlines = t->pre->raw && word.n && word.p[0] == '\n'; // runs of them are taken whole
    if (t->pre->ignore_merges || newlines) {
        int32_t p = tok_map_find(&t->pieces, word);
        if (p >= 0 && t->piece_id[p] >= 0)
            return tok_ids_put(ids, t->piece_id[p], e);
    }
    if (word.n == 0)
        return true;
    if (t->pre->raw) {
        add_characters(t, m, word);
    } else {
        begin_symbols(m, word.n);
        for (size_t i = 0; i < word.n; i++)
            add_symbol(m, i, 1, t->byte_piece[(unsigned char)word.p[i]]);
    }
    merge_all(t, m, word, look_bpe);
    return put_symbols(t, m, word, ids, e);
}

/* Where the next word may begin: at a blank behind something else. */
static size_t word_end(str text)
{
    bool blank = true;
    for (size_t i = 0; i < text.n; i += char_length(text.p + i, text.n - i)) {
        bool is_blank = str_starts(str_from(text, i), TOK_BLANK);
        if (is_blank && !blank)
            return i;
        blank = is_blank;
    }
    return text.n;
}

bool tok_spm_text(const struct tok *t, struct tok_merger *m, str text, struct tok_ids *ids,
                  struct err *e)
{
    while (text.n) {
        str word = str_sub(text, 0, t->blank_cuts ? word_end(text) : text.n);
        add_characters(t, m, word);
        merge_all(t, m, word, look_spm);
        if (!put_symbols(t, m, word, ids, e))
            return false;
        text = str_from(text, word.n);
    }
    return true;
}
