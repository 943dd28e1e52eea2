/* dialect/paddler.c - Paddler's inference routes: bodies into neutral requests.
 *
 * Bodies are read strictly, and nothing about sampling can be asked for: what Paddler 4 does when
 * nobody changed its settings is done here.  The shape of the answer is chosen by the request:
 * see read_shape. */
#include "dialect/paddler.h"
#include "dialect/format_read.h"
#include "dialect/fields.h"

struct body {
    bool add_generation_prompt, enable_thinking, parse_tool_calls;
    const json_t *history, *tools, *grammar;
    int64_t max_tokens;
    str raw_prompt;
};

#define AT(member) offsetof(struct body, member)

static const struct field chat_fields[] = {
    {"add_generation_prompt", FIELD_BOOL, AT(add_generation_prompt), .required = true,
     .note = "reaches the template"},
    {"conversation_history", FIELD_ARRAY, AT(history), .required = true,
     .note = "text parts are joined with nothing between; images end in `ImageDecodingFailed` or "
             "`MultimodalNotSupported`"},
    {"enable_thinking", FIELD_BOOL, AT(enable_thinking), .required = true,
     .note = "reaches the template"},
    {"max_tokens", FIELD_INT, AT(max_tokens), INT32_MIN, INT32_MAX, .required = true,
     .note = "0 and less: the end message alone"},
    {"tools", FIELD_ARRAY, AT(tools), .note = "reach the template"},
    {"grammar", FIELD_ANY, AT(grammar)},
    {"parse_tool_calls", FIELD_BOOL, AT(parse_tool_calls),
     .note = "chooses the current shape by being there; true: calls are checked and told parsed"},
};

static const struct field raw_fields[] = {
    {"raw_prompt", FIELD_STR, AT(raw_prompt), .required = true,
     .note = "control tokens in it count as such"},
    {"max_tokens", FIELD_INT, AT(max_tokens), INT32_MIN, INT32_MAX, .required = true,
     .note = "0 and less: the end message alone"},
    {"grammar", FIELD_ANY, AT(grammar)},
};

static bool bad(struct err *e, const char *place, const char *what)
{
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, "invalid_type");
}

/* Conversation. */

struct part {
    str type, text;
    const json_t *image;
};

static bool refuse_image(const json_t *image, const char *place, struct err *e)
{
    struct {
        str url;
    } in = {STR("")};
    static const struct field image_fields[] = {{"url", FIELD_STR, 0, .required = true}};
    char at[128];
    snprintf(at, sizeof at, "%s.image_url.", place);
    if (!fields_read_strict(image_fields, 1, image, &in, at, e))
        return false;
    if (!str_starts(in.url, STR("data:"))) {
        err_set_at(e, ERR_INPUT, place, "remote image addresses are not fetched; send a data: URI");
        return err_kind(e, "ImageDecodingFailed");
    }
    err_set_at(e, ERR_INPUT, place, "this model takes only text");
    return err_kind(e, "MultimodalNotSupported");
}

static bool add_part(struct buf *text, const json_t *in, const char *place, struct err *e)
{
    static const struct field fields[] = {
        {"type", FIELD_STR, offsetof(struct part, type), .required = true},
        {"text", FIELD_STR, offsetof(struct part, text)},
        {"image_url", FIELD_OBJECT, offsetof(struct part, image)},
    };
    struct part part = {STR(""), {NULL, 0}, NULL};
    char at[128];
    snprintf(at, sizeof at, "%s.", place);
    if (!json_is_object(in))
        return bad(e, place, "must be an object");
    if (!fields_read_strict(fields, COUNT(fields), in, &part, at, e))
        return false;
    if (str_eqc(part.type, "image_url") && part.image && !part.text.p)
        return refuse_image(part.image, place, e);
    if (!str_eqc(part.type, "text") || !part.text.p || part.image)
        return bad(e, place, "must be a part of type 'text' or 'image_url' and nothing else");
    buf_str(text, part.text);
    return true;
}

