/* jinja/ops.c - arithmetic, concatenation and comparison with Python's results and refusals. */
#include "jinja/jinja_int.h"

#include <math.h>

static const char *const op_names[] = {
    [OP_ADD] = "+", [OP_SUB] = "-",  [OP_MUL] = "*", [OP_DIV] = "/", [OP_FLOORDIV] = "//",
    [OP_MOD] = "%", [OP_POW] = "**", [OP_EQ] = "==", [OP_NE] = "!=", [OP_LT] = "<",
    [OP_LE] = "<=", [OP_GT] = ">",   [OP_GE] = ">=", [OP_IN] = "in", [OP_NOT_IN] = "not in",
};

static bool fail_types(struct render *r, enum op op, struct value a, struct value b)
{
    return jinja_fail(r, "unsupported operand types for %s: '%s' and '%s'", op_names[op],
                      jinja_type_name(a), jinja_type_name(b));
}

static bool fail_big(struct render *r)
{
    return jinja_lex_fail(r->t, r->at, r->e, ERR_LIMIT, "integer past 64 bits");
}

static bool int_pow(struct render *r, int64_t a, int64_t b, struct value *out)
{
    if (b < 0) {
        if (a == 0)
            return jinja_fail(r, "0 can't be raised to a negative power");
        *out = jinja_float(pow((double)a, (double)b));
        return true;
    }
    int64_t v = 1;
    for (;;) {
        if ((b & 1) && __builtin_mul_overflow(v, a, &v))
            return fail_big(r);
        b >>= 1;
        if (!b)
            break;
        if (__builtin_mul_overflow(a, a, &a))
            return fail_big(r);
    }
    *out = jinja_int(v);
    return true;
}

static bool int_op(struct render *r, enum op op, int64_t a, int64_t b, struct value *out)
{
    int64_t v = 0;
    bool big = false;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
        return jinja_fail(r, op == OP_MOD ? "integer modulo by zero" : "division by zero");
    switch (op) {
    case OP_ADD: big = __builtin_add_overflow(a, b, &v); break;
    case OP_SUB: big = __builtin_sub_overflow(a, b, &v); break;
    case OP_MUL: big = __builtin_mul_overflow(a, b, &v); break;
    case OP_DIV: *out = jinja_float((double)((long double)a / (long double)b)); return true;
    case OP_FLOORDIV:
        big = b == -1 && __builtin_sub_overflow((int64_t)0, a, &v);
        if (!big)
            v = b == -1 ? -a : a / b - (a % b != 0 && (a < 0) != (b < 0));
        break;
    case OP_MOD:
        v = b == -1 ? 0 : a % b;
        if (v != 0 && (v < 0) != (b < 0))
            v += b;
        break;
    default: return int_pow(r, a, b, out);
    }
    if (big)
        return fail_big(r);
    *out = jinja_int(v);
    return true;
}

/* Python's floor division and modulo of floats, which agree on the sign of the divisor. */
static double float_divmod(double a, double b, double *mod)
{
    *mod = fmod(a, b);
    double div = (a - *mod) / b;
    if (*mod != 0) {
        if ((b < 0) != (*mod < 0)) {
            *mod += b;
            div -= 1;
        }
    } else {
        *mod = copysign(0.0, b);
    }
    if (div == 0)
        return copysign(0.0, a / b);
    double floored = floor(div);
    return div - floored > 0.5 ? floored + 1 : floored;
}

static bool float_op(struct render *r, enum op op, double a, double b, struct value *out)
{
    double v, mod;
    if ((op == OP_DIV || op == OP_FLOORDIV || op == OP_MOD) && b == 0)
        return jinja_fail(r, op == OP_MOD ? "float modulo by zero" : "float division by zero");
    switch (op) {
    case OP_ADD: v = a + b; break;
    case OP_SUB: v = a - b; break;
    case OP_MUL: v = a * b; break;
    case OP_DIV: v = a / b; break;
    case OP_FLOORDIV: v = float_divmod(a, b, &mod); break;
    case OP_MOD: float_divmod(a, b, &v); break;
    default:
        if (a == 0 && b < 0)
            return jinja_fail(r, "0.0 can't be raised to a negative power");
        if (a < 0 && b != floor(b) && isfinite(a) && isfinite(b))
            return jinja_fail(r, "complex numbers are not available");
        v = pow(a, b);
        if (isinf(v) && isfinite(a) && isfinite(b))
            return jinja_fail(r, "result of ** is too large");
    }
    *out = jinja_float(v);
    return true;
}

static bool join_lists(struct render *r, struct value a, struct value b, struct value *out)
{
    if (!jinja_list_new(r, a.kind, a.l->n + b.l->n, out))
        return false;
    for (size_t i = 0; i < a.l->n; i++)
        if (!jinja_list_push(r, out->l, a.l->v[i]))
            return false;
    for (size_t i = 0; i < b.l->n; i++)
        if (!jinja_list_push(r, out->l, b.l->v[i]))
            return false;
    return true;
}

bool jinja_mark(struct render *r, struct value *v)
{
    struct text *t = jinja_alloc(r, 1, sizeof *t);
    if (!t)
        return false;
    *t = *v->s;
    t->markup = true;
    v->s = t;
    return true;
}

