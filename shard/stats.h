/*
 * stats.h: what a shard tells about itself, for metrics.
 *
 * Threads: written by the shard's writer (queued_* by who submits), read by any thread; every
 * member is relaxed, and members need not fit together.
 */
#ifndef TY_SHARD_STATS_H
#define TY_SHARD_STATS_H

#include "engine/histogram.h"
#include "tally.h"

#define TY_RESULTS (TALLY_NOT_STORED + 1)

struct ty_shard_stats {
    _Atomic uint64_t results[TY_RESULTS]; /* events by tally_result */
    _Atomic uint64_t voided;              /* events that were taken out again */
    _Atomic uint64_t closings;            /* that closed months of a customer */
    _Atomic uint64_t revisions;           /* of closed months */
    _Atomic uint64_t commits;
    _Atomic uint64_t commit_failures;
    _Atomic uint64_t busy_batches; /* refused since too many events waited; by who submits */
    _Atomic uint64_t checkpointed_months;
    _Atomic uint64_t trimmed_values;
    _Atomic uint64_t damaged_months; /* attempts to write a month that met damaged values */
    _Atomic uint64_t damaged_values; /* found damaged when they were trimmed, their time being up */
    _Atomic uint64_t rejects_kept;   /* stored: each reject once */
    _Atomic uint64_t
        rejects_resent; /* came again while they were kept, and were not stored again */
    _Atomic uint64_t rejects_dropped; /* the oldest, to stay within the bound */
    struct ty_histogram commit_time;  /* from taking the batches to the end of the fsync */
    /* Gauges. */
    _Atomic uint64_t queued_events;
    _Atomic uint64_t queued_batches;
    _Atomic uint64_t series;
    _Atomic uint64_t hot_bytes;
    _Atomic uint64_t dirty_months;
    _Atomic uint64_t dedup_entries;
    _Atomic uint64_t dedup_bytes;
    _Atomic int64_t dedup_window_ms;        /* how far back ids are remembered just now */
    _Atomic int64_t dedup_window_wanted_ms; /* and how far they should be */
    _Atomic uint64_t dedup_forgotten_early;
    _Atomic uint64_t dedup_runs;  /* sealed ones */
    _Atomic uint64_t dedup_seals; /* since the start */
    _Atomic uint64_t journal_bytes;
    _Atomic uint64_t last_sequence;
    _Atomic uint64_t rejects; /* that are kept just now */
    _Atomic uint64_t reject_bytes;
    _Atomic uint64_t replay_values; /* journal values that a restart would replay */
    _Atomic uint64_t file_bytes;
    _Atomic uint64_t map_bytes;
    _Atomic uint64_t disk_bytes; /* still free on the file system, when it was looked at last */
    _Atomic uint64_t full;       /* 1: events are refused for lack of space */
    _Atomic uint64_t failed;     /* 1: stopped after a commit with unknown outcome */
};

#endif
