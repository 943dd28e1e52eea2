/* kern/attn_body.h - attention over KV blocks for vectors of LANES floats; included once by each
 * level's attention file, after headers that define VEC, LANES and the vec_ functions, and for q8
 * blocks QKEY, qkey_load, qkey_dot and Q_OFFSET.
 * The order of operations is that of scalar_attn.c. */

#define INLINE static inline __attribute__((always_inline))
#define PARTS  (16 / LANES) // vectors that hold the 16 tokens of a key tile
#define ROWS   4            // query rows that share a pass over the keys and values

static const uint16_t *key_tile(const void *const *blocks, int tile, int d)
{
    return (const uint16_t *)blocks[tile / 2] + (size_t)(tile % 2) * 16 * (size_t)d;
}

/* Value `at` of token t: its address, in either kind of block. */
INLINE const void *value_at(enum kern_kv kv, const void *const *blocks, int t, int d, int at)
{
    size_t i = (size_t)(KERN_KV_BLOCK + t % 32) * (size_t)d + (size_t)at;
    return (const unsigned char *)blocks[t / 32] + i * (kv == KERN_KV_F16 ? 2 : 1);
}

INLINE VEC load_values(enum kern_kv kv, const void *p)
{
    return kv == KERN_KV_F16 ? vec_half(p) : vec_bytes(p);
}

/* Scores of `rows` query rows against the key tiles [from, to), `tiles` at a time.  (Here and below
 * one outer loop holds the others, because gcc keeps arrays in registers only where loops over them
 * are inner ones.) */
INLINE void score(const float *q, int rows, int d, const void *const *blocks, int from, int to,
                  int tiles, float (*p)[KERN_SPAN])
{
    for (int tile = from; tile < to; tile += tiles) {
        VEC s[ROWS][2 * PARTS]; // tiles <= 2
        const uint16_t *keys[2] = {key_tile(blocks, tile, d), NULL};
        if (tiles == 2)
            keys[1] = key_tile(blocks, tile + 1, d);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < tiles * PARTS; v++)
                s[r][v] = vec_zero();
        for (int i = 0; i < d; i++)
            for (int v = 0; v < tiles * PARTS; v++) {
                VEC k = vec_half(keys[v / PARTS] + 16 * i + v % PARTS * LANES);
                for (int r = 0; r < rows; r++)
                    s[r][v] = vec_fma(vec_set1(q[r * d + i]), k, s[r][v]);
            }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < tiles * PARTS; v++)
                vec_store(p[r] + 16 * tile + v * LANES, s[r][v]);
    }
}

INLINE void score_f16(const float *q, int rows, int d, const void *const *blocks, int from, int to,
                      float (*p)[KERN_SPAN])
{
    int tiles = rows <= 2 ? 2 : TILES; // as many as the registers hold
    int last = from + (to - from) / tiles * tiles;
    switch (rows) {
    case 1:
        score(q, 1, d, blocks, from, last, 2, p);
        score(q, 1, d, blocks, last, to, 1, p);
        break;
    case 2:
        score(q, 2, d, blocks, from, last, 2, p);
        score(q, 2, d, blocks, last, to, 1, p);
        break;
    case 3:
        score(q, 3, d, blocks, from, last, TILES, p);
        score(q, 3, d, blocks, last, to, 1, p);
        break;
    default: score(q, 4, d, blocks, from, last, TILES, p); score(q, 4, d, blocks, last, to, 1, p);
    }
}

/* Scores of `rows` coded query rows against the key tiles [from, to) of q8 blocks. */
INLINE void score_tiles_q8(const struct kern_q8_row *q, int rows, int d, const void *const *blocks,
                           int from, int to, float (*p)[KERN_SPAN])
{
    for (int tile = from; tile < to; tile++) {
        IVEC s[ROWS][PARTS];
        const uint8_t *block = blocks[tile / 2];
        const uint8_t *keys = block + (size_t)(tile % 2) * 16 * (size_t)d;
        const float *scales = kern_q8_scales(block, d) + tile % 2 * 16;
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < PARTS; v++)
                s[r][v] = ivec_set1(Q_OFFSET ? -128 * q[r].sum : 0);
        for (int i = 0; i < d; i += 4)
            for (int v = 0; v < PARTS; v++) {
                QKEY k = qkey_load(keys + 16 * i + 4 * LANES * v);
                for (int r = 0; r < rows; r++)
                    s[r][v] = qkey_dot(s[r][v], k, q[r].codes + i);
            }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < PARTS; v++)
                vec_store(p[r] + 16 * tile + v * LANES,
                          vec_mul(vec_mul(vec_from_int(s[r][v]), vec_load(scales + v * LANES)),
                                  vec_set1(q[r].d)));
    }
}

