/* fuzz/gram_fuzz.h - what the fuzz targets of grammars share: a small vocabulary and a walk that
 * checks the masks it is given. */
#ifndef FUZZ_GRAM_FUZZ_H
#define FUZZ_GRAM_FUZZ_H

#include "base/buf.h"
#include "base/rng.h"
#include "gram/gram_int.h"

static const char *const fuzz_words[] = {
    "\",", "\":", "\": \"", "\"}", "{\"",  "[[",  "]]",       "\n  ",     "true", "aa", "aaa", "ab",
    "abc", "10",  "-1",     ".5",  "\\\"", "\\u", "\xc3\xa9", "\xe2\x82", "\xac", "xy", "::"};

#define FUZZ_WORDS  (sizeof fuzz_words / sizeof fuzz_words[0])
#define FUZZ_TOKENS (256 + (int)FUZZ_WORDS + 1)

static str fuzz_pieces[FUZZ_TOKENS];

static inline const struct gram_vocab *fuzz_vocab(void)
{
    static struct gram_vocab *v;
    static char bytes[256];
    static bool eog[FUZZ_TOKENS];
    if (v)
        return v;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        fuzz_pieces[i] = str_n(bytes + i, 1);
    }
    for (size_t i = 0; i < FUZZ_WORDS; i++)
        fuzz_pieces[256 + i] = str_c(fuzz_words[i]);
    eog[FUZZ_TOKENS - 1] = true;
    v = gram_vocab_new(fuzz_pieces, NULL, eog, FUZZ_TOKENS);
    return v;
}

/* A builder that gives up early, or most of the time would go into bombs. */
static inline struct gram_build *fuzz_build(void)
{
    struct gram_build *b = gram_build_new(fuzz_vocab());
    b->work = GRAM_WORK_MAX - 200000;
    return b;
}

/* Draws tokens by mask; some tokens are tried on a copy, which must agree.  True: *out is whole. */
static inline bool fuzz_walk(const struct gram *g, size_t seed, struct buf *out)
{
    struct gram_state *s = gram_state_new(g);
    uint64_t mask[(FUZZ_TOKENS + 63) / 64];
    bool done = false;
    for (uint64_t i = 0; i < 24 && !done; i++) {
        struct err e = {0};
        int n, id = 0;
        if (!gram_mask(s, mask, &n, &e)) {
            if (e.code != ERR_LIMIT)
                __builtin_trap();
            break;
        }
        if (n == 0) {
            // Never stuck, but where the readings were too many from the start.
            if (i > 0)
                __builtin_trap();
            break;
        }
        if (i % 3 == seed % 3) {
            int some = (int)(rng_at(seed, 2 * i + 1) % FUZZ_TOKENS);
            struct gram_state *c = gram_state_copy(s);
            bool may = gram_accept(c, some, &e), bit = mask[some / 64] >> (some % 64) & 1;
            if (may != bit && e.code != ERR_LIMIT)
                __builtin_trap();
            gram_state_free(c);
        }
        int pick = (int)(rng_at(seed, 2 * i) % (uint64_t)n);
        if (i > 12 && gram_may_end(s)) {
            done = true;
            break;
        }
        for (;; id++)
            if (mask[id / 64] >> (id % 64) & 1 && pick-- == 0)
                break;
        if (id == FUZZ_TOKENS - 1) {
            done = true;
        } else if (gram_accept(s, id, &e)) {
            buf_str(out, fuzz_pieces[id]);
        } else {
            if (e.code != ERR_LIMIT)
                __builtin_trap();
            break;
        }
    }
    gram_state_free(s);
    return done;
}

/* The text is the grammar's, read byte by byte too. */
static inline void fuzz_check(const struct gram *g, str text)
{
    struct gram_state *s = gram_state_new(g);
    struct err e = {0};
    for (size_t i = 0; i < text.n; i++)
        if (!gram_accept_bytes(s, str_sub(text, i, 1), &e)) {
            if (e.code != ERR_LIMIT)
                __builtin_trap();
            gram_state_free(s);
            return;
        }
    if (!gram_may_end(s))
        __builtin_trap();
    gram_state_free(s);
}

#endif
