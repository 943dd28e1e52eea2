/* bench/kern.c - how fast the matrix kernels are: GB/s of weights and GMAC/s by type and number of
 * tokens, from the second-level cache and from memory, beside what the machine itself gave in the
 * same minute.
 *
 *     bench_kern [--level NAME] [--types Q8_0,Q4_K] [--tokens 1,4,8] [--cols N] [--ms N] [--attn]
 * [--json]
 *
 * One thread.  Each number is the median over windows of about a millisecond or one pass. */
#include "kern/cpu.h"
#include "kern/pack.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define DRAM_BYTES ((size_t)96 << 20)
#define L2_BYTES   ((size_t)384 << 10)
#define WINDOWS    400
#define TOKENS_MAX 512
#define PANELS     4 // of a call
#define Y_BYTES    (sizeof(float) * TOKENS_MAX * 16 * PANELS)

static const int all_types[] = {
    KERN_TYPE_Q8_0,  KERN_TYPE_Q4_K, KERN_TYPE_Q6_K,   KERN_TYPE_Q4_0,
    KERN_TYPE_Q5_0,  KERN_TYPE_Q5_K, KERN_TYPE_Q4_1,   KERN_TYPE_Q5_1,
    KERN_TYPE_Q2_K,  KERN_TYPE_Q3_K, KERN_TYPE_IQ4_NL, KERN_TYPE_IQ4_XS,
    KERN_TYPE_MXFP4, KERN_TYPE_F16,  KERN_TYPE_BF16,   KERN_TYPE_F32,
};

static struct {
    unsigned cpu;
    int types[COUNT(all_types)], n_types;
    int tokens[16], n_tokens, cols;
    double window_ms, total_ms;
    bool json, attn;
} opt;

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

static double now_s(void)
{
    return (double)clock_mono_ns() * 1e-9;
}

static volatile uint64_t sink;

/* Reads n bytes at p in four streams, with prefetches, as wide as this CPU can. */
static uint64_t read_plain(const uint8_t *p, size_t n)
{
    uint64_t s[4] = {0};
    size_t quarter = n / 4;
    for (size_t j = 0; j < quarter; j += 64)
        for (size_t q = 0; q < 4; q++) {
            uint64_t line[8];
            memcpy(line, p + q * quarter + j, 64);
            __builtin_prefetch(p + q * quarter + j + 4096);
            s[q] += line[0] ^ line[1] ^ line[2] ^ line[3] ^ line[4] ^ line[5] ^ line[6] ^ line[7];
        }
    return s[0] + s[1] + s[2] + s[3];
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *p, size_t n)
{
    __m256i s[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    size_t quarter = n / 4;
    for (size_t j = 0; j < quarter; j += 64)
        for (size_t q = 0; q < 4; q++) {
            const uint8_t *line = p + q * quarter + j;
            __builtin_prefetch(line + 4096);
            s[0] = _mm256_xor_si256(s[0], _mm256_load_si256((const __m256i *)line));
            s[1] = _mm256_xor_si256(s[1], _mm256_load_si256((const __m256i *)line + 1));
        }
    return (uint64_t)_mm256_extract_epi64(_mm256_xor_si256(s[0], s[1]), 0);
}

/* What one core multiplies from registers, GMAC/s of 8-bit integers. */
__attribute__((target("avx512f,avx512vnni"))) static double vnni_rate(void)
{
    __m512i a = _mm512_set1_epi32((int)sink);
    __m512i s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a;
    double v[101];
    for (size_t w = 0; w < COUNT(v); w++) {
        double start = now_s();
        for (int i = 0; i < 100000; i++)
            __asm__ volatile("vpdpbusd %10, %10, %0\n\tvpdpbusd %10, %10, %1\n\t"
                             "vpdpbusd %10, %10, %2\n\tvpdpbusd %10, %10, %3\n\t"
                             "vpdpbusd %10, %10, %4\n\tvpdpbusd %10, %10, %5\n\t"
                             "vpdpbusd %10, %10, %6\n\tvpdpbusd %10, %10, %7\n\t"
                             "vpdpbusd %10, %10, %8\n\tvpdpbusd %10, %10, %9"
                             : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6),
                               "+v"(s7), "+v"(s8), "+v"(s9)
                             : "v"(a));
        v[w] = 100000.0 * 10 * 64 / (now_s() - start) * 1e-9;
    }
    return median(v, COUNT(v));
}
#endif

