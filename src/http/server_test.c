/* http/server_test.c - what the server answers, refuses and bounds. */
#include "http/loopback_test.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

static void drop_line(struct buf *b, const char *name)
{
    for (ptrdiff_t at; (at = str_find(buf_as_str(b), str_c(name))) >= 0;) {
        ptrdiff_t n = str_find(str_from(buf_as_str(b), (size_t)at), STR("\r\n"));
        size_t end = (size_t)at + (size_t)n + 2;
        memmove(b->p + at, b->p + end, b->n - end);
        b->n -= end - (size_t)at;
    }
}

/* One request on a connection of its own that is closed by the server. */
static void check_talk(const char *request, const char *want)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(1 << 20);
    int fd = loop_client(&f);
    loop_say(fd, request);
    assert_true(loop_hear(&f, fd, &got, NULL));
    drop_line(&got, "Date: ");
    drop_line(&got, "Server: ");
    check_bytes(&got, want, request);
    close(fd);
    loop_settle(&f);
    assert_int_equal(f.gone, 0);
    buf_free(&got);
    loop_stop(&f);
}

#define CLOSE "Connection: close\r\n"
#define PLAIN "Content-Type: text/plain\r\n"

static void server_answers(void **state)
{
    static const struct {
        const char *request, *want;
    } rows[] = {
        {"POST / HTTP/1.1\r\n" HOST CLOSE "Content-Length: 2\r\n\r\nhi",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 2\r\n" CLOSE "\r\nhi"},
        {"GET / HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 0\r\n" CLOSE "\r\n"},
        {"HEAD /two HTTP/1.1\r\n" HOST CLOSE "\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Transfer-Encoding: chunked\r\n" CLOSE "\r\n"},
        {"HEAD / HTTP/1.1\r\n" HOST CLOSE "Content-Length: 2\r\n\r\nhi",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 2\r\n" CLOSE "\r\n"},
        {"GET /two HTTP/1.1\r\n" HOST CLOSE "\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Transfer-Encoding: chunked\r\n" CLOSE
         "\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"},
        {"GET /two HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN CLOSE "\r\nonetwo"},
        {"GET /cut HTTP/1.1\r\n" HOST "\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"},
        {"GET /none HTTP/1.1\r\n" HOST CLOSE "\r\n", "HTTP/1.1 204 No Content\r\n" CLOSE "\r\n"},
        {"GET /query?a=1&q=x+%26%20y&q=z HTTP/1.1\r\n" HOST CLOSE "\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 5\r\n" CLOSE "\r\nx & y"},
        {"GET /query?q HTTP/1.1\r\n" HOST CLOSE "\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 0\r\n" CLOSE "\r\n"},
        {"GET /query?Q=1 HTTP/1.1\r\n" HOST CLOSE "\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 2\r\n" CLOSE "\r\nno"},
        {"GET /headers HTTP/1.1\r\n" HOST CLOSE "X-In: yes\r\n\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 3\r\n" CLOSE "x-one: 2\r\n\r\nyes"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 0\r\nConnection: keep-alive\r\n\r\n"
         "HTTP/1.1 200 OK\r\n" PLAIN "Content-Length: 0\r\n" CLOSE "\r\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_talk(rows[i].request, rows[i].want);
}

static void server_refuses_with_the_callers_body(void **state)
{
    static const struct {
        const char *request;
        int status;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 100001\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n", 413},
        {"POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"POST / HTTP/1.1\r\n" HOST "Expect: tea\r\n\r\n", 417},
        {"POST / HTTP/1.1\r\n" HOST "Content-Encoding: br\r\n\r\n", 415},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: br\r\n\r\n", 501},
        {"GET / HTTP/3.0\r\n" HOST "\r\n", 505},
        {"\x16\x03\x01 hello from TLS", 400},
    };
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf got = BUF_INIT(65536);
        char want[64];
        int fd = loop_client(&f);
        loop_say(fd, rows[i].request);
        assert_true(loop_hear(&f, fd, &got, NULL));
        snprintf(want, sizeof want, "HTTP/1.1 %d ", rows[i].status);
        assert_true(str_starts(buf_as_str(&got), str_c(want)));
        snprintf(want, sizeof want, "\r\n\r\n{\"status\":%d,", rows[i].status);
        assert_true(str_find(buf_as_str(&got), str_c(want)) > 0);
        assert_true(str_find(buf_as_str(&got), STR("application/json\r\n")) > 0);
        buf_free(&got);
        close(fd);
    }
    assert_int_equal(f.handled, 0);
    loop_stop(&f);
}

/* A client that goes on sending a body that was refused still gets to read why. */
static void server_refusal_survives_an_upload(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    static char block[65536];
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    loop_say(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 64; i++) {
        assert_true(send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) > 0 ||
                    errno == EAGAIN);
        event_base_loop(f.base, EVLOOP_NONBLOCK);
    }
    struct buf got = BUF_INIT(65536);
    assert_true(loop_hear(&f, fd, &got, "\"status\":413"));
    buf_free(&got);
    close(fd);
    loop_stop(&f);
}

static void server_giant_head_is_431(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    struct buf text = BUF_INIT(1 << 20), got = BUF_INIT(65536);
    buf_c(&text, "GET / HTTP/1.1\r\n" HOST "X: ");
    while (text.n < 300000)
        buf_char(&text, 'x');
    int fd = loop_client(&f);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t sent = send(fd, text.p, text.n, MSG_NOSIGNAL);
    assert_true(sent > 4096);
    assert_true(loop_hear(&f, fd, &got, "\"status\":431"));
    close(fd);
    buf_free(&text);
    buf_free(&got);
    loop_stop(&f);
}

static void server_takes_a_request_byte_by_byte(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    const char *text = "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nSum: 1\r\n\r\n";
    int fd = loop_client(&f);
    for (const char *p = text; *p; p++) {
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
        event_base_loop(f.base, EVLOOP_NONBLOCK);
    }
    struct buf got = BUF_INIT(65536);
    assert_true(loop_hear(&f, fd, &got, "\r\n\r\nhello world"));
    assert_int_equal(f.handled, 1);
    buf_free(&got);
    close(fd);
    loop_stop(&f);
}

static void server_says_continue(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    struct buf got = BUF_INIT(65536);
    loop_say(fd, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_true(loop_hear(&f, fd, &got, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(f.handled, 0);
    loop_say(fd, "body");
    assert_true(loop_hear(&f, fd, &got, "\r\n\r\nbody"));
    buf_free(&got);
    close(fd);
    loop_stop(&f);
}

/* Requests in a row are answered in order, one at a time, also when the first is held. */
static void server_serialises_pipelined_requests(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    struct buf got = BUF_INIT(65536);
    loop_say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
                 "Content-Length: 3\r\n\r\ntwoGET /two HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    loop_settle(&f);
    assert_int_equal(f.handled, 1); // the others wait, and are not taken for a leave
    assert_int_equal(f.gone, 0);
    http_reply(f.held[0], 200, "text/plain", STR("first"));
    loop_forget(&f, f.held[0]);
    assert_true(loop_hear(&f, fd, &got, "0\r\n\r\n"));
    ptrdiff_t one = str_find(buf_as_str(&got), STR("first"));
    ptrdiff_t two = str_find(buf_as_str(&got), STR("\r\n\r\ntwo"));
    assert_true(one > 0 && two > one);
    check_bytes(&f.log, "GET /hold;POST /2;GET /two;", "order");
    assert_int_equal(http_open_requests(f.server), 0);
    buf_free(&got);
    close(fd);
    loop_stop(&f);
}

static void server_has_deadlines(void **state)
{
    static const struct {
        const char *name, *sent, *want;
    } rows[] = {
        {"nothing is sent", "", ""},
        {"between requests", "GET / HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 "},
        {"head stays open", "GET / HTTP/1.1\r\n", "HTTP/1.1 408 "},
        {"body stays open", "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nx",
         "HTTP/1.1 408 "},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct loopback f;
        struct http_conf conf = loop_conf();
        conf.idle_timeout_ms = conf.body_timeout_ms = 30;
        loop_start(&f, &conf);
        struct buf got = BUF_INIT(65536);
        int fd = loop_client(&f);
        loop_say(fd, rows[i].sent);
        assert_true(loop_hear(&f, fd, &got, NULL));
        check_str(str_sub(buf_as_str(&got), 0, strlen(rows[i].want)), str_c(rows[i].want),
                  rows[i].name);
        buf_free(&got);
        close(fd);
        loop_stop(&f);
    }
}

/* One byte now and then does not keep a request alive. */
static void server_is_not_kept_by_drops(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    conf.body_timeout_ms = 60;
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int fd = loop_client(&f);
    loop_say(fd, "GET / HTTP/1.1\r\nX: ");
    uint64_t since = clock_mono_ms();
    while (str_find(buf_as_str(&got), STR("HTTP/1.1 408 ")) < 0) {
        char part[1024];
        send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        ssize_t n = recv(fd, part, sizeof part, MSG_DONTWAIT);
        if (n > 0)
            buf_put(&got, part, (size_t)n);
        loop_turn(&f, since);
    }
    buf_free(&got);
    close(fd);
    loop_stop(&f);
}

static void server_limits_connections(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    conf.max_connections = 2;
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int a = loop_client(&f), b = loop_client(&f);
    loop_say(a, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_say(b, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 2);
    int c = loop_client(&f);
    assert_true(loop_hear(&f, c, &got, NULL));
    assert_true(str_starts(buf_as_str(&got), STR("HTTP/1.1 503 ")));
    assert_true(str_find(buf_as_str(&got), STR("Retry-After: 1\r\n")) > 0);
    close(a);
    close(c);
    loop_until(&f, &f.gone, 1);
    c = loop_client(&f);
    buf_clear(&got);
    loop_say(c, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    assert_true(loop_hear(&f, c, &got, "two\r\n0\r\n\r\n"));
    close(b);
    close(c);
    buf_free(&got);
    loop_stop(&f);
}

/* A new client is worth more than one that says nothing. */
static void server_makes_room_by_closing_the_idle(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    conf.max_connections = 2;
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int silent = loop_client(&f), busy = loop_client(&f);
    loop_say(busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    int fresh = loop_client(&f);
    loop_say(fresh, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    assert_true(loop_hear(&f, fresh, &got, "two\r\n0\r\n\r\n"));
    buf_clear(&got);
    assert_true(loop_hear(&f, silent, &got, NULL));
    check_bytes(&got, "", "silent");
    assert_int_equal(f.gone, 0);
    close(silent);
    close(busy);
    close(fresh);
    buf_free(&got);
    loop_stop(&f);
}

/* Bodies are bounded together too, while they arrive and while they wait. */
static void server_bounds_all_bodies_together(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    conf.max_body = 60000;
    conf.max_held = 0; // room for one
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536), text = BUF_INIT(100000);
    buf_c(&text, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    for (int i = 0; i < 60000; i++)
        buf_char(&text, 'x');
    int a = loop_client(&f), b = loop_client(&f);
    loop_say(a, buf_cstr(&text));
    loop_until(&f, &f.n_held, 1);
    loop_say(b, buf_cstr(&text));
    assert_true(loop_hear(&f, b, &got, "\"status\":503"));
    close(b);
    http_reply(f.held[0], 200, "text/plain", STR("done")); // which frees its body
    loop_forget(&f, f.held[0]);
    assert_true(loop_hear(&f, a, &got, "done"));
    loop_say(a, buf_cstr(&text));
    loop_until(&f, &f.n_held, 1);
    close(a);
    loop_until(&f, &f.gone, 1);
    a = loop_client(&f);
    loop_say(a, buf_cstr(&text));
    loop_until(&f, &f.n_held, 1);
    close(a);
    buf_free(&got);
    buf_free(&text);
    loop_stop(&f);
}

static void server_drains(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int idle = loop_client(&f), busy = loop_client(&f), streaming = loop_client(&f);
    loop_say(idle, "GET / HTTP/1.1\r\n" HOST "\r\n");
    assert_true(loop_hear(&f, idle, &got, "\r\n\r\n"));
    loop_say(busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    loop_say(streaming, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 2);
    assert_int_equal(http_open_requests(f.server), 2);
    http_stop_accepting(f.server);
    buf_clear(&got);
    assert_true(loop_hear(&f, idle, &got, NULL));
    check_bytes(&got, "", "idle connection");

    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_port(f.server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&a, sizeof a), -1);
    close(late);

    http_reply(f.held[0], 200, "text/plain", STR("done"));
    assert_true(loop_hear(&f, busy, &got, NULL));
    assert_true(str_find(buf_as_str(&got), STR("Connection: close\r\n")) > 0);
    assert_int_equal(http_open_requests(f.server), 1);
    http_end(f.held[1]);
    buf_clear(&got);
    assert_true(loop_hear(&f, streaming, &got, NULL));
    assert_true(str_ends(buf_as_str(&got), STR("\r\n0\r\n\r\n")));
    assert_int_equal(http_open_requests(f.server), 0);
    close(idle);
    close(busy);
    close(streaming);
    buf_free(&got);
    loop_stop(&f);
}

static void server_listens_on_ipv6(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool have = probe >= 0 && bind(probe, (struct sockaddr *)&a, sizeof a) == 0;
    if (probe >= 0)
        close(probe);
    if (!have)
        skip();
    conf.host = "[::1]";
    loop_start(&f, &conf);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin6_port = htons((uint16_t)http_port(f.server));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    loop_say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    check_str(http_peer(f.held[0]), STR("::1"), "peer");
    close(fd);
    loop_stop(&f);
}

static void never(struct http_req *r, void *arg)
{
    (void)r;
    (void)arg;
    fail();
}

static void server_says_why_it_cannot_listen(void **state)
{
    struct loopback f;
    struct http_server *other;
    struct http_conf conf = loop_conf();
    struct err e;
    (void)state;
    loop_start(&f, &conf);
    conf.port = http_port(f.server);
    assert_false(http_listen(&other, f.base, &conf, never, NULL, NULL, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "Address already in use"));
    conf.port = 70000;
    assert_false(http_listen(&other, f.base, &conf, never, NULL, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    conf.port = 0;
    conf.host = "256.1.1.1.1";
    assert_false(http_listen(&other, f.base, &conf, never, NULL, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    loop_stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(server_answers),
    cmocka_unit_test(server_refuses_with_the_callers_body),
    cmocka_unit_test(server_refusal_survives_an_upload),
    cmocka_unit_test(server_giant_head_is_431),
    cmocka_unit_test(server_takes_a_request_byte_by_byte),
    cmocka_unit_test(server_says_continue),
    cmocka_unit_test(server_serialises_pipelined_requests),
    cmocka_unit_test(server_has_deadlines),
    cmocka_unit_test(server_is_not_kept_by_drops),
    cmocka_unit_test(server_limits_connections),
    cmocka_unit_test(server_makes_room_by_closing_the_idle),
    cmocka_unit_test(server_bounds_all_bodies_together),
    cmocka_unit_test(server_drains),
    cmocka_unit_test(server_listens_on_ipv6),
    cmocka_unit_test(server_says_why_it_cannot_listen),
};
TEST_FILE(tests)
