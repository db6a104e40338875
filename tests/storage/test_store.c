#include "storage/snapshot.h"
#include "storage/store.h"
#include "tests/storage/store_fixture.h"

#include <errno.h>
#include <lmdb.h>
#include <stdio.h>

TestSuite(store, .init = make_directory, .fini = remove_directory);

/* What was committed is there after a restart; a fresh store is empty and says so. */
Test(store, keeps_everything_over_a_reopening)
{
    struct ty_store *store = open_store();

    check_filled(store, false);
    fill(store);
    check_filled(store, true);
    ty_store_close(store);
    store = open_store();
    check_filled(store, true);
    ty_store_close(store);
    ty_store_close(NULL);
}

/* With syncing on, as in production. */
Test(store, keeps_everything_with_sync)
{
    struct ty_store_options options = {
        .path = directory.path, .map_bytes = MAP_BYTES, .sync = true};
    struct ty_store *store;

    assert_ok(ty_store_open(&options, &store, &problem));
    fill(store);
    ty_store_close(store);
    assert_ok(ty_store_open(&options, &store, &problem));
    check_filled(store, true);
    ty_store_close(store);
}

/* A commit that is given up leaves no trace: nothing is remembered for events that were not stored.
 */
Test(store, an_aborted_transaction_leaves_no_trace)
{
    struct ty_store *store = open_store();
    struct ty_day_block day = make_day(9);

    fill(store);
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_day(store, 3, 19388, &day, &problem));
    assert_ok(append(store, 13, ARRIVAL_MS, 0, &problem));
    assert_ok(ty_store_delete_journal(store, 12, &problem));
    ty_store_abort(store);
    check_filled(store, true);
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_day(store, 3, 19388, &day, &problem));
    ty_store_close(store); /* with a transaction open */
    store = open_store();
    check_filled(store, true);
    ty_store_close(store);
}

/* Where the directory cannot be, and a file that is no store: errors that name the path. */
Test(store, refuses_places_that_cannot_be_a_store)
{
    struct ty_store_options options = {.map_bytes = MAP_BYTES};
    struct ty_store *store = (struct ty_store *)&options;
    char path[1200];
    FILE *file;

    snprintf(path, sizeof(path), "%s/missing/store", directory.path);
    options.path = path;
    cr_assert_eq(ty_store_open(&options, &store, &problem), TALLY_IO);
    cr_assert_not_null(strstr(problem.message, "missing/store"), "%s", problem.message);
    cr_assert_eq(store, (struct ty_store *)&options, "the output is untouched");
    snprintf(path, sizeof(path), "%s/data.mdb", directory.path);
    file = fopen(path, "w");
    for (int i = 0; i < 10000; i++)
        fputs("not a database", file);
    fclose(file);
    options.path = directory.path;
    cr_assert_eq(ty_store_open(&options, &store, &problem), TALLY_CORRUPT);
    cr_assert_not_null(strstr(problem.message, directory.path), "%s", problem.message);
    cr_assert_eq(store, (struct ty_store *)&options);
}

/* --- Space --- */

/* A full map refuses cleanly: what is stored stays, and once there is room events come in again. */
Test(store, a_full_map_is_clean_and_the_store_goes_on)
{
    struct ty_store *store = open_with(UINT64_C(4) << 20, &no_faults);
    struct ty_space space, trimmed;
    uint64_t last = 0, sequence;
    struct ty_journal_header header;
    size_t length;

    fill(store);
    for (last = 12;; last++) {
        tally_status status;

        assert_ok(ty_store_begin(store, &problem));
        status = append(store, last + 1, ARRIVAL_MS, 300000, &problem);
        if (status == TALLY_OK)
            status = ty_store_commit(store, &problem);
        else
            ty_store_abort(store);
        if (status == TALLY_OK)
            continue;
        cr_assert_eq(status, TALLY_FULL, "%s", problem.message);
        cr_assert_gt(strlen(problem.message), 10u);
        break;
    }
    cr_assert_gt(last, 18u, "most of the map can be used");
    check_filled(store, true);
    for (uint64_t n = 12; n < last; n++) {
        assert_ok(ty_store_begin(store, &problem));
        assert_ok(ty_store_first_journal(store, &sequence, &length, &header, &problem));
        cr_assert_eq(sequence, n);
        assert_ok(ty_store_delete_journal(store, sequence, &problem));
        assert_ok(ty_store_commit(store, &problem));
    }
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_space(store, true, &trimmed, &problem));
    cr_assert_gt(trimmed.free_bytes, 1000000u);
    cr_assert_leq(trimmed.file_bytes, trimmed.map_bytes);
    cr_assert_eq(trimmed.map_bytes, UINT64_C(4) << 20);
    cr_assert_gt(trimmed.disk_bytes, 0u);
    ty_store_abort(store);
    assert_ok(ty_store_space(store, false, &space, &problem));
    cr_assert_eq(space.free_bytes, 0u, "not counted");
    for (uint64_t n = last + 1; n < last + 5; n++) {
        assert_ok(ty_store_begin(store, &problem));
        assert_ok(append(store, n, ARRIVAL_MS, 300000, &problem));
        assert_ok(ty_store_commit(store, &problem));
    }
    assert_ok(ty_store_space(store, false, &space, &problem));
    cr_assert_eq(space.file_bytes, trimmed.file_bytes, "freed pages are used again");
    ty_store_close(store);
}

