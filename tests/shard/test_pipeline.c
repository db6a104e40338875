#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOADS        4
#define LAUNCHES_MAX 100
#define MANY         1000 /* events: enough to go ahead of others */

static struct ty_world world;
static struct ty_batch batches[LOADS];
static struct ty_part parts[LOADS];

/* What a crash left of ids is looked for first: that is maintenance. */
static void open_world(void)
{
    ty_world_open(&world);
    ty_shard_maintain(world.shard);
}

static void init(void)
{
    ty_world_init(&world);
    open_world();
}

static void fini(void)
{
    for (size_t i = 0; i < LOADS; i++)
        ty_batch_fini(&batches[i]);
    ty_world_fini(&world);
}

TestSuite(pipeline, .init = init, .fini = fini);

/* A part of one event of customer 1, for each of the ids up to NULL. */
static struct ty_part *load(unsigned number, unsigned workflow, const char *const *ids)
{
    struct ty_batch *batch = &batches[number];

    ty_batch_fini(batch);
    memset(batch, 0, sizeof(*batch));
    for (; *ids != NULL; ids++) {
        struct ty_event *event = ty_batch_add(batch);
        uint32_t record = event->record;

        *event = ty_world_event(&world, 1, workflow, *ids);
        event->id = ty_arena_copy(&batch->arena, event->id);
        event->record = record;
    }
    ty_batch_seal(batch, &world.shard->secret);
    parts[number] = (struct ty_part){.batch = batch, .count = (uint32_t)batch->event_count};
    return &parts[number];
}

#define LOAD(number, ...) load(number, 1, (const char *const[]){__VA_ARGS__, NULL})

static tally_result result(unsigned number, unsigned event)
{
    return batches[number].outcomes[event].result;
}

static uint64_t visible(unsigned workflow)
{
    return ty_world_total(&world, 1, workflow, TALLY_MONTHLY, "2023-02").events;
}

static void prepare_and_launch(struct ty_part *part)
{
    ty_shard_prepare(world.shard, part);
    cr_assert(ty_shard_launch(world.shard));
}

/* What the writer does when nothing is being stored; returns whether the next one is on its way. */
static bool turn(struct ty_part **answered)
{
    bool launched;

    ty_shard_land(world.shard);
    launched = ty_shard_launch(world.shard);
    *answered = ty_shard_publish(world.shard);
    return launched;
}

/* Stores what was launched, and answers it. */
static struct ty_part *finish(void)
{
    struct ty_part *answered;

    ty_shard_store(world.shard);
    turn(&answered);
    return answered;
}

/* An acknowledgement, or a total on an invoice, must not outrun the disk. */
Test(pipeline, nothing_is_seen_or_answered_before_it_is_stored)
{
    ty_shard_prepare(world.shard, LOAD(0, "a", "b"));
    cr_assert_eq(visible(1), 0);
    cr_assert(ty_shard_launch(world.shard));
    cr_assert_null(ty_shard_publish(world.shard), "nothing has landed");
    cr_assert_eq(visible(1), 0);
    ty_shard_store(world.shard);
    cr_assert_eq(visible(1), 0);
    ty_shard_land(world.shard);
    cr_assert_eq(ty_shard_publish(world.shard), &parts[0]);
    cr_assert_eq(visible(1), 2);
    cr_assert_eq(result(0, 0), TALLY_ACCEPTED);
    cr_assert_not(ty_shard_is_ahead(world.shard));
    ty_shard_check(world.shard);
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 2);
}

