/* kern/avxvnni_mm.c - packed matrix times coded activations with AVX-VNNI's dot product of bytes:
 * 8 rows x 1..4 tokens.  A segment of 256 columns is unpacked once and used by all tokens. */
#include "kern/kern_int.h"

#if defined(__AVXVNNI__)

#include "kern/avx2_unpack.h"
#include "kern/mm_path.h"

#define MATMUL kern_avxvnni_matmul

/* s += codes of n groups times activations, for nt tokens. */
INLINE void dots(const uint8_t (*w)[64], int n, const int8_t *const *x, size_t at, int nt,
                 __m256i *s)
{
    for (int g = 0; g < n; g++) {
        __m256i codes = _mm256_load_si256((const __m256i *)w[g]);
        for (int t = 0; t < nt; t++)
            s[t] = _mm256_dpbusd_avx_epi32(s[t], codes, broadcast32(x[t] + at + 4 * (size_t)g));
    }
}

INLINE __m256i start32(const struct shape sh, const struct kern_x32 *x)
{
    switch (sh.offset) {
    case 8: return broadcast32(&x->m8);
    case 16: return broadcast32(&x->m16);
    case 128: return broadcast32(&x->m128);
    default: return _mm256_set1_epi32(KERN_ZERO_BITS);
    }
}

INLINE void tile32(const struct shape sh, const struct kern_seg *seg, int half, const uint8_t *x,
                   size_t stride, int nt, float *acc)
{
    __m256 f[4];
    for (int t = 0; t < nt; t++)
        f[t] = _mm256_load_ps(acc + 16 * t + 8 * half);
    for (int b = 0; b < seg->n_blocks; b++, x += sizeof(struct kern_x32)) {
        const int8_t *codes[4];
        __m256i s[4];
        for (int t = 0; t < nt; t++) {
            const struct kern_x32 *xb = (const struct kern_x32 *)(x + (size_t)t * stride);
            codes[t] = xb->codes;
            s[t] = start32(sh, xb);
        }
        dots((const uint8_t(*)[64])(seg->w[8 * b] + 32 * half), 8, codes, 0, nt, s);
        const struct scale32 scale = scale32_of(sh, seg, b, half);
        for (int t = 0; t < nt; t++) {
            const struct kern_x32 *xb = (const struct kern_x32 *)codes[t];
            f[t] = add_block32(sh, &scale, s[t], xb, sh.mins ? kern_sum32(xb) : 0, f[t]);
        }
    }
    for (int t = 0; t < nt; t++)
        _mm256_store_ps(acc + 16 * t + 8 * half, f[t]);
}

INLINE void tile256(const struct shape sh, const struct kern_seg *seg, int half, const uint8_t *x,
                    size_t stride, int nt, float *acc)
{
    // sums of 16 bits are scaled and added by one instruction; in two groups they are no faster
    const bool narrow = sh.narrow == 4;
    const int groups = narrow ? 4 : sh.groups;
    __m256i sum[4];
    const int8_t *codes[4];
    for (int t = 0; t < nt; t++) {
        sum[t] = _mm256_setzero_si256();
        codes[t] = (const int8_t *)(x + (size_t)t * stride);
    }
    for (int j = 0; j < 64 / groups; j++) {
        const int32_t *at = seg->scale[j * groups / sh.groups] + 8 * half;
        __m256i scale = _mm256_load_si256((const __m256i *)at), s[4];
        for (int t = 0; t < nt; t++) {
            const struct kern_x256 *xb = (const struct kern_x256 *)codes[t];
            s[t] = sh.mins       ? _mm256_setzero_si256()
                   : groups == 4 ? broadcast32(xb->m32 + j)
                                 : _mm256_set1_epi32(-128 * xb->s32[j]);
        }
        dots((const uint8_t(*)[64])(seg->w[groups * j] + 32 * half), groups, codes,
             (size_t)(4 * groups * j), nt, s);
        if (narrow)
            scale = _mm256_and_si256(scale, _mm256_set1_epi32(0xffff));
        for (int t = 0; t < nt; t++)
            sum[t] = narrow ? _mm256_dpwssd_avx_epi32(sum[t], s[t], scale)
                            : _mm256_add_epi32(sum[t], _mm256_mullo_epi32(s[t], scale));
    }
    for (int t = 0; t < nt; t++) {
        const struct kern_x256 *xb = (const struct kern_x256 *)codes[t];
        float *out = acc + 16 * t + 8 * half;
        __m256 f = _mm256_load_ps(seg->d[0] + 8 * half);
        f = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[t]), f);
        if (sh.mins)
            f = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot_mins(sh, seg, half, xb)),
                                _mm256_load_ps(seg->dmin + 8 * half), f);
        _mm256_store_ps(out, _mm256_fmadd_ps(f, _mm256_set1_ps(xb->d), _mm256_load_ps(out)));
    }
}

/* All of a type's functions from its constants; `kind` is 32 or 256. */
#define TYPE(name, type, kind, ...)                                                                \
    static void unpack_##name(const struct feed *src, struct kern_seg *seg)                        \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        unpack_codes(sh, src->lines, load_table(sh, src->values), seg);                            \
        unpack_scales##kind(sh, src->scales, false, seg);                                          \
    }                                                                                              \
    static void tile_##name(const struct feed *src, struct kern_seg *seg, const uint8_t *x,        \
                            size_t stride, int n, float *acc)                                      \
    {                                                                                              \
        const struct shape sh = {__VA_ARGS__};                                                     \
        for (int half = 0; half < 2; half++)                                                       \
            switch (n) {                                                                           \
            case 1: tile##kind(sh, seg, half, x, stride, 1, acc); break;                           \
            case 2: tile##kind(sh, seg, half, x, stride, 2, acc); break;                           \
            case 3: tile##kind(sh, seg, half, x, stride, 3, acc); break;                           \
            default: tile##kind(sh, seg, half, x, stride, 4, acc);                                 \
            }                                                                                      \
        (void)src;                                                                                 \
    }

KERN_BYTE_TYPES(TYPE)

#define PATH(name, type, ...) [KERN_TYPE_##type] = {unpack_##name, tile_##name},
static const struct path paths[KERN_TYPES] = {KERN_BYTE_TYPES(PATH)};

#include "kern/mm_body.h"

void kern_fill_avxvnni(struct kern *k)
{
    k->name = "avxvnni";
    k->matmul = kern_avxvnni_matmul;
    kern_fill_avxvnni_attn(k);
}

#endif
