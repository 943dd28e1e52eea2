/* gram/set.c - sets of code points, and the bytes of UTF-8 that spell them. */
#include "gram/gram_int.h"

void cp_add(struct gram_build *b, struct cp_set *s, uint32_t lo, uint32_t hi)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 8;
        struct cp_range *r = arena_calloc(&b->arena, cap, sizeof *r);
        if (!r) {
            build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
            return;
        }
        if (s->n)
            memcpy(r, s->r, s->n * sizeof *r);
        s->r = r;
        s->cap = cap;
    }
    s->r[s->n++] = (struct cp_range){lo, hi};
}

void cp_add_set(struct gram_build *b, struct cp_set *s, const struct cp_set *more)
{
    for (size_t i = 0; i < more->n; i++)
        cp_add(b, s, more->r[i].lo, more->r[i].hi);
}

static int by_lo(const void *a, const void *b)
{
    const struct cp_range *x = a, *y = b;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

void cp_normal(struct cp_set *s)
{
    if (s->n)
        qsort(s->r, s->n, sizeof *s->r, by_lo);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (n && s->r[i].lo <= s->r[n - 1].hi + 1) {
            if (s->r[i].hi > s->r[n - 1].hi)
                s->r[n - 1].hi = s->r[i].hi;
        } else {
            s->r[n++] = s->r[i];
        }
    }
    s->n = n;
}

void cp_invert(struct gram_build *b, struct cp_set *s)
{
    struct cp_set out = {0};
    uint32_t from = 0;
    cp_normal(s);
    for (size_t i = 0; i < s->n; i++) {
        if (s->r[i].lo > from)
            cp_add(b, &out, from, s->r[i].lo - 1);
        from = s->r[i].hi + 1;
    }
    if (from <= 0x10FFFF)
        cp_add(b, &out, from, 0x10FFFF);
    *s = out;
}

/* Sequences of byte ranges for lo..hi, both of n bytes with the shift's bits to spell. */
static const struct gram_node *tail(struct gram_build *b, uint32_t lo, uint32_t hi, int n);

static const struct gram_node *lead(struct gram_build *b, uint32_t lo, uint32_t hi, int n,
                                    uint32_t first)
{
    return gram_seq2(b,
                     node_byte(b, (int)(first | (lo >> (6 * n))), (int)(first | (hi >> (6 * n)))),
                     n ? tail(b, lo & ((1u << (6 * n)) - 1), hi & ((1u << (6 * n)) - 1), n)
                       : gram_lit(b, (str){NULL, 0}));
}

/* n continuation bytes spell lo..hi, after a byte with the bits `first`. */
static const struct gram_node *span(struct gram_build *b, uint32_t lo, uint32_t hi, int n,
                                    uint32_t first)
{
    uint32_t low = (1u << (6 * n)) - 1;
    if (n == 0 || (lo >> (6 * n)) == (hi >> (6 * n)) || ((lo & low) == 0 && (hi & low) == low))
        return lead(b, lo, hi, n, first);
    struct node_list alt = {0};
    if (lo & low) {
        node_add(b, &alt, span(b, lo, lo | low, n, first));
        lo = (lo | low) + 1;
    }
    if ((hi & low) != low) {
        if ((lo >> (6 * n)) < (hi >> (6 * n)))
            node_add(b, &alt, span(b, lo, (hi & ~low) - 1, n, first));
        node_add(b, &alt, span(b, hi & ~low, hi, n, first));
    } else if (lo <= hi) {
        node_add(b, &alt, span(b, lo, hi, n, first));
    }
    return node_alt(b, &alt);
}

static const struct gram_node *tail(struct gram_build *b, uint32_t lo, uint32_t hi, int n)
{
    return span(b, lo, hi, n - 1, 0x80);
}

const struct gram_node *node_set(struct gram_build *b, struct cp_set *s)
{
    static const struct {
        uint32_t lo, hi, first;
        int n;
    } lengths[] = {{0, 0x7F, 0, 0},
                   {0x80, 0x7FF, 0xC0, 1},
                   {0x800, 0xD7FF, 0xE0, 2}, // not the surrogates
                   {0xE000, 0xFFFF, 0xE0, 2},
                   {0x10000, 0x10FFFF, 0xF0, 3}};
    struct node_list alt = {0};
    cp_normal(s);
    for (size_t i = 0; i < s->n && build_work(b, 1); i++) {
        for (size_t k = 0; k < COUNT(lengths); k++) {
            uint32_t lo = s->r[i].lo > lengths[k].lo ? s->r[i].lo : lengths[k].lo;
            uint32_t hi = s->r[i].hi < lengths[k].hi ? s->r[i].hi : lengths[k].hi;
            if (lo <= hi)
                node_add(b, &alt, span(b, lo, hi, lengths[k].n, lengths[k].first));
        }
    }
    return alt.n ? node_alt(b, &alt) : node_fail(b);
}
