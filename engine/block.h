/*
 * block.h: what storage keeps of a series for a day and for a month, decoded.
 *
 * Threads: plain values; the owner's business.
 */
#ifndef TY_ENGINE_BLOCK_H
#define TY_ENGINE_BLOCK_H

#include "engine/calendar.h"
#include "engine/total.h"

/* A UTC day of a series: its used slots and their total. All zero is a day never used. */
struct ty_day_block {
    uint64_t stamp; /* journal sequence up to which it is complete */
    struct ty_total total;
    bool used[TY_SLOTS_PER_DAY]; /* slots with at least one event */
    struct ty_slot_sum slots[TY_SLOTS_PER_DAY];
};

/* A UTC month of a series. */
struct ty_month_block {
    uint64_t stamp;
    struct ty_total total;
};

#endif
