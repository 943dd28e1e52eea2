/* http/fetch.c - see fetch.h.  libcurl's multi interface, driven by libevent.
 *
 * libcurl's own callbacks only note what happened; `deliver` tells the owners, from the loop, so
 * that they may do anything. */
#include "http/fetch.h"

#include "base/mem.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADERS_MAX ((size_t)64 << 10)

struct http_fetcher {
    struct event_base *base;
    struct http_fetcher_conf conf;
    CURLM *multi;
    struct event *timer, *deliver;
    struct http_fetch *fetches;
    int live;
};

struct http_fetch {
    struct http_fetcher *f;
    struct http_fetch *next, **link;
    CURL *curl;
    struct curl_slist *list;
    char detail[CURL_ERROR_SIZE];
    struct buf headers, body, fresh; // fresh: of a stream, not told yet
    size_t max_body, n_body;
    char *stream_type;
    bool (*on_bytes)(str bytes, void *arg);
    void (*on_done)(const struct http_fetched *r, void *arg);
    void *arg;
    bool streams, decided; // the final answer's body is told in pieces
    bool refused, too_big, stopped;
    bool ended, telling, dead;
    CURLcode rc;
};

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void fetch_free(struct http_fetch *t)
{
    curl_multi_remove_handle(t->f->multi, t->curl);
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->list);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->f->live--;
    buf_free(&t->headers);
    buf_free(&t->body);
    buf_free(&t->fresh);
    mem_free(t->stream_type);
    mem_free(t);
}

static bool header_in(str rest, const char *name, str *value)
{
    str line, key;
    bool found = false;
    while (str_cut(&rest, '\n', &line)) {
        if (!str_cut(&line, ':', &key) || !line.p || !str_eq_nocase(key, str_c(name)))
            continue;
        *value = str_trim(line);
        found = true;
    }
    return found;
}

bool http_fetch_header(const struct http_fetch *t, const char *name, str *value)
{
    return header_in(buf_as_str(&t->headers), name, value);
}

bool http_fetched_header(const struct http_fetched *r, const char *name, str *value)
{
    return header_in(r->headers, name, value);
}

/* Scheme, host and port. */
static bool origin_of(CURLU *u, struct buf *out)
{
    static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
    bool ok = true;
    for (size_t i = 0; i < COUNT(parts); i++) {
        char *part = NULL;
        ok = ok && curl_url_get(u, parts[i], &part, CURLU_DEFAULT_PORT) == CURLUE_OK;
        buf_c(out, part ? part : "");
        buf_char(out, ' ');
        curl_free(part);
    }
    return ok && !out->full;
}

bool http_url_join(str base, str relative, struct buf *out, bool *same, struct err *e)
{
    CURLU *u = curl_url();
    char *whole = NULL, *first = mem_strdup(base), *second = mem_strdup(relative);
    struct buf from = BUF_INIT(4096), to = BUF_INIT(4096);
    bool ok = u && curl_url_set(u, CURLUPART_URL, first, 0) == CURLUE_OK && origin_of(u, &from) &&
              curl_url_set(u, CURLUPART_URL, second, 0) == CURLUE_OK && origin_of(u, &to) &&
              curl_url_get(u, CURLUPART_URL, &whole, 0) == CURLUE_OK;
    if (ok) {
        buf_c(out, whole);
        *same = str_eq_nocase(buf_as_str(&from), buf_as_str(&to));
    } else {
        err_set(e, ERR_INPUT, "'%.*s' is no URL", STR_ARG(str_sub(relative, 0, 100)));
    }
    curl_free(whole);
    curl_url_cleanup(u);
    mem_free(first);
    mem_free(second);
    buf_free(&from);
    buf_free(&to);
    return ok;
}

