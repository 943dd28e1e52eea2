/* tools/calc.c - see calc.h.  Precedence climbing over a stack of values. */
#include "tools/calc.h"

#include "base/mem.h"
#include "tools/decimal.h"

#include <ctype.h>
#include <math.h>

#define DEPTH_MAX 100
#define STACK_MAX 128
#define WORK_MAX  30000000 // steps of arithmetic: some hundredths of a second
#define QUOTIENT  60       // digits
#define PI        3.14159265358979323846264338327950288L
#define E         2.71828182845904523536028747135266250L

struct value {
    struct dec d;
    bool real; // not known to be a whole number
};

struct calc {
    str in;
    size_t at;
    int depth, n;
    int64_t work;
    struct value *stack; // [STACK_MAX]
    struct err *e;
};

static bool expression(struct calc *c, int least);

static bool fault(struct calc *c, const char *text)
{
    return err_set(c->e, ERR_INPUT, "%s", text);
}

static bool work(struct calc *c, int64_t steps)
{
    c->work += steps + 50;
    return c->work <= WORK_MAX ||
           err_set(c->e, ERR_LIMIT, "the expression takes too much arithmetic");
}

static struct value *top(struct calc *c, int below)
{
    return &c->stack[c->n - 1 - below];
}

static struct value *push(struct calc *c)
{
    if (c->n == STACK_MAX) {
        err_set(c->e, ERR_LIMIT, "the expression is too deep");
        return NULL;
    }
    c->stack[c->n].real = false;
    return &c->stack[c->n++];
}

/* What is not whole keeps so many digits that rounding is never seen. */
static void settle(struct value *v)
{
    if (v->real)
        dec_round(&v->d, DEC_KEPT);
}

static bool set_real(struct calc *c, struct value *v, long double x)
{
    v->real = true;
    return dec_from_real(&v->d, x, c->e);
}

/* Operators on the two topmost values; the result takes the lower's place. */

static bool add(struct calc *c, struct value *a, struct value *b)
{
    a->real |= b->real;
    if (a->real) {
        dec_round(&a->d, DEC_KEPT);
        dec_round(&b->d, DEC_KEPT);
    }
    return dec_add(&a->d, &a->d, &b->d, c->e);
}

static bool subtract(struct calc *c, struct value *a, struct value *b)
{
    b->d.minus = b->d.n && !b->d.minus;
    return add(c, a, b);
}

static bool multiply(struct calc *c, struct value *a, struct value *b)
{
    a->real |= b->real;
    if (a->real) {
        dec_round(&a->d, DEC_KEPT);
        dec_round(&b->d, DEC_KEPT);
    }
    return work(c, (int64_t)a->d.n * b->d.n) && dec_mul(&a->d, &a->d, &b->d, c->e);
}

static bool divide(struct calc *c, struct value *a, struct value *b)
{
    bool exact;
    struct dec q;
    if (!work(c, (int64_t)a->d.n * b->d.n))
        return false;
    if (!a->real && !b->real && b->d.n) {
        struct dec rest;
        if (!dec_floor_div(&q, &rest, &a->d, &b->d, c->e))
            return false;
        if (rest.n == 0) {
            a->d = q;
            return true;
        }
    }
    dec_round(&a->d, DEC_KEPT);
    dec_round(&b->d, DEC_KEPT);
    a->real = true;
    return dec_div(&a->d, &a->d, &b->d, QUOTIENT, &exact, c->e);
}

static bool floor_divide(struct calc *c, struct value *a, struct value *b)
{
    a->real |= b->real;
    return work(c, (int64_t)a->d.n * b->d.n) && dec_floor_div(&a->d, NULL, &a->d, &b->d, c->e);
}

static bool modulo(struct calc *c, struct value *a, struct value *b)
{
    a->real |= b->real;
    return work(c, (int64_t)a->d.n * b->d.n) && dec_floor_div(NULL, &a->d, &a->d, &b->d, c->e);
}

/* A whole number of moderate size, or -1. */
static int64_t small(const struct value *v, int64_t most)
{
    struct dec d = v->d;
    if (!dec_whole(&d) || d.minus || d.exp || d.n > 2)
        return -1;
    int64_t n = (d.n > 1 ? (int64_t)d.limb[1] * 1000000000 : 0) + (d.n > 0 ? d.limb[0] : 0);
    return n <= most ? n : -1;
}

