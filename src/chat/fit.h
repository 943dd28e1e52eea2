/* chat/fit.h - earlier turns leave so that a conversation fits.
 *
 * Messages leave whole, oldest first, and no more of them than must.  System messages, the last
 * user message and all behind it stay; so does the last message where there is none from the user.
 * The results of tool calls leave with the message that called, and an answer with the message
 * before it where the template takes no conversation that begins with an answer.
 * Threads: one owner of the request at a time. */
#ifndef CHAT_FIT_H
#define CHAT_FIT_H

#include "chat/template.h"

/* Tokenizes r->messages and, if that gives more than `most` tokens, takes out of r->messages what
 * must go.  When all has gone that may go, what is left may still be longer than `most`.
 *   ids        appended to; empty before
 *   n_evicted  messages taken out
 *   start      as chat_prepare
 *   errors     those of chat_tokenize, for what is left
 * Cost: about log2(turns) + 3 renderings when something must go. */
MUST_CHECK bool chat_fit(const struct chat_template *t, struct chat_request *r, size_t most,
                         struct tok_ids *ids, size_t *n_evicted, struct chat_start *start,
                         struct err *e);

#endif
