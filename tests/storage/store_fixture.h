/*
 * store_fixture.h: a store in a directory of the test's own, and one of everything to put into it.
 *
 * Threads: each test is a process of its own.
 */
#ifndef TY_TESTS_STORAGE_STORE_FIXTURE_H
#define TY_TESTS_STORAGE_STORE_FIXTURE_H

#include "storage/snapshot.h"
#include "storage/store.h"
#include "tests/support/random.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <string.h>

#define MAP_BYTES  (UINT64_C(64) << 20)
#define ARRIVAL_MS INT64_C(1700000000000)

static struct ty_temporary_directory directory;
static struct ty_faults no_faults;
static tally_error problem; /* of the last call that failed */

#define assert_ok(call) cr_assert_eq(call, TALLY_OK, "%s", problem.message)

static inline void make_directory(void)
{
    ty_temporary_directory_create(&directory);
}

static inline void remove_directory(void)
{
    ty_temporary_directory_remove(&directory);
}

static inline void start_over(void)
{
    ty_temporary_directory_remove(&directory);
    ty_temporary_directory_create(&directory);
}

static inline struct ty_store *open_with(uint64_t map_bytes, const struct ty_faults *faults)
{
    struct ty_store_options options = {
        .path = directory.path, .map_bytes = map_bytes, .faults = faults};
    struct ty_store *store = NULL;

    cr_assert_eq(ty_store_open(&options, &store, &problem), TALLY_OK, "%s", problem.message);
    return store;
}

static inline struct ty_store *open_store(void)
{
    return open_with(MAP_BYTES, &no_faults);
}

/* A journal value without events that arrived at a time, padded to a size by series. */
static inline void make_value(struct ty_buffer *value, uint64_t sequence, int64_t arrival_ms,
                              size_t bytes)
{
    struct ty_journal_header header = {.received_ms = ARRIVAL_MS, .arrival_ms = arrival_ms};
    struct ty_uuid uuid = {.bytes = {1}};

    value->length = 0;
    ty_journal_begin(value, &header);
    while (value->length < bytes)
        ty_journal_put_series(value, 1, &uuid, &uuid);
    ty_journal_finish(value, sequence);
    cr_assert(ty_buffer_ok(value));
}

static inline tally_status append(struct ty_store *store, uint64_t sequence, int64_t arrival_ms,
                                  size_t bytes, tally_error *error)
{
    struct ty_buffer value = {0};
    tally_status status;

    make_value(&value, sequence, arrival_ms, bytes);
    status = ty_store_append_journal(store, sequence, value.data, value.length, error);
    ty_buffer_fini(&value);
    return status;
}

static inline struct ty_database_record make_database(void)
{
    struct ty_database_record record = {.shard = 2, .shard_count = 3};
    struct ty_random random;

    ty_random_init(&random, 1);
    ty_random_fill(&random, record.id, sizeof(record.id));
    ty_random_fill(&random, record.secret.bytes, sizeof(record.secret.bytes));
    for (size_t i = 0; i < TY_PARTITIONS; i++)
        record.partition_shard[i] = (uint16_t)(i % 3);
    return record;
}

static inline struct ty_day_block make_day(uint64_t pages)
{
    struct ty_day_block block = {.stamp = 5,
                                 .total = {.events = 1, .pages = (ty_int128)pages, .credits = -7}};

    block.used[47] = true;
    block.slots[47] = (struct ty_slot_sum){.events = 1, .pages = pages, .credits = -7};
    return block;
}

static const struct ty_state_record example_state = {
    .last_sequence = 12, .replay_from = 5, .journal_bytes = 6789, .arrival_ms = ARRIVAL_MS};

/* One of everything. */
static inline void fill(struct ty_store *store)
{
    struct ty_database_record database = make_database();
    struct ty_day_block day = make_day(3);
    struct ty_month_block month = {.stamp = 5, .total = day.total};
    struct ty_uuid customer = {.bytes = {0xc}}, workflow = {.bytes = {0xf}};

    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_put_database(store, &database, &problem));
    assert_ok(ty_store_put_state(store, &example_state, &problem));
    assert_ok(ty_store_put_series(store, 3, &customer, &workflow, &problem));
    assert_ok(append(store, 12, ARRIVAL_MS, 100, &problem));
    assert_ok(ty_store_put_day(store, 3, 19388, &day, &problem));
    assert_ok(ty_store_put_month(store, 3, 636, &month, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

static inline tally_status count_series(void *context, uint32_t id, const struct ty_uuid *customer,
                                        const struct ty_uuid *workflow)
{
    cr_assert_eq(id, 3u);
    cr_assert_eq(customer->bytes[0], 0xc);
    cr_assert_eq(workflow->bytes[0], 0xf);
    ++*(unsigned *)context;
    return TALLY_OK;
}

static inline void check_filled(struct ty_store *store, bool expected)
{
    struct ty_database_record database, want = make_database();
    struct ty_state_record state, none = {0};
    struct ty_journal_header header;
    struct ty_day_block day, want_day = make_day(3), no_day = {0};
    struct ty_month_block month;
    uint64_t sequence;
    unsigned series = 0;
    size_t length;
    bool found;

    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_database(store, &database, &found, &problem));
    cr_assert_eq(found, expected);
    if (found)
        cr_assert_eq(memcmp(&database, &want, sizeof(want)), 0);
    assert_ok(ty_store_get_state(store, &state, &problem));
    cr_assert_eq(memcmp(&state, expected ? &example_state : &none, sizeof(state)), 0);
    assert_ok(ty_store_each_series(store, count_series, &series, &problem));
    cr_assert_eq(series, expected ? 1u : 0u);
    assert_ok(ty_store_first_journal(store, &sequence, &length, &header, &problem));
    cr_assert_eq(sequence, expected ? 12u : 0u);
    assert_ok(ty_store_get_day(store, 3, 19388, &day, &problem));
    cr_assert_eq(memcmp(&day.slots, expected ? &want_day.slots : &no_day.slots, sizeof(day.slots)),
                 0);
    cr_assert_eq(day.stamp, expected ? 5u : 0u);
    assert_ok(ty_store_get_month(store, 3, 636, &month, &problem));
    cr_assert(ty_total_equal(&month.total, expected ? &want_day.total : &no_day.total));
    ty_store_abort(store);
}

/* ty_snapshot_each_reject() in a snapshot of its own. */
static inline tally_status
each_reject(struct ty_store *store, uint64_t *before,
            bool (*each)(void *context, const struct ty_kept_reject *kept), void *context)
{
    struct ty_snapshot *snapshot;
    tally_status status;

    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    status = ty_snapshot_each_reject(snapshot, before, each, context, &problem);
    ty_snapshot_end(store, snapshot);
    return status;
}

#endif
