/* fuzz/dialect_body_fuzz.c - request bodies: the first byte chooses the route, the rest is the
 * body. */
#include "dialect/dialect_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, struct talk_order *order, const struct err *e)
{
    if (!ok) {
        if (e->code == ERR_NONE || !e->msg[0] || order->request)
            abort();
        return;
    }
    const struct chat_request *r = order->request;
    if (r->n_choices < 1 || (!r->messages && r->n_prompts < 1))
        abort();
    for (size_t i = 0; i < r->n_stops; i++)
        if (r->stops[i].n == 0)
            abort();
    for (size_t i = 0; r->messages && i < json_array_size(r->messages); i++)
        if (!json_is_string(json_object_get(json_array_get(r->messages, i), "content")))
            abort();
    chat_request_free(order->request);
    buf_free(&order->ignored);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dialect d = {.conf = {.max_request = (size_t)1 << 20}};
    struct talk_order order = {0};
    struct err e = {0};
    if (size == 0)
        return 0;
    str body = str_n((const char *)data + 1, size - 1);
    if (data[0] & 1)
        check(openai_read_chat(&d, body, &order, &e), &order, &e);
    else
        check(openai_read_completion(&d, body, &order, &e), &order, &e);
    return 0;
}