static bool power_whole(struct calc *c, struct value *a, int64_t n)
{
    struct value result = {.real = a->real}, base = *a;
    dec_set(&result.d, 1);
    for (; n; n >>= 1) {
        struct value copy = base;
        if ((n & 1) && !multiply(c, &result, &copy))
            return false;
        copy = base;
        if (n > 1 && !multiply(c, &base, &copy))
            return false;
        settle(&base);
    }
    *a = result;
    return true;
}

static bool power(struct calc *c, struct value *a, struct value *b)
{
    struct value exponent = *b;
    bool minus = exponent.d.minus, exact;
    exponent.d.minus = false;
    int64_t n = small(&exponent, 1000000);
    if (n >= 0) {
        a->real |= b->real;
        if (!minus)
            return power_whole(c, a, n);
        if (a->d.n == 0)
            return fault(c, "division by zero");
        a->real = true;
        settle(a);
        struct dec one;
        dec_set(&one, 1);
        return power_whole(c, a, n) && dec_div(&a->d, &one, &a->d, QUOTIENT, &exact, c->e);
    }
    long double x, y;
    if (!dec_to_real(&a->d, &x, c->e) || !dec_to_real(&b->d, &y, c->e))
        return false;
    if (x < 0)
        return fault(c, "a negative number has no power with a fraction in the exponent");
    if (x == 0 && y < 0)
        return fault(c, "division by zero");
    return set_real(c, a, powl(x, y));
}

static const struct {
    const char *text;
    int level; // of precedence; from here on the right side is read one higher
    bool (*apply)(struct calc *c, struct value *a, struct value *b);
} operators[] = {
    // longer ones first; powers bind stronger than signs and are read with their base
    {"//", 2, floor_divide},
    {"+", 1, add},
    {"-", 1, subtract},
    {"*", 2, multiply},
    {"/", 2, divide},
    {"%", 2, modulo},
    {"\xc3\x97", 2, multiply},
    {"\xc3\xb7", 2, divide}, // multiplication and division signs
    {"\xe2\x88\x92", 1, subtract},
    {"\xc2\xb7", 2, multiply}, // minus sign, middle dot
};

static str rest(const struct calc *c)
{
    return str_from(c->in, c->at);
}

static void skip_blanks(struct calc *c)
{
    while (c->at < c->in.n && isspace((unsigned char)c->in.p[c->at]))
        c->at++;
}

static bool take(struct calc *c, const char *text)
{
    skip_blanks(c);
    if (!str_starts(rest(c), str_c(text)))
        return false;
    c->at += strlen(text);
    return true;
}

/* Functions: of the n topmost values, into the lowest of them. */

static bool to_whole(struct calc *c, struct value *v, const char *who)
{
    if (dec_whole(&v->d) && v->d.exp == 0) {
        v->real = false;
        return true;
    }
    return err_set(c->e, ERR_INPUT, "%s needs whole numbers", who);
}

/* v rounded down; by `half` of a unit more. */
static bool round_down(struct calc *c, struct value *v, bool half)
{
    struct dec one, add_half;
    struct err e;
    dec_set(&one, 1);
    if (v->d.n && dec_digits(&v->d) + v->d.exp < -1) { // of the smallest only the sign counts
        dec_set(&v->d, !half && v->d.minus ? -1 : 0);
        v->real = false;
        return true;
    }
    if (half && (!dec_parse(&add_half, STR("0.5"), &e) || !dec_add(&v->d, &v->d, &add_half, c->e)))
        return false;
    if (v->d.exp < 0 && !dec_floor_div(&v->d, NULL, &v->d, &one, c->e))
        return false;
    return to_whole(c, v, "rounding");
}

static bool fn_abs(struct calc *c, struct value *v, int n)
{
    (void)c;
    (void)n;
    v->d.minus = false;
    return true;
}

static bool fn_floor(struct calc *c, struct value *v, int n)
{
    (void)n;
    return round_down(c, v, false);
}

static void negate(struct value *v)
{
    v->d.minus = v->d.n && !v->d.minus;
}

static bool fn_ceil(struct calc *c, struct value *v, int n)
{
    (void)n;
    negate(v);
    bool ok = round_down(c, v, false);
    negate(v);
    return ok;
}

