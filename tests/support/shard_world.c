#include "tests/support/shard_world.h"
#include "shard/waiter.h"

#include <stdio.h>
#include <string.h>

#include "engine/period.h"
#include "query/usage.h"

#define CREDITS INT64_C(5000000)

static int64_t wall_ms(void *context)
{
    return atomic_load(&((struct ty_world *)context)->wall_ms);
}

static int64_t mono_ns(void *context)
{
    return atomic_load(&((struct ty_world *)context)->mono_ns);
}

static int hit_fault(void *context, enum ty_fault_point point)
{
    struct ty_world *world = context;

    if (atomic_load(&world->fault_point) != (int)point ||
        atomic_fetch_sub(&world->fault_skips, 1) != 0)
        return 0;
    atomic_store(&world->fault_point, -1);
    return world->fault_code;
}

void ty_world_init(struct ty_world *world)
{
    memset(world, 0, sizeof(*world));
    ty_temporary_directory_create(&world->directory);
    atomic_init(&world->wall_ms, TY_WORLD_START_MS);
    atomic_init(&world->mono_ns, 1000000000);
    atomic_init(&world->fault_point, -1);
    world->clock = (struct ty_clock){wall_ms, mono_ns, world};
    world->faults = (struct ty_faults){hit_fault, world};
    memset(world->record.id, 7, sizeof(world->record.id));
    memset(world->record.secret.bytes, 9, sizeof(world->record.secret.bytes));
    world->record.shard_count = 1;
    world->options = (struct ty_shard_options){
        .path = world->directory.path,
        .map_bytes = UINT64_C(256) << 20,
        .dedup_window_ms = TY_MS_PER_HOUR,
        .dedup_memory_bytes = UINT64_C(16) << 20,
        .journal_retention_ms = 35 * TY_MS_PER_DAY,
        .journal_bytes_max = UINT64_C(64) << 20,
        .reject_bytes_max = UINT64_C(1) << 20,
        .hot_bytes = UINT64_C(64) << 20,
        .series_max = 10000,
        .future_ms_max = TY_MS_PER_DAY,
        .checkpoint_ms = TY_CHECKPOINT_MS,
        .clock = world->clock,
        .faults = &world->faults,
    };
}

void ty_world_fini(struct ty_world *world)
{
    ty_shard_close(world->shard, false);
    ty_temporary_directory_remove(&world->directory);
}

void ty_world_pass(struct ty_world *world, int64_t ms)
{
    atomic_fetch_add(&world->wall_ms, ms);
    atomic_fetch_add(&world->mono_ns, ms * 1000000);
}

void ty_world_fail(struct ty_world *world, enum ty_fault_point point, int skips, int code)
{
    world->fault_code = code;
    atomic_store(&world->fault_skips, skips);
    atomic_store(&world->fault_point, (int)point);
}

bool ty_world_has_failed(const struct ty_world *world)
{
    return atomic_load(&world->fault_point) < 0;
}

/* --- One shard --- */

tally_status ty_world_try_open(struct ty_world *world, tally_error *error)
{
    TY_ASSERT(world->shard == NULL);
    return ty_shard_open(&world->options, &world->record, true, &world->shard, error);
}

void ty_world_open(struct ty_world *world)
{
    tally_error error = {""};

    if (ty_world_try_open(world, &error) == TALLY_OK) {
        ty_shard_check(world->shard);
        return;
    }
    fprintf(stderr, "cannot open the shard: %s\n", error.message);
    TY_ASSERT(world->shard != NULL);
}

void ty_world_close(struct ty_world *world)
{
    ty_shard_close(world->shard, true);
    world->shard = NULL;
}

void ty_world_crash(struct ty_world *world)
{
    ty_shard_close(world->shard, false);
    world->shard = NULL;
}

void ty_world_reopen(struct ty_world *world)
{
    ty_world_crash(world);
    ty_world_open(world);
}

static struct ty_uuid make_uuid(uint8_t kind, unsigned number)
{
    struct ty_uuid uuid = {{kind}};

    uuid.bytes[14] = (uint8_t)(number >> 8);
    uuid.bytes[15] = (uint8_t)number;
    return uuid;
}

struct ty_uuid ty_world_customer(unsigned number)
{
    return make_uuid(0xc0, number);
}

struct ty_uuid ty_world_workflow(unsigned number)
{
    return make_uuid(0x30, number);
}

struct ty_event ty_world_event(const struct ty_world *world, unsigned customer, unsigned workflow,
                               const char *id)
{
    return (struct ty_event){.customer = ty_world_customer(customer),
                             .workflow = ty_world_workflow(workflow),
                             .id = {id, strlen(id)},
                             .time_ms = atomic_load(&world->wall_ms),
                             .credits = CREDITS,
                             .documents = 1,
                             .pages = 3,
                             .processing_ms = 1200};
}

static void fill_batch(struct ty_batch *batch, const struct ty_event *events, size_t count,
                       const struct ty_secret *secret)
{
    for (size_t i = 0; i < count; i++) {
        struct ty_event *event = ty_batch_add(batch);
        uint32_t record;

        TY_ASSERT(event != NULL);
        record = event->record;
        *event = events[i];
        event->record = record;
    }
    ty_batch_seal(batch, secret);
}

static void read_results(const struct ty_batch *batch, tally_result *results)
{
    for (size_t i = 0; results != NULL && i < batch->record_count; i++)
        results[i] = batch->outcomes[i].result;
}

