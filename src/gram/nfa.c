/* gram/nfa.c - from nodes to an automaton.
 * Source: Thompson's construction (CACM 11:6, 1968) and the subset construction (Rabin and Scott,
 * 1959); calls and control tokens are letters beside the bytes. */
#include "gram/gram_int.h"

#define NONE           UINT32_MAX
#define DFA_STATES_MAX 60000 // where nothing else will do

/* ---- Thompson ---- */

struct making {
    struct gram_build *b;
    struct nfa *n;
    const struct nfa_calls *calls;
    int depth;
};

static uint32_t new_state(struct making *m)
{
    struct nfa *n = m->n;
    if (n->n >= GRAM_NFA_MAX) {
        build_fail(m->b, ERR_LIMIT, NULL, "the constraint is too large: more than %d states",
                   (int)GRAM_NFA_MAX);
        return 0;
    }
    if (!build_work(m->b, 1))
        return 0;
    n->first = vec_room(n->first, &n->cap, n->n + 1, sizeof *n->first);
    n->first[n->n] = NONE;
    return (uint32_t)n->n++;
}

static void new_edge(struct making *m, uint32_t from, struct nfa_edge e)
{
    struct nfa *n = m->n;
    if (m->b->failed || n->n_e >= 4 * GRAM_NFA_MAX) {
        build_fail(m->b, ERR_LIMIT, NULL, "the constraint is too large");
        return;
    }
    n->e = vec_room(n->e, &n->cap_e, n->n_e + 1, sizeof *n->e);
    e.next = n->first[from];
    n->e[n->n_e] = e;
    n->first[from] = (uint32_t)n->n_e++;
}

static void eps(struct making *m, uint32_t from, uint32_t to)
{
    new_edge(m, from, (struct nfa_edge){.kind = EDGE_EPS, .to = to});
}

static uint32_t byte_edge(struct making *m, uint32_t from, uint8_t lo, uint8_t hi)
{
    uint32_t to = new_state(m);
    new_edge(m, from, (struct nfa_edge){.kind = EDGE_BYTE, .lo = lo, .hi = hi, .to = to});
    return to;
}

static void byte_to(struct making *m, uint32_t from, uint8_t lo, uint8_t hi, uint32_t to)
{
    new_edge(m, from, (struct nfa_edge){.kind = EDGE_BYTE, .lo = lo, .hi = hi, .to = to});
}

