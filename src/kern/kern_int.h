/* kern/kern_int.h - what the files of kern share. */
#ifndef KERN_KERN_INT_H
#define KERN_KERN_INT_H

#include "kern/pack.h"

/* A row that stays as it is (KERN_ACT_F32): an odd one gets a zero behind it. */
static inline void kern_copy_row(const float *x, float *out, int cols)
{
    memcpy(out, x, (size_t)cols * sizeof *x);
    if (cols % 2)
        out[cols] = 0.0f;
}

/* A GGUF block taken apart: codes as unsigned numbers before any table, scales as integers. */
struct kern_block {
    uint8_t u[256]; // [info->block]
    uint16_t d, m;  // f16 bits: scale, and min or scale of the mins; MXFP4: d is the exponent byte
    int8_t scale[16];
    uint8_t min[16];
};
void kern_block_split(int type, const void *block, struct kern_block *b);

/* The reverse. */
void kern_block_join(int type, const struct kern_block *b, void *block);

extern const int8_t kern_iq4_values[16], kern_fp4_values[16];

/* 256 columns of a panel, unpacked: what the inner loops read when many tokens share the work. */
struct kern_seg {
    _Alignas(64) uint8_t w[64][64];     // [group of 4 columns][16 rows][4] codes
    _Alignas(64) uint8_t size[64][64];  // where a level takes them as signed: their sizes
    _Alignas(64) float d[8][16];        // Q32: [block][row] scales; Q256: d[0]
    _Alignas(64) float m[8][16];        // Q32M: [block][row] min / -16
    _Alignas(64) int32_t scale[16][16]; // Q256: [block][row] scales, in units of d
    _Alignas(64) int16_t min[8][16][2]; // [pair of blocks][row][2]
    _Alignas(64) float dmin[16];        // negated
    int n_blocks;                       // blocks of 32 columns that there are, 1 .. 8
};

/* What sums over a block whose codes add up to `sum` begin with. */
static inline void kern_put_sums(struct kern_x32 *x, int sum)
{
    x->m8 = KERN_ZERO_BITS - 8 * sum;
    x->m16 = KERN_ZERO_BITS - 16 * sum;
    x->m128 = KERN_ZERO_BITS - 128 * sum;
}

/* -16 times the sum of a block's activations, as the mins want it. */
static inline float kern_sum32(const struct kern_x32 *x)
{
    return (float)(x->m16 - KERN_ZERO_BITS) * x->d;
}

/* A key, value or query row coded: the numbers are codes[i] * d. */
struct kern_q8_row {
    int8_t codes[KERN_HEAD_MAX];
    float d;
    int32_t sum; // of the codes
};

/* The scales of a q8 block: keys [32], values [32]. */
static inline float *kern_q8_scales(const void *block, int d)
{
    return (float *)((unsigned char *)block + (size_t)64 * (size_t)d);
}

static inline void kern_q8_put_key(void *block, int slot, const struct kern_q8_row *row, int d)
{
    uint8_t *keys = (uint8_t *)block + (size_t)(slot / 16 * 16 * d + slot % 16 * 4);
    for (int i = 0; i < d; i += 4)
        for (int j = 0; j < 4; j++)
            keys[16 * i + j] = (uint8_t)(row->codes[i + j] + 128);
    kern_q8_scales(block, d)[slot] = row->d;
}

static inline void kern_q8_put_value(void *block, int slot, const struct kern_q8_row *row, int d)
{
    memcpy((int8_t *)block + (size_t)((KERN_KV_BLOCK + slot) * d), row->codes, (size_t)d);
    kern_q8_scales(block, d)[32 + slot] = row->d;
}

/* Codes x [d]. */
void kern_scalar_code(const float *x, int d, struct kern_q8_row *row);

/* The scalar level's functions, also used by the levels above where they have no better. */
void kern_scalar_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                        int n, float *y, size_t y_stride);
void kern_scalar_matmul_runs(const struct kern_run *run, int n_runs, int len, const void *x,
                             size_t x_stride, int n, size_t y_stride, const struct kern_run *next,
                             int n_next);
/* Unpacks columns [256 s, 256 s + 256) of a panel. */
void kern_scalar_unpack(const struct kern_mat *m, int panel, int s, struct kern_seg *seg);

void kern_fill_scalar(struct kern *k);
void kern_fill_scalar_attn(struct kern *k);

/* These exist on x86-64 only. */
void kern_avx2_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                      int n, float *y, size_t y_stride);
void kern_avxvnni_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                         int n, float *y, size_t y_stride);
void kern_vnni512_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                         int n, float *y, size_t y_stride);
void kern_avx2_code(const float *x, int d, struct kern_q8_row *row);
void kern_fill_avx2(struct kern *k);
void kern_fill_avx2_attn(struct kern *k);
void kern_fill_avxvnni(struct kern *k);
void kern_fill_avxvnni_attn(struct kern *k);
void kern_fill_avx512(struct kern *k);
void kern_fill_avx512_attn(struct kern *k);
void kern_fill_vnni512(struct kern *k);
void kern_fill_vnni512_attn(struct kern *k);
void kern_fill_amx(struct kern *k);

/* These exist on aarch64 only. */
void kern_neon_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                      int n, float *y, size_t y_stride);
void kern_neon_code(const float *x, int d, struct kern_q8_row *row);
void kern_fill_dotprod(struct kern *k);
void kern_fill_neon_attn(struct kern *k);

#endif
