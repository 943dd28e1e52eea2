/* gram/gram_int.h - what the files of this room share.
 *
 * The way of a constraint: nodes (build.c; made by regex.c, gbnf.c, schema.c ...) -> an NFA for
 * each rule and from it a deterministic automaton over bytes, calls and control tokens (nfa.c) ->
 * struct gram (compile.c) -> sets of readings (walk.c) -> masks (mask.c). */
#ifndef GRAM_GRAM_INT_H
#define GRAM_GRAM_INT_H

#include "gram/gram.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdatomic.h>

/* Bounds.  Each is far past what people write and well below a second. */
enum {
    GRAM_MEMORY_MAX = 192 << 20,  // of a builder
    GRAM_WORK_MAX = 12000000,     // steps of building and compiling
    GRAM_NFA_MAX = 600000,        // states of one rule before it is made deterministic
    GRAM_STATES_MAX = 400000,     // of a grammar
    GRAM_RULES_MAX = 20000,       // called ones
    GRAM_NEST_MAX = 1000,         // nodes within nodes
    GRAM_DEPTH_MAX = 1000,        // frames of a reading
    GRAM_JSON_DEPTH = 120,        // the same where JSON is made: what readers of JSON take
    GRAM_READINGS_MAX = 4096,     // at once, with those in between
    GRAM_MASK_STEPS_MAX = 4000000 // of one mask
};

/* ---- vocab.c ---- */

/* The tree of tokens' bytes, in preorder: a node's children follow it, `end` is behind its last. */
struct tree_node {
    uint32_t end;
    int32_t token; // that ends here, or -1; more of the same bytes by gram_vocab.same
    uint16_t depth;
    uint8_t byte;
};

/* Rules that are the same in all grammars. */
enum { SHARED_NONE, SHARED_STRING, SHARED_CHAR, SHARED_INDENT, SHARED_KINDS, SHARED_STATES = 64 };

struct local;

struct gram_vocab {
    _Atomic int holders;
    struct local *_Atomic shared[SHARED_KINDS][SHARED_STATES]; // [kind - 1]
    int n;
    const str *pieces;
    bool *eog;              // [n]
    int32_t *same;          // [n] next token of the same bytes, or -1
    int32_t *eogs;          // [n_eogs]
    bool *text;             // [n] in the tree
    struct tree_node *tree; // [n_tree]; 0 is the root
    uint32_t n_tree;
    int max_depth;
};

/* ---- build.c ---- */

enum node_kind {
    NODE_EMPTY,
    NODE_FAIL,
    NODE_LIT,
    NODE_BYTE, // one byte of lo..hi
    NODE_CONTROL,
    NODE_SEQ,
    NODE_ALT,
    NODE_REPEAT,
    NODE_RULE,
    NODE_DFA,
    NODE_GRAPH
};

/* From a state to another by a node; state 0 is the start, 1 the end. */
struct graph_edge {
    uint32_t from, to;
    const struct gram_node *node;
};

struct dfa;

struct gram_node {
    enum node_kind kind;
    uint8_t lo, hi;
    bool json;     // NODE_DFA: reads the inside of a JSON string, and decodes escapes
    int min, max;  // NODE_REPEAT; max -1: no bound
    int32_t id;    // NODE_CONTROL
    uint32_t size; // about how many states it will have, saturating
    uint32_t rule; // NODE_RULE: its number in the builder
    str lit;
    const struct gram_node *const *nodes; // NODE_SEQ, NODE_ALT: [n]
    size_t n;
    const struct gram_node *body; // NODE_REPEAT; NODE_RULE: once defined
    const struct dfa *dfa;
    const struct graph_edge *edges; // NODE_GRAPH: [n]
    uint32_t n_states;
};

struct gram_build {
    const struct gram_vocab *vocab;
    struct arena arena;
    struct err err; // the first
    bool failed;
    uint64_t work;
    bool has_json;
    uint32_t n_rules;
    struct gram_node **rules; // [n_rules], at most GRAM_RULES_MAX
    size_t cap_rules;
    // Parts that are made once, when first used.
    const struct gram_node *ws, *indent, *json_char, *json_chars, *json_string, *utf8_any;
    const struct gram_node *json_value[2], *json_object[2], *json_array[2]; // by style
};

