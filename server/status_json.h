/*
 * status_json.h: the answer of GET /v1/status (docs/PROTOCOL.md).
 *
 * Threads: pure functions; the buffer has one owner.
 */
#ifndef TY_SERVER_STATUS_JSON_H
#define TY_SERVER_STATUS_JSON_H

#include "engine/buffer.h"
#include "query/status.h"

/* The Forward protocol, of all loops. */
struct ty_stream_status {
    bool served;
    uint64_t connections; /* open */
    uint64_t messages;
    uint64_t acks;
    uint64_t retries; /* times that messages waited since the database could not take them */
    uint64_t dropped_records; /* without a chunk to acknowledge, that could not be stored */
    uint64_t broken_streams;  /* closed for what they sent */
    uint64_t pending_bytes;   /* read and not decided yet */
};

/* What the process knows beside the database. Texts are borrowed. */
struct ty_process_status {
    const char *version;
    int64_t pid;
    int64_t started_ms; /* wall clock */
    int64_t uptime_ms;
    const char *unready_reason; /* NULL: ready */
    bool draining;
    uint64_t connections; /* of HTTP, open */
    struct ty_stream_status forward;
    uint64_t decoder_rejects[TY_RESULTS]; /* records that never reached a shard */
};

/* ty_status_json_begin appends the process' members, the object still open. */
void ty_status_json_begin(struct ty_buffer *out, const struct ty_process_status *process);

/* ty_status_json_database appends the database's: sums, then each shard. */
void ty_status_json_database(struct ty_buffer *out, const struct ty_process_status *process,
                             const struct ty_shard_status *total, const struct ty_commit_time *time,
                             const struct ty_shard_status *shards, unsigned shard_count);

/* ty_status_json_end closes the object. */
void ty_status_json_end(struct ty_buffer *out);

#endif
