/* dialect/responses_items.c - the items of a Responses body as messages, and as input_items lists
 * them. Pure. */
#include "dialect/responses.h"

#define ITEMS_MAX 100000

/* What has been read of the list so far. */
struct reader {
    json_t *messages; // borrowed
    size_t first;     // messages before are not the body's own
    json_t *thinking; // text for the next answer, owned; or NULL
};

static bool bad(struct err *e, const char *place, const char *kind, const char *what)
{
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, kind);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* The text of one part of a content, or NULL. */
static const json_t *part_text(const json_t *part)
{
    static const struct {
        const char *type, *key;
    } kinds[] = {
        {"input_text", "text"},     {"output_text", "text"},  {"text", "text"},
        {"reasoning_text", "text"}, {"summary_text", "text"}, {"refusal", "refusal"},
    };
    const char *type = text_of(part, "type");
    for (size_t i = 0; type && i < COUNT(kinds); i++)
        if (strcmp(type, kinds[i].type) == 0) {
            const json_t *text = json_object_get(part, kinds[i].key);
            return json_is_string(text) ? text : NULL;
        }
    return NULL;
}

/* A content as one string: parts joined by line breaks, as in chat. */
static json_t *join(const json_t *content, const char *place, struct err *e)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    json_t *joined = NULL;
    const json_t *part;
    char at[96];
    size_t i;
    if (json_is_string(content))
        return json_incref((json_t *)content);
    if (!json_is_array(content)) {
        bad(e, place, "invalid_type", "must be a string or an array of parts");
        return NULL;
    }
    json_array_foreach(content, i, part)
    {
        const json_t *piece = part_text(part);
        const char *type = text_of(part, "type");
        snprintf(at, sizeof at, "%s[%zu]", place, i);
        if (!piece && type &&
            (strstr(type, "image") || strstr(type, "file") || strstr(type, "audio"))) {
            err_set_at(e, ERR_INPUT, at,
                       "'%s' is a part of type '%.40s'; this model takes only text", at, type);
            err_kind(e, "unsupported_value");
            goto done;
        }
        if (!piece) {
            bad(e, at, "invalid_type", "must be a part of type input_text or output_text");
            goto done;
        }
        if (i)
            buf_char(&text, '\n');
        buf_str(&text, json_as_str(piece));
    }
    joined = json_from_str(buf_as_str(&text));
done:
    buf_free(&text);
    return joined;
}

/* The answer that the next item belongs to: calls follow their text, and both their thinking. */
static json_t *open_answer(struct reader *in)
{
    size_t n = json_array_size(in->messages);
    json_t *last = n > in->first ? json_array_get(in->messages, n - 1) : NULL;
    const char *role = text_of(last, "role");
    if (!role || strcmp(role, "assistant") != 0 || in->thinking) {
        last = json_pack("{s:s s:s}", "role", "assistant", "content", "");
        json_array_append_new(in->messages, last);
    }
    if (in->thinking)
        json_object_set_new(last, "reasoning_content", in->thinking);
    in->thinking = NULL;
    return last;
}

static bool add_message(struct reader *in, const json_t *item, const char *place, struct err *e)
{
    static const struct {
        const char *name, *as;
    } roles[] = {{"user", "user"},
                 {"assistant", "assistant"},
                 {"system", "system"},
                 {"developer", "system"}};
    char at[96];
    const char *role = text_of(item, "role");
    size_t k = 0;
    while (k < COUNT(roles) && (!role || strcmp(role, roles[k].name) != 0))
        k++;
    snprintf(at, sizeof at, "%s.role", place);
    if (k == COUNT(roles))
        return bad(e, at, "unsupported_value", "must be one of user, assistant, system, developer");
    snprintf(at, sizeof at, "%s.content", place);
    json_t *content = join(json_object_get(item, "content"), at, e);
    if (!content)
        return false;
    json_t *message = json_pack("{s:s s:o}", "role", roles[k].as, "content", content);
    if (in->thinking && strcmp(roles[k].as, "assistant") == 0) {
        json_object_set_new(message, "reasoning_content", in->thinking);
        in->thinking = NULL;
    }
    return json_array_append_new(in->messages, message) == 0;
}

static bool add_call(struct reader *in, const json_t *item, const char *place, struct err *e)
{
    const json_t *id = json_object_get(item, "call_id"), *name = json_object_get(item, "name");
    const json_t *arguments = json_object_get(item, "arguments");
    struct err why;
    if (!json_is_string(id) || !json_is_string(name) || !json_is_string(arguments))
        return bad(e, place, "invalid_type", "must have the strings call_id, name and arguments");
    json_t *parsed =
        json_string_length(arguments) ? json_parse(json_as_str(arguments), &why) : json_object();
    if (!json_is_object(parsed)) {
        json_decref(parsed);
        return bad(e, place, "invalid_type", "has arguments that are not the text of an object");
    }
    json_t *answer = open_answer(in), *calls = json_object_get(answer, "tool_calls");
    if (!calls) {
        calls = json_array();
        json_object_set_new(answer, "tool_calls", calls);
    }
    return json_array_append_new(calls,
                                 json_pack("{s:O s:s s:{s:O s:o}}", "id", id, "type", "function",
                                           "function", "name", name, "arguments", parsed)) == 0;
}

