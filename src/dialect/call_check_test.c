/* dialect/call_check_test.c - calls that fit their tools, and those that do not. */
#include "dialect/call_check.h"

#include "test.h"

static void calls_fit_their_tools(void **state)
{
    static const struct {
        const char *name, *parameters, *arguments, *want; // want: the error, or NULL
    } rows[] = {
        {"fits", "{\"type\":\"object\",\"properties\":{\"h\":{\"type\":\"string\"}}}",
         "{\"h\":\"x\"}", NULL},
        {"no parameters", "null", "{\"anything\":[1]}", NULL},
        {"a wrong type", "{\"properties\":{\"h\":{\"type\":\"string\"}}}", "{\"h\":7}",
         "t: h is not a string"},
        {"a whole number", "{\"properties\":{\"n\":{\"type\":\"integer\"}}}", "{\"n\":7.0}", NULL},
        {"a broken number", "{\"properties\":{\"n\":{\"type\":\"integer\"}}}", "{\"n\":7.5}",
         "t: n is not an integer"},
        {"one of two types", "{\"properties\":{\"n\":{\"type\":[\"null\",\"number\"]}}}",
         "{\"n\":null}", NULL},
        {"none of two", "{\"properties\":{\"n\":{\"type\":[\"null\",\"number\"]}}}", "{\"n\":true}",
         "t: n has none of the types that it may have"},
        {"missing", "{\"required\":[\"a\",\"b\"]}", "{\"a\":1}", "t: b is missing"},
        {"more than there are", "{\"properties\":{\"a\":{}},\"additionalProperties\":false}",
         "{\"a\":1,\"b\":2}", "t: b is no parameter of the tool"},
        {"others of a kind", "{\"additionalProperties\":{\"type\":\"boolean\"}}", "{\"b\":2}",
         "t: b is not a boolean"},
        {"in a list", "{\"properties\":{\"l\":{\"items\":{\"required\":[\"x\"]}}}}",
         "{\"l\":[{\"x\":1},{}]}", "t: l[1].x is missing"},
        {"an enumeration", "{\"properties\":{\"e\":{\"enum\":[\"a\",2]}}}", "{\"e\":\"b\"}",
         "t: e is none of the values that it may be"},
        {"of it", "{\"properties\":{\"e\":{\"enum\":[\"a\",2]}}}", "{\"e\":2}", NULL},
        {"a constant", "{\"properties\":{\"e\":{\"const\":\"a\"}}}", "{\"e\":\"b\"}",
         "t: e is not the value that it must be"},
        {"too small", "{\"properties\":{\"n\":{\"minimum\":3}}}", "{\"n\":2}",
         "t: n is less than it may be"},
        {"too long, in characters", "{\"properties\":{\"s\":{\"maxLength\":2}}}",
         "{\"s\":\"\\u00e4\\u00e4\\u00e4\"}", "t: s is more than it may be"},
        {"long enough", "{\"properties\":{\"s\":{\"maxLength\":2}}}", "{\"s\":\"\\u00e4\\u00e4\"}",
         NULL},
        {"too few", "{\"properties\":{\"l\":{\"minItems\":1}}}", "{\"l\":[]}",
         "t: l is less than it may be"},
        {"no object", "{\"type\":\"object\"}", "[1]", "t: the arguments is not an object"},
        {"no JSON", "{\"required\":[\"a\"]}", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        json_t *tools = json_array();
        json_t *parameters = json_loads(rows[i].parameters, JSON_DECODE_ANY, NULL);
        json_t *arguments = rows[i].arguments ? json_loads(rows[i].arguments, 0, NULL) : NULL;
        json_array_append_new(
            tools, json_pack("{s:{s:s s:o}}", "function", "name", "t", "parameters", parameters));
        bool ok = call_check(tools, STR("t"), arguments, &e);
        check_str(str_c(ok ? "" : e.msg), str_c(rows[i].want ? rows[i].want : ""), rows[i].name);
        assert_int_equal(ok, rows[i].want == NULL);
        assert_false(call_check(tools, STR("u"), arguments, &e));
        check_str(str_c(e.msg), STR("u: there is no tool of this name"), rows[i].name);
        json_decref(arguments);
        json_decref(tools);
    }
}

/* Nesting is counted, however deep the schema goes. */
static void calls_are_bounded_in_depth(void **state)
{
    struct err e = {0};
    json_t *schema = json_object(), *v = json_integer(1);
    (void)state;
    for (int i = 0; i < 100; i++) {
        schema = json_pack("{s:o}", "items", schema);
        v = json_pack("[o]", v);
    }
    json_t *tools = json_pack("[{s:{s:s s:o}}]", "function", "name", "t", "parameters", schema);
    assert_false(call_check(tools, STR("t"), v, &e));
    assert_non_null(strstr(e.msg, "is nested too deeply"));
    json_decref(tools);
    json_decref(v);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(calls_fit_their_tools),
    cmocka_unit_test(calls_are_bounded_in_depth),
};
TEST_FILE(tests)
