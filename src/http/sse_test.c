/* http/sse_test.c - frames of event streams, written and read back. */
#include "http/sse.h"

#include "test.h"

static void http_sse_frames_one_event(void **state)
{
    static const struct {
        const char *name, *id, *event, *data, *want;
    } cases[] = {
        {"bare data", NULL, NULL, "hi", "data: hi\n\n"},
        {"named", NULL, "ping", "{}", "event: ping\ndata: {}\n\n"},
        {"with an id", "7", "x", "y", "id: 7\nevent: x\ndata: y\n\n"},
        {"two lines", NULL, NULL, "a\nb", "data: a\ndata: b\n\n"},
        {"carriage return", NULL, NULL, "a\rb", "data: a\ndata: b\n\n"},
        {"both", NULL, NULL, "a\r\nb", "data: a\ndata: b\n\n"},
        {"ends with a line break", NULL, NULL, "a\n", "data: a\ndata: \n\n"},
        {"empty", NULL, NULL, "", "data: \n\n"},
        {"no injection by name", "1\nid: 2", "a\r\ndata: b", "c",
         "id: 1id: 2\nevent: adata: b\ndata: c\n\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out = BUF_INIT(1024);
        assert_true(http_sse_frame_id(&out, cases[i].id, cases[i].event, str_c(cases[i].data)));
        check_bytes(&out, cases[i].want, cases[i].name);
        buf_free(&out);
    }
}

static void http_sse_frame_fits_as_a_whole_or_not(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 40; cap++) {
        struct buf out = BUF_INIT(cap);
        if (http_sse_frame(&out, "e", STR("a\nb")))
            check_bytes(&out, "event: e\ndata: a\ndata: b\n\n", "fits");
        else
            check_bytes(&out, "", "does not fit");
        assert_int_equal(out.full, cap < 26);
        buf_free(&out);
    }
}

static void http_json_line_is_one_line(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(64);
    assert_true(http_json_line(&out, STR("{\n\"a\":\r1}")));
    assert_true(http_sse_comment(&out, "tick"));
    check_bytes(&out, "{ \"a\": 1}\n: tick\n\n", "line");
    buf_free(&out);
}

static void note(str event, str data, str id, void *arg)
{
    buf_printf(arg, "<%.*s|%.*s|%.*s>", STR_ARG(event), STR_ARG(data), STR_ARG(id));
}

static void http_sse_reads_split_anywhere(void **state)
{
    static const struct {
        const char *name, *stream, *want;
    } cases[] = {
        {"one", "data: hi\n\n", "<|hi|>"},
        {"carriage returns", "data: hi\r\rdata:x\r\r", "<|hi|><|x|>"},
        {"crlf", "event: e\r\ndata: hi\r\n\r\ndata: y\r\n\r\n", "<e|hi|><|y|>"},
        {"lines join", "data: a\ndata\ndata:b\n\n", "<|a\n\nb|>"},
        {"id stays", "id: 3\ndata: a\n\ndata: b\n\n", "<|a|3><|b|3>"},
        {"comments and unknown fields", ": hi\nretry: 5\nfoo\ndata: a\n\n", "<|a|>"},
        {"no data, no event", "event: e\n\ndata: a\n\n", "<|a|>"},
        {"cut event is dropped", "data: a\n", ""},
        {"byte order mark",
         "\xef\xbb\xbf"
         "data: a\n\n",
         "<|a|>"},
        {"one blank is taken", "data:  a\n\n", "<| a|>"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        str text = str_c(cases[i].stream);
        for (size_t cut = 0; cut <= text.n; cut++) {
            struct buf got = BUF_INIT(1024);
            struct http_sse_reader r;
            struct err e;
            http_sse_reader_init(&r, 100);
            assert_true(http_sse_read(&r, str_sub(text, 0, cut), note, &got, &e));
            assert_true(http_sse_read(&r, str_from(text, cut), note, &got, &e));
            check_bytes(&got, cases[i].want, cases[i].name);
            http_sse_reader_fini(&r);
            buf_free(&got);
        }
    }
}

static void http_sse_reader_has_limits(void **state)
{
    static const char *streams[] = {"data: 0123456789\n", "data: 0123\ndata: 4567\ndata: 89\n"};
    (void)state;
    for (size_t i = 0; i < COUNT(streams); i++) {
        struct buf got = BUF_INIT(1024);
        struct http_sse_reader r;
        struct err e;
        http_sse_reader_init(&r, 10);
        assert_false(http_sse_read(&r, str_c(streams[i]), note, &got, &e));
        assert_int_equal(e.code, ERR_LIMIT);
        http_sse_reader_fini(&r);
        buf_free(&got);
    }
}

static void http_sse_goes_on_behind_its_last_whole_event(void **state)
{
    static const struct {
        const char *name, *stream, *last;
        int retry_ms;
    } cases[] = {
        {"an event with an id", "id: 7\ndata: a\n\n", "7", -1},
        {"half of the next", "id: 7\ndata: a\n\nid: 8\ndata: b\n", "7", -1},
        {"an id without data", "id: 7\n\n", "7", -1},
        {"none", "data: a\n\n", "", -1},
        {"a pause", "retry: 250\nid: 7\ndata:\n\n", "7", 250},
        {"no number", "retry: soon\nid: 7\ndata:\n\n", "7", -1},
        {"taken back", "id: 7\ndata: a\n\nid\ndata: b\n\n", "", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf got = BUF_INIT(1024);
        struct http_sse_reader r;
        struct err e;
        http_sse_reader_init(&r, 100);
        assert_true(http_sse_read(&r, str_c(cases[i].stream), note, &got, &e));
        check_bytes(&r.last, cases[i].last, cases[i].name);
        assert_int_equal(r.retry_ms, cases[i].retry_ms);
        http_sse_reader_again(&r);
        buf_clear(&got);
        assert_true(http_sse_read(&r, STR("data: on\n\n"), note, &got, &e));
        char want[32];
        snprintf(want, sizeof want, "<|on|%s>", cases[i].last);
        check_bytes(&got, want, cases[i].name);
        http_sse_reader_fini(&r);
        buf_free(&got);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(http_sse_frames_one_event),
    cmocka_unit_test(http_sse_frame_fits_as_a_whole_or_not),
    cmocka_unit_test(http_json_line_is_one_line),
    cmocka_unit_test(http_sse_reads_split_anywhere),
    cmocka_unit_test(http_sse_reader_has_limits),
    cmocka_unit_test(http_sse_goes_on_behind_its_last_whole_event),
};
TEST_FILE(tests)
