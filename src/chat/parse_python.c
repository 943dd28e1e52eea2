/* chat/parse_python.c - calls as Python: [get_weather(city="Oslo", days=3), now()], in tags, in a
 * fenced block (one a line, also in print()), or bare.
 *
 * Arguments go out as JSON, each once its value is there. */
#include "chat/chat_int.h"

#include "base/utf8.h"
#include "json/json.h"

#define NAME_BYTES  ((size_t)256)
#define VALUE_BYTES ((size_t)1 << 20)
#define DEPTH_MAX   64

enum { LIST, NAME, ARGUMENT, VALUE, BEHIND, CALL_END, CLOSE };

/* Python's literals as JSON. */

static void skip_blank(str *in)
{
    while (in->n && strchr(" \t\r\n", in->p[0]))
        *in = str_from(*in, 1);
}

static bool take_word(str *in, const char *word, const char *as, struct buf *out)
{
    if (!str_starts(*in, str_c(word)))
        return false;
    *in = str_from(*in, strlen(word));
    buf_c(out, as);
    return true;
}

static unsigned hex_of(str *in, size_t n, bool *ok)
{
    unsigned v = 0;
    *ok = in->n >= n;
    for (size_t i = 0; *ok && i < n; i++) {
        char c = in->p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        *ok = d >= 0;
        v = v * 16 + (unsigned)(d < 0 ? 0 : d);
    }
    *in = str_from(*in, *ok ? n : 0);
    return v;
}

static bool take_escape(str *in, struct buf *text)
{
    static const char from[] = "nrtbfav0\\'\"/", to[] = "\n\r\t\b\f\a\v\0\\'\"/";
    if (in->n == 0)
        return false;
    char c = in->p[0];
    const char *known = memchr(from, c, sizeof from - 1);
    *in = str_from(*in, 1);
    if (known) {
        buf_char(text, to[known - from]);
        return true;
    }
    if (c == '\n')
        return true;
    if (c != 'x' && c != 'u' && c != 'U') { // as Python: the backslash stays
        buf_char(text, '\\');
        buf_char(text, c);
        return true;
    }
    bool ok;
    unsigned v = hex_of(in, c == 'x' ? 2 : c == 'u' ? 4 : 8, &ok);
    if (ok && v >= 0xd800 && v < 0xdc00 && str_starts(*in, STR("\\u"))) {
        str rest = str_from(*in, 2);
        unsigned low = hex_of(&rest, 4, &ok);
        if (ok && low >= 0xdc00 && low < 0xe000) {
            v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
            *in = rest;
        }
    }
    char four[4];
    size_t n = ok ? utf8_put(four, v) : 0;
    if (n)
        buf_put(text, four, n);
    else
        buf_str(text, STR("\xef\xbf\xbd"));
    return ok;
}

static bool take_string(str *in, struct buf *text)
{
    char quote = in->p[0];
    bool three = in->n >= 3 && in->p[1] == quote && in->p[2] == quote;
    str end = str_sub(*in, 0, three ? 3 : 1);
    *in = str_from(*in, end.n);
    while (in->n && !str_starts(*in, end)) {
        char c = in->p[0];
        *in = str_from(*in, 1);
        if (c != '\\')
            buf_char(text, c);
        else if (!take_escape(in, text))
            return false;
    }
    if (in->n == 0)
        return false;
    *in = str_from(*in, end.n);
    return true;
}

static bool take_literal(str *in, int depth, struct buf *out);

/* Behind an opening bracket: what stands between commas, up to the closing one. */
static bool take_list(str *in, char close, int depth, struct buf *out)
{
    bool pairs = close == '}';
    buf_char(out, pairs ? '{' : '[');
    for (bool first = true;; first = false) {
        skip_blank(in);
        if (in->n && in->p[0] == close)
            break;
        if (!first) {
            if (in->n == 0 || in->p[0] != ',')
                return false;
            *in = str_from(*in, 1);
            skip_blank(in);
            if (in->n && in->p[0] == close)
                break;
            buf_c(out, ", ");
        }
        bool key = in->n && (in->p[0] == '"' || in->p[0] == '\'');
        if ((pairs && !key) || !take_literal(in, depth + 1, out))
            return false;
        skip_blank(in);
        if (!pairs)
            continue;
        if (in->n == 0 || in->p[0] != ':')
            return false;
        *in = str_from(*in, 1);
        buf_c(out, ": ");
        if (!take_literal(in, depth + 1, out))
            return false;
    }
    *in = str_from(*in, 1);
    buf_char(out, pairs ? '}' : ']');
    return true;
}

static bool take_number(str *in, struct buf *out)
{
    size_t n = 0;
    struct err e;
    while (n < in->n && memchr("+-.eE0123456789", in->p[n], 15))
        n++;
    json_t *v = n ? json_parse(str_sub(*in, 0, n), &e) : NULL;
    if (!v)
        return false;
    buf_str(out, str_sub(*in, 0, n));
    *in = str_from(*in, n);
    json_decref(v);
    return true;
}

