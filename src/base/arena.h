/* base/arena.h - memory with one lifetime and a cap.
 *
 * Everything taken from an arena is released at once.  Reaching the cap is not fatal: allocation
 * returns NULL, the sticky flag `full` is set, and the owner turns that into ERR_LIMIT.  An arena
 * crosses threads only together with its owner. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; // newest first
    size_t used;                // bytes handed out, with padding
    size_t max;                 // cap on `used`
    bool full;                  // sticky: an allocation was refused
};

/* An arena that hands out at most `max` bytes.  Takes no memory yet. */
void arena_init(struct arena *a, size_t max);

/* Releases everything; the arena may be used again (same cap). */
void arena_fini(struct arena *a);

/* 16-byte aligned; zeroed for arena_calloc.  NULL past the cap or on overflow of n * size. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_calloc(struct arena *a, size_t n, size_t size);

/* A copy with a NUL behind it; {NULL, 0} past the cap. */
str arena_str(struct arena *a, str s);

#endif
