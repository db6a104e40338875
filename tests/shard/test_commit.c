#include "engine/period.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ty_world world;

static void init(void)
{
    ty_world_init(&world);
    ty_world_open(&world);
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(commit, .init = init, .fini = fini);

static uint64_t events_of(unsigned customer, unsigned workflow)
{
    return ty_world_total(&world, customer, workflow, TALLY_MONTHLY, "2023-02").events;
}

static uint64_t stat_of(_Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

/* --- Deciding --- */

/* A batch of all kinds: each event gets its own answer, and the counters agree. */
Test(commit, decides_each_event_in_order)
{
    struct ty_event events[] = {
        ty_world_event(&world, 1, 1, "a"), ty_world_event(&world, 1, 1, "a"),
        ty_world_event(&world, 1, 1, "a"), ty_world_event(&world, 2, 1, "a"),
        ty_world_event(&world, 1, 2, "b"), ty_world_event(&world, 1, 1, "c"),
        ty_world_event(&world, 1, 1, "d"),
    };
    static const tally_result want[] = {
        TALLY_ACCEPTED, TALLY_DUPLICATE, TALLY_ID_CONFLICT, TALLY_ACCEPTED,
        TALLY_ACCEPTED, TALLY_TOO_OLD,   TALLY_TOO_NEW,
    };
    tally_result results[TY_COUNT_OF(events)];
    struct ty_shard_stats *stats = ty_shard_stats(world.shard);

    events[2].pages++;
    events[5].time_ms = TALLY_TIME_MS_MIN - 1;
    events[6].time_ms += TY_MS_PER_DAY + 1;
    cr_assert_eq(ty_world_commit(&world, events, TY_COUNT_OF(events), results), TALLY_OK);
    for (size_t i = 0; i < TY_COUNT_OF(events); i++)
        cr_assert_eq(results[i], want[i], "event %zu: %s", i, tally_result_name(results[i]));
    cr_assert_eq(events_of(1, 1), 1);
    cr_assert_eq((int64_t)ty_world_total(&world, 1, 1, TALLY_DAILY, "2023-02-01").pages, 3);
    cr_assert_eq(stat_of(&stats->results[TALLY_ACCEPTED]), 3);
    cr_assert_eq(stat_of(&stats->results[TALLY_DUPLICATE]), 1);
    cr_assert_eq(stat_of(&stats->results[TALLY_ID_CONFLICT]), 1);
    cr_assert_eq(stat_of(&stats->results[TALLY_TOO_OLD]), 1);
    cr_assert_eq(stat_of(&stats->results[TALLY_TOO_NEW]), 1);
    cr_assert_eq(stat_of(&stats->commits), 1);
    cr_assert_eq(stat_of(&stats->series), 3);
}

/* The bounds of time are inclusive, to the millisecond. */
Test(commit, takes_events_up_to_the_bounds_of_time)
{
    static const struct {
        int64_t time_ms;
        tally_result result;
    } cases[] = {
        {TALLY_TIME_MS_MIN - 1, TALLY_TOO_OLD},
        {TALLY_TIME_MS_MIN, TALLY_ACCEPTED},
        {TY_WORLD_START_MS + TY_MS_PER_DAY, TALLY_ACCEPTED},
        {TY_WORLD_START_MS + TY_MS_PER_DAY + 1, TALLY_TOO_NEW},
        {INT64_MAX, TALLY_TOO_NEW},
        {INT64_MIN + 1, TALLY_TOO_OLD},
        {TALLY_TIME_OF_ARRIVAL, TALLY_ACCEPTED},
    };

    for (size_t i = 0; i < TY_COUNT_OF(cases); i++) {
        char id[2] = {(char)('a' + (char)i), '\0'};
        struct ty_event event = ty_world_event(&world, 1, 1, id);

        event.time_ms = cases[i].time_ms;
        cr_assert_eq(ty_world_send(&world, &event), cases[i].result, "case %zu", i);
        cr_assert_eq(ty_world_send(&world, &event),
                     cases[i].result == TALLY_ACCEPTED ? TALLY_DUPLICATE : cases[i].result,
                     "case %zu: a refused id is not remembered", i);
    }
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2000-01").events, 1);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_DAILY, "2023-02-02").events, 1);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, "2023-02-01T12").events, 1);
}

/* A time that no query can ask for and no feed can write must be refused, however far ahead events
 * may be: stored, it would be counted where nobody finds it. */
Test(commit, takes_no_event_after_the_last_year_that_can_be_written)
{
    const int64_t last_ms = INT64_C(253402300799999); /* 9999-12-31T23:59:59.999Z */
    struct ty_event event;

    ty_world_close(&world);
    world.options.future_ms_max = INT64_MAX;
    ty_world_open(&world);
    event = ty_world_event(&world, 1, 1, "last");
    event.time_ms = last_ms;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    event = ty_world_event(&world, 1, 1, "later");
    event.time_ms = last_ms + 1;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_TOO_NEW);
    event.time_ms = INT64_MAX;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_TOO_NEW);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_MONTHLY, "9999-12").events, 1);
}

