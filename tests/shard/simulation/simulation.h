/*
 * simulation.h: what the files of the simulation share.
 *
 * A database of one or several shards is driven from a seed through everything that can happen to
 * it, and every answer is compared with the reference. One thread, simulated clocks, simulated
 * faults: the same seed does the same again.
 *
 *   world.c    clocks, faults, options, opening, crashes
 *   events.c   batches of events and rejects
 *   commits.c  commits, their failures, what became of them
 *   voids.c    events that are taken out again
 *   closings.c months that are closed, and revisions of them
 *   checks.c   queries and lists against the reference
 *   readers.c  the feed against the reference
 *   disk.c     what is stored, against itself
 *   moves.c    the same, loaded into other numbers of shards
 *
 * Everything that is wrong prints seed and step, and aborts.
 */
#ifndef TY_TESTS_SIMULATION_H
#define TY_TESTS_SIMULATION_H

#include <stdio.h>
#include <stdlib.h>

#include "engine/closing.h"
#include "query/feed.h"
#include "shard/database_internal.h"
#include "shard/shard_internal.h"
#include "tests/support/random.h"
#include "tests/support/reference.h"
#include "tests/support/reject_reference.h"
#include "tests/support/temporary_directory.h"

#define CUSTOMERS     5
#define WORKFLOWS     4
#define SHARDS_MAX    3
#define EVENTS_MAX    40 /* of a batch */
#define BATCHES_MAX   3  /* of a step */
#define REJECTS_MAX   6  /* of a part */
#define VOIDS_MAX     6  /* of a part */
#define CLOSINGS_MAX  80 /* of a customer: more months than the clock can reach */
#define READERS       2
#define FAULT_POINTS  (TY_FAULT_COMMITTED + 1)
#define REFERENCE_MAX 4000                   /* events after which the simulation starts over */
#define START_MS      INT64_C(1675209600000) /* 2023-02-01 */
#define DAY_MS        INT64_C(86400000)
#define HOUR_MS       INT64_C(3600000)

/* What a fault can hit. */
enum operation {
    OPERATION_OPEN,
    OPERATION_COMMIT,
    OPERATION_MAINTAIN,
    OPERATION_CLOSE,
    OPERATIONS
};

struct fault {
    int point;     /* enum ty_fault_point; -1: any */
    int countdown; /* it passes this many times before it hits; negative: none */
    int code;
    bool stays; /* hits from then on, as a broken disk does, until it is taken away */
    bool hit;
    enum operation operation;
};

/* Somebody who reads the feed from the beginning to the end and on. */
struct feed_reader {
    struct ty_feed_cursor cursor;
    uint64_t began[SHARDS_MAX]; /* the oldest value of each shard when the reader began */
    uint64_t last[SHARDS_MAX];  /* where the event given last is stored */
    bool trimmed;               /* was told that values are missing */
};

/* The closings of a customer that were stored, one behind the other. */
struct closing_history {
    struct ty_closed closings[CLOSINGS_MAX]; /* `revisions` means nothing */
    size_t count;
};

struct simulation {
    struct ty_random random;
    uint64_t seed;
    struct ty_temporary_directory directory;
    char paths[SHARDS_MAX][80];
    struct ty_shard_options options;
    struct ty_faults faults;
    struct fault fault;
    struct ty_database database; /* without writers: the simulation is every shard's owner */
    struct ty_shard *shards[SHARDS_MAX];
    bool created;
    bool keeps_window;      /* of remembered ids, over all restarts */
    int64_t window_kept_ms; /* by every life of this database */
    struct reference reference;
    struct reject_reference rejects;
    struct feed_reader readers[READERS];
    struct closing_history histories[CUSTOMERS];
    int64_t wall_ms, mono_ns;            /* the simulated clocks */
    int64_t arrival_ms[SHARDS_MAX];      /* of the last commit */
    int64_t arrival_mono_ns[SHARDS_MAX]; /* and when that was */
    uint64_t next_id;
    uint64_t steps, events, commits, failures, unknown, stored_unknown, full, retries, crashes,
        opens_failed, queries, pages, jumps, restarts, duplicates, conflicts, expired, trimmed,
        seals;
    uint64_t rejects_kept, rejects_resent, rejects_dropped;
    uint64_t voids, void_again;
    uint64_t closings, closings_refused, closing_lists, revisions;
    uint64_t launched, withdrawn, lost_in_flight;
    uint64_t verified_ids, verified_partly, moves, repeated;
    uint64_t hits[OPERATIONS][FAULT_POINTS];
};

#define CHECK(simulation, condition, ...)                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "seed %llu, step %llu: %s: ", (unsigned long long)(simulation)->seed,  \
                    (unsigned long long)(simulation)->steps, #condition);                          \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fprintf(stderr, "\n");                                                                 \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static inline uint64_t below(struct simulation *simulation, uint64_t n)
{
    return ty_random_below(&simulation->random, n);
}

static inline bool one_in(struct simulation *simulation, uint64_t n)
{
    return below(simulation, n) == 0;
}

