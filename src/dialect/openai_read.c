/* dialect/openai_read.c - OpenAI request bodies into neutral requests.
 *
 * Source: the vendor's OpenAPI description 2.3.0; extensions that local servers share (top_k,
 * min_p, repetition_penalty, ignore_eos, chat_template_kwargs). */
#include "dialect/openai_body.h"

#include <math.h>

#define STOPS_MAX    16
#define MESSAGES_MAX 100000
#define BIAS_MAX     1024
#define PROMPTS_MAX  64
#define ENDS_MAX     1024

#define AT   OPENAI_AT
#define MANY OPENAI_MANY

static const struct field chat_fields[] = {
    OPENAI_SHARED_FIELDS,
    {"messages", FIELD_ARRAY, AT(messages), .required = true, .note = "text parts alone"},
    {"max_completion_tokens", FIELD_INT, AT(max_completion_tokens), 1, MANY},
    {"max_tokens", FIELD_INT, AT(max_tokens), 1, MANY},
    {"chat_template_kwargs", FIELD_OBJECT, AT(template_args), .note = "variables of the template"},
    {"add_generation_prompt", FIELD_BOOL, AT(add_generation_prompt)},
    {"continue_final_message", FIELD_BOOL, AT(continue_final)},
    {"response_format", FIELD_ANY, AT(spare),
     .note = "`text`, `json_object`, `json_schema`, `regex`: docs/constraints.md"},
    {"tools", FIELD_ARRAY, AT(spare),
     .note = "functions, and tools that run on the server (docs/tools.md)"},
    {"tool_choice", FIELD_ANY, AT(spare)},
    {"parallel_tool_calls", FIELD_BOOL, AT(parallel)},
    {"reasoning_effort", FIELD_ANY, AT(spare),
     .note = "reaches the template; `none` turns thinking off"},
    {"logprobs", FIELD_BOOL, AT(logprobs),
     .note = "of the raw distribution at temperature 1; minus infinity is -9999"},
    {"top_logprobs", FIELD_INT, AT(top_logprobs), 0, 20},
    {"functions", FIELD_ARRAY, AT(spare),
     .note = "OpenAI's older `tools`: at most one call, answered in `function_call`"},
    {"function_call", FIELD_ANY, AT(spare), .note = "the older `tool_choice`"},
    {"modalities", FIELD_ARRAY, AT(spare), .note = "`text` alone"},
    {"audio", FIELD_REFUSE, .note = "answers are text only"},
    {"web_search_options", FIELD_REFUSE, .note = "there is no web search here"},
    {"moderation", FIELD_REFUSE, .note = "there is no moderation here"},
    {"prediction", FIELD_TAKE},
    {"verbosity", FIELD_TAKE},
    {"parse_reasoning", FIELD_BOOL, AT(parse_reasoning),
     .note = "false: the marks stay in the text"},
    {"include_reasoning", FIELD_BOOL, AT(include_reasoning), .note = "false: thinking is left out"},
    {"reasoning_budget", FIELD_INT, AT(reasoning_budget), 1, MANY,
     .note = "then the closing mark is forced and the answer goes on"},
};

static const struct field completion_fields[] = {
    OPENAI_SHARED_FIELDS,
    {"response_format", FIELD_ANY, AT(spare),
     .note = "`text`, `json_object`, `json_schema`, `regex`: docs/constraints.md"},
    {"prompt", FIELD_ANY, AT(prompt), .required = true, .note = "texts or token ids, one or many"},
    {"max_tokens", FIELD_INT, AT(max_tokens), 0, MANY},
    {"best_of", FIELD_INT, AT(best_of), 0, 20, .note = "no other number than `n`"},
    {"echo", FIELD_BOOL, AT(echo)},
    {"suffix", FIELD_REFUSE, .note = "fill-in-the-middle is not built yet"},
    {"logprobs", FIELD_INT, AT(logprobs_count), 0, 5,
     .note = "of the raw distribution at temperature 1; minus infinity is -9999"},
};