/* --- Faults --- */

struct fault {
    enum ty_fault_point point;
    int code; /* 0: none */
};

static int hit(void *context, enum ty_fault_point point)
{
    const struct fault *fault = context;

    return point == fault->point ? fault->code : 0;
}

/* One transaction that changes everything of fill(); its result, wherever it came from. */
static tally_status try_fill(struct ty_store *store, tally_error *error)
{
    struct ty_database_record database = make_database();
    tally_status status = ty_store_begin(store, error);

    if (status != TALLY_OK)
        return status;
    status = ty_store_put_database(store, &database, error);
    if (status != TALLY_OK) {
        ty_store_abort(store);
        return status;
    }
    return ty_store_commit(store, error);
}

/* What a failure at each point means for the caller, for later transactions, and for what is on the
 * disk after a restart: "unknown" only where it is unknown, and then for good. */
Test(store, faults_are_clean_or_final)
{
    static const struct {
        enum ty_fault_point point;
        int code;
        tally_status status;
        bool final, stored;
    } cases[] = {
        {TY_FAULT_BEGIN, EIO, TALLY_IO, false, false},
        {TY_FAULT_BEGIN, ENOMEM, TALLY_NO_MEMORY, false, false},
        {TY_FAULT_PUT, MDB_MAP_FULL, TALLY_FULL, false, false},
        {TY_FAULT_PUT, ENOSPC, TALLY_FULL, false, false},
        {TY_FAULT_PUT, EIO, TALLY_IO, false, false},
        {TY_FAULT_COMMIT, ENOSPC, TALLY_FULL, false, false},
        {TY_FAULT_COMMIT, EDQUOT, TALLY_FULL, false, false},
        {TY_FAULT_COMMIT, ENOMEM, TALLY_NO_MEMORY, false, false},
        {TY_FAULT_COMMIT, EIO, TALLY_UNKNOWN, true, false},
        {TY_FAULT_COMMIT, MDB_PANIC, TALLY_UNKNOWN, true, false},
        {TY_FAULT_COMMITTED, EIO, TALLY_UNKNOWN, true, true},
        {TY_FAULT_COMMITTED, ENOSPC, TALLY_UNKNOWN, true, true},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct fault fault = {cases[i].point, cases[i].code};
        struct ty_faults faults = {.hit = hit, .context = &fault};
        struct ty_store *store = open_with(MAP_BYTES, &faults);
        struct ty_snapshot *snapshot = NULL;
        struct ty_database_record record;
        bool found;

        cr_assert_eq(try_fill(store, &problem), cases[i].status, "case %zu: %s", i,
                     problem.message);
        cr_assert_gt(strlen(problem.message), 10u, "case %zu", i);
        fault.code = 0;
        if (cases[i].final) {
            cr_assert_eq(ty_store_begin(store, &problem), TALLY_FAILED, "case %zu", i);
            cr_assert_eq(ty_snapshot_begin(store, &snapshot, &problem), TALLY_FAILED, "case %zu",
                         i);
        } else {
            assert_ok(ty_store_begin(store, &problem));
            assert_ok(ty_store_get_database(store, &record, &found, &problem));
            cr_assert(!found, "case %zu", i);
            ty_store_abort(store);
            assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
            ty_snapshot_end(store, snapshot);
        }
        ty_store_close(store);
        store = open_store();
        assert_ok(ty_store_begin(store, &problem));
        assert_ok(ty_store_get_database(store, &record, &found, &problem));
        cr_assert_eq(found, cases[i].stored, "case %zu", i);
        ty_store_close(store);
        start_over();
    }
}
