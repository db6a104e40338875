/*
 * database.h: the database that an in-process benchmark works on.
 */
#ifndef BENCH_DATABASE_H
#define BENCH_DATABASE_H

#include "bench/bench.h"
#include "tally.h"

/* bench_open opens the options' directory with their settings, or ends the program with the reason.
 */
tally *bench_open(const struct bench_options *options);

#endif
