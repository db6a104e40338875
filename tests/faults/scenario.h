/*
 * scenario.h: what the tests of faults do to a shard, and what must come of it.
 *
 * Threads: the test's.
 */
#ifndef TY_TESTS_FAULTS_SCENARIO_H
#define TY_TESTS_FAULTS_SCENARIO_H

#include "tests/support/shard_world.h"

#define TY_SCENARIO_EVENTS_MAX 3000
#define TY_SCENARIO_SERIES     20

/* A batch of events that no other batch has, and the part that is committed. */
struct ty_sending {
    struct ty_batch batch;
    struct ty_part part;
    char ids[TY_SCENARIO_EVENTS_MAX][16];
};

/* Makes `count` events of a series, all at one time. */
void ty_sending_init(struct ty_sending *sending, struct ty_world *world, unsigned customer,
                     unsigned workflow, int64_t time_ms, unsigned count);
void ty_sending_fini(struct ty_sending *sending);
tally_status ty_sending_commit(struct ty_sending *sending, struct ty_world *world);
/* Decides the second while the first is being stored, as the writer does (shard/pipeline.c). */
void ty_sendings_commit_ahead(struct ty_sending *first, struct ty_sending *second,
                              struct ty_world *world);
/* How many of its events ended so. */
size_t ty_sending_count(const struct ty_sending *sending, tally_result result);

/* All events of a series from 2000 to March 2023; the query must succeed. */
uint64_t ty_scenario_events(struct ty_world *world, unsigned customer, unsigned workflow);

/* Workflow 1 of customers 0 to TY_SCENARIO_SERIES - 1 gets an event in each of three months, a
 * month's in one commit. ty_scenario_filled tells whether they have exactly what so many calls
 * gave. */
void ty_scenario_fill(struct ty_world *world);
bool ty_scenario_filled(struct ty_world *world, uint64_t times);

/* A month that has ended in the world, and a time in it. */
#define TY_SCENARIO_JANUARY    636
#define TY_SCENARIO_JANUARY_MS INT64_C(1673000000000)

/* How far a customer's months are closed, by what is stored. */
struct ty_closed ty_scenario_closed(struct ty_world *world, unsigned customer);

/* An empty directory in place of the world's, whose shard is closed. */
void ty_scenario_empty(struct ty_world *world);

#endif
