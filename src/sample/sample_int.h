/* sample/sample_int.h - what the files of this room share. */
#ifndef SAMPLE_SAMPLE_INT_H
#define SAMPLE_SAMPLE_INT_H

#include "sample/sample.h"

#define SAMPLE_LANES 16 // sums are kept in so many lanes, added up in order: the same at any width

/* e^x for x <= 0, to about 1e-7: 2^k * p(r), the same operations at any vector width.
 * Polynomial: the first seven terms of the series on |r| <= ln(2)/2. */
static inline float sample_exp(float x)
{
    x = x < -87.0f ? -87.0f : x;
    float t = x * 1.44269504f;
    int32_t k = (int32_t)(t - 0.5f); // t <= 0: rounds to nearest
    float r = x - (float)k * 0.693145752f - (float)k * 1.42860677e-6f;
    float y = 1.0f / 5040;
    y = y * r + 1.0f / 720;
    y = y * r + 1.0f / 120;
    y = y * r + 1.0f / 24;
    y = y * r + 1.0f / 6;
    y = y * r + 0.5f;
    y = y * r + 1.0f;
    y = y * r + 1.0f;
    union {
        int32_t i;
        float f;
    } two_k = {.i = (k + 127) << 23};
    return y * two_k.f;
}

#endif
