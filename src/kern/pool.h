/* kern/pool.h - the engine's threads.
 *
 * A step is a list of phases; a phase is a number of chunks behind one atomic counter, so that a
 * thread preempted by others delays one chunk and not the phase.  Between phases threads spin;
 * after 20-50 us without work they sleep on a futex. Threads: created once; kern_pool_run is called
 * by one thread (the engine), which works too. */
#ifndef KERN_POOL_H
#define KERN_POOL_H

#include "base/err.h"

struct kern_pool;

struct kern_phase {
    void (*run)(void *arg, int chunk, int worker); // worker 0 .. n_threads-1
    void *arg;
    int n_chunks; // 0: the phase is skipped
};

MUST_CHECK bool kern_pool_open(struct kern_pool **out, int n_threads, struct err *e);
void kern_pool_close(struct kern_pool *p);
int kern_pool_threads(const struct kern_pool *p);

/* Runs the phases in order; each begins when all chunks of the one before are done.  Reads *cancel
 * (may be NULL) between phases; returns false if it stopped early. */
bool kern_pool_run(struct kern_pool *p, const struct kern_phase *phases, int n_phases,
                   const _Atomic bool *cancel);

#endif
