/* sched/stop_test.c - stop texts found wherever the stream is cut, and nothing of them let out. */
#include "sched/sched_int.h"

#include "test.h"

static void stop_matcher_agrees_with_search_at_every_cut(void **state)
{
    static const struct {
        const char *name, *text, *stops[3];
        size_t n_stops;
    } rows[] = {
        {"plain", "one two three", {"two"}, 1},
        {"none", "one two three", {"four"}, 1},
        {"at the start", "one two", {"one"}, 1},
        {"at the end", "one two", {"two"}, 1},
        {"a false start before it", "aaaaab", {"aab"}, 1},
        {"two kinds", "the quick brown fox", {"brown", "quick"}, 2},
        {"one in the other", "abcdef", {"bcd", "cd"}, 2},
        {"unfinished at the end", "go on <sto", {"<stop>"}, 1},
        {"bytes of UTF-8", "h\xc3\xa9llo w\xc3\xb6rld", {"w\xc3\xb6"}, 1},
        {"no stop texts", "anything", {NULL}, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        str text = str_c(rows[i].text), stops[3];
        ptrdiff_t first = -1;
        for (size_t k = 0; k < rows[i].n_stops; k++) {
            stops[k] = str_c(rows[i].stops[k]);
            ptrdiff_t at = str_find(text, stops[k]);
            if (at >= 0 && (first < 0 || at < first))
                first = at;
        }
        str want = first < 0 ? text : str_sub(text, 0, (size_t)first);
        for (size_t step = 1; step <= text.n; step++) {
            struct stop_match m;
            struct buf out = BUF_INIT(1000);
            bool found = false;
            stop_init(&m, stops, rows[i].n_stops);
            for (size_t at = 0; at < text.n && !found; at += step) {
                found = stop_feed(&m, str_sub(text, at, step), &out);
                assert_true(str_starts(want, buf_as_str(&out))); // never more than may be seen
            }
            if (!found)
                stop_flush(&m, &out);
            assert_int_equal(found, first >= 0);
            // In large steps two stop texts may be in one; the earlier start wins.
            check_str(buf_as_str(&out), want, rows[i].name);
            buf_free(&out);
            stop_fini(&m);
        }
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(stop_matcher_agrees_with_search_at_every_cut),
};
TEST_FILE(tests)
