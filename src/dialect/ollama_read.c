/* dialect/ollama_read.c - Ollama's bodies into neutral requests. */
#include "dialect/fields.h"
#include "dialect/format_read.h"
#include "dialect/ollama.h"

struct body {
    str model, prompt, system;
    const json_t *messages, *tools, *options, *think, *format, *keep_alive;
    bool stream, truncate, raw, logprobs;
    int64_t top_logprobs;
};

struct options {
    int64_t num_predict, num_ctx, top_k, seed;
    double temperature, top_p, min_p, typical_p, repeat_penalty;
    double presence_penalty, frequency_penalty;
    const json_t *stop;
};

#define AT(member) offsetof(struct body, member)
#define OF(member) offsetof(struct options, member)
#define MANY       1e15

#define SHARED                                                                                     \
    {"model", FIELD_STR, AT(model), .required = true, .note = "with or without `:latest`"},        \
        {"stream", FIELD_BOOL, AT(stream)}, {"options", FIELD_OBJECT, AT(options)},                \
        {"think", FIELD_ANY, AT(think),                                                            \
         .note = "where the template has a switch; else true is refused"},                         \
        {"format", FIELD_ANY, AT(format)},                                                         \
        {"keep_alive", FIELD_ANY, AT(keep_alive), .note = "0 without a prompt: `unload`"},         \
        {"truncate", FIELD_BOOL, AT(truncate),                                                     \
         .note = "of conversations: earlier turns leave, down to `num_ctx`"},                      \
        {"shift", FIELD_TAKE}, {"logprobs", FIELD_BOOL, AT(logprobs)},                             \
    {                                                                                              \
        "top_logprobs", FIELD_INT, AT(top_logprobs), 0, 20                                         \
    }

static const struct field chat_fields[] = {
    SHARED,
    {"messages", FIELD_ARRAY, AT(messages)},
    {"tools", FIELD_ARRAY, AT(tools)},
};

static const struct field generate_fields[] = {
    SHARED,
    {"prompt", FIELD_STR, AT(prompt)},
    {"system", FIELD_STR, AT(system)},
    {"raw", FIELD_BOOL, AT(raw)},
    {"suffix", FIELD_REFUSE, .note = "fill-in-the-middle is not built yet"},
    {"template", FIELD_REFUSE, .note = "the model's own template is used"},
    {"images", FIELD_REFUSE, .note = "this model takes only text"},
    {"context", FIELD_REFUSE, .note = "send the conversation to /api/chat"},
};

static const struct field option_fields[] = {
    {"num_predict", FIELD_INT, OF(num_predict), -2, MANY, .note = "0 and less: no bound"},
    {"num_ctx", FIELD_INT, OF(num_ctx), 0, MANY},
    {"temperature", FIELD_NUM, OF(temperature), 0, MANY},
    {"top_k", FIELD_INT, OF(top_k), -1, MANY},
    {"top_p", FIELD_NUM, OF(top_p), 0, 1},
    {"min_p", FIELD_NUM, OF(min_p), 0, 1},
    {"typical_p", FIELD_NUM, OF(typical_p), 0, 1},
    {"repeat_penalty", FIELD_NUM, OF(repeat_penalty), 1e-3, 1e3},
    {"presence_penalty", FIELD_NUM, OF(presence_penalty), -2, 2},
    {"frequency_penalty", FIELD_NUM, OF(frequency_penalty), -2, 2},
    {"seed", FIELD_INT, OF(seed)},
    {"stop", FIELD_ANY, OF(stop)},
};

static bool unsupported(struct err *e, const char *field, const char *why)
{
    err_set_at(e, ERR_INPUT, field, "'%s' is not supported here: %s", field, why);
    return err_kind(e, "unsupported_value");
}

const struct run_model *ollama_find_model(struct dialect *d, str name, struct err *e)
{
    const struct run_model *m = name.n ? runs_find_model(d->conf.runs, name) : NULL;
    if (!m && name.n > 7 && str_ends(name, STR(":latest")))
        m = runs_find_model(d->conf.runs, str_sub(name, 0, name.n - 7));
    if (!m)
        err_set_at(e, ERR_NOT_FOUND, "model", "model '%.*s' not found",
                   STR_ARG(str_sub(name, 0, 100)));
    return m;
}

