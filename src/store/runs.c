/* store/runs.c - runs and their events, on the store thread. */
#include "store/store_int.h"

#include "base/mem.h"

bool store_row_new(struct db *db, struct order *o, struct err *e)
{
    const struct store_run *r = &o->run;
    sqlite3_stmt *st = store_db_stmt(db, STMT_RUN_NEW, e);
    if (!st)
        return false;
    const str texts[] = {r->id, r->team, r->alias, r->origin, r->model};
    for (int i = 0; i < (int)COUNT(texts); i++)
        if (i != 2 || r->alias.n) // no alias is NULL
            store_db_bind(st, i + 1, texts[i]);
    store_db_bind_sealed(st, 6, r->request, &db->scratch);
    sqlite3_bind_int64(st, 7, (sqlite3_int64)r->seed);
    sqlite3_bind_int64(st, 8, r->created_ms);
    sqlite3_bind_int64(st, 9, r->deadline_ms);
    return store_db_run(db, st, e);
}

/* Where the run stands: its row and how many events it has. */
static bool stand(struct db *db, str id, int64_t *row, uint64_t *n_events, int *state,
                  struct err *e)
{
    bool there;
    sqlite3_stmt *st = store_db_stmt(db, STMT_RUN_STAND, e);
    if (!st)
        return false;
    store_db_bind(st, 1, id);
    if (!store_db_step(db, st, &there, e)) {
        sqlite3_reset(st);
        return false;
    }
    if (there) {
        *row = sqlite3_column_int64(st, 0);
        *n_events = (uint64_t)sqlite3_column_int64(st, 1);
        *state = sqlite3_column_int(st, 2);
    }
    sqlite3_reset(st);
    return there || err_set(e, ERR_NOT_FOUND, "there is no run of this id");
}

static bool add_event(struct db *db, int64_t row, uint64_t number, str event, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, STMT_EVENT_NEW, e);
    if (!st)
        return false;
    sqlite3_bind_int64(st, 1, row);
    sqlite3_bind_int64(st, 2, (sqlite3_int64)number);
    store_db_bind_sealed(st, 3, event, &db->scratch);
    if (store_db_run(db, st, e))
        return true;
    // Not the caller's fault, and not to be taken for an order that changed nothing.
    return e->code != ERR_INPUT
               ? false
               : err_set(e, ERR_FORMAT, "event %llu is there already", (unsigned long long)number);
}

bool store_row_add(struct db *db, struct order *o, struct err *e)
{
    const struct store_more *m = &o->more;
    uint64_t n_events;
    int64_t row;
    int state;
    if (!stand(db, o->id, &row, &n_events, &state, e))
        return false;
    if (m->first != n_events + 1 || state != STORE_LIVE)
        return err_set(e, ERR_INTERNAL, "event %llu does not continue a log of %llu%s",
                       (unsigned long long)m->first, (unsigned long long)n_events,
                       state == STORE_LIVE ? "" : ", which is complete");
    for (size_t i = 0; i < m->n; i++)
        if (!add_event(db, row, m->first + i, m->events[i], e))
            return false;
    sqlite3_stmt *st = store_db_stmt(db, STMT_RUN_MORE, e);
    if (!st)
        return false;
    sqlite3_bind_int64(st, 1, (sqlite3_int64)(m->first + m->n - 1));
    sqlite3_bind_int(st, 2, m->state);
    sqlite3_bind_int64(st, 3, m->ended_ms);
    sqlite3_bind_int64(st, 4, (sqlite3_int64)m->n_prompt);
    sqlite3_bind_int64(st, 5, (sqlite3_int64)m->n_evicted);
    sqlite3_bind_int64(st, 6, row);
    return store_db_run(db, st, e);
}

