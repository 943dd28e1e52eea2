/* jinja/format.c - Python's two ways to format: "%s" % x and "{}".format(x). */
#include "jinja/jinja_int.h"

#include "base/utf8.h"

#include <math.h>
#include <stdio.h>

#define PRECISION_MAX 500

/* What a conversion asks for, in both languages. */
struct spec {
    const struct text *fill; // NULL: blank
    char align;              // '<' '>' '^' '=' or 0
    char sign;               // '+' ' ' or 0
    bool alternate, zero, group;
    char separator;           // of groups: ',' or '_'
    int64_t width, precision; // precision -1: none
    char type;                // 0: none
};

/* Pads `body` (sign and prefix first: `lead` bytes) to the width. */
static void put_padded(struct sink *s, const struct spec *f, const struct text *body, size_t lead,
                       char align)
{
    int64_t pad = f->width - (int64_t)body->n_chars;
    struct value filled;
    if (pad <= 0) {
        jinja_sink_all(s, body);
        return;
    }
    int64_t left = align == '<' ? 0 : align == '^' ? pad / 2 : pad;
    if (align == '=') {
        jinja_sink_text(s, body, 0, lead);
        struct text rest = {.p = "", .trusted = true};
        if (!jinja_text_pad(s->r, &rest, pad, 0, f->fill, &filled)) {
            s->failed = true;
            return;
        }
        jinja_sink_all(s, filled.s);
        jinja_sink_text(s, body, lead, body->n - lead);
        return;
    }
    if (jinja_text_pad(s->r, body, left, pad - left, f->fill, &filled))
        jinja_sink_all(s, filled.s);
    else
        s->failed = true;
}

static void put_number(struct sink *s, const struct spec *f, const char *text, size_t n,
                       size_t lead)
{
    struct text body = {.p = text, .n = (uint32_t)n, .n_chars = (uint32_t)n, .trusted = true};
    put_padded(s, f, &body, lead, f->align ? f->align : '>');
}

/* Digits of the whole part in groups of `size`. */
static void put_grouped(struct buf *out, const char *digits, size_t n, char separator, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % size == 0)
            buf_char(out, separator);
        buf_char(out, digits[i]);
    }
}

static void put_sign(struct buf *out, bool minus, char sign)
{
    if (minus)
        buf_char(out, '-');
    else if (sign)
        buf_char(out, sign);
}

/* An integer in base 2, 8, 10 or 16. */
static bool format_int(struct sink *s, const struct spec *f, int64_t v)
{
    char type = f->type ? f->type : 'd', digits[72], *p = digits + sizeof digits;
    unsigned base = type == 'x' || type == 'X' ? 16 : type == 'o' ? 8 : type == 'b' ? 2 : 10;
    uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
    do {
        unsigned d = (unsigned)(u % base);
        *--p = (char)(d < 10 ? '0' + d : (type == 'X' ? 'A' : 'a') + d - 10);
        u /= base;
    } while (u);
    size_t n = (size_t)(digits + sizeof digits - p);
    struct buf out = BUF_INIT(4096);
    put_sign(&out, v < 0, f->sign);
    if (f->alternate && base != 10) {
        buf_char(&out, '0');
        buf_char(&out, type);
    }
    size_t lead = out.n;
    for (int64_t i = (int64_t)n; i < f->precision && i < PRECISION_MAX; i++)
        buf_char(&out, '0');
    put_grouped(&out, p, n, f->separator, f->group ? (base == 10 ? 3 : 4) : 100);
    put_number(s, f, out.p, out.n, lead);
    buf_free(&out);
    return !s->failed;
}

/* A C format from flags that are known to be harmless. */
static size_t print_float(char *out, size_t cap, bool alternate, int precision, char type, double v)
{
    switch (type) {
    case 'e': return (size_t)snprintf(out, cap, alternate ? "%#.*e" : "%.*e", precision, v);
    case 'E': return (size_t)snprintf(out, cap, alternate ? "%#.*E" : "%.*E", precision, v);
    case 'f': return (size_t)snprintf(out, cap, alternate ? "%#.*f" : "%.*f", precision, v);
    case 'F': return (size_t)snprintf(out, cap, alternate ? "%#.*F" : "%.*F", precision, v);
    case 'G': return (size_t)snprintf(out, cap, alternate ? "%#.*G" : "%.*G", precision, v);
    default: return (size_t)snprintf(out, cap, alternate ? "%#.*g" : "%.*g", precision, v);
    }
}

