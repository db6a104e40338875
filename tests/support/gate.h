/*
 * gate.h: holds a writer's thread inside a commit of events for as long as a test wants.
 *
 * Give `faults` to a shard or database: every put passes the gate, and no fault hits. Threads: any.
 */
#ifndef TY_TESTS_SUPPORT_GATE_H
#define TY_TESTS_SUPPORT_GATE_H

#include <pthread.h>

#include "storage/store.h"

struct ty_gate {
    struct ty_faults faults;
    pthread_mutex_t lock; /* guards the members below, and what a test adds to it */
    pthread_cond_t changed;
    bool closed;
    unsigned waiting; /* threads at the closed gate */
};

static inline int ty_gate_hit(void *context, enum ty_fault_point point)
{
    struct ty_gate *gate = context;

    if (point != TY_FAULT_PUT)
        return 0;
    pthread_mutex_lock(&gate->lock);
    gate->waiting++;
    pthread_cond_broadcast(&gate->changed);
    while (gate->closed)
        pthread_cond_wait(&gate->changed, &gate->lock);
    gate->waiting--;
    pthread_mutex_unlock(&gate->lock);
    return 0;
}

static inline void ty_gate_init(struct ty_gate *gate)
{
    *gate = (struct ty_gate){.faults = {ty_gate_hit, gate}};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

static inline void ty_gate_close(struct ty_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->closed = true;
    pthread_mutex_unlock(&gate->lock);
}

static inline void ty_gate_open(struct ty_gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->closed = false;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* Waits until so many threads stand at the closed gate. */
static inline void ty_gate_await(struct ty_gate *gate, unsigned threads)
{
    pthread_mutex_lock(&gate->lock);
    while (gate->waiting < threads)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

#endif
