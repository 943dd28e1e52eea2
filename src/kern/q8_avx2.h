/* kern/q8_avx2.h - keys of bytes for attn_body.h, eight tokens at a time. */
#ifndef KERN_Q8_AVX2_H
#define KERN_Q8_AVX2_H

#include <immintrin.h>

#define IVEC    __m256i
#define Q8_CODE kern_avx2_code

static inline IVEC ivec_set1(int32_t v)
{
    return _mm256_set1_epi32(v);
}

static inline __m256 vec_from_int(IVEC v)
{
    return _mm256_cvtepi32_ps(v);
}

static inline __m256 vec_bytes(const void *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}

static inline IVEC q8_four(const int8_t *q)
{
    int32_t v;
    memcpy(&v, q, 4);
    return _mm256_set1_epi32(v);
}

#if defined(__AVXVNNI__)
#define Q_OFFSET 1
typedef __m256i QKEY;

static inline QKEY qkey_load(const uint8_t *p)
{
    return _mm256_load_si256((const __m256i *)p);
}

static inline IVEC qkey_dot(IVEC s, QKEY k, const int8_t *q)
{
    return _mm256_dpbusd_avx_epi32(s, k, q8_four(q));
}
#else
#define Q_OFFSET 0
typedef struct {
    __m256i size, codes;
} QKEY;

static inline QKEY qkey_load(const uint8_t *p)
{
    __m256i codes = _mm256_load_si256((const __m256i *)p);
    codes = _mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80));
    return (QKEY){_mm256_abs_epi8(codes), codes};
}

// Sizes up to 127 times 127, twice: fits 16 bits.
static inline IVEC qkey_dot(IVEC s, QKEY k, const int8_t *q)
{
    __m256i v = _mm256_maddubs_epi16(k.size, _mm256_sign_epi8(q8_four(q), k.codes));
    return _mm256_add_epi32(s, _mm256_madd_epi16(v, _mm256_set1_epi16(1)));
}
#endif

#endif
