/* kern/avx2.c - rows of activations with AVX2, FMA and F16C. */
#include "kern/kern_int.h"

#if defined(__AVX2__)

#include "kern/avx2_math.h"

#include <assert.h>

// The largest magnitude of 32 numbers as bits: NaN above infinity above all else.
static uint32_t top32(const float *x, int n)
{
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    __m256i top = _mm256_setzero_si256();
    for (int i = 0; i < n; i += 8) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(x + i));
        top = _mm256_max_epi32(top, _mm256_and_si256(v, magnitude));
    }
    __m128i q = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0x4e));
    q = _mm_max_epi32(q, _mm_shuffle_epi32(q, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(q);
}

static __m256i round8(const float *x, __m256 id)
{
    __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x), id), sign = _mm256_set1_ps(-0.0f);
    __m256 half = _mm256_or_ps(_mm256_and_ps(v, sign), _mm256_set1_ps(0x1.fffffep-2f));
    return _mm256_cvttps_epi32(_mm256_add_ps(v, half));
}

static float quantize_block(const float *x, int8_t *codes, int n)
{
    uint32_t top = top32(x, n);
    float d = f32_from_bits(top) / 127.0f;
    if (top < 0x04000000 || top >= 0x7f800000) { // as the scalar twin
        memset(codes, 0, (size_t)n);
        return top < 0x04000000 ? 0.0f : d;
    }
    const __m256 id = _mm256_set1_ps(1.0f / d);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int i = 0; i < n; i += 32) {
        __m256i a = _mm256_packs_epi32(round8(x + i, id), round8(x + i + 8, id));
        __m256i b = _mm256_packs_epi32(round8(x + i + 16, id), round8(x + i + 24, id));
        __m256i c = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), order);
        _mm256_storeu_si256((__m256i *)(codes + i), c);
    }
    return d;
}

// For each half of 32 codes, four times: the sums of columns 0 and 1, and of 2 and 3, of every
// four.
static __m256i sum_pairs(const int8_t *codes)
{
    __m256i c = _mm256_loadu_si256((const __m256i *)codes);
    __m256i s = _mm256_maddubs_epi16(_mm256_set1_epi8(1), c);
    s = _mm256_add_epi16(s, _mm256_shuffle_epi32(s, 0x4e));
    return _mm256_add_epi16(s, _mm256_shuffle_epi32(s, 0xb1));
}

// Sums of the two halves of 32 codes.
static void sum_codes(const int8_t *codes, int *low, int *high)
{
    __m256i s = _mm256_madd_epi16(sum_pairs(codes), _mm256_set1_epi16(1));
    *low = _mm256_cvtsi256_si32(s);
    *high = _mm_cvtsi128_si32(_mm256_extracti128_si256(s, 1));
}

void kern_avx2_code(const float *x, int d, struct kern_q8_row *row)
{
    int low, high;
    if (d % 32) {
        kern_scalar_code(x, d, row);
        return;
    }
    row->d = quantize_block(x, row->codes, d);
    row->sum = 0;
    for (int i = 0; i < d; i += 32) {
        sum_codes(row->codes + i, &low, &high);
        row->sum += low + high;
    }
}

/* -32 times the sum of each 8 of 32 codes, as numbers of 64 bits. */
static __m256i minus_eights(const int8_t *codes)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)codes);
    __m256i above = _mm256_sad_epu8(_mm256_xor_si256(v, _mm256_set1_epi8(-128)),
                                    _mm256_setzero_si256()); // 8 * 128 more than the sums
    return _mm256_slli_epi64(_mm256_sub_epi64(_mm256_set1_epi64x(1024), above), 5);
}

static void quantize(enum kern_act act, const float *x, void *out, int cols)
{
    int low, high;
    if (act == KERN_ACT_F32) {
        kern_copy_row(x, out, cols);
    } else if (act == KERN_ACT_Q32) {
        struct kern_x32 *b = out;
        for (int i = 0; i < cols; i += 32, b++) {
            b->d = quantize_block(x + i, b->codes, 32);
            sum_codes(b->codes, &low, &high);
            kern_put_sums(b, low + high);
        }
    } else {
        struct kern_x256 *b = out;
        for (int i = 0; i < cols; i += 256, b++) {
            b->d = quantize_block(x + i, b->codes, 256);
            for (int j = 0; j < 8; j++) {
                sum_codes(b->codes + 32 * j, &low, &high);
                b->s16[2 * j] = (int16_t)low;
                b->s16[2 * j + 1] = (int16_t)high;
                b->m32[2 * j] = -32 * low;
                b->m32[2 * j + 1] = -32 * high;
                b->s32[j] = (int16_t)(low + high);
                __m256i p =
                    _mm256_mullo_epi16(sum_pairs(b->codes + 32 * j), _mm256_set1_epi16(-32));
                int64_t eights[4];
                _mm256_storeu_si256((__m256i *)eights, minus_eights(b->codes + 32 * j));
                int32_t pairs[2] = {_mm256_cvtsi256_si32(p),
                                    _mm_cvtsi128_si32(_mm256_extracti128_si256(p, 1))};
                memcpy(b->p32[2 * j], pairs, sizeof pairs);
                for (int k = 4 * j; k < 4 * j + 4; k++)
                    b->n32[k] = (int16_t)eights[k % 4];
            }
            memset(b->unused, 0, sizeof b->unused);
        }
    }
}

