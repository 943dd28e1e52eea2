/* jinja/lex.c - template text to tokens, with the white-space control of trim_blocks and
 * lstrip_blocks.
 * Source: the Jinja2 documentation, "Whitespace Control". */
#include "jinja/jinja_int.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdio.h>

struct lexer {
    struct jinja *t;
    struct err *e;
    str src;
    size_t at;
    struct token *tok; // [n], heap while it grows
    size_t n, cap;
    bool line_start; // what was taken last ended a line
};

bool jinja_lex_fail(const struct jinja *t, size_t at, struct err *e, enum err_code code,
                    const char *fmt, ...)
{
    char where[48], msg[sizeof e->msg];
    size_t line = 1, col = 1;
    for (size_t i = 0; i < at && i < t->src.n; i++) {
        unsigned char c = (unsigned char)t->src.p[i];
        if (c == '\n') {
            line++;
            col = 1;
        } else if ((c & 0xc0) != 0x80) {
            col++;
        }
    }
    snprintf(where, sizeof where, "%zu:%zu", line, col);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    return err_set_at(e, code, where, "%s", msg);
}

static struct token *push(struct lexer *x, enum token_type type, size_t at)
{
    if (x->n == x->cap) {
        x->cap = x->cap ? x->cap * 2 : 256;
        x->tok = mem_realloc(x->tok, x->cap * sizeof *x->tok);
    }
    struct token *k = &x->tok[x->n++];
    *k = (struct token){.type = type, .at = (uint32_t)at};
    return k;
}

static int peek(const struct lexer *x, size_t ahead)
{
    return x->at + ahead < x->src.n ? (unsigned char)x->src.p[x->at + ahead] : -1;
}

static bool here(const struct lexer *x, const char *text)
{
    return str_starts(str_from(x->src, x->at), str_c(text));
}

/* Where the white space that starts at `at` ends. */
static size_t skip_space(str s, size_t at)
{
    while (at < s.n) {
        str rest = str_from(s, at);
        if (!jinja_char_space(utf8_next(&rest)))
            break;
        at = s.n - rest.n;
    }
    return at;
}

/* Length of s without the white space at its end. */
static size_t trimmed(str s)
{
    size_t keep = 0;
    for (str rest = s; rest.n;)
        if (!jinja_char_space(utf8_next(&rest)))
            keep = s.n - rest.n;
    return keep;
}

/* Emits the text before a tag, stripped as its sign and lstrip_blocks say. */
static void push_data(struct lexer *x, size_t from, size_t to, int sign, bool lstrip)
{
    str text = str_sub(x->src, from, to - from);
    if (sign == '-') {
        text.n = trimmed(text);
    } else if (sign != '+' && lstrip) {
        size_t line = (size_t)(str_rchr(text, '\n') + 1);
        if ((line > 0 || x->line_start) && skip_space(text, line) == text.n)
            text.n = line;
    }
    if (text.n)
        push(x, TOK_DATA, from)->text = text;
}

static int take_sign(struct lexer *x)
{
    int c = peek(x, 0);
    if (c != '-' && c != '+')
        return 0;
    x->at++;
    return c;
}

/* Moves behind a closing tag: "-X" takes the white space after it, "X" one newline (if `trim`),
 * "+X" nothing.  False when none is here. */
static bool take_close(struct lexer *x, const char *close, bool plus, bool trim)
{
    size_t at = x->at;
    int sign = peek(x, 0);
    if (sign != '-' && !(sign == '+' && plus))
        sign = 0;
    if (sign)
        x->at++;
    if (!here(x, close)) {
        x->at = at;
        return false;
    }
    x->at += 2;
    if (sign == '-')
        x->at = skip_space(x->src, x->at);
    else if (!sign && trim && peek(x, 0) == '\n')
        x->at++;
    x->line_start = x->src.p[x->at - 1] == '\n';
    return true;
}

/* ---- Inside a tag ---- */

