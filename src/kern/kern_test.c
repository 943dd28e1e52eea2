/* kern/kern_test.c - every level against the scalar twin, the scalar twin against double-precision
 * arithmetic, and every result against itself under other batch sizes and splits. */
#include "kern/kern_int.h"

#include "kern/cpu.h"
#include "kern/f16.h"
#include "kern/math.h"

#include "base/mem.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>

static const int types[] = {
    KERN_TYPE_F32,  KERN_TYPE_F16,    KERN_TYPE_BF16,   KERN_TYPE_Q8_0,
    KERN_TYPE_Q4_0, KERN_TYPE_Q4_1,   KERN_TYPE_Q5_0,   KERN_TYPE_Q5_1,
    KERN_TYPE_Q2_K, KERN_TYPE_Q3_K,   KERN_TYPE_Q4_K,   KERN_TYPE_Q5_K,
    KERN_TYPE_Q6_K, KERN_TYPE_IQ4_NL, KERN_TYPE_IQ4_XS, KERN_TYPE_MXFP4,
};

static const char *const level_names[] = {"scalar",  "avx2", "avxvnni", "avx512",
                                          "vnni512", "amx",  "all"};

// The levels that this CPU has; the first is scalar.
static size_t levels(struct kern *k, size_t cap)
{
    size_t n = 0;
    unsigned seen[8];
    for (size_t i = 0; i < COUNT(level_names) && n < cap; i++) {
        unsigned mask;
        struct err e;
        assert_true(cpu_parse_mask(str_c(level_names[i]), &mask, &e));
        mask &= cpu_detect();
        bool known = false;
        for (size_t j = 0; j < n; j++)
            known = known || seen[j] == mask;
        if (known)
            continue;
        seen[n] = mask;
        kern_init(&k[n++], mask);
    }
    return n;
}

static float unit(uint64_t *seed)
{
    return (float)(test_random(seed) >> 40) / (float)(1 << 23) - 1.0f;
}

// Roughly normal.
static float normal(uint64_t *seed)
{
    return (unit(seed) + unit(seed) + unit(seed)) * 1.0f;
}

/* Lines behind which nothing may be read, as sanitizers see; free. */
static void *ending_bytes(size_t n)
{
    void *p = aligned_alloc(64, n);
    assert_non_null(p);
    return p;
}

struct problem {
    int type, rows, cols, n;
    size_t row_bytes, x_stride, pack_bytes, x_bytes;
    uint8_t *gguf;
    struct kern_mat m;
    void *mem, *x;
    float *plain; // [n][cols] activations before coding
};

// What the random bits of a block's scales would make of it: NaN and infinities are replaced.
static void tame_scales(int type, uint8_t *block)
{
    struct kern_block b;
    if (kern_type_info(type)->shape == KERN_SHAPE_F)
        return;
    kern_block_split(type, block, &b);
    if (type == KERN_TYPE_MXFP4)
        b.d = (uint16_t)(120 + b.d % 9);
    else
        b.d = (uint16_t)((b.d & 0x83ff) | 0x2000);
    b.m = (uint16_t)((b.m & 0x83ff) | 0x2000);
    kern_block_join(type, &b, block);
}

enum fill { FILL_RANDOM_BITS, FILL_WEIGHTS, FILL_EXTREME };

static void fill_row(struct problem *p, int r, enum fill fill, uint64_t *seed)
{
    const struct kern_type_info *info = kern_type_info(p->type);
    uint8_t *row = p->gguf + (size_t)r * p->row_bytes;
    if (fill == FILL_WEIGHTS || info->shape == KERN_SHAPE_F) {
        float *w = mem_alloc((size_t)p->cols * sizeof *w);
        for (int i = 0; i < p->cols; i++)
            w[i] = 0.05f * normal(seed);
        assert_true(kern_quant_row(p->type, w, row, p->cols));
        mem_free(w);
        return;
    }
    for (size_t i = 0; i < p->row_bytes; i++)
        row[i] = fill == FILL_EXTREME ? (r % 2 ? 0xff : 0x00) : (uint8_t)test_random(seed);
    for (int k = 0; k < p->cols; k += info->block)
        tame_scales(p->type, row + k / info->block * info->bytes);
}

