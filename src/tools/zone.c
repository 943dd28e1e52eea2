/* tools/zone.c - see zone.h. */
#include "tools/zone.h"

#include "base/file.h"

#include <ctype.h>

#define FILES    "/usr/share/zoneinfo/"
#define FILE_MAX ((size_t)256 << 10)
#define DAY      86400

/* Source: Howard Hinnant, "chrono-compatible low-level date algorithms". */
int64_t date_days(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400, of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void date_of_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

int date_month_length(int64_t year, int month)
{
    return (int)((month == 12 ? date_days(year + 1, 1, 1) : date_days(year, month + 1, 1)) -
                 date_days(year, month, 1));
}

static int64_t big_endian(const char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return n == 4 ? (int32_t)(uint32_t)v : (int64_t)v;
}

struct counts {
    size_t isut, isstd, leap, time, type, chars;
};

static bool read_head(str s, struct counts *c)
{
    size_t *const list[] = {&c->isut, &c->isstd, &c->leap, &c->time, &c->type, &c->chars};
    if (s.n < 44 || !str_starts(s, STR("TZif")))
        return false;
    for (size_t i = 0; i < COUNT(list); i++) {
        int64_t n = big_endian(s.p + 20 + 4 * i, 4);
        if (n < 0 || n > 100000)
            return false;
        *list[i] = (size_t)n;
    }
    return c->type > 0;
}

static size_t body_size(const struct counts *c, size_t time_size)
{
    return c->time * (time_size + 1) + c->type * 6 + c->chars + c->leap * (time_size + 4) +
           c->isstd + c->isut;
}

/* POSIX's rule: "CET-1CEST,M3.5.0,M10.5.0/3". */

static bool skip_name(str *s)
{
    size_t n = 0;
    if (str_starts(*s, STR("<")))
        while (n < s->n && s->p[n++] != '>')
            ;
    else
        while (n < s->n && isalpha((unsigned char)s->p[n]))
            n++;
    *s = str_from(*s, n);
    return n > 0;
}

static bool take_number(str *s, int64_t *v)
{
    size_t n = 0;
    *v = 0;
    while (n < s->n && n < 6 && isdigit((unsigned char)s->p[n]))
        *v = *v * 10 + (s->p[n++] - '0');
    *s = str_from(*s, n);
    return n > 0;
}

static bool take(str *s, char c)
{
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_from(*s, 1);
    return true;
}

/* [+-]h[:m[:s]] in seconds. */
static bool take_time(str *s, int64_t *seconds)
{
    int64_t h, m = 0, sec = 0, sign = take(s, '-') ? -1 : 1;
    take(s, '+');
    if (!take_number(s, &h) || (take(s, ':') && !take_number(s, &m)) ||
        (take(s, ':') && !take_number(s, &sec)))
        return false;
    *seconds = sign * (h * 3600 + m * 60 + sec);
    return true;
}

/* When in a year it changes, in seconds of local time since 1970. */
static bool take_change(str *s, int64_t year, int64_t *at)
{
    int64_t month, week, weekday, time = 7200;
    if (!take(s, ',') || !take(s, 'M') || !take_number(s, &month) || !take(s, '.') ||
        !take_number(s, &week) || !take(s, '.') || !take_number(s, &weekday) ||
        (take(s, '/') && !take_time(s, &time)) || month < 1 || month > 12 || week < 1 || week > 5 ||
        weekday > 6)
        return false;
    int64_t first = date_days(year, (int)month, 1);
    int64_t day = first + ((weekday - (first + 4)) % 7 + 7) % 7 + (week - 1) * 7;
    if (day >= first + date_month_length(year, (int)month))
        day -= 7;
    *at = day * DAY + time;
    return true;
}

static bool read_rule(str s, int64_t unix_s, int *offset_s)
{
    int64_t west, summer, begin, end, year;
    int month, day;
    if (!skip_name(&s) || !take_time(&s, &west))
        return false;
    *offset_s = (int)-west;
    if (s.n == 0)
        return true;
    summer = west - 3600;
    if (!skip_name(&s) || (s.n && s.p[0] != ',' && !take_time(&s, &summer)))
        return false;
    int64_t local = unix_s - west;
    date_of_days((local >= 0 ? local : local - DAY + 1) / DAY, &year, &month, &day);
    if (!take_change(&s, year, &begin) || !take_change(&s, year, &end))
        return false;
    begin += west; // of local standard time, as UTC
    end += summer;
    bool in = begin < end ? unix_s >= begin && unix_s < end : unix_s >= begin || unix_s < end;
    if (in)
        *offset_s = (int)-summer;
    return true;
}

bool zone_read(str s, int64_t unix_s, int *offset_s)
{
    struct counts c;
    if (!read_head(s, &c))
        return false;
    size_t time_size = 4;
    if (s.p[4] >= '2') { // the same again with longer times
        s = str_from(s, 44 + body_size(&c, 4));
        time_size = 8;
        if (!read_head(s, &c))
            return false;
    }
    size_t size = body_size(&c, time_size);
    if (s.n < 44 + size)
        return false;
    const char *times = s.p + 44, *kinds = times + c.time * time_size, *types = kinds + c.time;
    str rule = str_from(s, 44 + size);
    size_t n = 0;
    while (n < c.time && big_endian(times + n * time_size, (int)time_size) <= unix_s)
        n++;
    if (n == c.time && n > 0 && time_size == 8 && rule.n > 2) {
        rule = str_from(rule, 1);
        ptrdiff_t end = str_chr(rule, '\n');
        if (end > 0 && read_rule(str_sub(rule, 0, (size_t)end), unix_s, offset_s))
            return true;
    }
    size_t kind = n ? (unsigned char)kinds[n - 1] : 0;
    if (kind >= c.type)
        return false;
    *offset_s = (int)big_endian(types + kind * 6, 4);
    return true;
}

/* "+05:30", "-0800", "+1" */
static bool fixed(str s, int *offset_s)
{
    int64_t h, m = 0, sign = str_starts(s, STR("-")) ? -1 : 1;
    if (!take(&s, '+') && !take(&s, '-'))
        return false;
    if (s.n == 4 && str_chr(s, ':') < 0) {
        str minutes = str_from(s, 2);
        s = str_sub(s, 0, 2);
        if (!take_number(&minutes, &m) || minutes.n)
            return false;
        if (!take_number(&s, &h))
            return false;
    } else if (!take_number(&s, &h) || (take(&s, ':') && !take_number(&s, &m))) {
        return false;
    }
    *offset_s = (int)(sign * (h * 3600 + m * 60));
    return s.n == 0 && h <= 18 && m < 60;
}

bool zone_open(struct zone *z, str name, struct err *e)
{
    char path[128];
    *z = (struct zone){0};
    buf_init(&z->file, FILE_MAX);
    if (name.n == 0 || str_eqc(name, "UTC") || str_eqc(name, "Z") || str_eqc(name, "GMT") ||
        fixed(name, &z->fixed_s))
        return true;
    bool plain = name.n < 64 && isalpha((unsigned char)name.p[0]);
    for (size_t i = 0; i < name.n; i++)
        plain &= isalnum((unsigned char)name.p[i]) || strchr("_+-/", name.p[i]) != NULL;
    snprintf(path, sizeof path, FILES "%.*s", STR_ARG(str_sub(name, 0, 64)));
    int offset;
    if (plain && file_read(path, &z->file, e) && zone_read(buf_as_str(&z->file), 0, &offset))
        return true;
    return err_set(e, ERR_INPUT, "there is no time zone '%.*s'", STR_ARG(str_sub(name, 0, 64)));
}

void zone_close(struct zone *z)
{
    buf_free(&z->file);
}

int zone_offset(const struct zone *z, int64_t unix_s)
{
    int offset = z->fixed_s;
    if (z->file.n && !zone_read(buf_as_str(&z->file), unix_s, &offset))
        offset = 0; // zone_open has read it once
    return offset;
}
