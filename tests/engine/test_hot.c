#include "engine/hot.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SERIES 3
#define DAYS   8
#define SLOTS  5 /* of a day, so that they are used again and again */
#define MONTHS 7

/* Around the ends of months, of a year and of February, and the very first day. */
static const int32_t days[DAYS] = {0, 19387, 19388, 19416, 19417, 19475, 19722, 19723};
static const uint8_t slots[SLOTS] = {0, 1, 47, 94, 95};
static const int32_t months[MONTHS] = {0, 636, 637, 638, 639, 647, 648};

/* --- Storage, in memory: what is committed, and what the commit being built puts. --- */

struct stored {
    struct ty_day_block day[SERIES][DAYS];
    struct ty_month_block month[SERIES][MONTHS];
};

static struct {
    struct stored committed, building;
    tally_status failure; /* what loads answer, unless TALLY_OK */
    unsigned loads;
} cold;

static size_t day_index(int32_t day)
{
    for (size_t i = 0; i < DAYS; i++)
        if (days[i] == day)
            return i;
    cr_assert(false, "day %d is not part of the model", day);
    return 0;
}

static size_t month_index(int32_t month)
{
    for (size_t i = 0; i < MONTHS; i++)
        if (months[i] == month)
            return i;
    cr_assert(false, "month %d is not part of the model", month);
    return 0;
}

static tally_status load_day(void *context, uint32_t series, int32_t day,
                             struct ty_day_block *block)
{
    (void)context;
    cold.loads++;
    if (cold.failure == TALLY_OK)
        *block = cold.building.day[series][day_index(day)];
    return cold.failure;
}

static tally_status load_month(void *context, uint32_t series, int32_t month,
                               struct ty_month_block *block)
{
    (void)context;
    cold.loads++;
    if (cold.failure == TALLY_OK)
        *block = cold.building.month[series][month_index(month)];
    return cold.failure;
}

/* --- The model: plain sums, as committed and with the commit being built. --- */

typedef struct ty_slot_sum sums[SERIES][DAYS][SLOTS];

struct world {
    struct ty_hot hot;
    struct ty_series series[SERIES];
    sums committed, building;
    uint64_t sequence; /* of the last commit that had events */
    int64_t now_ms;
    bool building_events;
    struct ty_random random;
};

static struct world *make_world(void)
{
    struct world *world = calloc(1, sizeof(*world));
    struct ty_cold_loader loader = {.load_day = load_day, .load_month = load_month};

    memset(&cold, 0, sizeof(cold));
    ty_hot_init(&world->hot, loader);
    ty_random_init(&world->random, ty_random_seed());
    for (uint32_t i = 0; i < SERIES; i++)
        world->series[i].id = i;
    world->now_ms = 1000;
    return world;
}

static void free_world(struct world *world)
{
    ty_hot_fini(&world->hot);
    for (size_t i = 0; i < SERIES; i++)
        cr_assert_null(ty_hot_months(&world->series[i]), "nothing is left");
    cr_assert_eq(world->hot.bytes, 0u);
    free(world);
}

/* --- A reader: hot nodes shadow what is stored. --- */

static struct ty_month_node *hot_month(struct ty_series *series, int32_t number)
{
    struct ty_month_node *month = ty_hot_months(series), *found = NULL;

    for (; month != NULL; month = ty_hot_next_month(month))
        if (month->month == number) {
            cr_assert_null(found, "a month is hot once");
            found = month;
        }
    return found;
}

static struct ty_day_node *hot_day(struct ty_series *series, int32_t number)
{
    struct ty_month_node *month = hot_month(series, ty_month_of_day(number));
    struct ty_day_node *day = month == NULL ? NULL : ty_hot_days(month);

    while (day != NULL && day->day != number)
        day = ty_hot_next_day(day);
    return day;
}

static void read_slot(struct world *world, size_t s, size_t d, size_t i, struct ty_slot_sum *sum)
{
    struct ty_day_node *day = hot_day(&world->series[s], days[d]);
    struct ty_slot_node *slot = day == NULL ? NULL : ty_hot_slots(day);

    while (slot != NULL && slot->slot != slots[i])
        slot = ty_hot_next_slot(slot);
    if (slot != NULL)
        ty_hot_read_slot(slot, sum);
    else
        *sum = cold.committed.day[s][d].slots[slots[i]];
}

