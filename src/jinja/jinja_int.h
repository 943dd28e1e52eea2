/* jinja/jinja_int.h - what the files of this room share: values, the syntax tree, a render.
 *
 * Flow: lex.c (text -> tokens), parse.c and parse_expr.c (-> tree), exec.c and eval.c (walk it).
 * A compiled template is immutable; everything a render makes lives in the render's arena.
 * Fallible functions return false with the render's error set, its place being that of the node
 * under evaluation. */
#ifndef JINJA_JINJA_INT_H
#define JINJA_JINJA_INT_H

#include "jinja/jinja.h"

#define JINJA_SOURCE_MAX ((size_t)1 << 20) // bytes of a template
#define JINJA_TEXT_MAX   ((size_t)1 << 30) // bytes of one string
#define JINJA_TREE_DEPTH 400               // of a syntax tree
#define JINJA_NEST_MAX   1200              // native calls on top of each other in a render

/* ---- Values ---- */

enum kind {
    KIND_MISSING, // an argument that was not given
    KIND_UNDEFINED,
    KIND_NONE,
    KIND_BOOL,
    KIND_INT,
    KIND_FLOAT,
    KIND_STR,
    KIND_LIST,
    KIND_TUPLE,
    KIND_DICT,
    KIND_VIEW, // dict.keys(), .values(), .items()
    KIND_RANGE,
    KIND_ITER, // a generator: can be walked once
    KIND_NAMESPACE,
    KIND_MACRO,
    KIND_BUILTIN, // a global function or a bound method
    KIND_LOOP,
    KIND_CYCLER,
    KIND_JOINER,
    KIND_SLICE, // only as an argument of a subscription
};

enum view { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS };

struct text;
struct list;
struct dict;
struct range;
struct iter;
struct macro;
struct loop;
struct bound;
struct why;

struct value {
    enum kind kind;
    enum view view; // KIND_VIEW
    union {
        bool b;
        int64_t i;
        double f;
        const struct text *s;
        struct list *l; // LIST, TUPLE, CYCLER, JOINER, SLICE (three items)
        struct dict *d; // DICT, VIEW, NAMESPACE
        struct range *r;
        struct iter *it;
        struct macro *m;
        struct loop *loop;
        const struct bound *fn;
        const struct why *why; // UNDEFINED; may be NULL
    };
};

/* A run of bytes with one provenance, up to `end`. */
struct trun {
    uint32_t end;
    bool trusted;
};

/* An immutable string: valid UTF-8. */
struct text {
    const char *p;
    uint32_t n;
    uint32_t n_chars; // code points
    bool trusted;     // of all bytes, when n_runs == 0
    bool markup;      // went through `escape` or `safe`
    uint32_t n_runs;
    const struct trun *runs; // cover all bytes
};

struct list {
    struct value *v;
    size_t n, cap;
    bool group; // a tuple made by groupby: has .grouper and .list
    size_t pos; // cycler, joiner: calls so far; loop: items visited
};

struct dict_entry {
    struct value key, val;
    uint64_t hash;
};

/* Insertion-ordered. */
struct dict {
    struct dict_entry *e;
    size_t n, cap;
    uint32_t *index; // [n_index], entry + 1; NULL while small
    size_t n_index;
};

struct range {
    int64_t from, to, step;
    size_t n;
};

/* Why a value is undefined: "'name' is undefined", "... has no attribute 'name'". */
struct why {
    const char *hint; // NULL, or the whole message
    struct value of;  // KIND_MISSING for a variable
    struct value name;
};

/* ---- Syntax tree ---- */

