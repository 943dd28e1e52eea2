/* jinja/filters.c - finding built-ins, reading their arguments, attribute paths; the filters that
 * turn one value into another. */
#include "jinja/jinja_int.h"

#include <math.h>
#include <stdio.h>

const struct builtin *jinja_table_find(const struct builtin *table, size_t n, str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqc(name, table[i].name))
            return &table[i];
    return NULL;
}

const struct builtin *jinja_filter_find(str name)
{
    const struct builtin *f = jinja_table_find(jinja_filters_seq, jinja_n_filters_seq, name);
    if (!f)
        f = jinja_table_find(jinja_filters_text, jinja_n_filters_text, name);
    if (!f)
        f = jinja_table_find(jinja_filters_value, jinja_n_filters_value, name);
    return f;
}

bool jinja_arg_int(struct render *r, struct value v, const char *what, int64_t missing,
                   int64_t *out)
{
    if (v.kind == KIND_MISSING) {
        *out = missing;
        return true;
    }
    if (v.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, v);
    if (!jinja_as_int(v, out))
        return jinja_fail(r, "%s must be an integer, not %s", what, jinja_type_name(v));
    return true;
}

bool jinja_arg_int_or_none(struct render *r, struct value v, const char *what, int64_t none,
                           int64_t *out)
{
    if (v.kind == KIND_NONE)
        v.kind = KIND_MISSING;
    return jinja_arg_int(r, v, what, none, out);
}

bool jinja_arg_text(struct render *r, struct value v, const char *what, const struct text **out)
{
    if (v.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, v);
    if (v.kind != KIND_STR)
        return jinja_fail(r, "%s must be a string, not %s", what, jinja_type_name(v));
    *out = v.s;
    return true;
}

/* ---- Attribute paths ---- */

static bool path_part(struct render *r, const struct text *t, size_t from, size_t n,
                      struct value *out)
{
    str s = str_n(t->p + from, n);
    bool number = n > 0 && n < 19;
    int64_t i = 0;
    for (size_t k = 0; k < n && number; k++) {
        number = s.p[k] >= '0' && s.p[k] <= '9';
        i = i * 10 + (s.p[k] - '0');
    }
    *out = jinja_int(i);
    return number || jinja_text_sub(r, t, from, n, out);
}

bool jinja_path_make(struct render *r, struct value attribute, bool fold, struct path *out)
{
    *out = (struct path){.fold = fold, .missing = {.kind = KIND_MISSING}};
    if (attribute.kind == KIND_MISSING || attribute.kind == KIND_NONE)
        return true;
    if (attribute.kind != KIND_STR) {
        out->parts[out->n++] = attribute;
        return true;
    }
    const struct text *t = attribute.s;
    size_t from = 0;
    for (size_t i = 0; i <= t->n; i++) {
        if (i < t->n && t->p[i] != '.')
            continue;
        if (out->n == COUNT(out->parts))
            return jinja_fail_limit(r, "parts of an attribute path");
        if (!path_part(r, t, from, i - from, &out->parts[out->n++]))
            return false;
        from = i + 1;
    }
    return true;
}

bool jinja_path_get(struct render *r, const struct path *p, struct value of, struct value *out)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!jinja_item(r, of, p->parts[i], &of))
            return false;
        if (of.kind == KIND_UNDEFINED && p->missing.kind != KIND_MISSING)
            of = p->missing;
    }
    *out = of;
    if (p->fold && of.kind == KIND_STR)
        return jinja_text_case(r, of.s, CASE_LOWER, out);
    return true;
}

/* ---- Values ---- */

static bool f_abs(struct render *r, struct value self, struct value *a, struct args *args,
                  struct value *out)
{
    (void)a, (void)args;
    int64_t i;
    if (self.kind == KIND_FLOAT) {
        *out = jinja_float(fabs(self.f));
        return true;
    }
    if (!jinja_as_int(self, &i))
        return jinja_fail(r, "bad operand type for abs(): '%s'", jinja_type_name(self));
    if (i < 0)
        return jinja_negate(r, jinja_int(i), true, out);
    *out = jinja_int(i);
    return true;
}

static bool f_attr(struct render *r, struct value self, struct value *a, struct args *args,
                   struct value *out)
{
    (void)args;
    const struct text *name = NULL;
    if (!jinja_arg_text(r, a[0], "attribute name", &name) || !jinja_attr(r, self, a[0], out))
        return false;
    // Only attributes count here, not items.
    struct value *item =
        self.kind == KIND_DICT ? jinja_dict_find(self.d, jinja_text_str(name)) : NULL;
    if (item && jinja_same(*item, *out) && !jinja_method_find(KIND_DICT, jinja_text_str(name)))
        return jinja_undef_attr(r, self, a[0], out);
    return true;
}

