#include "storage/block_codec.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static ty_int128 random_wide128(struct ty_random *random)
{
    return (ty_int128)((ty_uint128)ty_random_wide(random) << ty_random_below(random, 65));
}

static uint64_t random_measure(struct ty_random *random)
{
    return ty_random_one_in(random, 3)    ? 0
           : ty_random_one_in(random, 10) ? UINT64_MAX
                                          : ty_random_wide(random);
}

/* A day with any slots and any numbers; the codec does not ask whether they add up. */
static void make_day(struct ty_random *random, struct ty_day_block *block)
{
    uint64_t sparse = 1 + ty_random_below(random, 100);

    memset(block, 0, sizeof(*block));
    block->stamp = ty_random_wide(random);
    block->total = (struct ty_total){.events = random_measure(random),
                                     .credits = random_wide128(random),
                                     .documents = random_wide128(random),
                                     .pages = random_wide128(random),
                                     .processing_ms = random_wide128(random)};
    if (ty_random_one_in(random, 2))
        block->total.credits = -block->total.credits;
    if (ty_random_one_in(random, 5))
        block->total = (struct ty_total){0};
    for (size_t i = 0; i < TY_SLOTS_PER_DAY; i++) {
        block->used[i] = ty_random_one_in(random, sparse);
        if (!block->used[i])
            continue;
        block->slots[i] = (struct ty_slot_sum){.events = random_measure(random),
                                               .credits = (int64_t)random_measure(random),
                                               .documents = random_measure(random),
                                               .pages = random_measure(random),
                                               .processing_ms = random_measure(random)};
        if (ty_random_one_in(random, 9))
            block->slots[i].credits = INT64_MIN;
    }
}

static void assert_same_day(const struct ty_day_block *a, const struct ty_day_block *b)
{
    cr_assert_eq(a->stamp, b->stamp);
    cr_assert(ty_total_equal(&a->total, &b->total));
    cr_assert_eq(memcmp(a->used, b->used, sizeof(a->used)), 0);
    cr_assert_eq(memcmp(a->slots, b->slots, sizeof(a->slots)), 0);
}

/* What was stored of a day is what comes back, extremes included, and its total alone as well. */
Test(block_codec, days_come_back)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 4000; n++) {
        uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX], *exact;
        struct ty_day_block block, decoded;
        struct ty_total total;
        uint64_t stamp;
        size_t length;

        make_day(&random, &block);
        ty_block_key((uint32_t)ty_random_wide(&random), TY_LEVEL_DAY,
                     (int32_t)ty_random_below(&random, INT32_MAX), key);
        length = ty_day_block_encode(key, &block, value);
        cr_assert_leq(length, (size_t)TY_DAY_BLOCK_BYTES_MAX);
        exact = malloc(length);
        memcpy(exact, value, length);
        cr_assert_null(ty_day_block_decode(key, exact, length, &decoded));
        assert_same_day(&block, &decoded);
        cr_assert_null(ty_block_decode_total(key, exact, length, &stamp, &total));
        cr_assert_eq(stamp, block.stamp);
        cr_assert(ty_total_equal(&total, &block.total));
        free(exact);
    }
}

/* The fullest day that there can be fits the size that callers provide. */
Test(block_codec, the_fullest_day_fits)
{
    uint8_t key[TY_BLOCK_KEY_BYTES], *value = malloc(TY_DAY_BLOCK_BYTES_MAX);
    struct ty_day_block block, decoded;
    const ty_int128 least = -(ty_int128)(~(ty_uint128)0 >> 1) - 1;
    size_t length;

    memset(&block, 0xff, sizeof(block));
    block.total.credits = block.total.documents = block.total.pages = least;
    block.total.processing_ms = least;
    for (size_t i = 0; i < TY_SLOTS_PER_DAY; i++) {
        block.used[i] = true;
        block.slots[i].credits = INT64_MIN;
    }
    ty_block_key(UINT32_MAX, TY_LEVEL_DAY, INT32_MAX, key);
    length = ty_day_block_encode(key, &block, value);
    cr_assert_leq(length, (size_t)TY_DAY_BLOCK_BYTES_MAX);
    cr_assert_null(ty_day_block_decode(key, value, length, &decoded));
    assert_same_day(&block, &decoded);
    free(value);
}