static void check_series(struct world *world, size_t s)
{
    struct ty_total month_totals[MONTHS] = {{0}};
    struct ty_total seen;

    for (size_t d = 0; d < DAYS; d++) {
        struct ty_day_node *day = hot_day(&world->series[s], days[d]);
        struct ty_total day_total = {0};

        for (size_t i = 0; i < SLOTS; i++) {
            struct ty_slot_sum sum;

            read_slot(world, s, d, i, &sum);
            cr_assert_eq(memcmp(&sum, &world->committed[s][d][i], sizeof(sum)), 0,
                         "series %zu, day %d, slot %u", s, days[d], slots[i]);
            ty_total_add_slot(&day_total, &sum);
        }
        seen = cold.committed.day[s][d].total;
        if (day != NULL)
            ty_hot_read_total(day->cell, &seen);
        cr_assert(ty_total_equal(&seen, &day_total), "series %zu, day %d", s, days[d]);
        ty_total_add(&month_totals[month_index(ty_month_of_day(days[d]))], &day_total);
    }
    for (size_t m = 0; m < MONTHS; m++) {
        struct ty_month_node *month = hot_month(&world->series[s], months[m]);

        seen = cold.committed.month[s][m].total;
        if (month != NULL) {
            ty_hot_read_total(month->cell, &seen);
            cr_assert_eq(month->stamp, cold.committed.month[s][m].stamp, "what storage has");
        }
        cr_assert(ty_total_equal(&seen, &month_totals[m]), "series %zu, month %d", s, months[m]);
    }
}

static void check_world(struct world *world)
{
    uint64_t pin = ty_epoch_pin(&world->hot.epoch);

    ty_hot_check(&world->hot);
    for (size_t s = 0; s < SERIES; s++)
        check_series(world, s);
    ty_epoch_unpin(&world->hot.epoch, pin);
}

/* --- What a shard does --- */

static void add_event(struct world *world)
{
    size_t s = (size_t)ty_random_below(&world->random, SERIES);
    size_t d = (size_t)ty_random_below(&world->random, DAYS);
    size_t i = (size_t)ty_random_below(&world->random, SLOTS);
    struct ty_event event = {.credits = (int64_t)ty_random_u64(&world->random) >> 4,
                             .documents = (uint32_t)ty_random_u64(&world->random),
                             .pages = (uint32_t)ty_random_u64(&world->random),
                             .processing_ms = ty_random_wide(&world->random) >> 12};
    struct ty_slot_node *node = NULL;
    bool fits = ty_slot_sum_add(&world->building[s][d][i], &event);

    cr_assert_eq(ty_hot_slot(&world->hot, &world->series[s], days[d] * INT64_C(96) + slots[i],
                             world->now_ms, &node),
                 TALLY_OK);
    cr_assert_eq(ty_hot_add(&world->hot, node, &event), fits, "the model overflows, too");
    world->building_events |= fits;
}

/* Stores some dirty months, oldest first or not, as of `stamp`. */
static void write_months(struct world *world, uint64_t stamp)
{
    struct ty_month_node *month;

    TAILQ_FOREACH(month, &world->hot.dirty, queue)
    {
        uint32_t s = month->series->id;

        if (ty_random_one_in(&world->random, 2))
            continue;
        for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
            if (day->dirty) {
                struct ty_day_block block;

                cr_assert_eq(ty_hot_encode_day(&world->hot, day, stamp, &block), TALLY_OK);
                cr_assert_eq(block.stamp, stamp);
                cold.building.day[s][day_index(day->day)] = block;
            }
        cold.building.month[s][month_index(month->month)] =
            (struct ty_month_block){.stamp = stamp, .total = month->total};
        ty_hot_write(&world->hot, month);
    }
}

/* The oldest sequence that no stored month has: what a restart would have to replay from. */
static void check_lacks_from(struct world *world, uint64_t next)
{
    uint64_t expected = next;
    struct ty_month_node *month;

    TAILQ_FOREACH(month, &world->hot.dirty, queue)
    if (!month->writing)
        expected = TY_MIN(expected, month->dirty_since);
    cr_assert_eq(ty_hot_lacks_from(&world->hot, next), expected);
}

