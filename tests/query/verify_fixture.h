/*
 * verify_fixture.h: a rotten world, and what `tally verify` says of it.
 *
 * Threads: each test is a process of its own.
 */
#ifndef TY_TESTS_QUERY_VERIFY_FIXTURE_H
#define TY_TESTS_QUERY_VERIFY_FIXTURE_H

#include "engine/period.h"
#include "query/verify.h"
#include "tests/support/damage.h"
#include "tests/support/rot_world.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct rot_world rot;
static const char *path;
static tally_error problem;

static inline void init(void)
{
    rot_world_init(&rot);
    path = rot.world.options.path;
}

static inline void fini(void)
{
    rot_world_fini(&rot);
}

#define assert_ok(call) cr_assert_eq(call, TALLY_OK, "%s", problem.message)

/* --- What is said --- */

struct said {
    char text[1 << 16];
    size_t length;
    uint64_t done, total;
};

static inline void note(void *context, const struct ty_verify_problem *found)
{
    struct said *said = context;
    int length = snprintf(said->text + said->length, sizeof(said->text) - said->length,
                          "%s: %s%s%s\n", found->check, found->text,
                          found->has_series ? " of a series in " : "", found->period);

    said->length = TY_MIN(said->length + (size_t)length, sizeof(said->text) - 1);
}

static inline void note_progress(void *context, const char *check, uint64_t done, uint64_t total,
                                 uint64_t events)
{
    struct said *said = context;

    (void)check;
    (void)events;
    cr_assert(done >= said->done);
    said->done = done;
    said->total = total;
}

static inline struct ty_verify_counts verify_as(unsigned shard, struct said *said)
{
    const struct ty_verify_options options = {.shard = shard,
                                              .dedup_window_ms = TY_MS_PER_HOUR,
                                              .memory_bytes = 32 << 20,
                                              .context = said,
                                              .report = note,
                                              .progress = note_progress};
    struct ty_database_record database;
    struct ty_verify_counts counts;

    *said = (struct said){.length = 0};
    assert_ok(ty_verify_shard(path, &options, &database, &counts, &problem));
    return counts;
}

/* --- Changing --- */

struct damaging {
    void (*change)(struct ty_store *store);
    const char *expected; /* in what is said */
};

static inline void change(void (*how)(struct ty_store *store))
{
    struct ty_store_options options = {.path = path, .map_bytes = UINT64_C(64) << 20};
    struct ty_store *store;

    assert_ok(ty_store_open(&options, &store, &problem));
    assert_ok(ty_store_begin(store, &problem));
    how(store);
    assert_ok(ty_store_commit(store, &problem));
    ty_store_close(store);
}

/* Makes each change to the world as it was, and looks for what is expected. */
static inline void find_each(const struct damaging *changes, size_t count)
{
    size_t length;
    uint8_t *file = ty_damage_read_file(path, &length);
    static struct said said;

    for (size_t i = 0; i < count; i++) {
        change(changes[i].change);
        cr_assert(verify_as(0, &said).problems > 0, "'%s'", changes[i].expected);
        cr_assert(strstr(said.text, changes[i].expected) != NULL, "'%s' is not in:\n%s",
                  changes[i].expected, said.text);
        ty_damage_write_file(path, file, length);
    }
    cr_assert_eq(verify_as(0, &said).problems, 0);
    free(file);
}

#endif
