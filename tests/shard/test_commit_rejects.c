#include "storage/snapshot.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ty_world world;
static struct ty_shard_stats *stats;

static void reopen(void)
{
    ty_world_reopen(&world);
    stats = ty_shard_stats(world.shard);
}

static void init(void)
{
    ty_world_init(&world);
    ty_world_open(&world);
    stats = ty_shard_stats(world.shard);
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(commit_rejects, .init = init, .fini = fini);

static uint64_t stat_of(_Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static struct ty_reject make_reject(const char *record)
{
    return (struct ty_reject){.code = TALLY_INVALID_FIELD,
                              .time_ms = TALLY_TIME_OF_ARRIVAL,
                              .source = {"forward", 7},
                              .message = {"pages: a whole number", 21},
                              .record = {record, strlen(record)}};
}

/* Commits rejects and events beside each other. */
static tally_status commit(const struct ty_reject *rejects, size_t reject_count,
                           const struct ty_event *events, size_t count)
{
    struct ty_batch batch = {0};
    struct ty_part parts[2] = {
        {.rejects = rejects, .reject_count = reject_count, .next = count == 0 ? NULL : &parts[1]},
        {.batch = &batch, .count = (uint32_t)count}};

    for (size_t i = 0; i < count; i++)
        *ty_batch_add(&batch) = events[i];
    ty_batch_seal(&batch, &world.shard->secret);
    ty_shard_commit(world.shard, parts);
    ty_shard_check(world.shard);
    cr_assert(count == 0 || parts[0].status == parts[1].status);
    snprintf(world.problem, sizeof(world.problem), "%s",
             parts[0].problem == NULL ? "" : parts[0].problem);
    ty_batch_fini(&batch);
    return parts[0].status;
}

static tally_status keep(const char *record)
{
    struct ty_reject reject = make_reject(record);

    return commit(&reject, 1, NULL, 0);
}

struct found {
    char text[2000];
};

static bool note(void *context, const struct ty_kept_reject *kept)
{
    struct found *found = context;
    size_t length = strlen(found->text);

    snprintf(found->text + length, sizeof(found->text) - length, "%llu:%.*s ",
             (unsigned long long)kept->seq, (int)TY_MIN(kept->reject.record.length, (size_t)40),
             kept->reject.record.data);
    return true;
}

/* "2:second 1:first " */
static const char *kept(void)
{
    static struct found found;
    struct ty_snapshot *snapshot;
    uint64_t before = UINT64_MAX;
    tally_error error = {""};

    found.text[0] = '\0';
    cr_assert_eq(ty_snapshot_begin(world.shard->store, &snapshot, &error), TALLY_OK);
    cr_assert_eq(ty_snapshot_each_reject(snapshot, &before, note, &found, &error), TALLY_OK, "%s",
                 error.message);
    ty_snapshot_end(world.shard->store, snapshot);
    return found.text;
}

static uint64_t events_stored(void)
{
    return ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02").events;
}

/* A stream of nothing but broken records: each is there when it is acknowledged, and for good. */
Test(commit_rejects, rejects_alone_are_a_commit)
{
    cr_assert_eq(keep("first"), TALLY_OK);
    cr_assert_eq(keep("second"), TALLY_OK);
    cr_assert_str_eq(kept(), "2:second 1:first ");
    cr_assert_eq(stat_of(&stats->commits), 2);
    cr_assert_eq(stat_of(&stats->rejects_kept), 2);
    cr_assert_eq(stat_of(&stats->rejects), 2);
    cr_assert_eq(stat_of(&stats->reject_bytes), world.shard->rejects.bytes);
    cr_assert_eq(stat_of(&stats->last_sequence), 0, "the journal has only events");
    reopen();
    cr_assert_str_eq(kept(), "2:second 1:first ");
    cr_assert_eq(stat_of(&stats->rejects), 2);
    cr_assert_eq(stat_of(&stats->rejects_kept), 0, "counted from the start");
    cr_assert_eq(keep("third"), TALLY_OK);
    cr_assert_str_eq(kept(), "3:third 2:second 1:first ");
}

/* Good and bad records of one chunk are stored together, or not at all. */
Test(commit_rejects, rejects_and_events_share_a_transaction)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");
    struct ty_reject rejects[] = {make_reject("x"), make_reject("y")};

    ty_world_fail(&world, TY_FAULT_COMMIT, 0, ENOSPC);
    cr_assert_eq(commit(rejects, 2, &event, 1), TALLY_FULL);
    cr_assert_str_eq(kept(), "");
    cr_assert_eq(events_stored(), 0);
    cr_assert_eq(stat_of(&stats->rejects_kept), 0);
    cr_assert_eq(commit(rejects, 2, &event, 1), TALLY_OK);
    cr_assert_str_eq(kept(), "2:y 1:x ");
    cr_assert_eq(events_stored(), 1);
    cr_assert_eq(stat_of(&stats->last_sequence), 1);
    cr_assert_eq(stat_of(&stats->commits), 1);
    reopen();
    cr_assert_str_eq(kept(), "2:y 1:x ");
    cr_assert_eq(events_stored(), 1);
}

/* A producer that resends for ever costs no disk: no transaction, and no fsync. */
Test(commit_rejects, what_is_kept_already_needs_no_commit)
{
    struct ty_reject rejects[] = {make_reject("x"), make_reject("x"), make_reject("y")};

    cr_assert_eq(commit(rejects, 3, NULL, 0), TALLY_OK);
    cr_assert_eq(stat_of(&stats->rejects_kept), 2);
    cr_assert_eq(stat_of(&stats->rejects_resent), 1);
    cr_assert_eq(stat_of(&stats->commits), 1);
    rejects[0].source = (struct ty_text){"elsewhere", 9};
    cr_assert_eq(commit(rejects, 3, NULL, 0), TALLY_OK);
    cr_assert_eq(stat_of(&stats->rejects_kept), 2);
    cr_assert_eq(stat_of(&stats->rejects_resent), 4);
    cr_assert_eq(stat_of(&stats->commits), 1);
    cr_assert_str_eq(kept(), "2:y 1:x ");
    reopen();
    cr_assert_eq(commit(rejects, 3, NULL, 0), TALLY_OK);
    cr_assert_eq(stat_of(&stats->rejects_resent), 3, "a restart does not forget them");
}

/* Whatever step of the transaction fails, nothing is kept, and the next attempt keeps it. */
Test(commit_rejects, a_failing_step_keeps_nothing)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");
    struct ty_reject rejects[] = {make_reject("x"), make_reject("y")};
    int steps = 0;

    for (;; steps++) {
        cr_assert(steps < 20);
        ty_world_fail(&world, TY_FAULT_PUT, steps, ENOSPC);
        if (commit(rejects, 2, &event, 1) == TALLY_OK)
            break;
        cr_assert(ty_world_has_failed(&world));
        cr_assert_str_eq(kept(), "");
        cr_assert_eq(events_stored(), 0);
        cr_assert_neq(world.problem[0], '\0');
    }
    cr_assert_eq(steps, 8, "two puts a reject, their record, series, journal, state: %d", steps);
    cr_assert_str_eq(kept(), "2:y 1:x ");
    cr_assert_eq(stat_of(&stats->rejects_kept), 2);
    cr_assert_eq(stat_of(&stats->rejects_resent), 0);
}

