/* sched/sched_test.c - jobs through a tiny random-weight model: the same answer alone, in company
 * and after preemption; cancel, deadline and refusal; nothing is left behind. */
#include "sched/world_test.h"

#include "base/clock.h"

#define N_JOBS 12

/* The answers when each job is alone. */
static void answers_alone(struct buf *texts)
{
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    sc.n_ctx = 256;
    world_open(&w, sc, 256);
    for (int i = 0; i < N_JOBS; i++) {
        struct result r;
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 40, (uint64_t)i);
        world_submit(&w, &sr, &r);
        world_finish(&w, &r, 1);
        assert_int_equal(r.error.code, ERR_NONE);
        assert_int_equal(r.finish[0], SCHED_FINISH_LENGTH);
        assert_int_equal(r.n_tokens[0], 40);
        buf_init(&texts[i], (size_t)1 << 20);
        buf_str(&texts[i], buf_as_str(&r.text[0]));
        result_free(&r);
    }
    world_close(&w);
}

/* Returns how many sequences had to give their blocks back. */
static uint64_t compare_together(struct sched_conf sc, size_t kv_tokens, const struct buf *alone)
{
    struct world w;
    struct result results[N_JOBS];
    int32_t prompt[128];
    world_open(&w, sc, kv_tokens);
    for (int i = 0; i < N_JOBS; i++) {
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 40, (uint64_t)i);
        world_submit(&w, &sr, &results[i]);
    }
    world_finish(&w, results, N_JOBS);
    for (int i = 0; i < N_JOBS; i++) {
        assert_int_equal(results[i].error.code, ERR_NONE);
        check_str(buf_as_str(&results[i].text[0]), buf_as_str(&alone[i]), "job");
        result_free(&results[i]);
    }
    struct sched_counts c;
    sched_counts(w.sched, &c);
    world_close(&w);
    return c.preempted;
}

static void sched_answers_do_not_depend_on_company(void **state)
{
    (void)state;
    struct buf alone[N_JOBS];
    answers_alone(alone);

    struct sched_conf sc = sched_conf_default();
    sc.n_ctx = 256;
    assert_int_equal(compare_together(sc, 4096, alone), 0); // all at once

    sc.max_seqs = 3;
    sc.max_rows = 32; // prompts in small parts, jobs one after another
    compare_together(sc, 4096, alone);

    sc.max_seqs = 12;
    assert_true(compare_together(sc, 256, alone) > 0); // room for two or three of them
    for (int i = 0; i < N_JOBS; i++)
        buf_free(&alone[i]);
}

static void sched_choices_share_a_prompt(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    struct result four, one;
    sc.n_ctx = 256;
    world_open(&w, sc, 2048);
    for (int i = 0; i < 6; i++) {
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 20, 100);
        sr.n_choices = 4;
        world_submit(&w, &sr, &four);
        world_finish(&w, &four, 1);
        for (int c = 0; c < 4; c++) {
            struct sched_request alone = world_request(prompt, n, 20, 100 + (uint64_t)c);
            world_submit(&w, &alone, &one);
            world_finish(&w, &one, 1);
            check_str(buf_as_str(&four.text[c]), buf_as_str(&one.text[0]), "choice");
            result_free(&one);
        }
        result_free(&four);
    }
    world_close(&w);
}

static void sched_cancel_ends_jobs_wherever_they_are(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result results[6];
    struct sched_job *jobs[6];
    int32_t prompt[128];
    sc.n_ctx = 4096;
    sc.max_seqs = 2;
    world_open(&w, sc, 8192);
    for (int i = 0; i < 6; i++) {
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 4000, 1);
        jobs[i] = world_submit(&w, &sr, &results[i]);
    }
    while (!results[0].started) // one decodes, most wait
        world_take(&w);
    for (int i = 0; i < 6; i++)
        sched_cancel(jobs[i]);
    world_finish(&w, results, 6);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(results[i].error.code, ERR_CANCELED);
        result_free(&results[i]);
    }
    struct sched_counts c;
    sched_counts(w.sched, &c);
    assert_int_equal(c.cancelled, 6);
    assert_int_equal(c.waiting, 0);
    world_close(&w);
}

static void sched_close_ends_what_is_live(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result results[5];
    int32_t prompt[128];
    sc.n_ctx = 4096;
    sc.max_seqs = 2;
    world_open(&w, sc, 8192);
    for (int i = 0; i < 5; i++) {
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 4000, 1);
        world_submit(&w, &sr, &results[i]);
    }
    sched_close(w.sched);
    world_finish(&w, results, 5);
    for (int i = 0; i < 5; i++)
        result_free(&results[i]);
    world_close(&w);
}

