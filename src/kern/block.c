/* kern/block.c - the blocks of GGUF tensors, taken apart and put together; rows as f32.
 * Source: the published layout of each type, ggml-org/llama.cpp: ggml/src/ggml-common.h. */
#include "kern/kern_int.h"

#include "kern/f16.h"

#include <assert.h>

const int8_t kern_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                    1,    13,   25,  38,  53,  69,  89,  113};
const int8_t kern_fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* The same, raised by the type's offset. */
static const uint8_t iq4_codes[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                      129, 141, 153, 166, 181, 197, 217, 241};
static const uint8_t fp4_codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

static const struct kern_type_info infos[KERN_TYPES] = {
    [KERN_TYPE_F32] = {"F32", 1, 4, KERN_SHAPE_F, 0, 0, 0, 0, 0, NULL},
    [KERN_TYPE_F16] = {"F16", 1, 2, KERN_SHAPE_F, 0, 0, 0, 0, 0, NULL},
    [KERN_TYPE_BF16] = {"BF16", 1, 2, KERN_SHAPE_F, 0, 0, 0, 0, 0, NULL},
    [KERN_TYPE_Q4_0] = {"Q4_0", 32, 18, KERN_SHAPE_Q32, 4, 0, 8, 0, 32, NULL},
    [KERN_TYPE_Q4_1] = {"Q4_1", 32, 20, KERN_SHAPE_Q32M, 4, 0, 0, 0, 64, NULL},
    [KERN_TYPE_Q5_0] = {"Q5_0", 32, 22, KERN_SHAPE_Q32, 4, 1, 16, 0, 32, NULL},
    [KERN_TYPE_Q5_1] = {"Q5_1", 32, 24, KERN_SHAPE_Q32M, 4, 1, 0, 0, 64, NULL},
    [KERN_TYPE_Q8_0] = {"Q8_0", 32, 34, KERN_SHAPE_Q32, 8, 0, 128, 0, 32, NULL},
    [KERN_TYPE_Q2_K] = {"Q2_K", 256, 84, KERN_SHAPE_K16M, 2, 0, 0, 0, 320, NULL},
    [KERN_TYPE_Q3_K] = {"Q3_K", 256, 110, KERN_SHAPE_K16, 2, 1, 4, 28, 288, NULL},
    [KERN_TYPE_Q4_K] = {"Q4_K", 256, 144, KERN_SHAPE_K32M, 4, 0, 0, 0, 320, NULL},
    [KERN_TYPE_Q5_K] = {"Q5_K", 256, 176, KERN_SHAPE_K32M, 4, 1, 0, 0, 320, NULL},
    [KERN_TYPE_Q6_K] = {"Q6_K", 256, 210, KERN_SHAPE_K16, 4, 2, 32, 0, 288, NULL},
    [KERN_TYPE_IQ4_NL] = {"IQ4_NL", 32, 18, KERN_SHAPE_Q32, 4, 0, 128, 0, 32, iq4_codes},
    [KERN_TYPE_IQ4_XS] = {"IQ4_XS", 256, 136, KERN_SHAPE_K32, 4, 0, 128, 0, 160, iq4_codes},
    [KERN_TYPE_MXFP4] = {"MXFP4", 32, 17, KERN_SHAPE_Q32, 4, 0, 16, 0, 16, fp4_codes},
};

const struct kern_type_info *kern_type_info(int type)
{
    if (type < 0 || type >= KERN_TYPES || !infos[type].name)
        return NULL;
    return &infos[type];
}

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

// 32 codes as nibbles: the low ones are weights 0..15, the high ones 16..31.
static void split_nibbles(const uint8_t *restrict p, uint8_t *restrict u)
{
    for (int i = 0; i < 16; i++)
        u[i] = p[i] & 15;
    for (int i = 0; i < 16; i++)
        u[i + 16] = p[i] >> 4;
}

static void join_nibbles(const uint8_t *u, uint8_t *p)
{
    for (int i = 0; i < 16; i++)
        p[i] = (uint8_t)((u[i] & 15) | u[i + 16] << 4);
}

// The fifth bits of 32 codes, one word.
static void split_fifth(const uint8_t *p, uint8_t *u)
{
    for (int i = 0; i < 32; i++)
        u[i] |= (uint8_t)((p[i / 8] >> i % 8 & 1) << 4);
}

