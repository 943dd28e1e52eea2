/* run/run_int.h - what the files of this room share. */
#ifndef RUN_RUN_INT_H
#define RUN_RUN_INT_H

#include "chat/output.h"
#include "run/grams.h"
#include "run/run.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

/* Someone who reads a run's log. */
struct run_follower {
    struct run *run;
    void (*on_event)(struct run *run, void *arg);
    void *arg;
    struct run_follower *next, **link; // of the run
    bool announced;                    // is to be called
    struct run_follower *next_announced, **announced_link;
};

/* One prompt of a run: its tokens, then its job in the scheduler. */
struct run_part {
    struct run *run;
    int index;
    struct tok_ids ids;
    struct chat_start start;
    const struct gram *gram; // what the answer must look like; of run.grams.  NULL: anything
    struct sched_job *job;   // NULL before it is submitted and after it ended
    bool submitted;
};

/* One answer that is being read. */
struct run_choice {
    struct run *run;
    int index;
    struct chat_parser *parser;
};

struct run {
    struct runs *runs;
    const struct run_model *model;
    struct chat_request *request;
    char id[ID_MAX];
    int64_t created_ms;
    uint64_t seed, deadline_ms;

    char origin[32];

    struct run_model *gone_model; // owned: stands for one that is not loaded any more

    int holders;    // how many may use it
    bool detached;  // goes on without holders
    bool forgotten; // no longer to be found
    bool kept;      // complete, nobody's, in the list of those to be found
    size_t kept_bytes;
    size_t request_bytes, charged; // of the request; of the budget, for all the run holds
    uint64_t kept_ms;              // since when
    struct run *kept_next, *kept_prev;
    struct run_follower *followers;
    UT_hash_handle hh; // by id

    char *alias; // team, NUL, the client's name for it; or NULL
    size_t alias_at, alias_n;
    UT_hash_handle hh_alias;

    bool prepared;
    bool waiting; // in runs.waiting
    struct run *wait_next, **wait_link;

    bool preparing;       // a prep worker has it
    _Atomic bool dropped; // the worker may skip it (relaxed: only a wish)
    struct err prep_error;
    struct run_part *parts;    // [n_parts]
    size_t n_parts, n_jobs;    // jobs that have not ended
    size_t n_reused, n_common; // of the first prompt: from the cache; equal to the nearest in it
    size_t n_prompt, n_evicted;

    struct grams_of grams;
    struct rounds *rounds; // of a request with tools of this server; or NULL
    bool paused;

    bool cancelled, over, started;
    struct err failure;         // the first error of any part
    struct run_choice *choices; // [n_parts * n_choices], of an answer that is read
    struct chat_usage usage;

    struct arena text; // texts and errors of the log
    struct chat_event *events;
    size_t n_events, cap_events;
    size_t n_visible; // those that may be seen: all, or of a durable run those on disk

    // What outlasts the process (durable.c).
    bool durable; // the store has it, or is to have it
    bool stored;  // it has
    bool storing; // an order about the run is with the store
    bool put_off; // the last one could not be carried out
    uint64_t retry_ms;
    size_t n_ordered; // events of the order
    int64_t deadline_unix_ms;
    struct buf drawn; // tokens since the last event, packed
    str *behind;      // [cap_events] durable: those noted with each event
    struct run_sync *syncs, *told;
    struct run *fresh_next; // in runs.fresh
    bool in_unsaved;        // in runs.unsaved
    struct run *unsaved_next;
    struct run_replay *replay; // of a run that goes on after a restart
};

struct runs {
    struct run_model *models;
    size_t n_models;
    struct runs_conf conf;
    struct queue *to_prepare, *prepared; // struct run *
    pthread_t *workers;
    int n_workers, n_preparing;
    struct grams *grams;
    struct run *by_id, *by_alias;
    struct run *kept_first, *kept_last; // oldest first
    struct run *waiting, **waiting_last;
    struct run *unsaved;
    struct run *fresh, **fresh_last; // to be handed to prep workers, once the store knows them
    bool woken;
    char **resume_ids; // of runs to be read and gone on with
    size_t n_resume, resume_at;
    bool stopping; // durable runs are left as they stand
    bool retry;    // there may be places for those that wait
    uint64_t retried_ms;
    struct run_follower *announced; // with news
    struct runs_counts counts;
};

/* follow.c */
void run_announce(struct run *run); // tells all followers
void runs_call_followers(struct runs *rs);

/* keep.c */
/* Sees to it that the budget has counted so many bytes for the run; complete runs that are kept go
 * for it.  ERR_BUSY, with the numbers. */
