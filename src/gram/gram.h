/* gram/gram.h - what a text may look like: one automaton over bytes, and the tokens it allows.
 *
 * In:      literals, JSON Schemas, regular expressions, GBNF grammars, put together as nodes.
 * Out:     a bit mask over the vocabulary for the next token.
 * Threads: struct gram_vocab and struct gram are immutable once made (they fill caches of their
 *          own, safely) and may be shared; a struct gram_build and a struct gram_state have one
 *          owner at a time.
 *
 * The automaton has a stack, so that JSON may nest, and counters, so that {0,100000} costs what
 * {0,1} costs.  It reads bytes; control tokens (which have no bytes) are letters of their own.
 * Everything is bounded: nodes, states, depth, the number of readings followed at once, steps and
 * time.  Reaching a bound is ERR_LIMIT, at compile time or when a token is tried. */
#ifndef GRAM_GRAM_H
#define GRAM_GRAM_H

#include "base/err.h"
#include "base/str.h"

#include <jansson.h>

/* ---- the vocabulary ---- */

struct gram_vocab;

/* Makes the tree of all tokens' bytes that masks are computed with.
 *   pieces   [n] bytes of each token, index = id; borrowed until the last drop.  Tokens without
 *            bytes are never allowed, unless they are control tokens that a grammar names
 *   control  [n] tokens that are no text whatever their bytes; NULL: none
 *   eog      [n] tokens that end the answer: allowed where the grammar may end, and only there
 *            (control or not); NULL: none
 * Cost: about 10 ms and 10 MB for 150 thousand tokens; once a model. */
struct gram_vocab *gram_vocab_new(const str *pieces, const bool *control, const bool *eog, int n);
struct gram_vocab *gram_vocab_hold(const struct gram_vocab *v); // returns v
void gram_vocab_drop(const struct gram_vocab *v);               // NULL is fine
int gram_vocab_n(const struct gram_vocab *v);

/* Words of a mask: bit i % 64 of word i / 64 is token i. */
static inline size_t gram_mask_words(int n_vocab)
{
    return ((size_t)n_vocab + 63) / 64;
}

/* ---- building ---- */

/* Nodes live in the builder and are immutable; one may be used in many places.  Errors stick: after
 * one, every call returns some node, and gram_compile fails with the first error.  So only
 * gram_compile needs to be checked.  NULL as an argument counts as such an error. */
struct gram_build;
struct gram_node;

struct gram_build *gram_build_new(const struct gram_vocab *v); // holds v
void gram_build_free(struct gram_build *b);                    // NULL is fine

const struct gram_node *gram_lit(struct gram_build *b, str bytes); // empty: the empty text
/* The control (or any other) token of this id, as a token. */
const struct gram_node *gram_control(struct gram_build *b, int32_t id);
const struct gram_node *gram_seq(struct gram_build *b, const struct gram_node *const *nodes,
                                 size_t n);
const struct gram_node *gram_alt(struct gram_build *b, const struct gram_node *const *nodes,
                                 size_t n); // n == 0: nothing matches
/* min <= times <= max; max < 0: no bound. */
const struct gram_node *gram_repeat(struct gram_build *b, const struct gram_node *node, int min,
                                    int max);
const struct gram_node *gram_opt(struct gram_build *b, const struct gram_node *node);
const struct gram_node *gram_seq2(struct gram_build *b, const struct gram_node *first,
                                  const struct gram_node *second);
const struct gram_node *gram_alt2(struct gram_build *b, const struct gram_node *one,
                                  const struct gram_node *other);

/* A node to be defined later, for recursion.  One that is never defined is an error. */
const struct gram_node *gram_rule(struct gram_build *b);
void gram_define(struct gram_build *b, const struct gram_node *rule, const struct gram_node *node);

/* Any text (of any bytes, no control tokens), also none. */
const struct gram_node *gram_text(struct gram_build *b);
/* Any text up to and including the first place where one of these stands; none empty. */
const struct gram_node *gram_until(struct gram_build *b, const str *ends, size_t n);
/* Any text in which none of these stands, also none. */
const struct gram_node *gram_without(struct gram_build *b, const str *ends, size_t n);