static json_t *join_parts(const json_t *parts, const char *place, struct err *e)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    json_t *joined = NULL;
    bool ok = true;
    char at[96];
    for (size_t i = 0; ok && i < json_array_size(parts); i++) {
        snprintf(at, sizeof at, "%s[%zu]", place, i);
        ok = add_part(&text, json_array_get(parts, i), at, e);
    }
    if (ok)
        joined = json_from_str(buf_as_str(&text));
    buf_free(&text);
    return joined;
}

static json_t *read_message(const json_t *in, size_t i, struct err *e)
{
    struct message {
        str role;
        const json_t *content;
    } m = {STR(""), NULL};
    static const struct field fields[] = {
        {"role", FIELD_STR, offsetof(struct message, role), .required = true},
        {"content", FIELD_ANY, offsetof(struct message, content), .required = true},
    };
    char place[64], at[80];
    snprintf(place, sizeof place, "conversation_history[%zu]", i);
    snprintf(at, sizeof at, "%s.", place);
    if (!json_is_object(in)) {
        bad(e, place, "must be an object");
        return NULL;
    }
    if (!fields_read_strict(fields, COUNT(fields), in, &m, at, e))
        return NULL;
    snprintf(at, sizeof at, "%s.content", place);
    json_t *content = NULL;
    if (json_is_string(m.content))
        content = json_incref((json_t *)m.content);
    else if (json_is_array(m.content))
        content = join_parts(m.content, at, e);
    else
        bad(e, at, "must be a string or an array of parts");
    return content ? json_pack("{s:o s:o}", "role", json_from_str(m.role), "content", content)
                   : NULL;
}

static bool read_history(const json_t *history, struct chat_request *r, struct err *e)
{
    r->messages = json_array();
    for (size_t i = 0; i < json_array_size(history); i++) {
        json_t *m = read_message(json_array_get(history, i), i, e);
        if (!m)
            return false;
        json_array_append_new(r->messages, m);
    }
    return true;
}

/* Tools. */

struct tool {
    str type, name, description;
    const json_t *function, *parameters;
    const json_t *properties, *required, *additional;
};

#define TOOL(member) offsetof(struct tool, member)

static const struct field tool_fields[] = {
    {"type", FIELD_STR, TOOL(type), .required = true},
    {"function", FIELD_OBJECT, TOOL(function), .required = true},
};
static const struct field function_fields[] = {
    {"name", FIELD_STR, TOOL(name), .required = true},
    {"description", FIELD_STR, TOOL(description), .required = true},
    {"parameters", FIELD_ANY, TOOL(parameters)},
};
static const struct field parameter_fields[] = {
    {"type", FIELD_STR, TOOL(type), .required = true},
    {"properties", FIELD_ANY, TOOL(properties)},
    {"required", FIELD_ANY, TOOL(required)},
    {"additionalProperties", FIELD_ANY, TOOL(additional)},
};

static bool check_parameters(struct tool *t, const char *where, struct err *e)
{
    char at[96];
    const json_t *name;
    size_t i;
    snprintf(at, sizeof at, "%s.parameters", where);
    if (!json_is_object(t->parameters))
        return bad(e, at, "must be an object");
    snprintf(at, sizeof at, "%s.parameters.", where);
    if (!fields_read_strict(parameter_fields, COUNT(parameter_fields), t->parameters, t, at, e))
        return false;
    snprintf(at, sizeof at, "%s.parameters.properties", where);
    if (t->properties && !json_is_object(t->properties))
        return bad(e, at, "must be an object");
    snprintf(at, sizeof at, "%s.parameters.required", where);
    if (t->required && !json_is_array(t->required))
        return bad(e, at, "must be an array");
    json_array_foreach(t->required, i, name)
    {
        if (!json_is_string(name))
            return bad(e, at, "must hold strings");
        if (t->properties && !json_object_get(t->properties, json_string_value(name)))
            return err_set_at(e, ERR_INPUT, at, "tool %.*s requires unknown property %.80s",
                              STR_ARG(str_sub(t->name, 0, 80)), json_string_value(name));
    }
    return true;
}

