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
    void (*on_timer)(struct mcp *m);     // its own pause is over; or NULL
};
extern const struct mcp_transport mcp_stdio, mcp_http, mcp_events;

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
    // of a call, how far it is
    mcp_progress on_progress;
    bool news; // to be told
    int n_news;
    double progress, total;
    char note[256];
    // over HTTP
    struct http_fetch *fetch;
    struct http_sse_reader reader;
    struct event *resume;  // the pause before a broken stream is taken up again
    int n_resumed;         // since something came
    bool streams;          // the answer is a stream
    bool renewed, waiting; // the token was refused: it has a new one, it waits for it
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
    struct event *tell, *timer;   // timer: the transport's
    json_t *list;                 // a program's tools, until it says that they changed
    // over HTTP
    char *session;
    int attempts;
    struct mcp_note *notes;
    struct mcp_oauth *oauth; // or NULL
    // ... of 2024
    struct http_fetch *stream;
    struct http_sse_reader reader; // of the stream
    char *post_url;                // where messages go; NULL: not told yet
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
void mcp_send(struct mcp_request *r); // as a new message

/* mcp_http.c, also for the transport of 2024 */
#define MCP_HEADERS_MAX 48
struct mcp_headers {
    const char *list[MCP_HEADERS_MAX + 1]; // ended by NULL
    char version[64], session[1100], method[128], name[300], last[600], token[4200];
};
/* Those of a message, or of none (method NULL).  last: an event's id; empty: none. */
void mcp_http_headers(const struct mcp *m, const char *method, const char *tool, str last,
                      struct mcp_headers *h);
void mcp_http_note(struct mcp *m, const char *url, const char *method, str message);
void mcp_http_drop_notes(struct mcp *m);
/* Why an answer of this status is none; of a request that had an answer in full. */
void mcp_http_explain(int status, struct err *e);

/* mcp_oauth.c */
struct mcp_oauth *mcp_oauth_new(const struct mcp_oauth_conf *c); // copied
void mcp_oauth_free(struct mcp_oauth *o);                        // NULL is fine
const char *mcp_oauth_token(const struct mcp_oauth *o);          // or NULL
void mcp_oauth_forget(struct mcp_oauth *o);                      // the token is not taken
/* Asks for a token, if none is being asked for; `then` is called from the loop. */
void mcp_oauth_renew(struct mcp *m, void (*then)(struct mcp *m, const struct err *error));

#endif
