/* kern/avx2_mm.c - packed matrix times coded activations with AVX2: 8 rows x 1..4 tokens.
 *
 * A segment of 256 columns is unpacked once and used by all tokens.  maddubs adds pairs of products
 * into 16 bits and saturates, so how many of its results may be added before they are widened
 * depends on the size of the codes: `adds`.  Codes of 8 bits would saturate at once; they are taken
 * as signed numbers, and the sign moves to the activation.
 *
 * Compiled a second time, by avxvnni_mm.c, with a dot product that needs none of this. */
#include "kern/kern_int.h"

#if defined(__AVX2__)

#include "kern/f16.h"

#include <assert.h>
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

#if defined(KERN_AVXVNNI)
#define MATMUL kern_avxvnni_matmul
#else
#define MATMUL kern_avx2_matmul
#endif

INLINE __m256 load_halves(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}

/* Groups of 4 columns from their planes, for half a panel (32 bytes of every line). */
INLINE void unpack_block(const uint8_t *lines, int low, int high, const uint8_t *table, int raise,
                         uint8_t (*w)[64])
{
    const __m256i mask = _mm256_set1_epi8((char)((1 << low) - 1));
    const uint8_t *highs = lines + 64 * low;
    __m256i t = _mm256_setzero_si256();
    if (table)
        t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)table));
    for (int g = 0; g < 8; g++) {
        int line = low == 2 ? g / 4 : g % low, shift = low == 2 ? g % 4 * 2 : g / low * low;
        __m256i v = _mm256_load_si256((const __m256i *)(lines + 64 * line));
        v = _mm256_and_si256(_mm256_srli_epi16(v, shift), mask);
        if (high == 1) {
            __m256i h = _mm256_load_si256((const __m256i *)highs);
            h = g >= low ? _mm256_srli_epi16(h, g - low) : _mm256_slli_epi16(h, low - g);
            v = _mm256_or_si256(v, _mm256_and_si256(h, _mm256_set1_epi8((char)(1 << low))));
        } else if (high == 2) {
            __m256i h = _mm256_load_si256((const __m256i *)(highs + 64 * (g / 4)));
            int at = g % 4 * 2; // to bit 4
            h = at >= 4 ? _mm256_srli_epi16(h, at - 4) : _mm256_slli_epi16(h, 4 - at);
            v = _mm256_or_si256(v, _mm256_and_si256(h, _mm256_set1_epi8(0x30)));
        }
        if (table)
            v = _mm256_shuffle_epi8(t, v);
        if (raise)
            v = _mm256_add_epi8(v, _mm256_set1_epi8((char)raise));
        _mm256_store_si256((__m256i *)w[g], v);
    }
}

INLINE void unpack_lines(const uint8_t *lines, int low, int high, const uint8_t *table, int raise,
                         struct kern_seg *seg)
{
    for (int b = 0; b < seg->n_blocks; b++, lines += 64 * (low + high))
        for (int half = 0; half < 64; half += 32) {
            for (int i = 0; i < low + high && half == 0; i++)
                _mm_prefetch((const char *)lines + 2048 + 64 * i, _MM_HINT_T0);
            unpack_block(lines + half, low, high, table, raise,
                         (uint8_t(*)[64])(seg->w[8 * b] + half));
        }
}

#define UNPACK(name, low, high, table, raise)                                                      \
    static void unpack_##name(const uint8_t *lines, const uint8_t *values, struct kern_seg *seg)   \
    {                                                                                              \
        unpack_lines(lines, low, high, table ? values : NULL, raise, seg);                         \
        (void)values;                                                                              \
    }

UNPACK(8, 8, 0, 0, 0)
UNPACK(4, 4, 0, 0, 0)
UNPACK(4t, 4, 0, 1, 0)
UNPACK(5, 4, 1, 0, 0)
UNPACK(6, 4, 2, 0, 0)
UNPACK(3, 2, 1, 0, 28)
UNPACK(2, 2, 0, 0, 0)

