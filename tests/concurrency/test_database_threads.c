/*
 * A whole database with real threads, by its public interface: producers, queries and who closes
 * months, at once.
 *
 *     test_database_threads SHARDS [ahead]
 *
 * Every event is the same but for its series and time, so that every row has to fit its count. The
 * hot totals get so little memory that months are written, dropped and loaded again all the time.
 * With `ahead` batches are large, there is memory, and nobody closes months: then commits are
 * decided while others are being stored.
 */
#include <sched.h>
#include <string.h>

#include "engine/atomics.h"
#include "engine/base.h"
#include "tally.h"
#include "tests/concurrency/threads.h"
#include "tests/support/random.h"
#include "tests/support/temporary_directory.h"

#define CUSTOMERS    5
#define WORKFLOWS    3
#define PRODUCERS    3
#define BATCHES      80 /* of each producer */
#define EVENTS       25 /* of each batch */
#define EVENTS_AHEAD 600
#define READERS      3
#define QUERIES      UINT64_C(300) /* of each reader, at least */

static tally *db;
static bool ahead;
static size_t batch_events = EVENTS;
static uint64_t queries_min = QUERIES;
static uint64_t seed;
static _Atomic uint64_t acknowledged[CUSTOMERS][WORKFLOWS];
static _Atomic uint64_t queries[READERS];
static _Atomic uint64_t producers_left = PRODUCERS;

static void make_uuid(uint8_t uuid[16], uint8_t kind, size_t number)
{
    memset(uuid, kind, 16);
    uuid[15] = (uint8_t)number;
}

