/* chat/constrain.c - the grammar of an answer: thinking, then text, calls or a format.
 *
 * A call is written in one way only, its notation's `form`; the reader of answers takes more. */
#include "chat/chat_int.h"

#include "json/json.h"

#define CALLS_MAX 32 // in one answer
#define NODES_MAX 8

static const struct gram_node *lit(struct chat_grammar *g, str text)
{
    return gram_lit(g->b, text);
}

/* The control token that is a mark and stands at the front of the text; the longest, or -1. */
static int32_t control_at(const struct chat_grammar *g, str text)
{
    const struct tok *tok = chat_template_tok(g->t);
    const int32_t *ids;
    size_t n = chat_visible_tokens(g->t, &ids), best = 0;
    int32_t found = -1;
    for (size_t i = 0; i < n; i++) {
        str name = tok_name(tok, ids[i]);
        if (name.n > best && str_starts(text, name)) {
            best = name.n;
            found = ids[i];
        }
    }
    return found;
}

const struct gram_node *chat_gram_mark(struct chat_grammar *g, const char *text)
{
    str rest = str_c(text);
    const struct gram_node *all = lit(g, STR(""));
    size_t from = 0;
    for (size_t i = 0; i <= rest.n; i++) {
        int32_t id = i < rest.n ? control_at(g, str_from(rest, i)) : -1;
        if (id < 0 && i < rest.n)
            continue;
        all = gram_seq2(g->b, all, lit(g, str_sub(rest, from, i - from)));
        if (id < 0)
            break;
        all = gram_seq2(g->b, all, gram_control(g->b, id));
        from = i + tok_name(chat_template_tok(g->t), id).n;
        i = from - 1;
    }
    return all;
}

/* Any text up to a mark and the mark. */
static const struct gram_node *until(struct chat_grammar *g, const char *mark)
{
    int32_t id = control_at(g, str_c(mark));
    str end = str_c(mark);
    if (id >= 0)
        return gram_seq2(g->b, gram_text(g->b), chat_gram_mark(g, mark));
    return gram_until(g->b, &end, 1);
}

/* A few blanks. */
static const struct gram_node *space(struct chat_grammar *g)
{
    const struct gram_node *one = gram_alt2(g->b, lit(g, STR("\n")), lit(g, STR(" ")));
    return gram_repeat(g->b, one, 0, 2);
}

/* Thinking in front of all, as far as the prompt leaves it open. */
static const struct gram_node *thinking(struct chat_grammar *g, const struct chat_start *start)
{
    const struct chat_thinking *marks = chat_template_thinking(g->t);
    const struct gram_node *none = lit(g, STR(""));
    if (!marks || start->settled || !g->r->messages)
        return none;
    const struct gram_node *rest = until(g, marks->close);
    const struct chat_notation *f = chat_template_notation(g->t);
    if (!(f && f->channels))
        rest = gram_seq2(g->b, rest, space(g));
    if (start->thinking)
        return rest;
    if (!chat_template_thinks_unasked(g->t))
        return none;
    return gram_opt(g->b, gram_seq2(g->b, chat_gram_mark(g, marks->open), rest));
}

/* Arguments as JSON; those of a tool without parameters are {}. */
static const struct gram_node *json_arguments(struct chat_grammar *g, const json_t *schema)
{
    if (json_object_size(schema) == 0)
        return gram_json_object(g->b);
    return gram_schema(g->b, schema, NULL, GRAM_JSON);
}

static const struct gram_node *one_call(struct chat_grammar *g, const struct chat_notation *f,
                                        const json_t *tool)
{
    str name = chat_tool_name(tool);
    const json_t *schema = chat_tool_schema(g->r->tools, name);
    const struct gram_node *arguments =
        f->arguments ? f->arguments(g, schema) : json_arguments(g, schema);
    const struct gram_node *const parts[] = {chat_gram_mark(g, f->form.before), lit(g, name),
                                             chat_gram_mark(g, f->form.middle), arguments,
                                             chat_gram_mark(g, f->form.after)};
    return gram_seq(g->b, parts, COUNT(parts));
}

