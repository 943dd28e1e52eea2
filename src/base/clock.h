/* base/clock.h - time.  Any thread; tests may freeze it. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include "base/defs.h"

uint64_t clock_mono_ns(void); // since some fixed moment; never goes back
uint64_t clock_mono_ms(void);
int64_t clock_unix_ms(void); // since 1970-01-01 UTC

/* Tests only: both clocks stand still at these values until clock_thaw. */
void clock_freeze(uint64_t mono_ms, int64_t unix_ms);
void clock_thaw(void);

#endif
