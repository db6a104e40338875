/*
 * script.h: what a producer sends to a database in its life, made from a seed before it is sent,
 * and what a database that has got the first so many batches of it must say.
 *
 * A script is the same in whichever life of a database it is played, so that what an image of the
 * disk holds can be compared with a part of it.
 */
#ifndef TY_TESTS_POWERCUT_SCRIPT_H
#define TY_TESTS_POWERCUT_SCRIPT_H

#include "engine/total.h"
#include "shard/database_internal.h"
#include "tests/support/reject_reference.h"

#define SCRIPT_CUSTOMERS 6
#define SCRIPT_WORKFLOWS 4
#define SCRIPT_HOURS     (12 * 24)
#define SCRIPT_START_MS  INT64_C(1675209600000) /* 2023-02-01, in the middle of the hours */
#define SCRIPT_FIRST_MS  (SCRIPT_START_MS - 6 * INT64_C(86400000))
#define SCRIPT_WINDOW_MS INT64_C(1800000)
#define SCRIPT_REJECTS   3 /* of a batch, at most */

struct script_event {
    struct ty_event event; /* its id points to `id` */
    char id[40];
    tally_result first; /* what it must come to when its batch is new */
    tally_result again; /* and when its batch is stored */
    uint32_t origin;    /* the batch that stored its id first */
};

enum script_restart { NO_RESTART, RESTART_CLEAN, RESTART_KILLED };

struct script_batch {
    int64_t wall_ms;
    enum script_restart restart; /* before it */
    struct script_event *events;
    uint32_t count;
    struct ty_reject rejects[SCRIPT_REJECTS];
    uint32_t reject_count;
};

struct script {
    tally_options options; /* without a directory */
    struct script_batch *batches;
    uint32_t count;
    struct reject_reference rejects; /* only for the memory of their texts */
    bool rejects_are_dropped;        /* there are more than may be kept */
};

void script_make(struct script *script, struct ty_random *random, unsigned shards, uint32_t count);
void script_fini(struct script *script);

struct ty_uuid script_customer(uint32_t number);
struct ty_uuid script_workflow(uint32_t number);

/* Totals by series and hour: customer, workflow, hour. */
struct script_totals {
    struct ty_total hours[SCRIPT_CUSTOMERS][SCRIPT_WORKFLOWS][SCRIPT_HOURS];
};

/* Adds what a batch counts for the customers of one shard. */
void script_add(const struct script *script, uint32_t batch, const struct ty_database *database,
                unsigned shard, struct script_totals *totals);

/* Whether a batch stores an event on a shard when it is new: then it is one journal value there. */
bool script_stores(const struct script *script, uint32_t batch, const struct ty_database *database,
                   unsigned shard);

#endif
