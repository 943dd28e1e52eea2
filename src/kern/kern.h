/* kern/kern.h - the arithmetic: packed weights, quantised activations, attention over KV blocks,
 * norms, rotations, gates; one table of functions per CPU level, chosen once at start.
 *
 * Promise: for each (weight row, token) every function performs the same sequence of operations
 * whatever the number of tokens, the split over threads and the chunking of a prompt, so results
 * are bit-equal across all of these, and across the CPU levels too (but for which NaN a NaN is).
 *
 * Weights are packed at load into panels of 16 rows ("R16"): a panel's quants are 64-byte lines,
 * line g holding weights [row 0..15][4g..4g+3]; scales stand in a second stream.  Rows past the end
 * of the last panel are zero.  The layout of each type is in kern/pack.h.
 *
 * Threads: the table is immutable after kern_init; functions touch only their arguments. */
#ifndef KERN_KERN_H
#define KERN_KERN_H

#include "base/err.h"

#define KERN_PANEL    16  // rows of a panel
#define KERN_KV_BLOCK 32  // tokens of a KV block
#define KERN_HEAD_MAX 512 // largest head dimension
#define KERN_SPAN     256 // tokens of an attention span; spans begin at multiples of this
#define KERN_LOGITS   64  // logits of a block

/* How activations are coded for a weight type.  Codes are -127..127, symmetric. */
enum kern_act {
    KERN_ACT_F32, // as they are: F32, F16, BF16 weights
    KERN_ACT_Q32, // one f32 scale per 32: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, IQ4_NL, MXFP4
    KERN_ACT_Q256 // one f32 scale per 256: Q2_K .. Q6_K, IQ4_XS
};

/* A packed matrix: y[r] = sum over c of w[r][c] * x[c].  Filled by kern_pack. */
struct kern_mat {
    int type; // of the GGUF tensor
    int rows, cols;
    int n_panels;      // (rows + 15) / 16
    enum kern_act act; // what its x must be
    const unsigned char *lines,
        *scales;                      // streams, 64-byte aligned; scales NULL if the type has none
    size_t panel_lines, panel_scales; // bytes a panel
};

/* Is there a kernel for this GGUF type with rows of `cols` weights? */
bool kern_supports(int type, int cols);

/* Bytes of the packed form (a multiple of 64), 0 if unsupported. */
size_t kern_pack_bytes(int type, int rows, int cols);

/* Describes the packed form laid at mem (kern_pack_bytes, 64-byte aligned) without filling it. */
void kern_pack_layout(struct kern_mat *m, int type, int rows, int cols, void *mem);

/* Packs panels [from, to) from GGUF rows at src ([rows] of the type's row size, any alignment). */
void kern_pack(const struct kern_mat *m, const void *src, int from, int to);

/* One row of a GGUF tensor as f32: embeddings, and the reference of every type. */
void kern_dequant_row(int type, const void *row, float *out, int cols);

/* Rounds one row into a GGUF type (the quantizer, test models).  cols is a multiple of the type's
 * block.  False if the type cannot be written. */
MUST_CHECK bool kern_quant_row(int type, const float *x, void *row, int cols);

/* Bytes of one coded activation row (a multiple of 64). */
size_t kern_act_bytes(enum kern_act act, int cols);

/* How keys and values are kept. */
enum kern_kv {
    KERN_KV_F16,
    KERN_KV_Q8, // bytes, each key and each value of a head with a scale of its own
    KERN_KV_KINDS
};

/* Query rows [row, row + n) of an attention span, and tokens [from, to) of it, multiples of
 * KERN_KV_BLOCK, that lie in the same blocks for all of them. */
struct kern_part {
    int row, n;
    int from, to;
    const void *const *blocks; // of the whole span; those of other tokens are not read
    const void *const *next;   // [n_next] blocks that are wanted after these, fetched meanwhile
    int n_next;
};

/* Panels of one matrix that follow each other, the first of them `from`, and row 0 of where the
 * matrix's results go. */
struct kern_run {
    const struct kern_mat *m;
    int from;
    float *y;
};
#define KERN_RUNS     4 // that are multiplied side by side, at most
#define KERN_RUN_ROWS 4 // coded rows that they are multiplied with, at most

struct kern {
    const char *name; // "scalar", "avx2" ...

    /* Codes one row.  x [cols] f32, out kern_act_bytes, 64-byte aligned. */
    void (*quantize)(enum kern_act act, const float *x, void *out, int cols);

    /* Panels [from, to) of m times n coded rows.
     *   x   [n] rows of kern_act_bytes(m->act, m->cols), x_stride bytes apart
     *   y   y[t * y_stride + r] f32 for r in [from*16, min(to*16, rows)); y_stride in floats
     * Cost: weights are read once for up to about 100 tokens; activations once a panel, so that
     * with more than a megabyte of them calls should cover a block of tokens and several panels. */
    void (*matmul)(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                   int n, float *y, size_t y_stride);

