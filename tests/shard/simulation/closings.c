#include <string.h>

#include "storage/snapshot.h"
#include "tests/shard/simulation/simulation.h"

static int32_t month_of(int64_t ms)
{
    return ty_month_of_day(ty_day_of_ms(ms));
}

static struct closing_history *history_of(struct simulation *simulation,
                                          const struct ty_uuid *customer)
{
    return &simulation->histories[customer->bytes[15]];
}

/* The newest closing before a journal value; that of none closes nothing. */
static struct ty_closed closed_before(const struct closing_history *history, uint64_t sequence)
{
    struct ty_closed closed = {.through = TY_NOT_CLOSED};

    for (size_t i = 0; i < history->count && history->closings[i].sequence < sequence; i++)
        closed = history->closings[i];
    return closed;
}

void simulation_fill_close(struct simulation *simulation, unsigned shard, struct ty_part *part,
                           struct ty_close *close)
{
    struct ty_uuid customer = make_uuid(0xc, below(simulation, CUSTOMERS));

    if (ty_database_shard_index(&simulation->database, &customer) != shard)
        return;
    close->customer = customer;
    close->through = month_of(simulation->wall_ms) - (int32_t)below(simulation, 5) + 1;
    part->close = close;
}

/* --- Learning what became of it --- */

static bool is_known(const struct simulation *simulation, const struct ty_uuid *customer)
{
    for (size_t i = 0; i < simulation->reference.count; i++)
        if (ty_uuid_compare(&simulation->reference.events[i]->event.customer, customer) == 0)
            return true;
    return false;
}

static enum ty_close_result decide(struct simulation *simulation, const struct ty_close *close,
                                   const struct reference_commit *commit)
{
    int32_t through = closed_before(history_of(simulation, &close->customer), UINT64_MAX).through;

    if (!is_known(simulation, &close->customer))
        return TY_CLOSE_UNKNOWN;
    if (close->through <= through)
        return close->through == through ? TY_CLOSE_ALREADY : TY_CLOSE_EARLIER;
    return close->through < month_of(commit->received_ms) ? TY_CLOSE_DONE : TY_CLOSE_NOT_ENDED;
}

static void add(struct simulation *simulation, const struct ty_close *close,
                const struct reference_commit *commit)
{
    struct closing_history *history = history_of(simulation, &close->customer);

    TY_ASSERT(history->count < CLOSINGS_MAX);
    history->closings[history->count++] = (struct ty_closed){
        .through = close->through, .closed_ms = commit->received_ms, .sequence = commit->sequence};
    simulation->closings++;
}

void simulation_learn_close(struct simulation *simulation, const struct ty_close *close,
                            const struct reference_commit *commit)
{
    enum ty_close_result want = decide(simulation, close, commit);

    CHECK(simulation, close->result == want, "a closing through %d is %d instead of %d",
          close->through, close->result, want);
    if (want == TY_CLOSE_DONE)
        add(simulation, close, commit);
    else
        simulation->closings_refused++;
}

/* --- What storage says --- */

static struct ty_snapshot *begin(struct simulation *simulation, const struct ty_uuid *customer,
                                 struct ty_closed *closed)
{
    const struct ty_shard *shard = ty_database_shard_of(&simulation->database, customer);
    struct ty_snapshot *snapshot;
    tally_error error = {""};

    CHECK(simulation, ty_snapshot_begin(shard->store, &snapshot, &error) == TALLY_OK, "%s",
          error.message);
    CHECK(simulation, ty_snapshot_get_closed(snapshot, customer, closed, &error) == TALLY_OK, "%s",
          error.message);
    return snapshot;
}

static void end(struct simulation *simulation, const struct ty_uuid *customer,
                struct ty_snapshot *snapshot)
{
    ty_snapshot_end(ty_database_shard_of(&simulation->database, customer)->store, snapshot);
}

void simulation_take_close(struct simulation *simulation, struct ty_close *close, bool stored,
                           const struct reference_commit *commit)
{
    struct ty_closed closed;

    if (decide(simulation, close, commit) != TY_CLOSE_DONE)
        return;
    end(simulation, &close->customer, begin(simulation, &close->customer, &closed));
    if (closed.through >= close->through) /* Another part may have closed more. */
        add(simulation, close, commit);
    else
        CHECK(simulation, !stored, "a closing was left out");
}

/* --- Revisions, out of nothing but the events --- */

/* An event that came, or was voided, in one journal value. */
struct change {
    uint64_t sequence;
    int64_t received_ms;
    uint32_t series;
    int32_t month;
    bool is_void;
    const struct reference_event *event;
};

