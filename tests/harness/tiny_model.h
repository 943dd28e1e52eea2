/* harness/tiny_model.h - the bytes of a tiny model of random weights, for tests and fuzz targets of
 * rooms that never see a file format themselves. */
#ifndef HARNESS_TINY_MODEL_H
#define HARNESS_TINY_MODEL_H

#include "gguf/synth.h"

/* Writes it to *file, which the caller frees when the model is closed. */
MUST_CHECK static inline bool tiny_model(struct buf *file)
{
    struct gguf_synth s;
    struct err e;
    buf_init(file, (size_t)64 << 20);
    if (!gguf_synth_preset("tiny-llama", &s))
        return false;
    struct gguf_writer *writer = gguf_writer_to(file);
    bool ok = gguf_synth_write(writer, &s, &e) && gguf_writer_finish(writer, &e);
    gguf_writer_close(writer);
    return ok;
}

#endif
