/* sample/sort.c - order among logits: few by comparing, many by their bits. */
#include "sample/sample_int.h"

#include <stdlib.h>
#include <string.h>

#define FEW        192
#define RADIX_BITS 11
#define RADIX      (1 << RADIX_BITS)

static int by_z_then_id(const void *a, const void *b)
{
    const struct sample_cand *x = a, *y = b;
    if (x->z != y->z)
        return x->z < y->z ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Greater numbers have smaller keys; the two zeros have one. */
static uint32_t key_of(float z)
{
    uint32_t u;
    z += 0.0f;
    memcpy(&u, &z, sizeof u);
    return u & 0x80000000u ? u : ~(u | 0x80000000u);
}

static void radix_pass(const struct sample_cand *from, struct sample_cand *to, int n, int shift)
{
    int at[RADIX] = {0};
    for (int i = 0; i < n; i++)
        at[key_of(from[i].z) >> shift & (RADIX - 1)]++;
    for (int i = 0, sum = 0; i < RADIX; i++) {
        int count = at[i];
        at[i] = sum;
        sum += count;
    }
    for (int i = 0; i < n; i++)
        to[at[key_of(from[i].z) >> shift & (RADIX - 1)]++] = from[i];
}

void sample_sort(struct sample_scratch *s, int n)
{
    if (n <= FEW) {
        qsort(s->c, (size_t)n, sizeof *s->c, by_z_then_id);
        return;
    }
    struct sample_cand *a = s->c, *b = s->c2;
    for (int shift = 0; shift < 32; shift += RADIX_BITS) {
        radix_pass(a, b, n, shift);
        struct sample_cand *swap = a;
        a = b;
        b = swap;
    }
    s->c = a;
    s->c2 = b;
}

float sample_kth(float *v, int n, int k)
{
    int from = 0, to = n - 1, want = k - 1;
    while (from < to) { // v[from .. to] holds the one wanted
        float pivot = v[from + (to - from) / 2];
        int i = from, j = to;
        while (i <= j) {
            while (v[i] > pivot)
                i++;
            while (v[j] < pivot)
                j--;
            if (i > j)
                break;
            float swap = v[i];
            v[i++] = v[j];
            v[j--] = swap;
        }
        if (want <= j)
            to = j;
        else if (want >= i)
            from = i;
        else
            break;
    }
    return v[want];
}
