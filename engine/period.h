/*
 * period.h: the months, ISO weeks, days and hours that rollups are made of.
 *
 * A period is a number that counts periods of its frequency from the one that holds
 * 1970-01-01T00:00Z (see calendar.h). Its text forms are those of the HTTP API:
 * monthly "2023-01", weekly "2023-W05", daily "2023-01-31", hourly "2023-01-31T13Z".
 *
 * Threads: pure functions.
 */
#ifndef TY_ENGINE_PERIOD_H
#define TY_ENGINE_PERIOD_H

#include "engine/base.h"
#include "tally.h"

#define TY_PERIOD_TEXT_BYTES 16 /* "2023-01-31T13Z" and a zero byte, rounded up */

/* "monthly", "weekly", "daily", "hourly"; false, with *frequency untouched, for other text. */
bool ty_frequency_parse(const char *text, size_t length, tally_frequency *frequency);
const char *ty_frequency_name(tally_frequency frequency);

/* The form that periods of the frequency are written in: "YYYY-MM", "YYYY-Www", ... */
const char *ty_frequency_form(tally_frequency frequency);

/*
 * ty_period_parse reads a period as the HTTP API takes it in `start` and `end`.
 *
 * More precision than the frequency needs is checked and then discarded: a full date, or a
 * date-time as in RFC 3339 whose minutes, seconds, fraction and zone may each be missing, is
 * truncated to the period that holds it, after its UTC offset is applied (no zone means UTC).
 * "2023-01-31T13" and "2023-01-31T13Z" are hours. A full date on weekly is the ISO week that
 * holds it; an ISO week "2023-W05" is taken on weekly only (a week day "2023-W05-3" too, and
 * discarded). Second 60 is taken. Less precision than the period is an error, and so is a date
 * that does not exist (2023-02-30, 2023-W53) even where the wrong part would be discarded.
 * Years are 1970 to 9999 after truncation.
 *
 * Returns NULL and fills *period, or returns a constant sentence that says what is wrong, fit
 * for a client, with *period untouched.
 */
const char *ty_period_parse(tally_frequency frequency, const char *text, size_t length,
                            int64_t *period);

/* ty_period_format writes the canonical form, ended by a zero byte; returns its length. */
size_t ty_period_format(tally_frequency frequency, int64_t period, char text[TY_PERIOD_TEXT_BYTES]);

/* The period that holds a time, and the first millisecond of a period. */
int64_t ty_period_of_ms(tally_frequency frequency, int64_t ms);
int64_t ty_period_start_ms(tally_frequency frequency, int64_t period);

#endif
