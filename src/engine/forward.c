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
        for (int i = 0; i < h->n_embd; i++)
            x[i] *= h->embd_scale;

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

/* The part of a stage that a chunk stands for. */
struct part {
    int row, n;   // rows
    int from, to; // panels, counted over all matrices of the stage
};

static struct part part_of(const struct pass_stage *st, int chunk)
{
    int group = chunk / st->tiles, tile = chunk % st->tiles;
    int rows = (st->n + st->tiles - 1) / st->tiles;
    struct part c = {.row = int_min(st->n, tile * rows)};
    c.n = int_min(rows, st->n - c.row);
    long long units = (st->n_panels + st->together - 1) / st->together;
    c.from = (int)(units * group / st->groups) * st->together;
    c.to = int_min(st->n_panels, (int)(units * (group + 1) / st->groups) * st->together);
    return c;
}

/* The matrix that a chunk of a stage begins with; *from: its panel, counted from the matrix's. */
static const struct kern_mat *first_matrix(const struct pass_stage *st, int *from)
{
    switch (st->in) {
    case IN_ATTN_NORM: {
        int i = MAT_Q;
        for (; i < MAT_V && *from >= st->layer->mat[i].n_panels; i++)
            *from -= st->layer->mat[i].n_panels;
        return &st->layer->mat[i];
    }
    case IN_ATT: return &st->layer->mat[MAT_O];
    case IN_FFN_NORM: return &st->layer->mat[MAT_GATE];
    case IN_GATED: return &st->layer->mat[MAT_DOWN];
    default: return &st->en->w.head;
    }
}

void engine_reads(void *arg, int chunk, struct kern_reads *out)
{
    const struct pass_stage *st = arg;
    if (st->n > PASS_FEW || (st->in == IN_OUT_NORM && st->en->pass->n_head >= 0))
        return; // products of many rows do not wait for weights; chosen panels lie anywhere
    struct part c = part_of(st, chunk);
    int from = c.from;
    const struct kern_mat *m = first_matrix(st, &from);
    int n = int_max(1, (int)(PASS_READS / (m->panel_lines + m->panel_scales)));
    n = int_min(n, int_min(c.to - c.from, m->n_panels - from));
    if (m->scales)
        out->part[out->n++] = (struct kern_range){m->scales + (size_t)from * m->panel_scales,
                                                  (ptrdiff_t)((size_t)n * m->panel_scales)};
    out->part[out->n++] = (struct kern_range){m->lines + (size_t)from * m->panel_lines,
                                              (ptrdiff_t)((size_t)n * m->panel_lines)};
}

/* Panels [from, to) of m, for the part's rows, into y (row 0 of the stage, column 0 of m). */
static void multiply(const struct pass_stage *st, const struct kern_mat *m, const struct part *c,
                     int from, int to, unsigned char *const *act, float *y, int ld)
{
    size_t stride = kern_act_bytes(m->act, m->cols);
    st->en->kern.matmul(m, from, to, act[m->act] + (size_t)c->row * stride, stride, c->n,
                        y + (size_t)c->row * (size_t)ld, (size_t)ld);
}

