/* kern/attn_body.h - attention over KV blocks for vectors of LANES floats; included once by each
 * level's attention file, after headers that define VEC, LANES and the vec_ functions, and for q8
 * blocks QKEY, qkey_load, qkey_dot and Q_OFFSET.
 * The order of operations is that of scalar_attn.c. */

#define INLINE static inline __attribute__((always_inline))
#define PARTS  (16 / LANES) // vectors that hold the 16 tokens of a key tile
#define BATCH  32           // query rows that share a pass over the keys and values
#define STRIP  128          // tokens of the values that are made floats at a time

static const uint16_t *key_tile(const void *const *blocks, int tile, int d)
{
    return (const uint16_t *)blocks[tile / 2] + (size_t)(tile % 2) * 16 * (size_t)d;
}

INLINE int value_size(enum kern_kv kv)
{
    return kv == KERN_KV_F16 ? 2 : 1;
}

/* Value `at` of token t: its address, in either kind of block. */
INLINE const void *value_at(enum kern_kv kv, const void *const *blocks, int t, int d, int at)
{
    return (const char *)blocks[t / 32] + ((KERN_KV_BLOCK + t % 32) * d + at) * value_size(kv);
}

/* The end of the tokens from t on, up to `to`, that lie in one block. */
INLINE int block_end(int t, int to)
{
    return int_min(to, (t / KERN_KV_BLOCK + 1) * KERN_KV_BLOCK);
}

INLINE VEC load_values(enum kern_kv kv, const void *p)
{
    return kv == KERN_KV_F16 ? vec_half(p) : vec_bytes(p);
}

/* Query rows of a batch that stand in registers together: they see something, at most GROUP. */
struct group {
    int n;
    const float *q;                 // [n][d]
    const struct kern_q8_row *code; // [n], the same of q8
    const int *lo, *hi;             // [n]
    int from, to;                   // tokens that any of them sees
    int all_from, all_to;           // tokens that all of them see
    float (*p)[KERN_SPAN];          // [n]
    float *acc;                     // [n][d]
};

/* Calls f with the number of rows as a constant, for loops that are to be unrolled. */
#define BY_ROWS(n, f)                                                                              \
    do {                                                                                           \
        switch (n) {                                                                               \
        case 1: f(1); break;                                                                       \
        case 2: f(2); break;                                                                       \
        case 3: f(3); break;                                                                       \
        case 4: f(4); break;                                                                       \
        case 5: f(int_min(5, GROUP)); break;                                                       \
        case 6: f(int_min(6, GROUP)); break;                                                       \
        case 7: f(int_min(7, GROUP)); break;                                                       \
        default: f(GROUP);                                                                         \
        }                                                                                          \
    } while (0)

/* Where f16 keys and values come from.  Several groups want them as floats: the first makes them so
 * on its way and leaves them to the others. */
enum source { HALVES, HALVES_KEPT, FLOATS };

/* What few query rows wait for is memory.  So with every four lines of keys that they read they ask
 * for four of the keys that come next, and so with values: evenly, since the processor waits for
 * free places when it has asked for too many, and of all blocks side by side, since it is faster at
 * several streams than at the beginnings of many. */
#define FETCH 4
struct fetch {
    const char *const *blocks;
    int n, i;       // blocks; that of the next lines
    size_t at, end; // offset of the next lines; where they end, a multiple of theirs
};

INLINE struct fetch fetch_of(enum kern_kv kv, const struct kern_part *part, int d, bool values)
{
    size_t bytes = (size_t)(KERN_KV_BLOCK * d * value_size(kv)), at = values ? bytes : 0;
    return (struct fetch){.blocks = (const char *const *)part->next,
                          .n = part->n_next,
                          .at = at,
                          .end = part->n_next ? at + bytes : at};
}

INLINE void fetch_lines(struct fetch *f)
{
    if (f->at == f->end)
        return;
    const char *p = f->blocks[f->i] + f->at;
    for (int i = 0; i < FETCH; i++)
        __builtin_prefetch(p + 64 * i, 0, 3);
    if (++f->i == f->n) {
        f->i = 0;
        f->at += 64 * FETCH;
    }
}

