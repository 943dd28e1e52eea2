/* fuzz/http_sse_fuzz.c - event streams: in one piece and in many the same events come out, and what
 * a frame carries comes back. */
#include "http/sse.h"

#include <assert.h>

static void note(str event, str data, str id, void *arg)
{
    struct buf *out = arg;
    buf_str(out, event);
    buf_char(out, '\0');
    buf_str(out, data);
    buf_char(out, '\0');
    buf_str(out, id);
    buf_char(out, '\0');
}

static bool read_all(str text, size_t step, struct buf *out)
{
    struct http_sse_reader r;
    struct err e;
    bool ok = true;
    http_sse_reader_init(&r, 1000);
    while (ok && text.n > 0) {
        str piece = str_sub(text, 0, step);
        text = str_from(text, piece.n);
        ok = http_sse_read(&r, piece, note, out, &e);
    }
    http_sse_reader_fini(&r);
    return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    str text = {(const char *)data + 1, size - 1};
    struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20), frame = BUF_INIT(1 << 20);
    bool one = read_all(text, text.n, &a), many = read_all(text, 1 + data[0] % 16, &b);
    assert(one == many && str_eq(buf_as_str(&a), buf_as_str(&b)));

    // A frame of any data gives one event with the same lines.
    buf_clear(&a);
    assert(http_sse_frame(&frame, "e", text));
    if (read_all(buf_as_str(&frame), 7, &a)) {
        str got = buf_as_str(&a);
        assert(got.n >= 4 && memcmp(got.p, "e\0", 2) == 0);
        for (size_t i = 0, j = 2; i < text.n; i++, j++) {
            bool end = text.p[i] == '\r' || text.p[i] == '\n';
            assert(got.p[j] == (end ? '\n' : text.p[i]));
            if (text.p[i] == '\r' && i + 1 < text.n && text.p[i + 1] == '\n')
                i++;
        }
    }
    buf_free(&a);
    buf_free(&b);
    buf_free(&frame);
    return 0;
}