bool jinja_mark_like(struct render *r, struct value of, struct value *v)
{
    if (of.kind != KIND_STR || !of.s->markup)
        return true;
    if (v->kind == KIND_STR)
        return v->s->markup || jinja_mark(r, v);
    if (v->kind == KIND_LIST || v->kind == KIND_TUPLE)
        for (size_t i = 0; i < v->l->n; i++)
            if (v->l->v[i].kind == KIND_STR && !jinja_mark(r, &v->l->v[i]))
                return false;
    return true;
}

static bool add_strings(struct render *r, struct value a, struct value b, struct value *out)
{
    bool markup = a.s->markup || b.s->markup;
    if (markup && (!jinja_escape(r, a, &a) || !jinja_escape(r, b, &b)))
        return false;
    struct sink s;
    jinja_sink_init(&s, r);
    jinja_sink_all(&s, a.s);
    jinja_sink_all(&s, b.s);
    return jinja_sink_end(&s, out) && (!markup || jinja_mark(r, out));
}

static bool repeat(struct render *r, struct value what, int64_t n, struct value *out)
{
    if (what.kind == KIND_STR) {
        struct sink s;
        jinja_sink_init(&s, r);
        for (int64_t i = 0; i < n && what.s->n && !s.failed; i++) {
            if (!jinja_step(r, 1))
                return false;
            jinja_sink_all(&s, what.s);
        }
        return jinja_sink_end(&s, out) && (!what.s->markup || jinja_mark(r, out));
    }
    size_t total;
    if (n < 0)
        n = 0;
    if (__builtin_mul_overflow(what.l->n, (uint64_t)n, &total) || !jinja_step(r, total))
        return jinja_fail_limit(r, "steps");
    if (!jinja_list_new(r, what.kind, total, out))
        return false;
    for (size_t i = 0; i < total; i++)
        out->l->v[out->l->n++] = what.l->v[i % what.l->n];
    return true;
}

static bool is_sequence(struct value v)
{
    return v.kind == KIND_STR || v.kind == KIND_LIST || v.kind == KIND_TUPLE;
}

bool jinja_binary(struct render *r, enum op op, struct value a, struct value b, struct value *out)
{
    int64_t x, y;
    if (op == OP_MOD && a.kind == KIND_STR)
        return jinja_percent(r, a.s, b, out);
    if (a.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, a);
    if (b.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, b);
    if (jinja_as_int(a, &x) && jinja_as_int(b, &y))
        return int_op(r, op, x, y, out);
    if (jinja_is_number(a) && jinja_is_number(b))
        return float_op(r, op, jinja_as_double(a), jinja_as_double(b), out);
    if (op == OP_ADD && a.kind == b.kind) {
        if (a.kind == KIND_STR)
            return add_strings(r, a, b, out);
        if (a.kind == KIND_LIST || a.kind == KIND_TUPLE)
            return join_lists(r, a, b, out);
    }
    if (op == OP_MUL && is_sequence(a) && jinja_as_int(b, &y))
        return repeat(r, a, y, out);
    if (op == OP_MUL && is_sequence(b) && jinja_as_int(a, &x))
        return repeat(r, b, x, out);
    return fail_types(r, op, a, b);
}

bool jinja_negate(struct render *r, struct value a, bool minus, struct value *out)
{
    int64_t i;
    if (a.kind == KIND_UNDEFINED)
        return jinja_fail_undef(r, a);
    if (a.kind == KIND_FLOAT) {
        *out = jinja_float(minus ? -a.f : a.f);
        return true;
    }
    if (!jinja_as_int(a, &i))
        return jinja_fail(r, "bad operand type for unary %c: '%s'", minus ? '-' : '+',
                          jinja_type_name(a));
    if (minus && i == INT64_MIN)
        return fail_big(r);
    *out = jinja_int(minus ? -i : i);
    return true;
}

bool jinja_compare(struct render *r, enum op op, struct value a, struct value b, bool *out)
{
    switch (op) {
    case OP_EQ: return jinja_eq(r, a, b, out);
    case OP_NE:
        if (!jinja_eq(r, a, b, out))
            return false;
        *out = !*out;
        return true;
    case OP_IN: return jinja_contains(r, a, b, out);
    case OP_NOT_IN:
        if (!jinja_contains(r, a, b, out))
            return false;
        *out = !*out;
        return true;
    default: return jinja_order(r, op, a, b, out);
    }
}

bool jinja_escape(struct render *r, struct value v, struct value *out)
{
    static const struct {
        char c;
        const char *as;
    } escapes[] = {{'&', "&amp;"}, {'<', "&lt;"}, {'>', "&gt;"}, {'"', "&#34;"}, {'\'', "&#39;"}};
    if (v.kind == KIND_STR && v.s->markup) {
        *out = v;
        return true;
    }
    if (!jinja_to_str(r, v, &v))
        return false;
    const struct text *t = v.s;
    struct sink s;
    jinja_sink_init(&s, r);
    size_t from = 0;
    for (size_t i = 0; i < t->n && !s.failed; i++) {
        for (size_t k = 0; k < COUNT(escapes); k++) {
            if (t->p[i] != escapes[k].c)
                continue;
            jinja_sink_text(&s, t, from, i - from);
            jinja_sink_put(&s, str_c(escapes[k].as), jinja_text_trust_at(t, i));
            from = i + 1;
        }
    }
    jinja_sink_text(&s, t, from, t->n - from);
    return jinja_sink_end(&s, out) && jinja_mark(r, out);
}
