/* kern/pool.c - see pool.h.
 *
 * Every thread has a lane: a run of the phase's chunks that it takes in order, so that what it
 * reads lies in one piece; with none left it helps in the other lanes.  A lane is one word, the
 * number of the phase in its high half and the chunks not yet taken in its low half.  A chunk is
 * taken by compare-and-swap of the whole word, so a thread that slept through a phase cannot take a
 * chunk of the next by mistake.
 *
 * Who sees what.  The caller writes left, then each lane's phase, next and n_chunks, and stores its
 * word; a thread whose compare-and-swap (acquire) succeeds reads what that store released, and none
 * of it changes before `left` is 0.  `left` falls after chunks are done (release) and the caller
 * waits for 0 (acquire), so all that a phase wrote is seen by the next.
 *
 * Who wakes whom.  A worker that found all lanes empty waits until the phase in its own lane's word
 * differs from what it was before the worker looked.  `number` follows the lanes: one going to
 * sleep notes `wakes`, raises n_sleeping and looks at `number` once more; the caller stores
 * `number` and then looks at n_sleeping.  These four are sequentially consistent, so at least one
 * of the two sees the other: the worker stays up, or the caller raises `wakes`, upon which the
 * futex does not sleep, or wakes.
 *
 * Fetching ahead.  Memory would idle while threads wait for the last one, and whatever a phase
 * reads first it would wait for.  So a thread that begins its last chunk asks what it will read
 * first in the next phase that can tell, fetches the beginning of that, and while it waits the
 * rest.  It asks while it holds a chunk: afterwards the caller's list may be gone, while addresses
 * do no harm. */
#include "kern/pool.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SPIN_NS     40000 // how long a worker without work stays awake
#define SPINS_CHECK 64    // pauses between looks at the clock
#define LINE        64    // bytes of a cache line
#define LINES_FIRST 192   // fetched before the last chunk,
#define LINES_SPIN  2     // and at each pause after it

struct worker {
    pthread_t thread;
    struct kern_pool *pool;
    int index;
};

/* All that a thread needs to begin stands in one line: whatever it has to fetch from the core that
 * wrote it takes as long as a small chunk. */
struct lane {
    _Alignas(64) _Atomic uint64_t work;
    _Atomic(const struct kern_phase *) phase;
    _Atomic(const struct kern_phase *) next; // whose reads may be fetched, or NULL
    _Atomic int n_chunks;
};

struct kern_pool {
    _Alignas(64) _Atomic int left;
    _Alignas(64) _Atomic uint32_t number;
    _Alignas(64) _Atomic uint32_t wakes;
    _Atomic int n_sleeping;
    _Atomic bool closing;
    int n_threads, n_started;
    struct worker *workers; // [n_threads - 1]
    struct lane *lanes;     // [n_threads]
    size_t lanes_bytes;
};

/* What a thread still has to fetch for `phase`. */
struct ahead {
    const struct kern_phase *phase; // compared only
    struct kern_reads reads;
    int part;
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void futex_sleep(_Atomic uint32_t *word, uint32_t seen)
{
    // returns at once when *word is no longer `seen`; waking without cause does no harm
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 0x7fffffff, NULL, NULL, 0);
}

// The chunks of lane i: [first_of(i), first_of(i + 1)).
static int first_of(const struct kern_pool *p, int n_chunks, int i)
{
    return (int)((long long)n_chunks * i / p->n_threads);
}

static void fetch_lines(struct ahead *a, int lines)
{
    while (lines > 0 && a->part < a->reads.n) {
        struct kern_range *r = &a->reads.part[a->part];
        if (r->bytes <= 0) {
            a->part++;
            continue;
        }
        __builtin_prefetch(r->at, 0, 2);
        r->at += LINE;
        r->bytes -= LINE;
        lines--;
    }
}

