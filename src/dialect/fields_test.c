/* dialect/fields_test.c - the table reader: kinds, ranges, null, refusal, what is ignored. */
#include "dialect/fields.h"

#include "test.h"

struct row {
    bool flag;
    int64_t count;
    double rate;
    str name;
    const json_t *list;
};

#define AT(member) offsetof(struct row, member)

static const struct field fields[] = {
    {"flag", FIELD_BOOL, AT(flag)},
    {"count", FIELD_INT, AT(count), 1, 10},
    {"rate", FIELD_NUM, AT(rate), -2, 2},
    {"name", FIELD_STR, AT(name), .required = true},
    {"list", FIELD_ARRAY, AT(list)},
    {"label", FIELD_TAKE},
    {"audio", FIELD_REFUSE, .note = "answers are text only"},
};

static void fields_are_done_taken_or_refused(void **state)
{
    static const struct {
        const char *name, *body, *where, *kind, *ignored;
    } rows[] = {
        {"all there", "{\"name\":\"n\",\"flag\":true,\"count\":3,\"rate\":0.5,\"list\":[1]}", NULL,
         "", ""},
        {"null is absent", "{\"name\":\"n\",\"count\":null,\"audio\":null}", NULL, "", ""},
        {"whole reals are integers", "{\"name\":\"n\",\"count\":4.0}", NULL, "", ""},
        {"required", "{}", "name", "missing_required_parameter", ""},
        {"required is not null", "{\"name\":null}", "name", "missing_required_parameter", ""},
        {"no boolean", "{\"name\":\"n\",\"flag\":1}", "flag", "invalid_type", ""},
        {"no integer", "{\"name\":\"n\",\"count\":1.5}", "count", "invalid_type", ""},
        {"no string", "{\"name\":7}", "name", "invalid_type", ""},
        {"no array", "{\"name\":\"n\",\"list\":{}}", "list", "invalid_type", ""},
        {"too small", "{\"name\":\"n\",\"count\":0}", "count", "out_of_range", ""},
        {"too large", "{\"name\":\"n\",\"rate\":2.1}", "rate", "out_of_range", ""},
        {"refused", "{\"name\":\"n\",\"audio\":{\"voice\":\"x\"}}", "audio", "unsupported_value",
         ""},
        {"asks for nothing", "{\"name\":\"n\",\"audio\":false}", NULL, "", ""},
        {"taken and unknown", "{\"name\":\"n\",\"label\":\"x\",\"new\":1}", NULL, "", "label, new"},
        {"no header out of a name", "{\"name\":\"n\",\"a\\r\\nb, c\":1}", NULL, "", "a??b??c"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct row out = {.count = -1};
        struct buf ignored = BUF_INIT(1000);
        json_t *body = json_parse(str_c(rows[i].body), &e);
        assert_non_null(body);
        bool ok = fields_read(fields, COUNT(fields), body, &out, "", &ignored, &e);
        assert_int_equal(ok, rows[i].where == NULL);
        if (!ok) {
            check_str(str_c(e.where), str_c(rows[i].where), rows[i].name);
            check_str(str_c(e.kind), str_c(rows[i].kind), rows[i].name);
        }
        check_bytes(&ignored, rows[i].ignored, rows[i].name);
        json_decref(body);
        buf_free(&ignored);
    }
}

static void fields_strict_takes_nothing_else(void **state)
{
    static const struct {
        const char *name, *body, *where, *kind;
    } rows[] = {
        {"all there", "{\"name\":\"n\",\"flag\":true,\"count\":3}", NULL, ""},
        {"unknown", "{\"name\":\"n\",\"new\":1}", "new", "unknown_parameter"},
        {"null", "{\"name\":\"n\",\"count\":null}", "count", "invalid_type"},
        {"whole real", "{\"name\":\"n\",\"count\":4.0}", "count", "invalid_type"},
        {"required", "{}", "name", "missing_required_parameter"},
        {"too large", "{\"name\":\"n\",\"count\":11}", "count", "out_of_range"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct err e = {0};
        struct row out = {.count = -1};
        json_t *body = json_parse(str_c(rows[i].body), &e);
        bool ok = fields_read_strict(fields, COUNT(fields), body, &out, "", &e);
        assert_int_equal(ok, rows[i].where == NULL);
        if (!ok) {
            check_str(str_c(e.where), str_c(rows[i].where), rows[i].name);
            check_str(str_c(e.kind), str_c(rows[i].kind), rows[i].name);
        }
        json_decref(body);
    }
}

static void fields_are_documented(void **state)
{
    static const struct field rows[] = {
        {"a", FIELD_BOOL, 0},
        {"b", FIELD_NUM, 0, 0, 2, .required = true},
        {"c", FIELD_TAKE},
        {"d", FIELD_ANY, 0, .note = "as told"},
        {"e", FIELD_STR, 0},
        {"a", FIELD_REFUSE, .note = "the first counts"},
        {"f", FIELD_INT, 0, 1, 1e15},
        {"g", FIELD_REFUSE, .note = "not built"},
        {"h", FIELD_TAKE},
        {"i", FIELD_NUM, 0, 1e-9, 1},
    };
    const struct field_set set = {"x", rows, COUNT(rows), "400"};
    struct buf out = BUF_INIT(4096);
    (void)state;
    fields_document(&set, &out);
    check_bytes(&out,
                "| field | |\n|---|---|\n| `a`, `e` | done |\n| `b` | done; required; 0 to 2 |\n"
                "| `c`, `h` | taken without effect |\n| `d` | done; as told |\n"
                "| `f` | done; at least 1 |\n| `g` | refused: not built |\n"
                "| `i` | done; more than 0, at most 1 |\n| any other | 400 |\n",
                "table");
    buf_free(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(fields_strict_takes_nothing_else),
    cmocka_unit_test(fields_are_done_taken_or_refused),
    cmocka_unit_test(fields_are_documented),
};
TEST_FILE(tests)
