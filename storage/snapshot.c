#include "storage/snapshot.h"

#include <errno.h>
#include <stdlib.h>

#include "storage/bytes.h"
#include "storage/store_internal.h"

static void free_snapshot(struct ty_snapshot *snapshot)
{
    if (snapshot->blocks != NULL)
        mdb_cursor_close(snapshot->blocks);
    mdb_txn_abort(snapshot->txn);
    free(snapshot);
}

/* Takes an idle snapshot out of the pool. Acquire pairs with the release in give_back(), so that
 * what its last user did to it is over. */
static struct ty_snapshot *take_idle(struct ty_store *store)
{
    for (size_t i = 0; i < TY_SNAPSHOT_POOL; i++) {
        struct ty_snapshot *idle = atomic_load_explicit(&store->pool[i], memory_order_relaxed);

        if (idle != NULL &&
            (idle = atomic_exchange_explicit(&store->pool[i], NULL, memory_order_acquire)) != NULL)
            return idle;
    }
    return NULL;
}

static bool give_back(struct ty_store *store, struct ty_snapshot *snapshot)
{
    for (size_t i = 0; i < TY_SNAPSHOT_POOL; i++) {
        struct ty_snapshot *empty = NULL;

        if (atomic_load_explicit(&store->pool[i], memory_order_relaxed) == NULL &&
            atomic_compare_exchange_strong_explicit(&store->pool[i], &empty, snapshot,
                                                    memory_order_release, memory_order_relaxed))
            return true;
    }
    return false;
}

static int begin_new(struct ty_store *store, struct ty_snapshot **out)
{
    struct ty_snapshot *snapshot = calloc(1, sizeof(*snapshot));
    int code;

    if (snapshot == NULL)
        return ENOMEM;
    snapshot->store = store;
    code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &snapshot->txn);
    if (code != 0) {
        free(snapshot);
        return code;
    }
    code = mdb_cursor_open(snapshot->txn, store->blocks, &snapshot->blocks);
    if (code != 0) {
        free_snapshot(snapshot);
        return code;
    }
    *out = snapshot;
    return 0;
}

tally_status ty_snapshot_begin(struct ty_store *store, struct ty_snapshot **snapshot,
                               tally_error *error)
{
    struct ty_snapshot *idle;
    int code;

    if (atomic_load_explicit(&store->failed, memory_order_relaxed))
        return ty_fail(error, TALLY_FAILED, "a commit failed halfway; reopen the database");
    idle = take_idle(store);
    if (idle == NULL) {
        code = begin_new(store, snapshot);
        ty_store_fence(memory_order_acquire);
        return ty_store_fail(error, code, "cannot begin reading");
    }
    code = mdb_txn_renew(idle->txn);
    /* Here and above: pairs with the one in ty_store_commit(). */
    ty_store_fence(memory_order_acquire);
    if (code == 0)
        code = mdb_cursor_renew(idle->txn, idle->blocks);
    if (code != 0) {
        free_snapshot(idle);
        return ty_store_fail(error, code, "cannot begin reading");
    }
    *snapshot = idle;
    return TALLY_OK;
}

void ty_snapshot_end(struct ty_store *store, struct ty_snapshot *snapshot)
{
    mdb_txn_reset(snapshot->txn);
    if (!give_back(store, snapshot))
        free_snapshot(snapshot);
}

void ty_snapshot_drain(struct ty_store *store)
{
    struct ty_snapshot *idle;

    while ((idle = take_idle(store)) != NULL)
        free_snapshot(idle);
}

/* Whether a key belongs to the series' days or months up to `last`, behind those before it; fills
 * the period. */
static bool is_within(const MDB_val *key, const uint8_t first[TY_BLOCK_KEY_BYTES], int64_t before,
                      int32_t last, int32_t *period)
{
    const uint8_t *bytes = key->mv_data;

    if (key->mv_size != TY_BLOCK_KEY_BYTES || memcmp(bytes, first, 5) != 0)
        return false;
    *period = (int32_t)ty_get_u32_be(bytes + 5);
    return *period <= last && *period > before;
}

