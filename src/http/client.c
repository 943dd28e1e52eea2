/* http/client.c - see client.h.  libcurl, one easy handle a call. */
#include "http/client.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>

#define RESULT_HEADERS_MAX 65536

struct transfer {
    const struct http_call *call;
    struct http_result *res;
    CURL *curl;
    bool began;   // on_head was called
    bool stopped; // a callback said no
    bool too_big;
    bool enough; // of the body of an error
};

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* The final answer is about to give its body, or has ended without one. */
static bool begin(struct transfer *t)
{
    if (t->began)
        return true;
    long status = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->res->status = (int)status;
    t->began = true;
    if (t->call->on_head && !t->call->on_head(t->res, t->call->arg))
        t->stopped = true;
    return !t->stopped;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    str line = {p, size * n};
    if (str_starts(line, STR("HTTP/")))
        buf_clear(&t->res->headers); // of a redirect or "100 Continue" before
    else if (line.n > 2)
        buf_str(&t->res->headers, line);
    return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    str bytes = {p, size * n};
    if (!begin(t))
        return 0;
    if (t->call->on_bytes && t->res->status / 100 == 2) {
        t->stopped = !t->call->on_bytes(bytes, t->call->arg);
        return t->stopped ? 0 : bytes.n;
    }
    if (t->call->out && buf_str(t->call->out, bytes))
        return bytes.n;
    t->enough = t->call->on_bytes || !t->call->out;
    t->too_big = !t->enough;
    return 0;
}

static int on_tick(void *arg, curl_off_t dl_total, curl_off_t dl, curl_off_t ul_total,
                   curl_off_t ul)
{
    struct transfer *t = arg;
    (void)dl_total;
    (void)dl;
    (void)ul_total;
    (void)ul;
    t->stopped |= !t->call->on_tick(t->call->arg);
    return t->stopped;
}

static str host_of(const char *url)
{
    str s = str_c(url);
    ptrdiff_t at = str_find(s, STR("://"));
    if (at >= 0)
        s = str_from(s, (size_t)at + 3);
    size_t n = 0;
    while (n < s.n && s.p[n] != '/' && s.p[n] != '?')
        n++;
    return str_sub(s, 0, n);
}

/* What went wrong, in words a user can act on. */
static bool explain(const struct transfer *t, CURLcode rc, const char *detail, struct err *e)
{
    static const struct {
        CURLcode rc;
        enum err_code code;
        const char *text;
    } rows[] = {
        {CURLE_URL_MALFORMAT, ERR_INPUT, "this is no valid URL"},
        {CURLE_UNSUPPORTED_PROTOCOL, ERR_INPUT, "only http and https URLs are taken"},
        {CURLE_COULDNT_RESOLVE_HOST, ERR_IO, "the host was not found; is this machine online?"},
        {CURLE_COULDNT_RESOLVE_PROXY, ERR_IO, "the proxy was not found; see https_proxy"},
        {CURLE_COULDNT_CONNECT, ERR_IO, "no connection; is it running, is this machine online?"},
        {CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT, "no answer in time"},
        {CURLE_TOO_MANY_REDIRECTS, ERR_IO, "it redirects without end"},
        {CURLE_PEER_FAILED_VERIFICATION, ERR_IO, "its TLS certificate is not trusted"},
        {CURLE_SSL_CONNECT_ERROR, ERR_IO, "TLS does not come up"},
        {CURLE_PARTIAL_FILE, ERR_IO, "the connection was cut"},
        {CURLE_GOT_NOTHING, ERR_IO, "the connection was cut"},
        {CURLE_RECV_ERROR, ERR_IO, "the connection was cut"},
        {CURLE_SEND_ERROR, ERR_IO, "the connection was cut"},
    };
    str host = host_of(t->call->url);
    if (t->stopped)
        return err_set(e, ERR_CANCELED, "stopped");
    if (t->too_big)
        return err_set(e, ERR_LIMIT, "%.*s: the answer is larger than %zu bytes", STR_ARG(host),
                       t->call->out->max);
    if (!detail[0])
        detail = curl_easy_strerror(rc);
    for (size_t i = 0; i < COUNT(rows); i++)
        if (rows[i].rc == rc)
            return err_set(e, rows[i].code, "%.*s: %s (%s)", STR_ARG(host), rows[i].text, detail);
    return err_set(e, ERR_IO, "%.*s: %s", STR_ARG(host), detail);
}

static void set_limits(CURL *curl, const struct http_call *c)
{
    // A redirect may make a connection safer, never less safe.
    bool tls = str_eq_nocase(str_sub(str_c(c->url), 0, 8), STR("https://"));
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, tls ? "https" : "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, c->max_redirects < 0 ? 0L : 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)(c->max_redirects ? c->max_redirects : 5));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(c->connect_timeout_ms ? c->connect_timeout_ms : 15000));
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
    // libcurl counts a stall in whole seconds.
    int stall_s = c->stall_timeout_ms ? int_max(1, c->stall_timeout_ms / 1000) : 60;
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)stall_s);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); // no SIGALRM: there are other threads
}

static void set_request(CURL *curl, const struct http_call *c, struct curl_slist *headers)
{
    curl_easy_setopt(curl, CURLOPT_URL, c->url);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "confab/" CONFAB_VERSION);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (c->body.p) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body.n);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, c->body.p);
    }
    if (c->method && strcmp(c->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (c->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
    char range[32];
    snprintf(range, sizeof range, "%" PRIu64 "-", c->range_from);
    if (c->range_from > 0) // not RESUME_FROM, which fails when the server sends all from the start
        curl_easy_setopt(curl, CURLOPT_RANGE, range);
}

static CURLcode perform(struct transfer *t, CURL *curl, char *detail)
{
    const struct http_call *c = t->call;
    struct curl_slist *headers = NULL;
    for (size_t i = 0; c->headers && c->headers[i]; i++)
        headers = curl_slist_append(headers, c->headers[i]);
    set_request(curl, c, headers);
    set_limits(curl, c);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    if (c->on_tick) {
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_tick);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    }
    CURLcode rc = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    return rc;
}

bool http_call(const struct http_call *c, struct http_result *res, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    char detail[CURL_ERROR_SIZE] = "";
    pthread_once(&once, init_curl);
    *res = (struct http_result){0};
    buf_init(&res->headers, RESULT_HEADERS_MAX);
    CURL *curl = curl_easy_init();
    if (!curl)
        return err_set(e, ERR_INTERNAL, "libcurl does not start");
    struct transfer t = {.call = c, .res = res, .curl = curl};
    CURLcode rc = perform(&t, curl, detail);
    bool ok = (rc == CURLE_OK || t.enough) && begin(&t);
    if (!ok)
        explain(&t, rc, detail, e);
    curl_easy_cleanup(curl);
    return ok;
}

void http_result_fini(struct http_result *res)
{
    buf_free(&res->headers);
}

bool http_result_header(const struct http_result *res, const char *name, str *value)
{
    str rest = buf_as_str(&res->headers), line, key;
    bool found = false;
    while (str_cut(&rest, '\n', &line)) {
        if (!str_cut(&line, ':', &key) || !line.p || !str_eq_nocase(key, str_c(name)))
            continue;
        *value = str_trim(line);
        found = true;
    }
    return found;
}
