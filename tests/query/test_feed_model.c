#include "tests/query/feed_fixture.h"

#define CUSTOMERS  5
#define WORKFLOWS  3
#define BATCH_MAX  40
#define EVENTS_MAX 4000
#define READERS    4

TestSuite(feed_model, .init = init, .fini = fini);

/* --- The model: what was sent, and what each reader was given --- */

struct sent {
    struct ty_event event; /* texts below */
    char id[16];
    char user[16];
    int64_t received_ms;
};

struct model {
    struct ty_random random;
    struct sent *sent[EVENTS_MAX];
    size_t count;
    size_t expired; /* of them, from the oldest on, may have been trimmed */
};

struct model_reader {
    struct model *model;
    unsigned customer; /* 0: everybody's */
    char cursor[TY_FEED_CURSOR_TEXT_BYTES];
    bool seen[EVENTS_MAX];
    size_t last_of[CUSTOMERS][WORKFLOWS]; /* one more than the event given last of each series */
    bool started;
    size_t oldest; /* of the events, when this reader began: it is owed no older ones */
    bool trimmed;
    bool end;
};

static struct ty_event make_event(struct model *model, struct sent *sent)
{
    struct ty_random *random = &model->random;
    unsigned customer = 1 + (unsigned)ty_random_below(random, CUSTOMERS);
    unsigned workflow = 1 + (unsigned)ty_random_below(random, WORKFLOWS);
    struct ty_event event;

    snprintf(sent->id, sizeof(sent->id), "%zu", model->count);
    event = ty_world_event(&world, customer, workflow, sent->id);
    if (ty_random_one_in(random, 3))
        event.time_ms = TALLY_TIME_OF_ARRIVAL;
    else if (ty_random_one_in(random, 3))
        event.time_ms -= (int64_t)ty_random_below(random, 1000000000);
    event.credits = (int64_t)ty_random_below(random, 2000001) - 1000000;
    event.documents = (uint32_t)ty_random_wide(random);
    event.pages = ty_random_one_in(random, 2) ? 0 : (uint32_t)ty_random_wide(random) % 100000;
    event.documents %= 100000;
    if (ty_random_one_in(random, 4)) {
        snprintf(sent->user, sizeof(sent->user), "user %zu", model->count);
        event.user = (struct ty_text){sent->user, strlen(sent->user)};
    }
    if (ty_random_one_in(random, 5))
        event.source = (struct ty_text){sent->user, strlen(sent->user)};
    sent->event = event;
    sent->received_ms = atomic_load(&world.wall_ms);
    return event;
}

static void ingest(struct model *model)
{
    struct ty_event events[BATCH_MAX];
    size_t count = 1 + ty_random_below(&model->random, BATCH_MAX);

    for (size_t i = 0; i < count && model->count < EVENTS_MAX; i++) {
        struct sent *sent = calloc(1, sizeof(*sent));

        events[i] = make_event(model, sent);
        model->sent[model->count++] = sent;
        if (model->count == EVENTS_MAX)
            count = i + 1;
    }
    submit(events, count);
}

