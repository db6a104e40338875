#include "query/status.h"

static uint64_t load(const _Atomic uint64_t *value)
{
    return ty_atomic_load((_Atomic uint64_t *)value, memory_order_relaxed);
}

static int64_t load_signed(const _Atomic int64_t *value)
{
    return ty_atomic_load((_Atomic int64_t *)value, memory_order_relaxed);
}

static void read_stats(const struct ty_shard_stats *stats, struct ty_shard_status *status)
{
    for (int i = 0; i < TY_RESULTS; i++)
        status->results[i] = load(&stats->results[i]);
    status->commits = load(&stats->commits);
    status->commit_failures = load(&stats->commit_failures);
    status->queued_events = load(&stats->queued_events);
    status->queued_batches = load(&stats->queued_batches);
    status->busy_batches = load(&stats->busy_batches);
    status->series = load(&stats->series);
    status->hot_bytes = load(&stats->hot_bytes);
    status->dirty_months = load(&stats->dirty_months);
    status->damaged_months = load(&stats->damaged_months);
    status->dedup_entries = load(&stats->dedup_entries);
    status->dedup_bytes = load(&stats->dedup_bytes);
    status->dedup_forgotten_early = load(&stats->dedup_forgotten_early);
    status->dedup_window_ms = load_signed(&stats->dedup_window_ms);
    status->dedup_window_wanted_ms = load_signed(&stats->dedup_window_wanted_ms);
    status->journal_bytes = load(&stats->journal_bytes);
    status->trimmed_values = load(&stats->trimmed_values);
    status->replay_values = load(&stats->replay_values);
    status->rejects = load(&stats->rejects);
    status->reject_bytes = load(&stats->reject_bytes);
    status->rejects_dropped = load(&stats->rejects_dropped);
    status->file_bytes = load(&stats->file_bytes);
    status->map_bytes = load(&stats->map_bytes);
    status->disk_bytes = load(&stats->disk_bytes);
    status->full = load(&stats->full) != 0;
    status->failed = load(&stats->failed) != 0;
}

static void read_journal(struct ty_store *store, struct ty_shard_status *status)
{
    struct ty_snapshot *snapshot;

    if (ty_snapshot_begin(store, &snapshot, &status->journal_problem) != TALLY_OK)
        return;
    (void)ty_snapshot_journal_extent(snapshot, &status->journal, &status->journal_problem);
    ty_snapshot_end(store, snapshot);
}

static void add_journal(struct ty_shard_status *total, const struct ty_shard_status *shard)
{
    int64_t *oldest_ms = &total->journal.oldest_received_ms;

    total->journal_bytes += shard->journal_bytes;
    total->trimmed_values += shard->trimmed_values;
    total->replay_values += shard->replay_values;
    if (shard->journal.first != 0 &&
        (*oldest_ms == 0 || shard->journal.oldest_received_ms < *oldest_ms))
        *oldest_ms = shard->journal.oldest_received_ms;
    if (total->journal_problem.message[0] == '\0')
        total->journal_problem = shard->journal_problem;
}

static void add(struct ty_shard_status *total, const struct ty_shard_status *shard)
{
    for (int i = 0; i < TY_RESULTS; i++)
        total->results[i] += shard->results[i];
    total->commits += shard->commits;
    total->commit_failures += shard->commit_failures;
    total->queued_events += shard->queued_events;
    total->queued_batches += shard->queued_batches;
    total->busy_batches += shard->busy_batches;
    total->series += shard->series;
    total->hot_bytes += shard->hot_bytes;
    total->dirty_months += shard->dirty_months;
    total->damaged_months += shard->damaged_months;
    total->dedup_entries += shard->dedup_entries;
    total->dedup_bytes += shard->dedup_bytes;
    total->dedup_forgotten_early += shard->dedup_forgotten_early;
    total->dedup_window_ms = TY_MIN(total->dedup_window_ms, shard->dedup_window_ms);
    total->dedup_window_wanted_ms = shard->dedup_window_wanted_ms; /* the same for all */
    total->rejects += shard->rejects;
    total->reject_bytes += shard->reject_bytes;
    total->rejects_dropped += shard->rejects_dropped;
    total->file_bytes += shard->file_bytes;
    total->map_bytes += shard->map_bytes;
    total->disk_bytes = TY_MIN(total->disk_bytes, shard->disk_bytes);
    total->full |= shard->full;
    total->failed |= shard->failed;
    add_journal(total, shard);
}

void ty_status_read(const struct ty_database *database, struct ty_shard_status *shards,
                    struct ty_shard_status *total, struct ty_commit_time *time)
{
    uint64_t counts[TY_HISTOGRAM_BUCKETS] = {0};

    *total = (struct ty_shard_status){.dedup_window_ms = INT64_MAX, .disk_bytes = UINT64_MAX};
    for (unsigned i = 0; i < ty_database_shard_count(database); i++) {
        struct ty_shard *shard = ty_database_shard(database, i);
        const struct ty_shard_stats *stats = ty_shard_stats(shard);

        shards[i] = (struct ty_shard_status){0};
        read_stats(stats, &shards[i]);
        read_journal(ty_shard_view(shard).store, &shards[i]);
        add(total, &shards[i]);
        ty_histogram_add_counts(&stats->commit_time, counts);
    }
    time->p50_us = ty_histogram_quantile_us(counts, 500);
    time->p99_us = ty_histogram_quantile_us(counts, 990);
    time->max_us = ty_histogram_quantile_us(counts, 1000);
}
