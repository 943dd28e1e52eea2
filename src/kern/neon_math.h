/* kern/neon_math.h - four numbers at a time: the operations of kern/math.h in the same order. */
#ifndef KERN_NEON_MATH_H
#define KERN_NEON_MATH_H

#include "kern/math.h"

#include <arm_neon.h>

/* What attn_body.h is written in. */
#define VEC   float32x4_t
#define LANES 4

static inline VEC vec_zero(void)
{
    return vdupq_n_f32(0);
}

static inline VEC vec_set1(float f)
{
    return vdupq_n_f32(f);
}

static inline VEC vec_load(const float *p)
{
    return vld1q_f32(p);
}

static inline void vec_store(float *p, VEC v)
{
    vst1q_f32(p, v);
}

static inline VEC vec_half(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}

static inline VEC vec_add(VEC a, VEC b)
{
    return vaddq_f32(a, b);
}

static inline VEC vec_sub(VEC a, VEC b)
{
    return vsubq_f32(a, b);
}

static inline VEC vec_mul(VEC a, VEC b)
{
    return vmulq_f32(a, b);
}

static inline VEC vec_div(VEC a, VEC b)
{
    return vdivq_f32(a, b);
}

static inline VEC vec_fma(VEC a, VEC b, VEC c)
{
    return vfmaq_f32(c, a, b);
}

/* a > b ? a : b, so that a NaN in b stays. */
static inline VEC vec_max(VEC a, VEC b)
{
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline VEC vec_min(VEC a, VEC b)
{
    return vbslq_f32(vcltq_f32(a, b), a, b);
}

/* The greatest lane; none is a NaN. */
static inline float vec_top(VEC v)
{
    return vmaxvq_f32(v);
}

/* Lanes [from, to) of v; the others -infinity. */
static inline VEC vec_window(VEC v, int from, int to)
{
    static const int32_t index[4] = {0, 1, 2, 3};
    int32x4_t i = vld1q_s32(index);
    uint32x4_t in = vandq_u32(vcgeq_s32(i, vdupq_n_s32(from)), vcltq_s32(i, vdupq_n_s32(to)));
    return vbslq_f32(in, v, vdupq_n_f32(-INFINITY));
}

/* 16 lanes, summed as lane i + i + 8, + 4, + 2, + 1. */
static inline float vec_sum16(const VEC *lanes)
{
    VEC s = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
    float32x2_t q = vadd_f32(vget_low_f32(s), vget_high_f32(s));
    return vget_lane_f32(q, 0) + vget_lane_f32(q, 1);
}

/* Eight floats as f16. */
static inline void store_halves8(uint16_t *out, const float *x)
{
    vst1_u16(out, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x))));
    vst1_u16(out + 4, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(x + 4))));
}

static inline VEC vec_exp(VEC x)
{
    const VEC magic = vec_set1(EXP_MAGIC);
    x = vec_max(vec_set1(EXP_MIN), x);
    x = vec_min(vec_set1(EXP_MAX), x);
    VEC t = vec_fma(x, vec_set1(EXP_LOG2E), magic);
    VEC n = vec_sub(t, magic);
    VEC r = vec_fma(n, vec_set1(-EXP_LN2HI), x);
    r = vec_fma(n, vec_set1(-EXP_LN2LO), r);
    VEC p = vec_fma(vec_set1(EXP_C6), r, vec_set1(EXP_C5));
    p = vec_fma(p, r, vec_set1(EXP_C4));
    p = vec_fma(p, r, vec_set1(EXP_C3));
    p = vec_fma(p, r, vec_set1(EXP_C2));
    p = vec_add(vec_fma(p, vec_mul(r, r), r), vec_set1(1.0f));
    int32x4_t i = vsubq_s32(vreinterpretq_s32_f32(t), vreinterpretq_s32_f32(magic));
    int32x4_t half = vshrq_n_s32(i, 1), rest = vsubq_s32(i, half);
    const int32x4_t bias = vdupq_n_s32(127);
    half = vshlq_n_s32(vaddq_s32(half, bias), 23);
    rest = vshlq_n_s32(vaddq_s32(rest, bias), 23);
    return vec_mul(vec_mul(p, vreinterpretq_f32_s32(half)), vreinterpretq_f32_s32(rest));
}

static inline VEC vec_tanh(VEC x)
{
    const uint32x4_t sign = vdupq_n_u32(0x80000000);
    const VEC one = vec_set1(1.0f);
    VEC a = vabsq_f32(x), z = vec_mul(x, x);
    VEC p = vec_fma(vec_set1(TANH_C4), z, vec_set1(TANH_C3));
    p = vec_fma(p, z, vec_set1(TANH_C2));
    p = vec_fma(p, z, vec_set1(TANH_C1));
    p = vec_fma(p, z, vec_set1(TANH_C0));
    VEC small = vec_fma(vec_mul(p, z), x, x);
    VEC e = vec_add(vec_exp(vec_add(a, a)), one);
    VEC big = vec_sub(one, vec_div(vec_set1(2.0f), e));
    uint32x4_t bits = vandq_u32(sign, vreinterpretq_u32_f32(x));
    big = vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(big), bits));
    return vbslq_f32(vcltq_f32(a, vec_set1(TANH_SMALL)), small, big);
}

static inline VEC vec_silu(VEC x)
{
    return vec_div(x, vec_add(vec_set1(1.0f), vec_exp(vnegq_f32(x))));
}

static inline VEC vec_gelu(VEC x)
{
    VEC inner = vec_fma(vec_mul(x, x), vec_set1(GELU_B), vec_set1(1.0f));
    inner = vec_mul(vec_mul(x, vec_set1(GELU_A)), inner);
    VEC half = vec_mul(vec_set1(0.5f), x);
    return vec_fma(half, vec_tanh(inner), half);
}

#endif
