/* jinja/wordwrap.c - the wordwrap filter: Python's textwrap, line by line.
 * Source: the documentation of Python's textwrap module. */
#include "jinja/jinja_int.h"

#include "base/utf8.h"

struct wrap {
    struct render *r;
    const struct text *t; // one line
    int64_t width;
    bool break_long, break_hyphens;
    uint32_t *ends; // [n_chunks] byte offsets where chunks end
    size_t n_chunks;
    struct list *out;
};

static int32_t char_at(const struct text *t, size_t at)
{
    str rest = str_from(jinja_text_str(t), at);
    return rest.n ? utf8_next(&rest) : -1;
}

static size_t char_size(const struct text *t, size_t at)
{
    str rest = str_from(jinja_text_str(t), at);
    utf8_next(&rest);
    return t->n - at - rest.n;
}

/* textwrap splits at ASCII white space only. */
static bool blank(int32_t c)
{
    return c == ' ' || (c >= 0x09 && c <= 0x0d);
}

static bool letter(int32_t c)
{
    return c >= 0 && jinja_char_word(c) && !jinja_char_decimal(c);
}

static bool word_mark(int32_t c)
{
    return c >= 0 && (jinja_char_word(c) || (c < 0x80 && c && strchr("!\"'&.,?", c)));
}

/* Up to three characters before `at`, nearest first; -1 where there is none. */
static void chars_before(const struct text *t, size_t at, int32_t out[3])
{
    for (int i = 0; i < 3; i++) {
        out[i] = -1;
        if (at == 0)
            continue;
        do
            at--;
        while (at > 0 && ((unsigned char)t->p[at] & 0xc0) == 0x80);
        out[i] = char_at(t, at);
    }
}

/* Does "--" with a word behind it stand at `at`? */
static size_t dashes(const struct text *t, size_t at)
{
    size_t n = 0;
    while (at + n < t->n && t->p[at + n] == '-')
        n++;
    int32_t next = char_at(t, at + n);
    return n >= 2 && next >= 0 && jinja_char_word(next) ? n : 0;
}

/* May a word be cut behind the hyphen that ends at `at`? */
static bool hyphen_cuts(const struct text *t, size_t at)
{
    int32_t before[3];
    chars_before(t, at - 1, before);
    bool left = (letter(before[0]) && letter(before[1])) ||
                (word_mark(before[0]) && before[1] == '-' && letter(before[2]));
    if (!left || !letter(char_at(t, at)))
        return false;
    size_t next = at + char_size(t, at);
    if (next < t->n && t->p[next] == '-')
        next++;
    return letter(char_at(t, next));
}

/* Where the chunk that starts at `at` ends. */
static size_t chunk_end(const struct wrap *w, size_t at)
{
    const struct text *t = w->t;
    int32_t before[3];
    if (blank(char_at(t, at))) {
        while (at < t->n && blank(char_at(t, at)))
            at++;
        return at;
    }
    if (w->break_hyphens) {
        chars_before(t, at, before);
        size_t n = word_mark(before[0]) ? dashes(t, at) : 0;
        if (n)
            return at + n;
    }
    for (;;) {
        int32_t c = char_at(t, at);
        at += char_size(t, at);
        if (at >= t->n || blank(char_at(t, at)))
            return at;
        if (!w->break_hyphens)
            continue;
        if (c == '-' && hyphen_cuts(t, at))
            return at;
        if (word_mark(c) && dashes(t, at))
            return at;
    }
}

static bool make_chunks(struct wrap *w)
{
    w->ends = jinja_alloc(w->r, (size_t)w->t->n + 1, sizeof *w->ends);
    if (!w->ends)
        return false;
    for (size_t at = 0; at < w->t->n;) {
        size_t end = chunk_end(w, at);
        if (!jinja_step(w->r, 1 + (end - at) / 8))
            return false;
        w->ends[w->n_chunks++] = (uint32_t)end;
        at = end;
    }
    return true;
}

static int64_t chars_in(const struct wrap *w, size_t from, size_t to)
{
    return jinja_text_count(str_n(w->t->p + from, to - from));
}

