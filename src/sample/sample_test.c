/* sample/sample_test.c - the chain against values worked out by hand and in Python, and the draw.
 */
#include "sample/sample_int.h"

#include "base/mem.h"
#include "base/rng.h"
#include "test.h"

#include <math.h>

static const float LOGITS[] = {3.0f, 2.5f, 1.0f, 0.5f, -1.0f, -2.0f};
#define N_LOGITS ((int)COUNT(LOGITS))

static struct sample_input input_of(const float *z, int n)
{
    return (struct sample_input){.logits = z, .n_vocab = n};
}

/* Probabilities by id, 0 for what was removed. */
static void distribution(const struct sample_params *p, const struct sample_input *in, bool xtc,
                         float *out)
{
    struct sample_scratch *s = sample_scratch_new(in->n_vocab, NULL);
    int32_t ids[64];
    float probs[64];
    int k = sample_distribution(s, p, in, xtc, ids, probs, 64);
    for (int i = 0; i < in->n_vocab; i++)
        out[i] = 0;
    for (int i = 0; i < k; i++)
        out[ids[i]] = probs[i];
    sample_scratch_free(s);
}

static void sample_chain_gives_the_specified_probabilities(void **state)
{
    static const struct {
        const char *name;
        float t;
        int k;
        float top_p, min_p, xtc;
        float want[6];
    } rows[] = {
        {"T = 1", 1, 0, 1, 0, 0, {.540832f, .328031f, .073194f, .044394f, .009906f, .003644f}},
        {"T = 0.5", .5f, 0, 1, 0, 0, {.717713f, .264032f, .013145f, .004836f, .000241f, .000033f}},
        {"T = 2", 2, 0, 1, 0, 0, {.377272f, .293820f, .138791f, .108090f, .051058f, .030968f}},
        {"top_k 2", 1, 2, 1, 0, 0, {.622459f, .377541f}},
        {"top_p .55", 1, 0, .55f, 0, 0, {.622459f, .377541f}},
        {"top_p .8", 1, 0, .8f, 0, 0, {.622459f, .377541f}},
        {"min_p .1", 1, 0, 1, .1f, 0, {.574097f, .348207f, .077696f}},
        {"xtc .2", 1, 0, 1, 0, .2f, {0, .714402f, .159405f, .096684f, .021573f, .007936f}},
        {"xtc .05", 1, 0, 1, 0, .05f, {0, 0, .558144f, .338531f, .075537f, .027788f}},
        {"xtc .6", 1, 0, 1, 0, .6f, {.540832f, .328031f, .073194f, .044394f, .009906f, .003644f}},
        {"chain", .8f, 4, .95f, .05f, 0, {.618297f, .330950f, .050753f}},
        {"chain, xtc", .8f, 4, .95f, .05f, .1f, {0, .867036f, .132964f}},
        {"T = 2, top_p .9", 2, 0, .9f, 0, 0, {.410984f, .320075f, .151193f, .117749f}},
        {"greedy", 0, 0, 1, 0, 0, {1}},
        {"top_k 1", 1, 1, 1, 0, 0, {1}},
    };
    (void)state;
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct sample_params p = sample_params_default();
        p.temperature = rows[r].t;
        p.top_k = rows[r].k;
        p.top_p = rows[r].top_p;
        p.min_p = rows[r].min_p;
        p.xtc_threshold = rows[r].xtc;
        struct sample_input in = input_of(LOGITS, N_LOGITS);
        float got[6];
        distribution(&p, &in, rows[r].xtc > 0, got);
        for (int i = 0; i < 6; i++)
            if (fabsf(got[i] - rows[r].want[i]) > 2e-6f)
                fail_msg("%s: id %d has %g, want %g", rows[r].name, i, (double)got[i],
                         (double)rows[r].want[i]);
    }
}

static void sample_truncations_follow_each_other(void **state)
{
    (void)state;
    struct sample_params p = sample_params_default();
    float z[5], got[5];
    const float pi[] = {.4f, .3f, .2f, .1f};
    for (int i = 0; i < 4; i++)
        z[i] = logf(pi[i]);
    p.top_k = 2;
    p.top_p = .5f;
    struct sample_input in = input_of(z, 4);
    distribution(&p, &in, false, got);
    assert_true(fabsf(got[0] - 1) < 1e-6f && got[1] == 0); // sequential, not joint

    const float rho[] = {.5f, .2f, .15f, .1f, .05f};
    for (int i = 0; i < 5; i++)
        z[i] = logf(rho[i]);
    p = sample_params_default();
    p.min_p = .25f;
    p.top_p = .8f;
    in = input_of(z, 5);
    distribution(&p, &in, false, got);
    assert_true(fabsf(got[0] - .588235f) < 2e-6f && fabsf(got[2] - .176471f) < 2e-6f);
    assert_true(got[3] == 0);
}

