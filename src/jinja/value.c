/* jinja/value.c - lists, dicts, and what Python lets one ask of any value. */
#include "jinja/jinja_int.h"

#include <math.h>
#include <stdio.h>

#define DICT_LINEAR 8 // up to here a dict is searched entry by entry

const char *jinja_type_name(struct value v)
{
    static const char *const names[] = {
        [KIND_MISSING] = "missing",  [KIND_UNDEFINED] = "Undefined",
        [KIND_NONE] = "NoneType",    [KIND_BOOL] = "bool",
        [KIND_INT] = "int",          [KIND_FLOAT] = "float",
        [KIND_STR] = "str",          [KIND_LIST] = "list",
        [KIND_TUPLE] = "tuple",      [KIND_DICT] = "dict",
        [KIND_VIEW] = "dict view",   [KIND_RANGE] = "range",
        [KIND_ITER] = "generator",   [KIND_NAMESPACE] = "Namespace",
        [KIND_MACRO] = "Macro",      [KIND_BUILTIN] = "builtin_function_or_method",
        [KIND_LOOP] = "LoopContext", [KIND_CYCLER] = "Cycler",
        [KIND_JOINER] = "Joiner",    [KIND_SLICE] = "slice",
    };
    return names[v.kind];
}

/* ---- Undefined ---- */

struct value jinja_undefined(void)
{
    return (struct value){.kind = KIND_UNDEFINED};
}

bool jinja_undef_attr(struct render *r, struct value of, struct value name, struct value *out)
{
    struct why *why = jinja_alloc(r, 1, sizeof *why);
    if (!why)
        return false;
    *why = (struct why){.of = of, .name = name};
    *out = (struct value){.kind = KIND_UNDEFINED, .why = why};
    return true;
}

bool jinja_undef_name(struct render *r, struct value name, struct value *out)
{
    return jinja_undef_attr(r, (struct value){.kind = KIND_MISSING}, name, out);
}

struct value jinja_undef_hint(struct render *r, const char *hint)
{
    struct why *why = arena_calloc(r->a, 1, sizeof *why);
    if (why)
        why->hint = hint;
    return (struct value){.kind = KIND_UNDEFINED, .why = why};
}

bool jinja_fail_undef(struct render *r, struct value v)
{
    const struct why *why = v.why;
    if (!why)
        return jinja_fail(r, "an undefined value was used");
    if (why->hint)
        return jinja_fail(r, "%s", why->hint);
    char name[200] = "?";
    if (why->name.kind == KIND_STR)
        snprintf(name, sizeof name, "'%.*s'", STR_ARG(jinja_text_str(why->name.s)));
    else if (why->name.kind == KIND_INT)
        snprintf(name, sizeof name, "%lld", (long long)why->name.i);
    if (why->of.kind == KIND_MISSING)
        return jinja_fail(r, "%s is undefined", name);
    return jinja_fail(r, "%s object has no %s %s", jinja_type_name(why->of),
                      why->name.kind == KIND_STR ? "attribute" : "element", name);
}

/* ---- Simple questions ---- */

bool jinja_is_number(struct value v)
{
    return v.kind == KIND_INT || v.kind == KIND_BOOL || v.kind == KIND_FLOAT;
}

bool jinja_as_int(struct value v, int64_t *out)
{
    if (v.kind == KIND_INT)
        *out = v.i;
    else if (v.kind == KIND_BOOL)
        *out = v.b;
    else
        return false;
    return true;
}

double jinja_as_double(struct value v)
{
    return v.kind == KIND_FLOAT ? v.f : v.kind == KIND_BOOL ? v.b : (double)v.i;
}

bool jinja_has_len(struct value v, int64_t *n)
{
    switch (v.kind) {
    case KIND_UNDEFINED: *n = 0; return true;
    case KIND_STR: *n = v.s->n_chars; return true;
    case KIND_LIST:
    case KIND_TUPLE: *n = (int64_t)v.l->n; return true;
    case KIND_DICT:
    case KIND_VIEW: *n = (int64_t)v.d->n; return true;
    case KIND_RANGE: *n = (int64_t)v.r->n; return true;
    default: return false;
    }
}

