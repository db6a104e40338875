#include "engine/period.h"
#include "query/range.h"

#include <criterion/criterion.h>
#include <string.h>

#define NOW_MS INT64_C(1675209599999) /* 2023-01-31T23:59:59.999Z, a Tuesday */

static struct ty_text text_of(const char *text)
{
    return (struct ty_text){text, text == NULL ? 0 : strlen(text)};
}

static bool parse(tally_frequency frequency, const char *start, const char *end,
                  struct ty_range *range, struct ty_range_problem *problem)
{
    return ty_range_parse(frequency, text_of(start), text_of(end), NOW_MS, range, problem);
}

struct valid {
    tally_frequency frequency;
    const char *start;
    const char *end;
    const char *first; /* what the ends are in canonical form */
    const char *last;
    int64_t count;
};

static void check_valid(const struct valid *valid)
{
    char first[TY_PERIOD_TEXT_BYTES], last[TY_PERIOD_TEXT_BYTES];
    struct ty_range_problem problem = {.message = ""};
    struct ty_range range;

    cr_assert(parse(valid->frequency, valid->start, valid->end, &range, &problem), "%s to %s: %s",
              valid->start, valid->end, problem.message);
    cr_assert_eq(range.frequency, valid->frequency);
    ty_period_format(valid->frequency, range.first, first);
    ty_period_format(valid->frequency, range.last, last);
    cr_assert_str_eq(first, valid->first);
    cr_assert_str_eq(last, valid->last);
    cr_assert_eq(ty_range_count(&range), valid->count, "%s to %s", first, last);
}

