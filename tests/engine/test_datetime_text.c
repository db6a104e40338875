#include "engine/datetime_text.h"

#include <criterion/criterion.h>
#include <string.h>

static struct ty_scanner scanner_of(const char *text)
{
    return (struct ty_scanner){.at = text, .end = text + strlen(text)};
}

/* A piece that is not there must leave the scanner where it was, or the next piece is misread. */
Test(datetime_text, moves_only_over_what_it_takes)
{
    struct ty_scanner scanner = scanner_of("2023-W05");
    const char *start = scanner.at;
    int32_t value = 7;

    cr_assert(!ty_scan_digits(&scanner, 5, &value), "only four digits");
    cr_assert_eq(scanner.at, start);
    cr_assert_eq(value, 7, "the output is untouched");
    cr_assert(ty_scan_digits(&scanner, 4, &value));
    cr_assert_eq(value, 2023);
    cr_assert(!ty_scan_char(&scanner, "TtW"));
    cr_assert(ty_scan_char(&scanner, "+-"));
    cr_assert(ty_scan_char(&scanner, "Ww"));
    cr_assert(!ty_scan_end(&scanner));
    cr_assert(!ty_scan_digits(&scanner, 3, &value), "the text is over");
    cr_assert(ty_scan_digits(&scanner, 2, &value));
    cr_assert_eq(value, 5);
    cr_assert(ty_scan_end(&scanner));
    cr_assert(!ty_scan_char(&scanner, "5"));
}

/* strchr() finds the terminating zero in any set: a zero byte must not count as "one of". */
Test(datetime_text, takes_no_zero_byte)
{
    struct ty_scanner scanner = {.at = "\0Z"};

    scanner.end = scanner.at + 1;
    cr_assert(!ty_scan_char(&scanner, "Tt "));
}

/* What may be missing of a time of day, and what the zone does to it. */
Test(datetime_text, reads_times_as_precise_as_asked)
{
    static const struct {
        const char *text;
        bool from_hour, from_second; /* taken with that precision */
        int64_t ms;
    } cases[] = {
        {"13", true, false, 13 * TY_MS_PER_HOUR},
        {"13Z", true, false, 13 * TY_MS_PER_HOUR},
        {"13:45", true, false, 13 * TY_MS_PER_HOUR + 45 * TY_MS_PER_MINUTE},
        {"13:45:07", true, false, 13 * TY_MS_PER_HOUR + 45 * TY_MS_PER_MINUTE + 7000},
        {"13:45:07Z", true, true, 13 * TY_MS_PER_HOUR + 45 * TY_MS_PER_MINUTE + 7000},
        {"13+02:00", true, false, 11 * TY_MS_PER_HOUR},
        {"01:00:00+02:00", true, true, -TY_MS_PER_HOUR},
        {"23:00:00-02:00", true, true, 25 * TY_MS_PER_HOUR},
        {"00:00:60.9Z", true, true, 59999},
        {"", false, false, 0},
        {"1", false, false, 0},
        {"13:", false, false, 0},
        {"13:4", false, false, 0},
        {"13:45:", false, false, 0},
        {"13:45:07.", false, false, 0},
        {"24", false, false, 0},
        {"13Zjunk", false, false, 0},
        {"13:45:07.5.5Z", false, false, 0},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        struct ty_scanner scanner = scanner_of(cases[i].text);
        int64_t ms = -1;

        cr_assert_eq(ty_scan_time(&scanner, TY_TIME_FROM_HOUR, &ms) == NULL, cases[i].from_hour,
                     "'%s'", cases[i].text);
        if (cases[i].from_hour)
            cr_assert_eq(ms, cases[i].ms, "'%s'", cases[i].text);
        scanner = scanner_of(cases[i].text);
        cr_assert_eq(ty_scan_time(&scanner, TY_TIME_FROM_SECOND, &ms) == NULL, cases[i].from_second,
                     "'%s'", cases[i].text);
    }
}