/* One call or more of the tools that may be called. */
static const struct gram_node *calls(struct chat_grammar *g, const struct chat_notation *f)
{
    const struct chat_request *r = g->r;
    const struct gram_node *any = gram_alt(g->b, NULL, 0);
    const json_t *tool;
    size_t i;
    json_array_foreach(r->tools, i, tool)
    {
        if (r->tool_choice == CHAT_TOOLS_NAMED && !str_eq(chat_tool_name(tool), r->tool_name))
            continue;
        any = gram_alt2(g->b, any, one_call(g, f, tool));
    }
    const struct gram_node *more = gram_seq2(g->b, chat_gram_mark(g, f->form.next), any);
    bool many = !r->one_call && f->form.next;
    const struct gram_node *const parts[] = {chat_gram_mark(g, f->form.opener), any,
                                             many ? gram_repeat(g->b, more, 0, CALLS_MAX - 1)
                                                  : lit(g, STR("")),
                                             chat_gram_mark(g, f->form.last)};
    return gram_seq(g->b, parts, COUNT(parts));
}

static size_t list_openers(const struct chat_notation *f, str out[FORMAT_STRINGS])
{
    size_t n = 0;
    while (n < FORMAT_STRINGS && f->openers[n]) {
        out[n] = str_c(f->openers[n]);
        n++;
    }
    return n;
}

/* Text in which no call can begin. */
static const struct gram_node *text_without_calls(struct chat_grammar *g,
                                                  const struct chat_notation *f)
{
    str openers[FORMAT_STRINGS];
    size_t n = list_openers(f, openers);
    const struct gram_node *text = n ? gram_without(g->b, openers, n) : gram_text(g->b);
    if (!f->bare)
        return text;
    // Nor in front: the first letter that is no blank is none of those.
    char pattern[64];
    snprintf(pattern, sizeof pattern, "[ \\n\\t\\r]{0,64}[^ \\n\\t\\r%s%s]",
             strchr(f->bare, '{') ? "{" : "", strchr(f->bare, '[') ? "\\[" : "");
    return gram_opt(g->b, gram_seq2(g->b, gram_regex(g->b, str_c(pattern)), text));
}

/* The answer in the format that is asked for. */
static const struct gram_node *formatted(struct chat_grammar *g)
{
    const struct chat_request *r = g->r;
    switch (r->format) {
    case CHAT_FORMAT_JSON: return gram_json_object(g->b);
    case CHAT_FORMAT_SCHEMA: return gram_schema(g->b, r->format_schema, NULL, GRAM_JSON);
    case CHAT_FORMAT_REGEX: return gram_regex(g->b, r->format_source);
    case CHAT_FORMAT_GRAMMAR:
        return gram_gbnf(g->b, r->format_source, r->format_root.n ? r->format_root : STR("root"));
    case CHAT_FORMAT_TEXT: break;
    }
    return gram_text(g->b);
}

static const struct gram_node *answer(struct chat_grammar *g)
{
    const struct chat_request *r = g->r;
    const struct chat_notation *f = chat_template_notation(g->t);
    const struct gram_node *text = formatted(g);
    bool tools = f && json_array_size(r->tools) > 0, free = r->format == CHAT_FORMAT_TEXT;
    if (tools && (r->tool_choice == CHAT_TOOLS_REQUIRED || r->tool_choice == CHAT_TOOLS_NAMED))
        return calls(g, f);
    if (tools && free)
        text = text_without_calls(g, f);
    if (f && f->form.answer && r->messages)
        text = gram_seq2(g->b, chat_gram_mark(g, f->form.answer), text);
    if (!tools || r->tool_choice == CHAT_TOOLS_NONE)
        return text;
    bool behind = free && !f->bare && !f->form.answer; // a call may follow text
    return behind ? gram_seq2(g->b, text, gram_opt(g->b, calls(g, f)))
                  : gram_alt2(g->b, text, calls(g, f));
}

bool chat_schema_requires(const json_t *schema, const char *key)
{
    const json_t *name;
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i,
                       name) if (str_eqc(json_as_str(name), key)) return true;
    return false;
}

