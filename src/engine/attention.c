/* engine/attention.c - attention over paged KV.
 *
 * An item is a tile of rows of one sequence times one KV head: all its query heads of all its rows
 * against the keys and values, span by span.  Items go sequence by sequence, head by head, tile by
 * tile: the tiles of one head find its keys in the cache, and the heads of one block lie side by
 * side.  Where no sequence has two tiles, as in decoding, an item first readies its own heads, and
 * the phase for that is empty.  Spans are aligned to absolute positions and merged in
 * ascending order, each query row over the spans that it sees itself, so that a row's result
 * depends on its sequence alone.  When there are too few items to feed the threads (one long
 * stream), or when sequences share a prefix, every span becomes an item of its own and a second
 * phase merges; tiles that begin a span with the same blocks are then one item, and read them once.
 */
#include "engine/pass_int.h"

#define SPAN_BLOCKS  (KERN_SPAN / ENGINE_BLOCK)
#define SHARED_LEAST 2 // blocks of a span for whose sake tiles attend together

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

static const int32_t *span_blocks(const struct engine_pass *p, const struct pass_tile *t, int span)
{
    return p->rows[t->row0].seq->blocks + (size_t)span * SPAN_BLOCKS;
}

/* Blocks of span s that lie wholly before every row of the tile, if it has room for more rows. */
static int may_share(const struct engine *en, const struct pass_tile *t, int span)
{
    const struct engine_pass *p = en->pass;
    if (2 * t->n > p->tile_rows)
        return 0;
    int before = p->rows[t->row0].pos + 1 - span * KERN_SPAN;
    return int_max(0, int_min(before / ENGINE_BLOCK, SPAN_BLOCKS));
}

/* How many blocks of the span the two tiles have in common, from its first one on. */
static int common_blocks(const struct engine *en, const struct pass_tile *a,
                         const struct pass_tile *b, int span)
{
    const int32_t *mine = span_blocks(en->pass, a, span), *other = span_blocks(en->pass, b, span);
    int n = 0, most = int_min(may_share(en, a, span), may_share(en, b, span));
    while (n < most && mine[n] == other[n])
        n++;
    return n;
}

/* Adds to the unit the tiles behind tile i that begin the span with the same blocks.  The first one
 * to join says how many these are. */
static void add_sharers(const struct engine *en, struct pass_unit *u, int i, int k)
{
    struct engine_pass *p = en->pass;
    int rows = p->tiles[i].n;
    for (int j = i + 1; j < p->n_tiles; j++) {
        const struct pass_tile *t = &p->tiles[j];
        int at = u->span - t->first[k];
        if (at < 0 || at >= t->n_spans[k] || rows + t->n > p->tile_rows ||
            p->joined[t->base[k] + at])
            continue;
        int common = common_blocks(en, &p->tiles[i], t, u->span);
        if (common < (u->n > 1 ? u->shared : SHARED_LEAST))
            continue;
        if (u->n == 1)
            u->shared = common;
        p->joined[t->base[k] + at] = 1;
        p->members[k][u->first + u->n++] = j;
        rows += t->n;
    }
}