static void problem_init(struct problem *p, enum fill fill, uint64_t *seed)
{
    const struct kern_type_info *info = kern_type_info(p->type);
    p->row_bytes = (size_t)(p->cols / info->block) * (size_t)info->bytes;
    p->gguf = mem_alloc((size_t)p->rows * p->row_bytes);
    for (int r = 0; r < p->rows; r++)
        fill_row(p, r, fill, seed);
    p->pack_bytes = kern_pack_bytes(p->type, p->rows, p->cols);
    assert_true(p->pack_bytes > 0 && p->pack_bytes % 64 == 0);
    p->mem = ending_bytes(p->pack_bytes);
    memset(p->mem, 0xa5, p->pack_bytes);
    kern_pack_layout(&p->m, p->type, p->rows, p->cols, p->mem);
    kern_pack(&p->m, p->gguf, 0, p->m.n_panels);
    p->x_stride = kern_act_bytes(p->m.act, p->cols);
    p->x_bytes = p->x_stride * (size_t)p->n;
    p->x = ending_bytes(p->x_bytes);
    p->plain = mem_alloc((size_t)p->n * (size_t)p->cols * sizeof(float));
    for (int i = 0; i < p->n * p->cols; i++) {
        p->plain[i] = normal(seed);
        if (fill == FILL_EXTREME) // codes of 127 and -127, in phase with nothing
            p->plain[i] = i / p->cols % 3 == 0   ? 1.0f
                          : i / p->cols % 3 == 1 ? -1.0f
                          : unit(seed) < 0       ? -1.0f
                                                 : 1.0f;
    }
}

static void problem_code(struct problem *p, const struct kern *k)
{
    for (int t = 0; t < p->n; t++)
        k->quantize(p->m.act, p->plain + (size_t)t * (size_t)p->cols,
                    (uint8_t *)p->x + (size_t)t * p->x_stride, p->cols);
}

static void problem_fini(struct problem *p)
{
    mem_free(p->gguf);
    mem_free(p->plain);
    free(p->mem);
    free(p->x);
}

// What a coded activation stands for.
static double coded(const struct problem *p, int t, int k)
{
    const uint8_t *row = (const uint8_t *)p->x + (size_t)t * p->x_stride;
    if (p->m.act == KERN_ACT_F32)
        return ((const float *)row)[k];
    if (p->m.act == KERN_ACT_Q32) {
        const struct kern_x32 *b = (const struct kern_x32 *)row + k / 32;
        return (double)b->codes[k % 32] * b->d;
    }
    const struct kern_x256 *b = (const struct kern_x256 *)row + k / 256;
    return (double)b->codes[k % 256] * b->d;
}

static void scalar_matmul_is_the_product(void **state)
{
    (void)state;
    uint64_t seed = 7;
    struct kern k;
    kern_init(&k, 0);
    for (size_t i = 0; i < COUNT(types); i++)
        for (int fill = FILL_RANDOM_BITS; fill <= FILL_EXTREME; fill++) {
            struct problem p = {.type = types[i], .rows = 19, .cols = 512, .n = 3};
            if (kern_type_info(p.type)->block == 32)
                p.cols = 544; // a last segment of one block
            if (kern_type_info(p.type)->block == 1)
                p.cols = 301;
            problem_init(&p, (enum fill)fill, &seed);
            problem_code(&p, &k);
            float y[3 * 19];
            k.matmul(&p.m, 0, p.m.n_panels, p.x, p.x_stride, p.n, y, 19);
            float *w = mem_alloc((size_t)p.cols * sizeof *w);
            for (int r = 0; r < p.rows; r++) {
                kern_dequant_row(p.type, p.gguf + (size_t)r * p.row_bytes, w, p.cols);
                for (int t = 0; t < p.n; t++) {
                    double want = 0, size = 0;
                    for (int c = 0; c < p.cols; c++) {
                        want += w[c] * coded(&p, t, c);
                        size += fabs(w[c] * coded(&p, t, c));
                    }
                    // mins and offsets cancel, so the parts may be larger than the products
                    if (fabs(y[t * 19 + r] - want) > 4e-6 * size + 1e-6)
                        fail_msg("%s fill %d row %d token %d: %.9g, not %.9g (of %.9g)",
                                 kern_type_info(p.type)->name, fill, r, t, (double)y[t * 19 + r],
                                 want, size);
                }
            }
            mem_free(w);
            problem_fini(&p);
        }
}

