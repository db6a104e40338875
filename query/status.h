/*
 * status.h: how a database is, in numbers for its operators.
 *
 * Threads: any; reads may wait for the disk. Numbers are of slightly different moments.
 */
#ifndef TY_QUERY_STATUS_H
#define TY_QUERY_STATUS_H

#include "shard/database.h"
#include "storage/snapshot.h"

/* A shard, or all of them together: sums, of the windows the smallest, of the disk what there is.*/
struct ty_shard_status {
    uint64_t results[TY_RESULTS]; /* events that reached the shard, by tally_result */
    uint64_t commits;
    uint64_t commit_failures;
    uint64_t queued_events;
    uint64_t queued_batches;
    uint64_t busy_batches; /* refused since too many events waited */
    uint64_t series;
    uint64_t hot_bytes;
    uint64_t dirty_months;
    uint64_t damaged_months; /* attempts to write a month that met damaged values */
    uint64_t dedup_entries;
    uint64_t dedup_bytes;
    uint64_t dedup_forgotten_early;
    int64_t dedup_window_ms;        /* how far back ids are remembered just now */
    int64_t dedup_window_wanted_ms; /* and how far they should be */
    uint64_t journal_bytes;
    uint64_t trimmed_values;
    uint64_t replay_values; /* journal values that a restart would replay */
    uint64_t rejects;       /* records of streams that could not be counted, kept just now */
    uint64_t reject_bytes;
    uint64_t rejects_dropped; /* the oldest, to stay within the bound */
    uint64_t file_bytes;
    uint64_t map_bytes;
    uint64_t disk_bytes; /* still free on the file system */
    bool full;
    bool failed;
    /* Read from storage. Of all shards: the oldest time, and no sequences. */
    struct ty_journal_extent journal;
    tally_error journal_problem; /* why it could not be read, or "" */
};

/* What commits took, in microseconds: upper bounds (ty_histogram_quantile_us()). */
struct ty_commit_time {
    int64_t p50_us;
    int64_t p99_us;
    int64_t max_us;
};

/* ty_status_read fills `shards` (ty_database_shard_count() of them), their total, and the time of
 * all commits since the start. What cannot be read is told in journal_problem. */
void ty_status_read(const struct ty_database *database, struct ty_shard_status *shards,
                    struct ty_shard_status *total, struct ty_commit_time *time);

#endif
