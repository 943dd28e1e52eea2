/* base/arena.c - see arena.h. */
#include "base/arena.h"

#include "base/mem.h"

#define ALIGN     ((size_t)16)
#define CHUNK_MIN ((size_t)4096)

struct arena_chunk {
    struct arena_chunk *next;
    size_t cap, n;
    _Alignas(16) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

void arena_fini(struct arena *a)
{
    struct arena_chunk *c = a->chunks;
    while (c) {
        struct arena_chunk *next = c->next;
        mem_free(c);
        c = next;
    }
    *a = (struct arena){.max = a->max};
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t need;
    if (__builtin_add_overflow(size ? size : 1, ALIGN - 1, &need))
        goto full;
    need &= ~(ALIGN - 1);
    if (need > a->max - a->used)
        goto full;

    struct arena_chunk *c = a->chunks;
    if (!c || need > c->cap - c->n) {
        // Chunks double with what is in use, so that their number stays logarithmic.
        size_t cap = size_max(need, size_max(CHUNK_MIN, size_min(a->used, (size_t)1 << 20)));
        c = mem_alloc(sizeof *c + cap);
        c->cap = cap;
        c->n = 0;
        c->next = a->chunks;
        a->chunks = c;
    }
    void *p = c->bytes + c->n;
    c->n += need;
    a->used += need;
    return p;
full:
    a->full = true;
    return NULL;
}

void *arena_calloc(struct arena *a, size_t n, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total)) {
        a->full = true;
        return NULL;
    }
    void *p = arena_alloc(a, total);
    if (p)
        memset(p, 0, total);
    return p;
}

str arena_str(struct arena *a, str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
    if (!p)
        return (str){NULL, 0};
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (str){p, s.n};
}
