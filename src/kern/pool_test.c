/* kern/pool_test.c - the thread pool: every chunk once, phases in order, sleepers woken, help for
 * a thread that is held up, reads asked for in time, cancel between phases; and the CPU masks. */
#include "kern/pool.h"

#include "kern/cpu.h"

#include "test.h"

#include <pthread.h>
#include <sched.h>
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

/* Chunk 0 ends when all others have: its thread's other chunks must be done by somebody else. */
static void wait_for_others(void *arg, int chunk, int worker)
{
    _Atomic int *done = arg;
    (void)worker;
    while (chunk == 0 && atomic_load(done) % CHUNKS != CHUNKS - 1)
        sched_yield();
    atomic_fetch_add(done, 1);
}

static void pool_helps_a_thread_that_is_held_up(void **state)
{
    (void)state;
    static const int threads[] = {2, 3, 64}; // 64: some have no chunks of their own
    for (size_t i = 0; i < COUNT(threads); i++) {
        struct kern_pool *p;
        struct err e;
        _Atomic int done = 0;
        assert_true(kern_pool_open(&p, threads[i], &e));
        const struct kern_phase phase = {wait_for_others, &done, CHUNKS};
        for (int run = 1; run <= 20; run++) {
            assert_true(kern_pool_run(p, &phase, 1, NULL));
            assert_int_equal(atomic_load(&done), run * CHUNKS);
        }
        kern_pool_close(p);
    }
}

struct reader {
    _Atomic int asked[CHUNKS]; // by first chunk
    _Atomic bool begun, late;
    unsigned char memory[4096];
};

static void begin(void *arg, int chunk, int worker)
{
    struct reader *r = arg;
    (void)chunk;
    (void)worker;
    atomic_store(&r->begun, true);
}

static void note_reads(void *arg, int chunk, struct kern_reads *out)
{
    struct reader *r = arg;
    atomic_fetch_add(&r->asked[chunk], 1);
    if (atomic_load(&r->begun))
        atomic_store(&r->late, true);
    out->part[out->n++] = (struct kern_range){r->memory, sizeof r->memory};
}

static void pool_asks_what_is_read_next(void **state)
{
    (void)state;
    struct err e;
    for (int threads = 1; threads <= 3; threads++) {
        struct kern_pool *p;
        struct reader r = {.begun = false};
        struct job j = {.sum = 0};
        assert_true(kern_pool_open(&p, threads, &e));
        const struct kern_phase phases[] = {
            {count_hits, &j, CHUNKS, NULL}, // asks past the phases that say nothing
            {sum_hits, &j, 1, NULL},
            {begin, &r, 0, note_reads}, // skipped, so not asked
            {begin, &r, 30, note_reads},
        };
        int runs = 200;
        for (int run = 0; run < runs; run++) {
            atomic_store(&r.begun, false);
            assert_true(kern_pool_run(p, phases, COUNT(phases), NULL));
        }
        assert_false(atomic_load(&r.late));
        // The caller's own chunks may all be taken by others, but it runs single chunks itself.
        assert_int_equal(atomic_load(&r.asked[0]), runs);
        for (int c = 1; c < CHUNKS; c++) {
            int asked = atomic_load(&r.asked[c]);
            bool begins_lane = (threads == 2 && c == 15) || (threads == 3 && c % 10 == 0 && c < 30);
            assert_true(begins_lane ? asked <= runs : asked == 0);
        }
        kern_pool_close(p);
    }
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
    cmocka_unit_test(pool_helps_a_thread_that_is_held_up),
    cmocka_unit_test(pool_asks_what_is_read_next),
    cmocka_unit_test(pool_stops_between_phases),
    cmocka_unit_test(pool_refuses_absurd_counts),
    cmocka_unit_test(cpu_masks_have_names),
};
TEST_FILE(tests)
