/* kern/pool.h - the engine's threads.
 *
 * A step is a list of phases; a phase is a number of chunks.  Thread i of n takes those from
 * i/n-th to (i+1)/n-th in order, then helps the others, so that a thread preempted by others delays
 * one chunk and not the phase.  Between phases threads spin; after 20-50 us without work they sleep
 * on a futex. Threads: created once; kern_pool_run is called by one thread (the engine), which
 * works too. */
#ifndef KERN_POOL_H
#define KERN_POOL_H

#include "base/err.h"

#include <stddef.h>

struct kern_pool;

/* Memory that will be read, in this order. */
struct kern_range {
    const unsigned char *at;
    ptrdiff_t bytes;
};
struct kern_reads {
    struct kern_range part[2];
    int n;
};

struct kern_phase {
    void (*run)(void *arg, int chunk, int worker); // worker 0 .. n_threads-1
    void *arg;
    int n_chunks; // 0: the phase is skipped
    /* What a chunk reads first, to be fetched into the cache while earlier phases end; NULL:
     * nothing worth it.  Called while earlier phases run, so it depends on nothing they write. */
    void (*reads)(void *arg, int chunk, struct kern_reads *out);
};

MUST_CHECK bool kern_pool_open(struct kern_pool **out, int n_threads, struct err *e);
void kern_pool_close(struct kern_pool *p);
int kern_pool_threads(const struct kern_pool *p);

/* Runs the phases in order; each begins when all chunks of the one before are done.  Reads *cancel
 * (may be NULL) between phases; returns false if it stopped early. */
bool kern_pool_run(struct kern_pool *p, const struct kern_phase *phases, int n_phases,
                   const _Atomic bool *cancel);

#endif
