/* gram/compile.c - from nodes to struct gram: one automaton a rule, calls between them.
 *
 * Small rules are written out where they are used, so that alternatives which begin alike become
 * one reading; larger and recursive ones are called.  A repetition that would be long when written
 * out becomes a rule with a counter. */
#include "gram/gram_int.h"

#define NONE        UINT32_MAX
#define INLINE_SIZE 24  // of a rule that calls none
#define REPEAT_SIZE 200 // of a repetition written out
#define ENDLESS_MIN 600 // of the least number of an endless one

struct called {
    const struct gram_node *node; // NODE_RULE or NODE_REPEAT
    uint32_t next;
};

struct compiling {
    struct gram_build *b;
    struct gram *g;
    struct called *called; // [n], by number of rule
    size_t n, cap;
    uint32_t heads[4096];
    size_t cap_st, cap_e, cap_c, cap_k, cap_rules, n_e, n_c, n_k;
};

static bool calls_none(const struct gram_node *n)
{
    if (n->kind == NODE_RULE)
        return false;
    if (n->kind == NODE_REPEAT)
        return calls_none(n->body);
    for (size_t i = 0; n->kind == NODE_GRAPH && i < n->n; i++)
        if (n->edges[i].node && !calls_none(n->edges[i].node))
            return false;
    for (size_t i = 0; (n->kind == NODE_SEQ || n->kind == NODE_ALT) && i < n->n; i++)
        if (!calls_none(n->nodes[i]))
            return false;
    return true;
}

static uint32_t rule_for(void *arg, const struct gram_node *node)
{
    struct compiling *c = arg;
    if (node->kind == NODE_REPEAT) {
        uint64_t once = node->body->size;
        if (node->max == 1 || (node->max < 0 && once * (uint64_t)node->min <= ENDLESS_MIN) ||
            (node->max >= 0 && once * (uint64_t)node->max <= REPEAT_SIZE))
            return NONE;
    } else {
        if (!node->body) {
            build_fail(c->b, ERR_INPUT, NULL, "a rule of the constraint was never defined");
            return NONE;
        }
        // size <= INLINE_SIZE also bounds how deep calls_none looks
        if (node->body->size <= INLINE_SIZE && calls_none(node->body))
            return NONE;
    }
    size_t slot = ((uintptr_t)node >> 4) * 0x9E3779B9u >> 7 & (COUNT(c->heads) - 1);
    for (uint32_t i = c->heads[slot]; i != NONE; i = c->called[i].next)
        if (c->called[i].node == node)
            return i;
    if (c->n >= GRAM_RULES_MAX) {
        build_fail(c->b, ERR_LIMIT, NULL, "the constraint has more than %d rules", GRAM_RULES_MAX);
        return NONE;
    }
    c->called = vec_room(c->called, &c->cap, c->n + 1, sizeof *c->called);
    c->called[c->n] = (struct called){node, c->heads[slot]};
    c->heads[slot] = (uint32_t)c->n;
    return (uint32_t)c->n++;
}

static uint32_t add_state(struct compiling *c, struct gram_st st)
{
    struct gram *g = c->g;
    g->st = vec_room(g->st, &c->cap_st, g->n_st + 1u, sizeof *g->st);
    g->st[g->n_st] = st;
    return g->n_st++;
}

/* The state without its end, and with edges of its own. */
static struct gram_st own_edges(struct compiling *c, struct gram_st s)
{
    struct gram *g = c->g;
    g->e = vec_room(g->e, &c->cap_e, c->n_e + s.n_edges + 1, sizeof *g->e);
    memcpy(g->e + c->n_e, g->e + s.edges, s.n_edges * sizeof *g->e);
    s.edges = (uint32_t)c->n_e;
    c->n_e += s.n_edges;
    g->c = vec_room(g->c, &c->cap_c, c->n_c + s.n_calls + 1, sizeof *g->c);
    memcpy(g->c + c->n_c, g->c + s.calls, s.n_calls * sizeof *g->c);
    s.calls = (uint32_t)c->n_c;
    c->n_c += s.n_calls;
    g->k = vec_room(g->k, &c->cap_k, c->n_k + s.n_controls + 1, sizeof *g->k);
    memcpy(g->k + c->n_k, g->k + s.controls, s.n_controls * sizeof *g->k);
    s.controls = (uint32_t)c->n_k;
    c->n_k += s.n_controls;
    s.flags = 0;
    return s;
}

