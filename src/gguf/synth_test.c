/* gguf/synth_test.c - random models are whole, repeatable and have a valid vocabulary; quantised
 * mixes give each tensor its type. */
#include "gguf/mix.h"
#include "gguf/synth.h"
#include "test.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>

#define MODEL_MAX ((size_t)64 << 20)

static struct gguf *make(struct buf *out, const struct gguf_synth *s)
{
    struct gguf *g = NULL;
    struct err e = {0};
    struct gguf_writer *w = gguf_writer_to(out);
    if (!gguf_synth_write(w, s, &e) || !gguf_writer_finish(w, &e) ||
        !gguf_open_bytes(&g, buf_as_str(out), &e))
        fail_msg("%s: %s", s->name, e.msg);
    gguf_writer_close(w);
    return g;
}

static void synth_presets_are_whole(void **state)
{
    (void)state;
    int made = 0;
    for (size_t i = 0; gguf_synth_preset_name(i); i++) {
        struct buf b = BUF_INIT(MODEL_MAX);
        struct gguf_synth s;
        uint32_t layers = 0;
        char key[64];

        assert_true(gguf_synth_preset(gguf_synth_preset_name(i), &s));
        if (s.n_embd > 256)
            continue; // the real shapes take gigabytes
        struct gguf *g = make(&b, &s);
        snprintf(key, sizeof key, "%s.block_count", s.arch);
        assert_true(gguf_u32(g, key, &layers));
        assert_int_equal(layers, s.n_layer);
        assert_int_equal(gguf_find_tensor(g, STR("output.weight")) != NULL, s.untied);
        for (size_t t = 0; t < gguf_n_tensors(g); t++) {
            const struct gguf_tensor *tensor = gguf_tensor(g, t);
            assert_int_equal(tensor->type, GGUF_TYPE_F32);
            const float *x = tensor->data;
            size_t zeros = 0, n = tensor->size / sizeof *x;
            for (size_t k = 0; k < n; k++) {
                assert_true(isfinite(x[k]));
                zeros += x[k] == 0;
            }
            assert_true(zeros * 1000 < n); // no empty block anywhere
        }
        gguf_close(g);
        buf_free(&b);
        made++;
    }
    assert_true(made >= 10);
}

static void synth_is_a_function_of_the_seed(void **state)
{
    (void)state;
    struct buf a = BUF_INIT(MODEL_MAX), b = BUF_INIT(MODEL_MAX), c = BUF_INIT(MODEL_MAX);
    struct gguf_synth s;
    assert_true(gguf_synth_preset("nano-llama", &s));
    struct gguf *ga = make(&a, &s), *gb = make(&b, &s);
    assert_int_equal(a.n, b.n);
    assert_memory_equal(a.p, b.p, a.n);
    s.seed = 2;
    struct gguf *gc = make(&c, &s);
    assert_int_equal(a.n, c.n);
    assert_true(memcmp(a.p, c.p, a.n) != 0);

    // The same on every machine, and of the spread asked for.
    const float *x = gguf_find_tensor(ga, STR("blk.0.attn_q.weight"))->data;
    double sum = 0, squares = 0;
    for (int i = 0; i < 64 * 64; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
    }
    assert_true(fabs(sum / 4096) < 0.01);
    assert_true(fabs(sqrt(squares / 4096) - 0.125) < 0.005); // 1 / sqrt(64)
    assert_true(x[0] == -0x1.1fe618p-3f && x[4095] == -0x1.e21acap-6f);
    gguf_close(ga);
    gguf_close(gb);
    gguf_close(gc);
    buf_free(&a);
    buf_free(&b);
    buf_free(&c);
}

static bool has(const struct gguf_array *tokens, str token)
{
    for (size_t i = 0; i < tokens->n; i++) {
        if (str_eq(tokens->strs[i], token))
            return true;
    }
    return false;
}