struct openai_body openai_body_default(void)
{
    return (struct openai_body){.n = 1,
                                .best_of = -1,
                                .max_tokens = -1,
                                .max_completion_tokens = -1,
                                .top_logprobs = -1,
                                .logprobs_count = -1,
                                .temperature = 1,
                                .top_p = 1,
                                .repetition_penalty = 1,
                                .repeat_penalty = 1,
                                .add_generation_prompt = true,
                                .parse_reasoning = true,
                                .include_reasoning = true,
                                .parallel = true};
}

static bool no_memory(struct err *e)
{
    return err_set(e, ERR_LIMIT, "the request needs more memory than one request may have");
}

bool openai_read_stops(const json_t *v, struct chat_request *r, struct err *e)
{
    if (!v || json_is_null(v))
        return true;
    size_t n = json_is_array(v) ? json_array_size(v) : 1;
    if (n > STOPS_MAX)
        return err_set_at(e, ERR_INPUT, "stop", "'stop' holds %zu texts; at most %d are allowed", n,
                          STOPS_MAX);
    r->stops = arena_calloc(&r->arena, n, sizeof *r->stops);
    for (size_t i = 0; i < n; i++) {
        const json_t *s = json_is_array(v) ? json_array_get(v, i) : v;
        if (!json_is_string(s) || json_string_length(s) == 0) {
            err_set_at(e, ERR_INPUT, "stop",
                       "'stop' must be a string or an array of strings, none "
                       "of them empty");
            return err_kind(e, "invalid_type");
        }
        if (json_string_length(s) > 4096)
            return err_set_at(e, ERR_INPUT, "stop", "a stop text is longer than 4096 bytes");
        if (!r->stops)
            return no_memory(e);
        r->stops[i] = arena_str(&r->arena, json_as_str(s));
    }
    r->n_stops = n;
    return true;
}

static bool bad_seed(struct err *e)
{
    err_set_at(e, ERR_INPUT, "seed",
               "'seed' must be an integer of 64 bits, or a list of 'n' of them");
    return err_kind(e, "invalid_type");
}

static bool read_seed_list(const json_t *v, struct chat_request *r, struct err *e)
{
    size_t n = json_array_size(v);
    if (n != (size_t)r->n_choices) {
        err_set_at(e, ERR_INPUT, "seed", "'seed' lists %zu seeds for %d answers ('n')", n,
                   r->n_choices);
        return err_kind(e, "out_of_range");
    }
    r->seeds = arena_calloc(&r->arena, n, sizeof *r->seeds);
    if (!r->seeds)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        if (!json_is_integer(json_array_get(v, i)))
            return bad_seed(e);
        r->seeds[i] = (uint64_t)json_integer_value(json_array_get(v, i));
    }
    r->has_seed = true;
    r->seed = r->seeds[0];
    return true;
}

bool openai_read_seed(const json_t *v, struct chat_request *r, struct err *e)
{
    if (!v || json_is_null(v))
        return true;
    if (json_is_array(v))
        return read_seed_list(v, r, e);
    if (!json_is_integer(v))
        return bad_seed(e);
    r->has_seed = true;
    r->seed = (uint64_t)json_integer_value(v);
    return true;
}

/* Further token ids that end an answer; whether the model has them is seen when it is known. */
static bool read_ends(const json_t *v, struct chat_request *r, struct err *e)
{
    size_t n = json_array_size(v);
    if (n == 0)
        return true;
    if (n > ENDS_MAX)
        return err_set_at(e, ERR_INPUT, "eos_token", "more than %d tokens", ENDS_MAX);
    r->ends = arena_calloc(&r->arena, n, sizeof *r->ends);
    if (!r->ends)
        return no_memory(e);
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id)) {
            err_set_at(e, ERR_INPUT, "eos_token", "'eos_token' must be an array of token ids");
            return err_kind(e, "invalid_type");
        }
        json_int_t value = json_integer_value(id);
        r->ends[i] = value < 0 || value > INT32_MAX ? -1 : (int32_t)value;
    }
    r->n_ends = n;
    return true;
}

