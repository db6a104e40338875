/*
 * datetime_text.h: the pieces of ISO 8601 text that timestamps and periods have in common.
 *
 * A scanner moves over borrowed text; a piece that is not there leaves it where it was.
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_DATETIME_TEXT_H
#define TY_ENGINE_DATETIME_TEXT_H

#include "engine/base.h"
#include "engine/calendar.h"

struct ty_scanner {
    const char *at;
    const char *end;
};

/* ty_scanner_of stands at the start of text; of empty text the address may be NULL. */
struct ty_scanner ty_scanner_of(const char *text, size_t length);

/* Takes exactly `count` digits as a number. */
bool ty_scan_digits(struct ty_scanner *scanner, int count, int32_t *value);

/* Takes one of the characters of `any`. */
bool ty_scan_char(struct ty_scanner *scanner, const char *any);

bool ty_scan_end(const struct ty_scanner *scanner);

/* How much of a time of day has to be there. */
enum ty_time_precision { TY_TIME_FROM_HOUR, TY_TIME_FROM_SECOND };

/*
 * ty_scan_time reads what follows the 'T' of a date-time up to the text's end: hour, minute,
 * second, fraction and zone ("Z", "+02:00"); with TY_TIME_FROM_HOUR what follows the hour may be
 * missing, and the zone too (then UTC). *ms is the time of day in UTC, in milliseconds: negative or
 * beyond a day where the offset leads there. Returns NULL, or a constant sentence that says what is
 * wrong.
 */
const char *ty_scan_time(struct ty_scanner *scanner, enum ty_time_precision precision, int64_t *ms);

#endif
