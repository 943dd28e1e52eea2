/* sample/vectors_test.c - each step of the chain, and all together, against values worked out in
 * double precision by tests/vectors/sample/make.py; and the random steps' distributions. */
#include "sample/sample.h"

#include "base/rng.h"
#include "test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define MOST 64

struct vector {
    char group[32];
    struct sample_params p;
    float z[MOST];
    int32_t prompt[MOST], output[MOST], mask[MOST], bias_id[MOST], ends[MOST], bad_id[MOST * 8];
    struct sample_bias bias[MOST];
    struct sample_phrase bad[MOST];
    int n_z, n_prompt, n_output, n_mask, n_ends;
    bool ban, gate;
    int drawn;
    double want[MOST];
};

static double number(char **at)
{
    char *end;
    double v = strtod(*at, &end);
    assert_true(end != *at);
    *at = end;
    return v;
}

static int ids(char **at, int32_t *out)
{
    int n = (int)number(at);
    assert_true(n <= MOST);
    for (int i = 0; i < n; i++)
        out[i] = (int32_t)number(at);
    return n;
}

static void read_vector(char *line, struct vector *v)
{
    char *at = line + strcspn(line, " ");
    *v = (struct vector){.p = sample_params_default()};
    memcpy(v->group, line, size_min((size_t)(at - line), sizeof v->group - 1));
    v->p.temperature = (float)number(&at);
    v->p.top_k = (int)number(&at);
    v->p.top_p = (float)number(&at);
    v->p.min_p = (float)number(&at);
    v->p.xtc_threshold = (float)number(&at);
    v->p.xtc_probability = (float)number(&at);
    v->p.repetition_penalty = (float)number(&at);
    v->p.frequency_penalty = (float)number(&at);
    v->p.presence_penalty = (float)number(&at);
    v->p.no_repeat_ngram = (int)number(&at);
    v->p.seed = strtoull(at, &at, 10);
    v->ban = number(&at) != 0;
    v->n_z = (int)number(&at);
    for (int i = 0; i < v->n_z; i++)
        v->z[i] = (float)number(&at);
    v->n_prompt = ids(&at, v->prompt);
    v->n_output = ids(&at, v->output);
    v->n_mask = ids(&at, v->mask);
    v->p.n_bias = ids(&at, v->bias_id);
    assert_int_equal((int)number(&at), v->p.n_bias);
    for (int i = 0; i < v->p.n_bias; i++)
        v->bias[i] = (struct sample_bias){v->bias_id[i], (float)number(&at)};
    v->p.bias = v->bias;
    v->n_ends = ids(&at, v->ends);
    v->p.n_bad = (int)number(&at);
    for (int i = 0; i < v->p.n_bad; i++)
        v->bad[i] = (struct sample_phrase){v->bad_id + i * 8, ids(&at, v->bad_id + i * 8)};
    v->p.bad = v->bad;
    v->gate = number(&at) != 0;
    v->drawn = (int)number(&at);
    for (int i = 0; i < v->n_z; i++)
        v->want[i] = number(&at);
}

static void check_vector(struct sample_scratch *s, const struct vector *v, int line)
{
    uint64_t mask = 0;
    for (int i = 0; i < v->n_mask; i++)
        mask |= (uint64_t)1 << v->mask[i];
    struct sample_input in = {.logits = v->z,
                              .n_vocab = v->n_z,
                              .prompt = v->prompt,
                              .n_prompt = (size_t)v->n_prompt,
                              .output = v->output,
                              .n_output = (size_t)v->n_output,
                              .ends = v->ends,
                              .n_ends = (size_t)v->n_ends,
                              .ban_ends = v->ban,
                              .mask = v->n_mask ? &mask : NULL};
    int32_t ids_got[MOST];
    float probs[MOST];
    double got[MOST] = {0};
    int n = sample_distribution(s, &v->p, &in, v->gate, ids_got, probs, MOST);
    for (int i = 0; i < n; i++)
        got[ids_got[i]] = (double)probs[i];
    for (int i = 0; i < v->n_z; i++)
        if (fabs(got[i] - v->want[i]) > 2e-5)
            fail_msg("line %d (%s): token %d has %g, not %g", line, v->group, i, got[i],
                     v->want[i]);
    int32_t id = sample_token(s, &v->p, &in);
    if (id != v->drawn)
        fail_msg("line %d (%s): drew %d, not %d", line, v->group, id, v->drawn);
}

static void sample_agrees_with_vectors(void **state)
{
    (void)state;
    FILE *f = fopen("tests/vectors/sample/chain.txt", "r");
    struct sample_scratch *s = sample_scratch_new(MOST, NULL);
    static char line[8192];
    struct vector v;
    int n = 0, groups = 0, in_group = 0;
    char last[32] = "";
    assert_non_null(f);
    for (int at = 1; fgets(line, sizeof line, f); at++) {
        if (line[0] == '#')
            continue;
        read_vector(line, &v);
        check_vector(s, &v, at);
        if (strcmp(v.group, last) != 0) {
            assert_true(n == 0 || in_group >= 200);
            groups++;
            in_group = 0;
            snprintf(last, sizeof last, "%s", v.group);
        }
        in_group++;
        n++;
    }
    fclose(f);
    assert_int_equal(groups, 15);
    assert_true(in_group >= 200 && n >= 3000);
    sample_scratch_free(s);
}