/* The escapes by which a JSON string may spell the bytes that state i of d takes. */
static void put_escapes(struct making *m, const struct dfa *d, int i, uint32_t base)
{
    static const struct {
        char letter;
        uint8_t byte;
    } escapes[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                   {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
    uint32_t from = base + (uint32_t)i, back = NONE, half[2] = {NONE, NONE};
    for (size_t k = 0; k < COUNT(escapes); k++) {
        int to = dfa_next(d, i, escapes[k].byte);
        if (to < 0)
            continue;
        if (back == NONE)
            back = byte_edge(m, from, '\\', '\\');
        byte_to(m, back, (uint8_t)escapes[k].letter, (uint8_t)escapes[k].letter,
                base + (uint32_t)to);
    }
    for (int c = 0; c < 0x20; c++) {
        int to = dfa_next(d, i, (uint8_t)c);
        if (to < 0)
            continue;
        if (back == NONE)
            back = byte_edge(m, from, '\\', '\\');
        if (half[c >> 4] == NONE) {
            uint32_t u = byte_edge(m, back, 'u', 'u');
            u = byte_edge(m, byte_edge(m, u, '0', '0'), '0', '0');
            half[c >> 4] = byte_edge(m, u, (uint8_t)('0' + (c >> 4)), (uint8_t)('0' + (c >> 4)));
        }
        uint8_t low = (uint8_t) "0123456789abcdef"[c & 15],
                high = (uint8_t) "0123456789ABCDEF"[c & 15];
        byte_to(m, half[c >> 4], low, low, base + (uint32_t)to);
        if (high != low)
            byte_to(m, half[c >> 4], high, high, base + (uint32_t)to);
    }
}

static uint32_t put_dfa(struct making *m, const struct gram_node *node, uint32_t from)
{
    const struct dfa *d = node->dfa;
    uint32_t base = (uint32_t)m->n->n, end;
    for (int i = 0; i < d->n; i++)
        new_state(m);
    end = new_state(m);
    if (m->b->failed || !build_work(m->b, (uint64_t)d->n * 64))
        return from;
    eps(m, from, base);
    for (int i = 0; i < d->n; i++) {
        if (d->accept[i])
            eps(m, base + (uint32_t)i, end);
        for (int c = node->json ? 0x20 : 0; c < 256;) {
            int to = dfa_next(d, i, (uint8_t)c), last = c;
            bool plain = !node->json || (c != '"' && c != '\\');
            while (plain && last < 255 && dfa_next(d, i, (uint8_t)(last + 1)) == to &&
                   (!node->json || (last + 1 != '"' && last + 1 != '\\')))
                last++;
            if (plain && to >= 0)
                byte_to(m, base + (uint32_t)i, (uint8_t)c, (uint8_t)last, base + (uint32_t)to);
            c = last + 1;
        }
        if (node->json)
            put_escapes(m, d, i, base);
    }
    return end;
}

static uint32_t put(struct making *m, const struct gram_node *node, uint32_t from);

static uint32_t put_repeat(struct making *m, const struct gram_node *node, uint32_t from)
{
    uint32_t at = from;
    for (int i = 0; i < node->min && !m->b->failed; i++)
        at = put(m, node->body, at);
    if (node->max < 0) {
        uint32_t loop = new_state(m), end = new_state(m);
        eps(m, at, loop);
        eps(m, put(m, node->body, loop), loop);
        eps(m, loop, end);
        return end;
    }
    if (node->max == node->min)
        return at;
    uint32_t end = new_state(m);
    for (int i = node->min; i < node->max && !m->b->failed; i++) {
        uint32_t in = new_state(m);
        eps(m, at, end);
        eps(m, at, in);
        at = put(m, node->body, in);
    }
    eps(m, at, end);
    return end;
}

static uint32_t put_graph(struct making *m, const struct gram_node *node, uint32_t from)
{
    uint32_t base = (uint32_t)m->n->n;
    for (uint32_t i = 0; i < node->n_states; i++)
        new_state(m);
    if (m->b->failed)
        return from;
    eps(m, from, base);
    for (size_t i = 0; i < node->n && !m->b->failed; i++) {
        const struct graph_edge *e = &node->edges[i];
        uint32_t at = base + e->from;
        if (e->node) {
            at = new_state(m); // a loop in the node stays its own
            eps(m, base + e->from, at);
            at = put(m, e->node, at);
        }
        eps(m, at, base + e->to);
    }
    return base + 1;
}

/* Adds the node's text behind `from`; returns the state after it. */
static uint32_t put(struct making *m, const struct gram_node *node, uint32_t from)
{
    if (m->b->failed)
        return from;
    if (m->depth >= GRAM_NEST_MAX) {
        build_fail(m->b, ERR_LIMIT, NULL, "the constraint is nested too deeply");
        return from;
    }
    m->depth++;
    uint32_t at = from;
    switch (node->kind) {
    case NODE_EMPTY: break;
    case NODE_FAIL:
        at = new_state(m); // nothing leads there
        break;
    case NODE_LIT:
        for (size_t i = 0; i < node->lit.n; i++)
            at = byte_edge(m, at, (uint8_t)node->lit.p[i], (uint8_t)node->lit.p[i]);
        break;
    case NODE_BYTE: at = byte_edge(m, at, node->lo, node->hi); break;
    case NODE_CONTROL:
        at = new_state(m);
        new_edge(m, from,
                 (struct nfa_edge){.kind = EDGE_CONTROL, .to = at, .arg = (uint32_t)node->id});
        break;
    case NODE_SEQ:
        for (size_t i = 0; i < node->n; i++)
            at = put(m, node->nodes[i], at);
        break;
    case NODE_ALT:
        at = new_state(m);
        for (size_t i = 0; i < node->n; i++) {
            uint32_t in = new_state(m);
            eps(m, from, in);
            eps(m, put(m, node->nodes[i], in), at);
        }
        break;
    case NODE_DFA: at = put_dfa(m, node, from); break;
    case NODE_GRAPH: at = put_graph(m, node, from); break;
    case NODE_REPEAT:
    case NODE_RULE: {
        uint32_t rule = m->calls ? m->calls->rule(m->calls->arg, node) : NONE;
        if (rule != NONE) {
            at = new_state(m);
            new_edge(m, from, (struct nfa_edge){.kind = EDGE_CALL, .to = at, .arg = rule});
        } else if (node->kind == NODE_REPEAT) {
            at = put_repeat(m, node, from);
        } else if (!node->body) {
            build_fail(m->b, ERR_INTERNAL, NULL, "a rule of a constraint was never defined");
        } else {
            at = put(m, node->body, from);
        }
        break;
    }
    }
    m->depth--;
    return at;
}

bool nfa_of_node(struct gram_build *b, const struct gram_node *node, const struct nfa_calls *calls,
                 struct nfa *out)
{
    *out = (struct nfa){0};
    struct making m = {.b = b, .n = out, .calls = calls};
    out->start = new_state(&m);
    if (!b->failed)
        out->end = put(&m, node, out->start);
    if (!b->failed)
        return true;
    nfa_free(out);
    return false;
}

void nfa_free(struct nfa *n)
{
    mem_free(n->first);
    mem_free(n->e);
    *n = (struct nfa){0};
}

void autom_free(struct autom *a)
{
    mem_free(a->s);
    mem_free(a->e);
    mem_free(a->c);
    mem_free(a->k);
    *a = (struct autom){0};
}

/* ---- subsets ---- */

struct subsets {
    struct gram_build *b;
    const struct nfa *n;
    struct autom *out;
    uint32_t *mark, stamp; // [n->n]
    uint32_t *stack;       // [n->n]
    uint32_t *set;         // the set being made, [n_set]
    size_t n_set;
    uint32_t *pool; // all sets
    size_t n_pool, cap_pool;
    size_t *at; // [out->n + 1] where each begins
    size_t cap_at;
    uint32_t *heads, *chain; // hash of sets
    size_t n_heads, cap_chain;
    struct nfa_edge *edges; // of the state under way
    size_t cap_edges;
};

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void closure_begin(struct subsets *x)
{
    x->stamp++;
    x->n_set = 0;
}

/* Adds what `from` reaches without a letter; states that have none themselves are left out. */
static void closure_add(struct subsets *x, uint32_t from)
{
    size_t n = 0;
    if (x->mark[from] == x->stamp)
        return;
    x->mark[from] = x->stamp;
    x->stack[n++] = from;
    while (n) {
        uint32_t s = x->stack[--n];
        bool letters = s == x->n->end;
        x->b->work++;
        for (uint32_t i = x->n->first[s]; i != NONE; i = x->n->e[i].next) {
            const struct nfa_edge *e = &x->n->e[i];
            if (e->kind != EDGE_EPS) {
                letters = true;
            } else if (x->mark[e->to] != x->stamp) {
                x->mark[e->to] = x->stamp;
                x->stack[n++] = e->to;
            }
        }
        if (letters)
            x->set[x->n_set++] = s;
    }
}

static uint32_t add_state(struct subsets *x)
{
    struct autom *a = x->out;
    a->s = vec_room(a->s, &a->cap, a->n + 1, sizeof *a->s);
    a->s[a->n] = (struct auto_state){0};
    return (uint32_t)a->n++;
}

static void rehash(struct subsets *x)
{
    mem_free(x->heads);
    x->n_heads = x->n_heads ? x->n_heads * 4 : 256;
    x->heads = mem_alloc(x->n_heads * sizeof *x->heads);
    memset(x->heads, 0xFF, x->n_heads * sizeof *x->heads);
    for (size_t i = 0; i < x->out->n; i++) {
        uint64_t h = 1469598103934665603u;
        for (size_t k = x->at[i]; k < x->at[i + 1]; k++)
            h = (h ^ x->pool[k]) * 1099511628211u;
        size_t slot = (h ^ (h >> 29)) & (x->n_heads - 1);
        x->chain[i] = x->heads[slot];
        x->heads[slot] = (uint32_t)i;
    }
}

/* The number of the set just closed. */
static uint32_t intern(struct subsets *x)
{
    qsort(x->set, x->n_set, sizeof *x->set, by_number);
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < x->n_set; i++)
        h = (h ^ x->set[i]) * 1099511628211u;
    if (x->out->n >= x->n_heads)
        rehash(x);
    size_t slot = (h ^ (h >> 29)) & (x->n_heads - 1);
    for (uint32_t i = x->heads[slot]; i != NONE; i = x->chain[i])
        if (x->at[i + 1] - x->at[i] == x->n_set &&
            memcmp(x->pool + x->at[i], x->set, x->n_set * sizeof *x->set) == 0)
            return i;
    uint32_t s = add_state(x);
    x->pool = vec_room(x->pool, &x->cap_pool, x->n_pool + x->n_set + 1, sizeof *x->pool);
    memcpy(x->pool + x->n_pool, x->set, x->n_set * sizeof *x->set);
    x->n_pool += x->n_set;
    x->at = vec_room(x->at, &x->cap_at, s + 2u, sizeof *x->at);
    x->at[s + 1] = x->n_pool;
    x->chain = vec_room(x->chain, &x->cap_chain, s + 1u, sizeof *x->chain);
    x->chain[s] = x->heads[slot];
    x->heads[slot] = s;
    return s;
}

static int by_edge(const void *a, const void *b)
{
    const struct nfa_edge *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->kind != EDGE_BYTE && x->arg != y->arg)
        return x->arg < y->arg ? -1 : 1;
    if (x->lo != y->lo)
        return x->lo < y->lo ? -1 : 1;
    if (x->hi != y->hi)
        return x->hi < y->hi ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

static void put_edge(struct autom *a, uint32_t s, uint8_t lo, uint8_t hi, uint32_t to)
{
    struct auto_state *st = &a->s[s];
    if (st->n_edges && a->e[a->n_e - 1].to == to && a->e[a->n_e - 1].hi + 1 == lo) {
        a->e[a->n_e - 1].hi = hi;
        return;
    }
    a->e = vec_room(a->e, &a->cap_e, a->n_e + 1, sizeof *a->e);
    a->e[a->n_e++] = (struct auto_edge){lo, hi, to};
    st->n_edges++;
}

static void put_jump(struct autom *a, uint32_t s, bool control, uint32_t arg, uint32_t to)
{
    struct auto_state *st = &a->s[s];
    if (control) {
        a->k = vec_room(a->k, &a->cap_k, a->n_k + 1, sizeof *a->k);
        a->k[a->n_k++] = (struct auto_jump){arg, to};
        st->n_controls++;
    } else {
        a->c = vec_room(a->c, &a->cap_c, a->n_c + 1, sizeof *a->c);
        a->c[a->n_c++] = (struct auto_jump){arg, to};
        st->n_calls++;
    }
}

/* Edges of one subset.  Byte edges e[0..n) are sorted: each stretch of bytes without a border
 * goes to the closure of all edges over it. */
static void byte_edges(struct subsets *x, uint32_t s, struct nfa_edge *e, size_t n)
{
    bool border[257] = {false};
    for (size_t i = 0; i < n; i++)
        border[e[i].lo] = border[e[i].hi + 1] = true;
    size_t live = 0, next = 0; // e[0..live) are those over the stretch (reordered)
    for (int from = 0; from < 256 && !x->b->failed;) {
        int to = from + 1;
        while (to < 256 && !border[to])
            to++;
        size_t kept = 0;
        for (size_t i = 0; i < live; i++)
            if (e[i].hi >= from)
                e[kept++] = e[i];
        live = kept;
        while (next < n && e[next].lo <= from) {
            e[live++] = e[next++]; // live <= next: those before are done with
        }
        if (live) {
            closure_begin(x);
            for (size_t i = 0; i < live; i++)
                closure_add(x, e[i].to);
            if (!build_work(x->b, live + x->n_set))
                return;
            put_edge(x->out, s, (uint8_t)from, (uint8_t)(to - 1), intern(x));
        }
        from = to;
    }
}

static void edges_of(struct subsets *x, uint32_t s)
{
    size_t n = 0;
    for (size_t k = x->at[s]; k < x->at[s + 1]; k++) {
        uint32_t q = x->pool[k];
        if (q == x->n->end)
            x->out->s[s].accept = true;
        for (uint32_t i = x->n->first[q]; i != NONE; i = x->n->e[i].next) {
            if (x->n->e[i].kind == EDGE_EPS)
                continue;
            x->edges = vec_room(x->edges, &x->cap_edges, n + 1, sizeof *x->edges);
            x->edges[n++] = x->n->e[i];
        }
    }
    if (!build_work(x->b, n))
        return;
    if (n)
        qsort(x->edges, n, sizeof *x->edges, by_edge);
    x->out->s[s].edges = (uint32_t)x->out->n_e;
    x->out->s[s].calls = (uint32_t)x->out->n_c;
    x->out->s[s].controls = (uint32_t)x->out->n_k;
    size_t bytes = 0;
    while (bytes < n && x->edges[bytes].kind == EDGE_BYTE)
        bytes++;
    byte_edges(x, s, x->edges, bytes);
    for (size_t i = bytes; i < n && !x->b->failed;) {
        size_t same = i;
        closure_begin(x);
        while (same < n && x->edges[same].kind == x->edges[i].kind &&
               x->edges[same].arg == x->edges[i].arg)
            closure_add(x, x->edges[same++].to);
        uint32_t to = intern(x);
        put_jump(x->out, s, x->edges[i].kind == EDGE_CONTROL, x->edges[i].arg, to);
        i = same;
    }
}

/* The NFA's own states: each has the letters of all it reaches without one. */
static void loose_states(struct subsets *x)
{
    struct autom *a = x->out;
    uint32_t *number = mem_alloc(x->n->n * sizeof *number),
             *queue = mem_alloc(x->n->n * sizeof *queue);
    uint32_t n = 0;
    memset(number, 0xFF, x->n->n * sizeof *number);
    autom_free(a);
    number[x->n->start] = n;
    queue[n++] = x->n->start;
    for (uint32_t i = 0; i < n && build_work(x->b, 1); i++) {
        uint32_t s = add_state(x);
        closure_begin(x);
        closure_add(x, queue[i]);
        a->s[s].edges = (uint32_t)a->n_e;
        a->s[s].calls = (uint32_t)a->n_c;
        a->s[s].controls = (uint32_t)a->n_k;
        for (size_t k = 0; k < x->n_set; k++) {
            if (x->set[k] == x->n->end)
                a->s[s].accept = true;
            for (uint32_t j = x->n->first[x->set[k]]; j != NONE; j = x->n->e[j].next) {
                const struct nfa_edge *e = &x->n->e[j];
                if (e->kind == EDGE_EPS || !build_work(x->b, 1))
                    continue;
                if (number[e->to] == NONE) {
                    number[e->to] = n;
                    queue[n++] = e->to;
                }
                if (e->kind == EDGE_BYTE)
                    put_edge(a, s, e->lo, e->hi, number[e->to]);
                else
                    put_jump(a, s, e->kind == EDGE_CONTROL, e->arg, number[e->to]);
            }
        }
    }
    mem_free(number);
    mem_free(queue);
}

bool nfa_subsets(struct gram_build *b, const struct nfa *n, bool loose, struct autom *out)
{
    struct subsets x = {.b = b, .n = n, .out = out};
    *out = (struct autom){0};
    x.mark = mem_calloc(n->n, sizeof *x.mark);
    x.stack = mem_alloc(n->n * sizeof *x.stack);
    x.set = mem_alloc(n->n * sizeof *x.set);
    x.at = vec_room(NULL, &x.cap_at, 2, sizeof *x.at);
    x.at[0] = 0;
    closure_begin(&x);
    closure_add(&x, n->start);
    intern(&x);
    size_t max = loose ? 12 * n->n + 4000 : DFA_STATES_MAX;
    for (size_t i = 0; i < out->n && build_work(b, 1); i++) {
        edges_of(&x, (uint32_t)i);
        if (out->n <= max && x.n_pool <= 8 * max + 100000)
            continue;
        if (!loose)
            build_fail(b, ERR_LIMIT, NULL, "the constraint has too many states");
        else
            loose_states(&x);
        break;
    }
    mem_free(x.mark);
    mem_free(x.stack);
    mem_free(x.set);
    mem_free(x.pool);
    mem_free(x.at);
    mem_free(x.heads);
    mem_free(x.chain);
    mem_free(x.edges);
    if (b->failed)
        autom_free(out);
    return !b->failed;
}
