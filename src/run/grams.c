/* run/grams.c - see grams.h. */
#include "run/grams.h"

#include "base/mem.h"
#include "json/json.h"

#include <uthash.h>

#define KEY_MAX (8 << 20)

struct entry {
    UT_hash_handle hh; // by key; in the order of use
    char *key;
    size_t n_key;
    struct gram *by_start[GRAMS_STARTS];
};

struct grams {
    struct entry *entries; // least recently used first
    size_t max_bytes;
};

struct grams *grams_new(size_t max_bytes)
{
    struct grams *c = mem_calloc(1, sizeof *c);
    c->max_bytes = max_bytes;
    return c;
}

/* Automatons grow as masks are computed, so that this is asked anew each time. */
static size_t entry_bytes(const struct entry *x)
{
    size_t n = sizeof *x + x->n_key;
    for (int i = 0; i < GRAMS_STARTS; i++)
        if (x->by_start[i])
            n += gram_memory(x->by_start[i]);
    return n;
}

static void drop(struct grams *c, struct entry *x)
{
    HASH_DEL(c->entries, x);
    for (int i = 0; i < GRAMS_STARTS; i++)
        gram_drop(x->by_start[i]);
    mem_free(x->key);
    mem_free(x);
}

void grams_free(struct grams *c)
{
    struct entry *x, *next;
    if (!c)
        return;
    HASH_ITER(hh, c->entries, x, next)
    {
        drop(c, x);
    }
    mem_free(c);
}

size_t grams_bytes(const struct grams *c)
{
    size_t n = 0;
    for (const struct entry *x = c->entries; x; x = x->hh.next)
        n += entry_bytes(x);
    return n;
}

size_t grams_count(const struct grams *c)
{
    return HASH_COUNT(c->entries);
}

/* All that chat_constraint looks at, beside the start. */
static void make_key(const struct chat_template *t, const struct chat_request *r, struct buf *out)
{
    buf_init(out, KEY_MAX);
    if (r->format == CHAT_FORMAT_TEXT && json_array_size(r->tools) == 0)
        return;
    buf_put(out, &t, sizeof t);
    buf_printf(out, "%d %d %d %d %zu %zu\n", r->format, r->tool_choice, r->one_call,
               r->messages != NULL, r->tool_name.n, r->format_source.n);
    buf_str(out, r->tool_name);
    buf_str(out, r->format_source);
    buf_char(out, '\n');
    buf_str(out, r->format_root);
    buf_char(out, '\n');
    if (r->format_schema)
        json_write(out, r->format_schema, JSON_PLAIN, -1);
    buf_char(out, '\n');
    if (r->tools)
        json_write(out, r->tools, JSON_PLAIN, -1);
}

static struct entry *find(const struct grams *c, const struct buf *key)
{
    struct entry *x = NULL;
    if (key->n)
        HASH_FIND(hh, c->entries, key->p, key->n, x);
    return x;
}

void grams_find(struct grams *c, const struct chat_template *t, const struct chat_request *r,
                struct grams_of *of)
{
    *of = (struct grams_of){0};
    make_key(t, r, &of->key);
    if (of->key.full) // too long to be kept
        buf_free(&of->key);
    struct entry *x = find(c, &of->key);
    if (!x)
        return;
    for (int i = 0; i < GRAMS_STARTS; i++)
        of->by_start[i] = x->by_start[i] ? gram_hold(x->by_start[i]) : NULL;
    HASH_DEL(c->entries, x); // now the last one used
    HASH_ADD_KEYPTR(hh, c->entries, x->key, x->n_key, x);
}

void grams_keep(struct grams *c, const struct grams_of *of)
{
    struct entry *x = find(c, &of->key);
    if (!of->fresh || !of->key.n)
        return;
    if (!x) {
        x = mem_calloc(1, sizeof *x);
        x->key = mem_alloc(of->key.n);
        x->n_key = of->key.n;
        memcpy(x->key, of->key.p, of->key.n);
        HASH_ADD_KEYPTR(hh, c->entries, x->key, x->n_key, x);
    }
    for (int i = 0; i < GRAMS_STARTS; i++)
        if (of->by_start[i] && !x->by_start[i])
            x->by_start[i] = gram_hold(of->by_start[i]);
    size_t bytes = grams_bytes(c);
    while (c->entries && bytes > c->max_bytes) {
        bytes -= entry_bytes(c->entries);
        drop(c, c->entries);
    }
}

void grams_of_free(struct grams_of *of)
{
    for (int i = 0; i < GRAMS_STARTS; i++)
        gram_drop(of->by_start[i]);
    buf_free(&of->key);
    *of = (struct grams_of){0};
}

bool grams_compile(struct grams_of *of, const struct chat_template *t, const struct gram_vocab *v,
                   const struct chat_request *r, const struct chat_start *start,
                   const struct gram **out, struct err *e)
{
    int i = (start->thinking ? 1 : 0) + (start->settled ? 2 : 0);
    if (!of->by_start[i]) {
        if (!chat_constraint(t, v, r, start, &of->by_start[i], e))
            return false;
        of->fresh = of->by_start[i] != NULL;
    }
    *out = of->by_start[i];
    return true;
}
