/* kern/avx512vnni_mm.c - packed matrix times coded activations with AVX-512 VNNI: 16 rows, one a
 * lane, times up to 12 tokens.
 *
 * Activations come from memory as broadcast operands of the dot product: a broadcast by shuffle
 * would take one of the two ports that multiply.  Tokens advance in lockstep, so that their sums
 * are as many independent chains.  Up to FUSED tokens the weights are unpacked into registers and
 * used at once, with prefetches far ahead; above that, segments of 256 columns are unpacked to
 * memory and shared by all tokens. */
#include "kern/kern_int.h"

#if defined(__AVX512VNNI__)

#include "kern/avx512_unpack.h"
#include "kern/avx512vnni_dots.h"

#define TILE  12 // most tokens at once
#define FUSED 12 // most tokens of the fused path

/* Bytes between a line in use and the lines fetched: into the second-level cache from far, which
 * covers the way from memory with more lines on their way than the first level can wait for, and
 * from there into the first.  Scales are a stream of their own, a tenth as long. */
#define FAR          4096
#define NEAR         768
#define SCALES_AHEAD 640

INLINE void fetch(const uint8_t *p, int lines)
{
    for (int i = 0; i < lines; i++) {
        _mm_prefetch((const char *)p + FAR + 64 * i, _MM_HINT_T1);
        _mm_prefetch((const char *)p + NEAR + 64 * i, _MM_HINT_T0);
    }
}

INLINE void fetch_scales(const uint8_t *p)
{
    _mm_prefetch((const char *)p + SCALES_AHEAD, _MM_HINT_T0);
}

INLINE __m512i start32(const struct shape sh, const struct kern_x32 *x)
{
    switch (sh.offset) {
    case 8: return splat(&x->m8);
    case 16: return splat(&x->m16);
    case 128: return splat(&x->m128);
    default: return _mm512_setzero_si512();
    }
}

/* How many of nt tokens advance in lockstep: as many chains as hide the latency of a dot product,
 * as few pointers as fit the registers. */
INLINE int lockstep(int nt)
{
    return nt <= 6 ? nt : (nt + 1) / 2;
}

INLINE void group32(const struct shape sh, const __m512i *w, __m512 d, __m512 min,
                    const uint8_t *const *x, size_t at, int nt, __m512 *acc)
{
    const int8_t *codes[6];
    __m512i s[6];
    for (int t = 0; t < nt; t++) {
        codes[t] = (const int8_t *)x[t] + at;
        s[t] = start32(sh, (const struct kern_x32 *)codes[t]);
    }
    dots(8, nt, s, w, codes);
    for (int t = 0; t < nt; t++) {
        const struct kern_x32 *xb = (const struct kern_x32 *)codes[t];
        __m512 dx = _mm512_set1_ps(xb->d);
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s[t]), _mm512_mul_ps(d, dx), acc[t]);
        if (sh.mins) {
            __m512 sum = _mm512_mul_ps(_mm512_cvtepi32_ps(splat(&xb->m16)), dx);
            acc[t] = _mm512_fmadd_ps(min, sum, acc[t]);
        }
    }
}

/* One block of 32 columns: acc += sums times scales.  x + at is the block of each token. */
INLINE void block32(const struct shape sh, const __m512i *w, __m512 d, __m512 min,
                    const uint8_t *const *x, size_t at, int nt, __m512 *acc)
{
    int half = lockstep(nt);
    group32(sh, w, d, min, x, at, half, acc);
    if (nt > half)
        group32(sh, w, d, min, x + half, at, nt - half, acc + half);
}

/* nt tokens times panels [from, to), weights unpacked on the way.  (All of it stands
 * in one loop because gcc keeps arrays in registers only where loops over them are inner ones.) */
