/* sched/token_test.c - tokens beside the text, their log-probabilities, and jobs that go on where
 * another stood. */
#include "sched/world_test.h"

#include <math.h>

/* Tokens listed with texts, put through the decoder, are the text. */
static void sched_tokens_stand_with_their_text(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    sc.n_ctx = 512;
    world_open(&w, sc, 2048);
    for (int i = 0; i < 8; i++) {
        struct result r;
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 60, (uint64_t)i);
        sr.special_text = i % 2;
        world_submit(&w, &sr, &r);
        world_finish(&w, &r, 1);
        struct buf text = BUF_INIT((size_t)1 << 20);
        struct tok_stream chars;
        tok_stream_init(&chars);
        for (int k = 0; k < r.n_ids[0]; k++)
            tok_stream_put(&chars, tok_piece(w.tok, r.ids[0][k], sr.special_text), &text);
        tok_stream_end(&chars, &text);
        check_str(buf_as_str(&text), buf_as_str(&r.text[0]), "decoded again");
        assert_int_equal(r.n_ids[0], 60);
        assert_true(r.n_with_text[0] > 40);
        buf_free(&text);
        result_free(&r);
    }
    world_close(&w);
}

static void sched_tokens_of_a_stop_text_come_with_the_end(void **state)
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
    for (size_t at = 0; at + 6 < text.n && at < 60; at++) {
        str stop = str_sub(text, at, 4);
        if (((unsigned char)stop.p[0] & 0xc0) == 0x80)
            continue;
        sr.stops = &stop;
        sr.n_stops = 1;
        world_submit(&w, &sr, &cut);
        world_finish(&w, &cut, 1);
        assert_true(cut.n_ids[0] <= whole.n_ids[0] && cut.n_ids[0] == cut.n_tokens[0]);
        assert_memory_equal(cut.ids[0], whole.ids[0], (size_t)cut.n_ids[0] * sizeof(int32_t));
        assert_true(cut.n_with_text[0] < cut.n_ids[0] || cut.text[0].n > 0);
        // The last of the text's tokens begins in it, the next one does not.
        struct buf before = BUF_INIT((size_t)1 << 20);
        struct tok_stream chars;
        tok_stream_init(&chars);
        for (int k = 0; k + 1 < cut.n_with_text[0]; k++)
            tok_stream_put(&chars, tok_piece(w.tok, cut.ids[0][k], false), &before);
        assert_true(before.n <= cut.text[0].n);
        buf_free(&before);
        result_free(&cut);
    }
    result_free(&whole);
    world_close(&w);
}

/* A piece's tokens with log-probabilities. */
static void sched_logprobs_are_of_the_raw_distribution(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    int32_t prompt[128];
    int seen = 0;
    sc.n_ctx = 256;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 4, prompt);
    struct sched_request sr = world_request(prompt, n, 30, 3);
    struct sample_bias bias = {7, 50}; // draws it always, and changes no logprob
    sr.want_logprobs = true;
    sr.n_top = 5;
    for (int biased = 0; biased < 2; biased++) {
        sr.sample.bias = &bias;
        sr.sample.n_bias = biased;
        sr.sample.temperature = biased ? 1 : 0;
        struct err e;
        struct sched_job *j = sched_submit(w.sched, &sr, NULL, &e);
        assert_non_null(j);
        for (bool ended = false; !ended;) {
            struct sched_piece *p = queue_pop(w.out, 60000);
            assert_non_null(p);
            for (int i = 0; i < p->n_listed; i++) {
                const struct sched_token *t = &p->tokens[i];
                double sum = 0;
                seen++;
                assert_int_equal(t->n_top, 5);
                for (int k = 0; k < 5; k++) {
                    assert_true(k == 0 || t->top[k].logprob <= t->top[k - 1].logprob);
                    assert_true(t->top[k].id != t->id || t->top[k].logprob == t->logprob);
                    sum += exp((double)t->top[k].logprob);
                }
                assert_true(sum > 0 && sum < 1 && t->logprob < 0);
                assert_true(biased ? t->id == 7
                                   : t->id == t->top[0].id || tok_is_eog(w.tok, t->top[0].id));
                assert_true(!biased || t->logprob < -1);
            }
            ended = p->what == SCHED_ENDED;
            sched_piece_free(p);
        }
        sched_job_free(j);
    }
    assert_int_equal(seen, 60);
    world_close(&w);
}

