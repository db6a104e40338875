#include "engine/period.h"
#include "storage/block_codec.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ty_world world;
static tally_error error;

static void init(void)
{
    ty_world_init(&world);
    ty_world_open(&world);
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(recover, .init = init, .fini = fini);

static struct ty_event event_of(unsigned workflow, const char *id)
{
    return ty_world_event(&world, 1, workflow, id);
}

static tally_result send(unsigned workflow, const char *id)
{
    struct ty_event event = event_of(workflow, id);

    event.time_ms = TY_WORLD_START_MS;
    return ty_world_send(&world, &event);
}

static uint64_t events_of(unsigned workflow)
{
    return ty_world_total(&world, 1, workflow, TALLY_MONTHLY, "2023-02").events;
}

static uint32_t series_id(unsigned workflow)
{
    struct ty_uuid customer = ty_world_customer(1), workflow_id = ty_world_workflow(workflow);
    struct ty_series *series = ty_series_find(&world.shard->series, &customer, &workflow_id);

    cr_assert_not_null(series);
    return series->id;
}

static void flush(void)
{
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK, "%s", error.message);
}

/* --- What comes back --- */

/* After a kill everything that was acknowledged must be there, and count once. */
Test(recover, a_killed_shard_comes_back_whole)
{
    int64_t arrival_ms;

    for (unsigned i = 0; i < 10; i++) {
        char id[2] = {(char)('a' + (char)i), '\0'};

        cr_assert_eq(send(i % 4, id), TALLY_ACCEPTED);
        ty_world_pass(&world, 1000);
    }
    arrival_ms = world.shard->state.arrival_ms;
    for (int life = 0; life < 3; life++) {
        if (life == 2)
            ty_world_close(&world); /* a clean end, this time */
        else
            ty_world_crash(&world);
        ty_world_open(&world);
        cr_assert_eq(world.shard->arrival.now_ms, arrival_ms, "the clock goes on where it was");
        cr_assert_eq(world.shard->state.last_sequence, 10);
        for (unsigned i = 0; i < 4; i++) {
            cr_assert_eq(series_id(i), i, "ids are what storage knows series by");
            cr_assert_eq(events_of(i), i < 2 ? 3 : 2, "life %d, series %u", life, i);
        }
        cr_assert_eq(ty_series_next_id(&world.shard->series), 4);
        for (unsigned i = 0; i < 10; i++) {
            char id[2] = {(char)('a' + (char)i), '\0'};

            cr_assert_eq(send(i % 4, id), TALLY_DUPLICATE);
            cr_assert_eq(send(i % 4 + 1, id), TALLY_ID_CONFLICT);
        }
    }
    cr_assert_eq(world.shard->hot.bytes, 0, "after a clean end nothing is replayed");
}

/* Months that storage has must not be counted again from the journal. */
Test(recover, what_blocks_have_is_not_counted_again)
{
    enum { SERIES = 40 };
    char id[16];

    for (unsigned round = 0; round < 3; round++) {
        /* Twice, so that what is written first has events after what is not written yet. */
        for (unsigned i = 0; i < 2 * SERIES; i++) {
            snprintf(id, sizeof(id), "%u-%u", round, i);
            cr_assert_eq(send(i % SERIES, id), TALLY_ACCEPTED);
        }
        /* Some months are written by the next commit, the others wait. */
        ty_world_pass(&world, world.options.checkpoint_ms);
    }
    cr_assert_eq(send(0, "last"), TALLY_ACCEPTED);
    cr_assert(world.shard->hot.dirty_count > 0 && world.shard->hot.dirty_count < SERIES);
    ty_world_reopen(&world);
    for (unsigned i = 0; i < SERIES; i++)
        cr_assert_eq(events_of(i), i == 0 ? 7 : 6, "series %u has %llu", i,
                     (unsigned long long)events_of(i));
    flush();
    ty_world_reopen(&world);
    for (unsigned i = 0; i < SERIES; i++)
        cr_assert_eq(events_of(i), i == 0 ? 7 : 6);
}

/* An event without a time counts where it arrived, not where it is replayed. */
Test(recover, an_event_without_a_time_stays_where_it_arrived)
{
    struct ty_event event = event_of(1, "a");

    event.time_ms = TALLY_TIME_OF_ARRIVAL;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    ty_world_crash(&world);
    ty_world_pass(&world, 40 * TY_MS_PER_DAY);
    ty_world_open(&world);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, "2023-02-01T12").events, 1);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
}

