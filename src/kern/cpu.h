/* kern/cpu.h - what the CPU can do and the system saves; which kernel levels follow from it. */
#ifndef KERN_CPU_H
#define KERN_CPU_H

#include "base/err.h"
#include "base/str.h"

enum {
    CPU_AVX2 = 1 << 0,
    CPU_FMA = 1 << 1,
    CPU_F16C = 1 << 2,
    CPU_AVXVNNI = 1 << 3,
    CPU_AVX512 = 1 << 4, // F, BW, VL, DQ
    CPU_VNNI512 = 1 << 5,
    CPU_BF16 = 1 << 6,
    CPU_DOTPROD = 1 << 7,
    CPU_AMX = 1 << 8 // tiles of bytes
};

/* Asks the system for the use of AMX tiles where there are some: it grants them to a process and
 * all threads that it starts from then on. */
unsigned cpu_detect(void);

/* "scalar", "avx2", "avx512" ...: the features up to that level, for --cpu-mask.  ERR_INPUT lists
 * the names. */
MUST_CHECK bool cpu_parse_mask(str s, unsigned *mask, struct err *e);

/* "avx2 fma f16c ..." into out; returns out. */
const char *cpu_names(unsigned cpu, char *out, size_t cap);

#endif