bool jinja_is_true(struct value v)
{
    int64_t n;
    switch (v.kind) {
    case KIND_MISSING:
    case KIND_NONE: return false;
    case KIND_BOOL: return v.b;
    case KIND_INT: return v.i != 0;
    case KIND_FLOAT: return v.f != 0;
    default: return !jinja_has_len(v, &n) || n > 0;
    }
}

bool jinja_same(struct value a, struct value b)
{
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case KIND_NONE: return true;
    case KIND_BOOL: return a.b == b.b;
    case KIND_INT: return a.i == b.i;
    case KIND_FLOAT: return a.f == b.f;
    case KIND_STR: return a.s == b.s || str_eq(jinja_text_str(a.s), jinja_text_str(b.s));
    default: return a.l == b.l && a.view == b.view;
    }
}

/* ---- Lists ---- */

bool jinja_list_new(struct render *r, enum kind kind, size_t cap, struct value *out)
{
    struct list *l = jinja_alloc(r, 1, sizeof *l);
    if (!l)
        return false;
    if (cap) {
        l->v = jinja_alloc(r, cap, sizeof *l->v);
        if (!l->v)
            return false;
        l->cap = cap;
    }
    *out = (struct value){.kind = kind, .l = l};
    return true;
}

bool jinja_list_push(struct render *r, struct list *l, struct value v)
{
    if (!jinja_step(r, 1))
        return false;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 4;
        struct value *more = jinja_alloc(r, cap, sizeof *more);
        if (!more)
            return false;
        if (l->n)
            memcpy(more, l->v, l->n * sizeof *more);
        l->v = more;
        l->cap = cap;
    }
    l->v[l->n++] = v;
    return true;
}

bool jinja_pair(struct render *r, struct value a, struct value b, struct value *out)
{
    return jinja_list_new(r, KIND_TUPLE, 2, out) && jinja_list_push(r, out->l, a) &&
           jinja_list_push(r, out->l, b);
}

/* ---- Dicts ---- */

static uint64_t mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static uint64_t hash_bytes(str s)
{
    uint64_t h = s.n;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        h = mix(h, w);
    }
    for (; i < s.n; i++)
        h = mix(h, (unsigned char)s.p[i]);
    return h;
}

bool jinja_hashable(struct value v)
{
    if (v.kind == KIND_TUPLE) {
        for (size_t i = 0; i < v.l->n; i++)
            if (!jinja_hashable(v.l->v[i]))
                return false;
        return true;
    }
    return v.kind != KIND_LIST && v.kind != KIND_DICT && v.kind != KIND_SLICE &&
           v.kind != KIND_VIEW;
}

static uint64_t hash(struct value v)
{
    switch (v.kind) {
    case KIND_NONE: return 1;
    case KIND_UNDEFINED: return 2;
    case KIND_BOOL: return mix(3, v.b);
    case KIND_INT: return mix(3, (uint64_t)v.i);
    case KIND_FLOAT:
        // Equal numbers hash alike, whatever their type.
        if (v.f >= -9e18 && v.f <= 9e18 && v.f == floor(v.f))
            return mix(3, (uint64_t)(int64_t)v.f);
        return hash_bytes(str_n((const char *)&v.f, sizeof v.f));
    case KIND_STR: return hash_bytes(jinja_text_str(v.s));
    case KIND_TUPLE: {
        uint64_t h = 4;
        for (size_t i = 0; i < v.l->n; i++)
            h = mix(h, hash(v.l->v[i]));
        return h;
    }
    default: return mix(5, (uint64_t)(uintptr_t)v.l);
    }
}

