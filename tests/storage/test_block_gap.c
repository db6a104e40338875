/*
 * test_block_gap.c: days and months under a damaged key.
 */
#include "storage/bytes.h"
#include "storage/snapshot.h"
#include "tests/storage/store_fixture.h"
#include "tests/support/damage.h"

TestSuite(block_gap, .init = make_directory, .fini = remove_directory);

#define DAYS 200

/* Days 2, 4, 6, ... of series 1 and 2: more than one page of them. */
static void fill_days(void)
{
    struct ty_store *store = open_store();

    assert_ok(ty_store_begin(store, &problem));
    for (int32_t day = 2; day <= DAYS; day += 2)
        for (uint32_t series = 1; series <= 2; series++) {
            struct ty_day_block block = make_day((uint64_t)day);

            assert_ok(ty_store_put_day(store, series, day, &block, &problem));
        }
    assert_ok(ty_store_commit(store, &problem));
    ty_store_close(store);
}

/* Flips bits of the key of a day of series 1, where it lies in the file. */
static void damage_key(int32_t day, size_t offset, uint8_t bits)
{
    uint8_t key[TY_BLOCK_KEY_BYTES];
    struct ty_stored *entries;
    size_t count = ty_damage_list(directory.path, &entries), length;
    uint8_t *file = ty_damage_read_file(directory.path, &length);

    ty_block_key(1, TY_LEVEL_DAY, day, key);
    for (size_t i = 0; i < count; i++)
        if (strcmp(entries[i].tree, "blocks") == 0 && memcmp(entries[i].key, key, sizeof(key)) == 0)
            file[entries[i].key_at + offset] ^= bits;
    ty_damage_write_file(directory.path, file, length);
    free(file);
    free(entries);
}

static bool note_day(void *context, int32_t day, const struct ty_total *total)
{
    cr_assert(total->pages == day);
    ++*(unsigned *)context;
    return true;
}

static tally_status count_days(struct ty_store *store, uint32_t series, int32_t first, int32_t last,
                               unsigned *count)
{
    struct ty_snapshot *snapshot;
    tally_status status;

    *count = 0;
    assert_ok(ty_snapshot_begin(store, &snapshot, &problem));
    status = ty_snapshot_each_total(snapshot, series, TY_LEVEL_DAY, first, last, note_day, count,
                                    &problem);
    ty_snapshot_end(store, snapshot);
    return status;
}

static tally_status get_day(struct ty_store *store, int32_t day)
{
    struct ty_day_block block;
    tally_status status;

    assert_ok(ty_store_begin(store, &problem));
    status = ty_store_get_day(store, 1, day, &block, &problem);
    ty_store_abort(store);
    return status;
}

static const struct {
    size_t offset;
    uint8_t bits;
} flips[] = {{8, 0x01}, {8, 0x40}, {7, 0x80}, {5, 0x80},
             {4, 0x03}, {3, 0x01}, {3, 0x02}, {0, 0x40}};

/* A day that is not found counts as never used: an invoice would be too low. */
Test(block_gap, a_day_under_a_damaged_key_is_not_zero)
{
    for (size_t i = 0; i < TY_COUNT_OF(flips); i++) {
        struct ty_store *store;
        unsigned count;

        fill_days();
        damage_key(100, flips[i].offset, flips[i].bits);
        store = open_store();
        cr_assert_eq(get_day(store, 100), TALLY_CORRUPT, "flip %zu", i);
        cr_assert(strstr(problem.message, "day 100 of series 1") != NULL, "%s", problem.message);
        cr_assert_eq(count_days(store, 1, 0, 1000, &count), TALLY_CORRUPT, "flip %zu", i);
        cr_assert_eq(count_days(store, 1, 100, 100, &count), TALLY_CORRUPT, "flip %zu", i);
        ty_store_close(store);
        start_over();
    }
}

