/* store/db.c - the SQLite file: opening, versions, statements, errors in our words. */
#include "store/store_int.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static const char *const texts[STMTS] = {
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_RUN_NEW] =
        "INSERT INTO runs (id, team, alias, origin, model, request, seed, created_ms, deadline_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [STMT_RUN_STAND] = "SELECT row, n_events, state FROM runs WHERE id = ?",
    [STMT_EVENT_NEW] = "INSERT INTO events (run, number, event) VALUES (?, ?, ?)",
    [STMT_RUN_MORE] = "UPDATE runs SET n_events = ?, state = ?, ended_ms = ?, n_prompt = ?,"
                      " n_evicted = ? WHERE row = ?",
#define RUN_COLUMNS                                                                                \
    "SELECT row, id, team, alias, origin, model, request, seed, created_ms, deadline_ms, state,"   \
    " ended_ms, n_events, n_prompt, n_evicted FROM runs "
    [STMT_RUN_LOAD] = RUN_COLUMNS "WHERE team = ?2 AND (id = ?1 OR alias = ?1) ORDER BY id <> ?1",
    [STMT_RUN_RESUME] = RUN_COLUMNS "WHERE id = ?1",
    [STMT_EVENTS] = "SELECT event FROM events WHERE run = ? ORDER BY number",
    [STMT_RUN_ROW] = "SELECT row FROM runs WHERE id = ?",
    [STMT_EVENTS_DELETE] = "DELETE FROM events WHERE run = ?",
    [STMT_RUN_DELETE] = "DELETE FROM runs WHERE row = ?",
    [STMT_RUN_LIVE] = "SELECT id FROM runs WHERE state = 0 ORDER BY row",
    [STMT_PUT] = "INSERT INTO objects (kind, team, id, body, made_ms, expires_ms)"
                 " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, team, id)"
                 " DO UPDATE SET body = excluded.body, expires_ms = excluded.expires_ms",
    [STMT_ADD] = "INSERT INTO objects (kind, team, id, body, made_ms, expires_ms)"
                 " VALUES (?, ?, ?, ?, ?, ?)",
    [STMT_GET] = "SELECT body, expires_ms FROM objects WHERE kind = ? AND team = ? AND id = ?",
    [STMT_DELETE] = "DELETE FROM objects WHERE kind = ? AND team = ? AND id = ?",
#define LIST_WHERE                                                                                 \
    "SELECT id, body FROM objects WHERE kind = ?1 AND team = ?2 AND"                               \
    " substr(id, 1, length(?3)) = ?3 AND (expires_ms = 0 OR expires_ms > ?6) AND "
#define LIST_AFTER "(SELECT row FROM objects WHERE kind = ?1 AND team = ?2 AND id = ?4)"
    [STMT_LIST_UP] = LIST_WHERE "row > ifnull(" LIST_AFTER ", 0) ORDER BY row LIMIT ?5",
    [STMT_LIST_DOWN] =
        LIST_WHERE "row < ifnull(" LIST_AFTER ", 9223372036854775807) ORDER BY row DESC LIMIT ?5",
    // ?1: those made before; ?2: how many
    [STMT_OLD_RUNS] = "SELECT row, ended_ms FROM runs WHERE state <> 0 AND ended_ms < ?1"
                      " ORDER BY ended_ms LIMIT ?2",
    // ?3: now
    [STMT_OLD_OBJECTS] =
        "SELECT row, made_ms FROM objects WHERE (expires_ms > 0 AND expires_ms <= ?3) OR"
        " (made_ms < ?1 AND (expires_ms = 0 OR ?1 = 9223372036854775807))"
        " ORDER BY made_ms LIMIT ?2",
    [STMT_OBJECT_DELETE] = "DELETE FROM objects WHERE row = ?",
    [STMT_PAGES] = "PRAGMA page_count",
    [STMT_FREE_PAGES] = "PRAGMA freelist_count",
    [STMT_VACUUM] = "PRAGMA incremental_vacuum(256)",
};

