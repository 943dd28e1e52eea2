/* engine/rope.c - rotary positions: frequencies once at load, cos and sin once a row.
 * Source: Su et al. 2021 (RoPE); Peng et al. 2023 (YaRN); ggml-org/llama.cpp for how GGUF's keys
 * are meant. */
#include "engine/engine_int.h"

#include <math.h>

/* YaRN: how much of pair i keeps its own frequency (1) rather than the interpolated one (0). */
static double yarn_keep(const struct engine_rope *r, int n_rot, int i)
{
    const double fast = 32, slow = 1; // rotations over the original context
    double turns = r->ctx_orig / (2 * M_PI), log_base = 2 * log(r->base);
    double low = fmax(0, floor(n_rot * log(turns / fast) / log_base));
    double high = fmin(n_rot - 1, ceil(n_rot * log(turns / slow) / log_base));
    double ramp = (i - low) / fmax(0.001, high - low);
    return 1 - fmin(1, fmax(0, ramp));
}

void engine_rope_freqs(const struct engine_rope *r, int n_rot, const float *divisors, double *freq,
                       float *magnitude)
{
    for (int i = 0; i < n_rot / 2; i++) {
        double f = pow(r->base, -2.0 * i / n_rot);
        if (divisors)
            f /= divisors[i];
        double keep = r->yarn ? yarn_keep(r, n_rot, i) : 0;
        freq[i] = f * r->scale * (1 - keep) + f * keep;
    }
    *magnitude = r->magnitude;
    if (r->yarn && r->scale < 1)
        *magnitude *= (float)(1 + 0.1 * log(1 / (double)r->scale));
}

void engine_rope_row(const double *freq, float magnitude, int n_rot, int pos, float *cos_out,
                     float *sin_out)
{
    for (int i = 0; i < n_rot / 2; i++) {
        double angle = pos * freq[i];
        cos_out[i] = (float)cos(angle) * magnitude;
        sin_out[i] = (float)sin(angle) * magnitude;
    }
}
