/* engine/warm_test.c - pages come without being used, those behind do not, and the end does not
 * wait for them. */
#include "engine/engine_int.h"

#include "base/mem.h"

#include "test.h"

#include <sys/mman.h>
#include <time.h>

#define PAGE  4096
#define BYTES ((size_t)300 * PAGE) // of a part; too few for huge pages

static unsigned char *part_of(struct engine_warm *w, int i)
{
    unsigned char *mem = mem_try(BYTES + PAGE);
    assert_non_null(mem);
    w->part[i].mem = mem;
    w->part[i].bytes = BYTES;
    return mem;
}

static bool there(unsigned char *at)
{
    unsigned char page;
    assert_int_equal(mincore(at, 1, &page), 0);
    return page & 1;
}

static void warm_asks_for_all_parts(void **state)
{
    struct engine_warm w = {0};
    unsigned char *mem[2] = {part_of(&w, 0), part_of(&w, 1)};
    (void)state;
    if (!mem_populate(mem[0], PAGE)) // an older system: pages come when they are used
        skip();
    engine_warm_start(&w);
    for (int i = 0; i < 10000 && !there(mem[1] + BYTES - PAGE); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    engine_warm_end(&w);
    for (int i = 0; i < 2; i++) {
        assert_true(there(mem[i]));
        assert_true(there(mem[i] + BYTES - PAGE));
        assert_false(there(mem[i] + BYTES));
        assert_int_equal(mem[i][5 * PAGE], 0);
        mem_try_free(mem[i], BYTES + PAGE);
    }
}

static void warm_waits_for_the_end_of_steps(void **state)
{
    struct engine_warm w = {.steps = 1};
    unsigned char *mem[2] = {part_of(&w, 0), part_of(&w, 1)};
    (void)state;
    engine_warm_start(&w);
    nanosleep(&(struct timespec){.tv_nsec = 60000000}, NULL);
    assert_false(there(mem[0]));
    atomic_store(&w.steps, 2);
    for (int i = 0; i < 10000 && !there(mem[0]) && mem_populate(mem[1], PAGE); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_int_equal(there(mem[0]), mem_populate(mem[1], PAGE));
    engine_warm_end(&w);
    for (int i = 0; i < 2; i++)
        mem_try_free(mem[i], BYTES + PAGE);
}

static void warm_stops_when_told(void **state)
{
    struct engine_warm w = {0};
    unsigned char *mem[2] = {part_of(&w, 0), part_of(&w, 1)};
    (void)state;
    atomic_store(&w.stop, true);
    engine_warm_start(&w);
    engine_warm_end(&w);
    engine_warm_end(&w); // and again does no harm
    for (int i = 0; i < 2; i++) {
        assert_false(there(mem[i]));
        mem_try_free(mem[i], BYTES + PAGE);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(warm_asks_for_all_parts),
    cmocka_unit_test(warm_waits_for_the_end_of_steps),
    cmocka_unit_test(warm_stops_when_told),
};
TEST_FILE(tests)
