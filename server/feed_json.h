/*
 * feed_json.h: single events as the API's JSON: what GET /v1/events gives, POST takes back.
 *
 * Threads: pure functions; the buffer has one owner.
 */
#ifndef TY_SERVER_FEED_JSON_H
#define TY_SERVER_FEED_JSON_H

#include "engine/buffer.h"
#include "query/feed.h"

/*
 * ty_feed_json_event appends
 *
 *     {"id":"job-1","source":"...","customer_id":"...","workflow_id":"...","time":"...",
 *      "received":"...","credits":0.1,"documents":1,"pages":3,"processing_ms":1200,"user_id":"...",
 *      "status":"accepted"}
 *
 * and for one that was voided {...,"status":"voided","voided":"...","reason":"..."}; the entry of
 * the void itself has the status "void". Numbers are exact. `source` and `user_id` are left out when they are empty, `time` when none was
 * given: with `counted` it is there then too, and is when the event counts.
 */
void ty_feed_json_event(struct ty_buffer *out, const struct ty_feed_event *event, bool counted);

/* A page around its events, between which the caller puts commas: begin appends {"events":[, end
 * appends the rest: ],"next":"...","end":true} and "trimmed":true if it is. */
void ty_feed_json_begin(struct ty_buffer *out);
void ty_feed_json_end(struct ty_buffer *out, const char *next, const struct ty_feed_page *page);

#endif
