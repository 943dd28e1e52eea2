/* jinja/globals.c - functions that every template can call. */
#include "jinja/jinja_int.h"

#include <stdio.h>
#include <time.h>

#define RANGE_MAX 100000 // items, as Jinja2's sandbox has it

#define GLOBAL(name)                                                                               \
    static bool name(struct render *r, struct value self, struct value *a, struct args *args,      \
                     struct value *out)

GLOBAL(g_range)
{
    (void)self, (void)a;
    int64_t v[3] = {0, 0, 1};
    if (args->n_kw || args->n_pos < 1 || args->n_pos > 3)
        return jinja_fail(r, "range takes one to three integers");
    for (size_t i = 0; i < args->n_pos; i++) {
        if (args->pos[i].kind == KIND_UNDEFINED)
            return jinja_fail_undef(r, args->pos[i]);
        if (!jinja_as_int(args->pos[i], &v[i]))
            return jinja_fail(r, "'%s' object cannot be interpreted as an integer",
                              jinja_type_name(args->pos[i]));
    }
    struct range range = {.from = v[0], .to = v[1], .step = v[2]};
    if (args->n_pos == 1) {
        range.from = 0;
        range.to = v[0];
    }
    if (range.step == 0)
        return jinja_fail(r, "range() arg 3 must not be zero");
    uint64_t step = range.step < 0 ? -(uint64_t)range.step : (uint64_t)range.step, span = 0;
    if (range.step > 0 && range.to > range.from)
        span = (uint64_t)range.to - (uint64_t)range.from;
    else if (range.step < 0 && range.to < range.from)
        span = (uint64_t)range.from - (uint64_t)range.to;
    range.n = (size_t)(span / step + (span % step != 0));
    if (range.n > RANGE_MAX)
        return jinja_fail(r, "range too big: the sandbox allows at most %d items", RANGE_MAX);
    out->kind = KIND_RANGE;
    out->r = jinja_alloc(r, 1, sizeof range);
    if (!out->r)
        return false;
    *out->r = range;
    return true;
}

/* dict(mapping or pairs, key=value ...), also the fields of namespace(...). */
static bool make_dict(struct render *r, struct args *args, struct value *out)
{
    struct value dict;
    if (args->n_pos > 1)
        return jinja_fail(r, "dict expected at most 1 argument, got %zu", args->n_pos);
    if (!jinja_dict_new(r, &dict))
        return false;
    if (args->n_pos && args->pos[0].kind == KIND_DICT) {
        const struct dict *d = args->pos[0].d;
        for (size_t i = 0; i < d->n; i++)
            if (!jinja_dict_set(r, dict.d, d->e[i].key, d->e[i].val))
                return false;
    } else if (args->n_pos) {
        struct walk w;
        struct value v, pair;
        bool more;
        if (!jinja_walk(r, args->pos[0], &w))
            return false;
        for (;;) {
            if (!jinja_next(r, &w, &v, &more))
                return false;
            if (!more)
                break;
            if (!jinja_to_list(r, v, KIND_LIST, &pair))
                return false;
            if (pair.l->n != 2)
                return jinja_fail(r, "dict needs pairs, not sequences of %zu", pair.l->n);
            if (!jinja_dict_set(r, dict.d, pair.l->v[0], pair.l->v[1]))
                return false;
        }
    }
    for (size_t i = 0; i < args->n_kw; i++)
        if (!jinja_dict_set(r, dict.d, args->kw[i].name, args->kw[i].val))
            return false;
    *out = dict;
    return true;
}

GLOBAL(g_dict)
{
    (void)self, (void)a;
    return make_dict(r, args, out);
}

GLOBAL(g_namespace)
{
    (void)self, (void)a;
    if (!make_dict(r, args, out))
        return false;
    out->kind = KIND_NAMESPACE;
    return true;
}

GLOBAL(g_cycler)
{
    (void)self, (void)a;
    if (args->n_kw || !args->n_pos)
        return jinja_fail(r, "at least one item has to be provided");
    if (!jinja_list_new(r, KIND_CYCLER, args->n_pos, out))
        return false;
    for (size_t i = 0; i < args->n_pos; i++)
        if (!jinja_list_push(r, out->l, args->pos[i]))
            return false;
    return true;
}

GLOBAL(g_joiner)
{
    (void)self, (void)args;
    if (!jinja_list_new(r, KIND_JOINER, 1, out))
        return false;
    struct value sep = a[0];
    if (sep.kind == KIND_MISSING && !jinja_text_make(r, STR(", "), true, &sep))
        return false;
    return jinja_list_push(r, out->l, sep);
}

GLOBAL(g_raise)
{
    (void)self, (void)args, (void)out;
    struct value text;
    if (!jinja_to_str(r, a[0], &text))
        return false;
    str s = jinja_text_str(text.s);
    while (s.n && !*s.p) // a message is a C string
        s = str_from(s, 1);
    return jinja_fail(r, "%.*s", STR_ARG(s.n ? s : STR("the template gave up without a reason")));
}

/* strftime needs a C string whose output may be empty: a blank is put behind and taken off. */
static bool format_time(struct render *r, const struct tm *tm, str format, struct value *out)
{
    struct buf f = BUF_INIT(4096), text = BUF_INIT(65536);
    for (size_t i = 0; i < format.n; i++) {
        char c = i + 1 < format.n ? format.p[i + 1] : '\0';
        if (format.p[i] != '%' || !c) {
            buf_char(&f, format.p[i] ? format.p[i] : ' ');
        } else {
            i++;
            if (c == 'f')
                buf_c(&f, "000000");       // the clock is read in seconds
            else if (c != 'z' && c != 'Z') // a time without a zone, as datetime.now() gives
                buf_printf(&f, "%%%c", c);
        }
    }
    buf_char(&f, ' ');
    char *to = f.full ? NULL : buf_reserve(&text, 60000);
    if (to)
        text.n = strftime(to, 60000, buf_cstr(&f), tm);
    bool ok = text.n > 0;
    str kept = arena_str(r->a, str_sub(buf_as_str(&text), 0, text.n ? text.n - 1 : 0));
    buf_free(&f);
    buf_free(&text);
    if (!ok || !kept.p)
        return jinja_fail_limit(r, "output size");
    return jinja_text_make(r, kept, true, out);
}

GLOBAL(g_strftime_now)
{
    (void)self, (void)args;
    const struct text *format;
    struct tm tm;
    time_t now = (time_t)r->now;
    if (!jinja_arg_text(r, a[0], "format", &format))
        return false;
    if (!localtime_r(&now, &tm))
        return jinja_fail(r, "the time can't be shown");
    return format_time(r, &tm, jinja_text_str(format), out);
}

GLOBAL(g_lipsum)
{
    (void)self, (void)a, (void)args, (void)out;
    return jinja_fail(r, "lipsum is not available: a render is a function of its input");
}

static const struct builtin globals[] = {
    {"range", g_range, "*", 0, 0},
    {"dict", g_dict, "*", 0, 0},
    {"namespace", g_namespace, "*", 0, 0},
    {"cycler", g_cycler, "*", 0, 0},
    {"joiner", g_joiner, "sep", 0, 0},
    {"lipsum", g_lipsum, "*", 0, 0},
    {"raise_exception", g_raise, "message", 1, 0},
    {"strftime_now", g_strftime_now, "format", 1, 0},
};

const struct builtin *jinja_global_find(str name)
{
    return jinja_table_find(globals, COUNT(globals), name);
}