void engine_run_qkv(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine *en = st->en;
    struct part c = part_of(st, chunk);
    unsigned char *const *act = coded(st, worker);
    int base = 0, column = 0;
    for (int i = MAT_Q; i <= MAT_V; i++) {
        const struct kern_mat *m = &st->layer->mat[i];
        int from = int_max(c.from - base, 0), to = int_min(c.to - base, m->n_panels);
        if (from < to)
            multiply(st, m, &c, from, to, act, en->pass->qkv + column, en->pass->ld_qkv);
        base += m->n_panels;
        column += m->rows;
    }
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

void engine_ready_head(const struct pass_stage *st, int r, int kv)
{
    const struct engine *en = st->en;
    const struct engine_hparams *h = &en->h;
    const struct engine_pass *p = en->pass;
    const struct engine_layer *layer = st->layer;
    int d = h->head_dim, group = h->n_head / h->n_kv, k = h->local[st->il];
    float *qkv = p->qkv + (size_t)r * (size_t)p->ld_qkv;
    const float *cos_row = p->cos[k] + (size_t)r * (size_t)p->ld_rot;
    const float *sin_row = p->sin[k] + (size_t)r * (size_t)p->ld_rot;

    for (int i = kv * group; i < (kv + 1) * group; i++) {
        float *q = qkv + (size_t)i * (size_t)d;
        finish_head(en, layer, q, i, VEC_Q_BIAS, VEC_Q_NORM, cos_row, sin_row);
        for (int j = 0; j < d; j++)
            q[j] *= h->q_scale;
    }
    float *key = qkv + (size_t)(h->n_head + kv) * (size_t)d;
    float *value = qkv + (size_t)(h->n_head + h->n_kv + kv) * (size_t)d;
    finish_head(en, layer, key, kv, VEC_K_BIAS, VEC_K_NORM, cos_row, sin_row);
    if (layer->vec[VEC_V_BIAS])
        en->kern.add(value, layer->vec[VEC_V_BIAS] + (size_t)kv * (size_t)d, d);

    const struct engine_row *row = &p->rows[r];
    int32_t block = row->seq->blocks[row->pos / ENGINE_BLOCK];
    en->kern.kv_store[en->kv_kind](engine_kv_at(&en->kv, h, block, st->il, kv),
                                   row->pos % ENGINE_BLOCK, key, value, d);
}

void engine_run_heads(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    int n_kv = st->en->h.n_kv;
    (void)worker;
    int to = int_min(st->n * n_kv, (chunk + 1) * st->per_chunk);
    for (int i = chunk * st->per_chunk; i < to; i++)
        engine_ready_head(st, i / n_kv, i % n_kv);
}

/* y += bias on the columns of the part. */
static void add_bias(const struct pass_stage *st, const struct part *c, const struct kern_mat *m,
                     const float *bias, float *y, int ld)
{
    int at = c->from * KERN_PANEL, n = int_min(c->to * KERN_PANEL, m->rows) - at;
    if (!bias)
        return;
    for (int i = c->row; i < c->row + c->n; i++)
        st->en->kern.add(y + (size_t)i * (size_t)ld + at, bias + at, n);
}

/* A matrix whose result joins the residual stream: at once, or by a post-norm phase. */
static void run_residual(const struct pass_stage *st, int chunk, int worker, enum engine_mat mat,
                         enum engine_vec bias, enum engine_vec post)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    const struct kern_mat *m = &st->layer->mat[mat];
    struct part c = part_of(st, chunk);

    multiply(st, m, &c, c.from, c.to, coded(st, worker), p->proj, p->ld_embd);
    add_bias(st, &c, m, st->layer->vec[bias], p->proj, p->ld_embd);
    if (st->layer->vec[post])
        return;
    int at = c.from * KERN_PANEL, n = int_min(c.to * KERN_PANEL, m->rows) - at;
    for (int i = c.row; i < c.row + c.n; i++) {
        int next = int_min(i + PASS_AHEAD, c.row + c.n - 1);
        fetch_to_write(p->x + (size_t)row_of(p, st, next) * (size_t)p->ld_embd + at, n);
        fetch_row(p->proj + (size_t)next * (size_t)p->ld_embd + at, n);
        en->kern.add(p->x + (size_t)row_of(p, st, i) * (size_t)p->ld_embd + at,
                     p->proj + (size_t)i * (size_t)p->ld_embd + at, n);
    }
}

void engine_run_o(void *arg, int chunk, int worker)
{
    run_residual(arg, chunk, worker, MAT_O, VEC_O_BIAS, VEC_POST_ATTN);
}

