/* dialect/friendli_read.c - FriendliAI's bodies: OpenAI's table with rules of its own before it. */
#include "dialect/friendli.h"
#include "dialect/openai_body.h"

#define AT           OPENAI_AT
#define MANY         OPENAI_MANY
#define TOOLS_MAX    128
#define MESSAGES_MAX 2048
#define SMALLEST     1e-30 // of what must be greater than 0

/* These come before the shared fields, and so count instead of them. */
#define STRICT_FIELDS                                                                              \
    {"model", FIELD_STR, AT(model), .required = true}, {"return_progress", FIELD_TAKE},            \
        {"temperature", FIELD_NUM, AT(temperature), 0, MANY},                                      \
        {"top_p", FIELD_NUM, AT(top_p), SMALLEST, 1},                                              \
        {"repetition_penalty", FIELD_NUM, AT(repetition_penalty), SMALLEST, MANY},                 \
    {                                                                                              \
        "max_tokens", FIELD_INT, AT(max_tokens), 1, MANY                                           \
    }

#define CHAT_FIELDS                                                                                \
    {"messages", FIELD_ARRAY, AT(messages), .required = true,                                      \
     .note = "four roles and `developer`, text parts"},                                            \
        {"max_completion_tokens", FIELD_INT, AT(max_completion_tokens), 1, MANY},                  \
        {"chat_template_kwargs", FIELD_OBJECT, AT(template_args),                                  \
         .note = "variables of the template"},                                                     \
        {"parse_reasoning", FIELD_BOOL, AT(parse_reasoning)},                                      \
        {"include_reasoning", FIELD_BOOL, AT(include_reasoning)},                                  \
        {"reasoning_budget",                                                                       \
         FIELD_INT,                                                                                \
         AT(reasoning_budget),                                                                     \
         1,                                                                                        \
         MANY,                                                                                     \
         .note = "then the closing mark is forced and the answer goes on"},                        \
        {"reasoning_effort", FIELD_ANY, AT(spare)}, {"tool_choice", FIELD_ANY, AT(spare)},         \
        {"tools", FIELD_ARRAY, AT(spare),                                                          \
         .note = "functions; those of the server on the tool-assisted path"},                      \
        {"response_format", FIELD_OBJECT, AT(spare)},                                              \
        {"parallel_tool_calls", FIELD_BOOL, AT(parallel)},                                         \
        {"logprobs", FIELD_BOOL, AT(logprobs),                                                     \
         .note = "of the raw distribution at temperature 1; minus infinity is -9999"},             \
        {"top_logprobs", FIELD_INT, AT(top_logprobs), 0, 20},                                      \
        {"functions", FIELD_REFUSE, .note = "use 'tools'"},                                        \
        {"function_call", FIELD_REFUSE, .note = "use 'tool_choice'"}, {"audio", FIELD_TAKE},       \
        {"modalities", FIELD_TAKE}, {"prediction", FIELD_TAKE},                                    \
        {"web_search_options", FIELD_TAKE},                                                        \
    {                                                                                              \
        "verbosity", FIELD_TAKE                                                                    \
    }

static const struct field chat_fields[] = {STRICT_FIELDS, OPENAI_SHARED_FIELDS, CHAT_FIELDS};

static const struct field tools_fields[] = {
    {"min_tokens", FIELD_TAKE},
    {"resume_generation", FIELD_BOOL, AT(resume_generation)},
    STRICT_FIELDS,
    OPENAI_SHARED_FIELDS,
    CHAT_FIELDS};

static const struct field completion_fields[] = {
    STRICT_FIELDS,
    OPENAI_SHARED_FIELDS,
    {"prompt", FIELD_ANY, AT(prompt)},
    {"tokens", FIELD_ARRAY, AT(spare)},
    {"response_format", FIELD_OBJECT, AT(spare)},
    {"logprobs", FIELD_INT, AT(logprobs_count), 0, 20,
     .note = "of the raw distribution at temperature 1; minus infinity is -9999"},
    {"max_total_tokens", FIELD_INT, AT(max_total), 1, MANY},
    {"min_total_tokens", FIELD_INT, AT(min_total), 0, MANY},
    {"bad_words", FIELD_ARRAY, AT(bad_words), .note = "prompt and answer count"},
    {"bad_word_tokens", FIELD_ARRAY, AT(bad_word_tokens), .note = "prompt and answer count"},
    {"stop_tokens", FIELD_ARRAY, AT(stop_tokens),
     .note = "the text of the tokens that stop it stays"},
    {"no_repeat_ngram", FIELD_INT, AT(no_repeat_ngram), 0, MANY},
    {"forced_output_tokens", FIELD_ARRAY, AT(forced),
     .note = "they are the answer, scored with `logprobs`"},
    {"embedding_to_replace", FIELD_REFUSE, .note = "prompts are tokens"},
    {"token_index_to_replace", FIELD_REFUSE, .note = "prompts are tokens"},
    {"encoder_no_repeat_ngram", FIELD_TAKE},
    {"encoder_repetition_penalty", FIELD_TAKE},
    {"echo", FIELD_REFUSE, .note = "send the prompt's tokens to /tokenize"},
    {"suffix", FIELD_REFUSE, .note = "fill-in-the-middle is not built yet"},
};

