/* kern/quant.c - rounds f32 rows into GGUF types.
 *
 * A block's scale (and min) is searched: a few roundings around the obvious scale, each followed by
 * the least-squares scale for the codes it gave, the smallest squared error winning.  Scales of
 * blocks are then rounded to the integers that the k-types store, and the codes taken once more
 * against what a reader will really see. */
#include "kern/kern_int.h"

#include "kern/f16.h"

#include <assert.h>
#include <math.h>

static int nearest(float v, int lo, int hi)
{
    if (!(v > (float)lo)) // also what is no number
        return lo;
    if (v >= (float)hi)
        return hi;
    return (int)lrintf(v);
}

// f16 that stays finite
static uint16_t half_bits(float f)
{
    return f32_to_f16(fminf(fmaxf(f, -65504.0f), 65504.0f));
}

static float inverse(float f)
{
    float i = 1.0f / f;
    return f != 0 && isfinite(i) ? i : 0;
}

// The number of largest magnitude, with its sign.
static float extreme(const float *x, int n)
{
    float best = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(best))
            best = x[i];
    return best;
}

// x ~ scale * q, q in lo .. hi (lo = -hi - 1).  The sign of the scale is chosen so that the extreme
// number takes the code lo, of which there is one more.
static float fit_scale(const float *x, int n, int lo, int hi)
{
    float top = extreme(x, n), best = 0, best_gain = 0;
    if (!isfinite(inverse(top)) || inverse(top) == 0)
        return 0;
    for (int step = -9; step <= 9; step++) {
        float is = ((float)lo + 0.1f * (float)step) / top;
        double xq = 0, qq = 0;
        for (int i = 0; i < n; i++) {
            int q = nearest(x[i] * is, lo, hi);
            xq += (double)x[i] * q;
            qq += (double)q * q;
        }
        // the error left is sum of x^2 - xq^2 / qq
        if (qq > 0 && xq * xq / qq > best_gain) {
            best_gain = (float)(xq * xq / qq);
            best = (float)(xq / qq);
        }
    }
    return best;
}

// x ~ scale * q + min, q in 0 .. hi.  With below_zero the min may not be positive.
static float fit_affine(const float *x, int n, int hi, bool below_zero, float *min)
{
    float low = x[0], high = x[0];
    double sx = 0, sxx = 0;
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        sx += x[i];
        sxx += (double)x[i] * x[i];
    }
    if (below_zero)
        low = fminf(low, 0);
    *min = low;
    if (!(high > low) || inverse(high - low) == 0)
        return 0;
    float best = (high - low) / (float)hi;
    double best_err = INFINITY;
    for (int step = -5; step <= 10; step++) {
        float is = ((float)hi + 0.1f * (float)step) / (high - low);
        double sq = 0, sqq = 0, sxq = 0;
        for (int i = 0; i < n; i++) {
            int q = nearest((x[i] - low) * is, 0, hi);
            sq += q;
            sqq += (double)q * q;
            sxq += (double)q * x[i];
        }
        double det = n * sqq - sq * sq;
        if (det <= 0)
            continue;
        double scale = (n * sxq - sx * sq) / det, m = (sqq * sx - sq * sxq) / det;
        if (below_zero && m > 0) {
            m = 0;
            scale = sxq / sqq;
        }
        double err =
            sxx - 2 * (scale * sxq + m * sx) + scale * scale * sqq + 2 * scale * m * sq + n * m * m;
        if (scale > 0 && err < best_err) {
            best_err = err;
            best = (float)scale;
            *min = (float)m;
        }
    }
    return best;
}

static int nearest_value(const int8_t *values, float v)
{
    int best = 0;
    for (int i = 1; i < 16; i++)
        if (fabsf(v - (float)values[i]) < fabsf(v - (float)values[best]))
            best = i;
    return best;
}

