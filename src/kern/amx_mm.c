/* kern/amx_mm.c - packed matrix times coded activations in AMX tiles: 16 rows times up to 16
 * tokens.
 *
 * A tile of sums is one scale block (32 or 16 columns) of a group of tokens: activations are loaded
 * as they lie, weights from a segment of 256 columns that is unpacked to signed bytes and shared by
 * all tokens.  The sums leave the tile for memory and come back as 16 lanes, one a row, so that
 * scales are applied in the order of all other levels and the result has their bits.
 *
 * A tile's store waits for its product and holds up what follows, so it stands behind the next
 * product; the sums are read eight blocks later, when they have reached the cache.
 * Intel 64 Architectures Software Developer's Manual, volume 1, chapter 18. */
#include "kern/kern_int.h"

#if defined(__AMX_INT8__) || defined(__AMXINT8__) // as gcc and clang 14 have it

#include "kern/avx512_unpack.h"

#define LEAST32  96 // tokens: with fewer, and for floats, the level below is as fast
#define LEAST256 16
#define GROUP    16  // most tokens of a tile
#define TOKENS   128 // most of a call: their sums lie on the stack
#define UNROLL   _Pragma("GCC unroll 16")

/* Tiles 0 to 3 are sums, 4 and 5 activations, 6 and 7 weights. */
// clang-format off
#define LOAD(tile, p, stride)                                                                      \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(p), "r"((size_t)(stride)))
#define STORE(tile, p)                                                                             \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(p), "r"((size_t)64) : "memory")
#define MULTIPLY(sums, x, w)                                                                       \
    __asm__ volatile("tilezero %%tmm" #sums "\n\ttdpbssd %%tmm" #w ", %%tmm" #x ", %%tmm" #sums : :)
// clang-format on

static void configure(int tokens, int columns)
{
    struct {
        uint8_t palette, start, unused[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } conf = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        conf.row_bytes[i] = (uint16_t)(i == 4 || i == 5 ? columns : 64);
        conf.rows[i] = (uint8_t)(i < 6 ? tokens : columns / 4);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(conf));
}

/* What groups of tokens share. */
struct job {
    const uint8_t *x; // codes of the segment's columns, of the first of n tokens
    size_t stride;
    int n, groups;
    const uint8_t *next; // the lines of the next segment, fetched meanwhile
    int n_next;
};

/* Where group g of nt tokens begins: all have the same size, so that the last may begin before the
 * one before it ends; their common tokens get the same sums twice. */
INLINE int first_token(const struct job *job, int nt, int g)
{
    return int_min(g * nt, job->n - nt);
}

// Part g's share of the next lines.
INLINE void fetch_share(const struct job *job, int g, int parts)
{
    for (int i = job->n_next * g / parts; i < job->n_next * (g + 1) / parts; i++)
        _mm_prefetch((const char *)job->next + 64 * i, _MM_HINT_T0);
}

/* The sums of eight blocks of up to 16 tokens, on their way from tiles to lanes. */
typedef int32_t sums_of[8][GROUP][16];

// f += the sums of a block times its scales
INLINE void scale256(const int32_t (*sums)[16], const float *scales, int nt, __m512 *f)
{
    const __m512 scale = _mm512_load_ps(scales);
    UNROLL for (int t = 0; t < nt; t++) f[t] =
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums[t])), scale, f[t]);
}

// acc += the sums of a block times its scales, on both sides; x is the block of the first token
INLINE void scale32(const struct shape sh, const int32_t (*sums)[16], const float *scales,
                    const float *mins, const uint8_t *x, size_t stride, int nt, __m512 *acc)
{
    const __m512 d = _mm512_load_ps(scales), min = _mm512_load_ps(mins);
    UNROLL for (int t = 0; t < nt; t++)
    {
        const struct kern_x32 *xt = (const struct kern_x32 *)(x + (size_t)t * stride);
        const __m512 dx = _mm512_set1_ps(xt->d), s = _mm512_cvtepi32_ps(_mm512_load_si512(sums[t]));
        acc[t] = _mm512_fmadd_ps(s, _mm512_mul_ps(d, dx), acc[t]);
        if (sh.mins)
            acc[t] = _mm512_fmadd_ps(min, _mm512_mul_ps(_mm512_cvtepi32_ps(splat(&xt->m16)), dx),
                                     acc[t]);
    }
}

