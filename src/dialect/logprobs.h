/* dialect/logprobs.h - log-probabilities and token ids as OpenAI and its kin write them.
 * Threads: pure. */
#ifndef DIALECT_LOGPROBS_H
#define DIALECT_LOGPROBS_H

#include "dialect/dialect_int.h"

/* Tokens whose text nobody sees (hidden control tokens) have no entry. */

/* Of one event of a chat, as `"logprobs":VALUE`: null where none were asked for or the event
 * carries no text, else {"content":[...]}, for OpenAI with "refusal":null. */
void logprobs_chat_event(const struct talk_facts *f, const struct chat_event *ev, bool refusal,
                         struct buf *out);
/* The same of a whole answer. */
void logprobs_chat_whole(const struct talk_facts *f, const struct run *run, int choice,
                         bool refusal, struct buf *out);
/* The entries alone, as `[...]`. */
void logprobs_entries(const struct chat_event *ev, struct buf *out);
void logprobs_whole_entries(const struct run *run, int choice, struct buf *out);

/* Of completions, as `"logprobs":VALUE`: parallel arrays.  *at is the number of characters that
 * stand before the event's text in its choice; it moves on behind it. */
void logprobs_text_event(const struct talk_facts *f, const struct chat_event *ev, size_t *at,
                         struct buf *out);
void logprobs_text_whole(const struct talk_facts *f, const struct run *run, int choice, size_t at,
                         struct buf *out);
size_t logprobs_characters(str text);

/* The ids of all tokens behind a choice's text, as `[1,2]`. */
void logprobs_ids(const struct run *run, int choice, struct buf *out);

#endif
