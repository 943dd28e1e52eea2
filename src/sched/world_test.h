/* sched/world_test.h - a scheduler over a tiny random-weight model, for the tests of this room. */
#ifndef SCHED_WORLD_TEST_H
#define SCHED_WORLD_TEST_H

#include "sched/sched.h"

#include "gguf/gguf.h"
#include "test.h"

struct world {
    struct buf file;
    struct gguf *gguf;
    struct tok *tok;
    struct engine *engine;
    struct queue *out;
    struct sched *sched;
    struct sched_conf conf;
};
void world_open(struct world *w, struct sched_conf sc, size_t kv_tokens);
void world_close(struct world *w); // fails when anything is left behind

/* What came of a job. */
#define RESULT_CHOICES 4
struct result {
    struct buf text[RESULT_CHOICES];
    struct buf pieces[RESULT_CHOICES]; // a line a piece: what it said
    enum sched_finish finish[RESULT_CHOICES];
    int n_tokens[RESULT_CHOICES];
    int32_t *ids[RESULT_CHOICES]; // [n_ids] listed with texts, then with the end
    int n_ids[RESULT_CHOICES], n_with_text[RESULT_CHOICES];
    struct buf positions; // "w3 w1 p32 p40 "
    bool started, ended;
    struct err error;
};
void result_free(struct result *r);

struct sched_job *world_submit(struct world *w, struct sched_request *r, struct result *out);
void world_take(struct world *w); // one piece, filed with its job's result
void world_finish(struct world *w, struct result *results, int n);

struct sched_request world_request(const int32_t *prompt, size_t n, int max_tokens, uint64_t seed);
/* Prompts of different lengths, at most 90 tokens; returns the length. */
size_t world_prompt(const struct world *w, int i, int32_t *out);

#endif
