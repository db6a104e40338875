/*
 * test_reshard.c: a dump of a shard in any state, loaded into other numbers of shards, gives the
 * same totals, closed months and revisions: what blocks have and what is replayed fit together
 * there as well.
 */
#include "query/usage.h"
#include "query/verify.h"
#include "shard/id_index.h"
#include "storage/snapshot.h"
#include "tests/support/dump_move.h"
#include "tests/support/random.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(reshard);

#define CUSTOMERS 9
#define WORKFLOWS 2
#define BATCH_MAX 12
#define DAYS      70
#define SENT_MAX  4096

static struct ty_world old_world, new_world, last_world;
static tally_error problem;

#define assert_ok(call) cr_assert_eq(call, TALLY_OK, "%s", problem.message)

/* --- Moving --- */

/* Moves the database of a world (`from_shards` 0: its one shard, without a database) into the empty
 * directory of another. */
static tally_status try_move(const struct ty_world *from, unsigned from_shards, struct ty_world *to,
                             unsigned shards)
{
    char paths[TY_MOVE_SHARDS_MAX][2048];
    const char *views[TY_MOVE_SHARDS_MAX] = {from->directory.path};
    tally_status status;
    bool dumped;

    for (unsigned i = 0; i < from_shards; i++) {
        snprintf(paths[i], sizeof(paths[i]), "%s/shard-%03u", from->directory.path, i);
        views[i] = paths[i];
    }
    status = ty_move_shards(views, TY_MAX(from_shards, 1u), to->directory.path, shards, &dumped,
                            &problem);
    cr_assert(dumped, "%s", problem.message);
    return status;
}

static void move(const struct ty_world *from, unsigned from_shards, struct ty_world *to,
                 unsigned shards)
{
    assert_ok(try_move(from, from_shards, to, shards));
}

/* --- Comparing --- */

/* Days and months of all series. */
struct totals {
    struct ty_total days[CUSTOMERS][WORKFLOWS][DAYS];
    struct ty_total months[CUSTOMERS][WORKFLOWS][3];
};

static void ask(const struct ty_shard_view *view, unsigned customer, unsigned workflow,
                struct totals *totals)
{
    struct ty_range days = ty_world_range(TALLY_DAILY, "2022-12-20", "2023-02-27");
    struct ty_range months = ty_world_range(TALLY_MONTHLY, "2022-12", "2023-02");
    struct ty_uuid customer_id = ty_world_customer(customer);
    struct ty_uuid workflow_id = ty_world_workflow(workflow);
    struct ty_series *series = ty_series_find(view->series, &customer_id, &workflow_id);

    cr_assert_eq(ty_range_count(&days), DAYS);
    assert_ok(ty_usage_totals(view, series, &days, totals->days[customer][workflow], &problem));
    assert_ok(ty_usage_totals(view, series, &months, totals->months[customer][workflow], &problem));
}

static void ask_shard(struct totals *totals)
{
    struct ty_shard_view view = ty_shard_view(old_world.shard);

    memset(totals, 0, sizeof(*totals));
    for (unsigned c = 0; c < CUSTOMERS; c++)
        for (unsigned w = 0; w < WORKFLOWS; w++)
            ask(&view, c, w, totals);
}

static void check_database(struct ty_database *database, const struct totals *wanted)
{
    static struct totals found;

    memset(&found, 0, sizeof(found));
    for (unsigned c = 0; c < CUSTOMERS; c++) {
        struct ty_uuid customer = ty_world_customer(c);
        struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, &customer));

        for (unsigned w = 0; w < WORKFLOWS; w++) {
            ask(&view, c, w, &found);
            for (unsigned i = 0; i < DAYS; i++)
                cr_assert(ty_total_equal(&found.days[c][w][i], &wanted->days[c][w][i]),
                          "day %u of customer %u, workflow %u", i, c, w);
            for (unsigned i = 0; i < 3; i++)
                cr_assert(ty_total_equal(&found.months[c][w][i], &wanted->months[c][w][i]),
                          "month %u of customer %u, workflow %u", i, c, w);
        }
    }
}

/* --- Closed months --- */

#define REVISIONS_MAX 600 /* of a customer */

