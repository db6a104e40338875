#include "engine/calendar.h"
#include "engine/period.h"
#include "tests/support/random.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

#define UNTOUCHED INT64_C(-77)
#define LAST_MS   INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

static const tally_frequency frequencies[] = {TALLY_MONTHLY, TALLY_WEEKLY, TALLY_DAILY,
                                              TALLY_HOURLY};

static const char *parse(tally_frequency frequency, const char *text, int64_t *period)
{
    *period = UNTOUCHED;
    return ty_period_parse(frequency, text, strlen(text), period);
}

/* The names stand in the paths of the HTTP API. */
Test(period, frequencies_have_the_names_of_the_paths)
{
    tally_frequency frequency = TALLY_HOURLY;

    for (size_t i = 0; i < TY_COUNT_OF(frequencies); i++) {
        const char *name = ty_frequency_name(frequencies[i]);

        cr_assert(ty_frequency_parse(name, strlen(name), &frequency));
        cr_assert_eq(frequency, frequencies[i]);
        cr_assert_not_null(ty_frequency_form(frequencies[i]));
    }
    cr_assert_str_eq(ty_frequency_name(TALLY_MONTHLY), "monthly");
    cr_assert_str_eq(ty_frequency_name(TALLY_WEEKLY), "weekly");
    cr_assert_str_eq(ty_frequency_name(TALLY_DAILY), "daily");
    cr_assert_str_eq(ty_frequency_name(TALLY_HOURLY), "hourly");
    frequency = TALLY_DAILY;
    cr_assert(!ty_frequency_parse("yearly", 6, &frequency));
    cr_assert(!ty_frequency_parse("Monthly", 7, &frequency));
    cr_assert(!ty_frequency_parse("month", 5, &frequency));
    cr_assert(!ty_frequency_parse("monthlyy", 8, &frequency));
    cr_assert(!ty_frequency_parse("", 0, &frequency));
    cr_assert_eq(frequency, TALLY_DAILY, "the output is untouched");
}

/* The `date` of a row can be used as `start` of the next question. */
Test(period, survives_being_formatted_and_parsed)
{
    struct ty_random random;

    ty_random_init(&random, ty_random_seed());
    for (int n = 0; n < 40000; n++) {
        tally_frequency frequency = frequencies[n % 4];
        int64_t ms = (int64_t)ty_random_below(&random, (uint64_t)LAST_MS + 1), parsed;
        int64_t period = ty_period_of_ms(frequency, ms);
        char text[TY_PERIOD_TEXT_BYTES];

        cr_assert_eq(ty_period_format(frequency, period, text), strlen(text));
        cr_assert_null(parse(frequency, text, &parsed), "%s", text);
        cr_assert_eq(parsed, period, "%s", text);
        cr_assert(ty_period_start_ms(frequency, period) <= ms);
        cr_assert(ms < ty_period_start_ms(frequency, period + 1), "%s", text);
    }
}

