/* tools/mcp_message.c - see mcp_message.h. */
#include "tools/mcp_message.h"

#define BATCH_MAX 1000
#define CUT       "\n[cut: the result is longer]"

bool mcp_message_read(const json_t *v, struct mcp_message *out, struct err *e)
{
    struct mcp_message m = {.id = -1};
    const json_t *id = json_object_get(v, "id"), *method = json_object_get(v, "method");
    const json_t *result = json_object_get(v, "result"), *error = json_object_get(v, "error");
    if (!json_is_object(v) || !str_eqc(json_as_str(json_object_get(v, "jsonrpc")), "2.0"))
        return err_set(e, ERR_INPUT, "no JSON-RPC 2.0 message");
    if (json_is_string(method)) {
        m.method = json_as_str(method);
        m.body = json_object_get(v, "params");
        m.their_id = json_is_string(id) || json_is_number(id) ? id : NULL;
        m.kind = m.their_id ? MCP_REQUEST : MCP_NOTIFICATION;
    } else if (json_is_object(error)) {
        m.kind = MCP_ERROR;
        m.body = error;
        m.code = json_integer_value(json_object_get(error, "code"));
        m.text = json_as_str(json_object_get(error, "message"));
    } else if (result) {
        m.kind = MCP_RESULT;
        m.body = result;
    } else {
        return err_set(e, ERR_INPUT, "neither a request nor an answer");
    }
    if (m.kind != MCP_REQUEST && json_is_integer(id) && json_integer_value(id) >= 0)
        m.id = json_integer_value(id);
    *out = m;
    return true;
}

bool mcp_messages_read(str text, bool (*take)(const struct mcp_message *m, void *arg), void *arg,
                       struct err *e)
{
    struct mcp_message m;
    json_t *v = json_parse(text, e);
    bool ok = v != NULL;
    if (ok && !json_is_array(v)) {
        ok = mcp_message_read(v, &m, e);
        if (ok)
            take(&m, arg);
    } else if (ok && json_array_size(v) > BATCH_MAX) {
        ok = err_set(e, ERR_LIMIT, "more than %d messages at once", BATCH_MAX);
    } else if (ok) {
        for (size_t i = 0; ok && i < json_array_size(v); i++) {
            ok = mcp_message_read(json_array_get(v, i), &m, e);
            if (ok && !take(&m, arg))
                break;
        }
    }
    json_decref(v);
    return ok;
}

void mcp_append_cut(struct buf *out, str s, size_t max)
{
    if (s.n <= max) {
        buf_str(out, s);
        return;
    }
    size_t n = max > sizeof CUT ? max - sizeof CUT : 0;
    while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
        n--;
    buf_str(out, str_sub(s, 0, n));
    buf_c(out, CUT);
}

static void line(struct buf *out, const char *label, str s)
{
    if (s.n) {
        buf_printf(out, "%s%s", out->n ? "\n" : "", label);
        buf_str(out, s);
    }
}

/* What is no text, in words. */
static void describe(const json_t *block, str type, struct buf *out)
{
    const json_t *r = json_object_get(block, "resource");
    str mime = json_as_str(json_object_get(r ? r : block, "mimeType"));
    if (str_eqc(type, "resource") || str_eqc(type, "resource_link")) {
        const json_t *of = r ? r : block;
        line(out, "resource: ", json_as_str(json_object_get(of, "uri")));
        line(out, "", json_as_str(json_object_get(of, "name")));
        line(out, "", json_as_str(json_object_get(of, "text")));
        return;
    }
    buf_printf(out, "%s[%.*s%s%.*s, %zu bytes as base64: not shown to the model]",
               out->n ? "\n" : "", STR_ARG(str_sub(type, 0, 40)), mime.n ? " " : "",
               STR_ARG(str_sub(mime, 0, 80)), json_string_length(json_object_get(block, "data")));
}