/* A long outage must not use up the window: the clients' retries come after it. */
Test(recover, an_outage_does_not_use_up_the_window)
{
    cr_assert_eq(send(1, "a"), TALLY_ACCEPTED);
    ty_world_crash(&world);
    ty_world_pass(&world, 30 * TY_MS_PER_DAY);
    ty_world_open(&world);
    cr_assert_eq(send(1, "a"), TALLY_DUPLICATE);
}

/* Nor that of what arrives right after it: a retry within its window must not count twice because
 * the shard had been away for longer than that. */
Test(recover, what_arrives_after_an_outage_is_known_for_its_window)
{
    cr_assert_eq(send(1, "a"), TALLY_ACCEPTED);
    ty_world_crash(&world);
    ty_world_pass(&world, 30 * TY_MS_PER_DAY);
    ty_world_open(&world);
    cr_assert_eq(send(1, "b"), TALLY_ACCEPTED);
    for (int64_t ms = 0; ms < world.options.dedup_window_ms; ms += 60000) {
        cr_assert_eq(send(1, "b"), TALLY_DUPLICATE, "after %lld ms", (long long)ms);
        ty_world_pass(&world, 60000);
        (void)ty_shard_maintain(world.shard);
    }
}

/* Ids that had left the window before the restart stay forgotten. */
Test(recover, remembers_the_ids_of_the_window_and_no_others)
{
    cr_assert_eq(send(1, "old"), TALLY_ACCEPTED);
    ty_world_pass(&world, world.options.dedup_window_ms / 2);
    cr_assert_eq(send(1, "young"), TALLY_ACCEPTED);
    ty_world_pass(&world, world.options.dedup_window_ms / 2 + 5000);
    cr_assert_eq(send(1, "new"), TALLY_ACCEPTED);
    ty_world_reopen(&world);
    cr_assert_eq(send(1, "young"), TALLY_DUPLICATE);
    cr_assert_eq(send(1, "new"), TALLY_DUPLICATE);
    cr_assert_eq(send(1, "old"), TALLY_ACCEPTED);
    cr_assert_eq(events_of(1), 4);
}

/* The window may be changed, and switched off and on, from start to start. */
Test(recover, the_window_may_change)
{
    cr_assert_eq(send(1, "a"), TALLY_ACCEPTED);
    ty_world_crash(&world);
    world.options.dedup_window_ms = 0;
    ty_world_open(&world);
    cr_assert_eq(send(1, "a"), TALLY_ACCEPTED);
    ty_world_pass(&world, 2 * TY_MS_PER_HOUR);
    cr_assert_eq(send(1, "b"), TALLY_ACCEPTED);
    ty_world_crash(&world);
    world.options.dedup_window_ms = TY_MS_PER_HOUR;
    ty_world_open(&world);
    cr_assert_eq(send(1, "b"), TALLY_DUPLICATE);
    ty_world_crash(&world);
    world.options.dedup_window_ms = 3 * TY_MS_PER_HOUR;
    ty_world_open(&world);
    cr_assert_eq(send(1, "a"), TALLY_DUPLICATE, "the journal has what a longer window needs");
    cr_assert_eq(events_of(1), 3);
}

/* A limit below what exists would hide customers: it is refused, and nothing is lost. */
Test(recover, a_limit_below_the_existing_series_is_refused)
{
    for (unsigned i = 0; i < 5; i++) {
        char id[2] = {(char)('a' + (char)i), '\0'};

        cr_assert_eq(send(i, id), TALLY_ACCEPTED);
    }
    ty_world_crash(&world);
    world.options.series_max = 4;
    cr_assert_eq(ty_world_try_open(&world, &error), TALLY_INVALID);
    cr_assert_str_eq(error.message,
                     "the database has more series than the limit allows; raise the limit");
    world.options.series_max = 5;
    ty_world_open(&world);
    cr_assert_eq(events_of(4), 1);
}

/* --- Damage --- */

static const char *path(void)
{
    return world.directory.path;
}

/* Opening must fail with that text; the damage is then undone by `undo`. */
static void check_corrupt(const char *text)
{
    cr_assert_eq(ty_world_try_open(&world, &error), TALLY_CORRUPT, "%s", error.message);
    cr_assert_not_null(strstr(error.message, text), "'%s' says nothing of '%s'", error.message,
                       text);
    cr_assert_null(world.shard);
}

