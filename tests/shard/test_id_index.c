#include "shard/id_index_internal.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

#include <inttypes.h>
#include <stdlib.h>

TestSuite(id_index, .init = make_directory, .fini = remove_directory);

#define START_MS  ARRIVAL_MS
#define WINDOW_MS INT64_C(600000)
#define SLACK_MS  2000 /* forgotten by seconds, in runs by another */
#define IDS       4000 /* that are used again and again */
#define PER_STEP  40

/* What is known of an id: its last arrival that counted. */
struct known {
    struct ty_key key;
    uint64_t content;
    uint64_t sequence;
    int64_t arrived_ms; /* INT64_MIN: never */
};

/* An index on a store, and a list that stands for the journal and for what must be known. */
struct model {
    struct ty_store *store;
    struct ty_id_index *index;
    struct ty_id_index_options options;
    struct known ids[IDS];
    struct ty_random random;
    int64_t now_ms;
    uint64_t sequence; /* of the last commit */
};

static int by_sequence(const void *a, const void *b)
{
    const struct known *left = *(const struct known *const *)a;
    const struct known *right = *(const struct known *const *)b;

    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* Adds what a start would read from the journal. */
static void replay(struct model *model)
{
    const struct known *order[IDS];
    size_t count = 0;

    for (size_t i = 0; i < IDS; i++)
        if (model->ids[i].arrived_ms != INT64_MIN &&
            model->ids[i].sequence > ty_id_index_sealed_sequence(model->index))
            order[count++] = &model->ids[i];
    qsort(order, count, sizeof(order[0]), by_sequence);
    for (size_t i = 0; i < count; i++) {
        ty_id_index_advance(model->index, order[i]->arrived_ms, order[i]->sequence);
        cr_assert(ty_id_index_add(model->index, &order[i]->key, order[i]->content));
    }
    ty_id_index_advance(model->index, model->now_ms, model->sequence + 1);
}

static tally_status try_open_index(struct model *model)
{
    tally_status status;

    model->store = open_store();
    model->index = ty_id_index_new(&model->options, model->store);
    assert_ok(ty_store_begin(model->store, &problem));
    status = ty_id_index_load(model->index, &problem);
    ty_store_abort(model->store);
    if (status == TALLY_OK)
        replay(model);
    return status;
}

static void open_index(struct model *model)
{
    assert_ok(try_open_index(model));
}

/* A crash: nothing is written at the end. */
static void close_index(struct model *model)
{
    ty_store_abort(model->store);
    ty_id_index_free(model->index);
    ty_store_close(model->store);
}

static struct model *start(uint64_t seal_ids, uint64_t bytes_max)
{
    struct model *model = calloc(1, sizeof(*model));

    ty_random_init(&model->random, ty_random_seed());
    model->options = (struct ty_id_index_options){
        .window_ms = WINDOW_MS, .bytes_max = bytes_max, .seal_ids = seal_ids};
    model->now_ms = START_MS;
    for (size_t i = 0; i < IDS; i++)
        model->ids[i] =
            (struct known){.key = {ty_random_u64(&model->random), ty_random_u64(&model->random)},
                           .arrived_ms = INT64_MIN};
    open_index(model);
    return model;
}

static void finish(struct model *model)
{
    close_index(model);
    free(model);
}

static enum ty_dedup_answer find(struct model *model, const struct known *id, uint64_t content)
{
    enum ty_dedup_answer answer;

    ty_id_index_prefetch(model->index, &id->key);
    ty_id_index_prefetch_near(model->index, &id->key);
    assert_ok(ty_id_index_find(model->index, &id->key, content, &answer, &problem));
    return answer;
}

/* Whether the index says of an id what the list says; returns whether it is known. */
static bool check(struct model *model, const struct known *id)
{
    enum ty_dedup_answer same = find(model, id, id->content);
    enum ty_dedup_answer other = find(model, id, id->content + 1);
    int64_t age_ms = id->arrived_ms == INT64_MIN ? INT64_MAX : model->now_ms - id->arrived_ms;

    cr_assert_eq(same == TY_DEDUP_NEW, other == TY_DEDUP_NEW);
    cr_assert_neq(same, TY_DEDUP_CONFLICT);
    cr_assert_neq(other, TY_DEDUP_SAME);
    if (age_ms <= WINDOW_MS)
        cr_assert_eq(same, TY_DEDUP_SAME, "forgotten after %" PRId64 " ms", age_ms);
    if (age_ms > WINDOW_MS + SLACK_MS)
        cr_assert_eq(same, TY_DEDUP_NEW, "remembered after %" PRId64 " ms", age_ms);
    return same != TY_DEDUP_NEW;
}

static void check_all(struct model *model)
{
    assert_ok(ty_store_begin(model->store, &problem));
    for (size_t i = 0; i < IDS; i++)
        (void)check(model, &model->ids[i]);
    ty_store_abort(model->store);
}

/* A commit of some ids: some are known; it may fail. */
static void commit(struct model *model, bool fails)
{
    struct known *added[PER_STEP];
    struct known before[PER_STEP];
    uint32_t count = 0;
    uint64_t done;

    ty_id_index_advance(model->index, model->now_ms, model->sequence + 1);
    assert_ok(ty_store_begin(model->store, &problem));
    for (uint32_t i = 0; i < PER_STEP; i++) {
        struct known *id = &model->ids[ty_random_below(&model->random, IDS)];

        if (check(model, id))
            continue;
        before[count] = *id;
        added[count++] = id;
        id->content = ty_random_u64(&model->random);
        id->sequence = model->sequence + 1;
        id->arrived_ms = model->now_ms;
        cr_assert(ty_id_index_add(model->index, &id->key, id->content));
    }
    assert_ok(ty_id_index_work(model->index, count, true, &done, &problem));
    if (!fails) {
        assert_ok(ty_store_commit(model->store, &problem));
        ty_id_index_committed(model->index);
        model->sequence++;
        return;
    }
    ty_store_abort(model->store);
    while (count-- > 0) {
        ty_id_index_remove(model->index, &added[count]->key);
        *added[count] = before[count];
    }
    ty_id_index_reverted(model->index);
}

/* A commit of ids that were never used. */
static void commit_new(struct model *model)
{
    uint64_t done;

    ty_id_index_advance(model->index, model->now_ms, ++model->sequence);
    assert_ok(ty_store_begin(model->store, &problem));
    for (uint32_t i = 0, added = 0; i < IDS && added < 30; i++) {
        struct known *id = &model->ids[i];

        if (id->arrived_ms != INT64_MIN)
            continue;
        id->content = ty_random_u64(&model->random);
        id->sequence = model->sequence;
        id->arrived_ms = model->now_ms;
        cr_assert(ty_id_index_add(model->index, &id->key, id->content));
        added++;
    }
    assert_ok(ty_id_index_work(model->index, 30, true, &done, &problem));
    assert_ok(ty_store_commit(model->store, &problem));
    ty_id_index_committed(model->index);
}

/* Work without ids until none is due. */
static void work_off(struct model *model)
{
    uint64_t done = 1;

    while (done != 0) {
        assert_ok(ty_store_begin(model->store, &problem));
        assert_ok(ty_id_index_work(model->index, 100, true, &done, &problem));
        assert_ok(ty_store_commit(model->store, &problem));
        ty_id_index_committed(model->index);
    }
}

static bool has_run(const struct model *model, uint32_t run)
{
    for (uint32_t i = 0; i < model->index->current.count; i++)
        if (model->index->current.runs[i].record.run == run)
            return true;
    return false;
}

/* Every value of the tree belongs to a run that counts. */
static void check_no_leftovers(struct model *model)
{
    uint32_t run = 0;

    assert_ok(ty_store_begin(model->store, &problem));
    for (;;) {
        assert_ok(ty_store_next_id_run(model->store, run, &run, &problem));
        if (run == TY_ID_RUN_NONE)
            break;
        cr_assert(has_run(model, run), "run %u was left", run);
        run++;
    }
    ty_store_abort(model->store);
}

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
        assert_ok(ty_id_index_work(model->index, 100, false, &done, &problem));
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

/* Without memory for all the oldest go first, and the gauge says how far back ids are known, also
 * after a restart. */
Test(id_index, shortens_the_window_when_filters_outgrow_their_memory)
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

/* --- Damage --- */

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
Test(id_index, a_damaged_page_is_an_error_for_its_ids_only)
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
Test(id_index, a_damaged_key_is_an_error_for_its_ids_or_the_start, .timeout = 60)
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

/* A start with less memory than the runs need forgets the oldest, and says so; it does not refuse
 * to start, and no crash on the way leaves a list of what is gone. */
Test(id_index, a_start_with_less_memory_forgets_the_oldest)
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

/* --- A longer window --- */

/* What had left a shorter window, and was not sealed, is not known afterwards: the gauge must say
 * so, or what is sent again is believed to be recognised. */
Test(id_index, a_longer_window_begins_with_what_was_still_remembered)
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
    assert_ok(ty_id_index_work(model->index, 30, true, &done, &problem));
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