static void explain(const struct http_fetch *t, struct err *e)
{
    const char *detail = t->detail[0] ? t->detail : curl_easy_strerror(t->rc);
    if (t->stopped)
        err_set(e, ERR_CANCELED, "stopped");
    else if (t->refused)
        err_set(e, ERR_DENIED, "the address is not one that may be reached from here");
    else if (t->too_big)
        err_set(e, ERR_LIMIT, "the answer is larger than %zu bytes", t->max_body);
    else if (t->rc == CURLE_OPERATION_TIMEDOUT)
        err_set(e, ERR_TIMEOUT, "no answer in time");
    else if (t->rc == CURLE_URL_MALFORMAT || t->rc == CURLE_UNSUPPORTED_PROTOCOL)
        err_set(e, ERR_INPUT, "only http and https URLs are taken (%s)", detail);
    else
        err_set(e, ERR_IO, "%s", detail);
}

/* Tells t what is new; t may be gone afterwards. */
static void tell(struct http_fetch *t)
{
    t->telling = true;
    if (t->fresh.n && !t->stopped) {
        struct buf piece = t->fresh;
        buf_init(&t->fresh, t->max_body);
        if (!t->on_bytes(buf_as_str(&piece), t->arg) && !t->ended) {
            t->stopped = t->ended = true;
            t->rc = CURLE_ABORTED_BY_CALLBACK;
        }
        buf_free(&piece);
    }
    if (t->ended && !t->dead) {
        struct http_fetched r = {.headers = buf_as_str(&t->headers), .body = buf_as_str(&t->body)};
        long status = 0;
        char *url = NULL;
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(t->curl, CURLINFO_EFFECTIVE_URL, &url);
        r.status = (int)status;
        r.url = url ? url : "";
        if (t->rc != CURLE_OK)
            explain(t, &r.error);
        t->dead = true;
        t->on_done(&r, t->arg);
    }
    t->telling = false;
    if (t->dead)
        fetch_free(t);
}

static struct http_fetch *next_with_news(const struct http_fetcher *f)
{
    struct http_fetch *t = f->fetches;
    while (t && (t->telling || (!t->fresh.n && !t->ended)))
        t = t->next;
    return t;
}

static void deliver(evutil_socket_t fd, short what, void *arg)
{
    struct http_fetcher *f = arg;
    CURLMsg *m;
    int left;
    (void)fd;
    (void)what;
    while ((m = curl_multi_info_read(f->multi, &left))) {
        struct http_fetch *done;
        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&done);
        done->ended = true;
        done->rc = m->data.result;
    }
    struct http_fetch *t;
    while ((t = next_with_news(f))) // anew each time: the list may have changed
        tell(t);
}

static void turn(struct http_fetcher *f, curl_socket_t fd, int flags)
{
    int running;
    curl_multi_socket_action(f->multi, fd, flags, &running);
    event_active(f->deliver, 0, 0);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    turn(arg, fd,
         (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    turn(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_fetcher *f = arg;
    struct event *ev = socket_arg;
    (void)easy;
    if (ev)
        event_free(ev);
    ev = NULL;
    if (what != CURL_POLL_REMOVE) {
        short want = EV_PERSIST;
        want |= what & CURL_POLL_IN ? EV_READ : 0;
        want |= what & CURL_POLL_OUT ? EV_WRITE : 0;
        ev = event_new(f->base, fd, want, on_ready, f);
        event_add(ev, NULL);
    }
    curl_multi_assign(f->multi, fd, ev);
    return 0;
}

static int want_time(CURLM *multi, long ms, void *arg)
{
    struct http_fetcher *f = arg;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};
    (void)multi;
    if (ms < 0)
        event_del(f->timer);
    else
        event_add(f->timer, &tv);
    return 0;
}

bool http_fetcher_open(struct http_fetcher **out, struct event_base *base,
                       const struct http_fetcher_conf *conf, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct http_fetcher *f = mem_calloc(1, sizeof *f);
    f->base = base;
    f->conf = *conf;
    f->multi = curl_multi_init();
    if (!f->multi) {
        mem_free(f);
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    }
    f->timer = evtimer_new(base, on_time, f);
    f->deliver = event_new(base, -1, 0, deliver, f);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, want_time);
    curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    curl_multi_setopt(f->multi, CURLMOPT_MAXCONNECTS, 8L);
    *out = f;
    return true;
}

void http_fetcher_close(struct http_fetcher *f)
{
    if (!f)
        return;
    while (f->fetches)
        fetch_free(f->fetches);
    curl_multi_cleanup(f->multi); // may still want sockets and times
    event_free(f->timer);
    event_free(f->deliver);
    mem_free(f);
}

int http_fetcher_live(const struct http_fetcher *f)
{
    return f->live;
}

/* Calls of libcurl. */

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_fetch *t = arg;
    const struct http_fetcher_conf *c = &t->f->conf;
    (void)purpose;
    if (c->may_connect && !c->may_connect(&a->addr, c->arg)) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    t->refused = false;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct http_fetch *t = arg;
    str line = {p, size * n};
    if (str_starts(line, STR("HTTP/"))) { // also of a redirect or "100 Continue" before
        buf_clear(&t->headers);
        t->decided = false;
    } else if (line.n > 2) {
        buf_str(&t->headers, line);
    }
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct http_fetch *t = arg;
    str bytes = {p, size * n};
    if (!t->decided) {
        long status = 0;
        str type = {NULL, 0};
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        header_in(buf_as_str(&t->headers), "content-type", &type);
        t->streams = t->stream_type && status / 100 == 2 &&
                     str_eq_nocase(str_sub(type, 0, strlen(t->stream_type)), str_c(t->stream_type));
        t->decided = true;
    }
    t->n_body += bytes.n;
    if (t->n_body > t->max_body || !buf_str(t->streams ? &t->fresh : &t->body, bytes)) {
        t->too_big = true;
        return 0;
    }
    return bytes.n;
}

