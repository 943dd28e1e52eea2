/* engine/pass.c - lays out the forward pass at load, and runs one step of it. */
#include "engine/pass_int.h"

#include "base/mem.h"

#include <assert.h>

#define TILE_BYTES   (768 << 10) // of coded rows that go through a matrix together: stay in L2
#define TILE_MIN     32          // rows
#define SPLIT_MAX    4096        // results of split spans, at most
#define CHUNKS_A_CPU 8           // of a phase, for balance

/* Hands out pieces of one allocation; with mem NULL it only counts. */
struct carve {
    unsigned char *mem;
    size_t used;
    bool overflow;
};

static void *carve(struct carve *c, size_t n, size_t size)
{
    size_t bytes, end;
    if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, 63, &bytes) ||
        __builtin_add_overflow(c->used, bytes / 64 * 64, &end)) {
        c->overflow = true;
        return NULL;
    }
    void *p = c->mem ? c->mem + c->used : NULL;
    c->used = end;
    return p;
}

/* Floats of a row: rows begin at 64-byte borders, and are no multiple of 1 KiB apart, where the
 * same few lines of a cache would take them all. */
static int padded(int n)
{
    n = (n + 15) / 16 * 16;
    return n % 256 ? n : n + 16;
}

static int widest_input(const struct engine_hparams *h)
{
    return int_max(int_max(h->n_embd, h->n_head * h->head_dim), h->n_ff);
}

/* Bytes of one row coded as `act`, at the widest. */
static size_t act_row(const struct engine_hparams *h, enum kern_act act)
{
    size_t n = kern_act_bytes(act, h->n_embd);
    n = size_max(n, kern_act_bytes(act, h->n_head * h->head_dim));
    return size_max(n, kern_act_bytes(act, h->n_ff));
}

/* Which codings any matrix of the model wants. */
static unsigned acts_used(const struct engine *en)
{
    unsigned used = 1u << en->w.head.act;
    for (int i = 0; i < en->h.n_layer; i++)
        for (int m = 0; m < MAT_COUNT; m++)
            used |= 1u << en->w.layers[i].mat[m].act;
    return used;
}

static void carve_worker(struct carve *c, const struct engine *en, struct pass_worker *w)
{
    const struct engine_hparams *h = &en->h;
    const struct engine_pass *p = en->pass;
    unsigned acts = acts_used(en);
    size_t spans = (size_t)p->max_spans, q = (size_t)p->tile_q, d = (size_t)h->head_dim;
    w->row = carve(c, (size_t)widest_input(h), sizeof(float));
    for (int a = 0; a < PASS_ACTS; a++)
        if (acts & 1u << a)
            w->act[a] = carve(c, PASS_FEW, act_row(h, (enum kern_act)a));
    w->q = carve(c, q * d, sizeof(float));
    w->acc = carve(c, spans * q * d, sizeof(float));
    w->max = carve(c, spans * q, sizeof(float));
    w->sum = carve(c, spans * q, sizeof(float));
    w->coded = UINT64_MAX;
}

static void carve_pass(struct carve *c, struct engine *en)
{
    const struct engine_hparams *h = &en->h;
    struct engine_pass *p = en->pass;
    size_t rows = (size_t)en->conf.max_rows, q = (size_t)p->tile_q, d = (size_t)h->head_dim;
    size_t results = (size_t)p->max_results;
    unsigned acts = acts_used(en);

    p->x = carve(c, rows * (size_t)p->ld_embd, sizeof(float));
    p->qkv = carve(c, rows * (size_t)p->ld_qkv, sizeof(float));
    p->att = carve(c, rows * (size_t)p->ld_att, sizeof(float));
    p->proj = carve(c, rows * (size_t)p->ld_embd, sizeof(float));
    p->gate = carve(c, rows * (size_t)p->ld_ff, sizeof(float));
    p->up = carve(c, rows * (size_t)p->ld_ff, sizeof(float));
    for (int k = 0; k < (h->window ? 2 : 1); k++) {
        p->cos[k] = carve(c, rows * (size_t)p->ld_rot, sizeof(float));
        p->sin[k] = carve(c, rows * (size_t)p->ld_rot, sizeof(float));
        p->freq[k] = carve(c, (size_t)h->n_rot / 2, sizeof(double));
    }
    for (int a = 0; a < PASS_ACTS; a++)
        if (acts & 1u << a)
            p->act[a] = carve(c, rows, act_row(h, (enum kern_act)a));
    p->logits = carve(c, (size_t)en->conf.max_logits * (size_t)h->n_vocab, sizeof(float));
    p->block_max = carve(c, (size_t)en->conf.max_logits * (size_t)p->logit_blocks, sizeof(float));
    p->sp_acc = carve(c, results * q * d, sizeof(float));
    p->sp_max = carve(c, results * q, sizeof(float));
    p->sp_sum = carve(c, results * q, sizeof(float));
    for (int k = 0; k < 2; k++) {
        p->units[k] = carve(c, results, sizeof *p->units[k]);
        p->members[k] = carve(c, results, sizeof *p->members[k]);
    }
    p->joined = carve(c, results, 1);
    p->tiles = carve(c, rows, sizeof *p->tiles);
    p->out_rows = carve(c, rows, sizeof *p->out_rows);
    p->head = carve(c, (size_t)en->w.head.n_panels, sizeof *p->head);
    p->workers = carve(c, (size_t)en->conf.n_threads, sizeof *p->workers);
    struct pass_worker none;
    for (int i = 0; i < en->conf.n_threads; i++)
        carve_worker(c, en, p->workers ? &p->workers[i] : &none);
}

