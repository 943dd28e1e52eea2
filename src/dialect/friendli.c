/* dialect/friendli.c - FriendliAI's routes under their three prefixes, and the small endpoints.
 *
 * Source: the vendor's OpenAPI document of July 2026.  The container's chat and completions share
 * OpenAI's paths, and so OpenAI's answers; its fields are taken there too. */
#include "dialect/friendli.h"
#include "dialect/fields.h"
#include "dialect/messages.h"
#include "dialect/responses.h"

#include "base/mem.h"

#define TEXT_MAX ((size_t)1 << 20)

struct small {
    str model, prompt;
    const json_t *tokens, *messages, *spare;
};

#define AT(member) offsetof(struct small, member)

static const struct field tokenize_fields[] = {
    {"model", FIELD_STR, AT(model)},
    {"prompt", FIELD_STR, AT(prompt), .required = true},
};

static const struct field detokenize_fields[] = {
    {"model", FIELD_STR, AT(model)},
    {"tokens", FIELD_ARRAY, AT(tokens), .required = true},
};

static const struct field render_fields[] = {
    {"model", FIELD_STR, AT(model)},
    {"messages", FIELD_ARRAY, AT(messages), .required = true},
    {"chat_template_kwargs", FIELD_OBJECT, AT(spare)},
    {"reasoning_effort", FIELD_ANY, AT(spare)},
    {"tools", FIELD_ARRAY, AT(spare)},
};

/* One endpoint: its fields, and what it makes of them (the text or the list behind the colon). */
struct endpoint {
    const struct field *fields;
    size_t n_fields;
    const char *key;
    bool (*make)(struct dialect *d, const struct run_model *m, const json_t *body,
                 const struct small *in, struct buf *out, struct err *e);
};

static bool make_tokens(struct dialect *d, const struct run_model *m, const json_t *body,
                        const struct small *in, struct buf *out, struct err *e)
{
    (void)d;
    (void)body;
    if (in->prompt.n > TEXT_MAX)
        return err_set_at(e, ERR_INPUT, "prompt", "'prompt' is longer than %zu bytes", TEXT_MAX);
    struct tok_ids ids;
    struct tok_span span = {in->prompt, true};
    tok_ids_init(&ids, 2 * TEXT_MAX);
    bool ok = tok_encode(m->tok, &span, 1, true, &ids, e);
    buf_char(out, '[');
    for (size_t i = 0; ok && i < ids.n; i++)
        buf_printf(out, "%s%d", i ? "," : "", ids.id[i]);
    buf_char(out, ']');
    tok_ids_free(&ids);
    return ok;
}

static bool make_text(struct dialect *d, const struct run_model *m, const json_t *body,
                      const struct small *in, struct buf *out, struct err *e)
{
    (void)d;
    (void)body;
    struct buf text = BUF_INIT(ANSWER_MAX / 8);
    size_t i, n = json_array_size(in->tokens);
    int32_t *ids = mem_calloc(n, sizeof *ids);
    bool ok = true;
    json_t *v;
    json_array_foreach(in->tokens, i, v)
    {
        json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
        if (id < 0 || id >= tok_n_vocab(m->tok)) {
            ok = err_set_at(e, ERR_INPUT, "tokens", "'tokens[%zu]' is no token of this model", i);
            break;
        }
        ids[i] = (int32_t)id;
    }
    if (ok && !tok_decode(m->tok, ids, n, true, false, &text))
        ok = err_set(e, ERR_LIMIT, "the text is too long");
    json_write_str(out, buf_as_str(&text), JSON_PLAIN);
    mem_free(ids);
    buf_free(&text);
    return ok;
}

