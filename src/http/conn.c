/* http/conn.c - connections: bytes in, one request at a time to its handler, answers out.
 *
 * What happens to a connection happens in conn_run: parse what is here, read, write, until nothing
 * moves any more.  See docs/decisions/0001-http-server.md for why this is not evhttp. */
#include "http/conn.h"

#include "base/mem.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utlist.h>

#define AHEAD_MAX   65536        // pipelined bytes kept while a request is being answered
#define READ_STEP   16384        // bytes a system call
#define READ_BUDGET (256 * 1024) // bytes a run: then the other connections have their turn
#define LINGER_MS   2000         // how long a closing connection is drained

void http_conn_kick(struct http_conn *c)
{
    event_add(&c->again, &(struct timeval){0, 0});
}

/* Counts what the body of the current request takes. */
static void count_held(struct http_conn *c)
{
    size_t now = c->req ? c->req->parse.body.cap + c->req->n_held : 0;
    c->s->held += now - c->held; // wraps on the way down, and comes out right
    c->held = now;
}

void http_conn_answered(struct http_conn *c, bool keep)
{
    c->phase = keep && !c->reset && !c->s->draining ? PHASE_IDLE : PHASE_FLUSH;
    count_held(c);
    http_conn_kick(c);
}

static void drop_req(struct http_conn *c)
{
    if (c->req)
        http_req_free(c->req);
    c->req = NULL;
    count_held(c);
}

void http_conn_left(struct http_conn *c)
{
    struct http_req *r = c->req;
    if (c->phase != PHASE_ANSWER) {
        drop_req(c);
    } else {
        // Without on_gone the owner cannot know: the request stays until it is answered.
        c->req = NULL;
        r->conn = NULL;
        count_held(c);
        if (r->on_gone) {
            r->leaving = true;
            r->on_gone(r, r->watch_arg);
            http_req_free(r);
        }
    }
    c->phase = PHASE_DEAD;
}

void http_conn_refuse(struct http_conn *c, int status, const char *why)
{
    struct http_server *s = c->s;
    struct buf body = BUF_INIT(65536);
    bool head = c->req && str_eq(c->req->parse.method, STR("HEAD"));
    if (s->on_error)
        s->on_error(status, why, &body, s->arg);
    else
        buf_printf(&body, "%d %s\n%s\n", status, http_status_text(status), why);
    drop_req(c);
    http_put_head(c, status, s->on_error ? "application/json" : "text/plain; charset=utf-8",
                  status == 503 ? STR("Retry-After: 1\r\n") : STR(""), FRAMING_LENGTH, body.n,
                  "close");
    if (!head)
        evbuffer_add(c->out, body.p, body.n);
    buf_free(&body);
    c->phase = PHASE_FLUSH;
}

static struct http_req *req_new(struct http_conn *c)
{
    struct http_req *r = mem_calloc(1, sizeof *r);
    r->conn = c;
    memcpy(r->peer, c->peer, sizeof r->peer);
    http_parse_init(&r->parse, c->s->conf.max_header, c->s->conf.max_body);
    arena_init(&r->arena, 2 * c->s->conf.max_header + 4096);
    buf_init(&r->headers, HTTP_HEADERS_MAX);
    return r;
}

/* Gives what is in `ahead` to the parser, and a complete request to the handler.  True when
 * something was taken. */
static bool conn_parse(struct http_conn *c)
{
    if (c->ahead.n == 0 || (c->phase != PHASE_IDLE && c->phase != PHASE_RECEIVE))
        return false;
    if (c->phase == PHASE_IDLE) {
        // Requests sent in a row wait until the answers before them are read.
        if (evbuffer_get_length(c->out) >= c->s->conf.max_unsent)
            return false;
        c->phase = PHASE_RECEIVE;
        c->req = req_new(c);
        c->n_requests++;
    }
    str in = buf_as_str(&c->ahead);
    struct http_req *r = c->req;
    enum http_parsed got = http_parse_feed(&r->parse, &in);
    if (got == HTTP_PARSED_EXPECT) {
        if (in.n == 0)
            evbuffer_add_printf(c->out, "HTTP/1.1 100 Continue\r\n\r\n");
        got = http_parse_feed(&r->parse, &in);
    }
    buf_consume(&c->ahead, c->ahead.n - in.n);
    count_held(c);
    if (c->s->held > c->s->conf.max_held && c->held > 0) {
        http_conn_refuse(c, 503, "The server holds too many large requests; try again later.");
    } else if (got == HTTP_PARSED_BAD) {
        http_conn_refuse(c, r->parse.status, r->parse.why);
    } else if (got == HTTP_PARSED_DONE) {
        c->phase = PHASE_ANSWER;
        c->refused_room = false;
        c->s->handler(r, c->s->arg);
    }
    return true;
}

