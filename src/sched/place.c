/* sched/place.c - who waits and who has a place in the batch.
 *
 * A tenant's lead is what it has had (share.c) and PLACE_ROWS for each of its places: what it is
 * about to have.  A place that is free goes to the tenant with the least lead.  When none is free,
 * a job that waits takes the places of others whose tenant would still not be behind its own: their
 * blocks are dropped, what they have drawn stays, and they wait again, before the tenant's others.
 * Back in the batch they are computed as a prompt whose beginning is cached: the same bits come
 * out. Such an exchange cannot be undone before the tenants have had PLACE_ROWS more, and a job
 * keeps its places for as many rows at least, so that nobody is sent to and fro for nothing.  Among
 * one tenant's jobs nothing is exchanged. */
#include "sched/sched_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define PLACE_ROWS 64   // rows a place is good for
#define STALL_MS   1000 // whose reader is away so long has no use for its places

static int64_t lead(const struct share *sh)
{
    return (int64_t)sh->served + (int64_t)PLACE_ROWS * sh->n_seqs;
}

static bool is_paused(const struct sched_job *j)
{
    return atomic_load_explicit(&j->paused, memory_order_relaxed);
}

/* Behind those of its priority, or before them when it had a place already. */
static void put_among_waiting(struct sched *s, struct sched_job *j)
{
    struct sched_job **at = &s->waiting;
    while (*at && ((*at)->priority < j->priority || (!j->seqs && (*at)->priority == j->priority)))
        at = &(*at)->next;
    j->next = *at;
    *at = j;
}

void sched_place_wait(struct sched *s, struct sched_job *j)
{
    sched_share_join(s, j);
    put_among_waiting(s, j);
}

/* The job that is due: the first one of the tenant with the least lead.  Priorities count among the
 * jobs of one tenant, so that no tenant can put all of its own before another's. */
static struct sched_job **next_waiting(struct sched *s)
{
    struct sched_job **best = NULL;
    for (struct sched_job **at = &s->waiting; *at; at = &(*at)->next)
        if (!((*at)->seqs && is_paused(*at)) &&
            (!best || lead((*at)->share) < lead((*best)->share)))
            best = at;
    return best;
}

static void give_places(struct sched *s, struct sched_job *j)
{
    if (!j->seqs) {
        j->stats.admitted_ms = clock_mono_ms();
        j->n_live = j->n_choices;
        j->seqs = mem_calloc((size_t)j->n_choices, sizeof *j->seqs);
        for (int c = 0; c < j->n_choices; c++) {
            sched_seq_init(&j->seqs[c], j, c);
            j->seqs[c].born = s->births++;
        }
    }
    j->n_fresh = 0;
    j->share->n_seqs += j->n_choices;
    s->n_seqs += j->n_choices;
    s->active[s->n_active++] = j;
    if (j->output && !j->started) // what follows is told behind it
        sched_start_job(s, j);
}

void sched_place_leave(struct sched *s, struct sched_job *j)
{
    j->share->n_seqs -= j->n_choices;
    s->n_seqs -= j->n_choices;
}

void sched_place_look(struct sched_job *j, uint64_t now)
{
    if (!is_paused(j))
        j->paused_ms = 0;
    else if (!j->paused_ms)
        j->paused_ms = now;
}

static bool stalls(const struct sched_job *j, uint64_t now)
{
    return j->paused_ms && now - j->paused_ms >= STALL_MS;
}

/* Does b give its places up before a does? */
static bool leaves_later(const struct sched_job *a, const struct sched_job *b)
{
    if (a->share == b->share)
        return sched_rank_own_before(&a->seqs[0], &b->seqs[0]);
    return lead(a->share) < lead(b->share);
}

/* The job that gives its places up for j next; NULL when none has to. */
static struct sched_job *next_to_leave(struct sched *s, const struct sched_job *j, uint64_t now)
{
    int64_t then = lead(j->share) + PLACE_ROWS * j->n_choices;
    struct sched_job *worst = NULL;
    for (int a = 0; a < s->n_active; a++) {
        struct sched_job *v = s->active[a];
        if (v->leaves || v->share == j->share)
            continue;
        bool due = v->n_fresh >= PLACE_ROWS && lead(v->share) - PLACE_ROWS * v->n_choices >= then;
        if ((due || stalls(v, now)) && (!worst || leaves_later(worst, v)))
            worst = v;
    }
    return worst;
}

/* Back to those that wait, with all that was drawn and said. */
static void wait_again(struct sched *s, struct sched_job *j)
{
    for (int c = 0; c < j->n_choices; c++)
        sched_seq_yield(s, &j->seqs[c]);
    sched_quota_return(s, j);
    put_among_waiting(s, j);
}

/* Sees to places for j, if need be those of others; false, and nothing done, when it has to wait.
 */
static bool make_places(struct sched *s, const struct sched_job *j)
{
    int missing = s->n_seqs + j->n_choices - s->conf.max_seqs, kept = 0;
    uint64_t now = clock_mono_ms();
    struct sched_job *v;
    while (missing > 0 && (v = next_to_leave(s, j, now))) {
        v->leaves = true;
        v->share->n_seqs -= v->n_choices; // counts for the choice of the next
        missing -= v->n_choices;
    }
    for (int a = 0; a < s->n_active; a++) {
        v = s->active[a];
        bool leaves = v->leaves;
        v->leaves = false;
        if (leaves)
            v->share->n_seqs += v->n_choices;
        if (leaves && missing <= 0) {
            sched_place_leave(s, v);
            wait_again(s, v);
        } else {
            s->active[kept++] = v;
        }
    }
    s->n_active = kept;
    return missing <= 0;
}

/* Room for what there is of j and a little more; what lacks later is won from others.  So is all of
 * it by a tenant that has fewer sequences than another: they go before that one's last (rank.c). */
static bool has_room(const struct sched *s, const struct sched_job *j)
{
    int n_tokens = j->seqs ? j->seqs[0].n_tokens : j->n_prompt;
    size_t need = (size_t)(n_tokens / ENGINE_BLOCK + 1 + j->n_choices);
    if (s->n_active == 0 || engine_kv_free(s->engine) + (size_t)prefix_count(s->prefix) >= need)
        return true;
    for (const struct share *sh = s->shares; sh; sh = sh->next)
        if (sh->n_seqs > j->share->n_seqs)
            return true;
    return false;
}

void sched_place_admit(struct sched *s)
{
    struct sched_job **at;
    while ((at = next_waiting(s))) {
        struct sched_job *j = *at;
        if (!has_room(s, j))
            break;
        *at = j->next;
        if (!make_places(s, j)) {
            *at = j;
            break;
        }
        sched_quota_leave(s, j);
        give_places(s, j);
    }
}
