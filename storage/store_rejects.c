/*
 * store_rejects.c: the writer's operations on the trees of rejects (store.h).
 *
 * `rejects` has them by seq, `reject_ids` finds the seq by the identity. The index is only a hint:
 * it counts when the reject that it leads to is there, intact, and has that identity. So damage in
 * either tree costs at most one reject more, and never keeps a stream from being acknowledged.
 */
#include <string.h>

#include "storage/reject_codec.h"
#include "storage/store_internal.h"

#define RECORD_BYTES (TY_RECORD_HEADER_BYTES + 3 * 8)
#define SEQ_BYTES    8
#define SLICE_BYTES  (UINT64_C(1) << 18) /* dropped at once, beyond what is added */

static uint64_t bytes_of(size_t value_length)
{
    return value_length + TY_STORE_REJECT_OVERHEAD;
}

/* --- The record --- */

tally_status ty_store_put_rejects(struct ty_store *store, const struct ty_rejects_record *rejects,
                                  tally_error *error)
{
    uint8_t bytes[RECORD_BYTES];
    uint8_t *out = bytes + TY_RECORD_HEADER_BYTES;

    out = ty_put_u64(out, rejects->last_seq);
    out = ty_put_u64(out, rejects->count);
    ty_put_u64(out, rejects->bytes);
    return ty_store_put_record(store, NULL, "rejects", bytes, sizeof(bytes), error);
}

tally_status ty_store_get_rejects(struct ty_store *store, struct ty_rejects_record *rejects,
                                  tally_error *error)
{
    struct ty_reader reader;
    bool found;
    tally_status status = ty_store_find_record(store->txn, store->meta, "rejects", store->rejects,
                                               RECORD_BYTES, &reader, &found, error);

    *rejects = (struct ty_rejects_record){0};
    if (status != TALLY_OK || !found)
        return status;
    rejects->last_seq = ty_get_u64(&reader);
    rejects->count = ty_get_u64(&reader);
    rejects->bytes = ty_get_u64(&reader);
    return TALLY_OK;
}

/* --- Dropping --- */

/* The seq that the index has for an identity; 0: none. */
static int find_seq(struct ty_store *store, const uint8_t *identity, uint64_t *seq)
{
    MDB_val value;
    int code = ty_store_get(store, store->reject_ids, identity, TY_REJECT_IDENTITY_BYTES, &value);
    struct ty_reader reader;

    *seq = 0;
    if (code != 0)
        return code == MDB_NOTFOUND ? 0 : code;
    reader = ty_reader_of(value.mv_data, value.mv_size);
    *seq = ty_get_u64(&reader);
    return 0;
}

/* A newer reject may have taken over the identity of a damaged one: then the index stays. */
static int drop_index(struct ty_store *store, uint8_t *identity, uint64_t seq)
{
    MDB_val key = {.mv_size = TY_REJECT_IDENTITY_BYTES, .mv_data = identity};
    uint64_t found;
    int code = find_seq(store, identity, &found);

    if (code != 0 || found != seq)
        return code;
    return mdb_del(store->txn, store->reject_ids, &key, NULL);
}

/* Deletes what the cursor is on. */
static int drop_at(struct ty_store *store, MDB_cursor *cursor, const MDB_val *key,
                   const MDB_val *value)
{
    const uint8_t *found = ty_reject_read_identity(value->mv_data, value->mv_size);
    uint64_t seq = key->mv_size == SEQ_BYTES ? ty_get_u64_be(key->mv_data) : 0;
    uint8_t identity[TY_REJECT_IDENTITY_BYTES];
    int code;

    if (found != NULL) /* Copied, since deleting may move the bytes. */
        memcpy(identity, found, sizeof(identity));
    code = mdb_cursor_del(cursor, 0);
    if (code != 0 || found == NULL)
        return code;
    return drop_index(store, identity, seq);
}

/* Drops the oldest, whether it is intact or not. *freed is what it took; 0: there is none. */
static int drop_oldest(struct ty_store *store, struct ty_rejects_record *rejects, uint64_t *freed)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int code = mdb_cursor_open(store->txn, store->rejects, &cursor);

    *freed = 0;
    if (code != 0)
        return code;
    code = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    if (code == 0) {
        *freed = bytes_of(value.mv_size);
        code = drop_at(store, cursor, &key, &value);
        rejects->count -= TY_MIN(rejects->count, UINT64_C(1));
        rejects->bytes -= TY_MIN(rejects->bytes, *freed);
    } else if (code == MDB_NOTFOUND) {
        code = 0;
        rejects->count = rejects->bytes = 0;
    }
    mdb_cursor_close(cursor);
    return code;
}

