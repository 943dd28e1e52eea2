/* base/queue.c - see queue.h. */
#include "base/queue.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct queue {
    pthread_mutex_t lock; // guards all below; nothing is called while holding it
    pthread_cond_t more;
    void **items; // ring of cap
    size_t cap, head, n;
    size_t n_untold; // of those put last, nobody was told
    bool closed;
    bool readable; // the counter of fd is 1; it is 0 while n is
    int fd;        // eventfd
};

struct queue *queue_new(size_t cap, bool with_fd)
{
    assert(cap > 0);
    struct queue *q = mem_calloc(1, sizeof *q);
    pthread_condattr_t attr;
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&q->more, &attr);
    pthread_condattr_destroy(&attr);
    q->items = mem_calloc(cap, sizeof *q->items);
    q->cap = cap;
    q->fd = with_fd ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC) : -1;
    assert(!with_fd || q->fd >= 0);
    return q;
}

void queue_free(struct queue *q)
{
    if (!q)
        return;
    assert(q->n == 0);
    if (q->fd >= 0)
        close(q->fd);
    pthread_cond_destroy(&q->more);
    pthread_mutex_destroy(&q->lock);
    mem_free(q->items);
    mem_free(q);
}

static void fd_set_readable(struct queue *q, bool readable)
{
    if (q->fd < 0 || q->readable == readable)
        return;
    uint64_t v = 1;
    ssize_t r = readable ? write(q->fd, &v, sizeof v) : read(q->fd, &v, sizeof v);
    (void)r; // cannot fail: the counter is 0 or 1 and changes under the lock
    q->readable = readable;
}

/* Under the lock. */
static bool put(struct queue *q, void *item)
{
    if (q->closed || q->n == q->cap)
        return false;
    q->items[(q->head + q->n) % q->cap] = item;
    q->n++;
    q->n_untold++;
    return true;
}

static void tell(struct queue *q)
{
    if (q->n_untold > 1)
        pthread_cond_broadcast(&q->more);
    else if (q->n_untold == 1)
        pthread_cond_signal(&q->more);
    if (q->n_untold > 0)
        fd_set_readable(q, true);
    q->n_untold = 0;
}

bool queue_push(struct queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    bool ok = put(q, item);
    if (ok)
        tell(q);
    pthread_mutex_unlock(&q->lock);
    return ok;
}

bool queue_put(struct queue *q, void *item)
{
    pthread_mutex_lock(&q->lock);
    bool ok = put(q, item);
    pthread_mutex_unlock(&q->lock);
    return ok;
}

void queue_tell(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    tell(q);
    pthread_mutex_unlock(&q->lock);
}

void *queue_pop(struct queue *q, int timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    if (timeout_ms > 0) {
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }

    void *item = NULL;
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && !q->closed && timeout_ms != 0) {
        int r = timeout_ms < 0 ? pthread_cond_wait(&q->more, &q->lock)
                               : pthread_cond_timedwait(&q->more, &q->lock, &until);
        if (r == ETIMEDOUT)
            break;
    }
    if (q->n) {
        item = q->items[q->head];
        q->head = (q->head + 1) % q->cap;
        q->n--;
        q->n_untold = size_min(q->n_untold, q->n);
        if (q->n == 0)
            fd_set_readable(q, false);
    }
    pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->more);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t n = q->n;
    pthread_mutex_unlock(&q->lock);
    return n;
}

int queue_fd(const struct queue *q)
{
    return q->fd;
}