/* A retry of what is stored is a success whatever the clock says by now. */
Test(commit, a_duplicate_is_one_even_when_the_clock_was_set_back)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    atomic_fetch_sub(&world.wall_ms, 365 * TY_MS_PER_DAY);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
    event.credits++;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ID_CONFLICT);
}

/* An event without a time stays where it arrived, and its retry, hours later, is a duplicate. */
Test(commit, counts_an_event_without_a_time_where_it_first_arrived)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    event.time_ms = TALLY_TIME_OF_ARRIVAL;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    ty_world_pass(&world, 30 * TY_MS_PER_MINUTE);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
    event.time_ms = TY_WORLD_START_MS;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ID_CONFLICT, "a given time is content");
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, "2023-02-01T12").events, 1);
    ty_world_reopen(&world);
    cr_assert_eq(ty_world_total(&world, 1, 1, TALLY_HOURLY, "2023-02-01T12").events, 1);
}

/* Ids count for the window, and not for ever. */
Test(commit, forgets_ids_when_the_window_has_passed)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    ty_world_pass(&world, world.options.dedup_window_ms);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
    ty_world_pass(&world, 2000);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    cr_assert_eq(events_of(1, 1), 2);
}

/* Memory that was short once is there again: that must not be the end of all commits. */
Test(commit, a_journal_value_that_had_no_memory_is_written_the_next_time)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    for (size_t i = 0; i < TY_COUNT_OF(world.shard->commits); i++)
        world.shard->commits[i].journal.failed = true;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
}

/* The same id in two batches that share a commit is still one event. */
Test(commit, parts_of_one_commit_know_each_other)
{
    struct ty_batch batches[3] = {0};
    struct ty_part parts[3] = {0};
    uint32_t indexes[] = {1, 0};

    for (size_t i = 0; i < 3; i++) {
        for (int k = 0; k < 2; k++) {
            struct ty_event *event = ty_batch_add(&batches[i]);
            uint32_t record = event->record;

            *event = ty_world_event(&world, 1, 1, k == 0 ? "same" : i == 1 ? "same" : "other");
            event->record = record;
        }
        ty_batch_seal(&batches[i], &world.shard->secret);
        parts[i] = (struct ty_part){.next = i < 2 ? &parts[i + 1] : NULL, .batch = &batches[i]};
        parts[i].count = 2;
    }
    parts[2].indexes = indexes; /* the other way round */
    parts[1].first = 1;
    parts[1].count = 1; /* its first event belongs to another shard */
    ty_shard_commit(world.shard, parts);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(parts[i].status, TALLY_OK);
    cr_assert_eq(batches[0].outcomes[0].result, TALLY_ACCEPTED);
    cr_assert_eq(batches[0].outcomes[1].result, TALLY_ACCEPTED);
    cr_assert_eq(batches[1].outcomes[0].result, TALLY_NOT_STORED, "not this shard's");
    cr_assert_eq(batches[1].outcomes[1].result, TALLY_DUPLICATE);
    cr_assert_eq(batches[2].outcomes[0].result, TALLY_DUPLICATE);
    cr_assert_eq(batches[2].outcomes[1].result, TALLY_DUPLICATE);
    cr_assert_eq(events_of(1, 1), 2);
    cr_assert_eq(world.shard->state.last_sequence, 1);
    for (size_t i = 0; i < 3; i++)
        ty_batch_fini(&batches[i]);
}

