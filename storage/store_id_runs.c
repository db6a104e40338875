/*
 * store_id_runs.c: the tree and the record of sealed runs (id_runs.h).
 */
#include <errno.h>

#include "storage/id_runs.h"
#include "storage/store_internal.h"

#define RECORD       "id_runs"
#define RUN_BYTES    (2 * 4 + 2 * 8)
#define RECORD_BYTES (TY_RECORD_HEADER_BYTES + 8 + 8 + 4 + TY_ID_RUNS_MAX * RUN_BYTES)

uint32_t ty_id_run_pages(const struct ty_id_run_record *run)
{
    return (uint32_t)(((uint64_t)run->count + TY_ID_PAGE_IDS - 1) / TY_ID_PAGE_IDS);
}

uint32_t ty_id_run_lists(const struct ty_id_run_record *run)
{
    return (uint32_t)(((uint64_t)run->count + TY_ID_LIST_IDS - 1) / TY_ID_LIST_IDS);
}

/* --- The record --- */

tally_status ty_store_put_id_runs(struct ty_store *store, struct ty_puts *puts,
                                  const struct ty_id_runs_record *record, tally_error *error)
{
    uint8_t bytes[RECORD_BYTES] = {0};
    uint8_t *out = ty_put_u64(bytes + TY_RECORD_HEADER_BYTES, record->sealed_sequence);

    out = ty_put_u32(ty_put_u64(out, (uint64_t)record->forgotten_until_ms), record->count);
    for (uint32_t i = 0; i < record->count; i++) {
        const struct ty_id_run_record *run = &record->runs[i];

        out = ty_put_u32(ty_put_u32(out, run->run), run->count);
        out = ty_put_u64(ty_put_u64(out, (uint64_t)run->first_ms), (uint64_t)run->last_ms);
    }
    return ty_store_put_record(store, puts, RECORD, bytes, sizeof(bytes), error);
}

static void get_run(struct ty_reader *reader, struct ty_id_run_record *run)
{
    run->run = ty_get_u32(reader);
    run->count = ty_get_u32(reader);
    run->first_ms = (int64_t)ty_get_u64(reader);
    run->last_ms = (int64_t)ty_get_u64(reader);
}

static void get_record(struct ty_reader *reader, struct ty_id_runs_record *record)
{
    record->sealed_sequence = ty_get_u64(reader);
    record->forgotten_until_ms = (int64_t)ty_get_u64(reader);
    record->count = ty_get_u32(reader);
    for (uint32_t i = 0; i < record->count && i < TY_ID_RUNS_MAX; i++)
        get_run(reader, &record->runs[i]);
}

bool ty_id_runs_decode(const void *value, size_t length, struct ty_id_runs_record *record)
{
    struct ty_reader reader = ty_reader_of(value, length);

    *record = (struct ty_id_runs_record){0};
    if (length != RECORD_BYTES)
        return false;
    ty_get_bytes(&reader, TY_RECORD_HEADER_BYTES);
    get_record(&reader, record);
    return record->count <= TY_ID_RUNS_MAX;
}

tally_status ty_store_get_id_runs(struct ty_store *store, struct ty_id_runs_record *record,
                                  bool *found, tally_error *error)
{
    struct ty_reader reader;
    tally_status status = ty_store_find_record(store->txn, store->meta, RECORD, store->id_runs,
                                               RECORD_BYTES, &reader, found, error);

    *record = (struct ty_id_runs_record){.forgotten_until_ms = INT64_MIN};
    if (status != TALLY_OK || !*found)
        return status;
    get_record(&reader, record);
    if (record->count > TY_ID_RUNS_MAX)
        status = ty_fail(error, TALLY_CORRUPT, "the id_runs record names %u runs", record->count);
    if (status != TALLY_OK)
        record->count = 0;
    return status;
}

/* --- Pages and lists --- */

static tally_status damaged(enum ty_id_kind kind, uint32_t number, uint32_t run,
                            const char *problem, tally_error *error)
{
    return ty_fail(error, TALLY_CORRUPT, "%s %u of run %u of the remembered ids: %s",
                   kind == TY_ID_PAGE ? "page" : "list", number, run, problem);
}

tally_status ty_store_put_id_page(struct ty_store *store, struct ty_puts *puts,
                                  const struct ty_id_run_record *run, uint32_t page,
                                  const struct ty_id *ids, uint32_t count, tally_error *error)
{
    uint8_t key[TY_ID_KEY_BYTES], value[TY_ID_PAGE_BYTES_MAX];
    size_t length;

    ty_id_key_encode(run->run, TY_ID_PAGE, page, key);
    length = ty_id_page_encode(key, run->first_ms, ids, count, value);
    return ty_store_fail(
        error, ty_store_put_or_keep(store, puts, store->id_runs, key, sizeof(key), value, length),
        "cannot store remembered ids");
}

