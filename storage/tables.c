/*
 * tables.c: the writer's operations on the trees (store.h), those of rejects excepted.
 */
#define XXH_INLINE_ALL
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "storage/block_codec.h"
#include "storage/bytes.h"
#include "storage/store_internal.h"

#define DATABASE_BYTES (4 + 8 + 16 + TY_SECRET_BYTES + 4 + 2 * TY_PARTITIONS)
#define STATE_BYTES    (4 + 8 + 4 * 8)
#define SERIES_BYTES   32

int ty_store_put(struct ty_store *store, MDB_dbi tree, const void *key, size_t key_length,
                 const void *value, size_t length, unsigned flags)
{
    MDB_val k = {.mv_size = key_length, .mv_data = (void *)key};
    MDB_val v = {.mv_size = length, .mv_data = (void *)value};
    int code = ty_store_fault(store, TY_FAULT_PUT);

    return code != 0 ? code : mdb_put(store->txn, tree, &k, &v, flags);
}

int ty_store_get(struct ty_store *store, MDB_dbi tree, const void *key, size_t key_length,
                 MDB_val *value)
{
    MDB_val k = {.mv_size = key_length, .mv_data = (void *)key};

    return mdb_get(ty_store_reading(store), tree, &k, value);
}

/* --- Meta: records of a version, a checksum over name and content, and the content. --- */

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

/* --- Series: id (big-endian) to customer and workflow, and a checksum over all three. --- */

static uint64_t series_checksum(const uint8_t key[4], const uint8_t *uuids)
{
    return XXH3_64bits_withSeed(uuids, SERIES_BYTES, ty_get_u32_be(key));
}

void ty_store_encode_series(uint32_t id, const struct ty_uuid *customer,
                            const struct ty_uuid *workflow, uint8_t key[4], uint8_t value[40])
{
    ty_put_u32_be(key, id);
    ty_put_bytes(ty_put_bytes(value, customer->bytes, 16), workflow->bytes, 16);
    ty_put_u64(value + SERIES_BYTES, series_checksum(key, value));
}

tally_status ty_store_put_series(struct ty_store *store, uint32_t id,
                                 const struct ty_uuid *customer, const struct ty_uuid *workflow,
                                 tally_error *error)
{
    uint8_t key[4], value[SERIES_BYTES + 8];

    ty_store_encode_series(id, customer, workflow, key, value);
    return ty_store_fail(
        error, ty_store_put(store, store->series, key, sizeof(key), value, sizeof(value), 0),
        "cannot store a series");
}

bool ty_store_read_series(const MDB_val *key, const MDB_val *value, uint32_t *id,
                          struct ty_uuid *customer, struct ty_uuid *workflow)
{
    struct ty_reader reader = ty_reader_of(value->mv_data, value->mv_size);
    const uint8_t *uuids = ty_get_bytes(&reader, SERIES_BYTES);

    if (key->mv_size != 4 || uuids == NULL ||
        ty_get_u64(&reader) != series_checksum(key->mv_data, uuids) || reader.failed ||
        reader.at != reader.end)
        return false;
    *id = ty_get_u32_be(key->mv_data);
    memcpy(customer->bytes, uuids, 16);
    memcpy(workflow->bytes, uuids + 16, 16);
    return true;
}

tally_status ty_store_each_series(struct ty_store *store,
                                  tally_status (*each)(void *context, uint32_t id,
                                                       const struct ty_uuid *customer,
                                                       const struct ty_uuid *workflow),
                                  void *context, tally_error *error)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    tally_status status = TALLY_OK;
    int code = mdb_cursor_open(store->txn, store->series, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read the series");
    while (status == TALLY_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        struct ty_uuid customer, workflow;
        uint32_t id;

        if (ty_store_read_series(&key, &value, &id, &customer, &workflow))
            status = each(context, id, &customer, &workflow);
        else
            status = ty_fail(error, TALLY_CORRUPT, "series %u does not match its checksum",
                             key.mv_size == 4 ? ty_get_u32_be(key.mv_data) : 0);
    }
    mdb_cursor_close(cursor);
    if (status == TALLY_OK && code != MDB_NOTFOUND)
        status = ty_store_fail(error, code, "cannot read the series");
    return status;
}

