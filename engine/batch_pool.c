#include "engine/batch_pool.h"

#include <stdlib.h>

struct ty_batch *ty_batch_take(struct ty_batch_pool *pool)
{
    for (size_t i = 0; i < TY_BATCH_POOL_SIZE; i++) {
        struct ty_batch *idle = NULL;

        /* Acquire: pairs with the release in ty_batch_give(). */
        if (atomic_load_explicit(&pool->idle[i], memory_order_relaxed) != NULL)
            idle = atomic_exchange_explicit(&pool->idle[i], NULL, memory_order_acquire);
        if (idle != NULL)
            return idle;
    }
    return calloc(1, sizeof(struct ty_batch));
}

void ty_batch_give(struct ty_batch_pool *pool, struct ty_batch *batch)
{
    if (batch == NULL)
        return;
    ty_batch_reset(batch);
    for (size_t i = 0; i < TY_BATCH_POOL_SIZE; i++) {
        struct ty_batch *empty = NULL;

        if (atomic_load_explicit(&pool->idle[i], memory_order_relaxed) == NULL &&
            atomic_compare_exchange_strong_explicit(&pool->idle[i], &empty, batch,
                                                    memory_order_release, memory_order_relaxed))
            return;
    }
    ty_batch_fini(batch);
    free(batch);
}

void ty_batch_pool_fini(struct ty_batch_pool *pool)
{
    for (size_t i = 0; i < TY_BATCH_POOL_SIZE; i++) {
        struct ty_batch *idle =
            atomic_exchange_explicit(&pool->idle[i], NULL, memory_order_acquire);

        if (idle != NULL)
            ty_batch_fini(idle);
        free(idle);
    }
}
