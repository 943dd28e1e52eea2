/* gguf/synth.c - shapes, the list of a family's tensors, and their random contents. */
#include "gguf/synth.h"

#include "base/mem.h"
#include "base/rng.h"
#include "gguf/gguf_int.h"
#include "gguf/mix.h"
#include "gguf/synth_int.h"

#include <math.h>
#include <stdio.h>

/* Shapes as their makers published them; the tiny ones cover what the families differ in: grouped
 * heads, heads that do not add up to the embedding, biases, norms of q and k, local layers, and
 * each kind of rope scaling. */
static const struct gguf_synth presets[] = {
    {.name = "smollm2-135m",
     .arch = "llama",
     .n_layer = 30,
     .n_embd = 576,
     .n_head = 9,
     .n_kv_head = 3,
     .head_dim = 64,
     .n_ff = 1536,
     .n_vocab = 49152,
     .n_ctx = 8192,
     .rope_base = 100000,
     .eps = 1e-5f,
     .sigma = 0.02f},
    {.name = "qwen3-0.6b",
     .arch = "qwen3",
     .n_layer = 28,
     .n_embd = 1024,
     .n_head = 16,
     .n_kv_head = 8,
     .head_dim = 128,
     .n_ff = 3072,
     .n_vocab = 151936,
     .n_ctx = 40960,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .sigma = 0.02f},
    {.name = "llama-3.2-1b",
     .arch = "llama",
     .n_layer = 16,
     .n_embd = 2048,
     .n_head = 32,
     .n_kv_head = 8,
     .head_dim = 64,
     .n_ff = 8192,
     .n_vocab = 128256,
     .n_ctx = 131072,
     .rope_base = 500000,
     .eps = 1e-5f,
     .sigma = 0.02f,
     .rope = GGUF_SYNTH_FREQS,
     .rope_factor = 32,
     .rope_ctx = 8192},
    {.name = "qwen2.5-1.5b",
     .arch = "qwen2",
     .n_layer = 28,
     .n_embd = 1536,
     .n_head = 12,
     .n_kv_head = 2,
     .head_dim = 128,
     .n_ff = 8960,
     .n_vocab = 151936,
     .n_ctx = 32768,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .sigma = 0.02f},
    {.name = "gemma-3-1b",
     .arch = "gemma3",
     .n_layer = 26,
     .n_embd = 1152,
     .n_head = 4,
     .n_kv_head = 1,
     .head_dim = 256,
     .n_ff = 6912,
     .n_vocab = 262144,
     .n_ctx = 32768,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .sigma = 0.02f,
     .window = 512},
    {.name = "phi-3-mini",
     .arch = "phi3",
     .n_layer = 32,
     .n_embd = 3072,
     .n_head = 32,
     .n_kv_head = 32,
     .head_dim = 96,
     .n_ff = 8192,
     .n_vocab = 32064,
     .n_ctx = 4096,
     .untied = true,
     .rope_base = 10000,
     .eps = 1e-5f,
     .sigma = 0.02f},

    {.name = "nano-llama",
     .arch = "llama",
     .n_layer = 2,
     .n_embd = 64,
     .n_head = 4,
     .n_kv_head = 2,
     .head_dim = 16,
     .n_ff = 128,
     .n_vocab = 320,
     .n_ctx = 2048,
     .rope_base = 10000,
     .eps = 1e-5f,
     .varied = true},
    {.name = "tiny-llama",
     .arch = "llama",
     .n_layer = 3,
     .n_embd = 256,
     .n_head = 8,
     .n_kv_head = 2,
     .head_dim = 32,
     .n_ff = 768,
     .n_vocab = 512,
     .n_ctx = 4096,
     .untied = true,
     .rope_base = 10000,
     .eps = 1e-5f,
     .varied = true},
    {.name = "tiny-llama3",
     .arch = "llama",
     .n_layer = 3,
     .n_embd = 256,
     .n_head = 8,
     .n_kv_head = 4,
     .head_dim = 32,
     .n_ff = 512,
     .n_vocab = 512,
     .n_ctx = 4096,
     .rope_base = 500000,
     .eps = 1e-5f,
     .varied = true,
     .rope = GGUF_SYNTH_FREQS,
     .rope_factor = 8,
     .rope_ctx = 512},
    {.name = "tiny-linear",
     .arch = "llama",
     .n_layer = 2,
     .n_embd = 256,
     .n_head = 4,
     .n_kv_head = 4,
     .head_dim = 64,
     .n_ff = 512,
     .n_vocab = 512,
     .n_ctx = 4096,
     .rope_base = 10000,
     .eps = 1e-5f,
     .varied = true,
     .rope = GGUF_SYNTH_LINEAR,
     .rope_factor = 4,
     .rope_ctx = 1024},
    {.name = "tiny-qwen2",
     .arch = "qwen2",
     .n_layer = 3,
     .n_embd = 256,
     .n_head = 4,
     .n_kv_head = 2,
     .head_dim = 64,
     .n_ff = 768,
     .n_vocab = 512,
     .n_ctx = 4096,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .varied = true},
    {.name = "tiny-yarn",
     .arch = "qwen2",
     .n_layer = 2,
     .n_embd = 256,
     .n_head = 4,
     .n_kv_head = 2,
     .head_dim = 64,
     .n_ff = 512,
     .n_vocab = 512,
     .n_ctx = 4096,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .varied = true,
     .rope = GGUF_SYNTH_YARN,
     .rope_factor = 4,
     .rope_ctx = 1024},
    {.name = "tiny-qwen3",
     .arch = "qwen3",
     .n_layer = 3,
     .n_embd = 256,
     .n_head = 8,
     .n_kv_head = 2,
     .head_dim = 64,
     .n_ff = 768,
     .n_vocab = 512,
     .n_ctx = 4096,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .varied = true},
    {.name = "tiny-gemma3",
     .arch = "gemma3",
     .n_layer = 7,
     .n_embd = 256,
     .n_head = 2,
     .n_kv_head = 1,
     .head_dim = 64,
     .n_ff = 512,
     .n_vocab = 512,
     .n_ctx = 4096,
     .rope_base = 1000000,
     .eps = 1e-6f,
     .varied = true,
     .window = 48},
    {.name = "tiny-phi3",
     .arch = "phi3",
     .n_layer = 3,
     .n_embd = 256,
     .n_head = 8,
     .n_kv_head = 4,
     .head_dim = 32,
     .n_ff = 512,
     .n_vocab = 512,
     .n_ctx = 2048,
     .untied = true,
     .rope_base = 10000,
     .eps = 1e-5f,
     .varied = true},
    {.name = "tiny-phi3-long",
     .arch = "phi3",
     .n_layer = 2,
     .n_embd = 256,
     .n_head = 4,
     .n_kv_head = 4,
     .head_dim = 64,
     .n_ff = 512,
     .n_vocab = 512,
     .n_ctx = 4096,
     .untied = true,
     .rope_base = 10000,
     .eps = 1e-5f,
     .varied = true,
     .rope = GGUF_SYNTH_LONG,
     .rope_factor = 8,
     .rope_ctx = 512},
};

