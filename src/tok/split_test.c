/* tok/split_test.c - words of pre-tokenizers, classes, normal forms, merging, streaming. */
#include "test.h"
#include "tok/tok_int.h"

#include "base/utf8.h"

static void words_of(const char *pre, const char *s, struct buf *out)
{
    const struct tok_pre *p = tok_pre_find(str_c(pre));
    struct tok_splitter splitter;
    struct tok_text text = {0};
    struct tok_words words;
    struct err e = {0};
    assert_non_null(p);
    assert_true(tok_splitter_init(&splitter, p->stages, &e));
    tok_text_set(&text, str_c(s), p->nfc);
    tok_words_init(&words);
    assert_true(tok_split(&splitter, &text, &words, &e));
    size_t from = 0;
    buf_clear(out);
    for (size_t i = 0; i < words.n; i++) {
        size_t to = text.off[words.end[i]];
        buf_printf(out, "%s%.*s", i ? "|" : "", (int)(to - from), text.bytes + from);
        from = to;
    }
    tok_words_fini(&words);
    tok_text_fini(&text);
    tok_splitter_fini(&splitter);
}

static void tok_split_gives_words(void **state)
{
    static const struct {
        const char *pre, *text, *want;
    } rows[] = {
        {"gpt-2", "Hello, world's  end 123.\n\n", "Hello|,| world|'s| | end| 123|.|\n\n"},
        {"gpt-2", "IT'S", "IT|'|S"},
        {"llama-bpe", "IT'S 12345\n x", "IT|'S| |123|45|\n| x"},
        {"llama-bpe", "a  \n  b", "a|  \n| | b"},
        {"qwen2", "abc123", "abc|1|2|3"},
        {"qwen35", "a\xe2\x80\x8d\xe0\xa4\xbe", "a|\xe2\x80\x8d\xe0\xa4\xbe"},
        {"qwen2", "\xe0\xa4\x95\xe0\xa4\xbe", "\xe0\xa4\x95|\xe0\xa4\xbe"},
        {"qwen35", "\xe0\xa4\x95\xe0\xa4\xbe", "\xe0\xa4\x95\xe0\xa4\xbe"},
        {"gpt-4o", "HTTPServer camelCase's", "HTTPServer| camel|Case's"},
        {"tekken", "HTTPServer camelCase's", "HTTPServer| camel|Case|'s"},
        {"deepseek-v3", "x\xe4\xb8\x80\xe3\x81\x82y 1234!",
         "x|\xe4\xb8\x80\xe3\x81\x82|y| |123|4|!"},
        {"deepseek-llm", "ab cd  12 ", "ab| cd|  |12| "},
        {"deepseek-coder", "ab  12,", "ab|  |1|2|,"},
        {"falcon", "12345 a.b", "123|45| a|.|b"},
        {"starcoder", "x12 y", "x|1|2| y"},
        {"bloom", "Hello there, you", "Hello| there|,| you"},
        {"tiny_aya", "a 1234567", "a| |1|234|567"},
        {"tiny_aya", "123456", "123|456"},
        {"bailingmoe", "a\n\n b", "a|\n\n| b"},
        {"gemma4", "a b\n\nc", "a b|\n\n|c"},
        {"gpt-2", "", ""},
        {"qwen2", "\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
    };
    (void)state;
    struct buf got = BUF_INIT(4096);
    for (size_t i = 0; i < COUNT(rows); i++) {
        words_of(rows[i].pre, rows[i].text, &got);
        check_bytes(&got, rows[i].want, rows[i].text);
    }
    buf_free(&got);
    assert_null(tok_pre_find(STR("gpt-5")));
    assert_null(tok_pre_find(STR("")));
}

static void tok_text_normalises(void **state)
{
    static const struct {
        const char *row, *text, *want;
    } rows[] = {
        {"composes", "e\xcc\x81", "\xc3\xa9"},
        {"orders marks", "a\xcc\x81\xcc\xa3", "\xe1\xba\xa1\xcc\x81"},
        {"hangul", "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81"},
        {"singleton", "\xe2\x80\x80", "\xe2\x80\x82"},
        {"exclusion", "\xe0\xa7\x9c", "\xe0\xa6\xa1\xe0\xa6\xbc"},
        {"compatibility forms stay", "\xef\xac\x81", "\xef\xac\x81"},
        {"mark at the start",
         "\xcc\x81"
         "e",
         "\xcc\x81"
         "e"},
        {"Latin-1 needs nothing", "\xc3\xa9", "\xc3\xa9"},
        {"not UTF-8", "e\xff\xcc\x81", "e\xef\xbf\xbd\xcc\x81"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tok_text t = {0};
        tok_text_set(&t, str_c(rows[i].text), true);
        check_str(str_n(t.bytes, t.n_bytes), str_c(rows[i].want), rows[i].row);
        tok_text_fini(&t);
    }
}

static void tok_classes_follow_unicode(void **state)
{
    static const struct {
        uint32_t cp;
        int want;
    } rows[] = {
        {'a', 'a'},     {'\n', '\n'},   {0x85, 0x0b},   {0xa0, 0x0b},     {0x3000, 0x0b},
        {0x200b, 0xd0}, {0xe9, 0xd2},   {0x4e00, 0xd2}, {0x661, 0xd1},    {0xbd, 0xd1},
        {0x3001, 0xd3}, {0x301, 0xd4},  {0x20ac, 0xd5}, {0x1f600, 0xd5},  {0x2ebf0, 0xd2},
        {0x2ffc, 0xd5}, {0xd800, 0xd0}, {0x378, 0xd0},  {0x10ffff, 0xd0}, {0x1680, 0x0b},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        if (tok_class(rows[i].cp) != rows[i].want)
            fail_msg("U+%04X: %x", rows[i].cp, tok_class(rows[i].cp));
}

/* ---- merging against the definition -------------------------------------------------------------
 */

/* Joins the best pair of the whole list again and again, as the definition says. */
static size_t merge_plainly(const struct tok_pairs *pairs, int32_t *p, size_t n)
{
    for (;;) {
        size_t best = n;
        int32_t rank = INT32_MAX, merged = -1;
        for (size_t i = 0; i + 1 < n; i++) {
            const struct tok_pair *x = tok_pairs_find(pairs, p[i], p[i + 1]);
            if (x && x->rank < rank) {
                rank = x->rank;
                merged = x->merged;
                best = i;
            }
        }
        if (best == n)
            return n;
        p[best] = merged;
        memmove(p + best + 1, p + best + 2, (n - best - 2) * sizeof *p);
        n--;
    }
}

/* Letters a..d are pieces 0..3; random pairs make more.  Words short and long take both ways. */
static void tok_merging_follows_the_definition(void **state)
{
    (void)state;
    uint64_t seed = 11;
    static const struct tok_pre plain = {.name = "test"};
    for (int round = 0; round < 60; round++) {
        struct tok t = {.pre = &plain, .unk = -1};
        int32_t n_pieces = 4, piece_id[64];
        tok_map_init(&t.pieces, 8);
        tok_pairs_init(&t.pairs, 64);
        for (int i = 0; i < 64; i++)
            piece_id[i] = i;
        for (int rank = 0; rank < 50; rank++) {
            int32_t l = (int32_t)(test_random(&seed) % (uint64_t)n_pieces);
            int32_t r = (int32_t)(test_random(&seed) % (uint64_t)n_pieces);
            if (!tok_pairs_find(&t.pairs, l, r))
                tok_pairs_add(&t.pairs, (struct tok_pair){l, r, rank, n_pieces++});
        }
        t.piece_id = piece_id;
        for (int i = 0; i < 256; i++)
            t.byte_piece[i] = t.byte_id[i] = -1;
        for (int i = 0; i < 4; i++)
            t.byte_piece['a' + i] = i;
        struct tok_merger m = {0};
        for (size_t n = 1; n < 300; n = n * 2 + 1) {
            char word[300];
            int32_t want[300];
            struct tok_ids ids;
            struct err e = {0};
            for (size_t i = 0; i < n; i++) {
                want[i] = (int32_t)(test_random(&seed) % 4);
                word[i] = (char)('a' + want[i]);
            }
            size_t n_want = merge_plainly(&t.pairs, want, n);
            tok_ids_init(&ids, 1000);
            assert_true(tok_bpe_word(&t, &m, str_n(word, n), &ids, &e));
            assert_int_equal(ids.n, n_want);
            assert_memory_equal(ids.id, want, n_want * sizeof *want);
            tok_ids_free(&ids);
        }
        tok_merger_fini(&m);
        tok_map_fini(&t.pieces);
        tok_pairs_fini(&t.pairs);
    }
}

static void tok_map_keeps_what_it_was_given(void **state)
{
    (void)state;
    static char keys[5000][8];
    struct tok_map m;
    tok_map_init(&m, 1); // grows
    for (int i = 0; i < 5000; i++) {
        snprintf(keys[i], sizeof keys[i], "%d", i * 7);
        assert_int_equal(tok_map_add(&m, str_c(keys[i])), i);
    }
    for (int i = 0; i < 5000; i++) {
        assert_int_equal(tok_map_find(&m, str_c(keys[i])), i);
        assert_int_equal(tok_map_add(&m, str_c(keys[i])), i);
    }
    assert_int_equal(tok_map_find(&m, STR("x")), -1);
    assert_int_equal(tok_map_find(&m, STR("")), -1);
    tok_map_fini(&m);
}

/* ---- streaming
 * ----------------------------------------------------------------------------------- */

static void tok_stream_gives_whole_characters(void **state)
{
    static const struct {
        const char *row, *in, *want;
    } rows[] = {
        {"plain", "abc", "abc"},
        {"all lengths", "a\xc3\xa9\xe6\xb2\xb3\xf0\x9f\x98\x80z",
         "a\xc3\xa9\xe6\xb2\xb3\xf0\x9f\x98\x80z"},
        {"stray", "a\x80z", "a\xef\xbf\xbdz"},
        {"broken off", "\xf0\x9f\x98z", "\xef\xbf\xbdz"},
        {"broken off at the end", "z\xf0\x9f\x98", "z\xef\xbf\xbd"},
        {"one after the other", "\xe2\x82\xe2\x82\xac", "\xef\xbf\xbd\xe2\x82\xac"},
        {"surrogate", "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"overlong", "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"beyond", "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        str in = str_c(rows[i].in);
        for (size_t cut = 0; cut <= in.n; cut++) {
            struct buf out = BUF_INIT(100);
            struct tok_stream s;
            tok_stream_init(&s);
            assert_true(tok_stream_put(&s, str_sub(in, 0, cut), &out));
            assert_true(utf8_valid(buf_as_str(&out)));
            assert_true(tok_stream_put(&s, str_from(in, cut), &out));
            assert_true(tok_stream_end(&s, &out));
            check_bytes(&out, rows[i].want, rows[i].row);
            buf_free(&out);
        }
    }
    struct buf small = BUF_INIT(2);
    struct tok_stream s;
    tok_stream_init(&s);
    assert_false(tok_stream_put(&s, STR("abc"), &small));
    buf_free(&small);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(tok_split_gives_words),
    cmocka_unit_test(tok_text_normalises),
    cmocka_unit_test(tok_classes_follow_unicode),
    cmocka_unit_test(tok_merging_follows_the_definition),
    cmocka_unit_test(tok_map_keeps_what_it_was_given),
    cmocka_unit_test(tok_stream_gives_whole_characters),
};
TEST_FILE(tests)
