/* kern/f16.h - 16-bit floats by bit arithmetic: what the hardware conversions compute, for CPUs
 * without them and for the scalar twins. */
#ifndef KERN_F16_H
#define KERN_F16_H

#include "base/defs.h"

#include <string.h>

static inline uint32_t f32_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float f32_from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exponent = h >> 10 & 31, man = h & 0x3ff;
    if (exponent == 0) // zero or denormal: man * 2^-24, exact
        return f32_from_bits(f32_bits((float)man * 0x1p-24f) | sign);
    if (exponent == 31)
        return f32_from_bits(sign | 0x7f800000 | man << 13 | (man ? 0x400000 : 0));
    return f32_from_bits(sign | (exponent + 112) << 23 | man << 13);
}

/* Rounds to nearest, ties to even. */
static inline uint16_t f32_to_f16(float f)
{
    uint32_t u = f32_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) // 65520 and above
        return (uint16_t)(sign | 0x7c00);
    if (a < 0x38800000) // below 2^-14: the sum has steps of 2^-24, the denormals' own
        return (uint16_t)(sign | (f32_bits(f32_from_bits(a) + 0.5f) - 0x3f000000));
    return (uint16_t)(sign | (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
}

static inline float bf16_to_f32(uint16_t h)
{
    return f32_from_bits((uint32_t)h << 16);
}

/* Rounds to nearest, ties to even. */
static inline uint16_t f32_to_bf16(float f)
{
    uint32_t u = f32_bits(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(u >> 16 | 64);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* The scale of an MXFP4 block, halved because the table of its values is doubled: 2^(e - 128). */
static inline float e8m0_to_f32(uint8_t e)
{
    return f32_from_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

#endif
