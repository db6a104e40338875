/*
 * rollup.h: the two questions of the API, answered from a database.
 *
 * Threads: any; see usage.h.
 */
#ifndef TY_QUERY_ROLLUP_H
#define TY_QUERY_ROLLUP_H

#include "engine/total.h"
#include "query/range.h"
#include "shard/database.h"

/*
 * ty_rollup_rows fills one row a period. `rows` must have room for ty_range_count(range), which is
 * TALLY_ROWS_MAX at most. Statuses as ty_usage_totals().
 */
tally_status ty_rollup_rows(const struct ty_database *database, const struct ty_uuid *customer,
                            const struct ty_uuid *workflow, const struct ty_range *range,
                            tally_row *rows, tally_error *error);

/*
 * ty_rollup_workflows allocates (malloc) the ids of the workflows that the customer used in the
 * range, in ascending order; *ids may be NULL when *count is 0. Statuses as ty_usage_totals().
 */
tally_status ty_rollup_workflows(const struct ty_database *database, const struct ty_uuid *customer,
                                 const struct ty_range *range, struct ty_uuid **ids, size_t *count,
                                 tally_error *error);

/* ty_rollup_fill makes the row of a period out of its total. */
void ty_rollup_fill(tally_row *row, tally_frequency frequency, int64_t period,
                    const struct ty_total *total);

/* How many series a customer has: with ty_usage_cost(), what a list costs. */
size_t ty_rollup_series_count(const struct ty_database *database, const struct ty_uuid *customer);

#endif
