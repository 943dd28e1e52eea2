/* sched/stop.c - stop texts in streamed text. */
#include "sched/sched_int.h"

#define HELD_MAX   ((size_t)1 << 20)
#define HELD_USUAL 512 // room for it from the beginning

void stop_init(struct stop_match *m, const str *stops, size_t n_stops)
{
    m->stops = stops;
    m->n_stops = n_stops;
    m->found = STR("");
    buf_init(&m->held, HELD_MAX);
    if (n_stops)
        buf_reserve(&m->held, HELD_USUAL);
}

void stop_fini(struct stop_match *m)
{
    buf_free(&m->held);
}

/* Length of the longest end of text that begins stop without completing it. */
static size_t unfinished(str text, str stop)
{
    for (size_t n = size_min(text.n, stop.n - 1); n > 0; n--)
        if (memcmp(text.p + text.n - n, stop.p, n) == 0)
            return n;
    return 0;
}

bool stop_feed(struct stop_match *m, str text, struct buf *out)
{
    if (m->n_stops == 0) {
        buf_str(out, text);
        return false;
    }
    buf_str(&m->held, text);
    str held = buf_as_str(&m->held);
    ptrdiff_t first = -1;
    size_t keep = 0;
    for (size_t i = 0; i < m->n_stops; i++) {
        ptrdiff_t at = str_find(held, m->stops[i]);
        bool longer = at == first && m->stops[i].n > m->found.n;
        if (at >= 0 && (first < 0 || at < first || longer)) {
            first = at;
            m->found = m->stops[i];
        }
        keep = size_max(keep, unfinished(held, m->stops[i]));
    }
    if (first >= 0) {
        buf_put(out, held.p, (size_t)first);
        buf_clear(&m->held);
        return true;
    }
    buf_put(out, held.p, held.n - keep);
    buf_consume(&m->held, held.n - keep);
    return false;
}

void stop_flush(struct stop_match *m, struct buf *out)
{
    buf_str(out, buf_as_str(&m->held));
    buf_clear(&m->held);
}
