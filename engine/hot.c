#include "engine/hot_internal.h"

#include <stdlib.h>
#include <string.h>

void ty_hot_init(struct ty_hot *hot, struct ty_cold_loader cold)
{
    memset(hot, 0, sizeof(*hot));
    hot->cold = cold;
    TAILQ_INIT(&hot->dirty);
    TAILQ_INIT(&hot->clean);
}

/* --- Making nodes. A node is complete before a release store makes it reachable; readers load
 * every link with acquire. Links of reachable nodes change only when a neighbour is dropped. --- */

static void init_cell(ty_cell_word *cell, const uint64_t *words, unsigned count)
{
    for (unsigned i = 0; i < TY_CELL_LENGTH(count); i++)
        atomic_init(&cell[i], 0);
    ty_cell_publish(cell, words, count);
}

static void init_total_cell(ty_cell_word *cell, const struct ty_total *total)
{
    uint64_t words[TY_TOTAL_WORDS];

    ty_total_to_words(total, words);
    init_cell(cell, words, TY_TOTAL_WORDS);
}

static tally_status add_month(struct ty_hot *hot, struct ty_series *series, int32_t number,
                              int64_t now_ms, struct ty_month_node **out)
{
    struct ty_month_block block;
    struct ty_month_node *month;
    tally_status status = hot->cold.load_month(hot->cold.context, series->id, number, &block);

    if (status != TALLY_OK)
        return status;
    month = calloc(1, sizeof(*month));
    if (month == NULL)
        return TALLY_NO_MEMORY;
    month->series = series;
    month->month = number;
    month->total = block.total;
    month->stamp = block.stamp;
    month->queued_ms = now_ms;
    init_total_cell(month->cell, &block.total);
    atomic_init(&month->days, NULL);
    atomic_init(&month->next, ty_atomic_load(&series->months, memory_order_relaxed));
    ty_atomic_store(&series->months, month, TY_LINK_STORE);
    TAILQ_INSERT_TAIL(&hot->clean, month, queue);
    hot->bytes += sizeof(*month);
    *out = month;
    return TALLY_OK;
}

static tally_status add_day(struct ty_hot *hot, struct ty_month_node *month, int32_t number,
                            struct ty_day_node **out)
{
    struct ty_day_block block;
    struct ty_day_node *day;
    tally_status status = hot->cold.load_day(hot->cold.context, month->series->id, number, &block);

    if (status != TALLY_OK)
        return status;
    day = calloc(1, sizeof(*day));
    if (day == NULL)
        return TALLY_NO_MEMORY;
    day->month = month;
    day->day = number;
    day->total = block.total;
    memcpy(day->stored_slots, block.used, sizeof(day->stored_slots));
    init_total_cell(day->cell, &block.total);
    atomic_init(&day->slots, NULL);
    atomic_init(&day->next, ty_atomic_load(&month->days, memory_order_relaxed));
    ty_atomic_store(&month->days, day, TY_LINK_STORE);
    hot->bytes += sizeof(*day);
    *out = day;
    return TALLY_OK;
}

static tally_status add_slot(struct ty_hot *hot, struct ty_day_node *day, uint8_t number,
                             struct ty_slot_node **out)
{
    struct ty_slot_sum base = {0};
    uint64_t words[TY_SLOT_SUM_WORDS];
    struct ty_slot_node *slot;

    if (day->stored_slots[number]) {
        struct ty_day_block block;
        tally_status status =
            hot->cold.load_day(hot->cold.context, day->month->series->id, day->day, &block);

        if (status != TALLY_OK)
            return status;
        base = block.slots[number];
    }
    slot = calloc(1, sizeof(*slot));
    if (slot == NULL)
        return TALLY_NO_MEMORY;
    slot->day = day;
    slot->number = (int64_t)day->day * TY_SLOTS_PER_DAY + number;
    slot->slot = number;
    slot->published = slot->working = base;
    ty_slot_sum_to_words(&base, words);
    init_cell(slot->cell, words, TY_SLOT_SUM_WORDS);
    atomic_init(&slot->next, ty_atomic_load(&day->slots, memory_order_relaxed));
    ty_atomic_store(&day->slots, slot, TY_LINK_STORE);
    hot->bytes += sizeof(*slot);
    *out = slot;
    return TALLY_OK;
}

static tally_status find_or_add_month(struct ty_hot *hot, struct ty_series *series, int32_t number,
                                      int64_t now_ms, struct ty_month_node **out)
{
    for (struct ty_month_node *month = ty_hot_months(series); month != NULL;
         month = ty_hot_next_month(month))
        if (month->month == number) {
            *out = month;
            return TALLY_OK;
        }
    return add_month(hot, series, number, now_ms, out);
}

static tally_status find_or_add_day(struct ty_hot *hot, struct ty_month_node *month, int32_t number,
                                    struct ty_day_node **out)
{
    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day))
        if (day->day == number) {
            *out = day;
            return TALLY_OK;
        }
    return add_day(hot, month, number, out);
}

static tally_status find_or_add_slot(struct ty_hot *hot, struct ty_day_node *day, uint8_t number,
                                     struct ty_slot_node **out)
{
    for (struct ty_slot_node *slot = ty_hot_slots(day); slot != NULL; slot = ty_hot_next_slot(slot))
        if (slot->slot == number) {
            *out = slot;
            return TALLY_OK;
        }
    return add_slot(hot, day, number, out);
}

tally_status ty_hot_slot(struct ty_hot *hot, struct ty_series *series, int64_t slot, int64_t now_ms,
                         struct ty_slot_node **node)
{
    struct ty_slot_node *last = series->last_slot;
    int32_t day_number;
    struct ty_month_node *month = NULL;
    struct ty_day_node *day = NULL;
    tally_status status;

