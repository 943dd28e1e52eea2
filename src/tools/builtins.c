/* tools/builtins.c - the table of built-in tools. */
#include "tools/args.h"
#include "tools/tools_int.h"

const struct tools_builtin tools_builtins[] = {
    {
        .name = "math:calculator",
        .function = "math_calculator",
        .description =
            "Evaluates an arithmetic expression exactly. Use it for every calculation. Operators: "
            "+ - * / // % ** ! and brackets. Constants: pi, e, tau. Functions: sqrt cbrt exp ln "
            "log log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh abs floor ceil round "
            "min max gcd lcm. Angles are in radians.",
        .schema = "{\"type\":\"object\",\"properties\":{\"expression\":{\"type\":\"string\","
                  "\"description\":\"The expression, for example 12 * 7.5\"}},"
                  "\"required\":[\"expression\"],\"additionalProperties\":false}",
        .repeatable = true,
        .now = tools_calculator,
    },
    {
        .name = "math:statistics",
        .function = "math_statistics",
        .description = "Computes a statistic of a list of numbers.",
        .schema =
            "{\"type\":\"object\",\"properties\":{\"operation\":{\"type\":\"string\",\"enum\":["
            "\"count\",\"sum\",\"mean\",\"median\",\"mode\",\"min\",\"max\",\"range\",\"variance\","
            "\"stdev\",\"pvariance\",\"pstdev\",\"quantile\",\"correlation\","
            "\"linear_regression\"]},"
            "\"data\":{\"type\":\"array\",\"items\":{\"type\":\"number\"}},"
            "\"data2\":{\"type\":\"array\",\"items\":{\"type\":\"number\"},"
            "\"description\":\"Second list, for correlation and linear_regression\"},"
            "\"q\":{\"type\":\"number\",\"description\":\"0 to 1, for quantile\"}},"
            "\"required\":[\"operation\",\"data\"],\"additionalProperties\":false}",
        .repeatable = true,
        .now = tools_statistics,
    },
    {
        .name = "math:calendar",
        .function = "math_calendar",
        .description =
            "Knows the present date and time and counts with dates. Operations: now, weekday, add "
            "(years, months, days, hours, minutes to date), diff (from date to end_date), "
            "is_leap_year, days_in_month, week_number. Without a date, today is meant.",
        .schema =
            "{\"type\":\"object\",\"properties\":{\"operation\":{\"type\":\"string\",\"enum\":["
            "\"now\",\"weekday\",\"add\",\"diff\",\"is_leap_year\",\"days_in_month\","
            "\"week_number\"]},"
            "\"date\":{\"type\":\"string\",\"description\":\"ISO 8601, like 2026-11-29\"},"
            "\"end_date\":{\"type\":\"string\"},"
            "\"years\":{\"type\":\"integer\"},\"months\":{\"type\":\"integer\"},"
            "\"days\":{\"type\":\"integer\"},\"hours\":{\"type\":\"integer\"},"
            "\"minutes\":{\"type\":\"integer\"},"
            "\"timezone\":{\"type\":\"string\",\"description\":\"IANA name or +HH:MM; else UTC\"}},"
            "\"required\":[\"operation\"],\"additionalProperties\":false}",
        .repeatable = true,
        .now = tools_calendar,
    },
    {
        .name = "web:url",
        .function = "web_url",
        .description = "Fetches a page of the web and gives its text.",
        .schema = "{\"type\":\"object\",\"properties\":{\"url\":{\"type\":\"string\","
                  "\"description\":\"http:// or https://\"}},"
                  "\"required\":[\"url\"],\"additionalProperties\":false}",
        .repeatable = true,
        .reaches_out = true,
        .missing = tools_url_missing,
        .start = tools_url_start,
        .stop = tools_url_stop,
    },
    {
        .name = "web:search",
        .function = "web_search",
        .description = "Searches the web; gives titles, addresses and snippets of pages.",
        .schema = "{\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\"},"
                  "\"max_results\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":10}},"
                  "\"required\":[\"query\"],\"additionalProperties\":false}",
        .repeatable = true,
        .reaches_out = true,
        .missing = tools_search_missing,
        .start = tools_search_start,
        .stop = tools_url_stop,
    },
    {
        .name = "code:python-interpreter",
        .function = "code_python_interpreter",
        .description = "Runs a Python program of its own, without network, and gives what it "
                       "printed. Nothing is kept between calls.",
        .schema = "{\"type\":\"object\",\"properties\":{\"code\":{\"type\":\"string\","
                  "\"description\":\"The whole program; print what you want to see\"}},"
                  "\"required\":[\"code\"],\"additionalProperties\":false}",
        .repeatable = true,
        .reaches_out = true,
        .missing = tools_python_missing,
        .start = tools_python_start,
        .stop = tools_python_stop,
    },
    {
        .name = "file:text",
        .function = "file_text",
        .description = "Gives the text of the file that came with the request.",
        .schema =
            "{\"type\":\"object\",\"properties\":{\"file\":{\"type\":\"integer\",\"minimum\":1,"
            "\"description\":\"Its number, if there are several\"}},"
            "\"additionalProperties\":false}",
        .repeatable = true,
        .missing = tools_file_missing,
        .start = tools_file_start,
        .stop = tools_file_stop,
    },
};
const size_t tools_n_builtins = COUNT(tools_builtins);
