/* fuzz/tools_calc_fuzz.c - expressions: an answer or an error, whatever is written. */
#include "tools/calc.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out = BUF_INIT(8192), again = BUF_INIT(8192);
    struct err e = {0};
    bool ok = calc((str){(const char *)data, size}, &out, &e);
    assert(ok ? out.n > 0 : e.msg[0] != '\0');
    // A whole number's text is the same number.
    if (ok && out.n < 2000 && !memchr(out.p, '.', out.n)) {
        assert(calc(buf_as_str(&out), &again, &e));
        assert(memchr(out.p, 'e', out.n) || str_eq(buf_as_str(&out), buf_as_str(&again)));
    }
    buf_free(&out);
    buf_free(&again);
    return 0;
}
