/* base/id.c - see id.h. */
#include "base/id.h"

#include "base/rng.h"

#include <assert.h>
#include <string.h>

#define ID_RANDOM 24

void id_new(char out[ID_MAX], const char *prefix)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    size_t n = strlen(prefix);
    assert(n + ID_RANDOM + 1 <= ID_MAX);
    memcpy(out, prefix, n);
    for (size_t i = 0; i < ID_RANDOM;) {
        unsigned char r;
        rng_bytes(&r, 1);
        if (r < 248) // 4 * 62: no letter is likelier than another
            out[n + i++] = digits[r % 62];
    }
    out[n + ID_RANDOM] = '\0';
}