/* Draws against the distribution that the same settings give: chi-square at p = 0.001. */
static void sample_random_steps_follow_their_distributions(void **state)
{
    enum { N = 12, DRAWS = 20000 };
    static const float critical[] = {0,      10.83f, 13.82f, 16.27f, 18.47f, 20.52f,
                                     22.46f, 24.32f, 26.12f, 27.88f, 29.59f, 31.26f};
    static const struct {
        const char *name;
        float t, top_p, min_p, xtc_t, xtc_p;
        int k;
        uint64_t seed;
    } rows[] = {
        {"plain", 1, 1, 0, 0, 0, 0, 1},           {"hot", 2, 1, 0, 0, 0, 0, 2},
        {"cold", .4f, 1, 0, 0, 0, 0, 3},          {"top_k", 1, 1, 0, 0, 0, 5, 4},
        {"top_p", 1, .8f, 0, 0, 0, 0, 5},         {"min_p", 1, 1, .1f, 0, 0, 0, 6},
        {"xtc always", 1, 1, 0, .1f, 1, 0, 7},    {"xtc half", 1, 1, 0, .1f, .5f, 0, 8},
        {"xtc seldom", 1, 1, 0, .05f, .1f, 0, 9}, {"all", .9f, .95f, .02f, .1f, .3f, 8, 1ull << 63},
    };
    (void)state;
    float z[N];
    static int32_t history[DRAWS];
    struct sample_scratch *s = sample_scratch_new(N, NULL);
    for (int i = 0; i < N; i++)
        z[i] = 2.5f - 0.4f * (float)i;
    for (size_t r = 0; r < COUNT(rows); r++) {
        struct sample_params p = sample_params_default();
        p.temperature = rows[r].t;
        p.top_p = rows[r].top_p;
        p.min_p = rows[r].min_p;
        p.xtc_threshold = rows[r].xtc_t;
        p.xtc_probability = rows[r].xtc_p;
        p.top_k = rows[r].k;
        p.seed = rows[r].seed;
        struct sample_input in = {.logits = z, .n_vocab = N, .output = history};
        double want[N] = {0}, seen[N] = {0};
        for (int gate = 0; gate < 2; gate++) {
            int32_t got[N];
            float probs[N];
            double share = gate ? (double)rows[r].xtc_p : 1 - (double)rows[r].xtc_p;
            int n = sample_distribution(s, &p, &in, gate, got, probs, N);
            for (int i = 0; i < n; i++)
                want[got[i]] += share * (double)probs[i];
        }
        for (int i = 0; i < DRAWS; i++) {
            in.n_output = (size_t)i;
            seen[sample_token(s, &p, &in)]++;
        }
        double chi = 0;
        int free_ones = -1;
        for (int i = 0; i < N; i++) {
            assert_true(want[i] > 0 || seen[i] == 0);
            if (want[i] <= 0)
                continue;
            double due = want[i] * DRAWS;
            chi += (seen[i] - due) * (seen[i] - due) / due;
            free_ones++;
        }
        if (chi > (double)critical[free_ones])
            fail_msg("%s: chi-square %.1f with %d degrees of freedom", rows[r].name, chi,
                     free_ones);
    }
    sample_scratch_free(s);
}

/* Neighbouring seeds and positions are no neighbours: pairs of bits fall evenly. */
static void sample_random_numbers_are_independent(void **state)
{
    enum { CELLS = 16, DRAWS = 64000 };
    (void)state;
    for (int way = 0; way < 3; way++) {
        double seen[CELLS * CELLS] = {0}, chi = 0;
        for (uint64_t i = 0; i < DRAWS; i++) {
            uint64_t seed = way == 0 ? 7 : i, pos = way == 0 ? i : 4;
            double a = rng_unit_at(seed, pos);
            double b = way == 2 ? rng_unit_at(seed + 1, pos) : rng_unit_at(seed, pos + 1);
            seen[(int)(a * CELLS) * CELLS + (int)(b * CELLS)]++;
        }
        for (int i = 0; i < CELLS * CELLS; i++) {
            double due = (double)DRAWS / (CELLS * CELLS);
            chi += (seen[i] - due) * (seen[i] - due) / due;
        }
        assert_true(chi > 180 && chi < 330.5); // 255 degrees of freedom, p = 0.001 either way
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sample_agrees_with_vectors),
    cmocka_unit_test(sample_random_steps_follow_their_distributions),
    cmocka_unit_test(sample_random_numbers_are_independent),
};
TEST_FILE(tests)