/* Digits with single underscores between them; 0 when there are none. */
static size_t digits(const struct lexer *x, size_t ahead)
{
    size_t i = ahead;
    while (peek(x, i) >= '0' && peek(x, i) <= '9') {
        i++;
        if (peek(x, i) == '_' && peek(x, i + 1) >= '0' && peek(x, i + 1) <= '9')
            i++;
    }
    return i - ahead;
}

/* The text at x->at, without underscores. */
static void number_text(const struct lexer *x, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++)
        if (x->src.p[x->at + i] != '_')
            buf_char(out, x->src.p[x->at + i]);
}

static size_t float_length(const struct lexer *x)
{
    size_t whole = digits(x, 0);
    if (x->at > 0 && x->src.p[x->at - 1] == '.')
        return 0;
    size_t n = whole;
    if (peek(x, n) == '.' && digits(x, n + 1))
        n += 1 + digits(x, n + 1);
    if (peek(x, n) == 'e' || peek(x, n) == 'E') {
        size_t sign = peek(x, n + 1) == '+' || peek(x, n + 1) == '-';
        size_t exponent = digits(x, n + 1 + sign);
        if (exponent)
            n += 1 + sign + exponent;
    }
    return n > whole ? n : 0;
}

static int digit_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

static bool lex_int(struct lexer *x)
{
    int base = 10;
    size_t n = 0;
    if (peek(x, 0) == '0') {
        int c = peek(x, 1) | 0x20;
        int maybe = c == 'b' ? 2 : c == 'o' ? 8 : c == 'x' ? 16 : 0;
        size_t first = peek(x, 2) == '_' ? 3 : 2;
        if (maybe && digit_value(peek(x, first)) < maybe) {
            base = maybe;
            n = 2;
        }
    }
    bool zero = base == 10 && peek(x, 0) == '0'; // "00" is a number, "01" is two
    int64_t v = 0;
    bool big = false;
    size_t i = n;
    for (;; i++) {
        int d = digit_value(peek(x, i));
        if (peek(x, i) == '_' && digit_value(peek(x, i + 1)) < (zero ? 1 : base))
            continue;
        if (d >= (zero ? 1 : base))
            break;
        big |= __builtin_mul_overflow(v, base, &v) || __builtin_add_overflow(v, d, &v);
    }
    if (big)
        return jinja_lex_fail(x->t, x->at, x->e, ERR_LIMIT, "integer past 64 bits");
    struct token *k = push(x, TOK_INT, x->at);
    k->i = v;
    k->text = str_sub(x->src, x->at, i);
    x->at += i;
    return true;
}

static bool lex_float(struct lexer *x, size_t n)
{
    struct buf text = BUF_INIT(JINJA_SOURCE_MAX);
    number_text(x, n, &text);
    struct token *k = push(x, TOK_FLOAT, x->at);
    k->f = strtod(buf_cstr(&text), NULL);
    buf_free(&text);
    x->at += n;
    return true;
}

