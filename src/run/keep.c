/* run/keep.c - complete runs that nobody holds stay to be found, oldest first to go. */
#include "run/run_int.h"

#include "base/clock.h"

static size_t bytes_of(const struct run *run)
{
    size_t n = sizeof *run + run->text.used + run->cap_events * sizeof *run->events +
               run->request->arena.used;
    for (size_t i = 0; i < run->n_parts; i++)
        n += run->parts[i].ids.cap * sizeof *run->parts[i].ids.id;
    return n;
}

#define CHARGE 16384 // bytes that the budget counts together

bool run_charge(struct run *run, size_t bytes, struct err *e)
{
    struct runs *rs = run->runs;
    struct budget *b = rs->conf.budget;
    bytes = (bytes + CHARGE - 1) / CHARGE * CHARGE;
    if (!b || bytes <= run->charged)
        return true;
    while (!budget_take(b, BUDGET_TEXTS, bytes - run->charged, e)) {
        struct run *oldest = rs->kept_first;
        if (!oldest || oldest == run) {
            e->code = ERR_BUSY;
            return err_ctx(e, "the request's text");
        }
        runs_unkeep(oldest);
        run_free(oldest);
    }
    run->charged = bytes;
    return true;
}

void runs_keep(struct run *run)
{
    struct err e;
    struct runs *rs = run->runs;
    run->kept_bytes = bytes_of(run);
    if (!run_charge(run, run->kept_bytes, &e)) { // nothing is kept beside it any more
        run_free(run);
        return;
    }
    run->kept = true;
    run->kept_ms = clock_mono_ms();
    run->kept_next = NULL;
    run->kept_prev = rs->kept_last;
    if (rs->kept_last)
        rs->kept_last->kept_next = run;
    else
        rs->kept_first = run;
    rs->kept_last = run;
    rs->counts.kept++;
    rs->counts.kept_bytes += run->kept_bytes;
    runs_expire(rs, false);
}

void runs_unkeep(struct run *run)
{
    struct runs *rs = run->runs;
    if (!run->kept)
        return;
    run->kept = false;
    if (run->kept_prev)
        run->kept_prev->kept_next = run->kept_next;
    else
        rs->kept_first = run->kept_next;
    if (run->kept_next)
        run->kept_next->kept_prev = run->kept_prev;
    else
        rs->kept_last = run->kept_prev;
    rs->counts.kept--;
    rs->counts.kept_bytes -= run->kept_bytes;
}

void runs_expire(struct runs *rs, bool all)
{
    uint64_t now = clock_mono_ms();
    struct run *run;
    while ((run = rs->kept_first) && (all || rs->counts.kept_bytes > rs->conf.keep_bytes ||
                                      now - run->kept_ms > rs->conf.keep_ms)) {
        runs_unkeep(run);
        run_free(run);
    }
}