static void unpack_scales32(const struct kern_type_info *info, int type, const uint8_t *p,
                            struct kern_seg *seg)
{
    for (int b = 0; b < seg->n_blocks; b++, p += info->scale_bytes) {
        if (type == KERN_TYPE_MXFP4) {
            for (int r = 0; r < 16; r++)
                seg->d[b][r] = e8m0_to_f32(p[r]);
            continue;
        }
        for (int h = 0; h < 2; h++) {
            _mm256_store_ps(seg->d[b] + 8 * h, load_halves(p + 16 * h));
            if (info->shape == KERN_SHAPE_Q32M)
                _mm256_store_ps(seg->m[b] + 8 * h, _mm256_mul_ps(load_halves(p + 32 + 16 * h),
                                                                 _mm256_set1_ps(-0.0625f)));
        }
    }
}

static void store_ints(void *out, __m256i v)
{
    _mm256_store_si256(out, v);
}

// The low halves of each 32 bits: of `even`, then of `odd`.
INLINE __m256i pairs(__m256i even, __m256i odd)
{
    return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
}

static void unpack_scales256(const struct kern_type_info *info, const uint8_t *p,
                             struct kern_seg *seg)
{
    bool k16 = info->shape == KERN_SHAPE_K16 || info->shape == KERN_SHAPE_K16M;
    bool mins = info->shape == KERN_SHAPE_K32M || info->shape == KERN_SHAPE_K16M;
    _mm256_store_ps(seg->d[0], load_halves(p));
    _mm256_store_ps(seg->d[0] + 8, load_halves(p + 16));
    p += 32;
    if (mins) {
        const __m256 sign = _mm256_set1_ps(-0.0f);
        _mm256_store_ps(seg->dmin, _mm256_xor_ps(load_halves(p), sign));
        _mm256_store_ps(seg->dmin + 8, _mm256_xor_ps(load_halves(p + 16), sign));
        p += 32;
    }
    if (info->shape == KERN_SHAPE_K16M) {
        const __m256i low = _mm256_set1_epi32(15);
        for (int j = 0; j < 8; j++)
            for (int h = 0; h < 2; h++) {
                __m128i bytes = _mm_loadu_si128((const __m128i *)(p + 32 * j + 16 * h));
                __m256i words = _mm256_cvtepu8_epi16(bytes);
                store_ints(seg->scale[2 * j] + 8 * h, _mm256_and_si256(words, low));
                store_ints(seg->scale[2 * j + 1] + 8 * h,
                           _mm256_and_si256(_mm256_srli_epi32(words, 16), low));
                _mm256_store_si256((__m256i *)seg->min[j][8 * h], _mm256_srli_epi16(words, 4));
            }
        return;
    }
    for (int j = 0; j < (k16 ? 16 : 8); j++)
        for (int h = 0; h < 2; h++) {
            __m128i bytes = _mm_loadl_epi64((const __m128i *)(p + 16 * j + 8 * h));
            __m256i scales = _mm256_cvtepi8_epi32(bytes);
            store_ints(seg->scale[j] + 8 * h, scales);
            if (k16 && j % 2) { // where mins would stand
                __m256i even = _mm256_load_si256((const __m256i *)(seg->scale[j - 1] + 8 * h));
                store_ints(seg->min[j / 2][8 * h], pairs(even, scales));
            }
        }
    for (int j = 0; j < 4 && mins; j++)
        for (int h = 0; h < 2; h++) {
            __m128i bytes = _mm_loadu_si128((const __m128i *)(p + 128 + 32 * j + 16 * h));
            _mm256_store_si256((__m256i *)seg->min[j][8 * h], _mm256_cvtepu8_epi16(bytes));
        }
}

INLINE __m256i broadcast32(const void *p)
{
    int32_t v;
    memcpy(&v, p, 4);
    return _mm256_set1_epi32(v);
}

#define SIGNED 0 // `adds` of types with codes of 8 bits

/* s += codes of n groups times activations, for nt tokens.  The level without a dot product of
 * bytes multiplies by `factor` (pairs of 16 bits) on the way. */
