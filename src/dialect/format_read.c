/* dialect/format_read.c - response_format and its kin.  Source: OpenAI's and FriendliAI's API
 * references. */
#include "dialect/format_read.h"

#include "json/json.h"

#define SOURCE_MAX (1 << 20)

static bool wrong(struct err *e, const char *kind, const char *place, const char *part,
                  const char *what)
{
    char where[96];
    snprintf(where, sizeof where, "%s%s%s", place, *part ? "." : "", part);
    err_set_at(e, ERR_INPUT, where, "'%s' %s", where, what);
    return err_kind(e, kind);
}

static const char *word(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

bool format_is_asked(const json_t *format)
{
    const char *type = word(format, "type");
    return json_is_object(format) && !(type && strcmp(type, "text") == 0);
}

bool format_set_schema(const json_t *schema, const char *place, struct chat_request *r,
                       struct err *e)
{
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return wrong(e, "invalid_type", place, "", "must be a JSON Schema: an object");
    json_decref(r->format_schema);
    r->format = CHAT_FORMAT_SCHEMA;
    r->format_schema = json_incref((json_t *)schema);
    r->format_place = place;
    return true;
}

bool format_set_schema_text(str schema, const char *place, struct chat_request *r, struct err *e)
{
    struct err why;
    json_t *v = json_parse(schema, &why);
    if (!v) {
        err_set_at(e, ERR_INPUT, place, "'%s' is not JSON (%s): %s", place, why.where, why.msg);
        return err_kind(e, "invalid_value");
    }
    bool ok = format_set_schema(v, place, r, e);
    json_decref(v);
    return ok;
}

bool format_set_source(enum chat_format kind, str source, const char *place, struct chat_request *r,
                       struct err *e)
{
    if (source.n > SOURCE_MAX)
        return wrong(e, "invalid_value", place, "", "is too long");
    r->format = kind;
    r->format_source = arena_str(&r->arena, source);
    r->format_place = place;
    if (r->arena.full)
        return err_set(e, ERR_LIMIT, "the request needs more memory than one may have");
    return true;
}

/* Letters, digits, - and _, up to 64. */
static bool name_fits(str name)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i], low = (char)(c | 32);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_')
            return false;
    }
    return name.n >= 1 && name.n <= 64;
}

static bool read_schema(const json_t *format, unsigned kinds, const char *place,
                        struct chat_request *r, struct err *e)
{
    const json_t *wrapper = json_object_get(format, "json_schema");
    const json_t *name = json_object_get(wrapper, "name");
    const json_t *schema = json_object_get(wrapper, "schema");
    if (!wrapper || json_is_null(wrapper))
        return wrong(e, "missing_required_parameter", place, "json_schema", "is required");
    if (!json_is_object(wrapper))
        return wrong(e, "invalid_type", place, "json_schema", "must be an object");
    if (!name && (kinds & FORMAT_NAMED))
        return wrong(e, "missing_required_parameter", place, "json_schema.name", "is required");
    if (name && (kinds & FORMAT_NAMED) && !name_fits(json_as_str(name)))
        return wrong(e, "invalid_value", place, "json_schema.name",
                     "is 1 to 64 letters, digits, - and _");
    if (!schema && (kinds & FORMAT_NAMED)) { // OpenAI's may be left out: any object
        r->format = CHAT_FORMAT_JSON;
        r->format_place = place;
        return true;
    }
    if (!schema)
        return wrong(e, "missing_required_parameter", place, "json_schema.schema", "is required");
    return format_set_schema(schema, "response_format.json_schema.schema", r, e);
}

bool format_read(const json_t *format, unsigned kinds, const char *place, struct chat_request *r,
                 struct err *e)
{
    if (!format || json_is_null(format))
        return true;
    if (!json_is_object(format))
        return wrong(e, "invalid_type", place, "", "must be an object");
    const char *type = word(format, "type");
    if (!type)
        return wrong(e, "missing_required_parameter", place, "type", "is required");
    if (strcmp(type, "text") == 0)
        return true;
    if (strcmp(type, "json_schema") == 0)
        return read_schema(format, kinds, place, r, e);
    const json_t *schema = json_object_get(format, "schema");
    if (strcmp(type, "json_object") == 0 && (kinds & FORMAT_OBJECT)) {
        if ((kinds & FORMAT_LEGACY) && json_is_string(schema))
            return format_set_schema_text(json_as_str(schema), "response_format.schema", r, e);
        if ((kinds & FORMAT_LEGACY) && json_is_object(schema))
            return format_set_schema(schema, "response_format.schema", r, e);
        r->format = CHAT_FORMAT_JSON;
        r->format_place = place;
        return true;
    }
    if (strcmp(type, "regex") == 0 && (kinds & FORMAT_REGEX)) {
        if (!json_is_string(schema))
            return wrong(e, schema ? "invalid_type" : "missing_required_parameter", place, "schema",
                         "must be the pattern, a string");
        return format_set_source(CHAT_FORMAT_REGEX, json_as_str(schema), "response_format.schema",
                                 r, e);
    }
    return wrong(e, "unsupported_value", place, "type",
                 kinds & FORMAT_REGEX    ? "must be text, json_object, json_schema or regex"
                 : kinds & FORMAT_OBJECT ? "must be text, json_object or json_schema"
                                         : "must be text or json_schema");
}
