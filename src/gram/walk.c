/* gram/walk.c - sets of readings and how they move.
 *
 * A reading is a state and a stack of frames (where to go on when a rule is complete, or how often
 * a counted one has been).  Equal stacks are one frame number, so that equal readings are one. */
#include "gram/gram_int.h"

#define TABLE_SIZE 16384 // > 2 * GRAM_READINGS_MAX
#define FEW        24    // readings that are compared one by one
#define FRAMES_MAX (1u << 22)

static void frames_init(struct frames *f)
{
    f->cap = 64;
    f->p = mem_alloc(f->cap * sizeof *f->p);
    f->n_heads = 64;
    f->heads = mem_alloc(f->n_heads * sizeof *f->heads);
    memset(f->heads, 0xFF, f->n_heads * sizeof *f->heads);
    f->p[0] = (struct frame){.rep = NO_REP, .chain = UINT32_MAX}; // in no chain
    f->n = 1;
}

void walk_init(struct walk *w, const struct gram *g)
{
    *w = (struct walk){.g = g};
    frames_init(&w->frames);
    w->cap_seen = FEW;
    w->seen = mem_alloc(w->cap_seen * sizeof *w->seen);
    w->n_levels = g->vocab->max_depth + 2;
    w->level_at = mem_alloc((size_t)w->n_levels * sizeof *w->level_at);
    w->level_n = mem_alloc((size_t)w->n_levels * sizeof *w->level_n);
    w->cap_stack = 64;
    w->stack = mem_alloc(w->cap_stack * sizeof *w->stack);
}

void walk_fini(struct walk *w)
{
    mem_free(w->frames.p);
    mem_free(w->frames.heads);
    mem_free(w->seen);
    mem_free(w->table);
    mem_free(w->stamps);
    mem_free(w->pops);
    mem_free(w->level_at);
    mem_free(w->level_n);
    mem_free(w->stack);
}

static uint32_t frame_slot(const struct frames *f, const struct frame *x)
{
    uint64_t h = ((uint64_t)x->parent << 32 | x->ret) * 0x9E3779B97F4A7C15u;
    h ^= ((uint64_t)x->rep << 32 | x->count) * 0xC2B2AE3D27D4EB4Fu;
    return (uint32_t)((h ^ (h >> 32)) & (f->n_heads - 1));
}

static void frames_rehash(struct frames *f, uint32_t n_heads)
{
    f->n_heads = n_heads;
    f->heads = mem_realloc(f->heads, n_heads * sizeof *f->heads);
    memset(f->heads, 0xFF, n_heads * sizeof *f->heads);
    for (uint32_t i = 1; i < f->n; i++) {
        uint32_t slot = frame_slot(f, &f->p[i]);
        f->p[i].chain = f->heads[slot];
        f->heads[slot] = i;
    }
}

uint32_t walk_frame(struct walk *w, struct frame x)
{
    struct frames *f = &w->frames;
    uint32_t slot = frame_slot(f, &x);
    for (uint32_t i = f->heads[slot]; i != UINT32_MAX; i = f->p[i].chain) {
        const struct frame *y = &f->p[i];
        if (y->parent == x.parent && y->ret == x.ret && y->rep == x.rep && y->count == x.count)
            return i;
    }
    x.depth = f->p[x.parent].depth + 1;
    if (x.depth > w->deepest)
        w->deepest = x.depth;
    if (x.depth > w->g->depth_max)
        return NO_FRAME;
    if (f->n >= FRAMES_MAX) {
        w->over = true;
        return NO_FRAME;
    }
    if (f->n == f->cap) {
        f->cap *= 2;
        f->p = mem_realloc(f->p, f->cap * sizeof *f->p);
        frames_rehash(f, f->n_heads * 2);
        slot = frame_slot(f, &x);
    }
    x.chain = f->heads[slot];
    f->p[f->n] = x;
    f->heads[slot] = f->n;
    return f->n++;
}

