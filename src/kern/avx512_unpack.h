/* kern/avx512_unpack.h - packed weights taken apart with AVX-512: codes as bytes, scales as
 * numbers; for the matrix files of the levels that multiply bytes.  Shapes are constants wherever
 * these functions are expanded. */
#ifndef KERN_AVX512_UNPACK_H
#define KERN_AVX512_UNPACK_H

#include "kern/f16.h"
#include "kern/shape.h"

#include <immintrin.h>

// s += dot products of two pairs of 16-bit numbers, for each row
INLINE __m512i dot2(__m512i s, __m512i w, const void *x)
{
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(s) : "v"(w), "m"(*(const int32_t *)x));
    return s;
}

INLINE __m512i splat(const int32_t *p)
{
    return _mm512_set1_epi32(*p);
}

INLINE __m512 halves(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

INLINE __m512 negated_halves(const uint8_t *p)
{
    return _mm512_xor_ps(halves(p), _mm512_set1_ps(-0.0f));
}

INLINE void store_rows(const struct kern_mat *m, int panel, float *y, size_t y_stride, int t,
                       __m512 v)
{
    int rows = m->rows - 16 * panel;
    __mmask16 mask = (__mmask16)(rows >= 16 ? 0xffff : (1u << rows) - 1);
    _mm512_mask_storeu_ps(y + (size_t)t * y_stride + 16 * (size_t)panel, mask, v);
}

/* Zeros n lines: memset's string instruction takes longer than many of these. */
INLINE void clear(float (*lines)[16], int n)
{
    for (int i = 0; i < n; i++)
        _mm512_store_ps(lines[i], _mm512_setzero_ps());
}

/* Codes of group g of 32 columns. */
INLINE __m512i unpack(const struct shape sh, const uint8_t *lines, int g, __m512i table)
{
    int line = sh.low == 2 ? g / 4 : g % sh.low,
        shift = sh.low == 2 ? g % 4 * 2 : g / sh.low * sh.low;
    const uint8_t *highs = lines + 64 * sh.low;
    const __m512i mask = _mm512_set1_epi8((char)((1 << sh.low) - 1));
    __m512i v = _mm512_load_si512(lines + 64 * line);
    if (shift)
        v = _mm512_srli_epi16(v, (unsigned)shift);
    if (sh.low < 8)
        v = _mm512_and_si512(v, mask);
    if (sh.high) {
        __m512i h = _mm512_load_si512(highs + (sh.high == 2 ? 64 * (g / 4) : 0));
        int at = sh.high == 2 ? g % 4 * 2 : g; // its bits, to be moved to bit `low`
        if (at > sh.low)
            h = _mm512_srli_epi16(h, (unsigned)(at - sh.low));
        else if (at < sh.low)
            h = _mm512_slli_epi16(h, (unsigned)(sh.low - at));
        const __m512i bits = _mm512_set1_epi8((char)(((1 << sh.high) - 1) << sh.low));
        v = _mm512_ternarylogic_epi32(h, bits, v, 0xea); // (h & bits) | v
    }
    if (sh.table)
        v = _mm512_shuffle_epi8(table, v);
    if (sh.raise)
        v = _mm512_add_epi8(v, _mm512_set1_epi8((char)sh.raise));
    return v;
}

INLINE __m512i load_table(const struct shape sh, const uint8_t *values)
{
    if (!sh.table)
        return _mm512_setzero_si512();
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)values));
}

INLINE __m512 scales32(const struct shape sh, const uint8_t *p)
{
    if (!sh.e8m0)
        return halves(p);
    // 2^(e - 128); the two smallest are denormal
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)p));
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __mmask16 tiny = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    bits = _mm512_mask_sllv_epi32(bits, tiny, _mm512_set1_epi32(0x200000), e);
    return _mm512_castsi512_ps(bits);
}

/* Sums that began with KERN_ZERO_BITS, times scales d; zero: zero_of(d). */
INLINE __m512 scaled32(__m512i s, __m512 d, __m512 zero)
{
    return _mm512_fmsub_ps(_mm512_castsi512_ps(s), d, zero);
}

INLINE __m512 zero_of(__m512 d)
{
    return _mm512_mul_ps(d, _mm512_set1_ps(KERN_ZERO));
}

