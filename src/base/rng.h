/* base/rng.h - randomness: unguessable bytes from the system, and numbers that are a pure function
 * of (seed, position), so that a replay draws the same ones under any batching.  Any thread. */
#ifndef BASE_RNG_H
#define BASE_RNG_H

#include "base/defs.h"

/* n unguessable bytes (getrandom); aborts if the system has none to give. */
void rng_bytes(void *p, size_t n);
uint64_t rng_u64(void);

/* 64 well-mixed bits of (seed, position).  Source: the finaliser of SplitMix64 (Steele, Lea, Flood,
 * "Fast splittable pseudorandom number generators", 2014), applied to both words in turn. */
uint64_t rng_at(uint64_t seed, uint64_t pos);

/* rng_at as a number in [0, 1), 53 bits. */
double rng_unit_at(uint64_t seed, uint64_t pos);

/* Tests only: rng_bytes becomes a fixed sequence from this seed; 0 gives the system back. */
void rng_fix(uint64_t seed);

#endif
