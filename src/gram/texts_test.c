/* gram/texts_test.c - see texts_test.h. */
#include "gram/texts_test.h"

#include "base/buf.h"
#include "base/rng.h"
#include "test.h"

static const char *const words[] = {"\",",
                                    "\":",
                                    "\": \"",
                                    "\"}",
                                    "\"]",
                                    "{\"",
                                    "[\"",
                                    "[[",
                                    "]]",
                                    "}}",
                                    "},",
                                    "],",
                                    " \"",
                                    " {",
                                    " [",
                                    "\n  ",
                                    "\n    ",
                                    "\n",
                                    "  ",
                                    "    ",
                                    ", ",
                                    ",\n",
                                    "true",
                                    "false",
                                    "null",
                                    "tr",
                                    "ue",
                                    "hello",
                                    " world",
                                    "he",
                                    "llo",
                                    "name",
                                    "\"name",
                                    "age",
                                    "a",
                                    "ab",
                                    "abc",
                                    "abcd",
                                    "bc",
                                    "aa",
                                    "aaa",
                                    "aaaa",
                                    "aaaaaaaa",
                                    "10",
                                    "100",
                                    "2025",
                                    "-1",
                                    ".5",
                                    "0.",
                                    "1e",
                                    "\\\"",
                                    "\\n",
                                    "\\u00",
                                    "\\u",
                                    "\xc3\xa9",
                                    "\xe2\x82",
                                    "\xac",
                                    "\xf0\x9f\x98\x80",
                                    "x\xc3",
                                    "-0",
                                    "2024-",
                                    "T12",
                                    ":00",
                                    "</think>",
                                    "<",
                                    "/",
                                    "think>",
                                    "<tool_call>",
                                    "</tool_call>",
                                    "</",
                                    "tool",
                                    "_call>",
                                    "\"a\":",
                                    "{\"a\":1}",
                                    "{}",
                                    "[]",
                                    "{}}",
                                    "\"\"",
                                    "\"\",",
                                    "\":\"",
                                    "\", \"",
                                    "yes",
                                    "no",
                                    "xyxy",
                                    "xy"};

#define N_TOKENS (256 + (int)COUNT(words) + 3)

static str pieces[N_TOKENS];
static char bytes[256];

const struct gram_vocab *testing_vocab(void)
{
    static struct gram_vocab *v;
    static bool control[N_TOKENS], eog[N_TOKENS];
    if (v)
        return v;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        pieces[i] = str_n(bytes + i, 1);
    }
    for (size_t i = 0; i < COUNT(words); i++)
        pieces[256 + i] = str_c(words[i]);
    for (int i = N_TOKENS - 3; i < N_TOKENS; i++)
        control[i] = true;
    pieces[N_TOKENS - 3] = STR("<ctl>"); // its bytes are no text
    eog[N_TOKENS - 1] = true;
    v = gram_vocab_new(pieces, control, eog, N_TOKENS);
    return v;
}

int testing_control(int i)
{
    return N_TOKENS - 3 + i;
}

int testing_end(void)
{
    return N_TOKENS - 1;
}

struct gram *testing_compile(struct gram_build *b, const struct gram_node *root)
{
    struct err e = {0};
    struct gram *g = gram_compile(b, root, &e);
    if (!g)
        print_message("%s: %s\n", e.where, e.msg);
    assert_non_null(g);
    return g;
}

bool testing_matches(const struct gram *g, str text)
{
    struct err e;
    struct gram_state *s = gram_state_new(g);
    bool ok = gram_accept_bytes(s, text, &e) && gram_may_end(s);
    gram_state_free(s);
    return ok;
}

void testing_check_mask(struct gram_state *s)
{
    uint64_t mask[(N_TOKENS + 63) / 64];
    int n, count = 0;
    struct err e;
    assert_true(gram_mask(s, mask, &n, &e));
    for (int id = 0; id < N_TOKENS; id++) {
        struct gram_state *c = gram_state_copy(s);
        bool may = gram_accept(c, id, &e), bit = mask[id / 64] >> (id % 64) & 1;
        if (may != bit)
            print_message("token %d \"%.*s\": mask %d, read %d\n", id, STR_ARG(pieces[id]), bit,
                          may);
        assert_int_equal(may, bit);
        count += bit;
        gram_state_free(c);
    }
    assert_int_equal(count, n);
}

bool testing_walk(const struct gram *g, uint64_t *seed, int max, bool check, struct buf *out)
{
    struct gram_state *s = gram_state_new(g);
    bool done = false;
    for (int i = 0; i < max && !done; i++) {
        uint64_t mask[(N_TOKENS + 63) / 64];
        int n;
        struct err e;
        assert_true(gram_mask(s, mask, &n, &e));
        if (n == 0)
            print_message("stuck after: %.*s\n", STR_ARG(buf_as_str(out)));
        assert_true(n > 0); // never stuck
        if (check && i < 40)
            testing_check_mask(s);
        int pick = (int)(rng_at((*seed)++, 1) % (uint64_t)n), id = 0;
        // Ends are taken more readily, or walks would be long.
        if (gram_may_end(s) && rng_at((*seed)++, 2) % 4 == 0) {
            done = true;
            break;
        }
        for (;; id++)
            if (mask[id / 64] >> (id % 64) & 1 && pick-- == 0)
                break;
        if (id == testing_end()) {
            assert_true(gram_may_end(s));
            done = true;
            break;
        }
        assert_true(gram_accept(s, id, &e));
        if (id < N_TOKENS - 3)
            buf_str(out, pieces[id]);
    }
    gram_state_free(s);
    return done;
}
