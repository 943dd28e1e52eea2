/* tools/html.c - see html.h. */
#include "tools/html.h"

#include "base/utf8.h"

#include <ctype.h>

#define NAME_MAX_ 16

struct page {
    struct buf *title, *text;
    bool in_title, in_pre;
    bool blank;   // a blank is due before the next word
    int newlines; // ... or so many line ends
};

/* Their content is not for readers; it ends at their end tag alone. */
static const char *const hidden[] = {"script", "style",  "noscript", "template", "svg",  "iframe",
                                     "object", "canvas", "select",   "textarea", "math", "head"};
static const char *const lines[] = {
    "p",      "div",  "br", "tr",      "table",   "ul",      "ol",      "h1",      "h2",
    "h3",     "h4",   "h5", "h6",      "pre",     "hr",      "form",    "nav",     "blockquote",
    "dl",     "dt",   "dd", "article", "section", "header",  "footer",  "main",    "aside",
    "figure", "body", "li", "thead",   "tbody",   "address", "summary", "details", "option"};
static const char *const paragraphs[] = {"p",  "h1", "h2", "h3",    "h4",         "h5",
                                         "h6", "ul", "ol", "table", "blockquote", "pre"};

static bool is_one(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], name) == 0)
            return true;
    return false;
}

static const struct {
    const char *name;
    int32_t code;
} entities[] = {
    {"amp", '&'},       {"lt", '<'},       {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
    {"nbsp", ' '},      {"copy", 0xa9},    {"reg", 0xae},     {"deg", 0xb0},     {"plusmn", 0xb1},
    {"middot", 0xb7},   {"frac12", 0xbd},  {"times", 0xd7},   {"divide", 0xf7},  {"auml", 0xe4},
    {"ouml", 0xf6},     {"uuml", 0xfc},    {"Auml", 0xc4},    {"Ouml", 0xd6},    {"Uuml", 0xdc},
    {"szlig", 0xdf},    {"eacute", 0xe9},  {"egrave", 0xe8},  {"agrave", 0xe0},  {"ccedil", 0xe7},
    {"ntilde", 0xf1},   {"aring", 0xe5},   {"oslash", 0xf8},  {"aelig", 0xe6},   {"laquo", 0xab},
    {"raquo", 0xbb},    {"sect", 0xa7},    {"para", 0xb6},    {"cent", 0xa2},    {"pound", 0xa3},
    {"yen", 0xa5},      {"euro", 0x20ac},  {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},
    {"rsquo", 0x2019},  {"ldquo", 0x201c}, {"rdquo", 0x201d}, {"bdquo", 0x201e}, {"bull", 0x2022},
    {"hellip", 0x2026}, {"trade", 0x2122}, {"larr", 0x2190},  {"rarr", 0x2192},  {"minus", 0x2212},
    {"shy", 0},         {"zwnj", 0},       {"ensp", ' '},     {"emsp", ' '},     {"thinsp", ' '},
};

static void put_code(struct buf *out, int32_t c)
{
    char bytes[4];
    buf_put(out, bytes, utf8_put(bytes, (uint32_t)c));
}

static void put_char(struct page *p, int32_t c)
{
    struct buf *out = p->in_title ? p->title : p->text;
    if (p->in_pre && c == '\n') {
        p->newlines = p->newlines < 2 ? p->newlines + 1 : 2;
        return;
    }
    if (c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == 0xa0) {
        p->blank = true;
        return;
    }
    if (c < ' ' || c == 0x7f)
        return;
    if (out->n && !p->in_title && p->newlines)
        buf_put(out, "\n\n", (size_t)p->newlines);
    else if (out->n && p->blank)
        buf_char(out, ' ');
    p->blank = false;
    if (!p->in_title)
        p->newlines = 0;
    put_code(out, c);
}

/* The character an entity stands for; *s is moved behind it.  -1: it is none. */
static int32_t entity(str *s)
{
    size_t n = 1;
    int32_t code = -1;
    if (s->n > 2 && s->p[1] == '#') {
        bool hex = s->p[2] == 'x' || s->p[2] == 'X';
        int64_t v = 0;
        n = hex ? 3 : 2;
        size_t from = n;
        while (n < s->n && n < from + 8 && isxdigit((unsigned char)s->p[n])) {
            char c = s->p[n];
            if (!hex && !isdigit((unsigned char)c))
                break;
            v = v * (hex ? 16 : 10) +
                (isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
            n++;
        }
        if (n == from)
            return -1;
        code = v > 0 && v < 0x110000 && !(v >= 0xd800 && v < 0xe000) ? (int32_t)v : 0xfffd;
    } else {
        char name[NAME_MAX_];
        while (n < s->n && n < NAME_MAX_ && isalnum((unsigned char)s->p[n]))
            n++;
        snprintf(name, sizeof name, "%.*s", (int)n - 1, s->p + 1);
        for (size_t i = 0; i < COUNT(entities); i++)
            if (strcmp(entities[i].name, name) == 0)
                code = entities[i].code;
        if (code < 0)
            return -1;
    }
    if (n < s->n && s->p[n] == ';')
        n++;
    *s = str_from(*s, n);
    return code;
}

/* Behind the end tag of a hidden element, or at the end. */
static str skip_hidden(str s, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i + 2 + n <= s.n; i++) {
        if (s.p[i] != '<' || s.p[i + 1] != '/' || !str_eq_nocase(str_sub(s, i + 2, n), str_c(name)))
            continue;
        s = str_from(s, i + 2 + n);
        ptrdiff_t end = str_chr(s, '>');
        return end < 0 ? STR("") : str_from(s, (size_t)end + 1);
    }
    return STR("");
}

/* To behind the '>' that ends a tag; those in quotes do not. */
static str skip_tag(str s)
{
    char quote = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (quote ? c == quote : c == '>') {
            if (!quote)
                return str_from(s, i + 1);
            quote = 0;
        } else if (!quote && (c == '"' || c == '\'')) {
            quote = c;
        }
    }
    // A quote that is never closed: the tag ends at the first '>'.
    ptrdiff_t end = str_chr(s, '>');
    return end < 0 ? STR("") : str_from(s, (size_t)end + 1);
}

