#include "query/void_find.h"
#include "storage/snapshot.h"
#include "tests/support/damage.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define JANUARY    636                    /* 2023-01 */
#define JANUARY_MS INT64_C(1672531200000) /* its first moment */
#define DECEMBER   (JANUARY - 1)

static struct ty_world world; /* it is February 2023 */
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

TestSuite(closing, .init = init, .fini = fini);

static struct ty_event event_at(unsigned workflow, const char *id, int64_t time_ms)
{
    struct ty_event event = ty_world_event(&world, 1, workflow, id);

    event.time_ms = time_ms;
    return event;
}

static void send(unsigned workflow, const char *id, int64_t time_ms)
{
    struct ty_event event = event_at(workflow, id, time_ms);

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
}

/* Looks for an event of customer 1. */
static struct ty_void find(const char *id)
{
    struct ty_void_wanted wanted = {.id = {id, strlen(id)}};
    struct ty_uuid customer = ty_world_customer(1);
    struct ty_shard_view view = ty_shard_view(world.shard);
    int64_t oldest_ms;

    cr_assert_eq(ty_void_find(&view, &world.shard->secret, &customer, &wanted, 1, &arena,
                              &oldest_ms, &error),
                 TALLY_OK, "%s", error.message);
    cr_assert(wanted.found);
    wanted.what.reason = (struct ty_text){"a mistake", 9};
    return wanted.what;
}

static void void_event(const char *id)
{
    struct ty_void what = find(id);
    struct ty_part part = {.voids = &what, .void_count = 1};

    ty_shard_commit(world.shard, &part);
    ty_shard_check(world.shard);
    cr_assert_eq(what.result, TY_VOID_DONE);
}

static tally_status commit_close(struct ty_close *close)
{
    struct ty_part part = {.close = close};

    ty_shard_commit(world.shard, &part);
    ty_shard_check(world.shard);
    return part.status;
}

static struct ty_close close_through(unsigned customer, int32_t month)
{
    struct ty_close close = {.customer = ty_world_customer(customer), .through = month};

    cr_assert_eq(commit_close(&close), TALLY_OK, "%s", world.shard->error.message);
    return close;
}

static struct ty_closed closed_of(unsigned customer)
{
    struct ty_uuid id = ty_world_customer(customer);
    struct ty_snapshot *snapshot;
    struct ty_closed closed;

    cr_assert_eq(ty_snapshot_begin(world.shard->store, &snapshot, &error), TALLY_OK);
    cr_assert_eq(ty_snapshot_get_closed(snapshot, &id, &closed, &error), TALLY_OK, "%s",
                 error.message);
    ty_snapshot_end(world.shard->store, snapshot);
    return closed;
}

static tally_status read_revision(unsigned customer, uint64_t number, struct ty_revision *revision)
{
    struct ty_uuid id = ty_world_customer(customer);
    struct ty_snapshot *snapshot;
    tally_status status;

    cr_assert_eq(ty_snapshot_begin(world.shard->store, &snapshot, &error), TALLY_OK);
    status = ty_snapshot_get_revision(snapshot, &id, number, revision, &error);
    ty_snapshot_end(world.shard->store, snapshot);
    return status;
}

static struct ty_revision revision_of(uint64_t number)
{
    struct ty_revision revision;

    cr_assert_eq(read_revision(1, number, &revision), TALLY_OK, "%s", error.message);
    return revision;
}

/* Totals of so many events of ty_world_event(). */
static bool is_total(const struct ty_total *total, uint64_t events)
{
    return total->events == events && total->credits == (ty_int128)events * 5000000 &&
           total->documents == events && total->pages == (ty_int128)events * 3 &&
           total->processing_ms == (ty_int128)events * 1200;
}

static void expect(uint64_t number, unsigned workflow, int32_t month, uint64_t before,
                   uint64_t after, uint64_t events, uint64_t voided)
{
    struct ty_uuid customer = ty_world_customer(1), id = ty_world_workflow(workflow);
    const struct ty_series *series = ty_series_find(&world.shard->series, &customer, &id);
    struct ty_revision revision = revision_of(number);

    cr_assert_eq(revision.series, series->id, "revision %llu is of series %u",
                 (unsigned long long)number, revision.series);
    cr_assert_eq(revision.month, month);
    cr_assert(is_total(&revision.before, before), "%llu events before",
              (unsigned long long)revision.before.events);
    cr_assert(is_total(&revision.after, after), "%llu events after",
              (unsigned long long)revision.after.events);
    cr_assert_eq(revision.events, events);
    cr_assert_eq(revision.voided, voided);
}

static void expect_revisions(uint64_t count)
{
    struct ty_revision revision;

    cr_assert_eq(closed_of(1).revisions, count, "%llu revisions",
                 (unsigned long long)closed_of(1).revisions);
    cr_assert_eq(read_revision(1, count + 1, &revision), TALLY_CORRUPT);
}

