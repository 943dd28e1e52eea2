/* base/clock.c - see clock.h. */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

// Relaxed: tests freeze before they start threads, or need not know when a thread sees it.
static _Atomic bool frozen;
static _Atomic uint64_t frozen_mono_ms;
static _Atomic int64_t frozen_unix_ms;

static uint64_t read_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ns(void)
{
    if (atomic_load_explicit(&frozen, memory_order_relaxed))
        return atomic_load_explicit(&frozen_mono_ms, memory_order_relaxed) * 1000000u;
    return read_ns(CLOCK_MONOTONIC);
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000u;
}

int64_t clock_unix_ms(void)
{
    if (atomic_load_explicit(&frozen, memory_order_relaxed))
        return atomic_load_explicit(&frozen_unix_ms, memory_order_relaxed);
    return (int64_t)(read_ns(CLOCK_REALTIME) / 1000000u);
}

void clock_freeze(uint64_t mono_ms, int64_t unix_ms)
{
    atomic_store_explicit(&frozen_mono_ms, mono_ms, memory_order_relaxed);
    atomic_store_explicit(&frozen_unix_ms, unix_ms, memory_order_relaxed);
    atomic_store_explicit(&frozen, true, memory_order_relaxed);
}

void clock_thaw(void)
{
    atomic_store_explicit(&frozen, false, memory_order_relaxed);
}
