/* base/log.h - the program's log: one line an event, `level room.event key=value ...`, on standard
 * error.  Only app, run, sched, backend, tools and store log; lower rooms return errors.  Any
 * thread; a line is written whole. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

/* "warn", or "warn,sched=debug": the level of all rooms, then of single ones.  False if malformed
 * (nothing changes).  Call before threads start. */
MUST_CHECK bool log_configure(str spec);

bool log_enabled(enum log_level level, const char *event);

/* event is "room.what".  Values with blanks are to be quoted with log_quote. */
void log_write(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(event, ...) log_write(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  log_write(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  log_write(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) log_write(LOG_DEBUG, event, __VA_ARGS__)

/* s as a value: bare when it is plain, else in double quotes with JSON-like escapes, cut to fit. */
const char *log_quote(char *out, size_t cap, str s);

#endif
