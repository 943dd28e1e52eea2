/* tests/gram/walk.c - constraints tried from outside: a line of JSON in, a line out.
 *
 * In:  {"kind":"schema"|"regex"|"gbnf"|"json","source":...,"walks":n,"seed":n,"texts":[...]}
 * Out: {"error":{"code","where","message"}} or {"made":[...],"unfinished":n,"accepted":[true,...]}
 * A walk draws tokens evenly from the mask; past a number of tokens it takes what closes things. */
#include "gram/gram.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "json/json.h"

#include <stdio.h>

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
                                    "name",
                                    "\"name",
                                    "age",
                                    "ab",
                                    "abc",
                                    "aaa",
                                    "10",
                                    "100",
                                    "2025",
                                    "-1",
                                    ".5",
                                    "0.",
                                    "1e",
                                    "\\\"",
                                    "\\n",
                                    "\\u0",
                                    "\\u",
                                    "-",
                                    "2024-",
                                    "T12",
                                    ":00",
                                    "\"a\":",
                                    "{}",
                                    "[]",
                                    "\"\"",
                                    "\":\"",
                                    "\", \"",
                                    "\xc3\xa9",
                                    "\xe2\x82",
                                    "\xac",
                                    "\xf0\x9f\x98\x80",
                                    "x\xc3",
                                    "the",
                                    " the",
                                    "ing",
                                    " of",
                                    "://",
                                    "http",
                                    ".com",
                                    "@",
                                    "www"};

#define N_WORDS  ((int)COUNT(words))
#define N_TOKENS (256 + N_WORDS + 1)
#define END      (N_TOKENS - 1)

enum { FREE_TOKENS = 40, TOKENS_MAX = 1500 };

static str pieces[N_TOKENS];
static uint64_t seed;

static uint64_t draw(uint64_t n)
{
    return rng_at(seed++, 7) % n;
}

static bool has(const uint64_t *mask, int id)
{
    return mask[id / 64] >> (id % 64) & 1;
}

static int choose(const uint64_t *mask, int n, bool closing)
{
    static const char closers[] = "\"}]"; // a string's end first: all of them may stand inside
    if (closing && has(mask, END))
        return END;
    for (const char *c = closers; closing && *c; c++)
        if (has(mask, (uint8_t)*c))
            return (uint8_t)*c;
    for (int pick = (int)draw((uint64_t)n), id = 0;; id++)
        if (has(mask, id) && pick-- == 0)
            return id;
}

/* False: no end in sight. */
static bool walk(const struct gram *g, struct buf *out, struct err *e)
{
    struct gram_state *s = gram_state_new(g);
    uint64_t mask[(N_TOKENS + 63) / 64];
    bool done = false;
    int free_tokens = (int)draw(FREE_TOKENS) + 1;
    for (int i = 0; i < TOKENS_MAX && !done; i++) {
        int n;
        if (!gram_mask(s, mask, &n, e))
            break;
        if (n == 0) {
            err_set(e, ERR_INTERNAL, "stuck after %.*s", STR_ARG(buf_as_str(out)));
            break;
        }
        int id = choose(mask, n, i >= free_tokens);
        if (id == END) {
            done = true;
        } else if (!gram_accept(s, id, e)) {
            e->code = ERR_INTERNAL;
            break;
        } else {
            buf_str(out, pieces[id]);
        }
    }
    gram_state_free(s);
    return done;
}

static json_t *answer(const struct gram_vocab *v, json_t *q)
{
    struct gram_build *b = gram_build_new(v);
    str kind = json_as_str(json_object_get(q, "kind"));
    json_t *source = json_object_get(q, "source"), *text;
    const struct gram_node *root = NULL;
    struct err e = {0};
    uint64_t start = clock_mono_ns();
    if (str_eqc(kind, "schema"))
        root = gram_schema(b, source, NULL, GRAM_JSON);
    else if (str_eqc(kind, "regex"))
        root = gram_regex(b, json_as_str(source));
    else if (str_eqc(kind, "gbnf"))
        root = gram_gbnf(b, json_as_str(source), STR("root"));
    else if (str_eqc(kind, "json"))
        root = gram_json_object(b);
    struct gram *g = gram_compile(b, root, &e);
    double ms = (double)(clock_mono_ns() - start) / 1e6;
    gram_build_free(b);
    if (!g)
        return json_pack("{s:{s:s,s:s,s:s},s:f}", "error", "code", err_code_name(e.code), "where",
                         e.where, "message", e.msg, "ms", ms);
    json_t *made = json_array(), *accepted = json_array();
    int walks = (int)json_integer_value(json_object_get(q, "walks")), unfinished = 0;
    seed = (uint64_t)json_integer_value(json_object_get(q, "seed")) * 1000003;
    const char *stuck = NULL;
    char why[600];
    for (int i = 0; i < walks; i++) {
        struct buf out = BUF_INIT(1 << 20);
        e.code = ERR_NONE;
        if (walk(g, &out, &e)) {
            json_array_append_new(made, json_from_str(buf_as_str(&out)));
            if (str_eqc(kind, "schema") && !gram_valid(source, NULL, buf_as_str(&out), &e))
                e.code = ERR_INTERNAL;
        } else {
            unfinished++;
        }
        if (e.code != ERR_NONE && e.code != ERR_LIMIT) {
            snprintf(why, sizeof why, "%s: %s", e.where, e.msg);
            stuck = why;
        }
        buf_free(&out);
    }
    size_t i;
    json_array_foreach(json_object_get(q, "texts"), i, text)
    {
        struct gram_state *s = gram_state_new(g);
        bool ok = gram_accept_bytes(s, json_as_str(text), &e) && gram_may_end(s);
        json_array_append_new(accepted, json_boolean(ok));
        gram_state_free(s);
    }
    gram_drop(g);
    return json_pack("{s:o,s:i,s:o,s:f,s:s?}", "made", made, "unfinished", unfinished, "accepted",
                     accepted, "ms", ms, "stuck", stuck);
}

int main(void)
{
    static char bytes[256];
    static bool eog[N_TOKENS];
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        pieces[i] = str_n(bytes + i, 1);
    }
    for (int i = 0; i < N_WORDS; i++)
        pieces[256 + i] = str_c(words[i]);
    eog[END] = true;
    struct gram_vocab *v = gram_vocab_new(pieces, NULL, eog, N_TOKENS);
    while ((n = getline(&line, &cap, stdin)) > 0) {
        struct err e = {0};
        json_t *q = json_parse(str_n(line, (size_t)n), &e);
        json_t *a = q ? answer(v, q)
                      : json_pack("{s:{s:s,s:s,s:s}}", "error", "code", "input", "where", e.where,
                                  "message", e.msg);
        struct buf out = BUF_INIT(256 << 20);
        json_write(&out, a, JSON_PLAIN, -1);
        printf("%s\n", buf_cstr(&out));
        fflush(stdout);
        buf_free(&out);
        json_decref(a);
        json_decref(q);
    }
    free(line);
    gram_vocab_drop(v);
    return 0;
}
