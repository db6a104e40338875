#include "query/feed.h"
#include "query/usage.h"
#include "query/void_find.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

static struct ty_world world;
static struct ty_arena arena;
static tally_error error;

static void init(void)
{
    ty_world_init(&world);
    ty_world_open(&world);
}

static void fini(void)
{
    ty_arena_fini(&arena);
    ty_world_fini(&world);
}

TestSuite(void, .init = init, .fini = fini);

static void send(const char *id, int64_t time_ms)
{
    struct ty_event event = ty_world_event(&world, 1, 1, id);

    event.time_ms = time_ms;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
}

/* Looks for an event of customer 1. */
static bool find(const char *id, struct ty_void *what)
{
    struct ty_void_wanted wanted = {.id = {id, strlen(id)}};
    struct ty_uuid customer = ty_world_customer(1);
    struct ty_shard_view view = ty_shard_view(world.shard);
    int64_t oldest_ms;

    cr_assert_eq(ty_void_find(&view, &world.shard->secret, &customer, &wanted, 1, &arena,
                              &oldest_ms, &error),
                 TALLY_OK, "%s", error.message);
    *what = wanted.what;
    what->reason = (struct ty_text){"a mistake", 9};
    return wanted.found;
}

static tally_status commit_void(struct ty_void *what, size_t count)
{
    struct ty_part part = {.voids = what, .void_count = count};

    ty_shard_commit(world.shard, &part);
    ty_shard_check(world.shard);
    return part.status;
}

static enum ty_void_result void_event(const char *id)
{
    struct ty_void what;

    cr_assert(find(id, &what), "%s", id);
    cr_assert_eq(commit_void(&what, 1), TALLY_OK, "%s", world.shard->error.message);
    return what.result;
}

static void expect_events(uint64_t events)
{
    static const struct {
        tally_frequency frequency;
        const char *period;
    } periods[] = {{TALLY_MONTHLY, "2023-02"},
                   {TALLY_WEEKLY, "2023-W05"},
                   {TALLY_DAILY, "2023-02-01"},
                   {TALLY_HOURLY, "2023-02-01T12"}};

    for (size_t i = 0; i < TY_COUNT_OF(periods); i++) {
        struct ty_total total =
            ty_world_total(&world, 1, 1, periods[i].frequency, periods[i].period);

        cr_assert_eq(total.events, events, "%s has %llu events", periods[i].period,
                     (unsigned long long)total.events);
        cr_assert(total.credits == (ty_int128)events * 5000000);
        cr_assert(total.documents == events && total.pages == (ty_int128)events * 3);
        cr_assert(total.processing_ms == (ty_int128)events * 1200);
    }
}

static void flush(void)
{
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK, "%s", error.message);
}

/* Wherever the event is just now, hot, in blocks, or both, a void takes it out of all four
 * rollups, and nothing else. */
Test(void, an_event_is_taken_out_of_every_rollup)
{
    send("a", TY_WORLD_START_MS);
    send("b", TALLY_TIME_OF_ARRIVAL);
    send("c", TY_WORLD_START_MS);
    cr_assert_eq(void_event("a"), TY_VOID_DONE);
    expect_events(2);
    flush();
    expect_events(2);
    cr_assert_eq(void_event("b"), TY_VOID_DONE);
    expect_events(1);
    ty_world_reopen(&world);
    expect_events(1);
    ty_world_close(&world);
    ty_world_open(&world);
    expect_events(1);
    cr_assert_eq(void_event("c"), TY_VOID_DONE);
    ty_world_reopen(&world);
    expect_events(0);
    flush();
    ty_world_reopen(&world);
    expect_events(0);
    send("d", TY_WORLD_START_MS);
    expect_events(1);
}