/* The commit that nobody knows the outcome of: resent after the restart, the reject is there once.
 */
Test(commit_rejects, an_unknown_outcome_is_settled_by_sending_again)
{
    static const enum ty_fault_point points[] = {TY_FAULT_COMMIT, TY_FAULT_COMMITTED};

    for (size_t i = 0; i < TY_COUNT_OF(points); i++) {
        cr_assert_eq(keep("before"), TALLY_OK);
        ty_world_fail(&world, points[i], 0, EIO);
        cr_assert_eq(keep("x"), TALLY_UNKNOWN);
        cr_assert_eq(keep("x"), TALLY_FAILED);
        reopen();
        cr_assert_eq(keep("x"), TALLY_OK);
        cr_assert_str_eq(kept(), "2:x 1:before ");
        fini();
        init();
    }
}

/* A flood of broken records stays within its bound, says what it dropped, and keeps the newest. */
Test(commit_rejects, the_oldest_are_dropped_and_counted)
{
    char record[32];

    world.options.reject_bytes_max = 1000;
    reopen();
    for (unsigned i = 1; i <= 50; i++) {
        snprintf(record, sizeof(record), "record-%u", i);
        cr_assert_eq(keep(record), TALLY_OK);
        cr_assert(world.shard->rejects.bytes <= 1000);
    }
    cr_assert_eq(stat_of(&stats->rejects), 6);
    cr_assert_eq(stat_of(&stats->rejects_dropped), 44);
    cr_assert_eq(stat_of(&stats->rejects_kept), 50);
    cr_assert_eq(strncmp(kept(), "50:record-50 49:record-49 ", 26), 0, "%s", kept());
}

/* One call with more than the bound: the newest of them stay. */
Test(commit_rejects, one_part_may_have_more_than_the_bound)
{
    enum { COUNT = 40 };
    struct ty_reject rejects[COUNT];
    char records[COUNT][32];

    world.options.reject_bytes_max = 1000;
    reopen();
    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(records[i], sizeof(records[i]), "record-%u", i + 1);
        rejects[i] = make_reject(records[i]);
    }
    cr_assert_eq(commit(rejects, COUNT, NULL, 0), TALLY_OK);
    cr_assert_eq(stat_of(&stats->rejects), 6);
    cr_assert_eq(stat_of(&stats->rejects_dropped), COUNT - 6);
    cr_assert(world.shard->rejects.bytes <= 1000);
}

