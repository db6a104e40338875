/*
 * hot_publish.c: what a commit counted becomes visible, or is taken back (hot.h).
 */
#include "engine/hot_internal.h"

#include <stdlib.h>

static void publish_total(ty_cell_word *cell, struct ty_total *total,
                          const struct ty_slot_node *slot, const struct ty_slot_sum *sum)
{
    uint64_t words[TY_TOTAL_WORDS];

    ty_total_replace_slot(total, &slot->published, sum);
    ty_total_to_words(total, words);
    ty_cell_publish(cell, words, TY_TOTAL_WORDS);
}

static void publish_slot(struct ty_slot_node *slot, const struct ty_slot_sum *sum)
{
    uint64_t words[TY_SLOT_SUM_WORDS];

    publish_total(slot->day->month->cell, &slot->day->month->total, slot, sum);
    publish_total(slot->day->cell, &slot->day->total, slot, sum);
    slot->published = *sum;
    ty_slot_sum_to_words(sum, words);
    ty_cell_publish(slot->cell, words, TY_SLOT_SUM_WORDS);
}

static void make_dirty(struct ty_hot *hot, struct ty_slot_node *slot, uint64_t sequence,
                       int64_t now_ms)
{
    struct ty_month_node *month = slot->day->month;

    slot->recent = slot->day->recent = slot->day->dirty = true;
    if (month->dirty_since != 0)
        return;
    month->dirty_since = sequence;
    month->queued_ms = now_ms;
    TAILQ_REMOVE(&hot->clean, month, queue);
    TAILQ_INSERT_TAIL(&hot->dirty, month, queue);
    hot->dirty_count++;
}

static struct ty_slot_node *take_touched(struct ty_hot *hot)
{
    struct ty_slot_node *slot = hot->touched;

    if (slot != NULL) {
        hot->touched = slot->next_touched;
        hot->touched_count--;
        slot->touched = false;
        slot->day->month->touched--;
    }
    return slot;
}

void ty_hot_publish(struct ty_hot *hot, uint64_t sequence, int64_t now_ms)
{
    struct ty_slot_node *slot;

    while ((slot = take_touched(hot)) != NULL) {
        publish_slot(slot, &slot->working);
        make_dirty(hot, slot, sequence, now_ms);
    }
    hot->revised = NULL;
}

void ty_hot_revert(struct ty_hot *hot)
{
    struct ty_slot_node *slot;

    while ((slot = take_touched(hot)) != NULL)
        slot->working = slot->published;
    hot->revised = NULL;
    while (ty_hot_take_writing(hot) != NULL)
        continue;
}

/* --- Set aside --- */

static bool reserve(struct ty_hot_aside *aside, uint32_t count)
{
    struct ty_aside_slot *slots;

    if (count <= aside->capacity)
        return true;
    slots = realloc(aside->slots, (size_t)count * 2 * sizeof(*slots));
    if (slots == NULL)
        return false;
    aside->slots = slots;
    aside->capacity = count * 2;
    return true;
}

bool ty_hot_set_aside(struct ty_hot *hot, struct ty_hot_aside *aside)
{
    struct ty_slot_node *slot;

    TY_ASSERT(aside->count == 0 && hot->revised == NULL);
    if (!reserve(aside, hot->touched_count))
        return false;
    while ((slot = take_touched(hot)) != NULL)
        aside->slots[aside->count++] = (struct ty_aside_slot){.slot = slot, .sum = slot->working};
    hot->aside_count += aside->count;
    return true;
}

void ty_hot_publish_aside(struct ty_hot *hot, struct ty_hot_aside *aside, uint64_t sequence,
                          int64_t now_ms)
{
    for (uint32_t i = 0; i < aside->count; i++) {
        publish_slot(aside->slots[i].slot, &aside->slots[i].sum);
        make_dirty(hot, aside->slots[i].slot, sequence, now_ms);
    }
    hot->aside_count -= aside->count;
    aside->count = 0;
}

void ty_hot_revert_aside(struct ty_hot *hot, struct ty_hot_aside *aside)
{
    for (uint32_t i = 0; i < aside->count; i++)
        aside->slots[i].slot->working = aside->slots[i].slot->published;
    hot->aside_count -= aside->count;
    aside->count = 0;
}

void ty_hot_aside_fini(struct ty_hot_aside *aside)
{
    free(aside->slots);
    *aside = (struct ty_hot_aside){0};
}
