/* jinja/methods_str.c - the methods of Python's str. */
#include "jinja/jinja_int.h"

#include "base/utf8.h"

#define METHOD(name)                                                                               \
    static bool name(struct render *r, struct value self, struct value *a, struct args *args,      \
                     struct value *out)

/* ---- Case ---- */

METHOD(m_upper)
{
    (void)a, (void)args;
    return jinja_text_case(r, self.s, CASE_UPPER, out);
}

METHOD(m_lower)
{
    (void)a, (void)args;
    return jinja_text_case(r, self.s, CASE_LOWER, out);
}

METHOD(m_casefold)
{
    (void)a, (void)args;
    return jinja_text_case(r, self.s, CASE_FOLD, out);
}

METHOD(m_title)
{
    (void)a, (void)args;
    return jinja_text_title(r, self.s, out);
}

METHOD(m_capitalize)
{
    (void)a, (void)args;
    return jinja_text_capitalize(r, self.s, out);
}

METHOD(m_swapcase)
{
    (void)a, (void)args;
    return jinja_text_swapcase(r, self.s, out);
}

/* ---- Questions ---- */

static bool all_chars(const struct text *t, bool (*is)(int32_t c), bool empty)
{
    for (str rest = jinja_text_str(t); rest.n;)
        if (!is(utf8_next(&rest)))
            return false;
    return t->n > 0 || empty;
}

static bool is_ascii(int32_t c)
{
    return c < 0x80;
}

static bool is_alnum(int32_t c)
{
    return c != '_' && jinja_char_word(c);
}

#define QUESTION(name, pred, empty)                                                                \
    METHOD(name)                                                                                   \
    {                                                                                              \
        (void)a, (void)args;                                                                       \
        *out = jinja_bool(all_chars(self.s, pred, empty));                                         \
        return jinja_step(r, self.s->n / 4);                                                       \
    }

QUESTION(m_isalnum, is_alnum, false)
QUESTION(m_isalpha, jinja_char_alpha, false)
QUESTION(m_isascii, is_ascii, true)
QUESTION(m_isdecimal, jinja_char_decimal, false)
QUESTION(m_isdigit, jinja_char_digit, false)
QUESTION(m_isnumeric, jinja_char_numeric, false)
QUESTION(m_isprintable, jinja_char_printable, true)
QUESTION(m_isspace, jinja_char_space, false)

/* Has cased characters, and all of them in one case. */
static bool one_case(const struct text *t, bool upper)
{
    bool any = false;
    for (str rest = jinja_text_str(t); rest.n;) {
        int32_t c = utf8_next(&rest);
        bool up = jinja_char_upper(c), low = jinja_char_lower(c);
        if ((upper ? low : up) || jinja_char_title(c))
            return false;
        any |= upper ? up : low;
    }
    return any;
}

METHOD(m_isupper)
{
    (void)a, (void)args;
    *out = jinja_bool(one_case(self.s, true));
    return jinja_step(r, self.s->n / 4);
}

METHOD(m_islower)
{
    (void)a, (void)args;
    *out = jinja_bool(one_case(self.s, false));
    return jinja_step(r, self.s->n / 4);
}

METHOD(m_istitle)
{
    (void)a, (void)args;
    bool any = false, in_word = false, ok = true;
    for (str rest = jinja_text_str(self.s); rest.n && ok;) {
        int32_t c = utf8_next(&rest);
        bool start = jinja_char_upper(c) || jinja_char_title(c), low = jinja_char_lower(c);
        ok = start ? !in_word : !low || in_word;
        in_word = start || low;
        any |= in_word;
    }
    *out = jinja_bool(ok && any);
    return jinja_step(r, self.s->n / 4);
}

METHOD(m_isidentifier)
{
    (void)a, (void)args;
    str s = jinja_text_str(self.s);
    bool digit = s.n && s.p[0] >= '0' && s.p[0] <= '9';
    *out = jinja_bool(!digit && all_chars(self.s, jinja_char_word, false));
    return jinja_step(r, s.n / 4);
}

/* ---- Searching ---- */

/* The part of self between the optional indices start and end, in bytes. */
static bool window(struct render *r, const struct text *t, struct value start, struct value end,
                   size_t *from, size_t *to)
{
    int64_t n = t->n_chars, i, k;
    if (!jinja_arg_int_or_none(r, start, "start", 0, &i) ||
        !jinja_arg_int_or_none(r, end, "end", n, &k))
        return false;
    i = i < -n ? 0 : i < 0 ? i + n : i;
    k = k < -n ? 0 : k < 0 ? k + n : k > n ? n : k;
    *from = i > n ? (size_t)t->n + 1 : jinja_text_offset(t, (size_t)i);
    *to = jinja_text_offset(t, (size_t)k);
    return jinja_step(r, t->n / 32);
}