static void join_fifth(const uint8_t *u, uint8_t *p)
{
    memset(p, 0, 4);
    for (int i = 0; i < 32; i++)
        p[i / 8] |= (uint8_t)((u[i] >> 4 & 1) << i % 8);
}

// Q4_K and Q5_K: eight 6-bit scales and mins in twelve bytes.
static void split_scales6(const uint8_t *p, struct kern_block *b)
{
    for (int j = 0; j < 4; j++) {
        b->scale[j] = (int8_t)(p[j] & 63);
        b->min[j] = p[j + 4] & 63;
        b->scale[j + 4] = (int8_t)((p[j + 8] & 15) | p[j] >> 6 << 4);
        b->min[j + 4] = (uint8_t)(p[j + 8] >> 4 | p[j + 4] >> 6 << 4);
    }
}

static void join_scales6(const struct kern_block *b, uint8_t *p)
{
    for (int j = 0; j < 4; j++) {
        p[j] = (uint8_t)(b->scale[j] | b->scale[j + 4] >> 4 << 6);
        p[j + 4] = (uint8_t)(b->min[j] | b->min[j + 4] >> 4 << 6);
        p[j + 8] = (uint8_t)((b->scale[j + 4] & 15) | (b->min[j + 4] & 15) << 4);
    }
}

