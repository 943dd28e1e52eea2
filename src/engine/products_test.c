/* engine/products_test.c - the chunks of a phase make every panel once, and what is fetched ahead
 * is what they begin with. */
#include "base/mem.h"
#include "engine/pass_int.h"
#include "engine/synth_test.h"
#include "test.h"

/* The panel of m at whose beginning the ranges lie, or -1; they must end within m. */
static int panel_of(const struct kern_mat *m, const struct kern_reads *r)
{
    const struct kern_range *scales = &r->part[0], *lines = &r->part[r->n - 1];
    const unsigned char *end = m->lines + (size_t)m->n_panels * m->panel_lines;
    if (lines->at < m->lines || lines->at >= end)
        return -1;
    size_t panel = (size_t)(lines->at - m->lines) / m->panel_lines;
    assert_ptr_equal(lines->at, m->lines + panel * m->panel_lines);
    assert_true(lines->bytes > 0 && lines->bytes <= end - lines->at);
    assert_int_equal(lines->bytes % (ptrdiff_t)m->panel_lines, 0);
    assert_int_equal(r->n, m->scales ? 2 : 1);
    if (m->scales) {
        assert_ptr_equal(scales->at, m->scales + panel * m->panel_scales);
        assert_int_equal(scales->bytes / (ptrdiff_t)m->panel_scales,
                         lines->bytes / (ptrdiff_t)m->panel_lines);
    }
    return (int)panel;
}

/* Matrices whose rows follow each other in a stage: [first, last]. */
static const struct kern_mat *matrices(const struct pass_stage *st, int *n)
{
    static const struct {
        enum engine_mat first, n;
    } of[] = {[IN_ATTN_NORM] = {MAT_Q, 3},
              [IN_ATT] = {MAT_O, 1},
              [IN_FFN_NORM] = {MAT_GATE, 1},
              [IN_GATED] = {MAT_DOWN, 1}};
    *n = 1;
    if (st->in == IN_OUT_NORM)
        return &st->en->w.head;
    *n = (int)of[st->in].n;
    return &st->layer->mat[of[st->in].first];
}

static void check_phase(const struct kern_phase *phase)
{
    const struct pass_stage *st = phase->arg;
    int n, before = -1;
    const struct kern_mat *m = matrices(st, &n);
    for (int chunk = 0; chunk < phase->n_chunks; chunk++) {
        struct kern_reads r = {.n = 0};
        phase->reads(phase->arg, chunk, &r);
        int panel = -1, base = 0;
        for (int i = 0; i < n && panel < 0; base += m[i++].n_panels)
            if ((panel = panel_of(&m[i], &r)) >= 0)
                panel += base;
        assert_int_equal(panel, (int)((long long)st->n_panels * chunk / phase->n_chunks));
        assert_true(panel > before);
        before = panel;
    }
}

/* Attention readies its own heads while sequences decode; not where it has nothing to do. */
static void check_heads(const struct engine *en, bool logits)
{
    for (int i = 0; i < en->pass->n_phases; i++) {
        const struct kern_phase *phase = &en->pass->phases[i];
        const struct pass_stage *st = phase->arg;
        if (phase->run == engine_run_heads)
            assert_int_equal(phase->n_chunks > 0, !logits && st->il == en->h.n_layer - 1);
    }
}

static void step(struct engine *en, struct engine_seq *seq, int n_rows, bool wanted)
{
    struct engine_row rows[PASS_FEW + 1];
    const float *logits;
    struct err e;
    for (int i = 0; i < n_rows; i++)
        rows[i] = (struct engine_row){.token = 5, .pos = i, .seq = seq, .logits = wanted};
    assert_true(engine_step(en, rows, n_rows, &logits, NULL, &e));
}

static void reads_are_what_chunks_begin_with(void **state)
{
    (void)state;
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, "tiny-qwen3", "Q4_K_M");
    struct engine_conf conf = engine_conf_default();
    struct engine *en;
    struct err e = {0};
    conf.n_threads = 2;
    assert_true(engine_open(&en, g, &conf, &e));
    memset(en->kern.runs, 0, sizeof en->kern.runs);
    int32_t block = engine_kv_take(en);
    struct engine_seq seq = {.blocks = &block, .n_blocks = 1};

    step(en, &seq, 1, false);
    check_heads(en, false);
    step(en, &seq, 1, true);
    check_heads(en, true);
    int checked = 0;
    for (int i = 0; i < en->pass->n_phases; i++)
        if (en->pass->phases[i].reads) {
            check_phase(&en->pass->phases[i]);
            checked++;
        }
    assert_int_equal(checked, 4 * en->h.n_layer + 1);

    // with many rows nobody waits for weights
    step(en, &seq, PASS_FEW + 1, true);
    for (int i = 0; i < en->pass->n_phases; i++) {
        struct kern_reads r = {.n = 0};
        if (en->pass->phases[i].reads)
            en->pass->phases[i].reads(en->pass->phases[i].arg, 0, &r);
        assert_int_equal(r.n, 0);
    }
    engine_kv_drop(en, block);
    engine_close(en);
    gguf_close(g);
    buf_free(&bytes);
}

