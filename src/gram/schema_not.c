/* gram/schema_not.c - what a schema refuses, as a schema; and whether two can fit one value.
 *
 * `not`, `if` and dependencies become anyOf and allOf of schemas whose only negations are ones that
 * the automaton can tell: not of values, types, patterns. */
#include "gram/schema_int.h"

#define LOOK_MAX 12 // levels that are looked through

void schema_keep(struct schemas *x, json_t *made)
{
    if (!x->kept)
        x->kept = json_array();
    json_array_append_new(x->kept, made);
}

static bool is_annotation(const char *key)
{
    static const char *const keys[] = {
        "title",        "description", "$comment",  "default",         "examples",
        "$schema",      "$id",         "$anchor",   "$defs",           "definitions",
        "deprecated",   "readOnly",    "writeOnly", "contentEncoding", "contentMediaType",
        "contentSchema"};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

/* {"not": {key: v}}, and of one type where the keyword speaks of that alone. */
static json_t *plain_not(const char *key, json_t *v, const char *type)
{
    json_t *n = json_pack("{s:{s:O}}", "not", key, v);
    if (type)
        json_object_set_new(n, "type", json_string(type));
    return n;
}

static json_t *bound(const char *key, json_t *v, const char *type)
{
    json_t *n = json_object();
    json_object_set(n, key, v);
    json_object_set_new(n, "type", json_string(type));
    return n;
}

static json_t *count(const char *key, json_int_t v, const char *type)
{
    return v < 0 ? json_false() : json_pack("{s:I,s:s}", key, v, "type", type);
}

/* The negation of each of a list, together in one keyword. */
static json_t *negate_all(struct schemas *x, const json_t *list, const char *joined, int depth)
{
    json_t *parts = json_array(), *part;
    size_t i;
    json_array_foreach(list, i, part)
    {
        json_t *n = schema_negate(x, part, depth + 1);
        if (!n) {
            json_decref(parts);
            return NULL;
        }
        json_array_append_new(parts, n);
    }
    return json_pack("{s:o}", joined, parts);
}

static json_t *negate_properties(struct schemas *x, const json_t *map, int depth)
{
    json_t *any = json_array(), *part;
    const char *key;
    json_object_foreach((json_t *)(uintptr_t)map, key, part)
    {
        json_t *n = schema_negate(x, part, depth + 1);
        if (!n) {
            json_decref(any);
            return NULL;
        }
        json_array_append_new(any, json_pack("{s:s,s:[s],s:{s:o}}", "type", "object", "required",
                                             key, "properties", key, n));
    }
    return json_array_size(any) ? json_pack("{s:o}", "anyOf", any)
                                : (json_decref(any), json_false());
}

static json_t *negate_required(const json_t *names)
{
    json_t *any = json_array(), *name;
    size_t i;
    json_array_foreach(names, i, name)
        json_array_append_new(any, json_pack("{s:s,s:{s:b}}", "type", "object", "properties",
                                             json_string_value(name), 0));
    return json_array_size(any) ? json_pack("{s:o}", "anyOf", any)
                                : (json_decref(any), json_false());
}

/* Of one keyword; NULL: cannot. */
static json_t *negate_keyword(struct schemas *x, const json_t *schema, const char *key, json_t *v,
                              int depth)
{
    json_int_t n = (json_int_t)json_number_value(v);
    if (!strcmp(key, "$ref")) {
        const json_t *to = ref_target(x->root, json_as_str(v));
        return to ? schema_negate(x, to, depth + 1) : NULL;
    }
    if (!strcmp(key, "type") || !strcmp(key, "const") || !strcmp(key, "enum"))
        return plain_not(key, v, NULL);
    if (!strcmp(key, "pattern"))
        return plain_not(key, v, "string");
    if (!strcmp(key, "not"))
        return json_incref(v);
    if (!strcmp(key, "anyOf"))
        return negate_all(x, v, "allOf", depth);
    if (!strcmp(key, "allOf"))
        return negate_all(x, v, "anyOf", depth);
    if (!strcmp(key, "properties"))
        return negate_properties(x, v, depth);
    if (!strcmp(key, "required"))
        return negate_required(v);
    if (!strcmp(key, "minLength"))
        return count("maxLength", n - 1, "string");
    if (!strcmp(key, "maxLength"))
        return count("minLength", n + 1, "string");
    if (!strcmp(key, "minItems"))
        return count("maxItems", n - 1, "array");
    if (!strcmp(key, "maxItems"))
        return count("minItems", n + 1, "array");
    if (!strcmp(key, "minimum") && !json_object_get(schema, "exclusiveMinimum"))
        return bound("exclusiveMaximum", v, "number");
    if (!strcmp(key, "maximum") && !json_object_get(schema, "exclusiveMaximum"))
        return bound("exclusiveMinimum", v, "number");
    if (!strcmp(key, "exclusiveMinimum") && json_is_number(v))
        return bound("maximum", v, "number");
    if (!strcmp(key, "exclusiveMaximum") && json_is_number(v))
        return bound("minimum", v, "number");
    return NULL;
}

json_t *schema_negate(struct schemas *x, const json_t *schema, int depth)
{
    const char *key;
    json_t *v;
    if (json_is_boolean(schema))
        return json_is_true(schema) ? json_false() : json_true();
    if (depth > LOOK_MAX || !build_work(x->b, 20))
        return NULL;
    json_t *any = json_array();
    json_object_foreach((json_t *)(uintptr_t)schema, key, v)
    {
        if (is_annotation(key))
            continue;
        json_t *n = negate_keyword(x, schema, key, v, depth);
        if (!n) {
            json_decref(any);
            return NULL;
        }
        json_array_append_new(any, n);
    }
    if (json_array_size(any) == 0) { // nothing is asked, so nothing is refused
        json_decref(any);
        return json_false();
    }
    if (json_array_size(any) == 1) {
        json_t *one = json_incref(json_array_get(any, 0));
        json_decref(any);
        return one;
    }
    return json_pack("{s:o}", "anyOf", any);
}

/* ---- stand-ins ---- */

static bool plain_negation(const json_t *no)
{
    static const char *const keys[] = {"type", "const", "enum", "pattern"};
    for (size_t i = 0; i < COUNT(keys); i++)
        if (json_object_size(no) == 1 && json_object_get(no, keys[i]))
            return true;
    return false;
}

static void stand_for_if(struct schemas *x, const json_t *schema, json_t *out)
{
    json_t *when = json_object_get(schema, "if"), *then = json_object_get(schema, "then");
    json_t *otherwise = json_object_get(schema, "else");
    if (!when || (!then && !otherwise))
        return;
    json_t *unless = schema_negate(x, when, 0);
    if (!unless) {
        schema_bad(x, schema, "if", "it cannot be enforced that this does not apply");
        return;
    }
    json_t *yes = json_pack("{s:[O]}", "allOf", when), *no = json_pack("{s:[o]}", "allOf", unless);
    if (then)
        json_array_append(json_object_get(yes, "allOf"), then);
    if (otherwise)
        json_array_append(json_object_get(no, "allOf"), otherwise);
    json_array_append_new(out, json_pack("{s:[o,o]}", "anyOf", yes, no));
}

static void stand_for_dependencies(const json_t *map, json_t *out)
{
    const char *key;
    json_t *v, *name;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)map, key, v)
    {
        json_t *without = json_pack("{s:{s:b}}", "properties", key, 0);
        json_t *with = json_pack("{s:[s]}", "required", key);
        if (json_is_array(v)) {
            json_array_foreach(v, i, name)
                json_array_append(json_object_get(with, "required"), name);
        } else {
            json_object_set_new(with, "allOf", json_pack("[O]", v));
        }
        json_array_append_new(out, json_pack("{s:[o,o]}", "anyOf", without, with));
    }
}

