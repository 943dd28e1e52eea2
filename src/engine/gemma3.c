/* engine/gemma3.c - what only Gemma 3 has: scaled embeddings, local layers with a rope of their
 * own, and its scale of queries. */
#include "engine/engine_int.h"

#include <math.h>

/* Which layers are local: a period (the last layer of each is global), or one flag a layer. */
static bool read_pattern(struct engine_hparams *h, const struct gguf *g, struct err *e)
{
    static const char *const key = "gemma3.attention.sliding_window_pattern";
    struct gguf_array flags;
    int period = 6;
    if (gguf_array(g, key, &flags)) {
        if (flags.n != (size_t)h->n_layer || flags.kind == GGUF_STR)
            return err_set_at(e, ERR_INPUT, key, "expected one flag for each of the %d layers",
                              h->n_layer);
        for (int i = 0; i < h->n_layer; i++)
            h->local[i] = gguf_array_i64(&flags, (size_t)i) != 0;
        return true;
    }
    if (!engine_key_int(g, "gemma3", "attention.sliding_window_pattern", 0, ENGINE_MAX_LAYERS,
                        &period, e))
        return false;
    for (int i = 0; i < h->n_layer; i++)
        h->local[i] = period == 0 || i % period < period - 1;
    return true;
}

bool engine_gemma3_read(struct engine_hparams *h, const struct gguf *g, struct err *e)
{
    h->embd_scale = sqrtf((float)h->n_embd);
    // The 27B model (62 layers) scales by the width a head would have if heads filled n_embd.
    h->q_scale = 1.0f / sqrtf((float)(h->n_layer == 62 ? h->n_embd / h->n_head : h->head_dim));

    h->rope[1] = (struct engine_rope){.base = 10000.0f, .scale = 1.0f, .magnitude = 1.0f};
    if (!engine_key_int(g, "gemma3", "attention.sliding_window", 0, INT32_MAX, &h->window, e) ||
        !engine_key_float(g, "gemma3", "rope.freq_base_swa", 1, 1e12, &h->rope[1].base, e) ||
        !engine_key_float(g, "gemma3", "final_logit_softcapping", 0, 1e6, &h->final_softcap, e) ||
        !engine_key_float(g, "gemma3", "attn_logit_softcapping", 0, 1e6, &h->attn_softcap, e))
        return false;
    return h->window == 0 || read_pattern(h, g, e);
}
