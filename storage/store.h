/*
 * store.h: a shard's LMDB environment: one writer's transactions, any number of readers' snapshots.
 *
 * Trees: `meta` (what database this is, and the shard's state), `series`, `journal`, `blocks`,
 * `rejects`, `reject_ids`, `voids`, `closings`, `revisions` and `id_runs` (id_runs.h).
 * docs/FORMAT.md has the bytes. Nothing outside storage/ sees LMDB.
 *
 * Ownership. Bytes that come out of the store are decoded or copied before they are handed on.
 * Threads. Everything is the writer's, but for snapshot.h, which any thread may use.
 * Durability. A transaction is durable when ty_store_commit() has returned TALLY_OK (unless opened
 * without `sync`), and leaves no trace otherwise, TALLY_UNKNOWN excepted.
 */
#ifndef TY_STORAGE_STORE_H
#define TY_STORAGE_STORE_H

#include "engine/block.h"
#include "engine/closing.h"
#include "engine/error.h"
#include "engine/reject.h"
#include "storage/journal_codec.h"

/* The version of everything that is stored. A newer one is refused. */
#define TY_FORMAT_VERSION 3

#define TY_PARTITIONS 1024

/* Which database a shard belongs to; written once, the same in every shard but for `shard`. */
struct ty_database_record {
    uint8_t id[16]; /* random */
    struct ty_secret secret;
    uint16_t shard;
    uint16_t shard_count;
    uint16_t partition_shard[TY_PARTITIONS]; /* which shard a virtual partition lives on */
};

/* Where the shard stands; part of every commit. */
struct ty_state_record {
    uint64_t last_sequence; /* of the journal; 0 before the first */
    uint64_t replay_from;   /* the oldest journal sequence that some block lacks */
    uint64_t journal_bytes; /* of all values in the journal */
    int64_t arrival_ms;     /* the arrival clock at the last commit */
};

/* What there is of rejects; part of every commit that keeps or drops some. As many were dropped as
 * last_seq is more than count. */
struct ty_rejects_record {
    uint64_t last_seq; /* of the newest reject; 0 before the first */
    uint64_t count;    /* that are kept */
    uint64_t bytes;    /* of those: values, keys and index */
};

/* Where a test can make the store fail, as the operating system would. */
enum ty_fault_point {
    TY_FAULT_BEGIN,    /* no transaction can be begun */
    TY_FAULT_PUT,      /* a value cannot be put */
    TY_FAULT_COMMIT,   /* the commit fails, and nothing of it is stored */
    TY_FAULT_COMMITTED /* the commit is stored, and yet an error is reported */
};

struct ty_faults {
    int (*hit)(void *context, enum ty_fault_point point); /* 0, or an errno or LMDB code */
    void *context;
};

struct ty_store_options {
    const char *path; /* a directory; created when missing */
    uint64_t map_bytes;
    bool sync;
    bool read_only; /* nothing is created or written, and nothing may write meanwhile: without
                       LMDB's locks; map_bytes may be 0 */
    const struct ty_faults *faults; /* borrowed; NULL: none */
};

struct ty_store;

/*
 * ty_store_open opens or creates the environment; a fresh one has no database record yet.
 * TALLY_NEWER, TALLY_CORRUPT, TALLY_FULL, TALLY_NO_MEMORY or TALLY_IO, with the reason in *error.
 */
tally_status ty_store_open(const struct ty_store_options *options, struct ty_store **store,
                           tally_error *error);

/*
 * ty_store_close; NULL is fine. After a commit that ended as TALLY_UNKNOWN the file's clean pages
 * are dropped from the page cache: after a failed fsync the cache may hold what the disk does not,
 * and the next process must not take it for stored.
 */
void ty_store_close(struct ty_store *store);

/* --- One transaction at a time. begin, any of the operations below, then commit or abort. --- */

tally_status ty_store_begin(struct ty_store *store, tally_error *error);
void ty_store_abort(struct ty_store *store);

/*
 * ty_store_commit: TALLY_OK; TALLY_FULL or TALLY_NO_MEMORY when nothing was stored for lack of
 * space; TALLY_UNKNOWN when it may or may not be stored: the store takes no further transaction
 * (TALLY_FAILED) and should be closed. The transaction is over in any case.
 */
tally_status ty_store_commit(struct ty_store *store, tally_error *error);

