/*
 * store_internal.h: what the files of storage/ share about a store. Not for others.
 */
#ifndef TY_STORAGE_STORE_INTERNAL_H
#define TY_STORAGE_STORE_INTERNAL_H

#include "storage/bytes.h"
#include "storage/puts.h"
#include "storage/store.h"
#include <lmdb.h>
#include <stdatomic.h>

#define TY_SNAPSHOT_POOL 64   /* idle read transactions that are kept for the next reader */
#define TY_READERS_MAX   1024 /* snapshots at once, in this process and in tools like mdb_stat */

/* A read transaction with a cursor over the blocks. Both are kept for the next reader: renewing
 * is far cheaper than beginning. */
struct ty_snapshot {
    struct ty_store *store;
    MDB_txn *txn;
    MDB_cursor *blocks;
};

struct ty_store {
    MDB_env *env;
    MDB_dbi meta;
    MDB_dbi series;
    MDB_dbi journal;
    MDB_dbi blocks;
    MDB_dbi rejects;
    MDB_dbi reject_ids;
    MDB_dbi voids;
    MDB_dbi closings;
    MDB_dbi revisions;
    MDB_dbi id_runs;
    MDB_txn *txn;             /* the writer's, while one is open */
    struct ty_snapshot *look; /* what is read instead while it looks ahead; NULL otherwise */
    struct ty_faults faults;
    bool sync;
    bool read_only;
    atomic_bool failed; /* a commit's outcome is unknown: no further transaction */
    _Atomic(struct ty_snapshot *) pool[TY_SNAPSHOT_POOL];
};

/*
 * LMDB shows a commit to readers by a plain store to a shared word, which they load plainly. What
 * a reader reads of the file depends on that word, and so is ordered after it on every processor;
 * what it reads of the hot totals later is not. With a release fence before the commit and an
 * acquire fence after the load, who has seen a commit in a snapshot also finds, from then on, the
 * hot totals that were published before it: counts never go back from one query to the next.
 * tests/concurrency/test_orders.c shows that they could. Costs nothing on x86.
 *
 * ThreadSanitizer knows no fences (gcc warns), and does not see LMDB's word either.
 */
#if defined(__SANITIZE_THREAD__)
#define ty_store_fence(order) ((void)0)
#else
#define ty_store_fence(order) atomic_thread_fence(order)
#endif

/* An LMDB or errno code as a status, with a sentence that names what was being done. */
tally_status ty_store_fail(tally_error *error, int code, const char *what);

#define TY_STORE_FILE_MODE 0640

/*
 * ty_store_create makes the directory and the file of a store where they are missing, and (with
 * `sync`) their names durable in any case. A file under its name is a whole one: a power cut at any
 * moment leaves it or none. TALLY_OK, TALLY_FULL, TALLY_NO_MEMORY or TALLY_IO.
 */
tally_status ty_store_create(const struct ty_store_options *options, tally_error *error);

/* The transaction that days, months and remembered ids are read from. */
static inline MDB_txn *ty_store_reading(const struct ty_store *store)
{
    return store->look != NULL ? store->look->txn : store->txn;
}

/* One entry of a tree, put within the writer's transaction, got from what it reads; LMDB's codes.
 */
int ty_store_put(struct ty_store *store, MDB_dbi tree, const void *key, size_t key_length,
                 const void *value, size_t length, unsigned flags);
int ty_store_get(struct ty_store *store, MDB_dbi tree, const void *key, size_t key_length,
                 MDB_val *value);

/* puts.c. ty_store_put() without flags, now or (with `puts`) later. */
int ty_store_put_or_keep(struct ty_store *store, struct ty_puts *puts, MDB_dbi tree,
                         const void *key, size_t key_length, const void *value, size_t length);

/* What stands before the content of a record in the tree of meta: version and checksum. */
#define TY_RECORD_HEADER_BYTES 12

/* The checksum that a record's header should have, by the version that it says. */
uint64_t ty_record_checksum(const void *name, size_t name_length, const uint8_t *record,
                            size_t length);

/* Finds a record of `length` bytes and checks it; *found tells whether there is one. One that is
 * not there while the tree `witness` has entries is lost: TALLY_CORRUPT. */
tally_status ty_store_find_record(MDB_txn *txn, MDB_dbi meta, const char *name, MDB_dbi witness,
                                  size_t length, struct ty_reader *content, bool *found,
                                  tally_error *error);
/* ty_store_get_state() in any transaction. */
tally_status ty_store_read_state(struct ty_store *store, MDB_txn *txn,
                                 struct ty_state_record *state, tally_error *error);
/* The sequences that the journal holds; both 0: none. The last is the state record's, the first is
 * told by the number of values where the first key does not go with the second. */
tally_status ty_store_journal_extent(struct ty_store *store, MDB_txn *txn,
                                     const struct ty_state_record *state, uint64_t *first,
                                     uint64_t *last, tally_error *error);
