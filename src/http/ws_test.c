/* http/ws_test.c - WebSocket frames, split anywhere; and a socket from its handshake to its end. */
#include "http/loopback_test.h"
#include "http/ws.h"

#include <sys/socket.h>
#include <unistd.h>

#define MASK "\x01\x02\x03\x04"

/* Appends a client's frame: the two first bytes as given, the mask 01 02 03 04. */
static void client_frame(struct buf *out, int first, str payload)
{
    buf_char(out, (char)first);
    if (payload.n < 126) {
        buf_char(out, (char)(0x80 | payload.n));
    } else {
        buf_char(out, (char)(0x80 | 126));
        buf_char(out, (char)(payload.n >> 8));
        buf_char(out, (char)payload.n);
    }
    buf_put(out, MASK, 4);
    for (size_t i = 0; i < payload.n; i++)
        buf_char(out, (char)(payload.p[i] ^ MASK[i % 4]));
}

static const char *const names[] = {[WS_TEXT] = "text", [WS_BINARY] = "binary", [WS_PING] = "ping",
                                    [WS_PONG] = "pong", [WS_CLOSE] = "close",   [WS_BAD] = "bad"};

/* What comes out of bytes given in pieces of `step`. */
static void read_all(str bytes, size_t step, size_t max, struct buf *out)
{
    struct ws_reader w;
    bool over = false;
    ws_reader_init(&w, max);
    while (bytes.n > 0 && !over) {
        str piece = str_sub(bytes, 0, step);
        bytes = str_from(bytes, piece.n);
        enum ws_got got;
        while (!over && (got = ws_read(&w, &piece)) != WS_MORE) {
            over = got == WS_CLOSE || got == WS_BAD;
            if (over)
                buf_printf(out, "%s %d;", names[got], w.code);
            else
                buf_printf(out, "%s %.*s;", names[got], STR_ARG(w.data));
        }
    }
    ws_reader_fini(&w);
}

static void check_all_splits(const struct buf *bytes, const char *want, const char *name)
{
    for (size_t step = 1; step <= bytes->n; step++) {
        struct buf out = BUF_INIT(10000);
        read_all(buf_as_str(bytes), step, 300, &out);
        check_bytes(&out, want, name);
        buf_free(&out);
    }
}

