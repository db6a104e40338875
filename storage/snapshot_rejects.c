/*
 * snapshot_rejects.c: a snapshot's view of the kept rejects.
 */
#include "storage/bytes.h"
#include "storage/snapshot.h"
#include "storage/store_internal.h"

#define SEQ_BYTES 8

/* The last reject below a seq. */
static int find_below(MDB_cursor *cursor, uint64_t before, MDB_val *key, MDB_val *value)
{
    uint8_t bytes[SEQ_BYTES];
    int code;

    ty_put_u64_be(bytes, before);
    *key = (MDB_val){.mv_size = sizeof(bytes), .mv_data = bytes};
    code = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (code == 0)
        return mdb_cursor_get(cursor, key, value, MDB_PREV);
    return code == MDB_NOTFOUND ? mdb_cursor_get(cursor, key, value, MDB_LAST) : code;
}

static tally_status decode(const MDB_val *key, const MDB_val *value, struct ty_kept_reject *kept,
                           uint64_t *seq, tally_error *error)
{
    const char *problem;

    if (key->mv_size != SEQ_BYTES)
        return ty_fail(error, TALLY_CORRUPT, "a reject has a key of %zu bytes instead of %d",
                       key->mv_size, SEQ_BYTES);
    *seq = ty_get_u64_be(key->mv_data);
    problem = ty_reject_decode(*seq, value->mv_data, value->mv_size, kept);
    if (problem == NULL)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "reject %llu: %s", (unsigned long long)*seq, problem);
}

tally_status ty_snapshot_each_reject(struct ty_snapshot *snapshot, uint64_t *before,
                                     bool (*each)(void *context, const struct ty_kept_reject *kept),
                                     void *context, tally_error *error)
{
    struct ty_kept_reject kept;
    MDB_cursor *cursor;
    MDB_val key, value;
    tally_status status = TALLY_OK;
    int code = mdb_cursor_open(snapshot->txn, snapshot->store->rejects, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read the rejects");
    code = find_below(cursor, *before, &key, &value);
    while (code == 0 && (status = decode(&key, &value, &kept, before, error)) == TALLY_OK &&
           each(context, &kept))
        code = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    mdb_cursor_close(cursor);
    return code == 0 || code == MDB_NOTFOUND
               ? status
               : ty_store_fail(error, code, "cannot read the rejects");
}
