/* jinja/filters_seq.c - filters over sequences.  Those that are generators in Jinja2 are so here:
 * nothing happens before somebody walks the result, and it can be walked once. */
#include "jinja/jinja_int.h"

/* ---- Sorting ---- */

struct keyed {
    struct value key, val;
};

/* Stable merge sort; `reverse` keeps the order of equals, as Python's does. */
static bool sort_keyed(struct render *r, struct keyed *v, struct keyed *tmp, size_t n, bool reverse)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            size_t mid = size_min(from + width, n), end = size_min(from + 2 * width, n);
            size_t i = from, k = mid, o = from;
            while (i < mid && k < end) {
                bool later;
                struct value x = reverse ? v[i].key : v[k].key, y = reverse ? v[k].key : v[i].key;
                if (!jinja_step(r, 1) || !jinja_order(r, OP_LT, x, y, &later))
                    return false;
                tmp[o++] = later ? v[k++] : v[i++];
            }
            while (i < mid)
                tmp[o++] = v[i++];
            while (k < end)
                tmp[o++] = v[k++];
        }
        memcpy(v, tmp, n * sizeof *v);
    }
    return true;
}

/* Items of `of` with their keys: what is at one path, or (n_paths > 0) lists of what is at several.
 * Lists compare by their first difference, so that equal keys need no order. */
static bool key_items(struct render *r, struct value of, const struct path *paths, size_t n_paths,
                      struct keyed **out, size_t *n)
{
    struct value all;
    if (!jinja_to_list(r, of, KIND_LIST, &all))
        return false;
    *n = all.l->n;
    // The second half is the merge sort's scratch.
    *out = jinja_alloc(r, *n * 2 + 1, sizeof **out);
    if (!*out)
        return false;
    for (size_t i = 0; i < *n; i++) {
        struct value key, part;
        if (n_paths == 0) {
            if (!jinja_path_get(r, paths, all.l->v[i], &key))
                return false;
        } else {
            if (!jinja_list_new(r, KIND_LIST, n_paths, &key))
                return false;
            for (size_t k = 0; k < n_paths; k++)
                if (!jinja_path_get(r, &paths[k], all.l->v[i], &part) ||
                    !jinja_list_push(r, key.l, part))
                    return false;
        }
        (*out)[i] = (struct keyed){key, all.l->v[i]};
    }
    return true;
}

static bool values_of(struct render *r, const struct keyed *v, size_t n, struct value *out)
{
    if (!jinja_list_new(r, KIND_LIST, n, out))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!jinja_list_push(r, out->l, v[i].val))
            return false;
    return true;
}

#define SORT_PATHS 8

/* Python takes any integer for `reverse`, and nothing else. */
static bool read_reverse(struct render *r, struct value v, bool *out)
{
    int64_t i = 0;
    if (v.kind != KIND_MISSING && !jinja_as_int(v, &i))
        return jinja_fail(r, "'%s' object cannot be interpreted as an integer", jinja_type_name(v));
    *out = i != 0;
    return true;
}

static bool f_sort(struct render *r, struct value self, struct value *a, struct args *args,
                   struct value *out)
{
    (void)args;
    bool reverse;
    struct path paths[SORT_PATHS];
    size_t n_paths = 0, n;
    bool fold = !jinja_is_true(a[1]);
    struct keyed *v;
    if (a[2].kind == KIND_STR) {
        const struct text *t = a[2].s;
        for (size_t from = 0, i = 0; i <= t->n; i++) {
            struct value part;
            if (i < t->n && t->p[i] != ',')
                continue;
            if (n_paths == SORT_PATHS)
                return jinja_fail_limit(r, "sort attributes");
            if (!jinja_text_sub(r, t, from, i - from, &part) ||
                !jinja_path_make(r, part, fold, &paths[n_paths++]))
                return false;
            from = i + 1;
        }
    } else if (!jinja_path_make(r, a[2], fold, &paths[n_paths++])) {
        return false;
    }
    return key_items(r, self, paths, n_paths, &v, &n) && read_reverse(r, a[0], &reverse) &&
           sort_keyed(r, v, v + n, n, reverse) && values_of(r, v, n, out);
}

