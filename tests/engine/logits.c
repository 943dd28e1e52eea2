/* tests/engine/logits.c - this engine's logits of every position, for compare.py, which builds it.
 *
 *   logits make PRESET MIX pure|mixed OUT.gguf      a model of random weights (gguf/synth.h)
 *   logits kl N P Q                                 of two outputs of N positions: mean and largest
 *                                                   KL(P || Q), positions of the same top token
 *   logits MODEL.gguf ROWS THREADS CPU_MASK N_CTX < tokens > logits
 *
 * tokens: decimal ids separated by white space.  logits: [n_tokens][n_vocab] f32, native order.
 * ROWS is the most rows of a step. */
#include "base/file.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "gguf/mix.h"
#include "gguf/synth.h"
#include "kern/cpu.h"
#include "kern/kern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(const struct err *e)
{
    fprintf(stderr, "logits: %s%s%s\n", e->where, e->where[0] ? ": " : "", e->msg);
    return 1;
}

static bool quant(int type, const float *x, void *row, int cols)
{
    return kern_quant_row(type, x, row, cols);
}

static int make(char **argv)
{
    struct err e = {0};
    struct gguf_synth s;
    if (!gguf_synth_preset(argv[2], &s)) {
        fprintf(stderr, "logits: no preset %s\n", argv[2]);
        return 1;
    }
    s.mix = gguf_mix_named(str_c(argv[3]));
    s.pure = str_eqc(str_c(argv[4]), "pure");
    s.quant = quant;
    return s.mix < 0 || !gguf_synth_file(argv[5], &s, &e) ? fail(&e) : 0;
}

static double log_norm(const float *row, size_t n, size_t *top)
{
    double sum = 0;
    *top = 0;
    for (size_t i = 1; i < n; i++)
        if (row[i] > row[*top])
            *top = i;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)row[i] - row[*top]);
    return row[*top] + log(sum);
}

static int divergence(char **argv)
{
    struct err e = {0};
    struct buf p = BUF_INIT(1u << 31), q = BUF_INIT(1u << 31);
    size_t n = strtoul(argv[2], NULL, 10), same = 0;
    if (!file_read(argv[3], &p, &e) || !file_read(argv[4], &q, &e))
        return fail(&e);
    if (n == 0 || p.n != q.n || p.n % (n * sizeof(float)))
        return 2;
    size_t v = p.n / n / sizeof(float);
    double mean = 0, max = 0;
    for (size_t i = 0; i < n; i++) {
        const float *a = (const float *)(const void *)p.p + i * v;
        const float *b = (const float *)(const void *)q.p + i * v;
        size_t top_a, top_b;
        double na = log_norm(a, v, &top_a), nb = log_norm(b, v, &top_b), kl = 0;
        for (size_t j = 0; j < v; j++)
            kl += exp(a[j] - na) * ((a[j] - na) - (b[j] - nb));
        mean += kl / (double)n;
        max = fmax(max, kl);
        same += top_a == top_b;
    }
    printf("%.6e %.6e %zu\n", mean, max, same);
    buf_free(&p);
    buf_free(&q);
    return 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    struct gguf *g;
    struct engine *en;
    struct engine_conf conf = engine_conf_default();
    int32_t *tokens = NULL;
    int n = 0;

    if (argc == 5 && str_eqc(str_c(argv[1]), "kl"))
        return divergence(argv);
    if (argc == 6 && str_eqc(str_c(argv[1]), "make"))
        return make(argv);
    if (argc != 6) {
        fprintf(stderr, "usage: logits MODEL.gguf ROWS THREADS CPU_MASK N_CTX < tokens > logits\n");
        return 2;
    }
    for (int id; scanf("%d", &id) == 1;) {
        tokens = mem_realloc(tokens, (size_t)(n + 1) * sizeof *tokens);
        tokens[n++] = id;
    }
    conf.max_rows = conf.max_logits = (int)strtol(argv[2], NULL, 10);
    conf.n_threads = (int)strtol(argv[3], NULL, 10);
    conf.kv_tokens = (size_t)n;
    conf.n_ctx = (int)strtol(argv[5], NULL, 10);
    if (!cpu_parse_mask(str_c(argv[4]), &conf.cpu_mask, &e) || !gguf_open(&g, argv[1], &e) ||
        !engine_open(&en, g, &conf, &e))
        return fail(&e);

    struct engine_seq seq = {.n_blocks = (n + ENGINE_BLOCK - 1) / ENGINE_BLOCK};
    seq.blocks = mem_calloc((size_t)seq.n_blocks, sizeof *seq.blocks);
    for (int i = 0; i < seq.n_blocks; i++)
        seq.blocks[i] = engine_kv_take(en);
    struct engine_row *rows = mem_calloc((size_t)conf.max_rows, sizeof *rows);
    size_t n_vocab = (size_t)engine_info(en)->n_vocab;
    for (int at = 0; at < n; at += conf.max_rows) {
        int m = int_min(conf.max_rows, n - at);
        const float *out;
        for (int i = 0; i < m; i++)
            rows[i] = (struct engine_row){tokens[at + i], at + i, &seq, true};
        if (!engine_step(en, rows, m, &out, NULL, &e))
            return fail(&e);
        fwrite(out, sizeof *out, (size_t)m * n_vocab, stdout);
    }
    mem_free(rows);
    mem_free(seq.blocks);
    mem_free(tokens);
    engine_close(en);
    gguf_close(g);
    return 0;
}