static bool is_used(tally_frequency frequency, const char *period)
{
    struct ty_uuid customer = ty_world_customer(1), workflow = ty_world_workflow(1);
    struct ty_shard_view view = ty_shard_view(world.shard);
    struct ty_range range = ty_world_range(frequency, period, period);
    bool any = true;

    cr_assert_eq(ty_usage_any(&view, ty_series_find(view.series, &customer, &workflow), &range,
                              &any, &error),
                 TALLY_OK, "%s", error.message);
    return any;
}

/* The list of a customer's workflows must not have one whose events are all void, also before the
 * blocks say so. */
Test(void, a_workflow_without_other_events_is_not_used)
{
    send("a", TY_WORLD_START_MS);
    flush(); /* the event is in the blocks, */
    cr_assert(is_used(TALLY_MONTHLY, "2023-02") && is_used(TALLY_HOURLY, "2023-02-01T12"));
    cr_assert_eq(void_event("a"), TY_VOID_DONE); /* and the void is not */
    for (int round = 0; round < 2; round++) {
        cr_assert(!is_used(TALLY_MONTHLY, "2023-02"));
        cr_assert(!is_used(TALLY_WEEKLY, "2023-W05"));
        cr_assert(!is_used(TALLY_DAILY, "2023-02-01"));
        cr_assert(!is_used(TALLY_HOURLY, "2023-02-01T12"));
        ty_world_reopen(&world);
    }
    send("b", TY_WORLD_START_MS);
    cr_assert(is_used(TALLY_MONTHLY, "2023-02") && is_used(TALLY_HOURLY, "2023-02-01T12"));
}

/* A client that got no answer asks again. */
Test(void, the_second_void_changes_nothing)
{
    struct ty_void what[2];

    send("a", TY_WORLD_START_MS);
    send("b", TY_WORLD_START_MS);
    cr_assert(find("a", &what[0]) && find("a", &what[1]));
    cr_assert_eq(commit_void(what, 2), TALLY_OK);
    cr_assert_eq(what[0].result, TY_VOID_DONE);
    cr_assert_eq(what[1].result, TY_VOID_ALREADY);
    cr_assert_eq(void_event("a"), TY_VOID_ALREADY);
    ty_world_reopen(&world);
    cr_assert_eq(void_event("a"), TY_VOID_ALREADY);
    expect_events(1);
}

/* The id is used: who sends the event again must not get it counted after all. */
Test(void, the_id_of_a_void_event_stays_known)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    cr_assert_eq(void_event("a"), TY_VOID_DONE);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
    ty_world_reopen(&world);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
    expect_events(0);
}

/* An id that was used again after the window stands for its newest event. */
Test(void, an_id_that_was_used_again_is_the_newest)
{
    struct ty_void what;

    send("a", TY_WORLD_START_MS - 1);
    ty_world_pass(&world, 2 * world.options.dedup_window_ms);
    send("a", TY_WORLD_START_MS);
    cr_assert(find("a", &what));
    cr_assert_eq(what.event.time_ms, TY_WORLD_START_MS);
    cr_assert_eq(void_event("a"), TY_VOID_DONE);
    cr_assert_eq(void_event("a"), TY_VOID_ALREADY);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, "2023-02-01T11").events, 1);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, "2023-02-01T12").events, 0);
}

/* A disk that fails must leave the event either in or out. */
Test(void, a_commit_that_fails_takes_nothing_out)
{
    static const enum ty_fault_point points[] = {TY_FAULT_BEGIN, TY_FAULT_PUT};
    struct ty_void what;

    send("a", TY_WORLD_START_MS);
    for (size_t i = 0; i < TY_COUNT_OF(points); i++)
        for (int skips = 0; skips < (points[i] == TY_FAULT_PUT ? 3 : 1); skips++) {
            cr_assert(find("a", &what));
            ty_world_fail(&world, points[i], skips, ENOSPC);
            cr_assert_eq(commit_void(&what, 1), TALLY_FULL, "point %zu, %d", i, skips);
            cr_assert(ty_world_has_failed(&world));
            cr_assert_eq(what.result, TY_VOID_NOT_STORED);
            expect_events(1);
        }
    ty_world_reopen(&world);
    expect_events(1);
    cr_assert_eq(void_event("a"), TY_VOID_DONE);
    expect_events(0);
}

