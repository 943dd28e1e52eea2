/* dialect/friendli.h - what FriendliAI's files share. */
#ifndef DIALECT_FRIENDLI_H
#define DIALECT_FRIENDLI_H

#include "dialect/dialect_int.h"

/* friendli_read.c */
bool friendli_read_chat(struct dialect *d, struct http_req *r, struct talk_order *out,
                        struct err *e);
bool friendli_read_assisted(struct dialect *d, struct http_req *r, struct talk_order *out,
                            struct err *e); // the path where tools run on the server
bool friendli_read_completion(struct dialect *d, struct http_req *r, struct talk_order *out,
                              struct err *e);

/* friendli_write.c */
extern const struct wire friendli_chat_wire, friendli_completion_wire;
extern const struct wire friendli_tools_wire, friendli_quiet_wire; // with tool_status, and without
/* The union of the error shapes that its clients know: 422 with `detail` for faults of a body. */
int friendli_error(const struct err *e, struct buf *out);

#endif
