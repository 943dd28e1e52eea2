/* dialect/turns.c - messages of the dialects that follow OpenAI's shape but join the parts of a
 * content with nothing between them. */
#include "dialect/dialect_int.h"

#define MESSAGES_MAX 100000

static bool bad(struct err *e, const char *place, const char *kind, const char *what)
{
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, kind);
}

static json_t *join_parts(const json_t *parts, const char *place, struct err *e)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    json_t *joined = NULL;
    const json_t *part;
    char at[96];
    size_t i;
    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *value = json_object_get(part, "text");
        snprintf(at, sizeof at, "%s[%zu]", place, i);
        if (type && strcmp(type, "text") != 0) {
            err_set_at(e, ERR_INPUT, at,
                       "'%s' is a part of type '%.40s'; this model takes only text", at, type);
            err_kind(e, "unsupported_content");
            goto done;
        }
        if (!type || !json_is_string(value)) {
            bad(e, at, "invalid_type", "must be an object of type text with a string 'text'");
            goto done;
        }
        buf_str(&text, json_as_str(value));
    }
    joined = json_from_str(buf_as_str(&text));
done:
    buf_free(&text);
    return joined;
}

static bool set_content(json_t *out, const json_t *in, bool may_lack, const char *place,
                        struct err *e)
{
    const json_t *content = json_object_get(in, "content");
    json_t *text = NULL;
    if (json_is_string(content))
        text = json_incref((json_t *)content);
    else if (json_array_size(content) > 0)
        text = join_parts(content, place, e);
    else if (may_lack && (!content || json_is_null(content) || json_is_array(content)))
        text = json_string("");
    else
        bad(e, place, content ? "invalid_type" : "missing_required_parameter",
            "must be a string or an array of at least one part");
    return text && json_object_set_new(out, "content", text) == 0;
}

static bool is_role(const char *role)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    for (size_t i = 0; i < COUNT(roles); i++)
        if (role && strcmp(role, roles[i]) == 0)
            return true;
    return false;
}

static bool fill_message(json_t *out, const json_t *in, const char *where, size_t i, struct err *e)
{
    char place[96];
    const char *role = json_string_value(json_object_get(in, "role"));
    snprintf(place, sizeof place, "%s[%zu]", where, i);
    if (!json_is_object(in))
        return bad(e, place, "invalid_type", "must be an object");
    snprintf(place, sizeof place, "%s[%zu].role", where, i);
    if (!json_object_get(in, "role"))
        return bad(e, place, "missing_required_parameter", "is required");
    if (!is_role(role))
        return bad(e, place, "unsupported_value", "must be one of system, user, assistant, tool");
    json_object_set_new(out, "role", json_string(role));

    const json_t *calls = json_object_get(in, "tool_calls");
    bool has_calls = strcmp(role, "assistant") == 0 && json_array_size(calls) > 0;
    snprintf(place, sizeof place, "%s[%zu].content", where, i);
    if (!set_content(out, in, has_calls, place, e))
        return false;
    snprintf(place, sizeof place, "%s[%zu].tool_calls", where, i);
    if (has_calls && !tools_read_calls(calls, place, out, e))
        return false;
    static const char *const texts[] = {"name", "tool_call_id", "reasoning_content"};
    for (size_t k = 0; k < COUNT(texts); k++) {
        json_t *v = json_object_get(in, texts[k]);
        if (json_is_string(v))
            json_object_set(out, texts[k], v);
    }
    return true;
}

json_t *turns_read(const json_t *messages, const char *where, struct err *e)
{
    size_t n = json_array_size(messages);
    if (n > MESSAGES_MAX) {
        bad(e, where, "out_of_range", "holds too many messages");
        return NULL;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *m = json_object();
        json_array_append_new(out, m);
        if (!fill_message(m, json_array_get(messages, i), where, i, e)) {
            json_decref(out);
            return NULL;
        }
    }
    tools_name_results(out);
    return out;
}