const char *const store_db_scripts[] = {
    // 1: runs and their events
    "CREATE TABLE runs (row INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " team TEXT NOT NULL, alias TEXT, origin TEXT NOT NULL, model TEXT NOT NULL,"
    " request BLOB NOT NULL, seed INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " deadline_ms INTEGER NOT NULL, state INTEGER NOT NULL DEFAULT 0,"
    " ended_ms INTEGER NOT NULL DEFAULT 0, n_events INTEGER NOT NULL DEFAULT 0,"
    " n_prompt INTEGER NOT NULL DEFAULT 0, n_evicted INTEGER NOT NULL DEFAULT 0);"
    "CREATE UNIQUE INDEX runs_alias ON runs (team, alias) WHERE alias IS NOT NULL;"
    "CREATE INDEX runs_live ON runs (row) WHERE state = 0;"
    "CREATE INDEX runs_ended ON runs (ended_ms) WHERE state <> 0;"
    "CREATE TABLE events (run INTEGER NOT NULL, number INTEGER NOT NULL, event BLOB NOT NULL,"
    " PRIMARY KEY (run, number)) WITHOUT ROWID;",
    // 2: objects
    "CREATE TABLE objects (row INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL,"
    " team TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL, made_ms INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, UNIQUE (kind, team, id));"
    "CREATE INDEX objects_made ON objects (made_ms);"
    "CREATE INDEX objects_expire ON objects (expires_ms) WHERE expires_ms > 0;",
};
const int store_db_version = (int)COUNT(store_db_scripts);

bool store_db_error(struct db *db, int code, struct err *e)
{
    const char *why = db->sql ? sqlite3_errmsg(db->sql) : sqlite3_errstr(code);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(e, ERR_BUSY, "%s: another process has it open; one server uses a folder",
                       db->path);
    case SQLITE_FULL:
        err_set(e, ERR_BUSY, "the disk is full: nothing more can be stored");
        return err_kind(e, "store_unavailable");
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        err_set(e, ERR_BUSY, "what has to last cannot be stored: %s", why);
        return err_kind(e, "store_unavailable");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(e, ERR_FORMAT, "%s is damaged or no database of confab: %s", db->path, why);
    case SQLITE_CONSTRAINT:
        err_set(e, ERR_INPUT, "there is one of this name already");
        return err_kind(e, "already_exists");
    case SQLITE_TOOBIG: return err_set(e, ERR_LIMIT, "too large to be stored");
    default: return err_set(e, ERR_INTERNAL, "the store: %s", why);
    }
}

static bool execute(struct db *db, const char *text, struct err *e)
{
    int code = sqlite3_exec(db->sql, text, NULL, NULL, NULL);
    return code == SQLITE_OK || store_db_error(db, code, e);
}

static bool read_version(struct db *db, int *version, struct err *e)
{
    sqlite3_stmt *st;
    int code = sqlite3_prepare_v2(db->sql, "PRAGMA user_version", -1, &st, NULL);
    if (code != SQLITE_OK)
        return store_db_error(db, code, e);
    code = sqlite3_step(st);
    *version = code == SQLITE_ROW ? sqlite3_column_int(st, 0) : 0;
    sqlite3_finalize(st);
    return code == SQLITE_ROW || store_db_error(db, code, e);
}

/* Brings the file to the newest version, each step in a transaction. */
static bool migrate(struct db *db, struct err *e)
{
    int version = 0;
    char mark[64];
    if (!read_version(db, &version, e))
        return false;
    if (version < 0 || version > store_db_version)
        return err_set(e, ERR_FORMAT, "%s was made by a newer confab (version %d; this one has %d)",
                       db->path, version, store_db_version);
    for (; version < store_db_version; version++) {
        snprintf(mark, sizeof mark, "PRAGMA user_version = %d", version + 1);
        if (execute(db, "BEGIN IMMEDIATE", e) && execute(db, store_db_scripts[version], e) &&
            execute(db, mark, e) && execute(db, "COMMIT", e))
            continue;
        sqlite3_exec(db->sql, "ROLLBACK", NULL, NULL, NULL);
        return false;
    }
    return true;
}

static bool configure(struct db *db, const struct store_conf *c, struct err *e)
{
    char pages[64];
    int64_t max_pages = c->max_pages;
    if (!c->dir && max_pages <= 0) // memory: a little more than retention leaves
        max_pages = (int64_t)(c->max_bytes / 4096 * 5 / 4);
    snprintf(pages, sizeof pages, "PRAGMA max_page_count = %lld", (long long)max_pages);
    // The lock is taken by the first transaction and kept: a second server is told at once.
    return execute(db, "PRAGMA locking_mode = EXCLUSIVE", e) &&
           execute(db, "PRAGMA auto_vacuum = INCREMENTAL", e) &&
           execute(db, c->dir ? "PRAGMA journal_mode = WAL" : "PRAGMA journal_mode = MEMORY", e) &&
           execute(db, "PRAGMA synchronous = FULL", e) &&
           execute(db, "PRAGMA journal_size_limit = 16777216", e) &&
           execute(db, "PRAGMA trusted_schema = OFF", e) &&
           execute(db, "BEGIN IMMEDIATE; COMMIT", e) && migrate(db, e) &&
           (max_pages <= 0 || execute(db, pages, e));
}

