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

// The packing instructions and those that add neighbours work in lanes of 128 bits: number 4 * i +
// j of what they leave belongs to place 4 * j + i.
static inline __m512i in_order(void)
{
    return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// 64 codes of 64 numbers.
static inline __m512i pack64(__m512i a, __m512i b, __m512i c, __m512i d)
{
    return _mm512_permutexvar_epi32(
        in_order(), _mm512_packs_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d)));
}

// The sums of each 8 of 64 codes, and 8 * 128 more.
static inline __m512i sums_of_eights(__m512i codes)
{
    return _mm512_sad_epu8(_mm512_xor_si512(codes, _mm512_set1_epi8(-128)), _mm512_setzero_si512());
}

static void quantize_block(const float *x, struct kern_x32 *b)
{
    float id;
    b->d = scale_of(x, 32, &id);
    const __mmask16 any = id == 0 ? 0 : 0xffff;
    __m512i low = code16(x, vec_set1(id), any), high = code16(x + 16, vec_set1(id), any);
    _mm_storeu_si128((__m128i *)b->codes, _mm512_cvtepi32_epi8(low));
    _mm_storeu_si128((__m128i *)(b->codes + 16), _mm512_cvtepi32_epi8(high));
    kern_put_sums(b, _mm512_reduce_add_epi32(_mm512_add_epi32(low, high)));
}

// The greatest magnitudes of four blocks, as bits, the four of them four times.
static inline __m512i tops_of_four(const float *x)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    __m512i m[4];
    for (int j = 0; j < 4; j++) {
        __m512i low = _mm512_and_si512(_mm512_loadu_si512(x + 32 * j), magnitude);
        __m512i high = _mm512_and_si512(_mm512_loadu_si512(x + 32 * j + 16), magnitude);
        m[j] = _mm512_max_epi32(low, high);
    }
    __m512i even =
        _mm512_max_epi32(_mm512_unpacklo_epi32(m[0], m[1]), _mm512_unpackhi_epi32(m[0], m[1]));
    __m512i odd =
        _mm512_max_epi32(_mm512_unpacklo_epi32(m[2], m[3]), _mm512_unpackhi_epi32(m[2], m[3]));
    __m512i top =
        _mm512_max_epi32(_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd));
    top = _mm512_max_epi32(top, _mm512_shuffle_i32x4(top, top, 0x4e));
    return _mm512_max_epi32(top, _mm512_shuffle_i32x4(top, top, 0xb1));
}

// What follows the codes of four blocks: their scales d and, from codes [2][64], their sums as
// kern_put_sums puts them.
static inline void put_four(struct kern_x32 *b, __m128 d, const __m512i *codes)
{
    __m512i low = sums_of_eights(codes[0]), high = sums_of_eights(codes[1]);
    __m512i s = _mm512_add_epi64(_mm512_unpacklo_epi64(low, high),
                                 _mm512_unpackhi_epi64(low, high)); // of 16, and 2048 more
    s = _mm512_add_epi64(s, _mm512_shuffle_i32x4(s, s, 0xb1));
    // blocks 0 and 2 in the first lane of 128 bits, 1 and 3 in the third
    __m128i odd = _mm_slli_epi64(_mm512_extracti32x4_epi32(s, 2), 32);
    __m128i sum = _mm_sub_epi32(_mm_or_si128(_mm512_castsi512_si128(s), odd), _mm_set1_epi32(4096));
    const __m128i zero = _mm_set1_epi32(KERN_ZERO_BITS);
    __m128i m8 = _mm_sub_epi32(zero, _mm_slli_epi32(sum, 3));
    __m128i m16 = _mm_sub_epi32(zero, _mm_slli_epi32(sum, 4));
    __m128i m128 = _mm_sub_epi32(zero, _mm_slli_epi32(sum, 7));
    __m128i first[2] = {_mm_unpacklo_epi32(_mm_castps_si128(d), m8),
                        _mm_unpackhi_epi32(_mm_castps_si128(d), m8)};
    __m128i second[2] = {_mm_unpacklo_epi32(m16, m128), _mm_unpackhi_epi32(m16, m128)};
    for (int j = 0; j < 2; j++) {
        _mm_storeu_si128((__m128i *)&b[2 * j].d, _mm_unpacklo_epi64(first[j], second[j]));
        _mm_storeu_si128((__m128i *)&b[2 * j + 1].d, _mm_unpackhi_epi64(first[j], second[j]));
    }
}

