/*
 * hot_drop.c: nodes out of memory again: after a checkpoint, at rest, at the end (hot.h).
 */
#include "engine/hot_internal.h"

#include <stdlib.h>

/* --- Dropping. The release stores that unlink pair with the readers' acquire loads of links, so
 * that a reader sees the neighbours whole; the node itself stays readable until the epoch says. ---
 */

static void drop_slot(struct ty_hot *hot, _Atomic(struct ty_slot_node *) *link,
                      struct ty_slot_node *slot)
{
    struct ty_series *series = slot->day->month->series;

    TY_ASSERT(!slot->touched);
    if (series->last_slot == slot)
        series->last_slot = NULL;
    ty_atomic_store(link, ty_atomic_load(&slot->next, memory_order_relaxed), TY_UNLINK_STORE);
    ty_epoch_retire(&hot->epoch, &slot->retired);
    hot->bytes -= sizeof(*slot);
}

static void drop_day(struct ty_hot *hot, _Atomic(struct ty_day_node *) *link,
                     struct ty_day_node *day)
{
    ty_atomic_store(link, ty_atomic_load(&day->next, memory_order_relaxed), TY_UNLINK_STORE);
    ty_epoch_retire(&hot->epoch, &day->retired);
    hot->bytes -= sizeof(*day);
}

/* Drops the slots of a day that are not in use; returns whether some stay. */
static bool drop_slots(struct ty_hot *hot, struct ty_day_node *day, bool all)
{
    _Atomic(struct ty_slot_node *) *link = &day->slots;
    struct ty_slot_node *slot;

    while ((slot = ty_atomic_load(link, memory_order_relaxed)) != NULL) {
        bool stays = slot->touched || (slot->recent && !all);

        slot->recent = false;
        if (stays)
            link = &slot->next;
        else
            drop_slot(hot, link, slot);
    }
    return ty_atomic_load(&day->slots, memory_order_relaxed) != NULL;
}

static void drop_days(struct ty_hot *hot, struct ty_month_node *month, bool all)
{
    _Atomic(struct ty_day_node *) *link = &month->days;
    struct ty_day_node *day;

    while ((day = ty_atomic_load(link, memory_order_relaxed)) != NULL) {
        bool stays = drop_slots(hot, day, all) || (day->recent && !all);

        day->recent = false;
        if (stays)
            link = &day->next;
        else
            drop_day(hot, link, day);
    }
}

static void mark_stored(struct ty_day_node *day)
{
    day->dirty = false;
    for (struct ty_slot_node *slot = ty_hot_slots(day); slot != NULL; slot = ty_hot_next_slot(slot))
        day->stored_slots[slot->slot] |= slot->published.events != 0;
}

static void make_clean(struct ty_hot *hot, struct ty_month_node *month, uint64_t stamp,
                       int64_t now_ms)
{
    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
        mark_stored(day);
    month->dirty_since = 0;
    month->stamp = stamp;
    month->queued_ms = now_ms;
    TAILQ_REMOVE(&hot->dirty, month, queue);
    TAILQ_INSERT_TAIL(&hot->clean, month, queue);
    hot->dirty_count--;
}

uint64_t ty_hot_written(struct ty_hot *hot, uint64_t stamp, bool all, int64_t now_ms)
{
    struct ty_month_node *month;
    uint64_t count = 0;

    while ((month = ty_hot_take_writing(hot)) != NULL) {
        make_clean(hot, month, stamp, now_ms);
        drop_days(hot, month, all);
        count++;
    }
    return count;
}

static void drop_month(struct ty_hot *hot, struct ty_month_node *month)
{
    _Atomic(struct ty_month_node *) *link = &month->series->months;

    TY_ASSERT(month->dirty_since == 0 && month->touched == 0);
    /* Unlinked first: under a month that no new reader finds, the order does not matter. */
    while (ty_atomic_load(link, memory_order_relaxed) != month)
        link = &ty_atomic_load(link, memory_order_relaxed)->next;
    ty_atomic_store(link, ty_atomic_load(&month->next, memory_order_relaxed), TY_UNLINK_STORE);
    drop_days(hot, month, true);
    TAILQ_REMOVE(&hot->clean, month, queue);
    ty_epoch_retire(&hot->epoch, &month->retired);
    hot->bytes -= sizeof(*month);
}

static void free_retired(struct ty_retired *memory)
{
    while (memory != NULL) {
        struct ty_retired *next = memory->next;

        free(memory);
        memory = next;
    }
}

void ty_hot_rest(struct ty_hot *hot, int64_t now_ms, int64_t keep_ms, uint64_t bytes_max)
{
    struct ty_month_node *month;

    TY_ASSERT(hot->touched == NULL && hot->aside_count == 0);
    while ((month = TAILQ_FIRST(&hot->clean)) != NULL &&
           (now_ms - month->queued_ms >= keep_ms || hot->bytes > bytes_max))
        drop_month(hot, month);
    free_retired(ty_epoch_advance(&hot->epoch));
}

void ty_hot_fini(struct ty_hot *hot)
{
    struct ty_month_node *month;

    ty_hot_revert(hot);
    while ((month = TAILQ_FIRST(&hot->dirty)) != NULL) {
        month->dirty_since = 0;
        TAILQ_REMOVE(&hot->dirty, month, queue);
        TAILQ_INSERT_TAIL(&hot->clean, month, queue);
    }
    while ((month = TAILQ_FIRST(&hot->clean)) != NULL)
        drop_month(hot, month);
    for (int i = 0; i < 3; i++)
        free_retired(ty_epoch_advance(&hot->epoch));
}