static bool apply_options(const struct body *b, struct talk_order *out, struct err *e)
{
    struct chat_request *r = out->request;
    struct options o = {.num_predict = -1,
                        .top_k = 40,
                        .seed = -1,
                        .temperature = 0.8,
                        .top_p = 0.9,
                        .typical_p = 1,
                        .repeat_penalty = 1};
    if (b->options && !fields_read(option_fields, COUNT(option_fields), b->options, &o, "options.",
                                   &out->ignored, e))
        return false;
    if (o.typical_p != 1)
        return unsupported(e, "options.typical_p", "this sampler is not offered");
    r->max_tokens = o.num_predict <= 0          ? 0
                    : o.num_predict > INT32_MAX ? INT32_MAX
                                                : (int)o.num_predict;
    r->temperature = o.top_p == 0 ? 0 : (float)o.temperature;
    r->top_p = o.top_p == 0 ? 1 : (float)o.top_p;
    r->top_k = o.top_k < 0 ? 0 : o.top_k > INT32_MAX ? INT32_MAX : (int)o.top_k;
    r->min_p = (float)o.min_p;
    r->repetition_penalty = (float)o.repeat_penalty;
    r->presence_penalty = (float)o.presence_penalty;
    r->frequency_penalty = (float)o.frequency_penalty;
    r->want_logprobs = b->logprobs || b->top_logprobs > 0;
    r->top_logprobs = (int)b->top_logprobs;
    r->has_seed = o.seed >= 0;
    r->seed = o.seed >= 0 ? (uint64_t)o.seed : 0;
    if (b->truncate && r->messages) // the server's own bound is applied to it
        r->truncate_to = o.num_ctx > 1 ? (size_t)o.num_ctx - 1 : SIZE_MAX;
    return openai_read_stops(o.stop, r, e);
}

/* true, false, or how much: switches that a template may have. */
static bool apply_think(const struct body *b, const struct run_model *m, struct chat_request *r,
                        struct err *e)
{
    static const char *const words[] = {"low", "medium", "high", "max"};
    if (!b->think || json_is_null(b->think))
        return true;
    const char *word = json_string_value(b->think);
    bool known = json_is_boolean(b->think);
    for (size_t i = 0; word && i < COUNT(words); i++)
        known = known || strcmp(word, words[i]) == 0;
    if (!known)
        return err_set_at(e, ERR_INPUT, "think",
                          "'think' must be a boolean, or one of low, medium, high, max");
    bool able = chat_template_mentions(m->tmpl, "enable_thinking") ||
                chat_template_mentions(m->tmpl, "reasoning_effort") ||
                chat_template_mentions(m->tmpl, "reasoning_content");
    if (!able && !json_is_false(b->think))
        return err_set_at(e, ERR_INPUT, "think", "'%s' does not support thinking", m->name);
    r->template_args = json_object();
    json_object_set_new(r->template_args, "enable_thinking",
                        json_boolean(!json_is_false(b->think)));
    if (word)
        json_object_set_new(r->template_args, "reasoning_effort", json_string(word));
    return true;
}

/* "json" or a schema. */
static bool read_format(const struct body *b, struct chat_request *r, struct err *e)
{
    if (!b->format || (fields_is_neutral(b->format) && !json_is_object(b->format)))
        return true;
    if (json_is_object(b->format))
        return format_set_schema(b->format, "format", r, e);
    if (!str_eqc(json_as_str(b->format), "json"))
        return unsupported(e, "format", "it is \"json\" or a JSON Schema");
    r->format = CHAT_FORMAT_JSON;
    r->format_place = "format";
    return true;
}

/* Roles in lower case, thinking under the templates' name; images are refused. */
static json_t *own_messages(const json_t *messages, struct err *e)
{
    json_t *copy = json_deep_copy(messages), *m, *out = NULL;
    char place[64];
    size_t i;
    json_array_foreach(copy, i, m)
    {
        const char *role = json_string_value(json_object_get(m, "role"));
        char lower[16] = "";
        for (size_t k = 0; role && role[k] && k + 1 < sizeof lower; k++)
            lower[k] = role[k] >= 'A' && role[k] <= 'Z' ? (char)(role[k] + 32) : role[k];
        if (role)
            json_object_set_new(m, "role", json_string(lower));
        if (json_array_size(json_object_get(m, "images")) > 0) {
            snprintf(place, sizeof place, "messages[%zu].images", i);
            unsupported(e, place, "this model takes only text");
            goto done;
        }
        json_t *thinking = json_object_get(m, "thinking");
        if (json_is_string(thinking) && json_string_length(thinking) > 0)
            json_object_set(m, "reasoning_content", thinking);
        json_object_del(m, "thinking");
        json_t *tool = json_object_get(m, "tool_name");
        if (json_is_string(tool))
            json_object_set(m, "name", tool);
        json_object_del(m, "tool_name");
        json_object_del(m, "images");
    }
    out = openai_messages(copy, e);
done:
    json_decref(copy);
    return out;
}