static bool format_float(struct sink *s, const struct spec *f, double v)
{
    char text[1024], type = f->type ? f->type : 'g';
    bool percent = type == '%';
    if (f->precision > PRECISION_MAX)
        return jinja_fail_limit(s->r, "precision");
    int precision = f->precision < 0 ? 6 : (int)f->precision;
    double size = fabs(v);
    size_t n;
    if (isnan(v) || isinf(v))
        n = (size_t)snprintf(text, sizeof text, type >= 'A' && type <= 'Z' ? "%s" : "%s",
                             isnan(v) ? (type >= 'A' && type <= 'Z' ? "NAN" : "nan")
                                      : (type >= 'A' && type <= 'Z' ? "INF" : "inf"));
    else if (percent)
        n = print_float(text, sizeof text, f->alternate, precision, 'f', size * 100);
    else if (!f->type && f->precision < 0)
        n = jinja_float_text(text, size);
    else
        n = print_float(text, sizeof text, f->alternate,
                        precision == 0 && type == 'g' ? 1 : precision, type, size);
    if (!f->type && f->precision >= 0 && !strpbrk(text, ".en")) // "{:.3}" keeps a point
        n += (size_t)snprintf(text + n, sizeof text - n, ".0");
    struct buf out = BUF_INIT(4096);
    put_sign(&out, signbit(v) && !isnan(v), f->sign);
    size_t lead = out.n, whole = strspn(text, "0123456789");
    put_grouped(&out, text, whole, f->separator, f->group ? 3 : 1000);
    buf_put(&out, text + whole, n - whole);
    if (percent)
        buf_char(&out, '%');
    put_number(s, f, out.p, out.n, lead);
    buf_free(&out);
    return !s->failed;
}

static bool format_text(struct sink *s, const struct spec *f, const struct text *t)
{
    struct value cut = jinja_str(t);
    if (f->precision >= 0 && f->precision < (int64_t)t->n_chars &&
        !jinja_text_sub(s->r, t, 0, jinja_text_offset(t, (size_t)f->precision), &cut))
        return false;
    put_padded(s, f, cut.s, 0, f->align ? f->align : '<');
    return !s->failed;
}

/* repr, with what is past ASCII escaped when asked. */
static bool to_repr(struct render *r, struct value v, bool ascii, struct value *out)
{
    struct sink s, plain;
    jinja_sink_init(&s, r);
    jinja_repr(&s, v);
    if (!jinja_sink_end(&s, out) || !ascii || out->s->n == out->s->n_chars)
        return !s.failed;
    const struct text *t = out->s;
    jinja_sink_init(&plain, r);
    for (str rest = jinja_text_str(t); rest.n && !plain.failed;) {
        size_t at = (size_t)(rest.p - t->p);
        int32_t c = utf8_next(&rest);
        char esc[16];
        snprintf(esc, sizeof esc,
                 c < 0x100     ? "\\x%02x"
                 : c < 0x10000 ? "\\u%04x"
                               : "\\U%08x",
                 (unsigned)c);
        if (c < 0x80)
            jinja_sink_text(&plain, t, at, 1);
        else
            jinja_sink_put(&plain, str_c(esc), jinja_text_trust_at(t, at));
    }
    return jinja_sink_end(&plain, out);
}

/* ---- "..." % args ---- */

struct percent {
    struct render *r;
    struct sink *s;
    const struct text *t;
    size_t at;
    struct value args;
    size_t used; // of a tuple
    bool single_used;
};

static bool next_arg(struct percent *p, struct value *out)
{
    if (p->args.kind == KIND_TUPLE) {
        if (p->used >= p->args.l->n)
            return jinja_fail(p->r, "not enough arguments for format string");
        *out = p->args.l->v[p->used++];
        return true;
    }
    if (p->single_used)
        return jinja_fail(p->r, "not enough arguments for format string");
    p->single_used = true;
    *out = p->args;
    return true;
}

static int peek(const struct percent *p)
{
    return p->at < p->t->n ? (unsigned char)p->t->p[p->at] : -1;
}

