/* http/fetch_test.c - where URLs lead; what is fetched is tested by those who fetch (tools/). */
#include "http/fetch.h"

#include "test.h"

static void urls_are_joined(void **state)
{
    static const struct {
        const char *base, *relative, *want; // NULL: no URL
        bool same;
    } rows[] = {
        {"http://h/a/sse", "/post?s=1", "http://h/post?s=1", true},
        {"http://h/a/sse", "post", "http://h/a/post", true},
        {"http://h:80/a", "http://H/b", "http://H/b", true},
        {"https://h/a", "https://h:443/b", "https://h:443/b", true},
        {"http://h/a", "https://h/b", "https://h/b", false},
        {"http://h/a", "http://h:8080/b", "http://h:8080/b", false},
        {"http://h/a", "//other/b", "http://other/b", false},
        {"http://h/a", "http://h@other/b", "http://h@other/b", false},
        {"http://h/a", "http://", NULL, false},
        {"nothing", "", NULL, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(1000);
        bool same = false;
        struct err e;
        bool ok = http_url_join(str_c(rows[i].base), str_c(rows[i].relative), &out, &same, &e);
        if (ok != (rows[i].want != NULL))
            fail_msg("%s from %s", rows[i].relative, rows[i].base);
        check_bytes(&out, rows[i].want ? rows[i].want : "", rows[i].relative);
        assert_int_equal(same, rows[i].same);
        buf_free(&out);
    }
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(urls_are_joined)};
TEST_FILE(tests)
