/* sched/gram_test.c - answers of a random-weight model keep to their grammar, whatever happens. */
#include "sched/world_test.h"

#include "base/mem.h"

#include <jansson.h>

struct shop {
    struct world w;
    bool *control, *eog;
    struct gram_vocab *vocab;
    struct gram *object, *record, *fixed, *thinking, *three, *any;
};

static struct gram *compile(struct gram_build *b, const struct gram_node *root)
{
    struct err e;
    struct gram *g = gram_compile(b, root, &e);
    if (!g)
        fail_msg("%s", e.msg);
    gram_build_free(b);
    return g;
}

#define FIXED "a text that is known before it is said: {\"one\": 1, \"two\": 2}"

static void shop_open(struct shop *s, struct sched_conf sc, size_t kv_tokens)
{
    world_open(&s->w, sc, kv_tokens);
    int n = tok_n_vocab(s->w.tok);
    s->control = mem_calloc((size_t)n, sizeof(bool));
    s->eog = mem_calloc((size_t)n, sizeof(bool));
    for (int i = 0; i < n; i++) {
        s->control[i] = tok_is_control(s->w.tok, i);
        s->eog[i] = tok_is_eog(s->w.tok, i);
    }
    s->vocab = gram_vocab_new(tok_pieces(s->w.tok), s->control, s->eog, n);
    struct gram_build *b = gram_build_new(s->vocab);
    s->object = compile(b, gram_json_object(b));
    b = gram_build_new(s->vocab);
    s->record = compile(b, gram_regex(b, STR("\\{\"count\": -?(0|[1-9][0-9]{0,5}), \"kind\": "
                                             "\"alpha(bet)?\", \"note\": \"[a-z ]{0,12}\"\\}")));
    b = gram_build_new(s->vocab);
    s->fixed = compile(b, gram_lit(b, STR(FIXED)));
    b = gram_build_new(s->vocab);
    s->three = compile(b, gram_regex(b, STR("[ab]{3}")));
    b = gram_build_new(s->vocab);
    s->any = compile(b, gram_regex(b, STR("[ab]*")));
    b = gram_build_new(s->vocab);
    str end = STR("</think>");
    s->thinking = compile(b, gram_seq2(b, gram_until(b, &end, 1), gram_lit(b, STR("yes"))));
}

static void shop_close(struct shop *s)
{
    gram_drop(s->object);
    gram_drop(s->record);
    gram_drop(s->fixed);
    gram_drop(s->thinking);
    gram_drop(s->three);
    gram_drop(s->any);
    gram_vocab_drop(s->vocab);
    world_close(&s->w);
    mem_free(s->control);
    mem_free(s->eog);
}

static struct sched_request request(const int32_t *prompt, size_t n, int max_tokens, int i)
{
    struct sched_request sr = world_request(prompt, n, max_tokens, (uint64_t)i);
    sr.ignore_eos = false;
    return sr;
}

static void check_object(const struct result *r, int c, const char *what)
{
    json_error_t je;
    str text = buf_as_str(&r->text[c]);
    json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES & 0, &je);
    if (!json_is_object(v))
        fail_msg("%s: not an object: %.*s", what, (int)text.n, text.p);
    json_decref(v);
}

static void sched_constrained_answers_keep_their_form(void **state)
{
    (void)state;
    struct shop s;
    struct sched_conf sc = sched_conf_default();
    struct result r[32];
    int32_t prompt[128];
    int complete = 0;
    sc.n_ctx = 512;
    for (int small = 0; small < 2; small++) { // with room for all, and for a few at a time
        shop_open(&s, sc, small ? 512 : 8192);
        for (int i = 0; i < 32; i++) {
            size_t n = world_prompt(&s.w, i % 8, prompt);
            struct sched_request sr = request(prompt, n, 200, i);
            sr.gram = i % 2 ? s.record : s.object;
            sr.n_choices = i % 8 == 7 ? 3 : 1;
            sr.want_logprobs = i % 3 == 0;
            sr.sample.min_p = i % 5 == 4 ? 0.05f : 0;
            world_submit(&s.w, &sr, &r[i]);
        }
        world_finish(&s.w, r, 32);
        for (int i = 0; i < 32; i++) {
            if (r[i].error.code != ERR_NONE)
                fail_msg("%s", r[i].error.msg);
            for (int c = 0; c < (i % 8 == 7 ? 3 : 1); c++) {
                if (r[i].finish[c] == SCHED_FINISH_LENGTH)
                    continue;
                assert_int_equal(r[i].finish[c], SCHED_FINISH_END);
                check_object(&r[i], c, i % 2 ? "record" : "object");
                complete++;
            }
            result_free(&r[i]);
        }
        struct sched_counts counts;
        sched_counts(s.w.sched, &counts);
        assert_true(small == 0 || counts.preempted > 0);
        shop_close(&s);
    }
    assert_true(complete > 20);
}

