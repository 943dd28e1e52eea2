/* run/log.c - a run's log: events numbered from 1, appended and never changed. */
#include "run/run_int.h"

#include "base/clock.h"
#include "base/mem.h"

static void append(struct run *run, struct chat_event ev)
{
    if (run->n_events == run->cap_events) {
        run->cap_events = run->cap_events ? run->cap_events * 2 : 16;
        run->events = mem_realloc(run->events, run->cap_events * sizeof *run->events);
        if (run->durable)
            run->behind = mem_realloc(run->behind, run->cap_events * sizeof *run->behind);
    }
    ev.number = run->n_events + 1;
    ev.unix_ms = clock_unix_ms();
    run->events[run->n_events++] = ev;
    if (run->durable) { // it is seen once it is on disk
        run->behind[run->n_events - 1] = arena_str(&run->text, buf_as_str(&run->drawn));
        buf_clear(&run->drawn);
        run_mark_unsaved(run);
        return;
    }
    run->n_visible = run->n_events;
    run_announce(run);
}

bool run_log_add(struct run *run, struct chat_event ev, struct err *e)
{
    if (run->over)
        return true;
    if (ev.text.n || ev.name.n || ev.id.n) {
        ev.text = arena_str(&run->text, ev.text);
        ev.name = arena_str(&run->text, ev.name);
        ev.id = arena_str(&run->text, ev.id);
        ev.content = arena_str(&run->text, ev.content);
        ev.server = arena_str(&run->text, ev.server);
        if (run->text.full)
            return err_set(e, ERR_LIMIT, "the answer is longer than the %zu bytes a run may hold",
                           run->text.max);
    }
    size_t events = (run->n_events + run->n_events / 2 + 16) * sizeof *run->events;
    if (!run_charge(run, sizeof *run + run->request_bytes + run->text.used + events, e))
        return false;
    append(run, ev);
    run->over = ev.what == CHAT_COMPLETED;
    return true;
}

void run_log_fail(struct run *run, const struct err *why)
{
    if (run->over)
        return;
    run->failure = *why;
    append(run, (struct chat_event){.what = CHAT_FAILED, .error = &run->failure});
    run->over = true;
}