/* That is what it is for: the second is ready when the first is stored. */
Test(pipeline, the_next_commit_is_decided_on_top_of_the_one_being_stored)
{
    struct ty_part *answered;

    prepare_and_launch(LOAD(0, "a", "b"));
    ty_shard_prepare(world.shard, LOAD(1, "b", "c"));
    ty_shard_prepare(world.shard, LOAD(2, "c", "d"));
    ty_shard_store(world.shard);
    cr_assert(turn(&answered));
    cr_assert_eq(answered, &parts[0]);
    cr_assert_eq(visible(1), 2, "the second is not stored yet");
    answered = finish();
    cr_assert_eq(answered, &parts[1]);
    cr_assert_eq(answered->next, &parts[2], "in the order in which they came");
    cr_assert_null(parts[2].next);
    cr_assert_eq(result(1, 0), TALLY_DUPLICATE);
    cr_assert_eq(result(1, 1), TALLY_ACCEPTED);
    cr_assert_eq(result(2, 0), TALLY_DUPLICATE);
    cr_assert_eq(result(2, 1), TALLY_ACCEPTED);
    cr_assert_eq(visible(1), 4);
    cr_assert_eq(world.shard->state.last_sequence, 2);
    ty_shard_check(world.shard);
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 4);
}

/* What only a failed commit knew must not pass for stored: a retry would be answered "duplicate"
 * and never be counted. */
Test(pipeline, a_commit_on_top_of_a_failed_one_is_decided_again)
{
    struct ty_part *answered, *withdrawn;

    prepare_and_launch(LOAD(0, "a", "b"));
    ty_shard_prepare(world.shard, LOAD(1, "b", "c"));
    cr_assert_eq(result(1, 0), TALLY_DUPLICATE, "as far as one can tell");
    ty_world_fail(&world, TY_FAULT_PUT, 1, ENOSPC);
    ty_shard_store(world.shard);
    cr_assert_not(turn(&answered));
    cr_assert_eq(answered, &parts[0]);
    cr_assert_eq(answered->status, TALLY_FULL);
    cr_assert_eq(result(0, 0), TALLY_NOT_STORED);
    cr_assert_not_null(answered->problem);
    withdrawn = ty_shard_withdraw(world.shard);
    cr_assert_eq(withdrawn, &parts[1]);
    ty_shard_check(world.shard);
    ty_shard_commit(world.shard, withdrawn);
    cr_assert_eq(result(1, 0), TALLY_ACCEPTED);
    cr_assert_eq(result(1, 1), TALLY_ACCEPTED);
    cr_assert_eq(visible(1), 2);
    cr_assert_eq(world.shard->state.last_sequence, 1);
    ty_shard_commit(world.shard, LOAD(0, "a", "b"));
    cr_assert_eq(result(0, 0), TALLY_ACCEPTED);
    cr_assert_eq(result(0, 1), TALLY_DUPLICATE);
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 3);
}

/* The journal names series by numbers that only storage can explain. */
Test(pipeline, a_series_that_a_failed_commit_brought_is_stored_by_the_next)
{
    struct ty_part *answered;

    prepare_and_launch(load(0, 7, (const char *const[]){"a", NULL}));
    ty_shard_prepare(world.shard, load(1, 7, (const char *const[]){"b", NULL}));
    ty_world_fail(&world, TY_FAULT_COMMIT, 0, ENOSPC);
    ty_shard_store(world.shard);
    turn(&answered);
    ty_shard_commit(world.shard, ty_shard_withdraw(world.shard));
    cr_assert_eq(result(1, 0), TALLY_ACCEPTED);
    ty_world_reopen(&world);
    cr_assert_eq(visible(7), 1);
}

/* A second commit of the same new series must not store it again, nor forget to. */
Test(pipeline, a_series_is_stored_by_the_first_of_two_commits)
{
    struct ty_part *answered;

    prepare_and_launch(load(0, 7, (const char *const[]){"a", NULL}));
    ty_shard_prepare(world.shard, load(1, 7, (const char *const[]){"b", NULL}));
    ty_shard_store(world.shard);
    cr_assert(turn(&answered));
    finish();
    ty_world_reopen(&world);
    cr_assert_eq(visible(7), 2);
}

