/* engine/forward.c - the phases of a step, but attention's: embedding, matrices, norms, gates. */
#include "engine/pass_int.h"

#include <math.h>

/* The row of x and att that row i of a stage stands for. */
static inline int row_of(const struct engine_pass *p, const struct pass_stage *st, int i)
{
    return st->out_only ? p->out_rows[i] : i;
}

void engine_run_embed(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine *en = st->en;
    struct engine_pass *p = en->pass;
    const struct engine_hparams *h = &en->h;
    const struct gguf_tensor *t = en->w.embd;
    (void)worker;

    size_t row_bytes = t->size / (size_t)h->n_vocab;
    float *x = p->x + (size_t)chunk * (size_t)p->ld_embd;
    kern_dequant_row(t->type,
                     (const unsigned char *)t->data + (size_t)p->rows[chunk].token * row_bytes, x,
                     h->n_embd);
    if (h->embd_scale != 1)
        en->kern.scale(x, h->embd_scale, h->n_embd);

    size_t at = (size_t)chunk * (size_t)p->ld_rot;
    for (int k = 0; k < (h->window ? 2 : 1); k++)
        engine_rope_row(p->freq[k], p->magnitude[k], h->n_rot, p->rows[chunk].pos, p->cos[k] + at,
                        p->sin[k] + at);
}

/* Row i of the stage's input. */
static const float *input_row(const struct pass_stage *st, int i)
{
    const struct engine_pass *p = st->en->pass;
    size_t r = (size_t)row_of(p, st, i);
    switch (st->in) {
    case IN_ATT: return p->att + r * (size_t)p->ld_att;
    case IN_GATED: return p->gate + (size_t)i * (size_t)p->ld_ff;
    default: return p->x + r * (size_t)p->ld_embd;
    }
}

/* Norms (or takes) row i of the stage's input and codes it in every form wanted, at slot of act. */
static void code_row(const struct pass_stage *st, int i, struct pass_worker *w,
                     unsigned char *const *act, int slot)
{
    const struct engine *en = st->en;
    const float *in = input_row(st, i);
    const float *norm = st->in == IN_ATTN_NORM  ? st->layer->vec[VEC_ATTN_NORM]
                        : st->in == IN_FFN_NORM ? st->layer->vec[VEC_FFN_NORM]
                        : st->in == IN_OUT_NORM ? en->w.out_norm
                                                : NULL;
    if (norm) {
        en->kern.rms_norm(in, norm, w->row, st->cols, en->h.eps);
        in = w->row;
    }
    for (int a = 0; a < PASS_ACTS; a++)
        if (st->acts & 1u << a)
            en->kern.quantize((enum kern_act)a, in,
                              act[a] + (size_t)slot * kern_act_bytes((enum kern_act)a, st->cols),
                              st->cols);
}

/* Asks for what coding row i will read and write. */
static void fetch_coding(const struct pass_stage *st, int i)
{
    struct engine_pass *p = st->en->pass;
    fetch_row(input_row(st, i), st->cols);
    for (int a = 0; a < PASS_ACTS; a++)
        if (st->acts & 1u << a) {
            size_t bytes = kern_act_bytes((enum kern_act)a, st->cols);
            fetch_to_write(p->act[a] + (size_t)i * bytes, (int)(bytes / sizeof(float)));
        }
}

void engine_run_code(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    struct engine_pass *p = st->en->pass;
    int to = int_min(st->n, (chunk + 1) * st->per_chunk);
    for (int i = chunk * st->per_chunk; i < to; i++) {
        fetch_coding(st, int_min(i + 1, st->n - 1));
        code_row(st, i, &p->workers[worker], p->act, i);
    }
}

/* Coded rows of the stage's input: shared, or this worker's own, made on first use. */
static unsigned char *const *coded(const struct pass_stage *st, int worker)
{
    struct engine_pass *p = st->en->pass;
    if (st->n > PASS_FEW)
        return p->act;
    struct pass_worker *w = &p->workers[worker];
    uint64_t mark = p->step * (uint64_t)p->n_phases + (uint64_t)(st - p->stages);
    if (w->coded != mark) {
        for (int i = 0; i < st->n; i++)
            code_row(st, i, w, w->act, i);
        w->coded = mark;
    }
    return w->act;
}

