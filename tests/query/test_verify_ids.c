/*
 * test_verify_ids.c: each way in which the sealed runs of remembered ids can be wrong, and what the
 * check says of it.
 */
#include "storage/audit.h"
#include "storage/id_runs.h"
#include "tests/query/verify_fixture.h"

TestSuite(verify_ids, .init = init, .fini = fini);

/* The record, and the last run: it has one list and one page. */
struct sealed {
    struct ty_id_runs_record record;
    struct ty_id_run_record *run;
    struct ty_id ids[TY_ID_PAGE_IDS + 1];
    uint32_t count;
};

static void keep_page(void *context, uint32_t run, uint32_t page, const struct ty_id *ids,
                      uint32_t count)
{
    struct sealed *sealed = context;

    if (run != sealed->run->run)
        return;
    cr_assert(page == 0 && count == sealed->run->count);
    memcpy(sealed->ids, ids, count * sizeof(*ids));
    for (uint32_t i = 0; i < count; i++)
        sealed->ids[i].arrived_ms += sealed->run->first_ms / 1000 * 1000;
    sealed->count = count;
}

static void keep_list(void *context, uint32_t run, uint32_t list, const uint64_t *prefixes,
                      uint32_t count)
{
    (void)context, (void)run, (void)list, (void)prefixes, (void)count;
}

static void skip_progress(void *context, uint64_t bytes)
{
    (void)context, (void)bytes;
}

static void get_sealed(struct ty_store *store, struct sealed *sealed)
{
    const struct ty_audit audit = {
        .context = sealed, .id_list = keep_list, .id_page = keep_page, .progress = skip_progress};
    bool found;

    sealed->count = 0;
    assert_ok(ty_store_get_id_runs(store, &sealed->record, &found, &problem));
    cr_assert(found && sealed->record.count >= 2);
    sealed->run = &sealed->record.runs[sealed->record.count - 1];
    assert_ok(ty_audit_walk(store, TY_AUDIT_IDS, &audit, &problem));
    cr_assert(sealed->count > 2 && sealed->count <= TY_ID_PAGE_IDS);
}

static void put_page(struct ty_store *store, const struct sealed *sealed, uint32_t page,
                     uint32_t count)
{
    assert_ok(ty_store_put_id_page(store, NULL, sealed->run, page, sealed->ids, count, &problem));
}

static void put_list(struct ty_store *store, const struct sealed *sealed, uint64_t change,
                     uint32_t count)
{
    uint64_t prefixes[TY_ID_PAGE_IDS];

    for (uint32_t i = 0; i < count; i++)
        prefixes[i] = sealed->ids[i].key.high >> TY_ID_PREFIX_SHIFT;
    prefixes[1] -= change;
    assert_ok(ty_store_put_id_list(store, NULL, sealed->run, 0, prefixes, count, &problem));
}

static int by_key(const void *a, const void *b)
{
    return ty_key_compare(&((const struct ty_id *)a)->key, &((const struct ty_id *)b)->key);
}

/* Everything of the run anew, as a program would that seals wrong ids. */
static void put_sealed(struct ty_store *store, struct sealed *sealed)
{
    sealed->run->count = sealed->count;
    qsort(sealed->ids, sealed->count, sizeof(sealed->ids[0]), by_key);
    put_page(store, sealed, 0, sealed->count);
    put_list(store, sealed, 0, sealed->count);
    assert_ok(ty_store_put_id_runs(store, NULL, &sealed->record, &problem));
}

static void sealed_beyond_the_end(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.record.sealed_sequence = 1000;
    put_sealed(store, &sealed);
}

static void runs_out_of_order(struct ty_store *store)
{
    struct sealed sealed;
    struct ty_id_run_record first;

    get_sealed(store, &sealed);
    first = sealed.record.runs[0];
    sealed.record.runs[0] = sealed.record.runs[1];
    sealed.record.runs[1] = first;
    assert_ok(ty_store_put_id_runs(store, NULL, &sealed.record, &problem));
}

static void run_twice(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.record.runs[sealed.record.count++] = *sealed.run;
    assert_ok(ty_store_put_id_runs(store, NULL, &sealed.record, &problem));
}

static void run_without_values(struct ty_store *store)
{
    struct sealed sealed;
    uint32_t deleted;

    get_sealed(store, &sealed);
    assert_ok(ty_store_delete_id_run(store, sealed.run->run, 100, &deleted, &problem));
}

static void run_without_its_list(struct ty_store *store)
{
    struct sealed sealed;
    uint32_t deleted;

    get_sealed(store, &sealed);
    assert_ok(ty_store_delete_id_run(store, sealed.run->run, 1, &deleted, &problem));
}

static void run_without_its_page(struct ty_store *store)
{
    struct sealed sealed;
    uint32_t deleted;

    get_sealed(store, &sealed);
    assert_ok(ty_store_delete_id_run(store, sealed.run->run, 2, &deleted, &problem));
    put_list(store, &sealed, 0, sealed.count);
}

static void page_beyond_the_last(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    put_page(store, &sealed, 7, sealed.count);
}

static void page_that_is_short(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    put_page(store, &sealed, 0, sealed.count - 1);
}

static void list_that_is_short(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    put_list(store, &sealed, 0, sealed.count - 1);
}

static void list_of_other_ids(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    put_list(store, &sealed, 1, sealed.count);
}

