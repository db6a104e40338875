#include "engine/series.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define CUSTOMERS 300
#define WORKFLOWS 40

static struct ty_uuid uuid_of(unsigned kind, size_t number)
{
    struct ty_uuid uuid = {.bytes = {(uint8_t)kind}};

    uuid.bytes[14] = (uint8_t)(number >> 8);
    uuid.bytes[15] = (uint8_t)number;
    return uuid;
}

static struct ty_series *add(struct ty_series_table *table, size_t customer, size_t workflow)
{
    struct ty_uuid c = uuid_of(1, customer), w = uuid_of(2, workflow);

    return ty_series_add(table, &c, &w, ty_series_next_id(table));
}

static struct ty_series *find(const struct ty_series_table *table, size_t customer, size_t workflow)
{
    struct ty_uuid c = uuid_of(1, customer), w = uuid_of(2, workflow);

    return ty_series_find(table, &c, &w);
}

/* Each pair of customer and workflow is a series of its own, found by pair, by id and by customer.
 */
Test(series, finds_what_was_added_and_nothing_else)
{
    static struct ty_series *model[CUSTOMERS][WORKFLOWS];
    struct ty_series_table table;
    struct ty_random random;
    size_t count = 0;

    ty_random_init(&random, ty_random_seed());
    cr_assert(ty_series_table_init(&table, ty_random_u64(&random), 1000000));
    cr_assert_null(ty_series_get(&table, 0));
    for (int n = 0; n < 9000; n++) {
        size_t c = (size_t)ty_random_below(&random, CUSTOMERS);
        size_t w = (size_t)ty_random_below(&random, WORKFLOWS);

        cr_assert_eq(find(&table, c, w), model[c][w]);
        if (model[c][w] != NULL)
            continue;
        model[c][w] = add(&table, c, w);
        cr_assert_not_null(model[c][w]);
        cr_assert_eq(model[c][w]->id, count);
        cr_assert(!model[c][w]->stored);
        cr_assert_eq(atomic_load(&table.count), ++count);
    }
    for (size_t c = 0; c < CUSTOMERS; c++) {
        struct ty_uuid customer = uuid_of(1, c);
        size_t listed = 0, expected = 0;
        uint32_t newer = UINT32_MAX;

        for (struct ty_series *series = ty_series_newest_of(&table, &customer); series != NULL;
             series = series->older_of_customer) {
            cr_assert_eq(model[c][series->workflow.bytes[15]], series);
            cr_assert(series->id < newer, "newest first");
            newer = series->id;
            listed++;
        }
        for (size_t w = 0; w < WORKFLOWS; w++)
            if (model[c][w] != NULL) {
                cr_assert_eq(ty_series_get(&table, model[c][w]->id), model[c][w]);
                expected++;
            }
        cr_assert_eq(listed, expected);
    }
    cr_assert_null(ty_series_get(&table, ty_series_next_id(&table)));
    cr_assert_null(ty_series_get(&table, UINT32_MAX));
    ty_series_table_fini(&table);
    ty_series_table_fini(&table);
}

/* The bound on series protects memory; the last one that is allowed still fits. */
Test(series, is_full_at_its_bound)
{
    struct ty_series_table table;

    cr_assert(ty_series_table_init(&table, 1, 3));
    for (size_t i = 0; i < 3; i++) {
        cr_assert(!ty_series_full(&table));
        cr_assert_not_null(add(&table, 1, i));
    }
    cr_assert(ty_series_full(&table));
    cr_assert_not_null(find(&table, 1, 2));
    ty_series_table_fini(&table);
}

/* At a start, series come back from storage under the ids they had, with gaps where a commit
 * failed; new ones must not take an id that is used. */
Test(series, takes_given_ids_and_continues_after_the_largest)
{
    static const uint32_t ids[] = {0, 1, 7, 4095, 4096, 5000};
    struct ty_series_table table;
    struct ty_series *next;

    cr_assert(ty_series_table_init(&table, 1, 10000));
    for (size_t i = 0; i < TY_COUNT_OF(ids); i++) {
        struct ty_uuid c = uuid_of(1, i), w = uuid_of(2, i);

        cr_assert_not_null(ty_series_add(&table, &c, &w, ids[i]));
        cr_assert_eq(ty_series_get(&table, ids[i]), find(&table, i, i));
    }
    cr_assert_null(ty_series_get(&table, 2));
    cr_assert_eq(ty_series_next_id(&table), 5001u);
    next = add(&table, 99, 99);
    cr_assert_eq(next->id, 5001u);
    ty_series_table_fini(&table);
}

/* A customer without events, and a workflow of another customer, have nothing. */
Test(series, knows_nothing_of_strangers)
{
    struct ty_series_table table;
    struct ty_uuid stranger = uuid_of(1, 2);

    cr_assert(ty_series_table_init(&table, 1, 10));
    cr_assert_not_null(add(&table, 1, 1));
    cr_assert_null(find(&table, 2, 1));
    cr_assert_null(find(&table, 1, 2));
    cr_assert_null(ty_series_newest_of(&table, &stranger));
    ty_series_table_fini(&table);
}