/* Columns of the results of the panels of one run. */
struct columns {
    int at, n;
};

static struct columns columns_of(const struct kern_run *run, int len)
{
    int at = run->from * KERN_PANEL;
    return (struct columns){at, int_min(len * KERN_PANEL, run->m->rows - at)};
}

void engine_run_qkv(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    struct pass_part c = engine_part(st, chunk);
    engine_multiply(st, &c, chunk, worker, coded(st, worker));
}

/* Bias, norm and rotation of one head. */
static void finish_head(const struct engine *en, const struct engine_layer *layer, float *head,
                        int index, enum engine_vec bias, enum engine_vec norm, const float *cos_row,
                        const float *sin_row)
{
    const struct engine_hparams *h = &en->h;
    if (layer->vec[bias])
        en->kern.add(head, layer->vec[bias] + (size_t)index * (size_t)h->head_dim, h->head_dim);
    if (layer->vec[norm])
        en->kern.rms_norm(head, layer->vec[norm], head, h->head_dim, h->eps);
    en->kern.rope(head, cos_row, sin_row, h->n_rot, (h->family->flags & FAMILY_NEOX) != 0);
}

static void ready_row(const struct pass_stage *st, int row, int kv)
{
    const struct engine *en = st->en;
    const struct engine_hparams *h = &en->h;
    const struct engine_pass *p = en->pass;
    const struct engine_layer *layer = st->layer;
    int d = h->head_dim, group = h->n_head / h->n_kv, k = h->local[st->il];
    float *qkv = p->qkv + (size_t)row * (size_t)p->ld_qkv;
    const float *cos_row = p->cos[k] + (size_t)row * (size_t)p->ld_rot;
    const float *sin_row = p->sin[k] + (size_t)row * (size_t)p->ld_rot;

    for (int i = kv * group; i < (kv + 1) * group; i++) {
        float *q = qkv + (size_t)i * (size_t)d;
        finish_head(en, layer, q, i, VEC_Q_BIAS, VEC_Q_NORM, cos_row, sin_row);
        en->kern.scale(q, h->q_scale, d);
    }
    float *key = qkv + (size_t)(h->n_head + kv) * (size_t)d;
    float *value = qkv + (size_t)(h->n_head + h->n_kv + kv) * (size_t)d;
    finish_head(en, layer, key, kv, VEC_K_BIAS, VEC_K_NORM, cos_row, sin_row);
    if (layer->vec[VEC_V_BIAS])
        en->kern.add(value, layer->vec[VEC_V_BIAS] + (size_t)kv * (size_t)d, d);
}

/* Keys and values of rows [from, to), which belong to one KV block. */
static void store_rows(const struct pass_stage *st, int from, int to, int kv)
{
    const struct engine *en = st->en;
    const struct engine_hparams *h = &en->h;
    const struct engine_pass *p = en->pass;
    const struct engine_row *row = &p->rows[from];
    const float *key =
        p->qkv + (size_t)from * (size_t)p->ld_qkv + (size_t)(h->n_head + kv) * (size_t)h->head_dim;
    int32_t block = row->seq->blocks[row->pos / ENGINE_BLOCK];
    en->kern.kv_store[en->kv_kind](
        engine_kv_at(&en->kv, h, block, st->il, kv), row->pos % ENGINE_BLOCK, to - from, key,
        key + (size_t)h->n_kv * (size_t)h->head_dim, (size_t)p->ld_qkv, h->head_dim);
}

/* The row after those from `row` on, up to `end`, that belong to one KV block. */
static int block_rows(const struct engine_pass *p, int row, int end)
{
    const struct engine_row *rows = p->rows;
    int left = ENGINE_BLOCK - rows[row].pos % ENGINE_BLOCK, n = 1;
    while (n < left && row + n < end && rows[row + n].seq == rows[row].seq)
        n++;
    return row + n;
}

/* Asks for where the key and the value of a row will be written, its share of a tile of keys: lines
 * that nobody has used yet, or not for long. */
