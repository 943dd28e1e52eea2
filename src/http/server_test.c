/* http/server_test.c - the server on a loopback port, with clients in the same thread: the loop is
 * turned while they wait, so that nothing depends on timing. */
#include "http/http.h"

#include "base/clock.h"
#include "base/mem.h"
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST     "Host: a\r\n"
#define HELD_MAX 512

struct fixture {
    struct event_base *base;
    struct http_server *server;
    int handled, gone, roomy;
    struct http_req *held[HELD_MAX]; // by /hold, /stream and /flood
    int n_held;
    struct buf log; // "METHOD path;" of each request
    bool fill;      // on_room writes on
};

static void forget(struct fixture *f, struct http_req *r)
{
    for (int i = 0; i < f->n_held; i++)
        if (f->held[i] == r)
            f->held[i] = f->held[--f->n_held];
}

static void on_gone(struct http_req *r, void *arg)
{
    struct fixture *f = arg;
    f->gone++;
    assert_true(http_path(r).n > 0); // still readable
    http_abort(r);                   // too late: nothing happens
    forget(f, r);
}

static void flood(struct http_req *r)
{
    static char block[4096];
    while (http_writable(r))
        http_write(r, str_n(block, sizeof block));
}

static void on_room(struct http_req *r, void *arg)
{
    struct fixture *f = arg;
    f->roomy++;
    if (f->fill)
        flood(r);
}

static void on_request(struct http_req *r, void *arg)
{
    struct fixture *f = arg;
    str path = http_path(r), v;
    f->handled++;
    buf_printf(&f->log, "%.*s %.*s;", STR_ARG(http_method(r)), STR_ARG(path));
    http_watch(r, on_gone, on_room, f);
    if (str_eq(path, STR("/hold")) || str_eq(path, STR("/stream")) || str_eq(path, STR("/flood"))) {
        assert_true(f->n_held < HELD_MAX);
        f->held[f->n_held++] = r;
        if (!str_eq(path, STR("/hold")))
            http_begin(r, 200, "text/event-stream");
        if (str_eq(path, STR("/flood")))
            flood(r);
    } else if (str_eq(path, STR("/two"))) {
        http_begin(r, 200, "text/plain");
        http_write(r, STR("one"));
        http_write(r, STR(""));
        http_write(r, STR("two"));
        http_end(r);
    } else if (str_eq(path, STR("/cut"))) {
        http_begin(r, 200, "text/plain");
        http_write(r, STR("half"));
        http_abort(r);
    } else if (str_eq(path, STR("/none"))) {
        http_reply(r, 204, "text/plain", STR("never sent"));
    } else if (str_eq(path, STR("/query"))) {
        http_reply(r, 200, "text/plain", http_query(r, "q", &v) ? v : STR("no"));
    } else if (str_eq(path, STR("/headers"))) {
        http_set_header(r, "X-One", "1");
        http_set_header(r, "x-one", "2");
        http_set_header(r, "X-Evil", "a\r\nSet-Cookie: b");
        http_set_header(r, "Bad Name", "a");
        http_set_header(r, "Content-Length", "999");
        http_reply(r, 200, "text/plain", http_header(r, "x-in", &v) ? v : STR("no"));
    } else {
        http_reply(r, 200, "text/plain", http_body(r));
    }
}

static void json_error(int status, const char *message, struct buf *body, void *arg)
{
    (void)arg;
    buf_printf(body, "{\"status\":%d,\"message\":\"%s\"}", status, message);
}

static struct http_conf test_conf(void)
{
    struct http_conf conf = http_conf_default();
    conf.port = 0;
    conf.max_body = 100000;
    conf.max_header = 4096;
    return conf;
}

static void start(struct fixture *f, const struct http_conf *conf)
{
    struct err e;
    *f = (struct fixture){.base = event_base_new()};
    buf_init(&f->log, 1 << 20);
    if (!http_listen(&f->server, f->base, conf, on_request, json_error, f, &e))
        fail_msg("%s", e.msg);
}

static void stop(struct fixture *f)
{
    http_close(f->server);
    event_base_free(f->base);
    buf_free(&f->log);
}

