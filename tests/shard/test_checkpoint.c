#include "engine/period.h"
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ty_world world;
static struct ty_shard_stats *stats;
static unsigned next_id;

static void open_shard(void)
{
    ty_world_open(&world);
    stats = ty_shard_stats(world.shard);
}

static void reopen_shard(void)
{
    ty_world_crash(&world);
    open_shard();
}

static void init(void)
{
    ty_world_init(&world);
    open_shard();
}

static void fini(void)
{
    ty_world_fini(&world);
}

TestSuite(checkpoint, .init = init, .fini = fini);

static struct ty_event new_event(unsigned workflow)
{
    static char ids[4096][16];
    char *id = ids[next_id % TY_COUNT_OF(ids)];

    snprintf(id, sizeof(ids[0]), "event-%u", next_id++);
    return ty_world_event(&world, 1, workflow, id);
}

static void send_at(unsigned workflow, int64_t time_ms)
{
    struct ty_event event = new_event(workflow);

    event.time_ms = time_ms;
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
}

static void send(unsigned workflow)
{
    send_at(workflow, TY_WORLD_START_MS);
}

static uint64_t events_of(unsigned workflow)
{
    return ty_world_total(&world, 1, workflow, TALLY_MONTHLY, "2023-02").events;
}

static uint64_t stat_of(_Atomic uint64_t *counter)
{
    return atomic_load(counter);
}

static void make_due(void)
{
    ty_world_pass(&world, world.options.checkpoint_ms);
}

static void maintain_fully(void)
{
    while (ty_shard_maintain(world.shard) == 0)
        ty_shard_check(world.shard);
    ty_shard_check(world.shard);
}

/* --- Months --- */

/* A month that is written at every event costs too much, one that never is makes restarts slow. */
Test(checkpoint, a_month_is_written_when_it_has_been_dirty_long_enough)
{
    send(1);
    cr_assert_eq(ty_shard_maintain(world.shard), 1000);
    cr_assert_eq(stat_of(&stats->dirty_months), 1);
    ty_world_pass(&world, world.options.checkpoint_ms - 1);
    cr_assert_eq(ty_shard_maintain(world.shard), 1000);
    cr_assert_eq(stat_of(&stats->checkpointed_months), 0);
    cr_assert_eq(stat_of(&stats->replay_values), 1);
    ty_world_pass(&world, 1);
    cr_assert_eq(ty_shard_maintain(world.shard), 0, "more may be due");
    cr_assert_eq(stat_of(&stats->dirty_months), 0);
    cr_assert_eq(stat_of(&stats->checkpointed_months), 1);
    cr_assert_eq(stat_of(&stats->replay_values), 0);
    cr_assert_eq(ty_shard_maintain(world.shard), 1000);
    cr_assert_eq(events_of(1), 1);
    reopen_shard();
    cr_assert_eq(events_of(1), 1);
    cr_assert_eq(stat_of(&stats->hot_bytes), 0, "nothing had to be replayed");
}

/* A busy shard is never idle: its commits must write months on the way. */
Test(checkpoint, a_commit_of_events_writes_due_months_too)
{
    send(1);
    send(2);
    make_due();
    send(1); /* what it adds itself is not in what it writes */
    cr_assert_eq(stat_of(&stats->dirty_months), 1);
    cr_assert_eq(stat_of(&stats->checkpointed_months), 2);
    cr_assert_eq(stat_of(&stats->replay_values), 1);
    cr_assert_eq(events_of(1), 2);
    reopen_shard();
    cr_assert_eq(events_of(1), 2);
    cr_assert_eq(events_of(2), 1);
    maintain_fully();
    cr_assert_eq(events_of(1), 2);
}