bool store_db_open(struct db *db, const struct store_conf *c, struct err *e)
{
    *db = (struct db){0};
    if (c->dir) {
        if (!file_make_dirs(c->dir, e))
            return false;
        int n = snprintf(db->path, sizeof db->path, "%s/confab.db", c->dir);
        if (n >= (int)sizeof db->path)
            return err_set(e, ERR_INPUT, "the folder's name is too long");
    } else {
        snprintf(db->path, sizeof db->path, ":memory:");
    }
    if (c->dir) { // what is in it is the teams' own: for nobody else to read
        int fd = open(db->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return err_errno(e, ERR_IO, "open %s", db->path);
        close(fd);
    }
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(db->path, &db->sql, flags, NULL);
    bool ok = code == SQLITE_OK ? configure(db, c, e) : store_db_error(db, code, e);
    if (!ok) {
        if (strcmp(e->kind, "store_unavailable") == 0) { // at the start: no client's business
            e->code = ERR_IO;
            err_ctx(e, "%s", db->path);
        }
        store_db_close(db);
    }
    return ok;
}

void store_db_close(struct db *db)
{
    for (int i = 0; i < STMTS; i++)
        sqlite3_finalize(db->stmts[i]);
    sqlite3_close(db->sql);
    buf_free(&db->scratch);
    *db = (struct db){0};
}

sqlite3_stmt *store_db_stmt(struct db *db, enum stmt which, struct err *e)
{
    sqlite3_stmt **st = &db->stmts[which];
    if (*st) {
        sqlite3_reset(*st);
        sqlite3_clear_bindings(*st);
        return *st;
    }
    int code = sqlite3_prepare_v3(db->sql, texts[which], -1, SQLITE_PREPARE_PERSISTENT, st, NULL);
    if (code == SQLITE_OK)
        return *st;
    store_db_error(db, code, e);
    return NULL;
}

bool store_db_step(struct db *db, sqlite3_stmt *st, bool *row, struct err *e)
{
    int code = sqlite3_step(st);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return store_db_error(db, code, e);
    *row = code == SQLITE_ROW;
    return true;
}

bool store_db_run(struct db *db, sqlite3_stmt *st, struct err *e)
{
    bool row, ok = store_db_step(db, st, &row, e);
    sqlite3_reset(st);
    return ok;
}

bool store_db_run_plain(struct db *db, enum stmt which, struct err *e)
{
    sqlite3_stmt *st = store_db_stmt(db, which, e);
    return st && store_db_run(db, st, e);
}

void store_db_bind(sqlite3_stmt *st, int at, str text)
{
    sqlite3_bind_text64(st, at, text.n ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}

str store_db_column(sqlite3_stmt *st, int at)
{
    const void *p = sqlite3_column_blob(st, at); // before the size, as SQLite wants it
    int n = sqlite3_column_bytes(st, at);
    return str_n(p, p ? (size_t)n : 0);
}

/* FNV-1a, 64 bits. */
static uint64_t check_word(str s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h;
}

void store_db_bind_sealed(sqlite3_stmt *st, int at, str bytes, struct buf *scratch)
{
    uint64_t word = check_word(bytes);
    buf_clear(scratch);
    scratch->max = SIZE_MAX / 2;
    buf_str(scratch, bytes);
    buf_put(scratch, &word, sizeof word);
    sqlite3_bind_blob64(st, at, scratch->p, scratch->n, SQLITE_STATIC);
}

bool store_db_column_sealed(sqlite3_stmt *st, int at, struct arena *a, str *out, struct err *e)
{
    uint64_t word;
    str s = store_db_column(st, at);
    if (s.n < sizeof word)
        return err_set(e, ERR_FORMAT, "what is stored is damaged");
    s.n -= sizeof word;
    memcpy(&word, s.p + s.n, sizeof word);
    if (word != check_word(s))
        return err_set(e, ERR_FORMAT, "what is stored is damaged");
    *out = arena_str(a, s);
    return true;
}
