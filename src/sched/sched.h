/* sched/sched.h - the engine thread: many conversations, one batch.
 *
 * In:      jobs (a prompt's token ids, settings, stop texts).  Out: pieces on one queue: whole
 * UTF-8 characters, never a part of a stop text, and for each job one last piece with the outcome.
 * Threads: jobs are submitted, paused and freed by the loop thread; everything else happens on the
 *          engine thread that sched_open starts.
 *
 * Each step holds one row for every sequence that decodes, then parts of prompts, shortest
 * remaining first, as many as keep the step's time near the target gap.  A paused job (its reader
 * is slow) is left out of steps; the others go on.  When KV blocks run out, or another tenant that
 * has had less waits for a place in the batch, the youngest sequence of the lowest priority gives
 * its blocks back and is computed again later: the same bits come out. */
#ifndef SCHED_SCHED_H
#define SCHED_SCHED_H

#include "base/buf.h"
#include "base/queue.h"
#include "engine/engine.h"
#include "gram/gram.h"
#include "sample/sample.h"
#include "tok/tok.h"

#define SCHED_DRAFTS_MAX 7

struct sched;
struct sched_job;

struct sched_conf {
    int max_seqs;          // sequences in a batch
    int max_waiting;       // jobs in the queue; more are refused with ERR_BUSY
    int n_ctx;             // longest sequence, prompt and answer
    int gap_ms;            // target time of a step while somebody decodes
    int max_rows;          // most rows of a step (engine_conf.max_rows)
    int free_rows;         // a step of so many rows costs about what one row does: up to it, drafts
                           // are computed beside what is needed
    int max_draft;         // most drafts a sequence has in a step, up to SCHED_DRAFTS_MAX; 0: none
    struct budget *budget; // borrowed until sched_free; NULL: not counted
    uint64_t engine_seed;  // seeds of jobs without one (0: from the system)
};
struct sched_conf sched_conf_default(void);

enum sched_finish {
    SCHED_FINISH_NONE,
    SCHED_FINISH_END,   // the model ended its turn
    SCHED_FINISH_STOP,  // a stop text appeared, or stop_tokens
    SCHED_FINISH_LENGTH // max_tokens or the context is full
};

enum sched_what {
    SCHED_WAITING,  // want_progress: `position` others of the queue are before it
    SCHED_PROGRESS, // want_progress: `position` tokens of the prompt have been computed
    SCHED_STARTED,  // the prompt has been computed; once a job, before any text
    SCHED_TEXT,     // text of one choice
    SCHED_FINISHED, // one choice is complete
    SCHED_ENDED     // the job is complete, failed or cancelled; the last piece of every job
};

/* A token that was drawn.  It is listed with the text that holds the first character it has a part
 * in, so that the tokens of all texts together are those drawn, in order, up to some point. */
struct sched_token {
    int32_t id;
    int32_t at;    // offset of that character in the piece's text
    float logprob; // want_logprobs: see sample.h; 0 for tokens of sched_request.output
    const struct sample_logprob *top; // [n_top] alternatives; part of the piece
    int n_top;
};

/* What happened to a job.  Pieces of a job come in order. */
struct sched_piece {
    struct sched_job *job;
    enum sched_what what;
    int choice;
    enum sched_finish finish; // SCHED_FINISHED
    str stop;                 // SCHED_FINISH_STOP: the stop text; borrowed from the job
    int n_tokens;    // SCHED_TEXT: tokens behind this text; SCHED_FINISHED: tokens of the choice
    int32_t token;   // SCHED_FINISH_END: the token that ended the turn
    size_t position; // SCHED_WAITING, SCHED_PROGRESS
    size_t n_cached, n_common; // SCHED_STARTED: tokens of the prompt that came from the cache; that
                               // are equal to the nearest text in it
    // SCHED_TEXT: [n_tokens] those behind this text.  SCHED_FINISHED: [n_listed] those behind no
    // text: hidden control tokens, a stop text's, the ending one.
    struct sched_token *tokens;
    int n_listed;
    struct err error; // SCHED_ENDED: code ERR_NONE when all went well
    struct buf text;  // SCHED_TEXT
    struct {          // the scheduler's own: pieces are used again
        struct piece_pool *pool;
        struct sched_piece *next;
        size_t token_bytes; // room at `tokens`
    } own;
};

/* A bound on the model's thinking: when `budget` tokens have been drawn in it and `end` has not
 * appeared, the tokens `close` come next and the answer goes on behind them. */
struct sched_thinking {
    str begin;            // thinking begins where this text appears; empty: with the answer
    str end;              // ... and ends behind this one.  Control tokens count by their names
    int budget;           // <= 0: no bound
    const int32_t *close; // [n_close]; their text should contain `end`
    size_t n_close;
};

#define SCHED_TOP_MAX 64

/* Tokens that a choice had drawn before (see sched_request.output). */
struct sched_output {
    const int32_t *id; // [n]
    size_t n;
};