INLINE void dots(const uint8_t (*w)[64], int n, int adds, __m256i factor, const int8_t *const *x,
                 size_t at, int nt, __m256i *s)
{
#if defined(KERN_AVXVNNI)
    (void)adds, (void)factor;
    for (int g = 0; g < n; g++) {
        __m256i codes = _mm256_load_si256((const __m256i *)w[g]);
        for (int t = 0; t < nt; t++)
            s[t] = _mm256_dpbusd_avx_epi32(s[t], codes, broadcast32(x[t] + at + 4 * (size_t)g));
    }
#else
    if (adds == SIGNED) {
        for (int g = 0; g < n; g++) {
            __m256i codes = _mm256_load_si256((const __m256i *)w[g]);
            codes = _mm256_xor_si256(codes, _mm256_set1_epi8((char)0x80));
            __m256i size = _mm256_abs_epi8(codes);
            for (int t = 0; t < nt; t++) {
                __m256i v = _mm256_sign_epi8(broadcast32(x[t] + at + 4 * (size_t)g), codes);
                v = _mm256_madd_epi16(_mm256_maddubs_epi16(size, v), factor);
                s[t] = _mm256_add_epi32(s[t], v);
            }
        }
        return;
    }
    for (int from = 0; from < n; from += adds) {
        __m256i sum[4];
        for (int g = from; g < from + adds; g++) {
            __m256i codes = _mm256_load_si256((const __m256i *)w[g]);
            for (int t = 0; t < nt; t++) {
                __m256i v = _mm256_maddubs_epi16(codes, broadcast32(x[t] + at + 4 * (size_t)g));
                sum[t] = g == from ? v : _mm256_add_epi16(sum[t], v);
            }
        }
        for (int t = 0; t < nt; t++)
            s[t] = _mm256_add_epi32(s[t], _mm256_madd_epi16(sum[t], factor));
    }
#endif
}

// Where a sum begins: the offset of the codes, folded in, unless the codes are signed.
INLINE __m256i start(const int32_t *offset, int adds)
{
#if !defined(KERN_AVXVNNI)
    if (adds == SIGNED)
        return _mm256_setzero_si256();
#endif
    (void)adds;
    return broadcast32(offset);
}

INLINE void tile_q32(const struct kern_seg *seg, int half, const uint8_t *x, size_t stride, int nt,
                     int offset, int adds, bool mins, float *acc)
{
    __m256 f[4];
    for (int t = 0; t < nt; t++)
        f[t] = _mm256_load_ps(acc + 16 * t + 8 * half);
    for (int b = 0; b < seg->n_blocks; b++, x += sizeof(struct kern_x32)) {
        const int8_t *codes[4];
        __m256i s[4];
        for (int t = 0; t < nt; t++) {
            const struct kern_x32 *xb = (const struct kern_x32 *)(x + (size_t)t * stride);
            codes[t] = xb->codes;
            const int32_t *m = offset == 8 ? &xb->m8 : offset == 16 ? &xb->m16 : &xb->m128;
            s[t] = offset ? start(m, adds) : _mm256_setzero_si256();
        }
        dots((const uint8_t(*)[64])(seg->w[8 * b] + 32 * half), 8, adds, _mm256_set1_epi16(1),
             codes, 0, nt, s);
        __m256 d = _mm256_load_ps(seg->d[b] + 8 * half);
        for (int t = 0; t < nt; t++) {
            const struct kern_x32 *xb = (const struct kern_x32 *)(x + (size_t)t * stride);
            __m256 scale = _mm256_mul_ps(d, _mm256_set1_ps(xb->d));
            f[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s[t]), scale, f[t]);
            if (mins)
                f[t] = _mm256_fmadd_ps(_mm256_load_ps(seg->m[b] + 8 * half),
                                       _mm256_set1_ps((float)xb->m16 * xb->d), f[t]);
        }
    }
    for (int t = 0; t < nt; t++)
        _mm256_store_ps(acc + 16 * t + 8 * half, f[t]);
}

