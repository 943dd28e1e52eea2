/* gram/mask.c - which tokens may come next.
 *
 * A reading's state alone decides about most tokens: a token is read within its rule and the rules
 * which that calls, or it fails there.  That part is computed once for each state (its `local`) and
 * kept with the grammar.  What is left are the places in the tree of tokens where the rule is
 * complete and more bytes follow: there the frames below decide, and the tree is walked on.
 *
 * In the body of a counted rule, going round is local too: for each token it is known how many
 * rounds it needs, so that a mask for any count is a table of bits and few lists. */
#include "gram/gram_int.h"

#define ROUNDS     16 // tables of bits for so many rounds; lists beyond
#define SPARSE     64 // fewer than 1 in so many tokens: a list instead of bits
#define WIDE       64 // letters of a state that is computed early
#define WARM_STEPS 3000000

/* A place in the tree where the rule is complete, after so many rounds. */
struct leave {
    uint32_t node, rounds;
};

struct need {
    int32_t token;
    uint32_t rounds;
};

struct local {
    size_t memory;
    uint32_t deepest;       // frames that the walk put on its stack, or wanted to
    uint64_t *all;          // all tokens, or NULL: all are in the list
    uint64_t *upto[ROUNDS]; // tokens that need at most i + 1 rounds, or NULL
    struct need *list;      // [n_list] by rounds; with `all`: those that need more than ROUNDS
    uint32_t n_list;
    struct leave *leaves; // [n_leaves] by rounds
    uint32_t n_leaves;
};

void local_free(struct local *l)
{
    if (!l)
        return;
    mem_free(l->all);
    for (int i = 0; i < ROUNDS; i++)
        mem_free(l->upto[i]);
    mem_free(l->list);
    mem_free(l->leaves);
    mem_free(l);
}

struct finding {
    const struct gram_vocab *v;
    bool counted;
    struct need *list;
    size_t n_list, cap_list;
    struct leave *leaves;
    size_t n_leaves, cap_leaves;
};

/* Rounds complete in a reading of a counted rule: the count of its lowest frame. */
static uint32_t rounds_of(const struct walk *w, uint32_t f)
{
    while (w->frames.p[f].parent)
        f = w->frames.p[f].parent;
    return w->frames.p[f].count;
}

static void find_local(struct walk *w, uint32_t node, const struct item *set, uint32_t n, void *arg)
{
    struct finding *x = arg;
    const struct tree_node *t = &x->v->tree[node];
    if (t->token >= 0) {
        uint32_t rounds = UINT32_MAX;
        if (!x->counted)
            rounds = 0;
        for (uint32_t i = 0; x->counted && i < n; i++) {
            uint32_t r = rounds_of(w, set[i].f) + 1; // one is under way
            rounds = r < rounds ? r : rounds;
        }
        for (uint32_t i = 0; i < w->n_pops; i++)
            rounds = w->pops[i] < rounds ? w->pops[i] : rounds;
        for (int32_t id = t->token; id >= 0; id = x->v->same[id]) {
            x->list = vec_room(x->list, &x->cap_list, x->n_list + 1, sizeof *x->list);
            x->list[x->n_list++] = (struct need){id, rounds};
        }
    }
    if (!w->ended || t->end == node + 1)
        return;
    size_t pops = x->counted ? w->n_pops : 1;
    x->leaves = vec_room(x->leaves, &x->cap_leaves, x->n_leaves + pops, sizeof *x->leaves);
    for (size_t i = 0; i < pops; i++)
        x->leaves[x->n_leaves++] = (struct leave){node, x->counted ? w->pops[i] : 0};
}

