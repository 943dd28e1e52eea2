/* kern/avx2_attn.c - attention with AVX2, FMA and F16C. */
#include "kern/kern_int.h"

#if defined(__AVX2__)

#include "kern/avx2_math.h"
#include "kern/q8_avx2.h"

#define GROUP 4 // query rows in registers, beside a key tile's two vectors
#define TILES 1 // key tiles at once for three query rows and more
#define WIDE  2 // vectors of an output at once for 3 and 4 query rows

#include "kern/attn_body.h"

void kern_fill_avx2_attn(struct kern *k)
{
    k->kv_store[KERN_KV_F16] = kv_store_f16;
    k->kv_store[KERN_KV_Q8] = kv_store_q8;
    k->attn_span[KERN_KV_F16] = attn_span_f16;
    k->attn_span[KERN_KV_Q8] = attn_span_q8;
    k->attn_merge = attn_merge;
}

#endif