static bool read_number(struct percent *p, int64_t *out)
{
    struct value v;
    if (peek(p) == '*') {
        p->at++;
        if (!next_arg(p, &v))
            return false;
        if (v.kind != KIND_INT && v.kind != KIND_BOOL)
            return jinja_fail(p->r, "* wants int");
        return jinja_as_int(v, out);
    }
    for (*out = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++) {
        *out = *out * 10 + (peek(p) - '0');
        if (*out > INT32_MAX)
            return jinja_fail_limit(p->r, "width");
    }
    return true;
}

/* %(name)s takes from a mapping. */
static bool read_key(struct percent *p, struct value *arg, bool *keyed)
{
    *keyed = peek(p) == '(';
    if (!*keyed)
        return true;
    size_t from = ++p->at;
    for (int depth = 1; depth > 0; p->at++) {
        if (peek(p) < 0)
            return jinja_fail(p->r, "incomplete format key");
        depth += peek(p) == '(' ? 1 : peek(p) == ')' ? -1 : 0;
    }
    struct value key, *found;
    if (p->args.kind != KIND_DICT)
        return jinja_fail(p->r, "format requires a mapping");
    if (!jinja_text_sub(p->r, p->t, from, p->at - 1 - from, &key) ||
        !jinja_dict_get(p->r, p->args.d, key, &found))
        return false;
    if (!found)
        return jinja_fail(p->r, "format key '%.*s' is missing", STR_ARG(jinja_text_str(key.s)));
    *arg = *found;
    p->single_used = true;
    return true;
}

static bool convert_number(struct percent *p, struct spec *f, struct value arg)
{
    int64_t i;
    bool whole = strchr("diuxXo", f->type) != NULL;
    if (arg.kind == KIND_UNDEFINED)
        return jinja_fail_undef(p->r, arg);
    if (!jinja_is_number(arg) || (arg.kind == KIND_FLOAT && strchr("xXo", f->type)))
        return jinja_fail(p->r, "%%%c format: a number is required, not %s", f->type,
                          jinja_type_name(arg));
    if (f->zero && f->align != '<' && f->align != '=')
        f->align = '=';
    if (!whole)
        return format_float(p->s, f, jinja_as_double(arg));
    if (arg.kind == KIND_FLOAT) {
        if (!(fabs(arg.f) < 9.2e18))
            return jinja_lex_fail(p->r->t, p->r->at, p->r->e, ERR_LIMIT, "integer past 64 bits");
        i = (int64_t)arg.f;
    } else {
        jinja_as_int(arg, &i);
    }
    if (strchr("iu", f->type))
        f->type = 'd';
    return format_int(p->s, f, i);
}

static bool convert(struct percent *p, struct spec *f, struct value arg)
{
    struct value text;
    int64_t c;
    switch (f->type) {
    case 's':
        if (!jinja_to_str(p->r, arg, &text))
            return false;
        break;
    case 'r':
    case 'a':
        if (!to_repr(p->r, arg, f->type == 'a', &text))
            return false;
        break;
    case 'c': {
        char utf8[4];
        size_t n;
        if (arg.kind == KIND_STR && arg.s->n_chars == 1) {
            text = arg;
            break;
        }
        if (!jinja_as_int(arg, &c) || c < 0 ||
            !(n = utf8_put(utf8, (uint32_t)size_min((size_t)c, 0x110000))))
            return jinja_fail(p->r, "%%c requires int or char");
        struct sink one;
        jinja_sink_init(&one, p->r);
        jinja_sink_put(&one, str_n(utf8, n), true);
        if (!jinja_sink_end(&one, &text))
            return false;
        f->precision = -1;
        break;
    }
    default: return convert_number(p, f, arg);
    }
    if (p->t->markup && !jinja_escape(p->r, text, &text))
        return false;
    if (!f->align)
        f->align = '>';
    f->fill = NULL;
    return format_text(p->s, f, text.s);
}

