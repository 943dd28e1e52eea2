/* base/err.c - see err.h. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void set_v(struct err *e, enum err_code code, const char *where, const char *fmt, va_list ap)
{
    char msg[sizeof e->msg]; // the arguments may point into *e

    vsnprintf(msg, sizeof msg, fmt, ap);
    char place[sizeof e->where];
    snprintf(place, sizeof place, "%s", where ? where : "");
    e->code = code;
    memcpy(e->msg, msg, sizeof msg);
    memcpy(e->where, place, sizeof place);
    e->kind[0] = '\0';
}

bool err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_v(e, code, NULL, fmt, ap);
    va_end(ap);
    return false;
}

bool err_set_at(struct err *e, enum err_code code, const char *where, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_v(e, code, where, fmt, ap);
    va_end(ap);
    return false;
}

bool err_errno(struct err *e, enum err_code code, const char *fmt, ...)
{
    int saved = errno;
    char text[128];
    const char *why = strerror_r(saved, text, sizeof text);

    va_list ap;
    va_start(ap, fmt);
    set_v(e, code, NULL, fmt, ap);
    va_end(ap);
    size_t n = strlen(e->msg);
    snprintf(e->msg + n, sizeof e->msg - n, ": %s", why);
    return false;
}

bool err_ctx(struct err *e, const char *fmt, ...)
{
    char msg[sizeof e->msg];

    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof msg)
        return false; // no room for context: keep the message itself
    snprintf(msg + n, sizeof msg - (size_t)n, ": %s", e->msg);
    memcpy(e->msg, msg, sizeof msg);
    return false;
}

bool err_kind(struct err *e, const char *kind)
{
    snprintf(e->kind, sizeof e->kind, "%s", kind);
    return false;
}

const char *err_code_name(enum err_code code)
{
    static const char *const names[] = {
        [ERR_NONE] = "none",       [ERR_INPUT] = "input",       [ERR_NOT_FOUND] = "not_found",
        [ERR_DENIED] = "denied",   [ERR_LIMIT] = "limit",       [ERR_BUSY] = "busy",
        [ERR_TIMEOUT] = "timeout", [ERR_CANCELED] = "canceled", [ERR_FORMAT] = "format",
        [ERR_IO] = "io",           [ERR_INTERNAL] = "internal",
    };
    return (size_t)code < COUNT(names) ? names[code] : "unknown";
}
