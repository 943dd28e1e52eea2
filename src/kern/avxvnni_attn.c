/* kern/avxvnni_attn.c - attention over q8 blocks with AVX-VNNI. */
#include "kern/kern_int.h"

#if defined(__AVXVNNI__)

#include "kern/avx2_math.h"
#include "kern/q8_avx2.h"

#define GROUP 6 // query rows in registers
#define TILES 1 // key tiles at once for three query rows and more
#define WIDE  2 // vectors of an output at once for 3 and 4 query rows
#define ATTN_Q8_ONLY

#include "kern/attn_body.h"

void kern_fill_avxvnni_attn(struct kern *k)
{
    k->attn_span[KERN_KV_Q8] = attn_span_q8;
}

#endif
