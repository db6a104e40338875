#include "bench/callers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define CALLERS_MAX 64

struct caller {
    pthread_t thread;
    tally *db;
    const struct bench_options *options;
    unsigned index;
    uint64_t first, count; /* of its events */
    struct bench_sent sent;
};

/* Event n of caller c: one of `series` series, a unique UUID id. */
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
    tally_event *events = malloc(batch * sizeof(*events));
    tally_result *results = malloc(batch * sizeof(*results));
    char(*ids)[37] = malloc(batch * sizeof(*ids));

    for (uint64_t n = caller->first; n < caller->first + caller->count; n += batch) {
        for (size_t i = 0; i < batch; i++)
            fill(&events[i], ids[i], caller, n + i);
        if (tally_ingest(caller->db, events, batch, results) != TALLY_OK)
            bench_fail("tally_ingest");
        for (size_t i = 0; i < batch; i++)
            if (results[i] == TALLY_ACCEPTED)
                caller->sent.accepted++;
            else
                caller->sent.duplicates += results[i] == TALLY_DUPLICATE;
    }
    free(events);
    free(results);
    free(ids);
    return NULL;
}

struct bench_sent bench_send(tally *db, const struct bench_options *options, uint64_t first,
                             uint64_t count)
{
    struct caller callers[CALLERS_MAX] = {0};
    struct bench_sent sent = {0};

    for (unsigned i = 0; i < options->callers; i++) {
        callers[i] = (struct caller){.db = db,
                                     .options = options,
                                     .index = i,
                                     .first = first / options->callers,
                                     .count = count / options->callers};
        if (pthread_create(&callers[i].thread, NULL, run, &callers[i]) != 0)
            bench_fail("pthread_create");
    }
    for (unsigned i = 0; i < options->callers; i++) {
        pthread_join(callers[i].thread, NULL);
        sent.accepted += callers[i].sent.accepted;
        sent.duplicates += callers[i].sent.duplicates;
    }
    return sent;
}
