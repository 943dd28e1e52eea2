/* sched/place_test.c - places go to and fro between tenants: each gets its share of the tokens,
 * whatever the other holds, and an answer that had to wait in between is the undisturbed one. */
#include "sched/world_test.h"

#include "base/clock.h"
#include "base/mem.h"

/* ---- shares ---- */

/* Two tenants that always have more to ask than there are places. */
struct contest {
    const char *name;
    int max_seqs;
    size_t kv_tokens; // for contexts of 512
    int tokens[2];    // of an answer, 0: to the end of the context
    int choices[2];
    int priority; // of the first
};

struct side {
    int tokens, choices, priority, live;
    uint64_t had, ended;
};

static void ask(struct world *w, struct side *side, str tenant, int i)
{
    int32_t prompt[128];
    struct err e;
    size_t n = size_min(world_prompt(w, i % 7, prompt), 12);
    struct sched_request r = world_request(prompt, n, side->tokens, (uint64_t)i);
    r.tenant = tenant;
    r.n_choices = side->choices;
    r.priority = side->priority;
    if (!sched_submit(w->sched, &r, side, &e))
        fail_msg("%s", e.msg);
    side->live++;
}

/* Counts one piece; true when a job ended. */
static bool count(struct world *w)
{
    struct sched_piece *p = queue_pop(w->out, 60000);
    assert_non_null(p);
    struct side *side = sched_job_arg(p->job);
    bool ended = p->what == SCHED_ENDED;
    if (p->what == SCHED_STARTED)
        side->had += sched_job_stats(p->job)->n_prompt - p->n_cached;
    if (p->what == SCHED_TEXT)
        side->had += (uint64_t)p->n_tokens;
    if (ended) {
        side->live--;
        side->ended++;
        sched_job_free(p->job);
    }
    sched_piece_free(p);
    return ended;
}

/* What the second has of the tokens, in percent, while both compete; the first was there before. */
static double compete(const struct contest *c, uint64_t n_tokens)
{
    struct sched_conf sc = sched_conf_default();
    struct world w;
    struct side sides[2];
    bool settled = false;
    int i = 0;
    sc.max_seqs = c->max_seqs;
    sc.n_ctx = 512;
    world_open(&w, sc, c->kv_tokens);
    for (int k = 0; k < 2; k++)
        sides[k] = (struct side){.tokens = c->tokens[k], .choices = c->choices[k]};
    sides[0].priority = c->priority;
    static const str names[2] = {STR_INIT("flood"), STR_INIT("other")};
    while (sides[0].live < c->max_seqs + 2)
        ask(&w, &sides[0], names[0], i++);
    while (sides[0].had < 100)
        count(&w);
    for (;;) {
        for (int k = 0; k < 2; k++)
            while (sides[k].live < c->max_seqs + 2)
                ask(&w, &sides[k], names[k], i++);
        if (!settled && sides[1].had >= 1000) { // until here it has only come
            settled = true;
            sides[0].had = sides[1].had = 0;
        }
        if (settled && sides[0].had + sides[1].had >= n_tokens)
            break;
        count(&w);
    }
    double share = 100.0 * (double)sides[1].had / (double)(sides[0].had + sides[1].had);
    sched_close(w.sched);
    while (sides[0].live + sides[1].live > 0)
        count(&w);
    world_close(&w);
    return share;
}

static void sched_a_flood_that_holds_the_places_leaves_others_their_share(void **state)
{
    (void)state;
    static const struct contest contests[] = {
        {"one place", 1, 4096, {0, 40}, {1, 1}, 0},
        {"two places", 2, 4096, {0, 40}, {1, 1}, 0},
        {"three places", 3, 4096, {0, 40}, {1, 1}, 0},
        {"four places, one said to be urgent", 4, 4096, {0, 40}, {1, 1}, -1},
        {"sixteen places", 16, 16384, {0, 40}, {1, 1}, 0},
        {"long answers of both", 3, 4096, {0, 0}, {1, 1}, 0},
        {"several choices of the one", 4, 4096, {0, 40}, {4, 1}, 0},
        {"several choices of the other", 4, 4096, {0, 40}, {1, 3}, 0},
        {"memory for one", 4, 512, {0, 0}, {1, 1}, 0},
        {"memory for four of sixteen", 16, 2048, {0, 40}, {1, 1}, 0},
    };
    for (size_t i = 0; i < COUNT(contests); i++) {
        // A tenant is ahead by what its places are good for, now and then: nothing among so many.
        double share = compete(&contests[i], 2000 + 400 * (uint64_t)contests[i].max_seqs);
        if (share < 45 || share > 55)
            fail_msg("%s: the other had %.1f %% of the tokens", contests[i].name, share);
    }
}

/* ---- the same answers ---- */

#define N_SENT 6

/* Answers that have something to lose on the way. */
static void make_request(struct world *w, int i, int32_t *prompt, struct sched_request *r)
{
    static const str stops[] = {STR_INIT("never said"), STR_INIT("e")};
    static const uint64_t seeds[] = {5, 6};
    size_t n = world_prompt(w, i + 2, prompt);
    *r = world_request(prompt, n, 300, (uint64_t)i);
    r->tenant = STR("a");
    switch (i) {
    case 0: break;
    case 1:
        r->want_logprobs = true;
        r->n_top = 3;
        break;
    case 2:
        r->stops = stops;
        r->n_stops = COUNT(stops);
        r->min_tokens = 180; // what comes before is text like any other
        break;
    case 3:
        r->n_choices = 2;
        r->seeds = seeds;
        break;
    case 4:
        r->sample.repetition_penalty = 1.3f;
        r->sample.temperature = 0.8f;
        break;
    case 5: r->sample.temperature = 0; break; // repeats itself: drafts come true
    }
}

