/* kern/amx_tiles.h - what the files of the AMX level share: tiles 0 to 3 are sums, 4 and 5
 * activations, 6 and 7 weights.
 * Intel 64 Architectures Software Developer's Manual, volume 1, chapter 18. */
#ifndef KERN_AMX_TILES_H
#define KERN_AMX_TILES_H

#include "kern/avx512_unpack.h"

#define TILE_TOKENS 16  // most tokens of a tile
#define TOKENS      512 // most of a chunk: their sums lie on the stack
#define UNROLL      _Pragma("GCC unroll 16")

// clang-format off
#define LOAD(tile, p, stride)                                                                      \
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #tile : : "r"(p), "r"((size_t)(stride)))
#define STORE(tile, p)                                                                             \
    __asm__ volatile("tilestored %%tmm" #tile ", (%0,%1,1)" : : "r"(p), "r"((size_t)64) : "memory")
#define ZERO(sums) __asm__ volatile("tilezero %%tmm" #sums : :)
/* sums += x times w; which of the two are signed bytes: ss, su (x is), us, uu. */
#define ADD(sums, x, w, signs)                                                                     \
    __asm__ volatile("tdpb" #signs "d %%tmm" #w ", %%tmm" #x ", %%tmm" #sums : :)
// clang-format on

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
    __asm__ volatile("ldtilecfg %0" : : "m"(conf));
}

/* Otherwise every switch of threads would save tiles from now on. */
static inline void release(void)
{
    __asm__ volatile("tilerelease");
}

/* Lines of weights to come. */
struct ahead {
    const uint8_t *lines;
    int n;
};

/* Fetches share i of `shares` equal ones. */
INLINE void fetch_share(struct ahead next, int i, int shares)
{
    for (int l = next.n * i / shares; l < next.n * (i + 1) / shares; l++)
        _mm_prefetch((const char *)next.lines + 64 * l, _MM_HINT_T0);
}

/* Panels [from, to) times at most TOKENS tokens whose activations have scales per 256 columns. */
void kern_amx256_matmul(const struct kern_mat *m, int from, int to, const uint8_t *x,
                        size_t x_stride, int n, float *y, size_t y_stride);

#endif
