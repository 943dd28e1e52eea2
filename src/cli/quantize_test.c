/* cli/quantize_test.c - synth, quantize, inspect and bench as a user calls them. */
#include "cli/cli.h"
#include "gguf/gguf.h"
#include "gguf/writer.h"
#include "json/json.h"
#include "kern/kern.h"
#include "test.h"

#include "base/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/confab-cli-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    char cmd[128];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    return system(cmd);
}

static const char *in(char out[PATH_MAX], const char *name)
{
    snprintf(out, PATH_MAX, "%s/%s", dir, name);
    return out;
}

/* Runs a subcommand with both its streams going to files; what it printed is in out and log. */
static int run(int (*command)(int, char **), const char *const *args, struct buf *out,
               struct buf *log)
{
    static const char *const names[] = {"stdout", "stderr"};
    struct buf *texts[] = {out, log};
    char *argv[16], path[PATH_MAX];
    int argc = 0, saved[2];

    for (; args[argc]; argc++)
        argv[argc] = mem_strdup(str_c(args[argc]));
    argv[argc] = NULL;
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        saved[i] = dup(i + 1);
        int fd = open(in(path, names[i]), O_RDWR | O_CREAT | O_TRUNC, 0600);
        assert_true(saved[i] >= 0 && fd >= 0);
        dup2(fd, i + 1);
        close(fd);
    }
    int code = command(argc, argv);
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        char block[4096];
        ssize_t n;
        buf_clear(texts[i]);
        lseek(i + 1, 0, SEEK_SET);
        while ((n = read(i + 1, block, sizeof block)) > 0)
            buf_put(texts[i], block, (size_t)n);
        dup2(saved[i], i + 1);
        close(saved[i]);
    }
    for (int i = 0; i < argc; i++)
        mem_free(argv[i]);
    return code;
}

#define RUN(command, ...) run(command, (const char *const[]){__VA_ARGS__, NULL}, &out, &log)

static struct gguf *open_model(const char *path)
{
    struct gguf *g = NULL;
    struct err e = {0};
    if (!gguf_open(&g, path, &e))
        fail_msg("%s", e.msg);
    return g;
}

static double relative_error(const struct gguf_tensor *a, const struct gguf_tensor *b)
{
    int cols = (int)a->ne[0];
    size_t rows = (size_t)a->ne[1], in_a = a->size / rows, in_b = b->size / rows;
    float *x = mem_alloc((size_t)cols * 4), *y = mem_alloc((size_t)cols * 4);
    double diff = 0, all = 0;
    for (size_t r = 0; r < rows; r++) {
        kern_dequant_row(a->type, (const char *)a->data + r * in_a, x, cols);
        kern_dequant_row(b->type, (const char *)b->data + r * in_b, y, cols);
        for (int i = 0; i < cols; i++) {
            diff += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
            all += (double)x[i] * (double)x[i];
        }
    }
    mem_free(x);
    mem_free(y);
    return sqrt(diff / all);
}

static void quantize_keeps_the_model(void **state)
{
    static const struct {
        const char *type, *q, *v; // of attn_q and attn_v of layer 0
        double most;              // relative error of attn_q
    } rows[] = {
        {"F16", "F16", "F16", 0.0005},     {"BF16", "BF16", "BF16", 0.004},
        {"Q8_0", "Q8_0", "Q8_0", 0.01},    {"Q4_0", "Q4_0", "Q4_0", 0.11},
        {"Q5_1", "Q5_1", "Q5_1", 0.06},    {"Q4_K_M", "Q4_K", "Q4_K", 0.09},
        {"Q5_K_M", "Q5_K", "Q5_K", 0.05},  {"Q6_K", "Q6_K", "Q6_K", 0.03},
        {"Q3_K_M", "Q3_K", "Q5_K", 0.2},   {"Q2_K", "Q2_K", "Q4_K", 0.4},
        {"IQ4_NL", "IQ4_NL", "Q5_K", 0.1}, {"IQ4_XS", "IQ4_XS", "Q5_K", 0.1},
    };
    struct buf out = BUF_INIT(1 << 20), log = BUF_INIT(1 << 20);
    char from[PATH_MAX], to[PATH_MAX];
    (void)state;

    in(from, "f32.gguf");
    in(to, "q.gguf");
    assert_int_equal(RUN(cli_synth, "synth", "--preset", "tiny", from), 0);
    struct gguf *a = open_model(from);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(RUN(cli_quantize, "quantize", "--threads", "2", from, to, rows[i].type),
                         0);
        struct gguf *b = open_model(to);
        assert_int_equal(gguf_n_tensors(a), gguf_n_tensors(b));
        assert_int_equal(gguf_n_keys(a), gguf_n_keys(b));
        const struct gguf_tensor *q = gguf_find_tensor(b, STR("blk.0.attn_q.weight"));
        const struct gguf_tensor *v = gguf_find_tensor(b, STR("blk.0.attn_v.weight"));
        assert_string_equal(gguf_type_info(q->type)->name, rows[i].q);
        assert_string_equal(gguf_type_info(v->type)->name, rows[i].v);
        double error = relative_error(gguf_find_tensor(a, q->name), q);
        if (!(error > 0 && error < rows[i].most))
            fail_msg("%s: relative error %g", rows[i].type, error);
        const struct gguf_tensor *norm = gguf_find_tensor(b, STR("output_norm.weight"));
        const struct gguf_tensor *same = gguf_find_tensor(a, STR("output_norm.weight"));
        assert_memory_equal(norm->data, same->data, same->size);
        gguf_close(b);
    }
    gguf_close(a);
    buf_free(&out);
    buf_free(&log);
}