/* Gives what is in `ahead` to the owner of an upgraded connection.  True when there was something.
 */
static bool conn_hand_over(struct http_conn *c)
{
    struct http_req *r = c->req;
    if (c->phase != PHASE_ANSWER || !r->on_bytes || c->ahead.n == 0)
        return false;
    struct buf in = c->ahead;
    buf_init(&c->ahead, AHEAD_MAX);
    size_t held = r->on_bytes(r, buf_as_str(&in), r->watch_arg);
    buf_free(&in);
    if (c->req == r && c->phase == PHASE_ANSWER)
        r->n_held = held;
    count_held(c);
    if (c->s->held > c->s->conf.max_held && c->held > 0)
        http_conn_left(c); // no room for what it sends, and no way to say so
    return true;
}

/* The peer has sent its last byte. */
static void conn_eof(struct http_conn *c)
{
    c->eof = true;
    c->can_read = false;
    if (c->phase == PHASE_ANSWER) {
        http_conn_left(c);
    } else if (c->phase == PHASE_LINGER) {
        c->phase = PHASE_DEAD;
    } else if (c->phase == PHASE_RECEIVE || (c->phase == PHASE_IDLE && c->ahead.n == 0)) {
        drop_req(c);
        c->phase = PHASE_FLUSH; // answers given before are still delivered
    }
}

/* A full `ahead` hides the end of the stream; the socket's state does not. */
static bool peer_left(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLRDHUP};
    return poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* True when bytes, or the end of the stream, came. */
