#include "shard/database_internal.h"
#include "tests/support/gate.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS    3
#define CUSTOMERS 30
#define QUEUE_MAX (UINT32_C(1) << 20) /* events that may wait for a shard */

static struct ty_world world;
static struct ty_database *database;
static tally_error error;

static void init(void)
{
    ty_world_init(&world);
    cr_assert_eq(ty_world_database(&world, SHARDS, &database, &error), TALLY_OK, "%s",
                 error.message);
}

static void fini(void)
{
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(submit, .init = init, .fini = fini);

static void reopen(void)
{
    ty_database_close(database);
    database = NULL;
    cr_assert_eq(ty_world_database(&world, 0, &database, &error), TALLY_OK, "%s", error.message);
}

static unsigned shard_of(const struct ty_event *event)
{
    return ty_database_shard_index(database, &event->customer);
}

/* One event a customer: some for every shard. */
static void make_events(struct ty_event events[CUSTOMERS], const char *id)
{
    bool used[SHARDS] = {false};

    for (unsigned i = 0; i < CUSTOMERS; i++) {
        events[i] = ty_world_event(&world, i, 1, id);
        used[shard_of(&events[i])] = true;
    }
    cr_assert(used[0] && used[1] && used[2], "30 customers, and a shard without one");
}

static uint64_t stored_events(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < ty_database_shard_count(database); i++)
        sum +=
            atomic_load(&ty_shard_stats(ty_database_shard(database, i))->results[TALLY_ACCEPTED]);
    return sum;
}

/* The events of a customer must be decided in the order in which they were sent. */
Test(submit, keeps_the_order_of_a_customers_events)
{
    enum { ROUNDS = 4 };
    struct ty_event events[CUSTOMERS * ROUNDS];
    tally_result results[TY_COUNT_OF(events)];

    for (unsigned shards = 0; shards < 2; shards++) {
        for (unsigned i = 0; i < TY_COUNT_OF(events); i++) {
            events[i] = ty_world_event(&world, i % CUSTOMERS, 1, "id");
            events[i].pages = i / CUSTOMERS % 3; /* 0, 1, 2, 0: only the first is right */
        }
        cr_assert_eq(ty_world_submit(&world, database, events, TY_COUNT_OF(events), results),
                     TALLY_OK, "%s", world.problem);
        for (unsigned i = 0; i < TY_COUNT_OF(events); i++) {
            tally_result want = i < CUSTOMERS            ? TALLY_ACCEPTED
                                : i / CUSTOMERS % 3 == 0 ? TALLY_DUPLICATE
                                                         : TALLY_ID_CONFLICT;

            cr_assert_eq(results[i], want, "event %u: %s", i, tally_result_name(results[i]));
        }
        /* Once more with one shard, where events are not sorted. */
        ty_database_close(database);
        ty_world_fini(&world);
        ty_world_init(&world);
        cr_assert_eq(ty_world_database(&world, 1, &database, &error), TALLY_OK);
    }
}

/* A large batch is cut into parts of 8,192 a shard: no event may fall between two. */
Test(submit, large_batches_are_cut_and_put_together_again)
{
    enum { COUNT = 60000 };
    struct ty_event *events = calloc(COUNT, sizeof(*events));
    tally_result *results = calloc(COUNT, sizeof(*results));
    char(*ids)[16] = calloc(COUNT, sizeof(*ids));

    for (unsigned i = 0; i < COUNT; i++) {
        /* The last 10,000 repeat the first. */
        snprintf(ids[i], sizeof(ids[i]), "%u", i % 50000);
        events[i] = ty_world_event(&world, i % 50000 % CUSTOMERS, 1, ids[i]);
        results[i] = TALLY_NOT_STORED;
    }
    cr_assert_eq(ty_world_submit(&world, database, events, COUNT, results), TALLY_OK, "%s",
                 world.problem);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(results[i], i < 50000 ? TALLY_ACCEPTED : TALLY_DUPLICATE, "event %u: %s", i,
                     tally_result_name(results[i]));
    cr_assert_eq(stored_events(), 50000);
    free(events);
    free(results);
    free(ids);
}

