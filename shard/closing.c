/*
 * closing.c: months that are closed, and revisions of what changes in them later
 * (engine/closing.h).
 *
 * Both belong to the commit that makes them, and to its transaction: a commit that fails leaves
 * neither. Only a commit makes revisions, so that a restart, which counts the journal's events
 * again, makes none a second time.
 */
#include <stdlib.h>

#include "shard/shard_internal.h"

/* --- Revisions --- */

static bool reserve(struct ty_commit *commit, size_t count)
{
    struct ty_pending_revision *revisions;

    if (count <= commit->revision_capacity)
        return true;
    revisions = realloc(commit->revisions, count * sizeof(*revisions));
    if (revisions == NULL)
        return false;
    commit->revisions = revisions;
    commit->revision_capacity = count;
    return true;
}

static int compare_months(const void *a, const void *b)
{
    const struct ty_month_node *left = ((const struct ty_pending_revision *)a)->month,
                               *right = ((const struct ty_pending_revision *)b)->month;

    if (left->series->id != right->series->id)
        return left->series->id < right->series->id ? -1 : 1;
    return left->month - right->month;
}

/* One for every closed month that the commit changes, in an order that depends on nothing else. */
static bool list_months(struct ty_commit *commit, const struct ty_hot *hot, uint64_t sequence)
{
    size_t count = 0;

    for (struct ty_month_node *month = hot->revised; month != NULL; month = month->next_revised)
        count++;
    if (!reserve(commit, count))
        return false;
    for (struct ty_month_node *month = hot->revised; month != NULL; month = month->next_revised)
        commit->revisions[commit->revision_count++].month = month;
    qsort(commit->revisions, count, sizeof(*commit->revisions), compare_months);
    for (uint32_t i = 0; i < count; i++) {
        struct ty_month_node *month = commit->revisions[i].month;

        month->revision = i;
        commit->revisions[i].revision = (struct ty_revision){.sequence = sequence,
                                                             .received_ms = commit->received_ms,
                                                             .series = month->series->id,
                                                             .month = month->month,
                                                             .before = month->total,
                                                             .after = month->total};
    }
    return true;
}

/* The revision of the month that an event counts in; NULL: the month is not closed. */
static struct ty_revision *find(struct ty_commit *commit, struct ty_series *series, int64_t time_ms)
{
    int32_t number = ty_month_of_day(ty_day_of_ms(time_ms));
    struct ty_month_node *month = ty_hot_months(series);

    if (number > series->closed_through)
        return NULL;
    while (month->month != number) /* It is there, since it was changed. */
        month = ty_hot_next_month(month);
    return &commit->revisions[month->revision].revision;
}

static void add_up(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;

    for (struct ty_slot_node *slot = shard->hot.touched; slot != NULL; slot = slot->next_touched) {
        const struct ty_month_node *month = slot->day->month;

        if (month->month <= month->series->closed_through)
            ty_total_replace_slot(&commit->revisions[month->revision].revision.after,
                                  &slot->published, &slot->working);
    }
    for (uint32_t i = 0; i < commit->candidate_count; i++) {
        const struct ty_candidate *candidate = &commit->candidates[i];
        struct ty_revision *revision =
            find(commit, commit->groups[candidate->group].series,
                 ty_event_counts_at_ms(candidate->event, commit->received_ms));

        if (revision != NULL)
            revision->events++;
    }
    for (uint32_t i = 0; i < commit->void_count; i++) {
        const struct ty_void *what = commit->voids[i];
        struct ty_revision *revision =
            find(commit, ty_series_get(&shard->series, what->place.series),
                 ty_event_counts_at_ms(&what->event, what->received_ms));

        if (revision != NULL)
            revision->voided++;
    }
}

static tally_status store_revisions(struct ty_shard *shard)
{
    struct ty_commit *commit = shard->commit;
    tally_status status = TALLY_OK;

    for (size_t i = 0; i < commit->revision_count && status == TALLY_OK; i++) {
        const struct ty_uuid *customer = &commit->revisions[i].month->series->customer;
        struct ty_closed_customer *closed = ty_series_closed_of(&shard->series, customer, false);

        commit->revisions[i].revision.number =
            ++ty_closings_change(&commit->closings, closed)->revisions;
        status = ty_store_put_revision(shard->store, customer, &commit->revisions[i].revision,
                                       &shard->error);
    }
    return status;
}

/* --- Closings --- */

