/* sched/sched_int.h - what the files of this room share.  All of it lives on the engine thread but
 * for the members marked otherwise. */
#ifndef SCHED_SCHED_INT_H
#define SCHED_SCHED_INT_H

#include "base/arena.h"
#include "sched/prefix.h"
#include "sched/sched.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uthash.h>

#define FORCED_A_STEP 8  // tokens taken without being drawn
#define TOKENS_A_STEP 16 // most that one choice takes in a step, however it comes by them
#define HELD_TEXT_MAX ((size_t)1 << 20) // more than any token is long

/* Finds stop texts in a stream and holds back what may still become one. */
struct stop_match {
    const str *stops; // borrowed from the job
    size_t n_stops;
    struct buf held; // text not yet given away
    str found;       // the stop text that appeared
};
void stop_init(struct stop_match *m, const str *stops, size_t n_stops);
void stop_fini(struct stop_match *m);
/* Takes text in; appends what is safe to out.  True when a stop text appeared: out then ends right
 * before it and the rest is dropped. */
bool stop_feed(struct stop_match *m, str text, struct buf *out);
/* Gives what was held. */
void stop_flush(struct stop_match *m, struct buf *out);

/* Tokens that no piece has carried yet. */
struct listed {
    int32_t id;
    bool known; // has a logprob and alternatives
    float logprob;
    uint64_t begin; // where its text begins in the text of the choice
};
struct token_list {
    struct listed *tokens;       // [n]
    struct sample_logprob *tops; // [n][n_top]
    int n, cap, n_top;
    uint64_t end;  // bytes of whole characters that all tokens so far have made
    uint64_t sent; // bytes that pieces have carried
};
/* How a token came about, as far as it is told. */
struct drawn {
    bool has_logprob;
    float logprob;
    struct sample_logprob top[SCHED_TOP_MAX]; // [n_top of the job]
};

enum thought { THOUGHT_BEFORE, THOUGHT_IN, THOUGHT_OVER };

/* What bounds the next token of a sequence beside the request's settings. */
struct guide {
    struct gram_state *gram; // NULL: free text
    uint64_t *mask;          // of the next token, if `masked`
    int n_allowed;
    bool masked;
    const int32_t *forced; // [n_forced] tokens that come next whatever would be drawn
    int n_forced;
    int32_t jump[TOKENS_A_STEP];
    enum thought thought;
    int n_thought;   // tokens since thinking began
    struct buf tail; // end of the text, for the thinking's markers
};

/* Where runs of tokens stood last, to draft what followed (lookup.c). */
struct lookup {
    int32_t *at; // [size] place behind a run, 0: none
    uint32_t size;
    int n_known;      // runs that end at or before this place are known
    int length, wait; // of the next draft; tokens to let pass before it
    int misses;       // in a row
};

enum seq_state {
    SEQ_REPLAY,  // tokens drawn by an earlier job are being taken again
    SEQ_WAITS,   // choice > 0: its prompt is being computed by choice 0
    SEQ_PREFILL, // some of its tokens are not computed yet
    SEQ_DECODE,  // only the tokens of the last step are not computed yet
    SEQ_DONE
};

/* One choice of a job. */
struct seq {
    struct sched_job *job;
    int choice;
    enum seq_state state;
    uint64_t born; // admission order: lower is older

    int32_t *tokens; // [n_tokens]: prompt, then output
    int n_tokens, cap_tokens;
    int n_output;
    int n_computed; // tokens whose keys and values are in the blocks
    int n_reached;  // ... and were before the blocks were given back
    bool looked;    // for a cached block that only its first tokens have in common with

    struct engine_seq kv; // blocks, cap_blocks of them
    int cap_blocks;

    struct tok_stream chars;
    struct stop_match stop;
    struct token_list list;
    struct guide guide;
    struct lookup lookup;
    int32_t draft[SCHED_DRAFTS_MAX]; // rows of the step behind the tokens
    int n_draft;
    int n_replayed; // of the job's output for this choice
    int in_step;    // rows of the step being built
};

