/* engine/products.c - which panels a chunk of a multiplication is made of, and the calls of kernels
 * for them.
 *
 * With many rows a chunk's panels follow each other.  With few, where the kernels want runs side by
 * side (kern.h), a chunk has a piece of each run, and runs go on from chunk to chunk of a lane, as
 * memory is read faster the longer a stream goes on: the pieces of four runs that began anew every
 * 8 KiB were read at 0.86 of the rate, every 32 KiB at 0.94, every 128 KiB as fast as could be
 * (Zen 5). */
#include "engine/pass_int.h"

/* The matrices that a stage's input goes through, and where their results go: those of the first
 * `beside` advance together, panel by panel, the others one after the other. */
struct targets {
    struct kern_run of[3]; // from: the panels of those before
    int n, beside, ld;
};

static struct targets targets_of(const struct pass_stage *st)
{
    const struct engine_pass *p = st->en->pass;
    const struct kern_mat *mat = st->layer ? st->layer->mat : NULL;
    struct targets t = {.n = 1, .beside = 1, .ld = p->ld_embd};
    switch (st->in) {
    case IN_ATTN_NORM:
        t.of[0] = (struct kern_run){&mat[MAT_Q], 0, p->qkv};
        for (t.n = 1; t.n < 3; t.n++) {
            const struct kern_run *before = &t.of[t.n - 1];
            t.of[t.n] = (struct kern_run){&mat[MAT_Q + t.n], before->from + before->m->n_panels,
                                          before->y + before->m->rows};
        }
        t.ld = p->ld_qkv;
        break;
    case IN_ATT: t.of[0] = (struct kern_run){&mat[MAT_O], 0, p->proj}; break;
    case IN_FFN_NORM:
        t.of[0] = (struct kern_run){&mat[MAT_GATE], 0, p->gate};
        t.of[1] = (struct kern_run){&mat[MAT_UP], 0, p->up};
        t.n = t.beside = 2;
        t.ld = p->ld_ff;
        break;
    case IN_GATED: t.of[0] = (struct kern_run){&mat[MAT_DOWN], 0, p->proj}; break;
    default: t.of[0] = (struct kern_run){&st->en->w.head, 0, p->logits}; t.ld = st->en->w.head.rows;
    }
    return t;
}

/* n_runs runs of len panels, in the `beside` matrices from number `first` on by turns, those of one
 * matrix so many panels apart. */
static void add_product(struct pass_part *c, const struct targets *t, int first, int beside,
                        int from, int len, int n_runs, int apart)
{
    struct pass_product *p = &c->products[c->n_products++];
    p->len = len;
    p->n_runs = n_runs;
    for (int i = 0; i < n_runs; i++) {
        p->run[i] = t->of[first + i % beside];
        p->run[i].from = from + i / beside * apart;
        p->run[i].y += (size_t)c->row * (size_t)t->ld;
    }
}

/* A group of panels that follow each other: of every matrix those that it holds. */
static void add_group(const struct pass_stage *st, const struct targets *t, int group,
                      struct pass_part *c)
{
    int units = (st->n_panels + st->together - 1) / st->together;
    int from = units * group / st->groups * st->together,
        to = int_min(st->n_panels, units * (group + 1) / st->groups * st->together);
    for (int i = 0; i < t->n; i++) {
        int base = t->beside > 1 ? 0 : t->of[i].from;
        int first = int_max(from - base, 0), end = int_min(to - base, t->of[i].m->n_panels);
        if (first < end)
            add_product(c, t, i, 1, first, end - first, 1, 0);
    }
}

/* A group of a lane's runs.  A lane, the groups that one thread takes in order, holds a range of
 * the stage's panels; of every matrix the part in that range is cut in runs, and of these the
 * group's products hold a piece each: so a run is read on and on, group after group.  The last
 * group has what is left over, too. */
