/* sched/prefix.h - the prefix cache: whole KV blocks of earlier sequences, found again by their
 * tokens.
 *
 * A tree of blocks for each tenant: a node is ENGINE_BLOCK tokens behind its parent's, and holds
 * one reference to the KV block with their keys and values.  Tokens are compared, hashes are never
 * trusted, and a tenant sees its own tree alone.  Because a row's result depends on its sequence's
 * tokens alone, an answer from cached blocks is bit for bit the one without.
 * Threads: the engine thread. */
#ifndef SCHED_PREFIX_H
#define SCHED_PREFIX_H

#include "engine/engine.h"

struct prefix;

struct prefix *prefix_new(struct engine *engine);
void prefix_free(struct prefix *p); // gives all blocks back

/* Finds blocks for tokens[from .. n): from is a multiple of ENGINE_BLOCK, what stands before it is
 * part of the path.  Writes up to max blocks, each with a reference for the caller; returns their
 * number. */
int prefix_match(struct prefix *p, str tenant, const int32_t *tokens, int n, int from,
                 int32_t *blocks, int max);

/* How many of the first tokens stand in the cache in this order, cut into blocks or not: where the
 * nearest cached text differs from this one.  Cost: a look at every block. */
int prefix_common(struct prefix *p, str tenant, const int32_t *tokens, int n);

/* A block of which the first tokens go on as tokens[from .. n) do, for longest; from as above.
 * Returns how many (0: there is none); *block then has a reference for the caller, who may copy
 * from it.  Cost: a look at every block. */
int prefix_part(struct prefix *p, str tenant, const int32_t *tokens, int n, int from,
                int32_t *block);

/* Remembers the whole blocks of tokens[0 .. n): blocks[i] holds tokens i*ENGINE_BLOCK and on. */
void prefix_insert(struct prefix *p, str tenant, const int32_t *tokens, int n,
                   const int32_t *blocks);

/* Forgets the block that was of no use for the longest time; false when there is none. */
bool prefix_evict(struct prefix *p);

int prefix_count(const struct prefix *p); // blocks held
size_t prefix_bytes(size_t n_blocks);     // what the tree takes beside so many blocks

#endif