/* Scores of `rows` query rows against the key tiles [from, to) (and their neighbours up to a
 * multiple of `tiles`), `tiles` at a time.  floats: those of block from / 2, unless HALVES.
 * (Here and below one outer loop holds the others, because gcc keeps arrays in registers only where
 * loops over them are inner ones.) */
INLINE void score(const float *q, int rows, int d, const void *const *blocks, struct fetch *next,
                  enum source source, float *floats, int from, int to, int tiles,
                  float (*p)[KERN_SPAN])
{
    struct fetch f = source == HALVES ? *next : (struct fetch){0};
    for (int tile = from / tiles * tiles; tile < to; tile += tiles) {
        VEC s[GROUP][2 * PARTS]; // tiles <= 2, of one block
        const uint16_t *halves = key_tile(blocks, tile, d);
        float *kept = source == HALVES ? NULL : floats + tile % 2 * 16 * d;
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < tiles * PARTS; v++)
                s[r][v] = vec_zero();
        for (int i = 0; i < d; i++) {
            if (source == HALVES && i % (2 * FETCH / tiles) == 0) // a tile's keys are d / 2 lines
                fetch_lines(&f);
            for (int v = 0; v < tiles * PARTS; v++) {
                int at = 16 * (v / PARTS * d + i) + v % PARTS * LANES;
                VEC k = source == FLOATS ? vec_load(kept + at) : vec_half(halves + at);
                if (source == HALVES_KEPT)
                    vec_store(kept + at, k);
                for (int r = 0; r < rows; r++)
                    s[r][v] = vec_fma(vec_set1(q[r * d + i]), k, s[r][v]);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < tiles * PARTS; v++)
                vec_store(p[r] + 16 * tile + v * LANES, s[r][v]);
    }
    if (source == HALVES)
        *next = f;
}

/* Scores of coded query rows against key tiles of q8 blocks, as above. */
INLINE void score_coded(const struct kern_q8_row *q, int rows, int d, const void *const *blocks,
                        struct fetch *next, int from, int to, int tiles, float (*p)[KERN_SPAN])
{
    for (int tile = from / tiles * tiles; tile < to; tile += tiles) {
        IVEC s[GROUP][2 * PARTS];
        const uint8_t *block = blocks[tile / 2];
        const uint8_t *keys = block + (size_t)(tile % 2) * 16 * (size_t)d;
        const float *scales = kern_q8_scales(block, d) + tile % 2 * 16;
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < tiles * PARTS; v++)
                s[r][v] = ivec_set1(Q_OFFSET ? -128 * q[r].sum : 0);
        for (int i = 0; i < d; i += 4) {
            if (i % (4 * FETCH / tiles) == 0) // a tile's keys are d / 4 lines
                fetch_lines(next);
            for (int v = 0; v < tiles * PARTS; v++) {
                QKEY k = qkey_load(keys + 16 * (v / PARTS * d + i) + 4 * LANES * (v % PARTS));
                for (int r = 0; r < rows; r++)
                    s[r][v] = qkey_dot(s[r][v], k, q[r].codes + i);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < tiles * PARTS; v++)
                vec_store(p[r] + 16 * tile + v * LANES,
                          vec_mul(vec_mul(vec_from_int(s[r][v]), vec_load(scales + v * LANES)),
                                  vec_set1(q[r].d)));
    }
}

/* Tiles at once: as many as the registers hold. */
#define SCORE_TILES(rows) ((rows) <= 2 ? 2 : TILES)
#define SCORE(rows)                                                                                \
    score(g->q, rows, d, blocks, next, HALVES, NULL, from, to, SCORE_TILES(rows), g->p)
#define SCORE_KEPT(rows)                                                                           \
    score(g->q, rows, d, blocks, NULL, HALVES_KEPT, floats, from, to, SCORE_TILES(rows), g->p)
#define SCORE_FLOATS(rows)                                                                         \
    score(g->q, rows, d, blocks, NULL, FLOATS, floats, from, to, SCORE_TILES(rows), g->p)
#define SCORE_CODED(rows)                                                                          \
    score_coded(g->code, rows, d, blocks, next, from, to, SCORE_TILES(rows), g->p)

