/* base/buf.h - bytes that grow up to a declared maximum.
 *
 * Reaching the maximum sets the sticky flag `full` and drops what did not fit as a whole; check it
 * once at the end.  One owner at a time. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"

#include <stdarg.h>

struct buf {
    char *p; // NULL while empty and unreserved
    size_t n, cap;
    size_t max; // the most that n may become
    bool full;  // sticky: something did not fit
};

#define BUF_INIT(max_size)                                                                         \
    {                                                                                              \
        NULL, 0, 0, (max_size), false                                                              \
    }

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b);  // also makes it empty and usable again
void buf_clear(struct buf *b); // keeps the memory; clears `full`

/* Appends; false when it did not fit (nothing is appended then). */
bool buf_put(struct buf *b, const void *p, size_t n);
bool buf_str(struct buf *b, str s);
bool buf_c(struct buf *b, const char *s);
bool buf_char(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool buf_vprintf(struct buf *b, const char *fmt, va_list ap);

/* Makes room for n more bytes and returns where they go, or NULL when they do not fit; add what
 * was written to b->n. */
char *buf_reserve(struct buf *b, size_t n);

/* Drops the first n bytes (n <= b->n). */
void buf_consume(struct buf *b, size_t n);

static inline str buf_as_str(const struct buf *b)
{
    return (str){b->p, b->n};
}

/* NUL-terminated view, valid until the next change.  "" when empty. */
const char *buf_cstr(struct buf *b);

#endif
