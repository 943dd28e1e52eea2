/* gram/schema.c - JSON Schema 2020-12: sets of schemas and their alternatives.  See schema_int.h.
 */
#include "gram/schema_int.h"

void set_add_member(struct schemas *x, struct set *s, struct member m)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->m[i].schema == m.schema) {
            s->m[i].done |= m.done;
            return;
        }
    if (s->n >= SCHEMAS_MAX) {
        schema_bad(x, m.schema, NULL, "more than %d schemas apply to one value", (int)SCHEMAS_MAX);
        return;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 4;
        struct member *p = arena_calloc(&x->b->arena, cap, sizeof *p);
        if (!p) {
            build_fail(x->b, ERR_LIMIT, NULL, "the schema is too large");
            return;
        }
        if (s->n)
            memcpy(p, s->m, s->n * sizeof *p);
        s->m = p;
        s->cap = cap;
    }
    s->m[s->n++] = m;
}

/* Adds a schema and all that applies with it. */
void set_add(struct schemas *x, struct set *s, const json_t *schema)
{
    if (!build_work(x->b, 4) || json_is_true(schema))
        return;
    if (json_is_false(schema)) {
        s->never = true;
        return;
    }
    if (!json_is_object(schema)) {
        schema_bad(x, schema, NULL, "a schema is an object, true or false");
        return;
    }
    for (size_t i = 0; i < s->n; i++)
        if (s->m[i].schema == schema)
            return;
    if (!schema_check(x, schema))
        return;
    set_add_member(x, s, (struct member){schema, 0});
    if (++x->depth > SCHEMA_NEST_MAX) {
        schema_bad(x, schema, NULL, "schemas are nested more than %d deep", (int)SCHEMA_NEST_MAX);
        return;
    }
    if (json_object_get(schema, "$ref")) {
        const json_t *target = schema_ref(x, schema, "$ref");
        if (target)
            set_add(x, s, target);
    }
    size_t i;
    json_t *part;
    json_array_foreach(json_object_get(schema, "allOf"), i, part) set_add(x, s, part);
    json_array_foreach(schema_stand_ins(x, schema), i, part) set_add(x, s, part);
    x->depth--;
}

static bool all_valid(struct schemas *x, const struct set *s, const json_t *v)
{
    struct err e;
    for (size_t i = 0; i < s->n; i++)
        if (!valid_value(x->root, s->m[i].schema, v, &e))
            return false;
    return true;
}

/* The values of an enum or const that all others take. */
static const struct gram_node *values(struct schemas *x, const struct set *s, const json_t *list)
{
    struct node_list alt = {0};
    size_t i, k;
    json_t *v, *before;
    json_array_foreach(list, i, v)
    {
        bool again = false;
        if (!build_work(x->b, 20 + i / 4))
            break;
        if (json_array_size(list) <= 2000)
            json_array_foreach(list, k, before)
            {
                if (k >= i)
                    break;
                again = again || json_equal(before, v);
            }
        if (!again && all_valid(x, s, v))
            node_add(x->b, &alt, json_literal(x->b, v, x->style));
    }
    return alt.n ? node_alt(x->b, &alt) : node_fail(x->b);
}

/* The set with the alternatives of member i replaced by one of them. */
static const struct gram_node *branch(struct schemas *x, const struct set *s, size_t i,
                                      unsigned done, const json_t *chosen)
{
    struct set t = {0};
    for (size_t k = 0; k < s->n; k++) {
        struct member m = s->m[k];
        if (k == i)
            m.done |= done;
        set_add_member(x, &t, m);
    }
    t.never = s->never;
    // What the choice brings with it has its own alternatives still to be chosen, unless they were.
    set_add(x, &t, chosen);
    return schema_set(x, &t);
}

static const struct gram_node *any_of(struct schemas *x, const struct set *s, size_t i,
                                      const json_t *list, unsigned done)
{
    struct node_list alt = {0};
    size_t k;
    json_t *chosen;
    if (json_array_size(list) > BRANCHES_MAX)
        return schema_bad(x, s->m[i].schema, done == DONE_ANY_OF ? "anyOf" : "oneOf",
                          "more than %d alternatives", (int)BRANCHES_MAX);
    json_array_foreach(list, k, chosen)
    {
        if (x->b->failed)
            break;
        node_add(x->b, &alt, branch(x, s, i, done, chosen));
    }
    return alt.n ? node_alt(x->b, &alt) : node_fail(x->b);
}

