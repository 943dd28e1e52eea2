/* sample/logprob.c - log-probabilities of the raw logits. */
#include "sample/sample_int.h"

#include <math.h>
#include <string.h>

static float usable(float z)
{
    return z >= -INFINITY ? z : -INFINITY; // NaN too
}

static float maximum(const float *logits, int n)
{
    float top = -INFINITY;
    for (int i = 0; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    return top;
}

static double mass(const float *logits, int n, float top)
{
    double sum = 0;
    for (int i = 0; i < n; i += SAMPLE_LANES) {
        float lane[SAMPLE_LANES];
        int m = int_min(n - i, SAMPLE_LANES);
        for (int l = 0; l < m; l++)
            lane[l] = sample_exp(usable(logits[i + l]) - top);
        for (int l = 0; l < m; l++)
            sum += (double)lane[l];
    }
    return sum;
}

float sample_logprobs(const float *logits, int n_vocab, int32_t id, struct sample_logprob *top,
                      int n_top)
{
    float max = maximum(logits, n_vocab);
    bool none = max == -INFINITY || max == INFINITY; // no distribution to speak of
    double log_sum = none ? 0 : log(mass(logits, n_vocab, max));
    int n = 0;
    for (int32_t i = 0; i < n_vocab && n_top > 0; i++) {
        float z = usable(logits[i]);
        if (n == n_top && !(z > top[n - 1].logprob))
            continue;
        int at = n < n_top ? n++ : n - 1;
        for (; at > 0 && top[at - 1].logprob < z; at--)
            top[at] = top[at - 1];
        top[at] = (struct sample_logprob){i, z};
    }
    for (int i = 0; i <= n; i++) {
        float z = i < n ? top[i].logprob : usable(logits[id]);
        double p = none ? (z == max && z > 0 ? 0 : -INFINITY) : (double)z - (double)max - log_sum;
        float out = p > (double)SAMPLE_LOGPROB_NONE ? (float)p : SAMPLE_LOGPROB_NONE;
        if (i == n)
            return out;
        top[i].logprob = out;
    }
    return SAMPLE_LOGPROB_NONE; // not reached
}