INLINE void fused32(const struct shape sh, const struct kern_mat *m, int from, int to,
                    const uint8_t *x0, size_t stride, int nt, float *y, size_t y_stride)
{
    const __m512i table = load_table(sh, kern_type_info(m->type)->table);
    for (int panel = from; panel < to; panel++) {
        const uint8_t *lines = m->lines + (size_t)panel * m->panel_lines, *x[TILE];
        const uint8_t *scales = m->scales + (size_t)panel * m->panel_scales;
        __m512 acc[TILE];
        for (int t = 0; t < nt; t++) {
            acc[t] = _mm512_setzero_ps();
            x[t] = x0 + (size_t)t * stride;
        }
        const size_t end = (size_t)m->cols / 32 * sizeof(struct kern_x32);
        for (size_t at = 0; at < end; at += sizeof(struct kern_x32)) {
            __m512i w[8];
            __m512 min = _mm512_setzero_ps();
            fetch(lines, sh.low + sh.high);
            fetch_scales(scales);
            for (int g = 0; g < 8; g++)
                w[g] = unpack(sh, lines, g, table);
            if (sh.mins)
                min = _mm512_mul_ps(halves(scales + 32), _mm512_set1_ps(-0.0625f));
            block32(sh, w, scales32(sh, scales), min, x, at, nt, acc);
            lines += 64 * (sh.low + sh.high);
            scales += scale_bytes32(sh);
        }
        for (int t = 0; t < nt; t++)
            store_rows(m, panel, y, y_stride, t, acc[t]);
    }
}

INLINE __m512i start256(const struct shape sh, const struct kern_x256 *x, int j)
{
    if (sh.mins)
        return _mm512_setzero_si512();
    return sh.groups == 4 ? splat(&x->m32[j]) : _mm512_set1_epi32(-128 * x->s32[j]);
}

INLINE void group256(const struct shape sh, const __m512i *w, int j, __m512i scale,
                     const uint8_t *const *x, size_t at, int nt, __m512i *sum)
{
    const int8_t *codes[6];
    __m512i s[6];
    for (int t = 0; t < nt; t++) {
        s[t] = start256(sh, (const struct kern_x256 *)(x[t] + at), j);
        codes[t] = (const int8_t *)x[t] + at + 4 * sh.groups * j;
    }
    dots(sh.groups, nt, s, w, codes);
    for (int t = 0; t < nt; t++)
        sum[t] = _mm512_add_epi32(sum[t], _mm512_mullo_epi32(s[t], scale));
}

/* Block j of 256 columns: sum += sums times scales.  x + at is the 256 columns of each token. */
INLINE void block256(const struct shape sh, const __m512i *w, int j, __m512i scale,
                     const uint8_t *const *x, size_t at, int nt, __m512i *sum)
{
    int half = lockstep(nt);
    group256(sh, w, j, scale, x, at, half, sum);
    if (nt > half)
        group256(sh, w, j, scale, x + half, at, nt - half, sum + half);
}

/* f = the sum times d, plus mins times sums of activations times dmin, which is negated; then acc
 * += f times the scale of the activations. */
INLINE void end256(const struct shape sh, const __m512i *mins, __m512 d, __m512 dmin,
                   const uint8_t *const *x, size_t at, int nt, const __m512i *sum, __m512 *acc)
{
    for (int t = 0; t < nt; t++) {
        const struct kern_x256 *xb = (const struct kern_x256 *)(x[t] + at);
        __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(sum[t]), d);
        if (sh.mins) {
            const int16_t *sums = sh.groups == 4 ? xb->s16 : xb->s32;
            __m512i s = _mm512_setzero_si512();
            for (int j = 0; j < 32 / sh.groups; j++)
                s = dot2(s, mins[j], sums + 2 * j);
            f = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), dmin, f);
        }
        acc[t] = _mm512_fmadd_ps(f, _mm512_set1_ps(xb->d), acc[t]);
    }
}

