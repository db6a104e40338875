/*
 * cloudevents.h: usage events as CloudEvents 1.0 (github.com/cloudevents/spec, v1.0.2): the JSON
 * event format, and the three modes of the HTTP protocol binding.
 *
 *   specversion       required: "1.0"
 *   id                required: the event's id
 *   source            required: text of 1..TALLY_SOURCE_BYTES_MAX bytes; the key that counts once
 *                     is (customer, source, id)
 *   type              required: text that is not empty; otherwise ignored
 *   time              date-time as in RFC 3339; absent: the time of arrival
 *   subject           the customer, a UUID
 *   datacontenttype   if given, JSON: subtype "json" or "...+json", parameters ignored
 *   data              required: an object with the other fields of event_fields.h. Its id and time
 *                     are ignored, the attributes rule. customer_id stands for an absent subject,
 *                     and must equal a given one.
 *   data_base64       the same, as base64 (RFC 4648, padded) of JSON text
 *
 * Other attributes are ignored (nested at most TY_JSON_DEPTH_MAX deep). null equals absent, as the
 * JSON format says. Everything that is wrong with an event makes it a rejected record, as
 * event_fields.h says, and never harms another.
 *
 * All functions append to a batch that the caller owns. Texts of events and outcomes are borrowed
 * from `data` where they hold no escapes, so `data` must live as long as the batch. On every result
 * but TY_DECODE_OK the batch may hold a part of the body: free it, nothing of it may be stored.
 * TY_DECODE_REFUSED fills *error: no well-formed JSON, or what each function says. A UTF-8 byte
 * order mark at the very start is ignored. Time and memory are linear in the input.
 *
 * Threads: pure functions of their arguments.
 */
#ifndef TY_INGEST_CLOUDEVENTS_H
#define TY_INGEST_CLOUDEVENTS_H

#include "engine/batch.h"
#include "ingest/decode.h"

/* ty_cloudevents_decode reads application/cloudevents+json, one event. Refused: no object. */
enum ty_decode_status ty_cloudevents_decode(const char *data, size_t length, struct ty_batch *batch,
                                            struct ty_decode_error *error);

/* ty_cloudevents_batch_decode reads application/cloudevents-batch+json, an array of events.
 * Refused: no array, or more than TY_DECODE_RECORDS_MAX records. */
enum ty_decode_status ty_cloudevents_batch_decode(const char *data, size_t length,
                                                  struct ty_batch *batch,
                                                  struct ty_decode_error *error);

/* ty_cloudevents_any_decode reads either: OpenMeter takes both as application/json. */
enum ty_decode_status ty_cloudevents_any_decode(const char *data, size_t length,
                                                struct ty_batch *batch,
                                                struct ty_decode_error *error);

/* A header "ce-NAME: VALUE" of binary mode. */
struct ty_cloudevents_header {
    struct ty_text name;  /* without its "ce-", in lower case */
    struct ty_text value; /* as it was sent, white space around it removed */
};

/*
 * ty_cloudevents_binary_decode reads one event in binary mode: attributes from headers, data from a
 * body of JSON (an empty body is no data). Values are freed from double quotes and then from
 * percent-encoding (HTTP binding, section 3.1.3.2), and must be UTF-8 after that. The headers are
 * borrowed for the call.
 */
enum ty_decode_status ty_cloudevents_binary_decode(const struct ty_cloudevents_header *headers,
                                                   size_t header_count, const char *data,
                                                   size_t length, struct ty_batch *batch,
                                                   struct ty_decode_error *error);

#endif
