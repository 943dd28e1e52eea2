/* engine/engine_test.c - determinism of the forward pass, KV memory, cancelling. */
#include "base/mem.h"
#include "engine/engine.h"
#include "engine/synth_test.h"
#include "kern/kern.h"
#include "test.h"

#include <math.h>
#include <stdatomic.h>

static enum engine_kv_kind kv_kind; // of the engines that tests open

static struct engine *open_engine(const struct gguf *g, int n_threads, int max_rows,
                                  size_t kv_tokens, unsigned cpu_mask)
{
    struct engine_conf conf = engine_conf_default();
    conf.kv_kind = kv_kind;
    struct engine *en;
    struct err e = {0};
    conf.n_threads = n_threads;
    conf.max_rows = conf.max_logits = max_rows;
    conf.kv_tokens = kv_tokens;
    conf.cpu_mask = cpu_mask;
    if (!engine_open(&en, g, &conf, &e))
        fail_msg("%s: %s", e.where, e.msg);
    return en;
}

/* A conversation under test: its tokens, how far it has come, the logits it must give. */
#define LEN_MAX   376
#define BLOCK_MAX ((LEN_MAX + ENGINE_BLOCK - 1) / ENGINE_BLOCK)

struct talk {
    int32_t tokens[LEN_MAX];
    int n, done;
    struct engine_seq seq;
    int32_t blocks[BLOCK_MAX];
    float *want; // [n][n_vocab]
};

static void talk_begin(struct talk *t)
{
    t->done = 0;
    t->seq = (struct engine_seq){.blocks = t->blocks};
}

/* Makes sure that blocks exist for n more positions. */
static void talk_room(struct engine *en, struct talk *t, int n)
{
    while (t->seq.n_blocks * ENGINE_BLOCK < t->done + n) {
        int32_t block = engine_kv_take(en);
        assert_true(block >= 0);
        t->blocks[t->seq.n_blocks++] = block;
    }
}

static void talk_end(struct engine *en, struct talk *t)
{
    for (int i = 0; i < t->seq.n_blocks; i++)
        engine_kv_drop(en, t->blocks[i]);
    t->seq.n_blocks = 0;
}

/* Random texts; each but the first begins like the one before, for a random length. */
static void talks_init(struct talk *talks, int n, int n_vocab, int longest, uint64_t *rnd)
{
    for (int k = 0; k < n; k++) {
        struct talk *t = &talks[k];
        t->n = k == 0 ? longest : 1 + (int)(test_random(rnd) % (uint64_t)longest);
        int common = k ? (int)(test_random(rnd) % (uint64_t)t->n) : 0;
        for (int i = 0; i < t->n; i++)
            t->tokens[i] = i < common && i < talks[k - 1].n
                               ? talks[k - 1].tokens[i]
                               : (int32_t)(test_random(rnd) % (uint64_t)n_vocab);
        t->want = mem_calloc((size_t)t->n * (size_t)n_vocab, sizeof(float));
    }
}

/* The plainest way: one talk after the other, one thread, one row a step. */
static void talks_plain(const struct gguf *g, struct talk *talks, int n, unsigned cpu_mask)
{
    struct engine *en = open_engine(g, 1, 1, LEN_MAX, cpu_mask);
    size_t n_vocab = (size_t)engine_info(en)->n_vocab;
    for (int k = 0; k < n; k++) {
        struct talk *t = &talks[k];
        for (talk_begin(t); t->done < t->n; t->done++) {
            struct err e;
            const float *out;
            talk_room(en, t, 1);
            struct engine_row row = {
                .token = t->tokens[t->done], .pos = t->done, .seq = &t->seq, .logits = true};
            assert_true(engine_step(en, &row, 1, &out, NULL, &e));
            memcpy(t->want + (size_t)t->done * n_vocab, out, n_vocab * sizeof *out);
        }
        talk_end(en, t);
    }
    engine_close(en);
}

