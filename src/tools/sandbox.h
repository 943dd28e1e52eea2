/* tools/sandbox.h - programs in bubblewrap: no network, a read-only system, nothing of the host's
 * processes, one empty folder in memory.  Limits of memory and time are the child's (child.h). */
#ifndef TOOLS_SANDBOX_H
#define TOOLS_SANDBOX_H

#include "tools/child.h"

#define SANDBOX_ARGS 96

/* Is bubblewrap here, and allowed to do its work?  Tried once a process. */
bool sandbox_works(void);

/* Is the program inside? */
bool sandbox_has(const char *path);

/* argv of `program`'s call in the sandbox.  Its words are borrowed.  With_code: descriptor 3
 * becomes /work/main.py. */
void sandbox_argv(const char *const *program, bool with_code, const char *argv[SANDBOX_ARGS]);

extern const char *const sandbox_env[];

#endif
