/* gram/number.c - numbers between bounds, as automata over their digits.
 *
 * Digits are compared with those of a bound as they come: how many there are decides first, then
 * the first that differs.  Numbers with bounds are written without exponents and with at most 15
 * digits, so that reading them as doubles keeps them on their side of a bound. */
#include "gram/gram_int.h"

#include <math.h>

#define WHOLE_MAX  18 // digits of an integer
#define DIGITS_MAX 15 // of a number with bounds, before and behind the point together
#define STEP_MAX   4096

/* The digits of a bound: |v| = whole . part */
struct digits {
    bool set, exclusive, negative;
    int n_whole, n_part;
    char d[64]; // whole, then part
};

struct numbers {
    bool integer;
    struct digits lo, hi;
    uint32_t step; // multiples of step / 10^scale; 0: none
    int scale;
    int max_digits;
};

/* A state: where we are in the number.  cmp: digits so far against the bound's first ones, 1 less,
 * 2 equal, 3 more (0: not compared). */
struct at {
    unsigned phase; // 0 start, 1 minus, 2 zero, 3 whole digits, 4 point, 5 part digits
    unsigned neg;
    unsigned n_whole, n_part;
    unsigned lo, hi;
    uint32_t rest;
    unsigned nonzero;
};

static uint64_t pack(struct at a)
{
    return (uint64_t)a.phase | (uint64_t)a.neg << 3 | (uint64_t)a.n_whole << 4 |
           (uint64_t)a.n_part << 9 | (uint64_t)a.lo << 14 | (uint64_t)a.hi << 16 |
           (uint64_t)a.nonzero << 18 | (uint64_t)a.rest << 20;
}

static struct at unpack(uint64_t s)
{
    return (struct at){.phase = s & 7,
                       .neg = s >> 3 & 1,
                       .n_whole = s >> 4 & 31,
                       .n_part = s >> 9 & 31,
                       .lo = s >> 14 & 3,
                       .hi = s >> 16 & 3,
                       .nonzero = s >> 18 & 1,
                       .rest = (uint32_t)(s >> 20)};
}

/* One more digit, the i-th of its half (from 0), compared with the bound's. */
static unsigned compare_digit(const struct digits *b, unsigned cmp, bool part, unsigned i, char c)
{
    if (!b->set || cmp != 2)
        return cmp;
    int n = part ? b->n_part : b->n_whole, at = part ? b->n_whole : 0;
    char own = (int)i < n ? b->d[at + (int)i] : '0';
    if (!part && (int)i >= n)
        return 2; // longer: decided by the number of digits
    return c < own ? 1 : c > own ? 3 : 2;
}

/* The whole half is complete. */
static unsigned compare_whole(const struct digits *b, unsigned cmp, unsigned n_whole)
{
    if (!b->set || (int)n_whole == b->n_whole)
        return cmp;
    return (int)n_whole < b->n_whole ? 1 : 3;
}

/* The number is complete: its size against the bound's. */
static unsigned compare_end(const struct digits *b, unsigned cmp, unsigned n_part)
{
    if (!b->set || cmp != 2)
        return cmp;
    for (int i = (int)n_part; i < b->n_part; i++)
        if (b->d[b->n_whole + i] != '0')
            return 1;
    return 2;
}

static uint64_t step_number(const void *arg, uint64_t s, char c)
{
    const struct numbers *n = arg;
    struct at a = unpack(s);
    bool digit = c >= '0' && c <= '9';
    if (c == '-') {
        if (a.phase != 0)
            return UINT64_MAX;
        a.phase = 1;
        a.neg = 1;
        return pack(a);
    }
    if (c == '.') {
        if (n->integer || (a.phase != 2 && a.phase != 3))
            return UINT64_MAX;
        a.lo = compare_whole(&n->lo, a.lo, a.n_whole);
        a.hi = compare_whole(&n->hi, a.hi, a.n_whole);
        a.phase = 4;
        return pack(a);
    }
    if (!digit || a.phase == 2)
        return UINT64_MAX;
    if (a.phase < 4) {
        a.lo = compare_digit(&n->lo, a.phase < 2 ? 2 : a.lo, false, a.n_whole, c);
        a.hi = compare_digit(&n->hi, a.phase < 2 ? 2 : a.hi, false, a.n_whole, c);
        if (!n->lo.set)
            a.lo = 0;
        if (!n->hi.set)
            a.hi = 0;
        a.phase = a.phase < 2 && c == '0' ? 2 : 3;
        if (++a.n_whole > (unsigned)n->max_digits)
            return UINT64_MAX;
    } else {
        a.lo = compare_digit(&n->lo, a.lo, true, a.n_part, c);
        a.hi = compare_digit(&n->hi, a.hi, true, a.n_part, c);
        a.phase = 5;
        if (n->step && (int)a.n_part >= n->scale && c != '0')
            return UINT64_MAX; // finer than any multiple
        if (++a.n_part + a.n_whole > (unsigned)n->max_digits)
            return UINT64_MAX;
    }
    a.nonzero |= c != '0';
    if (n->step && (a.phase != 5 || (int)a.n_part <= n->scale))
        a.rest = (uint32_t)(((uint64_t)a.rest * 10 + (uint64_t)(c - '0')) % n->step);
    return pack(a);
}