static int common_prefix(const struct talk *a, const struct talk *b)
{
    int n = 0;
    while (n < a->n && n < b->n && a->tokens[n] == b->tokens[n])
        n++;
    return n;
}

/* Takes over what talk `from` has computed of the common prefix: whole blocks are shared, the last
 * one is copied. */
static void talk_fork(struct engine *en, struct talk *t, const struct talk *from)
{
    int n = int_min(int_min(common_prefix(t, from), from->done), t->n - 1);
    for (int i = 0; i < n / ENGINE_BLOCK; i++) {
        engine_kv_hold(en, from->blocks[i]);
        t->blocks[t->seq.n_blocks++] = from->blocks[i];
    }
    t->done = n / ENGINE_BLOCK * ENGINE_BLOCK;
    if (n % ENGINE_BLOCK) {
        talk_room(en, t, 1);
        engine_kv_copy(en, t->blocks[n / ENGINE_BLOCK], from->blocks[n / ENGINE_BLOCK],
                       n % ENGINE_BLOCK);
        t->done = n;
    }
}

/* Masks that leave a few ids each, for one step in three. */
static const uint64_t *masks_for(int n_rows, size_t words, uint64_t *rnd)
{
    static uint64_t masks[64][8192];
    assert_true(words <= COUNT(masks[0]) && n_rows <= 64);
    if (test_random(rnd) % 3)
        return NULL;
    for (int r = 0; r < n_rows; r++)
        for (size_t i = 0; i < words; i++)
            masks[r][i] = test_random(rnd) % 20 ? 0 : 1ull << test_random(rnd) % 64;
    return masks[0];
}

static bool same_logits(const float *got, const float *want, size_t n, const uint64_t *only)
{
    if (!only)
        return memcmp(got, want, n * sizeof *got) == 0;
    for (size_t i = 0; i < n; i++)
        if (only[i / 64] >> i % 64 & 1 && memcmp(got + i, want + i, sizeof *got) != 0)
            return false;
    return true;
}

/* must: they have to be there. */
static void check_block_max(const float *max, const float *logits, int n, size_t n_vocab, bool must)
{
    const size_t blocks = (n_vocab + KERN_LOGITS - 1) / KERN_LOGITS;
    if (must)
        assert_non_null(max);
    for (size_t i = 0; max && i < (size_t)n * blocks; i++) {
        const float *row = logits + i / blocks * n_vocab;
        float top = -INFINITY;
        for (size_t k = i % blocks * KERN_LOGITS; k < n_vocab && k / KERN_LOGITS == i % blocks; k++)
            top = row[k] > top ? row[k] : top;
        assert_true(max[i] == top);
    }
}

/* One step of random rows of random talks; every wanted row must have the wanted bits. */
static void mixed_step(struct engine *en, struct talk *talks, int n, int max_rows, uint64_t *rnd)
{
    struct engine_row rows[64];
    const float *want[64], *out;
    struct err e;
    const uint64_t *only[64];
    int n_rows = 0, n_out = 0;
    size_t n_vocab = (size_t)engine_info(en)->n_vocab, words = (n_vocab + 63) / 64;
    const uint64_t *masks = masks_for(max_rows, words, rnd);

    for (int k = 0; k < n && n_rows < max_rows; k++) {
        struct talk *t = &talks[k];
        int left = t->n - t->done;
        if (left == 0 || test_random(rnd) % 4 == 0)
            continue;
        int most = test_random(rnd) % 2 ? 1 : 40;
        int m = 1 + (int)(test_random(rnd) % (uint64_t)int_min(most, left));
        m = int_min(m, max_rows - n_rows);
        talk_room(en, t, m);
        for (int i = 0; i < m; i++, t->done++) {
            bool logits = test_random(rnd) % 3 != 0;
            const uint64_t *mask = masks ? masks + (size_t)n_rows * 8192 : NULL;
            if (logits) {
                only[n_out] = mask;
                want[n_out++] = t->want + (size_t)t->done * n_vocab;
            }
            rows[n_rows++] = (struct engine_row){.token = t->tokens[t->done],
                                                 .pos = t->done,
                                                 .seq = &t->seq,
                                                 .logits = logits,
                                                 .only = mask};
        }
    }
    if (n_rows == 0)
        return;
    assert_true(engine_step(en, rows, n_rows, &out, NULL, &e));
    for (int i = 0; i < n_out; i++)
        assert_true(same_logits(out + (size_t)i * n_vocab, want[i], n_vocab, only[i]));
    check_block_max(engine_block_max(en), out, n_out, n_vocab, n_out > 0 && !masks);
}