static bool f_dictsort(struct render *r, struct value self, struct value *a, struct args *args,
                       struct value *out)
{
    (void)args;
    struct path path;
    struct keyed *v;
    size_t n;
    bool reverse;
    str by = a[1].kind == KIND_STR ? jinja_text_str(a[1].s) : STR("key");
    bool by_key = a[1].kind == KIND_MISSING || str_eqc(by, "key");
    if (!by_key && !(a[1].kind == KIND_STR && str_eqc(by, "value")))
        return jinja_fail(r, "dictsort can sort by \"key\" or \"value\" only");
    if (self.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, self);
    if (self.kind != KIND_DICT)
        return jinja_fail(r, "'%s' object has no attribute 'items'", jinja_type_name(self));
    struct value items = self;
    items.kind = KIND_VIEW;
    items.view = VIEW_ITEMS;
    return jinja_path_make(r, jinja_int(by_key ? 0 : 1), !jinja_is_true(a[0]), &path) &&
           key_items(r, items, &path, 0, &v, &n) && read_reverse(r, a[2], &reverse) &&
           sort_keyed(r, v, v + n, n, reverse) && values_of(r, v, n, out);
}

static bool f_groupby(struct render *r, struct value self, struct value *a, struct args *args,
                      struct value *out)
{
    (void)args;
    struct path path, shown;
    struct keyed *v;
    size_t n;
    bool fold = !jinja_is_true(a[2]);
    if (!jinja_path_make(r, a[0], fold, &path) || !jinja_path_make(r, a[0], false, &shown))
        return false;
    if (a[1].kind != KIND_NONE)
        path.missing = shown.missing = a[1];
    if (!key_items(r, self, &path, 0, &v, &n) || !sort_keyed(r, v, v + n, n, false) ||
        !jinja_list_new(r, KIND_LIST, 0, out))
        return false;
    struct list *groups = out->l;
    for (size_t i = 0; i < n;) {
        struct value key, items, pair;
        bool same = true;
        if (!jinja_list_new(r, KIND_LIST, 0, &items) || !jinja_path_get(r, &shown, v[i].val, &key))
            return false;
        size_t k = i;
        while (k < n && same) {
            if (!jinja_list_push(r, items.l, v[k++].val))
                return false;
            if (k < n && !jinja_eq(r, v[i].key, v[k].key, &same))
                return false;
        }
        if (!jinja_pair(r, fold ? key : v[i].key, items, &pair))
            return false;
        pair.l->group = true;
        if (!jinja_list_push(r, groups, pair))
            return false;
        i = k;
    }
    return true;
}

enum { TAG_MIN, TAG_MAX };

static bool f_extreme(struct render *r, struct value self, struct value *a, enum op op,
                      struct value *out)
{
    struct path path;
    struct walk w;
    struct value best_key = {.kind = KIND_MISSING}, key, v;
    bool more, better;
    if (!jinja_path_make(r, a[1], !jinja_is_true(a[0]), &path) || !jinja_walk(r, self, &w))
        return false;
    *out = jinja_undef_hint(r, "No aggregated item, sequence was empty.");
    for (;;) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            return true;
        if (!jinja_path_get(r, &path, v, &key))
            return false;
        better = best_key.kind == KIND_MISSING;
        if (!better && !jinja_order(r, op, key, best_key, &better))
            return false;
        if (better) {
            best_key = key;
            *out = v;
        }
    }
}

static bool f_min(struct render *r, struct value self, struct value *a, struct args *args,
                  struct value *out)
{
    (void)args;
    return f_extreme(r, self, a, OP_LT, out);
}

static bool f_max(struct render *r, struct value self, struct value *a, struct args *args,
                  struct value *out)
{
    (void)args;
    return f_extreme(r, self, a, OP_GT, out);
}

/* ---- One result ---- */

