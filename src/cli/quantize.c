/* cli/quantize.c - `confab quantize IN OUT TYPE`: the same model in fewer bits.
 * docs/quantize.md tells which tensor gets which type. */
#include "cli/cli.h"

#include "base/mem.h"
#include "gguf/gguf.h"
#include "gguf/mix.h"
#include "gguf/writer.h"
#include "kern/kern.h"
#include "kern/pool.h"

#include <getopt.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#define SLAB ((size_t)8 << 20) // bytes of rounded rows held at once

static const char help[] =
    "usage: confab quantize [options] IN.gguf OUT.gguf TYPE\n"
    "Writes the model IN with its matrices rounded to TYPE (F16, Q8_0, Q4_K_M ...).\n"
    "\n"
    "  --pure        every matrix gets exactly TYPE; without it, the ones that suffer\n"
    "                most get more bits (docs/quantize.md)\n"
    "  --requantize  take an IN that is rounded already; the result is worse than\n"
    "                from the original\n"
    "  --threads N   default: the number of processors\n"
    "  -h, --help    this text\n"
    "\n"
    "types:";

static int usage(FILE *to, int code)
{
    fputs(help, to);
    for (int i = 0; gguf_mix_name(i); i++)
        fprintf(to, " %s", gguf_mix_name(i));
    fputc('\n', to);
    return code;
}

struct job {
    const struct gguf *in;
    struct gguf_writer *out;
    struct kern_pool *pool;
    int mix;
    struct gguf_mix_model model;
    bool requantize;
    float *rows;         // [threads][longest row]
    size_t longest;      // in weights
    unsigned char *slab; // SLAB bytes or one row
    uint64_t n_weights, bytes;
};

/* A piece of one tensor: rows [from, from + n). */
struct piece {
    struct job *job;
    const struct gguf_tensor *t;
    int type;
    size_t in_row, out_row;
    uint64_t from;
    uint64_t n;
    int n_chunks;
    _Atomic bool bad; // relaxed: read after the phase has ended
};

static size_t row_bytes(int type, uint64_t cols)
{
    const struct gguf_type_info *info = gguf_type_info(type);
    return (size_t)(cols / (uint64_t)info->block) * (size_t)info->bytes;
}

static bool is_plain(int type)
{
    return type == GGUF_TYPE_F32 || type == GGUF_TYPE_F16 || type == GGUF_TYPE_BF16;
}

static void round_chunk(void *arg, int chunk, int worker)
{
    struct piece *p = arg;
    int cols = (int)p->t->ne[0];
    float *x = p->job->rows + (size_t)worker * p->job->longest;
    uint64_t end = p->n * (uint64_t)(chunk + 1) / (uint64_t)p->n_chunks;

    for (uint64_t r = p->n * (uint64_t)chunk / (uint64_t)p->n_chunks; r < end; r++) {
        const unsigned char *in = (const unsigned char *)p->t->data + (p->from + r) * p->in_row;
        kern_dequant_row(p->t->type, in, x, cols);
        bool bad = false;
        for (int i = 0; i < cols; i++)
            bad |= !isfinite(x[i]);
        if (bad || !kern_quant_row(p->type, x, p->job->slab + r * p->out_row, cols))
            atomic_store_explicit(&p->bad, true, memory_order_relaxed);
    }
}

static bool write_rounded(struct job *j, const struct gguf_tensor *t, int type, struct err *e)
{
    uint64_t rows = t->ne[1] * t->ne[2] * t->ne[3];
    struct piece p = {.job = j,
                      .t = t,
                      .type = type,
                      .in_row = row_bytes(t->type, t->ne[0]),
                      .out_row = row_bytes(type, t->ne[0])};
    uint64_t most = size_max(1, SLAB / p.out_row);

    for (; p.from < rows; p.from += p.n) {
        p.n = rows - p.from < most ? rows - p.from : most;
        p.n_chunks = (int)(p.n < 64 ? p.n : 64);
        struct kern_phase phase = {.run = round_chunk, .arg = &p, .n_chunks = p.n_chunks};
        (void)kern_pool_run(j->pool, &phase, 1, NULL);
        if (atomic_load_explicit(&p.bad, memory_order_relaxed))
            return err_set(e, ERR_FORMAT, "%.*s holds numbers that are not finite: IN is damaged",
                           STR_ARG(t->name));
        if (!gguf_put_data(j->out, j->slab, (size_t)p.n * p.out_row, e))
            return false;
    }
    return true;
}

/* The type tensor t will have. */
static int type_of(const struct job *j, const struct gguf_tensor *t)
{
    int type = gguf_mix_type(j->mix, &j->model, t->name, t->n_dims, t->ne[0]);
    return type < 0 ? t->type : type;
}

static bool check_tensor(const struct job *j, const struct gguf_tensor *t, struct err *e)
{
    int type = type_of(j, t);
    if (type == t->type)
        return true;
    if (!is_plain(t->type) && !j->requantize)
        return err_set(e, ERR_INPUT,
                       "%.*s is %s already; start from the F32, F16 or BF16 model, or say "
                       "--requantize and accept a worse one",
                       STR_ARG(t->name), gguf_type_info(t->type)->name);
    if (!is_plain(t->type) && !kern_supports(t->type, (int)t->ne[0]))
        return err_set(e, ERR_INPUT, "%.*s is %s, which confab cannot read", STR_ARG(t->name),
                       gguf_type_info(t->type)->name);
    return true;
}