/*
 * Looking ahead: days, months and remembered ids (ty_store_get_day, ty_store_get_month,
 * ty_store_find_id) are read as the last commit left them, by another thread than the one whose
 * transaction is open or being committed. ty_store_look returns TALLY_OK, TALLY_BUSY,
 * TALLY_NO_MEMORY, TALLY_FAILED or TALLY_IO.
 */
tally_status ty_store_look(struct ty_store *store, tally_error *error);
void ty_store_look_away(struct ty_store *store);

/* Within a transaction. Each returns TALLY_OK, TALLY_FULL, TALLY_NO_MEMORY, TALLY_CORRUPT,
 * TALLY_NEWER or TALLY_IO; abort the transaction after a failure. */
tally_status ty_store_put_database(struct ty_store *store, const struct ty_database_record *record,
                                   tally_error *error);
tally_status ty_store_get_database(struct ty_store *store, struct ty_database_record *record,
                                   bool *found, tally_error *error);
tally_status ty_store_put_state(struct ty_store *store, const struct ty_state_record *state,
                                tally_error *error);
tally_status ty_store_get_state(struct ty_store *store, struct ty_state_record *state,
                                tally_error *error); /* zeros when there is none */

/* A record that is missing though the shard has entries that come after it is TALLY_CORRUPT. */

tally_status ty_store_put_series(struct ty_store *store, uint32_t id,
                                 const struct ty_uuid *customer, const struct ty_uuid *workflow,
                                 tally_error *error);
/* Calls `each` for every series by ascending id until it returns other than TALLY_OK. */
tally_status ty_store_each_series(struct ty_store *store,
                                  tally_status (*each)(void *context, uint32_t id,
                                                       const struct ty_uuid *customer,
                                                       const struct ty_uuid *workflow),
                                  void *context, tally_error *error);

/* Sequences are appended in order, without gaps. */
tally_status ty_store_append_journal(struct ty_store *store, uint64_t sequence, const void *value,
                                     size_t length, tally_error *error);
/* The oldest journal value: its sequence (0 when the journal is empty), length, and what its header
 * says: not checked, since that would read the whole value; zeros when it is malformed. */
tally_status ty_store_first_journal(struct ty_store *store, uint64_t *sequence, size_t *length,
                                    struct ty_journal_header *header, tally_error *error);
/* Whether the journal's ends fit the state record: TALLY_CORRUPT if not. */
tally_status ty_store_check_journal(struct ty_store *store, const struct ty_state_record *state,
                                    tally_error *error);
/* Whether `first` really is the oldest of the journal's values up to `last`, and not one behind it
 * whose key is damaged: TALLY_CORRUPT if not. */
tally_status ty_store_check_first_journal(struct ty_store *store, uint64_t first, uint64_t last,
                                          tally_error *error);
tally_status ty_store_delete_journal(struct ty_store *store, uint64_t sequence, tally_error *error);
/* When a journal value arrived. The whole value is read and checked: TALLY_CORRUPT if it is damaged
 * or missing. */
tally_status ty_store_get_arrival(struct ty_store *store, uint64_t sequence, int64_t *arrival_ms,
                                  tally_error *error);
/* Finds the first sequence in [first, last] that arrived at or after a time; last + 1 if none. */
tally_status ty_store_find_arrival(struct ty_store *store, uint64_t first, uint64_t last,
                                   int64_t arrival_ms, uint64_t *sequence, tally_error *error);
/* Calls `each` for every journal value from a sequence on, in order. */
tally_status ty_store_each_journal(struct ty_store *store, uint64_t from,
                                   tally_status (*each)(void *context, uint64_t sequence,
                                                        struct ty_journal_cursor *cursor,
                                                        size_t length, tally_error *error),
                                   void *context, tally_error *error);

tally_status ty_store_put_day(struct ty_store *store, uint32_t series, int32_t day,
                              const struct ty_day_block *block, tally_error *error);
tally_status ty_store_put_month(struct ty_store *store, uint32_t series, int32_t month,
                                const struct ty_month_block *block, tally_error *error);
/* Zeroed when storage has none. */
tally_status ty_store_get_day(struct ty_store *store, uint32_t series, int32_t day,
                              struct ty_day_block *block, tally_error *error);