bool chat_gram_check_object(struct chat_grammar *g, const json_t *schema, bool (*fits)(str name))
{
    static const char *const fine[] = {
        "type",     "properties",  "required", "title", "description", "additionalProperties",
        "$defs",    "definitions", "$schema",  "$id",   "examples",    "default",
        "$comment", "strict"};
    const char *key;
    json_t *v;
    str type = json_as_str(json_object_get(schema, "type"));
    if (type.n && !str_eqc(type, "object")) {
        err_set_at(&g->e, ERR_INPUT, "/type", "a tool's arguments must be an object");
        return err_kind(&g->e, "invalid_schema");
    }
    json_object_foreach((json_t *)schema, key, v)
    {
        size_t i = 0;
        while (i < COUNT(fine) && strcmp(key, fine[i]) != 0)
            i++;
        if (i < COUNT(fine))
            continue;
        char place[sizeof g->e.where];
        snprintf(place, sizeof place, "/%s", key);
        err_set_at(
            &g->e, ERR_INPUT, place,
            "'%s' cannot be enforced on the arguments of a tool with this model, whose calls "
            "name each argument by itself",
            key);
        return err_kind(&g->e, "invalid_schema");
    }
    json_t *name;
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        const char *needed = json_string_value(name);
        if (needed && json_object_get(json_object_get(schema, "properties"), needed))
            continue;
        err_set_at(&g->e, ERR_INPUT, "/required",
                   "'%s' is required but is no property; with this model, whose calls name each "
                   "argument by itself, it must be one",
                   needed ? needed : "");
        return err_kind(&g->e, "invalid_schema");
    }
    json_object_foreach(json_object_get(schema, "properties"), key, v)
    {
        if (fits(str_c(key)))
            continue;
        err_set_at(&g->e, ERR_INPUT, "/properties",
                   "'%s' is no name that a call can hold with this model, whose calls name each "
                   "argument by itself",
                   key);
        return err_kind(&g->e, "invalid_schema");
    }
    return true;
}

/* Compiles, unless something was found to be wrong before. */
static struct gram *compile(struct chat_grammar *g, const struct gram_node *root, struct err *e)
{
    if (g->e.code != ERR_NONE) {
        *e = g->e;
        return NULL;
    }
    return gram_compile(g->b, root, e);
}

/* Where a tool's schema is in the client's words. */
static void schema_place(const struct chat_request *r, size_t i, const char *inside, char *out,
                         size_t size)
{
    str place = str_c(r->tools_place ? r->tools_place : "tools[].function.parameters");
    const char *number = memchr(place.p, ']', place.n);
    size_t before = number ? (size_t)(number - place.p) : place.n;
    if (number)
        snprintf(out, size, "%.*s%zu%s%s", (int)before, place.p, i, number, inside);
    else
        snprintf(out, size, "%.*s%s", (int)before, place.p, inside);
}

/* Which tool's schema is at fault: each of them alone. */
static void place_error(struct chat_grammar *g, const struct gram_vocab *v, struct err *e)
{
    const struct chat_notation *f = chat_template_notation(g->t);
    char place[sizeof e->where];
    const json_t *tool;
    size_t i;
    const char *field = g->r->format_place ? g->r->format_place : "response_format";
    bool inside = g->r->format == CHAT_FORMAT_SCHEMA; // else the message tells where
    if (g->r->format != CHAT_FORMAT_TEXT)
        snprintf(place, sizeof place, "%s%s", field, inside ? e->where : "");
    else
        snprintf(place, sizeof place, "tools");
    json_array_foreach(g->r->tools, i, tool)
    {
        struct err own;
        struct gram_build *b = gram_build_new(v);
        struct chat_grammar alone = {.b = b, .t = g->t, .r = g->r};
        const json_t *schema = chat_tool_schema(g->r->tools, chat_tool_name(tool));
        const struct gram_node *node =
            f->arguments ? f->arguments(&alone, schema) : json_arguments(&alone, schema);
        struct gram *made = compile(&alone, node, &own);
        gram_drop(made);
        gram_build_free(b);
        if (!made) {
            schema_place(g->r, i, own.where, place, sizeof place);
            *e = own;
            break;
        }
    }
    snprintf(e->where, sizeof e->where, "%s", place);
    err_ctx(e, "'%s'", place); // some clients see the message alone
    if (e->code == ERR_INPUT || e->code == ERR_LIMIT) {
        e->code = ERR_INPUT; // too large a constraint is the client's as well
        err_kind(e, g->r->format == CHAT_FORMAT_GRAMMAR ? "invalid_grammar" : "unsupported_schema");
    }
}

static bool needs_none(const struct chat_template *t, const struct chat_request *r)
{
    bool tools = chat_template_notation(t) && json_array_size(r->tools) > 0;
    return r->format == CHAT_FORMAT_TEXT && !tools;
}

bool chat_constraint(const struct chat_template *t, const struct gram_vocab *v,
                     const struct chat_request *r, const struct chat_start *start,
                     struct gram **out, struct err *e)
{
    *out = NULL;
    if (needs_none(t, r))
        return true;
    struct gram_build *b = gram_build_new(v);
    struct chat_grammar g = {.b = b, .t = t, .r = r};
    const struct gram_node *before = thinking(&g, start);
    struct gram *made = compile(&g, gram_seq2(b, before, answer(&g)), e);
    gram_build_free(b);
    if (!made) {
        place_error(&g, v, e);
        return false;
    }
    *out = made;
    return true;
}
