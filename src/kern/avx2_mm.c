/* kern/avx2_mm.c - packed matrix times coded activations with AVX2: 16 rows x 1..4 tokens.
 *
 * maddubs multiplies unsigned by signed bytes and adds pairs of products into 16 bits, where it
 * saturates.  How many of its results may be added before madd widens them, and multiplies by the
 * block's scale on the way, depends on the size of the codes: `adds`.  Codes of 8 bits would
 * saturate at once; they are taken as signed numbers, and the sign moves to the activation.
 *
 * Codes are unpacked into registers and used at once.  Where more than four tokens share them, the
 * first tile leaves those of a segment of 256 columns in memory for the others.
 *
 * The sums of a block stand in eight registers, those of a segment in memory.  The additions are
 * assembly, because compilers reorder them into more sums than there are registers. */
#include "kern/kern_int.h"

#if defined(__AVX2__)

#include "kern/avx2_unpack.h"
#include "kern/mm_path.h"

/* Bytes between a line in use and the lines fetched, into the first and second-level cache. */
#define NEAR         1536
#define FAR          4096
#define SCALES_AHEAD 640

INLINE int n_groups(const struct shape sh)
{
    return sh.groups ? sh.groups : 8;
}

/* Sums over a block of 16 begin with p32: of numbers of 6 bits instead of codes, they fit 16 bits,
 * and that they do not on the way is no matter. */
INLINE bool centred(const struct shape sh)
{
    return sh.groups == 4 && !sh.mins;
}

/* How many results of maddubs fit 16 bits together, as a divisor of the groups of a block; 0: none,
 * the codes are signed. */
INLINE int adds(const struct shape sh)
{
    int top = (1 << (sh.low + sh.high)) - 1 + sh.raise;
    if (sh.table)
        top = sh.e8m0 ? 28 : 255; // 12 + 16, 127 + 128
    if (centred(sh))
        return n_groups(sh);
    int most = 32767 / (2 * 127 * top);
    return most >= 8 ? n_groups(sh) : most >= 4 ? 4 : most >= 2 ? 2 : 0;
}

/* Where a tile has its codes from: the lines, for itself alone; the lines, and it leaves them for
 * the tiles after it; a tile before it. */
enum source { ALONE, FIRST, LATER };

/* Codes of group g of block b of 32 columns of a segment. */
INLINE __m256i codes(const struct shape sh, const struct feed *src, struct kern_seg *seg,
                     enum source from, int b, int g, int half, __m256i table)
{
    __m256i *kept = (__m256i *)(seg->w[8 * b + g] + 32 * half);
    if (from == LATER)
        return _mm256_load_si256(kept);
    __m256i w = unpack(sh, src->lines + (size_t)(64 * (sh.low + sh.high) * b), g, half, table);
    if (!adds(sh))
        w = _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80));
    if (from == FIRST)
        _mm256_store_si256(kept, w);
    return w;
}

/* The sizes of codes w of the same place. */
INLINE __m256i sizes(struct kern_seg *seg, enum source from, int b, int g, int half, __m256i w)
{
    __m256i *kept = (__m256i *)(seg->size[8 * b + g] + 32 * half);
    if (from == LATER)
        return _mm256_load_si256(kept);
    w = _mm256_abs_epi8(w);
    if (from == FIRST)
        _mm256_store_si256(kept, w);
    return w;
}

/* The lines of block b, of this segment from afar or of the next one. */
INLINE void fetch(const struct shape sh, const struct feed *src, enum source from, int b)
{
    const int n = sh.low + sh.high;
    if (from == ALONE) {
        const char *p = (const char *)src->lines + (size_t)(64 * n * b);
        for (int i = 0; i < n; i++) {
            _mm_prefetch(p + FAR + 64 * i, _MM_HINT_T1);
            _mm_prefetch(p + NEAR + 64 * i, _MM_HINT_T0);
        }
        _mm_prefetch((const char *)src->scales + SCALES_AHEAD + 64 * b, _MM_HINT_T0);
    } else if (from == FIRST) {
        const char *p = (const char *)src->lines + (size_t)(64 * n * (8 + b));
        for (int i = 0; i < n; i++) {
            _mm_prefetch(p + (size_t)(64 * n * 8) + 64 * i, _MM_HINT_T1);
            _mm_prefetch(p + 64 * i, _MM_HINT_T0);
        }
    }
}

/* s = w times four activations of one token, for both halves. */
INLINE void first_products(__m256i *s, const __m256i *w, const int8_t *x)
{
    __m256i v = broadcast32(x);
    s[0] = _mm256_maddubs_epi16(w[0], v);
    s[1] = _mm256_maddubs_epi16(w[1], v);
}

/* s += them. */
INLINE void add_products(__m256i *s, const __m256i *w, const int8_t *x)
{
    __m256i v, p;
    __asm__("vpbroadcastd %[x], %[v]\n\t"
            "vpmaddubsw %[v], %[w0], %[p]\n\t"
            "vpaddw %[p], %[s0], %[s0]\n\t"
            "vpmaddubsw %[v], %[w1], %[v]\n\t"
            "vpaddw %[v], %[s1], %[s1]"
            : [s0] "+x"(s[0]), [s1] "+x"(s[1]), [v] "=&x"(v), [p] "=&x"(p)
            : [w0] "x"(w[0]), [w1] "x"(w[1]), [x] "m"(*(const int32_t *)x));
}

