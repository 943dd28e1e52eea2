/* kern/scalar_mm.c - packed matrix times coded activations in plain C: the twin of the vector
 * kernels, operation for operation. */
#include "kern/kern_int.h"

#include "kern/f16.h"

#include <math.h>

static void load_halves(const uint8_t *p, float *out, float factor)
{
    for (int r = 0; r < 16; r++) {
        uint16_t h;
        memcpy(&h, p + 2 * r, 2);
        out[r] = f16_to_f32(h) * factor;
    }
}

// 32 columns of codes from their planes.
static void unpack_lines(const struct kern_type_info *info, const uint8_t *lines, uint8_t (*w)[64])
{
    int low = info->low_bits, mask = (1 << low) - 1;
    const uint8_t *high = lines + 64 * low;
    for (int g = 0; g < 8; g++) {
        const uint8_t *line = lines + 64 * (low == 2 ? g / 4 : g % low);
        int shift = low == 2 ? g % 4 * 2 : g / low * low;
        for (int i = 0; i < 64; i++) {
            int code = line[i] >> shift & mask;
            if (info->high_bits == 1)
                code |= (high[i] >> g & 1) << low;
            else if (info->high_bits == 2)
                code |= (high[64 * (g / 4) + i] >> g % 4 * 2 & 3) << low;
            w[g][i] = info->table ? info->table[code] : (uint8_t)(code + info->raise);
        }
    }
}

static void unpack_scales32(const struct kern_type_info *info, int type, const uint8_t *p, int n,
                            struct kern_seg *seg)
{
    for (int b = 0; b < n; b++, p += info->scale_bytes) {
        if (type == KERN_TYPE_MXFP4) {
            for (int r = 0; r < 16; r++)
                seg->d[b][r] = e8m0_to_f32(p[r]);
            continue;
        }
        load_halves(p, seg->d[b], 1.0f);
        if (info->shape == KERN_SHAPE_Q32M)
            load_halves(p + 32, seg->m[b], -0.0625f);
    }
}

static void unpack_scales256(const struct kern_type_info *info, const uint8_t *p,
                             struct kern_seg *seg)
{
    bool k16 = info->shape == KERN_SHAPE_K16 || info->shape == KERN_SHAPE_K16M;
    bool mins = info->shape == KERN_SHAPE_K32M || info->shape == KERN_SHAPE_K16M;
    load_halves(p, seg->d[0], 1.0f);
    p += 32;
    if (mins) {
        load_halves(p, seg->dmin, -1.0f);
        p += 32;
    }
    for (int j = 0; j < (k16 ? 16 : 8); j++)
        for (int r = 0; r < 16; r++) {
            seg->scale[j][r] = info->shape == KERN_SHAPE_K16M ? p[j / 2 * 32 + 2 * r + j % 2] & 15
                                                              : (int8_t)p[16 * j + r];
        }
    if (info->shape == KERN_SHAPE_K16M) {
        for (int i = 0; i < 256; i++)
            seg->min[i / 32][i % 32 / 2][i % 2] = p[i] >> 4;
    } else if (mins) {
        for (int i = 0; i < 128; i++)
            seg->min[i / 32][i % 32 / 2][i % 2] = p[128 + i];
    }
}

void kern_scalar_unpack(const struct kern_mat *m, int panel, int s, struct kern_seg *seg)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const uint8_t *lines = m->lines + (size_t)panel * m->panel_lines;
    const uint8_t *scales = m->scales + (size_t)panel * m->panel_scales;
    size_t group = 64 * (size_t)(info->low_bits + info->high_bits);
    seg->n_blocks = int_min(8, m->cols / 32 - 8 * s);
    for (int b = 0; b < seg->n_blocks; b++)
        unpack_lines(info, lines + ((size_t)s * 8 + (size_t)b) * group, seg->w + 8 * b);
    if (m->act == KERN_ACT_Q32)
        unpack_scales32(info, m->type, scales + (size_t)s * 8 * (size_t)info->scale_bytes,
                        seg->n_blocks, seg);
    else
        unpack_scales256(info, scales + (size_t)s * (size_t)info->scale_bytes, seg);
}

// s[r] += codes of n groups times activations
static void dot(const uint8_t (*w)[64], const int8_t *x, int n, int32_t *s)
{
    for (int g = 0; g < n; g++)
        for (int r = 0; r < 16; r++)
            for (int j = 0; j < 4; j++)
                s[r] += w[g][4 * r + j] * x[4 * g + j];
}

static void fill(int32_t *s, int32_t v)
{
    for (int r = 0; r < 16; r++)
        s[r] = v;
}

static void seg_q32(const struct kern_seg *seg, const struct kern_x32 *x, int offset, bool mins,
                    float *acc)
{
    int32_t s[16];
    for (int b = 0; b < seg->n_blocks; b++, x++) {
        fill(s, offset == 8     ? x->m8
                : offset == 16  ? x->m16
                : offset == 128 ? x->m128
                                : KERN_ZERO_BITS);
        dot(seg->w + 8 * b, x->codes, 8, s);
        for (int r = 0; r < 16; r++) {
            const float sum = f32_from_bits((uint32_t)s[r]), d = seg->d[b][r];
            acc[r] = fmaf(fmaf(sum, d, -(KERN_ZERO * d)), x->d, acc[r]);
        }
        if (!mins)
            continue;
        float sum = kern_sum32(x);
        for (int r = 0; r < 16; r++)
            acc[r] = fmaf(seg->m[b][r], sum, acc[r]);
    }
}

