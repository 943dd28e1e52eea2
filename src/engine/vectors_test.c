/* engine/vectors_test.c - logits recorded from the reference, for models that the test writes again
 * from their seed.  tests/engine/compare.py records them and tells what the tolerance means. */
#include "base/file.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/synth_test.h"
#include "kern/kern.h"
#include "test.h"

#include <math.h>

#define TOKENS_MAX 512
#define DIR        "tests/vectors/engine/"

/* Every model is computed at both: the lowest level is slow, so on the first positions only. */
static const struct {
    const char *name;
    unsigned cpu_mask;
    int positions;
} levels[] = {{"best", ~0u, TOKENS_MAX}, {"scalar", 0, 14}};
#define LEVELS 2

/* A file being read, and the model of its last `model` line. */
struct vectors {
    char preset[32];
    int32_t tokens[TOKENS_MAX];
    int n_tokens;
    // of the model
    char mix[16];
    int n_vocab;
    double tolerance, squares[LEVELS];
    int n_compared[LEVELS];
    float *logits[LEVELS]; // [n_tokens][n_vocab]
};

static double next_number(str *line)
{
    str word;
    double v = 0;
    assert_true(str_cut(line, ' ', &word) && str_to_double(word, &v));
    return v;
}

/* All logits of the file's tokens, in steps of 48 rows. */
static void compute(struct vectors *v, const struct gguf *g, int n_ctx, int level)
{
    struct engine_conf conf = engine_conf_default();
    struct engine *en;
    struct err e;
    int n_tokens = int_min(v->n_tokens, levels[level].positions);
    conf.n_threads = 2;
    conf.max_rows = conf.max_logits = 48;
    conf.kv_tokens = TOKENS_MAX;
    conf.n_ctx = n_ctx;
    conf.cpu_mask = levels[level].cpu_mask;
    assert_true(engine_open(&en, g, &conf, &e));
    v->n_vocab = engine_info(en)->n_vocab;
    v->logits[level] = mem_realloc(v->logits[level], (size_t)v->n_tokens * (size_t)v->n_vocab *
                                                         sizeof *v->logits[level]);

    int32_t blocks[TOKENS_MAX / ENGINE_BLOCK];
    struct engine_seq seq = {blocks, (n_tokens + ENGINE_BLOCK - 1) / ENGINE_BLOCK};
    for (int i = 0; i < seq.n_blocks; i++)
        blocks[i] = engine_kv_take(en);
    for (int at = 0; at < n_tokens; at += 48) {
        struct engine_row rows[48];
        const float *out;
        int n = int_min(48, n_tokens - at);
        for (int i = 0; i < n; i++)
            rows[i] = (struct engine_row){v->tokens[at + i], at + i, &seq, true};
        assert_true(engine_step(en, rows, n, &out, NULL, &e));
        memcpy(v->logits[level] + (size_t)at * (size_t)v->n_vocab, out,
               (size_t)n * (size_t)v->n_vocab * sizeof *out);
    }
    engine_close(en);
}

static void begin_model(struct vectors *v, str line)
{
    struct gguf_synth s;
    struct gguf *g;
    struct err e;
    struct buf bytes = BUF_INIT(1u << 28);
    str mix;
    assert_true(str_cut(&line, ' ', &mix));
    snprintf(v->mix, sizeof v->mix, "%.*s", STR_ARG(mix));
    int n_ctx = (int)next_number(&line);
    v->tolerance = next_number(&line);

    assert_true(gguf_synth_preset(v->preset, &s));
    s.mix = gguf_mix_named(mix);
    s.pure = true;
    s.quant = synth_quant;
    struct gguf_writer *w = gguf_writer_to(&bytes);
    assert_true(gguf_synth_write(w, &s, &e) && gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    assert_true(gguf_open_bytes(&g, buf_as_str(&bytes), &e));
    for (int i = 0; i < LEVELS; i++) {
        v->squares[i] = v->n_compared[i] = 0;
        compute(v, g, n_ctx, i);
    }
    gguf_close(g);
    buf_free(&bytes);
}

static void end_model(const struct vectors *v)
{
    for (int i = 0; v->logits[0] && i < LEVELS; i++) {
        assert_true(v->n_compared[i] > 0);
        double rms = sqrt(v->squares[i] / v->n_compared[i]);
        if (!(rms <= v->tolerance))
            fail_msg("%s %s, %s: %d logits are %.2e (RMS) from the recorded ones; %.2e is allowed",
                     v->preset, v->mix, levels[i].name, v->n_compared[i], rms, v->tolerance);
    }
}

static void compare_position(struct vectors *v, str line)
{
    int pos = (int)next_number(&line);
    assert_in_range(pos, 0, v->n_tokens - 1);
    while (line.n) {
        int id = (int)next_number(&line);
        double want = next_number(&line);
        assert_in_range(id, 0, v->n_vocab - 1);
        for (int i = 0; i < LEVELS && pos < levels[i].positions; i++) {
            double d = v->logits[i][(size_t)pos * (size_t)v->n_vocab + (size_t)id] - want;
            v->squares[i] += d * d;
            v->n_compared[i]++;
        }
    }
}

static void check_file(const char *name)
{
    struct vectors *v = mem_calloc(1, sizeof *v);
    struct buf text = BUF_INIT(1 << 20);
    struct err e;
    char path[128];
    snprintf(path, sizeof path, DIR "%s.txt", name);
    assert_true(file_read(path, &text, &e));
    str rest = buf_as_str(&text), line;
    int models = 0;
    while (str_cut(&rest, '\n', &line)) {
        str after;
        if (line.n == 0)
            continue;
        if (str_starts(line, STR("preset "))) {
            after = str_from(line, 7);
            snprintf(v->preset, sizeof v->preset, "%.*s", STR_ARG(after));
        } else if (str_starts(line, STR("tokens "))) {
            after = str_from(line, 7);
            while (after.n && v->n_tokens < TOKENS_MAX)
                v->tokens[v->n_tokens++] = (int32_t)next_number(&after);
        } else if (str_starts(line, STR("model "))) {
            end_model(v);
            begin_model(v, str_from(line, 6));
            models++;
        } else {
            compare_position(v, line);
        }
    }
    end_model(v);
    assert_true(models > 0);
    buf_free(&text);
    for (int i = 0; i < LEVELS; i++)
        mem_free(v->logits[i]);
    mem_free(v);
}

static void engine_agrees_with_recorded_logits(void **state)
{
    static const char *const names[] = {
        "tiny-llama", "tiny-llama3", "tiny-linear", "tiny-yarn",      "tiny-qwen2",
        "tiny-qwen3", "tiny-gemma3", "tiny-phi3",   "tiny-phi3-long",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        check_file(names[i]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(engine_agrees_with_recorded_logits),
};
TEST_FILE(tests)
