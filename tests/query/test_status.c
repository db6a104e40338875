#include "query/status.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct ty_world world;
static struct ty_database *database;
static struct ty_shard_status shards[2], total;
static struct ty_commit_time commit_time;

static void open_database(unsigned count)
{
    tally_error error = {""};

    cr_assert_eq(ty_world_database(&world, count, &database, &error), TALLY_OK, "%s",
                 error.message);
}

static void init(void)
{
    ty_world_init(&world);
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(status, .init = init, .fini = fini);

static tally_result send(unsigned customer, const char *id)
{
    struct ty_event event = ty_world_event(&world, customer, 1, id);
    tally_result result;

    cr_assert_eq(ty_world_submit(&world, database, &event, 1, &result), TALLY_OK);
    return result;
}

static void read_status(void)
{
    ty_status_read(database, shards, &total, &commit_time);
}

/* Operators compare shards with the whole: the parts must add up. */
Test(status, the_total_is_the_sum_of_the_shards)
{
    int64_t start_ms = atomic_load(&world.wall_ms);

    open_database(2);
    for (unsigned customer = 1; customer <= 20; customer++) {
        cr_assert_eq(send(customer, "a"), TALLY_ACCEPTED);
        ty_world_pass(&world, 1000);
    }
    cr_assert_eq(send(1, "a"), TALLY_ID_CONFLICT);
    ty_database_close(database); /* Gauges are set after an answer: a start sets them all. */
    open_database(2);
    cr_assert_eq(send(21, "a"), TALLY_ACCEPTED);

    read_status();
    cr_assert_eq(total.results[TALLY_ACCEPTED], 1u, "counted since the start");
    cr_assert_eq(total.journal_bytes, shards[0].journal_bytes + shards[1].journal_bytes);
    cr_assert_eq(total.map_bytes, UINT64_C(512) << 20);
    cr_assert_eq(total.journal.oldest_received_ms, start_ms);
    cr_assert(shards[0].journal.first == 1 && shards[1].journal.first == 1);
    cr_assert_eq(shards[0].journal.last + shards[1].journal.last, 21u);
    cr_assert_eq(total.dedup_window_wanted_ms, TALLY_DEDUP_WINDOW_MS);
    cr_assert_eq(total.dedup_window_ms, TALLY_DEDUP_WINDOW_MS);
    cr_assert(total.disk_bytes > 0);
    cr_assert(!total.full && !total.failed);
    cr_assert_str_eq(total.journal_problem.message, "");
}

/* A fresh database has no oldest event, which is not an event of 1970. */
Test(status, an_empty_database_has_no_oldest_event)
{
    open_database(2);
    read_status();
    cr_assert_eq(total.journal.oldest_received_ms, 0);
    cr_assert_eq(shards[1].journal.first, 0u);
    cr_assert_eq(commit_time.max_us, 0);
    cr_assert_str_eq(total.journal_problem.message, "");
}

/* After a failed commit the operator needs the status most. */
Test(status, is_told_after_a_commit_of_unknown_outcome)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");
    tally_result result;

    open_database(1);
    ty_world_fail(&world, TY_FAULT_COMMITTED, 0, 5);
    cr_assert_eq(ty_world_submit(&world, database, &event, 1, &result), TALLY_UNKNOWN);
    /* The gauge follows the answer; the store's state is there before it. */
    read_status();
    cr_assert_eq(total.commit_failures, 1u);
    cr_assert_str_eq(total.journal_problem.message, "a commit failed halfway; reopen the database");
}
