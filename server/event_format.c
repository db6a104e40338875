#include "server/event_format.h"

#include "ingest/cloudevents.h"
#include "ingest/json_events.h"
#include "ingest/media_type.h"
#include "ingest/msgpack_events.h"

#include <string.h>
#include <strings.h>

#define CLOUDEVENTS        "application/cloudevents"
#define ATTRIBUTE_PREFIX   "ce-"
#define ATTRIBUTE_PREFIX_N (sizeof(ATTRIBUTE_PREFIX) - 1)

struct ty_event_format {
    const char *content_type;
    enum ty_decode_status (*decode)(const char *data, size_t length, struct ty_batch *batch,
                                    struct ty_decode_error *error);
};

static const struct ty_event_format tally_formats[] = {
    {"application/json", ty_json_events_decode},
    {"application/x-ndjson", ty_ndjson_events_decode},
    {"application/msgpack", ty_msgpack_events_decode},
    {"application/x-msgpack", ty_msgpack_events_decode},
    {"application/vnd.msgpack", ty_msgpack_events_decode},
    {CLOUDEVENTS "+json", ty_cloudevents_decode},
    {CLOUDEVENTS "-batch+json", ty_cloudevents_batch_decode},
};

static const struct ty_event_format openmeter_formats[] = {
    {"application/json", ty_cloudevents_any_decode},
    {CLOUDEVENTS "+json", ty_cloudevents_decode},
    {CLOUDEVENTS "-batch+json", ty_cloudevents_batch_decode},
};

/* Its attributes are headers, so that a body alone does not make an event. */
static const struct ty_event_format binary_mode = {NULL, NULL};

static const struct {
    const struct ty_event_format *formats;
    size_t count;
    const char *allowed;
} doors[] = {
    [TY_EVENT_DOOR_TALLY] = {tally_formats, TY_COUNT_OF(tally_formats),
                             "Content-Type must be application/json, application/x-ndjson, "
                             "application/msgpack, application/cloudevents+json or "
                             "application/cloudevents-batch+json; with ce- headers, JSON"},
    [TY_EVENT_DOOR_OPENMETER] = {openmeter_formats, TY_COUNT_OF(openmeter_formats),
                                 "Content-Type must be application/json, "
                                 "application/cloudevents+json or "
                                 "application/cloudevents-batch+json; with ce- headers, JSON"},
};

/* HTTP binding, section 3: structured and batched mode by the type's beginning, else binary. */
static bool is_binary(const struct ty_http_request *request, struct ty_text type)
{
    if (ty_http_request_header(request, ATTRIBUTE_PREFIX "specversion").data == NULL)
        return false;
    return type.length < strlen(CLOUDEVENTS) ||
           strncasecmp(type.data, CLOUDEVENTS, strlen(CLOUDEVENTS)) != 0;
}

const struct ty_event_format *ty_event_format_find(const struct ty_http_request *request,
                                                   enum ty_event_door door)
{
    struct ty_text type = ty_http_request_header(request, "content-type");

    if (is_binary(request, type))
        return ty_media_type_is_json(type) ? &binary_mode : NULL;
    for (size_t i = 0; i < doors[door].count; i++)
        if (ty_media_type_is(type, doors[door].formats[i].content_type))
            return &doors[door].formats[i];
    return NULL;
}

const char *ty_event_format_allowed(enum ty_event_door door)
{
    return doors[door].allowed;
}

static enum ty_decode_status decode_binary(const struct ty_http_request *request,
                                           struct ty_batch *batch, struct ty_decode_error *error)
{
    struct ty_cloudevents_header *headers =
        ty_arena_alloc(&batch->arena, request->header_count * sizeof(*headers));
    const struct ty_http_header *header;
    size_t at = 0, count = 0;

    if (headers == NULL) {
        batch->failed = true;
        return TY_DECODE_NO_MEMORY;
    }
    while ((header = ty_http_request_next_header(request, ATTRIBUTE_PREFIX, &at)) != NULL) {
        headers[count].name.data = header->name.data + ATTRIBUTE_PREFIX_N;
        headers[count].name.length = header->name.length - ATTRIBUTE_PREFIX_N;
        headers[count++].value = header->value;
    }
    return ty_cloudevents_binary_decode(headers, count, request->body.data, request->body.length,
                                        batch, error);
}

enum ty_decode_status ty_event_format_decode(const struct ty_event_format *format,
                                             const struct ty_http_request *request,
                                             struct ty_batch *batch, struct ty_decode_error *error)
{
    if (format == &binary_mode)
        return decode_binary(request, batch, error);
    return format->decode(request->body.data, request->body.length, batch, error);
}
