/* fuzz/chat_request_fuzz.c - stored requests: an error, or one that is written and read again as
 * is. */
#include "chat/pack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf one = BUF_INIT(1 << 22), two = BUF_INIT(1 << 22);
    struct err e = {0};
    struct chat_request *r = chat_request_unpack(str_n((const char *)data, size), 1 << 20, &e);
    if (r) {
        if (!chat_request_pack(r, &one))
            abort();
        chat_request_free(r);
        r = chat_request_unpack(buf_as_str(&one), 1 << 22, &e);
        if (!r || !chat_request_pack(r, &two) || !str_eq(buf_as_str(&one), buf_as_str(&two)))
            abort();
        chat_request_free(r);
    } else if (e.code != ERR_FORMAT && e.code != ERR_LIMIT) {
        abort();
    }
    buf_free(&one);
    buf_free(&two);
    return 0;
}