const json_t *schema_stand_ins(struct schemas *x, const json_t *schema)
{
    static const char *const keys[] = {"not", "if", "dependentRequired", "dependentSchemas",
                                       "dependencies"};
    struct stand_in *s;
    bool any = false;
    for (size_t i = 0; i < COUNT(keys); i++)
        any = any || json_object_get(schema, keys[i]);
    if (!any)
        return NULL;
    HASH_FIND_PTR(x->stand_ins, &schema, s);
    if (s)
        return s->made;
    s = mem_calloc(1, sizeof *s);
    s->of = schema;
    s->made = json_array();
    HASH_ADD_PTR(x->stand_ins, of, s);
    const json_t *no = json_object_get(schema, "not");
    bool has_values = json_object_get(schema, "enum") || json_object_get(schema, "const");
    if (has_values) // each value is tried against the whole
        return s->made;
    if (no && !plain_negation(no)) {
        json_t *n = schema_negate(x, no, 0);
        if (n)
            json_array_append_new(s->made, n);
        else
            schema_bad(x, schema, "not", "this negation cannot be enforced");
    }
    stand_for_if(x, schema, s->made);
    stand_for_dependencies(json_object_get(schema, "dependentRequired"), s->made);
    stand_for_dependencies(json_object_get(schema, "dependentSchemas"), s->made);
    stand_for_dependencies(json_object_get(schema, "dependencies"), s->made);
    return s->made;
}

