/*
 * rejects_json.h: kept rejects as the API's JSON.
 *
 * Threads: pure functions; the buffer has one owner.
 */
#ifndef TY_SERVER_REJECTS_JSON_H
#define TY_SERVER_REJECTS_JSON_H

#include "engine/buffer.h"
#include "storage/reject_codec.h"

/*
 * ty_rejects_json_append appends
 *
 *     {"seq":12,"received":"...","time":"...","source":"forward 10.0.0.7 usage.app",
 *      "code":"missing_field","message":"...","encoding":"json","record":{...}}
 *
 * `time` is left out when the entry had none, and is a number of milliseconds where RFC 3339 has no
 * year for it. What is no UTF-8 in source and message is shown as U+FFFD. The record is JSON, or
 * where JSON cannot show it, base64 as text with "encoding":"base64": so also one that was cut,
 * which has "truncated":true and "record_bytes", its length, besides.
 */
void ty_rejects_json_append(struct ty_buffer *out, const struct ty_kept_reject *kept);

/* A page around its rejects, between which the caller puts commas: begin appends {"rejects":[, end
 * appends the rest, ],"next":11} or, when older ones are not left, ],"next":null}. */
void ty_rejects_json_begin(struct ty_buffer *out);
void ty_rejects_json_end(struct ty_buffer *out, bool more, uint64_t next);

#endif
