#include "query/rejects.h"
#include "shard/database.h"
#include "tests/support/gate.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS 3

static struct ty_world world;
static struct ty_gate gate;
static struct ty_database *database;
static tally_error error;

static void init(void)
{
    ty_world_init(&world);
    ty_gate_init(&gate);
    cr_assert_eq(ty_world_database(&world, SHARDS, &database, &error), TALLY_OK, "%s",
                 error.message);
}

static void fini(void)
{
    ty_gate_open(&gate);
    ty_database_close(database);
    ty_world_fini(&world);
}

TestSuite(keep_rejects, .init = init, .fini = fini);

/* A keeping whose end can be waited for. */
struct kept {
    struct ty_keeping keeping;
    struct ty_reject reject;
    char record[24];
    unsigned done; /* how often; guarded by gate.lock */
};

static void note_done(struct ty_keeping *keeping)
{
    struct kept *kept = TY_CONTAINER_OF(keeping, struct kept, keeping);

    pthread_mutex_lock(&gate.lock);
    kept->done++;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static unsigned done_of(struct kept *kept)
{
    unsigned done;

    pthread_mutex_lock(&gate.lock);
    done = kept->done;
    pthread_mutex_unlock(&gate.lock);
    return done;
}

static void push(struct kept *kept, unsigned number, size_t count)
{
    snprintf(kept->record, sizeof(kept->record), "record-%u", number);
    kept->reject = (struct ty_reject){.code = TALLY_TOO_OLD,
                                      .time_ms = 5,
                                      .source = {"forward", 7},
                                      .record = {kept->record, strlen(kept->record)}};
    kept->keeping = (struct ty_keeping){
        .rejects = &kept->reject, .count = count, .done = note_done, .status = TALLY_IO};
    ty_database_keep_rejects(database, &kept->keeping);
}

static tally_status await(struct kept *kept)
{
    pthread_mutex_lock(&gate.lock);
    while (kept->done == 0)
        pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
    cr_assert_eq(kept->done, 1);
    return kept->keeping.status;
}

static bool count_one(void *context, const struct ty_kept_reject *kept)
{
    cr_assert_eq(kept->reject.time_ms, 5);
    ++*(size_t *)context;
    return true;
}

static size_t count_kept(void)
{
    uint64_t before = UINT64_MAX;
    size_t count = 0;
    bool more;

    cr_assert_eq(ty_rejects_list(database, &before, 100000, count_one, &count, &more, &error),
                 TALLY_OK, "%s", error.message);
    cr_assert_not(more);
    return count;
}

static void reopen_gated(uint64_t reject_bytes_max)
{
    tally_options options = TALLY_OPTIONS_INIT;

    ty_database_close(database);
    database = NULL;
    options.directory = world.directory.path;
    options.map_bytes = UINT64_C(256) << 20;
    options.dedup_memory_bytes = UINT64_C(16) << 20;
    options.flags = TALLY_NO_SYNC;
    options.reject_bytes_max = reject_bytes_max;
    cr_assert_eq(
        ty_database_open(&options,
                         &(struct ty_database_hooks){.clock = &world.clock, .faults = &gate.faults},
                         &database, &error),
        TALLY_OK, "%s", error.message);
}

/* The acknowledgement is sent when this says so: then the reject must be in the list. */
Test(keep_rejects, are_listed_when_they_are_done)
{
    struct kept kept = {0};

    push(&kept, 1, 1);
    cr_assert_eq(await(&kept), TALLY_OK);
    cr_assert(kept.keeping.problem == NULL);
    cr_assert_eq(count_kept(), 1);
    cr_assert_eq(atomic_load(&ty_shard_stats(ty_database_shard(database, 0))->rejects_kept), 1);
}

/* Without an answer the stream would stop for ever. */
Test(keep_rejects, nothing_to_keep_is_done_at_once)
{
    struct kept kept = {0};

    push(&kept, 1, 0);
    cr_assert_eq(done_of(&kept), 1);
    cr_assert_eq(kept.keeping.status, TALLY_OK);
}

/* What failed must be said with its reason, so that the chunk is not acknowledged. */
Test(keep_rejects, a_failure_is_told)
{
    struct kept kept = {0}, again = {0};

    ty_world_fail(&world, TY_FAULT_COMMIT, 0, ENOSPC);
    push(&kept, 1, 1);
    cr_assert_eq(await(&kept), TALLY_FULL);
    cr_assert_not_null(kept.keeping.problem);
    cr_assert_eq(count_kept(), 0);
    push(&again, 1, 1);
    cr_assert_eq(await(&again), TALLY_OK);
    cr_assert_eq(count_kept(), 1);
}

/* A client that sends nothing but garbage must be held back before memory is out. */
Test(keep_rejects, a_full_queue_is_busy)
{
    enum { LONG = 65536, COUNT = 1100 };
    char *bytes = calloc(1, LONG);
    struct kept *kept = calloc(COUNT, sizeof(*kept)), first = {0};
    struct ty_shard_stats *stats;
    unsigned taken = 0, refused = 0;

    cr_assert(bytes != NULL && kept != NULL);
    reopen_gated(0);
    stats = ty_shard_stats(ty_database_shard(database, 0));
    ty_gate_close(&gate);
    push(&first, 0, 1);
    ty_gate_await(&gate, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        kept[i].reject =
            (struct ty_reject){.code = TALLY_TOO_NEW, .time_ms = 5, .record = {bytes, LONG - i}};
        kept[i].keeping = (struct ty_keeping){
            .rejects = &kept[i].reject, .count = 1, .done = note_done, .status = TALLY_IO};
        ty_database_keep_rejects(database, &kept[i].keeping);
        if (done_of(&kept[i]) == 0) {
            cr_assert_eq(refused, 0, "once full it stays so");
            taken++;
            continue;
        }
        cr_assert_eq(kept[i].keeping.status, TALLY_BUSY);
        refused++;
    }
    cr_assert(taken > 1000 && refused > 0, "64 MiB may wait: %u", taken);
    cr_assert_eq(atomic_load(&stats->queued_events), taken);
    cr_assert_eq(atomic_load(&stats->busy_batches), refused);
    ty_gate_open(&gate);
    for (unsigned i = 0; i < taken; i++)
        cr_assert_eq(await(&kept[i]), TALLY_OK);
    cr_assert_eq(await(&first), TALLY_OK);
    cr_assert_eq(atomic_load(&stats->queued_events), 0);
    cr_assert(atomic_load(&stats->commits) > 20, "not all in one transaction");
    cr_assert(atomic_load(&stats->reject_bytes) <= UINT64_C(256) << 17, "an eighth of the map");
    free(kept);
    free(bytes);
}

/* The bound is the operator's; what is too small to hold one reject is refused with a reason. */
Test(keep_rejects, the_bound_is_an_option)
{
    enum { COUNT = 2000 };
    struct kept *kept = calloc(COUNT, sizeof(*kept));
    tally_options options = TALLY_OPTIONS_INIT;
    struct ty_database *other;
    struct ty_shard_stats *stats;

    cr_assert_not_null(kept);
    reopen_gated(131072);
    stats = ty_shard_stats(ty_database_shard(database, 0));
    for (unsigned i = 0; i < COUNT; i++)
        push(&kept[i], i, 1);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(await(&kept[i]), TALLY_OK);
    cr_assert(atomic_load(&stats->reject_bytes) <= 131072);
    cr_assert(atomic_load(&stats->reject_bytes) > 130000);
    cr_assert_eq(count_kept(), COUNT - atomic_load(&stats->rejects_dropped));
    options.directory = "elsewhere";
    options.reject_bytes_max = 131071;
    cr_assert_eq(ty_database_open(&options, NULL, &other, &error), TALLY_INVALID);
    cr_assert_not_null(strstr(error.message, "reject_bytes_max is 131071"), "%s", error.message);
    free(kept);
}
