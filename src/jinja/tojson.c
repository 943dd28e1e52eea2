/* jinja/tojson.c - the tojson filter as transformers sets it up: Python's json.dumps with
 * ensure_ascii off, no HTML escapes. */
#include "jinja/jinja_int.h"

#include "base/utf8.h"
#include "json/json.h"

#include <math.h>
#include <stdio.h>

struct dump {
    struct render *r;
    struct sink *s;
    bool ascii, sort;
    const struct text *indent; // NULL: one line
    const struct text *comma, *colon;
};

static bool dump_value(struct dump *d, struct value v, size_t depth);

static void dump_text(struct dump *d, const struct text *t)
{
    static const char short_form[] = "\b\t\n\f\r\"\\";
    static const char letter[] = "btnfr\"\\";
    struct sink *s = d->s;
    size_t from = 0; // start of what is copied as it is
    jinja_sink_c(s, "\"");
    for (str rest = jinja_text_str(t); rest.n && !s->failed;) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        const char *simple = c > 0 && c < 0x80 ? strchr(short_form, c) : NULL;
        char esc[16];
        if (simple)
            snprintf(esc, sizeof esc, "\\%c", letter[simple - short_form]);
        else if (c >= ' ' && (c < 0x7f || !d->ascii))
            continue;
        else if (c < 0x10000)
            snprintf(esc, sizeof esc, "\\u%04x", (unsigned)c);
        else
            snprintf(esc, sizeof esc, "\\u%04x\\u%04x", 0xd800 + ((unsigned)(c - 0x10000) >> 10),
                     0xdc00 + ((unsigned)c & 0x3ff));
        jinja_sink_text(s, t, from, at - from);
        jinja_sink_put(s, str_c(esc), jinja_text_trust_at(t, at));
        from = (size_t)(rest.p - t->p);
    }
    jinja_sink_text(s, t, from, t->n - from);
    jinja_sink_c(s, "\"");
}

static void dump_break(struct dump *d, size_t depth)
{
    if (!d->indent)
        return;
    jinja_sink_c(d->s, "\n");
    for (size_t i = 0; i < depth && !d->s->failed; i++)
        jinja_sink_all(d->s, d->indent);
}

static bool dump_list(struct dump *d, const struct list *l, size_t depth)
{
    jinja_sink_c(d->s, "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            jinja_sink_all(d->s, d->comma);
        dump_break(d, depth + 1);
        if (!dump_value(d, l->v[i], depth + 1))
            return false;
    }
    if (l->n)
        dump_break(d, depth);
    jinja_sink_c(d->s, "]");
    return !d->s->failed;
}

/* Keys that are not strings become the text of their JSON. */
static bool dump_key(struct dump *d, struct value k)
{
    char text[40];
    if (k.kind == KIND_STR) {
        dump_text(d, k.s);
        return true;
    }
    switch (k.kind) {
    case KIND_NONE: snprintf(text, sizeof text, "null"); break;
    case KIND_BOOL: snprintf(text, sizeof text, k.b ? "true" : "false"); break;
    case KIND_INT: snprintf(text, sizeof text, "%lld", (long long)k.i); break;
    case KIND_FLOAT: json_real_text(text, k.f); break;
    default:
        return jinja_fail(d->r, "keys must be str, int, float, bool or None, not %s",
                          jinja_type_name(k));
    }
    jinja_sink_c(d->s, "\"");
    jinja_sink_c(d->s, text);
    jinja_sink_c(d->s, "\"");
    return true;
}

/* Entries in the order of their keys; `order` has room for twice their number. */
static bool sort_entries(struct render *r, const struct dict *d, size_t *order)
{
    size_t *v = order, *tmp = order + d->n;
    for (size_t i = 0; i < d->n; i++)
        v[i] = i;
    for (size_t width = 1; width < d->n; width *= 2) {
        for (size_t from = 0; from < d->n; from += 2 * width) {
            size_t mid = size_min(from + width, d->n), end = size_min(from + 2 * width, d->n);
            size_t i = from, k = mid;
            for (size_t o = from; o < end; o++) {
                bool right = i >= mid;
                if (!right && k < end &&
                    (!jinja_step(r, 1) ||
                     !jinja_order(r, OP_LT, d->e[v[k]].key, d->e[v[i]].key, &right)))
                    return false;
                tmp[o] = right ? v[k++] : v[i++];
            }
        }
        memcpy(v, tmp, d->n * sizeof *v);
    }
    return true;
}

