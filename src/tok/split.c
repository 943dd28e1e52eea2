/* tok/split.c - cuts a fragment into the words that are merged one by one. */
#include "tok/tok_int.h"

static const struct {
    char name;
    const char *chars; // inside brackets
} classes[] = {
    {'L', "A-Za-z\\xd2"}, {'N', "0-9\\xd1"},       {'P', "!-#%-*,-\\/:;?@\\[-\\]_{}\\xd3"},
    {'M', "\\xd4"},       {'S', "$+<=>^`|~\\xd5"},
};

/* Our notation -> PCRE2's. */
static void expand(const char *re, struct buf *out)
{
    for (; *re; re++) {
        size_t k = COUNT(classes);
        if (*re == '@')
            for (k = 0; k < COUNT(classes) && classes[k].name != re[1]; k++)
                ;
        if (k == COUNT(classes)) {
            buf_char(out, *re);
            continue;
        }
        buf_c(out, classes[k].chars);
        re++;
    }
}

bool tok_splitter_init(struct tok_splitter *s, const struct tok_stage *stages, struct err *e)
{
    *s = (struct tok_splitter){.stages = stages};
    for (int i = 0; stages[i].op != TOK_OP_END; i++) {
        if (stages[i].op != TOK_OP_RE)
            continue;
        struct buf re = BUF_INIT(16384);
        expand(stages[i].re, &re);
        int code;
        PCRE2_SIZE at;
        s->re[i] = pcre2_compile((PCRE2_SPTR)re.p, re.n, PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF,
                                 &code, &at, NULL);
        buf_free(&re);
        if (!s->re[i]) {
            tok_splitter_fini(s);
            return err_set(e, ERR_INTERNAL, "pre-tokenizer stage %d: error %d at %zu", i, code, at);
        }
        pcre2_jit_compile(s->re[i], PCRE2_JIT_COMPLETE); // without it, the interpreter runs
    }
    return true;
}

void tok_splitter_fini(struct tok_splitter *s)
{
    for (int i = 0; i < TOK_STAGES_MAX; i++)
        pcre2_code_free(s->re[i]);
    *s = (struct tok_splitter){0};
}

void tok_words_init(struct tok_words *w)
{
    *w = (struct tok_words){.md = pcre2_match_data_create(1, NULL),
                            .limits = pcre2_match_context_create(NULL)};
}

void tok_words_fini(struct tok_words *w)
{
    pcre2_match_data_free(w->md);
    pcre2_match_context_free(w->limits);
    mem_free(w->end);
    mem_free(w->spare);
    *w = (struct tok_words){0};
}

/* Ends are written in ascending order; an empty piece writes nothing. */
static void cut_at(struct tok_words *w, size_t end)
{
    uint32_t last = w->n ? w->spare[w->n - 1] : 0;
    if (end > last)
        w->spare[w->n++] = (uint32_t)end;
}

static bool run_re(const pcre2_code *re, const struct tok_text *t, size_t from, size_t to,
                   struct tok_words *w, struct err *e)
{
    PCRE2_SPTR piece = (PCRE2_SPTR)t->cls + from;
    size_t *at = pcre2_get_ovector_pointer(w->md);
    // Each expression goes over a text a few times at most; more would be our fault.
    pcre2_set_match_limit(w->limits, (uint32_t)(1000000 + 8 * size_min(to - from, TOK_TEXT_MAX)));
    for (size_t pos = 0; pos < to - from;) {
        int rc = pcre2_match(re, piece, to - from, pos, 0, w->md, w->limits);
        if (rc == PCRE2_ERROR_NOMATCH)
            break;
        if (rc < 0)
            return err_set(e, ERR_INTERNAL, "the pre-tokenizer failed on this text (error %d)", rc);
        cut_at(w, from + at[0]);
        cut_at(w, from + at[1]);
        pos = at[1] > pos ? at[1] : pos + 1;
    }
    cut_at(w, to);
    return true;
}

static bool is_ws(const struct tok_text *t, size_t i)
{
    unsigned char c = (unsigned char)t->cls[i];
    return c == ' ' || (c >= 0x09 && c <= 0x0d);
}

static bool in_set(const struct tok_set *s, uint32_t cp)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > s->range[mid].last)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (lo < s->n && cp >= s->range[lo].first) != s->inverted;
}

