#include "storage/snapshot.h"
#include "tests/support/random.h"
#include "tests/support/temporary_directory.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MAP_BYTES    (UINT64_C(64) << 20)
#define SERIES       4
#define PERIODS      300
#define SIMULTANEOUS 1000

static struct ty_temporary_directory directory;
static struct ty_store *store;
static tally_error problem; /* of the last call that failed */

#define assert_ok(call) cr_assert_eq(call, TALLY_OK, "%s", problem.message)

static void open_store(void)
{
    struct ty_store_options options = {.path = directory.path, .map_bytes = MAP_BYTES};

    ty_temporary_directory_create(&directory);
    assert_ok(ty_store_open(&options, &store, &problem));
}

static void close_store(void)
{
    ty_store_close(store);
    ty_temporary_directory_remove(&directory);
}

TestSuite(snapshot, .init = open_store, .fini = close_store);

/* Series 0, 3, 6 and UINT32_MAX, so that neighbours lie between them. */
static uint32_t series_id(size_t i)
{
    return i == SERIES - 1 ? UINT32_MAX : (uint32_t)i * 3;
}

/* What is stored: pages of each day and month, 0 where there is none. */
static uint64_t model[SERIES][2][PERIODS];

static void put(size_t series, enum ty_level level, int32_t period, uint64_t pages)
{
    struct ty_day_block day = {.stamp = 1, .total = {.events = 1, .pages = (ty_int128)pages}};
    struct ty_month_block month = {.stamp = 1, .total = day.total};

    day.used[period % 96] = true;
    day.slots[period % 96] = (struct ty_slot_sum){.events = 1, .pages = pages};
    if (level == TY_LEVEL_DAY)
        assert_ok(ty_store_put_day(store, series_id(series), period, &day, &problem));
    else
        assert_ok(ty_store_put_month(store, series_id(series), period, &month, &problem));
}

static void fill(struct ty_random *random)
{
    memset(model, 0, sizeof(model));
    assert_ok(ty_store_begin(store, &problem));
    for (size_t s = 0; s < SERIES; s++)
        for (int level = 0; level < 2; level++)
            for (int32_t period = 0; period < PERIODS; period++)
                if (ty_random_one_in(random, 3)) {
                    model[s][level][period] = 1 + ty_random_below(random, 1000000);
                    put(s, level == 0 ? TY_LEVEL_DAY : TY_LEVEL_MONTH, period,
                        model[s][level][period]);
                }
    assert_ok(ty_store_commit(store, &problem));
}

struct walk {
    const uint64_t *model; /* of the series and level */
    int32_t next;          /* the least period that may come */
    int32_t last;
    unsigned left; /* how many more are wanted */
};

static bool expect_total(void *context, int32_t period, const struct ty_total *total)
{
    struct walk *walk = context;

    cr_assert_gt(walk->left, 0u, "called again after it had enough");
    cr_assert(period >= walk->next && period <= walk->last, "period %d", period);
    for (; walk->next < period; walk->next++)
        cr_assert_eq(walk->model[walk->next], 0u, "period %d was left out", walk->next);
    cr_assert(total->events == 1 && total->pages == (ty_int128)walk->model[period]);
    walk->next = period + 1;
    return --walk->left > 0;
}

static bool expect_day(void *context, int32_t day, const struct ty_day_block *block)
{
    cr_assert(block->used[day % 96]);
    cr_assert_eq(block->slots[day % 96].pages, (uint64_t)block->total.pages);
    return expect_total(context, day, &block->total);
}

static void check_range(struct ty_snapshot *snapshot, size_t s, int level, int32_t first,
                        int32_t last, unsigned wanted, bool slots)
{
    struct walk walk = {
        .model = model[s][level], .next = TY_MAX(first, 0), .last = last, .left = wanted};

    if (slots)
        assert_ok(
            ty_snapshot_each_day(snapshot, series_id(s), first, last, expect_day, &walk, &problem));
    else
        assert_ok(ty_snapshot_each_total(snapshot, series_id(s),
                                         level == 0 ? TY_LEVEL_DAY : TY_LEVEL_MONTH, first, last,
                                         expect_total, &walk, &problem));
    for (; walk.left > 0 && walk.next <= TY_MIN(last, PERIODS - 1); walk.next++)
        cr_assert_eq(walk.model[walk.next], 0u, "period %d was left out", walk.next);
}

/* A report is a scan of a range: exactly the periods asked for, in order, and none of another
 * series or level. */
