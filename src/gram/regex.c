/* gram/regex.c - regular expressions that are regular.
 *
 * Two flavours: PLAIN (response formats: \w \d \s are ASCII, the whole text matches) and ECMA (JSON
 * Schema's `pattern`: Unicode mode, found anywhere).  Groups, classes, repetitions, alternatives,
 * anchors.  What is no regular language (look-around, back-references) is refused by name.
 *
 * An anchor reads a mark: the byte FE stands before the text and FF behind it, bytes that UTF-8
 * never has.  dfa_strip_ends takes them off again.
 * Source: ECMA-262 section 22.2.1 (with flag u); RE2's and FriendliAI's lists of what is left out.
 */
#include "gram/gram_int.h"

#include "base/utf8.h"

#define NEST_MAX  200
#define TIMES_MAX 1000000

struct reading {
    struct gram_build *b;
    str in;     // what is left
    size_t all; // bytes of the whole
    enum regex_flavour flavour;
    const char *where; // of the pattern, or NULL
    int depth;
    bool anchors; // some anchor inside
};

static void bad(struct reading *r, const char *what)
{
    char where[160];
    if (r->where)
        snprintf(where, sizeof where, "%s", r->where);
    else
        snprintf(where, sizeof where, "1:%zu", r->all - r->in.n + 1);
    build_fail(r->b, ERR_INPUT, where, "regular expression, column %zu: %s", r->all - r->in.n + 1,
               what);
}

static bool at(const struct reading *r, const char *what)
{
    return !r->b->failed && str_starts(r->in, str_c(what));
}

static bool take(struct reading *r, const char *what)
{
    if (!at(r, what))
        return false;
    r->in = str_from(r->in, strlen(what));
    return true;
}

static bool hex(struct reading *r, size_t n, uint32_t *out)
{
    uint32_t v = 0;
    for (size_t i = 0; i < n; i++) {
        char c = r->in.n > i ? r->in.p[i] : 0;
        if (c >= '0' && c <= '9')
            v = v * 16 + (uint32_t)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            v = v * 16 + (uint32_t)((c | 32) - 'a' + 10);
        else
            return false;
    }
    r->in = str_from(r->in, n);
    *out = v;
    return true;
}

/* \x, \u and their forms with braces, behind the letter. */
static uint32_t code_point(struct reading *r, char letter)
{
    uint32_t cp = 0, low;
    if (take(r, "{")) {
        uint32_t digit;
        size_t n = 0;
        for (; n < 8 && hex(r, 1, &digit); n++)
            cp = cp * 16 + digit;
        if (!take(r, "}") || n == 0)
            bad(r, "a code point in braces is not hexadecimal");
    } else if (!hex(r, letter == 'x' ? 2 : 4, &cp)) {
        bad(r, letter == 'x' ? "\\x needs two hexadecimal digits"
                             : "\\u needs four hexadecimal digits");
    } else if (cp >= 0xD800 && cp < 0xDC00 && take(r, "\\u")) {
        if (!hex(r, 4, &low) || low < 0xDC00 || low > 0xDFFF)
            bad(r, "half of a surrogate pair");
        else
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    }
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp < 0xE000))
        bad(r, "no such character");
    return cp;
}