const char *gguf_synth_preset_name(size_t i)
{
    return i < COUNT(presets) ? presets[i].name : NULL;
}

bool gguf_synth_preset(const char *name, struct gguf_synth *out)
{
    for (size_t i = 0; i < COUNT(presets); i++) {
        if (str_eqc(str_c(name), presets[i].name)) {
            *out = presets[i];
            out->seed = 1;
            return true;
        }
    }
    return false;
}

/* Keys */

static const char *key_of(char out[128], const struct gguf_synth *s, const char *rest)
{
    snprintf(out, 128, "%s.%s", s->arch, rest);
    return out;
}

static void put_int(struct gguf_writer *w, const struct gguf_synth *s, const char *rest, int v)
{
    char key[128];
    gguf_put_u32(w, key_of(key, s, rest), (uint32_t)v);
}

static void put_float(struct gguf_writer *w, const struct gguf_synth *s, const char *rest, float v)
{
    char key[128];
    gguf_put_f32(w, key_of(key, s, rest), v);
}

static void put_rope_keys(struct gguf_writer *w, const struct gguf_synth *s)
{
    char key[128];
    put_int(w, s, "rope.dimension_count", s->head_dim);
    put_float(w, s, "rope.freq_base", s->rope_base);
    switch (s->rope) {
    case GGUF_SYNTH_LINEAR:
    case GGUF_SYNTH_YARN:
        gguf_put_str(w, key_of(key, s, "rope.scaling.type"),
                     s->rope == GGUF_SYNTH_YARN ? STR("yarn") : STR("linear"));
        put_float(w, s, "rope.scaling.factor", s->rope_factor);
        if (s->rope == GGUF_SYNTH_YARN)
            put_int(w, s, "rope.scaling.original_context_length", s->rope_ctx);
        break;
    case GGUF_SYNTH_LONG:
        put_int(w, s, "rope.scaling.original_context_length", s->rope_ctx);
        put_float(w, s, "rope.scaling.attn_factor",
                  (float)sqrt(1 + log((double)s->rope_factor) / log(s->rope_ctx)));
        break;
    default: break;
    }
}

