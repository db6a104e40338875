#include "tests/shard/id_index_fixture.h"

TestSuite(id_index, .init = make_directory, .fini = remove_directory);

static void live(uint64_t seal_ids, unsigned crash_in)
{
    struct model *model = start(seal_ids, UINT64_C(64) << 20);
    uint64_t seals = 0;

    for (int n = 0; n < 2500; n++) {
        model->now_ms += (int64_t)ty_random_below(&model->random, 1500);
        commit(model, ty_random_one_in(&model->random, 12));
        if (ty_random_one_in(&model->random, 100))
            check_all(model);
        if (ty_random_one_in(&model->random, crash_in)) {
            seals += ty_id_index_gauges(model->index).seals;
            close_index(model);
            open_index(model);
            check_all(model);
        }
    }
    cr_assert_gt(seals + ty_id_index_gauges(model->index).seals, 3u);
    cr_assert_eq(ty_id_index_gauges(model->index).window_ms, WINDOW_MS);
    cr_assert_eq(ty_id_index_gauges(model->index).forgotten_early, 0u);
    work_off(model);
    check_no_leftovers(model);
    check_all(model);
    finish(model);
}

/* An id counts once inside the window and may come again after it, through sealing, failed commits
 * and crashes in the middle of it: a naive list decides. */
Test(id_index, agrees_with_a_list_while_large_runs_are_sealed)
{
    live(600, 150);
}

Test(id_index, agrees_with_a_list_while_small_runs_are_sealed)
{
    live(60, 150);
}

/* More runs than there are slots would be: sealing waits until some have left the window. */
Test(id_index, agrees_with_a_list_when_slots_run_out)
{
    live(1, 2000);
}

/* A year passes in which nothing comes: everything goes, on disk too. */
Test(id_index, what_left_the_window_leaves_the_disk)
{
    struct model *model = start(100, UINT64_C(64) << 20);
    uint32_t run;

    for (int n = 0; n < 200; n++) {
        model->now_ms += 1000;
        commit(model, false);
    }
    cr_assert_gt(ty_id_index_gauges(model->index).runs, 0u);
    model->now_ms += INT64_C(365) * 86400000;
    commit(model, false);
    work_off(model);
    cr_assert_eq(ty_id_index_gauges(model->index).runs, 0u);
    assert_ok(ty_store_begin(model->store, &problem));
    assert_ok(ty_store_next_id_run(model->store, 0, &run, &problem));
    cr_assert_eq(run, TY_ID_RUN_NONE);
    finish(model);
}

/* A full disk takes no new runs, but gets rid of old ones: that is what makes room. */
Test(id_index, deletes_also_when_there_is_no_space_to_seal)
{
    struct model *model = start(100, UINT64_C(64) << 20);
    uint64_t done = 1, seals;
    uint32_t run;

    for (int n = 0; n < 100; n++) {
        model->now_ms += 1000;
        commit(model, false);
    }
    seals = ty_id_index_gauges(model->index).seals;
    cr_assert_gt(ty_id_index_gauges(model->index).runs, 0u);
    model->now_ms += 2 * WINDOW_MS;
    ty_id_index_advance(model->index, model->now_ms, model->sequence + 1);
    while (done != 0) {
        assert_ok(ty_store_begin(model->store, &problem));
        assert_ok(ty_id_index_work(model->index, 100, false, NULL, &done, &problem));
        assert_ok(ty_store_commit(model->store, &problem));
        ty_id_index_committed(model->index);
    }
    assert_ok(ty_store_begin(model->store, &problem));
    assert_ok(ty_store_next_id_run(model->store, 0, &run, &problem));
    cr_assert(run == TY_ID_RUN_NONE || model->index->seal.active);
    cr_assert_eq(ty_id_index_gauges(model->index).runs, 0u);
    cr_assert_eq(ty_id_index_gauges(model->index).seals, seals);
    finish(model);
}

/* The first part that is sealed had only an id of a commit that failed: nothing is left to collect
 * there. The simulation met this. */
Test(id_index, seals_where_a_part_was_emptied)
{
    struct model *model = start(100, UINT64_C(64) << 20);
    struct ty_key first = {.high = 0, .low = 1};

    assert_ok(ty_store_begin(model->store, &problem));
    cr_assert(ty_id_index_add(model->index, &first, 1));
    ty_store_abort(model->store);
    ty_id_index_remove(model->index, &first);
    ty_id_index_reverted(model->index);
    for (int n = 0; n < 20; n++) {
        model->now_ms += 1000;
        commit_new(model);
    }
    work_off(model);
    cr_assert_gt(ty_id_index_gauges(model->index).runs, 0u);
    check_all(model);
    finish(model);
}

/* --- An id in two runs --- */

/* A commit of an id (NULL: none) and of others that nobody asks for. */
static void send_one(struct model *model, struct known *id, uint64_t content, int others)
{
    uint64_t done;

    model->now_ms += 1000;
    ty_id_index_advance(model->index, model->now_ms, ++model->sequence);
    assert_ok(ty_store_begin(model->store, &problem));
    if (id != NULL) {
        cr_assert_eq(find(model, id, content), TY_DEDUP_NEW);
        cr_assert(ty_id_index_add(model->index, &id->key, content));
        id->content = content;
        id->arrived_ms = model->now_ms;
        id->sequence = model->sequence;
    }
    for (int i = 0; i < others; i++) {
        struct ty_key other = {ty_random_u64(&model->random), ty_random_u64(&model->random)};

        cr_assert(ty_id_index_add(model->index, &other, 1));
    }
    assert_ok(ty_id_index_work(model->index, 30, true, NULL, &done, &problem));
    assert_ok(ty_store_commit(model->store, &problem));
    ty_id_index_committed(model->index);
}

static void reopen_with(struct model *model, int64_t window_ms)
{
    close_index(model);
    model->options.window_ms = window_ms;
    open_index(model);
}

/* An id was used again after a window that was short for a while: its retry is a duplicate of the
 * second use, not a conflict with the first. The simulation met this. */
Test(id_index, of_an_id_in_two_runs_the_latest_counts)
{
    struct model *model = start(100, UINT64_C(64) << 20);
    struct known *id = &model->ids[0];

    send_one(model, id, 7, 30);
    for (int n = 0; n < 6; n++)
        send_one(model, NULL, 0, 30);
    work_off(model);
    cr_assert_eq(ty_id_index_gauges(model->index).runs, 1u);
    reopen_with(model, 4500); /* The id has left this window, others of its run have not. */
    send_one(model, id, 8, 0);
    reopen_with(model, WINDOW_MS);
    send_one(model, NULL, 0, 120);
    send_one(model, NULL, 0, 30);
    work_off(model);
    cr_assert_eq(ty_id_index_gauges(model->index).runs, 2u);
    assert_ok(ty_store_begin(model->store, &problem));
    cr_assert_eq(find(model, id, 8), TY_DEDUP_SAME);
    cr_assert_eq(find(model, id, 7), TY_DEDUP_CONFLICT);
    finish(model);
}