/* A value that must be there, and the key that it lies under. */
static tally_status get_value(struct ty_store *store, uint32_t run, enum ty_id_kind kind,
                              uint32_t number, uint8_t key[TY_ID_KEY_BYTES], MDB_val *value,
                              tally_error *error)
{
    int code;

    ty_id_key_encode(run, kind, number, key);
    code = ty_store_get(store, store->id_runs, key, TY_ID_KEY_BYTES, value);
    if (code == MDB_NOTFOUND)
        return damaged(kind, number, run, "missing", error);
    return ty_store_fail(error, code, "cannot read remembered ids");
}

tally_status ty_store_find_id(struct ty_store *store, const struct ty_id_run_record *run,
                              uint32_t page, const struct ty_key *wanted, bool *found,
                              struct ty_id *id, tally_error *error)
{
    uint8_t key[TY_ID_KEY_BYTES];
    MDB_val value;
    const char *problem;
    tally_status status = get_value(store, run->run, TY_ID_PAGE, page, key, &value, error);

    if (status != TALLY_OK)
        return status;
    problem = ty_id_page_find(key, run->first_ms, value.mv_data, value.mv_size, wanted, found, id);
    return problem == NULL ? TALLY_OK : damaged(TY_ID_PAGE, page, run->run, problem, error);
}

tally_status ty_store_put_id_list(struct ty_store *store, struct ty_puts *puts,
                                  const struct ty_id_run_record *run, uint32_t list,
                                  const uint64_t *prefixes, uint32_t count, tally_error *error)
{
    uint8_t key[TY_ID_KEY_BYTES];
    struct ty_buffer value = {0};
    int code = ENOMEM;

    ty_id_key_encode(run->run, TY_ID_PREFIXES, list, key);
    ty_id_list_encode(key, prefixes, count, &value);
    if (ty_buffer_ok(&value))
        code = ty_store_put_or_keep(store, puts, store->id_runs, key, sizeof(key), value.data,
                                    value.length);
    ty_buffer_fini(&value);
    return ty_store_fail(error, code, "cannot store remembered ids");
}

tally_status ty_store_get_id_list(struct ty_store *store, const struct ty_id_run_record *run,
                                  uint32_t list, uint64_t prefixes[TY_ID_LIST_IDS], uint32_t *count,
                                  tally_error *error)
{
    uint8_t key[TY_ID_KEY_BYTES];
    MDB_val value;
    const char *problem;
    tally_status status = get_value(store, run->run, TY_ID_PREFIXES, list, key, &value, error);

    if (status != TALLY_OK)
        return status;
    problem = ty_id_list_decode(key, value.mv_data, value.mv_size, prefixes, count);
    return problem == NULL ? TALLY_OK : damaged(TY_ID_PREFIXES, list, run->run, problem, error);
}

/* --- Leftovers --- */

/* The first entry from a run's first key on. */
static int seek(MDB_cursor *cursor, uint32_t run, uint32_t *found)
{
    uint8_t first[4];
    MDB_val key = {.mv_size = sizeof(first), .mv_data = first}, value;
    int code;

    ty_put_u32_be(first, run);
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    if (code == 0)
        *found = key.mv_size >= 4 ? ty_get_u32_be(key.mv_data) : TY_ID_RUN_NONE;
    return code;
}

tally_status ty_store_next_id_run(struct ty_store *store, uint32_t from, uint32_t *run,
                                  tally_error *error)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(store->txn, store->id_runs, &cursor);

    *run = TY_ID_RUN_NONE;
    if (code == 0) {
        code = seek(cursor, from, run);
        mdb_cursor_close(cursor);
    }
    return code == MDB_NOTFOUND ? TALLY_OK
                                : ty_store_fail(error, code, "cannot read remembered ids");
}

tally_status ty_store_delete_id_run(struct ty_store *store, uint32_t run, uint32_t most,
                                    uint32_t *deleted, tally_error *error)
{
    MDB_cursor *cursor;
    uint32_t found;
    int code = mdb_cursor_open(store->txn, store->id_runs, &cursor);

    *deleted = 0;
    if (code != 0)
        return ty_store_fail(error, code, "cannot delete remembered ids");
    while (code == 0 && *deleted < most && (code = seek(cursor, run, &found)) == 0 &&
           found == run) {
        code = mdb_cursor_del(cursor, 0);
        ++*deleted;
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? TALLY_OK
                                : ty_store_fail(error, code, "cannot delete remembered ids");
}
