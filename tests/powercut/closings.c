#include "tests/powercut/cuts.h"

/* How many events of January a customer sent after it was closed, in the batches before `end`, and
 * in that one if it is stored. */
static uint64_t count_late(uint32_t customer, uint32_t end, bool with_end)
{
    uint64_t count = 0;

    for (uint32_t i = CLOSE_AFTER; i < end + with_end; i++)
        for (uint32_t k = 0; k < test.batches[i].count; k++) {
            const struct script_event *event = &test.batches[i].events[k];

            count += event->first == TALLY_ACCEPTED &&
                     event->event.customer.bytes[15] == customer &&
                     event->event.time_ms != TALLY_TIME_OF_ARRIVAL &&
                     event->event.time_ms < SCRIPT_START_MS;
        }
    return count;
}

static struct ty_total january_of(uint32_t customer, uint32_t workflow)
{
    struct ty_total sum = {0};

    for (int64_t hour = 0; hour < (SCRIPT_START_MS - SCRIPT_FIRST_MS) / HOUR_MS; hour++)
        ty_total_add(&sum, &want.hours[customer][workflow][hour]);
    return sum;
}

/* Each revision goes on where the one before ended, and the last with what January holds. Returns
 * how many events they tell of. */
static uint64_t follow_revisions(struct ty_snapshot *snapshot, uint32_t customer, uint64_t count)
{
    struct ty_uuid id = script_customer(customer), owner, workflow;
    struct ty_total ends[SCRIPT_WORKFLOWS] = {{0}};
    bool has_end[SCRIPT_WORKFLOWS] = {false};
    tally_error error = {""};
    uint64_t events = 0;

    for (uint64_t number = 1; number <= count; number++) {
        struct ty_revision revision;
        uint8_t w;

        CHECK(ty_snapshot_get_revision(snapshot, &id, number, &revision, &error) == TALLY_OK, "%s",
              error.message);
        CHECK(ty_snapshot_get_series(snapshot, revision.series, &owner, &workflow, &error) ==
                  TALLY_OK,
              "%s", error.message);
        w = workflow.bytes[15];
        CHECK(revision.month == JANUARY && ty_uuid_compare(&owner, &id) == 0, "another's");
        CHECK(!has_end[w] || ty_total_equal(&ends[w], &revision.before), "revision %llu of %u",
              (unsigned long long)number, customer);
        CHECK(revision.after.events == revision.before.events + revision.events, "its cause");
        has_end[w] = true;
        ends[w] = revision.after;
        events += revision.events;
    }
    for (uint32_t w = 0; w < SCRIPT_WORKFLOWS; w++) {
        struct ty_total january = january_of(customer, w);

        CHECK(!has_end[w] || ty_total_equal(&ends[w], &january), "the last of customer %u",
              customer);
    }
    return events;
}

void cuts_check_closings(struct ty_database *database, const struct progress *progress,
                         uint32_t end, const bool *is_end_stored)
{
    for (uint32_t i = 0; i < CLOSED; i++) {
        struct ty_uuid customer = script_customer(i);
        unsigned shard = ty_database_shard_index(database, &customer);
        struct ty_store *store = ty_shard_view(ty_database_shard(database, shard)).store;
        struct ty_snapshot *snapshot;
        struct ty_closed found;
        tally_error error = {""};
        uint64_t events;

        CHECK(ty_snapshot_begin(store, &snapshot, &error) == TALLY_OK, "%s", error.message);
        CHECK(ty_snapshot_get_closed(snapshot, &customer, &found, &error) == TALLY_OK, "%s",
              error.message);
        events = follow_revisions(snapshot, i, found.revisions);
        ty_snapshot_end(store, snapshot);
        CHECK(found.through == JANUARY || progress->counts[MARK_CLOSE_DONE] <= i ||
                  !cuts_is_known(i),
              "a closing is lost");
        CHECK(found.through == TY_NOT_CLOSED || progress->counts[MARK_CLOSE_BEGUN] > i,
              "a closing that nobody asked for");
        if (found.through == TY_NOT_CLOSED)
            CHECK(found.revisions == 0, "revisions of an open month");
        else
            CHECK(events == count_late(i, end, is_end_stored[shard]),
                  "%llu events are told of, not %llu", (unsigned long long)events,
                  (unsigned long long)count_late(i, end, is_end_stored[shard]));
        test.revisions += found.revisions;
    }
}
