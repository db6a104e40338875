/*
 * store_blocks.c: days and months, put and got by the writer (store.h).
 */
#include <string.h>

#include "storage/block_codec.h"
#include "storage/store_internal.h"

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
