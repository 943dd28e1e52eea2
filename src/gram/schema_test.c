/* gram/schema_test.c - JSON Schemas: what texts they make, what is refused and where. */
#include "gram/texts_test.h"

#include "base/clock.h"
#include "json/json.h"
#include "test.h"

static struct gram *compile(const char *schema, enum gram_style style, struct err *e)
{
    struct err bad = {0};
    json_t *root = json_parse(str_c(schema), &bad);
    if (!root)
        fail_msg("%s: %s", schema, bad.msg);
    struct gram_build *b = gram_build_new(testing_vocab());
    struct gram *g = gram_compile(b, gram_schema(b, root, NULL, style), e);
    gram_build_free(b);
    json_decref(root);
    return g;
}

static void gram_schema_makes_what_fits(void **state)
{
    static const struct {
        const char *name, *schema;
        const char *yes[6], *no[6];
    } cases[] = {
        {"any", "{}", {"1", "\"a\"", "{\"a\":[null]}"}, {"", "a"}},
        {"true", "true", {"1", "[]"}, {""}},
        {"types", "{\"type\":[\"string\",\"null\"]}", {"\"\"", "null"}, {"1", "true"}},
        {"integer",
         "{\"type\":\"integer\"}",
         {"0", "-1", "123456789012345678"},
         {"1.0", "01", "-", "1e3", "1234567890123456789"}},
        {"number", "{\"type\":\"number\"}", {"0", "-1.5", "1e21", "-0"}, {"1.", ".5", "1e999"}},
        {"range",
         "{\"type\":\"integer\",\"minimum\":-3,\"maximum\":12}",
         {"-3", "0", "12", "9"},
         {"-4", "13", "100", "-10"}},
        {"exclusive",
         "{\"type\":\"integer\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":100}",
         {"1", "99", "10"},
         {"0", "100", "-1", "-0"}},
        {"fractions",
         "{\"type\":\"number\",\"minimum\":0.25,\"maximum\":1.5}",
         {"0.25", "1.5", "1", "0.3", "1.50", "0.2500"},
         {"0.2", "1.51", "0", "2", "-1", "0.24999"}},
        {"exclusive fraction",
         "{\"type\":\"number\",\"exclusiveMinimum\":-1.5,\"maximum\":0}",
         {"-1.4", "0", "-0", "-0.0"},
         {"-1.5", "-1.50", "-2", "0.1"}},
        {"multiples",
         "{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":1}",
         {"7", "21", "700"},
         {"0", "1", "22", "-7"}},
        {"fine multiples",
         "{\"type\":\"number\",\"multipleOf\":0.25}",
         {"0.25", "1", "-1.50", "0"},
         {"0.1", "1.3", "0.251"}},
        {"lengths",
         "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
         {"\"ab\"", "\"\xc3\xa9\\n\xf0\x9f\x98\x80\"", "\"\\ud83d\\ude00a\""},
         {"\"a\"", "\"abcd\"", "\"\""}},
        {"pattern",
         "{\"type\":\"string\",\"pattern\":\"^a.c\"}",
         {"\"abc\"", "\"a\\\"cx\""},
         {"\"xabc\"", "\"ac\"", "\"a\\nc\""}},
        {"pattern found",
         "{\"type\":\"string\",\"pattern\":\"[0-9]{2}\"}",
         {"\"x12y\"", "\"12\""},
         {"\"1a2\""}},
        {"pattern and length",
         "{\"type\":\"string\",\"pattern\":\"^[ab]+$\",\"maxLength\":3}",
         {"\"aba\""},
         {"\"abab\"", "\"\""}},
        {"date",
         "{\"type\":\"string\",\"format\":\"date\"}",
         {"\"2024-02-29\"", "\"2025-12-31\"", "\"2000-02-29\""},
         {"\"2023-02-29\"", "\"1900-02-29\"", "\"2025-04-31\"", "\"2025-13-01\""}},
        {"enum",
         "{\"enum\":[\"a\",1,null,{\"b\":[2]},\"\\u00e9\\\"\"]}",
         {"\"a\"", "1", "null", "{\"b\":[2]}", "{ \"b\": [ 2 ] }", "\"\xc3\xa9\\\"\""},
         {"\"b\"", "2"}},
        {"enum and more", "{\"enum\":[1,5,\"a\",9],\"minimum\":4}", {"5", "9", "\"a\""}, {"1"}},
        {"const", "{\"const\":{\"a\":1}}", {"{\"a\":1}", "{\"a\": 1}"}, {"{}"}},
        {"object",
         "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"type\":"
         "\"boolean\"}},\"required\":[\"b\"]}",
         {"{\"a\":1,\"b\":true}", "{\"b\":false}", "{ \"a\": 2, \"b\": true }",
          "{\n  \"b\": true\n}"},
         {"{}", "{\"a\":1}", "{\"b\":true,\"a\":1}", "{\"b\":true,\"c\":1}", "{,\"b\":true}"}},
        {"all optional",
         "{\"properties\":{\"a\":{},\"b\":{},\"c\":{}}}",
         {"{}", "{\"a\":1,\"c\":2}", "{\"b\":1}", "{\"c\":1}"},
         {"{\"c\":1,\"a\":2}", "{\"a\":1,}"}},
        {"open",
         "{\"properties\":{\"a\":{\"const\":1}},\"additionalProperties\":{\"type\":"
         "\"null\"}}",
         {"{\"a\":1,\"x\":null,\"ab\":null}", "{\"\":null}", "{}"},
         {"{\"a\":null}", "{\"x\":1}", "{\"x\":null,\"a\":1}"}},
        {"patterns",
         "{\"patternProperties\":{\"^s_\":{\"type\":\"string\"},\"n$\":{\"type\":"
         "\"integer\"}},\"additionalProperties\":false}",
         {"{\"s_\":\"\",\"n\":1}", "{}"},
         {"{\"s_\":1}", "{\"s_n\":1}", "{\"x\":1}"}},
        {"free object", "{\"type\":\"object\"}", {"{}", "{\"x\":[1]}"}, {"[]"}},
        {"closed", "{\"type\":\"object\",\"additionalProperties\":false}", {"{}"}, {"{\"a\":1}"}},
        {"required alone",
         "{\"type\":\"object\",\"required\":[\"k\"]}",
         {"{\"k\":1}", "{\"k\":1,\"z\":2}"},
         {"{}"}},
        {"counts",
         "{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":1},\"c\":{\"const\":1}},"
         "\"minProperties\":1,\"maxProperties\":2}",
         {"{\"a\":1}", "{\"b\":1,\"c\":1}"},
         {"{}", "{\"a\":1,\"b\":1,\"c\":1}"}},
        {"names",
         "{\"type\":\"object\",\"propertyNames\":{\"maxLength\":2,\"pattern\":\"^[a-z]\"}}",
         {"{\"ab\":1}", "{}"},
         {"{\"abc\":1}", "{\"1\":1}"}},
        {"array",
         "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,"
         "\"maxItems\":3}",
         {"[1]", "[1,2,3]", "[ 1, 2 ]", "[\n  1\n]"},
         {"[]", "[1,2,3,4]", "[1,]", "[\"a\"]"}},
        {"long array",
         "{\"items\":{\"const\":1},\"minItems\":2,\"maxItems\":100000}",
         {"[1,1]", "[1, 1, 1]"},
         {"[1]"}},
        {"tuple",
         "{\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":false}",
         {"[]", "[1]", "[1,2]"},
         {"[2]", "[1,2,3]"}},
        {"tuple and more",
         "{\"prefixItems\":[{\"const\":1}],\"items\":{\"const\":0},"
         "\"minItems\":1}",
         {"[1]", "[1,0,0]"},
         {"[]", "[0]"}},
        {"contains",
         "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"contains\":{\"minimum\":5,"
         "\"type\":\"integer\"},\"maxItems\":4}",
         {"[5]", "[1,7]", "[9,1,1,2]"},
         {"[]", "[1,2]", "[5,1,1,1,1]"}},
        {"contains without end",
         "{\"items\":{\"enum\":[0,1]},\"contains\":{\"const\":1},"
         "\"minContains\":2}",
         {"[1,1]", "[0,1,0,1,0]"},
         {"[1]", "[0,0,1]"}},
        {"unique",
         "{\"items\":{\"enum\":[\"a\",\"b\",\"c\"]},\"uniqueItems\":true,\"minItems\":2}",
         {"[\"a\",\"b\"]", "[\"c\",\"a\",\"b\"]"},
         {"[\"a\"]", "[\"a\",\"a\"]", "[\"a\",\"b\",\"a\"]"}},
        {"anyOf",
         "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":1}]}",
         {"1", "\"a\""},
         {"\"ab\"", "null"}},
        {"anyOf beside",
         "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"anyOf\":[{\"required\":[\"a\"]}"
         ","
         "{\"required\":[\"b\"]}]}",
         {"{\"a\":1}", "{\"b\":1}", "{\"a\":1,\"b\":2}"},
         {"{}"}},
        {"oneOf",
         "{\"oneOf\":[{\"properties\":{\"k\":{\"const\":\"x\"}},\"required\":[\"k\"]},"
         "{\"properties\":{\"k\":{\"const\":\"y\"},\"z\":{\"type\":\"null\"}},\"required\":"
         "[\"k\"]}]}",
         {"{\"k\":\"x\"}", "{\"k\":\"y\",\"z\":null}"},
         {"{\"k\":\"z\"}"}},
        {"oneOf overlapping",
         "{\"type\":\"integer\",\"oneOf\":[{\"minimum\":5},{\"maximum\":7}]}",
         {"8", "4"},
         {"5", "6", "7"}},
        {"allOf",
         "{\"allOf\":[{\"type\":\"integer\",\"minimum\":3},{\"maximum\":5}],\"multipleOf\":2}",
         {"4"},
         {"3", "2", "6"}},
        {"allOf objects",
         "{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}},\"required\":[\"a\"]},"
         "{\"properties\":{\"a\":{\"minimum\":5},\"b\":{\"const\":1}},\"required\":[\"b\"]}]}",
         {"{\"a\":5,\"b\":1}"},
         {"{\"a\":4,\"b\":1}", "{\"a\":5}"}},
        {"recursion",
         "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":"
         "{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"next\"]}}}",
         {"{\"next\":null}", "{\"next\":{\"next\":{\"next\":null}}}"},
         {"{\"next\":1}", "null"}},
        {"anchors",
         "{\"$defs\":{\"x\":{\"$anchor\":\"here\",\"const\":7}},\"$ref\":\"#here\"}",
         {"7"},
         {"8"}},
        {"escaped pointer",
         "{\"$defs\":{\"a/b~c\":{\"const\":7}},\"$ref\":\"#/$defs/a~1b~0c\"}",
         {"7"},
         {"8"}},
        {"ref beside",
         "{\"$defs\":{\"i\":{\"type\":\"integer\"}},\"$ref\":\"#/$defs/i\",\"minimum\":3}",
         {"3"},
         {"2"}},
        {"not type",
         "{\"not\":{\"type\":[\"object\",\"array\",\"number\",\"string\"]}}",
         {"true", "null"},
         {"1", "\"\""}},
        {"not values",
         "{\"type\":\"string\",\"maxLength\":1,\"not\":{\"enum\":[\"a\",\"b\"]}}",
         {"\"c\"", "\"\""},
         {"\"a\"", "\"b\""}},
        {"not required",
         "{\"type\":\"object\",\"properties\":{\"a\":{},\"b\":{}},\"not\":{\"required\":"
         "[\"a\",\"b\"]}}",
         {"{}", "{\"a\":1}", "{\"b\":1}"},
         {"{\"a\":1,\"b\":1}"}},
        {"if",
         "{\"type\":\"object\",\"properties\":{\"k\":{\"enum\":[\"x\",\"y\"]},\"v\":{\"type\":"
         "[\"integer\",\"null\"]}},\"required\":[\"k\",\"v\"],\"if\":{\"properties\":{\"k\":{"
         "\"const\":"
         "\"x\"}}},\"then\":{\"properties\":{\"v\":{\"type\":\"integer\"}}},\"else\":{"
         "\"properties\":{"
         "\"v\":{\"type\":\"null\"}}}}",
         {"{\"k\":\"x\",\"v\":1}", "{\"k\":\"y\",\"v\":null}"},
         {"{\"k\":\"x\",\"v\":null}", "{\"k\":\"y\",\"v\":1}"}},
        {"dependent",
         "{\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":1}},\"dependentRequired\":{\"a\":["
         "\"b\"]}}",
         {"{}", "{\"b\":1}", "{\"a\":1,\"b\":1}"},
         {"{\"a\":1}"}},
        {"annotations",
         "{\"type\":\"null\",\"title\":\"t\",\"x-y\":1,\"default\":2,\"$comment\":\"\"}",
         {"null"},
         {"2"}},
        {"draft 4", "{\"type\":\"integer\",\"minimum\":3,\"exclusiveMinimum\":true}", {"4"}, {"3"}},
        {"definitions",
         "{\"definitions\":{\"d\":{\"const\":1}},\"items\":{\"$ref\":\"#/definitions/d\"}}",
         {"[1,1]"},
         {"[2]"}},
        {"unevaluated",
         "{\"allOf\":[{\"properties\":{\"a\":{\"const\":1}}}],\"unevaluatedProperties\":"
         "false}",
         {"{\"a\":1}", "{}"},
         {"{\"b\":1}"}},
    };
    uint64_t seed = 3;
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct gram *g = compile(cases[i].schema, GRAM_JSON, &e);
        if (!g)
            fail_msg("%s: %s: %s", cases[i].name, e.where, e.msg);
        json_t *root = json_parse(str_c(cases[i].schema), &e);
        for (int k = 0; k < 6 && cases[i].yes[k]; k++) {
            if (!testing_matches(g, str_c(cases[i].yes[k])))
                fail_msg("%s: %s should be made", cases[i].name, cases[i].yes[k]);
            if (!gram_valid(root, NULL, str_c(cases[i].yes[k]), &e))
                fail_msg("%s: %s: %s: %s", cases[i].name, cases[i].yes[k], e.where, e.msg);
        }
        for (int k = 0; k < 6 && cases[i].no[k]; k++)
            if (testing_matches(g, str_c(cases[i].no[k])))
                fail_msg("%s: %s should not be made", cases[i].name, cases[i].no[k]);
        for (int k = 0; k < 20; k++) {
            struct buf out = BUF_INIT(1 << 20);
            if (testing_walk(g, &seed, 200, k == 0, &out) &&
                !gram_valid(root, NULL, buf_as_str(&out), &e))
                fail_msg("%s: %s: %s: %s", cases[i].name, buf_cstr(&out), e.where, e.msg);
            buf_free(&out);
        }
        json_decref(root);
        gram_drop(g);
    }
}

