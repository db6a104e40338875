#include "engine/period.h"
#include "query/usage.h"
#include "storage/snapshot.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define PERIODS 70

static struct ty_world world;
static struct reference reference;
static unsigned next_id;

static void init(void)
{
    ty_world_init(&world);
    ty_world_open(&world);
}

static void fini(void)
{
    reference_fini(&reference);
    ty_world_fini(&world);
}

TestSuite(usage, .init = init, .fini = fini);

/* Stores an event of customer 1 at a time, in the shard and in the reference. */
static void add_event(unsigned workflow, int64_t time_ms, int64_t credits)
{
    char id[24];
    struct ty_event event;

    snprintf(id, sizeof(id), "event-%u", next_id++);
    event = ty_world_event(&world, 1, workflow, id);
    event.time_ms = time_ms;
    event.credits = credits;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED, "%s", id);
    reference_add(&reference, &event,
                  &(struct reference_commit){.received_ms = atomic_load(&world.wall_ms)});
}

static int64_t ms_of(const char *hour)
{
    return ty_period_start_ms(TALLY_HOURLY, ty_world_range(TALLY_HOURLY, hour, hour).first);
}

/* All that is hot is written and dropped: from now on only storage has it. */
static void make_cold(void)
{
    tally_error error = {""};

    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK, "%s", error.message);
    ty_world_pass(&world, world.options.checkpoint_ms + 1);
    ty_shard_maintain(world.shard);
    cr_assert_eq(world.shard->hot.bytes, 0, "%llu bytes are hot",
                 (unsigned long long)world.shard->hot.bytes);
}

/* Compares a range of periods with the plain sums of the reference, and the list's question too. */
static void check_range(unsigned workflow, const struct ty_range *range)
{
    struct ty_shard_view view = ty_shard_view(world.shard);
    struct ty_uuid customer = ty_world_customer(1), workflow_id = ty_world_workflow(workflow);
    struct ty_series *series = ty_series_find(view.series, &customer, &workflow_id);
    size_t count = (size_t)ty_range_count(range);
    struct ty_total *totals = calloc(count, sizeof(*totals));
    bool any = false, want_any = false;
    tally_error error = {""};

    cr_assert_eq(ty_usage_totals(&view, series, range, totals, &error), TALLY_OK, "%s",
                 error.message);
    for (size_t i = 0; i < count; i++) {
        int64_t period = range->first + (int64_t)i;
        struct ty_total want = reference_total(&reference, &customer, &workflow_id,
                                               ty_period_start_ms(range->frequency, period),
                                               ty_period_start_ms(range->frequency, period + 1));

        want_any |= want.events != 0;
        cr_assert(ty_total_equal(&totals[i], &want), "%s period %lld: %llu events instead of %llu",
                  ty_frequency_name(range->frequency), (long long)period,
                  (unsigned long long)totals[i].events, (unsigned long long)want.events);
    }
    free(totals);
    if (series == NULL)
        return;
    cr_assert_eq(ty_usage_any(&view, series, range, &any, &error), TALLY_OK, "%s", error.message);
    cr_assert_eq(any, want_any, "%s from %lld", ty_frequency_name(range->frequency),
                 (long long)range->first);
}

/* Ranges of every frequency that begin and end everywhere around a time. */
static void check_around(unsigned workflow, int64_t time_ms)
{
    for (int frequency = TALLY_MONTHLY; frequency <= TALLY_HOURLY; frequency++) {
        struct ty_range range = {.frequency = (tally_frequency)frequency};
        int64_t period = ty_period_of_ms(range.frequency, time_ms);

        for (int64_t before = 0; before < 3; before++)
            for (int64_t after = 0; after < 3; after++) {
                range.first = period - before;
                range.last = period + after;
                check_range(workflow, &range);
            }
        range.first = period - PERIODS;
        range.last = period + PERIODS;
        check_range(workflow, &range);
    }
}

/* Times at which periods of some kind begin or end. */
static const char *const edges[] = {
    "2022-12-31T23Z", "2023-01-01T00Z", "2023-01-01T23Z", "2023-01-02T00Z",
    "2023-01-31T23Z", "2023-02-01T00Z", "2020-12-31T23Z", "2021-01-01T00Z",
    "2021-01-03T23Z", "2021-01-04T00Z", "2020-02-29T12Z", "2023-02-01T11Z",
};

/* An event in the first and in the last millisecond of each of those hours. */
static void add_at_edges(void)
{
    for (size_t i = 0; i < TY_COUNT_OF(edges); i++) {
        add_event(1, ms_of(edges[i]), 1000000);
        add_event(1, ms_of(edges[i]) + TY_MS_PER_HOUR - 1, 7);
    }
}

