/* sched/pace.c - what rows cost, learned from steps, and how many prompt rows a step can take.
 *
 * A row of a prompt costs its share of the matrices, and attention to all before it: the unit is a
 * row at the beginning of a text, and one at position p counts 1 + p * depth.  So a long prompt's
 * parts get smaller as it goes on, before a step has been too long. */
#include "sched/sched_int.h"

#define ROWS_LEAST      4   // prompt rows of a step, whatever they cost
#define ROWS_TILE       16  // more come in such numbers
#define ROWS_UNKNOWN    64  // while nothing has been measured
#define ROWS_REMEMBERED 128 // what a step's cost is weighed against
#define ATTENTION       4.0 // what a multiplication costs there, against one in the matrices
#define ALONE           3   // gaps that a step may take while nobody waits for a next token

void sched_pace_init(struct pace *p, const struct engine_info *info, int gap_ms)
{
    double matrices = (double)info->n_params - (double)info->n_vocab * info->n_embd;
    double attention = 2.0 * info->n_layer * info->n_head * info->head_dim;
    *p = (struct pace){.gap_us = gap_ms * 1000.0};
    p->depth = ATTENTION * attention / (matrices > attention ? matrices : attention);
}

static double units(const struct pace *p, int pos, int n)
{
    return n * (1 + p->depth * (pos + (n - 1) / 2.0));
}

double sched_pace_begin(const struct pace *p, int n_decode)
{
    double us = n_decode ? p->gap_us - p->decode_us : ALONE * p->gap_us;
    return p->unit_us > 0 ? us / p->unit_us : ROWS_UNKNOWN;
}

int sched_pace_rows(const struct pace *p, double left, bool first, int pos, int most)
{
    int n = 0, more;
    while (n + (more = n < ROWS_TILE ? ROWS_LEAST : ROWS_TILE) <= most &&
           units(p, pos, n + more) <= left)
        n += more;
    if (n + more > most && units(p, pos, most) <= left)
        n = most; // the rest of a prompt goes along
    return n == 0 && first ? int_min(ROWS_LEAST, most) : n;
}

double sched_pace_cost(const struct pace *p, int pos, int n)
{
    return units(p, pos, n);
}

void sched_pace_learn(struct pace *p, int n_decode, int n_prompt, double prompt_units, double us)
{
    if (n_prompt == 0) {
        p->decode_us = p->decode_us > 0 ? 0.8 * p->decode_us + 0.2 * us : us;
    } else if (n_prompt >= ROWS_LEAST) {
        double unit = (us - (n_decode ? p->decode_us : 0)) / prompt_units;
        if (unit <= 0)
            return;
        // Few rows say little: most of their step is the weights' way from memory.
        p->unit_us += (unit - p->unit_us) * n_prompt / (p->seen + n_prompt);
        p->seen = int_min(p->seen + n_prompt, ROWS_REMEMBERED);
    }
}