static bool f_length(struct render *r, struct value self, struct value *a, struct args *args,
                     struct value *out)
{
    (void)a, (void)args;
    int64_t n;
    bool found;
    if (self.kind == KIND_LOOP)
        return jinja_loop_attr(r, self.loop, STR("length"), out, &found);
    if (!jinja_has_len(self, &n))
        return jinja_fail(r, "object of type '%s' has no len()", jinja_type_name(self));
    *out = jinja_int(n);
    return true;
}

static bool f_list(struct render *r, struct value self, struct value *a, struct args *args,
                   struct value *out)
{
    (void)a, (void)args;
    return jinja_to_list(r, self, KIND_LIST, out);
}

static bool f_first(struct render *r, struct value self, struct value *a, struct args *args,
                    struct value *out)
{
    (void)a, (void)args;
    struct walk w;
    bool more;
    if (!jinja_walk(r, self, &w) || !jinja_next(r, &w, out, &more))
        return false;
    if (!more)
        *out = jinja_undef_hint(r, "No first item, sequence was empty.");
    return true;
}

static bool reversible(struct value v)
{
    int64_t n;
    return jinja_has_len(v, &n);
}

static bool f_last(struct render *r, struct value self, struct value *a, struct args *args,
                   struct value *out)
{
    (void)a, (void)args;
    struct value all;
    if (!reversible(self))
        return jinja_fail(r, "'%s' object is not reversible", jinja_type_name(self));
    if (self.kind == KIND_STR || self.kind == KIND_LIST || self.kind == KIND_TUPLE) {
        if (!jinja_item(r, self, jinja_int(-1), out))
            return false;
    } else {
        if (!jinja_to_list(r, self, KIND_LIST, &all) || !jinja_item(r, all, jinja_int(-1), out))
            return false;
    }
    if (!jinja_is_true(self))
        *out = jinja_undef_hint(r, "No last item, sequence was empty.");
    return true;
}

static bool f_join(struct render *r, struct value self, struct value *a, struct args *args,
                   struct value *out)
{
    (void)args;
    struct path path;
    struct walk w;
    struct value between = {.kind = KIND_MISSING}, v;
    struct sink s;
    bool more;
    if (a[0].kind != KIND_MISSING && !jinja_to_str(r, a[0], &between))
        return false;
    if (!jinja_path_make(r, a[1], false, &path) || !jinja_walk(r, self, &w))
        return false;
    jinja_sink_init(&s, r);
    for (bool first = true;; first = false) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_path_get(r, &path, v, &v))
            return false;
        if (!first && between.kind == KIND_STR)
            jinja_sink_all(&s, between.s);
        jinja_show(&s, v);
    }
    return jinja_sink_end(&s, out);
}

static bool f_sum(struct render *r, struct value self, struct value *a, struct args *args,
                  struct value *out)
{
    (void)args;
    struct path path;
    struct walk w;
    struct value v, total = a[1].kind == KIND_MISSING ? jinja_int(0) : a[1];
    bool more;
    if (!jinja_path_make(r, a[0], false, &path) || !jinja_walk(r, self, &w))
        return false;
    if (total.kind == KIND_STR)
        return jinja_fail(r, "sum() can't sum strings");
    for (;;) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_path_get(r, &path, v, &v) || !jinja_binary(r, OP_ADD, total, v, &total))
            return false;
    }
    *out = total;
    return true;
}

static bool f_random(struct render *r, struct value self, struct value *a, struct args *args,
                     struct value *out)
{
    (void)self, (void)a, (void)args, (void)out;
    return jinja_fail(r, "random is not available: a render is a function of its input");
}

/* ---- Generators ---- */

static bool new_iter(struct render *r, const char *name, iter_fn fill, struct value self,
                     struct args *args, struct value *out)
{
    struct iter *it = jinja_alloc(r, 1, sizeof *it);
    if (!it)
        return false;
    *it = (struct iter){.fill = fill, .self = self, .args = args, .name = name};
    *out = (struct value){.kind = KIND_ITER, .it = it};
    return true;
}

