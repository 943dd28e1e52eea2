/* fuzz/gram_regex_fuzz.c - any bytes as a regular expression: compiled or refused, walked, read
 * again. */
#include "gram_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct gram_build *b = fuzz_build();
    struct gram *g = gram_compile(b, gram_regex(b, str_n((const char *)data, size)), &e);
    gram_build_free(b);
    if (!g && (e.code == ERR_NONE || !e.msg[0]))
        __builtin_trap();
    struct buf out = BUF_INIT(1 << 16);
    if (g && fuzz_walk(g, size, &out))
        fuzz_check(g, buf_as_str(&out));
    buf_free(&out);
    gram_drop(g);
    return 0;
}
