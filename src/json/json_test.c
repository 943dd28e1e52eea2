/* json/json_test.c - limits and places of the reader, bytes of the writer. */
#include "json/json.h"

#include "base/mem.h"
#include "test.h"

#include <math.h>

static void json_parse_names_the_place(void **state)
{
    static const struct {
        const char *text, *where;
    } rows[] = {
        {"", "1:1"},
        {"{\"a\":1,\n \"a\":2}", "2:4"}, // duplicate key
        {"[1,\n2,,3]", "2:3"},
        {"[1] x", "1:5"},
        {"[01]", "1:2"},
        {"[\"\xff\"]", "1:2"},
        {"[99999999999999999999]", "1:21"},
        {"[1e999]", "1:6"},
        {"{\"a\" 1}", "1:6"},
        {"[1", "1:2"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        assert_null(json_parse(str_c(rows[i].text), &e));
        assert_int_equal(e.code, ERR_INPUT);
        check_str(str_c(e.where), str_c(rows[i].where), rows[i].text);
        assert_true(e.msg[0]);
    }
}

static void json_parse_takes_any_value(void **state)
{
    static const char *const rows[] = {"1", "\"x\"", "null", "[]", "{}", " true ", "\"a\\u0000b\""};
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e;
        json_t *v = json_parse(str_c(rows[i]), &e);
        assert_non_null(v);
        json_decref(v);
    }
    struct err e;
    json_t *v = json_parse(STR("\"a\\u0000b\""), &e);
    check_str(json_as_str(v), STR("a\0b"), "NUL inside");
    check_str(json_as_str(NULL), STR(""), "not a string");
    json_decref(v);
}

static void json_parse_counts_depth(void **state)
{
    (void)state;
    for (int depth = 127; depth <= 130; depth++) {
        struct buf text = BUF_INIT(4096);
        for (int i = 0; i < depth; i++)
            buf_char(&text, '[');
        buf_c(&text, "\"[[[[\\\"[[\"");
        for (int i = 0; i < depth; i++)
            buf_char(&text, ']');
        struct err e = {0};
        json_t *v = json_parse(buf_as_str(&text), &e);
        assert_int_equal(v != NULL, depth <= 128);
        if (!v)
            check_str(str_c(e.where), STR("1:129"), "where");
        json_decref(v);
        buf_free(&text);
    }
    struct buf text = BUF_INIT(10000000);
    for (int i = 0; i < 1000000; i++)
        buf_c(&text, "[{\"a\":");
    struct err e;
    assert_null(json_parse(buf_as_str(&text), &e));
    buf_free(&text);
}

/* Every front of a text is refused or read; nothing is read past its end (the sanitizers watch). */
static void json_parse_takes_every_front(void **state)
{
    static const char text[] =
        "{\"a\": [1, -2.5e3, \"x\\u00e9\\ud83d\\ude00\"], \"b\": {\"c\": null}}";
    (void)state;
    for (size_t n = 0; n <= sizeof text - 1; n++) {
        char *exact = mem_alloc(n);
        memcpy(exact, text, n);
        struct err e = {0};
        json_t *v = json_parse(str_n(exact, n), &e);
        assert_int_equal(v != NULL, n == sizeof text - 1);
        json_decref(v);
        mem_free(exact);
    }
}

static void json_write_matches_python(void **state)
{
    static const struct {
        const char *text;
        int flags, indent;
        const char *want;
    } rows[] = {
        {"{\"b\":[1,2.0,true,null],\"a\":{}}", JSON_PLAIN, -1,
         "{\"b\":[1,2.0,true,null],\"a\":{}}"},
        {"{\"b\":[1,2.0,true,null],\"a\":{}}", JSON_PYTHON, -1,
         "{\"b\": [1, 2.0, true, null], \"a\": {}}"},
        {"{\"b\":[1,[]],\"a\":{\"x\":1}}", JSON_PYTHON | JSON_SORT, 2,
         "{\n  \"a\": {\n    \"x\": 1\n  },\n  \"b\": [\n    1,\n    []\n  ]\n}"},
        {"[1,2]", JSON_PYTHON, 0, "[\n1,\n2\n]"},
        {"\"\\u0000\\u001f\\n\\r\\t\\b\\f\\\"\\\\/\\u007f\xc3\xa9\"", JSON_PLAIN, -1,
         "\"\\u0000\\u001f\\n\\r\\t\\b\\f\\\"\\\\/\x7f\xc3\xa9\""},
        {"\"\\u007f\xc3\xa9\xf0\x9f\x98\x80\"", JSON_ASCII, -1, "\"\\u007f\\u00e9\\ud83d\\ude00\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e;
        json_t *v = json_parse(str_c(rows[i].text), &e);
        assert_non_null(v);
        struct buf out = BUF_INIT(4096);
        assert_true(json_write(&out, v, rows[i].flags, rows[i].indent));
        check_bytes(&out, rows[i].want, rows[i].text);

        // A buffer too small is reported, whatever the size.
        for (size_t max = 0; max < out.n; max++) {
            struct buf small = BUF_INIT(max);
            assert_false(json_write(&small, v, rows[i].flags, rows[i].indent));
            buf_free(&small);
        }
        buf_free(&out);
        json_decref(v);
    }
}

static void json_reals_read_like_python(void **state)
{
    static const struct {
        double v;
        const char *want;
    } rows[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {0.1, "0.1"},
        {1.0 / 3, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {1.5e-7, "1.5e-07"},
        {1e100, "1e+100"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {100.0, "100.0"},
        {12.5, "12.5"},
        {INFINITY, "Infinity"},
        {-INFINITY, "-Infinity"},
        {NAN, "NaN"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[JSON_REAL_MAX];
        size_t n = json_real_text(text, rows[i].v);
        check_str(str_n(text, n), str_c(rows[i].want), rows[i].want);
    }
    uint64_t seed = 1;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = test_random(&seed);
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        char text[JSON_REAL_MAX];
        assert_true(json_real_text(text, v) < JSON_REAL_MAX);
        assert_true(str_to_double(str_c(text), &back));
        assert_true(back == v);
    }
}

static void json_strings_are_made_valid(void **state)
{
    (void)state;
    json_t *v = json_from_str(STR("a\xff\xc3\xa9\xe2\x82"));
    check_str(json_as_str(v), STR("a\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd"), "replaced");
    json_decref(v);
    v = json_from_str((str){NULL, 0});
    check_str(json_as_str(v), STR(""), "empty");
    json_decref(v);

    struct buf out = BUF_INIT(100);
    assert_true(json_write_str(&out, STR("a\xff"), JSON_PLAIN));
    check_bytes(&out, "\"a\xef\xbf\xbd\"", "written");
    buf_clear(&out);
    assert_true(json_write_str(&out, STR("\xff"), JSON_ASCII));
    check_bytes(&out, "\"\\ufffd\"", "escaped");
    buf_free(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(json_parse_names_the_place),  cmocka_unit_test(json_parse_takes_any_value),
    cmocka_unit_test(json_parse_counts_depth),     cmocka_unit_test(json_parse_takes_every_front),
    cmocka_unit_test(json_write_matches_python),   cmocka_unit_test(json_reals_read_like_python),
    cmocka_unit_test(json_strings_are_made_valid),
};
TEST_FILE(tests)