static void gram_schema_names_what_it_refuses(void **state)
{
    static const struct {
        const char *schema, *where, *what;
    } cases[] = {
        {"5", "", "a schema is"},
        {"{\"properties\":{\"a\":5}}", "/properties", "object of schemas"},
        {"{\"type\":\"text\"}", "/type", "must be a type"},
        {"{\"type\":[]}", "/type", "must be a type"},
        {"{\"properties\":{\"a/b\":{\"type\":3}}}", "/properties/a~1b/type", "must be a type"},
        {"{\"items\":{\"minLength\":-1}}", "/items/minLength", "whole number"},
        {"{\"enum\":[]}", "/enum", "list of values"},
        {"{\"anyOf\":[]}", "/anyOf", "list of schemas"},
        {"{\"required\":\"a\"}", "/required", "list of names"},
        {"{\"$ref\":\"#/$defs/none\"}", "/$ref", "leads nowhere"},
        {"{\"$ref\":\"http://x.example/y\"}", "/$ref", "leads nowhere"},
        {"{\"$dynamicRef\":\"#a\"}", "/$dynamicRef", "not supported"},
        {"{\"type\":\"string\",\"format\":\"iri\"}", "/format", "cannot be enforced"},
        {"{\"type\":\"string\",\"pattern\":\"(?=a)\"}", "/pattern", "look-ahead"},
        {"{\"type\":\"string\",\"pattern\":\"(a\"}", "/pattern", "without )"},
        {"{\"type\":\"array\",\"uniqueItems\":true}", "/uniqueItems", "at most 8"},
        {"{\"contains\":{\"const\":1},\"maxContains\":2}", "/maxContains", "cannot be enforced"},
        {"{\"type\":\"object\",\"minProperties\":3}", "/minProperties", "cannot be enforced"},
        {"{\"type\":\"object\",\"propertyNames\":{\"anyOf\":[{}]}}", "/propertyNames", "anyOf"},
        {"{\"type\":\"number\",\"multipleOf\":0}", "/multipleOf", "more than 0"},
        {"{\"type\":\"integer\",\"multipleOf\":99999}", "/multipleOf", "too large"},
        {"{\"type\":\"number\",\"minimum\":1e-30}", "/minimum", "digits"},
        {"{\"not\":{\"multipleOf\":2}}", "/not", "cannot be enforced"},
        {"{\"if\":{\"uniqueItems\":true},\"then\":{\"minItems\":1}}", "/if", "cannot be enforced"},
        {"{\"oneOf\":[{\"multipleOf\":2},{\"multipleOf\":3}]}", "/oneOf", "overlap"},
        {"{\"allOf\":[{\"properties\":{\"a\":{}}},{\"unevaluatedProperties\":false}]}",
         "/allOf/1/unevaluatedProperties", "cannot be enforced"},
        {"false", "", "nothing at all"},
        {"{\"type\":\"integer\",\"minimum\":5,\"maximum\":4}", "", "nothing at all"},
        {"{\"type\":\"string\",\"enum\":[1]}", "", "nothing at all"},
        {"{\"$ref\":\"#/$defs/"
         "a\",\"$defs\":{\"a\":{\"type\":\"object\",\"properties\":{\"x\":{\"$ref\":"
         "\"#/$defs/a\"}},\"required\":[\"x\"]}}}",
         "", "nothing at all"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct gram *g = compile(cases[i].schema, GRAM_JSON, &e);
        if (g || e.code != ERR_INPUT || strcmp(e.where, cases[i].where) != 0 ||
            !strstr(e.msg, cases[i].what))
            fail_msg("%s: %s: %s", cases[i].schema, e.where, e.msg);
    }
}

static void gram_schema_spells_python(void **state)
{
    struct err e = {0};
    struct gram *g =
        compile("{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"},\"b\":{},"
                "\"c\":{\"enum\":[null]}},\"required\":[\"a\",\"b\",\"c\"]}",
                GRAM_PYTHON, &e);
    (void)state;
    assert_non_null(g);
    assert_true(testing_matches(g, STR("{\"a\":True,\"b\":[None, False],\"c\":None}")));
    assert_false(testing_matches(g, STR("{\"a\":true,\"b\":null,\"c\":null}")));
    gram_drop(g);
}

