/* run/follow.c - who reads a run's log, and calling them when there is more.
 *
 * Calls are made from runs_turn alone, never from within the call that added an event, so a
 * follower may end itself, others, or the run. */
#include "run/run_int.h"

#include "base/mem.h"

static void announce(struct run_follower *f)
{
    struct runs *rs = f->run->runs;
    if (f->announced)
        return;
    f->announced = true;
    f->next_announced = rs->announced;
    f->announced_link = &rs->announced;
    if (f->next_announced)
        f->next_announced->announced_link = &f->next_announced;
    rs->announced = f;
}

static void withdraw(struct run_follower *f)
{
    if (!f->announced)
        return;
    f->announced = false;
    *f->announced_link = f->next_announced;
    if (f->next_announced)
        f->next_announced->announced_link = f->announced_link;
}

void run_announce(struct run *run)
{
    for (struct run_follower *f = run->followers; f; f = f->next)
        announce(f);
}

struct run_follower *run_follow(struct run *run, void (*on_event)(struct run *run, void *arg),
                                void *arg)
{
    struct run_follower *f = mem_calloc(1, sizeof *f);
    f->run = run;
    f->on_event = on_event;
    f->arg = arg;
    f->next = run->followers;
    f->link = &run->followers;
    if (f->next)
        f->next->link = &f->next;
    run->followers = f;
    if (run->n_visible)
        announce(f);
    return f;
}

void run_unfollow(struct run_follower *f)
{
    if (!f)
        return;
    withdraw(f);
    *f->link = f->next;
    if (f->next)
        f->next->link = f->link;
    mem_free(f);
}

void runs_call_followers(struct runs *rs)
{
    struct run_follower *f;
    while ((f = rs->announced)) {
        withdraw(f);
        f->on_event(f->run, f->arg);
    }
}
