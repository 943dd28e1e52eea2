/* sched/prefix.c - see prefix.h.
 *
 * All nodes stand in one list by last use.  A walk touches the deepest node first and the root's
 * child last, so a parent is always younger than its children and the oldest node is always a
 * leaf: eviction takes the tail of the list. */
#include "sched/prefix.h"

#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <uthash.h>

struct tenant {
    char *name;
    uint64_t serial;
    int n_nodes; // 0: the tenant goes
    UT_hash_handle hh;
};

struct key {
    uint64_t parent, hash; // serial of the parent (or tenant), hash of the tokens
};

struct node {
    struct key key;
    uint64_t serial;
    struct node *parent; // NULL: first block
    struct tenant *tenant;
    int32_t block;
    struct node *newer, *older;
    UT_hash_handle hh;
    int32_t tokens[ENGINE_BLOCK];
};

struct prefix {
    struct engine *engine;
    struct tenant *tenants;
    struct node *nodes, *newest, *oldest;
    struct node *room, *spare; // [blocks of the engine]; those not in use, by `older`
    uint64_t serials;
    int n_nodes;
};

struct prefix *prefix_new(struct engine *engine)
{
    struct prefix *p = mem_calloc(1, sizeof *p);
    size_t n = engine_info(engine)->kv_blocks;
    p->engine = engine;
    p->room = mem_calloc(n, sizeof *p->room);
    for (size_t i = 0; i < n; i++) {
        p->room[i].older = p->spare;
        p->spare = &p->room[i];
    }
    return p;
}

static void list_take(struct prefix *p, struct node *n)
{
    if (n->newer)
        n->newer->older = n->older;
    else
        p->newest = n->older;
    if (n->older)
        n->older->newer = n->newer;
    else
        p->oldest = n->newer;
}

static void list_put_newest(struct prefix *p, struct node *n)
{
    n->newer = NULL;
    n->older = p->newest;
    if (p->newest)
        p->newest->newer = n;
    else
        p->oldest = n;
    p->newest = n;
}

/* Makes a node and those above it the newest, itself the oldest of them. */
static void touch(struct prefix *p, struct node *n)
{
    for (; n; n = n->parent) {
        list_take(p, n);
        list_put_newest(p, n);
    }
}

static struct tenant *find_tenant(struct prefix *p, str name, bool make)
{
    struct tenant *t = NULL;
    HASH_FIND(hh, p->tenants, name.n ? name.p : "", (unsigned)name.n, t);
    if (!t && make) {
        t = mem_calloc(1, sizeof *t);
        t->name = mem_strdup(name);
        t->serial = ++p->serials;
        HASH_ADD_KEYPTR(hh, p->tenants, t->name, (unsigned)name.n, t);
    }
    return t;
}

static void forget_if_empty(struct prefix *p, struct tenant *t)
{
    if (t->n_nodes > 0)
        return;
    HASH_DEL(p->tenants, t);
    mem_free(t->name);
    mem_free(t);
}

static struct key key_of(uint64_t parent, const int32_t *tokens)
{
    struct key k = {.parent = parent, .hash = 0};
    for (int i = 0; i < ENGINE_BLOCK; i++)
        k.hash = rng_at(k.hash, (uint64_t)tokens[i]);
    return k;
}

/* The child with exactly these tokens; *taken tells of another with the same key. */
static struct node *find_child(struct prefix *p, uint64_t parent, const int32_t *tokens,
                               bool *taken)
{
    struct key k = key_of(parent, tokens);
    struct node *n = NULL;
    HASH_FIND(hh, p->nodes, &k, sizeof k, n);
    *taken = n != NULL;
    return n && memcmp(n->tokens, tokens, sizeof n->tokens) == 0 ? n : NULL;
}

int prefix_match(struct prefix *p, str tenant, const int32_t *tokens, int n, int from,
                 int32_t *blocks, int max)
{
    struct tenant *t = find_tenant(p, tenant, false);
    struct node *last = NULL;
    int found = 0;
    bool taken;
    assert(from % ENGINE_BLOCK == 0);
    for (int at = 0; t && at + ENGINE_BLOCK <= n && found < max; at += ENGINE_BLOCK) {
        struct node *c = find_child(p, last ? last->serial : t->serial, tokens + at, &taken);
        if (!c)
            break;
        last = c;
        if (at >= from) {
            engine_kv_hold(p->engine, c->block);
            blocks[found++] = c->block;
        }
    }
    touch(p, last);
    return found;
}