/* ---- disjoint ---- */

static const json_t *deref(struct schemas *x, const json_t *s)
{
    for (int i = 0; i < LOOK_MAX; i++) {
        const json_t *ref = json_object_get(s, "$ref");
        const json_t *to = ref ? ref_target(x->root, json_as_str(ref)) : NULL;
        if (!to)
            break;
        s = to; // what stands beside the reference only takes values away
    }
    return s;
}

static unsigned types_of(const json_t *s)
{
    const json_t *v = json_object_get(s, "const");
    const json_t *list = json_object_get(s, "enum");
    unsigned types = schema_types(json_object_get(s, "type")), some = 0;
    size_t i;
    json_t *x;
    json_t *one = v ? json_pack("[O]", v) : json_incref((json_t *)(uintptr_t)list);
    if (!one)
        return types;
    json_array_foreach(one, i, x)
    {
        switch (json_typeof(x)) {
        case JSON_NULL: some |= TYPE_NULL; break;
        case JSON_TRUE:
        case JSON_FALSE: some |= TYPE_BOOLEAN; break;
        case JSON_OBJECT: some |= TYPE_OBJECT; break;
        case JSON_ARRAY: some |= TYPE_ARRAY; break;
        case JSON_STRING: some |= TYPE_STRING; break;
        case JSON_INTEGER:
        case JSON_REAL: some |= TYPE_INTEGER | TYPE_FRACTION; break;
        }
    }
    json_decref(one);
    return types & some;
}

static bool none_fits(struct schemas *x, const json_t *values, const json_t *only, const json_t *s)
{
    struct err e;
    size_t i;
    json_t *v;
    if (only)
        return !valid_value(x->root, s, only, &e);
    json_array_foreach(values, i, v) if (valid_value(x->root, s, v, &e)) return false;
    return true;
}

static bool names(const json_t *list, const char *key)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v) if (str_eqc(json_as_str(v), key)) return true;
    return false;
}

/* Whether objects made for s never have the property: written so, or because others are not made
 * where none are spoken of (schema_object.c). */
static bool never_has(const json_t *s, const char *key, bool made)
{
    const json_t *props = json_object_get(s, "properties");
    if (json_is_false(json_object_get(props, key)))
        return true;
    const json_t *more = json_object_get(s, "additionalProperties");
    if (json_object_get(props, key) || json_object_get(s, "patternProperties") ||
        json_object_get(s, "allOf") || json_object_get(s, "anyOf") || json_object_get(s, "oneOf") ||
        json_object_get(s, "$ref"))
        return false;
    return json_is_false(more) || (made && !more && props);
}