/* Finds the entry; *at is its number or d->n. */
static bool dict_seek(struct render *r, const struct dict *d, struct value k, uint64_t h,
                      size_t *at)
{
    bool same = false;
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++) {
            if (d->e[i].hash != h)
                continue;
            if (!jinja_eq(r, d->e[i].key, k, &same))
                return false;
            if (same) {
                *at = i;
                return true;
            }
        }
        *at = d->n;
        return true;
    }
    for (size_t i = h & (d->n_index - 1);; i = (i + 1) & (d->n_index - 1)) {
        if (!d->index[i])
            break;
        size_t e = d->index[i] - 1;
        if (d->e[e].hash != h)
            continue;
        if (!jinja_eq(r, d->e[e].key, k, &same))
            return false;
        if (same) {
            *at = e;
            return true;
        }
    }
    *at = d->n;
    return true;
}

static void index_add(struct dict *d, size_t e)
{
    size_t i = d->e[e].hash & (d->n_index - 1);
    while (d->index[i])
        i = (i + 1) & (d->n_index - 1);
    d->index[i] = (uint32_t)e + 1;
}

static bool dict_grow(struct render *r, struct dict *d)
{
    size_t cap = d->cap ? d->cap * 2 : 4;
    struct dict_entry *e = jinja_alloc(r, cap, sizeof *e);
    if (!e)
        return false;
    if (d->n)
        memcpy(e, d->e, d->n * sizeof *e);
    d->e = e;
    d->cap = cap;
    if (cap <= DICT_LINEAR)
        return true;
    d->n_index = cap * 2;
    d->index = jinja_alloc(r, d->n_index, sizeof *d->index);
    if (!d->index)
        return false;
    for (size_t i = 0; i < d->n; i++)
        index_add(d, i);
    return true;
}

bool jinja_dict_new(struct render *r, struct value *out)
{
    struct dict *d = jinja_alloc(r, 1, sizeof *d);
    *out = (struct value){.kind = KIND_DICT, .d = d};
    return d != NULL;
}

static bool check_key(struct render *r, struct value k)
{
    if (!jinja_hashable(k))
        return jinja_fail(r, "unhashable type: '%s'", jinja_type_name(k));
    return jinja_step(r, k.kind == KIND_STR ? 1 + k.s->n / 32 : 1);
}

bool jinja_dict_set(struct render *r, struct dict *d, struct value k, struct value v)
{
    size_t at;
    if (!check_key(r, k))
        return false;
    uint64_t h = hash(k);
    if (!dict_seek(r, d, k, h, &at))
        return false;
    if (at < d->n) {
        d->e[at].val = v;
        return true;
    }
    if (d->n == d->cap && !dict_grow(r, d))
        return false;
    d->e[d->n++] = (struct dict_entry){k, v, h};
    if (d->index)
        index_add(d, d->n - 1);
    return true;
}

bool jinja_dict_get(struct render *r, const struct dict *d, struct value k, struct value **found)
{
    size_t at;
    *found = NULL;
    if (!check_key(r, k) || !dict_seek(r, d, k, hash(k), &at))
        return false;
    if (at < d->n)
        *found = &d->e[at].val;
    return true;
}

struct value *jinja_dict_find(const struct dict *d, str key)
{
    struct text t = {.p = key.p, .n = (uint32_t)key.n};
    struct value k = jinja_str(&t);
    uint64_t h = hash(k);
    if (!d->index) {
        for (size_t i = 0; i < d->n; i++)
            if (d->e[i].hash == h && jinja_same(d->e[i].key, k))
                return &d->e[i].val;
        return NULL;
    }
    for (size_t i = h & (d->n_index - 1); d->index[i]; i = (i + 1) & (d->n_index - 1)) {
        struct dict_entry *e = &d->e[d->index[i] - 1];
        if (e->hash == h && jinja_same(e->key, k))
            return &e->val;
    }
    return NULL;
}

/* ---- Equality and order ---- */

static bool eq_lists(struct render *r, const struct list *a, const struct list *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++)
        if (!jinja_step(r, 1) || !jinja_eq(r, a->v[i], b->v[i], out))
            return false;
    return true;
}

