/* jinja/eval.c - expressions to values. */
#include "jinja/jinja_int.h"

typedef bool (*eval_fn)(struct render *r, const struct node *n, struct scope *s, struct value *out);

static bool eval_const(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    (void)r, (void)s;
    *out = n->val;
    return true;
}

static bool eval_name(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    for (; s; s = s->up) {
        for (int i = 0; i < s->n; i++) {
            if (s->b[i].sym != n->sym)
                continue;
            if (s->b[i].val.kind == KIND_MISSING) // the scope's own, and not set yet
                return jinja_undef_name(r, r->t->sym_text[n->sym], out);
            *out = s->b[i].val;
            return true;
        }
    }
    return jinja_undef_name(r, r->t->sym_text[n->sym], out);
}

static bool eval_items(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    enum kind kind = n->kind == NODE_LIST ? KIND_LIST : KIND_TUPLE;
    if (!jinja_list_new(r, kind, (size_t)n->n, out))
        return false;
    struct list *l = out->l;
    for (int i = 0; i < n->n; i++) {
        struct value v;
        if (!jinja_eval(r, n->kids[i], s, &v) || !jinja_list_push(r, l, v))
            return false;
    }
    return true;
}

static bool eval_dict(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value dict;
    if (!jinja_dict_new(r, &dict))
        return false;
    for (int i = 0; i + 1 < n->n; i += 2) {
        struct value k, v;
        if (!jinja_eval(r, n->kids[i], s, &k) || !jinja_eval(r, n->kids[i + 1], s, &v))
            return false;
        r->at = n->kids[i]->at;
        if (!jinja_dict_set(r, dict.d, k, v))
            return false;
    }
    *out = dict;
    return true;
}

static bool eval_attr(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value of;
    if (!jinja_eval(r, n->a, s, &of))
        return false;
    r->at = n->at;
    return jinja_attr(r, of, r->t->sym_text[n->sym], out);
}

static bool eval_item(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value of, key;
    if (!jinja_eval(r, n->a, s, &of) || !jinja_eval(r, n->b, s, &key))
        return false;
    r->at = n->at;
    return jinja_item(r, of, key, out);
}

static bool eval_slice(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    const struct node *part[3] = {n->a, n->b, n->c};
    if (!jinja_list_new(r, KIND_SLICE, 3, out))
        return false;
    struct list *l = out->l;
    for (int i = 0; i < 3; i++) {
        struct value v = jinja_none();
        if (part[i] && !jinja_eval(r, part[i], s, &v))
            return false;
        l->v[l->n++] = v;
    }
    return true;
}

/* ---- Calls ---- */

static bool expand_star(struct render *r, const struct node *n, struct scope *s, struct list *pos)
{
    struct value v, all;
    if (!jinja_eval(r, n, s, &v))
        return false;
    r->at = n->at;
    if (!jinja_to_list(r, v, KIND_LIST, &all))
        return false;
    for (size_t i = 0; i < all.l->n; i++)
        if (!jinja_list_push(r, pos, all.l->v[i]))
            return false;
    return true;
}

static bool add_keyword(struct render *r, struct args *args, struct value name, struct value val)
{
    if (name.kind != KIND_STR)
        return jinja_fail(r, "keywords must be strings");
    for (size_t i = 0; i < args->n_kw; i++)
        if (jinja_same(args->kw[i].name, name))
            return jinja_fail(r, "keyword argument '%.*s' given twice",
                              STR_ARG(jinja_text_str(name.s)));
    args->kw[args->n_kw++] = (struct kwarg){name, val};
    return true;
}

bool jinja_eval_args(struct render *r, const struct call_args *in, struct scope *s,
                     struct args *out)
{
    static const struct call_args none = {0};
    *out = (struct args){0};
    if (!in)
        in = &none;
    struct value pos, named = {.kind = KIND_MISSING};
    if (!jinja_list_new(r, KIND_LIST, (size_t)in->n_pos, &pos))
        return false;
    for (int i = 0; i < in->n_pos; i++) {
        struct value v;
        if (!jinja_eval(r, in->pos[i], s, &v) || !jinja_list_push(r, pos.l, v))
            return false;
    }
    if (in->star && !expand_star(r, in->star, s, pos.l))
        return false;
    out->pos = pos.l->v;
    out->n_pos = pos.l->n;

    // One more than needed: a call block adds its caller.
    struct value *vals = jinja_alloc(r, (size_t)in->n_kw + 1, sizeof *vals);
    if (!vals)
        return false;
    for (int i = 0; i < in->n_kw; i++)
        if (!jinja_eval(r, in->kw[i], s, &vals[i]))
            return false;
    size_t extra = 0;
    if (in->star2) {
        if (!jinja_eval(r, in->star2, s, &named))
            return false;
        r->at = in->star2->at;
        if (named.kind != KIND_DICT)
            return jinja_fail(r, "argument after ** must be a mapping, not %s",
                              jinja_type_name(named));
        extra = named.d->n;
    }
    out->kw = jinja_alloc(r, (size_t)in->n_kw + extra + 1, sizeof *out->kw);
    if (!out->kw || !jinja_step(r, extra))
        return false;
    for (int i = 0; i < in->n_kw; i++)
        if (!add_keyword(r, out, r->t->sym_text[in->kw_sym[i]], vals[i]))
            return false;
    for (size_t i = 0; i < extra; i++)
        if (!add_keyword(r, out, named.d->e[i].key, named.d->e[i].val))
            return false;
    return true;
}