/* The request.  All pointers are copied by sched_submit. */
struct sched_request {
    const int32_t *prompt; // [n_prompt] >= 1
    size_t n_prompt;
    int n_choices;  // >= 1; choice i draws with seed + i
    int max_tokens; // of each choice; <= 0: what the context leaves
    int min_tokens;
    const str *stops; // [n_stops], none empty
    size_t n_stops;
    const int32_t *ends; // [n_ends]: ids of the vocabulary that end it beside its own
    size_t n_ends;
    // The answer ends (SCHED_FINISH_STOP, no stop text) when its last tokens are one of these.
    const struct sample_phrase *stop_tokens; // [n_stop_tokens]
    size_t n_stop_tokens;
    // What the answer must look like, or NULL; the job holds it.  Tokens that end the answer come
    // where it is complete and only there; when nothing can follow it, it is ended.  Where it can
    // go on in one way only, those tokens are taken without being drawn (guide.c).  An answer that
    // can neither go on nor end is an error, never free text.
    const struct gram *gram;
    bool in_time; // with `gram`: near the last token the shortest way to its end is taken
    struct sched_thinking thinking;
    const int32_t *forced; // [n_forced]: the answer is these tokens, whatever would be drawn
    size_t n_forced;
    const uint64_t *seeds;       // [n_choices], each choice's own; NULL: as above
    struct sample_params sample; // `bad` is copied too
    // To go on where an earlier job of the same request stood: [n_choices] tokens it drew, or NULL.
    // They are taken as if drawn again: the same pieces come, from SCHED_STARTED on, and then those
    // that would have come.
    const struct sched_output *output;
    bool want_logprobs;     // tokens carry them,
    int n_top;              // ... and so many alternatives, 0 .. SCHED_TOP_MAX
    bool want_progress;     // SCHED_WAITING and SCHED_PROGRESS come
    bool ignore_eos;        // ending tokens are text like any other
    bool special_text;      // control tokens appear in the text
    const int32_t *visible; // [n_visible]: those that do in any case; borrowed until the job's
    size_t n_visible;       // SCHED_ENDED
    int priority;           // lower runs first, among jobs of the same tenant
    uint64_t deadline_ms;   // clock_mono_ms; 0: none
    str tenant; // whose cached prefixes it may use, and adds to; tenants get equal shares of rows
};

/* Numbers of a job, filled by the engine thread, stable once its SCHED_ENDED was taken. */
struct sched_stats {
    uint64_t submitted_ms, admitted_ms, started_ms, ended_ms; // clock_mono_ms; 0: never
    size_t n_prompt, n_cached, n_output;                      // tokens, all choices
    size_t n_common; // first tokens of the prompt that the nearest cached text has too
};

/* Starts the engine thread.  engine, tok and out are borrowed until sched_close.  What all its
 * sequences can come to hold is taken from the budget first: ERR_LIMIT when it does not fit.
 *   out  receives struct sched_piece *, owned by whoever pops them; sched_out_capacity(conf) items
 */
MUST_CHECK bool sched_open(struct sched **sp, struct engine *engine, const struct tok *tok,
                           const struct sched_conf *conf, struct queue *out, struct err *e);
size_t sched_out_capacity(const struct sched_conf *conf);

/* Cancels all and waits for the thread; every job's SCHED_ENDED is then on the queue.  The
 * scheduler itself lives until sched_free, so that its jobs can still be taken and freed. */
void sched_close(struct sched *s);
void sched_free(struct sched *s);

/* Queues a job.  arg comes back from sched_job_arg.  Until the job's SCHED_ENDED the scheduler owns
 * it; then the caller frees it with sched_job_free.
 *   ERR_BUSY   the queue is full, or the tenant's part of it: a tenant with a name may have no more
 *              jobs waiting than places are left for all, so that others still get in.
 *              sched_retry_after_ms says when to come back
 *   ERR_INPUT  kind "context_length_exceeded": the prompt does not fit, with both numbers */
MUST_CHECK struct sched_job *sched_submit(struct sched *s, const struct sched_request *r, void *arg,
                                          struct err *e);

/* Asks for an early end: at most one step later its SCHED_ENDED (ERR_CANCELED) comes. */
void sched_cancel(struct sched_job *j);

/* Leaves the job out of steps, or takes it in again. */
void sched_pause(struct sched_job *j, bool paused);

void sched_piece_free(struct sched_piece *p); // any thread; also after sched_free
void *sched_job_arg(const struct sched_job *j);
const struct sched_stats *sched_job_stats(const struct sched_job *j);
void sched_job_free(struct sched_job *j);

/* For health and metrics; any thread. */
struct sched_counts {
    int waiting, active;              // now
    uint64_t jobs, cancelled, failed; // ever
    uint64_t prompt_tokens, output_tokens, steps;
    uint64_t preempted;                      // sequences that gave their blocks (and places) back
    size_t kv_blocks_free, kv_blocks_cached; // cached: held by the prefix cache, given up at need
    uint64_t cached_tokens;                  // prompt tokens taken from the cache
    uint64_t drafted, drafts_true;           // tokens that prompt lookup proposed, and was right
    uint64_t forced;                         // tokens taken without being drawn
    uint64_t step_us;                        // all steps together
    uint64_t allocations; // made in steps: none any more for free text, once all has been used
};
void sched_counts(const struct sched *s, struct sched_counts *out);
uint64_t sched_retry_after_ms(const struct sched *s);
int sched_n_ctx(const struct sched *s);

#endif