static void ws_reads_split_anywhere(void **state)
{
    static const struct {
        const char *name;
        struct {
            int first;
            const char *payload;
            size_t n;
        } frames[5]; // up to one without a payload
        const char *want;
    } cases[] = {
        {"a text", {{0x81, "Hello", 5}}, "text Hello;"},
        {"an empty one", {{0x81, "", 0}, {0x81, "x", 1}}, "text ;text x;"},
        {"binary", {{0x82, "Hello", 5}}, "binary Hello;"},
        {"in pieces", {{0x01, "He", 2}, {0x00, "", 0}, {0x80, "llo", 3}}, "text Hello;"},
        {"a character cut by frames", {{0x01, "\xc3", 1}, {0x80, "\xa4", 1}}, "text \xc3\xa4;"},
        {"control frames between pieces",
         {{0x01, "He", 2}, {0x89, "now", 3}, {0x80, "llo", 3}, {0x8a, "", 0}},
         "ping now;text Hello;pong ;"},
        {"closes",
         {{0x88,
           "\x03\xe8"
           "bye",
           5},
          {0x81, "x", 1}},
         "close 1000;"},
        {"closes without a code", {{0x88, "", 0}}, "close 1005;"},
        {"half a code", {{0x88, "\x03", 1}}, "bad 1002;"},
        {"a code nobody sends", {{0x88, "\x03\xed", 2}}, "bad 1002;"},
        {"a reason that is no text", {{0x88, "\x03\xe8\xff", 3}}, "bad 1007;"},
        {"not UTF-8", {{0x81, "\xff", 1}}, "bad 1007;"},
        {"a reserved bit", {{0xc1, "x", 1}}, "bad 1002;"},
        {"an opcode of no kind", {{0x83, "x", 1}}, "bad 1002;"},
        {"a control opcode of no kind", {{0x8b, "x", 1}}, "bad 1002;"},
        {"a control frame in pieces", {{0x09, "x", 1}}, "bad 1002;"},
        {"goes on with nothing", {{0x80, "x", 1}}, "bad 1002;"},
        {"a message within another", {{0x01, "x", 1}, {0x81, "y", 1}}, "bad 1002;"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = BUF_INIT(10000);
        for (size_t k = 0; k < 5 && cases[i].frames[k].payload; k++)
            client_frame(&bytes, cases[i].frames[k].first,
                         str_n(cases[i].frames[k].payload, cases[i].frames[k].n));
        check_all_splits(&bytes, cases[i].want, cases[i].name);
        buf_free(&bytes);
    }
}

static void ws_refuses_bad_heads(void **state)
{
    static const struct {
        const char *name, *bytes;
        size_t n;
        const char *want;
    } cases[] = {
        {"not masked", "\x81\x01x", 3, "bad 1002;"},
        {"a ping of 126", "\x89\xfe\x00\x7e" MASK, 8, "bad 1002;"},
        {"a length in too many bytes", "\x81\xfe\x00\x7d" MASK, 8, "bad 1002;"},
        {"in far too many", "\x81\xff\0\0\0\0\0\0\xff\xff" MASK, 14, "bad 1002;"},
        {"a length below zero", "\x81\xff\x80\0\0\0\0\0\0\0" MASK, 14, "bad 1002;"},
        {"larger than any", "\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" MASK, 14, "bad 1009;"},
        {"a byte too large", "\x81\xfe\x01\x2d" MASK, 8, "bad 1009;"},
        {"as large as may be", "\x81\xfe\x01\x2c" MASK, 8, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = BUF_INIT(100);
        buf_put(&bytes, cases[i].bytes, cases[i].n);
        check_all_splits(&bytes, cases[i].want, cases[i].name);
        buf_free(&bytes);
    }
}

/* The bound is of the message, whatever its pieces. */
static void ws_bounds_a_message_in_pieces(void **state)
{
    struct buf bytes = BUF_INIT(10000);
    (void)state;
    client_frame(&bytes, 0x01, STR("x"));
    for (int i = 0; i < 299; i++)
        client_frame(&bytes, 0x00, STR("x"));
    struct buf out = BUF_INIT(1000);
    read_all(buf_as_str(&bytes), bytes.n, 300, &out);
    check_bytes(&out, "", "300 bytes are fine");
    client_frame(&bytes, 0x00, STR("x"));
    read_all(buf_as_str(&bytes), bytes.n, 300, &out);
    check_bytes(&out, "bad 1009;", "one more");
    buf_free(&out);
    buf_free(&bytes);
}

static void ws_writes_frames(void **state)
{
    static char big[70000];
    static const struct {
        size_t n;
        const char *head;
        size_t n_head;
    } cases[] = {{0, "\x81\x00", 2},
                 {125, "\x81\x7d", 2},
                 {126, "\x81\x7e\x00\x7e", 4},
                 {65535, "\x81\x7e\xff\xff", 4},
                 {65536, "\x81\x7f\0\0\0\0\0\x01\0\0", 10}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out = BUF_INIT(100000), small = BUF_INIT(cases[i].n + cases[i].n_head - 1);
        assert_true(ws_frame(&out, 1, str_n(big, cases[i].n)));
        assert_int_equal(out.n, cases[i].n + cases[i].n_head);
        assert_memory_equal(out.p, cases[i].head, cases[i].n_head);
        assert_false(ws_frame(&small, 1, str_n(big, cases[i].n)));
        assert_int_equal(small.n, 0);
        buf_free(&out);
        buf_free(&small);
    }
}

static void ws_accepts_the_key_of_the_standard(void **state)
{
    char accept[WS_ACCEPT_MAX];
    (void)state;
    ws_accept(accept, STR("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#define SHAKE                                                                                      \
    "GET /ws HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"        \
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void say_frame(int fd, int first, str payload)
{
    struct buf bytes = BUF_INIT(70000);
    client_frame(&bytes, first, payload);
    assert_int_equal(send(fd, bytes.p, bytes.n, MSG_NOSIGNAL), bytes.n);
    buf_free(&bytes);
}

static void ws_repeats_what_it_hears(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    struct buf out = BUF_INIT(10000);
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    loop_say(fd, SHAKE "\r\n");
    assert_true(loop_hear(&f, fd, &out, "\r\n\r\n"));
    assert_true(str_starts(buf_as_str(&out), STR("HTTP/1.1 101 Switching Protocols\r\n")));
    assert_true(str_find(buf_as_str(&out),
                         STR("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n")) > 0);
    assert_true(str_find(buf_as_str(&out), STR("Connection: Upgrade\r\n")) > 0);
    buf_clear(&out);
    say_frame(fd, 0x81, STR("one"));
    assert_true(loop_hear(&f, fd, &out, "one"));
    check_bytes(&out, "\x81\x03one", "text");
    buf_clear(&out);
    say_frame(fd, 0x89, STR("p"));
    assert_true(loop_hear(&f, fd, &out, "p"));
    check_bytes(&out, "\x8a\x01p", "pong");
    buf_clear(&out);
    say_frame(fd, 0x88, STR("\x03\xe8"));
    assert_true(loop_hear(&f, fd, &out, NULL));
    check_bytes(&out, "\x88\x02\x03\xe8", "the close comes back");
    assert_int_equal(f.gone, 1);
    close(fd);
    loop_settle(&f);
    assert_int_equal(http_open_requests(f.server), 0);
    loop_stop(&f);
    assert_int_equal(f.gone, 1);
    buf_free(&out);
}

/* Ends of a socket: what the client sends behind the handshake, and what comes back. */
static void ws_ends(void **state)
{
    static const struct {
        const char *name;
        int first;
        str payload;
        const char *want;
        int gone;
    } cases[] = {
        {"the server closes", 0x81, STR_INIT("close"), "\x88\x02\x03\xe9", 0},
        {"too large", 0x01, {NULL, 1001}, "\x88\x02\x03\xf1", 1},
        {"no protocol", 0xf1, STR_INIT("x"), "\x88\x02\x03\xea", 1},
    };
    static char big[1001];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct loopback f;
        struct http_conf conf = loop_conf();
        struct buf out = BUF_INIT(10000);
        str payload = cases[i].payload.p ? cases[i].payload : str_n(big, sizeof big);
        loop_start(&f, &conf);
        int fd = loop_client(&f);
        loop_say(fd, SHAKE "\r\n");
        say_frame(fd, cases[i].first, payload); // at once: it waits behind the handshake
        assert_true(loop_hear(&f, fd, &out, NULL));
        str got = buf_as_str(&out);
        ptrdiff_t at = str_find(got, STR("\r\n\r\n"));
        assert_true(at > 0);
        check_str(str_from(got, (size_t)at + 4), str_c(cases[i].want), cases[i].name);
        assert_int_equal(f.gone, cases[i].gone);
        close(fd);
        loop_stop(&f);
        assert_int_equal(f.gone, cases[i].gone);
        buf_free(&out);
    }
}

static void ws_notices_a_leave(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    struct buf out = BUF_INIT(10000);
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    loop_say(fd, SHAKE "\r\n");
    assert_true(loop_hear(&f, fd, &out, "\r\n\r\n"));
    close(fd);
    loop_until(&f, &f.gone, 1);
    loop_stop(&f);
    buf_free(&out);
}

static void ws_refuses_what_is_no_handshake(void **state)
{
#define KEY     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
    static const struct {
        const char *name, *request;
        int status;
    } cases[] = {
        {"no upgrade", "GET /ws HTTP/1.1\r\n" HOST VERSION KEY, 426},
        {"another protocol",
         "GET /ws HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: h2c\r\n" VERSION KEY, 426},
        {"no word of it in Connection",
         "GET /ws HTTP/1.1\r\n" HOST "Connection: close\r\nUpgrade: websocket\r\n" VERSION KEY,
         426},
        {"a POST", "POST /ws HTTP/1.1\r\nContent-Length: 0\r\n" HOST UPGRADE VERSION KEY, 426},
        {"an old version", "GET /ws HTTP/1.1\r\n" HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n",
         426},
        {"no key", "GET /ws HTTP/1.1\r\n" HOST UPGRADE VERSION, 426},
        {"a short key", "GET /ws HTTP/1.1\r\n" HOST UPGRADE VERSION "Sec-WebSocket-Key: YQ==\r\n",
         426},
        {"another page", SHAKE "Origin: http://evil.example\r\n", 403},
        {"a page of this server", SHAKE "Origin: http://a\r\n", 101},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct loopback f;
        struct http_conf conf = loop_conf();
        struct buf out = BUF_INIT(10000);
        char want[32];
        loop_start(&f, &conf);
        int fd = loop_client(&f);
        loop_say(fd, cases[i].request);
        loop_say(fd, "\r\n");
        assert_true(loop_hear(&f, fd, &out, "\r\n\r\n"));
        snprintf(want, sizeof want, "HTTP/1.1 %d ", cases[i].status);
        check_str(str_sub(buf_as_str(&out), 0, strlen(want)), str_c(want), cases[i].name);
        close(fd);
        loop_stop(&f);
        buf_free(&out);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(ws_reads_split_anywhere),
    cmocka_unit_test(ws_refuses_bad_heads),
    cmocka_unit_test(ws_bounds_a_message_in_pieces),
    cmocka_unit_test(ws_writes_frames),
    cmocka_unit_test(ws_accepts_the_key_of_the_standard),
    cmocka_unit_test(ws_repeats_what_it_hears),
    cmocka_unit_test(ws_ends),
    cmocka_unit_test(ws_notices_a_leave),
    cmocka_unit_test(ws_refuses_what_is_no_handshake),
};
TEST_FILE(tests)
