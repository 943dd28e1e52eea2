/* fuzz/json_parse_fuzz.c - any bytes as JSON: refused with a place, or read; what is read and
 * written in each style reads back the same. */
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct {
        int flags, indent;
    } styles[] = {{JSON_PLAIN, -1}, {JSON_PYTHON, -1}, {JSON_PYTHON | JSON_ASCII | JSON_SORT, 2}};
    struct err e = {0};
    json_t *v = json_parse(str_n((const char *)data, size), &e);
    if (!v) {
        if (e.code != ERR_INPUT || !e.where[0] || !e.msg[0])
            __builtin_trap();
        json_t *s = json_from_str(str_n((const char *)data, size));
        struct buf out = BUF_INIT(size * 7 + 16);
        if (!json_write(&out, s, JSON_ASCII, -1))
            __builtin_trap();
        buf_free(&out);
        json_decref(s);
        return 0;
    }
    for (size_t i = 0; i < COUNT(styles); i++) {
        struct buf out = BUF_INIT(size * 300 + 1024);
        if (!json_write(&out, v, styles[i].flags, styles[i].indent))
            __builtin_trap();
        json_t *again = json_parse(buf_as_str(&out), &e);
        if (!again || !json_equal(v, again))
            __builtin_trap();
        json_decref(again);
        buf_free(&out);
    }
    json_decref(v);
    return 0;
}
