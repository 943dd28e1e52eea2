/* store/store_int.h - what the files of this room share.  All of it lives on the store thread but
 * for what is marked otherwise. */
#ifndef STORE_STORE_INT_H
#define STORE_STORE_INT_H

#include "store/store.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/queue.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define BATCH_MAX  256                 // orders of a transaction
#define REPLY_MAX  ((size_t)256 << 20) // bytes of a reply
#define SWEEP_RUNS 16                  // complete runs or objects that one sweep's step removes
#define SWEEP_MS   2000                // how often to look

/* Statements, prepared when first wanted.  Rows of the table in db.c. */
enum stmt {
    STMT_BEGIN,
    STMT_COMMIT,
    STMT_ROLLBACK,
    STMT_RUN_NEW,
    STMT_RUN_STAND,
    STMT_EVENT_NEW,
    STMT_RUN_MORE,
    STMT_RUN_LOAD,
    STMT_RUN_RESUME,
    STMT_EVENTS,
    STMT_RUN_ROW,
    STMT_EVENTS_DELETE,
    STMT_RUN_DELETE,
    STMT_RUN_LIVE,
    STMT_PUT,
    STMT_ADD,
    STMT_GET,
    STMT_DELETE,
    STMT_LIST_UP,
    STMT_LIST_DOWN,
    STMT_OLD_RUNS,
    STMT_OLD_OBJECTS,
    STMT_OBJECT_DELETE,
    STMT_PAGES,
    STMT_FREE_PAGES,
    STMT_VACUUM,
    STMTS
};

struct db {
    sqlite3 *sql;
    sqlite3_stmt *stmts[STMTS];
    struct buf scratch;
    char path[4096]; // for messages
};

MUST_CHECK bool store_db_open(struct db *db, const struct store_conf *c, struct err *e);
void store_db_close(struct db *db);
/* Ready for values; never NULL but for a failure, which is set. */
sqlite3_stmt *store_db_stmt(struct db *db, enum stmt which, struct err *e);
/* One step: SQLITE_ROW or SQLITE_DONE; else false.  The caller resets. */
MUST_CHECK bool store_db_step(struct db *db, sqlite3_stmt *st, bool *row, struct err *e);
/* Steps a statement without rows and resets it. */
MUST_CHECK bool store_db_run(struct db *db, sqlite3_stmt *st, struct err *e);
MUST_CHECK bool store_db_run_plain(struct db *db, enum stmt which, struct err *e);
/* SQLite's error as ours. */
bool store_db_error(struct db *db, int code, struct err *e);
void store_db_bind(sqlite3_stmt *st, int at, str text);
str store_db_column(sqlite3_stmt *st, int at); // lives until the next step
/* Bytes with a check word behind them, so that damage is an error and not another text.  scratch
 * holds them until the statement was stepped. */
void store_db_bind_sealed(sqlite3_stmt *st, int at, str bytes, struct buf *scratch);
/* A copy without it; ERR_FORMAT.  A full arena is the caller's to see. */
MUST_CHECK bool store_db_column_sealed(sqlite3_stmt *st, int at, struct arena *a, str *out,
                                       struct err *e);

/* Versions of the file: scripts[i] makes version i + 1 out of version i. */
extern const char *const store_db_scripts[];
extern const int store_db_version;

/* An order on its way: made on the loop, carried out on the store thread, answered on the loop. */
struct order {
    bool (*carry_out)(struct db *db, struct order *o, struct err *e);
    bool writes;
    store_done done;
    void *arg;
    struct arena in; // what was ordered: the texts below
    str kind, team, id, body;
    int64_t expires_ms;
    bool replaces;
    struct store_run run;
    struct store_more more;
    struct store_page page;

    struct arena out; // the reply
    struct err error; // code ERR_NONE: done
    struct store_run found;
    str *events, *ids;
    size_t n;
    str found_body;
};

/* Empties the reply, for an order that is carried out again. */
void store_order_clear(struct order *o);

/* runs.c */
bool store_row_new(struct db *db, struct order *o, struct err *e);
bool store_row_add(struct db *db, struct order *o, struct err *e);
bool store_row_load(struct db *db, struct order *o, struct err *e);
bool store_row_resume(struct db *db, struct order *o, struct err *e);
bool store_row_delete(struct db *db, struct order *o, struct err *e);
bool store_row_live(struct db *db, struct order *o, struct err *e);
MUST_CHECK bool store_row_remove(struct db *db, int64_t row, struct err *e);

/* objects.c */
bool store_object_put(struct db *db, struct order *o, struct err *e);
bool store_object_get(struct db *db, struct order *o, struct err *e);
bool store_object_delete(struct db *db, struct order *o, struct err *e);
bool store_object_list(struct db *db, struct order *o, struct err *e);

struct store {
    struct store_conf conf;
    struct db db;
    pthread_t thread;
    struct queue *in;  // struct order *, from the loop
    struct queue *out; // struct order *, answered
    int n_orders;      // loop: those not answered yet

    _Atomic uint64_t commits, orders, failures, commit_us, expired, bytes; // relaxed: counters
    _Atomic bool failing;                                                  // relaxed
};

/* expire.c: removes a little of what is too old or too much, in transactions of its own.  True when
 * there may be more. */
bool store_sweep(struct store *s);

#endif
