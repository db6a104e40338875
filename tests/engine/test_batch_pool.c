#include "engine/batch_pool.h"

#include <criterion/criterion.h>

/* A batch must come back empty, or one request would answer for another one's records. */
Test(batch_pool, gives_batches_out_empty_and_takes_any_number_back)
{
    struct ty_batch *batches[TY_BATCH_POOL_SIZE + 8];
    static struct ty_batch_pool pool;

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < TY_COUNT_OF(batches); i++) {
            batches[i] = ty_batch_take(&pool);
            cr_assert_not_null(batches[i]);
            cr_assert_eq(batches[i]->record_count, 0u);
            cr_assert(!batches[i]->failed);
            for (size_t j = 0; j < i; j++)
                cr_assert_neq(batches[i], batches[j], "taken twice");
            cr_assert_not_null(ty_batch_add(batches[i]));
        }
        for (size_t i = 0; i < TY_COUNT_OF(batches); i++)
            ty_batch_give(&pool, batches[i]);
    }
    ty_batch_give(&pool, NULL);
    ty_batch_pool_fini(&pool);
}