/* To whole, or to so many decimals; halves away from zero. */
static bool fn_round(struct calc *c, struct value *v, int n)
{
    int64_t places = n > 1 ? small(&v[1], DEC_KEPT) : 0;
    bool minus = v->d.minus;
    if (places < 0)
        return fault(c, "round's second argument is the number of decimals, 0 to 200");
    v->d.minus = false;
    v->d.exp += v->d.n ? (int)places : 0;
    bool real = v->real;
    if (v->d.exp < 0 && !round_down(c, v, true))
        return false;
    v->d.exp -= v->d.n ? (int)places : 0;
    v->d.minus = v->d.n && minus;
    v->real = real && places > 0;
    return v->real || to_whole(c, v, "rounding");
}

static bool fn_min(struct calc *c, struct value *v, int n)
{
    (void)c;
    for (int i = 1; i < n; i++)
        if (dec_cmp(&v[i].d, &v->d) < 0)
            *v = v[i];
    return true;
}

static bool fn_max(struct calc *c, struct value *v, int n)
{
    (void)c;
    for (int i = 1; i < n; i++)
        if (dec_cmp(&v[i].d, &v->d) > 0)
            *v = v[i];
    return true;
}

static bool gcd_of(struct calc *c, struct dec *a, struct dec b)
{
    a->minus = b.minus = false;
    while (b.n) {
        struct dec r;
        if (!work(c, (int64_t)(a->n - b.n + 1) * b.n * 2) || !dec_floor_div(NULL, &r, a, &b, c->e))
            return false;
        *a = b;
        b = r;
    }
    return true;
}

static bool fn_gcd(struct calc *c, struct value *v, int n)
{
    for (int i = 0; i < n; i++)
        if (!to_whole(c, &v[i], "gcd"))
            return false;
    v->d.minus = false;
    for (int i = 1; i < n; i++)
        if (!gcd_of(c, &v->d, v[i].d))
            return false;
    return true;
}

static bool fn_lcm(struct calc *c, struct value *v, int n)
{
    for (int i = 0; i < n; i++)
        if (!to_whole(c, &v[i], "lcm"))
            return false;
    v->d.minus = false;
    for (int i = 1; i < n; i++) {
        struct dec g = v->d;
        if (v->d.n == 0 || v[i].d.n == 0) {
            dec_set(&v->d, 0);
            continue;
        }
        if (!gcd_of(c, &g, v[i].d) || !dec_floor_div(&v->d, NULL, &v->d, &g, c->e) ||
            !multiply(c, v, &v[i]))
            return false;
        v->d.minus = false;
    }
    return true;
}

static bool fn_sqrt(struct calc *c, struct value *v, int n)
{
    long double x;
    (void)n;
    if (v->d.minus)
        return fault(c, "a negative number has no square root here");
    if (!dec_to_real(&v->d, &x, c->e))
        return false;
    struct value root = {.real = false}, square;
    if (!v->real && x < 1e36L) { // of a square exactly
        if (!dec_from_real(&root.d, roundl(sqrtl(x)), c->e))
            return false;
        square = root;
        if (!multiply(c, &square, &root))
            return false;
        if (dec_cmp(&square.d, &v->d) == 0) {
            *v = root;
            return to_whole(c, v, "sqrt");
        }
    }
    return set_real(c, v, sqrtl(x));
}

/* A result of the circle's functions that is zero but for the rounding of pi. */
static long double snap(long double y, long double x)
{
    return fabsl(y) < 1e-18L * fmaxl(1, fabsl(x)) ? 0 : y;
}

static long double sine(long double x)
{
    return snap(sinl(x), x);
}

static long double cosine(long double x)
{
    return snap(cosl(x), x);
}

static long double tangent(long double x)
{
    return cosine(x) == 0 ? NAN : snap(tanl(x), x);
}

static long double log_of(long double x, long double base)
{
    return base == 10 ? log10l(x) : base == 2 ? log2l(x) : logl(x) / logl(base);
}

