/*
 * block_gap.c: why a day or month that is not found is believed not to be stored.
 *
 * Checksums tell when a value that is found is not what was stored under its key. But one wrong
 * byte in a key, where it lies, hides its value: a search for the true key finds nothing, and
 * nothing means zero. All other bytes are as they were, so the value still lies between its
 * neighbours, and its checksum, which covers the true key, still tells which that is. Where a
 * search ends in a gap, therefore, the hidden value can only be beside the gap:
 *
 *   - its key still sorts between the neighbours': then it is the one before or behind the gap;
 *   - it does not: then it leads searches past it astray, but those end right beside it, since all
 *     others are in order; and it is out of order with the one on its other side.
 *
 * Comparing the neighbours also finds a search that LMDB's inner pages have led astray. Only gaps
 * cost anything: a hash or two.
 */
#include <string.h>

#include "storage/block_codec.h"
#include "storage/store_internal.h"

static const char *level_name(uint8_t level)
{
    return level == TY_LEVEL_DAY ? "day" : "month";
}

static tally_status out_of_order(const uint8_t *key, tally_error *error)
{
    return ty_fail(error, TALLY_CORRUPT,
                   "the stored totals around %s %u of series %u are out of order: a key is damaged",
                   level_name(key[4]), ty_get_u32_be(key + 5), ty_get_u32_be(key));
}

/* Whether an entry beside a gap is one of [first, last], keys of one series and level, under a
 * damaged key. */
static tally_status check_hidden(const MDB_val *key, const MDB_val *value, const uint8_t *first,
                                 const uint8_t *last, tally_error *error)
{
    uint32_t from = ty_get_u32_be(first + 5), to = ty_get_u32_be(last + 5);
    uint8_t candidate[TY_BLOCK_KEY_BYTES];

    if (key->mv_size == TY_BLOCK_KEY_BYTES &&
        ty_block_is_intact(key->mv_data, value->mv_data, value->mv_size))
        return TALLY_OK;
    memcpy(candidate, first, sizeof(candidate));
    to = TY_MIN(to, from + TY_GAP_PERIODS_MAX);
    for (uint32_t period = from; period <= to; period++) {
        ty_put_u32_be(candidate + 5, period);
        if (ty_block_is_intact(candidate, value->mv_data, value->mv_size))
            return ty_fail(error, TALLY_CORRUPT, "the stored %s %u of series %u has a damaged key",
                           level_name(first[4]), period, ty_get_u32_be(first));
    }
    return TALLY_OK;
}

static int compare(const MDB_val *key, const uint8_t *other)
{
    int order = memcmp(key->mv_data, other, TY_MIN(key->mv_size, (size_t)TY_BLOCK_KEY_BYTES));

    return order != 0 ? order : (int)key->mv_size - TY_BLOCK_KEY_BYTES;
}

static tally_status cannot_read(tally_error *error, int code)
{
    return code == MDB_NOTFOUND ? TALLY_OK : ty_store_fail(error, code, "cannot read totals");
}

/* Looks at an entry that lies beside the gap of [first, last], and at the next one away from the
 * gap: that must be further away by its key, too. Else the first has a damaged key, or is not the
 * one that lies there: LMDB finds it by an offset in the page, which has no checksum either. */
static tally_status check_neighbour(MDB_cursor *cursor, const MDB_val *key, const MDB_val *value,
                                    MDB_cursor_op away, const uint8_t *first, const uint8_t *last,
                                    tally_error *error)
{
    uint8_t copy[TY_BLOCK_KEY_BYTES];
    MDB_val next, ignored;
    tally_status status;
    int code, order;

    status = check_hidden(key, value, first, last, error);
    if (status != TALLY_OK)
        return status;
    if (key->mv_size != TY_BLOCK_KEY_BYTES) /* No such key is ever stored. */
        return out_of_order(first, error);
    memcpy(copy, key->mv_data, sizeof(copy));
    code = mdb_cursor_get(cursor, &next, &ignored, away);
    if (code != 0)
        return cannot_read(error, code);
    order = compare(&next, copy);
    return (away == MDB_NEXT ? order > 0 : order < 0) ? TALLY_OK : out_of_order(first, error);
}

tally_status ty_gap_check_before(MDB_cursor *cursor, const MDB_val *found, const uint8_t *first,
                                 const uint8_t *last, tally_error *error)
{
    MDB_val key, value;
    int code;

    if (found != NULL && compare(found, first) < 0)
        return out_of_order(first, error);
    code = mdb_cursor_get(cursor, &key, &value, found != NULL ? MDB_PREV : MDB_LAST);
    if (code != 0)
        return cannot_read(error, code);
    if (compare(&key, first) >= 0)
        return out_of_order(first, error);
    return check_neighbour(cursor, &key, &value, MDB_PREV, first, last, error);
}

tally_status ty_gap_check_behind(MDB_cursor *cursor, const MDB_val *found, const MDB_val *value,
                                 const uint8_t *first, const uint8_t *last, tally_error *error)
{
    if (compare(found, last) <= 0)
        return out_of_order(last, error);
    return check_neighbour(cursor, found, value, MDB_NEXT, first, last, error);
}

tally_status ty_gap_check(MDB_txn *txn, MDB_dbi tree, const uint8_t *key, tally_error *error)
{
    MDB_val at = {.mv_size = TY_BLOCK_KEY_BYTES, .mv_data = (void *)key}, value;
    MDB_cursor *cursor;
    tally_status status = TALLY_OK;
    bool found;
    int code = mdb_cursor_open(txn, tree, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read totals");
    code = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE);
    found = code == 0;
    if (code != 0)
        status = cannot_read(error, code);
    if (status == TALLY_OK && found)
        status = ty_gap_check_behind(cursor, &at, &value, key, key, error);
    at = (MDB_val){.mv_size = TY_BLOCK_KEY_BYTES, .mv_data = (void *)key};
    if (status == TALLY_OK && found) { /* That may have moved on. */
        found = mdb_cursor_get(cursor, &at, &value, MDB_SET_RANGE) == 0;
        /* As in key_gap.c: a cursor that has a page may find what a search for it did not. */
        if (found && compare(&at, key) <= 0)
            status = out_of_order(key, error);
    }
    if (status == TALLY_OK)
        status = ty_gap_check_before(cursor, found ? &at : NULL, key, key, error);
    mdb_cursor_close(cursor);
    return status;
}