/* One escape behind a backslash at s.  Returns how many bytes it took. */
static size_t unescape(str s, struct buf *out)
{
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    char c = s.p[0];
    const char *simple = c ? strchr(from, c) : NULL;
    if (c == '\n')
        return 1;
    if (simple) {
        buf_char(out, to[simple - from]);
        return 1;
    }
    size_t want = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    uint32_t cp = 0;
    size_t i = 1;
    if (want) {
        while (i <= want && i < s.n && digit_value((unsigned char)s.p[i]) < 16)
            cp = cp << 4 | (uint32_t)digit_value((unsigned char)s.p[i++]);
        if (i <= want)
            return 0;
    } else if (c >= '0' && c <= '7') {
        for (i = 0; i < 3 && i < s.n && s.p[i] >= '0' && s.p[i] <= '7'; i++)
            cp = cp << 3 | (uint32_t)(s.p[i] - '0');
    } else if (c == 'N') {
        return 0;
    } else if ((unsigned char)c >= 0x80) {
        // Jinja2 turns what is past ASCII into escapes first, so the backslash swallows theirs.
        str rest = s;
        cp = (uint32_t)utf8_next(&rest);
        buf_printf(out, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
        return s.n - rest.n;
    } else {
        buf_char(out, '\\');
        buf_char(out, c);
        return 1;
    }
    char utf8[4];
    size_t n = utf8_put(utf8, cp);
    if (!n)
        return 0;
    buf_put(out, utf8, n);
    return i;
}

static bool lex_string(struct lexer *x)
{
    char quote = x->src.p[x->at];
    size_t end = x->at + 1;
    bool escapes = false;
    while (end < x->src.n && x->src.p[end] != quote) {
        if (x->src.p[end] == '\\') {
            escapes = true;
            end++;
        }
        end++;
    }
    if (end >= x->src.n)
        return jinja_lex_fail(x->t, x->at, x->e, ERR_INPUT, "string without its closing %c", quote);

    struct token *k = push(x, TOK_STRING, x->at);
    str raw = str_sub(x->src, x->at + 1, end - x->at - 1);
    k->text = raw;
    x->at = end + 1;
    if (!escapes)
        return true;

    struct buf text = BUF_INIT(JINJA_SOURCE_MAX);
    for (size_t i = 0; i < raw.n;) {
        if (raw.p[i] != '\\') {
            buf_char(&text, raw.p[i++]);
            continue;
        }
        size_t took = unescape(str_from(raw, i + 1), &text);
        if (!took) {
            buf_free(&text);
            return jinja_lex_fail(x->t, (size_t)(raw.p + i - x->src.p), x->e, ERR_INPUT,
                                  "bad escape in a string");
        }
        i += 1 + took;
    }
    k->text = arena_str(&x->t->arena, buf_as_str(&text));
    bool ok = k->text.p != NULL;
    buf_free(&text);
    if (!ok)
        return jinja_lex_fail(x->t, x->at, x->e, ERR_LIMIT, "template needs too much memory");
    return true;
}

static bool lex_name(struct lexer *x, bool *found)
{
    size_t end = x->at;
    while (end < x->src.n) {
        str rest = str_from(x->src, end);
        if (!jinja_char_word(utf8_next(&rest)))
            break;
        end = x->src.n - rest.n;
    }
    *found = end > x->at;
    if (*found) {
        push(x, TOK_NAME, x->at)->text = str_sub(x->src, x->at, end - x->at);
        x->at = end;
    }
    return true;
}

static bool lex_op(struct lexer *x, struct buf *open)
{
    static const int twos[] = {OP2('/', '/'), OP2('*', '*'), OP2('=', '='),
                               OP2('!', '='), OP2('>', '='), OP2('<', '=')};
    int c = peek(x, 0), pair = OP2(c, peek(x, 1) < 0 ? 0 : peek(x, 1));
    for (size_t i = 0; i < COUNT(twos); i++) {
        if (twos[i] == pair) {
            push(x, TOK_OP, x->at)->op = pair;
            x->at += 2;
            return true;
        }
    }
    if (c == '\0' || !strchr("+-/*%~[](){}><=.:|,;", c)) {
        str rest = str_from(x->src, x->at);
        utf8_next(&rest);
        str bad = str_sub(x->src, x->at, x->src.n - rest.n - x->at);
        return jinja_lex_fail(x->t, x->at, x->e, ERR_INPUT, "unexpected character '%.*s'",
                              STR_ARG(bad));
    }
    if (strchr("([{", c)) {
        buf_char(open, c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (strchr(")]}", c)) {
        if (open->n == 0)
            return jinja_lex_fail(x->t, x->at, x->e, ERR_INPUT, "unexpected '%c'", c);
        if (open->p[--open->n] != c)
            return jinja_lex_fail(x->t, x->at, x->e, ERR_INPUT, "unexpected '%c', expected '%c'", c,
                                  open->p[open->n]);
    }
    push(x, TOK_OP, x->at)->op = c;
    x->at++;
    return true;
}

/* The inside of {{ }} or {% %}, up to and with its end. */
static bool lex_tag(struct lexer *x, bool block)
{
    struct buf open = BUF_INIT(JINJA_SOURCE_MAX); // closing brackets that are awaited
    bool ok = true;
    while (ok && x->at < x->src.n) {
        size_t at = x->at;
        if (open.n == 0 && take_close(x, block ? "%}" : "}}", block, block)) {
            push(x, block ? TOK_BLOCK_END : TOK_VAR_END, at);
            break;
        }
        x->at = skip_space(x->src, x->at);
        if (x->at > at)
            continue;
        int c = peek(x, 0);
        bool found = true;
        if (c >= '0' && c <= '9') {
            size_t n = float_length(x);
            ok = n ? lex_float(x, n) : lex_int(x);
        } else if (c == '\'' || c == '"') {
            ok = lex_string(x);
        } else {
            ok = lex_name(x, &found);
            if (ok && !found)
                ok = lex_op(x, &open);
        }
    }
    buf_free(&open);
    return ok;
}

/* ---- Outside of tags ---- */

/* At "{%": is it a raw block's beginning?  Then x->at moves behind it. */
static bool take_raw_begin(struct lexer *x, int *sign)
{
    size_t at = x->at;
    x->at += 2;
    *sign = take_sign(x);
    x->at = skip_space(x->src, x->at);
    if (here(x, "raw")) {
        x->at = skip_space(x->src, x->at + 3);
        if (take_close(x, "%}", false, false))
            return true;
    }
    x->at = at;
    return false;
}

static bool lex_raw(struct lexer *x, size_t opened)
{
    size_t from = x->at;
    bool line_start = x->line_start;
    for (; x->at < x->src.n; x->at++) {
        if (!here(x, "{%"))
            continue;
        size_t at = x->at;
        x->at += 2;
        int sign = take_sign(x);
        x->at = skip_space(x->src, x->at);
        if (here(x, "endraw")) {
            x->at = skip_space(x->src, x->at + 6);
            if (take_close(x, "%}", true, true)) {
                bool after = x->line_start;
                x->line_start = line_start;
                push_data(x, from, at, sign, true);
                x->line_start = after;
                return true;
            }
        }
        x->at = at;
    }
    return jinja_lex_fail(x->t, opened, x->e, ERR_INPUT, "raw block without its endraw");
}

static bool lex_comment(struct lexer *x, size_t opened)
{
    for (; x->at < x->src.n; x->at++)
        if (take_close(x, "#}", true, true))
            return true;
    return jinja_lex_fail(x->t, opened, x->e, ERR_INPUT, "comment without its #}");
}

static bool lex_text(struct lexer *x)
{
    size_t from = x->at;
    while (x->at < x->src.n && !(peek(x, 0) == '{' && peek(x, 1) > 0 && strchr("{%#", peek(x, 1))))
        x->at++;
    size_t opened = x->at;
    if (opened == x->src.n) {
        push_data(x, from, opened, '+', false);
        return true;
    }
    int kind = peek(x, 1), sign = 0;
    bool line_start = x->line_start;
    bool raw = kind == '%' && take_raw_begin(x, &sign);
    if (!raw) {
        x->at += 2;
        sign = take_sign(x);
    }
    bool after = x->line_start;
    x->line_start = line_start;
    push_data(x, from, opened, sign, kind != '{');
    x->line_start = raw ? after : false;
    if (raw)
        return lex_raw(x, opened);
    if (kind == '#')
        return lex_comment(x, opened);
    push(x, kind == '{' ? TOK_VAR_BEGIN : TOK_BLOCK_BEGIN, opened);
    return lex_tag(x, kind == '%');
}

bool jinja_lex(struct jinja *t, struct token **out, size_t *n, struct err *e)
{
    struct lexer x = {.t = t, .e = e, .src = t->src, .line_start = true};
    bool ok = true;
    while (ok && x.at < x.src.n)
        ok = lex_text(&x);
    if (ok) {
        push(&x, TOK_EOF, x.src.n);
        *out = x.tok;
        *n = x.n;
    } else {
        mem_free(x.tok);
    }
    return ok;
}
