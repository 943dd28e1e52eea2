/* gram/dfa.c - regular languages as tables: made from nodes, combined, measured. */
#include "gram/gram_int.h"

#define MAX_PAIRS 100000

static struct dfa *alloc_dfa(struct gram_build *b, size_t n, int n_cls)
{
    struct dfa *d = arena_calloc(&b->arena, 1, sizeof *d);
    size_t cells = n * (size_t)n_cls;
    if (d && build_work(b, cells / 8)) {
        d->next = arena_alloc(&b->arena, cells * sizeof *d->next + 1);
        d->accept = arena_calloc(&b->arena, n + 1, sizeof *d->accept);
    }
    if (!d || !d->next || !d->accept) {
        build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
        return NULL;
    }
    d->n = (int)n;
    d->n_cls = n_cls;
    for (size_t i = 0; i < cells; i++)
        d->next[i] = -1;
    return d;
}

/* Without the states from which no end is reached (and state 0 alone if there is none), and with
 * equal states made one (Moore's refinement). */
static const struct dfa *reduce(struct gram_build *b, struct dfa *d)
{
    size_t n = (size_t)d->n, k = (size_t)d->n_cls;
    if (b->failed || !build_work(b, n * k / 4))
        return NULL;
    // Alive: fixpoint over reversed edges by repeated sweeps from the back.
    bool *alive = mem_calloc(n, sizeof *alive);
    for (bool changed = true; changed && build_work(b, n * k / 8);) {
        changed = false;
        for (size_t i = n; i-- > 0;) {
            if (alive[i])
                continue;
            bool a = d->accept[i];
            for (size_t c = 0; c < k && !a; c++)
                a = d->next[i * k + c] >= 0 && alive[d->next[i * k + c]];
            if (a)
                alive[i] = changed = true;
        }
    }
    for (size_t i = 0; i < n * k; i++)
        if (d->next[i] >= 0 && !alive[d->next[i]])
            d->next[i] = -1;
    // Refinement: part[i] is the block of state i; dead is block -1.
    uint32_t *part = mem_alloc(n * sizeof *part), *fresh = mem_alloc(n * sizeof *fresh);
    uint32_t *heads = NULL, *chain = mem_alloc(n * sizeof *chain),
             *leader = mem_alloc(n * sizeof *leader);
    size_t n_heads = 64, blocks = 0;
    while (n_heads < n)
        n_heads *= 2;
    heads = mem_alloc(n_heads * sizeof *heads);
    for (size_t i = 0; i < n; i++)
        part[i] = d->accept[i];
    for (int round = 0; round < 64 && build_work(b, n * k / 4); round++) {
        uint32_t count = 0;
        memset(heads, 0xFF, n_heads * sizeof *heads);
        for (size_t i = 0; i < n; i++) {
            const int32_t *row = d->next + i * k;
            uint64_t h = part[i] + 1;
            for (size_t c = 0; c < k; c++)
                h = (h ^ (row[c] < 0 ? 0xFFFFu : part[row[c]])) * 1099511628211u;
            size_t slot = (h ^ (h >> 31)) & (n_heads - 1);
            uint32_t j = heads[slot];
            for (; j != UINT32_MAX; j = chain[j]) {
                const int32_t *other = d->next + leader[j] * k;
                bool same = part[leader[j]] == part[i];
                for (size_t c = 0; c < k && same; c++)
                    same = (row[c] < 0) == (other[c] < 0) &&
                           (row[c] < 0 || part[row[c]] == part[other[c]]);
                if (same)
                    break;
            }
            if (j == UINT32_MAX) {
                j = count++;
                leader[j] = (uint32_t)i;
                chain[j] = heads[slot];
                heads[slot] = j;
            }
            fresh[i] = j;
        }
        memcpy(part, fresh, n * sizeof *part);
        bool stable = count == blocks;
        blocks = count;
        if (stable)
            break;
        if (round == 63) { // not yet stable: keep the states as they are
            for (size_t i = 0; i < n; i++)
                part[i] = leader[i] = (uint32_t)i;
            blocks = n;
        }
    }
    struct dfa *out = b->failed ? NULL : alloc_dfa(b, blocks, d->n_cls);
    if (out) {
        // State 0 is the first leader, so that it stays the start.
        memcpy(out->cls, d->cls, sizeof out->cls);
        for (size_t i = 0; i < blocks; i++) {
            out->accept[i] = d->accept[leader[i]];
            for (size_t c = 0; c < k; c++) {
                int32_t to = d->next[leader[i] * k + c];
                out->next[i * k + c] = to < 0 ? -1 : (int32_t)part[to];
            }
        }
    }
    mem_free(alive);
    mem_free(part);
    mem_free(fresh);
    mem_free(heads);
    mem_free(chain);
    mem_free(leader);
    return out;
}

