/* run/grams.h - compiled answers' formats, kept for the next request that asks for the same.
 *
 * In:      a request with a format or tools.  Out: its automaton, compiled once.
 * Threads: a struct grams belongs to the loop thread; grams_compile runs on a prep worker and
 *          touches no cache: what a request may use is given to it beforehand (grams_find) and what
 *          it made comes back afterwards (grams_keep). */
#ifndef RUN_GRAMS_H
#define RUN_GRAMS_H

#include "chat/output.h"

/* How the prompt ends decides whether thinking is part of the answer: one automaton for each. */
enum { GRAMS_STARTS = 4 };

/* A request's automatons, found or made; each held. */
struct grams_of {
    struct buf key; // what they were made from; empty: the request wants none
    struct gram *by_start[GRAMS_STARTS];
    bool fresh; // one was made that the cache has not
};

struct grams;

/* max_bytes of automatons and keys together; the least recently used leave first. */
struct grams *grams_new(size_t max_bytes);
void grams_free(struct grams *c); // NULL is fine

/* Fills *of with what is there. */
void grams_find(struct grams *c, const struct chat_template *t, const struct chat_request *r,
                struct grams_of *of);
/* Takes over what is fresh; what is too large for the cache is not kept. */
void grams_keep(struct grams *c, const struct grams_of *of);
void grams_of_free(struct grams_of *of);

/* The automaton for a prompt that ends so: *out borrowed from *of, NULL where anything may come.
 * Errors as chat_constraint. */
MUST_CHECK bool grams_compile(struct grams_of *of, const struct chat_template *t,
                              const struct gram_vocab *v, const struct chat_request *r,
                              const struct chat_start *start, const struct gram **out,
                              struct err *e);

size_t grams_bytes(const struct grams *c);
size_t grams_count(const struct grams *c);

#endif
