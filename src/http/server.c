/* http/server.c - listens, counts, drains. */
#include "http/conn.h"

#include "base/mem.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <unistd.h>
#include <utlist.h>

#define EXTRA_MAX 64  // connections beyond the maximum that are told so; more are just closed
#define RETRY_MS  100 // pause after the process ran out of descriptors
#define BACKLOG   511

struct http_conf http_conf_default(void)
{
    return (struct http_conf){
        .host = "127.0.0.1",
        .port = 8080,
        .max_body = 32u << 20,
        .max_header = 32768,
        .body_timeout_ms = 60000,
        .idle_timeout_ms = 75000,
        .stall_timeout_ms = 120000,
        .max_connections = 1024,
        .max_held = 256u << 20,
        .max_unsent = 256 * 1024,
    };
}

/* Closes the first connection that waits between requests, to make room.  False when none does. */
static bool drop_idle(struct http_server *s)
{
    struct http_conn *c;
    DL_FOREACH(s->conns, c)
    {
        if (c->phase != PHASE_IDLE || c->ahead.n > 0 || evbuffer_get_length(c->out) > 0)
            continue;
        http_conn_free(c);
        return true;
    }
    return false;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len,
                      void *arg)
{
    struct http_server *s = arg;
    (void)l;
    (void)len;
    bool extra = s->n_conns >= s->conf.max_connections && !drop_idle(s);
    if (extra && s->n_extra >= EXTRA_MAX)
        close(fd);
    else
        http_conn_open(s, fd, addr, extra);
}

/* accept fails for want of descriptors: the connection stays in the queue, and so would the event.
 */
static void on_accept_error(struct evconnlistener *l, void *arg)
{
    struct http_server *s = arg;
    evconnlistener_disable(l);
    event_add(&s->retry, &(struct timeval){0, RETRY_MS * 1000});
}

static void on_retry(evutil_socket_t fd, short what, void *arg)
{
    struct http_server *s = arg;
    (void)fd;
    (void)what;
    if (s->listener)
        evconnlistener_enable(s->listener);
}

static int listen_at(const struct addrinfo *a)
{
    int on = 1, off = 0;
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, a->ai_protocol);
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6) // "::" takes IPv4 too
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

/* The first of the host's addresses that can be had.  "[::1]" is taken like "::1". */
static int open_listener(const struct http_conf *conf, struct err *e)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    char host[256], port[16];
    str h = str_c(conf->host);
    if (str_starts(h, STR("[")) && str_ends(h, STR("]")))
        h = str_sub(h, 1, h.n - 2);
    if (h.n >= sizeof host || conf->port < 0 || conf->port > 65535) {
        err_set(e, ERR_INPUT, "no such address to listen on: %s port %d", conf->host, conf->port);
        return -1;
    }
    snprintf(host, sizeof host, "%.*s", STR_ARG(h));
    snprintf(port, sizeof port, "%d", conf->port);
    int rc = getaddrinfo(h.n ? host : NULL, port, &hints, &found);
    if (rc != 0) {
        err_set(e, ERR_INPUT, "cannot listen on host %s: %s", host, gai_strerror(rc));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = found; a && fd < 0; a = a->ai_next)
        fd = listen_at(a);
    if (fd < 0)
        err_errno(e, ERR_IO, "cannot listen on %s port %d", host, conf->port);
    freeaddrinfo(found);
    return fd;
}

static int bound_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t n = sizeof addr;
    if (getsockname(fd, (struct sockaddr *)&addr, &n) < 0)
        return 0;
    if (addr.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&addr)->sin6_port);
    return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

bool http_listen(struct http_server **out, struct event_base *base, const struct http_conf *conf,
                 http_handler handler, http_error_body on_error, void *arg, struct err *e)
{
    // Without these two a waiting connection would spin, or its end would not be seen.
    int need = EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE;
    if ((event_base_get_features(base) & need) != need)
        return err_set(e, ERR_INTERNAL,
                       "the event loop's method (%s) cannot watch for closing; "
                       "epoll is needed (is EVENT_NOEPOLL set?)",
                       event_base_get_method(base));
    int fd = open_listener(conf, e);
    if (fd < 0)
        return false;
    struct http_server *s = mem_calloc(1, sizeof *s);
    s->base = base;
    s->conf = *conf;
    size_t one = conf->max_body + conf->max_body / 2 + 4096; // the largest, as buffers grow
    s->conf.max_held = size_max(conf->max_held, one);
    s->handler = handler;
    s->on_error = on_error;
    s->arg = arg;
    s->port = bound_port(fd);
    evtimer_assign(&s->retry, base, on_retry, s);
    s->listener = evconnlistener_new(base, on_accept, s,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!s->listener) {
        close(fd);
        mem_free(s);
        return err_set(e, ERR_INTERNAL, "the event loop refuses the listening socket");
    }
    evconnlistener_set_error_cb(s->listener, on_accept_error);
    *out = s;
    return true;
}

int http_port(const struct http_server *s)
{
    return s->port;
}

void http_stop_accepting(struct http_server *s)
{
    struct http_conn *c;
    s->draining = true;
    if (s->listener)
        evconnlistener_free(s->listener);
    s->listener = NULL;
    event_del(&s->retry);
    DL_FOREACH(s->conns, c)
    {
        if (c->phase != PHASE_IDLE || c->ahead.n > 0)
            continue;
        c->phase = PHASE_FLUSH;
        http_conn_kick(c);
    }
}

int http_open_requests(const struct http_server *s)
{
    const struct http_conn *c;
    int n = 0;
    DL_FOREACH(s->conns, c)
    {
        bool busy = c->phase == PHASE_RECEIVE || c->phase == PHASE_ANSWER || c->ahead.n > 0 ||
                    evbuffer_get_length(c->out) > 0;
        n += busy && !c->extra;
    }
    return n;
}

void http_close(struct http_server *s)
{
    struct http_conn *c, *next;
    if (!s)
        return;
    if (s->listener)
        evconnlistener_free(s->listener);
    event_del(&s->retry);
    DL_FOREACH_SAFE(s->conns, c, next)
    {
        http_conn_left(c);
        http_conn_free(c);
    }
    mem_free(s);
}