const struct dfa *dfa_of_node(struct gram_build *b, const struct gram_node *node)
{
    struct nfa nfa;
    struct autom a;
    if (!nfa_of_node(b, node, NULL, &nfa))
        return NULL;
    bool ok = nfa_subsets(b, &nfa, false, &a);
    nfa_free(&nfa);
    if (!ok)
        return NULL;
    bool border[257] = {true};
    for (size_t i = 0; i < a.n_e; i++)
        border[a.e[i].lo] = border[a.e[i].hi + 1] = true;
    uint8_t cls[256];
    int n_cls = 0;
    for (int c = 0; c < 256; c++) {
        n_cls += border[c];
        cls[c] = (uint8_t)(n_cls - 1);
    }
    struct dfa *d = alloc_dfa(b, a.n, n_cls);
    if (d) {
        memcpy(d->cls, cls, sizeof cls);
        for (size_t i = 0; i < a.n; i++) {
            d->accept[i] = a.s[i].accept;
            for (uint32_t k = 0; k < a.s[i].n_edges; k++) {
                struct auto_edge e = a.e[a.s[i].edges + k];
                for (int c = cls[e.lo]; c <= cls[e.hi]; c++)
                    d->next[i * (size_t)n_cls + (size_t)c] = (int32_t)e.to;
            }
        }
    }
    autom_free(&a);
    return d ? reduce(b, d) : NULL;
}

const struct dfa *dfa_counted(struct gram_build *b, int min, int max)
{
    int last = max < 0 ? min : max;
    if (last >= MAX_PAIRS) {
        build_fail(b, ERR_LIMIT, NULL, "a length is too large to be counted");
        return NULL;
    }
    struct dfa *d = alloc_dfa(b, (size_t)last + 1, 2);
    if (!d)
        return NULL;
    for (int c = 0; c < 256; c++)
        d->cls[c] = (c & 0xC0) == 0x80;
    for (int i = 0; i <= last; i++) {
        d->accept[i] = i >= min;
        d->next[i * 2] = i < last ? i + 1 : max < 0 ? i : -1;
        d->next[i * 2 + 1] = i;
    }
    return d;
}

const struct dfa *dfa_of_text(struct gram_build *b, str text)
{
    return dfa_of_node(b, gram_lit(b, text));
}

/* Pairs of states, numbered as they are met. */
struct pairs {
    uint64_t *key; // [n]
    size_t n, cap;
    uint32_t *heads, *chain;
    size_t n_heads, cap_chain;
};

static int32_t pair_of(struct pairs *p, uint64_t key)
{
    if (p->n >= p->n_heads) {
        mem_free(p->heads);
        p->n_heads = p->n_heads ? p->n_heads * 4 : 256;
        p->heads = mem_alloc(p->n_heads * sizeof *p->heads);
        memset(p->heads, 0xFF, p->n_heads * sizeof *p->heads);
        for (size_t i = 0; i < p->n; i++) {
            size_t slot = (p->key[i] * 0x9E3779B97F4A7C15u >> 20) & (p->n_heads - 1);
            p->chain[i] = p->heads[slot];
            p->heads[slot] = (uint32_t)i;
        }
    }
    size_t slot = (key * 0x9E3779B97F4A7C15u >> 20) & (p->n_heads - 1);
    for (uint32_t i = p->heads[slot]; i != UINT32_MAX; i = p->chain[i])
        if (p->key[i] == key)
            return (int32_t)i;
    p->key = vec_room(p->key, &p->cap, p->n + 1, sizeof *p->key);
    p->chain = vec_room(p->chain, &p->cap_chain, p->n + 1, sizeof *p->chain);
    p->key[p->n] = key;
    p->chain[p->n] = p->heads[slot];
    p->heads[slot] = (uint32_t)p->n;
    return (int32_t)p->n++;
}

static void pairs_free(struct pairs *p)
{
    mem_free(p->key);
    mem_free(p->heads);
    mem_free(p->chain);
}

