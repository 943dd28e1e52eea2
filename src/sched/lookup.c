/* sched/lookup.c - prompt lookup: what followed these tokens last time may follow again.
 *
 * A table leads from a run of RUN tokens to the place behind its last appearance in prompt and
 * output; what stands there is drafted.  Drafts are computed beside the token that is needed and
 * kept as far as they equal what is drawn, so they change no answer.  Misses make drafts shorter
 * and rarer.  Source: Saxena, "Prompt Lookup Decoding", 2023; Stern et al., "Blockwise Parallel
 * Decoding", 2018. */
#include "sched/sched_int.h"

#include "base/mem.h"
#include "base/rng.h"

#define RUN   3
#define LEAST 2

static uint32_t size_for(int max_tokens)
{
    uint32_t size = 64;
    while (size < (uint32_t)max_tokens + (uint32_t)max_tokens / 2)
        size *= 2;
    return size;
}

size_t sched_lookup_bytes(int max_tokens)
{
    return size_for(max_tokens) * sizeof(int32_t);
}

void sched_lookup_init(struct lookup *l, int max_tokens)
{
    *l = (struct lookup){.size = size_for(max_tokens), .length = LEAST + 1};
    l->at = mem_calloc(l->size, sizeof *l->at);
}

void sched_lookup_fini(struct lookup *l)
{
    mem_free(l->at);
}

/* The slot of the run that ends before place `end`: a collision loses the older one. */
static uint32_t slot_of(const struct lookup *l, const int32_t *tokens, int end)
{
    uint64_t h = 0;
    for (int i = end - RUN; i < end; i++)
        h = rng_at(h, (uint64_t)tokens[i]);
    return (uint32_t)h & (l->size - 1);
}

int sched_lookup_draft(struct lookup *l, const int32_t *tokens, int n_tokens, int32_t *out, int max)
{
    if (n_tokens < RUN)
        return 0;
    for (int end = int_max(l->n_known + 1, RUN); end < n_tokens; end++)
        l->at[slot_of(l, tokens, end)] = end;
    l->n_known = n_tokens - 1;
    if (l->wait > 0) {
        l->wait--;
        return 0;
    }
    int from = l->at[slot_of(l, tokens, n_tokens)];
    if (from == 0 ||
        memcmp(tokens + from - RUN, tokens + n_tokens - RUN, RUN * sizeof *tokens) != 0)
        return 0;
    int n = int_min(int_min(l->length, max), n_tokens - from);
    memcpy(out, tokens + from, (size_t)n * sizeof *out);
    return n;
}

void sched_lookup_learn(struct lookup *l, int n_draft, int n_true)
{
    if (n_draft == 0)
        return;
    l->misses = n_true ? 0 : int_min(l->misses + 1, 6);
    l->wait = n_true ? 0 : 1 << l->misses;
    l->length =
        n_true == n_draft ? int_min(l->length + 2, SCHED_DRAFTS_MAX) : int_max(n_true + 1, LEAST);
}