/* A customer whose month was billed must be told of what is counted in it afterwards, and of
 * nothing else. */
Test(closing, what_comes_later_is_a_revision)
{
    send(1, "a", JANUARY_MS);
    send(1, "b", JANUARY_MS + 1);
    cr_assert_eq(close_through(1, JANUARY).result, TY_CLOSE_DONE);
    expect_revisions(0);
    send(1, "c", TY_WORLD_START_MS); /* of an open month */
    expect_revisions(0);
    ty_world_pass(&world, 5000);
    send(1, "d", JANUARY_MS + 20 * TY_MS_PER_DAY);
    expect_revisions(1);
    expect(1, 1, JANUARY, 2, 3, 1, 0);
    cr_assert_eq(revision_of(1).sequence, 4);
    cr_assert_eq(revision_of(1).received_ms, TY_WORLD_START_MS + 5000);
    void_event("a");
    expect_revisions(2);
    expect(2, 1, JANUARY, 3, 2, 0, 1);
    send(1, "e", JANUARY_MS - 1); /* months before are closed, too, */
    expect_revisions(3);
    expect(3, 1, DECEMBER, 0, 1, 1, 0);
    send(7, "f", JANUARY_MS); /* and of workflows that come later */
    expect_revisions(4);
    expect(4, 7, JANUARY, 0, 1, 1, 0);
}

/* One commit with several events and voids of several months is one revision for each month. */
Test(closing, a_commit_is_one_revision_of_each_month)
{
    struct ty_event events[6];
    struct ty_batch batch = {0};
    struct ty_void what;
    struct ty_part part = {.batch = &batch, .count = 6, .voids = &what, .void_count = 1};

    send(2, "a", JANUARY_MS);
    send(1, "b", JANUARY_MS);
    close_through(1, JANUARY);
    what = find("a");
    for (unsigned i = 0; i < TY_COUNT_OF(events); i++) {
        static const char *const ids[] = {"c", "d", "e", "f", "g", "h"};
        struct ty_event *event = ty_batch_add(&batch);
        uint32_t record = event->record;

        *event = event_at(1 + i % 2, ids[i],
                          i == 5 ? TY_WORLD_START_MS : JANUARY_MS + i * 3 * TY_MS_PER_DAY);
        event->record = record;
    }
    ty_batch_seal(&batch, &world.shard->secret);
    ty_shard_commit(world.shard, &part);
    ty_batch_fini(&batch);
    cr_assert_eq(part.status, TALLY_OK);
    expect_revisions(2);
    expect(1, 2, JANUARY, 1, 2, 2, 1); /* by series: workflow 2 came first */
    expect(2, 1, JANUARY, 1, 4, 3, 0);
    cr_assert_eq(revision_of(1).sequence, revision_of(2).sequence);
}

/* What a client sends again is no second correction, whatever happened between. */
Test(closing, a_retry_makes_no_second_revision)
{
    struct ty_event late = event_at(1, "late", JANUARY_MS);

    send(1, "a", JANUARY_MS);
    close_through(1, JANUARY);
    cr_assert_eq(ty_world_send(&world, &late), TALLY_ACCEPTED);
    cr_assert_eq(ty_world_send(&world, &late), TALLY_DUPLICATE);
    ty_world_reopen(&world);
    cr_assert_eq(ty_world_send(&world, &late), TALLY_DUPLICATE);
    expect_revisions(1);
    ty_world_close(&world);
    ty_world_open(&world);
    ty_world_reopen(&world);
    expect_revisions(1);
    expect(1, 1, JANUARY, 1, 2, 1, 0);
    cr_assert_eq(closed_of(1).through, JANUARY);
}

/* The chain goes on across restarts, whether the month is hot, in blocks, or both. */
Test(closing, revisions_follow_each_other)
{
    char id[16];

    send(1, "a", JANUARY_MS);
    close_through(1, JANUARY);
    for (unsigned i = 1; i <= 12; i++) {
        snprintf(id, sizeof(id), "late-%u", i);
        send(1, id, JANUARY_MS + (int64_t)(i % 4) * TY_MS_PER_DAY);
        expect(i, 1, JANUARY, i, i + 1, 1, 0);
        if (i % 3 == 1)
            ty_world_reopen(&world);
        if (i % 3 == 2) {
            ty_world_close(&world);
            ty_world_open(&world);
        }
    }
    expect_revisions(12);
}

