#include "storage/id_page_codec.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <string.h>

#define FIRST_MS INT64_C(1700000000000)
#define COUNT    3

static const struct ty_id ids[COUNT] = {
    {.key = {.high = 1, .low = 2}, .content = 3, .arrived_ms = FIRST_MS},
    {.key = {.high = 1, .low = 3}, .content = 4, .arrived_ms = FIRST_MS + 1},
    {.key = {.high = UINT64_MAX, .low = 0}, .content = UINT64_MAX, .arrived_ms = FIRST_MS + 5000},
};

static void make_page(uint8_t key[TY_ID_KEY_BYTES], uint8_t value[TY_ID_PAGE_BYTES_MAX],
                      size_t *length)
{
    ty_id_key_encode(7, TY_ID_PAGE, 9, key);
    *length = ty_id_page_encode(key, FIRST_MS, ids, COUNT, value);
}

/* The example of docs/FORMAT.md, which others read a file by. */
Test(id_page_codec, writes_the_bytes_of_the_document)
{
    static const uint8_t expected_key[] = {0, 0, 0, 7, 2, 0, 0, 0, 9};
    static const uint8_t expected_id[] = {1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0,
                                          0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0};
    uint8_t key[TY_ID_KEY_BYTES], value[TY_ID_PAGE_BYTES_MAX];
    size_t length;

    make_page(key, value, &length);
    cr_assert_eq(memcmp(key, expected_key, sizeof(key)), 0);
    cr_assert_eq(length, 9u + 28 * COUNT);
    cr_assert_eq(value[0], 1);
    cr_assert_eq(memcmp(value + 9 + 28, expected_id, sizeof(expected_id)), 0);
}

/* A page of a few bytes less than LMDB has on one of its own. */
Test(id_page_codec, pages_fill_one_of_lmdb)
{
    cr_assert_leq(TY_ID_PAGE_BYTES_MAX, 4096 - 16);
    cr_assert_gt(TY_ID_PAGE_BYTES_MAX + 28, 4096 - 16);
}

static bool page_has(const uint8_t *key, const uint8_t *value, size_t length,
                     const struct ty_key *wanted, struct ty_id *id)
{
    bool found;

    cr_assert_null(ty_id_page_find(key, FIRST_MS, value, length, wanted, &found, id));
    return found;
}

Test(id_page_codec, finds_the_ids_of_a_page_and_no_others)
{
    uint8_t key[TY_ID_KEY_BYTES], value[TY_ID_PAGE_BYTES_MAX];
    struct ty_id found;
    size_t length;

    make_page(key, value, &length);
    for (size_t i = 0; i < COUNT; i++) {
        struct ty_key beside = ids[i].key;

        cr_assert(page_has(key, value, length, &ids[i].key, &found));
        cr_assert_eq(found.content, ids[i].content);
        beside.low += 5;
        cr_assert(!page_has(key, value, length, &beside, &found));
        beside = ids[i].key;
        beside.high--;
        cr_assert(!page_has(key, value, length, &beside, &found));
    }
}

Test(id_page_codec, finds_each_flipped_bit_of_a_page)
{
    uint8_t key[TY_ID_KEY_BYTES], value[TY_ID_PAGE_BYTES_MAX];
    struct ty_id read[TY_ID_PAGE_IDS];
    uint32_t count;
    size_t length;
    bool found;

    make_page(key, value, &length);
    cr_assert_null(ty_id_page_decode(key, FIRST_MS, value, length, read, &count));
    cr_assert_eq(count, (uint32_t)COUNT);
    for (size_t bit = 0; bit < (length + sizeof(key)) * 8; bit++) {
        uint8_t *byte = bit / 8 < length ? &value[bit / 8] : &key[bit / 8 - length];

        *byte ^= (uint8_t)(1 << bit % 8);
        cr_assert_not_null(ty_id_page_decode(key, FIRST_MS, value, length, read, &count));
        cr_assert_not_null(
            ty_id_page_find(key, FIRST_MS, value, length, &ids[0].key, &found, &read[0]));
        cr_assert_not_null(ty_id_value_check(key, value, length));
        *byte ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t shorter = 0; shorter < length; shorter++)
        cr_assert_not_null(
            ty_id_page_find(key, FIRST_MS, value, shorter, &ids[0].key, &found, &read[0]));
}