/* The sum of mins (or, in their place, scales) times sums of activations. */
INLINE __m256i dot_mins(const struct kern_seg *seg, int half, const int16_t *sums, int groups)
{
    __m256i s = _mm256_setzero_si256();
    for (int j = 0; j < 32 / groups; j++) {
        __m256i m = _mm256_load_si256((const __m256i *)seg->min[j][8 * half]);
        s = _mm256_add_epi32(s, _mm256_madd_epi16(m, broadcast32(sums + 2 * j)));
    }
    return s;
}

INLINE void tile_q256(const struct kern_seg *seg, int half, const uint8_t *x, size_t stride, int nt,
                      int groups, int adds, bool mins, float *acc)
{
    __m256i sum[4];
    const int8_t *codes[4];
    for (int t = 0; t < nt; t++) {
        sum[t] = _mm256_setzero_si256();
        codes[t] = (const int8_t *)(x + (size_t)t * stride);
    }
    for (int j = 0; j < 64 / groups; j++) {
        const uint8_t(*w)[64] = (const uint8_t(*)[64])(seg->w[groups * j] + 32 * half);
        const size_t at = (size_t)(4 * groups * j);
        __m256i scale = _mm256_load_si256((const __m256i *)(seg->scale[j] + 8 * half));
#if defined(KERN_AVXVNNI)
        __m256i s[4];
        for (int t = 0; t < nt; t++) {
            const struct kern_x256 *xb = (const struct kern_x256 *)codes[t];
            const int32_t *m = groups == 4 ? xb->m32 : xb->m128;
            s[t] = mins ? _mm256_setzero_si256() : broadcast32(m + j);
        }
        dots(w, groups, adds, scale, codes, at, nt, s);
        for (int t = 0; t < nt; t++)
            sum[t] = _mm256_add_epi32(sum[t], _mm256_mullo_epi32(s[t], scale));
#else
        dots(w, groups, adds, pairs(scale, scale), codes, at, nt, sum);
#endif
    }
    for (int t = 0; t < nt; t++) {
        const struct kern_x256 *xb = (const struct kern_x256 *)codes[t];
        const int16_t *sums = groups == 4 ? xb->s16 : xb->s32;
        float *out = acc + 16 * t + 8 * half;
        __m256 f = _mm256_load_ps(seg->d[0] + 8 * half);
        if (mins) {
            __m256i s = dot_mins(seg, half, sums, groups);
            f = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[t]), f);
            f = _mm256_fmadd_ps(_mm256_cvtepi32_ps(s), _mm256_load_ps(seg->dmin + 8 * half), f);
        } else {
#if !defined(KERN_AVXVNNI)
            if (adds != SIGNED) { // the codes are 32 more than their numbers
                __m256i s = dot_mins(seg, half, sums, groups);
                sum[t] = _mm256_sub_epi32(sum[t], _mm256_slli_epi32(s, 5));
            }
#endif
            f = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[t]), f);
        }
        _mm256_store_ps(out, _mm256_fmadd_ps(f, _mm256_set1_ps(xb->d), _mm256_load_ps(out)));
    }
}

typedef void tile_fn(const struct kern_seg *seg, const uint8_t *x, size_t stride, int nt,
                     float *acc);

#define TILE(name, call)                                                                           \
    static void name(const struct kern_seg *seg, const uint8_t *x, size_t stride, int n,           \
                     float *acc)                                                                   \
    {                                                                                              \
        for (int half = 0; half < 2; half++)                                                       \
            switch (n) {                                                                           \
            case 1: call(1); break;                                                                \
            case 2: call(2); break;                                                                \
            case 3: call(3); break;                                                                \
            default: call(4);                                                                      \
            }                                                                                      \
    }
#define CALL32(nt, offset, adds, mins)  tile_q32(seg, half, x, stride, nt, offset, adds, mins, acc)
#define CALL256(nt, groups, adds, mins) tile_q256(seg, half, x, stride, nt, groups, adds, mins, acc)

