/* kern/avx512.c - rows of activations with AVX-512 where it beats AVX2: gates and norms. */
#include "kern/kern_int.h"

#if defined(__AVX512F__)

#include "kern/avx512_math.h"

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
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->block_max = block_max;
    k->exp64 = exp64;
    kern_fill_avx512_attn(k);
}

#endif
