/* http/http_int.h - shared by conn.c (sockets) and answer.c (what owners of requests call).
 *
 * One edge-triggered event watches a connection for its whole life, for reading, writing and
 * closing at once: nothing that happens on the socket is missed in any state, and waiting costs no
 * further system call.  Work is done only in conn.c's conn_run, which the event calls; what owners
 * call only appends to `out` and asks for a run, so that their callbacks are never entered from
 * inside their own calls. */
#ifndef HTTP_INT_H
#define HTTP_INT_H

#include "base/arena.h"
#include "http/http.h"
#include "http/parse.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>

enum http_phase {
    PHASE_IDLE,    // between requests
    PHASE_RECEIVE, // some bytes of a request are here
    PHASE_ANSWER,  // the handler has it
    PHASE_FLUSH,   // nothing more is taken; what is queued goes out
    PHASE_LINGER,  // all is sent; what still comes is thrown away until the peer closes
    PHASE_DEAD     // to be freed when the run ends
};

#define HTTP_HEADERS_MAX 16384 // of an answer, beside those written here
#define HTTP_PEER_MAX    64

enum http_timer { TIMER_NONE, TIMER_IDLE, TIMER_RECEIVE, TIMER_STALL, TIMER_LINGER };

struct http_conn {
    struct http_server *s;
    struct http_conn *prev, *next;
    int fd;
    enum http_phase phase;
    struct event ev;       // the socket
    struct event again;    // "run me in the next round of the loop"
    struct event timer;    // the one deadline that counts now
    enum http_timer armed; // what timer stands for,
    uint64_t armed_mark;   // and at which point it was set
    struct evbuffer *out;
    struct buf ahead;     // received behind the request that is being answered
    struct http_req *req; // in PHASE_RECEIVE and PHASE_ANSWER
    uint64_t n_requests, n_sent;
    size_t held;              // memory of the request's body, as counted in the server's `held`
    bool can_read, can_write; // no EAGAIN since the last edge
    bool eof;                 // the peer has sent its last byte
    bool refused_room;        // http_writable said no since on_room was last called
    bool extra;               // beyond max_connections: only there to be told so
    bool reset;               // close with RST, so that nobody takes a cut answer for a whole one
    char peer[HTTP_PEER_MAX];
};

struct http_server {
    struct event_base *base;
    struct http_conf conf;
    http_handler handler;
    http_error_body on_error;
    void *arg;
    struct evconnlistener *listener; // NULL once stopped
    struct event retry;              // listens again after descriptors ran out
    int port;
    struct http_conn *conns;
    int n_conns, n_extra;
    size_t held; // sum over conns
    bool draining;
    int64_t date_s; // the second that date[] shows
    char date[40];
};

struct http_req {
    struct http_conn *conn; // NULL once the client left
    struct http_parse parse;
    struct arena arena; // decoded query values
    struct buf headers; // "Name: value\r\n"...
    void (*on_gone)(struct http_req *r, void *arg);
    void (*on_room)(struct http_req *r, void *arg);
    /* Of a connection that carries another protocol: takes what came, returns the memory that it
     * holds for it.  The request may end in it. */
    size_t (*on_bytes)(struct http_req *r, str bytes, void *arg);
    void *watch_arg;
    size_t n_held; // as on_bytes said
    bool begun, chunked, bodyless;
    bool keep;    // the connection survives this answer
    bool leaving; // on_gone is running
    char peer[HTTP_PEER_MAX];
};

/* Asks for conn_run in the next round of the loop. */
void http_conn_kick(struct http_conn *c);

/* The answer is complete: the connection goes on with the next request, or closes. */
void http_conn_answered(struct http_conn *c, bool keep);

void http_req_free(struct http_req *r);

/* Answers 101: from here on http_write writes as it is, until http_end closes, and what comes goes
 * to on_bytes, with http_watch's arg.  The caller has set the Upgrade field. */
void http_upgrade(struct http_req *r, size_t (*on_bytes)(struct http_req *r, str bytes, void *arg));

/* How the end of a body is told. */
enum http_framing { FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE, FRAMING_NONE };

/* Queues status line and headers.  `extra` is "Name: value\r\n"... and may be empty. */
void http_put_head(struct http_conn *c, int status, const char *content_type, str extra,
                   enum http_framing framing, size_t length, const char *connection);

#endif
