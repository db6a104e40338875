/*
 * embedded.c: Tally in your own process, from the first event to the invoice's numbers, and what
 * came too late for it.
 *
 *     embedded DIRECTORY
 *
 * Opens (or creates) a database in DIRECTORY, stores a few events, two of them sent twice, and
 * prints what they add up to. Then January is closed, since it has been billed, and an event of
 * January arrives. Run it again within 35 days, the dedup window: every event is then a duplicate,
 * and the sums stay what they are.
 */
#include <tally.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CUSTOMER  "6a4be78c-8c4e-4c1e-83fe-5b8fed0ae34c"
#define SUMMARISE "0f6b0a4e-7d0c-4c55-9a53-2f4d3c1c8a10"
#define TRANSLATE "b3b1f6d2-52b5-4b0f-8d6e-1f2a7c9e0d55"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* 2023-01-31T23:59:59.999Z and one millisecond later: the last event of one month, the first of the
 * next. */
#define END_OF_JANUARY    INT64_C(1675209599999)
#define START_OF_FEBRUARY INT64_C(1675209600000)

static void die(const char *what, const char *why)
{
    fprintf(stderr, "embedded: cannot %s: %s\n", what, why);
    exit(1);
}

static void read_uuid(const char *text, uint8_t uuid[16])
{
    if (!tally_uuid_parse(text, uuid))
        die("read a UUID", text);
}

static tally *open_database(const char *directory)
{
    tally_options options = TALLY_OPTIONS_INIT;
    tally_error error;
    tally *db;

    options.directory = directory;
    if (tally_open(&options, &db, &error) != TALLY_OK)
        die("open the database", error.message);
    return db;
}

/* An event as literals; credits are in millionths, so that sums of them are exact. */
struct sample {
    const char *id;
    const char *workflow;
    int64_t time_ms;
    int64_t credits_micro;
    uint32_t documents;
    uint32_t pages;
    uint64_t processing_ms;
};

static tally_event make_event(const struct sample *sample)
{
    tally_event event;

    memset(&event, 0, sizeof(event)); /* no source, no user */
    read_uuid(CUSTOMER, event.customer_id);
    read_uuid(sample->workflow, event.workflow_id);
    event.id = sample->id;
    event.id_length = strlen(sample->id);
    event.time_ms = sample->time_ms;
    event.credits_micro = sample->credits_micro;
    event.documents = sample->documents;
    event.pages = sample->pages;
    event.processing_ms = sample->processing_ms;
    return event;
}

static void ingest(tally *db)
{
    static const struct sample samples[] = {
        {"job-1", SUMMARISE, END_OF_JANUARY, 100000, 1, 3, 1200},    /* 0.1 credits */
        {"job-2", SUMMARISE, START_OF_FEBRUARY, 200000, 1, 7, 2500}, /* 0.2 */
        {"job-3", TRANSLATE, START_OF_FEBRUARY, 5000000, 2, 11, 9000},
        {"job-1", SUMMARISE, END_OF_JANUARY, 100000, 1, 3, 1200},    /* a retry */
        {"job-2", SUMMARISE, START_OF_FEBRUARY, 900000, 1, 7, 2500}, /* a conflict */
        {"job-4", SUMMARISE, START_OF_FEBRUARY, -50000, 0, 0, 0},    /* an adjustment */
    };
    tally_event events[COUNT_OF(samples)];
    tally_result results[COUNT_OF(samples)];
    tally_status status;
    size_t i;

    for (i = 0; i < COUNT_OF(samples); i++)
        events[i] = make_event(&samples[i]);
    status = tally_ingest(db, events, COUNT_OF(events), results);
    if (status != TALLY_OK) /* A real program waits a moment and sends the same batch again. */
        die("store the events", tally_strerror(status));
    for (i = 0; i < COUNT_OF(samples); i++)
        printf("%s: %s\n", samples[i].id, tally_result_name(results[i]));
}

static void print_row(const tally_row *row)
{
    char credits[TALLY_NUMBER_TEXT_BYTES], pages[TALLY_NUMBER_TEXT_BYTES];
    int64_t average_micro;

    tally_number_format(row->credits_micro, 6, credits);
    tally_number_format(row->pages, 0, pages);
    printf("  %s  %6s credits  %3s pages", row->date, credits, pages);
    if (tally_average_time_per_page(row, &average_micro))
        printf("  %ld.%06ld s a page", (long)(average_micro / 1000000),
               (long)(average_micro % 1000000));
    printf("\n");
}

static void print_usage(tally *db, const uint8_t customer[16], const uint8_t workflow[16],
                        const tally_range *range)
{
    char text[37];
    tally_error error;
    tally_row *rows;
    size_t count, i;

    if (tally_usage(db, customer, workflow, range, &rows, &count, &error) != TALLY_OK)
        die("ask for the usage", error.message);
    tally_uuid_format(workflow, text);
    printf("%s\n", text);
    for (i = 0; i < count; i++)
        print_row(&rows[i]);
    tally_free(rows);
}

static void report(tally *db)
{
    tally_range range = {TALLY_MONTHLY, "2023-01", "2023-03"};
    uint8_t customer[16], (*workflows)[16];
    tally_error error;
    size_t count, i;

    read_uuid(CUSTOMER, customer);
    if (tally_workflows(db, customer, &range, &workflows, &count, &error) != TALLY_OK)
        die("list the workflows", error.message);
    printf("%lu workflows were used\n", (unsigned long)count);
    for (i = 0; i < count; i++)
        print_usage(db, customer, workflows[i], &range);
    tally_free(workflows);
}

/* January was billed. What still comes for it counts, and is listed for the next invoice. */
static void close_january(tally *db)
{
    static const struct sample late = {"job-5", SUMMARISE, END_OF_JANUARY, 500000, 0, 0, 0};
    tally_event event = make_event(&late);
    tally_revision *revisions;
    tally_closed closed;
    tally_error error;
    size_t count, i;

    if (tally_close_months(db, event.customer_id, "2023-01", &closed, &error) != TALLY_OK)
        die("close January", error.message);
    if (tally_ingest(db, &event, 1, NULL) != TALLY_OK)
        die("store an event", late.id);
    if (tally_revisions(db, event.customer_id, 0, &revisions, &count, NULL, &error) != TALLY_OK)
        die("list the revisions", error.message);
    printf("closed through %s, %lu revision\n", closed.through, (unsigned long)count);
    for (i = 0; i < count; i++) {
        print_row(&revisions[i].before);
        print_row(&revisions[i].after);
    }
    tally_free(revisions);
}

int main(int argc, char **argv)
{
    tally *db;

    if (argc != 2) {
        fprintf(stderr, "usage: embedded DIRECTORY\n");
        return 2;
    }
    db = open_database(argv[1]);
    ingest(db);
    report(db);
    close_january(db);
    tally_close(db);
    return 0;
}
