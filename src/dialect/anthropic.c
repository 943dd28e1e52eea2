/* dialect/anthropic.c - Anthropic's routes, for requests that name an anthropic-version; those
 * without one are Zylon's, which take the same bodies and more. */
#include "dialect/messages.h"

static bool is_ours(const struct http_req *r)
{
    str version;
    return http_header(r, "anthropic-version", &version);
}

bool anthropic_read(struct dialect *d, struct http_req *r, struct talk_order *out, struct err *e)
{
    struct messages_more more;
    if (!messages_order(d, r, &anthropic_manner, false, out, &more, e))
        return false;
    out->late = more.late;
    return true;
}

void anthropic_count(struct dialect *d, struct http_req *r, str segment)
{
    (void)segment;
    messages_count(d, r, &anthropic_manner);
}

static int plain_error(const struct err *e, struct buf *out)
{
    return anthropic_error(e, NULL, out);
}

static const struct route routes[] = {
    {"POST", "/v1/messages", "anthropic.messages", &anthropic_wire, anthropic_read},
    {"POST", "/v1/messages/count_tokens", "anthropic.count", .plain = anthropic_count},
    {"GET", "/v1/models", "anthropic.models", .plain = models_page},
    {"GET", "/v1/models/{*}", "anthropic.model", .plain = models_page_entry},
};

const struct brand anthropic_brand = {
    .name = "anthropic",
    .routes = routes,
    .n_routes = COUNT(routes),
    .error = plain_error,
    .is_ours = is_ours,
    .under = "/v1/messages/",
    .request_id = "request-id",
};
