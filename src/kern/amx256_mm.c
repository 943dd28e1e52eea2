/* kern/amx256_mm.c - AMX tiles for types with scales per 256 columns: the scales of their blocks
 * are multiplied into the weights, which become two planes of bytes, so that a tile holds whole
 * sums of 256 columns.
 *
 * Activations are loaded as they lie, two tiles of them for each of weights.  The sums leave their
 * tiles for memory and come back as 16 lanes, one a row, while the tiles take the next ones. */
#include "kern/kern_int.h"

#if defined(__AMX_INT8__) || defined(__AMXINT8__) // as gcc and clang 14 have it

/* 256 columns of a panel, scales multiplied in; w = low + high << shift. */
struct planes {
    _Alignas(64) uint8_t low[64][64], high[64][64]; // [group of 4 columns][16 rows][4]
    _Alignas(64) int16_t min[8][16][2];             // [pair of blocks][row][2]
    _Alignas(64) float d[16], dmin[16];             // dmin negated
};

#define PANELS  2
#define WEIGHTS struct planes
#include "kern/amx_tiles.h"

/* How weights times scales, of 6 to 14 bits, are cut into bytes. */
enum cut {
    ONE,   // they fit: Q2_K
    OCTAL, // times the low and the high three bits of the scale: codes up to 31, unsigned
    WIDE   // the low byte, unsigned, and the high one, signed
};

INLINE enum cut cut_of(const struct shape sh)
{
    return !sh.mins ? WIDE : sh.groups == 4 ? ONE : OCTAL;
}

/* One line of codes times the scale of their rows, in both halves of 32 bits. */
INLINE void multiply(const struct shape sh, __m512i codes, __m512i scale, uint8_t *low,
                     uint8_t *high)
{
    if (cut_of(sh) == ONE) { // two bytes at once: neither product carries
        _mm512_store_si512(low, _mm512_mullo_epi16(codes, scale));
        return;
    }
    if (cut_of(sh) == OCTAL) {
        __m512i bits = _mm512_and_si512(scale, _mm512_set1_epi16(7));
        _mm512_store_si512(low, _mm512_mullo_epi16(codes, bits));
        _mm512_store_si512(high, _mm512_mullo_epi16(codes, _mm512_srli_epi16(scale, 3)));
        return;
    }
    const __m512i first = _mm512_set1_epi16(0xff);
    __m512i even = _mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 8);
    __m512i odd = _mm512_srai_epi16(codes, 8);
    even = _mm512_mullo_epi16(even, scale);
    odd = _mm512_mullo_epi16(odd, scale);
    // (first & even) | (~first & odd)
    _mm512_store_si512(low,
                       _mm512_ternarylogic_epi32(first, even, _mm512_slli_epi16(odd, 8), 0xca));
    _mm512_store_si512(high,
                       _mm512_ternarylogic_epi32(first, _mm512_srli_epi16(even, 8), odd, 0xca));
}

/* Meanwhile fetches the next segment of the panel, and into the second-level cache the one after
 * that: src is of all three. */
INLINE void unpack_planes(const struct shape sh, const struct source *src, __m512i table,
                          struct planes *w)
{
    const uint8_t *lines = src->lines, *scales = src->scales;
    const uint8_t *after = scales + (sh.mins ? 64 : 32);
    struct shape numbers = sh; // codes that are the numbers themselves
    numbers.raise -= sh.offset;
    for (int b = 0; b < 8; b++, lines += 64 * (sh.low + sh.high)) {
        __m512i scale = _mm512_setzero_si512();
        fetch_next(sh, src, b);
        UNROLL for (int g = 0; g < 8; g++)
        {
            if (g % sh.groups == 0) {
                scale = scales256(sh, after, 8 / sh.groups * b + g / sh.groups);
                scale = _mm512_mask_blend_epi16(0xaaaaaaaa, scale, _mm512_slli_epi32(scale, 16));
            }
            multiply(sh, unpack(numbers, lines, g, table), scale, w->low[8 * b + g],
                     w->high[8 * b + g]);
        }
    }
    _mm512_store_ps(w->d, halves(scales));
    if (!sh.mins)
        return;
    for (int j = 0; j < 32 / sh.groups; j++)
        _mm512_store_si512(w->min[j], mins256(sh, after, j));
    _mm512_store_ps(w->dmin, negated_halves(scales + 32));
}

/* Two tiles of tokens times a panel's weights. */
struct unit {
    struct slot slots[2];
    struct steps steps;
    const struct planes *w;
};

/* Sums on their way from tiles to lanes: low planes of both tiles of tokens, then high ones. */
typedef int32_t sums_of[4][TILE_TOKENS][16];

