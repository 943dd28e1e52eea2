/* kern/attn_test.c - attention of every level against the scalar twin, and of the scalar twin
 * against double-precision arithmetic. */
#include "kern/kern_int.h"

#include "kern/cpu.h"
#include "kern/f16.h"

#include "base/mem.h"
#include "test.h"

#include <math.h>

#define N_BLOCKS 8
#define ROWS     37 // more than a level takes at once

static const int dims[] = {8, 16, 64, 72, 80, 96, 128, 256};

static float normal(uint64_t *seed)
{
    float sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (float)(test_random(seed) >> 40) / (float)(1 << 23) - 1.0f;
    return sum * 0.8f;
}

struct span {
    enum kern_kv kv;
    int d;
    void *blocks[N_BLOCKS];
    float *q, *acc;
    float max[ROWS], sum[ROWS];
};

static void span_init(struct span *s, enum kern_kv kv, int d, const struct kern *k, uint64_t *seed)
{
    float key[256], value[256];
    s->kv = kv;
    s->d = d;
    for (int b = 0; b < N_BLOCKS; b++) {
        s->blocks[b] = mem_try(kern_kv_bytes(kv, d));
        assert_non_null(s->blocks[b]);
        memset(s->blocks[b], 0xff, kern_kv_bytes(kv, d)); // not numbers: what nobody may look at
    }
    for (int t = 0; t < KERN_SPAN - 3; t++) { // the last three stay so
        for (int i = 0; i < d; i++) {
            key[i] = normal(seed);
            value[i] = normal(seed);
        }
        k->kv_store[kv](s->blocks[t / 32], t % 32, 1, key, value, 0, d);
    }
    s->q = mem_alloc(sizeof(float) * (size_t)(ROWS * d));
    s->acc = mem_alloc(sizeof(float) * (size_t)(ROWS * d));
    for (int i = 0; i < ROWS * d; i++)
        s->q[i] = normal(seed) * 0.4f;
}

static void span_fini(struct span *s)
{
    for (int b = 0; b < N_BLOCKS; b++)
        mem_try_free(s->blocks[b], kern_kv_bytes(s->kv, s->d));
    mem_free(s->q);
    mem_free(s->acc);
}

static float key_at(const struct span *s, int t, int i)
{
    const uint16_t *p = s->blocks[t / 32];
    if (s->kv == KERN_KV_Q8) {
        const uint8_t *codes = s->blocks[t / 32];
        int code = codes[t % 32 / 16 * 16 * s->d + 16 * (i / 4 * 4) + t % 16 * 4 + i % 4] - 128;
        return (float)code * kern_q8_scales(codes, s->d)[t % 32];
    }
    return f16_to_f32(p[t % 32 / 16 * 16 * s->d + 16 * i + t % 16]);
}

static float value_at(const struct span *s, int t, int i)
{
    const uint16_t *p = s->blocks[t / 32];
    if (s->kv == KERN_KV_Q8) {
        const int8_t *codes = s->blocks[t / 32];
        return (float)codes[(KERN_KV_BLOCK + t % 32) * s->d + i] *
               kern_q8_scales(codes, s->d)[32 + t % 32];
    }
    return f16_to_f32(p[(KERN_KV_BLOCK + t % 32) * s->d + i]);
}

static void check_row(const struct span *s, int r, int lo, int hi, float softcap)
{
    double p[KERN_SPAN], top = -INFINITY, sum = 0;
    const float *q = s->q + r * s->d;
    float rounded[256]; // q8 codes the query as well
    if (s->kv == KERN_KV_Q8) {
        struct kern_q8_row row;
        kern_scalar_code(q, s->d, &row);
        for (int i = 0; i < s->d; i++)
            rounded[i] = (float)row.codes[i] * row.d;
        q = rounded;
    }
    for (int t = lo; t < hi; t++) {
        p[t] = 0;
        for (int i = 0; i < s->d; i++)
            p[t] += (double)q[i] * key_at(s, t, i);
        if (softcap > 0)
            p[t] = softcap * tanh(p[t] / softcap);
        top = p[t] > top ? p[t] : top;
    }
    if (lo >= hi) {
        assert_true(s->max[r] == -INFINITY && s->sum[r] == 0);
        for (int i = 0; i < s->d; i++)
            assert_true(s->acc[r * s->d + i] == 0);
        return;
    }
    assert_true(fabs(s->max[r] - top) < 1e-4);
    for (int t = lo; t < hi; t++)
        sum += exp(p[t] - top);
    assert_true(fabs(s->sum[r] - sum) < 1e-4 * sum);
    for (int i = 0; i < s->d; i++) {
        double want = 0, size = 0;
        for (int t = lo; t < hi; t++) {
            want += exp(p[t] - top) * value_at(s, t, i);
            size += exp(p[t] - top) * fabs((double)value_at(s, t, i));
        }
        assert_true(fabs(s->acc[r * s->d + i] - want) <= 1e-4 * size);
    }
}