/* Everything of the row that st stands on, copied. */
static bool read_row(struct order *o, sqlite3_stmt *st, size_t *n_events, struct err *e)
{
    str *const texts[] = {&o->found.id, &o->found.team, &o->found.alias, &o->found.origin,
                          &o->found.model};
    for (int i = 0; i < (int)COUNT(texts); i++)
        *texts[i] = arena_str(&o->out, store_db_column(st, i + 1));
    if (!store_db_column_sealed(st, 6, &o->out, &o->found.request, e))
        return false;
    int64_t state = sqlite3_column_int64(st, 10);
    int64_t n = sqlite3_column_int64(st, 12);
    o->found.seed = (uint64_t)sqlite3_column_int64(st, 7);
    o->found.created_ms = sqlite3_column_int64(st, 8);
    o->found.deadline_ms = sqlite3_column_int64(st, 9);
    o->found.state = (enum store_state)state;
    o->found.ended_ms = sqlite3_column_int64(st, 11);
    o->found.n_prompt = (size_t)sqlite3_column_int64(st, 13);
    o->found.n_evicted = (size_t)sqlite3_column_int64(st, 14);
    if (state < STORE_LIVE || state > STORE_CANCELLED || n < 0 || n > 1 << 30)
        return err_set(e, ERR_FORMAT, "the stored run is damaged");
    *n_events = (size_t)n;
    return true;
}

static bool read_events(struct db *db, struct order *o, int64_t row, size_t want, struct err *e)
{
    bool there;
    sqlite3_stmt *st = store_db_stmt(db, STMT_EVENTS, e);
    if (!st)
        return false;
    sqlite3_bind_int64(st, 1, row);
    o->events = mem_calloc(want + 1, sizeof *o->events);
    while (store_db_step(db, st, &there, e)) {
        if (there && o->n < want) {
            if (store_db_column_sealed(st, 0, &o->out, &o->events[o->n], e) && ++o->n)
                continue;
            break;
        }
        sqlite3_reset(st);
        if (o->out.full)
            return err_set(e, ERR_LIMIT, "the stored run is too large to be read");
        return (!there && o->n == want) ||
               err_set(e, ERR_FORMAT, "the stored run is damaged: its log has a gap");
    }
    sqlite3_reset(st);
    return false;
}

static bool load(struct db *db, struct order *o, sqlite3_stmt *st, struct err *e)
{
    bool there = false;
    size_t n_events = 0;
    bool ok = store_db_step(db, st, &there, e);
    if (ok && !there)
        ok = err_set(e, ERR_NOT_FOUND, "there is no run of this id");
    int64_t row = ok ? sqlite3_column_int64(st, 0) : 0;
    ok = ok && read_row(o, st, &n_events, e);
    sqlite3_reset(st);
    return ok && read_events(db, o, row, n_events, e);
}

bool store_row_load(struct db *db, struct order *o, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, STMT_RUN_LOAD, e);
    if (!st)
        return false;
    store_db_bind(st, 1, o->id);
    store_db_bind(st, 2, o->team);
    return load(db, o, st, e);
}

bool store_row_resume(struct db *db, struct order *o, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, STMT_RUN_RESUME, e);
    if (!st)
        return false;
    store_db_bind(st, 1, o->id);
    return load(db, o, st, e);
}

bool store_row_remove(struct db *db, int64_t row, struct err *e)
{
    static const enum stmt both[] = {STMT_EVENTS_DELETE, STMT_RUN_DELETE};
    for (size_t i = 0; i < COUNT(both); i++) {
        sqlite3_stmt *st = store_db_stmt(db, both[i], e);
        if (!st)
            return false;
        sqlite3_bind_int64(st, 1, row);
        if (!store_db_run(db, st, e))
            return false;
    }
    return true;
}

bool store_row_delete(struct db *db, struct order *o, struct err *e)
{
    uint64_t n_events;
    int64_t row;
    int state;
    return stand(db, o->id, &row, &n_events, &state, e) && store_row_remove(db, row, e);
}

bool store_row_live(struct db *db, struct order *o, struct err *e)
{
    size_t cap = 0;
    bool there;
    sqlite3_stmt *st = store_db_stmt(db, STMT_RUN_LIVE, e);
    if (!st)
        return false;
    while (store_db_step(db, st, &there, e)) {
        if (!there) {
            sqlite3_reset(st);
            return !o->out.full || err_set(e, ERR_LIMIT, "too many runs");
        }
        if (o->n == cap) {
            cap = cap ? cap * 2 : 64;
            o->ids = mem_realloc(o->ids, cap * sizeof *o->ids);
        }
        o->ids[o->n++] = arena_str(&o->out, store_db_column(st, 0));
    }
    sqlite3_reset(st);
    return false;
}
