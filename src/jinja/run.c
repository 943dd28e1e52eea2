/* jinja/run.c - errors with a place, and the limits that a render counts against. */
#include "jinja/jinja_int.h"

#include <stdio.h>

bool jinja_fail(struct render *r, const char *fmt, ...)
{
    char msg[sizeof r->e->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return jinja_lex_fail(r->t, r->at, r->e, ERR_INPUT, "%s", msg);
}

bool jinja_fail_limit(struct render *r, const char *what)
{
    return jinja_lex_fail(r->t, r->at, r->e, ERR_LIMIT, "the template went past its limit of %s",
                          what);
}

bool jinja_step(struct render *r, size_t n)
{
    if (n >= r->limits.steps - r->steps) {
        r->steps = r->limits.steps;
        return jinja_fail_limit(r, "steps");
    }
    r->steps += n;
    return true;
}

bool jinja_enter(struct render *r)
{
    if (r->nest >= JINJA_NEST_MAX)
        return jinja_fail_limit(r, "depth");
    r->nest++;
    return true;
}

void jinja_leave(struct render *r)
{
    r->nest--;
}

void *jinja_alloc(struct render *r, size_t n, size_t size)
{
    void *p = arena_calloc(r->a, n, size);
    if (!p)
        jinja_fail_limit(r, "memory");
    return p;
}
