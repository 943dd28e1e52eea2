/* jinja/exec.c - statements: scopes, loops, assignments, captured output. */
#include "jinja/jinja_int.h"

typedef enum flow (*exec_fn)(struct render *r, const struct node *n, struct scope *s);

/* ---- Scopes ---- */

struct scope *jinja_scope_new(struct render *r, struct scope *up)
{
    struct scope *s = jinja_alloc(r, 1, sizeof *s);
    if (s)
        s->up = up;
    return s;
}

bool jinja_scope_set(struct render *r, struct scope *s, int sym, struct value v)
{
    for (int i = 0; i < s->n; i++) {
        if (s->b[i].sym == sym) {
            s->b[i].val = v;
            return true;
        }
    }
    if (s->n == s->cap) {
        int cap = s->cap ? s->cap * 2 : 4;
        struct bind *b = jinja_alloc(r, (size_t)cap, sizeof *b);
        if (!b)
            return false;
        if (s->n)
            memcpy(b, s->b, (size_t)s->n * sizeof *b);
        s->b = b;
        s->cap = cap;
    }
    s->b[s->n++] = (struct bind){sym, v};
    return true;
}

bool jinja_scope_hide(struct render *r, struct scope *s, const struct hidden *hidden)
{
    struct value nothing = {.kind = KIND_MISSING};
    for (int i = 0; hidden && i < hidden->n; i++) {
        bool there = false;
        for (int k = 0; k < s->n; k++)
            there |= s->b[k].sym == hidden->sym[i];
        if (!jinja_step(r, 1) || (!there && !jinja_scope_set(r, s, hidden->sym[i], nothing)))
            return false;
    }
    return true;
}

struct scope *jinja_scope_in(struct render *r, struct scope *up, const struct hidden *hidden)
{
    struct scope *s = jinja_scope_new(r, up);
    return s && jinja_scope_hide(r, s, hidden) ? s : NULL;
}

/* What a macro may look at later must not be reused. */
static void capture(struct scope *s)
{
    for (; s && !s->captured; s = s->up)
        s->captured = true;
}

static bool assign(struct render *r, const struct node *target, struct scope *s, struct value v);

static bool unpack(struct render *r, const struct node *target, struct scope *s, struct value v)
{
    struct value parts;
    if (!jinja_to_list(r, v, KIND_LIST, &parts))
        return false;
    if (parts.l->n != (size_t)target->n)
        return jinja_fail(r, "%zu values can't be unpacked into %d names", parts.l->n, target->n);
    for (int i = 0; i < target->n; i++)
        if (!assign(r, target->kids[i], s, parts.l->v[i]))
            return false;
    return true;
}

static bool assign(struct render *r, const struct node *target, struct scope *s, struct value v)
{
    r->at = target->at;
    if (target->kind == NODE_NAME)
        return jinja_scope_set(r, s, target->sym, v);
    if (target->kind == NODE_TUPLE) {
        if (!jinja_enter(r))
            return false;
        bool ok = unpack(r, target, s, v);
        jinja_leave(r);
        return ok;
    }
    struct value ns;
    struct node name = {.kind = NODE_NAME, .sym = target->sym, .at = target->at};
    if (!jinja_eval(r, &name, s, &ns))
        return false;
    if (ns.kind != KIND_NAMESPACE)
        return jinja_fail(r, "cannot assign attribute on non-namespace object");
    return jinja_dict_set(r, ns.d, r->t->sym_text[target->sym2], v);
}

/* ---- Output ---- */

enum flow jinja_exec_capture(struct render *r, const struct node *n, struct scope *s,
                             struct value *out)
{
    struct sink sink, *outer = r->out;
    jinja_sink_init(&sink, r);
    r->out = &sink;
    enum flow flow = jinja_exec(r, n, s);
    r->out = outer;
    if (flow == FLOW_NEXT && !jinja_sink_end(&sink, out))
        return FLOW_FAIL;
    return flow;
}

static enum flow exec_data(struct render *r, const struct node *n, struct scope *s)
{
    (void)s;
    jinja_sink_all(r->out, n->val.s);
    return r->out->failed ? FLOW_FAIL : FLOW_NEXT;
}

static enum flow exec_print(struct render *r, const struct node *n, struct scope *s)
{
    struct value v;
    if (!jinja_eval(r, n->a, s, &v))
        return FLOW_FAIL;
    r->at = n->at;
    jinja_show(r->out, v);
    return r->out->failed ? FLOW_FAIL : FLOW_NEXT;
}

