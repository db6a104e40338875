/*
 * api_status.c: GET /v1/status: how server and database are, for operators and `tally status`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/api.h"
#include "server/status_json.h"
#include "shard/system_clock.h"

struct status_query {
    struct ty_pool_job job;
    struct ty_http_exchange *exchange;
    struct ty_process_status process;
    char version[32];
    struct ty_buffer body;
};

static uint64_t load(const _Atomic uint64_t *value)
{
    return ty_atomic_load((_Atomic uint64_t *)(uintptr_t)value, memory_order_relaxed);
}

static void add_connections(void *context, const struct ty_http_counters *counters)
{
    struct ty_process_status *process = context;

    process->connections += load(&counters->connections_open);
}

static void add_forward(void *context, const struct ty_forward_counters *counters)
{
    struct ty_stream_status *forward = context;

    forward->served = true;
    forward->connections += load(&counters->connections_open);
    for (int i = 0; i < TY_FORWARD_MODES; i++)
        forward->messages += load(&counters->messages[i]);
    forward->acks += load(&counters->acks);
    forward->retries += load(&counters->retries);
    forward->dropped_records += load(&counters->records_dropped);
    forward->broken_streams += load(&counters->broken_streams);
    forward->pending_bytes += load(&counters->pending_bytes);
}

static void read_process(struct ty_app *app, struct status_query *query)
{
    struct ty_process_status *process = &query->process;
    struct ty_clock clock = ty_system_clock();

    snprintf(query->version, sizeof(query->version), "%d.%d.%d", TALLY_VERSION_MAJOR,
             TALLY_VERSION_MINOR, TALLY_VERSION_PATCH);
    process->version = query->version;
    process->pid = getpid();
    process->started_ms = app->started_ms;
    process->uptime_ms = TY_MAX(ty_clock_wall_ms(&clock) - app->started_ms, 0);
    process->unready_reason = ty_api_unready_reason(app);
    process->draining = ty_atomic_load(&app->draining, memory_order_relaxed);
    for (int i = 0; i < TY_RESULTS; i++)
        process->decoder_rejects[i] =
            ty_atomic_load(&app->decoder_rejects[i], memory_order_relaxed);
    for (unsigned i = 0; i < app->options.io_threads; i++) {
        ty_io_loop_with_counters(app->loops[i], add_connections, process);
        ty_io_loop_with_forward_counters(app->loops[i], add_forward, &process->forward);
    }
}

static void append_database(struct ty_app *app, struct status_query *query)
{
    const struct ty_database *database = ty_app_database(app);
    unsigned count = ty_database_shard_count(database);
    struct ty_shard_status total, *shards = calloc(count, sizeof(*shards));
    struct ty_commit_time time;

    if (shards == NULL) {
        query->body.failed = true;
        return;
    }
    ty_status_read(database, shards, &total, &time);
    ty_status_json_database(&query->body, &query->process, &total, &time, shards, count);
    free(shards);
}

static void run(struct ty_pool_job *job)
{
    struct status_query *query = TY_CONTAINER_OF(job, struct status_query, job);
    struct ty_app *app = ty_io_loop_app(job->loop);

    ty_status_json_begin(&query->body, &query->process);
    if (ty_app_database(app) != NULL)
        append_database(app, query);
    ty_status_json_end(&query->body);
}

static void done(struct ty_pool_job *job)
{
    struct status_query *query = TY_CONTAINER_OF(job, struct status_query, job);

    ty_http_answer(query->exchange, 200, "application/json", &query->body, NULL);
    free(query);
}

void ty_api_status(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    struct status_query *query = calloc(1, sizeof(*query));

    if (query == NULL) {
        ty_api_failure(exchange, TALLY_NO_MEMORY, NULL);
        return;
    }
    query->exchange = exchange;
    query->job.run = run;
    query->job.done = done;
    read_process(ty_io_loop_app(loop), query);
    if (!ty_api_run_on_pool(loop, exchange, &query->job))
        free(query);
}
