/* kern/amx32_mm.c - AMX tiles for types with a scale per 32 columns on both sides; and the level's
 * entry.
 *
 * A tile of sums is one scale block of a group of tokens: activations are loaded as they lie,
 * weights from a segment of 256 columns that is unpacked to signed bytes and shared by all tokens.
 * The sums leave the tile for memory and come back as 16 lanes, one a row, so that scales are
 * applied in the order of all other levels and the result has their bits.
 *
 * A tile's store waits for its product and holds up what follows, so it stands behind the next
 * product; the sums are read eight blocks later, when they have reached the cache. */
#include "kern/kern_int.h"

#if defined(__AMX_INT8__) || defined(__AMXINT8__) // as gcc and clang 14 have it

#include "kern/amx_tiles.h"

#define LEAST32  96 // tokens: with fewer, and for floats, the level below is as fast
#define LEAST256 12
#define GROUP    TILE_TOKENS

#define MULTIPLY(sums, x, w)                                                                       \
    ZERO(sums);                                                                                    \
    ADD(sums, x, w, ss)

/* What groups of tokens share. */
struct job {
    const uint8_t *x; // codes of the segment's columns, of the first of n tokens
    size_t stride;
    int n, groups;
    struct ahead next; // the lines of the next segment, fetched meanwhile
};

/* Where group g of nt tokens begins: all have the same size, so that the last may begin before the
 * one before it ends; their common tokens get the same sums twice. */
INLINE int first_token(const struct job *job, int nt, int g)
{
    return int_min(g * nt, job->n - nt);
}

/* The sums of eight blocks of up to 16 tokens, on their way from tiles to lanes. */
typedef int32_t sums_of[8][GROUP][16];

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

/* The groups times a segment with scales per 32 columns: out += sums times scales.  (All of it
 * stands in one loop because gcc keeps arrays in registers only where loops over them are inner
 * ones.) */
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
        fetch_share(job->next, g, job->groups + 1);
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
#define ANY(sh, seg, job, nt, out)                                                                 \
    (seg->n_blocks == 8 ? groups32(sh, seg, job, nt, out) : short32(sh, seg, job, nt, out))
#define TYPE256(...)
#define TYPE32(name, ...)                                                                          \
    static void unpack_##name(const uint8_t *lines, const uint8_t *scales, const uint8_t *values,  \
                              struct kern_seg *seg)                                                \
    {                                                                                              \
        struct shape sh = {__VA_ARGS__};                                                           \
        sh.raise -= sh.offset; /* codes are the numbers themselves then */                         \
        unpack_seg(sh, lines, scales, load_table(sh, values), true, seg);                          \
    }                                                                                              \
    static void groups_##name(const struct kern_seg *seg, const struct job *job, int nt,           \
                              float (*out)[16])                                                    \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        if (nt == 12)                                                                              \
            ANY(sh, seg, job, 12, out);                                                            \
        else                                                                                       \
            ANY(sh, seg, job, 16, out);                                                            \
    }
#define TYPE(name, type, kind, ...) TYPE##kind(name, __VA_ARGS__)
KERN_BYTE_TYPES(TYPE)

#define PATH256(...)
#define PATH32(name, type) [KERN_TYPE_##type] = {unpack_##name, groups_##name},
#define PATH(name, type, kind, ...) PATH##kind(name, type)
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES(PATH)};
// clang-format on

/* Tokens of a group: those of 12 leave less over now and then; a group costs its tokens and about
 * two more. */
static int group_size(int n)
{
    return (n + 11) / 12 * (12 + 2) < (n + 15) / 16 * (16 + 2) ? 12 : 16;
}

/* Panels [from, to) times at most TOKENS tokens. */
static void matmul32(const struct kern_mat *m, int from, int to, const uint8_t *x, size_t stride,
                     int n, float *y, size_t y_stride)
{
    const struct kern_type_info *info = kern_type_info(m->type);
    const struct path *path = &paths[m->type];
    const int n_lines = 8 * (info->low_bits + info->high_bits), nt = group_size(n);
    struct job job = {.stride = stride, .n = n, .groups = (n + nt - 1) / nt};
    struct kern_seg seg;
    _Alignas(64) float acc[TOKENS + GROUP][16];

    configure(nt, 32);
    for (int p = from; p < to; p++) {
        const uint8_t *scales = m->scales + (size_t)p * m->panel_scales;
        job.next = (struct ahead){m->lines + (size_t)p * m->panel_lines, n_lines};
        job.x = x;
        clear(acc, job.groups * nt);
        for (int k = 0; k < m->cols; k += 256) {
            seg.n_blocks = int_min(8, (m->cols - k) / 32);
            path->unpack(job.next.lines, scales, info->table, &seg);
            job.next.lines += 64 * n_lines;
            path->groups(&seg, &job, nt, acc);
            scales += info->scale_bytes * 8;
            job.x += 8 * sizeof(struct kern_x32);
        }
        for (int g = 0; g < job.groups; g++)
            for (int t = 0; t < nt; t++)
                store_rows(m, p, y, y_stride, first_token(&job, nt, g) + t,
                           _mm512_load_ps(acc[g * nt + t]));
    }
    release();
}

static void matmul(const struct kern_mat *m, int from, int to, const void *x, size_t x_stride,
                   int n, float *y, size_t y_stride)
{
    if (m->act == KERN_ACT_F32 || n < (m->act == KERN_ACT_Q32 ? LEAST32 : LEAST256)) {
        kern_vnni512_matmul(m, from, to, x, x_stride, n, y, y_stride);
        return;
    }
    const uint8_t *rows = x;
    for (int chunks = (n + TOKENS - 1) / TOKENS; n > 0; chunks--) {
        int chunk = (n + chunks - 1) / chunks;
        if (m->act == KERN_ACT_Q32)
            matmul32(m, from, to, rows, x_stride, chunk, y, y_stride);
        else
            kern_amx256_matmul(m, from, to, rows, x_stride, chunk, y, y_stride);
        n -= chunk;
        rows += (size_t)chunk * x_stride;
        y += (size_t)chunk * y_stride;
    }
}

void kern_fill_amx(struct kern *k)
{
    k->name = "amx";
    k->matmul = matmul;
}

#endif
