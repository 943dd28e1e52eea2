/* jinja/show.c - values as Python prints them. */
#include "jinja/jinja_int.h"

#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>

size_t jinja_float_text(char out[40], double f)
{
    if (isnan(f))
        return (size_t)snprintf(out, 40, "nan");
    if (isinf(f))
        return (size_t)snprintf(out, 40, f < 0 ? "-inf" : "inf");
    return json_real_text(out, f);
}

static void repr_text(struct sink *s, const struct text *t)
{
    str rest = jinja_text_str(t);
    char quote = str_chr(rest, '\'') >= 0 && str_chr(rest, '"') < 0 ? '"' : '\'';
    jinja_sink_put(s, str_n(&quote, 1), true);
    size_t from = 0; // start of what is copied as it is
    while (rest.n && !s->failed) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        char esc[16];
        if (c == quote || c == '\\')
            snprintf(esc, sizeof esc, "\\%c", (int)c);
        else if (c == '\n' || c == '\r' || c == '\t')
            snprintf(esc, sizeof esc, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else if (jinja_char_printable(c))
            continue;
        else
            snprintf(esc, sizeof esc,
                     c < 0x100     ? "\\x%02x"
                     : c < 0x10000 ? "\\u%04x"
                                   : "\\U%08x",
                     (unsigned)c);
        jinja_sink_text(s, t, from, at - from);
        jinja_sink_put(s, str_c(esc), jinja_text_trust_at(t, at));
        from = (size_t)(rest.p - t->p);
    }
    jinja_sink_text(s, t, from, t->n - from);
    jinja_sink_put(s, str_n(&quote, 1), true);
}

static void repr_list(struct sink *s, const struct list *l, enum kind kind)
{
    jinja_sink_c(s, kind == KIND_LIST ? "[" : "(");
    for (size_t i = 0; i < l->n && !s->failed; i++) {
        if (i)
            jinja_sink_c(s, ", ");
        jinja_repr(s, l->v[i]);
    }
    jinja_sink_c(s, kind == KIND_LIST ? "]" : l->n == 1 ? ",)" : ")");
}

static void repr_dict(struct sink *s, const struct dict *d)
{
    jinja_sink_c(s, "{");
    for (size_t i = 0; i < d->n && !s->failed; i++) {
        if (i)
            jinja_sink_c(s, ", ");
        jinja_repr(s, d->e[i].key);
        jinja_sink_c(s, ": ");
        jinja_repr(s, d->e[i].val);
    }
    jinja_sink_c(s, "}");
}

static void repr_view(struct sink *s, struct value v)
{
    static const char *const open[] = {"dict_keys([", "dict_values([", "dict_items(["};
    jinja_sink_c(s, open[v.view]);
    for (size_t i = 0; i < v.d->n && !s->failed; i++) {
        if (i)
            jinja_sink_c(s, ", ");
        if (v.view == VIEW_ITEMS)
            jinja_sink_c(s, "(");
        if (v.view != VIEW_VALUES)
            jinja_repr(s, v.d->e[i].key);
        if (v.view == VIEW_ITEMS)
            jinja_sink_c(s, ", ");
        if (v.view != VIEW_KEYS)
            jinja_repr(s, v.d->e[i].val);
        if (v.view == VIEW_ITEMS)
            jinja_sink_c(s, ")");
    }
    jinja_sink_c(s, "])");
}

static void show_printf(struct sink *s, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void show_printf(struct sink *s, const char *fmt, ...)
{
    char text[160];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jinja_sink_put(s, str_n(text, size_min((size_t)n, sizeof text - 1)), true);
}

static void repr_inner(struct sink *s, struct value v)
{
    char text[40];
    struct value length;
    bool found;
    switch (v.kind) {
    case KIND_MISSING:
    case KIND_UNDEFINED: jinja_sink_c(s, "Undefined"); break;
    case KIND_NONE: jinja_sink_c(s, "None"); break;
    case KIND_BOOL: jinja_sink_c(s, v.b ? "True" : "False"); break;
    case KIND_INT: show_printf(s, "%lld", (long long)v.i); break;
    case KIND_FLOAT: jinja_sink_put(s, str_n(text, jinja_float_text(text, v.f)), true); break;
    case KIND_STR:
        if (v.s->markup)
            jinja_sink_c(s, "Markup(");
        repr_text(s, v.s);
        if (v.s->markup)
            jinja_sink_c(s, ")");
        break;
    case KIND_LIST:
    case KIND_TUPLE: repr_list(s, v.l, v.kind); break;
    case KIND_DICT: repr_dict(s, v.d); break;
    case KIND_VIEW: repr_view(s, v); break;
    case KIND_NAMESPACE:
        jinja_sink_c(s, "<Namespace ");
        repr_dict(s, v.d);
        jinja_sink_c(s, ">");
        break;
    case KIND_RANGE:
        show_printf(s, "range(%lld, %lld", (long long)v.r->from, (long long)v.r->to);
        if (v.r->step != 1)
            show_printf(s, ", %lld", (long long)v.r->step);
        jinja_sink_c(s, ")");
        break;
    case KIND_MACRO:
        jinja_sink_c(s, "<Macro ");
        if (v.m->name.kind == KIND_STR)
            repr_text(s, v.m->name.s);
        else
            jinja_sink_c(s, "anonymous");
        jinja_sink_c(s, ">");
        break;
    case KIND_LOOP:
        if (!jinja_loop_attr(s->r, v.loop, STR("length"), &length, &found)) {
            s->failed = true;
            return;
        }
        show_printf(s, "<LoopContext %lld/%lld>", (long long)v.loop->index0 + 1,
                    (long long)length.i);
        break;
    // Python shows addresses here; nothing can depend on them.
    case KIND_BUILTIN: show_printf(s, "<built-in method %s>", v.fn->fn->name); break;
    case KIND_ITER: show_printf(s, "<generator object %s>", v.it->name); break;
    case KIND_CYCLER:
    case KIND_JOINER:
    case KIND_SLICE: show_printf(s, "<%s object>", jinja_type_name(v)); break;
    }
}

void jinja_repr(struct sink *s, struct value v)
{
    if (s->failed)
        return;
    if (!jinja_step(s->r, 1) || !jinja_enter(s->r)) {
        s->failed = true;
        return;
    }
    repr_inner(s, v);
    jinja_leave(s->r);
}

void jinja_show(struct sink *s, struct value v)
{
    if (v.kind == KIND_STR)
        jinja_sink_all(s, v.s);
    else if (v.kind != KIND_UNDEFINED)
        jinja_repr(s, v);
}

bool jinja_to_str(struct render *r, struct value v, struct value *out)
{
    if (v.kind == KIND_STR) {
        *out = v;
        return true;
    }
    struct sink s;
    jinja_sink_init(&s, r);
    jinja_show(&s, v);
    return jinja_sink_end(&s, out);
}
