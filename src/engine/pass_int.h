/* engine/pass_int.h - the forward pass's buffers and its list of phases.
 *
 * A step is one list of phases for the pool, laid out once at load; a step only sets how many
 * chunks each has.  A layer:
 *   norm and code the rows | Q, K, V rows | per head: bias, norm, rotation, KV store | attention |
 *   merge of spans | code | O rows + residual | norm and code | gate and up rows, gated | code |
 *   down rows + residual
 * With few rows the norm-and-code phases are empty: every thread does that for itself, which costs
 * less than waiting for one that does it for all.  While sequences only decode, the phase per head
 * is empty too: attention's items do that first. */
#ifndef ENGINE_PASS_INT_H
#define ENGINE_PASS_INT_H

#include "engine/engine_int.h"

#define PASS_FEW   4          // rows up to which threads code their inputs themselves
#define PASS_ACTS  3          // kinds of coded rows (enum kern_act)
#define PASS_READS (48 << 10) // bytes of a matrix that are fetched before its phase begins
#define PASS_AHEAD 4          // rows between one in use and one that is fetched
#define PASS_QROWS 32         // query rows of an attention item (or one row's group, if larger)

/* What feeds the matrices of a phase. */
enum pass_input { IN_ATTN_NORM, IN_ATT, IN_FFN_NORM, IN_GATED, IN_OUT_NORM };

struct pass_stage {
    struct engine *en;
    const struct engine_layer *layer;
    int il;
    enum pass_input in;
    unsigned acts; // bit per enum kern_act: codings that the matrices of `in` want
    int cols;      // width of the input
    bool out_only; // on rows that want logits only: nothing reads the others any more
    // of the step:
    int n;             // rows
    int groups, tiles; // chunks = groups of panels x tiles of rows
    int n_panels;      // all matrices of the stage,
    int together;      // so many of which no two chunks share
    int runs;          // of panels that a product advances in side by side; 0: in one
    int per_chunk;     // items, where chunks are runs of items
};

struct pass_worker {
    uint64_t coded;                // the phase whose input lies in act
    float *row;                    // [widest input] a normed row
    unsigned char *act[PASS_ACTS]; // [PASS_FEW] coded rows
    float *q;                      // [tile_q][head_dim]
    float *acc, *max, *sum;        // [max_spans][tile_q][head_dim], [max_spans][tile_q]
};

/* Rows of one sequence that attend together.  Index 0: in global layers, 1: in local ones. */
struct pass_tile {
    int row0, n;
    int seq0, n_seq;          // the tiles of its sequence: the first one, and how many
    int first[2], n_spans[2]; // spans that any of its rows sees
    int base[2];              // sum of n_spans of the tiles before
};

/* One span of one sequence's tile, or of several tiles whose first blocks of that span are the
 * same: a prefix that they share is read once for all. */
struct pass_unit {
    int span, shared; // blocks
    int first, n;     // members
};

struct engine_pass {
    void *mem;
    size_t bytes;
    bool taken; // from the budget
    // [max_rows] rows of ld floats each
    float *x;    // residual stream [n_embd]
    float *qkv;  // [n_head | n_kv | n_kv][head_dim]
    float *att;  // attention's result [n_head][head_dim]
    float *proj; // of O and down [n_embd]
    float *gate, *up;
    float *cos[2], *sin[2]; // [n_rot/2]
    int ld_embd, ld_qkv, ld_att, ld_ff, ld_rot;
    unsigned char *act[PASS_ACTS]; // coded rows, shared; NULL if never wanted
    float *logits;                 // [max_logits][n_vocab]
    float *block_max;              // [max_logits][logit_blocks]
    int logit_blocks;              // of KERN_LOGITS
    double *freq[2];               // [n_rot/2]
    float magnitude[2];
    struct pass_worker *workers;

    int tile_rows, tile_q; // rows of a tile; times query heads a KV head
    int max_spans;         // of a sequence
    struct pass_tile *tiles;
    int n_tiles;
    bool one_each;              // no sequence has two tiles
    bool split[2];              // spans are separate items: the units below
    struct pass_unit *units[2]; // [max_results]
    int n_units[2];
    int *members[2];                 // [max_results] tiles, unit by unit
    unsigned char *joined;           // [max_results] scratch
    int max_results;                 // capacity of the split results, over all KV heads
    float *sp_acc, *sp_max, *sp_sum; // [max_results][tile_q][head_dim], [..][tile_q]
    const struct engine_row *rows;   // of the step
    int n_rows, n_out;
    int *out_rows; // [max_rows]: rows that want logits
    int *head;     // [panels of the head]: those to be computed, ascending,
    int n_head;    // if so many; -1: all
    uint64_t step;

    struct pass_stage *stages; // one a phase
    struct kern_phase *phases;
    int n_phases;
};

/* One call of a kernel: n_runs runs of len panels. */
struct pass_product {
    struct kern_run run[KERN_RUNS];
    int n_runs, len;
};

#define PASS_PRODUCTS 6 // of a chunk: of three matrices the runs and what they leave over

/* What a chunk of a stage stands for. */
struct pass_part {
    int row, n; // rows
    int n_products, ld;
    struct pass_product products[PASS_PRODUCTS];
};

/* Asks for n floats of a row that is read, or written, soon: rows lie far apart, where the
 * processor does not look ahead by itself, and other cores have read what will be written. */
static inline void fetch_row(const float *row, int n)
{
    for (int i = 0; i < n; i += 16)
        __builtin_prefetch(row + i);
}

static inline void fetch_to_write(void *row, int n)
{
    for (int i = 0; i < n; i += 16)
#if defined(__x86_64__) // compilers ask to read, unless told that the processor can do better
        __asm__ volatile("prefetchw %0" : : "m"(((float *)row)[i]));
#else
        __builtin_prefetch((float *)row + i, 1);
#endif
}

/* The phases (forward.c, attention.c). */
void engine_run_embed(void *arg, int chunk, int worker);
void engine_run_code(void *arg, int chunk, int worker);
void engine_run_qkv(void *arg, int chunk, int worker);
void engine_run_heads(void *arg, int chunk, int worker);
void engine_run_attend(void *arg, int chunk, int worker);
void engine_run_merge(void *arg, int chunk, int worker);
void engine_run_o(void *arg, int chunk, int worker);
void engine_run_post_attn(void *arg, int chunk, int worker);
void engine_run_gate_up(void *arg, int chunk, int worker);
void engine_run_down(void *arg, int chunk, int worker);
void engine_run_post_ffn(void *arg, int chunk, int worker);
void engine_run_head(void *arg, int chunk, int worker);

/* What a chunk of a multiplication stands for, and its products.  act: the coded rows by kind. */
struct pass_part engine_part(const struct pass_stage *st, int chunk);
void engine_multiply(const struct pass_stage *st, const struct pass_part *c, int chunk, int worker,
                     unsigned char *const *act);

/* What a chunk of a multiplication reads first. */
void engine_reads(void *arg, int chunk, struct kern_reads *out);

/* Rows [from, to) and one KV head: their keys and values go to the cache, their groups of queries
 * become ready. */
void engine_ready_heads(const struct pass_stage *st, int from, int to, int kv);

/* Cuts the step's rows into attention tiles and decides whether spans are split. */
void engine_tile_rows(struct engine *en);
bool engine_attend_readies(const struct engine *en, bool local); // its items ready their heads
int engine_attend_items(const struct engine *en, bool local);
int engine_merge_items(const struct engine *en, bool local);

#endif