/* The same of signed codes, whose sizes are `size`; widened and multiplied by the scales. */
INLINE void add_signed(__m256i *s, const __m256i *w, const __m256i *size, const __m256i *scale,
                       const int8_t *x)
{
    __m256i v, p;
    __asm__("vpbroadcastd %[x], %[v]\n\t"
            "vpsignb %[w0], %[v], %[p]\n\t"
            "vpmaddubsw %[p], %[z0], %[p]\n\t"
            "vpmaddwd %[f0], %[p], %[p]\n\t"
            "vpaddd %[p], %[s0], %[s0]\n\t"
            "vpsignb %[w1], %[v], %[v]\n\t"
            "vpmaddubsw %[v], %[z1], %[v]\n\t"
            "vpmaddwd %[f1], %[v], %[v]\n\t"
            "vpaddd %[v], %[s1], %[s1]"
            : [s0] "+x"(s[0]), [s1] "+x"(s[1]), [v] "=&x"(v), [p] "=&x"(p)
            : [w0] "x"(w[0]), [w1] "x"(w[1]), [z0] "x"(size[0]), [z1] "x"(size[1]),
              [f0] "xm"(scale[0]), [f1] "xm"(scale[1]), [x] "m"(*(const int32_t *)x));
}

/* A block of 4 * n_groups(sh) columns: group g and those after it in block b of 32 columns. */
struct place {
    int b, g;
    const int8_t *x[4];    // its activations
    const int16_t *p32[4]; // and what their sums begin with, if they are centred
};

/* Each token's activations from `at`.  The statement keeps compilers from making a pointer of every
 * group's address, 32 of them, most in memory. */
INLINE void point(struct place *in, const int8_t *const *x, size_t at, int nt)
{
    for (int t = 0; t < nt; t++) {
        in->x[t] = x[t] + at;
        __asm__("" : "+r"(in->x[t]));
    }
}

/* sum [nt][half] += products of a block times its scales, pairs of 16 bits. */
INLINE void block_of_adds(const struct shape sh, const struct feed *src, struct kern_seg *seg,
                          enum source from, struct place in, __m256i table, const __m256i *scale,
                          int nt, __m256i (*sum)[2])
{
    const int step = adds(sh);
#pragma GCC unroll 8
    for (int at = 0; at < n_groups(sh); at += step) {
        __m256i s[4][2], w[2];
        for (int half = 0; half < 2; half++)
            w[half] = codes(sh, src, seg, from, in.b, in.g + at, half, table);
        for (int t = 0; t < nt; t++)
            if (centred(sh)) {
                s[t][0] = s[t][1] = broadcast32(in.p32[t]);
                add_products(s[t], w, in.x[t] + 4 * at);
            } else {
                first_products(s[t], w, in.x[t] + 4 * at);
            }
#pragma GCC unroll 8
        for (int i = at + 1; i < at + step; i++) {
            for (int half = 0; half < 2; half++)
                w[half] = codes(sh, src, seg, from, in.b, in.g + i, half, table);
            for (int t = 0; t < nt; t++)
                add_products(s[t], w, in.x[t] + 4 * i);
        }
        for (int t = 0; t < nt; t++)
            for (int half = 0; half < 2; half++)
                sum[t][half] =
                    _mm256_add_epi32(sum[t][half], _mm256_madd_epi16(s[t][half], scale[half]));
    }
}

INLINE void block_of_signed(const struct shape sh, const struct feed *src, struct kern_seg *seg,
                            enum source from, struct place in, __m256i table, const __m256i *scale,
                            int nt, __m256i (*sum)[2])
{
#pragma GCC unroll 8
    for (int i = 0; i < n_groups(sh); i++) {
        __m256i w[2], size[2];
        for (int half = 0; half < 2; half++) {
            w[half] = codes(sh, src, seg, from, in.b, in.g + i, half, table);
            size[half] = sizes(seg, from, in.b, in.g + i, half, w[half]);
        }
        for (int t = 0; t < nt; t++)
            add_signed(sum[t], w, size, scale, in.x[t] + 4 * i);
    }
}

INLINE void block(const struct shape sh, const struct feed *src, struct kern_seg *seg,
                  enum source from, struct place in, __m256i table, const __m256i *scale, int nt,
                  __m256i (*sum)[2])
{
    if (adds(sh))
        block_of_adds(sh, src, seg, from, in, table, scale, nt, sum);
    else
        block_of_signed(sh, src, seg, from, in, table, scale, nt, sum);
}

INLINE void clear(__m256i (*sum)[2], int nt)
{
    for (int t = 0; t < nt; t++)
        sum[t][0] = sum[t][1] = _mm256_setzero_si256();
}

/* What sums over 32 begin with; signed codes are the numbers themselves. */
INLINE __m256i start32(const struct shape sh, const struct kern_x32 *x)
{
    if (!sh.offset || !adds(sh))
        return _mm256_set1_epi32(KERN_ZERO_BITS);
    return broadcast32(sh.offset == 8 ? &x->m8 : &x->m16);
}

