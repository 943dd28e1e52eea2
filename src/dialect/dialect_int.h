/* dialect/dialect_int.h - what the files of this room share. */
#ifndef DIALECT_DIALECT_INT_H
#define DIALECT_DIALECT_INT_H

#include "dialect/dialect.h"
#include "json/json.h"

#define ANSWER_MAX ((size_t)64 << 20) // bytes of one answer

/* What an encoder may know of a request beside its events. */
struct talk_facts {
    char id[ID_MAX]; // with the wire's prefix
    int64_t created_unix;
    const char *model; // name of the model that answers
    const char *fingerprint;
    int n_choices; // over all prompts
    bool include_usage;
    bool echo; // completions: the prompt stands before the answer
    const struct chat_request *request;
};

/* A wire: how a body is read is the route's affair; how events become bytes is here.  Encoders are
 * pure functions of (facts, state, event). */
struct wire {
    const char *id_prefix;
    const char *stream_type; // content type of a stream
    size_t state_size;       // zeroed before the first event
    /* Appends what this event is on the wire. */
    void (*event)(const struct talk_facts *f, void *state, const struct chat_event *ev,
                  struct buf *out);
    /* Appends the whole answer of a completed run. */
    void (*whole)(const struct talk_facts *f, const struct run *run, struct buf *out);
    /* Appends the error's body; returns the HTTP status. */
    int (*error)(const struct err *e, struct buf *out);
    const char *keep_alive; // sent to a waiting stream
};

extern const struct wire openai_chat_wire, openai_completion_wire;

/* What a route's reader makes of a body. */
struct talk_order {
    struct chat_request *request; // owned until talk_start
    bool stream, include_usage, echo;
    struct buf ignored; // names for X-Confab-Ignored
};

/* One request being answered. */
struct talk {
    struct dialect *d;
    struct http_req *req; // NULL once answered or gone
    const struct wire *wire;
    const char *route;
    struct talk_facts facts;
    void *state;
    struct run *run;
    char request_id[ID_MAX];
    bool stream, begun, paused;
    size_t n_sent; // events of the log that are on the wire
    uint64_t began_ms, first_ms, last_sent_ms;
    int status;
    struct talk *next, **link;
};

struct dialect {
    struct dialect_conf conf;
    struct talk *talks;
    int n_live;
};

/* Begins to answer r with a run for the order; takes order->request. */
void talk_start(struct dialect *d, struct http_req *r, const struct wire *wire, const char *route,
                const char *request_id, struct talk_order *order);
void talk_drop(struct talk *t, bool client_left);

/* openai_read.c */
bool openai_read_chat(struct dialect *d, str body, struct talk_order *out, struct err *e);
bool openai_read_completion(struct dialect *d, str body, struct talk_order *out, struct err *e);
/* Messages as every template takes them: content as one string, developer as system.  Returns a new
 * array. */
json_t *openai_messages(const json_t *messages, struct err *e);
/* chat_template_kwargs and the two switches of continuation, also for /apply-template. */
bool openai_chat_shape(const json_t *body, struct chat_request *r, struct err *e);

/* openai_write.c */
int openai_error(const struct err *e, struct buf *out);
void openai_error_body(struct buf *out, const char *type, const char *message, const char *param,
                       const char *code);

/* native.c: bodies as llama-server's */
void native_tokenize(struct dialect *d, struct http_req *r);
void native_detokenize(struct dialect *d, struct http_req *r);
void native_apply_template(struct dialect *d, struct http_req *r);

/* models.c */
void models_list(struct dialect *d, struct http_req *r);
void models_show(struct dialect *d, struct http_req *r, str id);

#endif
