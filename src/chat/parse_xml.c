/* chat/parse_xml.c - calls as Qwen3-Coder writes them: one tag a parameter, its value bare.
 *
 *     <tool_call>
 *     <function=get_weather>
 *     <parameter=city>
 *     Oslo
 *     </parameter>
 *     </function>
 *     </tool_call>
 *
 * Arguments go out as JSON: a plain string's text as it comes, other values once they are there. */
#include "chat/chat_int.h"

#include "base/mem.h"
#include "base/utf8.h"
#include "json/json.h"

#define NAME_BYTES  ((size_t)1024)
#define VALUE_BYTES ((size_t)1 << 20)

enum { OPEN, NAME, PARAMETER, KEY, VALUE_BEGIN, TEXT, VALUE, FUNCTION_END, CLOSE };

static const char value_end[] = "</parameter>";

/* A schema whose values are written bare, as any text. */
static bool is_plain(const json_t *schema)
{
    static const char *const narrow[] = {"pattern", "format", "minLength", "maxLength",
                                         "enum",    "const",  "$ref",      "anyOf",
                                         "oneOf",   "allOf",  "not"};
    if (!str_eqc(json_as_str(json_object_get(schema, "type")), "string"))
        return false;
    for (size_t i = 0; i < COUNT(narrow); i++)
        if (json_object_get(schema, narrow[i]))
            return false;
    return true;
}

static const json_t *property_of(const struct chat_parser *p, str key)
{
    char name[NAME_BYTES + 1];
    const json_t *schema = chat_tool_schema(p->tools, buf_as_str(&p->name));
    if (key.n > NAME_BYTES)
        return NULL;
    snprintf(name, sizeof name, "%.*s", STR_ARG(key));
    return json_object_get(json_object_get(schema, "properties"), name);
}

/* "key": with what stands before it; the first one opens the object. */
static void begin_value(struct chat_parser *p)
{
    struct buf head = BUF_INIT(8 * NAME_BYTES);
    buf_c(&head, p->has_arguments ? ", " : "{");
    json_write_str(&head, buf_as_str(&p->arguments), JSON_PLAIN);
    buf_c(&head, ": ");
    chat_argue(p, buf_as_str(&head));
    p->has_arguments = true;
    buf_free(&head);
}

/* What stands between <...= and >, into *out. */
static enum verdict take_name(struct chat_parser *p, struct buf *out)
{
    static const char *const end[] = {">", NULL};
    size_t which, sure;
    ptrdiff_t at = chat_search(p, end, 1, &which, &sure);
    str name = str_trim(str_sub(chat_rest(p), 0, at < 0 ? sure : (size_t)at));
    if (memchr(name.p ? name.p : "", '\n', name.n) || name.n > NAME_BYTES)
        return BROKEN;
    if (at < 0)
        return p->last ? BROKEN : MORE;
    if (name.n == 0)
        return BROKEN;
    buf_clear(out);
    buf_str(out, name);
    chat_take(p, (size_t)at + 1);
    return DONE;
}

/* A bare text as part of a JSON string, without the quotes around it. */
static void argue_text(struct chat_parser *p, str text)
{
    struct buf quoted = BUF_INIT(6 * text.n + 16);
    json_write_str(&quoted, text, JSON_PLAIN);
    chat_argue(p, str_sub(buf_as_str(&quoted), 1, quoted.n - 2));
    buf_free(&quoted);
}

/* Text up to the end mark; the line break before that belongs to the mark. */
static enum verdict read_text(struct chat_parser *p)
{
    static const char *const ends[] = {"\n</parameter>", "</parameter>", NULL};
    size_t which, sure;
    ptrdiff_t at = chat_search(p, ends, 2, &which, &sure);
    str text = str_sub(chat_rest(p), 0, at < 0 ? sure : (size_t)at);
    if (at < 0 && !p->last)
        text.n = utf8_whole(text);
    argue_text(p, text);
    chat_take(p, at < 0 ? text.n : (size_t)at + strlen(ends[which]));
    if (at < 0)
        return MORE;
    chat_argue(p, STR("\""));
    p->step = PARAMETER;
    return DONE;
}

/* A whole value: JSON if it is some, else a string. */
static enum verdict read_value(struct chat_parser *p)
{
    static const char *const ends[] = {value_end, NULL};
    size_t which, sure;
    struct err e;
    ptrdiff_t at = chat_search(p, ends, 1, &which, &sure);
    if (at < 0)
        return sure > VALUE_BYTES ? BROKEN : MORE;
    str text = str_sub(chat_rest(p), 0, (size_t)at);
    if (str_ends(text, STR("\n")))
        text.n--;
    json_t *v = json_parse(str_trim(text), &e);
    struct buf out = BUF_INIT(6 * text.n + 16);
    if (v)
        buf_str(&out, str_trim(text));
    else
        json_write_str(&out, text, JSON_PLAIN);
    chat_argue(p, buf_as_str(&out));
    chat_take(p, (size_t)at + strlen(value_end));
    json_decref(v);
    buf_free(&out);
    p->step = PARAMETER;
    return DONE;
}