static void score_group(enum kern_kv kv, const struct group *g, int d, const void *const *blocks,
                        struct fetch *next)
{
    int from = g->from / 16, to = (g->to + 15) / 16;
    if (kv == KERN_KV_Q8)
        BY_ROWS(g->n, SCORE_CODED);
    else
        BY_ROWS(g->n, SCORE);
}

/* The same for several groups over f16 blocks, block by block. */
static void score_groups(const struct group *groups, int n, int d, const void *const *blocks)
{
    _Alignas(64) float floats[KERN_KV_BLOCK * KERN_HEAD_MAX];
    for (int from = 0; from < KERN_SPAN / 16; from += 2) {
        bool kept = false;
        int to = from + 2;
        for (const struct group *g = groups; g < groups + n; g++) {
            if (g->from >= 16 * to || g->to <= 16 * from)
                continue;
            if (kept)
                BY_ROWS(g->n, SCORE_FLOATS);
            else
                BY_ROWS(g->n, SCORE_KEPT);
            kept = true;
        }
    }
}

/* The values' scales join the probabilities of tokens [lo, hi). */
static void scale_values(float *p, int lo, int hi, const void *const *blocks, int d)
{
    for (int t = lo / 16 * 16; t < hi && lo < hi; t += LANES) {
        const float *scales = kern_q8_scales(blocks[t / 32], d) + 32 + t % 32;
        vec_store(p + t, vec_mul(vec_load(p + t), vec_load(scales)));
    }
}

/* The greatest score of tokens [lo, hi) of one row; the others of their tiles become -infinity. */
INLINE float greatest(float *p, int lo, int hi, float softcap)
{
    VEC top[PARTS];
    for (int v = 0; v < PARTS; v++)
        top[v] = vec_set1(-INFINITY);
    for (int t = lo / 16 * 16; t < hi; t += 16)
        for (int v = 0; v < PARTS; v++) {
            int at = t + v * LANES;
            VEC s = vec_load(p + at);
            if (softcap > 0)
                s = vec_mul(vec_set1(softcap), vec_tanh(vec_div(s, vec_set1(softcap))));
            if (at < lo || at + LANES > hi)
                s = vec_window(s, lo - at, hi - at);
            vec_store(p + at, s);
            top[v] = vec_max(s, top[v]); // which a NaN never gets into
        }
    for (int v = 1; v < PARTS; v++)
        top[0] = vec_max(top[0], top[v]);
    return vec_top(top[0]) + 0.0f; // not -0
}

/* From scores to exponentials, in place; returns their sum. */
INLINE float exponentials(float *p, int lo, int hi, float max)
{
    VEC lanes[PARTS];
    for (int v = 0; v < PARTS; v++)
        lanes[v] = vec_zero();
    for (int t = lo / 16 * 16; t < hi; t += 16)
        for (int v = 0; v < PARTS; v++) {
            VEC e = vec_exp(vec_sub(vec_load(p + t + v * LANES), vec_set1(max)));
            vec_store(p + t + v * LANES, e);
            lanes[v] = vec_add(lanes[v], e);
        }
    return vec_sum16(lanes);
}

/* Of n rows p [n][256].  First all maxima: nothing else waits for them then. */
static void softmax(float (*p)[KERN_SPAN], int n, const int *lo, const int *hi, float softcap,
                    float *max, float *sum)
{
    for (int r = 0; r < n; r++)
        max[r] = greatest(p[r], lo[r], hi[r], softcap);
    for (int r = 0; r < n; r++)
        sum[r] = exponentials(p[r], lo[r], hi[r], max[r]);
}

/* acc [rows][d] += p times values over tokens [from, to), columns [at, end), n vectors at a time;
 * returns the first column left over. */
INLINE int mix(enum kern_kv kv, float (*p)[KERN_SPAN], int rows, int d, const void *const *blocks,
               struct fetch *next, int from, int to, int at, int n, float *acc)
{
    const int size = value_size(kv), lines = int_max(1, n * LANES * size / 64);
    struct fetch f = *next;
    for (; at + n * LANES <= d; at += n * LANES) {
        VEC s[GROUP][8];
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++)
                s[r][v] = vec_load(acc + r * d + at + v * LANES);
        for (int t = from; t < to;) {
            const char *value = value_at(kv, blocks, t, d, at);
            int end = block_end(t, to);
            for (; t < end; t++, value += d * size) {
                if (t % int_max(1, FETCH / lines) == 0)
                    fetch_lines(&f);
                for (int v = 0; v < n; v++) {
                    VEC x = load_values(kv, value + v * LANES * size);
                    for (int r = 0; r < rows; r++)
                        s[r][v] = vec_fma(vec_set1(p[r][t]), x, s[r][v]);
                }
            }
        }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++)
                vec_store(acc + r * d + at + v * LANES, s[r][v]);
    }
    *next = f;
    return at;
}

