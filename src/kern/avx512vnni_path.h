/* kern/avx512vnni_path.h - what the files of the AVX-512 VNNI level's matrices share: one has the
 * types with scales per 32 columns, one those with scales per 256, one the walk over a matrix. */
#ifndef KERN_AVX512VNNI_PATH_H
#define KERN_AVX512VNNI_PATH_H

#include "kern/avx512_unpack.h"
#include "kern/avx512vnni_dots.h"

#define CHUNK 144 // tokens whose sums lie on the stack

/* Bytes between a line in use and the lines fetched.  Intel: into the second-level cache from far,
 * which covers the way from memory with more lines on their way than the first level can wait for,
 * and from there into the first.  AMD is faster with one step (measured on Zen 5); the more runs
 * there are, the shorter the way.  Types of floats take two steps everywhere.  Scales are a stream
 * of their own, a tenth as long. */
#define NEAR         768
#define SCALES_AHEAD 640

INLINE int far(int np, bool amd)
{
    if (np == 4)
        return 2048;
    return !amd ? 4096 : np == 2 ? 3072 : 6144;
}

INLINE bool on_amd(void)
{
    return __builtin_cpu_is("amd");
}

/* A type's shape on such a processor.  Intel multiplies integers of 32 bits at a quarter of the
 * rate of dot products, so that two of these are better.  AMD takes one step for it; there narrow
 * sums have not been measured. */
INLINE struct shape on(bool amd, struct shape sh)
{
    if (amd)
        sh.narrow = 0;
    return sh;
}

/* Lines to be fetched: of p soon, and those at `ahead`. */
INLINE void fetch(const uint8_t *p, const uint8_t *ahead, int lines, bool amd)
{
    for (int i = 0; i < lines; i++)
        if (amd) {
            _mm_prefetch((const char *)ahead + 64 * i, _MM_HINT_T0);
        } else {
            _mm_prefetch((const char *)p + NEAR + 64 * i, _MM_HINT_T0);
            _mm_prefetch((const char *)ahead + 64 * i, _MM_HINT_T1);
        }
}

/* A stream that is read, and fetched so far ahead that it goes on into the one that is read next.
 */
struct stream {
    const uint8_t *at, *end, *then;
};

INLINE const uint8_t *ahead_of(const struct stream *s, int np, size_t bytes)
{
    const uint8_t *p = s->at + bytes;
    return np == 1 || p < s->end ? p : s->then + (p - s->end);
}

/* Panel number i of a run, up to number len; after them the run `next`, if any. */
INLINE struct stream lines_of(const struct kern_run *run, int i, int len,
                              const struct kern_run *next)
{
    const uint8_t *at = run->m->lines + (size_t)(run->from + i) * run->m->panel_lines,
                  *end = at + (size_t)(len - i) * run->m->panel_lines;
    return (struct stream){at, end,
                           next ? next->m->lines + (size_t)next->from * next->m->panel_lines : end};
}

INLINE struct stream scales_of(const struct kern_run *run, int i, int len,
                               const struct kern_run *next)
{
    const uint8_t *at = run->m->scales + (size_t)(run->from + i) * run->m->panel_scales,
                  *end = at + (size_t)(len - i) * run->m->panel_scales;
    return (struct stream){
        at, end, next ? next->m->scales + (size_t)next->from * next->m->panel_scales : end};
}

/* What tiles read: the unpacked weights of two panels (the packed lines themselves where those are
 * bytes already), and the lines of the next segment and the one after it, which they fetch
 * meanwhile, each of all `tiles` a share. */
struct feed {
    const struct kern_seg *seg; // [2]
    const uint8_t *w[2], *next[2], *after[2];
    int tiles, done; // done: tiles before this call
    float *y;        // in the last segment: where the call's first results will go; or NULL
    size_t y_stride;
};

/* The first line of each 32 columns that tile i of a call fetches. */
INLINE int share_of(const struct shape sh, const struct feed *src, int i)
{
    return (sh.low + sh.high) * (src->done + i) / src->tiles;
}

