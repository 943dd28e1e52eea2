/* kern/avx512vnni_mm.c - packed matrix times coded activations with AVX-512 VNNI: 16 rows, one a
 * lane, times up to 12 tokens, or 32 rows times up to 6.
 *
 * Activations come from memory as broadcasts: one by shuffle would take one of the two ports that
 * multiply.  Tokens advance in lockstep, so that their sums are as many independent chains.  Up to
 * FUSED tokens the weights are unpacked into registers and used at once, with prefetches far ahead;
 * above that, segments of 256 columns of two panels are unpacked to memory and shared by all
 * tokens, and an activation is broadcast once for both. */
#include "kern/kern_int.h"

#if defined(__AVX512VNNI__)

#include "kern/avx512vnni_path.h"

#define FUSED       12                // most tokens of the fused path
#define CHUNK_BYTES ((size_t)1 << 20) // of activations that stay in the second-level cache

static const struct vnni_path *path_of(const struct kern_mat *m)
{
    return &(m->act == KERN_ACT_Q32 ? kern_vnni512_paths32 : kern_vnni512_paths256)[m->type];
}

INLINE __m512 float_weights(int type, const uint8_t *lines, int k)
{
    if (type == KERN_TYPE_F32)
        return _mm512_load_ps(lines + 64 * (size_t)k);
    if (type == KERN_TYPE_F16)
        return halves(lines + 32 * (size_t)k);
    __m512i pair = _mm512_load_si512(lines + 32 * (size_t)(k & ~1));
    if (k % 2)
        return _mm512_castsi512_ps(_mm512_and_si512(pair, _mm512_set1_epi32((int)0xffff0000)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
}

/* nt tokens times panels [from, to) of floats, np at a time. */
INLINE void float_tile(int type, const struct kern_mat *m, int from, int to, int np,
                       const uint8_t *x0, size_t stride, int nt, float *y, size_t y_stride)
{
    const int cols = m->cols + m->cols % 2, size = type == KERN_TYPE_F32 ? 64 : 32;
    for (int panel = from; panel < to; panel += np) {
        const uint8_t *lines[4];
        const float *x[TILE];
        __m512 acc[4][TILE];
        for (int p = 0; p < np; p++) {
            lines[p] = m->lines + (size_t)(panel + p) * m->panel_lines;
            for (int t = 0; t < nt; t++)
                acc[p][t] = _mm512_setzero_ps();
        }
        for (int t = 0; t < nt; t++)
            x[t] = (const float *)(x0 + (size_t)t * stride);
        for (int k0 = 0; k0 < cols; k0 += 256) {
            __m512 f[4][TILE];
            for (int p = 0; p < np; p++)
                for (int t = 0; t < nt; t++)
                    f[p][t] = _mm512_setzero_ps();
            for (int n = int_min(256, cols - k0); n > 0; n -= 2) {
                for (int p = 0; p < np; p++) {
                    fetch(lines[p], lines[p] + far(1, false), size / 32, false);
                    for (int k = 0; k < 2; k++) {
                        __m512 w = float_weights(type, lines[p], k);
                        for (int t = 0; t < nt; t++)
                            f[p][t] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[t][k]), f[p][t]);
                    }
                    lines[p] += 2 * size;
                }
                for (int t = 0; t < nt; t++)
                    x[t] += 2;
            }
            for (int p = 0; p < np; p++)
                for (int t = 0; t < nt; t++)
                    acc[p][t] = _mm512_add_ps(acc[p][t], f[p][t]);
        }
        for (int p = 0; p < np; p++)
            for (int t = 0; t < nt; t++)
                store_rows(m, panel + p, y, y_stride, t, acc[p][t]);
    }
}

typedef void float_fn(const struct kern_mat *m, int from, int to, int np, const uint8_t *x,
                      size_t stride, int nt, float *y, size_t y_stride);

