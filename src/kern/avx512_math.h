/* kern/avx512_math.h - sixteen numbers at a time: the operations of kern/math.h in the same order.
 */
#ifndef KERN_AVX512_MATH_H
#define KERN_AVX512_MATH_H

#include "kern/math.h"

#include <immintrin.h>

/* What attn_body.h is written in. */
#define VEC   __m512
#define LANES 16

static inline VEC vec_zero(void)
{
    return _mm512_setzero_ps();
}

static inline VEC vec_set1(float f)
{
    return _mm512_set1_ps(f);
}

static inline VEC vec_load(const float *p)
{
    return _mm512_loadu_ps(p);
}

static inline void vec_store(float *p, VEC v)
{
    _mm512_storeu_ps(p, v);
}

static inline VEC vec_half(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

static inline VEC vec_add(VEC a, VEC b)
{
    return _mm512_add_ps(a, b);
}

static inline VEC vec_sub(VEC a, VEC b)
{
    return _mm512_sub_ps(a, b);
}

static inline VEC vec_mul(VEC a, VEC b)
{
    return _mm512_mul_ps(a, b);
}

static inline VEC vec_div(VEC a, VEC b)
{
    return _mm512_div_ps(a, b);
}

static inline VEC vec_fma(VEC a, VEC b, VEC c)
{
    return _mm512_fmadd_ps(a, b, c);
}

/* a > b ? a : b */
static inline VEC vec_max(VEC a, VEC b)
{
    return _mm512_max_ps(a, b);
}

static inline __mmask16 first_lanes(int n)
{
    return (__mmask16)(n >= 16 ? 0xffff : n <= 0 ? 0 : (1u << n) - 1);
}

/* Lanes [from, to) of v; the others -infinity. */
static inline VEC vec_window(VEC v, int from, int to)
{
    __mmask16 in = (__mmask16)(first_lanes(to) & ~first_lanes(from));
    return _mm512_mask_blend_ps(in, _mm512_set1_ps(-INFINITY), v);
}

/* The greatest lane; none is a NaN. */
static inline float vec_top(VEC v)
{
    return _mm512_reduce_max_ps(v);
}

/* 16 lanes, summed as lane i + i + 8, + 4, + 2, + 1. */
static inline float vec_sum16(const VEC *lanes)
{
    __m256 s = _mm256_add_ps(_mm512_castps512_ps256(*lanes), _mm512_extractf32x8_ps(*lanes, 1));
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    q = _mm_add_ss(q, _mm_movehdup_ps(q));
    return _mm_cvtss_f32(q);
}

/* Eight floats as f16. */
static inline void store_halves8(uint16_t *out, const float *x)
{
    __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)out, h);
}

static inline VEC vec_flip(VEC a, __m512i bits)
{
    return _mm512_castsi512_ps(_mm512_xor_si512(_mm512_castps_si512(a), bits));
}

static inline VEC vec_exp(VEC x)
{
    const VEC magic = _mm512_set1_ps(EXP_MAGIC);
    x = _mm512_max_ps(_mm512_set1_ps(EXP_MIN), x); // a NaN in the second operand stays
    x = _mm512_min_ps(_mm512_set1_ps(EXP_MAX), x);
    VEC t = vec_fma(x, _mm512_set1_ps(EXP_LOG2E), magic);
    VEC n = vec_sub(t, magic);
    VEC r = vec_fma(n, _mm512_set1_ps(-EXP_LN2HI), x);
    r = vec_fma(n, _mm512_set1_ps(-EXP_LN2LO), r);
    VEC p = vec_fma(_mm512_set1_ps(EXP_C6), r, _mm512_set1_ps(EXP_C5));
    p = vec_fma(p, r, _mm512_set1_ps(EXP_C4));
    p = vec_fma(p, r, _mm512_set1_ps(EXP_C3));
    p = vec_fma(p, r, _mm512_set1_ps(EXP_C2));
    p = vec_add(vec_fma(p, vec_mul(r, r), r), _mm512_set1_ps(1.0f));
    // times 2^n, rounded once: the two factors of kern_exp round only in the second product
    return _mm512_scalef_ps(p, n);
}

static inline VEC vec_tanh(VEC x)
{
    const __m512i sign = _mm512_set1_epi32((int32_t)0x80000000);
    const VEC one = _mm512_set1_ps(1.0f);
    VEC a = _mm512_abs_ps(x), z = vec_mul(x, x);
    VEC p = vec_fma(_mm512_set1_ps(TANH_C4), z, _mm512_set1_ps(TANH_C3));
    p = vec_fma(p, z, _mm512_set1_ps(TANH_C2));
    p = vec_fma(p, z, _mm512_set1_ps(TANH_C1));
    p = vec_fma(p, z, _mm512_set1_ps(TANH_C0));
    VEC small = vec_fma(vec_mul(p, z), x, x);
    VEC e = vec_add(vec_exp(vec_add(a, a)), one);
    VEC big = vec_sub(one, vec_div(_mm512_set1_ps(2.0f), e));
    __m512i signed_big =
        _mm512_or_si512(_mm512_castps_si512(big), _mm512_and_si512(sign, _mm512_castps_si512(x)));
    __mmask16 below = _mm512_cmp_ps_mask(a, _mm512_set1_ps(TANH_SMALL), _CMP_LT_OQ);
    return _mm512_mask_blend_ps(below, _mm512_castsi512_ps(signed_big), small);
}

static inline VEC vec_silu(VEC x)
{
    VEC e = vec_exp(vec_flip(x, _mm512_set1_epi32((int32_t)0x80000000)));
    return vec_div(x, vec_add(_mm512_set1_ps(1.0f), e));
}

static inline VEC vec_gelu(VEC x)
{
    VEC inner = vec_fma(vec_mul(x, x), _mm512_set1_ps(GELU_B), _mm512_set1_ps(1.0f));
    inner = vec_mul(vec_mul(x, _mm512_set1_ps(GELU_A)), inner);
    VEC half = vec_mul(_mm512_set1_ps(0.5f), x);
    return vec_fma(half, vec_tanh(inner), half);
}

#endif
