/* gguf/mix.h - which type each tensor gets when a model is quantised as "Q4_K_M" and the like.
 *
 * A mix has a base type; matrices that suffer most from rounding get more bits.  The rules are
 * llama.cpp's, so that a file made here has the types that users expect under its name;
 * docs/quantize.md tells them.
 * Threads: pure functions.
 * Source:  ggml-org/llama.cpp: src/llama-quant.cpp (llama_tensor_get_type_impl). */
#ifndef GGUF_MIX_H
#define GGUF_MIX_H

#include "gguf/gguf.h"

/* What the rules look at. */
struct gguf_mix_model {
    str arch;
    int n_layer, n_expert;
    int n_gqa; // query heads a KV head
    bool tied; // no output.weight: the embedding is the output matrix too
    bool pure; // no rules: every matrix gets the base type
};

/* From a file's keys and tensors. */
struct gguf_mix_model gguf_mix_model_of(const struct gguf *g);

/* Index of the mix of this name ("Q4_K_M", any case; "Q4_K" means Q4_K_M), or -1. */
int gguf_mix_named(str name);

/* Name of mix i, or NULL past the last; its base type; the number for general.file_type. */
const char *gguf_mix_name(int mix);
int gguf_mix_base(int mix);
uint32_t gguf_mix_file_type(int mix);

/* Is this a matrix that may be rounded?  Norms, biases, routers, rope factors and the like are not.
 */
bool gguf_mix_rounds(str name, int n_dims);

/* The type for tensor `name` with rows of `cols` weights.  Where a row does not fill whole blocks a
 * type of smaller blocks is taken, F16 at last.  Of tensors that are not rounded: -1. */
int gguf_mix_type(int mix, const struct gguf_mix_model *m, str name, int n_dims, uint64_t cols);

#endif