struct records {
    struct ty_closed closed[CUSTOMERS];
    struct ty_revision revisions[CUSTOMERS][REVISIONS_MAX];
    struct ty_uuid workflows[CUSTOMERS][REVISIONS_MAX]; /* of those */
};

static void read_records(struct ty_store *store, unsigned customer, struct records *records)
{
    struct ty_closed *closed = &records->closed[customer];
    struct ty_uuid id = ty_world_customer(customer), owner;
    struct ty_snapshot *snapshot;

    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    assert_ok(ty_snapshot_get_closed(snapshot, &id, closed, &problem));
    cr_assert(closed->revisions <= REVISIONS_MAX);
    for (uint64_t i = 0; i < closed->revisions; i++) {
        struct ty_revision *revision = &records->revisions[customer][i];

        assert_ok(ty_snapshot_get_revision(snapshot, &id, i + 1, revision, &problem));
        assert_ok(ty_snapshot_get_series(snapshot, revision->series, &owner,
                                         &records->workflows[customer][i], &problem));
        cr_assert_eq(ty_uuid_compare(&owner, &id), 0);
    }
    ty_snapshot_end(store, snapshot);
}

static void check_records(struct ty_database *database, const struct records *wanted)
{
    static struct records found;

    for (unsigned c = 0; c < CUSTOMERS; c++) {
        struct ty_uuid customer = ty_world_customer(c);

        read_records(ty_shard_view(ty_database_shard_of(database, &customer)).store, c, &found);
        cr_assert(found.closed[c].through == wanted->closed[c].through &&
                  found.closed[c].closed_ms == wanted->closed[c].closed_ms &&
                  found.closed[c].revisions == wanted->closed[c].revisions);
        for (uint64_t i = 0; i < found.closed[c].revisions; i++) {
            const struct ty_revision *a = &found.revisions[c][i], *b = &wanted->revisions[c][i];

            cr_assert(a->month == b->month && a->received_ms == b->received_ms &&
                          a->events == b->events && a->voided == b->voided &&
                          ty_total_equal(&a->before, &b->before) &&
                          ty_total_equal(&a->after, &b->after) &&
                          ty_uuid_compare(&found.workflows[c][i], &wanted->workflows[c][i]) == 0,
                      "revision %llu of customer %u", (unsigned long long)a->number, c);
        }
    }
}

/* Months that have ended by the world's clock, of somebody. */
static void close_some(struct ty_random *random)
{
    struct ty_close close = {.customer =
                                 ty_world_customer((unsigned)ty_random_below(random, CUSTOMERS)),
                             .through = 635 + (int32_t)ty_random_below(random, 2)};
    struct ty_part part = {.close = &close};

    ty_shard_commit(old_world.shard, &part);
    cr_assert_eq(part.status, TALLY_OK);
}

static void note_problem(void *context, const struct ty_verify_problem *found)
{
    (void)context;
    cr_assert_fail("%s: %s", found->check, found->text);
}

static void ignore_progress(void *context, const char *check, uint64_t done, uint64_t total,
                            uint64_t events)
{
    (void)context, (void)check, (void)done, (void)total, (void)events;
}

static void verify(const struct ty_world *world, unsigned shards)
{
    struct ty_verify_options options = {.dedup_window_ms = 3600000,
                                        .memory_bytes = 32 << 20,
                                        .report = note_problem,
                                        .progress = ignore_progress};
    struct ty_database_record record;
    struct ty_verify_counts counts;
    char path[2048];

    for (options.shard = 0; options.shard < shards; options.shard++) {
        snprintf(path, sizeof(path), "%s/shard-%03u", world->directory.path, options.shard);
        assert_ok(ty_verify_shard(path, &options, &record, &counts, &problem));
        cr_assert(counts.problems == 0 && counts.uncompared_ids == 0);
    }
}

/* --- Filling --- */

static struct sent {
    char id[16];
    struct ty_event event;
    int64_t at_ms;
} sent[SENT_MAX];
static unsigned sent_count;