/* Four blocks side by side; false: one has no codes but 0, nothing is done. */
static bool quantize_four(const float *x, struct kern_x32 *b)
{
    const __m512i least = _mm512_set1_epi32(0x04000000), span = _mm512_set1_epi32(0x7b800000);
    __m512i top = tops_of_four(x), codes[2];
    if (_mm512_cmpge_epu32_mask(_mm512_sub_epi32(top, least), span))
        return false;
    __m128 d = _mm_div_ps(_mm_castsi128_ps(_mm512_castsi512_si128(top)), _mm_set1_ps(127.0f));
    __m512 id = _mm512_broadcast_f32x4(_mm_div_ps(_mm_set1_ps(1.0f), d));
    const __m512 ids[4] = {_mm512_shuffle_ps(id, id, 0x00), _mm512_shuffle_ps(id, id, 0x55),
                           _mm512_shuffle_ps(id, id, 0xaa), _mm512_shuffle_ps(id, id, 0xff)};
    for (int j = 0; j < 2; j++, x += 64) {
        __m512 low = ids[2 * j], high = ids[2 * j + 1];
        codes[j] = pack64(code16(x, low, 0xffff), code16(x + 16, low, 0xffff),
                          code16(x + 32, high, 0xffff), code16(x + 48, high, 0xffff));
        _mm256_storeu_si256((__m256i *)b[2 * j].codes, _mm512_castsi512_si256(codes[j]));
        _mm256_storeu_si256((__m256i *)b[2 * j + 1].codes, _mm512_extracti64x4_epi64(codes[j], 1));
    }
    put_four(b, d, codes);
    return true;
}

static void quantize32(const float *x, int cols, struct kern_x32 *b)
{
    int i = 0;
    for (int end; i < cols; i = end) {
        end = i + 128;
        if (end <= cols && quantize_four(x + i, b + i / 32))
            continue;
        for (end = int_min(end, cols); i < end; i += 32)
            quantize_block(x + i, b + i / 32);
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
    return _mm_slli_epi16(
        _mm_sub_epi16(_mm_set1_epi16(1024), _mm512_cvtepi64_epi16(sums_of_eights(codes))), 5);
}

static void quantize256(const float *x, int cols, struct kern_x256 *b)
{
    for (int i = 0; i < cols; i += 256, b++) {
        float id;
        b->d = scale_of(x + i, 256, &id);
        const __mmask16 any = id == 0 ? 0 : 0xffff;
        const __m512 ids = vec_set1(id);
        __m512i s[4];
        for (int j = 0; j < 4; j++) {
            const float *from = x + i + 64 * j;
            __m512i codes = pack64(code16(from, ids, any), code16(from + 16, ids, any),
                                   code16(from + 32, ids, any), code16(from + 48, ids, any));
            _mm512_storeu_si512(b->codes + 64 * j, codes);
            _mm_storeu_si128((__m128i *)&b->n32[8 * j], minus_eights(codes));
            s[j] = sums_of_pairs(codes);
        }
        __m512i even =
            _mm512_add_epi16(_mm512_unpacklo_epi32(s[0], s[1]), _mm512_unpackhi_epi32(s[0], s[1]));
        __m512i odd =
            _mm512_add_epi16(_mm512_unpacklo_epi32(s[2], s[3]), _mm512_unpackhi_epi32(s[2], s[3]));
        __m512i pairs = _mm512_permutexvar_epi32(
            in_order(),
            _mm512_add_epi16(_mm512_unpacklo_epi64(even, odd), _mm512_unpackhi_epi64(even, odd)));
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
