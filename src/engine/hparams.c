/* engine/hparams.c - hyperparameters from a GGUF's keys, each checked before it is believed.
 *
 * The meaning of a missing key is the reference's (ggml-org/llama.cpp: src/llama-model.cpp,
 * load_hparams): what a file leaves out, files in the wild rely on. */
#include "engine/engine_int.h"

#include <math.h>
#include <stdio.h>

static const char *full_key(char *out, size_t cap, const char *arch, const char *rest)
{
    snprintf(out, cap, "%s.%s", arch, rest);
    return out;
}

bool engine_key_int(const struct gguf *g, const char *arch, const char *rest, int min, int max,
                    int *out, struct err *e)
{
    char key[96];
    int64_t v;
    full_key(key, sizeof key, arch, rest);
    if (!gguf_has(g, key))
        return true;
    struct gguf_array a;
    if (gguf_array(g, key, &a)) {
        // One value a layer: fine as long as they agree.
        if (a.n == 0 || a.kind == GGUF_STR)
            return err_set_at(e, ERR_INPUT, key, "expected a number");
        v = gguf_array_i64(&a, 0);
        for (size_t i = 1; i < a.n; i++)
            if (gguf_array_i64(&a, i) != v)
                return err_set_at(e, ERR_INPUT, key,
                                  "differs between layers, which this model family cannot have");
    } else if (!gguf_i64(g, key, &v)) {
        return err_set_at(e, ERR_INPUT, key, "expected an integer");
    }
    if (v < min || v > max)
        return err_set_at(e, ERR_INPUT, key, "is %lld; must be from %d to %d", (long long)v, min,
                          max);
    *out = (int)v;
    return true;
}

bool engine_key_float(const struct gguf *g, const char *arch, const char *rest, double min,
                      double max, float *out, struct err *e)
{
    char key[96];
    float v;
    full_key(key, sizeof key, arch, rest);
    if (!gguf_has(g, key))
        return true;
    if (!gguf_f32(g, key, &v))
        return err_set_at(e, ERR_INPUT, key, "expected a number");
    if (!(v >= min && v <= max)) // also refuses NaN
        return err_set_at(e, ERR_INPUT, key, "is %g; must be from %g to %g", (double)v, min, max);
    *out = v;
    return true;
}

static bool must_have(const struct gguf *g, const char *arch, const char *rest, struct err *e)
{
    char key[96];
    if (gguf_has(g, full_key(key, sizeof key, arch, rest)))
        return true;
    return err_set_at(e, ERR_INPUT, key, "the file lacks this key");
}

/* Sizes: layers, widths, heads. */
static bool read_sizes(struct engine_hparams *h, const struct gguf *g, struct err *e)
{
    const char *arch = h->family->arch;
    const struct {
        const char *rest;
        int max;
        int *out;
    } required[] = {
        {"context_length", INT32_MAX / 2, &h->n_ctx_train},
        {"embedding_length", ENGINE_MAX_EMBD, &h->n_embd},
        {"block_count", ENGINE_MAX_LAYERS, &h->n_layer},
        {"feed_forward_length", ENGINE_MAX_FF, &h->n_ff},
        {"attention.head_count", ENGINE_MAX_HEADS, &h->n_head},
    };
    for (size_t i = 0; i < COUNT(required); i++)
        if (!must_have(g, arch, required[i].rest, e) ||
            !engine_key_int(g, arch, required[i].rest, 1, required[i].max, required[i].out, e))
            return false;

    h->n_kv = h->n_head;
    if (!engine_key_int(g, arch, "attention.head_count_kv", 1, h->n_head, &h->n_kv, e))
        return false;
    if (h->n_head % h->n_kv)
        return err_set(e, ERR_INPUT, "%d query heads cannot share %d key heads evenly", h->n_head,
                       h->n_kv);

    int value_dim = -1;
    h->head_dim = -1;
    if (!engine_key_int(g, arch, "attention.key_length", 1, ENGINE_MAX_HEAD_DIM, &h->head_dim, e) ||
        !engine_key_int(g, arch, "attention.value_length", 1, ENGINE_MAX_HEAD_DIM, &value_dim, e))
        return false;
    if (h->head_dim < 0) {
        if (h->n_embd % h->n_head)
            return err_set(e, ERR_INPUT, "an embedding of %d does not divide into %d heads",
                           h->n_embd, h->n_head);
        h->head_dim = h->n_embd / h->n_head;
    }
    if (value_dim >= 0 && value_dim != h->head_dim)
        return err_set(e, ERR_INPUT, "keys of %d and values of %d: they must be of one length",
                       h->head_dim, value_dim);
    if (h->head_dim % 8 || h->head_dim > ENGINE_MAX_HEAD_DIM)
        return err_set(e, ERR_INPUT,
                       "heads of %d are not supported: a multiple of 8 up to %d is needed",
                       h->head_dim, ENGINE_MAX_HEAD_DIM);

    h->n_rot = h->head_dim;
    if (!engine_key_int(g, arch, "rope.dimension_count", 2, h->head_dim, &h->n_rot, e))
        return false;
    if (h->n_rot % 2 || (h->n_rot != h->head_dim && !(h->family->flags & FAMILY_PART_ROT)))
        return err_set(e, ERR_INPUT, "%s.rope.dimension_count is %d; heads of %d need %d", arch,
                       h->n_rot, h->head_dim, h->head_dim);
    return true;
}

