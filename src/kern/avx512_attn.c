/* kern/avx512_attn.c - attention with AVX-512. */
#include "kern/kern_int.h"

#if defined(__AVX512F__)

#include "kern/avx512_math.h"

#define TILES 2 // key tiles at once for 3 and 4 query rows
#define WIDE  4 // vectors of an output at once for 3 and 4 query rows

#include "kern/attn_body.h"

void kern_fill_avx512_attn(struct kern *k)
{
    k->kv_store = kv_store;
    k->attn_span = attn_span;
    k->attn_merge = attn_merge;
}

#endif
