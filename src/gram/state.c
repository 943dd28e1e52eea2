/* gram/state.c - one sequence under a grammar. */
#include "gram/gram_int.h"

#define READINGS_USUAL 64 // that a state has room for from the start

static int by_item(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->s != y->s)
        return x->s < y->s ? -1 : 1;
    return (x->f > y->f) - (x->f < y->f);
}

/* The closed readings of the walk, sorted, into *to. */
static void take_set(struct walk *w, struct item **to, uint32_t *cap)
{
    if (*cap < w->n_seen) {
        *cap = w->n_seen * 2;
        *to = mem_realloc(*to, *cap * sizeof **to);
    }
    if (w->n_seen > 1)
        qsort(w->seen, w->n_seen, sizeof *w->seen, by_item);
    if (w->n_seen)
        memcpy(*to, w->seen, w->n_seen * sizeof **to);
}

struct gram_state *gram_state_new(const struct gram *g)
{
    struct gram_state *s = mem_calloc(1, sizeof *s);
    s->g = gram_hold(g);
    walk_init(&s->w, g);
    s->cap_set = s->cap_next = s->memo_cap = READINGS_USUAL;
    s->set = mem_alloc(READINGS_USUAL * sizeof *s->set);
    s->next = mem_alloc(READINGS_USUAL * sizeof *s->next);
    s->memo_set = mem_alloc(READINGS_USUAL * sizeof *s->memo_set);
    s->memo = mem_alloc(gram_mask_words(g->vocab->n) * sizeof *s->memo);
    walk_begin(&s->w);
    walk_add(&s->w, g->rules[0].start, 0);
    walk_close(&s->w);
    take_set(&s->w, &s->set, &s->cap_set);
    s->n = s->w.over ? 0 : s->w.n_seen; // too many readings from the start: nothing is allowed
    s->may_end = s->w.ended;
    return s;
}

struct gram_state *gram_state_copy(const struct gram_state *from)
{
    struct gram_state *s = mem_calloc(1, sizeof *s);
    s->g = gram_hold(from->g);
    walk_init(&s->w, s->g);
    walk_copy_frames(&s->w.frames, &from->w.frames);
    s->n = s->cap_set = from->n;
    s->set = mem_alloc(s->n * sizeof *s->set + 1);
    if (s->n)
        memcpy(s->set, from->set, s->n * sizeof *s->set);
    s->may_end = from->may_end;
    return s;
}

void gram_state_free(struct gram_state *s)
{
    if (!s)
        return;
    walk_fini(&s->w);
    if (s->probe.g)
        walk_fini(&s->probe);
    mem_free(s->set);
    mem_free(s->next);
    mem_free(s->memo);
    mem_free(s->memo_set);
    gram_drop(s->g);
    mem_free(s);
}

/* Frames that no reading uses any more are left behind. */
static uint32_t move_frame(struct walk *to, const struct frames *from, uint32_t *moved, uint32_t f)
{
    // Down to one that has moved, then up again.
    uint32_t path[GRAM_DEPTH_MAX + 2], n = 0;
    while (f && !moved[f]) {
        path[n++] = f;
        f = from->p[f].parent;
    }
    uint32_t at = f ? moved[f] : 0;
    while (n) {
        struct frame x = from->p[path[--n]];
        x.parent = at;
        at = walk_frame(to, x);
        moved[path[n]] = at;
    }
    return at;
}

static void collect(struct gram_state *s)
{
    struct frames old = s->w.frames;
    uint32_t *moved = mem_calloc(old.n, sizeof *moved);
    struct walk fresh;
    walk_init(&fresh, s->g);
    for (uint32_t i = 0; i < s->n; i++)
        s->set[i].f = move_frame(&fresh, &old, moved, s->set[i].f);
    s->w.frames = fresh.frames;
    fresh.frames = old;
    walk_fini(&fresh);
    mem_free(moved);
    if (s->n)
        qsort(s->set, s->n, sizeof *s->set, by_item);
    s->memo_ok = false;
}

#define COLLECT_AT 8192 // frames

