/* gram/build.c - nodes: what a text looks like, before it is an automaton. */
#include "gram/gram_int.h"

#include <stdarg.h>

static const struct gram_node the_failed = {.kind = NODE_FAIL};

struct gram_build *gram_build_new(const struct gram_vocab *v)
{
    struct gram_build *b = mem_calloc(1, sizeof *b);
    b->vocab = gram_vocab_hold(v);
    arena_init(&b->arena, GRAM_MEMORY_MAX);
    return b;
}

void gram_build_free(struct gram_build *b)
{
    if (!b)
        return;
    gram_vocab_drop(b->vocab);
    arena_fini(&b->arena);
    mem_free(b->rules);
    mem_free(b);
}

bool build_fail(struct gram_build *b, enum err_code code, const char *where, const char *fmt, ...)
{
    if (b->failed)
        return false;
    char msg[sizeof b->err.msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    b->failed = true;
    return err_set_at(&b->err, code, where, "%s", msg);
}

bool build_work(struct gram_build *b, uint64_t n)
{
    if (b->failed)
        return false;
    b->work += n;
    if (b->work > GRAM_WORK_MAX)
        return build_fail(b, ERR_LIMIT, NULL, "the constraint takes too much work to compile");
    return true;
}

static uint32_t add_sizes(uint64_t a, uint64_t b)
{
    return a + b > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uint32_t)(a + b);
}

static uint32_t size_of(const struct gram_node *n)
{
    switch (n->kind) {
    case NODE_EMPTY:
    case NODE_FAIL: return 1;
    case NODE_LIT: return add_sizes(n->lit.n, 1);
    case NODE_BYTE:
    case NODE_CONTROL: return 2;
    case NODE_SEQ:
    case NODE_ALT: {
        uint32_t sum = 2;
        for (size_t i = 0; i < n->n; i++)
            sum = add_sizes(sum, n->nodes[i]->size);
        return sum;
    }
    case NODE_REPEAT: {
        uint64_t times = n->max < 0 ? (uint64_t)n->min + 1 : (uint64_t)n->max;
        return add_sizes(times * n->body->size, 2);
    }
    case NODE_RULE: return 2;
    case NODE_GRAPH: {
        uint32_t sum = add_sizes(n->n_states, 2);
        for (size_t i = 0; i < n->n; i++)
            sum = add_sizes(sum, n->edges[i].node ? n->edges[i].node->size : 0);
        return sum;
    }
    case NODE_DFA: return add_sizes((uint64_t)n->dfa->n * (n->json ? 4 : 1), 2);
    }
    return 1;
}

const struct gram_node *build_node(struct gram_build *b, struct gram_node n)
{
    if (!build_work(b, 1))
        return &the_failed;
    struct gram_node *own = arena_alloc(&b->arena, sizeof *own);
    if (!own) {
        build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
        return &the_failed;
    }
    *own = n;
    own->size = size_of(own);
    return own;
}

const struct gram_node *node_fail(struct gram_build *b)
{
    return build_node(b, (struct gram_node){.kind = NODE_FAIL});
}

const struct gram_node *node_byte(struct gram_build *b, int lo, int hi)
{
    return build_node(b,
                      (struct gram_node){.kind = NODE_BYTE, .lo = (uint8_t)lo, .hi = (uint8_t)hi});
}

const struct gram_node *node_dfa(struct gram_build *b, const struct dfa *d, bool json)
{
    if (!d)
        return &the_failed;
    return build_node(b, (struct gram_node){.kind = NODE_DFA, .dfa = d, .json = json});
}

const struct gram_node *gram_lit(struct gram_build *b, str bytes)
{
    if (bytes.n == 0)
        return build_node(b, (struct gram_node){.kind = NODE_EMPTY});
    if (bytes.n == 1)
        return node_byte(b, (uint8_t)bytes.p[0], (uint8_t)bytes.p[0]);
    str own = arena_str(&b->arena, bytes);
    if (!own.p) {
        build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
        return &the_failed;
    }
    return build_node(b, (struct gram_node){.kind = NODE_LIT, .lit = own});
}

const struct gram_node *gram_control(struct gram_build *b, int32_t id)
{
    if (id < 0 || id >= b->vocab->n) {
        build_fail(b, ERR_INPUT, NULL, "there is no token %d", id);
        return &the_failed;
    }
    return build_node(b, (struct gram_node){.kind = NODE_CONTROL, .id = id});
}

static const struct gram_node *list(struct gram_build *b, enum node_kind kind,
                                    const struct gram_node *const *nodes, size_t n)
{
    const struct gram_node **own = arena_calloc(&b->arena, n + 1, sizeof *own);
    if (!own || !build_work(b, n)) {
        build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
        return &the_failed;
    }
    for (size_t i = 0; i < n; i++) {
        if (!nodes[i]) {
            build_fail(b, ERR_INTERNAL, NULL, "a constraint has a missing part");
            return &the_failed;
        }
        own[i] = nodes[i];
    }
    return build_node(b, (struct gram_node){.kind = kind, .nodes = own, .n = n});
}

