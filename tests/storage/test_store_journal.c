#include "tests/storage/store_fixture.h"

TestSuite(store_journal, .init = make_directory, .fini = remove_directory);

struct journal_walk {
    uint64_t next;
    uint64_t stop_at;
    size_t bytes;
};

static tally_status expect_value(void *context, uint64_t sequence, struct ty_journal_cursor *cursor,
                                 size_t length, tally_error *error)
{
    struct journal_walk *walk = context;
    struct ty_journal_record record;

    cr_assert_eq(sequence, walk->next++);
    cr_assert_eq(cursor->header.arrival_ms, ARRIVAL_MS + (int64_t)(sequence / 5) * 100);
    while (ty_journal_next(cursor, &record))
        cr_assert_eq(record.kind, TY_JOURNAL_SERIES);
    walk->bytes += length;
    return sequence == walk->stop_at ? ty_fail(error, TALLY_IO, "stopped") : TALLY_OK;
}

/* The journal is appended, searched by arrival, read from a place on, and trimmed from its start.
 */
Test(store_journal, the_journal_is_found_by_arrival_read_and_trimmed)
{
    const uint64_t first = 10, last = 60;
    struct ty_store *store = open_store();
    struct journal_walk walk = {.next = first};
    struct ty_journal_header header;
    uint64_t sequence;
    size_t length;

    assert_ok(ty_store_begin(store, &problem));
    for (uint64_t n = first; n <= last; n++)
        assert_ok(append(store, n, ARRIVAL_MS + (int64_t)(n / 5) * 100, (size_t)n, &problem));
    cr_assert_neq(append(store, last - 1, ARRIVAL_MS, 0, &problem), TALLY_OK, "only at the end");
    ty_store_abort(store);
    assert_ok(ty_store_begin(store, &problem));
    for (uint64_t n = first; n <= last; n++)
        assert_ok(append(store, n, ARRIVAL_MS + (int64_t)(n / 5) * 100, (size_t)n, &problem));
    for (uint64_t from = first; from <= last; from++)
        for (int64_t ms = ARRIVAL_MS + 150; ms <= ARRIVAL_MS + 1350; ms += 50) {
            uint64_t expected = from;

            while (expected <= last && ARRIVAL_MS + (int64_t)(expected / 5) * 100 < ms)
                expected++;
            assert_ok(ty_store_find_arrival(store, from, last, ms, &sequence, &problem));
            cr_assert_eq(sequence, expected);
        }
    assert_ok(ty_store_each_journal(store, 1, expect_value, &walk, &problem));
    cr_assert_eq(walk.next, last + 1);
    cr_assert_gt(walk.bytes, 1000u);
    walk = (struct journal_walk){.next = 33, .stop_at = 40};
    cr_assert_eq(ty_store_each_journal(store, 33, expect_value, &walk, &problem), TALLY_IO);
    cr_assert_str_eq(problem.message, "stopped");
    cr_assert_eq(walk.next, 41u);
    for (uint64_t n = first; n <= last; n++) {
        assert_ok(ty_store_first_journal(store, &sequence, &length, &header, &problem));
        cr_assert_eq(sequence, n);
        cr_assert_geq(length, (size_t)TY_MAX(n, (uint64_t)TY_JOURNAL_HEADER_BYTES));
        cr_assert_eq(header.arrival_ms, ARRIVAL_MS + (int64_t)(n / 5) * 100);
        assert_ok(ty_store_delete_journal(store, n, &problem));
        cr_assert_neq(ty_store_delete_journal(store, n, &problem), TALLY_OK, "gone");
    }
    assert_ok(ty_store_first_journal(store, &sequence, &length, &header, &problem));
    cr_assert_eq(sequence, 0u, "empty");
    ty_store_close(store);
}
