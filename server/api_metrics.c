/*
 * api_metrics.c: GET /metrics in Prometheus' text format (docs/METRICS.md lists them).
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/api.h"
#include "server/metrics_text.h"

/* --- Shards --- */

#define METRIC(...) TY_METRIC(ty_shard_stats, __VA_ARGS__)

static const struct ty_metric shard_metrics[] = {
    METRIC("tally_commits_total", "counter", commits, "Transactions that stored events."),
    METRIC("tally_commit_failures_total", "counter", commit_failures, "Transactions that failed."),
    METRIC("tally_busy_batches_total", "counter", busy_batches,
           "Batches refused because too many events waited."),
    METRIC("tally_checkpointed_months_total", "counter", checkpointed_months,
           "Months of series that were written to blocks."),
    METRIC("tally_damaged_months_total", "counter", damaged_months,
           "Attempts to write a month whose stored values are damaged."),
    METRIC("tally_damaged_values_total", "counter", damaged_values,
           "Journal values that were damaged when they were trimmed."),
    METRIC("tally_trimmed_values_total", "counter", trimmed_values,
           "Journal values that were deleted by age or size."),
    METRIC("tally_queue_events", "gauge", queued_events, "Events that wait for a commit."),
    METRIC("tally_queue_batches", "gauge", queued_batches, "Parts of batches that wait."),
    METRIC("tally_voided_events_total", "counter", voided,
           "Events that were accepted and then voided."),
    METRIC("tally_closings_total", "counter", closings, "Closings of a customer's months."),
    METRIC("tally_revisions_total", "counter", revisions,
           "Changes of closed months, one for each month of a series in a commit."),
    METRIC("tally_series", "gauge", series, "Series that exist."),
    METRIC("tally_hot_bytes", "gauge", hot_bytes, "Memory of recent totals."),
    METRIC("tally_dirty_months", "gauge", dirty_months, "Months of series not yet in blocks."),
    METRIC("tally_dedup_entries", "gauge", dedup_entries, "Ids that are remembered."),
    METRIC("tally_dedup_bytes", "gauge", dedup_bytes, "Memory of remembered ids."),
    METRIC("tally_dedup_runs", "gauge", dedup_runs, "Sealed runs of remembered ids on disk."),
    METRIC("tally_dedup_seals_total", "counter", dedup_seals, "Runs of remembered ids sealed."),
    METRIC("tally_dedup_forgotten_total", "counter", dedup_forgotten_early,
           "Ids forgotten before the window's end for lack of memory."),
    METRIC("tally_journal_bytes", "gauge", journal_bytes, "Size of the kept events."),
    METRIC("tally_journal_sequence", "counter", last_sequence, "Number of the last commit."),
    METRIC("tally_replay_values", "gauge", replay_values, "Commits that a restart would replay."),
    METRIC("tally_rejects_kept_total", "counter", rejects_kept,
           "Records of streams that could not be counted and were kept, each once."),
    METRIC("tally_rejects_resent_total", "counter", rejects_resent,
           "Those that came again while they were kept."),
    METRIC("tally_rejects_dropped_total", "counter", rejects_dropped,
           "Kept rejects that were deleted, the oldest first, to stay within the bound."),
    METRIC("tally_rejects", "gauge", rejects, "Rejects that are kept."),
    METRIC("tally_reject_bytes", "gauge", reject_bytes, "Size of the kept rejects."),
    METRIC("tally_file_bytes", "gauge", file_bytes,
           "Size of the shard's file, free pages included."),
    METRIC("tally_map_bytes", "gauge", map_bytes, "What the shard's file may grow to."),
    METRIC("tally_full", "gauge", full, "1: events are refused for lack of space."),
    METRIC("tally_failed", "gauge", failed, "1: stopped after a commit of unknown outcome."),
};