struct scan {
    uint32_t series;
    enum ty_level level;
    bool (*each_total)(void *context, int32_t period, const struct ty_total *total);
    bool (*each_day)(void *context, int32_t day, const struct ty_day_block *block);
    void *context;
};

/* Decodes one block and hands it on; sets *stop when the caller has seen enough. */
static const char *hand_on(const struct scan *scan, int32_t period, const MDB_val *key,
                           const MDB_val *value, bool *stop)
{
    struct ty_day_block block;
    struct ty_total total;
    uint64_t stamp;
    const char *problem;

    if (scan->each_day != NULL) {
        problem = ty_day_block_decode(key->mv_data, value->mv_data, value->mv_size, &block);
        *stop = problem == NULL && !scan->each_day(scan->context, period, &block);
    } else {
        problem =
            ty_block_decode_total(key->mv_data, value->mv_data, value->mv_size, &stamp, &total);
        *stop = problem == NULL && !scan->each_total(scan->context, period, &total);
    }
    return problem;
}

/* Finds the first entry of the scan; where that is not the first key itself, what is before it is
 * looked at, too. */
static tally_status begin_scan(MDB_cursor *cursor, const uint8_t *first, const uint8_t *last,
                               MDB_val *key, MDB_val *value, int *code, tally_error *error)
{
    const MDB_val start = {.mv_size = TY_BLOCK_KEY_BYTES, .mv_data = (void *)first};
    tally_status status;

    *key = start;
    *code = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (*code != 0 && *code != MDB_NOTFOUND)
        return TALLY_OK;
    if (*code == 0 && key->mv_size == start.mv_size &&
        memcmp(key->mv_data, first, start.mv_size) == 0)
        return TALLY_OK;
    status = ty_gap_check_before(cursor, *code == 0 ? key : NULL, first, last, error);
    *key = start;
    if (status == TALLY_OK && *code == 0)
        *code = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    return status;
}

static tally_status run(struct ty_snapshot *snapshot, const struct scan *scan, int32_t first,
                        int32_t last, tally_error *error)
{
    uint8_t from[TY_BLOCK_KEY_BYTES], to[TY_BLOCK_KEY_BYTES];
    int64_t before = -1;
    MDB_val key, value;
    int32_t period;
    bool stop = false;
    tally_status status;
    int code;

    if (last < TY_MAX(first, 0))
        return TALLY_OK;
    ty_block_key(scan->series, scan->level, TY_MAX(first, 0), from);
    ty_block_key(scan->series, scan->level, last, to);
    status = begin_scan(snapshot->blocks, from, to, &key, &value, &code, error);
    while (status == TALLY_OK && code == 0 && !stop &&
           is_within(&key, from, before, last, &period)) {
        const char *problem = hand_on(scan, period, &key, &value, &stop);

        if (problem != NULL)
            return ty_fail(error, TALLY_CORRUPT, "the stored %s %d of series %u: %s",
                           scan->level == TY_LEVEL_DAY ? "day" : "month", period, scan->series,
                           problem);
        before = period;
        code = mdb_cursor_get(snapshot->blocks, &key, &value, MDB_NEXT);
    }
    if (status == TALLY_OK && code == 0 && !stop && before != last)
        status = ty_gap_check_behind(snapshot->blocks, &key, &value, from, to, error);
    if (status != TALLY_OK || code == MDB_NOTFOUND)
        return status;
    return ty_store_fail(error, code, "cannot read totals");
}

tally_status ty_snapshot_each_total(struct ty_snapshot *snapshot, uint32_t series,
                                    enum ty_level level, int32_t first, int32_t last,
                                    bool (*each)(void *context, int32_t period,
                                                 const struct ty_total *total),
                                    void *context, tally_error *error)
{
    struct scan scan = {.series = series, .level = level, .each_total = each, .context = context};

    return run(snapshot, &scan, first, last, error);
}

tally_status
ty_snapshot_each_day(struct ty_snapshot *snapshot, uint32_t series, int32_t first, int32_t last,
                     bool (*each)(void *context, int32_t day, const struct ty_day_block *block),
                     void *context, tally_error *error)
{
    struct scan scan = {
        .series = series, .level = TY_LEVEL_DAY, .each_day = each, .context = context};

    return run(snapshot, &scan, first, last, error);
}
