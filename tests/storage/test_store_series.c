#include "tests/storage/store_fixture.h"

TestSuite(store_series, .init = make_directory, .fini = remove_directory);

struct series_walk {
    uint32_t next;
    uint32_t stop_at;
};

static tally_status expect_series(void *context, uint32_t id, const struct ty_uuid *customer,
                                  const struct ty_uuid *workflow)
{
    struct series_walk *walk = context;

    cr_assert_eq(id, walk->next, "in ascending order");
    cr_assert_eq(customer->bytes[15], (uint8_t)(id % 7));
    cr_assert_eq(workflow->bytes[15], (uint8_t)id);
    walk->next += 3;
    return id == walk->stop_at ? TALLY_NO_MEMORY : TALLY_OK;
}

/* A start loads all series, in order, and stops when its caller cannot go on. */
Test(store_series, walks_all_series_in_order)
{
    struct ty_store *store = open_store();
    struct series_walk walk = {.stop_at = UINT32_MAX};

    assert_ok(ty_store_begin(store, &problem));
    for (uint32_t id = 0; id < 3000; id += 3) {
        struct ty_uuid customer = {{0}}, workflow = {{0}};

        customer.bytes[15] = (uint8_t)(id % 7);
        workflow.bytes[15] = (uint8_t)id;
        assert_ok(ty_store_put_series(store, id, &customer, &workflow, &problem));
    }
    assert_ok(ty_store_each_series(store, expect_series, &walk, &problem));
    cr_assert_eq(walk.next, 3000u);
    walk = (struct series_walk){.stop_at = 600};
    cr_assert_eq(ty_store_each_series(store, expect_series, &walk, &problem), TALLY_NO_MEMORY);
    cr_assert_eq(walk.next, 603u);
    ty_store_close(store);
}