static void make_units(const struct engine *en, int k, int n_spans)
{
    struct engine_pass *p = en->pass;
    int n_members = 0;
    p->n_units[k] = 0;
    memset(p->joined, 0, (size_t)n_spans);
    for (int i = 0; i < p->n_tiles; i++) {
        const struct pass_tile *t = &p->tiles[i];
        for (int s = 0; s < t->n_spans[k]; s++) {
            if (p->joined[t->base[k] + s])
                continue;
            struct pass_unit *u = &p->units[k][p->n_units[k]++];
            *u = (struct pass_unit){
                .span = t->first[k] + s, .shared = SPAN_BLOCKS, .first = n_members, .n = 1};
            p->members[k][n_members] = i;
            if (may_share(en, t, u->span) >= SHARED_LEAST)
                add_sharers(en, u, i, k);
            n_members += u->n;
        }
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
    p->one_each = true;
    for (int i = 0, end; i < p->n_tiles; i = end) {
        const struct engine_seq *seq = p->rows[p->tiles[i].row0].seq;
        for (end = i; end < p->n_tiles && p->rows[p->tiles[end].row0].seq == seq; end++)
            p->tiles[end].seq0 = i;
        for (int j = i; j < end; j++)
            p->tiles[j].n_seq = end - i;
        p->one_each = p->one_each && end == i + 1;
    }
    for (int k = 0; k < (en->h.window ? 2 : 1); k++) {
        long long total = 0;
        for (int i = 0; i < p->n_tiles; i++) {
            p->tiles[i].base[k] = (int)total;
            total += p->tiles[i].n_spans[k];
        }
        p->split[k] = false;
        if (total == p->n_tiles || total * en->h.n_kv > p->max_results)
            continue;
        // Worth it when there are too few items else, or when units stand for several tiles.
        make_units(en, k, (int)total);
        p->split[k] =
            (long long)p->n_tiles * en->h.n_kv < 4LL * en->conf.n_threads || p->n_units[k] < total;
    }
}

bool engine_attend_readies(const struct engine *en, bool local)
{
    return en->pass->one_each && !en->pass->split[local];
}

int engine_attend_items(const struct engine *en, bool local)
{
    const struct engine_pass *p = en->pass;
    return (p->split[local] ? p->n_units[local] : p->n_tiles) * en->h.n_kv;
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

/* Which tokens of the span each query row of the tile sees. */
static void see(const struct pass_stage *st, const struct pass_tile *t, int span, int *lo, int *hi)
{
    const struct engine_hparams *h = &st->en->h;
    const struct engine_row *rows = st->en->pass->rows + t->row0;
    int group = h->n_head / h->n_kv, start = span * KERN_SPAN;
    for (int i = 0; i < t->n; i++) {
        int from = first_seen(h, rows[i].pos, h->local[st->il]) - start;
        int to = int_min(rows[i].pos + 1 - start, KERN_SPAN);
        for (int j = i * group; j < (i + 1) * group; j++) {
            lo[j] = from >= to ? 0 : int_max(from, 0);
            hi[j] = from >= to ? 0 : int_max(to, 0);
        }
    }
}

/* Where blocks [from, to) of the span lie, of the tile's sequence and one KV head, as far as its
 * rows see them; returns the end of those. */
static int find_blocks(const struct pass_stage *st, const struct pass_tile *t, int kv, int span,
                       int from, int to, const void **blocks)
{
    const struct engine *en = st->en;
    const int32_t *table = span_blocks(en->pass, t, span);
    int end = en->pass->rows[t->row0 + t->n - 1].pos + 1 - span * KERN_SPAN;
    to = int_min(to, (end + ENGINE_BLOCK - 1) / ENGINE_BLOCK);
    for (int i = from; i < to; i++)
        blocks[i] = engine_kv_at(&en->kv, &en->h, table[i], st->il, kv);
    return to;
}

/* The blocks up to `to` that the tile reads of a span, to be fetched; returns how many. */
static int next_blocks(const struct pass_stage *st, const struct pass_tile *t, int kv, int span,
                       int to, const void **blocks)
{
    const struct engine *en = st->en;
    const int pos = en->pass->rows[t->row0].pos;
    int from = first_seen(&en->h, pos, en->h.local[st->il]) - span * KERN_SPAN;
    from = int_max(from, 0) / ENGINE_BLOCK;
    int n = find_blocks(st, t, kv, span, from, to, blocks) - from;
    if (n > 0)
        memmove(blocks, blocks + from, (size_t)n * sizeof *blocks);
    return int_max(n, 0);
}

/* The tile and the head that an item of whole tiles stands for. */
static const struct pass_tile *item_tile(const struct engine *en, int item, int *kv)
{
    const struct engine_pass *p = en->pass;
    const struct pass_tile *t = &p->tiles[item / en->h.n_kv]; // one of the sequence
    item -= t->seq0 * en->h.n_kv;
    *kv = item / t->n_seq;
    return &p->tiles[t->seq0 + item % t->n_seq];
}

/* The blocks that item number `item` reads first, if there is one and they are others than those of
 * the item before. */
static int first_blocks(const struct pass_stage *st, int item, const void **blocks)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int local = en->h.local[st->il], kv;
    if (item >= engine_attend_items(en, local))
        return 0;
    if (p->split[local]) {
        const struct pass_unit *u = &p->units[local][item / en->h.n_kv];
        const struct pass_tile *t = &p->tiles[p->members[local][u->first]];
        return next_blocks(st, t, item % en->h.n_kv, u->span, u->shared, blocks);
    }
    const struct pass_tile *t = item_tile(en, item, &kv);
    if (t->n_spans[local] == 1 && t > p->tiles + t->seq0)
        return 0;
    return next_blocks(st, t, kv, t->first[local], SPAN_BLOCKS, blocks);
}

/* Does anybody read what attention makes of the tile's rows? */
static bool wanted(const struct pass_stage *st, const struct pass_tile *t)
{
    const struct engine_row *rows = st->en->pass->rows + t->row0;
    for (int i = 0; i < t->n; i++)
        if (!st->out_only || rows[i].logits)
            return true;
    return false;
}

/* Asks for where what row i of the tile gets of a head will be written. */
static void fetch_result(const struct pass_stage *st, const struct pass_tile *t, int kv, int i)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int n = en->h.n_head / en->h.n_kv * en->h.head_dim;
    if (i < t->n)
        fetch_to_write(p->att + (size_t)(t->row0 + i) * (size_t)p->ld_att + kv * n, n);
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
        fetch_result(st, t, kv, i + PASS_AHEAD);
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
    int local = en->h.local[st->il], kv;
    const struct pass_tile *t = item_tile(en, item, &kv);
    size_t d = (size_t)en->h.head_dim, tile_q = (size_t)p->tile_q;

    int lo[ENGINE_MAX_HEADS], hi[ENGINE_MAX_HEADS];
    int n_q = t->n * (en->h.n_head / en->h.n_kv);
    const void *blocks[SPAN_BLOCKS], *next[SPAN_BLOCKS];
    struct kern_part part = {0, n_q, 0, KERN_SPAN, blocks, next, 0};
    if (engine_attend_readies(en, local))
        engine_ready_heads(st, t->row0, t->row0 + t->n, kv);
    if (!wanted(st, t))
        return;
    gather_queries(en, t, kv, w->q);
    for (int i = 0; i < PASS_AHEAD; i++)
        fetch_result(st, t, kv, i);
    for (int s = 0; s < t->n_spans[local]; s++) {
        int span = t->first[local] + s;
        part.n_next = s + 1 < t->n_spans[local]
                          ? next_blocks(st, t, kv, span + 1, SPAN_BLOCKS, next)
                          : first_blocks(st, item + 1, next);
        see(st, t, span, lo, hi);
        find_blocks(st, t, kv, span, 0, SPAN_BLOCKS, blocks);
        en->kern.attn_span[en->kv_kind](w->q, n_q, en->h.head_dim, &part, 1, lo, hi,
                                        en->h.attn_softcap, w->acc + (size_t)s * tile_q * d,
                                        w->max + (size_t)s * tile_q, w->sum + (size_t)s * tile_q);
    }
    merge_tile(st, t, kv, w->acc, w->max, w->sum, 1);
}