/* A report would begin or end with the wrong period. */
Test(range, both_ends_are_inclusive_and_cut_to_their_period)
{
    static const struct valid cases[] = {
        {TALLY_MONTHLY, "2023-01", "2023-01", "2023-01", "2023-01", 1},
        {TALLY_MONTHLY, "2022-12", "2023-12", "2022-12", "2023-12", 13},
        {TALLY_MONTHLY, "2023-01-31", "2023-02-01T00:00:00Z", "2023-01", "2023-02", 2},
        {TALLY_MONTHLY, "2023-01-31T23:00:00-02:00", "2023-03", "2023-02", "2023-03", 2},
        {TALLY_MONTHLY, "1970-01", "9999-12", "1970-01", "9999-12", 96360},
        {TALLY_WEEKLY, "2020-W53", "2021-W01", "2020-W53", "2021-W01", 2},
        {TALLY_WEEKLY, "2021-01-03", "2021-01-04", "2020-W53", "2021-W01", 2},
        {TALLY_WEEKLY, "2023-W05-7", "2023-W05-1", "2023-W05", "2023-W05", 1},
        {TALLY_DAILY, "2024-02-28", "2024-03-01", "2024-02-28", "2024-03-01", 3},
        {TALLY_DAILY, "2023-01-31T13:45:01.5Z", "2023-01-31", "2023-01-31", "2023-01-31", 1},
        {TALLY_HOURLY, "2023-01-31T13", "2023-02-01T00Z", "2023-01-31T13Z", "2023-02-01T00Z", 12},
        {TALLY_HOURLY, "2023-01-31T13:59:59Z", "2023-01-31T13:00", "2023-01-31T13Z",
         "2023-01-31T13Z", 1},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        check_valid(&cases[i]);
}

/* "Until now" would leave out today, or show a future that has no usage yet. */
Test(range, without_an_end_it_goes_to_the_current_period)
{
    static const struct valid cases[] = {
        {TALLY_MONTHLY, "2022-12", NULL, "2022-12", "2023-01", 2},
        {TALLY_WEEKLY, "2023-W05", NULL, "2023-W05", "2023-W05", 1},
        {TALLY_DAILY, "2023-01-01", NULL, "2023-01-01", "2023-01-31", 31},
        {TALLY_HOURLY, "2023-01-31T00Z", NULL, "2023-01-31T00Z", "2023-01-31T23Z", 24},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++)
        check_valid(&cases[i]);
}

/* A client must be told which of its parameters is wrong, and what would be right. */
Test(range, what_is_wrong_is_named_with_what_is_allowed)
{
    static const struct {
        tally_frequency frequency;
        const char *start;
        const char *end;
        const char *parameter;
        const char *message;
    } cases[] = {
        {TALLY_MONTHLY, "2023-13", "2023-01", "start",
         "'2023-13': the month is out of range (01 to 12); monthly takes YYYY-MM or more "
         "precision"},
        {TALLY_MONTHLY, "2023-01", "2023-02-30", "end",
         "'2023-02-30': the day does not exist in that month; monthly takes YYYY-MM or more "
         "precision"},
        {TALLY_WEEKLY, "2023-W53", NULL, "start",
         "'2023-W53': that ISO year has no such week; weekly takes YYYY-Www (an ISO week) or more "
         "precision"},
        {TALLY_DAILY, "2023-01", NULL, "start",
         "'2023-01': a month is not precise enough; daily takes YYYY-MM-DD or more precision"},
        {TALLY_HOURLY, "2023-01-31T13", "2023-01-31", "end",
         "'2023-01-31': a date is not precise enough; hourly takes YYYY-MM-DDThhZ or more "
         "precision"},
        {TALLY_MONTHLY, "", NULL, "start",
         "'': not a date; monthly takes YYYY-MM or more precision"},
        {TALLY_MONTHLY, "2023-01", "", "end",
         "'': not a date; monthly takes YYYY-MM or more precision"},
        /* Both are wrong: the first is told. */
        {TALLY_MONTHLY, "x", "y", "start",
         "'x': not a date; monthly takes YYYY-MM or more precision"},
        {TALLY_MONTHLY, "2023-02", "2023-01-31", "end",
         "the end 2023-01 is before the start 2023-02"},
        {TALLY_HOURLY, "2023-01-31T13", "2023-01-31T12:59:59.999Z", "end",
         "the end 2023-01-31T12Z is before the start 2023-01-31T13Z"},
        {TALLY_MONTHLY, "2023-02", NULL, "start",
         "without an end the range ends with the current period 2023-01, which is before the "
         "start 2023-02"},
        {TALLY_WEEKLY, "2023-02-06", NULL, "start",
         "without an end the range ends with the current period 2023-W05, which is before the "
         "start 2023-W06"},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_range range = {.frequency = TALLY_DAILY, .first = 7, .last = 8};
        struct ty_range_problem problem = {NULL, ""};

        cr_assert_not(parse(cases[i].frequency, cases[i].start, cases[i].end, &range, &problem),
                      "case %zu", i);
        cr_assert_str_eq(problem.parameter, cases[i].parameter, "case %zu: %s", i, problem.message);
        cr_assert_str_eq(problem.message, cases[i].message);
        cr_assert(range.frequency == TALLY_DAILY && range.first == 7 && range.last == 8,
                  "case %zu: the range is touched", i);
    }
}

/* A client's text must not upset the terminal or the log that shows it. */
Test(range, a_message_repeats_a_text_shortened_and_without_odd_bytes)
{
    static const char odd[] = "2023\n\x1b[31m\"\xc3\xa4\x7f";
    static const char forty[] = "2023-01-31T13:45:00.12345678901234567890"; /* repeated whole */
    static const char longer[] = "2023-01-31T13:45:00.12345678901234567890X";
    struct ty_range_problem problem = {NULL, ""};
    struct ty_range range;

    cr_assert_not(parse(TALLY_DAILY, odd, NULL, &range, &problem));
    cr_assert_eq(strncmp(problem.message,
                         "'2023?"
                         "?[31m\"?"
                         "?"
                         "?': ",
                         18),
                 0, "%s", problem.message);
    cr_assert_eq(strlen(forty), 40);
    cr_assert(parse(TALLY_DAILY, forty, NULL, &range, &problem), "%s", problem.message);
    cr_assert_not(parse(TALLY_DAILY, longer, NULL, &range, &problem));
    cr_assert_eq(strncmp(problem.message, "'2023-01-31T13:45:00.12345678901234567890...': ", 47), 0,
                 "%s", problem.message);
}
