/* json/write.c - see json.h: writing, plain or with the bytes of Python's json.dumps. */
#include "json/json.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <math.h>

#define DEPTH_MAX 2048 // jansson's own limit for what it parses

size_t json_real_text(char out[JSON_REAL_MAX], double v)
{
    if (isnan(v))
        return (size_t)snprintf(out, JSON_REAL_MAX, "NaN");
    if (isinf(v))
        return (size_t)snprintf(out, JSON_REAL_MAX, v < 0 ? "-Infinity" : "Infinity");

    // The fewest digits that read back the same: d.ddde[+-]xx.
    char text[40];
    for (int digits = 0; digits <= 16; digits++) {
        snprintf(text, sizeof text, "%.*e", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    char digit[24] = {0};
    int n = 0;
    const char *p = text;
    char *o = out;
    if (*p == '-') {
        *o++ = '-';
        p++;
    }
    for (; *p && *p != 'e'; p++)
        if (*p != '.')
            digit[n++] = *p;
    int point = (int)strtol(p + 1, NULL, 10) + 1; // digits before the point

    if (point > 16 || point < -3) {
        *o++ = digit[0];
        if (n > 1) {
            *o++ = '.';
            memcpy(o, digit + 1, (size_t)n - 1);
            o += n - 1;
        }
        o += snprintf(o, 8, "e%c%02d", point > 0 ? '+' : '-', abs(point - 1));
    } else if (point <= 0) {
        *o++ = '0';
        *o++ = '.';
        for (int i = point; i < 0; i++)
            *o++ = '0';
        memcpy(o, digit, (size_t)n);
        o += n;
    } else {
        for (int i = 0; i < point; i++)
            *o++ = i < n ? digit[i] : '0';
        *o++ = '.';
        if (n <= point)
            *o++ = '0';
        for (int i = point; i < n; i++)
            *o++ = digit[i];
    }
    *o = '\0';
    return (size_t)(o - out);
}

static void write_escape(struct buf *out, uint32_t cp)
{
    static const char short_form[] = "\b\t\n\f\r\"\\";
    static const char letter[] = "btnfr\"\\";
    const char *at = cp && cp < 128 ? strchr(short_form, (int)cp) : NULL;
    if (at) {
        buf_char(out, '\\');
        buf_char(out, letter[at - short_form]);
    } else if (cp > 0xffff) {
        cp -= 0x10000;
        buf_printf(out, "\\u%04x\\u%04x", 0xd800 + (cp >> 10), 0xdc00 + (cp & 0x3ff));
    } else {
        buf_printf(out, "\\u%04x", cp);
    }
}

bool json_write_str(struct buf *out, str s, int flags)
{
    buf_char(out, '"');
    const char *from = s.p; // start of what is copied as it is
    while (s.n) {
        const char *at = s.p;
        unsigned char c = (unsigned char)*at;
        if (c >= ' ' && c < 0x7f && c != '"' && c != '\\') {
            s = str_from(s, 1);
            continue;
        }
        int32_t cp = utf8_next(&s);
        bool escape = cp >= 0 &&
                      (cp < ' ' || cp == '"' || cp == '\\' || (cp >= 0x7f && (flags & JSON_ASCII)));
        if (cp >= 0 && !escape)
            continue;
        buf_put(out, from, (size_t)(at - from));
        if (cp < 0 && !(flags & JSON_ASCII))
            buf_c(out, "\xef\xbf\xbd");
        else
            write_escape(out, cp < 0 ? 0xfffd : (uint32_t)cp);
        from = s.p;
    }
    if (from)
        buf_put(out, from, (size_t)(s.p - from));
    return buf_char(out, '"') && !out->full;
}

struct writer {
    struct buf *out;
    int flags, indent;
};

static bool write_value(struct writer *w, const json_t *v, int depth);

static void write_break(struct writer *w, int depth)
{
    if (w->indent < 0)
        return;
    size_t n = (size_t)w->indent * (size_t)depth;
    buf_char(w->out, '\n');
    char *to = buf_reserve(w->out, n);
    if (to) {
        memset(to, ' ', n);
        w->out->n += n;
    }
}

/* Between items: a comma, and where the line goes on, Python's blank. */
static void write_comma(struct writer *w)
{
    buf_char(w->out, ',');
    if (w->indent < 0 && (w->flags & JSON_PYTHON))
        buf_char(w->out, ' ');
}

static bool write_array(struct writer *w, const json_t *v, int depth)
{
    size_t n = json_array_size(v);
    buf_char(w->out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i)
            write_comma(w);
        write_break(w, depth + 1);
        if (!write_value(w, json_array_get(v, i), depth + 1))
            return false;
    }
    if (n)
        write_break(w, depth);
    return buf_char(w->out, ']');
}

struct member {
    str key;
    const json_t *value;
};

static int member_order(const void *a, const void *b)
{
    return str_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static bool write_object(struct writer *w, const json_t *v, int depth)
{
    size_t n = json_object_size(v), i = 0;
    struct member *all = mem_calloc(n, sizeof *all);
    json_t *o = (json_t *)(uintptr_t)v; // jansson's iterators take no const; nothing is changed
    for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
        all[i++] = (struct member){
            {json_object_iter_key(it), json_object_iter_key_len(it)},
            json_object_iter_value(it),
        };
    if (w->flags & JSON_SORT)
        qsort(all, n, sizeof *all, member_order);

    buf_char(w->out, '{');
    bool ok = true;
    for (i = 0; i < n && ok; i++) {
        if (i)
            write_comma(w);
        write_break(w, depth + 1);
        json_write_str(w->out, all[i].key, w->flags);
        buf_c(w->out, w->flags & JSON_PYTHON ? ": " : ":");
        ok = write_value(w, all[i].value, depth + 1);
    }
    mem_free(all);
    if (n)
        write_break(w, depth);
    return ok && buf_char(w->out, '}');
}

static bool write_value(struct writer *w, const json_t *v, int depth)
{
    if (w->out->full)
        return false;
    if (depth > DEPTH_MAX) {
        w->out->full = true;
        return false;
    }
    if (!v)
        return buf_c(w->out, "null");
    char text[JSON_REAL_MAX];
    switch (json_typeof(v)) {
    case JSON_OBJECT: return write_object(w, v, depth);
    case JSON_ARRAY: return write_array(w, v, depth);
    case JSON_STRING: return json_write_str(w->out, json_as_str(v), w->flags);
    case JSON_INTEGER: return buf_printf(w->out, "%lld", (long long)json_integer_value(v));
    case JSON_REAL: return buf_put(w->out, text, json_real_text(text, json_real_value(v)));
    case JSON_TRUE: return buf_c(w->out, "true");
    case JSON_FALSE: return buf_c(w->out, "false");
    case JSON_NULL: return buf_c(w->out, "null");
    }
    return false;
}

bool json_write(struct buf *out, const json_t *v, int flags, int indent)
{
    struct writer w = {out, flags, indent};
    return write_value(&w, v, 0) && !out->full;
}