static void sched_refuses_what_cannot_be(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result r, held[3];
    struct sched_job *jobs[3];
    struct err e;
    static int32_t prompt[300];
    sc.n_ctx = 256;
    sc.max_seqs = 1;
    sc.max_waiting = 2;
    world_open(&w, sc, 512);

    struct sched_request sr = world_request(prompt, 256, 1, 0);
    assert_null(sched_submit(w.sched, &sr, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_string_equal(e.kind, "context_length_exceeded");
    assert_non_null(strstr(e.msg, "256"));

    sr = world_request(prompt, 3, 1, 0);
    sr.n_choices = 2;
    assert_null(sched_submit(w.sched, &sr, NULL, &e));
    assert_int_equal(e.code, ERR_INPUT);

    sr = world_request(prompt, 3, 0, 0); // up to the context's end
    jobs[0] = world_submit(&w, &sr, &held[0]);
    sched_pause(jobs[0], true);
    struct sched_counts c;
    do // until it is in the batch
        sched_counts(w.sched, &c);
    while (c.waiting > 0);
    jobs[1] = world_submit(&w, &sr, &held[1]);
    jobs[2] = world_submit(&w, &sr, &held[2]);
    assert_null(sched_submit(w.sched, &sr, NULL, &e));
    assert_int_equal(e.code, ERR_BUSY);
    assert_true(sched_retry_after_ms(w.sched) >= 1000);
    sched_pause(jobs[0], false);
    world_finish(&w, held, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(held[i].n_tokens[0], 256 - 3);
        assert_int_equal(held[i].finish[0], SCHED_FINISH_LENGTH);
        result_free(&held[i]);
    }

    sr.deadline_ms = clock_mono_ms(); // already past
    world_submit(&w, &sr, &r);
    world_finish(&w, &r, 1);
    assert_int_equal(r.error.code, ERR_TIMEOUT);
    result_free(&r);
    world_close(&w);
}

static void sched_prefixes_are_found_again_by_their_owner(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result cold, warm, other, twins[4];
    int32_t prompt[300];
    uint64_t rng = 5;
    sc.n_ctx = 512;
    sc.max_rows = 64;
    world_open(&w, sc, 1024);
    for (size_t i = 0; i < COUNT(prompt); i++)
        prompt[i] = (int32_t)(test_random(&rng) % (uint64_t)tok_n_vocab(w.tok));

    struct sched_request sr = world_request(prompt, 200, 30, 9);
    sr.tenant = STR("a");
    struct sched_counts before, after;
    world_submit(&w, &sr, &cold);
    world_finish(&w, &cold, 1);
    sched_counts(w.sched, &before);
    assert_int_equal(before.cached_tokens, 0);

    world_submit(&w, &sr, &warm);
    world_finish(&w, &warm, 1);
    sched_counts(w.sched, &after);
    // Six whole blocks of 200 tokens, and of the seventh what comes before the last token.
    assert_int_equal(after.cached_tokens, 199);
    assert_int_equal(after.prompt_tokens - before.prompt_tokens, 1);
    check_str(buf_as_str(&warm.text[0]), buf_as_str(&cold.text[0]), "warm");

    sr.tenant = STR("b"); // sees nothing of a's
    world_submit(&w, &sr, &other);
    world_finish(&w, &other, 1);
    sched_counts(w.sched, &after);
    assert_int_equal(after.cached_tokens, 199);
    check_str(buf_as_str(&other.text[0]), buf_as_str(&cold.text[0]), "other tenant");

    // Four that arrive together compute their long common beginning once.
    sched_counts(w.sched, &before);
    sr.tenant = STR("c");
    sr.n_prompt = 260;
    for (int i = 0; i < 4; i++)
        world_submit(&w, &sr, &twins[i]);
    world_finish(&w, twins, 4);
    sched_counts(w.sched, &after);
    assert_true(after.prompt_tokens - before.prompt_tokens < 260 + 3 * 2 * 32);
    for (int i = 1; i < 4; i++)
        check_str(buf_as_str(&twins[i].text[0]), buf_as_str(&twins[0].text[0]), "twin");
    for (int i = 0; i < 4; i++)
        result_free(&twins[i]);
    result_free(&cold);
    result_free(&warm);
    result_free(&other);
    world_close(&w);
}

/* The first difference from what is cached is told to the token. */
static void sched_tells_where_a_prompt_leaves_the_cache(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[200];
    sc.n_ctx = 512;
    world_open(&w, sc, 2048);
    static const int at[] = {200, 0, 1, 31, 32, 33, 100, 191, 192, 199};
    for (size_t i = 0; i < COUNT(at); i++) {
        for (int k = 0; k < 200; k++) // the first is cached: later ones leave it at at[i]
            prompt[k] = k < at[i] ? k % 50 : 60 + (int32_t)i;
        struct sched_request sr = world_request(prompt, 200, 1, 1);
        struct err e;
        sr.tenant = STR("a");
        struct sched_job *j = sched_submit(w.sched, &sr, NULL, &e);
        assert_non_null(j);
        for (bool ended = false; !ended;) {
            struct sched_piece *p = queue_pop(w.out, 60000);
            assert_non_null(p);
            if (p->what == SCHED_STARTED) {
                int known = i == 0 ? 0 : int_min(at[i], 192); // whole blocks are remembered
                assert_int_equal(p->n_common, known);
                // a few tokens of a block are not worth a copy
                assert_int_equal(p->n_cached, known % 32 < 4 ? known / 32 * 32 : known);
            }
            ended = p->what == SCHED_ENDED;
            sched_piece_free(p);
        }
        sched_job_free(j);
    }
    world_close(&w);
}

/* Once the buffers have been used, steps take nothing more from the system. */
static void sched_steps_allocate_nothing(void **state)
{
    static const str stops[] = {STR_INIT("never said"), STR_INIT("nor this")};
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct sched_counts before, after;
    int32_t prompt[128];
    sc.n_ctx = 512;
    world_open(&w, sc, 8192);
    for (int round = 0; round < 3; round++) {
        struct result r[8];
        sched_counts(w.sched, &before);
        for (int i = 0; i < 8; i++) {
            size_t n = world_prompt(&w, i, prompt);
            struct sched_request sr = world_request(prompt, n, 150, (uint64_t)(i + 10 * round));
            if (i % 2) {
                sr.want_logprobs = true;
                sr.n_top = 5;
            }
            if (i % 3 == 0) {
                sr.stops = stops;
                sr.n_stops = COUNT(stops);
            }
            sr.n_choices = 1 + i % 2;
            world_submit(&w, &sr, &r[i]);
        }
        world_finish(&w, r, 8);
        sched_counts(w.sched, &after);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(r[i].error.code, ERR_NONE);
            result_free(&r[i]);
        }
        assert_true(after.steps > before.steps + 100);
    }
    assert_int_equal(after.allocations, before.allocations);
    world_close(&w);
}

static void sched_stop_texts_cut_the_answer(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result whole, cut;
    int32_t prompt[128];
    sc.n_ctx = 512;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 3, prompt);
    struct sched_request sr = world_request(prompt, n, 60, 5);
    world_submit(&w, &sr, &whole);
    world_finish(&w, &whole, 1);
    str text = buf_as_str(&whole.text[0]);
    assert_true(text.n > 20);
    for (size_t at = 0; at + 6 < text.n && at < 60; at++) {
        str stops[2] = {STR("\x01never\x01"), str_sub(text, at, 4)};
        if (((unsigned char)stops[1].p[0] & 0xc0) == 0x80)
            continue;
        sr.stops = stops;
        sr.n_stops = 2;
        world_submit(&w, &sr, &cut);
        world_finish(&w, &cut, 1);
        assert_int_equal(cut.finish[0], SCHED_FINISH_STOP);
        check_str(buf_as_str(&cut.text[0]), str_sub(text, 0, (size_t)str_find(text, stops[1])),
                  "up to the stop text");
        result_free(&cut);
    }
    result_free(&whole);
    world_close(&w);
}

