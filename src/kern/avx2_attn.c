/* kern/avx2_attn.c - attention with AVX2, FMA and F16C. */
#include "kern/kern_int.h"

#if defined(__AVX2__)

#include "kern/avx2_math.h"

#define TILES 1 // key tiles at once for 3 and 4 query rows
#define WIDE  2 // vectors of an output at once for 3 and 4 query rows

#include "kern/attn_body.h"

void kern_fill_avx2_attn(struct kern *k)
{
    k->kv_store = kv_store;
    k->attn_span = attn_span;
    k->attn_merge = attn_merge;
}

#endif
