/* kern/pool.c - see pool.h.
 *
 * One word drives everything: `work` holds the number of the phase in its high half and the chunks
 * not yet taken in its low half.  A thread takes a chunk by compare-and-swap of the whole word, so
 * one that slept through a phase cannot take a chunk of the next by mistake.
 *
 * Who sees what.  The caller writes phase, n_chunks and left, then stores `work`; a thread whose
 * compare-and-swap (acquire) succeeds reads what that store released, and none of it changes before
 * `left` is 0.  `left` falls after a chunk is done (release) and the caller waits for 0 (acquire),
 * so all that a phase wrote is seen by the next.
 *
 * Who wakes whom.  A worker going to sleep notes `wakes`, raises n_sleeping and looks at `work`
 * once more; the caller stores `work` and then looks at n_sleeping.  These four are sequentially
 * consistent, so at least one of the two sees the other: the worker stays up, or the caller raises
 * `wakes`, upon which the futex does not sleep, or wakes. */
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

struct worker {
    pthread_t thread;
    struct kern_pool *pool;
    int index;
};

struct kern_pool {
    _Alignas(64) _Atomic uint64_t work;
    _Alignas(64) _Atomic int left;
    _Alignas(64) _Atomic(const struct kern_phase *) phase;
    _Atomic int n_chunks;
    _Alignas(64) _Atomic uint32_t wakes;
    _Atomic int n_sleeping;
    _Atomic bool closing;
    int n_threads, n_started;
    struct worker *workers; // [n_threads - 1]
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

// Takes and runs chunks until none is left.
static void work_off(struct kern_pool *p, int index)
{
    uint64_t word = atomic_load_explicit(&p->work, memory_order_relaxed);
    while ((uint32_t)word != 0) {
        if (!atomic_compare_exchange_weak_explicit(&p->work, &word, word - 1, memory_order_acquire,
                                                   memory_order_relaxed))
            continue;
        const struct kern_phase *phase = atomic_load_explicit(&p->phase, memory_order_relaxed);
        int n = atomic_load_explicit(&p->n_chunks, memory_order_relaxed);
        phase->run(phase->arg, n - (int)(uint32_t)word, index);
        atomic_fetch_sub_explicit(&p->left, 1, memory_order_release);
        word = atomic_load_explicit(&p->work, memory_order_relaxed);
    }
}

static bool idle(struct kern_pool *p)
{
    return (uint32_t)atomic_load(&p->work) == 0 &&
           !atomic_load_explicit(&p->closing, memory_order_acquire);
}

static void wait_for_work(struct kern_pool *p)
{
    uint64_t until = 0;
    for (int spins = 1; idle(p); spins++) {
        relax();
        if (spins % SPINS_CHECK)
            continue;
        if (until == 0)
            until = now_ns() + SPIN_NS;
        else if (now_ns() > until)
            break;
    }
    while (idle(p)) {
        uint32_t seen = atomic_load(&p->wakes);
        atomic_fetch_add(&p->n_sleeping, 1);
        if (idle(p))
            futex_sleep(&p->wakes, seen);
        atomic_fetch_sub(&p->n_sleeping, 1);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    while (!atomic_load_explicit(&w->pool->closing, memory_order_acquire)) {
        work_off(w->pool, w->index);
        wait_for_work(w->pool);
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
    mem_try_free(p, sizeof *p);
}

int kern_pool_threads(const struct kern_pool *p)
{
    return p->n_threads;
}

static void run_phase(struct kern_pool *p, const struct kern_phase *phase)
{
    if (p->n_threads == 1 || phase->n_chunks == 1) {
        for (int i = 0; i < phase->n_chunks; i++)
            phase->run(phase->arg, i, 0);
        return;
    }
    uint32_t number = (uint32_t)(atomic_load_explicit(&p->work, memory_order_relaxed) >> 32) + 1;
    atomic_store_explicit(&p->phase, phase, memory_order_relaxed);
    atomic_store_explicit(&p->n_chunks, phase->n_chunks, memory_order_relaxed);
    atomic_store_explicit(&p->left, phase->n_chunks, memory_order_relaxed);
    atomic_store(&p->work, (uint64_t)number << 32 | (uint32_t)phase->n_chunks);
    wake_sleepers(p);
    work_off(p, 0);
    for (int spins = 1; atomic_load_explicit(&p->left, memory_order_acquire); spins++) {
        relax();
        if (spins % 1024 == 0) // the one who holds the last chunk may need this very core
            sched_yield();
    }
}

bool kern_pool_run(struct kern_pool *p, const struct kern_phase *phases, int n_phases,
                   const _Atomic bool *cancel)
{
    for (int i = 0; i < n_phases; i++) {
        // set by another thread at any time; nothing is read on the strength of it
        if (cancel && atomic_load_explicit(cancel, memory_order_relaxed))
            return false;
        assert(phases[i].n_chunks >= 0);
        if (phases[i].n_chunks > 0)
            run_phase(p, &phases[i]);
    }
    return true;
}
