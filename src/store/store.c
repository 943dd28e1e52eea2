/* store/store.c - orders in, transactions, replies out. */
#include "store/store_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <assert.h>

struct store_conf store_conf_default(void)
{
    return (struct store_conf){
        .keep_s = 7 * 86400, .max_bytes = (uint64_t)4 << 30, .max_orders = 4096};
}

void store_order_clear(struct order *o)
{
    size_t max = o->out.max;
    arena_fini(&o->out);
    arena_init(&o->out, max);
    mem_free(o->events);
    mem_free(o->ids);
    o->events = o->ids = NULL;
    o->n = 0;
    o->found = (struct store_run){0};
    o->found_body = STR("");
}

static void order_free(struct order *o)
{
    store_order_clear(o);
    arena_fini(&o->in);
    arena_fini(&o->out);
    mem_free(o);
}

/* The store thread. */

static bool carry_out(struct store *s, struct order *o)
{
    store_order_clear(o);
    o->error.code = ERR_NONE;
    return o->carry_out(&s->db, o, &o->error);
}

/* Does this failure concern the order alone, and leave the transaction as it was? */
static bool is_own(const struct order *o)
{
    switch (o->error.code) {
    case ERR_NOT_FOUND:
    case ERR_INPUT: return true; // an INSERT that met a constraint changed nothing
    case ERR_FORMAT:
    case ERR_LIMIT: return !o->writes;
    default: return false;
    }
}

/* All of them in one transaction; false: nothing of it was done, with the reason. */
static bool commit(struct store *s, struct order **orders, int n, struct err *e)
{
    bool writes = false;
    for (int i = 0; i < n; i++)
        writes |= orders[i]->writes;
    uint64_t began = clock_mono_ns();
    bool ok = !writes || store_db_run_plain(&s->db, STMT_BEGIN, e);
    bool open = ok && writes;
    for (int i = 0; i < n && ok; i++)
        if (!carry_out(s, orders[i]) && !is_own(orders[i])) {
            *e = orders[i]->error;
            ok = !writes; // a reading order fails alone when nothing is written
        }
    ok = ok && (!writes || store_db_run_plain(&s->db, STMT_COMMIT, e));
    if (!ok && open) {
        struct err ignored;
        if (!sqlite3_get_autocommit(s->db.sql) &&
            !store_db_run_plain(&s->db, STMT_ROLLBACK, &ignored))
            log_warn("store.rollback", "error=%s", ignored.msg);
    }
    if (ok && writes) {
        atomic_fetch_add_explicit(&s->commits, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->commit_us, (clock_mono_ns() - began) / 1000,
                                  memory_order_relaxed);
        atomic_store_explicit(&s->failing, false, memory_order_relaxed);
    }
    return ok;
}

static void fail(struct store *s, const struct err *e)
{
    if (!atomic_exchange_explicit(&s->failing, true, memory_order_relaxed))
        log_error("store.write", "error=%s", e->msg);
    atomic_fetch_add_explicit(&s->failures, 1, memory_order_relaxed);
}

static void carry_out_all(struct store *s, struct order **orders, int n)
{
    struct err e;
    if (!commit(s, orders, n, &e)) {
        fail(s, &e);
        // One by one: those that can be done are, and each of the others learns why it is not.
        for (int i = 0; i < n; i++)
            if (n == 1 || !commit(s, &orders[i], 1, &e)) {
                store_order_clear(orders[i]);
                orders[i]->error = e;
            }
    }
    atomic_fetch_add_explicit(&s->orders, (uint64_t)n, memory_order_relaxed);
    for (int i = 0; i < n; i++) {
        bool ok = queue_put(s->out, orders[i]);
        assert(ok); // as large as all orders there can be
    }
    queue_tell(s->out);
}

static struct order last_order; // ends the thread

