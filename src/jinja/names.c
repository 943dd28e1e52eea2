/* jinja/names.c - which names of a scope hide the context's before they are set.
 *
 * Jinja2 decides when it compiles what a name means.  A name that a scope (the template, a loop's
 * body, a macro ...) sets, and that it did not read before, belongs to that scope from its start: a
 * scope inside that reads it before it is set finds it undefined, although the context has it:
 *
 *     {% for m in messages %}{{ x }}{% endfor %}{% set x = 1 %}    prints nothing, with x given
 *
 * A name that only some branches of an `if` set stays the context's until then.  Names of this kind
 * are collected here for every scope; the walker binds them to nothing when it enters one.
 * Source:  pallets/jinja: src/jinja2/idtracking.py. */
#include "jinja/jinja_int.h"

#include "base/mem.h"

enum load { LOAD_OUTER, LOAD_CONTEXT, LOAD_NOTHING, LOAD_PARAMETER };

/* What a name is in one scope; `below` is the scope around. */
struct entry {
    struct entry *below;
    int scope, sym;
    enum load load;
    bool stored;
};

/* A change of an entry, to be undone when a branch ends. */
struct change {
    struct entry *e;
    bool made; // the entry is new
    enum load load;
    bool stored;
};

struct names {
    struct jinja *t;
    struct arena scratch;
    struct entry **top; // [n_syms] innermost entry
    uint8_t *count;     // [n_syms] branches that store it
    struct change *log; // [n_log] since the scope began
    size_t n_log, cap_log;
    int scope, n_scopes;
    bool full; // out of memory
};

static void note(struct names *x, struct change c)
{
    if (x->n_log == x->cap_log) {
        x->cap_log = x->cap_log ? x->cap_log * 2 : 64;
        x->log = mem_realloc(x->log, x->cap_log * sizeof *x->log);
    }
    x->log[x->n_log++] = c;
}

static struct entry *own(struct names *x, int sym)
{
    struct entry *e = x->top[sym];
    return e && e->scope == x->scope ? e : NULL;
}

static void push(struct names *x, int sym, enum load load, bool stored)
{
    struct entry *e = arena_alloc(&x->scratch, sizeof *e);
    if (!e) {
        x->full = true;
        return;
    }
    *e = (struct entry){x->top[sym], x->scope, sym, load, stored};
    x->top[sym] = e;
    note(x, (struct change){.e = e, .made = true});
}

static void change(struct names *x, struct entry *e, enum load load, bool stored)
{
    note(x, (struct change){.e = e, .load = e->load, .stored = e->stored});
    e->load = load;
    e->stored = stored;
}

static void name_load(struct names *x, int sym)
{
    if (!x->top[sym])
        push(x, sym, LOAD_CONTEXT, false);
}

static void name_store(struct names *x, int sym)
{
    struct entry *e = own(x, sym);
    if (e && !e->stored)
        change(x, e, e->load, true);
    else if (!e)
        push(x, sym, x->top[sym] ? LOAD_OUTER : LOAD_NOTHING, true);
}

static void name_parameter(struct names *x, int sym)
{
    struct entry *e = own(x, sym);
    if (e)
        change(x, e, LOAD_PARAMETER, true);
    else
        push(x, sym, LOAD_PARAMETER, true);
}

/* ---- What a scope reads and sets itself ---- */

static void see(struct names *x, const struct node *n);

static void see_target(struct names *x, const struct node *n, bool parameter)
{
    if (n->kind == NODE_NAME) {
        if (parameter)
            name_parameter(x, n->sym);
        else
            name_store(x, n->sym);
    } else if (n->kind == NODE_NSREF) {
        name_load(x, n->sym);
    }
    for (int i = 0; i < n->n; i++)
        see_target(x, n->kids[i], parameter);
}

static void see_all(struct names *x, const struct node *n)
{
    see(x, n->a);
    see(x, n->b);
    see(x, n->c);
    for (int i = 0; i < n->n; i++)
        see(x, n->kids[i]);
    if (!n->args)
        return;
    for (int i = 0; i < n->args->n_pos; i++)
        see(x, n->args->pos[i]);
    for (int i = 0; i < n->args->n_kw; i++)
        see(x, n->args->kw[i]);
    see(x, n->args->star);
    see(x, n->args->star2);
}

