/* sample/sample.h - one token out of a row of logits.
 *
 * In:      logits [n_vocab] f32, the request's settings, the tokens so far.  Out: an id.
 * Threads: pure but for the scratch that the caller owns.
 * Order of the chain: logit bias, penalties, then greedy if temperature is 0, else top_k, top_p and
 * min_p on the temperature-scaled distribution, and a draw with the random number of
 * (seed, position): a replay draws the same under any batching. */
#ifndef SAMPLE_SAMPLE_H
#define SAMPLE_SAMPLE_H

#include "base/err.h"

struct sample_bias {
    int32_t id;
    float bias;
};

struct sample_params {
    float temperature;        // 0: greedy
    int top_k;                // 0: off
    float top_p;              // 1: off
    float min_p;              // 0: off
    float repetition_penalty; // 1: off; over prompt and output
    float frequency_penalty;  // 0: off; over output
    float presence_penalty;   // 0: off; over output
    uint64_t seed;
    int min_tokens;                 // end-of-generation ids are not drawn before
    const struct sample_bias *bias; // [n_bias], borrowed
    int n_bias;
};
struct sample_params sample_params_default(void);

/* Scratch for one sampling thread. */
struct sample_scratch;
struct sample_scratch *sample_scratch_new(int n_vocab);
void sample_scratch_free(struct sample_scratch *s);

struct sample_input {
    const float *logits; // [n_vocab]; not changed
    int n_vocab;
    const int32_t *prompt; // [n_prompt]
    size_t n_prompt;
    const int32_t *output; // [n_output] drawn so far
    size_t n_output;
    const int32_t *banned; // [n_banned] ids that may not be drawn (end of generation, ignore_eos)
    size_t n_banned;
    const uint64_t *mask; // NULL, or [(n_vocab+63)/64]: only ids with a set bit may be drawn
};

struct sample_result {
    int32_t id;    // -1 only when the mask and bans leave nothing
    float logprob; // natural log of its probability before the chain cuts (bias and penalties in)
};

/* Ties go to the lower id.  NaN logits count as minus infinity. */
struct sample_result sample_token(struct sample_scratch *s, const struct sample_params *p,
                                  const struct sample_input *in);

#endif
