/* gram/gram_test.c - nodes, compiling, reading, masks. */
#include "gram/texts_test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "test.h"

struct example {
    const char *name, *source;
    const char *yes[8], *no[8];
};

static void check_examples(const struct example *x, size_t n,
                           const struct gram_node *(*make)(struct gram_build *, str))
{
    uint64_t seed = 1;
    for (size_t i = 0; i < n; i++) {
        struct gram_build *b = gram_build_new(testing_vocab());
        struct gram *g = testing_compile(b, make(b, str_c(x[i].source)));
        gram_build_free(b);
        for (int k = 0; k < 8 && x[i].yes[k]; k++) {
            if (!testing_matches(g, str_c(x[i].yes[k])))
                fail_msg("%s: %s should match %s", x[i].name, x[i].yes[k], x[i].source);
        }
        for (int k = 0; k < 8 && x[i].no[k]; k++) {
            if (testing_matches(g, str_c(x[i].no[k])))
                fail_msg("%s: %s should not match %s", x[i].name, x[i].no[k], x[i].source);
        }
        for (int k = 0; k < 4; k++) {
            struct buf out = BUF_INIT(1 << 20);
            if (testing_walk(g, &seed, 60, k == 0, &out))
                assert_true(testing_matches(g, buf_as_str(&out)));
            buf_free(&out);
        }
        gram_drop(g);
    }
}

static const struct gram_node *from_regex(struct gram_build *b, str s)
{
    return gram_regex(b, s);
}

static const struct gram_node *from_gbnf(struct gram_build *b, str s)
{
    return gram_gbnf(b, s, STR("root"));
}

static void gram_regex_matches_whole_texts(void **state)
{
    static const struct example cases[] = {
        {"literal", "abc", {"abc"}, {"ab", "abcd", ""}},
        {"alternatives", "a|bc|", {"a", "bc", ""}, {"b", "abc"}},
        {"class", "[a-c\\d_]+", {"a0_", "b"}, {"", "d"}},
        {"inverted class", "[^a]", {"b", "\xc3\xa9", "\n"}, {"a", "\xc3", ""}},
        {"dot", ".", {"a", "\xf0\x9f\x98\x80"}, {"\n", "ab"}},
        {"counts", "a{2,3}", {"aa", "aaa"}, {"a", "aaaa"}},
        {"exact", "(ab){2}", {"abab"}, {"ab", "ababab"}},
        {"open", "a{2,}b", {"aab", "aaaaaaab"}, {"ab"}},
        {"long counts", "a{300,301}", {}, {"a"}},
        {"reluctant", "a+?b??", {"a", "aab"}, {"b"}},
        {"groups", "(?:a(?<n>b)?)*", {"", "aab", "abab"}, {"b"}},
        {"escapes", "\\x41\\u00e9\\t\\.\\{", {"A\xc3\xa9\t.{"}, {"A"}},
        {"surrogates", "\\ud83d\\ude00", {"\xf0\x9f\x98\x80"}, {"a"}},
        {"shorthands", "\\w\\W\\s\\S\\d\\D", {"a- b1x"}, {"aab bb1"}},
        {"anchored", "^ab$", {"ab"}, {"xab"}},
        {"anchors inside", "(^a|b$)c?", {"a", "ac", "b"}, {"bc", "aa"}},
        {"braces as text", "a{,2}", {"a{,2}"}, {"aa"}},
        {"bracket first", "[]a]+", {"]a"}, {"["}},
        {"range end", "[a-]", {"-", "a"}, {"b"}},
        {"dates", "2025-[01][0-9]-[0-3][0-9]", {"2025-12-31"}, {"2024-12-31"}},
    };
    (void)state;
    check_examples(cases, COUNT(cases), from_regex);
}