static bool read_priority(const json_t *v, struct chat_request *r, struct err *e)
{
    if (!v || json_is_null(v))
        return true;
    json_int_t p = json_integer_value(v);
    if (!json_is_integer(v) || p < INT32_MIN || p > INT32_MAX) {
        err_set_at(e, ERR_INPUT, "priority", "'priority' must be an integer of 32 bits");
        return err_kind(e, "invalid_type");
    }
    r->priority = (int)p;
    return true;
}

static bool read_bias(const json_t *v, struct chat_request *r, struct err *e)
{
    const char *name;
    json_t *bias;
    size_t n = json_object_size(v);
    if (n == 0)
        return true;
    if (n > BIAS_MAX)
        return err_set_at(e, ERR_INPUT, "logit_bias", "more than %d biases", BIAS_MAX);
    r->bias = arena_calloc(&r->arena, n, sizeof *r->bias);
    if (!r->bias)
        return no_memory(e);
    json_object_foreach((json_t *)v, name, bias)
    {
        uint64_t id;
        double b = json_number_value(bias);
        if (!str_to_u64(str_c(name), &id) || id > INT32_MAX || !json_is_number(bias) || b < -100 ||
            b > 100)
            return err_set_at(
                e, ERR_INPUT, "logit_bias",
                "'logit_bias' maps token ids to numbers from -100 to 100; '%.40s' does "
                "not",
                name);
        r->bias[r->n_bias++] = (struct chat_bias){(int32_t)id, (float)b};
    }
    return true;
}

int openai_clamp_count(int64_t v)
{
    return v < 0 ? 0 : v > INT32_MAX ? INT32_MAX : (int)v;
}

static bool read_settings(const struct openai_body *b, struct talk_order *out, struct err *e)
{
    struct chat_request *r = out->request;
    struct {
        bool include_usage;
    } options = {false};
    static const struct field option_fields[] = {{"include_usage", FIELD_BOOL, 0},
                                                 {"include_obfuscation", FIELD_TAKE}};

    if (b->stream_options) {
        if (!b->stream)
            return err_set_at(e, ERR_INPUT, "stream_options",
                              "'stream_options' is only allowed when 'stream' is true");
        if (!fields_read(option_fields, COUNT(option_fields), b->stream_options, &options,
                         "stream_options.", &out->ignored, e))
            return false;
    }
    out->stream = b->stream;
    out->include_usage = options.include_usage;
    out->progress = b->stream && b->return_progress;
    r->model = arena_str(&r->arena, b->model);
    r->n_choices = (int)b->n;
    // A format that is complete ends the answer.
    r->min_tokens = r->format == CHAT_FORMAT_TEXT ? openai_clamp_count(b->min_tokens) : 0;
    if (b->min_tokens > 0 && r->min_tokens == 0)
        fields_note_ignored(&out->ignored, "", "min_tokens");
    r->ignore_eos = b->ignore_eos;
    r->thinking_as_text = !b->parse_reasoning;
    r->reasoning_budget = openai_clamp_count(b->reasoning_budget);
    out->hide_reasoning = !b->include_reasoning;
    if (b->timeout_us > 0)
        r->timeout_ms =
            (uint32_t)(b->timeout_us > (int64_t)UINT32_MAX * 1000 ? UINT32_MAX
                                                                  : (b->timeout_us + 999) / 1000);
    r->temperature = (float)b->temperature;
    r->top_p = (float)b->top_p;
    if (b->top_p == 0) { // a nucleus of nothing but the best
        r->top_p = 1;
        r->temperature = 0;
    }
    r->top_k = openai_clamp_count(b->top_k);
    r->min_p = (float)b->min_p;
    r->xtc_threshold = (float)b->xtc_threshold;
    r->xtc_probability = (float)b->xtc_probability;
    r->repetition_penalty =
        (float)(b->repetition_penalty != 1 ? b->repetition_penalty : b->repeat_penalty);
    r->frequency_penalty = (float)b->frequency_penalty;
    r->presence_penalty = (float)b->presence_penalty;
    if (r->min_tokens > 0 && r->max_tokens > 0 && r->min_tokens > r->max_tokens)
        return err_set_at(e, ERR_INPUT, "min_tokens",
                          "'min_tokens' is greater than the most tokens "
                          "allowed");
    return openai_read_stops(b->stop, r, e) && openai_read_seed(b->seed, r, e) &&
           read_priority(b->priority, r, e) && read_ends(b->eos_token, r, e) &&
           read_bias(b->logit_bias, r, e);
}