void walk_rewind(struct walk *w, uint32_t n)
{
    struct frames *f = &w->frames;
    while (f->n > n) { // newest first: each is the head of its chain
        f->n--;
        f->heads[frame_slot(f, &f->p[f->n])] = f->p[f->n].chain;
    }
}

void walk_copy_frames(struct frames *to, const struct frames *from)
{
    to->p = mem_realloc(to->p, from->cap * sizeof *to->p);
    memcpy(to->p, from->p, from->n * sizeof *to->p);
    to->n = from->n;
    to->cap = from->cap;
    to->heads = mem_realloc(to->heads, from->n_heads * sizeof *to->heads);
    memcpy(to->heads, from->heads, from->n_heads * sizeof *to->heads);
    to->n_heads = from->n_heads;
}

void walk_begin(struct walk *w)
{
    w->n_seen = 0;
    w->n_pops = 0;
    w->ended = false;
}

void walk_add(struct walk *w, uint32_t s, uint32_t f)
{
    uint32_t n = w->n_seen;
    if (f == NO_FRAME) // too deep: as if the grammar ended there
        return;
    if (n < FEW) {
        for (uint32_t i = 0; i < n; i++)
            if (w->seen[i].s == s && w->seen[i].f == f)
                return;
    } else {
        if (n >= GRAM_READINGS_MAX) {
            w->over = true;
            return;
        }
        if (n == w->cap_seen) {
            w->cap_seen *= 2;
            w->seen = mem_realloc(w->seen, w->cap_seen * sizeof *w->seen);
        }
        if (!w->table) {
            w->table = mem_alloc(TABLE_SIZE * sizeof *w->table);
            w->stamps = mem_calloc(TABLE_SIZE, sizeof *w->stamps);
        }
        if (n == FEW) { // from here on there is an index
            w->stamp++;
            for (uint32_t i = 0; i < n; i++) {
                uint64_t h = ((uint64_t)w->seen[i].s << 32 | w->seen[i].f) * 0x9E3779B97F4A7C15u;
                uint32_t slot = (uint32_t)(h >> 32) & (TABLE_SIZE - 1);
                while (w->stamps[slot] == w->stamp)
                    slot = (slot + 1) & (TABLE_SIZE - 1);
                w->stamps[slot] = w->stamp;
                w->table[slot] = i;
            }
        }
        uint64_t h = ((uint64_t)s << 32 | f) * 0x9E3779B97F4A7C15u;
        uint32_t slot = (uint32_t)(h >> 32) & (TABLE_SIZE - 1);
        while (w->stamps[slot] == w->stamp) {
            struct item x = w->seen[w->table[slot]];
            if (x.s == s && x.f == f)
                return;
            slot = (slot + 1) & (TABLE_SIZE - 1);
        }
        w->stamps[slot] = w->stamp;
        w->table[slot] = n;
    }
    w->seen[w->n_seen++] = (struct item){s, f};
}

/* The rule above frame f is complete. */
void walk_pop(struct walk *w, uint32_t f)
{
    if (f == 0) {
        w->ended = true;
        return;
    }
    struct frame x = w->frames.p[f];
    if (x.rep == NO_REP) {
        walk_add(w, x.ret, x.parent);
        return;
    }
    const struct gram_rule *r = &w->g->rules[x.rep];
    uint32_t count = x.count + 1;
    if (x.ret == RET_PROBE) {
        for (uint32_t i = 0; i < w->n_pops; i++)
            if (w->pops[i] == count)
                return;
        if (w->n_pops == w->cap_pops) {
            w->cap_pops = w->cap_pops ? w->cap_pops * 2 : 16;
            w->pops = mem_realloc(w->pops, w->cap_pops * sizeof *w->pops);
        }
        w->pops[w->n_pops++] = count;
        w->ended = true;
        x.count = count;
        walk_add(w, r->start, walk_frame(w, x));
        return;
    }
    if (count >= r->min)
        walk_add(w, x.ret, x.parent);
    if (count < r->max) {
        x.count = r->max == UINT32_MAX && count > r->min ? r->min : count;
        walk_add(w, r->start, walk_frame(w, x));
    }
}

