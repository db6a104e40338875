/*
 * disk.c: what a life leaves on disk, whatever ended it, is what `tally verify` expects there.
 */
#include "query/verify.h"
#include "tests/shard/simulation/simulation.h"

#define VERIFY_BYTES     (UINT64_C(16) << 20)
#define VERIFY_BYTES_MIN (UINT64_C(1) << 14) /* so that not all is compared */

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

void simulation_verify_shard(struct simulation *simulation, const char *path, unsigned shard)
{
    const struct ty_verify_options options = {
        .shard = shard,
        .dedup_window_ms = simulation->window_kept_ms,
        .memory_bytes = one_in(simulation, 4) ? VERIFY_BYTES_MIN : VERIFY_BYTES,
        .context = simulation,
        .report = report,
        .progress = skip_progress};
    struct ty_database_record database;
    struct ty_verify_counts counts;
    tally_error error = {""};
    tally_status status = ty_verify_shard(path, &options, &database, &counts, &error);

    CHECK(simulation, status == TALLY_OK, "verify: %s", error.message);
    simulation->verified_ids += counts.sealed_ids;
    simulation->verified_partly += counts.uncompared != 0 && counts.uncompared_ids != 0;
    simulation->repeated += counts.repeated_ids;
}

void simulation_verify(struct simulation *simulation)
{
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        simulation_verify_shard(simulation, simulation->paths[i], i);
}
