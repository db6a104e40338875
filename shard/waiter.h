/*
 * waiter.h: for who has nothing to do until a writer has decided: wake it in the `done` of what was
 * given to the database (database.h).
 *
 * Threads: one waits, one other wakes it.
 */
#ifndef TY_SHARD_WAITER_H
#define TY_SHARD_WAITER_H

#include <pthread.h>
#include <stdbool.h>

struct ty_waiter {
    pthread_mutex_t lock;
    pthread_cond_t decided;
    bool done;
};

#define TY_WAITER_INIT                                                                             \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER, .decided = PTHREAD_COND_INITIALIZER                     \
    }

/* The waiter's memory may end with this: it is signalled under the lock. */
static inline void ty_waiter_wake(struct ty_waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    pthread_cond_signal(&waiter->decided);
    pthread_mutex_unlock(&waiter->lock);
}

/* Waits until it was woken; it can then be used again. */
static inline void ty_waiter_await(struct ty_waiter *waiter)
{
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->done)
        pthread_cond_wait(&waiter->decided, &waiter->lock);
    waiter->done = false;
    pthread_mutex_unlock(&waiter->lock);
}

#endif
