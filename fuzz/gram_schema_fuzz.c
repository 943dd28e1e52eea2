/* fuzz/gram_schema_fuzz.c - any bytes as a JSON Schema: compiled or refused with a place; a random
 * walk over the masks never gets stuck, and what it makes fits the schema. */
#include "base/rng.h"
#include "gram_fuzz.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err e = {0};
    json_t *root = json_parse(str_n((const char *)data, size), &e);
    if (!root)
        return 0;
    struct gram_build *b = fuzz_build();
    struct gram *g = gram_compile(b, gram_schema(b, root, NULL, GRAM_JSON), &e);
    gram_build_free(b);
    if (!g && (e.code == ERR_NONE || !e.msg[0]))
        __builtin_trap();
    struct buf out = BUF_INIT(1 << 16);
    if (g && fuzz_walk(g, size, &out) && !gram_valid(root, NULL, buf_as_str(&out), &e) &&
        e.code != ERR_LIMIT)
        __builtin_trap();
    buf_free(&out);
    gram_drop(g);
    json_decref(root);
    return 0;
}
