/* kern/avx512.c - rows of activations with AVX-512 where it beats AVX2: codes, gates and norms. */
#include "kern/kern_int.h"

#if defined(__AVX512F__)

#include "kern/avx512_math.h"

// The scale of n numbers, a multiple of 16, as the scalar twin finds it; *id: its inverse, or 0
// where all codes are 0.
static float scale_of(const float *x, int n, float *id)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i v = _mm512_setzero_si512();
    for (int i = 0; i < n; i += 16) // as bits: NaN above infinity above all else
        v = _mm512_max_epi32(v, _mm512_and_si512(_mm512_loadu_si512(x + i), magnitude));
    uint32_t top = (uint32_t)_mm512_reduce_max_epi32(v);
    float d = f32_from_bits(top) / 127.0f;
    bool codes = top >= 0x04000000 && top < 0x7f800000;
    *id = codes ? 1.0f / d : 0.0f;
    return top < 0x04000000 ? 0.0f : d;
}

// Codes of 16 numbers; any: all lanes, or none where all codes are 0, whatever x.
static inline __m512i code16(const float *x, __m512 id, __mmask16 any)
{
    const __m512i sign = _mm512_set1_epi32((int)0x80000000);
    __m512 v = vec_mul(_mm512_loadu_ps(x), id);
    __m512i half = _mm512_castps_si512(_mm512_set1_ps(0x1.fffffep-2f));
    half = _mm512_ternarylogic_epi32(_mm512_castps_si512(v), sign, half, 0xea); // (v & sign) | half
    return _mm512_maskz_cvttps_epi32(any, vec_add(v, _mm512_castsi512_ps(half)));
}

static void quantize32(const float *x, int cols, struct kern_x32 *b)
{
    for (int i = 0; i < cols; i += 32, b++) {
        float id;
        b->d = scale_of(x + i, 32, &id);
        const __mmask16 any = id == 0 ? 0 : 0xffff;
        __m512i low = code16(x + i, vec_set1(id), any);
        __m512i high = code16(x + i + 16, vec_set1(id), any);
        _mm_storeu_si128((__m128i *)b->codes, _mm512_cvtepi32_epi8(low));
        _mm_storeu_si128((__m128i *)(b->codes + 16), _mm512_cvtepi32_epi8(high));
        int sum = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
        kern_put_sums(b, sum);
    }
}

// For each 16 of 64 codes, in a lane of 128 bits: the sums of columns 0 and 1, and of 2 and 3, of
// every four, as 16-bit numbers.
static inline __m512i sums_of_pairs(__m512i codes)
{
    return _mm512_maddubs_epi16(_mm512_set1_epi8(1), codes);
}

/* -32 times the sum of each 8 codes. */
static __m128i minus_eights(__m512i codes)
{
    __m512i above = _mm512_sad_epu8(_mm512_xor_si512(codes, _mm512_set1_epi8(-128)),
                                    _mm512_setzero_si512()); // 8 * 128 more than the sums
    return _mm_slli_epi16(_mm_sub_epi16(_mm_set1_epi16(1024), _mm512_cvtepi64_epi16(above)), 5);
}

static void quantize256(const float *x, int cols, struct kern_x256 *b)
{
    // The packing instructions and those that add neighbours work in lanes: number 4 * i + j of
    // what they leave belongs to place 4 * j + i.
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (int i = 0; i < cols; i += 256, b++) {
        float id;
        b->d = scale_of(x + i, 256, &id);
        const __mmask16 any = id == 0 ? 0 : 0xffff;
        const __m512 ids = vec_set1(id);
        __m512i s[4];
        for (int j = 0; j < 4; j++) {
            const float *from = x + i + 64 * j;
            __m512i low = _mm512_packs_epi32(code16(from, ids, any), code16(from + 16, ids, any));
            __m512i high =
                _mm512_packs_epi32(code16(from + 32, ids, any), code16(from + 48, ids, any));
            __m512i codes = _mm512_permutexvar_epi32(order, _mm512_packs_epi16(low, high));
            _mm512_storeu_si512(b->codes + 64 * j, codes);
            _mm_storeu_si128((__m128i *)&b->n32[8 * j], minus_eights(codes));
            s[j] = sums_of_pairs(codes);
        }
        __m512i even =
            _mm512_add_epi16(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
        __m512i odd =
            _mm512_add_epi16(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
        __m512i pairs =
            _mm512_permutexvar_epi32(order, _mm512_add_epi16(_mm512_unpacklo_epi64(even, odd),
                                                             _mm512_unpackhi_epi64(even, odd)));
        __m512i s16 = _mm512_madd_epi16(pairs, _mm512_set1_epi16(1));
        __m256i short16 = _mm512_cvtepi32_epi16(s16);
        __m256i s32 = _mm256_madd_epi16(short16, _mm256_set1_epi16(1));
        _mm_storeu_si128((__m128i *)b->s32, _mm256_cvtepi32_epi16(s32));
        _mm256_storeu_si256((__m256i *)b->s16, short16);
        _mm512_storeu_si512(b->m32, _mm512_mullo_epi32(s16, _mm512_set1_epi32(-32)));
        _mm512_storeu_si512(b->p32, _mm512_mullo_epi16(pairs, _mm512_set1_epi16(-32)));
        memset(b->unused, 0, sizeof b->unused);
    }
}

static void quantize(enum kern_act act, const float *x, void *out, int cols)
{
    if (act == KERN_ACT_F32) {
        kern_copy_row(x, out, cols);
    } else if (act == KERN_ACT_Q32) {
        quantize32(x, cols, out);
    } else {
        quantize256(x, cols, out);
    }
}

static void rms_norm(const float *x, const float *w, float *out, int n, float eps)
{
    VEC lanes = vec_zero();
    for (int i = 0; i < n; i += 16) {
        VEC v = _mm512_maskz_loadu_ps(first_lanes(n - i), x + i);
        lanes = vec_fma(v, v, lanes);
    }
    VEC scale = vec_set1(1.0f / sqrtf(vec_sum16(&lanes) / (float)n + eps));
    for (int i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        VEC v = vec_mul(_mm512_maskz_loadu_ps(mask, x + i), scale);
        _mm512_mask_storeu_ps(out + i, mask, vec_mul(v, _mm512_maskz_loadu_ps(mask, w + i)));
    }
}

static void swiglu(const float *gate, const float *up, float *out, int n)
{
    for (int i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        VEC v = vec_silu(_mm512_maskz_loadu_ps(mask, gate + i));
        _mm512_mask_storeu_ps(out + i, mask, vec_mul(v, _mm512_maskz_loadu_ps(mask, up + i)));
    }
}

static void geglu(const float *gate, const float *up, float *out, int n)
{
    for (int i = 0; i < n; i += 16) {
        __mmask16 mask = first_lanes(n - i);
        VEC v = vec_gelu(_mm512_maskz_loadu_ps(mask, gate + i));
        _mm512_mask_storeu_ps(out + i, mask, vec_mul(v, _mm512_maskz_loadu_ps(mask, up + i)));
    }
}

#include "kern/logits_body.h"

void kern_fill_avx512(struct kern *k)
{
    k->name = "avx512";
    k->quantize = quantize;
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->block_max = block_max;
    k->exp64 = exp64;
    kern_fill_avx512_attn(k);
}

#endif
