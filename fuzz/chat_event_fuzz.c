/* fuzz/chat_event_fuzz.c - stored events: an error, or one that is written and read again as is. */
#include "chat/pack.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf one = BUF_INIT(1 << 22), two = BUF_INIT(1 << 22);
    struct chat_event ev;
    struct arena a;
    struct err e = {0};
    str more;
    arena_init(&a, 1 << 20);
    if (chat_event_unpack(str_n((const char *)data, size), &a, &ev, &more, &e)) {
        struct arena b;
        arena_init(&b, 1 << 22);
        if (!chat_event_pack(&ev, more, &one) ||
            !chat_event_unpack(buf_as_str(&one), &b, &ev, &more, &e) ||
            !chat_event_pack(&ev, more, &two) || !str_eq(buf_as_str(&one), buf_as_str(&two)))
            abort();
        arena_fini(&b);
    } else if (e.code != ERR_FORMAT && e.code != ERR_LIMIT) {
        abort();
    }
    arena_fini(&a);
    buf_free(&one);
    buf_free(&two);
    return 0;
}