/* Takes back what a branch changed, keeping the list: *from is its beginning in the log. */
static void undo(struct names *x, size_t from, struct change **kept, size_t *n_kept)
{
    *n_kept = x->n_log - from;
    *kept = *n_kept ? arena_alloc(&x->scratch, *n_kept * sizeof **kept) : NULL;
    if (*n_kept && !*kept) {
        x->full = true;
        *n_kept = 0;
        return;
    }
    for (size_t i = x->n_log; i > from; i--) {
        struct change *c = &x->log[i - 1];
        // What it became, for the merge.
        (*kept)[i - 1 - from] = (struct change){c->e, c->made, c->e->load, c->e->stored};
        if (c->made) {
            x->top[c->e->sym] = c->e->below;
        } else {
            c->e->load = c->load;
            c->e->stored = c->stored;
        }
    }
    x->n_log = from;
}

static void merge(struct names *x, const struct change *kept, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct entry *e = own(x, kept[i].e->sym);
        if (!e)
            push(x, kept[i].e->sym, kept[i].load, kept[i].stored);
        else
            change(x, e, kept[i].load, e->stored || kept[i].stored);
    }
}

/* One branch's newly stored names, each once: before the merge, own() is the state before. */
static void count_stores(struct names *x, const struct change *kept, size_t n, int step)
{
    for (size_t i = 0; i < n; i++) {
        struct entry *before = own(x, kept[i].e->sym);
        if (kept[i].stored && !(before && before->stored) && (x->count[kept[i].e->sym] & 3) == step)
            x->count[kept[i].e->sym]++;
    }
}

/* A name that not every branch stores is the outer one, or the context's, until it is stored. */
static void see_if(struct names *x, const struct node *n)
{
    struct change *kept[3];
    size_t n_kept[3], from = x->n_log;
    see(x, n->a);
    from = x->n_log;
    see(x, n->b);
    undo(x, from, &kept[0], &n_kept[0]);
    for (int i = 0; i < n->n; i++)
        see_if(x, n->kids[i]);
    undo(x, from, &kept[1], &n_kept[1]);
    if (n->c)
        see(x, n->c);
    undo(x, from, &kept[2], &n_kept[2]);
    if (x->full)
        return;

    for (int i = 0; i < 3; i++)
        count_stores(x, kept[i], n_kept[i], i);
    // Before anything is merged, own() still is what was before the `if`.
    for (int i = 0; i < 3; i++) {
        for (size_t k = 0; k < n_kept[i]; k++) {
            struct entry *before = own(x, kept[i][k].e->sym);
            bool partly =
                kept[i][k].stored && !(before && before->stored) && x->count[kept[i][k].e->sym] < 3;
            if (partly)
                kept[i][k].load = (before ? before->below : x->top[kept[i][k].e->sym])
                                      ? LOAD_OUTER
                                      : LOAD_CONTEXT;
        }
    }
    for (int i = 0; i < 3; i++)
        merge(x, kept[i], n_kept[i]);
    for (int i = 0; i < 3; i++)
        for (size_t k = 0; k < n_kept[i]; k++)
            x->count[kept[i][k].e->sym] = 0;
}

static void see(struct names *x, const struct node *n)
{
    if (!n || x->full)
        return;
    switch (n->kind) {
    case NODE_NAME: name_load(x, n->sym); break;
    case NODE_IF: see_if(x, n); break;
    case NODE_FOR: see(x, n->b); break;
    case NODE_SET:
        see(x, n->b);
        see_target(x, n->a, false);
        break;
    case NODE_SET_BLOCK: see_target(x, n->a, false); break;
    case NODE_MACRO: name_store(x, n->sym); break;
    case NODE_CALL_BLOCK:
    case NODE_FILTER_BLOCK: see(x, n->a); break;
    case NODE_WITH:
        for (int i = 1; i < n->n; i += 2)
            see(x, n->kids[i]);
        break;
    case NODE_SCOPE: break;
    default: see_all(x, n);
    }
}