static void open_database(const char *directory, unsigned shards)
{
    tally_options options = TALLY_OPTIONS_INIT;
    tally_error error = {""};

    options.directory = directory;
    options.shards = shards;
    options.flags = TALLY_NO_SYNC;
    options.hot_bytes = ahead ? UINT64_C(40000000) : UINT64_C(40000);
    options.map_bytes = UINT64_C(1) << 30; /* ThreadSanitizer has room for little more */
    if (tally_open(&options, &db, &error) != TALLY_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
}

/* --- Producers --- */

struct batch {
    tally_event events[EVENTS_AHEAD];
    char ids[EVENTS_AHEAD][24];
    size_t customers[EVENTS_AHEAD];
    size_t workflows[EVENTS_AHEAD];
};

/* A time in January to March 2023; some days get most of the events. */
static int64_t random_time(struct ty_random *random)
{
    uint64_t day = ty_random_one_in(random, 2) ? 30 : ty_random_below(random, ahead ? 5 : 90);

    return INT64_C(1672531200000) +
           (int64_t)(day * 86400000 + ty_random_below(random, 96) * 900000 + 1);
}

static void fill_batch(struct batch *batch, struct ty_random *random, unsigned producer,
                       unsigned number)
{
    for (size_t i = 0; i < batch_events; i++) {
        tally_event *event = &batch->events[i];

        *event = (tally_event){.time_ms = random_time(random),
                               .credits_micro = 5,
                               .documents = 1,
                               .pages = 3,
                               .processing_ms = 7};
        batch->customers[i] = ty_random_below(random, CUSTOMERS);
        batch->workflows[i] = ty_random_below(random, WORKFLOWS);
        make_uuid(event->customer_id, 0xc0, batch->customers[i]);
        make_uuid(event->workflow_id, 0xf0, batch->workflows[i]);
        event->id_length = (size_t)snprintf(batch->ids[i], sizeof(batch->ids[i]), "%u/%u/%zu",
                                            producer, number, i);
        event->id = batch->ids[i];
    }
}

/* Sends a batch, all of which is new, or all of which was sent before. */
static void send(const struct batch *batch, tally_result want)
{
    tally_result results[EVENTS_AHEAD];

    CHECK_EQ(TALLY_OK, tally_ingest(db, batch->events, batch_events, results));
    for (size_t i = 0; i < batch_events; i++)
        CHECK_EQ(want, results[i]);
}

static void *produce(void *argument)
{
    unsigned producer = (unsigned)(uintptr_t)argument;
    struct ty_random random;
    struct batch batch;

    ty_random_init(&random, seed + producer);
    for (unsigned number = 0; number < BATCHES; number++) {
        fill_batch(&batch, &random, producer, number);
        send(&batch, TALLY_ACCEPTED);
        /* Release: pairs with the acquire in known_events(); as if one thread told another. */
        for (size_t i = 0; i < batch_events; i++)
            ty_atomic_add(&acknowledged[batch.customers[i]][batch.workflows[i]], 1,
                          memory_order_release);
        if (ty_random_one_in(&random, 4))
            send(&batch, TALLY_DUPLICATE);
        for (unsigned i = 0; i < READERS; i++) /* so that few cores do not part them */
            while (ty_atomic_load(&queries[i], memory_order_relaxed) * BATCHES <
                   number * queries_min)
                sched_yield();
    }
    ty_atomic_sub(&producers_left, 1, memory_order_relaxed);
    return NULL;
}

/* --- Readers --- */

static const tally_range ranges[] = {
    {TALLY_MONTHLY, "2023-01", "2023-03"},
    {TALLY_WEEKLY, "2022-W52", "2023-W14"},
    {TALLY_DAILY, "2023-01-01", "2023-03-31"},
    {TALLY_HOURLY, "2023-01-01T00Z", "2023-03-31T23Z"},
};

static uint64_t known_events(size_t customer, size_t workflow)
{
    return ty_atomic_load(&acknowledged[customer][workflow], memory_order_acquire);
}

static void check_row(const tally_row *row)
{
    CHECK_EQ(5 * row->events, row->credits_micro.low);
    CHECK_EQ(row->events, row->documents.low);
    CHECK_EQ(3 * row->events, row->pages.low);
    CHECK_EQ(7 * row->events, row->processing_ms.low);
    CHECK_EQ(0, row->credits_micro.high | row->documents.high | row->pages.high |
                    row->processing_ms.high);
}

/* The events of a series, summed over rows that are checked. */
static uint64_t query(size_t customer, size_t workflow, const tally_range *range)
{
    uint8_t customer_id[16], workflow_id[16];
    tally_error error = {""};
    uint64_t events = 0;
    tally_row *rows;
    size_t count;

    make_uuid(customer_id, 0xc0, customer);
    make_uuid(workflow_id, 0xf0, workflow);
    if (tally_usage(db, customer_id, workflow_id, range, &rows, &count, &error) != TALLY_OK) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    for (size_t i = 0; i < count; i++) {
        check_row(&rows[i]);
        events += rows[i].events;
    }
    tally_free(rows);
    return events;
}

/* Every workflow with an acknowledged event is in the list. */
static void check_workflows(size_t customer, const tally_range *range)
{
    bool known[WORKFLOWS], listed[WORKFLOWS] = {0};
    uint8_t customer_id[16], (*ids)[16];
    size_t count;

    for (size_t i = 0; i < WORKFLOWS; i++)
        known[i] = known_events(customer, i) != 0;
    make_uuid(customer_id, 0xc0, customer);
    CHECK_EQ(TALLY_OK, tally_workflows(db, customer_id, range, &ids, &count, NULL));
    for (size_t i = 0; i < count; i++) {
        CHECK(ids[i][15] < WORKFLOWS);
        CHECK(i == 0 || memcmp(ids[i - 1], ids[i], 16) < 0);
        listed[ids[i][15]] = true;
    }
    tally_free(ids);
    for (size_t i = 0; i < WORKFLOWS; i++)
        CHECK(listed[i] || !known[i]);
}

/* --- Closed months --- */

#define MONTHS 3

static const char *const months[MONTHS] = {"2023-01", "2023-02", "2023-03"};

/* Several may close, and close more, at once. */
static void close_some(struct ty_random *random)
{
    uint8_t customer_id[16];
    tally_status status;

    make_uuid(customer_id, 0xc0, ty_random_below(random, CUSTOMERS));
    status =
        tally_close_months(db, customer_id, months[ty_random_below(random, MONTHS)], NULL, NULL);
    CHECK(status == TALLY_OK || status == TALLY_INVALID); /* a later one is closed, or unknown */
}

static tally_revision *list_revisions(size_t customer, size_t *count, tally_closed *closed)
{
    tally_revision *revisions = NULL;
    uint8_t customer_id[16];
    tally_error error = {""};

    make_uuid(customer_id, 0xc0, customer);
    if (tally_revisions(db, customer_id, 0, &revisions, count, closed, &error) == TALLY_OK)
        return revisions;
    fprintf(stderr, "%s\n", error.message);
    exit(1);
}

/* A revision is seen from its commit on, the total that it tells of when that has been published: a
 * moment later. Returns the total once it has got there. */
static uint64_t await_events(size_t customer, size_t workflow, const tally_range *range,
                             uint64_t told)
{
    uint64_t events = query(customer, workflow, range);

    for (int i = 0; events < told && i < 100000; i++) {
        sched_yield();
        events = query(customer, workflow, range);
    }
    return events;
}

/* Each goes on where the one before ended, and none stays ahead of what a query finds. At the end
 * (`all`) the last is what it finds. */
static void check_revisions(size_t customer, bool all)
{
    uint64_t ends[WORKFLOWS][MONTHS] = {{0}};
    bool has_end[WORKFLOWS][MONTHS] = {{false}};
    tally_closed closed;
    size_t count;
    tally_revision *revisions = list_revisions(customer, &count, &closed);

    CHECK_EQ(closed.revisions, count);
    for (size_t i = 0; i < count; i++) {
        const tally_revision *revision = &revisions[i];
        size_t workflow = revision->workflow_id[15];
        size_t month = (size_t)(revision->before.date[6] - '1');

        CHECK_EQ(i + 1, revision->number);
        CHECK(workflow < WORKFLOWS && month < MONTHS);
        CHECK(strcmp(revision->before.date, closed.through) <= 0);
        check_row(&revision->before);
        check_row(&revision->after);
        CHECK(!has_end[workflow][month] || ends[workflow][month] == revision->before.events);
        CHECK_EQ(revision->after.events, revision->before.events + revision->events);
        has_end[workflow][month] = true;
        ends[workflow][month] = revision->after.events;
    }
    tally_free(revisions);
    for (size_t i = 0; i < WORKFLOWS * MONTHS; i++) {
        size_t workflow = i / MONTHS, month = i % MONTHS;
        const tally_range range = {TALLY_MONTHLY, months[month], months[month]};

        if (has_end[workflow][month]) {
            uint64_t events =
                await_events(customer, workflow, &range, all ? 0 : ends[workflow][month]);

            CHECK(all ? ends[workflow][month] == events : ends[workflow][month] <= events);
        }
    }
}

static void *read_until_the_end(void *argument)
{
    uint64_t seen[CUSTOMERS][WORKFLOWS][TY_COUNT_OF(ranges)] = {0}, done = 0;
    _Atomic uint64_t *number = argument;
    struct ty_random random;

    ty_random_init(&random, seed + 100 + (uint64_t)(number - queries));
    while (ty_atomic_load(&producers_left, memory_order_relaxed) != 0) {
        size_t customer = ty_random_below(&random, CUSTOMERS);
        size_t workflow = ty_random_below(&random, WORKFLOWS);
        size_t range = ty_random_below(&random, TY_COUNT_OF(ranges));
        uint64_t known = known_events(customer, workflow);
        uint64_t events = query(customer, workflow, &ranges[range]);

        CHECK(events >= known);
        CHECK(events >= seen[customer][workflow][range]);
        seen[customer][workflow][range] = events;
        check_workflows(customer, &ranges[range]);
        if (!ahead && ty_random_one_in(&random, 16))
            close_some(&random);
        if (ty_random_one_in(&random, 8))
            check_revisions(customer, false);
        ty_atomic_store(number, ++done, memory_order_relaxed);
    }
    return NULL;
}

/* --- The end --- */

static void check_end(void)
{
    uint64_t events = 0;

    for (size_t customer = 0; customer < CUSTOMERS; customer++) {
        check_revisions(customer, true);
        for (size_t workflow = 0; workflow < WORKFLOWS; workflow++) {
            uint64_t known = known_events(customer, workflow);

            for (size_t i = 0; i < TY_COUNT_OF(ranges); i++)
                CHECK_EQ(known, query(customer, workflow, &ranges[i]));
            events += known;
        }
    }
    CHECK_EQ((uint64_t)PRODUCERS * BATCHES * batch_events, events);
}

/* What a producer was told is counted must be in every query from then on, once, and whole. */
int main(int argc, char **argv)
{
    struct ty_temporary_directory directory;
    pthread_t producers[PRODUCERS], readers[READERS];
    unsigned shards = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 1;

    ahead = argc > 2;
    batch_events = ahead ? EVENTS_AHEAD : EVENTS;
    queries_min = ahead ? QUERIES / 4 : QUERIES; /* there is more to read */
    seed = ty_random_seed();
    printf("TALLY_TEST_SEED=%" PRIu64 "\n", seed);
    ty_temporary_directory_create(&directory);
    open_database(directory.path, shards);
    for (unsigned i = 0; i < READERS; i++)
        readers[i] = start_thread(read_until_the_end, (void *)&queries[i]);
    for (unsigned i = 0; i < PRODUCERS; i++)
        producers[i] = start_thread(produce, (void *)(uintptr_t)i);
    for (unsigned i = 0; i < PRODUCERS; i++)
        join_thread(producers[i]);
    for (unsigned i = 0; i < READERS; i++)
        join_thread(readers[i]);
    check_end();
    tally_close(db);

    open_database(directory.path, 0); /* and again from what is stored */
    check_end();
    tally_close(db);
    ty_temporary_directory_remove(&directory);
    return 0;
}
