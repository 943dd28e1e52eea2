/* dialect/dialect_int.h - what the files of this room share. */
#ifndef DIALECT_DIALECT_INT_H
#define DIALECT_DIALECT_INT_H

#include "chat/output.h"
#include "dialect/dialect.h"
#include "json/json.h"

#define ANSWER_MAX ((size_t)64 << 20) // bytes of one answer
#define ERROR_MAX  ((size_t)32 << 10) // of an error's body

/* What an encoder may know of a request beside its events. */
struct talk_facts {
    char id[ID_MAX]; // with the wire's prefix
    int64_t created_unix;
    const char *model; // name of the model that answers
    const char *fingerprint;
    int n_choices; // over all prompts
    bool include_usage;
    bool echo;           // completions: the prompt stands before the answer
    bool hide_reasoning; // thinking is left out of the answer
    bool functions;      // a call is told as `function_call`, in OpenAI's older way
    const struct chat_request *request;
    uint64_t seed;      // of choice 0
    int64_t created_ms; // since 1970
    uint64_t n_skip;    // of a wire that numbers its own frames: so many are not sent
    bool progress;      // the body asked for the prompt's progress
    bool plain_tools;   // messages: the server's calls are shown as a client's are
};

/* A wire: how events become bytes.  Encoders are pure functions of (facts, state, event). */
struct wire {
    const char *id_prefix;
    const char *stream_type; // content type of a stream
    size_t state_size;       // zeroed before the first event
    bool sse;     // frames may carry `id:` lines with the log's numbers, for a client that asks
    bool at_once; // a stream begins with its request: later errors come in it, with status 200
    bool tells_cancel; // an answer cut short by cancellation or deadline is an answer all the same
    /* Appends what this event is on the wire. */
    void (*event)(const struct talk_facts *f, void *state, const struct chat_event *ev,
                  struct buf *out);
    /* Appends the whole answer of a completed run. */
    void (*whole)(const struct talk_facts *f, const struct run *run, struct buf *out);
    /* Appends the error's body; returns the HTTP status. */
    int (*error)(const struct err *e, struct buf *out);
    /* The same for a body that names the request, if not NULL. */
    int (*error_for)(const struct err *e, const char *request_id, struct buf *out);
    /* A whole answer that is an error after all; may be NULL. */
    bool (*refuse)(const struct run *run, struct err *e);
    /* The answer's id, by which the run is found too; NULL: id_prefix and the run's id. */
    void (*name)(char out[ID_MAX], const struct run *run);
    /* Puts a prompt that does not fit into the brand's own words: its tokens, and the most that
     * would fit.  NULL: the words of `e` stay. */
    void (*too_long)(struct err *e, size_t n_prompt, size_t most);
    void (*state_fini)(void *state); // releases what the state owns; may be NULL
    const char *keep_alive;          // sent to a waiting stream; "" or NULL: nothing,
    /* ... or what this appends; may be NULL. */
    void (*alive)(const struct talk_facts *f, struct buf *out);
};

extern const struct wire openai_chat_wire, openai_completion_wire;
extern const struct wire pawa_wire, pawa_sse_wire;
extern const struct wire nugen_chat_wire, nugen_completion_wire;
extern const struct wire paddler_wire, paddler_current_wire, paddler_parsed_wire;
extern const struct wire anthropic_wire, zylon_wire;

/* What a route's reader makes of a request. */
struct talk_order {
    struct chat_request *request; // owned until talk_start
    const struct wire *wire;      // instead of the route's, if not NULL
    bool stream, include_usage, echo, hide_reasoning, functions, progress;
    bool detach;        // the run goes on when the client leaves
    bool store;         // the run outlasts the process, where anything does
    bool acknowledge;   // not a stream: what is there at once is the answer
    str correlation_id; // in the request's arena
    struct err late;    // code set: the run ends with it at once
    struct buf ignored; // names for X-Confab-Ignored
    struct buf fault;   // a reader's own error body, with its status, instead of the wire's
    int fault_status;
};

/* A route.  A path segment "{}" stands for any one segment, "{*}" at the end for all that is left;
 * the handler gets what stood there. */
struct route {
    const char *method, *path, *name;
    /* An answer that is a run ... */
    const struct wire *wire;
    bool (*read)(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e);
    /* ... or anything else. */
    void (*plain)(struct dialect *d, struct http_req *r, str segment);
    /* The run that has to be in memory before the route is served, if the store has it: its id or
     * alias, NUL-terminated; false: none.  NULL: none ever. */
    bool (*wants)(struct http_req *r, str segment, char name[RUN_ALIAS_MAX + 1]);
};

/* An API: its routes and the shape of its errors.  First match wins, in the order of the list in
 * dialect.c. */
struct brand {
    const char *name;
    const struct route *routes;
    size_t n_routes;
    int (*error)(const struct err *e, struct buf *out);
    bool (*is_ours)(const struct http_req *r); // NULL: all requests to its routes are
    const char *under;      // unknown paths that begin so are answered in its shape, if not NULL
    const char *prefix;     // its routes are found behind this too, if not NULL,
    bool prefix_only;       // or there alone
    const char *request_id; // one more header for the request's id, if not NULL
    bool any_type;          // bodies are JSON whatever their Content-Type
};
extern const struct brand openai_brand, native_brand;
extern const struct brand paddler_brand, nugen_brand, pawa_brand;
extern const struct brand friendli_files_brand, friendli_brand, friendli_dedicated_brand,
    friendli_tools_brand, friendli_container_brand;
