/* dialect/call_check.c - see call_check.h. */
#include "dialect/call_check.h"

#include <math.h>

#define DEPTH_MAX 64
#define PATH_MAX_ 96

/* Where in the arguments: "a.b[2]". */
struct place {
    char path[PATH_MAX_];
    int depth;
};

static bool check(const json_t *schema, const json_t *v, struct place at, struct err *e);

static bool bad(const struct place *at, struct err *e, const char *what)
{
    return err_set(e, ERR_INPUT, "%s %s", at->path[0] ? at->path : "the arguments", what);
}

static struct place below(const struct place *at, const char *key, size_t index)
{
    struct place p = {.depth = at->depth + 1};
    if (key)
        snprintf(p.path, sizeof p.path, "%s%s%s", at->path, at->path[0] ? "." : "", key);
    else
        snprintf(p.path, sizeof p.path, "%s[%zu]", at->path, index);
    return p;
}

static bool is_whole(const json_t *v)
{
    return json_is_integer(v) ||
           (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
}

static bool has_type(const json_t *v, const char *type)
{
    static const struct {
        const char *name;
        json_type type;
    } plain[] = {{"object", JSON_OBJECT},
                 {"array", JSON_ARRAY},
                 {"string", JSON_STRING},
                 {"null", JSON_NULL}};
    if (strcmp(type, "boolean") == 0)
        return json_is_boolean(v);
    if (strcmp(type, "number") == 0)
        return json_is_number(v);
    if (strcmp(type, "integer") == 0)
        return is_whole(v);
    for (size_t i = 0; i < COUNT(plain); i++)
        if (strcmp(type, plain[i].name) == 0)
            return json_typeof(v) == plain[i].type;
    return true; // a type that nobody knows bounds nothing
}

static bool check_type(const json_t *schema, const json_t *v, const struct place *at, struct err *e)
{
    const json_t *type = json_object_get(schema, "type"), *one;
    char what[64];
    size_t i;
    if (json_is_string(type)) {
        const char *name = json_string_value(type);
        snprintf(what, sizeof what, "is not %s %.40s", strchr("aio", name[0]) ? "an" : "a", name);
        return has_type(v, name) || bad(at, e, what);
    }
    bool any = json_array_size(type) == 0;
    json_array_foreach((json_t *)type, i, one) any |=
        !json_is_string(one) || has_type(v, json_string_value(one));
    return any || bad(at, e, "has none of the types that it may have");
}

static bool check_values(const json_t *schema, const json_t *v, const struct place *at,
                         struct err *e)
{
    const json_t *list = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
    bool found = json_array_size(list) == 0;
    size_t i;
    if (one && !json_equal((json_t *)one, (json_t *)v))
        return bad(at, e, "is not the value that it must be");
    json_array_foreach((json_t *)list, i, one) found |= json_equal((json_t *)one, (json_t *)v);
    return found || bad(at, e, "is none of the values that it may be");
}

/* Numbers, and the lengths of texts and arrays. */
static bool check_bounds(const json_t *schema, const json_t *v, const struct place *at,
                         struct err *e)
{
    const char *least = "minimum", *most = "maximum";
    double size = json_number_value(v);
    if (json_is_string(v)) {
        size = 0;
        for (str text = json_as_str(v); text.n > 0; text = str_from(text, 1))
            size += ((unsigned char)text.p[0] & 0xc0) != 0x80;
        least = "minLength";
        most = "maxLength";
    } else if (json_is_array(v)) {
        size = (double)json_array_size(v);
        least = "minItems";
        most = "maxItems";
    } else if (!json_is_number(v)) {
        return true;
    }
    const json_t *min = json_object_get(schema, least), *max = json_object_get(schema, most);
    if (json_is_number(min) && size < json_number_value(min))
        return bad(at, e, "is less than it may be");
    return !json_is_number(max) || size <= json_number_value(max) ||
           bad(at, e, "is more than it may be");
}

static bool check_members(const json_t *schema, const json_t *v, const struct place *at,
                          struct err *e)
{
    const json_t *properties = json_object_get(schema, "properties"), *name;
    const json_t *others = json_object_get(schema, "additionalProperties");
    const char *key;
    json_t *member;
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, name)
    {
        if (json_is_string(name) && !json_object_get(v, json_string_value(name))) {
            struct place p = below(at, json_string_value(name), 0);
            return bad(&p, e, "is missing");
        }
    }
    json_object_foreach((json_t *)v, key, member)
    {
        const json_t *own = json_object_get(properties, key);
        struct place p = below(at, key, 0);
        if (!own && json_is_false(others))
            return bad(&p, e, "is no parameter of the tool");
        if (!check(own ? own : others, member, p, e))
            return false;
    }
    return true;
}

static bool check(const json_t *schema, const json_t *v, struct place at, struct err *e)
{
    json_t *item;
    size_t i;
    if (!json_is_object(schema))
        return true;
    if (at.depth > DEPTH_MAX)
        return bad(&at, e, "is nested too deeply");
    if (!check_type(schema, v, &at, e) || !check_values(schema, v, &at, e) ||
        !check_bounds(schema, v, &at, e))
        return false;
    json_array_foreach((json_t *)v, i, item) if (!check(json_object_get(schema, "items"), item,
                                                        below(&at, NULL, i), e)) return false;
    return !json_is_object(v) || check_members(schema, v, &at, e);
}

bool call_check(const json_t *tools, str name, const json_t *arguments, struct err *e)
{
    const json_t *tool;
    size_t i;
    json_array_foreach((json_t *)tools, i, tool)
    {
        const json_t *function = json_object_get(tool, "function");
        if (!str_eq(json_as_str(json_object_get(function, "name")), name))
            continue;
        const json_t *parameters = json_object_get(function, "parameters");
        if (!arguments || check(parameters, arguments, (struct place){.depth = 0}, e))
            return true;
        return err_set(e, ERR_INPUT, "%.*s: %s", STR_ARG(str_sub(name, 0, 80)), e->msg);
    }
    return err_set(e, ERR_INPUT, "%.*s: there is no tool of this name",
                   STR_ARG(str_sub(name, 0, 80)));
}
