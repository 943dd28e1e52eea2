/* tools/mcp_int.h - what the files of the MCP client share: a server, requests to it, and how
 * messages come and go. */
#ifndef TOOLS_MCP_INT_H
#define TOOLS_MCP_INT_H

#include "http/sse.h"
#include "tools/child.h"
#include "tools/mcp.h"
#include "tools/mcp_message.h"

#include <event2/event.h>

/* A way to a server. */
struct mcp_transport {
    /* Begins to come up; calls mcp_greet once messages can be sent. */
    bool (*open)(struct mcp *m, struct err *e);
    void (*down)(struct mcp *m); // lets go of what is open
    /* Sends the message of r; r NULL: one that nobody waits for. */
    bool (*send)(struct mcp *m, struct mcp_request *r, const char *method, str message,
                 struct err *e);
    void (*drop)(struct mcp_request *r); // before r is freed, or sent anew
    void (*leave)(struct mcp *m);        // the client goes for good
};
extern const struct mcp_transport mcp_stdio, mcp_http;

struct mcp_request {
    struct mcp *m;
    struct mcp_request *next, **link;
    int64_t id;
    const char *method;
    char *tool; // of a call; or NULL
    json_t *params;
    json_t *tools; // of a list: pages so far
    int pages;
    mcp_done done; // NULL: our own (the handshake)
    void *arg;
    struct event *timer;
    bool sent, again, ended; // again: it has been sent once to a session that was gone
    json_t *result;          // with `ended`
    struct err error;
    // over HTTP
    struct http_fetch *fetch;
    struct http_sse_reader reader;
};

enum mcp_state { MCP_DOWN, MCP_COMING, MCP_UP };

struct mcp {
    struct mcp_conf conf;
    const struct mcp_transport *transport;
    char *name, *url, **headers, **argv;
    enum mcp_state state;
    bool stateless, telling, dead;
    char version[32];
    int64_t next_id;
    int n_unasked, n_rubbish;
    struct mcp_request *requests; // newest first
    struct event *tell;
    json_t *list; // a program's tools, until it says that they changed
    // over HTTP
    char *session;
    int attempts;
    struct event *retry;
    struct mcp_note *notes;
    // of a program
    struct tools_child *child;
    uint64_t started_ms;
    struct buf line;
};

/* The end of a request; told from the loop. */
void mcp_end(struct mcp_request *r, json_t *result, const struct err *error);
/* The connection is gone: what waits fails. */
void mcp_lose(struct mcp *m, const struct err *e);
/* What the server says: one message or several.  Rubbish may lose it. */
void mcp_take(struct mcp *m, str text);
void mcp_greet(struct mcp *m); // begins the handshake
void mcp_come_up(struct mcp *m);

void mcp_http_retry(evutil_socket_t fd, short what, void *arg); // arg: a server

#endif