static int by_need(const void *a, const void *b)
{
    const struct need *x = a, *y = b;
    if (x->rounds != y->rounds)
        return x->rounds < y->rounds ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

static int by_leave(const void *a, const void *b)
{
    const struct leave *x = a, *y = b;
    if (x->rounds != y->rounds)
        return x->rounds < y->rounds ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static void set_bit(uint64_t *mask, int32_t id)
{
    mask[(uint32_t)id / 64] |= 1ull << ((uint32_t)id % 64);
}

static struct local *pack_local(struct finding *x, uint32_t deepest)
{
    struct local *l = mem_calloc(1, sizeof *l);
    l->deepest = deepest;
    size_t words = gram_mask_words(x->v->n);
    l->memory = sizeof *l;
    if (x->counted && x->n_list)
        qsort(x->list, x->n_list, sizeof *x->list, by_need);
    if (x->n_leaves)
        qsort(x->leaves, x->n_leaves, sizeof *x->leaves, by_leave);
    if (x->n_list > (size_t)x->v->n / SPARSE + 64) {
        l->all = mem_calloc(words, sizeof *l->all);
        l->memory += words * 8;
        for (size_t i = 0; i < x->n_list; i++)
            set_bit(l->all, x->list[i].token);
        size_t i = 0;
        for (uint32_t r = 0; x->counted && r < ROUNDS; r++) {
            l->upto[r] = mem_calloc(words, sizeof *l->all);
            l->memory += words * 8;
            if (r)
                memcpy(l->upto[r], l->upto[r - 1], words * 8);
            for (; i < x->n_list && x->list[i].rounds <= r + 1; i++)
                set_bit(l->upto[r], x->list[i].token);
        }
        // What the tables tell is not needed in the list.
        x->n_list = x->counted ? x->n_list - i : 0;
        memmove(x->list, x->list + i, x->n_list * sizeof *x->list);
    }
    l->n_list = (uint32_t)x->n_list;
    l->list = mem_realloc(x->list, (x->n_list + 1) * sizeof *x->list);
    l->n_leaves = (uint32_t)x->n_leaves;
    l->leaves = mem_realloc(x->leaves, (x->n_leaves + 1) * sizeof *x->leaves);
    l->memory += x->n_list * sizeof *l->list + x->n_leaves * sizeof *l->leaves;
    return l;
}

/* NULL: a bound was reached. */
static struct local *make_local(struct walk *w, const struct gram *g, uint32_t state)
{
    uint32_t rule = g->st[state].rule, f = 0;
    struct finding x = {.v = g->vocab, .counted = g->rules[rule].counted};
    walk_rewind(w, 1);
    w->over = false;
    w->steps = 0;
    w->deepest = 0;
    if (x.counted)
        f = walk_frame(w, (struct frame){.parent = 0, .ret = RET_PROBE, .rep = rule});
    w->stack[0] = (struct item){state, f};
    w->n_stack = 1;
    walk_tree(w, 0, find_local, &x);
    if (!w->over)
        return pack_local(&x, w->deepest);
    mem_free(x.list);
    mem_free(x.leaves);
    return NULL;
}

/* The local of a state, made if need be by a walk of the caller's; NULL: a bound was reached. */
static const struct local *local_of(const struct gram *g, uint32_t state, struct walk *probe)
{
    // acquire: sees what the maker wrote before its release below
    struct local *l = atomic_load_explicit(&g->locals[state], memory_order_acquire);
    if (l)
        return l;
    if (!probe->g)
        walk_init(probe, g);
    struct local *made = make_local(probe, g, state);
    if (!made)
        return NULL;
    struct gram *own = (struct gram *)(uintptr_t)g;
    if (atomic_compare_exchange_strong_explicit(&own->locals[state], &l, made, memory_order_acq_rel,
                                                memory_order_acquire)) {
        atomic_fetch_add_explicit(&own->n_local, made->memory, memory_order_relaxed);
        return made;
    }
    local_free(made); // another thread was faster
    return l;
}

void mask_warm(struct gram *g)
{
    struct walk probe = {0};
    uint64_t steps = 0;
    for (uint32_t i = 0; i < g->n_st && steps < WARM_STEPS; i++) {
        const struct gram_st *s = &g->st[i];
        int width = 0;
        for (uint32_t k = 0; k < s->n_edges; k++)
            width += g->e[s->edges + k].hi - g->e[s->edges + k].lo + 1;
        if (width < WIDE)
            continue;
        (void)local_of(g, i, &probe);
        steps += probe.steps;
    }
    if (probe.g)
        walk_fini(&probe);
}

static void or_mask(uint64_t *mask, const uint64_t *more, size_t words)
{
    for (size_t i = 0; i < words; i++)
        mask[i] |= more[i];
}

static void mark_found(struct walk *w, uint32_t node, const struct item *set, uint32_t n, void *arg)
{
    (void)set;
    (void)n;
    const struct gram_vocab *v = w->g->vocab;
    for (int32_t id = v->tree[node].token; id >= 0; id = v->same[id])
        set_bit(arg, id);
}

/* The tokens below the places where the rule above frame f is complete. */
static void mark_leaves(struct gram_state *s, uint32_t f, const struct leave *leaves, size_t n,
                        uint64_t *mask)
{
    struct walk *w = &s->w;
    const struct gram_vocab *v = s->g->vocab;
    uint32_t frames = w->frames.n;
    struct frame x = w->frames.p[f];
    walk_begin(w);
    if (f && x.rep != NO_REP)
        walk_add(w, x.ret, x.parent); // the count allows to leave: the caller saw to it
    else
        walk_pop(w, f);
    walk_close(w);
    uint32_t n_set = w->n_seen;
    if (n_set && !w->over) {
        uint64_t first[4] = {0};
        if (n_set > w->cap_stack) {
            w->cap_stack = n_set * 2;
            w->stack = mem_realloc(w->stack, w->cap_stack * sizeof *w->stack);
        }
        memcpy(w->stack, w->seen, n_set * sizeof *w->stack);
        for (uint32_t i = 0; i < n_set; i++) {
            const struct gram_st *st = &s->g->st[w->stack[i].s];
            for (uint32_t k = 0; k < st->n_edges; k++)
                for (int c = s->g->e[st->edges + k].lo; c <= s->g->e[st->edges + k].hi; c++)
                    first[c / 64] |= 1ull << (c % 64);
        }
        for (size_t i = 0; i < n && !w->over; i++) {
            uint32_t node = leaves[i].node, end = v->tree[node].end, child = node + 1;
            bool any = false;
            for (; child < end && !any; child = v->tree[child].end)
                any = first[v->tree[child].byte / 64] >> (v->tree[child].byte % 64) & 1;
            if (!any)
                continue;
            w->n_stack = n_set;
            walk_tree(w, node, mark_found, mask);
        }
    }
    walk_rewind(w, frames);
}

static void mark_list(const struct local *l, uint32_t rounds, uint64_t *mask)
{
    for (uint32_t i = 0; i < l->n_list && l->list[i].rounds <= rounds; i++)
        set_bit(mask, l->list[i].token);
}

/* What one reading allows; false: a bound was reached. */
static bool mark_item(struct gram_state *s, struct item x, uint64_t *mask)
{
    const struct gram *g = s->g;
    size_t words = gram_mask_words(g->vocab->n);
    for (uint32_t i = 0; i < g->st[x.s].n_controls; i++)
        set_bit(mask, (int32_t)g->k[g->st[x.s].controls + i].arg);
    if (!g->st[x.s].n_edges)
        return true;
    const struct local *l = local_of(g, x.s, &s->probe);
    if (!l)
        return false;
    if (s->w.frames.p[x.f].depth + l->deepest > g->depth_max) { // near the bound: token by token
        uint32_t frames = s->w.frames.n;
        s->w.stack[0] = x;
        s->w.n_stack = 1;
        walk_tree(&s->w, 0, mark_found, mask);
        walk_rewind(&s->w, frames);
        return !s->w.over;
    }
    const struct gram_rule *r = &g->rules[g->st[x.s].rule];
    if (!r->counted) {
        if (l->all)
            or_mask(mask, l->all, words);
        mark_list(l, 0, mask);
        mark_leaves(s, x.f, l->leaves, l->n_leaves, mask);
        return !s->w.over;
    }
    uint32_t count = s->w.frames.p[x.f].count;
    uint32_t left = r->max == UINT32_MAX ? UINT32_MAX : r->max - count;
    uint32_t least = r->min > count ? r->min - count : 0;
    if (l->all) {
        bool every = !l->n_list || l->list[l->n_list - 1].rounds <= left;
        if (left > ROUNDS && every)
            or_mask(mask, l->all, words);
        else
            or_mask(mask, l->upto[left < ROUNDS ? left - 1 : ROUNDS - 1], words);
        if (left > ROUNDS && !every)
            mark_list(l, left, mask);
    } else {
        mark_list(l, left, mask);
    }
    uint32_t from = 0, to = l->n_leaves;
    while (from < to && l->leaves[from].rounds < least)
        from++;
    while (to > from && l->leaves[to - 1].rounds > left)
        to--;
    if (to > from)
        mark_leaves(s, x.f, l->leaves + from, to - from, mask);
    return !s->w.over;
}

bool gram_mask(struct gram_state *s, uint64_t *mask, int *n, struct err *e)
{
    const struct gram_vocab *v = s->g->vocab;
    size_t words = gram_mask_words(v->n);
    if (s->memo_ok && s->memo_n == s->n && s->memo_end == s->may_end &&
        (s->n == 0 || memcmp(s->memo_set, s->set, s->n * sizeof *s->set) == 0)) {
        memcpy(mask, s->memo, words * sizeof *mask);
        *n = s->memo_count;
        return true;
    }
    memset(mask, 0, words * sizeof *mask);
    s->w.over = false;
    s->w.steps = 0;
    for (uint32_t i = 0; i < s->n; i++)
        if (!mark_item(s, s->set[i], mask))
            return err_set(e, ERR_LIMIT, "the grammar is too ambiguous to go on here");
    for (const int32_t *id = v->eogs; *id >= 0; id++) {
        if (s->may_end)
            set_bit(mask, *id);
    }
    int count = 0;
    for (size_t i = 0; i < words; i++)
        count += __builtin_popcountll(mask[i]);
    if (!s->memo)
        s->memo = mem_alloc(words * sizeof *mask);
    memcpy(s->memo, mask, words * sizeof *mask);
    if (s->memo_cap < s->n) {
        s->memo_cap = s->n;
        s->memo_set = mem_realloc(s->memo_set, s->n * sizeof *s->set);
    }
    if (s->n)
        memcpy(s->memo_set, s->set, s->n * sizeof *s->set);
    s->memo_n = s->n;
    s->memo_end = s->may_end;
    s->memo_count = *n = count;
    s->memo_ok = true;
    return true;
}
