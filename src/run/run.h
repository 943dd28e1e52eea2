/* run/run.h - one accepted request, whatever its dialect: prepared, scheduled, logged, followed.
 *
 * In:      a chat_request.  Out: a log of chat_events, numbered from 1, that any number of
 * followers read at their own pace. Threads: everything on the loop thread; rendering and
 * tokenizing happen on prep workers of its own.  The loop watches runs_fd and calls runs_turn when
 * it is readable. */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "base/id.h"
#include "chat/chat.h"
#include "chat/template.h"
#include "sched/sched.h"
#include "store/store.h"
#include "tools/tools.h"

struct runs;
struct run;

/* A model that answers; all borrowed until runs_free.  sched_out is the queue given to sched_open.
 */
struct run_model {
    const char *name;
    const struct gguf *gguf;
    const struct tok *tok;
    const struct chat_template *tmpl;
    const struct gram_vocab *gram_vocab; // of tok
    struct sched *sched;
    struct queue *sched_out;
    const struct engine_info *info;
    int64_t created_unix;
};

struct runs_conf {
    int n_workers;       // prep threads
    int max_preparing;   // more are refused with ERR_BUSY
    int max_choices;     // n_choices * n_prompts of a request
    size_t max_log;      // bytes of text one run's log may hold
    uint32_t timeout_ms; // of a request that names none; 0: none
    struct tools *tools; // that run on this server; borrowed until runs_close.  NULL: none
    size_t grams_bytes;  // compiled formats and tools are kept for the next request while they fit
    size_t keep_bytes;   // complete runs are kept to be found while they fit,
    uint32_t keep_ms;    // and are younger
    struct budget *budget; // what requests and logs take is counted here; borrowed; NULL: nowhere
    struct store *store;   // of durable runs, borrowed; NULL, or in memory: there are none
};
struct runs_conf runs_conf_default(void);

MUST_CHECK bool runs_open(struct runs **out, const struct run_model *models, size_t n_models,
                          const struct runs_conf *conf, struct err *e);
/* All runs must have been dropped; schedulers must be closed (sched_close) but not freed. */
void runs_close(struct runs *rs);

/* Descriptors to watch for reading; on any, call runs_turn. */
size_t runs_n_fds(const struct runs *rs);
int runs_fd(const struct runs *rs, size_t i);
void runs_turn(struct runs *rs);

/* From here on nothing is put into the logs of durable runs: they go on at the next start.  Before
 * what is live is dropped for the end of the process. */
void runs_stop(struct runs *rs);

size_t runs_n_models(const struct runs *rs);
const struct run_model *runs_model(const struct runs *rs, size_t i);
/* By name; an empty name gives the first model.  NULL if there is none. */
const struct run_model *runs_find_model(const struct runs *rs, str name);

/* Begins.  Takes r in any case.
 *   returns  the run, held by the caller (run_drop), or NULL: ERR_NOT_FOUND (model), ERR_BUSY,
 *            ERR_INPUT.
 * What fails later (template, context length, a full queue) ends the log with CHAT_FAILED. */
MUST_CHECK struct run *run_start(struct runs *rs, struct chat_request *r, struct err *e);

/* The run of this id or alias that belongs to this team, held for the caller; NULL if there is none
 * (any more): another team's is as if it never was. */
struct run *runs_find(struct runs *rs, str id, str team);

/* Is there a place for one more run of this team that is acknowledged before it is computed?
 *   ERR_BUSY */
MUST_CHECK bool runs_may_wait(const struct runs *rs, str team, struct err *e);

/* Brings a run of the store to memory, by id or alias, also behind a wire's prefix ("resp_..."), so
 * that runs_find has it while done is called.  done gets NULL, or why the store cannot be read; it
 * is called from store_turn, never from within.
 *   *out  what run_unload takes, if it should not be called any more; NULL: there is nothing to
 *         wait for, and it will not be
 *   ERR_BUSY */
struct run_load;
MUST_CHECK bool runs_load(struct runs *rs, str name, str team,
                          void (*done)(const struct err *e, void *arg), void *arg,
                          struct run_load **out, struct err *e);
void run_unload(struct run_load *l); // NULL is fine

/* Lets go of a run that run_start or runs_find gave.  A run that is not complete and that nobody
 * holds is cancelled, unless it was detached.  A complete one stays to be found for a while, within
 * the bounds of runs_conf. */
void run_drop(struct run *run);

/* The run goes on without anybody. */
void run_detach(struct run *run);

/* The run outlasts the process: it and its events go to the store, and an event can be seen
 * (run_event, run_is_over, followers) once it is on disk.  After a restart it goes on where it was.
 * Right after run_start, before the loop turns; alias and origin may still be set then.
 *   ERR_INPUT  nothing outlasts this server */
