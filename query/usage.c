#include "query/usage.h"

#include <stdlib.h>

#include "engine/buffer.h"
#include "engine/period.h"
#include "storage/snapshot.h"

/* The units that rows are summed from. */
enum unit { UNIT_MONTH, UNIT_DAY, UNIT_SLOT };

struct plan {
    const struct ty_range *range;
    enum unit unit;
    int64_t first_unit; /* both inclusive */
    int64_t last_unit;
    int32_t first_day; /* of the units, for slots and days */
    int32_t last_day;
    struct ty_total *totals;
    uint64_t *seen;           /* with totals: a bit for each unit that was read hot */
    struct ty_buffer emptied; /* without: the hot units (int64_t) that have no events any more */
    bool any;                 /* a unit with events was met */
};

static int64_t end_ms(const struct ty_range *range)
{
    return ty_period_start_ms(range->frequency, range->last + 1);
}

static void make_plan(struct plan *plan, const struct ty_range *range)
{
    int64_t start = ty_period_start_ms(range->frequency, range->first), end = end_ms(range);

    *plan = (struct plan){.range = range};
    plan->first_day = ty_day_of_ms(start);
    plan->last_day = ty_day_of_ms(end - 1);
    if (range->frequency == TALLY_MONTHLY) {
        plan->unit = UNIT_MONTH;
        plan->first_unit = range->first;
        plan->last_unit = range->last;
    } else if (range->frequency == TALLY_HOURLY) {
        plan->unit = UNIT_SLOT;
        plan->first_unit = ty_slot_of_ms(start);
        plan->last_unit = ty_slot_of_ms(end - 1);
    } else {
        plan->unit = UNIT_DAY;
        plan->first_unit = plan->first_day;
        plan->last_unit = plan->last_day;
    }
}

static bool is_within(const struct plan *plan, int64_t unit)
{
    return unit >= plan->first_unit && unit <= plan->last_unit;
}

/* The row that a unit belongs to. */
static struct ty_total *row_of(const struct plan *plan, int64_t unit)
{
    int64_t period = unit;

    if (plan->range->frequency == TALLY_WEEKLY)
        period = ty_week_of_day((int32_t)unit);
    else if (plan->range->frequency == TALLY_HOURLY)
        period = unit / TY_SLOTS_PER_HOUR;
    return &plan->totals[period - plan->range->first];
}

static uint64_t *seen_word(const struct plan *plan, int64_t unit)
{
    return &plan->seen[(unit - plan->first_unit) / 64];
}

static uint64_t seen_bit(const struct plan *plan, int64_t unit)
{
    return UINT64_C(1) << ((unit - plan->first_unit) % 64);
}

static void see_hot(struct plan *plan, int64_t unit)
{
    if (plan->seen != NULL)
        *seen_word(plan, unit) |= seen_bit(plan, unit);
}

static int compare_units(const void *a, const void *b)
{
    int64_t one = *(const int64_t *)a, other = *(const int64_t *)b;

    return (one > other) - (one < other);
}

/*
 * Where only `any` is asked for, a range may be too long for a bit a unit, and hot units with
 * events have answered the question. One without may have some in storage yet: all were voided, and
 * that is not written.
 */
static void see_emptied(struct plan *plan, int64_t unit, uint64_t events)
{
    if (plan->totals == NULL && events == 0)
        ty_buffer_append(&plan->emptied, &unit, sizeof(unit));
}

static void sort_emptied(struct plan *plan)
{
    if (plan->emptied.length != 0)
        qsort(plan->emptied.data, plan->emptied.length / sizeof(int64_t), sizeof(int64_t),
              compare_units);
}

static bool was_emptied(const struct plan *plan, int64_t unit)
{
    return plan->emptied.length != 0 &&
           bsearch(&unit, plan->emptied.data, plan->emptied.length / sizeof(int64_t),
                   sizeof(int64_t), compare_units) != NULL;
}

static bool was_hot(const struct plan *plan, int64_t unit)
{
    if (plan->seen == NULL)
        return was_emptied(plan, unit);
    return (*seen_word(plan, unit) & seen_bit(plan, unit)) != 0;
}

static void add_total(struct plan *plan, int64_t unit, const struct ty_total *total)
{
    plan->any |= total->events != 0;
    if (plan->totals != NULL)
        ty_total_add(row_of(plan, unit), total);
}

static void add_slot(struct plan *plan, int64_t unit, const struct ty_slot_sum *sum)
{
    plan->any |= sum->events != 0;
    if (plan->totals != NULL)
        ty_total_add_slot(row_of(plan, unit), sum);
}

/* --- Hot units, under a pin --- */

static void add_hot_slots(struct plan *plan, struct ty_day_node *day)
{
    for (struct ty_slot_node *slot = ty_hot_slots(day); slot != NULL;
         slot = ty_hot_next_slot(slot)) {
        int64_t unit = (int64_t)day->day * TY_SLOTS_PER_DAY + slot->slot;
        struct ty_slot_sum sum;

        if (!is_within(plan, unit))
            continue;
        ty_hot_read_slot(slot, &sum);
        add_slot(plan, unit, &sum);
        see_hot(plan, unit);
        see_emptied(plan, unit, sum.events);
    }
}

