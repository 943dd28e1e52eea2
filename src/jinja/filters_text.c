/* jinja/filters_text.c - filters that make strings. */
#include "jinja/jinja_int.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

#define FILTER(name)                                                                               \
    static bool name(struct render *r, struct value self, struct value *a, struct args *args,      \
                     struct value *out)

FILTER(f_upper)
{
    (void)a, (void)args;
    return jinja_to_str(r, self, &self) && jinja_text_case(r, self.s, CASE_UPPER, out) &&
           jinja_mark_like(r, self, out);
}

FILTER(f_lower)
{
    (void)a, (void)args;
    return jinja_to_str(r, self, &self) && jinja_text_case(r, self.s, CASE_LOWER, out) &&
           jinja_mark_like(r, self, out);
}

FILTER(f_capitalize)
{
    (void)a, (void)args;
    return jinja_to_str(r, self, &self) && jinja_text_capitalize(r, self.s, out) &&
           jinja_mark_like(r, self, out);
}

/* Where a word begins for this filter, which differs from str.title. */
static bool splits_words(int32_t c)
{
    return jinja_char_space(c) || (c > 0 && c < 0x80 && strchr("-({[<", c));
}

FILTER(f_title)
{
    (void)a, (void)args;
    struct value part, cased;
    if (!jinja_to_str(r, self, &self))
        return false;
    const struct text *t = self.s;
    struct sink s;
    jinja_sink_init(&s, r);
    for (size_t from = 0; from < t->n && !s.failed;) {
        str rest = str_from(jinja_text_str(t), from);
        bool split = splits_words(utf8_next(&rest));
        size_t end = t->n - rest.n;
        while (rest.n) {
            if (splits_words(utf8_next(&rest)) != split)
                break;
            end = t->n - rest.n;
        }
        if (!jinja_text_sub(r, t, from, end - from, &part))
            return false;
        // item[0].upper() + item[1:].lower()
        size_t one = jinja_text_offset(part.s, 1);
        struct value head, tail;
        if (!jinja_text_sub(r, part.s, 0, one, &head) ||
            !jinja_text_sub(r, part.s, one, part.s->n - one, &tail) ||
            !jinja_text_case(r, head.s, CASE_UPPER, &cased))
            return false;
        jinja_sink_all(&s, cased.s);
        if (!jinja_text_case(r, tail.s, CASE_LOWER, &cased))
            return false;
        jinja_sink_all(&s, cased.s);
        from = end;
    }
    return jinja_sink_end(&s, out);
}

FILTER(f_trim)
{
    (void)args;
    return jinja_to_str(r, self, &self) &&
           jinja_text_strip(r, self.s, a[0], STRIP_LEFT | STRIP_RIGHT, out) &&
           jinja_mark_like(r, self, out);
}

FILTER(f_string)
{
    (void)a, (void)args;
    return jinja_to_str(r, self, out);
}

FILTER(f_escape)
{
    (void)a, (void)args;
    return jinja_escape(r, self, out);
}

FILTER(f_forceescape)
{
    (void)a, (void)args;
    if (self.kind == KIND_STR && self.s->markup) {
        struct text *plain = jinja_alloc(r, 1, sizeof *plain);
        if (!plain)
            return false;
        *plain = *self.s;
        plain->markup = false;
        self.s = plain;
    }
    return jinja_escape(r, self, out);
}

FILTER(f_safe)
{
    (void)a, (void)args;
    return jinja_to_str(r, self, out) && jinja_mark(r, out);
}

FILTER(f_replace)
{
    (void)args;
    int64_t count;
    return jinja_to_str(r, self, &self) && jinja_to_str(r, a[0], &a[0]) &&
           jinja_to_str(r, a[1], &a[1]) && jinja_arg_int_or_none(r, a[2], "count", -1, &count) &&
           jinja_text_replace(r, self.s, a[0].s, a[1].s, count, out);
}

FILTER(f_format)
{
    (void)a;
    struct value v;
    if (args->n_pos && args->n_kw)
        return jinja_fail(r, "can't handle positional and keyword arguments at the same time");
    if (!jinja_to_str(r, self, &self))
        return false;
    if (args->n_kw) {
        if (!jinja_dict_new(r, &v))
            return false;
        for (size_t i = 0; i < args->n_kw; i++)
            if (!jinja_dict_set(r, v.d, args->kw[i].name, args->kw[i].val))
                return false;
    } else {
        if (!jinja_list_new(r, KIND_TUPLE, args->n_pos, &v))
            return false;
        for (size_t i = 0; i < args->n_pos; i++)
            if (!jinja_list_push(r, v.l, args->pos[i]))
                return false;
    }
    return jinja_percent(r, self.s, v, out);
}

FILTER(f_center)
{
    (void)args;
    int64_t width;
    return jinja_to_str(r, self, &self) && jinja_arg_int(r, a[0], "width", 80, &width) &&
           jinja_text_center(r, self.s, width, NULL, out) && jinja_mark_like(r, self, out);
}

