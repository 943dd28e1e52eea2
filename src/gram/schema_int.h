/* gram/schema_int.h - what the schema_*.c files share.
 *
 * A place where a value stands is described by a set of schemas that all apply to it (through $ref,
 * allOf, properties of several of them ...).  Equal sets are one rule, so recursion ends.  Where a
 * set has alternatives (anyOf ...), it becomes one set for each.  What is left are types with
 * their keywords. */
#ifndef GRAM_SCHEMA_INT_H
#define GRAM_SCHEMA_INT_H

#include "gram/gram_int.h"

#include "json/json.h"

#include <uthash.h>

enum { SCHEMAS_MAX = 400, SETS_MAX = 6000, BRANCHES_MAX = 512, SCHEMA_NEST_MAX = 100 };

/* Which alternatives of a schema have been chosen already. */
enum { DONE_ANY_OF = 1, DONE_ONE_OF = 2 };

struct member {
    const json_t *schema; // an object
    unsigned done;
};

struct set {
    struct member *m; // [n], in the order in which they apply
    size_t n, cap;
    bool never; // false is one of them
};

struct set_rule {
    UT_hash_handle hh; // by key
    struct member *key;
    const struct gram_node *rule;
};

/* Schemas that stand for others: what `not`, `if` and dependencies come to. */
struct stand_in {
    UT_hash_handle hh; // by of
    const json_t *of;
    json_t *made; // owned; array of schemas
};

struct known_dfa {
    UT_hash_handle hh; // by the pattern's text
    const struct dfa *dfa;
};

struct known_count {
    UT_hash_handle hh; // by key
    char key[48];
    const struct gram_node *node;
};

struct schemas {
    struct gram_build *b;
    const json_t *root;
    enum gram_style style;
    struct set_rule *rules;
    size_t n_rules;
    struct stand_in *stand_ins;
    struct known_dfa *patterns;
    struct known_count *counts;
    json_t *kept; // owned; array of schemas made on the way
    int depth;
};

/* Holds a schema that was made until the end.  Takes it. */
void schema_keep(struct schemas *x, json_t *made);

/* schema.c */
void set_add(struct schemas *x, struct set *s, const json_t *schema);
void set_add_member(struct schemas *x, struct set *s, struct member m);
/* What the set describes.  Takes nothing. */
const struct gram_node *schema_set(struct schemas *x, const struct set *s);
const struct gram_node *schema_one(struct schemas *x, const json_t *schema);

/* schema_refs.c */
/* ERR_INPUT at the keyword of this schema (or the schema itself: NULL). */
const struct gram_node *schema_bad(struct schemas *x, const json_t *schema, const char *keyword,
                                   const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Where a part of root stands, as JSON pointer. */
bool schema_pointer(const json_t *root, const json_t *part, struct buf *out);
/* NULL: failed. */
const json_t *schema_ref(struct schemas *x, const json_t *schema, const char *keyword);
/* The same without errors, for reading by others; NULL: not found. */
const json_t *ref_target(const json_t *root, str ref);
/* Checks the forms of all keywords. */
bool schema_check(struct schemas *x, const json_t *schema);

/* valid.c: the value of valid_text; the same errors. */
bool valid_value(const json_t *root, const json_t *schema, const json_t *v, struct err *e);

/* schema_not.c */
/* A schema for what this one refuses: new reference, or NULL (no error). */
json_t *schema_negate(struct schemas *x, const json_t *schema, int depth);
/* No value fits both. */
bool schema_disjoint(struct schemas *x, const json_t *a, const json_t *b, int depth);
/* Further schemas that if, not and dependencies of this one stand for; an array, or NULL. */
const json_t *schema_stand_ins(struct schemas *x, const json_t *schema);

/* schema_text.c */
enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_OBJECT = 4,
    TYPE_ARRAY = 8,
    TYPE_INTEGER = 16,
    TYPE_FRACTION = 32, // a number that is none
    TYPE_STRING = 64,
    TYPE_ALL = 127
};
unsigned schema_types(const json_t *type); // of the value of "type"; TYPE_ALL for NULL
const struct gram_node *schema_string(struct schemas *x, const struct set *s);
const struct gram_node *schema_number(struct schemas *x, const struct set *s, bool integer);
/* The decoded texts that the set's strings are; NULL with *any: all (or failed). */
const struct dfa *schema_string_dfa(struct schemas *x, const struct set *s, bool *any);
const struct dfa *schema_pattern(struct schemas *x, const json_t *schema, const char *keyword,
                                 str pattern);

/* schema_object.c, schema_array.c */
const struct gram_node *schema_object(struct schemas *x, const struct set *s);
const struct gram_node *schema_array(struct schemas *x, const struct set *s);

/* A count among keywords: the largest of all `least`, the smallest otherwise; -1: none. */
int schema_count(struct schemas *x, const struct set *s, const char *keyword, bool least,
                 const json_t **whose);

#endif