static void set_up(struct http_fetch *t, const struct http_fetch_conf *c)
{
    CURL *h = t->curl;
    bool tls = str_eq_nocase(str_sub(str_c(c->url), 0, 8), STR("https://"));
    for (size_t i = 0; c->headers && c->headers[i]; i++)
        t->list = curl_slist_append(t->list, c->headers[i]);
    curl_easy_setopt(h, CURLOPT_URL, c->url);
    curl_easy_setopt(h, CURLOPT_PRIVATE, t);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "confab/" CONFAB_VERSION);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, t->list);
    if (c->body.p) {
        curl_easy_setopt(h, CURLOPT_POST, 1L);
        curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
        curl_easy_setopt(h, CURLOPT_COPYPOSTFIELDS, c->body.p);
    }
    if (c->method)
        curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, c->method);
    if (c->unpack)
        curl_easy_setopt(h, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
    curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, c->max_redirects > 0 ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_MAXREDIRS, (long)c->max_redirects);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(c->connect_timeout_ms ? c->connect_timeout_ms : 10000));
    curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    if (t->f->conf.may_connect) {
        curl_easy_setopt(h, CURLOPT_PROXY, "");
        curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    }
    curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, t->detail);
    curl_easy_setopt(h, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(h, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, t);
}

struct http_fetch *http_fetch_start(struct http_fetcher *f, const struct http_fetch_conf *c)
{
    struct http_fetch *t = mem_calloc(1, sizeof *t);
    t->f = f;
    t->max_body = c->max_body;
    t->stream_type = c->stream_type ? mem_strdup(str_c(c->stream_type)) : NULL;
    t->on_bytes = c->on_bytes;
    t->on_done = c->on_done;
    t->arg = c->arg;
    buf_init(&t->headers, HEADERS_MAX);
    buf_init(&t->body, c->max_body);
    buf_init(&t->fresh, c->max_body);
    t->next = f->fetches;
    t->link = &f->fetches;
    if (t->next)
        t->next->link = &t->next;
    f->fetches = t;
    f->live++;
    t->curl = curl_easy_init();
    set_up(t, c);
    if (curl_multi_add_handle(f->multi, t->curl) != CURLM_OK) {
        t->ended = true;
        t->rc = CURLE_FAILED_INIT;
        event_active(f->deliver, 0, 0);
    }
    return t;
}

void http_fetch_cancel(struct http_fetch *t)
{
    if (t->telling) // from within its own callback: freed behind it
        t->dead = true;
    else
        fetch_free(t);
}
