/* base/id.h - names for requests and runs that nobody can guess.  Any thread. */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/defs.h"

#define ID_MAX 48 // room for any id, its prefix and the NUL

/* Writes prefix + 24 letters and digits (142 bits from the system's randomness), NUL-terminated.
 * prefix must leave room (at most 23 bytes). */
void id_new(char out[ID_MAX], const char *prefix);

#endif