enum node_kind {
    // expressions
    NODE_CONST,
    NODE_NAME,    // sym
    NODE_TUPLE,   // kids
    NODE_LIST,    // kids
    NODE_DICT,    // kids: key, value, key, value ...
    NODE_ATTR,    // a . sym
    NODE_ITEM,    // a [ b ]
    NODE_SLICE,   // a : b : c, each may be NULL
    NODE_CALL,    // a ( args )
    NODE_FILTER,  // a | fn ( args ); a NULL in filter blocks
    NODE_TEST,    // a is fn ( args )
    NODE_NOT,     // a
    NODE_NEG,     // a
    NODE_POS,     // a
    NODE_AND,     // a, b
    NODE_OR,      // a, b
    NODE_BINARY,  // a op b
    NODE_CONCAT,  // kids
    NODE_COMPARE, // kids[0] ops[0] kids[1] ops[1] kids[2] ...
    NODE_COND,    // b if a else c; c may be NULL
    NODE_NSREF,   // sym . sym2, as a target
    // statements
    NODE_DATA,         // val
    NODE_PRINT,        // a
    NODE_BODY,         // kids
    NODE_FOR,          // a target, b iterable, c filter; kids[0] body, kids[1] else or NULL
    NODE_IF,           // a test, b then, c else (may be NULL; an IF for elif)
    NODE_SET,          // a target, b value
    NODE_SET_BLOCK,    // a target, b body, c filter chain or NULL
    NODE_MACRO,        // sym, macro
    NODE_CALL_BLOCK,   // a call, macro
    NODE_FILTER_BLOCK, // a filter chain, b body
    NODE_WITH,         // kids: target, value, target, value ...; b body
    NODE_SCOPE,        // a body in a scope of its own (generation, block)
    NODE_BREAK,
    NODE_CONTINUE,
};

enum op {
    OP_ADD,
    OP_SUB,
    OP_MUL,
    OP_DIV,
    OP_FLOORDIV,
    OP_MOD,
    OP_POW,
    OP_EQ,
    OP_NE,
    OP_LT,
    OP_LE,
    OP_GT,
    OP_GE,
    OP_IN,
    OP_NOT_IN
};

struct node;

/* Names that a scope hides from the start (names.c). */
struct hidden {
    int n;
    int sym[];
};

struct call_args {
    struct node **pos;
    int n_pos;
    int *kw_sym;
    struct node **kw;
    int n_kw;
    struct node *star, *star2; // *args, **kwargs; may be NULL
};

struct signature {
    int *sym; // [n] parameter names
    int n;
    struct node **defaults; // [n_defaults], for the last parameters
    int n_defaults;
    bool wants_caller, wants_kwargs, wants_varargs;
    bool takes_caller; // "caller" is one of the parameters
    struct node *body;
    struct hidden *hidden; // may be NULL, here and below
};

struct builtin;

struct node {
    uint8_t kind, op;
    bool recursive;
    uint16_t depth; // of the tree below
    int sym, sym2;
    uint32_t at; // byte offset in the source
    int n;
    struct node **kids;
    uint8_t *ops;
    struct node *a, *b, *c;
    struct value val;
    struct call_args *args;
    struct signature *macro;
    const struct builtin *fn;
    struct hidden *hidden, *hidden2; // of the scope that starts here; of a loop's else
};

struct jinja {
    struct arena arena;
    str src; // newlines made \n
    struct node *root;
    struct hidden *hidden;
    str *syms;              // [n_syms] names, by symbol number
    struct value *sym_text; // the same as values
    int n_syms, cap_syms;
    uint32_t *sym_index; // [n_sym_index], symbol + 1
    size_t n_sym_index;
    struct value *strings; // every string literal
    size_t n_strings, cap_strings;
};

/* Symbols that the walker itself knows; interned first, in this order. */
enum { SYM_LOOP, SYM_CALLER, SYM_KWARGS, SYM_VARARGS, SYM_SELF };

/* ---- Tokens (lex.c) ---- */

enum token_type {
    TOK_EOF,
    TOK_DATA,
    TOK_VAR_BEGIN,
    TOK_VAR_END,
    TOK_BLOCK_BEGIN,
    TOK_BLOCK_END,
    TOK_NAME,
    TOK_STRING, // text: without escapes
    TOK_INT,
    TOK_FLOAT,
    TOK_OP // op: its one or two characters
};

#define OP2(a, b) ((a) << 8 | (b)) // token of two characters

struct token {
    enum token_type type;
    int op;
    uint32_t at;
    str text;
    int64_t i;
    double f;
};

/* Splits t->src into *out [*n], ended by TOK_EOF; release with mem_free.  Texts live in t. */
MUST_CHECK bool jinja_lex(struct jinja *t, struct token **out, size_t *n, struct err *e);

