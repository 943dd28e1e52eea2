/* base/base_test.c - strings, buffers, arenas, UTF-8, queues, errors. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/rng.h"
#include "base/utf8.h"
#include "test.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

static void str_numbers_are_strict(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t want;
    } rows[] = {
        {"0", true, 0},
        {"-1", true, -1},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {" 1", false, 0},
        {"1x", false, 0},
        {"+1", false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t v = 42;
        assert_int_equal(str_to_i64(str_c(rows[i].text), &v), rows[i].ok);
        assert_int_equal(v, rows[i].ok ? rows[i].want : 42);
    }
    double d = 0;
    assert_true(str_to_double(STR("-1.5e3"), &d));
    assert_true(d == -1500.0);
    assert_false(str_to_double(STR("inf"), &d));
    assert_false(str_to_double(STR("0x10"), &d));
    assert_false(str_to_double(STR("1e999"), &d));
}

static void str_cut_walks_fields(void **state)
{
    (void)state;
    str rest = STR("a,,b"), part;
    assert_true(str_cut(&rest, ',', &part));
    check_str(part, STR("a"), "first");
    assert_true(str_cut(&rest, ',', &part));
    check_str(part, STR(""), "empty");
    assert_true(str_cut(&rest, ',', &part));
    check_str(part, STR("b"), "last");
    assert_false(str_cut(&rest, ',', &part));
}

static void buf_refuses_past_its_maximum(void **state)
{
    (void)state;
    struct buf b = BUF_INIT(10);
    assert_true(buf_c(&b, "12345"));
    assert_false(buf_printf(&b, "%s", "678901"));
    assert_true(b.full);
    check_bytes(&b, "12345", "nothing of what did not fit");
    assert_true(buf_c(&b, "67890"));
    assert_string_equal(buf_cstr(&b), "1234567890");
    buf_consume(&b, 8);
    check_bytes(&b, "90", "front dropped");
    buf_free(&b);
}

static void arena_reports_its_cap(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 100);
    char *p = arena_alloc(&a, 50); // 64 with padding
    assert_non_null(p);
    assert_int_equal((uintptr_t)p % 16, 0);
    assert_null(arena_alloc(&a, 50));
    assert_true(a.full);
    assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
    assert_non_null(arena_alloc(&a, 32));
    arena_fini(&a);
    check_str(arena_str(&a, STR("again")), STR("again"), "usable after fini");
    arena_fini(&a);
}

static void utf8_follows_the_rfc(void **state)
{
    static const struct {
        const char *bytes;
        bool valid;
        size_t whole;
    } rows[] = {
        {"abc", true, 3},
        {"\xc3\xa9", true, 2},
        {"a\xc3", false, 1},
        {"\xe2\x82", false, 0},
        {"\xf0\x9f\x98\x80", true, 4},
        {"x\xf0\x9f\x98", false, 1},
        {"\xc0\x80", false, 2},     // overlong
        {"\xed\xa0\x80", false, 3}, // surrogate
        {"\xf4\x90\x80\x80", false, 4},
        {"\x80", false, 1},
        {"\xff", false, 1},
        {"\xed\xa0", false, 2}, // can never become a character
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(utf8_valid(str_c(rows[i].bytes)), rows[i].valid);
        assert_int_equal(utf8_whole(str_c(rows[i].bytes)), rows[i].whole);
    }
    for (uint32_t cp = 0; cp <= 0x110000; cp += 7) {
        char out[4];
        size_t n = utf8_put(out, cp);
        str s = str_n(out, n);
        if (n)
            assert_int_equal(utf8_next(&s), cp);
        else
            assert_true((cp >= 0xd800 && cp < 0xe000) || cp > 0x10ffff);
    }
}

static void err_context_goes_in_front(void **state)
{
    (void)state;
    struct err e;
    assert_false(err_set_at(&e, ERR_INPUT, "3:7", "bad %s", "token"));
    assert_false(err_ctx(&e, "loading %s", "m.gguf"));
    assert_string_equal(e.msg, "loading m.gguf: bad token");
    assert_string_equal(e.where, "3:7");
    errno = ENOENT;
    err_errno(&e, ERR_IO, "open x");
    assert_string_equal(e.msg, "open x: No such file or directory");
}

struct race {
    struct queue *q;
    long sum;
};

static void *take_all(void *arg)
{
    struct race *r = arg;
    void *item;
    while ((item = queue_pop(r->q, -1)))
        r->sum += (long)(intptr_t)item;
    return NULL;
}

static void queue_passes_everything_once(void **state)
{
    (void)state;
    struct race a = {queue_new(16, true), 0}, b = {a.q, 0};
    pthread_t ta, tb;
    pthread_create(&ta, NULL, take_all, &a);
    pthread_create(&tb, NULL, take_all, &b);
    long want = 0;
    for (intptr_t i = 1; i <= 10000; i++) {
        while (!(i % 3 ? queue_put(a.q, (void *)i) : queue_push(a.q, (void *)i))) {
            queue_tell(a.q);
            sched_yield();
        }
        want += i;
    }
    queue_tell(a.q);
    queue_close(a.q);
    pthread_join(ta, NULL);
    pthread_join(tb, NULL);
    assert_int_equal(a.sum + b.sum, want);
    assert_false(queue_push(a.q, &a));
    queue_free(a.q);
}

static void queue_fd_tells_when_items_wait(void **state)
{
    (void)state;
    struct queue *q = queue_new(2, true);
    struct pollfd p = {.fd = queue_fd(q), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 0), 0);
    int x, y, z;
    assert_true(queue_push(q, &x));
    assert_true(queue_push(q, &y));
    assert_false(queue_push(q, &z));
    assert_ptr_equal(queue_pop(q, 0), &x);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_ptr_equal(queue_pop(q, 0), &y);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_null(queue_pop(q, 1));

    // put quietly: there, but nobody is told
    assert_true(queue_put(q, &x));
    assert_true(queue_put(q, &y));
    assert_false(queue_put(q, &z));
    assert_int_equal(queue_count(q), 2);
    assert_int_equal(poll(&p, 1, 0), 0);
    assert_ptr_equal(queue_pop(q, 0), &x);
    assert_int_equal(poll(&p, 1, 0), 0);
    queue_tell(q);
    assert_int_equal(poll(&p, 1, 0), 1);
    assert_true(queue_put(q, &z));
    assert_ptr_equal(queue_pop(q, 0), &y);
    assert_int_equal(poll(&p, 1, 0), 1); // until it is empty
    assert_ptr_equal(queue_pop(q, 0), &z);
    assert_int_equal(poll(&p, 1, 0), 0);
    queue_tell(q); // of nothing
    assert_int_equal(poll(&p, 1, 0), 0);
    queue_close(q);
    assert_false(queue_put(q, &x));
    queue_free(q);
}

static void ids_are_long_and_different(void **state)
{
    (void)state;
    char a[ID_MAX], b[ID_MAX];
    id_new(a, "chatcmpl-");
    id_new(b, "chatcmpl-");
    assert_int_equal(strlen(a), 9 + 24);
    assert_string_not_equal(a, b);
    rng_fix(7);
    id_new(a, "x");
    rng_fix(7);
    id_new(b, "x");
    rng_fix(0);
    assert_string_equal(a, b);
}

static void rng_depends_on_both_words(void **state)
{
    (void)state;
    double sum = 0;
    for (uint64_t i = 0; i < 10000; i++) {
        double u = rng_unit_at(1, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
    }
    assert_true(sum > 4900 && sum < 5100);
    assert_true(rng_at(1, 2) != rng_at(2, 1));
}

static void log_levels_are_per_room(void **state)
{
    (void)state;
    assert_true(log_configure(STR("warn,sched=debug")));
    assert_false(log_enabled(LOG_INFO, "app.start"));
    assert_true(log_enabled(LOG_DEBUG, "sched.step"));
    assert_false(log_configure(STR("loud")));
    assert_true(log_configure(STR("info")));
    char out[64];
    assert_string_equal(log_quote(out, sizeof out, STR("a \"b\"\n")), "\"a \\\"b\\\"\\u000a\"");
    assert_string_equal(log_quote(out, sizeof out, STR("plain")), "plain");
}

static void mem_populate_keeps_what_is_there(void **state)
{
    const size_t size = 300000;
    (void)state;
    unsigned char *p = mem_try(size);
    assert_non_null(p);
    for (size_t i = 0; i < size; i += 5000)
        p[i] = (unsigned char)(i / 5000 + 1);
    if (mem_populate(p + 100, size - 200)) { // false on systems that know no such thing
        const size_t page = (size_t)sysconf(_SC_PAGESIZE);
        unsigned char there[300000 / 4096 + 1];
        assert_int_equal(mincore(p, size, there), 0);
        for (size_t i = 1; (i + 1) * page < size - 100; i++)
            assert_int_equal(there[i] & 1, 1);
    }
    assert_true(mem_populate(p + 1, 4000)); // no whole page
    for (size_t i = 0; i < size; i++)
        assert_int_equal(p[i], i % 5000 == 0 ? (unsigned char)(i / 5000 + 1) : 0);
    mem_try_free(p, size);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(mem_populate_keeps_what_is_there),
    cmocka_unit_test(str_numbers_are_strict),
    cmocka_unit_test(str_cut_walks_fields),
    cmocka_unit_test(buf_refuses_past_its_maximum),
    cmocka_unit_test(arena_reports_its_cap),
    cmocka_unit_test(utf8_follows_the_rfc),
    cmocka_unit_test(err_context_goes_in_front),
    cmocka_unit_test(queue_passes_everything_once),
    cmocka_unit_test(queue_fd_tells_when_items_wait),
    cmocka_unit_test(ids_are_long_and_different),
    cmocka_unit_test(rng_depends_on_both_words),
    cmocka_unit_test(log_levels_are_per_room),
};
TEST_FILE(tests)