/* Years of months are read for one report: each has to come back. */
Test(block_codec, months_come_back)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 20000; n++) {
        uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_MONTH_BLOCK_BYTES_MAX];
        struct ty_day_block source;
        struct ty_month_block block;
        struct ty_total total;
        uint64_t stamp;
        size_t length;

        make_day(&random, &source);
        block = (struct ty_month_block){.stamp = source.stamp, .total = source.total};
        ty_block_key((uint32_t)n, TY_LEVEL_MONTH, 636, key);
        length = ty_month_block_encode(key, &block, value);
        cr_assert_leq(length, (size_t)TY_MONTH_BLOCK_BYTES_MAX);
        cr_assert_null(ty_block_decode_total(key, value, length, &stamp, &total));
        cr_assert_eq(stamp, block.stamp);
        cr_assert(ty_total_equal(&total, &block.total));
    }
}

/* The disk is not always right: a flipped bit has to be an error, never another number. */
Test(block_codec, every_flipped_bit_is_detected)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 12; n++) {
        uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
        struct ty_day_block block;
        struct ty_total total;
        uint64_t stamp;
        size_t length;

        make_day(&random, &block);
        ty_block_key(3, TY_LEVEL_DAY, 19388, key);
        length = ty_day_block_encode(key, &block, value);
        for (size_t bit = 0; bit < length * 8; bit++) {
            value[bit / 8] ^= (uint8_t)(1 << bit % 8);
            cr_assert_not_null(ty_day_block_decode(key, value, length, &block), "bit %zu", bit);
            cr_assert_not_null(ty_block_decode_total(key, value, length, &stamp, &total), "bit %zu",
                               bit);
            value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        cr_assert_null(ty_day_block_decode(key, value, length, &block), "whole again");
    }
}

/* A value under another series', day's or level's key would bill one customer for another. */
Test(block_codec, a_value_under_another_key_is_detected)
{
    uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
    struct ty_day_block block;
    struct ty_random random;
    size_t length;

    ty_random_init(&random, ty_random_seed());
    make_day(&random, &block);
    ty_block_key(3, TY_LEVEL_DAY, 19388, key);
    length = ty_day_block_encode(key, &block, value);
    for (size_t bit = 0; bit < sizeof(key) * 8; bit++) {
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_str_eq(ty_day_block_decode(key, value, length, &block), "checksum mismatch");
        key[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

/* A value that lost its end is an error, and is not read beyond it. */
Test(block_codec, a_truncated_value_is_detected)
{
    uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
    struct ty_day_block block;
    struct ty_random random;
    size_t length;

    ty_random_init(&random, ty_random_seed());
    make_day(&random, &block);
    ty_block_key(3, TY_LEVEL_DAY, 19388, key);
    length = ty_day_block_encode(key, &block, value);
    for (size_t cut = 0; cut < length; cut++) {
        uint8_t *bytes = malloc(cut + 1);
        struct ty_total total;
        uint64_t stamp;

        memcpy(bytes, value, cut);
        cr_assert_not_null(ty_day_block_decode(key, bytes, cut, &block), "%zu bytes", cut);
        cr_assert_not_null(ty_block_decode_total(key, bytes, cut, &stamp, &total));
        free(bytes);
    }
}

/* Ranges are scanned in the order of their keys: by series, then days before months, then time. */
Test(block_codec, keys_sort_by_series_level_and_period)
{
    static const struct {
        uint32_t series;
        enum ty_level level;
        int32_t period;
    } order[] = {{0, TY_LEVEL_DAY, 0},       {0, TY_LEVEL_DAY, 255},
                 {0, TY_LEVEL_DAY, 256},     {0, TY_LEVEL_MONTH, 0},
                 {0, TY_LEVEL_MONTH, 70000}, {1, TY_LEVEL_DAY, 0},
                 {256, TY_LEVEL_DAY, 1},     {UINT32_MAX, TY_LEVEL_DAY, INT32_MAX}};
    uint8_t before[TY_BLOCK_KEY_BYTES] = {0}, key[TY_BLOCK_KEY_BYTES];

    for (size_t i = 0; i < TY_COUNT_OF(order); i++) {
        ty_block_key(order[i].series, order[i].level, order[i].period, key);
        cr_assert_lt(memcmp(before, key, sizeof(key)), 0, "key %zu", i);
        memcpy(before, key, sizeof(key));
    }
}

/* A quiet day is small: storage is paid for by activity. */
Test(block_codec, leaves_out_what_is_zero)
{
    uint8_t key[TY_BLOCK_KEY_BYTES], value[TY_DAY_BLOCK_BYTES_MAX];
    struct ty_day_block block = {.stamp = 1, .total = {.events = 1, .credits = 5000000}};

    block.used[50] = true;
    block.slots[50] = (struct ty_slot_sum){.events = 1, .credits = 5000000};
    ty_block_key(3, TY_LEVEL_DAY, 19388, key);
    cr_assert_leq(ty_day_block_encode(key, &block, value), 50u);
}