static bool all_done(const struct talk *talks, int n)
{
    for (int k = 0; k < n; k++)
        if (talks[k].done < talks[k].n)
            return false;
    return true;
}

/* The promise of engine.h, bit for bit: neighbours, threads, cuts, shared and copied blocks do not
 * matter; nor does what a block held before. */
static void check_determinism(const char *preset, const char *mix, int longest, unsigned cpu_mask)
{
    enum { TALKS = 5 };
    struct talk *talks = mem_calloc(TALKS, sizeof *talks);
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, preset, mix);
    uint64_t rnd = 7;
    const struct gguf_tensor *embd = gguf_find_tensor(g, STR("token_embd.weight"));
    talks_init(talks, TALKS, (int)embd->ne[1], longest, &rnd);
    talks_plain(g, talks, TALKS, cpu_mask);

    for (int n_threads = 1; n_threads <= 3; n_threads++) {
        int max_rows = n_threads == 2 ? 5 : 64;
        struct engine *en = open_engine(g, n_threads, max_rows, TALKS * LEN_MAX, cpu_mask);
        size_t all = engine_kv_free(en);
        talk_begin(&talks[0]);
        for (int i = 0; i < 8; i++)
            mixed_step(en, talks, 1, max_rows, &rnd);
        for (int k = 1; k < TALKS; k++) {
            talk_begin(&talks[k]);
            talk_fork(en, &talks[k], &talks[k - 1]);
        }
        while (!all_done(talks, TALKS))
            mixed_step(en, talks, TALKS, max_rows, &rnd);
        for (int k = 0; k < TALKS; k++)
            talk_end(en, &talks[k]);
        assert_int_equal(engine_kv_free(en), all);
        engine_close(en);
    }
    for (int k = 0; k < TALKS; k++)
        mem_free(talks[k].want);
    mem_free(talks);
    gguf_close(g);
    buf_free(&bytes);
}

/* Sequences that share a prefix, of a whole span and more or of a part of one, attend to it
 * together: the same bits. */
static void engine_shared_prefixes_change_nothing(void **state)
{
    enum { TALKS = 6 };
    static const struct {
        const char *preset;
        unsigned cpu_mask;
        int n_threads, common;
    } rows[] = {{"nano-llama", ~0u, 1, 330},
                {"nano-llama", 0, 2, 290},
                {"nano-llama", ~0u, 2, 110},
                {"tiny-gemma3", ~0u, 2, 330}};
    (void)state;
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct talk *talks = mem_calloc(TALKS, sizeof *talks);
        struct buf bytes;
        struct gguf *g = open_synth(&bytes, rows[r].preset, "Q8_0");
        uint64_t rnd = 5;
        int n_vocab = (int)gguf_find_tensor(g, STR("token_embd.weight"))->ne[1];
        talks_init(talks, TALKS, n_vocab, LEN_MAX, &rnd);
        for (int k = 1; k < TALKS; k++) {
            mem_free(talks[k].want);
            talks[k].n = rows[r].common + 1 + 8 * k;
            talks[k].want = mem_calloc((size_t)talks[k].n * (size_t)n_vocab, sizeof(float));
            memcpy(talks[k].tokens, talks[0].tokens, (size_t)rows[r].common * sizeof(int32_t));
            for (int i = rows[r].common; i < talks[k].n; i++)
                talks[k].tokens[i] = (int32_t)(test_random(&rnd) % (uint64_t)n_vocab);
        }
        talks_plain(g, talks, TALKS, rows[r].cpu_mask);
        struct engine *en =
            open_engine(g, rows[r].n_threads, 64, TALKS * LEN_MAX, rows[r].cpu_mask);
        talk_begin(&talks[0]);
        while (talks[0].done < rows[r].common)
            mixed_step(en, talks, 1, 64, &rnd);
        for (int k = 1; k < TALKS; k++) {
            talk_begin(&talks[k]);
            talk_fork(en, &talks[k], &talks[0]);
        }
        while (!all_done(talks, TALKS))
            mixed_step(en, talks, TALKS, TALKS, &rnd); // mostly single rows, side by side
        for (int k = 0; k < TALKS; k++) {
            talk_end(en, &talks[k]);
            mem_free(talks[k].want);
        }
        engine_close(en);
        mem_free(talks);
        gguf_close(g);
        buf_free(&bytes);
    }
}

