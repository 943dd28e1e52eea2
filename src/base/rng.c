/* base/rng.c - see rng.h. */
#include "base/rng.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static _Atomic uint64_t fixed_seed, fixed_pos; // relaxed: only tests fix them

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t rng_at(uint64_t seed, uint64_t pos)
{
    return mix(mix(seed) ^ mix(pos ^ 0x5851f42d4c957f2du));
}

double rng_unit_at(uint64_t seed, uint64_t pos)
{
    return (double)(rng_at(seed, pos) >> 11) * 0x1p-53;
}

void rng_bytes(void *p, size_t n)
{
    unsigned char *at = p;
    uint64_t seed = atomic_load_explicit(&fixed_seed, memory_order_relaxed);
    while (n) {
        if (seed) {
            uint64_t word =
                rng_at(seed, atomic_fetch_add_explicit(&fixed_pos, 1, memory_order_relaxed));
            size_t k = n < sizeof word ? n : sizeof word;
            memcpy(at, &word, k);
            at += k;
            n -= k;
            continue;
        }
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            fprintf(stderr, "error base.no_randomness errno=%d\n", errno);
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}

uint64_t rng_u64(void)
{
    uint64_t v;
    rng_bytes(&v, sizeof v);
    return v;
}

void rng_fix(uint64_t seed)
{
    atomic_store_explicit(&fixed_seed, seed, memory_order_relaxed);
    atomic_store_explicit(&fixed_pos, 0, memory_order_relaxed);
}