/* Many months that are due at once must not make one long commit. */
Test(checkpoint, a_commit_writes_a_bounded_number_of_months)
{
    enum { SERIES = 100 };

    for (unsigned i = 0; i < SERIES; i++)
        send(i);
    make_due();
    send(SERIES);
    cr_assert_eq(stat_of(&stats->dirty_months), SERIES + 1 - 32);
    cr_assert_eq(stat_of(&stats->replay_values), SERIES + 1 - 32, "the oldest go first");
    reopen_shard();
    for (unsigned i = 0; i <= SERIES; i++)
        cr_assert_eq(events_of(i), 1, "series %u", i);
    cr_assert_eq(stat_of(&stats->dirty_months), SERIES + 1 - 32);
    make_due();
    cr_assert_eq(ty_shard_maintain(world.shard), 0, "an idle shard writes more at once");
    cr_assert_eq(stat_of(&stats->dirty_months), 0);
}

/* When hot totals outgrow their memory they are written, due or not, and let go. */
Test(checkpoint, memory_pressure_writes_and_drops)
{
    ty_world_crash(&world);
    world.options.hot_bytes = 20000;
    open_shard();
    for (unsigned i = 0; i < 200; i++)
        send(i);
    cr_assert_lt(stat_of(&stats->dirty_months), 100);
    cr_assert_lt(stat_of(&stats->hot_bytes), 60000);
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(events_of(i), 1, "series %u", i);
    reopen_shard();
    for (unsigned i = 0; i < 200; i++)
        cr_assert_eq(events_of(i), 1, "series %u", i);
}

/* Months that nobody uses any more give their memory back. */
Test(checkpoint, clean_months_that_rest_are_dropped)
{
    send(1);
    make_due();
    maintain_fully();
    cr_assert_neq(stat_of(&stats->hot_bytes), 0);
    ty_world_pass(&world, world.options.checkpoint_ms);
    maintain_fully();
    cr_assert_eq(stat_of(&stats->hot_bytes), 0);
    cr_assert_eq(events_of(1), 1);
}

/* A clean end leaves nothing to replay. */
Test(checkpoint, a_flush_writes_everything)
{
    tally_error error = {""};

    for (unsigned i = 0; i < 1500; i++) { /* more than one commit's worth */
        struct ty_event events[2] = {new_event(i), new_event(i)};

        events[1].time_ms -= 40 * TY_MS_PER_DAY;
        cr_assert_eq(ty_world_commit(&world, events, 2, NULL), TALLY_OK);
    }
    ty_world_fail(&world, TY_FAULT_PUT, 1000, ENOSPC);
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_FULL);
    cr_assert_eq(strncmp(error.message, "cannot store a ", 15), 0, "%s", error.message);
    ty_shard_check(world.shard);
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK, "%s", error.message);
    cr_assert_eq(world.shard->hot.dirty_count, 0);
    cr_assert_eq(world.shard->state.replay_from, world.shard->state.last_sequence + 1);
    reopen_shard();
    cr_assert_eq(stat_of(&stats->hot_bytes), 0);
    for (unsigned i = 0; i < 1500; i++)
        cr_assert_eq(events_of(i), 1);
}

/* Storage has other slots for a day than memory: a day whose sums cannot be right. */
static void spoil_stored_day(unsigned workflow)
{
    struct ty_uuid customer = ty_world_customer(1), workflow_id = ty_world_workflow(workflow);
    uint32_t series = ty_series_find(&world.shard->series, &customer, &workflow_id)->id;
    int32_t day = ty_day_of_ms(TY_WORLD_START_MS);
    struct ty_store *store = world.shard->store;
    struct ty_day_block block;
    tally_error error = {""};

    cr_assert_eq(ty_store_begin(store, &error), TALLY_OK);
    cr_assert_eq(ty_store_get_day(store, series, day, &block, &error), TALLY_OK);
    block.used[3] = true;
    block.slots[3].events = block.slots[3].pages = 7;
    ty_total_add_slot(&block.total, &block.slots[3]);
    cr_assert_eq(ty_store_put_day(store, series, day, &block, &error), TALLY_OK);
    cr_assert_eq(ty_store_commit(store, &error), TALLY_OK);
}