/* Lines [from, to) of each 32 columns. */
INLINE void fetch_next_lines(const struct shape sh, const struct feed *src, int block, int from,
                             int to)
{
    for (int l = from; l < to; l++)
        for (int p = 0; p < 2; p++) {
            int at = 64 * ((sh.low + sh.high) * block + l);
            _mm_prefetch((const char *)src->after[p] + at, _MM_HINT_T1);
            _mm_prefetch((const char *)src->next[p] + at, _MM_HINT_T0);
        }
}

/* Asks for where the results of a panel will go: other cores have read there. */
INLINE void fetch_results(float *y, size_t y_stride, int nt)
{
    for (int t = 0; t < nt; t++)
        __builtin_prefetch(y + (size_t)t * y_stride, 1, 3);
}

typedef void fused_fn(const struct kern_run *run, int np, int len, const uint8_t *x, size_t stride,
                      int nt, size_t y_stride, const struct kern_run *const *next);

/* What there is for a type. */
struct vnni_path {
    fused_fn *fused;
    void (*unpack)(const struct source *src, const uint8_t *values, struct kern_seg *seg);
    void (*tile)(const struct feed *src, const uint8_t *x, size_t stride, int nt, int n,
                 float (*out)[16]);
};

/* All of a type's functions from its constants; `kind` is 32 or 256. */
// clang-format off
#define FUSED_CASE(kind, np, amd, n)                                                               \
    case 128 * amd + 16 * np + n:                                                                  \
        fused##kind(sh, run, np, len, amd, x, stride, n, y_stride, next); break;
#define FUSED_CASES(kind, amd)                                                                     \
    FUSED_CASE(kind, 1, amd, 1) FUSED_CASE(kind, 1, amd, 2) FUSED_CASE(kind, 1, amd, 3)            \
    FUSED_CASE(kind, 1, amd, 4) FUSED_CASE(kind, 1, amd, 5) FUSED_CASE(kind, 1, amd, 6)            \
    FUSED_CASE(kind, 1, amd, 7) FUSED_CASE(kind, 1, amd, 8) FUSED_CASE(kind, 1, amd, 9)            \
    FUSED_CASE(kind, 1, amd, 10) FUSED_CASE(kind, 1, amd, 11) FUSED_CASE(kind, 1, amd, 12)
#define RUN_CASES(kind, amd)                                                                       \
    FUSED_CASE(kind, 4, amd, 1) FUSED_CASE(kind, 4, amd, 2) FUSED_CASE(kind, 2, amd, 1)            \
    FUSED_CASE(kind, 2, amd, 2) FUSED_CASE(kind, 2, amd, 3) FUSED_CASE(kind, 2, amd, 4)
#define TILE_CASE(kind, sh, nt)                                                                    \
    case nt: tile##kind(sh, src, x, stride, nt, n, out); break;
#define TILE_CASES(kind, sh)                                                                       \
    switch (nt) { TILE_CASE(kind, sh, 4) TILE_CASE(kind, sh, 5) TILE_CASE(kind, sh, 6) }
#define VNNI_TYPE(name, type, kind, ...)                                                           \
    static void fused_##name(const struct kern_run *run, int np, int len, const uint8_t *x,        \
                             size_t stride, int nt, size_t y_stride,                               \
                             const struct kern_run *const *next)                                   \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        switch (128 * on_amd() + 16 * np + nt) {                                                   \
            RUN_CASES(kind, 0) RUN_CASES(kind, 1) FUSED_CASES(kind, 0) FUSED_CASES(kind, 1)        \
        }                                                                                          \
    }                                                                                              \
    static void unpack_##name(const struct source *src, const uint8_t *values,                     \
                              struct kern_seg *seg)                                                \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        unpack_seg(sh, src, load_table(sh, values), kind == 32, false, seg);                       \
    }                                                                                              \
    static void tile_##name(const struct feed *src, const uint8_t *x, size_t stride, int nt,       \
                            int n, float (*out)[16])                                               \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__}, wide = on(true, sh);                                \
        if (sh.narrow && on_amd())                                                                 \
            TILE_CASES(kind, wide)                                                                 \
        else                                                                                       \
            TILE_CASES(kind, sh)                                                                   \
    }
// clang-format on

extern const struct vnni_path kern_vnni512_paths32[KERN_TYPES], kern_vnni512_paths256[KERN_TYPES];

#endif