/* What a tenant with live jobs has had.  The least served goes first where tenants compete: for
 * places in the batch (place.c), for the prompt rows of a step and for KV blocks (rank.c). */
struct share {
    str tenant;         // owned
    uint64_t served;    // rows computed, those computed again not counted; comparable among the
                        // shares that live at the same time
    int n_jobs, n_seqs; // all; in the batch
    struct share *next; // whose turn comes later
};

/* How many jobs a tenant has in the queue.  The loop thread makes and frees it. */
struct quota {
    char *tenant;
    _Atomic int n_waiting; // the loop and the engine count (relaxed: a bound, not a lock)
    int n_jobs;            // that point here; the loop's alone
    UT_hash_handle hh;
};

struct sched_job {
    struct sched *sched;
    void *arg;
    _Atomic bool cancel; // set by any thread, read between steps (relaxed: only a wish)
    _Atomic bool paused; // set by the loop (relaxed)
    struct sched_stats stats;

    int32_t *prompt; // owned copies of the request
    int n_prompt;
    int n_choices, max_tokens, min_tokens;
    str *stops;
    size_t n_stops;
    int32_t *ends; // the model's and the request's; NULL: the model's alone
    size_t n_ends;
    uint64_t *seeds; // [n_choices], or NULL
    struct sample_params sample;
    struct sample_bias *bias;
    struct arena mem; // of what has no member to free
    const struct gram *gram;
    bool in_time;
    struct sched_thinking thinking;
    const int32_t *forced;
    size_t n_forced;
    struct sample_phrase *stop_tokens;
    size_t n_stop_tokens;
    struct sched_output *output; // [n_choices], or NULL
    bool want_logprobs, want_progress;
    int n_top;
    size_t told; // the last position it was told, while it waits
    bool ignore_eos, special_text;
    const int32_t *visible; // [n_visible], borrowed
    size_t n_visible;
    int priority;
    uint64_t deadline_ms;
    str tenant;          // owned
    struct share *share; // from the queue to the end
    struct quota *quota; // the loop's, but for its counter

    struct sched_job *next; // in the waiting list
    struct seq *seqs;       // [n_choices] since it had places first
    uint64_t n_fresh;       // rows that it has been served in its places
    uint64_t paused_ms;     // since when it has been paused in them; 0: it is not
    bool leaves;            // place.c
    int n_live;             // choices that go on
    bool started;
    struct err failure; // code != ERR_NONE: to be ended with it
};

enum {
    COUNT_JOBS,
    COUNT_CANCELLED,
    COUNT_FAILED,
    COUNT_PROMPT,
    COUNT_OUTPUT,
    COUNT_STEPS,
    COUNT_PREEMPTED,
    COUNT_CACHED,
    COUNT_DRAFTED,
    COUNT_DRAFTS_TRUE,
    COUNT_FORCED,
    COUNT_ALLOCATIONS,
    COUNTERS
};

/* What rows cost (pace.c); the unit is a prompt's first row. */
struct pace {
    double gap_us;    // target time of a step while somebody decodes
    double depth;     // units that a position further on adds
    double unit_us;   // measured; 0: not yet
    int seen;         // prompt rows behind that, as far as they are remembered
    double decode_us; // measured cost of a step without prompt rows
};

struct sched {
    struct engine *engine;
    const struct tok *tok;
    struct prefix *prefix;
    struct piece_pool *pieces;
    struct sched_conf conf;
    size_t taken;      // of the budget
    struct queue *in;  // struct sched_job *, or &wake
    struct queue *out; // struct sched_piece *
    size_t out_slack;  // the engine rests when fewer places are left
    pthread_t thread;
    bool joined;
    _Atomic bool closing;

    struct sched_job *waiting; // by priority, then arrival
    struct share *shares;      // in turn
    struct sched_job **active; // [n_active], room for max_seqs
    int n_active, n_seqs;
    uint64_t births;

