/* kern/avx2_unpack.h - packed weights taken apart with AVX2: codes as bytes, scales as numbers,
 * floats; for the matrix files of the levels that have 256 bits.  A register holds 8 rows, half a
 * panel; `half` is 0 or 1.  Shapes are constants wherever these functions are expanded. */
#ifndef KERN_AVX2_UNPACK_H
#define KERN_AVX2_UNPACK_H

#include "kern/f16.h"
#include "kern/shape.h"

#include <assert.h>
#include <immintrin.h>

INLINE __m256 load_halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

INLINE __m256i broadcast32(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

INLINE __m256i load_table(const struct shape sh, const uint8_t *values)
{
    if (!sh.table)
        return _mm256_setzero_si256();
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)values));
}

/* Codes of group g of 32 columns. */
INLINE __m256i unpack(const struct shape sh, const uint8_t *lines, int g, int half, __m256i table)
{
    int line = sh.low == 2 ? g / 4 : g % sh.low,
        shift = sh.low == 2 ? g % 4 * 2 : g / sh.low * sh.low;
    lines += 32 * half;
    __m256i v = _mm256_load_si256((const __m256i *)(lines + 64 * line));
    if (shift)
        v = _mm256_srli_epi16(v, shift);
    if (sh.low < 8)
        v = _mm256_and_si256(v, _mm256_set1_epi8((char)((1 << sh.low) - 1)));
    if (sh.high) {
        const uint8_t *highs = lines + 64 * sh.low + (sh.high == 2 ? 64 * (g / 4) : 0);
        __m256i h = _mm256_load_si256((const __m256i *)highs);
        int at = sh.high == 2 ? g % 4 * 2 : g; // its bits, to be moved to bit `low`
        if (at > sh.low)
            h = _mm256_srli_epi16(h, at - sh.low);
        else if (at < sh.low)
            h = _mm256_slli_epi16(h, sh.low - at);
        h = _mm256_and_si256(h, _mm256_set1_epi8((char)(((1 << sh.high) - 1) << sh.low)));
        v = _mm256_or_si256(v, h);
    }
    if (sh.table)
        v = _mm256_shuffle_epi8(table, v);
    if (sh.raise)
        v = _mm256_add_epi8(v, _mm256_set1_epi8((char)sh.raise));
    return v;
}

/* The codes of a segment. */
INLINE void unpack_codes(const struct shape sh, const uint8_t *lines, __m256i table,
                         struct kern_seg *seg)
{
    for (int b = 0; b < seg->n_blocks; b++, lines += 64 * (sh.low + sh.high))
        for (int half = 0; half < 2; half++)
            for (int g = 0; g < 8; g++)
                _mm256_store_si256((__m256i *)(seg->w[8 * b + g] + 32 * half),
                                   unpack(sh, lines, g, half, table));
}

/* twice: scales of blocks as pairs of the same 16-bit number; there are none here. */
INLINE void unpack_scales32(const struct shape sh, const uint8_t *p, bool twice,
                            struct kern_seg *seg)
{
    (void)twice;
    for (int b = 0; b < seg->n_blocks; b++, p += scale_bytes32(sh)) {
        for (int r = 0; r < 16 && sh.e8m0; r++)
            seg->d[b][r] = e8m0_to_f32(p[r]);
        for (int h = 0; h < 2 && !sh.e8m0; h++) {
            _mm256_store_ps(seg->d[b] + 8 * h, load_halves(p + 16 * h));
            if (sh.mins)
                _mm256_store_ps(seg->m[b] + 8 * h, _mm256_mul_ps(load_halves(p + 32 + 16 * h),
                                                                 _mm256_set1_ps(-0.0625f)));
        }
    }
}

// The low halves of each 32 bits: of `even`, then of `odd`.
INLINE __m256i pairs(__m256i even, __m256i odd)
{
    return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
}

// Scales of block j of 256 columns; p is behind d (and dmin).
INLINE __m256i scales256(const struct shape sh, const uint8_t *p, int j, int half)
{
    if (!(sh.groups == 4 && sh.mins))
        return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p + 16 * j + 8 * half)));
    __m128i bytes = _mm_loadu_si128((const __m128i *)(p + 32 * (j / 2) + 16 * half));
    __m256i words = _mm256_cvtepu8_epi16(bytes);
    return _mm256_and_si256(j % 2 ? _mm256_srli_epi32(words, 16) : words, _mm256_set1_epi32(15));
}

// Mins of blocks 2 j and 2 j + 1, as pairs of 16-bit numbers.
INLINE __m256i mins256(const struct shape sh, const uint8_t *p, int j, int half)
{
    p += 32 * j + 16 * half;
    if (sh.groups == 8)
        return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(p + 128)));
    return _mm256_srli_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)p)), 4);
}

INLINE void unpack_scales256(const struct shape sh, const uint8_t *p, bool twice,
                             struct kern_seg *seg)
{
    const uint8_t *after = p + (sh.mins ? 64 : 32);
    for (int h = 0; h < 2; h++) {
        _mm256_store_ps(seg->d[0] + 8 * h, load_halves(p + 16 * h));
        if (sh.mins)
            _mm256_store_ps(seg->dmin + 8 * h,
                            _mm256_xor_ps(load_halves(p + 32 + 16 * h), _mm256_set1_ps(-0.0f)));
        for (int j = 0; j < 64 / sh.groups; j++) {
            __m256i v = scales256(sh, after, j, h);
            _mm256_store_si256((__m256i *)(seg->scale[j] + 8 * h), twice ? pairs(v, v) : v);
        }
        for (int j = 0; j < 32 / sh.groups && sh.mins; j++)
            _mm256_store_si256((__m256i *)seg->min[j][8 * h], mins256(sh, after, j, h));
    }
}

