/* engine/hparams_test.c - files that must be refused, each with a message that says why. */
#include "engine/engine.h"
#include "gguf/synth.h"
#include "test.h"

#include <math.h>

/* What a row changes in the file of a preset. */
enum change {
    DROP,
    SET_INT,
    SET_FLOAT,
    SET_STR,
    SET_BOOL,
    SET_INTS,
    DROP_TENSOR,
    ROWS,
    ZEROS, // instead of the tensor's numbers
    ADD_TENSOR
};

struct row {
    const char *name, *preset;
    enum change change;
    const char *key; // or tensor
    double value;
    const char *text; // for SET_STR
    const char *want; // part of "where: message"; NULL: the file must be taken
};

static void put_changed(struct gguf_writer *w, const struct row *r)
{
    uint32_t two[2] = {4, 2};
    switch (r->change) {
    case SET_INT: gguf_put_u32(w, r->key, (uint32_t)r->value); break;
    case SET_FLOAT: gguf_put_f32(w, r->key, (float)r->value); break;
    case SET_STR: gguf_put_str(w, r->key, str_c(r->text)); break;
    case SET_BOOL: gguf_put_bool(w, r->key, r->value != 0); break;
    case SET_INTS: gguf_put_array(w, r->key, GGUF_U32, two, 2); break;
    default: break;
    }
}

static bool is_changed(const struct row *r, str name)
{
    return str_eqc(name, r->key);
}

/* The file of g with the row's change, appended to out. */
static void rewrite(const struct gguf *g, const struct row *r, struct buf *out)
{
    struct err e = {0};
    struct gguf_writer *w = gguf_writer_to(out);
    static const unsigned char zeros[1 << 16];
    for (size_t i = 0; i < gguf_n_keys(g); i++)
        if (!is_changed(r, gguf_key(g, i)))
            gguf_put_key(w, g, i);
    put_changed(w, r);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < gguf_n_tensors(g); i++) {
            const struct gguf_tensor *t = gguf_tensor(g, i);
            bool hit = is_changed(r, t->name);
            uint64_t ne[4];
            memcpy(ne, t->ne, sizeof ne);
            if (hit && r->change == DROP_TENSOR)
                continue;
            size_t size = t->size;
            if (hit && r->change == ROWS) { // fewer rows, or a shorter vector
                int dim = t->n_dims - 1;
                size = size / ne[dim] * (size_t)r->value;
                ne[dim] = (uint64_t)r->value;
            }
            if (pass == 0)
                gguf_put_tensor(w, t->name, t->type, t->n_dims, ne);
            else
                assert_true(
                    gguf_put_data(w, hit && r->change == ZEROS ? zeros : t->data, size, &e));
        }
        const uint64_t ne[1] = {8};
        if (r->change == ADD_TENSOR && pass == 0)
            gguf_put_tensor(w, str_c(r->key), (int)r->value, 1, ne);
        if (r->change == ADD_TENSOR && pass == 1)
            assert_true(gguf_put_data(w, zeros, 32, &e));
    }
    assert_true(gguf_writer_finish(w, &e));
    gguf_writer_close(w);
}

static void check_row(const struct row *r)
{
    struct gguf_synth s;
    struct err e = {0};
    struct gguf *g, *changed;
    struct buf before = BUF_INIT(1u << 26), after = BUF_INIT(1u << 26);
    char got[sizeof e.where + sizeof e.msg + 2];

    assert_true(gguf_synth_preset(r->preset, &s));
    struct gguf_writer *w = gguf_writer_to(&before);
    assert_true(gguf_synth_write(w, &s, &e) && gguf_writer_finish(w, &e));
    gguf_writer_close(w);
    assert_true(gguf_open_bytes(&g, buf_as_str(&before), &e));
    rewrite(g, r, &after);
    if (!gguf_open_bytes(&changed, buf_as_str(&after), &e))
        fail_msg("%s: %s: %s", r->name, e.where, e.msg);

    struct engine_conf conf = engine_conf_default();
    struct engine *en = NULL;
    e = (struct err){0};
    bool checked = engine_check(changed, &e);
    snprintf(got, sizeof got, "%s: %s", e.where, e.msg);
    bool opened = engine_open(&en, changed, &conf, &e);
    if (opened)
        engine_close(en);
    if (checked != (r->want == NULL) || (checked && !opened))
        fail_msg("%s: %s", r->name, checked ? "was taken" : got);
    if (!checked && (!strstr(got, r->want) || e.code != ERR_INPUT))
        fail_msg("%s: got \"%s\", which lacks \"%s\"", r->name, got, r->want);
    gguf_close(changed);
    gguf_close(g);
    buf_free(&after);
    buf_free(&before);
}