// Q2_K and Q3_K: two bits a weight, 32 bytes holding four runs of 32 weights.
static void split_pairs(const uint8_t *p, uint8_t *u)
{
    for (int i = 0; i < 256; i++)
        u[i] = p[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

static void join_pairs(const uint8_t *u, uint8_t *p)
{
    memset(p, 0, 64);
    for (int i = 0; i < 256; i++)
        p[i / 128 * 32 + i % 32] |= (uint8_t)((u[i] & 3) << i % 128 / 32 * 2);
}

// Q4_K and Q5_K: 32 bytes hold 64 weights, the low nibbles first.
static void split_halves(const uint8_t *restrict p, uint8_t *restrict u)
{
    for (int run = 0; run < 4; run++, p += 32, u += 64) {
        for (int i = 0; i < 32; i++)
            u[i] = p[i] & 15;
        for (int i = 0; i < 32; i++)
            u[i + 32] = p[i] >> 4;
    }
}

static void join_halves(const uint8_t *u, uint8_t *p)
{
    for (int i = 0; i < 128; i++) {
        const uint8_t *low = u + i / 32 * 64 + i % 32;
        p[i] = (uint8_t)((low[0] & 15) | low[32] << 4);
    }
}

// Q3_K: the six bits of sixteen scales in twelve bytes, stored 32 too large.
static void split_scales3(const uint8_t *p, int8_t *scale)
{
    for (int j = 0; j < 16; j++) {
        int low = p[j % 8] >> j / 8 * 4 & 15, high = p[8 + j % 4] >> j / 4 * 2 & 3;
        scale[j] = (int8_t)((low | high << 4) - 32);
    }
}

static void join_scales3(const int8_t *scale, uint8_t *p)
{
    memset(p, 0, 12);
    for (int j = 0; j < 16; j++) {
        int s = scale[j] + 32;
        p[j % 8] |= (uint8_t)((s & 15) << j / 8 * 4);
        p[8 + j % 4] |= (uint8_t)(s >> 4 << j / 4 * 2);
    }
}

static void split_q6(const uint8_t *restrict low, const uint8_t *restrict high, uint8_t *restrict u)
{
    for (int half = 0; half < 2; half++, low += 64, high += 32, u += 128) {
        for (int i = 0; i < 64; i++)
            u[i] = low[i] & 15;
        for (int i = 0; i < 64; i++)
            u[i + 64] = low[i] >> 4;
        for (int run = 0; run < 4; run++)
            for (int i = 0; i < 32; i++)
                u[32 * run + i] |= (uint8_t)((high[i] >> 2 * run & 3) << 4);
    }
}

static void join_q6(const uint8_t *u, uint8_t *low, uint8_t *high)
{
    memset(low, 0, 128);
    memset(high, 0, 64);
    for (int i = 0; i < 256; i++) {
        int half = i / 128, run = i % 128 / 32, l = i % 32;
        low[half * 64 + run % 2 * 32 + l] |= (uint8_t)((u[i] & 15) << run / 2 * 4);
        high[half * 32 + l] |= (uint8_t)(u[i] >> 4 << run * 2);
    }
}

void kern_block_split(int type, const void *block, struct kern_block *b)
{
    const uint8_t *p = block;
    b->d = b->m = 0;
    switch (type) {
    case KERN_TYPE_Q4_0:
    case KERN_TYPE_IQ4_NL:
        b->d = get16(p);
        split_nibbles(p + 2, b->u);
        break;
    case KERN_TYPE_MXFP4:
        b->d = p[0];
        split_nibbles(p + 1, b->u);
        break;
    case KERN_TYPE_Q4_1:
        b->d = get16(p);
        b->m = get16(p + 2);
        split_nibbles(p + 4, b->u);
        break;
    case KERN_TYPE_Q5_0:
        b->d = get16(p);
        split_nibbles(p + 6, b->u);
        split_fifth(p + 2, b->u);
        break;
    case KERN_TYPE_Q5_1:
        b->d = get16(p);
        b->m = get16(p + 2);
        split_nibbles(p + 8, b->u);
        split_fifth(p + 4, b->u);
        break;
    case KERN_TYPE_Q8_0:
        b->d = get16(p);
        for (int i = 0; i < 32; i++)
            b->u[i] = p[2 + i] ^ 128;
        break;
    case KERN_TYPE_Q2_K:
        for (int j = 0; j < 16; j++) {
            b->scale[j] = (int8_t)(p[j] & 15);
            b->min[j] = p[j] >> 4;
        }
        split_pairs(p + 16, b->u);
        b->d = get16(p + 80);
        b->m = get16(p + 82);
        break;
    case KERN_TYPE_Q3_K:
        split_pairs(p + 32, b->u);
        for (int i = 0; i < 256; i++)
            b->u[i] |= (uint8_t)((p[i % 32] >> i / 32 & 1) << 2);
        split_scales3(p + 96, b->scale);
        b->d = get16(p + 108);
        break;
    case KERN_TYPE_Q4_K:
        b->d = get16(p);
        b->m = get16(p + 2);
        split_scales6(p + 4, b);
        split_halves(p + 16, b->u);
        break;
    case KERN_TYPE_Q5_K:
        b->d = get16(p);
        b->m = get16(p + 2);
        split_scales6(p + 4, b);
        split_halves(p + 48, b->u);
        for (int i = 0; i < 256; i++)
            b->u[i] |= (uint8_t)((p[16 + i % 32] >> i / 32 & 1) << 4);
        break;
    case KERN_TYPE_Q6_K:
        split_q6(p, p + 128, b->u);
        memcpy(b->scale, p + 192, 16);
        b->d = get16(p + 208);
        break;
    case KERN_TYPE_IQ4_XS:
        b->d = get16(p);
        for (int j = 0; j < 8; j++) {
            int low = p[4 + j / 2] >> j % 2 * 4 & 15, high = get16(p + 2) >> 2 * j & 3;
            b->scale[j] = (int8_t)((low | high << 4) - 32);
            split_nibbles(p + 8 + 16 * j, b->u + 32 * j);
        }
        break;
    default: assert(!"a type that kern_type_info knows");
    }
}

void kern_block_join(int type, const struct kern_block *b, void *block)
{
    uint8_t *p = block;
    switch (type) {
    case KERN_TYPE_Q4_0:
    case KERN_TYPE_IQ4_NL:
        put16(p, b->d);
        join_nibbles(b->u, p + 2);
        break;
    case KERN_TYPE_MXFP4:
        p[0] = (uint8_t)b->d;
        join_nibbles(b->u, p + 1);
        break;
    case KERN_TYPE_Q4_1:
        put16(p, b->d);
        put16(p + 2, b->m);
        join_nibbles(b->u, p + 4);
        break;
    case KERN_TYPE_Q5_0:
        put16(p, b->d);
        join_fifth(b->u, p + 2);
        join_nibbles(b->u, p + 6);
        break;
    case KERN_TYPE_Q5_1:
        put16(p, b->d);
        put16(p + 2, b->m);
        join_fifth(b->u, p + 4);
        join_nibbles(b->u, p + 8);
        break;
    case KERN_TYPE_Q8_0:
        put16(p, b->d);
        for (int i = 0; i < 32; i++)
            p[2 + i] = b->u[i] ^ 128;
        break;
    case KERN_TYPE_Q2_K:
        for (int j = 0; j < 16; j++)
            p[j] = (uint8_t)(b->scale[j] | b->min[j] << 4);
        join_pairs(b->u, p + 16);
        put16(p + 80, b->d);
        put16(p + 82, b->m);
        break;
    case KERN_TYPE_Q3_K:
        memset(p, 0, 32);
        for (int i = 0; i < 256; i++)
            p[i % 32] |= (uint8_t)((b->u[i] >> 2) << i / 32);
        join_pairs(b->u, p + 32);
        join_scales3(b->scale, p + 96);
        put16(p + 108, b->d);
        break;
    case KERN_TYPE_Q4_K:
        put16(p, b->d);
        put16(p + 2, b->m);
        join_scales6(b, p + 4);
        join_halves(b->u, p + 16);
        break;
    case KERN_TYPE_Q5_K:
        put16(p, b->d);
        put16(p + 2, b->m);
        join_scales6(b, p + 4);
        memset(p + 16, 0, 32);
        for (int i = 0; i < 256; i++)
            p[16 + i % 32] |= (uint8_t)((b->u[i] >> 4 & 1) << i / 32);
        join_halves(b->u, p + 48);
        break;
    case KERN_TYPE_Q6_K:
        join_q6(b->u, p, p + 128);
        memcpy(p + 192, b->scale, 16);
        put16(p + 208, b->d);
        break;
    case KERN_TYPE_IQ4_XS: {
        unsigned high = 0;
        memset(p + 4, 0, 4);
        put16(p, b->d);
        for (int j = 0; j < 8; j++) {
            int s = b->scale[j] + 32;
            p[4 + j / 2] |= (uint8_t)((s & 15) << j % 2 * 4);
            high |= (unsigned)(s >> 4) << 2 * j;
            join_nibbles(b->u + 32 * j, p + 8 + 16 * j);
        }
        put16(p + 2, (uint16_t)high);
        break;
    }
    default: assert(!"a type that kern_type_info knows");
    }
}

// One block as f32, by the operations that define the type.
static void dequant_block(const struct kern_type_info *info, int type, const struct kern_block *b,
                          float *out)
{
    float d = type == KERN_TYPE_MXFP4 ? e8m0_to_f32((uint8_t)b->d) : f16_to_f32(b->d);
    float m = f16_to_f32(b->m);
    int sub = info->shape == KERN_SHAPE_K16 || info->shape == KERN_SHAPE_K16M ? 16 : 32;
    for (int i = 0; i < info->block; i++) {
        int j = i / sub, code = info->table ? info->table[b->u[i]] : b->u[i];
        float v = (float)(code - info->offset);
        switch (info->shape) {
        case KERN_SHAPE_Q32: out[i] = v * d; break;
        case KERN_SHAPE_Q32M: out[i] = v * d + m; break;
        case KERN_SHAPE_K32:
        case KERN_SHAPE_K16: out[i] = d * (float)b->scale[j] * v; break;
        default: out[i] = d * (float)b->scale[j] * v - m * (float)b->min[j];
        }
    }
}

void kern_dequant_row(int type, const void *row, float *out, int cols)
{
    const struct kern_type_info *info = kern_type_info(type);
    const uint8_t *p = row;
    struct kern_block b;
    assert(info && cols % info->block == 0);
    if (type == KERN_TYPE_F32) {
        memcpy(out, row, (size_t)cols * 4);
        return;
    }
    if (info->shape == KERN_SHAPE_F) {
        for (int i = 0; i < cols; i++, p += 2)
            out[i] = type == KERN_TYPE_F16 ? f16_to_f32(get16(p)) : bf16_to_f32(get16(p));
        return;
    }
    for (int i = 0; i < cols; i += info->block, p += info->bytes) {
        kern_block_split(type, p, &b);
        dequant_block(info, type, &b, out + i);
    }
}
