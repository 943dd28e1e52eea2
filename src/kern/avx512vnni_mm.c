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

#include "kern/avx512_unpack.h"
#include "kern/avx512vnni_dots.h"

#define FUSED       12                // most tokens of the fused path
#define CHUNK       144               // tokens whose sums lie on the stack
#define CHUNK_BYTES ((size_t)1 << 20) // of activations that stay in the second-level cache

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

INLINE __m512i start32(const struct shape sh, const struct kern_x32 *x)
{
    switch (sh.offset) {
    case 8: return splat(&x->m8);
    case 16: return splat(&x->m16);
    case 128: return splat(&x->m128);
    default: return _mm512_set1_epi32(KERN_ZERO_BITS);
    }
}

/* One block of 32 columns: acc += sums times scales. */
INLINE void block32(const struct shape sh, const uint8_t *lines, __m512i table, __m512 d,
                    __m512 min, const struct acts *a, int nt, __m512 *acc)
{
    const __m512 zero = zero_of(d);
    __m512i s[TILE];
    for (int t = 0; t < nt; t++)
        s[t] = start32(sh, (const struct kern_x32 *)acts_at(a, t));
#pragma GCC unroll 8
    for (int g = 0; g < 8; g++)
        dots(g, s, unpack(sh, lines, g, table), a, nt);
    for (int t = 0; t < nt; t++) {
        const struct kern_x32 *xb = (const struct kern_x32 *)acts_at(a, t);
        acc[t] = _mm512_fmadd_ps(scaled32(s[t], d, zero), _mm512_set1_ps(xb->d), acc[t]);
        if (sh.mins)
            acc[t] = _mm512_fmadd_ps(min, sum32(xb), acc[t]);
    }
}

/* nt tokens times np runs of len panels, weights unpacked on the way; next [np]: what is read
 * after each.  (All of it stands in one loop because gcc keeps arrays in registers only where loops
 * over them are inner ones.) */
INLINE void fused32(const struct shape sh, const struct kern_run *run, int np, int len, bool amd,
                    const uint8_t *x0, size_t stride, int nt, size_t y_stride,
                    const struct kern_run *const *next)
{
    const struct kern_mat *m = run->m;
    const __m512i table = load_table(sh, kern_type_info(m->type)->table);
    for (int i = 0; i < len; i++) {
        struct stream lines[KERN_RUNS], scales[KERN_RUNS];
        struct acts a = acts_of(x0, stride);
        __m512 acc[KERN_RUNS][TILE];
        for (int p = 0; p < np; p++) {
            lines[p] = lines_of(&run[p], i, len, next[p]);
            scales[p] = scales_of(&run[p], i, len, next[p]);
            for (int t = 0; t < nt; t++)
                acc[p][t] = _mm512_setzero_ps();
        }
        for (int k = 0; k < m->cols; k += 32) {
#pragma GCC unroll 4
            for (int p = 0; p < np; p++) {
                const uint8_t *scale = scales[p].at;
                __m512 min = _mm512_setzero_ps();
                fetch(lines[p].at, ahead_of(&lines[p], np, (size_t)far(np, amd)), sh.low + sh.high,
                      amd);
                _mm_prefetch((const char *)ahead_of(&scales[p], np, SCALES_AHEAD), _MM_HINT_T0);
                if (sh.mins)
                    min = _mm512_mul_ps(halves(scale + 32), _mm512_set1_ps(-0.0625f));
                block32(sh, lines[p].at, table, scales32(sh, scale), min, &a, nt, acc[p]);
                lines[p].at += 64 * (sh.low + sh.high);
                scales[p].at += scale_bytes32(sh);
            }
            acts_move(&a, nt, sizeof(struct kern_x32));
        }
#pragma GCC unroll 4
        for (int p = 0; p < np; p++)
            for (int t = 0; t < nt; t++)
                store_rows(run[p].m, run[p].from + i, run[p].y, y_stride, t, acc[p][t]);
    }
}

/* What the sum of `groups` groups begins with, at number i of the activations' sums of so many; of
 * narrow ones the upper half may be anything. */
