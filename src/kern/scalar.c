/* kern/scalar.c - the reference level: plain C, and the specification of every rounding. */
#include "kern/kern_int.h"

#include "kern/math.h"

#include <assert.h>

// Codes n numbers; returns their scale.  A block with an infinity or a NaN gets a scale that makes
// every product with it a NaN or an infinity; one of nothing but tiny numbers becomes zeros.
static float quantize_block(const float *x, int8_t *codes, int n)
{
    uint32_t top = 0;
    for (int i = 0; i < n; i++) {
        uint32_t a = f32_bits(x[i]) & 0x7fffffff;
        top = a > top ? a : top;
    }
    float d = f32_from_bits(top) / 127.0f;
    if (top < 0x04000000 || top >= 0x7f800000) { // below 2^-119; infinite or no number
        memset(codes, 0, (size_t)n);
        return top < 0x04000000 ? 0.0f : d;
    }
    float id = 1.0f / d;
    for (int i = 0; i < n; i++) {
        float v = x[i] * id;
        codes[i] = (int8_t)(v + copysignf(0x1.fffffep-2f, v)); // rounds halves away from zero
    }
    return d;
}

static int sum_codes(const int8_t *codes, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += codes[i];
    return sum;
}

void kern_scalar_code(const float *x, int d, struct kern_q8_row *row)
{
    assert(d > 0 && d <= KERN_HEAD_MAX);
    row->d = quantize_block(x, row->codes, d);
    row->sum = sum_codes(row->codes, d);
}

static void quantize(enum kern_act act, const float *x, void *out, int cols)
{
    if (act == KERN_ACT_F32) {
        kern_copy_row(x, out, cols);
    } else if (act == KERN_ACT_Q32) {
        struct kern_x32 *b = out;
        for (int i = 0; i < cols; i += 32, b++) {
            b->d = quantize_block(x + i, b->codes, 32);
            int sum = sum_codes(b->codes, 32);
            kern_put_sums(b, sum);
        }
    } else {
        struct kern_x256 *b = out;
        for (int i = 0; i < cols; i += 256, b++) {
            b->d = quantize_block(x + i, b->codes, 256);
            for (int j = 0; j < 16; j++) {
                b->s16[j] = (int16_t)sum_codes(b->codes + 16 * j, 16);
                b->m32[j] = -32 * b->s16[j];
                int first = 0;
                for (int c = 16 * j; c < 16 * j + 16; c += 4)
                    first += b->codes[c] + b->codes[c + 1];
                b->p32[j][0] = (int16_t)(-32 * first);
                b->p32[j][1] = (int16_t)(b->m32[j] + 32 * first);
            }
            for (int j = 0; j < 8; j++)
                b->s32[j] = (int16_t)(b->s16[2 * j] + b->s16[2 * j + 1]);
            for (int j = 0; j < 32; j++)
                b->n32[j] = (int16_t)(-32 * sum_codes(b->codes + 8 * j, 8));
            memset(b->unused, 0, sizeof b->unused);
        }
    }
}

static void rms_norm(const float *x, const float *w, float *out, int n, float eps)
{
    float lane[16] = {0};
    for (int i = 0; i < n; i++)
        lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++)
            lane[i] += lane[i + step];
    float scale = 1.0f / sqrtf(lane[0] / (float)n + eps);
    for (int i = 0; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

static void rope(float *head, const float *cos_row, const float *sin_row, int n_rot, bool neox)
{
    int half = n_rot / 2, gap = neox ? half : 1, step = neox ? 1 : 2;
    for (int i = 0; i < half; i++) {
        float *a = head + i * step, *b = a + gap, x = *a, y = *b;
        *a = x * cos_row[i] - y * sin_row[i];
        *b = x * sin_row[i] + y * cos_row[i];
    }
}

static void swiglu(const float *gate, const float *up, float *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = kern_silu(gate[i]) * up[i];
}

static void geglu(const float *gate, const float *up, float *out, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = kern_gelu(gate[i]) * up[i];
}

static void add(float *x, const float *y, int n)
{
    for (int i = 0; i < n; i++)
        x[i] += y[i];
}

static void scale(float *x, float by, int n)
{
    for (int i = 0; i < n; i++)
        x[i] *= by;
}

static void block_max(const float *x, int n_blocks, float *max)
{
    for (int b = 0; b < n_blocks; b++, x += 64) {
        max[b] = -INFINITY;
        for (int i = 0; i < 64; i++)
            max[b] = x[i] > max[b] ? x[i] : max[b];
    }
}

static float exp64(const float *x, float top, float scale, float *e)
{
    float lane[16] = {0};
    for (int i = 0; i < 64; i++) {
        e[i] = kern_exp((x[i] - top) * scale);
        lane[i % 16] += e[i];
    }
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++)
            lane[i] += lane[i + step];
    return lane[0];
}

void kern_fill_scalar(struct kern *k)
{
    k->name = "scalar";
    k->quantize = quantize;
    k->matmul = kern_scalar_matmul;
    k->matmul_runs = kern_scalar_matmul_runs;
    k->rms_norm = rms_norm;
    k->rope = rope;
    k->swiglu = swiglu;
    k->geglu = geglu;
    k->add = add;
    k->scale = scale;
    k->block_max = block_max;
    k->exp64 = exp64;
    kern_fill_scalar_attn(k);
}
