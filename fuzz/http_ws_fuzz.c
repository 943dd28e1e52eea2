/* fuzz/http_ws_fuzz.c - WebSocket frames: in one piece and in many the same messages come out, none
 * larger than allowed, texts in UTF-8; and what a frame carries comes back. */
#include "http/ws.h"

#include "base/utf8.h"

#include <assert.h>

#define MAX 1000

static void read_all(str bytes, size_t step, struct buf *out)
{
    struct ws_reader w;
    bool over = false;
    ws_reader_init(&w, MAX);
    while (bytes.n > 0 && !over) {
        str piece = str_sub(bytes, 0, step);
        bytes = str_from(bytes, piece.n);
        enum ws_got got;
        while (!over && (got = ws_read(&w, &piece)) != WS_MORE) {
            over = got == WS_CLOSE || got == WS_BAD;
            buf_printf(out, "%d %d ", got, over ? w.code : 0);
            if (over)
                continue;
            assert(w.data.n <= MAX);
            assert(got != WS_TEXT || utf8_valid(w.data));
            buf_str(out, w.data);
        }
        assert(over || piece.n == 0);
    }
    ws_reader_fini(&w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    str bytes = {(const char *)data + 1, size - 1};
    struct buf one = BUF_INIT(1 << 22), many = BUF_INIT(1 << 22), frame = BUF_INIT(1 << 22);
    read_all(bytes, bytes.n + 1, &one);
    read_all(bytes, 1 + data[0] % 16, &many);
    assert(str_eq(buf_as_str(&one), buf_as_str(&many)));

    // The server's frame, masked with zeros, is a client's.
    if (bytes.n <= 125 && ws_frame(&frame, 2, bytes)) {
        struct buf masked = BUF_INIT(200), got = BUF_INIT(4000), want = BUF_INIT(4000);
        buf_char(&masked, frame.p[0]);
        buf_char(&masked, (char)(frame.p[1] | 0x80));
        buf_put(&masked, "\0\0\0\0", 4);
        buf_str(&masked, str_from(buf_as_str(&frame), 2));
        read_all(buf_as_str(&masked), 3, &got);
        buf_printf(&want, "%d 0 ", WS_BINARY);
        buf_str(&want, bytes);
        assert(str_eq(buf_as_str(&got), buf_as_str(&want)));
        buf_free(&masked);
        buf_free(&got);
        buf_free(&want);
    }
    buf_free(&one);
    buf_free(&many);
    buf_free(&frame);
    return 0;
}
