/* cli/bench.c - `confab bench FILE`: tokens per second of the engine alone, prefill and decode.
 *
 * A test is repeated and its median reported, with the slowest and fastest beside it: on a shared
 * machine single runs scatter.  Tokens are random; speed does not depend on them. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "engine/engine.h"
#include "json/json.h"
#include "kern/cpu.h"

#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] =
    "usage: confab bench [options] FILE.gguf\n"
    "Measures how fast this machine runs a model: the engine alone, without HTTP or sampling.\n"
    "Beside decode: `memory` is how fast the weights are read by themselves in between, in GB/s,\n"
    "and `share` which part of a step's time that takes (1: as fast as memory allows).\n"
    "\n"
    "  -p, --prompt N        tokens of prefill (default 512; 0: none)\n"
    "  -g, --gen N           tokens of decode (default 64; 0: none)\n"
    "  -d, --depth N[,N..]   tokens that stand before (default 0)\n"
    "  -s, --streams N[,N..] sequences that decode together (default 1)\n"
    "  -t, --threads N[,N..] default: one a processor\n"
    "  -r, --repeat N        runs of each test (default 5)\n"
    "      --rows N          most rows of a step (default 512)\n"
    "      --cpu-mask LEVEL  use less than the processor has: scalar, avx2 ...\n"
    "      --kv-type TYPE    f16 (default) or q8: how keys and values are kept\n"
    "      --json            as JSON\n"
    "  -h, --help            this text\n";

#define LIST_MAX   16
#define REPEAT_MAX 1000
#define READ_EVERY 8 // tokens of decode

struct list {
    int v[LIST_MAX], n;
};

struct request {
    const char *path;
    int prompt, gen, repeat, rows;
    struct list depths, streams, threads;
    unsigned cpu_mask;
    enum engine_kv_kind kv;
    bool json;
};

/* One test's numbers, in tokens per second; of decode also how fast the weights were read by
 * themselves, in GB/s, and which share of a step's time that takes. */
struct result {
    const char *what;
    int n, depth, streams, threads;
    double median, slowest, fastest, memory, share;
};

static bool number(const char *name, str text, int min, int max, int *out)
{
    uint64_t v;
    if (str_to_u64(text, &v) && v >= (uint64_t)min && v <= (uint64_t)max) {
        *out = (int)v;
        return true;
    }
    fprintf(stderr, "confab bench: --%s takes numbers from %d to %d\n", name, min, max);
    return false;
}

static bool numbers(const char *name, const char *text, int min, int max, struct list *out)
{
    str rest = str_c(text), part;
    out->n = 0;
    while (str_cut(&rest, ',', &part)) {
        if (out->n == LIST_MAX) {
            fprintf(stderr, "confab bench: --%s takes at most %d numbers\n", name, LIST_MAX);
            return false;
        }
        if (!number(name, part, min, max, &out->v[out->n]))
            return false;
        out->n++;
    }
    return out->n > 0 || number(name, STR(""), min, max, &out->v[0]);
}

/* Sequences with blocks of their own, and rows to step them with. */
struct field {
    struct engine *en;
    struct engine_seq *seqs;
    struct engine_row *rows;
    int n_seqs, max_rows;
    uint64_t drawn;
    uint64_t reading, n_reads; // of the weights alone: ns
};

static bool field_open(struct field *f, const struct gguf *g, const struct request *r,
                       int n_threads, int n_seqs, int positions, struct err *e)
{
    struct engine_conf conf = engine_conf_default();
    int blocks = (positions + ENGINE_BLOCK - 1) / ENGINE_BLOCK;
    conf.n_threads = n_threads;
    conf.max_rows = int_max(r->rows, n_seqs);
    conf.max_logits = n_seqs;
    conf.kv_tokens = (size_t)n_seqs * (size_t)blocks * ENGINE_BLOCK;
    conf.cpu_mask = r->cpu_mask;
    conf.kv_kind = r->kv;
    *f = (struct field){.n_seqs = n_seqs, .max_rows = conf.max_rows};
    if (!engine_open(&f->en, g, &conf, e))
        return false;
    f->rows = mem_calloc((size_t)f->max_rows, sizeof *f->rows);
    f->seqs = mem_calloc((size_t)n_seqs, sizeof *f->seqs);
    for (int i = 0; i < n_seqs; i++) {
        f->seqs[i] = (struct engine_seq){.n_blocks = blocks};
        f->seqs[i].blocks = mem_calloc((size_t)blocks, sizeof(int32_t));
        for (int j = 0; j < blocks; j++)
            f->seqs[i].blocks[j] = engine_kv_take(f->en);
    }
    return true;
}

