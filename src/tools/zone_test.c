/* tools/zone_test.c - zone files made here: transitions, and the rule behind the last of them. */
#include "tools/zone.h"

#include "test.h"

static void put(struct buf *out, uint64_t v, int n)
{
    for (int i = n - 1; i >= 0; i--)
        buf_char(out, (char)(v >> (8 * i) & 0xff));
}

static void head(struct buf *out, size_t n_times, size_t n_types)
{
    buf_c(out, "TZif2");
    for (int i = 0; i < 15; i++)
        buf_char(out, '\0');
    put(out, 0, 4);
    put(out, 0, 4);
    put(out, 0, 4);
    put(out, n_times, 4);
    put(out, n_types, 4);
    put(out, 0, 4);
}

/* One transition in 1980 from +00:30 to +01:00, then Central European rules. */
static void make(struct buf *out, const char *rule)
{
    head(out, 0, 1);
    put(out, 1800, 4);
    put(out, 0, 2);
    head(out, 1, 2);
    put(out, 315532800, 8);
    put(out, 1, 1);
    put(out, 1800, 4);
    put(out, 0, 2);
    put(out, 3600, 4);
    put(out, 0, 2);
    buf_printf(out, "\n%s\n", rule);
}

static void zone_follows_file_and_rule(void **state)
{
    static const struct {
        const char *rule;
        int64_t at;
        int want;
    } rows[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", 0, 1800},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 315532800, 3600},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774745999, 3600}, // 2026-03-29 00:59:59 UTC
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1774746000, 7200},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1792889999, 7200}, // 2026-10-25 00:59:59 UTC
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1792890000, 3600},
        {"<+0530>-5:30", 1792890000, 19800},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1767225600, 39600}, // January, southern summer
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1782864000, 36000}, // July
        {"IST-1GMT0,M10.5.0,M3.5.0/1", 1767225600, 0},       // winter is the exception
        {"nonsense", 1792890000, 3600},
        {"CET-1CEST,J60,J300", 1792890000, 3600},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf file = BUF_INIT(4096);
        int offset = 12345;
        make(&file, rows[i].rule);
        assert_true(zone_read(buf_as_str(&file), rows[i].at, &offset));
        if (offset != rows[i].want)
            fail_msg("%s at %lld: %d", rows[i].rule, (long long)rows[i].at, offset);
        for (size_t n = 0; n < 44 + 6 + 44 + 9 + 12; n++) // cut short anywhere before the rule
            assert_false(zone_read(str_sub(buf_as_str(&file), 0, n), rows[i].at, &offset));
        buf_free(&file);
    }
}

static void dates_come_back(void **state)
{
    (void)state;
    for (int64_t days = -800000; days < 3000000; days += 97) {
        int64_t year;
        int month, day;
        date_of_days(days, &year, &month, &day);
        assert_true(month >= 1 && month <= 12 && day >= 1 && day <= date_month_length(year, month));
        assert_int_equal(date_days(year, month, day), days);
    }
    assert_int_equal(date_days(1970, 1, 1), 0);
    assert_int_equal(date_days(2000, 3, 1), 11017);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(zone_follows_file_and_rule),
    cmocka_unit_test(dates_come_back),
};
TEST_FILE(tests)
