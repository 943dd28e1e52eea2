/* fuzz/http_parse_fuzz.c - a request whole and in random pieces must come to the same end. */
#include "http/parse.h"

#include <assert.h>

static enum http_parsed feed(struct http_parse *p, str *in)
{
    enum http_parsed got = http_parse_feed(p, in);
    return got == HTTP_PARSED_EXPECT ? http_parse_feed(p, in) : got;
}

static void check_request(const struct http_parse *p)
{
    assert(p->path.n > 0 && p->path.p[0] == '/');
    assert(http_is_token(p->method));
    assert(p->n_fields <= HTTP_FIELDS_MAX);
    assert(p->body.n <= p->body.max && !p->body.full);
    for (int i = 0; i < p->n_fields; i++) {
        assert(http_is_token(p->fields[i].name));
        assert(str_chr(p->fields[i].value, '\n') < 0 && str_chr(p->fields[i].value, '\0') < 0);
    }
}

static void same(const struct http_parse *a, const struct http_parse *b)
{
    assert(str_eq(a->method, b->method) && str_eq(a->path, b->path) && str_eq(a->query, b->query));
    assert(str_eq(buf_as_str(&a->body), buf_as_str(&b->body)));
    assert(a->keep_alive == b->keep_alive && a->n_fields == b->n_fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t max_head = data[0] & 1 ? 4096 : data[0], max_body = data[0] & 2 ? 4096 : 8;
    unsigned step = data[1];
    str whole = {(const char *)data + 2, size - 2}, pieces = whole;
    for (int n = 0; n < 8; n++) { // a few pipelined ones
        struct http_parse a, b;
        http_parse_init(&a, max_head, max_body);
        http_parse_init(&b, max_head, max_body);
        enum http_parsed got = feed(&a, &whole), pieced = HTTP_PARSED_MORE;
        while (pieced == HTTP_PARSED_MORE && pieces.n > 0) {
            str piece = str_sub(pieces, 0, 1 + step % 7);
            size_t before = piece.n;
            pieced = feed(&b, &piece);
            pieces = str_from(pieces, before - piece.n);
            step = step * 5 + 1;
        }
        assert(got == pieced || (size == 2 && got == HTTP_PARSED_MORE));
        assert(whole.n == pieces.n);
        assert(got != HTTP_PARSED_BAD || (a.status == b.status && a.why == b.why));
        if (got == HTTP_PARSED_DONE) {
            check_request(&a);
            same(&a, &b);
        }
        http_parse_fini(&a);
        http_parse_fini(&b);
        if (got != HTTP_PARSED_DONE)
            break;
    }
    return 0;
}
