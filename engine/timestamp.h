/*
 * timestamp.h: RFC 3339 date-times to milliseconds since the Unix epoch.
 *
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_TIMESTAMP_H
#define TY_ENGINE_TIMESTAMP_H

#include "engine/base.h"

#define TY_TIMESTAMP_TEXT_BYTES 25 /* 2023-01-31T13:45:00.123Z and a zero byte */

/* The first and the last millisecond that RFC 3339 can write in UTC: years 1 to 9999. */
#define TY_TIMESTAMP_MS_MIN INT64_C(-62135596800000)
#define TY_TIMESTAMP_MS_MAX INT64_C(253402300799999)

/*
 * ty_timestamp_parse reads an RFC 3339 date-time with its zone ("2023-01-31T13:45:00.5+02:00").
 *
 * 'T' and 'Z' may be lower case and a space may stand for the 'T' (RFC 3339, section 5.6). Any
 * number of fractional digits is taken; what is finer than a millisecond is truncated towards
 * the past. Second 60 counts as 59.999 of its minute, whatever the fraction. The offset is at
 * most 23:59; -00:00 is UTC. Years are 1 to 9999 as written.
 *
 * Returns NULL and fills *ms, or returns a constant sentence that says what is wrong (fit for a
 * client: "the day does not exist in that month"), with *ms untouched.
 */
const char *ty_timestamp_parse(const char *text, size_t length, int64_t *ms);

/* ty_timestamp_format writes ms as "2023-01-31T13:45:00.123Z", ended by a zero byte. The year has
 * to be 0 to 9999. */
void ty_timestamp_format(int64_t ms, char text[TY_TIMESTAMP_TEXT_BYTES]);

#endif