/* A request without a prompt loads or unloads: our models are always there, which the reply that
 * takes the answer's place says. */
static bool say_loaded(const struct body *b, const struct run_model *m, bool chat,
                       struct talk_order *out, struct err *e)
{
    bool unload = json_is_number(b->keep_alive) && json_number_value(b->keep_alive) == 0;
    buf_init(&out->fault, ERROR_MAX);
    ollama_write_loaded(m->name, chat, unload ? "unload" : "load", &out->fault);
    out->fault_status = 200;
    err_set(e, ERR_INPUT, "nothing was asked");
    return false;
}

static bool chat_prompt(const struct body *b, const struct run_model *m, struct talk_order *out,
                        struct err *e)
{
    struct chat_request *r = out->request;
    if (json_array_size(b->messages) == 0)
        return say_loaded(b, m, true, out, e);
    r->messages = own_messages(b->messages, e);
    if (!r->messages)
        return false;
    r->add_generation_prompt = true;
    return tools_read_list(b->tools, r, e);
}

static bool generate_prompt(const struct body *b, const struct run_model *m, struct talk_order *out,
                            struct err *e)
{
    struct chat_request *r = out->request;
    if (b->prompt.n == 0)
        return say_loaded(b, m, false, out, e);
    if (b->raw && b->system.n)
        return err_set_at(e, ERR_INPUT, "raw",
                          "raw mode does not support template, system, or context");
    if (b->raw) {
        r->prompts = arena_calloc(&r->arena, 1, sizeof *r->prompts);
        if (!r->prompts)
            return err_set(e, ERR_LIMIT, "the request needs more memory than one may have");
        r->prompts[0] =
            (struct chat_prompt){.text = arena_str(&r->arena, b->prompt), .special = true};
        r->n_prompts = 1;
        return true;
    }
    r->messages = json_array();
    if (b->system.n)
        json_array_append_new(r->messages, json_pack("{s:s,s:o}", "role", "system", "content",
                                                     json_from_str(b->system)));
    json_array_append_new(
        r->messages, json_pack("{s:s,s:o}", "role", "user", "content", json_from_str(b->prompt)));
    r->add_generation_prompt = true;
    return true;
}

static bool read_body(struct dialect *d, struct http_req *req, const struct field *fields, size_t n,
                      bool (*prompt)(const struct body *b, const struct run_model *m,
                                     struct talk_order *out, struct err *e),
                      struct talk_order *out, struct err *e)
{
    struct body b = {.stream = true, .truncate = true};
    *out = (struct talk_order){0};
    json_t *body = dialect_parse_body(req, e);
    if (!body)
        return false;
    buf_init(&out->ignored, 1024);
    struct chat_request *r = out->request = chat_request_new(d->conf.max_request);
    const struct run_model *m = NULL;
    bool ok = fields_read(fields, n, body, &b, "", &out->ignored, e) &&
              (m = ollama_find_model(d, b.model, e)) && read_format(&b, r, e) &&
              prompt(&b, m, out, e) && apply_options(&b, out, e) && apply_think(&b, m, r, e);
    if (ok) {
        r->model = arena_str(&r->arena, str_c(m->name));
        r->n_choices = 1;
        out->stream = b.stream;
        if (r->arena.full)
            ok = err_set(e, ERR_LIMIT, "the request needs more memory than one may have");
    }
    json_decref(body);
    if (!ok) {
        chat_request_free(r);
        out->request = NULL;
        buf_free(&out->ignored);
    }
    return ok;
}

bool ollama_read_chat(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    return read_body(d, r, chat_fields, COUNT(chat_fields), chat_prompt, out, e);
}

bool ollama_read_generate(struct dialect *d, struct http_req *r, struct talk_order *out,
                          struct err *e)
{
    return read_body(d, r, generate_fields, COUNT(generate_fields), generate_prompt, out, e);
}

const struct field_set ollama_chat_set = {"ollama.chat", chat_fields, COUNT(chat_fields),
                                          "ignored, named in `X-Confab-Ignored`"};

const struct field_set ollama_generate_set = {"ollama.generate", generate_fields,
                                              COUNT(generate_fields),
                                              "ignored, named in `X-Confab-Ignored`"};

const struct field_set ollama_options_set = {"ollama.options", option_fields, COUNT(option_fields),
                                             "ignored, named in `X-Confab-Ignored`"};