void engine_run_down(void *arg, int chunk, int worker)
{
    run_residual(arg, chunk, worker, MAT_DOWN, VEC_DOWN_BIAS, VEC_POST_FFN);
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

void engine_run_gate_up(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    const struct kern_mat *gate = &st->layer->mat[MAT_GATE], *up = &st->layer->mat[MAT_UP];
    struct part c = part_of(st, chunk);
    unsigned char *const *act = coded(st, worker);

    multiply(st, gate, &c, c.from, c.to, act, p->gate, p->ld_ff);
    multiply(st, up, &c, c.from, c.to, act, p->up, p->ld_ff);
    add_bias(st, &c, gate, st->layer->vec[VEC_GATE_BIAS], p->gate, p->ld_ff);
    add_bias(st, &c, up, st->layer->vec[VEC_UP_BIAS], p->up, p->ld_ff);

    int at = c.from * KERN_PANEL, n = int_min(c.to * KERN_PANEL, gate->rows) - at;
    bool gelu = (en->h.family->flags & FAMILY_GELU) != 0;
    for (int i = c.row; i < c.row + c.n; i++) {
        float *g = p->gate + (size_t)i * (size_t)p->ld_ff + at;
        size_t next = (size_t)int_min(i + PASS_AHEAD, c.row + c.n - 1) * (size_t)p->ld_ff;
        fetch_row(p->gate + next + at, n);
        fetch_row(p->up + next + at, n);
        (gelu ? en->kern.geglu : en->kern.swiglu)(g, p->up + (size_t)i * (size_t)p->ld_ff + at, g,
                                                  n);
    }
}

/* The logits of panels [c->from, c->to) of the head. */
static void head_part(const struct pass_stage *st, const struct part *c, int worker)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    const struct kern_mat *m = &en->w.head;

    multiply(st, m, c, c->from, c->to, coded(st, worker), p->logits, m->rows);
    add_bias(st, c, m, en->w.out_bias, p->logits, m->rows);
    float cap = en->h.final_softcap;
    if (cap <= 0)
        return;
    int at = c->from * KERN_PANEL, to = int_min(c->to * KERN_PANEL, m->rows);
    for (int i = c->row; i < c->row + c->n; i++) {
        float *y = p->logits + (size_t)i * (size_t)m->rows;
        for (int j = at; j < to; j++)
            y[j] = cap * tanhf(y[j] / cap);
    }
}

/* The greatest of every block of logits that the part stands for; it begins with a block. */
static void block_maxima(const struct pass_stage *st, const struct part *c)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    const int n_vocab = en->h.n_vocab, at = c->from * KERN_PANEL;
    const int n = int_min(c->to * KERN_PANEL, n_vocab) - at, whole = n / KERN_LOGITS;
    for (int i = c->row; i < c->row + c->n; i++) {
        const float *z = p->logits + (size_t)i * (size_t)n_vocab + at;
        float *max = p->block_max + (size_t)i * (size_t)p->logit_blocks + at / KERN_LOGITS;
        en->kern.block_max(z, whole, max);
        if (n % KERN_LOGITS == 0)
            continue;
        float last[KERN_LOGITS];
        for (int j = 0; j < KERN_LOGITS; j++)
            last[j] = KERN_LOGITS * whole + j < n ? z[KERN_LOGITS * whole + j] : -INFINITY;
        en->kern.block_max(last, 1, max + whole);
    }
}

void engine_run_head(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine_pass *p = st->en->pass;
    struct part c = part_of(st, chunk);
    if (p->n_head < 0) {
        head_part(st, &c, worker);
        block_maxima(st, &c);
        return;
    }
    for (int i = c.from, to; i < c.to; i = to) { // runs of neighbours
        to = i + 1;
        while (to < c.to && p->head[to] == p->head[to - 1] + 1)
            to++;
        struct part run = {c.row, c.n, p->head[i], p->head[i] + to - i};
        head_part(st, &run, worker);
    }
}