/* Completes the header of a record and stores it, now or (with `puts`) later. */
tally_status ty_store_put_record(struct ty_store *store, struct ty_puts *puts, const char *name,
                                 uint8_t *record, size_t length, tally_error *error);

/* The bytes of a series and of a state record, for those who write or read them outside of a
 * transaction. A state is decoded without looking at its checksum; false: it has another length. */
void ty_store_encode_series(uint32_t id, const struct ty_uuid *customer,
                            const struct ty_uuid *workflow, uint8_t key[4], uint8_t value[40]);
bool ty_store_decode_state(const void *record, size_t length, struct ty_state_record *state);

/* The bytes of a void (store.h), likewise. ty_store_encode_void returns the value's length; what is
 * decoded is borrowed from it; false: it does not match its checksum. */
#define TY_VOID_KEY_BYTES       16
#define TY_VOID_VALUE_BYTES_MAX (9 + 2 * 8 + TY_VOID_REASON_BYTES_MAX)
size_t ty_store_encode_void(const struct ty_journal_place *place, const struct ty_void_note *note,
                            uint8_t key[TY_VOID_KEY_BYTES], uint8_t value[TY_VOID_VALUE_BYTES_MAX]);
bool ty_store_read_void(const MDB_val *key, const MDB_val *value, struct ty_journal_place *place,
                        struct ty_void_note *note);

/* The bytes of a closing and of a revision, likewise. */
#define TY_CLOSING_KEY_BYTES   16
#define TY_CLOSING_VALUE_BYTES (9 + 4 * 8)
#define TY_REVISION_KEY_BYTES  24
#define TY_REVISION_VALUE_BYTES_MAX                                                                \
    (9 + 2 * 8 + 6 * TY_VARINT_BYTES_MAX + 8 * TY_VARINT128_BYTES_MAX)
void ty_store_encode_closing(const struct ty_uuid *customer, const struct ty_closed *closed,
                             uint8_t key[TY_CLOSING_KEY_BYTES],
                             uint8_t value[TY_CLOSING_VALUE_BYTES]);
bool ty_store_read_closing(const MDB_val *key, const MDB_val *value, struct ty_uuid *customer,
                           struct ty_closed *closed);
size_t ty_store_encode_revision(const struct ty_uuid *customer, const struct ty_revision *revision,
                                uint8_t key[TY_REVISION_KEY_BYTES],
                                uint8_t value[TY_REVISION_VALUE_BYTES_MAX]);
bool ty_store_read_revision(const MDB_val *key, const MDB_val *value, struct ty_uuid *customer,
                            struct ty_revision *revision);

/* Checks and decodes an entry of the tree of series; false: it does not match its checksum. */
bool ty_store_read_series(const MDB_val *key, const MDB_val *value, uint32_t *id,
                          struct ty_uuid *customer, struct ty_uuid *workflow);

/*
 * block_gap.c: whether a day or month that a search did not find may yet be stored, its key
 * damaged. `first` and `last` are block keys of one series and level, of TY_BLOCK_KEY_BYTES, and
 * what was searched for; at most so many periods of a range are looked for under a damaged key.
 * TALLY_OK: nothing is hidden. TALLY_CORRUPT names what is; TALLY_IO.
 */
#define TY_GAP_PERIODS_MAX 100000

/* Before the entry that MDB_SET_RANGE to `first` found (`found`; NULL: none). Moves the cursor. */
tally_status ty_gap_check_before(MDB_cursor *cursor, const MDB_val *found, const uint8_t *first,
                                 const uint8_t *last, tally_error *error);
/* Behind `last`: the entry that ended the scan. May move the cursor. */
tally_status ty_gap_check_behind(MDB_cursor *cursor, const MDB_val *found, const MDB_val *value,
                                 const uint8_t *first, const uint8_t *last, tally_error *error);
/* Both, around one key that is not there. */
tally_status ty_gap_check(MDB_txn *txn, MDB_dbi tree, const uint8_t *key, tally_error *error);

/*
 * key_gap.c: whether what a search for `wanted` did not find may yet be stored in a tree, under a
 * damaged key; for trees whose values' checksums cover the key. Moves the cursor. TALLY_OK: no.
 * TALLY_CORRUPT: `damaged` said what lies beside the gap. TALLY_IO.
 */
#define TY_KEY_NO_MATCH     "does not match its checksum, or its key is damaged"
#define TY_KEY_OUT_OF_ORDER "is out of order: a key is damaged"

struct ty_key_gap {
    bool (*is_intact)(const MDB_val *key, const MDB_val *value);
    /* Fills *error and returns TALLY_CORRUPT; `problem` is one of the phrases above. */
    tally_status (*damaged)(const MDB_val *key, const char *problem, tally_error *error);
};

tally_status ty_key_gap_check(MDB_cursor *cursor, const MDB_val *wanted,
                              const struct ty_key_gap *gap, tally_error *error);
bool ty_key_ascends(const MDB_val *key, const MDB_val *next);

/* The fault that a test wants here, or 0. */
int ty_store_fault(const struct ty_store *store, enum ty_fault_point point);

#endif