static void sched_choices_can_have_seeds_of_their_own(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result alone, many;
    int32_t prompt[128];
    static const uint64_t seeds[3] = {9, 100, 9};
    sc.n_ctx = 256;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 2, prompt);
    struct sched_request sr = world_request(prompt, n, 20, 1);
    sr.n_choices = 3;
    sr.seeds = seeds;
    world_submit(&w, &sr, &many);
    world_finish(&w, &many, 1);
    for (int i = 0; i < 3; i++) {
        sr = world_request(prompt, n, 20, seeds[i]);
        world_submit(&w, &sr, &alone);
        world_finish(&w, &alone, 1);
        check_str(buf_as_str(&many.text[i]), buf_as_str(&alone.text[0]), "as alone");
        result_free(&alone);
    }
    assert_false(str_eq(buf_as_str(&many.text[0]), buf_as_str(&many.text[1])));
    result_free(&many);
    world_close(&w);
}

static void sched_further_tokens_can_end_an_answer(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result r;
    int32_t prompt[128], ends[2];
    struct sample_bias bias = {0, 100};
    sc.n_ctx = 256;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 2, prompt);
    while (tok_is_eog(w.tok, bias.id) || tok_piece(w.tok, bias.id, false).n == 0)
        bias.id++;
    struct sched_request sr = world_request(prompt, n, 20, 1); // says nothing but one token
    sr.ignore_eos = false;
    sr.sample.bias = &bias;
    sr.sample.n_bias = 1;
    world_submit(&w, &sr, &r);
    world_finish(&w, &r, 1);
    assert_int_equal(r.finish[0], SCHED_FINISH_LENGTH);
    assert_true(r.text[0].n > 0);
    result_free(&r);

    ends[0] = bias.id + 1;
    ends[1] = bias.id;
    sr.ends = ends;
    sr.n_ends = 2;
    world_submit(&w, &sr, &r);
    world_finish(&w, &r, 1);
    assert_int_equal(r.finish[0], SCHED_FINISH_END);
    assert_int_equal(r.text[0].n, 0);
    assert_int_equal(r.n_tokens[0], 1);
    result_free(&r);

    sr.min_tokens = 5; // until then it is banned like the model's own
    world_submit(&w, &sr, &r);
    world_finish(&w, &r, 1);
    assert_int_equal(r.finish[0], SCHED_FINISH_END);
    assert_int_equal(r.n_tokens[0], 6);
    result_free(&r);
    world_close(&w);
}