static bool bad_message(struct err *e, const char *place, const char *what)
{
    err_set_at(e, ERR_INPUT, place, "'%s' %s", place, what);
    return err_kind(e, "invalid_type");
}

/* Content as one string: text parts joined by line breaks. */
static json_t *join_parts(const json_t *parts, const char *place, struct err *e)
{
    struct buf text = BUF_INIT(ANSWER_MAX);
    json_t *joined = NULL;
    char at[96];
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *value =
            json_object_get(part, type && strcmp(type, "refusal") == 0 ? "refusal" : "text");
        snprintf(at, sizeof at, "%s[%zu]", place, i);
        if (type && strcmp(type, "text") != 0 && strcmp(type, "refusal") != 0) {
            err_set_at(e, ERR_INPUT, at,
                       "'%s' is a part of type '%.40s'; this model takes only text", at, type);
            err_kind(e, "unsupported_value");
            goto done;
        }
        if (!type || !json_is_string(value)) {
            bad_message(e, at, "must be an object of type text with a string 'text'");
            goto done;
        }
        if (i)
            buf_char(&text, '\n');
        buf_str(&text, json_as_str(value));
    }
    joined = json_from_str(buf_as_str(&text));
done:
    buf_free(&text);
    return joined;
}

static const struct {
    const char *name, *as;
    bool needs_content;
} roles[] = {
    {"system", "system", true}, {"developer", "system", true},     {"user", "user", true},
    {"tool", "tool", true},     {"assistant", "assistant", false},
};

static bool read_content(const json_t *in, json_t *out, bool needed, const char *place,
                         struct err *e)
{
    const json_t *content = json_object_get(in, "content");
    if (json_is_string(content))
        return true; // copied with the rest
    if (json_is_array(content) && json_array_size(content) > 0) {
        json_t *joined = join_parts(content, place, e);
        return joined && json_object_set_new(out, "content", joined) == 0;
    }
    if (!needed && (!content || json_is_null(content)))
        return json_object_set_new(out, "content", json_string("")) == 0;
    return bad_message(e, place, "must be a string or an array of at least one part");
}

static json_t *read_message(const json_t *in, size_t i, struct err *e)
{
    char place[64];
    snprintf(place, sizeof place, "messages[%zu]", i);
    if (!json_is_object(in)) {
        bad_message(e, place, "must be an object");
        return NULL;
    }
    const char *role = json_string_value(json_object_get(in, "role"));
    size_t k = 0;
    while (k < COUNT(roles) && (!role || strcmp(role, roles[k].name) != 0))
        k++;
    snprintf(place, sizeof place, "messages[%zu].role", i);
    if (k == COUNT(roles)) {
        err_set_at(e, ERR_INPUT, place,
                   "'%s' must be one of system, developer, user, assistant, tool", place);
        err_kind(e, "unsupported_value");
        return NULL;
    }
    json_t *out = json_copy((json_t *)in);
    json_object_set_new(out, "role", json_string(roles[k].as));
    snprintf(place, sizeof place, "messages[%zu].content", i);
    bool ok = read_content(in, out, roles[k].needs_content, place, e);
    const json_t *calls = json_object_get(in, "tool_calls");
    json_object_del(out, "tool_calls");
    snprintf(place, sizeof place, "messages[%zu].tool_calls", i);
    if (ok && json_array_size(calls) > 0)
        ok = tools_read_calls(calls, place, out, e);
    if (ok)
        return out;
    json_decref(out);
    return NULL;
}

