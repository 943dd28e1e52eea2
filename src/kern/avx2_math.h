/* kern/avx2_math.h - eight numbers at a time: the operations of kern/math.h in the same order. */
#ifndef KERN_AVX2_MATH_H
#define KERN_AVX2_MATH_H

#include "kern/math.h"

#include <immintrin.h>

static inline __m256 vec_exp(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(EXP_MAGIC);
    x = _mm256_max_ps(_mm256_set1_ps(EXP_MIN), x); // a NaN in the second operand stays
    x = _mm256_min_ps(_mm256_set1_ps(EXP_MAX), x);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2HI), x);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-EXP_LN2LO), r);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C6), r, _mm256_set1_ps(EXP_C5));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C4));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C3));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(EXP_C2));
    p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0f));
    __m256i i = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(magic));
    __m256i half = _mm256_srai_epi32(i, 1), rest = _mm256_sub_epi32(i, half);
    const __m256i bias = _mm256_set1_epi32(127);
    half = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    rest = _mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23);
    p = _mm256_mul_ps(p, _mm256_castsi256_ps(half));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(rest));
}

static inline __m256 vec_tanh(__m256 x)
{
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    __m256 a = _mm256_andnot_ps(sign, x), z = _mm256_mul_ps(x, x);
    __m256 p = _mm256_fmadd_ps(_mm256_set1_ps(TANH_C4), z, _mm256_set1_ps(TANH_C3));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(TANH_C2));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(TANH_C1));
    p = _mm256_fmadd_ps(p, z, _mm256_set1_ps(TANH_C0));
    __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(p, z), x, x);
    __m256 e = _mm256_add_ps(vec_exp(_mm256_add_ps(a, a)), one);
    __m256 big = _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0f), e));
    big = _mm256_or_ps(big, _mm256_and_ps(sign, x));
    __m256 below = _mm256_cmp_ps(a, _mm256_set1_ps(TANH_SMALL), _CMP_LT_OQ);
    return _mm256_blendv_ps(big, small, below);
}

static inline __m256 vec_silu(__m256 x)
{
    __m256 e = vec_exp(_mm256_xor_ps(x, _mm256_set1_ps(-0.0f)));
    return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

static inline __m256 vec_gelu(__m256 x)
{
    __m256 inner = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(GELU_B), _mm256_set1_ps(1));
    inner = _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(GELU_A)), inner);
    __m256 half = _mm256_mul_ps(_mm256_set1_ps(0.5f), x);
    return _mm256_fmadd_ps(half, vec_tanh(inner), half);
}

/* 16 lanes, summed as lane i + i + 8, + 4, + 2, + 1. */
static inline float vec_sum16(const __m256 *lanes)
{
    __m256 s = _mm256_add_ps(lanes[0], lanes[1]);
    __m128 q = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    q = _mm_add_ps(q, _mm_movehl_ps(q, q));
    q = _mm_add_ss(q, _mm_movehdup_ps(q));
    return _mm_cvtss_f32(q);
}

/* Mask of the first n lanes, for loads and stores. */
static inline __m256i first_lanes(int n)
{
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), index);
}

/* What attn_body.h is written in. */
#define VEC   __m256
#define LANES 8

static inline VEC vec_zero(void)
{
    return _mm256_setzero_ps();
}

static inline VEC vec_set1(float f)
{
    return _mm256_set1_ps(f);
}

static inline VEC vec_load(const float *p)
{
    return _mm256_loadu_ps(p);
}

static inline void vec_store(float *p, VEC v)
{
    _mm256_storeu_ps(p, v);
}

static inline VEC vec_half(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

static inline VEC vec_add(VEC a, VEC b)
{
    return _mm256_add_ps(a, b);
}

static inline VEC vec_sub(VEC a, VEC b)
{
    return _mm256_sub_ps(a, b);
}

static inline VEC vec_mul(VEC a, VEC b)
{
    return _mm256_mul_ps(a, b);
}

static inline VEC vec_div(VEC a, VEC b)
{
    return _mm256_div_ps(a, b);
}

static inline VEC vec_fma(VEC a, VEC b, VEC c)
{
    return _mm256_fmadd_ps(a, b, c);
}

/* a > b ? a : b */
static inline VEC vec_max(VEC a, VEC b)
{
    return _mm256_max_ps(a, b);
}

/* Lanes [from, to) of v; the others -infinity. */
static inline VEC vec_window(VEC v, int from, int to)
{
    __m256i in = _mm256_andnot_si256(first_lanes(from), first_lanes(to));
    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), v, _mm256_castsi256_ps(in));
}

/* The greatest lane; none is a NaN. */
static inline float vec_top(VEC v)
{
    __m128 q = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    q = _mm_max_ps(q, _mm_movehl_ps(q, q));
    q = _mm_max_ss(q, _mm_movehdup_ps(q));
    return _mm_cvtss_f32(q);
}

/* Eight floats as f16. */
static inline void store_halves8(uint16_t *out, const float *x)
{
    __m128i h = _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)out, h);
}

#endif