/* The columns [at, d) that fill no vector. */
static void mix_rest(enum kern_kv kv, float (*p)[KERN_SPAN], int rows, int d,
                     const void *const *blocks, int from, int to, int at, float *acc)
{
    for (; at < d; at++) // d is a multiple of 8
        for (int r = 0; r < rows; r++)
            for (int t = from; t < to; t++) {
                const void *value = value_at(kv, blocks, t, d, at);
                float v = kv == KERN_KV_F16 ? f16_to_f32(*(const uint16_t *)value)
                                            : (float)*(const int8_t *)value;
                acc[r * d + at] = fmaf(p[r][t], v, acc[r * d + at]);
            }
}

INLINE void mix_rows(enum kern_kv kv, float (*p)[KERN_SPAN], int rows, int d,
                     const void *const *blocks, struct fetch *next, int from, int to, float *acc)
{
    const int wide = rows == 1 ? 8 : rows == 2 ? 4 : rows <= 4 ? WIDE : 2;
    if (from >= to)
        return;
    int at = mix(kv, p, rows, d, blocks, next, from, to, 0, wide, acc);
    at = mix(kv, p, rows, d, blocks, next, from, to, at, 1, acc);
    mix_rest(kv, p, rows, d, blocks, from, to, at, acc);
}

/* One strip of values for a group: tokens [from, to), n vectors of columns from `at` on; floats:
 * the same, token by token. */
INLINE void mix_strip(enum kern_kv kv, float (*p)[KERN_SPAN], int rows, int d,
                      const void *const *blocks, enum source source, float *floats, int from,
                      int to, int at, int n, float *acc)
{
    const int size = value_size(kv);
    VEC s[GROUP][2]; // n <= 2
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++)
            s[r][v] = vec_load(acc + r * d + at + v * LANES);
    for (int t = from; t < to;) {
        const char *value = source == FLOATS ? NULL : value_at(kv, blocks, t, d, at);
        int end = source == FLOATS ? to : block_end(t, to);
        for (; t < end; t++, value += source == FLOATS ? 0 : d * size, floats += n * LANES)
            for (int v = 0; v < n; v++) {
                VEC x = source == FLOATS ? vec_load(floats + v * LANES)
                                         : load_values(kv, value + v * LANES * size);
                if (source == HALVES_KEPT)
                    vec_store(floats + v * LANES, x);
                for (int r = 0; r < rows; r++)
                    s[r][v] = vec_fma(vec_set1(p[r][t]), x, s[r][v]);
            }
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < n; v++)
            vec_store(acc + r * d + at + v * LANES, s[r][v]);
}

#define MIX(rows) mix_rows(kv, g->p, rows, d, blocks, next, g->all_from, g->all_to, g->acc)
#define MIX_KEPT(rows)                                                                             \
    mix_strip(kv, g->p, rows, d, blocks, HALVES_KEPT, floats, from, to, at, n, g->acc)
#define MIX_FLOATS(rows)                                                                           \
    mix_strip(kv, g->p, rows, d, blocks, FLOATS, values, first, last, at, n, g->acc)

/* Tokens that some rows of the group see and others do not. */
INLINE void mix_alone(enum kern_kv kv, const struct group *g, int d, const void *const *blocks,
                      bool before)
{
    struct fetch none = {0};
    for (int r = 0; r < g->n; r++)
        mix_rows(kv, g->p + r, 1, d, blocks, &none, before ? g->lo[r] : g->all_to,
                 before ? int_min(g->all_from, g->hi[r]) : g->hi[r], g->acc + r * d);
}