// Asks what thread `index` reads first in the phase `next`.
static void look_ahead(struct kern_pool *p, const struct kern_phase *next, int index,
                       struct ahead *a)
{
    if (next == a->phase)
        return;
    *a = (struct ahead){.phase = next};
    if (!next)
        return;
    next->reads(next->arg, first_of(p, next->n_chunks, index), &a->reads);
    fetch_lines(a, LINES_FIRST);
}

/* Takes a chunk of a lane; *last: none is left in it. */
static bool take(struct kern_pool *p, int lane, int *chunk, bool *last)
{
    struct lane *l = &p->lanes[lane];
    uint64_t word = atomic_load_explicit(&l->work, memory_order_relaxed);
    while ((uint32_t)word != 0) {
        if (!atomic_compare_exchange_weak_explicit(&l->work, &word, word - 1, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        int n = atomic_load_explicit(&l->n_chunks, memory_order_relaxed);
        *chunk = first_of(p, n, lane + 1) - (int)(uint32_t)word;
        *last = (uint32_t)word == 1;
        return true;
    }
    return false;
}

// Takes and runs chunks until none is left.  What is done of a lane is counted at once: `left` is a
// line that all threads write.
static void work_off(struct kern_pool *p, int index, struct ahead *a)
{
    for (int i = 0; i < p->n_threads; i++) {
        int lane = (index + i) % p->n_threads, chunk, done = 0;
        for (bool last; take(p, lane, &chunk, &last); done++) {
            struct lane *l = &p->lanes[lane];
            const struct kern_phase *phase = atomic_load_explicit(&l->phase, memory_order_relaxed);
            if (last && i == 0)
                look_ahead(p, atomic_load_explicit(&l->next, memory_order_relaxed), index, a);
            phase->run(phase->arg, chunk, index);
        }
        if (done > 0)
            atomic_fetch_sub_explicit(&p->left, done, memory_order_release);
    }
}

// The phase that a lane is of.
static uint32_t phase_of(struct lane *lane)
{
    return (uint32_t)(atomic_load_explicit(&lane->work, memory_order_acquire) >> 32);
}

static bool idle(struct kern_pool *p, uint32_t seen)
{
    return atomic_load(&p->number) == seen &&
           !atomic_load_explicit(&p->closing, memory_order_acquire);
}

static void wait_for_work(struct kern_pool *p, int index, uint32_t seen, struct ahead *a)
{
    uint64_t until = 0;
    for (int spins = 1; phase_of(&p->lanes[index]) == seen; spins++) {
        fetch_lines(a, LINES_SPIN);
        relax();
        if (spins % SPINS_CHECK)
            continue;
        if (!idle(p, seen))
            break;
        if (until == 0)
            until = now_ns() + SPIN_NS;
        else if (now_ns() > until)
            break;
    }
    while (phase_of(&p->lanes[index]) == seen && idle(p, seen)) {
        uint32_t wakes = atomic_load(&p->wakes);
        atomic_fetch_add(&p->n_sleeping, 1);
        if (idle(p, seen))
            futex_sleep(&p->wakes, wakes);
        atomic_fetch_sub(&p->n_sleeping, 1);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    struct ahead ahead = {0};
    while (!atomic_load_explicit(&w->pool->closing, memory_order_acquire)) {
        uint32_t seen = phase_of(&w->pool->lanes[w->index]);
        work_off(w->pool, w->index, &ahead);
        wait_for_work(w->pool, w->index, seen, &ahead);
    }
    return NULL;
}

static void wake_sleepers(struct kern_pool *p)
{
    if (atomic_load(&p->n_sleeping) == 0)
        return;
    atomic_fetch_add(&p->wakes, 1);
    futex_wake_all(&p->wakes);
}

bool kern_pool_open(struct kern_pool **out, int n_threads, struct err *e)
{
    if (n_threads < 1 || n_threads > 1024)
        return err_set(e, ERR_INPUT, "%d threads: there may be 1 to 1024", n_threads);
    struct kern_pool *p = mem_try(sizeof *p);
    if (!p)
        return err_set(e, ERR_LIMIT, "no memory for the thread pool");
    p->n_threads = n_threads;
    p->lanes_bytes = (size_t)n_threads * sizeof *p->lanes;
    p->lanes = mem_try(p->lanes_bytes);
    if (!p->lanes) {
        kern_pool_close(p);
        return err_set(e, ERR_LIMIT, "no memory for the thread pool");
    }
    if (n_threads > 1)
        p->workers = mem_calloc((size_t)n_threads - 1, sizeof *p->workers);
    for (int i = 1; i < n_threads; i++) {
        struct worker *w = &p->workers[i - 1];
        *w = (struct worker){.pool = p, .index = i};
        int failed = pthread_create(&w->thread, NULL, worker_main, w);
        if (failed) {
            errno = failed;
            err_errno(e, ERR_LIMIT, "start thread %d of %d", i + 1, n_threads);
            kern_pool_close(p);
            return false;
        }
        p->n_started++;
    }
    *out = p;
    return true;
}

void kern_pool_close(struct kern_pool *p)
{
    if (!p)
        return;
    atomic_store(&p->closing, true);
    atomic_fetch_add(&p->wakes, 1);
    futex_wake_all(&p->wakes);
    for (int i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    mem_free(p->workers);
    mem_try_free(p->lanes, p->lanes_bytes);
    mem_try_free(p, sizeof *p);
}

int kern_pool_threads(const struct kern_pool *p)
{
    return p->n_threads;
}

static void run_phase(struct kern_pool *p, const struct kern_phase *phase,
                      const struct kern_phase *next, struct ahead *a)
{
    if (p->n_threads == 1 || phase->n_chunks == 1) {
        for (int i = 0; i < phase->n_chunks; i++) {
            if (i == phase->n_chunks - 1)
                look_ahead(p, next, 0, a);
            phase->run(phase->arg, i, 0);
        }
        return;
    }
    uint32_t number = atomic_load_explicit(&p->number, memory_order_relaxed) + 1;
    atomic_store_explicit(&p->left, phase->n_chunks, memory_order_relaxed);
    for (int i = p->n_threads - 1; i >= 0; i--) { // the others begin first
        struct lane *l = &p->lanes[i];
        int n = first_of(p, phase->n_chunks, i + 1) - first_of(p, phase->n_chunks, i);
        atomic_store_explicit(&l->phase, phase, memory_order_relaxed);
        atomic_store_explicit(&l->next, next, memory_order_relaxed);
        atomic_store_explicit(&l->n_chunks, phase->n_chunks, memory_order_relaxed);
        atomic_store_explicit(&l->work, (uint64_t)number << 32 | (uint32_t)n, memory_order_release);
    }
    atomic_store(&p->number, number);
    wake_sleepers(p);
    work_off(p, 0, a);
    for (int spins = 1; atomic_load_explicit(&p->left, memory_order_acquire); spins++) {
        fetch_lines(a, LINES_SPIN);
        relax();
        if (spins % 1024 == 0) // the one who holds the last chunk may need this very core
            sched_yield();
    }
}

/* The phase after number i that tells what it reads, or NULL. */
static const struct kern_phase *next_reader(const struct kern_phase *phases, int n_phases, int i)
{
    for (i++; i < n_phases; i++)
        if (phases[i].reads && phases[i].n_chunks > 0)
            return &phases[i];
    return NULL;
}

bool kern_pool_run(struct kern_pool *p, const struct kern_phase *phases, int n_phases,
                   const _Atomic bool *cancel)
{
    struct ahead ahead = {0};
    for (int i = 0; i < n_phases; i++) {
        // set by another thread at any time; nothing is read on the strength of it
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return false;
        assert(phases[i].n_chunks >= 0);
        if (phases[i].n_chunks > 0)
            run_phase(p, &phases[i], next_reader(phases, n_phases, i), &ahead);
    }
    return true;
}