static void append_shard_metric(struct ty_buffer *out, const struct ty_database *database,
                                const struct ty_metric *metric)
{
    ty_metrics_head(out, metric->name, metric->type, metric->help);
    for (unsigned i = 0; i < ty_database_shard_count(database); i++) {
        const struct ty_shard_stats *stats = ty_shard_stats(ty_database_shard(database, i));
        char labels[32];

        snprintf(labels, sizeof(labels), "{shard=\"%u\"}", i);
        ty_metrics_sample(out, metric->name, labels, ty_metrics_value(metric, stats));
    }
}

static void append_window(struct ty_buffer *out, const struct ty_database *database)
{
    ty_metrics_head(out, "tally_dedup_window_seconds", "gauge",
                    "How far back ids are remembered just now.");
    for (unsigned i = 0; i < ty_database_shard_count(database); i++) {
        struct ty_shard_stats *stats = ty_shard_stats(ty_database_shard(database, i));

        ty_buffer_append_format(
            out, "tally_dedup_window_seconds{shard=\"%u\"} %.3f\n", i,
            (double)ty_atomic_load(&stats->dedup_window_ms, memory_order_relaxed) / 1e3);
    }
}

/* Records by result: what the shards decided, and what decoders rejected before. */
static void append_events(struct ty_buffer *out, struct ty_app *app,
                          const struct ty_database *database)
{
    ty_metrics_head(out, "tally_events_total", "counter", "Records by what became of them.");
    for (int result = 0; result < TY_RESULTS; result++) {
        uint64_t count = ty_atomic_load(&app->decoder_rejects[result], memory_order_relaxed);
        char labels[48];

        for (unsigned i = 0; i < ty_database_shard_count(database); i++)
            count +=
                ty_atomic_load(&ty_shard_stats(ty_database_shard(database, i))->results[result],
                               memory_order_relaxed);
        snprintf(labels, sizeof(labels), "{result=\"%s\"}",
                 tally_result_name((tally_result)result));
        ty_metrics_sample(out, "tally_events_total", labels, count);
    }
}

static void append_commit_time(struct ty_buffer *out, const struct ty_database *database)
{
    struct ty_histogram *histograms[256];
    size_t count = TY_MIN(ty_database_shard_count(database), TY_COUNT_OF(histograms));

    for (unsigned i = 0; i < count; i++)
        histograms[i] = &ty_shard_stats(ty_database_shard(database, i))->commit_time;
    ty_metrics_histogram(out, "tally_commit_seconds", "From taking batches to their answer.",
                         histograms, count);
}

/* --- HTTP, summed over the loops --- */

struct http_sums {
    uint64_t open, accepted, rejected, requests, waiting, bytes_in, bytes_out, body_memory;
    uint64_t answers[6], faults[TY_HTTP_FAULT_COUNT];
};

static void add_counters(void *context, const struct ty_http_counters *counters)
{
    struct http_sums *sums = context;
    struct ty_http_counters *from = (struct ty_http_counters *)counters;

    sums->open += ty_atomic_load(&from->connections_open, memory_order_relaxed);
    sums->accepted += ty_atomic_load(&from->connections_accepted, memory_order_relaxed);
    sums->rejected += ty_atomic_load(&from->connections_rejected, memory_order_relaxed);
    sums->requests += ty_atomic_load(&from->requests, memory_order_relaxed);
    sums->waiting += ty_atomic_load(&from->requests_waiting, memory_order_relaxed);
    sums->bytes_in += ty_atomic_load(&from->bytes_in, memory_order_relaxed);
    sums->bytes_out += ty_atomic_load(&from->bytes_out, memory_order_relaxed);
    sums->body_memory += ty_atomic_load(&from->body_memory, memory_order_relaxed);
    for (size_t i = 0; i < TY_COUNT_OF(sums->answers); i++)
        sums->answers[i] += ty_atomic_load(&from->answers[i], memory_order_relaxed);
    for (size_t i = 0; i < TY_COUNT_OF(sums->faults); i++)
        sums->faults[i] += ty_atomic_load(&from->faults[i], memory_order_relaxed);
}