/* The call of this id in any earlier message, or NULL. */
static const json_t *find_call(const json_t *messages, const char *id)
{
    const json_t *m, *call;
    size_t i, k;
    json_array_foreach(messages, i, m)
    {
        json_array_foreach(json_object_get(m, "tool_calls"), k, call)
        {
            const char *own = text_of(call, "id");
            if (own && strcmp(own, id) == 0)
                return call;
        }
    }
    return NULL;
}

static bool add_result(struct reader *in, const json_t *item, const char *place, struct err *e)
{
    char at[96];
    const char *id = text_of(item, "call_id");
    snprintf(at, sizeof at, "%s.call_id", place);
    if (!id)
        return bad(e, at, "missing_required_parameter", "is required");
    const json_t *call = find_call(in->messages, id);
    if (!call)
        return err_set_at(e, ERR_INPUT, at, "no function call with call_id '%.80s' comes before",
                          id);
    snprintf(at, sizeof at, "%s.output", place);
    json_t *output = join(json_object_get(item, "output"), at, e);
    if (!output)
        return false;
    json_t *m = json_pack("{s:s s:s s:o}", "role", "tool", "tool_call_id", id, "content", output);
    json_object_set(m, "name", json_object_get(json_object_get(call, "function"), "name"));
    return json_array_append_new(in->messages, m) == 0;
}

/* A call that a server of an earlier answer made: the call and what came of it. */
static bool add_made_call(struct reader *in, const json_t *item, const char *place, struct err *e)
{
    const json_t *id = json_object_get(item, "id"), *output = json_object_get(item, "output");
    if (!json_is_string(output))
        output = json_object_get(item, "error");
    json_t *call = json_copy((json_t *)item), *result = json_object();
    json_object_set(call, "call_id", (json_t *)id);
    json_object_set(result, "call_id", (json_t *)id);
    json_object_set_new(result, "output",
                        json_is_string(output) ? json_incref((json_t *)output) : json_string(""));
    bool ok = add_call(in, call, place, e) && add_result(in, result, place, e);
    json_decref(call);
    json_decref(result);
    return ok;
}

static bool add_thinking(struct reader *in, const json_t *item, const char *place, struct err *e)
{
    const json_t *content = json_object_get(item, "content");
    if (json_array_size(content) == 0)
        content = json_object_get(item, "summary");
    json_decref(in->thinking);
    in->thinking = NULL;
    if (json_array_size(content) == 0)
        return true; // nothing of it is known
    in->thinking = join(content, place, e);
    return in->thinking != NULL;
}

static bool add_item(struct reader *in, const json_t *item, const char *place, struct err *e)
{
    static const struct {
        const char *type;
        bool (*add)(struct reader *in, const json_t *item, const char *place, struct err *e);
    } kinds[] = {{"message", add_message},
                 {"function_call", add_call},
                 {"function_call_output", add_result},
                 {"mcp_call", add_made_call},
                 {"reasoning", add_thinking}};
    char at[96];
    const char *type = text_of(item, "type");
    if (!json_is_object(item))
        return bad(e, place, "invalid_type", "must be an object");
    if (!type && json_object_get(item, "role"))
        type = "message";
    for (size_t i = 0; type && i < COUNT(kinds); i++)
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].add(in, item, place, e);
    snprintf(at, sizeof at, "%s.type", place);
    return bad(e, at, "unsupported_value",
               "must be one of message, function_call, function_call_output, mcp_call, reasoning");
}

bool responses_turns(const json_t *input, json_t *messages, struct err *e)
{
    struct reader in = {messages, json_array_size(messages), NULL};
    const json_t *item;
    char place[48];
    bool ok = true;
    size_t i;
    if (json_is_string(input))
        return json_array_append_new(messages,
                                     json_pack("{s:s s:O}", "role", "user", "content", input)) == 0;
    if (!json_is_array(input))
        return bad(e, "input", "invalid_type", "must be a string or an array of items");
    if (json_array_size(input) > ITEMS_MAX)
        return bad(e, "input", "out_of_range", "holds too many items");
    json_array_foreach(input, i, item)
    {
        snprintf(place, sizeof place, "input[%zu]", i);
        ok = add_item(&in, item, place, e);
        if (!ok)
            break;
    }
    json_decref(in.thinking);
    return ok;
}

/* One message as input_items has it: a list of parts, a type, a status. */
static json_t *listed(const json_t *item)
{
    json_t *out = json_deep_copy(item);
    const json_t *content = json_object_get(item, "content");
    const char *type = text_of(item, "type"), *role = text_of(item, "role");
    if (!type)
        json_object_set_new(out, "type", json_string(type = "message"));
    if (json_is_string(content)) {
        bool answer = role && strcmp(role, "assistant") == 0;
        json_t *part =
            json_pack("{s:s s:O}", "type", answer ? "output_text" : "input_text", "text", content);
        if (answer)
            json_object_set_new(part, "annotations", json_array());
        json_object_set_new(out, "content", json_pack("[o]", part));
    }
    if (strcmp(type, "reasoning") != 0 && !json_object_get(out, "status"))
        json_object_set_new(out, "status", json_string("completed"));
    return out;
}

json_t *responses_items(const json_t *input)
{
    json_t *out = json_array(), *item;
    size_t i;
    if (json_is_string(input)) {
        json_t *whole = json_pack("{s:s s:O}", "role", "user", "content", input);
        json_array_append_new(out, listed(whole));
        json_decref(whole);
    }
    json_array_foreach(input, i, item) json_array_append_new(out, listed(item));
    return out;
}
