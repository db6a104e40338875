#include "tests/shard/id_index_fixture.h"
#include "tests/support/damage.h"

TestSuite(id_index_damage, .init = make_directory, .fini = remove_directory);

/* A model of some runs whose pages are then damaged one by one. */
static struct model *make_runs(void)
{
    struct model *model = start(100, UINT64_C(64) << 20);

    for (int n = 0; n < 60; n++) {
        model->now_ms += 1000;
        commit(model, false);
    }
    work_off(model);
    cr_assert_gt(ty_id_index_gauges(model->index).runs, 1u);
    return model;
}

static void damage_first_page(uint32_t run)
{
    uint8_t key[TY_ID_KEY_BYTES];
    const struct ty_damage damage = {
        .path = directory.path, .tree = "id_runs", .key = key, .key_length = sizeof(key)};

    ty_id_key_encode(run, TY_ID_PAGE, 0, key);
    ty_damage_flip(&damage, 40, 1);
}

/* Nothing that is known is new, whatever is damaged; returns how many of them cannot be told. */
static uint32_t check_damaged(struct model *model)
{
    uint32_t failed = 0;

    assert_ok(ty_store_begin(model->store, &problem));
    for (size_t i = 0; i < IDS; i++) {
        enum ty_dedup_answer answer;
        const struct known *id = &model->ids[i];
        tally_status status =
            ty_id_index_find(model->index, &id->key, id->content, &answer, &problem);

        if (status == TALLY_OK) {
            cr_assert_eq(answer, id->arrived_ms == INT64_MIN ? TY_DEDUP_NEW : TY_DEDUP_SAME);
            continue;
        }
        cr_assert_eq(status, TALLY_CORRUPT);
        cr_assert(strstr(problem.message, "remembered ids") != NULL, "%s", problem.message);
        failed++;
    }
    ty_store_abort(model->store);
    return failed;
}

/* A damaged page must not make the ids on it new: that would count them twice. */
Test(id_index_damage, a_damaged_page_is_an_error_for_its_ids_only)
{
    struct model *model = make_runs();
    uint32_t run = model->index->current.runs[1].record.run, failed;

    close_index(model);
    damage_first_page(run);
    open_index(model);
    failed = check_damaged(model);
    cr_assert_eq(failed, TY_MIN(TY_ID_PAGE_IDS, model->index->current.runs[1].record.count));
    finish(model);
}

/* Its value is then one of a run that there is not, and may be out of order: a leftover that is
 * found and cannot be deleted. It must not be tried for ever. */
Test(id_index_damage, a_damaged_key_is_an_error_for_its_ids_or_the_start, .timeout = 60)
{
    struct model *model = make_runs();
    struct ty_stored *entries;
    size_t count, length;
    uint8_t *file;
    unsigned opened = 0;

    close_index(model);
    count = ty_damage_list(directory.path, &entries);
    file = ty_damage_read_file(directory.path, &length);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].tree, "id_runs") != 0)
            continue;
        file[entries[i].key_at + 1] ^= 0x71; /* in the number of the run */
        ty_damage_write_file(directory.path, file, length);
        if (try_open_index(model) == TALLY_OK) {
            opened++;
            work_off(model);
            (void)check_damaged(model);
        }
        close_index(model);
        file[entries[i].key_at + 1] ^= 0x71;
    }
    cr_assert_gt(opened, 1u);
    ty_damage_write_file(directory.path, file, length);
    free(file);
    free(entries);
    open_index(model);
    finish(model);
}
