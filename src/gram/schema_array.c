/* gram/schema_array.c - arrays of a JSON Schema. */
#include "gram/schema_int.h"

enum { COUNTED_MAX = 128, PREFIX_MAX = 256, UNIQUE_MAX = 8 };

/* items of older drafts may be a list, with additionalItems behind it. */
static const json_t *prefix_of(const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items");
    const json_t *prefix = json_object_get(schema, "prefixItems");
    return prefix ? prefix : json_is_array(items) ? items : NULL;
}

static const json_t *rest_of(const json_t *schema)
{
    const json_t *items = json_object_get(schema, "items");
    return json_is_array(items) ? json_object_get(schema, "additionalItems") : items;
}

struct arrays {
    struct schemas *x;
    const struct set *s;
    size_t n_prefix;
    int min, max; // max -1: no bound
    const json_t *contains, *contains_of;
    int least; // of what contains asks for
};

/* What item i must be; i == n_prefix: all further ones. */
static void item_set(struct arrays *a, size_t i, struct set *out)
{
    for (size_t k = 0; k < a->s->n; k++) {
        const json_t *schema = a->s->m[k].schema;
        const json_t *prefix = prefix_of(schema), *rest = rest_of(schema);
        if (i < json_array_size(prefix))
            set_add(a->x, out, json_array_get(prefix, i));
        else if (rest)
            set_add(a->x, out, rest);
    }
}

static bool read_keywords(struct arrays *a)
{
    struct schemas *x = a->x;
    bool rest = false;
    const json_t *whose = NULL;
    a->max = schema_count(x, a->s, "maxItems", false, NULL);
    a->min = int_max(schema_count(x, a->s, "minItems", true, &whose), 0);
    for (size_t i = 0; i < a->s->n; i++) {
        const json_t *schema = a->s->m[i].schema, *v;
        size_t n = json_array_size(prefix_of(schema));
        a->n_prefix = size_max(a->n_prefix, n);
        rest = rest || rest_of(schema);
        v = json_object_get(schema, "unevaluatedItems");
        if (v && !json_is_true(v) && !(json_is_false(v) && i == 0))
            schema_bad(x, schema, "unevaluatedItems", "cannot be enforced here");
        if ((v = json_object_get(schema, "contains"))) {
            const json_t *least = json_object_get(schema, "minContains");
            const json_t *most = json_object_get(schema, "maxContains");
            int n_least = least ? (int)json_number_value(least) : 1;
            if (most && !(a->max >= 0 && json_number_value(most) >= a->max))
                schema_bad(x, schema, "maxContains", "cannot be enforced");
            if (n_least > 0 && a->contains)
                schema_bad(x, schema, "contains", "only one can be enforced at a time");
            if (n_least > 0) {
                a->contains = v;
                a->contains_of = schema;
                a->least = n_least;
            }
        }
    }
    if (a->n_prefix > PREFIX_MAX)
        schema_bad(x, a->s->m[0].schema, "prefixItems", "more than %d items", (int)PREFIX_MAX);
    // Where only first items are told, there are no others; unless there must be.
    if (a->n_prefix && !rest && a->min <= (int)a->n_prefix)
        a->max = a->max < 0 ? (int)a->n_prefix : int_min(a->max, (int)a->n_prefix);
    struct set further = {0};
    item_set(a, a->n_prefix, &further);
    if (further.never)
        a->max = a->max < 0 ? (int)a->n_prefix : int_min(a->max, (int)a->n_prefix);
    return !x->b->failed;
}

static const struct gram_node *seq3(struct gram_build *b, const struct gram_node *p,
                                    const struct gram_node *q, const struct gram_node *r)
{
    return gram_seq(b, (const struct gram_node *const[]){p, q, r}, 3);
}

/* Items by a graph that counts them, and those that `contains` asks for, in its states. */
static const struct gram_node *counted_items(struct arrays *a)
{
    struct schemas *x = a->x;
    struct gram_build *b = x->b;
    struct graph g;
    const struct gram_node *comma = gram_seq2(b, gram_lit(b, STR(",")), json_ws(b));
    int last = a->max >= 0 ? a->max : int_max(int_max(a->min, (int)a->n_prefix), 1);
    int marks = a->least + 1; // the last state stands for more items, so it is not the first
    if (last > COUNTED_MAX || marks > COUNTED_MAX)
        return schema_bad(x, a->contains_of, "contains", "too many items to be counted");
    // From 2 on: state of i items, k of them asked for; then one behind each item but the last.
    graph_begin(&g);
    g.n_states += (uint32_t)((last + 1) * marks);
    for (int i = 0; i <= last && !b->failed; i++) {
        struct set plain = {0}, asked = {0};
        item_set(a, (size_t)i < a->n_prefix ? (size_t)i : a->n_prefix, &plain);
        item_set(a, (size_t)i < a->n_prefix ? (size_t)i : a->n_prefix, &asked);
        set_add(x, &asked, a->contains);
        bool more = i < last || (a->max < 0 && i == last);
        const struct gram_node *item = schema_set(x, &plain), *mark = schema_set(x, &asked);
        for (int k = 0; k < marks; k++) {
            uint32_t at = 2 + (uint32_t)(i * marks + k);
            if (i >= a->min && k == a->least)
                graph_add(b, &g, at, 1, i ? json_ws(b) : NULL);
            if (!more)
                continue;
            int to = int_min(i + 1, last);
            uint32_t next = graph_state(&g);
            graph_add(b, &g, at, next, i ? comma : NULL);
            graph_add(b, &g, next, 2 + (uint32_t)(to * marks + k), item);
            if (k < a->least)
                graph_add(b, &g, next, 2 + (uint32_t)(to * marks + k + 1), mark);
        }
    }
    graph_add(b, &g, 0, 2, NULL);
    return node_graph(b, &g);
}

