#include "storage/id_runs.h"
#include "tests/storage/store_fixture.h"

#include <stdlib.h>

TestSuite(id_runs, .init = make_directory, .fini = remove_directory);

#define FIRST_MS ARRIVAL_MS

static int compare(const void *a, const void *b)
{
    const struct ty_id *left = a, *right = b;

    return ty_key_compare(&left->key, &right->key);
}

static struct ty_id *make_ids(uint64_t seed, uint32_t count)
{
    struct ty_id *ids = calloc(count, sizeof(*ids));
    struct ty_random random;

    ty_random_init(&random, seed);
    for (uint32_t i = 0; i < count; i++)
        ids[i] = (struct ty_id){
            .key = {.high = ty_random_u64(&random), .low = ty_random_u64(&random)},
            .content = ty_random_u64(&random),
            .arrived_ms = FIRST_MS + (int64_t)ty_random_below(&random, 40) * 86400000 + 1};
    qsort(ids, count, sizeof(*ids), compare);
    return ids;
}

static struct ty_id_run_record run_of(uint32_t run, uint32_t count)
{
    return (struct ty_id_run_record){.run = run,
                                     .count = count,
                                     .first_ms = FIRST_MS,
                                     .last_ms = FIRST_MS + INT64_C(40) * 86400000};
}

/* All of a run, within the transaction. */
static void put_run(struct ty_store *store, const struct ty_id_run_record *run,
                    const struct ty_id *ids)
{
    uint64_t prefixes[TY_ID_LIST_IDS];

    for (uint32_t page = 0; page < ty_id_run_pages(run); page++) {
        uint32_t first = page * TY_ID_PAGE_IDS;

        assert_ok(ty_store_put_id_page(store, NULL, run, page, ids + first,
                                       TY_MIN(TY_ID_PAGE_IDS, run->count - first), &problem));
    }
    for (uint32_t list = 0; list < ty_id_run_lists(run); list++) {
        uint32_t first = list * TY_ID_LIST_IDS, count = TY_MIN(TY_ID_LIST_IDS, run->count - first);

        for (uint32_t i = 0; i < count; i++)
            prefixes[i] = ids[first + i].key.high >> TY_ID_PREFIX_SHIFT;
        assert_ok(ty_store_put_id_list(store, NULL, run, list, prefixes, count, &problem));
    }
}

static void put_all(struct ty_store *store, const struct ty_id_runs_record *record,
                    struct ty_id *const *ids)
{
    assert_ok(ty_store_begin(store, &problem));
    for (uint32_t i = 0; i < record->count; i++)
        put_run(store, &record->runs[i], ids[i]);
    assert_ok(ty_store_put_id_runs(store, NULL, record, &problem));
    assert_ok(ty_store_commit(store, &problem));
}

/* Arrivals come back rounded up to a second. */
static void check_id(const struct ty_id *read, const struct ty_id *put)
{
    cr_assert_eq(ty_key_compare(&read->key, &put->key), 0);
    cr_assert_eq(read->content, put->content);
    cr_assert(read->arrived_ms >= put->arrived_ms && read->arrived_ms < put->arrived_ms + 1000);
}

static void check_run(struct ty_store *store, const struct ty_id_run_record *run,
                      const struct ty_id *ids)
{
    for (uint32_t i = 0; i < run->count; i++) {
        struct ty_key other = {ids[i].key.high, ids[i].key.low ^ 1};
        struct ty_id read;
        bool found;

        assert_ok(
            ty_store_find_id(store, run, i / TY_ID_PAGE_IDS, &ids[i].key, &found, &read, &problem));
        cr_assert(found);
        check_id(&read, &ids[i]);
        assert_ok(
            ty_store_find_id(store, run, i / TY_ID_PAGE_IDS, &other, &found, &read, &problem));
        cr_assert(!found);
    }
    for (uint32_t list = 0, i = 0; list < ty_id_run_lists(run); list++) {
        uint64_t prefixes[TY_ID_LIST_IDS];
        uint32_t count;

        assert_ok(ty_store_get_id_list(store, run, list, prefixes, &count, &problem));
        for (uint32_t k = 0; k < count; k++, i++)
            cr_assert_eq(prefixes[k], ids[i].key.high >> TY_ID_PREFIX_SHIFT);
        cr_assert(i == run->count || i == (list + 1) * TY_ID_LIST_IDS);
    }
}