INLINE void fused256_step(const struct shape sh, const uint8_t *lines, const uint8_t *scales,
                          __m512i table, const uint8_t *const *x, size_t at, int nt, __m512 *acc)
{
    const uint8_t *after = scales + (sh.mins ? 64 : 32);
    __m512 dmin = _mm512_setzero_ps();
    __m512i w[8], mins[8], sum[TILE];
    for (int t = 0; t < nt; t++)
        sum[t] = _mm512_setzero_si512();
    for (int b = 0; b < 8; b++) {
        fetch(lines, sh.low + sh.high);
        if (64 * b < scale_bytes256(sh))
            fetch_scales(scales + 64 * b);
        for (int g = 0; g < 8; g++)
            w[g] = unpack(sh, lines, g, table);
        for (int i = 0; i < 8 / sh.groups; i++) {
            int j = 8 / sh.groups * b + i;
            block256(sh, w + sh.groups * i, j, scales256(sh, after, j), x, at, nt, sum);
        }
        lines += 64 * (sh.low + sh.high);
    }
    if (sh.mins) {
        for (int j = 0; j < 32 / sh.groups; j++)
            mins[j] = mins256(sh, after, j);
        dmin = negated_halves(scales + 32);
    }
    end256(sh, mins, halves(scales), dmin, x, at, nt, sum, acc);
}

INLINE void fused256(const struct shape sh, const struct kern_mat *m, int from, int to,
                     const uint8_t *x0, size_t stride, int nt, float *y, size_t y_stride)
{
    const __m512i table = load_table(sh, kern_type_info(m->type)->table);
    for (int panel = from; panel < to; panel++) {
        const uint8_t *lines = m->lines + (size_t)panel * m->panel_lines, *x[TILE];
        const uint8_t *scales = m->scales + (size_t)panel * m->panel_scales;
        __m512 acc[TILE];
        for (int t = 0; t < nt; t++) {
            acc[t] = _mm512_setzero_ps();
            x[t] = x0 + (size_t)t * stride;
        }
        const size_t end = (size_t)m->cols / 256 * sizeof(struct kern_x256);
        for (size_t at = 0; at < end; at += sizeof(struct kern_x256)) {
            fused256_step(sh, lines, scales, table, x, at, nt, acc);
            lines += 8 * 64 * (sh.low + sh.high);
            scales += scale_bytes256(sh);
        }
        for (int t = 0; t < nt; t++)
            store_rows(m, panel, y, y_stride, t, acc[t]);
    }
}

/* What tiles read: unpacked weights (the packed lines themselves where those are bytes already),
 * and the lines of the next segment, which they fetch meanwhile, each of all `tiles` a share. */
struct feed {
    const struct kern_seg *seg;
    const uint8_t (*w)[64];
    const uint8_t *next;
    int tiles, done; // done: tiles before this call
};

/* Tile i's share of the lines of 32 columns. */
INLINE void fetch_share(const struct shape sh, const struct feed *src, int i, int block)
{
    int n = sh.low + sh.high;
    int from = n * (src->done + i) / src->tiles, to = n * (src->done + i + 1) / src->tiles;
    for (int l = from; l < to; l++)
        _mm_prefetch((const char *)src->next + 64 * (n * block + l), _MM_HINT_T0);
}

/* n tiles of nt tokens. */
INLINE void tile32(const struct shape sh, const struct feed *src, const uint8_t *x0, size_t stride,
                   int nt, int n, float (*out)[16])
{
    const struct kern_seg *seg = src->seg;
    for (int i = 0; i < n; i++, x0 += (size_t)nt * stride, out += nt) {
        const uint8_t *x[TILE];
        __m512 acc[TILE];
        for (int t = 0; t < nt; t++) {
            x[t] = x0 + (size_t)t * stride;
            acc[t] = _mm512_load_ps(out[t]);
        }
        for (int b = 0; b < seg->n_blocks; b++) {
            __m512i w[8];
            for (int g = 0; g < 8; g++)
                w[g] = _mm512_load_si512(src->w[8 * b + g]);
            fetch_share(sh, src, i, b);
            block32(sh, w, _mm512_load_ps(seg->d[b]), _mm512_load_ps(seg->m[b]), x,
                    (size_t)b * sizeof(struct kern_x32), nt, acc);
        }
        for (int t = 0; t < nt; t++)
            _mm512_store_ps(out[t], acc[t]);
    }
}