/* After a failed fsync nobody knows what the disk has. */
Test(pipeline, an_unknown_outcome_ends_the_shard)
{
    struct ty_part *answered;

    prepare_and_launch(LOAD(0, "a"));
    ty_shard_prepare(world.shard, LOAD(1, "b"));
    ty_world_fail(&world, TY_FAULT_COMMITTED, 0, EIO);
    ty_shard_store(world.shard);
    cr_assert_not(turn(&answered));
    cr_assert_eq(answered->status, TALLY_UNKNOWN);
    cr_assert_eq(atomic_load(&world.shard->stats.failed), 1);
    cr_assert_not(ty_shard_may_prepare(world.shard, LOAD(2, "c")));
    ty_shard_commit(world.shard, ty_shard_withdraw(world.shard));
    cr_assert_eq(parts[1].status, TALLY_FAILED);
    cr_assert_eq(result(1, 0), TALLY_NOT_STORED);
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 1, "it was stored after all");
}

/* A kill between storing and answering: the client asks again, and it counts once. */
Test(pipeline, what_was_stored_and_not_answered_is_there_after_a_crash)
{
    prepare_and_launch(LOAD(0, "a"));
    ty_shard_prepare(world.shard, LOAD(1, "b"));
    ty_shard_store(world.shard);
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 1);
    ty_shard_commit(world.shard, LOAD(2, "a", "b"));
    cr_assert_eq(result(2, 0), TALLY_DUPLICATE);
    cr_assert_eq(result(2, 1), TALLY_ACCEPTED);
}

/* A retry of what is on its way is a success only when that is. */
Test(pipeline, duplicates_alone_wait_for_what_they_repeat)
{
    struct ty_part *answered;

    prepare_and_launch(LOAD(0, "a"));
    ty_shard_prepare(world.shard, LOAD(1, "a"));
    cr_assert_eq(visible(1), 0);
    ty_shard_store(world.shard);
    cr_assert(turn(&answered));
    cr_assert_eq(answered, &parts[0]);
    ty_world_fail(&world, TY_FAULT_BEGIN, 0, EIO);
    cr_assert_eq(finish(), &parts[1]);
    cr_assert_eq(parts[1].status, TALLY_OK);
    cr_assert_not(ty_world_has_failed(&world), "there was nothing to store");
    cr_assert_eq(result(1, 0), TALLY_DUPLICATE);
    cr_assert_eq(world.shard->state.last_sequence, 1);
    cr_assert_eq(atomic_load(&world.shard->stats.commits), 1);
}

/* --- What is committed alone --- */

static unsigned many_ids; /* "many-0" and so on were used */

static struct ty_part *load_many(unsigned number)
{
    static char ids[MANY][24];
    const char *texts[MANY + 1];

    for (size_t i = 0; i < MANY; i++) {
        snprintf(ids[i], sizeof(ids[i]), "many-%u", many_ids++);
        texts[i] = ids[i];
    }
    texts[MANY] = NULL;
    return load(number, 1, texts);
}

/* Whatever reads or changes more than the events' sums needs the store to itself. */
Test(pipeline, only_events_go_ahead)
{
    struct ty_part *part = load_many(0);
    struct ty_close close = {.customer = ty_world_customer(1), .through = 0};
    struct ty_reject reject = {.record = {"x", 1}};
    struct ty_void what = {.result = TY_VOID_DONE};

    cr_assert(ty_shard_may_prepare(world.shard, part));
    part->close = &close;
    cr_assert_not(ty_shard_may_prepare(world.shard, part));
    part->close = NULL;
    part->rejects = &reject;
    part->reject_count = 1;
    cr_assert_not(ty_shard_may_prepare(world.shard, part));
    part->reject_count = 0;
    part->voids = &what;
    part->void_count = 1;
    cr_assert_not(ty_shard_may_prepare(world.shard, part));
    part->void_count = 0;
    cr_assert(ty_shard_may_prepare(world.shard, part));
}

/* A single event is answered sooner without waking another thread, but not behind another commit.
 */
Test(pipeline, few_events_go_ahead_only_behind_others)
{
    cr_assert_not(ty_shard_may_prepare(world.shard, LOAD(1, "a")));
    prepare_and_launch(load_many(0));
    cr_assert(ty_shard_may_prepare(world.shard, LOAD(1, "a")));
    finish();
    cr_assert_not(ty_shard_may_prepare(world.shard, LOAD(1, "a")));
}

