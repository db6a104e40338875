/*
 * shard_world.h: a shard, or a database, with a directory, a clock and storage faults of the test's
 * own. Time stands still until the test moves it. What must not go wrong here aborts.
 *
 * Threads: the test's; a database's writers read the clock and the faults.
 */
#ifndef TY_TESTS_SUPPORT_SHARD_WORLD_H
#define TY_TESTS_SUPPORT_SHARD_WORLD_H

#include <stdatomic.h>

#include "query/range.h"
#include "shard/database.h"
#include "shard/shard_internal.h"
#include "tests/support/temporary_directory.h"

#define TY_WORLD_START_MS INT64_C(1675252800000) /* 2023-02-01T12:00:00Z */

struct ty_world {
    struct ty_temporary_directory directory;
    _Atomic int64_t wall_ms;
    _Atomic int64_t mono_ns;
    struct ty_clock clock;
    struct ty_faults faults;
    _Atomic int fault_point; /* enum ty_fault_point; -1: none */
    _Atomic int fault_skips; /* how often it passes before it hits, once */
    int fault_code;
    struct ty_shard_options options; /* of `shard`; change them while it is closed */
    struct ty_database_record record;
    struct ty_shard *shard; /* NULL: closed */
    char problem[256];      /* of the last ty_world_commit() or submission; "" for none */
};

/* A world without sync, with a dedup window of an hour and room for everything; its shard is
 * closed. */
void ty_world_init(struct ty_world *world);
void ty_world_fini(struct ty_world *world);

/* Moves both clocks on. */
void ty_world_pass(struct ty_world *world, int64_t ms);

/* Lets a fault point fail once, after it has passed `skips` times. Tells whether it did. */
void ty_world_fail(struct ty_world *world, enum ty_fault_point point, int skips, int code);
bool ty_world_has_failed(const struct ty_world *world);

/* --- One shard --- */

tally_status ty_world_try_open(struct ty_world *world, tally_error *error);
void ty_world_open(struct ty_world *world);
void ty_world_close(struct ty_world *world);  /* writes what is dirty */
void ty_world_crash(struct ty_world *world);  /* closed without writing anything */
void ty_world_reopen(struct ty_world *world); /* crash and open */

struct ty_uuid ty_world_customer(unsigned number);
struct ty_uuid ty_world_workflow(unsigned number);

/* An event now: 5 credits, 1 document, 3 pages, 1,200 ms. `id` is borrowed. */
struct ty_event ty_world_event(const struct ty_world *world, unsigned customer, unsigned workflow,
                               const char *id);

/* Commits events as one part; results may be NULL. Checks the shard's invariants. */
tally_status ty_world_commit(struct ty_world *world, const struct ty_event *events, size_t count,
                             tally_result *results);
/* Commits one event and returns what became of it; the commit must succeed. */
tally_result ty_world_send(struct ty_world *world, const struct ty_event *event);

/* The sequence of the oldest journal value, 0 when there is none; reading it must succeed. */
uint64_t ty_world_first_journal(struct ty_world *world);

/* Asks for the totals of periods [first, last], as text; `totals` has room for all. */
tally_status ty_world_usage(struct ty_world *world, unsigned customer, unsigned workflow,
                            tally_frequency frequency, const char *first, const char *last,
                            struct ty_total *totals, tally_error *error);
/* The same for one period; the query must succeed. */
struct ty_total ty_world_total(struct ty_world *world, unsigned customer, unsigned workflow,
                               tally_frequency frequency, const char *period);

struct ty_range ty_world_range(tally_frequency frequency, const char *first, const char *last);

/* --- Databases --- */

/* Opens a database in the world's directory with its clock and faults, and as many ids to a sealed
 * run as its shard has, without sync. */
tally_status ty_world_database(struct ty_world *world, unsigned shards,
                               struct ty_database **database, tally_error *error);
/* Opens one, without faults, that remembers no ids, so that its journal may be trimmed as soon as
 * events are older than retention_ms. */
tally_status ty_world_forgetful_database(struct ty_world *world, unsigned shards,
                                         int64_t retention_ms, struct ty_database **database,
                                         tally_error *error);
/* Submits events and waits; the problem goes to world->problem. */
tally_status ty_world_submit(struct ty_world *world, struct ty_database *database,
                             const struct ty_event *events, size_t count, tally_result *results);

#endif