static inline struct ty_uuid make_uuid(uint8_t kind, uint64_t number)
{
    struct ty_uuid uuid = {{kind}};

    uuid.bytes[15] = (uint8_t)number;
    return uuid;
}

/* world.c */
void simulation_begin(struct simulation *simulation); /* a new and empty database */
void simulation_end(struct simulation *simulation);
void simulation_pass_time(struct simulation *simulation);
/* A millisecond passes, so that no two commits of a shard have the same time. */
void simulation_tick(struct simulation *simulation);
/* A kill at this very moment: memory is gone, storage stays. Opened again, maybe in several
 * attempts. */
void simulation_crash(struct simulation *simulation);
/* A stop and a start, sometimes with other options. */
void simulation_restart(struct simulation *simulation);
void simulation_maintain(struct simulation *simulation);
/* Sometimes lets a later step of an operation fail; disarm in any case. */
void simulation_arm(struct simulation *simulation, enum operation operation);
void simulation_disarm(struct simulation *simulation);
/* How far back a shard remembers ids. */
int64_t simulation_remembered_ms(const struct simulation *simulation, unsigned shard);

/* events.c */
void simulation_fill_batch(struct simulation *simulation, struct ty_batch *batch);
void simulation_fill_rejects(struct simulation *simulation, struct ty_part *part,
                             struct ty_reject rejects[REJECTS_MAX]);

/* voids.c: what a part voids, and the reference's events that those are. */
struct void_work {
    struct ty_void voids[VOIDS_MAX];
    struct reference_event *known[VOIDS_MAX];
    struct ty_arena arena;
};

/* Adds voids of a customer of the shard to a part, or none. */
void simulation_fill_voids(struct simulation *simulation, unsigned shard, struct ty_part *part,
                           struct void_work *work);
/* The commit of the first `count` voids, in a journal value, succeeded. */
void simulation_learn_voids(struct simulation *simulation, unsigned shard, uint64_t sequence,
                            const struct void_work *work, size_t count);
/* A void was found in the journal, of a commit whose outcome was unknown; and after all of them. */
void simulation_take_void(struct simulation *simulation, unsigned shard, uint64_t sequence,
                          const struct ty_journal_record *record, struct void_work *work,
                          size_t count);
void simulation_check_taken_voids(struct simulation *simulation, const struct void_work *work,
                                  size_t count, uint64_t first);

/* closings.c: adds a closing of a customer of the shard to a part, or none. */
void simulation_fill_close(struct simulation *simulation, unsigned shard, struct ty_part *part,
                           struct ty_close *close);
/* The commit of a closing succeeded, and all its events are in the reference. */
void simulation_learn_close(struct simulation *simulation, const struct ty_close *close,
                            const struct reference_commit *commit);
/* The same, of a commit whose outcome was unknown: storage tells; `stored`: it is known meanwhile
 * that the commit is stored. */
void simulation_take_close(struct simulation *simulation, struct ty_close *close, bool stored,
                           const struct reference_commit *commit);
/* How far a customer's months are closed, and all its revisions, must be what the reference says.
 */
void simulation_check_closings(struct simulation *simulation, unsigned customer);

/* commits.c */
void simulation_commit(struct simulation *simulation);
/* Commits what a shard was sent. Whoever is not answered, or answered that nothing was stored,
 * sends the same again: then it counts once. */
void simulation_commit_parts(struct simulation *simulation, unsigned shard, struct ty_part *parts);
/* A commit that succeeded: every result must be right, and what was accepted is remembered. */
void simulation_learn(struct simulation *simulation, const struct ty_part *parts,
                      const struct reference_commit *commit);
/* One whose outcome is unknown: the shard takes no more, and is opened again. */
void simulation_learn_unknown(struct simulation *simulation, struct ty_part *parts,
                              struct reference_commit *commit);
/* After that, or a crash before anybody was answered: the journal tells what became of it. */
void simulation_learn_lost(struct simulation *simulation, struct ty_part *parts,
                           struct reference_commit *commit);
void simulation_check_refused(struct simulation *simulation, const struct ty_part *parts);

/* ahead.c: commits of one shard, each decided while the one before is being stored. */
void simulation_commit_ahead(struct simulation *simulation);

/* disk.c: of a database that is closed. */
void simulation_verify(struct simulation *simulation);
void simulation_verify_shard(struct simulation *simulation, const char *path, unsigned shard);
/* moves.c: what is stored lives on in other numbers of shards, which are verified. */
void simulation_move(struct simulation *simulation);

/* checks.c */
void simulation_query(struct simulation *simulation);
/* Hours, days, weeks and months of everything must add up to the same. */
void simulation_check_sums(struct simulation *simulation);
/* Lists some rejects, or all (SIZE_MAX), from somewhere on. */
void simulation_list_rejects(struct simulation *simulation, size_t limit);

/* readers.c */
void simulation_read_page(struct simulation *simulation);
/* Every reader reads to the end, and each customer's events are read alone. */
void simulation_read_everything(struct simulation *simulation);
/* The oldest value that a shard's journal keeps; one after the last when it is empty. */
uint64_t simulation_first_value(struct simulation *simulation, unsigned shard);

#endif