Test(snapshot, scans_exactly_the_range)
{
    struct ty_snapshot *snapshot;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    fill(&random);
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    for (int n = 0; n < 5000; n++) {
        int32_t first = (int32_t)ty_random_below(&random, PERIODS + 20) - 10;
        int32_t last = first + (int32_t)ty_random_below(&random, PERIODS) - 3;
        int level = (int)ty_random_below(&random, 2);

        check_range(snapshot, (size_t)ty_random_below(&random, SERIES), level, first, last,
                    ty_random_one_in(&random, 4) ? 1 + (unsigned)ty_random_below(&random, 5)
                                                 : UINT32_MAX,
                    level == 0 && ty_random_one_in(&random, 2));
    }
    for (size_t s = 0; s < SERIES; s++)
        check_range(snapshot, s, 1, INT32_MIN, INT32_MAX, UINT32_MAX, false);
    ty_snapshot_end(store, snapshot);
}

static bool count_total(void *context, int32_t period, const struct ty_total *total)
{
    (void)period;
    (void)total;
    ++*(unsigned *)context;
    return true;
}

static unsigned count_days(struct ty_snapshot *snapshot, uint32_t series)
{
    unsigned count = 0;

    assert_ok(ty_snapshot_each_total(snapshot, series, TY_LEVEL_DAY, 0, INT32_MAX, count_total,
                                     &count, &problem));
    return count;
}

static void add_day(int32_t day)
{
    assert_ok(ty_store_begin(store, &problem));
    put(0, TY_LEVEL_DAY, day, 1);
    assert_ok(ty_store_commit(store, &problem));
}

/* A report that takes its time sees one moment; the next one sees everything committed since. */
Test(snapshot, sees_one_commit_for_its_whole_life)
{
    struct ty_snapshot *old, *young;

    add_day(1);
    assert_ok(ty_snapshot_begin(store, &old, &problem));
    cr_assert_eq(count_days(old, 0), 1u);
    assert_ok(ty_store_begin(store, &problem));
    put(0, TY_LEVEL_DAY, 2, 1);
    assert_ok(ty_snapshot_begin(store, &young, &problem));
    cr_assert_eq(count_days(young, 0), 1u, "not committed yet");
    ty_snapshot_end(store, young);
    assert_ok(ty_store_commit(store, &problem));
    cr_assert_eq(count_days(old, 0), 1u, "committed later");
    assert_ok(ty_snapshot_begin(store, &young, &problem));
    cr_assert_eq(count_days(young, 0), 2u);
    ty_snapshot_end(store, young);
    ty_snapshot_end(store, old);
}

/* Snapshots are used again: the second use must see the newest commit, not the first one's. */
Test(snapshot, a_reused_one_sees_the_newest_commit)
{
    struct ty_snapshot *first = NULL;

    for (unsigned n = 1; n <= 300; n++) {
        struct ty_snapshot *snapshot;

        add_day((int32_t)n);
        assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
        if (first == NULL)
            first = snapshot;
        cr_assert_eq(snapshot, first, "taken from the pool");
        cr_assert_eq(count_days(snapshot, 0), n);
        ty_snapshot_end(store, snapshot);
    }
}

/* Many reports at once, more than there is room for (a clear "busy"), and again afterwards. */
Test(snapshot, a_thousand_may_be_open_and_more_are_refused)
{
    static struct ty_snapshot *snapshots[2 * SIMULTANEOUS];

    add_day(1);
    for (int round = 0; round < 3; round++) {
        size_t count = 0;
        tally_status status = TALLY_OK;

        while (count < TY_COUNT_OF(snapshots)) {
            status = ty_snapshot_begin(store, &snapshots[count], &problem);
            if (status != TALLY_OK)
                break;
            count++;
        }
        cr_assert_eq(status, TALLY_BUSY, "%s", problem.message);
        cr_assert_geq(count, (size_t)SIMULTANEOUS);
        cr_assert_gt(strlen(problem.message), 10u);
        for (size_t i = 0; i < count; i += 50)
            cr_assert_eq(count_days(snapshots[i], 0), 1u);
        for (size_t i = 0; i < count; i++)
            ty_snapshot_end(store, snapshots[i]);
        if (round == 1)
            ty_snapshot_drain(store);
    }
}

/* A series without any usage is no error, on an empty store neither. */
Test(snapshot, finds_nothing_where_nothing_is)
{
    struct ty_snapshot *snapshot;

    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    cr_assert_eq(count_days(snapshot, 0), 0u);
    ty_snapshot_end(store, snapshot);
    add_day(1);
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    cr_assert_eq(count_days(snapshot, 1), 0u);
    cr_assert_eq(count_days(snapshot, UINT32_MAX), 0u);
    ty_snapshot_end(store, snapshot);
}
