#include "engine/period.h"

#include <string.h>

#include "engine/datetime_text.h"
#include "engine/digits.h"
#include "engine/timestamp.h"

#define OUT_OF_RANGE "the year is out of range (1970 to 9999)"

static const struct {
    const char *name;
    const char *form;
} frequencies[] = {
    [TALLY_MONTHLY] = {"monthly", "YYYY-MM"},
    [TALLY_WEEKLY] = {"weekly", "YYYY-Www (an ISO week)"},
    [TALLY_DAILY] = {"daily", "YYYY-MM-DD"},
    [TALLY_HOURLY] = {"hourly", "YYYY-MM-DDThhZ"},
};

bool ty_frequency_parse(const char *text, size_t length, tally_frequency *frequency)
{
    for (size_t i = 0; i < TY_COUNT_OF(frequencies); i++)
        if (strlen(frequencies[i].name) == length &&
            memcmp(frequencies[i].name, text, length) == 0) {
            *frequency = (tally_frequency)i;
            return true;
        }
    return false;
}

const char *ty_frequency_name(tally_frequency frequency)
{
    return frequencies[frequency].name;
}

const char *ty_frequency_form(tally_frequency frequency)
{
    return frequencies[frequency].form;
}

/* What a text turned out to be: how precise, and where in time. */
struct parsed {
    enum { MONTH, WEEK, DAY, HOUR } precision;
    int32_t month; /* of MONTH */
    int32_t week;  /* of WEEK */
    int64_t ms;    /* of DAY and HOUR */
};

static const char *parse_week(struct ty_scanner *scanner, int32_t year, struct parsed *parsed)
{
    struct ty_iso_week iso = {.year = year};
    int32_t weekday;

    if (!ty_scan_digits(scanner, 2, &iso.week))
        return "the week is malformed (W and two digits)";
    if (!ty_iso_week_exists(iso))
        return "that ISO year has no such week";
    if (ty_scan_char(scanner, "-") &&
        (!ty_scan_digits(scanner, 1, &weekday) || weekday < 1 || weekday > 7))
        return "the day of the week is out of range (1 to 7)";
    if (!ty_scan_end(scanner))
        return "there is something after the end of the week";
    parsed->precision = WEEK;
    parsed->week = ty_week_of_iso_week(iso);
    return NULL;
}

static const char *parse_day(struct ty_scanner *scanner, struct ty_date date, struct parsed *parsed)
{
    int64_t time_ms = 0;
    const char *problem = NULL;

    if (!ty_scan_digits(scanner, 2, &date.day))
        return "the day is malformed (two digits)";
    if (!ty_date_exists(date))
        return "the day does not exist in that month";
    parsed->precision = DAY;
    if (!ty_scan_end(scanner)) {
        if (!ty_scan_char(scanner, "Tt "))
            return "there is something after the end of the date";
        problem = ty_scan_time(scanner, TY_TIME_FROM_HOUR, &time_ms);
        parsed->precision = HOUR;
    }
    parsed->ms = ty_day_of_date(date) * TY_MS_PER_DAY + time_ms;
    return problem;
}

static const char *parse(const char *text, size_t length, struct parsed *parsed)
{
    struct ty_scanner scanner = ty_scanner_of(text, length);
    struct ty_date date = {.day = 1};

    if (!ty_scan_digits(&scanner, 4, &date.year) || !ty_scan_char(&scanner, "-"))
        return "not a date";
    if (date.year < 1)
        return OUT_OF_RANGE;
    if (ty_scan_char(&scanner, "Ww"))
        return parse_week(&scanner, date.year, parsed);
    if (!ty_scan_digits(&scanner, 2, &date.month))
        return "the month is malformed (two digits)";
    if (!ty_date_exists(date))
        return "the month is out of range (01 to 12)";
    if (ty_scan_char(&scanner, "-"))
        return parse_day(&scanner, date, parsed);
    if (!ty_scan_end(&scanner))
        return "there is something after the end of the month";
    parsed->precision = MONTH;
    parsed->month = ty_month_of_day(ty_day_of_date(date));
    return NULL;
}

