/* kern/pool_test.c - the thread pool: every chunk once, phases in order, sleepers woken, cancel
 * between phases; and the CPU masks. */
#include "kern/pool.h"

#include "kern/cpu.h"

#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define CHUNKS 37

struct job {
    int hits[CHUNKS]; // plain: a data race here is the pool's fault
    int sum;
    _Atomic bool *cancel;
};

static void count_hits(void *arg, int chunk, int worker)
{
    struct job *j = arg;
    (void)worker;
    j->hits[chunk]++;
}

static void sum_hits(void *arg, int chunk, int worker)
{
    struct job *j = arg;
    (void)chunk;
    (void)worker;
    int sum = 0;
    for (int i = 0; i < CHUNKS; i++)
        sum += j->hits[i];
    j->sum = sum;
}

static void set_cancel(void *arg, int chunk, int worker)
{
    struct job *j = arg;
    (void)worker;
    if (chunk == 1)
        atomic_store(j->cancel, true);
}

static void pool_runs_every_chunk_once(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 4};
    for (size_t i = 0; i < COUNT(threads); i++) {
        struct kern_pool *p;
        struct err e;
        struct job j = {.sum = 0};
        assert_true(kern_pool_open(&p, threads[i], &e));
        assert_int_equal(kern_pool_threads(p), threads[i]);
        const struct kern_phase phases[] = {
            {count_hits, &j, CHUNKS}, {sum_hits, &j, 1}, {count_hits, &j, 0},
            {count_hits, &j, 5},      {sum_hits, &j, 1},
        };
        int runs = 10000;
        for (int run = 1; run <= runs; run++) {
            assert_true(kern_pool_run(p, phases, COUNT(phases), NULL));
            if (j.sum != run * (CHUNKS + 5))
                fail_msg("%d threads, run %d: %d chunks done", threads[i], run, j.sum);
            if (run % 2500 == 0) { // long enough for the workers to fall asleep
                struct timespec nap = {.tv_nsec = 2000000};
                nanosleep(&nap, NULL);
            }
        }
        for (int c = 0; c < CHUNKS; c++)
            assert_int_equal(j.hits[c], c < 5 ? 2 * runs : runs);
        kern_pool_close(p);
    }
    kern_pool_close(NULL);
}

static void pool_stops_between_phases(void **state)
{
    (void)state;
    struct kern_pool *p;
    struct err e;
    _Atomic bool cancel = false;
    struct job j = {.cancel = &cancel};
    assert_true(kern_pool_open(&p, 4, &e));
    const struct kern_phase phases[] = {
        {count_hits, &j, CHUNKS}, {set_cancel, &j, 8}, {count_hits, &j, CHUNKS}};
    for (int run = 1; run <= 1000; run++) {
        atomic_store(&cancel, false);
        assert_false(kern_pool_run(p, phases, 3, &cancel));
        for (int c = 0; c < CHUNKS; c++)
            assert_int_equal(j.hits[c], run);
    }
    atomic_store(&cancel, false);
    assert_true(kern_pool_run(p, phases, 1, &cancel));
    kern_pool_close(p);
}

static void pool_refuses_absurd_counts(void **state)
{
    (void)state;
    struct kern_pool *p = NULL;
    struct err e;
    assert_false(kern_pool_open(&p, 0, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_false(kern_pool_open(&p, 100000, &e));
    assert_null(p);
}

static void cpu_masks_have_names(void **state)
{
    (void)state;
    unsigned mask = 1;
    struct err e;
    char names[128], tiny[4];
    assert_true(cpu_parse_mask(STR("scalar"), &mask, &e));
    assert_int_equal(mask, 0);
    assert_true(cpu_parse_mask(STR("avx2"), &mask, &e));
    assert_int_equal(mask, CPU_AVX2 | CPU_FMA | CPU_F16C);
    assert_string_equal(cpu_names(mask, names, sizeof names), "avx2 fma f16c");
    assert_string_equal(cpu_names(0, names, sizeof names), "");
    cpu_names(mask, tiny, sizeof tiny);
    assert_true(strlen(tiny) < sizeof tiny);
    mask = 77;
    assert_false(cpu_parse_mask(STR("sse9"), &mask, &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_non_null(strstr(e.msg, "avx2"));
    assert_int_equal(mask, 77);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(pool_runs_every_chunk_once),
    cmocka_unit_test(pool_stops_between_phases),
    cmocka_unit_test(pool_refuses_absurd_counts),
    cmocka_unit_test(cpu_masks_have_names),
};
TEST_FILE(tests)