/* What stands before each line but the first. */
static bool read_indent(struct render *r, struct value width, const struct text **out)
{
    struct value text;
    struct sink s;
    int64_t n;
    if (width.kind == KIND_STR) {
        *out = width.s;
        return true;
    }
    if (!jinja_arg_int(r, width, "indent: width", 4, &n))
        return false;
    jinja_sink_init(&s, r);
    jinja_sink_fill(&s, ' ', n, true);
    if (!jinja_sink_end(&s, &text))
        return false;
    *out = text.s;
    return true;
}

FILTER(f_indent)
{
    (void)args;
    const struct text *indent = NULL;
    struct value lines, newline, all;
    bool first = jinja_is_true(a[1]), blank = jinja_is_true(a[2]);
    if (!read_indent(r, a[0], &indent) || !jinja_text_make(r, STR("\n"), true, &newline) ||
        !jinja_binary(r, OP_ADD, self, newline, &all) || !jinja_list_new(r, KIND_LIST, 0, &lines) ||
        !jinja_text_lines(r, all.s, false, lines.l))
        return false;
    struct sink s;
    jinja_sink_init(&s, r);
    if (first)
        jinja_sink_all(&s, indent);
    for (size_t i = 0; i < lines.l->n && !s.failed; i++) {
        const struct text *line = lines.l->v[i].s;
        if (i) {
            jinja_sink_c(&s, "\n");
            if (blank || line->n)
                jinja_sink_all(&s, indent);
        }
        jinja_sink_all(&s, line);
    }
    return jinja_sink_end(&s, out) && jinja_mark_like(r, self, out);
}

FILTER(f_truncate)
{
    (void)args;
    static const struct text dots = {.p = "...", .n = 3, .n_chars = 3, .trusted = true};
    const struct text *end = &dots, *t;
    int64_t length, leeway, n;
    if (!jinja_arg_int(r, a[0], "length", 255, &length) ||
        !jinja_arg_int_or_none(r, a[3], "leeway", 5, &leeway) ||
        (a[2].kind != KIND_MISSING && !jinja_arg_text(r, a[2], "end", &end)))
        return false;
    if (length < (int64_t)end->n_chars)
        return jinja_fail(r, "expected length >= %u, got %lld", end->n_chars, (long long)length);
    if (leeway < 0)
        return jinja_fail(r, "expected leeway >= 0, got %lld", (long long)leeway);
    if (!jinja_has_len(self, &n))
        return jinja_fail(r, "object of type '%s' has no len()", jinja_type_name(self));
    if (n <= length || n - length <= leeway) {
        *out = self;
        return true;
    }
    if (!jinja_arg_text(r, self, "truncate", &t))
        return false;
    size_t keep = jinja_text_offset(t, (size_t)(length - end->n_chars));
    if (!jinja_is_true(a[1])) { // not in the middle of a word
        ptrdiff_t blank = str_rchr(str_n(t->p, keep), ' ');
        if (blank >= 0)
            keep = (size_t)blank;
    }
    struct value tail = jinja_str(end);
    if (t->markup && !jinja_escape(r, tail, &tail))
        return false;
    struct sink s;
    jinja_sink_init(&s, r);
    jinja_sink_text(&s, t, 0, keep);
    jinja_sink_all(&s, tail.s);
    return jinja_sink_end(&s, out) && jinja_mark_like(r, self, out);
}

FILTER(f_wordcount)
{
    (void)a, (void)args;
    int64_t n = 0;
    bool in_word = false;
    if (!jinja_to_str(r, self, &self))
        return false;
    for (str rest = jinja_text_str(self.s); rest.n;) {
        bool word = jinja_char_word(utf8_next(&rest));
        n += word && !in_word;
        in_word = word;
    }
    *out = jinja_int(n);
    return jinja_step(r, self.s->n / 4);
}

static void put_quoted(struct sink *s, const struct text *t, bool query)
{
    for (size_t i = 0; i < t->n && !s->failed; i++) {
        unsigned char c = (unsigned char)t->p[i];
        char esc[4];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                     (c && strchr("_.-~", c)) || (c == '/' && !query);
        if (plain)
            jinja_sink_text(s, t, i, 1);
        else if (c == ' ' && query)
            jinja_sink_put(s, STR("+"), jinja_text_trust_at(t, i));
        else {
            snprintf(esc, sizeof esc, "%%%02X", c);
            jinja_sink_put(s, str_n(esc, 3), jinja_text_trust_at(t, i));
        }
    }
}

FILTER(f_urlencode)
{
    (void)a, (void)args;
    struct sink s;
    struct walk w;
    struct value v = self, pair, text;
    bool more;
    jinja_sink_init(&s, r);
    if (self.kind == KIND_DICT) {
        self.kind = KIND_VIEW;
        self.view = VIEW_ITEMS;
    }
    if (self.kind < KIND_LIST && self.kind != KIND_UNDEFINED) {
        if (!jinja_to_str(r, v, &text))
            return false;
        put_quoted(&s, text.s, false);
        return jinja_sink_end(&s, out);
    }
    if (!jinja_walk(r, self, &w))
        return false;
    for (bool first = true;; first = false) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (!jinja_to_list(r, v, KIND_LIST, &pair))
            return false;
        if (pair.l->n != 2)
            return jinja_fail(r, "urlencode needs pairs, not sequences of %zu", pair.l->n);
        for (int i = 0; i < 2; i++) {
            if (!jinja_to_str(r, pair.l->v[i], &text))
                return false;
            jinja_sink_c(&s, i ? "=" : first ? "" : "&");
            put_quoted(&s, text.s, true);
        }
    }
    return jinja_sink_end(&s, out);
}

