/* jinja/methods.c - methods of everything but strings, and which of them the sandbox refuses. */
#include "jinja/jinja_int.h"

#include <math.h>

#define METHOD(name)                                                                               \
    static bool name(struct render *r, struct value self, struct value *a, struct args *args,      \
                     struct value *out)

/* ---- Lists, tuples, ranges ---- */

METHOD(m_count)
{
    (void)args;
    struct walk w;
    struct value v;
    bool more, same;
    int64_t n = 0;
    if (!jinja_walk(r, self, &w))
        return false;
    for (;;) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_eq(r, v, a[0], &same))
            return false;
        n += same;
    }
    *out = jinja_int(n);
    return true;
}

METHOD(m_index)
{
    (void)args;
    struct value all;
    int64_t from, to;
    if (!jinja_to_list(r, self, KIND_LIST, &all))
        return false;
    int64_t n = (int64_t)all.l->n;
    if (!jinja_arg_int(r, a[1], "start", 0, &from) || !jinja_arg_int(r, a[2], "end", n, &to))
        return false;
    from = from < -n ? 0 : from < 0 ? from + n : from;
    to = to < -n ? 0 : to < 0 ? to + n : to > n ? n : to;
    for (int64_t i = from; i < to; i++) {
        bool same;
        if (!jinja_eq(r, all.l->v[i], a[0], &same))
            return false;
        if (same) {
            *out = jinja_int(i);
            return true;
        }
    }
    return jinja_fail(r, "value is not in the sequence");
}

METHOD(m_copy_list)
{
    (void)a, (void)args;
    return jinja_to_list(r, self, KIND_LIST, out);
}

/* Jinja2's sandbox lets lists pop and clear, alone among what changes them. */
METHOD(m_pop)
{
    (void)args;
    struct list *l = self.l;
    int64_t i, n = (int64_t)l->n;
    if (!jinja_arg_int(r, a[0], "index", -1, &i))
        return false;
    i = i < 0 ? i + n : i;
    if (i < 0 || i >= n)
        return jinja_fail(r, n ? "pop index out of range" : "pop from empty list");
    *out = l->v[i];
    memmove(&l->v[i], &l->v[i + 1], (size_t)(n - i - 1) * sizeof *l->v);
    l->n--;
    return jinja_step(r, (size_t)(n - i) / 8);
}

METHOD(m_clear)
{
    (void)r, (void)a, (void)args;
    self.l->n = 0;
    *out = jinja_none();
    return true;
}

/* ---- Dicts ---- */

METHOD(m_get)
{
    (void)args;
    struct value *found;
    if (!jinja_dict_get(r, self.d, a[0], &found))
        return false;
    *out = found ? *found : a[1].kind == KIND_MISSING ? jinja_none() : a[1];
    return true;
}

static bool view(struct value self, enum view what, struct value *out)
{
    *out = self;
    out->kind = KIND_VIEW;
    out->view = what;
    return true;
}

METHOD(m_keys)
{
    (void)r, (void)a, (void)args;
    return view(self, VIEW_KEYS, out);
}

METHOD(m_values)
{
    (void)r, (void)a, (void)args;
    return view(self, VIEW_VALUES, out);
}

METHOD(m_items)
{
    (void)r, (void)a, (void)args;
    return view(self, VIEW_ITEMS, out);
}

METHOD(m_copy_dict)
{
    (void)a, (void)args;
    struct value copy;
    if (!jinja_dict_new(r, &copy))
        return false;
    for (size_t i = 0; i < self.d->n; i++)
        if (!jinja_dict_set(r, copy.d, self.d->e[i].key, self.d->e[i].val))
            return false;
    *out = copy;
    return true;
}

METHOD(m_fromkeys)
{
    (void)self, (void)args;
    struct walk w;
    struct value v, dict;
    bool more;
    if (!jinja_walk(r, a[0], &w) || !jinja_dict_new(r, &dict))
        return false;
    for (;;) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_dict_set(r, dict.d, v, a[1].kind == KIND_MISSING ? jinja_none() : a[1]))
            return false;
    }
    *out = dict;
    return true;
}

/* ---- Numbers ---- */

METHOD(m_is_integer)
{
    (void)r, (void)a, (void)args;
    *out = jinja_bool(isfinite(self.f) && self.f == floor(self.f));
    return true;
}

METHOD(m_bit_length)
{
    (void)r, (void)a, (void)args;
    int64_t i = 0, n = 0;
    jinja_as_int(self, &i);
    for (uint64_t v = i < 0 ? -(uint64_t)i : (uint64_t)i; v; v >>= 1)
        n++;
    *out = jinja_int(n);
    return true;
}

