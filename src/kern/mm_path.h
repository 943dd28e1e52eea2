/* kern/mm_path.h - what mm_body.h calls for each type. */
#ifndef KERN_MM_PATH_H
#define KERN_MM_PATH_H

#include "kern/kern_int.h"

/* Where the codes and scales of a segment stand, packed, and who uses them. */
struct feed {
    const uint8_t *lines, *scales;
    const uint8_t *values; // of the table, or NULL
    int n;                 // tokens that use it
    bool first;            // those in hand are the first
};

struct path {
    /* The scales, and the codes where tiles do not unpack these themselves. */
    void (*unpack)(const struct feed *src, struct kern_seg *seg);
    /* n tokens, up to 4: acc [n][16] += products of the segment. */
    void (*tile)(const struct feed *src, struct kern_seg *seg, const uint8_t *x, size_t stride,
                 int n, float *acc);
};

#endif
