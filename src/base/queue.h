/* base/queue.h - where threads meet: a bounded queue of pointers, many producers, one or more
 * consumers.  What a pointer refers to belongs to whoever holds it: pushing gives it away.
 *
 * A consumer either blocks in queue_pop or watches queue_fd in its event loop. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include "base/defs.h"

struct queue;

/* cap > 0 items.  With with_fd, queue_fd is readable while items wait. */
struct queue *queue_new(size_t cap, bool with_fd);

/* Items still inside are the caller's to drain first; no thread may be using it. */
void queue_free(struct queue *q);

/* False when full or closed (the item stays the caller's). */
MUST_CHECK bool queue_push(struct queue *q, void *item);

/* The same in two steps, for several items in a row: waking a consumer costs far more than an item.
 * What was put may be popped at once, but before queue_tell nobody is woken, nor queue_fd readable.
 */
MUST_CHECK bool queue_put(struct queue *q, void *item);
void queue_tell(struct queue *q);

/* The oldest item; waits up to timeout_ms (0: not at all, -1: for ever).  NULL when none came or
 * the queue is closed and empty. */
void *queue_pop(struct queue *q, int timeout_ms);

/* No more pushes; wakes all who wait.  What is inside can still be popped. */
void queue_close(struct queue *q);

size_t queue_count(struct queue *q);

/* Descriptor to watch for reading (level-triggered: readable while items wait that were told of),
 * or -1. */
int queue_fd(const struct queue *q);

#endif