/* A text of some precision as a period of a frequency, or why it is none. */
static const char *truncate(tally_frequency frequency, const struct parsed *parsed, int64_t *period)
{
    if (parsed->precision == WEEK) {
        *period = parsed->week;
        return frequency == TALLY_WEEKLY ? NULL : "an ISO week stands for weekly periods only";
    }
    if (parsed->precision == MONTH) {
        *period = parsed->month;
        return frequency == TALLY_MONTHLY ? NULL : "a month is not precise enough";
    }
    if (parsed->precision == DAY && frequency == TALLY_HOURLY)
        return "a date is not precise enough";
    *period = ty_period_of_ms(frequency, parsed->ms);
    return NULL;
}

const char *ty_period_parse(tally_frequency frequency, const char *text, size_t length,
                            int64_t *period)
{
    struct parsed parsed;
    int64_t result = 0;
    const char *problem = parse(text, length, &parsed);

    if (problem == NULL)
        problem = truncate(frequency, &parsed, &result);
    if (problem != NULL)
        return problem;
    if (ty_period_start_ms(frequency, result) < 0 &&
        !(frequency == TALLY_WEEKLY && result == 0)) /* week 0 began in 1969 */
        return OUT_OF_RANGE;
    if (result > ty_period_of_ms(frequency, TY_TIMESTAMP_MS_MAX))
        return OUT_OF_RANGE;
    *period = result;
    return NULL;
}

static char *put_month(char *at, struct ty_date date)
{
    at = ty_put_digits(at, (unsigned)date.year, 4);
    *at++ = '-';
    return ty_put_digits(at, (unsigned)date.month, 2);
}

static char *put_week(char *at, struct ty_iso_week iso)
{
    at = ty_put_digits(at, (unsigned)iso.year, 4);
    *at++ = '-';
    *at++ = 'W';
    return ty_put_digits(at, (unsigned)iso.week, 2);
}

static char *put_day(char *at, int32_t day)
{
    struct ty_date date = ty_date_of_day(day);

    at = put_month(at, date);
    *at++ = '-';
    return ty_put_digits(at, (unsigned)date.day, 2);
}

static char *put_hour(char *at, int64_t hour)
{
    int32_t day = ty_day_of_ms(hour * TY_MS_PER_HOUR);

    at = put_day(at, day);
    *at++ = 'T';
    at = ty_put_digits(at, (unsigned)(hour - day * INT64_C(24)), 2);
    *at++ = 'Z';
    return at;
}

static char *put_period(char *at, tally_frequency frequency, int64_t period)
{
    switch (frequency) {
    case TALLY_MONTHLY:
        return put_month(at, ty_date_of_month((int32_t)period));
    case TALLY_WEEKLY:
        return put_week(at, ty_iso_week_of_week((int32_t)period));
    case TALLY_DAILY:
        return put_day(at, (int32_t)period);
    default:
        return put_hour(at, period);
    }
}

size_t ty_period_format(tally_frequency frequency, int64_t period, char text[TY_PERIOD_TEXT_BYTES])
{
    char *end = put_period(text, frequency, period);

    *end = '\0';
    return (size_t)(end - text);
}

int64_t ty_period_of_ms(tally_frequency frequency, int64_t ms)
{
    switch (frequency) {
    case TALLY_MONTHLY:
        return ty_month_of_day(ty_day_of_ms(ms));
    case TALLY_WEEKLY:
        return ty_week_of_day(ty_day_of_ms(ms));
    case TALLY_DAILY:
        return ty_day_of_ms(ms);
    default:
        return ty_hour_of_ms(ms);
    }
}

int64_t ty_period_start_ms(tally_frequency frequency, int64_t period)
{
    switch (frequency) {
    case TALLY_MONTHLY:
        return ty_first_day_of_month((int32_t)period) * TY_MS_PER_DAY;
    case TALLY_WEEKLY:
        return ty_first_day_of_week((int32_t)period) * TY_MS_PER_DAY;
    case TALLY_DAILY:
        return period * TY_MS_PER_DAY;
    default:
        return period * TY_MS_PER_HOUR;
    }
}
