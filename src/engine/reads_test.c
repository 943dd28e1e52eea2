/* engine/reads_test.c - what is fetched ahead of a phase is what its chunks begin with. */
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

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(reads_are_what_chunks_begin_with),
};
TEST_FILE(tests)
