/* bench/gram.c - what constraints cost: compiling, and a mask for each token of an answer.
 *
 * usage: bench_gram [MODEL.gguf]     without a file: 151,936 tokens made up after the lengths and
 *                                    kinds that tokenizers of that size have
 * Each constraint is walked as a random-weight model would (tokens drawn evenly from the mask). */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "gram/gram.h"
#include "json/json.h"
#include "tok/tok.h"

#include <stdio.h>

#define N_MADE 151936

enum { WALKS = 12, TOKENS = 400 };

static const struct {
    const char *name;
    char kind; // s schema, r regex, g gbnf, j json_object
    const char *source;
} cases[] = {
    {"json_object", 'j', ""},
    {"two strings", 's',
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"city\":{\"type\":"
     "\"string\"}},"
     "\"required\":[\"name\",\"city\"],\"additionalProperties\":false}"},
    {"bounded strings", 's',
     "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":5,\"maxLength\":60},"
     "\"minItems\":3}"},
    {"long string", 's', "{\"type\":\"string\",\"minLength\":300,\"maxLength\":5000}"},
    {"order", 's',
     "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"string\",\"format\":\"uuid\"},"
     "\"when\":{\"type\":"
     "\"string\",\"format\":\"date-time\"},\"lines\":{\"type\":\"array\",\"items\":{\"type\":"
     "\"object\","
     "\"properties\":{\"sku\":{\"type\":\"string\",\"pattern\":\"^[A-Z]{3}-[0-9]{4}$\"},\"note\":{"
     "\"type\":"
     "\"string\",\"maxLength\":40},\"qty\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":999},"
     "\"price\":{"
     "\"type\":\"number\",\"minimum\":0}},\"required\":[\"sku\",\"qty\"]},\"minItems\":1},"
     "\"status\":{"
     "\"enum\":[\"new\",\"paid\",\"sent\"]}},\"required\":[\"id\",\"lines\",\"status\"]}"},
    {"tree", 's',
     "{\"$ref\":\"#/$defs/"
     "n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"label\":{\"type\":"
     "\"string\"},\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/"
     "n\"}}},\"required\":[\"label\","
     "\"kids\"]}}}"},
    {"free values", 's', "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"array\"}}"},
    {"email", 's', "{\"type\":\"string\",\"format\":\"email\"}"},
    {"words", 'r', "([A-Za-z]+ ){5,200}[a-z]+\\."},
    {"lines", 'g', "root ::= line{3,40}\nline ::= [^\\n]+ \"\\n\""},
    {"sums", 'g', "root ::= e\ne ::= t ((\"+\"|\"-\") t)*\nt ::= [0-9]+ | \"(\" e \")\""},
};

static str *pieces;
static bool *control, *eog;
static int n_tokens;

/* Bytes, then words with and without a blank before them, then signs and their pairs, numbers, and
 * letters of other scripts: about the shares that BPE vocabularies have. */
static void make_vocab(struct buf *text)
{
    static const char *const marks[] = {"\"",   "\":", "\",", "\"}", "{\"", "[\"", "\\\"",
                                        "},",   "],",  ");",  "::",  "->",  "==",  "\n",
                                        "\n\n", "\t",  "</",  "/>",  "//",  "..."};
    n_tokens = N_MADE;
    for (int i = 0; i < N_MADE; i++) {
        size_t from = text->n;
        uint64_t r = rng_at(i, 1);
        if (i < 256) {
            buf_char(text, (char)i);
        } else if (i % 100 < 6) { // signs
            for (uint64_t k = 0; k < 1 + r % 3; k++)
                buf_c(text, marks[rng_at(i, 10 + k) % COUNT(marks)]);
        } else if (i % 100 < 8) { // blanks
            for (uint64_t k = 0; k < 1 + r % 60; k++)
                buf_char(text, k == 0 && r % 3 == 0 ? '\n' : ' ');
        } else if (i % 100 < 30) { // two and three bytes a letter
            for (uint64_t k = 0; k < 1 + r % 3; k++) {
                uint64_t c = 0x400 + rng_at(i, 20 + k) % 0x8000;
                char b[3] = {(char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 63)),
                             (char)(0x80 | (c & 63))};
                if (c < 0x800) {
                    buf_char(text, (char)(0xC0 | c >> 6));
                    buf_char(text, b[2]);
                } else {
                    buf_put(text, b, 3);
                }
            }
        } else { // words
            if (r % 2)
                buf_char(text, ' ');
            for (uint64_t k = 0; k < 2 + r / 2 % 9; k++) {
                uint64_t c = rng_at(i, 40 + k) % 30;
                buf_char(text, (char)(c < 26 ? (k == 0 && r % 5 == 0 ? 'A' : 'a') + (int)c
                                             : "eeta"[c - 26]));
            }
        }
        pieces[i].n = text->n - from;
    }
    size_t at = 0;
    for (int i = 0; i < N_MADE; i++) {
        pieces[i].p = text->p + at;
        at += pieces[i].n;
    }
    eog[N_MADE - 1] = control[N_MADE - 1] = true;
}

