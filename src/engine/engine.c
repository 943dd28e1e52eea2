/* engine/engine.c - opens and closes a model; its KV memory. */
#include "engine/pass_int.h"

#include "base/mem.h"
#include "kern/cpu.h"

#include <assert.h>

#define READ_PARTS 8    // a thread's, of the weights, for balance
#define READ_AHEAD 2048 // bytes

struct engine_conf engine_conf_default(void)
{
    return (struct engine_conf){
        .n_threads = 1, .kv_tokens = 4096, .max_rows = 256, .max_logits = 64, .cpu_mask = ~0u};
}

bool engine_kv_kind_named(str name, enum engine_kv_kind *out, struct err *e)
{
    static const char *const names[] = {[ENGINE_KV_F16] = "f16", [ENGINE_KV_Q8] = "q8"};
    for (size_t i = 0; i < COUNT(names); i++)
        if (str_eqc(name, names[i])) {
            *out = (enum engine_kv_kind)i;
            return true;
        }
    return err_set(e, ERR_INPUT, "keys and values can be kept as f16 or q8, not '%.*s'",
                   STR_ARG(str_sub(name, 0, 64)));
}

bool engine_check(const struct gguf *g, struct err *e)
{
    struct engine_hparams *h = mem_calloc(1, sizeof *h);
    struct engine_weights w;
    struct engine_plan *p = NULL;
    bool ok = engine_hparams_read(h, g, 0, e) && engine_plan(&p, &w, h, g, e);
    if (ok)
        mem_free(w.layers);
    engine_plan_free(p);
    mem_free(h);
    return ok;
}

/* Reserves from the budget, if there is one, then from the system. */
static void *take(struct engine *en, enum budget_kind kind, size_t n, const char *what,
                  struct err *e)
{
    struct budget *b = en->conf.budget;
    if (b && !budget_take(b, kind, n, e)) {
        err_ctx(e, "%s", what);
        return NULL;
    }
    void *p = mem_try(n);
    if (!p) {
        if (b)
            budget_give(b, kind, n);
        err_set(e, ERR_LIMIT, "%s: the system has no %zu MiB left", what, n >> 20);
    }
    return p;
}

static void give(struct engine *en, enum budget_kind kind, void *p, size_t n)
{
    if (!p)
        return;
    mem_try_free(p, n);
    if (en->conf.budget)
        budget_give(en->conf.budget, kind, n);
}

static bool open_weights(struct engine *en, const struct gguf *g, struct err *e)
{
    struct engine_plan *p;
    if (!engine_plan(&p, &en->w, &en->h, g, e))
        return false;
    en->w.mem_bytes = engine_plan_bytes(p);
    en->w.mem = take(en, BUDGET_WEIGHTS, en->w.mem_bytes, "the model's weights", e);
    bool ok = en->w.mem != NULL;
    if (ok)
        engine_pack(p, &en->w, g, en->pool);
    engine_plan_free(p);
    return ok;
}

static bool open_kv(struct engine *en, struct err *e)
{
    struct engine_kv *kv = &en->kv;
    const struct engine_hparams *h = &en->h;
    kv->head_bytes = kern_kv_bytes(en->kv_kind, h->head_dim);
    kv->block_bytes = (size_t)h->n_layer * (size_t)h->n_kv * kv->head_bytes;
    kv->n_blocks = (en->conf.kv_tokens + ENGINE_BLOCK - 1) / ENGINE_BLOCK;
    size_t bytes;
    if (kv->n_blocks == 0 || kv->n_blocks > INT32_MAX ||
        __builtin_mul_overflow(kv->n_blocks, kv->block_bytes, &bytes))
        return err_set(e, ERR_LIMIT, "a KV memory of %zu tokens is out of range",
                       en->conf.kv_tokens);
    kv->mem = take(en, BUDGET_KV, bytes, "the KV memory", e);
    if (!kv->mem)
        return false;
    kv->refs = mem_calloc(kv->n_blocks, sizeof *kv->refs);
    kv->free = mem_calloc(kv->n_blocks, sizeof *kv->free);
    kv->n_free = kv->n_blocks;
    for (size_t i = 0; i < kv->n_blocks; i++)
        kv->free[i] = (int32_t)(kv->n_blocks - 1 - i); // block 0 is given first
    return true;
}

/* What the first steps write: their buffers, then the KV memory of one long conversation. */
static void warm(struct engine *en)
{
    size_t blocks = size_min(en->kv.n_blocks, ENGINE_WARM / ENGINE_BLOCK);
    en->warm.part[0].mem = en->pass->mem;
    en->warm.part[0].bytes = en->pass->bytes;
    en->warm.part[1].mem = en->kv.mem;
    en->warm.part[1].bytes = blocks * en->kv.block_bytes;
    engine_warm_start(&en->warm);
}

