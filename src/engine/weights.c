/* engine/weights.c - finds a model's tensors, checks their shapes, packs them.
 *
 * The tables below say where each tensor goes.  A tensor of the file that no row claims is an
 * error: it would mean that the model is not what the family's forward pass computes. */
#include "engine/engine_int.h"

#include "base/mem.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Lengths that shapes are made of. */
enum dim { DIM_EMBD, DIM_Q, DIM_KV, DIM_FF, DIM_HEAD, DIM_COUNT };

#define PARTS 3

/* Tensor "blk.N.name": its rows (elements, if a vector) are those of the parts, one below the
 * other.  Skipped when the first part's slot is filled already, so that fused forms stand before
 * single ones. */
struct spec {
    const char *name;
    struct {
        int slot;
        enum dim rows;
    } part[PARTS];
    int n_parts;
    enum dim cols;
    unsigned need; // family flags
    bool optional;
};

static const struct spec mats[] = {
    {"attn_qkv.weight", {{MAT_Q, DIM_Q}, {MAT_K, DIM_KV}, {MAT_V, DIM_KV}}, 3, DIM_EMBD, 0, true},
    {"attn_q.weight", {{MAT_Q, DIM_Q}}, 1, DIM_EMBD, 0, false},
    {"attn_k.weight", {{MAT_K, DIM_KV}}, 1, DIM_EMBD, 0, false},
    {"attn_v.weight", {{MAT_V, DIM_KV}}, 1, DIM_EMBD, 0, false},
    {"attn_output.weight", {{MAT_O, DIM_EMBD}}, 1, DIM_Q, 0, false},
    {"ffn_up.weight", {{MAT_GATE, DIM_FF}, {MAT_UP, DIM_FF}}, 2, DIM_EMBD, FAMILY_FUSED_UP, false},
    {"ffn_gate.weight", {{MAT_GATE, DIM_FF}}, 1, DIM_EMBD, 0, false},
    {"ffn_up.weight", {{MAT_UP, DIM_FF}}, 1, DIM_EMBD, 0, false},
    {"ffn_down.weight", {{MAT_DOWN, DIM_EMBD}}, 1, DIM_FF, 0, false},
};

static const struct spec vecs[] = {
    {"attn_norm.weight", {{VEC_ATTN_NORM, DIM_EMBD}}, 1, 0, 0, false},
    {"attn_q_norm.weight", {{VEC_Q_NORM, DIM_HEAD}}, 1, 0, FAMILY_QK_NORM, false},
    {"attn_k_norm.weight", {{VEC_K_NORM, DIM_HEAD}}, 1, 0, FAMILY_QK_NORM, false},
    {"post_attention_norm.weight", {{VEC_POST_ATTN, DIM_EMBD}}, 1, 0, FAMILY_POST_NORM, false},
    {"ffn_norm.weight", {{VEC_FFN_NORM, DIM_EMBD}}, 1, 0, 0, false},
    {"post_ffw_norm.weight", {{VEC_POST_FFN, DIM_EMBD}}, 1, 0, FAMILY_POST_NORM, false},
    {"attn_qkv.bias",
     {{VEC_Q_BIAS, DIM_Q}, {VEC_K_BIAS, DIM_KV}, {VEC_V_BIAS, DIM_KV}},
     3,
     0,
     0,
     true},
    {"attn_q.bias", {{VEC_Q_BIAS, DIM_Q}}, 1, 0, 0, true},
    {"attn_k.bias", {{VEC_K_BIAS, DIM_KV}}, 1, 0, 0, true},
    {"attn_v.bias", {{VEC_V_BIAS, DIM_KV}}, 1, 0, 0, true},
    {"attn_output.bias", {{VEC_O_BIAS, DIM_EMBD}}, 1, 0, 0, true},
    {"ffn_gate.bias", {{VEC_GATE_BIAS, DIM_FF}}, 1, 0, 0, true},
    {"ffn_up.bias", {{VEC_UP_BIAS, DIM_FF}}, 1, 0, 0, true},
    {"ffn_down.bias", {{VEC_DOWN_BIAS, DIM_EMBD}}, 1, 0, 0, true},
};

