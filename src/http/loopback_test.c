/* http/loopback_test.c - see loopback_test.h. */
#include "http/loopback_test.h"
#include "http/ws.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void loop_forget(struct loopback *f, struct http_req *r)
{
    for (int i = 0; i < f->n_held; i++)
        if (f->held[i] == r)
            f->held[i] = f->held[--f->n_held];
}

static void on_gone(struct http_req *r, void *arg)
{
    struct loopback *f = arg;
    f->gone++;
    assert_true(http_path(r).n > 0); // still readable
    http_abort(r);                   // too late: nothing happens
    loop_forget(f, r);
}

static void flood(struct http_req *r)
{
    static char block[4096];
    while (http_writable(r))
        http_write(r, str_n(block, sizeof block));
}

static void on_room(struct http_req *r, void *arg)
{
    struct loopback *f = arg;
    f->roomy++;
    if (f->fill)
        flood(r);
}

static void on_ws_text(struct http_ws *ws, str text, void *arg)
{
    struct loopback *f = arg;
    buf_printf(&f->log, "text %.*s;", STR_ARG(str_sub(text, 0, 40)));
    if (str_eq(text, STR("close")))
        http_ws_close(ws, WS_CLOSE_GOING);
    else if (str_eq(text, STR("ping")))
        http_ws_ping(ws);
    else
        http_ws_text(ws, text);
}

static void on_ws_gone(struct http_ws *ws, void *arg)
{
    struct loopback *f = arg;
    (void)ws;
    f->gone++;
}

static void open_ws(struct loopback *f, struct http_req *r)
{
    const struct http_ws_conf conf = {
        .max_message = 1000, .on_text = on_ws_text, .on_gone = on_ws_gone, .arg = f};
    struct http_ws *ws;
    struct err e;
    if (!http_ws_open(&ws, r, &conf, &e))
        http_reply(r, e.code == ERR_DENIED ? 403 : 426, "text/plain", str_c(e.msg));
}

static void on_request(struct http_req *r, void *arg)
{
    struct loopback *f = arg;
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
    } else if (str_eq(path, STR("/ws"))) {
        http_watch(r, NULL, NULL, NULL);
        open_ws(f, r);
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

struct http_conf loop_conf(void)
{
    struct http_conf conf = http_conf_default();
    conf.port = 0;
    conf.max_body = 100000;
    conf.max_header = 4096;
    return conf;
}

void loop_start(struct loopback *f, const struct http_conf *conf)
{
    struct err e;
    *f = (struct loopback){.base = event_base_new()};
    buf_init(&f->log, 1 << 20);
    if (!http_listen(&f->server, f->base, conf, on_request, json_error, f, &e))
        fail_msg("%s", e.msg);
}

void loop_stop(struct loopback *f)
{
    http_close(f->server);
    event_base_free(f->base);
    buf_free(&f->log);
}

int loop_client(const struct loopback *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)http_port(f->server)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

void loop_say(int fd, const char *text)
{
    size_t n = strlen(text);
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

void loop_turn(struct loopback *f, uint64_t since)
{
    event_base_loop(f->base, EVLOOP_NONBLOCK);
    poll(NULL, 0, 1);
    if (clock_mono_ms() - since > 20000)
        fail_msg("nothing came for 20 seconds; log: %s", buf_cstr(&f->log));
}

void loop_until(struct loopback *f, const int *count, int value)
{
    uint64_t since = clock_mono_ms();
    while (*count < value)
        loop_turn(f, since);
    assert_int_equal(*count, value);
}

void loop_settle(struct loopback *f)
{
    for (int i = 0; i < 20; i++) {
        event_base_loop(f->base, EVLOOP_NONBLOCK);
        poll(NULL, 0, 1);
    }
}

bool loop_hear(struct loopback *f, int fd, struct buf *out, const char *end)
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
            loop_turn(f, since);
    }
}
