#include "engine/period.h"
#include "query/usage.h"
#include "storage/snapshot.h"
#include "tests/shard/simulation/simulation.h"

static struct ty_shard_view view_of(const struct simulation *simulation,
                                    const struct ty_uuid *customer)
{
    return ty_shard_view(ty_database_shard_of(&simulation->database, customer));
}

/* --- Queries --- */

static void check_rows(struct simulation *simulation, const struct ty_uuid *customer,
                       const struct ty_uuid *workflow, const struct ty_range *range,
                       const struct ty_total *totals, bool *any)
{
    for (int64_t i = 0; i < ty_range_count(range); i++) {
        struct ty_total want =
            reference_total(&simulation->reference, customer, workflow,
                            ty_period_start_ms(range->frequency, range->first + i),
                            ty_period_start_ms(range->frequency, range->first + i + 1));

        *any |= want.events != 0;
        CHECK(simulation, ty_total_equal(&totals[i], &want),
              "%s period %lld has %llu events and should have %llu",
              ty_frequency_name(range->frequency), (long long)(range->first + i),
              (unsigned long long)totals[i].events, (unsigned long long)want.events);
    }
}

void simulation_query(struct simulation *simulation)
{
    struct ty_uuid customer = make_uuid(0xc, below(simulation, CUSTOMERS));
    struct ty_uuid workflow = make_uuid(0x3, below(simulation, WORKFLOWS));
    struct ty_shard_view view = view_of(simulation, &customer);
    struct ty_series *series = ty_series_find(view.series, &customer, &workflow);
    struct ty_range range = {.frequency = (tally_frequency)below(simulation, 4)};
    struct ty_total totals[64] = {0};
    bool any = false, want_any = false;
    tally_error error;
    int64_t around = simulation->wall_ms - (int64_t)below(simulation, 60 * (uint64_t)DAY_MS);

    range.first = ty_period_of_ms(range.frequency, around) - (int64_t)below(simulation, 10);
    range.last = range.first + (int64_t)below(simulation, TY_COUNT_OF(totals));
    CHECK(simulation, ty_usage_totals(&view, series, &range, totals, &error) == TALLY_OK, "%s",
          error.message);
    check_rows(simulation, &customer, &workflow, &range, totals, &want_any);
    if (series != NULL)
        CHECK(simulation, ty_usage_any(&view, series, &range, &any, &error) == TALLY_OK, "%s",
              error.message);
    CHECK(simulation, any == want_any, "used or not");
    simulation->queries++;
}

/* The sum of all periods of a frequency that could hold an event. */
static struct ty_total sum_periods(struct simulation *simulation, const struct ty_uuid *customer,
                                   const struct ty_uuid *workflow, tally_frequency frequency)
{
    struct ty_shard_view view = view_of(simulation, customer);
    struct ty_series *series = ty_series_find(view.series, customer, workflow);
    struct ty_range range = {.frequency = frequency};
    struct ty_total sum = {0}, *totals;
    tally_error error;

    range.first = ty_period_of_ms(frequency, START_MS - 900 * DAY_MS);
    range.last = ty_period_of_ms(frequency, START_MS + 1200 * DAY_MS);
    totals = calloc((size_t)ty_range_count(&range), sizeof(*totals));
    TY_ASSERT(totals != NULL);
    CHECK(simulation, ty_usage_totals(&view, series, &range, totals, &error) == TALLY_OK, "%s",
          error.message);
    for (int64_t i = 0; i < ty_range_count(&range); i++)
        ty_total_add(&sum, &totals[i]);
    free(totals);
    return sum;
}

void simulation_check_sums(struct simulation *simulation)
{
    for (unsigned number = 0; number < CUSTOMERS * WORKFLOWS; number++) {
        struct ty_uuid customer = make_uuid(0xc, number / WORKFLOWS);
        struct ty_uuid workflow = make_uuid(0x3, number % WORKFLOWS);
        struct ty_total want =
            reference_total(&simulation->reference, &customer, &workflow, INT64_MIN, INT64_MAX);
        /* Hours are many: of some series only. */
        int last = one_in(simulation, 4) ? TALLY_HOURLY : TALLY_DAILY;

        for (int frequency = TALLY_MONTHLY; frequency <= last; frequency++) {
            struct ty_total sum =
                sum_periods(simulation, &customer, &workflow, (tally_frequency)frequency);

            CHECK(simulation, ty_total_equal(&sum, &want), "the sum of all %s periods",
                  ty_frequency_name((tally_frequency)frequency));
        }
    }
}

/* --- Rejects --- */

struct reject_scan {
    struct simulation *simulation;
    size_t next; /* one above the place of the reject that must come next */
    size_t left;
};

static bool check_reject(void *context, const struct ty_kept_reject *found)
{
    struct reject_scan *scan = context;

    CHECK(scan->simulation, scan->next != 0, "reject %llu should not be there",
          (unsigned long long)found->seq);
    scan->next--;
    CHECK(scan->simulation, reject_reference_matches(&scan->simulation->rejects, scan->next, found),
          "reject %llu is not what was kept", (unsigned long long)found->seq);
    return --scan->left != 0;
}

void simulation_list_rejects(struct simulation *simulation, size_t limit)
{
    const struct reject_reference *reference = &simulation->rejects;
    struct reject_scan scan = {simulation, below(simulation, reference->kept_count + 1), limit};
    struct ty_store *store = simulation->shards[0]->store;
    const struct ty_rejects_record *record = &simulation->shards[0]->rejects;
    uint64_t before = UINT64_MAX;
    struct ty_snapshot *snapshot;
    tally_error error;
    tally_status status;

    if (limit == SIZE_MAX)
        scan.next = reference->kept_count;
    if (scan.next < reference->kept_count)
        before = reference->kept[scan.next].seq;
    CHECK(simulation, ty_snapshot_begin(store, &snapshot, &error) == TALLY_OK, "%s", error.message);
    status = ty_snapshot_each_reject(snapshot, &before, check_reject, &scan, &error);
    ty_snapshot_end(store, snapshot);
    CHECK(simulation, status == TALLY_OK, "%s", error.message);
    CHECK(simulation, scan.next == 0 || scan.left == 0, "%zu rejects are missing", scan.next);
    CHECK(simulation, record->last_seq == reference->last_seq, "a wrong seq");
    CHECK(simulation, record->count == reference->kept_count, "a wrong count of rejects");
    CHECK(simulation, record->bytes == reference->bytes, "wrong bytes of rejects");
}