static void synth_vocabulary_is_valid(void **state)
{
    static const int sizes[] = {262, 300, 512, 4096};
    (void)state;
    for (size_t k = 0; k < COUNT(sizes); k++) {
        struct buf b = BUF_INIT(MODEL_MAX);
        struct gguf_synth s;
        struct gguf_array tokens = {0}, merges = {0}, types = {0};
        uint32_t eos = 0;
        assert_true(gguf_synth_preset("nano-llama", &s));
        s.n_vocab = sizes[k];
        struct gguf *g = make(&b, &s);
        assert_true(gguf_array(g, "tokenizer.ggml.tokens", &tokens));
        assert_true(gguf_array(g, "tokenizer.ggml.merges", &merges));
        assert_true(gguf_array(g, "tokenizer.ggml.token_type", &types));
        assert_int_equal(tokens.n, sizes[k]);
        assert_int_equal(types.n, sizes[k]);
        for (size_t i = 0; i < tokens.n; i++) {
            for (size_t j = 0; j < i; j++)
                assert_false(str_eq(tokens.strs[i], tokens.strs[j]));
        }
        for (size_t i = 0; i < merges.n; i++) {
            str left, rest = merges.strs[i];
            char joined[128];
            assert_true(str_cut(&rest, ' ', &left));
            int n = snprintf(joined, sizeof joined, "%.*s%.*s", STR_ARG(left), STR_ARG(rest));
            assert_true(has(&tokens, left) && has(&tokens, rest));
            assert_true(has(&tokens, str_n(joined, (size_t)n)));
        }
        assert_true(gguf_u32(g, "tokenizer.ggml.eos_token_id", &eos));
        check_str(tokens.strs[eos], STR("<|im_end|>"), "end of turn");
        assert_int_equal(gguf_array_i64(&types, eos), 3);
        gguf_close(g);
        buf_free(&b);
    }
}

static void synth_takes_over_a_vocabulary(void **state)
{
    (void)state;
    struct buf a = BUF_INIT(MODEL_MAX), b = BUF_INIT(MODEL_MAX);
    struct gguf_synth s;
    struct gguf_array tokens = {0};
    assert_true(gguf_synth_preset("nano-llama", &s));
    s.n_vocab = 999;
    struct gguf *from = make(&a, &s);
    assert_true(gguf_synth_preset("tiny-qwen3", &s));
    s.vocab = from;
    struct gguf *g = make(&b, &s);
    assert_true(gguf_array(g, "tokenizer.ggml.tokens", &tokens));
    assert_int_equal(tokens.n, 999);
    assert_int_equal(gguf_find_tensor(g, STR("token_embd.weight"))->ne[1], 999);
    gguf_close(g);
    gguf_close(from);
    buf_free(&a);
    buf_free(&b);
}

static void synth_refuses_impossible_shapes(void **state)
{
    (void)state;
    static const struct {
        const char *name, *arch, *msg;
        int n_layer, head_dim, n_kv_head, n_vocab, mix;
    } rows[] = {
        {"family", "mamba", "architecture mamba", 1, 16, 2, 300, 0},
        {"no layers", "llama", "2^20", 0, 16, 2, 300, 0},
        {"odd heads", "llama", "heads of 15", 1, 15, 2, 300, 0},
        {"uneven groups", "llama", "4 for queries, 3 for keys", 1, 16, 3, 300, 0},
        {"small vocabulary", "llama", "262", 1, 16, 2, 100, 0},
        {"no quantizer", "llama", "cannot be written", 1, 16, 2, 300, 3},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf b = BUF_INIT(MODEL_MAX);
        struct gguf_synth s;
        struct err e = {0};
        assert_true(gguf_synth_preset("nano-llama", &s));
        s.arch = rows[i].arch;
        s.n_layer = rows[i].n_layer;
        s.head_dim = rows[i].head_dim;
        s.n_kv_head = rows[i].n_kv_head;
        s.n_vocab = rows[i].n_vocab;
        s.mix = rows[i].mix;
        struct gguf_writer *w = gguf_writer_to(&b);
        assert_false(gguf_synth_write(w, &s, &e));
        assert_int_equal(e.code, ERR_INPUT);
        if (!strstr(e.msg, rows[i].msg))
            fail_msg("%s: %s", rows[i].name, e.msg);
        gguf_writer_close(w);
        buf_free(&b);
    }
    struct gguf_synth s;
    assert_false(gguf_synth_preset("gpt-5", &s));
}

