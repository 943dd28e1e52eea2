/* http/ws.c - WebSocket frames, in and out. */
#include "http/ws.h"

#include "base/utf8.h"

#include <openssl/evp.h>

#define CONTROL_MAX 125

enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

void ws_reader_init(struct ws_reader *w, size_t max)
{
    *w = (struct ws_reader){.max = max, .need = 2};
    buf_init(&w->message, max);
    buf_init(&w->control, CONTROL_MAX);
}

void ws_reader_fini(struct ws_reader *w)
{
    buf_free(&w->message);
    buf_free(&w->control);
}

static enum ws_got bad(struct ws_reader *w, int code)
{
    w->code = code;
    return WS_BAD;
}

static bool is_control(int opcode)
{
    return opcode >= OP_CLOSE;
}

/* How long the head is, once its first two bytes are here. */
static size_t head_size(const uint8_t *head)
{
    int length = head[1] & 0x7f;
    return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + 4;
}

/* Checks the first two bytes. */
static bool head_is_sound(const struct ws_reader *w)
{
    int opcode = w->head[0] & 0x0f, length = w->head[1] & 0x7f;
    bool last = w->head[0] & 0x80, masked = w->head[1] & 0x80;
    if ((w->head[0] & 0x70) || !masked)
        return false;
    if (is_control(opcode))
        return opcode <= OP_PONG && last && length <= CONTROL_MAX;
    if (opcode > OP_BINARY)
        return false;
    return (opcode == OP_MORE) == (w->kind != 0); // a message is not begun within another
}

/* The head is complete: the frame begins. */
static bool begin_frame(struct ws_reader *w)
{
    int length = w->head[1] & 0x7f;
    size_t n = length == 126 ? 2 : length == 127 ? 8 : 0;
    w->left = (uint64_t)length;
    if (n > 0)
        w->left = 0;
    for (size_t i = 0; i < n; i++)
        w->left = w->left << 8 | w->head[2 + i];
    // Lengths are written in the fewest bytes.
    if ((n == 2 && w->left < 126) || (n == 8 && (w->left <= UINT16_MAX || w->left >> 63)))
        return false;
    w->opcode = w->head[0] & 0x0f;
    w->last = w->head[0] & 0x80;
    w->in_frame = true;
    w->at = 0;
    if (w->opcode == OP_TEXT || w->opcode == OP_BINARY)
        w->kind = w->opcode;
    return true;
}

/* Takes what is here of the head; WS_TEXT when it is complete. */
static enum ws_got read_head(struct ws_reader *w, str *in)
{
    while (w->n_head < w->need && in->n > 0) {
        w->head[w->n_head++] = (uint8_t)in->p[0];
        *in = str_from(*in, 1);
        if (w->n_head == 2) {
            if (!head_is_sound(w))
                return bad(w, WS_CLOSE_PROTOCOL);
            w->need = head_size(w->head);
        }
    }
    if (w->n_head < w->need)
        return WS_MORE;
    if (!begin_frame(w))
        return bad(w, WS_CLOSE_PROTOCOL);
    if (!is_control(w->opcode) && w->left > w->max - w->message.n)
        return bad(w, WS_CLOSE_TOO_BIG);
    return WS_TEXT;
}

static void read_payload(struct ws_reader *w, str *in)
{
    struct buf *to = is_control(w->opcode) ? &w->control : &w->message;
    const uint8_t *mask = w->head + w->need - 4;
    size_t n = w->left < in->n ? (size_t)w->left : in->n;
    char *out = buf_reserve(to, n); // fits: the head was checked
    for (size_t i = 0; i < n; i++)
        out[i] = (char)((uint8_t)in->p[i] ^ mask[w->at++ & 3]);
    to->n += n;
    w->left -= n;
    *in = str_from(*in, n);
}

static enum ws_got closed(struct ws_reader *w)
{
    str data = buf_as_str(&w->control);
    w->code = WS_CLOSE_NO_CODE;
    if (data.n == 1)
        return bad(w, WS_CLOSE_PROTOCOL);
    if (data.n >= 2) {
        int code = (uint8_t)data.p[0] << 8 | (uint8_t)data.p[1];
        bool known = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                     (code >= 3000 && code <= 4999);
        if (!known)
            return bad(w, WS_CLOSE_PROTOCOL);
        if (!utf8_valid(str_from(data, 2)))
            return bad(w, WS_CLOSE_TEXT);
        w->code = code;
    }
    return WS_CLOSE;
}

/* The frame is whole: what does it give? */
static enum ws_got end_frame(struct ws_reader *w)
{
    w->in_frame = false;
    w->n_head = 0;
    w->need = 2;
    if (is_control(w->opcode)) {
        w->data = buf_as_str(&w->control);
        w->given = true;
        return w->opcode == OP_CLOSE ? closed(w) : w->opcode == OP_PING ? WS_PING : WS_PONG;
    }
    if (!w->last)
        return WS_MORE;
    bool text = w->kind == OP_TEXT;
    w->kind = 0;
    w->data = buf_as_str(&w->message);
    w->given = true;
    if (text && !utf8_valid(w->data))
        return bad(w, WS_CLOSE_TEXT);
    return text ? WS_TEXT : WS_BINARY;
}

enum ws_got ws_read(struct ws_reader *w, str *in)
{
    if (w->given) { // what the last call gave is no longer needed
        if (is_control(w->opcode))
            buf_clear(&w->control);
        else
            buf_free(&w->message); // messages may be large, and the next one far away
        w->given = false;
    }
    while (in->n > 0 || (w->in_frame && w->left == 0)) {
        if (!w->in_frame) {
            enum ws_got got = read_head(w, in);
            if (got != WS_TEXT)
                return got;
        }
        read_payload(w, in);
        if (w->left > 0)
            return WS_MORE;
        enum ws_got got = end_frame(w);
        if (got != WS_MORE)
            return got;
    }
    return WS_MORE;
}

bool ws_frame(struct buf *out, int opcode, str data)
{
    uint8_t head[10] = {(uint8_t)(0x80 | opcode)};
    size_t n = 2;
    if (data.n < 126) {
        head[1] = (uint8_t)data.n;
    } else {
        int bytes = data.n <= UINT16_MAX ? 2 : 8;
        head[1] = bytes == 2 ? 126 : 127;
        for (int i = bytes; i-- > 0;)
            head[n++] = (uint8_t)((uint64_t)data.n >> (8 * i));
    }
    size_t before = out->n;
    if (buf_put(out, head, n) && buf_str(out, data))
        return true;
    out->n = before;
    return false;
}

void ws_accept(char out[WS_ACCEPT_MAX], str key)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    struct buf both = BUF_INIT(256);
    buf_str(&both, str_sub(key, 0, 128));
    buf_c(&both, magic);
    EVP_Digest(both.p, both.n, digest, &n, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, (int)n); // 28 letters and a NUL
    buf_free(&both);
}