static void check_bits(const float *got, const float *want, size_t n, const char *what, int type,
                       const char *level, int a, int b)
{
    for (size_t i = 0; i < n; i++)
        if (f32_bits(got[i]) != f32_bits(want[i]) && !(isnan(got[i]) && isnan(want[i])))
            fail_msg("%s %s %s (%d, %d): element %zu is %.9g, not %.9g", level, what,
                     type >= 0 ? kern_type_info(type)->name : "", a, b, i, (double)got[i],
                     (double)want[i]);
}

#define Y_GUARD 12345.0f

// All levels, all batch sizes 1..40 and splits of the panels give the scalar twin's bits.
static void matmul_same_bits_everywhere(void **state)
{
    (void)state;
    uint64_t seed = 11;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    for (size_t i = 0; i < COUNT(types); i++)
        for (int fill = FILL_RANDOM_BITS; fill <= FILL_EXTREME; fill++) {
            struct problem p = {.type = types[i], .rows = 16 * 5 + 3, .cols = 768, .n = 40};
            if (kern_type_info(p.type)->block == 32)
                p.cols = 576;
            if (kern_type_info(p.type)->block == 1)
                p.cols = fill == 0 ? 577 : 320;
            size_t stride = (size_t)p.rows + 5, size = stride * 40;
            problem_init(&p, (enum fill)fill, &seed);
            problem_code(&p, &k[0]);
            float *want = mem_alloc(size * sizeof *want), *got = mem_alloc(size * sizeof *got);
            for (size_t j = 0; j < size; j++)
                want[j] = Y_GUARD;
            k[0].matmul(&p.m, 0, p.m.n_panels, p.x, p.x_stride, 40, want, stride);
            for (size_t l = 0; l < n_levels; l++)
                for (int n = 1; n <= 40; n++) {
                    if (l == 0 && n % 9 != 1)
                        continue;
                    int cut = n % (p.m.n_panels + 1);
                    for (size_t j = 0; j < size; j++)
                        got[j] = Y_GUARD;
                    k[l].matmul(&p.m, 0, cut, p.x, p.x_stride, n, got, stride);
                    k[l].matmul(&p.m, cut, p.m.n_panels, p.x, p.x_stride, n, got, stride);
                    check_bits(got, want, (size_t)n * stride - 5, "matmul", p.type, k[l].name, n,
                               cut);
                    for (size_t j = (size_t)n * stride - 5; j < size; j++)
                        if (got[j] != Y_GUARD)
                            fail_msg("%s %s wrote past its rows at n = %d", k[l].name,
                                     kern_type_info(p.type)->name, n);
                }
            mem_free(want);
            mem_free(got);
            problem_fini(&p);
        }
}

// More tokens than any inner chunk, and as many as are cut otherwise: each comes out as it does
// alone.
static void matmul_many_tokens(void **state)
{
    (void)state;
    enum { ROWS = 16 * 5 + 5 }; // more panels than share a read of the activations
    static const int counts[] = {525, 131};
    uint64_t seed = 37;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    for (size_t i = 0; i < COUNT(types) * COUNT(counts); i++) {
        struct problem p = {.type = types[i / COUNT(counts)], .rows = ROWS, .cols = 512};
        p.n = counts[i % COUNT(counts)];
        if (kern_type_info(p.type)->block == 32)
            p.cols = 576; // the last columns are fewer than 256
        problem_init(&p, FILL_WEIGHTS, &seed);
        problem_code(&p, &k[0]);
        float *y = mem_alloc((size_t)(p.n * p.rows) * sizeof *y),
              *one = mem_alloc(ROWS * sizeof *one);
        for (size_t l = 1; l < n_levels; l++) {
            k[l].matmul(&p.m, 0, p.m.n_panels, p.x, p.x_stride, p.n, y, ROWS);
            for (int t = 0; t < p.n; t++) {
                k[l].matmul(&p.m, 0, p.m.n_panels, (uint8_t *)p.x + (size_t)t * p.x_stride,
                            p.x_stride, 1, one, ROWS);
                check_bits(y + t * ROWS, one, ROWS, "many tokens", p.type, k[l].name, t, p.n);
            }
        }
        mem_free(y);
        mem_free(one);
        problem_fini(&p);
    }
}