static void score_q8(const float *q, int rows, int d, const void *const *blocks, int from, int to,
                     float (*p)[KERN_SPAN])
{
    struct kern_q8_row coded[ROWS];
    for (int r = 0; r < rows; r++)
        Q8_CODE(q + r * d, d, &coded[r]);
    switch (rows) {
    case 1: score_tiles_q8(coded, 1, d, blocks, from, to, p); break;
    case 2: score_tiles_q8(coded, 2, d, blocks, from, to, p); break;
    case 3: score_tiles_q8(coded, 3, d, blocks, from, to, p); break;
    default: score_tiles_q8(coded, 4, d, blocks, from, to, p);
    }
}

/* The values' scales join the probabilities of tokens [lo, hi). */
static void scale_values(float *p, int lo, int hi, const void *const *blocks, int d)
{
    for (int t = lo / 16 * 16; t < hi; t += LANES) {
        const float *scales = kern_q8_scales(blocks[t / 32], d) + 32 + t % 32;
        vec_store(p + t, vec_mul(vec_load(p + t), vec_load(scales)));
    }
}

/* From scores to exponentials: p [256] in place, for tokens [lo, hi) of one row. */
static void softmax(float *p, int lo, int hi, float softcap, float *max, float *sum)
{
    int from = lo / 16 * 16;
    VEC top = vec_set1(-INFINITY), lanes[PARTS];
    float tops[LANES], m = -INFINITY;
    for (int t = from; t < hi; t += LANES) {
        VEC s = vec_load(p + t);
        if (softcap > 0)
            s = vec_mul(vec_set1(softcap), vec_tanh(vec_div(s, vec_set1(softcap))));
        if (t < lo || t + LANES > hi)
            s = vec_window(s, lo - t, hi - t); // -infinity outside
        vec_store(p + t, s);
        top = vec_max(s, top);
    }
    vec_store(tops, top);
    for (int i = 0; i < LANES; i++)
        m = tops[i] > m ? tops[i] : m;
    m += 0.0f; // not -0
    for (int v = 0; v < PARTS; v++)
        lanes[v] = vec_zero();
    for (int t = from; t < hi; t += LANES) {
        VEC e = vec_exp(vec_sub(vec_load(p + t), vec_set1(m)));
        vec_store(p + t, e);
        int v = t / LANES % PARTS;
        lanes[v] = vec_add(lanes[v], e);
    }
    *max = m;
    *sum = vec_sum16(lanes);
}

/* acc [rows][d] += p times values over tokens [from, to), columns [at, end), n vectors at a time;
 * returns the first column left over. */
INLINE int mix(enum kern_kv kv, float (*const *p)[KERN_SPAN], int rows, int d,
               const void *const *blocks, int from, int to, int at, int n, float *const *acc)
{
    for (; at + n * LANES <= d; at += n * LANES) {
        VEC s[ROWS][8];
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++)
                s[r][v] = vec_load(acc[r] + at + v * LANES);
        for (int t = from; t < to; t++) {
            for (int v = 0; v < n; v++) {
                VEC value = load_values(kv, value_at(kv, blocks, t, d, at + v * LANES));
                for (int r = 0; r < rows; r++)
                    s[r][v] = vec_fma(vec_set1((*p[r])[t]), value, s[r][v]);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < n; v++)
                vec_store(acc[r] + at + v * LANES, s[r][v]);
    }
    return at;
}

INLINE void mix_rows(enum kern_kv kv, float (*const *p)[KERN_SPAN], int rows, int d,
                     const void *const *blocks, int from, int to, float *const *acc)
{
    const int wide = rows == 1 ? 8 : rows == 2 ? 4 : WIDE;
    int at = 0;
    if (from >= to)
        return;
    at = mix(kv, p, rows, d, blocks, from, to, at, wide, acc);
    at = mix(kv, p, rows, d, blocks, from, to, at, 1, acc);
    for (; at < d; at++) // d is a multiple of 8
        for (int r = 0; r < rows; r++)
            for (int t = from; t < to; t++) {
                const void *value = value_at(kv, blocks, t, d, at);
                float v = kv == KERN_KV_F16 ? f16_to_f32(*(const uint16_t *)value)
                                            : (float)*(const int8_t *)value;
                acc[r][at] = fmaf((*p[r])[t], v, acc[r][at]);
            }
}

/* Rows that see something, at most ROWS of them. */
struct rows {
    int n;
    const float *q;
    const int *lo, *hi;
    float *acc, *max, *sum;
};