/* oneOf as anyOf where no value fits two of them; else each without the others. */
static const struct gram_node *one_of(struct schemas *x, const struct set *s, size_t i,
                                      const json_t *list)
{
    size_t n = json_array_size(list), k, l;
    bool apart = n <= BRANCHES_MAX;
    for (k = 0; k < n && apart; k++)
        for (l = k + 1; l < n && apart && build_work(x->b, 20); l++)
            apart = schema_disjoint(x, json_array_get(list, k), json_array_get(list, l), 0);
    if (apart || x->b->failed)
        return any_of(x, s, i, list, DONE_ONE_OF);
    struct node_list alt = {0};
    for (k = 0; k < n && n <= 16 && !x->b->failed; k++) {
        json_t *all = json_array(), *wrapped;
        json_array_append(all, json_array_get(list, k));
        for (l = 0; l < n; l++) {
            const json_t *a = json_array_get(list, k), *b = json_array_get(list, l);
            if (l == k || schema_disjoint(x, a, b, 0))
                continue;
            json_t *other = schema_negate(x, b, 0);
            if (!other) {
                json_decref(all);
                return schema_bad(x, s->m[i].schema, "oneOf",
                                  "the alternatives may overlap, and it cannot be enforced that "
                                  "only one of them applies; use anyOf");
            }
            json_array_append_new(all, other);
        }
        wrapped = json_pack("{s:o}", "allOf", all);
        node_add(x->b, &alt, branch(x, s, i, DONE_ONE_OF, wrapped));
        schema_keep(x, wrapped);
    }
    if (n > 16)
        return schema_bad(x, s->m[i].schema, "oneOf", "too many alternatives that may overlap");
    return alt.n ? node_alt(x->b, &alt) : node_fail(x->b);
}

/* Types that the keywords of all members speak of, where none names any. */
static unsigned implied_types(const struct set *s)
{
    static const struct {
        const char *keyword;
        unsigned type;
    } rows[] = {{"properties", TYPE_OBJECT},
                {"required", TYPE_OBJECT},
                {"additionalProperties", TYPE_OBJECT},
                {"patternProperties", TYPE_OBJECT},
                {"propertyNames", TYPE_OBJECT},
                {"minProperties", TYPE_OBJECT},
                {"maxProperties", TYPE_OBJECT},
                {"items", TYPE_ARRAY},
                {"prefixItems", TYPE_ARRAY},
                {"contains", TYPE_ARRAY},
                {"minItems", TYPE_ARRAY},
                {"maxItems", TYPE_ARRAY},
                {"uniqueItems", TYPE_ARRAY},
                {"pattern", TYPE_STRING},
                {"minLength", TYPE_STRING},
                {"maxLength", TYPE_STRING},
                {"format", TYPE_STRING},
                {"minimum", TYPE_INTEGER | TYPE_FRACTION},
                {"maximum", TYPE_INTEGER | TYPE_FRACTION},
                {"exclusiveMinimum", TYPE_INTEGER | TYPE_FRACTION},
                {"exclusiveMaximum", TYPE_INTEGER | TYPE_FRACTION},
                {"multipleOf", TYPE_INTEGER | TYPE_FRACTION}};
    unsigned types = 0;
    for (size_t i = 0; i < s->n; i++)
        for (size_t k = 0; k < COUNT(rows); k++)
            if (json_object_get(s->m[i].schema, rows[k].keyword))
                types |= rows[k].type;
    // Several kinds: each value may be of any type, so all of them are.
    bool one = types == TYPE_OBJECT || types == TYPE_ARRAY || types == TYPE_STRING ||
               types == (TYPE_INTEGER | TYPE_FRACTION);
    return one ? types : TYPE_ALL;
}

static const struct gram_node *types(struct schemas *x, const struct set *s)
{
    unsigned allowed = TYPE_ALL;
    bool named = false, free_form = true;
    struct node_list alt = {0};
    static const char *const annotations[] = {"title",    "description", "$comment",  "default",
                                              "examples", "$schema",     "deprecated"};
    for (size_t i = 0; i < s->n; i++) {
        const json_t *type = json_object_get(s->m[i].schema, "type");
        const json_t *no = json_object_get(s->m[i].schema, "not");
        allowed &= schema_types(type);
        named = named || type;
        if (json_object_size(no) == 1 && json_object_get(no, "type"))
            allowed &= ~schema_types(json_object_get(no, "type"));
        size_t known = 0;
        for (size_t k = 0; k < COUNT(annotations); k++)
            known += json_object_get(s->m[i].schema, annotations[k]) != NULL;
        free_form = free_form && known == json_object_size(s->m[i].schema);
    }
    if (free_form && allowed == TYPE_ALL)
        return json_any_value(x->b, x->style);
    if (!named)
        allowed &= implied_types(s);
    bool python = x->style == GRAM_PYTHON;
    if (allowed & TYPE_OBJECT)
        node_add(x->b, &alt, schema_object(x, s));
    if (allowed & TYPE_ARRAY)
        node_add(x->b, &alt, schema_array(x, s));
    if (allowed & TYPE_STRING)
        node_add(x->b, &alt, schema_string(x, s));
    if (allowed & (TYPE_INTEGER | TYPE_FRACTION))
        node_add(x->b, &alt, schema_number(x, s, !(allowed & TYPE_FRACTION)));
    for (int truth = 0; truth < 2 && (allowed & TYPE_BOOLEAN); truth++)
        if (all_valid(x, s, truth ? json_true() : json_false()))
            node_add(x->b, &alt,
                     gram_lit(x->b, truth ? (python ? STR("True") : STR("true"))
                                          : (python ? STR("False") : STR("false"))));
    if ((allowed & TYPE_NULL) && all_valid(x, s, json_null()))
        node_add(x->b, &alt, gram_lit(x->b, python ? STR("None") : STR("null")));
    return alt.n ? node_alt(x->b, &alt) : node_fail(x->b);
}

