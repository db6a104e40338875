/*
 * store_series.c: the tree of series (store.h): id (big-endian) to customer and workflow, and a
 * checksum over all three.
 */
#define XXH_INLINE_ALL
#include <string.h>
#include <xxhash.h>

#include "storage/bytes.h"
#include "storage/store_internal.h"

#define SERIES_BYTES 32

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