/* f += mins times sums of activations, then out += f times the scale of the activations. */
INLINE void end256(const struct shape sh, const struct kern_seg *seg, const uint8_t *x,
                   size_t stride, int nt, __m512 *f, float (*out)[16])
{
    const __m512 dmin = _mm512_load_ps(seg->dmin);
    __m512i mins[8];
    UNROLL for (int j = 0; j < 32 / sh.groups; j++) mins[j] = _mm512_load_si512(seg->min[j]);
    UNROLL for (int t = 0; t < nt; t++)
    {
        const struct kern_x256 *xt = (const struct kern_x256 *)(x + (size_t)t * stride);
        if (sh.mins) {
            const int16_t *sums = sh.groups == 4 ? xt->s16 : xt->s32;
            __m512i s = _mm512_setzero_si512();
            UNROLL for (int j = 0; j < 32 / sh.groups; j++) s = dot2(s, mins[j], sums + 2 * j);
            f[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(s), dmin, f[t]);
        }
        __m512 acc = _mm512_load_ps(out[t]);
        _mm512_store_ps(out[t], _mm512_fmadd_ps(f[t], _mm512_set1_ps(xt->d), acc));
    }
}

/* Eight blocks: DO(k, its tile, the tile before, tiles of activations and weights). */
#define EIGHT(DO)                                                                                  \
    do {                                                                                           \
        DO(0, 0, 3, 4, 6);                                                                         \
        DO(1, 1, 0, 5, 7);                                                                         \
        DO(2, 2, 1, 4, 6);                                                                         \
        DO(3, 3, 2, 5, 7);                                                                         \
        DO(4, 0, 3, 4, 6);                                                                         \
        DO(5, 1, 0, 5, 7);                                                                         \
        DO(6, 2, 1, 4, 6);                                                                         \
        DO(7, 3, 2, 5, 7);                                                                         \
    } while (0)
/* Multiplies block k and stores the one before, to `now` or from the eight blocks before to `last`.
 */
#define BEGIN(k, tile, before, tx, tw)                                                             \
    LOAD(tx, x + (k)*width, stride);                                                               \
    LOAD(tw, w + (k)*lines, 64);                                                                   \
    MULTIPLY(tile, tx, tw);                                                                        \
    STORE(before, (k) ? now[(k)-1] : last[7])
#define BOTH(k, ...)                                                                               \
    BEGIN(k, __VA_ARGS__);                                                                         \
    SCALE(k)
#define FINISH(k, ...) SCALE(k)

/* The groups times a segment whose scales stand per 256 columns: out += sums times scales.  (All of
 * it stands in one loop because gcc keeps arrays in registers only where loops over them are inner
 * ones.) */
