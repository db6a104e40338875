/*
 * json_events.h: usage events from JSON bodies: one document, or a document a line.
 *
 * Both functions append to a batch that the caller owns. Texts of events and outcomes are borrowed
 * from `data` where they hold no escapes, so `data` must live as long as the batch; the rest is in
 * the batch's arena. On every result but TY_DECODE_OK the batch may hold a part of the body: free
 * it, nothing of it may be stored. Time and memory are linear in `length`.
 *
 * A record is a JSON object with the fields of event_fields.h. Other members are ignored, whatever
 * their value (nested at most TY_JSON_DEPTH_MAX deep); names are compared after unescaping, and
 * exactly. A record that is no object is rejected (TALLY_INVALID_FIELD). A UTF-8 byte order mark
 * at the very start of a body is ignored.
 *
 * Threads: pure functions of their arguments.
 */
#ifndef TY_INGEST_JSON_EVENTS_H
#define TY_INGEST_JSON_EVENTS_H

#include "engine/batch.h"
#include "ingest/decode.h"

/*
 * ty_json_events_decode reads application/json: one event, an array of events, or
 * {"records": [...]}: an object with the member "records" is a batch, its other members are
 * ignored.
 *
 * TY_DECODE_REFUSED fills *error: no well-formed JSON (even where records before the fault are
 * good), neither object nor array, "records" given twice or no array, nested too deep, or more than
 * TY_DECODE_RECORDS_MAX records.
 */
enum ty_decode_status ty_json_events_decode(const char *data, size_t length, struct ty_batch *batch,
                                            struct ty_decode_error *error);

/*
 * ty_ndjson_events_decode reads application/x-ndjson: an event a line, ended by LF or CRLF, the
 * last one by the end of the body too. Lines of white space are skipped and not counted. A line
 * that is no JSON, or holds more than one value, is a rejected record (TALLY_INVALID_FIELD) whose
 * message gives the byte within the line, from 0; no line harms another.
 *
 * TY_DECODE_REFUSED fills *error: more than TY_DECODE_RECORDS_MAX records; nothing else is refused.
 */
enum ty_decode_status ty_ndjson_events_decode(const char *data, size_t length,
                                              struct ty_batch *batch,
                                              struct ty_decode_error *error);

#endif
