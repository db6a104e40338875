#include "storage/bytes.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* Values around every boundary of a varint's length, and random ones of every width. */
static uint64_t value_of(struct ty_random *random, int n)
{
    if (n < 65 * 3)
        return (n / 3 == 64 ? 0 : UINT64_C(1) << (n / 3)) + (uint64_t)(n % 3) - 1;
    return ty_random_wide(random);
}

static unsigned length_of(ty_uint128 value)
{
    unsigned length = 1;

    for (; value >= 0x80; value >>= 7)
        length++;
    return length;
}

/* Every total and every event is made of these; a value that comes back changed is a wrong bill. */
Test(bytes, varints_come_back_and_are_as_short_as_can_be)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 50000; n++) {
        uint8_t bytes[TY_VARINT128_BYTES_MAX];
        uint64_t value = value_of(&random, n);
        size_t length = (size_t)(ty_put_varint(bytes, value) - bytes);
        struct ty_reader reader = ty_reader_of(bytes, length);

        cr_assert_eq(length, length_of(value));
        cr_assert_leq(length, (size_t)TY_VARINT_BYTES_MAX);
        cr_assert_eq(ty_get_varint(&reader), value);
        cr_assert(!reader.failed && reader.at == reader.end);
        reader = ty_reader_of(bytes, length);
        cr_assert(ty_get_varint128(&reader) == value, "both widths share one form");
        cr_assert(!reader.failed && reader.at == reader.end);
    }
}

Test(bytes, wide_varints_come_back)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 50000; n++) {
        uint8_t bytes[TY_VARINT128_BYTES_MAX];
        ty_uint128 value =
            n < 129 * 3 ? (n / 3 == 128 ? 0 : (ty_uint128)1 << (n / 3)) + (ty_uint128)(n % 3) - 1
                        : (ty_uint128)ty_random_wide(&random) << ty_random_below(&random, 65);
        size_t length = (size_t)(ty_put_varint128(bytes, value) - bytes);
        struct ty_reader reader = ty_reader_of(bytes, length);

        cr_assert_eq(length, length_of(value));
        cr_assert_leq(length, (size_t)TY_VARINT128_BYTES_MAX);
        cr_assert(ty_get_varint128(&reader) == value);
        cr_assert(!reader.failed && reader.at == reader.end);
    }
}

/* A varint of more bits than the number has must not silently lose them. */
Test(bytes, varints_that_are_too_wide_fail)
{
    static const uint8_t bytes[20] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t endless[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
                                      0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};
    uint8_t wide[19];
    struct ty_reader reader = ty_reader_of(bytes, 10);

    cr_assert_eq(ty_get_varint(&reader), 0u);
    cr_assert(reader.failed, "65 bits");
    reader = ty_reader_of(endless, sizeof(endless));
    ty_get_varint(&reader);
    cr_assert(reader.failed, "no end");
    reader = ty_reader_of(endless, sizeof(endless));
    ty_get_varint128(&reader);
    cr_assert(reader.failed, "no end");
    memset(wide, 0xff, sizeof(wide));
    wide[18] = 0x04;
    reader = ty_reader_of(wide, sizeof(wide));
    cr_assert(ty_get_varint128(&reader) == 0);
    cr_assert(reader.failed, "129 bits");
    wide[18] = 0x03;
    reader = ty_reader_of(wide, sizeof(wide));
    cr_assert(ty_get_varint128(&reader) == ~(ty_uint128)0);
    cr_assert(!reader.failed);
}

/* Negative credits are as short as positive ones, and both ends of the range survive. */
Test(bytes, zigzag_keeps_signs_and_small_numbers_small)
{
    const ty_int128 widest = (ty_int128)(~(ty_uint128)0 >> 1);
    struct ty_random random;

    cr_assert_eq(ty_zigzag(0), 0u);
    cr_assert_eq(ty_zigzag(-1), 1u);
    cr_assert_eq(ty_zigzag(1), 2u);
    cr_assert_eq(ty_zigzag(-64), 127u);
    cr_assert_eq(ty_zigzag(INT64_MAX), UINT64_MAX - 1);
    cr_assert_eq(ty_zigzag(INT64_MIN), UINT64_MAX);
    cr_assert(ty_zigzag128(-1) == 1);
    cr_assert(ty_unzigzag128(ty_zigzag128(widest)) == widest);
    cr_assert(ty_unzigzag128(ty_zigzag128(-widest - 1)) == -widest - 1);
    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 20000; n++) {
        int64_t value = (int64_t)value_of(&random, n);
        ty_int128 wide = (ty_int128)value * (int64_t)ty_random_wide(&random);

        cr_assert_eq(ty_unzigzag(ty_zigzag(value)), value);
        cr_assert_eq(ty_unzigzag(ty_zigzag(-(value / 2))), -(value / 2));
        cr_assert(ty_unzigzag128(ty_zigzag128(wide)) == wide);
    }
}

/* Whatever is cut off: reading fails, goes not past the end, and stays failed. */
Test(bytes, truncated_input_fails_and_stays_failed)
{
    uint8_t whole[64], *end = whole;
    size_t length;

    end = ty_put_varint(end, UINT64_MAX);
    end = ty_put_varint128(end, ~(ty_uint128)0);
    end = ty_put_u64(end, 7);
    end = ty_put_bytes(end, "abc", 3);
    length = (size_t)(end - whole);
    for (size_t cut = 0; cut <= length; cut++) {
        uint8_t *bytes = malloc(cut + 1); /* exact but for the byte that malloc(0) needs */
        struct ty_reader reader;
        bool complete = cut == length;

        memcpy(bytes, whole, cut);
        reader = ty_reader_of(bytes, cut);
        ty_get_varint(&reader);
        ty_get_varint128(&reader);
        ty_get_u64(&reader);
        cr_assert_eq(ty_get_bytes(&reader, 3) != NULL, complete, "%zu bytes", cut);
        cr_assert_eq(reader.failed, !complete);
        cr_assert_eq(ty_get_u8(&reader), 0u);
        cr_assert(reader.failed);
        cr_assert_eq(ty_get_u64(&reader), 0u);
        cr_assert_eq(ty_get_varint(&reader), 0u);
        cr_assert_null(ty_get_bytes(&reader, 0), "failed for good");
        cr_assert(reader.at <= reader.end);
        free(bytes);
    }
}

/* Keys are compared as bytes: big-endian ones must sort as their numbers. */
Test(bytes, fixed_integers_have_the_order_they_say)
{
    uint8_t bytes[8];
    struct ty_reader reader;

    ty_put_u32_be(bytes, 0x01020304);
    cr_assert_eq(memcmp(bytes, "\1\2\3\4", 4), 0);
    cr_assert_eq(ty_get_u32_be(bytes), 0x01020304u);
    ty_put_u64_be(bytes, UINT64_C(0x0102030405060708));
    cr_assert_eq(memcmp(bytes, "\1\2\3\4\5\6\7\10", 8), 0);
    cr_assert_eq(ty_get_u64_be(bytes), UINT64_C(0x0102030405060708));
    ty_put_u64(bytes, UINT64_C(0x0102030405060708));
    cr_assert_eq(memcmp(bytes, "\10\7\6\5\4\3\2\1", 8), 0);
    reader = ty_reader_of(bytes, 8);
    cr_assert_eq(ty_get_u64(&reader), UINT64_C(0x0102030405060708));
    ty_put_u32_be(bytes, UINT32_MAX);
    cr_assert_eq(ty_get_u32_be(bytes), UINT32_MAX);
}
