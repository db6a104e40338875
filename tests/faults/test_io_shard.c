/*
 * Every write, sync, truncation and open of a shard's life fails in its turn, in every way, once
 * alone and once with all that follow. Either nothing was stored, the shard goes on and takes the
 * next batch, or it stops with a word of the reason; then the next open shows every acknowledged
 * event once, and the batch in flight wholly or not at all.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "storage/snapshot.h"
#include "tests/faults/io.h"
#include "tests/faults/scenario.h"

#define CALLS_MAX 500 /* of an operation */
#define WHOLE_MAX 3

static struct ty_world world;
static struct {
    unsigned refused, unknown, stored; /* how failed commits ended */
} ends;

static void init(void)
{
    ty_world_init(&world);
    world.options.map_bytes = 64 << 20;
    world.options.sync = true;
    world.options.dedup_seal_ids = 8; /* sealed and swept all the time */
    memset(&ends, 0, sizeof(ends));
}

static void fini(void)
{
    ty_io_stop();
    ty_world_fini(&world);
}

TestSuite(io_shard, .init = init, .fini = fini);

/* Goes through every way to fail, or half of them: `attempt` is called with call 1, 2, 3, ...
 * failing until none is left to fail; it returns the call that did, or NULL. */
static void fail_in_ways(const char *(*attempt)(uint64_t n, enum ty_io_failure failure, bool stays),
                         bool all)
{
    for (int failure = 0; failure < TY_IO_FAILURES; failure++)
        for (int stays = 0; stays < 2; stays++) {
            unsigned whole = 0; /* attempts without a failure; calls are not always as many */

            if (!all && (failure == TY_IO_EIO || failure == TY_IO_SHORT) == (stays != 0))
                continue;
            (void)attempt(TY_IO_ROOT, (enum ty_io_failure)failure, stays != 0);
            for (uint64_t n = 1; whole < WHOLE_MAX; n++) {
                cr_assert_lt(n, CALLS_MAX);
                whole += attempt(n, (enum ty_io_failure)failure, stays != 0) == NULL;
            }
        }
}

static void fail_everywhere(const char *(*attempt)(uint64_t n, enum ty_io_failure failure,
                                                   bool stays))
{
    fail_in_ways(attempt, true);
}

/* --- Opening --- */

/* A status and a sentence that a start may end with. */
static void check_refusal(tally_status status, const tally_error *error, const char *call)
{
    cr_assert(status == TALLY_IO || status == TALLY_FULL || status == TALLY_FAILED ||
                  status == TALLY_CORRUPT,
              "%s: %s: %s", call, tally_strerror(status), error->message);
    cr_assert(error->message[0] != '\0', "%s: no word of the reason", call);
}

static const char *open_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    tally_error error = {""};
    const char *call;
    tally_status status;

    ty_io_fail(n, failure, stays);
    status = ty_world_try_open(&world, &error);
    call = ty_io_stop();
    if (status != TALLY_OK) {
        cr_assert_not_null(call, "%s", error.message);
        check_refusal(status, &error, call);
    }
    ty_world_crash(&world);
    return call;
}

/* A start on a failing disk says so and spoils nothing. */
Test(io_shard, an_open_that_fails_says_so_and_the_next_one_has_everything)
{
    ty_world_open(&world);
    ty_scenario_fill(&world);
    ty_world_crash(&world);
    fail_everywhere(open_failing);
    ty_world_open(&world);
    cr_assert(ty_scenario_filled(&world, 1));
}

static const char *create_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    const char *call;

    ty_scenario_empty(&world);
    call = open_failing(n, failure, stays);
    ty_world_open(&world); /* What the first attempt left must not stand in the way. */
    ty_world_send(&world, &(struct ty_event){.customer = ty_world_customer(1),
                                             .workflow = ty_world_workflow(1),
                                             .id = {"a", 1},
                                             .time_ms = TY_WORLD_START_MS});
    cr_assert_eq(ty_scenario_events(&world, 1, 1), 1u);
    ty_world_crash(&world);
    return call;
}

/* The first start, too. */
Test(io_shard, a_creation_that_fails_says_so_and_the_next_one_works)
{
    fail_in_ways(create_failing, false); /* each is slow */
}

/* --- Commits --- */

static unsigned customer = 1000; /* one that has nothing yet */

/* The commit failed halfway: whoever opens the shard next finds all of it or nothing. */
static void check_unknown(struct ty_sending *sending, const char *call)
{
    uint64_t found;
    bool is_stored;

    ends.unknown++;
    cr_assert_eq(ty_sending_commit(sending, &world), TALLY_FAILED, "%s: %s", call,
                 sending->part.problem);
    cr_assert(sending->part.problem[0] != '\0');
    ty_world_reopen(&world);
    found = ty_scenario_events(&world, customer, 1);
    is_stored = found != 0;
    cr_assert(found == 0 || found == sending->batch.record_count, "%s: %llu of %zu events", call,
              (unsigned long long)found, sending->batch.record_count);
    ends.stored += is_stored;
    cr_assert_eq(ty_sending_commit(sending, &world), TALLY_OK, "%s: %s", call,
                 sending->part.problem);
    cr_assert_eq(ty_sending_count(sending, is_stored ? TALLY_DUPLICATE : TALLY_ACCEPTED),
                 sending->batch.record_count, "%s", call);
}