static void put_keys(struct gguf_writer *w, const struct gguf_synth *s)
{
    char text[128];
    gguf_put_str(w, "general.architecture", str_c(s->arch));
    gguf_put_str(w, "general.type", STR("model"));
    // The name says no family: readers key tokenizer quirks on it ("phi-3").
    gguf_put_str(w, "general.name", STR("synthetic"));
    snprintf(text, sizeof text, "random weights, shaped like %s", s->name);
    gguf_put_str(w, "general.description", str_c(text));
    gguf_put_u32(w, "general.quantization_version", 2);
    gguf_put_u32(w, "general.file_type", gguf_mix_file_type(s->mix));
    put_int(w, s, "block_count", s->n_layer);
    put_int(w, s, "context_length", s->n_ctx);
    put_int(w, s, "embedding_length", s->n_embd);
    put_int(w, s, "feed_forward_length", s->n_ff);
    put_int(w, s, "attention.head_count", s->n_head);
    put_int(w, s, "attention.head_count_kv", s->n_kv_head);
    put_int(w, s, "attention.key_length", s->head_dim);
    put_int(w, s, "attention.value_length", s->head_dim);
    put_float(w, s, "attention.layer_norm_rms_epsilon", s->eps);
    put_int(w, s, "vocab_size", s->n_vocab);
    if (s->window)
        put_int(w, s, "attention.sliding_window", s->window);
    put_rope_keys(w, s);
    if (!s->vocab) {
        gguf_synth_put_vocab(w, s->n_vocab);
        return;
    }
    for (size_t i = 0; i < gguf_n_keys(s->vocab); i++) {
        if (str_starts(gguf_key(s->vocab, i), STR("tokenizer.")))
            gguf_put_key(w, s->vocab, i);
    }
}

/* Tensors */

enum fill { FILL_MATRIX, FILL_NORM, FILL_BIAS, FILL_FREQS, FILL_SHORT, FILL_LONG };

struct item {
    char name[64];
    enum fill fill;
    int type, n_dims;
    int cols, rows;
};

struct plan {
    const struct gguf_synth *s;
    struct item *items;
    size_t n, cap;
    struct gguf_mix_model model;
};

/* layer < 0: a tensor of the whole model.  rows 0: a vector. */
static void plan_add(struct plan *p, int layer, const char *name, enum fill fill, int cols,
                     int rows)
{
    if (p->n == p->cap) {
        p->cap = size_max(64, p->cap * 2);
        p->items = mem_realloc(p->items, p->cap * sizeof *p->items);
    }
    struct item *t = &p->items[p->n++];
    *t = (struct item){.fill = fill, .n_dims = rows ? 2 : 1, .cols = cols, .rows = rows ? rows : 1};
    if (layer < 0)
        snprintf(t->name, sizeof t->name, "%s", name);
    else
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, name);
    t->type = gguf_mix_type(p->s->mix, &p->model, str_c(t->name), t->n_dims, (uint64_t)cols);
    if (t->type < 0)
        t->type = GGUF_TYPE_F32;
}

static void plan_attention(struct plan *p, int i, bool is_qwen2, bool has_qk_norm)
{
    const struct gguf_synth *s = p->s;
    int q = s->n_head * s->head_dim, kv = s->n_kv_head * s->head_dim;

    plan_add(p, i, "attn_q.weight", FILL_MATRIX, s->n_embd, q);
    plan_add(p, i, "attn_k.weight", FILL_MATRIX, s->n_embd, kv);
    plan_add(p, i, "attn_v.weight", FILL_MATRIX, s->n_embd, kv);
    if (is_qwen2) {
        plan_add(p, i, "attn_q.bias", FILL_BIAS, q, 0);
        plan_add(p, i, "attn_k.bias", FILL_BIAS, kv, 0);
        plan_add(p, i, "attn_v.bias", FILL_BIAS, kv, 0);
    }
    if (has_qk_norm) {
        plan_add(p, i, "attn_q_norm.weight", FILL_NORM, s->head_dim, 0);
        plan_add(p, i, "attn_k_norm.weight", FILL_NORM, s->head_dim, 0);
    }
}

