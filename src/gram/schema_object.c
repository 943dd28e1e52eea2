/* gram/schema_object.c - objects of a JSON Schema.
 *
 * Properties come in the order in which they are written (of several schemas: the first one's
 * first), then those that `required` alone names, then others where they are allowed.  Where
 * `properties` or `patternProperties` tell some and `additionalProperties` is not there, no others
 * are made: a model would only invent them. */
#include "gram/schema_int.h"

enum { PATTERNS_MAX = 4, PROPERTIES_MAX = 2000, COUNTED_MAX = 64 };

struct property {
    const char *name;
    bool required;
    const struct gram_node *member; // name, colon and value
};

struct objects {
    struct schemas *x;
    const struct set *s;
    struct property *p; // [n] those that are made
    size_t n, cap;
    const char *patterns[PATTERNS_MAX]; // of all schemas, each once
    const struct dfa *dfas[PATTERNS_MAX];
    size_t n_patterns;
    bool has_properties, has_more, closed;
    const struct dfa *names; // that propertyNames allow; NULL: all
    bool never;
    const struct gram_node *others; // a member of another name; NULL: there are none
};

static int pattern_number(const struct objects *o, const char *pattern)
{
    for (size_t i = 0; i < o->n_patterns; i++)
        if (strcmp(o->patterns[i], pattern) == 0)
            return (int)i;
    return -1;
}

/* What a property must be.  matched: by bit, which patterns its name matches. */
static void value_set(struct objects *o, const char *name, unsigned matched, struct set *out)
{
    for (size_t i = 0; i < o->s->n; i++) {
        const json_t *schema = o->s->m[i].schema;
        const json_t *own =
            name ? json_object_get(json_object_get(schema, "properties"), name) : NULL;
        const json_t *more = json_object_get(schema, "additionalProperties");
        const char *pattern;
        json_t *part;
        bool told = own != NULL;
        if (own)
            set_add(o->x, out, own);
        json_object_foreach(json_object_get(schema, "patternProperties"), pattern, part)
        {
            int k = pattern_number(o, pattern);
            if (k >= 0 && (matched >> k & 1)) {
                told = true;
                set_add(o->x, out, part);
            }
        }
        if (!told && more)
            set_add(o->x, out, more);
    }
}

static unsigned patterns_of(const struct objects *o, const char *name)
{
    unsigned matched = 0;
    for (size_t i = 0; i < o->n_patterns; i++)
        if (dfa_accepts(o->dfas[i], str_c(name)))
            matched |= 1u << i;
    return matched;
}

static bool is_required(const struct objects *o, const char *name)
{
    size_t k;
    json_t *v;
    for (size_t i = 0; i < o->s->n; i++)
        json_array_foreach(json_object_get(o->s->m[i].schema, "required"), k, v)
        {
            if (str_eqc(json_as_str(v), name))
                return true;
        }
    return false;
}

static void add_property(struct objects *o, const char *name)
{
    struct gram_build *b = o->x->b;
    struct set s = {0};
    for (size_t i = 0; i < o->n; i++)
        if (strcmp(o->p[i].name, name) == 0)
            return;
    if (o->n >= PROPERTIES_MAX || !build_work(b, 20 + o->n / 8)) {
        build_fail(b, ERR_LIMIT, "", "an object has more than %d properties", (int)PROPERTIES_MAX);
        return;
    }
    bool required = is_required(o, name);
    value_set(o, name, patterns_of(o, name), &s);
    if (o->names && !dfa_accepts(o->names, str_c(name)))
        s.never = true;
    if (s.never && required)
        o->never = true;
    if (o->n == o->cap) {
        size_t cap = o->cap ? o->cap * 2 : 16;
        struct property *p = arena_calloc(&b->arena, cap, sizeof *p);
        if (!p) {
            build_fail(b, ERR_LIMIT, "", "the schema is too large");
            return;
        }
        if (o->n)
            memcpy(p, o->p, o->n * sizeof *p);
        o->p = p;
        o->cap = cap;
    }
    struct property *p = &o->p[o->n++];
    *p = (struct property){.name = name, .required = required};
    if (s.never) // stays in the list, so that no other member takes its name
        return;
    json_t *key = json_string(name);
    p->member = gram_seq(b,
                         (const struct gram_node *const[]){json_literal(b, key, o->x->style),
                                                           gram_lit(b, STR(":")), json_ws(b),
                                                           schema_set(o->x, &s)},
                         4);
    json_decref(key);
}