INLINE __m512i start256(const struct shape sh, const uint8_t *sums, int i)
{
    typedef int32_t anywhere __attribute__((aligned(2), may_alias));
    if (sh.mins)
        return _mm512_setzero_si512();
    if (sh.narrow == 2)
        return _mm512_set1_epi32(*(const anywhere *)(sums + 2 * i));
    return sh.groups == 4 ? splat((const int32_t *)sums + i)
                          : _mm512_set1_epi32(-128 * *(const int16_t *)sums);
}

/* For many uses, which compilers make as many reads. */
INLINE __m512i load_once(const void *p)
{
    __m512i v = _mm512_load_si512(p);
    __asm__("" : "+v"(v));
    return v;
}

/* sum [nt] += s times a block's scale; of numbers of 16 bits one instruction does both, where the
 * scale's upper half is 0. */
INLINE void add_scaled(const struct shape sh, __m512i *sum, const __m512i *s, __m512i scale, int nt)
{
    for (int t = 0; t < nt; t++)
        if (sh.narrow)
            __asm__("vpdpwssd %2, %1, %0" : "+v"(sum[t]) : "v"(s[t]), "v"(scale));
        else
            __asm__("vpaddd %1, %0, %0" : "+v"(sum[t]) : "v"(_mm512_mullo_epi32(s[t], scale)));
}

/* Block i of 32 columns of 256: sum += sums times scales.  `sums` is of what products start with.
 */
INLINE void block256(const struct shape sh, const uint8_t *lines, int i, __m512i table,
                     __m512i scale, const struct acts *a, const struct acts *sums, int nt,
                     __m512i *sum)
{
    const int groups = sh.narrow ? sh.narrow : sh.groups;
#pragma GCC unroll 2
    for (int from = 0; from < sh.groups; from += groups) {
        __m512i s[TILE];
        for (int t = 0; t < nt; t++)
            s[t] = start256(sh, acts_at(sums, t), (sh.groups * i + from) / groups);
#pragma GCC unroll 8
        for (int g = from; g < from + groups; g++) {
            int at = sh.groups * i + g;
            dots(at, s, unpack(sh, lines, at, table), a, nt);
        }
        add_scaled(sh, sum, s, scale, nt);
    }
}

/* The sums of activations that those of products begin with. */
INLINE struct acts sums256(const struct shape sh, const uint8_t *x, size_t stride)
{
    const size_t at = sh.narrow == 2   ? offsetof(struct kern_x256, n32)
                      : sh.groups == 4 ? offsetof(struct kern_x256, m32)
                                       : offsetof(struct kern_x256, s32);
    return acts_of(x + at, stride);
}

/* f = the sum times d, plus mins times sums of activations times dmin, which is negated; then acc
 * += f times the scale of the activations.  a is behind the codes. */