static bool dump_dict(struct dump *d, const struct dict *dict, size_t depth)
{
    size_t *order = NULL;
    if (d->sort) {
        order = jinja_alloc(d->r, dict->n * 2 + 1, sizeof *order);
        if (!order || !sort_entries(d->r, dict, order))
            return false;
    }
    jinja_sink_c(d->s, "{");
    for (size_t i = 0; i < dict->n; i++) {
        const struct dict_entry *e = &dict->e[order ? order[i] : i];
        if (i)
            jinja_sink_all(d->s, d->comma);
        dump_break(d, depth + 1);
        if (!dump_key(d, e->key))
            return false;
        jinja_sink_all(d->s, d->colon);
        if (!dump_value(d, e->val, depth + 1))
            return false;
    }
    if (dict->n)
        dump_break(d, depth);
    jinja_sink_c(d->s, "}");
    return !d->s->failed;
}

static bool dump_inner(struct dump *d, struct value v, size_t depth)
{
    char text[40];
    switch (v.kind) {
    case KIND_NONE: jinja_sink_c(d->s, "null"); return true;
    case KIND_BOOL: jinja_sink_c(d->s, v.b ? "true" : "false"); return true;
    case KIND_INT:
        snprintf(text, sizeof text, "%lld", (long long)v.i);
        jinja_sink_c(d->s, text);
        return true;
    case KIND_FLOAT:
        jinja_sink_put(d->s, str_n(text, json_real_text(text, v.f)), true);
        return true;
    case KIND_STR: dump_text(d, v.s); return true;
    case KIND_LIST:
    case KIND_TUPLE: return dump_list(d, v.l, depth);
    case KIND_DICT: return dump_dict(d, v.d, depth);
    default:
        return jinja_fail(d->r, "Object of type %s is not JSON serializable", jinja_type_name(v));
    }
}

static bool dump_value(struct dump *d, struct value v, size_t depth)
{
    if (!jinja_step(d->r, 1) || !jinja_enter(d->r))
        return false;
    bool ok = dump_inner(d, v, depth) && !d->s->failed;
    jinja_leave(d->r);
    return ok;
}

static bool read_indent(struct dump *d, struct value v)
{
    struct value text;
    int64_t n;
    if (v.kind == KIND_MISSING || v.kind == KIND_NONE)
        return true;
    if (v.kind == KIND_STR) {
        d->indent = v.s;
        return true;
    }
    if (!jinja_arg_int(d->r, v, "indent", 0, &n))
        return false;
    struct sink s;
    jinja_sink_init(&s, d->r);
    jinja_sink_fill(&s, ' ', n, true);
    if (!jinja_sink_end(&s, &text))
        return false;
    d->indent = text.s;
    return true;
}

static bool read_separators(struct dump *d, struct value v)
{
    struct value pair, comma, colon;
    if (v.kind == KIND_MISSING || v.kind == KIND_NONE) {
        if (!jinja_text_make(d->r, d->indent ? STR(",") : STR(", "), true, &comma) ||
            !jinja_text_make(d->r, STR(": "), true, &colon))
            return false;
    } else {
        if (!jinja_to_list(d->r, v, KIND_LIST, &pair))
            return false;
        if (pair.l->n != 2 || pair.l->v[0].kind != KIND_STR || pair.l->v[1].kind != KIND_STR)
            return jinja_fail(d->r, "separators must be two strings");
        comma = pair.l->v[0];
        colon = pair.l->v[1];
    }
    d->comma = comma.s;
    d->colon = colon.s;
    return true;
}

bool jinja_filter_tojson(struct render *r, struct value self, struct value *a, struct args *args,
                         struct value *out)
{
    (void)args;
    struct sink s;
    struct dump d = {.r = r, .s = &s, .ascii = jinja_is_true(a[0]), .sort = jinja_is_true(a[3])};
    jinja_sink_init(&s, r);
    // Python does not look at the indent of a single string.
    return (self.kind == KIND_STR || read_indent(&d, a[1])) && read_separators(&d, a[2]) &&
           dump_value(&d, self, 0) && jinja_sink_end(&s, out);
}