/* a asks for a property that b never has. */
static bool asks_too_much(const json_t *a, const json_t *b, bool made)
{
    size_t i;
    json_t *v;
    json_array_foreach(json_object_get(a, "required"), i, v)
    {
        if (never_has(b, json_string_value(v), made))
            return true;
    }
    return false;
}

static bool objects_disjoint(struct schemas *x, const json_t *a, const json_t *b, int depth)
{
    const json_t *pa = json_object_get(a, "properties"), *pb = json_object_get(b, "properties");
    const char *key;
    json_t *v;
    if (asks_too_much(a, b, false) || asks_too_much(b, a, false))
        return true;
    // Neither is ever made so that the other would take it.
    if (asks_too_much(a, b, true) && asks_too_much(b, a, true))
        return true;
    json_object_foreach((json_t *)(uintptr_t)pa, key, v)
    {
        const json_t *other = json_object_get(pb, key);
        bool asked = names(json_object_get(a, "required"), key) ||
                     names(json_object_get(b, "required"), key);
        if (other && asked && schema_disjoint(x, v, other, depth + 1))
            return true;
    }
    return false;
}

static bool above(const json_t *a, const json_t *b)
{
    const json_t *lo = json_object_get(a, "minimum"), *hi = json_object_get(b, "maximum");
    const json_t *xlo = json_object_get(a, "exclusiveMinimum");
    const json_t *xhi = json_object_get(b, "exclusiveMaximum");
    if (json_is_number(lo) && json_is_number(hi) && json_number_value(lo) > json_number_value(hi))
        return true;
    lo = json_is_number(lo) ? lo : xlo;
    hi = json_is_number(hi) ? hi : xhi;
    return json_is_number(lo) && json_is_number(hi) && (lo == xlo || hi == xhi) &&
           json_number_value(lo) >= json_number_value(hi);
}

static bool longer(const json_t *a, const json_t *b, const char *least, const char *most)
{
    const json_t *lo = json_object_get(a, least), *hi = json_object_get(b, most);
    return lo && hi && json_number_value(lo) > json_number_value(hi);
}

bool schema_disjoint(struct schemas *x, const json_t *a, const json_t *b, int depth)
{
    if (json_is_false(a) || json_is_false(b))
        return true;
    if (depth > LOOK_MAX || !json_is_object(a) || !json_is_object(b) || !build_work(x->b, 50))
        return false;
    a = deref(x, a);
    b = deref(x, b);
    if (!json_is_object(a) || !json_is_object(b))
        return false;
    unsigned both = types_of(a) & types_of(b);
    if (!both)
        return true;
    const json_t *ea = json_object_get(a, "enum"), *ca = json_object_get(a, "const");
    const json_t *eb = json_object_get(b, "enum"), *cb = json_object_get(b, "const");
    if ((ea || ca) && none_fits(x, ea, ca, b))
        return true;
    if ((eb || cb) && none_fits(x, eb, cb, a))
        return true;
    // An alternative of each kind: apart from all of them.
    static const char *const lists[] = {"anyOf", "oneOf"};
    for (size_t k = 0; k < 2 * COUNT(lists); k++) {
        const json_t *of = k % 2 ? b : a, *other = k % 2 ? a : b;
        const json_t *list = json_object_get(of, lists[k / 2]);
        bool apart = list != NULL;
        size_t i;
        json_t *v;
        json_array_foreach(list, i, v) apart = apart && schema_disjoint(x, v, other, depth + 1);
        if (apart)
            return true;
    }
    if (both == TYPE_OBJECT && objects_disjoint(x, a, b, depth))
        return true;
    if (!(both & ~(unsigned)(TYPE_INTEGER | TYPE_FRACTION)) && (above(a, b) || above(b, a)))
        return true;
    if (both == TYPE_STRING &&
        (longer(a, b, "minLength", "maxLength") || longer(b, a, "minLength", "maxLength")))
        return true;
    return both == TYPE_ARRAY &&
           (longer(a, b, "minItems", "maxItems") || longer(b, a, "minItems", "maxItems"));
}
