/* tools/mcp.h - one MCP server that we are a client of, over streamable HTTP or a program's
 * standard input and output; also over the HTTP of 2024.
 *
 * The connection comes up with the first request and comes up again when it was lost.  A server
 * that does not answer, answers with rubbish, too much, or dies costs the requests that wait for
 * it. Threads: everything on the loop thread.  No callback is made from within a function of this
 * header; each may do anything here, also close the server.
 *
 * Source: modelcontextprotocol.io, "Base Protocol", "Transports", "Tools". */
#ifndef TOOLS_MCP_H
#define TOOLS_MCP_H

#include "base/err.h"
#include "http/fetch.h"

#include <jansson.h>

struct event_base;
struct mcp;
struct mcp_request;

/* How to come by a token: by the client's credentials, or by a refresh token. */
struct mcp_oauth_conf {
    const char *token_url, *client_id;
    const char *client_secret, *refresh_token, *scope; // NULL: none
    bool secret_in_body;                               // not in a header
};

struct mcp_conf { // copied
    const char *name;
    struct event_base *base;
    /* Either a URL ... */
    const char *url;
    bool events;                        // it speaks the HTTP of 2024, with one stream of events
    const struct mcp_oauth_conf *oauth; // NULL: none
    struct http_fetcher *fetcher;       // borrowed until mcp_close
    const char *const *headers;         // "Name: value", ended by NULL; or NULL
    /* ... or a program. */
    const char *const *argv; // ended by NULL

    int list_timeout_ms, call_timeout_ms; // the first also for coming up
    size_t max_message;                   // bytes
};

struct mcp *mcp_open(const struct mcp_conf *c);
void mcp_close(struct mcp *m); // what waits is forgotten.  NULL is fine

/* Exactly one of result and error; both borrowed for the call. */
typedef void (*mcp_done)(const json_t *result, const struct err *error, void *arg);

/* All tools: an array of the server's objects.  The last list is given again, at once (but from the
 * loop), by a program that has not said that it changed. */
struct mcp_request *mcp_list(struct mcp *m, mcp_done done, void *arg);
/* Calls a tool; arguments are an object, borrowed for the call. */
struct mcp_request *mcp_call(struct mcp *m, const char *tool, const json_t *arguments,
                             mcp_done done, void *arg);
/* Tells the server that nobody waits any more; done is not called. */
void mcp_cancel(struct mcp_request *r);

/* How far a call is, as its server says; told with the request's arg, now and then: the newest.
 *   total    < 0: not known
 *   message  at most 255 bytes of UTF-8, borrowed; may be empty */
typedef void (*mcp_progress)(double progress, double total, str message, void *arg);
void mcp_follow(struct mcp_request *call, mcp_progress told);

bool mcp_is_up(const struct mcp *m);

#endif