bool mcp_result_read(const json_t *result, size_t max, struct buf *text, struct buf *content,
                     bool *failed, struct err *e)
{
    const json_t *blocks = json_object_get(result, "content"), *block;
    const json_t *structured = json_object_get(result, "structuredContent");
    const json_t *kind = json_object_get(result, "resultType");
    struct buf all = BUF_INIT((size_t)64 << 20);
    bool plain = true;
    size_t i;
    if (!json_is_object(result) || (blocks && !json_is_array(blocks)) || (!blocks && !structured))
        return err_set(e, ERR_INPUT, "the answer is no result of a tool");
    if (json_is_string(kind) && !str_eqc(json_as_str(kind), "complete"))
        return err_set(e, ERR_INPUT, "the tool wants more input, which nobody can give here");
    *failed = json_is_true(json_object_get(result, "isError"));
    json_array_foreach(blocks, i, block)
    {
        str type = json_as_str(json_object_get(block, "type"));
        if (str_eqc(type, "text")) {
            str s = json_as_str(json_object_get(block, "text"));
            if (all.n && s.n)
                buf_char(&all, '\n');
            buf_str(&all, s);
        } else {
            plain = false;
            describe(block, type, &all);
        }
    }
    if (json_array_size(blocks) == 0 && structured)
        json_write(&all, structured, JSON_PLAIN, -1);
    mcp_append_cut(text, buf_as_str(&all), max);
    if (!plain && !json_write(content, blocks, JSON_PLAIN, -1))
        buf_clear(content); // larger than what is handed on: the words stay
    buf_free(&all);
    return true;
}

/* May a value be of this type?  name NULL: is anything said about its type?  Alternatives and parts
 * of a schema count as one. */
static bool may_be(const json_t *schema, const char *name, int depth)
{
    static const char *const groups[] = {"anyOf", "oneOf", "allOf"};
    const json_t *type = json_object_get(schema, "type"), *v;
    size_t i;
    if (json_is_string(type) && (!name || strcmp(json_string_value(type), name) == 0))
        return true;
    json_array_foreach((json_t *)type, i, v)
    {
        if (!name || str_eqc(json_as_str(v), name))
            return true;
    }
    for (size_t k = 0; k < COUNT(groups) && depth > 0; k++)
        json_array_foreach(json_object_get(schema, groups[k]), i, v)
        {
            if (may_be(v, name, depth - 1))
                return true;
        }
    return false;
}

static bool is_type(const json_t *schema, const char *name)
{
    return may_be(schema, name, 4);
}

static json_t *as_type(str text, const json_t *schema)
{
    struct err e;
    if (is_type(schema, "string") || !is_type(schema, NULL))
        return NULL;
    if (is_type(schema, "null") &&
        (text.n == 0 || str_eq_nocase(text, STR("null")) || str_eq_nocase(text, STR("none"))))
        return json_null();
    if (is_type(schema, "boolean") && str_eq_nocase(text, STR("true")))
        return json_true();
    if (is_type(schema, "boolean") && str_eq_nocase(text, STR("false")))
        return json_false();
    json_t *v = json_parse(str_trim(text), &e);
    if ((json_is_integer(v) && (is_type(schema, "integer") || is_type(schema, "number"))) ||
        (json_is_real(v) && is_type(schema, "number")) ||
        (json_is_array(v) && is_type(schema, "array")) ||
        (json_is_object(v) && is_type(schema, "object")))
        return v;
    json_decref(v);
    return NULL;
}

void mcp_coerce(json_t *args, const json_t *schema)
{
    const json_t *properties = json_object_get(schema, "properties");
    const char *name;
    json_t *v;
    void *next;
    json_object_foreach_safe(args, next, name, v)
    {
        const json_t *wanted = json_object_get(properties, name);
        json_t *better = json_is_string(v) && wanted ? as_type(json_as_str(v), wanted) : NULL;
        if (better)
            json_object_set_new(args, name, better);
        if (json_is_null(json_object_get(args, name)))
            json_object_del(args, name);
    }
}
