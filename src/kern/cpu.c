/* kern/cpu.c - see cpu.h.  CPUID is read here and not by the compiler's builtin, which in clang 14
 * knows neither f16c nor avxvnni. */
#include "kern/cpu.h"

#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#define BASE_AVX2 (CPU_AVX2 | CPU_FMA | CPU_F16C)

static const struct {
    const char *name;
    unsigned flag;
} features[] = {
    {"avx2", CPU_AVX2},       {"fma", CPU_FMA},         {"f16c", CPU_F16C},
    {"avxvnni", CPU_AVXVNNI}, {"avx512", CPU_AVX512},   {"vnni512", CPU_VNNI512},
    {"bf16", CPU_BF16},       {"dotprod", CPU_DOTPROD}, {"amx", CPU_AMX},
};

static const struct {
    const char *name;
    unsigned mask;
} masks[] = {
    {"scalar", 0},
    {"avx2", BASE_AVX2},
    {"avxvnni", BASE_AVX2 | CPU_AVXVNNI},
    {"avx512", BASE_AVX2 | CPU_AVXVNNI | CPU_AVX512},
    {"vnni512", BASE_AVX2 | CPU_AVXVNNI | CPU_AVX512 | CPU_VNNI512},
    {"bf16", BASE_AVX2 | CPU_AVXVNNI | CPU_AVX512 | CPU_VNNI512 | CPU_BF16},
    {"amx", BASE_AVX2 | CPU_AVXVNNI | CPU_AVX512 | CPU_VNNI512 | CPU_BF16 | CPU_AMX},
    {"dotprod", CPU_DOTPROD},
    {"all", ~0u},
};

#if defined(__x86_64__)

// Which registers the system saves on a switch: bit 1 SSE, 2 AVX, 5..7 AVX-512, 17 and 18 AMX.
static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// Linux saves tile registers only for processes that have asked for it (arch_prctl(2)).
static bool may_use_tiles(unsigned saved)
{
    const long arch_req_xcomp_perm = 0x1023, xtiledata = 18;
    return (saved & 0x60000) == 0x60000 &&
           syscall(SYS_arch_prctl, arch_req_xcomp_perm, xtiledata) == 0;
}

#if defined(KERN_AMX_TWIN) // a test, which has tiles in plain C
#define HAS_TILES(features) ((void)may_use_tiles, true)
#else
#define HAS_TILES(features) (((features) >> 24 & 3) == 3 && may_use_tiles(saved)) // and of bytes
#endif

unsigned cpu_detect(void)
{
    unsigned a, b, c, d, cpu = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & 1u << 27)) // no xgetbv: nothing wide is saved
        return 0;
    unsigned saved = saved_registers();
    if ((saved & 0x06) != 0x06)
        return 0;
    cpu |= c & 1u << 12 ? CPU_FMA : 0;
    cpu |= c & 1u << 29 ? CPU_F16C : 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return cpu;
    cpu |= b & 1u << 5 ? CPU_AVX2 : 0;
    const unsigned f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    if ((saved & 0xe0) == 0xe0 && (b & f_dq_bw_vl) == f_dq_bw_vl) {
        cpu |= CPU_AVX512;
        cpu |= c & 1u << 11 ? CPU_VNNI512 : 0;
    }
    if (cpu & CPU_VNNI512 && HAS_TILES(d))
        cpu |= CPU_AMX;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        cpu |= a & 1u << 4 ? CPU_AVXVNNI : 0;
        cpu |= cpu & CPU_AVX512 && a & 1u << 5 ? CPU_BF16 : 0;
    }
    return cpu;
}

#elif defined(__aarch64__)

unsigned cpu_detect(void)
{
    return getauxval(AT_HWCAP) & 1ul << 20 ? CPU_DOTPROD : 0; // HWCAP_ASIMDDP
}

#else

unsigned cpu_detect(void)
{
    return 0;
}

#endif

bool cpu_parse_mask(str s, unsigned *mask, struct err *e)
{
    for (size_t i = 0; i < COUNT(masks); i++)
        if (str_eq(s, str_c(masks[i].name))) {
            *mask = masks[i].mask;
            return true;
        }
    char names[128] = "";
    size_t at = 0;
    for (size_t i = 0; i < COUNT(masks); i++)
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", masks[i].name);
    return err_set(e, ERR_INPUT, "no CPU level \"%.*s\"; there are: %s", (int)size_min(s.n, 64),
                   s.p, names);
}

const char *cpu_names(unsigned cpu, char *out, size_t cap)
{
    size_t at = 0;
    if (cap)
        out[0] = '\0';
    for (size_t i = 0; i < COUNT(features); i++) {
        if (!(cpu & features[i].flag))
            continue;
        int n = snprintf(out + at, cap - at, "%s%s", at ? " " : "", features[i].name);
        if (n < 0 || (size_t)n >= cap - at)
            break;
        at += (size_t)n;
    }
    return out;
}