struct noted {
    struct ty_submission submission;
    unsigned calls;
    pthread_t thread;
};

static void note(struct ty_submission *submission)
{
    struct noted *noted = TY_CONTAINER_OF(submission, struct noted, submission);

    noted->calls++;
    noted->thread = pthread_self();
}

/* A batch of which nothing could be decoded is answered at once, by who submits it. */
Test(submit, nothing_to_store_is_answered_at_once)
{
    struct ty_batch *batch = ty_database_take_batch(database);
    struct noted noted = {.submission = {.batch = batch, .done = note}};

    ty_batch_reject(batch, TALLY_INVALID_FIELD, (struct ty_text){0}, "wrong");
    ty_batch_seal(batch, ty_database_secret(database));
    ty_database_submit(database, &noted.submission);
    cr_assert_eq(noted.calls, 1);
    cr_assert(pthread_equal(noted.thread, pthread_self()));
    cr_assert_eq(noted.submission.status, TALLY_OK);
    cr_assert_null(noted.submission.problem);
    cr_assert_eq(batch->outcomes[0].result, TALLY_INVALID_FIELD);
    ty_database_give_batch(database, batch);
}

/* The records that were refused early keep their places between those that are stored. */
Test(submit, refused_records_keep_their_places)
{
    struct ty_batch *batch = ty_database_take_batch(database);
    struct noted noted = {.submission = {.batch = batch, .done = note}};

    for (unsigned i = 0; i < 100; i++) {
        struct ty_event *event;
        uint32_t record;

        if (i % 3 == 1) {
            ty_batch_reject(batch, TALLY_MISSING_FIELD, (struct ty_text){0}, NULL);
            continue;
        }
        event = ty_batch_add(batch);
        record = event->record;
        *event = ty_world_event(&world, i, 1, i % 3 == 0 ? "a" : "b");
        event->record = record;
        event->time_ms = i % 3 == 0 ? event->time_ms : 0;
    }
    ty_batch_seal(batch, ty_database_secret(database));
    ty_database_submit(database, &noted.submission);
    ty_database_close(database); /* which ends when all is decided */
    database = NULL;
    cr_assert_eq(noted.calls, 1);
    cr_assert_eq(noted.submission.status, TALLY_OK);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(batch->outcomes[i].result, i % 3 == 0   ? TALLY_ACCEPTED
                                                : i % 3 == 1 ? TALLY_MISSING_FIELD
                                                             : TALLY_TOO_OLD);
    ty_batch_fini(batch);
    free(batch);
}

/* Whose shard failed: the events that were not stored; returns that shard. */
static unsigned check_one_shard_failed(const struct ty_event *events, const tally_result *results)
{
    unsigned failed = SHARDS;

    for (unsigned i = 0; i < CUSTOMERS; i++)
        if (results[i] == TALLY_NOT_STORED)
            failed = shard_of(&events[i]);
    cr_assert_lt(failed, SHARDS, "no event failed");
    for (unsigned i = 0; i < CUSTOMERS; i++)
        cr_assert_eq(results[i], shard_of(&events[i]) == failed ? TALLY_NOT_STORED : TALLY_ACCEPTED,
                     "event %u: %s", i, tally_result_name(results[i]));
    return failed;
}

/* One disk is full: the client must learn it, with what was stored and what was not. */
Test(submit, when_one_shard_fails_the_others_results_stand)
{
    struct ty_event events[CUSTOMERS];
    tally_result results[CUSTOMERS], again[CUSTOMERS];

    make_events(events, "a");
    ty_world_fail(&world, TY_FAULT_PUT, 0, ENOSPC);
    cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, results), TALLY_FULL);
    cr_assert_neq(world.problem[0], '\0');
    check_one_shard_failed(events, results);
    cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, again), TALLY_OK);
    for (unsigned i = 0; i < CUSTOMERS; i++)
        cr_assert_eq(again[i], results[i] == TALLY_ACCEPTED ? TALLY_DUPLICATE : TALLY_ACCEPTED);
    cr_assert_eq(stored_events(), CUSTOMERS);
    cr_assert_not(ty_database_failed(database));
}