// clang-format off
#define FLOAT_CASE(type, np, n)                                                                    \
    case (np > 1 ? -n : n):                                                                        \
        float_tile(KERN_TYPE_##type, m, from, to, np, x, stride, n, y, y_stride); break;
#define FLOAT_TYPE(name, type)                                                                     \
    static void float_##name(const struct kern_mat *m, int from, int to, int np, const uint8_t *x, \
                             size_t stride, int nt, float *y, size_t y_stride)                     \
    {                                                                                              \
        switch (np == 4 ? -nt : nt) {                                                              \
            FLOAT_CASE(type, 4, 1) FLOAT_CASE(type, 4, 2) FLOAT_CASE(type, 4, 3)                   \
            FLOAT_CASE(type, 4, 4) FLOAT_CASE(type, 1, 1) FLOAT_CASE(type, 1, 2)                   \
            FLOAT_CASE(type, 1, 3) FLOAT_CASE(type, 1, 4) FLOAT_CASE(type, 1, 5)                   \
            FLOAT_CASE(type, 1, 6) FLOAT_CASE(type, 1, 7) FLOAT_CASE(type, 1, 8)                   \
            FLOAT_CASE(type, 1, 9) FLOAT_CASE(type, 1, 10) FLOAT_CASE(type, 1, 11)                 \
            FLOAT_CASE(type, 1, 12)                                                                \
        }                                                                                          \
    }
// clang-format on
FLOAT_TYPE(f32, F32)
FLOAT_TYPE(f16, F16)
FLOAT_TYPE(bf16, BF16)

/* n tokens in as few tiles as can be, all of about the same size: `big` of the tokens returned,
 * then the others of one less. */
static int split_tokens(int n, int most, int *tiles, int *big)
{
    *tiles = (n + most - 1) / most;
    int nt = (n + *tiles - 1) / *tiles;
    *big = *tiles - (nt * *tiles - n);
    return nt;
}

/* Two panels times n <= CHUNK tokens, segment by segment. */
static void matmul_segs(const struct kern_mat *m, int panel, const uint8_t *x, size_t x_stride,
                        int n, float *y, size_t y_stride)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const struct vnni_path *path = path_of(m);
    struct kern_seg seg[2];
    _Alignas(64) float acc[2 * CHUNK][16];
    int tiles, big, nt = split_tokens(n, TILE / 2, &tiles, &big);
    clear(acc, n);
    clear(acc + CHUNK, n);
    for (int k = 0; k < m->cols; k += 256) {
        float *last = k + 256 < m->cols ? NULL : y + 16 * panel;
        struct feed src = {.seg = seg, .tiles = tiles, .y = last, .y_stride = y_stride};
        for (int p = 0; p < 2; p++) {
            struct source here = source_of(m, 2, panel + p, k / 256),
                          next = source_of(m, 2, panel + p, k / 256 + 1);
            seg[p].n_blocks = int_min(8, (m->cols - k) / 32);
            path->unpack(&here, info->table, &seg[p]);
            src.w[p] = info->low_bits == 8 ? here.lines : seg[p].w[0];
            src.next[p] = next.lines;
            src.after[p] = source_of(m, 2, panel + p, k / 256 + 2).lines;
            for (int i = 0; i < 8; i++)
                _mm_prefetch((const char *)next.scales + 64 * i, _MM_HINT_T0);
        }
        path->tile(&src, x, x_stride, nt, big, acc);
        src.done = big;
        if (last)
            src.y += (size_t)(nt * big) * y_stride;
        if (tiles > big)
            path->tile(&src, x + (size_t)(nt * big) * x_stride, x_stride, nt - 1, tiles - big,
                       acc + nt * big);
        x += m->act == KERN_ACT_Q32 ? 8 * sizeof(struct kern_x32) : sizeof(struct kern_x256);
    }
    for (int p = 0; p < 2; p++)
        for (int t = 0; t < n; t++)
            store_rows(m, panel + p, y, y_stride, t, _mm512_load_ps(acc[p * CHUNK + t]));
}

