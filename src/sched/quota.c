/* sched/quota.c - how many places of the queue a tenant may fill.
 *
 * A tenant's jobs may be as many as places are free: alone it fills half of the queue, two fill a
 * third each, and there is always room for one who has nothing in it.  Source: dynamic thresholds
 * (Choudhury, Hahne, 1998) with factor 1.  The tenant without a name is everyone where there are no
 * keys: it may fill the whole queue. */
#include "sched/sched_int.h"

#include "base/mem.h"

static struct quota *quota_of(struct sched *s, str tenant)
{
    struct quota *q = NULL;
    HASH_FIND(hh, s->quotas, tenant.n ? tenant.p : "", (unsigned)tenant.n, q);
    if (!q) {
        q = mem_calloc(1, sizeof *q);
        q->tenant = mem_strdup(tenant);
        HASH_ADD_KEYPTR(hh, s->quotas, q->tenant, (unsigned)tenant.n, q);
    }
    return q;
}

bool sched_quota_enter(struct sched *s, struct sched_job *j, struct err *e)
{
    struct quota *q = quota_of(s, j->tenant);
    int max = s->conf.max_waiting;
    int all = atomic_load_explicit(&s->n_waiting, memory_order_relaxed);
    int own = atomic_load_explicit(&q->n_waiting, memory_order_relaxed);
    q->n_jobs++;
    j->quota = q;
    if (all >= max)
        return err_set(e, ERR_BUSY, "the queue is full (%d requests wait); try again later", max);
    if (j->tenant.n && own > 0 && own >= max - all)
        return err_set(e, ERR_BUSY,
                       "%d requests of your team wait already, its part of the queue; "
                       "try again later",
                       own);
    atomic_fetch_add_explicit(&q->n_waiting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->n_waiting, 1, memory_order_relaxed);
    return true;
}

void sched_quota_leave(struct sched *s, struct sched_job *j)
{
    atomic_fetch_sub_explicit(&j->quota->n_waiting, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->n_waiting, 1, memory_order_relaxed);
}

void sched_quota_return(struct sched *s, struct sched_job *j)
{
    atomic_fetch_add_explicit(&j->quota->n_waiting, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->n_waiting, 1, memory_order_relaxed);
}

void sched_quota_free(struct sched_job *j)
{
    struct quota *q = j->quota;
    if (!q || --q->n_jobs > 0)
        return;
    HASH_DEL(j->sched->quotas, q);
    mem_free(q->tenant);
    mem_free(q);
}
