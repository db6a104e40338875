/*
 * cuts.h: what the files of the test of power cuts share.
 *
 *   test_cuts.c   cuts, second lives, the command line
 *   life.c        a database that works while its writes are recorded
 *   image.c       what a disk that a cut left must hold, and take again
 *   closings.c    closed months and their revisions on it
 *
 * One process, one test. What is wrong prints the seed and what was being looked at, and ends it.
 */
#ifndef TY_TESTS_POWERCUT_CUTS_H
#define TY_TESTS_POWERCUT_CUTS_H

#include <stdlib.h>
#include <string.h>

#include "engine/period.h"
#include "query/usage.h"
#include "storage/snapshot.h"
#include "tests/powercut/disk.h"
#include "tests/powercut/script.h"
#include "tests/support/shard_world.h"

#define HOUR_MS     INT64_C(3600000)
#define CLOSE_AFTER 12  /* batches: then January is closed for some customers */
#define CLOSED      3   /* of those */
#define JANUARY     636 /* the month before SCRIPT_START_MS */

/* What the producer has been told, as marks in the stream. */
enum mark {
    MARK_CREATED,
    MARK_BEGUN,
    MARK_DONE,
    MARK_REJECTS_BEGUN,
    MARK_REJECTS_DONE,
    MARK_CLOSE_BEGUN, /* for how many customers */
    MARK_CLOSE_DONE,
    MARKS
};

/* By mark, for how many batches, or customers. */
struct progress {
    uint32_t counts[MARKS];
};

struct cuts {
    uint64_t seed;
    struct ty_random random;
    struct disk_lies lies;
    struct ty_world world;
    struct ty_faults faults;
    _Atomic bool is_killed; /* no transaction begins: closing leaves everything as it is */
    struct script script;
    const struct script_batch *batches;
    char what[200]; /* is being looked at */
    uint64_t cuts, second_cuts, unborn, stored, lost, revisions;
};

extern struct cuts test;
extern struct script_totals want; /* what an image must hold, as far as is known */

#define CHECK(condition, ...) ((condition) ? (void)0 : cuts_fail(#condition, __VA_ARGS__))

__attribute__((format(printf, 2, 3))) void cuts_fail(const char *condition, const char *format,
                                                     ...);

static inline uint64_t cuts_below(uint64_t n)
{
    return ty_random_below(&test.random, n);
}

static inline bool cuts_one_in(uint64_t n)
{
    return ty_random_one_in(&test.random, n);
}

/* --- life.c --- */

void cuts_set_wall(int64_t wall_ms);
int cuts_hit_fault(void *context, enum ty_fault_point point);
struct ty_database *cuts_open(const char *root);
void cuts_close(struct ty_database *database, bool is_killed);

/* Sends the events of a batch whose ids are not older than a moment. Returns how many. */
uint32_t cuts_send_events(struct ty_database *database, const struct script_batch *batch,
                          int64_t since_ms, const struct script_event **sent,
                          tally_result *results);
void cuts_send_rejects(struct ty_database *database, const struct script_batch *batch);

/* Whether a customer has used anything before January is closed. */
bool cuts_is_known(uint32_t customer);

/* Plays batches from one to before another, recorded as a disk. */
void cuts_play(struct disk *disk, const char *root, uint32_t from, uint32_t to);

/* What the producer had been told after so many steps. */
struct progress cuts_find_progress(const struct disk *disk, size_t at);

/* --- image.c, closings.c --- */

/* Opens what a cut left under `root` and checks all of it. */
void cuts_check_image(const char *root, const struct progress *progress);

/* Finds every acknowledged closing, and of each late event that is stored a revision: those of the
 * batches before `end`, and of that one on the shards that have it. */
void cuts_check_closings(struct ty_database *database, const struct progress *progress,
                         uint32_t end, const bool *is_end_stored);

#endif