INLINE void end256(const struct shape sh, const __m512i *mins, __m512 d, __m512 dmin,
                   const struct acts *a, int nt, const __m512i *sum, __m512 *acc)
{
    for (int t = 0; t < nt; t++) {
        const struct kern_x256 *xb = (const struct kern_x256 *)(acts_at(a, t) - 256);
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

INLINE void fused256(const struct shape shape, const struct kern_run *run, int np, int len,
                     bool amd, const uint8_t *x0, size_t stride, int nt, size_t y_stride,
                     const struct kern_run *const *next)
{
    const struct shape sh = on(amd, shape);
    const struct kern_mat *m = run->m;
    const __m512i table = load_table(sh, kern_type_info(m->type)->table);
    for (int i = 0; i < len; i++) {
        struct stream lines[KERN_RUNS], scales[KERN_RUNS];
        struct acts a = acts_of(x0, stride), sums = sums256(sh, x0, stride);
        __m512 acc[KERN_RUNS][TILE], dmin = _mm512_setzero_ps();
        for (int p = 0; p < np; p++) {
            lines[p] = lines_of(&run[p], i, len, next[p]);
            scales[p] = scales_of(&run[p], i, len, next[p]);
            for (int t = 0; t < nt; t++)
                acc[p][t] = _mm512_setzero_ps();
        }
        for (int k = 0; k < m->cols; k += 256) {
            const size_t after = sh.mins ? 64 : 32;
            __m512i mins[8], sum[KERN_RUNS][TILE];
            for (int p = 0; p < np; p++)
                for (int t = 0; t < nt; t++)
                    sum[p][t] = _mm512_setzero_si512();
#pragma GCC unroll 1
            for (int b = 0; b < 8; b++) {
#pragma GCC unroll 4
                for (int p = 0; p < np; p++) {
                    const uint8_t *block = scales[p].at + after + 128 / sh.groups * b;
                    fetch(lines[p].at, ahead_of(&lines[p], np, (size_t)far(np, amd)),
                          sh.low + sh.high, amd);
                    _mm_prefetch((const char *)ahead_of(&scales[p], np, SCALES_AHEAD) +
                                     scale_bytes256(sh) / 8 * b,
                                 _MM_HINT_T0);
#pragma GCC unroll 2
                    for (int j = 0; j < 8 / sh.groups; j++)
                        block256(sh, lines[p].at, j, table, narrowed(sh, scales256(sh, block, j)),
                                 &a, &sums, nt, sum[p]);
                    lines[p].at += 64 * (sh.low + sh.high);
                }
                acts_move(&a, nt, 32);
                acts_move(&sums, nt, sh.groups == 4 ? 8 : 2);
            }
#pragma GCC unroll 4
            for (int p = 0; p < np; p++) {
                const uint8_t *at = scales[p].at;
                if (sh.mins) {
                    for (int j = 0; j < 32 / sh.groups; j++)
                        mins[j] = mins256(sh, at + after, j);
                    dmin = negated_halves(at + 32);
                }
                end256(sh, mins, halves(at), dmin, &a, nt, sum[p], acc[p]);
                scales[p].at += scale_bytes256(sh);
            }
            acts_move(&a, nt, sizeof(struct kern_x256) - 256);
            acts_move(&sums, nt, sizeof(struct kern_x256) - (sh.groups == 4 ? 64 : 16));
        }
#pragma GCC unroll 4
        for (int p = 0; p < np; p++)
            for (int t = 0; t < nt; t++)
                store_rows(run[p].m, run[p].from + i, run[p].y, y_stride, t, acc[p][t]);
    }
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

/* n tiles of two panels and nt tokens; out [2][CHUNK]. */
INLINE void tile32(const struct shape sh, const struct feed *src, const uint8_t *x0, size_t stride,
                   int nt, int n, float (*out)[16])
{
    const struct kern_seg *seg = src->seg;
    for (int i = 0; i < n; i++, x0 += (size_t)nt * stride, out += nt) {
        struct acts a = acts_of(x0, stride);
        const uint8_t *w[2] = {src->w[0], src->w[1]};
        const int from = share_of(sh, src, i), to = share_of(sh, src, i + 1);
        __m512 acc[TILE];
        for (int p = 0; p < 2 && src->y; p++)
            fetch_results(src->y + (size_t)(i * nt) * src->y_stride + 16 * p, src->y_stride, nt);
        for (int t = 0; t < 2 * nt; t++)
            acc[t] = _mm512_load_ps(out[t / nt * CHUNK + t % nt]);
        for (int b = 0; b < seg->n_blocks; b++, w[0] += 512, w[1] += 512) {
            __m512i s[TILE];
            fetch_next_lines(sh, src, b, from, to);
            for (int t = 0; t < nt; t++)
                s[t] = s[nt + t] = start32(sh, (const struct kern_x32 *)acts_at(&a, t));
            dots_pair(0, 8, s, w, &a, nt);
            __m512 d[2], zero[2];
            for (int p = 0; p < 2; p++) {
                d[p] = _mm512_load_ps(seg[p].d[b]);
                zero[p] = zero_of(d[p]);
            }
            for (int t = 0; t < nt; t++) {
                const struct kern_x32 *xb = (const struct kern_x32 *)acts_at(&a, t);
                __m512 dx = _mm512_set1_ps(xb->d), sum = _mm512_setzero_ps();
                if (sh.mins)
                    sum = sum32(xb);
                for (int p = 0; p < 2; p++) {
                    int k = p * nt + t;
                    acc[k] = _mm512_fmadd_ps(scaled32(s[k], d[p], zero[p]), dx, acc[k]);
                    if (sh.mins)
                        acc[k] = _mm512_fmadd_ps(_mm512_load_ps(seg[p].m[b]), sum, acc[k]);
                }
            }
            acts_move(&a, nt, sizeof(struct kern_x32));
        }
        for (int t = 0; t < 2 * nt; t++)
            _mm512_store_ps(out[t / nt * CHUNK + t % nt], acc[t]);
    }
}

INLINE void tile256(const struct shape sh, const struct feed *src, const uint8_t *x0, size_t stride,
                    int nt, int n, float (*out)[16])
{
    const struct kern_seg *seg = src->seg;
    const int groups = sh.narrow ? sh.narrow : sh.groups;
    for (int i = 0; i < n; i++, x0 += (size_t)nt * stride, out += nt) {
        struct acts a = acts_of(x0, stride), sums = sums256(sh, x0, stride);
        const uint8_t *w[2] = {src->w[0], src->w[1]};
        const int from = share_of(sh, src, i), to = share_of(sh, src, i + 1);
        __m512i mins[8], sum[TILE];
        for (int p = 0; p < 2 && src->y; p++)
            fetch_results(src->y + (size_t)(i * nt) * src->y_stride + 16 * p, src->y_stride, nt);
        for (int t = 0; t < 2 * nt; t++)
            sum[t] = _mm512_setzero_si512();
#pragma GCC unroll 1
        for (int b = 0; b < 8; b++, w[0] += 512, w[1] += 512) {
            fetch_next_lines(sh, src, b, from, to);
            for (int g = 0; g < 8; g += groups) {
                __m512i s[TILE];
                for (int t = 0; t < nt; t++)
                    s[t] = s[nt + t] = start256(sh, acts_at(&sums, t), g / groups);
                dots_pair(g, groups, s, w, &a, nt);
#pragma GCC unroll 2
                for (int p = 0; p < 2; p++) {
                    __m512i scale = load_once(seg[p].scale[(8 * b + g) / sh.groups]);
                    add_scaled(sh, sum + p * nt, s + p * nt, scale, nt);
                }
            }
            acts_move(&a, nt, 32);
            acts_move(&sums, nt, sh.groups == 4 ? 8 : 2);
        }
#pragma GCC unroll 2
        for (int p = 0; p < 2; p++) {
            __m512 acc[TILE / 2];
            for (int j = 0; j < 32 / sh.groups; j++)
                mins[j] = _mm512_load_si512(seg[p].min[j]);
            for (int t = 0; t < nt; t++)
                acc[t] = _mm512_load_ps(out[p * CHUNK + t]);
            end256(sh, mins, _mm512_load_ps(seg[p].d[0]), _mm512_load_ps(seg[p].dmin), &a, nt,
                   sum + p * nt, acc);
            for (int t = 0; t < nt; t++)
                _mm512_store_ps(out[p * CHUNK + t], acc[t]);
        }
    }
}

typedef void fused_fn(const struct kern_run *run, int np, int len, const uint8_t *x, size_t stride,
                      int nt, size_t y_stride, const struct kern_run *const *next);

struct path {
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
#define TYPE(name, type, kind, ...)                                                                \
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
    static void tile_##name(const struct feed *src, const uint8_t *x, size_t stride, int nt,     \
                            int n, float (*out)[16])                                               \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__}, wide = on(true, sh);                                \
        if (sh.narrow && on_amd())                                                                 \
            TILE_CASES(kind, wide)                                                                 \
        else                                                                                       \
            TILE_CASES(kind, sh)                                                                   \
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
    const struct path *path = &paths[m->type];
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
        paths[m->type].fused(&run, 1, to - from, x + (size_t)t * x_stride, x_stride, size, y_stride,
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
        paths[run->m->type].fused(run + i, np, len, x, x_stride, n, y_stride, after + i);
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