static void quantize_refuses_clearly(void **state)
{
    struct buf out = BUF_INIT(1 << 20), log = BUF_INIT(1 << 20);
    char from[PATH_MAX], to[PATH_MAX], bad[PATH_MAX];
    (void)state;

    in(from, "f32.gguf");
    in(to, "q.gguf");
    assert_int_equal(RUN(cli_synth, "synth", "--preset", "nano-llama", from), 0);
    assert_int_equal(RUN(cli_quantize, "quantize", from, from, "Q8_0"), 1);
    assert_non_null(strstr(buf_cstr(&log), "is the input"));
    assert_int_equal(RUN(cli_quantize, "quantize", from, to, "Q9"), 2);
    assert_int_equal(RUN(cli_quantize, "quantize", from, to), 2);
    assert_int_equal(RUN(cli_quantize, "quantize", in(bad, "none"), to, "Q8_0"), 1);
    assert_int_equal(RUN(cli_quantize, "quantize", "--threads", "0", from, to, "Q8_0"), 2);
    assert_int_equal(RUN(cli_quantize, "quantize", "-h"), 0);
    assert_non_null(strstr(buf_cstr(&out), "Q4_K_M"));

    assert_int_equal(RUN(cli_quantize, "quantize", from, to, "Q4_0"), 0);
    in(bad, "twice.gguf");
    assert_int_equal(RUN(cli_quantize, "quantize", to, bad, "Q8_0"), 1);
    assert_non_null(strstr(buf_cstr(&log), "--requantize"));
    assert_int_equal(access(bad, F_OK), -1);
    assert_int_equal(RUN(cli_quantize, "quantize", "--requantize", to, bad, "Q8_0"), 0);

    // A weight that is not finite.
    struct gguf_writer *w = NULL;
    struct err e = {0};
    float x[64] = {[40] = INFINITY};
    assert_true(gguf_writer_open(&w, bad, &e));
    gguf_put_tensor(w, STR("blk.0.attn_q.weight"), GGUF_TYPE_F32, 2, (uint64_t[]){32, 2});
    assert_true(gguf_put_data(w, x, sizeof x, &e) && gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    assert_int_equal(RUN(cli_quantize, "quantize", bad, to, "Q8_0"), 1);
    assert_non_null(strstr(buf_cstr(&log), "not finite"));
    buf_free(&out);
    buf_free(&log);
}

static void inspect_shows_and_stays_safe(void **state)
{
    struct buf out = BUF_INIT(1 << 20), log = BUF_INIT(1 << 20);
    char path[PATH_MAX];
    struct gguf_writer *w = NULL;
    struct err e = {0};
    (void)state;

    in(path, "m.gguf");
    assert_int_equal(RUN(cli_synth, "synth", "--preset", "tiny-qwen3", "--type", "Q8_0", path), 0);
    assert_int_equal(RUN(cli_inspect, "inspect", "--tensors", "--keys", path), 0);
    assert_non_null(strstr(buf_cstr(&out), "architecture  qwen3\n"));
    assert_non_null(strstr(buf_cstr(&out), "8 heads of 64, 2 for keys"));
    assert_non_null(strstr(buf_cstr(&out), "Q8_0"));
    assert_non_null(strstr(buf_cstr(&out), "blk.2.attn_k_norm.weight  F32  64  256 bytes\n"));
    assert_non_null(strstr(buf_cstr(&out), "qwen3.rope.freq_base  f32  1000000.0\n"));
    assert_non_null(strstr(buf_cstr(&out), "runs here     yes\n"));
    assert_int_equal(RUN(cli_inspect, "inspect", "--json", path), 0);
    assert_non_null(strstr(buf_cstr(&out), "\"runs\": true"));

    // Names that would steer a terminal, an architecture that is not known.
    assert_true(gguf_writer_open(&w, path, &e));
    gguf_put_str(w, "general.architecture", STR("ma\x1b[2Jmba"));
    gguf_put_str(w, "general.name",
                 STR("\x9b"
                     "31m\xc2\x9b"
                     "31m\xff"));
    gguf_put_tensor(w, STR("t"), GGUF_TYPE_F32, 1, (uint64_t[]){1});
    assert_true(gguf_put_data(w, "1234", 4, &e) && gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    assert_int_equal(RUN(cli_inspect, "inspect", "--keys", path), 0);
    assert_null(memchr(out.p, '\x1b', out.n));
    assert_null(strstr(buf_cstr(&out), "\xc2\x9b"));
    assert_non_null(strstr(buf_cstr(&out), "ma\\x1b[2Jmba"));
    assert_non_null(strstr(buf_cstr(&out), "runs here     no: "));

    assert_int_equal(RUN(cli_inspect, "inspect", in(path, "none")), 1);
    assert_int_equal(RUN(cli_inspect, "inspect"), 2);
    assert_int_equal(RUN(cli_inspect, "inspect", "--nonsense", path), 2);
    buf_free(&out);
    buf_free(&log);
}

static void synth_options_are_checked(void **state)
{
    struct buf out = BUF_INIT(1 << 20), log = BUF_INIT(1 << 20);
    char path[PATH_MAX], vocab[PATH_MAX];
    uint32_t n = 0;
    (void)state;

    in(path, "m.gguf");
    assert_int_equal(RUN(cli_synth, "synth", "--preset", "gpt-5", path), 2);
    assert_int_equal(RUN(cli_synth, "synth", "--type", "Q9", path), 2);
    assert_int_equal(RUN(cli_synth, "synth", "--arch", "qwen2", "--preset", "tiny-qwen3", path), 2);
    assert_int_equal(RUN(cli_synth, "synth", "--layers", "0", path), 2);
    assert_int_equal(RUN(cli_synth, "synth"), 2);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(RUN(cli_synth, "synth", "--arch", "gemma3", "--layers", "2", "--ctx", "99",
                         "--pure", "--type", "Q4_K", path),
                     0);
    struct gguf *g = open_model(path);
    assert_true(gguf_u32(g, "gemma3.block_count", &n) && n == 2);
    assert_true(gguf_u32(g, "gemma3.context_length", &n) && n == 99);
    assert_int_equal(gguf_find_tensor(g, STR("token_embd.weight"))->type, GGUF_TYPE_Q4_K);
    gguf_close(g);
    assert_int_equal(RUN(cli_synth, "synth", "--vocab", path, path), 1);
    assert_int_equal(
        RUN(cli_synth, "synth", "--vocab", path, "--preset", "nano-llama", in(vocab, "v.gguf")), 0);
    g = open_model(vocab);
    assert_int_equal(gguf_find_tensor(g, STR("token_embd.weight"))->ne[1], 512);
    gguf_close(g);
    buf_free(&out);
    buf_free(&log);
}

static double number_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

/* Rates of everything asked for; beside decode how fast memory is, and how much of it was had. */
static void bench_tells_rates_and_memory(void **state)
{
    struct buf out = BUF_INIT(1 << 20), log = BUF_INIT(1 << 20);
    char path[PATH_MAX];
    (void)state;
    in(path, "m.gguf");
    assert_int_equal(RUN(cli_synth, "synth", "--preset", "nano-llama", path), 0);
    assert_int_equal(RUN(cli_bench, "bench", "-p", "20", "-g", "9", "-s", "1,3", "-r", "2", "-t",
                         "2", "--json", path),
                     0);
    json_t *all = json_loads(buf_cstr(&out), 0, NULL);
    json_t *results = json_object_get(all, "results"), *x;
    assert_int_equal(json_array_size(results), 3);
    size_t i;
    json_array_foreach(results, i, x)
    {
        static const char *const what[] = {"prefill", "decode", "decode"};
        assert_string_equal(json_string_value(json_object_get(x, "test")), what[i]);
        assert_true(number_of(x, "slowest") > 0);
        assert_true(number_of(x, "slowest") <= number_of(x, "median"));
        assert_true(number_of(x, "median") <= number_of(x, "fastest"));
        assert_true((number_of(x, "memory_gb_per_s") > 0) == (i > 0));
        assert_true((number_of(x, "memory_share") > 0) == (i > 0));
    }
    json_decref(all);
    assert_int_equal(RUN(cli_bench, "bench", "-p", "0", "-g", "1", "-r", "1", path), 0);
    assert_non_null(strstr(buf_cstr(&out), "memory  share\ndecode "));
    assert_int_equal(RUN(cli_bench, "bench", "-r", "0", path), 2);
    assert_int_equal(RUN(cli_bench, "bench", in(path, "none")), 1);
    buf_free(&out);
    buf_free(&log);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(quantize_keeps_the_model, make_dir, drop_dir),
    cmocka_unit_test_setup_teardown(quantize_refuses_clearly, make_dir, drop_dir),
    cmocka_unit_test_setup_teardown(inspect_shows_and_stays_safe, make_dir, drop_dir),
    cmocka_unit_test_setup_teardown(synth_options_are_checked, make_dir, drop_dir),
    cmocka_unit_test_setup_teardown(bench_tells_rates_and_memory, make_dir, drop_dir),
};
TEST_FILE(tests)