/* A copy without the members that are null. */
static json_t *without_nulls(const json_t *in)
{
    json_t *out = json_object(), *v;
    const char *key;
    json_object_foreach((json_t *)in, key, v) if (!json_is_null(v)) json_object_set(out, key, v);
    return out;
}

static json_t *read_tool(const json_t *in, size_t i, struct err *e)
{
    struct tool t = {0};
    char where[32], at[64];
    snprintf(where, sizeof where, "tools[%zu]", i);
    if (!json_is_object(in)) {
        bad(e, where, "must be an object");
        return NULL;
    }
    snprintf(at, sizeof at, "%s.", where);
    if (!fields_read_strict(tool_fields, COUNT(tool_fields), in, &t, at, e))
        return NULL;
    if (!str_eqc(t.type, "function")) {
        snprintf(at, sizeof at, "%s.type", where);
        bad(e, at, "must be 'function'");
        return NULL;
    }
    snprintf(at, sizeof at, "%s.function.", where);
    if (!fields_read_strict(function_fields, COUNT(function_fields), t.function, &t, at, e))
        return NULL;
    snprintf(at, sizeof at, "%s.function", where);
    if (t.parameters && !check_parameters(&t, at, e))
        return NULL;
    json_t *function = without_nulls(t.function);
    if (t.parameters)
        json_object_set_new(function, "parameters", without_nulls(t.parameters));
    return json_pack("{s:s s:o}", "type", "function", "function", function);
}

static bool read_tools(const json_t *tools, struct chat_request *r, struct err *e)
{
    if (json_array_size(tools) == 0)
        return true;
    r->tools = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++) {
        json_t *tool = read_tool(json_array_get(tools, i), i, e);
        if (!tool)
            return false;
        json_array_append_new(r->tools, tool);
    }
    return true;
}

static bool read_grammar(const json_t *grammar, bool thinking, struct chat_request *r,
                         struct err *e)
{
    struct form {
        str type, text, root;
    } g = {STR(""), STR(""), STR("")};
    static const struct field gbnf[] = {
        {"type", FIELD_STR, offsetof(struct form, type), .required = true},
        {"grammar", FIELD_STR, offsetof(struct form, text), .required = true},
        {"root", FIELD_STR, offsetof(struct form, root), .required = true},
    };
    static const struct field schema[] = {
        {"type", FIELD_STR, offsetof(struct form, type), .required = true},
        {"schema", FIELD_STR, offsetof(struct form, text), .required = true},
    };
    if (!grammar || json_is_null(grammar))
        return true;
    const char *type = json_string_value(json_object_get(grammar, "type"));
    bool is_gbnf = type && strcmp(type, "gbnf") == 0;
    if (!is_gbnf && !(type && strcmp(type, "json_schema") == 0))
        return bad(e, "grammar", "must be an object of type 'gbnf' or 'json_schema'");
    if (!fields_read_strict(is_gbnf ? gbnf : schema, is_gbnf ? COUNT(gbnf) : COUNT(schema), grammar,
                            &g, "grammar.", e))
        return false;
    if (thinking) {
        err_set_at(e, ERR_INPUT, "grammar", "a grammar and thinking exclude each other");
        return err_kind(e, "GrammarIncompatibleWithThinking");
    }
    if (!is_gbnf)
        return format_set_schema_text(g.text, "grammar.schema", r, e) ||
               err_kind(e, "GrammarSyntaxError");
    r->format_root = arena_str(&r->arena, g.root);
    return format_set_source(CHAT_FORMAT_GRAMMAR, g.text, "grammar.grammar", r, e);
}

/* Which shape the answer has: the header X-Paddler-Wire or ?wire=, "2" for the older one and "4"
 * for the current one; else the current one for bodies that hold parse_tool_calls, a word that the
 * older one's clients do not know; else the older one. */
