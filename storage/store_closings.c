/*
 * store_closings.c: how far customers' months are closed, and the revisions of those (store.h,
 * snapshot.h).
 *
 * A closing that is lost would open its months again, without a word. So a start reads every one of
 * them; and whoever finds none afterwards looks at what lies beside the gap. A customer's revisions
 * are numbered without gaps, and its closing says how many there are: so none is lost unnoticed.
 */
#include "storage/snapshot.h"
#include "storage/store_internal.h"
#include "storage/value_header.h"

#define VERSION   1
#define MONTH_MAX 0x7fffffff

/* What comes behind the header of an intact value; false: it is not. */
static bool open_value(const MDB_val *key, size_t key_length, const MDB_val *value,
                       struct ty_reader *reader)
{
    return key->mv_size == key_length &&
           ty_value_open(key->mv_data, key_length, VERSION, value->mv_data, value->mv_size,
                         reader) == NULL;
}

static bool is_at_end(const struct ty_reader *reader)
{
    return !reader->failed && reader->at == reader->end;
}

/* --- Closings --- */

void ty_store_encode_closing(const struct ty_uuid *customer, const struct ty_closed *closed,
                             uint8_t key[TY_CLOSING_KEY_BYTES],
                             uint8_t value[TY_CLOSING_VALUE_BYTES])
{
    uint8_t *end = value + TY_VALUE_BODY_AT;

    TY_ASSERT(closed->through >= 0);
    memcpy(key, customer->bytes, TY_CLOSING_KEY_BYTES);
    end = ty_put_u64(end, (uint64_t)closed->through);
    end = ty_put_u64(end, (uint64_t)closed->closed_ms);
    end = ty_put_u64(end, closed->sequence);
    ty_put_u64(end, closed->revisions);
    ty_value_seal(key, TY_CLOSING_KEY_BYTES, VERSION, value, TY_CLOSING_VALUE_BYTES);
}

bool ty_store_read_closing(const MDB_val *key, const MDB_val *value, struct ty_uuid *customer,
                           struct ty_closed *closed)
{
    struct ty_reader reader;
    uint64_t through;

    if (!open_value(key, TY_CLOSING_KEY_BYTES, value, &reader))
        return false;
    through = ty_get_u64(&reader);
    closed->through = (int32_t)TY_MIN(through, (uint64_t)MONTH_MAX);
    closed->closed_ms = (int64_t)ty_get_u64(&reader);
    closed->sequence = ty_get_u64(&reader);
    closed->revisions = ty_get_u64(&reader);
    memcpy(customer->bytes, key->mv_data, TY_CLOSING_KEY_BYTES);
    return is_at_end(&reader) && through <= MONTH_MAX;
}

tally_status ty_store_put_closing(struct ty_store *store, const struct ty_uuid *customer,
                                  const struct ty_closed *closed, tally_error *error)
{
    uint8_t key[TY_CLOSING_KEY_BYTES], value[TY_CLOSING_VALUE_BYTES];

    ty_store_encode_closing(customer, closed, key, value);
    return ty_store_fail(
        error, ty_store_put(store, store->closings, key, sizeof(key), value, sizeof(value), 0),
        "cannot store a closing");
}

static void name_key(const MDB_val *key, char text[TY_UUID_TEXT_LENGTH + 1])
{
    struct ty_uuid customer = {{0}};

    memcpy(customer.bytes, key->mv_data, TY_MIN(key->mv_size, sizeof(customer.bytes)));
    ty_uuid_format(&customer, text);
    text[TY_UUID_TEXT_LENGTH] = '\0';
}

static tally_status damaged(const MDB_val *key, const char *problem, tally_error *error)
{
    char text[TY_UUID_TEXT_LENGTH + 1];

    name_key(key, text);
    return ty_fail(error, TALLY_CORRUPT, "the closing of customer %s %s", text, problem);
}

