/* store/expire.c - retention: what is too old or too much goes, a little at a time, so that no
 * order waits long for it. */
#include "store/store_int.h"

#include "base/clock.h"
#include "base/log.h"

static bool number(struct db *db, enum stmt which, int64_t *out, struct err *e)
{
    bool there;
    sqlite3_stmt *st = store_db_stmt(db, which, e);
    bool ok = st && store_db_step(db, st, &there, e);
    *out = ok && there ? sqlite3_column_int64(st, 0) : 0;
    if (st)
        sqlite3_reset(st);
    return ok;
}

/* Bytes of pages in use. */
static bool measure(struct store *s, struct err *e)
{
    int64_t pages, unused;
    if (!number(&s->db, STMT_PAGES, &pages, e) || !number(&s->db, STMT_FREE_PAGES, &unused, e))
        return false;
    atomic_store_explicit(&s->bytes, (uint64_t)(pages - unused) * 4096, memory_order_relaxed);
    return true;
}

/* The rows of the statement, oldest first, and when the oldest was made. */
static bool oldest(struct db *db, enum stmt which, int64_t before_ms, int64_t rows[SWEEP_RUNS],
                   int *n, int64_t *first_ms, struct err *e)
{
    bool there;
    *n = 0;
    sqlite3_stmt *st = store_db_stmt(db, which, e);
    if (!st)
        return false;
    sqlite3_bind_int64(st, 1, before_ms);
    sqlite3_bind_int(st, 2, SWEEP_RUNS);
    if (which == STMT_OLD_OBJECTS)
        sqlite3_bind_int64(st, 3, clock_unix_ms());
    bool ok;
    while ((ok = store_db_step(db, st, &there, e)) && there && *n < SWEEP_RUNS) {
        if (*n == 0)
            *first_ms = sqlite3_column_int64(st, 1);
        rows[(*n)++] = sqlite3_column_int64(st, 0);
    }
    sqlite3_reset(st);
    return ok;
}

static bool is_too_much(const struct store *s)
{
    return s->conf.max_bytes &&
           atomic_load_explicit(&s->bytes, memory_order_relaxed) > s->conf.max_bytes;
}

static bool remove_object(struct db *db, int64_t row, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, STMT_OBJECT_DELETE, e);
    if (!st)
        return false;
    sqlite3_bind_int64(st, 1, row);
    return store_db_run(db, st, e);
}

/* Removes complete runs that ended, and objects that were made, before that moment.  When size is
 * the reason: of whichever has the oldest, and only until what is left fits.  *n_gone: how many. */
static bool remove_old(struct store *s, int64_t before_ms, bool for_size, int *n_gone,
                       struct err *e)
{
    struct db *db = &s->db;
    int64_t runs[SWEEP_RUNS], objects[SWEEP_RUNS], runs_ms = INT64_MAX, objects_ms = INT64_MAX;
    int n_runs, n_objects;
    if (!oldest(db, STMT_OLD_RUNS, before_ms, runs, &n_runs, &runs_ms, e) ||
        !oldest(db, STMT_OLD_OBJECTS, before_ms, objects, &n_objects, &objects_ms, e))
        return false;
    if (for_size && runs_ms <= objects_ms)
        n_objects = 0;
    else if (for_size)
        n_runs = 0;
    for (int i = 0; i < n_runs + n_objects && (!for_size || is_too_much(s)); i++) {
        if (i < n_runs ? !store_row_remove(db, runs[i], e)
                       : !remove_object(db, objects[i - n_runs], e))
            return false;
        ++*n_gone;
        if (for_size && !measure(s, e))
            return false;
    }
    return true;
}

bool store_sweep(struct store *s)
{
    struct err e;
    int n = 0;
    int64_t now = clock_unix_ms();
    bool ok = measure(s, &e);
    // Without an age objects still have their own ends.
    int64_t before = s->conf.keep_s ? now - (int64_t)s->conf.keep_s * 1000 : 0;
    ok = ok && store_db_run_plain(&s->db, STMT_BEGIN, &e);
    bool began = ok;
    ok = ok && remove_old(s, before, false, &n, &e);
    if (ok && n == 0 && is_too_much(s))
        ok = remove_old(s, INT64_MAX, true, &n, &e);
    ok = ok && (n == 0 || store_db_run_plain(&s->db, STMT_VACUUM, &e));
    ok = ok && store_db_run_plain(&s->db, STMT_COMMIT, &e);
    if (!ok) {
        struct err ignored;
        if (began && !store_db_run_plain(&s->db, STMT_ROLLBACK, &ignored)) {
            // SQLite has rolled back already
        }
        log_warn("store.sweep", "error=%s", e.msg);
        return false;
    }
    atomic_fetch_add_explicit(&s->expired, (uint64_t)n, memory_order_relaxed);
    return n > 0;
}
