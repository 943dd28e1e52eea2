/* gram/valid.c - whether a value fits a schema: a plain reading of JSON Schema, which shares only
 * the look-up of references with the automaton's side.  Patterns are PCRE2's here, so that two
 * readers must agree.
 *
 * Not looked at: unevaluatedProperties and unevaluatedItems (they are refused or taken care of by
 * schema_object.c), formats without a row below. */
#include "gram/schema_int.h"

#include <math.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { STEPS_MAX = 2000000, VALUE_NEST_MAX = 300 };

struct check {
    const json_t *root;
    long steps;
    int depth;
    struct buf where; // pointer into the value
    struct err *e;
};

static bool fits(struct check *c, const json_t *schema, const json_t *v);

static bool wrong(struct check *c, const char *keyword, const char *what)
{
    return err_set_at(c->e, ERR_INPUT, c->where.n ? buf_cstr(&c->where) : "", "%s: %s", keyword,
                      what);
}

/* The same without keeping the error, for anyOf and the like. */
static bool try_fits(struct check *c, const json_t *schema, const json_t *v)
{
    struct err *e = c->e, ignored;
    c->e = &ignored;
    bool ok = fits(c, schema, v);
    c->e = e;
    return ok;
}

static bool equal(struct check *c, const json_t *a, const json_t *b)
{
    const char *key;
    json_t *v;
    size_t i;
    c->steps++;
    if (json_is_number(a) && json_is_number(b))
        return json_is_integer(a) && json_is_integer(b)
                   ? json_integer_value(a) == json_integer_value(b)
                   : json_number_value(a) == json_number_value(b);
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_string(a))
        return str_eq(json_as_str(a), json_as_str(b));
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        json_array_foreach(a, i, v) if (!equal(c, v, json_array_get(b, i))) return false;
        return true;
    }
    if (json_is_object(a)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        json_object_foreach((json_t *)(uintptr_t)a, key, v)
        {
            const json_t *other = json_object_get(b, key);
            if (!other || !equal(c, v, other))
                return false;
        }
    }
    return true;
}

static bool type_fits(const json_t *type, const json_t *v)
{
    size_t i;
    json_t *t;
    if (json_is_array(type)) {
        json_array_foreach(type, i, t) if (type_fits(t, v)) return true;
        return false;
    }
    str name = json_as_str(type);
    if (str_eqc(name, "integer"))
        return json_is_integer(v) ||
               (json_is_real(v) && json_real_value(v) == floor(json_real_value(v)));
    return (str_eqc(name, "null") && json_is_null(v)) ||
           (str_eqc(name, "boolean") && json_is_boolean(v)) ||
           (str_eqc(name, "object") && json_is_object(v)) ||
           (str_eqc(name, "array") && json_is_array(v)) ||
           (str_eqc(name, "number") && json_is_number(v)) ||
           (str_eqc(name, "string") && json_is_string(v));
}

/* ---- strings ---- */

/* ECMA's \s and . are wider and narrower than PCRE2's. */
static void rewrite(str in, struct buf *out)
{
    static const char spaces[] = "\\s\\u{a0}\\u{1680}\\u{2000}-\\u{200a}\\u{2028}\\u{2029}\\u{202f}"
                                 "\\u{205f}\\u{3000}\\u{feff}";
    bool class = false;
    for (size_t i = 0; i < in.n; i++) {
        char ch = in.p[i];
        if (ch == '\\' && i + 1 < in.n) {
            char next = in.p[++i];
            if (next == 's')
                buf_printf(out, class ? "%s" : "[%s]", spaces);
            else if (next == 'S' && !class)
                buf_printf(out, "[^%s]", spaces);
            else
                buf_printf(out, "\\%c", next);
            continue;
        }
        if (ch == '.' && !class) {
            buf_c(out, "[^\\n\\r\\u{2028}\\u{2029}]");
            continue;
        }
        if (ch == '[')
            class = true;
        else if (ch == ']')
            class = false;
        buf_char(out, ch);
    }
}