static bool equal_texts(struct ty_text a, struct ty_text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static unsigned number_of(const struct ty_uuid *uuid)
{
    return uuid->bytes[15];
}

static bool take_model_event(void *context, const struct ty_feed_event *given)
{
    struct model_reader *reader = context;
    const struct ty_event *event = given->event, *want;
    char id[16] = "";
    size_t number, *last;

    memcpy(id, event->id.data, TY_MIN(event->id.length, sizeof(id) - 1));
    number = strtoull(id, NULL, 10);
    cr_assert_lt(number, reader->model->count);
    cr_assert(!reader->seen[number], "event %zu was given twice", number);
    reader->seen[number] = true;
    want = &reader->model->sent[number]->event;
    cr_assert(equal_texts(event->id, want->id) && equal_texts(event->user, want->user) &&
              equal_texts(event->source, want->source));
    cr_assert_eq(ty_uuid_compare(&event->customer, &want->customer), 0);
    cr_assert_eq(ty_uuid_compare(&event->workflow, &want->workflow), 0);
    cr_assert_eq(event->time_ms, want->time_ms);
    cr_assert_eq(given->received_ms, reader->model->sent[number]->received_ms);
    cr_assert_eq(event->credits, want->credits);
    cr_assert_eq(event->documents, want->documents);
    cr_assert_eq(event->pages, want->pages);
    cr_assert_eq(event->processing_ms, want->processing_ms);
    last = &reader->last_of[number_of(&event->customer) - 1][number_of(&event->workflow) - 1];
    cr_assert(*last <= number, "event %zu came after one that arrived later", number);
    *last = number + 1;
    return true;
}

static void read_model_page(struct model_reader *reader, size_t limit)
{
    struct ty_uuid customer = ty_world_customer(reader->customer);
    struct ty_feed_query query = {.limit = limit,
                                  .customer = reader->customer == 0 ? NULL : &customer};
    unsigned shards = ty_database_shard_count(database);
    struct ty_feed_cursor cursor = {0};
    struct ty_feed_page page;

    if (reader->cursor[0] != '\0')
        cr_assert_null(ty_feed_cursor_parse(
            (struct ty_text){reader->cursor, strlen(reader->cursor)}, shards, &cursor));
    if (!reader->started)
        reader->oldest = reader->model->expired;
    reader->started = true;
    assert_ok(ty_feed_read(database, &query, &cursor, take_model_event, reader, &page, &problem));
    cr_assert(page.count <= limit);
    cr_assert(page.count == limit || page.end, "pages as small as these are full");
    reader->trimmed |= page.trimmed;
    reader->end = page.end;
    ty_feed_cursor_format(&cursor, shards, reader->cursor);
}

/* At the end everything was given but for what had expired, and then the reader was told. */
static void check_reader(const struct model_reader *reader)
{
    for (size_t i = 0; i < reader->model->count; i++) {
        bool wanted = reader->customer == 0 ||
                      number_of(&reader->model->sent[i]->event.customer) == reader->customer;

        if (reader->seen[i] == wanted)
            continue;
        cr_assert(wanted, "event %zu is another customer's", i);
        cr_assert(i < reader->model->expired, "event %zu is missing", i);
        cr_assert(reader->trimmed || i < reader->oldest, "event %zu is missing and nobody said so",
                  i);
    }
}

static void expire(struct model *model)
{
    reopen(); /* which writes every month, so that the journal may be trimmed */
    ty_world_pass(&world, RETENTION_MS + 1);
    model->expired = model->count;
}

static void run_model(unsigned shards, int steps, bool trims)
{
    struct model *model = calloc(1, sizeof(*model));
    struct model_reader *readers = calloc(READERS, sizeof(*readers));

    ty_random_init(&model->random, ty_random_seed());
    open_database(shards);
    for (unsigned i = 0; i < READERS; i++) {
        readers[i].model = model;
        readers[i].customer = i < 2 ? 0 : i;
    }
    for (int step = 0; step < steps; step++) {
        struct model_reader *reader = &readers[ty_random_below(&model->random, READERS)];

        if (ty_random_one_in(&model->random, 2))
            ingest(model);
        else if (ty_random_one_in(&model->random, 20))
            reopen();
        else if (trims && ty_random_one_in(&model->random, 20))
            expire(model);
        else
            read_model_page(reader, 1 + ty_random_below(&model->random, 60));
        ty_world_pass(&world, 1 + (int64_t)ty_random_below(&model->random, 20));
    }
    for (unsigned i = 0; i < READERS; i++) {
        do
            read_model_page(&readers[i], 100);
        while (!readers[i].end);
        check_reader(&readers[i]);
        cr_assert(trims || !readers[i].trimmed);
    }
    for (size_t i = 0; i < model->count; i++)
        free(model->sent[i]);
    free(model);
    free(readers);
}

/* An audit that has an event twice, or not at all, is none. */
Test(feed_model, gives_every_event_once_while_events_arrive_and_the_database_restarts)
{
    run_model(1, 150, false);
}

/* The same where customers live on different shards, which are read one after the other. */
Test(feed_model, gives_every_event_of_several_shards_once)
{
    run_model(3, 200, false);
}

/* What was trimmed is gone; the rest must still come once, and the reader must know. */
Test(feed_model, goes_on_at_the_oldest_event_left_and_says_so)
{
    run_model(1, 200, true);
}

/* The same with several shards, each trimmed by itself. */
Test(feed_model, goes_on_in_each_shard_and_says_so)
{
    run_model(3, 300, true);
}
