/*
 * shard.h: a database with one owner: series, hot totals, dedup index, journal and blocks of the
 * customers that live on it, and the steps that take batches to disk.
 *
 * A shard does nothing by itself: whoever owns it calls ty_shard_commit() and ty_shard_maintain().
 * In production that is its writer thread (writer.h), in a simulation the test; clock, storage
 * faults and input are arguments.
 *
 * Threads: everything only the owner, but ty_shard_view() and ty_shard_stats(), whose results any
 * thread may use as hot.h, series.h, snapshot.h and stats.h say.
 */
#ifndef TY_SHARD_SHARD_H
#define TY_SHARD_SHARD_H

#include "engine/batch.h"
#include "engine/clock.h"
#include "engine/closing.h"
#include "engine/hot.h"
#include "engine/reject.h"
#include "engine/void.h"
#include "shard/stats.h"
#include "storage/store.h"

struct ty_shard_options {
    const char *path;
    uint64_t map_bytes;
    bool sync;
    int64_t dedup_window_ms; /* 0: no deduplication */
    uint64_t dedup_memory_bytes;
    uint64_t dedup_seal_ids; /* how many ids become a sealed run; 0: TY_SEAL_IDS */
    int64_t journal_retention_ms;
    uint64_t journal_bytes_max;
    uint64_t reject_bytes_max;
    uint64_t hot_bytes;
    uint64_t series_max;
    int64_t future_ms_max;
    int64_t checkpoint_ms; /* how long a month may be dirty before it is written */
    struct ty_clock clock;
    const struct ty_faults *faults; /* borrowed; NULL in production */
};

#define TY_CHECKPOINT_MS INT64_C(20000)

/* The part of a batch that concerns one shard, or rejects to be kept, or voids, or a closing. */
struct ty_part {
    struct ty_part *next;
    struct ty_batch *batch;  /* NULL in a part without events */
    const uint32_t *indexes; /* of its events in batch->events; NULL: the ones from `first` on */
    uint32_t first;
    uint32_t count;
    const struct ty_reject *rejects; /* borrowed with their texts; NULL when there are none */
    size_t reject_count;
    struct ty_void *voids; /* of events that earlier commits accepted; borrowed */
    size_t void_count;
    struct ty_close *close;             /* months of a customer; borrowed; NULL: none */
    uint64_t weight;                    /* the writer's: what the part counts for in its queue */
    tally_status status;                /* filled by ty_shard_commit() */
    const char *problem;                /* NULL, or a sentence that lives as long as the part */
    tally_error error;                  /* the sentence: shards must not share the batch's arena */
    void (*done)(struct ty_part *part); /* called by the writer when the part is decided */
    struct ty_submission *submission;   /* for `done`; the shard does not use it */
};

struct ty_shard;

/* ty_shard_read_database tells whether a shard exists in a directory and, if so, its record.
 * Creates nothing. */
tally_status ty_shard_read_database(const struct ty_shard_options *options,
                                    struct ty_database_record *database, bool *found,
                                    tally_error *error);

/*
 * ty_shard_open opens a shard and recovers it. An existing one must have the record's database id
 * and shard number, and keeps its own record. A missing one is created with the record when
 * `may_create` is set; so is one that holds no events and belongs to another database: what a
 * creation that was interrupted leaves.
 */
tally_status ty_shard_open(const struct ty_shard_options *options,
                           const struct ty_database_record *database, bool may_create,
                           struct ty_shard **shard, tally_error *error);

/* ty_shard_close writes what is dirty (`flush`) and frees everything; NULL is fine. */
void ty_shard_close(struct ty_shard *shard, bool flush);

/*
 * ty_shard_commit decides every event of the parts and makes the accepted ones durable and
 * visible, takes the events of the voids that are not void yet out again, closes what the parts
 * close, and keeps every reject of the parts that is not kept already, all in one transaction. Of
 * closed months that the events and voids change it stores revisions; those of the same commit
 * count before it closes. Sets each part's status, the outcomes of its records and the results of
 * its voids and closing:
 *   TALLY_OK        every event, void and closing is decided, every reject durable.
 *   TALLY_FULL, TALLY_NO_MEMORY, TALLY_IO   nothing was stored; the shard goes on.
 *   TALLY_CORRUPT   a stored value that an event or void needs is damaged: those are not stored.
 *   TALLY_UNKNOWN   the commit may or may not have happened; the shard takes no more (_FAILED).
 */
void ty_shard_commit(struct ty_shard *shard, struct ty_part *parts);

/*
 * The same for events alone, in steps, so that the next commit is decided while the disk works on
 * the last one. pipeline.c has their order; writer.c is who does it. Each is for the owner, but
 * ty_shard_store() may be called by any thread, one call for one launch, while the owner publishes
 * the commit before and prepares the next. What concerns a commit is what ty_shard_commit() says:
 * nothing is visible, or answered, before it is durable, and the parts are decided in the order of
 * their preparing.
 *
 * ty_shard_may_prepare  whether parts may be prepared now; otherwise they must be committed alone,
 *                       when nothing is ahead any more. Looks at the disk's space at times.
 * ty_shard_prepare      takes parts into the next commit and decides their events.
 * ty_shard_launch       true: what is prepared may be stored now. False: nothing is, or it must be
 *                       committed alone: ty_shard_publish(), ty_shard_withdraw(), then that.
 * ty_shard_store        stores what was launched, in one transaction.
 * ty_shard_land         takes note that ty_shard_store() has returned; without a launch, does
 *                       nothing. To be followed by ty_shard_launch() and ty_shard_publish().
 * ty_shard_publish      shows what has landed to readers, or takes it back if it failed; returns
 *                       its parts, which are answered now. NULL: nothing has.
 * ty_shard_withdraw     takes back what is prepared; returns its parts, which must be committed
 *                       next, alone. NULL: nothing is.
 * ty_shard_is_ahead     whether anything is prepared, launched or landed.
 */
bool ty_shard_may_prepare(struct ty_shard *shard, const struct ty_part *parts);
void ty_shard_prepare(struct ty_shard *shard, struct ty_part *parts);
bool ty_shard_launch(struct ty_shard *shard);
void ty_shard_store(struct ty_shard *shard);
void ty_shard_land(struct ty_shard *shard);
struct ty_part *ty_shard_publish(struct ty_shard *shard);
struct ty_part *ty_shard_withdraw(struct ty_shard *shard);
bool ty_shard_is_ahead(const struct ty_shard *shard);

/*
 * ty_shard_maintain does what is due without events: writes months that have been dirty for long,
 * trims the journal, lets memory go. Returns the milliseconds until it should be called again (a
 * commit does a slice of the same work, so a busy shard needs it rarely).
 */
int64_t ty_shard_maintain(struct ty_shard *shard);

/* ty_shard_flush writes every dirty month, in as many commits as it takes. */
tally_status ty_shard_flush(struct ty_shard *shard, tally_error *error);

/* What readers need. */
struct ty_shard_view {
    const struct ty_series_table *series;
    struct ty_hot *hot;
    struct ty_store *store;
};

struct ty_shard_view ty_shard_view(struct ty_shard *shard);
struct ty_shard_stats *ty_shard_stats(struct ty_shard *shard);

/* ty_shard_check asserts the invariants of everything in memory. For tests, between commits. */
void ty_shard_check(const struct ty_shard *shard);

#endif
