#include "query/rollup.h"

#include <stdlib.h>
#include <string.h>

#include "engine/period.h"
#include "query/usage.h"

static tally_int128 to_public(ty_int128 value)
{
    return (tally_int128){.low = (uint64_t)value, .high = (int64_t)(value >> 64)};
}

void ty_rollup_fill(tally_row *row, tally_frequency frequency, int64_t period,
                    const struct ty_total *total)
{
    ty_period_format(frequency, period, row->date);
    row->start_ms = ty_period_start_ms(frequency, period);
    row->end_ms = ty_period_start_ms(frequency, period + 1);
    row->events = total->events;
    row->credits_micro = to_public(total->credits);
    row->documents = to_public(total->documents);
    row->pages = to_public(total->pages);
    row->processing_ms = to_public(total->processing_ms);
}

tally_status ty_rollup_rows(const struct ty_database *database, const struct ty_uuid *customer,
                            const struct ty_uuid *workflow, const struct ty_range *range,
                            tally_row *rows, tally_error *error)
{
    struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, customer));
    int64_t count = ty_range_count(range);
    struct ty_total *totals = calloc((size_t)count, sizeof(*totals));
    tally_status status;

    TY_ASSERT(count >= 1 && count <= TALLY_ROWS_MAX);
    if (totals == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for %lld rows", (long long)count);
    status = ty_usage_totals(&view, ty_series_find(view.series, customer, workflow), range, totals,
                             error);
    for (int64_t i = 0; i < count && status == TALLY_OK; i++)
        ty_rollup_fill(&rows[i], range->frequency, range->first + i, &totals[i]);
    free(totals);
    return status;
}

size_t ty_rollup_series_count(const struct ty_database *database, const struct ty_uuid *customer)
{
    struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, customer));
    size_t count = 0;

    for (struct ty_series *series = ty_series_newest_of(view.series, customer); series != NULL;
         series = series->older_of_customer)
        count++;
    return count;
}

static int compare_ids(const void *a, const void *b)
{
    return ty_uuid_compare(a, b);
}

tally_status ty_rollup_workflows(const struct ty_database *database, const struct ty_uuid *customer,
                                 const struct ty_range *range, struct ty_uuid **out, size_t *count,
                                 tally_error *error)
{
    struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, customer));
    struct ty_series *series = ty_series_newest_of(view.series, customer);
    size_t most = 0, used = 0;
    struct ty_uuid *ids = NULL;

    /* Older series never change, so that both walks from the same start see the same list. */
    for (struct ty_series *each = series; each != NULL; each = each->older_of_customer)
        most++;
    if (most != 0 && (ids = malloc(most * sizeof(*ids))) == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for %zu workflows", most);
    for (; series != NULL; series = series->older_of_customer) {
        bool any = false;
        tally_status status = ty_usage_any(&view, series, range, &any, error);

        if (status != TALLY_OK) {
            free(ids);
            return status;
        }
        if (any)
            ids[used++] = series->workflow;
    }
    if (used != 0)
        qsort(ids, used, sizeof(*ids), compare_ids);
    *out = ids;
    *count = used;
    return TALLY_OK;
}
