/* base/str.h - a borrowed run of bytes.
 *
 * Not NUL-terminated; bytes by default (functions that need UTF-8 say so).  Parsers take `str *in`
 * and advance it.  Pure functions, any thread. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/defs.h"

#include <string.h>

typedef struct str {
    const char *p; // may be NULL only when n == 0
    size_t n;
} str;

/* A str of a string literal, and one usable in static initialisers. */
#define STR(lit) ((str){("" lit), sizeof(lit) - 1})
#define STR_INIT(lit)                                                                              \
    {                                                                                              \
        ("" lit), sizeof(lit) - 1                                                                  \
    }

/* printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)((s).n > 1000000 ? 1000000 : (s).n), ((s).p ? (s).p : "")

static inline str str_n(const char *p, size_t n)
{
    return (str){p, n};
}

/* Borrows a NUL-terminated string; NULL gives an empty one. */
static inline str str_c(const char *p)
{
    return (str){p, p ? strlen(p) : 0};
}

static inline bool str_eq(str a, str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_eqc(str a, const char *b)
{
    return str_eq(a, str_c(b));
}

/* The part from byte `from` of at most n bytes; both are clamped to s. */
static inline str str_sub(str s, size_t from, size_t n)
{
    if (from > s.n)
        from = s.n;
    return (str){s.p ? s.p + from : NULL, size_min(n, s.n - from)};
}

static inline str str_from(str s, size_t from)
{
    return str_sub(s, from, s.n);
}

/* Bytewise order: <0, 0, >0; a prefix comes first. */
int str_cmp(str a, str b);

/* Equal but for the case of ASCII letters. */
bool str_eq_nocase(str a, str b);

bool str_starts(str s, str prefix);
bool str_ends(str s, str suffix);

/* Index of the first match, or -1.  An empty needle is found at 0. */
ptrdiff_t str_find(str s, str needle);
ptrdiff_t str_chr(str s, char c);
ptrdiff_t str_rchr(str s, char c);

/* Without ASCII white space at both ends. */
str str_trim(str s);

/* Takes what stands before the first `sep` into *head and moves *s behind it; without one, takes
 * all.  False once *s has nothing left to give (s->p == NULL). */
bool str_cut(str *s, char sep, str *head);

/* Whole-string numbers.  False (outputs untouched) on anything else: empty, signs where none
 * belong, blanks, overflow. */
MUST_CHECK bool str_to_u64(str s, uint64_t *out);
MUST_CHECK bool str_to_i64(str s, int64_t *out);
MUST_CHECK bool str_to_double(str s, double *out);

#endif
