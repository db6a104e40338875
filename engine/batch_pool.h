/*
 * batch_pool.h: batches that wait for their next use, with their memory.
 *
 * Threads: any number may take and give at once; a batch is its taker's until it is given back.
 */
#ifndef TY_ENGINE_BATCH_POOL_H
#define TY_ENGINE_BATCH_POOL_H

#include "engine/batch.h"
#include <stdatomic.h>

#define TY_BATCH_POOL_SIZE 16 /* more are simply allocated and freed */

/* All zero is a valid, empty pool. */
struct ty_batch_pool {
    _Atomic(struct ty_batch *) idle[TY_BATCH_POOL_SIZE];
};

/* ty_batch_take returns an empty batch, to be given back; NULL: no memory. */
struct ty_batch *ty_batch_take(struct ty_batch_pool *pool);

/* ty_batch_give takes a batch back; NULL is fine. */
void ty_batch_give(struct ty_batch_pool *pool, struct ty_batch *batch);

void ty_batch_pool_fini(struct ty_batch_pool *pool);

#endif