/* How values are spelled: as JSON, or with Python's True, False, None. */
enum gram_style { GRAM_JSON, GRAM_PYTHON };

/* Any JSON object / value / string.  Between two tokens of JSON stand nothing, one blank, or a line
 * break and an indent; none before a comma or colon, none around the whole. */
const struct gram_node *gram_json_object(struct gram_build *b);
const struct gram_node *gram_json_value(struct gram_build *b);
const struct gram_node *gram_json_string(struct gram_build *b); // with its quotes

/* A value that a JSON Schema (2020-12) accepts, with the white space of gram_json_object.
 *   root   borrowed until gram_build_free; references are looked up in it
 *   at     the schema to follow, a part of root; NULL: root itself
 *   ERR_INPUT, where = JSON pointer (from root) to the keyword that cannot be enforced or is wrong
 * Properties come in the order in which they are written; where `properties` are given and
 * `additionalProperties` is not, there are no others.  docs/constraints.md tells all. */
const struct gram_node *gram_schema(struct gram_build *b, const json_t *root, const json_t *at,
                                    enum gram_style style);

/* A text that the pattern matches as a whole.  UTF-8.
 *   ERR_INPUT, where = "1:column": syntax, or what is not regular (look-around, back-references) */
const struct gram_node *gram_regex(struct gram_build *b, str pattern);

/* A text that this GBNF grammar derives from the rule named root.
 *   ERR_INPUT, where = "line:column" */
const struct gram_node *gram_gbnf(struct gram_build *b, str source, str root);

/* ---- the automaton ---- */

struct gram;

/* Compiles; the builder can be freed (or used again) afterwards.
 *   ERR_INPUT   the first error of building; or nothing at all matches; or a rule begins with
 * itself ERR_LIMIT   more states, memory or time than is allowed (a second) */
MUST_CHECK struct gram *gram_compile(struct gram_build *b, const struct gram_node *root,
                                     struct err *e);
struct gram *gram_hold(const struct gram *g); // returns g
void gram_drop(const struct gram *g);         // NULL is fine
size_t gram_memory(const struct gram *g);     // bytes it holds now, for caches
const struct gram_vocab *gram_vocab_of(const struct gram *g);

/* ---- one sequence ---- */

struct gram_state;

struct gram_state *gram_state_new(const struct gram *g); // holds g; nothing read yet
struct gram_state *gram_state_copy(const struct gram_state *s);
void gram_state_free(struct gram_state *s); // NULL is fine

/* Reads a token.  An EOG token is accepted where the text may end, and changes nothing.
 *   ERR_INPUT   the token is not allowed here; the state is as it was
 *   ERR_LIMIT   too many readings or too deep; the state is as it was */
MUST_CHECK bool gram_accept(struct gram_state *s, int32_t id, struct err *e);

/* The same for bytes that are no token yet; a part of a token is fine. */
MUST_CHECK bool gram_accept_bytes(struct gram_state *s, str bytes, struct err *e);

/* Marks every token that may come next, EOG tokens among them if the text may end.
 *   mask      [gram_mask_words(n_vocab)], overwritten in full
 *   *n        how many; 0: the text can neither go on with this vocabulary nor end
 *   ERR_LIMIT the grammar is too ambiguous here; the mask is undefined
 * Cost: some microseconds where it has been before, tens where not (docs/performance.md). */
MUST_CHECK bool gram_mask(struct gram_state *s, uint64_t *mask, int *n, struct err *e);

/* The text read so far is a whole one: EOG tokens are allowed. */
bool gram_may_end(const struct gram_state *s);
/* ... and nothing can follow it: only EOG tokens are. */
bool gram_must_end(const struct gram_state *s);

/* Writes the bytes that must come next whatever is drawn (a whole text may not end here), at most
 * cap of them; returns how many, 0 where there is a choice.  For jump-forward. */
size_t gram_only(struct gram_state *s, char *out, size_t cap);

/* ---- checking ---- */

/* Whether the text is JSON that the schema accepts: an independent reading of the schema, which
 * knows nothing of automata.
 *   ERR_INPUT, where = JSON pointer into the text: what is wrong */
MUST_CHECK bool gram_valid(const json_t *root, const json_t *at, str text, struct err *e);

#endif
