#include <errno.h>

#include "tests/powercut/cuts.h"
#include "shard/waiter.h"

/* --- A database --- */

int cuts_hit_fault(void *context, enum ty_fault_point point)
{
    (void)context;
    return point == TY_FAULT_BEGIN && atomic_load(&test.is_killed) ? EIO : 0;
}

void cuts_set_wall(int64_t wall_ms)
{
    int64_t passed_ms = wall_ms - atomic_load(&test.world.wall_ms);

    ty_world_pass(&test.world, TY_MAX(passed_ms, 0));
    atomic_store(&test.world.wall_ms, wall_ms);
}

/* So few that runs are sealed all the time. */
#define SEAL_IDS 8

struct ty_database *cuts_open(const char *root)
{
    tally_options options = test.script.options;
    struct ty_database *database = NULL;
    tally_error error = {""};
    char path[1100];
    tally_status status;

    snprintf(path, sizeof(path), "%s/db", root);
    options.directory = path;
    status = ty_database_open(&options,
                              &(struct ty_database_hooks){.clock = &test.world.clock,
                                                          .faults = &test.faults,
                                                          .seal_ids = SEAL_IDS},
                              &database, &error);
    CHECK(status == TALLY_OK, "%s", error.message);
    /* The arrival clock catches up with the wall: the script knows of one clock only. */
    atomic_fetch_add(&test.world.mono_ns, HOUR_MS * 1000000);
    return database;
}

void cuts_close(struct ty_database *database, bool is_killed)
{
    atomic_store(&test.is_killed, is_killed);
    ty_database_close(database);
    atomic_store(&test.is_killed, false);
}

struct asking {
    struct ty_keeping keeping; /* one of the two */
    struct ty_closing closing;
    struct ty_waiter waiter;
};

static void kept(struct ty_keeping *keeping)
{
    ty_waiter_wake(&TY_CONTAINER_OF(keeping, struct asking, keeping)->waiter);
}

static void closed(struct ty_closing *closing)
{
    ty_waiter_wake(&TY_CONTAINER_OF(closing, struct asking, closing)->waiter);
}

bool cuts_is_known(uint32_t customer)
{
    for (uint32_t i = 0; i < CLOSE_AFTER; i++)
        for (uint32_t k = 0; k < test.batches[i].count; k++) {
            const struct script_event *event = &test.batches[i].events[k];

            if (event->first == TALLY_ACCEPTED && event->event.customer.bytes[15] == customer)
                return true;
        }
    return false;
}

static void close_january(struct ty_database *database, uint32_t customer)
{
    struct asking asking = {
        .closing = {.close = {.customer = script_customer(customer), .through = JANUARY},
                    .done = closed},
        .waiter = TY_WAITER_INIT};
    const struct ty_closing *closing = &asking.closing;

    ty_database_close_months(database, &asking.closing);
    ty_waiter_await(&asking.waiter);
    CHECK(closing->status == TALLY_OK, "%s", closing->problem);
    CHECK(closing->close.result == TY_CLOSE_DONE || closing->close.result == TY_CLOSE_ALREADY ||
              (closing->close.result == TY_CLOSE_UNKNOWN && !cuts_is_known(customer)),
          "closing is %d", closing->close.result);
}

void cuts_send_rejects(struct ty_database *database, const struct script_batch *batch)
{
    struct asking asking = {
        .keeping = {.rejects = batch->rejects, .count = batch->reject_count, .done = kept},
        .waiter = TY_WAITER_INIT};

    ty_database_keep_rejects(database, &asking.keeping);
    ty_waiter_await(&asking.waiter);
    CHECK(asking.keeping.status == TALLY_OK, "%s", asking.keeping.problem);
}

uint32_t cuts_send_events(struct ty_database *database, const struct script_batch *batch,
                          int64_t since_ms, const struct script_event **sent, tally_result *results)
{
    struct ty_event *events = calloc(batch->count + 1, sizeof(*events));
    tally_status status;
    uint32_t count = 0;

    for (uint32_t i = 0; i < batch->count; i++)
        if (test.batches[batch->events[i].origin].wall_ms >= since_ms) {
            sent[count] = &batch->events[i];
            events[count++] = batch->events[i].event;
        }
    status = ty_world_submit(&test.world, database, events, count, results);
    CHECK(status == TALLY_OK, "%s", test.world.problem);
    free(events);
    return count;
}

/* --- A life: what is recorded --- */

static void play_batch(struct ty_database *database, uint32_t number)
{
    const struct script_batch *batch = &test.batches[number];
    const struct script_event *sent[64];
    tally_result results[64];
    uint32_t count;

    cuts_set_wall(batch->wall_ms);
    disk_record_mark(MARK_BEGUN, number + 1);
    count = cuts_send_events(database, batch, 0, sent, results);
    disk_record_mark(MARK_DONE, number + 1);
    for (uint32_t i = 0; i < count; i++)
        CHECK(results[i] == sent[i]->first || results[i] == sent[i]->again,
              "batch %u, event %s is %s and should be %s", number, sent[i]->id,
              tally_result_name(results[i]), tally_result_name(sent[i]->first));
    disk_record_mark(MARK_REJECTS_BEGUN, number + 1);
    cuts_send_rejects(database, batch);
    disk_record_mark(MARK_REJECTS_DONE, number + 1);
    for (uint32_t i = 0; i < CLOSED && number + 1 == CLOSE_AFTER; i++) {
        disk_record_mark(MARK_CLOSE_BEGUN, i + 1);
        close_january(database, i);
        disk_record_mark(MARK_CLOSE_DONE, i + 1);
    }
}

void cuts_play(struct disk *disk, const char *root, uint32_t from, uint32_t to)
{
    struct ty_database *database;

    cuts_set_wall(from == 0 ? SCRIPT_START_MS : test.batches[from].wall_ms);
    disk_record(disk, root);
    database = cuts_open(root);
    disk_record_mark(MARK_CREATED, 1);
    for (uint32_t i = from; i < to; i++) {
        if (test.batches[i].restart != NO_RESTART && i != from) {
            cuts_close(database, test.batches[i].restart == RESTART_KILLED);
            database = cuts_open(root);
        }
        play_batch(database, i);
    }
    cuts_close(database, cuts_one_in(2));
    disk_stop();
    CHECK(disk_is_complete(disk, root), "the record lacks something");
}

struct progress cuts_find_progress(const struct disk *disk, size_t at)
{
    struct progress progress = {{0}};

    for (size_t i = 0; i < at; i++)
        if (disk->steps[i].kind == DISK_MARK) {
            uint32_t *count = &progress.counts[disk->steps[i].mark];

            *count = TY_MAX(*count, disk->steps[i].file);
        }
    return progress;
}
