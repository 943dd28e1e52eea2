/* run/replay.c - going on after a restart: what is computed again is held against what the log has
 * already, and only what is new goes on to it.
 *
 * Events are compared by what they say, not by how they are cut: a text may come in other pieces
 * than before.  Each choice has a place of its own, since choices may interleave otherwise. */
#include "run/run_int.h"

#include "base/mem.h"
#include "chat/pack.h"

/* Where a choice stands in the log. */
struct place {
    size_t at;              // event
    size_t bytes;           // of its text that have come again
    int64_t n_had, n_again; // tokens told by texts: by the log, by what comes again
    size_t n_known;         // tokens of this turn that the log has and that have not come again
};

struct run_replay {
    size_t n_logged; // events
    struct place *places;
    size_t n_choices;
    struct sched_output *past; // [n_choices] drawn before in this turn; ids owned
    int past_round;            // of the model's turns, from 1; 0: not read yet
};

static bool is_text(enum chat_what what)
{
    return what == CHAT_TEXT || what == CHAT_REASONING || what == CHAT_ARGUMENTS;
}

static bool is_of_choice(enum chat_what what)
{
    return what != CHAT_SERVER_ASK && what != CHAT_SERVER_PROGRESS && what != CHAT_WAITING &&
           what != CHAT_PROGRESS && what != CHAT_STARTED && what != CHAT_COMPLETED &&
           what != CHAT_FAILED;
}

/* Moves to the next event of this choice. */
static void settle_place(const struct run *run, struct place *p, int choice)
{
    while (p->at < run->replay->n_logged) {
        const struct chat_event *ev = &run->events[p->at];
        if (is_of_choice(ev->what) && ev->choice == choice)
            return;
        p->at++;
    }
}

/* The token ids of one record: those of this turn are known, and with `again` they are given to the
 * scheduler.  False: it is damaged. */
static bool read_drawn(const struct run *run, struct run_replay *rp, str in, bool again)
{
    uint64_t n_vocab = (uint64_t)run->model->info->n_vocab;
    while (in.n) {
        uint64_t round, choice, n, id;
        if (!chat_unpack_number(&in, &round) || !chat_unpack_number(&in, &choice) ||
            !chat_unpack_number(&in, &n) || choice >= rp->n_choices || n > in.n)
            return false;
        bool mine = round == (uint64_t)run_round(run);
        struct sched_output *o = &rp->past[choice];
        int32_t *ids = (int32_t *)o->id;
        if (mine && again && n)
            o->id = ids = mem_realloc(ids, (o->n + n) * sizeof *ids);
        rp->places[choice].n_known += mine ? n : 0;
        for (uint64_t i = 0; i < n; i++) {
            if (!chat_unpack_number(&in, &id) || id >= n_vocab)
                return false;
            if (mine && again)
                ids[o->n++] = (int32_t)id;
        }
    }
    return true;
}

static void drop_past(struct run_replay *rp)
{
    for (size_t c = 0; rp->past && c < rp->n_choices; c++)
        mem_free((int32_t *)rp->past[c].id);
    mem_free(rp->past);
    rp->past = NULL;
}

/* What was drawn before in this turn.  The last event's tokens are drawn again: the event may be a
 * part of what they gave.  With log-probabilities all are, since those are not kept for tokens
 * without text. */
static void read_past(const struct run *run, struct run_replay *rp)
{
    bool ok = true, again = !run->request->want_logprobs;
    drop_past(rp);
    rp->past_round = run_round(run) + 1;
    rp->past = mem_calloc(rp->n_choices, sizeof *rp->past);
    for (size_t c = 0; c < rp->n_choices; c++)
        rp->places[c].n_known = 0;
    for (size_t i = 0; i < rp->n_logged && ok; i++)
        ok = read_drawn(run, rp, run->behind[i], again && i + 1 < rp->n_logged);
    if (ok && again)
        return;
    drop_past(rp); // everything is computed again, then
    for (size_t c = 0; c < rp->n_choices && !ok; c++)
        rp->places[c].n_known = SIZE_MAX;
}

size_t run_replay_known(struct run *run, int choice, size_t n)
{
    if (!run->replay)
        return 0;
    size_t *left = &run->replay->places[choice].n_known, known = size_min(*left, n);
    *left -= known;
    return known;
}

void run_replay_open(struct run *run)
{
    struct run_replay *rp = mem_calloc(1, sizeof *rp);
    rp->n_logged = run->n_events;
    rp->n_choices = run->n_parts * (size_t)run->request->n_choices;
    rp->places = mem_calloc(rp->n_choices, sizeof *rp->places);
    run->replay = rp;
    for (size_t c = 0; c < rp->n_choices; c++)
        settle_place(run, &rp->places[c], (int)c);
}