static bool take_literal(str *in, int depth, struct buf *out)
{
    static const struct {
        const char *word, *as;
    } words[] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                 {"true", "true"}, {"false", "false"}, {"null", "null"}};
    skip_blank(in);
    if (in->n == 0 || depth > DEPTH_MAX)
        return false;
    char c = in->p[0];
    if (c == '"' || c == '\'') {
        struct buf text = BUF_INIT(VALUE_BYTES);
        bool ok = take_string(in, &text);
        json_write_str(out, buf_as_str(&text), JSON_PLAIN);
        buf_free(&text);
        return ok;
    }
    if (c == '[' || c == '(' || c == '{') {
        *in = str_from(*in, 1);
        return take_list(in, c == '[' ? ']' : c == '(' ? ')' : '}', depth, out);
    }
    for (size_t i = 0; i < COUNT(words); i++)
        if (take_word(in, words[i].word, words[i].as, out))
            return true;
    return take_number(in, out);
}

/* Where a value ends that began here: before a comma or the closing bracket; -1: not yet. */
static ptrdiff_t value_end(str in)
{
    int depth = 0;
    char quote = '\0';
    bool three = false;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (quote) {
            if (c == '\\')
                i++;
            else if (c == quote && three && i + 2 >= in.n)
                return -1;
            else if (c == quote && (!three || (in.p[i + 1] == quote && in.p[i + 2] == quote))) {
                i += three ? 2 : 0;
                quote = '\0';
            }
        } else if (c == '"' || c == '\'') {
            if (i + 2 >= in.n)
                return -1;
            quote = c;
            three = in.p[i + 1] == c && in.p[i + 2] == c;
            i += three ? 2 : 0;
        } else if (c == '[' || c == '(' || c == '{') {
            depth++;
        } else if (depth == 0 && (c == ',' || c == ')' || c == ']' || c == '}')) {
            return (ptrdiff_t)i;
        } else if (c == ']' || c == ')' || c == '}') {
            depth--;
        }
    }
    return -1;
}

/* Reading. */

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
}

/* How many letters of a name stand here; *over: something else follows. */
static size_t word_at(str rest, bool *over)
{
    size_t n = 0;
    while (n < rest.n && is_word(rest.p[n]))
        n++;
    *over = n < rest.n;
    return n;
}

static enum verdict read_name(struct chat_parser *p)
{
    bool over;
    chat_skip_space(p);
    str rest = chat_rest(p);
    if (rest.n == 0)
        return MORE;
    size_t n = word_at(rest, &over);
    if (n > NAME_BYTES || (over && (n == 0 || rest.p[n] != '(')))
        return BROKEN;
    if (!over)
        return p->last ? BROKEN : MORE;
    str name = str_sub(rest, 0, n);
    if (str_eqc(name, "print") && !p->bare) {
        chat_take(p, n + 1);
        p->wrapped = true;
        return DONE;
    }
    ptrdiff_t dot = str_rchr(name, '.');
    if (dot >= 0 && !chat_knows_tool(p, name))
        name = str_from(name, (size_t)dot + 1);
    if (name.n == 0 || (p->bare && !chat_knows_tool(p, name)))
        return BROKEN;
    buf_clear(&p->name);
    buf_str(&p->name, name);
    chat_take(p, n + 1);
    chat_announce(p, buf_as_str(&p->name));
    p->position = 0;
    p->step = ARGUMENT;
    return DONE;
}

/* The key of an argument that has none of its own: by its place. */
static void name_by_position(struct chat_parser *p)
{
    const json_t *schema = chat_tool_schema(p->tools, buf_as_str(&p->name));
    const char *key;
    json_t *v;
    size_t i = 0;
    buf_clear(&p->arguments);
    json_object_foreach(json_object_get(schema, "properties"), key, v) if (i++ == p->position)
        buf_c(&p->arguments, key);
    if (p->arguments.n == 0)
        buf_printf(&p->arguments, "%zu", p->position);
}

static enum verdict read_argument(struct chat_parser *p)
{
    bool over;
    chat_skip_space(p);
    str rest = chat_rest(p);
    if (rest.n == 0)
        return MORE;
    if (rest.p[0] == ')') {
        p->step = BEHIND;
        return DONE;
    }
    size_t n = word_at(rest, &over), at = n;
    while (at < rest.n && rest.p[at] == ' ')
        at++;
    if ((!over || at == rest.n) && n <= NAME_BYTES)
        return MORE;
    bool named = n > 0 && rest.p[at] == '=';
    if (named) {
        buf_clear(&p->arguments);
        buf_str(&p->arguments, str_sub(rest, 0, n));
        chat_take(p, at + 1);
    } else {
        name_by_position(p);
    }
    p->position++;
    p->step = VALUE;
    return DONE;
}