/* Byte offset of a match in [from, to), or -1. */
static bool search(struct render *r, const struct text *t, const struct text *what, size_t from,
                   size_t to, bool last, ptrdiff_t *found)
{
    *found = -1;
    if (from > to || what->n > to - from)
        return true;
    if (!last) {
        ptrdiff_t at;
        if (!jinja_text_find(r, str_sub(jinja_text_str(t), from, to - from), what, &at))
            return false;
        *found = at < 0 ? -1 : at + (ptrdiff_t)from;
        return true;
    }
    for (size_t at = to - what->n + 1; at > from; at--) {
        size_t same = 0;
        while (same < what->n && t->p[at - 1 + same] == what->p[same])
            same++;
        if (!jinja_step(r, same / 8 + (at % 8 == 0)))
            return false;
        if (same == what->n) {
            *found = (ptrdiff_t)at - 1;
            return true;
        }
    }
    return true;
}

static bool find(struct render *r, struct value self, struct value *a, bool last, bool must,
                 struct value *out)
{
    const struct text *what;
    size_t from, to;
    if (!jinja_arg_text(r, a[0], "substring", &what) || !window(r, self.s, a[1], a[2], &from, &to))
        return false;
    ptrdiff_t at;
    if (!search(r, self.s, what, from, to, last, &at))
        return false;
    if (at < 0 && must)
        return jinja_fail(r, "substring not found");
    *out = jinja_int(at < 0 ? -1 : (int64_t)jinja_text_count(str_n(self.s->p, (size_t)at)));
    return true;
}

METHOD(m_find)
{
    (void)args;
    return find(r, self, a, false, false, out);
}

METHOD(m_rfind)
{
    (void)args;
    return find(r, self, a, true, false, out);
}

METHOD(m_index)
{
    (void)args;
    return find(r, self, a, false, true, out);
}

METHOD(m_rindex)
{
    (void)args;
    return find(r, self, a, true, true, out);
}

METHOD(m_count)
{
    (void)args;
    const struct text *what;
    size_t from, to;
    int64_t n = 0;
    if (!jinja_arg_text(r, a[0], "substring", &what) || !window(r, self.s, a[1], a[2], &from, &to))
        return false;
    if (what->n == 0) {
        *out = jinja_int(
            from > to ? 0 : (int64_t)jinja_text_count(str_n(self.s->p + from, to - from)) + 1);
        return true;
    }
    for (;; n++) {
        ptrdiff_t at;
        if (!search(r, self.s, what, from, to, false, &at))
            return false;
        if (at < 0)
            break;
        from = (size_t)at + what->n;
    }
    *out = jinja_int(n);
    return jinja_step(r, (size_t)n);
}

static bool affix(struct render *r, struct value self, struct value *a, bool end, struct value *out)
{
    size_t from, to;
    if (!window(r, self.s, a[1], a[2], &from, &to))
        return false;
    size_t n = a[0].kind == KIND_TUPLE ? a[0].l->n : 1;
    bool is = false;
    for (size_t i = 0; i < n && !is; i++) {
        struct value v = a[0].kind == KIND_TUPLE ? a[0].l->v[i] : a[0];
        if (v.kind != KIND_STR)
            return jinja_fail(r, "%s first arg must be str or a tuple of str, not %s",
                              end ? "endswith" : "startswith", jinja_type_name(v));
        str part = str_sub(jinja_text_str(self.s), from, from > to ? 0 : to - from);
        is = from <= to &&
             (end ? str_ends(part, jinja_text_str(v.s)) : str_starts(part, jinja_text_str(v.s)));
    }
    *out = jinja_bool(is);
    return jinja_step(r, n);
}

METHOD(m_startswith)
{
    (void)args;
    return affix(r, self, a, false, out);
}

METHOD(m_endswith)
{
    (void)args;
    return affix(r, self, a, true, out);
}

/* ---- Stripping and replacing ---- */

METHOD(m_strip)
{
    (void)args;
    return jinja_text_strip(r, self.s, a[0], STRIP_LEFT | STRIP_RIGHT, out);
}

METHOD(m_lstrip)
{
    (void)args;
    return jinja_text_strip(r, self.s, a[0], STRIP_LEFT, out);
}

METHOD(m_rstrip)
{
    (void)args;
    return jinja_text_strip(r, self.s, a[0], STRIP_RIGHT, out);
}