static void check_edges(void)
{
    for (size_t i = 0; i < TY_COUNT_OF(edges); i++)
        check_around(1, ms_of(edges[i]));
}

/* What was just acknowledged would be missing from the customer's rows. */
Test(usage, adds_up_what_only_memory_has)
{
    add_at_edges();
    check_edges();
    cr_assert_neq(world.shard->hot.dirty_count, 0);
}

/* Old usage would be lost, or counted in the wrong period. */
Test(usage, adds_up_what_only_storage_has)
{
    add_at_edges();
    make_cold();
    check_edges();
}

/* Written months that are still in memory would count twice. */
Test(usage, counts_once_what_memory_and_storage_both_have)
{
    tally_error error = {""};

    add_at_edges();
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK, "%s", error.message);
    cr_assert_neq(world.shard->hot.bytes, 0);
    check_edges();
}

/* A late event makes a part of an old month hot: the rest must still come from storage. */
Test(usage, late_events_stand_beside_what_storage_has)
{
    static const char *const late[] = {"2023-01-01T00Z", "2021-01-03T23Z", "2023-01-15T06Z"};

    add_at_edges();
    make_cold();
    for (size_t i = 0; i < TY_COUNT_OF(late); i++) {
        add_event(1, ms_of(late[i]) + 1, -3); /* in a slot that storage has, and one not */
        add_event(1, ms_of(late[i]) + 16 * TY_MS_PER_MINUTE, 11);
        check_edges();
        check_around(1, ms_of(late[i]));
    }
    make_cold();
    check_edges();
}

/* Under pressure slots and days are dropped and their month stays: sums must not change. */
Test(usage, dropped_slots_and_days_are_read_from_storage)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    ty_world_crash(&world);
    world.options.hot_bytes = 3000;
    ty_world_open(&world);
    for (int round = 0; round < 40; round++) {
        int64_t back = (int64_t)ty_random_below(&random, 40 * (uint64_t)TY_MS_PER_DAY);

        add_event(1, TY_WORLD_START_MS - back, (int64_t)ty_random_below(&random, 1000));
        ty_world_pass(&world, (int64_t)ty_random_below(&random, 5000));
        if (ty_random_one_in(&random, 4))
            ty_shard_maintain(world.shard);
        if (ty_random_one_in(&random, 4))
            check_around(1, TY_WORLD_START_MS - back);
    }
    check_around(1, TY_WORLD_START_MS);
    cr_assert(world.shard->hot.bytes < 20000, "nothing was dropped");
}

/* The last days of December may be week 1, and the first of January week 53. */
Test(usage, weeks_go_across_years)
{
    static const struct {
        const char *hour;
        const char *week;
    } cases[] = {
        {"2020-12-28T00Z", "2020-W53"}, {"2021-01-03T23Z", "2020-W53"},
        {"2021-01-04T00Z", "2021-W01"}, {"2022-01-02T23Z", "2021-W52"},
        {"2018-12-31T00Z", "2019-W01"}, {"2016-01-03T12Z", "2015-W53"},
    };

    for (int cold = 0; cold < 2; cold++) {
        for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
            add_event(2 + (unsigned)i, ms_of(cases[i].hour), 1000000);
        if (cold)
            make_cold();
        for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
            struct ty_total total =
                ty_world_total(&world, 1, 2 + (unsigned)i, TALLY_WEEKLY, cases[i].week);

            cr_assert_eq(total.events, (uint64_t)cold + 1, "%s is not in %s", cases[i].hour,
                         cases[i].week);
            check_around(2 + (unsigned)i, ms_of(cases[i].hour));
        }
    }
}

/* An hour's slots must be those between its edges, at midnight too. */
Test(usage, hours_end_where_the_next_begins)
{
    struct ty_total totals[3];
    tally_error error = {""};

    for (int cold = 0; cold < 2; cold++) {
        memset(totals, 0, sizeof(totals));
        add_event(1, ms_of("2023-01-31T23Z") - 1, 1);
        add_event(1, ms_of("2023-01-31T23Z"), 10);
        add_event(1, ms_of("2023-02-01T00Z") - 1, 100);
        add_event(1, ms_of("2023-02-01T00Z"), 1000);
        if (cold)
            make_cold();
        cr_assert_eq(ty_world_usage(&world, 1, 1, TALLY_HOURLY, "2023-01-31T22Z", "2023-02-01T00Z",
                                    totals, &error),
                     TALLY_OK, "%s", error.message);
        cr_assert_eq((int64_t)totals[0].credits, 1 << cold);
        cr_assert_eq((int64_t)totals[1].credits, 110 << cold);
        cr_assert_eq((int64_t)totals[2].credits, 1000 << cold);
    }
}