/* Only duplicates and rejects: there is nothing to wait for the disk for. */
Test(commit, stores_nothing_when_nothing_is_accepted)
{
    struct ty_event event = ty_world_event(&world, 1, 1, "a");

    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    ty_world_fail(&world, TY_FAULT_COMMIT, 0, EIO);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_DUPLICATE);
    event.time_ms = 0;
    event.id = (struct ty_text){"b", 1};
    cr_assert_eq(ty_world_send(&world, &event), TALLY_TOO_OLD);
    cr_assert_not(ty_world_has_failed(&world));
    cr_assert_eq(world.shard->state.last_sequence, 1);
}

/* --- Failing storage --- */

static struct ty_event batch[3];

/* Two customers' events that every failing commit below consists of. */
static void make_batch(void)
{
    batch[0] = ty_world_event(&world, 1, 1, "first");
    batch[1] = ty_world_event(&world, 1, 2, "second");
    batch[2] = ty_world_event(&world, 2, 1, "third");
}

static void check_totals(uint64_t events)
{
    cr_assert_eq(events_of(1, 1), events);
    cr_assert_eq(events_of(1, 2), events);
    cr_assert_eq(events_of(2, 1), events);
}

static void check_results(const tally_result *results, tally_result want)
{
    for (size_t i = 0; i < TY_COUNT_OF(batch); i++)
        cr_assert_eq(results[i], want, "event %zu: %s", i, tally_result_name(results[i]));
}

static const struct {
    enum ty_fault_point point;
    int code;
    tally_status status;
    tally_result again; /* what the batch comes to after reopening, when the outcome is unknown */
} faults[] = {
    {TY_FAULT_BEGIN, ENOSPC, TALLY_FULL, TALLY_ACCEPTED},
    {TY_FAULT_BEGIN, EIO, TALLY_IO, TALLY_ACCEPTED},
    {TY_FAULT_BEGIN, ENOMEM, TALLY_NO_MEMORY, TALLY_ACCEPTED},
    {TY_FAULT_PUT, ENOSPC, TALLY_FULL, TALLY_ACCEPTED},
    {TY_FAULT_PUT, EIO, TALLY_IO, TALLY_ACCEPTED},
    {TY_FAULT_PUT, ENOMEM, TALLY_NO_MEMORY, TALLY_ACCEPTED},
    {TY_FAULT_COMMIT, ENOSPC, TALLY_FULL, TALLY_ACCEPTED},
    {TY_FAULT_COMMIT, ENOMEM, TALLY_NO_MEMORY, TALLY_ACCEPTED},
    {TY_FAULT_COMMIT, EIO, TALLY_UNKNOWN, TALLY_ACCEPTED},
    {TY_FAULT_COMMITTED, ENOSPC, TALLY_UNKNOWN, TALLY_DUPLICATE},
    {TY_FAULT_COMMITTED, EIO, TALLY_UNKNOWN, TALLY_DUPLICATE},
    {TY_FAULT_COMMITTED, ENOMEM, TALLY_UNKNOWN, TALLY_DUPLICATE},
};

/* A failure that stored nothing: nothing is seen, no id is remembered, and the shard goes on. */
static void check_clean_failure(size_t index, uint64_t before)
{
    tally_result results[TY_COUNT_OF(batch)];

    check_totals(before);
    cr_assert_neq(world.problem[0], '\0', "fault %zu: no reason is given", index);
    cr_assert_eq(ty_world_commit(&world, batch, TY_COUNT_OF(batch), results), TALLY_OK,
                 "fault %zu: %s", index, world.problem);
    check_results(results, TALLY_ACCEPTED);
    check_totals(before + 1);
}

/* An unknown outcome: the shard stops, tells nothing wrong, and a retry after reopening counts
 * once, whether the commit was stored or not. */
static void check_unknown(size_t index, uint64_t before)
{
    struct ty_event next = ty_world_event(&world, 1, 1, "next");
    tally_result results[TY_COUNT_OF(batch)];
    struct ty_total total = {0};
    tally_error error = {""};

    cr_assert_eq(ty_world_commit(&world, &next, 1, results), TALLY_FAILED, "fault %zu", index);
    cr_assert_eq(results[0], TALLY_NOT_STORED);
    cr_assert_not_null(strstr(world.problem, "reopened"), "%s", world.problem);
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->failed), 1);
    cr_assert_eq(ty_world_usage(&world, 1, 1, TALLY_MONTHLY, "2023-02", "2023-02", &total, &error),
                 TALLY_FAILED);
    cr_assert_eq(ty_shard_maintain(world.shard), 1000, "nothing may be written any more");
    ty_world_close(&world);
    ty_world_open(&world);
    check_totals(before + (faults[index].again == TALLY_DUPLICATE));
    cr_assert_eq(ty_world_commit(&world, batch, TY_COUNT_OF(batch), results), TALLY_OK);
    check_results(results, faults[index].again);
    check_totals(before + 1);
}

