/* sched/pace_test.c - the parts of prompts keep to the target gap, at any depth. */
#include "sched/sched_int.h"

#include "test.h"

/* A machine whose rows cost a_us and b_us more for each position before them. */
struct machine {
    double a_us, b_us, decode_us;
};

static double time_of(const struct machine *m, int n_decode, int pos, int n)
{
    double us = n_decode ? m->decode_us : 0;
    for (int i = 0; i < n; i++)
        us += m->a_us + m->b_us * (pos + i);
    return us;
}

/* Takes a prompt of n tokens in parts beside one that decodes; returns the longest step in us. */
static double run_prompt(struct pace *p, const struct machine *m, int n)
{
    double worst = 0;
    for (int pos = 0; pos < n;) {
        double left = sched_pace_begin(p, 1);
        int rows = sched_pace_rows(p, left, true, pos, int_min(n - pos, 512));
        assert_true(rows >= 1 && rows <= n - pos);
        double us = time_of(m, 1, pos, rows);
        if (us > worst)
            worst = us;
        sched_pace_learn(p, 1, rows, sched_pace_cost(p, pos, rows), us);
        pos += rows;
    }
    return worst;
}

static const struct engine_info shape = {.n_vocab = 151936,
                                         .n_layer = 28,
                                         .n_embd = 1024,
                                         .n_head = 16,
                                         .head_dim = 128,
                                         .n_params = 596000000};

static void sched_steps_keep_to_the_gap_at_any_depth(void **state)
{
    (void)state;
    struct pace p;
    struct machine m = {.a_us = 1000, .b_us = 1.04, .decode_us = 15000};
    sched_pace_init(&p, &shape, 100);
    sched_pace_learn(&p, 1, 0, 0, m.decode_us);
    run_prompt(&p, &m, 200); // learns what a row costs
    assert_true(run_prompt(&p, &m, 8000) < 115000);
    assert_true(run_prompt(&p, &m, 200) < 115000);
    assert_true(run_prompt(&p, &m, 8000) < 115000); // nor after a short one

    // attention dearer or cheaper than thought: one step tells, and the next are right
    m.b_us = 2;
    run_prompt(&p, &m, 200);
    assert_true(run_prompt(&p, &m, 8000) < 150000);
    m.b_us = 0.2;
    run_prompt(&p, &m, 200);
    assert_true(run_prompt(&p, &m, 8000) < 150000);
}

static void sched_steps_use_the_gap(void **state)
{
    (void)state;
    struct pace p;
    sched_pace_init(&p, &shape, 100);
    assert_int_equal(sched_pace_rows(&p, sched_pace_begin(&p, 0), true, 0, 512), 48); // unmeasured
    sched_pace_learn(&p, 0, 64, 64, 64000);
    p.decode_us = 20000;
    int beside = sched_pace_rows(&p, sched_pace_begin(&p, 4), true, 0, 512);
    assert_true(beside >= 48 && beside <= 80 && beside % 16 == 0);
    int none = sched_pace_rows(&p, sched_pace_begin(&p, 0), true, 0, 512);
    assert_true(none > 2 * beside); // nobody waits for a next token
    // a short rest goes along whole; a step without room takes the first prompt's least, no more
    assert_int_equal(sched_pace_rows(&p, 80, true, 0, 21), 21);
    assert_int_equal(sched_pace_rows(&p, 1, true, 0, 512), 4);
    assert_int_equal(sched_pace_rows(&p, 1, true, 0, 3), 3);
    assert_int_equal(sched_pace_rows(&p, 1, false, 0, 512), 0);
    assert_int_equal(sched_pace_rows(&p, 9, false, 0, 9), 8); // deeper rows cost a little more
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_steps_keep_to_the_gap_at_any_depth),
    cmocka_unit_test(sched_steps_use_the_gap),
};
TEST_FILE(tests)