    struct engine_row *rows;         // [max_rows]
    struct seq **row_seq;            // [max_rows]
    struct sample_scratch **scratch; // [n_scratch] of each thread of the engine
    int n_scratch;
    const float *logits;    // of the last step: [rows][n_vocab]
    const float *block_max; // see engine_block_max
    struct draw *draws;     // [max_seqs]
    int32_t *ends;          // ids that end a generation
    size_t n_ends;
    struct buf text;  // scratch: of a piece
    struct buf chars; // scratch: of a token
    struct pace pace;
    double step_units; // of the prompt rows in the step being built

    struct quota *quotas;  // the loop's
    _Atomic int n_waiting; // submitted, without a place; the loop and the engine count
    _Atomic uint64_t counters[COUNTERS], step_us;
    _Atomic int n_active_now;
    _Atomic uint64_t job_ms; // smoothed time from admission to end
    _Atomic size_t kv_free, kv_cached;
};

static inline void sched_count(struct sched *s, int which, uint64_t n)
{
    atomic_fetch_add_explicit(&s->counters[which], n, memory_order_relaxed);
}

/* A token to be drawn from a row of logits. */
struct draw {
    struct seq *seq;
    size_t row; // of the step's logits; behind it are those of its drafts
    int32_t id;
    struct drawn how;
};

/* hurry.c: tokens put into the guide's jump because the answer must come to its end now. */
int sched_hurry(struct sched *s, struct seq *q);

/* guide.c */
void sched_guide_init(struct guide *g, const struct sched_job *j);
void sched_guide_fini(struct guide *g);
/* Finds out what may come next: forced tokens, or a mask.  False with *e set: nothing can. */
MUST_CHECK bool sched_guide_next(struct sched *s, struct seq *q, struct err *e);
/* Follows a token that was drawn or forced.  False with *e set: it is not allowed. */
MUST_CHECK bool sched_guide_took(struct sched *s, struct seq *q, int32_t id, bool end,
                                 struct err *e);

/* lookup.c */
void sched_lookup_init(struct lookup *l, int max_tokens);
void sched_lookup_fini(struct lookup *l);
size_t sched_lookup_bytes(int max_tokens);
/* Up to max tokens that may follow, into out; returns how many. */
int sched_lookup_draft(struct lookup *l, const int32_t *tokens, int n_tokens, int32_t *out,
                       int max);
/* How many of the drafts came true. */
void sched_lookup_learn(struct lookup *l, int n_draft, int n_true);

/* pace.c */
void sched_pace_init(struct pace *p, const struct engine_info *info, int gap_ms);
/* Units that the prompts of a step with n_decode other rows may cost. */
double sched_pace_begin(const struct pace *p, int n_decode);
/* Rows from position pos on that fit into what is left, at most `most`; the first of a step get
 * some in any case. */
int sched_pace_rows(const struct pace *p, double left, bool first, int pos, int most);
double sched_pace_cost(const struct pace *p, int pos, int n);
void sched_pace_learn(struct pace *p, int n_decode, int n_prompt, double prompt_units, double us);

/* draw.c */
/* Draws the token behind these logits for q; the guide must be ready. */
void sched_draw(struct sched *s, struct draw *d, int worker);
/* The draws of a step, on all threads of the engine. */
void sched_draw_all(struct sched *s, int n);

/* piece.c */
/* Pieces that are used again; it lives until the scheduler has dropped it and all pieces are back.
 * n of them are made at once. */
struct piece_pool *sched_pieces_new(size_t n);
void sched_pieces_drop(struct piece_pool *pool);
size_t sched_piece_bytes(void); // what one holds
void sched_list_init(struct token_list *l, int n_top);
void sched_list_fini(struct token_list *l);
/* A token whose text begins at l->end; d may be NULL. */
void sched_list_add(struct token_list *l, int32_t id, const struct drawn *d);
void sched_send_text(struct sched *s, struct seq *q); // s->text, if any
void sched_send_finish(struct sched *s, struct seq *q, enum sched_finish why);
void sched_position(struct sched *s, struct sched_job *j, enum sched_what what, size_t position);

