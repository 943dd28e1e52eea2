/* avx512vnni_dots.h - dot products of 4 columns of 16 rows with up to 12 tokens, in lockstep.
 *
 * Assembly, because what matters cannot be said in C: every activation is a broadcast memory
 * operand, and few registers address all of them.  Compilers break the broadcast off, or turn the
 * tokens into a pointer each.  The statements read activations and unpacked codes without saying
 * so: nothing writes these while a product runs, and codes are unpacked by a call through a
 * pointer. */
#ifndef KERN_AVX512VNNI_DOTS_H
#define KERN_AVX512VNNI_DOTS_H

#include "kern/shape.h"

#include <immintrin.h>

#define TILE  12 // most tokens
#define BASE  5  // tokens of a pointer: base plus 0, 1, 2, 3 and 4 strides
#define BASES ((TILE + BASE - 1) / BASE)

/* Where the activations of up to TILE tokens stand. */
struct acts {
    const uint8_t *x[BASES]; // of tokens 0, BASE ...
    size_t stride, three;    // bytes from token to token, and three times that
};

INLINE struct acts acts_of(const uint8_t *x, size_t stride)
{
    struct acts a = {.stride = stride, .three = 3 * stride};
    for (int i = 0; i < BASES; i++)
        a.x[i] = x + (size_t)(BASE * i) * stride;
    return a;
}

/* On to later columns; the compiler is not to know how the pointers hang together. */
INLINE void acts_move(struct acts *a, int nt, size_t bytes)
{
    for (int i = 0; i < (nt + BASE - 1) / BASE; i++) {
        a->x[i] += bytes;
        __asm__("" : "+r"(a->x[i]));
    }
}

/* Token t's. */
INLINE const uint8_t *acts_at(const struct acts *a, int t)
{
    static const int strides[BASE] = {0, 1, 2, 0, 4};
    return a->x[t / BASE] + (t % BASE == 3 ? a->three : (size_t)strides[t % BASE] * a->stride);
}

// clang-format off
#define PLACES(CASE, at)                                                                           \
    CASE(0, at, "") CASE(1, at, ",%[k]") CASE(2, at, ",%[k],2") CASE(3, at, ",%[three]")           \
    CASE(4, at, ",%[k],4")
#define ACTS(t) [x] "r"(a->x[(t) / BASE]), [k] "r"(a->stride), [three] "r"(a->three)
#define DOT_CASE(at_token, at, place)                                                              \
    case at_token:                                                                                 \
        __asm__("vpdpbusd " #at "(%[x]" place ")%{1to16%}, %[w], %[s]"                             \
                : [s] "+v"(s[t]) : [w] "v"(w), ACTS(t));                                           \
        break;
#define GROUPS(GROUP)                                                                              \
    GROUP(0, 0) GROUP(1, 4) GROUP(2, 8) GROUP(3, 12) GROUP(4, 16) GROUP(5, 20) GROUP(6, 24)        \
    GROUP(7, 28)
// clang-format on

/* s [nt] += codes w of group g, 0 .. 7, times nt tokens; g and nt constants. */
INLINE void dots(int g, __m512i *s, __m512i w, const struct acts *a, int nt)
{
#define GROUP(group, at)                                                                           \
    case group:                                                                                    \
        _Pragma("GCC unroll 12") for (int t = 0; t < nt; t++) switch (t % BASE)                    \
        {                                                                                          \
            PLACES(DOT_CASE, at)                                                                   \
        }                                                                                          \
        break;
    switch (g) {
        GROUPS(GROUP)
    }
#undef GROUP
}

// clang-format off
#define PAIR(t, at, place)                                                                         \
    "vpbroadcastd " #at "(" place "), %%zmm31\n\t"                                                 \
    "vpdpbusd %%zmm31, %%zmm29, %[a" #t "]\n\tvpdpbusd %%zmm31, %%zmm30, %[b" #t "]\n\t"
