#include "engine/timestamp.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define UNTOUCHED INT64_C(-77)

static const char *parse(const char *text, int64_t *ms)
{
    *ms = UNTOUCHED;
    return ty_timestamp_parse(text, strlen(text), ms);
}

/* Every form of RFC 3339 that a client library may write has to mean the same moment. */
Test(timestamp, takes_every_form_of_rfc_3339)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"1970-01-01 00:00:00Z", 0},
        {"1970-01-01T00:00:00-00:00", 0},
        {"1970-01-01T00:00:00+00:00", 0},
        {"2023-01-31T13:45:00Z", INT64_C(1675172700000)},
        {"2023-01-31T13:45:00.5Z", INT64_C(1675172700500)},
        {"2023-01-31T13:45:00.123456789Z", INT64_C(1675172700123)},
        {"2023-01-31T13:45:00.9999999999999999999999999Z", INT64_C(1675172700999)},
        {"2023-01-31T13:45:00.000Z", INT64_C(1675172700000)},
        {"2023-01-31T15:45:00+02:00", INT64_C(1675172700000)},
        {"2023-01-31T08:15:00.25-05:30", INT64_C(1675172700250)},
        {"2023-01-30T13:46:00-23:59", INT64_C(1675172700000)},
        {"2023-02-01T13:44:00+23:59", INT64_C(1675172700000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228799999)},
        {"2016-12-31T23:59:60.5Z", INT64_C(1483228799999)},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800000)},
        {"1969-12-31T23:59:59.9999Z", -1},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800000)},
        {"9999-12-31T23:59:59.999Z", INT64_C(253402300799999)},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t ms;
        const char *problem = parse(cases[i].text, &ms);

        cr_assert_null(problem, "%s: %s", cases[i].text, problem);
        cr_assert_eq(ms, cases[i].ms, "%s: %" PRId64, cases[i].text, ms);
    }
}

/* What is not a moment (no zone, no such date) must be refused, not guessed. */
Test(timestamp, refuses_everything_else)
{
    static const char *const cases[] = {
        "",
        "now",
        "1675172700",
        "2023-01-31",
        "2023-01-31T13",
        "2023-01-31T13:45",
        "2023-01-31T13:45Z",
        "2023-01-31T13:45:00",
        "2023-01-31X13:45:00Z",
        "2023-02-29T00:00:00Z",
        "2023-02-30T00:00:00Z",
        "2023-13-01T00:00:00Z",
        "2023-00-01T00:00:00Z",
        "2023-01-00T00:00:00Z",
        "2023-01-32T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "23-01-01T00:00:00Z",
        "+2023-01-01T00:00:00Z",
        "-2023-01-01T00:00:00Z",
        "2023-01-31T24:00:00Z",
        "2023-01-31T13:60:00Z",
        "2023-01-31T13:45:61Z",
        "2023-01-31T13:45:00.Z",
        "2023-01-31T13:45:00,5Z",
        "2023-01-31T13:45:00+2:00",
        "2023-01-31T13:45:00+0200",
        "2023-01-31T13:45:00+02",
        "2023-01-31T13:45:00+24:00",
        "2023-01-31T13:45:00+02:60",
        "2023-01-31T13:45:00 02:00",
        "2023-01-31T13:45:00UTC",
        "2023-01-31T13:45:00ZZ",
        "2023-01-31T13:45:00Z ",
        " 2023-01-31T13:45:00Z",
        "2023-W05-2T13:45:00Z",
        "2023-1-31T13:45:00Z",
        "2023-01-31T1 :45:00Z",
        "2023/01/31T13:45:00Z",
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t ms;
        const char *problem = parse(cases[i], &ms);

        cr_assert_not_null(problem, "%s", cases[i]);
        cr_assert_gt(strlen(problem), 5, "a sentence for the client");
        cr_assert_eq(ms, UNTOUCHED, "%s", cases[i]);
    }
}

/* The sentence goes to the client: it has to name the part that is wrong. */
Test(timestamp, says_which_part_is_wrong)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"yesterday", "RFC 3339"},
        {"0000-01-01T00:00:00Z", "year"},
        {"2023-13-01T00:00:00Z", "month is"},
        {"2023-00-01T00:00:00Z", "month is"},
        {"2023-02-30T00:00:00Z", "day"},
        {"2023-01-31", "time of day"},
        {"2023-01-31T24:00:00Z", "hour"},
        {"2023-01-31T13:60:00Z", "minute"},
        {"2023-01-31T13:45:61Z", "second"},
        {"2023-01-31T13:45:00.Z", "fraction"},
        {"2023-01-31T13:45:00", "zone"},
        {"2023-01-31T13:45:00+24:00", "offset"},
        {"2023-01-31T13:45:00ZZ", "after the end"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t ms;
        const char *problem = parse(cases[i].text, &ms);

        cr_assert_not_null(problem, "%s", cases[i].text);
        cr_assert_not_null(strstr(problem, cases[i].word), "%s: %s", cases[i].text, problem);
    }
}

/* A truncated message must not pass for another time, nor be read beyond its end. */
Test(timestamp, refuses_every_prefix)
{
    static const char full[] = "2023-01-31T13:45:00.123+02:00";
    int64_t ms;

    for (size_t length = 0; length < strlen(full); length++) {
        char *text = malloc(length + 1);

        memcpy(text, full, length);
        cr_assert_not_null(ty_timestamp_parse(text, length, &ms), "%zu characters", length);
        free(text);
    }
    cr_assert_null(parse(full, &ms));
    cr_assert_not_null(ty_timestamp_parse(NULL, 0, &ms), "no text at all");
    cr_assert_not_null(ty_timestamp_parse("2023-01-31T13:45:00Z\0", 21, &ms), "a zero byte");
}

/* Random moments, written in random zones, against the C library. */
Test(timestamp, agrees_with_the_c_library)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 50000; n++) {
        time_t at = (time_t)ty_random_below(&random, 8000000000) - 1000000000;
        int offset = (int)ty_random_below(&random, 2 * 1440 - 1) - 1439;
        int fraction = (int)ty_random_below(&random, 1000);
        time_t local = at + offset * 60;
        char text[64], date[32];
        int64_t ms;
        struct tm tm;

        gmtime_r(&local, &tm);
        strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
        snprintf(text, sizeof(text), "%s.%03d%c%02d:%02d", date, fraction, offset < 0 ? '-' : '+',
                 abs(offset) / 60, abs(offset) % 60);
        cr_assert_null(parse(text, &ms), "%s", text);
        cr_assert_eq(ms, (int64_t)at * 1000 + fraction, "%s: %" PRId64, text, ms);
    }
}

/* Times that Tally shows are times that Tally takes. */
Test(timestamp, survives_being_formatted_and_parsed)
{
    struct ty_random random;
    char text[TY_TIMESTAMP_TEXT_BYTES];
    int64_t ms;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 50000; n++) {
        int64_t expected =
            (int64_t)ty_random_below(&random, UINT64_C(315537897599999)) - INT64_C(62135596800000);

        ty_timestamp_format(expected, text);
        cr_assert_null(parse(text, &ms), "%s", text);
        cr_assert_eq(ms, expected, "%s", text);
    }
    ty_timestamp_format(INT64_C(1675172700123), text);
    cr_assert_str_eq(text, "2023-01-31T13:45:00.123Z");
}
