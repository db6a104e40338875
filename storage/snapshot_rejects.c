/*
 * snapshot_rejects.c: a snapshot's view of the kept rejects.
 */
#include "storage/bytes.h"
#include "storage/snapshot.h"
#include "storage/store_internal.h"

#define SEQ_BYTES 8

static tally_status decode(const MDB_val *key, const MDB_val *value, struct ty_kept_reject *kept,
                           tally_error *error)
{
    const char *problem;
    uint64_t seq;

    if (key->mv_size != SEQ_BYTES)
        return ty_fail(error, TALLY_CORRUPT, "a reject has a key of %zu bytes instead of %d",
                       key->mv_size, SEQ_BYTES);
    seq = ty_get_u64_be(key->mv_data);
    problem = ty_reject_decode(seq, value->mv_data, value->mv_size, kept);
    if (problem == NULL)
        return TALLY_OK;
    return ty_fail(error, TALLY_CORRUPT, "reject %llu: %s", (unsigned long long)seq, problem);
}

/*
 * Where to begin, going down: the reject right below a seq or, if it is not found whole, the
 * newest. Seqs have no gaps, so one that is not found is beyond the ends, or near a damaged key,
 * which may have misled the search: what lies at or above `before` is then passed over one by one.
 */
static int find_start(MDB_cursor *cursor, uint64_t before, MDB_val *key, MDB_val *value)
{
    struct ty_kept_reject kept;
    uint8_t bytes[SEQ_BYTES];
    int code;

    if (before <= 1)
        return MDB_NOTFOUND;
    ty_put_u64_be(bytes, before - 1);
    *key = (MDB_val){.mv_size = sizeof(bytes), .mv_data = bytes};
    code = mdb_cursor_get(cursor, key, value, MDB_SET_KEY);
    if (code == MDB_NOTFOUND || (code == 0 && decode(key, value, &kept, NULL) != TALLY_OK))
        return mdb_cursor_get(cursor, key, value, MDB_LAST);
    return code;
}

static bool has_seq(const MDB_val *key, uint64_t seq)
{
    return key->mv_size == SEQ_BYTES && ty_get_u64_be(key->mv_data) == seq;
}

/*
 * Hands on one reject after the other, down from where the cursor is. A damaged one has the seq of
 * its key if it goes on from the one above. Else its key is damaged, and all that is known is that
 * it lies above the next one that is whole: if that is the one right below *before, the damage lies
 * above that, and was told before.
 */
static tally_status walk(MDB_cursor *cursor, int code, MDB_val *key, MDB_val *value,
                         uint64_t *before,
                         bool (*each)(void *context, const struct ty_kept_reject *kept),
                         void *context, tally_error *error)
{
    struct ty_kept_reject kept;
    uint64_t above = 0; /* the last one that is whole */
    bool damaged = false;

    for (; code == 0; code = mdb_cursor_get(cursor, key, value, MDB_PREV)) {
        if (decode(key, value, &kept, damaged ? NULL : error) != TALLY_OK) {
            damaged = true;
            if (above != *before || !has_seq(key, above - 1))
                continue;
            --*before;
            return TALLY_CORRUPT;
        }
        if (kept.seq < *before && damaged && kept.seq + 1 != *before) {
            *before = kept.seq + 1;
            return TALLY_CORRUPT;
        }
        damaged = false;
        above = kept.seq;
        if (kept.seq >= *before)
            continue;
        *before = kept.seq;
        if (!each(context, &kept))
            return TALLY_OK;
    }
    if (code != MDB_NOTFOUND)
        return ty_store_fail(error, code, "cannot read the rejects");
    if (!damaged)
        return TALLY_OK;
    *before = 1;
    return TALLY_CORRUPT;
}

tally_status ty_snapshot_each_reject(struct ty_snapshot *snapshot, uint64_t *before,
                                     bool (*each)(void *context, const struct ty_kept_reject *kept),
                                     void *context, tally_error *error)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    tally_status status;
    int code = mdb_cursor_open(snapshot->txn, snapshot->store->rejects, &cursor);

    if (code != 0)
        return ty_store_fail(error, code, "cannot read the rejects");
    code = find_start(cursor, *before, &key, &value);
    status = walk(cursor, code, &key, &value, before, each, context, error);
    mdb_cursor_close(cursor);
    return status;
}