/* Panels [from, to) times any number of tokens, at most TILE at a time. */
static void matmul_tiles(const struct kern_mat *m, int from, int to, const uint8_t *x,
                         size_t x_stride, int n, float *y, size_t y_stride)
{
    const struct kern_run *none = NULL;
    int tiles, big, nt = split_tokens(n, TILE, &tiles, &big);
    for (int i = 0, t = 0; i < tiles; i++) {
        int size = i < big ? nt : nt - 1;
        struct kern_run run = {m, from, y + (size_t)t * y_stride};
        path_of(m)->fused(&run, 1, to - from, x + (size_t)t * x_stride, x_stride, size, y_stride,
                          &none);
        t += size;
    }
}

static void matmul_float(const struct kern_mat *m, int from, int to, const uint8_t *x,
                         size_t x_stride, int n, float *y, size_t y_stride)
{
    float_fn *tile = m->type == KERN_TYPE_F32   ? float_f32
                     : m->type == KERN_TYPE_F16 ? float_f16
                                                : float_bf16;
    int tiles, big, nt = split_tokens(n, TILE, &tiles, &big);
    for (int p = from; p < to; p += 4) { // the panels stay in the cache while tokens pass
        int end = int_min(to, p + 4);
        for (int i = 0, t = 0; i < tiles; i++) {
            int size = i < big ? nt : nt - 1;
            tile(m, p, end, end - p == 4 && size <= 4 ? 4 : 1, x + (size_t)t * x_stride, x_stride,
                 size, y + (size_t)t * y_stride, y_stride);
            t += size;
        }
    }
}

void kern_vnni512_matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                         int n, float *y, size_t y_stride)
{
    if (m->act == KERN_ACT_F32) {
        matmul_float(m, from, to, x, x_stride, n, y, y_stride);
        return;
    }
    const uint8_t *rows = x;
    int most = int_min(CHUNK, int_max(2 * TILE, (int)(CHUNK_BYTES / x_stride)));
    int chunks = (n + most - 1) / most;
    for (; n > FUSED; chunks--) {
        int chunk = (n + chunks - 1) / chunks, p = from;
        for (; p + 1 < to; p += 2)
            matmul_segs(m, p, rows, x_stride, chunk, y, y_stride);
        if (p < to)
            matmul_tiles(m, p, to, rows, x_stride, chunk, y, y_stride);
        n -= chunk;
        rows += (size_t)chunk * x_stride;
        y += (size_t)chunk * y_stride;
    }
    if (n > 0)
        matmul_tiles(m, from, to, rows, x_stride, n, y, y_stride);
}

static void matmul_runs(const struct kern_run *run, int n_runs, int len, const void *x,
                        size_t x_stride, int n, size_t y_stride, const struct kern_run *next,
                        int n_next)
{
    const struct kern_run *after[KERN_RUNS] = {0};
    const enum kern_act act = run->m->act;
    for (int i = 0; i < int_min(n_runs, n_next); i++)
        if (next[i].m->scales) // floats have none
            after[i] = &next[i];
    for (int i = 0; i < n_runs && act == KERN_ACT_F32; i++)
        matmul_float(run[i].m, run[i].from, run[i].from + len, x, x_stride, n, run[i].y, y_stride);
    for (int i = 0, np; i < n_runs && act != KERN_ACT_F32; i += np) {
        np = n_runs - i == 3 ? 2 : n_runs - i; // three, which are rare, have no function
        path_of(run->m)->fused(run + i, np, len, x, x_stride, n, y_stride, after + i);
    }
}

void kern_fill_vnni512(struct kern *k)
{
    k->name = "vnni512";
    k->matmul = kern_vnni512_matmul;
    memcpy(k->runs, (int[]){0, 4, 4, 2, 2}, sizeof k->runs);
    k->matmul_runs = matmul_runs;
    kern_fill_vnni512_attn(k);
}

#endif