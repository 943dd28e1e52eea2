/* chat/plain_tools.c - tools for models whose template knows none: told in the system message,
 * called and answered in the notation of Hermes, in messages that every template takes. */
#include "chat/chat_int.h"

#include "json/json.h"

#define TEXT_MAX ((size_t)64 << 20)

static str member(const json_t *m, const char *name)
{
    return json_as_str(json_object_get(m, name));
}

static json_t *message(const char *role, const struct buf *content)
{
    json_t *m = json_object();
    json_object_set_new(m, "role", json_string(role));
    json_object_set_new(m, "content", json_from_str(buf_as_str(content)));
    return m;
}

static void write_tools(const json_t *tools, struct buf *out)
{
    const json_t *tool;
    size_t i;
    buf_c(out, "Tools:\n<tools>");
    json_array_foreach((json_t *)tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        buf_char(out, '\n');
        json_write(out, function ? function : tool, JSON_PYTHON, -1);
    }
    buf_c(out,
          "\n</tools>\nTo call one, write\n<tool_call>\n{\"name\": its name, \"arguments\": an "
          "object}\n</tool_call>");
}

/* What a model would have written to make these calls. */
static void write_calls(const json_t *calls, struct buf *out)
{
    const json_t *call;
    size_t i;
    json_array_foreach((json_t *)calls, i, call)
    {
        const json_t *function = json_object_get(call, "function");
        const json_t *arguments = json_object_get(function, "arguments");
        buf_c(out, out->n ? "\n<tool_call>\n{\"name\": " : "<tool_call>\n{\"name\": ");
        json_write_str(out, member(function, "name"), JSON_PYTHON);
        buf_c(out, ", \"arguments\": ");
        if (json_is_string(arguments))
            buf_str(out, json_as_str(arguments));
        else
            json_write(out, arguments, JSON_PYTHON, -1);
        buf_c(out, "}\n</tool_call>");
    }
}

static bool is_role(const json_t *m, const char *role)
{
    return str_eqc(member(m, "role"), role);
}

/* The results from message i on as one message of the user; returns how many they are. */
static size_t add_results(const json_t *messages, size_t i, json_t *out)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    size_t n = 0;
    for (; is_role(json_array_get(messages, i + n), "tool"); n++) {
        buf_c(&text, n ? "\n<tool_response>\n" : "<tool_response>\n");
        buf_str(&text, member(json_array_get(messages, i + n), "content"));
        buf_c(&text, "\n</tool_response>");
    }
    json_array_append_new(out, message("user", &text));
    buf_free(&text);
    return n;
}

static void add_called(json_t *m, json_t *out)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    json_t *copy = json_copy(m);
    buf_str(&text, member(m, "content"));
    write_calls(json_object_get(m, "tool_calls"), &text);
    json_object_set_new(copy, "content", json_from_str(buf_as_str(&text)));
    json_object_del(copy, "tool_calls");
    json_array_append_new(out, copy);
    buf_free(&text);
}

static void add_system(const json_t *first, const json_t *tools, json_t *out)
{
    struct buf text = BUF_INIT(TEXT_MAX);
    if (is_role(first, "system")) {
        buf_str(&text, member(first, "content"));
        buf_c(&text, "\n\n");
    }
    write_tools(tools, &text);
    json_array_append_new(out, message("system", &text));
    buf_free(&text);
}

json_t *chat_plain_tools(const json_t *messages, const json_t *tools)
{
    json_t *out = json_array();
    size_t i = 0, n = json_array_size(messages);
    if (json_array_size(tools) > 0) {
        add_system(json_array_get(messages, 0), tools, out);
        i += is_role(json_array_get(messages, 0), "system");
    }
    while (i < n) {
        json_t *m = json_array_get(messages, i);
        if (is_role(m, "tool")) {
            i += add_results(messages, i, out);
            continue;
        }
        if (json_array_size(json_object_get(m, "tool_calls")) > 0)
            add_called(m, out);
        else
            json_array_append(out, m);
        i++;
    }
    return out;
}
