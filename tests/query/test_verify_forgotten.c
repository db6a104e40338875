/*
 * test_verify_forgotten.c: ids that were forgotten before their time, for lack of memory, may count
 * again: `tally verify` takes that for what it is, and not for damage.
 */
#include "tests/query/verify_world.h"

#include <stdio.h>
#include <string.h>

#define IDS_AT_ONCE 100
#define MUCH        (UINT64_C(16) << 20)
#define LITTLE      UINT64_C(3500) /* for 500 sealed ids */

static struct ty_world world;

static void init(void)
{
    ty_world_init(&world);
    world.options.dedup_memory_bytes = MUCH;
    world.options.dedup_seal_ids = IDS_AT_ONCE;
    ty_world_open(&world);
    ty_shard_maintain(world.shard); /* Looks for leftovers, before anything is sealed. */
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(verify_forgotten, .init = init, .fini = fini);

static tally_result send(unsigned number)
{
    struct ty_event event;
    char id[16];

    snprintf(id, sizeof(id), "e%u", number);
    event = ty_world_event(&world, 1, 1, id);
    event.time_ms = TY_WORLD_START_MS;
    return ty_world_send(&world, &event);
}

/* Some at a time, until most of them are in runs. */
static void fill(unsigned from, unsigned until)
{
    struct ty_event events[IDS_AT_ONCE];
    char ids[IDS_AT_ONCE][16];

    for (; from < until; from += IDS_AT_ONCE) {
        for (unsigned i = 0; i < IDS_AT_ONCE; i++) {
            snprintf(ids[i], sizeof(ids[i]), "e%u", from + i);
            events[i] = ty_world_event(&world, 1, 1, ids[i]);
            events[i].time_ms = TY_WORLD_START_MS;
        }
        cr_assert_eq(ty_world_commit(&world, events, IDS_AT_ONCE, NULL), TALLY_OK);
        ty_world_pass(&world, 2000);
        ty_shard_maintain(world.shard);
    }
}

/* A start with less memory drops the oldest runs. */
static void forget_some(void)
{
    fill(0, 2000);
    ty_world_close(&world);
    cr_assert_eq(verify_world(&world).problems, 0u);
    world.options.dedup_memory_bytes = LITTLE;
    ty_world_open(&world);
}

Test(verify_forgotten, what_a_start_had_no_memory_for_may_come_again)
{
    struct ty_verify_counts counts;

    forget_some();
    cr_assert_eq(send(0), TALLY_ACCEPTED);
    cr_assert_eq(send(0), TALLY_DUPLICATE);
    cr_assert_eq(send(1999), TALLY_DUPLICATE);
    ty_world_crash(&world);
    counts = verify_world(&world);
    cr_assert_eq(counts.problems, 0u);
    cr_assert_eq(counts.repeated_ids, 1u);
}

/* What was remembered must not count again: neither what came when there was memory, nor what came
 * again after it was forgotten. */
static void count_again_without_ids(unsigned number)
{
    ty_world_crash(&world);
    world.options.dedup_window_ms = 0;
    ty_world_open(&world);
    cr_assert_eq(send(number), TALLY_ACCEPTED);
    ty_world_crash(&world);
    world.options.dedup_window_ms = TY_MS_PER_HOUR;
}

Test(verify_forgotten, what_was_not_forgotten_may_not)
{
    forget_some();
    cr_assert_eq(send(2000), TALLY_ACCEPTED);
    count_again_without_ids(2000);
    cr_assert_gt(verify_world(&world).problems, 0u);
    cr_assert_eq(verify_world(&world).repeated_ids, 0u);
}

Test(verify_forgotten, what_was_forgotten_may_come_again_once)
{
    forget_some();
    cr_assert_eq(send(0), TALLY_ACCEPTED);
    count_again_without_ids(0);
    cr_assert_eq(verify_world(&world).problems, 1u);
    cr_assert_eq(verify_world(&world).repeated_ids, 1u);
}
