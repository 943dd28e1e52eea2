/* dialect/responses.h - what the files of OpenAI's Responses API share.
 *
 * A stored response is a run: its log gives the output, and what its body said beside that lives in
 * the request's `aside`, as {"responses":{"show":{...},"input":[...],"instructed":bool}}: `show`
 * are the members that the response object repeats, `input` the items of its own body,
 * `instructed` says that the first message is the body's `instructions`.
 * Source: the vendor's OpenAPI description 2.3.0 and its Node client 6.49. */
#ifndef DIALECT_RESPONSES_H
#define DIALECT_RESPONSES_H

#include "dialect/dialect_int.h"

#define RESPONSES_ORIGIN "openai.responses"
#define RESPONSES_PREFIX "resp_"

/* responses_items.c: appends what the items of `input` (a string, or an array) mean to `messages`.
 *   ERR_INPUT, where = "input[i]..." */
MUST_CHECK bool responses_turns(const json_t *input, json_t *messages, struct err *e);
/* The same items as input_items lists them: messages with lists of parts, everything with a type;
 * a new array.  Ids that are missing are given when they are listed. */
json_t *responses_items(const json_t *input);

/* responses_read.c */
bool responses_read(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e);
/* Part of a request's aside, borrowed; NULL if this is none of a response. */
const json_t *responses_aside(const struct chat_request *r, const char *part);

/* responses_write.c */
extern const struct wire responses_wire;

/* responses.c */
bool responses_is(const struct run *run); // begun by POST /v1/responses and to be stored
/* The stored response of this id ("resp_..."), held; NULL with ERR_NOT_FOUND. */
struct run *responses_find(struct dialect *d, str id, struct err *e);

void responses_show(struct dialect *d, struct http_req *r, str id);
void responses_delete(struct dialect *d, struct http_req *r, str id);
void responses_cancel(struct dialect *d, struct http_req *r, str id);
void responses_list_input(struct dialect *d, struct http_req *r, str id);
typedef bool (*request_reader)(struct dialect *d, struct http_req *r, struct talk_order *out,
                               struct err *e);
/* Answers with the tokens of the prompt that the body makes. */
void openai_count(struct dialect *d, struct http_req *r, request_reader read);
void responses_count(struct dialect *d, struct http_req *r, str segment);

/* Its routes below a path, for the tables of brands that have it. */
/* The stored response that a body goes on from. */
bool responses_wants_previous(struct http_req *r, str segment, char name[RUN_ALIAS_MAX + 1]);

#define RESPONSES_ROUTES(at)                                                                       \
    {"POST",          at "/responses", RESPONSES_ORIGIN,                                           \
     &responses_wire, responses_read,  .wants = responses_wants_previous},                         \
        {"POST", at "/responses/input_tokens", "openai.count", .plain = responses_count,           \
         .wants = responses_wants_previous},                                                       \
        {"GET", at "/responses/{}", "openai.response", .plain = responses_show,                    \
         .wants = dialect_wants_segment},                                                          \
        {"DELETE", at "/responses/{}", "openai.response", .plain = responses_delete,               \
         .wants = dialect_wants_segment},                                                          \
        {"POST", at "/responses/{}/cancel", "openai.cancel", .plain = responses_cancel,            \
         .wants = dialect_wants_segment},                                                          \
    {                                                                                              \
        "GET", at "/responses/{}/input_items", "openai.items", .plain = responses_list_input,      \
                                                               .wants = dialect_wants_segment      \
    }

#endif