static void add_runs(const struct pass_stage *st, const struct targets *t, int group,
                     struct pass_part *c)
{
    int n_lanes = st->en->conf.n_threads, per = st->groups / n_lanes, lane = group / per;
    int units = (st->n_panels + st->together - 1) / st->together;
    int lo = units * lane / n_lanes * st->together,
        hi = int_min(st->n_panels, units * (lane + 1) / n_lanes * st->together);
    int cuts = st->runs / t->beside, at[3], len[3], slices = 0;
    for (int i = 0; i < t->n; i += t->beside) {
        int base = t->beside > 1 ? 0 : t->of[i].from;
        at[i] = int_max(lo - base, 0);
        len[i] = int_max(int_min(hi - base, t->of[i].m->n_panels) - at[i], 0);
        slices += len[i] / (cuts * st->together);
    }
    int from = slices * (group % per) / per, to = slices * (group % per + 1) / per;
    for (int i = 0; i < t->n; i += t->beside) {
        int run = len[i] / (cuts * st->together), first = int_max(from, 0), end = int_min(to, run);
        if (first < end)
            add_product(c, t, i, t->beside, at[i] + first * st->together,
                        (end - first) * st->together, st->runs, run * st->together);
        from -= run;
        to -= run;
    }
    for (int i = 0; i < t->n && group % per == per - 1; i += t->beside) {
        int rest = len[i] % (cuts * st->together), from_rest = at[i] + len[i] - rest;
        if (rest > 0 && st->together > 1)
            add_product(c, t, i, 1, from_rest, rest, 1, 0);
        else if (rest > 0)
            add_product(c, t, i, t->beside, from_rest, 1, rest * t->beside, 1);
    }
}

struct pass_part engine_part(const struct pass_stage *st, int chunk)
{
    const struct targets t = targets_of(st);
    int group = chunk / st->tiles, tile = chunk % st->tiles;
    int rows = (st->n + st->tiles - 1) / st->tiles;
    struct pass_part c;
    c.row = int_min(st->n, tile * rows);
    c.n = int_min(rows, st->n - c.row);
    c.ld = t.ld;
    c.n_products = 0;
    if (st->runs)
        add_runs(st, &t, group, &c);
    else
        add_group(st, &t, group, &c);
    return c;
}

void engine_reads(void *arg, int chunk, struct kern_reads *out)
{
    const struct pass_stage *st = arg;
    if (st->runs || st->n > PASS_FEW || (st->in == IN_OUT_NORM && st->en->pass->n_head >= 0))
        return; // runs fetch what follows; many rows do not wait; chosen panels lie anywhere
    struct pass_part c = engine_part(st, chunk);
    if (c.n_products == 0)
        return;
    const struct kern_mat *m = c.products[0].run[0].m;
    size_t from = (size_t)c.products[0].run[0].from;
    int n = int_max(1, (int)(PASS_READS / (m->panel_lines + m->panel_scales)));
    n = int_min(n, c.products[0].len);
    if (m->scales)
        out->part[out->n++] = (struct kern_range){m->scales + from * m->panel_scales,
                                                  (ptrdiff_t)((size_t)n * m->panel_scales)};
    out->part[out->n++] = (struct kern_range){m->lines + from * m->panel_lines,
                                              (ptrdiff_t)((size_t)n * m->panel_lines)};
}

/* What thread `worker` multiplies after a chunk: the next one's first product, or that of the next
 * stage where its lane ends. */
static bool product_after(const struct pass_stage *st, int chunk, int worker,
                          struct pass_product *out)
{
    const struct engine_pass *p = st->en->pass;
    int n_lanes = st->en->conf.n_threads;
    if ((chunk + 1) % (st->groups / n_lanes) == 0) {
        int i = (int)(st - p->stages) + 1;
        while (i < p->n_phases && !(p->phases[i].reads && p->phases[i].n_chunks > 0))
            i++;
        st = &p->stages[i];
        if (i == p->n_phases || !st->runs)
            return false;
        chunk = st->groups / n_lanes * worker - 1;
    }
    struct pass_part c = engine_part(st, chunk + 1);
    if (c.n_products == 0)
        return false;
    *out = c.products[0];
    return true;
}

/* All products of a chunk. */
void engine_multiply(const struct pass_stage *st, const struct pass_part *c, int chunk, int worker,
                     unsigned char *const *act)
{
    const struct kern *k = &st->en->kern;
    struct pass_product after;
    if (!st->runs || !product_after(st, chunk, worker, &after))
        after.n_runs = 0;
    for (int i = 0; i < c->n_products; i++) {
        const struct pass_product *p = &c->products[i];
        const struct kern_mat *m = p->run[0].m;
        size_t stride = kern_act_bytes(m->act, m->cols);
        const unsigned char *x = act[m->act] + (size_t)c->row * stride;
        if (st->runs) {
            const struct pass_product *next = i + 1 < c->n_products ? p + 1 : &after;
            k->matmul_runs(p->run, p->n_runs, p->len, x, stride, c->n, (size_t)c->ld, next->run,
                           next->n_runs);
            continue;
        }
        for (int r = 0; r < p->n_runs; r++)
            k->matmul(p->run[r].m, p->run[r].from, p->run[r].from + p->len, x, stride, c->n,
                      p->run[r].y, (size_t)c->ld);
    }
}
