/* http/ws.h - WebSockets: frames in any pieces, and the server's end of a connection.
 *
 * In:      bytes of a client.  Out: whole messages; and frames for what the server says.
 * Threads: a struct ws_reader is pure and has one owner; http_ws_* belong to the loop thread.
 * Source:  RFC 6455; no extensions, no subprotocols. */
#ifndef HTTP_WS_H
#define HTTP_WS_H

#include "http/http.h"

/* Close codes of section 7.4.1. */
enum {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_NO_CODE = 1005, // never sent: the frame held none
    WS_CLOSE_TEXT = 1007,    // text that is not UTF-8
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_BIG = 1009
};

enum ws_got {
    WS_MORE,   // all bytes are taken, more are needed
    WS_TEXT,   // a whole message, UTF-8
    WS_BINARY, // a whole message
    WS_PING,   // to be answered with a pong of the same data
    WS_PONG,
    WS_CLOSE, // the peer closes, with `code`; feed no more
    WS_BAD    // close with `code`; feed no more
};

struct ws_reader {
    str data; // of what was got; valid until the next call
    int code; // of WS_CLOSE and WS_BAD

    /* Private. */
    size_t max;
    struct buf message, control; // unmasked
    uint8_t head[14];
    size_t n_head, need; // bytes of the frame's head that are here, and that there are
    uint64_t left;       // bytes of its payload that are not here
    size_t at;           // bytes that were: the mask's phase
    bool in_frame, given;
    int opcode, kind; // of the frame; of the message that is arriving, or 0
    bool last;
};

/* Reads a client's frames, which must be masked.  max: bytes of a message, however it is cut. */
void ws_reader_init(struct ws_reader *w, size_t max);
void ws_reader_fini(struct ws_reader *w);

/* Takes bytes off the front of *in, up to the end of the next frame that gives something. */
enum ws_got ws_read(struct ws_reader *w, str *in);

/* Appends one whole frame of the server (not masked).  opcode: 1 text, 2 binary, 8 close, 9 ping,
 * 10 pong; control frames hold at most 125 bytes.  False when out is full. */
bool ws_frame(struct buf *out, int opcode, str data);

/* The value of Sec-WebSocket-Accept for a key. */
#define WS_ACCEPT_MAX 32
void ws_accept(char out[WS_ACCEPT_MAX], str key);

/* One connection. */
struct http_ws;

struct http_ws_conf {
    size_t max_message;
    /* A text message; binary ones are dropped.  `text` is borrowed for the call, in which the
     * socket may be closed. */
    void (*on_text)(struct http_ws *ws, str text, void *arg);
    /* The client closed, left, or broke the protocol: the socket is dead behind this call. */
    void (*on_gone)(struct http_ws *ws, void *arg);
    /* http_ws_writable said no, and there is room again; may be NULL. */
    void (*on_room)(struct http_ws *ws, void *arg);
    void *arg;
};

/* Makes a WebSocket of the request, which belongs to it then.  One that asks for none, or comes
 * from a page of another origin, is left to the caller to answer: ERR_INPUT, ERR_DENIED. */
MUST_CHECK bool http_ws_open(struct http_ws **out, struct http_req *r,
                             const struct http_ws_conf *conf, struct err *e);
void http_ws_text(struct http_ws *ws, str text); // one message
void http_ws_ping(struct http_ws *ws);
bool http_ws_writable(const struct http_ws *ws);
/* Says why, and closes once everything is out; ws is dead, without on_gone. */
void http_ws_close(struct http_ws *ws, int code);

#endif
