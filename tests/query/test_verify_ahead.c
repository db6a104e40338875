/*
 * test_verify_ahead.c: what a shard leaves on disk by right, with commits that were decided ahead
 * (shard/pipeline.c) and ids that came again in time, is what `tally verify` expects there: a false
 * alarm sends an operator to the last backup.
 */
#include "tests/query/verify_world.h"
#include "tests/shard/pipeline_fixture.h"

static unsigned prepared;

static void init_sealing(void)
{
    ty_world_init(&world);
    world.options.dedup_seal_ids = 1;
    open_world();
    prepared = 0;
}

TestSuite(verify_ahead, .init = init_sealing, .fini = fini);

static void prepare(const char *id)
{
    ty_shard_prepare(world.shard, LOAD(prepared++, id));
}

static void store(void)
{
    cr_assert(ty_shard_launch(world.shard));
    cr_assert_not_null(finish());
}

/* Values 1 and 2: the second is open while a second ends that began with the first. */
static void stay_open_over_a_second(void)
{
    prepare("before");
    store();
    ty_world_pass(&world, 500);
    prepare("first");
    ty_world_pass(&world, 700);
    prepare("second");
    store();
}

static void seal_all(void)
{
    for (unsigned i = 0; i < 20; i++) {
        ty_world_pass(&world, 2000);
        ty_shard_maintain(world.shard);
    }
}

static struct ty_verify_counts verify(void)
{
    ty_world_close(&world);
    return verify_world(&world);
}

/* A commit that takes in more while the disk works is one journal value with one time of arrival,
 * also where a second ends in between. */
Test(verify_ahead, a_commit_that_stays_open_over_a_second)
{
    struct ty_verify_counts counts;

    stay_open_over_a_second();
    seal_all();
    counts = verify();
    cr_assert_eq(counts.sealed_ids, 3u);
    cr_assert_eq(counts.problems, 0u);
}

/* The same, with only a part of it sealed. */
Test(verify_ahead, a_run_ends_with_a_journal_value)
{
    struct ty_verify_counts counts;

    stay_open_over_a_second();
    ty_shard_maintain(world.shard);
    counts = verify();
    cr_assert_eq(counts.problems, 0u);
}

/* --- Ids that come again when they have just left the window --- */

static void send(const char *id)
{
    struct ty_event event = ty_world_event(&world, 1, 1, id);

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
}

/* An id comes again at some age, to a shard that takes it at any: how many problems that is. */
static uint64_t problems_of_age(int64_t age_ms)
{
    int64_t window_ms = world.options.dedup_window_ms;
    uint64_t problems;

    send("stores the time");
    ty_world_crash(&world);
    world.options.dedup_window_ms = 0;
    ty_world_open(&world);
    ty_world_pass(&world, age_ms);
    send("again");
    world.options.dedup_window_ms = window_ms;
    problems = verify().problems;
    ty_world_fini(&world);
    init_sealing();
    return problems;
}

Test(verify_ahead, what_left_the_window_may_come_again)
{
    const int64_t hour_ms = world.options.dedup_window_ms;

    send("again");
    ty_world_pass(&world, 900);
    send("in the same second");
    cr_assert_eq(problems_of_age(hour_ms - 900 + 1), 0u);
    send("again");
    ty_world_pass(&world, 900);
    send("in the same second");
    cr_assert_eq(problems_of_age(hour_ms - 900 - 1000), 1u);
}

Test(verify_ahead, what_left_the_window_may_come_again_though_a_run_has_it)
{
    const int64_t hour_ms = world.options.dedup_window_ms, sealing_ms = 20 * 2000;

    ty_world_pass(&world, 100);
    send("again");
    seal_all();
    cr_assert_eq(problems_of_age(hour_ms - sealing_ms + 1), 0u);
    ty_world_pass(&world, 100);
    send("again");
    seal_all();
    cr_assert_eq(problems_of_age(hour_ms - sealing_ms + 800), 0u);
    ty_world_pass(&world, 100);
    send("again");
    seal_all();
    cr_assert_gt(problems_of_age(hour_ms - sealing_ms - 2000), 0u);
}