INLINE void mix_all(enum kern_kv kv, const struct rows *g, int d, const void *const *blocks,
                    float (*scores)[KERN_SPAN])
{
    float(*p[ROWS])[KERN_SPAN], *acc[ROWS];
    int from = 0, to = KERN_SPAN;
    for (int r = 0; r < g->n; r++) {
        p[r] = &scores[r];
        acc[r] = g->acc + (size_t)r * (size_t)d;
        memset(acc[r], 0, (size_t)d * sizeof *acc[r]);
        from = int_max(from, g->lo[r]);
        to = int_min(to, g->hi[r]);
    }
    if (g->n == 1 || from >= to) {
        for (int r = 0; r < g->n; r++)
            mix_rows(kv, p + r, 1, d, blocks, g->lo[r], g->hi[r], acc + r);
        return;
    }
    // what all see together, and before and after it what each sees alone
    for (int r = 0; r < g->n; r++)
        mix_rows(kv, p + r, 1, d, blocks, g->lo[r], from, acc + r);
    switch (g->n) {
    case 2: mix_rows(kv, p, 2, d, blocks, from, to, acc); break;
    case 3: mix_rows(kv, p, 3, d, blocks, from, to, acc); break;
    default: mix_rows(kv, p, 4, d, blocks, from, to, acc);
    }
    for (int r = 0; r < g->n; r++)
        mix_rows(kv, p + r, 1, d, blocks, to, g->hi[r], acc + r);
}

INLINE void attend(enum kern_kv kv, const struct rows *g, int d, const void *const *blocks,
                   float softcap)
{
    _Alignas(64) float p[ROWS][KERN_SPAN];
    int from = KERN_SPAN, to = 0;
    for (int r = 0; r < g->n; r++) {
        from = int_min(from, g->lo[r]);
        to = int_max(to, g->hi[r]);
    }
    if (kv == KERN_KV_F16)
        score_f16(g->q, g->n, d, blocks, from / 16, (to + 15) / 16, p);
    else
        score_q8(g->q, g->n, d, blocks, from / 16, (to + 15) / 16, p);
    for (int r = 0; r < g->n; r++) {
        softmax(p[r], g->lo[r], g->hi[r], softcap, g->max + r, g->sum + r);
        if (kv == KERN_KV_Q8)
            scale_values(p[r], g->lo[r], g->hi[r], blocks, d);
    }
    mix_all(kv, g, d, blocks, p);
}

INLINE void attend_rows(enum kern_kv kv, const float *q, int n_q, int d, const void *const *blocks,
                        const int *lo, const int *hi, float softcap, float *acc, float *max,
                        float *sum)
{
    for (int i = 0; i < n_q;) {
        struct rows g = {0, q + i * d, lo + i, hi + i, acc + i * d, max + i, sum + i};
        while (g.n < ROWS && i + g.n < n_q && g.lo[g.n] < g.hi[g.n])
            g.n++;
        if (g.n == 0) { // this one sees nothing
            memset(g.acc, 0, (size_t)d * sizeof *g.acc);
            *g.max = -INFINITY;
            *g.sum = 0;
            i++;
            continue;
        }
        attend(kv, &g, d, blocks, softcap);
        i += g.n;
    }
}

static void attn_span_q8(const float *q, int n_q, int d, const void *const *blocks, int n_blocks,
                         const int *lo, const int *hi, float softcap, float *acc, float *max,
                         float *sum)
{
    (void)n_blocks;
    attend_rows(KERN_KV_Q8, q, n_q, d, blocks, lo, hi, softcap, acc, max, sum);
}

#if !defined(ATTN_Q8_ONLY)
static void attn_span_f16(const float *q, int n_q, int d, const void *const *blocks, int n_blocks,
                          const int *lo, const int *hi, float softcap, float *acc, float *max,
                          float *sum)
{
    (void)n_blocks;
    attend_rows(KERN_KV_F16, q, n_q, d, blocks, lo, hi, softcap, acc, max, sum);
}

static void attn_merge(const float *acc, size_t acc_stride, const float *max, const float *sum,
                       size_t stat_stride, int n_spans, int d, float *out)
{
    float top = -INFINITY, total = 0;
    for (int s = 0; s < n_spans; s++)
        top = max[(size_t)s * stat_stride] > top ? max[(size_t)s * stat_stride] : top;
    memset(out, 0, (size_t)d * sizeof *out);
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
    for (int i = 0; i < d; i++)
        out[i] *= scale;
}

static void kv_store_f16(void *block, int slot, const float *k, const float *v, int d)
{
    uint16_t *keys = (uint16_t *)block + (size_t)(slot / 16 * 16 * d + slot % 16);
    uint16_t *values = (uint16_t *)block + (size_t)((KERN_KV_BLOCK + slot) * d);
    for (int i = 0; i < d; i += 8) {
        uint16_t eight[8];
        store_halves8(eight, k + i);
        for (int j = 0; j < 8; j++)
            keys[16 * (i + j)] = eight[j];
        store_halves8(values + i, v + i);
    }
}

static void kv_store_q8(void *block, int slot, const float *k, const float *v, int d)
{
    struct kern_q8_row row;
    Q8_CODE(k, d, &row);
    kern_q8_put_key(block, slot, &row, d);
    Q8_CODE(v, d, &row);
    kern_q8_put_value(block, slot, &row, d);
}
#endif