static void mix_group(enum kern_kv kv, const struct group *g, int d, const void *const *blocks,
                      struct fetch *next)
{
    BY_ROWS(g->n, MIX);
}

/* Tokens [from, to), no more than a strip, and columns [at, at + n vectors) for several groups. */
INLINE void mix_columns(enum kern_kv kv, const struct group *groups, int n_groups, int d,
                        const void *const *blocks, int from, int to, int at, int n)
{
    _Alignas(64) float floats[STRIP * 2 * LANES];
    const struct group *lead = NULL; // sees all of it
    for (const struct group *g = groups; g < groups + n_groups && !lead; g++)
        if (g->all_from <= from && g->all_to >= to)
            lead = g;
    if (lead) {
        const struct group *g = lead;
        BY_ROWS(g->n, MIX_KEPT);
    } else {
        for (int t = from; t < to; t++)
            for (int v = 0; v < n; v++)
                vec_store(floats + ((t - from) * n + v) * LANES,
                          load_values(kv, value_at(kv, blocks, t, d, at + v * LANES)));
    }
    for (const struct group *g = groups; g < groups + n_groups; g++) {
        int first = int_max(g->all_from, from), last = int_min(g->all_to, to);
        float *values = floats + (first - from) * n * LANES;
        if (g != lead && first < last)
            BY_ROWS(g->n, MIX_FLOATS);
    }
}

static void mix_groups(enum kern_kv kv, const struct group *groups, int n, int d,
                       const void *const *blocks)
{
    int from = KERN_SPAN, to = 0, at = 0;
    for (const struct group *g = groups; g < groups + n; g++)
        if (g->all_from < g->all_to) {
            from = int_min(from, g->all_from);
            to = int_max(to, g->all_to);
        }
    for (; at + LANES <= d; at += 2 * LANES)
        for (int begin = from; begin < to; begin += STRIP) {
            int end = int_min(begin + STRIP, to);
            if (at + 2 * LANES <= d)
                mix_columns(kv, groups, n, d, blocks, begin, end, at, 2);
            else
                mix_columns(kv, groups, n, d, blocks, begin, end, at, 1);
        }
    at = d / LANES * LANES;
    for (const struct group *g = groups; g < groups + n; g++)
        mix_rest(kv, g->p, g->n, d, blocks, g->all_from, g->all_to, at, g->acc);
}

/* Zeros n floats, a multiple of 8: memset's string instruction takes longer. */
static void clear(float *x, int n)
{
    int i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_store(x + i, vec_zero());
    for (; i < n; i++)
        x[i] = 0;
}

/* What a batch of query rows shares. */
struct batch {
    enum kern_kv kv;
    int n, d;                       // n <= BATCH
    const float *q;                 // [n][d]
    const struct kern_q8_row *code; // [n], the same of q8
    const int *lo, *hi;             // [n]
    float (*p)[KERN_SPAN];          // [n]
    float *acc;                     // [n][d]
};

/* The rows of a batch that a part is of, in groups of about the same size. */
struct groups {
    int n;
    const struct kern_part *part;
    int lo[BATCH], hi[BATCH]; // of the batch's rows, within the part
    struct group of[BATCH];
};

/* row0: the batch's first row among those that parts count. */
static void make_groups(struct groups *out, const struct batch *b, const struct kern_part *part,
                        int row0)
{
    int row = int_max(part->row - row0, 0), end = int_min(part->row + part->n - row0, b->n);
    out->n = end > row ? (end - row + GROUP - 1) / GROUP : 0;
    out->part = part;
    for (int r = row; r < end; r++) {
        out->lo[r] = int_max(b->lo[r], part->from);
        out->hi[r] = int_max(int_min(b->hi[r], part->to), out->lo[r]);
    }
    for (int i = 0; i < out->n; i++) {
        struct group *g = &out->of[i];
        *g = (struct group){.n = (end - row) / (out->n - i),
                            .q = b->q + row * b->d,
                            .code = b->code + row,
                            .lo = out->lo + row,
                            .hi = out->hi + row,
                            .from = KERN_SPAN,
                            .all_to = KERN_SPAN,
                            .p = b->p + row,
                            .acc = b->acc + row * b->d};
        for (int r = 0; r < g->n; r++) {
            if (g->lo[r] < g->hi[r]) {
                g->from = int_min(g->from, g->lo[r]);
                g->to = int_max(g->to, g->hi[r]);
            }
            g->all_from = int_max(g->all_from, g->lo[r]);
            g->all_to = int_min(g->all_to, g->hi[r]);
        }
        if (g->all_from > g->all_to) // nothing: all that they see comes before
            g->all_from = g->all_to = KERN_SPAN;
        row += g->n;
    }
}