/* Under load that never ends, months must be written and the journal trimmed all the same. */
Test(pipeline, maintenance_gets_its_turn)
{
    unsigned launches = 0;

    ty_world_close(&world);
    world.options.journal_retention_ms = 0;
    world.options.dedup_window_ms = 0;
    open_world();
    while (ty_shard_may_prepare(world.shard, load_many(0)) && launches++ < LAUNCHES_MAX) {
        prepare_and_launch(&parts[0]);
        finish();
    }
    cr_assert_lt(launches, LAUNCHES_MAX);
    cr_assert_eq(ty_world_first_journal(&world), 1);
    ty_world_pass(&world, world.options.checkpoint_ms + 1);
    ty_shard_commit(world.shard, &parts[0]);
    cr_assert(ty_shard_may_prepare(world.shard, load_many(0)));
    ty_shard_commit(world.shard, LOAD(0, "one more"));
    cr_assert_gt(ty_world_first_journal(&world), launches, "all of them at once");
    cr_assert_eq(visible(1), (launches + 1) * MANY + 1);
}

/* An event counts when its commit was begun, if it does not say when: that must not be long ago. */
Test(pipeline, a_commit_does_not_stay_open_for_ever)
{
    prepare_and_launch(load_many(0));
    ty_shard_prepare(world.shard, LOAD(1, "a"));
    ty_world_pass(&world, 999);
    cr_assert(ty_shard_may_prepare(world.shard, LOAD(2, "b")));
    ty_world_pass(&world, 1);
    cr_assert_not(ty_shard_may_prepare(world.shard, LOAD(2, "b")));
}

/* What is used after midnight must not be on the invoice of the month before. */
Test(pipeline, a_commit_does_not_stay_open_into_the_next_slot)
{
    ty_world_pass(&world, TY_MS_PER_SLOT - 2);
    prepare_and_launch(load_many(0));
    ty_shard_prepare(world.shard, LOAD(1, "a"));
    ty_world_pass(&world, 1);
    cr_assert(ty_shard_may_prepare(world.shard, LOAD(2, "b")));
    ty_world_pass(&world, 1);
    cr_assert_not(ty_shard_may_prepare(world.shard, LOAD(2, "b")));
}

/* A full disk must be told before anything is taken in. */
Test(pipeline, a_full_shard_takes_nothing_ahead)
{
    world.shard->full = true;
    world.shard->space_checked_ns = ty_clock_mono_ns(&world.options.clock);
    cr_assert_not(ty_shard_may_prepare(world.shard, load_many(0)));
}

/* What changes a closed month makes a revision: it is listed in the same transaction. */
Test(pipeline, an_event_of_a_closed_month_is_committed_alone)
{
    struct ty_event january = ty_world_event(&world, 1, 1, "first");
    struct ty_close close = {.customer = ty_world_customer(1)};
    struct ty_part closing = {.close = &close};
    struct ty_part *answered, *withdrawn;

    january.time_ms = TY_WORLD_START_MS - 20 * INT64_C(86400000);
    close.through = ty_month_of_day(ty_day_of_ms(january.time_ms));
    cr_assert_eq(ty_world_send(&world, &january), TALLY_ACCEPTED);
    ty_shard_commit(world.shard, &closing);
    cr_assert_eq(close.result, TY_CLOSE_DONE);

    prepare_and_launch(LOAD(0, "a"));
    LOAD(1, "late");
    batches[1].events[0].time_ms = january.time_ms;
    ty_batch_seal(&batches[1], &world.shard->secret);
    ty_shard_prepare(world.shard, &parts[1]);
    ty_shard_prepare(world.shard, LOAD(2, "b"));
    ty_shard_store(world.shard);
    cr_assert_not(turn(&answered));
    cr_assert_eq(answered->status, TALLY_OK);
    withdrawn = ty_shard_withdraw(world.shard);
    cr_assert_eq(withdrawn, &parts[1]);
    cr_assert_eq(withdrawn->next, &parts[2]);
    cr_assert_eq(visible(1), 1);
    ty_shard_commit(world.shard, withdrawn);
    cr_assert_eq(result(1, 0), TALLY_ACCEPTED);
    cr_assert_eq(result(2, 0), TALLY_ACCEPTED);
    cr_assert_eq(visible(1), 2);
    cr_assert_eq(atomic_load(&world.shard->stats.revisions), 1);
}