INLINE void groups256(const struct shape sh, const struct kern_seg *seg, const struct job *job,
                      int nt, float (*out)[16])
{
    const int halves = 8 / sh.groups, width = 4 * sh.groups, lines = sh.groups;
    const size_t stride = job->stride;
    _Alignas(64) sums_of sums[2];
    __m512 f[GROUP];
    for (int u = 0; u <= halves * job->groups; u++) {
        const int g = u / halves, half = u % halves;
        const uint8_t *x0 = job->x + (size_t)first_token(job, nt, g) * stride;
        const uint8_t *x = x0 + 128 * half;
        const uint8_t(*w)[64] = seg->w + 32 * half;
        int32_t(*now)[GROUP][16] = sums[u & 1], (*last)[GROUP][16] = sums[~u & 1];
        const float(*d)[16] = seg->d + 8 * (halves - 1 - half);
        fetch_share(job, u, halves * job->groups + 1);
        if (u == 0)
            UNROLL for (int t = 0; t < nt; t++) f[t] = _mm512_setzero_ps();
#define SCALE(k) scale256(last[k], d[k], nt, f)
        if (u == 0) {
            EIGHT(BEGIN); // this stores what a tile held, where nobody looks
        } else if (u < halves * job->groups) {
            EIGHT(BOTH);
        } else {
            STORE(3, last[7]);
            EIGHT(FINISH);
        }
#undef SCALE
        if (half != 0 || u == 0)
            continue;
        end256(sh, seg, job->x + (size_t)first_token(job, nt, g - 1) * stride, stride, nt, f, out);
        out += nt;
        UNROLL for (int t = 0; t < nt; t++) f[t] = _mm512_setzero_ps();
    }
}

/* The same with scales per 32 columns, on both sides. */
INLINE void groups32(const struct shape sh, const struct kern_seg *seg, const struct job *job,
                     int nt, float (*out)[16])
{
    enum { width = sizeof(struct kern_x32), lines = 8 };
    const size_t stride = job->stride;
    _Alignas(64) sums_of sums[2];
    for (int g = 0; g <= job->groups; g++) {
        const uint8_t *x = job->x + (size_t)first_token(job, nt, g) * stride;
        const uint8_t *before = job->x + (size_t)first_token(job, nt, g - 1) * stride;
        const uint8_t(*w)[64] = seg->w;
        int32_t(*now)[GROUP][16] = sums[g & 1], (*last)[GROUP][16] = sums[~g & 1];
        __m512 acc[GROUP];
        fetch_share(job, g, job->groups + 1);
        UNROLL for (int t = 0; t < nt; t++) acc[t] = _mm512_load_ps(out[t]);
#define SCALE(k) scale32(sh, last[k], seg->d[k], seg->m[k], before + (k)*width, stride, nt, acc)
        if (g == 0) {
            EIGHT(BEGIN);
            continue;
        } else if (g < job->groups) {
            EIGHT(BOTH);
        } else {
            STORE(3, last[7]);
            EIGHT(FINISH);
        }
#undef SCALE
        UNROLL for (int t = 0; t < nt; t++) _mm512_store_ps(out[t], acc[t]);
        out += nt;
    }
}

/* The end of a row that is no multiple of 256. */
INLINE void short32(const struct shape sh, const struct kern_seg *seg, const struct job *job,
                    int nt, float (*out)[16])
{
    for (int g = 0; g < job->groups; g++, out += nt) {
        const uint8_t *x = job->x + (size_t)first_token(job, nt, g) * job->stride;
        _Alignas(64) int32_t sums[GROUP][16];
        __m512 acc[GROUP];
        UNROLL for (int t = 0; t < nt; t++) acc[t] = _mm512_load_ps(out[t]);
        for (int j = 0; j < seg->n_blocks; j++, x += sizeof(struct kern_x32)) {
            LOAD(4, x, job->stride);
            LOAD(6, seg->w[8 * j], 64);
            MULTIPLY(0, 4, 6);
            STORE(0, sums);
            scale32(sh, sums, seg->d[j], seg->m[j], x, job->stride, nt, acc);
        }
        UNROLL for (int t = 0; t < nt; t++) _mm512_store_ps(out[t], acc[t]);
    }
}

struct path {
    void (*unpack)(const uint8_t *lines, const uint8_t *scales, const uint8_t *values,
                   struct kern_seg *seg);
    void (*groups)(const struct kern_seg *seg, const struct job *job, int nt, float (*out)[16]);
};