/* Closing is asked for again when no answer came, and later for later months. */
Test(closing, is_idempotent_and_goes_forward_only)
{
    struct ty_close first, again;

    send(1, "a", JANUARY_MS - 40 * TY_MS_PER_DAY);
    first = close_through(1, DECEMBER);
    cr_assert_eq(first.result, TY_CLOSE_DONE);
    cr_assert_eq(first.closed.closed_ms, TY_WORLD_START_MS);
    cr_assert_eq(first.closed.sequence, 1);
    ty_world_pass(&world, 1000);
    again = close_through(1, DECEMBER);
    cr_assert_eq(again.result, TY_CLOSE_ALREADY);
    cr_assert_eq(again.closed.closed_ms, TY_WORLD_START_MS);
    ty_world_reopen(&world);
    cr_assert_eq(close_through(1, DECEMBER).closed.closed_ms, TY_WORLD_START_MS);
    again = close_through(1, JANUARY);
    cr_assert_eq(again.result, TY_CLOSE_DONE);
    cr_assert_eq(again.closed.closed_ms, TY_WORLD_START_MS + 1000);
    again = close_through(1, DECEMBER);
    cr_assert_eq(again.result, TY_CLOSE_EARLIER);
    cr_assert_eq(again.closed.through, JANUARY);
    cr_assert_eq(closed_of(1).through, JANUARY);
    cr_assert_eq(ty_atomic_load(&world.shard->stats.closings, memory_order_relaxed), 1);
}

/* A month that still goes on cannot have been billed, and nobody can be billed who is unknown. */
Test(closing, what_cannot_be_closed_is_refused)
{
    struct ty_close close;

    cr_assert_eq(close_through(1, JANUARY).result, TY_CLOSE_UNKNOWN);
    send(1, "a", JANUARY_MS);
    close = close_through(1, JANUARY + 1);
    cr_assert_eq(close.result, TY_CLOSE_NOT_ENDED);
    cr_assert_eq(close.latest, JANUARY);
    cr_assert_eq(closed_of(1).through, TY_NOT_CLOSED);
    cr_assert_eq(close_through(2, JANUARY).result, TY_CLOSE_UNKNOWN);
    cr_assert_eq(close_through(1, JANUARY).result, TY_CLOSE_DONE);
    ty_world_pass(&world, -40 * TY_MS_PER_DAY); /* a clock that was set back */
    cr_assert_eq(close_through(1, JANUARY).result, TY_CLOSE_ALREADY);
    send(1, "b", JANUARY_MS - 20 * TY_MS_PER_DAY);
    expect_revisions(1);
}

/* A customer is another one's business in nothing. */
Test(closing, concerns_one_customer)
{
    struct ty_event other = ty_world_event(&world, 2, 1, "other");

    send(1, "a", JANUARY_MS);
    other.time_ms = JANUARY_MS;
    cr_assert_eq(ty_world_send(&world, &other), TALLY_ACCEPTED);
    close_through(1, JANUARY);
    other.id = (struct ty_text){"another", 7};
    cr_assert_eq(ty_world_send(&world, &other), TALLY_ACCEPTED);
    cr_assert_eq(closed_of(2).through, TY_NOT_CLOSED);
    cr_assert_eq(closed_of(2).revisions, 0);
    close_through(2, JANUARY);
    other.id = (struct ty_text){"a third", 7};
    cr_assert_eq(ty_world_send(&world, &other), TALLY_ACCEPTED);
    cr_assert_eq(closed_of(2).revisions, 1);
    expect_revisions(0);
}

/* What is decided in the same commit as a closing was there before it: it is billed. */
Test(closing, events_of_the_same_commit_count_before)
{
    struct ty_event event = event_at(1, "a", JANUARY_MS);
    struct ty_close close = {.customer = ty_world_customer(1), .through = JANUARY}, again = close;
    struct ty_batch batch = {0};
    struct ty_part second = {.close = &again};
    struct ty_part first = {.next = &second, .batch = &batch, .count = 1, .close = &close};

    event.record = ty_batch_add(&batch)->record;
    batch.events[0] = event;
    ty_batch_seal(&batch, &world.shard->secret);
    ty_shard_commit(world.shard, &first);
    ty_batch_fini(&batch);
    cr_assert_eq(first.status, TALLY_OK);
    cr_assert_eq(close.result, TY_CLOSE_DONE);
    cr_assert_eq(again.result, TY_CLOSE_ALREADY);
    cr_assert_eq(close.closed.sequence, 1);
    expect_revisions(0);
    send(1, "b", JANUARY_MS);
    expect(1, 1, JANUARY, 1, 2, 1, 0);
}