static void engine_rows_do_not_depend_on_company(void **state)
{
    static const struct {
        const char *preset, *mix;
        int longest;
        unsigned cpu_mask;
        enum engine_kv_kind kv;
    } rows[] = {
        {"nano-llama", "F32", 340, ~0u},
        {"nano-llama", "Q8_0", 340, ~0u},
        {"tiny-llama", "Q4_K_M", 70, ~0u},
        {"tiny-qwen2", "Q4_0", 50, ~0u},
        {"tiny-qwen3", "Q5_K_M", 50, ~0u},
        {"tiny-gemma3", "Q6_K", 290, ~0u},
        {"tiny-phi3", "F16", 50, ~0u},
        {"nano-llama", "Q8_0", 300, 0},
        {"nano-llama", "F32", 340, ~0u, ENGINE_KV_Q8},
        {"tiny-gemma3", "Q6_K", 290, ~0u, ENGINE_KV_Q8},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        kv_kind = rows[i].kv;
        check_determinism(rows[i].preset, rows[i].mix, rows[i].longest, rows[i].cpu_mask);
    }
    kv_kind = ENGINE_KV_F16;
}

/* A block's old content is never read: not even NaN of it. */
static void engine_blocks_forget(void **state)
{
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, "nano-llama", "F32");
    struct engine *en = open_engine(g, 2, 64, 96, ~0u);
    struct talk t = {.n = 40};
    struct err e;
    const float *out;
    struct engine_row rows[40];
    float *want = mem_calloc((size_t)engine_info(en)->n_vocab, sizeof *want);
    size_t bytes_out = (size_t)engine_info(en)->n_vocab * sizeof *want;
    (void)state;
    for (int round = 0; round < 2; round++) {
        talk_begin(&t);
        talk_room(en, &t, t.n);
        for (int i = 0; i < t.n; i++)
            rows[i] = (struct engine_row){7 * i % 320, i, &t.seq, i == t.n - 1};
        assert_true(engine_step(en, rows, t.n, &out, NULL, &e));
        if (round == 0)
            memcpy(want, out, bytes_out);
        else
            assert_memory_equal(want, out, bytes_out);
        // Other texts pass through all the blocks.
        talk_room(en, &t, 96);
        for (int at = 0; at < 96; at += 32) {
            for (int i = 0; i < 32; i++)
                rows[i] = (struct engine_row){300 - i, at + i, &t.seq, false};
            assert_true(engine_step(en, rows, 32, &out, NULL, &e));
        }
        talk_end(en, &t);
    }
    mem_free(want);
    engine_close(en);
    gguf_close(g);
    buf_free(&bytes);
}