static bool make_prompt(struct dialect *d, const struct run_model *m, const json_t *body,
                        const struct small *in, struct buf *out, struct err *e)
{
    struct chat_request *cr = chat_request_new(d->conf.max_request);
    struct jinja_out text;
    jinja_out_init(&text, ANSWER_MAX / 8);
    cr->messages = openai_messages(in->messages, e);
    bool ok = cr->messages && tools_read_list(json_object_get(body, "tools"), cr, e) &&
              openai_chat_shape(body, cr, e) && chat_render(m->tmpl, cr, &text, e);
    json_write_str(out, buf_as_str(&text.text), JSON_PLAIN);
    jinja_out_free(&text);
    chat_request_free(cr);
    return ok;
}

static void serve(struct dialect *d, struct http_req *r, const struct endpoint *p)
{
    struct small in = {0};
    struct err e;
    struct buf out = BUF_INIT(ANSWER_MAX);
    const struct run_model *m = NULL;
    json_t *body = dialect_parse_body(r, &e);
    bool ok = body && fields_read(p->fields, p->n_fields, body, &in, "", NULL, &e);
    if (ok && !(m = runs_find_model(d->conf.runs, in.model))) {
        err_set_at(&e, ERR_NOT_FOUND, "model", "Model '%.*s' does not exist.",
                   STR_ARG(str_sub(in.model, 0, 100)));
        ok = err_kind(&e, "model_not_found");
    }
    buf_printf(&out, "{\"%s\":", p->key);
    ok = ok && p->make(d, m, body, &in, &out, &e);
    buf_char(&out, '}');
    if (ok && out.full)
        ok = err_set(&e, ERR_LIMIT, "the answer is larger than %zu bytes", ANSWER_MAX);
    if (ok)
        http_reply(r, 200, "application/json", buf_as_str(&out));
    else
        dialect_reply(r, friendli_error, &e);
    json_decref(body);
    buf_free(&out);
}

static void serve_tokenize(struct dialect *d, struct http_req *r, str segment)
{
    static const struct endpoint p = {tokenize_fields, COUNT(tokenize_fields), "tokens",
                                      make_tokens};
    (void)segment;
    serve(d, r, &p);
}

static void serve_detokenize(struct dialect *d, struct http_req *r, str segment)
{
    static const struct endpoint p = {detokenize_fields, COUNT(detokenize_fields), "text",
                                      make_text};
    (void)segment;
    serve(d, r, &p);
}

static void serve_render(struct dialect *d, struct http_req *r, str segment)
{
    static const struct endpoint p = {render_fields, COUNT(render_fields), "text", make_prompt};
    (void)segment;
    serve(d, r, &p);
}