static bool eq_dicts(struct render *r, const struct dict *a, const struct dict *b, bool *out)
{
    *out = a->n == b->n;
    for (size_t i = 0; i < a->n && *out; i++) {
        struct value *other;
        if (!jinja_dict_get(r, b, a->e[i].key, &other))
            return false;
        if (!other)
            *out = false;
        else if (!jinja_eq(r, a->e[i].val, *other, out))
            return false;
    }
    return true;
}

static bool eq_ranges(const struct range *a, const struct range *b)
{
    return a->n == b->n && (a->n == 0 || (a->from == b->from && (a->n == 1 || a->step == b->step)));
}

/* 64 bits of mantissa hold any int64 and any double. */
static long double number(struct value v)
{
    int64_t i = 0;
    if (v.kind == KIND_FLOAT)
        return v.f;
    jinja_as_int(v, &i);
    return i;
}

static int number_order(struct value a, struct value b)
{
    long double x = number(a), y = number(b);
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2; // 2: not a number
}

bool jinja_eq(struct render *r, struct value a, struct value b, bool *out)
{
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *out = number_order(a, b) == 0;
        return true;
    }
    *out = false;
    if (a.kind != b.kind)
        return true;
    switch (a.kind) {
    case KIND_UNDEFINED: *out = true; return true;
    case KIND_STR:
        *out = str_eq(jinja_text_str(a.s), jinja_text_str(b.s));
        return jinja_step(r, a.s->n / 64);
    case KIND_RANGE: *out = eq_ranges(a.r, b.r); return true;
    case KIND_LIST:
    case KIND_TUPLE:
    case KIND_DICT:
        if (a.l == b.l) {
            *out = true;
            return true;
        }
        if (!jinja_enter(r) || !jinja_step(r, 1))
            return false;
        bool ok = a.kind == KIND_DICT ? eq_dicts(r, a.d, b.d, out) : eq_lists(r, a.l, b.l, out);
        jinja_leave(r);
        return ok;
    default: *out = jinja_same(a, b); return true;
    }
}

static bool fits(enum op op, int order)
{
    switch (op) {
    case OP_LT: return order < 0;
    case OP_LE: return order <= 0;
    case OP_GT: return order == 1;
    case OP_GE: return order == 0 || order == 1;
    default: return false;
    }
}

/* Lists compare by their first difference. */
static bool order_lists(struct render *r, enum op op, const struct list *a, const struct list *b,
                        bool *out)
{
    for (size_t i = 0; i < a->n && i < b->n; i++) {
        bool same;
        if (!jinja_step(r, 1) || !jinja_eq(r, a->v[i], b->v[i], &same))
            return false;
        if (!same)
            return jinja_order(r, op, a->v[i], b->v[i], out);
    }
    *out = fits(op, a->n < b->n ? -1 : a->n > b->n);
    return true;
}

bool jinja_order(struct render *r, enum op op, struct value a, struct value b, bool *out)
{
    static const char *const names[] = {
        [OP_LT] = "<", [OP_LE] = "<=", [OP_GT] = ">", [OP_GE] = ">="};
    if (a.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, a);
    if (b.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, b);
    if (jinja_is_number(a) && jinja_is_number(b)) {
        int order = number_order(a, b);
        *out = order != 2 && fits(op, order);
        return true;
    }
    if (a.kind == KIND_STR && b.kind == KIND_STR) {
        int order = str_cmp(jinja_text_str(a.s), jinja_text_str(b.s));
        *out = fits(op, order < 0 ? -1 : order > 0);
        return jinja_step(r, a.s->n / 64);
    }
    if (a.kind == b.kind && (a.kind == KIND_LIST || a.kind == KIND_TUPLE)) {
        if (!jinja_enter(r))
            return false;
        bool ok = order_lists(r, op, a.l, b.l, out);
        jinja_leave(r);
        return ok;
    }
    return jinja_fail(r, "'%s' not supported between '%s' and '%s'", names[op], jinja_type_name(a),
                      jinja_type_name(b));
}

