/* http/client_test.c - outgoing calls and downloads, against our own server in a thread of its own.
 */
#include "http/client.h"
#include "http/download.h"
#include "http/http.h"

#include "base/file.h"
#include "test.h"

#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_SIZE 300000

struct hub {
    struct event_base *base;
    struct http_server *server;
    pthread_t thread;
    char file[FILE_SIZE];
    int port;
    _Atomic int cuts;     // how many answers to /file are cut after 100000 bytes
    _Atomic int busy;     // how many are 503
    _Atomic bool ranges;  // does it do them
    _Atomic int requests; // to /file
};

static void send_file(struct hub *h, struct http_req *r)
{
    str v;
    uint64_t from = 0;
    char range[64];
    h->requests++;
    if (h->busy > 0) {
        h->busy--;
        http_set_header(r, "Retry-After", "0");
        http_reply(r, 503, "text/plain", STR("later"));
        return;
    }
    if (h->ranges && http_header(r, "Range", &v))
        assert_true(str_to_u64(str_sub(v, 6, v.n - 7), &from));
    if (from >= FILE_SIZE) {
        http_reply(r, 416, "text/plain", STR(""));
        return;
    }
    snprintf(range, sizeof range, "bytes %" PRIu64 "-%d/%d", from, FILE_SIZE - 1, FILE_SIZE);
    if (from > 0)
        http_set_header(r, "Content-Range", range);
    str rest = {h->file + from, FILE_SIZE - from};
    if (h->cuts > 0) {
        h->cuts--;
        http_begin(r, from ? 206 : 200, "application/octet-stream");
        http_write(r, str_sub(rest, 0, 100000));
        http_abort(r);
        return;
    }
    http_reply(r, from ? 206 : 200, "application/octet-stream", rest);
}

static void on_gone(struct http_req *r, void *arg)
{
    (void)r;
    (void)arg;
}

static void on_request(struct http_req *r, void *arg)
{
    struct hub *h = arg;
    str path = http_path(r), v;
    if (str_eq(path, STR("/quit"))) {
        event_base_loopexit(h->base, NULL);
        http_reply(r, 204, NULL, STR(""));
    } else if (str_eq(path, STR("/file"))) {
        send_file(h, r);
    } else if (str_eq(path, STR("/echo"))) {
        http_set_header(r, "X-Method", http_method(r).n == 4 ? "POST" : "GET");
        if (http_header(r, "X-In", &v))
            http_set_header(r, "X-Out", "seen");
        http_reply(r, 200, "text/plain", http_body(r));
    } else if (str_eq(path, STR("/loop"))) {
        http_set_header(r, "Location", "/loop");
        http_reply(r, 302, "text/plain", STR("again"));
    } else if (str_eq(path, STR("/once"))) {
        http_set_header(r, "Location", "/echo");
        http_set_header(r, "X-Old", "1");
        http_reply(r, 302, "text/plain", STR("there"));
    } else if (str_eq(path, STR("/elsewhere"))) {
        http_set_header(r, "Location", "file:///etc/passwd");
        http_reply(r, 302, "text/plain", STR(""));
    } else if (str_eq(path, STR("/cut"))) {
        http_begin(r, 200, "text/plain");
        http_write(r, STR("half"));
        http_abort(r);
    } else if (str_eq(path, STR("/hold"))) {
        http_watch(r, on_gone, NULL, NULL);
        http_begin(r, 200, "text/plain");
    } else {
        http_reply(r, 404, "text/plain", STR("no such thing"));
    }
}

static void *serve(void *arg)
{
    struct hub *h = arg;
    event_base_dispatch(h->base);
    http_close(h->server);
    event_base_free(h->base);
    return NULL;
}

static const char *url(const struct hub *h, const char *path)
{
    static char text[128];
    snprintf(text, sizeof text, "http://127.0.0.1:%d%s", h->port, path);
    return text;
}

static void start(struct hub *h)
{
    struct http_conf conf = http_conf_default();
    struct err e;
    uint64_t seed = 5;
    *h = (struct hub){.base = event_base_new(), .ranges = true};
    for (int i = 0; i < FILE_SIZE; i++)
        h->file[i] = (char)test_random(&seed);
    conf.port = 0;
    assert_true(http_listen(&h->server, h->base, &conf, on_request, NULL, h, &e));
    h->port = http_port(h->server);
    assert_int_equal(pthread_create(&h->thread, NULL, serve, h), 0);
}

static void stop(struct hub *h)
{
    struct http_call c = {.url = url(h, "/quit")};
    struct http_result res;
    struct err e;
    assert_true(http_call(&c, &res, &e));
    http_result_fini(&res);
    pthread_join(h->thread, NULL);
}

