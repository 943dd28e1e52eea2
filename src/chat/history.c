/* chat/history.c - earlier calls as a template wants them: arguments as an object or as JSON text,
 * ids of nine letters for the family that insists on them. */
#include "chat/chat_int.h"

#include "base/rng.h"
#include "json/json.h"

#define TEXT_MAX ((size_t)64 << 20)

/* Nine letters and digits stay; any other id becomes nine that depend on it alone. */
static json_t *short_id(const json_t *id)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    str text = json_as_str(id);
    char out[10] = "";
    bool fits = text.n == 9;
    uint64_t h = 0xcbf29ce484222325U;
    for (size_t i = 0; i < text.n; i++) {
        fits = fits && text.p[i] && strchr(digits, text.p[i]);
        h = (h ^ (unsigned char)text.p[i]) * 0x100000001b3U;
    }
    if (fits)
        return json_incref((json_t *)id);
    for (size_t i = 0; i < 9; i++)
        out[i] = digits[rng_at(h, i) % 62];
    return json_string(out);
}

static json_t *adapt_call(const json_t *call, bool text_arguments, bool short_ids)
{
    json_t *copy = json_copy((json_t *)call), *id = json_object_get(call, "id");
    json_t *function = json_copy(json_object_get(call, "function"));
    json_t *arguments = json_object_get(function, "arguments");
    if (short_ids && json_is_string(id))
        json_object_set_new(copy, "id", short_id(id));
    if (text_arguments && json_is_object(arguments)) {
        struct buf text = BUF_INIT(TEXT_MAX);
        json_write(&text, arguments, JSON_PYTHON, -1);
        json_object_set_new(function, "arguments", json_from_str(buf_as_str(&text)));
        buf_free(&text);
    }
    if (function)
        json_object_set_new(copy, "function", function);
    return copy;
}

static json_t *adapt_message(json_t *m, bool text_arguments, bool short_ids)
{
    json_t *calls = json_object_get(m, "tool_calls"), *id = json_object_get(m, "tool_call_id");
    json_t *copy, *list, *call;
    size_t i;
    if (json_array_size(calls) == 0 && !(short_ids && json_is_string(id)))
        return json_incref(m);
    copy = json_copy(m);
    if (short_ids && json_is_string(id))
        json_object_set_new(copy, "tool_call_id", short_id(id));
    if (json_array_size(calls) == 0)
        return copy;
    list = json_array();
    json_array_foreach(calls, i, call)
        json_array_append_new(list, adapt_call(call, text_arguments, short_ids));
    json_object_set_new(copy, "tool_calls", list);
    return copy;
}

json_t *chat_adapt_history(const json_t *messages, bool text_arguments, bool short_ids)
{
    json_t *out = json_array(), *m;
    size_t i;
    json_array_foreach((json_t *)messages, i, m)
        json_array_append_new(out, adapt_message(m, text_arguments, short_ids));
    return out;
}