static void commit(struct world *world)
{
    uint64_t stamp = world->sequence, next = world->sequence + 1;
    bool all = ty_random_one_in(&world->random, 3);

    if (ty_random_one_in(&world->random, 2))
        write_months(world, stamp);
    check_lacks_from(world, next);
    check_world(world); /* Nothing of the commit is visible before it is durable. */
    if (ty_random_one_in(&world->random, 4)) {
        ty_hot_revert(&world->hot);
        cold.building = cold.committed;
        memcpy(world->building, world->committed, sizeof(sums));
    } else {
        cold.committed = cold.building;
        memcpy(world->committed, world->building, sizeof(sums));
        ty_hot_written(&world->hot, stamp, all, world->now_ms);
        if (world->building_events)
            ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    }
    world->building_events = false;
    check_world(world);
}

/* A commit that is decided on top of one that is set aside; then what becomes of both. */
static void commit_ahead(struct world *world)
{
    sums *first = malloc(sizeof(*first));
    struct ty_hot_aside aside = {0};
    bool first_has_events = world->building_events;

    memcpy(first, world->building, sizeof(*first));
    cr_assert(ty_hot_set_aside(&world->hot, &aside));
    world->building_events = false;
    for (uint64_t i = ty_random_below(&world->random, 12); i > 0; i--)
        add_event(world);
    check_world(world); /* Neither is durable. */
    if (ty_random_one_in(&world->random, 4)) {
        ty_hot_revert_aside(&world->hot, &aside);
        ty_hot_revert(&world->hot);
        memcpy(world->building, world->committed, sizeof(sums));
        world->building_events = false;
    } else {
        memcpy(world->committed, first, sizeof(sums));
        world->sequence += first_has_events;
        ty_hot_publish_aside(&world->hot, &aside, world->sequence, world->now_ms);
    }
    check_world(world);
    ty_hot_aside_fini(&aside);
    free(first);
}

/* Usage must be right at every moment, whatever is hot, stored, both, or being written, and however
 * commits end: random work against plain sums. */
Test(hot, readers_see_exactly_what_is_committed)
{
    struct world *world = make_world();

    for (int n = 0; n < 2500; n++) {
        world->now_ms += (int64_t)ty_random_below(&world->random, 100);
        for (uint64_t i = ty_random_below(&world->random, 12); i > 0; i--)
            add_event(world);
        while (world->hot.revised == NULL && ty_random_one_in(&world->random, 3))
            commit_ahead(world);
        commit(world);
        if (ty_random_one_in(&world->random, 3)) {
            uint64_t bytes_max =
                ty_random_one_in(&world->random, 3) ? world->hot.bytes / 2 : UINT64_MAX;

            ty_hot_rest(&world->hot, world->now_ms, (int64_t)ty_random_below(&world->random, 500),
                        bytes_max);
            check_world(world);
        }
    }
    free_world(world);
}

static struct ty_slot_node *slot_of(struct world *world, size_t s, size_t d, size_t i)
{
    struct ty_slot_node *node = NULL;

    cr_assert_eq(ty_hot_slot(&world->hot, &world->series[s], days[d] * INT64_C(96) + slots[i],
                             world->now_ms, &node),
                 TALLY_OK);
    return node;
}

static void count_one(struct world *world, size_t s, size_t d, size_t i)
{
    struct ty_event event = {.pages = 1};

    cr_assert(ty_hot_add(&world->hot, slot_of(world, s, d, i), &event));
    ty_slot_sum_add(&world->committed[s][d][i], &event);
}

static void store_everything(struct world *world, bool all)
{
    struct ty_month_node *month;

    TAILQ_FOREACH(month, &world->hot.dirty, queue)
    {
        struct ty_month_block *block =
            &cold.building.month[month->series->id][month_index(month->month)];

        *block = (struct ty_month_block){.stamp = world->sequence, .total = month->total};
        for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
            cr_assert_eq(
                ty_hot_encode_day(&world->hot, day, world->sequence,
                                  &cold.building.day[month->series->id][day_index(day->day)]),
                TALLY_OK);
        ty_hot_write(&world->hot, month);
    }
    cold.committed = cold.building;
    ty_hot_written(&world->hot, world->sequence, all, world->now_ms);
}

