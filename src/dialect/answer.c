/* dialect/answer.c - what a run's log comes to. */
#include "dialect/dialect_int.h"

void answer_text(const struct run *run, enum chat_what what, int choice, struct buf *out)
{
    const struct chat_event *ev;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == what && ev->choice == choice)
            buf_str(out, ev->text);
}

const struct chat_event *answer_finish(const struct run *run, int choice)
{
    const struct chat_event *ev, *found = NULL;
    for (size_t i = 0; (ev = run_event(run, i)); i++)
        if (ev->what == CHAT_FINISHED && ev->choice == choice)
            found = ev;
    return found;
}

struct chat_usage answer_usage(const struct run *run)
{
    struct chat_usage partial = {.n_prompt = run_n_prompt(run)};
    const struct chat_event *ev;
    for (size_t i = 0; (ev = run_event(run, i)); i++) {
        if (ev->what == CHAT_COMPLETED)
            return ev->usage;
        if (ev->what != CHAT_FINISHED) // which counts its choice again
            partial.n_output += (size_t)ev->n_tokens;
    }
    return partial;
}
