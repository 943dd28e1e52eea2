/* sched/share.c - how much each tenant has had: fairness between them.
 *
 * A tenant that comes begins level with the least served of those that are there, so that having
 * been away earns nothing; one that is there but asks for little saves up CREDIT_MAX rows and no
 * more, so that nobody has to wait for longer than those take.  Source: start-time fair queueing
 * (Goyal, Vin, Cheng, 1996), with equal weights.
 *
 * Where one has to go before another for a while, they take turns: a tenant's turn is over when it
 * has had TURN_ROWS more than the next one. */
#include "sched/sched_int.h"

#include "base/mem.h"

#define CREDIT_MAX 2048u // rows
#define TURN_ROWS  256u

void sched_share_join(struct sched *s, struct sched_job *j)
{
    struct share *found = NULL, **at = &s->shares;
    uint64_t least = UINT64_MAX;
    for (; *at; at = &(*at)->next) {
        least = (*at)->served < least ? (*at)->served : least;
        if (str_eq((*at)->tenant, j->tenant))
            found = *at;
    }
    if (!found) {
        found = mem_calloc(1, sizeof *found);
        found->tenant = (str){mem_strdup(j->tenant), j->tenant.n};
        found->served = s->shares ? least : 0;
        *at = found;
    }
    found->n_jobs++;
    j->share = found;
}

static void unlink_share(struct sched *s, const struct share *sh)
{
    struct share **at = &s->shares;
    while (*at != sh)
        at = &(*at)->next;
    *at = sh->next;
}

void sched_share_leave(struct sched *s, struct sched_job *j)
{
    struct share *sh = j->share;
    j->share = NULL;
    if (!sh || --sh->n_jobs > 0)
        return;
    unlink_share(s, sh);
    mem_free((char *)sh->tenant.p);
    mem_free(sh);
}

void sched_share_charge(struct sched *s, struct share *sh, int n_rows)
{
    sh->served += (uint64_t)n_rows;
    for (struct share *other = s->shares; other; other = other->next)
        if (other->served + CREDIT_MAX < sh->served)
            other->served = sh->served - CREDIT_MAX;
    struct share *before = NULL; // the last one it has had so much more than
    for (struct share *next = sh->next; next; next = next->next)
        if (sh->served > next->served + TURN_ROWS)
            before = next;
    if (!before)
        return;
    unlink_share(s, sh);
    sh->next = before->next;
    before->next = sh;
}

bool sched_share_before(const struct sched *s, const struct share *a, const struct share *b)
{
    const struct share *sh = s->shares;
    while (sh != a && sh != b)
        sh = sh->next;
    return sh == a && a != b;
}