/* One damaged value must not stop the checkpoints of everybody else, nor be written over. */
Test(checkpoint, a_damaged_month_is_passed_over_and_counted)
{
    tally_error error = {""};

    for (unsigned i = 0; i < 3; i++)
        send(i);
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK);
    spoil_stored_day(1);
    for (unsigned i = 0; i < 3; i++)
        send(i);
    make_due();
    maintain_fully();
    cr_assert_eq(stat_of(&stats->dirty_months), 1, "the damaged one, whose events the journal has");
    cr_assert_geq(stat_of(&stats->damaged_months), 1);
    cr_assert_eq(stat_of(&stats->replay_values), 2, "from its event on");
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(events_of(i), 2);
    send(2);
    cr_assert_eq(events_of(2), 3, "the others go on");
}

/* What is stored of a month must be of one moment: a day without its month would be counted again
 * at the next start. */
Test(checkpoint, of_a_damaged_month_no_other_day_is_written)
{
    const int64_t next_day_ms = TY_WORLD_START_MS + TY_MS_PER_DAY;
    tally_error error = {""};

    send(0);
    send(1);
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK);
    spoil_stored_day(1);
    for (unsigned i = 0; i < 2; i++) {
        send(i);
        send_at(i, next_day_ms);
    }
    ty_world_pass(&world, TY_MS_PER_DAY);
    maintain_fully();
    cr_assert_geq(stat_of(&stats->checkpointed_months), 1, "the other one is");
    cr_assert_geq(stat_of(&stats->damaged_months), 1);
    reopen_shard();
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(events_of(i), 3, "workflow %u", i);
        cr_assert_eq(ty_world_total(&world, 1, i, TALLY_DAILY, "2023-02-02").events, 1);
    }
}

/* --- Failing maintenance --- */

/* Maintenance that fails must change nothing and try again. */
Test(checkpoint, failed_maintenance_is_repeated)
{
    static const struct {
        enum ty_fault_point point;
        int code;
    } faults[] = {
        {TY_FAULT_BEGIN, EIO},  {TY_FAULT_BEGIN, ENOSPC},  {TY_FAULT_PUT, EIO},
        {TY_FAULT_PUT, ENOSPC}, {TY_FAULT_COMMIT, ENOSPC}, {TY_FAULT_COMMIT, ENOMEM},
    };

    for (size_t i = 0; i < TY_COUNT_OF(faults); i++) {
        send(1);
        make_due();
        ty_world_fail(&world, faults[i].point, 0, faults[i].code);
        cr_assert_eq(ty_shard_maintain(world.shard), 1000, "fault %zu", i);
        cr_assert(ty_world_has_failed(&world));
        ty_shard_check(world.shard);
        cr_assert_eq(stat_of(&stats->dirty_months), 1, "fault %zu", i);
        cr_assert_eq(events_of(1), i + 1);
        maintain_fully();
        cr_assert_eq(stat_of(&stats->dirty_months), 0, "fault %zu", i);
        cr_assert_eq(stat_of(&stats->failed), 0);
        cr_assert_eq(events_of(1), i + 1);
    }
}

/* A maintenance commit of unknown outcome stops the shard as one of events does. */
Test(checkpoint, maintenance_of_unknown_outcome_stops_the_shard)
{
    for (int stored = 0; stored < 2; stored++) {
        struct ty_event event;

        send(1);
        make_due();
        ty_world_fail(&world, stored ? TY_FAULT_COMMITTED : TY_FAULT_COMMIT, 0, EIO);
        cr_assert_eq(ty_shard_maintain(world.shard), 1000);
        cr_assert_eq(stat_of(&stats->failed), 1);
        event = new_event(1);
        cr_assert_eq(ty_world_commit(&world, &event, 1, NULL), TALLY_FAILED);
        reopen_shard();
        cr_assert_eq(stat_of(&stats->failed), 0);
        cr_assert_eq(events_of(1), (uint64_t)stored + 1);
    }
}

/* --- Trimming --- */

/* Small batches, one a minute, all written: what may go is the journal's business alone. */
static void fill_journal(unsigned count)
{
    tally_error error = {""};

    for (unsigned i = 0; i < count; i++) {
        ty_world_pass(&world, TY_MS_PER_MINUTE);
        send(1);
    }
    cr_assert_eq(ty_shard_flush(world.shard, &error), TALLY_OK, "%s", error.message);
}

