/* sample/sample_int.h - what the files of this room share. */
#ifndef SAMPLE_SAMPLE_INT_H
#define SAMPLE_SAMPLE_INT_H

#include "sample/sample.h"

#include "kern/kern.h"

_Static_assert(SAMPLE_BLOCK == KERN_LOGITS, "kern.h finds the maxima of blocks");

struct sample_cand {
    float z; // scaled by temperature
    int32_t id;
};

struct sample_scratch {
    struct kern kern;
    int cap;                    // vocabulary it was made for
    const float *logits;        // of the draw,
    const uint64_t *mask;       // what is left of them, or NULL,
    int n;                      // so many
    float *z;                   // [blocks][SAMPLE_BLOCK] working logits, see sample_block
    uint32_t *here;             // [blocks] == draw: the block is in z
    uint32_t draw;              // counts
    float *max;                 // [blocks] of the working logits
    float *pick;                // [blocks] room for selection
    struct sample_cand *c, *c2; // [cap] candidates, sorted descending; room to sort in
    int32_t *count;             // [cap] how often in the output; valid where mark says so
    uint32_t *mark;             // [cap] == epoch: count is valid
    uint32_t epoch;
    double *mass; // [BUCKETS] see bucket.c
};

static inline int sample_blocks(int n)
{
    return (n + SAMPLE_BLOCK - 1) / SAMPLE_BLOCK;
}

/* Begins to work on the input's logits, or on those that its mask leaves.  Returns the greatest. */
float sample_begin(struct sample_scratch *s, const struct sample_input *in);
/* Block b of the working logits, a NaN being -inf, and -inf behind the end; copied when first asked
 * for, as most are never looked at. */
const float *sample_block(struct sample_scratch *s, int b);

/* sort.c */
/* Descending by z, ties in the order they stand in. */
void sample_sort(struct sample_scratch *s, int n);
/* The k-th greatest of v[0 .. n), which is put in another order; 1 <= k <= n. */
float sample_kth(float *v, int n, int k);

/* bucket.c */
/* All that is needed to find a token by the mass before it. */
struct sample_mass {
    int n;       // vocabulary
    float top;   // greatest logit
    float scale; // 1 / temperature
    bool filled; // sample_at_mass has been asked before about the same
};
/* Sum over all of e^((z - top) * scale), in a fixed order. */
double sample_total(struct sample_scratch *s, const struct sample_mass *m);
/* The first token, by descending z and ascending id, with which the sum of masses is more than
 * goal (or_equal: at least); *sum is that sum.  -1 when rounding leaves it out of reach. */
int32_t sample_at_mass(struct sample_scratch *s, const struct sample_mass *m, double goal,
                       bool or_equal, double *sum);
#define SAMPLE_BUCKETS 8192

#endif