/* When nobody knows whether the commit happened, asking again finds out. */
Test(void, an_unknown_outcome_is_settled_by_asking_again)
{
    struct ty_void what;

    send("a", TY_WORLD_START_MS);
    cr_assert(find("a", &what));
    ty_world_fail(&world, TY_FAULT_COMMITTED, 0, EIO);
    cr_assert_eq(commit_void(&what, 1), TALLY_UNKNOWN);
    cr_assert_eq(what.result, TY_VOID_NOT_STORED);
    ty_world_reopen(&world);
    cr_assert_eq(void_event("a"), TY_VOID_ALREADY);
    expect_events(0);
}

/* What would be left must fit as well: an adjustment can hold a sum within its bounds. */
Test(void, a_slot_that_would_overflow_keeps_its_event)
{
    struct ty_void what;
    struct ty_slot_node *slot;
    struct ty_series *series;

    send("a", TY_WORLD_START_MS);
    cr_assert(find("a", &what));
    series = ty_series_get(&world.shard->series, what.place.series);
    cr_assert_eq(ty_hot_slot(&world.shard->hot, series, ty_slot_of_ms(TY_WORLD_START_MS), 0, &slot),
                 TALLY_OK);
    slot->working.credits = INT64_MIN;
    cr_assert_eq(commit_void(&what, 1), TALLY_OK);
    cr_assert_eq(what.result, TY_VOID_OVERFLOW);
    slot->working = slot->published;
    cr_assert_eq(void_event("a"), TY_VOID_DONE);
}

/* The marks of voids must not pile up for ever, and an event that is gone cannot be voided. */
Test(void, marks_go_with_the_journal)
{
    struct ty_void what, late;
    struct ty_void_note note;
    bool marked;

    send("a", TY_WORLD_START_MS);
    send("b", TY_WORLD_START_MS);
    cr_assert(find("a", &what) && find("b", &late));
    cr_assert_eq(commit_void(&what, 1), TALLY_OK);
    flush();
    ty_world_pass(&world, world.options.journal_retention_ms + 1000);
    while (ty_shard_maintain(world.shard) == 0)
        continue;
    cr_assert_eq(ty_world_first_journal(&world), 0);
    cr_assert_eq(ty_store_begin(world.shard->store, &error), TALLY_OK);
    cr_assert_eq(ty_store_get_void(world.shard->store, &what.place, &marked, &note, &error),
                 TALLY_OK);
    ty_store_abort(world.shard->store);
    cr_assert(!marked);
    cr_assert_eq(commit_void(&late, 1), TALLY_OK);
    cr_assert_eq(late.result, TY_VOID_TRIMMED);
    cr_assert(!find("b", &late));
    expect_events(1);
}

/* A void whose mark is damaged must be told, not carried out a second time. */
Test(void, a_damaged_mark_is_named)
{
    static const uint8_t key[16] = {0, 0, 0, 0, 0, 0, 0, 1};
    struct ty_damage damage = {world.directory.path, "voids", key, sizeof(key)};
    struct ty_void what;

    send("a", TY_WORLD_START_MS);
    send("b", TY_WORLD_START_MS);
    cr_assert_eq(void_event("a"), TY_VOID_DONE);
    ty_world_crash(&world);
    ty_damage_flip(&damage, -1, 1);
    ty_world_open(&world);
    cr_assert(find("a", &what));
    cr_assert_eq(commit_void(&what, 1), TALLY_CORRUPT);
    cr_assert_eq(what.result, TY_VOID_NOT_STORED);
    cr_assert_not_null(
        strstr(world.shard->error.message, "in journal value 1 does not match its checksum"), "%s",
        world.shard->error.message);
    cr_assert_eq(void_event("b"), TY_VOID_DONE);
    expect_events(0);
}
