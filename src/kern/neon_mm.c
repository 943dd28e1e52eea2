/* kern/neon_mm.c - packed matrix times coded activations with NEON's dot product of bytes: 16 rows
 * x 1..4 tokens.
 *
 * A segment of 256 columns is unpacked once and used by all tokens.  The dot product is of signed
 * bytes: codes of 8 bits are turned into signed numbers as they are unpacked, all others are small
 * enough to be signed as they are. */
#include "kern/kern_int.h"

#if defined(__ARM_FEATURE_DOTPROD)

#include "kern/f16.h"
#include "kern/mm_path.h"
#include "kern/shape.h"

#include <arm_neon.h>

INLINE float32x4_t load_halves(const uint8_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
}

/* Groups of 4 columns from their planes; flip: what turns codes into signed numbers. */
INLINE void unpack_block(const uint8_t *lines, int low, int high, const uint8_t *table, int raise,
                         int flip, uint8_t (*w)[64])
{
    const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << low) - 1));
    const uint8_t *highs = lines + 64 * low;
    uint8x16_t t = table ? vld1q_u8(table) : vdupq_n_u8(0);
    for (int g = 0; g < 8; g++) {
        int line = low == 2 ? g / 4 : g % low, shift = low == 2 ? g % 4 * 2 : g / low * low;
        for (int q = 0; q < 64; q += 16) {
            uint8x16_t v = vld1q_u8(lines + 64 * line + q);
            v = vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)-shift)), mask);
            if (high == 1) {
                uint8x16_t h = vshlq_u8(vld1q_u8(highs + q), vdupq_n_s8((int8_t)(low - g)));
                v = vorrq_u8(v, vandq_u8(h, vdupq_n_u8((uint8_t)(1 << low))));
            } else if (high == 2) {
                uint8x16_t h = vld1q_u8(highs + 64 * (g / 4) + q);
                h = vshlq_u8(h, vdupq_n_s8((int8_t)(4 - g % 4 * 2)));
                v = vorrq_u8(v, vandq_u8(h, vdupq_n_u8(0x30)));
            }
            if (table)
                v = vqtbl1q_u8(t, v);
            if (raise)
                v = vaddq_u8(v, vdupq_n_u8((uint8_t)raise));
            if (flip)
                v = veorq_u8(v, vdupq_n_u8((uint8_t)flip));
            vst1q_u8(w[g] + q, v);
        }
    }
}

INLINE void unpack_scales32(const struct shape sh, const uint8_t *p, struct kern_seg *seg)
{
    for (int b = 0; b < seg->n_blocks; b++, p += scale_bytes32(sh)) {
        for (int r = 0; r < 16 && sh.e8m0; r++)
            seg->d[b][r] = e8m0_to_f32(p[r]);
        for (int q = 0; q < 4 && !sh.e8m0; q++) {
            vst1q_f32(seg->d[b] + 4 * q, load_halves(p + 8 * q));
            if (sh.mins)
                vst1q_f32(seg->m[b] + 4 * q,
                          vmulq_f32(load_halves(p + 32 + 8 * q), vdupq_n_f32(-0.0625f)));
        }
    }
}

INLINE void store_scales(int32_t *out, int16x8_t scales)
{
    vst1q_s32(out, vmovl_s16(vget_low_s16(scales)));
    vst1q_s32(out + 4, vmovl_s16(vget_high_s16(scales)));
}