/* One fault at one place, `before` batches having been stored; then all must be as if the batch
 * had come once, in this life of the database and in the next. */
static void check_fault(size_t index, int skips, uint64_t before)
{
    tally_result results[TY_COUNT_OF(batch)] = {TALLY_ACCEPTED, TALLY_ACCEPTED, TALLY_ACCEPTED};

    ty_world_fail(&world, faults[index].point, skips, faults[index].code);
    cr_assert_eq(ty_world_commit(&world, batch, TY_COUNT_OF(batch), results), faults[index].status,
                 "fault %zu: %s", index, world.problem);
    cr_assert(ty_world_has_failed(&world));
    check_results(results, TALLY_NOT_STORED);
    if (faults[index].status == TALLY_UNKNOWN)
        check_unknown(index, before);
    else
        check_clean_failure(index, before);
    ty_world_reopen(&world);
    check_totals(before + 1);
    cr_assert_eq(ty_world_commit(&world, batch, TY_COUNT_OF(batch), results), TALLY_OK);
    check_results(results, TALLY_DUPLICATE);
    check_totals(before + 1);
}

/*
 * "Claim before write": an index that remembers an id whose event was not stored loses the event
 * on retry; one that forgets a stored one counts it twice. Both must not happen, wherever storage
 * fails.
 */
Test(commit, every_fault_leaves_each_event_counted_once)
{
    for (size_t i = 0; i < TY_COUNT_OF(faults); i++) {
        make_batch();
        check_fault(i, 0, 0);
        ty_world_fini(&world);
        init();
    }
}

/* The same while series and totals exist already, and months wait to be written. */
Test(commit, faults_leave_what_was_stored_before)
{
    for (size_t i = 0; i < TY_COUNT_OF(faults); i++) {
        tally_result results[TY_COUNT_OF(batch)];

        make_batch();
        for (size_t k = 0; k < TY_COUNT_OF(batch); k++)
            batch[k].source = (struct ty_text){"before", 6};
        cr_assert_eq(ty_world_commit(&world, batch, TY_COUNT_OF(batch), results), TALLY_OK);
        check_results(results, TALLY_ACCEPTED);
        ty_world_pass(&world, world.options.checkpoint_ms + 1);
        make_batch();
        check_fault(i, 0, 1);
        ty_world_fini(&world);
        init();
    }
}

/* Every single put of a commit that stores series, journal, months, days and state may fail. */
Test(commit, each_put_may_fail)
{
    int skips = 0;

    for (bool hit = true; hit; skips++) {
        tally_result results[TY_COUNT_OF(batch)];
        tally_status status;

        make_batch();
        batch[0].source = (struct ty_text){"before", 6};
        cr_assert_eq(ty_world_send(&world, &batch[0]), TALLY_ACCEPTED);
        make_batch();
        ty_world_pass(&world, world.options.checkpoint_ms + 1);
        ty_world_fail(&world, TY_FAULT_PUT, skips, ENOSPC);
        status = ty_world_commit(&world, batch, TY_COUNT_OF(batch), results);
        hit = ty_world_has_failed(&world);
        cr_assert_eq(status, hit ? TALLY_FULL : TALLY_OK, "put %d", skips);
        cr_assert_eq(events_of(1, 1), hit ? 1 : 2, "put %d", skips);
        if (hit) {
            check_results(results, TALLY_NOT_STORED);
            cr_assert_eq(ty_world_commit(&world, batch, TY_COUNT_OF(batch), results), TALLY_OK,
                         "put %d: %s", skips, world.problem);
            check_results(results, TALLY_ACCEPTED);
        }
        cr_assert_eq(events_of(1, 1), 2);
        ty_world_reopen(&world);
        cr_assert_eq(events_of(1, 1), 2, "put %d", skips);
        cr_assert_eq(events_of(2, 1), 1, "put %d", skips);
        ty_world_fini(&world);
        init();
    }
    cr_assert(skips > 6, "only %d puts: series, journal, day, month and state were expected",
              skips - 1);
}