static enum flow exec_body(struct render *r, const struct node *n, struct scope *s)
{
    enum flow flow = FLOW_NEXT;
    for (int i = 0; i < n->n && flow == FLOW_NEXT; i++)
        flow = jinja_exec(r, n->kids[i], s);
    return flow;
}

/* ---- Loops ---- */

/* The next item that the loop's filter lets through. */
static bool loop_pull(struct render *r, struct loop *l, struct value *out, bool *more)
{
    const struct node *filter = l->node->c;
    for (;;) {
        if (!jinja_next(r, &l->walk, out, more))
            return false;
        if (!*more || !filter)
            return true;
        struct scope *s = jinja_scope_new(r, l->scope);
        struct value keep;
        if (!s || !assign(r, l->node->a, s, *out) || !jinja_eval(r, filter, s, &keep))
            return false;
        if (jinja_is_true(keep))
            return true;
    }
}

static bool loop_next(struct render *r, struct loop *l, struct value *out, bool *more)
{
    if (l->ahead->pos == l->ahead->n)
        return loop_pull(r, l, out, more);
    *out = l->ahead->v[l->ahead->pos++];
    *more = true;
    return true;
}

static bool loop_peek(struct render *r, struct loop *l, struct value *out, bool *more)
{
    *more = l->ahead->pos < l->ahead->n;
    if (*more) {
        *out = l->ahead->v[l->ahead->pos];
        return true;
    }
    if (!loop_pull(r, l, out, more))
        return false;
    if (!*more)
        return true;
    l->ahead->n = l->ahead->pos = 0;
    return jinja_list_push(r, l->ahead, *out);
}

static bool loop_length(struct render *r, struct loop *l, int64_t *n)
{
    while (l->length < 0) {
        struct value v;
        bool more;
        if (!loop_pull(r, l, &v, &more))
            return false;
        if (!more)
            l->length = l->index0 + 1 + (int64_t)(l->ahead->n - l->ahead->pos);
        else if (!jinja_list_push(r, l->ahead, v))
            return false;
    }
    *n = l->length;
    return true;
}

bool jinja_loop_attr(struct render *r, struct loop *l, str name, struct value *out, bool *found)
{
    enum what {
        INDEX,
        INDEX0,
        REVINDEX,
        REVINDEX0,
        FIRST,
        LAST,
        LENGTH,
        DEPTH,
        DEPTH0,
        PREV,
        NEXT
    };
    static const char *const names[] = {
        [INDEX] = "index",         [INDEX0] = "index0", [REVINDEX] = "revindex",
        [REVINDEX0] = "revindex0", [FIRST] = "first",   [LAST] = "last",
        [LENGTH] = "length",       [DEPTH] = "depth",   [DEPTH0] = "depth0",
        [PREV] = "previtem",       [NEXT] = "nextitem",
    };
    size_t what = 0;
    while (what < COUNT(names) && !str_eqc(name, names[what]))
        what++;
    *found = what < COUNT(names);
    int64_t n = 0;
    bool more;
    if ((what == LENGTH || what == REVINDEX || what == REVINDEX0) && !loop_length(r, l, &n))
        return false;
    switch (what) {
    case INDEX: *out = jinja_int(l->index0 + 1); break;
    case INDEX0: *out = jinja_int(l->index0); break;
    case REVINDEX: *out = jinja_int(n - l->index0); break;
    case REVINDEX0: *out = jinja_int(n - l->index0 - 1); break;
    case FIRST: *out = jinja_bool(l->index0 == 0); break;
    case LENGTH: *out = jinja_int(n); break;
    case DEPTH: *out = jinja_int(l->depth0 + 1); break;
    case DEPTH0: *out = jinja_int(l->depth0); break;
    case PREV:
        *out = l->index0 == 0 ? jinja_undef_hint(r, "there is no previous item") : l->prev;
        break;
    case LAST:
    case NEXT:
        if (!loop_peek(r, l, out, &more))
            return false;
        if (what == LAST)
            *out = jinja_bool(!more);
        else if (!more)
            *out = jinja_undef_hint(r, "there is no next item");
        break;
    default: break;
    }
    return true;
}