static void sample_penalties_touch_the_right_windows(void **state)
{
    (void)state;
    static const int32_t prompt[] = {2, 4}, output[] = {0, 0, 4};
    struct sample_params p = sample_params_default();
    p.repetition_penalty = 1.2f;
    p.frequency_penalty = .5f;
    p.presence_penalty = .25f;
    struct sample_input in = input_of(LOGITS, N_LOGITS);
    in.prompt = prompt;
    in.n_prompt = 2;
    in.output = output;
    in.n_output = 3;
    static const float want[] = {1.25f, 2.5f, .833333f, .5f, -1.95f, -2.0f};
    float got[6], sum = 0;
    distribution(&p, &in, false, got);
    for (int i = 0; i < 6; i++)
        sum += expf(want[i]);
    for (int i = 0; i < 6; i++)
        assert_true(fabsf(got[i] - expf(want[i]) / sum) < 2e-6f);
}

static void sample_bans_bias_and_masks(void **state)
{
    (void)state;
    struct sample_scratch *s = sample_scratch_new(N_LOGITS, NULL);
    struct sample_params p = sample_params_default();
    p.temperature = 0;
    struct sample_input in = input_of(LOGITS, N_LOGITS);
    assert_int_equal(sample_token(s, &p, &in), 0);

    static const int32_t ends[] = {0, 99, -1};
    in.ends = ends;
    in.n_ends = 3;
    in.ban_ends = true;
    assert_int_equal(sample_token(s, &p, &in), 1);

    static const struct sample_bias bias[] = {{5, 100}, {700, 5}, {-3, 5}};
    p.bias = bias;
    p.n_bias = 3;
    assert_int_equal(sample_token(s, &p, &in), 5);

    uint64_t mask = 1u << 3 | 1u << 4;
    in.mask = &mask;
    assert_int_equal(sample_token(s, &p, &in), 3);
    mask = 1; // only a banned id is left
    assert_int_equal(sample_token(s, &p, &in), -1);
    p.temperature = 1;
    assert_int_equal(sample_token(s, &p, &in), -1);
    sample_scratch_free(s);
}

static void sample_survives_odd_logits(void **state)
{
    (void)state;
    float z[70];
    struct sample_scratch *s = sample_scratch_new(70, NULL);
    struct sample_params p = sample_params_default();
    for (int i = 0; i < 70; i++)
        z[i] = NAN;
    struct sample_input in = input_of(z, 70);
    assert_int_equal(sample_token(s, &p, &in), -1);
    z[69] = -INFINITY;
    z[68] = -1e30f;
    assert_int_equal(sample_token(s, &p, &in), 68);
    z[3] = INFINITY;
    assert_int_equal(sample_token(s, &p, &in), 3);
    z[2] = INFINITY; // ties: the lower id
    p.temperature = 0;
    assert_int_equal(sample_token(s, &p, &in), 2);
    sample_scratch_free(s);
}

static float random_logit(uint64_t *rng)
{
    double u = 0;
    for (int i = 0; i < 4; i++)
        u += (double)(test_random(rng) >> 11) * 0x1p-53;
    return (float)((u - 2) * 5);
}

/* The whole vocabulary sorted in double precision: what the shortcuts must reproduce. */
static void sample_shortcuts_agree_with_a_full_sort(void **state)
{
    enum { N = 5000 };
    (void)state;
    uint64_t rng = 42;
    float *z = mem_alloc(N * sizeof *z);
    struct sample_scratch *s = sample_scratch_new(N, NULL);
    int32_t *ids = mem_alloc(N * sizeof *ids);
    float *probs = mem_alloc(N * sizeof *probs);
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < N; i++)
            z[i] = round % 7 == 6 ? 1.0f : random_logit(&rng); // every seventh: all equal
        struct sample_params p = sample_params_default();
        p.temperature = .5f + (float)(round % 5) * .4f;
        p.top_k = round % 3 == 0 ? (int)(test_random(&rng) % 3000) + 2 : 0;
        p.top_p = round % 2 ? .3f + (float)(round % 7) * .1f : 1;
        p.min_p = round % 4 == 3 ? .01f : 0;
        struct sample_input in = input_of(z, N);
        int k = sample_distribution(s, &p, &in, false, ids, probs, N);
        double sum = 0;
        for (int i = 0; i < k; i++) {
            sum += (double)probs[i];
            if (i)
                assert_true(z[ids[i - 1]] > z[ids[i]] ||
                            (z[ids[i - 1]] == z[ids[i]] && ids[i - 1] < ids[i]));
        }
        assert_true(fabs(sum - 1) < 1e-4);
        // Nothing outside is higher than anything inside.
        int above = 0;
        for (int i = 0; i < N; i++)
            above += z[i] > z[ids[k - 1]];
        assert_true(above <= k);
        if (p.top_k && p.top_p >= 1 && p.min_p == 0)
            assert_int_equal(k, p.top_k);
    }
    mem_free(z);
    mem_free(ids);
    mem_free(probs);
    sample_scratch_free(s);
}

