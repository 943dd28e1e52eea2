/* sched/guide_test.c - what bounds an answer beside the sampler: budgets of thinking, forced and
 * stopping tokens, banned phrases; and drafts, which bound nothing. */
#include "sched/world_test.h"

static void encode(const struct world *w, str text, struct tok_ids *ids)
{
    struct tok_span span = {.text = text};
    struct err e;
    tok_ids_init(ids, 1000);
    assert_true(tok_encode(w->tok, &span, 1, false, ids, &e));
    assert_true(ids->n > 0);
}

/* One job, alone. */
static void run(struct world *w, struct sched_request *sr, struct result *r)
{
    world_submit(w, sr, r);
    world_finish(w, r, 1);
    if (r->error.code != ERR_NONE)
        fail_msg("%s", r->error.msg);
}

static void sched_drafts_change_no_answer(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    struct result plain[24], drafted[24];
    struct sched_counts before, after;
    static const struct sample_bias few[] = {{40, 30}, {41, 30}, {42, 30}};
    for (int pass = 0; pass < 2; pass++) {
        struct result *out = pass ? drafted : plain;
        sc.n_ctx = 256;
        sc.max_draft = pass ? 7 : 0;
        world_open(&w, sc, 4096);
        sched_counts(w.sched, &before);
        for (int i = 0; i < 24; i++) {
            size_t n = world_prompt(&w, i / 3, prompt);
            for (size_t k = 8; k < n; k++) // words that come again
                prompt[k] = prompt[k % 8];
            struct sched_request sr = world_request(prompt, n, 60, (uint64_t)i);
            sr.sample.temperature = i % 3 == 0 ? 0 : i % 3 == 1 ? 0.3f : 1;
            sr.sample.frequency_penalty = i % 4 == 3 ? 0.5f : 0;
            if (i % 2) { // says little
                sr.sample.bias = few;
                sr.sample.n_bias = COUNT(few);
            }
            sr.n_choices = i % 5 == 4 ? 3 : 1;
            sr.want_logprobs = i % 2;
            sr.n_top = 2;
            if (i < 12)
                run(&w, &sr, &out[i]);
            else
                world_submit(&w, &sr, &out[i]);
        }
        world_finish(&w, out, 24);
        sched_counts(w.sched, &after);
        if (pass)
            assert_true(after.drafts_true > 30);
        else
            assert_int_equal(after.drafted, 0);
        world_close(&w);
    }
    for (int i = 0; i < 24; i++) {
        for (int c = 0; c < RESULT_CHOICES; c++)
            check_str(buf_as_str(&drafted[i].pieces[c]), buf_as_str(&plain[i].pieces[c]),
                      "drafted");
        result_free(&plain[i]);
        result_free(&drafted[i]);
    }
}

static void sched_thinking_keeps_to_its_budget(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    struct result free_run, r;
    struct tok_ids close;
    sc.n_ctx = 256;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 2, prompt);
    encode(&w, STR("\n</think>\n"), &close);
    struct sched_request sr = world_request(prompt, n, 40, 3);
    run(&w, &sr, &free_run);
    const int32_t *drawn = free_run.ids[0];

    sr.thinking = (struct sched_thinking){
        .end = STR("</think>"), .budget = 5, .close = close.id, .n_close = close.n};
    for (int logprobs = 0; logprobs < 2; logprobs++) {
        sr.want_logprobs = logprobs;
        run(&w, &sr, &r);
        assert_int_equal(r.n_tokens[0], 40);
        assert_memory_equal(r.ids[0], drawn, 5 * sizeof *drawn);
        assert_memory_equal(r.ids[0] + 5, close.id, close.n * sizeof *drawn);
        assert_true(str_find(buf_as_str(&r.text[0]), STR("</think>")) >= 0);
        result_free(&r);
    }

    // It ended of itself with its third token: nothing is forced.
    sr.thinking.end = tok_piece(w.tok, drawn[2], true);
    run(&w, &sr, &r);
    check_str(buf_as_str(&r.text[0]), buf_as_str(&free_run.text[0]), "ended in time");
    result_free(&r);

    // It begins with the second token and has two more from there.
    sr.thinking.begin = tok_piece(w.tok, drawn[1], true);
    sr.thinking.end = STR("</think>");
    sr.thinking.budget = 2;
    run(&w, &sr, &r);
    assert_memory_equal(r.ids[0], drawn, 4 * sizeof *drawn);
    assert_memory_equal(r.ids[0] + 4, close.id, close.n * sizeof *drawn);
    result_free(&r);

    // It never begins.
    sr.thinking.begin = STR("<think>");
    run(&w, &sr, &r);
    check_str(buf_as_str(&r.text[0]), buf_as_str(&free_run.text[0]), "no thinking");
    result_free(&r);
    result_free(&free_run);
    tok_ids_free(&close);
    world_close(&w);
}