MUST_CHECK bool run_charge(struct run *run, size_t bytes, struct err *e);
void runs_keep(struct run *run);   // complete and nobody's: may be found for a while
void runs_unkeep(struct run *run); // held again
void runs_expire(struct runs *rs, bool all);

/* alias.c */
struct run *runs_find_alias(struct runs *rs, str alias, str team); // not held
void run_clear_alias(struct run *run);

/* run.c */
void run_free(struct run *run);
bool run_to_prepare(struct run *run);                   // false: the workers have too much to do
void run_append(struct run *run, struct chat_event ev); // a log that is full ends the run
void run_complete(struct run *run);                     // its last event
void run_end_early(struct run *run, const struct err *why); // unless it is over
/* Behind anything that may have been its end; may free it.  A run without holders: complete, it is
 * kept to be found; forgotten, it goes once its worker, its jobs and the store are done with it;
 * else it is cancelled, unless it is to go on alone. */
void run_settle(struct run *run);

/* rounds.c */
bool run_rounds_begin(struct run *run); // false: no tools of ours, nothing to wait for
void run_rounds_stop(struct run *run);  // what still runs is cancelled
void run_rounds_free(struct run *run);
int run_round(const struct run *run);       // turns before this one
int run_tokens_left(const struct run *run); // max_tokens of this turn
/* An event of the reader's: true if it is not for the log; its call may get another number. */
bool run_rounds_take(struct run *run, struct chat_event *ev);
/* The end of a turn: true if it is not the end of the answer. */
bool run_rounds_finish(struct run *run, const struct chat_event *finish);
void run_rounds_count(struct run *run, size_t n_prompt, size_t n_output);
bool run_rounds_continue(struct run *run); // a job has ended: true if tools run now
/* The conversation outgrew the context behind the first turn: an end, no error. */
bool run_rounds_too_long(struct run *run, const struct err *e);

struct run *run_new(struct runs *rs, const struct run_model *model, struct chat_request *r);
void run_begin(struct run *run); // hands it to a prep worker, or lets it wait for one
/* Takes a waiting run further if there is a place for it; false: there is none. */
bool run_advance(struct run *run);
/* The store cannot keep the run: its log ends with the reason behind what was seen of it. */
void run_lose(struct run *run, const struct err *why);

/* durable.c */
bool run_is_unsaved(const struct run *run);
void run_mark_unsaved(struct run *run); // if there is something to be stored
void runs_save(struct runs *rs);        // orders what is to be stored
void run_note_drawn(struct run *run, int choice, const struct sched_piece *piece);

/* replay.c */
void run_replay_open(struct run *run); // its log is what was there before
void run_replay_close(struct run *run);
/* Tokens of the part's choices that were drawn before, [n_choices]; NULL: none are known. */
const struct sched_output *run_replay_past(const struct run *run, const struct run_part *p);
/* Was this call of a tool made before?  *result: the event with what came of it, or NULL. */
bool run_replay_call(const struct run *run, str id, const struct chat_event **result);
/* Of n tokens that a choice drew next, how many the log has already. */
size_t run_replay_known(struct run *run, int choice, size_t n);
/* Holds an event that came again against the log.  *rest: what is left of ev is new.
 *   ERR_INTERNAL  it came out differently */
MUST_CHECK bool run_replay_take(struct run *run, struct chat_event *ev, bool *rest, struct err *e);

/* revive.c */
MUST_CHECK bool runs_resume(struct runs *rs, struct err *e);

/* wait.c */
void run_wait(struct run *run);
void run_unwait(struct run *run);
void runs_retry(struct runs *rs);

/* output.c */
void run_output_open(struct run *run); // before the first piece
void run_output_close(struct run *run);
/* Text and the end of a choice, to the log: as they are, or read for thinking and calls. */
void run_output_text(struct run *run, int choice, const struct sched_piece *piece);
void run_output_finish(struct run *run, int choice, const struct sched_piece *piece);

/* prep.c */
void *run_prep_thread(void *arg); // arg: struct runs

/* bounds.c: banned, stopping and forced tokens, totals and the budget of thinking, into sr; what it
 * points to lives in a.  ERR_INPUT names the field. */
MUST_CHECK bool run_bounds(const struct run *run, const struct run_part *p,
                           struct sched_request *sr, struct arena *a, struct err *e);

/* log.c */
/* Numbers and stamps the event, copies its text; its tokens must live in the run's arena already.
 * ERR_LIMIT when the log is full.  Nothing is added to a log that is over. */
MUST_CHECK bool run_log_add(struct run *run, struct chat_event ev, struct err *e);
void run_log_fail(struct run *run, const struct err *why);

#endif
