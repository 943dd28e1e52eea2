/* tok/special.c - finds special tokens in a text, longest first.
 *
 * Control tokens are seen in trusted text only; tokens that the vocabulary's makers added for
 * ordinary use (user-defined ones) everywhere.  No special token is put together from both trusted
 * and other text. */
#include "tok/tok_int.h"

#include <stdlib.h>

#define SPECIAL_ATTRS (TOK_CONTROL | TOK_USER | TOK_UNKNOWN)

static int longer_first(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

static uint64_t length_bit(const struct tok_specials *s, size_t len)
{
    int lo = 0, hi = s->n_lengths - 1; // longest first, and len is among them
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (s->length[mid] > (int)len)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (uint64_t)1 << int_min(lo, 63);
}

static void note_start(struct tok_specials *s, str name, int *n_rows)
{
    unsigned char first = (unsigned char)name.p[0];
    if (!s->row_of[first]) {
        s->row = mem_realloc(s->row, ((size_t)*n_rows + 1) * sizeof *s->row);
        memset(s->row[*n_rows], 0, sizeof *s->row);
        s->row_of[first] = (uint16_t)++ * n_rows;
    }
    uint64_t *row = s->row[s->row_of[first] - 1];
    uint64_t bit = length_bit(s, name.n);
    if (name.n > 1)
        row[(unsigned char)name.p[1]] |= bit;
    else
        for (int i = 0; i < 256; i++)
            row[i] |= bit;
}

void tok_specials_init(struct tok *t)
{
    struct tok_specials *s = &t->specials;
    size_t n = 0;
    for (int i = 0; i < t->n; i++)
        n += (t->attr[i] & SPECIAL_ATTRS) != 0;
    tok_map_init(&s->by_name, n);
    s->id = mem_alloc(n * sizeof *s->id);
    s->length = mem_alloc(n * sizeof *s->length);
    for (int i = 0; i < t->n; i++) {
        if (!(t->attr[i] & SPECIAL_ATTRS) || t->name[i].n == 0)
            continue;
        s->id[tok_map_add(&s->by_name, t->name[i])] = i;
        s->length[s->n_lengths++] = (int)t->name[i].n;
    }
    if (s->n_lengths)
        qsort(s->length, (size_t)s->n_lengths, sizeof *s->length, longer_first);
    int kept = 0;
    for (int i = 0; i < s->n_lengths; i++)
        if (i == 0 || s->length[i] != s->length[kept - 1])
            s->length[kept++] = s->length[i];
    s->n_lengths = kept;
    int n_rows = 0;
    for (size_t i = 0; i < s->by_name.n; i++)
        note_start(s, s->by_name.key[i], &n_rows);
}

void tok_specials_fini(struct tok_specials *s)
{
    tok_map_fini(&s->by_name);
    mem_free(s->id);
    mem_free(s->length);
    mem_free(s->row);
    *s = (struct tok_specials){0};
}

/* A place where special tokens of some lengths may begin. */
struct start {
    size_t at, run_end;
    uint64_t lengths;
    bool trusted;
};
struct starts {
    struct start *p;
    size_t n, cap;
};

static void add_start(struct starts *s, struct start x)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->p = mem_realloc(s->p, s->cap * sizeof *s->p);
    }
    s->p[s->n++] = x;
}

static void find_starts(const struct tok_specials *s, str text, const size_t *run_end,
                        size_t n_runs, bool trusted, struct starts *out)
{
    size_t i = 0;
    for (size_t r = 0; r < n_runs; r++, trusted = !trusted)
        for (; i < run_end[r]; i++) {
            int row = s->row_of[(unsigned char)text.p[i]];
            if (!row)
                continue;
            unsigned char second = i + 1 < text.n ? (unsigned char)text.p[i + 1] : 0;
            uint64_t lengths = s->row[row - 1][second];
            if (lengths)
                add_start(out, (struct start){i, run_end[r], lengths, trusted});
        }
}

static bool covered(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void cover(uint64_t *bits, size_t from, size_t n)
{
    for (size_t i = from; i < from + n; i++)
        bits[i / 64] |= (uint64_t)1 << (i % 64);
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_cut(struct tok_cuts *out, struct tok_cut cut)
{
    if (out->n == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 64;
        out->cut = mem_realloc(out->cut, out->cap * sizeof *out->cut);
    }
    out->cut[out->n++] = cut;
}

/* Takes the tokens of one length, from left to right.  What was taken before is at least as long,
 * so that looking at both ends tells whether something is in the way. */
static void take_length(const struct tok *t, str text, const struct starts *starts, int which,
                        uint64_t *bits, struct tok_cuts *out)
{
    const struct tok_specials *s = &t->specials;
    uint64_t bit = (uint64_t)1 << int_min(which, 63);
    size_t len = (size_t)s->length[which];
    for (size_t i = 0; i < starts->n; i++) {
        const struct start *st = &starts->p[i];
        if (!(st->lengths & bit) || len > st->run_end - st->at || covered(bits, st->at) ||
            covered(bits, st->at + len - 1))
            continue;
        int32_t k = tok_map_find(&s->by_name, str_sub(text, st->at, len));
        if (k < 0)
            continue;
        int32_t id = s->id[k];
        if (!st->trusted && (t->attr[id] & (TOK_CONTROL | TOK_UNKNOWN)))
            continue;
        size_t end = st->at + len;
        if (t->attr[id] & TOK_RSTRIP)
            while (end < text.n && is_space(text.p[end]) && !covered(bits, end))
                end++;
        cover(bits, st->at, end - st->at);
        add_cut(out, (struct tok_cut){st->at, end - st->at, id});
    }
}

static int by_place(const void *a, const void *b)
{
    const struct tok_cut *x = a, *y = b;
    return (x->at > y->at) - (x->at < y->at);
}

void tok_find_specials(const struct tok *t, str text, const size_t *run_end, size_t n_runs,
                       bool first_trusted, struct tok_cuts *out)
{
    const struct tok_specials *s = &t->specials;
    struct starts starts = {0};
    out->n = 0;
    find_starts(s, text, run_end, n_runs, first_trusted, &starts);
    if (starts.n) {
        uint64_t present = 0;
        for (size_t i = 0; i < starts.n; i++)
            present |= starts.p[i].lengths;
        uint64_t *bits = mem_calloc(text.n / 64 + 1, sizeof *bits);
        for (int i = 0; i < s->n_lengths; i++)
            if (present >> int_min(i, 63) & 1)
                take_length(t, text, &starts, i, bits, out);
        mem_free(bits);
        if (out->n)
            qsort(out->cut, out->n, sizeof *out->cut, by_place);
    }
    mem_free(starts.p);
}
