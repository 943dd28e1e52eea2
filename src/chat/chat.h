/* chat/chat.h - what a request asks for and what happens to it, whatever the dialect.
 *
 * A dialect fills a struct chat_request; everything that follows is told in struct chat_event,
 * numbered from 1 in the order of a run's log; a dialect turns events into its own bytes.
 * A new member also gets its row in pack_request.c or pack_event.c, or it is lost in a restart.
 * Threads: a request and an event have one owner at a time. */
#ifndef CHAT_CHAT_H
#define CHAT_CHAT_H

#include "base/arena.h"
#include "base/err.h"
#include "tok/tok.h"

#include <jansson.h>

/* One prompt of a completion: text, or token ids. */
struct chat_prompt {
    str text;
    const int32_t *tokens; // NULL: text counts
    size_t n_tokens;
    bool special; // control tokens written in the text count as such
};

struct chat_bias {
    int32_t id;
    float bias;
};

/* What the whole answer (behind the thinking, outside tool calls) must look like. */
enum chat_format {
    CHAT_FORMAT_TEXT,
    CHAT_FORMAT_JSON,    // any JSON object
    CHAT_FORMAT_SCHEMA,  // format_schema
    CHAT_FORMAT_REGEX,   // format_source, matched in full
    CHAT_FORMAT_GRAMMAR, // format_source in GBNF, from rule "root"
};

enum chat_tool_choice {
    CHAT_TOOLS_AUTO,
    CHAT_TOOLS_NONE,     // the template sees the tools, calls are impossible
    CHAT_TOOLS_REQUIRED, // at least one call
    CHAT_TOOLS_NAMED,    // calls of tool_name alone
};

/* A tool that runs here when the model calls it. */
struct chat_server_tool {
    str name;      // in the catalogue: "math:calculator", or the tool's own name on an MCP server
    str server;    // MCP: the label of its server; empty for the built-in ones
    str function;  // what the model calls: the function's name in `tools`
    str shown;     // what a wire calls it
    json_t *files; // owned; array of file ids it may read, or NULL
};

/* An MCP server whose tools are added to the request's when the run begins. */
struct chat_mcp_server {
    str name;     // its label
    str url;      // http:// or https://; empty: the operator's server of this name
    bool events;  // the URL is of the transport of 2024, HTTP with one stream of events
    str *headers; // [n_headers] "Name: value", never shown to the model
    size_t n_headers;
    bool some;    // only the tools of `allowed`
    str *allowed; // [n_allowed]
    size_t n_allowed;
    str *denied; // [n_denied] not these, whatever is allowed
    size_t n_denied;
};

/* Memory: everything borrowed below lives in `arena`; the json values are owned references. */
struct chat_request {
    struct arena arena;
    size_t n_body; // bytes that it was read from: about what its json values take
    str model;     // as asked for
    str team;      // who owns the run; empty where there are no keys

    /* A conversation ... */
    json_t *messages;      // array of objects; content is always a string (parts are joined)
    json_t *tools;         // array, or NULL
    json_t *template_args; // object of further template variables, or NULL
    bool add_generation_prompt;
    bool continue_final; // the last message is an answer to be continued
    size_t
        truncate_to; // 0: off; else earlier turns leave until the prompt is no longer (chat/fit.h)

    /* ... or, when messages is NULL, prompts as they are. */
    struct chat_prompt *prompts; // [n_prompts]
    size_t n_prompts;

    int n_choices;  // of each prompt
    int max_tokens; // <= 0: what the context leaves
    int min_tokens;
    str *stops; // [n_stops], none empty
    size_t n_stops;
    int32_t *ends; // [n_ends]: token ids that end the answer beside the model's own
    size_t n_ends;
    bool ignore_eos;
    bool no_answer;        // the prompt is prepared and counted, nothing is computed
    bool raw_text;         // the answer as generated: control tokens written out, nothing parsed
    bool thinking_as_text; // the marks of thinking and what is between them stay in the text

    json_t *bad_words;        // owned; array of texts that may not appear, or NULL
    json_t *bad_tokens;       // owned; the same as arrays of token ids
    json_t *stop_tokens;      // owned; arrays of token ids: the answer ends behind one of them
    json_t *forced;           // owned; array of token ids: they are the answer, to be scored
    int no_repeat_ngram;      // > 1: no run of so many tokens twice in prompt and answer
    int max_total, min_total; // of prompt and answer together, instead of max_tokens; 0: none

    enum chat_format format;
    json_t *format_schema;    // owned; a JSON Schema
    const char *format_place; // its field's name in the client's words, for errors; or NULL
    str format_root;          // the rule that a grammar begins with; empty: "root"
    str format_source;        // a regular expression or a grammar
    const char *tools_place; // where a tool's schema is in the client's words, for errors: "[]" has
                             // its number; or NULL: "tools[].function.parameters"
    enum chat_tool_choice tool_choice;
    str tool_name;        // CHAT_TOOLS_NAMED
    bool one_call;        // at most one call in a turn
    int reasoning_budget; // tokens of thinking; <= 0: no bound
    bool want_tokens;     // text events carry their tokens
    bool want_logprobs;   // ... with log-probabilities (implies want_tokens)
    int top_logprobs;     // ... and so many alternatives each
    bool want_progress;   // CHAT_WAITING and CHAT_PROGRESS events

