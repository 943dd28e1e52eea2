/* http/leave_test.c - clients that leave, stall and read slowly, in every state of a request. */
#include "http/loopback_test.h"

#include "base/clock.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* However much is sent behind a held request, little is kept, and a reset is still seen.  (Through
 * a shut window the client's kernel cannot tell us of a mere close.) */
static void server_bounds_what_is_sent_ahead(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct loopback f;
        struct http_conf conf = loop_conf();
        static char block[65536];
        loop_start(&f, &conf);
        int fd = loop_client(&f);
        loop_say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        loop_until(&f, &f.n_held, 1);
        memset(block, 'x', sizeof block);
        int stuck = 0;
        while (stuck < 10) { // until the receiver's window is shut
            ssize_t n = send(fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
            stuck = n < 0 && errno == EAGAIN ? stuck + 1 : 0;
            loop_settle(&f);
        }
        assert_int_equal(f.gone, 0);
        if (reset)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
        close(fd);
        if (reset)
            loop_until(&f, &f.gone, 1);
        loop_settle(&f);
        assert_int_equal(f.gone, reset);
        loop_stop(&f);
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
            struct loopback f;
            struct http_conf conf = loop_conf();
            loop_start(&f, &conf);
            int fd = loop_client(&f);
            loop_say(fd, requests[i]);
            loop_until(&f, &f.n_held, 1);
            loop_settle(&f);
            assert_int_equal(f.gone, 0);
            leave(fd, how);
            loop_until(&f, &f.gone, 1);
            loop_settle(&f);
            assert_int_equal(f.gone, 1);
            assert_int_equal(f.handled, 1);
            assert_int_equal(http_open_requests(f.server), 0);
            if (how == LEAVE_HALF)
                close(fd);
            loop_stop(&f);
        }
}

/* Request and end of stream arrive together: answered when the answer is there at once, else gone.
 */
static void server_half_closed_clients(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int fd = loop_client(&f);
    loop_say(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhiGET /two HTTP/1.1\r\n" HOST
                 "\r\n");
    shutdown(fd, SHUT_WR);
    assert_true(loop_hear(&f, fd, &got, NULL));
    assert_true(str_ends(buf_as_str(&got), STR("0\r\n\r\n")));
    close(fd);
    fd = loop_client(&f);
    loop_say(fd, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    shutdown(fd, SHUT_WR);
    loop_until(&f, &f.gone, 1);
    close(fd);
    buf_free(&got);
    loop_stop(&f);
}

static void server_gone_without_a_watcher_waits_for_its_answer(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    loop_say(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    http_watch(f.held[0], NULL, NULL, NULL);
    close(fd);
    loop_settle(&f);
    assert_int_equal(http_open_requests(f.server), 0);
    assert_true(http_writable(f.held[0]));
    http_write(f.held[0], STR("into the void"));
    http_end(f.held[0]);
    f.n_held = 0;
    loop_stop(&f);
}

static void server_waits_for_slow_readers(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    conf.max_unsent = 50000;
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    f.fill = true;
    loop_say(fd, "GET /flood HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    loop_settle(&f);
    int before = f.roomy; // while the kernel's buffers filled
    loop_settle(&f);
    assert_int_equal(f.roomy, before);
    assert_true(before < 400); // nobody reads, so little was made: 400 times would be 10 MB

    char part[65536];
    uint64_t since = clock_mono_ms();
    size_t total = 0;
    while (f.roomy < before + 20) { // each time at least half of max_unsent was taken
        ssize_t n = recv(fd, part, sizeof part, MSG_DONTWAIT);
        total += n > 0 ? (size_t)n : 0;
        loop_turn(&f, since);
    }
    assert_true(total > 20 * 25000);
    f.fill = false;
    struct http_req *r = f.held[0];
    loop_forget(&f, r);
    http_end(r);
    struct buf got = BUF_INIT(64 << 20);
    assert_true(loop_hear(&f, fd, &got, "\r\n0\r\n\r\n"));
    buf_free(&got);
    close(fd);
    loop_stop(&f);
}

static void server_cuts_those_who_never_read(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    conf.stall_timeout_ms = 30;
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    f.fill = true;
    loop_say(fd, "GET /flood HTTP/1.1\r\n" HOST "\r\n");
    loop_until(&f, &f.n_held, 1);
    loop_until(&f, &f.gone, 1);
    close(fd);
    loop_stop(&f);
}

static void server_abort_is_seen_by_old_clients(void **state)
{
    struct loopback f;
    struct http_conf conf = loop_conf();
    (void)state;
    loop_start(&f, &conf);
    struct buf got = BUF_INIT(65536);
    int fd = loop_client(&f);
    loop_say(fd, "GET /cut HTTP/1.0\r\n\r\n");
    assert_false(loop_hear(&f, fd, &got, NULL)); // a reset, not an end
    buf_free(&got);
    close(fd);
    loop_stop(&f);
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
    struct loopback f;
    struct http_conf conf = loop_conf();
    struct rlimit old, tight;
    (void)state;
    loop_start(&f, &conf);
    int fd = loop_client(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    tight = old;
    tight.rlim_cur = (rlim_t)fd + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    loop_say(fd, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    loop_settle(&f);
    int handled = f.handled;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    struct buf got = BUF_INIT(65536);
    assert_true(loop_hear(&f, fd, &got, "0\r\n\r\n"));
    assert_int_equal(handled, 0);
    buf_free(&got);
    close(fd);
    loop_stop(&f);
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
    struct loopback f;
    struct http_conf conf = loop_conf();
    uint64_t seed = 7, since = clock_mono_ms();
    int fds[200];
    (void)state;
    loop_start(&f, &conf);
    event_base_loop(f.base, EVLOOP_NONBLOCK);
    int before = open_descriptors();
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = loop_client(&f);
    for (size_t left = COUNT(fds); left > 0;) {
        size_t i = test_random(&seed) % left;
        str text = str_c(requests[test_random(&seed) % COUNT(requests)]);
        size_t n = test_random(&seed) % (text.n + 20); // often all of it
        send(fds[i], text.p, size_min(n, text.n), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (test_random(&seed) % 2)
            event_base_loop(f.base, EVLOOP_NONBLOCK);
        if (f.n_held > 0 && test_random(&seed) % 4 == 0) {
            struct http_req *r = f.held[test_random(&seed) % (uint64_t)f.n_held];
            loop_forget(&f, r);
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
        loop_turn(&f, since);
    assert_int_equal(http_open_requests(f.server), 0);
    assert_int_equal(f.n_held, 0);
    assert_true(f.gone > 20);

    struct buf got = BUF_INIT(65536);
    int fd = loop_client(&f);
    loop_say(fd, "GET /two HTTP/1.1\r\n" HOST "\r\n");
    assert_true(loop_hear(&f, fd, &got, "0\r\n\r\n"));
    close(fd);
    buf_free(&got);
    loop_stop(&f);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(server_bounds_what_is_sent_ahead),
    cmocka_unit_test(server_notices_a_leave),
    cmocka_unit_test(server_half_closed_clients),
    cmocka_unit_test(server_gone_without_a_watcher_waits_for_its_answer),
    cmocka_unit_test(server_waits_for_slow_readers),
    cmocka_unit_test(server_cuts_those_who_never_read),
    cmocka_unit_test(server_abort_is_seen_by_old_clients),
    cmocka_unit_test(server_outlives_a_lack_of_descriptors),
    cmocka_unit_test(server_survives_clients_that_leave_at_random),
};
TEST_FILE(tests)