/* All parts of a failed commit fail alike, and what an earlier life had stays findable. */
Test(commit, a_failure_concerns_every_part_of_the_commit)
{
    struct ty_batch batches[2] = {0};
    struct ty_part parts[2] = {{.next = &parts[1]}};

    for (size_t i = 0; i < 2; i++) {
        struct ty_event *event = ty_batch_add(&batches[i]);

        *event = ty_world_event(&world, 1, 1, i == 0 ? "a" : "b");
        ty_batch_seal(&batches[i], &world.shard->secret);
        parts[i].batch = &batches[i];
        parts[i].count = 1;
    }
    ty_world_fail(&world, TY_FAULT_COMMIT, 0, ENOSPC);
    ty_shard_commit(world.shard, parts);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(parts[i].status, TALLY_FULL);
        cr_assert_not_null(strstr(parts[i].problem, "cannot commit"), "%s", parts[i].problem);
        cr_assert_eq(batches[i].outcomes[0].result, TALLY_NOT_STORED);
    }
    cr_assert_eq(stat_of(&ty_shard_stats(world.shard)->commit_failures), 1);
    ty_shard_commit(world.shard, parts);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(parts[i].status, TALLY_OK);
        cr_assert_eq(batches[i].outcomes[0].result, TALLY_ACCEPTED);
        ty_batch_fini(&batches[i]);
    }
    cr_assert_eq(events_of(1, 1), 2);
}

/* --- Bounds --- */

/* The sums of a slot stay within 64 bits: the event that would leave them is refused alone. */
Test(commit, an_overflow_concerns_one_event)
{
    enum { COUNT = 9225 };
    struct ty_event *events = calloc(COUNT, sizeof(*events));
    tally_result *results = calloc(COUNT, sizeof(*results));
    char(*ids)[8] = calloc(COUNT, sizeof(*ids));
    struct ty_total total;

    for (unsigned i = 0; i < COUNT; i++) {
        snprintf(ids[i], sizeof(ids[i]), "%u", i);
        events[i] = ty_world_event(&world, 1, 1, ids[i]);
        events[i].credits = TALLY_CREDITS_MICRO_MAX;
    }
    events[COUNT - 1].time_ms += TY_MS_PER_SLOT; /* the next slot is as empty as ever */
    cr_assert_eq(ty_world_commit(&world, events, COUNT, results), TALLY_OK);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(results[i], i == COUNT - 2 ? TALLY_OVERFLOW : TALLY_ACCEPTED, "event %u", i);
    total = ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02");
    cr_assert_eq(total.events, COUNT - 1);
    cr_assert(total.credits == (ty_int128)(COUNT - 1) * TALLY_CREDITS_MICRO_MAX);
    ty_world_reopen(&world);
    total = ty_world_total(&world, 1, 1, TALLY_MONTHLY, "2023-02");
    cr_assert(total.credits == (ty_int128)(COUNT - 1) * TALLY_CREDITS_MICRO_MAX);
    events[COUNT - 2].credits = -1;
    cr_assert_eq(ty_world_send(&world, &events[COUNT - 2]), TALLY_ACCEPTED, "the id is free");
    free(events);
    free(results);
    free(ids);
}

/* A series beyond the limit is refused; those that exist go on, after a restart as well. */
Test(commit, the_limit_on_series_holds)
{
    ty_world_crash(&world);
    world.options.series_max = 3;
    ty_world_open(&world);
    for (unsigned i = 0; i < 6; i++) {
        char id[2] = {(char)('a' + (char)i), '\0'};
        struct ty_event event = ty_world_event(&world, i % 2, i, id);

        cr_assert_eq(ty_world_send(&world, &event), i < 3 ? TALLY_ACCEPTED : TALLY_SERIES_LIMIT);
    }
    ty_world_reopen(&world);
    for (unsigned i = 0; i < 6; i++) {
        char id[2] = {(char)('A' + (char)i), '\0'};
        struct ty_event event = ty_world_event(&world, i % 2, i, id);

        cr_assert_eq(ty_world_send(&world, &event), i < 3 ? TALLY_ACCEPTED : TALLY_SERIES_LIMIT);
    }
}

/* An empty part is decided: nothing to do. */
Test(commit, an_empty_part_is_fine)
{
    cr_assert_eq(ty_world_commit(&world, NULL, 0, NULL), TALLY_OK);
    cr_assert_eq(world.shard->state.last_sequence, 0);
}