static int compare_changes(const void *a, const void *b)
{
    const struct change *left = a, *right = b;

    if (left->sequence != right->sequence)
        return left->sequence < right->sequence ? -1 : 1;
    if (left->series != right->series)
        return left->series < right->series ? -1 : 1;
    return left->month - right->month;
}

static size_t list_changes(struct simulation *simulation, const struct ty_uuid *customer,
                           struct change *changes)
{
    struct ty_shard_view view =
        ty_shard_view(ty_database_shard_of(&simulation->database, customer));
    size_t count = 0;

    for (size_t i = 0; i < simulation->reference.count; i++) {
        const struct reference_event *event = simulation->reference.events[i];
        struct change change = {event->sequence, 0, 0, month_of(event->time_ms), false, event};

        if (ty_uuid_compare(&event->event.customer, customer) != 0)
            continue;
        change.series = ty_series_find(view.series, customer, &event->event.workflow)->id;
        changes[count++] = change;
        change.is_void = true;
        change.sequence = event->void_sequence;
        if (event->voided)
            changes[count++] = change;
    }
    qsort(changes, count, sizeof(*changes), compare_changes);
    return count;
}

/* What a series used in a month up to a journal value. */
static struct ty_total total_up_to(const struct change *changes, size_t count, uint32_t series,
                                   int32_t month, uint64_t sequence)
{
    struct ty_total total = {0};

    for (size_t i = 0; i < count && changes[i].sequence <= sequence; i++) {
        const struct ty_event *event = &changes[i].event->event;
        struct ty_slot_sum sum = {1, event->credits, event->documents, event->pages,
                                  event->processing_ms},
                           none = {0};

        if (changes[i].series != series || changes[i].month != month)
            continue;
        if (changes[i].is_void)
            ty_total_replace_slot(&total, &sum, &none);
        else
            ty_total_add_slot(&total, &sum);
    }
    return total;
}

static void check_revision(struct simulation *simulation, const struct ty_revision *found,
                           const struct change *changes, size_t count, size_t first, size_t last)
{
    const struct change *change = &changes[first];
    struct ty_total before = total_up_to(changes, count, change->series, change->month,
                                         change->sequence - 1),
                    after = total_up_to(changes, count, change->series, change->month,
                                        change->sequence);
    uint64_t voided = 0;

    for (size_t i = first; i < last; i++)
        voided += changes[i].is_void;
    CHECK(simulation,
          found->sequence == change->sequence && found->series == change->series &&
              found->month == change->month,
          "revision %llu is of another change", (unsigned long long)found->number);
    CHECK(simulation,
          ty_total_equal(&found->before, &before) && ty_total_equal(&found->after, &after),
          "revision %llu has other totals", (unsigned long long)found->number);
    CHECK(simulation, found->voided == voided && found->events == last - first - voided,
          "revision %llu has another cause", (unsigned long long)found->number);
    CHECK(simulation, change->is_void || found->received_ms == change->event->received_ms,
          "revision %llu has another time", (unsigned long long)found->number);
    simulation->revisions++;
}

static void check_revisions(struct simulation *simulation, const struct ty_uuid *customer,
                            struct ty_snapshot *snapshot, uint64_t revisions)
{
    static struct change changes[2 * (REFERENCE_MAX + BATCHES_MAX * EVENTS_MAX)];
    size_t count = list_changes(simulation, customer, changes), next;
    uint64_t number = 0;

    for (size_t i = 0; i < count; i = next) {
        struct ty_revision found;
        tally_error error = {""};

        for (next = i; next < count && compare_changes(&changes[i], &changes[next]) == 0;)
            next++;
        if (changes[i].month >
            closed_before(history_of(simulation, customer), changes[i].sequence).through)
            continue;
        CHECK(simulation, ++number <= revisions, "a revision is missing");
        CHECK(simulation,
              ty_snapshot_get_revision(snapshot, customer, number, &found, &error) == TALLY_OK,
              "%s", error.message);
        check_revision(simulation, &found, changes, count, i, next);
    }
    CHECK(simulation, number == revisions, "there are %llu revisions too many",
          (unsigned long long)(revisions - number));
}

void simulation_check_closings(struct simulation *simulation, unsigned customer)
{
    struct ty_uuid id = make_uuid(0xc, customer);
    struct ty_closed closed, want = closed_before(history_of(simulation, &id), UINT64_MAX);
    struct ty_snapshot *snapshot = begin(simulation, &id, &closed);

    CHECK(simulation,
          closed.through == want.through && closed.closed_ms == want.closed_ms &&
              closed.sequence == want.sequence,
          "customer %u is closed through %d instead of %d", customer, closed.through, want.through);
    check_revisions(simulation, &id, snapshot, closed.revisions);
    end(simulation, &id, snapshot);
    simulation->closing_lists++;
}