static void client_gets_and_posts(void **state)
{
    static const char *const headers[] = {"X-In: 1", NULL};
    struct hub *h = malloc(sizeof *h);
    struct buf out = BUF_INIT(1000);
    struct http_result res;
    struct err e;
    str v;
    (void)state;
    start(h);
    struct http_call c = {
        .url = url(h, "/echo"), .headers = headers, .body = STR("hello"), .out = &out};
    assert_true(http_call(&c, &res, &e));
    assert_int_equal(res.status, 200);
    check_bytes(&out, "hello", "body");
    assert_true(http_result_header(&res, "x-method", &v) && str_eq(v, STR("POST")));
    assert_true(http_result_header(&res, "X-Out", &v) && str_eq(v, STR("seen")));
    http_result_fini(&res);

    buf_clear(&out);
    c = (struct http_call){.url = url(h, "/nothing"), .out = &out};
    assert_true(http_call(&c, &res, &e)); // an answer is an answer
    assert_int_equal(res.status, 404);
    check_bytes(&out, "no such thing", "body of an error");
    http_result_fini(&res);

    buf_clear(&out);
    c = (struct http_call){.url = url(h, "/once"), .out = &out};
    assert_true(http_call(&c, &res, &e));
    assert_int_equal(res.status, 200);
    assert_false(http_result_header(&res, "X-Old", &v)); // only the final answer's
    assert_true(http_result_header(&res, "X-Method", &v));
    http_result_fini(&res);
    buf_free(&out);
    stop(h);
    free(h);
}

static bool say_no(void *arg)
{
    (void)arg;
    return false;
}

static void client_errors_name_their_cause(void **state)
{
    struct hub *h = malloc(sizeof *h);
    (void)state;
    start(h);
    static const struct {
        const char *path;
        size_t max;
        int timeout_ms;
        bool (*on_tick)(void *arg);
        enum err_code want;
    } rows[] = {
        {"/loop", 100, 0, NULL, ERR_IO},       {"/elsewhere", 100, 0, NULL, ERR_INPUT},
        {"/cut", 100, 0, NULL, ERR_IO},        {"/file", 100, 0, NULL, ERR_LIMIT},
        {"/hold", 100, 50, NULL, ERR_TIMEOUT}, {"/hold", 100, 0, say_no, ERR_CANCELED},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(rows[i].max);
        struct http_call c = {.url = url(h, rows[i].path),
                              .out = &out,
                              .timeout_ms = rows[i].timeout_ms,
                              .on_tick = rows[i].on_tick};
        struct http_result res;
        struct err e = {0};
        assert_false(http_call(&c, &res, &e));
        if (e.code != rows[i].want)
            fail_msg("%s: %s: %s", rows[i].path, err_code_name(e.code), e.msg);
        http_result_fini(&res);
        buf_free(&out);
    }
    stop(h);
    struct http_call c = {.url = url(h, "/echo")};
    struct http_result res;
    struct err e;
    assert_false(http_call(&c, &res, &e)); // nobody listens there any more
    assert_int_equal(e.code, ERR_IO);
    assert_non_null(strstr(e.msg, "127.0.0.1:"));
    http_result_fini(&res);
    free(h);
}

static char dir[64];

static const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void hash_of(const struct hub *h, char hex[65])
{
    struct err e;
    assert_true(file_replace(in_dir("whole"), str_n(h->file, FILE_SIZE), &e));
    assert_true(http_file_sha256(in_dir("whole"), hex, &e));
}

static void check_file(const struct hub *h)
{
    struct buf got = BUF_INIT(FILE_SIZE * 2);
    struct err e;
    assert_true(file_read(in_dir("f"), &got, &e));
    assert_int_equal(got.n, FILE_SIZE);
    assert_memory_equal(got.p, h->file, FILE_SIZE);
    assert_int_not_equal(access(in_dir("f.part"), F_OK), 0);
    unlink(in_dir("f"));
    buf_free(&got);
}

