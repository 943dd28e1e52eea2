/* fuzz/tok_encode_fuzz.c - any text in any spans, with small vocabularies and every kind of
 * pre-tokenizer.
 *
 * Input: a byte that picks the vocabulary, then spans: a byte of length and trust, then the text.
 * Checked: ids are in range, no control token comes out of untrusted text, text comes back, and
 * what the stream gives is UTF-8 however it is cut. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "gguf/writer.h"
#include "tok/tok.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const pres[] = {
    "default", "gpt-2",    "llama-bpe",   "qwen2",      "qwen35", "deepseek-llm", "deepseek-coder",
    "youtu",   "falcon",   "deepseek-v3", "starcoder",  "bloom",  "viking",       "tekken",
    "gpt-4o",  "tiny_aya", "bailingmoe",  "seed-coder", "afmoe",  "laguna",       "minicpm5",
};
#define N_BPE COUNT(pres)
#define N_TOK (N_BPE + 2) // and SPM, and BPE on raw UTF-8

static struct tok *toks[N_TOK];

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct names {
    str name[700];
    int32_t type[700];
    float score[700];
    size_t n;
    char text[700][40];
};

static void add(struct names *v, const char *name, int32_t type)
{
    CHECK(v->n < COUNT(v->name));
    snprintf(v->text[v->n], sizeof v->text[0], "%s", name);
    v->name[v->n] = str_c(v->text[v->n]);
    v->type[v->n] = type;
    v->score[v->n] = -(float)(v->n % 97);
    v->n++;
}

/* The letter that byte-coded vocabularies write for a byte. */
static void letter(unsigned b, char out[5])
{
    uint32_t cp = b, next = 256;
    bool plain = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
    for (unsigned i = 0; !plain && i <= b; i++)
        if (!((i >= 0x21 && i <= 0x7e) || (i >= 0xa1 && i <= 0xac) || i >= 0xae))
            cp = next++;
    out[utf8_put(out, cp)] = 0;
}

static const char *const merged[] = {
    "th", "the", "in", "ing", "<|", "|>", "er", "aa", "aaaa",
    "00", "  ",  "''", "he",  "</", "s>", "<s", "ab",
};

static void add_merged(struct names *v, bool coded)
{
    for (size_t i = 0; i < COUNT(merged); i++) {
        char name[40] = "", l[5];
        for (const char *p = merged[i]; *p; p++) {
            if (coded)
                letter((unsigned char)*p, l);
            else if (*p == ' ')
                snprintf(l, sizeof l, "\xe2\x96\x81");
            else
                snprintf(l, sizeof l, "%c", *p);
            snprintf(name + strlen(name), sizeof name - strlen(name), "%s", l);
        }
        add(v, name, 1);
    }
}

static void put_merges(struct gguf_writer *w, const struct names *v)
{
    static char text[200][64];
    str s[200];
    size_t n = 0;
    // Every way to cut a piece of several characters in two; later ones have no chance or a late
    // one.
    for (size_t i = 0; i < v->n && n < COUNT(s); i++) {
        if (v->type[i] != 1 || v->name[i].n > 20)
            continue;
        str rest = v->name[i];
        utf8_next(&rest);
        while (rest.n && n < COUNT(s)) {
            size_t cut = v->name[i].n - rest.n;
            snprintf(text[n], sizeof text[n], "%.*s %.*s", (int)cut, v->name[i].p, (int)rest.n,
                     rest.p);
            s[n] = str_c(text[n]);
            n++;
            utf8_next(&rest);
        }
    }
    gguf_put_strs(w, "tokenizer.ggml.merges", s, n);
}