static void send_five(void)
{
    for (unsigned i = 0; i < 5; i++) {
        char id[2] = {(char)('a' + (char)i), '\0'};

        cr_assert_eq(send(i % 2, id), TALLY_ACCEPTED);
        ty_world_pass(&world, 1000);
    }
}

/* A bad disk: whichever byte of a journal value is wrong, it is named and nothing is guessed. */
Test(recover, a_flipped_byte_of_the_journal_is_named)
{
    send_five();
    ty_world_crash(&world);
    for (uint64_t sequence = 1; sequence <= 5; sequence += 2) {
        uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, (uint8_t)sequence};
        struct ty_damage damage = {path(), "journal", key, sizeof(key)};
        size_t length = ty_damage_length(&damage);
        char text[40];

        snprintf(text, sizeof(text), "journal value %u", (unsigned)sequence);
        for (size_t offset = 0; offset < length; offset += 5) {
            ty_damage_flip(&damage, (long)offset, 0x10);
            check_corrupt(text);
            ty_damage_flip(&damage, (long)offset, 0x10);
        }
    }
    ty_world_open(&world);
    cr_assert_eq(events_of(0), 3);
}

/* The ids of the window come from values whose totals are in blocks already: those count, too. */
Test(recover, a_flipped_byte_that_only_the_window_needs_is_named)
{
    uint8_t key[8] = {0};
    struct ty_damage damage = {path(), "journal", key, sizeof(key)};

    send_five();
    ty_world_close(&world);
    for (key[7] = 1; key[7] <= 5; key[7]++)
        for (size_t offset = key[7]; offset < TY_JOURNAL_HEADER_BYTES + 4; offset += 5) {
            char text[40];

            snprintf(text, sizeof(text), "journal value %u", key[7]);
            ty_damage_flip(&damage, (long)offset, 0x40);
            check_corrupt(text);
            ty_damage_flip(&damage, (long)offset, 0x40);
        }
    ty_world_open(&world);
    cr_assert_eq(world.shard->hot.bytes, 0);
    cr_assert_eq(send(0, "a"), TALLY_DUPLICATE);
}

