/* kern/avx512vnni_attn.c - attention over q8 blocks with AVX-512 VNNI. */
#include "kern/kern_int.h"

#if defined(__AVX512VNNI__)

#include "kern/avx512_math.h"
#include "kern/q8_avx512.h"

#define GROUP 8 // query rows in registers
#define TILES 2 // key tiles at once for three query rows and more
#define WIDE  4 // vectors of an output at once for 3 and 4 query rows
#define ATTN_Q8_ONLY

#include "kern/attn_body.h"

void kern_fill_vnni512_attn(struct kern *k)
{
    k->attn_span[KERN_KV_Q8] = attn_span_q8;
}

#endif