#define PAIRS4(at)                                                                                 \
    PAIR(0, at, "%[x]") PAIR(1, at, "%[x],%[k]") PAIR(2, at, "%[x],%[k],2")                        \
    PAIR(3, at, "%[x],%[three]")
#define PAIRS5(at) PAIRS4(at) PAIR(4, at, "%[x],%[k],4")
#define PAIRS6(at) PAIRS5(at) PAIR(5, at, "%[x5]")
#define PANELS(n, at, line)                                                                        \
    "vmovdqa64 " #line "(%[w0]), %%zmm29\n\tvmovdqa64 " #line "(%[w1]), %%zmm30\n\t" PAIRS##n(at)
#define GROUPS0(n) PANELS(n, 0, 0) PANELS(n, 4, 64)
#define GROUPS2(n) PANELS(n, 8, 128) PANELS(n, 12, 192)
#define GROUPS4(n) PANELS(n, 16, 256) PANELS(n, 20, 320)
#define GROUPS6(n) PANELS(n, 24, 384) PANELS(n, 28, 448)
#define SUMS4                                                                                      \
    [a0] "+v"(s[0]), [b0] "+v"(s[4]), [a1] "+v"(s[1]), [b1] "+v"(s[5]),                            \
    [a2] "+v"(s[2]), [b2] "+v"(s[6]), [a3] "+v"(s[3]), [b3] "+v"(s[7])
#define SUMS5                                                                                      \
    [a0] "+v"(s[0]), [b0] "+v"(s[5]), [a1] "+v"(s[1]), [b1] "+v"(s[6]),                            \
    [a2] "+v"(s[2]), [b2] "+v"(s[7]), [a3] "+v"(s[3]), [b3] "+v"(s[8]),                            \
    [a4] "+v"(s[4]), [b4] "+v"(s[9])
#define SUMS6                                                                                      \
    [a0] "+v"(s[0]), [b0] "+v"(s[6]), [a1] "+v"(s[1]), [b1] "+v"(s[7]),                            \
    [a2] "+v"(s[2]), [b2] "+v"(s[8]), [a3] "+v"(s[3]), [b3] "+v"(s[9]),                            \
    [a4] "+v"(s[4]), [b4] "+v"(s[10]), [a5] "+v"(s[5]), [b5] "+v"(s[11])
#define PAIR_CASE(n, from, groups, text)                                                           \
    case 100 * n + 10 * from + groups: PAIR_ASM(text, n); break;
#define PAIR_CASES(n)                                                                              \
    PAIR_CASE(n, 0, 2, GROUPS0(n)) PAIR_CASE(n, 2, 2, GROUPS2(n))                                  \
    PAIR_CASE(n, 4, 2, GROUPS4(n)) PAIR_CASE(n, 6, 2, GROUPS6(n))                                  \
    PAIR_CASE(n, 0, 4, GROUPS0(n) GROUPS2(n)) PAIR_CASE(n, 4, 4, GROUPS4(n) GROUPS6(n))            \
    PAIR_CASE(n, 0, 8, GROUPS0(n) GROUPS2(n) GROUPS4(n) GROUPS6(n))
#define PAIR_ASM(text, n)                                                                          \
    __asm__(text : SUMS##n                                                                         \
            : [w0] "r"(w[0]), [w1] "r"(w[1]), [x] "r"(a->x[0]), [x5] "r"(a->x[1]),                 \
              [k] "r"(a->stride), [three] "r"(a->three)                                            \
            : "xmm29", "xmm30", "xmm31")
// clang-format on

/* s [2][nt] += `groups` groups from group `from` on of two panels, whose codes of 8 groups stand at
 * w[0] and w[1], times 4 to 6 tokens: an activation serves both. */
INLINE void dots_pair(int from, int groups, __m512i *s, const uint8_t *const *w,
                      const struct acts *a, int nt)
{
    switch (100 * nt + 10 * from + groups) {
        PAIR_CASES(4) PAIR_CASES(5) PAIR_CASES(6)
    }
}

#endif