void walk_close(struct walk *w)
{
    const struct gram *g = w->g;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->n_seen && !w->over; i++) {
        struct item x = w->seen[i];
        const struct gram_st *s = &g->st[x.s];
        w->steps++;
        if (s->flags & STATE_ACCEPT)
            walk_pop(w, x.f);
        for (uint32_t k = 0; k < s->n_calls && !w->over; k++) {
            struct auto_jump j = g->c[s->calls + k];
            const struct gram_rule *r = &g->rules[j.arg];
            uint32_t below = x.f;
            if (r->counted) {
                if (r->min == 0)
                    walk_add(w, j.to, x.f);
                below = walk_frame(
                    w, (struct frame){.parent = x.f, .ret = j.to, .rep = j.arg, .count = 0});
            } else if (!(g->st[j.to].flags & STATE_TAIL)) {
                below = walk_frame(w, (struct frame){.parent = x.f, .ret = j.to, .rep = NO_REP});
            }
            walk_add(w, r->start, below);
        }
    }
    for (uint32_t i = 0; i < w->n_seen; i++)
        if (g->st[w->seen[i].s].flags & STATE_LETTERS)
            w->seen[kept++] = w->seen[i];
    w->n_seen = kept;
}

void walk_step(struct walk *w, const struct item *from, uint32_t n, uint8_t byte)
{
    const struct gram *g = w->g;
    bool closed = true; // nothing added needs a closure
    walk_begin(w);
    for (uint32_t i = 0; i < n; i++) {
        const struct gram_st *s = &g->st[from[i].s];
        const struct auto_edge *e = g->e + s->edges;
        for (uint32_t k = 0; k < s->n_edges; k++) {
            if (byte < e[k].lo || byte > e[k].hi)
                continue;
            walk_add(w, e[k].to, from[i].f);
            closed = closed && (g->st[e[k].to].flags & STATE_PLAIN);
        }
    }
    w->steps += n + 1;
    if (!closed)
        walk_close(w); // plain states have letters, so that else there is nothing to leave out
}

typedef void found_fn(struct walk *w, uint32_t node, const struct item *set, uint32_t n, void *arg);

/* Nodes i..end, the first of which are one deeper than base. */
static void walk_nodes(struct walk *w, uint32_t i, uint32_t end, uint32_t base, found_fn *found,
                       void *arg)
{
    const struct tree_node *tree = w->g->vocab->tree;
    w->level_at[0] = 0;
    w->level_n[0] = w->n_stack;
    while (i < end && !w->over) {
        uint32_t d = tree[i].depth - base;
        uint32_t at = w->level_at[d - 1] + w->level_n[d - 1];
        walk_step(w, w->stack + w->level_at[d - 1], w->level_n[d - 1], tree[i].byte);
        if (w->steps > GRAM_MASK_STEPS_MAX)
            w->over = true;
        if (!w->n_seen && !w->ended) {
            i = tree[i].end;
            continue;
        }
        if (at + w->n_seen > w->cap_stack) {
            w->cap_stack = (at + w->n_seen) * 2;
            w->stack = mem_realloc(w->stack, w->cap_stack * sizeof *w->stack);
        }
        if (w->n_seen)
            memcpy(w->stack + at, w->seen, w->n_seen * sizeof *w->stack);
        w->level_at[d] = at;
        w->level_n[d] = w->n_seen;
        found(w, i, w->stack + at, w->n_seen, arg);
        i = w->n_seen ? i + 1 : tree[i].end;
    }
}

void walk_tree(struct walk *w, uint32_t node, found_fn *found, void *arg)
{
    const struct tree_node *t = &w->g->vocab->tree[node];
    walk_nodes(w, node + 1, t->end, t->depth, found, arg);
}

void walk_child(struct walk *w, uint32_t node, found_fn *found, void *arg)
{
    const struct tree_node *t = &w->g->vocab->tree[node];
    walk_nodes(w, node, t->end, t->depth - 1u, found, arg);
}