// Runs of panels side by side, with whatever comes next, come out as one after the other.
static void matmul_runs_are_matmul(void **state)
{
    (void)state;
    enum { ROWS = 16 * 9 + 3, N = KERN_RUN_ROWS, STRIDE = ROWS + 2 };
    uint64_t seed = 41;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    struct problem other = {.type = KERN_TYPE_Q8_0, .rows = 16, .cols = 64, .n = 1};
    problem_init(&other, FILL_WEIGHTS, &seed);
    for (size_t i = 0; i < COUNT(types); i++) {
        struct problem p = {.type = types[i], .rows = ROWS, .cols = 1536, .n = N};
        problem_init(&p, FILL_WEIGHTS, &seed);
        problem_code(&p, &k[0]);
        float want[N * STRIDE], got[N * STRIDE];
        for (size_t l = 0; l < n_levels; l++)
            for (int n = 1; n <= N; n++)
                for (int runs = 1; runs <= (k[l].runs[n] ? k[l].runs[n] : KERN_RUNS); runs++) {
                    for (int j = 0; j < N * STRIDE; j++)
                        want[j] = got[j] = Y_GUARD;
                    k[0].matmul(&p.m, 0, p.m.n_panels, p.x, p.x_stride, n, want, STRIDE);
                    int len = p.m.n_panels / runs, n_next = n % 3 * runs / 2;
                    struct kern_run run[KERN_RUNS], next[KERN_RUNS];
                    for (int r = 0; r < KERN_RUNS; r++) {
                        run[r] = (struct kern_run){&p.m, r * len, got};
                        next[r] = (struct kern_run){n % 2 ? &p.m : &other.m, 0, got};
                    }
                    k[l].matmul_runs(run, runs, len, p.x, p.x_stride, n, STRIDE, next, n_next);
                    run[0].from = runs * len;
                    if (runs * len < p.m.n_panels)
                        k[l].matmul_runs(run, 1, p.m.n_panels - runs * len, p.x, p.x_stride, n,
                                         STRIDE, next, 0);
                    check_bits(got, want, N * STRIDE, "runs", p.type, k[l].name, n, runs);
                }
        problem_fini(&p);
    }
    problem_fini(&other);
}