/* Adds the automaton of rule r. */
static void add_rule(struct compiling *c, uint32_t r, const struct autom *a)
{
    struct gram *g = c->g;
    uint32_t base = g->n_st, e = (uint32_t)c->n_e, k = (uint32_t)c->n_k, j = (uint32_t)c->n_c;
    if (g->n_st + a->n + 1 > GRAM_STATES_MAX) {
        build_fail(c->b, ERR_LIMIT, NULL, "the constraint is too large: more than %d states",
                   (int)GRAM_STATES_MAX);
        return;
    }
    g->e = vec_room(g->e, &c->cap_e, c->n_e + a->n_e + 1, sizeof *g->e);
    for (size_t i = 0; i < a->n_e; i++)
        g->e[c->n_e++] = (struct auto_edge){a->e[i].lo, a->e[i].hi, a->e[i].to + base};
    g->c = vec_room(g->c, &c->cap_c, c->n_c + a->n_c + 1, sizeof *g->c);
    for (size_t i = 0; i < a->n_c; i++)
        g->c[c->n_c++] = (struct auto_jump){a->c[i].arg, a->c[i].to + base};
    g->k = vec_room(g->k, &c->cap_k, c->n_k + a->n_k + 1, sizeof *g->k);
    for (size_t i = 0; i < a->n_k; i++)
        g->k[c->n_k++] = (struct auto_jump){a->k[i].arg, a->k[i].to + base};
    for (size_t i = 0; i < a->n; i++) {
        const struct auto_state *s = &a->s[i];
        add_state(c, (struct gram_st){.edges = e + s->edges,
                                      .calls = j + s->calls,
                                      .controls = k + s->controls,
                                      .n_edges = s->n_edges,
                                      .n_calls = s->n_calls,
                                      .n_controls = s->n_controls,
                                      .rule = r,
                                      .flags = s->accept ? STATE_ACCEPT : 0});
    }
    g->rules[r].start = g->rules[r].base = base;
    if (g->rules[r].counted && a->s[0].accept) {
        // An empty text counts for any number: a start of its own that does not accept.
        g->rules[r].min = 0;
        g->rules[r].start = add_state(c, own_edges(c, g->st[base]));
    }
}

static void compile_rule(struct compiling *c, uint32_t r)
{
    struct gram *g = c->g;
    const struct gram_node *node = c->called[r].node;
    struct nfa_calls calls = {c, rule_for};
    struct nfa nfa;
    struct autom a;
    g->rules = vec_room(g->rules, &c->cap_rules, r + 1u, sizeof *g->rules);
    g->rules[r] = (struct gram_rule){0};
    if (node->kind == NODE_REPEAT)
        g->rules[r] = (struct gram_rule){.counted = true,
                                         .min = (uint32_t)node->min,
                                         .max = node->max < 0 ? NONE : (uint32_t)node->max};
    if (node == c->b->json_string)
        g->rules[r].shared = SHARED_STRING;
    else if (node == c->b->indent)
        g->rules[r].shared = SHARED_INDENT;
    else if (node->kind == NODE_REPEAT && node->body == c->b->json_char)
        g->rules[r].shared = SHARED_CHAR;
    g->n_rules = r + 1;
    if (!nfa_of_node(c->b, node->body, &calls, &nfa))
        return;
    if (nfa_subsets(c->b, &nfa, true, &a)) {
        add_rule(c, r, &a);
        autom_free(&a);
    }
    nfa_free(&nfa);
}

/* ---- what can be finished ---- */

static bool lives(const struct gram *g, const bool *live, const struct gram_st *s)
{
    if (s->flags & STATE_ACCEPT)
        return true;
    for (uint32_t i = 0; i < s->n_edges; i++)
        if (live[g->e[s->edges + i].to])
            return true;
    for (uint32_t i = 0; i < s->n_controls; i++)
        if (live[g->k[s->controls + i].to])
            return true;
    for (uint32_t i = 0; i < s->n_calls; i++) {
        struct auto_jump j = g->c[s->calls + i];
        const struct gram_rule *r = &g->rules[j.arg];
        if (live[j.to] && (live[r->start] || (r->counted && r->min == 0)))
            return true;
    }
    return false;
}

