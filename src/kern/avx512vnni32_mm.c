/* kern/avx512vnni32_mm.c - AVX-512 VNNI for types with a scale per 32 columns on both sides. */
#include "kern/kern_int.h"

#if defined(__AVX512VNNI__)

#include "kern/avx512vnni_path.h"

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

KERN_BYTE_TYPES32(VNNI_TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {fused_##name, unpack_##name, tile_##name},
const struct vnni_path kern_vnni512_paths32[KERN_TYPES] = {KERN_BYTE_TYPES32(PATH)};

#endif
