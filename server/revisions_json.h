/*
 * revisions_json.h: closed months, and revisions of them, as the HTTP API writes them.
 *
 * Threads: pure functions; the buffer has one owner.
 */
#ifndef TY_SERVER_REVISIONS_JSON_H
#define TY_SERVER_REVISIONS_JSON_H

#include "engine/buffer.h"
#include "engine/uuid.h"
#include "tally.h"

/* {"customer_id":"…","closed_through":"2023-01","closed_at":"…"}, with null where nothing is
 * closed; without the last brace if more is to come. */
void ty_revisions_json_closed(struct ty_buffer *out, const struct ty_uuid *customer,
                              const tally_closed *closed, bool more);

/* The list behind that: begin, append each, end. `next` is null when there are no `more`. */
void ty_revisions_json_append(struct ty_buffer *out, const tally_revision *revision, bool first);
void ty_revisions_json_end(struct ty_buffer *out, bool more, uint64_t next);

#endif
