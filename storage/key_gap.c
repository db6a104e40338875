/*
 * key_gap.c: whether what a search did not find may yet be stored, under a damaged key.
 *
 * All but the damaged bytes are as they were, so what is hidden lies where it always did, and a
 * search for its true key ends right beside it (block_gap.c says why). So whoever believes that
 * something is not there looks at both sides of the gap. Checksums cover the keys: what does not
 * match under its own key, but does under the one that was looked for, is what was looked for. And
 * the entries there are in order.
 */
#include <string.h>

#include "storage/store_internal.h"

bool ty_key_ascends(const MDB_val *key, const MDB_val *next)
{
    int order = memcmp(key->mv_data, next->mv_data, TY_MIN(key->mv_size, next->mv_size));

    return order < 0 || (order == 0 && key->mv_size < next->mv_size);
}

static bool is_hidden(const struct ty_key_gap *gap, const MDB_val *wanted, const MDB_val *key,
                      const MDB_val *value)
{
    return !gap->is_intact(key, value) && gap->is_intact(wanted, value);
}

/* The entry on one side of a gap, which the cursor is at, and the next one away from it. */
static tally_status check_side(MDB_cursor *cursor, const MDB_val *wanted, const MDB_val *key,
                               const MDB_val *value, MDB_cursor_op away,
                               const struct ty_key_gap *gap, tally_error *error)
{
    MDB_val further, further_value;
    int code;

    if (is_hidden(gap, wanted, key, value))
        return gap->damaged(wanted, TY_KEY_NO_MATCH, error);
    if (away == MDB_NEXT ? !ty_key_ascends(wanted, key) : !ty_key_ascends(key, wanted))
        return gap->damaged(key, TY_KEY_OUT_OF_ORDER, error);
    code = mdb_cursor_get(cursor, &further, &further_value, away);
    if (code != 0)
        return code == MDB_NOTFOUND ? TALLY_OK
                                    : ty_store_fail(error, code, "cannot read what is beside");
    if (is_hidden(gap, wanted, &further, &further_value))
        return gap->damaged(wanted, TY_KEY_NO_MATCH, error);
    if (away == MDB_NEXT ? !ty_key_ascends(key, &further) : !ty_key_ascends(&further, key))
        return gap->damaged(key, TY_KEY_OUT_OF_ORDER, error);
    return TALLY_OK;
}

tally_status ty_key_gap_check(MDB_cursor *cursor, const MDB_val *wanted,
                              const struct ty_key_gap *gap, tally_error *error)
{
    MDB_val key = *wanted, value;
    tally_status status = TALLY_OK;
    int code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);

    if (code == 0)
        status = check_side(cursor, wanted, &key, &value, MDB_NEXT, gap, error);
    else if (code != MDB_NOTFOUND)
        return ty_store_fail(error, code, "cannot read what is beside");
    if (status != TALLY_OK)
        return status;
    key = *wanted;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    /* A cursor that has a page looks at the page's first key before it searches: so it may find
     * what the search that a damaged key leads astray does not. */
    if (code == 0 && !ty_key_ascends(wanted, &key))
        return gap->damaged(&key, TY_KEY_OUT_OF_ORDER, error);
    code = mdb_cursor_get(cursor, &key, &value, code == 0 ? MDB_PREV : MDB_LAST);
    if (code == 0)
        return check_side(cursor, wanted, &key, &value, MDB_PREV, gap, error);
    return code == MDB_NOTFOUND ? TALLY_OK
                                : ty_store_fail(error, code, "cannot read what is beside");
}