    /* Few rows wait for memory, and some processors read several streams faster than one.  runs[n],
     * if not 0: how many runs of panels n rows are best multiplied with side by side, by this.
     *   run  [n_runs] of len panels each: of one type and one number of columns; n_runs <= runs[n]
     *   next [n_next] the runs that this thread multiplies afterwards, as far as it is known;
     *        their beginnings are fetched
     * The rest, and what comes out, as in matmul. */
    int runs[KERN_RUN_ROWS + 1];
    void (*matmul_runs)(const struct kern_run *run, int n_runs, int len, const void *x,
                        size_t x_stride, int n, size_t y_stride, const struct kern_run *next,
                        int n_next);

    /* out[i] = x[i] * w[i] / sqrt(mean(x^2) + eps); 16 lanes summed in a fixed order.  out may be
     * x. */
    void (*rms_norm)(const float *x, const float *w, float *out, int n, float eps);

    /* Rotates pairs of one head by cos/sin tables [n_rot/2]: neox pairs (i, i + n_rot/2), else
     * (2i, 2i+1); elements past n_rot stay. */
    void (*rope)(float *head, const float *cos, const float *sin, int n_rot, bool neox);

    /* out[i] = silu(gate[i]) * up[i], or gelu_tanh(gate[i]) * up[i]; out may be gate. */
    void (*swiglu)(const float *gate, const float *up, float *out, int n);
    void (*geglu)(const float *gate, const float *up, float *out, int n);

    void (*add)(float *x, const float *y, int n); // x += y
    void (*scale)(float *x, float by, int n);     // x *= by

    /* Logits in blocks of KERN_LOGITS.  max[b]: the greatest of block b, a NaN counting as
     * -infinity.  exp64, of no NaN: e[i] = exp((x[i] - top) * scale) of one block; returns their
     * sum, in 16 lanes, summed as in rms_norm. */
    void (*block_max)(const float *x, int n_blocks, float *max);
    float (*exp64)(const float *x, float top, float scale, float *e);

    /* Stores the keys and values of n tokens, 1 .. 32 - slot, in slots [slot, slot + n) of a KV
     * block of one layer and one KV head (kern_kv_bytes(kind, d), 64-byte aligned).
     *   k, v  [n][d], rows `stride` floats apart
     *   F16  keys as two tiles [d][16 tokens], values [32 tokens][d]
     *   Q8   keys as two tiles [d/4][16 tokens][4] of codes + 128, values [32 tokens][d] of codes,
     *        f32 scales of the keys [32] and of the values [32]; codes -127..127 */
    void (*kv_store[KERN_KV_KINDS])(void *block, int slot, int n, const float *k, const float *v,
                                    size_t stride, int d);

    /* Attention of n_q query rows over one span of one KV head.
     *   q       [n_q][d] f32, already scaled
     *   parts   [n_parts] where the keys and values lie: every token that a row sees is in one part
     *           of that row; the parts of a row ascend
     *   lo, hi  [n_q] the visible tokens [lo, hi) of the span for each row, 0 <= lo, hi <= 256;
     *           lo >= hi: the row sees nothing here
     *   softcap 0: none; else s = softcap * tanh(s / softcap)
     *   acc [n_q][d], max [n_q], sum [n_q]: results of this span alone (max = -INFINITY and
     *           sum = 0, acc = 0 where nothing is seen)
     * Q8 blocks: the query row is coded too, scores are integer dots times both scales.
     * The result of a row does not depend on the other rows. */
    void (*attn_span[KERN_KV_KINDS])(const float *q, int n_q, int d, const struct kern_part *parts,
                                     int n_parts, const int *lo, const int *hi, float softcap,
                                     float *acc, float *max, float *sum);

    /* Merges span results in ascending order: out [d] = softmax-weighted sum over n_spans of
     * acc[s * acc_stride .. ], max[s * stat_stride], sum[s * stat_stride]. */
    void (*attn_merge)(const float *acc, size_t acc_stride, const float *max, const float *sum,
                       size_t stat_stride, int n_spans, int d, float *out);
};

/* Bytes of a KV block of one layer and one KV head with head dimension d (a multiple of 8, at most
 * KERN_HEAD_MAX). */
size_t kern_kv_bytes(enum kern_kv kind, int d);

/* And of one token's value in it, which are as many as of its key. */
size_t kern_kv_row(enum kern_kv kind, int d);

/* Fills k for these CPU features (kern/cpu.h: cpu_detect() & mask). */
void kern_init(struct kern *k, unsigned cpu);

#endif