INLINE void tile256(const struct shape sh, const struct feed *src, const uint8_t *x0, size_t stride,
                    int nt, int n, float (*out)[16])
{
    const struct kern_seg *seg = src->seg;
    for (int i = 0; i < n; i++, x0 += (size_t)nt * stride, out += nt) {
        const uint8_t *x[TILE];
        __m512 acc[TILE];
        __m512i w[8], mins[8], sum[TILE];
        for (int t = 0; t < nt; t++) {
            x[t] = x0 + (size_t)t * stride;
            sum[t] = _mm512_setzero_si512();
        }
        for (int j = 0; j < 64 / sh.groups; j++) {
            for (int g = 0; g < sh.groups; g++)
                w[g] = _mm512_load_si512(src->w[sh.groups * j + g]);
            if (sh.groups * j % 8 == 0)
                fetch_share(sh, src, i, sh.groups * j / 8);
            block256(sh, w, j, _mm512_load_si512(seg->scale[j]), x, 0, nt, sum);
        }
        for (int j = 0; j < 32 / sh.groups; j++)
            mins[j] = _mm512_load_si512(seg->min[j]);
        for (int t = 0; t < nt; t++)
            acc[t] = _mm512_load_ps(out[t]);
        end256(sh, mins, _mm512_load_ps(seg->d[0]), _mm512_load_ps(seg->dmin), x, 0, nt, sum, acc);
        for (int t = 0; t < nt; t++)
            _mm512_store_ps(out[t], acc[t]);
    }
}

typedef void fused_fn(const struct kern_mat *m, int from, int to, int np, const uint8_t *x,
                      size_t stride, int nt, float *y, size_t y_stride);

struct path {
    fused_fn *fused;
    void (*unpack)(const struct source *src, const uint8_t *values, struct kern_seg *seg);
    void (*tile)(const struct feed *src, const uint8_t *x, size_t stride, int nt, int n,
                 float (*out)[16]);
};

/* All of a type's functions from its constants; `kind` is 32 or 256. */
// clang-format off
#define FUSED_CASE(kind, n)                                                                        \
    case n: fused##kind(sh, m, from, to, x, stride, n, y, y_stride); break;
#define TILE_CASE(kind, nt)                                                                        \
    case nt: tile##kind(sh, src, x, stride, nt, n, out); break;
#define TYPE(name, type, kind, ...)                                                                     \
    static void fused_##name(const struct kern_mat *m, int from, int to, int np, const uint8_t *x, \
                             size_t stride, int nt, float *y, size_t y_stride)                     \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        (void)np;                                                                                  \
        switch (nt) {                                                              \
            FUSED_CASE(kind, 1) FUSED_CASE(kind, 2) FUSED_CASE(kind, 3) FUSED_CASE(kind, 4)        \
            FUSED_CASE(kind, 5) FUSED_CASE(kind, 6) FUSED_CASE(kind, 7) FUSED_CASE(kind, 8)        \
            FUSED_CASE(kind, 9) FUSED_CASE(kind, 10) FUSED_CASE(kind, 11) FUSED_CASE(kind, 12)     \
        }                                                                                          \
    }                                                                                              \
    static void unpack_##name(const struct source *src, const uint8_t *values,                     \
                              struct kern_seg *seg)                                                \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        unpack_seg(sh, src, load_table(sh, values), kind == 32, false, seg);                       \
    }                                                                                              \
    static void tile_##name(const struct feed *src, const uint8_t *x, size_t stride, int nt,     \
                            int n, float (*out)[16])                                               \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        switch (nt) {                                                                              \
            TILE_CASE(kind, 6) TILE_CASE(kind, 7) TILE_CASE(kind, 8) TILE_CASE(kind, 9)            \
            TILE_CASE(kind, 10) TILE_CASE(kind, 11) TILE_CASE(kind, 12)                            \
        }                                                                                          \
    }
// clang-format on