void run_replay_close(struct run *run)
{
    if (!run->replay)
        return;
    drop_past(run->replay);
    mem_free(run->replay->places);
    mem_free(run->replay);
    run->replay = NULL;
}

const struct sched_output *run_replay_past(const struct run *run, const struct run_part *p)
{
    if (!run->replay)
        return NULL;
    if (run->replay->past_round != run_round(run) + 1)
        read_past(run, run->replay);
    if (!run->replay->past)
        return NULL;
    return &run->replay->past[(size_t)p->index * (size_t)run->request->n_choices];
}

static bool differs(const struct run *run, const struct place *p, struct err *e)
{
    return err_set(e, ERR_INTERNAL,
                   "the run could not go on after a restart: event %zu came out differently",
                   p->at < run->replay->n_logged ? p->at + 1 : run->replay->n_logged);
}

/* Takes off ev's text what the log has; *rest: something is new. */
static bool take_text(struct run *run, struct place *p, struct chat_event *ev, bool *rest,
                      struct err *e)
{
    size_t was = ev->text.n;
    p->n_again += ev->n_tokens;
    *rest = false;
    if (was == 0 && p->at < run->replay->n_logged)
        return true;
    while (p->at < run->replay->n_logged) {
        const struct chat_event *had = &run->events[p->at];
        if (had->what != ev->what || had->call != ev->call)
            return differs(run, p, e);
        size_t n = size_min(had->text.n - p->bytes, ev->text.n);
        if (n && memcmp(had->text.p + p->bytes, ev->text.p, n) != 0)
            return differs(run, p, e);
        ev->text = str_from(ev->text, n);
        p->bytes += n;
        if (p->bytes < had->text.n)
            return true;
        p->n_had += had->n_tokens;
        p->bytes = 0;
        p->at++;
        settle_place(run, p, ev->choice);
        if (ev->text.n == 0)
            return true;
    }
    int64_t n_new = p->n_again - p->n_had; // tokens that no event of the log told
    int n = (int)(n_new < 0 ? 0 : n_new > ev->n_tokens ? ev->n_tokens : n_new);
    if (ev->tokens && n < ev->n_tokens) {
        size_t cut = was - ev->text.n;
        struct chat_token *own = arena_calloc(&run->text, (size_t)n + 1, sizeof *own);
        for (int i = 0; own && i < n; i++) {
            own[i] = ev->tokens[ev->n_tokens - n + i];
            own[i].at = own[i].at > cut ? own[i].at - cut : 0;
        }
        ev->tokens = own;
    }
    ev->n_tokens = n;
    p->n_had += n;
    *rest = ev->text.n > 0 || was == 0;
    return true;
}

static bool is_same(const struct chat_event *a, const struct chat_event *b)
{
    return a->what == b->what && a->call == b->call && a->finish == b->finish &&
           a->token == b->token && a->fault == b->fault && str_eq(a->text, b->text) &&
           str_eq(a->name, b->name) && str_eq(a->id, b->id) && str_eq(a->content, b->content);
}

bool run_replay_call(const struct run *run, str id, const struct chat_event **result)
{
    bool called = false;
    *result = NULL;
    for (size_t i = 0; run->replay && i < run->replay->n_logged; i++) {
        const struct chat_event *ev = &run->events[i];
        called |= ev->what == CHAT_SERVER_CALL && str_eq(ev->id, id);
        if (ev->what == CHAT_SERVER_RESULT && str_eq(ev->id, id))
            *result = ev;
    }
    return called;
}

bool run_replay_take(struct run *run, struct chat_event *ev, bool *rest, struct err *e)
{
    struct run_replay *rp = run->replay;
    *rest = true;
    if (ev->what == CHAT_WAITING || ev->what == CHAT_PROGRESS || ev->what == CHAT_STARTED) {
        *rest = !run->started;
        return true;
    }
    if (ev->what == CHAT_COMPLETED) {
        for (size_t c = 0; c < rp->n_choices; c++)
            if (rp->places[c].at < rp->n_logged)
                return differs(run, &rp->places[c], e);
        return true;
    }
    if (!is_of_choice(ev->what))
        return true;
    struct place *p = &rp->places[ev->choice];
    if (p->at >= rp->n_logged && p->n_again == p->n_had)
        return true;
    if (is_text(ev->what))
        return take_text(run, p, ev, rest, e);
    if (p->at >= rp->n_logged)
        return true;
    if (p->bytes > 0 || !is_same(&run->events[p->at], ev))
        return differs(run, p, e);
    *rest = false;
    p->at++;
    settle_place(run, p, ev->choice);
    return true;
}