/* Keeps the bound arguments for later. */
static bool keep_args(struct render *r, const struct value *a, size_t n, struct args **out)
{
    struct args *kept = jinja_alloc(r, 1, sizeof *kept);
    if (!kept)
        return false;
    kept->pos = jinja_alloc(r, n, sizeof *kept->pos);
    if (!kept->pos)
        return false;
    memcpy(kept->pos, a, n * sizeof *a);
    kept->n_pos = n;
    *out = kept;
    return true;
}

static bool fill_reverse(struct render *r, struct iter *it, struct list *out)
{
    struct value all;
    if (!jinja_to_list(r, it->self, KIND_LIST, &all))
        return false;
    for (size_t i = all.l->n; i > 0; i--)
        if (!jinja_list_push(r, out, all.l->v[i - 1]))
            return false;
    return true;
}

static bool f_reverse(struct render *r, struct value self, struct value *a, struct args *args,
                      struct value *out)
{
    (void)a;
    if (self.kind == KIND_STR) {
        struct value step = {.kind = KIND_SLICE};
        if (!jinja_list_new(r, KIND_SLICE, 3, &step))
            return false;
        step.l->v[0] = step.l->v[1] = jinja_none();
        step.l->v[2] = jinja_int(-1);
        return jinja_item(r, self, step, out);
    }
    if (reversible(self))
        return new_iter(r, "reversed", fill_reverse, self, args, out);
    struct iter all = {.self = self};
    return jinja_list_new(r, KIND_LIST, 0, out) && fill_reverse(r, &all, out->l);
}

static bool fill_items(struct render *r, struct iter *it, struct list *out)
{
    struct value view = it->self, all;
    if (view.kind == KIND_UNDEFINED)
        return true;
    if (view.kind != KIND_DICT)
        return jinja_fail(r, "Can only get item pairs from a mapping.");
    view.kind = KIND_VIEW;
    view.view = VIEW_ITEMS;
    if (!jinja_to_list(r, view, KIND_LIST, &all))
        return false;
    *out = *all.l;
    return true;
}

static bool f_items(struct render *r, struct value self, struct value *a, struct args *args,
                    struct value *out)
{
    (void)a;
    return new_iter(r, "do_items", fill_items, self, args, out);
}

static bool fill_unique(struct render *r, struct iter *it, struct list *out)
{
    struct path path;
    struct walk w;
    struct value seen, v, key, *found;
    bool more;
    const struct value *a = it->args->pos;
    if (!jinja_path_make(r, a[1], !jinja_is_true(a[0]), &path) || !jinja_walk(r, it->self, &w) ||
        !jinja_dict_new(r, &seen))
        return false;
    for (;;) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            return true;
        if (!jinja_path_get(r, &path, v, &key) || !jinja_dict_get(r, seen.d, key, &found))
            return false;
        if (!found &&
            (!jinja_dict_set(r, seen.d, key, jinja_none()) || !jinja_list_push(r, out, v)))
            return false;
    }
}

static bool f_unique(struct render *r, struct value self, struct value *a, struct args *args,
                     struct value *out)
{
    return keep_args(r, a, 2, &args) && new_iter(r, "do_unique", fill_unique, self, args, out);
}

static bool fill_batch(struct render *r, struct iter *it, struct list *out)
{
    const struct value *a = it->args->pos;
    struct walk w;
    struct value part = {.kind = KIND_MISSING}, v;
    int64_t size;
    bool more, same;
    if (!jinja_walk(r, it->self, &w))
        return false;
    for (;;) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (part.kind == KIND_MISSING && !jinja_list_new(r, KIND_LIST, 0, &part))
            return false;
        if (!jinja_eq(r, jinja_int((int64_t)part.l->n), a[0], &same))
            return false;
        if (same && (!jinja_list_push(r, out, part) || !jinja_list_new(r, KIND_LIST, 0, &part)))
            return false;
        if (!jinja_list_push(r, part.l, v))
            return false;
    }
    if (part.kind == KIND_MISSING || !part.l->n)
        return true;
    if (a[1].kind != KIND_MISSING && a[1].kind != KIND_NONE) {
        if (!jinja_arg_int(r, a[0], "linecount", 0, &size))
            return false;
        while ((int64_t)part.l->n < size)
            if (!jinja_list_push(r, part.l, a[1]))
                return false;
    }
    return jinja_list_push(r, out, part);
}