static void levels_follow_the_mask(void **state)
{
    static const struct {
        const char *mask;
        unsigned need;
    } rows[] = {
        {"scalar", 0},
        {"avx2", CPU_AVX2 | CPU_FMA | CPU_F16C},
        {"avxvnni", CPU_AVX2 | CPU_AVXVNNI},
        {"avx512", CPU_AVX512},
        {"vnni512", CPU_AVX512 | CPU_VNNI512},
        {"amx", CPU_AVX512 | CPU_VNNI512 | CPU_AMX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned mask, cpu = cpu_detect();
        struct kern k;
        struct err e;
        assert_true(cpu_parse_mask(str_c(rows[i].mask), &mask, &e));
        kern_init(&k, mask & cpu);
        if ((cpu & rows[i].need) == rows[i].need)
            assert_string_equal(k.name, rows[i].mask);
    }
}

static void quantize_same_bytes_everywhere(void **state)
{
    (void)state;
    static const float odd[] = {0.0f,  -0.0f,    1e-40f,    -1e-38f, 1e-35f,
                                3e38f, INFINITY, -INFINITY, NAN,     0.5f};
    uint64_t seed = 13;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    float x[512];
    _Alignas(64) uint8_t want[4096], got[4096];
    for (int round = 0; round < 400; round++) {
        for (int i = 0; i < 512; i++) {
            x[i] = round % 4 == 0 ? (float)(int)(test_random(&seed) % 255) - 127.0f : normal(&seed);
            if (round % 4 == 0 && i % 3 == 0)
                x[i] += 0.5f; // halves
            if (round % 5 == 1)
                x[i] *= 1e-39f;
            if (round % 7 == 2 && test_random(&seed) % 100 == 0)
                x[i] = odd[test_random(&seed) % COUNT(odd)];
        }
        for (int act = KERN_ACT_F32; act <= KERN_ACT_Q256; act++) {
            size_t bytes = kern_act_bytes((enum kern_act)act, 512);
            assert_true(bytes <= sizeof want);
            memset(want, 0, sizeof want);
            k[0].quantize((enum kern_act)act, x, want, 512);
            for (size_t l = 1; l < n_levels; l++) {
                memset(got, 0, sizeof got);
                k[l].quantize((enum kern_act)act, x, got, 512);
                if (memcmp(got, want, bytes))
                    fail_msg("%s codes act %d otherwise in round %d", k[l].name, act, round);
                if (act != KERN_ACT_Q32)
                    continue;
                int blocks = round % 16; // not all go in fours
                size_t at = (size_t)blocks * sizeof(struct kern_x32);
                memset(got, 0xa5, sizeof got);
                k[l].quantize(KERN_ACT_Q32, x, got, 32 * blocks);
                if (memcmp(got, want, at) || got[at] != 0xa5)
                    fail_msg("%s codes %d blocks otherwise in round %d", k[l].name, blocks, round);
            }
        }
    }
}

static void quantize_rounds_as_stated(void **state)
{
    (void)state;
    struct kern k;
    kern_init(&k, 0);
    float x[32] = {127.0f, 0.5f, -0.5f, 1.5f, 0.49999997f, -2.5f, 126.5f, -127.0f};
    _Alignas(64) struct kern_x32 b;
    k.quantize(KERN_ACT_Q32, x, &b, 32);
    static const int want[] = {127, 1, -1, 2, 0, -3, 127, -127};
    assert_true(b.d == 1.0f);
    int sum = 0;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(b.codes[i], want[i]);
        sum += want[i];
    }
    assert_int_equal(b.m8, KERN_ZERO_BITS - 8 * sum);
    assert_int_equal(b.m16, KERN_ZERO_BITS - 16 * sum);
    assert_int_equal(b.m128, KERN_ZERO_BITS - 128 * sum);
}

/* What the sums of types with a scale per 32 rest on, for every scale that there is. */
static void sums_that_begin_as_floats_give_products(void **state)
{
    (void)state;
    static const int sums[] = {0, 1, -1, 3, -12345, 77777, 128 * 127 * 32, -128 * 127 * 32};
    for (int scale = 0; scale < 0x10000 + 232; scale++) {
        float d = scale < 0x10000 ? f16_to_f32((uint16_t)scale) : e8m0_to_f32((uint8_t)scale);
        for (size_t i = 0; i < COUNT(sums) && isfinite(d); i++) {
            float sum = f32_from_bits((uint32_t)(KERN_ZERO_BITS + sums[i]));
            assert_true(sum == KERN_ZERO + (float)sums[i]);
            float got = fmaf(sum, d, -(KERN_ZERO * d)), want = (float)sums[i] * d;
            if (got != want)
                fail_msg("%d times %.9g is %.9g, not %.9g", sums[i], (double)d, (double)got,
                         (double)want);
        }
    }
}

// A NaN or an infinity in a token spoils that token alone.
static void matmul_lives_with_nan(void **state)
{
    (void)state;
    uint64_t seed = 17;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    for (size_t i = 0; i < COUNT(types); i++) {
        struct problem p = {.type = types[i], .rows = 16, .cols = 512, .n = 3};
        problem_init(&p, FILL_WEIGHTS, &seed);
        float clean[16], y[48];
        problem_code(&p, &k[0]);
        k[0].matmul(&p.m, 0, 1, (uint8_t *)p.x + p.x_stride, p.x_stride, 1, clean, 16);
        p.plain[5] = NAN;
        p.plain[2 * p.cols + 300] = INFINITY;
        for (size_t l = 0; l < n_levels; l++) {
            problem_code(&p, &k[l]);
            k[l].matmul(&p.m, 0, 1, p.x, p.x_stride, 3, y, 16);
            check_bits(y + 16, clean, 16, "neighbour of a NaN", p.type, k[l].name, 0, 0);
            for (int r = 0; r < 16; r++)
                assert_false(isfinite(y[r]) || isfinite(y[32 + r]));
        }
        problem_fini(&p);
    }
}