static enum verdict read_value(struct chat_parser *p)
{
    str rest = chat_rest(p);
    ptrdiff_t n = value_end(rest);
    if (n < 0)
        return rest.n > VALUE_BYTES ? BROKEN : MORE;
    str text = str_trim(str_sub(rest, 0, (size_t)n)), left = text;
    struct buf value = BUF_INIT(8 * VALUE_BYTES), out = BUF_INIT(9 * VALUE_BYTES);
    bool ok = take_literal(&left, 0, &value) && str_trim(left).n == 0;
    buf_c(&out, p->has_arguments ? ", " : "{");
    json_write_str(&out, buf_as_str(&p->arguments), JSON_PLAIN);
    buf_c(&out, ": ");
    if (ok)
        buf_str(&out, buf_as_str(&value));
    else // no literal: the text itself
        json_write_str(&out, text, JSON_PLAIN);
    chat_argue(p, buf_as_str(&out));
    p->has_arguments = true;
    buf_free(&value);
    buf_free(&out);
    chat_take(p, (size_t)n);
    p->step = BEHIND;
    return DONE;
}

static enum verdict read_behind(struct chat_parser *p)
{
    chat_skip_space(p);
    str rest = chat_rest(p);
    if (rest.n == 0)
        return MORE;
    if (rest.p[0] == ',') {
        chat_take(p, 1);
        p->step = ARGUMENT;
        return DONE;
    }
    bool closed = rest.p[0] == ')';
    chat_argue(p, p->has_arguments ? STR("}") : STR("{}"));
    chat_take(p, closed);
    chat_end_call(p);
    p->step = CALL_END;
    return closed ? DONE : BROKEN;
}

/* Behind a call: one more, or the end. */
static enum verdict read_end(struct chat_parser *p)
{
    chat_skip_space(p);
    str rest = chat_rest(p);
    if (rest.n == 0)
        return MORE;
    char c = rest.p[0];
    if (p->wrapped && c == ')') {
        chat_take(p, 1);
        p->wrapped = false;
        return DONE;
    }
    if ((p->listed && c == ',') || (!p->listed && c == ';')) {
        chat_take(p, 1);
        p->step = NAME;
        return DONE;
    }
    if (p->listed && c == ']')
        chat_take(p, 1);
    else if (!p->listed && is_word(c)) { // one a line
        p->step = NAME;
        return DONE;
    }
    p->step = CLOSE;
    return DONE;
}

static enum verdict step(struct chat_parser *p)
{
    enum verdict v;
    switch (p->step) {
    case LIST:
        p->wrapped = false;
        chat_skip_space(p);
        if (chat_rest(p).n == 0)
            return MORE;
        p->listed = chat_rest(p).p[0] == '[';
        chat_take(p, p->listed);
        p->step = NAME;
        return DONE;
    case NAME: return read_name(p);
    case ARGUMENT: return read_argument(p);
    case VALUE: return read_value(p);
    case BEHIND: return read_behind(p);
    case CALL_END: return read_end(p);
    default: break;
    }
    if (p->bare)
        return DONE;
    if (chat_rest(p).n == 0 && p->format->closers[0])
        return MORE;
    v = chat_take_any(p, p->format->closers, FORMAT_STRINGS);
    return v == MORE ? MORE : DONE;
}

enum verdict chat_read_python(struct chat_parser *p)
{
    for (;;) {
        int at = p->step;
        enum verdict v = step(p);
        if (v != DONE || at == CLOSE)
            return v;
    }
}

static bool is_key(str name)
{
    bool over;
    return name.n > 0 && name.n <= NAME_BYTES && word_at(name, &over) == name.n;
}

/* Writing: key=value in the properties' order, commas between those that are there. */
const struct gram_node *chat_gram_python(struct chat_grammar *g, const json_t *schema)
{
    const struct gram_node *none = gram_lit(g->b, STR(""));
    const struct gram_node *first = none, *later = none; // from this property on
    json_t *properties = json_object_get(schema, "properties"), *property;
    const char *key;
    json_t *keys = json_array();
    if (!chat_gram_check_object(g, schema, is_key)) {
        json_decref(keys);
        return none;
    }
    json_object_foreach(properties, key, property) json_array_append_new(keys, json_string(key));
    for (size_t i = json_array_size(keys); i-- > 0;) {
        key = json_string_value(json_array_get(keys, i));
        const struct gram_node *const parts[] = {
            gram_lit(g->b, str_c(key)), gram_lit(g->b, STR("=")),
            gram_schema(g->b, schema, json_object_get(properties, key), GRAM_PYTHON), later};
        const struct gram_node *with = gram_rule(g->b);
        gram_define(g->b, with, gram_seq(g->b, parts, COUNT(parts)));
        const struct gram_node *comma = gram_seq2(g->b, gram_lit(g->b, STR(", ")), with);
        bool needed = chat_schema_requires(schema, key);
        const struct gram_node *new_first = gram_rule(g->b), *new_later = gram_rule(g->b);
        gram_define(g->b, new_first, needed ? with : gram_alt2(g->b, with, first));
        gram_define(g->b, new_later, needed ? comma : gram_alt2(g->b, comma, later));
        first = new_first;
        later = new_later;
    }
    json_decref(keys);
    return first;
}
