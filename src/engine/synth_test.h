/* engine/synth_test.h - models of random weights for the engine's tests. */
#ifndef ENGINE_SYNTH_TEST_H
#define ENGINE_SYNTH_TEST_H

#include "gguf/mix.h"
#include "gguf/synth.h"
#include "kern/kern.h"
#include "test.h"

static inline bool synth_quant(int type, const float *x, void *row, int cols)
{
    return kern_quant_row(type, x, row, cols);
}

/* The preset in the types of the mix; the caller closes it, then frees *bytes. */
static inline struct gguf *open_synth(struct buf *bytes, const char *preset, const char *mix)
{
    struct gguf_synth s;
    struct err e = {0};
    struct gguf *g;
    assert_true(gguf_synth_preset(preset, &s));
    s.mix = gguf_mix_named(str_c(mix));
    s.quant = synth_quant;
    buf_init(bytes, 1u << 28);
    struct gguf_writer *w = gguf_writer_to(bytes);
    assert_true(gguf_synth_write(w, &s, &e) && gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    assert_true(gguf_open_bytes(&g, buf_as_str(bytes), &e));
    return g;
}

#endif
