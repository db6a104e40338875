/*
 * A wall clock that jumps by an hour, a day and a year, forwards and backwards, at every moment
 * that matters: before a batch, before a retry, before maintenance, over a restart, to and fro.
 * What was acknowledged stays as it is, and no id is forgotten before its window has passed.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "engine/period.h"
#include "tests/faults/scenario.h"

#define WINDOW_MS TY_MS_PER_HOUR
#define YEAR_MS   (365 * TY_MS_PER_DAY)

static const int64_t jumps[] = {TY_MS_PER_HOUR, -TY_MS_PER_HOUR, TY_MS_PER_DAY,
                                -TY_MS_PER_DAY, YEAR_MS,         -YEAR_MS};

static struct ty_world world;

static void init(void)
{
    ty_world_init(&world);
    world.options.dedup_window_ms = WINDOW_MS;
    world.options.journal_retention_ms = 0; /* what keeps values is the window alone */
    world.options.journal_bytes_max = 1;
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(clock, .init = init, .fini = fini);

/* Somebody sets the clock; no time passes. */
static void jump(int64_t ms)
{
    atomic_fetch_add(&world.wall_ms, ms);
}

static int64_t now_ms(void)
{
    return atomic_load(&world.wall_ms);
}

static struct ty_event make(unsigned customer, const char *id)
{
    struct ty_event event = ty_world_event(&world, customer, 1, id);

    event.time_ms = TY_WORLD_START_MS;
    return event;
}

/* Time goes by with commits and maintenance, as on a server that is used. */
static void live(int64_t ms, int64_t step_ms)
{
    static unsigned number;

    for (int64_t passed = 0; passed < ms; passed += step_ms) {
        char id[24];
        struct ty_event event;

        ty_world_pass(&world, TY_MIN(step_ms, ms - passed));
        (void)ty_shard_maintain(world.shard);
        snprintf(id, sizeof(id), "other %u", number++);
        event = make(9, id);
        event.time_ms = TALLY_TIME_OF_ARRIVAL;
        cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    }
    ty_shard_check(world.shard);
}

static uint64_t day_events(const char *day, unsigned customer)
{
    return ty_world_total(&world, customer, 1, TALLY_DAILY, day).events;
}

/* A fresh shard that has taken one event. */
static struct ty_event begin(void)
{
    struct ty_event event = make(1, "a");

    ty_scenario_empty(&world);
    ty_world_open(&world);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    return event;
}

/* A retry a while after the jump must be recognised as long as its window has not passed in real
 * time: else the invoice has it twice. */
Test(clock, ids_stay_known_for_their_window_whatever_the_clock_does)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++)
        for (int restarts = 0; restarts < 2; restarts++) {
            struct ty_event event = begin(), other = event;

            live(60000, 10000);
            jump(jumps[i]);
            live(WINDOW_MS - 120000, 60000);
            if (restarts)
                ty_world_reopen(&world);
            cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE, "jump %lld",
                         (long long)jumps[i]);
            other.credits++;
            cr_assert_eq(ty_world_send(&world, &other), TALLY_ID_CONFLICT);
            cr_assert_eq(day_events("2023-02-01", 1), 1u);
            ty_world_crash(&world);
        }
}

/* A clock that was set wrong and soon right again must forget nothing, and remember on. */
Test(clock, to_and_fro_costs_the_window_nothing)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        struct ty_event event = begin();

        for (int round = 0; round < 5; round++) {
            jump(jumps[i]);
            live(2000, 1000);
            jump(-jumps[i]);
            live(2000, 1000);
        }
        live(WINDOW_MS - 10 * 60000, 60000);
        cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE, "jump %lld",
                     (long long)jumps[i]);
        ty_world_crash(&world);
    }
}

/* The window does end: ids do not fill the memory for good because of a clock. */
Test(clock, ids_are_forgotten_in_the_end)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        struct ty_event event = begin();

        jump(jumps[i]);
        live(2 * WINDOW_MS + 60000, 600000); /* at half speed, when the clock is behind */
        cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED, "jump %lld",
                     (long long)jumps[i]);
        cr_assert_eq(day_events("2023-02-01", 1), 2u);
        ty_world_crash(&world);
    }
}

/* An event without a time counts when its commit takes place, by the clock as it is then; a retry
 * under another clock is the same event, and does not move it. */
