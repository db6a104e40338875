/*
 * remember.c: what very many remembered ids cost: the rate of new ids beside them, retries of old
 * ones, memory, a restart. `--events` is how many there are in the window.
 */
#include <inttypes.h>
#include <stdio.h>

#include "bench/callers.h"

#define SLICES                                                                                     \
    25 /* the rate is told for each; the first has an empty window, the last a full one */
#define RETRIED 20 /* one in so many is sent again */

/* A slice of the events, in whole batches of every caller. */
static uint64_t slice_of(const struct bench_options *options)
{
    uint64_t step = options->batch * options->callers;

    return (options->events / SLICES + step - 1) / step * step;
}

static void fill(tally *db, const struct bench_options *options, uint64_t slice)
{
    for (uint64_t i = 0; i < SLICES; i++) {
        struct bench_clock clock;
        struct bench_sent sent;
        char name[64];

        bench_start(&clock);
        sent = bench_send(db, options, i * slice, slice);
        snprintf(name, sizeof(name), "beside %.1f M ids", (double)(i * slice) / 1e6);
        bench_report(&clock, name, sent.accepted, "events");
        if (sent.accepted != slice)
            bench_fail("a new id was taken for a known one");
    }
}

/* Old and new ones, a batch of every caller from each part of the window. */
static void retry(tally *db, const struct bench_options *options, uint64_t slice)
{
    uint64_t step = options->batch * options->callers, sent = 0, known = 0;
    struct bench_clock clock;

    bench_start(&clock);
    for (uint64_t first = 0; first < SLICES * slice; first += step * RETRIED) {
        known += bench_send(db, options, first, step).duplicates;
        sent += step;
    }
    bench_report(&clock, "retries", known, "events");
    if (known != sent)
        bench_fail("a retry was counted again");
}

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);
    uint64_t slice = slice_of(&options);
    uint64_t empty = bench_resident_bytes(), full;
    struct bench_clock clock;
    tally *db;

    if (options.dedup_window_ms < 0)
        options.dedup_window_ms = INT64_C(35) * 24 * 3600 * 1000;
    db = bench_open(&options);
    fill(db, &options, slice);
    retry(db, &options, slice);
    full = bench_resident_bytes();
    printf("memory: %.1f MiB, %.2f bytes for each of %.1f M ids\n",
           (double)(full - empty) / 1048576, (double)(full - empty) / (double)(slice * SLICES),
           (double)(slice * SLICES) / 1e6);
    tally_close(db);
    bench_start(&clock);
    db = bench_open(&options);
    bench_report(&clock, "restart", slice * SLICES, "ids");
    retry(db, &options, slice);
    tally_close(db);
    return 0;
}