/* True too where PCRE2 cannot tell: the automaton has read the pattern. */
static bool pattern_found(str pattern, str text)
{
    struct buf p = BUF_INIT(1 << 20);
    int code;
    PCRE2_SIZE at;
    rewrite(pattern, &p);
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    pcre2_set_compile_extra_options(cc, PCRE2_EXTRA_ALT_BSUX);
    pcre2_code *re = p.full ? NULL
                            : pcre2_compile((PCRE2_SPTR)(p.p ? p.p : ""), p.n,
                                            PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX |
                                                PCRE2_ALLOW_EMPTY_CLASS | PCRE2_NO_AUTO_CAPTURE,
                                            &code, &at, cc);
    pcre2_compile_context_free(cc);
    buf_free(&p);
    if (!re)
        return true;
    pcre2_match_data *md = pcre2_match_data_create(1, NULL);
    pcre2_match_context *mc = pcre2_match_context_create(NULL);
    pcre2_set_match_limit(mc, 1000000);
    int n = pcre2_match(re, (PCRE2_SPTR)(text.p ? text.p : ""), text.n, 0, 0, md, mc);
    pcre2_match_context_free(mc);
    pcre2_match_data_free(md);
    pcre2_code_free(re);
    return n != PCRE2_ERROR_NOMATCH;
}

static bool digits(str s, size_t at, size_t n, int *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        char c = at + i < s.n ? s.p[at + i] : 0;
        if (c < '0' || c > '9')
            return false;
        *out = *out * 10 + (c - '0');
    }
    return true;
}

static bool is_date(str s)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int y, m, d;
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' || !digits(s, 0, 4, &y) ||
        !digits(s, 5, 2, &m) || !digits(s, 8, 2, &d) || m < 1 || m > 12)
        return false;
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return d >= 1 && d <= days[m - 1] + (m == 2 && leap);
}

static bool is_time(str s)
{
    int h, m, sec;
    if (s.n < 9 || s.p[2] != ':' || s.p[5] != ':' || !digits(s, 0, 2, &h) || !digits(s, 3, 2, &m) ||
        !digits(s, 6, 2, &sec) || h > 23 || m > 59 || sec > 59)
        return false;
    s = str_from(s, 8);
    if (str_starts(s, STR("."))) {
        size_t n = 1;
        while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
            n++;
        if (n == 1)
            return false;
        s = str_from(s, n);
    }
    if (str_eqc(s, "Z") || str_eqc(s, "z"))
        return true;
    return s.n == 6 && (s.p[0] == '+' || s.p[0] == '-') && s.p[3] == ':' && digits(s, 1, 2, &h) &&
           digits(s, 4, 2, &m) && h < 24 && m < 60;
}

static bool is_ipv4(str s)
{
    str part;
    int n = 0;
    while (str_cut(&s, '.', &part)) {
        int v;
        if (part.n < 1 || part.n > 3 || !digits(part, 0, part.n, &v) || v > 255 ||
            (part.n > 1 && part.p[0] == '0'))
            return false;
        n++;
    }
    return n == 4;
}

static bool is_uuid(str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23, is = s.p[i] == '-';
        char low = (char)(s.p[i] | 32);
        bool hex = (s.p[i] >= '0' && s.p[i] <= '9') || (low >= 'a' && low <= 'f');
        if (dash ? !is : !hex)
            return false;
    }
    return s.n == 36;
}

static bool format_fits(str name, str s)
{
    if (str_eqc(name, "date"))
        return is_date(s);
    if (str_eqc(name, "time"))
        return is_time(s);
    if (str_eqc(name, "date-time"))
        return s.n > 11 && (s.p[10] | 32) == 't' && is_date(str_sub(s, 0, 10)) &&
               is_time(str_from(s, 11));
    if (str_eqc(name, "ipv4"))
        return is_ipv4(s);
    if (str_eqc(name, "uuid"))
        return is_uuid(s);
    if (str_eqc(name, "email")) {
        ptrdiff_t sign = str_chr(s, '@');
        return sign > 0 && (size_t)sign + 1 < s.n && str_rchr(s, '@') == sign;
    }
    return true;
}

static bool string_fits(struct check *c, const json_t *schema, const json_t *v)
{
    str s = json_as_str(v);
    const json_t *k;
    double length = 0;
    for (size_t i = 0; i < s.n; i++)
        length += ((uint8_t)s.p[i] & 0xC0) != 0x80;
    if ((k = json_object_get(schema, "minLength")) && length < json_number_value(k))
        return wrong(c, "minLength", "too short");
    if ((k = json_object_get(schema, "maxLength")) && length > json_number_value(k))
        return wrong(c, "maxLength", "too long");
    if ((k = json_object_get(schema, "pattern")) && !pattern_found(json_as_str(k), s))
        return wrong(c, "pattern", "does not match");
    if ((k = json_object_get(schema, "format")) && !format_fits(json_as_str(k), s))
        return wrong(c, "format", "is not one");
    return true;
}

