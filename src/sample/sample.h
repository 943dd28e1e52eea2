/* sample/sample.h - one token out of a row of logits.
 *
 * In:      logits [n_vocab] f32, the request's settings, the tokens so far.  Out: an id.
 * Threads: pure but for the scratch that the caller owns.
 *
 * The chain, in this order: mask, bad phrases and repeated n-grams, logit bias, ban of ending
 * tokens (min_tokens, ignore_eos), repetition penalty (prompt and output), frequency and presence
 * penalties (output), then the highest if temperature is 0 or top_k is 1; else temperature, top_k,
 * top_p, min_p, XTC, softmax over what is left, and a draw with the random number of (seed,
 * position), so that a replay draws the same under any batching.  Ties go to the lower id; NaN
 * counts as minus infinity. */
#ifndef SAMPLE_SAMPLE_H
#define SAMPLE_SAMPLE_H

#include "base/err.h"

struct sample_bias {
    int32_t id;
    float bias;
};

/* Tokens that may not come in this order: where all but the last stand at the end of prompt and
 * output, the last is banned. */
struct sample_phrase {
    const int32_t *id; // [n] n >= 1
    int n;
};

struct sample_params {
    float temperature;        // 0: greedy
    int top_k;                // 0: off
    float top_p;              // 1: off
    float min_p;              // 0: off
    float xtc_threshold;      // 0: off
    float xtc_probability;    // 0: off
    float repetition_penalty; // 1: off
    float frequency_penalty;  // 0: off
    float presence_penalty;   // 0: off
    uint64_t seed;
    const struct sample_bias *bias; // [n_bias], borrowed
    int n_bias;
    const struct sample_phrase *bad; // [n_bad], borrowed
    int n_bad;
    int no_repeat_ngram; // > 1: no run of so many tokens twice in prompt and output; else off
};

/* Temperature 1, everything else off, seed 0. */
struct sample_params sample_params_default(void);

#define SAMPLE_BLOCK 64 // logits a block

struct sample_input {
    const float *logits; // [n_vocab]; not changed
    const float *max;    // [blocks] the greatest of every SAMPLE_BLOCK of them, a NaN counting as
                         // -infinity; NULL: they are found
    int n_vocab;
    const int32_t *prompt; // [n_prompt]
    size_t n_prompt;
    const int32_t *output; // [n_output] drawn so far; n_output is the position of the random number
    size_t n_output;
    const int32_t *ends; // [n_ends] ids that end a generation
    size_t n_ends;
    bool ban_ends;        // they may not be drawn now
    const uint64_t *mask; // NULL, or [(n_vocab + 63) / 64]: only ids with a set bit may be drawn
};

struct sample_scratch;
struct kern;
/* For vocabularies up to n_vocab.  k is copied; NULL: the scalar level (the same results). */
struct sample_scratch *sample_scratch_new(int n_vocab, const struct kern *k);
void sample_scratch_free(struct sample_scratch *s);
size_t sample_scratch_bytes(int n_vocab); // what one holds

/* Draws.  Returns -1 only when mask and bans leave nothing. */
int32_t sample_token(struct sample_scratch *s, const struct sample_params *p,
                     const struct sample_input *in);

/* A token and the natural logarithm of its probability under the raw logits at temperature 1:
 * before mask, bias, penalties and truncation. */
#define SAMPLE_LOGPROB_NONE (-9999.0f) // stands for minus infinity
struct sample_logprob {
    int32_t id;
    float logprob;
};

/* The log-probability of `id`, and in top the n_top most likely tokens, most likely first, ties to
 * the lower id.  n_top <= n_vocab.  Of `in` logits, max and n_vocab are read. */
float sample_logprobs(struct sample_scratch *s, const struct sample_input *in, int32_t id,
                      struct sample_logprob *top, int n_top);

/* The distribution that sample_token would draw from, for tests: up to `cap` survivors in
 * descending order into ids and probs (they add up to 1); xtc tells whether XTC's gate counts as
 * open. Returns their number. */
int sample_distribution(struct sample_scratch *s, const struct sample_params *p,
                        const struct sample_input *in, bool xtc, int32_t *ids, float *probs,
                        int cap);

#endif
