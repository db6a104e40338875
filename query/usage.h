/*
 * usage.h: totals per period of a series, out of hot totals and stored blocks.
 *
 * A row is summed from *units* of one level: a month from its month, a week or a day from days, an
 * hour from slots. A hot unit shadows the stored one. Hot units are read first, then the storage
 * snapshot is opened: a unit that was dropped from memory meanwhile is in the snapshot (hot.h).
 * Since every unit is read as of one moment and an event lies in one unit of a level, an event is
 * in the answer wholly or not at all.
 *
 * Threads: any. Never waits for the writer; reads of cold data may wait for the disk.
 */
#ifndef TY_QUERY_USAGE_H
#define TY_QUERY_USAGE_H

#include "query/range.h"
#include "shard/shard.h"

/*
 * ty_usage_totals adds up the series' usage: totals[i] is for period range->first + i. The caller
 * gives ty_range_count(range) zeroed totals; `series` NULL (never seen) leaves them zero.
 * TALLY_BUSY, TALLY_NO_MEMORY, TALLY_FAILED, TALLY_CORRUPT or TALLY_IO with the reason.
 */
tally_status ty_usage_totals(const struct ty_shard_view *view, struct ty_series *series,
                             const struct ty_range *range, struct ty_total *totals,
                             tally_error *error);

/* ty_usage_any tells whether the series has at least one event in the range. */
tally_status ty_usage_any(const struct ty_shard_view *view, struct ty_series *series,
                          const struct ty_range *range, bool *any, tally_error *error);

/* How many stored values a query of that range may have to read of one series: the measure by which
 * a server decides where to run it. */
int64_t ty_usage_cost(const struct ty_range *range);

#endif