/* Where top_k is small beside the vocabulary, its bound comes from groups of blocks: the k highest
 * stand anywhere, in one block, a whole group apart, or there are fewer. */
static void sample_top_k_of_large_vocabularies(void **state)
{
    enum { N = 70001, GROUPS = (N + SAMPLE_BLOCK - 1) / SAMPLE_BLOCK / 8, MOST = 34 };
    (void)state;
    uint64_t rng = 53;
    float *z = mem_alloc(N * sizeof *z), probs[MOST + 1];
    struct sample_scratch *s = sample_scratch_new(N, NULL);
    int32_t ids[MOST + 1];
    for (int round = 0; round < 50; round++) {
        int at = (int)(test_random(&rng) % (N / 2)), k = 1 + (int)(test_random(&rng) % MOST);
        for (int i = 0; i < N; i++)
            z[i] = round % 5 == 4 ? (i % 9000 == 8 ? 1.0f : -INFINITY) : random_logit(&rng);
        for (int i = 0; i < k; i++) {
            int step = round % 5 == 1 ? 1 : round % 5 == 2 ? GROUPS * SAMPLE_BLOCK : 0;
            if (step > 0 && at + i * step < N)
                z[at + i * step] = 20.0f + (float)(i / 2);
        }
        struct sample_params p = sample_params_default();
        p.temperature = 30;
        p.top_k = k;
        struct sample_input in = input_of(z, N);
        int n = sample_distribution(s, &p, &in, false, ids, probs, MOST + 1);
        assert_int_equal(n, round % 5 == 4 ? int_min(k, 8) : k);
        for (int j = 0, best; j < n; j++) {
            best = 0;
            for (int i = 1; i < N; i++)
                best = z[i] > z[best] ? i : best;
            assert_int_equal(ids[j], best);
            z[best] = -INFINITY;
        }
    }
    mem_free(z);
    sample_scratch_free(s);
}

/* Draws by mass from spread-out distributions, against the walk over all in order. */
static void sample_finds_tokens_by_their_mass(void **state)
{
    enum { N = 7001 };
    (void)state;
    uint64_t rng = 43;
    float *z = mem_alloc(N * sizeof *z);
    struct sample_scratch *s = sample_scratch_new(N, NULL);
    int32_t *ids = mem_alloc(N * sizeof *ids);
    float *probs = mem_alloc(N * sizeof *probs);
    int32_t *history = mem_calloc(64, sizeof *history);
    int near = 0;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < N; i++)
            z[i] = round % 5 == 4 ? (float)(i % 3) : random_logit(&rng) * 0.3f;
        if (round % 3 == 1)
            z[5] = NAN;
        struct sample_params p = sample_params_default();
        p.temperature = .4f + (float)(round % 4) * .9f;
        p.top_p = round % 2 ? .5f + (float)(round % 7) * .08f : 1;
        p.seed = (uint64_t)round;
        struct sample_input in = input_of(z, N);
        in.output = history;
        in.n_output = (size_t)round % 64;
        int k = sample_distribution(s, &p, &in, false, ids, probs, N), at = 0;
        double all = 0, sum = 0, u = rng_unit_at(p.seed, 2 * in.n_output);
        for (int i = 0; i < k; i++)
            all += (double)probs[i];
        while (at < k - 1 && (sum += (double)probs[at]) <= u * all)
            at++;
        int32_t id = sample_token(s, &p, &in);
        // Sums of floats: the neighbour may be the right one too.
        bool close =
            id == ids[at] || (at > 0 && id == ids[at - 1]) || (at + 1 < k && id == ids[at + 1]);
        near += id != ids[at];
        if (!close)
            fail_msg("round %d: drew %d, not %d", round, id, ids[at]);
    }
    assert_true(near < 20);
    mem_free(z);
    mem_free(ids);
    mem_free(probs);
    mem_free(history);
    sample_scratch_free(s);
}

