/* gram/gbnf.c - GBNF, the grammars of llama.cpp.
 *
 *   rule ::= alternative | alternative     # comment
 * Elements: "text", [a-z] and [^a-z], . (any character), names of rules, ( ), and behind any of
 * these * + ? {m} {m,} {m,n} {,n}.  Escapes: \n \r \t \\ \" \[ \] \xHH \uHHHH \UHHHHHHHH.  <[123]>
 * is the token of that number.  A rule ends with its line, unless a ( is open or a | or ::= came
 * last. Source: ggml-org/llama.cpp, grammars/README.md. */
#include "gram/gram_int.h"

#include "base/utf8.h"

#include <uthash.h>

#define NEST_MAX  200
#define TIMES_MAX 1000000

struct name {
    UT_hash_handle hh; // by the name's bytes in the source
    const struct gram_node *rule;
    bool defined;
    size_t used_at; // where first
};

struct reading {
    struct gram_build *b;
    str all, in;
    struct name *names;
    int depth;
};

static void bad_at(struct reading *r, size_t at, const char *what)
{
    size_t line = 1, start = 0;
    char where[64];
    for (size_t i = 0; i < at; i++)
        if (r->all.p[i] == '\n') {
            line++;
            start = i + 1;
        }
    snprintf(where, sizeof where, "%zu:%zu", line, at - start + 1);
    build_fail(r->b, ERR_INPUT, where, "grammar, line %zu, column %zu: %s", line, at - start + 1,
               what);
}

static void bad(struct reading *r, const char *what)
{
    bad_at(r, r->all.n - r->in.n, what);
}

static char peek(const struct reading *r)
{
    return r->in.n && !r->b->failed ? r->in.p[0] : 0;
}

static bool take(struct reading *r, const char *what)
{
    if (r->b->failed || !str_starts(r->in, str_c(what)))
        return false;
    r->in = str_from(r->in, strlen(what));
    return true;
}

/* Blanks and comments; line breaks too where they do not end the rule. */
static void skip(struct reading *r, bool lines)
{
    for (;;) {
        char c = peek(r);
        if (c == '#') {
            while (peek(r) && peek(r) != '\n' && peek(r) != '\r')
                r->in = str_from(r->in, 1);
        } else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r'))) {
            r->in = str_from(r->in, 1);
        } else {
            return;
        }
    }
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static str word(struct reading *r)
{
    size_t n = 0;
    while (n < r->in.n && is_word(r->in.p[n]))
        n++;
    str w = str_sub(r->in, 0, n);
    if (n == 0)
        bad(r, "a rule's name is missing");
    r->in = str_from(r->in, n);
    return w;
}

static struct name *name_of(struct reading *r, str w)
{
    struct name *n;
    HASH_FIND(hh, r->names, w.p, w.n, n);
    if (n)
        return n;
    n = arena_calloc(&r->b->arena, 1, sizeof *n);
    if (!n) {
        build_fail(r->b, ERR_LIMIT, NULL, "the grammar is too large");
        return NULL;
    }
    n->rule = gram_rule(r->b);
    n->used_at = (size_t)(w.p - r->all.p);
    HASH_ADD_KEYPTR(hh, r->names, w.p, w.n, n);
    return n;
}

static uint32_t character(struct reading *r)
{
    static const char letters[] = "nrt\\\"[]", means[] = "\n\r\t\\\"[]";
    if (peek(r) != '\\') {
        int32_t cp = r->in.n ? utf8_next(&r->in) : -1;
        if (cp < 0)
            bad(r, "not UTF-8, or the grammar ends inside a text");
        return cp < 0 ? 0 : (uint32_t)cp;
    }
    r->in = str_from(r->in, 1);
    char c = peek(r);
    const char *known = c ? strchr(letters, c) : NULL;
    r->in = str_from(r->in, 1);
    if (known)
        return (uint8_t)means[known - letters];
    int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t v = 0;
    for (int i = 0; i < digits; i++) {
        char h = peek(r), low = (char)(h | 32);
        if (h >= '0' && h <= '9')
            v = v * 16 + (uint32_t)(h - '0');
        else if (low >= 'a' && low <= 'f')
            v = v * 16 + (uint32_t)(low - 'a' + 10);
        else
            bad(r, "an escape needs more hexadecimal digits");
        r->in = str_from(r->in, 1);
    }
    if (!digits)
        bad(r, "an unknown escape");
    if (v > 0x10FFFF || (v >= 0xD800 && v < 0xE000))
        bad(r, "no such character");
    return v;
}

static const struct gram_node *text(struct reading *r)
{
    struct buf out = BUF_INIT(r->all.n * 4 + 8);
    while (!r->b->failed && !take(r, "\"")) {
        char bytes[4];
        uint32_t cp = character(r);
        buf_put(&out, bytes, utf8_put(bytes, cp));
    }
    const struct gram_node *n = gram_lit(r->b, buf_as_str(&out));
    buf_free(&out);
    return n;
}