static void gram_regex_refuses_by_name(void **state)
{
    static const struct {
        const char *source, *what;
    } cases[] = {
        {"a(?=b)", "look-ahead"},
        {"(?!b)", "look-ahead"},
        {"(?<=b)a", "look-behind"},
        {"(?<!b)a", "look-behind"},
        {"(a)\\1", "back-reference"},
        {"(?<n>a)\\k<n>", "back-reference"},
        {"(?P=n)", "back-reference"},
        {"(?>a)", "atomic"},
        {"(?(1)a|b)", "conditional"},
        {"\\bword", "word boundaries"},
        {"\\p{L}", "Unicode classes"},
        {"(?i)a", "flags"},
        {"a++", "possessive"},
        {"a**", "nothing to repeat"},
        {"*a", "nothing to repeat"},
        {"{2}", "nothing to repeat"},
        {"(a", "without )"},
        {"a)", ") without"},
        {"[a", "without ]"},
        {"[b-a]", "backwards"},
        {"[[:alpha:]]", "POSIX"},
        {"a{3,2}", "wrong order"},
        {"a{1,9999999}", "million"},
        {"\\", "backslash"},
        {"\\xZZ", "hexadecimal"},
        {"\\ud800", "no such character"},
        {"\\q", "unknown escape"},
        {"\\07", "octal"},
        {"\xff", "UTF-8"},
        {"(?#c)", "comments"},
        {"(*COMMIT)", "verbs"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct gram_build *b = gram_build_new(testing_vocab());
        struct gram *g = gram_compile(b, gram_regex(b, str_c(cases[i].source)), &e);
        if (g || e.code != ERR_INPUT || !strstr(e.msg, cases[i].what) || !e.where[0])
            fail_msg("%s: %s (%s)", cases[i].source, e.msg, e.where);
        gram_build_free(b);
    }
}

static void gram_gbnf_reads_llama_grammars(void **state)
{
    static const struct example cases[] = {
        {"words", "root ::= \"yes\" | \"no\"", {"yes", "no"}, {"y", "yesno"}},
        {"rules", "# c\nroot ::= a b # d\n\na ::= \"x\"+\nb ::= [0-9]*\n", {"x", "xx12"}, {"1"}},
        {"groups over lines", "root ::= (\n \"a\" |\n \"b\"\n)\n", {"a", "b"}, {"ab"}},
        {"alternatives over lines", "root ::= \"a\" |\n  \"b\"\n", {"a", "b"}, {}},
        {"repetitions",
         "root ::= \"a\"{2} \"b\"{1,2} \"c\"{2,} \"d\"{,1}",
         {"aabcc", "aabbcccd"},
         {"abcc", "aabbbcc", "aabc"}},
        {"class", "root ::= [^\\n\\x41-C]", {"a", "\xe2\x82\xac"}, {"A", "C", "\n"}},
        {"dot", "root ::= . .", {"a\n"}, {"a"}},
        {"recursion", "root ::= \"(\" root? \")\"", {"()", "((()))"}, {"(", "(()"}},
        {"arithmetic",
         "root ::= e\ne ::= t ((\"+\"|\"-\") t)*\nt ::= [0-9]+ | \"(\" e \")\"",
         {"1", "1+2", "(1-(2+3))+4"},
         {"1+", "()", "+1"}},
        {"right recursion", "root ::= ws \"x\"\nws ::= ([ \\t\\n] ws)?", {"x", "    \n x"}, {" "}},
        {"escapes",
         "root ::= \"\\\"\\\\\\u00e9\\U0001F600\\[\\]\"",
         {"\"\\\xc3\xa9\xf0\x9f\x98\x80[]"},
         {}},
        {"ambiguous", "root ::= (\"a\" | \"aa\")*", {"", "aaaaa"}, {"b"}},
        {"counted rule",
         "root ::= item{3,200}\nitem ::= [a-z]+ \",\"",
         {"a,b,c,"},
         {"a,b,", "a,b,c"}},
        {"counted ambiguous",
         "root ::= x{2,300}\nx ::= \"a\" | \"aa\" | \"aaa\" | \"bbbb\" | \"abab\"",
         {"aa", "aaabbbb"},
         {"a", "bbbb"}},
    };
    (void)state;
    check_examples(cases, COUNT(cases), from_gbnf);
}

static void gram_gbnf_says_where_it_is_wrong(void **state)
{
    static const struct {
        const char *source, *where, *what;
        enum err_code code;
    } cases[] = {
        {"a ::= \"x\"", "1:1", "no rule named root", ERR_INPUT},
        {"root = \"x\"", "1:6", "::=", ERR_INPUT},
        {"root ::= \"x", "1:12", "ends inside", ERR_INPUT},
        {"root ::= \"x\"\nroot ::= \"y\"", "2:1", "twice", ERR_INPUT},
        {"root ::= b", "1:10", "not defined", ERR_INPUT},
        {"root ::= (\"a\"", "1:14", "without )", ERR_INPUT},
        {"root ::= [b-a]", "1:14", "backwards", ERR_INPUT},
        {"root ::= \"a\"{3,1}", "1:18", "wrong order", ERR_INPUT},
        {"root ::= \"a\"{9999999}", "1:21", "million", ERR_INPUT},
        {"root ::= \"a\"{x}", "1:14", "repetition", ERR_INPUT},
        {"root ::= \"\\q\"", "1:13", "unknown escape", ERR_INPUT},
        {"root ::= \"\\x4\"", "1:14", "hexadecimal", ERR_INPUT},
        {"root ::= <think>", "1:11", "<[number]>", ERR_INPUT},
        {"root ::= <[99999]>", "1:19", "no such token", ERR_INPUT},
        {"root ::= \"a\" )", "1:14", "unexpected", ERR_INPUT},
        {"root ::= root \"a\" | \"a\"", "", "left recursion", ERR_INPUT},
        {"root ::= a root\na ::= \"\"", "", "nothing at all", ERR_INPUT},
        {"root ::= a root | \"b\"\na ::= \"\" | \"x\"", "", "left recursion", ERR_INPUT},
        {"root ::= \"a\" root", "", "nothing at all", ERR_INPUT},
        {"", "1:1", "no rule named root", ERR_INPUT},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct err e = {0};
        struct gram_build *b = gram_build_new(testing_vocab());
        struct gram *g = gram_compile(b, gram_gbnf(b, str_c(cases[i].source), STR("root")), &e);
        if (g || e.code != cases[i].code || !strstr(e.msg, cases[i].what) ||
            strcmp(e.where, cases[i].where) != 0)
            fail_msg("%s: %s (%s)", cases[i].source, e.msg, e.where);
        gram_build_free(b);
    }
}

static void gram_bombs_end_soon(void **state)
{
    struct buf doubling = BUF_INIT(1 << 20), wide = BUF_INIT(1 << 22);
    buf_c(&doubling, "root ::= a0\n");
    for (int i = 0; i < 60; i++)
        buf_printf(&doubling, "a%d ::= a%d a%d | a%d\n", i, i + 1, i + 1, i + 1);
    buf_c(&doubling, "a60 ::= \"\" | \"x\" root \"y\"\n");
    for (int i = 0; i < 20000; i++)
        buf_printf(&wide, "%s(a|b)*a(a|b){%d}", i ? "|" : "", i % 60);
    const char *const bombs[] = {
        "((((a{1000}){1000}){1000}){1000}){1000}",
        "(a|aa|aaa|aaaa){1,100000}(a|aa){1,100000}a{1,100000}",
        "(a*)*(a*)*(a*)*(a*)*b",
        "(a|b)*a(a|b){400}",
        "((a?){1000}){1000}",
        "(.*a.*b.*c.*d.*e.*f.*g.*h.*i.*j){20}",
        buf_cstr(&wide),
    };
    (void)state;
    for (size_t i = 0; i <= COUNT(bombs); i++) {
        struct err e = {0};
        uint64_t start = clock_mono_ms(), seed = i;
        struct gram_build *b = gram_build_new(testing_vocab());
        struct gram *g =
            gram_compile(b,
                         i < COUNT(bombs) ? gram_regex(b, str_c(bombs[i]))
                                          : gram_gbnf(b, buf_as_str(&doubling), STR("root")),
                         &e);
        gram_build_free(b);
        print_message("bomb %zu: %s after %d ms\n", i, g ? "compiled" : e.msg,
                      (int)(clock_mono_ms() - start));
        if (g) {
            struct gram_state *s = gram_state_new(g);
            for (int k = 0; k < 2000; k++) { // each step ends, in an error or not
                uint64_t mask[64];
                int n;
                if (k % 100 == 0 && !gram_mask(s, mask, &n, &e))
                    assert_int_equal(e.code, ERR_LIMIT);
                if (!gram_accept(s, 'a', &e))
                    break;
            }
            gram_state_free(s);
            print_message("  %d ms with texts\n", (int)(clock_mono_ms() - start));
        } else {
            assert_true(e.code == ERR_LIMIT || e.code == ERR_INPUT);
        }
        gram_drop(g);
        (void)seed;
    }
    buf_free(&doubling);
    buf_free(&wide);
}

static void gram_json_takes_objects_with_little_space(void **state)
{
    static const char *const yes[] = {"{}",
                                      "{ }",
                                      "{\"a\":1}",
                                      "{\"a\": [1, -2.5e3, true, false, null]}",
                                      "{\n  \"a\": {\n    \"b\": []\n  }\n}",
                                      "{\"\\u00e9\\ud83d\\ude00\\n\":\"\xc3\xa9\"}"};
    static const char *const no[] = {"",
                                     "[]",
                                     "{\"a\"}",
                                     "{\"a\":01}",
                                     "{\"a\":1,}",
                                     "{  }",
                                     "{\"a\" :1}",
                                     "{\"a\":\"\\ud800\"}",
                                     "{\"a\":\"\n\"}",
                                     "{\"a\":\"\xc3\"}",
                                     "{} "};
    struct gram_build *b = gram_build_new(testing_vocab());
    struct gram *g = testing_compile(b, gram_json_object(b));
    uint64_t seed = 7;
    int done = 0;
    (void)state;
    gram_build_free(b);
    for (size_t i = 0; i < COUNT(yes); i++)
        if (!testing_matches(g, str_c(yes[i])))
            fail_msg("%s", yes[i]);
    for (size_t i = 0; i < COUNT(no); i++)
        if (testing_matches(g, str_c(no[i])))
            fail_msg("%s", no[i]);
    for (int i = 0; i < 30; i++) {
        struct buf out = BUF_INIT(1 << 20);
        done += testing_walk(g, &seed, 300, i == 0, &out);
        buf_free(&out);
    }
    assert_true(done > 3);
    gram_drop(g);
}

static void gram_composes_text_and_control_tokens(void **state)
{
    struct gram_build *b = gram_build_new(testing_vocab());
    str ends[] = {STR("</think>")}, calls[] = {STR("<tool_call>"), STR("<|tool")};
    const struct gram_node *root = gram_seq(
        b,
        (const struct gram_node *const[]){
            gram_opt(b, gram_seq2(b, gram_control(b, testing_control(0)), gram_until(b, ends, 1))),
            gram_alt2(b, gram_without(b, calls, 2),
                      gram_seq2(b, gram_until(b, calls, 1), gram_control(b, testing_control(1))))},
        2);
    struct gram *g = testing_compile(b, root);
    struct err e;
    struct gram_state *s = gram_state_new(g);
    (void)state;
    gram_build_free(b);
    testing_check_mask(s);
    assert_true(gram_may_end(s));
    assert_false(gram_accept(s, testing_control(1), &e));
    assert_int_equal(e.code, ERR_INPUT);
    assert_true(gram_accept(s, testing_control(0), &e));
    assert_false(gram_may_end(s));
    testing_check_mask(s);
    assert_true(gram_accept_bytes(s, STR("hm <tool_call> </thi</think>"), &e));
    assert_true(gram_may_end(s));
    assert_true(gram_accept(s, testing_end(), &e)); // changes nothing
    assert_true(gram_accept_bytes(s, STR("text <tool_"), &e));
    assert_true(gram_may_end(s));
    testing_check_mask(s);
    assert_true(gram_accept_bytes(s, STR("call>"), &e));
    assert_false(gram_may_end(s));
    assert_false(gram_accept(s, testing_end(), &e));
    testing_check_mask(s);
    assert_true(gram_accept(s, testing_control(1), &e));
    assert_true(gram_must_end(s));
    testing_check_mask(s);
    gram_state_free(s);
    gram_drop(g);
}

static void gram_only_gives_what_is_forced(void **state)
{
    struct gram_build *b = gram_build_new(testing_vocab());
    struct gram *g = testing_compile(b, gram_gbnf(b,
                                                  STR("root ::= \"{\\\"name\\\":\" v\n"
                                                      "v ::= \"tiger\" | \"ti\" | \"xy\"{2}"),
                                                  STR("root")));
    struct gram_state *s = gram_state_new(g);
    struct err e;
    char out[64];
    (void)state;
    gram_build_free(b);
    assert_int_equal(gram_only(s, out, sizeof out), 8);
    assert_memory_equal(out, "{\"name\":", 8);
    assert_int_equal(gram_only(s, out, 3), 3);
    assert_true(gram_accept_bytes(s, STR("{\"name\":"), &e));
    assert_int_equal(gram_only(s, out, sizeof out), 0);
    assert_true(gram_accept_bytes(s, STR("t"), &e));
    assert_int_equal(gram_only(s, out, sizeof out), 1); // "ti" may end
    assert_true(gram_accept_bytes(s, STR("i"), &e));
    assert_int_equal(gram_only(s, out, sizeof out), 0);
    gram_state_free(s);
    s = gram_state_new(g);
    assert_true(gram_accept_bytes(s, STR("{\"name\":x"), &e));
    assert_int_equal(gram_only(s, out, sizeof out), 3);
    gram_state_free(s);
    gram_drop(g);
}

static void gram_counts_without_growing(void **state)
{
    struct gram_build *b = gram_build_new(testing_vocab());
    struct gram *g = testing_compile(b, gram_regex(b, STR("[a-d]{50,100000}x")));
    struct gram_state *s = gram_state_new(g);
    struct err e;
    uint64_t mask[8];
    int n;
    (void)state;
    gram_build_free(b);
    assert_true(gram_memory(g) < 100000);
    for (int i = 0; i < 100000; i++) {
        if (i < 60 || (i > 49980 && i < 50020) || i > 99980)
            testing_check_mask(s);
        else if (i % 100 == 0)
            assert_true(gram_mask(s, mask, &n, &e));
        assert_true(gram_accept(s, 'a', &e));
    }
    testing_check_mask(s);
    assert_false(gram_accept(s, 'a', &e));
    assert_true(gram_accept(s, 'x', &e));
    assert_true(gram_must_end(s));
    gram_state_free(s);
    gram_drop(g);
}

static void gram_nesting_is_bounded_in_the_mask(void **state)
{
    struct gram_build *b = gram_build_new(testing_vocab());
    struct gram *g = testing_compile(b, gram_json_value(b));
    struct gram_state *s = gram_state_new(g);
    struct err e;
    int depth = 0;
    (void)state;
    gram_build_free(b);
    while (gram_accept(s, '[', &e)) {
        depth++;
        if (depth % 10 == 0 || depth > 110)
            testing_check_mask(s);
    }
    assert_true(depth >= 100 && depth <= 128);
    for (int i = 0; i < depth; i++)
        assert_true(gram_accept(s, ']', &e));
    assert_true(gram_must_end(s));
    gram_state_free(s);
    gram_drop(g);
}

static void gram_build_keeps_the_first_error(void **state)
{
    struct gram_build *b = gram_build_new(testing_vocab());
    struct err e = {0};
    (void)state;
    const struct gram_node *n = gram_regex(b, STR("("));
    n = gram_seq2(b, n, gram_control(b, 1 << 30));
    assert_null(gram_compile(b, gram_opt(b, n), &e));
    assert_string_equal(e.where, "1:2");
    gram_build_free(b);

    b = gram_build_new(testing_vocab());
    assert_null(gram_compile(b, gram_seq2(b, gram_rule(b), gram_lit(b, STR("x"))), &e));
    assert_non_null(strstr(e.msg, "never defined"));
    gram_build_free(b);

    b = gram_build_new(testing_vocab());
    assert_null(gram_compile(b, gram_alt(b, NULL, 0), &e));
    assert_non_null(strstr(e.msg, "nothing at all"));
    gram_build_free(b);

    b = gram_build_new(testing_vocab());
    assert_null(gram_compile(b, gram_repeat(b, gram_lit(b, STR("x")), 3, 2), &e));
    gram_build_free(b);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gram_regex_matches_whole_texts),
    cmocka_unit_test(gram_regex_refuses_by_name),
    cmocka_unit_test(gram_gbnf_reads_llama_grammars),
    cmocka_unit_test(gram_gbnf_says_where_it_is_wrong),
    cmocka_unit_test(gram_bombs_end_soon),
    cmocka_unit_test(gram_json_takes_objects_with_little_space),
    cmocka_unit_test(gram_composes_text_and_control_tokens),
    cmocka_unit_test(gram_only_gives_what_is_forced),
    cmocka_unit_test(gram_counts_without_growing),
    cmocka_unit_test(gram_nesting_is_bounded_in_the_mask),
    cmocka_unit_test(gram_build_keeps_the_first_error),
};
TEST_FILE(tests)