/* Takes away whatever leads to a text that can never be finished. */
static void trim(struct compiling *c)
{
    struct gram *g = c->g;
    bool *live = mem_calloc(g->n_st + 1u, sizeof *live);
    for (bool changed = true; changed && build_work(c->b, g->n_st / 4 + 1);) {
        changed = false;
        for (uint32_t i = g->n_st; i-- > 0;)
            if (!live[i] && lives(g, live, &g->st[i]))
                live[i] = changed = true;
    }
    for (uint32_t i = 0; i < g->n_st && !c->b->failed; i++) {
        struct gram_st *s = &g->st[i];
        uint32_t n = 0;
        for (uint32_t k = 0; k < s->n_edges; k++)
            if (live[g->e[s->edges + k].to])
                g->e[s->edges + n++] = g->e[s->edges + k];
        s->n_edges = n;
        n = 0;
        for (uint32_t k = 0; k < s->n_controls; k++)
            if (live[g->k[s->controls + k].to])
                g->k[s->controls + n++] = g->k[s->controls + k];
        s->n_controls = n;
        n = 0;
        for (uint32_t k = 0; k < s->n_calls; k++) {
            struct auto_jump j = g->c[s->calls + k];
            const struct gram_rule *r = &g->rules[j.arg];
            if (live[j.to] && (live[r->start] || (r->counted && r->min == 0)))
                g->c[s->calls + n++] = j;
        }
        s->n_calls = n;
    }
    if (!c->b->failed && !live[g->rules[0].start])
        build_fail(c->b, ERR_INPUT, NULL, "nothing at all matches the constraint");
    // A counted rule whose body never ends: nothing of it may begin.
    for (uint32_t r = 0; r < g->n_rules && !c->b->failed; r++)
        if (g->rules[r].counted && !live[g->rules[r].start]) {
            struct gram_st *s = &g->st[g->rules[r].start];
            s->n_edges = s->n_calls = s->n_controls = 0;
        }
    mem_free(live);
}

/* ---- rules that begin with themselves ---- */

/* Calls visit(r, callee) for what rule r may call before its first letter; `nullable` tells which
 * rules may be empty.  Returns whether its end is reached that way. */
static bool first_calls(struct compiling *c, uint32_t r, const bool *nullable, uint32_t *mark,
                        uint32_t stamp, uint32_t *stack, void (*visit)(void *, uint32_t, uint32_t),
                        void *arg)
{
    struct gram *g = c->g;
    uint32_t n = 0;
    bool ends = false;
    stack[n++] = g->rules[r].start;
    mark[g->rules[r].start] = stamp;
    while (n && build_work(c->b, 1)) {
        const struct gram_st *s = &g->st[stack[--n]];
        ends = ends || (s->flags & STATE_ACCEPT);
        for (uint32_t i = 0; i < s->n_calls; i++) {
            struct auto_jump j = g->c[s->calls + i];
            if (visit)
                visit(arg, r, j.arg);
            if (nullable[j.arg] && mark[j.to] != stamp) {
                mark[j.to] = stamp;
                stack[n++] = j.to;
            }
        }
    }
    return ends;
}

struct firsts {
    struct auto_jump *p; // arg: caller, to: callee
    size_t n, cap;
};

static void note_first(void *arg, uint32_t caller, uint32_t callee)
{
    struct firsts *f = arg;
    f->p = vec_room(f->p, &f->cap, f->n + 1, sizeof *f->p);
    f->p[f->n++] = (struct auto_jump){caller, callee};
}

static void check_recursion(struct compiling *c)
{
    struct gram *g = c->g;
    bool *nullable = mem_calloc(g->n_rules, sizeof *nullable);
    uint32_t *mark = mem_calloc(g->n_st, sizeof *mark), stamp = 0;
    uint32_t *stack = mem_alloc(g->n_st * sizeof *stack);
    uint32_t *left = mem_calloc(g->n_rules, sizeof *left); // callers not yet taken away
    struct firsts f = {0};
    for (bool changed = true; changed && !c->b->failed;) {
        changed = false;
        for (uint32_t r = g->n_rules; r-- > 0;)
            if (!nullable[r] && (first_calls(c, r, nullable, mark, ++stamp, stack, NULL, NULL) ||
                                 (g->rules[r].counted && g->rules[r].min == 0)))
                nullable[r] = changed = true;
    }
    for (uint32_t r = 0; r < g->n_rules && !c->b->failed; r++) {
        bool ends = first_calls(c, r, nullable, mark, ++stamp, stack, note_first, &f);
        if (ends && g->rules[r].counted)
            build_fail(c->b, ERR_LIMIT, NULL,
                       "a part that may be empty is repeated too often to be counted");
    }
    // Kahn: rules that no remaining rule begins with are taken away; a circle stays.
    for (size_t i = 0; i < f.n; i++)
        left[f.p[i].to]++;
    uint32_t *ready = mem_alloc(g->n_rules * sizeof *ready), n = 0, gone = 0;
    size_t *first = mem_calloc(g->n_rules + 1u, sizeof *first); // f.p is sorted by caller
    for (size_t i = 0; i < f.n; i++)
        first[f.p[i].arg + 1]++;
    for (uint32_t r = 0; r < g->n_rules; r++)
        first[r + 1] += first[r];
    for (uint32_t r = 0; r < g->n_rules; r++)
        if (!left[r])
            ready[n++] = r;
    while (gone < n && build_work(c->b, 1)) {
        uint32_t r = ready[gone++];
        for (size_t i = first[r]; i < first[r + 1]; i++)
            if (--left[f.p[i].to] == 0)
                ready[n++] = f.p[i].to;
    }
    if (!c->b->failed && gone < g->n_rules)
        build_fail(c->b, ERR_INPUT, NULL,
                   "a rule of the constraint begins with itself (left recursion)");
    mem_free(nullable);
    mem_free(mark);
    mem_free(stack);
    mem_free(left);
    mem_free(ready);
    mem_free(first);
    mem_free(f.p);
}