/* Maxima that come with the logits change nothing, whatever the settings. */
static void sample_takes_maxima_as_given(void **state)
{
    enum { N = 1000, BLOCKS = (N + 63) / 64 };
    (void)state;
    uint64_t rng = 47;
    float z[N], max[BLOCKS];
    uint64_t mask[BLOCKS];
    static const int32_t ends[] = {7, 70, 700}, words[] = {3, 3, 900, 64, 3};
    struct sample_scratch *s = sample_scratch_new(N, NULL);
    for (int round = 0; round < 2000; round++) {
        struct sample_params p = sample_params_default();
        struct sample_bias bias[2] = {{(int32_t)(test_random(&rng) % N), 20}, {64, -20}};
        for (int b = 0; b < BLOCKS; b++)
            max[b] = -INFINITY;
        for (int i = 0; i < N; i++) {
            z[i] = test_random(&rng) % 50 ? random_logit(&rng) : round % 2 ? NAN : -INFINITY;
            max[i / 64] = z[i] > max[i / 64] ? z[i] : max[i / 64];
        }
        p.temperature = round % 5 ? 1.2f : 0;
        p.top_k = round % 3 ? 0 : 20;
        p.top_p = round % 4 ? 1 : .8f;
        p.min_p = round % 7 ? 0 : .05f;
        p.repetition_penalty = round % 6 ? 1 : 1.5f;
        p.frequency_penalty = round % 9 ? 0 : 2;
        p.bias = bias;
        p.n_bias = round % 2 ? 2 : 0;
        p.seed = (uint64_t)round;
        struct sample_input in = input_of(z, N);
        in.prompt = in.output = words;
        in.n_prompt = in.n_output = COUNT(words);
        in.ends = ends;
        in.n_ends = COUNT(ends);
        in.ban_ends = round % 2;
        for (int b = 0; b < BLOCKS; b++) {
            uint64_t word = test_random(&rng);
            mask[b] = word % 3 == 0 ? 0 : word % 3 == 1 ? UINT64_MAX : word;
        }
        in.mask = round % 4 == 1 ? mask : NULL;
        int32_t id = sample_token(s, &p, &in);
        assert_true(id >= 0 && (!in.mask || mask[id / 64] >> id % 64 & 1));
        struct sample_logprob top[5], got[5];
        float logprob = sample_logprobs(s, &in, id, top, 5);
        in.max = max;
        assert_int_equal(sample_token(s, &p, &in), id);
        assert_true(sample_logprobs(s, &in, id, got, 5) == logprob);
        for (int i = 0; i < 5; i++)
            assert_true(got[i].id == top[i].id && got[i].logprob == top[i].logprob);
    }
    sample_scratch_free(s);
}

/* Blocks of an earlier draw, or of none, are not taken for this one's when the count begins anew.
 */
static void sample_survives_the_end_of_its_count(void **state)
{
    enum { N = 256 };
    (void)state;
    float z[N] = {[5] = 1};
    struct sample_scratch *s = sample_scratch_new(N, NULL);
    struct sample_params p = sample_params_default();
    p.temperature = 0;
    struct sample_input in = input_of(z, N);
    assert_int_equal(sample_token(s, &p, &in), 5);
    for (int id = 6; id < N; id += 63) {
        z[id] = (float)id;
        s->draw = UINT32_MAX;
        assert_int_equal(sample_token(s, &p, &in), id);
    }
    sample_scratch_free(s);
}

static void sample_draws_follow_the_distribution(void **state)
{
    (void)state;
    struct sample_scratch *s = sample_scratch_new(N_LOGITS, NULL);
    struct sample_params p = sample_params_default();
    struct sample_input in = input_of(LOGITS, N_LOGITS);
    static const double want[] = {.540832, .328031, .073194, .044394, .009906, .003644};
    int seen[6] = {0};
    enum { DRAWS = 20000 };
    static int32_t history[DRAWS];
    in.output = history;
    for (int i = 0; i < DRAWS; i++) {
        in.n_output = (size_t)i;
        int32_t id = sample_token(s, &p, &in);
        assert_true(id >= 0 && id < 6);
        assert_int_equal(sample_token(s, &p, &in), id); // a replay draws the same
        seen[id]++;
    }
    double chi = 0;
    for (int i = 0; i < 6; i++)
        chi += (seen[i] - want[i] * DRAWS) * (seen[i] - want[i] * DRAWS) / (want[i] * DRAWS);
    assert_true(chi < 20.5); // 5 degrees of freedom, p = 0.001; the seed is fixed
    sample_scratch_free(s);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sample_chain_gives_the_specified_probabilities),
    cmocka_unit_test(sample_truncations_follow_each_other),
    cmocka_unit_test(sample_penalties_touch_the_right_windows),
    cmocka_unit_test(sample_bans_bias_and_masks),
    cmocka_unit_test(sample_survives_odd_logits),
    cmocka_unit_test(sample_shortcuts_agree_with_a_full_sort),
    cmocka_unit_test(sample_top_k_of_large_vocabularies),
    cmocka_unit_test(sample_finds_tokens_by_their_mass),
    cmocka_unit_test(sample_takes_maxima_as_given),
    cmocka_unit_test(sample_survives_the_end_of_its_count),
    cmocka_unit_test(sample_draws_follow_the_distribution),
};
TEST_FILE(tests)
