/*
 * store_voids.c: which of the journal's events are void (store.h, snapshot.h).
 *
 * The key is the event's place in the journal, so that those of one journal value lie side by side
 * and go with it.
 */
#include "storage/snapshot.h"
#include "storage/store_internal.h"
#include "storage/value_header.h"

#define VERSION   1
#define KEY_BYTES TY_VOID_KEY_BYTES

static void make_key(const struct ty_journal_place *place, uint8_t key[KEY_BYTES])
{
    uint8_t *end = ty_put_u64_be(key, place->sequence);

    ty_put_u32_be(ty_put_u32_be(end, place->series), place->index);
}

size_t ty_store_encode_void(const struct ty_journal_place *place, const struct ty_void_note *note,
                            uint8_t key[TY_VOID_KEY_BYTES], uint8_t value[TY_VOID_VALUE_BYTES_MAX])
{
    uint8_t *end = value + TY_VALUE_BODY_AT;

    TY_ASSERT(note->reason.length <= TY_VOID_REASON_BYTES_MAX);
    make_key(place, key);
    end = ty_put_u64(end, note->sequence);
    end = ty_put_u64(end, (uint64_t)note->voided_ms);
    end = ty_put_bytes(end, note->reason.data, note->reason.length);
    ty_value_seal(key, KEY_BYTES, VERSION, value, (size_t)(end - value));
    return (size_t)(end - value);
}

tally_status ty_store_put_void(struct ty_store *store, const struct ty_journal_place *place,
                               const struct ty_void_note *note, tally_error *error)
{
    uint8_t key[KEY_BYTES], value[TY_VOID_VALUE_BYTES_MAX];
    size_t length = ty_store_encode_void(place, note, key, value);

    return ty_store_fail(error,
                         ty_store_put(store, store->voids, key, sizeof(key), value, length, 0),
                         "cannot store a void");
}

static bool decode(const uint8_t key[KEY_BYTES], const MDB_val *value, struct ty_void_note *note)
{
    struct ty_reader reader;

    if (ty_value_open(key, KEY_BYTES, VERSION, value->mv_data, value->mv_size, &reader) != NULL)
        return false;
    note->sequence = ty_get_u64(&reader);
    note->voided_ms = (int64_t)ty_get_u64(&reader);
    note->reason = (struct ty_text){(const char *)reader.at, (size_t)(reader.end - reader.at)};
    return !reader.failed && note->reason.length <= TY_VOID_REASON_BYTES_MAX;
}

bool ty_store_read_void(const MDB_val *key, const MDB_val *value, struct ty_journal_place *place,
                        struct ty_void_note *note)
{
    const uint8_t *bytes = key->mv_data;

    if (key->mv_size != KEY_BYTES || !decode(bytes, value, note))
        return false;
    place->sequence = ty_get_u64_be(bytes);
    place->series = ty_get_u32_be(bytes + 8);
    place->index = ty_get_u32_be(bytes + 12);
    return true;
}

/* --- Finding --- */

static tally_status damaged(const MDB_val *key, const char *problem, tally_error *error)
{
    const uint8_t *bytes = key->mv_data;

    if (key->mv_size != KEY_BYTES)
        return ty_fail(error, TALLY_CORRUPT, "a void with a key of %zu bytes %s", key->mv_size,
                       problem);
    return ty_fail(error, TALLY_CORRUPT,
                   "the void of event %u of series %u in journal value %llu %s",
                   ty_get_u32_be(bytes + 12), ty_get_u32_be(bytes + 8),
                   (unsigned long long)ty_get_u64_be(bytes), problem);
}

static bool is_intact(const MDB_val *key, const MDB_val *value)
{
    struct ty_journal_place place;
    struct ty_void_note note;

    return ty_store_read_void(key, value, &place, &note);
}

/* An event is not void: that is believed only when its void is not hidden under a damaged key, or
 * it would be taken out twice. */
static tally_status check_gap(MDB_txn *txn, MDB_dbi tree, const MDB_val *wanted, tally_error *error)
{
    static const struct ty_key_gap gap = {is_intact, damaged};
    MDB_cursor *cursor;
    tally_status status;
    int code = mdb_cursor_open(txn, tree, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read a void");
    status = ty_key_gap_check(cursor, wanted, &gap, error);
    mdb_cursor_close(cursor);
    return status;
}

static tally_status find(MDB_txn *txn, MDB_dbi tree, const struct ty_journal_place *place,
                         bool *found, struct ty_void_note *note, tally_error *error)
{
    uint8_t bytes[KEY_BYTES];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes}, value;
    MDB_stat stat;
    int code = mdb_stat(txn, tree, &stat);

    *found = false;
    if (code == 0 && stat.ms_entries == 0) /* Where nothing is ever voided this costs nothing. */
        return TALLY_OK;
    make_key(place, bytes);
    if (code == 0)
        code = mdb_get(txn, tree, &key, &value);
    *found = code == 0;
    if (code == MDB_NOTFOUND)
        return check_gap(txn, tree, &key, error);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read a void");
    return decode(bytes, &value, note) ? TALLY_OK : damaged(&key, TY_KEY_NO_MATCH, error);
}

tally_status ty_store_get_void(struct ty_store *store, const struct ty_journal_place *place,
                               bool *found, struct ty_void_note *note, tally_error *error)
{
    return find(store->txn, store->voids, place, found, note, error);
}

tally_status ty_snapshot_get_void(struct ty_snapshot *snapshot,
                                  const struct ty_journal_place *place, bool *found,
                                  struct ty_void_note *note, tally_error *error)
{
    return find(snapshot->txn, snapshot->store->voids, place, found, note, error);
}

/* Deletes the first entry of a journal value; MDB_NOTFOUND when there is none (left). */
static int delete_first(MDB_cursor *cursor, uint64_t sequence)
{
    uint8_t first[8];
    MDB_val key = {.mv_size = sizeof(first), .mv_data = first}, value;
    int code;

    ty_put_u64_be(first, sequence);
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (code != 0)
        return code;
    if (key.mv_size != KEY_BYTES || ty_get_u64_be(key.mv_data) != sequence)
        return MDB_NOTFOUND;
    return mdb_cursor_del(cursor, 0);
}

tally_status ty_store_delete_voids(struct ty_store *store, uint64_t sequence, tally_error *error)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(store->txn, store->voids, &cursor);

    if (code == 0) {
        while (code == 0)
            code = delete_first(cursor, sequence);
        mdb_cursor_close(cursor);
    }
    if (code == MDB_NOTFOUND)
        return TALLY_OK;
    return ty_store_fail(error, code, "cannot delete voids");
}
