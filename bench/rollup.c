/*
 * rollup.c: how long a monthly rollup over a year of one series takes, in-process.
 *
 * A year of hourly usage of one series among others, checkpointed and no longer hot: what a
 * usage endpoint asks most.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/database.h"

#define HOURS   (365 * 24)
#define QUERIES 200000

static void fill(tally_event *event, char id[24], uint64_t series, uint64_t hour,
                 const struct bench_options *options)
{
    memset(event, 0, sizeof(*event));
    event->id = id;
    event->id_length =
        (size_t)snprintf(id, 24, "%llu-%llu", (unsigned long long)series, (unsigned long long)hour);
    event->customer_id[0] = 1;
    memcpy(event->workflow_id, &series, sizeof(series));
    event->time_ms = options->start_ms + (int64_t)hour * 3600 * 1000;
    event->credits_micro = 1500000;
    event->documents = 1;
    event->pages = 2;
    event->processing_ms = 900;
}

static void ingest_year(tally *db, const struct bench_options *options)
{
    tally_event *events = malloc(HOURS * sizeof(*events));
    char(*ids)[24] = malloc(HOURS * sizeof(*ids));

    for (uint64_t series = 0; series < options->series; series++) {
        for (uint64_t hour = 0; hour < HOURS; hour++)
            fill(&events[hour], ids[hour], series, hour, options);
        if (tally_ingest(db, events, HOURS, NULL) != TALLY_OK)
            bench_fail("tally_ingest");
    }
    free(events);
    free(ids);
}

/* Runs one range many times; returns the credits of the first, as a check. */
static uint64_t run(tally *db, const char *name, const tally_range *range, uint64_t queries,
                    uint64_t series)
{
    uint8_t customer[16] = {1}, workflow[16] = {0};
    struct bench_clock clock;
    uint64_t credits = 0;

    bench_start(&clock);
    for (uint64_t i = 0; i < queries; i++) {
        uint64_t number = bench_mix(i) % series;
        tally_row *rows;
        size_t count;
        tally_error error;

        memcpy(workflow, &number, sizeof(number));
        if (tally_usage(db, customer, workflow, range, &rows, &count, &error) != TALLY_OK)
            bench_fail(error.message);
        for (size_t row = 0; i == 0 && row < count; row++)
            credits += rows[row].credits_micro.low / 1000000;
        tally_free(rows);
    }
    printf("%s: %.2f us each, check %llu\n", name, bench_seconds(&clock) * 1e6 / (double)queries,
           (unsigned long long)credits);
    return credits;
}

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);
    tally_range year = {TALLY_MONTHLY, "2023-01", "2023-12"};
    tally_range weeks = {TALLY_WEEKLY, "2023-W01", "2023-W52"};
    tally_range days = {TALLY_DAILY, "2023-01-01", "2023-12-31"};
    tally_range hours = {TALLY_HOURLY, "2023-06-01T00", "2023-06-30T23"};
    uint64_t queries = options.smoke ? 100 : QUERIES;
    tally *db;

    options.series = options.smoke ? 2 : 20;
    db = bench_open(&options);
    ingest_year(db, &options);
    run(db, "monthly, a year, hot", &year, queries, options.series);
    tally_close(db); /* Checkpoints, so that the next open finds everything stored. */
    db = bench_open(&options);
    run(db, "monthly, a year, stored", &year, queries, options.series);
    run(db, "weekly, a year, stored", &weeks, queries / 10, options.series);
    run(db, "daily, a year, stored", &days, queries / 10, options.series);
    run(db, "hourly, a month, stored", &hours, queries / 10, options.series);
    tally_close(db);
    return 0;
}
