/* jinja/text_ops.c - stripping, replacing, splitting into lines, padding: what methods and filters
 * share.  All keep the provenance of every byte. */
#include "jinja/jinja_int.h"

#include "base/utf8.h"

/* ---- Strip ---- */

static bool strips(int32_t c, struct value chars)
{
    if (chars.kind != KIND_STR)
        return jinja_char_space(c);
    for (str rest = jinja_text_str(chars.s); rest.n;)
        if (utf8_next(&rest) == c)
            return true;
    return false;
}

/* Start of the character that ends before `end`. */
static size_t char_before(const struct text *t, size_t end)
{
    do
        end--;
    while (end > 0 && ((unsigned char)t->p[end] & 0xc0) == 0x80);
    return end;
}

bool jinja_text_strip(struct render *r, const struct text *t, struct value chars, int sides,
                      struct value *out)
{
    if (chars.kind == KIND_UNDEFINED ||
        (chars.kind != KIND_STR && chars.kind != KIND_NONE && chars.kind != KIND_MISSING))
        return jinja_fail(r, "strip argument must be a string or none");
    size_t from = 0, to = t->n, cost = chars.kind == KIND_STR ? 1 + chars.s->n / 8 : 1;
    while ((sides & STRIP_LEFT) && from < to) {
        str rest = str_from(jinja_text_str(t), from);
        if (!jinja_step(r, cost))
            return false;
        if (!strips(utf8_next(&rest), chars))
            break;
        from = t->n - rest.n;
    }
    while ((sides & STRIP_RIGHT) && to > from) {
        size_t at = char_before(t, to);
        str last = str_sub(jinja_text_str(t), at, to - at);
        if (!jinja_step(r, cost))
            return false;
        if (!strips(utf8_next(&last), chars))
            break;
        to = at;
    }
    return jinja_text_sub(r, t, from, to - from, out);
}

/* ---- Replace ---- */

/* Between all characters, as Python does for an empty `old`. */
static bool replace_empty(struct render *r, const struct text *t, const struct text *with,
                          int64_t count, struct value *out)
{
    struct sink s;
    jinja_sink_init(&s, r);
    size_t at = 0;
    for (int64_t done = 0; !s.failed; done++) {
        if (count >= 0 && done >= count)
            break;
        if (!jinja_step(r, 1))
            return false;
        jinja_sink_all(&s, with);
        if (at == t->n)
            break;
        str rest = str_from(jinja_text_str(t), at);
        utf8_next(&rest);
        jinja_sink_text(&s, t, at, t->n - rest.n - at);
        at = t->n - rest.n;
    }
    jinja_sink_text(&s, t, at, t->n - at);
    return jinja_sink_end(&s, out);
}

bool jinja_text_replace(struct render *r, const struct text *t, const struct text *old,
                        const struct text *with, int64_t count, struct value *out)
{
    if (old->n == 0)
        return replace_empty(r, t, with, count, out);
    struct sink s;
    jinja_sink_init(&s, r);
    str rest = jinja_text_str(t);
    if (!jinja_step(r, t->n / 32))
        return false;
    for (int64_t done = 0; !s.failed && (count < 0 || done < count); done++) {
        ptrdiff_t at;
        if (!jinja_text_find(r, rest, old, &at))
            return false;
        if (at < 0)
            break;
        jinja_sink_text(&s, t, (size_t)(rest.p - t->p), (size_t)at);
        jinja_sink_all(&s, with);
        rest = str_from(rest, (size_t)at + old->n);
    }
    if (rest.n == t->n) { // nothing was found
        return !s.failed && jinja_text_sub(r, t, 0, t->n, out);
    }
    jinja_sink_text(&s, t, (size_t)(rest.p - t->p), rest.n);
    return jinja_sink_end(&s, out);
}

/* ---- Lines ---- */

static bool ends_line(int32_t c)
{
    return (c >= 0x0a && c <= 0x0d) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 ||
           c == 0x2029;
}

bool jinja_text_lines(struct render *r, const struct text *t, bool keep_ends, struct list *out)
{
    size_t from = 0;
    for (str rest = jinja_text_str(t); rest.n;) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        bool end = ends_line(c);
        if (!end && rest.n)
            continue;
        if (c == '\r' && rest.n && rest.p[0] == '\n')
            rest = str_from(rest, 1);
        size_t next = t->n - rest.n;
        struct value line;
        if (!jinja_text_sub(r, t, from, (end && !keep_ends ? at : next) - from, &line) ||
            !jinja_list_push(r, out, line))
            return false;
        from = next;
    }
    return jinja_step(r, t->n / 4);
}

/* ---- Padding ---- */

bool jinja_text_pad(struct render *r, const struct text *t, int64_t left, int64_t right,
                    const struct text *fill, struct value *out)
{
    if (left <= 0 && right <= 0) {
        *out = jinja_str(t);
        return true;
    }
    struct sink s;
    jinja_sink_init(&s, r);
    if (fill && (left > (int64_t)JINJA_TEXT_MAX || right > (int64_t)JINJA_TEXT_MAX))
        return jinja_fail_limit(r, "output size");
    if (fill && fill->n > 1) {
        for (int64_t i = 0; i < left && !s.failed; i++)
            jinja_sink_all(&s, fill);
    } else {
        jinja_sink_fill(&s, fill ? fill->p[0] : ' ', left, !fill || jinja_text_trusted(fill));
    }
    jinja_sink_all(&s, t);
    if (fill && fill->n > 1) {
        for (int64_t i = 0; i < right && !s.failed; i++)
            jinja_sink_all(&s, fill);
    } else {
        jinja_sink_fill(&s, fill ? fill->p[0] : ' ', right, !fill || jinja_text_trusted(fill));
    }
    return jinja_sink_end(&s, out);
}

bool jinja_text_center(struct render *r, const struct text *t, int64_t width,
                       const struct text *fill, struct value *out)
{
    int64_t pad = width - (int64_t)t->n_chars;
    if (pad <= 0) {
        *out = jinja_str(t);
        return true;
    }
    int64_t left = pad / 2 + (pad & width & 1);
    return jinja_text_pad(r, t, left, pad - left, fill, out);
}
