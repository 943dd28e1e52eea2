/* http/loopback_test.h - a server on a loopback port with its clients in the same thread, for the
 * test files of this room: the loop is turned while clients wait, so that nothing depends on
 * timing.
 *
 * The handler answers by path: /hold later, /stream and /flood begun only (flood: full), /two in
 * two pieces, /cut cut, /none 204, /ws a WebSocket that repeats what it hears, /query and /headers
 * what they got, others their own body. */
#ifndef HTTP_LOOPBACK_TEST_H
#define HTTP_LOOPBACK_TEST_H

#include "http/http.h"
#include "test.h"

#include <event2/event.h>

#define HOST     "Host: a\r\n"
#define HELD_MAX 512

struct loopback {
    struct event_base *base;
    struct http_server *server;
    int handled, gone, roomy;
    struct http_req *held[HELD_MAX]; // by /hold, /stream and /flood
    int n_held;
    struct buf log; // "METHOD path;" of each request
    bool fill;      // on_room writes on
};

struct http_conf loop_conf(void); // a free port, small limits
void loop_start(struct loopback *f, const struct http_conf *conf);
void loop_stop(struct loopback *f);
void loop_forget(struct loopback *f, struct http_req *r); // no longer held

int loop_client(const struct loopback *f); // a connected socket
void loop_say(int fd, const char *text);

/* Reads until `end` has come, or to the end of the stream for NULL.  False on a reset. */
bool loop_hear(struct loopback *f, int fd, struct buf *out, const char *end);

/* Turns the loop once; fails when the test has taken too long since `since` (clock_mono_ms). */
void loop_turn(struct loopback *f, uint64_t since);
void loop_until(struct loopback *f, const int *count, int value); // until *count is value
void loop_settle(struct loopback *f); // lets everything that is on its way arrive

#endif