/* Prefixes of a run of so many ids. */
static uint32_t make_prefixes(struct ty_random *random, uint64_t run_ids,
                              uint64_t prefixes[TY_ID_LIST_IDS])
{
    uint64_t prefix = 0, step = (UINT64_C(1) << 44) / run_ids;
    uint32_t count = 0;

    while (count < TY_ID_LIST_IDS && prefix + 2 * step < UINT64_C(1) << 44) {
        prefix += ty_random_below(random, 2 * step);
        prefixes[count++] = prefix;
    }
    return count;
}

Test(id_page_codec, lists_of_prefixes_come_back)
{
    static const uint64_t runs[] = {3, 1000, 1 << 21, UINT64_C(1) << 30};
    uint64_t prefixes[TY_ID_LIST_IDS], read[TY_ID_LIST_IDS];
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (size_t i = 0; i < TY_COUNT_OF(runs); i++) {
        uint32_t count = make_prefixes(&random, runs[i], prefixes), again;
        struct ty_buffer value = {0};
        uint8_t key[TY_ID_KEY_BYTES];

        ty_id_key_encode(3, TY_ID_PREFIXES, 1, key);
        ty_id_list_encode(key, prefixes, count, &value);
        cr_assert_null(ty_id_list_decode(key, value.data, value.length, read, &again));
        cr_assert_eq(again, count);
        cr_assert_eq(memcmp(read, prefixes, count * sizeof(read[0])), 0);
        cr_assert(runs[i] < 1 << 21 || value.length <= 4096 - 16, "a page of LMDB's own");
        ty_buffer_fini(&value);
    }
}

Test(id_page_codec, finds_each_flipped_bit_of_a_list)
{
    uint64_t prefixes[TY_ID_LIST_IDS], read[TY_ID_LIST_IDS];
    struct ty_buffer value = {0};
    struct ty_random random;
    uint8_t key[TY_ID_KEY_BYTES];
    uint32_t count;

    ty_random_init(&random, ty_random_seed());
    count = make_prefixes(&random, 60, prefixes);
    ty_id_key_encode(3, TY_ID_PREFIXES, 0, key);
    ty_id_list_encode(key, prefixes, count, &value);
    for (size_t bit = 0; bit < value.length * 8; bit++) {
        value.data[bit / 8] = (char)(value.data[bit / 8] ^ 1 << bit % 8);
        cr_assert_not_null(ty_id_list_decode(key, value.data, value.length, read, &count));
        value.data[bit / 8] = (char)(value.data[bit / 8] ^ 1 << bit % 8);
    }
    ty_buffer_fini(&value);
}

/* A start loads the lists of all runs part by part: behind a prefix that is less than the one
 * before it, ids would be forgotten without a word. */
Test(id_page_codec, a_list_that_descends_is_refused)
{
    static const uint64_t lists[][2] = {{5, 2}, {5, UINT64_C(1) << 44}, {UINT64_MAX, 0}};
    uint64_t read[TY_ID_LIST_IDS];

    for (size_t i = 0; i < TY_COUNT_OF(lists); i++) {
        struct ty_buffer value = {0};
        uint8_t key[TY_ID_KEY_BYTES];
        uint32_t count;

        ty_id_key_encode(3, TY_ID_PREFIXES, 0, key);
        ty_id_list_encode(key, lists[i], 2, &value);
        cr_assert_str_eq(ty_id_list_decode(key, value.data, value.length, read, &count),
                         "no list of prefixes");
        ty_buffer_fini(&value);
    }
}
