/* tools/decimal.c - see decimal.h.  Schoolbook arithmetic; division is Knuth's algorithm D (The Art
 * of Computer Programming 2, 4.3.1) in base 10^9. */
#include "tools/decimal.h"

#include <math.h>

#define BASE 1000000000u
#define WIDE (2 * DEC_LIMBS + 4)

static const uint32_t tens[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};

static bool too_long(struct err *e)
{
    return err_set(e, ERR_LIMIT, "a number has more than %d digits", DEC_DIGITS);
}

static void trim(struct dec *x)
{
    while (x->n > 0 && x->limb[x->n - 1] == 0)
        x->n--;
    if (x->n == 0) {
        x->minus = false;
        x->exp = 0;
    }
}

void dec_set(struct dec *x, int64_t v)
{
    uint64_t u = v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v;
    *x = (struct dec){.minus = v < 0};
    for (; u; u /= BASE)
        x->limb[x->n++] = (uint32_t)(u % BASE);
}

static int limb_digits(uint32_t v)
{
    int n = 0;
    for (; v; v /= 10)
        n++;
    return n;
}

int dec_digits(const struct dec *x)
{
    return x->n ? (x->n - 1) * 9 + limb_digits(x->limb[x->n - 1]) : 0;
}

/* Multiplies n limbs by m and adds c; returns what is carried out. */
static uint32_t scale(uint32_t *limb, int n, uint32_t m, uint32_t c)
{
    uint64_t carry = c;
    for (int i = 0; i < n; i++) {
        carry += (uint64_t)limb[i] * m;
        limb[i] = (uint32_t)(carry % BASE);
        carry /= BASE;
    }
    return (uint32_t)carry;
}

