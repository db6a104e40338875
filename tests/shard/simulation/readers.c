#include "storage/snapshot.h"
#include "tests/shard/simulation/simulation.h"

uint64_t simulation_first_value(struct simulation *simulation, unsigned shard)
{
    const struct ty_shard *of = simulation->shards[shard];
    struct ty_journal_extent extent = {0};
    struct ty_snapshot *snapshot;
    tally_error error;
    tally_status status;

    CHECK(simulation, ty_snapshot_begin(of->store, &snapshot, &error) == TALLY_OK, "%s",
          error.message);
    status = ty_snapshot_journal_extent(snapshot, &extent, &error);
    ty_snapshot_end(of->store, snapshot);
    CHECK(simulation, status == TALLY_OK, "%s", error.message);
    return extent.first == 0 ? of->state.last_sequence + 1 : extent.first;
}

struct page {
    struct simulation *simulation;
    struct feed_reader *reader;
    unsigned bit;
};

/* An event that the feed gives must have been stored, and not have been given before. */
static bool take_event(void *context, const struct ty_feed_event *given)
{
    struct page *page = context;
    struct simulation *simulation = page->simulation;
    struct reference_event *known =
        reference_newest_of_id(&simulation->reference, given->event->id);
    struct reference_event *oldest = NULL;

    /* Of several that say the same, the one of the oldest commit comes first. */
    for (; known != NULL; known = known->older_of_id)
        if ((known->seen & page->bit) == 0 && known->received_ms == given->received_ms &&
            reference_same_event(&known->event, given->event) &&
            known->sequence >= page->reader->last[known->shard])
            oldest = known;
    CHECK(simulation, oldest != NULL, "the feed gives event %.*s, which is not due",
          (int)given->event->id.length, given->event->id.data);
    CHECK(simulation, (given->voided != NULL) == oldest->voided, "event %.*s is%s void",
          (int)given->event->id.length, given->event->id.data, oldest->voided ? "" : " not");
    oldest->seen |= page->bit;
    page->reader->last[oldest->shard] = oldest->sequence;
    return true;
}

/* At the end of the feed everything was given but what had been trimmed before the reader came
 * there, and that was told. */
static void check_end(struct simulation *simulation, const struct feed_reader *reader, unsigned bit)
{
    uint64_t first[SHARDS_MAX] = {0};

    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        first[i] = simulation_first_value(simulation, i);
    for (size_t i = 0; i < simulation->reference.count; i++) {
        struct reference_event *known = simulation->reference.events[i];

        if ((known->seen & bit) != 0 || known->sequence < reader->began[known->shard])
            continue;
        CHECK(simulation, known->sequence < first[known->shard], "the feed leaves event %.*s out",
              (int)known->event.id.length, known->event.id.data);
        CHECK(simulation, reader->trimmed, "event %.*s was trimmed in silence",
              (int)known->event.id.length, known->event.id.data);
        known->seen |= bit; /* It is accounted for. */
        simulation->trimmed++;
    }
}

static void begin_again(struct simulation *simulation, struct feed_reader *reader, unsigned bit)
{
    *reader = (struct feed_reader){0};
    for (unsigned i = 0; i < simulation->database.shard_count; i++)
        reader->began[i] = simulation_first_value(simulation, i);
    for (size_t i = 0; i < simulation->reference.count; i++)
        simulation->reference.events[i]->seen &= ~bit;
}

static bool read_page(struct simulation *simulation, unsigned number, size_t limit)
{
    struct feed_reader *reader = &simulation->readers[number];
    struct ty_feed_query query = {.limit = limit};
    struct page page = {simulation, reader, 1u << number};
    struct ty_feed_page told;
    tally_error error = {""};

    if (reader->cursor.sequences[0] == 0 || one_in(simulation, 50))
        begin_again(simulation, reader, page.bit);
    CHECK(simulation,
          ty_feed_read(&simulation->database, &query, &reader->cursor, take_event, &page, &told,
                       &error) == TALLY_OK,
          "%s", error.message);
    reader->trimmed |= told.trimmed;
    simulation->pages++;
    if (told.end)
        check_end(simulation, reader, page.bit);
    return told.end;
}

void simulation_read_page(struct simulation *simulation)
{
    unsigned number = (unsigned)below(simulation, READERS);
    size_t limit = 1 + below(simulation, 200);
    uint64_t pages = 1 + below(simulation, 8);

    while (pages-- > 0 && !read_page(simulation, number, limit)) {
    }
}

/* --- One customer's --- */

struct customer_count {
    struct simulation *simulation;
    const struct ty_uuid *customer;
    uint64_t events;
};

static bool count_event(void *context, const struct ty_feed_event *given)
{
    struct customer_count *count = context;

    CHECK(count->simulation, ty_uuid_compare(&given->event->customer, count->customer) == 0,
          "an event of another customer");
    count->events++;
    return true;
}

static void read_customer(struct simulation *simulation, const struct ty_uuid *customer)
{
    struct ty_feed_query query = {.limit = 1 + below(simulation, 300), .customer = customer};
    struct customer_count count = {simulation, customer, 0};
    unsigned shard = ty_database_shard_index(&simulation->database, customer);
    uint64_t first = simulation_first_value(simulation, shard), want = 0;
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page told = {0};
    tally_error error = {""};

    while (!told.end)
        CHECK(simulation,
              ty_feed_read(&simulation->database, &query, &cursor, count_event, &count, &told,
                           &error) == TALLY_OK,
              "%s", error.message);
    for (size_t i = 0; i < simulation->reference.count; i++)
        want += simulation->reference.events[i]->sequence >= first &&
                ty_uuid_compare(&simulation->reference.events[i]->event.customer, customer) == 0;
    CHECK(simulation, count.events == want, "a customer has %llu events and should have %llu",
          (unsigned long long)count.events, (unsigned long long)want);
}

void simulation_read_everything(struct simulation *simulation)
{
    for (unsigned number = 0; number < READERS; number++)
        while (!read_page(simulation, number, 500)) {
        }
    for (unsigned number = 0; number < CUSTOMERS; number++) {
        struct ty_uuid customer = make_uuid(0xc, number);

        read_customer(simulation, &customer);
    }
}
