/* tools/calc_test.c - values, and what is refused. */
#include "tools/calc.h"

#include "test.h"
#include "tools/decimal.h"

static void calc_gives_values(void **state)
{
    static const struct {
        const char *in, *want;
    } rows[] = {
        {"12 * 7.5", "90.0000000000000"}, // as the vendor's example has it
        {"1+2*3", "7"},
        {"2+3*4-5", "9"},
        {"(2+3)*4", "20"},
        {"10/4", "2.50000000000000"},
        {"10/5", "2"},
        {"1/3", "0.333333333333333"},
        {"2/3", "0.666666666666667"},
        {"(1/3)*3", "1.00000000000000"},
        {"0.1+0.2", "0.300000000000000"},
        {"0.1+0.2-0.3", "0.00000000000000"},
        {"-7//2", "-4"},
        {"-7%3", "2"},
        {"7%-3", "-2"},
        {"7.5//2", "3.00000000000000"},
        {"7.5%2", "1.50000000000000"},
        {"-2**2", "-4"},
        {"2**-1", "0.500000000000000"},
        {"2**3**2", "512"},
        {"2^10", "1024"},
        {"(-2)^3", "-8"},
        {"2**100", "1267650600228229401496703205376"},
        {"2**0.5", "1.41421356237310"},
        {"0**0", "1"},
        {"--3", "3"},
        {"-+-3", "3"},
        {"3!", "6"},
        {"0!", "1"},
        {"-3!", "-6"},
        {"25!", "15511210043330985984000000"},
        {"3!!", "720"},
        {"99999999999999999999*99999999999999999999", "9999999999999999999800000000000000000001"},
        {"123456789012345678901234567890/1234567890", "100000000010000000001"},
        {"1000000000000000000000000000000/1000000000000", "1000000000000000000"},
        {"123456789123456789123456789//987654321987", "124999998861020"},
        {"123456789123456789123456789%987654321987", "308780210049"},
        {"1e3", "1000.00000000000"},
        {"1e20", "1.00000000000000e+20"},
        {"1e-5", "1.00000000000000e-05"},
        {"0.0001", "0.000100000000000000"},
        {"1.5e-3*2", "0.00300000000000000"},
        {"1e300*1e300", "1.00000000000000e+600"},
        {"1e300+1", "1.00000000000000e+300"},
        {"1e3000+1", "1.00000000000000e+3000"},
        {".5+5.", "5.50000000000000"},
        {"sqrt(16)", "4"},
        {"sqrt(2)", "1.41421356237310"},
        {"sqrt(0.25)", "0.500000000000000"},
        {"sqrt(123456789**2)", "123456789"},
        {"cbrt(27)", "3.00000000000000"},
        {"exp(1)", "2.71828182845905"},
        {"e", "2.71828182845905"},
        {"pi", "3.14159265358979"},
        {"tau", "6.28318530717959"},
        {"ln(e)", "1.00000000000000"},
        {"log(8,2)", "3.00000000000000"},
        {"log10(1000)", "3.00000000000000"},
        {"log2(1024)", "10.0000000000000"},
        {"sin(pi)", "0.00000000000000"},
        {"sin(pi/6)", "0.500000000000000"},
        {"cos(0)", "1.00000000000000"},
        {"atan2(1,1)*4", "3.14159265358979"},
        {"abs(-5)", "5"},
        {"floor(-2.5)", "-3"},
        {"ceil(-2.5)", "-2"},
        {"ceil(2.1)", "3"},
        {"floor(1e-300)", "0"},
        {"floor(-1e-300)", "-1"},
        {"round(2.5)", "3"},
        {"round(-2.5)", "-3"},
        {"round(2.345, 2)", "2.35000000000000"},
        {"round(7, 2)", "7"},
        {"min(3,1.5,2)", "1.50000000000000"},
        {"max(3,1.5,2)", "3"},
        {"gcd(48,36)", "12"},
        {"gcd(0,5)", "5"},
        {"lcm(4,6,10)", "60"},
        {"lcm(0,6)", "0"},
        {"SQRT(4)", "2"},
        {"3 \xc3\x97 4", "12"},
        {"12 \xc3\xb7 4 \xe2\x88\x92 1", "2"},
        {" 1 ", "1"},
        {"2(3)", NULL},
        {"", NULL},
        {"1+", NULL},
        {"(1", NULL},
        {"1)", NULL},
        {"1,5", NULL},
        {"1 2", NULL},
        {"1..2", NULL},
        {"x", NULL},
        {"system(1)", NULL},
        {"sin", NULL},
        {"sin()", NULL},
        {"sin(1,2)", NULL},
        {"atan2(1)", NULL},
        {"round(1,2,3)", NULL},
        {"round(1,-1)", NULL},
        {"1/0", NULL},
        {"1//0", NULL},
        {"1%0", NULL},
        {"0**-1", NULL},
        {"1/(2-2)", NULL},
        {"sqrt(-1)", NULL},
        {"(-8)**0.5", NULL},
        {"ln(0)", NULL},
        {"ln(-1)", NULL},
        {"asin(2)", NULL},
        {"tan(pi/2)", NULL},
        {"1.5!", NULL},
        {"(-1)!", NULL},
        {"1001!", NULL},
        {"9**9**9", NULL},
        {"10**2071", NULL},
        {"1e9999999", NULL},
        {"exp(1e9)", NULL},
        {"gcd(1.5,2)", NULL},
        {"\xff", NULL},
        {"1;2", NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = BUF_INIT(8192);
        struct err e = {0};
        bool ok = calc(str_c(rows[i].in), &out, &e);
        if (!rows[i].want) {
            check_str(buf_as_str(&out), STR(""), rows[i].in);
            assert_false(ok);
            assert_true(e.msg[0]);
        } else {
            if (!ok)
                fail_msg("%s: %s", rows[i].in, e.msg);
            check_str(buf_as_str(&out), str_c(rows[i].want), rows[i].in);
        }
        buf_free(&out);
    }
}

/* q * b + r is a again, for numbers of many shapes. */
static void decimal_divides_what_it_multiplied(void **state)
{
    static const char *const rows[] = {
        "1",
        "2",
        "9",
        "999999999",
        "1000000000",
        "1000000001",
        "999999999999999999",
        "1000000000000000000",
        "499999999500000000",
        "500000000000000000000000000",
        "999999999000000000999999999",
        "123456789012345678901234567890123456789",
        "999999999999999999999999999999999999999999999999999999",
        "100000000000000000000000000000000000000000000000000001",
        "499999999999999999999999999500000000000000000000000000",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(rows); k++)
            for (int signs = 0; signs < 4; signs++) {
                struct dec a, b, q, r, back;
                struct err e;
                assert_true(dec_parse(&a, str_c(rows[i]), &e) && dec_parse(&b, str_c(rows[k]), &e));
                a.minus = signs & 1;
                b.minus = signs & 2;
                assert_true(dec_floor_div(&q, &r, &a, &b, &e));
                assert_true(r.n == 0 || r.minus == b.minus);
                struct dec left = r, right = b;
                left.minus = right.minus = false;
                assert_true(dec_cmp(&left, &right) < 0);
                assert_true(dec_mul(&back, &q, &b, &e) && dec_add(&back, &back, &r, &e));
                assert_int_equal(dec_cmp(&back, &a), 0);
            }
}

static void calc_bounds_depth_and_work(void **state)
{
    struct buf in = BUF_INIT(8192), out = BUF_INIT(8192);
    struct err e;
    (void)state;
    for (int i = 0; i < 2000; i++)
        buf_char(&in, '(');
    assert_false(calc(buf_as_str(&in), &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_clear(&in);
    for (int i = 0; i < 1000; i++)
        buf_c(&in, "2^");
    buf_c(&in, "1");
    assert_false(calc(buf_as_str(&in), &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_clear(&in);
    buf_c(&in, "0");
    for (int i = 0; i < 600; i++)
        buf_c(&in, "+800!");
    assert_false(calc(buf_as_str(&in), &out, &e));
    check_str(str_c(e.msg), STR("the expression takes too much arithmetic"), "work");
    buf_clear(&in);
    for (int i = 0; i < 4097; i++)
        buf_char(&in, '1');
    assert_false(calc(buf_as_str(&in), &out, &e));
    assert_int_equal(e.code, ERR_LIMIT);
    buf_free(&in);
    buf_free(&out);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(calc_gives_values),
    cmocka_unit_test(decimal_divides_what_it_multiplied),
    cmocka_unit_test(calc_bounds_depth_and_work),
};
TEST_FILE(tests)