/* seq.c */
void sched_seq_init(struct seq *q, struct sched_job *j, int choice);
void sched_seq_fini(struct seq *q);
void sched_seq_drop_blocks(struct sched *s, struct seq *q);
/* Gives the blocks back; q is computed again later.  The cache keeps the whole ones until they are
 * needed. */
void sched_seq_yield(struct sched *s, struct seq *q);
/* Sees to blocks for positions below n_tokens; false when there are none left. */
bool sched_seq_reserve(struct sched *s, struct seq *q, int n_tokens);
/* Gives `to` the prompt that `from` has computed: whole blocks shared, the last one copied. */
bool sched_seq_fork(struct sched *s, struct seq *to, const struct seq *from);
/* Takes cached blocks that go on where q stands, if it stands at the border of one. */
void sched_seq_reuse(struct sched *s, struct seq *q);
/* Then, once: the first tokens of a cached block that goes another way later, as a copy. */
void sched_seq_reuse_part(struct sched *s, struct seq *q);
/* Lets the cache know the whole blocks that q has computed. */
void sched_seq_remember(struct sched *s, const struct seq *q);
/* A token was drawn: text, stop texts, limits.  True when the choice is complete; a choice that
 * fails is SEQ_DONE with the job's failure set. */
bool sched_seq_accept(struct sched *s, struct seq *q, int32_t id, const struct drawn *d);
bool sched_seq_ends(const struct sched *s, const struct sched_job *j, int32_t id);
/* Ends a choice whose constraint is met, where no token can be drawn any more. */
void sched_seq_complete(struct sched *s, struct seq *q);
void sched_seq_fail(struct sched *s, struct seq *q, const struct err *why);
/* Takes more of what an earlier job drew; the state moves on when all is taken.  True when the
 * choice is complete. */
bool sched_seq_replay(struct sched *s, struct seq *q);

/* share.c */
void sched_share_join(struct sched *s, struct sched_job *j);
void sched_share_leave(struct sched *s, struct sched_job *j); // if it has joined
void sched_share_charge(struct sched *s, struct share *sh, int n_rows);
bool sched_share_before(const struct sched *s, const struct share *a, const struct share *b);

/* quota.c.  Enters j among those that wait, or ERR_BUSY; leaves it when it is admitted or ends. */
MUST_CHECK bool sched_quota_enter(struct sched *s, struct sched_job *j, struct err *e);
void sched_quota_leave(struct sched *s, struct sched_job *j);  // engine thread, as
void sched_quota_return(struct sched *s, struct sched_job *j); // this: j waits again
void sched_quota_free(struct sched_job *j);                    // with the job; loop thread

/* place.c */
void sched_place_wait(struct sched *s, struct sched_job *j); // a new job
void sched_place_admit(struct sched *s);                     // those that are due
void sched_place_look(struct sched_job *j, uint64_t now);    // at each one in the batch, often
void sched_place_leave(struct sched *s, struct sched_job *j);

/* rank.c */
bool sched_rank_own_before(const struct seq *a, const struct seq *b); // of one tenant
/* Must b give its blocks back before a does? */
bool sched_rank_before(const struct sched *s, const struct seq *a, const struct seq *b);

/* step.c */
void sched_start_job(struct sched *s, struct sched_job *j);
bool sched_step(struct sched *s); // false: nothing could be computed now

/* sched.c and piece.c */
struct sched_piece *sched_piece_new(struct sched_job *j, enum sched_what what, int choice);
/* The reader is told at the latest before the engine's next step or wait. */
void sched_emit(struct sched *s, struct sched_piece *p);
void sched_end_job(struct sched *s, struct sched_job *j, const struct err *why);

#endif