    TY_ASSERT(slot >= 0);
    if (last != NULL && last->number == slot) {
        *node = last;
        return TALLY_OK;
    }
    day_number = (int32_t)(slot / TY_SLOTS_PER_DAY);
    status = find_or_add_month(hot, series, ty_month_of_day(day_number), now_ms, &month);
    if (status == TALLY_OK)
        status = find_or_add_day(hot, month, day_number, &day);
    if (status == TALLY_OK)
        status = find_or_add_slot(hot, day, (uint8_t)(slot % TY_SLOTS_PER_DAY), node);
    if (status == TALLY_OK)
        series->last_slot = *node;
    return status;
}

/* --- Events --- */

static void touch(struct ty_hot *hot, struct ty_slot_node *node)
{
    struct ty_month_node *month;

    if (node->touched)
        return;
    month = node->day->month;
    node->touched = true;
    node->next_touched = hot->touched;
    hot->touched = node;
    hot->touched_count++;
    if (month->touched++ == 0 && month->month <= month->series->closed_through) {
        month->next_revised = hot->revised;
        hot->revised = month;
    }
}

bool ty_hot_add(struct ty_hot *hot, struct ty_slot_node *node, const struct ty_event *event)
{
    if (!ty_slot_sum_add(&node->working, event))
        return false;
    touch(hot, node);
    return true;
}

bool ty_hot_subtract(struct ty_hot *hot, struct ty_slot_node *node, const struct ty_event *event)
{
    if (!ty_slot_sum_subtract(&node->working, event))
        return false;
    touch(hot, node);
    return true;
}

/* --- Checkpoint --- */

void ty_hot_write(struct ty_hot *hot, struct ty_month_node *month)
{
    TY_ASSERT(month->dirty_since != 0 && !month->writing && hot->aside_count == 0);
    month->writing = true;
    month->next_writing = hot->writing;
    hot->writing = month;
}

struct ty_month_node *ty_hot_take_writing(struct ty_hot *hot)
{
    struct ty_month_node *month = hot->writing;

    if (month != NULL) {
        hot->writing = month->next_writing;
        month->writing = false;
    }
    return month;
}

uint64_t ty_hot_lacks_from(const struct ty_hot *hot, uint64_t next)
{
    const struct ty_month_node *month;

    /* Sorted by dirty_since, and mostly its first ones are being written. */
    TAILQ_FOREACH(month, &hot->dirty, queue)
    if (!month->writing)
        return TY_MIN(month->dirty_since, next);
    return next;
}

tally_status ty_hot_encode_day(struct ty_hot *hot, const struct ty_day_node *day, uint64_t stamp,
                               struct ty_day_block *block)
{
    struct ty_total sum = {0};
    tally_status status =
        hot->cold.load_day(hot->cold.context, day->month->series->id, day->day, block);

    if (status != TALLY_OK)
        return status;
    for (struct ty_slot_node *slot = ty_atomic_load(&day->slots, memory_order_relaxed);
         slot != NULL; slot = ty_hot_next_slot(slot)) {
        block->slots[slot->slot] = slot->published;
        block->used[slot->slot] = slot->published.events != 0;
    }
    for (unsigned i = 0; i < TY_SLOTS_PER_DAY; i++)
        ty_total_add_slot(&sum, &block->slots[i]);
    if (!ty_total_equal(&sum, &day->total))
        return TALLY_CORRUPT;
    block->total = day->total;
    block->stamp = stamp;
    return TALLY_OK;
}

/* --- Invariants --- */

static void check_month(const struct ty_month_node *month)
{
    struct ty_total cell;

    ty_hot_read_total((ty_cell_word *)month->cell, &cell);
    TY_ASSERT(ty_total_equal(&cell, &month->total));
    for (struct ty_day_node *day = ty_hot_days((struct ty_month_node *)month); day != NULL;
         day = ty_hot_next_day(day)) {
        ty_hot_read_total(day->cell, &cell);
        TY_ASSERT(ty_total_equal(&cell, &day->total));
        TY_ASSERT(day->month == month && ty_month_of_day(day->day) == month->month);
        TY_ASSERT(!day->dirty || month->dirty_since != 0);
        for (struct ty_slot_node *slot = ty_hot_slots(day); slot != NULL;
             slot = ty_hot_next_slot(slot)) {
            struct ty_slot_sum sum;

            ty_hot_read_slot(slot, &sum);
            TY_ASSERT(memcmp(&sum, &slot->published, sizeof(sum)) == 0);
            TY_ASSERT(slot->day == day && slot->published.events <= day->total.events);
        }
    }
}

void ty_hot_check(const struct ty_hot *hot)
{
    const struct ty_month_node *month;
    uint64_t dirty = 0, since = 0;

    TAILQ_FOREACH(month, &hot->dirty, queue)
    {
        TY_ASSERT(month->dirty_since >= since && month->dirty_since > month->stamp);
        since = month->dirty_since;
        check_month(month);
        dirty++;
    }
    TY_ASSERT(dirty == hot->dirty_count);
    TAILQ_FOREACH(month, &hot->clean, queue)
    {
        TY_ASSERT(month->dirty_since == 0);
        check_month(month);
    }
}

/* --- Readers --- */

void ty_hot_read_total(ty_cell_word *cell, struct ty_total *total)
{
    uint64_t words[TY_TOTAL_WORDS];

    ty_cell_read(cell, words, TY_TOTAL_WORDS);
    ty_total_from_words(total, words);
}

void ty_hot_read_slot(struct ty_slot_node *slot, struct ty_slot_sum *sum)
{
    uint64_t words[TY_SLOT_SUM_WORDS];

    ty_cell_read(slot->cell, words, TY_SLOT_SUM_WORDS);
    ty_slot_sum_from_words(sum, words);
}