/* Divides n limbs by a small number; returns the rest. */
static uint32_t shrink(uint32_t *limb, int n, uint32_t by)
{
    uint64_t rest = 0;
    for (int i = n - 1; i >= 0; i--) {
        rest = rest * BASE + limb[i];
        limb[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    return (uint32_t)rest;
}

/* The same value with a coefficient longer by `digits`. */
static bool lengthen(struct dec *x, int digits, struct err *e)
{
    if (x->n == 0 || digits == 0)
        return true;
    if (digits > DEC_DIGITS || dec_digits(x) + digits > DEC_DIGITS)
        return too_long(e);
    int whole = digits / 9;
    uint32_t carry = scale(x->limb, x->n, tens[digits % 9], 0);
    if (carry)
        x->limb[x->n++] = carry;
    memmove(x->limb + whole, x->limb, (size_t)x->n * sizeof *x->limb);
    memset(x->limb, 0, (size_t)whole * sizeof *x->limb);
    x->n += whole;
    x->exp -= digits;
    return true;
}

/* Drops `digits` low digits; tells what they were: -1 below half, 0 half, 1 above, -2 all zero. */
static int shorten(struct dec *x, int digits)
{
    bool low = false;
    int whole = (digits - 1) / 9, part = (digits - 1) % 9;
    for (int i = 0; i < whole; i++)
        low |= x->limb[i] != 0;
    memmove(x->limb, x->limb + whole, (size_t)(x->n - whole) * sizeof *x->limb);
    x->n -= whole;
    low |= shrink(x->limb, x->n, tens[part]) != 0;
    uint32_t digit = shrink(x->limb, x->n, 10);
    x->exp += digits;
    trim(x);
    if (digit == 0 && !low)
        return -2;
    if (digit == 5 && !low)
        return 0;
    return digit >= 5 ? 1 : -1;
}

/* Without zeros at its end, down to exponent `most` at the highest. */
static void strip(struct dec *x, int most)
{
    while (x->n > 1 && x->limb[0] == 0 && x->exp + 9 <= most) {
        memmove(x->limb, x->limb + 1, (size_t)(x->n - 1) * sizeof *x->limb);
        x->n--;
        x->exp += 9;
    }
    while (x->n > 0 && x->limb[0] % 10 == 0 && x->exp < most) {
        shrink(x->limb, x->n, 10);
        x->exp++;
        trim(x);
    }
}

void dec_round(struct dec *x, int digits)
{
    int extra = dec_digits(x) - digits;
    if (extra > 0) {
        int exp = x->exp + extra;
        int was = shorten(x, extra);
        if (was > 0 || (was == 0 && x->n && x->limb[0] % 2)) {
            if (scale(x->limb, x->n, 1, 1))
                x->limb[x->n++] = 1; // there was room: digits have just been dropped
        }
        x->exp = x->n ? exp : 0;
    }
    strip(x, 0);
}

bool dec_whole(struct dec *x)
{
    struct err e;
    strip(x, 0);
    if (x->exp < 0)
        return false;
    if (x->exp > 0) {
        struct dec copy = *x;
        if (x->exp > DEC_DIGITS || !lengthen(&copy, x->exp, &e))
            return true; // whole, but too long to be written out
        *x = copy;
    }
    return true;
}

bool dec_parse(struct dec *x, str text, struct err *e)
{
    bool point = false, any = false;
    int64_t exp = 0;
    size_t i = 0;
    *x = (struct dec){0};
    for (; i < text.n; i++) {
        char c = text.p[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9')
            break;
        any = true;
        exp -= point;
        if (x->n == DEC_LIMBS - 1)
            return too_long(e);
        uint32_t carry = scale(x->limb, x->n, 10, (uint32_t)(c - '0'));
        if (carry)
            x->limb[x->n++] = carry;
    }
    if (!any)
        return err_set(e, ERR_INPUT, "'%.*s' is no number", STR_ARG(str_sub(text, 0, 40)));
    if (i < text.n && (text.p[i] == 'e' || text.p[i] == 'E')) {
        int64_t more;
        str rest = str_from(text, i + 1);
        if (str_starts(rest, STR("+")))
            rest = str_from(rest, 1);
        if (!str_to_i64(rest, &more) || more > DEC_EXP || more < -DEC_EXP)
            return err_set(e, ERR_INPUT, "'%.*s' is no number that can be counted with",
                           STR_ARG(str_sub(text, 0, 40)));
        exp += more;
    } else if (i < text.n) {
        return err_set(e, ERR_INPUT, "'%.*s' is no number", STR_ARG(str_sub(text, 0, 40)));
    }
    x->exp = (int)exp;
    trim(x);
    return true;
}

static int cmp_limbs(const uint32_t *a, int na, const uint32_t *b, int nb)
{
    if (na != nb)
        return na < nb ? -1 : 1;
    for (int i = na - 1; i >= 0; i--)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

/* Gives both the same exponent, if need be by dropping the end of the smaller. */
static bool align(struct dec *a, struct dec *b, struct err *e)
{
    struct dec *high = a->exp > b->exp ? a : b, *low = a->exp > b->exp ? b : a;
    if (high->n == 0 || low->n == 0) {
        high->exp = high->n ? high->exp : low->exp;
        low->exp = low->n ? low->exp : high->exp;
        if (high->exp == low->exp)
            return true;
    }
    return high->exp == low->exp || lengthen(high, high->exp - low->exp, e);
}

/* The place of the highest digit: 10^magnitude <= |x|. */
static int magnitude(const struct dec *x)
{
    return dec_digits(x) + x->exp - 1;
}

int dec_cmp(const struct dec *a, const struct dec *b)
{
    struct err e;
    if (a->n == 0 || b->n == 0 || a->minus != b->minus) {
        int sa = a->n ? (a->minus ? -1 : 1) : 0, sb = b->n ? (b->minus ? -1 : 1) : 0;
        return (sa > sb) - (sa < sb);
    }
    int sign = a->minus ? -1 : 1;
    if (magnitude(a) != magnitude(b))
        return magnitude(a) < magnitude(b) ? -sign : sign;
    struct dec x = *a, y = *b;
    strip(&x, INT32_MAX);
    strip(&y, INT32_MAX);
    if (!align(&x, &y, &e)) // of the same magnitude both fit
        return 0;
    return sign * cmp_limbs(x.limb, x.n, y.limb, y.n);
}

bool dec_add(struct dec *r, const struct dec *a, const struct dec *b, struct err *e)
{
    struct dec x = *a, y = *b;
    if (x.n == 0 || y.n == 0) {
        *r = x.n ? x : y;
        return true;
    }
    // So far apart that the smaller is lost in the rounding of anything but a whole number.
    if ((x.exp || y.exp) && magnitude(&x) - magnitude(&y) > DEC_DIGITS - DEC_KEPT) {
        *r = x;
        return true;
    }
    if ((x.exp || y.exp) && magnitude(&y) - magnitude(&x) > DEC_DIGITS - DEC_KEPT) {
        *r = y;
        return true;
    }
    if (!align(&x, &y, e))
        return false;
    if (x.minus == y.minus) {
        uint32_t carry = 0;
        int n = int_max(x.n, y.n);
        for (int i = 0; i < n; i++) {
            uint32_t s = (i < x.n ? x.limb[i] : 0) + (i < y.n ? y.limb[i] : 0) + carry;
            carry = s >= BASE;
            x.limb[i] = carry ? s - BASE : s;
        }
        x.n = n;
        if (carry && n == DEC_LIMBS)
            return too_long(e);
        if (carry)
            x.limb[x.n++] = 1;
    } else {
        if (cmp_limbs(x.limb, x.n, y.limb, y.n) < 0) {
            struct dec swap = x;
            x = y;
            y = swap;
        }
        uint32_t borrow = 0;
        for (int i = 0; i < x.n; i++) {
            uint32_t take = (i < y.n ? y.limb[i] : 0) + borrow;
            borrow = x.limb[i] < take;
            x.limb[i] = borrow ? x.limb[i] + BASE - take : x.limb[i] - take;
        }
    }
    trim(&x);
    *r = x;
    return true;
}

bool dec_mul(struct dec *r, const struct dec *a, const struct dec *b, struct err *e)
{
    uint32_t wide[WIDE] = {0};
    int n = a->n + b->n;
    for (int i = 0; i < a->n; i++) {
        uint64_t carry = 0;
        for (int k = 0; k < b->n || carry; k++) {
            carry += wide[i + k] + (k < b->n ? (uint64_t)a->limb[i] * b->limb[k] : 0);
            wide[i + k] = (uint32_t)(carry % BASE);
            carry /= BASE;
        }
    }
    while (n > 0 && wide[n - 1] == 0)
        n--;
    if (n > DEC_LIMBS)
        return too_long(e);
    int exp = a->exp + b->exp;
    if (exp > DEC_EXP)
        return err_set(e, ERR_LIMIT, "a number is too large");
    struct dec x = {.minus = a->minus != b->minus, .n = n, .exp = exp};
    memcpy(x.limb, wide, (size_t)n * sizeof *wide);
    if (exp < -DEC_EXP)
        x.n = 0;
    trim(&x);
    *r = x;
    return true;
}

/* Magnitudes alone: quotient and rest of whole numbers, b not zero. */
static void divide(struct dec *q, struct dec *rest, const struct dec *a, const struct dec *b)
{
    uint32_t u[DEC_LIMBS + 2] = {0}, v[DEC_LIMBS + 1];
    *q = *rest = (struct dec){0};
    if (cmp_limbs(a->limb, a->n, b->limb, b->n) < 0) {
        *rest = *a;
        return;
    }
    int n = b->n, m = a->n - b->n;
    uint32_t norm = BASE / (b->limb[n - 1] + 1);
    memcpy(u, a->limb, (size_t)a->n * sizeof *u);
    memcpy(v, b->limb, (size_t)n * sizeof *v);
    u[a->n] = scale(u, a->n, norm, 0);
    scale(v, n, norm, 0);
    q->n = m + 1;
    for (int j = m; j >= 0; j--) {
        uint64_t high = (uint64_t)u[j + n] * BASE + u[j + n - 1];
        uint64_t guess = high / v[n - 1], left = high % v[n - 1];
        while (n > 1 && left < BASE &&
               (guess >= BASE || guess * v[n - 2] > left * BASE + u[j + n - 2])) {
            guess--;
            left += v[n - 1];
        }
        if (guess >= BASE)
            guess = BASE - 1;
        uint64_t carry = 0;
        int64_t borrow = 0;
        for (int i = 0; i <= n; i++) {
            carry += i < n ? guess * v[i] : 0;
            int64_t d = (int64_t)u[i + j] - (int64_t)(carry % BASE) - borrow;
            carry /= BASE;
            borrow = d < 0;
            u[i + j] = (uint32_t)(d < 0 ? d + BASE : d);
        }
        if (borrow) { // one too many: add back
            uint32_t up = 0;
            guess--;
            for (int i = 0; i <= n; i++) {
                uint32_t sum = u[i + j] + (i < n ? v[i] : 0) + up;
                up = sum >= BASE;
                u[i + j] = up ? sum - BASE : sum;
            }
        }
        q->limb[j] = (uint32_t)guess;
    }
    trim(q);
    rest->n = n;
    memcpy(rest->limb, u, (size_t)n * sizeof *u);
    shrink(rest->limb, n, norm);
    trim(rest);
}

bool dec_div(struct dec *r, const struct dec *a, const struct dec *b, int digits, bool *exact,
             struct err *e)
{
    if (b->n == 0)
        return err_set(e, ERR_INPUT, "division by zero");
    struct dec x = *a, y = *b, q, rest;
    int room = digits + dec_digits(&y) - dec_digits(&x) + 1;
    if (x.n && room > 0 && !lengthen(&x, room, e))
        return false;
    divide(&q, &rest, &x, &y);
    *exact = rest.n == 0;
    q.minus = q.n && a->minus != b->minus;
    q.exp = q.n ? x.exp - y.exp : 0;
    if (q.exp > DEC_EXP)
        return err_set(e, ERR_LIMIT, "a number is too large");
    if (q.exp < -DEC_EXP)
        q = (struct dec){0};
    *r = q;
    return true;
}

bool dec_floor_div(struct dec *q, struct dec *r, const struct dec *a, const struct dec *b,
                   struct err *e)
{
    if (b->n == 0)
        return err_set(e, ERR_INPUT, "division by zero");
    struct dec x = *a, y = *b, quotient, rest, one;
    if (!align(&x, &y, e))
        return false;
    divide(&quotient, &rest, &x, &y);
    rest.exp = rest.n ? y.exp : 0;
    rest.minus = rest.n && x.minus;
    quotient.minus = quotient.n && x.minus != y.minus;
    if (rest.n && x.minus != y.minus) { // down, not towards zero
        dec_set(&one, -1);
        if (!dec_add(&quotient, &quotient, &one, e) || !dec_add(&rest, &rest, &y, e))
            return false;
    }
    if (q)
        *q = quotient;
    if (r)
        *r = rest;
    return true;
}

/* The digits of the coefficient, highest first, NUL behind them. */
static int spell(const struct dec *x, char out[DEC_DIGITS + 1])
{
    int n = x->n ? snprintf(out, 10, "%u", x->limb[x->n - 1]) : snprintf(out, 2, "0");
    for (int i = x->n - 2; i >= 0; i--)
        n += snprintf(out + n, 10, "%09u", x->limb[i]);
    return n;
}

bool dec_to_real(const struct dec *x, long double *out, struct err *e)
{
    char digits[DEC_DIGITS + 32];
    struct dec short_ = *x;
    dec_round(&short_, 40);
    int n = spell(&short_, digits);
    snprintf(digits + n, 16, "e%d", short_.exp);
    long double v = strtold(digits, NULL);
    if (!isfinite(v))
        return err_set(e, ERR_LIMIT, "a number is too large");
    *out = x->minus ? -v : v;
    return true;
}

bool dec_from_real(struct dec *x, long double v, struct err *e)
{
    char text[64];
    if (isnan(v))
        return err_set(e, ERR_INPUT, "the result is no number");
    if (isinf(v))
        return err_set(e, ERR_LIMIT, "a number is too large");
    snprintf(text, sizeof text, "%.19Le", fabsl(v));
    if (!dec_parse(x, str_c(text), e))
        return false;
    x->minus = x->n && v < 0;
    strip(x, 0);
    return true;
}

void dec_write_whole(const struct dec *x, struct buf *out)
{
    char digits[DEC_DIGITS + 1];
    struct dec y = *x;
    dec_whole(&y);
    spell(&y, digits);
    buf_printf(out, "%s%s", y.minus ? "-" : "", digits);
    if (y.exp > 0)
        buf_printf(out, "e+%d", y.exp);
}

void dec_write_15(const struct dec *x, struct buf *out)
{
    char digits[DEC_DIGITS + 32];
    struct dec y = *x;
    dec_round(&y, 15);
    int n = spell(&y, digits);
    int first = y.n ? n - 1 + y.exp : 0; // the place of the first digit
    while (n < 15)
        digits[n++] = '0';
    buf_c(out, y.minus ? "-" : "");
    if (first >= 15 || first < -4) {
        buf_printf(out, "%c.%.14se%c%02d", digits[0], digits + 1, first < 0 ? '-' : '+',
                   first < 0 ? -first : first);
    } else if (first < 0) {
        buf_printf(out, "0.%.*s%.15s", -first - 1, "0000", digits);
    } else {
        buf_printf(out, "%.*s.%.*s", first + 1, digits, 14 - first, digits + first + 1);
    }
}
