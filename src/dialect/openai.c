/* dialect/openai.c - OpenAI's routes. */
#include "dialect/responses.h"

static bool read_chat(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    return openai_read_chat(d, http_body(r), out, e);
}

static bool read_completion(struct dialect *d, struct http_req *r, struct talk_order *out,
                            struct err *e)
{
    return openai_read_completion(d, http_body(r), out, e);
}

static void serve_count(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    openai_count(d, r, read_chat);
}

static void refuse_delete(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    dialect_reply_error(d, r, 403, "permission_error", "models cannot be deleted over HTTP");
}

static const struct route routes[] = {
    {"POST", "/v1/chat/completions", "openai.chat", &openai_chat_wire, read_chat},
    {"POST", "/chat/completions", "openai.chat", &openai_chat_wire, read_chat},
    {"POST", "/v1/chat/completions/input_tokens", "openai.count", .plain = serve_count},
    {"POST", "/v1/completions", "openai.completions", &openai_completion_wire, read_completion},
    {"POST", "/completions", "openai.completions", &openai_completion_wire, read_completion},
    RESPONSES_ROUTES("/v1"),
    RESPONSES_ROUTES(""),
    {"GET", "/v1/models", "openai.models", .plain = models_list},
    {"GET", "/models", "openai.models", .plain = models_list},
    {"GET", "/v1/models/{*}", "openai.model", .plain = models_show},
    {"DELETE", "/v1/models/{*}", "openai.model", .plain = refuse_delete},
};

const struct brand openai_brand = {"openai", routes, COUNT(routes), openai_error};