static const struct gram_node *describe(struct schemas *x, const struct set *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const json_t *list = json_object_get(s->m[i].schema, "enum");
        json_t *only = json_object_get(s->m[i].schema, "const");
        if (list)
            return values(x, s, list);
        if (only) {
            json_t *one = json_pack("[O]", only);
            const struct gram_node *n = values(x, s, one);
            json_decref(one);
            return n;
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        const json_t *any = json_object_get(s->m[i].schema, "anyOf");
        const json_t *one = json_object_get(s->m[i].schema, "oneOf");
        if (any && !(s->m[i].done & DONE_ANY_OF))
            return any_of(x, s, i, any, DONE_ANY_OF);
        if (one && !(s->m[i].done & DONE_ONE_OF))
            return one_of(x, s, i, one);
    }
    return types(x, s);
}

static int by_address(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    uintptr_t p = (uintptr_t)x->schema, q = (uintptr_t)y->schema;
    if (p != q)
        return p < q ? -1 : 1;
    return (x->done > y->done) - (x->done < y->done);
}

const struct gram_node *schema_set(struct schemas *x, const struct set *s)
{
    if (s->never || x->b->failed)
        return node_fail(x->b);
    struct member *key = arena_calloc(&x->b->arena, s->n + 1, sizeof *key);
    struct set_rule *r = NULL;
    if (!key || x->n_rules >= SETS_MAX || !build_work(x->b, 40 + s->n)) {
        build_fail(x->b, ERR_LIMIT, "", "the schema has too many combinations");
        return node_fail(x->b);
    }
    for (size_t i = 0; i < s->n; i++) { // the padding is zero, so that keys compare as bytes
        key[i].schema = s->m[i].schema;
        key[i].done = s->m[i].done;
    }
    if (s->n > 1)
        qsort(key, s->n, sizeof *key, by_address);
    size_t size = s->n * sizeof *key + 1; // one zero byte more: no key is empty
    HASH_FIND(hh, x->rules, key, size, r);
    if (r)
        return r->rule;
    r = arena_calloc(&x->b->arena, 1, sizeof *r);
    if (!r) {
        build_fail(x->b, ERR_LIMIT, "", "the schema is too large");
        return node_fail(x->b);
    }
    r->key = key;
    r->rule = gram_rule(x->b);
    x->n_rules++;
    HASH_ADD_KEYPTR(hh, x->rules, r->key, size, r);
    if (++x->depth > SCHEMA_NEST_MAX) {
        schema_bad(x, s->n ? s->m[0].schema : x->root, NULL, "schemas are nested more than %d deep",
                   (int)SCHEMA_NEST_MAX);
        return r->rule;
    }
    const struct gram_node *body = describe(x, s);
    x->depth--;
    if (!x->b->failed)
        gram_define(x->b, r->rule, body);
    return r->rule;
}

const struct gram_node *schema_one(struct schemas *x, const json_t *schema)
{
    struct set s = {0};
    set_add(x, &s, schema);
    return schema_set(x, &s);
}

const struct gram_node *gram_schema(struct gram_build *b, const json_t *root, const json_t *at,
                                    enum gram_style style)
{
    struct schemas x = {.b = b, .root = root, .style = style};
    b->has_json = true;
    const struct gram_node *n = schema_one(&x, at ? at : root);
    struct stand_in *s, *next;
    HASH_CLEAR(hh, x.rules);
    HASH_CLEAR(hh, x.patterns);
    HASH_CLEAR(hh, x.counts);
    HASH_ITER(hh, x.stand_ins, s, next)
    {
        HASH_DEL(x.stand_ins, s);
        json_decref(s->made);
        mem_free(s);
    }
    json_decref(x.kept);
    return n;
}
