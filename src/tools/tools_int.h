/* tools/tools_int.h - what the files of this room share. */
#ifndef TOOLS_TOOLS_INT_H
#define TOOLS_TOOLS_INT_H

#include "http/fetch.h"
#include "tools/address.h"
#include "tools/mcp.h"
#include "tools/tools.h"

#include <jansson.h>

#define TOOLS_SERVERS_MAX 64 // of the operator
#define TOOLS_SESSION_MAX 16 // MCP servers of a request

/* A built-in tool: computes at once, or starts something that calls tools_job_end later. */
struct tools_builtin {
    const char *name, *function, *description, *schema;
    bool repeatable, reaches_out;
    const char *(*missing)(const struct tools *t); // why it cannot be had here, or NULL
    bool (*now)(const json_t *args, struct buf *out, struct err *e);
    void (*start)(struct tools_job *job);
    void (*stop)(struct tools_job *job); // releases what start made; called once, at the end
};
extern const struct tools_builtin tools_builtins[];
extern const size_t tools_n_builtins;

struct tools_server { // of the operator
    char name[64];
    struct mcp *mcp;
    char *command; // of a program, as given
};

struct tools_tally {
    char name[80];
    uint64_t calls, faults, bytes, us;
};

struct tools {
    struct tools_conf conf; // its texts are copied
    char *enabled, *policies, *search_url, *data;
    struct address_list allowed;
    struct http_fetcher *web, *inside; // public addresses alone; the operator's
    struct tools_server servers[TOOLS_SERVERS_MAX];
    int n_servers;
    struct tools_session *sessions;
    struct event *deliver;
    struct tools_job *ended; // to be told
    struct tools_tally *tallies;
    size_t n_tallies;
    json_t *pins;
    int live;
};

struct tools_bound { // an MCP tool of a session
    char *function, *tool;
    int server;     // of the session
    json_t *schema; // borrowed from the server's list
    enum tools_policy policy;
};

struct tools_peer { // an MCP server of a session
    struct tools_session *session;
    char label[64];
    struct mcp *mcp;
    bool own; // named by the request: closed with the session
    struct mcp_request *listing;
    json_t *list;
    struct err error;
};

struct tools_session {
    struct tools *tools;
    struct tools_session *next, **link;
    struct chat_request *request;
    char who[64];
    void (*ready)(const struct err *error, void *arg);
    void *arg;
    struct tools_peer peers[TOOLS_SESSION_MAX];
    int n_peers, n_listing;
    struct tools_bound *bound;
    size_t n_bound;
    struct tools_job *jobs;
    struct event *soon; // ready is called
    struct err failure;
};

struct tools_job {
    struct tools_session *session;
    struct tools_job *next, **link;
    struct tools_job *next_ended;
    char tool[128]; // for log and metrics
    const struct tools_builtin *builtin;
    const struct chat_server_tool *entry;
    const struct tools_bound *bound; // MCP
    struct mcp_request *call;
    json_t *args;
    tools_done done;
    tools_news news; // or NULL
    void *arg;
    int n_news;
    struct event *timer;
    bool asks, ended;
    uint64_t began_ms, asks_until_ms;
    size_t n_args;
    enum chat_fault fault;
    struct buf text, content;
    void *own; // of a builtin
};

/* The end of a job; told from the loop.  text and content are filled in before. */
void tools_job_end(struct tools_job *job, enum chat_fault fault);
/* ... for an error, whose words become the text. */
void tools_job_fail(struct tools_job *job, const struct err *e);
/* Bytes a result may have for the model. */
size_t tools_job_max(const struct tools_job *job);

/* servers.c: those of conf, added to t; tools_close closes them.  ERR_INPUT. */
MUST_CHECK bool tools_servers_open(struct tools *t, const struct tools_conf *c, struct err *e);

/* policy.c */
bool tools_matches(str patterns, str name); // "math:*,web:url"
enum tools_policy tools_policy_of(const struct tools *t, str name);
MUST_CHECK bool tools_policies_check(str policies, struct err *e);

/* pins.c: what a server's tool was at first sight.  False: it is something else now. */
bool tools_pin(struct tools *t, const char *server, const json_t *tool);
void tools_pins_load(struct tools *t);

/* The starting tools. */
const char *tools_url_missing(const struct tools *t);
void tools_url_start(struct tools_job *job);
void tools_url_stop(struct tools_job *job);
const char *tools_search_missing(const struct tools *t);
void tools_search_start(struct tools_job *job);
const char *tools_python_missing(const struct tools *t);
void tools_python_start(struct tools_job *job);
void tools_python_stop(struct tools_job *job);
const char *tools_file_missing(const struct tools *t);
void tools_file_start(struct tools_job *job);
void tools_file_stop(struct tools_job *job);

#endif
