/*
 * total.h: sums of events: one slot's in 64 bits, checked, and those of many slots in 128 bits.
 *
 * Threads: plain values; the owner's business.
 */
#ifndef TY_ENGINE_TOTAL_H
#define TY_ENGINE_TOTAL_H

#include "engine/event.h"

/* What one series used in one slot of 15 minutes. */
struct ty_slot_sum {
    uint64_t events;
    int64_t credits; /* micros */
    uint64_t documents;
    uint64_t pages;
    uint64_t processing_ms;
};

/* What a day, a month or any range holds. 2^64 slots cannot overflow it. */
struct ty_total {
    uint64_t events;
    ty_int128 credits; /* micros */
    ty_int128 documents;
    ty_int128 pages;
    ty_int128 processing_ms;
};

/* ty_slot_sum_add counts an event; false, with *sum untouched, when a sum would overflow. */
bool ty_slot_sum_add(struct ty_slot_sum *sum, const struct ty_event *event);

/* ty_slot_sum_subtract takes an event that was counted out again; false, with *sum untouched, when
 * no sum of events can have it in it, or what is left does not fit. */
bool ty_slot_sum_subtract(struct ty_slot_sum *sum, const struct ty_event *event);

/* ty_total_add_slot adds a slot's sums; ty_total_replace_slot takes `old` out as well. */
void ty_total_add_slot(struct ty_total *total, const struct ty_slot_sum *sum);
void ty_total_replace_slot(struct ty_total *total, const struct ty_slot_sum *old,
                           const struct ty_slot_sum *sum);

void ty_total_add(struct ty_total *total, const struct ty_total *other);
bool ty_total_equal(const struct ty_total *a, const struct ty_total *b);

/* Both as words for a cell (cell.h), and back. */
#define TY_SLOT_SUM_WORDS 5
#define TY_TOTAL_WORDS    9
void ty_slot_sum_to_words(const struct ty_slot_sum *sum, uint64_t words[TY_SLOT_SUM_WORDS]);
void ty_slot_sum_from_words(struct ty_slot_sum *sum, const uint64_t words[TY_SLOT_SUM_WORDS]);
void ty_total_to_words(const struct ty_total *total, uint64_t words[TY_TOTAL_WORDS]);
void ty_total_from_words(struct ty_total *total, const uint64_t words[TY_TOTAL_WORDS]);

#endif
