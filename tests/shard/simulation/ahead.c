/*
 * ahead.c: the steps of shard/pipeline.c, in every order that the writer's two threads could bring
 * them into, with failures and crashes between any two.
 */
#include <string.h>

#include "tests/shard/simulation/simulation.h"

#define LOADS 8

/* What a client sends at a time: the events of a batch that live on the shard. */
struct load {
    struct ty_batch batch;
    struct ty_part part;
    uint32_t indexes[EVENTS_MAX];
};

struct ahead {
    struct simulation *simulation;
    unsigned shard;
    struct load loads[LOADS];
    unsigned sent; /* loads that were prepared */
    unsigned count;
    struct reference_commit building; /* the commit that is being prepared */
    struct reference_commit flight;   /* the one that was launched */
    bool stored;                      /* ty_shard_store() has returned for it */
};

static struct ty_shard *shard_of(const struct ahead *ahead)
{
    return ahead->simulation->shards[ahead->shard];
}

static void fill_load(struct ahead *ahead, struct load *load)
{
    struct simulation *simulation = ahead->simulation;

    simulation_fill_batch(simulation, &load->batch);
    for (uint32_t i = 0; i < load->batch.event_count; i++)
        if (ty_database_shard_index(&simulation->database, &load->batch.events[i].customer) ==
            ahead->shard)
            load->indexes[load->part.count++] = i;
    load->part.batch = &load->batch;
    load->part.indexes = load->indexes;
}

static void prepare(struct ahead *ahead)
{
    struct simulation *simulation = ahead->simulation;
    struct ty_shard *of = shard_of(ahead);
    bool begins = of->commit->parts == NULL;
    int64_t remembered_ms;

    if (begins && one_in(simulation, 3))
        simulation_pass_time(simulation);
    simulation_tick(simulation);
    if (begins)
        ahead->building =
            (struct reference_commit){.shard = ahead->shard, .remembered_ms = INT64_MAX};
    else /* The disk takes its time. */
        for (uint64_t ms = below(simulation, one_in(simulation, 4) ? 900 : 20); ms > 0; ms--)
            simulation_tick(simulation);
    ahead->building.mono_ns = simulation->mono_ns;
    ty_shard_prepare(of, &ahead->loads[ahead->sent++].part);
    ahead->building.received_ms = of->commit->received_ms;
    ahead->building.arrival_ms = of->commit->arrival_ms;
    remembered_ms = of->ids == NULL ? 0 : ty_id_index_gauges(of->ids).window_ms;
    ahead->building.remembered_ms = TY_MIN(ahead->building.remembered_ms, remembered_ms);
}

/* What is not asked for while it is prepared: a shard that is full, or failed, is not. */
static bool may_prepare(struct ahead *ahead)
{
    struct ty_shard *of = shard_of(ahead);

    return ahead->sent < ahead->count && !of->failed &&
           (of->commit->parts != NULL || !ty_shard_is_full(of));
}

static void learn_flight(struct ahead *ahead, struct ty_part *parts, tally_status status)
{
    struct simulation *simulation = ahead->simulation;

    simulation->commits++;
    if (status == TALLY_OK) {
        simulation_learn(simulation, parts, &ahead->flight);
        return;
    }
    simulation_check_refused(simulation, parts);
    if (status == TALLY_UNKNOWN)
        simulation_learn_unknown(simulation, parts, &ahead->flight);
    else if (one_in(simulation, 2))
        simulation_commit_parts(simulation, ahead->shard, parts);
}

/* What the writer does when nothing is being stored. */
static void turn(struct ahead *ahead)
{
    struct simulation *simulation = ahead->simulation;
    struct ty_shard *of = shard_of(ahead);
    tally_status status = of->flight == NULL ? TALLY_OK : of->flight->status;
    struct reference_commit landed = ahead->flight;
    struct ty_part *parts, *alone = NULL;
    bool launched;

    ty_shard_land(of);
    if (status == TALLY_OK)
        landed.sequence = of->state.last_sequence;
    launched = ty_shard_launch(of);
    simulation->launched += launched;
    ahead->flight = landed;
    parts = ty_shard_publish(of);
    if (!launched)
        alone = ty_shard_withdraw(of);
    if (parts != NULL)
        learn_flight(ahead, parts, status);
    if (launched) {
        ahead->flight = ahead->building;
        ahead->flight.sequence = of->state.last_sequence + 1;
        ahead->stored = false;
    } else if (alone != NULL) {
        simulation->withdrawn++;
        simulation_commit_parts(simulation, ahead->shard, alone);
    }
}

static void forget_results(struct ty_part *parts)
{
    for (; parts != NULL; parts = parts->next)
        for (uint32_t i = 0; i < parts->count; i++)
            parts->batch->outcomes[ty_part_event(parts, i)->record].result = TALLY_NOT_STORED;
}

/* Killed with a commit on its way: nobody was answered. */
static void crash(struct ahead *ahead)
{
    struct simulation *simulation = ahead->simulation;
    struct ty_shard *of = shard_of(ahead);
    bool has_events = of->flight != NULL && of->flight->candidate_count != 0;
    struct ty_part *parts = of->flight == NULL ? NULL : of->flight->parts;

    simulation_crash(simulation);
    if (!has_events)
        return;
    simulation->lost_in_flight++;
    forget_results(parts);
    simulation_learn_lost(simulation, parts, &ahead->flight);
}

/* One thing that may happen next. */
static void happen(struct ahead *ahead)
{
    struct simulation *simulation = ahead->simulation;
    struct ty_shard *of = shard_of(ahead);
    bool storing = of->flight != NULL && !ahead->stored;

    if (one_in(simulation, 80)) {
        crash(ahead);
    } else if (one_in(simulation, 12) && (of->flight == NULL || of->flight->status == TALLY_OK)) {
        simulation_query(simulation); /* sees nothing of what is on its way */
    } else if (may_prepare(ahead) && one_in(simulation, 2)) {
        prepare(ahead);
    } else if (storing) {
        ty_shard_store(of);
        ahead->stored = true;
    } else if (ty_shard_is_ahead(of)) {
        turn(ahead);
    }
}

void simulation_commit_ahead(struct simulation *simulation)
{
    static struct ahead ahead;

    memset(&ahead, 0, sizeof(ahead));
    ahead.simulation = simulation;
    ahead.shard = (unsigned)below(simulation, simulation->database.shard_count);
    ahead.count = 1 + (unsigned)below(simulation, LOADS);
    for (unsigned i = 0; i < ahead.count; i++)
        fill_load(&ahead, &ahead.loads[i]);
    simulation_arm(simulation, OPERATION_COMMIT);
    while (ty_shard_is_ahead(shard_of(&ahead)) || may_prepare(&ahead))
        happen(&ahead);
    simulation_disarm(simulation);
    for (unsigned i = 0; i < ahead.count; i++)
        ty_batch_fini(&ahead.loads[i].batch);
}
