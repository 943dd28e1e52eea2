/* gram/schema_refs.c - references between schemas, and the forms of keywords. */
#include "gram/schema_int.h"

#include <stdarg.h>

static void put_token(struct buf *out, const char *key)
{
    buf_char(out, '/');
    for (; *key; key++) {
        if (*key == '~')
            buf_c(out, "~0");
        else if (*key == '/')
            buf_c(out, "~1");
        else
            buf_char(out, *key);
    }
}

bool schema_pointer(const json_t *root, const json_t *part, struct buf *out)
{
    size_t n = out->n, i;
    const char *key;
    json_t *v;
    if (root == part)
        return true;
    json_object_foreach((json_t *)(uintptr_t)root, key, v)
    {
        put_token(out, key);
        if (schema_pointer(v, part, out))
            return true;
        out->n = n;
    }
    json_array_foreach(root, i, v)
    {
        buf_printf(out, "/%zu", i);
        if (schema_pointer(v, part, out))
            return true;
        out->n = n;
    }
    return false;
}

const struct gram_node *schema_bad(struct schemas *x, const json_t *schema, const char *keyword,
                                   const char *fmt, ...)
{
    struct buf where = BUF_INIT(1 << 16);
    char msg[400];
    va_list ap;
    if (x->b->failed)
        return node_fail(x->b);
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    if (!schema_pointer(x->root, schema, &where)) // one that stands for others
        buf_clear(&where);
    if (keyword)
        put_token(&where, keyword);
    build_fail(x->b, ERR_INPUT, buf_cstr(&where), "%s%s%s", keyword ? keyword : "",
               keyword ? ": " : "", msg);
    buf_free(&where);
    return node_fail(x->b);
}

/* The step that a token of a pointer names. */
static const json_t *step(const json_t *v, str token)
{
    struct buf key = BUF_INIT(4096);
    const json_t *to = NULL;
    uint64_t index;
    if (json_is_array(v))
        return str_to_u64(token, &index) ? json_array_get(v, (size_t)index) : NULL;
    for (size_t i = 0; i < token.n; i++) {
        unsigned byte;
        char hex[3] = {0};
        if (token.p[i] == '~' && i + 1 < token.n) {
            buf_char(&key, token.p[++i] == '1' ? '/' : '~');
        } else if (token.p[i] == '%' && i + 2 < token.n) {
            memcpy(hex, token.p + i + 1, 2);
            if (sscanf(hex, "%2x", &byte) == 1)
                buf_char(&key, (char)byte);
            i += 2;
        } else {
            buf_char(&key, token.p[i]);
        }
    }
    to = json_object_get(v, buf_cstr(&key));
    buf_free(&key);
    return to;
}

/* The schema whose keyword ($id, $anchor) has this value. */
static const json_t *find_named(const json_t *v, const char *keyword, str name)
{
    const char *key;
    json_t *part;
    const json_t *found = NULL;
    size_t i;
    if (str_eq(json_as_str(json_object_get(v, keyword)), name) && name.n)
        return v;
    json_object_foreach((json_t *)(uintptr_t)v, key, part)
    {
        if (!found && strcmp(key, "enum") != 0 && strcmp(key, "const") != 0)
            found = find_named(part, keyword, name);
    }
    json_array_foreach(v, i, part)
    {
        if (!found)
            found = find_named(part, keyword, name);
    }
    return found;
}

const json_t *ref_target(const json_t *root, str ref)
{
    ptrdiff_t hash = str_chr(ref, '#');
    str base = hash < 0 ? ref : str_sub(ref, 0, (size_t)hash);
    str fragment = hash < 0 ? (str){NULL, 0} : str_from(ref, (size_t)hash + 1);
    const json_t *at = root;
    if (base.n)
        at = find_named(root, "$id", base);
    if (!at || !fragment.n)
        return at;
    if (fragment.p[0] != '/') {
        const json_t *named = find_named(at, "$anchor", fragment);
        return named ? named : find_named(at, "$id", str_n(fragment.p - 1, fragment.n + 1));
    }
    str rest = str_from(fragment, 1), token;
    while (at && str_cut(&rest, '/', &token))
        at = step(at, token);
    return at;
}

const json_t *schema_ref(struct schemas *x, const json_t *schema, const char *keyword)
{
    str ref = json_as_str(json_object_get(schema, keyword));
    const json_t *to = ref_target(x->root, ref);
    if (!to)
        schema_bad(x, schema, keyword, "'%.*s' leads nowhere; references work inside the schema",
                   STR_ARG(ref));
    else if (!json_is_object(to) && !json_is_boolean(to))
        schema_bad(x, schema, keyword, "'%.*s' is no schema", STR_ARG(ref));
    return x->b->failed ? NULL : to;
}

enum form {
    SCHEMA,
    SCHEMAS,
    MAP,
    LIST,
    NAMES,
    TEXT,
    NUMBER,
    NATURAL,
    BOOLEAN,
    TYPES,
    DEPENDS,
    ANY,
    REFUSED,
    ITEMS,
    BOUND
};

