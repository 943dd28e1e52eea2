/* kern/kern.c - which functions a CPU gets: every level overwrites what it improves. */
#include "kern/kern_int.h"

#include "kern/cpu.h"

static const struct {
    unsigned need;
    void (*fill)(struct kern *k);
} levels[] = {
    {0, kern_fill_scalar},
#if defined(__x86_64__)
    {CPU_AVX2 | CPU_FMA | CPU_F16C, kern_fill_avx2},
    {CPU_AVX2 | CPU_FMA | CPU_F16C | CPU_AVXVNNI, kern_fill_avxvnni},
    {CPU_AVX2 | CPU_FMA | CPU_F16C | CPU_AVX512, kern_fill_avx512},
    {CPU_AVX2 | CPU_FMA | CPU_F16C | CPU_AVX512 | CPU_VNNI512, kern_fill_vnni512},
    {CPU_AVX2 | CPU_FMA | CPU_F16C | CPU_AVX512 | CPU_VNNI512 | CPU_AMX, kern_fill_amx},
#elif defined(__aarch64__)
    {CPU_DOTPROD, kern_fill_dotprod},
#endif
};

void kern_init(struct kern *k, unsigned cpu)
{
    *k = (struct kern){0};
    for (size_t i = 0; i < COUNT(levels); i++)
        if ((cpu & levels[i].need) == levels[i].need)
            levels[i].fill(k);
}