static void field_close(struct field *f)
{
    for (int i = 0; f->seqs && i < f->n_seqs; i++)
        mem_free(f->seqs[i].blocks);
    mem_free(f->seqs);
    mem_free(f->rows);
    engine_close(f->en);
}

static int32_t draw(struct field *f)
{
    return (int32_t)(rng_at(1, f->drawn++) % (uint64_t)engine_info(f->en)->n_vocab);
}

/* Positions [from, from + n) of one sequence, in steps as large as may be. */
static bool prefill(struct field *f, int seq, int from, int n, struct err *e)
{
    const float *logits;
    for (int at = 0; at < n; at += f->max_rows) {
        int m = int_min(f->max_rows, n - at);
        for (int i = 0; i < m; i++)
            f->rows[i] =
                (struct engine_row){draw(f), from + at + i, &f->seqs[seq], at + i == n - 1};
        if (!engine_step(f->en, f->rows, m, &logits, NULL, e))
            return false;
    }
    return true;
}

/* One more token for every sequence, n times.  Now and then, the first time too, the weights are
 * read by themselves. */
static bool decode(struct field *f, int from, int n, struct err *e)
{
    const float *logits;
    for (int at = 0; at < n; at++) {
        for (int i = 0; i < f->n_seqs; i++)
            f->rows[i] = (struct engine_row){draw(f), from + at, &f->seqs[i], true};
        if (!engine_step(f->en, f->rows, f->n_seqs, &logits, NULL, e))
            return false;
        if (at % READ_EVERY == 0) {
            uint64_t start = clock_mono_ns();
            engine_read_weights(f->en);
            f->reading += clock_mono_ns() - start;
            f->n_reads++;
        }
    }
    return true;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_of(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return (v[(n - 1) / 2] + v[n / 2]) / 2;
}

/* Runs one test once to warm up, then as often as asked.  KV positions are written anew each time.
 */
static bool measure(struct field *f, const struct request *r, struct result *out, struct err *e)
{
    double rates[REPEAT_MAX], memory[REPEAT_MAX], share[REPEAT_MAX];
    bool is_prefill = str_eqc(str_c(out->what), "prefill");
    for (int i = -1; i < r->repeat; i++) {
        f->reading = f->n_reads = 0;
        uint64_t start = clock_mono_ns();
        if (!(is_prefill ? prefill(f, 0, out->depth, out->n, e)
                         : decode(f, out->depth, i < 0 ? 1 : out->n, e)))
            return false;
        double seconds = (double)(clock_mono_ns() - start - f->reading) / 1e9;
        if (i < 0)
            continue;
        rates[i] = out->n * (double)(is_prefill ? 1 : f->n_seqs) / seconds;
        if (!is_prefill) {
            double read = (double)f->reading / 1e9 / (double)f->n_reads;
            memory[i] = (double)engine_info(f->en)->weight_bytes / 1e9 / read;
            share[i] = read / (seconds / out->n);
        }
    }
    out->median = median_of(rates, r->repeat);
    out->slowest = rates[0];
    out->fastest = rates[r->repeat - 1];
    out->memory = is_prefill ? 0 : median_of(memory, r->repeat);
    out->share = is_prefill ? 0 : median_of(share, r->repeat);
    return true;
}

static void show(const struct request *r, const struct result *x, json_t *all)
{
    if (!r->json) {
        printf("%-8s %6d %7d %8d %8d %10.1f %10.1f %10.1f", x->what, x->n, x->depth, x->streams,
               x->threads, x->median, x->slowest, x->fastest);
        if (x->memory > 0)
            printf(" %8.1f %6.2f", x->memory, x->share);
        putchar('\n');
        fflush(stdout);
        return;
    }
    json_t *o =
        json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f}", "test", x->what, "tokens", x->n,
                  "depth", x->depth, "streams", x->streams, "threads", x->threads, "repeat",
                  r->repeat, "median", x->median, "slowest", x->slowest, "fastest", x->fastest);
    if (x->memory > 0) {
        json_object_set_new(o, "memory_gb_per_s", json_real(x->memory));
        json_object_set_new(o, "memory_share", json_real(x->share));
    }
    json_array_append_new(all, o);
}

