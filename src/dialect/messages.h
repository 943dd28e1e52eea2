/* dialect/messages.h - the messages wire, shared by Anthropic's brand and Zylon's.
 *
 * In:      bodies of POST /v1/messages and its kin.  Out: neutral requests, and events as
 * message_start, content_block_*, message_delta, message_stop.
 * Threads: pure, but for what takes a struct dialect (loop). */
#ifndef DIALECT_MESSAGES_H
#define DIALECT_MESSAGES_H

#include "dialect/dialect_int.h"

/* Where the two brands differ. */
struct manner {
    bool strict;            // model and max_tokens are demanded, negative numbers refused
    bool stamps;            // blocks carry ids and times
    bool whole_input;       // a call's input is sent in one piece, as text and as an object
    const char *call;       // prefix of call ids
    const char *no_context; // stop_reason when the context ends before max_tokens
    // what is meant where the body and the model's file say nothing
    float temperature, top_p, min_p;
    int top_k;
};
extern const struct manner anthropic_manner, zylon_manner;

enum messages_think { THINK_UNSAID, THINK_OFF, THINK_IF_ABLE, THINK_ON };

/* What a body says beside its neutral request. */
struct messages_more {
    size_t n_messages;
    enum messages_think think;
    const char *effort;                    // a constant, or NULL
    const char *choice;                    // type of tool_choice, a constant
    bool calls, tooled;                    // tool calls in the history; tools offered
    bool default_prompt;                   // the server's own words are wanted
    bool temperature, top_p, min_p, top_k; // given by the body
    struct err late;                       // code set: well-formed, but cannot be answered here
};

/* Reads a whole body into out->request (owned by the caller when true).
 *   rs        whose tools may be asked for; NULL: none
 *   counting  sampling and max_tokens do not matter, tools may be offered
 *   ERR_INPUT with where = the field; ERR_LIMIT */
MUST_CHECK bool messages_read(const struct manner *m, const struct runs *rs, size_t max_request,
                              str body, bool counting, struct talk_order *out,
                              struct messages_more *more, struct err *e);

/* messages_turns.c: `system` and `messages` as canonical messages, a new array. */
MUST_CHECK json_t *messages_turns(const json_t *system, const json_t *messages,
                                  struct messages_more *more, struct buf *ignored, struct err *e);

/* messages_tools.c: tools that run on the server.  A type of the brand's, "web_fetch_v1", as the
 * catalogue's name of a tool; empty: it is none. */
str messages_builtin(str type);
/* Offers it.  *dropped: it is one of Anthropic's dated ones, and not to be had here. */
MUST_CHECK bool messages_offer(const struct runs *rs, const json_t *tool, str type, str builtin,
                               const json_t *context, struct chat_request *r, struct err *e);
MUST_CHECK bool messages_servers(const struct runs *rs, const json_t *servers,
                                 struct chat_request *r, struct err *e);

/* Does one bring a token to refresh its own with? */
bool messages_refreshes(const json_t *servers);
/* An item of type mcp_toolset, once the servers have been read. */
MUST_CHECK bool messages_toolset(const json_t *tool, const char *place, struct chat_request *r,
                                 struct err *e);

/* Remembers the first reason why a well-formed request cannot be answered. */
void messages_late(struct messages_more *more, const char *where, const char *kind,
                   const char *text);

/* messages_serve.c: reads r's body and fits it to the model it names: aliases, the model's own
 * sampling defaults, thinking. */
MUST_CHECK bool messages_order(struct dialect *d, struct http_req *r, const struct manner *m,
                               bool counting, struct talk_order *out, struct messages_more *more,
                               struct err *e);
void messages_count(struct dialect *d, struct http_req *r, const struct manner *m);

/* anthropic.c, also for brands that have its routes below a prefix */
bool anthropic_read(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e);
void anthropic_count(struct dialect *d, struct http_req *r, str segment);

/* messages_results.c.  The id of a call to a tool of the server: the log's, in the brand's form. */
void messages_write_server_id(const struct talk_facts *f, const char *field, str id,
                              struct buf *out);
/* The members of a result's block behind its type, which is returned, a constant. */
const char *messages_write_result(const struct talk_facts *f, const struct chat_event *ev,
                                  struct buf *out);

/* messages_write.c */
#define MESSAGES_HEX 33
/* 32 hex digits that depend on the texts and the number alone. */
void messages_hex(char out[MESSAGES_HEX], const char *text, const char *kind, int number);
/* messages_error.c */
int anthropic_error(const struct err *e, const char *request_id, struct buf *out);
int zylon_error(const struct err *e, const char *request_id, struct buf *out);

/* messages_models.c */
void models_page(struct dialect *d, struct http_req *r, str segment);
void models_page_entry(struct dialect *d, struct http_req *r, str id);

#endif
