/* dialect/dialect.h - the APIs that clients speak.
 *
 * In:      HTTP requests.  Out: runs, and their events as each API's bytes.
 * Threads: everything on the loop thread. */
#ifndef DIALECT_DIALECT_H
#define DIALECT_DIALECT_H

#include "http/http.h"
#include "run/run.h"
#include "store/store.h"

struct dialect;

/* What a request came to, for the log line and the metrics. */
struct dialect_record {
    const char *request_id;
    const char *route; // "openai.chat"
    const char *model; // or ""
    int status;
    bool stream;
    bool client_left;
    const char *error;         // message, or ""
    size_t n_prompt, n_output; // tokens
    uint64_t first_ms, total_ms;
};

struct dialect_conf {
    struct runs *runs;       // borrowed
    struct store *store;     // borrowed: for objects; durable or not, see store_is_durable
    size_t max_request;      // bytes of memory for one request
    uint32_t keep_alive_ms;  // a waiting stream hears from us this often
    const char *fingerprint; // system_fingerprint
    bool plain_tools;        // Zylon: calls of tools that run here look like a client's
    /* Whose request is this?  False: no one's, and it is answered 401.  *team lives until the loop
     * turns; "" without keys.  NULL: everybody is of team "". */
    bool (*authenticate)(struct http_req *r, str *team, void *arg);
    void (*on_record)(const struct dialect_record *rec, void *arg);
    void *arg;
};

struct dialect *dialect_new(const struct dialect_conf *conf);
void dialect_free(struct dialect *d); // ends what is live

/* Answers r if its path is one of ours (also with an error); false if not. */
bool dialect_serve(struct dialect *d, struct http_req *r);

/* What a client sent as its key: `Authorization: Bearer KEY`, `Authorization: KEY`, `x-api-key:
 * KEY`, the i-th of these that is there; false when there are no more. */
bool dialect_key(const struct http_req *r, int i, str *key);

/* 401 in the house's usual shape, for routes that no dialect owns. */
void dialect_refuse_key(struct http_req *r);

/* An error in the house's usual shape, for routes that no dialect owns. */
void dialect_reply_error(struct dialect *d, struct http_req *r, int status, const char *type,
                         const char *message);
/* The same shape for messages that never became a request. */
void dialect_error_body(int status, const char *message, struct buf *body);

/* Call about once a second: keep-alives. */
void dialect_tick(struct dialect *d);

/* The server stops: connections that wait for more requests close, each once it has none. */
void dialect_drain(struct dialect *d);

/* The tables of fields of all dialects, each between two marks, as docs/dialects.md has them. */
void dialect_document(struct buf *out);

int dialect_n_live(const struct dialect *d);

#endif
