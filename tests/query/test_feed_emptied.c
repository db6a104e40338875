/*
 * Readers of the feed and a journal of which everything was trimmed: a commit of rejects trims and
 * adds no value, so that nothing is left.
 */
#include <criterion/criterion.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include "query/feed.h"
#include "tests/support/shard_world.h"

#define RETENTION_MS INT64_C(3600000)

static struct ty_world world;
static struct ty_database *database;
static tally_error problem;
static sem_t kept;

static void open_database(unsigned shards)
{
    cr_assert_eq(ty_world_forgetful_database(&world, shards, RETENTION_MS, &database, &problem),
                 TALLY_OK, "%s", problem.message);
}

static void init(void)
{
    ty_world_init(&world);
    sem_init(&kept, 0, 0);
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
    sem_destroy(&kept);
}

TestSuite(feed_emptied, .init = init, .fini = fini);

/* A customer that lives on a shard. */
static unsigned customer_of(unsigned shard)
{
    unsigned number = 1;

    for (;; number++) {
        struct ty_uuid uuid = ty_world_customer(number);

        if (ty_database_shard_of(database, &uuid) == ty_database_shard(database, shard))
            return number;
    }
}

/* Two events in one commit. */
static void send_two(unsigned shard, const char *first, const char *second)
{
    unsigned customer = customer_of(shard);
    struct ty_event events[] = {ty_world_event(&world, customer, 1, first),
                                ty_world_event(&world, customer, 1, second)};
    tally_result results[2];

    cr_assert_eq(ty_world_submit(&world, database, events, 2, results), TALLY_OK, "%s",
                 world.problem);
}

static void note_kept(struct ty_keeping *keeping)
{
    (void)keeping;
    sem_post(&kept);
}

/* Everything that there is expires, and shard 0 commits: then its journal is empty. */
static void empty_shard_0(unsigned shards)
{
    struct ty_reject reject = {
        .code = TALLY_MISSING_FIELD, .time_ms = TALLY_TIME_OF_ARRIVAL, .record = {"x", 1}};
    struct ty_keeping keeping = {.rejects = &reject, .count = 1, .done = note_kept};

    ty_database_close(database); /* which writes every month, so that values may go */
    open_database(shards);
    ty_world_pass(&world, RETENTION_MS + 1);
    ty_database_keep_rejects(database, &keeping);
    sem_wait(&kept);
    cr_assert_eq(keeping.status, TALLY_OK, "%s", keeping.problem);
}

static bool take_id(void *context, const struct ty_feed_event *event)
{
    char *ids = context;

    strncat(ids, event->event->id.data, event->event->id.length);
    return true;
}

static void expect_page(struct ty_feed_cursor *cursor, size_t limit, const char *wanted,
                        bool trimmed)
{
    struct ty_feed_query query = {.limit = limit};
    struct ty_feed_page page;
    char ids[64] = "";

    cr_assert_eq(ty_feed_read(database, &query, cursor, take_id, ids, &page, &problem), TALLY_OK,
                 "%s", problem.message);
    cr_assert_str_eq(ids, wanted);
    cr_assert_eq(page.trimmed, trimmed, "page '%s'", wanted);
}

/* Who stands in the middle of a commit that is trimmed must get the next shard's events from the
 * first one on, and not skip as many of those as it was given of the other's. */
Test(feed_emptied, a_place_within_a_commit_is_not_carried_to_the_next_shard)
{
    struct ty_feed_cursor cursor = {0};

    open_database(2);
    send_two(0, "a", "b");
    expect_page(&cursor, 1, "a", false);
    empty_shard_0(2);
    send_two(1, "c", "d");
    expect_page(&cursor, 10, "cd", true);
    expect_page(&cursor, 10, "", false);
}

/* An export that ends at an empty journal must be told then, not the next night, that events went
 * that it was never given. */
Test(feed_emptied, what_was_trimmed_is_told_though_nothing_is_left)
{
    struct ty_feed_cursor cursor = {0};

    open_database(1);
    expect_page(&cursor, 10, "", false);
    send_two(0, "a", "b");
    empty_shard_0(1);
    expect_page(&cursor, 10, "", true);
    expect_page(&cursor, 10, "", false);
    send_two(0, "c", "d");
    expect_page(&cursor, 10, "cd", false);
}

/* A cursor that was kept for one database must not make another one's next events wait until it
 * has as many. */
Test(feed_emptied, a_cursor_of_another_database_is_refused)
{
    struct ty_feed_cursor cases[] = {{.sequences = {3}}, {.index = 1, .sequences = {2}}};
    struct ty_feed_query query = {.limit = 10};

    open_database(1);
    send_two(0, "a", "b");
    empty_shard_0(1);
    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_feed_page page;
        char ids[64] = "", message[96];

        snprintf(message, sizeof(message),
                 "a cursor of another database: shard 0 has no value %d yet",
                 (int)cases[i].sequences[0]);
        cr_assert_eq(ty_feed_read(database, &query, &cases[i], take_id, ids, &page, &problem),
                     TALLY_INVALID);
        cr_assert_str_eq(problem.message, message);
    }
}

/* Who was given everything before it was trimmed has missed nothing. */
Test(feed_emptied, who_was_given_everything_is_told_of_nothing)
{
    struct ty_feed_cursor cursor = {0};

    open_database(1);
    send_two(0, "a", "b");
    expect_page(&cursor, 10, "ab", false);
    empty_shard_0(1);
    expect_page(&cursor, 10, "", false);
}
