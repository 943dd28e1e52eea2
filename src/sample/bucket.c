/* sample/bucket.c - a token by the probability mass before it, without sorting all.
 *
 * Buckets divide the scaled distance from the greatest logit evenly, so they are in order; whole
 * buckets are passed over by their mass, and only the one in which the goal lies is sorted. */
#include "sample/sample_int.h"

#include <string.h>

#define REACH 60.0f // what is further away has no mass: at most 64 * 1e-26 of the greatest
#define FINE  ((float)SAMPLE_BUCKETS / REACH)

static float distance(const struct sample_mass *m, float z)
{
    return (m->top - z) * m->scale;
}

/* SAMPLE_BUCKETS: out of reach. */
static int bucket_of(const struct sample_mass *m, float z)
{
    float d = distance(m, z) * FINE;
    return (int)(d < (float)SAMPLE_BUCKETS ? d : (float)SAMPLE_BUCKETS);
}

double sample_total(struct sample_scratch *s, const struct sample_mass *m)
{
    float e[SAMPLE_BLOCK];
    double sum = 0;
    for (int b = 0; b < sample_blocks(m->n); b++)
        if (distance(m, s->max[b]) < REACH)
            sum += (double)s->kern.exp64(sample_block(s, b), m->top, m->scale, e);
    return sum;
}

static void fill(struct sample_scratch *s, const struct sample_mass *m)
{
    float e[SAMPLE_BLOCK];
    memset(s->mass, 0, (SAMPLE_BUCKETS + 1) * sizeof *s->mass);
    for (int b = 0; b < sample_blocks(m->n); b++) {
        if (distance(m, s->max[b]) >= REACH)
            continue;
        const float *z = sample_block(s, b);
        s->kern.exp64(z, m->top, m->scale, e);
        int at[SAMPLE_BLOCK];
        for (int i = 0; i < SAMPLE_BLOCK; i++) // -inf becomes the last, where it adds nothing
            at[i] = bucket_of(m, z[i]);
        for (int i = 0; i < SAMPLE_BLOCK; i++)
            s->mass[at[i]] += (double)e[i];
    }
}

/* The members of a bucket, sorted, in s->c. */
static int members(struct sample_scratch *s, const struct sample_mass *m, int bucket)
{
    int n = 0;
    float width = 1 / (FINE * m->scale); // a little more than the bucket, to pass over most quickly
    float low = m->top - ((float)bucket + 1.1f) * width;
    float high = m->top - ((float)bucket - 0.1f) * width;
    for (int b = 0; b < sample_blocks(m->n); b++) {
        if (s->max[b] < low)
            continue;
        const float *z = sample_block(s, b);
        for (int i = 0; i < SAMPLE_BLOCK; i++)
            if (z[i] >= low && z[i] <= high && bucket_of(m, z[i]) == bucket)
                s->c[n++] = (struct sample_cand){z[i], b * SAMPLE_BLOCK + i};
    }
    sample_sort(s, n);
    return n;
}

static bool is_there(double sum, double goal, bool or_equal)
{
    return or_equal ? sum >= goal : sum > goal;
}

int32_t sample_at_mass(struct sample_scratch *s, const struct sample_mass *m, double goal,
                       bool or_equal, double *sum)
{
    int last = -1;
    if (!m->filled)
        fill(s, m);
    *sum = 0;
    for (int k = 0; k < SAMPLE_BUCKETS; k++) {
        if (s->mass[k] == 0)
            continue;
        last = k;
        if (!is_there(*sum + s->mass[k], goal, or_equal)) {
            *sum += s->mass[k];
            continue;
        }
        int n = members(s, m, k);
        for (int i = 0; i < n; i += SAMPLE_BLOCK) {
            float z[SAMPLE_BLOCK], e[SAMPLE_BLOCK];
            for (int l = 0; l < SAMPLE_BLOCK; l++)
                z[l] = s->c[int_min(i + l, n - 1)].z;
            s->kern.exp64(z, m->top, m->scale, e);
            for (int l = 0; l < SAMPLE_BLOCK && i + l < n; l++) {
                *sum += (double)e[l];
                if (is_there(*sum, goal, or_equal))
                    return s->c[i + l].id;
            }
        }
        // Rounding: the goal lies on the border of the next bucket.
    }
    return last < 0 ? -1 : s->c[members(s, m, last) - 1].id;
}
