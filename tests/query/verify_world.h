/*
 * verify_world.h: what `tally verify` says of a world's shard, which is closed.
 *
 * Threads: each test is a process of its own.
 */
#ifndef TY_TESTS_QUERY_VERIFY_WORLD_H
#define TY_TESTS_QUERY_VERIFY_WORLD_H

#include "query/verify.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <criterion/logging.h>

static inline void log_problem(void *context, const struct ty_verify_problem *found)
{
    (void)context;
    cr_log_info("%s: %s", found->check, found->text);
}

static inline void skip_progress(void *context, const char *check, uint64_t done, uint64_t total,
                                 uint64_t events)
{
    (void)context, (void)check, (void)done, (void)total, (void)events;
}

static inline struct ty_verify_counts verify_world(const struct ty_world *world)
{
    const struct ty_verify_options options = {.dedup_window_ms = world->options.dedup_window_ms,
                                              .memory_bytes = 32 << 20,
                                              .report = log_problem,
                                              .progress = skip_progress};
    struct ty_database_record database;
    struct ty_verify_counts counts;
    tally_error problem;

    cr_assert_eq(ty_verify_shard(world->options.path, &options, &database, &counts, &problem),
                 TALLY_OK, "%s", problem.message);
    return counts;
}

#endif