static double ulp(float v)
{
    int e;
    frexp(fabs((double)v) < 0x1p-126 ? 0x1p-126 : (double)v, &e);
    return ldexp(1.0, e - 24);
}

static void exp_and_tanh_are_close(void **state)
{
    (void)state;
    double worst_exp = 0, worst_tanh = 0;
    for (int i = -1040000; i <= 885000; i++) {
        float x = (float)i * 1e-4f;
        double want = exp((double)x);
        double off = fabs((double)kern_exp(x) - want) / ulp((float)want);
        worst_exp = off > worst_exp ? off : worst_exp;
    }
    for (int i = -1200000; i <= 1200000; i++) {
        float x = (float)i * 1e-5f;
        double want = tanh((double)x);
        double off = fabs((double)kern_tanh(x) - want) / ulp((float)want);
        worst_tanh = off > worst_tanh ? off : worst_tanh;
    }
    if (worst_exp > 1.05 || worst_tanh > 1.3)
        fail_msg("exp is off by %.3f units in the last place, tanh by %.3f", worst_exp, worst_tanh);
    assert_true(kern_exp(0.0f) == 1.0f);
    assert_true(kern_exp(-INFINITY) == 0.0f);
    assert_true(kern_exp(INFINITY) == INFINITY);
    assert_true(isnan(kern_exp(NAN)));
    assert_true(isnan(kern_tanh(NAN)));
    assert_true(kern_tanh(INFINITY) == 1.0f && kern_tanh(-INFINITY) == -1.0f);
    assert_true(kern_silu(-INFINITY) == 0.0f || isnan(kern_silu(-INFINITY)));
    assert_true(kern_silu(1000.0f) == 1000.0f && kern_silu(-1000.0f) == 0.0f);
    assert_true(kern_gelu(100.0f) == 100.0f && kern_gelu(-100.0f) == 0.0f);
}

static void halves_round_trip(void **state)
{
    (void)state;
    for (uint32_t h = 0; h < 65536; h++) {
        float f = f16_to_f32((uint16_t)h), b = bf16_to_f32((uint16_t)h);
        if (!isnan(f))
            assert_int_equal(f32_to_f16(f), h);
        if (!isnan(b))
            assert_int_equal(f32_to_bf16(b), h);
    }
    assert_int_equal(f32_to_f16(65519.0f), 0x7bff);
    assert_int_equal(f32_to_f16(65520.0f), 0x7c00);
    assert_int_equal(f32_to_f16(0x1p-25f), 0);   // a tie, to even
    assert_int_equal(f32_to_f16(0x1.8p-24f), 2); // a tie, to even
    assert_int_equal(f32_to_f16(0x1.000002p-25f), 1);
    assert_int_equal(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);
    assert_int_equal(f32_to_f16(1.0f + 0x3p-11f), 0x3c02);
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))));
}

// The row functions of each level, over odd lengths and unaligned pointers.
static void rows_same_bits_everywhere(void **state)
{
    (void)state;
    uint64_t seed = 19;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    float a[600], b[600], want[600], got[600];
    for (int round = 0; round < 300; round++) {
        int n = 1 + (int)(test_random(&seed) % 540), at = (int)(test_random(&seed) % 16);
        for (int i = 0; i < 600; i++) {
            a[i] = normal(&seed) * (round % 3 ? 1.0f : 30.0f);
            b[i] = normal(&seed);
            if (round % 10 == 9 && i % 50 == 7)
                a[i] = i % 100 == 7 ? INFINITY : NAN;
        }
        for (size_t l = 1; l < n_levels; l++) {
            k[0].rms_norm(a + at, b + at, want, n, 1e-5f);
            k[l].rms_norm(a + at, b + at, got, n, 1e-5f);
            check_bits(got, want, (size_t)n, "rms_norm", -1, k[l].name, n, at);
            k[0].swiglu(a + at, b + at, want, n);
            k[l].swiglu(a + at, b + at, got, n);
            check_bits(got, want, (size_t)n, "swiglu", -1, k[l].name, n, at);
            k[0].geglu(a + at, b + at, want, n);
            k[l].geglu(a + at, b + at, got, n);
            check_bits(got, want, (size_t)n, "geglu", -1, k[l].name, n, at);
            memcpy(want, a, sizeof want);
            memcpy(got, a, sizeof got);
            k[0].add(want + at, b, n);
            k[l].add(got + at, b, n);
            check_bits(got, want, 600, "add", -1, k[l].name, n, at);
            memcpy(want, a, sizeof want);
            memcpy(got, a, sizeof got);
            k[0].scale(want + at, b[0], n);
            k[l].scale(got + at, b[0], n);
            check_bits(got, want, 600, "scale", -1, k[l].name, n, at);
            for (int neox = 0; neox < 2; neox++) {
                memcpy(want, a, sizeof want);
                memcpy(got, a, sizeof got);
                k[0].rope(want + at, b, b + 300, n / 2 * 2, neox);
                k[l].rope(got + at, b, b + 300, n / 2 * 2, neox);
                check_bits(got, want, 600, "rope", -1, k[l].name, n, at);
            }
        }
    }
}