static void fetch_place(const struct pass_stage *st, const struct engine_row *row, int kv)
{
    const struct engine *en = st->en;
    size_t share = kern_kv_row(en->kv_kind, en->h.head_dim);
    int32_t block = row->seq->blocks[row->pos / ENGINE_BLOCK];
    unsigned char *at = engine_kv_at(&en->kv, &en->h, block, st->il, kv);
    at += (size_t)(row->pos % ENGINE_BLOCK) * share;
    fetch_to_write(at, (int)(share / sizeof(float)));
    fetch_to_write(at + ENGINE_BLOCK * share, (int)(share / sizeof(float)));
}

void engine_ready_heads(const struct pass_stage *st, int from, int to, int kv)
{
    for (int row = from, end; row < to; row = end) {
        end = block_rows(st->en->pass, row, to);
        for (int i = row; i < end; i++) {
            fetch_place(st, &st->en->pass->rows[i], kv);
            ready_row(st, i, kv);
        }
        store_rows(st, row, end, kv);
    }
}

/* Items go head by head: the keys of sixteen tokens are written to the same lines. */
void engine_run_heads(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    (void)worker;
    int to = int_min(st->n * st->en->h.n_kv, (chunk + 1) * st->per_chunk);
    for (int i = chunk * st->per_chunk, end; i < to; i = end) {
        int kv = i / st->n;
        end = int_min(to, (kv + 1) * st->n);
        engine_ready_heads(st, i - kv * st->n, end - kv * st->n, kv);
    }
}

/* y += bias on the columns that a run of the part has made. */
static void add_bias(const struct pass_stage *st, const struct pass_part *c,
                     const struct kern_run *run, int len, const float *bias)
{
    const struct columns to = columns_of(run, len);
    if (!bias)
        return;
    for (int i = 0; i < c->n; i++)
        st->en->kern.add(run->y + (size_t)i * (size_t)c->ld + to.at, bias + to.at, to.n);
}

/* Columns of proj join the residual stream. */
static void add_residual(const struct pass_stage *st, const struct pass_part *c, struct columns to)
{
    const struct engine_pass *p = st->en->pass;
    for (int i = c->row; i < c->row + c->n; i++) {
        int next = int_min(i + PASS_AHEAD, c->row + c->n - 1);
        fetch_to_write(p->x + (size_t)row_of(p, st, next) * (size_t)p->ld_embd + to.at, to.n);
        fetch_row(p->proj + (size_t)next * (size_t)p->ld_embd + to.at, to.n);
        st->en->kern.add(p->x + (size_t)row_of(p, st, i) * (size_t)p->ld_embd + to.at,
                         p->proj + (size_t)i * (size_t)p->ld_embd + to.at, to.n);
    }
}

/* A matrix whose result joins the residual stream: at once, or by a post-norm phase. */
static void run_residual(const struct pass_stage *st, int chunk, int worker, enum engine_vec bias,
                         enum engine_vec post)
{
    struct pass_part c = engine_part(st, chunk);
    engine_multiply(st, &c, chunk, worker, coded(st, worker));
    for (int i = 0; i < c.n_products; i++)
        for (int r = 0; r < c.products[i].n_runs; r++) {
            const struct kern_run *run = &c.products[i].run[r];
            add_bias(st, &c, run, c.products[i].len, st->layer->vec[bias]);
            if (!st->layer->vec[post])
                add_residual(st, &c, columns_of(run, c.products[i].len));
        }
}

void engine_run_o(void *arg, int chunk, int worker)
{
    run_residual(arg, chunk, worker, VEC_O_BIAS, VEC_POST_ATTN);
}

void engine_run_down(void *arg, int chunk, int worker)
{
    run_residual(arg, chunk, worker, VEC_DOWN_BIAS, VEC_POST_FFN);
}

static void run_post(const struct pass_stage *st, int chunk, enum engine_vec norm)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int to = int_min(st->n, (chunk + 1) * st->per_chunk);
    for (int i = chunk * st->per_chunk; i < to; i++) {
        float *y = p->proj + (size_t)i * (size_t)p->ld_embd;
        en->kern.rms_norm(y, st->layer->vec[norm], y, en->h.n_embd, en->h.eps);
        en->kern.add(p->x + (size_t)row_of(p, st, i) * (size_t)p->ld_embd, y, en->h.n_embd);
    }
}