static void commit_some(struct ty_random *random)
{
    struct ty_event events[BATCH_MAX];
    tally_result results[BATCH_MAX];
    unsigned count = 1 + (unsigned)ty_random_below(random, BATCH_MAX);

    for (unsigned i = 0; i < count; i++) {
        struct sent *one = &sent[sent_count++];

        snprintf(one->id, sizeof(one->id), "e%u", sent_count);
        one->event = ty_world_event(&old_world, (unsigned)ty_random_below(random, CUSTOMERS),
                                    (unsigned)ty_random_below(random, WORKFLOWS), one->id);
        one->event.credits = (int64_t)ty_random_below(random, 1000000) - 300000;
        if (ty_random_below(random, 4) == 0)
            one->event.time_ms = TALLY_TIME_OF_ARRIVAL;
        else /* a few of many days, so that months get dirty again and again */
            one->event.time_ms -= (int64_t)ty_random_below(random, 40) * 86400000;
        one->at_ms = old_world.wall_ms;
        events[i] = one->event;
    }
    cr_assert_eq(ty_world_commit(&old_world, events, count, results), TALLY_OK, "%s",
                 old_world.problem);
    for (unsigned i = 0; i < count; i++)
        cr_assert_eq(results[i], TALLY_ACCEPTED);
}

/* Ids of the last half hour are known on their new shards, and count once. */
static void check_ids(struct ty_world *world, struct ty_database *database)
{
    for (unsigned i = 0; i < sent_count; i++) {
        tally_result result;

        if (sent[i].at_ms < world->wall_ms - 1800000)
            continue;
        cr_assert_eq(ty_world_submit(world, database, &sent[i].event, 1, &result), TALLY_OK, "%s",
                     world->problem);
        cr_assert_eq(result, TALLY_DUPLICATE, "%s", sent[i].id);
    }
}

static void begin_world(struct ty_world *world)
{
    ty_world_init(world);
    world->wall_ms = old_world.wall_ms;
    world->mono_ns = old_world.mono_ns;
    world->options.dedup_seal_ids = old_world.options.dedup_seal_ids;
}

static void move_and_check(const struct totals *wanted, const struct records *records,
                           unsigned shards, unsigned then)
{
    struct ty_database *database;

    begin_world(&new_world);
    begin_world(&last_world);
    move(&old_world, 0, &new_world, shards);
    verify(&new_world, shards);
    assert_ok(ty_world_database(&new_world, 0, &database, &problem));
    cr_assert_eq(ty_database_shard_count(database), shards);
    check_database(database, wanted);
    check_records(database, records);
    check_ids(&new_world, database);
    check_database(database, wanted);
    ty_database_close(database);
    move(&new_world, shards, &last_world, then);
    verify(&last_world, then);
    assert_ok(ty_world_database(&last_world, 0, &database, &problem));
    check_database(database, wanted);
    check_records(database, records);
    check_ids(&last_world, database);
    ty_database_close(database);
    ty_world_fini(&last_world);
    ty_world_fini(&new_world);
}

/* Customers are billed twice for what was in a block and is replayed as well, or not at all for
 * what is in neither, after the number of shards was changed. */
Test(reshard, all_is_the_same_whatever_was_written_and_trimmed)
{
    static struct records records;
    static struct totals wanted;
    uint64_t revisions = 0;
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    ty_world_init(&old_world);
    old_world.options.journal_retention_ms = 3600000; /* the dedup window */
    old_world.options.dedup_seal_ids = 50;
    ty_world_open(&old_world);
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 30; i++) {
            commit_some(&random);
            ty_world_pass(&old_world, (int64_t)ty_random_below(&random, 12000));
            if (ty_random_below(&random, 10) == 0)
                ty_shard_maintain(old_world.shard);
            if (ty_random_below(&random, 10) == 0)
                close_some(&random);
        }
        ask_shard(&wanted);
        for (unsigned c = 0; c < CUSTOMERS; c++) {
            read_records(old_world.shard->store, c, &records);
            revisions += records.closed[c].revisions;
        }
        ty_world_crash(&old_world);
        move_and_check(&wanted, &records, 2 + (unsigned)ty_random_below(&random, 4),
                       1 + (unsigned)ty_random_below(&random, 4));
        ty_world_open(&old_world);
        ty_world_pass(&old_world, (int64_t)ty_random_below(&random, 2 * 3600000));
    }
    cr_assert_gt(ty_world_first_journal(&old_world), 1u, "nothing was ever trimmed");
    cr_assert(revisions > 100, "%llu revisions", (unsigned long long)revisions);
    ty_world_close(&old_world);
    ty_world_fini(&old_world);
}