/* --- Journal --- */

tally_status ty_store_append_journal(struct ty_store *store, uint64_t sequence, const void *value,
                                     size_t length, tally_error *error)
{
    uint8_t key[8];

    ty_put_u64_be(key, sequence);
    return ty_store_fail(
        error, ty_store_put(store, store->journal, key, sizeof(key), value, length, MDB_APPEND),
        "cannot append to the journal");
}

tally_status ty_store_first_journal(struct ty_store *store, uint64_t *sequence, size_t *length,
                                    struct ty_journal_header *header, tally_error *error)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int code = mdb_cursor_open(store->txn, store->journal, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read the journal");
    code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    mdb_cursor_close(cursor);
    *sequence = 0;
    if (code != 0)
        return code == MDB_NOTFOUND ? TALLY_OK
                                    : ty_store_fail(error, code, "cannot read the journal");
    *sequence = key.mv_size == 8 ? ty_get_u64_be(key.mv_data) : UINT64_MAX;
    *length = value.mv_size;
    if (!ty_journal_read_header(value.mv_data, value.mv_size, header))
        *header = (struct ty_journal_header){0};
    return TALLY_OK;
}

/* A key at one end, and the one next to it (0: none). */
static int read_end(MDB_txn *txn, MDB_dbi tree, MDB_cursor_op end, uint64_t *sequence,
                    uint64_t *next)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int code = mdb_cursor_open(txn, tree, &cursor);

    *sequence = *next = 0;
    if (code != 0)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, end);
    if (code == 0) {
        *sequence = key.mv_size == 8 ? ty_get_u64_be(key.mv_data) : UINT64_MAX;
        code = mdb_cursor_get(cursor, &key, &value, end == MDB_FIRST ? MDB_NEXT : MDB_PREV);
        if (code == 0)
            *next = key.mv_size == 8 ? ty_get_u64_be(key.mv_data) : UINT64_MAX;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

/* Whether the first key is that of the first value: the next one says so, too. */
static bool is_first(uint64_t first, uint64_t next, uint64_t last)
{
    return first != 0 && first <= last &&
           (first == 1 || (next == 0 ? first == last : next == first + 1));
}

tally_status ty_store_journal_extent(struct ty_store *store, MDB_txn *txn,
                                     const struct ty_state_record *state, uint64_t *first,
                                     uint64_t *last, tally_error *error)
{
    uint64_t next;
    MDB_stat stat;
    int code = mdb_stat(txn, store->journal, &stat);

    *first = *last = 0;
    if (code != 0 || stat.ms_entries == 0)
        return ty_store_fail(error, code, "cannot read the journal");
    code = read_end(txn, store->journal, MDB_LAST, last, &next);
    if (code == 0)
        code = read_end(txn, store->journal, MDB_FIRST, first, &next);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read the journal");
    if (state->last_sequence != 0)
        *last = state->last_sequence;
    if (is_first(*first, next, *last))
        return TALLY_OK;
    if (stat.ms_entries > *last)
        return ty_fail(error, TALLY_CORRUPT,
                       "the journal begins with value %llu and ends with %llu",
                       (unsigned long long)*first, (unsigned long long)*last);
    *first = *last - stat.ms_entries + 1;
    return TALLY_OK;
}

tally_status ty_store_check_journal(struct ty_store *store, const struct ty_state_record *state,
                                    tally_error *error)
{
    uint64_t first, last, next;
    int code = read_end(store->txn, store->journal, MDB_LAST, &last, &next);

    if (code == 0)
        code = read_end(store->txn, store->journal, MDB_FIRST, &first, &next);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read the journal");
    if (last == 0 || (last == state->last_sequence && first <= last))
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT,
                   "the journal begins with value %llu and ends with value %llu instead of %llu",
                   (unsigned long long)first, (unsigned long long)last,
                   (unsigned long long)state->last_sequence);
}

