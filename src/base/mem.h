/* base/mem.h - process-level memory.
 *
 * mem_alloc and its kin log and abort when the system has nothing left: a server that cannot get
 * 200 bytes has no plan B.  Big blocks sized by options or files use mem_try and fail as an error.
 * Anything that a client can make grow belongs in an arena or a buf instead.  Any thread. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/str.h"

/* Never NULL, also for 0 bytes.  Free with mem_free. */
void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));
void *mem_calloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t size) __attribute__((returns_nonnull));
void mem_free(void *p);

/* How often this thread has called one of the three that make. */
uint64_t mem_count(void);

/* A NUL-terminated copy. */
char *mem_strdup(str s) __attribute__((malloc, returns_nonnull));

/* `size` zeroed bytes at a 64-byte boundary, or NULL.  From 2 MiB up, huge pages are asked for.
 * Free with mem_try_free, giving the same size. */
void *mem_try(size_t size);
void mem_try_free(void *p, size_t size);

/* Has the system give the pages of a part of such memory, so that their first use need not wait;
 * what stands there stays, and other threads may use it meanwhile.  False if it cannot. */
bool mem_populate(void *p, size_t size);

#endif