/* --- Sealed ids --- */

static uint64_t run_count(struct ty_database *database, unsigned shards)
{
    uint64_t runs = 0;

    for (unsigned i = 0; i < shards; i++)
        runs += ty_id_index_gauges(ty_database_shard(database, i)->ids).runs;
    return runs;
}

/* Events of so many customers that no shard is without, a batch each two seconds. */
static void fill(struct ty_world *world, struct ty_database *database, unsigned batches)
{
    struct ty_event events[CUSTOMERS];
    tally_result results[CUSTOMERS];

    for (unsigned n = 0; n < batches; n++) {
        for (unsigned c = 0; c < CUSTOMERS; c++) {
            struct sent *one = &sent[sent_count++];

            snprintf(one->id, sizeof(one->id), "e%u", sent_count);
            one->at_ms = world->wall_ms;
            one->event = events[c] =
                ty_world_event(world, sent_count % (4 * CUSTOMERS), 0, one->id);
        }
        assert_ok(ty_world_submit(world, database, events, CUSTOMERS, results));
        for (unsigned c = 0; c < CUSTOMERS; c++)
            cr_assert_eq(results[c], TALLY_ACCEPTED);
        ty_world_pass(world, 2000);
    }
}

static void begin_filled(unsigned shards, uint64_t seal_ids, unsigned runs)
{
    struct ty_database *database;

    sent_count = 0;
    ty_world_init(&old_world);
    old_world.options.dedup_seal_ids = seal_ids;
    assert_ok(ty_world_database(&old_world, shards, &database, &problem));
    while (run_count(database, shards) < runs) {
        cr_assert_lt(sent_count, SENT_MAX / 2);
        fill(&old_world, database, 10);
    }
    ty_database_close(database);
    verify(&old_world, shards);
}

/* Every id counts once there, also after a restart and after more was sealed; a new one counts. */
static void check_moved(unsigned from, unsigned shards)
{
    struct ty_database *database;
    unsigned moved = sent_count;

    begin_world(&new_world);
    move(&old_world, from, &new_world, shards);
    verify(&new_world, shards);
    for (unsigned start = 0; start < 2; start++) {
        assert_ok(ty_world_database(&new_world, 0, &database, &problem));
        cr_assert_geq(run_count(database, shards), shards);
        for (unsigned i = 0; i < shards; i++)
            cr_assert_eq(ty_id_index_gauges(ty_database_shard(database, i)->ids).window_ms,
                         TALLY_DEDUP_WINDOW_MS);
        check_ids(&new_world, database);
        fill(&new_world, database, 20);
        check_ids(&new_world, database);
        ty_database_close(database);
        verify(&new_world, shards);
    }
    sent_count = moved;
    ty_world_fini(&new_world);
}

/* A producer that sends again after the database was moved is counted twice. */
Test(reshard, sealed_ids_are_remembered_on_every_number_of_shards)
{
    begin_filled(1, 60, 5);
    check_moved(1, 1);
    check_moved(1, 3);
    ty_world_fini(&old_world);
    begin_filled(3, 20, 15);
    check_moved(3, 3);
    check_moved(3, 2);
    check_moved(3, 1);
    check_moved(3, 5);
    ty_world_fini(&old_world);
}

/* More runs than a shard can have: forgetting some would count their ids twice. */
Test(reshard, more_runs_than_a_shard_can_have_are_refused)
{
    begin_filled(3, 1, TY_ID_RUNS_MAX + 1);
    begin_world(&new_world);
    cr_assert_eq(try_move(&old_world, 3, &new_world, 2), TALLY_INVALID);
    cr_assert(strstr(problem.message, "runs of remembered ids") != NULL, "%s", problem.message);
    ty_world_fini(&new_world);
    check_moved(3, 3);
    ty_world_fini(&old_world);
}