/* The names that propertyNames allow: of an enum, or of a string's keywords. */
static const struct dfa *names_dfa(struct schemas *x, const json_t *schema, const struct set *s)
{
    static const char *const taken[] = {"type",     "pattern", "format", "minLength", "maxLength",
                                        "enum",     "const",   "$ref",   "title",     "description",
                                        "$comment", "allOf",   "not"};
    struct gram_build *b = x->b;
    const struct dfa *d;
    bool any;
    if (s->never)
        return dfa_of_node(b, node_fail(b));
    for (size_t i = 0; i < s->n; i++) {
        const char *key;
        json_t *v;
        json_object_foreach((json_t *)(uintptr_t)s->m[i].schema, key, v)
        {
            bool known = false;
            for (size_t k = 0; k < COUNT(taken); k++)
                known = known || strcmp(key, taken[k]) == 0;
            if (!known) {
                schema_bad(x, schema, "propertyNames", "'%s' cannot be enforced there", key);
                return NULL;
            }
        }
    }
    for (size_t i = 0; i < s->n; i++) {
        json_t *list = json_object_get(s->m[i].schema, "enum"), *v;
        json_t *only = json_object_get(s->m[i].schema, "const");
        struct node_list alt = {0};
        size_t k;
        struct err e;
        if (!list && !only)
            continue;
        list = list ? json_incref(list) : json_pack("[O]", only);
        json_array_foreach(list, k, v)
        {
            bool fits = json_is_string(v);
            for (size_t j = 0; j < s->n && fits; j++)
                fits = valid_value(x->root, s->m[j].schema, v, &e);
            if (fits)
                node_add(b, &alt, gram_lit(b, json_as_str(v)));
        }
        json_decref(list);
        return dfa_of_node(b, alt.n ? node_alt(b, &alt) : node_fail(b));
    }
    d = schema_string_dfa(x, s, &any);
    if (d || any || b->failed)
        return d;
    return dfa_product(b, dfa_of_node(b, gram_repeat(b, node_utf8_any(b), 0, -1)),
                       dfa_counted(b, int_max(schema_count(x, s, "minLength", true, NULL), 0),
                                   schema_count(x, s, "maxLength", false, NULL)),
                       DFA_AND);
}

static void read_keywords(struct objects *o)
{
    struct schemas *x = o->x;
    for (size_t i = 0; i < o->s->n && !x->b->failed; i++) {
        const json_t *schema = o->s->m[i].schema, *v;
        const char *pattern;
        json_t *part;
        o->has_properties = o->has_properties || json_object_get(schema, "properties");
        v = json_object_get(schema, "additionalProperties");
        o->has_more = o->has_more || (v && !json_is_false(v));
        v = json_object_get(schema, "unevaluatedProperties");
        if (v && !json_is_true(v) && !(json_is_false(v) && i == 0))
            schema_bad(x, schema, "unevaluatedProperties", "cannot be enforced here");
        o->closed = o->closed || json_is_false(v);
        json_object_foreach(json_object_get(schema, "patternProperties"), pattern, part)
        {
            if (pattern_number(o, pattern) >= 0)
                continue;
            if (o->n_patterns == PATTERNS_MAX) {
                schema_bad(x, schema, "patternProperties", "more than %d patterns",
                           (int)PATTERNS_MAX);
                break;
            }
            o->patterns[o->n_patterns] = pattern;
            o->dfas[o->n_patterns++] =
                schema_pattern(x, schema, "patternProperties", str_c(pattern));
        }
        if ((v = json_object_get(schema, "propertyNames"))) {
            struct set names = {0};
            set_add(x, &names, v);
            const struct dfa *d = names_dfa(x, schema, &names);
            if (d)
                o->names = o->names ? dfa_product(x->b, o->names, d, DFA_AND) : d;
        }
    }
}

/* Members of other names: one kind for each set of patterns that a name may match. */
static void make_others(struct objects *o)
{
    struct schemas *x = o->x;
    struct gram_build *b = x->b;
    struct node_list alt = {0};
    bool free = o->has_more || (!o->has_properties && !o->n_patterns);
    if (o->closed)
        free = false;
    const struct dfa *base = o->names;
    for (size_t i = 0; i < o->n && (free || o->n_patterns) && !b->failed; i++) {
        if (!base)
            base = dfa_of_node(b, gram_repeat(b, node_utf8_any(b), 0, -1));
        base = dfa_product(b, base, dfa_of_text(b, str_c(o->p[i].name)), DFA_MINUS);
    }
    for (unsigned matched = 0; matched < 1u << o->n_patterns && !b->failed; matched++) {
        struct set s = {0};
        const struct dfa *d = base;
        if (matched == 0 && !free)
            continue;
        value_set(o, NULL, matched, &s);
        if (s.never)
            continue;
        for (size_t k = 0; k < o->n_patterns; k++) {
            if (!d)
                d = dfa_of_node(b, gram_repeat(b, node_utf8_any(b), 0, -1));
            d = dfa_product(b, d, o->dfas[k], matched >> k & 1 ? DFA_AND : DFA_MINUS);
        }
        if (d && dfa_is_empty(d))
            continue;
        const struct gram_node *quote = gram_lit(b, STR("\""));
        const struct gram_node *name =
            d ? gram_seq(b, (const struct gram_node *const[]){quote, node_dfa(b, d, true), quote},
                         3)
              : gram_json_string(b);
        node_add(b, &alt,
                 gram_seq(b,
                          (const struct gram_node *const[]){name, gram_lit(b, STR(":")), json_ws(b),
                                                            schema_set(x, &s)},
                          4));
    }
    o->others = alt.n && !b->failed ? node_alt(b, &alt) : NULL;
}