static bool number_fits(struct check *c, const json_t *schema, const json_t *v)
{
    double d = json_number_value(v);
    const json_t *k, *x;
    k = json_object_get(schema, "minimum");
    x = json_object_get(schema, "exclusiveMinimum");
    if (k && (d < json_number_value(k) || (json_is_true(x) && d == json_number_value(k))))
        return wrong(c, "minimum", "too small");
    if (json_is_number(x) && d <= json_number_value(x))
        return wrong(c, "exclusiveMinimum", "too small");
    k = json_object_get(schema, "maximum");
    x = json_object_get(schema, "exclusiveMaximum");
    if (k && (d > json_number_value(k) || (json_is_true(x) && d == json_number_value(k))))
        return wrong(c, "maximum", "too large");
    if (json_is_number(x) && d >= json_number_value(x))
        return wrong(c, "exclusiveMaximum", "too large");
    if ((k = json_object_get(schema, "multipleOf")) && json_number_value(k) > 0) {
        double q = d / json_number_value(k);
        if (fabs(q - round(q)) > 1e-9 * fmax(1, fabs(q)))
            return wrong(c, "multipleOf", "is not a multiple");
    }
    return true;
}

/* ---- arrays and objects ---- */

static bool part_fits(struct check *c, const json_t *schema, const json_t *v, const char *name,
                      size_t index)
{
    size_t n = c->where.n;
    if (name)
        buf_printf(&c->where, "/%s", name);
    else
        buf_printf(&c->where, "/%zu", index);
    bool ok = fits(c, schema, v);
    if (c->where.n > n)
        c->where.n = n;
    return ok;
}

static bool array_fits(struct check *c, const json_t *schema, const json_t *v)
{
    size_t n = json_array_size(v), i, k, hits = 0;
    const json_t *items = json_object_get(schema, "items"), *x;
    const json_t *prefix = json_object_get(schema, "prefixItems");
    json_t *part;
    if ((x = json_object_get(schema, "minItems")) && (double)n < json_number_value(x))
        return wrong(c, "minItems", "too few items");
    if ((x = json_object_get(schema, "maxItems")) && (double)n > json_number_value(x))
        return wrong(c, "maxItems", "too many items");
    if (!prefix && json_is_array(items)) {
        prefix = items;
        items = json_object_get(schema, "additionalItems");
    }
    json_array_foreach(v, i, part)
    {
        const json_t *of = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        if (of && !part_fits(c, of, part, NULL, i))
            return false;
    }
    if (json_is_true(json_object_get(schema, "uniqueItems")))
        for (i = 0; i < n; i++)
            for (k = 0; k < i && c->steps < STEPS_MAX; k++)
                if (equal(c, json_array_get(v, i), json_array_get(v, k)))
                    return wrong(c, "uniqueItems", "two items are equal");
    if ((x = json_object_get(schema, "contains"))) {
        const json_t *least = json_object_get(schema, "minContains");
        const json_t *most = json_object_get(schema, "maxContains");
        json_array_foreach(v, i, part) hits += try_fits(c, x, part);
        if ((double)hits < (least ? json_number_value(least) : 1))
            return wrong(c, "contains", "too few such items");
        if (most && (double)hits > json_number_value(most))
            return wrong(c, "maxContains", "too many such items");
    }
    return true;
}

static bool members_fit(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *props = json_object_get(schema, "properties");
    const json_t *patterns = json_object_get(schema, "patternProperties");
    const json_t *more = json_object_get(schema, "additionalProperties");
    const json_t *names = json_object_get(schema, "propertyNames");
    const char *key, *pattern;
    json_t *part, *of;
    json_object_foreach((json_t *)(uintptr_t)v, key, part)
    {
        bool told = false;
        if ((of = json_object_get(props, key))) {
            told = true;
            if (!part_fits(c, of, part, key, 0))
                return false;
        }
        json_object_foreach((json_t *)(uintptr_t)patterns, pattern, of)
        {
            if (!pattern_found(str_c(pattern), str_c(key)))
                continue;
            told = true;
            if (!part_fits(c, of, part, key, 0))
                return false;
        }
        if (!told && more && !part_fits(c, more, part, key, 0))
            return false;
        if (names) {
            json_t *name = json_string(key);
            bool ok = fits(c, names, name);
            json_decref(name);
            if (!ok)
                return false;
        }
    }
    return true;
}

static bool dependencies_fit(struct check *c, const json_t *map, const json_t *v)
{
    const char *key;
    json_t *part, *name;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)map, key, part)
    {
        if (!json_object_get(v, key))
            continue;
        if (!json_is_array(part) && !fits(c, part, v))
            return false;
        json_array_foreach(part, i, name)
        {
            if (!json_object_get(v, json_string_value(name)))
                return wrong(c, "dependentRequired", "a property is missing");
        }
    }
    return true;
}