/* Fills t->root from t->src. */
MUST_CHECK bool jinja_parse(struct jinja *t, struct err *e);

/* Fills the `hidden` of all scopes. */
MUST_CHECK bool jinja_names(struct jinja *t, struct err *e);

/* A parse error with line and column of byte `at`. */
bool jinja_lex_fail(const struct jinja *t, size_t at, struct err *e, enum err_code code,
                    const char *fmt, ...) PRINTF_LIKE(5, 6);

/* ---- Parser state, shared by parse.c and parse_expr.c ---- */

struct parser {
    struct jinja *t;
    struct err *e;
    const struct token *tok; // current
    const struct token *end; // TOK_EOF
    int depth;
    int loops; // enclosing loops that break and continue may leave
    int soft;  // enclosing branches: unknown filters are errors only when reached
    struct signature *macros[32]; // enclosing macros
    int n_macros;
};

struct node *jinja_parse_new(struct parser *p, enum node_kind kind, uint32_t at);
bool jinja_parse_seal(struct parser *p, struct node *n); // sets and checks n->depth
bool jinja_parse_enter(struct parser *p);                // counts nesting; pair with leave
void jinja_parse_leave(struct parser *p);
bool jinja_parse_push(struct parser *p, struct node *n, struct node *kid);
bool jinja_parse_is(const struct parser *p, int op);
bool jinja_parse_is_name(const struct parser *p, const char *name);
bool jinja_parse_skip(struct parser *p, int op);
bool jinja_parse_skip_name(struct parser *p, const char *name);
bool jinja_parse_expect(struct parser *p, int op);
bool jinja_parse_fail(struct parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
int jinja_parse_sym(struct parser *p, str name);     // -1 past the arena's cap
int jinja_sym_find(const struct jinja *t, str name); // -1 when unknown

enum { TUPLE_SIMPLE = 1, TUPLE_NO_COND = 2, TUPLE_PARENS = 4 };
struct node *jinja_parse_expr(struct parser *p);
struct node *jinja_parse_tuple(struct parser *p, int flags, const char *end_name);
struct node *jinja_parse_filters(struct parser *p, struct node *of, bool first_inline);

/* ---- A render ---- */

struct bind {
    int sym;
    struct value val;
};

struct scope {
    struct scope *up;
    struct bind *b;
    int n, cap;
    bool captured; // a macro remembers it: do not reuse
};

struct sink;

struct render {
    const struct jinja *t;
    struct arena *a;
    struct err *e;
    struct jinja_limits limits;
    uint64_t steps;
    int depth, nest;
    int64_t now;
    uint32_t at; // offset of the node under evaluation
    struct scope *globals;
    struct sink *out;
};

/* ---- Errors and limits (run.c) ---- */

bool jinja_fail(struct render *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool jinja_fail_limit(struct render *r, const char *what);
bool jinja_step(struct render *r, size_t n); // counts work: nodes, items, 32 bytes of text
bool jinja_enter(struct render *r);          // counts native nesting
void jinja_leave(struct render *r);
void *jinja_alloc(struct render *r, size_t n, size_t size); // zeroed; NULL with the error set

/* ---- Text (text.c) ---- */

/* Builds a string or the output; keeps provenance.  Failure is sticky. */
struct sink {
    struct render *r;
    char *p;
    size_t n, cap, max;
    struct trun *runs;
    size_t n_runs, cap_runs;
    bool failed;
};

void jinja_sink_init(struct sink *s, struct render *r);
void jinja_sink_put(struct sink *s, str bytes, bool trusted);
void jinja_sink_c(struct sink *s, const char *text); // trusted
void jinja_sink_fill(struct sink *s, char c, int64_t n, bool trusted);
void jinja_sink_text(struct sink *s, const struct text *t, size_t from, size_t n);
void jinja_sink_all(struct sink *s, const struct text *t);
MUST_CHECK bool jinja_sink_end(struct sink *s, struct value *out);

MUST_CHECK bool jinja_text_make(struct render *r, str bytes, bool trusted, struct value *out);
MUST_CHECK bool jinja_text_sub(struct render *r, const struct text *t, size_t from, size_t n,
                               struct value *out);
bool jinja_text_trust_at(const struct text *t, size_t at);
bool jinja_text_trusted(const struct text *t);                // all of it
size_t jinja_text_offset(const struct text *t, size_t chars); // byte offset of a code point
/* Byte offset of the first match, or -1. */
MUST_CHECK bool jinja_text_find(struct render *r, str in, const struct text *what, ptrdiff_t *at);
str jinja_text_str(const struct text *t);
uint32_t jinja_text_count(str s); // code points of valid UTF-8

/* Characters as Python sees them (unicode.c). */
bool jinja_char_space(int32_t c);
bool jinja_char_word(int32_t c); // \w
bool jinja_char_alpha(int32_t c);
bool jinja_char_decimal(int32_t c);
bool jinja_char_digit(int32_t c);
bool jinja_char_numeric(int32_t c);
bool jinja_char_printable(int32_t c);
bool jinja_char_upper(int32_t c);
bool jinja_char_lower(int32_t c);
bool jinja_char_title(int32_t c);
enum casing { CASE_UPPER, CASE_LOWER, CASE_TITLE, CASE_FOLD };
size_t jinja_char_map(int32_t c, enum casing to, int32_t out[3]);
MUST_CHECK bool jinja_text_case(struct render *r, const struct text *t, enum casing to,
                                struct value *out);
MUST_CHECK bool jinja_text_title(struct render *r, const struct text *t, struct value *out);
MUST_CHECK bool jinja_text_swapcase(struct render *r, const struct text *t, struct value *out);
MUST_CHECK bool jinja_text_capitalize(struct render *r, const struct text *t, struct value *out);

/* ---- Values (value.c) ---- */

static inline struct value jinja_none(void)
{
    return (struct value){.kind = KIND_NONE};
}

static inline struct value jinja_bool(bool b)
{
    return (struct value){.kind = KIND_BOOL, .b = b};
}

static inline struct value jinja_int(int64_t i)
{
    return (struct value){.kind = KIND_INT, .i = i};
}

static inline struct value jinja_float(double f)
{
    return (struct value){.kind = KIND_FLOAT, .f = f};
}

static inline struct value jinja_str(const struct text *t)
{
    return (struct value){.kind = KIND_STR, .s = t};
}

struct value jinja_undefined(void);
MUST_CHECK bool jinja_undef_name(struct render *r, struct value name, struct value *out);
MUST_CHECK bool jinja_undef_attr(struct render *r, struct value of, struct value name,
                                 struct value *out);
struct value jinja_undef_hint(struct render *r, const char *hint);
bool jinja_fail_undef(struct render *r, struct value v);

MUST_CHECK bool jinja_list_new(struct render *r, enum kind kind, size_t cap, struct value *out);
MUST_CHECK bool jinja_list_push(struct render *r, struct list *l, struct value v);
MUST_CHECK bool jinja_pair(struct render *r, struct value a, struct value b, struct value *out);

MUST_CHECK bool jinja_dict_new(struct render *r, struct value *out);
MUST_CHECK bool jinja_dict_set(struct render *r, struct dict *d, struct value k, struct value v);
/* *found is NULL when absent.  Unhashable keys fail. */
MUST_CHECK bool jinja_dict_get(struct render *r, const struct dict *d, struct value k,
                               struct value **found);
struct value *jinja_dict_find(const struct dict *d, str key);

bool jinja_hashable(struct value v);
bool jinja_is_true(struct value v);
bool jinja_is_number(struct value v);
bool jinja_same(struct value a, struct value b); // `is`
bool jinja_as_int(struct value v, int64_t *out); // int or bool
double jinja_as_double(struct value v);          // int, bool or float
const char *jinja_type_name(struct value v);
bool jinja_has_len(struct value v, int64_t *n);
MUST_CHECK bool jinja_eq(struct render *r, struct value a, struct value b, bool *out);
/* Python's `a op b` for an ordering; TypeError fails. */
MUST_CHECK bool jinja_order(struct render *r, enum op op, struct value a, struct value b,
                            bool *out);
MUST_CHECK bool jinja_contains(struct render *r, struct value item, struct value in, bool *out);

/* Walking. */
struct walk {
    struct value of;
    size_t pos;
    struct dict *d;
    size_t byte; // strings
};
MUST_CHECK bool jinja_walk(struct render *r, struct value of, struct walk *w);
/* *more false at the end. */
MUST_CHECK bool jinja_next(struct render *r, struct walk *w, struct value *out, bool *more);
MUST_CHECK bool jinja_to_list(struct render *r, struct value of, enum kind kind, struct value *out);

/* A generator whose work is done when it is first walked. */
typedef bool (*iter_fn)(struct render *r, struct iter *it, struct list *out);
struct iter {
    iter_fn fill; // NULL once filled
    struct value self;
    struct args *args;
    const char *name; // shown when printed
    bool negate, attr;
    struct list *items;
    size_t pos;
};
MUST_CHECK bool jinja_iter_fill(struct render *r, struct iter *it);

/* ---- Printing (show.c) ---- */

void jinja_show(struct sink *s, struct value v); // str(v)
void jinja_repr(struct sink *s, struct value v); // repr(v)
MUST_CHECK bool jinja_to_str(struct render *r, struct value v, struct value *out);
size_t jinja_float_text(char out[40], double f); // repr of a float

/* ---- Operators and look-ups (ops.c, lookup.c) ---- */

MUST_CHECK bool jinja_binary(struct render *r, enum op op, struct value a, struct value b,
                             struct value *out);
MUST_CHECK bool jinja_compare(struct render *r, enum op op, struct value a, struct value b,
                              bool *out);
MUST_CHECK bool jinja_negate(struct render *r, struct value a, bool minus, struct value *out);
MUST_CHECK bool jinja_attr(struct render *r, struct value of, struct value name, struct value *out);
MUST_CHECK bool jinja_item(struct render *r, struct value of, struct value key, struct value *out);
MUST_CHECK bool jinja_escape(struct render *r, struct value v, struct value *out);
MUST_CHECK bool jinja_mark(struct render *r, struct value *v); // a string: sets its markup flag
/* What a method of `of` made (a string, or a list or tuple of them) is markup if `of` is. */
MUST_CHECK bool jinja_mark_like(struct render *r, struct value of, struct value *v);
MUST_CHECK bool jinja_percent(struct render *r, const struct text *fmt, struct value args,
                              struct value *out);
struct args;
MUST_CHECK bool jinja_format(struct render *r, const struct text *fmt, const struct args *args,
                             const struct dict *named, struct value *out);

/* ---- Calls (call.c) ---- */

struct kwarg {
    struct value name; // a string
    struct value val;
};

struct args {
    struct value *pos;
    size_t n_pos;
    struct kwarg *kw;
    size_t n_kw;
};

#define JINJA_SLOTS 8

/* A built-in filter, test, method or global.
 *   params  names in order, blank-separated; those before "/" are positional only; "*" takes the
 *           rest unbound (the function reads *args itself)
 *   need    how many of them must be given
 *   a       [JINJA_SLOTS], KIND_MISSING where not given */
typedef bool (*builtin_fn)(struct render *r, struct value self, struct value *a, struct args *args,
                           struct value *out);
struct builtin {
    const char *name;
    builtin_fn fn;
    const char *params;
    int need;
    int tag; // what the function does, when several share it
};

/* A method with its object, or a global (self KIND_MISSING). */
struct bound {
    const struct builtin *fn;
    struct value self;
};

MUST_CHECK bool jinja_builtin_call(struct render *r, const struct builtin *fn, struct value self,
                                   struct args *args, struct value *out);
MUST_CHECK bool jinja_call(struct render *r, struct value fn, struct args *args, struct value *out);
MUST_CHECK bool jinja_macro_call(struct render *r, struct macro *m, struct args *args,
                                 struct value *out);
MUST_CHECK bool jinja_loop_call(struct render *r, struct loop *l, struct args *args,
                                struct value *out);

/* String operations that methods and filters share (text_ops.c).  Offsets are in bytes. */
enum { STRIP_LEFT = 1, STRIP_RIGHT = 2 };
MUST_CHECK bool jinja_text_strip(struct render *r, const struct text *t, struct value chars,
                                 int sides, struct value *out);
MUST_CHECK bool jinja_text_replace(struct render *r, const struct text *t, const struct text *old,
                                   const struct text *with, int64_t count, struct value *out);
MUST_CHECK bool jinja_text_lines(struct render *r, const struct text *t, bool keep_ends,
                                 struct list *out);
MUST_CHECK bool jinja_text_pad(struct render *r, const struct text *t, int64_t left, int64_t right,
                               const struct text *fill, struct value *out);
MUST_CHECK bool jinja_text_center(struct render *r, const struct text *t, int64_t width,
                                  const struct text *fill, struct value *out);

/* Attribute paths: "a.b.0" (filters.c). */
struct path {
    struct value parts[16];
    size_t n;
    bool fold;            // strings become lower case
    struct value missing; // in place of what is undefined; KIND_MISSING: stays undefined
};
MUST_CHECK bool jinja_path_make(struct render *r, struct value attribute, bool fold,
                                struct path *out);
MUST_CHECK bool jinja_path_get(struct render *r, const struct path *p, struct value of,
                               struct value *out);

/* Arguments of a kind; `missing` (or `none`) stands for what was not given. */
MUST_CHECK bool jinja_arg_int(struct render *r, struct value v, const char *what, int64_t missing,
                              int64_t *out);
MUST_CHECK bool jinja_arg_int_or_none(struct render *r, struct value v, const char *what,
                                      int64_t none, int64_t *out);
MUST_CHECK bool jinja_arg_text(struct render *r, struct value v, const char *what,
                               const struct text **out);

/* Tables; NULL when unknown. */
extern const struct builtin jinja_filters_seq[], jinja_filters_text[], jinja_filters_value[];
extern const size_t jinja_n_filters_seq, jinja_n_filters_text, jinja_n_filters_value;
extern const struct builtin jinja_methods_str[];
extern const size_t jinja_n_methods_str;
bool jinja_filter_tojson(struct render *r, struct value self, struct value *a, struct args *args,
                         struct value *out);
bool jinja_filter_wordwrap(struct render *r, struct value self, struct value *a, struct args *args,
                           struct value *out);
const struct builtin *jinja_table_find(const struct builtin *table, size_t n, str name);
const struct builtin *jinja_filter_find(str name);
const struct builtin *jinja_test_find(str name);
const struct builtin *jinja_method_find(enum kind kind, str name);
const struct builtin *jinja_global_find(str name);
bool jinja_method_unsafe(enum kind kind, str name); // changes a list or dict: refused

/* ---- Walking the tree (exec.c, eval.c) ---- */

struct macro {
    struct value name; // a string, or none
    const struct signature *sig;
    struct scope *scope;
};

/* A loop pulls its items when they are needed: its filter may look at what the body did. */
struct loop {
    const struct node *node;
    struct scope *scope; // around the loop
    struct walk walk;
    struct list *ahead; // pulled, from ahead->pos on not yet visited
    struct value prev, now;
    int64_t index0;
    int64_t length; // -1 until known
    int depth0;
    struct value changed; // tuple of the last call of loop.changed
};

enum flow { FLOW_FAIL, FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE };

struct scope *jinja_scope_new(struct render *r, struct scope *up);
/* A scope in `up` that hides these names (NULL: none). */
struct scope *jinja_scope_in(struct render *r, struct scope *up, const struct hidden *hidden);
MUST_CHECK bool jinja_scope_hide(struct render *r, struct scope *s, const struct hidden *hidden);
MUST_CHECK bool jinja_scope_set(struct render *r, struct scope *s, int sym, struct value v);
MUST_CHECK bool jinja_eval(struct render *r, const struct node *n, struct scope *s,
                           struct value *out);
MUST_CHECK bool jinja_eval_args(struct render *r, const struct call_args *in, struct scope *s,
                                struct args *out);
MUST_CHECK bool jinja_eval_filters(struct render *r, const struct node *n, struct scope *s,
                                   struct value input, struct value *out);
enum flow jinja_exec(struct render *r, const struct node *n, struct scope *s);
/* Runs the body with its output going to *out as a string. */
enum flow jinja_exec_capture(struct render *r, const struct node *n, struct scope *s,
                             struct value *out);
MUST_CHECK bool jinja_loop_attr(struct render *r, struct loop *l, str name, struct value *out,
                                bool *found);

#endif