/* Adds the sums of tokens [begin, end) of one of the tiles, times the scales. */
INLINE void finish(const struct shape sh, const struct unit *u, int tile, int begin, int end,
                   const sums_of sums, size_t stride)
{
    const __m512 d = _mm512_load_ps(u->w->d), dmin = _mm512_load_ps(u->w->dmin);
    __m512i mins[8];
    if (sh.mins)
        UNROLL for (int j = 0; j < 32 / sh.groups; j++) mins[j] = _mm512_load_si512(u->w->min[j]);
    for (int t = begin; t < end; t++) {
        const struct slot *slot = &u->slots[tile];
        const struct kern_x256 *x = (const struct kern_x256 *)(slot->x + (size_t)t * stride);
        __m512i s = _mm512_load_si512(sums[tile][t]);
        if (cut_of(sh) != ONE) {
            __m512i high = _mm512_load_si512(sums[2 + tile][t]);
            s = _mm512_add_epi32(s, _mm512_slli_epi32(high, cut_of(sh) == OCTAL ? 3 : 8));
        }
        __m512 f = _mm512_mul_ps(_mm512_cvtepi32_ps(s), d);
        if (sh.mins) {
            const int16_t *of_x = sh.groups == 4 ? x->s16 : x->s32;
            __m512i m = _mm512_setzero_si512();
            UNROLL for (int j = 0; j < 32 / sh.groups; j++) m = dot2(m, mins[j], of_x + 2 * j);
            f = _mm512_fmadd_ps(_mm512_cvtepi32_ps(m), dmin, f);
        }
        f = _mm512_fmadd_ps(f, _mm512_set1_ps(x->d),
                            _mm512_load_ps(slot->from + (size_t)t * u->steps.from));
        _mm512_mask_storeu_ps(slot->to + (size_t)t * u->steps.to, u->steps.rows, f);
    }
}

/* 64 of the 256 columns. */
#define QUARTER(sh, u, k, stride)                                                                  \
    do {                                                                                           \
        LOAD(4, u->slots[0].x + 64 * (k), stride);                                                 \
        LOAD(6, u->w->low[16 * (k)], 64);                                                          \
        ADD(0, 4, 6, su);                                                                          \
        LOAD(5, u->slots[1].x + 64 * (k), stride);                                                 \
        ADD(1, 5, 6, su);                                                                          \
        if (cut_of(sh) == ONE)                                                                     \
            break;                                                                                 \
        LOAD(7, u->w->high[16 * (k)], 64);                                                         \
        if (cut_of(sh) == OCTAL) {                                                                 \
            ADD(2, 4, 7, su);                                                                      \
            ADD(3, 5, 7, su);                                                                      \
        } else {                                                                                   \
            ADD(2, 4, 7, ss);                                                                      \
            ADD(3, 5, 7, ss);                                                                      \
        }                                                                                          \
    } while (0)

/* Multiplies one unit and meanwhile finishes the one before, unless it is the first. */
INLINE void step(const struct shape sh, bool first, const struct unit *u, const struct unit *before,
                 int nt, size_t stride, sums_of now, const sums_of last)
{
    ZERO(0);
    ZERO(1);
    ZERO(2);
    ZERO(3);
    UNROLL for (int k = 0; k < 4; k++)
    {
        QUARTER(sh, u, k, stride);
        if (!first)
            finish(sh, before, k / 2, k % 2 * (nt / 2), k % 2 ? nt : nt / 2, last, stride);
    }
    STORE(0, now[0]);
    STORE(1, now[1]);
    if (cut_of(sh) != ONE) {
        STORE(2, now[2]);
        STORE(3, now[3]);
    }
}

INLINE void segment(const struct shape sh, const struct planes *w, const struct pass *a, int nt)
{
    _Alignas(64) sums_of sums[2];
    struct unit before = {0};
    int now = 0;
    for (int tile = 0; tile < a->cuts.tiles; tile += 2)
        for (int panel = 0; panel < a->n_panels; panel++) {
            const struct unit u = {
                .slots = {slot_of(a, nt, tile, panel), slot_of(a, nt, tile + 1, panel)},
                .steps = steps_of(a, panel),
                .w = &w[panel],
            };
            if (tile == 0 && panel == 0)
                step(sh, true, &u, &before, nt, a->stride, sums[now], sums[!now]);
            else
                step(sh, false, &u, &before, nt, a->stride, sums[now], sums[!now]);
            before = u;
            now = !now;
        }
    for (int tile = 0; tile < 2; tile++)
        finish(sh, &before, tile, 0, nt, sums[!now], a->stride);
}

// clang-format off
#define TYPE(name, type, kind, ...)                                                                \
    static void unpack_##name(const struct source *src, const uint8_t *values, int n_blocks,       \
                              struct planes *w)                                                    \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        (void)n_blocks; /* 8: rows are multiples of 256 */                                         \
        unpack_planes(sh, src, load_table(sh, values), w);                                         \
    }                                                                                              \
    static void segment_##name(const struct planes *w, const struct pass *a)                       \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        if (a->cuts.nt == TILE_TOKENS)                                                             \
            segment(sh, w, a, TILE_TOKENS);                                                        \
        else                                                                                       \
            segment(sh, w, a, a->cuts.nt);                                                         \
    }
KERN_BYTE_TYPES256(TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {unpack_##name, segment_##name},
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES256(PATH)};
// clang-format on

void kern_amx256_matmul(const struct kern_mat *m, int from, int to, const uint8_t *x,
                        size_t x_stride, int n, float *y, size_t y_stride)
{
    const int tiles = (n + 2 * TILE_TOKENS - 1) / (2 * TILE_TOKENS) * 2; // units are pairs
    matmul_chunk(&paths[m->type], m, from, to, (struct cuts){n, tiles, (n + tiles - 1) / tiles}, 64,
                 x, sizeof(struct kern_x256), x_stride, y, y_stride);
}

#endif