METHOD(m_conjugate)
{
    (void)r, (void)a, (void)args;
    *out = self;
    return true;
}

/* ---- loop and cycler ---- */

METHOD(m_loop_cycle)
{
    (void)a;
    if (args->n_kw)
        return jinja_fail(r, "loop.cycle takes no keyword arguments");
    if (!args->n_pos)
        return jinja_fail(r, "no items for cycling given");
    *out = args->pos[self.loop->index0 % (int64_t)args->n_pos];
    return true;
}

METHOD(m_loop_changed)
{
    (void)a;
    struct value now;
    bool same = false;
    if (args->n_kw)
        return jinja_fail(r, "loop.changed takes no keyword arguments");
    if (!jinja_list_new(r, KIND_TUPLE, args->n_pos, &now))
        return false;
    for (size_t i = 0; i < args->n_pos; i++)
        if (!jinja_list_push(r, now.l, args->pos[i]))
            return false;
    if (self.loop->changed.kind == KIND_TUPLE && !jinja_eq(r, self.loop->changed, now, &same))
        return false;
    self.loop->changed = now;
    *out = jinja_bool(!same);
    return true;
}

METHOD(m_cycler_next)
{
    (void)r, (void)a, (void)args;
    struct list *l = self.l;
    *out = l->v[l->pos];
    l->pos = (l->pos + 1) % l->n;
    return true;
}

METHOD(m_cycler_reset)
{
    (void)r, (void)a, (void)args;
    self.l->pos = 0;
    *out = jinja_none();
    return true;
}

static const struct {
    enum kind kind;
    struct builtin fn;
} methods[] = {
    {KIND_LIST, {"clear", m_clear, NULL, 0, 0}},
    {KIND_LIST, {"copy", m_copy_list, NULL, 0, 0}},
    {KIND_LIST, {"count", m_count, "/value", 1, 0}},
    {KIND_LIST, {"index", m_index, "/value start stop", 1, 0}},
    {KIND_LIST, {"pop", m_pop, "/index", 0, 0}},
    {KIND_TUPLE, {"count", m_count, "/value", 1, 0}},
    {KIND_TUPLE, {"index", m_index, "/value start stop", 1, 0}},
    {KIND_RANGE, {"count", m_count, "/value", 1, 0}},
    {KIND_RANGE, {"index", m_index, "/value", 1, 0}},
    {KIND_DICT, {"copy", m_copy_dict, NULL, 0, 0}},
    {KIND_DICT, {"fromkeys", m_fromkeys, "/iterable value", 1, 0}},
    {KIND_DICT, {"get", m_get, "/key default", 1, 0}},
    {KIND_DICT, {"items", m_items, NULL, 0, 0}},
    {KIND_DICT, {"keys", m_keys, NULL, 0, 0}},
    {KIND_DICT, {"values", m_values, NULL, 0, 0}},
    {KIND_FLOAT, {"is_integer", m_is_integer, NULL, 0, 0}},
    {KIND_FLOAT, {"conjugate", m_conjugate, NULL, 0, 0}},
    {KIND_INT, {"bit_length", m_bit_length, NULL, 0, 0}},
    {KIND_INT, {"conjugate", m_conjugate, NULL, 0, 0}},
    {KIND_LOOP, {"cycle", m_loop_cycle, "*", 0, 0}},
    {KIND_LOOP, {"changed", m_loop_changed, "*", 0, 0}},
    {KIND_CYCLER, {"next", m_cycler_next, NULL, 0, 0}},
    {KIND_CYCLER, {"reset", m_cycler_reset, NULL, 0, 0}},
};

const struct builtin *jinja_method_find(enum kind kind, str name)
{
    if (kind == KIND_STR)
        return jinja_table_find(jinja_methods_str, jinja_n_methods_str, name);
    for (size_t i = 0; i < COUNT(methods); i++)
        if (methods[i].kind == kind && str_eqc(name, methods[i].fn.name))
            return &methods[i].fn;
    return NULL;
}

bool jinja_method_unsafe(enum kind kind, str name)
{
    static const struct {
        enum kind kind;
        const char *name;
    } unsafe[] = {
        {KIND_LIST, "append"},     {KIND_LIST, "extend"},  {KIND_LIST, "insert"},
        {KIND_LIST, "remove"},     {KIND_LIST, "reverse"}, {KIND_LIST, "sort"},
        {KIND_DICT, "clear"},      {KIND_DICT, "pop"},     {KIND_DICT, "popitem"},
        {KIND_DICT, "setdefault"}, {KIND_DICT, "update"},
    };
    for (size_t i = 0; i < COUNT(unsafe); i++)
        if (unsafe[i].kind == kind && str_eqc(name, unsafe[i].name))
            return true;
    return false;
}