struct closing_walk {
    tally_status (*each)(void *context, const struct ty_uuid *customer,
                         const struct ty_closed *closed);
    void *context;
    uint8_t before[TY_CLOSING_KEY_BYTES];
    uint64_t count;
};

static tally_status visit_closing(struct closing_walk *walk, const MDB_val *key,
                                  const MDB_val *value, tally_error *error)
{
    const MDB_val before = {TY_CLOSING_KEY_BYTES, walk->before};
    struct ty_uuid customer;
    struct ty_closed closed;

    if (!ty_store_read_closing(key, value, &customer, &closed))
        return damaged(key, TY_KEY_NO_MATCH, error);
    if (walk->count++ != 0 && !ty_key_ascends(&before, key))
        return damaged(key, TY_KEY_OUT_OF_ORDER, error);
    memcpy(walk->before, customer.bytes, sizeof(walk->before));
    return walk->each(walk->context, &customer, &closed);
}

tally_status ty_store_each_closing(struct ty_store *store,
                                   tally_status (*each)(void *context,
                                                        const struct ty_uuid *customer,
                                                        const struct ty_closed *closed),
                                   void *context, tally_error *error)
{
    struct closing_walk walk = {.each = each, .context = context};
    tally_status status = TALLY_OK;
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_stat stat;
    int code = mdb_stat(store->txn, store->closings, &stat);

    if (code == 0)
        code = mdb_cursor_open(store->txn, store->closings, &cursor);
    if (code != 0)
        return ty_store_fail(error, code, "cannot read the closings");
    while (status == TALLY_OK && (code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0)
        status = visit_closing(&walk, &key, &value, error);
    mdb_cursor_close(cursor);
    if (status != TALLY_OK)
        return status;
    if (code != MDB_NOTFOUND)
        return ty_store_fail(error, code, "cannot read the closings");
    if (walk.count == stat.ms_entries)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "the tree of closings should have %zu entries, not %llu",
                   stat.ms_entries, (unsigned long long)walk.count);
}

static bool is_intact(const MDB_val *key, const MDB_val *value)
{
    struct ty_uuid customer;
    struct ty_closed closed;

    return ty_store_read_closing(key, value, &customer, &closed);
}

tally_status ty_snapshot_get_closed(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                                    struct ty_closed *closed, tally_error *error)
{
    static const struct ty_key_gap gap = {is_intact, damaged};
    const MDB_val wanted = {sizeof(customer->bytes), (void *)customer->bytes};
    tally_status status = TALLY_OK;
    struct ty_uuid found;
    MDB_val key = wanted, value;
    MDB_cursor *cursor;
    int code = mdb_cursor_open(snapshot->txn, snapshot->store->closings, &cursor);

    *closed = (struct ty_closed){.through = TY_NOT_CLOSED};
    if (code != 0)
        return ty_store_fail(error, code, "cannot read the closings");
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET);
    if (code == MDB_NOTFOUND)
        status = ty_key_gap_check(cursor, &wanted, &gap, error);
    else if (code != 0)
        status = ty_store_fail(error, code, "cannot read the closings");
    else if (!ty_store_read_closing(&wanted, &value, &found, closed))
        status = damaged(&wanted, TY_KEY_NO_MATCH, error);
    mdb_cursor_close(cursor);
    return status;
}

/* --- Revisions --- */

static uint8_t *put_total(uint8_t *end, const struct ty_total *total)
{
    end = ty_put_varint(end, total->events);
    end = ty_put_varint128(end, ty_zigzag128(total->credits));
    end = ty_put_varint128(end, (ty_uint128)total->documents);
    end = ty_put_varint128(end, (ty_uint128)total->pages);
    return ty_put_varint128(end, (ty_uint128)total->processing_ms);
}

static void get_total(struct ty_reader *reader, struct ty_total *total)
{
    total->events = ty_get_varint(reader);
    total->credits = ty_unzigzag128(ty_get_varint128(reader));
    total->documents = (ty_int128)ty_get_varint128(reader);
    total->pages = (ty_int128)ty_get_varint128(reader);
    total->processing_ms = (ty_int128)ty_get_varint128(reader);
}

