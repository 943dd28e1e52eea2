/* sched/rank_test.c - who gives way is one order over all, and no tenant can better its lot. */
#include "sched/sched_int.h"

#include "test.h"

#define JOBS    6
#define CHOICES 2
#define SEQS    (JOBS * CHOICES)

struct crowd {
    struct sched sched;
    struct share shares[3];
    struct sched_job jobs[JOBS], *active[JOBS];
    struct seq seqs[JOBS][CHOICES];
};

static void make(struct crowd *w, uint64_t *rng)
{
    *w = (struct crowd){0};
    w->sched.active = w->active;
    w->sched.n_active = JOBS;
    w->sched.shares = &w->shares[0];
    w->shares[0].next = &w->shares[1];
    w->shares[1].next = &w->shares[2];
    uint64_t born = 0;
    for (int i = 0; i < JOBS; i++) {
        struct sched_job *j = w->active[i] = &w->jobs[i];
        j->share = &w->shares[test_random(rng) % 3];
        j->priority = (int)(test_random(rng) % 3);
        j->n_choices = CHOICES;
        j->seqs = w->seqs[i];
        for (int c = 0; c < CHOICES; c++)
            j->seqs[c] = (struct seq){.job = j, .choice = c, .state = SEQ_DECODE, .born = born++};
    }
}

static struct seq *seq_at(struct crowd *w, int i)
{
    return &w->seqs[i / CHOICES][i % CHOICES];
}

static void sched_rank_is_one_order(void **state)
{
    (void)state;
    uint64_t rng = 11;
    for (int round = 0; round < 200; round++) {
        struct crowd w;
        make(&w, &rng);
        int before[SEQS] = {0};
        for (int a = 0; a < SEQS; a++)
            for (int b = 0; b < SEQS; b++)
                before[b] += sched_rank_before(&w.sched, seq_at(&w, a), seq_at(&w, b));
        uint64_t places = 0; // a total order: each place is taken once
        for (int i = 0; i < SEQS; i++)
            places |= (uint64_t)1 << before[i];
        assert_int_equal(places, ((uint64_t)1 << SEQS) - 1);
        for (int a = 0; a < SEQS; a++)
            for (int b = 0; b < SEQS; b++) {
                struct sched_job *x = seq_at(&w, a)->job, *y = seq_at(&w, b)->job;
                if (x->share == y->share && x->priority < y->priority)
                    assert_true(before[a] < before[b]);
            }
    }
}

static void sched_rank_gains_nothing_from_priorities_against_others(void **state)
{
    (void)state;
    uint64_t rng = 12;
    for (int round = 0; round < 200; round++) {
        struct crowd w;
        int won[2] = {0};
        make(&w, &rng);
        for (int urgent = 0; urgent < 2; urgent++) {
            for (int i = 0; urgent && i < JOBS; i++)
                if (w.jobs[i].share == &w.shares[0])
                    w.jobs[i].priority = -1 - (int)(test_random(&rng) % 3);
            for (int a = 0; a < SEQS; a++)
                for (int b = 0; b < SEQS; b++)
                    if (seq_at(&w, a)->job->share == &w.shares[0] &&
                        seq_at(&w, b)->job->share != &w.shares[0])
                        won[urgent] += sched_rank_before(&w.sched, seq_at(&w, a), seq_at(&w, b));
        }
        assert_int_equal(won[0], won[1]);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(sched_rank_is_one_order),
    cmocka_unit_test(sched_rank_gains_nothing_from_priorities_against_others),
};
TEST_FILE(tests)