/* The scales of a block of 32 columns, KERN_ZERO times these, and mins / -16. */
struct scale32 {
    __m256 d, zero, min;
};

INLINE struct scale32 scale32_of(const struct shape sh, const struct kern_seg *seg, int b, int half)
{
    const __m256 d = _mm256_load_ps(seg->d[b] + 8 * half);
    return (struct scale32){d, _mm256_mul_ps(d, _mm256_set1_ps(KERN_ZERO)),
                            sh.mins ? _mm256_load_ps(seg->m[b] + 8 * half) : d};
}

/* acc plus a block's sums s, which began with KERN_ZERO_BITS, times scales; and mins, x_sum being
 * kern_sum32 of x. */
INLINE __m256 add_block32(const struct shape sh, const struct scale32 *scale, __m256i s,
                          const struct kern_x32 *x, float x_sum, __m256 acc)
{
    __m256 f = _mm256_fmsub_ps(_mm256_castsi256_ps(s), scale->d, scale->zero);
    acc = _mm256_fmadd_ps(f, _mm256_set1_ps(x->d), acc);
    if (!sh.mins)
        return acc;
    return _mm256_fmadd_ps(scale->min, _mm256_set1_ps(x_sum), acc);
}

/* The sum of mins times sums of activations. */
INLINE __m256i dot_mins(const struct shape sh, const struct kern_seg *seg, int half,
                        const struct kern_x256 *x)
{
    const int16_t *sums = sh.groups == 4 ? x->s16 : x->s32;
    __m256i s = _mm256_setzero_si256();
    for (int j = 0; j < 32 / sh.groups; j++) {
        __m256i m = _mm256_load_si256((const __m256i *)seg->min[j][8 * half]);
        s = _mm256_add_epi32(s, _mm256_madd_epi16(m, broadcast32(sums + 2 * j)));
    }
    return s;
}

/* 16 rows of two columns as f32: [column][half]. */
INLINE void load_weights(int type, const uint8_t *lines, int k, __m256 w[2][2])
{
    const uint8_t *p = lines + (size_t)k * (type == KERN_TYPE_F32 ? 64 : 32);
    for (int h = 0; h < 2; h++) {
        if (type == KERN_TYPE_F32) {
            w[0][h] = _mm256_load_ps((const float *)p + 8 * h);
            w[1][h] = _mm256_load_ps((const float *)p + 16 + 8 * h);
        } else if (type == KERN_TYPE_F16) {
            w[0][h] = load_halves(p + 16 * h);
            w[1][h] = load_halves(p + 32 + 16 * h);
        } else {
            __m256i pair = _mm256_load_si256((const __m256i *)(p + 32 * h));
            w[0][h] = _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
            const __m256i odd = _mm256_set1_epi32((int32_t)0xffff0000);
            w[1][h] = _mm256_castsi256_ps(_mm256_and_si256(pair, odd));
        }
    }
}

INLINE void tile_float(int type, const uint8_t *lines, int cols, const uint8_t *x, size_t stride,
                       int nt, float *acc)
{
    for (int k0 = 0; k0 < cols; k0 += 256) {
        __m256 f[4][2], w[2][2];
        for (int t = 0; t < nt; t++)
            f[t][0] = f[t][1] = _mm256_setzero_ps();
        for (int k = k0; k < cols && k < k0 + 256; k += 2) {
            load_weights(type, lines, k, w);
            _mm_prefetch((const char *)lines + (size_t)k * (type == KERN_TYPE_F32 ? 64 : 32) + 2048,
                         _MM_HINT_T0);
            for (int t = 0; t < nt; t++) {
                const float *xt = (const float *)(x + (size_t)t * stride) + k;
                __m256 even = _mm256_set1_ps(xt[0]), odd = _mm256_set1_ps(xt[1]);
                for (int h = 0; h < 2; h++) {
                    f[t][h] = _mm256_fmadd_ps(w[0][h], even, f[t][h]);
                    f[t][h] = _mm256_fmadd_ps(w[1][h], odd, f[t][h]);
                }
            }
        }
        for (int t = 0; t < nt; t++)
            for (int h = 0; h < 2; h++) {
                float *out = acc + 16 * t + 8 * h;
                _mm256_store_ps(out, _mm256_add_ps(_mm256_load_ps(out), f[t][h]));
            }
    }
}

#define FLOAT_TILE(name, type)                                                                     \
    static void name(const uint8_t *lines, int cols, const uint8_t *x, size_t stride, int n,       \
                     float *acc)                                                                   \
    {                                                                                              \
        switch (n) {                                                                               \
        case 1: tile_float(type, lines, cols, x, stride, 1, acc); break;                           \
        case 2: tile_float(type, lines, cols, x, stride, 2, acc); break;                           \
        case 3: tile_float(type, lines, cols, x, stride, 3, acc); break;                           \
        default: tile_float(type, lines, cols, x, stride, 4, acc);                                 \
        }                                                                                          \
    }

FLOAT_TILE(tile_f32, KERN_TYPE_F32)
FLOAT_TILE(tile_f16, KERN_TYPE_F16)
FLOAT_TILE(tile_bf16, KERN_TYPE_BF16)

#define FLOAT_TOKENS 4

#endif