/* Nothing prepared is nothing to do. */
Test(pipeline, turns_with_nothing_to_do_do_nothing)
{
    struct ty_part *answered;

    cr_assert_not(turn(&answered));
    cr_assert_null(answered);
    cr_assert_null(ty_shard_withdraw(world.shard));
    cr_assert_not(ty_shard_is_ahead(world.shard));
}

/* --- Sealing ids on the way --- */

/* Opens a world in which ids are sealed all the time. */
static void open_sealing(uint64_t seal_ids)
{
    ty_world_close(&world);
    world.options.dedup_seal_ids = seal_ids;
    world.options.dedup_window_ms = INT64_C(86400000) * 30;
    open_world();
}

/* Of ids "id-0" to "id-<count - 1>" none may be counted again. */
static void check_known(unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct ty_event event;
        char id[24];

        snprintf(id, sizeof(id), "id-%u", i);
        event = ty_world_event(&world, 1, 1, id);
        cr_assert_neq(ty_world_send(&world, &event), TALLY_ACCEPTED, "%s is counted again", id);
    }
}

/* Ids are sealed in slices that go with commits of events; a restart must find every one. */
Test(pipeline, ids_that_were_sealed_on_the_way_are_remembered)
{
    char ids[3][24];

    open_sealing(100);
    for (unsigned i = 0; i < 1200; i += 3) {
        struct ty_part *answered;

        for (unsigned k = 0; k < 3; k++)
            snprintf(ids[k], sizeof(ids[k]), "id-%u", i + k);
        ty_world_pass(&world, 1500);
        ty_shard_prepare(world.shard, LOAD(i / 3 % 2, ids[0], ids[1], ids[2]));
        if (ty_shard_is_ahead(world.shard) && world.shard->flight != NULL)
            ty_shard_store(world.shard);
        cr_assert(turn(&answered));
    }
    finish();
    cr_assert_gt(atomic_load(&world.shard->stats.dedup_runs), 3);
    ty_shard_check(world.shard);
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 1200);
    check_known(1200);
}

/* Events of a month that is closed come now and then, each of which takes back a commit. That must
 * not keep ids from being sealed, or memory runs out and they are forgotten early. */
Test(pipeline, ids_are_sealed_also_when_commits_are_taken_back)
{
    struct ty_event january = ty_world_event(&world, 1, 1, "first");
    struct ty_close close = {.customer = ty_world_customer(1)};
    struct ty_part closing = {.close = &close}, *answered;

    open_sealing(30000); /* which takes a few commits */
    january.time_ms = TY_WORLD_START_MS - 20 * INT64_C(86400000);
    close.through = ty_month_of_day(ty_day_of_ms(january.time_ms));
    cr_assert_eq(ty_world_send(&world, &january), TALLY_ACCEPTED);
    ty_shard_commit(world.shard, &closing);
    for (unsigned i = 0; i < 90; i++) {
        ty_world_pass(&world, 1500);
        ty_shard_prepare(world.shard, load_many(i % 2));
        if (i % 2 == 0) {
            char late[24];

            snprintf(late, sizeof(late), "late-%u", i);
            LOAD(2, late);
            batches[2].events[0].time_ms = january.time_ms;
            ty_batch_seal(&batches[2], &world.shard->secret);
            ty_shard_prepare(world.shard, &parts[2]);
        }
        if (world.shard->flight != NULL)
            ty_shard_store(world.shard);
        if (!turn(&answered)) {
            cr_assert_eq(i % 2, 0);
            ty_shard_commit(world.shard, ty_shard_withdraw(world.shard));
        }
    }
    finish();
    cr_assert_geq(atomic_load(&world.shard->stats.dedup_runs), 1);
    ty_world_reopen(&world);
    for (unsigned i = 0; i < many_ids; i += 97) {
        struct ty_event event;
        char id[24];

        snprintf(id, sizeof(id), "many-%u", i);
        event = ty_world_event(&world, 1, 1, id);
        cr_assert_neq(ty_world_send(&world, &event), TALLY_ACCEPTED, "%s is counted again", id);
    }
}

