/* jinja/text.c - strings that remember which bytes came from outside, and what builds them. */
#include "jinja/jinja_int.h"

uint32_t jinja_text_count(str s)
{
    uint32_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
    return n;
}

str jinja_text_str(const struct text *t)
{
    return (str){t->p, t->n};
}

size_t jinja_text_offset(const struct text *t, size_t chars)
{
    if (chars >= t->n_chars)
        return t->n;
    if (t->n_chars == t->n)
        return chars;
    size_t at = 0;
    for (; chars; chars--) {
        unsigned char c = (unsigned char)t->p[at];
        at += c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    }
    return at;
}

/* The run that holds byte `at`. */
static uint32_t run_at(const struct text *t, size_t at)
{
    uint32_t lo = 0, hi = t->n_runs - 1;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (t->runs[mid].end <= at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

bool jinja_text_trust_at(const struct text *t, size_t at)
{
    return t->n_runs ? t->runs[run_at(t, at)].trusted : t->trusted;
}

bool jinja_text_trusted(const struct text *t)
{
    if (!t->n_runs)
        return t->trusted;
    for (uint32_t i = 0; i < t->n_runs; i++)
        if (!t->runs[i].trusted)
            return false;
    return true;
}

bool jinja_text_make(struct render *r, str bytes, bool trusted, struct value *out)
{
    struct text *t = jinja_alloc(r, 1, sizeof *t);
    if (!t)
        return false;
    t->p = bytes.p ? bytes.p : "";
    t->n = (uint32_t)bytes.n;
    t->n_chars = jinja_text_count(bytes);
    t->trusted = trusted;
    *out = jinja_str(t);
    return true;
}

/* Shares the bytes of t, which live as long as the render. */
bool jinja_text_sub(struct render *r, const struct text *t, size_t from, size_t n,
                    struct value *out)
{
    if (from == 0 && n == t->n && !t->markup) {
        *out = jinja_str(t);
        return true;
    }
    if (!jinja_step(r, n / 32))
        return false;
    if (!jinja_text_make(r, str_n(t->p + from, n), t->trusted || !n, out))
        return false;
    if (!t->n_runs || !n)
        return true;
    uint32_t first = run_at(t, from), last = run_at(t, from + n - 1);
    struct text *part = (struct text *)(uintptr_t)out->s; // just made, still ours
    if (first == last) {
        part->trusted = t->runs[first].trusted;
        return true;
    }
    struct trun *runs = jinja_alloc(r, last - first + 1, sizeof *runs);
    if (!runs)
        return false;
    for (uint32_t i = first; i <= last; i++)
        runs[i - first] = (struct trun){(uint32_t)(size_min(t->runs[i].end, from + n) - from),
                                        t->runs[i].trusted};
    part->runs = runs;
    part->n_runs = last - first + 1;
    return true;
}

/* ---- Building ---- */

void jinja_sink_init(struct sink *s, struct render *r)
{
    *s = (struct sink){.r = r, .max = JINJA_TEXT_MAX};
}

/* Room for n more bytes. */
static bool sink_room(struct sink *s, size_t n)
{
    if (s->failed)
        return false;
    if (n > s->max - s->n) {
        jinja_fail_limit(s->r, "output size");
        s->failed = true;
        return false;
    }
    if (!jinja_step(s->r, 1 + n / 32)) {
        s->failed = true;
        return false;
    }
    if (s->n + n <= s->cap)
        return true;
    size_t cap = size_max(size_max(s->cap * 2, s->n + n), 32);
    char *p = arena_alloc(s->r->a, cap);
    if (!p) {
        jinja_fail_limit(s->r, "memory");
        s->failed = true;
        return false;
    }
    if (s->n)
        memcpy(p, s->p, s->n);
    s->p = p;
    s->cap = cap;
    return true;
}

/* Notes that the bytes up to s->n have this provenance. */
static void sink_mark(struct sink *s, bool trusted)
{
    if (s->n_runs && s->runs[s->n_runs - 1].trusted == trusted) {
        s->runs[s->n_runs - 1].end = (uint32_t)s->n;
        return;
    }
    if (s->n_runs == s->cap_runs) {
        size_t cap = s->cap_runs ? s->cap_runs * 2 : 4;
        struct trun *runs = arena_alloc(s->r->a, cap * sizeof *runs);
        if (!runs) {
            jinja_fail_limit(s->r, "memory");
            s->failed = true;
            return;
        }
        if (s->n_runs)
            memcpy(runs, s->runs, s->n_runs * sizeof *runs);
        s->runs = runs;
        s->cap_runs = cap;
    }
    s->runs[s->n_runs++] = (struct trun){(uint32_t)s->n, trusted};
}

void jinja_sink_put(struct sink *s, str bytes, bool trusted)
{
    if (!bytes.n || !sink_room(s, bytes.n))
        return;
    memcpy(s->p + s->n, bytes.p, bytes.n);
    s->n += bytes.n;
    sink_mark(s, trusted);
}

void jinja_sink_c(struct sink *s, const char *text)
{
    jinja_sink_put(s, str_c(text), true);
}

void jinja_sink_fill(struct sink *s, char c, int64_t n, bool trusted)
{
    if (n <= 0 || !sink_room(s, (uint64_t)n > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)n))
        return;
    memset(s->p + s->n, c, (size_t)n);
    s->n += (size_t)n;
    sink_mark(s, trusted);
}

void jinja_sink_text(struct sink *s, const struct text *t, size_t from, size_t n)
{
    if (!n)
        return;
    if (!t->n_runs) {
        jinja_sink_put(s, str_n(t->p + from, n), t->trusted);
        return;
    }
    size_t end = from + n;
    for (uint32_t i = run_at(t, from); from < end; i++) {
        size_t stop = size_min(t->runs[i].end, end);
        jinja_sink_put(s, str_n(t->p + from, stop - from), t->runs[i].trusted);
        from = stop;
    }
}

void jinja_sink_all(struct sink *s, const struct text *t)
{
    jinja_sink_text(s, t, 0, t->n);
}

bool jinja_sink_end(struct sink *s, struct value *out)
{
    if (s->failed)
        return false;
    if (!jinja_text_make(s->r, str_n(s->p, s->n), true, out))
        return false;
    struct text *t = (struct text *)(uintptr_t)out->s; // just made, still ours
    if (s->n_runs == 1) {
        t->trusted = s->runs[0].trusted;
    } else if (s->n_runs > 1) {
        t->runs = s->runs;
        t->n_runs = (uint32_t)s->n_runs;
    }
    return true;
}

bool jinja_text_find(struct render *r, str in, const struct text *what, ptrdiff_t *at)
{
    // Long needles cost the search more than their length.
    if (!jinja_step(r, 1 + in.n / 32 + (what->n > 64 ? (in.n + what->n) / 4 : 0)))
        return false;
    *at = str_find(in, jinja_text_str(what));
    return true;
}