/* Asked to, an answer takes the shortest way to its end before its tokens run out. */
static void sched_demanded_answers_end_in_time(void **state)
{
    (void)state;
    struct shop s;
    struct sched_conf sc = sched_conf_default();
    struct result r[24];
    int32_t prompt[128];
    int all = 0;
    sc.n_ctx = 512;
    shop_open(&s, sc, 8192);
    for (int i = 0; i < 24; i++) {
        size_t n = world_prompt(&s.w, i % 8, prompt);
        struct sched_request sr = request(prompt, n, i % 3 == 0 ? 0 : 40 + i, i);
        sr.gram = i % 2 ? s.record : s.object;
        sr.in_time = true;
        sr.want_logprobs = i % 4 == 0;
        world_submit(&s.w, &sr, &r[i]);
    }
    world_finish(&s.w, r, 24);
    for (int i = 0; i < 24; i++) {
        if (r[i].error.code != ERR_NONE)
            fail_msg("%s", r[i].error.msg);
        assert_int_equal(r[i].finish[0], SCHED_FINISH_END);
        check_object(&r[i], 0, i % 2 ? "record" : "object");
        all++;
        result_free(&r[i]);
    }
    assert_int_equal(all, 24);
    shop_close(&s);
}

static void sched_what_is_known_is_not_drawn(void **state)
{
    (void)state;
    struct shop s;
    struct sched_conf sc = sched_conf_default();
    struct result r, rest;
    struct sched_counts before, after;
    int32_t prompt[128];
    sc.n_ctx = 512;
    shop_open(&s, sc, 2048);
    size_t n = world_prompt(&s.w, 3, prompt);
    for (int i = 0; i < 6; i++) {
        struct sched_request sr = request(prompt, n, 0, i);
        sr.gram = s.fixed;
        sr.want_logprobs = i % 2;
        sr.sample.temperature = i < 2 ? 0 : 1;
        sched_counts(s.w.sched, &before);
        world_submit(&s.w, &sr, &r);
        world_finish(&s.w, &r, 1);
        sched_counts(s.w.sched, &after);
        assert_int_equal(r.finish[0], SCHED_FINISH_END);
        check_str(buf_as_str(&r.text[0]), STR(FIXED), "forced");
        uint64_t forced = after.forced - before.forced;
        assert_true(sr.want_logprobs ? forced == 0 : forced * 2 > (uint64_t)r.n_tokens[0]);

        // The same from wherever it is taken up again.
        for (int cut = 0; cut < r.n_ids[0]; cut++) {
            struct sched_output output = {r.ids[0], (size_t)cut};
            struct sched_request again = sr;
            again.want_logprobs = false;
            again.output = &output;
            if (sr.want_logprobs)
                continue;
            world_submit(&s.w, &again, &rest);
            world_finish(&s.w, &rest, 1);
            check_str(buf_as_str(&rest.pieces[0]), buf_as_str(&r.pieces[0]), "taken up");
            result_free(&rest);
        }
        result_free(&r);
    }
    shop_close(&s);
}

static void sched_constraints_end_where_they_may(void **state)
{
    (void)state;
    struct shop s;
    struct sched_conf sc = sched_conf_default();
    struct result r;
    struct tok_ids close;
    struct tok_span span = {.text = STR("</think>")};
    struct err e;
    int32_t prompt[128];
    sc.n_ctx = 512;
    shop_open(&s, sc, 2048);
    size_t n = world_prompt(&s.w, 3, prompt);
    tok_ids_init(&close, 100);
    assert_true(tok_encode(s.w.tok, &span, 1, false, &close, &e));

    // Thinking, its budget, then the answer; ending is wanted by all means, and not to be had.
    struct sched_request sr = request(prompt, n, 100, 5);
    int32_t colon = tok_find(s.w.tok, STR(":"));
    struct sample_bias bias[] = {{tok_eos(s.w.tok), 100}, {colon, 90}};
    sr.gram = s.thinking;
    sr.sample.bias = bias;
    sr.sample.n_bias = 2;
    sr.ends = &colon;
    sr.n_ends = 1;
    sr.thinking = (struct sched_thinking){
        .end = STR("</think>"), .budget = 12, .close = close.id, .n_close = close.n};
    world_submit(&s.w, &sr, &r);
    world_finish(&s.w, &r, 1);
    assert_int_equal(r.error.code, ERR_NONE);
    assert_int_equal(r.finish[0], SCHED_FINISH_END);
    str text = buf_as_str(&r.text[0]);
    assert_true(str_find(text, STR("</think>yes")) == (ptrdiff_t)text.n - 11);
    assert_true(r.n_tokens[0] <= 12 + (int)close.n + 4);
    result_free(&r);

    // What would go on is banned: a complete answer ends, an incomplete one is an error.
    struct sample_phrase bad[512];
    int32_t ids[512];
    int n_bad = 0;
    for (int32_t id = 0; id < tok_n_vocab(s.w.tok) && n_bad < 512; id++) {
        str piece = tok_piece(s.w.tok, id, false);
        if (str_starts(piece, STR("a")) || str_starts(piece, STR("b"))) {
            ids[n_bad] = id;
            bad[n_bad] = (struct sample_phrase){&ids[n_bad], 1};
            n_bad++;
        }
    }
    sr = request(prompt, n, 100, 5);
    sr.sample.bad = bad;
    sr.sample.n_bad = n_bad;
    sr.ignore_eos = true;
    for (int complete = 0; complete < 2; complete++) {
        sr.gram = complete ? s.any : s.three;
        world_submit(&s.w, &sr, &r);
        world_finish(&s.w, &r, 1);
        assert_int_equal(r.error.code, complete ? ERR_NONE : ERR_INTERNAL);
        assert_int_equal(r.text[0].n, 0);
        assert_int_equal(r.finish[0], complete ? SCHED_FINISH_END : SCHED_FINISH_NONE);
        result_free(&r);
    }
    tok_ids_free(&close);
    shop_close(&s);
}