static bool accept_number(const void *arg, uint64_t s)
{
    const struct numbers *n = arg;
    struct at a = unpack(s);
    if (a.phase != 2 && a.phase != 3 && a.phase != 5)
        return false;
    unsigned lo = a.lo, hi = a.hi;
    if (a.phase != 5) {
        lo = compare_whole(&n->lo, lo, a.n_whole);
        hi = compare_whole(&n->hi, hi, a.n_whole);
    }
    lo = compare_end(&n->lo, lo, a.n_part);
    hi = compare_end(&n->hi, hi, a.n_part);
    bool neg = a.neg && a.nonzero; // -0 is 0
    if (n->lo.set) {
        // order of the value against the bound: -1, 0, 1
        int c = neg != n->lo.negative ? (neg ? -1 : 1) : ((int)lo - 2) * (neg ? -1 : 1);
        if (c < 0 || (c == 0 && n->lo.exclusive))
            return false;
    }
    if (n->hi.set) {
        int c = neg != n->hi.negative ? (neg ? -1 : 1) : ((int)hi - 2) * (neg ? -1 : 1);
        if (c > 0 || (c == 0 && n->hi.exclusive))
            return false;
    }
    if (n->step) {
        uint64_t rest = a.rest;
        for (int i = (int)a.n_part; i < n->scale; i++)
            rest = rest * 10 % n->step;
        if (rest)
            return false;
    }
    return true;
}

/* False: out of what is written with so many digits. */
static bool spell(struct num_bound b, struct digits *out)
{
    char text[64];
    *out = (struct digits){.set = b.set, .exclusive = b.exclusive};
    if (!b.set)
        return true;
    for (int precision = 1; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, fabs(b.v));
        if (strtod(text, NULL) == fabs(b.v))
            break;
    }
    char *e = strchr(text, 'e');
    int exponent = e ? (int)strtol(e + 1, NULL, 10) : 0, n = 0;
    char all[32];
    for (char *p = text; p < e; p++)
        if (*p != '.')
            all[n++] = *p;
    if (exponent > 20 || exponent < -20)
        return false;
    out->negative = b.v < 0;
    out->n_whole = exponent < 0 ? 1 : exponent + 1;
    int at = 0;
    for (int i = 0; i < out->n_whole; i++)
        out->d[at++] = exponent < 0 ? '0' : i < n ? all[i] : '0';
    for (int i = exponent + 1; i < 0; i++)
        out->d[at++] = '0';
    for (int i = exponent < 0 ? 0 : exponent + 1; i < n; i++)
        out->d[at++] = all[i];
    out->n_part = at - out->n_whole;
    return true;
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b) {
        uint64_t c = a % b;
        a = b;
        b = c;
    }
    return a;
}

/* Multiples of all m as one: step / 10^scale.  False: no. */
static bool common_step(const double *m, size_t n_m, struct numbers *out)
{
    uint64_t step = 0;
    int scale = 0;
    uint64_t whole[16];
    if (n_m > COUNT(whole))
        return false;
    for (int s = 0; s <= 9; s++) {
        bool all = true;
        for (size_t i = 0; i < n_m && all; i++) {
            double v = m[i] * pow(10, s);
            whole[i] = (uint64_t)llround(v);
            all = v < 1e12 && whole[i] > 0 && fabs(v - (double)whole[i]) < 1e-9 * v;
        }
        scale = s;
        if (all)
            break;
        if (s == 9)
            return false;
    }
    for (size_t i = 0; i < n_m; i++) {
        step = step ? step / gcd(step, whole[i]) * whole[i] : whole[i];
        if (step > 1000000000)
            return false;
    }
    out->step = (uint32_t)step;
    out->scale = scale;
    return true;
}

const struct dfa *number_dfa(struct gram_build *b, bool integer, struct num_bound lo,
                             struct num_bound hi, const double *m, size_t n_m, const char **why)
{
    struct numbers n = {.integer = integer, .max_digits = integer ? WHOLE_MAX : DIGITS_MAX};
    *why = NULL;
    if (integer) { // whole bounds
        if (lo.set) {
            double v = ceil(lo.v);
            if (lo.exclusive && v == lo.v)
                v += 1;
            if (v > lo.v || fabs(v) < 9e15)
                lo = (struct num_bound){true, v <= lo.v && lo.exclusive, v};
        }
        if (hi.set) {
            double v = floor(hi.v);
            if (hi.exclusive && v == hi.v)
                v -= 1;
            if (v < hi.v || fabs(v) < 9e15)
                hi = (struct num_bound){true, v >= hi.v && hi.exclusive, v};
        }
    }
    if (n_m) // readers that know doubles alone must see a multiple too
        n.max_digits = DIGITS_MAX;
    // Bounds past all that is written decide nothing, or everything.
    if (lo.set && lo.v < -1e18)
        lo.set = false;
    if (hi.set && hi.v > 1e18)
        hi.set = false;
    if (!spell(lo, &n.lo) || !spell(hi, &n.hi)) {
        *why = "the bound has too many digits";
        return NULL;
    }
    if (n_m && !common_step(m, n_m, &n)) {
        *why = "the multiple is too fine or too large";
        return NULL;
    }
    if (n.step && n.scale && integer) {
        // Whole multiples of step / 10^scale.
        uint64_t unit = 1;
        for (int i = 0; i < n.scale; i++)
            unit *= 10;
        n.step = (uint32_t)(n.step / gcd(n.step, unit));
        n.scale = 0;
    }
    if (n.step > STEP_MAX) {
        *why = "the multiple is too large to be counted";
        return NULL;
    }
    return dfa_explore(b, pack((struct at){0}), integer ? "0123456789-" : "0123456789-.",
                       step_number, accept_number, &n);
}