const struct gram_node *gram_seq(struct gram_build *b, const struct gram_node *const *nodes,
                                 size_t n)
{
    return n == 1 && nodes[0] ? nodes[0] : list(b, NODE_SEQ, nodes, n);
}

const struct gram_node *gram_alt(struct gram_build *b, const struct gram_node *const *nodes,
                                 size_t n)
{
    return n == 1 && nodes[0] ? nodes[0] : list(b, NODE_ALT, nodes, n);
}

const struct gram_node *gram_seq2(struct gram_build *b, const struct gram_node *first,
                                  const struct gram_node *second)
{
    return list(b, NODE_SEQ, (const struct gram_node *const[]){first, second}, 2);
}

const struct gram_node *gram_alt2(struct gram_build *b, const struct gram_node *one,
                                  const struct gram_node *other)
{
    return list(b, NODE_ALT, (const struct gram_node *const[]){one, other}, 2);
}

const struct gram_node *gram_repeat(struct gram_build *b, const struct gram_node *node, int min,
                                    int max)
{
    if (!node || min < 0 || (max >= 0 && max < min)) {
        build_fail(b, ERR_INPUT, NULL, "a repetition of {%d,%d} is not possible", min, max);
        return &the_failed;
    }
    if (max == 0)
        return gram_lit(b, (str){NULL, 0});
    if (min == 1 && max == 1)
        return node;
    return build_node(
        b, (struct gram_node){
               .kind = NODE_REPEAT, .body = node, .min = min, .max = max < 0 ? -1 : max});
}

const struct gram_node *gram_opt(struct gram_build *b, const struct gram_node *node)
{
    return gram_repeat(b, node, 0, 1);
}

const struct gram_node *gram_rule(struct gram_build *b)
{
    if (b->n_rules >= GRAM_RULES_MAX) {
        build_fail(b, ERR_LIMIT, NULL, "the constraint has more than %d rules", GRAM_RULES_MAX);
        return &the_failed;
    }
    const struct gram_node *n =
        build_node(b, (struct gram_node){.kind = NODE_RULE, .rule = b->n_rules});
    if (b->failed)
        return n;
    b->rules = vec_room(b->rules, &b->cap_rules, b->n_rules + 1u, sizeof *b->rules);
    b->rules[b->n_rules++] = (struct gram_node *)(uintptr_t)n;
    return n;
}

void gram_define(struct gram_build *b, const struct gram_node *rule, const struct gram_node *node)
{
    if (b->failed)
        return;
    if (!rule || !node || rule->kind != NODE_RULE || b->rules[rule->rule]->body) {
        build_fail(b, ERR_INTERNAL, NULL, "a rule of a constraint is defined twice or not at all");
        return;
    }
    b->rules[rule->rule]->body = node;
}

void node_add(struct gram_build *b, struct node_list *l, const struct gram_node *node)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 8;
        const struct gram_node **p = arena_calloc(&b->arena, cap, sizeof *p);
        if (!p) {
            build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
            return;
        }
        if (l->n)
            memcpy(p, l->p, l->n * sizeof *p);
        l->p = p;
        l->cap = cap;
    }
    l->p[l->n++] = node;
}

const struct gram_node *node_seq(struct gram_build *b, const struct node_list *l)
{
    return gram_seq(b, l->p, l->n);
}

const struct gram_node *node_alt(struct gram_build *b, const struct node_list *l)
{
    return gram_alt(b, l->p, l->n);
}

void graph_begin(struct graph *g)
{
    *g = (struct graph){.n_states = 2};
}

uint32_t graph_state(struct graph *g)
{
    return g->n_states++;
}

void graph_add(struct gram_build *b, struct graph *g, uint32_t from, uint32_t to,
               const struct gram_node *node)
{
    if (g->n == g->cap) {
        size_t cap = g->cap ? g->cap * 2 : 16;
        struct graph_edge *p = arena_calloc(&b->arena, cap, sizeof *p);
        if (!p || !build_work(b, cap)) {
            build_fail(b, ERR_LIMIT, NULL, "the constraint is too large");
            return;
        }
        if (g->n)
            memcpy(p, g->p, g->n * sizeof *p);
        g->p = p;
        g->cap = cap;
    }
    g->p[g->n++] = (struct graph_edge){from, to, node};
}

const struct gram_node *node_graph(struct gram_build *b, const struct graph *g)
{
    return build_node(
        b,
        (struct gram_node){.kind = NODE_GRAPH, .edges = g->p, .n = g->n, .n_states = g->n_states});
}
