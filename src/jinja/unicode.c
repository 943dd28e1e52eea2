/* jinja/unicode.c - characters and case as Python's str sees them. */
#include "jinja/jinja_int.h"
#include "jinja/unicode_tab.h"

#include "base/utf8.h"

#include <utf8proc.h>

static utf8proc_category_t category(int32_t c)
{
    return c < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(c);
}

static bool in_ranges(const struct unicode_range *r, size_t n, int32_t c)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c > r[mid].to)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && c >= r[lo].from;
}

bool jinja_char_space(int32_t c)
{
    if (c < 0x80)
        return c == ' ' || (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool jinja_char_alpha(int32_t c)
{
    if (c < 0x80)
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}

bool jinja_char_decimal(int32_t c)
{
    if (c < 0x80)
        return c >= '0' && c <= '9';
    return category(c) == UTF8PROC_CATEGORY_ND;
}

bool jinja_char_digit(int32_t c)
{
    return jinja_char_decimal(c) || in_ranges(jinja_unicode_digit, jinja_unicode_n_digit, c);
}

bool jinja_char_numeric(int32_t c)
{
    if (c < 0x80)
        return jinja_char_decimal(c);
    utf8proc_category_t k = category(c);
    return (k >= UTF8PROC_CATEGORY_ND && k <= UTF8PROC_CATEGORY_NO) ||
           in_ranges(jinja_unicode_numeric, jinja_unicode_n_numeric, c);
}

bool jinja_char_word(int32_t c)
{
    return c == '_' || jinja_char_alpha(c) || jinja_char_numeric(c);
}

bool jinja_char_printable(int32_t c)
{
    if (c < 0x80)
        return c >= ' ' && c < 0x7f;
    utf8proc_category_t k = category(c);
    return !(k == UTF8PROC_CATEGORY_CN || (k >= UTF8PROC_CATEGORY_ZS && k <= UTF8PROC_CATEGORY_CO));
}

bool jinja_char_upper(int32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z';
    return category(c) == UTF8PROC_CATEGORY_LU ||
           in_ranges(jinja_unicode_upper, jinja_unicode_n_upper, c);
}

bool jinja_char_lower(int32_t c)
{
    if (c < 0x80)
        return c >= 'a' && c <= 'z';
    return category(c) == UTF8PROC_CATEGORY_LL ||
           in_ranges(jinja_unicode_lower, jinja_unicode_n_lower, c);
}

bool jinja_char_title(int32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_LT;
}

static size_t take_form(const int32_t form[3], int32_t out[3])
{
    size_t n = 0;
    for (; n < 3 && form[n]; n++)
        out[n] = form[n];
    return n;
}

static const struct unicode_special *special(int32_t c)
{
    size_t lo = 0, hi = jinja_unicode_n_special;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (jinja_unicode_special[mid].c < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    const struct unicode_special *s = &jinja_unicode_special[lo];
    return lo < jinja_unicode_n_special && s->c == c ? s : NULL;
}

static const struct unicode_fold *fold(int32_t c)
{
    size_t lo = 0, hi = jinja_unicode_n_fold;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (jinja_unicode_fold[mid].c < c)
            lo = mid + 1;
        else
            hi = mid;
    }
    const struct unicode_fold *f = &jinja_unicode_fold[lo];
    return lo < jinja_unicode_n_fold && f->c == c ? f : NULL;
}

size_t jinja_char_map(int32_t c, enum casing to, int32_t out[3])
{
    out[0] = c;
    if (c < 0x80) {
        bool up = to == CASE_UPPER || to == CASE_TITLE;
        if (up && c >= 'a' && c <= 'z')
            out[0] = c - 32;
        else if (!up && c >= 'A' && c <= 'Z')
            out[0] = c + 32;
        return 1;
    }
    if (to == CASE_UPPER || to == CASE_TITLE) {
        const struct unicode_special *s = special(c);
        if (s)
            return take_form(to == CASE_UPPER ? s->upper : s->title, out);
        out[0] = to == CASE_UPPER ? utf8proc_toupper(c) : utf8proc_totitle(c);
        return 1;
    }
    const struct unicode_fold *f = to == CASE_FOLD ? fold(c) : NULL;
    if (f)
        return take_form(f->to, out);
    if (c == 0x130) { // capital I with dot: the only lower form of two code points
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    out[0] = utf8proc_tolower(c);
    return 1;
}

/* ---- Whole texts ---- */

static void put_mapped(struct sink *s, int32_t c, enum casing to, bool trusted)
{
    int32_t form[3];
    size_t n = jinja_char_map(c, to, form);
    for (size_t i = 0; i < n; i++) {
        char utf8[4];
        jinja_sink_put(s, str_n(utf8, utf8_put(utf8, (uint32_t)form[i])), trusted);
    }
}

static bool cased(int32_t c)
{
    return jinja_char_upper(c) || jinja_char_lower(c) || jinja_char_title(c);
}

static bool case_ignorable(int32_t c)
{
    if (c < 0x80)
        return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`';
    utf8proc_category_t k = category(c);
    return k == UTF8PROC_CATEGORY_MN || k == UTF8PROC_CATEGORY_ME || k == UTF8PROC_CATEGORY_CF ||
           k == UTF8PROC_CATEGORY_LM || k == UTF8PROC_CATEGORY_SK || c == 0xb7 || c == 0x2019;
}

/* A capital sigma is a final one when a cased letter stands before it and none behind. */
static bool final_sigma(str text, size_t at, size_t n)
{
    bool before = false;
    for (str s = str_sub(text, 0, at); s.n;) {
        int32_t c = utf8_next(&s);
        if (!case_ignorable(c))
            before = cased(c);
    }
    if (!before)
        return false;
    for (str s = str_from(text, at + n); s.n;) {
        int32_t c = utf8_next(&s);
        if (!case_ignorable(c))
            return !cased(c);
    }
    return true;
}

/* Maps the characters of t from byte `from` on that take `n` bytes. */
static void map_part(struct sink *s, const struct text *t, size_t from, size_t n, enum casing to)
{
    str all = jinja_text_str(t), rest = str_sub(all, from, n);
    while (rest.n && !s->failed) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        size_t len = (size_t)(rest.p - t->p) - at;
        bool trusted = jinja_text_trust_at(t, at);
        if (c == 0x3a3 && to == CASE_LOWER) {
            if (!jinja_step(s->r, t->n / 32 + 1))
                s->failed = true;
            bool last = final_sigma(all, at, len);
            jinja_sink_put(s, last ? STR("\xcf\x82") : STR("\xcf\x83"), trusted);
        } else {
            put_mapped(s, c, to, trusted);
        }
    }
}

bool jinja_text_case(struct render *r, const struct text *t, enum casing to, struct value *out)
{
    struct sink s;
    jinja_sink_init(&s, r);
    map_part(&s, t, 0, t->n, to);
    return jinja_sink_end(&s, out);
}

bool jinja_text_capitalize(struct render *r, const struct text *t, struct value *out)
{
    struct sink s;
    jinja_sink_init(&s, r);
    size_t first = jinja_text_offset(t, 1);
    map_part(&s, t, 0, first, CASE_TITLE);
    map_part(&s, t, first, t->n - first, CASE_LOWER);
    return jinja_sink_end(&s, out);
}

bool jinja_text_title(struct render *r, const struct text *t, struct value *out)
{
    struct sink s;
    jinja_sink_init(&s, r);
    bool in_word = false;
    for (str rest = jinja_text_str(t); rest.n && !s.failed;) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        map_part(&s, t, at, (size_t)(rest.p - t->p) - at, in_word ? CASE_LOWER : CASE_TITLE);
        in_word = cased(c);
    }
    return jinja_sink_end(&s, out);
}

bool jinja_text_swapcase(struct render *r, const struct text *t, struct value *out)
{
    struct sink s;
    jinja_sink_init(&s, r);
    for (str rest = jinja_text_str(t); rest.n && !s.failed;) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        size_t n = (size_t)(rest.p - t->p) - at;
        if (jinja_char_upper(c))
            map_part(&s, t, at, n, CASE_LOWER);
        else if (jinja_char_lower(c))
            map_part(&s, t, at, n, CASE_UPPER);
        else
            jinja_sink_text(&s, t, at, n);
    }
    return jinja_sink_end(&s, out);
}
