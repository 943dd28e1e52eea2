/* sample/logprob.c - log-probabilities of the raw logits. */
#include "sample/sample_int.h"

#include <math.h>

/* The n_top greatest of the working logits into top; blocks whose maximum is too low are not looked
 * at. */
static int greatest(struct sample_scratch *s, int n_vocab, struct sample_logprob *top, int n_top)
{
    int n = 0;
    for (int b = 0; b < sample_blocks(n_vocab) && n_top > 0; b++) {
        if (n == n_top && !(s->max[b] > top[n - 1].logprob))
            continue;
        const float *block = sample_block(s, b);
        int end = int_min(n_vocab, (b + 1) * SAMPLE_BLOCK);
        for (int i = b * SAMPLE_BLOCK; i < end; i++) {
            float z = block[i % SAMPLE_BLOCK];
            if (n == n_top && !(z > top[n - 1].logprob))
                continue;
            int at = n < n_top ? n++ : n - 1;
            for (; at > 0 && top[at - 1].logprob < z; at--)
                top[at] = top[at - 1];
            top[at] = (struct sample_logprob){i, z};
        }
    }
    return n;
}

float sample_logprobs(struct sample_scratch *s, const struct sample_input *in, int32_t id,
                      struct sample_logprob *top, int n_top)
{
    const int n_vocab = in->n_vocab;
    float max = sample_begin(
        s, &(struct sample_input){.logits = in->logits, .max = in->max, .n_vocab = n_vocab});
    bool none = max == -INFINITY || max == INFINITY; // no distribution to speak of
    double log_sum =
        none ? 0
             : log(sample_total(s, &(struct sample_mass){.n = n_vocab, .top = max, .scale = 1}));
    int n = greatest(s, n_vocab, top, n_top);
    float own = 0;
    for (int i = 0; i <= n; i++) {
        float z = i < n ? top[i].logprob : sample_block(s, id / SAMPLE_BLOCK)[id % SAMPLE_BLOCK];
        double p = none ? (z == max && z > 0 ? 0 : -INFINITY) : (double)z - (double)max - log_sum;
        own = p > (double)SAMPLE_LOGPROB_NONE ? (float)p : SAMPLE_LOGPROB_NONE;
        if (i < n)
            top[i].logprob = own;
    }
    return own;
}
