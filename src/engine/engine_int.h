/* engine/engine_int.h - what the files of the engine share: hyperparameters, the table of families,
 * weights, the forward pass's buffers. */
#ifndef ENGINE_ENGINE_INT_H
#define ENGINE_ENGINE_INT_H

#include "engine/engine.h"
#include "kern/kern.h"
#include "kern/pool.h"

#include <pthread.h>
#include <stdatomic.h>

/* Limits on what a file may ask for; every known model is far below them. */
#define ENGINE_MAX_LAYERS   1024
#define ENGINE_MAX_EMBD     (1 << 17)
#define ENGINE_MAX_HEADS    1024
#define ENGINE_MAX_HEAD_DIM KERN_HEAD_MAX
#define ENGINE_MAX_FF       (1 << 20)
#define ENGINE_MAX_VOCAB    (1 << 22)

/* How positions become angles, for one kind of layer. */
struct engine_rope {
    float base;
    float scale; // of the position: 1 / factor
    bool yarn;
    int ctx_orig;    // the context before scaling, for yarn and longrope
    float magnitude; // of cos and sin, before yarn's own
};

struct engine_hparams {
    const struct engine_family *family;
    int n_vocab, n_layer, n_embd, n_head, n_kv, head_dim, n_ff, n_rot, n_ctx_train;
    float eps;
    float q_scale;       // queries are multiplied by this
    float embd_scale;    // embeddings are multiplied by this
    float attn_softcap;  // 0: none
    float final_softcap; // 0: none
    int window;          // local layers see this many positions; 0: no local layers
    int n_ctx;           // that a sequence may reach: chooses long or short rope factors
    bool longrope;
    struct engine_rope rope[2]; // [0] global layers, [1] local ones
    bool local[ENGINE_MAX_LAYERS];
};

/* What distinguishes a family; everything else is common. */
enum {
    FAMILY_NEOX = 1 << 0,      // rotates pairs (i, i + n_rot/2), else (2i, 2i+1)
    FAMILY_QK_NORM = 1 << 1,   // norms every query and key head
    FAMILY_POST_NORM = 1 << 2, // norms the results of attention and FFN before the residual
    FAMILY_GELU = 1 << 3,      // gates by gelu (tanh form), else by silu
    FAMILY_FUSED_UP = 1 << 4,  // ffn_up holds the gate's rows, then up's
    FAMILY_PART_ROT = 1 << 5,  // may rotate a part of each head only
    FAMILY_FREQS = 1 << 6      // may divide frequencies by a tensor's factors
};

struct engine_family {
    const char *arch; // general.architecture
    unsigned flags;
    /* Reads what only this family has; NULL if nothing. */
    bool (*read)(struct engine_hparams *h, const struct gguf *g, struct err *e);
};

/* The family of this file; NULL with ERR_INPUT naming the architecture. */
const struct engine_family *engine_family_of(const struct gguf *g, struct err *e);
bool engine_gemma3_read(struct engine_hparams *h, const struct gguf *g, struct err *e);

/* Reads and checks every hyperparameter.  n_ctx 0: the model's own. */
MUST_CHECK bool engine_hparams_read(struct engine_hparams *h, const struct gguf *g, int n_ctx,
                                    struct err *e);

/* Keys "ARCH.rest".  Absent keys leave *out alone; a value of the wrong kind or outside [min, max]
 * is an error. */
MUST_CHECK bool engine_key_int(const struct gguf *g, const char *arch, const char *rest, int min,
                               int max, int *out, struct err *e);
MUST_CHECK bool engine_key_float(const struct gguf *g, const char *arch, const char *rest,
                                 double min, double max, float *out, struct err *e);

/* Matrices and vectors of a layer, and of the whole. */
enum engine_mat { MAT_Q, MAT_K, MAT_V, MAT_O, MAT_GATE, MAT_UP, MAT_DOWN, MAT_COUNT };
enum engine_vec {
    VEC_ATTN_NORM,
    VEC_Q_NORM,
    VEC_K_NORM,
    VEC_POST_ATTN,
    VEC_FFN_NORM,
    VEC_POST_FFN,
    VEC_Q_BIAS,
    VEC_K_BIAS,
    VEC_V_BIAS,
    VEC_O_BIAS,
    VEC_GATE_BIAS,
    VEC_UP_BIAS,
    VEC_DOWN_BIAS,
    VEC_COUNT
};

