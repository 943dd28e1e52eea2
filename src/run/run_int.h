/* run/run_int.h - what the files of this room share. */
#ifndef RUN_RUN_INT_H
#define RUN_RUN_INT_H

#include "run/run.h"

#include <pthread.h>
#include <stdatomic.h>

/* One prompt of a run: its tokens, then its job in the scheduler. */
struct run_part {
    struct run *run;
    int index;
    struct tok_ids ids;
    struct sched_job *job; // NULL before it is submitted and after it ended
};

struct run {
    struct runs *runs;
    const struct run_model *model;
    struct chat_request *request;
    char id[ID_MAX];
    int64_t created_unix;
    uint64_t seed, deadline_ms;

    void (*on_event)(struct run *run, void *arg); // NULL once released
    void *arg;
    bool announced; // in the list of runs whose follower is to be called
    struct run *next_announced;

    bool preparing;       // a prep worker has it
    _Atomic bool dropped; // the worker may skip it (relaxed: only a wish)
    struct err prep_error;
    struct run_part *parts; // [n_parts]
    size_t n_parts, n_jobs; // jobs that have not ended
    size_t n_prompt;

    bool cancelled, over, started;
    struct err failure; // the first error of any part
    struct chat_usage usage;

    struct arena text; // texts and errors of the log
    struct chat_event *events;
    size_t n_events, cap_events;
};

struct runs {
    struct run_model *models;
    size_t n_models;
    struct runs_conf conf;
    struct queue *to_prepare, *prepared; // struct run *
    pthread_t *workers;
    int n_workers, n_preparing;
    struct run *announced; // runs with news for their follower
    struct runs_counts counts;
};

/* prep.c */
void *run_prep_thread(void *arg); // arg: struct runs

/* log.c */
/* Numbers and stamps the event, copies its text.  ERR_LIMIT when the log is full.  Nothing is added
 * to a log that is over. */
MUST_CHECK bool run_log_add(struct run *run, struct chat_event ev, struct err *e);
void run_log_fail(struct run *run, const struct err *why);

#endif
