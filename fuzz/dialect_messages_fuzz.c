/* fuzz/dialect_messages_fuzz.c - bodies of the messages wire: the first byte chooses the brand and
 * whether to count, the rest is the body. */
#include "dialect/messages.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What templates may rely on. */
static void check(const struct chat_request *r)
{
    json_t *m;
    size_t i;
    if (json_array_size(r->messages) == 0 || r->n_choices != 1)
        abort();
    for (i = 0; i < r->n_stops; i++)
        if (r->stops[i].n == 0)
            abort();
    json_array_foreach(r->messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        if (!role || !json_is_string(json_object_get(m, "content")))
            abort();
        if (strcmp(role, "tool") == 0 && !json_is_string(json_object_get(m, "tool_call_id")))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct talk_order order;
    struct messages_more more;
    struct err e = {0};
    if (size == 0)
        return 0;
    str body = str_n((const char *)data + 1, size - 1);
    const struct manner *m = data[0] & 1 ? &anthropic_manner : &zylon_manner;
    if (!messages_read(m, NULL, (size_t)1 << 20, body, data[0] & 2, &order, &more, &e)) {
        struct buf out = BUF_INIT(ERROR_MAX);
        if (e.code == ERR_NONE || !e.msg[0] || order.request || zylon_error(&e, "r", &out) < 400)
            abort();
        json_t *v = json_parse(buf_as_str(&out), &e); // also the worst text makes a body of JSON
        if (!v)
            abort();
        json_decref(v);
        buf_free(&out);
        return 0;
    }
    check(order.request);
    chat_request_free(order.request);
    buf_free(&order.ignored);
    return 0;
}
