/*
 * callers.h: threads that call tally_ingest() with events of their own, the same in every run.
 */
#ifndef BENCH_CALLERS_H
#define BENCH_CALLERS_H

#include "bench/database.h"

struct bench_sent {
    uint64_t accepted;
    uint64_t duplicates;
};

/* bench_send sends `count` events, numbers `first` and up, divided among options->callers: what an
 * event is follows from its number, so that the same numbers again are retries. */
struct bench_sent bench_send(tally *db, const struct bench_options *options, uint64_t first,
                             uint64_t count);

#endif
