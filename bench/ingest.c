/*
 * ingest.c: how many events a second tally_ingest() makes durable: callers, batches, fsync, dedup.
 */
#include "bench/callers.h"

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);
    struct bench_clock clock;
    tally *db = bench_open(&options);
    uint64_t accepted;

    bench_start(&clock);
    accepted = bench_send(db, &options, 0, options.events).accepted;
    bench_report(&clock, "ingest", accepted, "events");
    tally_close(db);
    return 0;
}
