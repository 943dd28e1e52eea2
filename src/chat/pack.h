/* chat/pack.h - requests and events as bytes that last, and back.
 *
 * In:      a request or an event.  Out: JSON text (requests), a compact record (events); reading
 * either back gives an equal one, or an error: the bytes may have been damaged.
 * Threads: pure.
 *
 * A new member of chat_request or chat_event gets a row in pack_request.c or pack_event.c; numbers
 * and names that are there are never given another meaning. */
#ifndef CHAT_PACK_H
#define CHAT_PACK_H

#include "chat/chat.h"

/* Appends the request as a JSON object; false when out is full. */
bool chat_request_pack(const struct chat_request *r, struct buf *out);

/* The caller owns the result (chat_request_free).
 *   max_memory  cap of its arena
 *   ERR_FORMAT  no request, or one with members that are not known here; where = the member
 *   ERR_LIMIT */
MUST_CHECK struct chat_request *chat_request_unpack(str text, size_t max_memory, struct err *e);

/* Appends the event.
 *   more  bytes that the caller wants back with it
 *   false when out is full */
bool chat_event_pack(const struct chat_event *ev, str more, struct buf *out);

/* Texts, tokens and the error are copied into a.  *ev and *more are untouched on failure.
 *   ERR_FORMAT, ERR_LIMIT (the arena) */
MUST_CHECK bool chat_event_unpack(str bytes, struct arena *a, struct chat_event *ev, str *more,
                                  struct err *e);

/* Whole numbers in as few bytes as they need, for what goes into `more`. */
void chat_pack_number(struct buf *out, uint64_t v);
MUST_CHECK bool chat_unpack_number(str *in, uint64_t *v); // false: the bytes are none

#endif