static void seg_q256(const struct kern_seg *seg, const struct kern_x256 *x, enum kern_shape shape,
                     float *acc)
{
    bool k16 = shape == KERN_SHAPE_K16 || shape == KERN_SHAPE_K16M;
    bool mins = shape == KERN_SHAPE_K32M || shape == KERN_SHAPE_K16M;
    int32_t all[16] = {0}, s[16];
    int groups = k16 ? 4 : 8;
    for (int j = 0; j < 64 / groups; j++) {
        fill(s, mins ? 0 : k16 ? x->m32[j] : -128 * x->s32[j]);
        dot(seg->w + groups * j, x->codes + 4 * groups * j, groups, s);
        for (int r = 0; r < 16; r++)
            all[r] += seg->scale[j][r] * s[r];
    }
    const int16_t *sums = k16 ? x->s16 : x->s32;
    for (int r = 0; r < 16; r++) {
        float f = (float)all[r] * seg->d[0][r];
        int32_t sum = 0;
        for (int j = 0; mins && j < 64 / groups; j++)
            sum += seg->min[j / 2][r][j % 2] * sums[j];
        if (mins)
            f = fmaf((float)sum, seg->dmin[r], f);
        acc[r] = fmaf(f, x->d, acc[r]);
    }
}

static void store(float *y, const float *acc, int rows)
{
    memcpy(y, acc, (size_t)int_min(rows, 16) * sizeof *y);
}

static float float_weight(const struct kern_mat *m, const uint8_t *lines, int k, int r)
{
    size_t at = (size_t)(16 * k + r);
    float f;
    uint16_t h;
    if (m->type == KERN_TYPE_F32) {
        memcpy(&f, lines + 4 * at, 4);
        return f;
    }
    if (m->type == KERN_TYPE_BF16)
        at = (size_t)(k / 2 * 32 + 2 * r + k % 2);
    memcpy(&h, lines + 2 * at, 2);
    return m->type == KERN_TYPE_F16 ? f16_to_f32(h) : bf16_to_f32(h);
}

static void matmul_float(const struct kern_mat *m, int panel, const uint8_t *x, size_t x_stride,
                         int n, float *y, size_t y_stride)
{
    const uint8_t *lines = m->lines + (size_t)panel * m->panel_lines;
    float w[256][16];
    for (int t = 0; t < n; t++)
        for (int r = 0; r < int_min(16, m->rows - 16 * panel); r++)
            y[(size_t)t * y_stride + (size_t)r] = 0.0f;
    for (int k0 = 0; k0 < m->cols; k0 += 256) {
        int n_k = int_min(256, m->cols + m->cols % 2 - k0);
        for (int k = 0; k < n_k; k++)
            for (int r = 0; r < 16; r++)
                w[k][r] = float_weight(m, lines, k0 + k, r);
        for (int t = 0; t < n; t++) {
            const float *row = (const float *)(x + (size_t)t * x_stride) + k0;
            float f[16] = {0};
            for (int k = 0; k < n_k; k++)
                for (int r = 0; r < 16; r++)
                    f[r] = fmaf(w[k][r], row[k], f[r]);
            for (int r = 0; r < int_min(16, m->rows - 16 * panel); r++)
                y[(size_t)t * y_stride + (size_t)r] += f[r];
        }
    }
}

#define TILE 16 // tokens that share an unpacked segment

static void matmul_panel(const struct kern_mat *m, int panel, const uint8_t *x, size_t x_stride,
                         int n, float *y, size_t y_stride)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    struct kern_seg seg;
    float acc[TILE][16] = {{0}};
    for (int s = 0; 256 * s < m->cols; s++) {
        kern_scalar_unpack(m, panel, s, &seg);
        for (int t = 0; t < n; t++) {
            const uint8_t *row = x + (size_t)t * x_stride;
            if (m->act == KERN_ACT_Q32)
                seg_q32(&seg, (const struct kern_x32 *)row + 8 * s, info->offset,
                        info->shape == KERN_SHAPE_Q32M, acc[t]);
            else
                seg_q256(&seg, (const struct kern_x256 *)row + s, info->shape, acc[t]);
        }
    }
    for (int t = 0; t < n; t++)
        store(y + (size_t)t * y_stride, acc[t], m->rows - 16 * panel);
}

void kern_scalar_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                        int n, float *y, size_t y_stride)
{
    for (int p = from; p < to; p++)
        for (int t = 0; t < n; t += TILE) {
            const uint8_t *rows = (const uint8_t *)x + (size_t)t * x_stride;
            float *out = y + (size_t)t * y_stride + (size_t)p * KERN_PANEL;
            int count = int_min(TILE, n - t);
            if (m->act == KERN_ACT_F32)
                matmul_float(m, p, rows, x_stride, count, out, y_stride);
            else
                matmul_panel(m, p, rows, x_stride, count, out, y_stride);
        }
}

void kern_scalar_matmul_runs(const struct kern_run *run, int n_runs, int len, const void *x,
                             size_t x_stride, int n, size_t y_stride, const struct kern_run *next,
                             int n_next)
{
    (void)next;
    (void)n_next;
    for (int i = 0; i < n_runs; i++)
        kern_scalar_matmul(run[i].m, run[i].from, run[i].from + len, x, x_stride, n, run[i].y,
                           y_stride);
}
