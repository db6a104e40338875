#include "engine/batch.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define RECORDS 5000

static const struct ty_secret secret = {.bytes = {7}};

/* What a record of the model is: rejected, or an event with that number of pages. */
struct model {
    bool rejected;
    uint32_t pages;
};

static void fill(struct ty_batch *batch, struct ty_random *random, struct model *model)
{
    size_t count = 0;

    if (ty_random_one_in(random, 2))
        ty_batch_reserve(batch, (size_t)ty_random_below(random, 2 * RECORDS));
    while (count < RECORDS) {
        struct ty_event *event;

        model[count] = (struct model){.rejected = ty_random_one_in(random, 3),
                                      .pages = (uint32_t)ty_random_u64(random)};
        if (model[count].rejected) {
            struct ty_text id = {"bad", 3};

            ty_batch_reject(batch, TALLY_INVALID_FIELD, id, "pages: not an integer");
            count++;
            continue;
        }
        event = ty_batch_add(batch);
        cr_assert_not_null(event);
        cr_assert_eq(event->time_ms, TALLY_TIME_OF_ARRIVAL);
        cr_assert(event->pages == 0 && event->credits == 0 && event->id.length == 0, "zeroed");
        event->pages = model[count].pages;
        event->id = ty_arena_copy(&batch->arena, (struct ty_text){"good", 4});
        if (ty_random_one_in(random, 5)) {
            event->pages = 12345;
            ty_batch_drop_last(batch); /* as a decoder does that finds the record wrong later on */
            continue;
        }
        count++;
    }
}

static void check(const struct ty_batch *batch, const struct model *model)
{
    size_t events = 0;

    cr_assert(!batch->failed);
    cr_assert_eq(batch->record_count, (size_t)RECORDS);
    for (size_t i = 0; i < RECORDS; i++) {
        const struct ty_outcome *outcome = &batch->outcomes[i];

        if (model[i].rejected) {
            cr_assert_eq(outcome->result, TALLY_INVALID_FIELD);
            cr_assert_str_eq(outcome->message, "pages: not an integer");
            cr_assert_eq(memcmp(outcome->id.data, "bad", 3), 0);
            continue;
        }
        cr_assert_eq(batch->events[events].record, i, "events name their record");
        cr_assert_eq(batch->events[events].pages, model[i].pages);
        cr_assert(batch->events[events].key.low != 0, "hashed");
        cr_assert_eq(outcome->result, TALLY_NOT_STORED);
        cr_assert_null(outcome->message);
        cr_assert_eq(outcome->id.length, 4u);
        cr_assert_eq(memcmp(outcome->id.data, "good", 4), 0);
        events++;
    }
    cr_assert_eq(batch->event_count, events);
}

/* The answer names records by their index: good and bad ones, mixed, must keep their places. */
Test(batch, keeps_every_record_in_its_place)
{
    static struct model model[RECORDS];
    struct ty_batch batch = {0};
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int round = 0; round < 4; round++) {
        fill(&batch, &random, model);
        ty_batch_seal(&batch, &secret);
        check(&batch, model);
        ty_batch_reset(&batch);
        cr_assert_eq(batch.record_count, 0u);
        cr_assert_eq(batch.event_count, 0u);
    }
    ty_batch_fini(&batch);
    ty_batch_fini(&batch);
}

/* A batch that lost a record for lack of memory must not be taken for whole. */
Test(batch, fails_for_good_when_memory_is_out)
{
    struct ty_batch batch = {0};

    cr_assert_not_null(ty_batch_add(&batch));
    ty_batch_reserve(&batch, SIZE_MAX / 2);
    cr_assert(batch.failed);
    cr_assert_null(ty_batch_add(&batch));
    ty_batch_reject(&batch, TALLY_INVALID_FIELD, (struct ty_text){0}, "x");
    cr_assert_eq(batch.record_count, 1u);
    ty_batch_reset(&batch);
    cr_assert(!batch.failed, "usable again");
    cr_assert_not_null(ty_batch_add(&batch));
    ty_batch_fini(&batch);
}

/* A decoder may find its only record wrong at the end: the batch is empty again. */
Test(batch, takes_its_only_record_back)
{
    struct ty_batch batch = {0};

    cr_assert_not_null(ty_batch_add(&batch));
    ty_batch_drop_last(&batch);
    cr_assert_eq(batch.event_count, 0u);
    cr_assert_eq(batch.record_count, 0u);
    ty_batch_fini(&batch);
}

/* An empty batch is welcome: it answers 200. */
Test(batch, may_be_empty)
{
    struct ty_batch batch = {0};

    ty_batch_reserve(&batch, 0);
    ty_batch_seal(&batch, &secret);
    cr_assert_eq(batch.record_count, 0u);
    cr_assert(!batch.failed);
    ty_batch_fini(&batch);
}
