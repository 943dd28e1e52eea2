/* tools/calc.h - the calculator: an expression's value as text.
 *
 * Numbers as decimals; + - * / // % ** ^ ! and brackets; the constants and functions named in
 * calc.c.  Whole numbers that stay whole are exact (up to 2070 digits).  Others are exact decimals
 * up to 200 digits; quotients have 60; functions count with the machine's widest reals (18 digits
 * on x86-64).  What is not whole is written with 15 significant digits.  Pure; any thread. */
#ifndef TOOLS_CALC_H
#define TOOLS_CALC_H

#include "base/buf.h"
#include "base/err.h"

#define CALC_MAX 4096 // bytes of an expression

/* Appends the value.  ERR_INPUT (syntax, domain, division by zero), ERR_LIMIT (length, depth, size
 * of numbers, work); the message tells the model what to change. */
MUST_CHECK bool calc(str expression, struct buf *out, struct err *e);

#endif
