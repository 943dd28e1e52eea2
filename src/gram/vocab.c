/* gram/vocab.c - the tree of all tokens' bytes. */
#include "gram/gram_int.h"

/* Longer tokens (rows of blanks) are never allowed under a grammar: the same text is spelled with
 * shorter ones. */
#define PIECE_MAX 255

struct sorting {
    const str *pieces;
};

static int by_bytes(const void *a, const void *b, void *arg)
{
    const struct sorting *s = arg;
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    int c = str_cmp(s->pieces[x], s->pieces[y]);
    return c ? c : (x > y) - (x < y);
}

/* Fills the tree from the sorted ids. */
static void grow_tree(struct gram_vocab *v, const int32_t *ids, size_t n)
{
    size_t total = 1;
    for (size_t i = 0; i < n; i++)
        total += v->pieces[ids[i]].n;
    v->tree = mem_alloc(total * sizeof *v->tree);
    v->tree[0] = (struct tree_node){.token = -1};
    v->n_tree = 1;
    uint32_t path[PIECE_MAX + 1] = {0}; // nodes of the last token, by depth
    size_t depth = 0;                   // of the last token
    int32_t last = -1;
    for (size_t i = 0; i < n; i++) {
        str p = v->pieces[ids[i]];
        if (last >= 0 && str_eq(p, v->pieces[last])) {
            v->same[last] = ids[i];
            last = ids[i];
            continue;
        }
        str before = last >= 0 ? v->pieces[last] : (str){NULL, 0};
        size_t common = 0;
        while (common < p.n && common < before.n && p.p[common] == before.p[common])
            common++;
        for (size_t d = depth; d > common; d--)
            v->tree[path[d]].end = v->n_tree;
        for (size_t d = common; d < p.n; d++) {
            path[d + 1] = v->n_tree;
            v->tree[v->n_tree++] = (struct tree_node){
                .token = -1, .depth = (uint16_t)(d + 1), .byte = (uint8_t)p.p[d]};
        }
        depth = p.n;
        v->tree[path[depth]].token = ids[i];
        v->max_depth = int_max(v->max_depth, (int)depth);
        last = ids[i];
    }
    for (size_t d = depth + 1; d-- > 0;)
        v->tree[path[d]].end = v->n_tree;
    v->tree = mem_realloc(v->tree, v->n_tree * sizeof *v->tree);
}

struct gram_vocab *gram_vocab_new(const str *pieces, const bool *control, const bool *eog, int n)
{
    struct gram_vocab *v = mem_calloc(1, sizeof *v);
    size_t count = (size_t)n, n_ids = 0, n_eogs = 0;
    atomic_init(&v->holders, 1);
    v->n = n;
    v->pieces = pieces;
    v->eog = mem_calloc(count, sizeof *v->eog);
    v->text = mem_calloc(count, sizeof *v->text);
    v->same = mem_alloc(count * sizeof *v->same);
    v->eogs = mem_alloc(count * sizeof *v->eogs);
    int32_t *ids = mem_alloc(count * sizeof *ids);
    for (int i = 0; i < n; i++) {
        v->same[i] = -1;
        if (eog && eog[i]) {
            v->eog[i] = true;
            v->eogs[n_eogs++] = i;
        } else if ((!control || !control[i]) && pieces[i].n && pieces[i].n <= PIECE_MAX) {
            v->text[i] = true;
            ids[n_ids++] = i;
        }
    }
    v->eogs = mem_realloc(v->eogs, (n_eogs + 1) * sizeof *v->eogs);
    v->eogs[n_eogs] = -1;
    struct sorting s = {pieces};
    qsort_r(ids, n_ids, sizeof *ids, by_bytes, &s);
    grow_tree(v, ids, n_ids);
    mem_free(ids);
    return v;
}

struct gram_vocab *gram_vocab_hold(const struct gram_vocab *v)
{
    struct gram_vocab *own = (struct gram_vocab *)(uintptr_t)v;
    atomic_fetch_add_explicit(&own->holders, 1, memory_order_relaxed);
    return own;
}

void gram_vocab_drop(const struct gram_vocab *v)
{
    struct gram_vocab *own = (struct gram_vocab *)(uintptr_t)v;
    // acq_rel: the last holder sees what all others did
    if (!own || atomic_fetch_sub_explicit(&own->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (int k = 0; k < SHARED_KINDS; k++)
        for (int i = 0; i < SHARED_STATES; i++)
            local_free(atomic_load_explicit(&own->shared[k][i], memory_order_relaxed));
    mem_free(own->eog);
    mem_free(own->text);
    mem_free(own->same);
    mem_free(own->eogs);
    mem_free(own->tree);
    mem_free(own);
}

int gram_vocab_n(const struct gram_vocab *v)
{
    return v->n;
}
