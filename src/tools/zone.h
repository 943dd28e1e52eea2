/* tools/zone.h - time zones: how far local time is from UTC at a moment.
 *
 * Names are "UTC", "+HH:MM", or the IANA names of the system's zoneinfo files.
 * Source: RFC 8536 (TZif), POSIX's TZ for the rule at a file's end.  Any thread. */
#ifndef TOOLS_ZONE_H
#define TOOLS_ZONE_H

#include "base/buf.h"
#include "base/err.h"

struct zone {
    int fixed_s;     // without a file: seconds east of UTC
    struct buf file; // TZif, or empty
};

/* ERR_INPUT: there is no such zone.  zone_close in any case. */
MUST_CHECK bool zone_open(struct zone *z, str name, struct err *e);
void zone_close(struct zone *z);
int zone_offset(const struct zone *z, int64_t unix_s); // seconds east of UTC

/* The same from the bytes of a file. */
MUST_CHECK bool zone_read(str tzif, int64_t unix_s, int *offset_s);

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back. */
int64_t date_days(int64_t year, int month, int day);
void date_of_days(int64_t days, int64_t *year, int *month, int *day);
int date_month_length(int64_t year, int month);

#endif