/* How often each panel of the stage's matrices is made, by all chunks of the phase. */
static void check_panels(const struct kern_phase *phase)
{
    const struct pass_stage *st = phase->arg;
    int n;
    const struct kern_mat *m = matrices(st, &n);
    unsigned char made[4][512] = {{0}};
    n += st->in == IN_FFN_NORM; // and up
    for (int i = 0; i < n; i++)
        assert_true(m[i].n_panels <= 512);
    for (int chunk = 0; chunk < phase->n_chunks; chunk++) {
        struct pass_part c = engine_part(st, chunk);
        assert_int_equal(c.n, st->n);
        for (int i = 0; i < c.n_products; i++)
            for (int r = 0; r < c.products[i].n_runs; r++) {
                const struct kern_run *run = &c.products[i].run[r];
                assert_true(run->m >= m && run->m < m + n);
                assert_int_equal(run->m->type, c.products[i].run[0].m->type);
                assert_true(run->from >= 0 && run->from + c.products[i].len <= run->m->n_panels);
                for (int j = 0; j < c.products[i].len; j++)
                    made[run->m - m][run->from + j]++;
            }
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m[i].n_panels; j++)
            if (made[i][j] != 1)
                fail_msg("input %d, %d rows, %d chunks: panel %d of matrix %d is made %d times",
                         (int)st->in, st->n, phase->n_chunks, j, i, made[i][j]);
}

/* Steps of 1 .. KERN_RUN_ROWS rows of one engine with runs and one without: the same logits. */
static void check_runs(const char *preset, const char *mix, int n_threads)
{
    static const int four[] = {0, 4, 4, 2, 2};
    struct buf bytes;
    struct gguf *g = open_synth(&bytes, preset, mix);
    struct engine_conf conf = engine_conf_default();
    struct engine *en[2];
    struct engine_seq seq[2];
    int32_t block[2];
    const float *logits[2];
    struct err e = {0};
    conf.n_threads = n_threads;
    conf.max_logits = KERN_RUN_ROWS;
    for (int i = 0; i < 2; i++) {
        assert_true(engine_open(&en[i], g, &conf, &e));
        block[i] = engine_kv_take(en[i]);
        seq[i] = (struct engine_seq){.blocks = &block[i], .n_blocks = 1};
    }
    memcpy(en[0]->kern.runs, four, sizeof four);
    memset(en[1]->kern.runs, 0, sizeof four);
    for (int n = 1, pos = 0; n <= KERN_RUN_ROWS; pos += n++) {
        for (int i = 0; i < 2; i++) {
            struct engine_row rows[KERN_RUN_ROWS];
            for (int r = 0; r < n; r++)
                rows[r] = (struct engine_row){
                    .token = 7 * pos + r, .pos = pos + r, .seq = &seq[i], .logits = true};
            assert_true(engine_step(en[i], rows, n, &logits[i], NULL, &e));
            for (int k = 0; k < en[i]->pass->n_phases; k++)
                if (en[i]->pass->phases[k].reads)
                    check_panels(&en[i]->pass->phases[k]);
        }
        assert_memory_equal(logits[0], logits[1],
                            (size_t)n * (size_t)en[0]->h.n_vocab * sizeof(float));
    }
    for (int i = 0; i < 2; i++) {
        engine_kv_drop(en[i], block[i]);
        engine_close(en[i]);
    }
    gguf_close(g);
    buf_free(&bytes);
}

static void runs_make_every_panel_once(void **state)
{
    static const char *presets[] = {"nano-llama",  "tiny-llama", "tiny-qwen2",
                                    "tiny-gemma3", "tiny-phi3",  "tiny-qwen3"};
    static const char *mixes[] = {"Q4_K_M", "Q8_0", "F16"};
    (void)state;
    for (size_t i = 0; i < COUNT(presets); i++)
        for (int n_threads = 1; n_threads <= 3; n_threads++)
            check_runs(presets[i], mixes[((int)i + n_threads) % (int)COUNT(mixes)], n_threads);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_are_what_chunks_begin_with),
    cmocka_unit_test(runs_make_every_panel_once),
};
TEST_FILE(tests)
