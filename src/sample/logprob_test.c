/* sample/logprob_test.c - log-probabilities against a plain double computation. */
#include "sample/sample.h"

#include "test.h"

#include <math.h>

#define MAX_VOCAB 4000
#define TOP       20

static void sample_logprobs_are_log_softmax(void **state)
{
    (void)state;
    static float z[MAX_VOCAB], clean[MAX_VOCAB];
    uint64_t rng = 4;
    struct sample_scratch *s = sample_scratch_new(MAX_VOCAB, NULL);
    for (int round = 0; round < 60; round++) {
        int n = 1 + (int)(test_random(&rng) % MAX_VOCAB), n_top = int_min(n, round % (TOP + 1));
        double scale = round % 3 == 0 ? 1 : round % 3 == 1 ? 8 : 40;
        for (int i = 0; i < n; i++)
            z[i] = (float)(scale * ((double)(test_random(&rng) % 2001) / 1000 - 1)); // with ties
        if (round % 4 == 1)
            z[test_random(&rng) % (uint64_t)n] = -INFINITY;
        if (round % 4 == 2)
            z[test_random(&rng) % (uint64_t)n] = NAN;
        double max = -INFINITY, sum = 0;
        for (int i = 0; i < n; i++)
            max = z[i] > max ? (double)z[i] : max;
        for (int i = 0; i < n; i++)
            sum += z[i] >= -INFINITY ? exp((double)z[i] - max) : 0;
        int32_t id = (int32_t)(test_random(&rng) % (uint64_t)n);
        struct sample_logprob top[TOP];
        struct sample_input in = {.logits = z, .n_vocab = n};
        float got = sample_logprobs(s, &in, id, top, n_top);
        for (int i = 0; i < n; i++) // as it counts
            clean[i] = z[i] >= -INFINITY ? z[i] : -INFINITY;
        if (sum == 0 || !(z[id] > -INFINITY)) {
            assert_true(got == SAMPLE_LOGPROB_NONE);
            continue;
        }
        assert_true(fabs((double)got - ((double)z[id] - max - log(sum))) < 2e-5);
        for (int k = 0; k < n_top; k++) {
            int before = 0; // how many stand before it
            for (int i = 0; i < n; i++)
                before +=
                    clean[i] > clean[top[k].id] || (clean[i] == clean[top[k].id] && i < top[k].id);
            assert_int_equal(before, k);
            if (clean[top[k].id] == -INFINITY) {
                assert_true(top[k].logprob == SAMPLE_LOGPROB_NONE);
                continue;
            }
            double want = (double)clean[top[k].id] - max - log(sum);
            assert_true(fabs((double)top[k].logprob - want) < 2e-5);
        }
    }
    sample_scratch_free(s);
}

static void sample_logprobs_never_say_infinity(void **state)
{
    (void)state;
    static const struct {
        float z[3];
        int32_t id;
        float want;
    } rows[] = {
        {{0, -INFINITY, 0}, 1, SAMPLE_LOGPROB_NONE},
        {{0, NAN, -INFINITY}, 1, SAMPLE_LOGPROB_NONE},
        {{0, NAN, -INFINITY}, 0, 0},
        {{NAN, NAN, NAN}, 2, SAMPLE_LOGPROB_NONE},
        {{-INFINITY, -INFINITY, -INFINITY}, 0, SAMPLE_LOGPROB_NONE},
        {{INFINITY, 1, 2}, 0, 0},
        {{INFINITY, 1, 2}, 1, SAMPLE_LOGPROB_NONE},
        {{3e38f, -3e38f, 0}, 1, SAMPLE_LOGPROB_NONE},
    };
    struct sample_scratch *s = sample_scratch_new(3, NULL);
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct sample_logprob top[3];
        struct sample_input in = {.logits = rows[r].z, .n_vocab = 3};
        assert_true(sample_logprobs(s, &in, rows[r].id, top, 3) == rows[r].want);
        for (int k = 0; k < 3; k++)
            assert_true(isfinite(top[k].logprob) && top[k].logprob <= 0);
    }
    sample_scratch_free(s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sample_logprobs_are_log_softmax),
    cmocka_unit_test(sample_logprobs_never_say_infinity),
};
TEST_FILE(tests)