// x ~ scale * iq4 table
static float fit_table(const float *x, int n)
{
    float top = extreme(x, n), best = 0;
    double best_gain = 0;
    if (inverse(top) == 0)
        return 0;
    for (int step = -7; step <= 7; step++) {
        float is = ((float)kern_iq4_values[0] + 2.0f * (float)step) / top;
        double xq = 0, qq = 0;
        for (int i = 0; i < n; i++) {
            int q = kern_iq4_values[nearest_value(kern_iq4_values, x[i] * is)];
            xq += (double)x[i] * q;
            qq += (double)q * q;
        }
        if (qq > 0 && xq * xq / qq > best_gain) {
            best_gain = xq * xq / qq;
            best = (float)(xq / qq);
        }
    }
    return best;
}

static void codes_symmetric(const float *x, int n, float scale, int offset, int hi, uint8_t *u)
{
    float is = inverse(scale);
    for (int i = 0; i < n; i++)
        u[i] = (uint8_t)(nearest(x[i] * is, -offset, hi) + offset);
}

static void codes_affine(const float *x, int n, float scale, float min, int hi, uint8_t *u)
{
    float is = inverse(scale);
    for (int i = 0; i < n; i++)
        u[i] = (uint8_t)nearest((x[i] - min) * is, 0, hi);
}

static void codes_table(const float *x, int n, float scale, const int8_t *values, uint8_t *u)
{
    float is = inverse(scale);
    for (int i = 0; i < n; i++)
        u[i] = (uint8_t)nearest_value(values, x[i] * is);
}

static void quant_q8(const float *x, struct kern_block *b)
{
    float d = fabsf(extreme(x, 32)) / 127.0f, id = inverse(d);
    b->d = half_bits(d);
    for (int i = 0; i < 32; i++)
        b->u[i] = (uint8_t)(nearest(roundf(x[i] * id), -127, 127) + 128);
}

static void quant_q32(const struct kern_type_info *info, const float *x, struct kern_block *b)
{
    int hi = (1 << (info->low_bits + info->high_bits)) - 1;
    if (info->shape == KERN_SHAPE_Q32M) {
        float min, d = fit_affine(x, 32, hi, false, &min);
        b->d = half_bits(d);
        b->m = half_bits(min);
        codes_affine(x, 32, f16_to_f32(b->d), f16_to_f32(b->m), hi, b->u);
    } else {
        b->d = half_bits(fit_scale(x, 32, -info->offset, info->offset - 1));
        codes_symmetric(x, 32, f16_to_f32(b->d), info->offset, info->offset - 1, b->u);
    }
}

static void quant_iq4_nl(const float *x, struct kern_block *b)
{
    b->d = half_bits(fit_table(x, 32));
    codes_table(x, 32, f16_to_f32(b->d), kern_iq4_values, b->u);
}

// The exponent that takes the largest number to 8 .. 16 on the doubled scale, whose largest value
// is 12, or the next one, whichever errs less.
static void quant_mxfp4(const float *x, struct kern_block *b)
{
    float top = fabsf(extreme(x, 32));
    double best = INFINITY;
    int first = 1;
    if (isfinite(top) && top > 0)
        first = ilogbf(top) - 3 + 128;
    b->d = 0;
    memset(b->u, 0, 32);
    for (int e = int_max(first, 0); e <= int_min(first + 1, 254); e++) {
        float d = e8m0_to_f32((uint8_t)e);
        uint8_t u[32];
        double err = 0;
        codes_table(x, 32, d, kern_fp4_values, u);
        for (int i = 0; i < 32; i++) {
            double off = (double)x[i] - (double)d * kern_fp4_values[u[i]];
            err += off * off;
        }
        if (err < best) {
            best = err;
            b->d = (uint16_t)e;
            memcpy(b->u, u, 32);
        }
    }
}

