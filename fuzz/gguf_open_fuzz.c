/* fuzz/gguf_open_fuzz.c - any bytes as a model file: opened and walked, or refused. */
#include "gguf/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile double sum; // keeps the reads

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct err e = {0};

    if (!gguf_open_bytes(&g, str_n((const char *)data, size), &e)) {
        if (e.code == ERR_NONE || !e.msg[0])
            __builtin_trap();
        return 0;
    }
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_value v = gguf_value(g, i);
        sum += (double)v.i + v.f + (double)gguf_key(g, i).n;
        for (size_t k = 0; v.kind == GGUF_ARRAY && k < v.array.n; k++)
            sum += v.array.strs
                       ? (double)v.array.strs[k].n + (v.array.strs[k].n ? v.array.strs[k].p[0] : 0)
                       : gguf_array_f64(&v.array, k) + (double)gguf_array_i64(&v.array, k);
    }
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor(g, i);
        if (gguf_find_tensor(g, t->name) != t)
            __builtin_trap();
        const unsigned char *p = t->data;
        sum += p[0] + p[t->size - 1];
    }
    uint32_t u;
    float f;
    (void)gguf_u32(g, "general.alignment", &u);
    (void)gguf_f32(g, "a", &f);
    gguf_close(g);
    return 0;
}