static bool read_rope(struct engine_hparams *h, const struct gguf *g, struct err *e)
{
    const char *arch = h->family->arch;
    struct engine_rope *r = &h->rope[0];
    float factor = 0;
    char key[96];
    str type = STR("linear");

    *r = (struct engine_rope){.base = 10000, .scale = 1, .magnitude = 1};
    r->ctx_orig = h->n_ctx_train;
    if (!engine_key_float(g, arch, "rope.freq_base", 1.001, 1e12, &r->base, e) ||
        !engine_key_float(g, arch, "rope.scale_linear", 0, 1e6, &factor, e) ||
        !engine_key_float(g, arch, "rope.scaling.factor", 0, 1e6, &factor, e) ||
        !engine_key_float(g, arch, "rope.scaling.attn_factor", 1e-6, 1e6, &r->magnitude, e) ||
        !engine_key_int(g, arch, "rope.scaling.original_context_length", 1, INT32_MAX / 2,
                        &r->ctx_orig, e))
        return false;
    if (factor != 0 && factor < 1e-6f)
        return err_set(e, ERR_INPUT, "the rope scaling factor %g is too small", (double)factor);
    r->scale = factor == 0 ? 1 : 1 / factor;

    full_key(key, sizeof key, arch, "rope.scaling.type");
    if (gguf_has(g, key) && !gguf_str(g, key, &type))
        return err_set_at(e, ERR_INPUT, key, "expected a string");
    if (str_eqc(type, "none"))
        r->scale = 1;
    else if (str_eqc(type, "yarn"))
        r->yarn = true;
    else if (str_eqc(type, "longrope"))
        h->longrope = true;
    else if (!str_eqc(type, "linear"))
        return err_set_at(e, ERR_INPUT, key, "rope scaling \"%.*s\" is not known",
                          (int)size_min(type.n, 64), type.p ? type.p : "");
    h->rope[1] = *r;
    return true;
}

/* The vocabulary's size is the number of embedding rows; the tokenizer must agree. */
static bool read_vocab(struct engine_hparams *h, const struct gguf *g, struct err *e)
{
    const struct gguf_tensor *t = gguf_find_tensor(g, STR("token_embd.weight"));
    struct gguf_array tokens;
    if (!t)
        return err_set_at(e, ERR_INPUT, "token_embd.weight", "the file lacks this tensor");
    if (t->n_dims > 2 || t->ne[1] < 1 || t->ne[1] > ENGINE_MAX_VOCAB)
        return err_set_at(e, ERR_INPUT, "token_embd.weight",
                          "its shape is no vocabulary of 1 to %d tokens", ENGINE_MAX_VOCAB);
    h->n_vocab = (int)t->ne[1];
    if (gguf_array(g, "tokenizer.ggml.tokens", &tokens) && tokens.n != (size_t)h->n_vocab)
        return err_set_at(e, ERR_INPUT, "token_embd.weight",
                          "has %d rows, but the tokenizer has %zu tokens", h->n_vocab, tokens.n);
    return true;
}

bool engine_hparams_read(struct engine_hparams *h, const struct gguf *g, int n_ctx, struct err *e)
{
    *h = (struct engine_hparams){.family = engine_family_of(g, e)};
    if (!h->family)
        return false;
    const char *arch = h->family->arch;
    int experts = 0;
    char key[96];
    bool causal = true;

    if (!engine_key_int(g, arch, "expert_count", 0, INT32_MAX, &experts, e))
        return false;
    if (experts > 0)
        return err_set(e, ERR_INPUT, "%s with %d experts: mixtures of experts cannot be run yet",
                       arch, experts);
    if (gguf_bool(g, full_key(key, sizeof key, arch, "attention.causal"), &causal) && !causal)
        return err_set_at(e, ERR_INPUT, key, "is false: this model embeds text, it cannot chat");

    if (!read_sizes(h, g, e) || !read_vocab(h, g, e) || !read_rope(h, g, e))
        return false;
    if (!must_have(g, arch, "attention.layer_norm_rms_epsilon", e) ||
        !engine_key_float(g, arch, "attention.layer_norm_rms_epsilon", 0, 1, &h->eps, e))
        return false;
    h->embd_scale = 1;
    h->q_scale = 1 / sqrtf((float)h->head_dim);
    h->n_ctx = n_ctx > 0 ? n_ctx : h->n_ctx_train;
    return !h->family->read || h->family->read(h, g, e);
}