static void list_out_of_order(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    put_list(store, &sealed, sealed.ids[1].key.high >> TY_ID_PREFIX_SHIFT, sealed.count);
}

/* The run has one id more than a list holds, and the first of its second list is a lesser one. */
static void lists_out_of_order(struct ty_store *store)
{
    uint64_t prefixes[TY_ID_LIST_IDS];
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.run->count = TY_ID_LIST_IDS + 1;
    for (uint32_t i = 0; i < TY_ID_LIST_IDS; i++)
        prefixes[i] = 9;
    assert_ok(ty_store_put_id_list(store, NULL, sealed.run, 0, prefixes, TY_ID_LIST_IDS, &problem));
    prefixes[0] = 8;
    assert_ok(ty_store_put_id_list(store, NULL, sealed.run, 1, prefixes, 1, &problem));
    assert_ok(ty_store_put_id_runs(store, NULL, &sealed.record, &problem));
}

static void ids_out_of_order(struct ty_store *store)
{
    struct sealed sealed;
    struct ty_id first;

    get_sealed(store, &sealed);
    first = sealed.ids[0];
    sealed.ids[0] = sealed.ids[1];
    sealed.ids[1] = first;
    put_page(store, &sealed, 0, sealed.count);
    put_list(store, &sealed, 0, sealed.count);
}

static void id_of_another_time(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.ids[2].arrived_ms = sealed.run->last_ms + 2000;
    put_page(store, &sealed, 0, sealed.count);
}

static void id_that_was_not_sealed(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.ids[0] = sealed.ids[--sealed.count];
    put_sealed(store, &sealed);
}

static void sealed_later_than_said(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.record.sealed_sequence++;
    put_sealed(store, &sealed);
}

/* The last event was remembered when it came, and yet counted. */
static void id_that_was_sealed_before(struct ty_store *store)
{
    struct ty_event event = rot.events[ROT_EVENTS - 1];
    struct sealed sealed;

    get_sealed(store, &sealed);
    ty_event_hash(&event, &rot.world.record.secret);
    sealed.ids[sealed.count] = sealed.ids[0];
    sealed.ids[sealed.count++].key = event.key;
    put_sealed(store, &sealed);
}

/* What a crash leaves of a run that was being sealed, and of one that had left the window. */
static void leftovers(struct ty_store *store)
{
    struct sealed sealed;

    get_sealed(store, &sealed);
    sealed.run->run += 50;
    put_page(store, &sealed, 3, sealed.count);
    sealed.run->run -= 50;
    sealed.record.forgotten_until_ms = sealed.record.runs[0].last_ms;
    sealed.record.count--;
    memmove(&sealed.record.runs[0], &sealed.record.runs[1],
            sealed.record.count * sizeof(sealed.record.runs[0]));
    assert_ok(ty_store_put_id_runs(store, NULL, &sealed.record, &problem));
}

static const struct damaging changes[] = {
    {sealed_beyond_the_end, "ids: ids are sealed up to journal value 1000, but the last one is 21"},
    {runs_out_of_order, " before it"},
    {run_twice, "ids: the record names run"},
    {run_without_values, "is missing: it has"},
    {run_without_its_list, "ids: list 0 of run"},
    {run_without_its_page, "ids: page 0 of run"},
    {page_beyond_the_last, "has a page 7, but only"},
    {page_that_is_short, "ids: page 0 of run"},
    {list_that_is_short, "ids: list 0 of run"},
    {list_of_other_ids, "its ids are not those of the run's lists"},
    {list_out_of_order, ": no list of prefixes"},
    {lists_out_of_order, " is not in order"},
    {ids_out_of_order, "its ids are not in order"},
    {id_of_another_time, "its ids did not arrive when those of the run did"},
    {id_that_was_not_sealed, ": an id of it is in no run, but ids are sealed up to value"},
    {sealed_later_than_said, ": an id of it is in no run, but ids are sealed up to value"},
    {id_that_was_sealed_before, "journal value 21: an id of it counts a second time, run"},
};

/* What is not found here is found by a customer, on an invoice. */
Test(verify_ids, finds_and_names_whatever_does_not_fit_together)
{
    find_each(changes, TY_COUNT_OF(changes));
}

/* The server deletes what a crash left, and what has left the window is in no run. */
Test(verify_ids, knows_what_a_crash_leaves_of_sealed_ids)
{
    static struct said said;
    struct ty_verify_counts before = verify_as(0, &said), counts;

    change(leftovers);
    counts = verify_as(0, &said);
    cr_assert_eq(counts.problems, 0, "%s", said.text);
    cr_assert_eq(counts.id_leftovers, 3, "a page, and a run's list and page");
    cr_assert(counts.id_runs + 1 == before.id_runs && counts.sealed_ids < before.sealed_ids);
}

/* Too little memory makes the check say less, not something wrong. */
Test(verify_ids, with_little_memory_it_compares_less_and_says_so)
{
    const struct ty_verify_options options = {.dedup_window_ms = TY_MS_PER_HOUR,
                                              .memory_bytes = 1 << 16,
                                              .context = &(struct said){.length = 0},
                                              .report = note,
                                              .progress = note_progress};
    struct ty_database_record database;
    struct ty_verify_counts counts;

    assert_ok(ty_verify_shard(path, &options, &database, &counts, &problem));
    cr_assert_eq(counts.problems, 0);
    cr_assert_gt(counts.uncompared_ids, 0u);
}
