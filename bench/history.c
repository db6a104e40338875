/*
 * history.c: does memory follow what is active, and not history? And how fast is a restart?
 *
 * Imports a year of hourly usage of many series, waits until the database is at rest, reports the
 * resident memory, and dies as by kill -9. The parent then opens the directory again and times it.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/database.h"

#define HOURS (365 * 24)
#define BATCH 4000

static void fill(tally_event *event, char id[24], uint64_t n, const struct bench_options *options)
{
    uint64_t series = n % options->series, hour = n / options->series;

    memset(event, 0, sizeof(*event));
    event->id = id;
    event->id_length = (size_t)snprintf(id, 24, "%llu", (unsigned long long)n);
    memcpy(event->customer_id, &(uint64_t){series / 10 + 1}, 8);
    memcpy(event->workflow_id, &(uint64_t){series % 10 + 1}, 8);
    event->time_ms = options->start_ms + (int64_t)hour * 3600 * 1000;
    event->credits_micro = 1000000;
    event->pages = 1;
}

static void import(tally *db, const struct bench_options *options, uint64_t total)
{
    static tally_event events[BATCH];
    static char ids[BATCH][24];
    struct bench_clock clock;

    bench_start(&clock);
    for (uint64_t n = 0; n < total; n += BATCH) {
        size_t count = total - n < BATCH ? (size_t)(total - n) : BATCH;

        for (size_t i = 0; i < count; i++)
            fill(&events[i], ids[i], n + i, options);
        if (tally_ingest(db, events, count, NULL) != TALLY_OK)
            bench_fail("tally_ingest");
    }
    bench_report(&clock, "import", total, "events");
}

/* The process that dies. Prints how its memory was on the way. */
static _Noreturn void live_and_die(const struct bench_options *options, uint64_t total)
{
    tally *db = bench_open(options);

    import(db, options, total);
    printf("memory after the import: %.1f MB\n", (double)bench_resident_bytes() / 1e6);
    if (!options->smoke)
        sleep(50); /* longer than two checkpoint intervals: at rest */
    printf("memory at rest: %.1f MB\n", (double)bench_resident_bytes() / 1e6);
    fflush(stdout);
    raise(SIGKILL);
    abort();
}

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);
    uint64_t total = options.smoke ? 10000 : options.series * HOURS;
    struct bench_clock clock;
    uint8_t customer[16] = {1}, workflow[16] = {1};
    tally_range year = {TALLY_MONTHLY, "2023-01", "2023-12"};
    tally_row *rows;
    tally_error error;
    uint64_t events = 0;
    size_t count;
    pid_t child = fork();
    int status;
    tally *db;

    if (child == 0)
        live_and_die(&options, total);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFSIGNALED(status))
        bench_fail("the importing process did not die as it should");
    bench_start(&clock);
    db = bench_open(&options);
    printf("ready after kill -9: %.3f s\n", bench_seconds(&clock));
    if (tally_usage(db, customer, workflow, &year, &rows, &count, &error) != TALLY_OK)
        bench_fail(error.message);
    for (size_t i = 0; i < count; i++)
        events += rows[i].events;
    printf("check: %llu events of the first series\n", (unsigned long long)events);
    tally_free(rows);
    tally_close(db);
    return 0;
}