static bool f_batch(struct render *r, struct value self, struct value *a, struct args *args,
                    struct value *out)
{
    return keep_args(r, a, 2, &args) && new_iter(r, "do_batch", fill_batch, self, args, out);
}

static bool fill_slice(struct render *r, struct iter *it, struct list *out)
{
    const struct value *a = it->args->pos;
    struct value all;
    int64_t slices;
    if (!jinja_to_list(r, it->self, KIND_LIST, &all) ||
        !jinja_arg_int(r, a[0], "slices", 0, &slices))
        return false;
    if (slices == 0)
        return jinja_fail(r, "integer division or modulo by zero");
    int64_t n = (int64_t)all.l->n, at = 0;
    for (int64_t i = 0; i < slices; i++) {
        struct value part;
        bool longer = i < n % slices;
        if (!jinja_list_new(r, KIND_LIST, 0, &part))
            return false;
        for (int64_t k = n / slices + longer; k > 0; k--)
            if (!jinja_list_push(r, part.l, all.l->v[at++]))
                return false;
        bool fill = a[1].kind != KIND_MISSING && a[1].kind != KIND_NONE && !longer;
        if ((fill && !jinja_list_push(r, part.l, a[1])) || !jinja_list_push(r, out, part))
            return false;
    }
    return true;
}

static bool f_slice(struct render *r, struct value self, struct value *a, struct args *args,
                    struct value *out)
{
    return keep_args(r, a, 2, &args) && new_iter(r, "do_slice", fill_slice, self, args, out);
}

/* The rest of the arguments behind the first n. */
static struct args rest_of(const struct args *args, size_t n)
{
    struct args rest = *args;
    rest.pos += n;
    rest.n_pos -= n;
    return rest;
}

static bool named(struct render *r, struct value name, const char *what, bool filter,
                  const struct builtin **out)
{
    if (name.kind != KIND_STR)
        return jinja_fail(r, "the name of a %s must be a string", what);
    str s = jinja_text_str(name.s);
    *out = filter ? jinja_filter_find(s) : jinja_test_find(s);
    return *out || jinja_fail(r, "no %s named '%.*s'", what, STR_ARG(s));
}

/* map(attribute=..., default=...) */
static bool map_path(struct render *r, struct iter *it, struct path *path)
{
    struct value attribute = {.kind = KIND_MISSING}, missing = {.kind = KIND_MISSING};
    for (size_t i = 0; i < it->args->n_kw; i++) {
        str name = jinja_text_str(it->args->kw[i].name.s);
        if (str_eqc(name, "attribute"))
            attribute = it->args->kw[i].val;
        else if (str_eqc(name, "default"))
            missing = it->args->kw[i].val;
        else
            return jinja_fail(r, "map: unexpected keyword argument '%.*s'", STR_ARG(name));
    }
    if (attribute.kind == KIND_MISSING)
        return jinja_fail(r, "map requires a filter argument");
    if (!jinja_path_make(r, attribute, false, path))
        return false;
    if (missing.kind != KIND_NONE)
        path->missing = missing;
    return true;
}

static bool fill_map(struct render *r, struct iter *it, struct list *out)
{
    const struct builtin *fn = NULL;
    struct path path;
    struct walk w;
    struct args rest = {0};
    if (!jinja_is_true(it->self))
        return true;
    if (it->args->n_pos == 0) {
        if (!map_path(r, it, &path))
            return false;
    } else {
        rest = rest_of(it->args, 1);
        if (!named(r, it->args->pos[0], "filter", true, &fn))
            return false;
    }
    if (!jinja_walk(r, it->self, &w))
        return false;
    for (;;) {
        struct value v;
        bool more;
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            return true;
        bool ok = fn ? jinja_builtin_call(r, fn, v, &rest, &v) : jinja_path_get(r, &path, v, &v);
        if (!ok || !jinja_list_push(r, out, v))
            return false;
    }
}

