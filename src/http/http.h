/* http/http.h - an HTTP/1.1 server on libevent's loop.
 *
 * In:      bytes on sockets.  Out: one call of the handler per complete request; then the handler's
 *          owner answers at once or piece by piece.
 * Threads: everything on the loop thread.
 * A client that leaves is noticed at any moment between request and end of answer (also while
 * nothing is being sent): on_gone is called once, and the request is then dead to its owner.
 * Closing only the sending side counts as leaving: nobody waits for an answer that way but by hand,
 * and it cannot be told from a client that is gone.  See docs/decisions/0001-http-server.md. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "base/err.h"

struct event_base;
struct http_server;
struct http_req;

struct http_conf {
    const char *host;
    int port;             // 0: any free one
    size_t max_body;      // larger bodies are answered 413
    size_t max_header;    // larger heads are answered 431
    int body_timeout_ms;  // a request not complete by then is answered 408 and closed
    int idle_timeout_ms;  // keep-alive connections without a request are closed
    int stall_timeout_ms; // a client that takes none of its waiting bytes for so long has left
    int max_connections;  // beyond these the oldest idle one goes; when none is idle, more are
                          // answered 503 and closed
    size_t max_held;   // bodies of all requests together (raised to fit one of max_body); what does
                       // not fit is answered 503
    size_t max_unsent; // bytes queued to a slow reader before http_writable says no
};
struct http_conf http_conf_default(void);

/* A complete request has arrived.  The handler must see to it that an answer is begun or that one
 * is remembered to be given later.  HEAD and OPTIONS come here like any other method; what is
 * written to a HEAD request is dropped. */
typedef void (*http_handler)(struct http_req *r, void *arg);

/* Malformed messages never reach the handler; `on_error` writes the JSON body for them (400, 408,
 * 413, 414, 415, 417, 431, 501, 503, 505), so that even those carry the dialect's shape.  May be
 * NULL: plain text.  `message` is a sentence. */
typedef void (*http_error_body)(int status, const char *message, struct buf *body, void *arg);

/* Listens; the host may be a name, an IPv4 or IPv6 address, "::" or "0.0.0.0" for all.
 *   conf    copied, but for the host, which is needed only now
 *   ERR_INPUT (no such host), ERR_IO (taken, not permitted), ERR_INTERNAL (no epoll) */
MUST_CHECK bool http_listen(struct http_server **out, struct event_base *base,
                            const struct http_conf *conf, http_handler handler,
                            http_error_body on_error, void *arg, struct err *e);
int http_port(const struct http_server *s);      // the real one
void http_stop_accepting(struct http_server *s); // drain: open requests go on

/* Connections with a request that is arriving, waiting, or whose answer is not yet sent in full. */
int http_open_requests(const struct http_server *s);

/* Cuts what is left; on_gone is called for requests without an end.  NULL is fine. */
void http_close(struct http_server *s);

/* The request, valid until its answer ends or on_gone. */
str http_method(const struct http_req *r);
str http_path(const struct http_req *r); // decoded once, without the query; always begins with '/'
bool http_query(const struct http_req *r, const char *name, str *value);  // decoded
bool http_header(const struct http_req *r, const char *name, str *value); // name in any case
str http_body(const struct http_req *r);
str http_peer(const struct http_req *r); // address text

/* Who wants to know that the client left; on_room is called when a stream that http_writable
 * refused can take more.  Either may be NULL; without on_gone, r lives until it is answered, and
 * what is written to it goes nowhere.  In on_gone r can be read, and is freed behind it.  Both are
 * called from the loop, never from inside another function of this header but http_close. */
void http_watch(struct http_req *r, void (*on_gone)(struct http_req *r, void *arg),
                void (*on_room)(struct http_req *r, void *arg), void *arg);

/* Headers of the answer, before it begins; a second value replaces the first.  Name and value are
 * copied; values with control characters are dropped (never injected), and so are the names that
 * this room writes: Content-Type and -Length, Transfer-Encoding, Connection, Date, Server. */
void http_set_header(struct http_req *r, const char *name, const char *value);

/* A whole answer; ends the request (r is dead afterwards; on_gone is not called any more). */
void http_reply(struct http_req *r, int status, const char *content_type, str body);

/* A streamed one (chunked): begin, any number of writes, end. */
void http_begin(struct http_req *r, int status, const char *content_type);
void http_write(struct http_req *r, str bytes); // copied
void http_end(struct http_req *r);
bool http_writable(const struct http_req *r); // less than max_unsent is waiting

/* Cuts the connection in mid-answer: an error the client must see.  What was written before goes
 * out as far as the client takes it.  r is dead afterwards, without on_gone. */
void http_abort(struct http_req *r);

const char *http_status_text(int status); // "Unknown" for those without a name

#endif
