/* kern/q8_avx512.h - keys of bytes for attn_body.h, sixteen tokens at a time. */
#ifndef KERN_Q8_AVX512_H
#define KERN_Q8_AVX512_H

#include <immintrin.h>

#define IVEC    __m512i
#define Q8_CODE kern_avx2_code

static inline IVEC ivec_set1(int32_t v)
{
    return _mm512_set1_epi32(v);
}

static inline __m512 vec_from_int(IVEC v)
{
    return _mm512_cvtepi32_ps(v);
}

static inline __m512 vec_bytes(const void *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}

static inline IVEC q8_four(const int8_t *q)
{
    int32_t v;
    memcpy(&v, q, 4);
    return _mm512_set1_epi32(v);
}

#if defined(__AVX512VNNI__)
#define Q_OFFSET 1
typedef __m512i QKEY;

static inline QKEY qkey_load(const uint8_t *p)
{
    return _mm512_load_si512(p);
}

static inline IVEC qkey_dot(IVEC s, QKEY k, const int8_t *q)
{
    return _mm512_dpbusd_epi32(s, k, q8_four(q));
}
#else
#define Q_OFFSET 0
typedef struct {
    __m512i size;
    __mmask64 negative;
} QKEY;

static inline QKEY qkey_load(const uint8_t *p)
{
    __m512i codes = _mm512_xor_si512(_mm512_load_si512(p), _mm512_set1_epi8((char)0x80));
    return (QKEY){_mm512_abs_epi8(codes), _mm512_movepi8_mask(codes)};
}

// Sizes up to 127 times 127, twice: fits 16 bits.
static inline IVEC qkey_dot(IVEC s, QKEY k, const int8_t *q)
{
    __m512i x = q8_four(q);
    x = _mm512_mask_sub_epi8(x, k.negative, _mm512_setzero_si512(), x);
    __m512i v = _mm512_maddubs_epi16(k.size, x);
    return _mm512_add_epi32(s, _mm512_madd_epi16(v, _mm512_set1_epi16(1)));
}
#endif

#endif
