/* dialect/messages_error.c - errors of the messages wire: one body that both brands' clients read.
 * `detail` is what Zylon's clients look at, the rest is Anthropic's. */
#include "dialect/messages.h"

struct shape {
    int status;
    const char *type, *code; // code: NULL: the type in capitals
};

static const struct shape by_code[] = {
    [ERR_NONE] = {500, "api_error", NULL},
    [ERR_INPUT] = {400, "invalid_request_error", NULL},
    [ERR_NOT_FOUND] = {404, "not_found_error", NULL},
    [ERR_DENIED] = {403, "permission_error", NULL},
    [ERR_LIMIT] = {413, "request_too_large", "REQUEST_TOO_LARGE_ERROR"},
    [ERR_BUSY] = {529, "overloaded_error", NULL},
    [ERR_TIMEOUT] = {504, "timeout_error", "API_ERROR"},
    [ERR_CANCELED] = {400, "invalid_request_error", NULL}, // not 5xx: clients would try again
    [ERR_FORMAT] = {500, "api_error", NULL},
    [ERR_IO] = {500, "api_error", NULL},
    [ERR_INTERNAL] = {500, "api_error", NULL},
};

/* Reasons with a shape of their own, and what they are called in a list of body errors. */
static const struct {
    const char *kind;
    struct shape zylon, anthropic; // status 0: as by_code
    const char *body;              // NULL: no error of the body
} by_kind[] = {
    {"context_length_exceeded",
     {413, "request_too_large", "REQUEST_TOO_LARGE_ERROR"},
     {400, "invalid_request_error", NULL},
     NULL},
    {"authentication_error",
     {401, "authentication_error", NULL},
     {401, "authentication_error", NULL},
     NULL},
    {"invalid_api_key",
     {401, "authentication_error", NULL},
     {401, "authentication_error", NULL},
     NULL},
    {"rate_limit_exceeded", {429, "rate_limit_error", NULL}, {429, "rate_limit_error", NULL}, NULL},
    {"method_not_allowed",
     {405, "invalid_request_error", NULL},
     {405, "invalid_request_error", NULL},
     NULL},
    {"unsupported_media_type",
     {415, "invalid_request_error", NULL},
     {415, "invalid_request_error", NULL},
     NULL},
    {"request_too_large",
     {413, "request_too_large", "REQUEST_TOO_LARGE_ERROR"},
     {413, "request_too_large", "REQUEST_TOO_LARGE_ERROR"},
     NULL},
    {"mcp_failed",
     {400, "invalid_request_error", "INVALID_REQUEST_INVALID_MCP_ERROR"},
     {400, "invalid_request_error", NULL},
     NULL},
    {"mcp_unknown",
     {400, "invalid_request_error", "INVALID_REQUEST_INVALID_MCP_ERROR"},
     {400, "invalid_request_error", NULL},
     NULL},
    {"mcp_denied",
     {403, "permission_error", "PERMISSION_MCP_AUTH_ERROR"},
     {403, "permission_error", NULL},
     NULL},
    {"missing_required_parameter", {0}, {0}, "missing"},
    {"invalid_type", {0}, {0}, "type_error"},
    {"unsupported_value", {0}, {0}, "value_error"},
    {"invalid_value", {0}, {0}, "value_error"},
    {"out_of_range", {0}, {0}, "value_error"},
    {"json_invalid", {0}, {0}, "json_invalid"},
};

static void write_code(const struct shape *s, const char *kind, struct buf *out)
{
    if (strncmp(kind, "INVALID_REQUEST_", 16) == 0) { // the reader chose it
        buf_printf(out, "\"%s\"", kind);
        return;
    }
    buf_char(out, '"');
    for (const char *p = s->code ? s->code : s->type; *p; p++)
        buf_char(out, *p >= 'a' && *p <= 'z' ? (char)(*p - 'a' + 'A') : *p);
    buf_char(out, '"');
}

/* "messages[0].content" as "messages",0,"content" behind "body". */
static void write_place(const char *where, struct buf *out)
{
    buf_c(out, "[\"body\"");
    for (const char *p = where; *p;) {
        size_t n = strcspn(p, ".[]");
        bool index = p > where && p[-1] == '[';
        if (n && index && strspn(p, "0123456789") >= n)
            buf_printf(out, ",%.*s", (int)n, p);
        else if (n) {
            buf_char(out, ',');
            json_write_str(out, str_n(p, n), JSON_PLAIN);
        }
        p += n;
        p += *p != '\0';
    }
    buf_c(out, "]");
}

/* A string, or for errors of the body a list with their place. */
static void write_explanation(const struct err *e, const char *body, struct buf *out)
{
    if (!body) {
        json_write_str(out, str_c(e->msg), JSON_PLAIN);
        return;
    }
    buf_printf(out, "[{\"type\":\"%s\",\"loc\":", body);
    write_place(e->where, out);
    buf_c(out, ",\"msg\":");
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_c(out, "}]");
}

static int write_error(const struct err *e, bool zylon, const char *request_id, struct buf *out)
{
    const struct shape *s = &by_code[e->code];
    const char *body = NULL;
    for (size_t i = 0; i < COUNT(by_kind); i++)
        if (strcmp(e->kind, by_kind[i].kind) == 0) {
            const struct shape *own = zylon ? &by_kind[i].zylon : &by_kind[i].anthropic;
            // A queue that is full is no limit of the client's.
            if (own->status && !(e->code == ERR_BUSY && own->status != 429))
                s = own;
            body = e->code == ERR_INPUT ? by_kind[i].body : NULL;
        }
    buf_c(out, "{\"type\":\"error\",\"error\":{\"type\":");
    json_write_str(out, str_c(s->type), JSON_PLAIN);
    buf_c(out, ",\"message\":");
    json_write_str(out, str_c(e->msg), JSON_PLAIN);
    buf_c(out, ",\"detail\":{\"code\":");
    write_code(s, e->kind, out);
    buf_c(out, ",\"explanation\":");
    write_explanation(e, body, out);
    buf_c(out, "}},\"request_id\":");
    if (request_id && request_id[0])
        json_write_str(out, str_c(request_id), JSON_PLAIN);
    else
        buf_c(out, "null");
    buf_c(out, ",\"detail\":");
    write_explanation(e, body, out);
    buf_c(out, "}");
    return s->status;
}

int anthropic_error(const struct err *e, const char *request_id, struct buf *out)
{
    return write_error(e, false, request_id, out);
}

int zylon_error(const struct err *e, const char *request_id, struct buf *out)
{
    return write_error(e, true, request_id, out);
}
