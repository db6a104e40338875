#include "engine/calendar.h"

/*
 * Days are counted from March 1 of year 0, so that the leap day ends a year and months fall into a
 * rhythm of 153 days in five; a cycle of 400 years has 146,097 days. The idea is in E. G.
 * Richards, "Mapping Time" (1998), chapter 25, and in H. Hinnant's paper on date algorithms.
 */
#define DAYS_PER_CYCLE   146097
#define YEARS_PER_CYCLE  400
#define EPOCH_FROM_MARCH 719468 /* days from 0000-03-01 to 1970-01-01 */
#define EPOCH_YEAR       1970
#define MONTHS_PER_YEAR  12
/* 1970-01-01 was a Thursday, three days after its week's Monday. */
#define EPOCH_WEEKDAY 3

static int64_t floor_div(int64_t value, int64_t divisor)
{
    int64_t quotient = value / divisor;

    return quotient - (value % divisor < 0);
}

static bool is_leap_year(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int32_t ty_days_in_month(int32_t year, int32_t month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    TY_ASSERT(month >= 1 && month <= MONTHS_PER_YEAR);
    return days[month - 1] + (month == 2 && is_leap_year(year));
}

bool ty_date_exists(struct ty_date date)
{
    return date.year >= 1 && date.year <= 9999 && date.month >= 1 &&
           date.month <= MONTHS_PER_YEAR && date.day >= 1 &&
           date.day <= ty_days_in_month(date.year, date.month);
}

int32_t ty_day_of_date(struct ty_date date)
{
    int32_t year = date.year - (date.month <= 2); /* of the year that began in March */
    int32_t cycle = (int32_t)floor_div(year, YEARS_PER_CYCLE);
    int32_t year_of_cycle = year - cycle * YEARS_PER_CYCLE;
    int32_t month = (date.month + 9) % MONTHS_PER_YEAR; /* March is 0 */
    int32_t day_of_year = (153 * month + 2) / 5 + date.day - 1;
    int32_t day_of_cycle =
        year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;

    return cycle * DAYS_PER_CYCLE + day_of_cycle - EPOCH_FROM_MARCH;
}

struct ty_date ty_date_of_day(int32_t day)
{
    int64_t days = (int64_t)day + EPOCH_FROM_MARCH;
    int32_t cycle = (int32_t)floor_div(days, DAYS_PER_CYCLE);
    int32_t day_of_cycle = (int32_t)(days - (int64_t)cycle * DAYS_PER_CYCLE);
    /* A year is 365 days but for the leap days passed: every 1,461 days one, but not the last of
     * a century's 36,524, and again the last of the cycle's. */
    int32_t year_of_cycle = (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36524 -
                             day_of_cycle / (DAYS_PER_CYCLE - 1)) /
                            365;
    int32_t day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    int32_t month = (5 * day_of_year + 2) / 153;
    struct ty_date date = {.month = month < 10 ? month + 3 : month - 9,
                           .day = day_of_year - (153 * month + 2) / 5 + 1};

    date.year = cycle * YEARS_PER_CYCLE + year_of_cycle + (date.month <= 2);
    return date;
}

int32_t ty_month_of_day(int32_t day)
{
    struct ty_date date = ty_date_of_day(day);

    return (date.year - EPOCH_YEAR) * MONTHS_PER_YEAR + date.month - 1;
}

struct ty_date ty_date_of_month(int32_t month)
{
    int32_t years = (int32_t)floor_div(month, MONTHS_PER_YEAR);

    return (struct ty_date){
        .year = EPOCH_YEAR + years, .month = month - years * MONTHS_PER_YEAR + 1, .day = 1};
}

int32_t ty_first_day_of_month(int32_t month)
{
    return ty_day_of_date(ty_date_of_month(month));
}

int32_t ty_week_of_day(int32_t day)
{
    return (int32_t)floor_div((int64_t)day + EPOCH_WEEKDAY, TY_DAYS_PER_WEEK);
}

int32_t ty_first_day_of_week(int32_t week)
{
    return week * TY_DAYS_PER_WEEK - EPOCH_WEEKDAY;
}

/* The week that holds January 4 is week 1 of its year (ISO 8601). */
static int32_t first_week_of_year(int32_t year)
{
    return ty_week_of_day(ty_day_of_date((struct ty_date){.year = year, .month = 1, .day = 4}));
}

struct ty_iso_week ty_iso_week_of_week(int32_t week)
{
    /* A week belongs to the year that its Thursday lies in. */
    int32_t year = ty_date_of_day(ty_first_day_of_week(week) + 3).year;

    return (struct ty_iso_week){.year = year, .week = week - first_week_of_year(year) + 1};
}

int32_t ty_week_of_iso_week(struct ty_iso_week iso_week)
{
    return first_week_of_year(iso_week.year) + iso_week.week - 1;
}

bool ty_iso_week_exists(struct ty_iso_week iso_week)
{
    if (iso_week.year < 1 || iso_week.year > 9999 || iso_week.week < 1)
        return false;
    return iso_week.week <=
           first_week_of_year(iso_week.year + 1) - first_week_of_year(iso_week.year);
}

int32_t ty_day_of_ms(int64_t ms)
{
    return (int32_t)floor_div(ms, TY_MS_PER_DAY);
}

int64_t ty_hour_of_ms(int64_t ms)
{
    return floor_div(ms, TY_MS_PER_HOUR);
}

int64_t ty_slot_of_ms(int64_t ms)
{
    return floor_div(ms, TY_MS_PER_SLOT);
}