/* Runs them all; with `others`, another tenant's requests come in between and want their places.
 * Returns how many sequences gave their blocks back. */
static uint64_t run_all(struct result *results, int others)
{
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result *intruders = mem_calloc((size_t)others, sizeof *intruders);
    struct sched_counts c;
    int32_t prompt[128];
    struct sched_request r;
    sc.max_seqs = 3;
    sc.n_ctx = 512;
    world_open(&w, sc, 4096);
    struct sched_job *jobs[N_SENT];
    for (int i = 0; i < N_SENT; i++) {
        make_request(&w, i, prompt, &r);
        jobs[i] = world_submit(&w, &r, &results[i]);
        sched_pause(jobs[i], others > 0); // until the others are there
    }
    for (int i = 0; i < others; i++) {
        size_t n = world_prompt(&w, i, prompt);
        r = world_request(prompt, n, 90, 1);
        r.tenant = STR("b");
        world_submit(&w, &r, &intruders[i]);
    }
    for (int i = 0; i < N_SENT; i++)
        sched_pause(jobs[i], false);
    world_finish(&w, results, N_SENT);
    world_finish(&w, intruders, others);
    for (int i = 0; i < others; i++)
        result_free(&intruders[i]);
    mem_free(intruders);
    sched_counts(w.sched, &c);
    world_close(&w);
    return c.preempted;
}

static void sched_an_answer_that_lost_its_place_is_the_undisturbed_one(void **state)
{
    (void)state;
    struct result alone[N_SENT], sent[N_SENT];
    assert_int_equal(run_all(alone, 0), 0);
    assert_true(run_all(sent, 16) > 4);
    for (int i = 0; i < N_SENT; i++) {
        assert_int_equal(sent[i].error.code, ERR_NONE);
        for (int c = 0; c < RESULT_CHOICES; c++) {
            assert_int_equal(sent[i].finish[c], alone[i].finish[c]);
            assert_int_equal(sent[i].n_tokens[c], alone[i].n_tokens[c]);
            check_str(buf_as_str(&sent[i].pieces[c]), buf_as_str(&alone[i].pieces[c]), "pieces");
        }
    }
    for (int i = 0; i < N_SENT; i++) {
        result_free(&alone[i]);
        result_free(&sent[i]);
    }
}

/* ---- places that nobody uses ---- */

static void sched_a_reader_that_stays_away_loses_its_place(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result away, other;
    int32_t prompt[128];
    sc.max_seqs = 1;
    sc.n_ctx = 512;
    world_open(&w, sc, 1024);
    size_t n = world_prompt(&w, 1, prompt);
    uint64_t now = clock_mono_ms();
    clock_freeze(now, 0);
    struct sched_request r = world_request(prompt, n, 300, 1);
    r.tenant = STR("a");
    struct sched_job *j = world_submit(&w, &r, &away);
    while (!away.started)
        world_take(&w);
    sched_pause(j, true);
    r.tenant = STR("b");
    r.max_tokens = 20;
    world_submit(&w, &r, &other);
    clock_freeze(now + 500, 0); // it may have looked away for a moment
    struct sched_piece *p;
    while ((p = queue_pop(w.out, 50))) {
        assert_true(sched_job_arg(p->job) == &away);
        sched_piece_free(p);
    }
    while (!other.ended) {
        while (queue_count(w.out) == 0)
            clock_freeze(now += 10, 0); // whenever the engine sees that it is away
        world_take(&w);
    }
    assert_int_equal(other.n_tokens[0], 20);
    sched_pause(j, false);
    world_finish(&w, &away, 1);
    assert_int_equal(away.n_tokens[0], 300);
    clock_thaw();
    result_free(&away);
    result_free(&other);
    world_close(&w);
}

/* What waits again is cancelled and timed out like anything that waits. */
static void sched_cancel_ends_what_lost_its_place(void **state)
{
    (void)state;
    struct world w;
    struct sched_conf sc = sched_conf_default();
    struct result first, second;
    struct sched_counts c;
    int32_t prompt[128];
    sc.max_seqs = 1;
    sc.n_ctx = 4096;
    world_open(&w, sc, 16384);
    size_t n = world_prompt(&w, 1, prompt);
    struct sched_request r = world_request(prompt, n, 4000, 1);
    r.tenant = STR("a");
    struct sched_job *j = world_submit(&w, &r, &first);
    while (!first.started)
        world_take(&w);
    r.tenant = STR("b");
    struct sched_job *k = world_submit(&w, &r, &second);
    while (!second.started)
        world_take(&w);
    sched_pause(k, true); // it keeps the place now
    sched_counts(w.sched, &c);
    assert_int_equal(c.waiting, 1);
    sched_cancel(j);
    world_finish(&w, &first, 1);
    assert_int_equal(first.error.code, ERR_CANCELED);
    sched_cancel(k);
    world_finish(&w, &second, 1);
    sched_counts(w.sched, &c);
    assert_int_equal(c.waiting, 0);
    result_free(&first);
    result_free(&second);
    world_close(&w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_a_flood_that_holds_the_places_leaves_others_their_share),
    cmocka_unit_test(sched_an_answer_that_lost_its_place_is_the_undisturbed_one),
    cmocka_unit_test(sched_a_reader_that_stays_away_loses_its_place),
    cmocka_unit_test(sched_cancel_ends_what_lost_its_place),
};
TEST_FILE(tests)