static void keep_problem(struct ty_world *world, const char *problem)
{
    snprintf(world->problem, sizeof(world->problem), "%s", problem == NULL ? "" : problem);
}

tally_status ty_world_commit(struct ty_world *world, const struct ty_event *events, size_t count,
                             tally_result *results)
{
    struct ty_batch batch = {0};
    struct ty_part part = {.batch = &batch, .count = (uint32_t)count};

    fill_batch(&batch, events, count, &world->shard->secret);
    ty_shard_commit(world->shard, &part);
    ty_shard_check(world->shard);
    keep_problem(world, part.problem);
    read_results(&batch, results);
    ty_batch_fini(&batch);
    return part.status;
}

tally_result ty_world_send(struct ty_world *world, const struct ty_event *event)
{
    tally_result result = TALLY_NOT_STORED;
    tally_status status = ty_world_commit(world, event, 1, &result);

    if (status != TALLY_OK)
        fprintf(stderr, "%s: %s\n", tally_strerror(status), world->problem);
    TY_ASSERT(status == TALLY_OK);
    return result;
}

struct ty_range ty_world_range(tally_frequency frequency, const char *first, const char *last)
{
    struct ty_range range = {.frequency = frequency};
    const char *wrong = ty_period_parse(frequency, first, strlen(first), &range.first);

    if (wrong == NULL)
        wrong = ty_period_parse(frequency, last, strlen(last), &range.last);
    if (wrong != NULL)
        fprintf(stderr, "%s to %s: %s\n", first, last, wrong);
    TY_ASSERT(wrong == NULL);
    return range;
}

uint64_t ty_world_first_journal(struct ty_world *world)
{
    struct ty_journal_header header;
    uint64_t sequence = 0;
    tally_error error = {""};
    size_t length;

    TY_ASSERT(ty_store_begin(world->shard->store, &error) == TALLY_OK);
    TY_ASSERT(ty_store_first_journal(world->shard->store, &sequence, &length, &header, &error) ==
              TALLY_OK);
    ty_store_abort(world->shard->store);
    return sequence;
}

tally_status ty_world_usage(struct ty_world *world, unsigned customer, unsigned workflow,
                            tally_frequency frequency, const char *first, const char *last,
                            struct ty_total *totals, tally_error *error)
{
    struct ty_shard_view view = ty_shard_view(world->shard);
    struct ty_range range = ty_world_range(frequency, first, last);
    struct ty_uuid customer_id = ty_world_customer(customer);
    struct ty_uuid workflow_id = ty_world_workflow(workflow);

    return ty_usage_totals(&view, ty_series_find(view.series, &customer_id, &workflow_id), &range,
                           totals, error);
}

struct ty_total ty_world_total(struct ty_world *world, unsigned customer, unsigned workflow,
                               tally_frequency frequency, const char *period)
{
    struct ty_total total = {0};
    tally_error error = {""};
    tally_status status =
        ty_world_usage(world, customer, workflow, frequency, period, period, &total, &error);

    if (status != TALLY_OK)
        fprintf(stderr, "%s: %s\n", tally_strerror(status), error.message);
    TY_ASSERT(status == TALLY_OK);
    return total;
}

/* --- Databases --- */

tally_status ty_world_database(struct ty_world *world, unsigned shards,
                               struct ty_database **database, tally_error *error)
{
    tally_options options = TALLY_OPTIONS_INIT;

    options.directory = world->directory.path;
    options.shards = shards;
    options.map_bytes = UINT64_C(256) << 20;
    options.dedup_memory_bytes = UINT64_C(16) << 20;
    options.flags = TALLY_NO_SYNC;
    return ty_database_open(&options,
                            &(struct ty_database_hooks){.clock = &world->clock,
                                                        .faults = &world->faults,
                                                        .seal_ids = world->options.dedup_seal_ids},
                            database, error);
}

tally_status ty_world_forgetful_database(struct ty_world *world, unsigned shards,
                                         int64_t retention_ms, struct ty_database **database,
                                         tally_error *error)
{
    tally_options options = TALLY_OPTIONS_INIT;

    options.directory = world->directory.path;
    options.shards = shards;
    options.map_bytes = UINT64_C(256) << 20;
    options.dedup_window_ms = 0;
    options.journal_retention_ms = retention_ms;
    options.flags = TALLY_NO_SYNC;
    return ty_database_open(&options, &(struct ty_database_hooks){.clock = &world->clock}, database,
                            error);
}

struct submitting {
    struct ty_submission submission;
    struct ty_waiter waiter;
};

static void wake(struct ty_submission *submission)
{
    ty_waiter_wake(&TY_CONTAINER_OF(submission, struct submitting, submission)->waiter);
}

tally_status ty_world_submit(struct ty_world *world, struct ty_database *database,
                             const struct ty_event *events, size_t count, tally_result *results)
{
    struct ty_batch *batch = ty_database_take_batch(database);
    struct submitting submitting = {.submission = {.batch = batch, .done = wake},
                                    .waiter = TY_WAITER_INIT};

    TY_ASSERT(batch != NULL);
    fill_batch(batch, events, count, ty_database_secret(database));
    ty_database_submit(database, &submitting.submission);
    ty_waiter_await(&submitting.waiter);
    keep_problem(world, submitting.submission.problem);
    read_results(batch, results);
    ty_database_give_batch(database, batch);
    return submitting.submission.status;
}