static void sched_forced_tokens_are_the_answer(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    struct result r, drawn;
    struct tok_ids ids;
    sc.n_ctx = 256;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 2, prompt);
    encode(&w, STR("a fixed continuation"), &ids);
    for (int logprobs = 0; logprobs < 2; logprobs++) {
        struct sched_request sr = world_request(prompt, n, 0, 3);
        sr.forced = ids.id;
        sr.n_forced = ids.n;
        sr.want_logprobs = logprobs;
        run(&w, &sr, &r);
        check_str(buf_as_str(&r.text[0]), STR("a fixed continuation"), "forced");
        assert_int_equal(r.finish[0], SCHED_FINISH_LENGTH);
        assert_int_equal(r.n_tokens[0], ids.n);
        result_free(&r);
    }
    tok_ids_free(&ids);

    // What was drawn is scored like what is forced.
    struct sched_request sr = world_request(prompt, n, 20, 3);
    sr.want_logprobs = true;
    sr.n_top = 3;
    run(&w, &sr, &drawn);
    sr.forced = drawn.ids[0];
    sr.n_forced = 20;
    sr.sample.seed = 99;
    run(&w, &sr, &r);
    check_str(buf_as_str(&r.pieces[0]), buf_as_str(&drawn.pieces[0]), "scored again");
    result_free(&r);
    result_free(&drawn);
    world_close(&w);
}

static void sched_tokens_can_stop_or_be_banned(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    struct result whole, r;
    sc.n_ctx = 256;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 5, prompt);
    struct sched_request sr = world_request(prompt, n, 40, 3);
    run(&w, &sr, &whole);

    struct sample_phrase stop[] = {{(int32_t[]){1, 2, 3}, 3}, {whole.ids[0] + 6, 3}};
    sr.stop_tokens = stop;
    sr.n_stop_tokens = 2;
    run(&w, &sr, &r);
    assert_int_equal(r.finish[0], SCHED_FINISH_STOP);
    assert_int_equal(r.n_tokens[0], 9);
    result_free(&r);
    sr.n_stop_tokens = 1;
    run(&w, &sr, &r);
    assert_int_equal(r.n_tokens[0], 40);
    result_free(&r);

    sr.sample.bad = &stop[1];
    sr.sample.n_bad = 1;
    run(&w, &sr, &r);
    assert_memory_equal(r.ids[0], whole.ids[0], 8 * sizeof(int32_t));
    assert_true(r.ids[0][8] != whole.ids[0][8]);
    result_free(&r);
    result_free(&whole);

    sr.sample.n_bad = 0;
    sr.sample.no_repeat_ngram = 2;
    sr.sample.temperature = 0.2f;
    sr.max_tokens = 150;
    run(&w, &sr, &r);
    for (int i = 0; i + 1 < r.n_ids[0]; i++)
        for (int k = 0; k < i; k++)
            assert_true(memcmp(r.ids[0] + i, r.ids[0] + k, 2 * sizeof(int32_t)) != 0);
    result_free(&r);
    world_close(&w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_drafts_change_no_answer),
    cmocka_unit_test(sched_thinking_keeps_to_its_budget),
    cmocka_unit_test(sched_forced_tokens_are_the_answer),
    cmocka_unit_test(sched_tokens_can_stop_or_be_banned),
};
TEST_FILE(tests)
