/*
 * verify_days.h: what the journal has of each day of each series, to compare days with.
 *
 * Threads: one owner.
 */
#ifndef TY_QUERY_VERIFY_DAYS_H
#define TY_QUERY_VERIFY_DAYS_H

#include "engine/block.h"

/* A day, summed from the journal up to the stamp of its stored month. Sums wrap at 64 bits, which
 * equality does not mind. */
struct ty_verify_day {
    uint32_t series;
    int32_t day;
    uint64_t stamp;  /* of the month */
    uint64_t events; /* up to that */
    uint64_t documents;
    uint64_t pages;
    uint64_t processing_ms;
    uint64_t credits;
    uint64_t slots; /* a sum over everything in which the slots have different weights */
    bool unsure;    /* its month cannot be read */
    bool reported;  /* something of it is known to be wrong */
    bool stored;    /* there is such a day */
    bool used;      /* this place of the table is taken */
};

struct ty_verify_days {
    struct ty_verify_day *table; /* open addressing; a power of two of places */
    size_t capacity;
    size_t count;
    size_t count_max;
};

void ty_verify_days_init(struct ty_verify_days *days, uint64_t memory_bytes);
void ty_verify_days_fini(struct ty_verify_days *days);

/* ty_verify_days_find returns a day, or NULL. */
struct ty_verify_day *ty_verify_days_find(const struct ty_verify_days *days, uint32_t series,
                                          int32_t day);
/* ty_verify_days_add adds a day that is not there; NULL: the memory is used up. */
struct ty_verify_day *ty_verify_days_add(struct ty_verify_days *days, uint32_t series, int32_t day);

/* ty_verify_day_count adds an event of one of the day's slots; ty_verify_day_void takes one out. */
void ty_verify_day_count(struct ty_verify_day *day, unsigned slot, const struct ty_event *event);
void ty_verify_day_void(struct ty_verify_day *day, unsigned slot, const struct ty_event *event);

/* Whether a stored day is exactly what was summed; whether it is not less. */
bool ty_verify_day_equals(const struct ty_verify_day *day, const struct ty_day_block *block);
bool ty_verify_day_fits(const struct ty_verify_day *day, const struct ty_day_block *block);

#endif
