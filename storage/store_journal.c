/*
 * store_journal.c: the writer's view of the journal (store.h); a reader's is snapshot_journal.c.
 */
#include "storage/bytes.h"
#include "storage/store_internal.h"

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
