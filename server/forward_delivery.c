/*
 * forward_delivery.c: whole messages to the database and back (forward_internal.h).
 *
 *   decode ► submit ► decided ─┬─ rejects? ► keep ► kept ─► done: acknowledge
 *              ▲               └─ could not be taken now ─► wait ─┐
 *              └──────────────────────────────────────────────────┘
 */
#include <stdlib.h>
#include <string.h>

#include "ingest/results_json.h"
#include "server/forward_internal.h"
#include "server/log.h"

#define RETRY_MS_MIN   50
#define RETRY_MS_MAX   1000
#define FAILURE_LOG_MS 10000 /* at most one line about failures in this time */

static struct ty_app *app_of(const struct ty_forward_delivery *delivery)
{
    return ty_io_loop_app(delivery->server->loop);
}

static struct ty_database *database_of(const struct ty_forward_delivery *delivery)
{
    return ty_app_database(app_of(delivery));
}

/* --- The end --- */

void ty_forward_delivery_free(struct ty_forward_delivery *delivery)
{
    struct ty_forward_server *server = delivery->server;

    if (delivery->batch != NULL)
        ty_database_give_batch(database_of(delivery), delivery->batch);
    ty_forward_give_spare(server, &delivery->bytes);
    free(delivery->messages);
    free(delivery->rejects);
    free(delivery);
    server->delivery_count--;
}

static void finish(struct ty_forward_delivery *delivery, bool stored)
{
    delivery->is_done = true;
    delivery->is_stored = stored;
    if (stored)
        ty_histogram_record(&delivery->server->counters.ack_time,
                            (int64_t)(uv_hrtime() - delivery->read_ns));
    ty_forward_connection_decided(delivery->connection);
}

static bool is_stored(const struct ty_outcome *outcome)
{
    return outcome->result == TALLY_ACCEPTED || outcome->result == TALLY_DUPLICATE;
}

static size_t count_not_stored(const struct ty_batch *batch, size_t first, size_t count)
{
    size_t missing = 0;

    for (size_t i = first; i < first + count; i++)
        missing += !is_stored(&batch->outcomes[i]);
    return missing;
}

/* Records that are not stored and that nobody will send again, since nobody waits for their
 * acknowledgement. */
static uint64_t count_lost(const struct ty_forward_delivery *delivery)
{
    uint64_t count = 0;

    for (size_t i = 0; i < delivery->message_count; i++)
        if (delivery->messages[i].chunk.data == NULL)
            count += count_not_stored(delivery->batch, delivery->messages[i].first_record,
                                      delivery->messages[i].record_count);
    return count;
}

static void log_failure(struct ty_forward_delivery *delivery, const char *event,
                        uint64_t *last_log_ms, tally_status status, const char *problem)
{
    uint64_t now = uv_now(ty_io_loop_uv(delivery->server->loop));
    char text[TY_LOG_VALUE_BYTES];

    if (*last_log_ms != 0 && now - *last_log_ms < FAILURE_LOG_MS)
        return;
    *last_log_ms = now;
    if (problem == NULL || problem[0] == '\0')
        problem = tally_strerror(status);
    ty_log("warn", event, "peer=%s problem=%s", delivery->connection->peer,
           ty_log_value(problem, text));
}

static void give_up(struct ty_forward_delivery *delivery)
{
    ty_forward_count(&delivery->server->counters.records_dropped, count_lost(delivery));
    finish(delivery, false);
}

/* --- Trying again what was not stored --- */

static void submit(struct ty_forward_delivery *delivery);
static void keep(struct ty_forward_delivery *delivery);

/* What a part of the batch already stored must not be counted again, also without deduplication:
 * only events that are not decided stay in the batch. */
static void drop_decided_events(struct ty_batch *batch)
{
    size_t count = 0;

    for (size_t i = 0; i < batch->event_count; i++)
        if (batch->outcomes[batch->events[i].record].result == TALLY_NOT_STORED)
            batch->events[count++] = batch->events[i];
    batch->event_count = count;
}

static void wait_for_retry(struct ty_forward_delivery *delivery)
{
    struct ty_forward_server *server = delivery->server;

    ty_forward_count(&server->counters.retries, 1);
    delivery->retry_at_ms = uv_now(ty_io_loop_uv(server->loop)) + delivery->retry_pause_ms;
    delivery->retry_pause_ms = TY_MIN(2 * delivery->retry_pause_ms, (uint64_t)RETRY_MS_MAX);
    TAILQ_INSERT_TAIL(&server->waiting, delivery, in_waiting);
    ty_forward_server_wake(server);
}

static bool can_retry(tally_status status)
{
    return status == TALLY_BUSY || status == TALLY_FULL || status == TALLY_NO_MEMORY ||
           status == TALLY_IO;
}