// clang-format off
#define TYPE(name, type, kind, ...)                                                                \
    static void unpack_##name(const uint8_t *lines, const uint8_t *scales, const uint8_t *values,  \
                              struct kern_seg *seg)                                                \
    {                                                                                              \
        struct shape sh = {__VA_ARGS__};                                                           \
        sh.raise -= sh.offset; /* codes are the numbers themselves then */                         \
        unpack_seg(sh, lines, scales, load_table(sh, values), kind == 32, seg);                    \
    }                                                                                              \
    static void groups_##name(const struct kern_seg *seg, const struct job *job, int nt,           \
                              float (*out)[16])                                                    \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        if (nt == 12) {                                                                            \
            ALL##kind(sh, seg, job, 12, out);                                                      \
        } else {                                                                                   \
            ALL##kind(sh, seg, job, 16, out);                                                      \
        }                                                                                          \
    }
#define ALL256 groups256
#define ALL32(sh, seg, job, nt, out)                                                               \
    if (seg->n_blocks == 8)                                                                        \
        groups32(sh, seg, job, nt, out);                                                           \
    else                                                                                           \
        short32(sh, seg, job, nt, out)
// clang-format on
KERN_BYTE_TYPES(TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {unpack_##name, groups_##name},
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES(PATH)};

/* Tokens of a group: those of 12 leave less over now and then; a group costs its tokens and about
 * two more. */
static int group_size(int n)
{
    return (n + 11) / 12 * (12 + 2) < (n + 15) / 16 * (16 + 2) ? 12 : 16;
}

/* Panels [from, to) times n tokens in groups of nt. */
static void matmul_groups(const struct kern_mat *m, int from, int to, const uint8_t *x,
                          size_t stride, int n, int nt, float *y, size_t y_stride)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const struct path *path = &paths[m->type];
    const int n_lines = 8 * (info->low_bits + info->high_bits);
    const bool q32 = m->act == KERN_ACT_Q32;
    struct job job = {.stride = stride, .n = n, .groups = (n + nt - 1) / nt, .n_next = n_lines};
    struct kern_seg seg;
    _Alignas(64) float acc[TOKENS + GROUP][16];

    for (int p = from; p < to; p++) {
        const uint8_t *scales = m->scales + (size_t)p * m->panel_scales;
        job.next = m->lines + (size_t)p * m->panel_lines;
        job.x = x;
        clear(acc, job.groups * nt);
        for (int k = 0; k < m->cols; k += 256) {
            seg.n_blocks = int_min(8, (m->cols - k) / 32);
            path->unpack(job.next, scales, info->table, &seg);
            job.next += 64 * n_lines;
            path->groups(&seg, &job, nt, acc);
            scales += info->scale_bytes * (q32 ? 8 : 1);
            job.x += q32 ? 8 * sizeof(struct kern_x32) : sizeof(struct kern_x256);
        }
        for (int g = 0; g < job.groups; g++)
            for (int t = 0; t < nt; t++)
                store_rows(m, p, y, y_stride, first_token(&job, nt, g) + t,
                           _mm512_load_ps(acc[g * nt + t]));
    }
}

static void matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                   int n, float *y, size_t y_stride)
{
    if (m->act == KERN_ACT_F32 || n < (m->act == KERN_ACT_Q32 ? LEAST32 : LEAST256)) {
        kern_vnni512_matmul(m, from, to, x, x_stride, n, y, y_stride);
        return;
    }
    const uint8_t *rows = x;
    int chunks = (n + TOKENS - 1) / TOKENS;
    for (; n > 0; chunks--) {
        int chunk = (n + chunks - 1) / chunks, size = group_size(chunk);
        configure(size, kern_type_info(m->type)->shape >= KERN_SHAPE_K16 ? 16 : 32);
        matmul_groups(m, from, to, rows, x_stride, chunk, size, y, y_stride);
        n -= chunk;
        rows += (size_t)chunk * x_stride;
        y += (size_t)chunk * y_stride;
    }
    __asm__ volatile("tilerelease"); // or every switch of threads would save tiles from now on
}

void kern_fill_amx(struct kern *k)
{
    k->name = "amx";
    k->matmul = matmul;
}

#endif