const struct dfa *dfa_product(struct gram_build *b, const struct dfa *x, const struct dfa *y,
                              enum dfa_op op)
{
    if (!x || !y || b->failed)
        return NULL;
    // Classes that both tell apart.
    uint8_t cls[256], cx[256], cy[256];
    int n_cls = 0;
    for (int c = 0; c < 256; c++) {
        int found = -1;
        for (int i = 0; i < n_cls && found < 0; i++)
            if (cx[i] == x->cls[c] && cy[i] == y->cls[c])
                found = i;
        if (found < 0) {
            cx[n_cls] = x->cls[c];
            cy[n_cls] = y->cls[c];
            found = n_cls++;
        }
        cls[c] = (uint8_t)found;
    }
    struct pairs p = {0};
    int32_t *next = NULL;
    size_t cap_next = 0;
    pair_of(&p, 1ull << 32 | 1); // states + 1; 0: dead
    for (size_t i = 0; i < p.n && build_work(b, (uint64_t)n_cls); i++) {
        int32_t sx = (int32_t)(p.key[i] >> 32) - 1, sy = (int32_t)(p.key[i] & UINT32_MAX) - 1;
        next = vec_room(next, &cap_next, (i + 1) * (size_t)n_cls, sizeof *next);
        for (int c = 0; c < n_cls; c++) {
            int32_t tx = sx < 0 ? -1 : x->next[(size_t)sx * (size_t)x->n_cls + cx[c]];
            int32_t ty = sy < 0 ? -1 : y->next[(size_t)sy * (size_t)y->n_cls + cy[c]];
            bool dead = op == DFA_OR ? tx < 0 && ty < 0 : tx < 0 || (op == DFA_AND && ty < 0);
            next[i * (size_t)n_cls + (size_t)c] =
                dead ? -1 : pair_of(&p, (uint64_t)(tx + 1) << 32 | (uint64_t)(ty + 1));
        }
        if (p.n > MAX_PAIRS)
            build_fail(b, ERR_LIMIT, NULL, "the constraint has too many states");
    }
    struct dfa *d = b->failed ? NULL : alloc_dfa(b, p.n, n_cls);
    if (d) {
        memcpy(d->cls, cls, sizeof cls);
        memcpy(d->next, next, p.n * (size_t)n_cls * sizeof *next);
        for (size_t i = 0; i < p.n; i++) {
            int32_t sx = (int32_t)(p.key[i] >> 32) - 1, sy = (int32_t)(p.key[i] & UINT32_MAX) - 1;
            bool ax = sx >= 0 && x->accept[sx], ay = sy >= 0 && y->accept[sy];
            d->accept[i] = op == DFA_AND ? ax && ay : op == DFA_OR ? ax || ay : ax && !ay;
        }
    }
    pairs_free(&p);
    mem_free(next);
    return d ? reduce(b, d) : NULL;
}

const struct dfa *dfa_explore(struct gram_build *b, uint64_t start, const char *alphabet,
                              uint64_t (*step)(const void *arg, uint64_t s, char c),
                              bool (*accept)(const void *arg, uint64_t s), const void *arg)
{
    struct pairs p = {0};
    int32_t *next = NULL;
    size_t cap_next = 0, letters = strlen(alphabet), n_cls = letters + 1;
    pair_of(&p, start);
    for (size_t i = 0; i < p.n && build_work(b, n_cls); i++) {
        next = vec_room(next, &cap_next, (i + 1) * n_cls, sizeof *next);
        next[i * n_cls] = -1; // all other bytes
        for (size_t c = 0; c < letters; c++) {
            uint64_t to = step(arg, p.key[i], alphabet[c]);
            next[i * n_cls + c + 1] = to == UINT64_MAX ? -1 : pair_of(&p, to);
        }
        if (p.n > MAX_PAIRS)
            build_fail(b, ERR_LIMIT, NULL, "the constraint has too many states");
    }
    struct dfa *d = b->failed ? NULL : alloc_dfa(b, p.n, (int)n_cls);
    if (d) {
        for (size_t c = 0; c < letters; c++)
            d->cls[(uint8_t)alphabet[c]] = (uint8_t)(c + 1);
        memcpy(d->next, next, p.n * n_cls * sizeof *next);
        for (size_t i = 0; i < p.n; i++)
            d->accept[i] = accept(arg, p.key[i]);
    }
    pairs_free(&p);
    mem_free(next);
    return d ? reduce(b, d) : NULL;
}

