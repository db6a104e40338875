#include "engine/calendar.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define YEARS_FROM INT64_C(0)          /* 1970-01-01T00:00:00Z in seconds */
#define YEARS_TO   INT64_C(4133980800) /* 2101-01-01T00:00:00Z */

/* A usage report puts events into days, months and ISO weeks: every hour of 131 years against the
 * C library's own calendar. */
Test(calendar, agrees_with_the_c_library_on_every_hour)
{
    for (time_t at = YEARS_FROM; at < YEARS_TO; at += 3600) {
        int64_t ms = (int64_t)at * 1000 + 1799999;
        int32_t day = ty_day_of_ms(ms), week = ty_week_of_day(day);
        struct ty_date date = ty_date_of_day(day);
        struct ty_iso_week iso = ty_iso_week_of_week(week);
        char expected[16], text[32];
        struct tm tm;

        gmtime_r(&at, &tm);
        if (date.year != tm.tm_year + 1900 || date.month != tm.tm_mon + 1 ||
            date.day != tm.tm_mday || ty_hour_of_ms(ms) - day * INT64_C(24) != tm.tm_hour)
            cr_assert(false, "%lld is not %d-%02d-%02d", (long long)at, date.year, date.month,
                      date.day);
        if (ty_slot_of_ms(ms) != day * INT64_C(96) + tm.tm_hour * 4 + 1)
            cr_assert(false, "%lld is not in slot %lld", (long long)at,
                      (long long)ty_slot_of_ms(ms));
        if (ty_month_of_day(day) != (tm.tm_year - 70) * 12 + tm.tm_mon)
            cr_assert(false, "%lld is not in month %d", (long long)at, ty_month_of_day(day));
        strftime(expected, sizeof(expected), "%G-W%V", &tm);
        snprintf(text, sizeof(text), "%04d-W%02d", iso.year, iso.week);
        if (strcmp(text, expected) != 0)
            cr_assert(false, "%lld is in %s, not in %s", (long long)at, expected, text);
    }
}

/* Periods begin where the C library says that their first day does. */
Test(calendar, periods_begin_where_the_c_library_says)
{
    for (int32_t month = 0; month < 131 * 12; month++) {
        struct tm tm = {.tm_year = 70 + month / 12, .tm_mon = month % 12, .tm_mday = 1};

        cr_assert_eq(ty_first_day_of_month(month) * INT64_C(86400), timegm(&tm), "month %d", month);
    }
    for (int32_t week = 0; week < 131 * 52; week++) {
        time_t start = ty_first_day_of_week(week) * INT64_C(86400);
        struct tm tm;

        gmtime_r(&start, &tm);
        cr_assert_eq(tm.tm_wday, 1, "week %d begins on a Monday", week);
    }
}

static void next_date(struct ty_date *date)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (date->year % 4 == 0 && date->year % 100 != 0) || date->year % 400 == 0;

    if (date->day++ < lengths[date->month - 1] + (leap && date->month == 2))
        return;
    date->day = 1;
    if (date->month++ < 12)
        return;
    date->month = 1;
    date->year++;
}

/* The whole range of dates that may be asked for, by counting day after day. */
Test(calendar, counts_every_day_from_year_1_to_9999)
{
    struct ty_date expected = {.year = 1, .month = 1, .day = 1};
    int32_t day = -719162;

    for (; expected.year < 10000; day++) {
        struct ty_date date = ty_date_of_day(day);

        if (memcmp(&date, &expected, sizeof(date)) != 0 || ty_day_of_date(date) != day)
            cr_assert(false, "day %d is %d-%d-%d", day, expected.year, expected.month,
                      expected.day);
        next_date(&expected);
    }
    cr_assert_eq(day, 2932897);
}

/* Months, weeks and ISO weeks tile the days: none is left out or counted twice. */
Test(calendar, months_and_weeks_tile_the_days_before_1970_too)
{
    for (int32_t month = -12 * 1969; month < 12 * 8030; month++) {
        int32_t first = ty_first_day_of_month(month), next = ty_first_day_of_month(month + 1);
        struct ty_date date = ty_date_of_day(first);

        cr_assert_eq(ty_month_of_day(first), month);
        cr_assert_eq(ty_month_of_day(next - 1), month);
        cr_assert_eq(next - first, ty_days_in_month(date.year, date.month));
        cr_assert_eq(date.day, 1);
    }
    for (int32_t week = -100000; week < 400000; week++) {
        int32_t first = ty_first_day_of_week(week);
        struct ty_iso_week iso = ty_iso_week_of_week(week);

        if (ty_week_of_day(first) != week || ty_week_of_day(first + 6) != week ||
            ty_week_of_iso_week(iso) != week || !ty_iso_week_exists(iso))
            cr_assert(false, "week %d is %d-W%02d", week, iso.year, iso.week);
    }
}

/* A date that does not exist must be refused, or it would silently mean another one. */
Test(calendar, knows_which_dates_and_weeks_exist)
{
    static const struct {
        struct ty_date date;
        bool exists;
    } dates[] = {{{2023, 2, 28}, true},  {{2023, 2, 29}, false}, {{2024, 2, 29}, true},
                 {{2024, 2, 30}, false}, {{1900, 2, 29}, false}, {{2000, 2, 29}, true},
                 {{2023, 4, 31}, false}, {{2023, 13, 1}, false}, {{2023, 0, 1}, false},
                 {{2023, 1, 0}, false},  {{2023, 1, 32}, false}, {{2023, -1, 1}, false},
                 {{0, 1, 1}, false},     {{1, 1, 1}, true},      {{9999, 12, 31}, true},
                 {{10000, 1, 1}, false}, {{2023, 12, -1}, false}};
    static const struct {
        struct ty_iso_week week;
        bool exists;
    } weeks[] = {{{2020, 53}, true},  {{2023, 52}, true},  {{2023, 53}, false}, {{2015, 53}, true},
                 {{2021, 53}, false}, {{2023, 0}, false},  {{2023, 54}, false}, {{0, 1}, false},
                 {{9999, 52}, true},  {{10000, 1}, false}, {{1, 1}, true},      {{2026, 53}, true},
                 {{2023, -1}, false}};

    for (size_t i = 0; i < TY_COUNT_OF(dates); i++)
        cr_assert_eq(ty_date_exists(dates[i].date), dates[i].exists, "date %zu", i);
    for (size_t i = 0; i < TY_COUNT_OF(weeks); i++)
        cr_assert_eq(ty_iso_week_exists(weeks[i].week), weeks[i].exists, "week %zu", i);
}

/* A time just before midnight belongs to the day before, also before 1970. */
Test(calendar, divides_times_towards_the_past)
{
    cr_assert_eq(ty_day_of_ms(-1), -1);
    cr_assert_eq(ty_day_of_ms(0), 0);
    cr_assert_eq(ty_day_of_ms(TY_MS_PER_DAY - 1), 0);
    cr_assert_eq(ty_day_of_ms(-TY_MS_PER_DAY), -1);
    cr_assert_eq(ty_day_of_ms(-TY_MS_PER_DAY - 1), -2);
    cr_assert_eq(ty_hour_of_ms(-1), -1);
    cr_assert_eq(ty_hour_of_ms(TY_MS_PER_HOUR), 1);
    cr_assert_eq(ty_slot_of_ms(-1), -1);
    cr_assert_eq(ty_slot_of_ms(TY_MS_PER_SLOT - 1), 0);
    cr_assert_eq(ty_slot_of_ms(TY_MS_PER_SLOT), 1);
}
