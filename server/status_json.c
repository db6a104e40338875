#include "server/status_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/timestamp.h"

static void append_text(struct ty_buffer *out, const char *text)
{
    ty_buffer_append_json(out, (struct ty_text){text, strlen(text)});
}

static void append_text_or_null(struct ty_buffer *out, const char *name, const char *text)
{
    ty_buffer_append_format(out, ",\"%s\":", name);
    if (text == NULL || text[0] == '\0')
        ty_buffer_append_text(out, "null");
    else
        append_text(out, text);
}

/* A time, or null when there is none. */
static void append_time(struct ty_buffer *out, const char *name, int64_t ms)
{
    char text[TY_TIMESTAMP_TEXT_BYTES];

    if (ms != 0)
        ty_timestamp_format(ms, text);
    append_text_or_null(out, name, ms == 0 ? NULL : text);
}

static void append_stream(struct ty_buffer *out, const char *name,
                          const struct ty_stream_status *stream)
{
    if (!stream->served) {
        ty_buffer_append_format(out, ",\"%s\":null", name);
        return;
    }
    ty_buffer_append_format(
        out,
        ",\"%s\":{\"connections\":%" PRIu64 ",\"messages\":%" PRIu64 ",\"acks\":%" PRIu64
        ",\"retries\":%" PRIu64 ",\"dropped_records\":%" PRIu64 ",\"broken_streams\":%" PRIu64
        ",\"pending_bytes\":%" PRIu64 "}",
        name, stream->connections, stream->messages, stream->acks, stream->retries,
        stream->dropped_records, stream->broken_streams, stream->pending_bytes);
}

void ty_status_json_begin(struct ty_buffer *out, const struct ty_process_status *process)
{
    ty_buffer_append_text(out, "{\"version\":");
    append_text(out, process->version);
    ty_buffer_append_format(out, ",\"pid\":%" PRId64, process->pid);
    append_time(out, "started", process->started_ms);
    ty_buffer_append_format(out, ",\"uptime_ms\":%" PRId64 ",\"ready\":%s", process->uptime_ms,
                            process->unready_reason == NULL ? "true" : "false");
    append_text_or_null(out, "reason", process->unready_reason);
    ty_buffer_append_format(out, ",\"draining\":%s,\"connections\":%" PRIu64,
                            process->draining ? "true" : "false", process->connections);
    append_stream(out, "forward", &process->forward);
}

void ty_status_json_end(struct ty_buffer *out)
{
    ty_buffer_append_char(out, '}');
}

/* --- The database's members --- */

static void append_events(struct ty_buffer *out, const uint64_t results[TY_RESULTS],
                          const uint64_t more[TY_RESULTS])
{
    ty_buffer_append_text(out, "\"events\":{");
    for (int i = 0; i < TY_RESULTS; i++)
        ty_buffer_append_format(out, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",",
                                tally_result_name((tally_result)i),
                                results[i] + (more == NULL ? 0 : more[i]));
    ty_buffer_append_char(out, '}');
}

/* Milliseconds with three digits behind the point; null for "longer than the histogram goes". */
static void append_bound(struct ty_buffer *out, const char *name, int64_t us)
{
    if (us < 0)
        ty_buffer_append_format(out, ",\"%s\":null", name);
    else
        ty_buffer_append_format(out, ",\"%s\":%" PRId64 ".%03" PRId64, name, us / 1000, us % 1000);
}

static void append_commits(struct ty_buffer *out, const struct ty_shard_status *status,
                           const struct ty_commit_time *time)
{
    ty_buffer_append_format(out, ",\"commits\":{\"count\":%" PRIu64 ",\"failures\":%" PRIu64,
                            status->commits, status->commit_failures);
    if (time != NULL) {
        append_bound(out, "p50_ms", time->p50_us);
        append_bound(out, "p99_ms", time->p99_us);
        append_bound(out, "max_ms", time->max_us);
    }
    ty_buffer_append_char(out, '}');
}

static void append_journal(struct ty_buffer *out, const struct ty_shard_status *status,
                           bool has_sequences)
{
    ty_buffer_append_format(out,
                            ",\"journal\":{\"bytes\":%" PRIu64 ",\"trimmed_values\":%" PRIu64
                            ",\"replay_values\":%" PRIu64,
                            status->journal_bytes, status->trimmed_values, status->replay_values);
    if (has_sequences && status->journal.first != 0)
        ty_buffer_append_format(out, ",\"first\":%" PRIu64 ",\"last\":%" PRIu64,
                                status->journal.first, status->journal.last);
    else if (has_sequences)
        ty_buffer_append_text(out, ",\"first\":null,\"last\":null");
    append_time(out, "oldest_received", status->journal.oldest_received_ms);
    append_text_or_null(out, "problem", status->journal_problem.message);
    ty_buffer_append_char(out, '}');
}

static void append_storage(struct ty_buffer *out, const struct ty_shard_status *status)
{
    ty_buffer_append_format(out,
                            ",\"storage\":{\"file_bytes\":%" PRIu64 ",\"map_bytes\":%" PRIu64
                            ",\"disk_free_bytes\":%" PRIu64 ",\"full\":%s,\"failed\":%s}",
                            status->file_bytes, status->map_bytes, status->disk_bytes,
                            status->full ? "true" : "false", status->failed ? "true" : "false");
}

/* What is told of all shards together as of each. */
static void append_status(struct ty_buffer *out, const struct ty_shard_status *status,
                          const struct ty_commit_time *time, const uint64_t more[TY_RESULTS])
{
    append_events(out, status->results, more);
    append_commits(out, status, time);
    ty_buffer_append_format(out,
                            ",\"queue\":{\"events\":%" PRIu64 ",\"batches\":%" PRIu64
                            ",\"refused_batches\":%" PRIu64 "}",
                            status->queued_events, status->queued_batches, status->busy_batches);
    ty_buffer_append_format(out,
                            ",\"series\":%" PRIu64 ",\"hot\":{\"bytes\":%" PRIu64
                            ",\"dirty_months\":%" PRIu64 ",\"damaged_months\":%" PRIu64 "}",
                            status->series, status->hot_bytes, status->dirty_months,
                            status->damaged_months);
    ty_buffer_append_format(
        out,
        ",\"dedup\":{\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"window_ms\":%" PRId64
        ",\"effective_window_ms\":%" PRId64 ",\"forgotten_early\":%" PRIu64 "}",
        status->dedup_entries, status->dedup_bytes, status->dedup_window_wanted_ms,
        status->dedup_window_ms, status->dedup_forgotten_early);
    append_journal(out, status, time == NULL);
    ty_buffer_append_format(
        out, ",\"rejects\":{\"kept\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"dropped\":%" PRIu64 "}",
        status->rejects, status->reject_bytes, status->rejects_dropped);
    append_storage(out, status);
}

void ty_status_json_database(struct ty_buffer *out, const struct ty_process_status *process,
                             const struct ty_shard_status *total, const struct ty_commit_time *time,
                             const struct ty_shard_status *shards, unsigned shard_count)
{
    ty_buffer_append_char(out, ',');
    append_status(out, total, time, process->decoder_rejects);
    ty_buffer_append_text(out, ",\"shards\":[");
    for (unsigned i = 0; i < shard_count; i++) {
        ty_buffer_append_format(out, "%s{\"shard\":%u,", i == 0 ? "" : ",", i);
        append_status(out, &shards[i], NULL, NULL);
        ty_buffer_append_char(out, '}');
    }
    ty_buffer_append_char(out, ']');
}