/* Tools of the server have a path of their own. */
static bool check_tools(const json_t *body, bool assisted, struct err *e)
{
    const json_t *tools = json_object_get(body, "tools"), *tool;
    char place[64];
    size_t i, n = json_array_size(tools);
    if (n > TOOLS_MAX) {
        err_set_at(e, ERR_INPUT, "tools", "'tools' holds %zu tools; at most %d are allowed", n,
                   TOOLS_MAX);
        return err_kind(e, "out_of_range");
    }
    json_array_foreach(tools, i, tool)
    {
        if (assisted || !server_tools_skip(tool))
            continue;
        snprintf(place, sizeof place, "tools[%zu].type", i);
        err_set_at(e, ERR_INPUT, place,
                   "the tool '%.64s' runs on the server: send it to "
                   "/serverless/tools/v1/chat/completions",
                   json_string_value(json_object_get(tool, "type")));
        return err_kind(e, "unsupported_value");
    }
    return true;
}

static bool is_format(const json_t *body)
{
    return format_is_asked(json_object_get(body, "response_format"));
}

#define FORMATS (FORMAT_OBJECT | FORMAT_REGEX | FORMAT_LEGACY)

static bool no_pair(struct err *e, const char *field, const char *other)
{
    err_set_at(e, ERR_INPUT, field, "%s cannot be used together with %s.", field, other);
    return err_kind(e, "unsupported_combination");
}

static bool check_pairs(const json_t *body, const struct openai_body *b, struct err *e)
{
    bool tools = json_array_size(json_object_get(body, "tools")) > 0;
    if (tools && is_format(body))
        return no_pair(e, "response_format", "tools");
    if (b->min_tokens > 0 && tools)
        return no_pair(e, "min_tokens", "tools");
    if (b->min_tokens > 0 && is_format(body))
        return no_pair(e, "min_tokens", "response_format");
    const json_t *wanted = json_object_get(body, "logprobs");
    if (json_number_value(json_object_get(body, "top_logprobs")) > 0 && !json_is_true(wanted)) {
        err_set_at(e, ERR_INPUT, "top_logprobs", "top_logprobs needs logprobs to be true.");
        return err_kind(e, "unsupported_combination");
    }
    return true;
}

/* Biases of tokens that the model does not have are a mistake. */
/* The older role "function", which the shared reader takes, is none here. */
static bool check_roles(const json_t *messages, struct err *e)
{
    size_t i;
    json_t *m;
    json_array_foreach(messages, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        if (role && strcmp(role, "function") == 0) {
            char place[64];
            snprintf(place, sizeof place, "messages[%zu].role", i);
            err_set_at(e, ERR_INPUT, place,
                       "'%s' must be one of system, developer, user, assistant, tool", place);
            return err_kind(e, "unsupported_value");
        }
    }
    return true;
}

/* An answer's earlier thinking has two names. */
static void rename_reasoning(json_t *messages)
{
    size_t i;
    json_t *m;
    json_array_foreach(messages, i, m)
    {
        json_t *other = json_object_get(m, "reasoning");
        if (json_is_string(other) && !json_object_get(m, "reasoning_content"))
            json_object_set(m, "reasoning_content", other);
        json_object_del(m, "reasoning");
    }
}

static bool rest_of_both(struct dialect *d, const json_t *body, struct openai_body *b,
                         bool assisted, struct talk_order *out, struct err *e)
{
    if (json_array_size(b->messages) > MESSAGES_MAX)
        return err_set_at(e, ERR_INPUT, "messages", "more than %d messages", MESSAGES_MAX);
    if (!check_pairs(body, b, e) || !check_tools(body, assisted, e) || !check_roles(b->messages, e))
        return false;
    if (b->max_tokens > 0) // counts before its other name
        b->max_completion_tokens = b->max_tokens;
    if (!openai_rest_of_chat(d, body, b, out, FORMATS, e))
        return false;
    struct chat_request *r = out->request;
    rename_reasoning(r->messages);
    if (r->tool_choice == CHAT_TOOLS_NONE) { // they are not shown to the model either
        json_decref(r->tools);
        r->tools = NULL;
    }
    return true;
}

static bool rest_of_chat(struct dialect *d, const json_t *body, struct openai_body *b,
                         struct talk_order *out, struct err *e)
{
    return rest_of_both(d, body, b, false, out, e);
}

#define SURVIVED 8 // failures of tools

static bool rest_of_assisted(struct dialect *d, const json_t *body, struct openai_body *b,
                             struct talk_order *out, struct err *e)
{
    // The format of answers is no field of this path.
    json_t *rest = json_copy((json_t *)body);
    json_object_del(rest, "response_format");
    bool ok = rest_of_both(d, rest, b, true, out, e);
    out->request->max_failures = b->resume_generation ? SURVIVED : 0;
    out->request->max_tokens_in_all = true;
    json_decref(rest);
    return ok;
}

