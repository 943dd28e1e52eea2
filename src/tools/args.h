/* tools/args.h - the arguments of a built-in tool, taken by name.  Pure.
 *
 * An absent or null one leaves *out untouched; it is an error (ERR_INPUT) only if required.  The
 * message is for the model. */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include "base/err.h"
#include "json/json.h"

MUST_CHECK bool args_str(const json_t *args, const char *name, bool required, str *out,
                         struct err *e); // borrowed
MUST_CHECK bool args_int(const json_t *args, const char *name, bool required, int64_t least,
                         int64_t most, int64_t *out, struct err *e); // 5.0 and "5" are 5
MUST_CHECK bool args_num(const json_t *args, const char *name, bool required, double *out,
                         struct err *e);
/* Numbers, 1 to most; the caller frees *out with mem_free.  Absent: *out stays NULL. */
MUST_CHECK bool args_nums(const json_t *args, const char *name, bool required, size_t most,
                          double **out, size_t *n, struct err *e);

/* Tools that compute at once: appends the result, a JSON object, to out. */
bool tools_calculator(const json_t *args, struct buf *out, struct err *e);
bool tools_statistics(const json_t *args, struct buf *out, struct err *e);
bool tools_calendar(const json_t *args, struct buf *out, struct err *e);

#endif