static bool f_default(struct render *r, struct value self, struct value *a, struct args *args,
                      struct value *out)
{
    (void)args;
    bool use = self.kind == KIND_UNDEFINED || (jinja_is_true(a[1]) && !jinja_is_true(self));
    *out = use ? a[0] : self;
    if (use && a[0].kind == KIND_MISSING)
        return jinja_text_make(r, STR(""), true, out);
    return true;
}

/* The text without white space around and underscores between digits; false if it holds anything
 * that no number does. */
static bool clean_number(const struct text *t, struct buf *out)
{
    str s = jinja_text_str(t);
    size_t from = 0, to = s.n;
    while (from < to && jinja_char_space((unsigned char)s.p[from]) && s.p[from] >= 0)
        from++;
    while (to > from && s.p[to - 1] >= 0 && jinja_char_space(s.p[to - 1]))
        to--;
    for (size_t i = from; i < to; i++) {
        char c = s.p[i];
        if (c == '_') {
            bool between = i > from && i + 1 < to && s.p[i - 1] != '_' && s.p[i + 1] != '_';
            if (!between)
                return false;
            continue;
        }
        if (c <= 0 || !buf_char(out, c))
            return false;
    }
    return out->n > 0;
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

enum parsed { PARSED, PARSED_NOT, PARSED_BIG };

static enum parsed parse_int(const struct text *t, int64_t base, int64_t *out)
{
    struct buf b = BUF_INIT(256);
    enum parsed result = PARSED_NOT;
    const char *p = clean_number(t, &b) ? buf_cstr(&b) : "";
    bool minus = *p == '-', big = false;
    if (*p == '-' || *p == '+')
        p++;
    int prefix = p[0] == '0' ? (p[1] | 0x20) == 'x'   ? 16
                               : (p[1] | 0x20) == 'o' ? 8
                               : (p[1] | 0x20) == 'b' ? 2
                                                      : 0
                             : 0;
    if (prefix && (base == prefix || base == 0)) {
        base = prefix;
        p += 2;
    } else if (base == 0) {
        base = 10;
    }
    int64_t v = 0;
    for (; *p && digit_of(*p) < base; p++) {
        big |= __builtin_mul_overflow(v, base, &v) || __builtin_sub_overflow(v, digit_of(*p), &v);
        result = PARSED;
    }
    if (*p)
        result = PARSED_NOT;
    if (result == PARSED && (big || (!minus && v == INT64_MIN)))
        result = PARSED_BIG;
    *out = minus ? v : -(v == INT64_MIN ? 0 : v); // counted downward: the lowest has no opposite
    buf_free(&b);
    return result;
}

static bool parse_float(const struct text *t, double *out)
{
    struct buf b = BUF_INIT(512);
    bool ok = clean_number(t, &b);
    const char *p = ok ? buf_cstr(&b) : "";
    const char *digits = *p == '+' || *p == '-' ? p + 1 : p;
    if (ok && !str_to_double(str_c(*p == '+' ? p + 1 : p), out)) {
        static const char *const words[] = {"inf", "infinity", "nan"};
        ok = false;
        for (size_t i = 0; i < COUNT(words); i++)
            ok |= str_eq_nocase(str_c(digits), str_c(words[i]));
        char *end = NULL; // "1." and numbers past the largest are fine in Python
        double v = strtod(p, &end);
        bool plain = strspn(digits, "0123456789.eE+-") == strlen(digits) && end && !*end;
        ok |= plain && *digits;
        if (ok)
            *out = v;
    }
    buf_free(&b);
    return ok;
}

static bool f_int(struct render *r, struct value self, struct value *a, struct args *args,
                  struct value *out)
{
    (void)args;
    int64_t base, i = 0;
    double d;
    struct value fallback = a[0].kind == KIND_MISSING ? jinja_int(0) : a[0];
    if (a[1].kind == KIND_MISSING)
        base = 10;
    else if (!jinja_as_int(a[1], &base))
        base = -1; // of use to strings only; Python then tries a float
    if (self.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, self);
    if (self.kind == KIND_STR) {
        if (!jinja_step(r, self.s->n / 4))
            return false;
        enum parsed p =
            base == 0 || (base >= 2 && base <= 36) ? parse_int(self.s, base, &i) : PARSED_NOT;
        if (p == PARSED_BIG)
            return jinja_lex_fail(r->t, r->at, r->e, ERR_LIMIT, "integer past 64 bits");
        *out = jinja_int(i);
        if (p == PARSED)
            return true;
        if (!parse_float(self.s, &d)) {
            *out = fallback;
            return true;
        }
    } else if (jinja_as_int(self, &i)) {
        *out = jinja_int(i);
        return true;
    } else if (self.kind == KIND_FLOAT) {
        d = self.f;
    } else {
        *out = fallback;
        return true;
    }
    if (isnan(d)) {
        *out = fallback;
        return true;
    }
    if (isinf(d))
        return jinja_fail(r, "cannot convert float infinity to integer");
    if (!(d > -9.2e18 && d < 9.2e18))
        return jinja_lex_fail(r->t, r->at, r->e, ERR_LIMIT, "integer past 64 bits");
    *out = jinja_int((int64_t)d);
    return true;
}

static bool f_float(struct render *r, struct value self, struct value *a, struct args *args,
                    struct value *out)
{
    (void)args;
    double d = 0;
    if (self.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, self);
    if (self.kind == KIND_STR && !jinja_step(r, self.s->n / 4))
        return false;
    if (jinja_is_number(self))
        *out = jinja_float(jinja_as_double(self));
    else if (self.kind == KIND_STR && parse_float(self.s, &d))
        *out = jinja_float(d);
    else
        *out = a[0].kind == KIND_MISSING ? jinja_float(0) : a[0];
    return true;
}

/* Half to even, at 10^digits. */
static bool round_int(struct render *r, int64_t v, int64_t digits, struct value *out)
{
    int64_t unit = 1;
    for (; digits < 0; digits++) {
        if (__builtin_mul_overflow(unit, 10, &unit)) {
            *out = jinja_int(0);
            return true;
        }
    }
    int64_t rest = v % unit, low = v - rest;
    int64_t half = unit / 2, size = rest < 0 ? -rest : rest;
    bool up = unit > 1 && (size > half || (size == half && unit % 2 == 0 && (low / unit) % 2));
    if (up && __builtin_add_overflow(low, rest < 0 ? -unit : unit, &low))
        return jinja_lex_fail(r->t, r->at, r->e, ERR_LIMIT, "integer past 64 bits");
    *out = jinja_int(low);
    return true;
}

static double round_float(double v, int64_t digits)
{
    if (!isfinite(v) || digits > 323)
        return v;
    if (digits < -308)
        return copysign(0.0, v);
    if (digits < 0) {
        double unit = pow(10, (double)-digits), q = v / unit;
        double near = rint(q);
        return near * unit;
    }
    char text[700]; // 309 digits before the point, 323 behind it
    snprintf(text, sizeof text, "%.*f", (int)digits, v);
    return strtod(text, NULL);
}

static bool f_round(struct render *r, struct value self, struct value *a, struct args *args,
                    struct value *out)
{
    (void)args;
    int64_t digits, i;
    if (!jinja_arg_int_or_none(r, a[0], "precision", 0, &digits))
        return false;
    str method = a[1].kind == KIND_STR ? jinja_text_str(a[1].s) : STR("common");
    bool ceiling = str_eqc(method, "ceil");
    if (!ceiling && !str_eqc(method, "floor") && !str_eqc(method, "common"))
        return jinja_fail(r, "method must be common, ceil or floor");
    if (self.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, self);
    if (!jinja_is_number(self))
        return jinja_fail(r, "type %s can't be rounded", jinja_type_name(self));
    if (str_eqc(method, "common")) {
        if (jinja_as_int(self, &i))
            return round_int(r, i, digits, out);
        if (a[0].kind != KIND_NONE)
            *out = jinja_float(round_float(self.f, digits));
        else if (fabs(self.f) < 9.2e18) // to an integer
            *out = jinja_int((int64_t)rint(self.f));
        else
            return jinja_fail(r, "this float can't become an integer");
        return true;
    }
    if (a[0].kind == KIND_NONE)
        return jinja_fail(r, "precision must be an integer");
    double scale = pow(10, (double)digits), v = jinja_as_double(self) * scale;
    if (!isfinite(v))
        return jinja_fail(r, "cannot convert this float to an integer");
    v = ceiling ? ceil(v) : floor(v);
    *out = jinja_float((v + 0.0) / scale); // Python goes through an integer: no negative zero
    return true;
}

const struct builtin jinja_filters_value[] = {
    {"abs", f_abs, NULL, 0, 0},
    {"attr", f_attr, "name", 1, 0},
    {"default", f_default, "default_value boolean", 0, 0},
    {"d", f_default, "default_value boolean", 0, 0},
    {"int", f_int, "default base", 0, 0},
    {"float", f_float, "default", 0, 0},
    {"round", f_round, "precision method", 0, 0},
    {"tojson", jinja_filter_tojson, "ensure_ascii indent separators sort_keys", 0, 0},
};
const size_t jinja_n_filters_value = COUNT(jinja_filters_value);