/* What one core reads from memory, GB/s. */
static double probe_bandwidth(void)
{
    size_t n = DRAM_BYTES, part = (size_t)1 << 20;
    uint8_t *p = mem_try(n);
    double v[192];
    int windows = 0;
    uint64_t (*read)(const uint8_t *, size_t) = read_plain;
#if defined(__x86_64__)
    if (cpu_detect() & CPU_AVX2)
        read = read_avx2;
#endif
    if (!p)
        return 0;
    memset(p, 1, n);
    for (size_t i = 0; i < COUNT(v) * part; i += part) {
        double start = now_s();
        sink = sink ^ read(p + i % n, part);
        v[windows++] = (double)part / (now_s() - start) * 1e-9;
    }
    mem_try_free(p, n);
    return median(v, windows);
}

static double probe_integers(void)
{
#if defined(__x86_64__)
    if (cpu_detect() & CPU_VNNI512)
        return vnni_rate();
#endif
    return 0;
}

struct setup {
    struct kern_mat m;
    void *mem, *x;
    float *y;
    size_t bytes, x_bytes, x_stride;
};

static void fill_random(uint8_t *p, size_t n)
{
    uint64_t s = 88172645463325252u;
    for (size_t i = 0; i < n; i++) {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        p[i] = (uint8_t)(s >> 32);
    }
}

/* A matrix of about `bytes`: one panel of real weights, repeated. */
static bool setup_open(struct setup *s, const struct kern *k, int type, size_t bytes)
{
    const struct kern_type_info *info = kern_type_info(type);
    size_t row = (size_t)(opt.cols / info->block) * (size_t)info->bytes;
    int panels = (int)(bytes / (16 * row));
    s->bytes = kern_pack_bytes(type, 16 * panels, opt.cols);
    s->mem = mem_try(s->bytes);
    s->x_stride = kern_act_bytes(KERN_ACT_F32, opt.cols); // the largest
    s->x_bytes = s->x_stride * TOKENS_MAX;
    s->x = mem_try(s->x_bytes);
    s->y = mem_try(Y_BYTES);
    if (!s->mem || !s->x || !s->y)
        return false;
    kern_pack_layout(&s->m, type, 16 * panels, opt.cols, s->mem);
    s->x_stride = kern_act_bytes(s->m.act, opt.cols);
    float *values = mem_alloc((size_t)opt.cols * sizeof *values);
    uint8_t *bits = mem_alloc((size_t)opt.cols), *src = mem_alloc(16 * row);
    for (int r = 0; r < 16 + TOKENS_MAX; r++) {
        fill_random(bits, (size_t)opt.cols);
        for (int i = 0; i < opt.cols; i++)
            values[i] = ((float)bits[(i * 7 + r) % opt.cols] - 127.5f) * 1e-3f;
        if (r < 16 && !kern_quant_row(type, values, src + (size_t)r * row, opt.cols))
            return false;
        if (r >= 16)
            k->quantize(s->m.act, values, (uint8_t *)s->x + (size_t)(r - 16) * s->x_stride,
                        opt.cols);
    }
    kern_pack(&(struct kern_mat){.type = type,
                                 .rows = 16,
                                 .cols = opt.cols,
                                 .n_panels = 1,
                                 .act = s->m.act,
                                 .lines = s->m.lines,
                                 .scales = s->m.scales,
                                 .panel_lines = s->m.panel_lines,
                                 .panel_scales = s->m.panel_scales},
              src, 0, 1);
    for (int p = 1; p < panels; p++) {
        memcpy((uint8_t *)s->mem + (size_t)p * s->m.panel_lines, s->m.lines, s->m.panel_lines);
        if (s->m.scales)
            memcpy((uint8_t *)s->m.scales + (size_t)p * s->m.panel_scales, s->m.scales,
                   s->m.panel_scales);
    }
    mem_free(src);
    mem_free(bits);
    mem_free(values);
    return true;
}

static void setup_close(struct setup *s)
{
    mem_try_free(s->y, Y_BYTES);
    mem_try_free(s->x, kern_act_bytes(KERN_ACT_F32, opt.cols) * TOKENS_MAX);
    mem_try_free(s->mem, s->bytes);
}

