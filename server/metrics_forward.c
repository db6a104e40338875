/*
 * metrics_forward.c: the metrics of the Forward protocol (metrics_text.h).
 */
#include <stdio.h>

#include "server/io_loop.h"
#include "server/metrics_text.h"

/* The counters are 64-bit numbers and nothing else, so that they can be added up one by one. */
#define COUNTERS (sizeof(struct ty_forward_counters) / sizeof(uint64_t))
_Static_assert(sizeof(struct ty_forward_counters) % sizeof(uint64_t) == 0, "only numbers");

static void add_counters(void *context, const struct ty_forward_counters *counters)
{
    _Atomic uint64_t *sums = context, *from = (_Atomic uint64_t *)(void *)(uintptr_t)counters;

    for (size_t i = 0; i < COUNTERS; i++)
        ty_atomic_add(&sums[i], ty_atomic_load(&from[i], memory_order_relaxed),
                      memory_order_relaxed);
}

#define METRIC(...) TY_METRIC(ty_forward_counters, __VA_ARGS__)

static const struct ty_metric metrics[] = {
    METRIC("tally_forward_connections", "gauge", connections_open, "Connections that are open."),
    METRIC("tally_forward_connections_total", "counter", connections_accepted,
           "Connections that were accepted."),
    METRIC("tally_forward_connections_rejected_total", "counter", connections_rejected,
           "Connections over the limit."),
    METRIC("tally_forward_accept_errors_total", "counter", accept_errors,
           "Times that a connection could not be accepted."),
    METRIC("tally_forward_received_bytes_total", "counter", bytes_in, "Bytes from producers."),
    METRIC("tally_forward_acks_total", "counter", acks, "Chunks that were acknowledged."),
    METRIC("tally_forward_broken_streams_total", "counter", broken_streams,
           "Connections closed for what they sent: no msgpack, or over a limit."),
    METRIC("tally_forward_cut_messages_total", "counter", cut_messages,
           "Connections that ended in the middle of a message."),
    METRIC("tally_forward_retries_total", "counter", retries,
           "Times that messages waited because the database could not take them."),
    METRIC("tally_forward_dropped_records_total", "counter", records_dropped,
           "Records without a chunk to acknowledge that could not be stored."),
    METRIC("tally_forward_pending_bytes", "gauge", pending_bytes,
           "Messages that were read and are not decided."),
    METRIC("tally_forward_reads_paused_total", "counter", reads_paused,
           "Times that a producer was held back."),
};

static void append_messages(struct ty_buffer *out, struct ty_forward_counters *sums)
{
    static const char *const modes[TY_FORWARD_MODES] = {
        [TY_FORWARD_IGNORED] = "ignored",       [TY_FORWARD_MESSAGE] = "message",
        [TY_FORWARD_ENTRIES] = "forward",       [TY_FORWARD_PACKED] = "packed",
        [TY_FORWARD_COMPRESSED] = "compressed", [TY_FORWARD_UNKNOWN] = "unknown",
    };
    char labels[48];

    ty_metrics_head(out, "tally_forward_messages_total", "counter", "Messages by mode.");
    for (size_t i = 0; i < TY_FORWARD_MODES; i++) {
        snprintf(labels, sizeof(labels), "{mode=\"%s\"}", modes[i]);
        ty_metrics_sample(out, "tally_forward_messages_total", labels,
                          ty_atomic_load(&sums->messages[i], memory_order_relaxed));
    }
}

void ty_metrics_forward(struct ty_buffer *out, struct ty_app *app)
{
    struct ty_forward_counters sums = {0};
    struct ty_histogram *ack_time = &sums.ack_time;

    for (unsigned i = 0; i < app->options.io_threads; i++)
        ty_io_loop_with_forward_counters(app->loops[i], add_counters, &sums);
    for (size_t i = 0; i < TY_COUNT_OF(metrics); i++)
        ty_metrics_one(out, metrics[i].name, metrics[i].type, metrics[i].help,
                       ty_metrics_value(&metrics[i], &sums));
    append_messages(out, &sums);
    ty_metrics_histogram(out, "tally_forward_ack_seconds",
                         "From the last byte of messages to their being stored.", &ack_time, 1);
}