static void *store_thread(void *arg)
{
    struct store *s = arg;
    struct order *orders[BATCH_MAX];
    bool more = true; // to be swept
    uint64_t swept_ms = 0;
    for (;;) {
        int n = 0;
        bool stop = false;
        while (n < BATCH_MAX && (orders[n] = queue_pop(s->in, n == 0 && !more ? SWEEP_MS : 0))) {
            stop = orders[n] == &last_order;
            if (stop)
                break;
            n++;
        }
        if (n)
            carry_out_all(s, orders, n);
        if (stop)
            return NULL;
        if (more || clock_mono_ms() - swept_ms >= SWEEP_MS) {
            more = store_sweep(s);
            swept_ms = clock_mono_ms();
        }
    }
}

/* The loop thread. */

bool store_open(struct store **out, const struct store_conf *c, struct err *e)
{
    struct store *s = mem_calloc(1, sizeof *s);
    s->conf = *c;
    if (!store_db_open(&s->db, c, e)) {
        mem_free(s);
        return false;
    }
    s->in = queue_new((size_t)c->max_orders, false);
    s->out = queue_new((size_t)c->max_orders, true);
    if (pthread_create(&s->thread, NULL, store_thread, s) != 0) {
        queue_free(s->in);
        queue_free(s->out);
        store_db_close(&s->db);
        mem_free(s);
        return err_set(e, ERR_INTERNAL, "cannot start the store's thread");
    }
    *out = s;
    return true;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_drain(s);
    bool ok = queue_push(s->in, &last_order); // nothing else is in it now
    assert(ok);
    pthread_join(s->thread, NULL);
    queue_free(s->in);
    queue_free(s->out);
    store_db_close(&s->db);
    mem_free(s);
}

bool store_is_durable(const struct store *s)
{
    return s->conf.dir != NULL;
}

int store_fd(const struct store *s)
{
    return queue_fd(s->out);
}

int store_n_orders(const struct store *s)
{
    return s->n_orders;
}

static void answer(struct store *s, struct order *o)
{
    struct store_reply r = {
        .error = o->error.code == ERR_NONE ? NULL : &o->error,
        .run = o->found.id.n ? &o->found : NULL,
        .events = o->events,
        .ids = o->ids,
        .n = o->n,
        .body = o->found_body,
    };
    s->n_orders--;
    if (o->done)
        o->done(&r, o->arg);
    order_free(o);
}

void store_turn(struct store *s)
{
    struct order *o;
    while ((o = queue_pop(s->out, 0)))
        answer(s, o);
}

void store_drain(struct store *s)
{
    while (s->n_orders > 0) {
        struct order *o = queue_pop(s->out, -1);
        if (o)
            answer(s, o);
    }
}

void store_counts(const struct store *s, struct store_counts *out)
{
    *out = (struct store_counts){
        .commits = atomic_load_explicit(&s->commits, memory_order_relaxed),
        .orders = atomic_load_explicit(&s->orders, memory_order_relaxed),
        .failures = atomic_load_explicit(&s->failures, memory_order_relaxed),
        .commit_us = atomic_load_explicit(&s->commit_us, memory_order_relaxed),
        .expired = atomic_load_explicit(&s->expired, memory_order_relaxed),
        .bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed),
        .failing = atomic_load_explicit(&s->failing, memory_order_relaxed),
    };
}

/* Orders. */

static struct order *order_new(bool (*how)(struct db *db, struct order *o, struct err *e),
                               bool writes, store_done done, void *arg)
{
    struct order *o = mem_calloc(1, sizeof *o);
    o->carry_out = how;
    o->writes = writes;
    o->done = done;
    o->arg = arg;
    arena_init(&o->in, REPLY_MAX);
    arena_init(&o->out, REPLY_MAX);
    return o;
}

/* Takes o. */
static bool give(struct store *s, struct order *o, struct err *e)
{
    bool ok = true;
    if (o->in.full) {
        ok = err_set(e, ERR_LIMIT, "more than %zu bytes cannot be stored at once", REPLY_MAX);
    } else if (s->n_orders >= s->conf.max_orders) {
        err_set(e, ERR_BUSY, "the store has too much to do; try again later");
        ok = err_kind(e, "store_unavailable");
    }
    if (!ok) {
        order_free(o);
        return false;
    }
    s->n_orders++;
    ok = queue_push(s->in, o);
    assert(ok);
    return true;
}

