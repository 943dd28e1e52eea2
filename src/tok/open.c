/* tok/open.c - a vocabulary from a GGUF file, checked and turned into tables. */
#include "base/utf8.h"
#include "tok/tok_int.h"

#include <math.h>
#include <stdlib.h>

#define NAME_MAX_BYTES 65535
#define NO_SUCH_KEY    "the file has no %s; it cannot be used to read or write text"

static const char *const foreign[] = {
    "bert", "t5", "rwkv", "plamo2", "hybriddna", "whitespace", "none", "no_vocab",
};

/* ---- bytes as GPT-2 writes them ----------------------------------------------------------------
 */

/* Printable Latin-1 stands for itself, the other 68 bytes for U+0100 and what follows, in order. */
static bool stands_for_itself(uint32_t b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
}

static int byte_of(uint32_t cp)
{
    if (cp < 256)
        return stands_for_itself(cp) ? (int)cp : -1;
    uint32_t n = 256;
    for (uint32_t b = 0; b < 256; b++)
        if (!stands_for_itself(b) && n++ == cp)
            return (int)b;
    return -1;
}

/* The bytes that a byte-coded name stands for go to out.  False if it holds other characters. */
static bool decode_name(const int16_t *table, str name, struct buf *out)
{
    buf_clear(out);
    while (name.n) {
        int32_t cp = utf8_next(&name);
        int b = cp >= 0 && cp < 0x200 ? table[cp] : -1;
        if (b < 0)
            return false;
        buf_char(out, (char)b);
    }
    return true;
}