static void serve_models(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    struct buf out = BUF_INIT((size_t)1 << 20);
    size_t n = runs_n_models(d->conf.runs);
    buf_c(&out, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        const struct run_model *m = runs_model(d->conf.runs, i);
        buf_c(&out, i ? ",{\"id\":" : "{\"id\":");
        json_write_str(&out, str_c(m->name), JSON_PLAIN);
        buf_c(&out, ",\"object\":\"model\",\"owned_by\":\"confab\",\"name\":");
        json_write_str(&out, str_c(m->name), JSON_PLAIN);
        buf_printf(&out,
                   ",\"created\":%lld,\"context_length\":%d,\"max_completion_tokens\":%d,"
                   "\"functionality\":{\"tool_call\":%s,\"builtin_tool\":false,"
                   "\"parallel_tool_call\":%s,\"structured_output\":false},"
                   "\"pricing\":{\"input\":\"0\",\"output\":\"0\",\"prompt\":\"0\","
                   "\"completion\":\"0\"}}",
                   (long long)m->created_unix, sched_n_ctx(m->sched), sched_n_ctx(m->sched) - 1,
                   chat_takes_tools(m->tmpl) ? "true" : "false",
                   chat_takes_tools(m->tmpl) ? "true" : "false");
    }
    buf_c(&out, "]}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

/* The same in the form that OpenRouter asks of providers. */
static void serve_openrouter(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    struct buf out = BUF_INIT((size_t)1 << 20);
    buf_c(&out, "{\"data\":[");
    for (size_t i = 0; i < runs_n_models(d->conf.runs); i++) {
        const struct run_model *m = runs_model(d->conf.runs, i);
        buf_c(&out, i ? ",{\"id\":" : "{\"id\":");
        json_write_str(&out, str_c(m->name), JSON_PLAIN);
        buf_c(&out, ",\"name\":");
        json_write_str(&out, str_c(m->name), JSON_PLAIN);
        buf_printf(&out,
                   ",\"created\":%lld,\"input_modalities\":[\"text\"],\"output_modalities\":"
                   "[\"text\"],\"context_length\":%d,\"max_output_length\":%d,\"pricing\":{"
                   "\"prompt\":\"0\",\"completion\":\"0\",\"image\":\"0\",\"request\":\"0\"},"
                   "\"supported_sampling_parameters\":[\"temperature\",\"top_p\",\"top_k\","
                   "\"min_p\",\"frequency_penalty\",\"presence_penalty\","
                   "\"repetition_penalty\",\"stop\",\"seed\",\"max_tokens\",\"logit_bias\"]}",
                   (long long)m->created_unix, sched_n_ctx(m->sched), sched_n_ctx(m->sched) - 1);
    }
    buf_c(&out, "]}");
    http_reply(r, 200, "application/json", buf_as_str(&out));
    buf_free(&out);
}

#define CHAT(path, reader)                                                                         \
    {                                                                                              \
        "POST", path, "friendli.chat", &friendli_chat_wire, reader                                 \
    }
#define TOOLS(path)                                                                                \
    {                                                                                              \
        "POST", path, "friendli.tools", &friendli_tools_wire, friendli_read_assisted               \
    }
/* Responses and Messages are OpenAI's and Anthropic's, errors included. */
#define COMMON_ROUTES                                                                              \
    CHAT("/v1/chat/completions", friendli_read_chat),                                              \
        {"POST", "/v1/completions", "friendli.completions", &friendli_completion_wire,             \
         friendli_read_completion},                                                                \
        {"POST", "/v1/tokenize", "friendli.tokenize", .plain = serve_tokenize},                    \
        {"POST", "/v1/detokenize", "friendli.detokenize", .plain = serve_detokenize},              \
        {"POST", "/v1/chat/render", "friendli.render", .plain = serve_render},                     \
        {"POST", "/v1/messages", "anthropic.messages", &anthropic_wire, anthropic_read},           \
        {"POST", "/v1/messages/count_tokens", "anthropic.count", .plain = anthropic_count},        \
        RESPONSES_ROUTES("/v1")

static const struct route serverless_routes[] = {
    COMMON_ROUTES,
    TOOLS("/tools/v1/chat/completions"),
    TOOLS("/beta/chat/completions"),
    {"GET", "/v1/models", "friendli.models", .plain = serve_models},
    {"GET", "/v1/openrouter/models", "friendli.openrouter", .plain = serve_openrouter},
};

static const struct route dedicated_routes[] = {COMMON_ROUTES};

static const struct route tools_routes[] = {TOOLS("/v1/chat/completions")};

static const struct route container_routes[] = {
    {"POST", "/v1/tokenize", "friendli.tokenize", .plain = serve_tokenize},
    {"POST", "/v1/detokenize", "friendli.detokenize", .plain = serve_detokenize},
};

const struct brand friendli_brand = {
    "friendli",   serverless_routes,       COUNT(serverless_routes), friendli_error,
    .under = "/", .prefix = "/serverless", .prefix_only = true};
const struct brand friendli_dedicated_brand = {
    "friendli-dedicated", dedicated_routes,       COUNT(dedicated_routes), friendli_error,
    .under = "/",         .prefix = "/dedicated", .prefix_only = true};
const struct brand friendli_tools_brand = {"friendli-tools",    tools_routes,
                                           COUNT(tools_routes), friendli_error,
                                           .prefix = "/tools",  .prefix_only = true};
const struct brand friendli_container_brand = {"friendli-container", container_routes,
                                               COUNT(container_routes), friendli_error};