/* A shard whose last commit is unknown stops; its events and no others wait for the reopening. */
Test(submit, an_unknown_outcome_of_one_shard_stops_that_shard)
{
    for (int stored = 0; stored < 2; stored++) {
        struct ty_event events[CUSTOMERS];
        tally_result results[CUSTOMERS], again[CUSTOMERS];
        unsigned failed;

        make_events(events, stored ? "a" : "b");
        ty_world_fail(&world, stored ? TY_FAULT_COMMITTED : TY_FAULT_COMMIT, 0, EIO);
        cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, results), TALLY_UNKNOWN);
        failed = check_one_shard_failed(events, results);
        cr_assert(ty_database_failed(database));
        cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, again), TALLY_FAILED);
        for (unsigned i = 0; i < CUSTOMERS; i++)
            cr_assert_eq(again[i],
                         shard_of(&events[i]) == failed ? TALLY_NOT_STORED : TALLY_DUPLICATE);
        reopen();
        cr_assert_not(ty_database_failed(database));
        cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, again), TALLY_OK);
        for (unsigned i = 0; i < CUSTOMERS; i++)
            cr_assert_eq(again[i], shard_of(&events[i]) == failed && !stored ? TALLY_ACCEPTED
                                                                             : TALLY_DUPLICATE);
    }
}

static struct ty_gate gate;

static void finish_flood(struct ty_part *part)
{
    pthread_mutex_lock(&gate.lock);
    part->submission = NULL;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void await_flood(const struct ty_part *part)
{
    pthread_mutex_lock(&gate.lock);
    while (part->submission != NULL)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

/* A queue that is full: the client is told to come back, and when it does all is stored. */
Test(submit, a_shard_with_a_full_queue_is_busy)
{
    tally_options options = TALLY_OPTIONS_INIT;
    struct ty_batch batch = {0};
    uint32_t *indexes = calloc(QUEUE_MAX, sizeof(*indexes));
    struct ty_submission unused = {0};
    struct ty_part parts[2] = {{.batch = &batch, .count = 1, .done = finish_flood},
                               {.batch = &batch, .count = QUEUE_MAX, .done = finish_flood}};
    struct ty_event events[CUSTOMERS], flood = ty_world_event(&world, 1, 1, "flood");
    tally_result results[CUSTOMERS];
    unsigned shard = shard_of(&flood);
    struct ty_event *event;

    make_events(events, "a");
    ty_database_close(database);
    ty_gate_init(&gate);
    options.directory = world.directory.path;
    options.flags = TALLY_NO_SYNC;
    cr_assert_eq(
        ty_database_open(&options,
                         &(struct ty_database_hooks){.clock = &world.clock, .faults = &gate.faults},
                         &database, &error),
        TALLY_OK, "%s", error.message);
    event = ty_batch_add(&batch);
    *event = flood;
    ty_batch_seal(&batch, ty_database_secret(database));
    parts[0].indexes = parts[1].indexes = indexes;
    parts[0].submission = parts[1].submission = &unused;
    ty_gate_close(&gate);
    cr_assert(ty_writer_push(database->writers[shard], &parts[0]));
    ty_gate_await(&gate, 1);
    cr_assert(ty_writer_push(database->writers[shard], &parts[1]));

    /* Only that shard's events: refused before this returns. */
    cr_assert_eq(ty_world_submit(&world, database, &flood, 1, results), TALLY_BUSY);
    cr_assert_eq(results[0], TALLY_NOT_STORED);
    ty_gate_open(&gate);
    await_flood(&parts[0]);
    await_flood(&parts[1]);
    cr_assert_eq(ty_world_submit(&world, database, events, CUSTOMERS, results), TALLY_OK);
    for (unsigned i = 0; i < CUSTOMERS; i++)
        cr_assert_eq(results[i], TALLY_ACCEPTED);
    ty_batch_fini(&batch);
    free(indexes);
}