KERN_BYTE_TYPES(TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {fused_##name, unpack_##name, tile_##name},
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES(PATH)};

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
                    fetch(lines[p], size / 32);
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

// clang-format off
#define FLOAT_CASE(type, np, n)                                                                    \
    case (np > 1 ? -n : n):                                                                        \
        float_tile(KERN_TYPE_##type, m, from, to, np, x, stride, n, y, y_stride); break;
#define FLOAT_TYPE(name, type)                                                                     \
    static void fused_##name(const struct kern_mat *m, int from, int to, int np, const uint8_t *x, \
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
static int split_tokens(int n, int *tiles, int *big)
{
    *tiles = (n + TILE - 1) / TILE;
    int nt = (n + *tiles - 1) / *tiles;
    *big = *tiles - (nt * *tiles - n);
    return nt;
}

/* All panels times at most TILE tokens; `together` panels at a time while that leaves registers. */
static void matmul_fused(const struct kern_mat *m, fused_fn *fused, int together, int from, int to,
                         const uint8_t *x, size_t x_stride, int n, float *y, size_t y_stride)
{
    int cut = n <= 4 ? from + (to - from) / together * together : from;
    if (cut > from)
        fused(m, from, cut, together, x, x_stride, n, y, y_stride);
    if (to > cut)
        fused(m, cut, to, 1, x, x_stride, n, y, y_stride);
}

#define CHUNK       144               // tokens whose sums lie on the stack
#define CHUNK_BYTES ((size_t)1 << 20) // of activations that stay in the second-level cache

/* One panel times n <= CHUNK tokens, segment by segment. */
static void matmul_segs(const struct kern_mat *m, int panel, const uint8_t *x, size_t x_stride,
                        int n, float *y, size_t y_stride)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const struct path *path = &paths[m->type];
    const uint8_t *lines = m->lines + (size_t)panel * m->panel_lines;
    const uint8_t *scales = m->scales + (size_t)panel * m->panel_scales;
    bool q32 = m->act == KERN_ACT_Q32;
    struct kern_seg seg;
    _Alignas(64) float acc[CHUNK][16];
    int tiles, big, nt = split_tokens(n, &tiles, &big);
    clear(acc, n);
    for (int k = 0; k < m->cols; k += 256) {
        seg.n_blocks = int_min(8, (m->cols - k) / 32);
        path->unpack(&(struct source){lines, scales}, info->table, &seg);
        struct feed src = {
            .seg = &seg,
            .w = (const uint8_t(*)[64])(info->low_bits == 8 ? lines : seg.w[0]),
            .next = lines + 8 * 64 * (info->low_bits + info->high_bits),
            .tiles = tiles,
        };
        path->tile(&src, x, x_stride, nt, big, acc);
        src.done = big;
        if (tiles > big)
            path->tile(&src, x + (size_t)(nt * big) * x_stride, x_stride, nt - 1, tiles - big,
                       acc + nt * big);
        lines += 8 * 64 * (info->low_bits + info->high_bits);
        scales += info->scale_bytes * (q32 ? 8 : 1);
        x += q32 ? 8 * sizeof(struct kern_x32) : sizeof(struct kern_x256);
    }
    for (int t = 0; t < n; t++)
        store_rows(m, panel, y, y_stride, t, _mm512_load_ps(acc[t]));
}

static void matmul_float(const struct kern_mat *m, int from, int to, const uint8_t *x,
                         size_t x_stride, int n, float *y, size_t y_stride)
{
    fused_fn *fused = m->type == KERN_TYPE_F32   ? fused_f32
                      : m->type == KERN_TYPE_F16 ? fused_f16
                                                 : fused_bf16;
    int tiles, big, nt = split_tokens(n, &tiles, &big);
    for (int p = from; p < to; p += 4) // the panels stay in the cache while tokens pass
        for (int i = 0, t = 0; i < tiles; i++) {
            int size = i < big ? nt : nt - 1;
            matmul_fused(m, fused, 4, p, int_min(to, p + 4), x + (size_t)t * x_stride, x_stride,
                         size, y + (size_t)t * y_stride, y_stride);
            t += size;
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
        int chunk = (n + chunks - 1) / chunks;
        for (int p = from; p < to; p++)
            matmul_segs(m, p, rows, x_stride, chunk, y, y_stride);
        n -= chunk;
        rows += (size_t)chunk * x_stride;
        y += (size_t)chunk * y_stride;
    }
    if (n > 0)
        matmul_fused(m, paths[m->type].fused, 1, from, to, rows, x_stride, n, y, y_stride);
}

void kern_fill_vnni512(struct kern *k)
{
    k->name = "vnni512";
    k->matmul = kern_vnni512_matmul;
    kern_fill_vnni512_attn(k);
}

#endif
