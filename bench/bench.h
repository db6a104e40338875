/*
 * bench.h: what the in-process benchmarks share: options, a clock, one line of result.
 *
 * Every benchmark takes the same options and uses a fixed seed, so that a run can be repeated; the
 * count in its result is a check value. `--smoke` makes it small enough for the tests.
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct bench_options {
    const char *directory; /* of the database; made anew in the working directory and removed */
    uint64_t events;
    uint64_t series;
    size_t batch;
    unsigned callers;
    unsigned shards;         /* as tally_options */
    int64_t dedup_window_ms; /* as tally_options */
    uint64_t dedup_memory_bytes;
    int64_t start_ms; /* of the events */
    bool no_sync;
    bool smoke;
};

struct bench_clock {
    struct timespec start;
};

/* bench_parse reads --events N --series N --batch N --callers N --shards N
 * --dedup-window MS --dedup-memory BYTES --no-sync --smoke, and makes an empty directory; ends the
 * program on anything else. */
struct bench_options bench_parse(int argc, char **argv);

/* A hash of n: the benchmarks' source of variety. */
uint64_t bench_mix(uint64_t n);

void bench_start(struct bench_clock *clock);
double bench_seconds(const struct bench_clock *clock);

/* Prints "name: 1000000 events in 0.512 s, 1.95 M events/s". */
void bench_report(const struct bench_clock *clock, const char *name, uint64_t count,
                  const char *unit);

/* Resident memory of this process in bytes, without pages of mapped files. */
uint64_t bench_resident_bytes(void);

_Noreturn void bench_fail(const char *what);

#endif
