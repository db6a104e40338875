#include "tests/storage/store_fixture.h"

TestSuite(store_blocks, .init = make_directory, .fini = remove_directory);

static void expect_day(struct ty_store *store, uint32_t series, int32_t day, uint64_t pages)
{
    struct ty_day_block block;

    assert_ok(ty_store_get_day(store, series, day, &block, &problem));
    cr_assert(block.total.pages == (ty_int128)pages, "day %d of series %u", day, series);
    cr_assert_eq(block.slots[47].pages, pages);
}

/* A month that is written again replaces what it was, and its neighbours in the tree, which differ
 * in a single number, keep theirs: each is somebody's bill. */
Test(store_blocks, a_block_is_replaced_and_its_neighbours_stay)
{
    struct ty_store *store = open_store();
    struct ty_month_block month;

    assert_ok(ty_store_begin(store, &problem));
    for (uint64_t pages = 1; pages <= 3; pages++) {
        struct ty_day_block block = make_day(pages);

        for (int32_t day = 0; day <= 2; day++)
            assert_ok(ty_store_put_day(store, (uint32_t)pages, day, &block, &problem));
    }
    for (uint64_t pages = 10; pages <= 11; pages++) {
        struct ty_day_block block = make_day(pages);
        struct ty_month_block put = {.stamp = pages, .total = block.total};

        assert_ok(ty_store_put_day(store, 2, 1, &block, &problem));
        assert_ok(ty_store_put_month(store, 2, 1, &put, &problem));
    }
    for (uint32_t series = 1; series <= 3; series++)
        for (int32_t day = 0; day <= 2; day++)
            expect_day(store, series, day, series == 2 && day == 1 ? 11 : series);
    assert_ok(ty_store_get_month(store, 2, 1, &month, &problem));
    cr_assert_eq(month.stamp, 11u);
    cr_assert(month.total.pages == 11);
    ty_store_close(store);
}

/* Where nothing was used, the answer is zero, and nothing of the block that was read before. */
Test(store_blocks, what_is_not_there_is_all_zeros)
{
    struct ty_store *store = open_store();
    struct ty_day_block day = make_day(3), none = {0};
    struct ty_month_block month = {.stamp = 5, .total = day.total};

    fill(store);
    assert_ok(ty_store_begin(store, &problem));
    assert_ok(ty_store_get_day(store, 3, 19389, &day, &problem));
    cr_assert_eq(memcmp(&day, &none, sizeof(day)), 0);
    assert_ok(ty_store_get_month(store, 4, 636, &month, &problem));
    cr_assert_eq(month.stamp, 0u);
    cr_assert_eq(month.total.events, 0u);
    ty_store_close(store);
}