static int client(const struct fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_port(f->server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void say(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

/* Turns the loop, and waits a moment for its sockets; fails when the test takes too long. */
static void turn(struct fixture *f, uint64_t since)
{
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    poll(NULL, 0, 1);
    if (clock_mono_ms() - since > 20000)
        fail_msg("nothing came for 20 seconds; log: %s", buf_cstr(&f->log));
}

/* Turns the loop until *count has the value. */
static void until(struct fixture *f, const int *count, int value)
{
    uint64_t since = clock_mono_ms();
    while (*count < value)
        turn(f, since);
    assert_int_equal(*count, value);
}

/* Lets everything that is on its way arrive. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 20; i++) {
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        poll(NULL, 0, 1);
    }
}

/* Reads until `end` has come, or to the end of the stream for NULL.  False on a reset. */
static bool hear(struct fixture *f, int fd, struct buf *out, const char *end)
{
    uint64_t since = clock_mono_ms();
    char part[65536];
    for (;;) {
        if (end && str_find(buf_as_str(out), str_c(end)) >= 0)
            return true;
        ssize_t n = recv(fd, part, sizeof part, MSG_DONTWAIT);
        if (n > 0)
            buf_put(out, part, (size_t)n);
        else if (n == 0)
            return end == NULL;
        else if (errno != EAGAIN)
            return false;
        else
            turn(f, since);
    }
}

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
    struct fixture f;
    struct http_conf conf = test_conf();
    start(&f, &conf);
    struct buf got = BUF_INIT(1 << 20);
    int fd = client(&f);
    say(fd, request);
    assert_true(hear(&f, fd, &got, NULL));
    drop_line(&got, "Date: ");
    drop_line(&got, "Server: ");
    check_bytes(&got, want, request);
    close(fd);
    settle(&f);
    assert_int_equal(f.gone, 0);
    buf_free(&got);
    stop(&f);
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
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf got = BUF_INIT(65536);
        char want[64];
        int fd = client(&f);
        say(fd, rows[i].request);
        assert_true(hear(&f, fd, &got, NULL));
        snprintf(want, sizeof want, "HTTP/1.1 %d ", rows[i].status);
        assert_true(str_starts(buf_as_str(&got), str_c(want)));
        snprintf(want, sizeof want, "\r\n\r\n{\"status\":%d,", rows[i].status);
        assert_true(str_find(buf_as_str(&got), str_c(want)) > 0);
        assert_true(str_find(buf_as_str(&got), STR("application/json\r\n")) > 0);
        buf_free(&got);
        close(fd);
    }
    assert_int_equal(f.handled, 0);
    stop(&f);
}

/* A client that goes on sending a body that was refused still gets to read why. */
static void server_refusal_survives_an_upload(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    static char block[65536];
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    say(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\n");
    for (int i = 0; i < 64; i++) {
        assert_true(send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) > 0 ||
                    errno == EAGAIN);
        event_base_loop(f.base, EVLOOP_NONBLOCK);
    }
    struct buf got = BUF_INIT(65536);
    assert_true(hear(&f, fd, &got, "\"status\":413"));
    buf_free(&got);
    close(fd);
    stop(&f);
}

static void server_giant_head_is_431(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    struct buf text = BUF_INIT(1 << 20), got = BUF_INIT(65536);
    buf_c(&text, "GET / HTTP/1.1\r\n" HOST "X: ");
    while (text.n < 300000)
        buf_char(&text, 'x');
    int fd = client(&f);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    ssize_t sent = send(fd, text.p, text.n, MSG_NOSIGNAL);
    assert_true(sent > 4096);
    assert_true(hear(&f, fd, &got, "\"status\":431"));
    close(fd);
    buf_free(&text);
    buf_free(&got);
    stop(&f);
}

static void server_takes_a_request_byte_by_byte(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    const char *text = "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                       "5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nSum: 1\r\n\r\n";
    int fd = client(&f);
    for (const char *p = text; *p; p++) {
        assert_int_equal(send(fd, p, 1, MSG_NOSIGNAL), 1);
        event_base_loop(f.base, EVLOOP_NONBLOCK);
    }
    struct buf got = BUF_INIT(65536);
    assert_true(hear(&f, fd, &got, "\r\n\r\nhello world"));
    assert_int_equal(f.handled, 1);
    buf_free(&got);
    close(fd);
    stop(&f);
}

static void server_says_continue(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    struct buf got = BUF_INIT(65536);
    say(fd, "POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    assert_true(hear(&f, fd, &got, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(f.handled, 0);
    say(fd, "body");
    assert_true(hear(&f, fd, &got, "\r\n\r\nbody"));
    buf_free(&got);
    close(fd);
    stop(&f);
}

/* Requests in a row are answered in order, one at a time, also when the first is held. */
static void server_serialises_pipelined_requests(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    struct buf got = BUF_INIT(65536);
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST
            "Content-Length: 3\r\n\r\ntwoGET /two HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    settle(&f);
    assert_int_equal(f.handled, 1); // the others wait, and are not taken for a leave
    assert_int_equal(f.gone, 0);
    http_reply(f.held[0], 200, "text/plain", STR("first"));
    forget(&f, f.held[0]);
    assert_true(hear(&f, fd, &got, "0\r\n\r\n"));
    ptrdiff_t one = str_find(buf_as_str(&got), STR("first"));
    ptrdiff_t two = str_find(buf_as_str(&got), STR("\r\n\r\ntwo"));
    assert_true(one > 0 && two > one);
    check_bytes(&f.log, "GET /hold;POST /2;GET /two;", "order");
    assert_int_equal(http_open_requests(f.server), 0);
    buf_free(&got);
    close(fd);
    stop(&f);
}

/* However much is sent behind a held request, little is kept, and a reset is still seen.  (Through
 * a shut window the client's kernel cannot tell us of a mere close.) */
static void server_bounds_what_is_sent_ahead(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct fixture f;
        struct http_conf conf = test_conf();
        static char block[65536];
        start(&f, &conf);
        int fd = client(&f);
        say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        until(&f, &f.n_held, 1);
        memset(block, 'x', sizeof block);
        int stuck = 0;
        while (stuck < 10) { // until the receiver's window is shut
            ssize_t n = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
            stuck = n < 0 && errno == EAGAIN ? stuck + 1 : 0;
            settle(&f);
        }
        assert_int_equal(f.gone, 0);
        if (reset)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(fd);
        if (reset)
            until(&f, &f.gone, 1);
        settle(&f);
        assert_int_equal(f.gone, reset);
        stop(&f);
        assert_int_equal(f.gone, 1);
    }
}

enum leave { LEAVE_CLOSE, LEAVE_RESET, LEAVE_HALF, LEAVES };

static void leave(int fd, enum leave how)
{
    if (how == LEAVE_HALF)
        shutdown(fd, SHUT_WR);
    else if (how == LEAVE_RESET)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    if (how != LEAVE_HALF)
        close(fd);
}

static void server_notices_a_leave(void **state)
{
    static const char *requests[] = {
        "GET /hold HTTP/1.1\r\n" HOST "\r\n",                            // nothing is being sent
        "GET /stream HTTP/1.1\r\n" HOST "\r\n",                          // between two pieces
        "GET /flood HTTP/1.1\r\n" HOST "\r\n",                           // while bytes wait
        "GET /hold HTTP/1.1\r\n" HOST "\r\nGET /next HTTP/1.1\r\n" HOST, // pipelined behind
    };
    (void)state;
    for (size_t i = 0; i < COUNT(requests); i++)
        for (enum leave how = 0; how < LEAVES; how++) {
            struct fixture f;
            struct http_conf conf = test_conf();
            start(&f, &conf);
            int fd = client(&f);
            say(fd, requests[i]);
            until(&f, &f.n_held, 1);
            settle(&f);
            assert_int_equal(f.gone, 0);
            leave(fd, how);
            until(&f, &f.gone, 1);
            settle(&f);
            assert_int_equal(f.gone, 1);
            assert_int_equal(f.handled, 1);
            assert_int_equal(http_open_requests(f.server), 0);
            if (how == LEAVE_HALF)
                close(fd);
            stop(&f);
        }
}

/* Request and end of stream arrive together: answered when the answer is there at once, else gone.
 */
static void server_half_closed_clients(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int fd = client(&f);
    say(fd,
        "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhiGET /two HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(hear(&f, fd, &got, NULL));
    assert_true(str_ends(buf_as_str(&got), STR("0\r\n\r\n")));
    close(fd);
    fd = client(&f);
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    until(&f, &f.gone, 1);
    close(fd);
    buf_free(&got);
    stop(&f);
}

static void server_gone_without_a_watcher_waits_for_its_answer(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    http_watch(f.held[0], NULL, NULL, NULL);
    close(fd);
    settle(&f);
    assert_int_equal(http_open_requests(f.server), 0);
    assert_true(http_writable(f.held[0]));
    http_write(f.held[0], STR("into the void"));
    http_end(f.held[0]);
    f.n_held = 0;
    stop(&f);
}

static void server_waits_for_slow_readers(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    conf.max_unsent = 50000;
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    f.fill = true;
    say(fd, "GET /flood HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    settle(&f);
    int before = f.roomy; // while the kernel's buffers filled
    settle(&f);
    assert_int_equal(f.roomy, before);
    assert_true(before < 400); // nobody reads, so little was made: 400 times would be 10 MB

    char part[65536];
    uint64_t since = clock_mono_ms();
    size_t total = 0;
    while (f.roomy < before + 20) { // each time at least half of max_unsent was taken
        ssize_t n = recv(fd, part, sizeof part, MSG_DONTWAIT);
        total += n > 0 ? (size_t)n : 0;
        turn(&f, since);
    }
    assert_true(total > 20 * 25000);
    f.fill = false;
    struct http_req *r = f.held[0];
    forget(&f, r);
    http_end(r);
    struct buf got = BUF_INIT(64 << 20);
    assert_true(hear(&f, fd, &got, "\r\n0\r\n\r\n"));
    buf_free(&got);
    close(fd);
    stop(&f);
}

static void server_cuts_those_who_never_read(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    conf.stall_timeout_ms = 30;
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    f.fill = true;
    say(fd, "GET /flood HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    until(&f, &f.gone, 1);
    close(fd);
    stop(&f);
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
        struct fixture f;
        struct http_conf conf = test_conf();
        conf.idle_timeout_ms = conf.body_timeout_ms = 30;
        start(&f, &conf);
        struct buf got = BUF_INIT(65536);
        int fd = client(&f);
        say(fd, rows[i].sent);
        assert_true(hear(&f, fd, &got, NULL));
        check_str(str_sub(buf_as_str(&got), 0, strlen(rows[i].want)), str_c(rows[i].want),
                  rows[i].name);
        buf_free(&got);
        close(fd);
        stop(&f);
    }
}

/* One byte now and then does not keep a request alive. */
static void server_is_not_kept_by_drops(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    conf.body_timeout_ms = 60;
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int fd = client(&f);
    say(fd, "GET / HTTP/1.1\r\nX: ");
    uint64_t since = clock_mono_ms();
    while (str_find(buf_as_str(&got), STR("HTTP/1.1 408 ")) < 0) {
        char part[1024];
        send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        ssize_t n = recv(fd, part, sizeof part, MSG_DONTWAIT);
        if (n > 0)
            buf_put(&got, part, (size_t)n);
        turn(&f, since);
    }
    buf_free(&got);
    close(fd);
    stop(&f);
}

static void server_limits_connections(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    conf.max_connections = 2;
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int a = client(&f), b = client(&f);
    say(a, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    say(b, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 2);
    int c = client(&f);
    assert_true(hear(&f, c, &got, NULL));
    assert_true(str_starts(buf_as_str(&got), STR("HTTP/1.1 503 ")));
    assert_true(str_find(buf_as_str(&got), STR("Retry-After: 1\r\n")) > 0);
    close(a);
    close(c);
    until(&f, &f.gone, 1);
    c = client(&f);
    buf_clear(&got);
    say(c, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(&f, c, &got, "two\r\n0\r\n\r\n"));
    close(b);
    close(c);
    buf_free(&got);
    stop(&f);
}

/* A new client is worth more than one that says nothing. */
static void server_makes_room_by_closing_the_idle(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    conf.max_connections = 2;
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int silent = client(&f), busy = client(&f);
    say(busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    int fresh = client(&f);
    say(fresh, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(&f, fresh, &got, "two\r\n0\r\n\r\n"));
    buf_clear(&got);
    assert_true(hear(&f, silent, &got, NULL));
    check_bytes(&got, "", "silent");
    assert_int_equal(f.gone, 0);
    close(silent);
    close(busy);
    close(fresh);
    buf_free(&got);
    stop(&f);
}

/* Bodies are bounded together too, while they arrive and while they wait. */
static void server_bounds_all_bodies_together(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    conf.max_body = 60000;
    conf.max_held = 0; // room for one
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536), text = BUF_INIT(100000);
    buf_c(&text, "POST /hold HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n");
    for (int i = 0; i < 60000; i++)
        buf_char(&text, 'x');
    int a = client(&f), b = client(&f);
    say(a, buf_cstr(&text));
    until(&f, &f.n_held, 1);
    say(b, buf_cstr(&text));
    assert_true(hear(&f, b, &got, "\"status\":503"));
    close(b);
    http_reply(f.held[0], 200, "text/plain", STR("done")); // which frees its body
    forget(&f, f.held[0]);
    assert_true(hear(&f, a, &got, "done"));
    say(a, buf_cstr(&text));
    until(&f, &f.n_held, 1);
    close(a);
    until(&f, &f.gone, 1);
    a = client(&f);
    say(a, buf_cstr(&text));
    until(&f, &f.n_held, 1);
    close(a);
    buf_free(&got);
    buf_free(&text);
    stop(&f);
}

static void server_drains(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int idle = client(&f), busy = client(&f), streaming = client(&f);
    say(idle, "GET / HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(&f, idle, &got, "\r\n\r\n"));
    say(busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    say(streaming, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 2);
    assert_int_equal(http_open_requests(f.server), 2);
    http_stop_accepting(f.server);
    buf_clear(&got);
    assert_true(hear(&f, idle, &got, NULL));
    check_bytes(&got, "", "idle connection");

    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_port(f.server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&a, sizeof a), -1);
    close(late);

    http_reply(f.held[0], 200, "text/plain", STR("done"));
    assert_true(hear(&f, busy, &got, NULL));
    assert_true(str_find(buf_as_str(&got), STR("Connection: close\r\n")) > 0);
    assert_int_equal(http_open_requests(f.server), 1);
    http_end(f.held[1]);
    buf_clear(&got);
    assert_true(hear(&f, streaming, &got, NULL));
    assert_true(str_ends(buf_as_str(&got), STR("\r\n0\r\n\r\n")));
    assert_int_equal(http_open_requests(f.server), 0);
    close(idle);
    close(busy);
    close(streaming);
    buf_free(&got);
    stop(&f);
}

static void server_abort_is_seen_by_old_clients(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int fd = client(&f);
    say(fd, "GET /cut HTTP/1.0\r\n\r\n");
    assert_false(hear(&f, fd, &got, NULL)); // a reset, not an end
    buf_free(&got);
    close(fd);
    stop(&f);
}

static void server_listens_on_ipv6(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    (void)state;
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool have = probe >= 0 && bind(probe, (struct sockaddr *)&a, sizeof a) == 0;
    if (probe >= 0)
        close(probe);
    if (!have)
        skip();
    conf.host = "[::1]";
    start(&f, &conf);
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    a.sin6_port = htons((uint16_t)http_port(f.server));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    until(&f, &f.n_held, 1);
    check_str(http_peer(f.held[0]), STR("::1"), "peer");
    close(fd);
    stop(&f);
}

static void server_says_why_it_cannot_listen(void **state)
{
    struct fixture f;
    struct http_server *other;
    struct http_conf conf = test_conf();
    struct err e;
    (void)state;
    start(&f, &conf);
    conf.port = http_port(f.server);
    assert_false(http_listen(&other, f.base, &conf, on_request, NULL, NULL, &e));
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "Address already in use"));
    conf.port = 70000;
    assert_false(http_listen(&other, f.base, &conf, on_request, NULL, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    conf.port = 0;
    conf.host = "256.1.1.1.1";
    assert_false(http_listen(&other, f.base, &conf, on_request, NULL, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    stop(&f);
}

static int open_descriptors(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* Out of descriptors: the server neither spins nor stops, and takes the client once it can. */
static void server_outlives_a_lack_of_descriptors(void **state)
{
    struct fixture f;
    struct http_conf conf = test_conf();
    struct rlimit old, tight;
    (void)state;
    start(&f, &conf);
    int fd = client(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    say(fd, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    settle(&f);
    int handled = f.handled;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    struct buf got = BUF_INIT(65536);
    assert_true(hear(&f, fd, &got, "0\r\n\r\n"));
    assert_int_equal(handled, 0);
    buf_free(&got);
    close(fd);
    stop(&f);
}

/* Clients of every kind that leave at a random moment: each held request ends exactly once, no
 * descriptor stays, and the server still answers. */
static void server_survives_clients_that_leave_at_random(void **state)
{
    static const char *requests[] = {
        "GET /hold HTTP/1.1\r\n" HOST "\r\n",
        "GET /stream HTTP/1.1\r\n" HOST "\r\n",
        "GET /flood HTTP/1.1\r\n" HOST "\r\n",
        "GET /two HTTP/1.1\r\n" HOST "\r\nGET /hold HTTP/1.1\r\n" HOST "\r\n",
        "POST /stream HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789",
    };
    struct fixture f;
    struct http_conf conf = test_conf();
    uint64_t seed = 7, since = clock_mono_ms();
    int fds[200];
    (void)state;
    start(&f, &conf);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    int before = open_descriptors();
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = client(&f);
    for (size_t left = COUNT(fds); left > 0;) {
        size_t i = test_random(&seed) % left;
        str text = str_c(requests[test_random(&seed) % COUNT(requests)]);
        size_t n = test_random(&seed) % (text.n + 20); // often all of it
        send(fds[i], text.p, size_min(n, text.n), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (test_random(&seed) % 2)
            event_base_loop(f.base, EVLOOP_NONBLOCK);
        if (f.n_held > 0 && test_random(&seed) % 4 == 0) {
            struct http_req *r = f.held[test_random(&seed) % (uint64_t)f.n_held];
            forget(&f, r);
            if (str_eq(http_path(r), STR("/hold")))
                http_reply(r, 200, "text/plain", STR("ok"));
            else
                http_end(r);
        }
        if (test_random(&seed) % 3) {
            leave(fds[i], test_random(&seed) % 2 ? LEAVE_CLOSE : LEAVE_RESET);
            fds[i] = fds[--left];
        }
    }
    while (open_descriptors() > before)
        turn(&f, since);
    assert_int_equal(http_open_requests(f.server), 0);
    assert_int_equal(f.n_held, 0);
    assert_true(f.gone > 20);

    struct buf got = BUF_INIT(65536);
    int fd = client(&f);
    say(fd, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    assert_true(hear(&f, fd, &got, "0\r\n\r\n"));
    close(fd);
    buf_free(&got);
    stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(server_answers),
    cmocka_unit_test(server_refuses_with_the_callers_body),
    cmocka_unit_test(server_refusal_survives_an_upload),
    cmocka_unit_test(server_giant_head_is_431),
    cmocka_unit_test(server_takes_a_request_byte_by_byte),
    cmocka_unit_test(server_says_continue),
    cmocka_unit_test(server_serialises_pipelined_requests),
    cmocka_unit_test(server_bounds_what_is_sent_ahead),
    cmocka_unit_test(server_notices_a_leave),
    cmocka_unit_test(server_half_closed_clients),
    cmocka_unit_test(server_gone_without_a_watcher_waits_for_its_answer),
    cmocka_unit_test(server_waits_for_slow_readers),
    cmocka_unit_test(server_cuts_those_who_never_read),
    cmocka_unit_test(server_has_deadlines),
    cmocka_unit_test(server_is_not_kept_by_drops),
    cmocka_unit_test(server_limits_connections),
    cmocka_unit_test(server_makes_room_by_closing_the_idle),
    cmocka_unit_test(server_bounds_all_bodies_together),
    cmocka_unit_test(server_drains),
    cmocka_unit_test(server_abort_is_seen_by_old_clients),
    cmocka_unit_test(server_listens_on_ipv6),
    cmocka_unit_test(server_says_why_it_cannot_listen),
    cmocka_unit_test(server_outlives_a_lack_of_descriptors),
    cmocka_unit_test(server_survives_clients_that_leave_at_random),
};
TEST_FILE(tests)