static void plan_layer(struct plan *p, int i)
{
    const struct gguf_synth *s = p->s;
    str arch = str_c(s->arch);
    bool gemma = str_eqc(arch, "gemma3"), phi = str_eqc(arch, "phi3");
    int q = s->n_head * s->head_dim, kv = s->n_kv_head * s->head_dim;

    plan_add(p, i, "attn_norm.weight", FILL_NORM, s->n_embd, 0);
    if (phi)
        plan_add(p, i, "attn_qkv.weight", FILL_MATRIX, s->n_embd, q + 2 * kv);
    else
        plan_attention(p, i, str_eqc(arch, "qwen2"), gemma || str_eqc(arch, "qwen3"));
    plan_add(p, i, "attn_output.weight", FILL_MATRIX, q, s->n_embd);
    if (gemma)
        plan_add(p, i, "post_attention_norm.weight", FILL_NORM, s->n_embd, 0);
    plan_add(p, i, "ffn_norm.weight", FILL_NORM, s->n_embd, 0);
    if (!phi)
        plan_add(p, i, "ffn_gate.weight", FILL_MATRIX, s->n_embd, s->n_ff);
    plan_add(p, i, "ffn_up.weight", FILL_MATRIX, s->n_embd, phi ? 2 * s->n_ff : s->n_ff);
    plan_add(p, i, "ffn_down.weight", FILL_MATRIX, s->n_ff, s->n_embd);
    if (gemma)
        plan_add(p, i, "post_ffw_norm.weight", FILL_NORM, s->n_embd, 0);
}

static void plan_model(struct plan *p)
{
    const struct gguf_synth *s = p->s;
    plan_add(p, -1, "token_embd.weight", FILL_MATRIX, s->n_embd, s->n_vocab);
    if (s->rope == GGUF_SYNTH_FREQS)
        plan_add(p, -1, "rope_freqs.weight", FILL_FREQS, s->head_dim / 2, 0);
    if (s->rope == GGUF_SYNTH_LONG) {
        plan_add(p, -1, "rope_factors_long.weight", FILL_LONG, s->head_dim / 2, 0);
        plan_add(p, -1, "rope_factors_short.weight", FILL_SHORT, s->head_dim / 2, 0);
    }
    for (int i = 0; i < s->n_layer; i++)
        plan_layer(p, i);
    plan_add(p, -1, "output_norm.weight", FILL_NORM, s->n_embd, 0);
    if (s->untied)
        plan_add(p, -1, "output.weight", FILL_MATRIX, s->n_embd, s->n_vocab);
}

/* Four 16-bit uniform numbers summed: mean 0, standard deviation 1, at most 3.46 away.  Integers up
 * to the last step, so that all machines agree. */
static float near_normal(uint64_t seed, uint64_t pos)
{
    uint64_t r = rng_at(seed, pos);
    int32_t sum = (int32_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48));
    return (float)(sum - 131070) * 2.642895e-5f; // 1 / sqrt(4 * (2^32 - 1) / 12)
}

/* Llama 3: slow rotations are divided by the factor, fast ones kept, those between blended.
 * Source: meta-llama/llama-models: models/llama3 (apply_scaling). */
static float llama3_factor(const struct gguf_synth *s, int i)
{
    static const double pi = 3.14159265358979323846, low = 1, high = 4;
    double freq = pow((double)s->rope_base, -2.0 * i / s->head_dim);
    double turns = s->rope_ctx * freq / (2 * pi), factor = (double)s->rope_factor;
    if (turns < low)
        return s->rope_factor;
    if (turns > high)
        return 1;
    double smooth = (turns - low) / (high - low);
    return (float)(1 / ((1 - smooth) / factor + smooth));
}

static void fill_row(const struct gguf_synth *s, const struct item *t, uint64_t pos, float *x)
{
    float sigma = s->sigma > 0 ? s->sigma : 1 / sqrtf((float)t->cols);
    for (int i = 0; i < t->cols; i++) {
        float n = near_normal(s->seed, pos + (uint64_t)i);
        switch (t->fill) {
        case FILL_MATRIX: x[i] = n * sigma; break;
        case FILL_BIAS: x[i] = n * (s->sigma > 0 ? s->sigma : 0.25f); break;
        case FILL_NORM: x[i] = s->varied ? 1 + 0.1f * n : 1; break;
        case FILL_FREQS: x[i] = llama3_factor(s, i); break;
        case FILL_SHORT: x[i] = 1 + 0.01f * (float)i; break;
        case FILL_LONG: x[i] = 1 + (s->rope_factor - 1) * (float)i / (float)t->cols; break;
        }
    }
}

