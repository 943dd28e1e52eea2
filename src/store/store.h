/* store/store.h - what lasts: runs with their events, and objects that dialects keep.
 *
 * In:      orders from the loop.  Out: their outcomes, by callback on the loop, in order, each one
 * only after what it wrote is on disk: an order that succeeded survives kill -9 and power loss.
 * Threads: the store's own thread has the SQLite handle and writes whatever has gathered in one
 *          transaction; everything below is called on the loop thread, which watches store_fd and
 *          calls store_turn when it is readable.
 *
 * Without a folder the same tables live in memory: within max_bytes, and gone with the process.
 * Why synchronous=FULL and who may open the file: docs/decisions/0004-durable-log.md. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/err.h"
#include "base/str.h"

struct store;

struct store_conf {
    const char *dir;    // holds confab.db; NULL: in memory
    uint32_t keep_s;    // complete runs and objects older than this go; 0: none do
    uint64_t max_bytes; // the oldest complete runs and objects go while there is more; 0: no bound
    int max_orders;     // at the same time; more are refused with ERR_BUSY
    int64_t max_pages;  // tests: as if the disk had so many (of 4096 bytes); 0: no bound
};
struct store_conf store_conf_default(void);

/* Opens or makes the file, brings an older one up to date, starts the thread.
 *   ERR_FORMAT  damaged, no database, or made by a newer confab
 *   ERR_BUSY    another process has it open
 *   ERR_IO */
MUST_CHECK bool store_open(struct store **out, const struct store_conf *c, struct err *e);
/* Writes what was ordered, calls what is still to be called, and closes.  NULL is fine. */
void store_close(struct store *s);

bool store_is_durable(const struct store *s); // false: in memory
int store_fd(const struct store *s);
void store_turn(struct store *s);
/* Orders whose callback has not been called. */
int store_n_orders(const struct store *s);
/* Waits until all orders are answered, callbacks included (at the end). */
void store_drain(struct store *s);

/* Runs. */
enum store_state { STORE_LIVE, STORE_COMPLETED, STORE_FAILED, STORE_CANCELLED };

struct store_run {
    str id, team, alias; // unique: the id, and the alias in its team (empty: none)
    str origin, model;
    str request; // as chat_request_write made it
    uint64_t seed;
    int64_t created_ms, deadline_ms; // since 1970; no deadline: 0
    enum store_state state;
    int64_t ended_ms; // since 1970; 0 while it is live
    size_t n_prompt, n_evicted;
};

/* The outcome of an order.  All of it is borrowed for the call. */
struct store_reply {
    const struct err *error;     // NULL: done
    const struct store_run *run; // store_run_load
    const str *events;           // store_run_load: the log's events; store_list: bodies
    const str *ids;              // store_run_live, store_list
    size_t n;                    // of events, of ids
    str body;                    // store_get
};
typedef void (*store_done)(const struct store_reply *r, void *arg);

/* All orders: texts are copied; done (may be NULL) is called from store_turn, never from within.
 *   ERR_BUSY   too many orders, nothing is done and `done` is not called
 * In a reply:
 *   ERR_BUSY   kind "store_unavailable": the disk is full or not to be written; nothing was done
 *   ERR_NOT_FOUND
 *   ERR_INPUT  kind "already_exists"
 *   ERR_FORMAT what is there cannot be read */

/* A new run without events. */
MUST_CHECK bool store_run_new(struct store *s, const struct store_run *run, store_done done,
                              void *arg, struct err *e);
/* Events number first, first + 1, ... of the run's log, which must continue it without a gap; with
 * a state other than STORE_LIVE they are its last. */
struct store_more {
    uint64_t first;
    const str *events;
    size_t n;
    enum store_state state;
    int64_t ended_ms;
    size_t n_prompt, n_evicted;
};
MUST_CHECK bool store_run_add(struct store *s, str id, const struct store_more *more,
                              store_done done, void *arg, struct err *e);
/* The run whose id or alias in the team this is, with its events. */
MUST_CHECK bool store_run_load(struct store *s, str name, str team, store_done done, void *arg,
                               struct err *e);
/* The same by id alone, whatever the team. */
MUST_CHECK bool store_run_resume(struct store *s, str id, store_done done, void *arg,
                                 struct err *e);
MUST_CHECK bool store_run_delete(struct store *s, str id, store_done done, void *arg,
                                 struct err *e);
/* Ids of the runs that are live, oldest first. */
MUST_CHECK bool store_run_live(struct store *s, store_done done, void *arg, struct err *e);

/* Objects: a body of JSON (or anything else) under a kind, a team and an id. */

/* Adds it, or replaces what is there.  expires_ms: since 1970; 0: as old as keep_s allows. */
MUST_CHECK bool store_put(struct store *s, str kind, str team, str id, str body, int64_t expires_ms,
                          store_done done, void *arg, struct err *e);
/* Adds it; ERR_INPUT "already_exists" in the reply if there is one. */
MUST_CHECK bool store_add(struct store *s, str kind, str team, str id, str body, int64_t expires_ms,
                          store_done done, void *arg, struct err *e);
MUST_CHECK bool store_get(struct store *s, str kind, str team, str id, store_done done, void *arg,
                          struct err *e);
MUST_CHECK bool store_delete(struct store *s, str kind, str team, str id, store_done done,
                             void *arg, struct err *e);
/* Up to `limit` objects in the order in which they were first put, or the other way round: those
 * behind the object `after` (empty: from the start) whose ids begin with `prefix`. */
struct store_page {
    str prefix, after;
    int limit;
    bool newest_first;
};
MUST_CHECK bool store_list(struct store *s, str kind, str team, const struct store_page *page,
                           store_done done, void *arg, struct err *e);

/* For metrics; any thread. */
struct store_counts {
    uint64_t commits, orders, failures; // ever; failures: transactions that could not be written
    uint64_t commit_us;                 // all commits together
    uint64_t expired;                   // runs and objects that retention removed
    uint64_t bytes;                     // of the tables
    bool failing;                       // the last write did not succeed
};
void store_counts(const struct store *s, struct store_counts *out);

#endif
