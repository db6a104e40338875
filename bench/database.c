#include "bench/database.h"

tally *bench_open(const struct bench_options *options)
{
    tally_options open = TALLY_OPTIONS_INIT;
    tally_error error;
    tally *db;

    open.directory = options->directory;
    open.shards = options->shards;
    open.dedup_window_ms = options->dedup_window_ms;
    open.dedup_memory_bytes = options->dedup_memory_bytes;
    open.flags = options->no_sync ? TALLY_NO_SYNC : 0;
    if (tally_open(&open, &db, &error) != TALLY_OK)
        bench_fail(error.message);
    return db;
}