/* The set that holds character i, or -1; white space is in none. */
static int which_set(const struct tok_stage *st, const struct tok_text *t, size_t i)
{
    if (is_ws(t, i))
        return -1;
    for (int k = 0; k < st->n_sets; k++)
        if (in_set(&st->sets[k], t->cp[i]))
            return k;
    return -1;
}

static bool leads(enum tok_lead lead, const struct tok_text *t, size_t i)
{
    return lead == TOK_LEAD_WS ? is_ws(t, i) : lead == TOK_LEAD_BLANK ? t->cp[i] == ' ' : false;
}

static void run_sets(const struct tok_stage *st, const struct tok_text *t, size_t from, size_t to,
                     struct tok_words *w)
{
    for (size_t i = from; i < to;) {
        int k = which_set(st, t, i);
        if (k < 0) {
            i++;
            continue;
        }
        size_t begin = i > from && i > (w->n ? w->spare[w->n - 1] : 0) && leads(st->lead, t, i - 1)
                           ? i - 1
                           : i;
        while (i < to && which_set(st, t, i) == k)
            i++;
        cut_at(w, begin);
        cut_at(w, i);
    }
    cut_at(w, to);
}

static bool is_number(const struct tok_text *t, size_t i)
{
    unsigned char c = (unsigned char)t->cls[i];
    return c == 0xd1 || (c >= '0' && c <= '9');
}

/* "1234567" is cut as 1 234 567.  What stands before a number stays with its first part, as in
 * llama.cpp; the next stage parts them. */
static void run_digits(const struct tok_text *t, size_t from, size_t to, struct tok_words *w)
{
    for (size_t i = from; i < to;) {
        size_t begin = i;
        while (i < to && is_number(t, i))
            i++;
        if (i == begin) {
            i++;
            continue;
        }
        size_t cut = begin + (i - begin) % 3;
        for (cut = cut > begin ? cut : cut + 3; cut <= i; cut += 3)
            cut_at(w, cut);
    }
    cut_at(w, to);
}

static void run_trail(const struct tok_text *t, size_t from, size_t to, struct tok_words *w)
{
    size_t end = to;
    while (end > from && is_ws(t, end - 1))
        end--;
    cut_at(w, end);
    cut_at(w, to);
}

static void run_lines(const struct tok_text *t, size_t from, size_t to, struct tok_words *w)
{
    for (size_t i = from; i < to; i++)
        if (i + 1 == to || (t->cp[i] == '\n') != (t->cp[i + 1] == '\n'))
            cut_at(w, i + 1);
}

static bool run_stage(const struct tok_splitter *s, int i, const struct tok_text *t, size_t from,
                      size_t to, struct tok_words *w, struct err *e)
{
    const struct tok_stage *st = &s->stages[i];
    switch (st->op) {
    case TOK_OP_RE: return run_re(s->re[i], t, from, to, w, e);
    case TOK_OP_RUNS: run_sets(st, t, from, to, w); return true;
    case TOK_OP_TRAIL_WS: run_trail(t, from, to, w); return true;
    case TOK_OP_DIGITS3: run_digits(t, from, to, w); return true;
    case TOK_OP_LINES: run_lines(t, from, to, w); return true;
    case TOK_OP_END: break;
    }
    return true;
}

bool tok_split(const struct tok_splitter *s, const struct tok_text *t, struct tok_words *w,
               struct err *e)
{
    if (t->n > w->cap || !w->end) {
        w->cap = size_max(t->n, 64);
        w->end = mem_realloc(w->end, w->cap * sizeof *w->end);
        w->spare = mem_realloc(w->spare, w->cap * sizeof *w->spare);
    }
    w->n = 0;
    if (t->n)
        w->end[w->n++] = (uint32_t)t->n;
    for (int i = 0; s->stages[i].op != TOK_OP_END; i++) {
        size_t n_in = w->n, from = 0;
        w->n = 0;
        for (size_t k = 0; k < n_in; k++) {
            if (!run_stage(s, i, t, from, w->end[k], w, e))
                return false;
            from = w->end[k];
        }
        uint32_t *done = w->spare;
        w->spare = w->end;
        w->end = done;
    }
    return true;
}
