/* gram/texts_test.h - for this room's tests: a small vocabulary, whole texts, masks checked token
 * by token.  Included by test files alone. */
#ifndef GRAM_TEXTS_TEST_H
#define GRAM_TEXTS_TEST_H

#include "base/buf.h"
#include "gram/gram.h"

/* 256 single bytes, then words that cross the borders which grammars have, then two control tokens
 * and an EOG token (testing_end). */
const struct gram_vocab *testing_vocab(void);
int testing_control(int i); // 0, 1
int testing_end(void);

/* Compiles or fails the test. */
struct gram *testing_compile(struct gram_build *b, const struct gram_node *root);
/* The text is one of the grammar's, read as bytes. */
bool testing_matches(const struct gram *g, str text);
/* Fails the test unless the mask agrees with reading each token. */
void testing_check_mask(struct gram_state *s);
/* A random text of the grammar: tokens by mask, every mask checked if `check`.  False: max tokens
 * were not enough.  Uses *seed. */

bool testing_walk(const struct gram *g, uint64_t *seed, int max, bool check, struct buf *out);

#endif