/* "\u2581" becomes a blank. */
static void unescape(str name, struct buf *out)
{
    buf_clear(out);
    while (name.n) {
        if (str_starts(name, TOK_BLANK)) {
            buf_char(out, ' ');
            name = str_from(name, TOK_BLANK.n);
        } else {
            buf_char(out, name.p[0]);
            name = str_from(name, 1);
        }
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "<0x0A>" -> 10; -1 for anything else. */
static int byte_of_name(str name)
{
    if (name.n != 6 || memcmp(name.p, "<0x", 3) != 0 || name.p[5] != '>')
        return -1;
    int hi = hex(name.p[3]), lo = hex(name.p[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

/* ---- what the file says ------------------------------------------------------------------------
 */

static bool read_model(struct tok *t, const struct gguf *g, struct err *e)
{
    str model, pre = STR("default");
    if (!gguf_str(g, "tokenizer.ggml.model", &model))
        return err_set(e, ERR_FORMAT, NO_SUCH_KEY, "tokenizer.ggml.model");
    if (str_eqc(model, "llama")) {
        t->spm = true;
        snprintf(t->model, sizeof t->model, "spm");
        return true;
    }
    if (!str_eqc(model, "gpt2") && !str_eqc(model, "gemma4")) {
        for (size_t i = 0; i < COUNT(foreign); i++)
            if (str_eqc(model, foreign[i]))
                return err_set(e, ERR_FORMAT,
                               "tokenizer.ggml.model is \"%s\", which confab does not read; "
                               "it reads llama (SentencePiece) and gpt2 (byte-pair encoding)",
                               foreign[i]);
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.model \"%.*s\" is unknown", STR_ARG(model));
    }
    gguf_str(g, "tokenizer.ggml.pre", &pre);
    if (str_eqc(model, "gemma4"))
        pre = STR("gemma4");
    t->pre = tok_pre_find(pre);
    if (!t->pre)
        return err_set(e, ERR_FORMAT, "tokenizer.ggml.pre \"%.*s\" is unknown", STR_ARG(pre));
    snprintf(t->model, sizeof t->model, "bpe (%s)", t->pre->name);
    return tok_splitter_init(&t->splitter, t->pre->stages, e);
}

static uint8_t attr_of_type(int64_t type)
{
    static const uint8_t attrs[] = {0,        TOK_NORMAL, TOK_UNKNOWN, TOK_CONTROL,
                                    TOK_USER, TOK_UNUSED, TOK_BYTE};
    return type >= 0 && type < (int64_t)COUNT(attrs) ? attrs[type] : 0;
}

static bool read_types(struct tok *t, const struct gguf *g, struct err *e)
{
    struct gguf_array a;
    const char *key = "tokenizer.ggml.token_type";
    bool there = gguf_array(g, key, &a);
    if (there && (a.kind == GGUF_STR || a.n < (size_t)t->n))
        return err_set_at(e, ERR_FORMAT, key, "%zu numbers for %d tokens", a.n, t->n);
    for (int i = 0; i < t->n; i++)
        t->attr[i] = there ? attr_of_type(gguf_array_i64(&a, (size_t)i)) : TOK_NORMAL;
    return true;
}

static bool read_scores(struct tok *t, const struct gguf *g, struct err *e)
{
    struct gguf_array a;
    const char *key = "tokenizer.ggml.scores";
    if (!gguf_array(g, key, &a))
        return true;
    if (a.kind == GGUF_STR || a.n < (size_t)t->n)
        return err_set_at(e, ERR_FORMAT, key, "%zu scores for %d tokens", a.n, t->n);
    for (int i = 0; i < t->n; i++) {
        t->score[i] = (float)gguf_array_f64(&a, (size_t)i);
        if (isnan(t->score[i]))
            return err_set_at(e, ERR_FORMAT, key, "the score of token %d is not a number", i);
    }
    return true;
}

static bool read_names(struct tok *t, const struct gguf *g, struct err *e)
{
    struct gguf_array a;
    const char *key = "tokenizer.ggml.tokens";
    if (!gguf_array(g, key, &a) || a.kind != GGUF_STR)
        return err_set(e, ERR_FORMAT, NO_SUCH_KEY, key);
    if (a.n == 0 || a.n > TOK_VOCAB_MAX)
        return err_set_at(e, ERR_FORMAT, key, "%zu tokens; confab takes 1 to %d", a.n,
                          TOK_VOCAB_MAX);
    t->n = (int)a.n;
    t->name = arena_calloc(&t->arena, a.n, sizeof *t->name);
    t->piece = arena_calloc(&t->arena, a.n, sizeof *t->piece);
    t->full = arena_calloc(&t->arena, a.n, sizeof *t->full);
    t->attr = arena_calloc(&t->arena, a.n, sizeof *t->attr);
    t->score = arena_calloc(&t->arena, a.n, sizeof *t->score);
    t->name_id = arena_calloc(&t->arena, a.n, sizeof *t->name_id);
    if (t->arena.full)
        return err_set(e, ERR_LIMIT, "the vocabulary is too large");
    tok_map_init(&t->names, a.n);
    for (int i = 0; i < t->n; i++) {
        if (a.strs[i].n > NAME_MAX_BYTES)
            return err_set_at(e, ERR_FORMAT, key, "token %d is %zu bytes long", i, a.strs[i].n);
        t->name[i] = arena_str(&t->arena, a.strs[i]);
        if (t->name[i].n == 0)
            continue; // some files have them; they stand for nothing
        size_t before = t->names.n;
        int32_t slot = tok_map_add(&t->names, t->name[i]);
        if (t->names.n == before)
            return err_set_at(e, ERR_FORMAT, key, "tokens %d and %d have the same name",
                              t->name_id[slot], i);
        t->name_id[slot] = i;
    }
    return true;
}

static int32_t read_id(const struct tok *t, const struct gguf *g, const char *key, int32_t unset)
{
    uint32_t id;
    if (unset >= t->n)
        unset = -1;
    // An id out of range is as good as none; files with such ids are about.
    return gguf_u32(g, key, &id) && id < (uint32_t)t->n ? (int32_t)id : unset;
}

static void read_rules(struct tok *t, const struct gguf *g)
{
    t->bos = read_id(t, g, "tokenizer.ggml.bos_token_id", t->spm ? 1 : -1);
    t->eos = read_id(t, g, "tokenizer.ggml.eos_token_id", t->spm ? 2 : -1);
    t->unk = read_id(t, g, "tokenizer.ggml.unknown_token_id", t->spm ? 0 : -1);
    t->add_bos = t->spm || t->pre->add_bos;
    t->add_space_prefix = t->spm;
    gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
    gguf_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
    if (t->spm)
        gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix);
    if (t->pre && t->pre->raw && t->pre->add_bos)
        t->add_bos = true; // Gemma 4 files that deny it are wrong
}

/* ---- tables ------------------------------------------------------------------------------------
 */

/* The text of every token. */
static void make_pieces(struct tok *t, const int16_t *table, struct buf *tmp)
{
    for (int i = 0; i < t->n; i++) {
        uint8_t attr = t->attr[i];
        int b = byte_of_name(t->name[i]);
        str piece = {0};
        if (attr & (TOK_CONTROL | TOK_UNKNOWN)) {
            t->full[i] = t->name[i];
            continue;
        }
        if (attr & TOK_USER) {
            piece = t->name[i];
        } else if ((attr & TOK_BYTE) && b >= 0) {
            char c = (char)b;
            piece = arena_str(&t->arena, str_n(&c, 1));
        } else if (attr & TOK_NORMAL) {
            if (t->spm || t->pre->raw)
                unescape(t->name[i], tmp);
            else if (!decode_name(table, t->name[i], tmp)) {
                buf_clear(tmp); // not byte-coded after all: added by hand
                buf_str(tmp, t->name[i]);
            }
            piece = arena_str(&t->arena, buf_as_str(tmp));
        }
        t->piece[i] = t->full[i] = piece;
    }
}

static int32_t add_piece(struct tok *t, str bytes)
{
    int32_t p = tok_map_find(&t->pieces, bytes);
    if (p < 0)
        p = tok_map_add(&t->pieces, arena_str(&t->arena, bytes));
    t->piece_max = int_max(t->piece_max, (int)bytes.n);
    return p;
}

/* May merging give this token?  Control tokens never come from text. */
static bool comes_from_text(const struct tok *t, int i)
{
    return t->name[i].n && !(t->attr[i] & (TOK_CONTROL | TOK_UNKNOWN)) &&
           !(t->spm && (t->attr[i] & TOK_BYTE));
}

/* token_piece [t->n]: the piece of each token, or -1. */
static void add_token_pieces(struct tok *t, const int16_t *table, int32_t *token_piece,
                             struct buf *tmp)
{
    bool coded = !t->spm && !t->pre->raw;
    for (int i = 0; i < t->n; i++) {
        token_piece[i] = -1;
        if (!comes_from_text(t, i))
            continue;
        if (!coded)
            token_piece[i] = add_piece(t, t->name[i]);
        else if (decode_name(table, t->name[i], tmp))
            token_piece[i] = add_piece(t, buf_as_str(tmp));
    }
}

/* "left right" -> the pieces' bytes, one after the other in both, split at *n_left. */
static bool read_merge(const struct tok *t, const int16_t *table, str merge, struct buf *tmp,
                       struct buf *both, size_t *n_left)
{
    ptrdiff_t blank = merge.n > 1 ? str_chr(str_from(merge, 1), ' ') : -1;
    if (blank < 0)
        return false;
    str half[2] = {str_sub(merge, 0, (size_t)blank + 1), str_from(merge, (size_t)blank + 2)};
    buf_clear(both);
    for (int i = 0; i < 2; i++) {
        if (half[i].n == 0 || half[i].n > NAME_MAX_BYTES)
            return false;
        if (t->pre->raw)
            buf_str(both, half[i]);
        else if (decode_name(table, half[i], tmp))
            buf_str(both, buf_as_str(tmp));
        else
            return false;
        if (i == 0)
            *n_left = both->n;
    }
    return true;
}

static bool read_merges(struct tok *t, const struct gguf *g, const int16_t *table, struct buf *tmp,
                        struct err *e)
{
    struct gguf_array a;
    const char *key = "tokenizer.ggml.merges";
    if (!gguf_array(g, key, &a) || a.kind != GGUF_STR)
        return err_set(e, ERR_FORMAT, NO_SUCH_KEY, key);
    if (a.n > TOK_MERGES_MAX)
        return err_set_at(e, ERR_FORMAT, key, "%zu merges; confab takes %d", a.n, TOK_MERGES_MAX);
    struct buf both = BUF_INIT(4 * NAME_MAX_BYTES);
    tok_pairs_init(&t->pairs, a.n + 1);
    for (size_t i = 0; i < a.n; i++) {
        size_t n_left;
        if (!read_merge(t, table, a.strs[i], tmp, &both, &n_left))
            continue; // such text cannot come up
        int32_t left = add_piece(t, str_n(both.p, n_left));
        int32_t right = add_piece(t, str_n(both.p + n_left, both.n - n_left));
        int32_t merged = add_piece(t, buf_as_str(&both));
        tok_pairs_add(&t->pairs, (struct tok_pair){left, right, (int32_t)i, merged});
    }
    buf_free(&both);
    return true;
}

static int higher_first(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

/* Scores -> places in their order; equal scores share one. */
static void rank_pieces(struct tok *t, const int32_t *token_piece)
{
    float *sorted = mem_alloc((size_t)t->n * sizeof *sorted);
    memcpy(sorted, t->score, (size_t)t->n * sizeof *sorted);
    qsort(sorted, (size_t)t->n, sizeof *sorted, higher_first);
    for (int i = 0; i < t->n; i++) {
        if (token_piece[i] < 0)
            continue;
        int lo = 0, hi = t->n - 1;
        while (lo < hi) {
            int mid = (lo + hi) / 2;
            if (sorted[mid] > t->score[i])
                lo = mid + 1;
            else
                hi = mid;
        }
        t->piece_rank[token_piece[i]] = lo;
    }
    mem_free(sorted);
}

/* Does any piece hold a blank behind something else? */
static bool blank_cuts(const struct tok *t)
{
    for (size_t i = 0; i < t->pieces.n; i++) {
        str s = t->pieces.key[i];
        while (str_starts(s, TOK_BLANK))
            s = str_from(s, TOK_BLANK.n);
        if (str_find(s, TOK_BLANK) >= 0)
            return false;
    }
    return true;
}

static void find_bytes(struct tok *t)
{
    for (int b = 0; b < 256; b++) {
        char name[8], c = (char)b;
        snprintf(name, sizeof name, "<0x%02X>", b);
        t->byte_piece[b] = tok_map_find(&t->pieces, str_n(&c, 1));
        if (t->spm || t->pre->raw) {
            t->byte_id[b] = tok_find(t, str_c(name));
            if (t->byte_id[b] < 0 && t->spm)
                t->byte_id[b] = tok_find(t, str_n(&c, 1));
        } else {
            t->byte_id[b] = t->byte_piece[b] < 0 ? -1 : t->piece_id[t->byte_piece[b]];
        }
        if (t->byte_id[b] < 0 && t->spm)
            t->byte_id[b] = t->unk;
        if (t->byte_id[b] >= 0 && t->byte_id[b] != t->unk && (t->attr[t->byte_id[b]] & TOK_CONTROL))
            t->byte_id[b] = -1;
    }
}

static bool make_tables(struct tok *t, const struct gguf *g, struct err *e)
{
    int16_t table[0x200];
    struct buf tmp = BUF_INIT(4 * NAME_MAX_BYTES);
    int32_t *token_piece = mem_alloc((size_t)t->n * sizeof *token_piece);
    bool ok = false;

    for (uint32_t cp = 0; cp < COUNT(table); cp++)
        table[cp] = (int16_t)byte_of(cp);
    tok_map_init(&t->pieces, (size_t)t->n + 256);
    make_pieces(t, table, &tmp);
    add_token_pieces(t, table, token_piece, &tmp);
    if (!t->spm && !read_merges(t, g, table, &tmp, e))
        goto done;
    t->piece_id = arena_alloc(&t->arena, (t->pieces.n + 1) * sizeof *t->piece_id);
    t->piece_rank = arena_calloc(&t->arena, t->pieces.n + 1, sizeof *t->piece_rank);
    if (t->arena.full) {
        err_set(e, ERR_LIMIT, "the vocabulary is too large");
        goto done;
    }
    memset(t->piece_id, 0xff, t->pieces.n * sizeof *t->piece_id);
    for (int i = 0; i < t->n; i++)
        if (token_piece[i] >= 0)
            t->piece_id[token_piece[i]] = i;
    if (t->spm) {
        rank_pieces(t, token_piece);
        t->blank_cuts = blank_cuts(t);
    }
    find_bytes(t);
    ok = true;
done:
    mem_free(token_piece);
    buf_free(&tmp);
    return ok;
}

bool tok_open(struct tok **out, const struct gguf *g, struct err *e)
{
    struct tok *t = mem_calloc(1, sizeof *t);
    arena_init(&t->arena, (size_t)4 << 30);
    t->bos = t->eos = t->unk = -1;
    if (!read_model(t, g, e) || !read_names(t, g, e) || !read_types(t, g, e) ||
        !read_scores(t, g, e)) {
        tok_close(t);
        return false;
    }
    read_rules(t, g);
    tok_fix_attrs(t, g);
    if (!make_tables(t, g, e)) {
        tok_close(t);
        return false;
    }
    tok_specials_init(t);
    *out = t;
    return true;
}

void tok_close(struct tok *t)
{
    if (!t)
        return;
    tok_splitter_fini(&t->splitter);
    tok_specials_fini(&t->specials);
    tok_map_fini(&t->names);
    tok_map_fini(&t->pieces);
    tok_pairs_fini(&t->pairs);
    arena_fini(&t->arena);
    mem_free(t);
}
