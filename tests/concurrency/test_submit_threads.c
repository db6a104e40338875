/*
 * Batches that belong to several shards, sent by several threads while storage keeps failing.
 *
 * Shards decide the parts of one batch at the same time. Whatever becomes of each, the batch comes
 * back once, every outcome is right, and sending it again until it succeeds counts it once.
 */
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "query/usage.h"
#include "shard/database.h"
#include "tests/concurrency/threads.h"
#include "tests/support/temporary_directory.h"

#define SHARDS    3
#define CUSTOMERS 16
#define SENDERS   3
#define BATCHES   60                     /* of each sender */
#define EVENTS    40                     /* of each batch */
#define DAY_MS    INT64_C(1672531200000) /* 2023-01-01 */

static struct ty_database *database;
static _Atomic bool is_failing;
static _Atomic uint64_t operations, repeats;

/* Called by every shard's writer. A commit is one or two of the rarer points and many puts. */
static int fail_often(void *context, enum ty_fault_point point)
{
    uint64_t number = ty_atomic_add(&operations, 1, memory_order_relaxed);
    unsigned one_in = point == TY_FAULT_PUT ? 64 : 4;

    (void)context;
    if (point == TY_FAULT_COMMITTED || !ty_atomic_load(&is_failing, memory_order_relaxed))
        return 0;
    return number % one_in == 0 ? ENOSPC : 0;
}

static struct ty_uuid uuid_of(uint8_t kind, size_t number)
{
    struct ty_uuid uuid;

    memset(&uuid, kind, sizeof(uuid));
    uuid.bytes[15] = (uint8_t)number;
    return uuid;
}

/* --- One batch --- */

struct sent {
    struct ty_submission submission;
    sem_t decided;
    int returns; /* how often it came back */
};

static void come_back(struct ty_submission *submission)
{
    struct sent *sent = TY_CONTAINER_OF(submission, struct sent, submission);

    sent->returns++;
    sem_post(&sent->decided);
}

static void fill(struct ty_batch *batch, unsigned sender, unsigned number)
{
    for (size_t i = 0; i < EVENTS; i++) {
        struct ty_event *event = ty_batch_add(batch);
        const char *id = ty_arena_format(&batch->arena, "%u/%u/%zu", sender, number, i);

        event->id = (struct ty_text){id, strlen(id)};
        event->customer = uuid_of(0xc0, i % CUSTOMERS);
        event->workflow = uuid_of(0xf0, 0);
        event->time_ms = DAY_MS;
        event->credits = 5;
        event->documents = 1;
    }
    ty_batch_seal(batch, ty_database_secret(database));
}

/* What was accepted, or was there already; checks that the outcomes fit the status. */
static uint64_t count_stored(const struct ty_batch *batch, const struct ty_submission *submission)
{
    uint64_t stored = 0;

    for (size_t i = 0; i < EVENTS; i++) {
        tally_result result = batch->outcomes[i].result;

        CHECK(result == TALLY_ACCEPTED || result == TALLY_DUPLICATE || result == TALLY_NOT_STORED);
        stored += result != TALLY_NOT_STORED;
    }
    CHECK(submission->status == TALLY_OK || submission->status == TALLY_FULL);
    CHECK((submission->status == TALLY_OK) == (stored == EVENTS));
    CHECK((submission->status == TALLY_OK) == (submission->problem == NULL));
    CHECK(submission->problem == NULL || submission->problem[0] != '\0');
    return stored;
}

/* Sends a batch once; true when all of it is stored. */
static bool send(unsigned sender, unsigned number)
{
    struct ty_batch *batch = ty_database_take_batch(database);
    struct sent sent = {.submission = {.batch = batch, .done = come_back}};
    uint64_t stored;

    CHECK(sem_init(&sent.decided, 0, 0) == 0);
    fill(batch, sender, number);
    ty_database_submit(database, &sent.submission);
    while (sem_wait(&sent.decided) != 0)
        CHECK_EQ(EINTR, errno);
    CHECK_EQ(1, sent.returns);
    stored = count_stored(batch, &sent.submission);
    ty_database_give_batch(database, batch);
    sem_destroy(&sent.decided);
    return stored == EVENTS;
}

static void *send_all(void *argument)
{
    unsigned sender = (unsigned)(uintptr_t)argument;

    for (unsigned number = 0; number < BATCHES; number++) {
        while (!send(sender, number))
            ty_atomic_add(&repeats, 1, memory_order_relaxed);
    }
    return NULL;
}

/* --- The end --- */

static uint64_t count_events(size_t customer)
{
    struct ty_uuid customer_id = uuid_of(0xc0, customer), workflow_id = uuid_of(0xf0, 0);
    struct ty_shard_view view = ty_shard_view(ty_database_shard_of(database, &customer_id));
    int64_t day = ty_day_of_ms(DAY_MS);
    struct ty_range range = {.frequency = TALLY_DAILY, .first = day, .last = day};
    struct ty_total total = {0};

    CHECK_EQ(TALLY_OK,
             ty_usage_totals(&view, ty_series_find(view.series, &customer_id, &workflow_id), &range,
                             &total, NULL));
    CHECK_EQ(5 * total.events, total.credits);
    CHECK_EQ(total.events, total.documents);
    return total.events;
}

static void check_end(void)
{
    uint64_t events = 0;

    for (size_t customer = 0; customer < CUSTOMERS; customer++)
        events += count_events(customer);
    CHECK_EQ((uint64_t)SENDERS * BATCHES * EVENTS, events);
    CHECK(ty_atomic_load(&repeats, memory_order_relaxed) != 0);
}

/* A full disk must not lose, double or mix up what clients are told. */
int main(void)
{
    struct ty_temporary_directory directory;
    struct ty_faults faults = {fail_often, NULL};
    tally_options options = TALLY_OPTIONS_INIT;
    pthread_t senders[SENDERS];

    ty_temporary_directory_create(&directory);
    options.directory = directory.path;
    options.shards = SHARDS;
    options.flags = TALLY_NO_SYNC;
    options.map_bytes = UINT64_C(1) << 30;
    CHECK_EQ(TALLY_OK, ty_database_open(&options, &(struct ty_database_hooks){.faults = &faults},
                                        &database, NULL));
    ty_atomic_store(&is_failing, true, memory_order_relaxed);
    for (unsigned i = 0; i < SENDERS; i++)
        senders[i] = start_thread(send_all, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < SENDERS; i++)
        join_thread(senders[i]);
    ty_atomic_store(&is_failing, false, memory_order_relaxed);
    check_end();
    ty_database_close(database);
    ty_temporary_directory_remove(&directory);
    return 0;
}
