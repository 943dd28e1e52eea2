/* fuzz/app_keys_fuzz.c - the file of API keys. */
#include "app/keys.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct keys k = {0};
    struct err e = {0};
    if (!keys_parse(&k, str_n((const char *)data, size), &e)) {
        if (e.code != ERR_FORMAT || !e.msg[0] || k.list)
            abort();
        return 0;
    }
    for (size_t i = 0; i < k.n; i++)
        if (!k.list[i].id[0] || !k.list[i].name[0] || !k.list[i].team[0])
            abort();
    if (keys_find(&k, STR("sk-confab-no")))
        abort();
    keys_fini(&k);
    return 0;
}
