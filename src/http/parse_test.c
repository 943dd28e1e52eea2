/* http/parse_test.c - requests well and badly formed, whole and in every pair of pieces. */
#include "http/parse.h"

#include "test.h"

#define HOST "Host: a\r\n"

/* "method path query keep body" of a good request, or "status" of a refused one. */
static void describe(struct http_parse *p, enum http_parsed got, struct buf *out)
{
    buf_clear(out);
    if (got == HTTP_PARSED_BAD) {
        assert_non_null(p->why);
        buf_printf(out, "%d", p->status);
    } else if (got == HTTP_PARSED_DONE) {
        buf_printf(out, "%.*s %.*s ?%.*s %s [%.*s]", STR_ARG(p->method), STR_ARG(p->path),
                   STR_ARG(p->query), p->keep_alive ? "keep" : "close",
                   STR_ARG(buf_as_str(&p->body)));
    } else {
        buf_c(out, "more");
    }
}

static enum http_parsed feed(struct http_parse *p, str *in)
{
    enum http_parsed got = http_parse_feed(p, in);
    return got == HTTP_PARSED_EXPECT ? http_parse_feed(p, in) : got;
}

static const struct {
    const char *name, *text, *want;
} rows[] = {
    {"plain", "GET / HTTP/1.1\r\n" HOST "\r\n", "GET / ? keep []"},
    {"query", "GET /a?b=c&d HTTP/1.1\r\n" HOST "\r\n", "GET /a ?b=c&d keep []"},
    {"escapes in the path", "GET /a%20b%2fc HTTP/1.1\r\n" HOST "\r\n", "GET /a b/c ? keep []"},
    {"plus stays in paths", "GET /a+b HTTP/1.1\r\n" HOST "\r\n", "GET /a+b ? keep []"},
    {"http 1.0 closes", "GET / HTTP/1.0\r\n\r\n", "GET / ? close []"},
    {"http 1.0 keeps when asked", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
     "GET / ? keep []"},
    {"close among options", "GET / HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n",
     "GET / ? close []"},
    {"close in a second field",
     "GET / HTTP/1.1\r\n" HOST "Connection: x\r\nConnection:close\r\n\r\n", "GET / ? close []"},
    {"http 1.7 is read as 1.1", "GET / HTTP/1.7\r\n" HOST "\r\n", "GET / ? keep []"},
    {"blank lines before", "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "GET / ? keep []"},
    {"absolute form", "GET http://x:80/y?z HTTP/1.1\r\n" HOST "\r\n", "GET /y ?z keep []"},
    {"absolute form, no path", "GET HTTPS://x HTTP/1.1\r\n" HOST "\r\n", "GET / ? keep []"},
    {"absolute form, query alone", "GET http://x?q HTTP/1.1\r\n" HOST "\r\n", "GET / ?q keep []"},
    {"options for all", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "OPTIONS / ? keep []"},
    {"any method", "BREW /pot HTTP/1.1\r\n" HOST "\r\n", "BREW /pot ? keep []"},
    {"body", "POST / HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", "POST / ? keep [abc]"},
    {"empty body", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n", "POST / ? keep []"},
    {"body cut", "POST / HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nabc", "more"},
    {"expect", "POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
     "POST / ? keep [x]"},
    {"chunks",
     "POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n02\r\nde\r\n0\r\n\r\n",
     "POST / ? keep [abcde]"},
    {"chunk extensions",
     "POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\n\r\nA;q=\"1\" \r\n0123456789\r\n0;x\r\n\r\n",
     "POST / ? keep [0123456789]"},
    {"trailers",
     "POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n",
     "POST / ? keep [a]"},
    {"blanks around a value", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", "GET / ? keep []"},
    {"bytes past ascii in a value", "GET / HTTP/1.1\r\n" HOST "X: \xc3\xa9\r\n\r\n",
     "GET / ? keep []"},
    {"identity",
     "POST / HTTP/1.1\r\n" HOST "Content-Encoding: identity\r\nContent-Length: 1\r\n\r\nx",
     "POST / ? keep [x]"},

    {"no host", "GET / HTTP/1.1\r\n\r\n", "400"},
    {"two hosts", "GET / HTTP/1.1\r\n" HOST HOST "\r\n", "400"},
    {"host with a blank", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"},
    {"host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"},
    {"bare line feeds", "GET / HTTP/1.1\nHost: a\n\n", "400"},
    {"bare line feed behind a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", "400"},
    {"bare carriage return", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "400"},
    {"folded field", "GET / HTTP/1.1\r\n" HOST "X: 1\r\n 2\r\n\r\n", "400"},
    {"blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400"},
    {"no colon", "GET / HTTP/1.1\r\n" HOST "Xyz\r\n\r\n", "400"},
    {"empty field name", "GET / HTTP/1.1\r\n" HOST ": 1\r\n\r\n", "400"},
    {"control character in a value", "GET / HTTP/1.1\r\n" HOST "X: \x01\r\n\r\n", "400"},
    {"delete in a value", "GET / HTTP/1.1\r\n" HOST "X: \x7f\r\n\r\n", "400"},
    {"three blank lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"blank first", " GET / HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"binary, as of TLS", "\x16\x03\x01\x02\x01\x01", "400"},
    {"method with a slash", "G/T / HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"two blanks", "GET  / HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"no version", "GET /\r\n" HOST "\r\n", "400"},
    {"no target", "GET HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"blank in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"version in small letters", "GET / http/1.1\r\n" HOST "\r\n", "400"},
    {"version with more digits", "GET / HTTP/1.10\r\n" HOST "\r\n", "400"},
    {"http 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"},
    {"http 0.9", "GET / HTTP/0.9\r\n\r\n", "505"},
    {"connect", "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", "501"},
    {"relative target", "GET a HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"star for get", "GET * HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"absolute form, no host", "GET http:///a HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"raw UTF-8 in the target", "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"broken escape", "GET /%4 HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"broken escape in the query", "GET /?%zz HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"escaped NUL", "GET /%00 HTTP/1.1\r\n" HOST "\r\n", "400"},
    {"two lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
     "400"},
    {"a list of lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\nx", "400"},
    {"length with a sign", "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx", "400"},
    {"negative length", "POST / HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\nx", "400"},
    {"hexadecimal length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\nx", "400"},
    {"empty length", "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nx", "400"},
    {"length past 64 bits",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\nx", "400"},
    {"length and coding",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400"},
    {"two codings",
     "POST / HTTP/1.1\r\n" HOST
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     "400"},
    {"coding in http 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
    {"unknown coding",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
    {"disguised coding",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
     "chunked\r\n\r\n0\r\n\r\n",
     "400"},
    {"compressed body",
     "POST / HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "415"},
    {"unknown expectation", "POST / HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\nx",
     "417"},
    {"body too large", "POST / HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n", "413"},
    {"chunks too large",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n40\r\n", "413"},
    {"chunk size with too many digits",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0000000000000001\r\n", "400"},
    {"no chunk size", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n;x\r\n", "400"},
    {"chunk size is no number",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1x\r\n", "400"},
    {"chunk size ends with a line feed",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", "400"},
    {"line feed in an extension",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;a\n\r\n", "400"},
    {"chunk longer than its size",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "400"},
    {"trailer without a name",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n:\r\n\r\n", "400"},
    {"folded trailer",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n c\r\n\r\n", "400"},
};

static void parse_rows_whole_and_split(void **state)
{
    (void)state;
    struct buf out = BUF_INIT(4096);
    for (size_t i = 0; i < COUNT(rows); i++) {
        str text = str_c(rows[i].text);
        for (size_t cut = 0; cut <= text.n; cut++) {
            struct http_parse p;
            http_parse_init(&p, 1024, 64);
            str first = str_sub(text, 0, cut), second = str_from(text, cut);
            enum http_parsed got = feed(&p, &first);
            if (got == HTTP_PARSED_MORE) {
                assert_int_equal(first.n, 0);
                got = feed(&p, &second);
            }
            describe(&p, got, &out);
            check_bytes(&out, rows[i].want, rows[i].name);
            http_parse_fini(&p);
        }
    }
    buf_free(&out);
}

static void parse_takes_single_bytes_and_leaves_what_follows(void **state)
{
    (void)state;
    str text = STR("POST /a?b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "2\r\nhi\r\n0\r\n\r\nGET /next");
    struct http_parse p;
    http_parse_init(&p, 1024, 64);
    enum http_parsed got = HTTP_PARSED_MORE;
    size_t taken = 0;
    for (; got == HTTP_PARSED_MORE && taken < text.n; taken++) {
        str one = str_sub(text, taken, 1);
        got = http_parse_feed(&p, &one);
    }
    assert_int_equal(got, HTTP_PARSED_DONE);
    check_str(str_from(text, taken), STR("GET /next"), "left");
    check_str(buf_as_str(&p.body), STR("hi"), "body");
    check_str(p.query, STR("b"), "query");
    http_parse_fini(&p);
}

static void parse_says_when_its_sender_waits(void **state)
{
    (void)state;
    str text = STR("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                   "Content-Length: 1\r\n\r\n");
    struct http_parse p;
    http_parse_init(&p, 1024, 64);
    assert_int_equal(http_parse_feed(&p, &text), HTTP_PARSED_EXPECT);
    assert_int_equal(http_parse_feed(&p, &text), HTTP_PARSED_MORE);
    text = STR("x");
    assert_int_equal(http_parse_feed(&p, &text), HTTP_PARSED_DONE);
    http_parse_fini(&p);
}

static int status_of(str text, size_t max_head)
{
    struct http_parse p;
    http_parse_init(&p, max_head, 64);
    int status = feed(&p, &text) == HTTP_PARSED_BAD ? p.status : 0;
    http_parse_fini(&p);
    return status;
}

static void parse_limits_the_head(void **state)
{
    (void)state;
    struct buf text = BUF_INIT(1 << 20);
    buf_c(&text, "GET /");
    while (text.n < 9000)
        buf_char(&text, 'a');
    assert_int_equal(status_of(buf_as_str(&text), 65536), 414);
    assert_int_equal(status_of(buf_as_str(&text), 1000), 414);

    buf_clear(&text);
    buf_c(&text, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    while (text.n < 2000)
        buf_char(&text, 'a');
    assert_int_equal(status_of(buf_as_str(&text), 1000), 431);

    for (int n = HTTP_FIELDS_MAX; n <= HTTP_FIELDS_MAX + 1; n++) {
        buf_clear(&text);
        buf_c(&text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i < n; i++)
            buf_c(&text, "X: 1\r\n");
        buf_c(&text, "\r\n");
        assert_int_equal(status_of(buf_as_str(&text), 65536), n > HTTP_FIELDS_MAX ? 431 : 0);
    }

    buf_clear(&text);
    buf_c(&text, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;");
    while (text.n < 2000)
        buf_char(&text, 'a');
    assert_int_equal(status_of(buf_as_str(&text), 1000), 431);
    buf_free(&text);
}

/* Every cap on the head below what the request needs gives a clean refusal. */
static void parse_with_a_rising_cap(void **state)
{
    (void)state;
    str text = STR("POST /a%20b?c=d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "1;e=f\r\nx\r\n0\r\nT: u\r\n\r\n");
    bool passed = false;
    for (size_t cap = 0; cap < 200; cap++) {
        int status = status_of(text, cap);
        assert_true(status == 0 || status == 414 || status == 431);
        assert_false(passed && status != 0);
        passed |= status == 0;
    }
    assert_true(passed);
}

static void parse_refuses_nul_bytes(void **state)
{
    (void)state;
    assert_int_equal(status_of(STR("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"), 1024), 400);
    assert_int_equal(status_of(STR("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n"), 1024), 400);
    assert_int_equal(status_of(STR("\0"), 1024), 400);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(parse_rows_whole_and_split),
    cmocka_unit_test(parse_takes_single_bytes_and_leaves_what_follows),
    cmocka_unit_test(parse_says_when_its_sender_waits),
    cmocka_unit_test(parse_limits_the_head),
    cmocka_unit_test(parse_with_a_rising_cap),
    cmocka_unit_test(parse_refuses_nul_bytes),
};
TEST_FILE(tests)