/* Drops the oldest until there is room for `bytes` more, but not much more than that and a slice,
 * and never below `count_min`. */
static int make_room(struct ty_store *store, uint64_t bytes, uint64_t bytes_max, uint64_t count_min,
                     struct ty_rejects_record *rejects)
{
    uint64_t freed = 0, once;
    int code = 0;

    while (code == 0 && rejects->count > count_min && rejects->bytes + bytes > bytes_max &&
           freed < bytes + SLICE_BYTES) {
        code = drop_oldest(store, rejects, &once);
        freed += once;
    }
    return code;
}

tally_status ty_store_drop_rejects(struct ty_store *store, uint64_t bytes_max,
                                   struct ty_rejects_record *rejects, tally_error *error)
{
    return ty_store_fail(error, make_room(store, 0, bytes_max, 1, rejects),
                         "cannot drop old rejects");
}

/* --- Keeping --- */

/* Whether the reject that the index leads to is there and is the same. */
static int is_kept(struct ty_store *store, const uint8_t *identity, bool *kept)
{
    struct ty_kept_reject found;
    uint8_t key[SEQ_BYTES];
    uint64_t seq;
    MDB_val value;
    int code = find_seq(store, identity, &seq);

    *kept = false;
    if (code != 0 || seq == 0)
        return code;
    ty_put_u64_be(key, seq);
    code = ty_store_get(store, store->rejects, key, sizeof(key), &value);
    if (code != 0)
        return code == MDB_NOTFOUND ? 0 : code;
    *kept = ty_reject_decode(seq, value.mv_data, value.mv_size, &found) == NULL &&
            memcmp(ty_reject_read_identity(value.mv_data, value.mv_size), identity,
                   TY_REJECT_IDENTITY_BYTES) == 0;
    return 0;
}

tally_status ty_store_is_reject_kept(struct ty_store *store,
                                     const uint8_t identity[TY_REJECT_IDENTITY_BYTES], bool *kept,
                                     tally_error *error)
{
    return ty_store_fail(error, is_kept(store, identity, kept), "cannot read rejects");
}

/* Room for a value of a reject at the end of the tree. */
static int reserve(struct ty_store *store, uint64_t seq, MDB_val *value)
{
    uint8_t bytes[SEQ_BYTES];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    int code = ty_store_fault(store, TY_FAULT_PUT);

    ty_put_u64_be(bytes, seq);
    return code != 0 ? code
                     : mdb_put(store->txn, store->rejects, &key, value, MDB_APPEND | MDB_RESERVE);
}

static int put_reject(struct ty_store *store, const struct ty_reject *reject,
                      const uint8_t *identity, int64_t received_ms,
                      struct ty_rejects_record *rejects)
{
    MDB_val value = {.mv_size = ty_reject_value_length(reject)};
    uint64_t seq = rejects->last_seq + 1;
    uint8_t found[SEQ_BYTES];
    int code = reserve(store, seq, &value);

    if (code != 0)
        return code;
    ty_reject_encode(seq, received_ms, reject, identity, value.mv_data);
    rejects->last_seq = seq;
    rejects->count++;
    rejects->bytes += bytes_of(value.mv_size);
    ty_put_u64(found, seq);
    return ty_store_put(store, store->reject_ids, identity, TY_REJECT_IDENTITY_BYTES, found,
                        sizeof(found), 0);
}

tally_status ty_store_keep_reject(struct ty_store *store, const struct ty_reject *reject,
                                  const uint8_t identity[TY_REJECT_IDENTITY_BYTES],
                                  int64_t received_ms, uint64_t bytes_max,
                                  struct ty_rejects_record *rejects, tally_error *error)
{
    bool kept;
    int code = is_kept(store, identity, &kept);

    if (code == 0 && !kept)
        code = make_room(store, bytes_of(ty_reject_value_length(reject)), bytes_max, 0, rejects);
    if (code == 0 && !kept)
        code = put_reject(store, reject, identity, received_ms, rejects);
    return ty_store_fail(error, code, "cannot keep a reject");
}