/* The longest answer that is allowed must be right to its last row. */
Test(usage, ten_thousand_rows_are_exact)
{
    static const int64_t steps_ms[] = {
        [TALLY_MONTHLY] = 61 * TY_MS_PER_DAY,
        [TALLY_WEEKLY] = 13 * TY_MS_PER_DAY,
        [TALLY_DAILY] = 3 * TY_MS_PER_DAY + TY_MS_PER_HOUR,
        [TALLY_HOURLY] = 5 * TY_MS_PER_HOUR + 1,
    };

    for (int frequency = TALLY_MONTHLY; frequency <= TALLY_HOURLY; frequency++) {
        struct ty_range range = {.frequency = (tally_frequency)frequency};

        for (int64_t i = 0; i < 60; i++) {
            add_event(1, TY_WORLD_START_MS - i * steps_ms[frequency], i - 20);
            if (i % 25 == 24)
                make_cold();
        }
        range.last = ty_period_of_ms(range.frequency, TY_WORLD_START_MS);
        range.first = TY_MAX(range.last - TALLY_ROWS_MAX + 1, 0);
        range.last = range.first + TALLY_ROWS_MAX - 1;
        check_range(1, &range);
    }
}

/* A customer who never used a workflow has zeros, not an error. */
Test(usage, a_series_never_seen_has_zeros)
{
    struct ty_total total;

    add_event(1, TY_WORLD_START_MS, 5);
    total = ty_world_total(&world, 1, 9, TALLY_MONTHLY, "2023-02");
    cr_assert(ty_total_equal(&total, &(struct ty_total){0}));
    total = ty_world_total(&world, 9, 1, TALLY_MONTHLY, "2023-02");
    cr_assert(ty_total_equal(&total, &(struct ty_total){0}));
}

/* A workflow whose adjustments cancel out was used all the same. */
Test(usage, sums_of_zero_are_usage)
{
    struct ty_range month = ty_world_range(TALLY_MONTHLY, "2023-02", "2023-02");

    for (int round = 0; round < 2; round++) {
        struct ty_event event = ty_world_event(&world, 1, 1, round ? "minus" : "plus");

        event.credits = round ? -5000000 : 5000000;
        event.documents = event.pages = 0;
        event.processing_ms = 0;
        cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
        reference_add(&reference, &event,
                      &(struct reference_commit){.received_ms = TY_WORLD_START_MS});
    }
    check_range(1, &month);
    check_around(1, TY_WORLD_START_MS);
    cr_assert_eq((int64_t)ty_world_total(&world, 1, 1, TALLY_DAILY, "2023-02-01").credits, 0);
    make_cold();
    check_range(1, &month);
    check_around(1, TY_WORLD_START_MS);
}

/* With every place for readers taken a query must say "busy", and work again when one is free. */
Test(usage, too_many_readers_at_once_are_told_to_come_back)
{
    struct ty_shard_view view = ty_shard_view(world.shard);
    struct ty_snapshot *snapshots[2048];
    struct ty_total total = {0};
    tally_error error = {""};
    size_t count = 0;

    add_event(1, TY_WORLD_START_MS, 5);
    while (count < TY_COUNT_OF(snapshots) &&
           ty_snapshot_begin(view.store, &snapshots[count], &error) == TALLY_OK)
        count++;
    cr_assert(count > 1000 && count < TY_COUNT_OF(snapshots), "%zu readers", count);
    cr_assert_eq(ty_world_usage(&world, 1, 1, TALLY_MONTHLY, "2023-02", "2023-02", &total, &error),
                 TALLY_BUSY);
    cr_assert_neq(error.message[0], '\0');
    ty_snapshot_end(view.store, snapshots[--count]);
    check_around(1, TY_WORLD_START_MS);
    while (count > 0)
        ty_snapshot_end(view.store, snapshots[--count]);
}

/* A server that took a long query for a short one would hold up every other connection. */
Test(usage, the_cost_is_what_storage_may_have_to_read)
{
    static const struct {
        tally_frequency frequency;
        const char *first, *last;
        int64_t cost;
    } cases[] = {
        {TALLY_MONTHLY, "2023-01", "2023-12", 12},
        {TALLY_WEEKLY, "2023-W01", "2023-W02", 14},
        {TALLY_DAILY, "2023-01-01", "2023-01-31", 31},
        {TALLY_HOURLY, "2023-01-01T23", "2023-01-02T00", 2},
        {TALLY_HOURLY, "2023-01-01T00", "2023-01-01T23", 1},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_range range = ty_world_range(cases[i].frequency, cases[i].first, cases[i].last);

        cr_assert_eq(ty_usage_cost(&range), cases[i].cost, "case %zu", i);
    }
}
