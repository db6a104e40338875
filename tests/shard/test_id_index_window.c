#include "tests/shard/id_index_fixture.h"

TestSuite(id_index_window, .init = make_directory, .fini = remove_directory);

/* Without memory for all the oldest go first, and the gauge says how far back ids are known, also
 * after a restart. */
Test(id_index_window, shortens_the_window_when_filters_outgrow_their_memory)
{
    struct model *model = start(100, 2000); /* a thousand bytes for filters */
    struct ty_id_gauges gauges;

    for (int n = 0; n < 300; n++) {
        model->now_ms += 1000;
        commit(model, false);
        work_off(model);
        gauges = ty_id_index_gauges(model->index);
        assert_ok(ty_store_begin(model->store, &problem));
        for (size_t i = 0; i < IDS; i++) {
            struct known *id = &model->ids[i];

            if (id->arrived_ms == INT64_MIN)
                continue;
            if (find(model, id, id->content) == TY_DEDUP_NEW) {
                cr_assert_geq(model->now_ms - id->arrived_ms, gauges.window_ms);
                id->arrived_ms = INT64_MIN;
            }
        }
        ty_store_abort(model->store);
    }
    cr_assert_gt(gauges.forgotten_early, 0u);
    cr_assert_lt(gauges.window_ms, WINDOW_MS);
    cr_assert_gt(gauges.window_ms, 1000);
    close_index(model);
    open_index(model);
    cr_assert_eq(ty_id_index_gauges(model->index).window_ms, gauges.window_ms);
    cr_assert_gt(ty_id_index_gauges(model->index).runs, 1u);
    close_index(model);
    model->options.bytes_max = 0; /* No run fits any more. */
    open_index(model);
    work_off(model);
    cr_assert_eq(ty_id_index_gauges(model->index).runs, 0u);
    cr_assert_lt(ty_id_index_gauges(model->index).window_ms, gauges.window_ms);
    check_no_leftovers(model);
    finish(model);
}

/* A start with less memory than the runs need forgets the oldest, and says so; it does not refuse
 * to start, and no crash on the way leaves a list of what is gone. */
Test(id_index_window, a_start_with_less_memory_forgets_the_oldest)
{
    struct model *model = start(300, UINT64_C(64) << 20);
    struct ty_id_gauges before, after;

    for (int n = 0; n < 60; n++) {
        model->now_ms += 1000;
        commit_new(model);
    }
    work_off(model);
    before = ty_id_index_gauges(model->index);
    close_index(model);
    model->options.bytes_max = 3000;
    for (int n = 0; n < 3; n++) { /* with a crash before, and two after values are deleted */
        open_index(model);
        after = ty_id_index_gauges(model->index);
        cr_assert_gt(after.runs, 0u);
        cr_assert_lt(after.runs, before.runs);
        cr_assert_lt(after.window_ms, WINDOW_MS);
        cr_assert_eq(n == 0, after.forgotten_early > 0);
        cr_assert_eq(n > 0, model->index->recorded); /* or a crash would leave the longer list */
        assert_ok(ty_store_begin(model->store, &problem));
        for (size_t i = 0; i < IDS; i++)
            if (model->ids[i].arrived_ms > model->now_ms - after.window_ms)
                cr_assert_eq(find(model, &model->ids[i], model->ids[i].content), TY_DEDUP_SAME);
        ty_store_abort(model->store);
        work_off(model);
        close_index(model);
    }
    open_index(model);
    check_no_leftovers(model);
    finish(model);
}

/* What had left a shorter window, and was not sealed, is not known afterwards: the gauge must say
 * so, or what is sent again is believed to be recognised. */
Test(id_index_window, a_longer_window_begins_with_what_was_still_remembered)
{
    struct model *model = start(100, UINT64_C(64) << 20);
    uint64_t seals = 0;

    close_index(model);
    model->options.window_ms = WINDOW_MS / 20;
    open_index(model);
    for (int n = 0; n < 120; n++) {
        model->now_ms += n % 40 == 20 ? WINDOW_MS / 10 : 1000;
        commit_new(model);
    }
    seals = ty_id_index_gauges(model->index).seals;
    close_index(model);
    model->options.window_ms = WINDOW_MS;
    open_index(model);
    cr_assert_gt(seals, 2u);
    assert_ok(ty_store_begin(model->store, &problem));
    for (size_t i = 0; i < IDS; i++) {
        const struct known *id = &model->ids[i];

        if (id->arrived_ms > model->now_ms - ty_id_index_gauges(model->index).window_ms)
            cr_assert_eq(find(model, id, id->content), TY_DEDUP_SAME);
    }
    cr_assert_lt(ty_id_index_gauges(model->index).window_ms, WINDOW_MS);
    ty_store_abort(model->store);
    finish(model);
}