static bool shorthand(struct reading *r, char c, struct cp_set *out)
{
    static const struct cp_range spaces[] = {{0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
                                             {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                                             {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    struct cp_set s = {0};
    switch (c | 32) {
    case 'd': cp_add(r->b, &s, '0', '9'); break;
    case 'w':
        cp_add(r->b, &s, '0', '9');
        cp_add(r->b, &s, 'A', 'Z');
        cp_add(r->b, &s, '_', '_');
        cp_add(r->b, &s, 'a', 'z');
        break;
    case 's':
        cp_add(r->b, &s, '\t', '\r');
        cp_add(r->b, &s, ' ', ' ');
        for (size_t i = 0; r->flavour == REGEX_ECMA && i < COUNT(spaces); i++)
            cp_add(r->b, &s, spaces[i].lo, spaces[i].hi);
        break;
    default: return false;
    }
    if (c < 'a')
        cp_invert(r->b, &s);
    cp_add_set(r->b, out, &s);
    return true;
}

/* An escape that is one character, behind the backslash. */
static uint32_t escape(struct reading *r, bool in_class)
{
    static const char letters[] = "tnrfv0", means[] = "\t\n\r\f\v\0";
    if (!r->in.n) {
        bad(r, "a backslash at the end");
        return 0;
    }
    char c = r->in.p[0];
    const char *known = c ? strchr(letters, c) : NULL;
    r->in = str_from(r->in, 1);
    if (c == '0' && r->in.n && r->in.p[0] >= '0' && r->in.p[0] <= '9') {
        bad(r, "octal escapes are not supported");
        return 0;
    }
    if (known)
        return (uint8_t)means[known - letters];
    if (c == 'x' || c == 'u')
        return code_point(r, c);
    if (c == 'c' && r->in.n && ((r->in.p[0] | 32) >= 'a' && (r->in.p[0] | 32) <= 'z')) {
        c = (char)(r->in.p[0] & 31);
        r->in = str_from(r->in, 1);
        return (uint8_t)c;
    }
    if (c == 'b' && in_class)
        return '\b';
    if (c == 'a' && r->flavour == REGEX_PLAIN)
        return '\a';
    if (c == 'e' && r->flavour == REGEX_PLAIN)
        return 27;
    if (c == 'b' || c == 'B')
        bad(r, "word boundaries (\\b, \\B) are not supported");
    else if (c == 'p' || c == 'P')
        bad(r, "Unicode classes (\\p, \\P) are not supported");
    else if ((c >= '1' && c <= '9') || c == 'k')
        bad(r, "back-references are not supported");
    else if ((c | 32) >= 'a' && (c | 32) <= 'z')
        bad(r, "an unknown escape");
    else if ((uint8_t)c >= 0x80)
        bad(r, "a backslash before a character that needs none");
    return (uint8_t)c;
}

static uint32_t next_char(struct reading *r)
{
    int32_t cp = r->in.n ? utf8_next(&r->in) : -1;
    if (cp < 0) {
        bad(r, r->in.n ? "not UTF-8" : "not UTF-8, or it ends too early");
        return 0;
    }
    return (uint32_t)cp;
}

/* One end of a range, or a shorthand (false: added to *s). */
static bool class_atom(struct reading *r, struct cp_set *s, uint32_t *cp)
{
    if (take(r, "\\")) {
        if (r->in.n && shorthand(r, r->in.p[0], s)) {
            r->in = str_from(r->in, 1);
            return false;
        }
        *cp = escape(r, true);
        return true;
    }
    *cp = next_char(r);
    return true;
}

static const struct gram_node *class(struct reading *r)
{
    struct cp_set s = {0};
    bool inverted = take(r, "^"), first = r->flavour == REGEX_PLAIN;
    for (;; first = false) {
        uint32_t lo, hi;
        if (!r->in.n)
            bad(r, "a class without ]");
        if (r->b->failed)
            return node_fail(r->b);
        if (r->flavour == REGEX_PLAIN && (at(r, "[:") || at(r, "[=") || at(r, "[.")))
            bad(r, "POSIX classes are not supported");
        if (!first && take(r, "]"))
            break;
        bool single = class_atom(r, &s, &lo);
        hi = lo;
        if (at(r, "-") && !at(r, "-]")) {
            struct reading back = *r;
            take(r, "-");
            if (!single || !class_atom(r, &s, &hi)) {
                if (r->flavour == REGEX_ECMA || single)
                    bad(r, "a range needs two characters");
                *r = back; // [\w-x]: the - is itself
                take(r, "-");
                cp_add(r->b, &s, '-', '-');
                continue;
            }
            if (hi < lo)
                bad(r, "a range that runs backwards");
        }
        if (single)
            cp_add(r->b, &s, lo, hi);
    }
    if (inverted)
        cp_invert(r->b, &s);
    return node_set(r->b, &s);
}

static const struct gram_node *dot(struct reading *r)
{
    struct cp_set s = {0};
    cp_add(r->b, &s, '\n', '\n');
    if (r->flavour == REGEX_ECMA) {
        cp_add(r->b, &s, '\r', '\r');
        cp_add(r->b, &s, 0x2028, 0x2029);
    }
    cp_invert(r->b, &s);
    return node_set(r->b, &s);
}

static const struct gram_node *alternatives(struct reading *r);

static const struct gram_node *group(struct reading *r)
{
    static const struct {
        const char *front, *what;
    } refused[] = {
        {"?=", "look-ahead is not supported"},        {"?!", "look-ahead is not supported"},
        {"?<=", "look-behind is not supported"},      {"?<!", "look-behind is not supported"},
        {"?>", "atomic groups are not supported"},    {"?(", "conditionals are not supported"},
        {"?P=", "back-references are not supported"}, {"?P>", "recursion is not supported"},
        {"?#", "comments are not supported"},
    };
    if (take(r, "?:")) {
    } else if (at(r, "?")) {
        for (size_t i = 0; i < COUNT(refused); i++)
            if (at(r, refused[i].front))
                bad(r, refused[i].what);
        if (!take(r, "?<") && !(r->flavour == REGEX_PLAIN && take(r, "?P<")))
            bad(r, "flags and other forms of (? are not supported");
        size_t n = 0;
        while (n < r->in.n && r->in.p[n] != '>')
            n++;
        if (n == 0 || n == r->in.n)
            bad(r, "a group's name does not end");
        else
            r->in = str_from(r->in, n + 1);
    } else if (at(r, "*")) {
        bad(r, "verbs (*...) are not supported");
    }
    if (++r->depth > NEST_MAX)
        bad(r, "groups are nested too deeply");
    const struct gram_node *n = alternatives(r);
    r->depth--;
    if (!take(r, ")"))
        bad(r, "a group without )");
    return n;
}

static const struct gram_node *anchor(struct reading *r, int mark)
{
    r->anchors = true;
    return node_byte(r->b, mark, mark);
}

static bool number(str *in, int *out)
{
    size_t n = 0;
    int v = 0;
    while (n < in->n && in->p[n] >= '0' && in->p[n] <= '9') {
        v = int_min(v * 10 + (in->p[n] - '0'), TIMES_MAX + 1);
        n++;
    }
    *in = str_from(*in, n);
    *out = v;
    return n > 0;
}

/* {m}, {m,}, {m,n} at the front of in; false: none of these. */
static bool braces(str *in, int *min, int *max)
{
    str s = *in;
    if (!str_starts(s, STR("{")))
        return false;
    s = str_from(s, 1);
    if (!number(&s, min))
        return false;
    *max = *min;
    if (str_starts(s, STR(","))) {
        s = str_from(s, 1);
        if (!number(&s, max))
            *max = -1;
    }
    if (!str_starts(s, STR("}")))
        return false;
    *in = str_from(s, 1);
    return true;
}

static const struct gram_node *atom(struct reading *r, bool *repeatable)
{
    struct cp_set s = {0};
    *repeatable = true;
    if (take(r, "("))
        return group(r);
    if (take(r, "["))
        return class(r);
    if (take(r, "."))
        return dot(r);
    if (at(r, "^") || at(r, "$")) {
        *repeatable = false;
        int mark = at(r, "^") ? 0xFE : 0xFF;
        r->in = str_from(r->in, 1);
        return anchor(r, mark);
    }
    if (at(r, "*") || at(r, "+") || at(r, "?")) {
        bad(r, "nothing to repeat");
        return node_fail(r->b);
    }
    if (at(r, "{")) {
        str ahead = r->in;
        int min, max;
        if (r->flavour == REGEX_ECMA || braces(&ahead, &min, &max))
            bad(r, "nothing to repeat");
    }
    if (take(r, "\\")) {
        char c = r->in.n ? r->in.p[0] : 0;
        if (shorthand(r, c, &s)) {
            r->in = str_from(r->in, 1);
            return node_set(r->b, &s);
        }
        if (r->flavour == REGEX_PLAIN && (c == 'A' || c == 'Z' || c == 'z')) {
            r->in = str_from(r->in, 1);
            *repeatable = false;
            return anchor(r, c == 'A' ? 0xFE : 0xFF);
        }
        uint32_t cp = escape(r, false);
        cp_add(r->b, &s, cp, cp);
    } else {
        uint32_t cp = next_char(r);
        cp_add(r->b, &s, cp, cp);
    }
    return node_set(r->b, &s);
}

static const struct gram_node *repeated(struct reading *r, const struct gram_node *n)
{
    int min, max;
    if (take(r, "*")) {
        min = 0;
        max = -1;
    } else if (take(r, "+")) {
        min = 1;
        max = -1;
    } else if (take(r, "?")) {
        min = 0;
        max = 1;
    } else if (!braces(&r->in, &min, &max)) {
        return n;
    }
    if (max >= 0 && max < min)
        bad(r, "a repetition whose bounds are in the wrong order");
    if (min > TIMES_MAX || max > TIMES_MAX)
        bad(r, "a repetition of more than a million");
    if (at(r, "+"))
        bad(r, "possessive repetitions are not supported");
    take(r, "?"); // reluctant: the same texts
    int again_min, again_max;
    str ahead = r->in;
    if (at(r, "*") || at(r, "+") || at(r, "?") || braces(&ahead, &again_min, &again_max))
        bad(r, "nothing to repeat");
    return r->b->failed ? n : gram_repeat(r->b, n, min, max);
}

static const struct gram_node *alternatives(struct reading *r)
{
    struct node_list alt = {0}, seq = {0};
    while (!r->b->failed && r->in.n && !at(r, ")")) {
        if (take(r, "|")) {
            node_add(r->b, &alt, node_seq(r->b, &seq));
            seq = (struct node_list){0};
            continue;
        }
        bool repeatable;
        const struct gram_node *n = atom(r, &repeatable);
        node_add(r->b, &seq, repeatable ? repeated(r, n) : n);
    }
    node_add(r->b, &alt, node_seq(r->b, &seq));
    return node_alt(r->b, &alt);
}

static const struct gram_node *read_all(struct reading *r)
{
    const struct gram_node *n = alternatives(r);
    if (r->in.n)
        bad(r, "a ) without (");
    return n;
}

const struct dfa *regex_dfa(struct gram_build *b, str pattern, enum regex_flavour flavour,
                            bool search, const char *where)
{
    struct reading r = {
        .b = b, .in = pattern, .all = pattern.n, .flavour = flavour, .where = where};
    const struct gram_node *n = read_all(&r), *any = gram_lit(b, (str){NULL, 0});
    if (search)
        any = gram_repeat(b, node_utf8_any(b), 0, -1);
    const struct gram_node *before = gram_seq2(b, node_byte(b, 0xFE, 0xFE), any);
    const struct gram_node *behind = gram_seq2(b, any, node_byte(b, 0xFF, 0xFF));
    n = gram_seq(b, (const struct gram_node *const[]){gram_opt(b, before), n, gram_opt(b, behind)},
                 3);
    // Text before an anchor that is not at the front is impossible, but the mark itself must be
    // there: the optional parts leave it to the pattern's own anchors.
    const struct dfa *d = b->failed ? NULL : dfa_strip_ends(b, dfa_of_node(b, n));
    if (b->failed && where && !b->err.where[0])
        snprintf(b->err.where, sizeof b->err.where, "%s", where);
    return d;
}

const struct gram_node *gram_regex(struct gram_build *b, str pattern)
{
    // Anchors at both ends of the whole say what is so anyway.
    str in = pattern;
    if (str_starts(in, STR("^")) && str_find(in, STR("|")) < 0)
        in = str_from(in, 1);
    if (str_ends(in, STR("$")) && !str_ends(in, STR("\\$")) && str_find(in, STR("|")) < 0)
        in = str_sub(in, 0, in.n - 1);
    struct reading r = {.b = b, .in = in, .all = pattern.n, .flavour = REGEX_PLAIN};
    const struct gram_node *n = read_all(&r);
    if (!r.anchors || b->failed)
        return n;
    return node_dfa(b, regex_dfa(b, pattern, REGEX_PLAIN, false, NULL), false);
}
