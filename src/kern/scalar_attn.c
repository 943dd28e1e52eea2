/* kern/scalar_attn.c - attention over KV blocks in plain C.
 *
 * Order of operations for a query row, the same at every level: a score is a chain of fma over the
 * head's dimensions (q8: an integer sum, times the key's scale, times the query's); p = exp(score -
 * max); the sum of p runs in 16 lanes (token % 16) over the tokens in ascending order, then lane i
 * + lane i + 8, + 4, + 2, + 1; an output is a chain of fma over the visible tokens in ascending
 * order (q8: of p times the value's scale and the code). */
#include "kern/kern_int.h"

#include "kern/math.h"

size_t kern_kv_row(enum kern_kv kind, int d)
{
    return (size_t)d * (kind == KERN_KV_F16 ? sizeof(uint16_t) : 1);
}

size_t kern_kv_bytes(enum kern_kv kind, int d)
{
    size_t scales = kind == KERN_KV_F16 ? 0 : 2 * KERN_KV_BLOCK * sizeof(float);
    return 2 * KERN_KV_BLOCK * kern_kv_row(kind, d) + scales;
}

static void kv_store_q8(void *block, int slot, int n, const float *k, const float *v, size_t stride,
                        int d)
{
    struct kern_q8_row row;
    for (int end = slot + n; slot < end; slot++, k += stride, v += stride) {
        kern_scalar_code(k, d, &row);
        kern_q8_put_key(block, slot, &row, d);
        kern_scalar_code(v, d, &row);
        kern_q8_put_value(block, slot, &row, d);
    }
}

static void kv_store_f16(void *block, int slot, int n, const float *k, const float *v,
                         size_t stride, int d)
{
    for (int end = slot + n; slot < end; slot++, k += stride, v += stride) {
        uint16_t *keys = (uint16_t *)block + (size_t)(slot / 16 * 16 * d + slot % 16);
        uint16_t *values = (uint16_t *)block + (size_t)(KERN_KV_BLOCK * d + slot * d);
        for (int i = 0; i < d; i++) {
            keys[16 * i] = f32_to_f16(k[i]);
            values[i] = f32_to_f16(v[i]);
        }
    }
}

static float lanes_sum(const float *lanes)
{
    float s[16];
    memcpy(s, lanes, sizeof s);
    for (int step = 8; step; step /= 2)
        for (int i = 0; i < step; i++)
            s[i] += s[i + step];
    return s[0];
}

/* Query times key of token t. */
static float score_f16(const float *q, int d, const void *block, int t)
{
    const uint16_t *keys = (const uint16_t *)block + t / 16 * 16 * d + t % 16;
    float s = 0;
    for (int i = 0; i < d; i++)
        s = fmaf(q[i], f16_to_f32(keys[16 * i]), s);
    return s;
}

static float score_q8(const struct kern_q8_row *q, int d, const void *block, int t)
{
    const uint8_t *keys = (const uint8_t *)block + t / 16 * 16 * d + t % 16 * 4;
    int32_t s = -128 * q->sum;
    for (int i = 0; i < d; i++)
        s += keys[16 * (i / 4 * 4) + i % 4] * q->codes[i];
    return (float)s * kern_q8_scales(block, d)[t] * q->d;
}

/* acc += p times the value of token t. */
static void add_value(enum kern_kv kv, const void *block, int t, int d, float p, float *acc)
{
    if (kv == KERN_KV_F16) {
        const uint16_t *values = (const uint16_t *)block + (KERN_KV_BLOCK + t) * d;
        for (int i = 0; i < d; i++)
            acc[i] = fmaf(p, f16_to_f32(values[i]), acc[i]);
        return;
    }
    const int8_t *values = (const int8_t *)block + (KERN_KV_BLOCK + t) * d;
    p *= kern_q8_scales(block, d)[32 + t];
    for (int i = 0; i < d; i++)
        acc[i] = fmaf(p, (float)values[i], acc[i]);
}