static void sched_a_job_goes_on_where_another_stood(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result whole, rest;
    int32_t prompt[128];
    sc.n_ctx = 256;
    world_open(&w, sc, 2048);
    for (int i = 0; i < 4; i++) {
        size_t n = world_prompt(&w, i, prompt);
        struct sched_request sr = world_request(prompt, n, 50, 21);
        str stop = STR("q");
        sr.n_choices = 1 + i;
        sr.ignore_eos = i % 2;
        sr.sample.repetition_penalty = 1.2f;
        sr.sample.frequency_penalty = 0.3f;
        sr.stops = &stop;
        sr.n_stops = i == 2;
        world_submit(&w, &sr, &whole);
        world_finish(&w, &whole, 1);
        static const int cuts[] = {0, 1, 7, 16, 17, 40, 50};
        for (size_t k = 0; k < COUNT(cuts); k++) {
            struct sched_output output[RESULT_CHOICES];
            for (int c = 0; c < sr.n_choices; c++) // each at another place
                output[c] = (struct sched_output){
                    whole.ids[c], (size_t)int_min(int_max(cuts[k] - c, 0), whole.n_ids[c])};
            struct sched_request again = sr;
            again.output = output;
            world_submit(&w, &again, &rest);
            world_finish(&w, &rest, 1);
            assert_int_equal(rest.error.code, ERR_NONE);
            for (int c = 0; c < sr.n_choices; c++) {
                check_str(buf_as_str(&rest.pieces[c]), buf_as_str(&whole.pieces[c]), "pieces");
                assert_int_equal(rest.finish[c], whole.finish[c]);
                assert_int_equal(rest.n_tokens[c], whole.n_tokens[c]);
            }
            result_free(&rest);
        }
        result_free(&whole);
    }
    world_close(&w);
}

static void sched_tells_how_far_a_job_is(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result first, held[3];
    int32_t prompt[128];
    sc.n_ctx = 4096;
    sc.max_seqs = 1;
    sc.max_rows = 32;
    sc.gap_ms = 1 << 20; // however slow the machine: whole chunks
    world_open(&w, sc, 8192);
    size_t n = 0;
    for (; n < 100; n++)
        prompt[n] = (int32_t)n;
    struct sched_request sr = world_request(prompt, n, 0, 1); // not done before the end
    sr.want_progress = true;
    struct sched_job *j = world_submit(&w, &sr, &first);
    sched_pause(j, true);
    sr.max_tokens = 4;
    for (int i = 0; i < 3; i++) {
        prompt[0] = 50 + i; // nothing is shared
        world_submit(&w, &sr, &held[i]);
    }
    while (held[2].positions.n == 0)
        world_take(&w);
    sched_cancel(j);
    world_finish(&w, &first, 1);
    world_finish(&w, held, 3);
    check_str(buf_as_str(&held[0].positions), STR("w0 p32 p64 p96 p100 "), "first in the queue");
    check_str(buf_as_str(&held[2].positions), STR("w2 w1 w0 p32 p64 p96 p100 "), "third");
    result_free(&first);
    for (int i = 0; i < 3; i++)
        result_free(&held[i]);
    world_close(&w);
}

/* With one place to compute and eight to wait: a team fills the half of it, another may still come.
 */
static void sched_a_team_cannot_fill_the_queue(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result held[9];
    static const struct {
        const char *tenant;
        bool taken;
    } jobs[] = {
        {"a", true},  {"a", true},  {"a", true},  {"a", true}, {"a", false},
        {"b", true},  {"a", false}, {"b", true},  {"c", true}, {"b", false},
        {"c", false}, {"d", true},  {"e", false}, {"", false}}; // 1 computed, 4 + 2 + 1 + 1 wait
    int32_t prompt[4] = {1, 2, 3, 4};
    int n = 0;
    sc.n_ctx = 4096;
    sc.max_seqs = 1;
    sc.max_waiting = 8;
    world_open(&w, sc, 8192);
    struct sched_request sr = world_request(prompt, 4, 0, 1); // it will not be done before the end
    sr.tenant = STR("first");
    struct sched_job *first = world_submit(&w, &sr, &held[n++]);
    sched_pause(first, true);
    sr.max_tokens = 2;
    struct sched_counts counts;
    do // until it is in the batch
        sched_counts(w.sched, &counts);
    while (counts.waiting > 0);
    for (size_t i = 0; i < COUNT(jobs); i++) {
        struct err e;
        sr.tenant = str_c(jobs[i].tenant);
        if (jobs[i].taken) {
            world_submit(&w, &sr, &held[n++]);
        } else {
            assert_null(sched_submit(w.sched, &sr, NULL, &e));
            assert_int_equal(e.code, ERR_BUSY);
        }
    }
    sched_cancel(first);
    world_finish(&w, held, n);
    for (int i = 0; i < n; i++)
        result_free(&held[i]);
    sr.tenant = STR("a"); // all is as it was
    world_submit(&w, &sr, &held[0]);
    world_finish(&w, held, 1);
    result_free(&held[0]);
    world_close(&w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_a_team_cannot_fill_the_queue),
    cmocka_unit_test(sched_tokens_stand_with_their_text),
    cmocka_unit_test(sched_tokens_of_a_stop_text_come_with_the_end),
    cmocka_unit_test(sched_logprobs_are_of_the_raw_distribution),
    cmocka_unit_test(sched_a_job_goes_on_where_another_stood),
    cmocka_unit_test(sched_tells_how_far_a_job_is),
};
TEST_FILE(tests)