/* A disk that fails must leave all of a commit or nothing: no revision of what does not count. */
Test(closing, a_commit_that_fails_leaves_nothing)
{
    struct ty_close close = {.customer = ty_world_customer(1), .through = JANUARY};
    struct ty_event late = event_at(1, "late", JANUARY_MS);

    send(1, "a", JANUARY_MS);
    for (int skips = 0; skips < 2; skips++) { /* the closing, the state */
        ty_world_fail(&world, TY_FAULT_PUT, skips, ENOSPC);
        cr_assert_eq(commit_close(&close), TALLY_FULL);
        cr_assert(ty_world_has_failed(&world));
        cr_assert_eq(close.result, TY_CLOSE_NOT_STORED);
        cr_assert_eq(closed_of(1).through, TY_NOT_CLOSED);
    }
    close_through(1, DECEMBER);
    close.through = JANUARY;
    ty_world_fail(&world, TY_FAULT_PUT, 0, ENOSPC);
    cr_assert_eq(commit_close(&close), TALLY_FULL);
    send(1, "b", JANUARY_MS); /* January is open still, in memory, too */
    expect_revisions(0);
    close_through(1, JANUARY);
    for (int skips = 0; skips < 4; skips++) { /* revision, closing, journal, state */
        ty_world_fail(&world, TY_FAULT_PUT, skips, ENOSPC);
        cr_assert_eq(ty_world_commit(&world, &late, 1, NULL), TALLY_FULL);
        cr_assert(ty_world_has_failed(&world), "%d", skips);
        expect_revisions(0);
    }
    cr_assert_eq(ty_world_send(&world, &late), TALLY_ACCEPTED);
    expect_revisions(1);
    expect(1, 1, JANUARY, 2, 3, 1, 0);
    ty_world_reopen(&world);
    expect_revisions(1);
}

/* When nobody knows whether the commit happened, it did for all of it or for nothing. */
Test(closing, an_unknown_outcome_is_settled_by_asking_again)
{
    struct ty_close close = {.customer = ty_world_customer(1), .through = JANUARY};
    struct ty_event late = event_at(1, "late", JANUARY_MS);

    send(1, "a", JANUARY_MS);
    ty_world_fail(&world, TY_FAULT_COMMITTED, 0, EIO);
    cr_assert_eq(commit_close(&close), TALLY_UNKNOWN);
    cr_assert_eq(close.result, TY_CLOSE_NOT_STORED);
    ty_world_reopen(&world);
    cr_assert_eq(close_through(1, JANUARY).result, TY_CLOSE_ALREADY);
    ty_world_fail(&world, TY_FAULT_COMMITTED, 0, EIO);
    cr_assert_eq(ty_world_commit(&world, &late, 1, NULL), TALLY_UNKNOWN);
    ty_world_reopen(&world);
    cr_assert_eq(ty_world_send(&world, &late), TALLY_DUPLICATE);
    expect_revisions(1);
    expect(1, 1, JANUARY, 1, 2, 1, 0);
}

/* Billing records outlive the events that they are about. */
Test(closing, revisions_stay_when_the_journal_goes)
{
    send(1, "a", JANUARY_MS);
    close_through(1, JANUARY);
    send(1, "late", JANUARY_MS);
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK);
    ty_world_pass(&world, world.options.journal_retention_ms + 1000);
    while (ty_shard_maintain(world.shard) == 0)
        continue;
    cr_assert_eq(ty_world_first_journal(&world), 0);
    ty_world_reopen(&world);
    expect_revisions(1);
    expect(1, 1, JANUARY, 1, 2, 1, 0);
}

static void flip(const char *tree, unsigned customer, uint64_t number, long offset)
{
    struct ty_uuid id = ty_world_customer(customer);
    uint8_t key[24] = {0};
    struct ty_damage damage = {world.directory.path, tree, key, number == 0 ? 16 : 24};

    memcpy(key, id.bytes, sizeof(id.bytes));
    key[23] = (uint8_t)number;
    if (offset == LONG_MAX)
        ty_damage_delete(&damage);
    else
        ty_damage_flip(&damage, offset, 1);
}

/* Damage must be told: a closing that is lost would open its months, and what changes in them would
 * never be corrected. */
Test(closing, damage_is_named)
{
    struct ty_revision revision;

    send(1, "a", JANUARY_MS);
    close_through(1, JANUARY);
    send(1, "b", JANUARY_MS);
    send(1, "c", JANUARY_MS);
    send(1, "d", JANUARY_MS);
    ty_world_crash(&world);
    flip("revisions", 1, 1, -1);
    flip("revisions", 1, 2, LONG_MAX);
    ty_world_open(&world);
    cr_assert_eq(read_revision(1, 1, &revision), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "revision 1 of customer c0000000-"), "%s",
                       error.message);
    cr_assert_eq(read_revision(1, 2, &revision), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "is missing"), "%s", error.message);
    expect(3, 1, JANUARY, 3, 4, 1, 0);
    ty_world_crash(&world);
    flip("closings", 1, 0, 12);
    cr_assert_eq(ty_world_try_open(&world, &error), TALLY_CORRUPT);
    cr_assert_not_null(strstr(error.message, "the closing of customer c0000000-"), "%s",
                       error.message);
}