json_t *openai_messages(const json_t *messages, struct err *e)
{
    size_t n = json_array_size(messages);
    if (n == 0 || n > MESSAGES_MAX) {
        err_set_at(e, ERR_INPUT, "messages", "'messages' must hold at least one message%s",
                   n ? " and not so many" : "");
        return NULL;
    }
    json_t *out = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *m = read_message(json_array_get(messages, i), i, e);
        if (!m) {
            json_decref(out);
            return NULL;
        }
        json_array_append_new(out, m);
    }
    tools_name_results(out);
    return out;
}

bool openai_read_format(const json_t *body, unsigned kinds, struct chat_request *r, struct err *e)
{
    const json_t *format = json_object_get(body, "response_format");
    const json_t *grammar = json_object_get(body, "grammar");
    const json_t *schema = json_object_get(body, "json_schema");
    bool has_grammar = grammar && !fields_is_neutral(grammar);
    bool has_schema = schema && !fields_is_neutral(schema);
    if (format_is_asked(format) + has_grammar + has_schema > 1) {
        const char *field = has_grammar ? "grammar" : "json_schema";
        err_set_at(e, ERR_INPUT, field, "'%s' cannot be used together with another format", field);
        return err_kind(e, "unsupported_combination");
    }
    if (has_grammar && !json_is_string(grammar)) {
        err_set_at(e, ERR_INPUT, "grammar", "'grammar' must be a string: a grammar in GBNF");
        return err_kind(e, "invalid_type");
    }
    if (has_grammar)
        return format_set_source(CHAT_FORMAT_GRAMMAR, json_as_str(grammar), "grammar", r, e);
    if (has_schema)
        return format_set_schema(schema, "json_schema", r, e);
    return format_read(format, kinds, "response_format", r, e);
}

static bool check_modes(const json_t *body, struct err *e)
{
    const json_t *modes = json_object_get(body, "modalities"), *mode;
    size_t i;
    json_array_foreach(modes, i, mode) if (!json_is_string(mode) ||
                                           strcmp(json_string_value(mode), "text") != 0)
    {
        err_set_at(e, ERR_INPUT, "modalities", "'modalities' can only hold \"text\" here");
        return err_kind(e, "unsupported_value");
    }
    return true;
}

/* reasoning_effort "none" turns thinking off where the template has that switch. */
static bool apply_effort(const json_t *body, struct chat_request *r, struct err *e)
{
    static const char *const words[] = {"none", "minimal", "low", "medium",
                                        "high", "xhigh",   "max", "ultracode"};
    const json_t *v = json_object_get(body, "reasoning_effort");
    if (!v || json_is_null(v))
        return true;
    const char *word = json_string_value(v);
    size_t i = 0;
    while (i < COUNT(words) && (!word || strcmp(word, words[i]) != 0))
        i++;
    if (i == COUNT(words)) {
        err_set_at(e, ERR_INPUT, "reasoning_effort",
                   "'reasoning_effort' must be one of none, minimal, low, medium, high, xhigh, "
                   "max, ultracode");
        return err_kind(e, "unsupported_value");
    }
    if (!r->template_args)
        r->template_args = json_object();
    if (!json_object_get(r->template_args, "reasoning_effort"))
        json_object_set_new(r->template_args, "reasoning_effort", json_string(word));
    if (i == 0 && !json_object_get(r->template_args, "enable_thinking"))
        json_object_set_new(r->template_args, "enable_thinking", json_false());
    return true;
}

