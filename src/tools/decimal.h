/* tools/decimal.h - decimal numbers of many digits: what the calculator counts with.
 *
 * A number is +-coefficient * 10^exp.  Whole numbers are exact up to DEC_DIGITS digits; others are
 * rounded to DEC_KEPT significant digits by whoever asks for it (dec_round).  Pure; any thread. */
#ifndef TOOLS_DECIMAL_H
#define TOOLS_DECIMAL_H

#include "base/buf.h"
#include "base/err.h"

#define DEC_LIMBS  230 // of nine digits
#define DEC_DIGITS (DEC_LIMBS * 9)
#define DEC_KEPT   200
#define DEC_EXP    1000000 // exponents beyond are an error, or zero

struct dec {
    bool minus;               // never of zero
    int n;                    // limbs; 0: zero
    int exp;                  // 0 for zero
    uint32_t limb[DEC_LIMBS]; // base 10^9, lowest first; limb[n - 1] != 0
};

void dec_set(struct dec *x, int64_t v);
/* Digits with at most one point and an exponent ("1.5e-3"), no sign.  ERR_INPUT, ERR_LIMIT. */
MUST_CHECK bool dec_parse(struct dec *x, str text, struct err *e);

int dec_digits(const struct dec *x); // of the coefficient; 0 of zero
/* To `digits` significant digits, ties to even, and without zeros behind the point. */
void dec_round(struct dec *x, int digits);
/* Is it a whole number?  Then its exponent becomes 0 if it fits. */
bool dec_whole(struct dec *x);
int dec_cmp(const struct dec *a, const struct dec *b);

/* All may alias.  ERR_LIMIT when the exact result has more than DEC_DIGITS digits. */
MUST_CHECK bool dec_add(struct dec *r, const struct dec *a, const struct dec *b, struct err *e);
MUST_CHECK bool dec_mul(struct dec *r, const struct dec *a, const struct dec *b, struct err *e);
/* Quotient to `digits` significant digits, cut; *exact says whether nothing was cut. */
MUST_CHECK bool dec_div(struct dec *r, const struct dec *a, const struct dec *b, int digits,
                        bool *exact, struct err *e);
/* a = q * b + r, q whole and rounded down, r with b's sign.  q or r may be NULL. */
MUST_CHECK bool dec_floor_div(struct dec *q, struct dec *r, const struct dec *a,
                              const struct dec *b, struct err *e);

/* To and from the machine's widest reals (18 digits on x86-64).  ERR_LIMIT: too large, or none. */
MUST_CHECK bool dec_to_real(const struct dec *x, long double *out, struct err *e);
MUST_CHECK bool dec_from_real(struct dec *x, long double v, struct err *e);

/* A whole number in full; another with 15 significant digits, zeros kept, exponent from 1e15 on and
 * below 1e-4. */
void dec_write_whole(const struct dec *x, struct buf *out);
void dec_write_15(const struct dec *x, struct buf *out);

#endif
