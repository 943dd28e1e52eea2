/* base/banned.h - calls that do not compile: unbounded, not reentrant, or silent about errors.
 *
 * Forced into every source file by the build (-include), after the system headers that declare
 * the names.  Use str, buf, str_to_i64 and clock instead. */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy sprintf vsprintf strtok atoi atol atof
#pragma GCC poison gmtime localtime

/* OpenSSL's headers have parameters of these names, so that they cannot be poisoned: calling them
 * is a warning, and with the gate's -Werror an error. */
int rand(void) __attribute__((deprecated("use base/rng.h")));
void srand(unsigned seed) __attribute__((deprecated("use base/rng.h")));

#endif
