/* tools/builtin_test.c - the tools that compute at once: arguments in, result out. */
#include "tools/args.h"

#include "base/clock.h"
#include "test.h"

typedef bool (*tool)(const json_t *args, struct buf *out, struct err *e);

static void tools_answer(void **state)
{
    static const struct {
        tool run;
        const char *args, *want; // want begins with '{': the result; else the error
    } rows[] = {
        {tools_calculator, "{\"expression\":\"12 * 7.5\"}",
         "{\"result\": \"12 * 7.5=90.0000000000000\"}"},
        {tools_calculator, "{\"expression\":\"5/(2-2)\"}", "division by zero"},
        {tools_calculator, "{\"expression\":\"\"}", "the expression is empty"},
        {tools_calculator, "{}", "the argument 'expression' is missing"},
        {tools_calculator, "{\"expression\":7}", "the argument 'expression' must be a string"},

        {tools_statistics, "{\"operation\":\"mean\",\"data\":[1,2,4]}",
         "{\"result\": 2.33333333333333}"},
        {tools_statistics, "{\"operation\":\"count\",\"data\":[1,2,4]}", "{\"result\": 3}"},
        {tools_statistics, "{\"operation\":\"sum\",\"data\":[0.1,0.2]}", "{\"result\": 0.3}"},
        {tools_statistics, "{\"operation\":\"median\",\"data\":[4,1,3,2]}", "{\"result\": 2.5}"},
        {tools_statistics, "{\"operation\":\"mode\",\"data\":[4,1,4,2]}", "{\"result\": 4}"},
        {tools_statistics, "{\"operation\":\"mode\",\"data\":[4,1,4,1]}", "{\"result\": [1, 4]}"},
        {tools_statistics, "{\"operation\":\"min\",\"data\":[4,1]}", "{\"result\": 1}"},
        {tools_statistics, "{\"operation\":\"max\",\"data\":[4,1]}", "{\"result\": 4}"},
        {tools_statistics, "{\"operation\":\"range\",\"data\":[4,1]}", "{\"result\": 3}"},
        {tools_statistics, "{\"operation\":\"variance\",\"data\":[2,4,4,4,5,5,7,9]}",
         "{\"result\": 4.57142857142857}"},
        {tools_statistics, "{\"operation\":\"pvariance\",\"data\":[2,4,4,4,5,5,7,9]}",
         "{\"result\": 4}"},
        {tools_statistics, "{\"operation\":\"pstdev\",\"data\":[2,4,4,4,5,5,7,9]}",
         "{\"result\": 2}"},
        {tools_statistics, "{\"operation\":\"stdev\",\"data\":[1]}",
         "'data' needs at least two numbers for that"},
        {tools_statistics, "{\"operation\":\"quantile\",\"data\":[1,2,3,4],\"q\":0.25}",
         "{\"result\": 1.75}"},
        {tools_statistics, "{\"operation\":\"quantile\",\"data\":[1,2]}",
         "quantile needs 'q', a number from 0 to 1"},
        {tools_statistics, "{\"operation\":\"quantile\",\"data\":[1,2],\"q\":\"1\"}",
         "{\"result\": 2}"},
        {tools_statistics, "{\"operation\":\"correlation\",\"data\":[1,2,3],\"data2\":[2,4,6]}",
         "{\"result\": 1}"},
        {tools_statistics, "{\"operation\":\"correlation\",\"data\":[1,2,3],\"data2\":[2,4]}",
         "'correlation' needs 'data2' with as many numbers as 'data'"},
        {tools_statistics, "{\"operation\":\"correlation\",\"data\":[1,1],\"data2\":[2,4]}",
         "correlation needs at least two different values in each list"},
        {tools_statistics,
         "{\"operation\":\"linear_regression\",\"data\":[1,2,3],\"data2\":[3,5,7]}",
         "{\"result\": {\"slope\": 2, \"intercept\": 1}}"},
        {tools_statistics, "{\"operation\":\"mean\",\"data\":[]}",
         "the argument 'data' must be a list of 1 to 100000 numbers"},
        {tools_statistics, "{\"operation\":\"mean\",\"data\":[1,\"x\"]}", "'data[1]' is no number"},
        {tools_statistics, "{\"operation\":\"sd\",\"data\":[1]}", "there is no operation 'sd'"},

        {tools_calendar, "{\"operation\":\"now\"}",
         "{\"result\": {\"datetime\": \"2026-11-29T08:00:01+00:00\", \"date\": \"2026-11-29\", "
         "\"time\": \"08:00:01\", \"weekday\": \"Sunday\"}}"},
        {tools_calendar, "{\"operation\":\"now\",\"timezone\":\"+05:30\"}",
         "{\"result\": {\"datetime\": \"2026-11-29T13:30:01+05:30\", \"date\": \"2026-11-29\", "
         "\"time\": \"13:30:01\", \"weekday\": \"Sunday\"}}"},
        {tools_calendar, "{\"operation\":\"weekday\",\"date\":\"2000-01-01\"}",
         "{\"result\": \"Saturday\"}"},
        {tools_calendar, "{\"operation\":\"weekday\",\"date\":\"0001-01-01\"}",
         "{\"result\": \"Monday\"}"},
        {tools_calendar, "{\"operation\":\"weekday\"}", "{\"result\": \"Sunday\"}"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"2024-01-31\",\"months\":1}",
         "{\"result\": \"2024-02-29\"}"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"2024-02-29\",\"years\":1}",
         "{\"result\": \"2025-02-28\"}"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"2024-03-01\",\"days\":-1}",
         "{\"result\": \"2024-02-29\"}"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"2024-12-31T23:30:00Z\",\"minutes\":45}",
         "{\"result\": \"2025-01-01T00:15:00+00:00\"}"},
        {tools_calendar,
         "{\"operation\":\"add\",\"date\":\"2024-12-31\",\"hours\":25,\"timezone\":\"-08:00\"}",
         "{\"result\": \"2025-01-01T01:00:00-08:00\"}"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"2024-12-31\"}",
         "add needs years, months, days, hours or minutes"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"9999-12-31\",\"days\":1}",
         "the year 10000 is out of range"},
        {tools_calendar, "{\"operation\":\"add\",\"date\":\"9999-12-31\",\"months\":1}",
         "the result is out of range"},
        {tools_calendar,
         "{\"operation\":\"diff\",\"date\":\"2024-02-01\",\"end_date\":\"2024-03-01\"}",
         "{\"result\": {\"days\": 29}}"},
        {tools_calendar,
         "{\"operation\":\"diff\",\"date\":\"2024-03-01\",\"end_date\":\"2024-02-01\"}",
         "{\"result\": {\"days\": -29}}"},
        {tools_calendar,
         "{\"operation\":\"diff\",\"date\":\"2024-03-01T10:00:00+02:00\",\"end_date\":\"2024-03-"
         "01T09:30:00Z\"}",
         "{\"result\": {\"days\": 0, \"hours\": 1, \"minutes\": 30, \"seconds\": 0, "
         "\"total_seconds\": 5400}}"},
        {tools_calendar, "{\"operation\":\"diff\",\"date\":\"2024-03-01\"}",
         "diff needs 'end_date'"},
        {tools_calendar, "{\"operation\":\"is_leap_year\",\"date\":\"1900\"}",
         "{\"result\": false}"},
        {tools_calendar, "{\"operation\":\"is_leap_year\",\"date\":\"2000\"}",
         "{\"result\": true}"},
        {tools_calendar, "{\"operation\":\"days_in_month\",\"date\":\"2023-02\"}",
         "{\"result\": 28}"},
        {tools_calendar, "{\"operation\":\"week_number\",\"date\":\"2021-01-03\"}",
         "{\"result\": {\"week\": 53, \"year\": 2020}}"},
        {tools_calendar, "{\"operation\":\"week_number\",\"date\":\"2026-11-29\"}",
         "{\"result\": {\"week\": 48, \"year\": 2026}}"},
        {tools_calendar, "{\"operation\":\"weekday\",\"date\":\"2023-02-29\"}",
         "'date' must be a date like 2026-11-29 or 2026-11-29T08:00:00+01:00"},
        {tools_calendar, "{\"operation\":\"weekday\",\"date\":\"tomorrow\"}",
         "'date' must be a date like 2026-11-29 or 2026-11-29T08:00:00+01:00"},
        {tools_calendar, "{\"operation\":\"now\",\"timezone\":\"../../etc/passwd\"}",
         "there is no time zone '../../etc/passwd'"},
        {tools_calendar, "{\"operation\":\"now\",\"timezone\":\"Atlantis/City\"}",
         "there is no time zone 'Atlantis/City'"},
        {tools_calendar, "{\"date\":\"2000-01-01\"}", "{\"result\": \"Saturday\"}"},
        {tools_calendar, "{\"date\":\"2000-01-01\",\"days\":1}", "{\"result\": \"2000-01-02\"}"},
        {tools_calendar, "{\"date\":\"2000-01-01\",\"end_date\":\"2000-01-03\"}",
         "{\"result\": {\"days\": 2}}"},
        {tools_calendar, "{\"operation\":\"moon\"}", "there is no operation 'moon'"},
    };
    (void)state;
    clock_freeze(1, 1795939201000);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(65536);
        struct err e = {0};
        json_t *args = json_parse(str_c(rows[i].args), &e);
        assert_non_null(args);
        bool ok = rows[i].run(args, &out, &e);
        check_str(ok ? buf_as_str(&out) : str_c(e.msg), str_c(rows[i].want), rows[i].args);
        json_decref(args);
        buf_free(&out);
    }
    clock_thaw();
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tools_answer),
};
TEST_FILE(tests)
