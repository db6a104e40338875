/*
 * verify_blocks.c: the days and months of a shard that is verified.
 */
#include "query/verify_internal.h"

#include <inttypes.h>

/* What is left of a series' months when its blocks are over. */
static void end_series(struct ty_verifier *verifier)
{
    const struct ty_series *series = ty_series_get(&verifier->series, verifier->block_series);
    char date[TY_PERIOD_TEXT_BYTES];

    for (size_t i = verifier->next_month; i < verifier->month_count && !verifier->months_unsure;
         i++) {
        ty_verify_date(TALLY_MONTHLY, verifier->months[i].month, date);
        ty_verify_tell(verifier, series, date, "%s has days, but no total", date);
    }
    verifier->month_count = verifier->next_month = 0;
    verifier->months_unsure = false;
}

static const struct ty_series *begin_block(struct ty_verifier *verifier, uint32_t id,
                                           uint64_t stamp, const char *date)
{
    const struct ty_series *series = ty_series_get(&verifier->series, id);

    if (id != verifier->block_series)
        end_series(verifier);
    verifier->block_series = id;
    if (series == NULL)
        ty_verify_tell(verifier, NULL, date, "%s of series %u is stored, but the series is %s",
                       date, id, verifier->series_damaged ? "damaged" : "unknown");
    if (verifier->has_state && stamp > verifier->state.last_sequence)
        ty_verify_tell(verifier, series, date,
                       "%s holds events up to value %" PRIu64 ", but the last one is %" PRIu64,
                       date, stamp, verifier->state.last_sequence);
    return series;
}

static void add_to_month(struct ty_verifier *verifier, int32_t day,
                         const struct ty_day_block *block)
{
    int32_t month = ty_month_of_day(day);
    struct ty_verify_month *sum = &verifier->months[verifier->month_count];

    if (verifier->month_count > 0 && sum[-1].month == month) {
        sum--;
    } else if (verifier->month_count < TY_VERIFY_MONTHS_MAX) {
        *sum = (struct ty_verify_month){.month = month};
        verifier->month_count++;
    } else {
        verifier->months_unsure = true;
        return;
    }
    sum->stamp = TY_MAX(sum->stamp, block->stamp);
    ty_total_add(&sum->total, &block->total);
}

/* Some event is marked as void by a value that cannot be read: any day may have less than what can
 * be. */
static bool lacks_voids(const struct ty_verifier *verifier)
{
    return verifier->journal_damaged && verifier->marks > verifier->void_count;
}

static void compare_day(struct ty_verifier *verifier, const struct ty_series *series, int32_t day,
                        const char *date, const struct ty_day_block *block)
{
    struct ty_verify_day *found = ty_verify_days_find(&verifier->days, series->id, day);
    bool all = verifier->first_value == 1 && !verifier->journal_damaged;

    if (found == NULL) {
        if (all && verifier->counts->uncompared == 0 && block->total.events != 0)
            ty_verify_tell(verifier, series, date,
                           "%s has %" PRIu64 " events, the journal none of that day", date,
                           block->total.events);
        return;
    }
    found->stored = true;
    if (found->unsure || found->reported || lacks_voids(verifier))
        return;
    if (all)
        verifier->counts->exact++;
    else
        verifier->counts->partial++;
    if (all ? !ty_verify_day_equals(found, block) : !ty_verify_day_fits(found, block))
        ty_verify_tell(verifier, series, date,
                       "%s is not what the journal has: %" PRIu64 " events instead of %s%" PRIu64
                       "%s",
                       date, block->total.events, all ? "" : "at least ", found->events,
                       found->events == block->total.events ? ", with other sums" : "");
}

