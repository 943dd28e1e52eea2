/* store/objects.c - objects that dialects keep, on the store thread. */
#include "store/store_int.h"

#include "base/clock.h"
#include "base/mem.h"

static void bind_name(sqlite3_stmt *st, const struct order *o)
{
    store_db_bind(st, 1, o->kind);
    store_db_bind(st, 2, o->team);
    store_db_bind(st, 3, o->id);
}

bool store_object_put(struct db *db, struct order *o, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, o->replaces ? STMT_PUT : STMT_ADD, e);
    if (!st)
        return false;
    bind_name(st, o);
    store_db_bind_sealed(st, 4, o->body, &db->scratch);
    sqlite3_bind_int64(st, 5, clock_unix_ms());
    sqlite3_bind_int64(st, 6, o->expires_ms);
    return store_db_run(db, st, e);
}

bool store_object_get(struct db *db, struct order *o, struct err *e)
{
    bool there = false;
    sqlite3_stmt *st = store_db_stmt(db, STMT_GET, e);
    if (!st)
        return false;
    bind_name(st, o);
    bool ok = store_db_step(db, st, &there, e);
    int64_t expires_ms = there ? sqlite3_column_int64(st, 1) : 0;
    if (ok && (!there || (expires_ms > 0 && expires_ms <= clock_unix_ms())))
        ok = err_set(e, ERR_NOT_FOUND, "there is nothing of this id");
    ok = ok && store_db_column_sealed(st, 0, &o->out, &o->found_body, e);
    sqlite3_reset(st);
    return ok && (!o->out.full || err_set(e, ERR_LIMIT, "too large to be read"));
}

bool store_object_delete(struct db *db, struct order *o, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, STMT_DELETE, e);
    if (!st)
        return false;
    bind_name(st, o);
    return store_db_run(db, st, e) && (sqlite3_changes(db->sql) > 0 ||
                                       err_set(e, ERR_NOT_FOUND, "there is nothing of this id"));
}

bool store_object_list(struct db *db, struct order *o, struct err *e)
{
    const struct store_page *p = &o->page;
    bool there;
    sqlite3_stmt *st = store_db_stmt(db, p->newest_first ? STMT_LIST_DOWN : STMT_LIST_UP, e);
    if (!st)
        return false;
    store_db_bind(st, 1, o->kind);
    store_db_bind(st, 2, o->team);
    store_db_bind(st, 3, p->prefix);
    store_db_bind(st, 4, p->after);
    sqlite3_bind_int(st, 5, p->limit);
    sqlite3_bind_int64(st, 6, clock_unix_ms());
    o->ids = mem_calloc((size_t)p->limit + 1, sizeof *o->ids);
    o->events = mem_calloc((size_t)p->limit + 1, sizeof *o->events);
    while (store_db_step(db, st, &there, e)) {
        if (!there || o->n == (size_t)p->limit) {
            sqlite3_reset(st);
            return !o->out.full || err_set(e, ERR_LIMIT, "the list is too large; ask for less");
        }
        o->ids[o->n] = arena_str(&o->out, store_db_column(st, 0));
        if (!store_db_column_sealed(st, 1, &o->out, &o->events[o->n], e))
            break;
        o->n++;
    }
    sqlite3_reset(st);
    return false;
}
