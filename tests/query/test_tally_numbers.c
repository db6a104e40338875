#include "engine/base.h"
#include "tally.h"

#include <criterion/criterion.h>
#include <string.h>

static tally_int128 number_of(ty_int128 value)
{
    return (tally_int128){(uint64_t)value, (int64_t)(value >> 64)};
}

/* A wrong digit here is a wrong digit on an invoice. */
Test(tally_numbers, numbers_are_written_exactly)
{
    const ty_int128 most = (((ty_int128)1 << 126) - 1) * 2 + 1;
    const struct {
        ty_int128 value;
        unsigned decimals;
        const char *text;
    } cases[] = {
        {0, 6, "0"},
        {21000000, 6, "21"},
        {100000, 6, "0.1"},
        {-5, 6, "-0.000005"},
        {-1500000, 6, "-1.5"},
        {21000000, 0, "21000000"},
        {-7, 0, "-7"},
        {(ty_int128)INT64_MAX + 1, 0, "9223372036854775808"},
        {((ty_int128)1 << 64) * 3, 0, "55340232221128654848"},
        {-((ty_int128)1 << 64), 6, "-18446744073709.551616"},
        {most, 0, "170141183460469231731687303715884105727"},
        {-most - 1, 6, "-170141183460469231731687303715884.105728"},
    };
    char text[TALLY_NUMBER_TEXT_BYTES];

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        size_t length = tally_number_format(number_of(cases[i].value), cases[i].decimals, text);

        cr_assert_str_eq(text, cases[i].text);
        cr_assert_eq(length, strlen(cases[i].text));
    }
}

/* Seconds a page, half to even; without pages there is no average. */
Test(tally_numbers, the_average_is_rounded_half_to_even)
{
    const struct {
        ty_int128 processing_ms, pages;
        int has;
        int64_t micros;
    } cases[] = {
        {0, 0, 0, 0},
        {1200, 0, 0, 0},
        {1200, 3, 1, 400000},
        {0, 5, 1, 0},
        {1, 3, 1, 333},  /* 333.33 */
        {2, 3, 1, 667},  /* 666.67 */
        {1, 16, 1, 62},  /* 62.5: 62 is even */
        {3, 16, 1, 188}, /* 187.5: 188 is even */
        {5, 16, 1, 312}, /* 312.5 */
        {1, 2000, 1, 0}, /* 0.5 */
        {3, 2000, 1, 2}, /* 1.5 */
        {(ty_int128)INT64_MAX, 1000, 1, INT64_MAX},
        {(ty_int128)INT64_MAX + 1, 1000, 0, 0}, /* does not fit */
        {(ty_int128)INT64_MAX, 1, 0, 0},
        {(ty_int128)1 << 100, (ty_int128)1 << 90, 1, 1024000},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        tally_row row = {.processing_ms = number_of(cases[i].processing_ms),
                         .pages = number_of(cases[i].pages)};
        int64_t micros = -77;

        cr_assert_eq(tally_average_time_per_page(&row, &micros), cases[i].has, "case %zu", i);
        cr_assert_eq(micros, cases[i].has ? cases[i].micros : -77, "case %zu: %lld", i,
                     (long long)micros);
    }
}

/* Every program writes UUIDs as text somewhere. */
Test(tally_numbers, uuids_go_to_text_and_back)
{
    static const char *const wrong[] = {
        "",
        "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34",
        "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c0",
        "{6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c}",
        "6a4be78c8c4e4c1e83fe5b8fed0ae34c",
        "6a4be78c-8c4e-4c1e-83fe_5b8fed0ae34c",
        "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34g",
    };
    uint8_t uuid[16] = {0}, untouched[16] = {0};
    char text[37];

    cr_assert_eq(tally_uuid_parse("6A4BE78C-8c4e-4c1e-83fe-5b8fed0ae34c", uuid), 1);
    cr_assert(uuid[0] == 0x6a && uuid[15] == 0x4c);
    tally_uuid_format(uuid, text);
    cr_assert_str_eq(text, "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c");
    memset(uuid, 0, sizeof(uuid));
    for (size_t i = 0; i < TY_COUNT_OF(wrong); i++) {
        cr_assert_eq(tally_uuid_parse(wrong[i], uuid), 0, "%s", wrong[i]);
        cr_assert_eq(memcmp(uuid, untouched, sizeof(uuid)), 0, "%s", wrong[i]);
    }
}