static struct loop *loop_new(struct render *r, const struct node *n, struct scope *s,
                             struct value iterable, int depth0)
{
    struct value ahead;
    struct loop *l = jinja_alloc(r, 1, sizeof *l);
    if (!l || !jinja_list_new(r, KIND_LIST, 0, &ahead))
        return NULL;
    *l = (struct loop){
        .node = n, .scope = s, .ahead = ahead.l, .index0 = -1, .length = -1, .depth0 = depth0};
    if (!n->c && !jinja_has_len(iterable, &l->length))
        l->length = -1;
    return jinja_walk(r, iterable, &l->walk) ? l : NULL;
}

static enum flow run_loop(struct render *r, struct loop *l)
{
    const struct node *n = l->node;
    struct scope *s = NULL;
    enum flow flow = FLOW_NEXT;
    bool none = true; // no round came to its end: Jinja2 then takes the else branch
    while (flow != FLOW_BREAK) {
        struct value v;
        bool more;
        if (!loop_next(r, l, &v, &more))
            return FLOW_FAIL;
        if (!more)
            break;
        l->prev = l->now;
        l->now = v;
        l->index0++;
        if (!s || s->captured)
            s = jinja_scope_new(r, l->scope);
        if (!s)
            return FLOW_FAIL;
        s->n = 0;
        struct value self = {.kind = KIND_LOOP, .loop = l};
        if (!jinja_scope_set(r, s, SYM_LOOP, self) || !jinja_scope_hide(r, s, n->hidden) ||
            !assign(r, n->a, s, v))
            return FLOW_FAIL;
        flow = jinja_exec(r, n->kids[0], s);
        if (flow == FLOW_FAIL)
            return flow;
        if (flow == FLOW_NEXT)
            none = false;
    }
    if (!none || n->n < 2)
        return FLOW_NEXT;
    s = jinja_scope_in(r, l->scope, n->hidden2);
    return s ? jinja_exec(r, n->kids[1], s) : FLOW_FAIL;
}

static enum flow exec_for(struct render *r, const struct node *n, struct scope *s)
{
    struct value iterable;
    if (!jinja_eval(r, n->b, s, &iterable))
        return FLOW_FAIL;
    r->at = n->b->at;
    struct loop *l = loop_new(r, n, s, iterable, 0);
    return l ? run_loop(r, l) : FLOW_FAIL;
}

bool jinja_loop_call(struct render *r, struct loop *l, struct args *args, struct value *out)
{
    if (!l->node->recursive)
        return jinja_fail(r, "the loop is not marked 'recursive'");
    if (args->n_pos != 1 || args->n_kw)
        return jinja_fail(r, "loop() takes one argument, the iterable");
    if (r->depth >= r->limits.depth)
        return jinja_fail_limit(r, "depth");
    struct loop *inner = loop_new(r, l->node, l->scope, args->pos[0], l->depth0 + 1);
    if (!inner || !jinja_enter(r))
        return false;
    struct sink sink, *outer = r->out;
    jinja_sink_init(&sink, r);
    r->out = &sink;
    r->depth++;
    enum flow flow = run_loop(r, inner);
    r->depth--;
    r->out = outer;
    jinja_leave(r);
    return flow != FLOW_FAIL && jinja_sink_end(&sink, out);
}

/* ---- The other statements ---- */

static enum flow exec_if(struct render *r, const struct node *n, struct scope *s)
{
    struct value test;
    for (int i = -1; i < n->n; i++) {
        const struct node *branch = i < 0 ? n : n->kids[i];
        if (!jinja_eval(r, branch->a, s, &test))
            return FLOW_FAIL;
        if (jinja_is_true(test))
            return jinja_exec(r, branch->b, s);
    }
    return n->c ? jinja_exec(r, n->c, s) : FLOW_NEXT;
}

static enum flow exec_set(struct render *r, const struct node *n, struct scope *s)
{
    struct value v;
    return jinja_eval(r, n->b, s, &v) && assign(r, n->a, s, v) ? FLOW_NEXT : FLOW_FAIL;
}

static enum flow exec_set_block(struct render *r, const struct node *n, struct scope *s)
{
    struct value v;
    struct scope *inner = jinja_scope_in(r, s, n->hidden);
    enum flow flow = inner ? jinja_exec_capture(r, n->b, inner, &v) : FLOW_FAIL;
    if (flow != FLOW_NEXT)
        return flow;
    if (n->c && !jinja_eval_filters(r, n->c, inner, v, &v))
        return FLOW_FAIL;
    return assign(r, n->a, s, v) ? FLOW_NEXT : FLOW_FAIL;
}