/* SPEC.md, "Rollups": what `start` and `end` are truncated to. */
Test(period, truncates_what_is_more_precise)
{
    static const struct {
        tally_frequency frequency;
        const char *text, *canonical;
    } cases[] = {
        {TALLY_MONTHLY, "2023-01", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15T10:00:00Z", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15T10:00:00.123456789Z", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15T10:00:00", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15T10:00", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15T10", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15t10z", "2023-01"},
        {TALLY_MONTHLY, "2023-01-15 10:00", "2023-01"},
        {TALLY_MONTHLY, "2023-02-01T01:30:00+02:00", "2023-01"},
        {TALLY_MONTHLY, "2023-01-31T23:30:00-01:00", "2023-02"},
        {TALLY_MONTHLY, "2023-12-31T23:59:60Z", "2023-12"},
        {TALLY_MONTHLY, "2024-01-01T00:30+01:00", "2023-12"},
        {TALLY_WEEKLY, "2023-W05", "2023-W05"},
        {TALLY_WEEKLY, "2023-w05", "2023-W05"},
        {TALLY_WEEKLY, "2023-W05-3", "2023-W05"},
        {TALLY_WEEKLY, "2023-W05-1", "2023-W05"},
        {TALLY_WEEKLY, "2023-W05-7", "2023-W05"},
        {TALLY_WEEKLY, "2020-W53", "2020-W53"},
        {TALLY_WEEKLY, "2021-01-03", "2020-W53"},
        {TALLY_WEEKLY, "2021-01-04", "2021-W01"},
        {TALLY_WEEKLY, "2024-12-30", "2025-W01"},
        {TALLY_WEEKLY, "2024-12-29", "2024-W52"},
        {TALLY_WEEKLY, "2021-01-04T00:30:00+01:00", "2020-W53"},
        {TALLY_WEEKLY, "1970-01-01", "1970-W01"},
        {TALLY_WEEKLY, "1969-12-29", "1970-W01"},
        {TALLY_WEEKLY, "9999-12-31", "9999-W52"},
        {TALLY_DAILY, "2023-01-31", "2023-01-31"},
        {TALLY_DAILY, "2024-02-29", "2024-02-29"},
        {TALLY_DAILY, "2023-01-31T13Z", "2023-01-31"},
        {TALLY_DAILY, "2023-01-31T00:30:00+01:00", "2023-01-30"},
        {TALLY_DAILY, "2023-01-31T23:30-01:00", "2023-02-01"},
        {TALLY_DAILY, "9999-12-31T23:59:59Z", "9999-12-31"},
        {TALLY_DAILY, "1969-12-31T23:30:00-01:00", "1970-01-01"},
        {TALLY_HOURLY, "2023-01-31T13Z", "2023-01-31T13Z"},
        {TALLY_HOURLY, "2023-01-31T13", "2023-01-31T13Z"},
        {TALLY_HOURLY, "2023-01-31T13:59", "2023-01-31T13Z"},
        {TALLY_HOURLY, "2023-01-31T13:59Z", "2023-01-31T13Z"},
        {TALLY_HOURLY, "2023-01-31T13:59:59.999", "2023-01-31T13Z"},
        {TALLY_HOURLY, "2023-01-31T13:00+05:30", "2023-01-31T07Z"},
        {TALLY_HOURLY, "2023-01-31T13+02:00", "2023-01-31T11Z"},
        {TALLY_HOURLY, "1970-01-01T00", "1970-01-01T00Z"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char text[TY_PERIOD_TEXT_BYTES];
        int64_t period;
        const char *problem = parse(cases[i].frequency, cases[i].text, &period);

        cr_assert_null(problem, "%s %s: %s", ty_frequency_name(cases[i].frequency), cases[i].text,
                       problem);
        ty_period_format(cases[i].frequency, period, text);
        cr_assert_str_eq(text, cases[i].canonical, "%s", cases[i].text);
    }
}

/* A period that was guessed is a wrong report; it must be an error with a sentence instead. */
Test(period, refuses_too_little_precision_and_dates_that_do_not_exist)
{
    static const struct {
        tally_frequency frequency;
        const char *text;
    } cases[] = {
        {TALLY_WEEKLY, "2023-01"},
        {TALLY_DAILY, "2023-01"},
        {TALLY_HOURLY, "2023-01"},
        {TALLY_HOURLY, "2023-01-31"},
        {TALLY_HOURLY, "2023-W05"},
        {TALLY_DAILY, "2023-W05"},
        {TALLY_DAILY, "2023-W05-3"},
        {TALLY_MONTHLY, "2023-W05"},
        {TALLY_WEEKLY, "2023-W53"},
        {TALLY_WEEKLY, "2023-W00"},
        {TALLY_WEEKLY, "2023-W54"},
        {TALLY_WEEKLY, "2023-W05-0"},
        {TALLY_WEEKLY, "2023-W05-8"},
        {TALLY_WEEKLY, "2023-W05-"},
        {TALLY_WEEKLY, "2023-W5"},
        {TALLY_WEEKLY, "2023W05"},
        {TALLY_WEEKLY, "2023-W05T10"},
        {TALLY_MONTHLY, "2023-02-30"},
        {TALLY_WEEKLY, "2023-02-30"},
        {TALLY_DAILY, "2023-02-30"},
        {TALLY_HOURLY, "2023-02-30T10"},
        {TALLY_MONTHLY, "2023-02-29"},
        {TALLY_MONTHLY, "2023-13"},
        {TALLY_MONTHLY, "2023-00"},
        {TALLY_MONTHLY, "2023-01-00"},
        {TALLY_MONTHLY, "2023-01-15T24:00"},
        {TALLY_MONTHLY, "2023-01-15T10:60"},
        {TALLY_MONTHLY, "2023-01-15T10:00:61"},
        {TALLY_MONTHLY, "2023-01-15T10:00:00+24:00"},
        {TALLY_MONTHLY, "1969-12"},
        {TALLY_WEEKLY, "1969-W52"},
        {TALLY_WEEKLY, "1969-12-28"},
        {TALLY_DAILY, "1969-12-31"},
        {TALLY_HOURLY, "1970-01-01T00+01:00"},
        {TALLY_DAILY, "9999-12-31T23:00-02:00"},
        {TALLY_MONTHLY, "0000-01"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        int64_t period;
        const char *problem = parse(cases[i].frequency, cases[i].text, &period);

        cr_assert_not_null(problem, "%s %s", ty_frequency_name(cases[i].frequency), cases[i].text);
        cr_assert_gt(strlen(problem), 5, "a sentence for the client");
        cr_assert_eq(period, UNTOUCHED, "%s", cases[i].text);
    }
}

/* The sentence goes to the client: it has to name the part that is wrong. */
Test(period, says_which_part_is_wrong)
{
    static const struct {
        tally_frequency frequency;
        const char *text, *word;
    } cases[] = {
        {TALLY_MONTHLY, "0000-01", "year"},      {TALLY_WEEKLY, "0000-W01", "year"},
        {TALLY_MONTHLY, "1969-12", "year"},      {TALLY_MONTHLY, "2023-13", "month is"},
        {TALLY_DAILY, "2023-02-30", "day"},      {TALLY_WEEKLY, "2023-W53", "week"},
        {TALLY_DAILY, "2023-W05", "weekly"},     {TALLY_WEEKLY, "2023-01", "precise"},
        {TALLY_HOURLY, "2023-01-31", "precise"}, {TALLY_HOURLY, "2023-01-31T25", "hour"},
    };
    int64_t period;

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        const char *problem = parse(cases[i].frequency, cases[i].text, &period);

        cr_assert_not_null(problem, "%s", cases[i].text);
        cr_assert_not_null(strstr(problem, cases[i].word), "%s: %s", cases[i].text, problem);
    }
    cr_assert_not_null(ty_period_parse(TALLY_DAILY, NULL, 0, &period), "no text at all");
}

/* Text that only begins like a period. */
Test(period, refuses_garbage)
{
    static const char *const cases[] = {
        "",
        "now",
        "today",
        "2023",
        "2023-",
        "23-01",
        "02023-01",
        "2023-1",
        "2023/01",
        "2023-01-",
        "2023-01-5",
        "2023-01 ",
        " 2023-01",
        "2023-01-15T",
        "2023-01-15T1",
        "2023-01-15TZ",
        "2023-01-15Z",
        "2023-01-15T10:",
        "2023-01-15T10:0",
        "2023-01-15T10:00:",
        "2023-01-15T10:00:00.",
        "2023-01-15T10:00:00 01:00",
        "2023-01-15T10:00:00+01",
        "2023-01-15T10:00:00+0100",
        "2023-01-15T10ZZ",
        "2023-01-15T10:00:00Z?",
        "2023-01x",
        "-2023-01",
        "+2023-01",
        "20230115",
        "2023-01-15T10:00:00Z\n",
        "1e3-01",
        "2023-01%2D15",
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        for (size_t f = 0; f < TY_COUNT_OF(frequencies); f++) {
            int64_t period;

            cr_assert_not_null(parse(frequencies[f], cases[i], &period), "%s '%s'",
                               ty_frequency_name(frequencies[f]), cases[i]);
            cr_assert_eq(period, UNTOUCHED);
        }
}

/* Which prefixes of a date-time are a period, and that none is read beyond its end. */
Test(period, takes_exactly_the_whole_prefixes_of_a_date_time)
{
    static const char full[] = "2023-01-31T13:45:07.25+01:00";
    static const char *const taken[] = {"2023-01-31T13",          "2023-01-31T13:45",
                                        "2023-01-31T13:45:07",    "2023-01-31T13:45:07.2",
                                        "2023-01-31T13:45:07.25", full};

    for (size_t length = 0; length <= strlen(full); length++) {
        char *text = malloc(length + 1);
        bool expected = false;
        int64_t period;

        memcpy(text, full, length);
        for (size_t i = 0; i < TY_COUNT_OF(taken); i++)
            expected |= strlen(taken[i]) == length;
        cr_assert_eq(ty_period_parse(TALLY_HOURLY, text, length, &period) == NULL, expected,
                     "hourly %.*s", (int)length, full);
        expected |= length == strlen("2023-01-31");
        cr_assert_eq(ty_period_parse(TALLY_DAILY, text, length, &period) == NULL, expected,
                     "daily %.*s", (int)length, full);
        expected |= length == strlen("2023-01");
        cr_assert_eq(ty_period_parse(TALLY_MONTHLY, text, length, &period) == NULL, expected,
                     "monthly %.*s", (int)length, full);
        free(text);
    }
}