static bool f_map(struct render *r, struct value self, struct value *a, struct args *args,
                  struct value *out)
{
    (void)a;
    return new_iter(r, "sync_do_map", fill_map, self, args, out);
}

static bool fill_select(struct render *r, struct iter *it, struct list *out)
{
    const struct builtin *fn = NULL;
    struct path path = {.missing = {.kind = KIND_MISSING}};
    struct walk w;
    size_t used = it->attr;
    if (!jinja_is_true(it->self))
        return true;
    if (it->attr) {
        if (it->args->n_pos == 0)
            return jinja_fail(r, "Missing parameter for attribute name");
        if (!jinja_path_make(r, it->args->pos[0], false, &path))
            return false;
    }
    struct args rest = *it->args;
    if (it->args->n_pos > used) {
        if (!named(r, it->args->pos[used], "test", false, &fn))
            return false;
        rest = rest_of(it->args, used + 1);
    }
    if (!jinja_walk(r, it->self, &w))
        return false;
    for (;;) {
        struct value item, v;
        bool more;
        if (!jinja_next(r, &w, &item, &more))
            return false;
        if (!more)
            return true;
        if (!jinja_path_get(r, &path, item, &v) || (fn && !jinja_builtin_call(r, fn, v, &rest, &v)))
            return false;
        if (jinja_is_true(v) != it->negate && !jinja_list_push(r, out, item))
            return false;
    }
}

static bool new_select(struct render *r, struct value self, struct args *args, bool negate,
                       bool attr, struct value *out)
{
    if (!new_iter(r, "select_or_reject", fill_select, self, args, out))
        return false;
    out->it->negate = negate;
    out->it->attr = attr;
    return true;
}

static bool f_select(struct render *r, struct value self, struct value *a, struct args *args,
                     struct value *out)
{
    (void)a;
    return new_select(r, self, args, false, false, out);
}

static bool f_reject(struct render *r, struct value self, struct value *a, struct args *args,
                     struct value *out)
{
    (void)a;
    return new_select(r, self, args, true, false, out);
}

static bool f_selectattr(struct render *r, struct value self, struct value *a, struct args *args,
                         struct value *out)
{
    (void)a;
    return new_select(r, self, args, false, true, out);
}

static bool f_rejectattr(struct render *r, struct value self, struct value *a, struct args *args,
                         struct value *out)
{
    (void)a;
    return new_select(r, self, args, true, true, out);
}

const struct builtin jinja_filters_seq[] = {
    {"batch", f_batch, "linecount fill_with", 1, 0},
    {"count", f_length, NULL, 0, 0},
    {"dictsort", f_dictsort, "case_sensitive by reverse", 0, 0},
    {"first", f_first, NULL, 0, 0},
    {"groupby", f_groupby, "attribute default case_sensitive", 1, 0},
    {"items", f_items, NULL, 0, 0},
    {"join", f_join, "d attribute", 0, 0},
    {"last", f_last, NULL, 0, 0},
    {"length", f_length, NULL, 0, 0},
    {"list", f_list, NULL, 0, 0},
    {"map", f_map, "*", 0, 0},
    {"max", f_max, "case_sensitive attribute", 0, 0},
    {"min", f_min, "case_sensitive attribute", 0, 0},
    {"random", f_random, NULL, 0, 0},
    {"reject", f_reject, "*", 0, 0},
    {"rejectattr", f_rejectattr, "*", 0, 0},
    {"reverse", f_reverse, NULL, 0, 0},
    {"select", f_select, "*", 0, 0},
    {"selectattr", f_selectattr, "*", 0, 0},
    {"slice", f_slice, "slices fill_with", 1, 0},
    {"sort", f_sort, "reverse case_sensitive attribute", 0, 0},
    {"sum", f_sum, "attribute start", 0, 0},
    {"unique", f_unique, "case_sensitive attribute", 0, 0},
};
const size_t jinja_n_filters_seq = COUNT(jinja_filters_seq);