/* A unit times a KV head; each member's rows go to its own results. */
static void attend_unit(const struct pass_stage *st, int item, struct pass_worker *w)
{
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int local = en->h.local[st->il], kv = item % en->h.n_kv, n_q = 0;
    const struct pass_unit *u = &p->units[local][item / en->h.n_kv];
    const int *members = p->members[local] + u->first;
    size_t group = (size_t)(en->h.n_head / en->h.n_kv), d = (size_t)en->h.head_dim;
    int lo[ENGINE_MAX_HEADS], hi[ENGINE_MAX_HEADS], n_wanted = 0;
    // Of a member; those that all share stand in the first.
    const void *blocks[PASS_QROWS][SPAN_BLOCKS], *next[SPAN_BLOCKS];
    int fork = u->shared * ENGINE_BLOCK, n_parts = 1;
    struct kern_part parts[PASS_QROWS + 1] = {{0, 0, 0, fork, blocks[0], next, 0}};

    for (int i = 0; i < u->n; i++) {
        const struct pass_tile *t = &p->tiles[members[i]];
        int rows = t->n * (int)group;
        gather_queries(en, t, kv, w->q + (size_t)n_q * d);
        see(st, t, u->span, lo + n_q, hi + n_q);
        if (fork < KERN_SPAN)
            blocks[i][u->shared] = NULL; // there may be none
        int end = find_blocks(st, t, kv, u->span, i ? u->shared : 0, SPAN_BLOCKS, blocks[i]);
        if (fork < KERN_SPAN) {
            parts[n_parts - 1].next = blocks[i] + u->shared;
            parts[n_parts - 1].n_next = int_max(0, end - u->shared);
            parts[n_parts++] = (struct kern_part){n_q, rows, fork, KERN_SPAN, blocks[i], next, 0};
        }
        n_wanted += wanted(st, t);
        n_q += rows;
    }
    if (n_wanted == 0)
        return;
    parts[0].n = n_q;
    parts[n_parts - 1].n_next = first_blocks(st, item + 1, next);
    en->kern.attn_span[en->kv_kind](w->q, n_q, en->h.head_dim, parts, n_parts, lo, hi,
                                    en->h.attn_softcap, w->acc, w->max, w->sum);
    size_t from = 0;
    for (int i = 0; i < u->n; i++) {
        const struct pass_tile *t = &p->tiles[members[i]];
        size_t n = (size_t)t->n * group;
        size_t at = ((size_t)(t->base[local] + u->span - t->first[local]) * (size_t)en->h.n_kv +
                     (size_t)kv) *
                    (size_t)p->tile_q;
        memcpy(p->sp_acc + at * d, w->acc + from * d, n * d * sizeof *w->acc);
        memcpy(p->sp_max + at, w->max + from, n * sizeof *w->max);
        memcpy(p->sp_sum + at, w->sum + from, n * sizeof *w->sum);
        from += n;
    }
}

void engine_run_attend(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    struct engine_pass *p = st->en->pass;
    bool split = p->split[st->en->h.local[st->il]];
    (split ? attend_unit : attend_whole)(st, chunk, &p->workers[worker]);
}

void engine_run_merge(void *arg, int chunk, int worker)
{
    const struct pass_stage *st = arg;
    const struct engine *en = st->en;
    const struct engine_pass *p = en->pass;
    int n_kv = en->h.n_kv, kv = chunk % n_kv;
    const struct pass_tile *t = &p->tiles[chunk / n_kv];
    (void)worker;
    if (!wanted(st, t))
        return;
    size_t at =
        ((size_t)t->base[en->h.local[st->il]] * (size_t)n_kv + (size_t)kv) * (size_t)p->tile_q;
    merge_tile(st, t, kv, p->sp_acc + at * (size_t)en->h.head_dim, p->sp_max + at, p->sp_sum + at,
               (size_t)n_kv);
}
