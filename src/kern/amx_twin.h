/* kern/amx_twin.h - the tile instructions in plain C, for tests on processors without them: what
 * amx_tiles.h has as assembly, operation for operation (KERN_AMX_TWIN, tests only). */
#ifndef KERN_AMX_TWIN_H
#define KERN_AMX_TWIN_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

/* Rows of a tile and bytes of a row, at most 16 and 64, as configured; 0: not configured. */
static _Thread_local struct twin_tile {
    int rows, row_bytes;
    uint8_t at[16][64];
} twin_tiles[8];

static inline void twin_configure(const uint16_t *row_bytes, const uint8_t *rows)
{
    for (int i = 0; i < 8; i++)
        twin_tiles[i] = (struct twin_tile){.rows = rows[i], .row_bytes = row_bytes[i]};
}

static inline void twin_release(void)
{
    memset(twin_tiles, 0, sizeof twin_tiles);
}

static inline void twin_load(int tile, const void *from, size_t stride)
{
    struct twin_tile *t = &twin_tiles[tile];
    assert(t->rows);
    memset(t->at, 0, sizeof t->at);
    for (int r = 0; r < t->rows; r++)
        memcpy(t->at[r], (const char *)from + (size_t)r * stride, (size_t)t->row_bytes);
}

static inline void twin_store(int tile, void *to, size_t stride)
{
    const struct twin_tile *t = &twin_tiles[tile];
    assert(t->rows);
    for (int r = 0; r < t->rows; r++)
        memcpy((char *)to + (size_t)r * stride, t->at[r], (size_t)t->row_bytes);
}

static inline void twin_zero(int tile)
{
    memset(twin_tiles[tile].at, 0, sizeof twin_tiles[tile].at);
}

static inline int twin_byte(uint8_t b, char sign)
{
    return sign == 's' ? (int8_t)b : b;
}

/* sums [m][n] += x [m][4 k ..] times w [k][4 n ..], four bytes each. */
static inline void twin_add(int sums, int x, int w, const char *signs)
{
    struct twin_tile *s = &twin_tiles[sums];
    const struct twin_tile *a = &twin_tiles[x], *b = &twin_tiles[w];
    assert(s->rows == a->rows && a->row_bytes == 4 * b->rows && b->row_bytes == s->row_bytes);
    for (int m = 0; m < s->rows; m++)
        for (int n = 0; n < s->row_bytes / 4; n++) {
            int32_t sum;
            memcpy(&sum, s->at[m] + 4 * n, 4);
            for (int k = 0; k < a->row_bytes; k++)
                sum += twin_byte(a->at[m][k], signs[0]) *
                       twin_byte(b->at[k / 4][4 * n + k % 4], signs[1]);
            memcpy(s->at[m] + 4 * n, &sum, 4);
        }
}

#endif
