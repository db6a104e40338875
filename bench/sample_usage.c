/*
 * sample_usage: a year of usage events of an invented company, as NDJSON, and what they sum up to.
 *
 * The same seed, days and end give the same bytes, so that whoever sends the stream to a server can
 * ask for the expected answer separately. Sums are made here, event by event, not by the engine
 * that they are meant to check.
 */
#include "bench/sample_plan.h"
#include "engine/calendar.h"
#include "engine/decimal.h"
#include "engine/timestamp.h"
#include "engine/uuid.h"
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAYS_MAX            3650
#define MONTHS_MAX          (DAYS_MAX / 28 + 2)
#define WORKFLOWS_MAX       64
#define HOUR_EVENTS_MAX     4096
#define RETRIES_MAX         512
#define START_MS_MIN        INT64_C(946684800000) /* 2000-01-01: a server takes nothing older */
#define RETRIES_PER_MILLE   12
#define RETRY_DISTANCE_MAX  5000 /* events between the first sending and the second */
#define ADJUSTMENTS_PER_10K 3

enum mode { MODE_EVENTS, MODE_EXPECT, MODE_LIST };

struct event {
    struct ty_uuid id;
    size_t workflow;
    int64_t time_ms;
    int64_t micros;
    uint32_t documents;
    uint32_t pages;
    uint64_t processing_ms;
    uint32_t user; /* 0: none */
};

/* What a workflow used in a month. */
struct sums {
    ty_int128 micros;
    uint64_t documents;
    uint64_t pages;
    uint64_t processing_ms;
};

/* An event that will be sent once more, after `due` lines. */
struct retry {
    uint64_t due;
    struct event event;
};

struct sample {
    enum mode mode;
    uint64_t random;
    int64_t start_ms, end_ms;
    int32_t first_month, month_count;
    struct ty_uuid customers[WORKFLOWS_MAX];
    struct ty_uuid workflows[WORKFLOWS_MAX];
    uint64_t events[WORKFLOWS_MAX];
    uint64_t duplicates[WORKFLOWS_MAX];
    struct sums sums[WORKFLOWS_MAX][MONTHS_MAX];
    struct event hour[HOUR_EVENTS_MAX];
    size_t hour_count;
    struct retry retries[RETRIES_MAX];
    size_t retry_count;
    uint64_t line_count;
};

/* SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same everywhere. */
static uint64_t next_random(struct sample *sample)
{
    uint64_t z = (sample->random += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number from 0 to limit - 1. The bias of a remainder does not matter for a sample. */
static uint64_t below(struct sample *sample, uint64_t limit)
{
    return next_random(sample) % limit;
}

/* A version 4 UUID (RFC 9562, section 5.4). */
static struct ty_uuid next_uuid(struct sample *sample)
{
    struct ty_uuid uuid;

    for (size_t i = 0; i < sizeof(uuid.bytes); i += sizeof(uint64_t)) {
        uint64_t word = next_random(sample);

        for (size_t byte = 0; byte < sizeof(word); byte++)
            uuid.bytes[i + byte] = (uint8_t)(word >> (8 * byte));
    }
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    return uuid;
}

static const struct ty_sample_customer *customer_of(size_t workflow)
{
    return &ty_sample_customers[ty_sample_workflows[workflow].customer];
}

static void print_uuid(const struct ty_uuid *uuid)
{
    char text[TY_UUID_TEXT_LENGTH];

    ty_uuid_format(uuid, text);
    printf("%.*s", TY_UUID_TEXT_LENGTH, text);
}

static void print_time(const struct event *event)
{
    char text[TY_TIMESTAMP_TEXT_BYTES];

    switch (customer_of(event->workflow)->time_style) {
    case TY_SAMPLE_TIME_UTC:
        ty_timestamp_format(event->time_ms, text);
        printf("\"%s\"", text);
        break;
    case TY_SAMPLE_TIME_OFFSET:
        ty_timestamp_format(event->time_ms + TY_MS_PER_HOUR, text);
        printf("\"%.*s+01:00\"", (int)strcspn(text, "Z"), text);
        break;
    case TY_SAMPLE_TIME_MS:
        printf("%" PRId64, event->time_ms);
        break;
    }
}

static void print_event(const struct sample *sample, const struct event *event)
{
    const char *quote = customer_of(event->workflow)->credits_as_text ? "\"" : "";
    char credits[TY_DECIMAL_TEXT_BYTES];

    fputs("{\"id\":\"", stdout);
    print_uuid(&event->id);
    fputs("\",\"customer_id\":\"", stdout);
    print_uuid(&sample->customers[ty_sample_workflows[event->workflow].customer]);
    fputs("\",\"workflow_id\":\"", stdout);
    print_uuid(&sample->workflows[event->workflow]);
    fputs("\",\"time\":", stdout);
    print_time(event);
    ty_decimal_format(event->micros, credits);
    printf(",\"credits\":%s%s%s", quote, credits, quote);
    if (event->documents > 0)
        printf(",\"documents\":%" PRIu32 ",\"pages\":%" PRIu32 ",\"processing_ms\":%" PRIu64,
               event->documents, event->pages, event->processing_ms);
    if (event->user > 0)
        printf(",\"user_id\":\"user-%" PRIu32 "\"", event->user);
    fputs("}\n", stdout);
}

static void add_event(struct sample *sample, const struct event *event)
{
    int32_t month = ty_month_of_day(ty_day_of_ms(event->time_ms)) - sample->first_month;
    struct sums *sums = &sample->sums[event->workflow][month];

    sample->events[event->workflow]++;
    sums->micros += event->micros;
    sums->documents += event->documents;
    sums->pages += event->pages;
    sums->processing_ms += event->processing_ms;
}

static void send_line(struct sample *sample, const struct event *event)
{
    sample->line_count++;
    if (sample->mode == MODE_EVENTS)
        print_event(sample, event);
}

/* Sends again what is due by now; `all` at the end of the stream. */
static void send_retries(struct sample *sample, bool all)
{
    for (size_t i = 0; i < sample->retry_count;) {
        struct retry retry = sample->retries[i];

        if (!all && retry.due > sample->line_count) {
            i++;
            continue;
        }
        sample->retries[i] = sample->retries[--sample->retry_count];
        sample->duplicates[retry.event.workflow]++;
        send_line(sample, &retry.event);
    }
}

static void send_event(struct sample *sample, const struct event *event)
{
    add_event(sample, event);
    send_line(sample, event);
    if (below(sample, 1000) < RETRIES_PER_MILLE && sample->retry_count < RETRIES_MAX)
        sample->retries[sample->retry_count++] =
            (struct retry){sample->line_count + below(sample, RETRY_DISTANCE_MAX), *event};
    send_retries(sample, false);
}

/* Few large, many small: the smaller of two draws, from 1 to max. */
static uint32_t draw_size(struct sample *sample, uint32_t max)
{
    uint64_t a = below(sample, max), b = below(sample, max);

    return (uint32_t)(1 + TY_MIN(a, b));
}

static struct event draw_event(struct sample *sample, size_t index, int64_t hour_ms)
{
    const struct ty_sample_workflow *workflow = &ty_sample_workflows[index];
    uint32_t users = customer_of(index)->user_count;
    struct event event = {.id = next_uuid(sample), .workflow = index};

    event.time_ms = hour_ms + (int64_t)below(sample, (uint64_t)TY_MS_PER_HOUR);
    event.documents = draw_size(sample, workflow->documents_max);
    for (uint32_t i = 0; i < event.documents; i++)
        event.pages += draw_size(sample, workflow->pages_max);
    event.micros =
        event.documents * workflow->micros_per_document + event.pages * workflow->micros_per_page;
    event.processing_ms = event.pages * workflow->ms_per_page * (70 + below(sample, 90)) / 100 +
                          120 + below(sample, 800);
    event.user = users > 0 ? (uint32_t)below(sample, users) + 1 : 0;
    if (below(sample, 10000) < ADJUSTMENTS_PER_10K) {
        /* Money back for something that went wrong: no work was done. */
        event.micros = -event.micros;
        event.documents = event.pages = 0;
        event.processing_ms = 0;
    }
    return event;
}

static int compare_events(const void *a, const void *b)
{
    const struct event *left = a, *right = b;

    if (left->time_ms != right->time_ms)
        return left->time_ms < right->time_ms ? -1 : 1;
    return ty_uuid_compare(&left->id, &right->id);
}

static void draw_hour(struct sample *sample, int64_t hour_ms)
{
    sample->hour_count = 0;
    for (size_t index = 0; index < ty_sample_workflow_count; index++) {
        int64_t rate =
            ty_sample_rate(&ty_sample_workflows[index], TY_MAX(hour_ms, sample->start_ms),
                           sample->start_ms, sample->end_ms);
        /* From 60 to 140 percent of the mean, then rounded up or down by chance. */
        uint64_t milli = (uint64_t)rate * (60 + below(sample, 81)) / 100;
        uint64_t count = (milli + below(sample, 1000)) / 1000;

        for (; count > 0 && sample->hour_count < HOUR_EVENTS_MAX; count--) {
            struct event event = draw_event(sample, index, hour_ms);

            if (event.time_ms >= sample->start_ms && event.time_ms < sample->end_ms)
                sample->hour[sample->hour_count++] = event;
        }
    }
    qsort(sample->hour, sample->hour_count, sizeof(sample->hour[0]), compare_events);
}

static void generate(struct sample *sample)
{
    int64_t hour_ms = ty_hour_of_ms(sample->start_ms) * TY_MS_PER_HOUR;

    for (size_t i = 0; i < ty_sample_customer_count; i++)
        sample->customers[i] = next_uuid(sample);
    for (size_t i = 0; i < ty_sample_workflow_count; i++)
        sample->workflows[i] = next_uuid(sample);
    for (; hour_ms < sample->end_ms; hour_ms += TY_MS_PER_HOUR) {
        draw_hour(sample, hour_ms);
        for (size_t i = 0; i < sample->hour_count; i++)
            send_event(sample, &sample->hour[i]);
    }
    send_retries(sample, true);
}

static void print_series(const struct sample *sample, size_t workflow)
{
    print_uuid(&sample->customers[ty_sample_workflows[workflow].customer]);
    putchar(',');
    print_uuid(&sample->workflows[workflow]);
}

/* The rows that `tally usage --freq monthly --extended --csv` shows, behind the two ids. */
static void print_expected(const struct sample *sample)
{
    puts("customer_id,workflow_id,date,processed_credits,num_documents,num_pages,"
         "average_time_per_page");
    for (size_t workflow = 0; workflow < ty_sample_workflow_count; workflow++) {
        for (int32_t month = 0; month < sample->month_count; month++) {
            const struct sums *sums = &sample->sums[workflow][month];
            struct ty_date date =
                ty_date_of_day(ty_first_day_of_month(sample->first_month + month));
            char credits[TY_DECIMAL_TEXT_BYTES], average[TY_DECIMAL_TEXT_BYTES] = "";

            ty_decimal_format(sums->micros, credits);
            /* Milliseconds a page, in micro-seconds: thousands of them. */
            if (sums->pages > 0)
                ty_decimal_format(ty_divide_half_even((ty_int128)sums->processing_ms * 1000,
                                                      (ty_int128)sums->pages),
                                  average);
            print_series(sample, workflow);
            printf(",%04" PRId32 "-%02" PRId32 ",%s,%" PRIu64 ",%" PRIu64 ",%s\n", date.year,
                   date.month, credits, sums->documents, sums->pages, average);
        }
    }
}

static void print_list(const struct sample *sample)
{
    puts("customer_id,workflow_id,events,duplicates,customer,workflow");
    for (size_t workflow = 0; workflow < ty_sample_workflow_count; workflow++) {
        print_series(sample, workflow);
        printf(",%" PRIu64 ",%" PRIu64 ",%s,%s\n", sample->events[workflow],
               sample->duplicates[workflow], customer_of(workflow)->name,
               ty_sample_workflows[workflow].name);
    }
}

static const char help[] =
    "sample_usage: usage events of an invented company, as NDJSON for POST /v1/events\n"
    "\n"
    "  --days N    how many days, 1 to 3650 [365]\n"
    "  --end TIME  where they end, as RFC 3339 [now]\n"
    "  --seed N    the same seed, days and end give the same events [1]\n"
    "  --expect    instead of the events: what a server must answer, month by month, as CSV\n"
    "  --list      instead of the events: customers, workflows and counts, as CSV\n"
    "  --help      this page\n";

static _Noreturn void fail(const char *what, const char *value, const char *allowed)
{
    fprintf(stderr, "sample_usage: %s '%s': %s\n", what, value, allowed);
    exit(2);
}

static uint64_t parse_number(const char *option, const char *text, uint64_t least, uint64_t most)
{
    char allowed[64], *end;
    unsigned long long number = strtoull(text, &end, 10);

    snprintf(allowed, sizeof(allowed), "a number from %" PRIu64 " to %" PRIu64, least, most);
    if (*text < '0' || *text > '9' || *end != '\0' || number < least || number > most)
        fail(option, text, allowed);
    return number;
}

static void parse_arguments(int argc, char **argv, struct sample *sample)
{
    static const struct option options[] = {
        {"days", required_argument, NULL, 'd'},
        {"end", required_argument, NULL, 'e'},
        {"seed", required_argument, NULL, 's'},
        {"expect", no_argument, NULL, 'x'},
        {"list", no_argument, NULL, 'l'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t days = 365;
    const char *wrong;
    int letter;

    sample->random = 1;
    sample->end_ms = (int64_t)time(NULL) * TY_MS_PER_SECOND;
    while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (letter == 'd')
            days = parse_number("--days", optarg, 1, DAYS_MAX);
        else if (letter == 's')
            sample->random = parse_number("--seed", optarg, 0, UINT64_MAX);
        else if (letter == 'x')
            sample->mode = MODE_EXPECT;
        else if (letter == 'l')
            sample->mode = MODE_LIST;
        else if (letter == 'e') {
            wrong = ty_timestamp_parse(optarg, strlen(optarg), &sample->end_ms);
            if (wrong != NULL)
                fail("--end", optarg, wrong);
        } else {
            fputs(help, letter == 'h' ? stdout : stderr);
            exit(letter == 'h' ? 0 : 2);
        }
    }
    if (optind < argc)
        fail("argument", argv[optind], "every option begins with --");
    sample->start_ms = sample->end_ms - (int64_t)days * TY_MS_PER_DAY;
    if (sample->start_ms < START_MS_MIN)
        fail("--days and --end begin before", "2000-01-01", "no server takes events that old");
}

int main(int argc, char **argv)
{
    static struct sample sample; /* Nearly a megabyte: too much for a stack. */

    TY_ASSERT(ty_sample_workflow_count <= WORKFLOWS_MAX);
    parse_arguments(argc, argv, &sample);
    sample.first_month = ty_month_of_day(ty_day_of_ms(sample.start_ms));
    sample.month_count = ty_month_of_day(ty_day_of_ms(sample.end_ms)) - sample.first_month + 1;
    generate(&sample);
    if (sample.mode == MODE_EXPECT)
        print_expected(&sample);
    if (sample.mode == MODE_LIST)
        print_list(&sample);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        perror("sample_usage: the output could not be written");
        return 1;
    }
    return 0;
}