static void open_with(int64_t window_ms, int64_t retention_ms, uint64_t bytes_max)
{
    ty_world_crash(&world);
    world.options.dedup_window_ms = window_ms;
    world.options.journal_retention_ms = retention_ms;
    world.options.journal_bytes_max = bytes_max;
    open_shard();
}

/* Single events must go when their time is over, and not before. */
Test(checkpoint, the_journal_is_trimmed_by_age)
{
    open_with(5 * TY_MS_PER_MINUTE, 30 * TY_MS_PER_MINUTE, UINT64_C(1) << 30);
    fill_journal(60);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 30, "value 30 is exactly 30 minutes old");
    cr_assert_eq(stat_of(&stats->trimmed_values), 29);
    ty_world_pass(&world, 1);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 31);
    ty_world_pass(&world, TY_MS_PER_DAY);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 0);
    cr_assert_eq(stat_of(&stats->journal_bytes), 0, "what is counted in must be counted out");
    cr_assert_eq(events_of(1), 60, "totals stay for good");
    reopen_shard();
    cr_assert_eq(events_of(1), 60);
    send(1);
    cr_assert_eq(world.shard->state.last_sequence, 61);
    cr_assert_eq(events_of(1), 61);
}

/* The journal must stay within its bound, the oldest going first. */
Test(checkpoint, the_journal_is_trimmed_by_size)
{
    uint64_t value_bytes;

    open_with(5 * TY_MS_PER_MINUTE, 30 * TY_MS_PER_DAY, UINT64_C(1) << 30);
    fill_journal(60);
    cr_assert_eq(stat_of(&stats->trimmed_values), 0);
    value_bytes = stat_of(&stats->journal_bytes) / 60;
    open_with(5 * TY_MS_PER_MINUTE, 30 * TY_MS_PER_DAY, 20 * value_bytes + 20);
    maintain_fully();
    cr_assert_leq(stat_of(&stats->journal_bytes), 20 * value_bytes + 20);
    cr_assert_geq(ty_world_first_journal(&world), 39);
    cr_assert_leq(ty_world_first_journal(&world), 42);
    /* Within the window ids must outlive a restart, whatever the bound says. */
    open_with(10 * TY_MS_PER_MINUTE, 0, 1);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 50, "value 50 is 10 minutes old");
    cr_assert_gt(stat_of(&stats->journal_bytes), 1);
    reopen_shard();
    cr_assert_eq(stat_of(&stats->dedup_entries), 11);
}

/* What blocks lack is nowhere else: it must not be trimmed, whatever age and size say. */
Test(checkpoint, the_journal_keeps_what_no_block_has)
{
    open_with(0, 0, 1);
    world.shard->options.checkpoint_ms = INT64_MAX / 4;
    for (unsigned i = 1; i <= 20; i++) {
        ty_world_pass(&world, TY_MS_PER_DAY);
        send_at(i == 1 ? 1 : 2, TY_WORLD_START_MS);
    }
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 1);
    reopen_shard();
    cr_assert_eq(events_of(1), 1);
    cr_assert_eq(events_of(2), 19);
    make_due();
    maintain_fully();
    ty_world_pass(&world, 1);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 0, "all is in blocks now");
    cr_assert_eq(events_of(2), 19);
}

/* Trimming is done in slices, so that no commit waits for the deletion of a month of events. */
Test(checkpoint, a_commit_trims_a_few_values)
{
    open_with(0, 0, UINT64_C(1) << 30);
    world.shard->options.checkpoint_ms = INT64_MAX / 4;
    for (unsigned i = 0; i < 40; i++) /* at one moment: nothing is older than nothing */
        send(1);
    fill_journal(0);
    cr_assert_eq(ty_world_first_journal(&world), 1);
    ty_world_pass(&world, 1000);
    send(1);
    cr_assert_eq(ty_world_first_journal(&world), 9);
    cr_assert_eq(stat_of(&stats->trimmed_values), 8);
    cr_assert_eq(ty_shard_maintain(world.shard), 0);
    cr_assert_eq(ty_world_first_journal(&world), 17);
}

/* --- Space --- */

