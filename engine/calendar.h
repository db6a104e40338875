/*
 * calendar.h: days, months and ISO weeks of the proleptic Gregorian calendar, in UTC.
 *
 * Everything counts from 1970-01-01 and is pure integer arithmetic. A "day" is the number of days
 * since then, a "month" the number of months since January 1970, a "week" the number of ISO weeks
 * since the one that holds 1970-01-01 (which began on Monday 1969-12-29). Good for the years 1 to
 * 9999. Threads: pure functions.
 */
#ifndef TY_ENGINE_CALENDAR_H
#define TY_ENGINE_CALENDAR_H

#include "engine/base.h"

#define TY_MS_PER_SECOND  INT64_C(1000)
#define TY_MS_PER_MINUTE  (60 * TY_MS_PER_SECOND)
#define TY_MS_PER_SLOT    (15 * TY_MS_PER_MINUTE)
#define TY_MS_PER_HOUR    (60 * TY_MS_PER_MINUTE)
#define TY_MS_PER_DAY     (24 * TY_MS_PER_HOUR)
#define TY_SLOTS_PER_HOUR 4
#define TY_SLOTS_PER_DAY  96
#define TY_HOURS_PER_DAY  24
#define TY_DAYS_PER_WEEK  7

/* A date as people write it: year 1..9999, month 1..12, day 1..31. */
struct ty_date {
    int32_t year;
    int32_t month;
    int32_t day;
};

/* An ISO 8601 week: the ISO year (not always the calendar year) and the week 1..53 in it. */
struct ty_iso_week {
    int32_t year;
    int32_t week;
};

/* Days in a month of a year: 28..31. `month` is 1..12. */
int32_t ty_days_in_month(int32_t year, int32_t month);

/* Whether the date exists: year 1..9999, month and day in range, leap years respected. */
bool ty_date_exists(struct ty_date date);

/* The day number of a date that exists. */
int32_t ty_day_of_date(struct ty_date date);

/* The date of a day number. */
struct ty_date ty_date_of_day(int32_t day);

/* The month number that holds a day, and the first day of a month, as a date too. Months may be
 * negative. */
int32_t ty_month_of_day(int32_t day);
int32_t ty_first_day_of_month(int32_t month);
struct ty_date ty_date_of_month(int32_t month);

/* The week number that holds a day, and the Monday of a week. Weeks may be negative. */
int32_t ty_week_of_day(int32_t day);
int32_t ty_first_day_of_week(int32_t week);

/* ISO year and week of a week number, and back. The week must exist (ty_iso_week_exists). */
struct ty_iso_week ty_iso_week_of_week(int32_t week);
int32_t ty_week_of_iso_week(struct ty_iso_week iso_week);

/* Whether an ISO year (1..9999) has that week: 1..52 always, 53 in long years only. */
bool ty_iso_week_exists(struct ty_iso_week iso_week);

/* Floor division of milliseconds since the epoch, right for times before 1970 too. */
int32_t ty_day_of_ms(int64_t ms);
int64_t ty_hour_of_ms(int64_t ms);
int64_t ty_slot_of_ms(int64_t ms);

#endif
