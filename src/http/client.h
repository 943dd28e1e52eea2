/* http/client.h - one outgoing HTTP call, waited for.
 *
 * In:      a URL, headers, a body.  Out: status, headers and body of the final answer.
 * Threads: any; blocks the calling one, so never the loop.  TLS is always verified. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

struct http_result {
    int status;
    struct buf headers; // "Name: value\r\n"... of the final answer; capped, what is more is dropped
};

struct http_call {
    const char *url;            // http:// or https://
    const char *method;         // NULL: GET, or POST when there is a body
    const char *const *headers; // "Name: value", ended by NULL; may be NULL.  Authorization is
                                // not sent on to another host by a redirect.
    str body;                   // body.p == NULL: none
    uint64_t range_from;        // > 0: ask for the bytes from here on
    int connect_timeout_ms;     // 0: 15 s
    int stall_timeout_ms;       // without a byte for so long; 0: 60 s
    int timeout_ms;             // for the whole call; 0: none
    int max_redirects;          // 0: 5; < 0: none; never from https to http
    struct buf *out;            // body of the answer; its maximum is the limit.  With on_bytes:
                                // as much of the body of an error as fits.  NULL: dropped

    /* All may be NULL.  on_head: the final answer begins.  on_bytes: a piece of the body of a 2xx,
     * which then does not go to `out`.  on_tick: several times a second.  A false from any of them
     * ends the call with ERR_CANCELED. */
    bool (*on_head)(const struct http_result *res, void *arg);
    bool (*on_bytes)(str bytes, void *arg);
    bool (*on_tick)(void *arg);
    void *arg;
};

/* Makes the call.  True once a final answer has come in whole, whatever its status.
 *   res     headers are set up here; free with http_result_fini in any case
 *   ERR_INPUT (bad URL), ERR_IO (no connection, cut, TLS), ERR_TIMEOUT, ERR_LIMIT (larger than
 * out), ERR_CANCELED */
MUST_CHECK bool http_call(const struct http_call *c, struct http_result *res, struct err *e);

void http_result_fini(struct http_result *res);

/* The last header of that name (any case); borrowed from res. */
bool http_result_header(const struct http_result *res, const char *name, str *value);

#endif
