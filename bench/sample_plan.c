#include "bench/sample_plan.h"

#include "engine/calendar.h"

const struct ty_sample_customer ty_sample_customers[] = {
    {"Harbour Logistics", TY_SAMPLE_TIME_UTC, false, 45, 160, 40},
    {"Northwind Insurance", TY_SAMPLE_TIME_OFFSET, false, 8, 115, 120},
    {"Lindqvist Accounting", TY_SAMPLE_TIME_UTC, true, 15, 240, 12},
    {"Medica Clinics", TY_SAMPLE_TIME_MS, false, 60, 90, 0},
    {"Paperless Town Hall", TY_SAMPLE_TIME_UTC, false, 3, 130, 25},
};
const size_t ty_sample_customer_count = TY_COUNT_OF(ty_sample_customers);

/* Prices are in millionths of a credit: 250000 is a quarter. */
const struct ty_sample_workflow ty_sample_workflows[] = {
    {0, "delivery notes", 0, 100, 160, 4, 3, 0, 1000000, 900},
    {0, "customs forms", 0, 100, 45, 1, 8, 1500000, 250000, 1600},
    {0, "driver logs", 0, 58, 60, 1, 2, 100000, 0, 450},
    {0, "freight invoices", 30, 100, 50, 2, 4, 0, 300000, 1100},
    {1, "claims", 0, 100, 75, 3, 12, 2000000, 500000, 2100},
    {1, "medical reports", 0, 100, 30, 1, 20, 0, 750000, 2600},
    {1, "policy changes", 0, 100, 35, 1, 3, 250000, 0, 700},
    {1, "old claims archive", 5, 35, 150, 20, 6, 0, 50000, 400},
    {2, "incoming invoices", 0, 100, 85, 1, 4, 0, 1000000, 1200},
    {2, "receipts", 0, 100, 120, 1, 1, 100000, 0, 380},
    {2, "bank statements", 20, 100, 25, 1, 15, 0, 125000, 600},
    {3, "admission forms", 0, 100, 55, 1, 5, 0, 400000, 950},
    {3, "lab results", 0, 100, 90, 1, 2, 150000, 15, 300},
    {3, "letters", 0, 80, 30, 1, 4, 0, 333333, 800},
    {3, "summaries by language model", 55, 100, 40, 1, 10, 125, 42, 3900},
    {4, "building applications", 0, 100, 12, 5, 40, 5000000, 200000, 1900},
    {4, "parking permits", 0, 100, 40, 1, 2, 500000, 0, 650},
    {4, "mail room", 10, 72, 70, 8, 5, 0, 100000, 500},
};
const size_t ty_sample_workflow_count = TY_COUNT_OF(ty_sample_workflows);

/* Percent of the mean hour, by hour of the day in UTC. */
static const int32_t hour_percents[TY_HOURS_PER_DAY] = {
    12,  8,   6,   6,   10,  28, 80, 165, 235, 250, 240, 205,
    175, 200, 215, 190, 140, 90, 58, 38,  28,  22,  16,  13,
};

/* Percent of a usual day, for days on which less (or more) work is done. */
static int32_t date_percent(struct ty_date date)
{
    if ((date.month == 12 && date.day >= 23) || (date.month == 1 && date.day == 1))
        return 25;
    if (date.month == 8 && date.day <= 21)
        return 70;
    if ((date.month == 5 && date.day == 1) || (date.month == 10 && date.day == 3))
        return 20;
    return date.day <= 3 ? 145 : 100;
}

/* Day 0, 1970-01-01, was a Thursday; Monday is weekday 0. */
static bool is_weekend(int32_t day)
{
    return (day + 3) % TY_DAYS_PER_WEEK >= 5;
}

int64_t ty_sample_rate(const struct ty_sample_workflow *workflow, int64_t hour_ms, int64_t start_ms,
                       int64_t end_ms)
{
    const struct ty_sample_customer *customer = &ty_sample_customers[workflow->customer];
    int32_t day = ty_day_of_ms(hour_ms);
    int64_t hour = ty_hour_of_ms(hour_ms) - (int64_t)day * TY_HOURS_PER_DAY;
    int64_t percent = (hour_ms - start_ms) * 100 / (end_ms - start_ms);
    int64_t rate = (int64_t)workflow->events_per_day * 1000 / TY_HOURS_PER_DAY;

    if (percent < workflow->from_percent || percent >= workflow->until_percent)
        return 0;
    rate = rate * hour_percents[hour] / 100;
    rate = rate * date_percent(ty_date_of_day(day)) / 100;
    rate = rate * (100 + (customer->growth_percent - 100) * percent / 100) / 100;
    return is_weekend(day) ? rate * customer->weekend_percent / 100 : rate;
}