#define CALL_Q4_0(nt) CALL32(nt, 8, 8, false)
TILE(tile_q4_0, CALL_Q4_0)
#define CALL_Q5_0(nt) CALL32(nt, 16, 4, false)
TILE(tile_q5_0, CALL_Q5_0) // also MXFP4: codes up to 28
#define CALL_Q8_0(nt) CALL32(nt, 128, SIGNED, false)
TILE(tile_q8_0, CALL_Q8_0) // also IQ4_NL
#define CALL_Q4_1(nt) CALL32(nt, 0, 8, true)
TILE(tile_q4_1, CALL_Q4_1)
#define CALL_Q5_1(nt) CALL32(nt, 0, 4, true)
TILE(tile_q5_1, CALL_Q5_1)
#define CALL_Q4_K(nt) CALL256(nt, 8, 8, true)
TILE(tile_q4_k, CALL_Q4_K)
#define CALL_Q5_K(nt) CALL256(nt, 8, 4, true)
TILE(tile_q5_k, CALL_Q5_K)
#define CALL_IQ4_XS(nt) CALL256(nt, 8, SIGNED, false)
TILE(tile_iq4_xs, CALL_IQ4_XS)
#define CALL_Q6_K(nt) CALL256(nt, 4, 2, false)
TILE(tile_q6_k, CALL_Q6_K) // also Q3_K: codes up to 35
#define CALL_Q2_K(nt) CALL256(nt, 4, 4, true)
TILE(tile_q2_k, CALL_Q2_K)

static const struct {
    void (*unpack)(const uint8_t *lines, const uint8_t *values, struct kern_seg *seg);
    tile_fn *tile;
} paths[KERN_TYPES] = {
    [KERN_TYPE_Q8_0] = {unpack_8, tile_q8_0},    [KERN_TYPE_Q4_0] = {unpack_4, tile_q4_0},
    [KERN_TYPE_Q4_1] = {unpack_4, tile_q4_1},    [KERN_TYPE_Q5_0] = {unpack_5, tile_q5_0},
    [KERN_TYPE_Q5_1] = {unpack_5, tile_q5_1},    [KERN_TYPE_Q2_K] = {unpack_2, tile_q2_k},
    [KERN_TYPE_Q3_K] = {unpack_3, tile_q6_k},    [KERN_TYPE_Q4_K] = {unpack_4, tile_q4_k},
    [KERN_TYPE_Q5_K] = {unpack_5, tile_q5_k},    [KERN_TYPE_Q6_K] = {unpack_6, tile_q6_k},
    [KERN_TYPE_IQ4_NL] = {unpack_4t, tile_q8_0}, [KERN_TYPE_IQ4_XS] = {unpack_4t, tile_iq4_xs},
    [KERN_TYPE_MXFP4] = {unpack_4t, tile_q5_0},
};

/* 16 rows of one or two columns as f32. */
INLINE void load_weights(int type, const uint8_t *lines, int k, __m256 *w)
{
    const uint8_t *p = lines + (size_t)k * (type == KERN_TYPE_F32 ? 64 : 32);
    for (int h = 0; h < 2; h++) {
        if (type == KERN_TYPE_F32) {
            w[h] = _mm256_load_ps((const float *)p + 8 * h);
            w[2 + h] = _mm256_load_ps((const float *)p + 16 + 8 * h);
        } else if (type == KERN_TYPE_F16) {
            w[h] = load_halves(p + 16 * h);
            w[2 + h] = load_halves(p + 32 + 16 * h);
        } else {
            __m256i pair = _mm256_load_si256((const __m256i *)(p + 32 * h));
            w[h] = _mm256_castsi256_ps(_mm256_slli_epi32(pair, 16));
            const __m256i odd = _mm256_set1_epi32((int32_t)0xffff0000);
            w[2 + h] = _mm256_castsi256_ps(_mm256_and_si256(pair, odd));
        }
    }
}

INLINE void tile_float(int type, const uint8_t *lines, int cols, const uint8_t *x, size_t stride,
                       int nt, float *acc)
{
    for (int k0 = 0; k0 < cols; k0 += 256) {
        __m256 f[4][2], w[4];
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
                    f[t][h] = _mm256_fmadd_ps(w[h], even, f[t][h]);
                    f[t][h] = _mm256_fmadd_ps(w[2 + h], odd, f[t][h]);
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
#include "kern/mm_body.h"

#endif
