/* kern/avx512vnni256_mm.c - AVX-512 VNNI for types with scales per 256 columns. */
#include "kern/kern_int.h"

#if defined(__AVX512VNNI__)

#include "kern/avx512vnni_path.h"

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

KERN_BYTE_TYPES256(VNNI_TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {fused_##name, unpack_##name, tile_##name},
const struct vnni_path kern_vnni512_paths256[KERN_TYPES] = {KERN_BYTE_TYPES256(PATH)};

#endif
