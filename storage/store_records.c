/*
 * store_records.c: what the tree of meta holds: which database this is, and the shard's state
 * (store.h). Each is a version, a checksum over name and content, and the content.
 */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "storage/bytes.h"
#include "storage/store_internal.h"

#define DATABASE_BYTES (4 + 8 + 16 + TY_SECRET_BYTES + 4 + 2 * TY_PARTITIONS)
#define STATE_BYTES    (4 + 8 + 4 * 8)

/* Up to format 2 the version was not covered: a damaged 3 would pass for a 2. */
uint64_t ty_record_checksum(const void *name, size_t name_length, const uint8_t *record,
                            size_t length)
{
    uint64_t seed = XXH3_64bits(name, name_length);

    if (record[0] > 2)
        seed = XXH3_64bits_withSeed(record, 4, seed);
    return XXH3_64bits_withSeed(record + TY_RECORD_HEADER_BYTES, length - TY_RECORD_HEADER_BYTES,
                                seed);
}

static void seal_record(const char *name, uint8_t *record, size_t length)
{
    ty_put_u32(record, TY_FORMAT_VERSION);
    ty_put_u64(record + 4, ty_record_checksum(name, strlen(name), record, length));
}

static tally_status open_record(const char *name, const MDB_val *value, size_t length,
                                struct ty_reader *content, tally_error *error)
{
    struct ty_reader reader = ty_reader_of(value->mv_data, value->mv_size);
    const uint8_t *version = ty_get_bytes(&reader, 4);

    if (version != NULL &&
        (version[0] > TY_FORMAT_VERSION || version[1] || version[2] || version[3]))
        return ty_fail(error, TALLY_NEWER,
                       "the data has format version %u, this program knows up to %u: use a newer "
                       "version of Tally",
                       version[0] | (unsigned)version[1] << 8, TY_FORMAT_VERSION);
    if (value->mv_size != length)
        return ty_fail(error, TALLY_CORRUPT, "the %s record has %zu bytes instead of %zu", name,
                       value->mv_size, length);
    if (version[0] == 0) /* Older forms are read; every commit writes the state in this one. */
        return ty_fail(error, TALLY_CORRUPT, "the %s record has no format version", name);
    if (ty_get_u64(&reader) != ty_record_checksum(name, strlen(name), value->mv_data, length))
        return ty_fail(error, TALLY_CORRUPT, "the %s record does not match its checksum", name);
    *content = reader;
    return TALLY_OK;
}

/* Every record is there before, or with, the first entry of some tree: one that is not found while
 * that tree has entries is lost, and not of a new shard. */
static tally_status check_missing(MDB_txn *txn, MDB_dbi witness, const char *name,
                                  tally_error *error)
{
    MDB_stat stat;
    int code = mdb_stat(txn, witness, &stat);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read the shard's records");
    if (stat.ms_entries == 0)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "the %s record is missing: its key is damaged", name);
}

tally_status ty_store_find_record(MDB_txn *txn, MDB_dbi meta, const char *name, MDB_dbi witness,
                                  size_t length, struct ty_reader *content, bool *found,
                                  tally_error *error)
{
    MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)name}, value;
    int code = mdb_get(txn, meta, &key, &value);

    *found = code == 0;
    if (code == MDB_NOTFOUND)
        return check_missing(txn, witness, name, error);
    return code != 0 ? ty_store_fail(error, code, "cannot read the shard's records")
                     : open_record(name, &value, length, content, error);
}

tally_status ty_store_put_record(struct ty_store *store, struct ty_puts *puts, const char *name,
                                 uint8_t *record, size_t length, tally_error *error)
{
    seal_record(name, record, length);
    return ty_store_fail(
        error, ty_store_put_or_keep(store, puts, store->meta, name, strlen(name), record, length),
        "cannot store the shard's records");
}

tally_status ty_store_put_database(struct ty_store *store, const struct ty_database_record *record,
                                   tally_error *error)
{
    uint8_t bytes[DATABASE_BYTES];
    uint8_t *out = bytes + 12;

    out = ty_put_bytes(out, record->id, sizeof(record->id));
    out = ty_put_bytes(out, record->secret.bytes, TY_SECRET_BYTES);
    out = ty_put_u16(ty_put_u16(out, record->shard), record->shard_count);
    for (size_t i = 0; i < TY_PARTITIONS; i++)
        out = ty_put_u16(out, record->partition_shard[i]);
    return ty_store_put_record(store, NULL, "database", bytes, sizeof(bytes), error);
}

tally_status ty_store_get_database(struct ty_store *store, struct ty_database_record *record,
                                   bool *found, tally_error *error)
{
    struct ty_reader reader;
    tally_status status = ty_store_find_record(store->txn, store->meta, "database", store->series,
                                               DATABASE_BYTES, &reader, found, error);

    if (status != TALLY_OK || !*found)
        return status;
    memcpy(record->id, ty_get_bytes(&reader, sizeof(record->id)), sizeof(record->id));
    memcpy(record->secret.bytes, ty_get_bytes(&reader, TY_SECRET_BYTES), TY_SECRET_BYTES);
    record->shard = ty_get_u16(&reader);
    record->shard_count = ty_get_u16(&reader);
    for (size_t i = 0; i < TY_PARTITIONS; i++) {
        record->partition_shard[i] = ty_get_u16(&reader);
        if (record->partition_shard[i] >= record->shard_count)
            return ty_fail(error, TALLY_CORRUPT,
                           "the database record maps a partition to no shard");
    }
    return TALLY_OK;
}

tally_status ty_store_put_state(struct ty_store *store, const struct ty_state_record *state,
                                tally_error *error)
{
    uint8_t bytes[STATE_BYTES];
    uint8_t *out = bytes + 12;

    out = ty_put_u64(out, state->last_sequence);
    out = ty_put_u64(out, state->replay_from);
    out = ty_put_u64(out, state->journal_bytes);
    ty_put_u64(out, (uint64_t)state->arrival_ms);
    return ty_store_put_record(store, NULL, "state", bytes, sizeof(bytes), error);
}

static void get_state(struct ty_reader *content, struct ty_state_record *state)
{
    state->last_sequence = ty_get_u64(content);
    state->replay_from = ty_get_u64(content);
    state->journal_bytes = ty_get_u64(content);
    state->arrival_ms = (int64_t)ty_get_u64(content);
}

bool ty_store_decode_state(const void *record, size_t length, struct ty_state_record *state)
{
    struct ty_reader reader = ty_reader_of(record, length);

    if (length != STATE_BYTES || ty_get_bytes(&reader, TY_RECORD_HEADER_BYTES) == NULL)
        return false;
    get_state(&reader, state);
    return true;
}

tally_status ty_store_read_state(struct ty_store *store, MDB_txn *txn,
                                 struct ty_state_record *state, tally_error *error)
{
    struct ty_reader reader;
    bool found;
    tally_status status = ty_store_find_record(txn, store->meta, "state", store->series,
                                               STATE_BYTES, &reader, &found, error);

    *state = (struct ty_state_record){0};
    if (status != TALLY_OK || !found)
        return status;
    get_state(&reader, state);
    return TALLY_OK;
}

tally_status ty_store_get_state(struct ty_store *store, struct ty_state_record *state,
                                tally_error *error)
{
    return ty_store_read_state(store, store->txn, state, error);
}