/* ---- Scopes in scopes ---- */

static void inner_scopes(struct names *x, struct node *n);

/* A scope of its own: target and parameters, what comes first, the body. */
static struct hidden *scope(struct names *x, const struct node *targets,
                            const struct signature *sig, const struct node *first,
                            struct node *body)
{
    int outer = x->scope;
    size_t outer_log = x->n_log, n = 0;
    x->scope = ++x->n_scopes;
    if (targets && targets->kind == NODE_WITH) {
        for (int i = 0; i < targets->n; i += 2)
            see_target(x, targets->kids[i], true);
    } else if (targets) {
        name_parameter(x, SYM_LOOP);
        see_target(x, targets, true);
    }
    for (int i = 0; sig && i < sig->n; i++)
        name_parameter(x, sig->sym[i]);
    for (int i = 0; sig && i < sig->n_defaults; i++)
        see(x, sig->defaults[i]);
    see(x, first);
    see(x, body);

    for (size_t i = outer_log; i < x->n_log; i++)
        n += x->log[i].made && x->log[i].e->load == LOAD_NOTHING;
    struct hidden *h = NULL;
    if (n) {
        h = arena_alloc(&x->t->arena, sizeof *h + n * sizeof h->sym[0]);
        x->full |= !h;
    }
    if (h)
        h->n = 0;
    for (size_t i = outer_log; h && i < x->n_log; i++)
        if (x->log[i].made && x->log[i].e->load == LOAD_NOTHING)
            h->sym[h->n++] = x->log[i].e->sym;

    if (!x->full)
        inner_scopes(x, body);
    for (size_t i = x->n_log; i > outer_log; i--)
        if (x->log[i - 1].made)
            x->top[x->log[i - 1].e->sym] = x->log[i - 1].e->below;
    x->n_log = outer_log;
    x->scope = outer;
    return h;
}

/* Finds the scopes that start right inside this one. */
static void inner_scopes(struct names *x, struct node *n)
{
    if (!n || x->full)
        return;
    switch (n->kind) {
    case NODE_FOR:
        n->hidden = scope(x, n->a, NULL, NULL, n->kids[0]);
        if (n->n > 1)
            n->hidden2 = scope(x, NULL, NULL, NULL, n->kids[1]);
        break;
    case NODE_MACRO:
    case NODE_CALL_BLOCK: n->macro->hidden = scope(x, NULL, n->macro, NULL, n->macro->body); break;
    case NODE_SET_BLOCK: n->hidden = scope(x, NULL, NULL, NULL, n->b); break;
    case NODE_FILTER_BLOCK: n->hidden = scope(x, NULL, NULL, NULL, n->b); break;
    case NODE_WITH: n->hidden = scope(x, n, NULL, NULL, n->b); break;
    case NODE_SCOPE: n->hidden = scope(x, NULL, NULL, NULL, n->a); break;
    case NODE_IF:
        inner_scopes(x, n->b);
        for (int i = 0; i < n->n; i++)
            inner_scopes(x, n->kids[i]->b);
        inner_scopes(x, n->c);
        break;
    case NODE_BODY:
        for (int i = 0; i < n->n; i++)
            inner_scopes(x, n->kids[i]);
        break;
    default: break;
    }
}

bool jinja_names(struct jinja *t, struct err *e)
{
    struct names x = {.t = t};
    size_t n = (size_t)t->n_syms + 1;
    arena_init(&x.scratch, (size_t)256 << 20);
    x.top = mem_calloc(n, sizeof *x.top);
    x.count = mem_calloc(n, sizeof *x.count);
    t->hidden = scope(&x, NULL, NULL, NULL, t->root);
    mem_free(x.top);
    mem_free(x.count);
    mem_free(x.log);
    arena_fini(&x.scratch);
    return !x.full || err_set(e, ERR_LIMIT, "template needs too much memory");
}
