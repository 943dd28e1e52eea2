/* http/sse.h - the two ways to stream events over HTTP: server-sent events and lines of JSON.
 *
 * In:      event names and data.  Out: frames; and for clients, frames back into events.
 * Threads: pure; a struct http_sse_reader has one owner.
 * Source:  WHATWG HTML, "Server-sent events". */
#ifndef HTTP_SSE_H
#define HTTP_SSE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends one event.
 *   event   its name, without line breaks (they are dropped), or NULL for none
 *   data    any text; each of its lines (ended by LF, CR or CR LF) becomes a data line
 *   False when out is full (nothing is appended then). */
bool http_sse_frame(struct buf *out, const char *event, str data);

/* The same with an id, so that a client can come back with Last-Event-ID.  id as event. */
bool http_sse_frame_id(struct buf *out, const char *id, const char *event, str data);

/* Appends a comment, which clients skip: keeps a silent stream alive. */
bool http_sse_comment(struct buf *out, const char *text);

/* Appends one line of JSON.  Line breaks between its tokens become blanks (strings hold none). */
bool http_json_line(struct buf *out, str json);

/* Reads a stream of events in any pieces.  The fields are borrowed for the call. */
typedef void (*http_sse_event)(str event, str data, str id, void *arg);

struct http_sse_reader {
    struct buf line, data, event, id;
    struct buf last; // id behind which the stream can be taken up again; empty: none
    int retry_ms;    // ... after a pause that the server wants; < 0: it did not say
    bool after_cr, has_data, began;
};

/* max bounds a line, and the data of an event. */
void http_sse_reader_init(struct http_sse_reader *r, size_t max);
void http_sse_reader_fini(struct http_sse_reader *r);
/* The stream broke off and another will go on behind `last`: half an event is forgotten. */
void http_sse_reader_again(struct http_sse_reader *r);

/* ERR_LIMIT when a line or an event is larger than max; feed no more then. */
MUST_CHECK bool http_sse_read(struct http_sse_reader *r, str bytes, http_sse_event on_event,
                              void *arg, struct err *e);

#endif