static bool read_conversion(struct percent *p)
{
    static const struct text zero = {.p = "0", .n = 1, .n_chars = 1, .trusted = true};
    struct spec f = {.precision = -1};
    struct value arg = {.kind = KIND_MISSING};
    bool keyed;
    if (!read_key(p, &arg, &keyed))
        return false;
    for (;; p->at++) {
        int c = peek(p);
        if (c == '-')
            f.align = '<';
        else if (c == '+')
            f.sign = '+';
        else if (c == ' ')
            f.sign = f.sign ? f.sign : ' ';
        else if (c == '#')
            f.alternate = true;
        else if (c == '0')
            f.zero = true;
        else
            break;
    }
    if (!read_number(p, &f.width))
        return false;
    if (f.width < 0) {
        f.align = '<';
        f.width = -f.width;
    }
    if (peek(p) == '.') {
        p->at++;
        if (!read_number(p, &f.precision))
            return false;
        f.precision = f.precision < 0 ? 0 : f.precision;
    }
    while (peek(p) == 'l' || peek(p) == 'h' || peek(p) == 'L')
        p->at++;
    int c = peek(p);
    if (c < 0)
        return jinja_fail(p->r, "incomplete format");
    p->at++;
    if (c == '%') {
        jinja_sink_c(p->s, "%");
        return true;
    }
    if (!strchr("diouxXeEfFgGcrsa", c))
        return jinja_fail(p->r, "unsupported format character '%c'", c);
    if (f.zero && f.align != '<')
        f.fill = &zero;
    f.type = (char)c;
    return (keyed || next_arg(p, &arg)) && convert(p, &f, arg);
}

bool jinja_percent(struct render *r, const struct text *fmt, struct value args, struct value *out)
{
    struct sink s;
    struct percent p = {.r = r, .s = &s, .t = fmt, .args = args};
    jinja_sink_init(&s, r);
    while (p.at < fmt->n && !s.failed) {
        const char *next = memchr(fmt->p + p.at, '%', fmt->n - p.at);
        size_t stop = next ? (size_t)(next - fmt->p) : fmt->n;
        jinja_sink_text(&s, fmt, p.at, stop - p.at);
        p.at = stop + 1;
        if (next && !read_conversion(&p))
            return false;
    }
    bool left = args.kind == KIND_TUPLE
                    ? p.used < args.l->n
                    : !p.single_used && args.kind != KIND_DICT && args.kind != KIND_LIST &&
                          args.kind != KIND_UNDEFINED && args.kind != KIND_RANGE;
    if (left)
        return jinja_fail(r, "not all arguments converted during string formatting");
    return jinja_sink_end(&s, out) && jinja_mark_like(r, jinja_str(fmt), out);
}

/* ---- "...".format(args) ---- */

struct braces {
    struct render *r;
    const struct args *args;
    const struct dict *named; // of format_map; else NULL
    int64_t next;             // automatic number; -1 once numbers were given
    bool automatic;
};

static bool braces_run(struct braces *b, const struct text *fmt, int depth, struct sink *s);

static bool spec_parse(struct render *r, const struct text *t, struct spec *f)
{
    str s = jinja_text_str(t);
    *f = (struct spec){.precision = -1};
    if (s.n) { // a fill character is what stands before an alignment
        str rest = s;
        utf8_next(&rest);
        size_t first = s.n - rest.n;
        struct value fill;
        if (rest.n && strchr("<>=^", rest.p[0])) {
            if (!jinja_text_sub(r, t, 0, first, &fill))
                return false;
            f->fill = fill.s;
            f->align = rest.p[0];
            s = str_from(rest, 1);
        } else if (strchr("<>=^", s.p[0])) {
            f->align = s.p[0];
            s = str_from(s, 1);
        }
    }
    if (s.n && strchr("+- ", s.p[0])) {
        f->sign = s.p[0] == '-' ? 0 : s.p[0];
        s = str_from(s, 1);
    }
    if (s.n && s.p[0] == '#') {
        f->alternate = true;
        s = str_from(s, 1);
    }
    if (s.n && s.p[0] == '0') {
        f->zero = true;
        s = str_from(s, 1);
    }
    for (; s.n && s.p[0] >= '0' && s.p[0] <= '9'; s = str_from(s, 1)) {
        f->width = f->width * 10 + (s.p[0] - '0');
        if (f->width > INT32_MAX)
            return jinja_fail_limit(r, "width");
    }
    if (s.n && (s.p[0] == ',' || s.p[0] == '_')) {
        f->group = true;
        f->separator = s.p[0];
        s = str_from(s, 1);
    }
    if (s.n > 1 && s.p[0] == '.') {
        f->precision = 0;
        for (s = str_from(s, 1); s.n && s.p[0] >= '0' && s.p[0] <= '9'; s = str_from(s, 1)) {
            f->precision = f->precision * 10 + (s.p[0] - '0');
            if (f->precision > INT32_MAX)
                return jinja_fail_limit(r, "precision");
        }
    }
    if (s.n == 1) {
        f->type = s.p[0];
        s = str_from(s, 1);
    }
    return !s.n || jinja_fail(r, "invalid format specifier");
}

