/*
 * snapshot_journal.c: a snapshot's view of the journal and of the series that it names.
 */
#include "storage/bytes.h"
#include "storage/snapshot.h"
#include "storage/store_internal.h"

#define SEQUENCE_BYTES 8

static tally_status lacks(tally_error *error, uint64_t sequence)
{
    return ty_fail(error, TALLY_CORRUPT, "the journal lacks value %llu",
                   (unsigned long long)sequence);
}

static tally_status cannot_read(tally_error *error, int code)
{
    return ty_store_fail(error, code, "cannot read the journal");
}

/* The sequence that a key of the tree is; false: no such key is ever written. */
static bool read_sequence(const MDB_val *key, uint64_t *sequence, tally_error *error)
{
    if (key->mv_size != SEQUENCE_BYTES) {
        ty_fail(error, TALLY_CORRUPT, "the journal has a key of %zu bytes instead of %d",
                key->mv_size, SEQUENCE_BYTES);
        return false;
    }
    *sequence = ty_get_u64_be(key->mv_data);
    return true;
}

/* Where the journal begins and ends; the header of its first value. */
static tally_status read_extent(struct ty_snapshot *snapshot, struct ty_journal_extent *extent,
                                tally_error *error)
{
    struct ty_store *store = snapshot->store;
    struct ty_journal_header header;
    struct ty_state_record state;
    uint8_t bytes[SEQUENCE_BYTES];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes}, value;
    tally_status status = ty_store_read_state(store, snapshot->txn, &state, error);
    int code;

    if (status == TALLY_OK)
        status = ty_store_journal_extent(store, snapshot->txn, &state, &extent->first,
                                         &extent->last, error);
    if (status != TALLY_OK)
        return status;
    extent->committed = TY_MAX(state.last_sequence, extent->last);
    if (extent->first == 0)
        return TALLY_OK;
    ty_put_u64_be(bytes, extent->first);
    code = mdb_get(snapshot->txn, store->journal, &key, &value);
    if (code == MDB_NOTFOUND)
        return lacks(error, extent->first);
    if (code != 0)
        return cannot_read(error, code);
    if (!ty_journal_read_header(value.mv_data, value.mv_size, &header))
        return ty_fail(error, TALLY_CORRUPT, "journal value %llu: malformed header",
                       (unsigned long long)extent->first);
    extent->oldest_received_ms = header.received_ms;
    return TALLY_OK;
}

tally_status ty_snapshot_journal_extent(struct ty_snapshot *snapshot,
                                        struct ty_journal_extent *extent, tally_error *error)
{
    *extent = (struct ty_journal_extent){0};
    return read_extent(snapshot, extent, error);
}

struct walk {
    bool (*each)(void *context, uint64_t sequence, struct ty_journal_cursor *cursor, size_t length);
    void *context;
    uint64_t expected; /* the next sequence */
    uint64_t last;     /* and the last one that there is */
};

/* Hands one value on; *stop is set when the caller has seen enough. */
static tally_status visit(struct walk *walk, const MDB_val *key, const MDB_val *value, bool *stop,
                          tally_error *error)
{
    struct ty_journal_cursor cursor;
    uint64_t sequence;

    if (!read_sequence(key, &sequence, error))
        return TALLY_CORRUPT;
    if (sequence != walk->expected)
        return lacks(error, walk->expected);
    walk->expected = sequence + 1;
    if (ty_journal_open(&cursor, sequence, value->mv_data, value->mv_size))
        *stop = !walk->each(walk->context, sequence, &cursor, value->mv_size);
    if (cursor.problem == NULL)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "journal value %llu: %s", (unsigned long long)sequence,
                   cursor.problem);
}

tally_status ty_snapshot_each_journal(struct ty_snapshot *snapshot, uint64_t from,
                                      bool (*each)(void *context, uint64_t sequence,
                                                   struct ty_journal_cursor *cursor, size_t length),
                                      void *context, tally_error *error)
{
    struct walk walk = {.each = each, .context = context};
    struct ty_state_record state;
    uint8_t bytes[SEQUENCE_BYTES];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes}, value;
    MDB_cursor *cursor;
    tally_status status = ty_store_read_state(snapshot->store, snapshot->txn, &state, error);
    bool stop = false;
    int code;

    if (status == TALLY_OK)
        status = ty_store_journal_extent(snapshot->store, snapshot->txn, &state, &walk.expected,
                                         &walk.last, error);
    walk.expected = TY_MAX(walk.expected, from);
    if (status != TALLY_OK || walk.last == 0 || walk.expected > walk.last)
        return status;
    code = mdb_cursor_open(snapshot->txn, snapshot->store->journal, &cursor);
    if (code != 0)
        return cannot_read(error, code);
    ty_put_u64_be(bytes, walk.expected);
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == 0 && status == TALLY_OK && !stop) {
        status = visit(&walk, &key, &value, &stop, error);
        if (status == TALLY_OK && !stop)
            code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (code != 0 && code != MDB_NOTFOUND)
        return cannot_read(error, code);
    return status == TALLY_OK && !stop && walk.expected <= walk.last ? lacks(error, walk.expected)
                                                                     : status;
}

tally_status ty_snapshot_each_journal_back(struct ty_snapshot *snapshot, uint64_t *before,
                                           bool (*each)(void *context, uint64_t sequence,
                                                        struct ty_journal_cursor *cursor,
                                                        size_t length),
                                           void *context, tally_error *error)
{
    struct walk walk = {.each = each, .context = context};
    uint64_t first = 0;
    struct ty_state_record state;
    tally_status status = ty_store_read_state(snapshot->store, snapshot->txn, &state, error);
    bool stop = false;

    if (status == TALLY_OK)
        status = ty_store_journal_extent(snapshot->store, snapshot->txn, &state, &first, &walk.last,
                                         error);
    if (status != TALLY_OK || walk.last == 0)
        return status;
    *before = TY_MIN(*before, walk.last + 1);
    while (*before > first && status == TALLY_OK && !stop) {
        uint8_t bytes[SEQUENCE_BYTES];
        MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes}, value;
        int code;

        walk.expected = --*before;
        ty_put_u64_be(bytes, walk.expected);
        code = mdb_get(snapshot->txn, snapshot->store->journal, &key, &value);
        if (code == MDB_NOTFOUND)
            return lacks(error, walk.expected);
        if (code != 0)
            return cannot_read(error, code);
        status = visit(&walk, &key, &value, &stop, error);
    }
    return status;
}

tally_status ty_snapshot_get_series(struct ty_snapshot *snapshot, uint32_t series,
                                    struct ty_uuid *customer, struct ty_uuid *workflow,
                                    tally_error *error)
{
    uint8_t bytes[4];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes}, value;
    uint32_t id;
    int code;

    ty_put_u32_be(bytes, series);
    code = mdb_get(snapshot->txn, snapshot->store->series, &key, &value);
    if (code == MDB_NOTFOUND)
        return ty_fail(error, TALLY_CORRUPT, "series %u is not stored", series);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read a series");
    if (!ty_store_read_series(&key, &value, &id, customer, workflow))
        return ty_fail(error, TALLY_CORRUPT, "series %u does not match its checksum", series);
    return TALLY_OK;
}