/* Nothing was stored: the shard takes the same events when they come again. */
static void check_refused(struct ty_sending *sending, const char *call)
{
    ends.refused++;
    cr_assert(sending->part.status == TALLY_FULL || sending->part.status == TALLY_IO, "%s: %s: %s",
              call, tally_strerror(sending->part.status), sending->part.problem);
    cr_assert_eq(ty_sending_count(sending, TALLY_NOT_STORED), sending->batch.record_count);
    cr_assert_eq(ty_scenario_events(&world, customer, 1), 0u);
    cr_assert_eq(ty_sending_commit(sending, &world), TALLY_OK, "%s: %s", call,
                 sending->part.problem);
    cr_assert_eq(ty_sending_count(sending, TALLY_ACCEPTED), sending->batch.record_count, "%s",
                 call);
}

static const char *commit_failing(unsigned count, uint64_t n, enum ty_io_failure failure,
                                  bool stays)
{
    static struct ty_sending sending;
    const char *call;

    customer++;
    ty_world_pass(&world, 1100); /* ids of a second of their own can be sealed */
    ty_sending_init(&sending, &world, customer, 1, TY_WORLD_START_MS, count);
    ty_io_fail(n, failure, stays);
    (void)ty_sending_commit(&sending, &world);
    call = ty_io_stop();
    if (sending.part.status == TALLY_UNKNOWN)
        check_unknown(&sending, call);
    else if (sending.part.status != TALLY_OK)
        check_refused(&sending, call);
    ty_shard_check(world.shard);
    cr_assert_eq(ty_scenario_events(&world, customer, 1), count, "%s", call);
    ty_sending_fini(&sending);
    return call;
}

static const char *commit_few_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    return commit_failing(2, n, failure, stays);
}

static const char *commit_many_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    return commit_failing(TY_SCENARIO_EVENTS_MAX, n, failure, stays);
}

static void check_everything_again(void)
{
    unsigned last = customer;

    cr_assert(ty_scenario_filled(&world, 1));
    ty_world_reopen(&world);
    cr_assert(ty_scenario_filled(&world, 1));
    for (customer = 1001; customer <= last; customer++)
        cr_assert_gt(ty_scenario_events(&world, customer, 1), 0u);
    cr_assert_gt(ends.unknown, 0u);
    cr_assert_gt(ends.stored, 0u, "no commit was stored and reported as failed");
    cr_assert_gt(ends.refused, 0u);
    cr_assert_gt(ty_id_index_gauges(world.shard->ids).runs, 0u, "no ids were sealed");
}

/* A disk that fails once or for good, at any call: no event is lost, and none counts twice. */
Test(io_shard, a_commit_that_fails_is_stored_wholly_or_not_at_all)
{
    ty_world_open(&world);
    ty_scenario_fill(&world);
    fail_everywhere(commit_few_failing);
    check_everything_again();
}

/* The same with a batch that needs pages of its own and many writes. */
Test(io_shard, a_large_commit_that_fails_is_stored_wholly_or_not_at_all)
{
    ty_world_open(&world);
    ty_scenario_fill(&world);
    fail_in_ways(commit_many_failing, false);
    check_everything_again();
}

/* Two batches, the second decided while the first is being stored. Of both together there are none,
 * the first, or all; whoever was not told that his is stored sends it again. */
static const char *commit_ahead_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    static struct ty_sending first, second;
    const char *call;
    uint64_t stored;
    bool told;

    customer++;
    ty_world_pass(&world, 1100);
    ty_sending_init(&first, &world, customer, 1, TY_WORLD_START_MS, 5);
    ty_sending_init(&second, &world, customer, 1, TY_WORLD_START_MS, 3);
    ty_io_fail(n, failure, stays);
    ty_sendings_commit_ahead(&first, &second, &world);
    call = ty_io_stop();
    told = first.part.status == TALLY_OK;
    if (world.shard->failed)
        ty_world_reopen(&world);
    stored = ty_scenario_events(&world, customer, 1);
    cr_assert(stored == 0 || stored == 3 || stored == 5 || stored == 8, "%s", call);
    cr_assert(!told || stored >= 5, "%s: the first was acknowledged and is lost", call);
    cr_assert(second.part.status != TALLY_OK || stored == 3 || stored == 8, "%s", call);
    cr_assert_eq(ty_sending_commit(&first, &world), TALLY_OK, "%s: %s", call, first.part.problem);
    cr_assert_eq(ty_sending_commit(&second, &world), TALLY_OK, "%s: %s", call, second.part.problem);
    ty_sending_fini(&first);
    ty_sending_fini(&second);
    ty_shard_check(world.shard);
    cr_assert_eq(ty_scenario_events(&world, customer, 1), 8u, "%s", call);
    if (ty_id_index_must_sweep(world.shard->ids))
        ty_shard_maintain(world.shard);
    return call;
}