static bool write_item(struct gguf_writer *w, const struct gguf_synth *s, const struct item *t,
                       size_t index, float *x, void *row, struct err *e)
{
    const struct gguf_type_info *info = gguf_type_info(t->type);
    size_t bytes = (size_t)(t->cols / info->block) * (size_t)info->bytes;
    for (int r = 0; r < t->rows; r++) {
        const void *out = x;
        fill_row(s, t, ((uint64_t)index << 40) + (uint64_t)r * (uint64_t)t->cols, x);
        if (t->type != GGUF_TYPE_F32) {
            if (!s->quant || !s->quant(t->type, x, row, t->cols))
                return err_set_at(e, ERR_INPUT, t->name, "the type %s cannot be written",
                                  info->name);
            out = row;
        }
        if (!gguf_put_data(w, out, bytes, e))
            return false;
    }
    return true;
}

static bool check(const struct gguf_synth *s, struct err *e)
{
    static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3", "phi3"};
    const int positive[] = {s->n_layer, s->n_embd,   s->n_head, s->n_kv_head,
                            s->n_ff,    s->head_dim, s->n_ctx};
    bool known = false;

    for (size_t i = 0; i < COUNT(archs); i++)
        known = known || str_eqc(str_c(s->arch), archs[i]);
    if (!known)
        return err_set(e, ERR_INPUT, "no random models of the architecture %s",
                       s->arch ? s->arch : "(none)");
    for (size_t i = 0; i < COUNT(positive); i++) {
        if (positive[i] < 1 || positive[i] > 1 << 20)
            return err_set(e, ERR_INPUT, "the shape holds a number that is not 1 to 2^20");
    }
    if (s->head_dim % 2 || s->head_dim > 1024 || s->n_head > 1024 || s->n_head % s->n_kv_head)
        return err_set(e, ERR_INPUT, "heads of %d, %d for queries, %d for keys: not possible",
                       s->head_dim, s->n_head, s->n_kv_head);
    if (s->n_vocab < GGUF_SYNTH_VOCAB_MIN || s->n_vocab > 1 << 20)
        return err_set(e, ERR_INPUT, "a vocabulary has %d to 2^20 tokens", GGUF_SYNTH_VOCAB_MIN);
    return true;
}

bool gguf_synth_write(struct gguf_writer *w, const struct gguf_synth *given, struct err *e)
{
    struct gguf_synth s = *given;
    struct gguf_array tokens;

    if (s.vocab) {
        if (!gguf_array(s.vocab, "tokenizer.ggml.tokens", &tokens) || tokens.n > 1 << 20)
            return err_set(e, ERR_INPUT, "the file given for the vocabulary holds none");
        s.n_vocab = (int)tokens.n;
    }
    if (!check(&s, e))
        return false;
    put_keys(w, &s);

    struct plan p = {.s = &s,
                     .model = {.arch = str_c(s.arch),
                               .n_layer = s.n_layer,
                               .n_gqa = s.n_head / s.n_kv_head,
                               .tied = !s.untied,
                               .pure = s.pure}};
    int longest = 0;
    plan_model(&p);
    for (size_t i = 0; i < p.n; i++) {
        const struct item *t = &p.items[i];
        uint64_t ne[2] = {(uint64_t)t->cols, (uint64_t)t->rows};
        gguf_put_tensor(w, str_c(t->name), t->type, t->n_dims, ne);
        longest = int_max(longest, t->cols);
    }
    float *x = mem_alloc((size_t)longest * sizeof *x);
    void *row = mem_alloc((size_t)longest * sizeof *x); // no type is wider than F32
    bool ok = gguf_put_data(w, NULL, 0, e);
    for (size_t i = 0; ok && i < p.n; i++) {
        ok = write_item(w, &s, &p.items[i], i, x, row, e);
        if (ok && s.progress)
            s.progress(s.progress_arg, (int)i + 1, (int)p.n, str_c(p.items[i].name));
    }
    mem_free(x);
    mem_free(row);
    mem_free(p.items);
    return ok;
}

bool gguf_synth_file(const char *path, const struct gguf_synth *s, struct err *e)
{
    struct gguf_writer *w = NULL;
    if (!gguf_writer_open(&w, path, e))
        return false;
    bool ok = gguf_synth_write(w, s, e) && gguf_writer_finish(w, e);
    gguf_writer_close(w);
    return ok;
}