// Q6_K, Q3_K: 16 blocks of 16 with signed integer scales of lo .. -lo - 1.
static void quant_k16(const struct kern_type_info *info, const float *x, struct kern_block *b)
{
    int lo = info->high_bits == 2 ? -128 : -32;
    float scales[16];
    for (int j = 0; j < 16; j++)
        scales[j] = fit_scale(x + 16 * j, 16, -info->offset, info->offset - 1);
    b->d = half_bits(extreme(scales, 16) / (float)lo);
    float d = f16_to_f32(b->d), id = inverse(d);
    for (int j = 0; j < 16; j++) {
        b->scale[j] = (int8_t)nearest(scales[j] * id, lo, -lo - 1);
        codes_symmetric(x + 16 * j, 16, d * (float)b->scale[j], info->offset, info->offset - 1,
                        b->u + 16 * j);
    }
}

// Q4_K, Q5_K, Q2_K: unsigned scales and mins of 0 .. top.
static void quant_k_mins(const struct kern_type_info *info, const float *x, struct kern_block *b)
{
    int n = info->shape == KERN_SHAPE_K16M ? 16 : 32, top = n == 16 ? 15 : 63;
    int hi = (1 << (info->low_bits + info->high_bits)) - 1;
    float scales[16] = {0}, mins[16] = {0};
    for (int j = 0; j < 256 / n; j++)
        scales[j] = fit_affine(x + n * j, n, hi, true, &mins[j]);
    b->d = half_bits(fabsf(extreme(scales, 256 / n)) / (float)top);
    b->m = half_bits(fabsf(extreme(mins, 256 / n)) / (float)top);
    float d = f16_to_f32(b->d), m = f16_to_f32(b->m), id = inverse(d), im = inverse(m);
    for (int j = 0; j < 256 / n; j++) {
        b->scale[j] = (int8_t)nearest(scales[j] * id, 0, top);
        b->min[j] = (uint8_t)nearest(-mins[j] * im, 0, top);
        codes_affine(x + n * j, n, d * (float)b->scale[j], -m * (float)b->min[j], hi, b->u + n * j);
    }
}

static void quant_iq4_xs(const float *x, struct kern_block *b)
{
    float scales[8];
    for (int j = 0; j < 8; j++)
        scales[j] = fit_table(x + 32 * j, 32);
    b->d = half_bits(extreme(scales, 8) / -32.0f);
    float d = f16_to_f32(b->d), id = inverse(d);
    for (int j = 0; j < 8; j++) {
        b->scale[j] = (int8_t)nearest(scales[j] * id, -32, 31);
        codes_table(x + 32 * j, 32, d * (float)b->scale[j], kern_iq4_values, b->u + 32 * j);
    }
}

static void quant_block(const struct kern_type_info *info, int type, const float *x,
                        struct kern_block *b)
{
    switch (type) {
    case KERN_TYPE_Q8_0: quant_q8(x, b); break;
    case KERN_TYPE_IQ4_NL: quant_iq4_nl(x, b); break;
    case KERN_TYPE_IQ4_XS: quant_iq4_xs(x, b); break;
    case KERN_TYPE_MXFP4: quant_mxfp4(x, b); break;
    case KERN_TYPE_Q3_K:
    case KERN_TYPE_Q6_K: quant_k16(info, x, b); break;
    case KERN_TYPE_Q2_K:
    case KERN_TYPE_Q4_K:
    case KERN_TYPE_Q5_K: quant_k_mins(info, x, b); break;
    default: quant_q32(info, x, b);
    }
}

bool kern_quant_row(int type, const float *x, void *row, int cols)
{
    const struct kern_type_info *info = kern_type_info(type);
    uint8_t *p = row;
    struct kern_block b = {.d = 0};
    if (!info || cols % info->block)
        return false;
    if (type == KERN_TYPE_F32) {
        memcpy(row, x, (size_t)cols * 4);
        return true;
    }
    for (int i = 0; i < cols; i += info->block, p += info->bytes) {
        if (info->shape == KERN_SHAPE_F) {
            uint16_t h = type == KERN_TYPE_F16 ? f32_to_f16(x[i]) : f32_to_bf16(x[i]);
            memcpy(p, &h, 2);
            continue;
        }
        quant_block(info, type, x + i, &b);
        kern_block_join(type, &b, p);
    }
    return true;
}
