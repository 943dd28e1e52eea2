/* oracle/kern_ggml.c - our reading and writing of tensor types beside ggml's, run by hand.
 *
 *     cc -std=c17 -D_GNU_SOURCE -O2 -ffp-contract=off -Isrc tests/oracle/kern_ggml.c \
 *         src/kern/block.c src/kern/quant.c -lm -ldl -o kern_ggml
 *     ./kern_ggml /path/to/libggml-base.so
 *
 * Reading: random bytes as blocks, every number compared bit for bit.  Writing: the error of our
 * rounding of normal and heavy-tailed data beside that of the library's reference. */
#include "kern/kern_int.h"

#include "kern/f16.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>

typedef void to_float_fn(const void *row, float *out, int64_t n);
typedef void from_float_fn(const float *x, void *row, int64_t n);

static const struct {
    int type;
    const char *name; // as in the library's symbols
} types[] = {
    {KERN_TYPE_Q8_0, "q8_0"},   {KERN_TYPE_Q4_0, "q4_0"},     {KERN_TYPE_Q4_1, "q4_1"},
    {KERN_TYPE_Q5_0, "q5_0"},   {KERN_TYPE_Q5_1, "q5_1"},     {KERN_TYPE_Q2_K, "q2_K"},
    {KERN_TYPE_Q3_K, "q3_K"},   {KERN_TYPE_Q4_K, "q4_K"},     {KERN_TYPE_Q5_K, "q5_K"},
    {KERN_TYPE_Q6_K, "q6_K"},   {KERN_TYPE_IQ4_NL, "iq4_nl"}, {KERN_TYPE_IQ4_XS, "iq4_xs"},
    {KERN_TYPE_MXFP4, "mxfp4"},
};

static uint64_t seed = 88172645463325252u;

static uint64_t next(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static double normal(void)
{
    double u = ((double)(next() >> 11) + 0.5) * 0x1p-53, v = (double)(next() >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static long compare_reading(int type, to_float_fn *to_float, long *numbers)
{
    const struct kern_type_info *info = kern_type_info(type);
    static uint8_t row[1 << 16];
    static float ours[1 << 16], theirs[1 << 16];
    int n = 256 * info->block;
    long bad = 0;
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 256 * info->bytes; i++)
            row[i] = (uint8_t)next();
        kern_dequant_row(type, row, ours, n);
        to_float(row, theirs, n);
        for (int i = 0; i < n; i++)
            bad +=
                f32_bits(ours[i]) != f32_bits(theirs[i]) && !(isnan(ours[i]) && isnan(theirs[i]));
        *numbers += n;
    }
    return bad;
}

// Every 16-bit pattern read, and its neighbourhood written.
static long compare_halves(void *lib, int type, const char *name, long *numbers)
{
    static uint16_t all[1 << 16], ours16[1 << 16], theirs16[1 << 16];
    static float ours[1 << 16], theirs[1 << 16];
    char symbol[64];
    long bad = 0;
    const int n = 1 << 16;
    snprintf(symbol, sizeof symbol, "ggml_%s_to_fp32_row", name);
    to_float_fn *to_float = (to_float_fn *)dlsym(lib, symbol);
    snprintf(symbol, sizeof symbol, "ggml_fp32_to_%s_row", name);
    from_float_fn *from_float = (from_float_fn *)dlsym(lib, symbol);
    if (!to_float || !from_float)
        return 1;
    for (int i = 0; i < n; i++)
        all[i] = (uint16_t)i;
    kern_dequant_row(type, all, ours, n);
    to_float(all, theirs, n);
    for (int i = 0; i < n; i++)
        bad += f32_bits(ours[i]) != f32_bits(theirs[i]) && !(isnan(ours[i]) && isnan(theirs[i]));
    for (int i = 0; i < n; i++) {
        uint32_t u = f32_bits(ours[i]) ^ (uint32_t)(next() & 0x3fff);
        ours[i] = isnan(f32_from_bits(u)) ? 0 : f32_from_bits(u);
    }
    if (!kern_quant_row(type, ours, ours16, n))
        return 1;
    from_float(ours, theirs16, n);
    for (int i = 0; i < n; i++)
        bad += ours16[i] != theirs16[i];
    *numbers = 2 * n;
    return bad;
}

static double relative_error(int type, const float *x, const void *row, int n)
{
    static float y[1 << 16];
    double err = 0, size = 0;
    kern_dequant_row(type, row, y, n);
    for (int i = 0; i < n; i++) {
        err += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        size += (double)x[i] * x[i];
    }
    return sqrt(err / size);
}

int main(int argc, char **argv)
{
    void *lib = dlopen(argc > 1 ? argv[1] : "libggml-base.so", RTLD_NOW);
    static float x[2][1 << 16];
    static uint8_t row[1 << 18];
    const int n = 1 << 16;
    long all_bad = 0;
    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    for (int i = 0; i < n; i++) {
        x[0][i] = (float)(0.02 * normal());
        x[1][i] = (float)(0.02 * normal() * exp(normal()));
    }
    printf("%-8s %10s %9s   %s\n", "type", "numbers", "different",
           "error ours/theirs: normal, heavy tails");
    for (size_t i = 0; i < COUNT(types); i++) {
        char symbol[64];
        snprintf(symbol, sizeof symbol, "dequantize_row_%s", types[i].name);
        to_float_fn *to_float = (to_float_fn *)dlsym(lib, symbol);
        snprintf(symbol, sizeof symbol, "quantize_row_%s_ref", types[i].name);
        from_float_fn *from_float = (from_float_fn *)dlsym(lib, symbol);
        if (!to_float || !from_float) {
            printf("%-8s not in the library\n", types[i].name);
            all_bad++;
            continue;
        }
        long numbers = 0, bad = compare_reading(types[i].type, to_float, &numbers);
        all_bad += bad;
        printf("%-8s %10ld %9ld  ", types[i].name, numbers, bad);
        for (int d = 0; d < 2; d++) {
            if (!kern_quant_row(types[i].type, x[d], row, n))
                return 2;
            double ours = relative_error(types[i].type, x[d], row, n);
            from_float(x[d], row, n);
            printf(" %.5f/%.5f", ours, relative_error(types[i].type, x[d], row, n));
        }
        printf("\n");
    }
    for (int i = 0; i < 2; i++) {
        long numbers = 0;
        const char *name = i ? "bf16" : "fp16";
        long bad = compare_halves(lib, i ? KERN_TYPE_BF16 : KERN_TYPE_F16, name, &numbers);
        printf("%-8s %10ld %9ld   read and written\n", name, numbers, bad);
        all_bad += bad;
    }
    return all_bad != 0;
}
