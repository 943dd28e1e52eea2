/* fuzz/gram_gbnf_fuzz.c - any bytes as a GBNF grammar: compiled or refused, walked, read again. */
#include "gram_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    struct gram_build *b = fuzz_build();
    struct gram *g =
        gram_compile(b, gram_gbnf(b, str_n((const char *)data, size), STR("root")), &e);
    gram_build_free(b);
    if (!g && (e.code == ERR_NONE || !e.msg[0]))
        __builtin_trap();
    struct buf out = BUF_INIT(1 << 16);
    // Read byte by byte, a token that the grammar names is none.
    bool tokens = memmem(data, size, "<[", 2) != NULL;
    if (g && fuzz_walk(g, size, &out) && !tokens)
        fuzz_check(g, buf_as_str(&out));
    buf_free(&out);
    gram_drop(g);
    return 0;
}