FILTER(f_xmlattr)
{
    (void)args;
    struct sink s;
    struct value key, val;
    bool space = a[0].kind == KIND_MISSING || jinja_is_true(a[0]);
    if (self.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, self);
    if (self.kind != KIND_DICT)
        return jinja_fail(r, "'%s' object has no attribute 'items'", jinja_type_name(self));
    jinja_sink_init(&s, r);
    for (size_t i = 0; i < self.d->n; i++) {
        const struct dict_entry *e = &self.d->e[i];
        if (e->val.kind == KIND_NONE || e->val.kind == KIND_UNDEFINED)
            continue;
        const struct text *name;
        if (!jinja_arg_text(r, e->key, "attribute name", &name))
            return false;
        for (size_t k = 0; k < name->n; k++)
            if (strchr(" \t\n\r\f\v/>=", name->p[k]))
                return jinja_fail(r, "invalid character in attribute name");
        if (!jinja_escape(r, e->key, &key) || !jinja_escape(r, e->val, &val))
            return false;
        if (s.n || space)
            jinja_sink_c(&s, " ");
        jinja_sink_all(&s, key.s);
        jinja_sink_c(&s, "=\"");
        jinja_sink_all(&s, val.s);
        jinja_sink_c(&s, "\"");
    }
    return jinja_sink_end(&s, out);
}

FILTER(f_filesizeformat)
{
    (void)args;
    static const char *const decimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
    static const char *const binary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
    bool by_1024 = jinja_is_true(a[0]);
    struct value number, none = {.kind = KIND_NONE};
    struct args fallback = {.pos = &none, .n_pos = 1};
    if (!jinja_builtin_call(r, jinja_filter_find(STR("float")), self, &fallback, &number))
        return false;
    if (number.kind != KIND_FLOAT)
        return jinja_fail(r, "this %s is not a number", jinja_type_name(self));
    double v = number.f, base = by_1024 ? 1024 : 1000, unit = base;
    char text[400];
    if (v == 1) {
        snprintf(text, sizeof text, "1 Byte");
    } else if (v < base) {
        snprintf(text, sizeof text, "%.0f Bytes", trunc(v) + 0.0); // no negative zero
    } else {
        size_t i = 0;
        for (unit *= base; i < 7 && !(v < unit); i++)
            unit *= base;
        snprintf(text, sizeof text, "%.1f %s", base * v / unit, by_1024 ? binary[i] : decimal[i]);
    }
    struct sink s;
    jinja_sink_init(&s, r);
    jinja_sink_c(&s, text);
    return jinja_sink_end(&s, out);
}

FILTER(f_pprint)
{
    (void)a, (void)args;
    struct sink s;
    jinja_sink_init(&s, r);
    jinja_repr(&s, self);
    if (!jinja_sink_end(&s, out))
        return false;
    if (out->s->n_chars > 80 || (self.kind == KIND_DICT && self.d->n > 1))
        return jinja_fail(r, "pprint of more than one line is not available");
    return true;
}

FILTER(f_refused)
{
    (void)self, (void)a, (void)args, (void)out;
    return jinja_fail(r, "this filter makes HTML and is not available in chat templates");
}

const struct builtin jinja_filters_text[] = {
    {"capitalize", f_capitalize, NULL, 0, 0},
    {"center", f_center, "width", 0, 0},
    {"e", f_escape, NULL, 0, 0},
    {"escape", f_escape, NULL, 0, 0},
    {"filesizeformat", f_filesizeformat, "binary", 0, 0},
    {"forceescape", f_forceescape, NULL, 0, 0},
    {"format", f_format, "*", 0, 0},
    {"indent", f_indent, "width first blank", 0, 0},
    {"lower", f_lower, NULL, 0, 0},
    {"pprint", f_pprint, NULL, 0, 0},
    {"replace", f_replace, "old new count", 2, 0},
    {"safe", f_safe, NULL, 0, 0},
    {"string", f_string, NULL, 0, 0},
    {"striptags", f_refused, "*", 0, 0},
    {"title", f_title, NULL, 0, 0},
    {"trim", f_trim, "chars", 0, 0},
    {"truncate", f_truncate, "length killwords end leeway", 0, 0},
    {"upper", f_upper, NULL, 0, 0},
    {"urlencode", f_urlencode, NULL, 0, 0},
    {"urlize", f_refused, "*", 0, 0},
    {"wordcount", f_wordcount, NULL, 0, 0},
    {"wordwrap", jinja_filter_wordwrap, "width break_long_words wrapstring break_on_hyphens", 0, 0},
    {"xmlattr", f_xmlattr, "autospace", 0, 0},
};
const size_t jinja_n_filters_text = COUNT(jinja_filters_text);
