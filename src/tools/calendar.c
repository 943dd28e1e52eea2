/* tools/calendar.c - math:calendar: now, weekdays, sums and differences of dates. */
#include "tools/args.h"

#include "base/clock.h"
#include "tools/zone.h"

#include <ctype.h>

#define DAY 86400

/* A date, maybe with a time: seconds of local time since 1970. */
struct moment {
    int64_t local_s;
    bool timed;
    bool has_offset;
    int offset_s;
};

struct ask {
    struct zone zone;
    struct moment date, end;
    bool has_date, has_end, has_units;
    int64_t years, months, days, hours, minutes;
};

static const char *const weekdays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                       "Friday", "Saturday", "Sunday"};

static int64_t days_of(int64_t seconds)
{
    return (seconds >= 0 ? seconds : seconds - DAY + 1) / DAY;
}

static int weekday(int64_t days) // 0: Monday
{
    return (int)(((days + 3) % 7 + 7) % 7);
}

static bool digits(str *s, int least, int most, int64_t *v)
{
    int n = 0;
    *v = 0;
    while (n < most && (size_t)n < s->n && isdigit((unsigned char)s->p[n]))
        *v = *v * 10 + (s->p[n++] - '0');
    *s = str_from(*s, (size_t)n);
    return n >= least;
}

static bool take(str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_from(*s, 1);
    return true;
}

static bool read_time(str *s, struct moment *m)
{
    int64_t h, min, sec = 0;
    if (!digits(s, 1, 2, &h) || !take(s, ':') || !digits(s, 2, 2, &min) || h > 24 || min > 59 ||
        (take(s, ':') && (!digits(s, 2, 2, &sec) || sec > 60)))
        return false;
    if (take(s, '.'))
        while (s->n && isdigit((unsigned char)s->p[0]))
            *s = str_from(*s, 1);
    m->timed = true;
    m->local_s += h * 3600 + min * 60 + sec;
    if (take(s, 'Z')) {
        m->has_offset = true;
    } else if (s->n && (s->p[0] == '+' || s->p[0] == '-')) {
        struct zone z;
        struct err e;
        bool ok = zone_open(&z, *s, &e);
        m->has_offset = true;
        m->offset_s = z.fixed_s;
        zone_close(&z);
        *s = STR("");
        return ok;
    }
    return true;
}

/* "2026", "2026-11", "2026-11-29", "2026-11-29T08:00", with seconds and an offset. */
static bool read_date(const char *name, str text, struct moment *out, struct err *e)
{
    struct moment m = {0};
    str s = str_trim(text);
    int64_t year, month = 1, day = 1;
    bool ok = digits(&s, 4, 4, &year) && year > 0;
    if (ok && take(&s, '-'))
        ok = digits(&s, 1, 2, &month) && month >= 1 && month <= 12;
    if (ok && take(&s, '-'))
        ok = digits(&s, 1, 2, &day) && day >= 1 && day <= date_month_length(year, (int)month);
    if (ok) {
        m.local_s = date_days(year, (int)month, (int)day) * DAY;
        if (take(&s, 'T') || take(&s, ' '))
            ok = read_time(&s, &m);
    }
    if (!ok || s.n)
        return err_set(e, ERR_INPUT,
                       "'%s' must be a date like 2026-11-29 or 2026-11-29T08:00:00+01:00", name);
    *out = m;
    return true;
}

/* The same as a moment everywhere; of local times that occur twice the first. */
static int64_t to_unix(const struct ask *a, const struct moment *m)
{
    if (m->has_offset)
        return m->local_s - m->offset_s;
    int64_t guess = m->local_s - zone_offset(&a->zone, m->local_s);
    return m->local_s - zone_offset(&a->zone, guess);
}

static bool write_date(int64_t local_s, struct buf *out, struct err *e)
{
    int64_t year;
    int month, day;
    date_of_days(days_of(local_s), &year, &month, &day);
    if (year < 1 || year > 9999)
        return err_set(e, ERR_INPUT, "the year %lld is out of range", (long long)year);
    buf_printf(out, "%04d-%02d-%02d", (int)year, month, day);
    return true;
}

