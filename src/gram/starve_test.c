/* gram/starve_test.c - builders with little memory or work left, and sources cut anywhere: an
 * error, never a crash. */
#include "gram/gram_int.h"
#include "gram/texts_test.h"

#include "json/json.h"
#include "test.h"

static const char *const schema =
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\",\"minimum\":3},\"b\":{"
    "\"type\":"
    "\"string\",\"pattern\":\"^a+\",\"maxLength\":9},\"c\":{\"anyOf\":[{\"$ref\":\"#\"},{\"type\":"
    "\"array\",\"items\":{\"enum\":[1,2]},\"uniqueItems\":true}]},\"d\":{\"oneOf\":[{\"minimum\":3}"
    ","
    "{\"maximum\":2}]}},\"additionalProperties\":{\"type\":\"string\",\"not\":{\"const\":\"z\"}},"
    "\"patternProperties\":{\"^"
    "p\":"
    "{}},\"dependentRequired\":{\"a\":[\"b\"]}}";
static const char *const grammar =
    "root ::= (a | [^x-z]{2,300}) . <[7]>? # c\na ::= \"\\x41\" root?\n";
static const char *const regex = "(?:a|b{2,300}c*)[^\\d\\-z]\\u00e9(?<n>x|^y$)\\w+?";

static const struct gram_node *make(struct gram_build *b, int kind, const json_t *root, str source)
{
    if (kind == 0)
        return gram_schema(b, root, NULL, GRAM_JSON);
    return kind == 1 ? gram_gbnf(b, source, STR("root")) : gram_regex(b, source);
}

static void gram_builders_may_starve(void **state)
{
    const char *const sources[] = {schema, grammar, regex};
    struct err e;
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        json_t *root = kind == 0 ? json_parse(str_c(schema), &e) : NULL;
        int limited = 0;
        // Memory: the arena's cap; then work.
        for (int what = 0; what < 2; what++) {
            bool done = false;
            for (uint64_t room = 0; !done; room = room + room / 16 + 64) {
                struct gram_build *b = gram_build_new(testing_vocab());
                if (what == 0)
                    b->arena.max = (size_t)room;
                else
                    b->work = GRAM_WORK_MAX > room ? GRAM_WORK_MAX - room : 0;
                struct gram *g = gram_compile(b, make(b, kind, root, str_c(sources[kind])), &e);
                gram_build_free(b);
                done = g != NULL;
                if (!g && e.code != ERR_LIMIT)
                    fail_msg("%d with %llu: %s", kind, (unsigned long long)room, e.msg);
                limited += !g;
                gram_drop(g);
            }
        }
        assert_true(limited > 4);
        json_decref(root);
    }
}

static void gram_sources_may_end_anywhere(void **state)
{
    const char *const sources[] = {NULL, grammar, regex};
    (void)state;
    for (int kind = 1; kind < 3; kind++)
        for (size_t n = 0; n <= strlen(sources[kind]); n++) {
            struct err e = {0};
            char *cut = mem_alloc(n + 1); // exactly as long, for the sanitizers
            memcpy(cut, sources[kind], n);
            cut = mem_realloc(cut, n ? n : 1);
            struct gram_build *b = gram_build_new(testing_vocab());
            struct gram *g = gram_compile(b, make(b, kind, NULL, str_n(cut, n)), &e);
            gram_build_free(b);
            if (!g && (e.code != ERR_INPUT || !e.msg[0]))
                fail_msg("%.*s: %s", (int)n, cut, e.msg);
            gram_drop(g);
            mem_free(cut);
        }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(gram_builders_may_starve),
    cmocka_unit_test(gram_sources_may_end_anywhere),
};
TEST_FILE(tests)
