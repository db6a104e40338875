#include "bench/bench.h"

#include <ftw.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char directory[64];

static int remove_one(const char *path, const struct stat *stat, int kind, struct FTW *ftw)
{
    (void)stat, (void)kind, (void)ftw;
    return remove(path);
}

static void remove_directory(void)
{
    nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

_Noreturn void bench_fail(const char *what)
{
    fprintf(stderr, "benchmark failed: %s\n", what);
    exit(1);
}

static const struct option long_options[] = {
    {"events", required_argument, NULL, 'e'},
    {"series", required_argument, NULL, 's'},
    {"batch", required_argument, NULL, 'b'},
    {"callers", required_argument, NULL, 'c'},
    {"shards", required_argument, NULL, 'w'},
    {"dedup-window", required_argument, NULL, 'd'},
    {"dedup-memory", required_argument, NULL, 'm'},
    {"no-sync", no_argument, NULL, 'n'},
    {"smoke", no_argument, NULL, 'k'},
    {NULL, 0, NULL, 0},
};

static void set_option(struct bench_options *options, int option, const char *value)
{
    switch (option) {
    case 'e':
        options->events = strtoull(value, NULL, 10);
        break;
    case 's':
        options->series = strtoull(value, NULL, 10);
        break;
    case 'b':
        options->batch = strtoul(value, NULL, 10);
        break;
    case 'c':
        options->callers = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'w':
        options->shards = (unsigned)strtoul(value, NULL, 10);
        break;
    case 'd':
        options->dedup_window_ms = strtoll(value, NULL, 10);
        break;
    case 'm':
        options->dedup_memory_bytes = strtoull(value, NULL, 10);
        break;
    case 'n':
        options->no_sync = true;
        break;
    case 'k':
        options->smoke = true;
        break;
    default:
        exit(2);
    }
}

struct bench_options bench_parse(int argc, char **argv)
{
    struct bench_options options = {.events = 8000000,
                                    .series = 1000,
                                    .batch = 1000,
                                    .callers = 4,
                                    .dedup_window_ms = -1,
                                    .start_ms = INT64_C(1672531200000)};
    int option;

    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
        set_option(&options, option, optarg);
    if (options.smoke)
        options.events = 20000;
    if (options.series == 0 || options.batch == 0 || options.callers == 0 || options.callers > 64)
        bench_fail("--series, --batch and --callers must be positive, --callers at most 64");
    snprintf(directory, sizeof(directory), "bench-data-%ld", (long)getpid());
    atexit(remove_directory);
    options.directory = directory;
    return options;
}

uint64_t bench_mix(uint64_t n)
{
    n = (n ^ n >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    n = (n ^ n >> 27) * UINT64_C(0x94d049bb133111eb);
    return n ^ n >> 31;
}

void bench_start(struct bench_clock *clock)
{
    clock_gettime(CLOCK_MONOTONIC, &clock->start);
}

double bench_seconds(const struct bench_clock *clock)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - clock->start.tv_sec) +
           (double)(now.tv_nsec - clock->start.tv_nsec) / 1e9;
}

void bench_report(const struct bench_clock *clock, const char *name, uint64_t count,
                  const char *unit)
{
    double seconds = bench_seconds(clock);

    printf("%s: %llu %s in %.3f s, %.3f M %s/s\n", name, (unsigned long long)count, unit, seconds,
           (double)count / seconds / 1e6, unit);
    fflush(stdout);
}

uint64_t bench_resident_bytes(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
            break;
    if (file != NULL)
        fclose(file);
    return kib * 1024;
}
