/* tools/rebind_test.c - names whose meaning changes between two look-ups (DNS rebinding): the
 * address that was asked about is the one that is connected to, and no other.
 *
 * This file's getaddrinfo stands before the system's, also for libcurl: names of "*.rebind.test"
 * mean what the test says, one answer after the other. */
#include "http/http.h"
#include "test.h"
#include "tools/tools.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <event2/event.h>
#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

/* What the name means: answers in turn (the last one stays), each one address or two, with a comma.
 * libcurl asks from a thread of its own. */
static struct {
    pthread_mutex_t lock;
    const char *answers[4];
    int n_asked;
} names = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void will_mean(const char *first, const char *second)
{
    pthread_mutex_lock(&names.lock);
    names.answers[0] = first;
    names.answers[1] = second;
    names.n_asked = 0;
    pthread_mutex_unlock(&names.lock);
}

static const char *next_answer(void)
{
    pthread_mutex_lock(&names.lock);
    int i = names.n_asked++ ? 1 : 0;
    const char *answer = names.answers[i] ? names.answers[i] : names.answers[0];
    pthread_mutex_unlock(&names.lock);
    return answer;
}

static int n_asked(void)
{
    pthread_mutex_lock(&names.lock);
    int n = names.n_asked;
    pthread_mutex_unlock(&names.lock);
    return n;
}

typedef int (*look_up)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    look_up real = NULL;
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    size_t n = node ? strlen(node) : 0, end = strlen(".rebind.test");
    if (n <= end || strcmp(node + n - end, ".rebind.test") != 0)
        return real(node, service, hints, out);
    str rest = str_c(next_answer()), one;
    struct addrinfo **at = out;
    int rc = 0;
    *out = NULL;
    while (rc == 0 && str_cut(&rest, ',', &one)) {
        struct addrinfo want = hints ? *hints : (struct addrinfo){0};
        char numeric[64];
        snprintf(numeric, sizeof numeric, "%.*s", STR_ARG(one));
        want.ai_flags |= AI_NUMERICHOST;
        want.ai_family = AF_UNSPEC;
        rc = real(numeric, service, &want, at);
        while (rc == 0 && *at)
            at = &(*at)->ai_next;
    }
    return rc;
}

/* A port at an address where nobody may come; how many did. */
static int listen_at(const char *address, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, address, &a.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static int port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
    return ntohs(a.sin_port);
}

static int visitors(int fd)
{
    int n = 0;
    for (int one; (one = accept4(fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; n++)
        close(one);
    return n;
}

struct bench {
    struct event_base *base;
    int inside_port;
    enum chat_fault fault;
    struct buf text;
};

/* The page anybody may see; /go leads to the same name at another port, which is looked up anew. */
static void serve(struct http_req *r, void *arg)
{
    const struct bench *b = arg;
    char to[100];
    if (str_eqc(http_path(r), "/go")) {
        snprintf(to, sizeof to, "http://b.rebind.test:%d/secret", b->inside_port);
        http_set_header(r, "Location", to);
        http_reply(r, 302, NULL, STR(""));
    } else {
        http_reply(r, 200, "text/plain", STR("for everybody"));
    }
}

static void on_ready(const struct err *error, void *arg)
{
    struct bench *b = arg;
    assert_null(error);
    event_base_loopbreak(b->base);
}

static void on_done(struct tools_job *job, const struct tools_result *result, void *arg)
{
    struct bench *b = arg;
    (void)job;
    b->fault = result->fault;
    buf_clear(&b->text);
    buf_str(&b->text, result->text);
    event_base_loopbreak(b->base);
}

static void a_name_that_changes_its_meaning_leads_nowhere(void **state)
{
    static const struct {
        const char *name, *first, *second, *host, *path, *want;
        enum chat_fault fault;
        int n_asked;
    } rows[] = {
        {"public at first, private behind a redirect", "127.0.0.1", "127.0.0.2", "b.rebind.test",
         "/go", "not one that may be reached", CHAT_FAULT_DENIED, 2},
        {"... and in IPv6", "127.0.0.1", "::1", "b.rebind.test", "/go",
         "not one that may be reached", CHAT_FAULT_DENIED, 2},
        {"private at once", "127.0.0.2", NULL, "c.rebind.test", "/", "not one that may be reached",
         CHAT_FAULT_DENIED, 1},
        {"both at once: the private one is passed over", "127.0.0.2,127.0.0.1", NULL,
         "d.rebind.test", "/", "for everybody", CHAT_FAULT_NONE, 1},
        {"metadata", "169.254.169.254", NULL, "e.rebind.test", "/", "not one that may be reached",
         CHAT_FAULT_DENIED, 1},
        // What was looked up and allowed stays in use: the name's next meaning is not asked for.
        {"private at a second call", "127.0.0.1", "127.0.0.2", "f.rebind.test", "/",
         "for everybody", CHAT_FAULT_NONE, 1},
        {"(the second call)", "127.0.0.2", NULL, "f.rebind.test", "/", "for everybody",
         CHAT_FAULT_NONE, 0},
    };
    struct bench b = {.base = event_base_new()};
    struct tools_conf c = tools_conf_default();
    struct http_conf hc = http_conf_default();
    struct http_server *server;
    struct tools *tools;
    struct err e;
    (void)state;
    buf_init(&b.text, 10000);
    hc.host = "127.0.0.1";
    hc.port = 0;
    assert_true(http_listen(&server, b.base, &hc, serve, NULL, &b, &e));
    int port = http_port(server);
    int elsewhere = listen_at("127.0.0.2", 0), same = listen_at("127.0.0.2", port);
    b.inside_port = port_of(elsewhere);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char args[200];
        static struct chat_server_tool web = {
            .name = STR_INIT("web:url"), .function = STR_INIT("web"), .shown = STR_INIT("web")};
        // Each call with nothing remembered, but for the one that is about that.
        if (i == 0 || rows[i].n_asked) {
            c.base = b.base;
            c.enabled = STR("web:url");
            c.allow_net = STR("127.0.0.1");
            if (i)
                tools_close(tools);
            assert_true(tools_open(&tools, &c, &e));
        }
        struct chat_request *r = chat_request_new(1 << 20);
        r->server_tools = &web;
        r->n_server_tools = 1;
        will_mean(rows[i].first, rows[i].second);
        struct tools_session *s = tools_begin(tools, "test", r, on_ready, &b);
        event_base_dispatch(b.base);
        snprintf(args, sizeof args, "{\"url\":\"http://%s:%d%s\"}", rows[i].host, port,
                 rows[i].path);
        tools_call(s, STR("web"), str_c(args), on_done, &b);
        event_base_dispatch(b.base);
        if (b.fault != rows[i].fault || str_find(buf_as_str(&b.text), str_c(rows[i].want)) < 0)
            check_str(buf_as_str(&b.text), str_c(rows[i].want), rows[i].name);
        assert_int_equal(n_asked(), rows[i].n_asked);
        assert_int_equal(visitors(elsewhere), 0);
        assert_int_equal(visitors(same), 0);
        tools_end(s);
        r->n_server_tools = 0;
        chat_request_free(r);
    }
    tools_close(tools);
    http_close(server);
    close(elsewhere);
    close(same);
    buf_free(&b.text);
    event_base_free(b.base);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_name_that_changes_its_meaning_leads_nowhere),
};
TEST_FILE(tests)