/* A value that is missing is missing usage: first, in the middle or last. */
Test(recover, a_gap_in_the_journal_is_named)
{
    static const struct {
        uint64_t missing;
        const char *text;
    } cases[] = {
        {1, "the journal lacks value 1"},
        {2, "value 2"},
        {3, "value 3"},
        {4, "value 4"},
        {5, "instead of 5"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (int dedup = 0; dedup < 2; dedup++) {
            world.options.dedup_window_ms = dedup ? TY_MS_PER_HOUR : 0;
            ty_world_reopen(&world);
            send_five();
            ty_world_crash(&world);
            ty_damage_journal_delete(path(), cases[i].missing);
            check_corrupt(cases[i].text);
            ty_world_fini(&world);
            init();
        }
}

/* All of the journal gone, though the state knows of it. */
Test(recover, a_lost_journal_is_noticed)
{
    send_five();
    ty_world_crash(&world);
    for (uint64_t sequence = 1; sequence <= 5; sequence++)
        ty_damage_journal_delete(path(), sequence);
    check_corrupt("the journal ends at value 0 instead of 5");
}

/* A series whose record is damaged or gone would bill somebody else, or nobody. */
Test(recover, damaged_and_missing_series_are_noticed)
{
    uint8_t key[4] = {0, 0, 0, 1};
    struct ty_damage damage = {path(), "series", key, sizeof(key)};

    send_five();
    ty_world_crash(&world);
    for (long offset = 0; offset < 40; offset += 7) {
        ty_damage_flip(&damage, offset, 1);
        check_corrupt("series 1 does not match its checksum");
        ty_damage_flip(&damage, offset, 1);
    }
    ty_damage_delete(&damage);
    check_corrupt("journal value 2 names series 1, which is unknown");
}

/* Stores and drops one event for each of three workflows, damages a block of the second's, opens.
 */
static void damage_block(int level, long offset)
{
    int32_t period = level == TY_LEVEL_DAY ? ty_day_of_ms(TY_WORLD_START_MS)
                                           : ty_month_of_day(ty_day_of_ms(TY_WORLD_START_MS));

    cr_assert_eq(send(1, "a"), TALLY_ACCEPTED);
    cr_assert_eq(send(2, "b"), TALLY_ACCEPTED);
    cr_assert_eq(send(3, "c"), TALLY_ACCEPTED);
    ty_world_close(&world);
    ty_damage_block_flip(path(), 1, level, period, offset);
    ty_world_open(&world);
}

static void check_query(tally_frequency frequency, const char *period, const char *text)
{
    struct ty_total total = {0};

    cr_assert_eq(ty_world_usage(&world, 1, 2, frequency, period, period, &total, &error),
                 TALLY_CORRUPT, "%s", period);
    cr_assert_not_null(strstr(error.message, text), "%s", error.message);
}

/*
 * Damage of one series: what needs the damaged value says so by name; everything else goes on, in
 * the same batch too.
 */
Test(recover, a_flipped_byte_of_a_block_concerns_its_events_alone)
{
    static const struct {
        int level;
        const char *text;
    } cases[] = {
        {TY_LEVEL_DAY, "the stored day 19389 of series 1"},
        {TY_LEVEL_MONTH, "the stored month 637 of series 1"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (long offset = 0; offset < 30; offset += 4) {
            struct ty_event events[3];
            tally_result results[3];

            damage_block(cases[i].level, offset);
            events[0] = event_of(1, "d");
            events[1] = event_of(2, "e");
            events[2] = event_of(3, "f");
            for (int again = 0; again < 2; again++) {
                cr_assert_eq(ty_world_commit(&world, events, 3, results), TALLY_CORRUPT);
                cr_assert_not_null(strstr(world.problem, cases[i].text), "%s", world.problem);
                cr_assert_eq(results[0], again ? TALLY_DUPLICATE : TALLY_ACCEPTED);
                cr_assert_eq(results[1], TALLY_NOT_STORED);
                cr_assert_eq(results[2], again ? TALLY_DUPLICATE : TALLY_ACCEPTED);
            }
            cr_assert_eq(events_of(1), 2);
            cr_assert_eq(events_of(3), 2);
            if (cases[i].level == TY_LEVEL_DAY) {
                check_query(TALLY_DAILY, "2023-02-01", cases[i].text);
                check_query(TALLY_WEEKLY, "2023-W05", cases[i].text);
                check_query(TALLY_HOURLY, "2023-02-01T12", cases[i].text);
            } else {
                check_query(TALLY_MONTHLY, "2023-02", cases[i].text);
            }
            ty_world_fini(&world);
            init();
        }
}

/* Other days and workflows of the damaged series are still answered. */
Test(recover, what_is_not_damaged_is_answered)
{
    struct ty_event other = event_of(2, "other");

    other.time_ms -= 40 * TY_MS_PER_DAY;
    cr_assert_eq(ty_world_send(&world, &other), TALLY_ACCEPTED); /* series 0, from now on */
    cr_assert_eq(send(2, "b"), TALLY_ACCEPTED);
    ty_world_close(&world);
    ty_damage_block_flip(path(), 0, TY_LEVEL_DAY, ty_day_of_ms(TY_WORLD_START_MS), 20);
    ty_world_open(&world);
    check_query(TALLY_DAILY, "2023-02-01", "the stored day 19389 of series 0");
    cr_assert_eq(ty_world_total(&world, 1, 2, TALLY_MONTHLY, "2022-12").events, 1);
    cr_assert_eq(ty_world_total(&world, 1, 2, TALLY_MONTHLY, "2023-02").events, 1);
    cr_assert_eq(ty_world_total(&world, 1, 2, TALLY_DAILY, "2022-12-23").events, 1);
    cr_assert_eq(ty_world_total(&world, 1, 2, TALLY_DAILY, "2023-02-02").events, 0);
}

/* Damage that replay needs is found at the start, not when somebody is billed. */
Test(recover, a_damaged_block_that_replay_needs_is_named)
{
    cr_assert_eq(send(1, "a"), TALLY_ACCEPTED);
    flush();
    cr_assert_eq(send(1, "b"), TALLY_ACCEPTED);
    ty_world_crash(&world);
    ty_damage_block_flip(path(), 0, TY_LEVEL_MONTH, 637, 20);
    check_corrupt("the stored month 637 of series 0");
}
