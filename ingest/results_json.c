#include "ingest/results_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define MS_PER_HOUR INT64_C(3600000)

static void write_too_new(char message[TY_RESULTS_MESSAGE_BYTES], const tally_options *options)
{
    int64_t ms = options->future_ms_max < 0 ? TALLY_FUTURE_MS_MAX : options->future_ms_max;

    if (ms % MS_PER_HOUR == 0)
        snprintf(message, TY_RESULTS_MESSAGE_BYTES,
                 "time: too far ahead of the server's clock (at most %" PRId64 " h ahead)",
                 ms / MS_PER_HOUR);
    else
        snprintf(message, TY_RESULTS_MESSAGE_BYTES,
                 "time: too far ahead of the server's clock (at most %" PRId64 " ms ahead)", ms);
}

static void write_series_limit(char message[TY_RESULTS_MESSAGE_BYTES], const tally_options *options)
{
    uint64_t max = options->series_max == 0 ? TALLY_SERIES_MAX : options->series_max;

    snprintf(message, TY_RESULTS_MESSAGE_BYTES,
             "a new customer and workflow, but all %" PRIu64
             " series that may exist are in use; those that exist are still counted",
             max);
}

/* What a code means, where whoever gave it said nothing else. */
static const char *default_message(tally_result result, char room[TY_RESULTS_MESSAGE_BYTES],
                                   const tally_options *options)
{
    switch (result) {
    case TALLY_MISSING_FIELD:
        return "a required field is missing (id, customer_id and workflow_id are required)";
    case TALLY_INVALID_FIELD:
        return "a field has the wrong type or form";
    case TALLY_OUT_OF_RANGE:
        return "a field is out of range";
    case TALLY_TOO_NEW:
        write_too_new(room, options);
        return room;
    case TALLY_TOO_OLD:
        return "time: before 2000-01-01T00:00:00Z (that, or later, is allowed)";
    case TALLY_ID_CONFLICT:
        return "id: used before by this customer for an event with other content, which stays; "
               "only the same content may be sent again with the same id";
    case TALLY_OVERFLOW:
        return "the sums of its 15 minutes would leave the range of 64 bits; nothing of the event "
               "was counted";
    case TALLY_SERIES_LIMIT:
        write_series_limit(room, options);
        return room;
    default:
        return tally_result_name(result);
    }
}

const char *ty_results_message(const struct ty_outcome *outcome, const tally_options *options,
                               char room[TY_RESULTS_MESSAGE_BYTES])
{
    return outcome->message != NULL ? outcome->message
                                    : default_message(outcome->result, room, options);
}

static void write_rejected(struct ty_buffer *buffer, size_t index, const struct ty_outcome *outcome,
                           const tally_options *options)
{
    char room[TY_RESULTS_MESSAGE_BYTES];
    const char *message = ty_results_message(outcome, options, room);

    ty_buffer_append_format(buffer, "{\"index\":%zu,\"id\":", index);
    if (outcome->id.length == 0)
        ty_buffer_append_text(buffer, "null");
    else
        ty_buffer_append_json(buffer, outcome->id);
    ty_buffer_append_format(buffer,
                            ",\"code\":\"%s\",\"message\":", tally_result_name(outcome->result));
    ty_buffer_append_json(buffer, (struct ty_text){message, strlen(message)});
    ty_buffer_append_char(buffer, '}');
}

static void write_all(struct ty_buffer *buffer, const struct ty_batch *batch)
{
    ty_buffer_append_text(buffer, ",\"results\":[");
    for (size_t i = 0; i < batch->record_count; i++) {
        if (i != 0)
            ty_buffer_append_char(buffer, ',');
        ty_buffer_append_char(buffer, '"');
        ty_buffer_append_text(buffer, tally_result_name(batch->outcomes[i].result));
        ty_buffer_append_char(buffer, '"');
    }
    ty_buffer_append_char(buffer, ']');
}

struct ty_results_count ty_results_json_count(const struct ty_batch *batch)
{
    struct ty_results_count count = {0};

    for (size_t i = 0; i < batch->record_count; i++) {
        TY_ASSERT(batch->outcomes[i].result != TALLY_NOT_STORED);
        count.accepted += batch->outcomes[i].result == TALLY_ACCEPTED;
        count.duplicates += batch->outcomes[i].result == TALLY_DUPLICATE;
    }
    count.rejected = batch->record_count - count.accepted - count.duplicates;
    return count;
}

void ty_results_json_write_members(struct ty_buffer *buffer, const struct ty_batch *batch,
                                   const tally_options *options)
{
    struct ty_results_count count = ty_results_json_count(batch);
    size_t written = 0;

    ty_buffer_append_format(buffer, "\"accepted\":%zu,\"duplicates\":%zu,\"rejected\":[",
                            count.accepted, count.duplicates);
    for (size_t i = 0; i < batch->record_count && written < count.rejected; i++) {
        const struct ty_outcome *outcome = &batch->outcomes[i];

        if (outcome->result == TALLY_ACCEPTED || outcome->result == TALLY_DUPLICATE)
            continue;
        if (written++ != 0)
            ty_buffer_append_char(buffer, ',');
        write_rejected(buffer, i, outcome, options);
    }
    ty_buffer_append_char(buffer, ']');
}

void ty_results_json_write(struct ty_buffer *buffer, const struct ty_batch *batch, bool all,
                           const tally_options *options)
{
    ty_buffer_append_char(buffer, '{');
    ty_results_json_write_members(buffer, batch, options);
    if (all)
        write_all(buffer, batch);
    ty_buffer_append_char(buffer, '}');
}
