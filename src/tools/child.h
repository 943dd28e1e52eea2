/* tools/child.h - a program run for a tool, on the loop: what it says, and its end.
 *
 * Threads: everything on the loop thread.  Callbacks are made from the loop alone, and may stop the
 * child.  The child has a process group of its own, which is killed as a whole, no descriptors but
 * those given, and dies with the server. */
#ifndef TOOLS_CHILD_H
#define TOOLS_CHILD_H

#include "base/buf.h"
#include "base/err.h"

struct event_base;
struct tools_child;

struct tools_child_conf {    // copied, but for the descriptors, which are borrowed for the call
    const char *const *argv; // ended by NULL; argv[0] is looked up in PATH
    const char *const *env;  // ended by NULL
    int extra_fd;            // becomes descriptor 3; < 0: none
    int cpu_s;               // 0: no bound.  SIGXCPU, and a second later SIGKILL
    size_t memory;           // address space; 0: no bound
    size_t file_size;        // 0: no bound
    bool lower;              // as root: run as a user without rights

    size_t max_unsent;                    // bytes that may wait for it to read; more is ERR_LIMIT
    void (*on_out)(str bytes, void *arg); // of its standard output
    void (*on_err)(str bytes, void *arg);
    /* It has ended and all it said was told: wait()'s status. */
    void (*on_exit)(int status, void *arg);
    void *arg;
};

/* ERR_IO, ERR_NOT_FOUND (no such program). */
MUST_CHECK bool tools_child_start(struct tools_child **out, struct event_base *base,
                                  const struct tools_child_conf *conf, struct err *e);
bool tools_child_write(struct tools_child *c,
                       str bytes); // queued; false: over max_unsent, or it reads no more
void tools_child_end_input(struct tools_child *c); // once everything queued is written
/* Kills it and its group; no callback is made any more; the handle is gone.  NULL is fine. */
void tools_child_stop(struct tools_child *c);

/* Where in PATH a program is; false if nowhere. */
bool tools_child_find(const char *name, char out[512]);

#endif
