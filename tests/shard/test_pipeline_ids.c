/*
 * test_pipeline_ids.c: ids that are sealed with commits ahead: none may be forgotten before its
 * time.
 */
#include "tests/shard/pipeline_fixture.h"

TestSuite(pipeline_ids, .init = init, .fini = fini);

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
Test(pipeline_ids, ids_that_were_sealed_on_the_way_are_remembered)
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
Test(pipeline_ids, ids_are_sealed_also_when_commits_are_taken_back)
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
Test(pipeline_ids, ids_of_a_failed_commit_are_not_sealed)
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
Test(pipeline_ids, no_id_is_left_out_when_it_is_told_how_many_are_to_be_sealed)
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
Test(pipeline_ids, ids_are_remembered_when_commits_fail_while_they_are_sealed)
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
