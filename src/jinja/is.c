/* jinja/is.c - the tests behind `is`. */
#include "jinja/jinja_int.h"

#define TEST(name)                                                                                 \
    static bool name(struct render *r, struct value self, struct value *a, struct args *args,      \
                     struct value *out)

#define TEST_IF(name, expr)                                                                        \
    TEST(name)                                                                                     \
    {                                                                                              \
        (void)r, (void)self, (void)a, (void)args;                                                  \
        *out = jinja_bool(expr);                                                                   \
        return true;                                                                               \
    }

static bool sized(struct value v)
{
    return v.kind == KIND_UNDEFINED || v.kind == KIND_STR || v.kind == KIND_LIST ||
           v.kind == KIND_TUPLE || v.kind == KIND_DICT || v.kind == KIND_RANGE;
}

static bool iterable(struct value v)
{
    return sized(v) || v.kind == KIND_VIEW || v.kind == KIND_ITER || v.kind == KIND_LOOP;
}

static bool callable(struct value v)
{
    return v.kind == KIND_BUILTIN || v.kind == KIND_MACRO || v.kind == KIND_LOOP ||
           v.kind == KIND_JOINER || v.kind == KIND_UNDEFINED;
}

TEST_IF(t_defined, self.kind != KIND_UNDEFINED)
TEST_IF(t_undefined, self.kind == KIND_UNDEFINED)
TEST_IF(t_none, self.kind == KIND_NONE)
TEST_IF(t_boolean, self.kind == KIND_BOOL)
TEST_IF(t_true, self.kind == KIND_BOOL && self.b)
TEST_IF(t_false, self.kind == KIND_BOOL && !self.b)
TEST_IF(t_integer, self.kind == KIND_INT)
TEST_IF(t_float, self.kind == KIND_FLOAT)
TEST_IF(t_number, jinja_is_number(self))
TEST_IF(t_string, self.kind == KIND_STR)
TEST_IF(t_mapping, self.kind == KIND_DICT)
TEST_IF(t_sequence, sized(self))
TEST_IF(t_iterable, iterable(self))
TEST_IF(t_callable, callable(self))
TEST_IF(t_escaped, self.kind == KIND_STR && self.s->markup)
TEST_IF(t_sameas, jinja_same(self, a[0]))

static bool known(struct render *r, struct value name, bool filter, struct value *out)
{
    if (!jinja_hashable(name))
        return jinja_fail(r, "unhashable type: '%s'", jinja_type_name(name));
    str s = name.kind == KIND_STR ? jinja_text_str(name.s) : STR("");
    *out = jinja_bool(filter ? jinja_filter_find(s) != NULL : jinja_test_find(s) != NULL);
    return true;
}

TEST(t_filter)
{
    (void)a, (void)args;
    return known(r, self, true, out);
}

TEST(t_test)
{
    (void)a, (void)args;
    return known(r, self, false, out);
}

static bool case_of(struct render *r, struct value self, const char *method, struct value *out)
{
    static struct args none;
    struct value text;
    return jinja_to_str(r, self, &text) &&
           jinja_builtin_call(r, jinja_method_find(KIND_STR, str_c(method)), text, &none, out);
}

TEST(t_lower)
{
    (void)a, (void)args;
    return case_of(r, self, "islower", out);
}

TEST(t_upper)
{
    (void)a, (void)args;
    return case_of(r, self, "isupper", out);
}

static bool remainder_is(struct render *r, struct value v, struct value by, int64_t want,
                         struct value *out)
{
    struct value rest;
    bool same;
    if (!jinja_binary(r, OP_MOD, v, by, &rest) || !jinja_eq(r, rest, jinja_int(want), &same))
        return false;
    *out = jinja_bool(same);
    return true;
}

TEST(t_odd)
{
    (void)a, (void)args;
    return remainder_is(r, self, jinja_int(2), 1, out);
}

TEST(t_even)
{
    (void)a, (void)args;
    return remainder_is(r, self, jinja_int(2), 0, out);
}

TEST(t_divisibleby)
{
    (void)args;
    return remainder_is(r, self, a[0], 0, out);
}

static bool compare(struct render *r, enum op op, struct value a, struct value b, struct value *out)
{
    bool is;
    if (!jinja_compare(r, op, a, b, &is))
        return false;
    *out = jinja_bool(is);
    return true;
}

#define TEST_COMPARE(name, op)                                                                     \
    TEST(name)                                                                                     \
    {                                                                                              \
        (void)args;                                                                                \
        return compare(r, op, self, a[0], out);                                                    \
    }

TEST_COMPARE(t_eq, OP_EQ)
TEST_COMPARE(t_ne, OP_NE)
TEST_COMPARE(t_lt, OP_LT)
TEST_COMPARE(t_le, OP_LE)
TEST_COMPARE(t_gt, OP_GT)
TEST_COMPARE(t_ge, OP_GE)
TEST_COMPARE(t_in, OP_IN)

static const struct builtin tests[] = {
    {"defined", t_defined, NULL, 0, 0},
    {"undefined", t_undefined, NULL, 0, 0},
    {"none", t_none, NULL, 0, 0},
    {"boolean", t_boolean, NULL, 0, 0},
    {"true", t_true, NULL, 0, 0},
    {"false", t_false, NULL, 0, 0},
    {"integer", t_integer, NULL, 0, 0},
    {"float", t_float, NULL, 0, 0},
    {"number", t_number, NULL, 0, 0},
    {"string", t_string, NULL, 0, 0},
    {"mapping", t_mapping, NULL, 0, 0},
    {"sequence", t_sequence, NULL, 0, 0},
    {"iterable", t_iterable, NULL, 0, 0},
    {"callable", t_callable, NULL, 0, 0},
    {"escaped", t_escaped, NULL, 0, 0},
    {"sameas", t_sameas, "other", 1, 0},
    {"filter", t_filter, NULL, 0, 0},
    {"test", t_test, NULL, 0, 0},
    {"lower", t_lower, NULL, 0, 0},
    {"upper", t_upper, NULL, 0, 0},
    {"odd", t_odd, NULL, 0, 0},
    {"even", t_even, NULL, 0, 0},
    {"divisibleby", t_divisibleby, "num", 1, 0},
    {"in", t_in, "seq", 1, 0},
    {"eq", t_eq, "/b", 1, 0},
    {"equalto", t_eq, "/b", 1, 0},
    {"==", t_eq, "/b", 1, 0},
    {"ne", t_ne, "/b", 1, 0},
    {"!=", t_ne, "/b", 1, 0},
    {"lt", t_lt, "/b", 1, 0},
    {"lessthan", t_lt, "/b", 1, 0},
    {"<", t_lt, "/b", 1, 0},
    {"le", t_le, "/b", 1, 0},
    {"<=", t_le, "/b", 1, 0},
    {"gt", t_gt, "/b", 1, 0},
    {"greaterthan", t_gt, "/b", 1, 0},
    {">", t_gt, "/b", 1, 0},
    {"ge", t_ge, "/b", 1, 0},
    {">=", t_ge, "/b", 1, 0},
};

const struct builtin *jinja_test_find(str name)
{
    return jinja_table_find(tests, COUNT(tests), name);
}
