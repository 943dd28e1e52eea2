/* kern/pack.h - the R16 layouts: how weights stand in memory when the kernels read them.
 *
 * A panel is 16 rows.  It has two streams, lines and scales, both walked in ascending k.
 *
 * Lines of the integer types, for every 32 columns (8 groups g of 4): planes of 64-byte lines, byte
 * 4 r + j of a line belonging to row r and column 4 g + j.
 *     low plane, 8 bits   line g        the code of group g                              8 lines
 *                4 bits   line g % 4    group g in bits 4 (g / 4) ..                     4 lines
 *                2 bits   line g / 4    group g in bits 2 (g % 4) ..                     2 lines
 *     high plane, 2 bits  line g / 4    group g in bits 2 (g % 4) ..                     2 lines
 *                 1 bit   line 0        group g in bit g                                 1 line
 * The code of a weight is low | high << low_bits, then, for table types, table[code].  It is
 * unsigned and `offset` more than the number it stands for.
 *
 * Scales, each [16 rows]:
 *     Q8_0 Q4_0 Q5_0 IQ4_NL  per 32: f16 d
 *     Q4_1 Q5_1              per 32: f16 d, f16 m
 *     MXFP4                  per 32: u8 e, the scale being 2^(e - 128)
 *     Q4_K Q5_K              per 256: f16 d, f16 dmin, u8 scale [8 blocks][16],
 *                            u8 min [4 pairs of blocks][16][2]
 *     Q6_K Q3_K              per 256: f16 d, i8 scale [16 blocks][16]
 *     Q2_K                   per 256: f16 d, f16 dmin, u8 [8 pairs of blocks][16][2], the scale in
 *                            the low and the min in the high four bits
 *     IQ4_XS                 per 256: f16 d, i8 scale [8 blocks][16]
 *
 * Float types have lines only: F32 [k][16] f32; F16 [k][16] f16; BF16 [k / 2][16][2], the even
 * column first.  An odd number of columns gets one more, of zeros.
 *
 * Coded activations of one token:
 *     KERN_ACT_F32   f32 [cols]; zeros up to an even count
 *     KERN_ACT_Q32   struct kern_x32 [cols / 32]
 *     KERN_ACT_Q256  struct kern_x256 [cols / 256]
 *
 * The order of the floating-point operations, the same at every level, for one row and token:
 *     Q32     per 32: s = sum of u x - offset sum of x (integers); f = fma(z + s, dw, -(z * dw)),
 *             z being KERN_ZERO, which is s * dw unless z * dw is infinite;
 *             acc = fma(f, dx, acc); with mins also acc = fma(m / -16, -16 sum of x * dx, acc)
 *     Q256    per 256: f = d * sum over blocks of scale * s, the sum an exact integer; with mins
 *             f = fma(sum of min * sum of x, -dmin, f); then acc = fma(f, dx, acc)
 *     floats  per 256: f = 0; per k: f = fma(w, x, f); then acc = acc + f
 * all starting from acc = +0. */
#ifndef KERN_PACK_H
#define KERN_PACK_H

#include "kern/kern.h"

/* Tensor types; the numbers are those of GGUF files. */
enum kern_type {
    KERN_TYPE_F32 = 0,
    KERN_TYPE_F16 = 1,
    KERN_TYPE_Q4_0 = 2,
    KERN_TYPE_Q4_1 = 3,
    KERN_TYPE_Q5_0 = 6,
    KERN_TYPE_Q5_1 = 7,
    KERN_TYPE_Q8_0 = 8,
    KERN_TYPE_Q2_K = 10,
    KERN_TYPE_Q3_K = 11,
    KERN_TYPE_Q4_K = 12,
    KERN_TYPE_Q5_K = 13,
    KERN_TYPE_Q6_K = 14,
    KERN_TYPE_IQ4_NL = 20,
    KERN_TYPE_IQ4_XS = 23,
    KERN_TYPE_BF16 = 30,
    KERN_TYPE_MXFP4 = 39,
    KERN_TYPES = 40
};

/* What the inner loop of a type looks like. */
enum kern_shape {
    KERN_SHAPE_F,    // floats
    KERN_SHAPE_Q32,  // a scale per 32, symmetric
    KERN_SHAPE_Q32M, // a scale and a min per 32
    KERN_SHAPE_K32,  // 256 = 8 scaled blocks of 32, symmetric
    KERN_SHAPE_K32M, // and mins
    KERN_SHAPE_K16,  // 256 = 16 scaled blocks of 16, symmetric
    KERN_SHAPE_K16M  // and mins
};

struct kern_type_info {
    const char *name; // NULL: not a type that kern knows
    int block;        // weights of a GGUF block
    int bytes;        // its size
    enum kern_shape shape;
    int low_bits, high_bits; // of a packed code
    int offset;              // what a code (after the table) exceeds its number by
    int raise;               // added to codes as they are unpacked, so that the sums which
                             // activations carry (-8, -16, -32, -128 times) fit: Q3_K
    int scale_bytes;         // of a panel's scales per 32 (Q32 shapes) or 256 columns
    const uint8_t *table;    // [16] or NULL
};

/* NULL for a type that kern does not know. */
const struct kern_type_info *kern_type_info(int type);

/* A sum of integers that begins with these bits is a float without being converted: KERN_ZERO plus
 * the sum, if that is less than 2^22 either way.  Times a scale of 22 bits or fewer, less KERN_ZERO
 * times the scale, which a fused multiplication takes away before it rounds, it is the rounded
 * product of the sum and the scale. */
#define KERN_ZERO_BITS 0x4b400000
#define KERN_ZERO      12582912.0f // 3 * 2^22

/* 32 coded activations: the numbers are codes[i] * d. */
struct kern_x32 {
    int8_t codes[32];
    float d;
    int32_t m8, m16, m128; // KERN_ZERO_BITS - 8, 16, 128 times the sum of the codes
};

/* 256 coded activations: four lines of codes, then what kernels read of them most. */
struct kern_x256 {
    int8_t codes[256];
    float d;
    int16_t s32[8];  // the sums of each 32 codes
    int16_t s16[16]; // and of each 16
    int32_t unused[3];
    int16_t n32[32]; // -32 times the sum of each 8; kernels read two bytes more, so not at the end
    int32_t m32[16]; // and of each 16
    // -32 times the sums, in each 16, of columns 0 and 1, and of 2 and 3, of every four
    int16_t p32[16][2];
};

#endif
