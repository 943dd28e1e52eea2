/* tok/encode.c - spans of text to ids. */
#include "tok/tok_int.h"

/* What one call works with. */
struct encoder {
    const struct tok *t;
    struct tok_ids *ids;
    struct tok_text text;
    struct tok_words words;
    struct tok_merger merger;
    struct buf escaped;
    bool after_special; // SPM: the next fragment begins with a blank
};

/* Blanks become U+2581, for vocabularies that write them so. */
static bool escape(struct buf *out, str s, bool lead, struct err *e)
{
    buf_clear(out);
    if (lead)
        buf_str(out, TOK_BLANK);
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == ' ')
            buf_str(out, TOK_BLANK);
        else
            buf_char(out, s.p[i]);
    return !out->full ||
           err_set(e, ERR_LIMIT, "the text is longer than %zu MB", TOK_TEXT_MAX >> 20);
}

static bool encode_words(struct encoder *c, str s, struct err *e)
{
    const struct tok *t = c->t;
    tok_text_set(&c->text, s, t->pre->nfc);
    if (!tok_split(&t->splitter, &c->text, &c->words, e))
        return false;
    size_t from = 0;
    for (size_t i = 0; i < c->words.n; i++) {
        size_t to = c->text.off[c->words.end[i]];
        if (!tok_bpe_word(t, &c->merger, str_n(c->text.bytes + from, to - from), c->ids, e))
            return false;
        from = to;
    }
    return true;
}

static bool encode_fragment(struct encoder *c, str s, struct err *e)
{
    const struct tok *t = c->t;
    if (s.n == 0)
        return true;
    bool lead = c->after_special && t->add_space_prefix;
    c->after_special = false;
    if (!t->spm && !t->pre->raw)
        return encode_words(c, s, e);
    if (!escape(&c->escaped, s, lead, e))
        return false;
    s = buf_as_str(&c->escaped);
    return t->spm ? tok_spm_text(t, &c->merger, s, c->ids, e) : encode_words(c, s, e);
}

/* One text out of many spans; *run_end gets the ends of the stretches of equal trust. */
static bool join_spans(const struct tok_span *spans, size_t n_spans, struct buf *joined, str *text,
                       size_t *run_end, size_t *n_runs, bool *first_trusted, struct err *e)
{
    bool trusted = false;
    size_t n = 0, full = 0, total = 0;
    for (size_t i = 0; i < n_spans; i++) {
        if (spans[i].text.n == 0)
            continue;
        if (*n_runs == 0)
            *first_trusted = spans[i].trusted;
        if (*n_runs == 0 || spans[i].trusted != trusted)
            (*n_runs)++;
        trusted = spans[i].trusted;
        if (spans[i].text.n > TOK_TEXT_MAX - total)
            return err_set(e, ERR_LIMIT, "the text is longer than %zu MB", TOK_TEXT_MAX >> 20);
        total += spans[i].text.n;
        run_end[*n_runs - 1] = total;
        full = i;
        n++;
    }
    if (n <= 1) {
        *text = n ? spans[full].text : (str){0};
        return true;
    }
    for (size_t i = 0; i < n_spans; i++)
        buf_str(joined, spans[i].text);
    *text = buf_as_str(joined);
    return true;
}

static bool encode_text(struct encoder *c, str text, const struct tok_cuts *cuts, bool add_bos,
                        struct err *e)
{
    const struct tok *t = c->t;
    size_t at = 0;
    bool has_bos = cuts->n && cuts->cut[0].at == 0 && cuts->cut[0].id == t->bos;
    if (add_bos && t->bos >= 0 && !has_bos && !tok_ids_put(c->ids, t->bos, e))
        return false;
    c->after_special = true; // also at the beginning
    for (size_t i = 0; i <= cuts->n; i++) {
        const struct tok_cut *cut = i < cuts->n ? &cuts->cut[i] : NULL;
        size_t end = cut ? cut->at : text.n;
        if (!encode_fragment(c, str_sub(text, at, end - at), e))
            return false;
        if (!cut)
            break;
        if (!tok_ids_put(c->ids, cut->id, e))
            return false;
        c->after_special = true;
        at = cut->at + cut->len;
    }
    return true;
}

bool tok_encode(const struct tok *t, const struct tok_span *spans, size_t n_spans, bool add_special,
                struct tok_ids *ids, struct err *e)
{
    struct encoder c = {.t = t, .ids = ids, .escaped = BUF_INIT(TOK_TEXT_MAX)};
    struct buf joined = BUF_INIT(TOK_TEXT_MAX);
    struct tok_cuts cuts = {0};
    size_t *run_end = mem_alloc((n_spans + 1) * sizeof *run_end), n_runs = 0, before = ids->n;
    bool first_trusted = false, ok = false;
    str text;

    tok_words_init(&c.words);
    if (!join_spans(spans, n_spans, &joined, &text, run_end, &n_runs, &first_trusted, e))
        goto done;
    tok_find_specials(t, text, run_end, n_runs, first_trusted, &cuts);
    ok = encode_text(&c, text, &cuts, add_special && t->add_bos, e);
    if (ok && add_special && t->add_eos && t->eos >= 0)
        ok = tok_ids_put(ids, t->eos, e);
done:
    if (!ok)
        ids->n = before; // outputs are untouched on failure
    mem_free(run_end);
    mem_free(cuts.cut);
    buf_free(&joined);
    buf_free(&c.escaped);
    tok_text_fini(&c.text);
    tok_words_fini(&c.words);
    tok_merger_fini(&c.merger);
    return ok;
}
