/* gguf/synth_vocab.c - a small but valid byte-level BPE vocabulary of our own. */
#include "gguf/synth_int.h"

#include "base/arena.h"
#include "base/mem.h"
#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>

enum { TOKEN_NORMAL = 1, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5 };

static const char *const words[] = {
    " the",   " and",    " a",
    " to",    " of",     " in",
    " is",    " you",    " that",
    " it",    " he",     " was",
    " for",   " on",     " are",
    " with",  " as",     " I",
    " his",   " they",   " be",
    " at",    " one",    " have",
    " this",  " from",   " or",
    " had",   " by",     " hot",
    " but",   " what",   " some",
    " we",    " can",    " out",
    " other", " were",   " all",
    " there", " your",   " when",
    " up",    " use",    " word",
    " how",   " said",   " an",
    " each",  " she",    "Once",
    " upon",  " time",   "Hello",
    " world", "ing",     "ed",
    "er",     "tion",    "ly",
    " user",  " system", "assistant",
    "00",     "  ",      "\n\n",
    "123",    " 2",      " \xc3\xa9t\xc3\xa9",
};

static const char *const controls[] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>",
                                       "<|pad|>",       "<think>",      "</think>"};

_Static_assert(256 + COUNT(controls) == GGUF_SYNTH_VOCAB_MIN, "");

static const char chat_template[] =
    "{%- for message in messages -%}\n"
    "<|im_start|>{{ message.role }}{{ '\\n' }}{{ message.content }}<|im_end|>{{ '\\n' }}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}<|im_start|>assistant{{ '\\n' }}{%- endif -%}\n";

struct vocab {
    struct arena a;
    str *tokens;
    int32_t *types;
    str *merges;
    int n, n_max, n_merges;
};

/* GPT-2's alphabet: printable Latin-1 bytes are themselves, the others follow from U+0100 on. */
static uint32_t letter_of(unsigned char byte)
{
    uint32_t next = 256;
    for (int b = 0; b < 256; b++) {
        bool plain = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte)
            return plain ? (uint32_t)b : next;
        next += !plain;
    }
    return 0;
}

static int find(const struct vocab *v, str token)
{
    for (int i = 0; i < v->n; i++) {
        if (str_eq(v->tokens[i], token))
            return i;
    }
    return -1;
}

static void add(struct vocab *v, str text, int type)
{
    v->tokens[v->n] = arena_str(&v->a, text);
    v->types[v->n++] = type;
}

static str letter(const struct vocab *v, char byte)
{
    return v->tokens[(unsigned char)byte];
}

/* Joins the word's letters from the left: "t h", "th e" ... */
static void add_word(struct vocab *v, const char *word, int room)
{
    char left[64], joined[128], merge[128];
    str first = letter(v, word[0]);
    size_t n = first.n;
    memcpy(left, first.p, n);
    for (const char *p = word + 1; *p && v->n < room; p++) {
        str right = letter(v, *p);
        int len = snprintf(joined, sizeof joined, "%.*s%.*s", (int)n, left, STR_ARG(right));
        str both = str_n(joined, (size_t)len);
        if (find(v, both) < 0) {
            int m = snprintf(merge, sizeof merge, "%.*s %.*s", (int)n, left, STR_ARG(right));
            v->merges[v->n_merges++] = arena_str(&v->a, str_n(merge, (size_t)m));
            add(v, both, TOKEN_NORMAL);
        }
        n = both.n;
        assert(n < sizeof left);
        memcpy(left, joined, n);
    }
}

/* Words of two to four letters until the vocabulary is full, each the merge of two that stand
 * before it.  A large model's answers are then text like a real one's. */
static void add_syllables(struct vocab *v)
{
    enum { LETTERS = 26, PAIRS = LETTERS * LETTERS };
    int n_words = v->n;
    for (int len = 2; len <= 4; len++) {
        int all = len == 2 ? PAIRS : len == 3 ? PAIRS * LETTERS : PAIRS * PAIRS;
        for (int i = 0; i < all && v->n < v->n_max; i++) {
            char text[4], merge[5];
            for (int k = len - 1, rest = i; k >= 0; k--, rest /= LETTERS)
                text[k] = (char)('a' + rest % LETTERS);
            str word = str_n(text, (size_t)len);
            bool there = false;
            for (int k = 256; k < n_words && !there; k++)
                there = str_eq(v->tokens[k], word);
            if (there)
                continue;
            int left = len == 2 ? 1 : 2;
            memcpy(merge, text, (size_t)left);
            merge[left] = ' ';
            memcpy(merge + left + 1, text + left, (size_t)(len - left));
            v->merges[v->n_merges++] = arena_str(&v->a, str_n(merge, (size_t)len + 1));
            add(v, word, TOKEN_NORMAL);
        }
    }
}

#define SYLLABLES_FROM 4096 // vocabularies of at least so many tokens

void gguf_synth_put_vocab(struct gguf_writer *w, int n_vocab)
{
    struct vocab v = {.n_max = n_vocab};
    size_t n = (size_t)n_vocab;

    assert(n_vocab >= GGUF_SYNTH_VOCAB_MIN);
    arena_init(&v.a, n * 64 + 65536);
    v.tokens = mem_calloc(n, sizeof *v.tokens);
    v.types = mem_calloc(n, sizeof *v.types);
    v.merges = mem_calloc(n, sizeof *v.merges);
    for (int b = 0; b < 256; b++) {
        char utf8[4];
        add(&v, str_n(utf8, utf8_put(utf8, letter_of((unsigned char)b))), TOKEN_NORMAL);
    }
    for (size_t i = 0; i < COUNT(words); i++)
        add_word(&v, words[i], n_vocab - (int)COUNT(controls));
    uint32_t control = (uint32_t)v.n;
    for (size_t i = 0; i < COUNT(controls); i++)
        add(&v, str_c(controls[i]), i < 4 ? TOKEN_CONTROL : TOKEN_USER);
    if (n_vocab >= SYLLABLES_FROM)
        add_syllables(&v);
    while (v.n < n_vocab) {
        char text[32];
        int len = snprintf(text, sizeof text, "[unused%d]", v.n);
        add(&v, str_n(text, (size_t)len), TOKEN_UNUSED);
    }
    assert(!v.a.full);

    gguf_put_str(w, "tokenizer.ggml.model", STR("gpt2"));
    gguf_put_str(w, "tokenizer.ggml.pre", STR("gpt-2"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", v.tokens, n);
    gguf_put_array(w, "tokenizer.ggml.token_type", GGUF_I32, v.types, n);
    gguf_put_strs(w, "tokenizer.ggml.merges", v.merges, (size_t)v.n_merges);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", control);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", control + 2);
    gguf_put_u32(w, "tokenizer.ggml.padding_token_id", control + 3);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_put_str(w, "tokenizer.chat_template", str_c(chat_template));
    mem_free(v.tokens);
    mem_free(v.types);
    mem_free(v.merges);
    arena_fini(&v.a);
}