tally_status ty_store_check_first_journal(struct ty_store *store, uint64_t first, uint64_t last,
                                          tally_error *error)
{
    uint64_t found, next;
    int code = read_end(store->txn, store->journal, MDB_FIRST, &found, &next);

    if (code != 0 || (found == first && is_first(first, next, last)))
        return ty_store_fail(error, code, "cannot read the journal");
    return ty_fail(error, TALLY_CORRUPT,
                   "the journal begins with value %llu, then comes value %llu: a key is damaged",
                   (unsigned long long)found, (unsigned long long)next);
}

tally_status ty_store_delete_journal(struct ty_store *store, uint64_t sequence, tally_error *error)
{
    uint8_t bytes[8];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};

    ty_put_u64_be(bytes, sequence);
    return ty_store_fail(error, mdb_del(store->txn, store->journal, &key, NULL),
                         "cannot trim the journal");
}

tally_status ty_store_get_arrival(struct ty_store *store, uint64_t sequence, int64_t *arrival_ms,
                                  tally_error *error)
{
    struct ty_journal_cursor journal;
    uint8_t key[8];
    MDB_val value;
    int code;

    ty_put_u64_be(key, sequence);
    code = ty_store_get(store, store->journal, key, sizeof(key), &value);
    if (code == MDB_NOTFOUND)
        return ty_fail(error, TALLY_CORRUPT, "the journal lacks value %llu",
                       (unsigned long long)sequence);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read the journal");
    if (!ty_journal_open(&journal, sequence, value.mv_data, value.mv_size))
        return ty_fail(error, TALLY_CORRUPT, "journal value %llu: %s", (unsigned long long)sequence,
                       journal.problem);
    *arrival_ms = journal.header.arrival_ms;
    return TALLY_OK;
}

tally_status ty_store_find_arrival(struct ty_store *store, uint64_t first, uint64_t last,
                                   int64_t arrival_ms, uint64_t *sequence, tally_error *error)
{
    uint64_t low = first, high = last + 1; /* the answer lies in [low, high] */

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t at = 0;
        tally_status status = ty_store_get_arrival(store, middle, &at, error);

        if (status != TALLY_OK)
            return status;
        if (at >= arrival_ms)
            high = middle;
        else
            low = middle + 1;
    }
    *sequence = low;
    return TALLY_OK;
}