static const struct {
    const char *keyword;
    enum form form;
} forms[] = {
    {"$ref", TEXT},
    {"$dynamicRef", REFUSED},
    {"$recursiveRef", REFUSED},
    {"type", TYPES},
    {"enum", LIST},
    {"allOf", SCHEMAS},
    {"anyOf", SCHEMAS},
    {"oneOf", SCHEMAS},
    {"not", SCHEMA},
    {"if", SCHEMA},
    {"then", SCHEMA},
    {"else", SCHEMA},
    {"properties", MAP},
    {"patternProperties", MAP},
    {"additionalProperties", SCHEMA},
    {"unevaluatedProperties", SCHEMA},
    {"propertyNames", SCHEMA},
    {"dependentSchemas", MAP},
    {"dependentRequired", DEPENDS},
    {"dependencies", DEPENDS},
    {"required", NAMES},
    {"minProperties", NATURAL},
    {"maxProperties", NATURAL},
    {"items", ITEMS},
    {"prefixItems", SCHEMAS},
    {"additionalItems", SCHEMA},
    {"unevaluatedItems", SCHEMA},
    {"contains", SCHEMA},
    {"minContains", NATURAL},
    {"maxContains", NATURAL},
    {"minItems", NATURAL},
    {"maxItems", NATURAL},
    {"uniqueItems", BOOLEAN},
    {"pattern", TEXT},
    {"format", TEXT},
    {"minLength", NATURAL},
    {"maxLength", NATURAL},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"exclusiveMinimum", BOUND},
    {"exclusiveMaximum", BOUND},
    {"multipleOf", NUMBER},
};

static bool is_schema(const json_t *v)
{
    return json_is_object(v) || json_is_boolean(v);
}

static bool all_schemas(const json_t *v, bool some)
{
    const char *key;
    json_t *part;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)v, key, part) if (!is_schema(part)) return false;
    json_array_foreach(v, i, part) if (!is_schema(part)) return false;
    return !some || json_array_size(v) > 0;
}

static bool all_strings(const json_t *v)
{
    size_t i;
    json_t *part;
    json_array_foreach(v, i, part) if (!json_is_string(part)) return false;
    return json_is_array(v);
}

static bool is_natural(const json_t *v)
{
    if (json_is_real(v))
        return json_real_value(v) >= 0 && json_real_value(v) < 2e9 &&
               json_real_value(v) == (double)(long long)json_real_value(v);
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

static const char *form_wrong(enum form f, const json_t *v)
{
    const char *key;
    json_t *part;
    switch (f) {
    case SCHEMA: return is_schema(v) ? NULL : "must be a schema";
    case SCHEMAS:
        return json_is_array(v) && all_schemas(v, true) ? NULL : "must be a list of schemas";
    case ITEMS:
        return is_schema(v) || (json_is_array(v) && all_schemas(v, false)) ? NULL
                                                                           : "must be a schema";
    case MAP:
        return json_is_object(v) && all_schemas(v, false) ? NULL : "must be an object of schemas";
    case LIST: return json_array_size(v) ? NULL : "must be a list of values";
    case NAMES: return all_strings(v) ? NULL : "must be a list of names";
    case TEXT: return json_is_string(v) ? NULL : "must be a string";
    case NUMBER: return json_is_number(v) ? NULL : "must be a number";
    case BOUND: return json_is_number(v) || json_is_boolean(v) ? NULL : "must be a number";
    case NATURAL: return is_natural(v) ? NULL : "must be a whole number from 0";
    case BOOLEAN: return json_is_boolean(v) ? NULL : "must be true or false";
    case TYPES: return schema_types(v) ? NULL : "must be a type, or a list of types";
    case DEPENDS:
        if (!json_is_object(v))
            return "must be an object";
        json_object_foreach((json_t *)(uintptr_t)v, key, part)
        {
            if (!all_strings(part) && !is_schema(part))
                return "must hold lists of names";
        }
        return NULL;
    case REFUSED: return "is not supported";
    case ANY: break;
    }
    return NULL;
}

bool schema_check(struct schemas *x, const json_t *schema)
{
    for (size_t i = 0; i < COUNT(forms); i++) {
        const json_t *v = json_object_get(schema, forms[i].keyword);
        const char *wrong = v ? form_wrong(forms[i].form, v) : NULL;
        if (wrong)
            schema_bad(x, schema, forms[i].keyword, "%s", wrong);
    }
    return !x->b->failed;
}

int schema_count(struct schemas *x, const struct set *s, const char *keyword, bool least,
                 const json_t **whose)
{
    int found = -1;
    (void)x;
    for (size_t i = 0; i < s->n; i++) {
        const json_t *v = json_object_get(s->m[i].schema, keyword);
        if (!v)
            continue;
        double d = json_number_value(v);
        int n = d > 1e9 ? 1000000000 : (int)d;
        if (found < 0 || (least ? n > found : n < found)) {
            found = n;
            if (whose)
                *whose = s->m[i].schema;
        }
    }
    return found;
}
