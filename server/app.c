#include "server/app.h"

void ty_app_count_rejects(struct ty_app *app, const struct ty_batch *batch)
{
    for (size_t i = 0; batch->event_count != batch->record_count && i < batch->record_count; i++) {
        tally_result result = batch->outcomes[i].result;

        if (result != TALLY_NOT_STORED)
            ty_atomic_add(&app->decoder_rejects[result], 1, memory_order_relaxed);
    }
}
