/*
 * id_index_fixture.h: an index of ids on a store, and a naive list of what it must know.
 */
#ifndef TY_TESTS_SHARD_ID_INDEX_FIXTURE_H
#define TY_TESTS_SHARD_ID_INDEX_FIXTURE_H

#include "shard/id_index_internal.h"
#include "tests/storage/store_fixture.h"

#include <inttypes.h>
#include <stdlib.h>

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

static inline int by_sequence(const void *a, const void *b)
{
    const struct known *left = *(const struct known *const *)a;
    const struct known *right = *(const struct known *const *)b;

    return left->sequence < right->sequence ? -1 : left->sequence > right->sequence;
}

/* Adds what a start would read from the journal. */
static inline void replay(struct model *model)
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

static inline tally_status try_open_index(struct model *model)
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

static inline void open_index(struct model *model)
{
    assert_ok(try_open_index(model));
}

/* A crash: nothing is written at the end. */
static inline void close_index(struct model *model)
{
    ty_store_abort(model->store);
    ty_id_index_free(model->index);
    ty_store_close(model->store);
}

static inline struct model *start(uint64_t seal_ids, uint64_t bytes_max)
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

static inline void finish(struct model *model)
{
    close_index(model);
    free(model);
}

static inline enum ty_dedup_answer find(struct model *model, const struct known *id,
                                        uint64_t content)
{
    enum ty_dedup_answer answer;

    ty_id_index_prefetch(model->index, &id->key);
    ty_id_index_prefetch_near(model->index, &id->key);
    assert_ok(ty_id_index_find(model->index, &id->key, content, &answer, &problem));
    return answer;
}

/* Whether the index says of an id what the list says; returns whether it is known. */
static inline bool check(struct model *model, const struct known *id)
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

static inline void check_all(struct model *model)
{
    assert_ok(ty_store_begin(model->store, &problem));
    for (size_t i = 0; i < IDS; i++)
        (void)check(model, &model->ids[i]);
    ty_store_abort(model->store);
}

/* A commit of some ids: some are known; it may fail. */
static inline void commit(struct model *model, bool fails)
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
    assert_ok(ty_id_index_work(model->index, count, true, NULL, &done, &problem));
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
static inline void commit_new(struct model *model)
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
    assert_ok(ty_id_index_work(model->index, 30, true, NULL, &done, &problem));
    assert_ok(ty_store_commit(model->store, &problem));
    ty_id_index_committed(model->index);
}

/* Work without ids until none is due. */
static inline void work_off(struct model *model)
{
    uint64_t done = 1;

    while (done != 0) {
        assert_ok(ty_store_begin(model->store, &problem));
        assert_ok(ty_id_index_work(model->index, 100, true, NULL, &done, &problem));
        assert_ok(ty_store_commit(model->store, &problem));
        ty_id_index_committed(model->index);
    }
}

static inline bool has_run(const struct model *model, uint32_t run)
{
    for (uint32_t i = 0; i < model->index->current.count; i++)
        if (model->index->current.runs[i].record.run == run)
            return true;
    return false;
}

/* Every value of the tree belongs to a run that counts. */
static inline void check_no_leftovers(struct model *model)
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

#endif
