/* gguf/synth.h - models of random weights: real shapes for measuring, tiny ones for tests.
 *
 * In:      a shape (most often a preset).  Out: a model file that confab and llama.cpp both load.
 * Weights are a pure function of the seed, equal on every machine: near-normal numbers (the sum of
 * four uniform ones) made of integers, never an all-zero block.
 * Threads: any; a writer belongs to one. */
#ifndef GGUF_SYNTH_H
#define GGUF_SYNTH_H

#include "gguf/writer.h"

enum gguf_synth_rope {
    GGUF_SYNTH_PLAIN,
    GGUF_SYNTH_FREQS,  // Llama 3: a tensor of factors
    GGUF_SYNTH_LINEAR, // positions divided by rope_factor
    GGUF_SYNTH_YARN,
    GGUF_SYNTH_LONG // Phi 3: a tensor of factors for short and one for long contexts
};

struct gguf_synth {
    const char *arch; // "llama", "qwen2", "qwen3", "gemma3", "phi3"
    const char *name;
    int n_layer, n_embd, n_head, n_kv_head, head_dim, n_ff, n_vocab, n_ctx;
    bool untied; // an output matrix of its own
    float rope_base, eps;
    enum gguf_synth_rope rope;
    float rope_factor; // of the scaling, if any
    int rope_ctx;      // context before scaling
    int window;        // gemma3: of the local layers (five of six)
    float sigma;       // of the weights; 0: 1 / sqrt(row length), so that every layer counts
    bool varied;       // norms are 1 + 0.1 n instead of 1

    uint64_t seed;
    int mix;                  // gguf/mix.h
    bool pure;                // all matrices of the mix's base type
    const struct gguf *vocab; // borrowed: its tokenizer is copied and n_vocab is its size; or NULL
    /* Rounds a row (kern_quant_row).  NULL: only F32 can be written. */
    bool (*quant)(int type, const float *x, void *row, int cols);
    /* Told after every tensor; NULL is fine. */
    void (*progress)(void *arg, int done, int all, str name);
    void *progress_arg;
};

/* The shape of this name ("qwen3-0.6b", "tiny-gemma3"), with seed 1, F32; false if there is none.
 */
MUST_CHECK bool gguf_synth_preset(const char *name, struct gguf_synth *out);

/* Name of preset i, or NULL past the last. */
const char *gguf_synth_preset_name(size_t i);

/* Writes the whole model; finish and close stay the caller's.
 *   ERR_INPUT (an impossible shape, a type without quant), or the writer's error. */
MUST_CHECK bool gguf_synth_write(struct gguf_writer *w, const struct gguf_synth *s, struct err *e);

/* The same as a file. */
MUST_CHECK bool gguf_synth_file(const char *path, const struct gguf_synth *s, struct err *e);

#endif