static const struct {
    const char *name;
    long double (*one)(long double x);
    long double (*two)(long double x, long double y);
    bool (*own)(struct calc *c, struct value *v, int n);
    int least, most; // arguments
} functions[] = {
    {"sqrt", .own = fn_sqrt, .least = 1, .most = 1},
    {"cbrt", .one = cbrtl},
    {"exp", .one = expl},
    {"ln", .one = logl},
    {"log", .one = logl, .two = log_of, .least = 1, .most = 2},
    {"log2", .one = log2l},
    {"log10", .one = log10l},
    {"sin", .one = sine},
    {"cos", .one = cosine},
    {"tan", .one = tangent},
    {"asin", .one = asinl},
    {"acos", .one = acosl},
    {"atan", .one = atanl},
    {"atan2", .two = atan2l, .least = 2, .most = 2},
    {"sinh", .one = sinhl},
    {"cosh", .one = coshl},
    {"tanh", .one = tanhl},
    {"abs", .own = fn_abs, .least = 1, .most = 1},
    {"floor", .own = fn_floor, .least = 1, .most = 1},
    {"ceil", .own = fn_ceil, .least = 1, .most = 1},
    {"round", .own = fn_round, .least = 1, .most = 2},
    {"min", .own = fn_min, .least = 1, .most = STACK_MAX},
    {"max", .own = fn_max, .least = 1, .most = STACK_MAX},
    {"gcd", .own = fn_gcd, .least = 1, .most = STACK_MAX},
    {"lcm", .own = fn_lcm, .least = 1, .most = STACK_MAX},
};

static bool call(struct calc *c, size_t f, int n)
{
    struct value *v = top(c, n - 1);
    int least = functions[f].least ? functions[f].least : 1;
    int most = functions[f].most ? functions[f].most : 1;
    long double x, y = 0, r;
    if (n < least || n > most)
        return err_set(c->e, ERR_INPUT, "%s takes %s arguments", functions[f].name,
                       most == 1   ? "no further"
                       : most == 2 ? (least == 2 ? "two" : "one or two")
                                   : "fewer");
    c->n -= n - 1;
    if (!work(c, 100))
        return false;
    if (functions[f].own)
        return functions[f].own(c, v, n);
    if (!dec_to_real(&v->d, &x, c->e) || (n > 1 && !dec_to_real(&v[1].d, &y, c->e)))
        return false;
    r = n > 1 ? functions[f].two(x, y) : functions[f].one(x);
    if (isnan(r) || (isinf(r) && x == 0))
        return err_set(c->e, ERR_INPUT, "%s is not defined there", functions[f].name);
    return set_real(c, v, r);
}

static bool constant(struct calc *c, long double v)
{
    struct value *to = push(c);
    return to && set_real(c, to, v);
}

/* A constant, or a function with its arguments. */
static bool name(struct calc *c)
{
    str s = rest(c);
    char word[16];
    size_t n = 0;
    while (n < s.n && (isalnum((unsigned char)s.p[n]) || s.p[n] == '_'))
        n++;
    c->at += n;
    snprintf(word, sizeof word, "%.*s", STR_ARG(str_sub(s, 0, n)));
    for (char *p = word; *p; p++)
        *p = (char)tolower((unsigned char)*p);
    if (n >= sizeof word)
        word[0] = '\0';
    if (strcmp(word, "pi") == 0)
        return constant(c, PI);
    if (strcmp(word, "e") == 0)
        return constant(c, E);
    if (strcmp(word, "tau") == 0)
        return constant(c, 2 * PI);
    size_t f = 0;
    while (f < COUNT(functions) && strcmp(functions[f].name, word) != 0)
        f++;
    if (f == COUNT(functions))
        return err_set(c->e, ERR_INPUT, "'%.*s' is neither a constant nor a function here",
                       STR_ARG(str_sub(s, 0, size_min(n, 40))));
    if (!take(c, "("))
        return err_set(c->e, ERR_INPUT, "%s needs its arguments in brackets", word);
    int args = 0;
    do {
        if (!expression(c, 1))
            return false;
        args++;
    } while (take(c, ","));
    if (!take(c, ")"))
        return fault(c, "a bracket is not closed");
    return call(c, f, args);
}

static bool number(struct calc *c)
{
    str s = rest(c);
    size_t n = 0;
    bool point = false;
    while (n < s.n && (isdigit((unsigned char)s.p[n]) || s.p[n] == '.'))
        point |= s.p[n++] == '.';
    size_t digits = n;
    if (n < s.n && (s.p[n] == 'e' || s.p[n] == 'E')) {
        size_t k = n + 1;
        if (k < s.n && (s.p[k] == '+' || s.p[k] == '-'))
            k++;
        while (k < s.n && isdigit((unsigned char)s.p[k]))
            n = ++k;
    }
    struct value *v = push(c);
    if (!v || !dec_parse(&v->d, str_sub(s, 0, n), c->e))
        return false;
    v->real = point || n > digits;
    settle(v);
    c->at += n;
    return work(c, (int64_t)v->d.n * v->d.n * 9);
}