    struct chat_server_tool *server_tools; // [n_server_tools]; run/run.h: run_offer_tool
    size_t n_server_tools;
    struct chat_mcp_server *mcp; // [n_mcp]
    size_t n_mcp;
    int max_rounds;         // turns of the model; <= 0: the server's bound
    bool end_at_max_rounds; // ... behind the last of them; else that one cannot call
    int max_failures;       // of calls to server tools, survived; < 0: any number
    bool max_tokens_in_all; // max_tokens bounds all turns together, not each

    float temperature, top_p, min_p, xtc_threshold, xtc_probability;
    float repetition_penalty, frequency_penalty, presence_penalty;
    int top_k;
    bool has_seed;
    uint64_t seed;          // of choice 0; each further one draws with one more
    uint64_t *seeds;        // [n_choices] of each prompt, instead; NULL: none
    struct chat_bias *bias; // [n_bias]
    size_t n_bias;

    int priority;        // lower runs first; 0 is usual
    uint32_t timeout_ms; // of the whole request; 0: the server's

    json_t *aside; // owned; what the dialect must know of its own body to show the run later:
                   // nothing else reads it, and it is kept wherever the run is
};

/* A request with every setting at its neutral default.  max_memory caps the arena. */
struct chat_request *chat_request_new(size_t max_memory);
void chat_request_free(struct chat_request *r);

enum chat_what {
    CHAT_WAITING,   // in the queue: `position` others are before it
    CHAT_PROGRESS,  // of the prompt's tokens, `position` are computed
    CHAT_STARTED,   // the prompt has been computed
    CHAT_TEXT,      // text of the answer
    CHAT_REASONING, // text of the model's thinking
    CHAT_CALL,      // a tool call begins: call, name, text = its id
    CHAT_ARGUMENTS, // more of its arguments' JSON text

    /* Of a tool that runs here; these have no CHAT_CALL. */
    CHAT_SERVER_CALL,     // it is called: id, name, text = its arguments, a JSON object
    CHAT_SERVER_ASK,      // ... once somebody approves of it: id, name; position = ms until refused
    CHAT_SERVER_PROGRESS, // ... how far it is: id, name, text = what it says, content
    CHAT_SERVER_RESULT,   // it is done: id, name, text = what the model reads, fault, content

    CHAT_FINISHED,  // one choice is complete
    CHAT_COMPLETED, // the run is: usage holds the totals.  Last event of a good run
    CHAT_FAILED     // the run ended early: error says why.  Last event of such a run
};

enum chat_finish {
    CHAT_FINISH_NONE,
    CHAT_FINISH_END,    // the model ended its turn
    CHAT_FINISH_STOP,   // a stop text appeared: text holds it
    CHAT_FINISH_LENGTH, // the token bound or the context's end
    CHAT_FINISH_CALLS   // tool calls wait for their results
};

/* How a tool's call ended. */
enum chat_fault {
    CHAT_FAULT_NONE,
    CHAT_FAULT_ARGUMENTS, // they do not fit the tool
    CHAT_FAULT_TOOL,      // the tool says that it failed
    CHAT_FAULT_TIMEOUT,
    CHAT_FAULT_DENIED, // by policy, or by who was asked
    CHAT_FAULT_LOST    // it cannot be known whether it ran
};

struct chat_usage {
    size_t n_prompt, n_cached, n_output, n_reasoning; // tokens; reasoning is part of the output
    size_t n_once; // of the prompts, what no earlier turn of the same run had or gave
};

/* A token that was drawn.  All of it lives as long as the log. */
struct chat_alternative {
    int32_t id;
    float logprob;
    str bytes;
};
struct chat_token {
    int32_t id;
    size_t at;     // offset in the event's text of the first character it has a part in
    str bytes;     // of its text, not always whole characters; empty for a hidden control token
    float logprob; // of the model's own distribution (raw logits, temperature 1)
    const struct chat_alternative *top; // [n_top], most likely first
    int n_top;
};

struct chat_event {
    uint64_t number; // 1, 2, ...
    int64_t unix_ms;
    enum chat_what what;
    int choice;                      // of all but the run's own events
    int call;                        // CHAT_CALL, CHAT_ARGUMENTS: index in its choice, from 0
    enum chat_finish finish;         // CHAT_FINISHED
    int n_tokens;                    // tokens behind a text; CHAT_FINISHED: of the choice
    int32_t token;                   // CHAT_FINISH_END: the token that ended the turn
    str text;                        // lives as long as the log
    str name;                        // CHAT_CALL, CHAT_SERVER_*: the tool
    str id;                          // CHAT_SERVER_*: of the call
    str server;                      // CHAT_SERVER_CALL: the label of its MCP server, or empty
    str content;                     // CHAT_SERVER_RESULT: more than a text: blocks of MCP's kinds,
                                     // a JSON array; or empty.  CHAT_SERVER_PROGRESS: an object,
                                     // {"progress":2,"total":5}, as the tool counts; total if known
    enum chat_fault fault;           // CHAT_SERVER_RESULT
    size_t position;                 // CHAT_WAITING, CHAT_PROGRESS, CHAT_SERVER_ASK
    const struct chat_token *tokens; // want_tokens: those behind a text, [n_tokens]; or NULL
    struct chat_usage usage;         // CHAT_COMPLETED; n_prompt alone: CHAT_STARTED, CHAT_WAITING,
                                     // CHAT_PROGRESS
    const struct err *error;         // CHAT_FAILED; lives as long as the log
};

#endif