tally_status ty_store_each_journal(struct ty_store *store, uint64_t from,
                                   tally_status (*each)(void *context, uint64_t sequence,
                                                        struct ty_journal_cursor *cursor,
                                                        size_t length, tally_error *error),
                                   void *context, tally_error *error)
{
    struct ty_journal_cursor journal;
    uint8_t first[8];
    MDB_val key = {.mv_size = sizeof(first), .mv_data = first}, value;
    MDB_cursor *cursor;
    tally_status status = TALLY_OK;
    int code = mdb_cursor_open(store->txn, store->journal, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read the journal");
    ty_put_u64_be(first, from);
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == 0 && status == TALLY_OK) {
        uint64_t sequence = key.mv_size == 8 ? ty_get_u64_be(key.mv_data) : 0;

        ty_journal_open(&journal, sequence, value.mv_data, value.mv_size);
        if (journal.problem == NULL)
            status = each(context, sequence, &journal, value.mv_size, error);
        if (journal.problem != NULL)
            status = ty_fail(error, TALLY_CORRUPT, "journal value %llu: %s",
                             (unsigned long long)sequence, journal.problem);
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (status == TALLY_OK && code != MDB_NOTFOUND)
        status = ty_store_fail(error, code, "cannot read the journal");
    return status;
}

/* --- Blocks --- */

/* Stores a block where a search for it ends, which must be its right place: a key beside it that is
 * damaged may lead the search astray, and the block would be there twice. */
static tally_status put_block(struct ty_store *store, const uint8_t key[TY_BLOCK_KEY_BYTES],
                              const uint8_t *value, size_t length, const char *what,
                              tally_error *error)
{
    MDB_val k = {.mv_size = TY_BLOCK_KEY_BYTES, .mv_data = (void *)key}, v;
    tally_status status = TALLY_OK;
    MDB_cursor *cursor;
    int code = ty_store_fault(store, TY_FAULT_PUT);

    if (code == 0)
        code = mdb_cursor_open(store->txn, store->blocks, &cursor);
    if (code != 0)
        return ty_store_fail(error, code, what);
    code = mdb_cursor_get(cursor, &k, &v, MDB_SET);
    k = (MDB_val){.mv_size = TY_BLOCK_KEY_BYTES, .mv_data = (void *)key};
    v = (MDB_val){.mv_size = length, .mv_data = (void *)value};
    if (code == 0) {
        code = mdb_cursor_put(cursor, &k, &v, MDB_CURRENT);
    } else if (code == MDB_NOTFOUND) {
        status = ty_gap_check(store->txn, store->blocks, key, error);
        code = status == TALLY_OK ? mdb_cursor_put(cursor, &k, &v, 0) : 0;
    }
    mdb_cursor_close(cursor);
    return status != TALLY_OK ? status : ty_store_fail(error, code, what);
}

tally_status ty_store_put_day(struct ty_store *store, uint32_t series, int32_t day,
                              const struct ty_day_block *block, tally_error *error)
{
    uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
    size_t length;

    ty_block_key(series, TY_LEVEL_DAY, day, key);
    length = ty_day_block_encode(key, block, value);
    return put_block(store, key, value, length, "cannot store a day", error);
}

tally_status ty_store_put_month(struct ty_store *store, uint32_t series, int32_t month,
                                const struct ty_month_block *block, tally_error *error)
{
    uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_MONTH_BLOCK_BYTES_MAX];
    size_t length;

    ty_block_key(series, TY_LEVEL_MONTH, month, key);
    length = ty_month_block_encode(key, block, value);
    return put_block(store, key, value, length, "cannot store a month", error);
}

static tally_status block_problem(tally_error *error, const char *what, int32_t period,
                                  uint32_t series, const char *problem)
{
    if (problem == NULL)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "the stored %s %d of series %u: %s", what, period, series,
                   problem);
}

tally_status ty_store_get_day(struct ty_store *store, uint32_t series, int32_t day,
                              struct ty_day_block *block, tally_error *error)
{
    uint8_t key[TY_BLOCK_KEY_BYTES];
    MDB_val value;
    int code;

    ty_block_key(series, TY_LEVEL_DAY, day, key);
    code = ty_store_get(store, store->blocks, key, sizeof(key), &value);
    if (code != 0) {
        memset(block, 0, sizeof(*block));
        return code == MDB_NOTFOUND
                   ? ty_gap_check(ty_store_reading(store), store->blocks, key, error)
                   : ty_store_fail(error, code, "cannot read a day");
    }
    return block_problem(error, "day", day, series,
                         ty_day_block_decode(key, value.mv_data, value.mv_size, block));
}

tally_status ty_store_get_month(struct ty_store *store, uint32_t series, int32_t month,
                                struct ty_month_block *block, tally_error *error)
{
    uint8_t key[TY_BLOCK_KEY_BYTES];
    MDB_val value;
    int code;

    *block = (struct ty_month_block){0};
    ty_block_key(series, TY_LEVEL_MONTH, month, key);
    code = ty_store_get(store, store->blocks, key, sizeof(key), &value);
    if (code == MDB_NOTFOUND)
        return ty_gap_check(ty_store_reading(store), store->blocks, key, error);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read a month");
    return block_problem(
        error, "month", month, series,
        ty_block_decode_total(key, value.mv_data, value.mv_size, &block->stamp, &block->total));
}
