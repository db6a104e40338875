/*
 * test_simulation.c: drives a database of one or three shards from a seed through everything that
 * can happen to it, and compares every answer with the reference.
 *
 * Batches, duplicates, conflicts, late and early events, ids that expire, rejects, voids, closed
 * months, failing storage at every step of an open, a commit, a maintenance and a close, disks that
 * stay broken, full maps, crashes, restarts with other options, checkpoints, trims, clocks that
 * jump by an hour, a day and a year, queries of all frequencies and readers of the feed, in random
 * order; and what is stored must pass `tally verify`, also in another number of shards. What breaks
 * for a user when this fails: an invoice. The seed is printed; `test_shard_simulation SEED [STEPS]`
 * repeats.
 */
#include <string.h>

#include "tests/shard/simulation/simulation.h"

static void step(struct simulation *simulation)
{
    simulation->steps++;
    simulation_pass_time(simulation);
    switch (below(simulation, 25)) {
    case 0:
        simulation_crash(simulation);
        break;
    case 1:
        simulation_restart(simulation);
        break;
    case 2:
    case 3:
        simulation_maintain(simulation);
        break;
    case 4:
    case 5:
    case 6:
        simulation_query(simulation);
        break;
    case 7:
        simulation_list_rejects(simulation,
                                one_in(simulation, 4) ? SIZE_MAX : 1 + below(simulation, 20));
        break;
    case 8:
    case 9:
        simulation_read_page(simulation);
        break;
    case 10:
        simulation_check_closings(simulation, (unsigned)below(simulation, CUSTOMERS));
        break;
    case 11:
    case 12:
    case 13:
    case 14:
    case 15:
        simulation_commit_ahead(simulation);
        break;
    default:
        simulation_commit(simulation);
    }
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        ty_shard_check(simulation->shards[i]);
}

static void live_once(struct simulation *simulation, uint64_t steps)
{
    simulation_begin(simulation);
    for (uint64_t i = 0; i < steps && simulation->reference.count < REFERENCE_MAX; i++)
        step(simulation);
    simulation_check_sums(simulation);
    simulation_list_rejects(simulation, SIZE_MAX);
    simulation_read_everything(simulation);
    for (unsigned i = 0; i < CUSTOMERS; i++)
        simulation_check_closings(simulation, i);
    simulation_end(simulation);
}

static void print(const char *name, uint64_t count)
{
    printf("  %-18s %llu\n", name, (unsigned long long)count);
}

static void report(const struct simulation *simulation)
{
    static const char *const operations[OPERATIONS] = {"open", "commit", "maintain", "close"};

    print("steps", simulation->steps);
    print("events", simulation->events);
    print("commits", simulation->commits);
    print("  failed", simulation->failures);
    print("  unknown", simulation->unknown);
    print("  unknown, stored", simulation->stored_unknown);
    print("  map full", simulation->full);
    print("  sent again", simulation->retries);
    print("  launched ahead", simulation->launched);
    print("  withdrawn", simulation->withdrawn);
    print("  lost in flight", simulation->lost_in_flight);
    print("crashes", simulation->crashes);
    print("restarts", simulation->restarts);
    print("ids verified", simulation->verified_ids);
    print("  verified partly", simulation->verified_partly);
    print("  ids repeated", simulation->repeated);
    print("moves", simulation->moves);
    print("opens that failed", simulation->opens_failed);
    print("clock jumps", simulation->jumps);
    print("queries", simulation->queries);
    print("pages of the feed", simulation->pages);
    print("duplicates", simulation->duplicates);
    print("conflicts", simulation->conflicts);
    print("expired ids", simulation->expired);
    print("runs sealed", simulation->seals);
    print("trimmed events", simulation->trimmed);
    print("voids", simulation->voids);
    print("voids again", simulation->void_again);
    print("closings", simulation->closings);
    print("closings refused", simulation->closings_refused);
    print("closings checked", simulation->closing_lists);
    print("  revisions", simulation->revisions);
    print("rejects kept", simulation->rejects_kept);
    print("rejects resent", simulation->rejects_resent);
    print("rejects dropped", simulation->rejects_dropped);
    for (int i = 0; i < OPERATIONS; i++)
        printf("  faults, %-8s begin %llu, put %llu, commit %llu, committed %llu\n", operations[i],
               (unsigned long long)simulation->hits[i][TY_FAULT_BEGIN],
               (unsigned long long)simulation->hits[i][TY_FAULT_PUT],
               (unsigned long long)simulation->hits[i][TY_FAULT_COMMIT],
               (unsigned long long)simulation->hits[i][TY_FAULT_COMMITTED]);
}

/* A run of some length must have met everything that it is there for. */
static void check_coverage(struct simulation *simulation)
{
    /* An open writes only when it creates, so that two of its points are rare. */
    for (int i = 0; i < OPERATIONS; i++)
        for (int point = 0; point < (i == OPERATION_OPEN ? 1 : FAULT_POINTS); point++)
            CHECK(simulation, simulation->hits[i][point] != 0,
                  "no fault %d in operation %d: the run covers too little", point, i);
    CHECK(simulation,
          simulation->stored_unknown != 0 && simulation->full != 0 && simulation->retries != 0 &&
              simulation->jumps != 0 && simulation->expired != 0 && simulation->trimmed != 0 &&
              simulation->conflicts != 0 && simulation->rejects_dropped != 0 &&
              simulation->voids != 0 && simulation->void_again != 0 && simulation->closings != 0 &&
              simulation->closings_refused != 0 && simulation->revisions != 0 &&
              simulation->seals != 0 && simulation->launched != 0 && simulation->withdrawn != 0 &&
              simulation->lost_in_flight != 0 && simulation->verified_ids != 0 &&
              simulation->verified_partly != 0 && simulation->moves != 0,
          "the run covers too little");
}

int main(int argc, char **argv)
{
    static struct simulation simulation;
    uint64_t steps = argc > 2 ? strtoull(argv[2], NULL, 10) : 3000;

    simulation.seed =
        argc > 1 && strcmp(argv[1], "random") != 0 ? strtoull(argv[1], NULL, 10) : ty_random_seed();
    printf("seed %llu\n", (unsigned long long)simulation.seed);
    fflush(stdout);
    ty_random_init(&simulation.random, simulation.seed);
    while (simulation.steps < steps)
        live_once(&simulation, steps - simulation.steps);
    report(&simulation);
    if (steps >= 20000)
        check_coverage(&simulation);
    return 0;
}