static void download_resumes_and_verifies(void **state)
{
    static const struct {
        const char *name;
        int cuts, busy;
        bool ranges;
        size_t part;  // bytes there before
        bool damaged; // ... which are wrong
        int retries;
        enum err_code want;
        int requests;
    } rows[] = {
        {"plain", 0, 0, true, 0, false, 0, ERR_NONE, 1},
        {"cut twice, resumed", 2, 0, true, 0, false, 1, ERR_NONE, 3},
        {"cut, no ranges: from the start", 1, 0, false, 0, false, 1, ERR_NONE, 2},
        {"a part from before", 0, 0, true, 123456, false, 0, ERR_NONE, 1},
        {"all of it from before", 0, 0, true, FILE_SIZE, false, 0, ERR_NONE, 0},
        {"a damaged part from before", 0, 0, true, 1000, true, 0, ERR_FORMAT, 1},
        {"too much from before", 0, 0, true, FILE_SIZE + 1, false, 0, ERR_NONE, 1},
        {"busy for a while", 0, 2, true, 0, false, 2, ERR_NONE, 3},
        {"busy for too long", 0, 3, true, 0, false, 2, ERR_BUSY, 3},
        {"cut for the last time", 3, 0, true, 0, false, 0, ERR_IO, 1},
    };
    struct hub *h = malloc(sizeof *h);
    char hex[65];
    (void)state;
    start(h);
    hash_of(h, hex);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        int status;
        static char part[FILE_SIZE + 1];
        memcpy(part, h->file, FILE_SIZE);
        part[0] = (char)(part[0] ^ rows[i].damaged);
        if (rows[i].part)
            assert_true(file_replace(in_dir("f.part"), str_n(part, rows[i].part), &e));
        h->cuts = rows[i].cuts;
        h->busy = rows[i].busy;
        h->ranges = rows[i].ranges;
        h->requests = 0;
        char path[128];
        snprintf(path, sizeof path, "%s", in_dir("f"));
        struct http_download d = {.url = url(h, "/file"),
                                  .path = path,
                                  .size = FILE_SIZE,
                                  .sha256 = hex,
                                  .retries = rows[i].retries,
                                  .retry_ms = 1};
        bool ok = http_download(&d, &status, &e);
        if (ok != (rows[i].want == ERR_NONE) || (!ok && e.code != rows[i].want))
            fail_msg("%s: %s: %s", rows[i].name, err_code_name(e.code), e.msg);
        if (h->requests != rows[i].requests)
            fail_msg("%s: %d requests", rows[i].name, h->requests);
        if (ok)
            check_file(h);
        else
            assert_int_not_equal(access(in_dir("f"), F_OK), 0);
        unlink(in_dir("f.part"));
    }
    stop(h);
    free(h);
}

static void download_refuses_wrong_files(void **state)
{
    static const struct {
        const char *name, *path;
        uint64_t size, max_size;
        bool wrong_digest;
        enum err_code want;
        int status;
    } rows[] = {
        {"digest", "/file", FILE_SIZE, 0, true, ERR_FORMAT, 200},
        {"listed smaller", "/file", FILE_SIZE - 1, 0, false, ERR_FORMAT, 200},
        {"listed larger", "/file", FILE_SIZE + 1, 0, false, ERR_FORMAT, 200},
        {"too large", "/file", 0, 1000, false, ERR_LIMIT, 200},
        {"missing", "/nothing", 0, 0, false, ERR_NOT_FOUND, 404},
        {"unknown size", "/file", 0, 0, false, ERR_NONE, 200},
    };
    struct hub *h = malloc(sizeof *h);
    char hex[65];
    (void)state;
    start(h);
    hash_of(h, hex);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        int status;
        char path[128];
        snprintf(path, sizeof path, "%s", in_dir("f"));
        hex[0] = rows[i].wrong_digest ? (hex[0] == '0' ? '1' : '0') : hex[0];
        struct http_download d = {.url = url(h, rows[i].path),
                                  .path = path,
                                  .size = rows[i].size,
                                  .max_size = rows[i].max_size,
                                  .sha256 = rows[i].wrong_digest ? hex : NULL};
        bool ok = http_download(&d, &status, &e);
        if (ok != (rows[i].want == ERR_NONE) || (!ok && e.code != rows[i].want) ||
            status != rows[i].status)
            fail_msg("%s: HTTP %d, %s: %s", rows[i].name, status, err_code_name(e.code), e.msg);
        if (ok)
            check_file(h);
        else
            assert_int_not_equal(access(in_dir("f"), F_OK), 0);
        if (!ok && rows[i].wrong_digest)
            assert_int_not_equal(access(in_dir("f.part"), F_OK), 0);
        unlink(in_dir("f.part"));
    }
    stop(h);
    free(h);
}

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/confab-test-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(in_dir("whole"));
    return rmdir(dir);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(client_gets_and_posts),
    cmocka_unit_test(client_errors_name_their_cause),
    cmocka_unit_test_setup_teardown(download_resumes_and_verifies, make_dir, remove_dir),
    cmocka_unit_test_setup_teardown(download_refuses_wrong_files, make_dir, remove_dir),
};
TEST_FILE(tests)