#define FLOOD 80
#define OTHER 40

/* The tokens that each tenant had when the other's last job ended. */
static void run_flood(struct world *w, int flood_priority, uint64_t had[2])
{
    struct sched_job *first[4];
    struct err e;
    int32_t prompt[128];
    int left[2] = {FLOOD, OTHER};
    for (int i = 0; i < FLOOD + OTHER; i++) {
        int who = i >= FLOOD;
        size_t n = size_min(world_prompt(w, i % 7, prompt), 12);
        struct sched_request r = world_request(prompt, n, 8, (uint64_t)i);
        r.ignore_eos = true;
        r.tenant = who ? STR("other") : STR("flood");
        r.priority = who ? 0 : flood_priority;
        struct sched_job *j = sched_submit(w->sched, &r, (void *)(intptr_t)who, &e);
        if (!j)
            fail_msg("%s", e.msg);
        if (i < 4) // they hold all places until everything is queued
            sched_pause(first[i] = j, true);
    }
    for (int i = 0; i < 4; i++)
        sched_pause(first[i], false);
    while (left[0] + left[1] > 0) {
        struct sched_piece *p = queue_pop(w->out, 60000);
        assert_non_null(p);
        if (p->what == SCHED_ENDED) {
            int who = (int)(intptr_t)sched_job_arg(p->job);
            const struct sched_stats *st = sched_job_stats(p->job);
            assert_int_equal(p->error.code, ERR_NONE);
            if (left[1] > 0)
                had[who] += st->n_prompt + st->n_output;
            left[who]--;
            sched_job_free(p->job);
        }
        sched_piece_free(p);
    }
}

static void sched_a_flood_leaves_others_their_share(void **state)
{
    (void)state;
    for (int priority = -1; priority <= 0; priority++) { // nor does a priority help it
        struct sched_conf sc = sched_conf_default();
        struct world w;
        uint64_t had[2] = {0};
        sc.max_seqs = 4;
        sc.max_waiting = 2 * (FLOOD + OTHER);
        sc.n_ctx = 64;
        world_open(&w, sc, 1024);
        run_flood(&w, priority, had);
        if (had[1] * 100 < (had[0] + had[1]) * 45)
            fail_msg("the other had %llu tokens of %llu", (unsigned long long)had[1],
                     (unsigned long long)(had[0] + had[1]));
        world_close(&w);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_answers_do_not_depend_on_company),
    cmocka_unit_test(sched_choices_share_a_prompt),
    cmocka_unit_test(sched_cancel_ends_jobs_wherever_they_are),
    cmocka_unit_test(sched_close_ends_what_is_live),
    cmocka_unit_test(sched_refuses_what_cannot_be),
    cmocka_unit_test(sched_prefixes_are_found_again_by_their_owner),
    cmocka_unit_test(sched_tells_where_a_prompt_leaves_the_cache),
    cmocka_unit_test(sched_steps_allocate_nothing),
    cmocka_unit_test(sched_stop_texts_cut_the_answer),
    cmocka_unit_test(sched_choices_can_have_seeds_of_their_own),
    cmocka_unit_test(sched_further_tokens_can_end_an_answer),
    cmocka_unit_test(sched_a_flood_leaves_others_their_share),
};
TEST_FILE(tests)
