/* dialect/golden.h - for the tests of wires: a log of hand-made events, and the bytes it becomes.
 */
#ifndef DIALECT_GOLDEN_H
#define DIALECT_GOLDEN_H

#include "dialect/dialect_int.h"

#include "test.h"

#define GOLDEN_EVENTS 12

struct golden {
    const char *name;
    const struct wire *wire;
    struct chat_event events[GOLDEN_EVENTS]; // up to the first CHAT_COMPLETED or CHAT_FAILED
    const char *want;
    bool hide_reasoning, progress, include_usage, functions;
    int n_choices; // 0: 1
};

#define GOLDEN_STARTED                                                                             \
    {                                                                                              \
        .what = CHAT_STARTED                                                                       \
    }
#define GOLDEN_TEXT(s)                                                                             \
    {                                                                                              \
        .what = CHAT_TEXT, .n_tokens = 1, .text = STR_INIT(s)                                      \
    }
#define GOLDEN_REASONING(s)                                                                        \
    {                                                                                              \
        .what = CHAT_REASONING, .n_tokens = 1, .text = STR_INIT(s)                                 \
    }
#define GOLDEN_CALL(i, id, s)                                                                      \
    {                                                                                              \
        .what = CHAT_CALL, .call = i, .n_tokens = 1, .text = STR_INIT(id), .name = STR_INIT(s)     \
    }
#define GOLDEN_ARGUMENTS(i, s)                                                                     \
    {                                                                                              \
        .what = CHAT_ARGUMENTS, .call = i, .n_tokens = 2, .text = STR_INIT(s)                      \
    }
#define GOLDEN_FINISHED(f)                                                                         \
    {                                                                                              \
        .what = CHAT_FINISHED, .finish = f, .token = 7                                             \
    }
#define GOLDEN_COMPLETED(in, cached, outs)                                                         \
    {                                                                                              \
        .what = CHAT_COMPLETED, .usage = {.n_prompt = in, .n_cached = cached, .n_output = outs }   \
    }
#define GOLDEN_FAILED(e)                                                                           \
    {                                                                                              \
        .what = CHAT_FAILED, .error = e                                                            \
    }

/* Encodes each row's log at once, and again from a fresh state, and compares. */
static inline void golden_check(const struct golden *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct golden *g = &rows[i];
        struct talk_facts f = {.id = "id1",
                               .created_unix = 1767225600,
                               .model = "m",
                               .fingerprint = "fp",
                               .n_choices = g->n_choices ? g->n_choices : 1,
                               .hide_reasoning = g->hide_reasoning,
                               .progress = g->progress,
                               .functions = g->functions,
                               .include_usage = g->include_usage};
        for (int again = 0; again < 2; again++) { // pure: the same bytes each time
            struct buf out = BUF_INIT(100000);
            void *state = calloc(1, g->wire->state_size + 1);
            for (size_t k = 0; k < GOLDEN_EVENTS; k++) {
                g->wire->event(&f, state, &g->events[k], &out);
                if (g->events[k].what == CHAT_COMPLETED || g->events[k].what == CHAT_FAILED)
                    break;
            }
            check_bytes(&out, g->want, g->name);
            if (g->wire->state_fini)
                g->wire->state_fini(state);
            free(state);
            buf_free(&out);
        }
    }
}

#endif