static bool read_shape(str wish, const json_t *body, bool parse, struct talk_order *out,
                       struct err *e)
{
    bool current = json_object_get(body, "parse_tool_calls") != NULL;
    if (wish.n) {
        if (!str_eqc(wish, "2") && !str_eqc(wish, "4"))
            return err_set_at(e, ERR_INPUT, "wire", "the wire is '2' (older) or '4' (current)");
        current = str_eqc(wish, "4");
    }
    out->wire = !current ? &paddler_wire : parse ? &paddler_parsed_wire : &paddler_current_wire;
    out->request->raw_text = !current;
    return true;
}

/* What Paddler 4 samples with unless its settings were changed. */
static void set_sampling(struct chat_request *r)
{
    r->temperature = 0.8f;
    r->top_k = 80;
    r->top_p = 0.8f;
    r->min_p = 0.05f;
    r->repetition_penalty = 1.1f;
    r->presence_penalty = 0.8f;
}

static bool finish_chat(const struct body *b, struct chat_request *r, struct err *e)
{
    r->add_generation_prompt = b->add_generation_prompt;
    r->template_args = json_pack("{s:b}", "enable_thinking", b->enable_thinking);
    return read_history(b->history, r, e) && read_tools(b->tools, r, e) &&
           read_grammar(b->grammar, b->enable_thinking, r, e);
}

static bool finish_raw(const struct body *b, struct chat_request *r, struct err *e)
{
    r->prompts = arena_calloc(&r->arena, 1, sizeof *r->prompts);
    if (r->prompts) {
        r->n_prompts = 1;
        r->prompts[0] =
            (struct chat_prompt){.text = arena_str(&r->arena, b->raw_prompt), .special = true};
    }
    return read_grammar(b->grammar, false, r, e);
}

str paddler_wish(const struct http_req *r)
{
    str wish = STR("");
    if (!http_header(r, "X-Paddler-Wire", &wish))
        http_query(r, "wire", &wish);
    return wish;
}

bool paddler_read(struct dialect *d, const json_t *body, str wish, bool chat,
                  struct talk_order *out, struct err *e)
{
    struct body b = {0};
    *out = (struct talk_order){.stream = true};
    struct chat_request *r = out->request = chat_request_new(d->conf.max_request);
    set_sampling(r);
    bool ok = (chat ? fields_read_strict(chat_fields, COUNT(chat_fields), body, &b, "", e)
                    : fields_read_strict(raw_fields, COUNT(raw_fields), body, &b, "", e)) &&
              read_shape(wish, body, b.parse_tool_calls && json_array_size(b.tools) > 0, out, e) &&
              (chat ? finish_chat(&b, r, e) : finish_raw(&b, r, e));
    r->max_tokens = (int)b.max_tokens;
    r->no_answer = b.max_tokens <= 0;
    if (ok && r->arena.full)
        ok = err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
    if (!ok) {
        chat_request_free(r);
        out->request = NULL;
    }
    return ok;
}

static bool read_body(struct dialect *d, struct http_req *r, bool chat, struct talk_order *out,
                      struct err *e)
{
    *out = (struct talk_order){0};
    json_t *body = dialect_parse_body(r, e);
    bool ok = body && paddler_read(d, body, paddler_wish(r), chat, out, e);
    json_decref(body);
    return ok;
}

static bool read_chat(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    return read_body(d, r, true, out, e);
}

static bool read_raw(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    return read_body(d, r, false, out, e);
}

static const struct route routes[] = {
    {"POST", "/api/v1/continue_from_conversation_history", "paddler.chat", &paddler_wire,
     read_chat},
    {"POST", "/api/v1/continue_from_raw_prompt", "paddler.raw", &paddler_wire, read_raw},
    {"GET", "/api/v1/inference_socket", "paddler.socket", .plain = paddler_socket_open},
};

const struct brand paddler_brand = {"paddler", routes, COUNT(routes), paddler_error};

const struct field_set paddler_chat_set = {"paddler.chat", chat_fields, COUNT(chat_fields),
                                           "400, and so are null and `4.0` for 4"};

const struct field_set paddler_raw_set = {"paddler.raw", raw_fields, COUNT(raw_fields), "400"};