METHOD(m_replace)
{
    (void)args;
    const struct text *old, *with;
    int64_t count;
    return jinja_arg_text(r, a[0], "replace: old", &old) &&
           jinja_arg_text(r, a[1], "replace: new", &with) &&
           jinja_arg_int(r, a[2], "replace: count", -1, &count) &&
           jinja_text_replace(r, self.s, old, with, count, out);
}

METHOD(m_removeprefix)
{
    (void)args;
    const struct text *part;
    if (!jinja_arg_text(r, a[0], "prefix", &part))
        return false;
    size_t cut = str_starts(jinja_text_str(self.s), jinja_text_str(part)) ? part->n : 0;
    return jinja_text_sub(r, self.s, cut, self.s->n - cut, out);
}

METHOD(m_removesuffix)
{
    (void)args;
    const struct text *part;
    if (!jinja_arg_text(r, a[0], "suffix", &part))
        return false;
    size_t cut = str_ends(jinja_text_str(self.s), jinja_text_str(part)) ? part->n : 0;
    return jinja_text_sub(r, self.s, 0, self.s->n - cut, out);
}

/* ---- Splitting ---- */

static bool push_part(struct render *r, const struct text *t, size_t from, size_t to,
                      struct list *out)
{
    struct value part;
    return jinja_text_sub(r, t, from, to - from, &part) && jinja_list_push(r, out, part);
}

static bool split_space(struct render *r, const struct text *t, int64_t max, struct list *out)
{
    str all = jinja_text_str(t), rest = all;
    for (;;) {
        size_t at = t->n - rest.n;
        str next = rest;
        if (!rest.n)
            return true;
        if (jinja_char_space(utf8_next(&next))) {
            rest = next;
            continue;
        }
        if (max >= 0 && (int64_t)out->n >= max)
            return push_part(r, t, at, t->n, out);
        size_t end = at;
        while (rest.n) {
            next = rest;
            if (jinja_char_space(utf8_next(&next)))
                break;
            rest = next;
            end = t->n - rest.n;
        }
        if (!push_part(r, t, at, end, out))
            return false;
    }
}

static bool split_on(struct render *r, const struct text *t, const struct text *sep, int64_t max,
                     struct list *out)
{
    size_t from = 0;
    while (max < 0 || (int64_t)out->n < max) {
        ptrdiff_t at;
        if (!search(r, t, sep, from, t->n, false, &at))
            return false;
        if (at < 0)
            break;
        if (!push_part(r, t, from, (size_t)at, out))
            return false;
        from = (size_t)at + sep->n;
    }
    return push_part(r, t, from, t->n, out);
}

static void turn_around(struct list *l)
{
    for (size_t i = 0, k = l->n; i + 1 < k; i++) {
        struct value v = l->v[i];
        l->v[i] = l->v[--k];
        l->v[k] = v;
    }
}

static bool rsplit_on(struct render *r, const struct text *t, const struct text *sep, int64_t max,
                      struct list *out)
{
    size_t to = t->n;
    while (max < 0 || (int64_t)out->n < max) {
        ptrdiff_t at;
        if (!search(r, t, sep, 0, to, true, &at))
            return false;
        if (at < 0)
            break;
        if (!push_part(r, t, (size_t)at + sep->n, to, out))
            return false;
        to = (size_t)at;
    }
    if (!push_part(r, t, 0, to, out))
        return false;
    turn_around(out);
    return true;
}

static bool space_before(const struct text *t, size_t to, size_t *at)
{
    *at = to - 1;
    while (*at > 0 && ((unsigned char)t->p[*at] & 0xc0) == 0x80)
        --*at;
    str c = str_sub(jinja_text_str(t), *at, to - *at);
    return jinja_char_space(utf8_next(&c));
}

static bool rsplit_space(struct render *r, const struct text *t, int64_t max, struct list *out)
{
    size_t to = t->n, at;
    for (;;) {
        while (to > 0 && space_before(t, to, &at))
            to = at;
        if (to == 0)
            break;
        if (max >= 0 && (int64_t)out->n >= max) {
            if (!push_part(r, t, 0, to, out))
                return false;
            break;
        }
        size_t from = to;
        while (from > 0 && !space_before(t, from, &at))
            from = at;
        if (!push_part(r, t, from, to, out))
            return false;
        to = from;
    }
    turn_around(out);
    return true;
}

