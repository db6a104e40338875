#include "storage/id_runs.h"
#include "storage/puts.h"
#include "tests/storage/store_fixture.h"

#include <errno.h>

TestSuite(puts, .init = make_directory, .fini = remove_directory);

static const struct ty_id_run_record run = {.run = 3, .count = 2, .first_ms = ARRIVAL_MS};

static struct ty_id id_of(uint64_t number)
{
    return (struct ty_id){
        .key = {.high = number << 40, .low = number}, .content = number, .arrived_ms = ARRIVAL_MS};
}

static bool is_stored(struct ty_store *store, const struct ty_id *id)
{
    struct ty_id found_id;
    bool found = false;

    assert_ok(ty_store_begin(store, &problem));
    (void)ty_store_find_id(store, &run, 0, &id->key, &found, &found_id, &problem);
    ty_store_abort(store);
    return found;
}

/* What one thread prepares, another one's transaction stores, all of it and the last of its kind.
 * Before that there is nothing. */
Test(puts, entries_are_kept_until_a_transaction_takes_them)
{
    struct ty_store *store = open_store();
    struct ty_id_runs_record record = {.sealed_sequence = 7, .count = 1, .runs = {run}}, read;
    struct ty_id first = id_of(1), second = id_of(2);
    struct ty_puts puts = {0};
    bool found;

    assert_ok(ty_store_put_id_page(store, &puts, &run, 0, &first, 1, &problem));
    assert_ok(ty_store_put_id_page(store, &puts, &run, 0, &second, 1, &problem));
    assert_ok(ty_store_put_id_runs(store, &puts, &record, &problem));
    cr_assert(ty_puts_ok(&puts));
    cr_assert_not(is_stored(store, &first));

    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_kept(store, &puts, &problem));
    assert_ok(ty_store_commit(store, &problem));
    cr_assert_not(is_stored(store, &first), "the later one took its place");
    cr_assert(is_stored(store, &second));
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_id_runs(store, &read, &found, &problem));
    ty_store_abort(store);
    cr_assert(found);
    cr_assert_eq(read.sealed_sequence, 7);
    ty_puts_fini(&puts);
    ty_store_close(store);
}

/* A list that is cleared must not store what another commit's was. */
Test(puts, a_cleared_list_stores_nothing)
{
    struct ty_store *store = open_store();
    struct ty_id id = id_of(1);
    struct ty_puts puts = {0};

    assert_ok(ty_store_put_id_page(store, &puts, &run, 0, &id, 1, &problem));
    ty_puts_clear(&puts);
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_kept(store, &puts, &problem));
    assert_ok(ty_store_commit(store, &problem));
    cr_assert_not(is_stored(store, &id));
    ty_puts_fini(&puts);
    ty_store_close(store);
}

/* A list with a gap would be a run with a page missing: it must be refused as a whole. */
Test(puts, a_list_that_had_no_memory_is_refused_until_it_is_cleared)
{
    struct ty_store *store = open_store();
    struct ty_id id = id_of(1);
    struct ty_puts puts = {.bytes.failed = true};

    assert_ok(ty_store_put_id_page(store, &puts, &run, 0, &id, 1, &problem));
    cr_assert_not(ty_puts_ok(&puts));
    assert_ok(ty_store_begin(store, &problem));
    cr_assert_eq(ty_store_put_kept(store, &puts, &problem), TALLY_NO_MEMORY);
    ty_store_abort(store);
    ty_puts_clear(&puts);
    cr_assert(ty_puts_ok(&puts));
    assert_ok(ty_store_put_id_page(store, &puts, &run, 0, &id, 1, &problem));
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_kept(store, &puts, &problem));
    assert_ok(ty_store_commit(store, &problem));
    cr_assert(is_stored(store, &id));
    ty_puts_fini(&puts);
    ty_store_close(store);
}

static int fail_puts(void *context, enum ty_fault_point point)
{
    (void)context;
    return point == TY_FAULT_PUT ? ENOSPC : 0;
}

/* A full disk is told as it is for any other entry. */
Test(puts, a_put_that_fails_is_told)
{
    struct ty_faults faults = {.hit = fail_puts};
    struct ty_store *store = open_with(MAP_BYTES, &faults);
    struct ty_id id = id_of(1);
    struct ty_puts puts = {0};

    assert_ok(ty_store_put_id_page(store, &puts, &run, 0, &id, 1, &problem));
    assert_ok(ty_store_begin(store, &problem));
    cr_assert_eq(ty_store_put_kept(store, &puts, &problem), TALLY_FULL);
    ty_store_abort(store);
    ty_puts_fini(&puts);
    ty_store_close(store);
}

/* While another thread's transaction is open, days are read as the last commit left them. */
Test(puts, looking_ahead_reads_what_is_committed)
{
    struct ty_store *store = open_store();
    struct ty_month_block month = {.stamp = 1, .total.events = 5}, read;

    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_month(store, 1, 637, &month, &problem));
    assert_ok(ty_store_commit(store, &problem));
    assert_ok(ty_store_begin(store, &problem));
    month.total.events = 6;
    assert_ok(ty_store_put_month(store, 1, 637, &month, &problem));
    assert_ok(ty_store_look(store, &problem));
    assert_ok(ty_store_get_month(store, 1, 637, &read, &problem));
    cr_assert_eq(read.total.events, 5);
    ty_store_look_away(store);
    assert_ok(ty_store_get_month(store, 1, 637, &read, &problem));
    cr_assert_eq(read.total.events, 6, "the transaction's own again");
    assert_ok(ty_store_commit(store, &problem));
    ty_store_close(store);
}