INLINE void unpack_scales256(const struct shape sh, const uint8_t *p, struct kern_seg *seg)
{
    for (int q = 0; q < 4; q++)
        vst1q_f32(seg->d[0] + 4 * q, load_halves(p + 8 * q));
    p += 32;
    if (sh.mins) {
        for (int q = 0; q < 4; q++)
            vst1q_f32(seg->dmin + 4 * q, vnegq_f32(load_halves(p + 8 * q)));
        p += 32;
    }
    if (sh.groups == 4 && sh.mins) {
        const uint8x8_t low = vdup_n_u8(15);
        for (int j = 0; j < 8; j++)
            for (int h = 0; h < 2; h++) {
                uint8x8x2_t pair = vld2_u8(p + 32 * j + 16 * h); // even and odd blocks
                int16x8_t even = vreinterpretq_s16_u16(vmovl_u8(vand_u8(pair.val[0], low)));
                int16x8_t odd = vreinterpretq_s16_u16(vmovl_u8(vand_u8(pair.val[1], low)));
                store_scales(seg->scale[2 * j] + 8 * h, even);
                store_scales(seg->scale[2 * j + 1] + 8 * h, odd);
                int16x8x2_t min;
                min.val[0] = vreinterpretq_s16_u16(vmovl_u8(vshr_n_u8(pair.val[0], 4)));
                min.val[1] = vreinterpretq_s16_u16(vmovl_u8(vshr_n_u8(pair.val[1], 4)));
                vst2q_s16(seg->min[j][8 * h], min);
            }
        return;
    }
    for (int j = 0; j < 64 / sh.groups; j++)
        for (int h = 0; h < 2; h++)
            store_scales(seg->scale[j] + 8 * h,
                         vmovl_s8(vreinterpret_s8_u8(vld1_u8(p + 16 * j + 8 * h))));
    for (int j = 0; j < 4 && sh.mins; j++)
        for (int i = 0; i < 32; i += 8)
            vst1q_s16(&seg->min[j][0][0] + i,
                      vreinterpretq_s16_u16(vmovl_u8(vld1_u8(p + 128 + 32 * j + i))));
}

/* Codes of 8 bits exceed their numbers by 128. */
#define UNPACK(name, type, kind, ...)                                                              \
    static void unpack_##name(const struct feed *src, struct kern_seg *seg)                        \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        const uint8_t *lines = src->lines;                                                         \
        for (int b = 0; b < seg->n_blocks; b++, lines += 64 * (sh.low + sh.high))                  \
            unpack_block(lines, sh.low, sh.high, src->values, sh.raise,                            \
                         sh.offset == 128 ? 0x80 : 0, seg->w + 8 * b);                             \
        unpack_scales##kind(sh, src->scales, seg);                                                 \
    }

KERN_BYTE_TYPES(UNPACK)

/* s [nt][4 vectors of 4 rows] += codes of n groups (a multiple of 4) times activations. */
INLINE void dots(const uint8_t (*w)[64], int n, const int8_t *const *x, size_t at, int nt,
                 int32x4_t (*s)[4])
{
    for (int g = 0; g < n; g += 4) {
        int8x16_t xt[4];
        for (int t = 0; t < nt; t++)
            xt[t] = vld1q_s8(x[t] + at + 4 * (size_t)g);
        for (int q = 0; q < 4; q++) {
            const int8_t *p = (const int8_t *)w[g] + 16 * q;
            int8x16_t a = vld1q_s8(p), b = vld1q_s8(p + 64), c = vld1q_s8(p + 128);
            int8x16_t d = vld1q_s8(p + 192);
            for (int t = 0; t < nt; t++) {
                s[t][q] = vdotq_laneq_s32(s[t][q], a, xt[t], 0);
                s[t][q] = vdotq_laneq_s32(s[t][q], b, xt[t], 1);
                s[t][q] = vdotq_laneq_s32(s[t][q], c, xt[t], 2);
                s[t][q] = vdotq_laneq_s32(s[t][q], d, xt[t], 3);
            }
        }
    }
}

INLINE void begin(int32x4_t *s, int32_t v)
{
    for (int q = 0; q < 4; q++)
        s[q] = vdupq_n_s32(v);
}

INLINE void tile_q32(const struct kern_seg *seg, const uint8_t *x, size_t stride, int nt,
                     int offset, bool mins, float *acc)
{
    for (int b = 0; b < seg->n_blocks; b++, x += sizeof(struct kern_x32)) {
        const int8_t *codes[4];
        int32x4_t s[4][4];
        for (int t = 0; t < nt; t++) {
            const struct kern_x32 *xb = (const struct kern_x32 *)(x + (size_t)t * stride);
            codes[t] = xb->codes;
            begin(s[t], offset == 8 ? xb->m8 : offset == 16 ? xb->m16 : KERN_ZERO_BITS);
        }
        dots((const uint8_t(*)[64])seg->w[8 * b], 8, codes, 0, nt, s);
        for (int t = 0; t < nt; t++) {
            const struct kern_x32 *xb = (const struct kern_x32 *)(x + (size_t)t * stride);
            for (int q = 0; q < 4; q++) {
                float *out = acc + 16 * t + 4 * q;
                float32x4_t d = vld1q_f32(seg->d[b] + 4 * q);
                float32x4_t f = vmulq_n_f32(d, -KERN_ZERO);
                f = vfmaq_f32(f, vreinterpretq_f32_s32(s[t][q]), d);
                f = vfmaq_n_f32(vld1q_f32(out), f, xb->d);
                if (mins)
                    f = vfmaq_f32(f, vld1q_f32(seg->m[b] + 4 * q), vdupq_n_f32(kern_sum32(xb)));
                vst1q_f32(out, f);
            }
        }
    }
}