static bool split(struct render *r, struct value self, struct value *a, bool right,
                  struct value *out)
{
    int64_t max;
    const struct text *sep = NULL;
    if (!jinja_arg_int(r, a[1], "maxsplit", -1, &max) || !jinja_list_new(r, KIND_LIST, 0, out) ||
        !jinja_step(r, self.s->n / 4))
        return false;
    if (a[0].kind == KIND_MISSING || a[0].kind == KIND_NONE)
        return right ? rsplit_space(r, self.s, max, out->l) : split_space(r, self.s, max, out->l);
    if (!jinja_arg_text(r, a[0], "separator", &sep))
        return false;
    if (sep->n == 0)
        return jinja_fail(r, "empty separator");
    return right ? rsplit_on(r, self.s, sep, max, out->l) : split_on(r, self.s, sep, max, out->l);
}

METHOD(m_split)
{
    (void)args;
    return split(r, self, a, false, out);
}

METHOD(m_rsplit)
{
    (void)args;
    return split(r, self, a, true, out);
}

METHOD(m_splitlines)
{
    (void)args;
    int64_t keep;
    return jinja_arg_int(r, a[0], "keepends", 0, &keep) && jinja_list_new(r, KIND_LIST, 0, out) &&
           jinja_text_lines(r, self.s, keep != 0, out->l);
}

static bool partition(struct render *r, struct value self, struct value *a, bool last,
                      struct value *out)
{
    const struct text *sep, *t = self.s;
    if (!jinja_arg_text(r, a[0], "separator", &sep))
        return false;
    if (sep->n == 0)
        return jinja_fail(r, "empty separator");
    ptrdiff_t at;
    if (!search(r, t, sep, 0, t->n, last, &at))
        return false;
    size_t from = at >= 0 ? (size_t)at : last ? 0 : t->n;
    size_t to = at >= 0 ? from + sep->n : from;
    return jinja_list_new(r, KIND_TUPLE, 3, out) && push_part(r, t, 0, from, out->l) &&
           push_part(r, t, from, to, out->l) &&
           (at < 0 || !sep->markup || jinja_mark(r, &out->l->v[1])) &&
           push_part(r, t, to, t->n, out->l);
}

METHOD(m_partition)
{
    (void)args;
    return partition(r, self, a, false, out);
}

METHOD(m_rpartition)
{
    (void)args;
    return partition(r, self, a, true, out);
}

METHOD(m_join)
{
    (void)args;
    struct walk w;
    struct value v;
    struct sink s;
    bool more;
    if (!jinja_walk(r, a[0], &w))
        return false;
    jinja_sink_init(&s, r);
    for (size_t i = 0;; i++) {
        if (!jinja_next(r, &w, &v, &more))
            return false;
        if (!more)
            break;
        if (self.s->markup && !jinja_escape(r, v, &v))
            return false;
        if (v.kind != KIND_STR)
            return jinja_fail(r, "sequence item %zu: expected str instance, %s found", i,
                              jinja_type_name(v));
        if (i)
            jinja_sink_all(&s, self.s);
        jinja_sink_all(&s, v.s);
    }
    return jinja_sink_end(&s, out);
}

/* ---- Widths ---- */

static bool fill_char(struct render *r, struct value v, const struct text **fill)
{
    *fill = NULL;
    if (v.kind == KIND_MISSING)
        return true;
    if (v.kind != KIND_STR || v.s->n_chars != 1)
        return jinja_fail(r, "the fill character must be exactly one character long");
    *fill = v.s;
    return true;
}

METHOD(m_center)
{
    (void)args;
    const struct text *fill;
    int64_t width;
    return jinja_arg_int(r, a[0], "width", 0, &width) && fill_char(r, a[1], &fill) &&
           jinja_text_center(r, self.s, width, fill, out);
}

METHOD(m_ljust)
{
    (void)args;
    const struct text *fill;
    int64_t width;
    return jinja_arg_int(r, a[0], "width", 0, &width) && fill_char(r, a[1], &fill) &&
           jinja_text_pad(r, self.s, 0, width - (int64_t)self.s->n_chars, fill, out);
}

METHOD(m_rjust)
{
    (void)args;
    const struct text *fill;
    int64_t width;
    return jinja_arg_int(r, a[0], "width", 0, &width) && fill_char(r, a[1], &fill) &&
           jinja_text_pad(r, self.s, width - (int64_t)self.s->n_chars, 0, fill, out);
}

METHOD(m_zfill)
{
    (void)args;
    int64_t width;
    if (!jinja_arg_int(r, a[0], "width", 0, &width))
        return false;
    const struct text *t = self.s;
    size_t sign = t->n && (t->p[0] == '-' || t->p[0] == '+');
    struct sink s;
    jinja_sink_init(&s, r);
    jinja_sink_text(&s, t, 0, sign);
    jinja_sink_fill(&s, '0', width - (int64_t)t->n_chars, true);
    jinja_sink_text(&s, t, sign, t->n - sign);
    return jinja_sink_end(&s, out);
}

