/* engine/engine.h - a model's weights, its paged KV memory and the forward pass.
 *
 * In:      a GGUF; then steps: rows of (token, position, sequence).  Out: logits of chosen rows.
 * Threads: open and close from one thread; step and KV calls from the engine thread alone.
 *          Facts (engine_info) may be read by any thread.
 * The result of a row depends on its sequence's tokens alone: not on other rows of the step, on the
 * number of threads, or on how a prompt was cut into steps. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/budget.h"
#include "base/err.h"
#include "gguf/gguf.h"

#define ENGINE_BLOCK 32 // tokens a KV block

struct engine;

/* How keys and values are kept: half floats, or bytes with a scale for each key and value of a head
 * (half the memory, a little less exact). */
enum engine_kv_kind { ENGINE_KV_F16, ENGINE_KV_Q8 };

struct engine_conf {
    int n_threads;    // >= 1: this many work, the calling thread among them
    size_t kv_tokens; // capacity of the KV memory in tokens, all sequences together
    int max_rows;     // most rows in a step
    int max_logits;   // most rows of a step that want logits
    int n_ctx;        // most positions a sequence will reach; 0: the model's own context.
                      // Models with long and short rope factors choose by it
    enum engine_kv_kind kv_kind;
    unsigned cpu_mask;     // and-ed with what the CPU has (kern/cpu.h); 0: the scalar level
    struct budget *budget; // borrowed; NULL: not counted
};
struct engine_conf engine_conf_default(void);

/* "f16" or "q8"; ERR_INPUT otherwise. */
MUST_CHECK bool engine_kv_kind_named(str name, enum engine_kv_kind *out, struct err *e);

struct engine_info {
    const char *arch; // "llama" ...
    int n_vocab, n_layer, n_embd, n_head, n_kv_head, head_dim, n_ctx_train;
    uint64_t n_params;
    size_t weight_bytes; // as held in memory
    size_t kv_bytes_per_token;
    size_t kv_blocks;                    // total
    int n_threads, max_rows, max_logits; // of a step
};

/* Can this file be run?  ERR_INPUT with the reason if not (architecture, tensor type, shape). */
MUST_CHECK bool engine_check(const struct gguf *g, struct err *e);

/* Loads.  g may be closed afterwards only with engine_close (tensors may stay mapped).
 *   ERR_FORMAT, ERR_INPUT (as engine_check), ERR_LIMIT (budget or memory). */
MUST_CHECK bool engine_open(struct engine **out, const struct gguf *g,
                            const struct engine_conf *conf, struct err *e);
void engine_close(struct engine *en);
const struct engine_info *engine_info(const struct engine *en);

/* KV blocks: ENGINE_BLOCK positions of all layers each, counted references (a shared prefix is
 * held by several sequences).  A block is written only while one reference exists.
 * engine_kv_take gives a block with one reference, or -1 when none is free. */
int32_t engine_kv_take(struct engine *en);
void engine_kv_hold(struct engine *en, int32_t block);
void engine_kv_drop(struct engine *en, int32_t block);
size_t engine_kv_free(const struct engine *en); // blocks
/* Copies the first n tokens (<= ENGINE_BLOCK) of block `from` into `to`. */
void engine_kv_copy(struct engine *en, int32_t to, int32_t from, int n);

/* One sequence as the engine sees it: its block table. */
struct engine_seq {
    int32_t *blocks; // [n_blocks]; block i holds positions i*ENGINE_BLOCK ..
    int n_blocks;
};

struct engine_row {
    int32_t token; // 0 .. n_vocab-1
    int32_t pos;   // position in its sequence; its block must be in the table
    const struct engine_seq *seq;
    bool logits; // wanted for this row
    // NULL: of all ids.  Else [(n_vocab + 63) / 64], bit i % 64 of word i / 64 is id i: those of
    // ids without a bit may be left undefined.  Pays where few have one.
    const uint64_t *only;
};

/* Computes one step.
 *   rows    [n_rows], rows of one sequence adjacent, in ascending position without gaps
 *   logits  [number of rows that want them][n_vocab] f32, in row order; borrowed until the next
 *           step; written by the call
 *   cancel  may be NULL; read between phases: when it becomes true the step stops early and false
 *           is returned with ERR_CANCELED (KV of these rows is then undefined)
 * Never fails otherwise; wrong arguments are assertions. */
MUST_CHECK bool engine_step(struct engine *en, const struct engine_row *rows, int n_rows,
                            const float **logits, const _Atomic bool *cancel, struct err *e);

/* Of those logits the greatest of every 64, a NaN counting as -infinity: [rows that wanted
 * them][(n_vocab + 63) / 64]; NULL when all of them wanted `only` some.  Borrowed until the next
 * step. */
const float *engine_block_max(const struct engine *en);

/* The arithmetic it runs on, for what works on its logits; borrowed. */
struct kern;
const struct kern *engine_kern(const struct engine *en);

/* Runs run(arg, i, worker) for i in 0 .. n-1 on the engine's threads; worker is below
 * engine_conf.n_threads, and one worker does one at a time.  Between steps, engine thread alone. */
void engine_parallel(struct engine *en, void (*run)(void *arg, int i, int worker), void *arg,
                     int n);

/* Reads the weights on all threads and does nothing with them: what the memory allows a step of
 * one row.  Their bytes are engine_info's weight_bytes, but for a rest of a few KiB a thread.
 * Between steps, engine thread alone. */
void engine_read_weights(struct engine *en);

#endif
