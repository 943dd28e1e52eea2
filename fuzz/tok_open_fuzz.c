/* fuzz/tok_open_fuzz.c - any bytes as a GGUF file with a vocabulary; what opens must also work. */
#include "base/buf.h"
#include "tok/tok.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *g = NULL;
    struct tok *t = NULL;
    struct err e = {0};
    struct tok_ids ids;
    struct buf out = BUF_INIT(1 << 16);
    if (!gguf_open_bytes(&g, str_n((const char *)data, size), &e))
        return 0;
    tok_ids_init(&ids, 10000);
    if (tok_open(&t, g, &e)) {
        // The file itself holds the names of its tokens: a text that meets them.
        str text = str_n((const char *)data, size < 2000 ? size : 2000);
        struct tok_span spans[] = {{text, true}, {text, false}, {STR("<s> a</s>\n"), true}};
        if (tok_encode(t, spans, 3, true, &ids, &e) &&
            !tok_decode(t, ids.id, ids.n, true, true, &out) && !out.full)
            __builtin_trap();
    }
    tok_ids_free(&ids);
    buf_free(&out);
    tok_close(t);
    gguf_close(g);
    return 0;
}
