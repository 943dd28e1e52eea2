/* base/utf8.h - UTF-8 as of RFC 3629: no surrogates, no overlong forms, nothing past U+10FFFF.
 * Pure functions, any thread. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

/* Takes one code point off the front of *in.  Bad or cut-off bytes give -1 and advance by one byte.
 * in->n must be > 0. */
int32_t utf8_next(str *in);

/* Writes cp (a valid scalar value) to out[4]; returns the length 1..4, or 0 if it is not one. */
size_t utf8_put(char out[4], uint32_t cp);

bool utf8_valid(str s);

/* Length of the longest front of s that does not end inside a character that more bytes could
 * still complete.  Invalid bytes count as whole: 0..3 bytes are held back. */
size_t utf8_whole(str s);

#endif