bool jinja_contains(struct render *r, struct value item, struct value in, bool *out)
{
    struct value *found;
    if (in.kind == KIND_STR) {
        if (item.kind != KIND_STR)
            return jinja_fail(r, "'in <string>' requires string as left operand, not %s",
                              jinja_type_name(item));
        ptrdiff_t at;
        if (!jinja_text_find(r, jinja_text_str(in.s), item.s, &at))
            return false;
        *out = at >= 0;
        return true;
    }
    if (in.kind == KIND_DICT || (in.kind == KIND_VIEW && in.view == VIEW_KEYS)) {
        if (!jinja_dict_get(r, in.d, item, &found))
            return false;
        *out = found != NULL;
        return true;
    }
    struct walk w;
    if (!jinja_walk(r, in, &w))
        return false;
    for (;;) {
        struct value v;
        bool more;
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_eq(r, v, item, out))
            return false;
        if (*out)
            return true;
    }
    *out = false;
    return true;
}

/* ---- Walking ---- */

bool jinja_walk(struct render *r, struct value of, struct walk *w)
{
    *w = (struct walk){.of = of};
    switch (of.kind) {
    case KIND_UNDEFINED:
    case KIND_STR:
    case KIND_LIST:
    case KIND_TUPLE:
    case KIND_DICT:
    case KIND_VIEW:
    case KIND_RANGE: return true;
    case KIND_ITER: return jinja_iter_fill(r, of.it);
    default: return jinja_fail(r, "'%s' object is not iterable", jinja_type_name(of));
    }
}

static bool next_entry(struct render *r, struct walk *w, struct value *out, bool *more)
{
    const struct dict *d = w->of.d;
    *more = w->pos < d->n;
    if (!*more)
        return true;
    const struct dict_entry *e = &d->e[w->pos++];
    if (w->of.kind == KIND_VIEW && w->of.view == VIEW_ITEMS)
        return jinja_pair(r, e->key, e->val, out);
    *out = w->of.kind == KIND_VIEW && w->of.view == VIEW_VALUES ? e->val : e->key;
    return true;
}

bool jinja_next(struct render *r, struct walk *w, struct value *out, bool *more)
{
    *more = false;
    if (!jinja_step(r, 1))
        return false;
    switch (w->of.kind) {
    case KIND_STR: {
        const struct text *t = w->of.s;
        *more = w->byte < t->n;
        if (!*more)
            return true;
        unsigned char c = (unsigned char)t->p[w->byte];
        size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        w->byte += n;
        return jinja_text_sub(r, t, w->byte - n, n, out);
    }
    case KIND_LIST:
    case KIND_TUPLE:
        *more = w->pos < w->of.l->n;
        if (*more)
            *out = w->of.l->v[w->pos++];
        return true;
    case KIND_DICT:
    case KIND_VIEW: return next_entry(r, w, out, more);
    case KIND_RANGE:
        *more = w->pos < w->of.r->n;
        if (*more)
            *out = jinja_int(w->of.r->from + (int64_t)w->pos++ * w->of.r->step);
        return true;
    case KIND_ITER: {
        struct iter *it = w->of.it;
        *more = it->pos < it->items->n;
        if (*more)
            *out = it->items->v[it->pos++];
        return true;
    }
    default: return true;
    }
}

bool jinja_to_list(struct render *r, struct value of, enum kind kind, struct value *out)
{
    struct walk w;
    struct value list;
    int64_t n = 0;
    if (!jinja_walk(r, of, &w))
        return false;
    jinja_has_len(of, &n);
    if (!jinja_step(r, (size_t)n) || !jinja_list_new(r, kind, (size_t)n, &list))
        return false;
    for (;;) {
        struct value v;
        bool more;
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_list_push(r, list.l, v))
            return false;
    }
    *out = list;
    return true;
}

bool jinja_iter_fill(struct render *r, struct iter *it)
{
    iter_fn fill = it->fill;
    if (!fill)
        return true;
    struct value items;
    it->fill = NULL; // also when it fails: a generator that raised is finished
    if (!jinja_list_new(r, KIND_LIST, 0, &items))
        return false;
    it->items = items.l;
    return fill(r, it, items.l);
}