static void break_line(struct page *p, int n)
{
    p->newlines = p->newlines > n ? p->newlines : n;
    p->blank = false;
}

/* s begins behind the '<'. */
static str take_tag(struct page *p, str s)
{
    char name[NAME_MAX_];
    bool close = s.n && s.p[0] == '/';
    size_t from = close, n = from;
    if (str_starts(s, STR("!--"))) {
        ptrdiff_t end = str_find(str_from(s, 3), STR("-->"));
        return end < 0 ? STR("") : str_from(s, (size_t)end + 6);
    }
    while (n < s.n && n < from + NAME_MAX_ - 1 && isalnum((unsigned char)s.p[n]))
        n++;
    for (size_t i = from; i < n; i++)
        name[i - from] = (char)tolower((unsigned char)s.p[i]);
    name[n - from] = '\0';
    if (n == from && !(s.n && (s.p[0] == '!' || s.p[0] == '?'))) {
        put_char(p, '<'); // no tag
        return s;
    }
    s = skip_tag(str_from(s, n));
    if (strcmp(name, "title") == 0 && p->text->n == 0)
        p->in_title = !close;
    else if (strcmp(name, "head") != 0 && !close && is_one(hidden, COUNT(hidden), name))
        return skip_hidden(s, name);
    if (is_one(lines, COUNT(lines), name)) {
        break_line(p, is_one(paragraphs, COUNT(paragraphs), name) ? 2 : 1);
        if (strcmp(name, "pre") == 0)
            p->in_pre = !close;
        if (strcmp(name, "li") == 0 && !close) {
            put_char(p, '-');
            p->blank = true;
        }
    } else if (strcmp(name, "td") == 0 || strcmp(name, "th") == 0) {
        p->blank = true;
    }
    return s;
}

void html_text(str s, struct buf *title, struct buf *text)
{
    struct page p = {.title = title, .text = text};
    while (s.n && !text->full) {
        if (s.p[0] == '<') {
            s = take_tag(&p, str_from(s, 1));
            continue;
        }
        if (s.p[0] == '&') {
            int32_t code = entity(&s);
            if (code > 0)
                put_char(&p, code);
            if (code >= 0)
                continue;
        }
        int32_t c = utf8_next(&s);
        put_char(&p, c < 0 ? 0xfffd : c);
    }
}

void html_from_latin1(str in, struct buf *out)
{
    static const uint16_t windows[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    for (size_t i = 0; i < in.n; i++) {
        unsigned char c = (unsigned char)in.p[i];
        put_code(out, c >= 0x80 && c < 0xa0 ? windows[c - 0x80] : c);
    }
}
