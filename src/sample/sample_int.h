/* sample/sample_int.h - what the files of this room share. */
#ifndef SAMPLE_SAMPLE_INT_H
#define SAMPLE_SAMPLE_INT_H

#include "sample/sample.h"

#include "kern/kern.h"

#define SAMPLE_BLOCK 64

struct sample_cand {
    float z; // scaled by temperature
    int32_t id;
};

struct sample_scratch {
    struct kern kern;
    int cap;                    // vocabulary it was made for
    float *z;                   // [blocks][SAMPLE_BLOCK] working logits, -inf behind the end
    float *max;                 // [blocks]
    float *pick;                // [blocks] copy for selection
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

/* Logits with NaN as -inf into s->z, and -inf behind the end. */
void sample_copy(struct sample_scratch *s, const float *logits, int n);

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