/* What was sealed is there after a restart: runs of less than a page, of whole pages, of many
 * pieces of filter. */
Test(id_runs, come_back_as_they_were_put)
{
    static const uint32_t counts[] = {1, TY_ID_PAGE_IDS - 1, TY_ID_PAGE_IDS, 20 * TY_ID_PAGE_IDS,
                                      9001};
    struct ty_id_runs_record record = {.sealed_sequence = 77, .forgotten_until_ms = INT64_MIN}, got;
    struct ty_id *ids[TY_COUNT_OF(counts)];
    struct ty_store *store = open_store();
    bool found;

    for (uint32_t i = 0; i < TY_COUNT_OF(counts); i++) {
        ids[i] = make_ids(ty_random_seed() + i, counts[i]);
        record.runs[record.count++] = run_of(10 + i, counts[i]);
    }
    put_all(store, &record, ids);
    ty_store_close(store);
    store = open_store();
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_id_runs(store, &got, &found, &problem));
    cr_assert_eq(memcmp(&got, &record, sizeof(got)), 0);
    for (uint32_t i = 0; i < got.count; i++) {
        check_run(store, &got.runs[i], ids[i]);
        free(ids[i]);
    }
    ty_store_close(store);
}

/* Leftovers go in slices, and only they. */
Test(id_runs, are_deleted_in_slices)
{
    struct ty_id_runs_record record = {.count = 3};
    struct ty_id *ids[3];
    struct ty_store *store = open_store();
    uint32_t run, deleted, slices = 0;
    struct ty_id id;
    bool found;

    for (uint32_t i = 0; i < 3; i++) {
        ids[i] = make_ids(ty_random_seed() + i, 5000);
        record.runs[i] = run_of(2 + 3 * i, 5000);
    }
    put_all(store, &record, ids);
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_next_id_run(store, 0, &run, &problem));
    cr_assert_eq(run, 2u);
    do {
        assert_ok(ty_store_delete_id_run(store, 5, 10, &deleted, &problem));
        cr_assert_leq(deleted, 10u);
        slices++;
    } while (deleted == 10);
    cr_assert_eq(slices,
                 (ty_id_run_pages(&record.runs[1]) + ty_id_run_lists(&record.runs[1])) / 10 + 1);
    assert_ok(ty_store_next_id_run(store, 3, &run, &problem));
    cr_assert_eq(run, 8u);
    assert_ok(ty_store_next_id_run(store, 9, &run, &problem));
    cr_assert_eq(run, TY_ID_RUN_NONE);
    check_run(store, &record.runs[0], ids[0]);
    check_run(store, &record.runs[2], ids[2]);
    cr_assert_eq(ty_store_find_id(store, &record.runs[1], 0, &ids[1][0].key, &found, &id, &problem),
                 TALLY_CORRUPT);
    ty_store_close(store);
    for (uint32_t i = 0; i < 3; i++)
        free(ids[i]);
}

/* Without its record nobody would know that ids are sealed, and they would count twice. */
Test(id_runs, without_their_record_are_an_error)
{
    struct ty_id_runs_record record = {.count = 1, .runs = {run_of(1, 10)}}, got;
    struct ty_id *ids = make_ids(1, 10);
    struct ty_store *store = open_store();
    bool found;

    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_id_runs(store, &got, &found, &problem));
    cr_assert_eq(got.count, 0u);
    cr_assert_eq(got.forgotten_until_ms, INT64_MIN);
    put_run(store, &record.runs[0], ids);
    assert_ok(ty_store_commit(store, &problem));
    assert_ok(ty_store_begin(store, &problem));
    cr_assert_eq(ty_store_get_id_runs(store, &got, &found, &problem), TALLY_CORRUPT);
    cr_assert(strstr(problem.message, "id_runs") != NULL, "%s", problem.message);
    ty_store_close(store);
    free(ids);
}
