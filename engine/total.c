#include "engine/total.h"

bool ty_slot_sum_add(struct ty_slot_sum *sum, const struct ty_event *event)
{
    struct ty_slot_sum next;

    if (__builtin_add_overflow(sum->events, 1, &next.events) ||
        __builtin_add_overflow(sum->credits, event->credits, &next.credits) ||
        __builtin_add_overflow(sum->documents, event->documents, &next.documents) ||
        __builtin_add_overflow(sum->pages, event->pages, &next.pages) ||
        __builtin_add_overflow(sum->processing_ms, event->processing_ms, &next.processing_ms))
        return false;
    *sum = next;
    return true;
}

bool ty_slot_sum_subtract(struct ty_slot_sum *sum, const struct ty_event *event)
{
    struct ty_slot_sum next;

    if (__builtin_sub_overflow(sum->events, 1, &next.events) ||
        __builtin_sub_overflow(sum->credits, event->credits, &next.credits) ||
        __builtin_sub_overflow(sum->documents, event->documents, &next.documents) ||
        __builtin_sub_overflow(sum->pages, event->pages, &next.pages) ||
        __builtin_sub_overflow(sum->processing_ms, event->processing_ms, &next.processing_ms))
        return false;
    *sum = next;
    return true;
}

void ty_total_add_slot(struct ty_total *total, const struct ty_slot_sum *sum)
{
    total->events += sum->events;
    total->credits += sum->credits;
    total->documents += sum->documents;
    total->pages += sum->pages;
    total->processing_ms += sum->processing_ms;
}

void ty_total_replace_slot(struct ty_total *total, const struct ty_slot_sum *old,
                           const struct ty_slot_sum *sum)
{
    total->events += sum->events - old->events;
    total->credits += (ty_int128)sum->credits - old->credits;
    total->documents += (ty_int128)sum->documents - old->documents;
    total->pages += (ty_int128)sum->pages - old->pages;
    total->processing_ms += (ty_int128)sum->processing_ms - old->processing_ms;
}

void ty_total_add(struct ty_total *total, const struct ty_total *other)
{
    total->events += other->events;
    total->credits += other->credits;
    total->documents += other->documents;
    total->pages += other->pages;
    total->processing_ms += other->processing_ms;
}

bool ty_total_equal(const struct ty_total *a, const struct ty_total *b)
{
    return a->events == b->events && a->credits == b->credits && a->documents == b->documents &&
           a->pages == b->pages && a->processing_ms == b->processing_ms;
}

void ty_slot_sum_to_words(const struct ty_slot_sum *sum, uint64_t words[TY_SLOT_SUM_WORDS])
{
    words[0] = sum->events;
    words[1] = (uint64_t)sum->credits;
    words[2] = sum->documents;
    words[3] = sum->pages;
    words[4] = sum->processing_ms;
}

void ty_slot_sum_from_words(struct ty_slot_sum *sum, const uint64_t words[TY_SLOT_SUM_WORDS])
{
    sum->events = words[0];
    sum->credits = (int64_t)words[1];
    sum->documents = words[2];
    sum->pages = words[3];
    sum->processing_ms = words[4];
}

static void split(ty_int128 value, uint64_t words[2])
{
    words[0] = (uint64_t)value;
    words[1] = (uint64_t)((ty_uint128)value >> 64);
}

static ty_int128 join(const uint64_t words[2])
{
    return (ty_int128)((ty_uint128)words[1] << 64 | words[0]);
}

void ty_total_to_words(const struct ty_total *total, uint64_t words[TY_TOTAL_WORDS])
{
    words[0] = total->events;
    split(total->credits, words + 1);
    split(total->documents, words + 3);
    split(total->pages, words + 5);
    split(total->processing_ms, words + 7);
}

void ty_total_from_words(struct ty_total *total, const uint64_t words[TY_TOTAL_WORDS])
{
    total->events = words[0];
    total->credits = join(words + 1);
    total->documents = join(words + 3);
    total->pages = join(words + 5);
    total->processing_ms = join(words + 7);
}
