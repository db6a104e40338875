/*
 * msgpack_json.h: a msgpack value as JSON, for people.
 *
 * Threads: pure functions.
 */
#ifndef TY_INGEST_MSGPACK_JSON_H
#define TY_INGEST_MSGPACK_JSON_H

#include "engine/buffer.h"

/*
 * ty_msgpack_json_append appends the value at data[0..length) as JSON, exact: integers digit by
 * digit, floats in their shortest form that reads back. 16 bytes of binary are shown as a UUID,
 * which is what they are in a usage event, and EventTime as RFC 3339 text.
 *
 * False, with nothing appended, for what JSON cannot show: other binary and extensions, NaN and
 * infinities, names that are no text, text that is no UTF-8, values nested deeper than 64, a value
 * cut short, or bytes after its end.
 */
bool ty_msgpack_json_append(struct ty_buffer *out, const void *data, size_t length);

#endif
