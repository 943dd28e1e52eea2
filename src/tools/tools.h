/* tools/tools.h - the tools that run on this server: which there are, who may call them, and calls.
 *
 * In:      a request's wishes, calls by name.  Out: results a model can read.
 * Threads: everything on the loop thread.  No callback is made from within a function of this
 * header. */
#ifndef TOOLS_TOOLS_H
#define TOOLS_TOOLS_H

#include "base/buf.h"
#include "base/err.h"
#include "chat/chat.h"

struct event_base;
struct tools;
struct tools_session;
struct tools_job;

enum tools_policy { TOOLS_RUN, TOOLS_ASK, TOOLS_REFUSE };

struct tools_conf { // borrowed for tools_open
    struct event_base *base;
    const char *data;     // folder for files and pins; NULL: files are off, pins live in memory
    str enabled;          // built-in tools by name, with commas; "math:*" for several
    str policies;         // "web:url=ask,shop/*=refuse"; what is not named runs
    str allow_net;        // addresses that are not public and may be reached (tools/address.h)
    str search_url;       // a SearXNG-compatible endpoint; empty: no web:search
    const str *mcp_stdio; // [n_mcp_stdio] "NAME=COMMAND ARG ..."
    size_t n_mcp_stdio;
    const str *mcp_http; // [n_mcp_http] "NAME=URL"
    size_t n_mcp_http;
    const str *mcp_headers; // [n_mcp_headers] "NAME=Header: value"
    size_t n_mcp_headers;
    const str *mcp_oauth; // [n_mcp_oauth] "NAME=TOKEN-URL client_id=... ..."
    size_t n_mcp_oauth;
    bool mcp_requests;             // requests may name servers by URL
    enum tools_policy mcp_changed; // tools that are not what they were at first sight
    int call_timeout_ms, approval_timeout_ms;
    int max_rounds;                   // turns of the model in one request
    size_t max_result;                // bytes a model gets of one result
    size_t max_file, max_team_files;  // bytes
    int python_cpu_s, python_wall_ms; // of a program of code:python-interpreter
};
struct tools_conf tools_conf_default(void);

MUST_CHECK bool tools_open(struct tools **out, const struct tools_conf *conf, struct err *e);
void tools_close(struct tools *t); // all sessions must have ended

int tools_max_rounds(const struct tools *t);

/* The catalogue: built-in tools. */
struct tools_info {
    const char *name;     // "math:calculator"
    const char *function; // what a model calls: "math_calculator"
    const char *description;
    const char *schema;  // of its arguments, JSON
    bool repeatable;     // a second run does no harm
    bool reaches_out;    // of this process
    bool available;      // enabled and possible here
    const char *missing; // why not, if not
    enum tools_policy policy;
};
size_t tools_n(const struct tools *t);
struct tools_info tools_info(const struct tools *t, size_t i);
/* By name; false if there is none. */
bool tools_find(const struct tools *t, str name, struct tools_info *out);
/* Does the operator's configuration have an MCP server of this name? */
bool tools_has_server(const struct tools *t, str name);
/* Is this (with its arguments) the very command of a server of the operator's?  Its name, or empty.
 */
str tools_server_of_command(const struct tools *t, str command);
bool tools_takes_servers(const struct tools *t); // mcp_requests
bool tools_url_is_events(str url); // an MCP server's URL is of the transport of 2024, by its path

/* A request's tools.  Lists its MCP servers, adds what they offer to r->tools and r->server_tools,
 * then calls ready, with an error if a server of r->mcp could not be asked:
 *   ERR_INPUT kind "mcp_failed", ERR_DENIED kind "mcp_denied"
 *   r       borrowed until tools_end
 *   who     a run's id, for the log; copied */
struct tools_session *tools_begin(struct tools *t, const char *who, struct chat_request *r,
                                  void (*ready)(const struct err *error, void *arg), void *arg);
void tools_end(struct tools_session *s); // cancels its calls.  NULL is fine

struct tools_result {
    enum chat_fault fault;
    str text;    // what the model reads; with a fault: why
    str content; // blocks as MCP has them, a JSON array; or empty
    uint64_t ms; // how long it took
};
typedef void (*tools_done)(struct tools_job *job, const struct tools_result *result, void *arg);

/* Calls the server tool with this function name.  The arguments are JSON text as a model wrote it;
 * what does not fit is a result with a fault.  The job is gone when done is called. */
struct tools_job *tools_call(struct tools_session *s, str function, str arguments, tools_done done,
                             void *arg);
/* How far a call is, as its tool says: told with the arg of done, before it.
 *   total  < 0: not known.  message: borrowed; may be empty */
typedef void (*tools_news)(double progress, double total, str message, void *arg);
void tools_follow(struct tools_job *job, tools_news told);
void tools_cancel(struct tools_job *job); // done is not called; a running tool is stopped

/* Waits for approval: for how long yet; 0: does not. */
int tools_asks_ms(const struct tools_job *job);
void tools_approve(struct tools_job *job, bool yes);

/* The function is one of the server's; its entry in r->server_tools, else NULL. */
const struct chat_server_tool *tools_of_request(const struct chat_request *r, str function);
/* May a call that was cut short be made again? */
bool tools_may_repeat(const struct tools *t, const struct chat_server_tool *tool);

/* Files that teams have put here (file:text). */
struct tools_file {
    char id[40], name[256];
    size_t size;
    int64_t created_ms, expires_ms;
    char digest[80]; // "sha256:..."; as announced
    bool uploaded;
};
MUST_CHECK bool tools_file_new(struct tools *t, str team, str name, size_t size, str digest,
                               struct tools_file *out, struct err *e);
MUST_CHECK bool tools_file_put(struct tools *t, str team, str id, str bytes, struct err *e);
MUST_CHECK bool tools_file_find(struct tools *t, str team, str id, struct tools_file *out,
                                struct err *e);
MUST_CHECK bool tools_file_read(struct tools *t, str team, str id, struct buf *out, struct err *e);
MUST_CHECK bool tools_file_delete(struct tools *t, str team, str id, struct err *e);

/* What has been done, for the metrics: i from 0, false past the end. */
struct tools_counts {
    const char *tool; // a built-in one, or "mcp:SERVER"
    uint64_t calls, faults, bytes;
    double seconds;
};
bool tools_counts(const struct tools *t, size_t i, struct tools_counts *out);
int tools_live(const struct tools *t); // calls that run now

#endif