static bool conn_read(struct http_conn *c, size_t *budget)
{
    bool keep = c->phase < PHASE_FLUSH;
    if (!c->can_read || c->phase == PHASE_DEAD)
        return false;
    if (*budget == 0) {
        http_conn_kick(c);
        return false;
    }
    size_t room = keep ? size_min(AHEAD_MAX - c->ahead.n, READ_STEP) : READ_STEP;
    if (room == 0) {
        if (c->phase == PHASE_ANSWER && peer_left(c->fd))
            http_conn_left(c);
        return false;
    }
    // MSG_TRUNC: the kernel throws the bytes away itself.
    ssize_t n = keep ? recv(c->fd, buf_reserve(&c->ahead, room), room, 0)
                     : recv(c->fd, NULL, room, MSG_TRUNC);
    if (n > 0) {
        c->ahead.n += keep ? (size_t)n : 0;
        *budget -= size_min(*budget, (size_t)n);
        return true;
    }
    if (n == 0) {
        conn_eof(c);
        return true;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        c->can_read = false;
    else if (errno != EINTR)
        http_conn_left(c);
    return errno == EINTR;
}

static void send_some(struct http_conn *c)
{
    struct evbuffer_iovec parts[16];
    int n_parts = evbuffer_peek(c->out, -1, NULL, parts, (int)COUNT(parts));
    struct msghdr m = {.msg_iov = (struct iovec *)parts,
                       .msg_iovlen = (size_t)int_min(n_parts, (int)COUNT(parts))};
    ssize_t n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    if (n >= 0) {
        evbuffer_drain(c->out, (size_t)n);
        c->n_sent += (uint64_t)n;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        c->can_write = false;
    } else if (errno != EINTR) {
        http_conn_left(c);
    }
}

/* True when there may be more to do: another phase, or room for a request that waited for it. */
static bool conn_write(struct http_conn *c)
{
    uint64_t before = c->n_sent;
    while (c->phase != PHASE_DEAD && c->can_write && evbuffer_get_length(c->out) > 0)
        send_some(c);
    size_t unsent = evbuffer_get_length(c->out);
    if (c->phase == PHASE_FLUSH && (unsent == 0 || c->reset)) {
        if (c->reset || c->eof) {
            c->phase = PHASE_DEAD;
        } else {
            shutdown(c->fd, SHUT_WR);
            c->phase = PHASE_LINGER;
        }
        return true;
    }
    if (c->phase == PHASE_ANSWER && c->refused_room && unsent <= c->s->conf.max_unsent / 2) {
        c->refused_room = false;
        if (c->req->on_room)
            c->req->on_room(c->req, c->req->watch_arg); // what it writes goes out in the next run
    }
    return c->phase == PHASE_IDLE && c->ahead.n > 0 && c->n_sent > before;
}

/* Which deadline counts now; `mark` tells one from the next of its kind. */
static enum http_timer conn_deadline(const struct http_conn *c, int *ms, uint64_t *mark)
{
    const struct http_conf *conf = &c->s->conf;
    *mark = c->n_requests;
    if (c->phase == PHASE_LINGER) {
        *ms = LINGER_MS;
        return TIMER_LINGER;
    }
    if (c->phase == PHASE_RECEIVE) {
        *ms = conf->body_timeout_ms;
        return TIMER_RECEIVE;
    }
    if (evbuffer_get_length(c->out) > 0) {
        *ms = conf->stall_timeout_ms;
        *mark = c->n_sent;
        return TIMER_STALL;
    }
    *ms = conf->idle_timeout_ms;
    return c->phase == PHASE_IDLE ? TIMER_IDLE : TIMER_NONE;
}

static void conn_arm(struct http_conn *c)
{
    int ms;
    uint64_t mark;
    enum http_timer timer = conn_deadline(c, &ms, &mark);
    if (timer == c->armed && mark == c->armed_mark)
        return;
    c->armed = timer;
    c->armed_mark = mark;
    if (timer == TIMER_NONE)
        event_del(&c->timer);
    else
        event_add(&c->timer, &(struct timeval){ms / 1000, (ms % 1000) * 1000});
}

void http_conn_free(struct http_conn *c)
{
    struct http_server *s = c->s;
    drop_req(c);
    event_del(&c->ev);
    event_del(&c->again);
    event_del(&c->timer);
    if (c->reset)
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(c->fd);
    evbuffer_free(c->out);
    buf_free(&c->ahead);
    DL_DELETE(s->conns, c);
    *(c->extra ? &s->n_extra : &s->n_conns) -= 1;
    mem_free(c);
}

static void conn_run(struct http_conn *c)
{
    size_t budget = READ_BUDGET;
    for (bool moved = true; moved && c->phase != PHASE_DEAD;) {
        moved = conn_parse(c);
        moved |= conn_hand_over(c);
        if (c->eof && c->phase == PHASE_ANSWER)
            http_conn_left(c);
        else if (c->eof && c->phase < PHASE_FLUSH && c->ahead.n == 0)
            conn_eof(c);
        moved |= conn_read(c, &budget);
        moved |= conn_write(c);
    }
    if (c->phase == PHASE_DEAD) {
        http_conn_free(c);
        return;
    }
    if (c->phase != PHASE_RECEIVE && c->ahead.n == 0)
        buf_free(&c->ahead); // nothing is held for those who only wait
    conn_arm(c);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    (void)fd;
    c->can_read |= (what & (EV_READ | EV_CLOSED)) != 0;
    c->can_write |= (what & EV_WRITE) != 0;
    conn_run(c);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    conn_run(arg);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http_conn *c = arg;
    (void)fd;
    (void)what;
    switch (c->armed) {
    case TIMER_RECEIVE: http_conn_refuse(c, 408, "The request did not arrive in time."); break;
    case TIMER_STALL: http_conn_left(c); break;
    default: c->phase = PHASE_DEAD; break;
    }
    c->armed = TIMER_NONE;
    conn_run(c);
}

static void peer_text(char *out, size_t cap, const struct sockaddr *addr)
{
    const struct sockaddr_in6 *six = (const void *)addr;
    const struct sockaddr_in *four = (const void *)addr;
    if (addr->sa_family == AF_INET6) {
        const char *p = evutil_inet_ntop(AF_INET6, &six->sin6_addr, out, cap);
        if (p && str_starts(str_c(out), STR("::ffff:")) && str_chr(str_c(out), '.') > 0)
            memmove(out, out + 7, strlen(out + 7) + 1);
    } else if (addr->sa_family == AF_INET) {
        evutil_inet_ntop(AF_INET, &four->sin_addr, out, cap);
    }
}

static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1}, // a peer whose network vanished is noticed within 2 minutes
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},
        {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 65536}, // the kernel holds little: max_unsent means it
    };
    for (size_t i = 0; i < COUNT(options); i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

void http_conn_open(struct http_server *s, int fd, const struct sockaddr *addr, bool extra)
{
    struct http_conn *c = mem_calloc(1, sizeof *c);
    c->s = s;
    c->fd = fd;
    c->extra = extra;
    c->can_write = true;
    c->out = evbuffer_new();
    buf_init(&c->ahead, AHEAD_MAX);
    peer_text(c->peer, sizeof c->peer, addr);
    set_options(fd);
    event_assign(&c->ev, s->base, fd, EV_READ | EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST,
                 on_socket, c);
    evtimer_assign(&c->again, s->base, on_again, c);
    evtimer_assign(&c->timer, s->base, on_timer, c);
    DL_APPEND(s->conns, c);
    *(extra ? &s->n_extra : &s->n_conns) += 1;
    event_add(&c->ev, NULL);
    if (extra)
        http_conn_refuse(c, 503, "Too many connections; try again later.");
    conn_run(c);
}
