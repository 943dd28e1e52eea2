/* run/wait.c - runs that were acknowledged, and for which prep workers or the scheduler's queue
 * have no place now: they wait here, first come first served, instead of failing. */
#include "run/run_int.h"

#include <assert.h>

void run_wait(struct run *run)
{
    struct runs *rs = run->runs;
    assert(!run->waiting);
    run->waiting = true;
    run->wait_next = NULL;
    run->wait_link = rs->waiting_last;
    *rs->waiting_last = run;
    rs->waiting_last = &run->wait_next;
    rs->counts.waiting++;
}

void run_unwait(struct run *run)
{
    struct runs *rs = run->runs;
    if (!run->waiting)
        return;
    run->waiting = false;
    *run->wait_link = run->wait_next;
    if (run->wait_next)
        run->wait_next->wait_link = run->wait_link;
    else
        rs->waiting_last = run->wait_link;
    rs->counts.waiting--;
}

void runs_retry(struct runs *rs)
{
    struct run *next;
    for (struct run *run = rs->waiting; run; run = next) {
        next = run->wait_next;
        if (!run_advance(run))
            return;
    }
}

/* As the scheduler has it: a team's waiting runs may be as many as places are left for others. */
bool runs_may_wait(const struct runs *rs, str team, struct err *e)
{
    int own = 0, max = rs->conf.max_preparing;
    if (rs->counts.waiting == 0)
        return true;
    for (const struct run *run = rs->waiting; run; run = run->wait_next)
        own += str_eq(run->request->team, team);
    if (rs->counts.waiting >= max)
        return err_set(e, ERR_BUSY, "%d runs wait for a place in the queue; try again later",
                       rs->counts.waiting);
    if (team.n && own >= max - rs->counts.waiting)
        return err_set(e, ERR_BUSY, "%d runs of your team wait already; try again later", own);
    return true;
}