/* One commit on top of another that fails: neither is lost, and none counts twice. */
Test(io_shard, commits_ahead_that_fail_are_stored_wholly_or_not_at_all)
{
    ty_world_open(&world);
    ty_scenario_fill(&world);
    fail_everywhere(commit_ahead_failing);
    ty_world_reopen(&world);
    for (unsigned last = customer; last > 1001; last--)
        cr_assert_eq(ty_scenario_events(&world, last, 1), 8u);
}

/* --- Closed months --- */

static tally_status send_january(struct ty_sending *sending, unsigned count)
{
    ty_sending_init(sending, &world, customer, 1, TY_SCENARIO_JANUARY_MS, count);
    return ty_sending_commit(sending, &world);
}

/* Closes January, then sends an event of it, with a failure somewhere. Whoever is not told that it
 * is done asks again. */
static const char *close_and_send_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    static struct ty_sending sending;
    struct ty_close close = {.customer = ty_world_customer(++customer),
                             .through = TY_SCENARIO_JANUARY};
    struct ty_part part = {.close = &close};
    const char *call;

    cr_assert_eq(send_january(&sending, 2), TALLY_OK);
    ty_sending_fini(&sending);
    ty_io_fail(n, failure, stays);
    ty_shard_commit(world.shard, &part);
    if (part.status == TALLY_OK)
        (void)send_january(&sending, 3);
    call = ty_io_stop();
    if (world.shard->failed)
        ty_world_reopen(&world);
    if (part.status != TALLY_OK) {
        bool is_stored = ty_scenario_closed(&world, customer).through == TY_SCENARIO_JANUARY;

        ty_shard_commit(world.shard, &part);
        cr_assert_eq(part.status, TALLY_OK, "%s: %s", call, part.problem);
        cr_assert_eq(close.result, is_stored ? TY_CLOSE_ALREADY : TY_CLOSE_DONE, "%s", call);
        (void)send_january(&sending, 3);
    }
    if (sending.part.status != TALLY_OK) { /* All of it is stored, or nothing. */
        bool is_stored = ty_scenario_events(&world, customer, 1) == 5;

        cr_assert_eq(ty_scenario_closed(&world, customer).revisions, is_stored, "%s", call);
        cr_assert_eq(ty_sending_commit(&sending, &world), TALLY_OK, "%s", call);
    }
    ty_sending_fini(&sending);
    ty_shard_check(world.shard);
    cr_assert_eq(ty_scenario_events(&world, customer, 1), 5u, "%s", call);
    cr_assert_eq(ty_scenario_closed(&world, customer).revisions, 1u, "%s", call);
    return call;
}

/* A month is closed or not, and what changes in it is told once, whatever the disk does. */
Test(io_shard, closings_and_revisions_are_stored_wholly_or_not_at_all)
{
    ty_world_open(&world);
    fail_in_ways(close_and_send_failing, false);
    ty_world_reopen(&world);
    for (; customer > 1000; customer--)
        cr_assert_eq(ty_scenario_closed(&world, customer).revisions, 1u);
}

/* --- Checkpoints and the end --- */

static const char *maintain_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    const char *call;

    ty_scenario_empty(&world);
    ty_world_open(&world);
    ty_scenario_fill(&world);
    ty_world_pass(&world, TY_CHECKPOINT_MS + 1);
    ty_io_fail(n, failure, stays);
    (void)ty_shard_maintain(world.shard);
    call = ty_io_stop();
    ty_shard_check(world.shard);
    if (world.shard->failed)
        ty_world_reopen(&world);
    cr_assert(ty_scenario_filled(&world, 1), "%s", call);
    ty_world_pass(&world, TY_CHECKPOINT_MS + 1);
    while (ty_shard_maintain(world.shard) == 0) {
    }
    cr_assert_eq(world.shard->hot.dirty_count, 0u, "%s", call);
    ty_world_reopen(&world);
    cr_assert(ty_scenario_filled(&world, 1), "%s", call);
    ty_world_crash(&world);
    return call;
}

/* A checkpoint that fails, halfway or not, is made up for with the same totals. */
Test(io_shard, a_checkpoint_that_fails_is_made_up_for)
{
    world.options.sync = false; /* for the events; syncs are the same calls as in commits */
    fail_everywhere(maintain_failing);
}

static const char *close_failing(uint64_t n, enum ty_io_failure failure, bool stays)
{
    const char *call;

    ty_scenario_empty(&world);
    ty_world_open(&world);
    ty_scenario_fill(&world);
    ty_io_fail(n, failure, stays);
    ty_world_close(&world);
    call = ty_io_stop();
    ty_world_open(&world);
    cr_assert(ty_scenario_filled(&world, 1), "%s", call);
    ty_world_crash(&world);
    return call;
}

/* A stop that cannot write what is dirty leaves more to replay, and nothing else. */
Test(io_shard, a_close_that_fails_loses_nothing)
{
    world.options.sync = false;
    fail_everywhere(close_failing);
}