struct engine_layer {
    struct kern_mat mat[MAT_COUNT];
    const float *vec[VEC_COUNT]; // NULL: not in this model
};

struct engine_weights {
    struct engine_layer *layers; // [n_layer]
    struct kern_mat head;        // [n_vocab][n_embd]
    const float *out_norm;       // [n_embd]
    const float *out_bias;       // [n_vocab] or NULL
    const float *freqs;          // [n_rot/2] divisors of the rope frequencies, or NULL
    const float *freqs_long, *freqs_short;
    const struct gguf_tensor *embd; // rows are read where they lie in the file
    uint64_t n_params;
    void *mem;
    size_t mem_bytes;
};

/* Where every tensor goes: made by engine_plan, carried out by engine_pack. */
struct engine_plan;

/* Finds every tensor, checks its shape and type, the rope factors, and that no tensor is left over;
 * no weights are read.  w->layers is allocated. */
MUST_CHECK bool engine_plan(struct engine_plan **out, struct engine_weights *w,
                            const struct engine_hparams *h, const struct gguf *g, struct err *e);
size_t engine_plan_bytes(const struct engine_plan *p); // of all weights in memory
/* Packs into w->mem with all threads and drops the source's pages. */
void engine_pack(struct engine_plan *p, struct engine_weights *w, const struct gguf *g,
                 struct kern_pool *pool);
void engine_plan_free(struct engine_plan *p);

/* Frequencies of one kind of layer: angle of pair i at position p = p * freq[i]; cos and sin are
 * multiplied by *magnitude.  divisors [n_rot/2] or NULL. */
void engine_rope_freqs(const struct engine_rope *r, int n_rot, const float *divisors, double *freq,
                       float *magnitude);
/* cos, sin [n_rot/2] of one position. */
void engine_rope_row(const double *freq, float magnitude, int n_rot, int pos, float *cos_out,
                     float *sin_out);

/* KV memory. */
struct engine_kv {
    unsigned char *mem;
    size_t n_blocks, block_bytes; // a block: [layer][kv head][head_bytes]
    size_t head_bytes;
    int32_t *refs; // [n_blocks]
    int32_t *free; // stack
    size_t n_free;
};

/* Tokens whose KV memory is asked for at load, those of one long conversation.  A page's first use
 * takes long, in a virtual machine up to 10 ms for those of a block, and would stand in the way of
 * the first answers. */
#define ENGINE_WARM 8192

/* Memory whose pages are to come before they are used, in this order. */
struct engine_warm {
    struct {
        unsigned char *mem;
        size_t bytes;
    } part[2];
    pthread_t thread;
    bool running;
    atomic_bool stop;
    atomic_uint steps; // begun and ended: odd while one runs
};

/* Lets a thread ask for them while no step runs and none has for some time; its end is waited for.
 */
void engine_warm_start(struct engine_warm *w);
void engine_warm_end(struct engine_warm *w);

static inline void *engine_kv_at(const struct engine_kv *kv, const struct engine_hparams *h,
                                 int32_t block, int layer, int head)
{
    return kv->mem + (size_t)block * kv->block_bytes +
           ((size_t)layer * (size_t)h->n_kv + (size_t)head) * kv->head_bytes;
}

struct engine {
    struct engine_hparams h;
    struct engine_conf conf;
    struct engine_info info;
    struct engine_weights w;
    struct engine_kv kv;
    struct engine_warm warm;
    enum kern_kv kv_kind;
    struct kern kern;
    struct kern_pool *pool;
    struct engine_pass *pass;
    size_t weights_taken, kv_taken; // of the budget
};

/* The forward pass's buffers and phases; sized once. */
MUST_CHECK bool engine_pass_open(struct engine *en, struct err *e);
void engine_pass_close(struct engine *en);

#endif