/* Memory must follow activity: nodes stay while they are used, and go when they rest. */
Test(hot, drops_what_rests_and_keeps_what_is_used)
{
    struct world *world = make_world();

    count_one(world, 0, 1, 0);
    count_one(world, 0, 1, 1);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    store_everything(world, false);
    cr_assert_not_null(ty_hot_slots(hot_day(&world->series[0], days[1])), "used since");
    count_one(world, 0, 1, 1);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    store_everything(world, false);
    cr_assert_null(ty_hot_next_slot(ty_hot_slots(hot_day(&world->series[0], days[1]))),
                   "only the slot that was used again");
    count_one(world, 0, 1, 1);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    store_everything(world, true);
    cr_assert_null(ty_hot_days(hot_month(&world->series[0], months[1])), "all");
    ty_hot_rest(&world->hot, world->now_ms + 99, 100, UINT64_MAX);
    cr_assert_not_null(hot_month(&world->series[0], months[1]), "not yet");
    ty_hot_rest(&world->hot, world->now_ms + 100, 100, UINT64_MAX);
    cr_assert_null(hot_month(&world->series[0], months[1]));
    cr_assert_eq(world->hot.bytes, 0u);
    check_world(world);
    free_world(world);
}

/* A dirty month is the only place that has its events besides the journal: it must never go,
 * however little memory there is. */
Test(hot, never_drops_what_storage_lacks)
{
    struct world *world = make_world();

    count_one(world, 0, 1, 0);
    count_one(world, 1, 5, 2);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    ty_hot_rest(&world->hot, world->now_ms + 1000000, 0, 0);
    cr_assert_eq(world->hot.dirty_count, 2u);
    check_world(world);
    free_world(world);
}

/* A reader in the middle of a dropped month goes on reading it: AddressSanitizer would tell. */
Test(hot, dropped_nodes_stay_readable_under_a_pin)
{
    struct world *world = make_world();
    struct ty_month_node *month;
    struct ty_total total;
    uint64_t pin;

    count_one(world, 0, 1, 0);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    pin = ty_epoch_pin(&world->hot.epoch);
    month = hot_month(&world->series[0], months[1]);
    store_everything(world, true);
    for (int i = 0; i < 5; i++)
        ty_hot_rest(&world->hot, world->now_ms + 1000, 0, 0);
    cr_assert_null(hot_month(&world->series[0], months[1]), "no new reader finds it");
    ty_hot_read_total(month->cell, &total);
    cr_assert_eq(total.events, 1u);
    cr_assert_null(ty_hot_next_month(month));
    ty_epoch_unpin(&world->hot.epoch, pin);
    free_world(world);
}

/* When storage cannot be read the event is refused, and nothing that readers see has changed. */
Test(hot, a_failed_load_changes_nothing)
{
    struct world *world = make_world();
    struct ty_slot_node *node = (struct ty_slot_node *)&world;
    int64_t slot = days[1] * INT64_C(96) + slots[0];

    count_one(world, 0, 1, 0);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    cold.failure = TALLY_IO;
    cr_assert_eq(ty_hot_slot(&world->hot, &world->series[1], slot, 0, &node), TALLY_IO);
    cr_assert_eq(node, (struct ty_slot_node *)&world, "the output is untouched");
    cr_assert_eq(ty_hot_slot(&world->hot, &world->series[0], days[2] * INT64_C(96), 0, &node),
                 TALLY_IO);
    cold.failure = TALLY_OK;
    check_world(world);
    cr_assert_eq(ty_hot_slot(&world->hot, &world->series[1], slot, 0, &node), TALLY_OK);
    check_world(world);
    free_world(world);
}

/* Blocks whose slots do not add up to their total are not written over what may be right. */
Test(hot, does_not_encode_a_day_that_contradicts_itself)
{
    struct world *world = make_world();
    struct ty_day_block block;

    count_one(world, 0, 1, 0);
    ty_hot_publish(&world->hot, ++world->sequence, world->now_ms);
    cold.building.day[0][1].used[slots[3]] = true;
    cold.building.day[0][1].slots[slots[3]].events = 1;
    cr_assert_eq(ty_hot_encode_day(&world->hot, hot_day(&world->series[0], days[1]), 1, &block),
                 TALLY_CORRUPT);
    cold.building = cold.committed;
    cr_assert_eq(ty_hot_encode_day(&world->hot, hot_day(&world->series[0], days[1]), 1, &block),
                 TALLY_OK);
    free_world(world);
}

/* The events of one slot come in a row: they must not search, or load, again. */
Test(hot, finds_the_last_slot_without_loading)
{
    struct world *world = make_world();
    struct ty_slot_node *node = slot_of(world, 0, 1, 0);
    unsigned loads = cold.loads;

    cr_assert_eq(slot_of(world, 0, 1, 0), node);
    cr_assert_neq(slot_of(world, 0, 1, 1), node);
    cr_assert_eq(slot_of(world, 0, 1, 0), node);
    cr_assert_eq(cold.loads, loads, "what is hot is not loaded");
    free_world(world);
}