/* States: before property i, nothing or something written, so many members counted. */
struct layout {
    size_t n; // properties
    int counts;
};

static uint32_t at(const struct layout *l, size_t i, bool some, int count)
{
    return 2 + (uint32_t)((i * 2 + some) * (size_t)l->counts + (size_t)count);
}

static const struct gram_node *members(struct objects *o, int min, int max)
{
    struct gram_build *b = o->x->b;
    const struct gram_node *comma = gram_seq2(b, gram_lit(b, STR(",")), json_ws(b));
    struct layout l = {.n = o->n, .counts = int_max(min, max) + 1};
    struct graph g;
    graph_begin(&g);
    g.n_states += (uint32_t)((o->n + 1) * 2 * (size_t)l.counts);
    graph_add(b, &g, 0, at(&l, 0, false, 0), NULL);
    for (size_t i = 0; i <= o->n; i++) {
        const struct gram_node *member = i < o->n ? o->p[i].member : o->others;
        for (int c = 0; c < l.counts && !b->failed; c++) {
            // Counting stops where more makes no difference; past max there is nothing.
            int next = max >= 0 ? c + 1 : int_min(c + 1, l.counts - 1);
            bool more = member && (max < 0 || c < max);
            uint32_t key = more ? graph_state(&g) : 0;
            for (int some = 0; some < 2; some++) {
                uint32_t from = at(&l, i, some, c);
                if (i < o->n && !o->p[i].required)
                    graph_add(b, &g, from, at(&l, i + 1, some, c), NULL);
                if (more)
                    graph_add(b, &g, from, key, some ? comma : NULL);
                if (i == o->n && c >= min)
                    graph_add(b, &g, from, 1, some ? json_ws(b) : NULL);
            }
            if (more)
                graph_add(b, &g, key, at(&l, i < o->n ? i + 1 : i, true, next), member);
        }
    }
    return node_graph(b, &g);
}

const struct gram_node *schema_object(struct schemas *x, const struct set *s)
{
    struct objects o = {.x = x, .s = s};
    struct gram_build *b = x->b;
    const json_t *min_of = NULL, *max_of = NULL, *v;
    const char *name;
    json_t *part;
    size_t k;
    read_keywords(&o);
    for (size_t i = 0; i < s->n && !b->failed; i++)
        json_object_foreach(json_object_get(s->m[i].schema, "properties"), name, part)
            add_property(&o, name);
    for (size_t i = 0; i < s->n && !b->failed; i++) {
        v = json_object_get(s->m[i].schema, "required");
        json_array_foreach(v, k, part) add_property(&o, json_string_value(part));
    }
    if (!b->failed)
        make_others(&o);
    int min = schema_count(x, s, "minProperties", true, &min_of);
    int max = schema_count(x, s, "maxProperties", false, &max_of);
    int required = 0, possible = 0;
    for (size_t i = 0; i < o.n; i++) {
        required += o.p[i].required;
        possible += o.p[i].member != NULL;
    }
    if (o.never || b->failed || (max >= 0 && max < int_max(min, required)))
        return node_fail(b);
    if (min <= required)
        min = 0;
    if (!o.others && max >= possible)
        max = -1;
    if (o.others && min > required + 1)
        return schema_bad(x, min_of, "minProperties",
                          "cannot be enforced for names that are not told");
    if (int_max(min, max) > COUNTED_MAX)
        return schema_bad(x, max > min ? max_of : min_of,
                          max > min ? "maxProperties" : "minProperties",
                          "too many properties to be counted");
    return gram_seq(b,
                    (const struct gram_node *const[]){gram_lit(b, STR("{")), json_ws(b),
                                                      members(&o, int_max(min, 0), max),
                                                      gram_lit(b, STR("}"))},
                    4);
}