bool store_run_new(struct store *s, const struct store_run *run, store_done done, void *arg,
                   struct err *e)
{
    struct order *o = order_new(store_row_new, true, done, arg);
    o->run = *run;
    str *const texts[] = {&o->run.id,     &o->run.team,  &o->run.alias,
                          &o->run.origin, &o->run.model, &o->run.request};
    for (size_t i = 0; i < COUNT(texts); i++)
        *texts[i] = arena_str(&o->in, *texts[i]);
    return give(s, o, e);
}

bool store_run_add(struct store *s, str id, const struct store_more *more, store_done done,
                   void *arg, struct err *e)
{
    struct order *o = order_new(store_row_add, true, done, arg);
    o->id = arena_str(&o->in, id);
    o->more = *more;
    str *events = arena_calloc(&o->in, more->n, sizeof *events);
    for (size_t i = 0; events && i < more->n; i++)
        events[i] = arena_str(&o->in, more->events[i]);
    o->more.events = events;
    return give(s, o, e);
}

static bool name_run(struct store *s, bool (*how)(struct db *db, struct order *o, struct err *e),
                     bool writes, str id, str team, store_done done, void *arg, struct err *e)
{
    struct order *o = order_new(how, writes, done, arg);
    o->id = arena_str(&o->in, id);
    o->team = arena_str(&o->in, team);
    return give(s, o, e);
}

bool store_run_load(struct store *s, str name, str team, store_done done, void *arg, struct err *e)
{
    return name_run(s, store_row_load, false, name, team, done, arg, e);
}

bool store_run_resume(struct store *s, str id, store_done done, void *arg, struct err *e)
{
    return name_run(s, store_row_resume, false, id, STR(""), done, arg, e);
}

bool store_run_delete(struct store *s, str id, store_done done, void *arg, struct err *e)
{
    return name_run(s, store_row_delete, true, id, STR(""), done, arg, e);
}

bool store_run_live(struct store *s, store_done done, void *arg, struct err *e)
{
    return name_run(s, store_row_live, false, STR(""), STR(""), done, arg, e);
}

static struct order *object_order(bool (*how)(struct db *db, struct order *o, struct err *e),
                                  bool writes, str kind, str team, str id, store_done done,
                                  void *arg)
{
    struct order *o = order_new(how, writes, done, arg);
    o->kind = arena_str(&o->in, kind);
    o->team = arena_str(&o->in, team);
    o->id = arena_str(&o->in, id);
    return o;
}

static bool put(struct store *s, str kind, str team, str id, str body, int64_t expires_ms,
                bool replaces, store_done done, void *arg, struct err *e)
{
    struct order *o = object_order(store_object_put, true, kind, team, id, done, arg);
    o->body = arena_str(&o->in, body);
    o->expires_ms = expires_ms;
    o->replaces = replaces;
    return give(s, o, e);
}

bool store_put(struct store *s, str kind, str team, str id, str body, int64_t expires_ms,
               store_done done, void *arg, struct err *e)
{
    return put(s, kind, team, id, body, expires_ms, true, done, arg, e);
}

bool store_add(struct store *s, str kind, str team, str id, str body, int64_t expires_ms,
               store_done done, void *arg, struct err *e)
{
    return put(s, kind, team, id, body, expires_ms, false, done, arg, e);
}

bool store_get(struct store *s, str kind, str team, str id, store_done done, void *arg,
               struct err *e)
{
    return give(s, object_order(store_object_get, false, kind, team, id, done, arg), e);
}

bool store_delete(struct store *s, str kind, str team, str id, store_done done, void *arg,
                  struct err *e)
{
    return give(s, object_order(store_object_delete, true, kind, team, id, done, arg), e);
}

bool store_list(struct store *s, str kind, str team, const struct store_page *page, store_done done,
                void *arg, struct err *e)
{
    struct order *o = object_order(store_object_list, false, kind, team, STR(""), done, arg);
    o->page = *page;
    o->page.prefix = arena_str(&o->in, page->prefix);
    o->page.after = arena_str(&o->in, page->after);
    o->page.limit = int_max(int_min(page->limit, 1000), 1);
    return give(s, o, e);
}
