#include "server/revisions_json.h"

#include <inttypes.h>
#include <string.h>

#include "engine/timestamp.h"
#include "server/usage_json.h"

static void append_time(struct ty_buffer *out, const char *name, int64_t ms)
{
    char text[TY_TIMESTAMP_TEXT_BYTES];

    if (ms < TY_TIMESTAMP_MS_MIN || ms > TY_TIMESTAMP_MS_MAX) {
        ty_buffer_append_format(out, ",\"%s\":%" PRId64, name, ms);
        return;
    }
    ty_timestamp_format(ms, text);
    ty_buffer_append_format(out, ",\"%s\":\"%s\"", name, text);
}

void ty_revisions_json_closed(struct ty_buffer *out, const struct ty_uuid *customer,
                              const tally_closed *closed, bool more)
{
    char text[TY_UUID_TEXT_LENGTH];

    ty_uuid_format(customer, text);
    ty_buffer_append_format(out, "{\"customer_id\":\"%.36s\"", text);
    if (closed->through[0] == '\0') {
        ty_buffer_append_text(out, ",\"closed_through\":null,\"closed_at\":null");
    } else {
        ty_buffer_append_format(out, ",\"closed_through\":\"%s\"", closed->through);
        append_time(out, "closed_at", closed->closed_ms);
    }
    if (!more)
        ty_buffer_append_char(out, '}');
}

static void append_sums(struct ty_buffer *out, const char *name, const tally_row *row)
{
    ty_buffer_append_format(out, ",\"%s\":{\"num_events\":%" PRIu64, name, row->events);
    ty_usage_json_sums(out, row);
    ty_usage_json_number(out, ",\"processing_ms\":", row->processing_ms, 0);
    ty_buffer_append_char(out, '}');
}

void ty_revisions_json_append(struct ty_buffer *out, const tally_revision *revision, bool first)
{
    struct ty_uuid workflow;
    char text[TY_UUID_TEXT_LENGTH];

    memcpy(workflow.bytes, revision->workflow_id, sizeof(workflow.bytes));
    ty_uuid_format(&workflow, text);
    ty_buffer_append_format(out, "%s{\"revision\":%" PRIu64 ",\"workflow_id\":\"%.36s\"",
                            first ? "" : ",", revision->number, text);
    ty_buffer_append_format(out, ",\"month\":\"%s\"", revision->before.date);
    append_time(out, "received", revision->received_ms);
    append_sums(out, "old", &revision->before);
    append_sums(out, "new", &revision->after);
    ty_buffer_append_format(out, ",\"cause\":{\"events\":%" PRIu64 ",\"voided\":%" PRIu64 "}}",
                            revision->events, revision->voided);
}

void ty_revisions_json_end(struct ty_buffer *out, bool more, uint64_t next)
{
    if (more)
        ty_buffer_append_format(out, "],\"next\":%" PRIu64 "}", next);
    else
        ty_buffer_append_text(out, "],\"next\":null}");
}