static void set_sizes(struct engine *en)
{
    const struct engine_hparams *h = &en->h;
    struct engine_pass *p = en->pass;
    int group = h->n_head / h->n_kv;
    p->ld_embd = padded(h->n_embd);
    p->ld_qkv = padded((h->n_head + 2 * h->n_kv) * h->head_dim);
    p->ld_att = padded(h->n_head * h->head_dim);
    p->ld_ff = padded(h->n_ff);
    p->ld_rot = padded(h->n_rot / 2);
    p->logit_blocks = (h->n_vocab + KERN_LOGITS - 1) / KERN_LOGITS;
    p->tile_rows = int_max(1, PASS_QROWS / group);
    p->tile_q = p->tile_rows * group;
    // A sequence may be as long as the KV memory.
    size_t positions = en->kv.n_blocks * ENGINE_BLOCK;
    p->max_spans = (int)((positions + KERN_SPAN - 1) / KERN_SPAN);
    long long results = 4LL * en->conf.n_threads * p->max_spans;
    p->max_results = results > SPLIT_MAX ? SPLIT_MAX : (int)results;
}

/* A phase of the list; its stage follows in parallel. */
static struct pass_stage *add_phase(struct engine *en, void (*run)(void *, int, int), int il,
                                    enum pass_input in)
{
    struct engine_pass *p = en->pass;
    struct pass_stage *st = &p->stages[p->n_phases];
    *st = (struct pass_stage){.en = en, .il = il, .in = in, .groups = 1, .tiles = 1, .together = 1};
    if (il < en->h.n_layer)
        st->layer = &en->w.layers[il];
    p->phases[p->n_phases++] = (struct kern_phase){.run = run, .arg = st};
    return st;
}

/* The phase that codes the rows for matrices [from, to] of the layer (or the head), and the phase
 * that multiplies. */
static void add_multiply(struct engine *en, void (*run)(void *, int, int), int il,
                         enum pass_input in, int from, int to, int cols, bool out_only)
{
    struct pass_stage *code = add_phase(en, engine_run_code, il, in);
    struct pass_stage *st = add_phase(en, run, il, in);
    en->pass->phases[en->pass->n_phases - 1].reads = engine_reads;
    for (int m = from; m <= to; m++) {
        const struct kern_mat *mat = il < en->h.n_layer ? &st->layer->mat[m] : &en->w.head;
        st->acts |= 1u << mat->act;
        st->n_panels += mat->n_panels;
    }
    if (in == IN_FFN_NORM)
        st->n_panels = st->layer->mat[MAT_GATE].n_panels; // gate and up advance together
    st->cols = code->cols = cols;
    st->out_only = code->out_only = out_only;
    code->acts = st->acts;
}

static void add_layer(struct engine *en, int il)
{
    const struct engine_hparams *h = &en->h;
    bool last = il == h->n_layer - 1;
    bool post = (h->family->flags & FAMILY_POST_NORM) != 0;
    add_multiply(en, engine_run_qkv, il, IN_ATTN_NORM, MAT_Q, MAT_V, h->n_embd, false);
    add_phase(en, engine_run_heads, il, IN_ATTN_NORM);
    add_phase(en, engine_run_attend, il, IN_ATTN_NORM)->out_only = last;
    add_phase(en, engine_run_merge, il, IN_ATTN_NORM)->out_only = last;
    add_multiply(en, engine_run_o, il, IN_ATT, MAT_O, MAT_O, h->n_head * h->head_dim, last);
    if (post)
        add_phase(en, engine_run_post_attn, il, IN_ATT)->out_only = last;
    add_multiply(en, engine_run_gate_up, il, IN_FFN_NORM, MAT_GATE, MAT_UP, h->n_embd, last);
    add_multiply(en, engine_run_down, il, IN_GATED, MAT_DOWN, MAT_DOWN, h->n_ff, last);
    if (post)
        add_phase(en, engine_run_post_ffn, il, IN_GATED)->out_only = last;
}