static void score_part(const struct batch *b, const struct groups *g)
{
    const void *const *blocks = g->part->blocks;
    struct fetch next = fetch_of(b->kv, g->part, b->d, false);
    if (b->kv == KERN_KV_F16 && g->n > 1)
        score_groups(g->of, g->n, b->d, blocks);
    else
        for (int i = 0; i < g->n; i++)
            score_group(b->kv, &g->of[i], b->d, blocks, &next);
}

INLINE void mix_part(enum kern_kv kv, const struct batch *b, const struct groups *g)
{
    const void *const *blocks = g->part->blocks;
    struct fetch next = fetch_of(kv, g->part, b->d, true);
    for (int i = 0; i < g->n; i++)
        mix_alone(kv, &g->of[i], b->d, blocks, true);
    if (g->n > 1)
        mix_groups(kv, g->of, g->n, b->d, blocks);
    else if (g->n)
        mix_group(kv, g->of, b->d, blocks, &next);
    for (int i = 0; i < g->n; i++)
        mix_alone(kv, &g->of[i], b->d, blocks, false);
}

/* n rows, each of which sees something. */
INLINE void attend(enum kern_kv kv, const float *q, int n, int d, const struct kern_part *parts,
                   int n_parts, int row0, const int *lo, const int *hi, float softcap, float *acc,
                   float *max, float *sum)
{
    _Alignas(64) float p[BATCH][KERN_SPAN];
    struct kern_q8_row code[BATCH];
    struct groups part;
    const struct batch b = {kv, n, d, q, code, lo, hi, p, acc};
    for (int r = 0; r < n && kv == KERN_KV_Q8; r++)
        Q8_CODE(q + r * d, d, &code[r]);
    for (int i = 0; i < n_parts; i++) {
        make_groups(&part, &b, &parts[i], row0);
        score_part(&b, &part);
    }
    softmax(p, n, lo, hi, softcap, max, sum);
    clear(acc, n * d);
    for (int i = 0; i < n_parts; i++) {
        if (n_parts > 1)
            make_groups(&part, &b, &parts[i], row0);
        for (const struct group *g = part.of; g < part.of + part.n && kv == KERN_KV_Q8; g++)
            for (int r = 0; r < g->n; r++)
                scale_values(g->p[r], g->lo[r], g->hi[r], parts[i].blocks, d);
        mix_part(kv, &b, &part);
    }
}

INLINE void attend_rows(enum kern_kv kv, const float *q, int n_q, int d,
                        const struct kern_part *parts, int n_parts, const int *lo, const int *hi,
                        float softcap, float *acc, float *max, float *sum)
{
    for (int i = 0; i < n_q;) {
        int n = 0;
        while (n < BATCH && i + n < n_q && lo[i + n] < hi[i + n])
            n++;
        if (n > 0) {
            attend(kv, q + i * d, n, d, parts, n_parts, i, lo + i, hi + i, softcap, acc + i * d,
                   max + i, sum + i);
        } else { // this one sees nothing
            clear(acc + i * d, d);
            max[i] = -INFINITY;
            sum[i] = 0;
            n = 1;
        }
        i += n;
    }
}

static void attn_span_q8(const float *q, int n_q, int d, const struct kern_part *parts, int n_parts,
                         const int *lo, const int *hi, float softcap, float *acc, float *max,
                         float *sum)
{
    attend_rows(KERN_KV_Q8, q, n_q, d, parts, n_parts, lo, hi, softcap, acc, max, sum);
}

#if !defined(ATTN_Q8_ONLY)
static void attn_span_f16(const float *q, int n_q, int d, const struct kern_part *parts,
                          int n_parts, const int *lo, const int *hi, float softcap, float *acc,
                          float *max, float *sum)
{
    attend_rows(KERN_KV_F16, q, n_q, d, parts, n_parts, lo, hi, softcap, acc, max, sum);
}

