/* jinja/call.c - calling built-ins, macros and recursive loops. */
#include "jinja/jinja_int.h"

/* ---- Built-ins ---- */

struct binder {
    struct render *r;
    const struct builtin *fn;
    str names[JINJA_SLOTS];
    size_t n;
    bool by_position; // no keywords
};

static void read_params(struct binder *b)
{
    str rest = str_c(b->fn->params), name;
    if (rest.n && rest.p[0] == '/') {
        b->by_position = true;
        rest = str_from(rest, 1);
    }
    while (rest.n && str_cut(&rest, ' ', &name))
        b->names[b->n++] = name;
}

static bool bind_keyword(struct binder *b, const struct kwarg *kw, struct value *a)
{
    str name = jinja_text_str(kw->name.s);
    for (size_t i = 0; i < b->n && !b->by_position; i++) {
        if (!str_eq(b->names[i], name))
            continue;
        if (a[i].kind != KIND_MISSING)
            return jinja_fail(b->r, "%s: argument '%.*s' given twice", b->fn->name, STR_ARG(name));
        a[i] = kw->val;
        return true;
    }
    return jinja_fail(b->r, "%s: unexpected keyword argument '%.*s'", b->fn->name, STR_ARG(name));
}

bool jinja_builtin_call(struct render *r, const struct builtin *fn, struct value self,
                        struct args *args, struct value *out)
{
    struct value a[JINJA_SLOTS] = {0};
    struct binder b = {.r = r, .fn = fn};
    if (fn->params && fn->params[0] == '*')
        return fn->fn(r, self, a, args, out);
    if (fn->params)
        read_params(&b);
    if (args->n_pos > b.n)
        return jinja_fail(r, "%s takes at most %zu arguments, %zu given", fn->name, b.n,
                          args->n_pos);
    for (size_t i = 0; i < args->n_pos; i++)
        a[i] = args->pos[i];
    for (size_t i = 0; i < args->n_kw; i++)
        if (!bind_keyword(&b, &args->kw[i], a))
            return false;
    for (int i = 0; i < fn->need; i++)
        if (a[i].kind == KIND_MISSING)
            return jinja_fail(r, "%s: argument '%.*s' is missing", fn->name, STR_ARG(b.names[i]));
    return fn->fn(r, self, a, args, out);
}

static bool call_joiner(struct render *r, struct list *l, struct value *out)
{
    if (l->pos++)
        *out = l->v[0];
    else
        return jinja_text_make(r, STR(""), true, out);
    return true;
}

/* Methods of escaped strings escape the strings they are given and make escaped ones. */
static bool call_bound(struct render *r, const struct bound *b, struct args *args,
                       struct value *out)
{
    static const char *const as_given[] = {
        "split",    "rsplit", "splitlines", "join",  "format", "format_map", "startswith",
        "endswith", "find",   "rfind",      "index", "rindex", "count"};
    struct value self = b->self;
    struct args escaped = *args;
    if (self.kind != KIND_STR || !self.s->markup)
        return jinja_builtin_call(r, b->fn, self, args, out);
    bool plain = false;
    for (size_t i = 0; i < COUNT(as_given); i++)
        plain |= strcmp(b->fn->name, as_given[i]) == 0;
    if (!plain && args->n_pos) {
        escaped.pos = jinja_alloc(r, args->n_pos, sizeof *escaped.pos);
        if (!escaped.pos)
            return false;
        for (size_t i = 0; i < args->n_pos; i++) {
            escaped.pos[i] = args->pos[i];
            if (args->pos[i].kind == KIND_STR && !jinja_escape(r, args->pos[i], &escaped.pos[i]))
                return false;
        }
    }
    return jinja_builtin_call(r, b->fn, self, &escaped, out) && jinja_mark_like(r, self, out);
}

bool jinja_call(struct render *r, struct value fn, struct args *args, struct value *out)
{
    switch (fn.kind) {
    case KIND_BUILTIN: return call_bound(r, fn.fn, args, out);
    case KIND_MACRO: return jinja_macro_call(r, fn.m, args, out);
    case KIND_LOOP: return jinja_loop_call(r, fn.loop, args, out);
    case KIND_JOINER: return call_joiner(r, fn.l, out);
    case KIND_UNDEFINED: return jinja_fail_undef(r, fn);
    default: return jinja_fail(r, "'%s' object is not callable", jinja_type_name(fn));
    }
}

