/* kern/amx_tiles.h - what the files of the AMX level share: tiles 0 to 3 are sums, 4 and 5
 * activations, 6 and 7 weights.  A file defines before:
 *   PANELS   how many share a read of the activations
 *   WEIGHTS  the type of 256 columns of a panel, unpacked
 * Intel 64 Architectures Software Developer's Manual, volume 1, chapter 18. */
#ifndef KERN_AMX_TILES_H
#define KERN_AMX_TILES_H

#include "kern/avx512_unpack.h"

#define TILE_TOKENS 16  // most tokens of a tile
#define TOKENS      512 // most of a chunk: their sums lie on the stack
#define UNROLL      _Pragma("GCC unroll 16")

#if defined(KERN_AMX_TWIN)
#include "kern/amx_twin.h"
#define LOAD(tile, p, stride)  twin_load(tile, p, (size_t)(stride))
#define STORE(tile, p)         twin_store(tile, p, 64)
#define ZERO(sums)             twin_zero(sums)
#define ADD(sums, x, w, signs) twin_add(sums, x, w, #signs)
#define CONFIGURE(conf)        twin_configure((conf).row_bytes, (conf).rows)
#define RELEASE()              twin_release()
#else
// clang-format off
#define LOAD(tile, p, stride)                                                                      \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(p), "r"((size_t)(stride)))
#define STORE(tile, p)                                                                             \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(p), "r"((size_t)64) : "memory")
#define ZERO(sums) __asm__ volatile("tilezero %%tmm" #sums : :)
/* sums += x times w; which of the two are signed bytes: ss, su (x is), us, uu. */
#define ADD(sums, x, w, signs)                                                                     \
    __asm__ volatile("tdpb" #signs "d %%tmm" #w ", %%tmm" #x ", %%tmm" #sums : :)
#define CONFIGURE(conf) __asm__ volatile("ldtilecfg %0" : : "m"(conf))
#define RELEASE()       __asm__ volatile("tilerelease")
// clang-format on
#endif

/* Tiles for up to 16 tokens and 32 or 64 columns. */
static inline void configure(int tokens, int columns)
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
    CONFIGURE(conf);
}

/* A chunk of tokens is cut into tiles of nt tokens, as many as there are.  All have the same size,
 * so the last may begin before the one before it ends; the tokens they have in common get the same
 * sums twice. */
struct cuts {
    int n, tiles, nt;
};

INLINE int first_token(struct cuts c, int nt, int tile)
{
    return int_min(tile * nt, c.n - nt);
}

#define SLOTS (TOKENS + 2 * TILE_TOKENS)

/* A chunk of tokens at a segment of 256 columns of some panels.  Sums so far stand in acc but for
 * the first and the last segment of a row. */
struct pass {
    const uint8_t *x; // of the segment
    size_t stride;
    struct cuts cuts;
    bool first, last;
    float (*acc)[SLOTS][16]; // [panel]
    float *y;                // of the first panel
    size_t y_stride;
    int n_panels, rows; // rows: of y, from the first panel on
};

/* A tile of tokens of a pass: their activations, and where their sums come from and go to. */
struct slot {
    const uint8_t *x;
    const float *from;
    float *to;
};

INLINE struct slot slot_of(const struct pass *a, int nt, int tile, int panel)
{
    static const _Alignas(64) float zeros[16];
    const size_t token = (size_t)first_token(a->cuts, nt, tile);
    float *acc = a->acc[panel][tile * nt];
    return (struct slot){
        .x = a->x + token * a->stride,
        .from = a->first ? zeros : acc,
        .to = a->last ? a->y + token * a->y_stride + 16 * panel : acc,
    };
}

/* Floats from a token's sums to the next one's, and which lanes are rows. */
struct steps {
    size_t from, to;
    __mmask16 rows;
};

INLINE struct steps steps_of(const struct pass *a, int panel)
{
    const int rows = a->rows - 16 * panel;
    return (struct steps){
        .from = a->first ? 0 : 16,
        .to = a->last ? a->y_stride : 16,
        .rows = (__mmask16)(!a->last || rows >= 16 ? 0xffff : (1u << rows) - 1),
    };
}

/* What there is for a type. */
struct path {
    /* Segment src[0] with n_blocks blocks of 32 columns; src[1] and [2], the next ones of the
     * panel, are fetched meanwhile. */
    void (*unpack)(const struct source *src, const uint8_t *values, int n_blocks, WEIGHTS *w);
    void (*segment)(const WEIGHTS *w, const struct pass *a); // w: [a->n_panels]
};

/* Panels [from, to) times a chunk of at most TOKENS tokens, tiles of `columns`; x_seg: bytes of the
 * activations of a segment. */
INLINE void matmul_chunk(const struct path *path, const struct kern_mat *m, int from, int to,
                         struct cuts cuts, int columns, const uint8_t *x, size_t x_seg,
                         size_t x_stride, float *y, size_t y_stride)
{
    const int segs = (m->cols + 255) / 256;
    WEIGHTS w[PANELS];
    _Alignas(64) float acc[PANELS][SLOTS][16];
    struct pass a = {.stride = x_stride, .cuts = cuts, .acc = acc, .y_stride = y_stride};

    configure(cuts.nt, columns);
    for (int p = from; p < to; p += PANELS) {
        a.n_panels = int_min(PANELS, to - p);
        a.rows = m->rows - 16 * p;
        a.y = y + 16 * (size_t)p;
        for (int s = 0; s < segs; s++) {
            a.x = x + (size_t)s * x_seg;
            a.first = s == 0;
            a.last = s + 1 == segs;
            for (int i = 0; i < a.n_panels; i++) {
                const struct source src[] = {source_of(m, PANELS, p + i, s),
                                             source_of(m, PANELS, p + i, s + 1),
                                             source_of(m, PANELS, p + i, s + 2)};
                path->unpack(src, kern_type_info(m->type)->table, int_min(8, m->cols / 32 - 8 * s),
                             &w[i]);
            }
            path->segment(w, &a);
        }
    }
    // otherwise every switch of threads would save tiles from now on
    RELEASE();
}

/* Panels [from, to) times at most TOKENS tokens whose activations have scales per 256 columns. */
void kern_amx256_matmul(const struct kern_mat *m, int from, int to, const uint8_t *x,
                        size_t x_stride, int n, float *y, size_t y_stride);

#endif