static void set_flags(struct gram *g)
{
    for (uint32_t i = 0; i < g->n_st; i++) {
        struct gram_st *s = &g->st[i];
        if (s->n_edges || s->n_controls)
            s->flags |= STATE_LETTERS;
        if (!s->n_calls && !(s->flags & STATE_ACCEPT))
            s->flags |= STATE_PLAIN;
        if (s->flags == STATE_ACCEPT && !s->n_calls)
            s->flags |= STATE_TAIL;
    }
}

struct gram *gram_compile(struct gram_build *b, const struct gram_node *root, struct err *e)
{
    struct compiling c = {.b = b};
    struct gram_node top = {.kind = NODE_RULE, .body = root, .size = 2};
    if (!root)
        build_fail(b, ERR_INTERNAL, NULL, "a constraint without a root");
    struct gram *g = c.g = mem_calloc(1, sizeof *g);
    atomic_init(&g->holders, 1);
    g->depth_max = b->has_json ? GRAM_JSON_DEPTH : GRAM_DEPTH_MAX;
    g->vocab = gram_vocab_hold(b->vocab);
    memset(c.heads, 0xFF, sizeof c.heads);
    c.called = vec_room(NULL, &c.cap, 1, sizeof *c.called);
    c.called[c.n++] = (struct called){&top, NONE};
    for (uint32_t r = 0; r < c.n && !b->failed; r++)
        compile_rule(&c, r);
    if (!b->failed)
        trim(&c);
    if (!b->failed)
        check_recursion(&c);
    mem_free(c.called);
    if (b->failed) {
        *e = b->err;
        gram_drop(g);
        return NULL;
    }
    set_flags(g);
    g->locals = mem_calloc(g->n_st, sizeof *g->locals);
    g->exits = mem_calloc(g->n_st, sizeof *g->exits);
    g->memory = sizeof *g + g->n_st * (sizeof *g->st + 2 * sizeof *g->locals) +
                c.n_e * sizeof *g->e + (c.n_c + c.n_k) * sizeof *g->c +
                g->n_rules * sizeof *g->rules;
    mask_warm(g);
    return g;
}

struct gram *gram_hold(const struct gram *g)
{
    struct gram *own = (struct gram *)(uintptr_t)g;
    atomic_fetch_add_explicit(&own->holders, 1, memory_order_relaxed);
    return own;
}

void gram_drop(const struct gram *g)
{
    struct gram *own = (struct gram *)(uintptr_t)g;
    // acq_rel: the last holder sees what all others did
    if (!own || atomic_fetch_sub_explicit(&own->holders, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; own->locals && i < own->n_st; i++) {
        local_free(atomic_load_explicit(&own->locals[i], memory_order_relaxed));
        exits_free(atomic_load_explicit(&own->exits[i], memory_order_relaxed));
    }
    mem_free(own->locals);
    mem_free(own->exits);
    mem_free(own->st);
    mem_free(own->e);
    mem_free(own->c);
    mem_free(own->k);
    mem_free(own->rules);
    gram_vocab_drop(own->vocab);
    mem_free(own);
}

size_t gram_memory(const struct gram *g)
{
    return g->memory + atomic_load_explicit(&g->n_local, memory_order_relaxed);
}

const struct gram_vocab *gram_vocab_of(const struct gram *g)
{
    return g->vocab;
}