static void handle_failure(struct ty_forward_delivery *delivery, tally_status status,
                           const char *problem)
{
    struct ty_forward_server *server = delivery->server;

    if (can_retry(status) && !server->is_closing) {
        if (status != TALLY_BUSY)
            log_failure(delivery, "forward_waits", &server->last_wait_log_ms, status, problem);
        wait_for_retry(delivery);
        return;
    }
    log_failure(delivery, "forward_not_stored", &server->last_failure_log_ms, status, problem);
    give_up(delivery);
}

void ty_forward_delivery_retry(struct ty_forward_server *server)
{
    uint64_t now = uv_now(ty_io_loop_uv(server->loop));
    struct ty_forward_delivery *delivery, *next;

    for (delivery = TAILQ_FIRST(&server->waiting); delivery != NULL; delivery = next) {
        next = TAILQ_NEXT(delivery, in_waiting);
        if (delivery->retry_at_ms > now)
            continue;
        TAILQ_REMOVE(&server->waiting, delivery, in_waiting);
        if (delivery->keeps)
            keep(delivery);
        else
            submit(delivery);
    }
}

void ty_forward_delivery_give_up(struct ty_forward_server *server)
{
    struct ty_forward_delivery *delivery;
    uint64_t records = 0, lost = 0;

    while ((delivery = TAILQ_FIRST(&server->waiting)) != NULL) {
        TAILQ_REMOVE(&server->waiting, delivery, in_waiting);
        records += count_not_stored(delivery->batch, 0, delivery->batch->record_count);
        lost += count_lost(delivery);
        give_up(delivery);
    }
    if (records != 0)
        ty_log("warn", "forward_dropped",
               "records=%llu without_chunk=%llu problem=\"the stop does not wait any longer for "
               "the database; those with a chunk are sent again\"",
               (unsigned long long)records, (unsigned long long)lost);
}

/* --- Rejects --- */

struct collecting {
    struct ty_forward_delivery *delivery;
    const struct ty_forward_message *message;
    struct ty_text source;
    size_t count;
    bool failed;
};

/* Where the records came from; a tag may hold any bytes, so only printable ones are shown. */
static struct ty_text describe_source(struct collecting *collecting)
{
    struct ty_forward_delivery *delivery = collecting->delivery;
    struct ty_text tag = collecting->message->tag;
    const char *text =
        ty_arena_format(&delivery->batch->arena, "forward %s %.*s", delivery->connection->peer,
                        (int)TY_MIN(tag.length, (size_t)256), tag.data);
    char *copy = (char *)text;

    if (text == NULL)
        return (struct ty_text){.data = "", .length = 0};
    for (char *at = copy; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || (unsigned char)*at > 0x7e)
            *at = '?';
    return (struct ty_text){.data = text, .length = strlen(text)};
}

static bool collect_record(void *context, size_t index, int64_t time_ms, struct ty_text record)
{
    struct collecting *collecting = context;
    struct ty_batch *batch = collecting->delivery->batch;
    const struct ty_outcome *outcome = &batch->outcomes[collecting->message->first_record + index];
    char room[TY_RESULTS_MESSAGE_BYTES];
    const char *message;
    struct ty_text text;

    if (is_stored(outcome))
        return true;
    message = ty_results_message(outcome, &app_of(collecting->delivery)->options.database, room);
    text = ty_arena_copy(&batch->arena, (struct ty_text){message, strlen(message)});
    collecting->failed |= text.data == NULL;
    collecting->delivery->rejects[collecting->count++] =
        (struct ty_reject){.code = outcome->result,
                           .time_ms = time_ms,
                           .source = collecting->source,
                           .message = text,
                           .record = record};
    return !collecting->failed;
}

/* Fills delivery->rejects; false: no memory. */
static bool collect_rejects(struct ty_forward_delivery *delivery)
{
    const struct ty_batch *batch = delivery->batch;
    struct collecting collecting = {.delivery = delivery};
    size_t count = count_not_stored(batch, 0, batch->record_count);

    delivery->rejects = calloc(count, sizeof(*delivery->rejects));
    if (delivery->rejects == NULL)
        return false;
    for (size_t i = 0; i < delivery->message_count && !collecting.failed; i++) {
        collecting.message = &delivery->messages[i];
        if (count_not_stored(batch, collecting.message->first_record,
                             collecting.message->record_count) == 0)
            continue;
        collecting.source = describe_source(&collecting);
        ty_forward_each_record(collecting.message, collect_record, &collecting);
    }
    delivery->keeping.rejects = delivery->rejects;
    delivery->keeping.count = collecting.count;
    if (!collecting.failed)
        return true;
    free(delivery->rejects);
    delivery->rejects = NULL;
    return false;
}

static void on_kept(struct ty_completion *completion)
{
    struct ty_forward_delivery *delivery =
        TY_CONTAINER_OF(completion, struct ty_forward_delivery, completion);

    if (delivery->keeping.status == TALLY_OK)
        finish(delivery, true);
    else
        handle_failure(delivery, delivery->keeping.status, delivery->keeping.problem);
}

