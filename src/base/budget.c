/* base/budget.c - see budget.h. */
#include "base/budget.h"

#include <stdatomic.h>

void budget_init(struct budget *b, size_t max)
{
    for (int i = 0; i < BUDGET_KINDS; i++)
        atomic_init(&b->used[i], 0);
    atomic_init(&b->total, 0);
    b->max = max;
}

bool budget_take(struct budget *b, enum budget_kind kind, size_t n, struct err *e)
{
    size_t now = atomic_load_explicit(&b->total, memory_order_relaxed);
    do {
        if (n > b->max - now)
            return err_set(e, ERR_LIMIT,
                           "%zu MiB more do not fit the memory budget: %zu of %zu MiB in use",
                           n >> 20, now >> 20, b->max >> 20);
    } while (!atomic_compare_exchange_weak_explicit(&b->total, &now, now + n, memory_order_relaxed,
                                                    memory_order_relaxed));
    atomic_fetch_add_explicit(&b->used[kind], n, memory_order_relaxed);
    return true;
}

void budget_give(struct budget *b, enum budget_kind kind, size_t n)
{
    atomic_fetch_sub_explicit(&b->used[kind], n, memory_order_relaxed);
    atomic_fetch_sub_explicit(&b->total, n, memory_order_relaxed);
}

size_t budget_used(const struct budget *b, enum budget_kind kind)
{
    return atomic_load_explicit(&b->used[kind], memory_order_relaxed);
}

size_t budget_left(const struct budget *b)
{
    return b->max - atomic_load_explicit(&b->total, memory_order_relaxed);
}

const char *budget_kind_name(enum budget_kind kind)
{
    static const char *const names[BUDGET_KINDS] = {"weights", "kv", "buffers", "texts"};
    return names[kind];
}