/* Rows [from, from + rows) of a tensor become a packed matrix or a vector at byte `at`. */
struct job {
    const struct gguf_tensor *t;
    struct kern_mat *mat; // or NULL
    const float **vec;    // or NULL
    int from, rows, cols;
    size_t at;
};

struct engine_plan {
    struct job *jobs;
    size_t n_jobs, cap;
    const struct gguf_tensor **used;
    size_t n_used;
    size_t bytes;
    const struct gguf *g;
    const struct engine_hparams *h;
};

static int length_of(const struct engine_hparams *h, enum dim d)
{
    const int lengths[DIM_COUNT] = {
        [DIM_EMBD] = h->n_embd, [DIM_Q] = h->n_head * h->head_dim, [DIM_KV] = h->n_kv * h->head_dim,
        [DIM_FF] = h->n_ff,     [DIM_HEAD] = h->head_dim,
    };
    return lengths[d];
}

static bool wrong_shape(const struct gguf_tensor *t, const char *name, int rows, int cols,
                        struct err *e)
{
    bool vector = rows == 0;
    bool same = t->ne[0] == (uint64_t)cols && t->ne[1] == (uint64_t)(vector ? 1 : rows) &&
                t->ne[2] == 1 && t->ne[3] == 1;
    if (same)
        return false;
    char want[48];
    if (vector)
        snprintf(want, sizeof want, "%d", cols);
    else
        snprintf(want, sizeof want, "%d x %d", cols, rows);
    err_set_at(e, ERR_INPUT, name,
               "its shape is %llu x %llu x %llu x %llu where the model's keys ask for %s",
               (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
               (unsigned long long)t->ne[2], (unsigned long long)t->ne[3], want);
    return true;
}

static struct job *add_job(struct engine_plan *p, const struct gguf_tensor *t, int from, int rows,
                           int cols, size_t bytes)
{
    if (p->n_jobs == p->cap) {
        p->cap = p->cap * 2 + 64;
        p->jobs = mem_realloc(p->jobs, p->cap * sizeof *p->jobs);
    }
    struct job *j = &p->jobs[p->n_jobs++];
    *j = (struct job){.t = t, .from = from, .rows = rows, .cols = cols, .at = p->bytes};
    p->bytes += (bytes + 63) / 64 * 64;
    return j;
}

static void mark_used(struct engine_plan *p, const struct gguf_tensor *t)
{
    p->used[p->n_used++] = t;
}

static bool plan_mat(struct engine_plan *p, const struct gguf_tensor *t, const char *name, int from,
                     int rows, int cols, struct kern_mat *mat, struct err *e)
{
    if (!kern_supports(t->type, cols)) {
        const struct gguf_type_info *info = gguf_type_info(t->type);
        return err_set_at(e, ERR_INPUT, name,
                          "weights of type %s in rows of %d cannot be computed with",
                          info ? info->name : "?", cols);
    }
    size_t bytes = kern_pack_bytes(t->type, rows, cols);
    add_job(p, t, from, rows, cols, bytes)->mat = mat;
    return true;
}

static bool plan_vec(struct engine_plan *p, const struct gguf_tensor *t, const char *name, int from,
                     int n, const float **vec, struct err *e)
{
    if (t->type != GGUF_TYPE_F32 && t->type != GGUF_TYPE_F16 && t->type != GGUF_TYPE_BF16) {
        const struct gguf_type_info *info = gguf_type_info(t->type);
        return err_set_at(e, ERR_INPUT, name, "a vector of type %s; F32, F16 or BF16 is needed",
                          info ? info->name : "?");
    }
    add_job(p, t, from, 1, n, (size_t)n * sizeof(float))->vec = vec;
    return true;
}

static bool plan_spec(struct engine_plan *p, struct engine_layer *layer, int il,
                      const struct spec *s, bool matrix, unsigned *have, struct err *e)
{
    char name[64];
    if ((p->h->family->flags & s->need) != s->need || *have & 1u << s->part[0].slot)
        return true;
    snprintf(name, sizeof name, "blk.%d.%s", il, s->name);
    const struct gguf_tensor *t = gguf_find_tensor(p->g, str_c(name));
    if (!t) {
        if (s->optional)
            return true;
        return err_set_at(e, ERR_INPUT, name, "the file lacks this tensor");
    }
    int rows = 0;
    for (int i = 0; i < s->n_parts; i++)
        rows += length_of(p->h, s->part[i].rows);
    int cols = matrix ? length_of(p->h, s->cols) : rows;
    if (wrong_shape(t, name, matrix ? rows : 0, cols, e))
        return false;
    mark_used(p, t);
    for (int i = 0, from = 0; i < s->n_parts; i++) {
        int slot = s->part[i].slot, n = length_of(p->h, s->part[i].rows);
        *have |= 1u << slot;
        if (matrix ? !plan_mat(p, t, name, from, n, cols, &layer->mat[slot], e)
                   : !plan_vec(p, t, name, from, n, &layer->vec[slot], e))
            return false;
        from += n;
    }
    return true;
}

static bool plan_layers(struct engine_plan *p, struct engine_weights *w, struct err *e)
{
    for (int il = 0; il < p->h->n_layer; il++) {
        unsigned have_mats = 0, have_vecs = 0;
        for (size_t i = 0; i < COUNT(mats); i++)
            if (!plan_spec(p, &w->layers[il], il, &mats[i], true, &have_mats, e))
                return false;
        for (size_t i = 0; i < COUNT(vecs); i++)
            if (!plan_spec(p, &w->layers[il], il, &vecs[i], false, &have_vecs, e))
                return false;
    }
    return true;
}

/* Frequencies are divided by these. */
static bool check_divisors(const struct gguf_tensor *t, const char *name, int n, struct err *e)
{
    float v[ENGINE_MAX_HEAD_DIM / 2];
    assert(n <= (int)COUNT(v));
    kern_dequant_row(t->type, t->data, v, n);
    for (int i = 0; i < n; i++)
        if (!isfinite(v[i]) || v[i] == 0)
            return err_set_at(e, ERR_INPUT, name, "rope factor %d is %g", i, (double)v[i]);
    return true;
}

/* A vector outside the layers. */
static bool plan_global(struct engine_plan *p, const char *name, int n, const float **vec,
                        bool optional, bool divisors, struct err *e)
{
    const struct gguf_tensor *t = gguf_find_tensor(p->g, str_c(name));
    if (!t && optional)
        return true;
    if (!t)
        return err_set_at(e, ERR_INPUT, name, "the file lacks this tensor");
    if (wrong_shape(t, name, 0, n, e) || !plan_vec(p, t, name, 0, n, vec, e))
        return false;
    mark_used(p, t);
    return !divisors || check_divisors(t, name, n, e);
}

static bool plan_globals(struct engine_plan *p, struct engine_weights *w, struct err *e)
{
    const struct engine_hparams *h = p->h;
    const struct gguf_tensor *embd = gguf_find_tensor(p->g, STR("token_embd.weight"));
    const struct gguf_tensor *head = gguf_find_tensor(p->g, STR("output.weight"));

    if (wrong_shape(embd, "token_embd.weight", h->n_vocab, h->n_embd, e))
        return false;
    mark_used(p, embd);
    w->embd = embd;
    if (!kern_supports(embd->type, h->n_embd)) {
        const struct gguf_type_info *info = gguf_type_info(embd->type);
        return err_set_at(e, ERR_INPUT, "token_embd.weight", "type %s cannot be read",
                          info ? info->name : "?");
    }
    if (head) {
        if (wrong_shape(head, "output.weight", h->n_vocab, h->n_embd, e))
            return false;
        mark_used(p, head);
    }
    if (!plan_mat(p, head ? head : embd, head ? "output.weight" : "token_embd.weight", 0,
                  h->n_vocab, h->n_embd, &w->head, e) ||
        !plan_global(p, "output_norm.weight", h->n_embd, &w->out_norm, false, false, e) ||
        !plan_global(p, "output.bias", h->n_vocab, &w->out_bias, true, false, e))
        return false;
    if (!(h->family->flags & FAMILY_FREQS))
        return true;
    int n = h->n_rot / 2;
    return plan_global(p, "rope_freqs.weight", n, &w->freqs, true, true, e) &&
           plan_global(p, "rope_factors_long.weight", n, &w->freqs_long, true, true, e) &&
           plan_global(p, "rope_factors_short.weight", n, &w->freqs_short, true, true, e);
}

static int by_address(const void *a, const void *b)
{
    const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
    const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;
    return x < y ? -1 : x > y;
}

/* Every tensor must have been claimed. */
static bool none_left(struct engine_plan *p, struct engine_weights *w, struct err *e)
{
    qsort(p->used, p->n_used, sizeof *p->used, by_address);
    for (size_t i = 0; i < gguf_n_tensors(p->g); i++) {
        const struct gguf_tensor *t = gguf_tensor(p->g, i);
        if (!bsearch(&t, p->used, p->n_used, sizeof *p->used, by_address)) {
            char name[65];
            snprintf(name, sizeof name, "%.*s", (int)size_min(t->name.n, 64), t->name.p);
            return err_set_at(e, ERR_INPUT, name,
                              "this tensor has no place in the %s family as it is known here",
                              p->h->family->arch);
        }
        w->n_params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    return true;
}

bool engine_plan(struct engine_plan **out, struct engine_weights *w, const struct engine_hparams *h,
                 const struct gguf *g, struct err *e)
{
    struct engine_plan *p = mem_calloc(1, sizeof *p);
    *w = (struct engine_weights){0};
    p->g = g;
    p->h = h;
    // Layers count for nothing until the file has shown tensors for them.
    if ((size_t)h->n_layer > gguf_n_tensors(g)) {
        err_set(e, ERR_INPUT, "%d layers, but the file has only %zu tensors", h->n_layer,
                gguf_n_tensors(g));
        goto fail;
    }
    w->layers = mem_calloc((size_t)h->n_layer, sizeof *w->layers);
    p->used = mem_calloc((size_t)h->n_layer * (COUNT(mats) + COUNT(vecs)) + 8, sizeof *p->used);
    if (!plan_globals(p, w, e) || !plan_layers(p, w, e) || !none_left(p, w, e))
        goto fail;
    *out = p;
    return true;
fail:
    mem_free(w->layers);
    w->layers = NULL;
    engine_plan_free(p);
    return false;
}

size_t engine_plan_bytes(const struct engine_plan *p)
{
    return p->bytes;
}

void engine_plan_free(struct engine_plan *p)
{
    if (!p)
        return;
    mem_free(p->jobs);
    mem_free(p->used);
    mem_free(p);
}

#define PACK_PANELS 16 // of a chunk

struct pack_args {
    const struct job *job;
    const unsigned char *src;
};

static void pack_chunk(void *arg, int chunk, int worker)
{
    const struct pack_args *a = arg;
    int from = chunk * PACK_PANELS;
    (void)worker;
    kern_pack(a->job->mat, a->src, from, int_min(from + PACK_PANELS, a->job->mat->n_panels));
}

void engine_pack(struct engine_plan *p, struct engine_weights *w, const struct gguf *g,
                 struct kern_pool *pool)
{
    for (size_t i = 0; i < p->n_jobs; i++) {
        struct job *j = &p->jobs[i];
        const struct gguf_type_info *info = gguf_type_info(j->t->type);
        size_t row = (size_t)j->cols / (size_t)info->block * (size_t)info->bytes;
        void *to = (unsigned char *)w->mem + j->at;
        if (j->vec) {
            // A vector's part begins `from` elements in; its types have blocks of 1.
            const unsigned char *src = j->t->data;
            kern_dequant_row(j->t->type, src + (size_t)j->from * (size_t)info->bytes, to, j->cols);
            *j->vec = to;
            continue;
        }
        struct pack_args args = {j, (const unsigned char *)j->t->data + (size_t)j->from * row};
        kern_pack_layout(j->mat, j->t->type, j->rows, j->cols, to);
        struct kern_phase phase = {pack_chunk, &args,
                                   (j->mat->n_panels + PACK_PANELS - 1) / PACK_PANELS};
        kern_pool_run(pool, &phase, 1, NULL);
        bool last = i + 1 == p->n_jobs || p->jobs[i + 1].t != j->t;
        if (last && j->t != w->embd)
            gguf_drop_pages(g, j->t);
    }
}