extern const struct brand ollama_brand;
extern const struct brand anthropic_brand, zylon_brand, zylon_hosted_brand;

/* One request being answered. */
struct talk {
    struct dialect *d;
    struct http_req *req; // NULL once answered or gone
    const struct wire *wire;
    const char *route;
    struct talk_facts facts;
    void *state;
    struct run *run; // held
    struct run_follower *follower;
    struct run_sync *sync; // the answer is given when the run is stored
    char request_id[ID_MAX];
    bool stream, begun, paused;
    bool ids;      // the client asked for the events' numbers,
    bool comments; // and for comments on queue and prompt
    bool observes; // a run that others wait for: it is not held back
    size_t n_sent; // events of the log that are on the wire
    size_t n_skip; // of these, how many the client has already
    uint64_t began_ms, first_ms, last_sent_ms;
    int status;
    struct talk *next, **link;
};

struct dialect {
    struct dialect_conf conf;
    struct talk *talks;
    struct paddler_socket *sockets;
    bool draining;
    struct parked *parked;
    int n_live;
    char request_id[ID_MAX]; // of the request that is being served
    str team;                // whose it is; borrowed while it is being served
};

/* Begins to answer r with a run for the order; takes order->request. */
void talk_start(struct dialect *d, struct http_req *r, const struct route *route,
                const char *request_id, struct talk_order *order);
/* Streams the log of a run that is there already, from behind event number `after`; takes the
 * caller's hold on it. */
void talk_observe(struct dialect *d, struct http_req *r, const struct route *route,
                  const char *request_id, struct run *run, size_t after);
/* The same from behind the wire's own first n_skip frames. */
void talk_observe_frames(struct dialect *d, struct http_req *r, const struct route *route,
                         const char *request_id, struct run *run, uint64_t n_skip);
void talk_drop(struct talk *t, bool client_left);

/* What encoders may know of a run that there is. */
struct talk_facts talk_facts_of(const struct dialect *d, const struct wire *wire,
                                const struct run *run);

/* Begins a run for the order, takes order->request: the run is held for the caller, NULL with an
 * error of run_start's.  r gets headers for its answer; NULL: nobody wants them. */
struct run *talk_run(struct dialect *d, struct http_req *r, struct talk_order *order,
                     const char *origin, struct err *e);
/* Tells when to come back, as measured by the run's model, or by the first without a run. */
void talk_retry_after(const struct dialect *d, struct http_req *r, const struct run *run);
/* The error in the wire's shape; returns the status. */
int wire_error(const struct wire *w, const struct err *e, const char *request_id, struct buf *out);

/* The talk's route by its name ("openai.chat"), or NULL: whose wire a run was begun on. */
const struct route *dialect_find_route(const char *name);

/* A whole error in a brand's shape. */
void dialect_reply(struct http_req *r, int (*error)(const struct err *e, struct buf *out),
                   const struct err *e);

/* The JSON object in a body; ERR_INPUT if it is none.  The caller owns it. */
json_t *dialect_parse_body(struct http_req *r, struct err *e);

/* park.c */
/* Sees to it that the run which the route wants is in memory, if there is one.  True: r is seen to,
 * and the route will be served later. */
bool dialect_load(struct dialect *d, struct http_req *r, const struct brand *brand,
                  const struct route *route, str segment);
bool dialect_wants_segment(struct http_req *r, str segment, char name[RUN_ALIAS_MAX + 1]);
/* Calls then, once, perhaps at once, when what was done to the run is stored (run_sync), or cannot
 * be: e is the reason.  Takes the hold on the run, which ends behind the call.  Nothing is called
 * when the client left. */
typedef void (*parked_then)(struct dialect *d, struct http_req *r, struct run *run, str segment,
                            const struct err *e);
void dialect_when_stored(struct dialect *d, struct http_req *r, struct run *run, str segment,
                         parked_then then);
void dialect_drop_parked(struct dialect *d);
/* dialect.c: the route for a request that was admitted. */
void dialect_serve_route(struct dialect *d, struct http_req *r, const struct route *route,
                         const char *request_id, str segment);

/* streams.c: any run's log by its id */
extern const struct brand streams_brand;

/* openai_read.c */
bool openai_read_chat(struct dialect *d, str body, struct talk_order *out, struct err *e);
bool openai_read_completion(struct dialect *d, str body, struct talk_order *out, struct err *e);
/* The team of the request that is being served: who may see its run. */
str dialect_team(const struct dialect *d);
/* Messages as every template takes them: content as one string, developer as system.  Returns a new
 * array. */
json_t *openai_messages(const json_t *messages, struct err *e);
/* chat_template_kwargs and the two switches of continuation, also for /apply-template. */
bool openai_chat_shape(const json_t *body, struct chat_request *r, struct err *e);

