/*
 * ingest.c: how many events a second tally_ingest() makes durable: callers, batches, fsync, dedup.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/database.h"

struct caller {
    pthread_t thread;
    tally *db;
    const struct bench_options *options;
    unsigned index;
    uint64_t accepted;
};

/* Event n of caller c, the same in every run: one of `series` series, a unique UUID id. */
static void fill(tally_event *event, char id[37], const struct caller *caller, uint64_t n)
{
    uint64_t key = bench_mix(n * 64 + caller->index);
    uint64_t series = key % caller->options->series;
    uint8_t uuid[16];

    memset(event, 0, sizeof(*event));
    memcpy(uuid, &key, 8);
    memcpy(uuid + 8, &n, 8);
    tally_uuid_format(uuid, id);
    event->id = id;
    event->id_length = 36;
    memcpy(event->customer_id, &(uint64_t){series / 4 + 1}, 8);
    memcpy(event->workflow_id, &(uint64_t){series % 4 + 1}, 8);
    event->credits_micro = 5000000;
    event->documents = 1;
    event->pages = 3;
    event->processing_ms = 1200;
    event->time_ms = caller->options->start_ms + (int64_t)(n / 100);
}

static void *run(void *argument)
{
    struct caller *caller = argument;
    size_t batch = caller->options->batch;
    uint64_t share = caller->options->events / caller->options->callers;
    tally_event *events = malloc(batch * sizeof(*events));
    tally_result *results = malloc(batch * sizeof(*results));
    char(*ids)[37] = malloc(batch * sizeof(*ids));

    for (uint64_t n = 0; n < share; n += batch) {
        for (size_t i = 0; i < batch; i++)
            fill(&events[i], ids[i], caller, n + i);
        if (tally_ingest(caller->db, events, batch, results) != TALLY_OK)
            bench_fail("tally_ingest");
        for (size_t i = 0; i < batch; i++)
            caller->accepted += results[i] == TALLY_ACCEPTED;
    }
    free(events);
    free(results);
    free(ids);
    return NULL;
}

int main(int argc, char **argv)
{
    struct bench_options options = bench_parse(argc, argv);
    struct caller callers[64] = {0};
    struct bench_clock clock;
    uint64_t accepted = 0;
    tally *db = bench_open(&options);

    bench_start(&clock);
    for (unsigned i = 0; i < options.callers; i++) {
        callers[i] = (struct caller){.db = db, .options = &options, .index = i};
        if (pthread_create(&callers[i].thread, NULL, run, &callers[i]) != 0)
            bench_fail("pthread_create");
    }
    for (unsigned i = 0; i < options.callers; i++) {
        pthread_join(callers[i].thread, NULL);
        accepted += callers[i].accepted;
    }
    bench_report(&clock, "ingest", accepted, "events");
    tally_close(db);
    return 0;
}