/* A series that no commit has stored is not known to anybody. */
static bool has_series(const struct ty_shard *shard, const struct ty_uuid *customer)
{
    const struct ty_series *series = ty_series_newest_of(&shard->series, customer);

    while (series != NULL && !series->stored && series->group_commit != shard->commit->number)
        series = series->older_of_customer;
    return series != NULL;
}

static enum ty_close_result decide_month(const struct ty_close *close)
{
    if (close->through == close->closed.through)
        return TY_CLOSE_ALREADY;
    if (close->through < close->closed.through)
        return TY_CLOSE_EARLIER;
    return close->through <= close->latest ? TY_CLOSE_DONE : TY_CLOSE_NOT_ENDED;
}

/* `last` is the last journal value that counts before. */
static tally_status decide(struct ty_shard *shard, struct ty_close *close, uint64_t last)
{
    struct ty_commit *commit = shard->commit;
    struct ty_closed_customer *customer;

    close->closed = (struct ty_closed){.through = TY_NOT_CLOSED};
    close->latest = ty_month_of_day(ty_day_of_ms(commit->received_ms)) - 1;
    close->result = TY_CLOSE_UNKNOWN;
    if (!has_series(shard, &close->customer))
        return TALLY_OK;
    customer = ty_series_closed_of(&shard->series, &close->customer, true);
    if (customer == NULL)
        return ty_fail(&shard->error, TALLY_NO_MEMORY, "no memory for the closing");
    close->closed = customer->working;
    close->result = decide_month(close);
    if (close->result != TY_CLOSE_DONE)
        return TALLY_OK;
    close->closed.through = close->through;
    close->closed.closed_ms = commit->received_ms;
    close->closed.sequence = last;
    *ty_closings_change(&commit->closings, customer) = close->closed;
    commit->closed_count++;
    return TALLY_OK;
}

static tally_status store_closings(struct ty_shard *shard)
{
    tally_status status = TALLY_OK;

    for (const struct ty_closed_customer *customer = shard->commit->closings.changed;
         customer != NULL && status == TALLY_OK; customer = customer->next_changed)
        status = ty_store_put_closing(shard->store, &customer->customer, &customer->working,
                                      &shard->error);
    return status;
}

tally_status ty_shard_decide_closings(struct ty_shard *shard, struct ty_part *parts, uint64_t last)
{
    struct ty_commit *commit = shard->commit;
    tally_status status = TALLY_OK;

    commit->revision_count = 0;
    commit->closed_count = 0;
    if (shard->hot.revised != NULL) {
        if (!list_months(commit, &shard->hot, last))
            return ty_fail(&shard->error, TALLY_NO_MEMORY, "no memory for the commit");
        add_up(shard);
        status = store_revisions(shard);
    }
    for (struct ty_part *part = parts; part != NULL && status == TALLY_OK; part = part->next)
        if (part->close != NULL)
            status = decide(shard, part->close, last);
    return status == TALLY_OK ? store_closings(shard) : status;
}

void ty_shard_end_closings(struct ty_shard *shard, bool committed)
{
    struct ty_commit *commit = shard->commit;
    struct ty_closed_customer *customer;

    while ((customer = ty_closings_take(&commit->closings, committed)) != NULL)
        if (committed)
            ty_series_set_closed(&shard->series, customer);
    if (!committed)
        return;
    ty_atomic_add(&shard->stats.closings, commit->closed_count, memory_order_relaxed);
    ty_atomic_add(&shard->stats.revisions, commit->revision_count, memory_order_relaxed);
}

/* --- A start --- */

static tally_status load(void *context, const struct ty_uuid *id, const struct ty_closed *closed)
{
    struct ty_shard *shard = context;
    struct ty_closed_customer *customer;
    char text[TY_UUID_TEXT_LENGTH];

    if (ty_series_newest_of(&shard->series, id) == NULL) {
        ty_uuid_format(id, text);
        return ty_fail(&shard->error, TALLY_CORRUPT,
                       "there is a closing of customer %.36s, who has no series", text);
    }
    customer = ty_series_closed_of(&shard->series, id, true);
    if (customer == NULL)
        return ty_fail(&shard->error, TALLY_NO_MEMORY, "no memory for the closings");
    customer->stored = customer->working = *closed;
    ty_series_set_closed(&shard->series, customer);
    return TALLY_OK;
}

tally_status ty_shard_load_closings(struct ty_shard *shard, tally_error *error)
{
    tally_status status;

    shard->error.message[0] = '\0';
    status = ty_store_each_closing(shard->store, load, shard, error);
    return status == TALLY_OK || shard->error.message[0] == '\0'
               ? status
               : ty_fail(error, status, "%s", shard->error.message);
}