/* The path of tokens [0, n) as far as the tree has whole blocks of it, up to `most` tokens; then
 * the child behind it that goes on for longest as the tokens do (NULL: none does). */
struct way {
    int whole, more; // tokens on the path, and in common with the child behind it
    struct node *child;
};

static struct way find_way(struct prefix *p, const struct tenant *t, const int32_t *tokens, int n,
                           int most)
{
    struct way w = {0};
    struct node *last = NULL, *c;
    bool taken;
    for (; w.whole + ENGINE_BLOCK <= most; w.whole += ENGINE_BLOCK, last = c)
        if (!(c = find_child(p, last ? last->serial : t->serial, tokens + w.whole, &taken)))
            break;
    uint64_t parent = last ? last->serial : t->serial;
    for (c = p->newest; c; c = c->older) {
        int k = 0;
        while (c->key.parent == parent && k < ENGINE_BLOCK && w.whole + k < n &&
               c->tokens[k] == tokens[w.whole + k])
            k++;
        if (k > w.more) {
            w.more = k;
            w.child = c;
        }
    }
    return w;
}

int prefix_common(struct prefix *p, str tenant, const int32_t *tokens, int n)
{
    struct tenant *t = find_tenant(p, tenant, false);
    if (!t)
        return 0;
    struct way w = find_way(p, t, tokens, n, n);
    return w.whole + w.more;
}

int prefix_part(struct prefix *p, str tenant, const int32_t *tokens, int n, int from,
                int32_t *block)
{
    struct tenant *t = find_tenant(p, tenant, false);
    assert(from % ENGINE_BLOCK == 0);
    if (!t)
        return 0;
    struct way w = find_way(p, t, tokens, n, from);
    if (w.whole < from || !w.child)
        return 0;
    *block = w.child->block;
    engine_kv_hold(p->engine, *block);
    return w.more;
}

void prefix_insert(struct prefix *p, str tenant, const int32_t *tokens, int n,
                   const int32_t *blocks)
{
    if (n < ENGINE_BLOCK)
        return;
    struct tenant *t = find_tenant(p, tenant, true);
    struct node *last = NULL;
    bool taken;
    for (int at = 0; at + ENGINE_BLOCK <= n; at += ENGINE_BLOCK) {
        uint64_t parent = last ? last->serial : t->serial;
        struct node *c = find_child(p, parent, tokens + at, &taken);
        if (!c && taken)
            break; // two runs of tokens with one hash: the first stays
        if (!c) {
            c = p->spare; // a node for each block is enough
            assert(c);
            p->spare = c->older;
            *c = (struct node){0};
            c->key = key_of(parent, tokens + at);
            c->serial = ++p->serials;
            c->parent = last;
            c->tenant = t;
            c->block = blocks[at / ENGINE_BLOCK];
            memcpy(c->tokens, tokens + at, sizeof c->tokens);
            engine_kv_hold(p->engine, c->block);
            HASH_ADD(hh, p->nodes, key, sizeof c->key, c);
            list_put_newest(p, c);
            t->n_nodes++;
            p->n_nodes++;
        }
        last = c;
    }
    touch(p, last);
    forget_if_empty(p, t);
}

bool prefix_evict(struct prefix *p)
{
    struct node *n = p->oldest;
    if (!n)
        return false;
    struct tenant *t = n->tenant;
    list_take(p, n);
    HASH_DEL(p->nodes, n);
    engine_kv_drop(p->engine, n->block);
    n->older = p->spare;
    p->spare = n;
    p->n_nodes--;
    t->n_nodes--;
    forget_if_empty(p, t);
    return true;
}

void prefix_free(struct prefix *p)
{
    if (!p)
        return;
    while (prefix_evict(p))
        ;
    assert(!p->tenants);
    mem_free(p->room);
    mem_free(p);
}

int prefix_count(const struct prefix *p)
{
    return p->n_nodes;
}

size_t prefix_bytes(size_t n_blocks)
{
    return n_blocks * (sizeof(struct node) + 2 * sizeof(UT_hash_bucket));
}