static bool read_vocab(const char *path, struct err *e)
{
    struct gguf *g;
    struct tok *t;
    if (!gguf_open(&g, path, e))
        return false;
    if (!tok_open(&t, g, e)) {
        gguf_close(g);
        return false;
    }
    n_tokens = tok_n_vocab(t); // both live as long as the program
    pieces = mem_calloc((size_t)n_tokens, sizeof *pieces);
    control = mem_calloc((size_t)n_tokens, sizeof *control);
    eog = mem_calloc((size_t)n_tokens, sizeof *eog);
    for (int i = 0; i < n_tokens; i++) {
        pieces[i] = tok_piece(t, i, false);
        control[i] = tok_is_control(t, i);
        eog[i] = tok_is_eog(t, i);
    }
    return true;
}

static int by_time(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double all_us[COUNT(cases) * WALKS * TOKENS];
static size_t n_all;

static void measure(const struct gram_vocab *v, size_t i, bool verbose)
{
    static double us[WALKS * TOKENS];
    size_t n_us = 0;
    struct err e = {0};
    uint64_t seed = 1, *mask = mem_alloc(gram_mask_words(n_tokens) * sizeof *mask);
    str source = str_c(cases[i].source);
    json_t *root = cases[i].kind == 's' ? json_parse(source, &e) : NULL;
    uint64_t start = clock_mono_ns();
    struct gram_build *b = gram_build_new(v);
    const struct gram_node *node = cases[i].kind == 'j'   ? gram_json_object(b)
                                   : cases[i].kind == 's' ? gram_schema(b, root, NULL, GRAM_JSON)
                                   : cases[i].kind == 'r' ? gram_regex(b, source)
                                                          : gram_gbnf(b, source, STR("root"));
    struct gram *g = gram_compile(b, node, &e);
    gram_build_free(b);
    if (!g) {
        printf("%s: %s: %s\n", cases[i].name, e.where, e.msg);
        exit(1);
    }
    double ms = (double)(clock_mono_ns() - start) / 1e6, first = 0;
    for (int w = 0; w < WALKS; w++) {
        struct gram_state *s = gram_state_new(g);
        for (int k = 0; k < TOKENS; k++) {
            int n, id = 0;
            uint64_t t0 = clock_mono_ns();
            if (!gram_mask(s, mask, &n, &e) || n == 0) {
                printf("%s: no mask: %s\n", cases[i].name, e.msg);
                exit(1);
            }
            us[n_us++] = (double)(clock_mono_ns() - t0) / 1e3;
            first = us[n_us - 1] > first ? us[n_us - 1] : first;
            int pick = (int)(rng_at(seed++, 1) % (uint64_t)n);
            for (;; id++)
                if (mask[id / 64] >> (id % 64) & 1 && pick-- == 0)
                    break;
            if (eog[id])
                break;
            if (!gram_accept(s, id, &e)) {
                printf("%s: token %d of the mask: %s\n", cases[i].name, id, e.msg);
                exit(1);
            }
        }
        gram_state_free(s);
    }
    memcpy(all_us + n_all, us, n_us * sizeof *us);
    n_all += n_us;
    qsort(us, n_us, sizeof *us, by_time);
    if (verbose)
        printf(
            "%-16s compile %7.1f ms  masks %5zu  median %6.1f  p90 %7.1f  p99 %7.1f  most %8.1f us"
            "  %5.1f MB\n",
            cases[i].name, ms, n_us, us[n_us / 2], us[n_us * 9 / 10], us[n_us * 99 / 100], first,
            (double)gram_memory(g) / 1e6);
    gram_drop(g);
    json_decref(root);
    mem_free(mask);
}

int main(int argc, char **argv)
{
    struct buf text = BUF_INIT(64 << 20);
    struct err e = {0};
    if (argc > 1) {
        if (!read_vocab(argv[1], &e)) {
            printf("%s\n", e.msg);
            return 1;
        }
    } else {
        pieces = mem_calloc(N_MADE, sizeof *pieces);
        control = mem_calloc(N_MADE, sizeof *control);
        eog = mem_calloc(N_MADE, sizeof *eog);
        make_vocab(&text);
    }
    uint64_t start = clock_mono_ns();
    struct gram_vocab *v = gram_vocab_new(pieces, control, eog, n_tokens);
    printf("%d tokens, tree made in %.1f ms\n", n_tokens, (double)(clock_mono_ns() - start) / 1e6);
    for (size_t i = 0; i < COUNT(cases); i++)
        measure(v, i, true);
    qsort(all_us, n_all, sizeof *all_us, by_time);
    printf("all: median %.1f us, p90 %.1f us, p99 %.1f us\n", all_us[n_all / 2],
           all_us[n_all * 9 / 10], all_us[n_all * 99 / 100]);
    gram_vocab_drop(v);
    return 0;
}