METHOD(m_expandtabs)
{
    (void)args;
    int64_t size, col = 0;
    if (!jinja_arg_int(r, a[0], "tabsize", 8, &size))
        return false;
    if (size > INT32_MAX || size < INT32_MIN)
        return jinja_fail(r, "tabsize is too large");
    struct sink s;
    jinja_sink_init(&s, r);
    for (str rest = jinja_text_str(self.s); rest.n && !s.failed;) {
        size_t at = (size_t)(rest.p - self.s->p);
        int32_t c = utf8_next(&rest);
        if (c == '\t') {
            int64_t n = size > 0 ? size - col % size : 0;
            jinja_sink_fill(&s, ' ', n, jinja_text_trust_at(self.s, at));
            col += n;
            continue;
        }
        col = c == '\n' || c == '\r' ? 0 : col + 1;
        jinja_sink_text(&s, self.s, at, (size_t)(rest.p - self.s->p) - at);
    }
    return jinja_sink_end(&s, out);
}

METHOD(m_format)
{
    (void)a;
    return jinja_format(r, self.s, args, NULL, out);
}

METHOD(m_format_map)
{
    (void)args;
    static const struct args none = {0};
    if (a[0].kind != KIND_DICT)
        return jinja_fail(r, "format_map() needs a mapping");
    return jinja_format(r, self.s, &none, a[0].d, out);
}

METHOD(m_refused)
{
    (void)self, (void)a, (void)args, (void)out;
    return jinja_fail(r, "this method of strings is not available");
}

const struct builtin jinja_methods_str[] = {
    {"capitalize", m_capitalize, NULL, 0, 0},
    {"casefold", m_casefold, NULL, 0, 0},
    {"center", m_center, "/width fillchar", 1, 0},
    {"count", m_count, "/sub start end", 1, 0},
    {"encode", m_refused, "*", 0, 0},
    {"endswith", m_endswith, "/suffix start end", 1, 0},
    {"expandtabs", m_expandtabs, "tabsize", 0, 0},
    {"find", m_find, "/sub start end", 1, 0},
    {"format", m_format, "*", 0, 0},
    {"format_map", m_format_map, "/mapping", 1, 0},
    {"index", m_index, "/sub start end", 1, 0},
    {"isalnum", m_isalnum, NULL, 0, 0},
    {"isalpha", m_isalpha, NULL, 0, 0},
    {"isascii", m_isascii, NULL, 0, 0},
    {"isdecimal", m_isdecimal, NULL, 0, 0},
    {"isdigit", m_isdigit, NULL, 0, 0},
    {"isidentifier", m_isidentifier, NULL, 0, 0},
    {"islower", m_islower, NULL, 0, 0},
    {"isnumeric", m_isnumeric, NULL, 0, 0},
    {"isprintable", m_isprintable, NULL, 0, 0},
    {"isspace", m_isspace, NULL, 0, 0},
    {"istitle", m_istitle, NULL, 0, 0},
    {"isupper", m_isupper, NULL, 0, 0},
    {"join", m_join, "/iterable", 1, 0},
    {"ljust", m_ljust, "/width fillchar", 1, 0},
    {"lower", m_lower, NULL, 0, 0},
    {"lstrip", m_lstrip, "/chars", 0, 0},
    {"maketrans", m_refused, "*", 0, 0},
    {"partition", m_partition, "/sep", 1, 0},
    {"removeprefix", m_removeprefix, "/prefix", 1, 0},
    {"removesuffix", m_removesuffix, "/suffix", 1, 0},
    {"replace", m_replace, "/old new count", 2, 0},
    {"rfind", m_rfind, "/sub start end", 1, 0},
    {"rindex", m_rindex, "/sub start end", 1, 0},
    {"rjust", m_rjust, "/width fillchar", 1, 0},
    {"rpartition", m_rpartition, "/sep", 1, 0},
    {"rsplit", m_rsplit, "sep maxsplit", 0, 0},
    {"rstrip", m_rstrip, "/chars", 0, 0},
    {"split", m_split, "sep maxsplit", 0, 0},
    {"splitlines", m_splitlines, "keepends", 0, 0},
    {"startswith", m_startswith, "/prefix start end", 1, 0},
    {"strip", m_strip, "/chars", 0, 0},
    {"swapcase", m_swapcase, NULL, 0, 0},
    {"title", m_title, NULL, 0, 0},
    {"translate", m_refused, "*", 0, 0},
    {"upper", m_upper, NULL, 0, 0},
    {"zfill", m_zfill, "/width", 1, 0},
};
const size_t jinja_n_methods_str = COUNT(jinja_methods_str);
