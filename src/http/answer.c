/* http/answer.c - what the owner of a request calls: read it, watch it, answer it. */
#include "http/http_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>

static const struct {
    int status;
    const char *text;
} statuses[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {424, "Failed Dependency"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
    {529, "Overloaded"},
};

const char *http_status_text(int status)
{
    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].status == status)
            return statuses[i].text;
    return "Unknown";
}

/* The Date field, rewritten once a second; not by strftime, whose names follow the locale. */
static const char *date_text(struct http_server *s)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    int64_t now = clock_unix_ms() / 1000;
    if (now == s->date_s && s->date[0])
        return s->date;
    time_t t = (time_t)now;
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return "Thu, 01 Jan 1970 00:00:00 GMT";
    snprintf(s->date, sizeof s->date, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT",
             days + 3 * tm.tm_wday, tm.tm_mday, months + 3 * tm.tm_mon, tm.tm_year + 1900,
             tm.tm_hour, tm.tm_min, tm.tm_sec);
    s->date_s = now;
    return s->date;
}

void http_put_head(struct http_conn *c, int status, const char *content_type, str extra,
                   enum http_framing framing, size_t length, const char *connection)
{
    struct evbuffer *out = c->out;
    evbuffer_add_printf(out, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: confab\r\n", status,
                        http_status_text(status), date_text(c->s));
    if (content_type)
        evbuffer_add_printf(out, "Content-Type: %s\r\n", content_type);
    if (framing == FRAMING_LENGTH)
        evbuffer_add_printf(out, "Content-Length: %zu\r\n", length);
    else if (framing == FRAMING_CHUNKED)
        evbuffer_add_printf(out, "Transfer-Encoding: chunked\r\n");
    if (connection)
        evbuffer_add_printf(out, "Connection: %s\r\n", connection);
    evbuffer_add(out, extra.p, extra.n);
    evbuffer_add(out, "\r\n", 2);
}

void http_req_free(struct http_req *r)
{
    http_parse_fini(&r->parse);
    arena_fini(&r->arena);
    buf_free(&r->headers);
    mem_free(r);
}

str http_method(const struct http_req *r)
{
    return r->parse.method;
}

str http_path(const struct http_req *r)
{
    return r->parse.path;
}

str http_body(const struct http_req *r)
{
    return buf_as_str(&r->parse.body);
}

str http_peer(const struct http_req *r)
{
    return str_c(r->peer);
}

bool http_header(const struct http_req *r, const char *name, str *value)
{
    return http_parse_field(&r->parse, str_c(name), value);
}

/* What the escapes of `s` stand for, kept in the request's arena. */
static bool decode(struct http_req *r, str s, str *out)
{
    struct buf b = BUF_INIT(s.n);
    bool ok = http_unescape(&b, s, true);
    if (ok) {
        *out = arena_str(&r->arena, buf_as_str(&b));
        ok = out->p != NULL;
    }
    buf_free(&b);
    return ok;
}

bool http_query(const struct http_req *r, const char *name, str *value)
{
    str rest = r->parse.query, pair;
    while (str_cut(&rest, '&', &pair)) {
        str key, decoded;
        if (!str_cut(&pair, '=', &key) || !decode((struct http_req *)r, key, &decoded))
            continue;
        if (str_eqc(decoded, name))
            return decode((struct http_req *)r, pair, value);
    }
    return false;
}

void http_watch(struct http_req *r, void (*on_gone)(struct http_req *r, void *arg),
                void (*on_room)(struct http_req *r, void *arg), void *arg)
{
    r->on_gone = on_gone;
    r->on_room = on_room;
    r->watch_arg = arg;
}

/* Fields that tell where a message ends are ours alone. */
static bool is_ours(str name)
{
    static const str ours[] = {STR_INIT("Content-Length"), STR_INIT("Transfer-Encoding"),
                               STR_INIT("Connection"),     STR_INIT("Content-Type"),
                               STR_INIT("Date"),           STR_INIT("Server")};
    for (size_t i = 0; i < COUNT(ours); i++)
        if (str_eq_nocase(name, ours[i]))
            return true;
    return false;
}

