/* avx512vnni_dots.h - the dot products of a block: all groups of 4 columns for 1 to 6 tokens.
 *
 * One statement of assembly each, because what matters cannot be said in C: every activation is a
 * broadcast memory operand behind a plain base register, and tokens alternate so that their sums
 * are independent chains.  Compilers break the broadcast off, or turn the tokens' pointers into
 * indexed or spilled ones.
 *     s [tokens] sums, w [groups] codes of 16 rows, x [tokens] the block's activations
 * The statements read x without saying so: nothing writes activations while a product runs. */
#ifndef KERN_AVX512VNNI_DOTS_H
#define KERN_AVX512VNNI_DOTS_H

#include <immintrin.h>
#include <stdint.h>

// clang-format off
#define DOT(t, g, at) "vpdpbusd " #at "(%[x" #t "])%{1to16%}, %[w" #g "], %[s" #t "]\n\t"
#define STEP1(g, at) DOT(0, g, at)
#define STEP2(g, at) STEP1(g, at) DOT(1, g, at)
#define STEP3(g, at) STEP2(g, at) DOT(2, g, at)
#define STEP4(g, at) STEP3(g, at) DOT(3, g, at)
#define STEP5(g, at) STEP4(g, at) DOT(4, g, at)
#define STEP6(g, at) STEP5(g, at) DOT(5, g, at)
#define S1 [s0] "+v"(s[0])
#define S2 S1, [s1] "+v"(s[1])
#define S3 S2, [s2] "+v"(s[2])
#define S4 S3, [s3] "+v"(s[3])
#define S5 S4, [s4] "+v"(s[4])
#define S6 S5, [s5] "+v"(s[5])
#define X1 [x0] "r"(x[0])
#define X2 X1, [x1] "r"(x[1])
#define X3 X2, [x2] "r"(x[2])
#define X4 X3, [x3] "r"(x[3])
#define X5 X4, [x4] "r"(x[4])
#define X6 X5, [x5] "r"(x[5])
#define W4 [w0] "v"(w[0]), [w1] "v"(w[1]), [w2] "v"(w[2]), [w3] "v"(w[3])
#define W8 W4, [w4] "v"(w[4]), [w5] "v"(w[5]), [w6] "v"(w[6]), [w7] "v"(w[7])
#define DOTS(T)                                                                                    \
    static inline __attribute__((always_inline)) void dots4_##T(__m512i *s, const __m512i *w,      \
                                                                const int8_t *const *x)            \
    {                                                                                              \
        __asm__(STEP##T(0, 0) STEP##T(1, 4) STEP##T(2, 8) STEP##T(3, 12) : S##T : W4, X##T);       \
    }                                                                                              \
    static inline __attribute__((always_inline)) void dots8_##T(__m512i *s, const __m512i *w,      \
                                                                const int8_t *const *x)            \
    {                                                                                              \
        __asm__(STEP##T(0, 0) STEP##T(1, 4) STEP##T(2, 8) STEP##T(3, 12)                           \
                STEP##T(4, 16) STEP##T(5, 20) STEP##T(6, 24) STEP##T(7, 28) : S##T : W8, X##T);    \
    }

DOTS(1) DOTS(2) DOTS(3) DOTS(4) DOTS(5) DOTS(6)
    // clang-format on

    /* `groups` is 4 or 8, `tokens` 1 to 6; constants, so that one call is left. */
    static inline __attribute__((always_inline)) void dots(int groups, int tokens, __m512i *s,
                                                           const __m512i *w, const int8_t *const *x)
{
    switch (groups * 10 + tokens) {
    case 41: dots4_1(s, w, x); break;
    case 42: dots4_2(s, w, x); break;
    case 43: dots4_3(s, w, x); break;
    case 44: dots4_4(s, w, x); break;
    case 45: dots4_5(s, w, x); break;
    case 46: dots4_6(s, w, x); break;
    case 81: dots8_1(s, w, x); break;
    case 82: dots8_2(s, w, x); break;
    case 83: dots8_3(s, w, x); break;
    case 84: dots8_4(s, w, x); break;
    case 85: dots8_5(s, w, x); break;
    case 86: dots8_6(s, w, x); break;
    }
}

#endif