static void put_keys(struct job *j)
{
    static const char *const replaced[] = {"general.file_type", "general.quantization_version"};
    for (size_t i = 0; i < gguf_n_keys(j->in); i++) {
        str key = gguf_key(j->in, i);
        bool keep = !str_starts(key, STR("split."));
        for (size_t k = 0; k < COUNT(replaced); k++)
            keep = keep && !str_eqc(key, replaced[k]);
        if (keep)
            gguf_put_key(j->out, j->in, i);
    }
    gguf_put_u32(j->out, "general.quantization_version", 2);
    gguf_put_u32(j->out, "general.file_type", gguf_mix_file_type(j->mix));
}

static bool put_tensors(struct job *j, struct err *e)
{
    size_t longest_row = 0;
    for (size_t i = 0; i < gguf_n_tensors(j->in); i++) {
        const struct gguf_tensor *t = gguf_tensor(j->in, i);
        int type = type_of(j, t);
        if (!check_tensor(j, t, e))
            return false;
        gguf_put_tensor(j->out, t->name, type, t->n_dims, t->ne);
        j->longest = size_max(j->longest, (size_t)t->ne[0]);
        longest_row = size_max(longest_row, row_bytes(type, t->ne[0]));
        j->n_weights += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3];
    }
    size_t n;
    if (__builtin_mul_overflow(j->longest, (size_t)kern_pool_threads(j->pool) * sizeof(float),
                               &n) ||
        n > (size_t)1 << 32)
        return err_set(e, ERR_LIMIT, "rows of %zu weights are too long", j->longest);
    j->rows = mem_alloc(n);
    j->slab = mem_alloc(size_max(SLAB, longest_row));
    return true;
}

static bool write_tensors(struct job *j, struct err *e)
{
    size_t n = gguf_n_tensors(j->in);
    bool shown = isatty(STDERR_FILENO);
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor(j->in, i);
        int type = type_of(j, t);
        if (shown)
            fprintf(stderr, "\r\033[K%zu/%zu %.*s %s -> %s", i + 1, n, STR_ARG(t->name),
                    gguf_type_info(t->type)->name, gguf_type_info(type)->name);
        bool ok = type == t->type ? gguf_put_data(j->out, t->data, t->size, e)
                                  : write_rounded(j, t, type, e);
        if (!ok) {
            if (shown)
                fputc('\n', stderr);
            return false;
        }
        j->bytes += row_bytes(type, t->ne[0]) * t->ne[1] * t->ne[2] * t->ne[3];
        gguf_drop_pages(j->in, t);
    }
    if (shown)
        fputs("\r\033[K", stderr);
    return true;
}

static bool quantize(const char *from, const char *to, struct job *j, int n_threads, struct err *e)
{
    struct gguf *in = NULL;
    bool pure = j->model.pure, ok = false;

    if (!gguf_open(&in, from, e))
        return false;
    j->in = in;
    j->model = gguf_mix_model_of(in);
    j->model.pure = pure;
    if (gguf_is_part(in, to)) {
        err_set(e, ERR_INPUT, "%s is the input; write to another file", to);
        goto done;
    }
    if (gguf_n_tensors(in) == 0) {
        err_set(e, ERR_INPUT, "%s holds no tensors", from);
        goto done;
    }
    if (!kern_pool_open(&j->pool, n_threads, e) || !gguf_writer_open(&j->out, to, e))
        goto done;
    put_keys(j);
    ok = put_tensors(j, e) && write_tensors(j, e) && gguf_writer_finish(j->out, e);
    if (ok)
        fprintf(stderr, "%s: %.1f million weights, %.1f MiB, %.2f bits a weight\n", to,
                (double)j->n_weights / 1e6, (double)j->bytes / (1 << 20),
                (double)j->bytes * 8 / (double)j->n_weights);
done:
    gguf_writer_close(j->out);
    if (j->pool)
        kern_pool_close(j->pool);
    mem_free(j->rows);
    mem_free(j->slab);
    gguf_close(in);
    return ok;
}

int cli_quantize(int argc, char **argv)
{
    static const struct option options[] = {
        {"pure", no_argument, NULL, 'p'},
        {"requantize", no_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct job j = {.requantize = false};
    uint64_t n_threads = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
    struct err e = {0};
    int c;

    optind = 0;
    while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (c) {
        case 'p': j.model.pure = true; break;
        case 'r': j.requantize = true; break;
        case 't':
            if (!str_to_u64(str_c(optarg), &n_threads) || n_threads < 1 || n_threads > 256) {
                fprintf(stderr, "confab quantize: --threads takes 1 to 256\n");
                return 2;
            }
            break;
        case 'h': return usage(stdout, 0);
        default: return usage(stderr, 2);
        }
    }
    if (argc - optind != 3)
        return usage(stderr, 2);
    j.mix = gguf_mix_named(str_c(argv[optind + 2]));
    if (j.mix < 0) {
        fprintf(stderr, "confab quantize: there is no type %s\n", argv[optind + 2]);
        return usage(stderr, 2);
    }
    if (!quantize(argv[optind], argv[optind + 1], &j, (int)n_threads, &e)) {
        fprintf(stderr, "confab quantize: %s\n", e.msg);
        return 1;
    }
    return 0;
}
