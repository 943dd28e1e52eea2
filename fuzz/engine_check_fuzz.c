/* fuzz/engine_check_fuzz.c - any bytes as a model file: what can be run is loaded and computes a
 * step, the rest is refused with a reason, by the check and by the loader alike. */
#include "engine/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile float sum; // keeps the reads

static void step(struct engine *en)
{
    int32_t block = engine_kv_take(en);
    struct engine_seq seq = {.blocks = &block, .n_blocks = 1};
    int last = engine_info(en)->n_vocab - 1;
    const struct engine_row rows[] = {{0, 0, &seq, false}, {last, 1, &seq, true}};
    const float *logits;
    struct err e = {0};

    if (block < 0 || !engine_step(en, rows, 2, &logits, NULL, &e))
        __builtin_trap();
    for (int i = 0; i <= last; i++)
        sum += logits[i];
    engine_kv_drop(en, block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct engine_conf conf = engine_conf_default();
    struct budget budget;
    struct engine *en = NULL;
    struct gguf *g = NULL;
    struct err e = {0};

    if (!gguf_open_bytes(&g, str_n((const char *)data, size), &e))
        return 0;
    budget_init(&budget, (size_t)64 << 20);
    conf.budget = &budget;
    conf.kv_tokens = ENGINE_BLOCK;
    conf.max_rows = 2;
    conf.max_logits = 1;
    conf.n_ctx = ENGINE_BLOCK;
    bool runs = engine_check(g, &e);
    if (!runs && (e.code != ERR_INPUT || !e.msg[0]))
        __builtin_trap();
    e = (struct err){0};
    if (engine_open(&en, g, &conf, &e)) {
        if (!runs)
            __builtin_trap();
        step(en);
        engine_close(en);
    } else if (!e.msg[0] || (runs && e.code != ERR_LIMIT)) {
        __builtin_trap();
    }
    gguf_close(g);
    return 0;
}