static void add_hot_days(struct plan *plan, struct ty_month_node *month)
{
    for (struct ty_day_node *day = ty_hot_days(month); day != NULL; day = ty_hot_next_day(day)) {
        struct ty_total total;

        if (day->day < plan->first_day || day->day > plan->last_day)
            continue;
        if (plan->unit == UNIT_SLOT) {
            add_hot_slots(plan, day);
            continue;
        }
        ty_hot_read_total(day->cell, &total);
        add_total(plan, day->day, &total);
        see_hot(plan, day->day);
        see_emptied(plan, day->day, total.events);
    }
}

static void add_hot_months(struct plan *plan, struct ty_series *series)
{
    for (struct ty_month_node *month = ty_hot_months(series); month != NULL;
         month = ty_hot_next_month(month)) {
        struct ty_total total;

        if (plan->unit != UNIT_MONTH) {
            add_hot_days(plan, month);
            continue;
        }
        if (!is_within(plan, month->month))
            continue;
        ty_hot_read_total(month->cell, &total);
        add_total(plan, month->month, &total);
        see_hot(plan, month->month);
        see_emptied(plan, month->month, total.events);
    }
}

/* --- Stored units --- */

/* When only `any` is asked for, the first unit with events ends the scan. */
static bool wants_more(const struct plan *plan)
{
    return plan->totals != NULL || !plan->any;
}

static bool add_stored_total(void *context, int32_t unit, const struct ty_total *total)
{
    struct plan *plan = context;

    if (!was_hot(plan, unit))
        add_total(plan, unit, total);
    return wants_more(plan);
}

static bool add_stored_day(void *context, int32_t day, const struct ty_day_block *block)
{
    struct plan *plan = context;

    for (int i = 0; i < TY_SLOTS_PER_DAY; i++) {
        int64_t unit = (int64_t)day * TY_SLOTS_PER_DAY + i;

        if (block->used[i] && is_within(plan, unit) && !was_hot(plan, unit))
            add_slot(plan, unit, &block->slots[i]);
    }
    return wants_more(plan);
}

static tally_status add_stored(struct plan *plan, struct ty_snapshot *snapshot, uint32_t series,
                               tally_error *error)
{
    if (plan->unit == UNIT_SLOT)
        return ty_snapshot_each_day(snapshot, series, plan->first_day, plan->last_day,
                                    add_stored_day, plan, error);
    return ty_snapshot_each_total(
        snapshot, series, plan->unit == UNIT_MONTH ? TY_LEVEL_MONTH : TY_LEVEL_DAY,
        (int32_t)plan->first_unit, (int32_t)plan->last_unit, add_stored_total, plan, error);
}

static tally_status run(const struct ty_shard_view *view, struct ty_series *series,
                        struct plan *plan, tally_error *error)
{
    uint64_t pin = ty_epoch_pin(&view->hot->epoch);
    struct ty_snapshot *snapshot;
    tally_status status;

    add_hot_months(plan, series);
    ty_epoch_unpin(&view->hot->epoch, pin);
    if (!wants_more(plan))
        return TALLY_OK;
    if (!ty_buffer_ok(&plan->emptied))
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the query");
    sort_emptied(plan);
    status = ty_snapshot_begin(view->store, &snapshot, error);
    if (status != TALLY_OK)
        return status;
    status = add_stored(plan, snapshot, series->id, error);
    ty_snapshot_end(view->store, snapshot);
    return status;
}

tally_status ty_usage_totals(const struct ty_shard_view *view, struct ty_series *series,
                             const struct ty_range *range, struct ty_total *totals,
                             tally_error *error)
{
    uint64_t few[64] = {0}; /* enough for most queries: 4,096 units */
    size_t words;
    struct plan plan;
    tally_status status;

    if (series == NULL)
        return TALLY_OK;
    make_plan(&plan, range);
    plan.totals = totals;
    words = (size_t)((plan.last_unit - plan.first_unit) / 64 + 1);
    plan.seen = words <= TY_COUNT_OF(few) ? few : calloc(words, sizeof(*plan.seen));
    if (plan.seen == NULL)
        return ty_fail(error, TALLY_NO_MEMORY, "no memory for the query");
    status = run(view, series, &plan, error);
    if (plan.seen != few)
        free(plan.seen);
    return status;
}

tally_status ty_usage_any(const struct ty_shard_view *view, struct ty_series *series,
                          const struct ty_range *range, bool *any, tally_error *error)
{
    struct plan plan;
    tally_status status;

    make_plan(&plan, range);
    status = run(view, series, &plan, error);
    ty_buffer_fini(&plan.emptied);
    *any = plan.any;
    return status;
}

int64_t ty_usage_cost(const struct ty_range *range)
{
    struct plan plan;

    make_plan(&plan, range);
    return plan.unit == UNIT_MONTH ? plan.last_unit - plan.first_unit + 1
                                   : plan.last_day - plan.first_day + 1;
}