MUST_CHECK bool run_make_durable(struct run *run, struct err *e);
bool run_is_durable(const struct run *run);

/* Calls done, on the loop and never from within, when all that is in the log now is on disk (of a
 * run that was forgotten: when it is gone from there), or with the reason why that is not so:
 * ERR_BUSY "store_unavailable" (it may still come to be), ERR_INPUT "already_exists" (the alias).
 * The caller holds the run until then.  NULL: there is nothing to wait for, and done is not called.
 */
struct run_sync;
struct run_sync *run_sync(struct run *run, void (*done)(const struct err *e, void *arg), void *arg);
void run_unsync(struct run_sync *s); // no call, then; NULL is fine

/* Forgets a run: cancelled if need be, no longer to be found. */
void run_forget(struct run *run);

/* Calls on_event on the loop, never from within, when there is more in the log than there was; and
 * once soon if there is anything now.  The follower's holder must hold the run, and end it first.
 */
struct run_follower;
struct run_follower *run_follow(struct run *run, void (*on_event)(struct run *run, void *arg),
                                void *arg);
void run_unfollow(struct run_follower *f); // NULL is fine

/* An early end: the log ends with CHAT_FAILED (ERR_CANCELED) at once, the computation within a
 * step. Without effect on a run that is over. */
void run_cancel(struct run *run);
void run_fail(struct run *run, const struct err *why); // the same for another reason
bool run_is_cancelled(const struct run *run);          // it is over, and that is why

/* A client's own name for the run, by which runs_find finds it too, until it is forgotten or no
 * longer kept.  One run has one; a new one replaces it.
 *   ERR_INPUT, kind "already_exists": another run of its team has that name. */
#define RUN_ALIAS_MAX 256
MUST_CHECK bool run_set_alias(struct run *run, str alias, struct err *e);
str run_alias(const struct run *run); // empty: none

/* Tools. */

/* Adds a built-in tool to a request, and its function to r->tools.
 *   shown     what the dialect calls it
 *   function  what the model calls it; empty: the tool's own name for that
 *   files     array of the ids it may read, or NULL; shared
 *   ERR_INPUT kind "tool_unavailable" (with the reason), "invalid_value" (two of that name) */
MUST_CHECK bool run_offer_tool(const struct runs *rs, struct chat_request *r, str name, str shown,
                               str function, const json_t *files, struct err *e);
/* Adds an MCP server; its texts live in r's arena.  ERR_INPUT kind "mcp_unknown". */
MUST_CHECK bool run_offer_server(const struct runs *rs, struct chat_request *r,
                                 const struct chat_mcp_server *server, struct err *e);
struct tools *runs_tools(const struct runs *rs); // or NULL

/* Answers a CHAT_SERVER_ASK.  False: no call of this id waits (any more). */
bool run_approve(struct run *run, str id, bool yes);
bool run_waits_for(const struct run *run, str id); // that call waits for approval

/* The reader is slow: nothing is computed for it until it can take more. */
void run_pause(struct run *run, bool paused);

const char *run_id(const struct run *run); // random, no prefix
const struct run_model *run_model(const struct run *run);
const struct chat_request *run_request(const struct run *run);
uint64_t run_seed(const struct run *run); // the one used: below 2^53 when nobody gave one
uint64_t run_choice_seed(const struct run *run, int choice); // over all prompts
int64_t run_created_unix(const struct run *run);
int64_t run_created_ms(const struct run *run); // since 1970

/* The log: event i of n, i from 0; NULL past the end. */
const struct chat_event *run_event(const struct run *run, size_t i);
bool run_is_over(const struct run *run);
size_t run_n_prompt(const struct run *run); // tokens, all prompts; 0 until prepared
/* Of the first prompt's tokens: how many came from the prefix cache, and how many are equal to the
 * nearest text in it (behind them the two differ).  False: nothing has been computed yet. */
bool run_prefix(const struct run *run, size_t *n_reused, size_t *n_common);
size_t run_n_evicted(const struct run *run); // earlier messages that left for truncate_to

/* A word of the dialect that began the run, kept with it ("openai.chat"). */
void run_set_origin(struct run *run, const char *origin);
const char *run_origin(const struct run *run);

struct runs_counts {
    uint64_t started, completed, failed, cancelled;
    int live;         // not complete
    int kept;         // complete, still to be found
    int waiting;      // acknowledged, without a place in the queue
    uint64_t resumed; // live at the start
    size_t kept_bytes;
};
void runs_counts(const struct runs *rs, struct runs_counts *out);

#endif