static void fill_info(struct engine *en)
{
    const struct engine_hparams *h = &en->h;
    en->info = (struct engine_info){
        .arch = h->family->arch,
        .n_vocab = h->n_vocab,
        .n_layer = h->n_layer,
        .n_embd = h->n_embd,
        .n_head = h->n_head,
        .n_kv_head = h->n_kv,
        .head_dim = h->head_dim,
        .n_ctx_train = h->n_ctx_train,
        .n_params = en->w.n_params,
        .weight_bytes = en->w.mem_bytes,
        .kv_bytes_per_token = en->kv.block_bytes / ENGINE_BLOCK,
        .kv_blocks = en->kv.n_blocks,
        .n_threads = en->conf.n_threads,
        .max_rows = en->conf.max_rows,
        .max_logits = en->conf.max_logits,
    };
}

bool engine_open(struct engine **out, const struct gguf *g, const struct engine_conf *conf,
                 struct err *e)
{
    assert(conf->n_threads >= 1 && conf->max_rows >= 1 && conf->max_logits >= 1);
    struct engine *en = mem_calloc(1, sizeof *en);
    en->conf = *conf;
    en->kv_kind = conf->kv_kind == ENGINE_KV_Q8 ? KERN_KV_Q8 : KERN_KV_F16;
    kern_init(&en->kern, cpu_detect() & conf->cpu_mask);
    if (!engine_hparams_read(&en->h, g, conf->n_ctx, e) ||
        !kern_pool_open(&en->pool, conf->n_threads, e) || !open_weights(en, g, e) ||
        !open_kv(en, e) || !engine_pass_open(en, e)) {
        engine_close(en);
        return false;
    }
    warm(en);
    fill_info(en);
    *out = en;
    return true;
}

void engine_close(struct engine *en)
{
    if (!en)
        return;
    engine_warm_end(&en->warm);
    engine_pass_close(en);
    kern_pool_close(en->pool);
    give(en, BUDGET_KV, en->kv.mem, en->kv.n_blocks * en->kv.block_bytes);
    give(en, BUDGET_WEIGHTS, en->w.mem, en->w.mem_bytes);
    mem_free(en->kv.refs);
    mem_free(en->kv.free);
    mem_free(en->w.layers);
    mem_free(en);
}

const struct engine_info *engine_info(const struct engine *en)
{
    return &en->info;
}

int32_t engine_kv_take(struct engine *en)
{
    struct engine_kv *kv = &en->kv;
    if (kv->n_free == 0)
        return -1;
    int32_t block = kv->free[--kv->n_free];
    assert(kv->refs[block] == 0);
    kv->refs[block] = 1;
    return block;
}

static void check_block(const struct engine_kv *kv, int32_t block)
{
    assert(block >= 0 && (size_t)block < kv->n_blocks && kv->refs[block] > 0);
}

void engine_kv_hold(struct engine *en, int32_t block)
{
    check_block(&en->kv, block);
    en->kv.refs[block]++;
}

void engine_kv_drop(struct engine *en, int32_t block)
{
    check_block(&en->kv, block);
    if (--en->kv.refs[block] == 0)
        en->kv.free[en->kv.n_free++] = block;
}

size_t engine_kv_free(const struct engine *en)
{
    return en->kv.n_free;
}

void engine_kv_copy(struct engine *en, int32_t to, int32_t from, int n)
{
    check_block(&en->kv, to);
    check_block(&en->kv, from);
    assert(en->kv.refs[to] == 1 && n >= 0 && n <= ENGINE_BLOCK);
    if (n == 0 || to == from)
        return;
    // Keys lie transposed in tiles, so the whole block goes; positions past n are never read
    // before they are written.
    memcpy(en->kv.mem + (size_t)to * en->kv.block_bytes,
           en->kv.mem + (size_t)from * en->kv.block_bytes, en->kv.block_bytes);
}

void engine_parallel(struct engine *en, void (*run)(void *arg, int i, int worker), void *arg, int n)
{
    struct kern_phase phase = {.run = run, .arg = arg, .n_chunks = n};
    if (n == 1)
        run(arg, 0, 0); // nobody needs to wake
    else if (!kern_pool_run(en->pool, &phase, 1, NULL))
        assert(!"nothing cancels it");
}

/* One part of the weights, as four streams: many machines read one alone more slowly. */
static void read_part(void *arg, int part, int worker)
{
    const struct engine *en = arg;
    const size_t line = 64, streams = 4;
    size_t n_parts = (size_t)en->conf.n_threads * READ_PARTS;
    size_t len = en->w.mem_bytes / n_parts / streams / line * line;
    const unsigned char *from = (const unsigned char *)en->w.mem + (size_t)part * streams * len;
    for (const unsigned char *at = from; at < from + len; at += line)
        for (size_t i = 0; i < streams; i++) {
            __builtin_prefetch(at + i * len + READ_AHEAD);
            (void)*(const volatile unsigned char *)(at + i * len);
        }
    (void)worker;
}

void engine_read_weights(struct engine *en)
{
    engine_parallel(en, read_part, en, en->conf.n_threads * READ_PARTS);
}

const struct kern *engine_kern(const struct engine *en)
{
    return &en->kern;
}