static struct tok *make(size_t which)
{
    static struct names v;
    struct buf bytes = BUF_INIT(1 << 20);
    struct err e = {0};
    bool coded = which < N_BPE, spm = which == N_BPE;
    v.n = 0;
    add(&v, "<unk>", 2);
    add(&v, "<s>", 3);
    add(&v, "</s>", 3);
    for (unsigned b = 0; b < 256; b++) {
        char name[8];
        if (coded)
            letter(b, name);
        else
            snprintf(name, sizeof name, "<0x%02X>", b);
        add(&v, name, coded ? 1 : 6);
    }
    for (char c = 'a'; !coded && c <= 'z'; c++)
        add(&v, (char[]){c, 0}, 1);
    if (!coded) {
        add(&v, "\xe2\x96\x81", 1);
        add(&v, "<", 1);
        add(&v, "\xc3\xa9", 1);
        add(&v, "\n\n", 1);
    }
    add_merged(&v, coded);
    add(&v, "<|im_start|>", 3);
    add(&v, "<|im_end|>", 3);
    add(&v, "<|tool|>", 4);
    add(&v, "<think>", 4);
    add(&v, "   ", 4);
    struct gguf_writer *w = gguf_writer_to(&bytes);
    gguf_put_str(w, "tokenizer.ggml.model",
                 spm     ? STR("llama")
                 : coded ? STR("gpt2")
                         : STR("gemma4"));
    gguf_put_str(w, "tokenizer.ggml.pre", coded ? str_c(pres[which]) : STR("default"));
    gguf_put_str(w, "general.name", which % 2 ? STR("phi-3") : STR("x"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", v.name, v.n);
    gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, v.type, v.n);
    gguf_put_array(w, "tokenizer.ggml.scores", GGUF_F32, v.score, v.n);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    if (!spm)
        put_merges(w, &v);
    struct gguf *g = NULL;
    struct tok *t = NULL;
    bool ok = gguf_writer_finish(w, &e) && gguf_open_bytes(&g, buf_as_str(&bytes), &e) &&
              tok_open(&t, g, &e);
    if (!ok)
        fprintf(stderr, "vocabulary %zu: %s\n", which, e.msg);
    CHECK(ok);
    gguf_writer_close(w);
    gguf_close(g);
    buf_free(&bytes);
    return t;
}

/* However the pieces are cut, only whole characters come out. */
static void check_stream(const struct tok *t, const struct tok_ids *ids)
{
    struct buf out = BUF_INIT(1 << 20);
    struct tok_stream s;
    tok_stream_init(&s);
    for (size_t i = 0; i < ids->n; i++) {
        buf_clear(&out);
        CHECK(tok_stream_put(&s, tok_piece(t, ids->id[i], true), &out));
        CHECK(utf8_valid(buf_as_str(&out)));
    }
    CHECK(tok_stream_end(&s, &out));
    CHECK(utf8_valid(buf_as_str(&out)));
    buf_free(&out);
}

static bool is_plain(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] >= 0x80)
            return false;
    return true;
}

static void check_untrusted(const struct tok *t, const uint8_t *p, size_t n)
{
    struct tok_span span = {str_n((const char *)p, n), false};
    struct tok_ids ids;
    struct err e = {0};
    struct buf out = BUF_INIT(1 << 20);
    tok_ids_init(&ids, 1 << 16);
    CHECK(tok_encode(t, &span, 1, false, &ids, &e));
    bool spm = strcmp(tok_model_name(t), "spm") == 0, phi3 = false;
    for (size_t i = 0; i < ids.n; i++) {
        CHECK(!tok_is_control(t, ids.id[i]));
        phi3 = phi3 || str_eqc(tok_name(t, ids.id[i]), "<think>") ||
               str_eqc(tok_name(t, ids.id[i]), "   ");
    }
    CHECK(tok_decode(t, ids.id, ids.n, false, true, &out));
    if (!spm && !phi3 && is_plain(p, n)) // special tokens take or add blanks
        CHECK(str_eq(buf_as_str(&out), span.text));
    buf_free(&out);
    tok_ids_free(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tok_span spans[32];
    struct tok_ids ids;
    struct err e = {0};
    size_t n = 0;
    if (size < 1)
        return 0;
    size_t which = data[0] % N_TOK;
    if (!toks[which])
        toks[which] = make(which);
    const struct tok *t = toks[which];
    bool trust = false;
    for (size_t i = 1; i < size && n < COUNT(spans);) {
        size_t len = size_min(data[i] & 0x7f, size - i - 1);
        spans[n++] = (struct tok_span){str_n((const char *)data + i + 1, len), data[i] >> 7};
        trust = trust || data[i] >> 7;
        i += 1 + len;
    }
    tok_ids_init(&ids, 1 << 16);
    CHECK(tok_encode(t, spans, n, true, &ids, &e));
    for (size_t i = 0; i < ids.n; i++) {
        CHECK(ids.id[i] >= 0 && ids.id[i] < tok_n_vocab(t));
        CHECK(trust || i == 0 || !tok_is_control(t, ids.id[i]));
    }
    check_stream(t, &ids);
    tok_ids_free(&ids);
    check_untrusted(t, data + 1, size - 1);
    return 0;
}