/* An operator who lowers the bound gets the disk back without waiting for more rejects. */
Test(commit_rejects, maintenance_reaches_a_lowered_bound)
{
    char record[32];

    for (unsigned i = 1; i <= 3000; i++) {
        snprintf(record, sizeof(record), "record-%u", i);
        cr_assert_eq(keep(record), TALLY_OK);
    }
    cr_assert(world.shard->rejects.bytes > 400000);
    world.options.reject_bytes_max = 1000;
    reopen();
    ty_world_fail(&world, TY_FAULT_COMMIT, 0, ENOMEM);
    ty_shard_maintain(world.shard);
    cr_assert_eq(world.shard->rejects.count, 3000, "what failed has not happened");
    cr_assert_eq(ty_shard_maintain(world.shard), 0, "more is due");
    cr_assert(world.shard->rejects.count < 3000 && world.shard->rejects.count > 6);
    while (ty_shard_maintain(world.shard) == 0)
        ty_shard_check(world.shard);
    cr_assert_eq(stat_of(&stats->rejects), 6);
    cr_assert_eq(stat_of(&stats->rejects_dropped), 2994);
    cr_assert_eq(ty_shard_maintain(world.shard), 1000);
    reopen();
    cr_assert_eq(world.shard->rejects.count, 6);
}

/* A stream that never pauses must not keep months from being written. */
Test(commit_rejects, a_commit_of_rejects_does_the_maintenance_too)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    cr_assert_eq(stat_of(&stats->replay_values), 1);
    ty_world_pass(&world, world.options.checkpoint_ms);
    cr_assert_eq(keep("x"), TALLY_OK);
    cr_assert_eq(stat_of(&stats->checkpointed_months), 1);
    cr_assert_eq(stat_of(&stats->replay_values), 0);
    reopen();
    cr_assert_eq(events_stored(), 1, "counted once");
    event.id = (struct ty_text){"b", 1};
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    reopen();
    cr_assert_eq(events_stored(), 2);
}

/* Where there is no room for events there is none for rejects: both are sent again later. */
Test(commit_rejects, are_refused_when_the_map_is_full)
{
    cr_assert_eq(keep("x"), TALLY_OK);
    world.shard->full = true;
    cr_assert_eq(keep("y"), TALLY_FULL);
    cr_assert_neq(world.problem[0], '\0');
    cr_assert_str_eq(kept(), "1:x ");
}

/* Rejects alone must never be what fills the map, whatever their size does to LMDB's pages. */
Test(commit_rejects, cannot_fill_the_map)
{
    static const size_t lengths[] = {1, 100, 900, 1990, 2100, 4200, 70000};
    struct ty_event event;
    char *record = malloc(70000);
    uint64_t dropped = 0;

    cr_assert_not_null(record);
    ty_world_crash(&world);
    world.options.map_bytes = UINT64_C(4) << 20;
    world.options.reject_bytes_max = world.options.map_bytes / 8; /* as ty_database_open() has it */
    for (size_t i = 0; i < TY_COUNT_OF(lengths); i++) {
        size_t count = 3 * world.options.reject_bytes_max / (lengths[i] + 100);

        ty_world_open(&world);
        stats = ty_shard_stats(world.shard);
        for (size_t n = 0; n < count; n += 20) {
            struct ty_reject rejects[20];
            char records[20][12];

            memset(record, 'x', 70000);
            for (size_t j = 0; j < 20; j++) {
                snprintf(records[j], sizeof(records[j]), "%zu-%zu", i, n + j);
                rejects[j] = make_reject(records[j]);
                rejects[j].time_ms = (int64_t)(n + j);
                rejects[j].record = (struct ty_text){record, lengths[i]};
            }
            ty_world_pass(&world, 200);
            cr_assert_eq(commit(rejects, 20, NULL, 0), TALLY_OK, "%zu bytes: %s", lengths[i],
                         world.problem);
        }
        dropped += stat_of(&stats->rejects_dropped);
        cr_assert_eq(stat_of(&stats->full), 0);
        ty_world_close(&world);
    }
    cr_assert(dropped > 1000);
    ty_world_open(&world);
    event = ty_world_event(&world, 1, 1, "a");
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    free(record);
}

/* A start must not go on with a record of rejects that is damaged: it would drop the wrong ones. */
Test(commit_rejects, a_start_notices_a_damaged_record)
{
    struct ty_damage damage = {world.options.path, "meta", "rejects", 7};
    tally_error error = {""};

    cr_assert_eq(keep("x"), TALLY_OK);
    ty_world_crash(&world);
    ty_damage_flip(&damage, -1, 1);
    cr_assert_eq(ty_world_try_open(&world, &error), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "rejects"), "%s", error.message);
    ty_damage_flip(&damage, -1, 1);
    ty_world_open(&world);
}
