/* engine/warm.c - asks the system for pages that will be used soon, while nothing computes.
 *
 * Not by a thread of low priority beside the steps: asking holds a lock of the whole process, and
 * who waits for that while the processors are taken waits for a thread that does not run. */
#include "engine/engine_int.h"

#include "base/mem.h"

#include <time.h>

#define PIECE    ((size_t)2 << 20)   // bytes asked for at a time
#define QUIET_NS (20 * 1000 * 1000L) // without a step, before it goes on

/* Waits until no step runs and none has begun for a while; *seen: the steps of the last look.
 * False: told to stop. */
static bool quiet(struct engine_warm *w, unsigned *seen)
{
    while (!atomic_load(&w->stop)) {
        unsigned steps = atomic_load(&w->steps);
        if (steps == *seen && steps % 2 == 0)
            return true;
        *seen = steps;
        nanosleep(&(struct timespec){.tv_nsec = QUIET_NS}, NULL);
    }
    return false;
}

static void *warm(void *arg)
{
    struct engine_warm *w = arg;
    unsigned seen = 0;
    for (size_t i = 0; i < sizeof w->part / sizeof *w->part; i++)
        for (size_t at = 0; at < w->part[i].bytes; at += PIECE)
            if (!quiet(w, &seen) ||
                !mem_populate(w->part[i].mem + at, size_min(PIECE, w->part[i].bytes - at)))
                return NULL;
    return NULL;
}

void engine_warm_start(struct engine_warm *w)
{
    w->running = pthread_create(&w->thread, NULL, warm, w) == 0; // else pages come when used
}

void engine_warm_end(struct engine_warm *w)
{
    atomic_store(&w->stop, true);
    if (w->running)
        pthread_join(w->thread, NULL);
    w->running = false;
}