static bool primary(struct calc *c)
{
    skip_blanks(c);
    str s = rest(c);
    if (s.n == 0)
        return fault(c, "the expression ends where a number should stand");
    if (take(c, "(")) {
        if (!expression(c, 1))
            return false;
        return take(c, ")") || fault(c, "a bracket is not closed");
    }
    if (take(c, "\xcf\x80")) // the letter pi
        return constant(c, PI);
    if (isdigit((unsigned char)s.p[0]) || s.p[0] == '.')
        return number(c);
    if (isalpha((unsigned char)s.p[0]))
        return name(c);
    size_t n = 1; // a whole character
    while (n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n++;
    return err_set(c->e, ERR_INPUT, "'%.*s' where a number should stand",
                   STR_ARG(str_sub(s, 0, n)));
}

static bool factorial(struct calc *c)
{
    struct value *v = top(c, 0), factor = {.real = false};
    int64_t n = small(v, 1000);
    if (n < 0)
        return fault(c, "'!' needs a whole number from 0 to 1000");
    dec_set(&v->d, 1);
    v->real = false;
    for (int64_t i = 2; i <= n; i++) {
        dec_set(&factor.d, i);
        if (!multiply(c, v, &factor))
            return false;
    }
    return true;
}

static bool signed_primary(struct calc *c)
{
    bool minus = false;
    for (;;) {
        if (take(c, "-") || take(c, "\xe2\x88\x92"))
            minus = !minus;
        else if (!take(c, "+"))
            break;
    }
    if (!primary(c))
        return false;
    while (take(c, "!"))
        if (!factorial(c))
            return false;
    skip_blanks(c);
    if (str_starts(rest(c), STR("**")) || str_starts(rest(c), STR("^"))) {
        c->at += c->in.p[c->at] == '*' ? 2 : 1;
        if (++c->depth > DEPTH_MAX)
            return err_set(c->e, ERR_LIMIT, "the expression is too deep");
        if (!signed_primary(c))
            return false;
        c->depth--;
        struct value *b = top(c, 0), *a = top(c, 1);
        c->n--;
        if (!power(c, a, b))
            return false;
        settle(a);
    }
    if (minus)
        negate(top(c, 0));
    return true;
}

static bool expression(struct calc *c, int least)
{
    if (++c->depth > DEPTH_MAX)
        return err_set(c->e, ERR_LIMIT, "the expression is too deep");
    if (!signed_primary(c))
        return false;
    for (;;) {
        size_t i = 0;
        skip_blanks(c);
        while (i < COUNT(operators) && !str_starts(rest(c), str_c(operators[i].text)))
            i++;
        if (i == COUNT(operators) || operators[i].level < least)
            break;
        c->at += strlen(operators[i].text);
        if (!expression(c, operators[i].level + 1))
            return false;
        struct value *b = top(c, 0), *a = top(c, 1);
        c->n--;
        if (!operators[i].apply(c, a, b))
            return false;
        settle(a);
    }
    c->depth--;
    return true;
}

bool calc(str in, struct buf *out, struct err *e)
{
    if (in.n > CALC_MAX)
        return err_set(e, ERR_LIMIT, "the expression is longer than %d bytes", CALC_MAX);
    struct calc c = {.in = in, .e = e, .stack = mem_alloc(STACK_MAX * sizeof *c.stack)};
    bool ok = expression(&c, 1);
    skip_blanks(&c);
    if (ok && c.at < in.n)
        ok = err_set(e, ERR_INPUT, "'%.*s' where an operator should stand",
                     STR_ARG(str_sub(rest(&c), 0, 20)));
    if (ok && c.stack[0].real)
        dec_write_15(&c.stack[0].d, out);
    else if (ok)
        dec_write_whole(&c.stack[0].d, out);
    if (ok && out->full)
        ok = err_set(e, ERR_LIMIT, "the result is too long");
    mem_free(c.stack);
    return ok;
}
