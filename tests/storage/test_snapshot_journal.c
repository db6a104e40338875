#include "storage/snapshot.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

TestSuite(snapshot_journal, .init = make_directory, .fini = remove_directory);

#define TIMES 50

/* What a walk met. */
struct met {
    uint64_t sequences[TIMES];
    size_t count;
    size_t bytes;
    size_t stop_after;    /* 0: never */
    unsigned records_max; /* that are read of each value */
    unsigned records;
};

static bool meet(void *context, uint64_t sequence, struct ty_journal_cursor *cursor, size_t length)
{
    struct met *met = context;
    struct ty_journal_record record;

    cr_assert_lt(met->count, TY_COUNT_OF(met->sequences));
    met->sequences[met->count++] = sequence;
    met->bytes += length;
    cr_assert_eq(cursor->header.arrival_ms, ARRIVAL_MS + (int64_t)sequence);
    for (unsigned i = 0; i < met->records_max && ty_journal_next(cursor, &record); i++) {
        cr_assert_eq(record.kind, TY_JOURNAL_SERIES);
        met->records++;
    }
    return met->count != met->stop_after;
}

static void append_values(struct ty_store *store, uint64_t first, uint64_t last, size_t bytes)
{
    assert_ok(ty_store_begin(store, &problem));
    for (uint64_t sequence = first; sequence <= last; sequence++)
        assert_ok(append(store, sequence, ARRIVAL_MS + (int64_t)sequence, bytes, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

static void delete_values(struct ty_store *store, uint64_t first, uint64_t last)
{
    assert_ok(ty_store_begin(store, &problem));
    for (uint64_t sequence = first; sequence <= last; sequence++)
        assert_ok(ty_store_delete_journal(store, sequence, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

static tally_status walk(struct ty_store *store, uint64_t from, struct met *met)
{
    struct ty_snapshot *snapshot;
    tally_status status;

    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    status = ty_snapshot_each_journal(snapshot, from, meet, met, &problem);
    ty_snapshot_end(store, snapshot);
    return status;
}

static struct ty_journal_extent extent_of(struct ty_store *store)
{
    struct ty_journal_extent extent;
    struct ty_snapshot *snapshot;

    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    assert_ok(ty_snapshot_journal_extent(snapshot, &extent, &problem));
    ty_snapshot_end(store, snapshot);
    return extent;
}

/* A new database must not look as if it had lost its events. */
Test(snapshot_journal, an_empty_journal_has_no_ends_and_no_values)
{
    struct ty_store *store = open_store();
    struct ty_journal_extent extent = extent_of(store);
    struct met met = {0};

    cr_assert_eq(extent.first, 0u);
    cr_assert_eq(extent.last, 0u);
    cr_assert_eq(extent.committed, 0u);
    assert_ok(walk(store, 0, &met));
    cr_assert_eq(met.count, 0u);
    ty_store_close(store);
}

/* A page that begins in the middle must get every value from there on, once and in order, across
 * the border where sequences take a byte more. */
Test(snapshot_journal, values_come_in_order_from_where_was_asked)
{
    struct ty_store *store = open_store();
    static const uint64_t starts[] = {0, 240, 241, 255, 256, 257, 280, 281, UINT64_MAX};

    append_values(store, 240, 280, 200);
    cr_assert_eq(extent_of(store).first, 240u);
    cr_assert_eq(extent_of(store).last, 280u);
    cr_assert_eq(extent_of(store).oldest_received_ms, ARRIVAL_MS);
    for (size_t i = 0; i < TY_COUNT_OF(starts); i++) {
        uint64_t first = TY_MAX(starts[i], 240u);
        size_t count = first > 280 ? 0 : (size_t)(281 - first);
        struct met met = {.records_max = 99};

        assert_ok(walk(store, starts[i], &met));
        cr_assert_eq(met.count, count, "from %llu", (unsigned long long)starts[i]);
        for (size_t k = 0; k < count; k++)
            cr_assert_eq(met.sequences[k], first + k);
        cr_assert(met.bytes >= 200 * count);
        cr_assert(met.records >= 2 * count);
    }
    ty_store_close(store);
}

/* A page ends where it is full, and need not read all of a value. */
Test(snapshot_journal, a_walk_ends_when_enough_was_seen)
{
    struct ty_store *store = open_store();
    struct met met = {.stop_after = 3, .records_max = 1};

    append_values(store, 1, 9, 500);
    assert_ok(walk(store, 2, &met));
    cr_assert_eq(met.count, 3u);
    cr_assert_eq(met.records, 3u);
    cr_assert_eq(met.sequences[2], 4u);
    ty_store_close(store);
}

/* A value of megabytes lies on many pages of its own; all of it must be readable. */
Test(snapshot_journal, large_values_are_read_whole)
{
    struct ty_store *store = open_store();
    struct met met = {.records_max = UINT32_MAX};

    append_values(store, 1, 2, 3u << 20);
    assert_ok(walk(store, 1, &met));
    cr_assert_eq(met.count, 2u);
    cr_assert(met.bytes >= 6u << 20);
    cr_assert(met.records > 150000);
    ty_store_close(store);
}

/* Events arrive and are trimmed while a page is read: it must see neither. */
Test(snapshot_journal, a_snapshot_stays_as_it_was)
{
    struct ty_store *store = open_store();
    struct ty_journal_extent extent;
    struct ty_snapshot *snapshot;
    struct met met = {.records_max = 99};

    append_values(store, 1, 5, 100);
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    append_values(store, 6, 9, 100);
    delete_values(store, 1, 3);
    assert_ok(ty_snapshot_journal_extent(snapshot, &extent, &problem));
    cr_assert_eq(extent.first, 1u);
    cr_assert_eq(extent.last, 5u);
    assert_ok(ty_snapshot_each_journal(snapshot, 1, meet, &met, &problem));
    cr_assert_eq(met.count, 5u);
    ty_snapshot_end(store, snapshot);
    cr_assert_eq(extent_of(store).first, 4u);
    cr_assert_eq(extent_of(store).last, 9u);
    ty_store_close(store);
}

/* Whoever audits must be told which commit is damaged, after all that came before it. */
Test(snapshot_journal, a_damaged_or_missing_value_is_named)
{
    struct met met = {.records_max = 99}, again = {.records_max = 99}, rest = {.records_max = 99};
    struct ty_store *store = open_store();

    append_values(store, 1, 9, 100);
    ty_store_close(store);
    ty_damage_journal_flip(directory.path, 4, -3);
    ty_damage_journal_delete(directory.path, 7);
    store = open_store();
    cr_assert_eq(walk(store, 1, &met), TALLY_CORRUPT);
    cr_assert_str_eq(problem.message, "journal value 4: checksum mismatch");
    cr_assert_eq(met.count, 3u);
    cr_assert_eq(walk(store, 5, &again), TALLY_CORRUPT);
    cr_assert_str_eq(problem.message, "the journal lacks value 7");
    cr_assert_eq(again.count, 2u);
    assert_ok(walk(store, 8, &rest));
    cr_assert_eq(rest.count, 2u);
    ty_store_close(store);
}

/* The ends are known even when the first value has no readable header. */
Test(snapshot_journal, a_damaged_header_leaves_the_ends_known)
{
    struct ty_store *store = open_store();
    struct ty_journal_extent extent;
    struct ty_snapshot *snapshot;

    append_values(store, 3, 5, 100);
    ty_store_close(store);
    ty_damage_journal_flip(directory.path, 3, 0);
    store = open_store();
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    cr_assert_eq(ty_snapshot_journal_extent(snapshot, &extent, &problem), TALLY_CORRUPT);
    cr_assert_str_eq(problem.message, "journal value 3: malformed header");
    cr_assert_eq(extent.first, 3u);
    cr_assert_eq(extent.last, 5u);
    ty_snapshot_end(store, snapshot);
    ty_store_close(store);
}

/* An event is billed to whom its series says: a wrong bit there must not go unnoticed. */
Test(snapshot_journal, series_are_found_and_checked)
{
    static const uint8_t key[4] = {0, 0, 0, 3};
    struct ty_damage series = {directory.path, "series", key, sizeof(key)};
    struct ty_store *store = open_store();
    struct ty_uuid customer, workflow;
    struct ty_snapshot *snapshot;

    fill(store);
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    assert_ok(ty_snapshot_get_series(snapshot, 3, &customer, &workflow, &problem));
    cr_assert_eq(customer.bytes[0], 0xc);
    cr_assert_eq(workflow.bytes[0], 0xf);
    cr_assert_eq(ty_snapshot_get_series(snapshot, 4, &customer, &workflow, &problem),
                 TALLY_CORRUPT);
    cr_assert_str_eq(problem.message, "series 4 is not stored");
    ty_snapshot_end(store, snapshot);
    ty_store_close(store);

    ty_damage_flip(&series, 5, 1);
    store = open_store();
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    cr_assert_eq(ty_snapshot_get_series(snapshot, 3, &customer, &workflow, &problem),
                 TALLY_CORRUPT);
    cr_assert_str_eq(problem.message, "series 3 does not match its checksum");
    ty_snapshot_end(store, snapshot);
    ty_store_close(store);
}
