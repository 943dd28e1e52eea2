/* cli/child.h - a server of our own for as long as a command runs.
 *
 * Threads: the main one; one child a process. */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include "base/err.h"

#include <sys/types.h>

struct child {
    pid_t pid;     // 0: none
    int out;       // its standard output
    int log;       // its standard error, a file in memory
    char url[256]; // "http://HOST:PORT"
};

/* Starts `confab serve -m FILE --port 0` and waits until it is ready.  The terminal's Ctrl-C does
 * not reach it; when we die, it gets SIGTERM.
 *   stop   looked at while waiting; true gives up (ERR_CANCELED)
 *   ERR_IO, or the server's own last words (ERR_INPUT).  Nothing runs then. */
MUST_CHECK bool child_start(struct child *c, const char *model, bool (*stop)(void), struct err *e);

/* Asks it to end, and waits. */
void child_stop(struct child *c);

#endif