static const struct gram_node *class(struct reading *r)
{
    struct cp_set s = {0};
    bool inverted = take(r, "^");
    while (!r->b->failed && !take(r, "]")) {
        uint32_t lo = character(r), hi = lo;
        if (peek(r) == '-' && !str_starts(r->in, STR("-]"))) {
            take(r, "-");
            hi = character(r);
        }
        if (hi < lo)
            bad(r, "a range that runs backwards");
        cp_add(r->b, &s, lo, hi);
    }
    if (inverted)
        cp_invert(r->b, &s);
    return node_set(r->b, &s);
}

static bool number(struct reading *r, int *out)
{
    int v = 0, n = 0;
    for (; peek(r) >= '0' && peek(r) <= '9'; n++) {
        v = int_min(v * 10 + (peek(r) - '0'), TIMES_MAX + 1);
        r->in = str_from(r->in, 1);
    }
    if (v > TIMES_MAX)
        bad(r, "a number of more than a million");
    *out = v;
    return n > 0;
}

static const struct gram_node *token(struct reading *r)
{
    int id = 0;
    if (!take(r, "[")) {
        bad(r, "tokens are written as <[number]>");
        return node_fail(r->b);
    }
    if (!number(r, &id) || !take(r, "]>"))
        bad(r, "tokens are written as <[number]>");
    else if (id >= r->b->vocab->n)
        bad(r, "there is no such token");
    return r->b->failed ? node_fail(r->b) : gram_control(r->b, id);
}

static const struct gram_node *repeated(struct reading *r, const struct gram_node *n)
{
    int min = 0, max = -1;
    if (take(r, "*")) {
    } else if (take(r, "+")) {
        min = 1;
    } else if (take(r, "?")) {
        max = 1;
    } else if (take(r, "{")) {
        skip(r, true);
        bool some = number(r, &min);
        skip(r, true);
        max = min;
        if (take(r, ",")) {
            skip(r, true);
            if (!number(r, &max))
                max = -1;
            some = some || max >= 0;
            skip(r, true);
        }
        if (!some || !take(r, "}"))
            bad(r, "a repetition is written as {m}, {m,}, {m,n} or {,n}");
        if (max >= 0 && max < min)
            bad(r, "a repetition whose bounds are in the wrong order");
    } else {
        return n;
    }
    return r->b->failed ? n : gram_repeat(r->b, n, min, max);
}

static const struct gram_node *alternatives(struct reading *r, bool nested)
{
    struct node_list alt = {0}, seq = {0};
    if (++r->depth > NEST_MAX)
        bad(r, "groups are nested too deeply");
    while (!r->b->failed) {
        const struct gram_node *n;
        skip(r, nested);
        char c = peek(r);
        if (take(r, "|")) {
            node_add(r->b, &alt, node_seq(r->b, &seq));
            seq = (struct node_list){0};
            skip(r, true);
            continue;
        }
        if (take(r, "\"")) {
            n = text(r);
        } else if (take(r, "[")) {
            n = class(r);
        } else if (take(r, ".")) {
            n = node_utf8_any(r->b);
        } else if (take(r, "(")) {
            n = alternatives(r, true);
            if (!take(r, ")"))
                bad(r, "a group without )");
        } else if (take(r, "<")) {
            n = token(r);
        } else if (is_word(c)) {
            str w = word(r);
            struct name *name = name_of(r, w);
            n = name ? name->rule : node_fail(r->b);
        } else {
            break;
        }
        // As in llama.cpp a repetition may follow another: the whole so far is repeated.
        for (int i = 0; i < 8; i++) {
            const struct gram_node *again = repeated(r, n);
            if (again == n)
                break;
            n = again;
        }
        node_add(r->b, &seq, n);
    }
    r->depth--;
    node_add(r->b, &alt, node_seq(r->b, &seq));
    return node_alt(r->b, &alt);
}

const struct gram_node *gram_gbnf(struct gram_build *b, str source, str root)
{
    struct reading r = {.b = b, .all = source, .in = source};
    struct name *name;
    skip(&r, true);
    while (!b->failed && r.in.n) {
        size_t from = source.n - r.in.n;
        str w = word(&r);
        skip(&r, false);
        if (!take(&r, "::="))
            bad(&r, "::= is missing after a rule's name");
        skip(&r, true);
        name = b->failed ? NULL : name_of(&r, w);
        if (!name)
            break;
        const struct gram_node *n = alternatives(&r, false);
        if (name->defined)
            bad_at(&r, from, "a rule is defined twice");
        if (!b->failed)
            gram_define(b, name->rule, n);
        name->defined = true;
        if (r.in.n && peek(&r) != '\n' && peek(&r) != '\r')
            bad(&r, "unexpected character");
        skip(&r, true);
    }
    for (name = r.names; name && !b->failed; name = name->hh.next)
        if (!name->defined)
            bad_at(&r, name->used_at, "a rule of this name is not defined");
    HASH_FIND(hh, r.names, root.p, root.n, name);
    if (!name && !b->failed)
        build_fail(b, ERR_INPUT, "1:1", "the grammar has no rule named %.*s", STR_ARG(root));
    const struct gram_node *start = b->failed ? node_fail(b) : name->rule;
    HASH_CLEAR(hh, r.names);
    return start;
}
