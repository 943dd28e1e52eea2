/* chat/fit.c - see fit.h. */
#include "chat/fit.h"

#include "base/mem.h"

/* Which messages may leave, and with which others. */
struct plan {
    const json_t *messages;
    size_t n_messages;
    size_t *unit; // [n_messages]: leaves with the unit of this number, from 1; 0: stays
    size_t n_units;
};

static const char *role_of(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    return role ? role : "";
}

static bool has_role(const json_t *message, const char *role)
{
    return strcmp(role_of(message), role) == 0;
}

/* Does the template take a conversation that begins with an answer? */
static bool takes_answer_first(const struct chat_template *t, const struct chat_request *r)
{
    struct chat_request probe = *r;
    struct jinja_out out;
    struct err e;
    jinja_out_init(&out, (size_t)1 << 20);
    probe.messages = json_pack("[{ssss}{ssss}]", "role", "assistant", "content", "a", "role",
                               "user", "content", "b");
    probe.continue_final = false;
    bool ok = chat_render(t, &probe, &out, &e);
    json_decref(probe.messages);
    jinja_out_free(&out);
    return ok;
}

static void plan_init(struct plan *p, const struct chat_template *t, const struct chat_request *r)
{
    size_t n = json_array_size(r->messages), first_kept = n ? n - 1 : 0;
    for (size_t i = n; i-- > 0;)
        if (has_role(json_array_get(r->messages, i), "user")) {
            first_kept = i;
            break;
        }
    *p = (struct plan){.messages = r->messages, .n_messages = n};
    p->unit = mem_calloc(n + 1, sizeof *p->unit);
    bool alone = takes_answer_first(t, r);
    for (size_t i = 0; i < first_kept; i++) {
        const json_t *m = json_array_get(r->messages, i);
        if (has_role(m, "system"))
            continue;
        bool joins = has_role(m, "tool") || (!alone && !has_role(m, "user"));
        if (!joins || p->n_units == 0)
            p->n_units++;
        p->unit[i] = p->n_units;
    }
}

/* The messages without the first k units. */
static json_t *without(const struct plan *p, size_t k)
{
    json_t *rest = json_array();
    for (size_t i = 0; i < p->n_messages; i++)
        if (p->unit[i] == 0 || p->unit[i] > k)
            json_array_append(rest, json_array_get(p->messages, i));
    return rest;
}

/* Tokenizes what is left without the first k units; *fits also when false because of `most`. */
static bool try_without(const struct plan *p, const struct chat_template *t,
                        const struct chat_request *r, size_t k, size_t most, struct tok_ids *ids,
                        bool *fits, struct err *e)
{
    struct chat_request left = *r;
    left.messages = without(p, k);
    ids->n = 0;
    bool ok = chat_tokenize(t, &left, 0, ids, e);
    json_decref(left.messages);
    *fits = ok && ids->n <= most;
    return ok || (e->code == ERR_LIMIT && !e->where[0]); // too many tokens to count
}

/* The least number of units without which the rest fits; all of them if it never does. */
static bool search(const struct plan *p, const struct chat_template *t,
                   const struct chat_request *r, size_t most, struct tok_ids *ids, size_t *k,
                   struct err *e)
{
    size_t low = 0, high = p->n_units; // without `low` it is known not to fit
    bool fits;
    if (!try_without(p, t, r, high, most, ids, &fits, e))
        return false;
    while (fits && high - low > 1) {
        size_t middle = low + (high - low) / 2;
        bool enough;
        if (!try_without(p, t, r, middle, most, ids, &enough, e))
            return false;
        if (enough)
            high = middle;
        else
            low = middle;
    }
    *k = high;
    return true;
}

bool chat_fit(const struct chat_template *t, struct chat_request *r, size_t most,
              struct tok_ids *ids, size_t *n_evicted, struct chat_start *start, struct err *e)
{
    struct plan p;
    size_t k = 0;
    *n_evicted = 0;
    bool counted = chat_prepare(t, r, 0, ids, start, e);
    if (counted && ids->n <= most)
        return true;
    if (!counted && !(e->code == ERR_LIMIT && !e->where[0]))
        return false;

    plan_init(&p, t, r);
    bool ok = p.n_units == 0 ? counted : search(&p, t, r, most, ids, &k, e);
    if (ok && k > 0) {
        json_t *left = without(&p, k);
        *n_evicted = p.n_messages - json_array_size(left);
        json_decref(r->messages);
        r->messages = left;
        ids->n = 0;
        ok = chat_prepare(t, r, 0, ids, start, e);
    }
    mem_free(p.unit);
    return ok;
}
