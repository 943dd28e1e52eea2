/* run/grams_test.c - compiled formats: found again by content, the least recently used leave. */
#include "run/grams.h"

#include "json/json.h"
#include "test.h"

/* No template is looked at for plain prompts without tools: any address tells models apart. */
static char template_a, template_b;
#define A ((const struct chat_template *)&template_a)
#define B ((const struct chat_template *)&template_b)

static struct chat_request *request_of(enum chat_format format, const char *source)
{
    struct chat_request *r = chat_request_new((size_t)1 << 20);
    r->format = format;
    r->format_source = str_c(source);
    return r;
}

static struct gram *some_gram(const struct gram_vocab *v)
{
    struct err e;
    struct gram_build *b = gram_build_new(v);
    struct gram *g = gram_compile(b, gram_lit(b, STR("a")), &e);
    assert_non_null(g);
    gram_build_free(b);
    return g;
}

static void grams_are_found_by_what_made_them(void **state)
{
    static const str pieces[] = {STR_INIT("a")};
    struct gram_vocab *v = gram_vocab_new(pieces, NULL, NULL, 1);
    struct grams *c = grams_new((size_t)1 << 20);
    struct chat_request *r = request_of(CHAT_FORMAT_REGEX, "a+");
    struct grams_of of;
    (void)state;
    grams_find(c, A, r, &of);
    assert_true(of.key.n > 0);
    assert_null(of.by_start[0]);
    grams_keep(c, &of); // nothing fresh
    assert_int_equal(grams_count(c), 0);
    struct gram *made = of.by_start[0] = some_gram(v);
    of.fresh = true;
    grams_keep(c, &of);
    grams_keep(c, &of);
    assert_int_equal(grams_count(c), 1);
    grams_of_free(&of);

    static const struct {
        const char *name;
        enum chat_format format;
        const char *source;
        bool other_template, found;
    } rows[] = {
        {"the same", CHAT_FORMAT_REGEX, "a+", false, true},
        {"another model", CHAT_FORMAT_REGEX, "a+", true, false},
        {"another kind", CHAT_FORMAT_GRAMMAR, "a+", false, false},
        {"another source", CHAT_FORMAT_REGEX, "a", false, false},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct chat_request *q = request_of(rows[i].format, rows[i].source);
        grams_find(c, rows[i].other_template ? B : A, q, &of);
        if ((of.by_start[0] == made) != rows[i].found)
            fail_msg("%s", rows[i].name);
        grams_of_free(&of);
        chat_request_free(q);
    }
    // Another schema is another key, and its order of properties counts.
    static const char *const schemas[] = {"{\"a\":1,\"b\":2}", "{\"b\":2,\"a\":1}", "{}"};
    struct buf keys[COUNT(schemas)];
    for (size_t i = 0; i < COUNT(schemas); i++) {
        struct err e;
        struct chat_request *q = request_of(CHAT_FORMAT_SCHEMA, "");
        q->format_schema = json_parse(str_c(schemas[i]), &e);
        grams_find(c, A, q, &of);
        keys[i] = of.key;
        for (size_t k = 0; k < i; k++)
            assert_false(str_eq(buf_as_str(&keys[i]), buf_as_str(&keys[k])));
        chat_request_free(q);
    }
    for (size_t i = 0; i < COUNT(schemas); i++)
        buf_free(&keys[i]);
    // Nothing is asked: nothing is kept.
    struct chat_request *q = request_of(CHAT_FORMAT_TEXT, "");
    grams_find(c, A, q, &of);
    assert_int_equal(of.key.n, 0);
    grams_of_free(&of);
    chat_request_free(q);
    chat_request_free(r);
    grams_free(c);
    gram_vocab_drop(v);
}

static void grams_leave_when_there_are_too_many(void **state)
{
    static const str pieces[] = {STR_INIT("a")};
    struct gram_vocab *v = gram_vocab_new(pieces, NULL, NULL, 1);
    struct gram *one = some_gram(v);
    size_t each = gram_memory(one);
    struct grams *c = grams_new(4 * each + 2000);
    char source[16];
    struct grams_of of;
    (void)state;
    gram_drop(one);
    for (int i = 0; i < 40; i++) {
        snprintf(source, sizeof source, "a%d", i);
        struct chat_request *r = request_of(CHAT_FORMAT_REGEX, source);
        grams_find(c, A, r, &of);
        assert_null(of.by_start[0]);
        of.by_start[0] = some_gram(v);
        of.fresh = true;
        grams_keep(c, &of);
        grams_of_free(&of);
        chat_request_free(r);
        // The first one is used again and again, so that it stays.
        r = request_of(CHAT_FORMAT_REGEX, "a0");
        grams_find(c, A, r, &of);
        assert_non_null(of.by_start[0]);
        grams_of_free(&of);
        chat_request_free(r);
        assert_true(grams_bytes(c) <= 4 * each + 2000);
    }
    assert_true(grams_count(c) >= 2 && grams_count(c) < 40);
    grams_free(c);
    gram_vocab_drop(v);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(grams_are_found_by_what_made_them),
    cmocka_unit_test(grams_leave_when_there_are_too_many),
};
TEST_FILE(tests)
