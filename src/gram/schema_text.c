/* gram/schema_text.c - strings and numbers of a JSON Schema. */
#include "gram/schema_int.h"

#include "base/utf8.h"

unsigned schema_types(const json_t *type)
{
    static const struct {
        const char *name;
        unsigned type;
    } names[] = {{"null", TYPE_NULL},       {"boolean", TYPE_BOOLEAN},
                 {"object", TYPE_OBJECT},   {"array", TYPE_ARRAY},
                 {"integer", TYPE_INTEGER}, {"number", TYPE_INTEGER | TYPE_FRACTION},
                 {"string", TYPE_STRING}};
    unsigned all = 0;
    size_t i;
    json_t *v;
    if (!type)
        return TYPE_ALL;
    if (json_is_array(type)) {
        json_array_foreach(type, i, v)
        {
            unsigned one = json_is_string(v) ? schema_types(v) : 0;
            if (!one)
                return 0;
            all |= one;
        }
        return all;
    }
    for (i = 0; i < COUNT(names); i++)
        if (str_eqc(json_as_str(type), names[i].name))
            return names[i].type;
    return 0;
}

const struct dfa *schema_pattern(struct schemas *x, const json_t *schema, const char *keyword,
                                 str pattern)
{
    struct known_dfa *k;
    HASH_FIND(hh, x->patterns, pattern.p, pattern.n, k);
    if (k)
        return k->dfa;
    bool before = x->b->failed;
    const struct dfa *d = regex_dfa(x->b, pattern, REGEX_ECMA, true, "");
    if (!before && x->b->failed && x->b->err.code != ERR_NONE) {
        // Say where the pattern stands, and keep what is wrong with it.
        struct err why = x->b->err;
        x->b->failed = false;
        schema_bad(x, schema, keyword, "%s", why.msg);
        x->b->err.code = why.code;
        return NULL;
    }
    k = arena_calloc(&x->b->arena, 1, sizeof *k);
    if (!k || x->b->failed)
        return d;
    k->dfa = d;
    HASH_ADD_KEYPTR(hh, x->patterns, pattern.p, pattern.n, k);
    return d;
}

static const struct dfa *both(struct schemas *x, const struct dfa *a, const struct dfa *b)
{
    return a ? dfa_product(x->b, a, b, DFA_AND) : b;
}

/* Everything but the texts that a `not` names. */
static const struct dfa *without(struct schemas *x, const struct dfa *d, const json_t *no,
                                 const json_t *schema)
{
    const json_t *list = json_object_get(no, "enum"), *pattern = json_object_get(no, "pattern");
    json_t *only = json_object_get(no, "const"), *v;
    const struct dfa *out =
        d ? d : dfa_of_node(x->b, gram_repeat(x->b, node_utf8_any(x->b), 0, -1));
    size_t i;
    if (pattern)
        return dfa_product(x->b, out, schema_pattern(x, schema, "not", json_as_str(pattern)),
                           DFA_MINUS);
    if (json_is_string(only))
        out = dfa_product(x->b, out, dfa_of_text(x->b, json_as_str(only)), DFA_MINUS);
    json_array_foreach(list, i, v)
    {
        if (json_is_string(v))
            out = dfa_product(x->b, out, dfa_of_text(x->b, json_as_str(v)), DFA_MINUS);
    }
    return out;
}

static bool speaks_of_strings(const json_t *no)
{
    size_t i;
    json_t *v;
    bool any = json_object_get(no, "pattern") || json_is_string(json_object_get(no, "const"));
    json_array_foreach(json_object_get(no, "enum"), i, v) any = any || json_is_string(v);
    return json_object_size(no) == 1 && any;
}

const struct dfa *schema_string_dfa(struct schemas *x, const struct set *s, bool *any)
{
    const struct dfa *d = NULL;
    const json_t *whose = NULL;
    for (size_t i = 0; i < s->n && !x->b->failed; i++) {
        const json_t *schema = s->m[i].schema, *v;
        if ((v = json_object_get(schema, "pattern")))
            d = both(x, d, schema_pattern(x, schema, "pattern", json_as_str(v)));
        if ((v = json_object_get(schema, "format"))) {
            bool known;
            const struct dfa *f = format_dfa(x->b, json_as_str(v), &known);
            if (!known) {
                schema_bad(x, schema, "format", "'%.*s' cannot be enforced",
                           STR_ARG(json_as_str(v)));
                return NULL;
            }
            if (f)
                d = both(x, d, f);
        }
        if (speaks_of_strings(json_object_get(schema, "not")))
            d = without(x, d, json_object_get(schema, "not"), schema);
    }
    int min = schema_count(x, s, "minLength", true, &whose);
    int max = schema_count(x, s, "maxLength", false, &whose);
    *any = !d && min <= 0 && max < 0;
    if (*any || x->b->failed || !d)
        return NULL;
    int shortest, longest;
    dfa_lengths(x->b, d, &shortest, &longest);
    bool fits = (min <= 0 || shortest >= min) && (max < 0 || (longest >= 0 && longest <= max));
    if (!fits) {
        if ((int64_t)int_max(min, max) * d->n > 400000)
            schema_bad(x, whose, max >= 0 ? "maxLength" : "minLength",
                       "too long to be counted together with a pattern or format");
        else
            d = dfa_product(x->b, d, dfa_counted(x->b, int_max(min, 0), max), DFA_AND);
    }
    return d;
}