static bool format_value(struct render *r, struct value v, const struct text *spec, struct sink *s)
{
    static const struct text zero = {.p = "0", .n = 1, .n_chars = 1, .trusted = true};
    struct spec f;
    struct value text;
    int64_t i;
    if (v.kind == KIND_UNDEFINED && spec->n)
        return jinja_fail(r, "unsupported format string for Undefined");
    if (!spec->n) {
        jinja_show(s, v);
        return !s->failed;
    }
    if (!spec_parse(r, spec, &f))
        return false;
    if (f.zero && !f.align && v.kind != KIND_STR)
        f.align = '=';
    if (f.zero && !f.fill)
        f.fill = &zero;
    if (v.kind == KIND_STR) {
        if ((f.type && f.type != 's') || f.sign || f.alternate || f.group || f.align == '=')
            return jinja_fail(r, "this format is not for strings");
        return format_text(s, &f, v.s);
    }
    if (!jinja_is_number(v))
        return jinja_fail(r, "unsupported format string for %s", jinja_type_name(v));
    if (v.kind == KIND_BOOL && !f.type && !f.sign && !f.group && !f.align && f.precision < 0)
        return jinja_to_str(r, v, &text) && format_text(s, &f, text.s);
    if (jinja_as_int(v, &i) && (!f.type || strchr("dxXobn", f.type))) {
        if (f.precision >= 0)
            return jinja_fail(r, "precision not allowed in integer format specifier");
        if (f.type == 'n')
            f.type = 'd';
        return format_int(s, &f, i);
    }
    if (f.type && !strchr("eEfFgGn%", f.type))
        return jinja_fail(r, "unknown format code '%c' for a number", f.type);
    if (f.type == 'n')
        f.type = 'g';
    return format_float(s, &f, jinja_as_double(v));
}

/* name, 0, or nothing (the next number). */
static bool first_value(struct braces *b, const struct text *t, size_t from, size_t n,
                        struct value *out)
{
    str name = str_n(t->p + from, n);
    int64_t index = 0;
    bool number = name.n && name.n < 18;
    for (size_t i = 0; i < name.n && number; i++) {
        number = name.p[i] >= '0' && name.p[i] <= '9';
        index = index * 10 + (name.p[i] - '0');
    }
    if (!name.n) {
        if (b->next < 0)
            return jinja_fail(b->r, "field numbering can't change from manual to automatic");
        index = b->next++;
        b->automatic = number = true;
    } else if (number) {
        if (b->automatic)
            return jinja_fail(b->r, "field numbering can't change from automatic to manual");
        b->next = -1;
    }
    if (number) {
        if (index >= (int64_t)b->args->n_pos)
            return jinja_fail(b->r, "format index %lld is out of range", (long long)index);
        *out = b->args->pos[index];
        return true;
    }
    if (b->named) {
        struct value *v = jinja_dict_find(b->named, name);
        if (v)
            *out = *v;
        return v || jinja_fail(b->r, "format key '%.*s' is missing", STR_ARG(name));
    }
    for (size_t i = 0; i < b->args->n_kw; i++) {
        if (str_eq(jinja_text_str(b->args->kw[i].name.s), name)) {
            *out = b->args->kw[i].val;
            return true;
        }
    }
    return jinja_fail(b->r, "format key '%.*s' is missing", STR_ARG(name));
}