/* On a writer's thread, or on the loop's own. */
static void kept(struct ty_keeping *keeping)
{
    struct ty_forward_delivery *delivery =
        TY_CONTAINER_OF(keeping, struct ty_forward_delivery, keeping);

    ty_io_loop_complete(delivery->server->loop, &delivery->completion);
}

static void keep(struct ty_forward_delivery *delivery)
{
    delivery->keeps = true;
    if (delivery->rejects == NULL && !collect_rejects(delivery)) {
        handle_failure(delivery, TALLY_NO_MEMORY, NULL);
        return;
    }
    delivery->keeping.done = kept;
    delivery->completion.run = on_kept;
    ty_io_loop_expect(delivery->server->loop);
    ty_database_keep_rejects(database_of(delivery), &delivery->keeping);
}

/* --- Events --- */

static void on_decided(struct ty_completion *completion)
{
    struct ty_forward_delivery *delivery =
        TY_CONTAINER_OF(completion, struct ty_forward_delivery, completion);
    const struct ty_batch *batch = delivery->batch;

    if (delivery->submission.status != TALLY_OK)
        handle_failure(delivery, delivery->submission.status, delivery->submission.problem);
    else if (count_not_stored(batch, 0, batch->record_count) != 0)
        keep(delivery);
    else
        finish(delivery, true);
}

/* On a writer's thread, or on the loop's own. */
static void decided(struct ty_submission *submission)
{
    struct ty_forward_delivery *delivery =
        TY_CONTAINER_OF(submission, struct ty_forward_delivery, submission);

    ty_io_loop_complete(delivery->server->loop, &delivery->completion);
}

static void submit(struct ty_forward_delivery *delivery)
{
    drop_decided_events(delivery->batch);
    ty_arena_rewind(&delivery->batch->arena, delivery->decoded);
    delivery->submission = (struct ty_submission){.batch = delivery->batch, .done = decided};
    delivery->completion.run = on_decided;
    ty_io_loop_expect(delivery->server->loop);
    ty_database_submit(database_of(delivery), &delivery->submission);
}

/* --- The start --- */

/* The bytes behind a message's entries, inflated, are the batch's; so are events and outcomes. */
static size_t memory_of_batch(const struct ty_batch *batch)
{
    return batch->record_count * sizeof(*batch->outcomes) +
           batch->event_count * sizeof(*batch->events);
}

static size_t inflated_bytes(const struct ty_forward_message *message)
{
    return message->mode == TY_FORWARD_COMPRESSED ? message->entries.length : 0;
}

/* Decodes messages until one is refused, or until they hold what may be pending. */
static bool decode(struct ty_forward_delivery *delivery, const char *data, const size_t *ends,
                   size_t count, struct ty_decode_error *error)
{
    const struct ty_forward_options *options = &delivery->server->options;
    size_t start = 0, inflated = 0;

    while (delivery->message_count < count &&
           delivery->pending_bytes < options->pending_bytes_max) {
        struct ty_forward_message *message = &delivery->messages[delivery->message_count];
        size_t end = ends[delivery->message_count];

        switch (ty_forward_decode(data + start, end - start, options->inflated_bytes_max,
                                  delivery->batch, message, error)) {
        case TY_DECODE_OK:
            break;
        case TY_DECODE_REFUSED:
            return true;
        case TY_DECODE_NO_MEMORY:
            return false;
        }
        inflated += inflated_bytes(message);
        delivery->message_count++;
        delivery->pending_bytes = end + inflated + memory_of_batch(delivery->batch);
        start = end;
    }
    return true;
}

struct ty_forward_delivery *ty_forward_delivery_make(struct ty_forward_connection *connection,
                                                     const char *data, const size_t *ends,
                                                     size_t count, struct ty_decode_error *error)
{
    struct ty_forward_delivery *delivery = calloc(1, sizeof(*delivery));

    if (delivery == NULL)
        return NULL;
    delivery->server = connection->server;
    delivery->connection = connection;
    delivery->read_ns = uv_hrtime();
    delivery->retry_pause_ms = RETRY_MS_MIN;
    delivery->server->delivery_count++;
    delivery->messages = calloc(count, sizeof(*delivery->messages));
    delivery->batch = ty_database_take_batch(database_of(delivery));
    if (delivery->messages != NULL && delivery->batch != NULL &&
        decode(delivery, data, ends, count, error))
        return delivery;
    ty_forward_delivery_free(delivery);
    return NULL;
}

void ty_forward_delivery_start(struct ty_forward_delivery *delivery, struct ty_forward_bytes *bytes)
{
    struct ty_forward_counters *counters = &delivery->server->counters;

    delivery->bytes = *bytes;
    *bytes = (struct ty_forward_bytes){0};
    for (size_t i = 0; i < delivery->message_count; i++)
        ty_forward_count(&counters->messages[delivery->messages[i].mode], 1);
    ty_app_count_rejects(app_of(delivery), delivery->batch);
    ty_batch_seal(delivery->batch, ty_database_secret(database_of(delivery)));
    delivery->decoded = ty_arena_mark(&delivery->batch->arena);
    submit(delivery);
}
