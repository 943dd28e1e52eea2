/* dialect/openai_body.h - the body of OpenAI's requests as read through a table, for the brands
 * whose bodies are that and more. Threads: pure. */
#ifndef DIALECT_OPENAI_BODY_H
#define DIALECT_OPENAI_BODY_H

#include "dialect/format_read.h"
#include "dialect/dialect_int.h"
#include "dialect/fields.h"

/* What both routes know.  Numbers a client did not give stay as they are set before reading. */
struct openai_body {
    str model;
    bool stream, ignore_eos, echo, return_progress;
    const json_t *stream_options, *stop, *seed, *logit_bias, *messages, *prompt;
    const json_t *template_args, *priority, *eos_token;
    const json_t *spare; // of fields whose kind alone is checked here
    str spare_text;
    bool spare_flag;
    int64_t n, best_of, top_k, min_tokens, max_tokens, max_completion_tokens;
    int64_t timeout_us; // 0: not given
    bool logprobs;
    int64_t reasoning_budget; // 0: not given
    const json_t *bad_words, *bad_word_tokens, *stop_tokens, *forced;
    int64_t no_repeat_ngram, max_total, min_total;
    int64_t top_logprobs, logprobs_count; // -1: not given; the latter is a completion's
    double temperature, top_p, min_p, repetition_penalty, repeat_penalty;
    double frequency_penalty, presence_penalty, xtc_threshold, xtc_probability;
    bool add_generation_prompt, continue_final;
    bool parse_reasoning, include_reasoning; // true unless said otherwise
    bool resume_generation;
    bool parallel; // true unless said otherwise
};

#define OPENAI_AT(member) offsetof(struct openai_body, member)
#define OPENAI_MANY       1e15

/* Settings of the answer, the same on both routes. */
#define OPENAI_SHARED_FIELDS                                                                       \
    {"model", FIELD_STR, OPENAI_AT(model)}, {"stream", FIELD_BOOL, OPENAI_AT(stream)},             \
        {"stream_options", FIELD_OBJECT, OPENAI_AT(stream_options), .note = "`include_usage`"},    \
        {"temperature", FIELD_NUM, OPENAI_AT(temperature), 0, 2},                                  \
        {"top_p", FIELD_NUM, OPENAI_AT(top_p), 0, 1},                                              \
        {"top_k", FIELD_INT, OPENAI_AT(top_k), -1, OPENAI_MANY},                                   \
        {"min_p", FIELD_NUM, OPENAI_AT(min_p), 0, 1},                                              \
        {"xtc_threshold", FIELD_NUM, OPENAI_AT(xtc_threshold), 0, 1},                              \
        {"xtc_probability", FIELD_NUM, OPENAI_AT(xtc_probability), 0, 1},                          \
        {"repetition_penalty", FIELD_NUM, OPENAI_AT(repetition_penalty), 1e-3, 1e3},               \
        {"repeat_penalty", FIELD_NUM, OPENAI_AT(repeat_penalty), 1e-3, 1e3},                       \
        {"frequency_penalty", FIELD_NUM, OPENAI_AT(frequency_penalty), -2, 2},                     \
        {"presence_penalty", FIELD_NUM, OPENAI_AT(presence_penalty), -2, 2},                       \
        {"logit_bias", FIELD_OBJECT, OPENAI_AT(logit_bias), .note = "from -100 to 100"},           \
        {"seed", FIELD_ANY, OPENAI_AT(seed), .note = "a number, or a list of `n`"},                \
        {"stop", FIELD_ANY, OPENAI_AT(stop), .note = "a text, or up to 16"},                       \
        {"n", FIELD_INT, OPENAI_AT(n), 1, 128},                                                    \
        {"min_tokens", FIELD_INT, OPENAI_AT(min_tokens), 0, OPENAI_MANY},                          \
        {"ignore_eos", FIELD_BOOL, OPENAI_AT(ignore_eos)},                                         \
        {"priority", FIELD_ANY, OPENAI_AT(priority), .note = "lower runs first"},                  \
        {"eos_token", FIELD_ARRAY, OPENAI_AT(eos_token),                                           \
         .note = "ids that end the answer beside the model's own"},                                \
        {"timeout_microseconds",        FIELD_INT, OPENAI_AT(timeout_us), 1, OPENAI_MANY,          \
         .note = "of the whole request"},                                                          \
        {"return_progress", FIELD_BOOL, OPENAI_AT(return_progress),                                \
         .note = "with `stream`: chunks with `prompt_progress`"},                                  \
        {"resume_generation", FIELD_TAKE}, {"user", FIELD_TAKE},                                   \
        {"safety_identifier", FIELD_TAKE}, {"prompt_cache_key", FIELD_TAKE},                       \
        {"prompt_cache_retention", FIELD_TAKE}, {"prompt_cache_options", FIELD_TAKE},              \
        {"metadata", FIELD_TAKE}, {"service_tier", FIELD_TAKE}, {"store", FIELD_TAKE},             \
        {"grammar", FIELD_ANY, OPENAI_AT(spare), .note = "GBNF: docs/constraints.md"},             \
        {"json_schema", FIELD_ANY, OPENAI_AT(spare), .note = "a schema"},                          \
        {"typical_p", FIELD_REFUSE, .note = "this sampler is not offered"},                        \
        {"mirostat", FIELD_REFUSE, .note = "this sampler is not offered"},                         \
    {                                                                                              \
        "dry_multiplier", FIELD_REFUSE, .note = "this sampler is not offered"                      \
    }

/* Parses the text, reads it through the table (of an entry named twice the first counts), lets
 * `rest` see both, applies the settings.
 *   own   what the body holds before reading, or NULL: openai_body_default() */
MUST_CHECK bool openai_read_body(struct dialect *d, str text, const struct field *fields, size_t n,
                                 const struct openai_body *own,
                                 bool (*rest)(struct dialect *d, const json_t *body,
                                              struct openai_body *b, struct talk_order *out,
                                              struct err *e),
                                 struct talk_order *out, struct err *e);
struct openai_body openai_body_default(void);

/* response_format, or grammar or json_schema beside it.  kinds: of dialect/format_read.h. */
MUST_CHECK bool openai_read_format(const json_t *body, unsigned kinds, struct chat_request *r,
                                   struct err *e);

/* Messages, template, shape and format (formats: kinds of dialect/format_read.h). */
MUST_CHECK bool openai_rest_of_chat(struct dialect *d, const json_t *body, struct openai_body *b,
                                    struct talk_order *out, unsigned formats, struct err *e);
/* The fields of both wires about log-probabilities, once they are read. */
MUST_CHECK bool openai_read_logprobs(const struct openai_body *b, struct chat_request *r,
                                     struct err *e);
/* A count that may be any size, as one that counts to INT32_MAX; below 0 is 0. */
int openai_clamp_count(int64_t v);

#endif