/* a.b[c] behind the first name. */
static bool follow(struct braces *b, const struct text *t, size_t from, size_t to,
                   struct value *out)
{
    while (from < to) {
        struct value key;
        bool dot = t->p[from] == '.';
        if (!dot && t->p[from] != '[')
            return jinja_fail(b->r, "only '.' or '[' may follow ']' in a format field");
        size_t start = ++from;
        while (from < to && (dot ? t->p[from] != '.' && t->p[from] != '[' : t->p[from] != ']'))
            from++;
        if (start == from || (!dot && from == to))
            return jinja_fail(b->r, "empty attribute in format string");
        if (!jinja_text_sub(b->r, t, start, from - start, &key))
            return false;
        int64_t i = 0;
        bool number = !dot && from - start < 18;
        for (size_t k = start; k < from && number; k++) {
            number = t->p[k] >= '0' && t->p[k] <= '9';
            i = i * 10 + (t->p[k] - '0');
        }
        from += !dot;
        if (!(dot ? jinja_attr(b->r, *out, key, out)
                  : jinja_item(b->r, *out, number ? jinja_int(i) : key, out)))
            return false;
    }
    return true;
}

/* One {field}; [from, to) is its inside. */
static bool put_field(struct braces *b, const struct text *t, size_t from, size_t to, int depth,
                      struct sink *s)
{
    size_t name_end = from, brackets = 0;
    while (name_end < to && (brackets || (t->p[name_end] != '!' && t->p[name_end] != ':'))) {
        brackets += t->p[name_end] == '[';
        brackets -= brackets && t->p[name_end] == ']';
        name_end++;
    }
    size_t at = name_end;
    char conversion = 0;
    if (at < to && t->p[at] == '!') {
        if (at + 1 >= to || (at + 2 < to && t->p[at + 2] != ':'))
            return jinja_fail(b->r, "expected ':' after conversion specifier");
        conversion = t->p[at + 1];
        at += 2;
    }
    size_t first_end = from;
    while (first_end < name_end && t->p[first_end] != '.' && t->p[first_end] != '[')
        first_end++;
    struct value v, spec;
    if (!first_value(b, t, from, first_end - from, &v) || !follow(b, t, first_end, name_end, &v))
        return false;
    if (conversion == 'r' || conversion == 'a') {
        if (!to_repr(b->r, v, conversion == 'a', &v))
            return false;
    } else if (conversion == 's') {
        if (!jinja_to_str(b->r, v, &v))
            return false;
    } else if (conversion) {
        return jinja_fail(b->r, "unknown conversion specifier '%c'", conversion);
    }
    struct sink inner;
    jinja_sink_init(&inner, b->r);
    if (at < to) { // at is ':'
        if (!jinja_text_sub(b->r, t, at + 1, to - at - 1, &spec) ||
            !braces_run(b, spec.s, depth + 1, &inner))
            return false;
    }
    return jinja_sink_end(&inner, &spec) && format_value(b->r, v, spec.s, s);
}

static bool braces_run(struct braces *b, const struct text *fmt, int depth, struct sink *s)
{
    if (depth > 2)
        return jinja_fail(b->r, "max string recursion exceeded");
    for (size_t i = 0; i < fmt->n && !s->failed;) {
        char c = fmt->p[i];
        if (c != '{' && c != '}') {
            size_t from = i;
            while (i < fmt->n && fmt->p[i] != '{' && fmt->p[i] != '}')
                i++;
            jinja_sink_text(s, fmt, from, i - from);
            continue;
        }
        if (i + 1 < fmt->n && fmt->p[i + 1] == c) {
            jinja_sink_text(s, fmt, i, 1);
            i += 2;
            continue;
        }
        if (c == '}')
            return jinja_fail(b->r, "single '}' encountered in format string");
        size_t from = ++i;
        for (int open = 1; i < fmt->n; i++) {
            open += fmt->p[i] == '{' ? 1 : fmt->p[i] == '}' ? -1 : 0;
            if (open == 0)
                break;
        }
        if (i >= fmt->n)
            return jinja_fail(b->r, "expected '}' before end of string");
        if (!put_field(b, fmt, from, i, depth, s))
            return false;
        i++;
    }
    return !s->failed;
}

bool jinja_format(struct render *r, const struct text *fmt, const struct args *args,
                  const struct dict *named, struct value *out)
{
    struct sink s;
    struct braces b = {.r = r, .args = args, .named = named};
    jinja_sink_init(&s, r);
    return braces_run(&b, fmt, 1, &s) && jinja_sink_end(&s, out);
}