static void make_revision_key(const struct ty_uuid *customer, uint64_t number,
                              uint8_t key[TY_REVISION_KEY_BYTES])
{
    ty_put_u64_be(ty_put_bytes(key, customer->bytes, sizeof(customer->bytes)), number);
}

size_t ty_store_encode_revision(const struct ty_uuid *customer, const struct ty_revision *revision,
                                uint8_t key[TY_REVISION_KEY_BYTES],
                                uint8_t value[TY_REVISION_VALUE_BYTES_MAX])
{
    uint8_t *end = value + TY_VALUE_BODY_AT;

    TY_ASSERT(revision->month >= 0);
    make_revision_key(customer, revision->number, key);
    end = ty_put_u64(end, revision->sequence);
    end = ty_put_u64(end, (uint64_t)revision->received_ms);
    end = ty_put_varint(end, revision->series);
    end = ty_put_varint(end, (uint64_t)revision->month);
    end = ty_put_varint(end, revision->events);
    end = ty_put_varint(end, revision->voided);
    end = put_total(put_total(end, &revision->before), &revision->after);
    ty_value_seal(key, TY_REVISION_KEY_BYTES, VERSION, value, (size_t)(end - value));
    return (size_t)(end - value);
}

bool ty_store_read_revision(const MDB_val *key, const MDB_val *value, struct ty_uuid *customer,
                            struct ty_revision *revision)
{
    struct ty_reader reader;
    uint64_t series, month;

    if (!open_value(key, TY_REVISION_KEY_BYTES, value, &reader))
        return false;
    memcpy(customer->bytes, key->mv_data, sizeof(customer->bytes));
    revision->number = ty_get_u64_be((const uint8_t *)key->mv_data + sizeof(customer->bytes));
    revision->sequence = ty_get_u64(&reader);
    revision->received_ms = (int64_t)ty_get_u64(&reader);
    series = ty_get_varint(&reader);
    month = ty_get_varint(&reader);
    revision->series = (uint32_t)series;
    revision->month = (int32_t)TY_MIN(month, (uint64_t)MONTH_MAX);
    revision->events = ty_get_varint(&reader);
    revision->voided = ty_get_varint(&reader);
    get_total(&reader, &revision->before);
    get_total(&reader, &revision->after);
    return is_at_end(&reader) && series <= UINT32_MAX && month <= MONTH_MAX;
}

tally_status ty_store_put_revision(struct ty_store *store, const struct ty_uuid *customer,
                                   const struct ty_revision *revision, tally_error *error)
{
    uint8_t key[TY_REVISION_KEY_BYTES], value[TY_REVISION_VALUE_BYTES_MAX];
    size_t length = ty_store_encode_revision(customer, revision, key, value);

    return ty_store_fail(error,
                         ty_store_put(store, store->revisions, key, sizeof(key), value, length, 0),
                         "cannot store a revision");
}

tally_status ty_snapshot_get_revision(struct ty_snapshot *snapshot, const struct ty_uuid *customer,
                                      uint64_t number, struct ty_revision *revision,
                                      tally_error *error)
{
    uint8_t bytes[TY_REVISION_KEY_BYTES];
    MDB_val key = {sizeof(bytes), bytes}, value;
    char text[TY_UUID_TEXT_LENGTH + 1];
    struct ty_uuid found;
    int code;

    make_revision_key(customer, number, bytes);
    code = mdb_get(snapshot->txn, snapshot->store->revisions, &key, &value);
    if (code != 0 && code != MDB_NOTFOUND)
        return ty_store_fail(error, code, "cannot read the revisions");
    if (code == 0 && ty_store_read_revision(&key, &value, &found, revision))
        return TALLY_OK;
    name_key(&key, text);
    return ty_fail(error, TALLY_CORRUPT, "revision %llu of customer %s %s",
                   (unsigned long long)number, text,
                   code == 0 ? "does not match its checksum" : "is missing: its key is damaged");
}