static void logits_blocks_are_bit_equal(void **state)
{
    (void)state;
    uint64_t seed = 29;
    struct kern k[8];
    size_t n_levels = levels(k, COUNT(k));
    float x[64 * 9 + 1], want[64 * 9], got[64 * 9];
    for (int round = 0; round < 50; round++) {
        int at = round % 2;
        for (int i = 0; i < 64 * 9; i++)
            x[at + i] = (test_random(&seed) % 9 ? normal(&seed) * 12 : -INFINITY) + 1e-6f;
        for (size_t l = 1; l < n_levels; l++) {
            float sum[2] = {k[0].exp64(x + at, x[at] > -50 ? x[at] : 9, 1.7f, want),
                            k[l].exp64(x + at, x[at] > -50 ? x[at] : 9, 1.7f, got)};
            check_bits(got, want, 64, "exp64", -1, k[l].name, 64, at);
            check_bits(sum, sum + 1, 1, "exp64's sum", -1, k[l].name, 64, at);
            for (int i = 0; i < 64 * 9; i++) // one block of nothing else
                if (i / 64 == round % 9 || test_random(&seed) % 5 == 0)
                    x[at + i] = NAN;
            k[0].block_max(x + at, 9, want);
            k[l].block_max(x + at, 9, got);
            assert_true(want[round % 9] == -INFINITY);
            check_bits(got, want, 9, "block_max", -1, k[l].name, 9, at);
        }
    }
}

static void rms_norm_is_the_formula(void **state)
{
    (void)state;
    uint64_t seed = 23;
    struct kern k;
    float x[100], w[100], y[100];
    kern_init(&k, 0);
    double sum = 0;
    for (int i = 0; i < 100; i++) {
        x[i] = normal(&seed);
        w[i] = normal(&seed);
        sum += (double)x[i] * x[i];
    }
    k.rms_norm(x, w, y, 100, 1e-5f);
    for (int i = 0; i < 100; i++) {
        double want = x[i] * w[i] / sqrt(sum / 100 + 1e-5);
        assert_true(fabs(y[i] - want) <= 1e-6 * fabs(want) + 1e-12);
    }
    float head[6] = {1, 2, 3, 4, 5, 6}, c[2] = {0.6f, 0.8f}, s[2] = {0.8f, 0.6f};
    k.rope(head, c, s, 4, true); // pairs (1, 3) and (2, 4)
    assert_true(fabsf(head[0] - (0.6f - 2.4f)) < 1e-6f && fabsf(head[2] - (0.8f + 1.8f)) < 1e-6f);
    assert_true(fabsf(head[1] - (1.6f - 2.4f)) < 1e-6f && fabsf(head[3] - (1.2f + 3.2f)) < 1e-6f);
    assert_true(head[4] == 5 && head[5] == 6);
}