/* kern_sum32 in all lanes. */
INLINE __m512 sum32(const struct kern_x32 *x)
{
    __m512 sum = _mm512_castsi512_ps(splat(&x->m16));
    return _mm512_mul_ps(_mm512_sub_ps(sum, _mm512_set1_ps(KERN_ZERO)), _mm512_set1_ps(x->d));
}

// Scales of block j of 256 columns; p is behind d (and dmin).
INLINE __m512i scales256(const struct shape sh, const uint8_t *p, int j)
{
    if (!(sh.groups == 4 && sh.mins))
        return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p + 16 * j)));
    __m512i v = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(p + j / 2 * 32)));
    return _mm512_and_si512(j % 2 ? _mm512_srli_epi32(v, 16) : v, _mm512_set1_epi32(15));
}

// Of scales for narrow sums 16 bits, beside which there are zeros.
INLINE __m512i narrowed(const struct shape sh, __m512i scale)
{
    const bool negative = sh.offset != 0; // some are
    return sh.narrow && negative ? _mm512_and_si512(scale, _mm512_set1_epi32(0xffff)) : scale;
}

// Mins of blocks 2 j and 2 j + 1, as pairs of 16-bit numbers.
INLINE __m512i mins256(const struct shape sh, const uint8_t *p, int j)
{
    if (sh.groups == 4) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(p + 32 * j));
        return _mm512_srli_epi16(_mm512_cvtepu8_epi16(v), 4);
    }
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)(p + 128 + 32 * j)));
}

/* Where the codes and scales of 256 columns of a panel stand. */
struct source {
    const uint8_t *lines, *scales;
};

/* Segment s of a panel, or, if that is behind the last, of the panel that comes next where
 * `together` of them are walked at once. */
INLINE struct source source_of(const struct kern_mat *m, int together, int panel, int s)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const int segs = (m->cols + 255) / 256;
    panel += s / segs * together;
    s %= segs;
    return (struct source){
        m->lines + (size_t)panel * m->panel_lines +
            (size_t)(s * 8 * 64 * (info->low_bits + info->high_bits)),
        m->scales + (size_t)panel * m->panel_scales +
            (size_t)(s * info->scale_bytes * (m->act == KERN_ACT_Q32 ? 8 : 1)),
    };
}

/* Block b's share of the lines that are used next (src[1]), and into the second-level cache of
 * those after them. */
INLINE void fetch_next(const struct shape sh, const struct source *src, int b)
{
    const int n = sh.low + sh.high;
    for (int i = b * n; i < (b + 1) * n; i++) {
        _mm_prefetch((const char *)src[2].lines + 64 * i, _MM_HINT_T1);
        _mm_prefetch((const char *)src[1].lines + 64 * i, _MM_HINT_T0);
    }
    _mm_prefetch((const char *)src[1].scales + 64 * b, _MM_HINT_T0);
}

/* 256 columns; not the codes where they are bytes that stay as they are.  ahead: fetch meanwhile,
 * and src is of the next two as well. */
INLINE void unpack_seg(const struct shape sh, const struct source *src, __m512i table, bool q32,
                       bool ahead, struct kern_seg *seg)
{
    const uint8_t *lines = src->lines, *scales = src->scales;
    for (int b = 0; b < seg->n_blocks; b++, lines += 64 * (sh.low + sh.high)) {
        if (ahead)
            fetch_next(sh, src, b);
        for (int g = 0; g < 8 && (sh.low < 8 || sh.raise); g++)
            _mm512_store_si512(seg->w[8 * b + g], unpack(sh, lines, g, table));
        if (!q32)
            continue;
        _mm512_store_ps(seg->d[b], scales32(sh, scales));
        if (sh.mins)
            _mm512_store_ps(seg->m[b],
                            _mm512_mul_ps(halves(scales + 32), _mm512_set1_ps(-0.0625f)));
        scales += scale_bytes32(sh);
    }
    if (q32)
        return;
    const uint8_t *after = scales + (sh.mins ? 64 : 32);
    _mm512_store_ps(seg->d[0], halves(scales));
    for (int j = 0; j < 64 / sh.groups; j++)
        _mm512_store_si512(seg->scale[j], narrowed(sh, scales256(sh, after, j)));
    if (!sh.mins)
        return;
    for (int j = 0; j < 32 / sh.groups; j++)
        _mm512_store_si512(seg->min[j], mins256(sh, after, j));
    _mm512_store_ps(seg->dmin, negated_halves(scales + 32));
}

#endif