static void attn_row(enum kern_kv kv, const float *q, int d, const void *const *blocks, int lo,
                     int hi, float softcap, float *acc, float *max, float *sum)
{
    float p[KERN_SPAN], lanes[16] = {0};
    float top = -INFINITY;
    struct kern_q8_row coded;
    if (kv == KERN_KV_Q8 && lo < hi)
        kern_scalar_code(q, d, &coded);
    for (int t = lo; t < hi; t++) {
        float s = kv == KERN_KV_F16 ? score_f16(q, d, blocks[t / 32], t % 32)
                                    : score_q8(&coded, d, blocks[t / 32], t % 32);
        if (softcap > 0)
            s = softcap * kern_tanh(s / softcap);
        p[t] = s;
        top = s > top ? s : top;
    }
    top += 0.0f; // not -0, so that it does not matter which zero was met first
    memset(acc, 0, (size_t)d * sizeof *acc);
    *max = top;
    for (int t = lo; t < hi; t++) {
        float e = kern_exp(p[t] - top);
        lanes[t % 16] += e;
        add_value(kv, blocks[t / 32], t % 32, d, e, acc);
    }
    *sum = lanes_sum(lanes);
}

static void attn_span(enum kern_kv kv, const float *q, int n_q, int d,
                      const struct kern_part *parts, int n_parts, const int *lo, const int *hi,
                      float softcap, float *acc, float *max, float *sum)
{
    for (int i = 0; i < n_q; i++) {
        const void *blocks[KERN_SPAN / KERN_KV_BLOCK] = {NULL};
        for (const struct kern_part *part = parts; part < parts + n_parts; part++)
            for (int b = part->from / KERN_KV_BLOCK; b < part->to / KERN_KV_BLOCK; b++)
                if (i >= part->row && i < part->row + part->n)
                    blocks[b] = part->blocks[b];
        attn_row(kv, q + (size_t)i * (size_t)d, d, blocks, lo[i], hi[i], softcap,
                 acc + (size_t)i * (size_t)d, max + i, sum + i);
    }
}

static void attn_span_f16(const float *q, int n_q, int d, const struct kern_part *parts,
                          int n_parts, const int *lo, const int *hi, float softcap, float *acc,
                          float *max, float *sum)
{
    attn_span(KERN_KV_F16, q, n_q, d, parts, n_parts, lo, hi, softcap, acc, max, sum);
}

static void attn_span_q8(const float *q, int n_q, int d, const struct kern_part *parts, int n_parts,
                         const int *lo, const int *hi, float softcap, float *acc, float *max,
                         float *sum)
{
    attn_span(KERN_KV_Q8, q, n_q, d, parts, n_parts, lo, hi, softcap, acc, max, sum);
}

static void attn_merge(const float *acc, size_t acc_stride, const float *max, const float *sum,
                       size_t stat_stride, int n_spans, int d, float *out)
{
    float top = -INFINITY, total = 0;
    for (int s = 0; s < n_spans; s++)
        top = max[(size_t)s * stat_stride] > top ? max[(size_t)s * stat_stride] : top;
    memset(out, 0, (size_t)d * sizeof *out);
    for (int s = 0; s < n_spans; s++) {
        float part = sum[(size_t)s * stat_stride];
        if (part == 0) // nothing was seen in this span
            continue;
        float w = kern_exp(max[(size_t)s * stat_stride] - top);
        total = fmaf(w, part, total);
        for (int i = 0; i < d; i++)
            out[i] = fmaf(w, acc[(size_t)s * acc_stride + (size_t)i], out[i]);
    }
    float scale = total > 0 ? 1.0f / total : total; // a NaN stays one
    for (int i = 0; i < d; i++)
        out[i] *= scale;
}

void kern_fill_scalar_attn(struct kern *k)
{
    k->kv_store[KERN_KV_F16] = kv_store_f16;
    k->kv_store[KERN_KV_Q8] = kv_store_q8;
    k->attn_span[KERN_KV_F16] = attn_span_f16;
    k->attn_span[KERN_KV_Q8] = attn_span_q8;
    k->attn_merge = attn_merge;
}
