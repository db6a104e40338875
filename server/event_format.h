/*
 * event_format.h: which decoder a body of events goes to, by the request's headers.
 *
 * Threads: pure functions.
 */
#ifndef TY_SERVER_EVENT_FORMAT_H
#define TY_SERVER_EVENT_FORMAT_H

#include "engine/batch.h"
#include "ingest/decode.h"
#include "server/http_message.h"

/* The two paths that take events, which differ in their formats and in their answers. */
enum ty_event_door {
    TY_EVENT_DOOR_TALLY,    /* /v1/events: every format */
    TY_EVENT_DOOR_OPENMETER /* /api/v1/events: CloudEvents, as OpenMeter takes them */
};

struct ty_event_format;

/*
 * ty_event_format_find chooses by Content-Type, its parameters ignored. With a ce-specversion
 * header and a type of JSON that is not CloudEvents' own, the request is a CloudEvent in binary
 * mode. NULL: nothing that this door takes; ty_event_format_allowed() says what it does take.
 */
const struct ty_event_format *ty_event_format_find(const struct ty_http_request *request,
                                                   enum ty_event_door door);

/* A constant sentence for who sent something else. */
const char *ty_event_format_allowed(enum ty_event_door door);

/* ty_event_format_decode fills a batch from the request, as the decoders of ingest/ do. */
enum ty_decode_status ty_event_format_decode(const struct ty_event_format *format,
                                             const struct ty_http_request *request,
                                             struct ty_batch *batch, struct ty_decode_error *error);

#endif
