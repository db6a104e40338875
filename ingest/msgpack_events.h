/*
 * msgpack_events.h: usage events from msgpack: maps with names, or arrays by position.
 *
 *   map     the fields of event_fields.h by name. Names that are no text, and unknown ones, are
 *           ignored with their values.
 *   array   [id, customer_id, workflow_id, credits, documents, pages, processing_ms, user_id?]:
 *           7 or 8 elements, nil where a field is absent. The fastest form there is.
 *
 * Texts of events and outcomes are borrowed from the input, which must live as long as the batch;
 * the rest is in the batch's arena. Threads: pure functions of their arguments.
 */
#ifndef TY_INGEST_MSGPACK_EVENTS_H
#define TY_INGEST_MSGPACK_EVENTS_H

#include "engine/batch.h"
#include "ingest/decode.h"
#include "ingest/msgpack_scan.h"

/*
 * ty_msgpack_events_record takes one value and adds it to the batch, as an event or as a reject
 * (TALLY_INVALID_FIELD when it is neither map nor array). `time_ms` is the event's time when the
 * record has none: that of its entry, or TALLY_TIME_OF_ARRIVAL. False when the bytes are no whole
 * msgpack value (see msgpack->error; the batch then holds a part of it) or when the batch failed.
 */
bool ty_msgpack_events_record(struct ty_msgpack *msgpack, int64_t time_ms, struct ty_batch *batch);

/*
 * ty_msgpack_events_decode reads a body of application/msgpack: one event as a map, or an array of
 * events, each a map or an array by position.
 *
 * TY_DECODE_REFUSED fills *error: no whole msgpack value (even where records before the fault are
 * good), more bytes after it, neither map nor array, or more than TY_DECODE_RECORDS_MAX records.
 * The batch may then hold a part of the body: free it, nothing of it may be stored.
 */
enum ty_decode_status ty_msgpack_events_decode(const char *data, size_t length,
                                               struct ty_batch *batch,
                                               struct ty_decode_error *error);

/* ty_msgpack_event_time reads Fluentd's EventTime (extension 0 of 8 bytes: seconds and nanoseconds
 * since 1970, each 32 bits, big-endian); false when the value is none. */
bool ty_msgpack_event_time(const struct ty_msgpack_value *value, int64_t *time_ms);

#endif
