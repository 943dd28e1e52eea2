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

#define PANELS  4
#define WEIGHTS struct kern_seg
#include "kern/amx_tiles.h"

#define LEAST32  48 // tokens: with fewer, and for floats, the level below is as fast
#define LEAST256 12

#define MULTIPLY(sums, x, w)                                                                       \
    ZERO(sums);                                                                                    \
    ADD(sums, x, w, ss)

/* The sums of eight blocks of up to 16 tokens, on their way from tiles to lanes. */
typedef int32_t sums_of[8][TILE_TOKENS][16];

// acc += the sums of a block times its scales, on both sides; x is the block of the first token
INLINE void scale32(const struct shape sh, const int32_t (*sums)[16], const float *scales,
                    const float *mins, const uint8_t *x, size_t stride, int nt, __m512 *acc)
{
    const __m512i zero_bits = _mm512_set1_epi32(KERN_ZERO_BITS);
    const __m512 d = _mm512_load_ps(scales), min = _mm512_load_ps(mins), zero = zero_of(d);
    UNROLL for (int t = 0; t < nt; t++)
    {
        const struct kern_x32 *xt = (const struct kern_x32 *)(x + (size_t)t * stride);
        const __m512i s = _mm512_add_epi32(_mm512_load_si512(sums[t]), zero_bits);
        acc[t] = _mm512_fmadd_ps(scaled32(s, d, zero), _mm512_set1_ps(xt->d), acc[t]);
        if (sh.mins)
            acc[t] = _mm512_fmadd_ps(min, sum32(xt), acc[t]);
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
#define BEGIN(k, tile, earlier, tx, tw)                                                            \
    LOAD(tx, u->slot.x + (k)*width, stride);                                                       \
    LOAD(tw, u->seg->w + (k)*lines, 64);                                                           \
    MULTIPLY(tile, tx, tw);                                                                        \
    STORE(earlier, (k) ? now[(k)-1] : last[7])
#define BOTH(k, ...)                                                                               \
    BEGIN(k, __VA_ARGS__);                                                                         \
    SCALE(k)
#define FINISH(k, ...) SCALE(k)

/* A tile of tokens times a panel's weights. */
struct unit {
    struct slot slot;
    struct steps steps;
    const struct kern_seg *seg;
};

INLINE void begin(const struct unit *u, int nt, __m512 *acc)
{
    UNROLL for (int t = 0; t < nt; t++) acc[t] =
        _mm512_load_ps(u->slot.from + (size_t)t * u->steps.from);
}

INLINE void end(const struct unit *u, int nt, const __m512 *acc)
{
    UNROLL for (int t = 0; t < nt; t++)
        _mm512_mask_storeu_ps(u->slot.to + (size_t)t * u->steps.to, u->steps.rows, acc[t]);
}

/* Multiplies u, if there is one, and meanwhile scales what was multiplied before, unless u is the
 * first.  (All of it stands in one function because gcc keeps arrays in registers only where loops
 * over them are inner ones.) */
INLINE void step(const struct shape sh, bool first, const struct unit *u, const struct unit *before,
                 int nt, size_t stride, sums_of now, sums_of last)
{
    enum { width = sizeof(struct kern_x32), lines = 8 };
    const struct kern_seg *seg = before->seg;
    __m512 acc[TILE_TOKENS];
#define SCALE(k)                                                                                   \
    scale32(sh, last[k], seg->d[k], seg->m[k], before->slot.x + (k)*width, stride, nt, acc)
    if (first) {
        EIGHT(BEGIN); // this stores what a tile held, where nobody looks
        return;
    }
    begin(before, nt, acc);
    if (u) {
        EIGHT(BOTH);
    } else {
        STORE(3, last[7]);
        EIGHT(FINISH);
    }
    end(before, nt, acc);
#undef SCALE
}

INLINE void segment(const struct shape sh, const struct kern_seg *seg, const struct pass *a, int nt)
{
    _Alignas(64) sums_of sums[2];
    struct unit before = {.seg = seg};
    int now = 0;
    for (int tile = 0; tile < a->cuts.tiles; tile++)
        for (int panel = 0; panel < a->n_panels; panel++) {
            const struct unit u = {slot_of(a, nt, tile, panel), steps_of(a, panel), &seg[panel]};
            step(sh, tile == 0 && panel == 0, &u, &before, nt, a->stride, sums[now], sums[!now]);
            before = u;
            now = !now;
        }
    step(sh, false, NULL, &before, nt, a->stride, sums[now], sums[!now]);
}

/* The end of a row that is no multiple of 256. */
INLINE void short_segment(const struct shape sh, const struct kern_seg *seg, const struct pass *a,
                          int nt)
{
    _Alignas(64) int32_t sums[TILE_TOKENS][16];
    for (int tile = 0; tile < a->cuts.tiles; tile++)
        for (int panel = 0; panel < a->n_panels; panel++) {
            const struct unit u = {slot_of(a, nt, tile, panel), steps_of(a, panel), &seg[panel]};
            const uint8_t *x = u.slot.x;
            __m512 acc[TILE_TOKENS];
            begin(&u, nt, acc);
            for (int j = 0; j < seg->n_blocks; j++, x += sizeof(struct kern_x32)) {
                LOAD(4, x, a->stride);
                LOAD(6, u.seg->w[8 * j], 64);
                MULTIPLY(0, 4, 6);
                STORE(0, sums);
                scale32(sh, sums, u.seg->d[j], u.seg->m[j], x, a->stride, nt, acc);
            }
            end(&u, nt, acc);
        }
}

// clang-format off
#define SEGMENT(sh, seg, a, nt)                                                                    \
    (seg->n_blocks == 8 ? segment(sh, seg, a, nt) : short_segment(sh, seg, a, nt))
#define TYPE(name, type, kind, ...)                                                                \
    static void unpack_##name(const struct source *src, const uint8_t *values, int n_blocks,       \
                              struct kern_seg *seg)                                                \
    {                                                                                              \
        struct shape sh = {__VA_ARGS__};                                                           \
        sh.raise -= sh.offset; /* codes are the numbers themselves then */                         \
        seg->n_blocks = n_blocks;                                                                  \
        unpack_seg(sh, src, load_table(sh, values), true, true, seg);                              \
    }                                                                                              \
    static void segment_##name(const struct kern_seg *seg, const struct pass *a)                   \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        if (a->cuts.nt == 12)                                                                      \
            SEGMENT(sh, seg, a, 12);                                                               \
        else                                                                                       \
            SEGMENT(sh, seg, a, 16);                                                               \
    }
KERN_BYTE_TYPES32(TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {unpack_##name, segment_##name},
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES32(PATH)};
// clang-format on

/* Tokens of a tile: those of 12 leave less over now and then; a tile costs its tokens and about two
 * more. */
static int tile_size(int n)
{
    return (n + 11) / 12 * (12 + 2) < (n + 15) / 16 * (16 + 2) ? 12 : 16;
}

static void matmul32(const struct kern_mat *m, int from, int to, const uint8_t *x, size_t x_stride,
                     int n, float *y, size_t y_stride)
{
    const int nt = tile_size(n);
    matmul_chunk(&paths[m->type], m, from, to, (struct cuts){n, (n + nt - 1) / nt, nt}, 32, x,
                 8 * sizeof(struct kern_x32), x_stride, y, y_stride);
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
