/* kern/math.h - exp, tanh and what is made of them, one number at a time.
 *
 * The vector levels perform the same operations in the same order, so they give the same bits.
 * Errors against the exact values: exp 1.0 units in the last place, tanh 1.3. */
#ifndef KERN_MATH_H
#define KERN_MATH_H

#include "kern/f16.h"

#include <math.h>

#define EXP_MIN   -104.0f     // and below: 0
#define EXP_MAX   89.0f       // and above: infinity
#define EXP_MAGIC 12582912.0f // 1.5 * 2^23: adding it rounds to an integer
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_LN2HI 0x1.62e400p-1f
#define EXP_LN2LO 0x1.7f7d1cp-20f
/* exp(r) = 1 + r + r^2 (C2 + C3 r + C4 r^2 + C5 r^3 + C6 r^4) for |r| <= ln 2 / 2 */
#define EXP_C2 0x1.fffff8p-2f
#define EXP_C3 0x1.555486p-3f
#define EXP_C4 0x1.555b8ep-5f
#define EXP_C5 0x1.124176p-7f
#define EXP_C6 0x1.686f1ep-10f

static inline float kern_exp(float x)
{
    x = EXP_MIN > x ? EXP_MIN : x; // written so that a NaN stays one
    x = EXP_MAX < x ? EXP_MAX : x;
    float t = fmaf(x, EXP_LOG2E, EXP_MAGIC);
    float n = t - EXP_MAGIC;
    float r = fmaf(n, -EXP_LN2HI, x);
    r = fmaf(n, -EXP_LN2LO, r);
    float p = fmaf(EXP_C6, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r * r, r) + 1.0f;
    // 2^n in two factors, so that neither leaves the range of normal numbers
    uint32_t i = f32_bits(t) - f32_bits(EXP_MAGIC), half = (uint32_t)((int32_t)i >> 1);
    return p * f32_from_bits((half + 127) << 23) * f32_from_bits((i - half + 127) << 23);
}

/* tanh(x) = x + x z P(z), z = x^2, below 0.625; else from exp. */
#define TANH_SMALL 0.625f
#define TANH_C0    -0x1.555534p-2f
#define TANH_C1    0x1.110744p-3f
#define TANH_C2    -0x1.b83fd0p-5f
#define TANH_C3    0x1.523b48p-6f
#define TANH_C4    -0x1.76374ep-8f

static inline float kern_tanh(float x)
{
    float a = f32_from_bits(f32_bits(x) & 0x7fffffff), z = x * x;
    float p = fmaf(TANH_C4, z, TANH_C3);
    p = fmaf(p, z, TANH_C2);
    p = fmaf(p, z, TANH_C1);
    p = fmaf(p, z, TANH_C0);
    float small = fmaf(p * z, x, x);
    float big = 1.0f - 2.0f / (kern_exp(a + a) + 1.0f);
    big = f32_from_bits(f32_bits(big) | (f32_bits(x) & 0x80000000));
    return a < TANH_SMALL ? small : big;
}

static inline float kern_silu(float x)
{
    return x / (1.0f + kern_exp(-x));
}

#define GELU_A 0.797884583f // sqrt(2 / pi)
#define GELU_B 0.044715f

static inline float kern_gelu(float x)
{
    float inner = x * GELU_A * fmaf(x * x, GELU_B, 1.0f);
    float half = 0.5f * x;
    return fmaf(half, kern_tanh(inner), half);
}

#endif