static void drop_header(struct buf *headers, str name)
{
    for (size_t at = 0; at < headers->n;) {
        str line = str_from(buf_as_str(headers), at);
        size_t n = (size_t)str_find(line, STR("\r\n")) + 2;
        if (str_eq_nocase(str_sub(line, 0, name.n), name) && line.p[name.n] == ':') {
            memmove(headers->p + at, headers->p + at + n, headers->n - at - n);
            headers->n -= n;
        } else {
            at += n;
        }
    }
}

void http_set_header(struct http_req *r, const char *name, const char *value)
{
    str n = str_c(name), v = str_c(value);
    if (!http_is_token(n) || is_ours(n))
        return;
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < ' ' && v.p[i] != '\t')
            return;
    drop_header(&r->headers, n);
    buf_printf(&r->headers, "%s: %s\r\n", name, value);
}

/* Statuses whose answers have no body by definition. */
static bool no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

/* What the Connection field has to say, if anything. */
static const char *connection_text(const struct http_req *r)
{
    if (!r->keep)
        return "close";
    return r->parse.minor == 0 ? "keep-alive" : NULL;
}

/* r is dead to its owner from here on. */
static void finish(struct http_req *r)
{
    struct http_conn *c = r->conn;
    bool keep = r->keep;
    if (r->leaving)
        return;
    http_req_free(r);
    if (!c)
        return;
    c->req = NULL;
    http_conn_answered(c, keep);
}

void http_reply(struct http_req *r, int status, const char *content_type, str body)
{
    assert(!r->begun);
    struct http_conn *c = r->conn;
    if (c) {
        bool none = no_body(status);
        r->keep = r->parse.keep_alive && !c->s->draining;
        http_put_head(c, status, none ? NULL : content_type, buf_as_str(&r->headers),
                      none ? FRAMING_NONE : FRAMING_LENGTH, body.n, connection_text(r));
        if (!none && !str_eq(r->parse.method, STR("HEAD")))
            evbuffer_add(c->out, body.p, body.n);
    }
    finish(r);
}

void http_begin(struct http_req *r, int status, const char *content_type)
{
    assert(!r->begun);
    r->begun = true;
    struct http_conn *c = r->conn;
    if (!c)
        return;
    bool none = no_body(status);
    r->bodyless = none || str_eq(r->parse.method, STR("HEAD"));
    r->chunked = !none && r->parse.minor == 1;
    r->keep = r->parse.keep_alive && !c->s->draining && (none || r->chunked);
    http_put_head(c, status, none ? NULL : content_type, buf_as_str(&r->headers),
                  none         ? FRAMING_NONE
                  : r->chunked ? FRAMING_CHUNKED
                               : FRAMING_CLOSE,
                  0, connection_text(r));
    http_conn_kick(c);
}

void http_write(struct http_req *r, str bytes)
{
    assert(r->begun);
    struct http_conn *c = r->conn;
    if (!c || r->bodyless || bytes.n == 0)
        return;
    if (r->chunked)
        evbuffer_add_printf(c->out, "%zx\r\n", bytes.n);
    evbuffer_add(c->out, bytes.p, bytes.n);
    if (r->chunked)
        evbuffer_add(c->out, "\r\n", 2);
    http_conn_kick(c);
}

void http_end(struct http_req *r)
{
    assert(r->begun);
    if (r->conn && r->chunked && !r->bodyless)
        evbuffer_add(r->conn->out, "0\r\n\r\n", 5);
    finish(r);
}

void http_upgrade(struct http_req *r, size_t (*on_bytes)(struct http_req *r, str bytes, void *arg))
{
    assert(!r->begun);
    struct http_conn *c = r->conn;
    r->begun = true;
    r->on_bytes = on_bytes;
    if (!c)
        return;
    http_put_head(c, 101, NULL, buf_as_str(&r->headers), FRAMING_NONE, 0, "Upgrade");
    http_conn_kick(c); // there may be bytes behind the request
}

bool http_writable(const struct http_req *r)
{
    struct http_conn *c = r->conn;
    if (!c)
        return true; // what is written goes nowhere and takes no room
    bool room = evbuffer_get_length(c->out) < c->s->conf.max_unsent;
    c->refused_room |= !room;
    return room;
}

void http_abort(struct http_req *r)
{
    // A chunked answer without its last chunk is visibly cut; any other needs a reset.
    if (r->conn && !(r->begun && r->chunked && !r->bodyless))
        r->conn->reset = true;
    r->keep = false;
    finish(r);
}
