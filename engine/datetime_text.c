#include "engine/datetime_text.h"

#include <string.h>

struct ty_scanner ty_scanner_of(const char *text, size_t length)
{
    /* C allows no arithmetic with NULL, not even the addition of nothing. */
    return (struct ty_scanner){.at = text, .end = length == 0 ? text : text + length};
}

bool ty_scan_digits(struct ty_scanner *scanner, int count, int32_t *value)
{
    int32_t number = 0;

    if (scanner->end - scanner->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        char c = scanner->at[i];

        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    scanner->at += count;
    *value = number;
    return true;
}

bool ty_scan_char(struct ty_scanner *scanner, const char *any)
{
    if (scanner->at == scanner->end || *scanner->at == '\0' || strchr(any, *scanner->at) == NULL)
        return false;
    scanner->at++;
    return true;
}

bool ty_scan_end(const struct ty_scanner *scanner)
{
    return scanner->at == scanner->end;
}

/* The digits after the point; what is finer than a millisecond is cut off. */
static bool scan_fraction(struct ty_scanner *scanner, int64_t *ms)
{
    int64_t scale = 100;
    int32_t digit;
    int count = 0;

    for (*ms = 0; ty_scan_digits(scanner, 1, &digit); count++, scale /= 10)
        *ms += digit * scale;
    return count != 0;
}

static const char *scan_offset(struct ty_scanner *scanner, bool required, int64_t *offset_ms)
{
    bool negative = scanner->at != scanner->end && *scanner->at == '-';
    int32_t hours, minutes;

    *offset_ms = 0;
    if (ty_scan_char(scanner, "Zz"))
        return NULL;
    if (!ty_scan_char(scanner, "+-"))
        return required ? "the zone is missing (Z, or an offset like +02:00)" : NULL;
    if (!ty_scan_digits(scanner, 2, &hours) || !ty_scan_char(scanner, ":") ||
        !ty_scan_digits(scanner, 2, &minutes))
        return "the UTC offset is malformed (it is written like +02:00)";
    if (hours > 23 || minutes > 59)
        return "the UTC offset is out of range (at most 23:59)";
    *offset_ms = (hours * TY_MS_PER_HOUR + minutes * TY_MS_PER_MINUTE) * (negative ? -1 : 1);
    return NULL;
}

/* The second with its fraction. Second 60, a leap second, counts as 59.999. */
static const char *scan_second(struct ty_scanner *scanner, int64_t *ms)
{
    int64_t fraction = 0;
    int32_t second;

    if (!ty_scan_digits(scanner, 2, &second))
        return "the second is malformed (two digits)";
    if (ty_scan_char(scanner, ".") && !scan_fraction(scanner, &fraction))
        return "the fraction of the second has no digits";
    if (second > 60)
        return "the second is out of range (00 to 60)";
    *ms = second == 60 ? 59 * TY_MS_PER_SECOND + 999 : second * TY_MS_PER_SECOND + fraction;
    return NULL;
}

const char *ty_scan_time(struct ty_scanner *scanner, enum ty_time_precision precision, int64_t *ms)
{
    bool all = precision == TY_TIME_FROM_SECOND;
    int32_t hour, minute = 0;
    int64_t second_ms = 0, offset_ms;
    const char *problem = NULL;
    bool has_minute, has_second;

    if (!ty_scan_digits(scanner, 2, &hour))
        return "the hour is malformed (two digits)";
    if (hour > 23)
        return "the hour is out of range (00 to 23)";
    has_minute = ty_scan_char(scanner, ":");
    if (has_minute && !ty_scan_digits(scanner, 2, &minute))
        return "the minute is malformed (two digits)";
    if (minute > 59)
        return "the minute is out of range (00 to 59)";
    has_second = has_minute && ty_scan_char(scanner, ":");
    if (has_second)
        problem = scan_second(scanner, &second_ms);
    if (problem == NULL && all && !has_second)
        return "the time is incomplete (hour, minute and second)";
    if (problem == NULL)
        problem = scan_offset(scanner, all, &offset_ms);
    if (problem != NULL)
        return problem;
    if (!ty_scan_end(scanner))
        return "there is something after the end of the time";
    *ms = hour * TY_MS_PER_HOUR + minute * TY_MS_PER_MINUTE + second_ms - offset_ms;
    return NULL;
}