INLINE void tile32(const struct shape sh, const struct feed *src, struct kern_seg *seg,
                   enum source from, const uint8_t *x0, size_t stride, int nt, float *acc)
{
    const __m256i ones[2] = {_mm256_set1_epi16(1), _mm256_set1_epi16(1)};
    const __m256i table = load_table(sh, src->values);
    for (int b = 0; b < seg->n_blocks; b++, x0 += sizeof(struct kern_x32)) {
        const int8_t *x[4];
        __m256i sum[4][2];
        struct place in = {.b = b};
        for (int t = 0; t < nt; t++)
            x[t] = (const int8_t *)x0 + (size_t)t * stride;
        fetch(sh, src, from, b);
        for (int t = 0; t < nt; t++)
            sum[t][0] = sum[t][1] = start32(sh, (const struct kern_x32 *)x[t]);
        point(&in, x, 0, nt);
        block(sh, src, seg, from, in, table, ones, nt, sum);
        float x_sum[4] = {0};
        for (int t = 0; t < nt && sh.mins; t++)
            x_sum[t] = kern_sum32((const struct kern_x32 *)x[t]);
        for (int half = 0; half < 2; half++) {
            const struct scale32 scale = scale32_of(sh, seg, b, half);
            for (int t = 0; t < nt; t++) {
                float *out = acc + 16 * t + 8 * half;
                const struct kern_x32 *xb = (const struct kern_x32 *)x[t];
                _mm256_store_ps(
                    out, add_block32(sh, &scale, sum[t][half], xb, x_sum[t], _mm256_load_ps(out)));
            }
        }
    }
}

INLINE void tile256(const struct shape sh, const struct feed *src, struct kern_seg *seg,
                    enum source from, const uint8_t *x0, size_t stride, int nt, float *acc)
{
    const __m256i table = load_table(sh, src->values);
    const int8_t *x[4];
    __m256i sum[4][2];
    for (int t = 0; t < nt; t++)
        x[t] = (const int8_t *)x0 + (size_t)t * stride;
    clear(sum, nt);
    for (int b = 0; b < 8; b++) {
        fetch(sh, src, from, b);
#pragma GCC unroll 8
        for (int g = 0; g < 8; g += sh.groups) {
            const __m256i *scale = (const __m256i *)seg->scale[8 / sh.groups * b + g / sh.groups];
            struct place in = {.b = b, .g = g};
            point(&in, x, (size_t)(32 * b + 4 * g), nt);
            for (int t = 0; t < nt && centred(sh); t++)
                in.p32[t] = ((const struct kern_x256 *)x[t])->p32[2 * b + g / 4];
            block(sh, src, seg, from, in, table, scale, nt, sum);
        }
    }
    for (int t = 0; t < nt; t++) {
        const struct kern_x256 *xb = (const struct kern_x256 *)x[t];
        for (int half = 0; half < 2; half++) {
            float *out = acc + 16 * t + 8 * half;
            __m256i s = sum[t][half];
            __m256 d = _mm256_load_ps(seg->d[0] + 8 * half), f;
            if (sh.mins) {
                f = _mm256_mul_ps(_mm256_cvtepi32_ps(s), d);
                f = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_mins(sh, seg, half, xb)),
                                    _mm256_load_ps(seg->dmin + 8 * half), f);
            } else {
                f = _mm256_mul_ps(_mm256_cvtepi32_ps(s), d);
            }
            _mm256_store_ps(out, _mm256_fmadd_ps(f, _mm256_set1_ps(xb->d), _mm256_load_ps(out)));
        }
    }
}

/* All of a type's functions from its constants; `kind` is 32 or 256. */
#define CASES(kind, from)                                                                          \
    switch (n) {                                                                                   \
    case 1: tile##kind(sh, src, seg, from, x, stride, 1, acc); break;                              \
    case 2: tile##kind(sh, src, seg, from, x, stride, 2, acc); break;                              \
    case 3: tile##kind(sh, src, seg, from, x, stride, 3, acc); break;                              \
    default: tile##kind(sh, src, seg, from, x, stride, 4, acc);                                    \
    }
#define TYPE(name, type, kind, ...)                                                                \
    static void unpack_##name(const struct feed *src, struct kern_seg *seg)                        \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        unpack_scales##kind(sh, src->scales, true, seg);                                           \
    }                                                                                              \
    static void tile_##name(const struct feed *src, struct kern_seg *seg, const uint8_t *x,        \
                            size_t stride, int n, float *acc)                                      \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        if (src->n <= 4)                                                                           \
            CASES(kind, ALONE)                                                                     \
        else if (src->first)                                                                       \
            tile##kind(sh, src, seg, FIRST, x, stride, 4, acc);                                    \
        else                                                                                       \
            CASES(kind, LATER)                                                                     \
    }

KERN_BYTE_TYPES(TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {unpack_##name, tile_##name},
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES(PATH)};

#define MATMUL kern_avx2_matmul
#include "kern/mm_body.h"

#endif
