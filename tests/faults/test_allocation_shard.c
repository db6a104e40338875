/*
 * Every allocation of a shard's life fails in its turn, once alone and once with all that follow.
 * Nothing crashes or leaks, what is not stored is said, and the next attempt works.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "query/closing.h"
#include "query/feed.h"
#include "query/rejects.h"
#include "query/rollup.h"
#include "shard/database_internal.h"
#include "storage/snapshot.h"
#include "tests/faults/allocations.h"
#include "tests/faults/scenario.h"

#define ROUNDS_MAX 20000 /* attempts until one must get through */

static struct ty_world world;

static void init(void)
{
    ty_world_init(&world);
    world.options.map_bytes = 64 << 20;
    world.options.dedup_seal_ids = 8; /* sealed and swept all the time */
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(allocation_shard, .init = init, .fini = fini);

static void check_problem(tally_status status, const char *problem, uint64_t n)
{
    cr_assert_eq(status, TALLY_NO_MEMORY, "allocation %llu: %s: %s", (unsigned long long)n,
                 tally_strerror(status), problem);
    cr_assert(problem != NULL && problem[0] != '\0', "allocation %llu: no word of the reason",
              (unsigned long long)n);
}

/* --- Batches --- */

static void expect_results(const struct ty_sending *sending, tally_result want, uint64_t n)
{
    cr_assert_eq(ty_sending_count(sending, want), sending->batch.record_count,
                 "allocation %llu: not all events are %s", (unsigned long long)n,
                 tally_result_name(want));
}

/* What differs from batch to batch: how many events, and where they go. */
struct kind {
    const char *name;
    unsigned count;
    bool new_series, new_month;
};

static void send_with_failures(const struct kind *kind, bool stays)
{
    static struct ty_sending sending;
    static unsigned customer = 1000; /* a new one each time */
    uint64_t sent = 0;

    customer++;
    for (uint64_t n = 1;; n++) {
        int64_t time_ms =
            TY_WORLD_START_MS - (kind->new_month ? (int64_t)n * 32 * TY_MS_PER_DAY : 0);
        bool hit;

        cr_assert_lt(n, ROUNDS_MAX);
        if (kind->new_series) {
            customer++;
            sent = 0;
        }
        ty_world_pass(&world, 1100); /* ids of a second of their own can be sealed */
        ty_sending_init(&sending, &world, customer, 1, time_ms, kind->count);
        ty_allocations_fail(n, stays);
        (void)ty_sending_commit(&sending, &world);
        hit = ty_allocations_stop();
        ty_shard_check(world.shard);
        if (sending.part.status != TALLY_OK) {
            cr_assert(hit, "%s: %s", kind->name, sending.part.problem);
            check_problem(sending.part.status, sending.part.problem, n);
            expect_results(&sending, TALLY_NOT_STORED, n);
            cr_assert_eq(ty_scenario_events(&world, customer, 1), sent, "%s, allocation %llu",
                         kind->name, (unsigned long long)n);
            cr_assert_eq(ty_sending_commit(&sending, &world), TALLY_OK, "%s: the next one: %s",
                         kind->name, sending.part.problem);
        }
        expect_results(&sending, TALLY_ACCEPTED, n);
        sent += kind->count;
        cr_assert_eq(ty_scenario_events(&world, customer, 1), sent, "%s, allocation %llu",
                     kind->name, (unsigned long long)n);
        ty_sending_fini(&sending);
        if (!hit)
            return;
    }
}

/* Batches while memory is short must be refused wholly, and taken when they come again. */
Test(allocation_shard, a_commit_without_memory_stores_nothing_and_the_next_one_all)
{
    static const struct kind kinds[] = {{"one event", 1, false, false},
                                        {"many events", TY_SCENARIO_EVENTS_MAX, false, false},
                                        {"a new series", 2, true, false},
                                        {"a new month", 2, false, true}};

    for (size_t i = 0; i < TY_COUNT_OF(kinds); i++)
        for (int stays = 0; stays < 2; stays++) {
            ty_world_open(&world);
            send_with_failures(&kinds[i], stays != 0);
            ty_world_crash(&world);
        }
    cr_assert_eq(ty_allocations_live(), 0, "memory is lost");
}

/* A batch is stored wholly or refused wholly; then it is taken when it comes again. */
static void settle(struct ty_sending *sending, bool hit, uint64_t n)
{
    if (sending->part.status != TALLY_OK) {
        cr_assert(hit, "%s", sending->part.problem);
        check_problem(sending->part.status, sending->part.problem, n);
        expect_results(sending, TALLY_NOT_STORED, n);
        cr_assert_eq(ty_sending_commit(sending, &world), TALLY_OK, "%s", sending->part.problem);
    }
    expect_results(sending, TALLY_ACCEPTED, n);
    ty_sending_fini(sending);
}

/* The same while the next commit is decided on top of one that is being stored. */
Test(allocation_shard, commits_ahead_without_memory_are_refused_or_made_alone)
{
    static struct ty_sending first, second;

    for (int stays = 0; stays < 2; stays++) {
        bool hit = true;

        ty_world_open(&world);
        ty_shard_maintain(world.shard);
        for (uint64_t n = 1; hit; n++) {
            unsigned customer = 3000 + (unsigned)(n / 3); /* sometimes a new series */

            cr_assert_lt(n, ROUNDS_MAX);
            ty_world_pass(&world, 1100);
            ty_sending_init(&first, &world, customer, 1, TY_WORLD_START_MS, 5);
            ty_sending_init(&second, &world, customer, 1, TY_WORLD_START_MS, 5);
            ty_allocations_fail(n, stays != 0);
            ty_sendings_commit_ahead(&first, &second, &world);
            hit = ty_allocations_stop();
            ty_shard_check(world.shard);
            settle(&first, hit, n);
            settle(&second, hit, n);
            cr_assert_eq(ty_scenario_events(&world, customer, 1),
                         10 * (n % 3 + 1 - (n < 3 ? 1 : 0)));
            if (ty_id_index_must_sweep(world.shard->ids))
                ty_shard_maintain(world.shard);
        }
        ty_world_crash(&world);
        ty_scenario_empty(&world);
    }
    cr_assert_eq(ty_allocations_live(), 0, "memory is lost");
}

/* Rejects come from streams that wait for the answer: kept wholly, or to be sent again. */
Test(allocation_shard, rejects_without_memory_are_not_kept_and_the_next_time_they_are)
{
    ty_world_open(&world);
    for (uint64_t n = 1, hit = 1; hit; n++) {
        char record[16];
        struct ty_reject reject = {.code = TALLY_MISSING_FIELD,
                                   .time_ms = TALLY_TIME_OF_ARRIVAL,
                                   .record = {record, sizeof(record)}};
        struct ty_part part = {.rejects = &reject, .reject_count = 1};

        cr_assert_lt(n, ROUNDS_MAX);
        memset(record, 0, sizeof(record));
        memcpy(record, &n, sizeof(n));
        ty_allocations_fail(n, false);
        ty_shard_commit(world.shard, &part);
        hit = ty_allocations_stop();
        if (part.status != TALLY_OK) {
            check_problem(part.status, part.problem, n);
            cr_assert_eq(world.shard->rejects.count, n - 1);
            ty_shard_commit(world.shard, &part);
            cr_assert_eq(part.status, TALLY_OK, "%s", part.problem);
        }
        cr_assert_eq(world.shard->rejects.count, n);
    }
    ty_world_crash(&world);
    cr_assert_eq(ty_allocations_live(), 0, "memory is lost");
}

/* --- Closed months --- */

static bool close_failing(unsigned customer, uint64_t n)
{
    struct ty_close close = {.customer = ty_world_customer(customer),
                             .through = TY_SCENARIO_JANUARY};
    struct ty_part part = {.close = &close};
    bool hit;

    ty_allocations_fail(n, n % 2 == 0);
    ty_shard_commit(world.shard, &part);
    hit = ty_allocations_stop();
    ty_shard_check(world.shard);
    if (part.status != TALLY_OK) {
        check_problem(part.status, part.problem, n);
        cr_assert_eq(close.result, TY_CLOSE_NOT_STORED);
        cr_assert_eq(ty_scenario_closed(&world, customer).through, TY_NOT_CLOSED);
        ty_shard_commit(world.shard, &part);
        cr_assert_eq(part.status, TALLY_OK, "%s", part.problem);
    }
    cr_assert_eq(close.result, TY_CLOSE_DONE);
    cr_assert_eq(ty_scenario_closed(&world, customer).through, TY_SCENARIO_JANUARY);
    return hit;
}

/* Events of a closed month, of two workflows. */
static bool revise_failing(unsigned customer, uint64_t n)
{
    static struct ty_sending sending;
    uint64_t before = ty_scenario_closed(&world, customer).revisions;
    bool hit;

    ty_sending_init(&sending, &world, customer, 1 + (unsigned)(n % 2), TY_SCENARIO_JANUARY_MS, 3);
    ty_allocations_fail(n, n % 2 == 0);
    (void)ty_sending_commit(&sending, &world);
    hit = ty_allocations_stop();
    ty_shard_check(world.shard);
    if (sending.part.status != TALLY_OK) {
        check_problem(sending.part.status, sending.part.problem, n);
        cr_assert_eq(ty_scenario_closed(&world, customer).revisions, before);
        cr_assert_eq(ty_sending_commit(&sending, &world), TALLY_OK, "%s", sending.part.problem);
    }
    expect_results(&sending, TALLY_ACCEPTED, n);
    cr_assert_eq(ty_scenario_closed(&world, customer).revisions, before + 1);
    ty_sending_fini(&sending);
    return hit;
}

/* A month is closed or not, and what changes in it is told once, however short memory is. */
Test(allocation_shard, closings_and_revisions_without_memory_are_made_the_next_time)
{
    unsigned customer = 2000;
    bool hit = true;

    ty_world_open(&world);
    for (uint64_t n = 1; hit; n++) {
        static struct ty_sending sending;

        cr_assert_lt(n, ROUNDS_MAX);
        ty_sending_init(&sending, &world, ++customer, 1, TY_SCENARIO_JANUARY_MS, 1);
        cr_assert_eq(ty_sending_commit(&sending, &world), TALLY_OK);
        ty_sending_fini(&sending);
        hit = close_failing(customer, n);
    }
    hit = true;
    for (uint64_t n = 1; hit; n++) {
        cr_assert_lt(n, ROUNDS_MAX);
        hit = revise_failing(customer, n);
    }
    ty_world_crash(&world);
    cr_assert_eq(ty_allocations_live(), 0, "memory is lost");
}

/* --- Opening --- */

/* Lets every allocation of an open fail, one after the other. */
static void open_with_failures(bool stays, bool anew)
{
    int64_t before = ty_allocations_live();

    for (uint64_t n = 1, hit = 1; hit; n++) {
        tally_error error = {""};
        tally_status status;

        cr_assert_lt(n, ROUNDS_MAX);
        if (anew)
            ty_scenario_empty(&world);
        ty_allocations_fail(n, stays);
        status = ty_world_try_open(&world, &error);
        hit = ty_allocations_stop();
        if (status != TALLY_OK) {
            cr_assert(hit, "%s", error.message);
            check_problem(status, error.message, n);
        }
        ty_world_crash(&world);
        cr_assert_eq(ty_allocations_live(), before, "allocation %llu: memory is lost",
                     (unsigned long long)n);
    }
}

/* A start on a machine that is short of memory must say so, and harm nothing. */
Test(allocation_shard, an_open_without_memory_says_so_and_the_next_one_works)
{
    ty_world_open(&world);
    ty_scenario_fill(&world);
    cr_assert(!close_failing(1, ROUNDS_MAX)); /* none fails */
    ty_world_crash(&world);
    for (int stays = 0; stays < 2; stays++)
        open_with_failures(stays != 0, false);
    ty_world_open(&world);
    cr_assert(ty_scenario_filled(&world, 1));
}

/* The first start, too: what it leaves behind must not stand in the way of the next one. */
Test(allocation_shard, a_creation_without_memory_says_so_and_the_next_one_works)
{
    for (int stays = 0; stays < 2; stays++)
        open_with_failures(stays != 0, true);
    ty_world_open(&world);
    ty_scenario_fill(&world);
    cr_assert(ty_scenario_filled(&world, 1));
}

/* --- Checkpoints --- */

/* A checkpoint that fails for lack of memory must be made up for, with the same totals. */
Test(allocation_shard, a_checkpoint_without_memory_is_made_up_for)
{
    ty_world_open(&world);
    for (uint64_t n = 1, hit = 1; hit; n++) {
        cr_assert_lt(n, ROUNDS_MAX);
        ty_scenario_fill(&world);
        ty_world_pass(&world, TY_CHECKPOINT_MS + 1);
        ty_allocations_fail(n, n % 2 == 0);
        (void)ty_shard_maintain(world.shard);
        hit = ty_allocations_stop();
        ty_shard_check(world.shard);
        cr_assert(!world.shard->failed, "allocation %llu: %s", (unsigned long long)n,
                  world.shard->error.message);
        cr_assert(ty_scenario_filled(&world, n), "allocation %llu", (unsigned long long)n);
        while (ty_shard_maintain(world.shard) == 0) {
        }
        cr_assert_eq(world.shard->hot.dirty_count, 0u);
        ty_world_reopen(&world);
        cr_assert(ty_scenario_filled(&world, n), "allocation %llu", (unsigned long long)n);
    }
    ty_world_crash(&world);
    cr_assert_eq(ty_allocations_live(), 0, "memory is lost");
}

/* A stop that cannot write what is dirty leaves more to replay, and nothing else. */
Test(allocation_shard, a_close_without_memory_loses_nothing)
{
    uint64_t times = 0;

    for (uint64_t n = 1, hit = 1; hit; n += 1 + n / 16) { /* a close repeats itself */
        cr_assert_lt(n, ROUNDS_MAX);
        ty_world_open(&world);
        ty_scenario_fill(&world);
        ty_allocations_fail(n, n % 2 == 0);
        ty_world_close(&world);
        hit = ty_allocations_stop();
        cr_assert_eq(ty_allocations_live(), 0, "allocation %llu: memory is lost",
                     (unsigned long long)n);
        ty_world_open(&world);
        cr_assert(ty_scenario_filled(&world, ++times), "allocation %llu", (unsigned long long)n);
        ty_world_crash(&world);
    }
}

/* --- Queries --- */

static tally_status ask_usage(struct ty_database *database, tally_error *error)
{
    struct ty_uuid customer = ty_world_customer(1), workflow = ty_world_workflow(1);
    struct ty_range range = ty_world_range(TALLY_DAILY, "2022-11-01", "2023-03-31");
    tally_row rows[200];
    tally_status status = ty_rollup_rows(database, &customer, &workflow, &range, rows, error);
    uint64_t events = 0;

    for (int64_t i = 0; status == TALLY_OK && i < ty_range_count(&range); i++)
        events += rows[i].events;
    cr_assert(status != TALLY_OK || events == 3, "%llu events", (unsigned long long)events);
    return status;
}

static tally_status ask_workflows(struct ty_database *database, tally_error *error)
{
    struct ty_uuid customer = ty_world_customer(1), *ids = NULL;
    struct ty_range range = ty_world_range(TALLY_HOURLY, "2022-11-01T00Z", "2023-03-31T00Z");
    size_t count = 0;
    tally_status status = ty_rollup_workflows(database, &customer, &range, &ids, &count, error);

    cr_assert(status != TALLY_OK || count == 1, "%zu workflows", count);
    if (status == TALLY_OK)
        free(ids);
    return status;
}

static bool count_event(void *context, const struct ty_feed_event *event)
{
    (void)event;
    ++*(unsigned *)context;
    return true;
}

static tally_status ask_feed(struct ty_database *database, tally_error *error)
{
    struct ty_feed_query query = {.limit = 1000};
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page;
    unsigned events = 0;
    tally_status status =
        ty_feed_read(database, &query, &cursor, count_event, &events, &page, error);

    cr_assert(status != TALLY_OK || events == 3 * TY_SCENARIO_SERIES, "%u events", events);
    return status;
}

static bool count_reject(void *context, const struct ty_kept_reject *kept)
{
    (void)kept;
    ++*(unsigned *)context;
    return true;
}

static tally_status ask_rejects(struct ty_database *database, tally_error *error)
{
    uint64_t before = UINT64_MAX;
    unsigned rejects = 0;
    bool more;
    tally_status status =
        ty_rejects_list(database, &before, 10, count_reject, &rejects, &more, error);

    cr_assert(status != TALLY_OK || rejects == 0);
    return status;
}

static bool count_revision(void *context, const tally_revision *revision)
{
    (void)revision;
    ++*(unsigned *)context;
    return true;
}

static tally_status ask_revisions(struct ty_database *database, tally_error *error)
{
    struct ty_uuid customer = ty_world_customer(1);
    tally_closed closed;
    unsigned revisions = 0;
    uint64_t after = 0;
    bool more;
    tally_status status = ty_revisions_list(database, &customer, &after, 10, count_revision,
                                            &revisions, &closed, &more, error);

    cr_assert(status != TALLY_OK || (revisions == 0 && closed.through[0] == '\0'));
    return status;
}

static void ask_with_failures(struct ty_database *database,
                              tally_status (*ask)(struct ty_database *, tally_error *))
{
    for (int stays = 0; stays < 2; stays++)
        for (uint64_t n = 1, hit = 1; hit; n++) {
            tally_error error = {""};
            int64_t before;
            tally_status status;

            cr_assert_lt(n, ROUNDS_MAX);
            ty_snapshot_drain(world.shard->store);
            before = ty_allocations_live();
            ty_allocations_fail(n, stays != 0);
            status = ask(database, &error);
            hit = ty_allocations_stop();
            if (status != TALLY_OK)
                check_problem(status, error.message, n);
            cr_assert_eq(ask(database, &error), TALLY_OK, "%s", error.message);
            ty_snapshot_drain(world.shard->store);
            cr_assert_eq(ty_allocations_live(), before, "allocation %llu: memory is lost",
                         (unsigned long long)n);
        }
}

/* Who asks while memory is short is told so, and gets the right answer a moment later. */
Test(allocation_shard, queries_without_memory_say_so_and_the_next_ones_are_right)
{
    struct ty_database database = {.record = world.record, .shard_count = 1};

    ty_world_open(&world);
    ty_scenario_fill(&world);
    for (int cold = 0; cold < 2; cold++) {
        database.shards = &world.shard;
        ask_with_failures(&database, ask_usage);
        ask_with_failures(&database, ask_workflows);
        ask_with_failures(&database, ask_feed);
        ask_with_failures(&database, ask_rejects);
        ask_with_failures(&database, ask_revisions);
        ty_world_close(&world);
        ty_world_open(&world);
    }
}