/* All tests of one engine: one number of threads, one of streams. */
static bool run_field(const struct gguf *g, const struct request *r, int n_threads, int n_seqs,
                      bool with_prefill, json_t *all, struct err *e)
{
    int deepest = 0;
    for (int i = 0; i < r->depths.n; i++)
        deepest = int_max(deepest, r->depths.v[i]);
    struct field f;
    bool ok = field_open(&f, g, r, n_threads, n_seqs,
                         deepest + int_max(1, int_max(r->prompt, r->gen)), e);
    for (int i = 0; ok && i < r->depths.n; i++) {
        struct result x = {.depth = r->depths.v[i], .streams = 1, .threads = n_threads};
        for (int s = 0; ok && s < n_seqs; s++)
            ok = prefill(&f, s, 0, x.depth, e);
        if (ok && with_prefill && r->prompt) {
            x.what = "prefill";
            x.n = r->prompt;
            ok = measure(&f, r, &x, e);
            if (ok)
                show(r, &x, all);
        }
        if (ok && r->gen) {
            x.what = "decode";
            x.n = r->gen;
            x.streams = n_seqs;
            ok = measure(&f, r, &x, e);
            if (ok)
                show(r, &x, all);
        }
    }
    if (f.en)
        field_close(&f);
    return ok;
}

static bool run_all(const struct gguf *g, const struct request *r, json_t *all, struct err *e)
{
    if (!r->json)
        printf("%-8s %6s %7s %8s %8s %10s %10s %10s %8s %6s\n", "test", "tokens", "depth",
               "streams", "threads", "tokens/s", "slowest", "fastest", "memory", "share");
    for (int t = 0; t < r->threads.n; t++)
        for (int s = 0; s < r->streams.n; s++)
            if (!run_field(g, r, r->threads.v[t], r->streams.v[s], s == 0, all, e))
                return false;
    return true;
}

static int run(const struct request *r)
{
    struct err e = {0};
    struct gguf *g = NULL;
    json_t *all = json_array();
    char cpu[128];
    cpu_names(cpu_detect() & r->cpu_mask, cpu, sizeof cpu);
    bool ok = gguf_open(&g, r->path, &e) && run_all(g, r, all, &e);
    if (!ok)
        fprintf(stderr, "confab bench: %s: %s%s%s\n", r->path, e.where, e.where[0] ? ": " : "",
                e.msg);
    if (ok && r->json) {
        struct buf out = BUF_INIT(1 << 20);
        json_t *top = json_pack("{s:s, s:s, s:O}", "file", r->path, "cpu", cpu, "results", all);
        json_write(&out, top, JSON_PYTHON, 2);
        puts(buf_cstr(&out));
        buf_free(&out);
        json_decref(top);
    }
    json_decref(all);
    gguf_close(g);
    return ok ? 0 : 1;
}

static int processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? int_min(CPU_COUNT(&set), 1024) : 1;
}

static bool set_option(struct request *r, int c)
{
    struct err e;
    switch (c) {
    case 'p': return number("prompt", str_c(optarg), 0, 1 << 20, &r->prompt);
    case 'g': return number("gen", str_c(optarg), 0, 1 << 20, &r->gen);
    case 'd': return numbers("depth", optarg, 0, 1 << 24, &r->depths);
    case 's': return numbers("streams", optarg, 1, 4096, &r->streams);
    case 't': return numbers("threads", optarg, 1, 1024, &r->threads);
    case 'r': return number("repeat", str_c(optarg), 1, REPEAT_MAX, &r->repeat);
    case 'R': return number("rows", str_c(optarg), 1, 1 << 16, &r->rows);
    case 'j': r->json = true; return true;
    case 'M':
        if (cpu_parse_mask(str_c(optarg), &r->cpu_mask, &e))
            return true;
        fprintf(stderr, "confab bench: --cpu-mask: %s\n", e.msg);
        return false;
    case 'K':
        if (engine_kv_kind_named(str_c(optarg), &r->kv, &e))
            return true;
        fprintf(stderr, "confab bench: --kv-type: %s\n", e.msg);
        return false;
    default: return false;
    }
}

int cli_bench(int argc, char **argv)
{
    static const struct option options[] = {
        {"prompt", required_argument, NULL, 'p'},  {"gen", required_argument, NULL, 'g'},
        {"depth", required_argument, NULL, 'd'},   {"streams", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'}, {"repeat", required_argument, NULL, 'r'},
        {"rows", required_argument, NULL, 'R'},    {"cpu-mask", required_argument, NULL, 'M'},
        {"kv-type", required_argument, NULL, 'K'}, {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    struct request r = {.prompt = 512, .gen = 64, .repeat = 5, .rows = 512, .cpu_mask = ~0u};
    r.depths.n = r.streams.n = r.threads.n = 1;
    r.streams.v[0] = 1;
    r.threads.v[0] = processors();
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "p:g:d:s:t:r:h", options, NULL)) != -1;) {
        if (c == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (!set_option(&r, c)) {
            fputs("`confab bench -h` lists the options.\n", stderr);
            return 2;
        }
    }
    if (optind != argc - 1) {
        fputs(help, stderr);
        return 2;
    }
    r.path = argv[optind];
    return run(&r);
}
