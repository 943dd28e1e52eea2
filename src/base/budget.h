/* base/budget.h - one count of the memory that big things hold: weights, KV, caches, buffers.
 * Reserve before use; what does not fit is refused.  Any thread. */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include "base/err.h"

enum budget_kind {
    BUDGET_WEIGHTS,
    BUDGET_KV,
    BUDGET_BUFFERS, // of the forward pass, the samplers and the sequences
    BUDGET_TEXTS,   // requests, event logs, objects, compiled formats
    BUDGET_KINDS
};

struct budget {
    _Atomic size_t used[BUDGET_KINDS]; // relaxed: counters
    _Atomic size_t total;
    size_t max; // set before threads start
};

void budget_init(struct budget *b, size_t max);

/* ERR_LIMIT with both numbers when it does not fit. */
MUST_CHECK bool budget_take(struct budget *b, enum budget_kind kind, size_t n, struct err *e);
void budget_give(struct budget *b, enum budget_kind kind, size_t n);

size_t budget_used(const struct budget *b, enum budget_kind kind);
size_t budget_left(const struct budget *b);
const char *budget_kind_name(enum budget_kind kind); // "weights" ...

#endif
