/* engine/attention.c - attention over paged KV.
 *
 * An item is a tile of rows of one sequence times one KV head: all its query heads of all its rows
 * against the keys and values, span by span.  Spans are aligned to absolute positions and merged in
 * ascending order, each query row over the spans that it sees itself, so that a row's result
 * depends on its sequence alone.  When there are too few items to feed the threads (one long
 * stream), every span becomes an item of its own and a second phase merges. */
#include "engine/pass_int.h"

/* The first position a row sees. */
static int first_seen(const struct engine_hparams *h, int pos, bool local)
{
    return local && pos >= h->window ? pos - h->window + 1 : 0;
}

static void measure_tile(const struct engine *en, struct pass_tile *t)
{
    const struct engine_row *rows = en->pass->rows + t->row0;
    int last = rows[t->n - 1].pos / KERN_SPAN;
    for (int k = 0; k < 2; k++) {
        t->first[k] = first_seen(&en->h, rows[0].pos, k) / KERN_SPAN;
        t->n_spans[k] = last - t->first[k] + 1;
    }
}

void engine_tile_rows(struct engine *en)
{
    struct engine_pass *p = en->pass;
    p->n_tiles = 0;
    for (int r = 0; r < p->n_rows;) {
        struct pass_tile *t = &p->tiles[p->n_tiles++];
        *t = (struct pass_tile){.row0 = r};
        while (r < p->n_rows && t->n < p->tile_rows && p->rows[r].seq == p->rows[t->row0].seq) {
            t->n++;
            r++;
        }
        measure_tile(en, t);
    }
    for (int k = 0; k < 2; k++) {
        long long total = 0;
        for (int i = 0; i < p->n_tiles; i++) {
            p->tiles[i].base[k] = (int)total;
            total += p->tiles[i].n_spans[k];
        }
        long long items = (long long)p->n_tiles * en->h.n_kv;
        p->split[k] = total > p->n_tiles && items < 4LL * en->conf.n_threads &&
                      total * en->h.n_kv <= p->max_results;
    }
}

static int total_spans(const struct engine_pass *p, bool local)
{
    const struct pass_tile *last = &p->tiles[p->n_tiles - 1];
    return last->base[local] + last->n_spans[local];
}

int engine_attend_items(const struct engine *en, bool local)
{
    const struct engine_pass *p = en->pass;
    return (p->split[local] ? total_spans(p, local) : p->n_tiles) * en->h.n_kv;
}

int engine_merge_items(const struct engine *en, bool local)
{
    return en->pass->split[local] ? en->pass->n_tiles * en->h.n_kv : 0;
}

/* Gathers the tile's queries of one KV head: [n * group][d]. */
static void gather_queries(const struct engine *en, const struct pass_tile *t, int kv, float *q)
{
    const struct engine_pass *p = en->pass;
    size_t group = (size_t)(en->h.n_head / en->h.n_kv) * (size_t)en->h.head_dim;
    for (int i = 0; i < t->n; i++)
        memcpy(q + (size_t)i * group,
               p->qkv + (size_t)(t->row0 + i) * (size_t)p->ld_qkv + (size_t)kv * group,
               group * sizeof *q);
}

/* One span of one tile and KV head. */
static void attend_span(const struct pass_stage *st, const struct pass_tile *t, int kv, int span,
                        const float *q, float *acc, float *max, float *sum)
{
    const struct engine *en = st->en;
    const struct engine_hparams *h = &en->h;
    const struct engine_row *rows = en->pass->rows + t->row0;
    const struct engine_seq *seq = rows[0].seq;
    enum { BLOCKS = KERN_SPAN / ENGINE_BLOCK };
    const void *blocks[BLOCKS];
    int lo[ENGINE_MAX_HEADS], hi[ENGINE_MAX_HEADS];
    int group = h->n_head / h->n_kv, start = span * KERN_SPAN;

    int end = int_min(rows[t->n - 1].pos + 1 - start, KERN_SPAN);
    int n_blocks = (end + ENGINE_BLOCK - 1) / ENGINE_BLOCK;
    for (int i = 0; i < n_blocks; i++)
        blocks[i] = engine_kv_at(&en->kv, h, seq->blocks[start / ENGINE_BLOCK + i], st->il, kv);
    for (int i = 0; i < t->n; i++) {
        int from = first_seen(h, rows[i].pos, h->local[st->il]) - start;
        int to = int_min(rows[i].pos + 1 - start, KERN_SPAN);
        for (int j = i * group; j < (i + 1) * group; j++) {
            lo[j] = from >= to ? 0 : int_max(from, 0);
            hi[j] = from >= to ? 0 : int_max(to, 0);
        }
    }
    en->kern.attn_span(q, t->n * group, h->head_dim, blocks, n_blocks, lo, hi, h->attn_softcap, acc,
                       max, sum);
}