#define PHRASES_MAX 1024

static bool bad_list(struct err *e, const char *field, const char *what)
{
    err_set_at(e, ERR_INPUT, field, "'%s' must be an array of %s, at most %d", field, what,
               PHRASES_MAX);
    return err_kind(e, "invalid_type");
}

/* [{"tokens":[1,2]}] as [[1,2]]. */
static bool read_phrases(const json_t *v, const char *field, json_t **out, struct err *e)
{
    size_t i;
    json_t *item;
    if (json_array_size(v) == 0)
        return true;
    if (json_array_size(v) > PHRASES_MAX)
        return bad_list(e, field, "objects with 'tokens'");
    *out = json_array();
    json_array_foreach(v, i, item)
    {
        json_t *ids = json_object_get(item, "tokens");
        if (json_array_size(ids) == 0)
            return bad_list(e, field, "objects with 'tokens'");
        json_array_append(*out, ids);
    }
    return true;
}

/* What bounds a completion beside the settings that all routes have. */
static bool read_bounds(const struct openai_body *b, struct chat_request *r, struct err *e)
{
    size_t i;
    json_t *item;
    if (b->max_total > 0 && b->max_tokens > 0)
        return no_pair(e, "max_total_tokens", "max_tokens");
    if (b->min_total > 0 && b->min_tokens > 0)
        return no_pair(e, "min_total_tokens", "min_tokens");
    r->max_total = openai_clamp_count(b->max_total);
    r->min_total = openai_clamp_count(b->min_total);
    r->no_repeat_ngram = openai_clamp_count(b->no_repeat_ngram);
    json_array_foreach(b->bad_words, i, item)
    {
        if (json_string_length(item) == 0 || i >= PHRASES_MAX)
            return bad_list(e, "bad_words", "texts, none empty");
    }
    json_array_foreach(b->forced, i, item)
    {
        if (!json_is_integer(item))
            return bad_list(e, "forced_output_tokens", "token ids");
    }
    if (json_array_size(b->bad_words))
        r->bad_words = json_incref((json_t *)b->bad_words);
    if (json_array_size(b->forced))
        r->forced = json_incref((json_t *)b->forced);
    return read_phrases(b->bad_word_tokens, "bad_word_tokens", &r->bad_tokens, e) &&
           read_phrases(b->stop_tokens, "stop_tokens", &r->stop_tokens, e);
}

static bool rest_of_completion(struct dialect *d, const json_t *body, struct openai_body *b,
                               struct talk_order *out, struct err *e)
{
    (void)d;
    const json_t *tokens = json_object_get(body, "tokens");
    bool as_ids = json_array_size(tokens) > 0;
    if (as_ids == (b->prompt != NULL)) {
        err_set_at(e, ERR_INPUT, "prompt", "give either 'prompt' or 'tokens'");
        return err_kind(e, as_ids ? "unsupported_combination" : "missing_required_parameter");
    }
    out->request->max_tokens = openai_clamp_count(b->max_tokens);
    out->request->want_tokens = true;
    return check_pairs(body, b, e) && read_bounds(b, out->request, e) &&
           openai_read_logprobs(b, out->request, e) &&
           openai_read_format(body, FORMATS, out->request, e) &&
           openai_read_prompts(as_ids ? tokens : b->prompt, out->request, e);
}

bool friendli_read_chat(struct dialect *d, struct http_req *r, struct talk_order *out,
                        struct err *e)
{
    return openai_read_body(d, http_body(r), chat_fields, COUNT(chat_fields), NULL, rest_of_chat,
                            out, e);
}

/* OpenAI's own clients take any object of a stream for a chunk: they do not get tool_status. */
static bool tells_tools(struct http_req *r)
{
    str v;
    if (http_header(r, "X-Confab-Tool-Status", &v))
        return !str_eqc(v, "never");
    return !http_header(r, "X-Stainless-Lang", &v);
}

bool friendli_read_assisted(struct dialect *d, struct http_req *r, struct talk_order *out,
                            struct err *e)
{
    bool ok = openai_read_body(d, http_body(r), tools_fields, COUNT(tools_fields), NULL,
                               rest_of_assisted, out, e);
    if (ok && !tells_tools(r))
        out->wire = &friendli_quiet_wire;
    return ok;
}

bool friendli_read_completion(struct dialect *d, struct http_req *r, struct talk_order *out,
                              struct err *e)
{
    return openai_read_body(d, http_body(r), completion_fields, COUNT(completion_fields), NULL,
                            rest_of_completion, out, e);
}

const struct field_set friendli_chat_set = {"friendli.chat", chat_fields, COUNT(chat_fields),
                                            "ignored, named in `X-Confab-Ignored`"};

const struct field_set friendli_assisted_set = {
    "friendli.assisted", tools_fields, COUNT(tools_fields), "ignored, named in `X-Confab-Ignored`"};

const struct field_set friendli_completion_set = {"friendli.completions", completion_fields,
                                                  COUNT(completion_fields),
                                                  "ignored, named in `X-Confab-Ignored`"};