/* Whoever else is asked for is answered exactly, or not at all: around the damage by the page. */
Test(block_gap, no_other_day_is_ever_wrong)
{
    for (size_t i = 0; i < TY_COUNT_OF(flips); i++) {
        struct ty_store *store;
        unsigned count;

        fill_days();
        damage_key(100, flips[i].offset, flips[i].bits);
        store = open_store();
        for (int32_t day = 1; day <= DAYS + 1; day++)
            for (uint32_t series = 1; series <= 2; series++)
                if (day != 100 && count_days(store, series, day, day, &count) == TALLY_OK)
                    cr_assert_eq(count, day % 2 == 0 && day <= DAYS, "flip %zu, day %d", i, day);
        assert_ok(count_days(store, 1, 2, 2, &count));
        assert_ok(count_days(store, 2, 150, DAYS, &count));
        cr_assert_eq(count, 26);
        ty_store_close(store);
        start_over();
    }
}

/* Makes the place of a day of series 1 in its page that of the day 8 days later. */
static void damage_place(int32_t day)
{
    uint8_t key[TY_BLOCK_KEY_BYTES];
    struct ty_stored *entries;
    size_t count = ty_damage_list(directory.path, &entries), length;
    uint8_t *file = ty_damage_read_file(directory.path, &length);
    size_t from = 0, to = 0;

    for (size_t i = 0; i < count; i++)
        for (int32_t k = 0; k <= 8; k += 8) {
            ty_block_key(1, TY_LEVEL_DAY, day + k, key);
            if (strcmp(entries[i].tree, "blocks") == 0 &&
                memcmp(entries[i].key, key, sizeof(key)) == 0)
                *(k == 0 ? &from : &to) = entries[i].key_at - 8; /* An entry's own header. */
        }
    cr_assert(from != 0 && from / 4096 == to / 4096, "both in one page");
    for (uint8_t *at = file + from / 4096 * 4096 + 16;; at += 2)
        if ((size_t)(at[0] | at[1] << 8) == from % 4096) {
            at[0] = (uint8_t)(to % 4096);
            at[1] = (uint8_t)(to % 4096 >> 8);
            break;
        }
    ty_damage_write_file(directory.path, file, length);
    free(file);
    free(entries);
}

/* LMDB's own pages have no checksums: another day, whole and intact, lies where one was. */
Test(block_gap, a_day_that_its_page_has_lost_is_not_zero)
{
    struct ty_store *store;
    unsigned count;

    fill_days();
    damage_place(40);
    store = open_store();
    cr_assert_eq(get_day(store, 40), TALLY_CORRUPT);
    cr_assert_eq(count_days(store, 1, 0, 1000, &count), TALLY_CORRUPT);
    cr_assert_eq(count_days(store, 1, 38, 41, &count), TALLY_CORRUPT);
    ty_store_close(store);
}

/* It would be there twice, and either be found. */
Test(block_gap, a_day_under_a_damaged_key_is_not_stored_again)
{
    struct ty_day_block block = make_day(7);
    struct ty_store *store;

    fill_days();
    damage_key(100, 3, 0x40);
    store = open_store();
    assert_ok(ty_store_begin(store, &problem));
    cr_assert_eq(ty_store_put_day(store, 1, 100, &block, &problem), TALLY_CORRUPT);
    assert_ok(ty_store_put_day(store, 1, DAYS + 50, &block, &problem));
    assert_ok(ty_store_put_day(store, 2, 100, &block, &problem));
    ty_store_abort(store);
    ty_store_close(store);
}

/* Values beside a gap that are damaged themselves hide nothing: other days are answered. */
Test(block_gap, a_damaged_value_beside_a_gap_concerns_nobody_else)
{
    struct ty_store *store;
    unsigned count;

    fill_days();
    ty_damage_block_flip(directory.path, 1, TY_LEVEL_DAY, 100, 20);
    store = open_store();
    assert_ok(count_days(store, 1, 99, 99, &count));
    assert_ok(count_days(store, 1, 101, 102, &count));
    cr_assert_eq(count, 1);
    cr_assert_eq(count_days(store, 1, 99, 101, &count), TALLY_CORRUPT);
    ty_store_close(store);
}