static bool object_fits(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *x;
    json_t *name;
    size_t i;
    double n = (double)json_object_size(v);
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        if (!json_object_get(v, json_string_value(name) ? json_string_value(name) : ""))
            return wrong(c, "required", json_string_value(name));
    }
    if ((x = json_object_get(schema, "minProperties")) && n < json_number_value(x))
        return wrong(c, "minProperties", "too few properties");
    if ((x = json_object_get(schema, "maxProperties")) && n > json_number_value(x))
        return wrong(c, "maxProperties", "too many properties");
    return members_fit(c, schema, v) &&
           dependencies_fit(c, json_object_get(schema, "dependentRequired"), v) &&
           dependencies_fit(c, json_object_get(schema, "dependentSchemas"), v) &&
           dependencies_fit(c, json_object_get(schema, "dependencies"), v);
}

/* ---- all ---- */

static bool combined_fits(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *list, *x;
    json_t *part;
    size_t i, hits = 0;
    json_array_foreach(json_object_get(schema, "allOf"), i,
                       part) if (!fits(c, part, v)) return false;
    if ((list = json_object_get(schema, "anyOf"))) {
        for (i = 0; i < json_array_size(list) && !hits; i++)
            hits = try_fits(c, json_array_get(list, i), v);
        if (!hits)
            return wrong(c, "anyOf", "no alternative fits");
    }
    hits = 0;
    if ((list = json_object_get(schema, "oneOf"))) {
        json_array_foreach(list, i, part) hits += try_fits(c, part, v);
        if (hits != 1)
            return wrong(c, "oneOf", hits ? "several alternatives fit" : "no alternative fits");
    }
    if ((x = json_object_get(schema, "not")) && try_fits(c, x, v))
        return wrong(c, "not", "it fits");
    if ((x = json_object_get(schema, "if"))) {
        x = json_object_get(schema, try_fits(c, x, v) ? "then" : "else");
        if (x && !fits(c, x, v))
            return false;
    }
    return true;
}

static bool keywords_fit(struct check *c, const json_t *schema, const json_t *v)
{
    const json_t *x;
    size_t i;
    json_t *part;
    if ((x = json_object_get(schema, "$ref"))) {
        const json_t *to = ref_target(c->root, json_as_str(x));
        if (!to || !fits(c, to, v))
            return to ? false : wrong(c, "$ref", "leads nowhere");
    }
    if ((x = json_object_get(schema, "type")) && !type_fits(x, v))
        return wrong(c, "type", "is another");
    if ((x = json_object_get(schema, "const")) && !equal(c, x, v))
        return wrong(c, "const", "is another value");
    if ((x = json_object_get(schema, "enum"))) {
        bool any = false;
        json_array_foreach(x, i, part) any = any || equal(c, part, v);
        if (!any)
            return wrong(c, "enum", "is none of the values");
    }
    if (json_is_string(v) && !string_fits(c, schema, v))
        return false;
    if (json_is_number(v) && !number_fits(c, schema, v))
        return false;
    if (json_is_array(v) && !array_fits(c, schema, v))
        return false;
    if (json_is_object(v) && !object_fits(c, schema, v))
        return false;
    return combined_fits(c, schema, v);
}

static bool fits(struct check *c, const json_t *schema, const json_t *v)
{
    if (json_is_false(schema))
        return wrong(c, "false", "nothing fits");
    if (!json_is_object(schema))
        return true;
    if (++c->steps > STEPS_MAX || c->depth >= VALUE_NEST_MAX)
        return err_set(c->e, ERR_LIMIT, "the value takes too long to check");
    c->depth++;
    bool ok = keywords_fit(c, schema, v);
    c->depth--;
    return ok;
}

bool valid_value(const json_t *root, const json_t *schema, const json_t *v, struct err *e)
{
    struct check c = {.root = root, .where = BUF_INIT(4096), .e = e};
    bool ok = fits(&c, schema, v);
    buf_free(&c.where);
    return ok;
}

bool gram_valid(const json_t *root, const json_t *at, str text, struct err *e)
{
    json_error_t why;
    json_t *v = json_loadb(text.p ? text.p : "", text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!v)
        return err_set(e, ERR_INPUT, "not JSON: %s", why.text);
    bool ok = valid_value(root, at ? at : root, v, e);
    json_decref(v);
    return ok;
}
