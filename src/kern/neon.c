/* kern/neon.c - rows of activations with NEON. */
#include "kern/kern_int.h"

#if defined(__ARM_FEATURE_DOTPROD)

#include "kern/neon_math.h"

#include <assert.h>

// The largest magnitude of n numbers (a multiple of 16) as bits: NaN above infinity above all else.
static uint32_t top_bits(const float *x, int n)
{
    const uint32x4_t magnitude = vdupq_n_u32(0x7fffffff);
    uint32x4_t top = vdupq_n_u32(0);
    for (int i = 0; i < n; i += 4)
        top = vmaxq_u32(top, vandq_u32(vreinterpretq_u32_f32(vld1q_f32(x + i)), magnitude));
    return vmaxvq_u32(top);
}

// Halves away from zero, as the scalar twin.
static int32x4_t round4(const float *x, float32x4_t id)
{
    float32x4_t v = vmulq_f32(vld1q_f32(x), id);
    float32x4_t half =
        vbslq_f32(vdupq_n_u32(0x80000000), v, vdupq_n_f32(0x1.fffffep-2f)); // with the sign of v
    return vcvtq_s32_f32(vaddq_f32(v, half));
}

static float quantize_block(const float *x, int8_t *codes, int n)
{
    uint32_t top = top_bits(x, n);
    float d = f32_from_bits(top) / 127.0f;
    if (top < 0x04000000 || top >= 0x7f800000) { // as the scalar twin
        memset(codes, 0, (size_t)n);
        return top < 0x04000000 ? 0.0f : d;
    }
    const float32x4_t id = vdupq_n_f32(1.0f / d);
    for (int i = 0; i < n; i += 16) {
        int16x8_t a = vcombine_s16(vmovn_s32(round4(x + i, id)), vmovn_s32(round4(x + i + 4, id)));
        int16x8_t b =
            vcombine_s16(vmovn_s32(round4(x + i + 8, id)), vmovn_s32(round4(x + i + 12, id)));
        vst1q_s8(codes + i, vcombine_s8(vmovn_s16(a), vmovn_s16(b)));
    }
    return d;
}

static int sum16(const int8_t *codes)
{
    return vaddlvq_s8(vld1q_s8(codes));
}

void kern_neon_code(const float *x, int d, struct kern_q8_row *row)
{
    if (d % 16) {
        kern_scalar_code(x, d, row);
        return;
    }
    row->d = quantize_block(x, row->codes, d);
    row->sum = 0;
    for (int i = 0; i < d; i += 16)
        row->sum += sum16(row->codes + i);
}

static void quantize(enum kern_act act, const float *x, void *out, int cols)
{
    if (act == KERN_ACT_F32) {
        kern_copy_row(x, out, cols);
    } else if (act == KERN_ACT_Q32) {
        struct kern_x32 *b = out;
        for (int i = 0; i < cols; i += 32, b++) {
            b->d = quantize_block(x + i, b->codes, 32);
            int sum = sum16(b->codes) + sum16(b->codes + 16);
            kern_put_sums(b, sum);
        }
    } else {
        struct kern_x256 *b = out;
        for (int i = 0; i < cols; i += 256, b++) {
            b->d = quantize_block(x + i, b->codes, 256);
            for (int j = 0; j < 16; j++) {
                b->s16[j] = (int16_t)sum16(b->codes + 16 * j);
                b->m32[j] = -32 * b->s16[j];
                // pairs, then those at even and at odd places
                int16x8_t pairs = vpaddlq_s8(vld1q_s8(b->codes + 16 * j));
                int16x8_t even = vuzp1q_s16(pairs, pairs);
                b->p32[j][0] = (int16_t)(-32 * vaddv_s16(vget_low_s16(even)));
                b->p32[j][1] = (int16_t)(b->m32[j] - b->p32[j][0]);
            }
            for (int j = 0; j < 8; j++)
                b->s32[j] = (int16_t)(b->s16[2 * j] + b->s16[2 * j + 1]);
            for (int j = 0; j < 32; j++)
                b->n32[j] = (int16_t)(-32 * vaddlv_s8(vld1_s8(b->codes + 8 * j)));
            memset(b->unused, 0, sizeof b->unused);
        }
    }
}

static void rms_norm(const float *x, const float *w, float *out, int n, float eps)
{
    VEC lanes[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    int i = 0;
    for (; i + 16 <= n; i += 16)
        for (int v = 0; v < 4; v++)
            lanes[v] = vec_fma(vec_load(x + i + 4 * v), vec_load(x + i + 4 * v), lanes[v]);
    float rest[16] = {0}; // adding zeros to a sum of squares changes nothing
    memcpy(rest, x + i, (size_t)(n - i) * sizeof *x);
    for (int v = 0; v < 4 && i < n; v++)
        lanes[v] = vec_fma(vec_load(rest + 4 * v), vec_load(rest + 4 * v), lanes[v]);
    float scale = 1.0f / sqrtf(vec_sum16(lanes) / (float)n + eps);
    for (i = 0; i + 4 <= n; i += 4)
        vec_store(out + i, vec_mul(vec_mul(vec_load(x + i), vec_set1(scale)), vec_load(w + i)));
    for (; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

static void swiglu(const float *gate, const float *up, float *out, int n)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vec_store(out + i, vec_mul(vec_silu(vec_load(gate + i)), vec_load(up + i)));
    for (; i < n; i++)
        out[i] = kern_silu(gate[i]) * up[i];
}

static void geglu(const float *gate, const float *up, float *out, int n)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vec_store(out + i, vec_mul(vec_gelu(vec_load(gate + i)), vec_load(up + i)));
    for (; i < n; i++)
        out[i] = kern_gelu(gate[i]) * up[i];
}

static void add(float *x, const float *y, int n)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vec_store(x + i, vec_add(vec_load(x + i), vec_load(y + i)));
    for (; i < n; i++)
        x[i] += y[i];
}

static void scale(float *x, float by, int n)
{
    int i = 0;
    for (; i + 4 <= n; i += 4)
        vec_store(x + i, vec_mul(vec_load(x + i), vec_set1(by)));
    for (; i < n; i++)
        x[i] *= by;
}

void kern_fill_dotprod(struct kern *k)
{
    k->name = "dotprod";
    k->quantize = quantize;
    k->matmul = kern_neon_matmul;
    k->rms_norm = rms_norm;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->add = add;
    k->scale = scale;
    kern_fill_neon_attn(k);
}

#endif