static void gram_schema_follows_a_part(void **state)
{
    struct err e = {0};
    json_t *root = json_parse(STR("{\"$defs\":{\"i\":{\"type\":\"integer\"}},\"properties\":{\"a\":"
                                  "{\"$ref\":\"#/$defs/i\"}}}"),
                              &e);
    struct gram_build *b = gram_build_new(testing_vocab());
    const json_t *part = json_object_get(json_object_get(root, "properties"), "a");
    struct gram *g = testing_compile(b, gram_schema(b, root, part, GRAM_JSON));
    (void)state;
    gram_build_free(b);
    assert_true(testing_matches(g, STR("12")));
    assert_false(testing_matches(g, STR("{}")));
    assert_true(gram_valid(root, part, STR("12"), &e));
    assert_false(gram_valid(root, part, STR("\"\""), &e));
    json_decref(root);
    gram_drop(g);
}

static void gram_valid_says_what_is_wrong(void **state)
{
    static const struct {
        const char *schema, *text, *where, *what;
    } cases[] = {
        {"{}", "{", "", "not JSON"},
        {"{\"properties\":{\"a\":{\"items\":{\"type\":\"null\"}}}}", "{\"a\":[null,1]}", "/a/1",
         "type"},
        {"{\"required\":[\"a\"]}", "{}", "", "required"},
        {"{\"minimum\":1}", "0", "", "minimum"},
        {"{\"exclusiveMaximum\":1}", "1", "", "exclusiveMaximum"},
        {"{\"multipleOf\":0.1}", "0.25", "", "multipleOf"},
        {"{\"pattern\":\"^\\\\s$\"}", "\"x\"", "", "pattern"},
        {"{\"format\":\"date\"}", "\"2023-02-29\"", "", "format"},
        {"{\"format\":\"time\"}", "\"25:00:00Z\"", "", "format"},
        {"{\"format\":\"ipv4\"}", "\"1.2.3.256\"", "", "format"},
        {"{\"format\":\"uuid\"}", "\"1\"", "", "format"},
        {"{\"maxLength\":1}", "\"\xc3\xa9\xc3\xa9\"", "", "maxLength"},
        {"{\"uniqueItems\":true}", "[1,1.0]", "", "uniqueItems"},
        {"{\"contains\":{\"const\":1}}", "[2]", "", "contains"},
        {"{\"additionalProperties\":false}", "{\"a\":1}", "/a", "false"},
        {"{\"patternProperties\":{\"^a\":{\"const\":1}}}", "{\"ab\":2}", "/ab", "const"},
        {"{\"propertyNames\":{\"maxLength\":1}}", "{\"ab\":2}", "", "maxLength"},
        {"{\"dependentRequired\":{\"a\":[\"b\"]}}", "{\"a\":2}", "", "dependentRequired"},
        {"{\"oneOf\":[{},{}]}", "1", "", "oneOf"},
        {"{\"anyOf\":[false]}", "1", "", "anyOf"},
        {"{\"not\":{}}", "1", "", "not"},
        {"{\"if\":{\"const\":1},\"then\":false}", "1", "", "false"},
        {"{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"enum\":[2]}}}", "1", "", "enum"},
        {"{\"$ref\":\"#\"}", "1", "", "too long"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        json_t *root = json_parse(str_c(cases[i].schema), &e);
        bool ok = gram_valid(root, NULL, str_c(cases[i].text), &e);
        if (ok || strcmp(e.where, cases[i].where) != 0 || !strstr(e.msg, cases[i].what))
            fail_msg("%s, %s: %s: %s", cases[i].schema, cases[i].text, e.where, e.msg);
        json_decref(root);
    }
}

static void gram_schema_bombs_end_soon(void **state)
{
    struct buf many = BUF_INIT(1 << 22), any = BUF_INIT(1 << 22);
    (void)state;
    buf_c(&many, "{\"properties\":{");
    for (int i = 0; i < 1500; i++)
        buf_printf(&many, "%s\"property number %d\":{\"type\":\"string\"}", i ? "," : "", i);
    buf_c(&many, "}}");
    buf_c(&any, "{\"allOf\":[");
    for (int i = 0; i < 30; i++)
        buf_printf(&any, "%s{\"anyOf\":[{\"required\":[\"a%d\"]},{\"required\":[\"b%d\"]}]}",
                   i ? "," : "", i, i);
    buf_c(&any, "]}");
    const char *const bombs[] = {buf_cstr(&many), buf_cstr(&any),
                                 "{\"type\":\"string\",\"pattern\":\"(a{1000}){1000}\"}",
                                 "{\"type\":\"string\",\"pattern\":\"a\",\"maxLength\":100000000}",
                                 "{\"items\":{\"$ref\":\"#\"},\"minItems\":1000000000}"};
    for (size_t i = 0; i < COUNT(bombs); i++) {
        struct err e = {0};
        uint64_t start = clock_mono_ms();
        struct gram *g = compile(bombs[i], GRAM_JSON, &e);
        print_message("bomb %zu: %s after %d ms\n", i, g ? "compiled" : e.msg,
                      (int)(clock_mono_ms() - start));
        assert_true(g || e.code == ERR_LIMIT || e.code == ERR_INPUT);
        gram_drop(g);
    }
    buf_free(&many);
    buf_free(&any);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gram_schema_makes_what_fits),
    cmocka_unit_test(gram_schema_names_what_it_refuses),
    cmocka_unit_test(gram_schema_spells_python),
    cmocka_unit_test(gram_schema_follows_a_part),
    cmocka_unit_test(gram_valid_says_what_is_wrong),
    cmocka_unit_test(gram_schema_bombs_end_soon),
};
TEST_FILE(tests)
