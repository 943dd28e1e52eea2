/* kern/avxvnni_mm.c - the matrix kernels of avx2_mm.c with AVX-VNNI's dot product of bytes. */
#if defined(__AVXVNNI__)
#define KERN_AVXVNNI
#include "kern/avx2_mm.c"

void kern_fill_avxvnni(struct kern *k)
{
    k->name = "avxvnni";
    k->matmul = kern_avxvnni_matmul;
    kern_fill_avxvnni_attn(k);
}
#endif