const struct gram_node *schema_string(struct schemas *x, const struct set *s)
{
    bool any;
    const struct gram_node *quote = gram_lit(x->b, STR("\""));
    const struct dfa *d = schema_string_dfa(x, s, &any);
    if (x->b->failed)
        return node_fail(x->b);
    if (any)
        return gram_json_string(x->b);
    const struct gram_node *inside;
    if (d) {
        inside = node_dfa(x->b, d, true);
    } else {
        int min = int_max(schema_count(x, s, "minLength", true, NULL), 0);
        int max = schema_count(x, s, "maxLength", false, NULL);
        if (max >= 0 && max < min)
            return node_fail(x->b);
        // One repetition for all strings of the same bounds, so that they share their rule.
        char key[48];
        struct known_count *k;
        snprintf(key, sizeof key, "%d,%d", min, max);
        HASH_FIND_STR(x->counts, key, k);
        if (!k) {
            k = arena_calloc(&x->b->arena, 1, sizeof *k);
            if (!k) {
                build_fail(x->b, ERR_LIMIT, "", "the schema is too large");
                return node_fail(x->b);
            }
            snprintf(k->key, sizeof k->key, "%s", key);
            k->node = gram_repeat(x->b, json_char(x->b), min, max);
            HASH_ADD_STR(x->counts, key, k);
        }
        inside = k->node;
    }
    return gram_seq(x->b, (const struct gram_node *const[]){quote, inside, quote}, 3);
}

static void tighten(struct num_bound *b, bool least, double v, bool exclusive)
{
    if (!b->set || (least ? v > b->v : v < b->v)) {
        *b = (struct num_bound){true, exclusive, v};
    } else if (v == b->v) {
        b->exclusive = b->exclusive || exclusive;
    }
}

const struct gram_node *schema_number(struct schemas *x, const struct set *s, bool integer)
{
    struct num_bound lo = {0}, hi = {0};
    double m[16];
    size_t n_m = 0;
    const json_t *whose = NULL;
    const char *keyword = "type", *why;
    const struct dfa *d;
    json_t *taken = json_array(), *v;
    size_t k;
    for (size_t i = 0; i < s->n; i++) {
        static const struct {
            const char *key, *exclusive;
            bool least;
        } bounds[] = {{"minimum", "exclusiveMinimum", true},
                      {"maximum", "exclusiveMaximum", false}};
        const json_t *schema = s->m[i].schema, *no = json_object_get(schema, "not");
        for (size_t j = 0; j < 2; j++) {
            const json_t *b = json_object_get(schema, bounds[j].key);
            const json_t *e = json_object_get(schema, bounds[j].exclusive);
            struct num_bound *to = bounds[j].least ? &lo : &hi;
            if (b) {
                tighten(to, bounds[j].least, json_number_value(b), json_is_true(e)); // draft 4
                whose = schema;
                keyword = bounds[j].key;
            }
            if (json_is_number(e)) {
                tighten(to, bounds[j].least, json_number_value(e), true);
                whose = schema;
                keyword = bounds[j].exclusive;
            }
        }
        if ((v = json_object_get(schema, "multipleOf"))) {
            if (json_number_value(v) <= 0)
                schema_bad(x, schema, "multipleOf", "must be more than 0");
            if (n_m < COUNT(m))
                m[n_m++] = json_number_value(v);
            whose = schema;
            keyword = "multipleOf";
        }
        str format = json_as_str(json_object_get(schema, "format"));
        if (str_eqc(format, "int32")) {
            tighten(&lo, true, -2147483648.0, false);
            tighten(&hi, false, 2147483647.0, false);
        }
        if (json_is_number(json_object_get(no, "const")))
            json_array_append(taken, json_object_get(no, "const"));
        json_t *list = json_object_get(no, "enum");
        json_array_foreach(list, k, v) if (json_is_number(v)) json_array_append(taken, v);
        if (json_array_size(taken) && !integer) {
            schema_bad(x, schema, "not", "single numbers can be left out of integers alone");
            break;
        }
    }
    const struct gram_node *out = NULL;
    if (!integer && !lo.set && !hi.set && !n_m) {
        out = json_any_number(x->b);
    } else if (!x->b->failed) {
        d = number_dfa(x->b, integer, lo, hi, m, n_m, &why);
        if (why)
            schema_bad(x, whose ? whose : x->root, keyword, "%s", why);
        json_array_foreach(taken, k, v)
        {
            char text[32];
            double r = json_number_value(v);
            if (r != (double)(long long)r)
                continue;
            snprintf(text, sizeof text, "%lld", (long long)r);
            d = dfa_product(x->b, d, dfa_of_text(x->b, str_c(text)), DFA_MINUS);
            if (r == 0)
                d = dfa_product(x->b, d, dfa_of_text(x->b, STR("-0")), DFA_MINUS);
        }
        out = node_dfa(x->b, d, false);
    }
    json_decref(taken);
    return x->b->failed ? node_fail(x->b) : out;
}