INLINE void tile_q256(const struct kern_seg *seg, const uint8_t *x, size_t stride, int nt,
                      int groups, bool raised, bool mins, float *acc)
{
    int32x4_t sum[4][4];
    const int8_t *codes[4];
    for (int t = 0; t < nt; t++) {
        for (int q = 0; q < 4; q++)
            sum[t][q] = vdupq_n_s32(0);
        codes[t] = (const int8_t *)(x + (size_t)t * stride);
    }
    for (int j = 0; j < 64 / groups; j++) {
        int32x4_t s[4][4];
        for (int t = 0; t < nt; t++) {
            const struct kern_x256 *xb = (const struct kern_x256 *)codes[t];
            begin(s[t], raised ? xb->m32[j] : 0);
        }
        dots((const uint8_t(*)[64])seg->w[groups * j], groups, codes, (size_t)(4 * groups * j), nt,
             s);
        for (int t = 0; t < nt; t++)
            for (int q = 0; q < 4; q++)
                sum[t][q] = vmlaq_s32(sum[t][q], s[t][q], vld1q_s32(seg->scale[j] + 4 * q));
    }
    for (int t = 0; t < nt; t++) {
        const struct kern_x256 *xb = (const struct kern_x256 *)codes[t];
        const int16_t *sums = groups == 4 ? xb->s16 : xb->s32;
        for (int q = 0; q < 4; q++) {
            float *out = acc + 16 * t + 4 * q;
            float32x4_t f = vmulq_f32(vcvtq_f32_s32(sum[t][q]), vld1q_f32(seg->d[0] + 4 * q));
            if (mins) {
                int32x4_t s = vdupq_n_s32(0);
                for (int j = 0; j < 32 / groups; j++) {
                    int16x4x2_t m = vld2_s16(seg->min[j][4 * q]);
                    s = vmlal_n_s16(s, m.val[0], sums[2 * j]);
                    s = vmlal_n_s16(s, m.val[1], sums[2 * j + 1]);
                }
                f = vfmaq_f32(f, vcvtq_f32_s32(s), vld1q_f32(seg->dmin + 4 * q));
            }
            vst1q_f32(out, vfmaq_n_f32(vld1q_f32(out), f, xb->d));
        }
    }
}

#define TILE(name, call)                                                                           \
    static void name(const struct feed *src, struct kern_seg *seg, const uint8_t *x,               \
                     size_t stride, int n, float *acc)                                             \
    {                                                                                              \
        (void)src;                                                                                 \
        switch (n) {                                                                               \
        case 1: call(1); break;                                                                    \
        case 2: call(2); break;                                                                    \
        case 3: call(3); break;                                                                    \
        default: call(4);                                                                          \
        }                                                                                          \
    }
#define CALL_Q4_0(nt)   tile_q32(seg, x, stride, nt, 8, false, acc)
#define CALL_Q5_0(nt)   tile_q32(seg, x, stride, nt, 16, false, acc)
#define CALL_SIGNED(nt) tile_q32(seg, x, stride, nt, 0, false, acc)
#define CALL_MINS(nt)   tile_q32(seg, x, stride, nt, 0, true, acc)
#define CALL_K32M(nt)   tile_q256(seg, x, stride, nt, 8, false, true, acc)
#define CALL_K32(nt)    tile_q256(seg, x, stride, nt, 8, false, false, acc)
#define CALL_K16(nt)    tile_q256(seg, x, stride, nt, 4, true, false, acc)
#define CALL_K16M(nt)   tile_q256(seg, x, stride, nt, 4, false, true, acc)
TILE(tile_8, CALL_Q4_0)
TILE(tile_16, CALL_Q5_0) // also MXFP4
TILE(tile_signed, CALL_SIGNED)
TILE(tile_mins, CALL_MINS)
TILE(tile_k32m, CALL_K32M)
TILE(tile_k32, CALL_K32)
TILE(tile_k16, CALL_K16)
TILE(tile_k16m, CALL_K16M)

