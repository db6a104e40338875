#include "tests/shard/pipeline_fixture.h"

TestSuite(pipeline, .init = init, .fini = fini);

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