tally_status ty_store_get_month(struct ty_store *store, uint32_t series, int32_t month,
                                struct ty_month_block *block, tally_error *error);

/* --- Rejects --- */

/* What a reject takes beside its value: two keys, the index, LMDB's nodes. */
#define TY_STORE_REJECT_OVERHEAD 64

tally_status ty_store_put_rejects(struct ty_store *store, const struct ty_rejects_record *rejects,
                                  tally_error *error);
tally_status ty_store_get_rejects(struct ty_store *store, struct ty_rejects_record *rejects,
                                  tally_error *error); /* zeros when there is none */

/*
 * ty_store_keep_reject stores a reject, unless the same is kept already and intact, and updates
 * *rejects (last_seq tells whether it was stored). Before that the oldest are dropped until all
 * together fit into bytes_max; the new one is kept even if it does not fit alone. Where a bound has
 * been lowered, so that very many would have to go, a slice more goes than is added.
 */
tally_status ty_store_keep_reject(struct ty_store *store, const struct ty_reject *reject,
                                  const uint8_t identity[TY_REJECT_IDENTITY_BYTES],
                                  int64_t received_ms, uint64_t bytes_max,
                                  struct ty_rejects_record *rejects, tally_error *error);

/* Whether the index leads from an identity to a reject that is there, intact, and has it. */
tally_status ty_store_is_reject_kept(struct ty_store *store,
                                     const uint8_t identity[TY_REJECT_IDENTITY_BYTES], bool *kept,
                                     tally_error *error);

/* ty_store_drop_rejects drops the oldest down to bytes_max, a slice at most, but never the newest;
 * updates *rejects. */
tally_status ty_store_drop_rejects(struct ty_store *store, uint64_t bytes_max,
                                   struct ty_rejects_record *rejects, tally_error *error);

/* --- Voids: which of the journal's events are void. They go when the journal value does. --- */

/* The reason is borrowed; what is read, until the end of the transaction or the next put. */
struct ty_void_note {
    uint64_t sequence; /* of the journal value that holds the void */
    int64_t voided_ms; /* the wall clock of its commit */
    struct ty_text reason;
};

tally_status ty_store_put_void(struct ty_store *store, const struct ty_journal_place *place,
                               const struct ty_void_note *note, tally_error *error);
/* *found tells whether the event is void; then *note is filled. */
tally_status ty_store_get_void(struct ty_store *store, const struct ty_journal_place *place,
                               bool *found, struct ty_void_note *note, tally_error *error);
/* Deletes the voids of all events of a journal value. */
tally_status ty_store_delete_voids(struct ty_store *store, uint64_t sequence, tally_error *error);

/* --- Closed months (engine/closing.h), kept for good --- */

/* How far a customer's months are closed takes the place of what was stored of it before. */
tally_status ty_store_put_closing(struct ty_store *store, const struct ty_uuid *customer,
                                  const struct ty_closed *closed, tally_error *error);
/* Calls `each` for every customer with closed months, by its id, until it returns other than
 * TALLY_OK. TALLY_CORRUPT if one is damaged, or its key is: it must not pass for one without. */
tally_status ty_store_each_closing(struct ty_store *store,
                                   tally_status (*each)(void *context,
                                                        const struct ty_uuid *customer,
                                                        const struct ty_closed *closed),
                                   void *context, tally_error *error);
tally_status ty_store_put_revision(struct ty_store *store, const struct ty_uuid *customer,
                                   const struct ty_revision *revision, tally_error *error);

/* --- Space --- */

struct ty_space {
    uint64_t map_bytes;  /* what the file may grow to */
    uint64_t file_bytes; /* what it has grown to */
    uint64_t free_bytes; /* of those, pages that may be used again */
    uint64_t disk_bytes; /* still free on the file system, for who is not root */
};

/* ty_store_size fills map_bytes and file_bytes, as of the last commit, and leaves the others at 0;
 * this costs nothing. */
void ty_store_size(struct ty_store *store, struct ty_space *space);

/* ty_store_space tells what space there is, as of the last commit. It asks the file system, and
 * counting the free pages (`count_free`; else free_bytes is 0) walks a list: not for every commit.
 * What other processes were reading when they were killed may be used again from then on.
 */
tally_status ty_store_space(struct ty_store *store, bool count_free, struct ty_space *space,
                            tally_error *error);

#endif