/* ---- Macros ---- */

/* Takes the keyword argument of that name; the taken are marked by a KIND_MISSING name. */
static bool take_keyword(struct render *r, struct args *args, int sym, struct value *out)
{
    for (size_t i = 0; i < args->n_kw; i++) {
        if (args->kw[i].name.kind == KIND_STR &&
            jinja_same(args->kw[i].name, r->t->sym_text[sym])) {
            *out = args->kw[i].val;
            args->kw[i].name.kind = KIND_MISSING;
            return true;
        }
    }
    return false;
}

static bool bind_parameters(struct render *r, const struct signature *sig, struct args *args,
                            struct scope *s)
{
    for (int i = 0; i < sig->n; i++) {
        struct value v;
        if ((size_t)i < args->n_pos)
            v = args->pos[i];
        else if (!take_keyword(r, args, sig->sym[i], &v))
            v.kind = KIND_MISSING;
        if (!jinja_scope_set(r, s, sig->sym[i], v))
            return false;
    }
    return true;
}

static bool bind_defaults(struct render *r, const struct signature *sig, struct scope *s)
{
    for (int i = 0; i < sig->n; i++) {
        if (s->b[i].val.kind != KIND_MISSING)
            continue;
        int d = i - (sig->n - sig->n_defaults);
        struct value v = jinja_undef_hint(r, "a parameter of the macro was not given");
        if (d >= 0 && !jinja_eval(r, sig->defaults[d], s, &v))
            return false;
        s->b[i].val = v;
    }
    return true;
}

/* caller, kwargs and varargs, where the macro's body mentions them. */
static bool bind_special(struct render *r, struct macro *m, struct args *args, struct scope *s)
{
    const struct signature *sig = m->sig;
    struct value v;
    if (sig->wants_caller && !sig->takes_caller) {
        if (!take_keyword(r, args, SYM_CALLER, &v) || v.kind == KIND_NONE)
            v = jinja_undef_hint(r, "the macro was not called with a call block");
        if (!jinja_scope_set(r, s, SYM_CALLER, v))
            return false;
    }
    if (sig->wants_kwargs && !jinja_dict_new(r, &v))
        return false;
    for (size_t i = 0; i < args->n_kw; i++) {
        if (args->kw[i].name.kind == KIND_MISSING)
            continue;
        if (!sig->wants_kwargs)
            return jinja_fail(r, "macro takes no keyword argument '%.*s'",
                              STR_ARG(jinja_text_str(args->kw[i].name.s)));
        if (!jinja_dict_set(r, v.d, args->kw[i].name, args->kw[i].val))
            return false;
    }
    if (sig->wants_kwargs && !jinja_scope_set(r, s, SYM_KWARGS, v))
        return false;

    size_t n = (size_t)sig->n;
    if (!sig->wants_varargs) {
        if (args->n_pos > n)
            return jinja_fail(r, "macro takes not more than %zu arguments", n);
        return true;
    }
    if (!jinja_list_new(r, KIND_TUPLE, 0, &v))
        return false;
    for (size_t i = n; i < args->n_pos; i++)
        if (!jinja_list_push(r, v.l, args->pos[i]))
            return false;
    return jinja_scope_set(r, s, SYM_VARARGS, v);
}

bool jinja_macro_call(struct render *r, struct macro *m, struct args *args, struct value *out)
{
    if (r->depth >= r->limits.depth)
        return jinja_fail_limit(r, "depth");
    struct scope *s = jinja_scope_new(r, m->scope);
    // Keywords are taken from a copy: the arguments may be used again (map with a macro's name).
    struct args own = *args;
    own.kw = own.n_kw ? jinja_alloc(r, own.n_kw, sizeof *own.kw) : NULL;
    if (!s || (own.n_kw && !own.kw))
        return false;
    if (own.n_kw)
        memcpy(own.kw, args->kw, own.n_kw * sizeof *own.kw);

    r->depth++;
    bool ok = bind_parameters(r, m->sig, &own, s) && bind_special(r, m, &own, s) &&
              jinja_scope_hide(r, s, m->sig->hidden) && bind_defaults(r, m->sig, s) &&
              jinja_exec_capture(r, m->sig->body, s, out) != FLOW_FAIL;
    r->depth--;
    return ok;
}