Test(clock, events_without_a_time_stay_where_they_were_counted)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        struct ty_event event = make(1, "a");
        char text[TY_PERIOD_TEXT_BYTES], later[TY_PERIOD_TEXT_BYTES];

        event.time_ms = TALLY_TIME_OF_ARRIVAL;
        ty_scenario_empty(&world);
        ty_world_open(&world);
        ty_period_format(TALLY_HOURLY, ty_period_of_ms(TALLY_HOURLY, now_ms()), text);
        cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
        jump(jumps[i]);
        ty_period_format(TALLY_HOURLY, ty_period_of_ms(TALLY_HOURLY, now_ms()), later);
        cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
        event = make(2, "b");
        event.time_ms = TALLY_TIME_OF_ARRIVAL;
        cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
        for (int reopened = 0; reopened < 2; reopened++) {
            cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, text).events, 1u);
            cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, later).events, 0u);
            cr_assert_eq(ty_world_total(&world, 2, 1, TALLY_HOURLY, later).events, 1u);
            ty_world_reopen(&world);
        }
        ty_world_crash(&world);
        jump(-jumps[i]);
    }
}

/* What is ahead of the clock as it is now is refused and can be sent again; what was taken before
 * the clock went back is not taken away, and its retry is a success. */
Test(clock, too_new_goes_by_the_clock_as_it_is)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        int64_t limit_ms = world.options.future_ms_max;
        struct ty_event last = make(1, "last"), beyond = make(1, "beyond");

        ty_scenario_empty(&world);
        ty_world_open(&world);
        jump(jumps[i]);
        last.time_ms = now_ms() + limit_ms;
        beyond.time_ms = last.time_ms + 1;
        cr_assert_eq(ty_world_send(&world, &last), TALLY_ACCEPTED, "jump %lld",
                     (long long)jumps[i]);
        cr_assert_eq(ty_world_send(&world, &beyond), TALLY_TOO_NEW);
        jump(-YEAR_MS);
        cr_assert_eq(ty_world_send(&world, &last), TALLY_DUPLICATE);
        cr_assert_eq(ty_world_send(&world, &beyond), TALLY_TOO_NEW);
        jump(YEAR_MS + 1);
        cr_assert_eq(ty_world_send(&world, &beyond), TALLY_ACCEPTED);
        ty_world_crash(&world);
        jump(-jumps[i] - 1);
    }
}

/* A jump must not let the journal be trimmed while a restart still needs its ids. */
Test(clock, the_journal_keeps_the_ids_of_the_window)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        struct ty_event event = begin();

        ty_world_pass(&world, TY_CHECKPOINT_MS + 1);
        jump(jumps[i]);
        for (int round = 0; round < 20; round++) {
            (void)ty_shard_maintain(world.shard);
            ty_world_pass(&world, 1000);
        }
        cr_assert_eq(world.shard->hot.dirty_count, 0u, "jump %lld: nothing is checkpointed",
                     (long long)jumps[i]);
        ty_world_reopen(&world);
        cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE, "jump %lld",
                     (long long)jumps[i]);
        cr_assert_eq(day_events("2023-02-01", 1), 1u);
        ty_world_crash(&world);
    }
}

/* Checkpoints go by time that passes: a clock that stands years behind holds none up, and one that
 * leaps ahead hurries none. */
Test(clock, checkpoints_do_not_go_by_the_wall_clock)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        (void)begin();
        jump(jumps[i]);
        (void)ty_shard_maintain(world.shard);
        cr_assert_eq(world.shard->hot.dirty_count, 1u);
        ty_world_pass(&world, TY_CHECKPOINT_MS + 1);
        (void)ty_shard_maintain(world.shard);
        cr_assert_eq(world.shard->hot.dirty_count, 0u);
        ty_world_crash(&world);
    }
}

/* A machine that starts with a wrong clock, as after a flat battery, and gets the right one. */
Test(clock, a_start_with_a_wrong_clock_forgets_nothing)
{
    for (size_t i = 0; i < TY_COUNT_OF(jumps); i++) {
        struct ty_event event = begin();

        ty_world_close(&world);
        jump(jumps[i]);
        ty_world_open(&world);
        cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE, "jump %lld",
                     (long long)jumps[i]);
        live(20000, 5000);
        ty_world_close(&world);
        jump(-jumps[i]);
        ty_world_open(&world);
        cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE, "jump %lld",
                     (long long)jumps[i]);
        cr_assert_eq(day_events("2023-02-01", 1), 1u);
        ty_world_crash(&world);
    }
}