static void append_http(struct ty_buffer *out, struct ty_app *app)
{
    struct http_sums sums = {0};
    char labels[48];

    for (unsigned i = 0; i < app->options.io_threads; i++)
        ty_io_loop_with_counters(app->loops[i], add_counters, &sums);
    ty_metrics_one(out, "tally_http_connections", "gauge", "Connections that are open.", sums.open);
    ty_metrics_one(out, "tally_http_connections_total", "counter",
                   "Connections that were accepted.", sums.accepted);
    ty_metrics_one(out, "tally_http_connections_rejected_total", "counter",
                   "Connections over the limit.", sums.rejected);
    ty_metrics_one(out, "tally_http_requests_total", "counter", "Requests that were read.",
                   sums.requests);
    ty_metrics_one(out, "tally_http_requests_waiting", "gauge", "Requests without an answer yet.",
                   sums.waiting);
    ty_metrics_one(out, "tally_http_received_bytes_total", "counter", "Bytes from clients.",
                   sums.bytes_in);
    ty_metrics_one(out, "tally_http_sent_bytes_total", "counter", "Bytes to clients.",
                   sums.bytes_out);
    ty_metrics_one(out, "tally_http_body_bytes", "gauge", "Memory of request bodies.",
                   sums.body_memory);
    ty_metrics_one(out, "tally_http_refused_bodies_total", "counter",
                   "Bodies that were no such document.",
                   ty_atomic_load(&app->refused_bodies, memory_order_relaxed));
    ty_metrics_head(out, "tally_http_answers_total", "counter", "Answers by class of status.");
    for (int i = 1; i < 6; i++) {
        snprintf(labels, sizeof(labels), "{class=\"%dxx\"}", i);
        ty_metrics_sample(out, "tally_http_answers_total", labels, sums.answers[i]);
    }
    ty_metrics_head(out, "tally_http_faults_total", "counter",
                    "Requests that were no proper HTTP, by kind.");
    for (int i = TY_HTTP_FAULT_NONE + 1; i < TY_HTTP_FAULT_COUNT; i++) {
        snprintf(labels, sizeof(labels), "{kind=\"%s\"}",
                 ty_http_fault_name((enum ty_http_fault_kind)i));
        ty_metrics_sample(out, "tally_http_faults_total", labels, sums.faults[i]);
    }
}

/* --- The process --- */

static void append_process(struct ty_buffer *out, const struct ty_app *app)
{
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file != NULL && fscanf(file, "%llu %llu", &pages, &resident) == 2)
        ty_metrics_one(out, "process_resident_memory_bytes", "gauge",
                       "Resident memory, mapped pages of the data files included.",
                       resident * (uint64_t)sysconf(_SC_PAGESIZE));
    if (file != NULL)
        fclose(file);
    ty_metrics_head(out, "process_start_time_seconds", "gauge", "When the process started.");
    ty_buffer_append_format(out, "process_start_time_seconds %.3f\n",
                            (double)app->started_ms / 1e3);
}

void ty_api_metrics(struct ty_io_loop *loop, struct ty_http_exchange *exchange)
{
    struct ty_app *app = ty_io_loop_app(loop);
    struct ty_database *database = ty_app_database(app);
    struct ty_histogram *query_time = &app->query_time;
    struct ty_buffer out = {0};

    if (database != NULL) {
        append_events(&out, app, database);
        append_window(&out, database);
        for (size_t i = 0; i < TY_COUNT_OF(shard_metrics); i++)
            append_shard_metric(&out, database, &shard_metrics[i]);
        append_commit_time(&out, database);
    }
    ty_metrics_histogram(&out, "tally_query_seconds", "From a usage request to its answer.",
                         &query_time, 1);
    append_http(&out, app);
    ty_metrics_forward(&out, app);
    append_process(&out, app);
    ty_http_answer(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", &out, NULL);
}