/* Keeps the first error.  Always returns false. */
bool build_fail(struct gram_build *b, enum err_code code, const char *where, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
/* Counts work; false (and failed) when there was too much, or after any error. */
bool build_work(struct gram_build *b, uint64_t n);
const struct gram_node *build_node(struct gram_build *b, struct gram_node n);
const struct gram_node *node_fail(struct gram_build *b);
const struct gram_node *node_byte(struct gram_build *b, int lo, int hi);
const struct gram_node *node_dfa(struct gram_build *b, const struct dfa *d, bool json);

/* A list of nodes that grows in the builder's arena. */
struct node_list {
    const struct gram_node **p;
    size_t n, cap;
};
void node_add(struct gram_build *b, struct node_list *l, const struct gram_node *node);
const struct gram_node *node_seq(struct gram_build *b, const struct node_list *l);
const struct gram_node *node_alt(struct gram_build *b, const struct node_list *l);

/* A graph under construction. */
struct graph {
    struct graph_edge *p;
    size_t n, cap;
    uint32_t n_states;
};
uint32_t graph_state(struct graph *g); // 0 and 1 are there from graph_begin
void graph_begin(struct graph *g);
void graph_add(struct gram_build *b, struct graph *g, uint32_t from, uint32_t to,
               const struct gram_node *node); // NULL: without a letter
const struct gram_node *node_graph(struct gram_build *b, const struct graph *g);

/* ---- set.c: sets of code points ---- */

struct cp_range {
    uint32_t lo, hi;
};
struct cp_set {
    struct cp_range *r;
    size_t n, cap;
};
void cp_add(struct gram_build *b, struct cp_set *s, uint32_t lo, uint32_t hi);
void cp_add_set(struct gram_build *b, struct cp_set *s, const struct cp_set *more);
void cp_normal(struct cp_set *s); // sorted, disjoint, without surrogates
void cp_invert(struct gram_build *b, struct cp_set *s);
/* One character of the set, as UTF-8. */
const struct gram_node *node_set(struct gram_build *b, struct cp_set *s);

/* ---- nfa.c ---- */

enum { EDGE_EPS, EDGE_BYTE, EDGE_CALL, EDGE_CONTROL };

struct nfa_edge {
    uint8_t kind, lo, hi;
    uint32_t to, arg; // arg: rule called, or token
    uint32_t next;    // of the same state; UINT32_MAX: none
};

struct nfa {
    uint32_t *first; // [n]
    size_t n, cap;
    struct nfa_edge *e;
    size_t n_e, cap_e;
    uint32_t start, end;
};

/* Edges of a finished state machine; a state's are contiguous. */
struct auto_edge {
    uint8_t lo, hi;
    uint32_t to;
};
struct auto_jump { // a call or a control token
    uint32_t arg, to;
};
struct auto_state {
    uint32_t edges, calls, controls; // where they begin
    uint32_t n_edges, n_calls, n_controls;
    bool accept;
};
struct autom {
    struct auto_state *s;
    size_t n, cap;
    struct auto_edge *e;
    size_t n_e, cap_e;
    struct auto_jump *c, *k;
    size_t n_c, cap_c, n_k, cap_k;
};

/* How rules and repetitions are taken: called (compile.c), or all written out (dfa.c). */
struct nfa_calls {
    void *arg;
    /* The number of the rule to call for this node (a NODE_RULE or NODE_REPEAT), or UINT32_MAX to
     * write it out. */
    uint32_t (*rule)(void *arg, const struct gram_node *n);
};

MUST_CHECK bool nfa_of_node(struct gram_build *b, const struct gram_node *n,
                            const struct nfa_calls *calls, struct nfa *out);
void nfa_free(struct nfa *n);
/* Deterministic by subsets (calls and control tokens are letters); when that grows past reason and
 * `loose` allows it, the NFA's own states instead, several of which may go on with one byte. */
MUST_CHECK bool nfa_subsets(struct gram_build *b, const struct nfa *n, bool loose,
                            struct autom *out);
void autom_free(struct autom *a);

/* ---- dfa.c: regular languages ---- */

/* Start is state 0; next is [n * n_cls], -1: dead. */
struct dfa {
    int n, n_cls;
    uint8_t cls[256];
    int32_t *next;
    bool *accept;
};
static inline int dfa_next(const struct dfa *d, int s, uint8_t byte)
{
    return d->next[(size_t)s * (size_t)d->n_cls + d->cls[byte]];
}
/* All live in the builder's arena; NULL after build_fail.  NULL goes in and out. */
const struct dfa *dfa_of_node(struct gram_build *b, const struct gram_node *n);
enum dfa_op { DFA_AND, DFA_OR, DFA_MINUS };
const struct dfa *dfa_product(struct gram_build *b, const struct dfa *x, const struct dfa *y,
                              enum dfa_op op);
bool dfa_is_empty(const struct dfa *d);
bool dfa_accepts(const struct dfa *d, str text);
/* Shortest and longest text in code points; longest -1: no bound, shortest -1: empty. */
void dfa_lengths(struct gram_build *b, const struct dfa *d, int *shortest, int *longest);
/* Without the marks that stand for the text's ends (see regex.c). */
const struct dfa *dfa_strip_ends(struct gram_build *b, const struct dfa *d);
/* Any bytes with min..max (-1: no bound) characters, counted by the bytes that begin one. */
const struct dfa *dfa_counted(struct gram_build *b, int min, int max);
const struct dfa *dfa_of_text(struct gram_build *b, str text);
/* From a function: states are words, explored from `start`; step gives the next one, or
 * UINT64_MAX; bytes from `alphabet` alone. */
const struct dfa *dfa_explore(struct gram_build *b, uint64_t start, const char *alphabet,
                              uint64_t (*step)(const void *arg, uint64_t s, char c),
                              bool (*accept)(const void *arg, uint64_t s), const void *arg);

/* ---- regex.c ---- */

enum regex_flavour { REGEX_PLAIN, REGEX_ECMA }; // ECMA: as JSON Schema's patterns
/* Text in which the pattern is found (search) or that it matches as a whole.  where: prefix of
 * error places; NULL: "1:column". */
const struct dfa *regex_dfa(struct gram_build *b, str pattern, enum regex_flavour flavour,
                            bool search, const char *where);

/* ---- text.c ---- */

const struct gram_node *node_utf8_any(struct gram_build *b); // one character

/* ---- json.c ---- */

const struct gram_node *json_ws(struct gram_build *b);
const struct gram_node *json_char(struct gram_build *b);  // one, of a string's inside
const struct gram_node *json_chars(struct gram_build *b); // any number
const struct gram_node *json_any_number(struct gram_build *b);
const struct gram_node *json_literal(struct gram_build *b, const json_t *v, enum gram_style style);
const struct gram_node *json_any_value(struct gram_build *b, enum gram_style style);
const struct gram_node *json_any_object(struct gram_build *b, enum gram_style style);
const struct gram_node *json_any_array(struct gram_build *b, enum gram_style style);

/* ---- number.c ---- */

struct num_bound {
    bool set, exclusive;
    double v;
};
/* The texts of numbers (or integers) between the bounds that are multiples of every m.  NULL:
 * failed, or *why says why it cannot be. */
const struct dfa *number_dfa(struct gram_build *b, bool integer, struct num_bound lo,
                             struct num_bound hi, const double *m, size_t n_m, const char **why);

/* ---- format.c ---- */

/* The language of a `format`, over the decoded text; NULL with *known false: no such format. */
const struct dfa *format_dfa(struct gram_build *b, str name, bool *known);

/* ---- compile.c ---- */

enum { STATE_ACCEPT = 1, STATE_PLAIN = 2, STATE_TAIL = 4, STATE_LETTERS = 8 };

struct gram_st {
    uint32_t edges, calls, controls;
    uint32_t n_edges, n_calls, n_controls;
    uint32_t rule;
    uint32_t flags; // PLAIN: needs no closure; TAIL: only returns; LETTERS: has edges or controls
};

struct gram_rule {
    uint32_t start, base; // state; the rule's first one
    int shared;           // its locals are the vocabulary's, of this kind
    bool counted;         // its text is repeated min..max times by a counter
    uint32_t min, max;    // max UINT32_MAX: no bound
};

struct gram {
    _Atomic int holders;
    const struct gram_vocab *vocab;
    struct gram_st *st; // [n_st]
    uint32_t n_st;
    struct auto_edge *e;
    struct auto_jump *c, *k;
    struct gram_rule *rules; // [n_rules]; 0 is the root
    uint32_t n_rules;
    uint32_t depth_max;            // frames
    size_t memory;                 // without locals
    _Atomic size_t n_local;        // bytes of locals
    struct local *_Atomic *locals; // [n_st], filled when first needed
    struct exits *_Atomic *exits;  // [n_st], of states of counted rules
};

/* ---- walk.c ---- */

struct frame {
    uint32_t parent, ret; // state to go on in
    uint32_t rep, count;  // the counted rule, or NO_REP
    uint32_t depth, chain;
};
#define NO_REP    UINT32_MAX
#define NO_FRAME  UINT32_MAX // too deep
#define RET_PROBE UINT32_MAX // the frame below a probe: counts without bounds (mask.c)

struct item {
    uint32_t s, f; // state, frame (0: bottom)
};

/* Frames, each once; 0 is the bottom. */
struct frames {
    struct frame *p;
    uint32_t n, cap;
    uint32_t *heads, n_heads; // hash chains
};

struct walk {
    const struct gram *g;
    struct frames frames;
    struct item *seen; // of the closure under way; at most GRAM_READINGS_MAX
    uint32_t n_seen, cap_seen;
    uint32_t *table, *stamps, stamp; // index of seen, once there are many
    bool ended;                      // the bottom was popped
    uint32_t *pops;                  // probe: how often the counted rule was complete, [n_pops]
    uint32_t n_pops, cap_pops;
    bool over;        // a bound was reached
    uint32_t deepest; // frame asked for, since the caller cleared it
    uint64_t steps;
    struct item *stack; // sets of the levels of a tree walk
    uint32_t n_stack, cap_stack;
    uint32_t *level_at, *level_n; // [max_depth + 2]
    int n_levels;
};

void walk_init(struct walk *w, const struct gram *g);
void walk_fini(struct walk *w);
void walk_copy_frames(struct frames *to, const struct frames *from);
/* A closure: begin, add what is reached, end; then the readings with letters are in `seen`. */
void walk_begin(struct walk *w);
void walk_add(struct walk *w, uint32_t s, uint32_t f);
void walk_pop(struct walk *w, uint32_t f);
void walk_close(struct walk *w);
/* The readings after one byte. */
void walk_step(struct walk *w, const struct item *from, uint32_t n, uint8_t byte);
/* NO_FRAME where the stack is as deep as it may be. */
uint32_t walk_frame(struct walk *w, struct frame f);
/* Frames made since n are forgotten. */
void walk_rewind(struct walk *w, uint32_t n);
/* Walks the tree below `node` from the readings in stack[0..n_stack), calling found for each node
 * reached: the set is what is left to read with, w->ended and w->pops tell what was complete. */
void walk_tree(struct walk *w, uint32_t node,
               void (*found)(struct walk *w, uint32_t node, const struct item *set, uint32_t n,
                             void *arg),
               void *arg);
/* The same for the node itself and what is below it. */
void walk_child(struct walk *w, uint32_t node,
                void (*found)(struct walk *w, uint32_t node, const struct item *set, uint32_t n,
                              void *arg),
                void *arg);

/* ---- mask.c ---- */

struct exits;
void local_free(struct local *l);
void exits_free(struct exits *x);
/* Fills the locals of states with many letters, so that no token waits for them. */
void mask_warm(struct gram *g);

struct gram_state {
    const struct gram *g;
    struct walk w;
    struct item *set, *next; // readings, sorted
    uint32_t n, cap_set, cap_next;
    bool may_end;
    // The last mask and what it was for.
    uint64_t *memo;
    int memo_count;
    struct item *memo_set;
    uint32_t memo_n, memo_cap;
    bool memo_end, memo_ok;
    struct walk probe; // for locals
};

/* ---- shared small things ---- */

/* Room for `need` elements; aborts without memory.  For what is bounded by the limits above. */
static inline void *vec_room(void *p, size_t *cap, size_t need, size_t size)
{
    if (need <= *cap)
        return p;
    *cap = need < 16 ? 16 : need + need / 2;
    return mem_realloc(p, *cap * size);
}

#endif