static void quant_errors_are_bounded(void **state)
{
    // root of the mean squared error over that of the data, for normal data
    static const struct {
        int type;
        double most;
    } rows[] = {
        {KERN_TYPE_F16, 0.0003},  {KERN_TYPE_BF16, 0.0024},  {KERN_TYPE_Q8_0, 0.006},
        {KERN_TYPE_Q4_0, 0.095},  {KERN_TYPE_Q4_1, 0.085},   {KERN_TYPE_Q5_0, 0.05},
        {KERN_TYPE_Q5_1, 0.042},  {KERN_TYPE_Q2_K, 0.31},    {KERN_TYPE_Q3_K, 0.16},
        {KERN_TYPE_Q4_K, 0.08},   {KERN_TYPE_Q5_K, 0.042},   {KERN_TYPE_Q6_K, 0.022},
        {KERN_TYPE_IQ4_NL, 0.08}, {KERN_TYPE_IQ4_XS, 0.082}, {KERN_TYPE_MXFP4, 0.13},
    };
    (void)state;
    uint64_t seed = 29;
    float *x = mem_alloc(16384 * sizeof *x), *y = mem_alloc(16384 * sizeof *y);
    uint8_t *row = mem_alloc(16384 * 4);
    for (size_t i = 0; i < COUNT(rows); i++) {
        double err = 0, size = 0;
        for (int j = 0; j < 16384; j++)
            x[j] = 0.02f * normal(&seed);
        assert_true(kern_quant_row(rows[i].type, x, row, 16384));
        kern_dequant_row(rows[i].type, row, y, 16384);
        for (int j = 0; j < 16384; j++) {
            err += ((double)x[j] - y[j]) * ((double)x[j] - y[j]);
            size += (double)x[j] * x[j];
        }
        if (!(sqrt(err / size) <= rows[i].most))
            fail_msg("%s: relative error %.4f", kern_type_info(rows[i].type)->name,
                     sqrt(err / size));
    }
    // zeros stay zeros; infinities and numbers too small for the scales are survived
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int j = 0; j < 512; j++)
            x[j] = 0;
        assert_true(kern_quant_row(rows[i].type, x, row, 512));
        kern_dequant_row(rows[i].type, row, y, 512);
        for (int j = 0; j < 512; j++)
            assert_true(y[j] == 0);
        for (int j = 0; j < 512; j++)
            x[j] = j % 100 == 0 ? NAN : j % 77 == 0 ? INFINITY : j % 3 ? 1e-40f : -1e30f;
        assert_true(kern_quant_row(rows[i].type, x, row, 512));
    }
    assert_false(kern_quant_row(16, x, row, 256)); // IQ2_XXS
    assert_false(kern_quant_row(KERN_TYPE_Q4_K, x, row, 128));
    mem_free(x);
    mem_free(y);
    mem_free(row);
}

static void blocks_round_trip(void **state)
{
    (void)state;
    uint64_t seed = 31;
    uint8_t block[256], again[256];
    struct kern_block b;
    for (size_t i = 3; i < COUNT(types); i++)
        for (int round = 0; round < 50; round++) {
            const struct kern_type_info *info = kern_type_info(types[i]);
            for (int j = 0; j < info->bytes; j++)
                block[j] = (uint8_t)test_random(&seed);
            memset(again, 0x5a, sizeof again);
            kern_block_split(types[i], block, &b);
            kern_block_join(types[i], &b, again);
            if (memcmp(block, again, (size_t)info->bytes))
                fail_msg("%s", info->name);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(halves_round_trip),
    cmocka_unit_test(blocks_round_trip),
    cmocka_unit_test(quant_errors_are_bounded),
    cmocka_unit_test(exp_and_tanh_are_close),
    cmocka_unit_test(logits_blocks_are_bit_equal),
    cmocka_unit_test(rms_norm_is_the_formula),
    cmocka_unit_test(quantize_rounds_as_stated),
    cmocka_unit_test(quantize_same_bytes_everywhere),
    cmocka_unit_test(scalar_matmul_is_the_product),
    cmocka_unit_test(matmul_same_bits_everywhere),
    cmocka_unit_test(matmul_many_tokens),
    cmocka_unit_test(matmul_runs_are_matmul),
    cmocka_unit_test(sums_that_begin_as_floats_give_products),
    cmocka_unit_test(matmul_lives_with_nan),
    cmocka_unit_test(levels_follow_the_mask),
    cmocka_unit_test(rows_same_bits_everywhere),
};
TEST_FILE(tests)