static void mix_gives_each_tensor_its_type(void **state)
{
    (void)state;
    static const struct gguf_mix_model tied = {STR_INIT("llama"), 24, 0, 3, true, false},
                                       gqa = {STR_INIT("qwen2"), 28, 0, 6, false, false},
                                       pure = {STR_INIT("llama"), 24, 0, 3, true, true},
                                       moe = {STR_INIT("llama"), 32, 8, 4, false, false};
    static const struct {
        const struct gguf_mix_model *m;
        const char *mix, *tensor;
        int n_dims, cols;
        const char *want; // NULL: left as it is
    } rows[] = {
        {&tied, "Q4_K_M", "token_embd.weight", 2, 2048, "Q6_K"},
        {&tied, "Q4_K_M", "token_embd.weight", 2, 576, "Q8_0"}, // rows of no whole blocks
        {&tied, "Q8_0", "token_embd.weight", 2, 2048, "Q8_0"},
        {&tied, "Q4_0", "token_embd.weight", 2, 2048, "Q6_K"},
        {&tied, "F16", "token_embd.weight", 2, 2048, "F16"},
        {&gqa, "Q4_K_M", "token_embd.weight", 2, 2048, "Q4_K"},
        {&gqa, "Q4_K_M", "output.weight", 2, 2048, "Q6_K"},
        {&tied, "Q4_K_M", "blk.0.attn_v.weight", 2, 2048, "Q6_K"},
        {&tied, "Q4_K_M", "blk.3.attn_v.weight", 2, 2048, "Q4_K"},
        {&tied, "Q4_K_M", "blk.5.ffn_down.weight", 2, 2048, "Q6_K"},
        {&tied, "Q4_K_M", "blk.6.ffn_down.weight", 2, 2048, "Q4_K"},
        {&tied, "Q4_K_M", "blk.21.ffn_down.weight", 2, 2048, "Q6_K"},
        {&tied, "Q4_K_M", "blk.0.attn_q.weight", 2, 2048, "Q4_K"},
        {&tied, "Q4_K_M", "blk.0.attn_q.weight", 2, 576, "Q5_0"},
        {&tied, "Q5_K_M", "blk.0.ffn_up.weight", 2, 576, "Q5_1"},
        {&tied, "q4_k", "blk.0.ffn_down.weight", 2, 1504, "Q8_0"}, // Q6_K that does not fit
        {&tied, "Q4_K_S", "blk.3.attn_v.weight", 2, 2048, "Q5_K"},
        {&tied, "Q4_K_S", "blk.4.attn_v.weight", 2, 2048, "Q4_K"},
        {&tied, "Q3_K_M", "blk.9.attn_output.weight", 2, 2048, "Q4_K"},
        {&tied, "Q2_K", "blk.0.attn_v.weight", 2, 2048, "Q3_K"},
        {&gqa, "Q2_K", "blk.0.attn_v.weight", 2, 2048, "Q4_K"},
        {&gqa, "IQ4_NL", "blk.0.attn_v.weight", 2, 2048, "Q5_K"},
        {&moe, "Q4_K_M", "blk.0.attn_k.weight", 2, 2048, "Q8_0"},
        {&pure, "Q4_K_M", "blk.0.attn_v.weight", 2, 2048, "Q4_K"},
        {&pure, "Q2_K", "token_embd.weight", 2, 2048, "Q2_K"},
        {&tied, "Q4_K_M", "blk.0.attn_q.weight", 2, 100, "F16"},
        {&tied, "Q4_K_M", "blk.0.attn_norm.weight", 1, 2048, NULL},
        {&tied, "Q4_K_M", "blk.0.attn_q.bias", 1, 2048, NULL},
        {&tied, "Q4_K_M", "rope_freqs.weight", 1, 32, NULL},
        {&tied, "Q4_K_M", "blk.0.ffn_gate_inp.weight", 2, 2048, NULL},
        {&tied, "F16", "blk.0.ssm_conv1d.weight", 2, 4, NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int mix = gguf_mix_named(str_c(rows[i].mix));
        assert_true(mix >= 0);
        int type = gguf_mix_type(mix, rows[i].m, str_c(rows[i].tensor), rows[i].n_dims,
                                 (uint64_t)rows[i].cols);
        const char *got = type < 0 ? "as is" : gguf_type_info(type)->name;
        const char *want = rows[i].want ? rows[i].want : "as is";
        if (strcmp(got, want) != 0)
            fail_msg("row %zu: %s of %s: got %s, want %s", i, rows[i].tensor, rows[i].mix, got,
                     want);
    }
    assert_int_equal(gguf_mix_named(STR("Q4_K_X")), -1);
    assert_null(gguf_mix_name(1000));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(synth_presets_are_whole),
    cmocka_unit_test(synth_is_a_function_of_the_seed),
    cmocka_unit_test(synth_vocabulary_is_valid),
    cmocka_unit_test(synth_takes_over_a_vocabulary),
    cmocka_unit_test(synth_refuses_impossible_shapes),
    cmocka_unit_test(mix_gives_each_tensor_its_type),
};
TEST_FILE(tests)
