/*
 * forward.h: messages of the Fluentd Forward protocol, version 1, without the transport.
 *
 * Specification: github.com/fluent/fluentd/wiki/Forward-Protocol-Specification-v1; what Fluent Bit
 * and Fluentd really send is wider, and taken too:
 *
 *   Message             [tag, time, record, option?]
 *   Forward             [tag, [[time, record], ...], option?]
 *   PackedForward       [tag, str or bin of concatenated [time, record], option?]
 *   CompressedPacked... the same gzipped, option {"compressed": "gzip"}; members may follow another
 *
 *   time     EventTime (ext type 0 of 8 bytes: seconds and nanoseconds, big-endian u32 each), an
 *            integer or float of seconds; nil and 0 mean "now", as Fluentd takes them. Fluent Bit's
 *            [time, {metadata}] stands for its time.
 *   record   a map with the fields of event_fields.h, or an array by position:
 *            [id, customer_id, workflow_id, credits, documents, pages, processing_ms, user_id?];
 *            nil in it is an absent field. The time of an event is the record's `time`, else the
 *            entry's.
 *   option   a map: `chunk` (any value but nil; sent back as it came), `compressed` ("gzip" or
 *            "text"); the rest is ignored.
 *
 * Threads: pure functions of their arguments.
 */
#ifndef TY_INGEST_FORWARD_H
#define TY_INGEST_FORWARD_H

#include "engine/batch.h"
#include "engine/buffer.h"
#include "ingest/decode.h"

/* The most entries of a message: a bound for hostile ones, far above what good ones hold. */
#define TY_FORWARD_RECORDS_MAX 1048576

enum ty_forward_mode {
    TY_FORWARD_IGNORED, /* nil or another value that is no array: no records, no acknowledgement */
    TY_FORWARD_MESSAGE,
    TY_FORWARD_ENTRIES,
    TY_FORWARD_PACKED,
    TY_FORWARD_COMPRESSED,
    TY_FORWARD_UNKNOWN /* an array, but none of the above: one record, rejected */
};
#define TY_FORWARD_MODES (TY_FORWARD_UNKNOWN + 1)

/* A decoded message. Texts are borrowed from the message's bytes. */
struct ty_forward_message {
    enum ty_forward_mode mode;
    struct ty_text tag;   /* any bytes; empty where there is none */
    struct ty_text chunk; /* the option's value as msgpack; its data is NULL: do not acknowledge */
    size_t first_record;  /* its records' place in the batch */
    size_t record_count;
    /* Where the records are, for ty_forward_each_record(): whole entries, then perhaps bytes that
     * make one more record, always a reject. */
    struct ty_text entries;
    struct ty_text tail; /* its data is NULL: there is none */
};

/*
 * ty_forward_decode adds a message's records to a batch. `data` is one whole msgpack value (see
 * msgpack_frame.h) that must live as long as the batch; inflated entries live in its arena.
 *
 * Every record is in the batch on TY_DECODE_OK, as an event or as a reject: entries that are no
 * [time, record] and records that are neither map nor array included. Bytes of a packed message
 * that are no whole entry are one reject together, and so are gzip from a damaged member on (what
 * it seems to hold is not counted) and an array that is no Forward message.
 * TY_DECODE_REFUSED, with *error: the entries inflate to more than `inflated_bytes_max`, are
 * compressed in another way, or are more than TY_FORWARD_RECORDS_MAX; the batch is as it was, and
 * the message's producer keeps it. TY_DECODE_NO_MEMORY: the batch has failed.
 */
enum ty_decode_status ty_forward_decode(const void *data, size_t length, size_t inflated_bytes_max,
                                        struct ty_batch *batch, struct ty_forward_message *message,
                                        struct ty_decode_error *error);

/*
 * ty_forward_each_record calls `each` for the records of a decoded message, in order, until it
 * returns false: the place among the message's records from 0, the entry's time (or
 * TALLY_TIME_OF_ARRIVAL) and the record's msgpack bytes. For rejects, which are few: good records
 * need not be remembered.
 */
void ty_forward_each_record(const struct ty_forward_message *message,
                            bool (*each)(void *context, size_t index, int64_t time_ms,
                                         struct ty_text record),
                            void *context);

/* ty_forward_append_ack appends the acknowledgement {"ack": chunk}. */
void ty_forward_append_ack(const struct ty_forward_message *message, struct ty_buffer *out);

#endif