static void rms_norm(const float *x, const float *w, float *out, int n, float eps)
{
    __m256 lanes[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()}, v;
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        v = _mm256_loadu_ps(x + i);
        lanes[0] = _mm256_fmadd_ps(v, v, lanes[0]);
        v = _mm256_loadu_ps(x + i + 8);
        lanes[1] = _mm256_fmadd_ps(v, v, lanes[1]);
    }
    v = _mm256_maskload_ps(x + i, first_lanes(n - i));
    lanes[0] = _mm256_fmadd_ps(v, v, lanes[0]); // adding zeros to a sum of squares changes nothing
    if (n - i > 8) {
        v = _mm256_maskload_ps(x + i + 8, first_lanes(n - i - 8));
        lanes[1] = _mm256_fmadd_ps(v, v, lanes[1]);
    }
    float scale = 1.0f / sqrtf(vec_sum16(lanes) / (float)n + eps);
    const __m256 scales = _mm256_set1_ps(scale);
    for (i = 0; i + 8 <= n; i += 8) {
        v = _mm256_mul_ps(_mm256_loadu_ps(x + i), scales);
        _mm256_storeu_ps(out + i, _mm256_mul_ps(v, _mm256_loadu_ps(w + i)));
    }
    for (; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

static void rope_neox(float *a, float *b, const float *c, const float *s, int n)
{
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 x = _mm256_loadu_ps(a + i), y = _mm256_loadu_ps(b + i);
        __m256 cos8 = _mm256_loadu_ps(c + i), sin8 = _mm256_loadu_ps(s + i);
        _mm256_storeu_ps(a + i, _mm256_sub_ps(_mm256_mul_ps(x, cos8), _mm256_mul_ps(y, sin8)));
        _mm256_storeu_ps(b + i, _mm256_add_ps(_mm256_mul_ps(x, sin8), _mm256_mul_ps(y, cos8)));
    }
    for (; i < n; i++) {
        float x = a[i], y = b[i];
        a[i] = x * c[i] - y * s[i];
        b[i] = x * s[i] + y * c[i];
    }
}

static void rope(float *head, const float *cos_row, const float *sin_row, int n_rot, bool neox)
{
    int half = n_rot / 2, i = 0;
    if (neox) {
        rope_neox(head, head + half, cos_row, sin_row, half);
        return;
    }
    for (; i + 4 <= half; i += 4) { // (x, y) pairs: each cos and sin twice
        const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
        __m256 v = _mm256_loadu_ps(head + 2 * i), swapped = _mm256_permute_ps(v, 0xb1);
        __m256 c = _mm256_castps128_ps256(_mm_loadu_ps(cos_row + i));
        __m256 s = _mm256_castps128_ps256(_mm_loadu_ps(sin_row + i));
        c = _mm256_permutevar8x32_ps(c, twice);
        s = _mm256_permutevar8x32_ps(s, twice);
        v = _mm256_addsub_ps(_mm256_mul_ps(v, c), _mm256_mul_ps(swapped, s));
        _mm256_storeu_ps(head + 2 * i, v);
    }
    for (; i < half; i++) {
        float x = head[2 * i], y = head[2 * i + 1];
        head[2 * i] = x * cos_row[i] - y * sin_row[i];
        head[2 * i + 1] = x * sin_row[i] + y * cos_row[i];
    }
}

static void swiglu(const float *gate, const float *up, float *out, int n)
{
    for (int i = 0; i < n; i += 8) {
        __m256i mask = first_lanes(n - i);
        __m256 v = vec_silu(_mm256_maskload_ps(gate + i, mask));
        _mm256_maskstore_ps(out + i, mask, _mm256_mul_ps(v, _mm256_maskload_ps(up + i, mask)));
    }
}

static void geglu(const float *gate, const float *up, float *out, int n)
{
    for (int i = 0; i < n; i += 8) {
        __m256i mask = first_lanes(n - i);
        __m256 v = vec_gelu(_mm256_maskload_ps(gate + i, mask));
        _mm256_maskstore_ps(out + i, mask, _mm256_mul_ps(v, _mm256_maskload_ps(up + i, mask)));
    }
}

static void add(float *x, const float *y, int n)
{
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_add_ps(_mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    for (; i < n; i++)
        x[i] += y[i];
}

static void scale(float *x, float by, int n)
{
    int i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(by)));
    for (; i < n; i++)
        x[i] *= by;
}

#include "kern/logits_body.h"

void kern_fill_avx2(struct kern *k)
{
    k->name = "avx2";
    k->quantize = quantize;
    k->matmul = kern_avx2_matmul;
    k->rms_norm = rms_norm;
    k->rope = rope;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->add = add;
    k->scale = scale;
    k->block_max = block_max;
    k->exp64 = exp64;
    kern_fill_avx2_attn(k);
}

#endif
