#include "tests/faults/scenario.h"

#include <stdio.h>
#include <string.h>

#include "query/usage.h"
#include "storage/snapshot.h"

#define MONTHS 3

static unsigned next_id;

static void add_event(struct ty_sending *sending, struct ty_world *world, unsigned customer,
                      unsigned workflow, int64_t time_ms)
{
    struct ty_event *event = ty_batch_add(&sending->batch);
    uint32_t record = event->record;

    TY_ASSERT(record < TY_SCENARIO_EVENTS_MAX);
    snprintf(sending->ids[record], sizeof(sending->ids[record]), "e%u", next_id++);
    *event = ty_world_event(world, customer, workflow, sending->ids[record]);
    event->record = record;
    event->time_ms = time_ms;
}

static void seal(struct ty_sending *sending, struct ty_world *world)
{
    ty_batch_seal(&sending->batch, &world->record.secret);
    sending->part =
        (struct ty_part){.batch = &sending->batch, .count = (uint32_t)sending->batch.event_count};
}

void ty_sending_init(struct ty_sending *sending, struct ty_world *world, unsigned customer,
                     unsigned workflow, int64_t time_ms, unsigned count)
{
    memset(&sending->batch, 0, sizeof(sending->batch));
    for (unsigned i = 0; i < count; i++)
        add_event(sending, world, customer, workflow, time_ms);
    seal(sending, world);
}

void ty_sending_fini(struct ty_sending *sending)
{
    ty_batch_fini(&sending->batch);
}

tally_status ty_sending_commit(struct ty_sending *sending, struct ty_world *world)
{
    ty_shard_commit(world->shard, &sending->part);
    return sending->part.status;
}

/* Of what lands, and what must be committed alone. Returns whether more is to be stored. */
static bool turn(struct ty_shard *shard)
{
    struct ty_part *alone;
    bool launched;

    ty_shard_land(shard);
    launched = ty_shard_launch(shard);
    (void)ty_shard_publish(shard);
    if (!launched && (alone = ty_shard_withdraw(shard)) != NULL)
        ty_shard_commit(shard, alone);
    return launched;
}

void ty_sendings_commit_ahead(struct ty_sending *first, struct ty_sending *second,
                              struct ty_world *world)
{
    struct ty_shard *shard = world->shard;

    ty_shard_prepare(shard, &first->part);
    if (!turn(shard)) {
        ty_shard_commit(shard, &second->part);
        return;
    }
    ty_shard_prepare(shard, &second->part);
    do
        ty_shard_store(shard);
    while (turn(shard));
}

size_t ty_sending_count(const struct ty_sending *sending, tally_result result)
{
    size_t count = 0;

    for (size_t i = 0; i < sending->batch.record_count; i++)
        count += sending->batch.outcomes[i].result == result;
    return count;
}

uint64_t ty_scenario_events(struct ty_world *world, unsigned customer, unsigned workflow)
{
    struct ty_shard_view view = ty_shard_view(world->shard);
    struct ty_range range = ty_world_range(TALLY_MONTHLY, "2000-01", "2023-03");
    struct ty_uuid customer_id = ty_world_customer(customer);
    struct ty_uuid workflow_id = ty_world_workflow(workflow);
    struct ty_total totals[280] = {0}, sum = {0};
    tally_error error = {""};
    tally_status status = ty_usage_totals(
        &view, ty_series_find(view.series, &customer_id, &workflow_id), &range, totals, &error);

    if (status != TALLY_OK)
        fprintf(stderr, "%s: %s\n", tally_strerror(status), error.message);
    TY_ASSERT(status == TALLY_OK && ty_range_count(&range) <= (int64_t)TY_COUNT_OF(totals));
    for (size_t i = 0; i < TY_COUNT_OF(totals); i++)
        ty_total_add(&sum, &totals[i]);
    return sum.events;
}

void ty_scenario_fill(struct ty_world *world)
{
    static struct ty_sending sending;

    for (int month = 0; month < MONTHS; month++) {
        memset(&sending.batch, 0, sizeof(sending.batch));
        for (unsigned i = 0; i < TY_SCENARIO_SERIES; i++)
            add_event(&sending, world, i, 1, TY_WORLD_START_MS - month * 31 * TY_MS_PER_DAY);
        seal(&sending, world);
        TY_ASSERT(ty_sending_commit(&sending, world) == TALLY_OK);
        ty_sending_fini(&sending);
    }
}

bool ty_scenario_filled(struct ty_world *world, uint64_t times)
{
    for (unsigned i = 0; i < TY_SCENARIO_SERIES; i++)
        if (ty_scenario_events(world, i, 1) != MONTHS * times)
            return false;
    return true;
}

struct ty_closed ty_scenario_closed(struct ty_world *world, unsigned customer)
{
    struct ty_uuid id = ty_world_customer(customer);
    struct ty_snapshot *snapshot;
    struct ty_closed closed;
    tally_error error;

    TY_ASSERT(ty_snapshot_begin(world->shard->store, &snapshot, &error) == TALLY_OK);
    TY_ASSERT(ty_snapshot_get_closed(snapshot, &id, &closed, &error) == TALLY_OK);
    ty_snapshot_end(world->shard->store, snapshot);
    return closed;
}

void ty_scenario_empty(struct ty_world *world)
{
    ty_temporary_directory_remove(&world->directory);
    ty_temporary_directory_create(&world->directory);
}
