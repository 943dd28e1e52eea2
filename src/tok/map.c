/* tok/map.c - hash tables from bytes, and from pairs of pieces. */
#include "tok/tok_int.h"

#include <assert.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    return x;
}

static uint64_t hash_bytes(str s)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ s.n;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        h = mix(h ^ w) * 0xff51afd7ed558ccdu;
    }
    uint64_t w = 0;
    if (s.n > i)
        memcpy(&w, s.p + i, s.n - i);
    return mix(mix(h ^ w) * 0xc4ceb9fe1a85ec53u);
}

static size_t size_for(size_t expect)
{
    size_t size = 16;
    while (size < expect * 2)
        size *= 2;
    return size;
}

void tok_map_init(struct tok_map *m, size_t expect)
{
    *m = (struct tok_map){.size = size_for(expect)};
    m->slot = mem_calloc(m->size, sizeof *m->slot);
}

void tok_map_fini(struct tok_map *m)
{
    mem_free(m->slot);
    mem_free(m->key);
    *m = (struct tok_map){0};
}

static size_t find_slot(const struct tok_map *m, str key)
{
    size_t i = hash_bytes(key) & (m->size - 1);
    while (m->slot[i] && !str_eq(m->key[m->slot[i] - 1], key))
        i = (i + 1) & (m->size - 1);
    return i;
}

int32_t tok_map_find(const struct tok_map *m, str key)
{
    return (int32_t)m->slot[find_slot(m, key)] - 1;
}

static void grow_map(struct tok_map *m)
{
    mem_free(m->slot);
    m->size *= 2;
    m->slot = mem_calloc(m->size, sizeof *m->slot);
    for (size_t k = 0; k < m->n; k++)
        m->slot[find_slot(m, m->key[k])] = (uint32_t)k + 1;
}

int32_t tok_map_add(struct tok_map *m, str key)
{
    size_t i = find_slot(m, key);
    if (m->slot[i])
        return (int32_t)m->slot[i] - 1;
    if (m->n == m->cap) {
        m->cap = m->cap ? m->cap * 2 : 64;
        m->key = mem_realloc(m->key, m->cap * sizeof *m->key);
    }
    m->key[m->n++] = key;
    m->slot[i] = (uint32_t)m->n;
    if (m->n * 2 > m->size)
        grow_map(m);
    return (int32_t)m->n - 1;
}

void tok_pairs_init(struct tok_pairs *p, size_t expect)
{
    *p = (struct tok_pairs){.size = size_for(expect)};
    p->slot = mem_alloc(p->size * sizeof *p->slot);
    for (size_t i = 0; i < p->size; i++)
        p->slot[i].left = -1;
}

void tok_pairs_fini(struct tok_pairs *p)
{
    mem_free(p->slot);
    *p = (struct tok_pairs){0};
}

static size_t pair_slot(const struct tok_pairs *p, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    size_t i = mix(key * 0x9e3779b97f4a7c15u) & (p->size - 1);
    while (p->slot[i].left >= 0 && (p->slot[i].left != left || p->slot[i].right != right))
        i = (i + 1) & (p->size - 1);
    return i;
}

const struct tok_pair *tok_pairs_find(const struct tok_pairs *p, int32_t left, int32_t right)
{
    size_t i = pair_slot(p, left, right);
    return p->slot[i].left >= 0 ? &p->slot[i] : NULL;
}

void tok_pairs_add(struct tok_pairs *p, struct tok_pair pair)
{
    assert(p->n * 2 < p->size); // sized for all merges of the file
    size_t i = pair_slot(p, pair.left, pair.right);
    if (p->slot[i].left >= 0)
        return;
    p->slot[i] = pair;
    p->n++;
}