/* Parts of a body that other dialects share with OpenAI's. */
bool openai_read_stops(const json_t *v, struct chat_request *r, struct err *e);
bool openai_read_seed(const json_t *v, struct chat_request *r, struct err *e);
bool openai_read_prompts(const json_t *v, struct chat_request *r, struct err *e);

/* openai_write.c */
int openai_error(const struct err *e, struct buf *out);
void openai_error_body(struct buf *out, const char *type, const char *message, const char *param,
                       const char *code);

/* calls.c: the tool calls of an answer, gathered from its events.  Zeroed memory is an empty one.
 */
struct call {
    str id, name; // borrowed from the log
    int choice;
    struct buf arguments;
};
struct calls {
    struct call *list;
    size_t n;
};
void calls_add(struct calls *c, const struct chat_event *ev); // events that are no calls are fine
void calls_add_run(struct calls *c, const struct run *run);
void calls_fini(struct calls *c);
bool calls_has(const struct calls *c, int choice);
/* CHAT_SERVER_ASK and CHAT_SERVER_PROGRESS as comments, for wires of server-sent events that have
 * none for them. */
void calls_report(const struct chat_event *ev, struct buf *out);
/* OpenAI's array of one choice's calls, arguments as text. */
void calls_write(const struct calls *c, int choice, struct buf *out);
/* The choice's first call as the older `function_call`; null: none. */
void calls_write_function(const struct calls *c, int choice, struct buf *out);

/* server_tools.c: tools that run on this server, in OpenAI's shape.  Call before tools_read, which
 * leaves them out by server_tools_skip.  ERR_INPUT, ERR_NOT_FOUND (a file). */
bool server_tools_read(struct dialect *d, const json_t *body, struct chat_request *r,
                       struct err *e);
bool server_tools_skip(const json_t *tool);
/* Parts of an MCP server's description; false: they are none. */
bool server_tools_header(struct chat_request *r, struct chat_mcp_server *m, str name, str value);
bool server_tools_headers(const json_t *headers, struct chat_request *r, struct chat_mcp_server *m);
bool server_tools_allow(const json_t *names, struct chat_request *r, struct chat_mcp_server *m);
bool server_tools_check_file(struct dialect *d, str id, struct err *e);

/* answer.c: what a run's log comes to. */
/* The texts of all events `what` (CHAT_TEXT, CHAT_REASONING) of one choice. */
void answer_text(const struct run *run, enum chat_what what, int choice, struct buf *out);
const struct chat_event *answer_finish(const struct run *run, int choice); // NULL: cut short
struct chat_usage answer_usage(const struct run *run); // of a run cut short: what is known

/* turns.c: messages as the dialects without rules of their own take them, made canonical.
 * Returns a new array.  Errors: place "messages[i].key"; kinds as in fields.h. */
json_t *turns_read(const json_t *messages, const char *where, struct err *e);

/* tools_read.c: tools in OpenAI's shape.  All of them: ERR_INPUT, place = the member. */
/* `tools`, `tool_choice` and `parallel_tool_calls` of a body. */
bool tools_read(const json_t *body, struct chat_request *r, struct err *e);
bool tools_read_list(const json_t *tools, struct chat_request *r, struct err *e);
bool tools_read_choice(const json_t *choice, struct chat_request *r, struct err *e); // after these
bool tools_name_choice(str name, struct chat_request *r, struct err *e); // that tool must be called
/* One function as templates take it; its name is none of those in `before` (array, or NULL).
 * Returns a new object, or NULL. */
json_t *tools_read_function(const json_t *in, const json_t *before, const char *where,
                            struct err *e);
/* An assistant message's calls into `message`, their arguments as objects. */
bool tools_read_calls(const json_t *calls, const char *where, json_t *message, struct err *e);
/* Results that have an id but no name get the name of the call they answer. */
void tools_name_results(json_t *messages);

/* functions.c: OpenAI's older way, in terms of tools.  ERR_INPUT, place = the member. */
/* `functions` and `function_call` of a body; before tools_read.  *asked: there are functions, and a
 * call is answered in `function_call`. */
bool functions_read(const json_t *body, struct chat_request *r, bool *asked, struct err *e);
/* An assistant message's `function_call`, and messages of role "function" that answer one, as calls
 * and results of tools; other messages are left as they are.  Returns a new array, or NULL. */
json_t *functions_read_history(const json_t *messages, struct err *e);

/* nugen_write.c */
int nugen_error(const struct err *e, struct buf *out);
/* One fault of a body: place ("messages[0].role"), sentence, the framework's word for its kind. */
struct nugen_fault {
    char where[128], msg[512];
    const char *type;
};
void nugen_write_faults(const struct nugen_fault *faults, size_t n, struct buf *out);
/* "prompt too long: 822 tokens, model maximum context length: 511", also for others. */
void nugen_too_long(struct err *e, size_t n_prompt, size_t most);

/* pawa_write.c */
int pawa_error(const struct err *e, struct buf *out);

/* models.c */
void models_list(struct dialect *d, struct http_req *r, str segment);
void models_show(struct dialect *d, struct http_req *r, str id);

#endif