static void attn_merge(const float *acc, size_t acc_stride, const float *max, const float *sum,
                       size_t stat_stride, int n_spans, int d, float *out)
{
    float top = -INFINITY, total = 0;
    for (int s = 0; s < n_spans; s++)
        top = max[(size_t)s * stat_stride] > top ? max[(size_t)s * stat_stride] : top;
    clear(out, d);
    for (int s = 0; s < n_spans; s++) {
        float part = sum[(size_t)s * stat_stride];
        const float *a = acc + (size_t)s * acc_stride;
        int i = 0;
        if (part == 0) // nothing was seen in this span
            continue;
        float w = kern_exp(max[(size_t)s * stat_stride] - top);
        total = fmaf(w, part, total);
        for (; i + LANES <= d; i += LANES)
            vec_store(out + i, vec_fma(vec_set1(w), vec_load(a + i), vec_load(out + i)));
        for (; i < d; i++)
            out[i] = fmaf(w, a[i], out[i]);
    }
    float scale = total > 0 ? 1.0f / total : total; // a NaN stays one
    int i = 0;
    for (; i + LANES <= d; i += LANES)
        vec_store(out + i, vec_mul(vec_load(out + i), vec_set1(scale)));
    for (; i < d; i++)
        out[i] *= scale;
}

typedef uint16_t EIGHT __attribute__((vector_size(16)));

INLINE EIGHT eight_halves(const float *x)
{
    uint16_t halves[8];
    EIGHT v;
    store_halves8(halves, x);
    memcpy(&v, halves, sizeof v);
    return v;
}

/* The keys of n tokens, 1 or 8, that lie in one tile: a column of it is a dimension.  Of eight
 * tokens eight dimensions are turned over at once, by interleaving halves of the rows three times.
 */
INLINE void store_keys(uint16_t *tile, int n, const float *k, size_t stride, int d)
{
    for (int i = 0; i < d; i += 8) {
        EIGHT row[8], twin[8];
        for (int t = 0; t < n; t++)
            row[t] = eight_halves(k + (size_t)t * stride + i);
        if (n == 1) {
            for (int j = 0; j < 8; j++)
                tile[16 * (i + j)] = row[0][j];
            continue;
        }
#pragma GCC unroll 3
        for (int round = 0; round < 3; round++) {
            for (int j = 0; j < 4; j++) {
                twin[2 * j] = __builtin_shufflevector(row[j], row[j + 4], 0, 8, 1, 9, 2, 10, 3, 11);
                twin[2 * j + 1] =
                    __builtin_shufflevector(row[j], row[j + 4], 4, 12, 5, 13, 6, 14, 7, 15);
            }
            memcpy(row, twin, sizeof row);
        }
        for (int j = 0; j < 8; j++)
            memcpy(tile + 16 * (i + j), &row[j], sizeof row[j]);
    }
}

static void kv_store_f16(void *block, int slot, int n, const float *k, const float *v,
                         size_t stride, int d)
{
    uint16_t *values = (uint16_t *)block + (size_t)((KERN_KV_BLOCK + slot) * d);
    for (int t = 0; t < n; t++)
        for (int i = 0; i < d; i += 8)
            store_halves8(values + t * d + i, v + (size_t)t * stride + i);
    for (int end = slot + n, m; slot < end; slot += m, k += (size_t)m * stride) {
        uint16_t *tile = (uint16_t *)block + (size_t)(slot / 16 * 16 * d + slot % 16);
        m = end - slot >= 8 && slot % 16 <= 8 ? 8 : 1;
        if (m == 8)
            store_keys(tile, 8, k, stride, d);
        else
            store_keys(tile, 1, k, stride, d);
    }
}

static void kv_store_q8(void *block, int slot, int n, const float *k, const float *v, size_t stride,
                        int d)
{
    struct kern_q8_row row;
    for (int end = slot + n; slot < end; slot++, k += stride, v += stride) {
        Q8_CODE(k, d, &row);
        kern_q8_put_key(block, slot, &row, d);
        Q8_CODE(v, d, &row);
        kern_q8_put_value(block, slot, &row, d);
    }
}
#endif