static enum verdict begin(struct chat_parser *p)
{
    str rest = chat_rest(p);
    if (rest.n == 0)
        return MORE;
    chat_take(p, rest.p[0] == '\n');
    begin_value(p);
    bool plain = is_plain(property_of(p, buf_as_str(&p->arguments)));
    if (plain)
        chat_argue(p, STR("\""));
    p->step = plain ? TEXT : VALUE;
    return DONE;
}

static enum verdict read_parameter(struct chat_parser *p)
{
    chat_skip_space(p);
    if (chat_rest(p).n == 0)
        return MORE;
    enum verdict v = chat_take_literal(p, "<parameter=");
    if (v == DONE)
        p->step = KEY;
    if (v != BROKEN)
        return v;
    chat_argue(p, p->has_arguments ? STR("}") : STR("{}"));
    chat_end_call(p);
    p->step = FUNCTION_END;
    return DONE;
}

static enum verdict step(struct chat_parser *p)
{
    enum verdict v;
    switch (p->step) {
    case OPEN: // "<function=" may have been the opener itself
        if (strcmp(p->format->openers[p->opener], "<function=") != 0) {
            chat_skip_space(p);
            if (chat_rest(p).n == 0)
                return MORE;
            if ((v = chat_take_literal(p, "<function=")) != DONE)
                return v;
        }
        p->step = NAME;
        return DONE;
    case NAME:
        if ((v = take_name(p, &p->name)) != DONE)
            return v;
        chat_announce(p, buf_as_str(&p->name));
        p->step = PARAMETER;
        return DONE;
    case PARAMETER: return read_parameter(p);
    case KEY:
        if ((v = take_name(p, &p->arguments)) == DONE)
            p->step = VALUE_BEGIN;
        return v;
    case VALUE_BEGIN: return begin(p);
    case TEXT: return read_text(p);
    case VALUE: return read_value(p);
    case FUNCTION_END:
        v = chat_take_literal(p, "</function>");
        if (v == MORE)
            return MORE;
        p->step = CLOSE;
        return DONE;
    default: break;
    }
    chat_skip_space(p);
    if (chat_rest(p).n == 0)
        return MORE;
    v = chat_take_any(p, p->format->closers, FORMAT_STRINGS);
    return v == MORE ? MORE : DONE;
}

enum verdict chat_read_xml(struct chat_parser *p)
{
    for (;;) {
        int at = p->step;
        enum verdict v = step(p);
        if (v != DONE || at == CLOSE)
            return v;
    }
}

/* Writing: each property in its order, with or without it. */

static const struct gram_node *value_node(struct chat_grammar *g, const json_t *root,
                                          const json_t *schema)
{
    static const str text_end = STR_INIT("\n</parameter>\n");
    if (is_plain(schema))
        return gram_until(g->b, &text_end, 1);
    const struct gram_node *value = gram_schema(g->b, root, schema, GRAM_JSON);
    return gram_seq2(g->b, value, gram_lit(g->b, text_end));
}

static const struct gram_node *xml_property(struct chat_grammar *g, const json_t *root,
                                            const char *key, const json_t *schema)
{
    const struct gram_node *const parts[] = {gram_lit(g->b, STR("<parameter=")),
                                             gram_lit(g->b, str_c(key)), gram_lit(g->b, STR(">\n")),
                                             value_node(g, root, schema)};
    return gram_seq(g->b, parts, COUNT(parts));
}

/* Is it read again as it was written? */
static bool is_key(str name)
{
    return name.n > 0 && name.n <= NAME_BYTES && str_trim(name).n == name.n &&
           !memchr(name.p, '>', name.n) && !memchr(name.p, '\n', name.n);
}

const struct gram_node *chat_gram_xml(struct chat_grammar *g, const json_t *schema)
{
    const struct gram_node *all = gram_lit(g->b, STR(""));
    const char *key;
    json_t *property;
    if (!chat_gram_check_object(g, schema, is_key))
        return all;
    json_object_foreach(json_object_get(schema, "properties"), key, property)
    {
        const struct gram_node *one = xml_property(g, schema, key, property);
        bool needed = chat_schema_requires(schema, key);
        all = gram_seq2(g->b, all, needed ? one : gram_opt(g->b, one));
    }
    return all;
}
