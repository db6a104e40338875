/*
 * range.h: a checked range of periods, from text as the API takes it.
 *
 * Threads: pure functions.
 */
#ifndef TY_QUERY_RANGE_H
#define TY_QUERY_RANGE_H

#include "engine/base.h"
#include "tally.h"

/* Periods `first` to `last` of a frequency (period.h), both inclusive. */
struct ty_range {
    tally_frequency frequency;
    int64_t first;
    int64_t last;
};

/* Which of the inputs is wrong, for a client that must be told. */
struct ty_range_problem {
    const char *parameter; /* "start" or "end" */
    char message[200];
};

/*
 * ty_range_parse reads the two ends. `end` NULL data means absent: the period that holds now_ms.
 * Both may have more precision than a period (see ty_period_parse). False, with *problem filled:
 * malformed, or the end (given or not) is before the start.
 */
bool ty_range_parse(tally_frequency frequency, struct ty_text start, struct ty_text end,
                    int64_t now_ms, struct ty_range *range, struct ty_range_problem *problem);

/* How many periods: at least 1. */
int64_t ty_range_count(const struct ty_range *range);

#endif
