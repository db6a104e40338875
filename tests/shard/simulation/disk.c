/*
 * disk.c: what a life leaves on disk, whatever ended it, is what `tally verify` expects there.
 */
#include "query/verify.h"
#include "tests/shard/simulation/simulation.h"

#define VERIFY_BYTES (UINT64_C(16) << 20)

static void report(void *context, const struct ty_verify_problem *problem)
{
    struct simulation *simulation = context;

    CHECK(simulation, false, "verify: %s: %s", problem->check, problem->text);
}

static void skip_progress(void *context, const char *check, uint64_t done, uint64_t total,
                          uint64_t events)
{
    (void)context, (void)check, (void)done, (void)total, (void)events;
}

void simulation_verify(struct simulation *simulation)
{
    for (unsigned i = 0; i < simulation->database.shard_count; i++) {
        const struct ty_verify_options options = {.shard = i,
                                                  .dedup_window_ms = simulation->window_kept_ms,
                                                  .memory_bytes = VERIFY_BYTES,
                                                  .context = simulation,
                                                  .report = report,
                                                  .progress = skip_progress};
        struct ty_database_record database;
        struct ty_verify_counts counts;
        tally_error error = {""};
        tally_status status =
            ty_verify_shard(simulation->paths[i], &options, &database, &counts, &error);

        CHECK(simulation, status == TALLY_OK, "verify: %s", error.message);
        simulation->verified_ids += counts.sealed_ids;
    }
}