/* Answers under a constraint, while another tenant wants their places or not. */
static uint64_t run_among(struct shop *s, struct result *r, int n_r, int n_others)
{
    struct result others[16];
    struct sched_job *jobs[8];
    struct sched_counts c;
    int32_t prompt[128];
    struct sched_request sr;
    for (int i = 0; i < n_r; i++) {
        size_t n = world_prompt(&s->w, i, prompt);
        sr = request(prompt, n, 150, i);
        sr.tenant = STR("a");
        sr.gram = i % 3 ? s->object : s->thinking;
        sr.in_time = i % 2;
        sr.sample.temperature = 1.5f;
        jobs[i] = world_submit(&s->w, &sr, &r[i]);
        sched_pause(jobs[i], n_others > 0); // until the others are there
    }
    for (int i = 0; i < n_others; i++) {
        size_t n = world_prompt(&s->w, i, prompt);
        sr = request(prompt, n, 80, i);
        sr.tenant = STR("b");
        sr.ignore_eos = true;
        world_submit(&s->w, &sr, &others[i]);
    }
    for (int i = 0; i < n_r; i++)
        sched_pause(jobs[i], false);
    world_finish(&s->w, r, n_r);
    world_finish(&s->w, others, n_others);
    for (int i = 0; i < n_others; i++)
        result_free(&others[i]);
    sched_counts(s->w.sched, &c);
    return c.preempted;
}

static void sched_constrained_answers_lose_their_place_and_nothing_else(void **state)
{
    (void)state;
    struct sched_conf sc = sched_conf_default();
    struct result r[2][8];
    sc.n_ctx = 512;
    sc.max_seqs = 3;
    for (int disturbed = 0; disturbed < 2; disturbed++) {
        struct shop s;
        shop_open(&s, sc, 4096);
        uint64_t preempted = run_among(&s, r[disturbed], 8, disturbed ? 16 : 0);
        assert_true(disturbed ? preempted > 2 : preempted == 0);
        shop_close(&s);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(r[1][i].finish[0], r[0][i].finish[0]);
        check_str(buf_as_str(&r[1][i].pieces[0]), buf_as_str(&r[0][i].pieces[0]), "pieces");
        result_free(&r[0][i]);
        result_free(&r[1][i]);
    }
}

/* Once a grammar's tables are made, answers under it take nothing from the system in a step. */
static void sched_masks_allocate_nothing(void **state)
{
    (void)state;
    struct shop s;
    struct sched_conf sc = sched_conf_default();
    struct sched_counts before, after;
    int32_t prompt[128];
    sc.n_ctx = 512;
    shop_open(&s, sc, 8192);
    for (int round = 0; round < 3; round++) {
        struct result r[8];
        sched_counts(s.w.sched, &before);
        for (int i = 0; i < 8; i++) {
            size_t n = world_prompt(&s.w, i, prompt);
            struct sched_request sr = request(prompt, n, 100, i);
            sr.gram = i % 2 ? s.any : s.object;
            sr.min_tokens = i % 2 ? 40 : 0;
            world_submit(&s.w, &sr, &r[i]);
        }
        world_finish(&s.w, r, 8);
        sched_counts(s.w.sched, &after);
        for (int i = 0; i < 8; i++) {
            assert_int_equal(r[i].error.code, ERR_NONE);
            result_free(&r[i]);
        }
        assert_true(after.steps > before.steps + 50);
    }
    assert_int_equal(after.allocations, before.allocations);
    shop_close(&s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_masks_allocate_nothing),
    cmocka_unit_test(sched_constrained_answers_keep_their_form),
    cmocka_unit_test(sched_demanded_answers_end_in_time),
    cmocka_unit_test(sched_what_is_known_is_not_drawn),
    cmocka_unit_test(sched_constraints_end_where_they_may),
    cmocka_unit_test(sched_constrained_answers_lose_their_place_and_nothing_else),
};
TEST_FILE(tests)
