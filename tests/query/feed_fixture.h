/*
 * feed_fixture.h: a database of a world whose journal is trimmed, and events to be read from it.
 */
#ifndef TY_TESTS_QUERY_FEED_FIXTURE_H
#define TY_TESTS_QUERY_FEED_FIXTURE_H

#include "query/feed.h"
#include "tests/support/damage.h"
#include "tests/support/random.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETENTION_MS   INT64_C(60000)
#define LARGE_CUSTOMER 9

static struct ty_world world;
static struct ty_database *database;
static tally_error problem; /* of the last call that failed */

#define assert_ok(call) cr_assert_eq(call, TALLY_OK, "%s", problem.message)

static inline void open_database(unsigned shards)
{
    assert_ok(ty_world_forgetful_database(&world, shards, RETENTION_MS, &database, &problem));
}

static inline void reopen(void)
{
    unsigned shards = ty_database_shard_count(database);

    ty_database_close(database);
    open_database(shards);
}

static inline void init(void)
{
    ty_world_init(&world);
}

static inline void fini(void)
{
    ty_database_close(database); /* NULL when a test failed while it was closed */
    ty_world_fini(&world);
}

static inline void submit(const struct ty_event *events, size_t count)
{
    tally_result *results = calloc(count, sizeof(*results));

    cr_assert_eq(ty_world_submit(&world, database, events, count, results), TALLY_OK, "%s",
                 world.problem);
    for (size_t i = 0; i < count; i++)
        cr_assert_eq(results[i], TALLY_ACCEPTED);
    free(results);
}

static inline void send(unsigned customer, const char *id)
{
    struct ty_event event = ty_world_event(&world, customer, 1, id);

    submit(&event, 1);
}

#endif
