/* base/clock.c - see clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic bool frozen; // relaxed: tests freeze before they start threads
static uint64_t frozen_mono_ms;
static int64_t frozen_unix_ms;

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    if (atomic_load_explicit(&frozen, memory_order_relaxed))
        return frozen_mono_ms * 1000000u;
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000u;
}

int64_t clock_unix_ms(void)
{
    if (atomic_load_explicit(&frozen, memory_order_relaxed))
        return frozen_unix_ms;
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000u);
}

void clock_freeze(uint64_t mono_ms, int64_t unix_ms)
{
    frozen_mono_ms = mono_ms;
    frozen_unix_ms = unix_ms;
    atomic_store_explicit(&frozen, true, memory_order_relaxed);
}

void clock_thaw(void)
{
    atomic_store_explicit(&frozen, false, memory_order_relaxed);
}
