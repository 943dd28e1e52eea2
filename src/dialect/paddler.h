/* dialect/paddler.h - what Paddler's files share. */
#ifndef DIALECT_PADDLER_H
#define DIALECT_PADDLER_H

#include "dialect/dialect_int.h"

/* paddler.c: a body into out->request, owned by the caller when true.
 *   wish  "2" or "4", the shape of the answer; empty: the body decides
 *   chat  a conversation, else a raw prompt */
MUST_CHECK bool paddler_read(struct dialect *d, const json_t *body, str wish, bool chat,
                             struct talk_order *out, struct err *e);
/* What the request's header or query wishes; empty if nothing. */
str paddler_wish(const struct http_req *r);

/* paddler_write.c */
int paddler_error(const struct err *e, struct buf *out);
/* The same about a request with an id. */
int paddler_refuse(const struct err *e, bool current, const char *id, struct buf *out);

/* paddler_socket.c: many requests over one WebSocket. */
void paddler_socket_open(struct dialect *d, struct http_req *r, str segment);
void paddler_sockets_tick(struct dialect *d, uint64_t now_ms);
/* Closes those without a request, and each other one once it has none any more; or all at once. */
void paddler_sockets_drain(struct dialect *d, bool at_once);

#endif