static bool eval_call(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value fn;
    struct args args;
    if (!jinja_eval(r, n->a, s, &fn) || !jinja_eval_args(r, n->args, s, &args))
        return false;
    r->at = n->at;
    return jinja_call(r, fn, &args, out);
}

static bool apply(struct render *r, const struct node *n, struct scope *s, struct value input,
                  struct value *out)
{
    struct args *args = jinja_alloc(r, 1, sizeof *args); // a generator keeps it
    if (!args || !jinja_eval_args(r, n->args, s, args))
        return false;
    r->at = n->at;
    if (!n->fn)
        return jinja_fail(r, "no %s named '%.*s'", n->kind == NODE_FILTER ? "filter" : "test",
                          STR_ARG(r->t->syms[n->sym]));
    return jinja_builtin_call(r, n->fn, input, args, out);
}

static bool eval_applied(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value input;
    return jinja_eval(r, n->a, s, &input) && apply(r, n, s, input, out);
}

bool jinja_eval_filters(struct render *r, const struct node *n, struct scope *s, struct value input,
                        struct value *out)
{
    if (n->a && !jinja_eval_filters(r, n->a, s, input, &input))
        return false;
    return jinja_step(r, 1) && apply(r, n, s, input, out);
}

/* ---- Operators ---- */

static bool eval_not(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value v;
    if (!jinja_eval(r, n->a, s, &v))
        return false;
    *out = jinja_bool(!jinja_is_true(v));
    return true;
}

static bool eval_sign(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value v;
    if (!jinja_eval(r, n->a, s, &v))
        return false;
    r->at = n->at;
    return jinja_negate(r, v, n->kind == NODE_NEG, out);
}

static bool eval_logic(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    if (!jinja_eval(r, n->a, s, out))
        return false;
    if (jinja_is_true(*out) == (n->kind == NODE_OR))
        return true;
    return jinja_eval(r, n->b, s, out);
}

static bool eval_binary(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value a, b;
    if (!jinja_eval(r, n->a, s, &a) || !jinja_eval(r, n->b, s, &b))
        return false;
    r->at = n->at;
    return jinja_binary(r, (enum op)n->op, a, b, out);
}

static bool eval_concat(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value parts;
    if (!jinja_list_new(r, KIND_LIST, (size_t)n->n, &parts))
        return false;
    for (int i = 0; i < n->n; i++) {
        struct value v;
        if (!jinja_eval(r, n->kids[i], s, &v) || !jinja_list_push(r, parts.l, v))
            return false;
    }
    r->at = n->at;
    struct sink sink;
    jinja_sink_init(&sink, r);
    for (size_t i = 0; i < parts.l->n; i++)
        jinja_show(&sink, parts.l->v[i]);
    return jinja_sink_end(&sink, out);
}

/* a < b < c: every operand once, up to the first that fails. */
static bool eval_compare(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value a, b;
    bool is = true;
    if (!jinja_eval(r, n->kids[0], s, &a))
        return false;
    for (int i = 1; i < n->n && is; i++) {
        if (!jinja_eval(r, n->kids[i], s, &b))
            return false;
        r->at = n->at;
        if (!jinja_compare(r, (enum op)n->ops[i - 1], a, b, &is))
            return false;
        a = b;
    }
    *out = jinja_bool(is);
    return true;
}

static bool eval_cond(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    struct value test;
    if (!jinja_eval(r, n->a, s, &test))
        return false;
    if (jinja_is_true(test))
        return jinja_eval(r, n->b, s, out);
    if (n->c)
        return jinja_eval(r, n->c, s, out);
    *out = jinja_undef_hint(r, "an inline 'if' without 'else' was false, and its result was used");
    return true;
}

static const eval_fn table[] = {
    [NODE_CONST] = eval_const,     [NODE_NAME] = eval_name,     [NODE_TUPLE] = eval_items,
    [NODE_LIST] = eval_items,      [NODE_DICT] = eval_dict,     [NODE_ATTR] = eval_attr,
    [NODE_ITEM] = eval_item,       [NODE_SLICE] = eval_slice,   [NODE_CALL] = eval_call,
    [NODE_FILTER] = eval_applied,  [NODE_TEST] = eval_applied,  [NODE_NOT] = eval_not,
    [NODE_NEG] = eval_sign,        [NODE_POS] = eval_sign,      [NODE_AND] = eval_logic,
    [NODE_OR] = eval_logic,        [NODE_BINARY] = eval_binary, [NODE_CONCAT] = eval_concat,
    [NODE_COMPARE] = eval_compare, [NODE_COND] = eval_cond,
};

bool jinja_eval(struct render *r, const struct node *n, struct scope *s, struct value *out)
{
    r->at = n->at;
    if (!jinja_step(r, 1) || !jinja_enter(r))
        return false;
    bool ok = table[n->kind](r, n, s, out);
    jinja_leave(r);
    return ok;
}
