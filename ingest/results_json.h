/*
 * results_json.h: the answer of POST /v1/events from a batch that has been decided.
 */
#ifndef TY_INGEST_RESULTS_JSON_H
#define TY_INGEST_RESULTS_JSON_H

#include "engine/batch.h"
#include "engine/buffer.h"

/*
 * ty_results_json_write appends
 *
 *     {"accepted":2,"duplicates":1,"rejected":[{"index":3,"id":"...","code":"id_conflict",
 *      "message":"..."}]}
 *
 * without white space, and with `all` also "results":["accepted","duplicate",...], a name a record.
 * Indices count the batch's records from 0; "id" is null where the record had none that could be
 * read. An outcome without a message gets one that says what was wrong and what is allowed.
 *
 *   batch    Borrowed. Every outcome is decided: none is TALLY_NOT_STORED.
 *   options  Borrowed; what the database was opened with: the messages name its limits
 *            (future_ms_max, series_max).
 *
 * No memory: the buffer has failed (ty_buffer_ok()).
 * Threads: the batch and the buffer have one owner.
 */
void ty_results_json_write(struct ty_buffer *buffer, const struct ty_batch *batch, bool all,
                           const tally_options *options);

#define TY_RESULTS_MESSAGE_BYTES 160

/* ty_results_message says why a record was rejected: what its decoder said, or what its code means
 * in a database with these options. The text is the outcome's, constant, or in `room`. */
const char *ty_results_message(const struct ty_outcome *outcome, const tally_options *options,
                               char room[TY_RESULTS_MESSAGE_BYTES]);

/* ty_results_json_write_members appends the members of that object alone, without braces. */
void ty_results_json_write_members(struct ty_buffer *buffer, const struct ty_batch *batch,
                                   const tally_options *options);

/* How many records have been decided in which way. */
struct ty_results_count {
    size_t accepted;
    size_t duplicates;
    size_t rejected;
};

struct ty_results_count ty_results_json_count(const struct ty_batch *batch);

#endif