#define PHASES_A_LAYER 13
#define PHASES_BESIDE  3

static void open_ropes(struct engine *en)
{
    const struct engine_hparams *h = &en->h;
    struct engine_pass *p = en->pass;
    const float *divisors = en->w.freqs;
    if (!divisors)
        divisors = h->n_ctx > h->rope[0].ctx_orig ? en->w.freqs_long : en->w.freqs_short;
    engine_rope_freqs(&h->rope[0], h->n_rot, divisors, p->freq[0], &p->magnitude[0]);
    if (h->window)
        engine_rope_freqs(&h->rope[1], h->n_rot, NULL, p->freq[1], &p->magnitude[1]);
}

bool engine_pass_open(struct engine *en, struct err *e)
{
    struct engine_pass *p = en->pass = mem_calloc(1, sizeof *p);
    size_t phases = (size_t)en->h.n_layer * PHASES_A_LAYER + PHASES_BESIDE;
    p->stages = mem_calloc(phases, sizeof *p->stages);
    p->phases = mem_calloc(phases, sizeof *p->phases);
    set_sizes(en);

    struct carve count = {0};
    carve_pass(&count, en);
    if (count.overflow)
        return err_set(e, ERR_LIMIT, "steps of %d rows need more memory than can be addressed",
                       en->conf.max_rows);
    p->bytes = count.used;
    if (en->conf.budget && !budget_take(en->conf.budget, BUDGET_BUFFERS, p->bytes, e))
        return err_ctx(e, "the forward pass's buffers");
    p->taken = en->conf.budget != NULL;
    p->mem = mem_try(p->bytes);
    if (!p->mem)
        return err_set(e, ERR_LIMIT, "the forward pass's buffers: the system has no %zu MiB left",
                       p->bytes >> 20);
    struct carve real = {.mem = p->mem};
    carve_pass(&real, en);
    open_ropes(en);

    add_phase(en, engine_run_embed, 0, IN_ATTN_NORM);
    for (int i = 0; i < en->h.n_layer; i++)
        add_layer(en, i);
    add_multiply(en, engine_run_head, en->h.n_layer, IN_OUT_NORM, 0, 0, en->h.n_embd, true);
    assert((size_t)p->n_phases <= phases);
    return true;
}

void engine_pass_close(struct engine *en)
{
    struct engine_pass *p = en->pass;
    if (!p)
        return;
    if (p->mem)
        mem_try_free(p->mem, p->bytes);
    if (p->taken)
        budget_give(en->conf.budget, BUDGET_BUFFERS, p->bytes);
    mem_free(p->stages);
    mem_free(p->phases);
    mem_free(p);
    en->pass = NULL;
}

/* The runs that a stage's products advance in.  Gate and up share them, if they are of one kind. */
static int runs_side_by_side(const struct pass_stage *st)
{
    int n = st->n <= KERN_RUN_ROWS ? st->en->kern.runs[st->n] : 0;
    if (st->in == IN_OUT_NORM)
        return st->en->pass->n_head < 0 ? n : 0;
    const struct kern_mat *gate = &st->layer->mat[MAT_GATE], *up = &st->layer->mat[MAT_UP];
    bool alike = gate->type == up->type && gate->cols == up->cols;
    return st->in != IN_FFN_NORM || alike ? n : 0;
}

/* Chunks of a phase whose items are alike and cheap: a few for each thread. */
static int runs_of(struct pass_stage *st, int items, int n_threads)
{
    int chunks = int_min(items, n_threads * CHUNKS_A_CPU);
    if (chunks == 0)
        return 0;
    st->per_chunk = (items + chunks - 1) / chunks;
    return (items + st->per_chunk - 1) / st->per_chunk;
}

/* Groups of panels for each thread, which has `units` (panels that stay together).  Few rows wait
 * for memory, which is read faster in long pieces; with many, threads would wait for each other. */
static int chunks_a_cpu(const struct pass_stage *st, int units)
{
    enum { many_rows = 13, least_units = 6, most = 24 };
    if (st->n < many_rows)
        return CHUNKS_A_CPU;
    return int_max(CHUNKS_A_CPU, int_min(most, units / least_units));
}

/* Chunks of a multiplication: groups of panels times tiles of rows. */
static int cut_matrix(struct pass_stage *st, int n_threads)
{
    if (st->n == 0)
        return 0;
    int tile = int_max(TILE_MIN, TILE_BYTES / st->cols / KERN_PANEL * KERN_PANEL);
    st->tiles = (st->n + tile - 1) / tile;
    int units = (st->n_panels + st->together - 1) / st->together;
    st->runs = runs_side_by_side(st);
    st->groups = int_min(units, n_threads * chunks_a_cpu(st, units / n_threads));
    if (st->runs) {
        int slices = units / st->runs / n_threads;
        st->groups = n_threads * int_max(1, int_min(CHUNKS_A_CPU, slices));
    }
    return st->groups * st->tiles;
}

