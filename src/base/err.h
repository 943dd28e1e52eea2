/* base/err.h - the one error idiom.
 *
 * A fallible function returns bool (or a pointer whose NULL means failure) and takes a struct err
 * as its last parameter, never NULL.  It returns false only after setting it.  Setting an error
 * never allocates.  Any thread; a struct err belongs to its caller. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/defs.h"

/* Whose fault is it, and can it be retried? */
enum err_code {
    ERR_NONE,
    ERR_INPUT,     // the caller's data or arguments are wrong
    ERR_NOT_FOUND, // the thing named does not exist
    ERR_DENIED,    // the caller may not
    ERR_LIMIT,     // a declared bound was reached
    ERR_BUSY,      // no room now; retry later
    ERR_TIMEOUT,   // a deadline passed
    ERR_CANCELED,  // somebody asked to stop
    ERR_FORMAT,    // a file on disk is broken or of an unknown kind
    ERR_IO,        // the operating system said no
    ERR_INTERNAL   // our own fault
};

struct err {
    enum err_code code;
    char where[128]; // line:column, JSON pointer, tensor name ...; may be empty
    char msg[512];   // a sentence a user can act on
    char kind[48];   // optional machine-readable reason ("context_length_exceeded"); may be empty
};

/* Sets *e.  Long texts are cut.  Always returns false, so that `return err_set(...)` reads well. */
bool err_set(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Like err_set, with a place; `where` may be NULL. */
bool err_set_at(struct err *e, enum err_code code, const char *where, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* Like err_set, with ": strerror(errno)" behind the message.  Call right after the failing call. */
bool err_errno(struct err *e, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "text: " before the message: context added on the way out.  Always returns false. */
bool err_ctx(struct err *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Sets the machine-readable reason.  Always returns false. */
bool err_kind(struct err *e, const char *kind);

/* "input", "not_found", ...; never NULL. */
const char *err_code_name(enum err_code code);

#endif