void engine_run_post_attn(void *arg, int chunk, int worker)
{
    (void)worker;
    run_post(arg, chunk, VEC_POST_ATTN);
}

void engine_run_post_ffn(void *arg, int chunk, int worker)
{
    (void)worker;
    run_post(arg, chunk, VEC_POST_FFN);
}

/* gate = activation of gate, times up. */
static void gate_rows(const struct pass_stage *st, const struct pass_part *c, struct columns to)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    bool gelu = (en->h.family->flags & FAMILY_GELU) != 0;
    for (int i = c->row; i < c->row + c->n; i++) {
        float *g = p->gate + (size_t)i * (size_t)p->ld_ff + to.at;
        size_t next = (size_t)int_min(i + PASS_AHEAD, c->row + c->n - 1) * (size_t)p->ld_ff;
        fetch_row(p->gate + next + to.at, to.n);
        fetch_row(p->up + next + to.at, to.n);
        (gelu ? en->kern.geglu : en->kern.swiglu)(g, p->up + (size_t)i * (size_t)p->ld_ff + to.at,
                                                  g, to.n);
    }
}

void engine_run_gate_up(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct kern_mat *gate = &st->layer->mat[MAT_GATE];
    struct pass_part c = engine_part(st, chunk);
    engine_multiply(st, &c, chunk, worker, coded(st, worker));
    for (int i = 0; i < c.n_products; i++)
        for (int r = 0; r < c.products[i].n_runs; r++) {
            const struct kern_run *run = &c.products[i].run[r];
            add_bias(st, &c, run, c.products[i].len,
                     st->layer->vec[run->m == gate ? VEC_GATE_BIAS : VEC_UP_BIAS]);
        }
    for (int i = 0; i < c.n_products; i++)
        for (int r = 0; r < c.products[i].n_runs; r++)
            if (c.products[i].run[r].m == gate)
                gate_rows(st, &c, columns_of(&c.products[i].run[r], c.products[i].len));
}

/* What becomes of logits before the sampler sees them, and the greatest of every block of them: the
 * run begins with a block. */
static void finish_logits(const struct pass_stage *st, const struct pass_part *c,
                          const struct kern_run *run, int len)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    const int n_vocab = en->h.n_vocab;
    const struct columns to = columns_of(run, len);
    const float cap = en->h.final_softcap;
    add_bias(st, c, run, len, en->w.out_bias);
    for (int i = c->row; i < c->row + c->n; i++) {
        float *z = p->logits + (size_t)i * (size_t)n_vocab + to.at;
        for (int j = 0; j < to.n && cap > 0; j++)
            z[j] = cap * tanhf(z[j] / cap);
        if (p->n_head >= 0)
            continue;
        int whole = to.n / KERN_LOGITS;
        float *max = p->block_max + (size_t)i * (size_t)p->logit_blocks + to.at / KERN_LOGITS;
        en->kern.block_max(z, whole, max);
        if (to.n % KERN_LOGITS == 0)
            continue;
        float last[KERN_LOGITS];
        for (int j = 0; j < KERN_LOGITS; j++)
            last[j] = KERN_LOGITS * whole + j < to.n ? z[KERN_LOGITS * whole + j] : -INFINITY;
        en->kern.block_max(last, 1, max + whole);
    }
}

void engine_run_head(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine_pass *p = st->en->pass;
    struct pass_part c = engine_part(st, chunk);
    if (p->n_head >= 0 && c.n_products > 0) { // chosen panels: runs of neighbours
        int at = c.products[0].run[0].from, end = at + c.products[0].len;
        for (int to; at < end; at = to) {
            for (to = at + 1; to < end && p->head[to] == p->head[to - 1] + 1;)
                to++;
            c.products[0].run[0].from = p->head[at];
            c.products[0].len = to - at;
            engine_multiply(st, &c, chunk, worker, coded(st, worker));
            finish_logits(st, &c, &c.products[0].run[0], to - at);
        }
        return;
    }
    engine_multiply(st, &c, chunk, worker, coded(st, worker));
    for (int i = 0; i < c.n_products; i++)
        for (int r = 0; r < c.products[i].n_runs; r++)
            finish_logits(st, &c, &c.products[i].run[r], c.products[i].len);
}