/* How much of a chunk too long for any line goes on this one. */
static bool cut_long(const struct wrap *w, size_t from, size_t end, int64_t space, size_t *to)
{
    struct value chunk;
    if (!jinja_text_sub(w->r, w->t, from, end - from, &chunk))
        return false;
    *to = from + jinja_text_offset(chunk.s, (size_t)space);
    if (!w->break_hyphens)
        return true;
    ptrdiff_t hyphen = str_rchr(str_n(w->t->p + from, *to - from), '-');
    bool text_before = false;
    for (ptrdiff_t i = 0; i < hyphen; i++)
        text_before |= w->t->p[from + (size_t)i] != '-';
    if (hyphen > 0 && text_before)
        *to = from + (size_t)hyphen + 1;
    return true;
}

/* Is the chunk nothing but white space?  (Here any of Unicode's counts.) */
static bool chunk_blank(const struct wrap *w, size_t from, size_t to)
{
    for (str rest = str_sub(jinja_text_str(w->t), from, to - from); rest.n;)
        if (!jinja_char_space(utf8_next(&rest)))
            return false;
    return true;
}

/* One line of output from chunk *i at byte *at on. */
static bool next_line(struct wrap *w, size_t *i, size_t *at)
{
    size_t from = *at, last = *at; // where the last chunk of the line starts
    int64_t used = 0;
    while (*i < w->n_chunks) {
        int64_t n = chars_in(w, *at, w->ends[*i]);
        if (used + n > w->width)
            break;
        used += n;
        last = *at;
        *at = w->ends[(*i)++];
    }
    if (*i < w->n_chunks && chars_in(w, *at, w->ends[*i]) > w->width) {
        size_t end = w->ends[*i];
        if (w->break_long) {
            last = *at; // a piece of no length keeps the blanks before it, as in Python
            if (!cut_long(w, *at, end, w->width - used, at))
                return false;
        } else if (*at == from) {
            last = *at;
            *at = end;
        }
        *i += *at == end;
    }
    size_t end = chunk_blank(w, last, *at) ? last : *at;
    struct value line;
    if (!jinja_step(w->r, 1 + (*at - from) / 4))
        return false;
    return end == from || (jinja_text_sub(w->r, w->t, from, end - from, &line) &&
                           jinja_list_push(w->r, w->out, line));
}

static bool wrap_line(struct wrap *w)
{
    size_t i = 0, at = 0;
    if (w->width <= 0)
        return jinja_fail(w->r, "invalid width %lld (must be > 0)", (long long)w->width);
    if (!make_chunks(w))
        return false;
    while (i < w->n_chunks) {
        if (w->out->n && chunk_blank(w, at, w->ends[i])) // only the first line may start blank
            at = w->ends[i++];
        if (i < w->n_chunks && !next_line(w, &i, &at))
            return false;
    }
    return true;
}

bool jinja_filter_wordwrap(struct render *r, struct value self, struct value *a, struct args *args,
                           struct value *out)
{
    (void)args;
    static const struct text newline = {.p = "\n", .n = 1, .n_chars = 1, .trusted = true};
    const struct text *t, *between = &newline;
    struct value lines;
    int64_t width;
    if (!jinja_arg_text(r, self, "wordwrap", &t) || !jinja_arg_int(r, a[0], "width", 79, &width) ||
        (a[2].kind != KIND_MISSING && a[2].kind != KIND_NONE &&
         !jinja_arg_text(r, a[2], "wrapstring", &between)) ||
        !jinja_list_new(r, KIND_LIST, 0, &lines) || !jinja_text_lines(r, t, false, lines.l))
        return false;
    struct sink s;
    jinja_sink_init(&s, r);
    for (size_t i = 0; i < lines.l->n; i++) {
        struct value parts;
        if (!jinja_list_new(r, KIND_LIST, 0, &parts))
            return false;
        struct wrap w = {.r = r,
                         .t = lines.l->v[i].s,
                         .width = width,
                         .break_long = a[1].kind == KIND_MISSING || jinja_is_true(a[1]),
                         .break_hyphens = a[3].kind == KIND_MISSING || jinja_is_true(a[3]),
                         .out = parts.l};
        if (!wrap_line(&w))
            return false;
        if (i)
            jinja_sink_all(&s, between);
        for (size_t k = 0; k < parts.l->n; k++) {
            if (k)
                jinja_sink_all(&s, between);
            jinja_sink_all(&s, parts.l->v[k].s);
        }
    }
    return jinja_sink_end(&s, out);
}
