/* gram/mask.c - which tokens may come next.
 *
 * A reading's state alone decides about most tokens: a token is read within its rule and the rules
 * which that calls, or it fails there.  That part is computed once for each state (its `local`) and
 * kept with the grammar.  What is left are the places in the tree of tokens where the rule is
 * complete and more bytes follow: there the frames below decide, and the tree is walked on.
 *
 * In the body of a counted rule, going round is local too: for each token it is known how many
 * rounds it needs, so that a mask for any count is a table of bits and few lists.  What follows the
 * last round within the calling rule is a local of its own for each place of a call (`exits`).
 *
 * The insides of JSON strings are the same in all grammars: their locals are the vocabulary's. */
#include "gram/gram_int.h"

#define ROUNDS     16 // tables of bits for so many rounds; lists beyond
#define SPARSE     64 // fewer than 1 in so many tokens: a list instead of bits
#define WIDE       24 // letters of a state that is computed early
#define WARM_STEPS 3000000

/* A node of the tree before which the rule was complete, after so many rounds. */
struct leave {
    uint32_t node, rounds;
};

/* What follows a counted rule, by the state that it returns to. */
struct exits {
    struct exits *next;
    uint32_t ret;
    struct local *then;
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
    struct leave *leaves; // [n_leaves] by byte of the node, then by rounds
    uint32_t n_leaves;
    uint32_t by_byte[257]; // where the leaves of a byte begin
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

void exits_free(struct exits *x)
{
    while (x) {
        struct exits *next = x->next;
        local_free(x->then);
        mem_free(x);
        x = next;
    }
}

struct finding {
    const struct gram_vocab *v;
    bool counted;
    bool behind; // a counted rule: rounds is what led there
    uint32_t rounds;
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

static void add_need(struct finding *x, uint32_t node, uint32_t rounds)
{
    for (int32_t id = x->v->tree[node].token; id >= 0; id = x->v->same[id]) {
        x->list = vec_room(x->list, &x->cap_list, x->n_list + 1, sizeof *x->list);
        x->list[x->n_list++] = (struct need){id, rounds};
    }
}

/* Each child of a node at which the rule is complete. */
static void add_leaves(struct finding *x, uint32_t node, uint32_t rounds)
{
    const struct tree_node *tree = x->v->tree;
    for (uint32_t child = node + 1; child < tree[node].end; child = tree[child].end) {
        x->leaves = vec_room(x->leaves, &x->cap_leaves, x->n_leaves + 1, sizeof *x->leaves);
        x->leaves[x->n_leaves++] = (struct leave){child, rounds};
    }
}

static void find_local(struct walk *w, uint32_t node, const struct item *set, uint32_t n, void *arg)
{
    struct finding *x = arg;
    uint32_t rounds = x->counted ? UINT32_MAX : x->rounds;
    for (uint32_t i = 0; x->counted && i < n; i++) {
        uint32_t r = rounds_of(w, set[i].f) + 1; // one is under way
        rounds = r < rounds ? r : rounds;
    }
    for (uint32_t i = 0; x->counted && i < w->n_pops; i++)
        rounds = w->pops[i] < rounds ? w->pops[i] : rounds;
    add_need(x, node, rounds);
    if (!w->ended)
        return;
    for (uint32_t i = 0; x->counted && i < w->n_pops; i++)
        add_leaves(x, node, w->pops[i]);
    if (!x->counted)
        add_leaves(x, node, x->rounds);
}

static int by_need(const void *a, const void *b)
{
    const struct need *x = a, *y = b;
    if (x->rounds != y->rounds)
        return x->rounds < y->rounds ? -1 : 1;
    return (x->token > y->token) - (x->token < y->token);
}

static int by_leave(const void *a, const void *b, void *arg)
{
    const struct leave *x = a, *y = b;
    const struct tree_node *tree = arg;
    if (tree[x->node].byte != tree[y->node].byte)
        return tree[x->node].byte < tree[y->node].byte ? -1 : 1;
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
    bool rounds = x->counted || x->behind;
    if (rounds && x->n_list)
        qsort(x->list, x->n_list, sizeof *x->list, by_need);
    if (x->n_leaves)
        qsort_r(x->leaves, x->n_leaves, sizeof *x->leaves, by_leave, x->v->tree);
    for (size_t i = 0; i < x->n_leaves; i++)
        l->by_byte[x->v->tree[x->leaves[i].node].byte + 1] = (uint32_t)i + 1;
    for (int c = 1; c <= 256; c++)
        if (l->by_byte[c] < l->by_byte[c - 1])
            l->by_byte[c] = l->by_byte[c - 1];
    if (x->n_list > (size_t)x->v->n / SPARSE + 64) {
        l->all = mem_calloc(words, sizeof *l->all);
        l->memory += words * 8;
        for (size_t i = 0; i < x->n_list; i++)
            set_bit(l->all, x->list[i].token);
        size_t i = 0;
        for (uint32_t r = 0; rounds && r < ROUNDS; r++) {
            l->upto[r] = mem_calloc(words, sizeof *l->all);
            l->memory += words * 8;
            if (r)
                memcpy(l->upto[r], l->upto[r - 1], words * 8);
            for (; i < x->n_list && x->list[i].rounds <= r + 1; i++)
                set_bit(l->upto[r], x->list[i].token);
        }
        // What the tables tell is not needed in the list; but where there is a least number of
        // rounds too, all is.
        if (!x->behind) {
            x->n_list = x->counted ? x->n_list - i : 0;
            memmove(x->list, x->list + i, x->n_list * sizeof *x->list);
        }
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

/* Where the local of a state is kept. */
static struct local *_Atomic *local_slot(const struct gram *g, uint32_t state)
{
    const struct gram_rule *r = &g->rules[g->st[state].rule];
    struct gram_vocab *v = (struct gram_vocab *)(uintptr_t)g->vocab;
    if (r->shared && state - r->base < SHARED_STATES)
        return &v->shared[r->shared - 1][state - r->base];
    return &((struct gram *)(uintptr_t)g)->locals[state];
}

/* The local of a state, made if need be by a walk of the caller's; NULL: a bound was reached. */
static struct local *local_of(const struct gram *g, uint32_t state, struct walk *probe)
{
    struct local *_Atomic *slot = local_slot(g, state);
    // acquire: sees what the maker wrote before its release below
    struct local *l = atomic_load_explicit(slot, memory_order_acquire);
    if (l)
        return l;
    if (!probe->g)
        walk_init(probe, g);
    struct local *made = make_local(probe, g, state);
    if (!made)
        return NULL;
    struct gram *own = (struct gram *)(uintptr_t)g;
    if (atomic_compare_exchange_strong_explicit(slot, &l, made, memory_order_acq_rel,
                                                memory_order_acquire)) {
        if (slot == &own->locals[state])
            atomic_fetch_add_explicit(&own->n_local, made->memory, memory_order_relaxed);
        return made;
    }
    local_free(made); // another thread was faster
    return l;
}

static int letters(const struct gram *g, uint32_t state)
{
    const struct gram_st *s = &g->st[state];
    int width = 0;
    for (uint32_t k = 0; k < s->n_edges; k++)
        width += g->e[s->edges + k].hi - g->e[s->edges + k].lo + 1;
    return width;
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

/* From the readings in `seen` into the leaves that a local has: calls found for each node reached
 * from one whose rounds are within bounds. */
static void enter_leaves(struct walk *w, const struct local *l, uint32_t least, uint32_t most,
                         uint32_t *rounds,
                         void (*found)(struct walk *w, uint32_t node, const struct item *set,
                                       uint32_t n, void *arg),
                         void *arg)
{
    const struct gram *g = w->g;
    uint64_t first[4] = {0};
    uint32_t n_set = w->n_seen;
    if (n_set > w->cap_stack) {
        w->cap_stack = n_set * 2;
        w->stack = mem_realloc(w->stack, w->cap_stack * sizeof *w->stack);
    }
    if (n_set)
        memcpy(w->stack, w->seen, n_set * sizeof *w->stack);
    for (uint32_t i = 0; i < n_set; i++) {
        const struct gram_st *st = &g->st[w->stack[i].s];
        for (uint32_t k = 0; k < st->n_edges; k++)
            for (int c = g->e[st->edges + k].lo; c <= g->e[st->edges + k].hi; c++)
                first[c / 64] |= 1ull << (c % 64);
    }
    for (int c = 0; c < 256; c++) {
        if (!(first[c / 64] >> (c % 64) & 1))
            continue;
        for (uint32_t i = l->by_byte[c]; i < l->by_byte[c + 1] && !w->over; i++) {
            if (l->leaves[i].rounds < least)
                continue;
            if (l->leaves[i].rounds > most)
                break;
            if (rounds)
                *rounds = l->leaves[i].rounds;
            w->n_stack = n_set;
            walk_child(w, l->leaves[i].node, found, arg);
        }
    }
}

/* The tokens below the leaves, by the frames below f. */
static void mark_leaves(struct gram_state *s, uint32_t f, const struct local *l, uint32_t least,
                        uint32_t most, uint64_t *mask)
{
    struct walk *w = &s->w;
    uint32_t frames = w->frames.n;
    if (!l->n_leaves)
        return;
    walk_begin(w);
    walk_pop(w, f);
    walk_close(w);
    if (w->n_seen && !w->over)
        enter_leaves(w, l, least, most, NULL, mark_found, mask);
    walk_rewind(w, frames);
}

/* What follows a counted rule in the one that called it. */
static struct local *make_exit(struct walk *w, const struct gram *g, const struct local *l,
                               uint32_t ret)
{
    struct finding x = {.v = g->vocab, .behind = true};
    walk_rewind(w, 1);
    w->over = false;
    w->steps = 0;
    w->deepest = 0;
    walk_begin(w);
    walk_add(w, ret, 0);
    walk_close(w);
    // Where that rule is complete at once, its own leaves are these.
    bool ended = w->ended;
    for (uint32_t i = 0; ended && i < l->n_leaves; i++) {
        x.leaves = vec_room(x.leaves, &x.cap_leaves, x.n_leaves + 1, sizeof *x.leaves);
        x.leaves[x.n_leaves++] = l->leaves[i];
    }
    enter_leaves(w, l, 0, UINT32_MAX, &x.rounds, find_local, &x);
    if (!w->over)
        return pack_local(&x, w->deepest);
    mem_free(x.list);
    mem_free(x.leaves);
    return NULL;
}

/* The exit of a state's local to a state; NULL: a bound was reached. */
static const struct local *exit_of(const struct gram *g, uint32_t state, const struct local *l,
                                   uint32_t ret, struct walk *probe)
{
    struct gram *own = (struct gram *)(uintptr_t)g;
    struct exits *head = atomic_load_explicit(&own->exits[state], memory_order_acquire);
    for (const struct exits *x = head; x; x = x->next)
        if (x->ret == ret)
            return x->then;
    if (!probe->g)
        walk_init(probe, g);
    struct local *made = make_exit(probe, g, l, ret);
    if (!made)
        return NULL;
    struct exits *x = mem_alloc(sizeof *x);
    *x = (struct exits){.next = head, .ret = ret, .then = made};
    // release: who finds it sees what was written.  Two threads may both add one; that is no harm.
    while (!atomic_compare_exchange_weak_explicit(&own->exits[state], &x->next, x,
                                                  memory_order_acq_rel, memory_order_acquire)) {
    }
    atomic_fetch_add_explicit(&own->n_local, made->memory + sizeof *x, memory_order_relaxed);
    return made;
}

/* The exits of the calls that a state makes. */
static void warm_exits(const struct gram *g, const struct gram_st *s, struct walk *probe,
                       uint64_t *steps)
{
    for (uint32_t k = 0; k < s->n_calls; k++) {
        struct auto_jump j = g->c[s->calls + k];
        const struct gram_rule *r = &g->rules[j.arg];
        if (!r->counted)
            continue;
        for (uint32_t i = r->base; i < g->n_st && g->st[i].rule == j.arg; i++) {
            if ((i != r->start && letters(g, i) < WIDE) || *steps > WARM_STEPS)
                continue;
            probe->steps = 0;
            const struct local *l = local_of(g, i, probe);
            if (l && l->n_leaves)
                (void)exit_of(g, i, l, j.to, probe);
            *steps += probe->steps + 50;
        }
    }
}

void mask_warm(struct gram *g)
{
    struct walk probe = {0};
    uint64_t steps = 0;
    for (int wide = 1; wide >= 0; wide--)
        for (uint32_t i = 0; i < g->n_st && steps < (wide ? WARM_STEPS : WARM_STEPS / 4); i++) {
            int n = letters(g, i);
            if (n == 0 || (n >= WIDE) != wide)
                continue;
            probe.steps = 0;
            (void)local_of(g, i, &probe);
            steps += probe.steps + 50;
        }
    for (uint32_t i = 0; i < g->n_st && steps < WARM_STEPS; i++)
        warm_exits(g, &g->st[i], &probe, &steps);
    if (probe.g)
        walk_fini(&probe);
}

/* Tokens of the list that need least..most rounds. */
static void mark_list(const struct local *l, uint32_t least, uint32_t most, uint64_t *mask)
{
    uint32_t from = 0, to = l->n_list; // the first of at least `least`
    while (from < to) {
        uint32_t mid = (from + to) / 2;
        if (l->list[mid].rounds < least)
            from = mid + 1;
        else
            to = mid;
    }
    for (; from < l->n_list && l->list[from].rounds <= most; from++)
        set_bit(mask, l->list[from].token);
}

/* All tokens that need at most so many rounds (from 1). */
static void mark_rounds(const struct local *l, uint32_t most, size_t words, uint64_t *mask)
{
    if (!l->all) {
        mark_list(l, 0, most, mask);
        return;
    }
    bool every = !l->n_list || l->list[l->n_list - 1].rounds <= most;
    if (most > ROUNDS && every) {
        or_mask(mask, l->all, words);
        return;
    }
    or_mask(mask, l->upto[most < ROUNDS ? most - 1 : ROUNDS - 1], words);
    if (most > ROUNDS)
        mark_list(l, ROUNDS + 1, most, mask);
}

/* Near the bound of depth: token by token. */
static bool mark_by_walk(struct gram_state *s, struct item x, uint64_t *mask)
{
    uint32_t frames = s->w.frames.n;
    s->w.stack[0] = x;
    s->w.n_stack = 1;
    walk_tree(&s->w, 0, mark_found, mask);
    walk_rewind(&s->w, frames);
    return !s->w.over;
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
    struct frame f = s->w.frames.p[x.f];
    if (f.depth + l->deepest > g->depth_max)
        return mark_by_walk(s, x, mask);
    const struct gram_rule *r = &g->rules[g->st[x.s].rule];
    if (!r->counted) {
        if (l->all)
            or_mask(mask, l->all, words);
        mark_list(l, 0, 0, mask);
        mark_leaves(s, x.f, l, 0, UINT32_MAX, mask);
        return !s->w.over;
    }
    uint32_t left = r->max == UINT32_MAX ? UINT32_MAX : r->max - f.count;
    uint32_t least = r->min > f.count ? r->min - f.count : 0;
    mark_rounds(l, left, words, mask);
    if (!l->n_leaves)
        return true;
    const struct local *then = exit_of(g, x.s, l, f.ret, &s->probe);
    if (!then)
        return false;
    if (f.depth + then->deepest > g->depth_max)
        return mark_by_walk(s, x, mask);
    if (least <= 1)
        mark_rounds(then, left, words, mask);
    else
        mark_list(then, least, left, mask);
    mark_leaves(s, f.parent, then, least, left, mask);
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
