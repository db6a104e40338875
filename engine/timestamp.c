#include "engine/timestamp.h"

#include <string.h>

#include "engine/datetime_text.h"
#include "engine/digits.h"

const char *ty_timestamp_parse(const char *text, size_t length, int64_t *ms)
{
    struct ty_scanner scanner = ty_scanner_of(text, length);
    struct ty_date date;
    int64_t time_ms;
    const char *problem;

    if (!ty_scan_digits(&scanner, 4, &date.year) || !ty_scan_char(&scanner, "-") ||
        !ty_scan_digits(&scanner, 2, &date.month) || !ty_scan_char(&scanner, "-") ||
        !ty_scan_digits(&scanner, 2, &date.day))
        return "not an RFC 3339 date-time (like 2023-01-31T13:45:00Z)";
    if (date.year < 1)
        return "the year is out of range (0001 to 9999)";
    if (date.month < 1 || date.month > 12)
        return "the month is out of range (01 to 12)";
    if (!ty_date_exists(date))
        return "the day does not exist in that month";
    if (!ty_scan_char(&scanner, "Tt "))
        return "the time of day is missing (after a T)";
    problem = ty_scan_time(&scanner, TY_TIME_FROM_SECOND, &time_ms);
    if (problem != NULL)
        return problem;
    *ms = ty_day_of_date(date) * TY_MS_PER_DAY + time_ms;
    return NULL;
}

void ty_timestamp_format(int64_t ms, char text[TY_TIMESTAMP_TEXT_BYTES])
{
    static const char form[TY_TIMESTAMP_TEXT_BYTES] = "0000-00-00T00:00:00.000Z";
    int32_t day = ty_day_of_ms(ms);
    struct ty_date date = ty_date_of_day(day);
    unsigned rest = (unsigned)(ms - day * TY_MS_PER_DAY);

    TY_ASSERT(date.year >= 0 && date.year <= 9999);
    memcpy(text, form, sizeof(form));
    ty_put_digits(text, (unsigned)date.year, 4);
    ty_put_digits(text + 5, (unsigned)date.month, 2);
    ty_put_digits(text + 8, (unsigned)date.day, 2);
    ty_put_digits(text + 11, rest / 3600000, 2);
    ty_put_digits(text + 14, rest / 60000 % 60, 2);
    ty_put_digits(text + 17, rest / 1000 % 60, 2);
    ty_put_digits(text + 20, rest % 1000, 3);
}