static bool refuse(struct gram_state *s, uint32_t frames, struct err *e)
{
    bool over = s->w.over;
    walk_rewind(&s->w, frames);
    if (over)
        return err_set(e, ERR_LIMIT, "the grammar is too ambiguous or nested too deeply here");
    return err_set(e, ERR_INPUT, "the grammar does not allow this here");
}

/* After a step: the new readings become the state's. */
static void settle(struct gram_state *s, bool ended)
{
    struct item *set = s->set;
    uint32_t cap = s->cap_set;
    s->set = s->next;
    s->cap_set = s->cap_next;
    s->next = set;
    s->cap_next = cap;
    s->may_end = ended;
    if (s->w.frames.n > COLLECT_AT)
        collect(s);
}

bool gram_accept_bytes(struct gram_state *s, str bytes, struct err *e)
{
    struct walk *w = &s->w;
    uint32_t frames = w->frames.n;
    if (bytes.n == 0)
        return true;
    w->over = false;
    w->steps = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        walk_step(w, i ? s->next : s->set, i ? w->n_seen : s->n, (uint8_t)bytes.p[i]);
        if (w->over || (!w->n_seen && !(w->ended && i + 1 == bytes.n)))
            return refuse(s, frames, e);
        take_set(w, &s->next, &s->cap_next);
    }
    s->n = w->n_seen;
    settle(s, w->ended);
    return true;
}

static bool accept_control(struct gram_state *s, int32_t id, struct err *e)
{
    struct walk *w = &s->w;
    uint32_t frames = w->frames.n;
    w->over = false;
    walk_begin(w);
    for (uint32_t i = 0; i < s->n; i++) {
        const struct gram_st *st = &s->g->st[s->set[i].s];
        for (uint32_t k = 0; k < st->n_controls; k++)
            if ((int32_t)s->g->k[st->controls + k].arg == id)
                walk_add(w, s->g->k[st->controls + k].to, s->set[i].f);
    }
    bool any = w->n_seen > 0;
    walk_close(w);
    if (!any || w->over)
        return refuse(s, frames, e);
    take_set(w, &s->next, &s->cap_next);
    s->n = w->n_seen;
    settle(s, w->ended);
    return true;
}

bool gram_accept(struct gram_state *s, int32_t id, struct err *e)
{
    const struct gram_vocab *v = s->g->vocab;
    struct err as_control;
    if (id < 0 || id >= v->n)
        return err_set(e, ERR_INPUT, "there is no token %d", id);
    if (v->eog[id] && s->may_end)
        return true;
    // A token may be named by the grammar, or be text.
    if (accept_control(s, id, &as_control))
        return true;
    if (as_control.code == ERR_LIMIT || !v->text[id]) {
        *e = as_control;
        return false;
    }
    return gram_accept_bytes(s, v->pieces[id], e);
}

bool gram_may_end(const struct gram_state *s)
{
    return s->may_end;
}

bool gram_must_end(const struct gram_state *s)
{
    return s->may_end && s->n == 0;
}

/* The one byte that all readings go on with, or -1. */
static int only_byte(const struct gram *g, const struct item *set, uint32_t n)
{
    int only = -1;
    for (uint32_t i = 0; i < n; i++) {
        const struct gram_st *s = &g->st[set[i].s];
        if (s->n_controls)
            return -1;
        for (uint32_t k = 0; k < s->n_edges; k++) {
            struct auto_edge e = g->e[s->edges + k];
            if (e.lo != e.hi || (only >= 0 && only != e.lo))
                return -1;
            only = e.lo;
        }
    }
    return only;
}

size_t gram_only(struct gram_state *s, char *out, size_t cap)
{
    struct walk *w = &s->w;
    uint32_t frames = w->frames.n, n = s->n;
    size_t len = 0;
    bool ended = s->may_end;
    w->over = false;
    while (len < cap && !ended) {
        const struct item *set = len ? s->next : s->set;
        int byte = only_byte(s->g, set, n);
        if (byte < 0)
            break;
        walk_step(w, set, n, (uint8_t)byte);
        if (w->over)
            break;
        out[len++] = (char)byte;
        take_set(w, &s->next, &s->cap_next);
        n = w->n_seen;
        ended = w->ended;
    }
    walk_rewind(w, frames);
    return len;
}
