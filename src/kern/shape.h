/* kern/shape.h - what each type of bytes is made of, as constants from which a level's matrix file
 * makes the functions of all types. */
#ifndef KERN_SHAPE_H
#define KERN_SHAPE_H

#include "kern/kern_int.h"

#define INLINE static inline __attribute__((always_inline))

/* What a type is made of; constants wherever these functions are expanded. */
struct shape {
    int low, high, table, raise; // of its codes
    int offset;                  // what codes exceed their numbers by, once raised
    int mins;
    int groups; // of 4 columns in a block: 8, or 4 for blocks of 16
    int narrow; // groups whose sum of products with activations fits 16 bits: 4, 2 or 0
    int e8m0;
};

INLINE int scale_bytes32(const struct shape sh)
{
    return sh.e8m0 ? 16 : sh.mins ? 64 : 32;
}

INLINE int scale_bytes256(const struct shape sh)
{
    return sh.mins ? 320 : sh.groups == 4 ? 288 : 160;
}

/* Every type: its name in functions and in enum kern_type, whether it has scales per 32 or per 256
 * columns, and its shape. */
#define KERN_BYTE_TYPES32(X)                                                                       \
    X(q8_0, Q8_0, 32, .low = 8, .offset = 128)                                                     \
    X(q4_0, Q4_0, 32, .low = 4, .offset = 8)                                                       \
    X(q4_1, Q4_1, 32, .low = 4, .mins = 1)                                                         \
    X(q5_0, Q5_0, 32, .low = 4, .high = 1, .offset = 16)                                           \
    X(q5_1, Q5_1, 32, .low = 4, .high = 1, .mins = 1)                                              \
    X(iq4_nl, IQ4_NL, 32, .low = 4, .table = 1, .offset = 128)                                     \
    X(mxfp4, MXFP4, 32, .low = 4, .table = 1, .offset = 16, .e8m0 = 1)
#define KERN_BYTE_TYPES256(X)                                                                      \
    X(q4_k, Q4_K, 256, .low = 4, .mins = 1, .groups = 8, .narrow = 4)                              \
    X(q5_k, Q5_K, 256, .low = 4, .high = 1, .mins = 1, .groups = 8)                                \
    X(q6_k, Q6_K, 256, .low = 4, .high = 2, .offset = 32, .groups = 4, .narrow = 2)                \
    X(q3_k, Q3_K, 256, .low = 2, .high = 1, .raise = 28, .offset = 32, .groups = 4, .narrow = 4)   \
    X(q2_k, Q2_K, 256, .low = 2, .mins = 1, .groups = 4, .narrow = 4)                              \
    X(iq4_xs, IQ4_XS, 256, .low = 4, .table = 1, .offset = 128, .groups = 8)
#define KERN_BYTE_TYPES(X) KERN_BYTE_TYPES32(X) KERN_BYTE_TYPES256(X)

#endif
