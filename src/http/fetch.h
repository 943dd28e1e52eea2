/* http/fetch.h - outgoing HTTP calls on the loop, many at once.
 *
 * In:      a URL, headers, a body.  Out: head, pieces of the body, end.
 * Threads: everything on the loop thread.  No callback is called from within a function of this
 * header; each may start and cancel calls, also its own.  TLS is always verified. */
#ifndef HTTP_FETCH_H
#define HTTP_FETCH_H

#include "base/buf.h"
#include "base/err.h"

struct event_base;
struct sockaddr;
struct http_fetcher;
struct http_fetch;

/* What a fetcher may reach.  Connections are shared among the calls of one fetcher, so that calls
 * of different rights need different fetchers.
 *   may_connect  asked for each address before a connection to it is made: at every redirect, and
 *                for the address in use, whatever a name meant when it was looked up before.  NULL:
 *                any.  With it, proxies of the environment are not used. */
struct http_fetcher_conf {
    bool (*may_connect)(const struct sockaddr *address, void *arg);
    void *arg;
};
MUST_CHECK bool http_fetcher_open(struct http_fetcher **out, struct event_base *base,
                                  const struct http_fetcher_conf *conf, struct err *e);
void http_fetcher_close(struct http_fetcher *f); // cancels what is left; NULL is fine
int http_fetcher_live(const struct http_fetcher *f);

struct http_fetched {
    int status;       // of the final answer
    str headers;      // "Name: value\r\n"...
    str body;         // without on_bytes: all of it
    const char *url;  // the last one, behind redirects
    struct err error; // code set: there is no (whole) answer
};

struct http_fetch_conf {        // all copied
    const char *url;            // http:// or https://
    const char *method;         // NULL: GET, or POST when there is a body
    const char *const *headers; // "Name: value", ended by NULL; may be NULL.  Authorization is not
                                // sent on to another host by a redirect
    str body;                   // body.p == NULL: none
    int connect_timeout_ms;     // 0: 10 s
    int timeout_ms;             // of the whole call; 0: none
    int max_redirects;          // never from https to http
    size_t max_body;            // bytes of the answer's body, unpacked
    bool unpack;                // compressed answers are asked for

    /* A piece of a 2xx body with this content type (prefix; NULL: none), which then is not
     * collected.  False ends the call with ERR_CANCELED. */
    const char *stream_type;
    bool (*on_bytes)(str bytes, void *arg);
    void (*on_done)(const struct http_fetched *r, void *arg); // once, at the end
    void *arg;
};

/* Begins; never fails at once.  The handle lives until on_done has returned or http_fetch_cancel.
 */
struct http_fetch *http_fetch_start(struct http_fetcher *f, const struct http_fetch_conf *c);
void http_fetch_cancel(struct http_fetch *t); // on_done is not called

/* Where `relative` leads from the page at `base`, appended to out; *same: to the same scheme, host
 * and port.  ERR_INPUT: one of them is no URL. */
MUST_CHECK bool http_url_join(str base, str relative, struct buf *out, bool *same, struct err *e);

/* The last header of that name (any case): of the answer that on_bytes gets pieces of, and at the
 * end. */
bool http_fetch_header(const struct http_fetch *t, const char *name, str *value);
bool http_fetched_header(const struct http_fetched *r, const char *name, str *value);

#endif