static void engine_refuses_what_it_cannot_run(void **state)
{
    static const struct row rows[] = {
        {"untouched", "nano-llama", DROP, "-", 0, NULL, NULL},
        {"another architecture", "nano-llama", SET_STR, "general.architecture", 0, "mamba",
         "\"mamba\" cannot be run yet; these can: llama, qwen2"},
        {"no architecture", "nano-llama", DROP, "general.architecture", 0, NULL,
         "does not name a model architecture"},
        {"experts", "nano-llama", SET_INT, "llama.expert_count", 8, NULL, "mixtures of experts"},
        {"one expert is none", "nano-llama", SET_INT, "llama.expert_count", 0, NULL, NULL},
        {"embeds only", "nano-llama", SET_BOOL, "llama.attention.causal", 0, NULL, "embeds text"},
        {"no layers", "nano-llama", SET_INT, "llama.block_count", 0, NULL,
         "llama.block_count: is 0; must be from 1 to 1024"},
        {"many layers", "nano-llama", SET_INT, "llama.block_count", 1000, NULL,
         "1000 layers, but the file has only"},
        {"too many layers", "nano-llama", SET_INT, "llama.block_count", 4e9, NULL,
         "llama.block_count: is 4000000000; must be"},
        {"a layer more", "nano-llama", SET_INT, "llama.block_count", 3, NULL,
         "blk.2.attn_q.weight: the file lacks"},
        {"a layer less", "nano-llama", SET_INT, "llama.block_count", 1, NULL,
         "blk.1.attn_norm.weight: this tensor has no place"},
        {"no count of layers", "nano-llama", DROP, "llama.block_count", 0, NULL,
         "llama.block_count: the file lacks this key"},
        {"layers in words", "nano-llama", SET_STR, "llama.block_count", 0, "two",
         "llama.block_count: expected an integer"},
        {"no heads", "nano-llama", SET_INT, "llama.attention.head_count", 0, NULL,
         "llama.attention.head_count: is 0"},
        {"uneven groups", "nano-llama", SET_INT, "llama.attention.head_count_kv", 3, NULL,
         "4 query heads cannot share 3 key heads"},
        {"more key heads", "nano-llama", SET_INT, "llama.attention.head_count_kv", 8, NULL,
         "head_count_kv: is 8"},
        {"heads per layer differ", "nano-llama", SET_INTS, "llama.attention.head_count", 0, NULL,
         "differs between layers"},
        {"embedding not of the tensors", "nano-llama", SET_INT, "llama.embedding_length", 96, NULL,
         "token_embd.weight: its shape is 64 x 320"},
        {"ffn not of the tensors", "nano-llama", SET_INT, "llama.feed_forward_length", 256, NULL,
         "keys ask for"},
        {"keys unlike values", "nano-llama", SET_INT, "llama.attention.value_length", 32, NULL,
         "keys of 16 and values of 32"},
        {"odd head", "nano-llama", SET_INT, "llama.attention.key_length", 12, NULL,
         "keys of 12 and values of 16"},
        {"giant head", "nano-llama", SET_INT, "llama.attention.key_length", 4096, NULL,
         "key_length: is 4096"},
        {"rotates half", "nano-llama", SET_INT, "llama.rope.dimension_count", 8, NULL,
         "llama.rope.dimension_count is 8; heads of 16 need 16"},
        {"rotates part, phi3", "tiny-phi3", SET_INT, "phi3.rope.dimension_count", 24, NULL, NULL},
        {"rotates odd", "tiny-phi3", SET_INT, "phi3.rope.dimension_count", 7, NULL,
         "dimension_count is 7"},
        {"rotates too much", "tiny-phi3", SET_INT, "phi3.rope.dimension_count", 64, NULL,
         "dimension_count: is 64"},
        {"base 0", "nano-llama", SET_FLOAT, "llama.rope.freq_base", 0, NULL, "freq_base: is 0"},
        {"base NaN", "nano-llama", SET_FLOAT, "llama.rope.freq_base", NAN, NULL,
         "freq_base: is nan"},
        {"factor inf", "nano-llama", SET_FLOAT, "llama.rope.scaling.factor", INFINITY, NULL,
         "factor: is inf"},
        {"factor tiny", "nano-llama", SET_FLOAT, "llama.rope.scaling.factor", 1e-30, NULL,
         "too small"},
        {"unknown scaling", "nano-llama", SET_STR, "llama.rope.scaling.type", 0, "spiral",
         "rope scaling \"spiral\" is not known"},
        {"eps missing", "nano-llama", DROP, "llama.attention.layer_norm_rms_epsilon", 0, NULL,
         "the file lacks this key"},
        {"eps negative", "nano-llama", SET_FLOAT, "llama.attention.layer_norm_rms_epsilon", -1,
         NULL, "must be from 0 to 1"},
        {"no context", "nano-llama", DROP, "llama.context_length", 0, NULL,
         "llama.context_length: the file lacks"},
        {"context 0", "nano-llama", SET_INT, "llama.context_length", 0, NULL, "is 0"},
        {"no embedding", "nano-llama", DROP_TENSOR, "token_embd.weight", 0, NULL,
         "token_embd.weight: the file lacks this tensor"},
        {"short vocabulary", "nano-llama", ROWS, "token_embd.weight", 200, NULL,
         "has 200 rows, but the tokenizer has 320 tokens"},
        {"no query", "nano-llama", DROP_TENSOR, "blk.1.attn_q.weight", 0, NULL,
         "blk.1.attn_q.weight: the file lacks this tensor"},
        {"short query", "nano-llama", ROWS, "blk.1.attn_q.weight", 48, NULL,
         "blk.1.attn_q.weight: its shape is 64 x 48 x 1 x 1 where the model's keys ask for 64 x "
         "64"},
        {"short norm", "nano-llama", ROWS, "output_norm.weight", 32, NULL,
         "output_norm.weight: its shape is 32"},
        {"short fused", "tiny-phi3", ROWS, "blk.0.attn_qkv.weight", 256, NULL,
         "blk.0.attn_qkv.weight: its shape is 256 x 256"},
        {"short fused up", "tiny-phi3", ROWS, "blk.2.ffn_up.weight", 512, NULL,
         "blk.2.ffn_up.weight: its shape"},
        {"no qk norm", "tiny-qwen3", DROP_TENSOR, "blk.0.attn_k_norm.weight", 0, NULL,
         "blk.0.attn_k_norm.weight: the file lacks"},
        {"no bias, qwen2", "tiny-qwen2", DROP_TENSOR, "blk.0.attn_k.bias", 0, NULL, NULL},
        {"a tensor too many", "nano-llama", ADD_TENSOR, "blk.0.attn_sinks.weight", 0, NULL,
         "blk.0.attn_sinks.weight: this tensor has no place in the llama family"},
        {"short rope factors", "tiny-llama3", ROWS, "rope_freqs.weight", 8, NULL,
         "rope_freqs.weight: its shape is 8"},
        {"rope factors of 0", "tiny-llama3", ZEROS, "rope_freqs.weight", 0, NULL,
         "rope_freqs.weight: rope factor 0 is 0"},
        {"window of words", "tiny-gemma3", SET_STR, "gemma3.attention.sliding_window", 0, "wide",
         "sliding_window: expected an integer"},
        {"flags for two layers", "tiny-gemma3", SET_INTS, "gemma3.attention.sliding_window_pattern",
         0, NULL, "one flag for each of the 7 layers"},
        {"softcap", "tiny-gemma3", SET_FLOAT, "gemma3.final_logit_softcapping", 30, NULL, NULL},
        {"softcap NaN", "tiny-gemma3", SET_FLOAT, "gemma3.attn_logit_softcapping", NAN, NULL,
         "softcapping: is nan"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_row(&rows[i]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(engine_refuses_what_it_cannot_run),
};
TEST_FILE(tests)