/* Each of a few values at most once, in any order: states are sets of those used. */
static const struct gram_node *unique_items(struct arrays *a, const json_t *whose)
{
    struct schemas *x = a->x;
    struct gram_build *b = x->b;
    struct set item = {0};
    const struct gram_node *values[UNIQUE_MAX];
    const struct gram_node *comma = gram_seq2(b, gram_lit(b, STR(",")), json_ws(b));
    uint32_t n = 0;
    struct err e;
    item_set(a, 0, &item);
    json_t *list = NULL;
    for (size_t i = 0; i < item.n && !list; i++) {
        const json_t *m = item.m[i].schema;
        if (json_object_get(m, "enum"))
            list = json_incref(json_object_get(m, "enum"));
        else if (json_object_get(m, "const"))
            list = json_pack("[O]", json_object_get(m, "const"));
        else if (json_object_get(m, "type") && !(schema_types(json_object_get(m, "type")) &
                                                 ~(unsigned)(TYPE_BOOLEAN | TYPE_NULL)))
            list = json_pack("[bbn]", 1, 0);
    }
    bool fits = list && a->n_prefix == 0 && !a->contains;
    for (size_t i = 0; fits && i < json_array_size(list); i++) {
        json_t *v = json_array_get(list, i);
        bool taken = false;
        for (size_t k = 0; k < item.n; k++)
            taken = taken || !valid_value(x->root, item.m[k].schema, v, &e);
        for (size_t k = 0; k < i; k++)
            taken = taken || json_equal(json_array_get(list, k), v);
        if (taken)
            continue;
        if (n == UNIQUE_MAX)
            fits = false;
        else
            values[n++] = json_literal(b, v, x->style);
    }
    json_decref(list);
    if (!fits)
        return schema_bad(x, whose, "uniqueItems",
                          "can be enforced for items that are one of at most %d values",
                          (int)UNIQUE_MAX);
    struct graph g;
    graph_begin(&g);
    uint32_t subsets = 1u << n;
    g.n_states += 2 * subsets; // 2 + 2 * used: after an item; the next: after its comma
    for (uint32_t used = 0; used < subsets; used++) {
        uint32_t at = 2 + 2 * used;
        int count = __builtin_popcount(used);
        if (count >= a->min)
            graph_add(b, &g, at, 1, count ? json_ws(b) : NULL);
        if (a->max >= 0 && count >= a->max)
            continue;
        graph_add(b, &g, at, at + 1, count ? comma : NULL);
        for (uint32_t v = 0; v < n; v++)
            if (!(used >> v & 1))
                graph_add(b, &g, at + 1, 2 + 2 * (used | 1u << v), values[v]);
    }
    graph_add(b, &g, 0, 2, NULL);
    return node_graph(b, &g);
}

/* First items, then as many further ones as the bounds say. */
static const struct gram_node *plain_items(struct arrays *a)
{
    struct schemas *x = a->x;
    struct gram_build *b = x->b;
    const struct gram_node *comma = gram_seq2(b, gram_lit(b, STR(",")), json_ws(b));
    const struct gram_node *out = NULL; // from the back: what follows the first i items
    int prefix = (int)a->n_prefix;
    if (a->max < 0 || a->max > prefix) {
        struct set further = {0};
        item_set(a, a->n_prefix, &further);
        const struct gram_node *item = schema_set(x, &further);
        const struct gram_node *more = gram_seq2(b, comma, item);
        int min = int_max(a->min - prefix, 0), max = a->max < 0 ? -1 : a->max - prefix;
        if (prefix) {
            out = gram_repeat(b, more, min, max);
        } else {
            out = seq3(b, item, gram_repeat(b, more, int_max(min - 1, 0), max < 0 ? -1 : max - 1),
                       json_ws(b));
            return min ? out : gram_opt(b, out);
        }
    }
    for (int i = (a->max < 0 ? prefix : int_min(prefix, a->max)) - 1; i >= 0 && !b->failed; i--) {
        struct set s = {0};
        item_set(a, (size_t)i, &s);
        const struct gram_node *item = schema_set(x, &s);
        out = seq3(b, i ? comma : gram_lit(b, (str){NULL, 0}), item,
                   out ? out : gram_lit(b, (str){NULL, 0}));
        if (i == 0)
            out = gram_seq2(b, out, json_ws(b));
        if (i >= a->min)
            out = gram_opt(b, out);
    }
    return out ? out : gram_lit(b, (str){NULL, 0});
}

const struct gram_node *schema_array(struct schemas *x, const struct set *s)
{
    struct arrays a = {.x = x, .s = s};
    struct gram_build *b = x->b;
    const json_t *unique = NULL;
    if (!read_keywords(&a))
        return node_fail(b);
    if (a.max >= 0 && a.max < a.min)
        return node_fail(b);
    for (size_t i = 0; i < s->n && !unique; i++)
        if (json_is_true(json_object_get(s->m[i].schema, "uniqueItems")))
            unique = s->m[i].schema;
    const struct gram_node *items;
    if (unique && (a.max < 0 || a.max > 1))
        items = unique_items(&a, unique);
    else if (a.contains)
        items = counted_items(&a);
    else
        items = plain_items(&a);
    return gram_seq(b,
                    (const struct gram_node *const[]){gram_lit(b, STR("[")), json_ws(b), items,
                                                      gram_lit(b, STR("]"))},
                    4);
}