static void attn_span_is_softmax(void **state)
{
    (void)state;
    uint64_t seed = 41;
    static const int lo[] = {0, 0, 0, 5, 31, 100, 16, 17, 9, 0, 252};
    static const int hi[] = {1, 253, 33, 6, 33, 100, 32, 48, 3, 16, 253};
    const int rows = COUNT(lo);
    struct kern k;
    kern_init(&k, 0);
    for (size_t i = 0; i < COUNT(dims); i++)
        for (int round = 0; round < 4; round++) {
            struct span s;
            enum kern_kv kv = round / 2 ? KERN_KV_Q8 : KERN_KV_F16;
            float softcap = round % 2 ? 5.0f : 0.0f;
            span_init(&s, kv, dims[i], &k, &seed);
            struct kern_part part = {0, rows, 0, KERN_SPAN, (const void *const *)s.blocks};
            k.attn_span[kv](s.q, rows, s.d, &part, 1, lo, hi, softcap, s.acc, s.max, s.sum);
            for (int r = 0; r < rows; r++)
                check_row(&s, r, lo[r], hi[r], softcap);
            span_fini(&s);
        }
}

static void check_same(const float *got, const float *want, size_t n, const char *level,
                       const char *what, int d, int rows)
{
    for (size_t i = 0; i < n; i++)
        if (f32_bits(got[i]) != f32_bits(want[i]))
            fail_msg("%s %s d = %d rows = %d: element %zu is %.9g, not %.9g", level, what, d, rows,
                     i, (double)got[i], (double)want[i]);
}

// Every level, rows alone and together, gives the scalar twin's bits.
static void attn_same_bits_everywhere(void **state)
{
    (void)state;
    static const char *const names[] = {"scalar", "avx2", "avxvnni", "avx512", "all"};
    uint64_t seed = 43;
    struct kern plain;
    kern_init(&plain, 0);
    for (size_t l = 0; l < COUNT(names); l++) {
        unsigned mask;
        struct err e;
        struct kern k;
        assert_true(cpu_parse_mask(str_c(names[l]), &mask, &e));
        kern_init(&k, mask & cpu_detect());
        for (size_t i = 0; i < COUNT(dims); i++)
            for (int round = 0; round < 24; round++) {
                struct span s, other;
                enum kern_kv kv = round < 12 ? KERN_KV_F16 : KERN_KV_Q8;
                int d = dims[i], lo[ROWS], hi[ROWS];
                int n_q = 1 + (int)(test_random(&seed) % (round % 3 ? ROWS : 8));
                float softcap = round % 4 == 3 ? 20.0f : 0.0f;
                span_init(&s, kv, d, &k, &seed);
                span_init(&other, kv, d, &k, &seed);
                int len = 1 + (int)(test_random(&seed) % 253);
                for (int r = 0; r < ROWS; r++) {
                    lo[r] = round % 2 ? (int)(test_random(&seed) % 60) : 0;
                    hi[r] = round % 5 == 0 ? len : int_max(0, len - 2 * r);
                }
                float *acc = mem_alloc(sizeof(float) * (size_t)(ROWS * d)), max[ROWS], sum[ROWS];
                // all rows see the same blocks up to `fork`, then those before `cut` these, others
                // those
                const void *const *mine = (const void *const *)s.blocks, *const *theirs =
                                                                             (const void *const *)
                                                                                 other.blocks;
                int fork = round % 2 ? 32 * (int)(test_random(&seed) % 9) : KERN_SPAN;
                int cut = (int)(test_random(&seed) % (unsigned)(n_q + 1));
                struct kern_part parts[] = {{0, n_q, 0, fork, mine},
                                            {0, cut, fork, KERN_SPAN, mine},
                                            {cut, n_q - cut, fork, KERN_SPAN, theirs}};
                k.attn_span[kv](s.q, n_q, d, parts, fork < KERN_SPAN ? 3 : 1, lo, hi, softcap,
                                s.acc, s.max, s.sum);
                for (int r = 0; r < n_q; r++) {
                    const void *blocks[N_BLOCKS];
                    for (int b = 0; b < N_BLOCKS; b++)
                        blocks[b] = r < cut || 32 * b < fork ? mine[b] : theirs[b];
                    struct kern_part whole = {0, 1, 0, KERN_SPAN, blocks};
                    plain.attn_span[kv](s.q + r * d, 1, d, &whole, 1, lo + r, hi + r, softcap,
                                        acc + r * d, max + r, sum + r);
                }
                check_same(s.max, max, (size_t)n_q, k.name, "max", d, n_q);
                check_same(s.sum, sum, (size_t)n_q, k.name, "sum", d, n_q);
                check_same(s.acc, acc, (size_t)(n_q * d), k.name, "acc", d, n_q);
                float got[256], want[256];
                k.attn_merge(s.acc, (size_t)d, s.max, s.sum, 1, n_q, d, got);
                plain.attn_merge(s.acc, (size_t)d, s.max, s.sum, 1, n_q, d, want);
                check_same(got, want, (size_t)d, k.name, "merge", d, n_q);
                mem_free(acc);
                span_fini(&s);
                span_fini(&other);
            }
    }
}

