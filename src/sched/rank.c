/* sched/rank.c - who gives KV blocks back when there are none left.
 *
 * The first sequences of all tenants go before the second ones, and so on; among those of the same
 * number, the one whose tenant's turn comes first (share.c).  A tenant's own are numbered by
 * priority, then age: priorities count within a tenant alone.  That is one order over all, so the
 * first always goes on and two never take from each other in turn; no tenant wins a block from
 * another by naming priorities, nor keeps more of them by having come first with many. */
#include "sched/sched_int.h"

bool sched_rank_own_before(const struct seq *a, const struct seq *b)
{
    int x = a->job->priority, y = b->job->priority;
    return x != y ? x < y : a->born < b->born;
}

/* How many of its tenant's sequences go before q. */
static int number_of(const struct sched *s, const struct seq *q)
{
    int n = 0;
    for (int a = 0; a < s->n_active; a++) {
        const struct sched_job *j = s->active[a];
        for (int c = 0; j->share == q->job->share && c < j->n_choices; c++)
            n += j->seqs[c].state != SEQ_DONE && sched_rank_own_before(&j->seqs[c], q);
    }
    return n;
}

bool sched_rank_before(const struct sched *s, const struct seq *a, const struct seq *b)
{
    const struct share *x = a->job->share, *y = b->job->share;
    if (x == y)
        return sched_rank_own_before(a, b);
    int k = number_of(s, a), l = number_of(s, b);
    return k != l ? k < l : sched_share_before(s, x, y);
}