/* Seconds a panel takes. */
static double measure(const struct setup *s, const struct kern *k, int n)
{
    double v[WINDOWS], begin = now_s();
    int windows = 0, at = 0;
    do {
        double start = now_s();
        int done = 0;
        do { // a few panels a call, as the engine does
            struct kern_mat part = s->m;
            part.lines += (size_t)at * part.panel_lines;
            part.scales += part.scales ? (size_t)at * part.panel_scales : 0;
            part.n_panels = int_min(PANELS, s->m.n_panels - at);
            part.rows = 16 * part.n_panels;
            k->matmul(&part, 0, part.n_panels, s->x, s->x_stride, n, s->y, 16 * PANELS);
            done += part.n_panels;
            at = (at + part.n_panels) % s->m.n_panels;
        } while ((now_s() - start) * 1e3 < opt.window_ms);
        v[windows++] = (now_s() - start) / done;
    } while (windows < WINDOWS && (now_s() - begin) * 1e3 < opt.total_ms);
    return median(v, windows);
}

static void bench_type(const struct kern *k, int type)
{
    static const struct {
        const char *name;
        size_t bytes;
    } places[] = {{"L2", L2_BYTES}, {"DRAM", DRAM_BYTES}};
    for (size_t i = 0; i < COUNT(places); i++) {
        struct setup s;
        if (!setup_open(&s, k, type, places[i].bytes)) {
            fprintf(stderr, "no memory for %s\n", kern_type_info(type)->name);
            exit(1);
        }
        if (!opt.json)
            printf("%-7s %-5s", kern_type_info(type)->name, places[i].name);
        for (int j = 0; j < opt.n_tokens; j++) {
            int n = opt.tokens[j];
            double t = measure(&s, k, n);
            double gbs = (double)(s.m.panel_lines + s.m.panel_scales) / t * 1e-9;
            double gmacs = 16.0 * opt.cols * n / t * 1e-9;
            if (opt.json)
                printf("{\"type\":\"%s\",\"from\":\"%s\",\"tokens\":%d,\"gb_s\":%.2f,"
                       "\"gmac_s\":%.2f}\n",
                       kern_type_info(type)->name, places[i].name, n, gbs, gmacs);
            else
                printf(" %6.1f/%-6.1f", gbs, gmacs);
        }
        if (!opt.json)
            printf("\n");
        fflush(stdout);
        setup_close(&s);
    }
}

#define ATTN_ROWS   32
#define ATTN_BLOCKS (8 * 16)

/* Attention: GMAC/s of one KV head at head dimension d, by query rows. */
static void bench_attn(const struct kern *k, enum kern_kv kv, int d)
{
    static const int rows[] = {1, 2, 4, 8, 16, 32};
    const char *name = kv == KERN_KV_F16 ? "f16" : "q8";
    size_t floats = (size_t)(ATTN_ROWS * d);
    uint8_t *mem = mem_try(kern_kv_bytes(kv, d) * ATTN_BLOCKS);
    float *q = mem_try(sizeof(float) * floats), *acc = mem_try(sizeof(float) * floats);
    float max[ATTN_ROWS], sum[ATTN_ROWS];
    int lo[ATTN_ROWS] = {0}, hi[ATTN_ROWS];
    if (!mem || !q || !acc)
        return;
    for (size_t i = 0; i < floats; i++)
        q[i] = (float)((int)i % 13 - 6) * 0.01f;
    for (int t = 0; t < 32 * ATTN_BLOCKS; t++)
        k->kv_store[kv](mem + (size_t)(t / 32) * kern_kv_bytes(kv, d), t % 32, 1, q + t % 7 * d, q,
                        0, d);
    for (int i = 0; i < ATTN_ROWS; i++)
        hi[i] = KERN_SPAN;
    for (size_t r = 0; r < COUNT(rows); r++) {
        double v[48];
        for (size_t w = 0; w < COUNT(v); w++) {
            double start = now_s();
            for (int s = 0; s < ATTN_BLOCKS / 8; s++) {
                const void *blocks[8];
                for (int b = 0; b < 8; b++)
                    blocks[b] = mem + (size_t)(8 * s + b) * kern_kv_bytes(kv, d);
                struct kern_part part = {0, rows[r], 0, KERN_SPAN, blocks};
                k->attn_span[kv](q, rows[r], d, &part, 1, lo, hi, 0, acc, max, sum);
            }
            v[w] = now_s() - start;
        }
        double gmacs = 2.0 * d * 32 * ATTN_BLOCKS * rows[r] / median(v, COUNT(v)) * 1e-9;
        if (opt.json)
            printf("{\"attention_rows\":%d,\"d\":%d,\"kv\":\"%s\",\"gmac_s\":%.2f}\n", rows[r], d,
                   name, gmacs);
        else
            printf("attention %s, d %d, %d rows: %.1f GMAC/s\n", name, d, rows[r], gmacs);
    }
    mem_try_free(mem, kern_kv_bytes(kv, d) * ATTN_BLOCKS);
    mem_try_free(q, sizeof(float) * floats);
    mem_try_free(acc, sizeof(float) * floats);
}