static void write_clock(int64_t local_s, struct buf *out)
{
    int s = (int)(local_s - days_of(local_s) * DAY);
    buf_printf(out, "%02d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

static void write_offset(int offset_s, struct buf *out)
{
    int a = offset_s < 0 ? -offset_s : offset_s;
    buf_printf(out, "%c%02d:%02d", offset_s < 0 ? '-' : '+', a / 3600, a / 60 % 60);
}

static bool op_now(struct ask *a, struct buf *out, struct err *e)
{
    int64_t now = clock_unix_ms() / 1000;
    int offset = zone_offset(&a->zone, now);
    int64_t local = now + offset;
    buf_c(out, "{\"datetime\": \"");
    if (!write_date(local, out, e))
        return false;
    buf_char(out, 'T');
    write_clock(local, out);
    write_offset(offset, out);
    buf_c(out, "\", \"date\": \"");
    bool ok = write_date(local, out, e);
    buf_c(out, "\", \"time\": \"");
    write_clock(local, out);
    buf_printf(out, "\", \"weekday\": \"%s\"}", weekdays[weekday(days_of(local))]);
    return ok;
}

static bool op_weekday(struct ask *a, struct buf *out, struct err *e)
{
    (void)e;
    buf_printf(out, "\"%s\"", weekdays[weekday(days_of(a->date.local_s))]);
    return true;
}

static bool op_add(struct ask *a, struct buf *out, struct err *e)
{
    int64_t year, days = days_of(a->date.local_s);
    int month, day;
    if (!a->has_units)
        return err_set(e, ERR_INPUT, "add needs years, months, days, hours or minutes");
    date_of_days(days, &year, &month, &day);
    int64_t months = (year + a->years) * 12 + month - 1 + a->months;
    if (months < 12 || months >= 10000 * 12)
        return err_set(e, ERR_INPUT, "the result is out of range");
    year = months / 12;
    month = (int)(months % 12) + 1;
    day = int_min(day, date_month_length(year, month)); // the last day there is
    struct moment m = a->date;
    m.local_s += (date_days(year, month, day) - days + a->days) * DAY;
    bool timed = m.timed || a->hours || a->minutes;
    int offset = m.offset_s;
    if (timed) {
        int64_t at = to_unix(a, &m) + a->hours * 3600 + a->minutes * 60;
        offset = m.has_offset ? m.offset_s : zone_offset(&a->zone, at);
        m.local_s = at + offset;
    }
    buf_char(out, '"');
    bool ok = write_date(m.local_s, out, e);
    if (timed) {
        buf_char(out, 'T');
        write_clock(m.local_s, out);
        write_offset(offset, out);
    }
    buf_char(out, '"');
    return ok;
}

static bool op_diff(struct ask *a, struct buf *out, struct err *e)
{
    if (!a->has_end)
        return err_set(e, ERR_INPUT, "diff needs 'end_date'");
    if (!a->date.timed && !a->end.timed) {
        int64_t n = days_of(a->end.local_s) - days_of(a->date.local_s);
        buf_printf(out, "{\"days\": %lld}", (long long)n);
        return true;
    }
    int64_t s = to_unix(a, &a->end) - to_unix(a, &a->date), left = s < 0 ? -s : s;
    buf_printf(out,
               "{\"%sdays\": %lld, \"hours\": %d, \"minutes\": %d, \"seconds\": %d, "
               "\"total_seconds\": %lld}",
               s < 0 ? "negative\": true, \"" : "", (long long)(left / DAY),
               (int)(left % DAY / 3600), (int)(left % 3600 / 60), (int)(left % 60), (long long)s);
    return true;
}

static bool op_leap(struct ask *a, struct buf *out, struct err *e)
{
    int64_t year;
    int month, day;
    (void)e;
    date_of_days(days_of(a->date.local_s), &year, &month, &day);
    buf_c(out, date_month_length(year, 2) == 29 ? "true" : "false");
    return true;
}

static bool op_month(struct ask *a, struct buf *out, struct err *e)
{
    int64_t year;
    int month, day;
    (void)e;
    date_of_days(days_of(a->date.local_s), &year, &month, &day);
    buf_printf(out, "%d", date_month_length(year, month));
    return true;
}

/* ISO 8601: a week belongs to the year of its Thursday. */
static bool op_week(struct ask *a, struct buf *out, struct err *e)
{
    int64_t days = days_of(a->date.local_s), thursday = days - weekday(days) + 3, year;
    int month, day;
    (void)e;
    date_of_days(thursday, &year, &month, &day);
    buf_printf(out, "{\"week\": %d, \"year\": %d}", (int)(thursday - date_days(year, 1, 1)) / 7 + 1,
               (int)year);
    return true;
}

static const struct {
    const char *name;
    bool (*apply)(struct ask *a, struct buf *out, struct err *e);
} operations[] = {
    {"now", op_now},          {"weekday", op_weekday},   {"add", op_add},
    {"diff", op_diff},        {"is_leap_year", op_leap}, {"days_in_month", op_month},
    {"week_number", op_week},
};

/* What is meant where no operation is named: small models leave it out. */
static str default_operation(const json_t *args)
{
    static const char *const units[] = {"years", "months", "days", "hours", "minutes"};
    if (json_is_string(json_object_get(args, "end_date")))
        return STR("diff");
    for (size_t i = 0; i < COUNT(units); i++)
        if (json_object_get(args, units[i]) && !json_is_null(json_object_get(args, units[i])))
            return STR("add");
    return json_is_string(json_object_get(args, "date")) ? STR("weekday") : STR("now");
}

static bool read_units(const json_t *args, struct ask *a, struct err *e)
{
    const struct {
        const char *name;
        int64_t *to, most;
    } units[] = {
        {"years", &a->years, 10000},          {"months", &a->months, 120000},
        {"days", &a->days, 4000000},          {"hours", &a->hours, 100000000},
        {"minutes", &a->minutes, 6000000000},
    };
    for (size_t i = 0; i < COUNT(units); i++) {
        if (!args_int(args, units[i].name, false, -units[i].most, units[i].most, units[i].to, e))
            return false;
        const json_t *v = json_object_get(args, units[i].name);
        a->has_units |= v && !json_is_null(v);
    }
    return true;
}

static bool read_ask(const json_t *args, struct ask *a, struct err *e)
{
    str date = {NULL, 0}, end = {NULL, 0}, zone = {NULL, 0};
    if (!args_str(args, "date", false, &date, e) || !args_str(args, "end_date", false, &end, e) ||
        !args_str(args, "timezone", false, &zone, e) || !read_units(args, a, e))
        return false;
    zone_close(&a->zone);
    if (!zone_open(&a->zone, str_trim(zone), e))
        return false;
    int64_t now = clock_unix_ms() / 1000;
    // Today, where no date is given.
    a->date.local_s = days_of(now + zone_offset(&a->zone, now)) * DAY;
    a->has_end = end.n > 0;
    return (date.n == 0 || str_eqc(date, "today") || read_date("date", date, &a->date, e)) &&
           (end.n == 0 || read_date("end_date", end, &a->end, e));
}

bool tools_calendar(const json_t *args, struct buf *out, struct err *e)
{
    struct ask a = {0};
    size_t i = 0;
    str name = default_operation(args);
    if (!args_str(args, "operation", false, &name, e))
        return false;
    while (i < COUNT(operations) && !str_eqc(name, operations[i].name))
        i++;
    if (i == COUNT(operations))
        return err_set(e, ERR_INPUT, "there is no operation '%.*s'", STR_ARG(str_sub(name, 0, 40)));
    buf_init(&a.zone.file, 1);
    bool ok = read_ask(args, &a, e);
    if (ok) {
        buf_c(out, "{\"result\": ");
        ok = operations[i].apply(&a, out, e);
        buf_c(out, "}");
    }
    zone_close(&a.zone);
    return ok;
}