static void kv_store_same_bytes_everywhere(void **state)
{
    (void)state;
    uint64_t seed = 47;
    static const char *const names[] = {"avx2", "avxvnni", "avx512", "all"};
    struct kern plain, k;
    kern_init(&plain, 0);
    for (size_t l = 0; l < COUNT(names); l++) {
        unsigned mask;
        struct err e;
        assert_true(cpu_parse_mask(str_c(names[l]), &mask, &e));
        kern_init(&k, mask & cpu_detect());
        for (size_t i = 0; i < 2 * COUNT(dims); i++) {
            enum kern_kv kv = i < COUNT(dims) ? KERN_KV_F16 : KERN_KV_Q8;
            int d = dims[i % COUNT(dims)];
            size_t bytes = kern_kv_bytes(kv, d);
            void *a = mem_try(bytes), *b = mem_try(bytes);
            assert_true(a && b);
            memset(a, 0, bytes);
            memset(b, 0, bytes);
            static float keys[32][300], values[32][300];
            for (int t = 0; t < 32; t++)
                for (int j = 0; j < d; j++) {
                    keys[t][j] = normal(&seed) * (t == 3 ? 1e-6f : t == 4 ? 1e6f : 1.0f);
                    values[t][j] = normal(&seed);
                }
            for (int t = 0, n; t < 32; t += n) { // some at once
                n = int_min(32 - t, 1 + (int)(test_random(&seed) % 20));
                plain.kv_store[kv](a, t, n, keys[t], values[t], 300, d);
                for (int j = t; j < t + n && l == 0; j++) // or one by one: the scalar level's
                    plain.kv_store[kv](b, j, 1, keys[j], values[j], 0, d);
                k.kv_store[kv](b, t, n, keys[t], values[t], 300, d);
            }
            assert_memory_equal(a, b, bytes);
            mem_try_free(a, bytes);
            mem_try_free(b, bytes);
        }
    }
}

static void attn_merge_joins_spans(void **state)
{
    (void)state;
    struct kern k;
    kern_init(&k, 0);
    // two spans with weights e^0 * 2 and e^-1 * 3, one that saw nothing between them
    float acc[3][8] = {{2, 4}, {0}, {3, 6, 9}}, max[3] = {1, -INFINITY, 0}, sum[3] = {2, 0, 3};
    float out[8];
    k.attn_merge(acc[0], 8, max, sum, 1, 3, 8, out);
    double w = exp(-1.0), total = 2 + 3 * w;
    assert_true(fabs(out[0] - (2 + 3 * w) / total) < 1e-6);
    assert_true(fabs(out[1] - (4 + 6 * w) / total) < 1e-6);
    assert_true(fabs(out[2] - 9 * w / total) < 1e-6);
    assert_true(out[3] == 0);
    k.attn_merge(acc[1], 8, max + 1, sum + 1, 1, 1, 8, out); // nothing seen anywhere
    for (int i = 0; i < 8; i++)
        assert_true(out[i] == 0);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(attn_span_is_softmax),
    cmocka_unit_test(attn_merge_joins_spans),
    cmocka_unit_test(attn_same_bits_everywhere),
    cmocka_unit_test(kv_store_same_bytes_everywhere),
};
TEST_FILE(tests)
