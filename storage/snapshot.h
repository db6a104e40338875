/*
 * snapshot.h: a reader's view of a store as of one commit.
 *
 * Threads: any; each snapshot is used by one thread at a time, and up to a thousand may be open.
 * Keep them short: pages freed after a snapshot began cannot be used again before it ends.
 */
#ifndef TY_STORAGE_SNAPSHOT_H
#define TY_STORAGE_SNAPSHOT_H

#include "storage/block_codec.h"
#include "storage/reject_codec.h"
#include "storage/store.h"

struct ty_snapshot;

/* ty_snapshot_begin takes the newest commit's view; TALLY_BUSY when too many are open, or
 * TALLY_NO_MEMORY, TALLY_FAILED, TALLY_IO. End it with ty_snapshot_end(). */
tally_status ty_snapshot_begin(struct ty_store *store, struct ty_snapshot **snapshot,
                               tally_error *error);
void ty_snapshot_end(struct ty_store *store, struct ty_snapshot *snapshot);

/* Calls `each` with the total of every stored day or month of the series in [first, last], in
 * order, until it returns false. TALLY_OK also then; TALLY_CORRUPT or TALLY_IO with the reason. */
tally_status ty_snapshot_each_total(struct ty_snapshot *snapshot, uint32_t series,
                                    enum ty_level level, int32_t first, int32_t last,
                                    bool (*each)(void *context, int32_t period,
                                                 const struct ty_total *total),
                                    void *context, tally_error *error);

/* The same with every stored day's slots. */
tally_status
ty_snapshot_each_day(struct ty_snapshot *snapshot, uint32_t series, int32_t first, int32_t last,
                     bool (*each)(void *context, int32_t day, const struct ty_day_block *block),
                     void *context, tally_error *error);

/* --- The journal: what single commits stored --- */

/* Which values there are; `first` and `last` are 0 when there are none. */
struct ty_journal_extent {
    uint64_t first;
    uint64_t last;
    uint64_t committed;         /* the newest that there ever was, trimmed or not; 0: none */
    int64_t oldest_received_ms; /* the wall clock of the first value's commit */
};

/* ty_snapshot_journal_extent finds the ends of the journal; TALLY_OK, TALLY_CORRUPT (with both ends
 * when it is the header of the first value that is damaged) or TALLY_IO. */
tally_status ty_snapshot_journal_extent(struct ty_snapshot *snapshot,
                                        struct ty_journal_extent *extent, tally_error *error);

/*
 * ty_snapshot_each_journal calls `each` for every value from the first one at or after sequence
 * `from` on, in order, until it returns false. The value's checksum has been checked, its records
 * are decoded as `each` asks for them (ty_journal_next), out of the mapped file: they are borrowed
 * until `each` returns. `length` is the value's, in bytes.
 *
 * TALLY_OK also when `each` ended it; TALLY_CORRUPT, with the value named, when one does not match
 * its checksum, is malformed as far as `each` has read, or is missing; TALLY_IO.
 */
tally_status ty_snapshot_each_journal(struct ty_snapshot *snapshot, uint64_t from,
                                      bool (*each)(void *context, uint64_t sequence,
                                                   struct ty_journal_cursor *cursor, size_t length),
                                      void *context, tally_error *error);

/* ty_snapshot_each_journal_back does the same newest first, for the values below sequence *before,
 * and moves *before along: to the last value that was handed on, or that is damaged. */
tally_status ty_snapshot_each_journal_back(struct ty_snapshot *snapshot, uint64_t *before,
                                           bool (*each)(void *context, uint64_t sequence,
                                                        struct ty_journal_cursor *cursor,
                                                        size_t length),
                                           void *context, tally_error *error);

/* ty_snapshot_get_series finds whose events the journal keeps under a series' number. Every series
 * that a value names is stored; TALLY_CORRUPT for one that is not, or damaged. */
tally_status ty_snapshot_get_series(struct ty_snapshot *snapshot, uint32_t series,
                                    struct ty_uuid *customer, struct ty_uuid *workflow,
                                    tally_error *error);

/* ty_snapshot_get_void tells whether an event of the journal is void, as ty_store_get_void() does;
 * the reason is borrowed until the snapshot ends. */
tally_status ty_snapshot_get_void(struct ty_snapshot *snapshot,
                                  const struct ty_journal_place *place, bool *found,
                                  struct ty_void_note *note, tally_error *error);

/* --- Rejects --- */

/* ty_snapshot_each_reject calls `each` for every kept reject with a seq below *before, the newest
 * first, until it returns false; what it gets is borrowed from the mapped file until it returns.
 * *before is moved along: to the last one that was handed on, or, lower than it was, to where the
 * list goes on behind one that is damaged. TALLY_OK also when `each` ended it; TALLY_CORRUPT, with
 * the reject named (by its key, which may be what is damaged), or TALLY_IO. */
tally_status ty_snapshot_each_reject(struct ty_snapshot *snapshot, uint64_t *before,
                                     bool (*each)(void *context, const struct ty_kept_reject *kept),
                                     void *context, tally_error *error);

/* --- Closed months (engine/closing.h) --- */

/* ty_snapshot_get_closed tells how far a customer's months are closed: TY_NOT_CLOSED, and zeros, if
 * they never were. TALLY_CORRUPT if that cannot be told, TALLY_IO. */
tally_status ty_snapshot_get_closed(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                                    struct ty_closed *closed, tally_error *error);

/* ty_snapshot_get_revision reads one of the closed.revisions that a customer has, by its number;
 * TALLY_CORRUPT if it is damaged or missing, TALLY_IO. */
tally_status ty_snapshot_get_revision(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                                      uint64_t number, struct ty_revision *revision,
                                      tally_error *error);

/* ty_snapshot_drain frees the idle ones; when the store is closed. */
void ty_snapshot_drain(struct ty_store *store);

#endif