bool dfa_is_empty(const struct dfa *d)
{
    if (!d)
        return true;
    bool any = d->accept[0];
    for (int c = 0; c < d->n_cls && !any; c++)
        any = d->next[c] >= 0; // reduced: what is left leads to an end
    return !any;
}

bool dfa_accepts(const struct dfa *d, str text)
{
    int s = 0;
    for (size_t i = 0; i < text.n && s >= 0; i++)
        s = dfa_next(d, s, (uint8_t)text.p[i]);
    return s >= 0 && d->accept[s];
}

static bool is_lead(const struct dfa *d, int c)
{
    for (int i = 0; i < 256; i++)
        if (d->cls[i] == c)
            return (i & 0xC0) != 0x80;
    return true;
}

void dfa_lengths(struct gram_build *b, const struct dfa *d, int *shortest, int *longest)
{
    *shortest = *longest = -1;
    if (dfa_is_empty(d))
        return;
    // Bellman-Ford from the start; lead bytes count one.  Classes never mix leads with others where
    // the language is UTF-8, which all of these are.
    size_t n = (size_t)d->n, k = (size_t)d->n_cls;
    int *lo = mem_alloc(n * sizeof *lo), *hi = mem_alloc(n * sizeof *hi);
    int weight[256];
    for (int c = 0; c < d->n_cls; c++)
        weight[c] = is_lead(d, c);
    for (size_t i = 0; i < n; i++) {
        lo[i] = i ? INT32_MAX : 0;
        hi[i] = i ? -1 : 0;
    }
    bool changed = true, endless = false;
    for (size_t round = 0; changed && !endless && build_work(b, n * k / 8); round++) {
        changed = false;
        endless = round > n;
        for (size_t i = 0; i < n; i++) {
            for (size_t c = 0; c < k; c++) {
                int32_t to = d->next[i * k + c];
                if (to < 0)
                    continue;
                if (lo[i] < INT32_MAX && lo[i] + weight[c] < lo[to]) {
                    lo[to] = lo[i] + weight[c];
                    changed = true;
                }
                if (hi[i] >= 0 && hi[i] + weight[c] > hi[to]) {
                    hi[to] = hi[i] + weight[c];
                    if (hi[to] > d->n) { // a loop that adds characters
                        endless = true;
                        hi[to] = d->n + 1;
                    } else {
                        changed = true;
                    }
                }
            }
        }
    }
    // lo needs its own rounds when hi stopped them early.
    for (changed = endless; changed && build_work(b, n * k / 8);) {
        changed = false;
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < k; c++) {
                int32_t to = d->next[i * k + c];
                if (to >= 0 && lo[i] < INT32_MAX && lo[i] + weight[c] < lo[to]) {
                    lo[to] = lo[i] + weight[c];
                    changed = true;
                }
            }
    }
    int best = INT32_MAX, most = -1;
    for (size_t i = 0; i < n; i++)
        if (d->accept[i]) {
            best = int_min(best, lo[i]);
            most = int_max(most, hi[i]);
        }
    *shortest = best == INT32_MAX ? -1 : best;
    *longest = endless ? -1 : most;
    mem_free(lo);
    mem_free(hi);
}

const struct dfa *dfa_strip_ends(struct gram_build *b, const struct dfa *d)
{
    if (!d || b->failed)
        return NULL;
    int start = dfa_next(d, 0, 0xFE);
    size_t n = (size_t)d->n, k = (size_t)d->n_cls;
    struct dfa *out = alloc_dfa(b, start < 0 ? 1 : n, d->n_cls);
    if (!out)
        return NULL;
    memcpy(out->cls, d->cls, sizeof out->cls);
    if (start < 0)
        return reduce(b, out);
    // `start` and 0 change places, so that the start is 0.
    int fe = d->cls[0xFE], ff = d->cls[0xFF];
    for (size_t i = 0; i < n; i++) {
        size_t from = i == 0 ? (size_t)start : i == (size_t)start ? 0 : i;
        int32_t end = d->next[from * k + (size_t)ff];
        out->accept[i] = end >= 0 && d->accept[end];
        for (size_t c = 0; c < k; c++) {
            int32_t to = d->next[from * k + c];
            if ((int)c == fe || (int)c == ff || to < 0)
                continue;
            out->next[i * k + c] = to == 0 ? start : to == start ? 0 : to;
        }
    }
    return reduce(b, out);
}