bool openai_chat_shape(const json_t *body, struct chat_request *r, struct err *e)
{
    const json_t *args = json_object_get(body, "chat_template_kwargs");
    if (json_is_object(args))
        r->template_args = json_copy((json_t *)args);
    const json_t *last = json_array_get(r->messages, json_array_size(r->messages) - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    bool answer_last = role && strcmp(role, "assistant") == 0;
    const json_t *add = json_object_get(body, "add_generation_prompt");
    bool keep_open = json_is_true(json_object_get(body, "continue_final_message"));
    r->add_generation_prompt = !json_is_false(add);
    r->continue_final = keep_open || (answer_last && json_is_false(add));
    if (keep_open && !answer_last)
        return err_set_at(e, ERR_INPUT, "continue_final_message",
                          "'continue_final_message' needs a last message of role assistant");
    if (keep_open && json_is_true(add))
        return err_set_at(e, ERR_INPUT, "continue_final_message",
                          "'continue_final_message' and 'add_generation_prompt' contradict each "
                          "other");
    return apply_effort(body, r, e);
}

static json_t *parse_object(str text, struct err *e)
{
    json_t *body = json_parse(text, e);
    if (!body) {
        err_ctx(e, "the body is not valid JSON (at %s)", e->where);
        e->where[0] = '\0';
        return NULL;
    }
    if (json_is_object(body))
        return body;
    json_decref(body);
    err_set(e, ERR_INPUT, "the body must be a JSON object");
    return NULL;
}

bool openai_read_body(struct dialect *d, str text, const struct field *fields, size_t n,
                      const struct openai_body *own,
                      bool (*rest)(struct dialect *d, const json_t *body, struct openai_body *b,
                                   struct talk_order *out, struct err *e),
                      struct talk_order *out, struct err *e)
{
    struct openai_body b = own ? *own : openai_body_default();
    *out = (struct talk_order){0};
    buf_init(&out->ignored, 1024);
    json_t *body = parse_object(text, e);
    if (!body)
        return false;
    out->request = chat_request_new(d->conf.max_request);
    bool ok = fields_read(fields, n, body, &b, "", &out->ignored, e) && rest(d, body, &b, out, e) &&
              read_settings(&b, out, e);
    if (ok && out->request->arena.full)
        ok = no_memory(e);
    json_decref(body);
    if (!ok) {
        chat_request_free(out->request);
        out->request = NULL;
        buf_free(&out->ignored);
    }
    return ok;
}

/* Every result says which call it answers. */
static bool check_results(const json_t *messages, struct err *e)
{
    char place[64];
    const json_t *m;
    size_t i;
    json_array_foreach((json_t *)messages, i, m)
    {
        if (!str_eqc(json_as_str(json_object_get(m, "role")), "tool") ||
            json_is_string(json_object_get(m, "tool_call_id")))
            continue;
        snprintf(place, sizeof place, "messages[%zu].tool_call_id", i);
        return bad_message(e, place, "must be a string: the id of the call that this answers");
    }
    return true;
}

bool openai_read_logprobs(const struct openai_body *b, struct chat_request *r, struct err *e)
{
    if (b->top_logprobs > 0 && !b->logprobs) {
        err_set_at(e, ERR_INPUT, "top_logprobs", "'top_logprobs' needs 'logprobs' to be true");
        return err_kind(e, "unsupported_combination");
    }
    r->want_logprobs = b->logprobs || b->logprobs_count >= 0;
    r->top_logprobs = (int)(b->logprobs_count > 0 ? b->logprobs_count
                            : b->top_logprobs > 0 ? b->top_logprobs
                                                  : 0);
    return true;
}

bool openai_rest_of_chat(struct dialect *d, const json_t *body, struct openai_body *b,
                         struct talk_order *out, unsigned formats, struct err *e)
{
    (void)d;
    struct chat_request *r = out->request;
    r->max_tokens =
        openai_clamp_count(b->max_completion_tokens > 0 ? b->max_completion_tokens : b->max_tokens);
    json_t *messages = functions_read_history(b->messages, e);
    r->messages = messages ? openai_messages(messages, e) : NULL;
    json_decref(messages);
    return r->messages && check_results(b->messages, e) && check_modes(body, e) &&
           openai_read_format(body, formats, r, e) && openai_read_logprobs(b, r, e) &&
           functions_read(body, r, &out->functions, e) && server_tools_read(d, body, r, e) &&
           tools_read(body, r, e) && openai_chat_shape(body, r, e);
}

static bool rest_of_chat(struct dialect *d, const json_t *body, struct openai_body *b,
                         struct talk_order *out, struct err *e)
{
    return openai_rest_of_chat(d, body, b, out, FORMAT_OBJECT | FORMAT_REGEX | FORMAT_NAMED, e);
}

bool openai_read_chat(struct dialect *d, str body, struct talk_order *out, struct err *e)
{
    return openai_read_body(d, body, chat_fields, COUNT(chat_fields), NULL, rest_of_chat, out, e);
}

static bool is_ids(const json_t *v)
{
    return json_is_array(v) && json_array_size(v) > 0 && json_is_integer(json_array_get(v, 0));
}

static bool bad_prompt(struct err *e)
{
    err_set_at(e, ERR_INPUT, "prompt",
               "'prompt' must be a string, an array of strings, an array of token ids or an array "
               "of arrays of token ids");
    return err_kind(e, "invalid_type");
}

static bool read_prompt(const json_t *v, struct chat_request *r, struct chat_prompt *p,
                        struct err *e)
{
    if (json_is_string(v)) {
        p->text = arena_str(&r->arena, json_as_str(v));
        return true;
    }
    if (!is_ids(v))
        return bad_prompt(e);
    p->n_tokens = json_array_size(v);
    int32_t *ids = arena_calloc(&r->arena, p->n_tokens, sizeof *ids);
    if (!ids)
        return no_memory(e);
    for (size_t i = 0; i < p->n_tokens; i++) {
        const json_t *id = json_array_get(v, i);
        if (!json_is_integer(id))
            return bad_prompt(e);
        json_int_t value = json_integer_value(id);
        ids[i] = value < 0 || value > INT32_MAX ? -1 : (int32_t)value; // the model refuses -1
    }
    p->tokens = ids;
    return true;
}

bool openai_read_prompts(const json_t *v, struct chat_request *r, struct err *e)
{
    bool many = json_is_array(v) && !is_ids(v);
    r->n_prompts = many ? json_array_size(v) : 1;
    if (r->n_prompts == 0 || r->n_prompts > PROMPTS_MAX)
        return err_set_at(e, ERR_INPUT, "prompt", "'prompt' must hold 1 to %d prompts",
                          PROMPTS_MAX);
    r->prompts = arena_calloc(&r->arena, r->n_prompts, sizeof *r->prompts);
    if (!r->prompts)
        return no_memory(e);
    for (size_t i = 0; i < r->n_prompts; i++)
        if (!read_prompt(many ? json_array_get(v, i) : v, r, &r->prompts[i], e))
            return false;
    return true;
}

static bool rest_of_completion(struct dialect *d, const json_t *body, struct openai_body *b,
                               struct talk_order *out, struct err *e)
{
    (void)d;
    struct chat_request *r = out->request;
    if (!openai_read_format(body, FORMAT_OBJECT | FORMAT_REGEX, r, e))
        return false;
    if (b->best_of >= 0 && b->best_of != b->n)
        return err_set_at(e, ERR_INPUT, "best_of",
                          "'best_of' other than 'n' is not supported here");
    if (b->max_tokens == 0)
        return err_set_at(e, ERR_INPUT, "max_tokens",
                          "'max_tokens' 0 is not supported here: an answer has at least one token");
    r->max_tokens = b->max_tokens > 0 ? openai_clamp_count(b->max_tokens) : 16;
    out->echo = b->echo;
    if (b->echo && b->logprobs_count >= 0) {
        err_set_at(e, ERR_INPUT, "echo",
                   "'echo' together with 'logprobs' is not supported here: prompts are not scored");
        return err_kind(e, "unsupported_value");
    }

    if (!openai_read_logprobs(b, r, e) || !openai_read_prompts(b->prompt, r, e))
        return false;
    for (size_t i = 0; out->echo && i < r->n_prompts; i++)
        if (r->prompts[i].tokens)
            return err_set_at(e, ERR_INPUT, "echo", "'echo' needs prompts given as text");
    return true;
}

bool openai_read_completion(struct dialect *d, str body, struct talk_order *out, struct err *e)
{
    return openai_read_body(d, body, completion_fields, COUNT(completion_fields), NULL,
                            rest_of_completion, out, e);
}

const struct field_set openai_chat_set = {"openai.chat", chat_fields, COUNT(chat_fields),
                                          "ignored, named in `X-Confab-Ignored`"};

const struct field_set openai_completion_set = {"openai.completions", completion_fields,
                                                COUNT(completion_fields),
                                                "ignored, named in `X-Confab-Ignored`"};
