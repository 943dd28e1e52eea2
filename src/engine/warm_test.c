/* engine/warm_test.c - the pages of the first KV blocks come without being used, those behind do
 * not, and the end does not wait for them. */
#include "engine/engine_int.h"

#include "base/mem.h"

#include "test.h"

#include <sys/mman.h>
#include <time.h>

static bool there(const struct engine_kv *kv, size_t block)
{
    unsigned char page;
    assert_int_equal(mincore(kv->mem + block * kv->block_bytes, 1, &page), 0);
    return page & 1;
}

static void warm_asks_for_the_first_blocks(void **state)
{
    enum { WARM = ENGINE_WARM / ENGINE_BLOCK };
    struct engine_kv kv = {.n_blocks = WARM + 2, .block_bytes = 4096};
    const size_t bytes = kv.n_blocks * kv.block_bytes;
    (void)state;
    kv.mem = mem_try(bytes);
    assert_non_null(kv.mem);
    if (!mem_populate(kv.mem, kv.block_bytes)) // an older system: pages come when they are used
        skip();
    engine_warm_start(&kv);
    for (int i = 0; i < 10000 && !there(&kv, WARM - 1); i++)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_true(there(&kv, 1));
    assert_true(there(&kv, WARM - 1));
    engine_warm_end(&kv);
    assert_false(there(&kv, WARM + 1));
    assert_int_equal(kv.mem[5 * kv.block_bytes], 0);
    mem_try_free(kv.mem, bytes);
}

static void warm_stops_when_told(void **state)
{
    struct engine_kv kv = {.n_blocks = ENGINE_WARM / ENGINE_BLOCK, .block_bytes = 4096};
    const size_t bytes = kv.n_blocks * kv.block_bytes;
    (void)state;
    kv.mem = mem_try(bytes);
    assert_non_null(kv.mem);
    atomic_store(&kv.warm_stop, true);
    engine_warm_start(&kv);
    engine_warm_end(&kv);
    engine_warm_end(&kv); // and again does no harm
    assert_false(there(&kv, 0));
    mem_try_free(kv.mem, bytes);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(warm_asks_for_the_first_blocks),
    cmocka_unit_test(warm_stops_when_told),
};
TEST_FILE(tests)