/* Blocks put out what they made only if it is text: Jinja2 joins it as it is. */
static enum flow put_text(struct render *r, struct value v)
{
    if (v.kind != KIND_STR) {
        jinja_fail(r, "the block's result must be a string, not %s", jinja_type_name(v));
        return FLOW_FAIL;
    }
    jinja_sink_all(r->out, v.s);
    return r->out->failed ? FLOW_FAIL : FLOW_NEXT;
}

static enum flow exec_filter_block(struct render *r, const struct node *n, struct scope *s)
{
    struct value v;
    struct scope *inner = jinja_scope_in(r, s, n->hidden);
    enum flow flow = inner ? jinja_exec_capture(r, n->b, inner, &v) : FLOW_FAIL;
    if (flow != FLOW_NEXT)
        return flow;
    return jinja_eval_filters(r, n->a, inner, v, &v) ? put_text(r, v) : FLOW_FAIL;
}

static bool new_macro(struct render *r, const struct node *n, struct scope *s, struct value name,
                      struct value *out)
{
    struct macro *m = jinja_alloc(r, 1, sizeof *m);
    if (!m)
        return false;
    *m = (struct macro){name, n->macro, s};
    capture(s);
    *out = (struct value){.kind = KIND_MACRO, .m = m};
    return true;
}

static enum flow exec_macro(struct render *r, const struct node *n, struct scope *s)
{
    struct value m;
    return new_macro(r, n, s, r->t->sym_text[n->sym], &m) && jinja_scope_set(r, s, n->sym, m)
               ? FLOW_NEXT
               : FLOW_FAIL;
}

static enum flow exec_call_block(struct render *r, const struct node *n, struct scope *s)
{
    struct value caller, fn, v;
    struct args args;
    const struct node *call = n->a;
    if (!new_macro(r, n, s, jinja_none(), &caller) || !jinja_eval(r, call->a, s, &fn) ||
        !jinja_eval_args(r, call->args, s, &args))
        return FLOW_FAIL;
    // jinja_eval_args leaves room for this one.
    args.kw[args.n_kw++] = (struct kwarg){r->t->sym_text[SYM_CALLER], caller};
    r->at = call->at;
    return jinja_call(r, fn, &args, &v) ? put_text(r, v) : FLOW_FAIL;
}

static enum flow exec_with(struct render *r, const struct node *n, struct scope *s)
{
    struct scope *inner = jinja_scope_in(r, s, n->hidden);
    if (!inner)
        return FLOW_FAIL;
    for (int i = 0; i + 1 < n->n; i += 2) {
        struct value v; // seen from outside: one name does not see another
        if (!jinja_eval(r, n->kids[i + 1], s, &v) || !assign(r, n->kids[i], inner, v))
            return FLOW_FAIL;
    }
    return jinja_exec(r, n->b, inner);
}

static enum flow exec_scope(struct render *r, const struct node *n, struct scope *s)
{
    struct scope *inner = jinja_scope_in(r, s, n->hidden);
    return inner ? jinja_exec(r, n->a, inner) : FLOW_FAIL;
}

static enum flow exec_break(struct render *r, const struct node *n, struct scope *s)
{
    (void)r, (void)s;
    return n->kind == NODE_BREAK ? FLOW_BREAK : FLOW_CONTINUE;
}

static const exec_fn table[] = {
    [NODE_DATA] = exec_data,
    [NODE_PRINT] = exec_print,
    [NODE_BODY] = exec_body,
    [NODE_FOR] = exec_for,
    [NODE_IF] = exec_if,
    [NODE_SET] = exec_set,
    [NODE_SET_BLOCK] = exec_set_block,
    [NODE_MACRO] = exec_macro,
    [NODE_CALL_BLOCK] = exec_call_block,
    [NODE_FILTER_BLOCK] = exec_filter_block,
    [NODE_WITH] = exec_with,
    [NODE_SCOPE] = exec_scope,
    [NODE_BREAK] = exec_break,
    [NODE_CONTINUE] = exec_break,
};

enum flow jinja_exec(struct render *r, const struct node *n, struct scope *s)
{
    r->at = n->at;
    if (!jinja_step(r, 1) || !jinja_enter(r))
        return FLOW_FAIL;
    enum flow flow = table[n->kind](r, n, s);
    jinja_leave(r);
    return flow;
}