static bool find_type(str name, int *type)
{
    for (size_t i = 0; i < COUNT(all_types); i++)
        if (str_eqc(name, kern_type_info(all_types[i])->name)) {
            *type = all_types[i];
            return true;
        }
    return false;
}

static int usage(void)
{
    fprintf(stderr,
            "bench_kern [--level NAME] [--types A,B] [--tokens 1,4] [--cols N] [--ms N] [--attn] "
            "[--json]\n");
    return 2;
}

static bool read_list(const char *arg, bool types)
{
    str rest = str_c(arg), part;
    opt.n_types = types ? 0 : opt.n_types;
    opt.n_tokens = types ? opt.n_tokens : 0;
    while (str_cut(&rest, ',', &part)) {
        int64_t n;
        if (types &&
            (opt.n_types >= (int)COUNT(opt.types) || !find_type(part, &opt.types[opt.n_types++])))
            return false;
        if (!types) {
            if (opt.n_tokens >= (int)COUNT(opt.tokens) || !str_to_i64(part, &n) || n < 1 ||
                n > TOKENS_MAX)
                return false;
            opt.tokens[opt.n_tokens++] = (int)n;
        }
    }
    return true;
}

static bool read_options(int argc, char **argv)
{
    static const int tokens[] = {1, 2, 4, 8, 12, 32, 128, 512};
    struct err e;
    opt.cpu = cpu_detect();
    memcpy(opt.types, all_types, sizeof all_types);
    opt.n_types = COUNT(all_types);
    memcpy(opt.tokens, tokens, sizeof tokens);
    opt.n_tokens = COUNT(tokens);
    opt.window_ms = 1;
    opt.cols = 1024;
    opt.total_ms = 150;
    for (int i = 1; i < argc; i++) {
        str a = str_c(argv[i]);
        int64_t ms;
        unsigned mask;
        if (str_eqc(a, "--json"))
            opt.json = true;
        else if (str_eqc(a, "--attn"))
            opt.attn = true;
        else if (i + 1 == argc)
            return false;
        else if (str_eqc(a, "--types") || str_eqc(a, "--tokens")) {
            if (!read_list(argv[++i], str_eqc(a, "--types")))
                return false;
        } else if (str_eqc(a, "--cols") && str_to_i64(str_c(argv[i + 1]), &ms) && ms > 0 &&
                   ms <= 65536 && ms % 256 == 0) {
            opt.cols = (int)ms;
            i++;
        } else if (str_eqc(a, "--ms") && str_to_i64(str_c(argv[i + 1]), &ms) && ms > 0) {
            opt.total_ms = (double)ms;
            i++;
        } else if (str_eqc(a, "--level")) {
            if (!cpu_parse_mask(str_c(argv[++i]), &mask, &e)) {
                fprintf(stderr, "%s\n", e.msg);
                return false;
            }
            opt.cpu &= mask;
        } else {
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv)
{
    struct kern k;
    char names[128];
    if (!read_options(argc, argv))
        return usage();
    kern_init(&k, opt.cpu);
    double bandwidth = probe_bandwidth(), integers = probe_integers();
    if (opt.json)
        printf("{\"level\":\"%s\",\"probe_gb_s\":%.2f,\"probe_gmac_s\":%.2f}\n", k.name, bandwidth,
               integers);
    else
        printf("level %s (%s); one core of this machine reads %.1f GB/s, multiplies %.0f GMAC/s\n"
               "%d columns; weights in GB/s and GMAC/s, by tokens\n%-13s",
               k.name, cpu_names(opt.cpu, names, sizeof names), bandwidth, integers, opt.cols, "");
    for (int i = 0; i < opt.n_tokens && !opt.json; i++)
        printf(" %13d", opt.tokens[i]);
    if (!opt.json)
        printf("\n");
    for (int i = 0; i < opt.n_types; i++)
        bench_type(&k, opt.types[i]);
    for (int kv = 0; kv < KERN_KV_KINDS && opt.attn; kv++)
        for (int d = 64; d <= 128; d *= 2)
            bench_attn(&k, (enum kern_kv)kv, d);
    return 0;
}