/* Merges every query row of the tile over the spans it sees; span s of the tile lies s * step
 * results on. */
static void merge_tile(const struct pass_stage *st, const struct pass_tile *t, int kv,
                       const float *acc, const float *max, const float *sum, size_t step)
{
    const struct engine *en = st->en;
    const struct engine_hparams *h = &en->h;
    const struct engine_pass *p = en->pass;
    bool local = h->local[st->il];
    int group = h->n_head / h->n_kv;
    size_t d = (size_t)h->head_dim, tile_q = (size_t)p->tile_q;

    for (int i = 0; i < t->n; i++) {
        int pos = p->rows[t->row0 + i].pos;
        int first = first_seen(h, pos, local) / KERN_SPAN, last = pos / KERN_SPAN;
        size_t skip = (size_t)(first - t->first[local]) * step;
        float *out = p->att + (size_t)(t->row0 + i) * (size_t)p->ld_att;
        for (int j = 0; j < group; j++) {
            size_t at = skip * tile_q + (size_t)(i * group + j);
            en->kern.attn_merge(acc + at * d, step * tile_q * d, max + at, sum + at, step * tile_q,
                                last - first + 1, h->head_dim, out + (size_t)(kv * group + j) * d);
        }
    }
}

static void attend_whole(const struct pass_stage *st, int item, struct pass_worker *w)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int local = en->h.local[st->il], kv = item % en->h.n_kv;
    const struct pass_tile *t = &p->tiles[item / en->h.n_kv];
    size_t d = (size_t)en->h.head_dim, tile_q = (size_t)p->tile_q;

    gather_queries(en, t, kv, w->q);
    for (int s = 0; s < t->n_spans[local]; s++)
        attend_span(st, t, kv, t->first[local] + s, w->q, w->acc + (size_t)s * tile_q * d,
                    w->max + (size_t)s * tile_q, w->sum + (size_t)s * tile_q);
    merge_tile(st, t, kv, w->acc, w->max, w->sum, 1);
}

static void attend_split(const struct pass_stage *st, int item, struct pass_worker *w)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int local = en->h.local[st->il], kv = item % en->h.n_kv, index = item / en->h.n_kv;
    const struct pass_tile *t = p->tiles;
    while (index >= t->base[local] + t->n_spans[local])
        t++; // few tiles, or this would not be split
    size_t d = (size_t)en->h.head_dim, at = (size_t)item * (size_t)p->tile_q;

    gather_queries(en, t, kv, w->q);
    attend_span(st, t, kv, t->first[local] + index - t->base[local], w->q, p->sp_acc + at * d,
                p->sp_max + at, p->sp_sum + at);
}

void engine_run_attend(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    struct engine_pass *p = st->en->pass;
    bool split = p->split[st->en->h.local[st->il]];
    (split ? attend_split : attend_whole)(st, chunk, &p->workers[worker]);
}

void engine_run_merge(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int n_kv = en->h.n_kv, kv = chunk % n_kv;
    const struct pass_tile *t = &p->tiles[chunk / n_kv];
    (void)worker;
    size_t at =
        ((size_t)t->base[en->h.local[st->il]] * (size_t)n_kv + (size_t)kv) * (size_t)p->tile_q;
    merge_tile(st, t, kv, p->sp_acc + at * (size_t)en->h.head_dim, p->sp_max + at, p->sp_sum + at,
               (size_t)n_kv);
}
