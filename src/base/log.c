/* base/log.c - see log.h. */
#include "base/log.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};

#define ROOMS_MAX 16

static enum log_level base_level = LOG_INFO;
static struct {
    char room[16];
    enum log_level level;
} rooms[ROOMS_MAX];
static size_t n_rooms;

static bool parse_level(str s, enum log_level *out)
{
    for (size_t i = 0; i < COUNT(level_names); i++)
        if (str_eqc(s, level_names[i])) {
            *out = (enum log_level)i;
            return true;
        }
    return false;
}

bool log_configure(str spec)
{
    enum log_level level = LOG_INFO;
    str part, rest = spec;
    for (int pass = 0; pass < 2; pass++) { // first check, then apply
        size_t n = 0;
        rest = spec;
        while (str_cut(&rest, ',', &part)) {
            ptrdiff_t eq = str_chr(part, '=');
            if (eq < 0) {
                if (!parse_level(part, &level))
                    return false;
                if (pass)
                    base_level = level;
                continue;
            }
            str room = str_sub(part, 0, (size_t)eq);
            if (room.n == 0 || room.n >= sizeof rooms[0].room || n == ROOMS_MAX ||
                !parse_level(str_from(part, (size_t)eq + 1), &level))
                return false;
            if (pass) {
                memcpy(rooms[n].room, room.p, room.n);
                rooms[n].room[room.n] = '\0';
                rooms[n].level = level;
            }
            n++;
        }
        if (pass)
            n_rooms = n;
    }
    return true;
}

bool log_enabled(enum log_level level, const char *event)
{
    for (size_t i = 0; i < n_rooms; i++) {
        size_t n = strlen(rooms[i].room);
        if (strncmp(event, rooms[i].room, n) == 0 && event[n] == '.')
            return level <= rooms[i].level;
    }
    return level <= base_level;
}

void log_write(enum log_level level, const char *event, const char *fmt, ...)
{
    if (!log_enabled(level, event))
        return;
    char line[2048];
    int64_t now = clock_unix_ms();
    int n = snprintf(line, sizeof line, "%lld.%03d %s %s ", (long long)(now / 1000),
                     (int)(now % 1000), level_names[level], event);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - (size_t)n, fmt, ap);
    va_end(ap);
    size_t len = size_min((size_t)n + (m > 0 ? (size_t)m : 0), sizeof line - 2);
    line[len++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, len); // one call: lines do not mix
    (void)ignored;
}

const char *log_quote(char *out, size_t cap, str s)
{
    bool plain = s.n > 0;
    for (size_t i = 0; i < s.n && plain; i++)
        plain = s.p[i] > ' ' && s.p[i] != '"' && s.p[i] != '=' && s.p[i] < 0x7f;
    size_t n = 0;
    if (!plain)
        out[n++] = '"';
    for (size_t i = 0; i < s.n && n + 8 < cap; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\') {
            out[n++] = '\\';
            out[n++] = (char)c;
        } else if (c < ' ' || c == 0x7f) {
            n += (size_t)snprintf(out + n, cap - n, "\\u%04x", c);
        } else {
            out[n++] = (char)c;
        }
    }
    if (!plain)
        out[n++] = '"';
    out[n] = '\0';
    return out;
}