void ty_verify_day(void *context, uint32_t id, int32_t day, const struct ty_day_block *block)
{
    struct ty_verifier *verifier = context;
    struct ty_total sum = {0};
    char date[TY_PERIOD_TEXT_BYTES] = "a day";
    const struct ty_series *series;

    verifier->counts->days++;
    if (!ty_verify_is_day(day)) {
        ty_verify_tell(verifier, NULL, "", "series %u has a day %d, which is no date", id, day);
        return;
    }
    ty_verify_date(TALLY_DAILY, day, date);
    series = begin_block(verifier, id, block->stamp, date);
    for (unsigned i = 0; i < TY_SLOTS_PER_DAY; i++)
        if (block->used[i])
            ty_total_add_slot(&sum, &block->slots[i]);
    if (!ty_total_equal(&sum, &block->total))
        ty_verify_tell(verifier, series, date, "%s is not the sum of its slots", date);
    add_to_month(verifier, day, block);
    if (series != NULL)
        compare_day(verifier, series, day, date, block);
}

void ty_verify_month(void *context, uint32_t id, int32_t month, const struct ty_month_block *block)
{
    struct ty_verifier *verifier = context;
    const struct ty_total none = {0};
    const struct ty_verify_month *sum;
    char date[TY_PERIOD_TEXT_BYTES];
    const struct ty_series *series;

    verifier->counts->months++;
    if (!ty_verify_is_month(month)) {
        ty_verify_tell(verifier, NULL, "", "series %u has a month %d, which is no date", id, month);
        return;
    }
    ty_verify_date(TALLY_MONTHLY, month, date);
    series = begin_block(verifier, id, block->stamp, date);
    if (verifier->months_unsure)
        return;
    while (verifier->next_month < verifier->month_count &&
           verifier->months[verifier->next_month].month < month) {
        char lacking[TY_PERIOD_TEXT_BYTES];

        ty_verify_date(TALLY_MONTHLY, verifier->months[verifier->next_month++].month, lacking);
        ty_verify_tell(verifier, series, lacking, "%s has days, but no total", lacking);
    }
    sum = &verifier->months[verifier->next_month];
    if (verifier->next_month == verifier->month_count || sum->month != month) {
        if (!ty_total_equal(&block->total, &none))
            ty_verify_tell(verifier, series, date, "%s has a total, but no days", date);
        return;
    }
    verifier->next_month++;
    if (!ty_total_equal(&sum->total, &block->total))
        ty_verify_tell(verifier, series, date, "%s is not the sum of its days", date);
    if (sum->stamp > block->stamp)
        ty_verify_tell(verifier, series, date,
                       "%s has a day with events up to value %" PRIu64
                       ", but is itself complete up to %" PRIu64
                       ": the next start would count some twice",
                       date, sum->stamp, block->stamp);
}

void ty_verify_lost_days(struct ty_verifier *verifier)
{
    char date[TY_PERIOD_TEXT_BYTES];

    end_series(verifier);
    for (size_t i = 0; i < verifier->days.capacity; i++) {
        const struct ty_verify_day *day = &verifier->days.table[i];

        if (!day->used || day->stored || day->unsure || day->reported || day->events == 0)
            continue;
        ty_verify_date(TALLY_DAILY, day->day, date);
        ty_verify_tell(verifier, ty_series_get(&verifier->series, day->series), date,
                       "%s is not stored, but the journal has %" PRIu64 " events of it", date,
                       day->events);
    }
}

/* --- Damage --- */

void ty_verify_damaged_block(struct ty_verifier *verifier, const struct ty_audit_damage *damage)
{
    const struct ty_series *series = ty_series_get(&verifier->series, (uint32_t)damage->number);
    bool is_day = damage->level == 1;
    char date[TY_PERIOD_TEXT_BYTES] = "";
    struct ty_verify_day *day;

    if ((uint32_t)damage->number != verifier->block_series)
        end_series(verifier);
    verifier->block_series = (uint32_t)damage->number;
    verifier->months_unsure = true;
    if (is_day && ty_verify_is_day(damage->period))
        ty_verify_date(TALLY_DAILY, damage->period, date);
    else if (!is_day && ty_verify_is_month(damage->period))
        ty_verify_date(TALLY_MONTHLY, damage->period, date);
    day = is_day ? ty_verify_days_find(&verifier->days, (uint32_t)damage->number, damage->period)
                 : NULL;
    if (day != NULL)
        day->reported = true;
    ty_verify_tell(verifier, series, date, "the stored %s %s of series %" PRIu64 ": %s",
                   is_day ? "day" : "month", date, damage->number, damage->problem);
}
