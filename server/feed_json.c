#include "server/feed_json.h"

#include <inttypes.h>

#include "engine/decimal.h"
#include "engine/timestamp.h"

/* Appends ,"name":"text". */
static void append_text(struct ty_buffer *out, const char *name, struct ty_text text)
{
    ty_buffer_append_text(out, name);
    ty_buffer_append_json(out, text);
}

static void append_uuid(struct ty_buffer *out, const char *name, const struct ty_uuid *uuid)
{
    char text[TY_UUID_TEXT_LENGTH];

    ty_uuid_format(uuid, text);
    append_text(out, name, (struct ty_text){text, sizeof(text)});
}

static void append_time(struct ty_buffer *out, const char *name, int64_t ms)
{
    char text[TY_TIMESTAMP_TEXT_BYTES];

    ty_timestamp_format(ms, text);
    append_text(out, name, (struct ty_text){text, sizeof(text) - 1});
}

static void append_number(struct ty_buffer *out, const char *name, uint64_t number)
{
    char text[TY_DECIMAL_TEXT_BYTES];

    ty_buffer_append_text(out, name);
    ty_buffer_append(out, text, ty_integer_format((ty_int128)number, text));
}

static void append_credits(struct ty_buffer *out, int64_t micros)
{
    char text[TY_DECIMAL_TEXT_BYTES];

    ty_buffer_append_text(out, ",\"credits\":");
    ty_buffer_append(out, text, ty_decimal_format(micros, text));
}

static void append_status(struct ty_buffer *out, const struct ty_feed_event *given)
{
    ty_buffer_append_text(out, given->is_void          ? ",\"status\":\"void\""
                               : given->voided != NULL ? ",\"status\":\"voided\""
                                                       : ",\"status\":\"accepted\"");
    if (given->voided == NULL)
        return;
    append_time(out, ",\"voided\":", given->voided->voided_ms);
    append_text(out, ",\"reason\":", given->voided->reason);
}

void ty_feed_json_event(struct ty_buffer *out, const struct ty_feed_event *given, bool counted)
{
    const struct ty_event *event = given->event;
    bool has_time = event->time_ms != TALLY_TIME_OF_ARRIVAL;

    append_text(out, "{\"id\":", event->id);
    if (event->source.length != 0)
        append_text(out, ",\"source\":", event->source);
    append_uuid(out, ",\"customer_id\":", &event->customer);
    append_uuid(out, ",\"workflow_id\":", &event->workflow);
    if (has_time || counted)
        append_time(out, ",\"time\":", has_time ? event->time_ms : given->received_ms);
    append_time(out, ",\"received\":", given->received_ms);
    append_credits(out, event->credits);
    append_number(out, ",\"documents\":", event->documents);
    append_number(out, ",\"pages\":", event->pages);
    append_number(out, ",\"processing_ms\":", event->processing_ms);
    if (event->user.length != 0)
        append_text(out, ",\"user_id\":", event->user);
    append_status(out, given);
    ty_buffer_append_char(out, '}');
}

void ty_feed_json_begin(struct ty_buffer *out)
{
    ty_buffer_append_text(out, "{\"events\":[");
}

void ty_feed_json_end(struct ty_buffer *out, const char *next, const struct ty_feed_page *page)
{
    ty_buffer_append_format(out, "],\"next\":\"%s\",\"end\":%s%s}", next,
                            page->end ? "true" : "false", page->trimmed ? ",\"trimmed\":true" : "");
}