/* Sends batches until one is refused; returns how many events were stored. */
static uint64_t fill_map(int64_t pass_ms)
{
    enum { COUNT = 300 };
    struct ty_event *events = calloc(COUNT, sizeof(*events));
    tally_result results[COUNT];
    uint64_t stored = 0;

    for (unsigned round = 0; round < 1000; round++) {
        for (unsigned i = 0; i < COUNT; i++)
            events[i] = new_event(i % 20);
        ty_world_pass(&world, pass_ms);
        if (ty_world_commit(&world, events, COUNT, results) != TALLY_OK)
            break;
        stored += COUNT;
    }
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(results[i], TALLY_NOT_STORED);
    free(events);
    return stored;
}

static uint64_t all_events(void)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < 20; i++)
        sum += events_of(i);
    return sum;
}

static void open_small(void)
{
    ty_world_fini(&world);
    ty_world_init(&world);
    world.options.map_bytes = UINT64_C(4) << 20;
    world.options.journal_retention_ms = 0;
    open_shard();
}

/*
 * A full disk: events are refused while there is still room for what makes room. Queries and
 * checkpoints go on, and when the journal has become shorter events are welcome again.
 */
Test(checkpoint, events_are_refused_at_the_reserve_and_trimming_makes_room)
{
    struct ty_event event;
    uint64_t stored;

    open_small();
    stored = fill_map(200);
    cr_assert_gt(stored, 3000);
    cr_assert_not_null(strstr(world.problem, "of 4 MiB of the map are used"), "%s", world.problem);
    cr_assert_not_null(strstr(world.problem, "below a reserve of 2 MiB"), "%s", world.problem);
    cr_assert_eq(stat_of(&stats->full), 1);
    cr_assert_eq(stat_of(&stats->failed), 0);
    cr_assert_eq(all_events(), stored, "queries work");
    event = new_event(1);
    cr_assert_eq(ty_world_commit(&world, &event, 1, NULL), TALLY_FULL);
    cr_assert_neq(world.problem[0], '\0', "a reason each time");

    make_due();
    maintain_fully();
    cr_assert_eq(stat_of(&stats->dirty_months), 0, "months are written in the reserve");
    ty_world_pass(&world, world.options.dedup_window_ms + TY_MS_PER_MINUTE);
    maintain_fully();
    cr_assert_eq(ty_world_first_journal(&world), 0, "and trimming works");
    cr_assert_eq(all_events(), stored);
    ty_world_pass(&world, 200); /* space is not looked at more often than every 100 ms */
    maintain_fully();
    cr_assert_eq(stat_of(&stats->full), 0, "noticed without an event");
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    cr_assert_eq(all_events(), stored + 1);
}

/* A commit that ran out of space may be the last one for a while: who asks must not be told that
 * events are taken until then. */
Test(checkpoint, a_full_map_is_noticed_without_an_event)
{
    open_small();
    cr_assert_gt(fill_map(0), 3000, "within a moment, so that nobody looked at the space");
    cr_assert_eq(stat_of(&stats->full), 0);
    ty_world_pass(&world, 1000);
    ty_shard_maintain(world.shard);
    cr_assert_eq(stat_of(&stats->full), 1);
    reopen_shard();
    cr_assert_eq(stat_of(&stats->full), 1, "nor after a restart");
}

/* Whoever gives it a larger map gets on at once, with everything that was acknowledged. */
Test(checkpoint, a_restart_with_a_larger_map_goes_on)
{
    struct ty_event event;
    uint64_t stored;

    open_small();
    stored = fill_map(200);
    reopen_shard();
    event = new_event(1);
    cr_assert_eq(ty_world_commit(&world, &event, 1, NULL), TALLY_FULL, "the same map is full");
    cr_assert_eq(all_events(), stored);
    ty_world_crash(&world);
    world.options.map_bytes = UINT64_C(64) << 20;
    open_shard();
    cr_assert_eq(all_events(), stored);
    cr_assert_eq(ty_world_send(&world, &event), TALLY_ACCEPTED);
    cr_assert_eq(all_events(), stored + 1);
}