static void engine_blocks_are_counted(void **state)
{
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, "nano-llama", "F32");
    struct engine *en = open_engine(g, 1, 4, 100, ~0u);
    int32_t blocks[4];
    (void)state;
    assert_int_equal(engine_info(en)->kv_blocks, 4); // 100 tokens in whole blocks
    assert_int_equal(engine_info(en)->kv_bytes_per_token * ENGINE_BLOCK,
                     2 * 2 * kern_kv_bytes(KERN_KV_F16, 16));
    for (int i = 0; i < 4; i++) {
        blocks[i] = engine_kv_take(en);
        assert_in_range(blocks[i], 0, 3);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(blocks[i], blocks[j]);
    }
    assert_int_equal(engine_kv_take(en), -1);
    engine_kv_hold(en, blocks[2]);
    engine_kv_drop(en, blocks[2]);
    assert_int_equal(engine_kv_free(en), 0);
    engine_kv_drop(en, blocks[2]);
    assert_int_equal(engine_kv_free(en), 1);
    assert_int_equal(engine_kv_take(en), blocks[2]);
    engine_close(en);
    gguf_close(g);
    buf_free(&bytes);
}

static void engine_step_can_be_canceled(void **state)
{
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, "nano-llama", "F32");
    struct engine *en = open_engine(g, 2, 4, 64, ~0u);
    struct talk t = {.n = 1};
    struct err e = {0};
    const float *out = NULL;
    _Atomic bool cancel = true;
    (void)state;
    talk_begin(&t);
    talk_room(en, &t, 1);
    struct engine_row row = {1, 0, &t.seq, true};
    assert_false(engine_step(en, &row, 1, &out, &cancel, &e));
    assert_int_equal(e.code, ERR_CANCELED);
    assert_null(out);
    atomic_store(&cancel, false);
    assert_true(engine_step(en, &row, 1, &out, &cancel, &e));
    assert_non_null(out);
    engine_close(en);
    gguf_close(g);
    buf_free(&bytes);
}

/* Everything is counted, everything is given back, and too little is an error at every size. */
static void engine_keeps_to_its_budget(void **state)
{
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, "nano-llama", "Q8_0");
    struct budget b;
    struct engine_conf conf = engine_conf_default();
    struct engine *en;
    struct err e = {0};
    (void)state;
    conf.budget = &b;
    conf.kv_tokens = 256;
    conf.max_rows = conf.max_logits = 8;
    budget_init(&b, SIZE_MAX);
    assert_true(engine_open(&en, g, &conf, &e));
    size_t all = 0;
    for (int k = 0; k < BUDGET_KINDS; k++) {
        assert_true((budget_used(&b, (enum budget_kind)k) > 0) == (k != BUDGET_TEXTS));
        all += budget_used(&b, (enum budget_kind)k);
    }
    assert_int_equal(budget_used(&b, BUDGET_WEIGHTS), engine_info(en)->weight_bytes);
    assert_int_equal(budget_used(&b, BUDGET_KV), engine_info(en)->kv_bytes_per_token * 256);
    engine_read_weights(en); // as many bytes are there
    engine_close(en);
    for (size_t max = 0; max < all; max += all / 13 + 1) {
        budget_init(&b, max);
        assert_false(engine_open(&en, g, &conf, &e));
        assert_int_equal(e.code, ERR_LIMIT);
        for (int k = 0; k < BUDGET_KINDS; k++)
            assert_int_equal(budget_used(&b, (enum budget_kind)k), 0);
    }
    budget_init(&b, all);
    assert_true(engine_open(&en, g, &conf, &e));
    engine_close(en);
    gguf_close(g);
    buf_free(&bytes);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(engine_rows_do_not_depend_on_company),
    cmocka_unit_test(engine_shared_prefixes_change_nothing),
    cmocka_unit_test(engine_blocks_forget),
    cmocka_unit_test(engine_blocks_are_counted),
    cmocka_unit_test(engine_step_can_be_canceled),
    cmocka_unit_test(engine_keeps_to_its_budget),
};
TEST_FILE(tests)
