#include "query/verify_days.h"

#include <stdlib.h>
#include <string.h>

#define PLACES_MIN 1024

void ty_verify_days_init(struct ty_verify_days *days, uint64_t memory_bytes)
{
    /* While it grows, the table is there one and a half times, and it is at least half empty. */
    *days = (struct ty_verify_days){
        .count_max = (size_t)(memory_bytes / (3 * sizeof(struct ty_verify_day)))};
}

void ty_verify_days_fini(struct ty_verify_days *days)
{
    free(days->table);
    *days = (struct ty_verify_days){0};
}

static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static struct ty_verify_day *place_of(const struct ty_verify_days *days, uint32_t series,
                                      int32_t day)
{
    size_t i = (size_t)mix((uint64_t)series << 32 | (uint32_t)day) & (days->capacity - 1);

    while (days->table[i].used && (days->table[i].series != series || days->table[i].day != day))
        i = (i + 1) & (days->capacity - 1);
    return &days->table[i];
}

struct ty_verify_day *ty_verify_days_find(const struct ty_verify_days *days, uint32_t series,
                                          int32_t day)
{
    struct ty_verify_day *place = days->capacity == 0 ? NULL : place_of(days, series, day);

    return place != NULL && place->used ? place : NULL;
}

static bool grow(struct ty_verify_days *days)
{
    struct ty_verify_days larger = *days;

    larger.capacity = days->capacity == 0 ? PLACES_MIN : 2 * days->capacity;
    larger.table = calloc(larger.capacity, sizeof(*larger.table));
    if (larger.table == NULL)
        return false;
    for (size_t i = 0; i < days->capacity; i++)
        if (days->table[i].used)
            *place_of(&larger, days->table[i].series, days->table[i].day) = days->table[i];
    free(days->table);
    *days = larger;
    return true;
}

struct ty_verify_day *ty_verify_days_add(struct ty_verify_days *days, uint32_t series, int32_t day)
{
    struct ty_verify_day *place;

    if (days->count >= days->count_max || (2 * days->count >= days->capacity && !grow(days)))
        return NULL;
    place = place_of(days, series, day);
    *place = (struct ty_verify_day){.series = series, .day = day, .used = true};
    days->count++;
    return place;
}

/* Differs from slot to slot and from measure to measure. */
static uint64_t weight(unsigned slot, unsigned measure)
{
    return mix(slot * 8u + measure + 1) | 1;
}

static uint64_t weigh(unsigned slot, const struct ty_slot_sum *sum)
{
    return sum->events * weight(slot, 0) + (uint64_t)sum->credits * weight(slot, 1) +
           sum->documents * weight(slot, 2) + sum->pages * weight(slot, 3) +
           sum->processing_ms * weight(slot, 4);
}

static struct ty_slot_sum sum_of(const struct ty_event *event)
{
    return (struct ty_slot_sum){.events = 1,
                                .credits = event->credits,
                                .documents = event->documents,
                                .pages = event->pages,
                                .processing_ms = event->processing_ms};
}

void ty_verify_day_count(struct ty_verify_day *day, unsigned slot, const struct ty_event *event)
{
    const struct ty_slot_sum sum = sum_of(event);

    day->events++;
    day->credits += (uint64_t)event->credits;
    day->documents += event->documents;
    day->pages += event->pages;
    day->processing_ms += event->processing_ms;
    day->slots += weigh(slot, &sum);
}

void ty_verify_day_void(struct ty_verify_day *day, unsigned slot, const struct ty_event *event)
{
    const struct ty_slot_sum sum = sum_of(event);

    day->events--;
    day->credits -= (uint64_t)event->credits;
    day->documents -= event->documents;
    day->pages -= event->pages;
    day->processing_ms -= event->processing_ms;
    day->slots -= weigh(slot, &sum);
}

bool ty_verify_day_equals(const struct ty_verify_day *day, const struct ty_day_block *block)
{
    uint64_t slots = 0;

    for (unsigned i = 0; i < TY_SLOTS_PER_DAY; i++)
        slots += weigh(i, &block->slots[i]);
    return day->events == block->total.events && day->slots == slots &&
           day->credits == (uint64_t)block->total.credits &&
           day->documents == (uint64_t)block->total.documents &&
           day->pages == (uint64_t)block->total.pages &&
           day->processing_ms == (uint64_t)block->total.processing_ms;
}

bool ty_verify_day_fits(const struct ty_verify_day *day, const struct ty_day_block *block)
{
    return block->total.events >= day->events &&
           block->total.documents >= (ty_int128)day->documents &&
           block->total.pages >= (ty_int128)day->pages &&
           block->total.processing_ms >= (ty_int128)day->processing_ms;
}