static int rows_of(const struct engine_pass *p, const struct pass_stage *st)
{
    return st->out_only ? p->n_out : p->n_rows;
}

static int chunks_of(struct engine *en, const struct kern_phase *phase, struct pass_stage *st)
{
    const struct engine_pass *p = en->pass;
    int n_threads = en->conf.n_threads;
    bool local = en->h.local[int_min(st->il, en->h.n_layer - 1)];
    st->n = rows_of(p, st);
    if (phase->run == engine_run_embed)
        return st->n;
    if (phase->run == engine_run_attend)
        return st->n ? engine_attend_items(en, local) : 0;
    if (phase->run == engine_run_merge)
        return st->n ? engine_merge_items(en, local) : 0;
    if (phase->run == engine_run_heads) { // attention follows, of the last layer for few rows only
        bool ready = rows_of(p, st + 1) && engine_attend_readies(en, local);
        return ready ? 0 : runs_of(st, st->n * en->h.n_kv, n_threads);
    }
    if (phase->run == engine_run_code)
        return st->n <= PASS_FEW ? 0 : runs_of(st, st->n, n_threads);
    if (phase->run == engine_run_post_attn || phase->run == engine_run_post_ffn)
        return runs_of(st, st->n, n_threads);
    if (phase->run == engine_run_head) {
        st->n_panels = p->n_head >= 0 ? p->n_head : en->w.head.n_panels;
        st->together = p->n_head >= 0 ? 1 : KERN_LOGITS / KERN_PANEL;
    }
    return st->n_panels ? cut_matrix(st, n_threads) : 0;
}

/* Which panels of the head hold a row whose logit somebody wants. */
static void choose_head(struct engine *en)
{
    struct engine_pass *p = en->pass;
    p->n_head = -1;
    for (int i = 0; i < p->n_out; i++)
        if (!p->rows[p->out_rows[i]].only)
            return;
    p->n_head = 0;
    for (int panel = 0; panel < en->w.head.n_panels; panel++) {
        int at = panel * KERN_PANEL;
        bool wanted = false;
        for (int i = 0; i < p->n_out && !wanted; i++)
            wanted = p->rows[p->out_rows[i]].only[at / 64] >> at % 64 & 0xffff;
        if (wanted)
            p->head[p->n_head++] = panel;
    }
}

/* The caller's part of the contract. */
static void check_rows(const struct engine *en, const struct engine_row *rows, int n_rows)
{
    int n_logits = 0;
    assert(n_rows >= 1 && n_rows <= en->conf.max_rows);
    for (int i = 0; i < n_rows; i++) {
        const struct engine_row *r = &rows[i];
        assert(r->token >= 0 && r->token < en->h.n_vocab);
        assert(r->pos >= 0 && r->pos / ENGINE_BLOCK < r->seq->n_blocks);
        assert((size_t)r->seq->n_blocks <= en->kv.n_blocks);
        if (i > 0 && rows[i - 1].seq == r->seq) {
            assert(r->pos == rows[i - 1].pos + 1);
        } else {
            for (int b = 0; b <= r->pos / ENGINE_BLOCK; b++)
                assert((size_t)r->seq->blocks[b] < en->kv.n_blocks);
        }
        int32_t block = r->seq->blocks[r->pos / ENGINE_BLOCK];
        assert(block >= 0 && (size_t)block < en->kv.n_blocks && en->kv.refs[block] == 1);
        n_logits += r->logits;
    }
    assert(n_logits <= en->conf.max_logits);
    (void)n_logits;
}

bool engine_step(struct engine *en, const struct engine_row *rows, int n_rows, const float **logits,
                 const _Atomic bool *cancel, struct err *e)
{
    struct engine_pass *p = en->pass;
    check_rows(en, rows, n_rows);
    p->step++;
    p->rows = rows;
    p->n_rows = n_rows;
    p->n_out = 0;
    for (int i = 0; i < n_rows; i++)
        if (rows[i].logits)
            p->out_rows[p->n_out++] = i;
    engine_tile_rows(en);
    choose_head(en);
    for (int i = 0; i < p->n_phases; i++)
        p->phases[i].n_chunks = chunks_of(en, &p->phases[i], &p->stages[i]);
    atomic_fetch_add(&en->warm.steps, 1);
    bool done = kern_pool_run(en->pool, p->phases, p->n_phases, cancel);
    atomic_fetch_add(&en->warm.steps, 1);
    if (!done)
        return err_set(e, ERR_CANCELED, "the step was canceled");
    *logits = p->logits;
    return true;
}

const float *engine_block_max(const struct engine *en)
{
    return en->pass->n_head < 0 ? en->pass->block_max : NULL;
}
