/* sched/rank.c - who gives KV blocks back when there are none left.
 *
 * Older sequences go before younger ones, whoever's they are.  Priorities count within a tenant
 * alone: the ages of a tenant's sequences are dealt out again among them, the oldest to the one of
 * the highest priority.  That is one order over all, so the first always goes on and two never take
 * from each other in turn; and no tenant wins a block from another by naming priorities. */
#include "sched/sched_int.h"

static bool own_before(const struct seq *a, const struct seq *b)
{
    int x = a->job->priority, y = b->job->priority;
    return x != y ? x < y : a->born < b->born;
}

/* The k-th oldest age of q's tenant, q being the k-th of it by priority. */
static uint64_t dealt_age(const struct sched *s, const struct seq *q)
{
    int k = 0;
    for (int a = 0; a < s->n_active; a++) {
        const struct sched_job *j = s->active[a];
        for (int c = 0; j->share == q->job->share && c < j->n_choices; c++)
            k += j->seqs[c].state != SEQ_DONE && own_before(&j->seqs[c], q);
    }
    uint64_t age = 0;
    for (bool first = true; k >= 0; k--, first = false) { // the smallest above `age`, k + 1 times
        uint64_t next = UINT64_MAX;
        for (int a = 0; a < s->n_active; a++) {
            const struct sched_job *j = s->active[a];
            for (int c = 0; j->share == q->job->share && c < j->n_choices; c++) {
                const struct seq *v = &j->seqs[c];
                if (v->state != SEQ_DONE && v->born < next && (first || v->born > age))
                    next = v->born;
            }
        }
        age = next;
    }
    return age;
}

bool sched_rank_before(const struct sched *s, const struct seq *a, const struct seq *b)
{
    if (a->job->share == b->job->share)
        return own_before(a, b);
    return dealt_age(s, a) < dealt_age(s, b);
}