/* Ids of a commit in flight may already be in what the next one seals. If it fails they must not be
 * remembered, or its events are never counted. */
Test(pipeline, ids_of_a_failed_commit_are_not_sealed)
{
    struct ty_part *answered, *withdrawn;
    uint64_t before;

    open_sealing(500);
    prepare_and_launch(load_many(0));
    finish();
    ty_world_pass(&world, 1500);
    prepare_and_launch(LOAD(1, "a")); /* with it the first are sealed */
    cr_assert(world.shard->flight->settles_ids);
    ty_world_pass(&world, 1500);
    ty_shard_prepare(world.shard, load_many(2)); /* which has to wait with such work */
    cr_assert_not(world.shard->commit->works_ids);
    ty_shard_store(world.shard);
    cr_assert(turn(&answered));
    ty_world_pass(&world, 1500);
    ty_shard_prepare(world.shard, LOAD(3, "b"));
    cr_assert(world.shard->commit->settles_ids, "those of the commit in flight are sealed");
    ty_world_fail(&world, TY_FAULT_COMMIT, 0, ENOSPC);
    ty_shard_store(world.shard);
    cr_assert_not(turn(&answered));
    withdrawn = ty_shard_withdraw(world.shard);
    ty_shard_commit(world.shard, withdrawn);
    cr_assert_eq(withdrawn->status, TALLY_OK, "%s", withdrawn->problem);
    before = visible(1);
    ty_shard_commit(world.shard, answered);
    for (unsigned i = 0; i < MANY; i++)
        cr_assert_eq(result(2, i), TALLY_ACCEPTED);
    cr_assert_eq(visible(1), before + MANY);
}

/* However the events of commits arrive, alone, first or later, their ids are sealed as fast. */
Test(pipeline, no_id_is_left_out_when_it_is_told_how_many_are_to_be_sealed)
{
    struct ty_part *answered;

    prepare_and_launch(LOAD(0, "a"));
    cr_assert_eq(world.shard->ids_owed, 0, "one was worked for");
    ty_shard_prepare(world.shard, LOAD(1, "b"));
    ty_shard_prepare(world.shard, LOAD(2, "c", "d"));
    cr_assert_eq(world.shard->ids_owed, 2);
    ty_shard_store(world.shard);
    cr_assert(turn(&answered));
    cr_assert_eq(world.shard->ids_owed, 2);
    finish();
    ty_shard_commit(world.shard, LOAD(0, "e"));
    cr_assert_eq(world.shard->ids_owed, 0);
}

/* A slice of a run whose commit failed is not in storage: the run must not count. */
Test(pipeline, ids_are_remembered_when_commits_fail_while_they_are_sealed)
{
    char ids[2][24];

    open_sealing(100);
    for (unsigned i = 0; i < 1000; i += 2) {
        struct ty_part *answered, *withdrawn;

        for (unsigned k = 0; k < 2; k++)
            snprintf(ids[k], sizeof(ids[k]), "id-%u", i + k);
        ty_world_pass(&world, 1500);
        ty_shard_prepare(world.shard, LOAD(i / 2 % 2, ids[0], ids[1]));
        if (world.shard->flight != NULL) {
            if (i % 14 == 0)
                ty_world_fail(&world, i % 28 == 0 ? TY_FAULT_COMMIT : TY_FAULT_PUT, 0, ENOSPC);
            ty_shard_store(world.shard);
        }
        if (turn(&answered))
            continue;
        if (answered != NULL && answered->status != TALLY_OK) {
            answered->next = NULL;
            ty_shard_commit(world.shard, (withdrawn = ty_shard_withdraw(world.shard)));
            cr_assert_not_null(withdrawn);
            ty_shard_commit(world.shard, answered); /* its client asks again */
            cr_assert_eq(answered->status, TALLY_OK, "%s", answered->problem);
        }
    }
    finish();
    ty_world_reopen(&world);
    cr_assert_eq(visible(1), 1000);
    check_known(1000);
}
