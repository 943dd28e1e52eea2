/* sched/share.c - how much each tenant has had: fairness between them.
 *
 * A tenant that comes begins level with the least served of those that are there, so that having
 * been away earns nothing; one that is there but asks for little saves up CREDIT_MAX rows and no
 * more.  Source: start-time fair queueing (Goyal, Vin, Cheng, 1996), with equal weights. */
#include "sched/sched_int.h"

#include "base/mem.h"

#define CREDIT_MAX 65536u // rows

void sched_share_join(struct sched *s, struct sched_job *j)
{
    struct share *found = NULL;
    uint64_t least = UINT64_MAX;
    for (struct share *sh = s->shares; sh; sh = sh->next) {
        least = sh->served < least ? sh->served : least;
        if (str_eq(sh->tenant, j->tenant))
            found = sh;
    }
    if (!found) {
        found = mem_calloc(1, sizeof *found);
        found->tenant = (str){mem_strdup(j->tenant), j->tenant.n};
        found->served = s->shares ? least : 0;
        found->next = s->shares;
        s->shares = found;
    }
    found->n_jobs++;
    j->share = found;
}

void sched_share_leave(struct sched *s, struct sched_job *j)
{
    struct share *sh = j->share, **at = &s->shares;
    j->share = NULL;
    if (!sh || --sh->n_jobs > 0)
        return;
    while (*at != sh)
        at = &(*at)->next;
    *at = sh->next;
    mem_free((char *)sh->tenant.p);
    mem_free(sh);
}

void sched_share_charge(struct sched *s, struct share *sh, int n_rows)
{
    sh->served += (uint64_t)n_rows;
    for (struct share *other = s->shares; other; other = other->next)
        if (other->served + CREDIT_MAX < sh->served)
            other->served = sh->served - CREDIT_MAX;
}
