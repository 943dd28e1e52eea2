/* kern/avx512_attn.c - attention with AVX-512. */
#include "kern/kern_int.h"

#if defined(__AVX512F__)

#include "kern/avx512_math.h"
#include "kern/q8_avx512.h"

#define GROUP 8 // query rows in registers
#define TILES 2 // key tiles at once for three query rows and more
#define WIDE  4 // vectors of an output at once for 3 and 4 query rows

#include "kern/attn_body.h"

void kern_fill_avx512_attn(struct kern *k)
{
    k->kv_store[KERN_KV_F16] = kv_store_f16;
    k->kv_store[KERN_KV_Q8] = kv_store_q8;
    k->attn_span[KERN_KV_F16] = attn_span_f16;
    k->attn_span[KERN_KV_Q8] = attn_span_q8;
    k->attn_merge = attn_merge;
}

#endif