#define PATH(name, type, tile) [KERN_TYPE_##type] = {unpack_##name, tile}
static const struct path paths[KERN_TYPES] = {
    PATH(q8_0, Q8_0, tile_signed),     PATH(q4_0, Q4_0, tile_8),
    PATH(q4_1, Q4_1, tile_mins),       PATH(q5_0, Q5_0, tile_16),
    PATH(q5_1, Q5_1, tile_mins),       PATH(q2_k, Q2_K, tile_k16m),
    PATH(q3_k, Q3_K, tile_k16),        PATH(q4_k, Q4_K, tile_k32m),
    PATH(q5_k, Q5_K, tile_k32m),       PATH(q6_k, Q6_K, tile_k16),
    PATH(iq4_nl, IQ4_NL, tile_signed), PATH(iq4_xs, IQ4_XS, tile_k32),
    PATH(mxfp4, MXFP4, tile_16),
};

/* 16 rows of columns k and k + 1 as f32: w[0..3] and w[4..7]. */
INLINE void load_weights(int type, const uint8_t *lines, int k, float32x4_t *w)
{
    const uint8_t *p = lines + (size_t)k * (type == KERN_TYPE_F32 ? 64 : 32);
    for (int q = 0; q < 4; q++) {
        if (type == KERN_TYPE_F32) {
            w[q] = vld1q_f32((const float *)p + 4 * q);
            w[4 + q] = vld1q_f32((const float *)p + 16 + 4 * q);
        } else if (type == KERN_TYPE_F16) {
            w[q] = load_halves(p + 8 * q);
            w[4 + q] = load_halves(p + 32 + 8 * q);
        } else {
            uint32x4_t pair = vreinterpretq_u32_u8(vld1q_u8(p + 16 * q));
            w[q] = vreinterpretq_f32_u32(vshlq_n_u32(pair, 16));
            w[4 + q] = vreinterpretq_f32_u32(vandq_u32(pair, vdupq_n_u32(0xffff0000)));
        }
    }
}

INLINE void tile_float(int type, const uint8_t *lines, int cols, const uint8_t *x, size_t stride,
                       int nt, float *acc)
{
    for (int k0 = 0; k0 < cols; k0 += 256) {
        float32x4_t f[2][4], w[8];
        for (int t = 0; t < nt; t++)
            for (int q = 0; q < 4; q++)
                f[t][q] = vdupq_n_f32(0);
        for (int k = k0; k < cols && k < k0 + 256; k += 2) {
            load_weights(type, lines, k, w);
            for (int t = 0; t < nt; t++) {
                const float *xt = (const float *)(x + (size_t)t * stride) + k;
                for (int q = 0; q < 4; q++) {
                    f[t][q] = vfmaq_n_f32(f[t][q], w[q], xt[0]);
                    f[t][q] = vfmaq_n_f32(f[t][q], w[4 + q], xt[1]);
                }
            }
        }
        for (int t = 0; t < nt; t++)
            for (int q = 0; q < 4; q++) {
                float *out = acc + 16 * t + 4 * q;
                vst1q_f32(out, vaddq_f32(vld1q_f32(out), f[t][q]));
            }
    }
}

#define FLOAT_TILE(name, type)                                                                     \
    static void name(const uint8_t *lines, int cols, const uint8_t *x, size_t stride, int n,       \
                     float *acc)                                                                   \
    {                                                                                              \
        if (n == 1)                                                                                \
            tile_float(type, lines, cols, x, stride, 1, acc);                                      \
        else                                                                                       \
            tile_float(type, lines, cols, x, stride, 2, acc);                                      \
    }
FLOAT_TILE(tile_f32, KERN_TYPE_F32)
FLOAT_TILE(tile_f16, KERN_TYPE_F16)
FLOAT_TILE(tile_bf16, KERN_TYPE_BF16)

#define MATMUL       kern_neon_matmul
#define FLOAT_TOKENS 2
#include "kern/mm_body.h"

#endif
